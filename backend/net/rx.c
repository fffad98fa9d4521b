// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The kernel puts a frame straight into the guest's buffers, so they must be known before the frame
 * is. Chains are therefore taken off the ring ahead of time and staged; a frame uses up the first few
 * of them, the others stay for the next. When the queue stops, staged chains go back to the ring as if
 * they had never been taken.
 *
 * With mergeable buffers enough is staged for the largest frame that the guest accepts. A guest that
 * has less than that on its ring is waited for a moment: a small wait costs less than a lost 64 KiB of
 * TCP. If it does not add any, what is there must do, and a frame that does not fit is dropped: a
 * guest with a small ring is served, too, and a guest that never adds buffers stalls itself only.
 * While there is nothing staged, the link is not looked at: frames wait in its queue, which is bounded.
 *
 * The header is received into private memory, checked against what this guest accepts, and then
 * written to where the guest has it, with the number of buffers.
 */
#include <errno.h>
#include <string.h>

#include "backend/link/scatter.h"
#include "backend/net/publish.h"
#include "backend/net/rx.h"
#include "common/log.h"

/*
 * Frames, or bytes of large ones, that share a publish: enough to spread its cost, little enough that
 * the first does not wait long for the last.
 */
#define RX_BURST       64
#define RX_BURST_BYTES (256 << 10)
/* Nothing larger is ever received; what a chain has beyond it is not listed. */
#define RX_CHAIN_BYTES_MAX (2 * FRAME_BYTES_MAX)

static struct log_limit rx_limit;

void net_rx_set_offloads(struct net_rx *rx, unsigned int offloads)
{
	rx->offloads = offloads;
}

void net_rx_start(struct net_rx *rx, struct backend_queue *queue, unsigned int offloads,
		  uint32_t frame_bytes)
{
	const uint64_t merge = 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	const uint64_t long_header = 1ULL << VIRTIO_F_VERSION_1 | merge;

	rx->queue = queue;
	rx->broken = false;
	rx->mergeable = queue->features & merge;
	rx->header_bytes = queue->features & long_header ? sizeof(struct frame_header)
							 : sizeof(struct virtio_net_hdr);
	rx->frame_max = rx->header_bytes + frame_bytes;
	rx->chain_first = rx->chain_count = 0;
	rx->staged_bytes = 0;
	rx->make_do = rx->blocked = rx->head_split = false;
	rx->piece_first = rx->piece_end = 1;
	net_rx_set_offloads(rx, offloads);
	stats_add(&rx->stats->active, 1);
	virtqueue_kicks_disable(&queue->ring);
}

/* Gives staged chains back, the last first: the ring goes backwards. */
void net_rx_stop(struct net_rx *rx)
{
	struct virtqueue_chain chain = {0};
	const struct rx_chain *last;

	while (rx->chain_count && !rx->broken) {
		last = &rx->chain[(rx->chain_first + --rx->chain_count) % RX_CHAINS];
		chain.id = last->id;
		chain.slots = last->slots;
		virtqueue_unpop(&rx->queue->ring, &chain);
	}
	rx->chain_count = 0;
	rx->queue = NULL;
	stats_add(&rx->stats->active, -1);
}

/* Whether what is staged takes any frame that the guest accepts. */
static bool staged_full(const struct net_rx *rx)
{
	return rx->chain_count && (!rx->mergeable || rx->staged_bytes >= rx->frame_max);
}

/* Or must do. */
static bool staged_enough(const struct net_rx *rx)
{
	return staged_full(rx) || (rx->chain_count && (rx->make_do || rx->blocked));
}

bool net_rx_ready(const struct net_rx *rx)
{
	return rx->queue && !rx->broken && rx->active && staged_enough(rx);
}

bool net_rx_starving(const struct net_rx *rx)
{
	return rx->queue && !rx->broken && rx->active && !staged_enough(rx);
}

/* ---- staging ------------------------------------------------------------------------------------ */

/* Moves the pieces to the front when a chain might not find room behind them. */
static void make_room(struct net_rx *rx)
{
	unsigned int count = rx->piece_end - rx->piece_first;

	if (rx->piece_end + LINK_PIECES_MAX <= 1 + RX_PIECES)
		return;
	memmove(&rx->piece[1], &rx->piece[rx->piece_first], count * sizeof(rx->piece[0]));
	rx->piece_first = 1;
	rx->piece_end = 1 + count;
}

/* Keeps of a chain no more than a frame can use. */
static void stage_chain(struct net_rx *rx, const struct virtqueue_chain *chain)
{
	struct rx_chain *staged = &rx->chain[(rx->chain_first + rx->chain_count) % RX_CHAINS];
	struct iovec *piece = &rx->piece[rx->piece_end];
	uint32_t bytes = 0;
	uint16_t i;

	for (i = 0; i < chain->writable && bytes < RX_CHAIN_BYTES_MAX; i++) {
		if (piece[i].iov_len > RX_CHAIN_BYTES_MAX - bytes)
			piece[i].iov_len = RX_CHAIN_BYTES_MAX - bytes;
		bytes += piece[i].iov_len;
	}
	*staged = (struct rx_chain){chain->id, chain->slots, i, bytes};
	rx->chain_count++;
	rx->piece_end += i;
	rx->staged_bytes += bytes;
}

/* A chain without room for a header and anything behind it, or not to be written. */
static bool chain_useless(const struct net_rx *rx, const struct virtqueue_chain *chain)
{
	return chain->unusable || chain->readable || chain->writable_bytes <= rx->header_bytes;
}

/* Hands a chain of no use back, or leaves it on the ring until those before it were used. */
static bool refuse_chain(struct net_rx *rx, const struct virtqueue_chain *chain)
{
	if (rx->chain_count) {
		virtqueue_unpop(&rx->queue->ring, chain);
		rx->blocked = true;
		return false;
	}
	log_peer(&rx_limit, "%s: queue %u: receive chain %u cannot take a frame: handed back",
		 rx->device, rx->queue->index, chain->id);
	stats_add(&rx->stats->errors, 1);
	virtqueue_push(&rx->queue->ring, chain->id, chain->slots, 0);
	return true;
}

/* Takes chains off the ring until enough is staged. Answers how many were handed back at once. */
static unsigned int stage(struct net_rx *rx)
{
	struct virtqueue_chain chain = {0};
	unsigned int refused = 0, room;

	rx->blocked = false;
	while (!staged_full(rx) && refused < RX_BURST) {
		make_room(rx);
		/* The header takes one; all must fit into one system call. */
		room = LINK_PIECES_MAX - 1 - (rx->piece_end - rx->piece_first);
		if (rx->chain_count == RX_CHAINS || !room) {
			rx->blocked = true;
			return refused;
		}
		chain.iov = (struct ring_iovec *)&rx->piece[rx->piece_end];
		chain.iov_max = room;
		switch (virtqueue_pop(&rx->queue->ring, &chain)) {
		case VIRTQUEUE_FOUND:
			break;
		case VIRTQUEUE_BROKEN:
			rx->broken = true;
			stats_add(&rx->stats->broken, 1);
			backend_queue_broken(rx->queue, rx->device);
			return refused;
		case VIRTQUEUE_EMPTY:
			return refused;
		}
		if (!chain_useless(rx, &chain))
			stage_chain(rx, &chain);
		else if (refuse_chain(rx, &chain))
			refused++;
		else
			return refused;
	}
	if (staged_full(rx))
		rx->make_do = false;
	return refused;
}

/* ---- frames ------------------------------------------------------------------------------------- */

/* Takes the place of the header out of the first chain's pieces: what is left is for the frame. */
static void split_head(struct net_rx *rx)
{
	struct rx_chain *head = &rx->chain[rx->chain_first];
	size_t missing = rx->header_bytes, part;
	struct iovec *piece;

	rx->header_pieces = 0;
	while (missing) {
		piece = &rx->piece[rx->piece_first];
		part = piece->iov_len < missing ? piece->iov_len : missing;
		rx->header_at[rx->header_pieces++] = (struct iovec){piece->iov_base, part};
		missing -= part;
		piece->iov_base = (char *)piece->iov_base + part;
		piece->iov_len -= part;
		if (!piece->iov_len) {
			rx->piece_first++;
			head->pieces--;
		}
	}
	rx->head_split = true;
}

/* One frame into what is staged. Answers as link->ops->receive(). */
static ssize_t receive_frame(struct net_rx *rx)
{
	const struct rx_chain *head = &rx->chain[rx->chain_first];
	struct iovec *pieces;
	unsigned int count;
	size_t room;

	if (!rx->head_split)
		split_head(rx);
	count = rx->mergeable ? rx->piece_end - rx->piece_first : head->pieces;
	room = (rx->mergeable ? rx->staged_bytes : head->bytes) - rx->header_bytes;
	/* In front is the reserved place, or one that the header or the last frame used up. */
	pieces = &rx->piece[rx->piece_first - 1];
	*pieces = (struct iovec){&rx->header, sizeof(rx->header)};
	return rx->link->ops->receive(rx->link, rx->link_queue, pieces, count + 1,
				      sizeof(rx->header) + room);
}

/* Hands over the chains that @bytes, the header among them, took. Answers how many. */
static unsigned int use_chains(struct net_rx *rx, size_t bytes)
{
	unsigned int used = 0;
	uint32_t part;

	while (bytes) {
		const struct rx_chain *chain = &rx->chain[rx->chain_first];

		part = bytes < chain->bytes ? bytes : chain->bytes;
		virtqueue_push(&rx->queue->ring, chain->id, chain->slots, part);
		bytes -= part;
		rx->staged_bytes -= chain->bytes;
		rx->piece_first += chain->pieces;
		rx->chain_first = (rx->chain_first + 1) % RX_CHAINS;
		rx->chain_count--;
		used++;
	}
	rx->head_split = false;
	return used;
}

/* Completes a frame of @length bytes that was received. Answers how many chains it took. */
static unsigned int finish_frame(struct net_rx *rx, size_t length)
{
	struct stats_queue *stats = rx->stats;
	unsigned int used;

	if (frame_check(&rx->header, length, rx->offloads) != FRAME_GOOD) {
		stats_add(&stats->dropped, 1);
		return 0;
	}
	used = use_chains(rx, rx->header_bytes + length);
	rx->header.num_buffers = used;
	/* Not visible before publish, so the order of push and header does not matter. */
	scatter_spread(rx->header_at, rx->header_pieces, &rx->header, rx->header_bytes);
	stats_add(&stats->requests[STATS_NET_FRAME], 1);
	stats_add(&stats->bytes_out, length);
	if (rx->header.gso_type)
		stats_add(&stats->requests[STATS_NET_GSO], 1);
	return used;
}

unsigned int net_rx_burst(struct net_rx *rx)
{
	unsigned int frames, done = 0;
	size_t burst_bytes = 0;
	ssize_t bytes;

	if (!rx->queue || rx->broken || !rx->active)
		return 0;
	for (frames = 0; frames < RX_BURST && burst_bytes < RX_BURST_BYTES; frames++) {
		done += stage(rx);
		if (rx->broken || !staged_enough(rx))
			break;
		bytes = receive_frame(rx);
		if (bytes == -EMSGSIZE || bytes == -EFAULT) {
			stats_add(&rx->stats->dropped, 1);
			continue;
		}
		if (bytes < (ssize_t)sizeof(rx->header))
			break;
		done += finish_frame(rx, bytes - sizeof(rx->header));
		burst_bytes += bytes;
	}
	net_publish(rx->queue, rx->stats, done);
	return done;
}
