// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The Xen block device (abi/blkif.h): what it offers, what the front-end chose, and a worker for each
 * queue, the same that serves virtio.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/blk/blkif.h"
#include "backend/blk/blkif_source.h"
#include "backend/blk/worker.h"
#include "common/log.h"

#define WORD_BYTES 16 /* the longest of "mode", "device-type", … */

struct blkif_queue {
	struct blkif_source source;
	struct blk_worker *worker;
};

struct blkif {
	struct xen_device device;
	struct blk_worker_device worker_device;
	struct stats_page *stats;
	char serial[BLKIF_SERIAL_BYTES_MAX + 1];
	bool cdrom;
	/* The front-end's choice. */
	bool persistent, write_zeroes, large_sectors;
	struct blkif_queue queues[];
};

static struct blkif *to_blkif(struct xen_device *device)
{
	return (struct blkif *)device;
}

static struct store_image *image_of(struct blkif *blkif)
{
	return blkif->worker_device.image;
}

/* ---- what we are ----------------------------------------------------------------------------- */

/* Whoever made the device may want it smaller than the image allows. */
static bool discard_allowed(struct xen_device *device)
{
	char word[WORD_BYTES];

	return xen_device_read(device, BLKIF_KEY_DISCARD_ENABLE, word, sizeof(word)) < 0 ||
	       strcmp(word, "0") != 0;
}

static void read_kind(struct blkif *blkif)
{
	struct store_image *image = image_of(blkif);
	char word[WORD_BYTES];

	if (xen_device_read(&blkif->device, BLKIF_KEY_MODE, word, sizeof(word)) > 0 &&
	    word[0] == 'r')
		image->read_only = true;
	blkif->cdrom = xen_device_front_read(&blkif->device, BLKIF_KEY_DEVICE_TYPE, word,
					     sizeof(word)) > 0 &&
		       !strcmp(word, "cdrom");
	if (blkif->cdrom)
		image->read_only = true;
}

static int publish_discard(struct xen_device *device, const struct store_image *image)
{
	bool offered = image->can_discard && !image->read_only && discard_allowed(device);
	int err = xen_device_write(device, BLKIF_KEY_DISCARD, "%d", offered);

	if (err || !offered)
		return err;
	err = xen_device_write(device, BLKIF_KEY_DISCARD_GRANULARITY, "%u", image->physical_size);
	if (!err)
		err = xen_device_write(device, BLKIF_KEY_DISCARD_ALIGNMENT, "0");
	return err ?: xen_device_write(device, BLKIF_KEY_DISCARD_SECURE, "%d", image->can_erase);
}

static int blkif_publish_features(struct xen_device *device)
{
	struct store_image *image = image_of(to_blkif(device));
	const struct {
		const char *key;
		unsigned int value;
	} keys[] = {
		{BLKIF_KEY_BARRIER, 1},
		{BLKIF_KEY_FLUSH, 1},
		{BLKIF_KEY_PERSISTENT, 1},
		{BLKIF_KEY_MAX_INDIRECT, BLKIF_SOURCE_SEGMENTS},
		{BLKIF_KEY_MAX_RING_PAGE_ORDER, device->page_order_max},
		{BLKIF_KEY_MAX_RING_PAGES, 1U << device->page_order_max},
		{BLKIF_KEY_LARGE_SECTORS, 1},
	};
	unsigned int i;
	int err = 0;

	read_kind(to_blkif(device));
	for (i = 0; !err && i < sizeof(keys) / sizeof(keys[0]); i++)
		err = xen_device_write(device, keys[i].key, "%u", keys[i].value);
	if (!err)
		err = xen_device_write(device, BLKIF_KEY_WRITE_ZEROES, "%d", !image->read_only);
	return err ?: publish_discard(device, image);
}

static int blkif_describe(struct xen_device *device)
{
	struct blkif *blkif = to_blkif(device);
	const struct store_image *image = image_of(blkif);
	uint32_t unit = blkif->large_sectors ? image->block_size : BLKIF_SECTOR_BYTES;
	unsigned int info = (blkif->cdrom ? BLKIF_INFO_CDROM : 0) |
			    (image->read_only ? BLKIF_INFO_READONLY : 0);
	int err;

	err = xen_device_write(device, BLKIF_KEY_SECTORS, "%llu",
			       (unsigned long long)(image->size / unit));
	if (!err)
		err = xen_device_write(device, BLKIF_KEY_INFO, "%u", info);
	if (!err && blkif->serial[0])
		err = xen_device_write(device, BLKIF_KEY_SERIAL, "%s", blkif->serial);
	if (!err)
		err = xen_device_write(device, BLKIF_KEY_SECTOR_SIZE, "%u", image->block_size);
	return err
		       ?: xen_device_write(device, BLKIF_KEY_PHYSICAL_SECTOR_SIZE, "%u",
					   image->physical_size);
}

/* ---- what the front-end chose ---------------------------------------------------------------- */

static int read_flag(struct xen_device *device, const char *key, bool *flag)
{
	uint64_t value;
	int err = xen_device_front_number(device, key, 0, 1, &value);

	*flag = value;
	return err;
}

static int blkif_negotiate(struct xen_device *device)
{
	struct blkif *blkif = to_blkif(device);
	int err = read_flag(device, BLKIF_KEY_PERSISTENT, &blkif->persistent);

	if (!err)
		err = read_flag(device, BLKIF_KEY_LARGE_SECTORS, &blkif->large_sectors);
	if (!err)
		err = read_flag(device, BLKIF_KEY_WRITE_ZEROES, &blkif->write_zeroes);
	return err;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int blkif_queue_start(struct xen_device *device, struct xen_queue *queue)
{
	struct blkif *blkif = to_blkif(device);
	struct blkif_queue *own = &blkif->queues[queue->index];
	struct blkif_source_options source = {
		.device = device,
		.queue = queue,
		.image = image_of(blkif),
		.persistent = blkif->persistent,
		.write_zeroes = blkif->write_zeroes,
		.unit = blkif->large_sectors ? image_of(blkif)->block_size : BLKIF_SECTOR_BYTES,
	};
	struct blk_worker_options worker = {
		.device = &blkif->worker_device,
		.source = &own->source.base,
		.index = queue->index,
		.kick = queue->ring[0].channel->from,
		.memory = host_memory(device->host),
		.stats = stats_queue(blkif->stats, queue->index),
	};
	int err = blkif_source_open(&own->source, &source);

	if (err)
		return err;
	worker.depth = blkif_source_depth(&own->source);
	own->worker = blk_worker_start(&worker);
	if (own->worker) {
		queue->private = own;
		return 0;
	}
	err = -errno;
	log_errno("%s: queue %u cannot be started with engine %s; free memory or file descriptors, "
		  "or use fewer queues",
		  device->name, queue->index, blkif->worker_device.engine->name);
	blkif_source_close(&own->source);
	return err;
}

static void blkif_queue_stop(struct xen_device *device, struct xen_queue *queue)
{
	struct blkif_queue *own = queue->private;

	blk_worker_stop(own->worker);
	own->worker = NULL;
	blkif_source_close(&own->source);
	queue->private = NULL;
}

static const struct xen_device_ops blkif_ops = {
	.publish = blkif_publish_features,
	.negotiate = blkif_negotiate,
	.queue_start = blkif_queue_start,
	.queue_stop = blkif_queue_stop,
	.describe = blkif_describe,
};

static const struct xen_ring_kind blkif_ring = {
	.ref_key = BLKIF_KEY_RING_REF,
	.slot_bytes = BLKIF_SLOT_BYTES,
	.page_order_max = XEN_RING_PAGE_ORDER_MAX,
};

struct blkif *blkif_open(const struct blk_options *options)
{
	struct blkif *blkif =
		calloc(1, sizeof(*blkif) + options->queues * sizeof(blkif->queues[0]));

	if (!blkif)
		return NULL;
	blkif->device = (struct xen_device){
		.ops = &blkif_ops,
		.name = options->image->name,
		.kinds = &blkif_ring,
		.kind_count = 1,
		.queues_max = options->queues,
	};
	blkif->worker_device = (struct blk_worker_device){
		.image = options->image,
		.engine = options->engine,
		.id = options->image->id,
		.poll_us = options->poll_us,
		.register_memory = options->register_memory,
	};
	blkif->stats = options->stats;
	if (options->serial)
		snprintf(blkif->serial, sizeof(blkif->serial), "%s", options->serial);
	else
		memcpy(blkif->serial, options->image->id, sizeof(options->image->id));
	return blkif;
}

void blkif_close(struct blkif *blkif)
{
	free(blkif);
}

struct xen_device *blkif_device(struct blkif *blkif)
{
	return &blkif->device;
}

void blkif_resize(struct blkif *blkif)
{
	struct store_image *image = image_of(blkif);

	if (store_image_refresh(image) <= 0)
		return;
	log_info("%s: grew to %llu sectors", image->name,
		 (unsigned long long)(image->size / BLKIF_SECTOR_BYTES));
	xen_device_changed(&blkif->device);
}
