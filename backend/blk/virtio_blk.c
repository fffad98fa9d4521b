// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The virtio block device (Virtual I/O Device 1.2, section 5.2): features, configuration space, and
 * a worker for each queue that the transport starts.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/blk/virtio_blk.h"
#include "backend/blk/virtio_source.h"
#include "backend/blk/worker.h"
#include "common/log.h"

#define F(bit) (1ULL << (bit))

/*
 * Longer than the fields that we know: a front-end of a later version of the specification reads
 * its whole structure at once, and finds zeros behind what we offer.
 */
#define CONFIG_BYTES 256

struct virtio_blk_queue {
	struct virtio_source source;
	struct blk_worker *worker;
};

struct virtio_blk {
	struct backend_device device;
	struct blk_worker_device worker_device;
	struct stats_page *stats;
	unsigned int queue_size;
	uint64_t features; /* accepted */
	char id[VIRTIO_BLK_ID_BYTES];
	union {
		struct virtio_blk_config config;
		uint8_t bytes[CONFIG_BYTES];
	};
	struct virtio_blk_queue queues[];
};

static struct virtio_blk *to_blk(struct backend_device *device)
{
	return (struct virtio_blk *)device;
}

static uint64_t offered_features(const struct store_image *image)
{
	uint64_t features = F(VIRTIO_F_VERSION_1) | VIRTQUEUE_F_INDIRECT | VIRTQUEUE_F_EVENT_IDX |
			    VIRTQUEUE_F_PACKED | F(VIRTIO_BLK_F_SIZE_MAX) |
			    F(VIRTIO_BLK_F_SEG_MAX) | F(VIRTIO_BLK_F_BLK_SIZE) |
			    F(VIRTIO_BLK_F_TOPOLOGY) | F(VIRTIO_BLK_F_FLUSH) |
			    F(VIRTIO_BLK_F_CONFIG_WCE) | F(VIRTIO_BLK_F_MQ);

	if (image->read_only)
		return features | F(VIRTIO_BLK_F_RO);
	if (image->can_discard)
		features |= F(VIRTIO_BLK_F_DISCARD);
	if (image->can_erase)
		features |= F(VIRTIO_BLK_F_SECURE_ERASE);
	return features | F(VIRTIO_BLK_F_WRITE_ZEROES);
}

static uint8_t exponent(uint32_t ratio)
{
	return 31 - __builtin_clz(ratio);
}

static void fill_config(struct virtio_blk *blk, const struct blk_options *options)
{
	const struct store_image *image = options->image;
	struct virtio_blk_config *config = &blk->config;
	unsigned int segments = options->queue_size - 2;

	config->capacity = image->size / BLK_SECTOR;
	config->size_max = BLK_SEGMENT_BYTES_MAX;
	config->seg_max = segments < BLK_SEGMENTS_MAX ? segments : BLK_SEGMENTS_MAX;
	config->blk_size = image->block_size;
	config->physical_block_exp = exponent(image->physical_size / image->block_size);
	config->min_io_size = 1;
	config->wce = 1;
	config->num_queues = options->queues;
	config->max_discard_sectors = BLK_RANGE_SECTORS_MAX;
	config->max_discard_seg = BLK_RANGES_MAX;
	config->discard_sector_alignment = image->physical_size / BLK_SECTOR;
	config->max_write_zeroes_sectors = BLK_RANGE_SECTORS_MAX;
	config->max_write_zeroes_seg = BLK_RANGES_MAX;
	config->write_zeroes_may_unmap = 1;
	config->max_secure_erase_sectors = BLK_RANGE_SECTORS_MAX;
	config->max_secure_erase_seg = BLK_RANGES_MAX;
	config->secure_erase_sector_alignment = image->physical_size / BLK_SECTOR;
}

/*
 * A driver that took CONFIG_WCE sets the mode itself. One that did not, but can flush, expects a
 * write cache; one that cannot flush must not have one.
 */
static void apply_cache_mode(struct virtio_blk *blk)
{
	bool write_back = blk->features & F(VIRTIO_BLK_F_FLUSH);

	if (blk->features & F(VIRTIO_BLK_F_CONFIG_WCE))
		write_back = blk->config.wce;
	blk->worker_device.write_through = !write_back;
}

static int blk_set_features(struct backend_device *device, uint64_t features)
{
	struct virtio_blk *blk = to_blk(device);

	if (features & ~device->features)
		return -EINVAL;
	blk->features = features;
	apply_cache_mode(blk);
	return 0;
}

static int blk_config_read(struct backend_device *device, uint32_t offset, void *data,
			   uint32_t size)
{
	if (offset > CONFIG_BYTES || size > CONFIG_BYTES - offset)
		return -EINVAL;
	memcpy(data, to_blk(device)->bytes + offset, size);
	return 0;
}

/* The cache mode is the one field that a driver may write. */
static int blk_config_write(struct backend_device *device, uint32_t offset, const void *data,
			    uint32_t size)
{
	struct virtio_blk *blk = to_blk(device);
	const struct store_image *image = blk->worker_device.image;
	uint8_t value;
	int error;

	if (offset != offsetof(struct virtio_blk_config, wce) || size != 1)
		return -EINVAL;
	value = *(const uint8_t *)data;
	if (!(blk->features & F(VIRTIO_BLK_F_CONFIG_WCE)) || value > 1)
		return -EINVAL;
	/* From here on the driver sends no flush, also for what it wrote before. */
	if (!value && image->fd >= 0 && !image->read_only && fdatasync(image->fd) < 0) {
		error = errno;
		log_errno("%s: cannot be flushed, so its write cache stays on; check its disk",
			  image->name);
		return -error;
	}
	blk->config.wce = value;
	apply_cache_mode(blk);
	return 0;
}

static int blk_queue_start(struct backend_device *device, struct backend_queue *queue)
{
	struct virtio_blk *blk = to_blk(device);
	struct virtio_blk_queue *own = &blk->queues[queue->index];
	struct blk_worker_options options = {
		.device = &blk->worker_device,
		.source = &own->source.base,
		.index = queue->index,
		.depth = queue->ring.areas.size,
		.kick = queue->kick,
		.memory = queue->ring.memory,
		.stats = stats_queue(blk->stats, queue->index),
	};

	if (queue->ring.areas.size > blk->queue_size) {
		log_error("%s: queue %u: the front-end's ring of %u is larger than %u; use "
			  "--queue-size=%u or a smaller ring",
			  device->name, queue->index, queue->ring.areas.size, blk->queue_size,
			  queue->ring.areas.size);
		return -EINVAL;
	}
	virtio_source_init(&own->source, queue, device->name);
	own->worker = blk_worker_start(&options);
	if (!own->worker) {
		int error = errno;

		log_errno("%s: queue %u cannot be started with engine %s; free memory or file "
			  "descriptors, or use fewer queues",
			  device->name, queue->index, blk->worker_device.engine->name);
		return -error;
	}
	queue->private = own;
	return 0;
}

static void blk_queue_stop(struct backend_device *device, struct backend_queue *queue)
{
	struct virtio_blk_queue *own = queue->private;

	blk_worker_stop(own->worker);
	own->worker = NULL;
	queue->private = NULL;
}

static void blk_reset(struct backend_device *device)
{
	struct virtio_blk *blk = to_blk(device);

	/* Nothing is agreed until the next set_features(), a flush neither. */
	blk->features = 0;
	blk->config.wce = 1;
	apply_cache_mode(blk);
}

static const struct backend_device_ops virtio_blk_ops = {
	.set_features = blk_set_features,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.reset = blk_reset,
};

struct virtio_blk *virtio_blk_open(const struct blk_options *options)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk) + options->queues * sizeof(blk->queues[0]));

	if (!blk)
		return NULL;
	blk->device = (struct backend_device){
		.ops = &virtio_blk_ops,
		.name = options->image->name,
		.queues_max = options->queues,
		.features = offered_features(options->image),
	};
	if (options->serial)
		memcpy(blk->id, options->serial, strnlen(options->serial, sizeof(blk->id)));
	else
		memcpy(blk->id, options->image->id, sizeof(blk->id));
	blk->worker_device = (struct blk_worker_device){
		.image = options->image,
		.engine = options->engine,
		.id = blk->id,
		.poll_us = options->poll_us,
		.register_memory = options->register_memory,
	};
	blk->stats = options->stats;
	blk->queue_size = options->queue_size;
	fill_config(blk, options);
	apply_cache_mode(blk);
	return blk;
}

void virtio_blk_close(struct virtio_blk *blk)
{
	free(blk);
}

struct backend_device *virtio_blk_device(struct virtio_blk *blk)
{
	return &blk->device;
}

void virtio_blk_resize(struct virtio_blk *blk)
{
	struct store_image *image = blk->worker_device.image;

	if (store_image_refresh(image) <= 0)
		return;
	blk->config.capacity = image->size / BLK_SECTOR;
	log_info("%s: grew to %llu sectors", image->name, (unsigned long long)blk->config.capacity);
	if (blk->device.config_changed)
		blk->device.config_changed(&blk->device);
}
