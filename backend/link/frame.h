/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A frame on its way between a guest and a link, and what its header may ask of the receiver.
 *
 * A frame always travels behind a struct frame_header in private memory: the kernel's own form of
 * "checksum still missing" and "this is many segments in one", which a tap takes and gives as it
 * is. It is bitwise the header of virtio-net; what a virtqueue adds to it (its length on the ring,
 * how many buffers were merged) stays in backend/net/.
 */
#ifndef PVKIT_BACKEND_LINK_FRAME_H
#define PVKIT_BACKEND_LINK_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "abi/types.h"

/* Not in the headers of kernels before 6.2. */
#define FRAME_GSO_UDP_L4 5

struct frame_header {
	uint8_t flags; /* VIRTIO_NET_HDR_F_… */
	uint8_t gso_type; /* VIRTIO_NET_HDR_GSO_… */
	uint16_t hdr_len; /* Ethernet, IP and transport headers together: a hint */
	uint16_t gso_size;
	uint16_t csum_start, csum_offset; /* sum from csum_start on, write it at start + offset */
	uint16_t num_buffers; /* the ring's; 0 on links */
};
ABI_ASSERT(sizeof(struct frame_header) == sizeof(struct virtio_net_hdr_v1));

/* An Ethernet header and two VLAN tags around the largest IP packet there is. */
#define FRAME_BYTES_MIN 14
#define FRAME_BYTES_MAX (14 + 8 + 65535)

/* What a receiver of frames does itself, so that the sender need not. */
enum frame_offload {
	FRAME_CSUM = 1, /* a checksum that covers the pseudo header only; the others need it */
	FRAME_TSO4 = 2,
	FRAME_TSO6 = 4,
	FRAME_ECN = 8, /* TCP segments with CWR set on the first */
	FRAME_UFO = 16,
	FRAME_USO4 = 32,
	FRAME_USO6 = 64,
};

enum frame_verdict {
	FRAME_GOOD = 0,
	FRAME_SHORT, /* shorter than an Ethernet header: no payload, or no header even */
	FRAME_LONG, /* longer than any frame can be */
	FRAME_BAD_CSUM, /* checksum field past the end, or not negotiated */
	FRAME_BAD_GSO, /* segmentation of an unknown kind, without size, or not negotiated */
	FRAME_BAD_HEADER, /* header length past the end */
};

/*
 * Whether a receiver that does @offloads can be given a frame of @length bytes (behind the header)
 * under @header, a private copy. Fields that mean nothing for this frame are cleared: what leaves
 * is only what was checked.
 */
enum frame_verdict frame_check(struct frame_header *header, size_t length, unsigned int offloads);

/* In words. */
const char *frame_verdict_text(enum frame_verdict verdict);

#endif
