/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The shared ring under every Xen device: requests one way, responses the other way, in the same
 * slots.
 *
 * 1, 2, 4 … contiguous pages begin with the header; the slots follow at once, as many as fit,
 * rounded down to a power of two. All slots of a ring have one size, that of its largest request or
 * response. Indices run freely over 32 bits; index modulo slots is the place. Responses reuse the
 * slots whose requests were taken, in any order of requests, so at each moment, going round:
 *
 *	rsp_prod ≤ requests taken (the back-end knows) ≤ req_prod
 *		≤ responses taken (the front-end knows) + slots
 *
 *	front-end				back-end
 *	writes requests
 *	release: req_prod		→	acquire: req_prod
 *	full barrier				copies requests, once
 *	req_event passed? notify		…
 *						writes responses
 *	acquire: rsp_prod		←	release: rsp_prod
 *	copies responses, once			full barrier
 *						rsp_event passed? notify
 *	before sleep: rsp_event = taken + 1	before sleep: req_event = taken + 1
 *	full barrier, look at rsp_prod		full barrier, look at req_prod
 *
 * "Passed": the index moved from old to new, and old < event ≤ new in wrapping arithmetic, that is
 * new - event < new - old.
 */
#ifndef PVKIT_ABI_XEN_RING_H
#define PVKIT_ABI_XEN_RING_H

#include "abi/types.h"

struct xen_ring_header {
	uint32_t req_prod; /* front-end writes */
	uint32_t req_event; /* back-end writes */
	uint32_t rsp_prod; /* back-end writes */
	uint32_t rsp_event; /* front-end writes */
	uint8_t reserved[48];
};
ABI_ASSERT(sizeof(struct xen_ring_header) == 64);
ABI_ASSERT(offsetof(struct xen_ring_header, rsp_prod) == 8);

/*
 * What the front-end writes before it tells anybody: no requests, and both sides want the first
 * one.
 */
#define XEN_RING_FIRST_INDEX 0
#define XEN_RING_FIRST_EVENT 1

#define XEN_RING_PAGE_BYTES 4096

/* Pages of one ring at most, as a power of two: what blkif back-ends offer. */
#define XEN_RING_PAGE_ORDER_MAX 4

#endif
