// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Frames on Xen's rings (abi/netif.h).
 *
 * A frame that is sent lies in whole pages, a slot each; it is over when the last of them is answered.
 * Pages for frames that come are lent one a slot; of a frame in several pages only the last counts.
 * netif has no persistent grants: each page is given for its request and taken back when it is
 * answered, as drivers do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/netif.h"
#include "common/log.h"
#include "tools/load/request.h"
#include "tools/load/xen.h"

static unsigned int frame_pages(const struct load_config *config)
{
	return config->device == LOAD_NET_TX ? xen_pages(config->block_size) : 1;
}

/* ---- what is agreed -------------------------------------------------------------------------- */

static unsigned int negotiate(struct load_front *front)
{
	if (frame_pages(front->config) > 1 && !xen_guest_read_number(NETIF_KEY_SG, 0))
		die("--block-size: the back-end at %s takes frames of one page, %u bytes",
		    front->config->path, XEN_RING_PAGE_BYTES);
	return 1;
}

static void publish(struct load_front *front)
{
	xen_guest_write(NETIF_KEY_REQUEST_RX_COPY, "1");
	xen_guest_write(NETIF_KEY_RX_NOTIFY, "1");
	xen_guest_write(NETIF_KEY_SG, "1");
	xen_guest_write(NETIF_KEY_CSUM_V6, "1");
}

static void write_number(const char *prefix, const char *name, uint32_t number)
{
	char key[64];

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	xen_guest_write(key, "%u", number);
}

/* Rings in virtio's order: what the guest receives has the even number. */
static void publish_queue(struct load_front *front, unsigned int index, const char *prefix)
{
	struct xen_queue *rx = xen_queue_of(front->queues[2 * index]);
	struct xen_queue *tx = xen_queue_of(front->queues[2 * index + 1]);

	write_number(prefix, NETIF_KEY_TX_RING_REF, tx->reference[0]);
	write_number(prefix, NETIF_KEY_RX_RING_REF, rx->reference[0]);
	if (xen_guest_read_number(NETIF_KEY_SPLIT_EVENT_CHANNELS, 0)) {
		write_number(prefix, NETIF_KEY_EVENT_CHANNEL_TX, tx->port);
		write_number(prefix, NETIF_KEY_EVENT_CHANNEL_RX, rx->port);
	} else {
		rx->port = tx->port;
		write_number(prefix, STORE_KEY_EVENT_CHANNEL, tx->port);
	}
}

/* What is sent before the link is up is lost. */
static void connected(struct load_front *front)
{
	int64_t deadline = xen_deadline(front);

	if (front->config->device != LOAD_NET_TX)
		return;
	while (!xen_guest_read_number(NETIF_KEY_CARRIER, 1)) {
		if (!xen_wait_on(front, deadline))
			die("%s: the back-end has no carrier after %llu s; look at its --link",
			    front->config->path, (unsigned long long)front->config->timeout);
	}
}

const struct xen_kind xen_net_kind = {
	.device = "vif/0",
	.other = "vbd/51712",
	.hint = "for that use --device=blk, or attach pvkit-netd --device=vif/0",
	.slot_bytes = {NETIF_RX_SLOT_BYTES, NETIF_TX_SLOT_BYTES},
	.ready = STORE_STATE_CONNECTED,
	.negotiate = negotiate,
	.publish = publish,
	.publish_queue = publish_queue,
	.connected = connected,
};

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t slot_bytes(const struct load_config *config)
{
	return (uint64_t)frame_pages(config) * XEN_RING_PAGE_BYTES;
}

static void lay_out(struct load_front *front, struct load_queue *queue, struct request *request)
{
	struct xen_request *xen = &request->xen;

	*xen = (struct xen_request){.pages = frame_pages(front->config)};
	xen->references = calloc(xen->pages, sizeof(*xen->references));
	if (!xen->references)
		die_errno("no memory for frames");
	request->data = xen_take_pages(front, xen->pages, xen->references);
}

static void release(struct request *request)
{
	free(request->xen.references);
}

/* ---- frames that are sent -------------------------------------------------------------------- */

/* The first slot says the size of all, the others say their own. */
static struct netif_tx_req tx_slot(const struct load_config *config, const struct request *request,
				   unsigned int page)
{
	uint64_t left = config->block_size - (uint64_t)page * XEN_RING_PAGE_BYTES;
	bool more = page + 1 < request->xen.pages;

	return (struct netif_tx_req){
		.grant = request->xen.references[page],
		.flags = more ? NETIF_TX_MORE_DATA : 0,
		.size = !page || left < XEN_RING_PAGE_BYTES ? left : XEN_RING_PAGE_BYTES,
	};
}

static bool tx_add(struct load_queue *base, struct request *request)
{
	struct xen_queue *queue = xen_queue_of(base);
	struct xen_request *xen = &request->xen;
	unsigned int i;

	if (xen_front_room(&queue->ring) < xen->pages || queue->shadow.free_count < xen->pages)
		return false;
	for (i = 0; i < xen->pages; i++) {
		struct netif_tx_req slot = tx_slot(base->config, request, i);

		slot.id = (uint16_t)xen_shadow_lend(&queue->shadow, request, 0);
		xen_grant_give(slot.grant, true);
		if (xen_front_put(&queue->ring, &slot, sizeof(slot)) < 0)
			return false;
	}
	xen->unanswered = xen->pages;
	xen->status = 0;
	return true;
}

static bool take_all(const struct xen_request *xen)
{
	bool all = true;
	unsigned int i;

	for (i = 0; i < xen->pages; i++)
		all = xen_grant_take(xen->references[i]) && all;
	return all;
}

static enum load_found tx_reap(struct load_queue *base, struct load_done *done)
{
	struct xen_queue *queue = xen_queue_of(base);
	enum xen_ring_result found;
	struct netif_tx_rsp response;
	struct xen_request *xen;

	do {
		found = xen_front_reap(&queue->ring, &response, sizeof(response));
		if (found != XEN_RING_FOUND)
			return found == XEN_RING_BROKEN ? LOAD_BROKEN : LOAD_NOTHING;
		done->request =
			xen_shadow_settle(&queue->shadow, &queue->ring.ring, response.id, 0);
		if (!done->request)
			return LOAD_BROKEN;
		xen = &done->request->xen;
		if (response.status < 0)
			xen->status = response.status;
	} while (--xen->unanswered);
	done->status = take_all(xen) ? xen->status : -EBUSY;
	return LOAD_FOUND;
}

/* ---- frames that come ------------------------------------------------------------------------ */

static bool rx_add(struct load_queue *base, struct request *request)
{
	struct xen_queue *queue = xen_queue_of(base);
	struct netif_rx_req slot = {.grant = request->xen.references[0]};
	int64_t id = xen_shadow_lend(&queue->shadow, request, 0);

	if (id < 0)
		return false;
	slot.id = (uint16_t)id;
	xen_grant_give(slot.grant, false);
	return xen_front_put(&queue->ring, &slot, sizeof(slot)) == 0;
}

static enum load_found rx_reap(struct load_queue *base, struct load_done *done)
{
	struct xen_queue *queue = xen_queue_of(base);
	struct netif_rx_rsp response;
	enum xen_ring_result found = xen_front_reap(&queue->ring, &response, sizeof(response));

	if (found != XEN_RING_FOUND)
		return found == XEN_RING_BROKEN ? LOAD_BROKEN : LOAD_NOTHING;
	done->request = xen_shadow_settle(&queue->shadow, &queue->ring.ring, response.id, 0);
	/* An extra was not agreed on, nor is there a page that large. */
	if (!done->request || response.flags & NETIF_RX_EXTRA_INFO ||
	    response.offset + response.status > XEN_RING_PAGE_BYTES)
		return LOAD_BROKEN;
	done->status = xen_grant_take(done->request->xen.references[0]) ? 0 : -EBUSY;
	if (response.status < 0)
		done->status = response.status;
	done->data = done->request->data + response.offset;
	done->bytes = response.status < 0 ? 0 : response.status;
	done->part = response.flags & NETIF_RX_MORE_DATA;
	return LOAD_FOUND;
}

const struct load_wire xen_net_tx_wire = {
	.slot_bytes = slot_bytes,
	.lay_out = lay_out,
	.release = release,
	.add = tx_add,
	.publish = xen_publish,
	.reap = tx_reap,
	.arm = xen_arm,
	.disarm = xen_disarm,
};

const struct load_wire xen_net_rx_wire = {
	.slot_bytes = slot_bytes,
	.lay_out = lay_out,
	.release = release,
	.add = rx_add,
	.publish = xen_publish,
	.reap = rx_reap,
	.arm = xen_arm,
	.disarm = xen_disarm,
};
