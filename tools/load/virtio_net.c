// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Frames in a virtqueue: one buffer each, with virtio's header in front.
 */
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "common/log.h"
#include "tools/load/request.h"
#include "tools/load/virtio.h"

#define HEADER_BYTES sizeof(struct virtio_net_hdr_mrg_rxbuf)
/* A frame of any size that a link without segmentation offload delivers. */
#define RECEIVE_BYTES 2048

static uint64_t buffer_bytes(const struct load_config *config)
{
	uint64_t bytes = config->block_size;

	if (config->device == LOAD_NET_RX && bytes < RECEIVE_BYTES)
		bytes = RECEIVE_BYTES;
	return HEADER_BYTES + bytes;
}

static uint64_t slot_bytes(const struct load_config *config)
{
	return buffer_bytes(config) + 64;
}

static void lay_out(struct load_front *front, struct load_queue *queue, struct request *request)
{
	struct virtio_request *virtio = &request->virtio;
	uint64_t address, bytes = buffer_bytes(front->config);
	uint8_t *buffer = load_memory_take(&front->memory, bytes, 64, &address);

	request->data = buffer + HEADER_BYTES;
	virtio->buffers = calloc(1, sizeof(*virtio->buffers));
	if (!virtio->buffers)
		die_errno("no memory for frames");
	virtio->buffers[0] = (struct virtqueue_buffer){address, bytes};
}

static bool tx_add(struct load_queue *queue, struct request *request)
{
	return virtqueue_add(&virtio_queue_of(queue)->ring, request->virtio.buffers, 1, 0, request,
			     NULL, 0) == 0;
}

static bool rx_add(struct load_queue *queue, struct request *request)
{
	return virtqueue_add(&virtio_queue_of(queue)->ring, request->virtio.buffers, 0, 1, request,
			     NULL, 0) == 0;
}

static enum load_found tx_reap(struct load_queue *queue, struct load_done *done)
{
	uint32_t written;

	done->status = 0;
	return virtio_reap(queue, &done->request, &written);
}

static enum load_found rx_reap(struct load_queue *queue, struct load_done *done)
{
	uint32_t written = 0;
	enum load_found found = virtio_reap(queue, &done->request, &written);

	done->status = written <= HEADER_BYTES;
	done->bytes = done->status ? 0 : written - HEADER_BYTES;
	done->data = found == LOAD_FOUND ? done->request->data : NULL;
	return found;
}

const struct load_wire virtio_net_tx_wire = {
	.slot_bytes = slot_bytes,
	.lay_out = lay_out,
	.release = virtio_release,
	.add = tx_add,
	.publish = virtio_publish,
	.reap = tx_reap,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
};

const struct load_wire virtio_net_rx_wire = {
	.slot_bytes = slot_bytes,
	.lay_out = lay_out,
	.release = virtio_release,
	.add = rx_add,
	.publish = virtio_publish,
	.reap = rx_reap,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
};
