/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * How much a guest may send: so many bytes in so many microseconds, over all queues of the device, as
 * the key "rate" says it.
 *
 * No window begins or ends. What is kept is one time: when all credit will be there again. A frame
 * moves that time away by what it costs, and may go if it stays within the burst, which is the
 * credit of one interval, but at least that of the two largest frames: less would stop the guest for
 * good. The queues have that one word in common, and change it by compare-and-swap; without a limit
 * they only read.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_RATE_H
#define PVKIT_BACKEND_NET_NETIF_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NETIF_RATE_BYTES_MAX (1ULL << 40)
#define NETIF_RATE_US_MAX    1000000000ULL
#define NETIF_RATE_BURST_MIN 131072U

struct netif_rate {
	_Atomic uint64_t cost; /* of a byte, in ns << 16; 0: no limit */
	_Atomic uint64_t burst_ns;
	_Atomic uint64_t whole_at; /* CLOCK_MONOTONIC, ns */
};

/* "BYTES,MICROSECONDS", strictly; 0 microseconds: no limit. */
bool netif_rate_parse(const char *text, uint64_t *bytes, uint64_t *us);
/* From any thread, at any time; @us 0: no limit. */
void netif_rate_set(struct netif_rate *rate, uint64_t bytes, uint64_t us);
/* Takes the credit for a frame: 0; or nothing, and the ns after which there may be enough. */
uint64_t netif_rate_take(struct netif_rate *rate, uint32_t bytes);

#endif
