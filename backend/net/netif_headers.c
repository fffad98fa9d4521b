// SPDX-License-Identifier: MIT OR GPL-2.0
#include <string.h>

#include "backend/net/netif_headers.h"

#define ETHERNET_BYTES 14
#define TYPE_IPV4      0x0800
#define TYPE_IPV6      0x86dd
#define IPV4_BYTES     20
#define IPV6_BYTES     40
#define TCP_BYTES      20
#define UDP_BYTES      8

enum protocol {
	HOP_BY_HOP = 0,
	TCP = 6,
	UDP = 17,
	ROUTING = 43,
	DESTINATION_OPTIONS = 60,
};

static uint16_t load16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

/* The transport's protocol, and where it begins. -1: none. */
static int skip_ipv4(const uint8_t *data, size_t length, size_t *at)
{
	const uint8_t *ip = data + *at;
	size_t bytes;

	if (length < *at + IPV4_BYTES || ip[0] >> 4 != 4)
		return -1;
	bytes = (ip[0] & 15) * 4;
	/* A fragment has no checksum of its own. */
	if (bytes < IPV4_BYTES || load16(ip + 6) & 0x3fff)
		return -1;
	*at += bytes;
	return ip[9];
}

static int skip_ipv6(const uint8_t *data, size_t length, size_t *at)
{
	int next;

	if (length < *at + IPV6_BYTES || data[*at] >> 4 != 6)
		return -1;
	next = data[*at + 6];
	*at += IPV6_BYTES;
	while (next == HOP_BY_HOP || next == ROUTING || next == DESTINATION_OPTIONS) {
		if (length < *at + 8)
			return -1;
		next = data[*at];
		*at += 8 * (data[*at + 1] + 1);
	}
	return next;
}

static bool set_tcp(struct netif_headers *headers, const uint8_t *data, size_t length, size_t at)
{
	size_t bytes;

	if (length < at + TCP_BYTES)
		return false;
	bytes = (data[at + 12] >> 4) * 4;
	if (bytes < TCP_BYTES)
		return false;
	headers->tcp = true;
	headers->csum_offset = 16;
	headers->length = at + bytes;
	return true;
}

static bool set_udp(struct netif_headers *headers, size_t length, size_t at)
{
	if (length < at + UDP_BYTES)
		return false;
	headers->csum_offset = 6;
	headers->length = at + UDP_BYTES;
	return true;
}

bool netif_headers_parse(struct netif_headers *headers, const uint8_t *data, size_t length)
{
	size_t at = ETHERNET_BYTES;
	int protocol = -1;

	memset(headers, 0, sizeof(*headers));
	if (length < ETHERNET_BYTES)
		return false;
	headers->ipv6 = load16(data + 12) == TYPE_IPV6;
	if (headers->ipv6)
		protocol = skip_ipv6(data, length, &at);
	else if (load16(data + 12) == TYPE_IPV4)
		protocol = skip_ipv4(data, length, &at);
	headers->csum_start = at;
	if (protocol == TCP)
		return set_tcp(headers, data, length, at);
	return protocol == UDP && set_udp(headers, length, at);
}

uint16_t netif_headers_sum(const struct iovec *pieces, unsigned int count, size_t start)
{
	uint64_t sum = 0;
	bool odd = false;
	unsigned int i;
	size_t j;

	for (i = 0; i < count; i++) {
		const uint8_t *byte = pieces[i].iov_base;

		for (j = start; j < pieces[i].iov_len; j++) {
			sum += odd ? byte[j] : byte[j] << 8;
			odd = !odd;
		}
		start = start > pieces[i].iov_len ? start - pieces[i].iov_len : 0;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}
