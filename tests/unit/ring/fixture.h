/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest of two regions with one virtqueue in it, driver and device side in the same process.
 */
#ifndef PVKIT_TESTS_UNIT_RING_FIXTURE_H
#define PVKIT_TESTS_UNIT_RING_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ring/virtqueue.h"

#define LOW_ADDRESS  0x10000ULL
#define HIGH_ADDRESS 0x100000000ULL
#define REGION_BYTES 0x100000ULL

#define AREA_BYTES   0x10000ULL
#define TABLES	     (LOW_ADDRESS + AREA_BYTES) /* indirect tables */
#define TABLE_BYTES  0x8000ULL
#define DATA	     (TABLES + TABLE_BYTES)

#define IOV_MAX_TEST 64

struct fixture {
	uint8_t *low, *high;
	struct guest_memory memory;
	struct virtqueue_areas areas;
	uint64_t features;
	struct virtqueue_device device;
	struct virtqueue_driver driver;
	struct ring_iovec iov[IOV_MAX_TEST];
	struct virtqueue_chain chain;
};

/* The same byte as the driver and as the device see it. */
static inline void *fixture_host(struct fixture *fx, uint64_t address)
{
	if (address >= HIGH_ADDRESS)
		return fx->high + (address - HIGH_ADDRESS);
	return fx->low + (address - LOW_ADDRESS);
}

/* Makes the ring look as if it had run up to @position, all chains used. */
static inline void fixture_start_split(struct fixture *fx, uint16_t position)
{
	struct vring_avail *avail = fx->areas.driver;
	struct vring_used *used = fx->areas.device;

	avail->idx = used->idx = position;
	avail->ring[fx->areas.size] = position; /* used_event */
	fx->driver.next_avail = fx->driver.next_used = fx->driver.used_seen = position;
}

static inline void fixture_start_packed(struct fixture *fx, uint16_t position)
{
	struct vring_packed_desc *ring = fx->areas.descriptors;
	uint16_t slot = position & 0x7fff, i;
	bool wrap = position >> 15;

	for (i = 0; i < fx->areas.size; i++)
		ring[i].flags = (i < slot) == wrap ? 0x8080 : 0;
	fx->driver.next_avail = fx->driver.next_used = slot;
	fx->driver.avail_wrap = fx->driver.used_wrap = wrap;
}

/* @position: split: the index; packed: slot | wrap << 15. */
static inline void fixture_start(struct fixture *fx, uint64_t features, uint16_t size,
				 uint16_t position)
{
	struct virtqueue_position both = {position, position};

	memset(fx->low, 0, AREA_BYTES);
	fx->features = features;
	fx->areas.descriptors = fx->low;
	fx->areas.driver = fx->low + 0x4000;
	fx->areas.device = fx->low + 0x8000;
	fx->areas.size = size;
	assert_int_equal(virtqueue_driver_init(&fx->driver, &fx->areas, features), 0);
	if (features & VIRTQUEUE_F_PACKED)
		fixture_start_packed(fx, position);
	else
		fixture_start_split(fx, position);
	assert_int_equal(
		virtqueue_device_init(&fx->device, &fx->areas, features, &fx->memory, both), 0);
	fx->chain.iov = fx->iov;
	fx->chain.iov_max = IOV_MAX_TEST;
}

static inline int fixture_setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->low = aligned_alloc(4096, REGION_BYTES);
	fx->high = aligned_alloc(4096, REGION_BYTES);
	memset(fx->low, 0, REGION_BYTES);
	memset(fx->high, 0, REGION_BYTES);
	guest_memory_add(&fx->memory, HIGH_ADDRESS, REGION_BYTES, fx->high);
	guest_memory_add(&fx->memory, LOW_ADDRESS, REGION_BYTES, fx->low);
	*state = fx;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *fx = *state;

	free(fx->low);
	free(fx->high);
	free(fx);
	return 0;
}

/* Lends a chain of one readable and one writable buffer under @token. */
static inline void fixture_add(struct fixture *fx, void *token)
{
	struct virtqueue_buffer buffers[2] = {{DATA, 16}, {HIGH_ADDRESS, 32}};

	assert_int_equal(virtqueue_add(&fx->driver, buffers, 1, 1, token, NULL, 0), 0);
}

static inline void fixture_add_publish(struct fixture *fx, void *token)
{
	fixture_add(fx, token);
	virtqueue_driver_publish(&fx->driver);
}

#define fixture_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
