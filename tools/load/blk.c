// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Requests to a disk: a header, the data, a status byte.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tools/load/worker.h"

#define SECTOR        512
#define DATA_ALIGN    4096ULL
#define REPORTED_MOST 5 /* lines of each kind a queue */

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

static uint64_t blk_slot_bytes(const struct load_config *config)
{
	return table_bytes(config) + 64 + config->block_size + DATA_ALIGN;
}

static void blk_lay_out(struct worker *worker, struct request *request)
{
	const struct load_config *config = worker->config;
	struct load_memory *memory = &worker->front->memory;
	uint64_t address, data, piece = config->block_size / config->segments, i;
	char *shared = load_memory_take(memory, table_bytes(config), 64, &address);

	request->header = (struct virtio_blk_outhdr *)shared;
	request->status = (uint8_t *)shared + STATUS_OFFSET;
	if (worker->front->features & VIRTQUEUE_F_INDIRECT) {
		request->table = shared + TABLE_OFFSET;
		request->table_address = address + TABLE_OFFSET;
	}
	request->data = load_memory_take(memory, config->block_size, DATA_ALIGN, &data);
	for (i = 0; i < config->block_size / 8; i++)
		((uint64_t *)request->data)[i] = worker_random(worker);

	request->buffers = calloc(descriptors(config), sizeof(*request->buffers));
	if (!request->buffers)
		die_errno("no memory for requests");
	request->buffers[0] = (struct virtqueue_buffer){address, sizeof(*request->header)};
	for (i = 0; i < config->segments; i++)
		request->buffers[1 + i] = (struct virtqueue_buffer){data + i * piece, piece};
	request->buffers[1 + i] = (struct virtqueue_buffer){address + STATUS_OFFSET, 1};
}

/* The next block of the last pass that this run has written; false at the end. */
static bool next_written(struct worker *worker, uint64_t *block)
{
	while (worker->next_block < worker->blocks) {
		*block = worker->next_block++;
		if (worker->stamps.blocks[*block].generation)
			return true;
	}
	worker->left = 0;
	return false;
}

static bool next_block(struct worker *worker, uint64_t *block)
{
	if (worker->last_pass)
		return next_written(worker, block);
	if (worker->config->pattern == LOAD_RANDOM) {
		*block = worker_random_below(worker, worker->blocks);
	} else {
		*block = worker->next_block++;
		if (worker->next_block == worker->blocks)
			worker->next_block = 0;
	}
	/* There are more blocks than requests: see read_blk_config(). */
	while (worker->config->verify && worker->stamps.blocks[*block].busy)
		*block = (*block + 1) % worker->blocks;
	return true;
}

static uint64_t offset_of(const struct worker *worker, uint64_t block)
{
	return (worker->first_block + block) * worker->config->block_size;
}

static bool blk_prepare(struct worker *worker, struct request *request)
{
	const struct load_config *config = worker->config;

	if (!next_block(worker, &request->block))
		return false;
	request->is_write = !worker->last_pass && config->reads < 100 &&
			    worker_random_below(worker, 100) >= config->reads;
	request->header->type = request->is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	request->header->sector = offset_of(worker, request->block) / SECTOR;
	*request->status = 0xff;
	request->readable = request->is_write ? 1 + config->segments : 1;
	request->writable = request->is_write ? 1 : 1 + config->segments;
	if (config->verify) {
		struct stamp_block *block = &worker->stamps.blocks[request->block];

		block->busy = true;
		if (request->is_write)
			stamp_write(&worker->stamps, request->data,
				    offset_of(worker, request->block), block->generation + 1);
	}
	return true;
}

static void report_error(struct worker *worker, const struct request *request, uint8_t status)
{
	if (worker->result.errors++ < REPORTED_MOST)
		log_error("queue %u: %s of %llu bytes at %llu: status %u", worker->queue->index,
			  request->is_write ? "write" : "read",
			  (unsigned long long)worker->config->block_size,
			  (unsigned long long)offset_of(worker, request->block), status);
}

static void verify(struct worker *worker, struct request *request, uint8_t status)
{
	struct stamp_block *block = &worker->stamps.blocks[request->block];
	uint64_t offset = offset_of(worker, request->block), found[2];
	int64_t at;

	block->busy = false;
	if (request->is_write) {
		/* After a failed write nobody knows what is there. */
		block->generation = status == VIRTIO_BLK_S_OK ? block->generation + 1 : 0;
		return;
	}
	if (status != VIRTIO_BLK_S_OK || !block->generation)
		return;
	at = stamp_check(&worker->stamps, request->data, offset, block->generation, found);
	if (at >= 0 && worker->result.mismatches++ < REPORTED_MOST)
		log_error("queue %u: read at %llu: byte %lld holds stamp %llu generation 0x%llx, "
			  "expected generation 0x%llx",
			  worker->queue->index, (unsigned long long)offset, (long long)at,
			  (unsigned long long)found[0], (unsigned long long)found[1],
			  (unsigned long long)(worker->stamps.run << 32 | block->generation));
}

static void blk_complete(struct worker *worker, struct request *request, uint32_t written)
{
	uint8_t status = *request->status;

	if (status != VIRTIO_BLK_S_OK)
		report_error(worker, request, status);
	if (worker->config->verify)
		verify(worker, request, status);
}

const struct workload workload_blk = {
	.slot_bytes = blk_slot_bytes,
	.lay_out = blk_lay_out,
	.prepare = blk_prepare,
	.complete = blk_complete,
};
