// SPDX-License-Identifier: GPL-2.0
/*
 * The receive side.
 *
 * The back-end is lent whole pages of a page pool. A response stands in the slot of its request, so
 * what it answers is known by its place, and its id must say the same.
 *
 *	a small frame		is copied; its pages stay granted in their places and are lent again
 *	a large frame		its grants end, then its pages go into an skb and return to the pool
 *	a slot of an extra	has used up its request, not its page, which is lent again
 *	a frame of no use	its pages stay
 *
 * So before the grants have ended nothing of a frame is looked at but through a copy.
 */
#include <linux/bpf_trace.h>
#include <linux/filter.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/skbuff.h>
#include <net/checksum.h>

#include "guest-drivers/net/net.h"

#define RX_PARTS MAX_SKB_FRAGS
/* What the length field of an IP header can say, and the longest header before it. */
#define RX_BYTES_MAX (U16_MAX + VLAN_ETH_HLEN)
#define RX_RETRY     (HZ / 10)

struct rx_part {
	u16 slot; /* where the page stands */
	u16 offset, size;
};

struct rx_frame {
	u16 flags; /* NETIF_RX_* of the first response */
	bool bad; /* by the back-end's own word, or in too many parts */
	u8 gso_type;
	u16 gso_size;
	u32 bytes;
	unsigned int count;
	struct rx_part part[RX_PARTS];
};

static unsigned int slot_index(u32 index)
{
	return index & (PVNET_RING - 1);
}

/* ---- lending --------------------------------------------------------------------------------- */

/*
 * The back-end sees the whole of a lent page, so nothing of its former users may be left in it. New
 * pages come zeroed; one that the pool has had before holds what the back-end itself wrote, unless
 * somebody changed that in place: a program, or a layer that decrypts. A back-end that is not trusted
 * does not see that either.
 */
static struct page *lendable_page(struct pvnet_queue *queue)
{
	struct page *page =
		page_pool_alloc_pages(queue->rx.pool, GFP_ATOMIC | __GFP_NOWARN | __GFP_ZERO);

	if (page && queue->net->bounce)
		clear_page(page_address(page));
	return page;
}

/* A granted page at this place, a new one if there is none. */
static bool equip(struct pvnet_queue *queue, struct pvnet_rx_slot *slot)
{
	struct pvnet_rx *rx = &queue->rx;

	if (slot->page)
		return true;
	slot->page = lendable_page(queue);
	if (!slot->page)
		return false;
	slot->grant = pvkit_grants_take(&rx->grants);
	if (!slot->grant) {
		page_pool_recycle_direct(rx->pool, slot->page);
		slot->page = NULL;
		return false;
	}
	pvkit_grant_give(slot->grant, rx->grants.domain, slot->page, false);
	return true;
}

static void publish(struct pvnet_queue *queue)
{
	struct pvnet_rx *rx = &queue->rx;
	bool notify;

	xen_front_publish(&rx->ring);
	notify = xen_front_should_notify(&rx->ring);
	if (notify)
		pvkit_event_notify(&queue->rx_event);
	u64_stats_update_begin(&rx->stats.sync);
	u64_stats_inc(notify ? &rx->stats.notifications : &rx->stats.suppressed);
	u64_stats_update_end(&rx->stats.sync);
}

void pvnet_rx_refill(struct pvnet_queue *queue)
{
	struct pvnet_rx *rx = &queue->rx;
	u32 before = rx->ring.req_prod;

	while (PVNET_RING - xen_front_room(&rx->ring) < queue->net->rx_target) {
		unsigned int index = slot_index(rx->ring.req_prod);
		struct netif_rx_req request = {.id = index};

		if (!equip(queue, &rx->slot[index])) {
			u64_stats_update_begin(&rx->stats.sync);
			u64_stats_inc(&rx->stats.no_page);
			u64_stats_update_end(&rx->stats.sync);
			mod_timer(&rx->refill, jiffies + RX_RETRY);
			break;
		}
		request.grant = rx->slot[index].grant;
		if (xen_front_put(&rx->ring, &request, sizeof(request)))
			break;
	}
	if (rx->ring.req_prod != before)
		publish(queue);
}

static void refill_expired(struct timer_list *timer)
{
	struct pvnet_queue *queue = container_of(timer, struct pvnet_queue, rx.refill);

	napi_schedule(&queue->napi);
}

/* ---- responses ------------------------------------------------------------------------------- */

/* The next slot of a frame that has begun; retires the device where there is none. */
static bool take_slot(struct pvnet_queue *queue, void *slot, const char *what)
{
	struct xen_front *ring = &queue->rx.ring;
	enum xen_ring_result result = xen_front_reap(ring, slot, NETIF_RX_SLOT_BYTES);

	if (result == XEN_RING_FOUND)
		return true;
	pvnet_retire(queue->net, "queue %u: rx ring at %u: %s", queue->index, ring->rsp_cons,
		     result == XEN_RING_BROKEN ? xen_ring_fault_text(ring->ring.broken) : what);
	return false;
}

/* A size of GSO_BY_FRAGS is none: it promises the stack a list of segments, which we never make. */
static bool gso_is_known(const struct rx_frame *frame)
{
	return frame->gso_size && frame->gso_size != GSO_BY_FRAGS &&
	       (frame->gso_type == NETIF_GSO_TCPV4 || frame->gso_type == NETIF_GSO_TCPV6);
}

static bool take_extras(struct pvnet_queue *queue, struct rx_frame *frame)
{
	struct netif_extra extra;

	do {
		if (!take_slot(queue, &extra, "a frame without its extra"))
			return false;
		if (extra.type == NETIF_EXTRA_NONE || extra.type >= NETIF_EXTRA_TYPES) {
			pvnet_retire(queue->net, "queue %u: rx extra of type %u", queue->index,
				     extra.type);
			return false;
		}
		if (extra.type != NETIF_EXTRA_GSO)
			continue;
		frame->gso_type = extra.u.gso.type;
		frame->gso_size = extra.u.gso.size;
		if (!gso_is_known(frame))
			frame->bad = true;
	} while (extra.flags & NETIF_EXTRA_MORE);
	return true;
}

static bool check_response(struct pvnet_queue *queue, const struct netif_rx_rsp *response,
			   unsigned int index)
{
	if (response->id != index) {
		pvnet_retire(queue->net, "queue %u: rx answer %u in the place of %u", queue->index,
			     response->id, index);
		return false;
	}
	if (response->status > 0 && response->offset + response->status > PAGE_SIZE) {
		pvnet_retire(queue->net, "queue %u: rx answer of %d bytes at %u", queue->index,
			     response->status, response->offset);
		return false;
	}
	return true;
}

static void add_part(struct rx_frame *frame, unsigned int index,
		     const struct netif_rx_rsp *response)
{
	if (response->status < 0) {
		frame->bad = true;
	} else if (response->status > 0) {
		if (frame->count == RX_PARTS) {
			frame->bad = true;
			return;
		}
		frame->bytes += response->status;
		frame->part[frame->count++] =
			(struct rx_part){index, response->offset, response->status};
	}
}

/* One frame off the ring. EMPTY: none; BROKEN: the device is retired. */
static enum xen_ring_result take_frame(struct pvnet_queue *queue, struct rx_frame *frame)
{
	struct xen_front *ring = &queue->rx.ring;
	struct netif_rx_rsp response;
	unsigned int index;
	bool first = true;

	frame->flags = 0;
	frame->bad = false;
	frame->gso_type = NETIF_GSO_NONE;
	frame->bytes = 0;
	frame->count = 0;
	if (!ring->ring.broken && !xen_front_has_work(ring))
		return XEN_RING_EMPTY;
	do {
		index = slot_index(ring->rsp_cons);
		if (!take_slot(queue, &response, "a frame without its end") ||
		    !check_response(queue, &response, index))
			return XEN_RING_BROKEN;
		add_part(frame, index, &response);
		if (first) {
			frame->flags = response.flags;
			if (response.flags & NETIF_RX_EXTRA_INFO && !take_extras(queue, frame))
				return XEN_RING_BROKEN;
			first = false;
		}
	} while (response.flags & NETIF_RX_MORE_DATA);
	return XEN_RING_FOUND;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Of a page that the back-end keeps: nobody gets it before it lets go. */
static void give_up(struct pvnet_rx *rx, struct pvnet_rx_slot *slot)
{
	/* The pool forgets a page that somebody else holds. */
	get_page(slot->page);
	page_pool_put_full_page(rx->pool, slot->page, false);
	pvkit_grant_end_later(slot->grant, slot->page);
	slot->page = NULL;
}

/* The page is ours again, and not in its slot any more. NULL: the device is retired. */
static struct page *reclaim(struct pvnet_queue *queue, unsigned int index)
{
	struct pvnet_rx *rx = &queue->rx;
	struct pvnet_rx_slot *slot = &rx->slot[index];
	struct page *page = slot->page;

	if (pvkit_grant_end(slot->grant)) {
		pvnet_retire(queue->net, "queue %u: rx answer %u while its grant %u is in use",
			     queue->index, index, slot->grant);
		give_up(rx, slot);
		return NULL;
	}
	pvkit_grants_put(&rx->grants, slot->grant);
	slot->page = NULL;
	return page;
}

/* ---- skbs ------------------------------------------------------------------------------------ */

static void copy_parts(struct pvnet_rx *rx, struct sk_buff *skb, const struct rx_frame *frame)
{
	unsigned int i;

	for (i = 0; i < frame->count; i++) {
		const struct rx_part *part = &frame->part[i];

		skb_put_data(skb, page_address(rx->slot[part->slot].page) + part->offset,
			     part->size);
	}
}

/* The first bytes of a page of ours go into the linear part, the rest of it becomes a fragment. */
static void add_page(struct pvnet_rx *rx, struct sk_buff *skb, struct page *page,
		     unsigned int offset, unsigned int size)
{
	unsigned int head = 0;

	if (!skb->len) {
		head = min_t(unsigned int, size, PVNET_RX_HEAD);
		skb_put_data(skb, page_address(page) + offset, head);
	}
	if (head == size)
		page_pool_recycle_direct(rx->pool, page);
	else
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, offset + head, size - head,
				PAGE_SIZE);
}

static struct sk_buff *copied_skb(struct pvnet_queue *queue, const struct rx_frame *frame)
{
	struct sk_buff *skb = napi_alloc_skb(&queue->napi, frame->bytes);

	if (!skb)
		return NULL;
	copy_parts(&queue->rx, skb, frame);
	u64_stats_update_begin(&queue->rx.stats.sync);
	u64_stats_inc(&queue->rx.stats.copied);
	u64_stats_update_end(&queue->rx.stats.sync);
	return skb;
}

static struct sk_buff *paged_skb(struct pvnet_queue *queue, const struct rx_frame *frame)
{
	struct sk_buff *skb = napi_alloc_skb(&queue->napi, PVNET_RX_HEAD);
	unsigned int i;

	if (!skb)
		return NULL;
	skb_mark_for_recycle(skb);
	for (i = 0; i < frame->count; i++) {
		const struct rx_part *part = &frame->part[i];
		struct page *page = reclaim(queue, part->slot);

		if (!page) {
			kfree_skb(skb);
			return NULL;
		}
		add_page(&queue->rx, skb, page, part->offset, part->size);
	}
	return skb;
}

/* Where the checksum goes only the frame itself can tell. -errno: it does not. */
static int set_checksum(struct sk_buff *skb, u16 flags)
{
	bool recalculate = false;

	if (flags & NETIF_RX_CSUM_BLANK) {
		skb->ip_summed = CHECKSUM_PARTIAL;
	} else if (skb_is_gso(skb)) {
		/* Segments need it blank: some back-ends forget to say so. */
		skb->ip_summed = CHECKSUM_PARTIAL;
		recalculate = true;
	} else {
		skb->ip_summed =
			flags & NETIF_RX_DATA_VALIDATED ? CHECKSUM_UNNECESSARY : CHECKSUM_NONE;
		return 0;
	}
	return skb_checksum_setup(skb, recalculate);
}

static void set_gso(struct sk_buff *skb, const struct rx_frame *frame)
{
	if (!frame->gso_type)
		return;
	/* DODGY: the stack checks the headers, and counts the segments, before it believes it. */
	skb_shinfo(skb)->gso_size = frame->gso_size;
	skb_shinfo(skb)->gso_type =
		SKB_GSO_DODGY |
		(frame->gso_type == NETIF_GSO_TCPV6 ? SKB_GSO_TCPV6 : SKB_GSO_TCPV4);
	skb_shinfo(skb)->gso_segs = 0;
}

static void count_error(struct pvnet_rx *rx, bool error)
{
	u64_stats_update_begin(&rx->stats.sync);
	u64_stats_inc(error ? &rx->stats.errors : &rx->stats.dropped);
	u64_stats_update_end(&rx->stats.sync);
}

static void deliver(struct pvnet_queue *queue, struct sk_buff *skb, const struct rx_frame *frame)
{
	struct pvnet_rx_stats *stats = &queue->rx.stats;
	unsigned int bytes = skb->len;

	if (!pskb_may_pull(skb, ETH_HLEN))
		goto bad;
	set_gso(skb, frame);
	skb->protocol = eth_type_trans(skb, queue->net->dev);
	skb_reset_network_header(skb);
	if (set_checksum(skb, frame->flags))
		goto bad;
	skb_record_rx_queue(skb, queue->index);
	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(&stats->packets);
	u64_stats_add(&stats->bytes, bytes);
	u64_stats_add(&stats->gso, frame->gso_type != NETIF_GSO_NONE);
	u64_stats_update_end(&stats->sync);
	napi_gro_receive(&queue->napi, skb);
	return;
bad:
	count_error(&queue->rx, true);
	kfree_skb(skb);
}

/* ---- with a program -------------------------------------------------------------------------- */

static void run_program(struct pvnet_queue *queue, struct bpf_prog *program,
			const struct rx_frame *frame, unsigned int *flush)
{
	struct pvnet_rx *rx = &queue->rx;
	struct pvnet_xdp_result result;
	struct sk_buff *skb;
	struct page *page;

	/* Frames in several pages, or with what a program cannot keep right, were not asked for. */
	if (frame->count != 1 || frame->gso_type) {
		count_error(rx, false);
		return;
	}
	page = reclaim(queue, frame->part[0].slot);
	if (!page)
		return;
	result = pvnet_xdp_run(queue, program, page, frame->part[0].offset, frame->part[0].size,
			       flush);
	if (!result.pass)
		return;
	skb = napi_alloc_skb(&queue->napi, PVNET_RX_HEAD);
	if (!skb) {
		page_pool_recycle_direct(rx->pool, page);
		count_error(rx, false);
		return;
	}
	skb_mark_for_recycle(skb);
	/* Metadata stand before the linear part; there is room for them (NET_SKB_PAD). */
	if (result.metadata && result.metadata <= skb_headroom(skb)) {
		memcpy(skb->data - result.metadata,
		       page_address(page) + result.offset - result.metadata, result.metadata);
		skb_metadata_set(skb, result.metadata);
	}
	add_page(rx, skb, page, result.offset, result.length);
	deliver(queue, skb, frame);
}

/* ---- the queue's ----------------------------------------------------------------------------- */

static void receive(struct pvnet_queue *queue, const struct rx_frame *frame)
{
	struct sk_buff *skb;

	if (frame->bad || frame->bytes < ETH_HLEN || frame->bytes > RX_BYTES_MAX) {
		count_error(&queue->rx, true);
		return;
	}
	if (frame->bytes <= PVNET_COPYBREAK)
		skb = copied_skb(queue, frame);
	else
		skb = paged_skb(queue, frame);
	if (skb)
		deliver(queue, skb, frame);
	else
		count_error(&queue->rx, false);
}

int pvnet_rx_poll(struct pvnet_queue *queue, int budget)
{
	struct bpf_prog *program = rcu_dereference_bh(queue->net->xdp);
	unsigned int flush = 0;
	struct rx_frame frame;
	int done = 0;

	while (done < budget && !pvnet_retired(queue->net)) {
		if (take_frame(queue, &frame) != XEN_RING_FOUND)
			break;
		if (program && !frame.bad && frame.bytes >= ETH_HLEN)
			run_program(queue, program, &frame, &flush);
		else
			receive(queue, &frame);
		done++;
	}
	if (flush)
		pvnet_xdp_flush(queue, flush);
	return done;
}

void pvnet_rx_discard(struct pvnet_queue *queue)
{
	struct rx_frame frame;

	while (!pvnet_retired(queue->net) && take_frame(queue, &frame) == XEN_RING_FOUND)
		;
}

static int open_pool(struct pvnet_queue *queue)
{
	struct pvnet_rx *rx = &queue->rx;
	struct page_pool_params params = {
		.pool_size = PVNET_RING,
		.nid = NUMA_NO_NODE,
	};
	int error;

	compat_pool_napi(&params, &queue->napi);
	rx->pool = page_pool_create(&params);
	if (IS_ERR(rx->pool)) {
		error = PTR_ERR(rx->pool);
		rx->pool = NULL;
		return error;
	}
	error = xdp_rxq_info_reg(&rx->xdp, queue->net->dev, queue->index, queue->napi.napi_id);
	return error ?: xdp_rxq_info_reg_mem_model(&rx->xdp, MEM_TYPE_PAGE_POOL, rx->pool);
}

int pvnet_rx_new(struct pvnet_queue *queue)
{
	struct pvnet_rx *rx = &queue->rx;
	u16 domain = queue->net->device->backend_domain;
	struct xen_ring_area area = {
		.bytes = XEN_RING_PAGE_BYTES,
		.slot_bytes = NETIF_RX_SLOT_BYTES,
	};
	int error;

	u64_stats_init(&rx->stats.sync);
	timer_setup(&rx->refill, refill_expired, 0);
	error = pvkit_shared_open(&rx->shared, domain, 0);
	if (error)
		return error;
	area.pages = rx->shared.pages;
	if (xen_front_init(&rx->ring, &area) || rx->ring.ring.size != PVNET_RING)
		return -EINVAL;
	error = pvkit_grants_open(&rx->grants, domain, PVNET_RING);
	return error ?: open_pool(queue);
}

void pvnet_rx_free(struct pvnet_queue *queue)
{
	struct pvnet_rx *rx = &queue->rx;
	unsigned int i;

	for (i = 0; i < PVNET_RING; i++) {
		struct pvnet_rx_slot *slot = &rx->slot[i];

		if (!slot->page)
			continue;
		if (pvkit_grant_end(slot->grant)) {
			give_up(rx, slot);
			continue;
		}
		pvkit_grants_put(&rx->grants, slot->grant);
		page_pool_put_full_page(rx->pool, slot->page, false);
		slot->page = NULL;
	}
	if (xdp_rxq_info_is_reg(&rx->xdp))
		xdp_rxq_info_unreg(&rx->xdp);
	if (rx->pool)
		page_pool_destroy(rx->pool);
	pvkit_shared_close(&rx->shared);
	pvkit_grants_close(&rx->grants);
}
