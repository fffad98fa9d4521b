/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The hash of a frame over its addresses and ports, as the front-end configured it by the control ring
 * (abi/netif.h), and the queue that it leads to.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_HASH_H
#define PVKIT_BACKEND_NET_NETIF_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/netif.h"

/* Both as in Linux. The key is as long as the longest input needs: 36 bytes, and 32 bits more. */
#define NETIF_HASH_KEY_BYTES   40
#define NETIF_HASH_MAPPING_MAX 128
#define NETIF_HASH_FLAGS \
	(NETIF_HASH_IPV4 | NETIF_HASH_IPV4_TCP | NETIF_HASH_IPV6 | NETIF_HASH_IPV6_TCP)

/* All zeroes: no hash. Each queue has a copy of its own. */
struct netif_hash {
	uint32_t algorithm; /* enum netif_hash_algorithm */
	uint32_t flags; /* NETIF_HASH_* */
	uint32_t mapping_size; /* 0: hash modulo queues */
	uint8_t key[NETIF_HASH_KEY_BYTES];
	uint32_t mapping[NETIF_HASH_MAPPING_MAX]; /* each a queue that runs */
};

static inline bool netif_hash_active(const struct netif_hash *hash)
{
	return hash->algorithm == NETIF_HASH_ALGORITHM_TOEPLITZ && hash->flags;
}

/*
 * @data: private memory, the first @length bytes of a frame, NETIF_HEADERS_BYTES or all of it. False: it
 * is of no kind that is hashed. @type: the bit number of its NETIF_HASH_*.
 */
bool netif_hash_frame(const struct netif_hash *hash, const uint8_t *data, size_t length,
		      uint8_t *type, uint32_t *value);
unsigned int netif_hash_queue(const struct netif_hash *hash, uint32_t value, unsigned int queues);

#endif
