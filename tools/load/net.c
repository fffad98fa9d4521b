// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What is sent has a type that no host listens to (the IEEE's for local experiments) and an address
 * that nobody has.
 */
#include <string.h>

#include "tools/load/worker.h"

static const uint8_t frame_start[] = {0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};

static void net_fill(struct worker *worker, struct request *request)
{
	request->is_write = worker->config->device == LOAD_NET_TX;
	memcpy(request->data, frame_start, sizeof(frame_start));
}

static bool net_prepare(struct worker *worker, struct request *request)
{
	return true;
}

static void net_tx_complete(struct worker *worker, const struct load_done *done)
{
	worker->result.errors += !!done->status;
}

static void net_rx_complete(struct worker *worker, const struct load_done *done)
{
	if (done->status)
		worker->result.errors++;
	else if (worker->now_ns >= worker->window->start_ns &&
		 worker->now_ns < worker->window->end_ns)
		worker->result.bytes += done->bytes;
}

const struct workload workload_net_tx = {
	.fill = net_fill,
	.prepare = net_prepare,
	.complete = net_tx_complete,
};

const struct workload workload_net_rx = {
	.fill = net_fill,
	.prepare = net_prepare,
	.complete = net_rx_complete,
};
