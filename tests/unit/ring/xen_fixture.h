/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A Xen ring, front-end and back-end in the same process, of any kind, begun anywhere.
 */
#ifndef PVKIT_TESTS_UNIT_RING_XEN_FIXTURE_H
#define PVKIT_TESTS_UNIT_RING_XEN_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/blkif.h"
#include "abi/netif.h"
#include "ring/xen_ring.h"
#include "ring/xen_shadow.h"

#define PAGES_MAX 16
#define SLOTS_MAX 8192 /* the smallest slots in the largest area */

struct xen_fixture {
	struct xen_ring_area area;
	struct xen_ring_header *header;
	struct xen_back back;
	struct xen_front front;
	struct xen_shadow shadow;
	struct xen_shadow_entry entry[SLOTS_MAX];
};

struct xen_variant {
	const char *name;
	uint32_t pages;
	uint32_t slot_bytes, request_bytes, response_bytes;
	uint32_t size; /* slots that there must be */
	uint32_t start; /* indices begin here */
};

#define XEN_VARIANTS 7

/*
 * The rings of all devices, small and large; @turn moves where they begin, before and behind the
 * wrap.
 */
static inline struct xen_variant xen_variant(unsigned int number, unsigned int turn)
{
	static const struct xen_variant all[XEN_VARIANTS] = {
		{"blkif", 1, BLKIF_SLOT_BYTES, BLKIF_SLOT_BYTES, sizeof(struct blkif_rsp), 32, 0},
		{"blkif", 2, BLKIF_SLOT_BYTES, BLKIF_SLOT_BYTES, sizeof(struct blkif_rsp), 64, 0},
		{"blkif", 16, BLKIF_SLOT_BYTES, BLKIF_SLOT_BYTES, sizeof(struct blkif_rsp), 512, 0},
		{"netif tx", 1, NETIF_TX_SLOT_BYTES, 12, 8, 256, 0},
		{"netif rx", 1, NETIF_RX_SLOT_BYTES, 8, 8, 256, 0},
		{"netif control", 1, NETIF_CTRL_SLOT_BYTES, 16, 12, 128, 0},
		{"two slots", 1, 1344, 16, 16, 2, 0},
	};
	struct xen_variant v = all[number];

	v.start = 0u - 7 * turn - (number & 1) * v.size;
	return v;
}

static inline void xen_variant_print(const struct xen_variant *v, const char *what)
{
	print_message("  %s: %s, %u page%s, from %u\n", what, v->name, v->pages,
		      v->pages == 1 ? "" : "s", v->start);
}

/* Makes the ring look as if it had run up to @start, all requests answered. */
static inline void xen_fixture_start(struct xen_fixture *fx, const struct xen_variant *v)
{
	struct xen_ring_position position = {v->start, v->start};
	struct xen_front *front = &fx->front;

	memset(fx->area.pages, 0x5a, PAGES_MAX * XEN_RING_PAGE_BYTES);
	fx->area.bytes = v->pages * XEN_RING_PAGE_BYTES;
	fx->area.slot_bytes = v->slot_bytes;
	fx->header = fx->area.pages;
	assert_int_equal(xen_front_init(front, &fx->area), 0);
	assert_int_equal(front->ring.size, v->size);
	fx->header->req_prod = fx->header->rsp_prod = v->start;
	fx->header->req_event = fx->header->rsp_event = v->start + 1;
	front->req_prod = front->req_published = front->req_decided = v->start;
	front->rsp_cons = front->rsp_seen = v->start;
	front->rsp_event = v->start + 1;
	assert_int_equal(xen_back_init(&fx->back, &fx->area, position), 0);
	xen_shadow_init(&fx->shadow, fx->entry, v->size);
}

static inline int xen_fixture_setup(void **state)
{
	struct xen_fixture *fx = calloc(1, sizeof(*fx));

	/* Exactly as long as the largest area, so that the sanitizer sees a step outside. */
	fx->area.pages = aligned_alloc(4096, PAGES_MAX * XEN_RING_PAGE_BYTES);
	*state = fx;
	return 0;
}

static inline int xen_fixture_teardown(void **state)
{
	struct xen_fixture *fx = *state;

	free(fx->area.pages);
	free(fx);
	return 0;
}

#define xen_test(name) \
	cmocka_unit_test_setup_teardown(name, xen_fixture_setup, xen_fixture_teardown)

/* Of its own, so that two threads draw without sharing and each run is the same. */
static inline uint32_t xen_draw(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* A message of @bytes, all of it made from @number. */
static inline void xen_fill(void *message, uint32_t bytes, uint32_t number)
{
	uint32_t *word = message, i;

	for (i = 0; i < bytes / 4; i++)
		word[i] = number + i * 0x01010101;
}

static inline bool xen_filled(const void *message, uint32_t bytes, uint32_t number)
{
	const uint32_t *word = message;
	uint32_t i;

	for (i = 0; i < bytes / 4; i++)
		if (word[i] != number + i * 0x01010101)
			return false;
	return true;
}

#define MESSAGE_MAX 128

#endif
