/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Network devices, as the network front-end knows them: one device, whose tx queues' locks lock, whose
 * NAPI contexts run on any of two threads, and RCU. What concerns features, programs and checksums is
 * nothing here.
 */
#ifndef PVKIT_TESTS_UNIT_KERNEL_NETDEVICE_H
#define PVKIT_TESTS_UNIT_KERNEL_NETDEVICE_H

#include "tests/unit/kernel/kernel.h"

#define NUMA_NO_NODE        (-1)
#define IFNAMSIZ            16
#define ETH_ALEN            6
#define ETH_HLEN            14
#define VLAN_ETH_HLEN       18
#define ETH_DATA_LEN        1500
#define ETH_MIN_MTU         68
#define MAX_SKB_FRAGS       17
#define GSO_BY_FRAGS        0xffff
#define XDP_PACKET_HEADROOM 256
#define IFF_PROMISC         1
#define IFF_ALLMULTI        2

enum {
	CHECKSUM_NONE,
	CHECKSUM_UNNECESSARY,
	CHECKSUM_PARTIAL,
};

enum {
	SKB_GSO_DODGY = 1,
	SKB_GSO_TCPV4 = 2,
	SKB_GSO_TCPV6 = 4,
};

/* ---- modules --------------------------------------------------------------------------------- */

#define __init
#define __exit
#define THIS_MODULE                    NULL
#define module_param_named(n, v, t, m) _Static_assert(1, #n)
#define MODULE_PARM_DESC(n, text)      _Static_assert(1, text)
#define MODULE_DESCRIPTION(text)       _Static_assert(1, text)
#define MODULE_AUTHOR(text)            _Static_assert(1, text)
#define MODULE_LICENSE(text)           _Static_assert(1, text)
#define MODULE_VERSION(text)           _Static_assert(1, text)
#define MODULE_ALIAS(text)             _Static_assert(1, text)
#define module_init(f)                                \
	extern __typeof__(f) *const fake_init_of_##f; \
	__typeof__(f) *const fake_init_of_##f = f
#define module_exit(f) module_init(f)

/* ---- RCU: readers are senders, NAPI contexts and who reads statistics ------------------------ */

#define rcu_dereference_bh(p)  READ_ONCE(p)
#define rcu_access_pointer(p)  READ_ONCE(p)
#define rtnl_dereference(p)    (p)
#define RCU_INIT_POINTER(p, v) WRITE_ONCE(p, v)
#define local_bh_disable()     ((void)0)
#define local_bh_enable()      ((void)0)
#define smp_processor_id()     0

void rcu_read_lock(void);
void rcu_read_unlock(void);
void synchronize_net(void);
void rtnl_lock(void);
void rtnl_unlock(void);

/* ---- counters: plain words on 64 bits, single accesses --------------------------------------- */

typedef struct {
	u64 value;
} u64_stats_t;

struct u64_stats_sync {
};

#define u64_stats_init(s)         ((void)(s))
#define u64_stats_update_begin(s) ((void)(s))
#define u64_stats_update_end(s)   ((void)(s))
#define u64_stats_read(c)         READ_ONCE((c)->value)
#define u64_stats_add(c, n)       WRITE_ONCE((c)->value, READ_ONCE((c)->value) + (n))
#define u64_stats_inc(c)          u64_stats_add(c, 1)

struct rtnl_link_stats64 {
	u64 rx_packets, rx_bytes, rx_dropped, rx_errors;
	u64 tx_packets, tx_bytes, tx_dropped, tx_errors;
};

/* ---- timers of high resolution: no better than the others ------------------------------------ */

enum hrtimer_restart {
	HRTIMER_NORESTART,
};

struct hrtimer {
	struct work_struct work;
	enum hrtimer_restart (*function)(struct hrtimer *timer);
};

void fake_hrtimer_work(struct work_struct *work);

#define CLOCK_MONOTONIC            1
#define HRTIMER_MODE_REL_PINNED    0
#define ns_to_ktime(ns)            (ns)
#define hrtimer_init(t, clock, m)  INIT_WORK(&(t)->work, fake_hrtimer_work)
#define hrtimer_start(t, ns, mode) fake_queue_work(&(t)->work, (ns) / 1000000, true)
#define hrtimer_cancel(t)          cancel_work_sync(&(t)->work)

/* ---- skbs ------------------------------------------------------------------------------------ */

typedef struct {
	struct page *page;
	unsigned int offset, size;
} skb_frag_t;

struct skb_shared_info {
	unsigned int nr_frags, gso_size, gso_type, gso_segs;
	skb_frag_t frags[MAX_SKB_FRAGS];
};

struct sk_buff {
	struct net_device *dev;
	unsigned int len, headlen; /* in all, and of the linear part */
	u8 *data;
	struct page *head; /* where that is */
	int ip_summed;
	u16 protocol, mapping;
	char cb[48] __attribute__((aligned(8)));
	struct skb_shared_info info;
};

#define skb_shinfo(skb)                (&(skb)->info)
#define skb_headlen(skb)               ((skb)->headlen)
#define skb_is_gso(skb)                ((skb)->info.gso_size)
#define skb_frag_page(frag)            ((frag)->page)
#define skb_frag_off(frag)             ((frag)->offset)
#define skb_frag_size(frag)            ((frag)->size)
#define skb_get_queue_mapping(skb)     ((skb)->mapping)
#define skb_record_rx_queue(skb, i)    ((skb)->mapping = (i))
#define skb_headroom(skb)              0U
#define skb_metadata_set(skb, n)       ((void)(skb))
#define skb_mark_for_recycle(skb)      ((void)(skb))
#define skb_reset_network_header(skb)  ((void)(skb))
#define skb_checksum_setup(skb, again) ((void)(again), 0)
#define skb_tx_timestamp(skb)          ((void)(skb))
#define pskb_may_pull(skb, n)          ((skb)->headlen >= (n))
#define eth_type_trans(skb, device)    ((skb)->dev = (device), 0)
#define dev_kfree_skb_any(skb)         kfree_skb(skb)
#define napi_consume_skb(skb, budget)  kfree_skb(skb)
#define napi_alloc_skb(napi, size)     fake_skb_new()

/* Empty, with a page for its linear part. */
struct sk_buff *fake_skb_new(void);
void kfree_skb(struct sk_buff *skb);
void skb_put_data(struct sk_buff *skb, const void *data, unsigned int bytes);
void skb_add_rx_frag(struct sk_buff *skb, unsigned int i, struct page *page, unsigned int offset,
		     unsigned int size, unsigned int truesize);
int skb_copy_bits(const struct sk_buff *skb, unsigned int offset, void *to, unsigned int bytes);

/* ---- pools, and programs, of which there are none -------------------------------------------- */

struct page_pool_params {
	unsigned int pool_size;
	int nid;
	struct napi_struct *napi;
};

struct xdp_rxq_info {
	bool registered;
};

struct xdp_frame {
	void *data;
	unsigned int len;
};

struct xdp_buff {
	u8 *data_hard_start, *data, *data_end, *data_meta;
};

enum {
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
	XDP_XMIT_FLUSH = 1,
	XDP_XMIT_FLAGS_MASK = 1,
	XDP_SETUP_PROG = 0,
};

struct bpf_prog;
struct netlink_ext_ack;
struct netdev_bpf {
	int command;
	struct bpf_prog *prog;
	struct netlink_ext_ack *extack;
};

#define SKB_DATA_ALIGN(n)                      (n)
#define NL_SET_ERR_MSG_MOD(extack, text)       ((void)(extack))
#define rcu_assign_pointer(p, v)               __atomic_store_n(&(p), v, __ATOMIC_RELEASE)
#define xdp_init_buff(buff, size, info)        ((void)(info))
#define xdp_prepare_buff(b, start, at, n, m)   ((b)->data_hard_start = (start))
#define xdp_convert_buff_to_frame(buff)        ((struct xdp_frame *)(buff)->data_hard_start)
#define bpf_prog_run_xdp(program, buff)        ((void)(program), XDP_DROP)
#define xdp_do_redirect(dev, buff, program)    ((void)(dev), 1)
#define xdp_do_flush()                         ((void)0)
#define bpf_warn_invalid_xdp_action(dev, p, a) ((void)(a))
#define trace_xdp_exception(dev, program, a)   ((void)(a))

struct ethtool_ops {
};

/* NULL, now and then. */
struct page *fake_pool_alloc(void);

#define MEM_TYPE_PAGE_POOL                  0
#define page_pool_create(params)            ((struct page_pool *)calloc(1, (params)->pool_size))
#define page_pool_destroy(pool)             free(pool)
#define page_pool_alloc_pages(pool, gfp)    fake_pool_alloc()
#define page_pool_put_full_page(pool, p, b) put_page(p)
#define page_pool_recycle_direct(pool, p)   put_page(p)
#define xdp_rxq_info_reg(info, dev, i, id)  ((info)->registered = true, 0)
#define xdp_rxq_info_reg_mem_model(i, t, p) 0
#define xdp_rxq_info_is_reg(info)           ((info)->registered)
#define xdp_rxq_info_unreg(info)            ((info)->registered = false)
#define xdp_frame_has_frags(frame)          false
/* It lies in its own page. */
#define xdp_return_frame(frame)              put_page(virt_to_page(frame))
#define xdp_set_features_flag(dev, features) ((void)(dev))
#define bpf_prog_put(program)                abort()

/* ---- devices --------------------------------------------------------------------------------- */

typedef u64 netdev_features_t;
#define NETIF_F_SG        (1ULL << 0)
#define NETIF_F_IP_CSUM   (1ULL << 1)
#define NETIF_F_IPV6_CSUM (1ULL << 2)
#define NETIF_F_TSO       (1ULL << 3)
#define NETIF_F_TSO6      (1ULL << 4)
#define NETIF_F_RXCSUM    (1ULL << 5)
#define NETIF_F_HIGHDMA   (1ULL << 6)

typedef int netdev_tx_t;
#define NETDEV_TX_OK   0
#define NETDEV_TX_BUSY 1

struct net_device_ops {
	int (*ndo_open)(struct net_device *);
	int (*ndo_stop)(struct net_device *);
	netdev_tx_t (*ndo_start_xmit)(struct sk_buff *, struct net_device *);
	void (*ndo_get_stats64)(struct net_device *, struct rtnl_link_stats64 *);
	netdev_features_t (*ndo_fix_features)(struct net_device *, netdev_features_t);
	void (*ndo_set_rx_mode)(struct net_device *);
	int (*ndo_set_mac_address)(struct net_device *, void *);
	int (*ndo_validate_addr)(struct net_device *);
	int (*ndo_bpf)(struct net_device *, struct netdev_bpf *);
	int (*ndo_xdp_xmit)(struct net_device *, int, struct xdp_frame **, u32);
};

struct netdev_queue {
	spinlock_t lock;
	unsigned long state; /* bit 0: stopped */
};

struct netdev_hw_addr {
	u8 addr[ETH_ALEN];
};

#define FAKE_TXQS 2

struct net_device {
	const struct net_device_ops *netdev_ops;
	const struct ethtool_ops *ethtool_ops;
	netdev_features_t features, hw_features;
	unsigned int mtu, min_mtu, max_mtu, flags, num_tx_queues;
	bool running; /* under the rtnl lock */
	unsigned long carrier; /* bit 0 */
	struct netdev_queue txq[FAKE_TXQS];
	/* Its one group, which comes and goes. */
	spinlock_t addr_lock;
	struct netdev_hw_addr group;
	unsigned int groups;
	u64 priv[];
};

#define netdev_priv(dev)                     ((void *)(dev)->priv)
#define num_possible_cpus()                  2U
#define SET_NETDEV_DEV(dev, d)               ((void)(d))
#define alloc_etherdev_mqs(size, tx, rx)     fake_netdev_new(size)
#define free_netdev(dev)                     free(dev)
#define register_netdevice(dev)              0
#define unregister_netdev(dev)               fake_close(dev)
#define netdev_update_features(dev)          ((void)(dev))
#define dev_set_mtu(dev, m)                  ((dev)->mtu = (m), 0)
#define netif_set_tso_max_size(dev, n)       ((void)(dev))
#define netif_set_real_num_tx_queues(dev, n) 0
#define netif_set_real_num_rx_queues(dev, n) 0
#define netif_device_detach(dev)             ((void)(dev))
#define netif_device_attach(dev)             ((void)(dev))
#define call_netdevice_notifiers(event, dev) ((void)(dev))
#define netif_running(dev)                   ((dev)->running)
#define netif_carrier_on(dev)                set_bit(0, &(dev)->carrier)
#define netif_carrier_off(dev)               clear_bit(0, &(dev)->carrier)
#define netdev_info(dev, ...)                fake_say(dev, __VA_ARGS__)
#define dev_core_stats_tx_dropped_inc(dev)   ((void)(dev))
#define mac_pton(text, address)              (memcpy(address, text, ETH_ALEN), true)
#define is_valid_ether_addr(address)         true
#define eth_hw_addr_set(dev, address)        ((void)(address))
#define eth_mac_addr                         NULL
#define eth_validate_addr                    NULL
#define ether_addr_copy(to, from)            memcpy(to, from, ETH_ALEN)
#define ether_addr_equal_unaligned(a, b)     (!memcmp(a, b, ETH_ALEN))
#define netif_addr_lock_bh(dev)              spin_lock_irq(&(dev)->addr_lock)
#define netif_addr_unlock_bh(dev)            spin_unlock_irq(&(dev)->addr_lock)
#define netdev_mc_count(dev)                 ((dev)->groups)
#define netdev_for_each_mc_addr(a, dev) \
	for ((a) = &(dev)->group; (a) < &(dev)->group + (dev)->groups; (a)++)

#define netdev_get_tx_queue(dev, i)        (&((struct net_device *)(dev))->txq[i])
#define __netif_tx_lock(txq, cpu)          spin_lock_irq(&(txq)->lock)
#define __netif_tx_unlock(txq)             spin_unlock_irq(&(txq)->lock)
#define __netif_tx_lock_bh(txq)            spin_lock_irq(&(txq)->lock)
#define __netif_tx_unlock_bh(txq)          spin_unlock_irq(&(txq)->lock)
#define netif_tx_stop_queue(txq)           set_bit(0, &(txq)->state)
#define netif_tx_wake_queue(txq)           ((void)test_and_clear_bit(0, &(txq)->state))
#define netif_tx_queue_stopped(txq)        test_bit(0, &(txq)->state)
#define netdev_xmit_more()                 fake_xmit_more
#define __netdev_tx_sent_queue(q, n, more) (!(more) || netif_tx_queue_stopped(q))
#define netdev_tx_completed_queue(q, n, b) ((void)(q))
#define netdev_tx_reset_queue(q)           ((void)(q))

extern __thread bool fake_xmit_more;

void netif_tx_disable(struct net_device *dev);

/* ---- NAPI ------------------------------------------------------------------------------------ */

struct napi_struct {
	unsigned long state;
	int (*poll)(struct napi_struct *napi, int budget);
	struct napi_struct *next; /* that waits for a thread too */
	unsigned int napi_id;
};

#define napi_gro_receive(napi, skb) fake_received(skb)
#define netif_napi_del(napi)        ((void)(napi))

void netif_napi_add(struct net_device *dev, struct napi_struct *napi,
		    int (*poll)(struct napi_struct *napi, int budget));
void napi_schedule(struct napi_struct *napi);
bool napi_complete_done(struct napi_struct *napi, int done);
void napi_enable(struct napi_struct *napi);
void napi_disable(struct napi_struct *napi);

/* ---- for the test ---------------------------------------------------------------------------- */

struct net_device *fake_netdev_new(size_t priv);
/* Takes the rtnl lock. */
void fake_open(struct net_device *dev);
void fake_close(struct net_device *dev);
/* False: the queue is stopped, and @skb still the caller's. @more: another one follows at once. */
bool fake_xmit(struct net_device *dev, struct sk_buff *skb, bool more);
unsigned int fake_skbs(void);
/* The test's own: a frame for the stack. */
void fake_received(struct sk_buff *skb);

#endif
