// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A chain becomes a frame in three steps: the header is copied to private memory, once; the copy is
 * checked; the frame goes to the link as the copy, followed by the guest's own pieces. So what the
 * guest does to its memory meanwhile changes payload only, and no payload is copied here.
 *
 * A chain that is no frame is dropped and counted, and its ring goes on: the guest that sent it loses
 * that frame and nothing else. A busy link holds one frame back and, behind it, the ring: nothing is
 * dropped for want of room.
 */
#include <errno.h>
#include <string.h>

#include "backend/net/publish.h"
#include "backend/net/tx.h"
#include "common/log.h"

/*
 * Frames, or bytes of large ones, that share a publish: enough to spread its cost, little enough that
 * the receive side of the pair, on the same thread, does not wait long.
 */
#define TX_BURST       64
#define TX_BURST_BYTES (256 << 10)

/* struct ring_iovec has the layout of struct iovec: its header says so, this makes sure. */
ABI_ASSERT(sizeof(struct ring_iovec) == sizeof(struct iovec));
ABI_ASSERT(offsetof(struct ring_iovec, length) == offsetof(struct iovec, iov_len));

static struct log_limit tx_limit;

void net_tx_start(struct net_tx *tx, struct backend_queue *queue, unsigned int offloads)
{
	const uint64_t long_header = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_NET_F_MRG_RXBUF;

	tx->queue = queue;
	tx->broken = false;
	tx->held = false;
	tx->offloads = offloads;
	tx->header_bytes = queue->features & long_header ? sizeof(struct frame_header)
							 : sizeof(struct virtio_net_hdr);
	stats_add(&tx->stats->active, 1);
	virtqueue_kicks_disable(&queue->ring);
}

void net_tx_stop(struct net_tx *tx)
{
	if (tx->held)
		virtqueue_unpop(&tx->queue->ring, &tx->chain);
	tx->held = false;
	tx->queue = NULL;
	stats_add(&tx->stats->active, -1);
}

bool net_tx_listens(const struct net_tx *tx)
{
	return tx->queue && !tx->broken && !tx->held;
}

/* Copies the header out of the chain's first pieces; what is left of them is the frame. */
static enum frame_verdict split_header(struct net_tx *tx)
{
	struct iovec *piece = &tx->piece[1];
	unsigned int count = tx->chain.readable;
	size_t missing = tx->header_bytes, part;
	uint8_t *to = (uint8_t *)&tx->header;

	memset(&tx->header, 0, sizeof(tx->header));
	while (missing && count) {
		part = piece->iov_len < missing ? piece->iov_len : missing;
		memcpy(to, piece->iov_base, part);
		to += part;
		missing -= part;
		piece->iov_base = (char *)piece->iov_base + part;
		piece->iov_len -= part;
		if (!piece->iov_len) {
			piece++;
			count--;
		}
	}
	if (!count)
		return FRAME_SHORT;
	tx->frame = piece - 1;
	tx->frame_pieces = count + 1;
	tx->frame_bytes = tx->chain.readable_bytes - tx->header_bytes;
	*tx->frame = (struct iovec){&tx->header, sizeof(tx->header)};
	return FRAME_GOOD;
}

/* Makes a checked frame of the chain in hand, or says in the log why it is none. */
static bool frame_ready(struct net_tx *tx)
{
	enum frame_verdict verdict;

	if (tx->chain.unusable || tx->chain.writable) {
		log_peer(&tx_limit, "%s: queue %u: transmit chain %u has %s: frame dropped",
			 tx->device, tx->queue->index, tx->chain.id,
			 tx->chain.writable ? "a writable buffer"
					    : "a buffer outside guest memory, or too many");
		return false;
	}
	verdict = split_header(tx);
	if (verdict == FRAME_GOOD && tx->frame_pieces > LINK_PIECES_MAX)
		verdict = FRAME_LONG;
	if (verdict == FRAME_GOOD) {
		/* A device's word, not a driver's. */
		tx->header.flags &= ~VIRTIO_NET_HDR_F_DATA_VALID;
		verdict = frame_check(&tx->header, tx->frame_bytes, tx->offloads);
	}
	if (verdict == FRAME_GOOD)
		return true;
	log_peer(&tx_limit, "%s: queue %u: transmit chain %u: %s: frame dropped", tx->device,
		 tx->queue->index, tx->chain.id, frame_verdict_text(verdict));
	return false;
}

/* Sends the frame in hand. False: the link is busy, the frame is held. */
static bool send_frame(struct net_tx *tx)
{
	struct stats_queue *stats = tx->stats;
	int result = tx->link->ops->send(tx->link, tx->link_queue, tx->frame, tx->frame_pieces);

	tx->held = result == -EAGAIN;
	if (tx->held)
		return false;
	if (result) {
		stats_add(&stats->dropped, 1);
		return true;
	}
	stats_add(&stats->requests[STATS_NET_FRAME], 1);
	stats_add(&stats->bytes_in, tx->frame_bytes);
	if (tx->header.gso_type)
		stats_add(&stats->requests[STATS_NET_GSO], 1);
	return true;
}

/* Takes the next chain in hand. */
static bool take_chain(struct net_tx *tx)
{
	tx->chain.iov = (struct ring_iovec *)&tx->piece[1];
	tx->chain.iov_max = VIRTQUEUE_SIZE_MAX;
	switch (virtqueue_pop(&tx->queue->ring, &tx->chain)) {
	case VIRTQUEUE_FOUND:
		return true;
	case VIRTQUEUE_BROKEN:
		tx->broken = true;
		stats_add(&tx->stats->broken, 1);
		backend_queue_broken(tx->queue, tx->device);
		break;
	case VIRTQUEUE_EMPTY:
		break;
	}
	return false;
}

unsigned int net_tx_burst(struct net_tx *tx)
{
	unsigned int done;
	size_t bytes = 0;

	if (!tx->queue || tx->broken)
		return 0;
	for (done = 0; done < TX_BURST && bytes < TX_BURST_BYTES; done++) {
		if (!tx->held) {
			if (!take_chain(tx))
				break;
			if (!frame_ready(tx)) {
				stats_add(&tx->stats->dropped, 1);
				virtqueue_push(&tx->queue->ring, tx->chain.id, tx->chain.slots, 0);
				continue;
			}
		}
		if (!send_frame(tx))
			break;
		bytes += tx->frame_bytes;
		virtqueue_push(&tx->queue->ring, tx->chain.id, tx->chain.slots, 0);
	}
	net_publish(tx->queue, tx->stats, done);
	return done;
}
