// SPDX-License-Identifier: GPL-2.0
/*
 * The back-end of the network front-end's suites: no thread of its own, each step is a test's.
 */
#include <linux/rtnetlink.h>
#include <net/sch_generic.h>

#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/net_backend.h"

#define USED (GRANT_READING | GRANT_WRITING)

struct backend backend;
struct guest guest;

static struct packet_type tap;
static bool registered;

/* ---- the store ------------------------------------------------------------------------------- */

void backend_say(const char *key, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), BACKEND_BACK "/%s", key);
	fake_store_set(path, value);
}

u32 backend_ask(const char *key)
{
	const char *value;
	char path[96];
	u32 number;

	snprintf(path, sizeof(path), BACKEND_FRONT "/%s", key);
	value = fake_store_get(path);
	return value && !kstrtouint(value, 10, &number) ? number : 0;
}

static u32 ask_queue(unsigned int index, const char *key)
{
	char path[48];

	if (backend.queues < 2)
		return backend_ask(key);
	snprintf(path, sizeof(path), STORE_KEY_QUEUE_PREFIX "%u/%s", index, key);
	return backend_ask(path);
}

/* ---- coming and going ------------------------------------------------------------------------ */

struct grant_v1 *backend_grant(u32 reference)
{
	return fake.platform.entries + reference;
}

u8 *backend_granted(u32 reference)
{
	return page_address(pfn_to_page(backend_grant(reference)->frame));
}

static void map_ring(struct kunit *test, struct xen_back *ring, u32 reference, u32 slot_bytes)
{
	const struct xen_ring_position start = {};
	struct xen_ring_area area = {.bytes = PAGE_SIZE, .slot_bytes = slot_bytes};

	KUNIT_ASSERT_TRUE(test, backend_grant(reference)->flags & GRANT_PERMIT_ACCESS);
	backend_grant(reference)->flags |= USED;
	area.pages = backend_granted(reference);
	KUNIT_ASSERT_EQ(test, xen_back_init(ring, &area, start), 0);
}

static void map_queue(struct kunit *test, unsigned int index)
{
	struct backend_queue *queue = &backend.queue[index];

	queue->tx_reference = ask_queue(index, NETIF_KEY_TX_RING_REF);
	queue->rx_reference = ask_queue(index, NETIF_KEY_RX_RING_REF);
	queue->tx_port = ask_queue(index, NETIF_KEY_EVENT_CHANNEL_TX);
	queue->rx_port = ask_queue(index, NETIF_KEY_EVENT_CHANNEL_RX);
	if (!queue->tx_port)
		queue->tx_port = queue->rx_port = ask_queue(index, STORE_KEY_EVENT_CHANNEL);
	map_ring(test, &queue->tx, queue->tx_reference, NETIF_TX_SLOT_BYTES);
	map_ring(test, &queue->rx, queue->rx_reference, NETIF_RX_SLOT_BYTES);
}

void backend_announce(struct kunit *test)
{
	const char *const ones[] = {
		BACKEND_BACK "/" NETIF_KEY_RX_COPY, BACKEND_BACK "/" NETIF_KEY_SG,
		BACKEND_BACK "/" NETIF_KEY_GSO_TCPV4, BACKEND_BACK "/" NETIF_KEY_CSUM_V6,
		BACKEND_BACK "/" STORE_KEY_ONLINE};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ones); i++)
		if (!fake_store_get(ones[i]))
			fake_store_set(ones[i], "1");
	backend_say("state", "2");
	fake_store_set(BACKEND_FRONT "/state", "1");
	fake_store_set(BACKEND_FRONT "/mac", "52:54:00:12:34:56");
	fake_store_set(BACKEND_FRONT "/backend-id", "0");
	fake_store_set(BACKEND_FRONT "/backend", BACKEND_BACK);
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CONNECTED);
}

void backend_serve(struct kunit *test)
{
	unsigned int i;

	backend.queues = backend_ask(STORE_KEY_NUM_QUEUES) ?: 1;
	KUNIT_ASSERT_LE(test, backend.queues, (unsigned int)BACKEND_QUEUES);
	for (i = 0; i < backend.queues; i++)
		map_queue(test, i);
	backend_say("state", "4");
}

void backend_let_go(void)
{
	while (backend.queues) {
		const struct backend_queue *queue = &backend.queue[--backend.queues];

		backend_grant(queue->tx_reference)->flags &= ~USED;
		backend_grant(queue->rx_reference)->flags &= ~USED;
	}
}

void backend_reopen(struct kunit *test)
{
	struct net_device *dev;

	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	backend_let_go();
	backend_say("state", "6");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_INITIALISING);
	backend_say("state", "2");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CONNECTED);
	backend_serve(test);
	EVENTUALLY(test, test_bit(PVNET_REGISTERED, &guest_net()->flags));
	dev = guest_net()->dev;
	EVENTUALLY(test, netif_carrier_ok(dev));
	/* The stack hears of the carrier a moment later. */
	EVENTUALLY(test, !netif_running(dev) || !qdisc_tx_is_noop(dev));
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void publish(struct xen_back *ring, u32 port)
{
	xen_back_publish(ring);
	xen_back_should_notify(ring);
	fake_notify(port);
}

void backend_publish_tx(struct backend_queue *queue)
{
	publish(&queue->tx, queue->tx_port);
}

void backend_publish_rx(struct backend_queue *queue)
{
	publish(&queue->rx, queue->rx_port);
}

u16 backend_tx_take(struct kunit *test, struct backend_queue *queue, struct netif_tx_req *request)
{
	bool own;

	do {
		EVENTUALLY(test, xen_back_has_work(&queue->tx));
		KUNIT_ASSERT_EQ(test, (int)xen_back_take(&queue->tx, request, sizeof(*request)),
				(int)XEN_RING_FOUND);
		own = backend_granted(request->grant)[request->offset] == 0x33;
		if (own) {
			backend_tx_answer(queue, request->id, NETIF_OK);
			/* The stack may hold back others until then. */
			backend_publish_tx(queue);
		}
	} while (own);
	return request->id;
}

void backend_tx_answer(struct backend_queue *queue, u16 id, s16 status)
{
	const struct netif_tx_rsp response = {id, status};

	xen_back_answer(&queue->tx, &response, sizeof(response));
}

void backend_tx_rest(struct backend_queue *queue)
{
	struct netif_tx_req request;

	if (!xen_back_has_work(&queue->tx))
		return;
	while (xen_back_take(&queue->tx, &request, sizeof(request)) == XEN_RING_FOUND)
		backend_tx_answer(queue, request.id, NETIF_OK);
	backend_publish_tx(queue);
}

u32 backend_rx_fill(struct kunit *test, struct backend_queue *queue, const void *data,
		    unsigned int offset, unsigned int size, u16 flags)
{
	struct netif_rx_req request;
	struct netif_rx_rsp response;

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&queue->rx, &request, sizeof(request)),
			(int)XEN_RING_FOUND);
	memcpy(backend_granted(request.grant) + offset, data, size);
	response = (struct netif_rx_rsp){request.id, offset, flags, size};
	xen_back_answer(&queue->rx, &response, sizeof(response));
	return request.grant;
}

void backend_rx_raw(struct kunit *test, struct backend_queue *queue, struct netif_rx_rsp response,
		    bool right_id)
{
	struct netif_rx_req request;

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&queue->rx, &request, sizeof(request)),
			(int)XEN_RING_FOUND);
	if (right_id)
		response.id = request.id;
	xen_back_answer(&queue->rx, &response, sizeof(response));
}

u32 backend_rx_lent(struct backend_queue *queue)
{
	return xen_back_waiting(&queue->rx, PVNET_RING);
}

/* ---- the guest ------------------------------------------------------------------------------- */

struct pvnet *guest_net(void)
{
	struct device *dev = bus_find_device_by_name(pvnet_driver.driver.bus, NULL, "vif-0");

	if (!dev)
		return NULL;
	put_device(dev);
	guest.device = to_pvkit_device(dev);
	return dev_get_drvdata(dev);
}

static int receive(struct sk_buff *skb, struct net_device *dev, struct packet_type *type,
		   struct net_device *orig)
{
	if (skb->pkt_type == PACKET_OUTGOING) {
		kfree_skb(skb);
		return 0;
	}
	guest.frames++;
	kfree_skb(guest.last);
	guest.last = skb;
	return 0;
}

void guest_plug(struct kunit *test)
{
	unsigned int i;
	int error;

	backend_announce(test);
	backend_serve(test);
	EVENTUALLY(test, guest_net() && test_bit(PVNET_REGISTERED, &guest_net()->flags));
	EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
	rtnl_lock();
	error = dev_open(guest_net()->dev, NULL);
	rtnl_unlock();
	KUNIT_ASSERT_EQ(test, error, 0);
	tap.type = htons(ETH_P_ALL);
	tap.dev = guest_net()->dev;
	tap.func = receive;
	dev_add_pack(&tap);
	for (i = 0; i < backend.queues; i++)
		EVENTUALLY(test, backend_rx_lent(&backend.queue[i]) == PVNET_RING);
}

struct sk_buff *guest_make(struct kunit *test, unsigned int head, unsigned int pages)
{
	struct sk_buff *skb = alloc_skb(head + 64, GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, 64);
	memset(skb_put(skb, head), 0x5a, head);
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	for (i = 0; i < pages; i++)
		skb_add_rx_frag(skb, i, alloc_page(GFP_KERNEL | __GFP_ZERO), 0, PAGE_SIZE,
				PAGE_SIZE);
	skb->dev = guest_net()->dev;
	skb->protocol = htons(ETH_P_802_2);
	return skb;
}

void guest_queue(struct sk_buff *skb)
{
	skb_get(skb);
	dev_queue_xmit(skb);
}

struct sk_buff *guest_send(struct kunit *test, unsigned int head, unsigned int pages)
{
	struct sk_buff *skb = guest_make(test, head, pages);

	guest_queue(skb);
	return skb;
}

bool guest_is_over(struct sk_buff *skb)
{
	return refcount_read(&skb->users) == 1;
}

/* ---- a suite --------------------------------------------------------------------------------- */

int backend_init(struct kunit *test)
{
	int error = fake_start() ?: fake_store_start();

	memset(&backend, 0, sizeof(backend));
	memset(&guest, 0, sizeof(guest));
	memset(&tap, 0, sizeof(tap));
	if (!error)
		error = __pvkit_driver_register(&pvnet_driver, NULL);
	registered = !error;
	return error ?: fake_bus_start();
}

void backend_exit(struct kunit *test)
{
	if (tap.dev)
		dev_remove_pack(&tap);
	kfree_skb(guest.last);
	backend_say("state", "6");
	backend_let_go();
	fake_bus_stop();
	if (registered)
		pvkit_driver_unregister(&pvnet_driver);
	pvnet_queues_parameter = 0;
	fake_grants_returned(test);
	fake_store_stop();
	fake_stop();
}
