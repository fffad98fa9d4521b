/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest's side of one queue.
 */
#ifndef PVKIT_TESTS_UNIT_NET_FIXTURE_H
#define PVKIT_TESTS_UNIT_NET_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/queue.h"
#include "common/log.h"
#include "common/stats.h"
#include "test_link.h"

#define GUEST_BASE  0x40000000ULL
#define GUEST_BYTES (4 << 20)
#define RING_SIZE   256

/* A guest's memory with one queue in it, and the back-end's view of that queue. */
struct guest {
	struct guest_memory memory;
	uint8_t *ram;
	uint64_t next; /* free guest memory */
	struct virtqueue_areas areas;
	struct virtqueue_driver driver;
	struct backend_queue queue;
};

static inline void *guest_at(struct guest *guest, uint64_t address)
{
	return guest->ram + (address - GUEST_BASE);
}

static inline uint64_t guest_alloc(struct guest *guest, size_t bytes)
{
	uint64_t address = guest->next;

	guest->next += (bytes + 15) & ~15ULL;
	assert_true(guest->next <= GUEST_BASE + GUEST_BYTES);
	return address;
}

static inline void guest_attach(struct guest *guest, uint64_t features,
				struct virtqueue_position position)
{
	guest->queue.features = features;
	assert_int_equal(virtqueue_device_init(&guest->queue.ring, &guest->areas, features,
					       &guest->memory, position),
			 0);
}

static inline struct guest *guest_open(uint64_t features, unsigned int index)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	uint16_t start = features & VIRTQUEUE_F_PACKED ? 0x8000 : 0;

	assert_non_null(guest);
	guest->ram = aligned_alloc(4096, GUEST_BYTES);
	assert_non_null(guest->ram);
	memset(guest->ram, 0, GUEST_BYTES);
	guest->next = GUEST_BASE;
	assert_int_equal(guest_memory_add(&guest->memory, GUEST_BASE, GUEST_BYTES, guest->ram), 0);
	guest->areas.size = RING_SIZE;
	guest->areas.descriptors = guest_at(
		guest, guest_alloc(guest, virtqueue_descriptors_bytes(RING_SIZE, features)));
	guest->areas.driver =
		guest_at(guest, guest_alloc(guest, virtqueue_driver_bytes(RING_SIZE, features)));
	guest->areas.device =
		guest_at(guest, guest_alloc(guest, virtqueue_device_bytes(RING_SIZE, features)));
	assert_int_equal(virtqueue_driver_init(&guest->driver, &guest->areas, features), 0);
	guest->queue.index = index;
	guest->queue.kick = eventfd(0, EFD_NONBLOCK);
	guest->queue.call = eventfd(0, EFD_NONBLOCK);
	guest->queue.error = eventfd(0, EFD_NONBLOCK);
	guest_attach(guest, features, (struct virtqueue_position){start, start});
	return guest;
}

static inline void guest_close(struct guest *guest)
{
	close(guest->queue.kick);
	close(guest->queue.call);
	close(guest->queue.error);
	free(guest->ram);
	free(guest);
}

/* Lends one chain of @count buffers, the last @writable of them writable; kicks if asked to. */
static inline void guest_lend(struct guest *guest, const struct virtqueue_buffer *buffers,
			      unsigned int count, unsigned int writable, void *token)
{
	const uint64_t one = 1;

	assert_int_equal(
		virtqueue_add(&guest->driver, buffers, count - writable, writable, token, NULL, 0),
		0);
	virtqueue_driver_publish(&guest->driver);
	if (virtqueue_should_kick(&guest->driver))
		assert_int_equal(write(guest->queue.kick, &one, sizeof(one)), sizeof(one));
}

/* A buffer with these bytes in it. */
static inline struct virtqueue_buffer guest_buffer(struct guest *guest, const void *data,
						   uint32_t length)
{
	struct virtqueue_buffer buffer = {guest_alloc(guest, length), length};

	if (data)
		memcpy(guest_at(guest, buffer.address), data, length);
	return buffer;
}

/* Whether @token comes back next; *written may be NULL. */
static inline bool guest_reap(struct guest *guest, void *token, uint32_t *written)
{
	uint32_t length;
	void *reaped = NULL;

	if (virtqueue_reap(&guest->driver, &reaped, &length) != VIRTQUEUE_FOUND)
		return false;
	assert_ptr_equal(reaped, token);
	if (written)
		*written = length;
	return true;
}

#endif
