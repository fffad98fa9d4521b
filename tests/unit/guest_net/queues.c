// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The network driver's queues on several CPUs (tests/unit/kernel has the kernel): all of the driver but
 * ethtool, and without programs on received frames. Threads are
 *
 *	senders		that share the tx queues
 *	redirection	frames of another device (XDP)
 *	NAPI		two, and any of them polls any queue
 *	interrupts	one an event
 *	statistics	somebody who reads them all the time
 *	back-ends	one a queue; the test kills them in the middle of a frame
 *	works		of the driver: retirement, multicast, timers
 *	the bus		this one: the interface goes down, another back-end comes, a suspend
 *
 * A frame is of one byte again and again, so a page that came or went too early shows without a
 * sanitizer too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <unistd.h>

#include "guest-drivers/net/net.h"
#include "tests/unit/kernel/fake/pvkit.h"

#define SENDERS  3
#define QUEUES   2
#define BATCH    4 /* frames of a sender that are announced together */
#define SLOTS    PVNET_TX_SLOTS
#define FRAMES   6 /* for the guest, at a time */
#define DEADLINE 120 /* seconds; it takes a few */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 20
#define EACH   100 /* frames each way in a round, before the bus does something */
#else
#define ROUNDS 60
#define EACH   500
#endif

struct back {
	pthread_t thread;
	pthread_mutex_t lock; /* held while it uses pages; ->dead */
	bool dead, running, hostile;
	struct xen_back tx, rx;
	u32 tx_port, rx_port;
	unsigned long number; /* of frames that it sent */
	u32 held[FRAMES * 3]; /* grants of their pages, until it gives these back */
	unsigned int holds;
};

static struct {
	struct pvkit_device device;
	struct pvnet *net;
	bool split, trusted; /* what the store says */
	struct back back[QUEUES];
	pthread_t sender[SENDERS], redirect, reader;
	bool over, hostile;
	unsigned long sent, served, received;
	const char *fault;
} all;

#define count(field) __atomic_add_fetch(&all.field, 1, __ATOMIC_RELAXED)

static void fault(const char *text)
{
	if (!READ_ONCE(all.hostile))
		WRITE_ONCE(all.fault, text);
}

/* ---- data ------------------------------------------------------------------------------------ */

static u8 byte_of(unsigned long number)
{
	return 1 + number % 80;
}

static void check(const u8 *part, unsigned int size, u8 byte, const char *text)
{
	if (size && (*part != byte || memcmp(part, part + 1, size - 1)))
		fault(text);
}

void fake_received(struct sk_buff *skb)
{
	unsigned int i;

	check(skb->data, skb->headlen, *skb->data, "a received frame has other data at its head");
	for (i = 0; i < skb->info.nr_frags; i++)
		check((u8 *)page_address(skb->info.frags[i].page) + skb->info.frags[i].offset,
		      skb->info.frags[i].size, *skb->data, "a received frame has other data");
	kfree_skb(skb);
	count(received);
}

/* ---- the back-end: frames of the guest ------------------------------------------------------- */

struct frame {
	struct netif_tx_req slot[SLOTS];
	unsigned int slots, extras;
};

/* The guest shows whole frames. */
static bool take_frame(struct back *back, struct frame *frame)
{
	struct netif_tx_req *slot = frame->slot;
	struct netif_extra extra = {.flags = 0};

	frame->slots = 0;
	frame->extras = 0;
	if (xen_back_take(&back->tx, slot, sizeof(*slot)) != XEN_RING_FOUND)
		return false;
	if (slot->flags & NETIF_TX_EXTRA_INFO) {
		if (xen_back_take(&back->tx, &extra, sizeof(extra)) != XEN_RING_FOUND)
			fault("a frame without its extra");
		frame->extras = 1;
	}
	while (frame->slots++, slot++->flags & NETIF_TX_MORE_DATA) {
		if (frame->slots == SLOTS ||
		    xen_back_take(&back->tx, slot, sizeof(*slot)) != XEN_RING_FOUND) {
			fault("half a frame");
			break;
		}
		/* The first one says the size of all. */
		frame->slot[0].size -= slot->size;
	}
	return true;
}

static void use_frame(struct frame *frame)
{
	unsigned int i;
	u8 byte = 0;

	for (i = 0; i < frame->slots; i++) {
		struct netif_tx_req *slot = &frame->slot[i];
		u8 *page = slot->grant ? fake_map(slot->grant, false) : NULL;

		if (!page) {
			if (slot->size)
				fault("a slot without a grant");
			slot->grant = 0;
			continue;
		}
		if (!i)
			byte = page[slot->offset];
		check(page + slot->offset, slot->size, byte, "a sent frame has other data");
	}
}

static bool serve_frame(struct back *back, struct frame *frame)
{
	struct netif_tx_rsp response = {.status = NETIF_OK};
	unsigned int i;
	bool dead;

	pthread_mutex_lock(&back->lock);
	dead = back->dead;
	if (!dead)
		use_frame(frame);
	pthread_mutex_unlock(&back->lock);
	if (dead)
		return false;
	for (i = 0; i < frame->slots; i++) {
		if (frame->slot[i].grant)
			fake_unmap(frame->slot[i].grant);
		response.id = READ_ONCE(back->hostile) ? 0xfff0 : frame->slot[i].id;
		xen_back_answer(&back->tx, &response, sizeof(response));
		if (!i && frame->extras) {
			struct netif_tx_rsp null = {.status = NETIF_NULL};

			xen_back_answer(&back->tx, &null, sizeof(null));
		}
	}
	count(served);
	return true;
}

/* ---- the back-end: frames for the guest ------------------------------------------------------ */

static void answer_part(struct back *back, const struct netif_rx_req *request, u32 size, u16 flags,
			u8 byte)
{
	struct netif_rx_rsp response = {.id = request->id, .flags = flags, .status = (s16)size};
	u8 *page = fake_map(request->grant, true);

	if (page) {
		memset(page, byte, size);
		back->held[back->holds++] = request->grant;
	} else {
		fault("a receive page without a grant");
	}
	xen_back_answer(&back->rx, &response, sizeof(response));
}

/* Small, large, in three pages, large with an extra. */
static void put_frame(struct back *back, unsigned long number)
{
	static const unsigned int sizes[4][3] = {{60}, {1400}, {4096, 4096, 500}, {1400}};
	const unsigned int *size = sizes[number % 4];
	struct netif_rx_req request;
	unsigned int i;

	for (i = 0; i < 3 && size[i]; i++) {
		bool more = i < 2 && size[i + 1], gso = number % 4 == 3;

		xen_back_take(&back->rx, &request, sizeof(request));
		answer_part(back, &request, size[i],
			    (more ? NETIF_RX_MORE_DATA : 0) | (gso ? NETIF_RX_EXTRA_INFO : 0),
			    byte_of(number));
		if (gso) {
			struct netif_extra extra = {.type = NETIF_EXTRA_GSO};

			extra.u.gso.size = 700;
			extra.u.gso.type = NETIF_GSO_TCPV4;
			xen_back_take(&back->rx, &request, sizeof(request));
			xen_back_answer(&back->rx, &extra, sizeof(extra));
		}
	}
}

/* As many as there is room for. */
static void send_frames(struct back *back)
{
	unsigned int i;

	pthread_mutex_lock(&back->lock);
	for (i = 0; i < FRAMES && !back->dead && xen_back_waiting(&back->rx, 3) >= 3; i++)
		put_frame(back, back->number++);
	pthread_mutex_unlock(&back->lock);
	/* Before they are answered; if it has died, while the guest takes them back. */
	while (back->holds)
		fake_unmap(back->held[--back->holds]);
}

/* ---- the back-end's thread ------------------------------------------------------------------- */

static bool dead(struct back *back)
{
	bool answer;

	pthread_mutex_lock(&back->lock);
	answer = back->dead;
	pthread_mutex_unlock(&back->lock);
	return answer;
}

static void publish(struct xen_back *ring, u32 port)
{
	xen_back_publish(ring);
	if (xen_back_should_notify(ring))
		fake_interrupt(port);
}

static void *back_thread(void *argument)
{
	struct back *back = argument;
	struct frame frame;
	unsigned int i;
	bool alive = true;

	while (alive && !dead(back)) {
		for (i = 0; i < 5 && alive && take_frame(back, &frame); i++)
			alive = serve_frame(back, &frame);
		send_frames(back);
		publish(&back->tx, back->tx_port);
		publish(&back->rx, back->rx_port);
		if (i || xen_back_events_enable(&back->tx))
			continue;
		/* The rx ring may have requests, for which there are no frames. */
		xen_back_events_enable(&back->rx);
		while (!fake_notified(back->tx_port) && !fake_notified(back->rx_port) &&
		       !dead(back))
			sched_yield();
	}
	return NULL;
}

static void back_start(struct back *back, const struct pvnet_queue *queue)
{
	struct xen_ring_position start = {0, 0};
	struct xen_ring_area tx = {queue->tx.shared.pages, PAGE_SIZE, NETIF_TX_SLOT_BYTES};
	struct xen_ring_area rx = {queue->rx.shared.pages, PAGE_SIZE, NETIF_RX_SLOT_BYTES};

	assert_int_equal(xen_back_init(&back->tx, &tx, start), 0);
	assert_int_equal(xen_back_init(&back->rx, &rx, start), 0);
	back->tx_port = pvnet_tx_bell(queue)->port;
	back->rx_port = queue->rx_event.port;
	back->dead = false;
	back->hostile = false;
	back->running = true;
	assert_int_equal(pthread_create(&back->thread, NULL, back_thread, back), 0);
}

static void backs_die(void)
{
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		pthread_mutex_lock(&all.back[i].lock);
		all.back[i].dead = true;
		pthread_mutex_unlock(&all.back[i].lock);
	}
}

static void backs_bury(void)
{
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		if (all.back[i].running)
			pthread_join(all.back[i].thread, NULL);
		all.back[i].running = false;
	}
}

/* ---- the store, and ethtool.c ---------------------------------------------------------- */

u64 pvkit_store_read_offer(const char *directory, const char *key, u64 most, u64 otherwise,
			   int *error)
{
	static const char *const offered[] = {
		NETIF_KEY_RX_COPY,           NETIF_KEY_SG, NETIF_KEY_GSO_TCPV4, NETIF_KEY_MULTICAST,
		NETIF_KEY_DYNAMIC_MULTICAST,
	};
	unsigned int i;

	if (!strcmp(key, NETIF_KEY_SPLIT_EVENT_CHANNELS))
		return all.split;
	if (!strcmp(key, STORE_KEY_TRUSTED))
		return all.trusted;
	if (!strcmp(key, STORE_KEY_MAX_QUEUES))
		return QUEUES;
	for (i = 0; i < ARRAY_SIZE(offered); i++)
		if (!strcmp(key, offered[i]))
			return 1;
	return otherwise;
}

u64 pvkit_store_read_number_or(const char *directory, const char *key, u64 most, u64 otherwise)
{
	int error;

	return pvkit_store_read_offer(directory, key, most, otherwise, &error);
}

char *pvkit_store_read(struct pvkit_store_transaction transaction, const char *directory,
		       const char *key, unsigned int *length)
{
	return calloc(1, ETH_ALEN);
}

int pvkit_store_commit(int (*write)(struct pvkit_store_transaction transaction, void *context),
		       void *context)
{
	return write(PVKIT_STORE_NONE, context);
}

int pvkit_store_write(struct pvkit_store_transaction transaction, const char *directory,
		      const char *key, const char *format, ...)
{
	return 0;
}

int pvkit_store_clear(struct pvkit_store_transaction transaction, const char *directory,
		      const char *key)
{
	return 0;
}

int pvkit_watch_open(struct pvkit_device *device, struct pvkit_watch *watch, const char *directory,
		     const char *key, void (*changed)(struct pvkit_watch *watch, const char *path))
{
	return 0;
}

void pvkit_watch_close(struct pvkit_watch *watch)
{
}

const struct ethtool_ops pvnet_ethtool_ops;

/* ---- senders --------------------------------------------------------------------------------- */

/* Linear bytes, then fragments of so many. */
static const struct {
	unsigned int linear, frags, size;
} forms[] = {{60, 0, 0}, {200, 0, 0}, {100, 2, 1000}, {1400, 0, 0}, {60, 5, 4000}, {54, 17, 90}};

static struct sk_buff *new_frame(unsigned long number)
{
	unsigned int form = number % ARRAY_SIZE(forms), i;
	struct sk_buff *skb = fake_skb_new();

	memset(skb->data, byte_of(number), forms[form].linear);
	skb->headlen = skb->len = forms[form].linear;
	for (i = 0; i < forms[form].frags; i++) {
		struct page *page = fake_alloc_page();

		memset((u8 *)page_address(page) + 8, byte_of(number), forms[form].size);
		skb_add_rx_frag(skb, i, page, 8, forms[form].size, PAGE_SIZE);
	}
	if (form == 4)
		skb->info.gso_size = 1400;
	skb->mapping = number / BATCH % QUEUES;
	return skb;
}

static void *sender_thread(void *argument)
{
	unsigned long number = (unsigned long)argument * 1000, batch;
	struct sk_buff *skb;

	while (!READ_ONCE(all.over)) {
		for (batch = 0; batch < BATCH; batch++, number++) {
			skb = new_frame(number);
			while (!fake_xmit(all.net->dev, skb, batch < BATCH - 1)) {
				sched_yield();
				if (!READ_ONCE(all.over))
					continue;
				kfree_skb(skb);
				return NULL;
			}
			count(sent);
		}
		sched_yield();
	}
	return NULL;
}

/* Frames that another device redirects to this one: they look at queues without a tx lock. */
static void *redirect_thread(void *argument)
{
	struct net_device *dev = all.net->dev;
	unsigned long number = 0;

	while (!READ_ONCE(all.over)) {
		struct page *page = fake_alloc_page();
		struct xdp_frame *frame = page_address(page);

		frame->data = (u8 *)page_address(page) + XDP_PACKET_HEADROOM;
		frame->len = 100 + number % 1000;
		memset(frame->data, byte_of(number++), frame->len);
		rcu_read_lock();
		if (dev->netdev_ops->ndo_xdp_xmit(dev, 1, &frame, XDP_XMIT_FLUSH) != 1)
			put_page(page);
		rcu_read_unlock();
		sched_yield();
	}
	return NULL;
}

static void *reader_thread(void *argument)
{
	struct net_device *dev = all.net->dev;
	struct rtnl_link_stats64 sum, last = {};

	while (!READ_ONCE(all.over)) {
		memset(&sum, 0, sizeof(sum));
		dev->netdev_ops->ndo_get_stats64(dev, &sum);
		if (sum.tx_packets < last.tx_packets || sum.rx_packets < last.rx_packets)
			fault("a counter went backwards");
		last = sum;
		sched_yield();
	}
	return NULL;
}

/* ---- the bus --------------------------------------------------------------------------------- */

static void back_end_is(enum store_state state)
{
	pvnet_driver.backend_changed(&all.device, state);
}

/* A back-end from its first word on. */
static void back_end_comes(void)
{
	unsigned int i;

	backs_bury();
	back_end_is(STORE_STATE_INIT_WAIT);
	assert_int_equal(all.device.state, STORE_STATE_CONNECTED);
	assert_int_equal(all.net->queues, QUEUES);
	for (i = 0; i < QUEUES; i++)
		back_start(&all.back[i], all.net->queue[i]);
	back_end_is(STORE_STATE_CONNECTED);
}

static void begin(bool trusted)
{
	uintptr_t i;

	memset(&all, 0, sizeof(all));
	all.trusted = trusted;
	for (i = 0; i < QUEUES; i++)
		pthread_mutex_init(&all.back[i].lock, NULL);
	WRITE_ONCE(fake_failures, 0);
	assert_int_equal(pvnet_driver.probe(&all.device), 0);
	all.net = dev_get_drvdata(&all.device.dev);
	back_end_comes();
	fake_open(all.net->dev);
	for (i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&all.sender[i], NULL, sender_thread, (void *)i), 0);
	assert_int_equal(pthread_create(&all.redirect, NULL, redirect_thread, NULL), 0);
	assert_int_equal(pthread_create(&all.reader, NULL, reader_thread, NULL), 0);
}

static void wait_until(const unsigned long *counter, unsigned long until)
{
	while (READ_ONCE(*counter) < until)
		usleep_range(200, 200);
}

static void end(void)
{
	unsigned int i;

	WRITE_ONCE(all.over, true);
	for (i = 0; i < SENDERS; i++)
		pthread_join(all.sender[i], NULL);
	pthread_join(all.redirect, NULL);
	pthread_join(all.reader, NULL);
	backs_die();
	pvnet_driver.remove(&all.device);
	backs_bury();
	assert_true(fake_settle());
	assert_int_equal(fake_skbs(), 0);
	assert_int_equal(fake_pages_used(), 0);
	if (all.fault)
		fail_msg("%s", all.fault);
}

static void change_groups(struct net_device *dev, unsigned int round)
{
	netif_addr_lock_bh(dev);
	dev->groups = round % 2;
	netif_addr_unlock_bh(dev);
	dev->netdev_ops->ndo_set_rx_mode(dev);
}

static void happen(unsigned int round)
{
	WRITE_ONCE(all.net->coalesce_us, round % 3 ? 0 : 50);
	all.split = round % 2;
	switch (round % 4) {
	case 0:
		fake_close(all.net->dev);
		fake_open(all.net->dev);
		change_groups(all.net->dev, round / 4);
		return;
	case 1: /* another one */
		backs_die();
		back_end_is(STORE_STATE_INIT_WAIT);
		assert_int_equal(all.device.state, STORE_STATE_CLOSING);
		back_end_is(STORE_STATE_CLOSED);
		break;
	case 2:
		back_end_is(STORE_STATE_CLOSING);
		backs_die();
		back_end_is(STORE_STATE_CLOSED);
		break;
	case 3:
		backs_die();
		pvnet_driver.suspend(&all.device);
		pvnet_driver.resume(&all.device);
		break;
	}
	back_end_comes();
}

static void run(bool trusted)
{
	unsigned int round;

	begin(trusted);
	for (round = 0; round < ROUNDS; round++) {
		wait_until(&all.served, READ_ONCE(all.served) + EACH);
		wait_until(&all.received, READ_ONCE(all.received) + EACH);
		happen(round);
	}
	assert_int_equal(fake_failures, 0);
	end();
}

static void test_back_ends_come_and_go(void **state)
{
	run(true);
}

/* Everything is copied, and pages are cleared. */
static void test_untrusted_back_ends(void **state)
{
	run(false);
}

/* A back-end breaks the protocol on one queue while both are busy. */
static void test_hostile_back_end(void **state)
{
	unsigned int round;

	for (round = 0; round < ROUNDS / 5; round++) {
		begin(true);
		wait_until(&all.received, EACH);
		WRITE_ONCE(all.hostile, true);
		WRITE_ONCE(all.back[round % QUEUES].hostile, true);
		wait_until(&fake_failures, 1);
		end();
		assert_int_equal(fake_failures, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back_ends_come_and_go),
		cmocka_unit_test(test_untrusted_back_ends),
		cmocka_unit_test(test_hostile_back_end),
	};

	alarm(DEADLINE);
	return cmocka_run_group_tests_name("network front-end, queues", tests, NULL, NULL);
}
