/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From the link to the guest: one receive virtqueue, served by its worker thread.
 */
#ifndef PVKIT_BACKEND_NET_RX_H
#define PVKIT_BACKEND_NET_RX_H

#include "backend/link/link.h"
#include "backend/queue.h"

struct stats_queue;

/* Chains held ready: more than a 64 KiB frame takes of the buffers that drivers use. */
#define RX_CHAINS 256
/* Twice what a chain can have, so that room is made by moving only now and then. */
#define RX_PIECES (2 * LINK_PIECES_MAX)

struct rx_chain {
	uint16_t id, slots;
	uint16_t pieces; /* in net_rx.piece */
	uint32_t bytes;
};

struct net_rx {
	/* Set once. */
	struct link *link;
	unsigned int link_queue;
	const char *device; /* for messages */
	struct stats_queue *stats;

	struct backend_queue *queue; /* NULL: stopped */
	bool broken;
	bool active; /* the guest uses this pair: see net_device */
	bool mergeable; /* a frame may take several chains */
	unsigned int header_bytes;
	unsigned int offloads; /* what the guest accepts now */
	uint32_t frame_max; /* bytes, with header, that the largest frame takes */

	/* Staged chains, oldest first. */
	struct rx_chain chain[RX_CHAINS];
	unsigned int chain_first, chain_count;
	size_t staged_bytes;
	bool make_do; /* the guest gives no more for now: what is staged must do */
	bool blocked; /* the next chain on the ring is of no use and waits its turn */

	/* The first chain's header: where it goes, and what goes there. */
	bool head_split;
	unsigned int header_pieces;
	struct iovec header_at[sizeof(struct frame_header)];
	struct frame_header header;

	/* The pieces of all staged chains, [piece_first, piece_end), one free before and one behind. */
	unsigned int piece_first, piece_end;
	struct iovec piece[1 + RX_PIECES + 1];
};

/* @offloads: enum frame_offload that the guest accepts now; @frame_bytes: its largest frame. */
void net_rx_start(struct net_rx *rx, struct backend_queue *queue, unsigned int offloads,
		  uint32_t frame_bytes);
/* What is staged goes back to the ring, unused. */
void net_rx_stop(struct net_rx *rx);

/* The guest changed what it accepts. */
void net_rx_set_offloads(struct net_rx *rx, unsigned int offloads);

/* Receives what is there, up to a bound. Answers how many chains were done. */
unsigned int net_rx_burst(struct net_rx *rx);

/* Whether a frame could be received now. */
bool net_rx_ready(const struct net_rx *rx);
/* Whether only the guest can help: it is to kick when it has added buffers. */
bool net_rx_starving(const struct net_rx *rx);

#endif
