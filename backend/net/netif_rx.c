// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * As with virtqueues the kernel puts a frame straight into the guest's pages, so requests are taken,
 * and their grants pinned, ahead of time; a frame uses up the first few, the others stay for the next
 * (backend/net/rx.c says what a guest is waited for and when it must do).
 *
 * A response stands in the slot of its request, and the extra of a GSO frame in the slot behind its
 * first. Whether a frame has one is not known before it is there. So where the guest takes GSO the
 * second page is left out: a GSO frame then lies as it must,
 *
 *	pages		0	1	2	3
 *	GSO		data	extra	data	data
 *	one page	data	(next frame's)
 *	several, plain	data	data ←	data ←	–	rare: frames of large MTUs; moved up by copies
 *
 * A front-end that asked for hashes by the control ring gets a second extra with each frame that has
 * one. It also says which queue a hash belongs to: a frame that came by another queue of the link is
 * handed on, by a copy (netif_inbox.h).
 *
 * netif does not say where a missing checksum goes: a guest finds it by the headers. Where it would
 * not find it, or does not take such frames of this kind, the checksum is completed here.
 *
 * Pins of pages that are answered end before the answers are published.
 */
#include <errno.h>
#include <string.h>

#include "backend/link/scatter.h"
#include "backend/net/netif_headers.h"
#include "backend/net/netif_rx.h"
#include "common/log.h"
#include "common/stats.h"

#define RX_BURST       64
#define RX_BURST_BYTES (256 << 10)

static struct log_limit rx_limit;

static struct netif_rx_page *staged(struct netif_rx *rx, unsigned int n)
{
	return &rx->page[(rx->first + n) % NETIF_RX_STAGED];
}

static uint32_t room_of_page(const struct netif_rx *rx)
{
	return HOST_PAGE_BYTES - rx->terms.headroom;
}

/* Pages for the largest frame, and its extras. */
static void want_pages(struct netif_rx *rx)
{
	rx->gap = rx->terms.gso + netif_hash_active(&rx->hash);
	rx->wanted = 1 + netif_hash_active(&rx->hash);
	if (rx->terms.sg)
		rx->wanted = (FRAME_BYTES_MAX + room_of_page(rx) - 1) / room_of_page(rx) + rx->gap;
	/* A ring that never has so many is as good as it can be. */
	if (rx->wanted > rx->ring.ring.size)
		rx->wanted = rx->ring.ring.size;
}

void netif_rx_set_hash(struct netif_rx *rx, const struct netif_hash *hash,
		       const struct netif_steering *steering)
{
	rx->hash = *hash;
	rx->steering = steering;
	if (rx->queue)
		want_pages(rx);
}

int netif_rx_start(struct netif_rx *rx, const struct xen_device *device, struct xen_queue *queue,
		   const struct netif_rx_terms *terms)
{
	if (xen_back_init(&rx->ring, &queue->ring[1].area, queue->ring[1].position))
		return -EINVAL;
	rx->device = device;
	rx->queue = queue;
	rx->terms = *terms;
	rx->broken = rx->make_do = rx->blocked = false;
	rx->first = rx->count = 0;
	want_pages(rx);
	stats_add(&rx->stats->active, 1);
	return 0;
}

void netif_rx_stop(struct netif_rx *rx)
{
	unsigned int i;

	for (i = 0; i < rx->count; i++)
		host_unpin(rx->device->host, &staged(rx, i)->pin);
	xen_back_untake(&rx->ring, rx->count);
	rx->count = 0;
	rx->queue->ring[1].position = xen_back_position(&rx->ring);
	rx->queue = NULL;
	stats_add(&rx->stats->active, -1);
}

static bool staged_enough(const struct netif_rx *rx)
{
	return rx->count >= rx->wanted || (rx->count && (rx->make_do || rx->blocked));
}

bool netif_rx_ready(const struct netif_rx *rx)
{
	return rx->queue && !rx->broken && staged_enough(rx);
}

bool netif_rx_starving(const struct netif_rx *rx)
{
	return rx->queue && !rx->broken && !staged_enough(rx);
}

/* ---- staging --------------------------------------------------------------------------------- */

/* A response for the oldest request that was taken. */
static void answer(struct netif_rx *rx, uint16_t id, uint16_t flags, int status)
{
	const struct netif_rx_rsp response = {
		.id = id,
		.offset = rx->terms.headroom,
		.flags = flags,
		.status = status,
	};

	xen_back_answer(&rx->ring, &response, sizeof(response));
}

/* Takes one request. False: there is none, or none that can be used before those that are staged. */
static bool stage_one(struct netif_rx *rx, unsigned int *refused)
{
	struct netif_rx_page *page = staged(rx, rx->count);
	struct netif_rx_req request;
	int error;

	switch (xen_back_take(&rx->ring, &request, sizeof(request))) {
	case XEN_RING_FOUND:
		break;
	case XEN_RING_BROKEN:
		rx->broken = true;
		stats_add(&rx->stats->broken, 1);
		xen_queue_broken(rx->device, rx->queue, &rx->ring.ring, "it connects again");
		return false;
	case XEN_RING_EMPTY:
		return false;
	}
	page->id = request.id;
	page->pin = (struct host_pin){.reference = request.grant, .write = true};
	error = host_pin(rx->device->host, &page->pin);
	if (!error) {
		rx->count++;
		return true;
	}
	if (rx->count) {
		/* Answers are in the order of requests: its turn comes. */
		xen_back_untake(&rx->ring, 1);
		rx->blocked = true;
		return false;
	}
	log_peer(&rx_limit, "%s: queue %u: rx request %u of grant %u: %s: handed back",
		 rx->device->name, rx->queue->index, request.id, request.grant, strerror(-error));
	stats_add(&rx->stats->errors, 1);
	answer(rx, request.id, 0, NETIF_ERROR);
	(*refused)++;
	return true;
}

/* Answers how many requests were handed back at once. */
static unsigned int stage(struct netif_rx *rx)
{
	unsigned int refused = 0;

	rx->blocked = false;
	while (rx->count < rx->wanted && refused < RX_BURST)
		if (!stage_one(rx, &refused))
			break;
	if (rx->count >= rx->wanted)
		rx->make_do = false;
	return refused;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static struct iovec page_piece(struct netif_rx *rx, unsigned int n)
{
	return (struct iovec){(char *)staged(rx, n)->pin.page + rx->terms.headroom,
			      room_of_page(rx)};
}

/* Where the frame goes. Answers how many pieces, the header's among them. */
static unsigned int list_pieces(struct netif_rx *rx)
{
	unsigned int count = 0, i;

	rx->piece[count++] = (struct iovec){&rx->header, sizeof(rx->header)};
	for (i = 0; i < rx->count && (!i || rx->terms.sg); i++)
		if (!i || i > rx->gap)
			rx->piece[count++] = page_piece(rx, i);
	return count;
}

/* What the link wrote of the frame, in ->piece[1] and so on. Answers how many pieces. */
static unsigned int cut_pieces(struct netif_rx *rx, size_t length)
{
	unsigned int count = 0;

	while (length) {
		struct iovec *piece = &rx->piece[++count];

		if (piece->iov_len > length)
			piece->iov_len = length;
		length -= piece->iov_len;
	}
	return count;
}

static void put_byte(struct netif_rx *rx, unsigned int count, size_t at, uint8_t value)
{
	unsigned int i;

	for (i = 1; i <= count; at -= rx->piece[i++].iov_len) {
		if (at < rx->piece[i].iov_len) {
			((uint8_t *)rx->piece[i].iov_base)[at] = value;
			return;
		}
	}
}

/* Completes the checksum: its place holds the sum of the pseudo header. */
static void complete_checksum(struct netif_rx *rx, unsigned int count)
{
	size_t at = rx->header.csum_start + rx->header.csum_offset;
	uint16_t sum = ~netif_headers_sum(&rx->piece[1], count, rx->header.csum_start);

	if (!sum && rx->header.csum_offset == 6)
		sum = 0xffff; /* in UDP 0 says that there is none */
	put_byte(rx, count, at, sum >> 8);
	put_byte(rx, count, at + 1, sum);
	rx->header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
}

/* Whether the guest finds the checksum that is missing, and takes a frame without it. */
static bool finds_checksum(const struct netif_rx *rx, unsigned int count)
{
	uint8_t data[NETIF_HEADERS_BYTES];
	struct netif_headers headers;
	size_t length = scatter_gather(data, sizeof(data), &rx->piece[1], count);

	return netif_headers_parse(&headers, data, length) &&
	       headers.csum_start == rx->header.csum_start &&
	       headers.csum_offset == rx->header.csum_offset &&
	       (headers.ipv6 ? rx->terms.csum_v6 : rx->terms.csum_v4);
}

static bool is_gso(const struct netif_rx *rx)
{
	return rx->header.gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

/* Whether the frame is one for this guest; completes what the guest would not. */
static bool frame_ready(struct netif_rx *rx, size_t length, unsigned int count)
{
	uint8_t destination[6];

	if (frame_check(&rx->header, length, rx->terms.offloads) != FRAME_GOOD)
		return false;
	/* There is one page at least, and a frame that was checked is longer than its address. */
	memcpy(destination, rx->piece[1].iov_base, sizeof(destination));
	if (!netif_groups_pass(rx->groups, destination))
		return false;
	if (rx->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !finds_checksum(rx, count)) {
		if (is_gso(rx))
			return false;
		complete_checksum(rx, count);
	}
	return true;
}

static unsigned int extras_of(const struct netif_rx *rx)
{
	return is_gso(rx) + rx->hashed;
}

/* A frame with fewer extras than were awaited: into pages with as large a gap as it needs. */
static void close_gap(struct netif_rx *rx, unsigned int count)
{
	unsigned int i;

	if (extras_of(rx) == rx->gap)
		return;
	for (i = 2; i <= count; i++) {
		struct iovec to = page_piece(rx, i - 1 + extras_of(rx));

		memcpy(to.iov_base, rx->piece[i].iov_base, rx->piece[i].iov_len);
	}
}

static uint16_t response_flags(const struct netif_rx *rx)
{
	if (rx->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return NETIF_RX_CSUM_BLANK | NETIF_RX_DATA_VALIDATED;
	return rx->header.flags & VIRTIO_NET_HDR_F_DATA_VALID ? NETIF_RX_DATA_VALIDATED : 0;
}

/* The oldest page is done with; its response is to be staged next. */
static uint16_t use_page(struct netif_rx *rx)
{
	struct netif_rx_page *page = staged(rx, 0);

	host_unpin(rx->device->host, &page->pin);
	rx->first = (rx->first + 1) % NETIF_RX_STAGED;
	rx->count--;
	return page->id;
}

static void answer_gso(struct netif_rx *rx)
{
	const struct netif_extra extra = {
		.type = NETIF_EXTRA_GSO,
		.flags = rx->hashed ? NETIF_EXTRA_MORE : 0,
		.u.gso.size = rx->header.gso_size,
		.u.gso.type =
			(rx->header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV6
				? NETIF_GSO_TCPV6
				: NETIF_GSO_TCPV4,
	};

	use_page(rx);
	xen_back_answer(&rx->ring, &extra, sizeof(extra));
}

static void answer_hash(struct netif_rx *rx)
{
	const struct netif_extra extra = {
		.type = NETIF_EXTRA_HASH,
		.u.hash.type = rx->hash_type,
		.u.hash.algorithm = NETIF_HASH_ALGORITHM_TOEPLITZ,
		.u.hash.value = {rx->hash_value, rx->hash_value >> 8, rx->hash_value >> 16,
				 rx->hash_value >> 24},
	};

	use_page(rx);
	xen_back_answer(&rx->ring, &extra, sizeof(extra));
}

/* Stages the responses of a good frame in @count pieces. Answers how many requests that took. */
static unsigned int answer_frame(struct netif_rx *rx, unsigned int count)
{
	uint16_t flags = response_flags(rx);
	unsigned int i;

	if (extras_of(rx))
		flags |= NETIF_RX_EXTRA_INFO;
	for (i = 1; i <= count; i++) {
		uint16_t more = i < count ? NETIF_RX_MORE_DATA : 0;

		answer(rx, use_page(rx), flags | more, rx->piece[i].iov_len);
		if (i == 1 && is_gso(rx))
			answer_gso(rx);
		if (i == 1 && rx->hashed)
			answer_hash(rx);
		flags = 0;
	}
	return count + extras_of(rx);
}

/* Which queue it belongs to; and its hash, where it has one. */
static unsigned int hash_frame(struct netif_rx *rx, unsigned int count)
{
	uint8_t data[NETIF_HEADERS_BYTES];
	size_t length;

	rx->hashed = false;
	if (!netif_hash_active(&rx->hash))
		return rx->link_queue;
	length = scatter_gather(data, sizeof(data), &rx->piece[1], count);
	rx->hashed = netif_hash_frame(&rx->hash, data, length, &rx->hash_type, &rx->hash_value);
	if (!rx->hashed || !rx->steering)
		return rx->link_queue;
	return netif_hash_queue(&rx->hash, rx->hash_value, rx->steering->queues);
}

/* The pages stay staged, for the next frame. */
static unsigned int hand_on(struct netif_rx *rx, unsigned int queue, unsigned int count,
			    size_t length)
{
	if (!netif_inbox_put(rx->steering->inbox[queue], &rx->header, &rx->piece[1], count, length))
		stats_add(&rx->stats->dropped, 1);
	return 0;
}

/*
 * Completes a frame of @length bytes that was received; one that was handed on to us is not handed on
 * again. Answers how many requests it took.
 */
static unsigned int finish_frame(struct netif_rx *rx, size_t length, bool handed_on)
{
	struct stats_queue *stats = rx->stats;
	unsigned int count = cut_pieces(rx, length), queue = hash_frame(rx, count);

	if (queue != rx->link_queue && !handed_on)
		return hand_on(rx, queue, count, length);
	/* With few pages staged there may be no place for an extra; a hash can be left out. */
	if (rx->hashed && rx->count < count + extras_of(rx))
		rx->hashed = false;
	if (!frame_ready(rx, length, count) || rx->count < count + extras_of(rx)) {
		stats_add(&stats->dropped, 1);
		return 0;
	}
	close_gap(rx, count);
	stats_add(&stats->requests[STATS_NET_FRAME], 1);
	stats_add(&stats->bytes_out, length);
	if (is_gso(rx))
		stats_add(&stats->requests[STATS_NET_GSO], 1);
	return answer_frame(rx, count);
}

static void publish(struct netif_rx *rx, unsigned int done)
{
	if (!done)
		return;
	xen_back_publish(&rx->ring);
	stats_add(&rx->stats->batch[stats_batch_bucket(done)], 1);
	if (xen_back_should_notify(&rx->ring)) {
		host_notify(rx->device->host, rx->queue->ring[1].channel);
		stats_add(&rx->stats->interrupts, 1);
	} else {
		stats_add(&rx->stats->interrupts_suppressed, 1);
	}
}

/* From another queue, into the pages that the link would fill. 0: there is none. */
static ssize_t take_handed_on(struct netif_rx *rx, unsigned int count, size_t room)
{
	struct netif_inbox *inbox = rx->steering ? rx->steering->inbox[rx->link_queue] : NULL;
	const struct netif_inbox_slot *slot = inbox ? netif_inbox_first(inbox) : NULL;
	ssize_t bytes = -EMSGSIZE;

	if (!slot)
		return 0;
	if (sizeof(rx->header) + slot->bytes <= room) {
		rx->header = slot->header;
		scatter_spread(&rx->piece[1], count - 1, slot->frame, slot->bytes);
		bytes = sizeof(rx->header) + slot->bytes;
	}
	netif_inbox_take(inbox);
	return bytes;
}

/* Or one that is lost: it does not fit. */
static bool is_frame(ssize_t bytes)
{
	return bytes >= (ssize_t)sizeof(struct frame_header) || bytes == -EMSGSIZE ||
	       bytes == -EFAULT;
}

/*
 * From the queue's own link and from other queues in turn, so that neither keeps the other away; from
 * one when the other has none: 0 then means both. @dry: the link had none, and is not asked again.
 */
static ssize_t next_frame(struct netif_rx *rx, unsigned int turn, bool *dry, bool *handed_on)
{
	unsigned int count = list_pieces(rx), i;
	ssize_t bytes = 0;
	size_t room = 0;

	for (i = 0; i < count; i++)
		room += rx->piece[i].iov_len;
	for (i = 0; i < 2; i++) {
		*handed_on = (turn + i) & 1;
		if (*handed_on)
			bytes = take_handed_on(rx, count, room);
		else if (!*dry)
			bytes = rx->link->ops->receive(rx->link, rx->link_queue, rx->piece, count,
						       room);
		if (is_frame(bytes))
			return bytes;
		*dry |= !*handed_on;
	}
	return 0;
}

bool netif_rx_handed_on(struct netif_rx *rx)
{
	return netif_rx_ready(rx) && rx->steering &&
	       netif_inbox_first(rx->steering->inbox[rx->link_queue]);
}

unsigned int netif_rx_burst(struct netif_rx *rx)
{
	unsigned int frames, done = 0, refused = 0;
	bool dry = false, handed_on;
	size_t burst_bytes = 0;
	ssize_t bytes;

	if (!rx->queue || rx->broken)
		return 0;
	for (frames = 0; frames < RX_BURST && burst_bytes < RX_BURST_BYTES; frames++) {
		refused += stage(rx);
		if (rx->broken || !staged_enough(rx))
			break;
		bytes = next_frame(rx, frames, &dry, &handed_on);
		if (!bytes)
			break;
		if (bytes < 0) {
			stats_add(&rx->stats->dropped, 1);
			continue;
		}
		done += finish_frame(rx, bytes - sizeof(rx->header), handed_on);
		burst_bytes += bytes;
	}
	publish(rx, done + refused);
	return frames + refused;
}
