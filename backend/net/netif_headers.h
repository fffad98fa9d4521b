/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Where the checksum of a frame is. netif says only that it is missing; who completes it finds its
 * place by the frame's own headers, TCP or UDP over IPv4 or IPv6, as the Linux drivers of either
 * side do.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_HEADERS_H
#define PVKIT_BACKEND_NET_NETIF_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* An Ethernet header, the longest IPv4 or a usual IPv6 one, and all of TCP's. */
#define NETIF_HEADERS_BYTES 192

struct netif_headers {
	bool ipv6, tcp;
	uint16_t csum_start, csum_offset;
	uint16_t length; /* of all headers: of TCP with its options */
};

/* @data: private memory, the first @length bytes of a frame. False: none that netif knows. */
bool netif_headers_parse(struct netif_headers *headers, const uint8_t *data, size_t length);

/* The ones' complement sum from byte @start of the pieces on, folded, not complemented. */
uint16_t netif_headers_sum(const struct iovec *pieces, unsigned int count, size_t start);

#endif
