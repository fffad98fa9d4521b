// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Frames, one buffer each with its virtio header in front. What is sent has a type that no host
 * listens to (the IEEE's for local experiments) and an address that nobody has.
 */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tools/load/worker.h"

#define HEADER_BYTES sizeof(struct virtio_net_hdr_mrg_rxbuf)
/* A frame of any size that a link without segmentation offload delivers. */
#define RECEIVE_BYTES 2048

static const uint8_t frame_start[] = {0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};

static uint64_t frame_bytes(const struct load_config *config)
{
	uint64_t bytes = config->block_size;

	if (config->device == LOAD_NET_RX && bytes < RECEIVE_BYTES)
		bytes = RECEIVE_BYTES;
	return HEADER_BYTES + bytes;
}

static uint64_t net_slot_bytes(const struct load_config *config)
{
	return frame_bytes(config) + 64;
}

static void net_lay_out(struct worker *worker, struct request *request)
{
	uint64_t address, bytes = frame_bytes(worker->config);

	request->data = load_memory_take(&worker->front->memory, bytes, 64, &address);
	memcpy((char *)request->data + HEADER_BYTES, frame_start, sizeof(frame_start));
	request->buffers = calloc(1, sizeof(*request->buffers));
	if (!request->buffers)
		die_errno("no memory for frames");
	request->buffers[0] = (struct virtqueue_buffer){address, bytes};
	request->readable = worker->config->device == LOAD_NET_TX;
	request->writable = !request->readable;
}

static bool net_prepare(struct worker *worker, struct request *request)
{
	return true;
}

static void net_tx_complete(struct worker *worker, struct request *request, uint32_t written)
{
}

static void net_rx_complete(struct worker *worker, struct request *request, uint32_t written)
{
	if (written <= HEADER_BYTES)
		worker->result.errors++;
	else if (worker->now_ns >= worker->window->start_ns &&
		 worker->now_ns < worker->window->end_ns)
		worker->result.bytes += written - HEADER_BYTES;
}

const struct workload workload_net_tx = {
	.slot_bytes = net_slot_bytes,
	.lay_out = net_lay_out,
	.prepare = net_prepare,
	.complete = net_tx_complete,
};

const struct workload workload_net_rx = {
	.slot_bytes = net_slot_bytes,
	.lay_out = net_lay_out,
	.prepare = net_prepare,
	.complete = net_rx_complete,
};
