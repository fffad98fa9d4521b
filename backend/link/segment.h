/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Does in software what a frame's header asks for and its receiver does not do: completes a checksum,
 * cuts a large TCP frame into segments. A tap has the kernel for that; where two guests are joined
 * directly and one of them negotiated less than the other, it falls to us. The slow path: it copies.
 */
#ifndef PVKIT_BACKEND_LINK_SEGMENT_H
#define PVKIT_BACKEND_LINK_SEGMENT_H

#include <stdbool.h>

#include "backend/link/frame.h"

struct segmenter {
	/* Filled in by the caller, private memory. */
	struct frame_header header;
	uint8_t frame[FRAME_BYTES_MAX];
	size_t length;

	/* Of a frame that is being cut. */
	bool cutting, ipv6;
	size_t network, transport, headers; /* offsets of the headers, and of the payload */
	size_t done; /* payload that went out */
	unsigned int index; /* of the next segment */

	/* The next frame to go out. */
	struct frame_header out_header;
	const uint8_t *out;
	size_t out_length;
	uint8_t segment[FRAME_BYTES_MAX];
};

/*
 * Looks at the frame that was filled in, which frame_check() found good for somebody. 0, or -1: it
 * cannot be brought into a form that a receiver with @offloads takes.
 */
int segmenter_begin(struct segmenter *s, unsigned int offloads);

/* The next frame into ->out and its neighbours. False: that was all. */
bool segmenter_next(struct segmenter *s);

#endif
