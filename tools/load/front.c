// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * From a socket to running rings.
 */
#include "tools/load/front.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/vhost_user.h"
#include "common/log.h"
#include "common/socket.h"

#define FRONT_GUEST_BASE 0x100000000ULL
#define FRONT_PAGE       4096ULL

#define BIT(n) (1ULL << (n))

/* ---- memory --------------------------------------------------------------------------------- */

static void load_memory_open(struct load_memory *memory, uint64_t size)
{
	struct vhost_user_region *region = &memory->region;

	/* In 2 MiB, which back-ends round regions to when they like huge pages. */
	size = (size + BIT(21) - 1) & ~(BIT(21) - 1);
	region->fd = memfd_create("pvkit-load", MFD_CLOEXEC);
	if (region->fd < 0 || ftruncate(region->fd, size) < 0)
		die_errno("%llu bytes of shared memory", (unsigned long long)size);
	region->host =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, region->fd, 0);
	if (region->host == MAP_FAILED)
		die_errno("%llu bytes of shared memory", (unsigned long long)size);
	region->guest_address = FRONT_GUEST_BASE;
	region->size = size;
	region->fd_offset = 0;
	memory->used = 0;
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

/* ---- negotiation ---------------------------------------------------------------------------- */

static uint64_t choose(const struct load_front *front, unsigned int wanted, uint64_t feature,
		       const char *option)
{
	if (wanted == LOAD_OFF)
		return 0;
	if (wanted == LOAD_ON && !(front->vhost.features & feature))
		die("--%s: the back-end at %s does not offer it", option, front->config->socket);
	return front->vhost.features & feature;
}

static uint64_t device_features(const struct load_front *front)
{
	const struct load_config *config = front->config;
	uint64_t wanted;

	if (config->device == LOAD_BLK)
		wanted = BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_FLUSH) |
			 BIT(VIRTIO_BLK_F_BLK_SIZE) |
			 (config->queues > 1 ? BIT(VIRTIO_BLK_F_MQ) : 0);
	else
		wanted = BIT(VIRTIO_NET_F_MRG_RXBUF) |
			 (config->queues > 1 ? BIT(VIRTIO_NET_F_MQ) : 0);
	return front->vhost.features & wanted;
}

/*
 * vhost-user does not say which device it is, but the offers do: every disk has a block size, for
 * which VIRTIO 1.0 has no bit at a NIC, and every NIC that is worth a load merges buffers.
 */
static void check_kind(const struct load_front *front)
{
	const struct load_config *config = front->config;
	bool disk = front->vhost.features & BIT(VIRTIO_BLK_F_BLK_SIZE);
	bool nic = front->vhost.features & BIT(VIRTIO_NET_F_MRG_RXBUF);

	if (config->device == LOAD_BLK ? nic && !disk : disk && !nic)
		die("%s: the back-end serves a %s, not a %s; use %s", config->socket,
		    nic ? "network device" : "disk", nic ? "disk" : "network device",
		    nic ? "--device=net-tx or net-rx" : "--device=blk");
}

static void negotiate(struct load_front *front)
{
	const struct load_config *config = front->config;
	uint64_t features = BIT(VIRTIO_F_VERSION_1);
	int error;

	if (!(front->vhost.features & features))
		die("%s: the back-end offers no VIRTIO 1.0", config->socket);
	check_kind(front);
	if (config->ring == LOAD_PACKED) {
		if (!(front->vhost.features & VIRTQUEUE_F_PACKED))
			die("--ring: the back-end at %s does not offer packed rings; use "
			    "--ring=split",
			    config->socket);
		features |= VIRTQUEUE_F_PACKED;
	}
	features |= choose(front, config->event_idx, VIRTQUEUE_F_EVENT_IDX, "event-idx");
	features |= choose(front, config->indirect, VIRTQUEUE_F_INDIRECT, "indirect");
	features |= choose(front, config->in_order, VIRTQUEUE_F_IN_ORDER, "in-order");
	features |= device_features(front);
	features |= front->vhost.features & BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	front->features = features;
	error = vhost_user_front_set_features(&front->vhost, features);
	if (error) {
		errno = -error;
		die_errno("%s: features 0x%llx", config->socket, (unsigned long long)features);
	}
}

static void connect_to_backend(struct load_front *front)
{
	const char *path = front->config->socket;
	uint64_t wanted = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			  BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	int fd = socket_connect(path, SOCK_STREAM), error;

	if (fd < 0) {
		errno = -fd;
		die_errno("%s: no back-end answers", path);
	}
	error = vhost_user_front_open(&front->vhost, fd, wanted);
	if (error) {
		errno = -error;
		die_errno("%s: no vhost-user back-end", path);
	}
}

static void read_blk_config(struct load_front *front)
{
	const struct load_config *config = front->config;
	struct virtio_blk_config blk = {0};
	int error = vhost_user_front_get_config(&front->vhost, 0, &blk, sizeof(blk));
	uint64_t least = config->block_size * config->queues;

	/* Back-ends of before 1.2 have a shorter one. */
	if (error)
		error = vhost_user_front_get_config(&front->vhost, 0, &blk, 60);
	if (error) {
		errno = -error;
		die_errno("%s: the configuration of a block device; --device=net-tx for a network "
			  "device",
			  config->socket);
	}
	front->capacity = blk.capacity * 512;
	if (config->size > front->capacity)
		die("--size: the disk has only %llu bytes", (unsigned long long)front->capacity);
	if (config->size)
		front->capacity = config->size;
	if (config->verify) /* a block must be free while all others of a queue are in flight */
		least *= config->depth + 1;
	if (front->capacity < least)
		die("%s: %llu bytes are too few for this load, which needs %llu", config->socket,
		    (unsigned long long)front->capacity, (unsigned long long)least);
	if (config->reads < 100 && (front->features & BIT(VIRTIO_BLK_F_RO)))
		die("%s: the disk is read-only; use --reads=100", config->socket);
	if ((front->features & BIT(VIRTIO_BLK_F_MQ)) && blk.num_queues < config->queues)
		die("--queues: the back-end at %s has only %u", config->socket, blk.num_queues);
}

/* ---- rings ---------------------------------------------------------------------------------- */

static uint64_t ring_bytes(const struct load_front *front)
{
	uint16_t size = front->config->queue_size;

	return virtqueue_descriptors_bytes(size, front->features) +
	       virtqueue_driver_bytes(size, front->features) +
	       virtqueue_device_bytes(size, front->features) + 3 * FRONT_PAGE;
}

static void *take_area(struct load_front *front, size_t bytes)
{
	uint64_t address;

	return load_memory_take(&front->memory, bytes, FRONT_PAGE, &address);
}

static struct load_queue *make_queue(struct load_front *front, unsigned int index)
{
	struct load_queue *queue = aligned_alloc(64, (sizeof(*queue) + 63) & ~63UL);
	uint16_t size = front->config->queue_size;

	if (!queue)
		die_errno("no memory for queue %u", index);
	memset(queue, 0, sizeof(*queue));
	queue->index = index;
	queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick < 0 || queue->call < 0)
		die_errno("eventfds of queue %u", index);
	queue->areas.size = size;
	queue->areas.descriptors =
		take_area(front, virtqueue_descriptors_bytes(size, front->features));
	queue->areas.driver = take_area(front, virtqueue_driver_bytes(size, front->features));
	queue->areas.device = take_area(front, virtqueue_device_bytes(size, front->features));
	if (virtqueue_driver_init(&queue->ring, &queue->areas, front->features) < 0)
		die("--queue-size: %u is impossible for this ring", size);
	if (front->config->wait == LOAD_POLL)
		virtqueue_interrupts_disable(&queue->ring);
	return queue;
}

void load_front_open(struct load_front *front, const struct load_config *config, uint64_t extra)
{
	unsigned int i;
	int error;

	memset(front, 0, sizeof(*front));
	front->config = config;
	connect_to_backend(front);
	negotiate(front);
	front->queue_count = config->device == LOAD_BLK ? config->queues : 2 * config->queues;
	/* Of a network device it says pairs. Without the MQ message nobody knows; then START tells. */
	if (front->vhost.queues_max > 1 && config->queues > front->vhost.queues_max)
		die("--queues: the back-end at %s has only %llu", config->socket,
		    (unsigned long long)front->vhost.queues_max);
	if (config->device == LOAD_BLK)
		read_blk_config(front);

	load_memory_open(&front->memory, front->queue_count * ring_bytes(front) + extra);
	error = vhost_user_front_set_memory(&front->vhost, &front->memory.region, 1);
	if (error) {
		errno = -error;
		die_errno("%s: sharing memory", config->socket);
	}
	for (i = 0; i < front->queue_count; i++)
		front->queues[i] = make_queue(front, i);
}

void load_front_start(struct load_front *front)
{
	bool packed = front->features & VIRTQUEUE_F_PACKED;
	uint16_t start = packed ? 0x8000 : 0; /* wrap counters begin at 1 */
	unsigned int i;

	for (i = 0; i < front->queue_count; i++) {
		const struct load_queue *queue = front->queues[i];
		struct vhost_user_ring ring = {
			.size = queue->areas.size,
			.position = {start, start},
			.descriptors = (uintptr_t)queue->areas.descriptors,
			.driver = (uintptr_t)queue->areas.driver,
			.device = (uintptr_t)queue->areas.device,
			.kick = queue->kick,
			.call = queue->call,
		};
		int error = vhost_user_front_start_ring(&front->vhost, i, &ring);

		if (error) {
			errno = -error;
			die_errno("%s: starting queue %u", front->config->socket, i);
		}
	}
}

void load_front_stop(struct load_front *front)
{
	struct virtqueue_position position;
	unsigned int i;

	for (i = 0; i < front->queue_count; i++)
		vhost_user_front_stop_ring(&front->vhost, i, &position);
}

void load_front_close(struct load_front *front)
{
	unsigned int i;

	vhost_user_front_close(&front->vhost);
	for (i = 0; i < front->queue_count; i++) {
		close(front->queues[i]->kick);
		close(front->queues[i]->call);
		free(front->queues[i]);
	}
	munmap(front->memory.region.host, front->memory.region.size);
	close(front->memory.region.fd);
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

	virtqueue_driver_publish(&queue->ring);
	if (!virtqueue_should_kick(&queue->ring))
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

	if (!virtqueue_interrupts_enable(&queue->ring) && poll(&poll_fd, 1, milliseconds) > 0 &&
	    read(queue->call, &value, sizeof(value)) == sizeof(value))
		queue->wakeups++;
	virtqueue_interrupts_disable(&queue->ring);
}
