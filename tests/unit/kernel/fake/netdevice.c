// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Network devices.
 */
#include "tests/unit/kernel/linux/netdevice.h"

/* ---- RCU and the rtnl lock ------------------------------------------------------------------- */

static pthread_rwlock_t readers = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_mutex_t rtnl = PTHREAD_MUTEX_INITIALIZER;

void rcu_read_lock(void)
{
	pthread_rwlock_rdlock(&readers);
}

void rcu_read_unlock(void)
{
	pthread_rwlock_unlock(&readers);
}

void synchronize_net(void)
{
	pthread_rwlock_wrlock(&readers);
	pthread_rwlock_unlock(&readers);
}

void rtnl_lock(void)
{
	pthread_mutex_lock(&rtnl);
}

void rtnl_unlock(void)
{
	pthread_mutex_unlock(&rtnl);
}

void fake_hrtimer_work(struct work_struct *work)
{
	struct hrtimer *timer = container_of(work, struct hrtimer, work);

	timer->function(timer);
}

/* ---- skbs ------------------------------------------------------------------------------------ */

static unsigned int skbs;

unsigned int fake_skbs(void)
{
	return __atomic_load_n(&skbs, __ATOMIC_RELAXED);
}

struct sk_buff *fake_skb_new(void)
{
	struct sk_buff *skb = calloc(1, sizeof(*skb));

	__atomic_fetch_add(&skbs, 1, __ATOMIC_RELAXED);
	skb->head = fake_alloc_page();
	skb->data = page_address(skb->head);
	return skb;
}

void kfree_skb(struct sk_buff *skb)
{
	unsigned int i;

	__atomic_fetch_sub(&skbs, 1, __ATOMIC_RELAXED);
	put_page(skb->head);
	for (i = 0; i < skb->info.nr_frags; i++)
		put_page(skb->info.frags[i].page);
	free(skb);
}

void skb_put_data(struct sk_buff *skb, const void *data, unsigned int bytes)
{
	memcpy(skb->data + skb->headlen, data, bytes);
	skb->headlen += bytes;
	skb->len += bytes;
}

void skb_add_rx_frag(struct sk_buff *skb, unsigned int i, struct page *page, unsigned int offset,
		     unsigned int size, unsigned int truesize)
{
	skb->info.frags[i] = (skb_frag_t){page, offset, size};
	skb->info.nr_frags = i + 1;
	skb->len += size;
}

/* What of @bytes at @offset lies in a part, which begins at @at; the rest is other parts'. */
static void copy_part(unsigned int offset, u8 *to, unsigned int bytes, unsigned int at,
		      const u8 *part, unsigned int size)
{
	unsigned int from = max(offset, at), until = min(offset + bytes, at + size);

	if (from < until)
		memcpy(to + from - offset, part + from - at, until - from);
}

int skb_copy_bits(const struct sk_buff *skb, unsigned int offset, void *to, unsigned int bytes)
{
	unsigned int at = skb->headlen, i;

	copy_part(offset, to, bytes, 0, skb->data, skb->headlen);
	for (i = 0; i < skb->info.nr_frags; i++) {
		const skb_frag_t *frag = &skb->info.frags[i];

		copy_part(offset, to, bytes, at, (u8 *)page_address(frag->page) + frag->offset,
			  frag->size);
		at += frag->size;
	}
	return 0;
}

struct page *fake_pool_alloc(void)
{
	static unsigned int calls;

	return __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 100 ? fake_alloc_page() : NULL;
}

/* ---- devices --------------------------------------------------------------------------------- */

__thread bool fake_xmit_more;

struct net_device *fake_netdev_new(size_t priv)
{
	struct net_device *dev = calloc(1, sizeof(*dev) + priv);
	unsigned int i;

	dev->num_tx_queues = FAKE_TXQS;
	spin_lock_init(&dev->addr_lock);
	for (i = 0; i < FAKE_TXQS; i++)
		spin_lock_init(&dev->txq[i].lock);
	return dev;
}

void fake_open(struct net_device *dev)
{
	rtnl_lock();
	dev->running = true;
	dev->netdev_ops->ndo_open(dev);
	rtnl_unlock();
}

void fake_close(struct net_device *dev)
{
	rtnl_lock();
	if (dev->running)
		dev->netdev_ops->ndo_stop(dev);
	dev->running = false;
	rtnl_unlock();
}

void netif_tx_disable(struct net_device *dev)
{
	unsigned int i;

	for (i = 0; i < FAKE_TXQS; i++) {
		__netif_tx_lock(&dev->txq[i], 0);
		netif_tx_stop_queue(&dev->txq[i]);
		__netif_tx_unlock(&dev->txq[i]);
	}
}

bool fake_xmit(struct net_device *dev, struct sk_buff *skb, bool more)
{
	struct netdev_queue *txq = &dev->txq[skb->mapping];
	bool sent = false;

	/* A look without the lock: who disables queues would wait long for it. */
	if (netif_tx_queue_stopped(txq))
		return false;
	rcu_read_lock();
	__netif_tx_lock(txq, 0);
	fake_xmit_more = more;
	if (!netif_tx_queue_stopped(txq))
		sent = dev->netdev_ops->ndo_start_xmit(skb, dev) == NETDEV_TX_OK;
	__netif_tx_unlock(txq);
	rcu_read_unlock();
	return sent;
}

/* ---- NAPI: the kernel's words, and its transitions ------------------------------------------- */

#define SCHED   1UL
#define MISSED  2UL
#define DISABLE 4UL
#define BUDGET  8

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct napi_struct *first;
	unsigned int threads; /* for the life of the process */
} softirq = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool exchange(struct napi_struct *napi, unsigned long *old, unsigned long new)
{
	return __atomic_compare_exchange_n(&napi->state, old, new, true, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static void put(struct napi_struct *napi)
{
	struct napi_struct **last;

	pthread_mutex_lock(&softirq.lock);
	napi->next = NULL;
	for (last = &softirq.first; *last; last = &(*last)->next)
		;
	*last = napi;
	pthread_cond_signal(&softirq.changed);
	pthread_mutex_unlock(&softirq.lock);
}

static struct napi_struct *take(void)
{
	struct napi_struct *napi;

	pthread_mutex_lock(&softirq.lock);
	while (!softirq.first)
		pthread_cond_wait(&softirq.changed, &softirq.lock);
	napi = softirq.first;
	softirq.first = napi->next;
	pthread_mutex_unlock(&softirq.lock);
	return napi;
}

/* A context that used its budget up still owns itself. */
static void poll_once(struct napi_struct *napi)
{
	rcu_read_lock();
	if (napi->poll(napi, BUDGET) == BUDGET) {
		if (READ_ONCE(napi->state) & DISABLE)
			napi_complete_done(napi, 0);
		else
			put(napi);
	}
	rcu_read_unlock();
}

static void *softirq_thread(void *argument)
{
	for (;;)
		poll_once(take());
	return NULL;
}

void netif_napi_add(struct net_device *dev, struct napi_struct *napi,
		    int (*poll)(struct napi_struct *napi, int budget))
{
	pthread_t thread;

	napi->poll = poll;
	napi->state = SCHED;
	for (; softirq.threads < 2; softirq.threads++)
		if (pthread_create(&thread, NULL, softirq_thread, NULL))
			abort();
}

void napi_schedule(struct napi_struct *napi)
{
	unsigned long old = READ_ONCE(napi->state);

	do {
		if (old & DISABLE)
			return;
	} while (!exchange(napi, &old, old & SCHED ? old | MISSED : old | SCHED));
	if (!(old & SCHED))
		put(napi);
}

bool napi_complete_done(struct napi_struct *napi, int done)
{
	static unsigned int calls;
	unsigned long old = READ_ONCE(napi->state);

	do {
		if (!(old & SCHED))
			abort();
	} while (!exchange(napi, &old, old & MISSED ? old & ~MISSED : old & ~SCHED));
	if (old & MISSED)
		put(napi);
	/* It is others' now, and what the poll function does after it may be late. */
	if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 16 == 0)
		usleep_range(200, 200);
	return !(old & MISSED);
}

void napi_enable(struct napi_struct *napi)
{
	if (!(__atomic_fetch_and(&napi->state, ~(SCHED | MISSED), __ATOMIC_SEQ_CST) & SCHED))
		abort();
}

void napi_disable(struct napi_struct *napi)
{
	unsigned long old;

	__atomic_fetch_or(&napi->state, DISABLE, __ATOMIC_SEQ_CST);
	do {
		while ((old = READ_ONCE(napi->state)) & SCHED)
			usleep_range(20, 200);
	} while (!exchange(napi, &old, (old | SCHED) & ~DISABLE));
}
