// SPDX-License-Identifier: MIT OR GPL-2.0
#include "backend/link/frame.h"

#define TCP_HEADER_BYTES 20
#define UDP_HEADER_BYTES 8

/* What a frame of @gso_type asks of its receiver; 0: there is no such type. */
static unsigned int gso_offloads(uint8_t gso_type)
{
	unsigned int ecn = gso_type & VIRTIO_NET_HDR_GSO_ECN ? FRAME_ECN : 0;

	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return FRAME_TSO4 | ecn;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return FRAME_TSO6 | ecn;
	case VIRTIO_NET_HDR_GSO_UDP:
		return ecn ? 0 : FRAME_UFO;
	case FRAME_GSO_UDP_L4:
		/* The kernel takes both or none, and the type does not say which it is. */
		return ecn ? 0 : FRAME_USO4 | FRAME_USO6;
	}
	return 0;
}

static enum frame_verdict check_gso(struct frame_header *header, size_t length,
				    unsigned int offloads)
{
	unsigned int needed = gso_offloads(header->gso_type);
	unsigned int transport;

	if (!needed || (offloads & needed) != needed || !header->gso_size)
		return FRAME_BAD_GSO;
	/* The specification's MUST; segments without a checksum to fill in make no sense. */
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return FRAME_BAD_GSO;
	transport = needed & (FRAME_TSO4 | FRAME_TSO6) ? TCP_HEADER_BYTES : UDP_HEADER_BYTES;
	if (header->csum_start + transport > length)
		return FRAME_BAD_GSO;
	if (header->hdr_len > length)
		return FRAME_BAD_HEADER;
	return FRAME_GOOD;
}

enum frame_verdict frame_check(struct frame_header *header, size_t length, unsigned int offloads)
{
	if (length < FRAME_BYTES_MIN)
		return FRAME_SHORT;
	if (length > FRAME_BYTES_MAX)
		return FRAME_LONG;

	header->num_buffers = 0;
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (!(offloads & FRAME_CSUM))
		header->flags &= ~VIRTIO_NET_HDR_F_DATA_VALID;

	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!(offloads & FRAME_CSUM))
			return FRAME_BAD_CSUM;
		/* Both are 16 bits wide, so the sum does not wrap. */
		if ((size_t)header->csum_start + header->csum_offset + 2 > length)
			return FRAME_BAD_CSUM;
	} else {
		header->csum_start = 0;
		header->csum_offset = 0;
	}

	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return check_gso(header, length, offloads);
	header->gso_size = 0;
	header->hdr_len = 0;
	return FRAME_GOOD;
}

const char *frame_verdict_text(enum frame_verdict verdict)
{
	switch (verdict) {
	case FRAME_GOOD:
		return "good";
	case FRAME_SHORT:
		return "no whole Ethernet header";
	case FRAME_LONG:
		return "longer than a frame can be";
	case FRAME_BAD_CSUM:
		return "checksum field past the end, or offload not negotiated";
	case FRAME_BAD_GSO:
		return "segmentation malformed or not negotiated";
	case FRAME_BAD_HEADER:
		return "header length past the end";
	}
	return "unknown";
}
