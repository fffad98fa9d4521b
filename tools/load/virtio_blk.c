// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Requests to a disk in a virtqueue: a header, the data, a status byte.
 */
#include <linux/virtio_blk.h>
#include <stdlib.h>

#include "common/log.h"
#include "tools/load/request.h"
#include "tools/load/virtio.h"

#define SECTOR     512
#define DATA_ALIGN 4096ULL

/* The header and the status byte share a cache line; the table follows. */
#define STATUS_OFFSET 16
#define TABLE_OFFSET  64

static unsigned int descriptors(const struct load_config *config)
{
	return config->segments + 2;
}

static uint64_t table_bytes(const struct load_config *config)
{
	return TABLE_OFFSET + descriptors(config) * sizeof(struct vring_desc);
}

static uint64_t slot_bytes(const struct load_config *config)
{
	return table_bytes(config) + 64 + config->block_size + DATA_ALIGN;
}

static void lay_out(struct load_front *front, struct load_queue *queue, struct request *request)
{
	const struct load_config *config = front->config;
	struct virtio_request *virtio = &request->virtio;
	uint64_t address, data, piece = config->block_size / config->segments, i;
	char *shared = load_memory_take(&front->memory, table_bytes(config), 64, &address);

	virtio->header = (struct virtio_blk_outhdr *)shared;
	virtio->status = (uint8_t *)shared + STATUS_OFFSET;
	if (front->features & VIRTQUEUE_F_INDIRECT) {
		virtio->table = shared + TABLE_OFFSET;
		virtio->table_address = address + TABLE_OFFSET;
	}
	request->data = load_memory_take(&front->memory, config->block_size, DATA_ALIGN, &data);

	virtio->buffers = calloc(descriptors(config), sizeof(*virtio->buffers));
	if (!virtio->buffers)
		die_errno("no memory for requests");
	virtio->buffers[0] = (struct virtqueue_buffer){address, sizeof(*virtio->header)};
	for (i = 0; i < config->segments; i++)
		virtio->buffers[1 + i] = (struct virtqueue_buffer){data + i * piece, piece};
	virtio->buffers[1 + i] = (struct virtqueue_buffer){address + STATUS_OFFSET, 1};
}

static bool add(struct load_queue *queue, struct request *request)
{
	struct virtio_request *virtio = &request->virtio;
	uint16_t data = queue->config->segments;

	virtio->header->type = request->is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	virtio->header->sector = request->offset / SECTOR;
	*virtio->status = 0xff;
	return virtqueue_add(&virtio_queue_of(queue)->ring, virtio->buffers,
			     request->is_write ? 1 + data : 1, request->is_write ? 1 : 1 + data,
			     request, virtio->table, virtio->table_address) == 0;
}

static enum load_found reap(struct load_queue *queue, struct load_done *done)
{
	uint32_t written;
	enum load_found found = virtio_reap(queue, &done->request, &written);

	if (found == LOAD_FOUND)
		done->status = *done->request->virtio.status;
	return found;
}

const struct load_wire virtio_blk_wire = {
	.slot_bytes = slot_bytes,
	.lay_out = lay_out,
	.release = virtio_release,
	.add = add,
	.publish = virtio_publish,
	.reap = reap,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
};
