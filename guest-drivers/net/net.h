/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The paravirtual network front-end, inside.
 *
 * A device (struct pvnet) is a net_device with as many queues as front-end and back-end agree on; a
 * queue (struct pvnet_queue) is a tx ring, an rx ring and one NAPI context for both.
 *
 *	main.c		the net_device: open, stop, statistics, probe and remove
 *	handshake.c	what is said in the store, and when queues come and go
 *	queue.c		memory of a queue, its events, its poll function
 *	frame.c		what is to be sent, cut into pieces
 *	tx.c		from skb to tx slots, and back when they are answered
 *	rx.c		from lent pages to skbs
 *	xdp.c		programs on received frames, and frames that other devices redirect
 *	multicast.c	which groups the back-end lets through
 *	ethtool.c
 *
 * Who may touch what. All that changes the set of queues holds the rtnl lock, and is one of the
 * bus's calls, one at a time; what these read from the store and write there, they do without that
 * lock. ndo and ethtool functions, which have it, say Closing at most. Of a queue, the rx side
 * belongs to its NAPI context, the tx side to the holder of the netdev's tx queue lock. The shared
 * words of a ring go through ring/xen_front alone.
 *
 * The back-end is not believed. A response is copied once; what it says is compared with what was
 * lent (position or shadow), and data are looked at only after the grant has ended or after they
 * were copied. Where it breaks the protocol the device is retired (pvnet_retire()): one line in the
 * log, no carrier, no more traffic; memory that it still holds goes to pvkit_grant_end_later().
 */
#ifndef PVKIT_GUEST_DRIVERS_NET_NET_H
#define PVKIT_GUEST_DRIVERS_NET_NET_H

#include <linux/etherdevice.h>
#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>

#include "abi/netif.h"
#include "guest-drivers/net/compat.h"
#include "guest-kernel-module/pvkit.h"
#include "ring/xen_ring.h"
#include "ring/xen_shadow.h"

/* Slots of a ring of one page; main.c asserts it. */
#define PVNET_RING 256
/* A frame's slots: what every back-end takes, and the extra. */
#define PVNET_TX_SLOTS (NETIF_SLOTS_MIN + 1)
/* Below it no further frame is accepted. */
#define PVNET_TX_ROOM (PVNET_TX_SLOTS + 1)

/*
 * The first bytes of a frame are copied into pages that stay granted: for small frames, and for the
 * headers in front of large ones, that is cheaper than a grant, and it shows the back-end nothing
 * that shares a page with them.
 */
#define PVNET_HEAD_BYTES 256
#define PVNET_HEAD_PAGES (PVNET_RING * PVNET_HEAD_BYTES / PAGE_SIZE)

/* A received frame of no more is copied, and its page stays lent. */
#define PVNET_COPYBREAK 256
/* Of a larger one so much goes into the linear part: all headers of usual packets. */
#define PVNET_RX_HEAD 128

/* Never fewer pages are kept posted: a frame of the largest size must find room. */
#define PVNET_RX_TARGET_MIN 32

#define PVNET_QUEUES_MAX    16
#define PVNET_MTU_DEFAULT   1500
#define PVNET_MULTICAST_MAX 64 /* what back-ends keep */

struct pvnet;

/* ---- tx -------------------------------------------------------------------------------------- */

/* A slot that is on its way: what its response gives back. Indexed by id. */
struct pvnet_tx_slot {
	struct sk_buff *skb; /* NULL: ->frame */
	struct xdp_frame *frame;
	struct page *page; /* that was granted; NULL: the head area's, which stays so */
	u32 grant; /* 0: the head area's */
	u32 bytes; /* of the frame, in its first slot; else 0 */
	bool owned; /* ->page is ours to free: a copy */
};

struct pvnet_tx_stats {
	u64_stats_t packets, bytes, dropped, errors;
	u64_stats_t notifications, suppressed, stopped, copied, gso;
	u64_stats_t xdp_frames, xdp_dropped;
	struct u64_stats_sync sync; /* writers hold the tx queue lock */
};

struct pvnet_tx {
	struct xen_front ring;
	struct pvkit_shared shared;
	struct pvkit_grants grants;
	struct xen_shadow shadow;
	struct xen_shadow_entry entry[PVNET_RING];
	struct pvnet_tx_slot slot[PVNET_RING];
	struct page *head[PVNET_HEAD_PAGES];
	u32 head_grant[PVNET_HEAD_PAGES];
	unsigned int in_flight; /* requests without a response */
	unsigned int extras; /* slots without an id that owe a NETIF_NULL */
	struct pvnet_tx_stats stats;
};

/* ---- rx -------------------------------------------------------------------------------------- */

/*
 * A lent page stands at the index of its request. It may stay there, granted, when it was not used.
 */
struct pvnet_rx_slot {
	struct page *page;
	u32 grant;
};

struct pvnet_rx_stats {
	u64_stats_t packets, bytes, dropped, errors;
	u64_stats_t notifications, suppressed, copied, gso, no_page;
	u64_stats_t xdp_packets, xdp_drop, xdp_tx, xdp_redirect;
	u64_stats_t polls;
	struct u64_stats_sync sync; /* the NAPI context writes */
};

struct pvnet_rx {
	struct xen_front ring;
	struct pvkit_shared shared;
	struct pvkit_grants grants;
	struct pvnet_rx_slot slot[PVNET_RING];
	struct page_pool *pool;
	struct xdp_rxq_info xdp;
	struct timer_list refill; /* when there was no memory at all */
	struct pvnet_rx_stats stats;
};

/* ---- queue ----------------------------------------------------------------------------------- */

struct pvnet_queue {
	struct pvnet *net;
	unsigned int index;
	struct napi_struct napi;
	/* One for both rings (rx's), unless the back-end offers two. */
	struct pvkit_event rx_event, tx_event;
	char rx_name[IFNAMSIZ + 16], tx_name[IFNAMSIZ + 16];
	atomic_long_t interrupts;
	struct hrtimer coalesce;
	struct pvnet_tx tx;
	struct pvnet_rx rx;
};

static inline const struct pvkit_event *pvnet_tx_bell(const struct pvnet_queue *queue)
{
	return queue->tx_event.doorbell ? &queue->tx_event : &queue->rx_event;
}

/* ---- device ---------------------------------------------------------------------------------- */

enum pvnet_flag {
	PVNET_RETIRED, /* the back-end broke the protocol; set from any context */
	PVNET_REOPEN, /* closing only to begin anew, with other parameters */
	PVNET_ONLINE, /* the back-end was Connected since the queues were made */
	PVNET_POLLING, /* NAPI contexts are enabled */
	PVNET_REGISTERED,
	PVNET_LEAVING, /* no work is to be queued any more */
	PVNET_GROUP_REFUSED, /* the back-end keeps no further multicast group */
	PVNET_FILTER_UNTOLD, /* ->filtering may not be what the store says */
};

/* What the back-end can receive and do, as read from the store. */
struct pvnet_features {
	bool sg, gso_v4, gso_v6, csum_v4, csum_v6;
	bool split, headroom, multicast;
	unsigned int queues;
};

struct pvnet {
	struct net_device *dev;
	struct pvkit_device *device;
	unsigned long flags; /* enum pvnet_flag */
	struct pvnet_features back;
	struct pvnet_queue **queue;
	unsigned int queues; /* in ->queue; 0: not connected */
	unsigned int queues_wanted;
	unsigned int rx_target; /* requests kept posted */
	unsigned int coalesce_us;
	bool bounce; /* back-end is not to see what shares a page with a frame */
	u32 speed; /* Mbit/s */
	struct bpf_prog __rcu *xdp;
	unsigned int xdp_headroom; /* asked for in the present handshake */

	struct pvkit_watch carrier;
	struct work_struct retire;
	char reason[96]; /* why it is retired; of whoever set PVNET_RETIRED */

	struct delayed_work multicast;
	bool filtering; /* the back-end filters multicast frames */
	unsigned int group_count;
	u8 group[PVNET_MULTICAST_MAX][ETH_ALEN];

	spinlock_t count_lock; /* who reads counts finds a queue's in ->queue or in ->past */
	struct rtnl_link_stats64 past; /* of queues that are no more */
};

static inline bool pvnet_retired(const struct pvnet *net)
{
	return test_bit(PVNET_RETIRED, &net->flags);
}

/* From any context: the device is used no more. The first call's reason is logged. */
__printf(2, 3) void pvnet_retire(struct pvnet *net, const char *format, ...);

/* main.c */
extern unsigned int pvnet_queues_parameter; /* 0: one for each CPU */
extern struct pvkit_driver pvnet_driver;
extern const struct ethtool_ops pvnet_ethtool_ops;
/* With the rtnl lock: the net_device follows what the back-end can, and appears the first time. */
int pvnet_show(struct pvnet *net);
unsigned int pvnet_mtu_max(const struct pvnet *net);
/* Adds a queue's counts. */
void pvnet_count(const struct pvnet_queue *queue, struct rtnl_link_stats64 *sum);

/* handshake.c; the bus's, without the rtnl lock */
void pvnet_backend_changed(struct pvkit_device *device, enum store_state state);
void pvnet_carrier_changed(struct pvkit_watch *watch, const char *path);
/* Waits, not for ever, until the back-end has let go. */
void pvnet_part(struct pvnet *net);
/* With the rtnl lock. */
/* Closes and connects again, for parameters that are said in the handshake only. */
void pvnet_reopen(struct pvnet *net);
/* Traffic flows if the interface is up and the back-end there; and no more. */
void pvnet_start(struct pvnet *net);
void pvnet_quiesce(struct pvnet *net);
/* No queue is left; what the back-end still holds of them is given back later. */
void pvnet_disconnect(struct pvnet *net);

/* queue.c */
struct pvnet_queue *pvnet_queue_new(struct pvnet *net, unsigned int index);
/* Nobody uses it any more, but the back-end perhaps. */
void pvnet_queue_free(struct pvnet_queue *queue);
void pvnet_queue_start(struct pvnet_queue *queue);
void pvnet_queue_stop(struct pvnet_queue *queue);

/* tx.c */
int pvnet_tx_new(struct pvnet_queue *queue);
void pvnet_tx_free(struct pvnet_queue *queue);
netdev_tx_t pvnet_start_xmit(struct sk_buff *skb, struct net_device *dev);
/* With the tx queue's lock. */
void pvnet_tx_reap(struct pvnet_queue *queue, int budget);
int pvnet_tx_frame(struct pvnet_queue *queue, struct xdp_frame *frame);
int pvnet_tx_group(struct pvnet_queue *queue, bool add, const u8 *address);
void pvnet_tx_publish(struct pvnet_queue *queue);

/* rx.c */
int pvnet_rx_new(struct pvnet_queue *queue);
void pvnet_rx_free(struct pvnet_queue *queue);
int pvnet_rx_poll(struct pvnet_queue *queue, int budget);
/* What came while nobody was there is old. */
void pvnet_rx_discard(struct pvnet_queue *queue);
/* Pages for the back-end; publishes. */
void pvnet_rx_refill(struct pvnet_queue *queue);

/* xdp.c */
struct pvnet_xdp_result {
	bool pass;
	unsigned int offset, length, metadata; /* of what passed, in its page */
};

/*
 * Runs the program on a frame in one page that is ours. The page is gone unless it passes. Adds to
 * @flush what is to be done after the poll: PVNET_XDP_*.
 */
struct pvnet_xdp_result pvnet_xdp_run(struct pvnet_queue *queue, struct bpf_prog *program,
				      struct page *page, unsigned int offset, unsigned int length,
				      unsigned int *flush);
void pvnet_xdp_flush(struct pvnet_queue *queue, unsigned int flush);
int pvnet_xdp_xmit(struct net_device *dev, int count, struct xdp_frame **frames, u32 flags);
int pvnet_bpf(struct net_device *dev, struct netdev_bpf *bpf);
unsigned int pvnet_xdp_mtu_max(void);

/* multicast.c */
void pvnet_multicast_work(struct work_struct *work);
void pvnet_set_rx_mode(struct net_device *dev);
/* From any context. */
void pvnet_multicast_soon(struct pvnet *net);
/* A new connection knows no group. */
void pvnet_multicast_begin(struct pvnet *net);

#endif
