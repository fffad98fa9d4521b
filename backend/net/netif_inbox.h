/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Frames that came by another queue of the link, and belong to this one by their hash. The link has put
 * each into pages of the queue where it came, so it is copied twice: out of them, and into pages here.
 * What the link steers right, by itself, never comes this way.
 *
 * Several workers put, the queue's own takes; none waits. A slot's turn says whose it is:
 *
 *	who puts					who takes
 *	turn = n (acquire): slot n is free
 *	CAS of the next to put, n → n + 1
 *	writes the frame
 *	turn = n + 1 (release)			→	turn = n + 1 (acquire): there
 *	rings, unless it is rung already		reads the frame
 *	turn = n (acquire): free again		←	turn = n + slots (release)
 *
 * Bell and sleep: whoever takes clears ->rung and then looks for frames; whoever puts has put, and then
 * sets ->rung, both by exchanges in one order, so a frame is seen or the descriptor is written. That
 * write may come late: who sleeps on the descriptor empties it when it wakes, found it anything or not.
 * So whoever is about to sleep has got NULL from netif_inbox_first() since it took the last frame.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_INBOX_H
#define PVKIT_BACKEND_NET_NETIF_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backend/link/frame.h"

#define NETIF_INBOX_SLOTS 64

struct netif_inbox_slot {
	_Atomic uint32_t turn;
	uint32_t bytes; /* of the frame, without its header */
	struct frame_header header;
	uint8_t frame[FRAME_BYTES_MAX];
};

struct netif_inbox {
	int bell; /* eventfd; readable: look */
	_Atomic bool rung;
	_Atomic uint32_t put; /* next */
	uint32_t taken; /* next; of who takes */
	struct netif_inbox_slot slot[NETIF_INBOX_SLOTS];
};

/* NULL without memory or descriptors. What no frame touches takes no memory. */
struct netif_inbox *netif_inbox_new(void);
/* NULL is allowed. Nobody uses it. */
void netif_inbox_free(struct netif_inbox *inbox);

/* Any thread. False: there is no place. */
bool netif_inbox_put(struct netif_inbox *inbox, const struct frame_header *header,
		     const struct iovec *pieces, unsigned int count, uint32_t bytes);

/* The owner: the oldest, or NULL. It stays there until netif_inbox_take(). */
const struct netif_inbox_slot *netif_inbox_first(struct netif_inbox *inbox);
void netif_inbox_take(struct netif_inbox *inbox);

#endif
