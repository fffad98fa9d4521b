/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From the guest to the link: one transmit virtqueue, served by its worker thread.
 */
#ifndef PVKIT_BACKEND_NET_TX_H
#define PVKIT_BACKEND_NET_TX_H

#include "backend/link/link.h"
#include "backend/queue.h"

struct stats_queue;

struct net_tx {
	/* Set once. */
	struct link *link;
	unsigned int link_queue;
	const char *device; /* for messages */
	struct stats_queue *stats;

	struct backend_queue *queue; /* NULL: stopped */
	bool broken;
	unsigned int header_bytes; /* of the virtio-net header */
	unsigned int offloads; /* that the guest may ask for */

	/* The frame in hand; held when the link was busy. */
	bool held;
	struct virtqueue_chain chain;
	struct frame_header header;
	struct iovec *frame; /* into piece[] */
	unsigned int frame_pieces;
	size_t frame_bytes;
	/* One in front, so that the private header has its place before whatever piece is first. */
	struct iovec piece[1 + VIRTQUEUE_SIZE_MAX];
};

/* @offloads: enum frame_offload that the guest negotiated to ask for. */
void net_tx_start(struct net_tx *tx, struct backend_queue *queue, unsigned int offloads);
/* What is in hand goes back to the ring, unsent. */
void net_tx_stop(struct net_tx *tx);

/* Sends what is there, up to a bound. Answers how many chains were done. */
unsigned int net_tx_burst(struct net_tx *tx);

/* Whether kicks are worth waiting for: not while stopped or the link is busy. */
bool net_tx_listens(const struct net_tx *tx);

#endif
