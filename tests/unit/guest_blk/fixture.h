/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A wire of the block front-end and a back-end on the same ring.
 */
#ifndef PVKIT_TESTS_UNIT_GUEST_BLK_FIXTURE_H
#define PVKIT_TESTS_UNIT_GUEST_BLK_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "guest-drivers/blk/wire.h"

#define SLOTS_MAX 512

struct fixture {
	struct xen_ring_area area;
	struct wire wire;
	struct xen_shadow_entry entry[SLOTS_MAX];
	struct xen_back back;
	char token[SLOTS_MAX];
};

static inline struct fixture *fixture_new(uint32_t pages)
{
	struct xen_ring_position start = {0, 0};
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	fx->area.bytes = pages * XEN_RING_PAGE_BYTES;
	fx->area.slot_bytes = BLKIF_SLOT_BYTES;
	fx->area.pages = aligned_alloc(XEN_RING_PAGE_BYTES, fx->area.bytes);
	assert_non_null(fx->area.pages);
	memset(fx->area.pages, 0x5a, fx->area.bytes);
	assert_int_equal(wire_open(&fx->wire, &fx->area, fx->entry), 0);
	assert_int_equal(xen_back_init(&fx->back, &fx->area, start), 0);
	return fx;
}

static inline void fixture_free(struct fixture *fx)
{
	free(fx->area.pages);
	free(fx);
}

/* A write of one segment, on the ring but not shown. */
static inline void put_write(struct fixture *fx, uint64_t sector, void *token)
{
	struct wire_request request;

	assert_true(wire_reserve(&fx->wire));
	wire_build(&request, BLKIF_WRITE, sector);
	wire_add(&request, 9, 512, 1024);
	assert_int_equal(wire_put(&fx->wire, &request, token), 0);
}

static inline void answer(struct fixture *fx, uint64_t id, uint8_t operation, int16_t status)
{
	struct blkif_rsp response = {.id = id, .operation = operation, .status = status};

	xen_back_answer(&fx->back, &response, sizeof(response));
	xen_back_publish(&fx->back);
}

#endif
