/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the platform is to the services above it: numbers, shared memory, doorbells and calls.
 *
 * This is the line at which hardware ends. Above it (grants, events, store, bus) nothing knows PCI,
 * CPUID or port I/O, so the same sources run in user-mode Linux under KUnit, where the tests are
 * the platform.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_PLATFORM_H
#define PVKIT_GUEST_KERNEL_MODULE_PLATFORM_H

#include <linux/device.h>
#include <linux/types.h>

#include "abi/event_channel.h"
#include "abi/grant_table.h"
#include "abi/hypercall.h"
#include "abi/platform.h"
#include "abi/store.h"

struct pvkit_platform {
	struct device *device; /* parent of all devices */
	u64 features; /* in force */
	u16 domain, backend_domain;
	u32 ports; /* numbers are 1..ports - 1 */
	u32 vectors; /* ports 1..vectors - 1 have one of their own */
	u32 store_port;
	u32 grants; /* entries */
	void __iomem *doorbells;
	u32 doorbell_stride;
	/* Memory that the other side writes too. */
	struct platform_pending *pending;
	struct store_ring_page *store_page;
	struct grant_v1 *entries;
};

static inline void __iomem *pvkit_platform_doorbell(const struct pvkit_platform *platform, u32 port)
{
	return platform->doorbells + (size_t)port * platform->doorbell_stride;
}

/* The Linux interrupt of @vector. */
int pvkit_platform_irq(struct pvkit_platform *platform, u32 vector);

/*
 * Suspends the devices on the bus, tells the host, and brings them back when the host lets the
 * guest run again, here or elsewhere. -EOPNOTSUPP: the platform has no PLATFORM_F_SUSPEND.
 */
int pvkit_platform_sleep(void);
/* In order, by the guest's own user space; returns before it is done. */
void pvkit_platform_poweroff(void);
void pvkit_platform_reboot(void);

/*
 * A hypercall with up to three numbers. In any context but NMI. Answers what the call answers.
 */
s64 pvkit_hypercall(u32 number, u64 first, u64 second, u64 third);

/*
 * A hypercall whose second argument is the address of @data, HYPERCALL_DATA_MAX bytes at most,
 * which go in and out by copy: @data may lie anywhere.
 */
s64 pvkit_hypercall_data(u32 number, u64 first, void *data, size_t size, u64 third);

#define HYPERCALL_DATA_MAX 448

#endif
