// SPDX-License-Identifier: GPL-2.0
/*
 * The transmit side.
 *
 * A frame is cut into pieces (frame.h), then put on the ring, a slot each. Its
 * first bytes, when they are few, lie in the head area: pages that were granted when the queue was
 * made, PVNET_HEAD_BYTES for each id. All else is granted where it lies, or copied first where the
 * frame has more pieces than back-ends take, or where the back-end is not trusted with what shares
 * a page with it.
 *
 * Slots are answered in any order and each for itself; the frame is free after its last one. What
 * counts them is in skb->cb. Everything here runs under the tx queue's lock.
 */
#include <linux/skbuff.h>

#include "guest-drivers/net/frame.h"

#define HEADS_PER_PAGE (PAGE_SIZE / PVNET_HEAD_BYTES)

struct tx_cb {
	unsigned int pending; /* slots without an answer */
};

#define TX_CB(skb) ((struct tx_cb *)(skb)->cb)

static struct netdev_queue *tx_queue(const struct pvnet_queue *queue)
{
	return netdev_get_tx_queue(queue->net->dev, queue->index);
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* Where the bytes of a piece are for the back-end; grants them. */
static void fill_slot(struct pvnet_queue *queue, const struct pvnet_frame *frame,
		      const struct pvnet_piece *piece, u32 id, struct netif_tx_req *request)
{
	struct pvnet_tx *tx = &queue->tx;
	struct pvnet_tx_slot *slot = &tx->slot[id];

	*slot = (struct pvnet_tx_slot){.skb = frame->skb, .frame = frame->frame};
	request->id = id;
	request->size = piece->size;
	if (!piece->page) {
		unsigned int offset = id % HEADS_PER_PAGE * PVNET_HEAD_BYTES;
		struct page *page = tx->head[id / HEADS_PER_PAGE];

		request->grant = tx->head_grant[id / HEADS_PER_PAGE];
		request->offset = offset;
		/* The frame's first bytes, all there (frame.c): it cannot fail. */
		skb_copy_bits(frame->skb, 0, page_address(page) + offset, piece->size);
		return;
	}
	slot->page = piece->page;
	slot->owned = frame->owned;
	slot->grant = pvkit_grants_take(&tx->grants);
	pvkit_grant_give(slot->grant, tx->grants.domain, piece->page, true);
	request->grant = slot->grant;
	request->offset = piece->offset;
}

/* All slots of a frame; the caller knows that there is room. */
static void put_frame(struct pvnet_queue *queue, const struct pvnet_frame *frame)
{
	struct pvnet_tx *tx = &queue->tx;
	void *token = frame->skb ? (void *)frame->skb : (void *)frame->frame;
	unsigned int i;

	for (i = 0; i < frame->count; i++) {
		struct netif_tx_req request = {.flags = i ? 0 : frame->flags};
		u32 id = xen_shadow_lend(&tx->shadow, token, 0);

		fill_slot(queue, frame, &frame->piece[i], id, &request);
		if (i + 1 < frame->count)
			request.flags |= NETIF_TX_MORE_DATA;
		if (!i) {
			tx->slot[id].bytes = frame->bytes;
			request.size = frame->bytes;
			request.flags |= frame->gso.type ? NETIF_TX_EXTRA_INFO : 0;
		}
		xen_front_put(&tx->ring, &request, sizeof(request));
		if (!i && frame->gso.type) {
			xen_front_put(&tx->ring, &frame->gso, sizeof(frame->gso));
			tx->extras++;
		}
	}
	tx->in_flight += frame->count;
	u64_stats_update_begin(&tx->stats.sync);
	u64_stats_add(&tx->stats.copied, frame->owned);
	u64_stats_add(&tx->stats.gso, frame->gso.type != NETIF_EXTRA_NONE);
	u64_stats_update_end(&tx->stats.sync);
}

static bool has_room(const struct pvnet_tx *tx)
{
	return !tx->ring.ring.broken && xen_front_room(&tx->ring) >= PVNET_TX_ROOM &&
	       tx->shadow.free_count >= PVNET_TX_ROOM && tx->grants.free >= PVNET_TX_ROOM;
}

/* Shows the back-end all that was put, with one doorbell at most. */
void pvnet_tx_publish(struct pvnet_queue *queue)
{
	struct pvnet_tx_stats *stats = &queue->tx.stats;
	bool notify;

	xen_front_publish(&queue->tx.ring);
	notify = xen_front_should_notify(&queue->tx.ring);
	if (notify)
		pvkit_event_notify(pvnet_tx_bell(queue));
	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(notify ? &stats->notifications : &stats->suppressed);
	u64_stats_update_end(&stats->sync);
}

/* ---- skbs ------------------------------------------------------------------------------------ */

static void describe_checksum(struct pvnet_frame *frame)
{
	if (frame->skb->ip_summed == CHECKSUM_PARTIAL)
		frame->flags |= NETIF_TX_CSUM_BLANK | NETIF_TX_DATA_VALIDATED;
	else if (frame->skb->ip_summed == CHECKSUM_UNNECESSARY)
		frame->flags |= NETIF_TX_DATA_VALIDATED;
}

static void describe_gso(struct pvnet_frame *frame)
{
	const struct skb_shared_info *info = skb_shinfo(frame->skb);

	if (!skb_is_gso(frame->skb))
		return;
	frame->gso.type = NETIF_EXTRA_GSO;
	frame->gso.u.gso.size = info->gso_size;
	frame->gso.u.gso.type = info->gso_type & SKB_GSO_TCPV6 ? NETIF_GSO_TCPV6 : NETIF_GSO_TCPV4;
}

static void count_dropped(struct pvnet_tx *tx)
{
	u64_stats_update_begin(&tx->stats.sync);
	u64_stats_inc(&tx->stats.dropped);
	u64_stats_update_end(&tx->stats.sync);
}

static netdev_tx_t drop(struct pvnet_queue *queue, struct sk_buff *skb)
{
	count_dropped(&queue->tx);
	dev_kfree_skb_any(skb);
	/* Earlier frames of the batch may wait for this one to announce them. */
	if (!netdev_xmit_more())
		pvnet_tx_publish(queue);
	return NETDEV_TX_OK;
}

static void stop_when_full(struct pvnet_queue *queue)
{
	if (has_room(&queue->tx))
		return;
	/* pvnet_tx_reap() wakes it, under the same lock. */
	netif_tx_stop_queue(tx_queue(queue));
	u64_stats_update_begin(&queue->tx.stats.sync);
	u64_stats_inc(&queue->tx.stats.stopped);
	u64_stats_update_end(&queue->tx.stats.sync);
}

netdev_tx_t pvnet_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct pvnet *net = netdev_priv(dev);
	u16 mapping = skb_get_queue_mapping(skb);
	struct pvnet_frame frame = {.skb = skb, .bytes = skb->len};
	struct pvnet_queue *queue;

	/* Pairs with make_queues(). */
	if (unlikely(mapping >= order_load_acquire(&net->queues))) {
		dev_core_stats_tx_dropped_inc(dev);
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	queue = net->queue[mapping];
	if (unlikely(pvnet_retired(net) || skb->len > NETIF_TX_SIZE_MAX || skb->len < ETH_HLEN))
		return drop(queue, skb);
	if (unlikely(!has_room(&queue->tx))) {
		netif_tx_stop_queue(tx_queue(queue));
		pvnet_tx_publish(queue);
		return NETDEV_TX_BUSY;
	}
	if (unlikely(pvnet_frame_cut(&frame, net->bounce)))
		return drop(queue, skb);
	describe_checksum(&frame);
	describe_gso(&frame);
	TX_CB(skb)->pending = frame.count;
	skb_tx_timestamp(skb);
	put_frame(queue, &frame);
	stop_when_full(queue);
	if (__netdev_tx_sent_queue(tx_queue(queue), frame.bytes, netdev_xmit_more()))
		pvnet_tx_publish(queue);
	return NETDEV_TX_OK;
}

/* ---- frames of other devices ----------------------------------------------------------------- */

/* 0: the frame is on its way, and returned when it was sent; or -errno. Not announced yet. */
int pvnet_tx_frame(struct pvnet_queue *queue, struct xdp_frame *xdp)
{
	struct pvnet_frame frame = {.frame = xdp, .bytes = xdp->len};
	int error = 0;

	if (xdp_frame_has_frags(xdp) || xdp->len > PAGE_SIZE || xdp->len < ETH_HLEN)
		error = -EOPNOTSUPP;
	else if (!has_room(&queue->tx))
		error = -ENOSPC;
	else
		error = pvnet_frame_cut_xdp(&frame, queue->net->bounce);
	u64_stats_update_begin(&queue->tx.stats.sync);
	u64_stats_inc(error ? &queue->tx.stats.xdp_dropped : &queue->tx.stats.xdp_frames);
	u64_stats_update_end(&queue->tx.stats.sync);
	if (!error)
		put_frame(queue, &frame);
	return error;
}

/* A command in the guise of an empty frame. */
int pvnet_tx_group(struct pvnet_queue *queue, bool add, const u8 *address)
{
	struct pvnet_tx *tx = &queue->tx;
	struct netif_tx_req request = {.flags = NETIF_TX_EXTRA_INFO};
	struct netif_extra extra = {
		.type = add ? NETIF_EXTRA_MULTICAST_ADD : NETIF_EXTRA_MULTICAST_DEL,
	};

	if (!has_room(tx))
		return -EAGAIN;
	request.id = xen_shadow_lend(&tx->shadow, tx, 0);
	tx->slot[request.id] = (struct pvnet_tx_slot){};
	ether_addr_copy(extra.u.multicast.address, address);
	xen_front_put(&tx->ring, &request, sizeof(request));
	xen_front_put(&tx->ring, &extra, sizeof(extra));
	tx->extras++;
	tx->in_flight++;
	return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The grant ends now, or later; the page with it if it is ours. Whether it ended now. */
static bool end_slot_grant(struct pvnet_tx *tx, struct pvnet_tx_slot *slot)
{
	if (!slot->grant)
		return true;
	if (!pvkit_grant_end(slot->grant)) {
		pvkit_grants_put(&tx->grants, slot->grant);
		if (slot->owned)
			__free_page(slot->page);
		return true;
	}
	if (!slot->owned)
		get_page(slot->page);
	pvkit_grant_end_later(slot->grant, slot->page);
	return false;
}

/* Whether the frame is over with it. */
static bool release_slot(struct pvnet_tx_slot *slot, int budget)
{
	if (slot->skb) {
		if (--TX_CB(slot->skb)->pending)
			return false;
		napi_consume_skb(slot->skb, budget);
	} else if (slot->frame) {
		xdp_return_frame(slot->frame);
	}
	return true;
}

struct tx_reaped {
	unsigned int packets, bytes, errors; /* of skbs */
	unsigned int frames, frame_bytes; /* of XDP */
};

static void take_answer(struct pvnet_queue *queue, const struct netif_tx_rsp *response, int budget,
			struct tx_reaped *reaped)
{
	struct pvnet_tx *tx = &queue->tx;
	struct pvnet_tx_slot *slot;

	if (response->status == NETIF_NULL) {
		if (tx->extras)
			tx->extras--;
		else
			pvnet_retire(queue->net, "queue %u: tx answer to an extra that is none",
				     queue->index);
		return;
	}
	if (!xen_shadow_settle(&tx->shadow, &tx->ring.ring, response->id, 0)) {
		pvnet_retire(queue->net, "queue %u: tx answer with id %u, which is not lent",
			     queue->index, response->id);
		return;
	}
	slot = &tx->slot[response->id];
	tx->in_flight--;
	if (slot->bytes && slot->skb) {
		reaped->packets++;
		reaped->bytes += slot->bytes;
		reaped->errors += response->status < 0;
	} else if (slot->bytes) {
		reaped->frames++;
		reaped->frame_bytes += slot->bytes;
	} else if (!slot->skb && response->status < 0) {
		set_bit(PVNET_GROUP_REFUSED, &queue->net->flags);
		pvnet_multicast_soon(queue->net);
	}
	if (!end_slot_grant(tx, slot))
		pvnet_retire(queue->net, "queue %u: tx answer %u while its grant %u is in use",
			     queue->index, response->id, slot->grant);
	release_slot(slot, budget);
}

static void account(struct pvnet_queue *queue, const struct tx_reaped *reaped)
{
	struct pvnet_tx_stats *stats = &queue->tx.stats;

	u64_stats_update_begin(&stats->sync);
	u64_stats_add(&stats->packets, reaped->packets + reaped->frames);
	u64_stats_add(&stats->bytes, reaped->bytes + reaped->frame_bytes);
	u64_stats_add(&stats->errors, reaped->errors);
	u64_stats_update_end(&stats->sync);
	netdev_tx_completed_queue(tx_queue(queue), reaped->packets, reaped->bytes);
}

void pvnet_tx_reap(struct pvnet_queue *queue, int budget)
{
	struct pvnet *net = queue->net;
	struct pvnet_tx *tx = &queue->tx;
	struct netif_tx_rsp response;
	struct tx_reaped reaped = {};
	enum xen_ring_result result = XEN_RING_EMPTY;

	while (!pvnet_retired(net)) {
		result = xen_front_reap(&tx->ring, &response, sizeof(response));
		if (result != XEN_RING_FOUND)
			break;
		take_answer(queue, &response, budget, &reaped);
	}
	if (result == XEN_RING_BROKEN)
		pvnet_retire(net, "queue %u: tx ring: %s", queue->index,
			     xen_ring_fault_text(tx->ring.ring.broken));
	if (reaped.packets || reaped.frames)
		account(queue, &reaped);
	if (netif_tx_queue_stopped(tx_queue(queue)) && has_room(tx) && !pvnet_retired(net) &&
	    test_bit(PVNET_POLLING, &net->flags))
		netif_tx_wake_queue(tx_queue(queue));
}

/* ---- the queue's ----------------------------------------------------------------------------- */

static int open_heads(struct pvnet_tx *tx)
{
	unsigned int i;

	for (i = 0; i < PVNET_HEAD_PAGES; i++) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

		if (!page)
			return -ENOMEM;
		tx->head[i] = page;
		tx->head_grant[i] = pvkit_grants_take(&tx->grants);
		pvkit_grant_give(tx->head_grant[i], tx->grants.domain, page, true);
	}
	return 0;
}

static void close_heads(struct pvnet_tx *tx)
{
	unsigned int i;

	for (i = 0; i < PVNET_HEAD_PAGES && tx->head[i]; i++) {
		struct pvnet_tx_slot slot = {
			.page = tx->head[i],
			.grant = tx->head_grant[i],
			.owned = true,
		};

		end_slot_grant(tx, &slot);
		tx->head[i] = NULL;
	}
}

int pvnet_tx_new(struct pvnet_queue *queue)
{
	struct pvnet_tx *tx = &queue->tx;
	u16 domain = queue->net->device->backend_domain;
	struct xen_ring_area area = {
		.bytes = XEN_RING_PAGE_BYTES,
		.slot_bytes = NETIF_TX_SLOT_BYTES,
	};
	int error;

	u64_stats_init(&tx->stats.sync);
	error = pvkit_shared_open(&tx->shared, domain, 0);
	if (error)
		return error;
	area.pages = tx->shared.pages;
	if (xen_front_init(&tx->ring, &area) || tx->ring.ring.size != PVNET_RING)
		return -EINVAL;
	xen_shadow_init(&tx->shadow, tx->entry, PVNET_RING);
	error = pvkit_grants_open(&tx->grants, domain, PVNET_RING + PVNET_HEAD_PAGES);
	return error ?: open_heads(tx);
}

/* Of frames whose answers nobody waits for any more. */
static void abandon_slots(struct pvnet_tx *tx)
{
	unsigned int id;

	for (id = 0; id < tx->shadow.size; id++) {
		if (!tx->entry[id].token)
			continue;
		end_slot_grant(tx, &tx->slot[id]);
		release_slot(&tx->slot[id], 0);
		tx->entry[id].token = NULL;
	}
}

void pvnet_tx_free(struct pvnet_queue *queue)
{
	struct pvnet_tx *tx = &queue->tx;

	abandon_slots(tx);
	netdev_tx_reset_queue(tx_queue(queue));
	close_heads(tx);
	pvkit_shared_close(&tx->shared);
	pvkit_grants_close(&tx->grants);
}
