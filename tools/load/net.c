// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What is sent has a type that no host listens to (the IEEE's for local experiments) and an address
 * that nobody has.
 */
#include <string.h>

#include "common/log.h"
#include "tools/load/worker.h"

#define REPORTED_MOST 5 /* lines a queue */

static const uint8_t frame_start[] = {0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};
#define FRAME_TYPE_OFFSET 12

static void net_fill(struct worker *worker, struct request *request)
{
	request->is_write = worker->config->device == LOAD_NET_TX;
	memcpy(request->data, frame_start, sizeof(frame_start));
}

static bool net_tx_prepare(struct worker *worker, struct request *request)
{
	if (worker->config->verify)
		stamp_frame(request->data, (uint32_t)worker->config->block_size, worker->frame++);
	return true;
}

static bool net_rx_prepare(struct worker *worker, struct request *request)
{
	return true;
}

static void net_tx_complete(struct worker *worker, const struct load_done *done)
{
	worker->result.errors += !!done->status;
}

/* Others may send too; frames of theirs are of other types. */
static bool is_ours(const struct worker *worker)
{
	return worker->received_bytes >= sizeof(frame_start) &&
	       !memcmp(worker->received + FRAME_TYPE_OFFSET, frame_start + FRAME_TYPE_OFFSET,
		       sizeof(frame_start) - FRAME_TYPE_OFFSET);
}

/* The frame may come in parts, so it is put together first. */
static void verify(struct worker *worker, const struct load_done *done)
{
	uint32_t room = LOAD_FRAME_MAX - worker->received_bytes;
	uint32_t bytes = done->bytes < room ? done->bytes : room;
	int64_t at = -1;

	memcpy(worker->received + worker->received_bytes, done->data, bytes);
	worker->received_bytes += bytes;
	if (done->part)
		return;
	if (is_ours(worker)) {
		worker->result.verified++;
		at = stamp_frame_check(worker->received, worker->received_bytes);
	}
	if (at >= 0 && worker->result.mismatches++ < REPORTED_MOST)
		log_error("queue %u: a frame of %u bytes is not as it was sent from byte %lld on",
			  worker->queue->index, worker->received_bytes, (long long)at);
	worker->received_bytes = 0;
}

static void net_rx_complete(struct worker *worker, const struct load_done *done)
{
	if (done->status) {
		worker->result.errors++;
		return;
	}
	if (worker->now_ns >= worker->window->start_ns && worker->now_ns < worker->window->end_ns)
		worker->result.bytes += done->bytes;
	if (worker->config->verify)
		verify(worker, done);
}

const struct workload workload_net_tx = {
	.fill = net_fill,
	.prepare = net_tx_prepare,
	.complete = net_tx_complete,
};

const struct workload workload_net_rx = {
	.fill = net_fill,
	.prepare = net_rx_prepare,
	.complete = net_rx_complete,
};
