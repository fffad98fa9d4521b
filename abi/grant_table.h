/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Grant tables: which frames a domain lets which other domain touch.
 *
 * The table is memory that the granting guest writes; a reference is an index into it. Giving costs
 * no hypercall: the guest writes frame and domain, then, with release, the flags that make the
 * entry valid. Whoever uses the grant sets a use flag in it first, by compare-and-swap of flags and
 * domain together, so that a guest that takes the grant back sees whether its page is still in use:
 *
 *	granting guest				user (back-end, or the hypervisor for it)
 *	frame, domain; release: flags
 *	sends the reference		→	flags, domain: permitted? CAS in READING (WRITING)
 *						then reads the frame, once
 *						reads and writes the page
 *						clears its use flags when its last use is over
 *	CAS flags: no use flag → 0,
 *	the page is the guest's again;
 *	a use flag: not yet, try later
 *
 * A user that dies clears nothing; somebody does that for it, once nothing of it can touch the page
 * any more. That it hung up does not say so: a process that lives may have I/O in flight
 * (abi/attach.h, "reconnection").
 *
 * Version 1 has 8 bytes an entry, frame numbers of 32 bits, and the use flags in the entry. Version
 * 2 has 16 bytes, frames of 64 bits, parts of pages, grants of grants; there the use flags live in
 * the status frames, which the guest only reads:
 *
 *	granting guest				user
 *	flags to 0				READING (WRITING) into the status, by a locked OR
 *	full barrier				full barrier
 *	status clear: the page is the		flags, domain: still permitted? else clears what it
 *	guest's again; else: later		set, and has not got the grant
 *
 * Whichever barrier is second, its side sees what the other wrote. Both may step back at once, which
 * costs the guest another look later.
 */
#ifndef PVKIT_ABI_GRANT_TABLE_H
#define PVKIT_ABI_GRANT_TABLE_H

#include "abi/types.h"

/* ---- the table ------------------------------------------------------------------------------- */

#define GRANTS_RESERVED        8 /* references that no driver may allocate */
#define GRANT_RESERVED_CONSOLE 0
#define GRANT_RESERVED_STORE   1

/* Both versions begin an entry with these 32 bits, which are compared and swapped as one. */
struct grant_header {
	uint16_t flags; /* GRANT_* below */
	uint16_t domain; /* who may use it */
};
ABI_ASSERT(sizeof(struct grant_header) == 4);

struct grant_v1 {
	uint16_t flags;
	uint16_t domain;
	uint32_t frame; /* TRANSFER: the slot to fill */
};
ABI_ASSERT(sizeof(struct grant_v1) == 8);
ABI_ASSERT(offsetof(struct grant_v1, frame) == 4);

union grant_v2 {
	struct grant_header header;
	struct {
		struct grant_header header;
		uint32_t padding;
		uint64_t frame;
	} full_page;
	struct { /* GRANT_SUB_PAGE: for copies only, never mapped */
		struct grant_header header;
		uint16_t offset;
		uint16_t length;
		uint64_t frame;
	} sub_page;
	struct { /* GRANT_TRANSITIVE: a grant that this domain was given, passed on */
		struct grant_header header;
		uint16_t from_domain;
		uint16_t padding;
		uint32_t reference;
	} transitive;
	uint32_t words[4];
};
ABI_ASSERT(sizeof(union grant_v2) == 16);
ABI_ASSERT(offsetof(union grant_v2, full_page.frame) == 8);

/* Version 2: an entry's use flags, GRANT_READING and GRANT_WRITING, in the status frames. */
typedef uint16_t grant_status;

#define GRANT_V1_PER_FRAME     512
#define GRANT_V2_PER_FRAME     256
#define GRANT_STATUS_PER_FRAME 2048

/* ->flags: the type, and what goes with each type. */
#define GRANT_INVALID       0x0U
#define GRANT_PERMIT_ACCESS 0x1U
#define GRANT_TRANSFER      0x2U /* Xen: GTF_accept_transfer */
#define GRANT_TRANSITIVE    0x3U
#define GRANT_TYPE_MASK     0x3U

#define GRANT_READONLY (1U << 2)
#define GRANT_READING  (1U << 3) /* in use; set by the user */
#define GRANT_WRITING  (1U << 4) /* in use for writing, beside READING; set by the user */
#define GRANT_PWT      (1U << 5) /* cache attributes of the mapping */
#define GRANT_PCD      (1U << 6)
#define GRANT_PAT      (1U << 7)
#define GRANT_SUB_PAGE (1U << 8)

#define GRANT_TRANSFER_COMMITTED (1U << 2) /* with GRANT_TRANSFER: frame is about to change */
#define GRANT_TRANSFER_COMPLETED (1U << 3)

/* ---- grant_table_op -------------------------------------------------------------------------- */

/* The call's second argument is the address of structs, the third their count. */
enum grant_op {
	GRANT_OP_MAP = 0,
	GRANT_OP_UNMAP = 1,
	GRANT_OP_SETUP_TABLE = 2, /* count 1 */
	GRANT_OP_DUMP_TABLE = 3,
	GRANT_OP_TRANSFER = 4,
	GRANT_OP_COPY = 5,
	GRANT_OP_QUERY_SIZE = 6, /* count 1 */
	GRANT_OP_UNMAP_AND_REPLACE = 7,
	GRANT_OP_SET_VERSION = 8, /* count 1 */
	GRANT_OP_GET_STATUS_FRAMES = 9, /* count 1 */
	GRANT_OP_GET_VERSION = 10, /* count 1 */
	GRANT_OP_SWAP = 11,
	GRANT_OP_CACHE_FLUSH = 12,
};

/*
 * A struct's own ->status. The call as a whole fails only where it could not go through the
 * structs.
 */
enum grant_error {
	GRANT_OK = 0,
	GRANT_ERROR = -1,
	GRANT_BAD_DOMAIN = -2,
	GRANT_BAD_REFERENCE = -3,
	GRANT_BAD_HANDLE = -4,
	GRANT_BAD_ADDRESS = -5,
	GRANT_BAD_DEVICE_ADDRESS = -6,
	GRANT_NO_DEVICE_SPACE = -7,
	GRANT_DENIED = -8,
	GRANT_BAD_PAGE = -9,
	GRANT_BAD_COPY = -10, /* arguments cross a page */
	GRANT_ADDRESS_TOO_BIG = -11,
	GRANT_AGAIN = -12,
	GRANT_NO_SPACE = -13,
};

/* MAP. */
struct grant_map {
	uint64_t host_address; /* in: where, a page of the caller */
	uint32_t flags; /* in: GRANT_MAP_* */
	uint32_t reference; /* in */
	uint16_t domain; /* in: who granted */
	int16_t status; /* out */
	uint32_t handle; /* out: for UNMAP */
	uint64_t device_address; /* out */
};
ABI_ASSERT(sizeof(struct grant_map) == 32);
ABI_ASSERT(offsetof(struct grant_map, handle) == 20);

#define GRANT_MAP_DEVICE       (1U << 0)
#define GRANT_MAP_HOST         (1U << 1)
#define GRANT_MAP_READONLY     (1U << 2)
#define GRANT_MAP_APPLICATION  (1U << 3)
#define GRANT_MAP_CONTAINS_PTE (1U << 4)

/* UNMAP. */
struct grant_unmap {
	uint64_t host_address; /* in */
	uint64_t device_address; /* in: 0: none */
	uint32_t handle; /* in */
	int16_t status; /* out */
	uint16_t padding;
};
ABI_ASSERT(sizeof(struct grant_unmap) == 24);

/* UNMAP_AND_REPLACE. */
struct grant_unmap_and_replace {
	uint64_t host_address; /* in */
	uint64_t new_address; /* in */
	uint32_t handle; /* in */
	int16_t status; /* out */
	uint16_t padding;
};
ABI_ASSERT(sizeof(struct grant_unmap_and_replace) == 24);

/* SETUP_TABLE: the table grows to at least so many frames, and says where they are. */
struct grant_setup_table {
	uint16_t domain; /* in */
	uint16_t padding;
	uint32_t frames; /* in */
	int16_t status; /* out */
	uint16_t padding1[3];
	uint64_t frame_list; /* in: address of uint64_t[frames], which is out */
};
ABI_ASSERT(sizeof(struct grant_setup_table) == 24);
ABI_ASSERT(offsetof(struct grant_setup_table, frame_list) == 16);

/* QUERY_SIZE. */
struct grant_query_size {
	uint16_t domain; /* in */
	uint16_t padding;
	uint32_t frames; /* out: now */
	uint32_t frames_max; /* out */
	int16_t status; /* out */
	uint16_t padding1;
};
ABI_ASSERT(sizeof(struct grant_query_size) == 16);

/* TRANSFER: gives a frame away. */
struct grant_transfer {
	uint64_t frame; /* in */
	uint16_t domain; /* in */
	uint16_t padding;
	uint32_t reference; /* in */
	int16_t status; /* out */
	uint16_t padding1[3];
};
ABI_ASSERT(sizeof(struct grant_transfer) == 24);

/* COPY: at most a page, and across none. */
struct grant_copy_end {
	union {
		uint32_t reference; /* with GRANT_COPY_SOURCE_REFERENCE, _DEST_REFERENCE */
		uint64_t frame; /* a frame of the caller without */
	} u;
	uint16_t domain; /* in */
	uint16_t offset; /* in */
	uint16_t padding[2];
};
ABI_ASSERT(sizeof(struct grant_copy_end) == 16);

struct grant_copy {
	struct grant_copy_end source;
	struct grant_copy_end dest;
	uint16_t length; /* in */
	uint16_t flags; /* in: GRANT_COPY_* */
	int16_t status; /* out */
	uint16_t padding;
};
ABI_ASSERT(sizeof(struct grant_copy) == 40);
ABI_ASSERT(offsetof(struct grant_copy, length) == 32);

#define GRANT_COPY_SOURCE_REFERENCE (1U << 0)
#define GRANT_COPY_DEST_REFERENCE   (1U << 1)

/*
 * SET_VERSION: refused with EBUSY while a grant is in use, but for the reserved ones: those are kept,
 * said in the new layout; ERANGE where version 1 cannot say one. All other entries become zero.
 */
struct grant_set_version {
	uint32_t version; /* in: asked for; out: in force */
};
ABI_ASSERT(sizeof(struct grant_set_version) == 4);

/* GET_VERSION. */
struct grant_get_version {
	uint16_t domain; /* in */
	uint16_t padding;
	uint32_t version; /* out */
};
ABI_ASSERT(sizeof(struct grant_get_version) == 8);

/* GET_STATUS_FRAMES. */
struct grant_get_status_frames {
	uint32_t frames; /* in */
	uint16_t domain; /* in */
	int16_t status; /* out */
	uint64_t frame_list; /* in: address of uint64_t[frames], which is out */
};
ABI_ASSERT(sizeof(struct grant_get_status_frames) == 16);

/* SWAP. */
struct grant_swap {
	uint32_t reference_a; /* in */
	uint32_t reference_b; /* in */
	int16_t status; /* out */
	uint16_t padding;
};
ABI_ASSERT(sizeof(struct grant_swap) == 12);

#endif
