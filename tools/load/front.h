/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The device that pvkit-load drives: its connection, its memory, its rings.
 */
#ifndef PVKIT_TOOLS_LOAD_FRONT_H
#define PVKIT_TOOLS_LOAD_FRONT_H

#include "hypervisor-shim/hvm/vhost_user.h"
#include "ring/virtqueue.h"
#include "tools/load/config.h"

/*
 * Memory that is shared with the back-end, given out from its beginning and never taken back. Guest
 * addresses begin far from user addresses, so that a back-end which confuses them fails at once.
 */
struct load_memory {
	struct vhost_user_region region;
	uint64_t used;
};

struct load_queue {
	unsigned int index; /* of the ring in its device */
	int kick, call;
	uint64_t kicks, wakeups;
	struct virtqueue_areas areas;
	struct virtqueue_driver ring;
};

struct load_front {
	const struct load_config *config;
	struct vhost_user_front vhost;
	struct load_memory memory;
	uint64_t features; /* negotiated */
	uint64_t capacity; /* blk: bytes that are used */
	unsigned int queue_count;
	struct load_queue *queues[2 * LOAD_QUEUES_MAX];
};

/*
 * Connects, negotiates, and prepares all rings, with @extra bytes of shared memory for requests
 * besides. The rings run after load_front_start(). All of these die with a line on failure.
 */
void load_front_open(struct load_front *front, const struct load_config *config, uint64_t extra);
void load_front_start(struct load_front *front);
void load_front_stop(struct load_front *front);
/* Without waiting for the back-end when it is gone. */
void load_front_close(struct load_front *front);

/* @size bytes, aligned to @align (a power of two), zeroed; their guest address in @address. */
void *load_memory_take(struct load_memory *memory, uint64_t size, uint64_t align,
		       uint64_t *address);

/* The ring that worker @index drives. */
struct load_queue *load_front_queue(struct load_front *front, unsigned int index);

/* Publishes what was added, and kicks where that is wanted. */
void load_queue_publish(struct load_queue *queue);
/* Sleeps until the back-end interrupts, @milliseconds at most, or not at all if something is done. */
void load_queue_sleep(struct load_queue *queue, int milliseconds);

#endif
