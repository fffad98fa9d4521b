// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A frame is copied off the ring slot by slot into private memory, all of it, before anything of it is
 * believed. Then:
 *
 *	what no driver that works would write	breaks the queue: a chain that ends behind the last
 *						request, too many slots, data across a page's end, an
 *						extra of no type
 *	a frame that is none			is dropped and answered with an error; the ring goes on
 *	a good one				goes to the link from the guest's own pages, pinned
 *						for reading, behind a header of ours
 *
 * netif does not say where a missing checksum goes, so the frame's first bytes are copied to find it.
 * The copy serves for that alone: what the link sends are the guest's pages, and a guest that
 * rewrites its headers meanwhile has its own frame spoiled.
 *
 * Pins end before the answers are published: a front-end takes its pages back as soon as it sees
 * those.
 */
#include <errno.h>
#include <string.h>

#include "backend/net/netif_tx.h"
#include "backend/link/scatter.h"
#include "common/log.h"
#include "common/stats.h"

#define TX_BURST       64
#define TX_BURST_BYTES (256 << 10)

static struct log_limit tx_limit;

int netif_tx_start(struct netif_tx *tx, const struct xen_device *device, struct xen_queue *queue,
		   unsigned int offloads)
{
	if (xen_back_init(&tx->ring, &queue->ring[0].area, queue->ring[0].position))
		return -EINVAL;
	tx->device = device;
	tx->queue = queue;
	tx->broken = false;
	tx->held = tx->paid = false;
	tx->pause_ns = 0;
	tx->requests = tx->extras = 0;
	tx->offloads = offloads;
	stats_add(&tx->stats->active, 1);
	return 0;
}

bool netif_tx_listens(const struct netif_tx *tx)
{
	return tx->queue && !tx->broken && !tx->held;
}

/* ---- off the ring ---------------------------------------------------------------------------- */

static void break_ring(struct netif_tx *tx, const char *why, unsigned int value)
{
	tx->broken = true;
	stats_add(&tx->stats->broken, 1);
	if (tx->ring.ring.broken)
		xen_queue_broken(tx->device, tx->queue, &tx->ring.ring, "it connects again");
	else
		log_peer(&tx_limit,
			 "%s: queue %u: tx slot %u: %s (%u); the queue stays stopped until the "
			 "front-end connects again",
			 tx->device->name, tx->queue->index, tx->ring.req_cons - 1, why, value);
}

/* The next slot of a frame that has begun. */
static bool take_slot(struct netif_tx *tx, void *slot, uint32_t bytes)
{
	if (xen_back_take(&tx->ring, slot, bytes) == XEN_RING_FOUND)
		return true;
	break_ring(tx, "the frame goes on behind the last request", tx->requests);
	return false;
}

static bool take_extras(struct netif_tx *tx)
{
	struct netif_extra extra;

	do {
		if (!take_slot(tx, &extra, sizeof(extra)))
			return false;
		tx->extras++;
		if (tx->extras > NETIF_TX_EXTRAS_MAX || extra.type == NETIF_EXTRA_NONE ||
		    extra.type >= NETIF_EXTRA_TYPES) {
			break_ring(tx, "too many extras, or one of an unknown type", extra.type);
			return false;
		}
		if (extra.type == NETIF_EXTRA_GSO)
			tx->gso = extra;
		else if (extra.type == NETIF_EXTRA_MULTICAST_ADD ||
			 extra.type == NETIF_EXTRA_MULTICAST_DEL)
			tx->group = extra;
	} while (extra.flags & NETIF_EXTRA_MORE);
	return true;
}

/* All slots of the next frame or command. EMPTY: there is none. */
static enum xen_ring_result take_frame(struct netif_tx *tx)
{
	struct netif_tx_req *request = tx->request;
	enum xen_ring_result result = xen_back_take(&tx->ring, request, sizeof(*request));

	tx->requests = tx->extras = 0;
	tx->gso.type = tx->group.type = NETIF_EXTRA_NONE;
	if (result == XEN_RING_BROKEN)
		break_ring(tx, "", 0);
	if (result != XEN_RING_FOUND)
		return result;
	tx->requests = 1;
	if (request->flags & NETIF_TX_EXTRA_INFO && !take_extras(tx))
		return XEN_RING_BROKEN;
	while (request->flags & NETIF_TX_MORE_DATA) {
		if (tx->requests == NETIF_TX_REQUESTS_MAX) {
			break_ring(tx, "a frame of too many requests", tx->requests + 1);
			return XEN_RING_BROKEN;
		}
		request = &tx->request[tx->requests];
		if (!take_slot(tx, request, sizeof(*request)))
			return XEN_RING_BROKEN;
		tx->requests++;
	}
	return XEN_RING_FOUND;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static bool in_page(struct netif_tx *tx, const struct netif_tx_req *request, uint32_t size)
{
	if (request->offset + size <= HOST_PAGE_BYTES)
		return true;
	break_ring(tx, "data across the end of a page, at offset", request->offset);
	return false;
}

/*
 * The first request says the size of all, the others say their own: leaves in each its own.
 * 0: good; -EBADMSG: no frame; -EPROTO: the ring is broken.
 */
static int share_out_size(struct netif_tx *tx)
{
	struct netif_tx_req *first = tx->request;
	uint32_t others = 0;
	unsigned int i;

	tx->bytes = first->size;
	for (i = 1; i < tx->requests; i++) {
		if (!in_page(tx, &tx->request[i], tx->request[i].size))
			return -EPROTO;
		others += tx->request[i].size;
		if (!tx->request[i].size)
			return -EBADMSG;
	}
	if (others >= tx->bytes)
		return -EBADMSG;
	first->size = tx->bytes - others;
	return in_page(tx, first, first->size) ? 0 : -EPROTO;
}

/* ---- the frame ------------------------------------------------------------------------------- */

static int pin_frame(struct netif_tx *tx)
{
	unsigned int i;
	int error;

	for (i = 0; i < tx->requests; i++)
		tx->pin[i] = (struct host_pin){.reference = tx->request[i].grant};
	error = host_pin_many(tx->device->host, tx->pin, tx->requests);
	if (error)
		return error;
	tx->piece[0] = (struct iovec){&tx->header, sizeof(tx->header)};
	for (i = 0; i < tx->requests; i++)
		tx->piece[1 + i] = (struct iovec){(char *)tx->pin[i].page + tx->request[i].offset,
						  tx->request[i].size};
	return 0;
}

static void unpin_frame(struct netif_tx *tx)
{
	host_unpin_many(tx->device->host, tx->pin, tx->requests);
}

static bool describe_gso(struct netif_tx *tx, const struct netif_headers *headers)
{
	const uint8_t type = tx->gso.u.gso.type;

	if (tx->gso.type == NETIF_EXTRA_NONE)
		return true;
	if (!headers->tcp || type != (headers->ipv6 ? NETIF_GSO_TCPV6 : NETIF_GSO_TCPV4))
		return false;
	tx->header.gso_type = headers->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	tx->header.gso_size = tx->gso.u.gso.size;
	tx->header.hdr_len = headers->length;
	return true;
}

/* The header before a frame whose pages are pinned. */
static enum frame_verdict describe_frame(struct netif_tx *tx)
{
	uint8_t data[NETIF_HEADERS_BYTES];
	struct netif_headers headers;
	size_t length;

	memset(&tx->header, 0, sizeof(tx->header));
	if (tx->request[0].flags & NETIF_TX_CSUM_BLANK) {
		length = scatter_gather(data, sizeof(data), &tx->piece[1], tx->requests);
		if (!netif_headers_parse(&headers, data, length))
			return FRAME_BAD_CSUM;
		tx->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		tx->header.csum_start = headers.csum_start;
		tx->header.csum_offset = headers.csum_offset;
		if (!describe_gso(tx, &headers))
			return FRAME_BAD_GSO;
	} else if (tx->gso.type != NETIF_EXTRA_NONE) {
		return FRAME_BAD_GSO;
	}
	return frame_check(&tx->header, tx->bytes, tx->offloads);
}

/* Makes a checked frame of what was taken; what is none is not pinned afterwards. */
static bool frame_ready(struct netif_tx *tx)
{
	int error = share_out_size(tx);
	enum frame_verdict verdict;
	const char *why;

	if (error == -EPROTO)
		return false;
	if (!error && tx->bytes < FRAME_BYTES_MIN)
		error = -EBADMSG;
	if (!error)
		error = pin_frame(tx);
	if (error) {
		why = error == -EBADMSG ? "the sizes of its slots make no frame" : strerror(-error);
	} else {
		verdict = describe_frame(tx);
		if (verdict == FRAME_GOOD)
			return true;
		unpin_frame(tx);
		why = frame_verdict_text(verdict);
	}
	log_peer(&tx_limit, "%s: queue %u: tx request %u of grant %u: %s: frame dropped",
		 tx->device->name, tx->queue->index, tx->request[0].id, tx->request[0].grant, why);
	return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answer(struct netif_tx *tx, enum netif_status status)
{
	struct netif_tx_rsp response = {tx->request[0].id, status};
	const struct netif_tx_rsp none = {0, NETIF_NULL};
	unsigned int i;

	xen_back_answer(&tx->ring, &response, sizeof(response));
	for (i = 0; i < tx->extras; i++)
		xen_back_answer(&tx->ring, &none, sizeof(none));
	for (i = 1; i < tx->requests; i++) {
		response.id = tx->request[i].id;
		xen_back_answer(&tx->ring, &response, sizeof(response));
	}
	tx->requests = tx->extras = 0;
}

static void publish(struct netif_tx *tx, unsigned int done)
{
	if (!done)
		return;
	xen_back_publish(&tx->ring);
	stats_add(&tx->stats->batch[stats_batch_bucket(done)], 1);
	if (xen_back_should_notify(&tx->ring)) {
		host_notify(tx->device->host, tx->queue->ring[0].channel);
		stats_add(&tx->stats->interrupts, 1);
	} else {
		stats_add(&tx->stats->interrupts_suppressed, 1);
	}
}

static void do_command(struct netif_tx *tx)
{
	int error;

	if (tx->requests > 1) {
		break_ring(tx, "a command with data, in requests", tx->requests);
		return;
	}
	error = netif_groups_change(tx->groups, tx->group.type == NETIF_EXTRA_MULTICAST_ADD,
				    tx->group.u.multicast.address);
	stats_add(&tx->stats->requests[STATS_NET_CONTROL], 1);
	answer(tx, error ? NETIF_ERROR : NETIF_OK);
}

/* Credit is taken once a frame, also if the link is busy then. */
static bool has_credit(struct netif_tx *tx)
{
	if (!tx->paid)
		tx->pause_ns = netif_rate_take(tx->rate, tx->bytes);
	tx->paid = !tx->pause_ns;
	return tx->paid;
}

/* Sends the frame in hand. False: the link is busy, or there is no credit: the frame is held. */
static bool send_frame(struct netif_tx *tx)
{
	struct stats_queue *stats = tx->stats;
	int result = -EAGAIN;

	if (has_credit(tx))
		result = tx->link->ops->send(tx->link, tx->link_queue, tx->piece, 1 + tx->requests);
	tx->held = result == -EAGAIN;
	if (tx->held)
		return false;
	tx->paid = false;
	unpin_frame(tx);
	if (result) {
		stats_add(&stats->dropped, 1);
	} else {
		stats_add(&stats->requests[STATS_NET_FRAME], 1);
		stats_add(&stats->bytes_in, tx->bytes);
		if (tx->header.gso_type)
			stats_add(&stats->requests[STATS_NET_GSO], 1);
	}
	answer(tx, result ? NETIF_DROPPED : NETIF_OK);
	return true;
}

/* Takes the next frame in hand, or does what is none. False: nothing is in hand. */
static bool next_frame(struct netif_tx *tx, bool *found)
{
	*found = take_frame(tx) == XEN_RING_FOUND;
	if (!*found)
		return false;
	if (tx->group.type != NETIF_EXTRA_NONE) {
		do_command(tx);
		return false;
	}
	if (frame_ready(tx))
		return true;
	if (!tx->broken) {
		stats_add(&tx->stats->dropped, 1);
		answer(tx, NETIF_ERROR);
	}
	return false;
}

unsigned int netif_tx_burst(struct netif_tx *tx)
{
	unsigned int done;
	size_t bytes = 0;
	bool found;

	if (!tx->queue || tx->broken)
		return 0;
	for (done = 0; done < TX_BURST && bytes < TX_BURST_BYTES; done++) {
		if (!tx->held && !next_frame(tx, &found)) {
			if (!found || tx->broken)
				break;
			continue;
		}
		bytes += tx->bytes;
		if (!send_frame(tx))
			break;
	}
	publish(tx, done);
	return done;
}

void netif_tx_stop(struct netif_tx *tx)
{
	if (tx->held) {
		unpin_frame(tx);
		xen_back_untake(&tx->ring, tx->requests + tx->extras);
	}
	tx->held = tx->paid = false;
	tx->queue->ring[0].position = xen_back_position(&tx->ring);
	tx->queue = NULL;
	stats_add(&tx->stats->active, -1);
}
