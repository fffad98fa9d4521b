// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Virtqueues: from a socket to running rings.
 */
#include "tools/load/virtio.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/vhost_user.h"
#include "common/log.h"
#include "common/socket.h"
#include "tools/load/request.h"

#define FRONT_PAGE 4096ULL

#define BIT(n) (1ULL << (n))

/* ---- negotiation ---------------------------------------------------------------------------- */

static uint64_t choose(const struct load_front *front, unsigned int wanted, uint64_t feature,
		       const char *option)
{
	if (wanted == LOAD_OFF)
		return 0;
	if (wanted == LOAD_ON && !(front->vhost.features & feature))
		die("--%s: the back-end at %s does not offer it; use --%s=auto", option,
		    front->config->path, option);
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
		die("%s: the back-end serves a %s, not a %s; use %s", config->path,
		    nic ? "network device" : "disk", nic ? "disk" : "network device",
		    nic ? "--device=net-tx or net-rx" : "--device=blk");
}

static void negotiate(struct load_front *front)
{
	const struct load_config *config = front->config;
	uint64_t features = BIT(VIRTIO_F_VERSION_1);
	int error;

	if (!(front->vhost.features & features))
		die("%s: the back-end offers no VIRTIO 1.0, which is needed; use a newer one",
		    config->path);
	check_kind(front);
	if (config->ring == LOAD_PACKED) {
		if (!(front->vhost.features & VIRTQUEUE_F_PACKED))
			die("--ring: the back-end at %s does not offer packed rings; use "
			    "--ring=split",
			    config->path);
		features |= VIRTQUEUE_F_PACKED;
	}
	features |= choose(front, config->event_idx, VIRTQUEUE_F_EVENT_IDX, "event-idx");
	features |= choose(front, config->indirect, VIRTQUEUE_F_INDIRECT, "indirect");
	features |= choose(front, config->in_order, VIRTQUEUE_F_IN_ORDER, "in-order");
	features |= device_features(front);
	features |= front->vhost.features & BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	front->features = features;
	error = vhost_user_front_set_features(&front->vhost, features);
	if (error)
		die("%s: the back-end refuses the features 0x%llx: %s; its own message tells why",
		    config->path, (unsigned long long)features, strerror(-error));
}

static void connect_to_backend(struct load_front *front)
{
	const char *path = front->config->path;
	uint64_t wanted = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			  BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	int fd = socket_connect(path, SOCK_STREAM), error;

	if (fd < 0)
		die("%s: no back-end answers: %s; start one first: %s --socket-path=%s", path,
		    strerror(-fd), front->config->device == LOAD_BLK ? "pvkit-blkd" : "pvkit-netd",
		    path);
	error = vhost_user_front_open(&front->vhost, fd, wanted);
	if (error)
		die("%s: who answers is no vhost-user back-end: %s; name the --socket-path of "
		    "pvkit-blkd or pvkit-netd",
		    path, strerror(-error));
	front->connection = front->vhost.fd;
}

static void read_blk_config(struct load_front *front)
{
	const struct load_config *config = front->config;
	struct virtio_blk_config blk = {0};
	int error = vhost_user_front_get_config(&front->vhost, 0, &blk, sizeof(blk));

	/* Back-ends of before 1.2 have a shorter one. */
	if (error)
		error = vhost_user_front_get_config(&front->vhost, 0, &blk, 60);
	if (error)
		die("%s: the configuration of a disk cannot be read: %s; for a network device use "
		    "--device=net-tx or net-rx",
		    config->path, strerror(-error));
	load_front_take_disk(front, blk.capacity * 512, front->features & BIT(VIRTIO_BLK_F_RO));
	if ((front->features & BIT(VIRTIO_BLK_F_MQ)) && blk.num_queues < config->queues)
		die("--queues: the back-end at %s has only %u; ask for no more", config->path,
		    blk.num_queues);
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
	struct load_queue *base = load_queue_new(front, index, sizeof(struct virtio_queue));
	struct virtio_queue *queue = virtio_queue_of(base);
	uint16_t size = front->config->queue_size;

	base->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	base->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (base->kick < 0 || base->call < 0)
		die_errno("queue %u: no eventfds; use fewer --queues, or raise ulimit -n", index);
	queue->areas.size = size;
	queue->areas.descriptors =
		take_area(front, virtqueue_descriptors_bytes(size, front->features));
	queue->areas.driver = take_area(front, virtqueue_driver_bytes(size, front->features));
	queue->areas.device = take_area(front, virtqueue_device_bytes(size, front->features));
	if (virtqueue_driver_init(&queue->ring, &queue->areas, front->features) < 0)
		die("--queue-size: %u is impossible for this ring", size);
	if (front->config->wait == LOAD_POLL)
		virtqueue_interrupts_disable(&queue->ring);
	return base;
}

static void virtio_open(struct load_front *front, uint64_t extra)
{
	const struct load_config *config = front->config;
	unsigned int i;
	int error;

	connect_to_backend(front);
	negotiate(front);
	/* Of a network device it says pairs. Without the MQ message nobody knows; then START tells. */
	if (front->vhost.queues_max > 1 && config->queues > front->vhost.queues_max)
		die("--queues: the back-end at %s has only %llu; ask for no more", config->path,
		    (unsigned long long)front->vhost.queues_max);
	if (config->device == LOAD_BLK)
		read_blk_config(front);

	load_memory_open(&front->memory, front->queue_count * ring_bytes(front) + extra);
	error = vhost_user_front_set_memory(&front->vhost, &front->memory.region, 1);
	if (error)
		die("%s: the back-end does not take the memory: %s; its own message tells why",
		    config->path, strerror(-error));
	for (i = 0; i < front->queue_count; i++)
		front->queues[i] = make_queue(front, i);
}

static void virtio_start(struct load_front *front)
{
	bool packed = front->features & VIRTQUEUE_F_PACKED;
	uint16_t start = packed ? 0x8000 : 0; /* wrap counters begin at 1 */
	unsigned int i;

	for (i = 0; i < front->queue_count; i++) {
		const struct virtio_queue *queue = virtio_queue_of(front->queues[i]);
		struct vhost_user_ring ring = {
			.size = queue->areas.size,
			.position = {start, start},
			.descriptors = (uintptr_t)queue->areas.descriptors,
			.driver = (uintptr_t)queue->areas.driver,
			.device = (uintptr_t)queue->areas.device,
			.kick = queue->base.kick,
			.call = queue->base.call,
		};
		int error = vhost_user_front_start_ring(&front->vhost, i, &ring);

		if (error)
			die("%s: the back-end does not start queue %u: %s; its own message tells "
			    "why",
			    front->config->path, i, strerror(-error));
	}
}

static bool virtio_stop(struct load_front *front)
{
	struct virtqueue_position position;
	unsigned int i;

	for (i = 0; i < front->queue_count; i++)
		vhost_user_front_stop_ring(&front->vhost, i, &position);
	return true;
}

static void virtio_close(struct load_front *front)
{
	vhost_user_front_close(&front->vhost);
}

const struct load_transport load_virtio = {
	.open = virtio_open,
	.start = virtio_start,
	.stop = virtio_stop,
	.close = virtio_close,
	.wires = {[LOAD_BLK] = &virtio_blk_wire,
		  [LOAD_NET_TX] = &virtio_net_tx_wire,
		  [LOAD_NET_RX] = &virtio_net_rx_wire},
};

/* ---- what all requests have in common ------------------------------------------------------- */

bool virtio_publish(struct load_queue *queue)
{
	struct virtqueue_driver *ring = &virtio_queue_of(queue)->ring;

	virtqueue_driver_publish(ring);
	return virtqueue_should_kick(ring);
}

bool virtio_arm(struct load_queue *queue)
{
	return virtqueue_interrupts_enable(&virtio_queue_of(queue)->ring);
}

void virtio_disarm(struct load_queue *queue)
{
	virtqueue_interrupts_disable(&virtio_queue_of(queue)->ring);
}

enum load_found virtio_reap(struct load_queue *queue, struct request **request, uint32_t *written)
{
	void *token;
	enum virtqueue_result found =
		virtqueue_reap(&virtio_queue_of(queue)->ring, &token, written);

	if (found != VIRTQUEUE_FOUND)
		return found == VIRTQUEUE_BROKEN ? LOAD_BROKEN : LOAD_NOTHING;
	*request = token;
	return LOAD_FOUND;
}

void virtio_release(struct request *request)
{
	free(request->virtio.buffers);
}
