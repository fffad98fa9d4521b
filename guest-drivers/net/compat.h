/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What has another name or shape in some of the kernels that we build for. Only this file asks for
 * versions.
 */
#ifndef PVKIT_GUEST_DRIVERS_NET_COMPAT_H
#define PVKIT_GUEST_DRIVERS_NET_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/xdp.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#include <net/page_pool/helpers.h>
#else
#include <net/page_pool.h>
#endif

/* A pool that knows its NAPI gets pages back without a lock. */
static inline void compat_pool_napi(struct page_pool_params *params, struct napi_struct *napi)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	params->napi = napi;
#endif
}

static inline void compat_xdp_features(struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	xdp_set_features_flag(dev, NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT |
					   NETDEV_XDP_ACT_NDO_XMIT);
#endif
}

static inline void compat_timer_init(struct hrtimer *timer,
				     enum hrtimer_restart (*expired)(struct hrtimer *timer))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, expired, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
	timer->function = expired;
#endif
}

#endif
