// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What fronts of all transports have in common.
 */
#include "tools/load/front.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

#define FRONT_GUEST_BASE 0x100000000ULL

/* ---- memory --------------------------------------------------------------------------------- */

void load_memory_open(struct load_memory *memory, uint64_t size)
{
	struct vhost_user_region *region = &memory->region;

	/* In 2 MiB, which back-ends round regions to when they like huge pages. */
	size = (size + (1ULL << 21) - 1) & ~((1ULL << 21) - 1);
	region->fd = memfd_create("pvkit-load", MFD_CLOEXEC);
	if (region->fd < 0 || ftruncate(region->fd, size) < 0)
		die_errno("no %llu bytes of shared memory; use fewer --queues or less --depth or "
			  "--block-size",
			  (unsigned long long)size);
	region->host =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, region->fd, 0);
	if (region->host == MAP_FAILED)
		die_errno("no %llu bytes of shared memory; use fewer --queues or less --depth or "
			  "--block-size",
			  (unsigned long long)size);
	region->guest_address = FRONT_GUEST_BASE;
	region->size = size;
	region->fd_offset = 0;
	memory->used = 0;
}

void load_memory_close(struct load_memory *memory)
{
	munmap(memory->region.host, memory->region.size);
	close(memory->region.fd);
}

void *load_memory_take(struct load_memory *memory, uint64_t size, uint64_t align, uint64_t *address)
{
	uint64_t offset = (memory->used + align - 1) & ~(align - 1);

	if (size > memory->region.size || offset > memory->region.size - size)
		die("the shared memory of %llu bytes is too small",
		    (unsigned long long)memory->region.size);
	memory->used = offset + size;
	*address = memory->region.guest_address + offset;
	return (char *)memory->region.host + offset;
}

/* ---- the disk ------------------------------------------------------------------------------- */

void load_front_take_disk(struct load_front *front, uint64_t bytes, bool read_only)
{
	const struct load_config *config = front->config;
	uint64_t least = config->block_size * config->queues;

	front->capacity = bytes;
	if (config->size > front->capacity)
		die("--size: the disk has only %llu bytes; leave --size out to use them all",
		    (unsigned long long)front->capacity);
	if (config->size)
		front->capacity = config->size;
	if (config->verify) /* a block must be free while all others of a queue are in flight */
		least *= config->depth + 1;
	if (front->capacity < least)
		die("%s: %llu bytes are too few for this load, which needs %llu", config->path,
		    (unsigned long long)front->capacity, (unsigned long long)least);
	if (config->reads < 100 && read_only)
		die("%s: the disk is read-only; use --reads=100", config->path);
}

/* ---- queues --------------------------------------------------------------------------------- */

struct load_queue *load_queue_new(struct load_front *front, unsigned int index, size_t size)
{
	struct load_queue *queue = aligned_alloc(64, (size + 63) & ~63UL);

	if (!queue)
		die_errno("no memory for queue %u", index);
	memset(queue, 0, size);
	queue->index = index;
	queue->kick = queue->call = -1;
	queue->config = front->config;
	queue->wire = load_wire_of(front->config);
	return queue;
}

struct load_queue *load_front_queue(struct load_front *front, unsigned int index)
{
	switch (front->config->device) {
	case LOAD_NET_RX:
		return front->queues[2 * index];
	case LOAD_NET_TX:
		return front->queues[2 * index + 1];
	default:
		return front->queues[index];
	}
}

void load_queue_publish(struct load_queue *queue)
{
	const uint64_t one = 1;

	if (!queue->wire->publish(queue))
		return;
	queue->kicks++;
	/* EAGAIN: the counter is full, so the back-end has a kick waiting. */
	if (write(queue->kick, &one, sizeof(one)) < 0 && errno != EAGAIN)
		die_errno("kick of queue %u", queue->index);
}

void load_queue_sleep(struct load_queue *queue, int milliseconds)
{
	struct pollfd poll_fd = {.fd = queue->call, .events = POLLIN};
	uint64_t value;

	if (!queue->wire->arm(queue) && poll(&poll_fd, 1, milliseconds) > 0 &&
	    read(queue->call, &value, sizeof(value)) == sizeof(value))
		queue->wakeups++;
	queue->wire->disarm(queue);
}

/* ---- the front ------------------------------------------------------------------------------ */

const struct load_transport *load_transport_of(const struct load_config *config)
{
	return config->ring == LOAD_XEN ? &load_xen : &load_virtio;
}

const struct load_wire *load_wire_of(const struct load_config *config)
{
	return load_transport_of(config)->wires[config->device];
}

void load_front_open(struct load_front *front, const struct load_config *config, uint64_t extra)
{
	memset(front, 0, sizeof(*front));
	front->config = config;
	front->transport = load_transport_of(config);
	front->connection = -1;
	front->backend = (pid_t)config->backend_pid;
	front->queue_count = config->device == LOAD_BLK ? config->queues : 2 * config->queues;
	front->transport->open(front, extra);
}

void load_front_start(struct load_front *front)
{
	front->transport->start(front);
}

bool load_front_stop(struct load_front *front)
{
	return front->transport->stop(front);
}

void load_front_close(struct load_front *front)
{
	unsigned int i;

	front->transport->close(front);
	for (i = 0; i < front->queue_count; i++) {
		close(front->queues[i]->kick);
		close(front->queues[i]->call);
		free(front->queues[i]);
	}
	load_memory_close(&front->memory);
}
