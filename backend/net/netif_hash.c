// SPDX-License-Identifier: MIT OR GPL-2.0
#include "backend/net/netif_hash.h"

#include <string.h>

#include "backend/net/netif_headers.h"

#define ETHERNET_BYTES 14
#define PORTS_BYTES    4
#define INPUT_BYTES    (2 * 16 + PORTS_BYTES)

_Static_assert(NETIF_HASH_KEY_BYTES >= INPUT_BYTES + sizeof(uint32_t),
	       "the window ends in the key");

static uint32_t load32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

/* For each bit that is set: the 32 bits of the key that begin where it stands. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *input, unsigned int bytes)
{
	uint32_t window = load32(key), value = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		for (int bit = 7; bit >= 0; bit--) {
			value ^= window & -(uint32_t)(input[i] >> bit & 1);
			window = window << 1 | (key[i + 4] >> bit & 1);
		}
	}
	return value;
}

/* Of the two kinds for one family: with ports where the frame has them, if both are wanted. */
static bool choose(uint32_t flags, uint8_t plain, bool has_ports, uint8_t *type)
{
	if (has_ports && flags & 1U << (plain + 1))
		*type = plain + 1;
	else if (flags & 1U << plain)
		*type = plain;
	else
		return false;
	return true;
}

bool netif_hash_frame(const struct netif_hash *hash, const uint8_t *data, size_t length,
		      uint8_t *type, uint32_t *value)
{
	struct netif_headers headers;
	uint8_t input[INPUT_BYTES], plain;
	unsigned int at, bytes;
	bool has_ports = netif_headers_parse(&headers, data, length) && headers.tcp;

	if (length >= ETHERNET_BYTES + 20 && data[12] == 0x08 && data[13] == 0x00) {
		at = ETHERNET_BYTES + 12;
		bytes = 8;
		plain = 0;
	} else if (length >= ETHERNET_BYTES + 40 && data[12] == 0x86 && data[13] == 0xdd) {
		at = ETHERNET_BYTES + 8;
		bytes = 32;
		plain = 2;
	} else {
		return false;
	}
	if (!choose(hash->flags, plain, has_ports, type))
		return false;
	memcpy(input, data + at, bytes);
	if (*type != plain) {
		memcpy(input + bytes, data + headers.csum_start, PORTS_BYTES);
		bytes += PORTS_BYTES;
	}
	*value = toeplitz(hash->key, input, bytes);
	return true;
}

unsigned int netif_hash_queue(const struct netif_hash *hash, uint32_t value, unsigned int queues)
{
	return hash->mapping_size ? hash->mapping[value % hash->mapping_size] : value % queues;
}
