/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's end of the store's ring page (abi/store.h): two byte streams.
 *
 * Indices of our own are kept here and only ever written to the page; the store's are read once,
 * and believed only when they are possible. Nothing here sleeps or locks: one writer and one
 * reader.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_STORE_RING_H
#define PVKIT_GUEST_KERNEL_MODULE_STORE_RING_H

#include <linux/types.h>

#include "abi/store.h"

struct store_ring {
	struct store_ring_page *page;
	u32 request_producer;
	u32 response_consumer;
};

/* Takes the page over as it is. False: there are bytes of an earlier life in it. */
bool pvkit_store_ring_open(struct store_ring *ring, struct store_ring_page *page);

/* Both ends begin anew: the store has reset all indices. */
void pvkit_store_ring_reset(struct store_ring *ring);

/*
 * Up to @size bytes: how many fitted, or were there. 0: none for now; -EPROTO: the store's index is
 * impossible. The store is to be notified after each that is not 0.
 */
int pvkit_store_ring_write(struct store_ring *ring, const void *data, u32 size);
int pvkit_store_ring_read(struct store_ring *ring, void *data, u32 size);

/* Whether write or read would not answer 0. */
bool pvkit_store_ring_writable(const struct store_ring *ring);
bool pvkit_store_ring_readable(const struct store_ring *ring);

#endif
