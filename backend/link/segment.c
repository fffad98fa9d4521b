// SPDX-License-Identifier: MIT OR GPL-2.0
#include <string.h>

#include "backend/link/segment.h"

#define ETHERTYPE_AT      12
#define ETHERTYPE_IPV4    0x0800
#define ETHERTYPE_IPV6    0x86dd
#define ETHERTYPE_VLAN    0x8100
#define ETHERTYPE_QINQ    0x88a8
#define IPV6_HEADER_BYTES 40
#define PROTOCOL_TCP      6
#define TCP_CHECKSUM_AT   16
#define UDP_CHECKSUM_AT   6
#define TCP_FIN           0x01
#define TCP_PSH           0x08
#define TCP_CWR           0x80

static uint16_t load16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void store16(uint8_t *p, uint16_t value)
{
	p[0] = value >> 8;
	p[1] = value;
}

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)load16(p) << 16 | load16(p + 2);
}

static void store32(uint8_t *p, uint32_t value)
{
	store16(p, value >> 16);
	store16(p + 2, value);
}

/* Adds up 16-bit words; 64 KiB of them fit into 32 bits. */
static uint32_t sum(uint32_t total, const uint8_t *p, size_t length)
{
	for (; length > 1; p += 2, length -= 2)
		total += load16(p);
	if (length)
		total += p[0] << 8;
	return total;
}

static uint16_t fold(uint32_t total)
{
	total = (total & 0xffff) + (total >> 16);
	return ~(uint16_t)(total + (total >> 16));
}

/* The pseudo header's sum stands in the field already: it is summed with the rest. */
static void complete_checksum(struct segmenter *s)
{
	size_t start = s->header.csum_start, field = start + s->header.csum_offset;
	uint16_t checksum = fold(sum(0, s->frame + start, s->length - start));

	/* UDP has 0 for "none". */
	if (!checksum && s->header.csum_offset == UDP_CHECKSUM_AT)
		checksum = 0xffff;
	store16(s->frame + field, checksum);
}

/* Finds the headers of a TCP frame. -1 where they are not as the frame's header says. */
static int find_headers(struct segmenter *s)
{
	size_t at = ETHERTYPE_AT;
	uint16_t type;

	/* While there is a tag with a type behind it. */
	while (at + 6 <= s->length &&
	       (load16(s->frame + at) == ETHERTYPE_VLAN || load16(s->frame + at) == ETHERTYPE_QINQ))
		at += 4;
	s->network = at + 2;
	s->transport = s->header.csum_start;
	if (s->transport + 20 > s->length)
		return -1;
	type = load16(s->frame + at);
	s->ipv6 = type == ETHERTYPE_IPV6;
	if (s->ipv6) {
		if (s->network + IPV6_HEADER_BYTES > s->transport)
			return -1;
	} else if (type != ETHERTYPE_IPV4 || s->network + 20 > s->transport ||
		   s->network + (s->frame[s->network] & 15) * 4 != s->transport) {
		return -1;
	}
	s->headers = s->transport + (s->frame[s->transport + 12] >> 4) * 4;
	if (s->headers < s->transport + 20 || s->headers > s->length)
		return -1;
	return 0;
}

int segmenter_begin(struct segmenter *s, unsigned int offloads)
{
	struct frame_header wanted = s->header;

	s->done = 0;
	s->index = 0;
	s->cutting = false;
	s->out = s->frame;
	s->out_length = s->length;
	if (frame_check(&wanted, s->length, offloads) == FRAME_GOOD) {
		s->out_header = wanted;
		return 0;
	}

	memset(&s->out_header, 0, sizeof(s->out_header));
	switch (s->header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		complete_checksum(s);
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->cutting = true;
		return s->header.csum_offset == TCP_CHECKSUM_AT ? find_headers(s) : -1;
	}
	return -1;
}

/* The IP header of the segment in ->segment, whose TCP header and payload are @length long. */
static void fix_network(struct segmenter *s, size_t length)
{
	uint8_t *ip = s->segment + s->network;
	size_t ip_bytes = s->transport - s->network;

	if (s->ipv6) {
		store16(ip + 4, ip_bytes - IPV6_HEADER_BYTES + length);
		return;
	}
	store16(ip + 2, ip_bytes + length);
	store16(ip + 4, load16(ip + 4) + s->index);
	store16(ip + 10, 0);
	store16(ip + 10, fold(sum(0, ip, ip_bytes)));
}

static void fix_transport(struct segmenter *s, size_t length, bool last)
{
	const uint8_t *ip = s->segment + s->network;
	uint8_t *tcp = s->segment + s->transport;
	uint32_t total;

	store32(tcp + 4, load32(tcp + 4) + s->done);
	if (!last)
		tcp[13] &= ~(TCP_FIN | TCP_PSH);
	if (s->index)
		tcp[13] &= ~TCP_CWR;
	total = s->ipv6 ? sum(PROTOCOL_TCP, ip + 8, 32) : sum(PROTOCOL_TCP, ip + 12, 8);
	store16(tcp + TCP_CHECKSUM_AT, 0);
	store16(tcp + TCP_CHECKSUM_AT, fold(sum(total + length, tcp, length)));
}

static bool next_segment(struct segmenter *s)
{
	size_t left = s->length - s->headers - s->done;
	size_t payload = left < s->header.gso_size ? left : s->header.gso_size;
	size_t length = s->headers - s->transport + payload;

	if (!left && s->index)
		return false;
	memcpy(s->segment, s->frame, s->headers);
	memcpy(s->segment + s->headers, s->frame + s->headers + s->done, payload);
	fix_network(s, length);
	fix_transport(s, length, payload == left);
	s->out = s->segment;
	s->out_length = s->headers + payload;
	s->done += payload;
	s->index++;
	return true;
}

bool segmenter_next(struct segmenter *s)
{
	if (s->cutting)
		return next_segment(s);
	return !s->index++;
}
