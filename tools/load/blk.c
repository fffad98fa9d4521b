// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What is asked of a disk, and whether it answered right.
 */
#include "common/log.h"
#include "tools/load/worker.h"

#define REPORTED_MOST 5 /* lines of each kind a queue */

static void blk_fill(struct worker *worker, struct request *request)
{
	uint64_t i;

	for (i = 0; i < worker->config->block_size / 8; i++)
		((uint64_t *)request->data)[i] = worker_random(worker);
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
	request->offset = offset_of(worker, request->block);
	if (config->verify) {
		struct stamp_block *block = &worker->stamps.blocks[request->block];

		block->busy = true;
		if (request->is_write)
			stamp_write(&worker->stamps, request->data, request->offset,
				    block->generation + 1);
	}
	return true;
}

static void report_error(struct worker *worker, const struct request *request, int status)
{
	if (worker->result.errors++ < REPORTED_MOST)
		log_error("queue %u: %s of %llu bytes at %llu: status %d", worker->queue->index,
			  request->is_write ? "write" : "read",
			  (unsigned long long)worker->config->block_size,
			  (unsigned long long)request->offset, status);
}

static void verify(struct worker *worker, struct request *request, int status)
{
	struct stamp_block *block = &worker->stamps.blocks[request->block];
	uint64_t found[2];
	int64_t at;

	block->busy = false;
	if (request->is_write) {
		/* After a failed write nobody knows what is there. */
		block->generation = !status ? block->generation + 1 : 0;
		return;
	}
	if (status || !block->generation)
		return;
	at = stamp_check(&worker->stamps, request->data, request->offset, block->generation, found);
	if (at >= 0 && worker->result.mismatches++ < REPORTED_MOST)
		log_error("queue %u: read at %llu: byte %lld holds stamp %llu generation 0x%llx, "
			  "expected generation 0x%llx",
			  worker->queue->index, (unsigned long long)request->offset, (long long)at,
			  (unsigned long long)found[0], (unsigned long long)found[1],
			  (unsigned long long)(worker->stamps.run << 32 | block->generation));
}

static void blk_complete(struct worker *worker, const struct load_done *done)
{
	if (done->status)
		report_error(worker, done->request, done->status);
	if (worker->config->verify)
		verify(worker, done->request, done->status);
}

const struct workload workload_blk = {
	.fill = blk_fill,
	.prepare = blk_prepare,
	.complete = blk_complete,
};
