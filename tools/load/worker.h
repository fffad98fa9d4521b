/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The thread of a queue: keeps it full, takes back what is finished, and counts.
 */
#ifndef PVKIT_TOOLS_LOAD_WORKER_H
#define PVKIT_TOOLS_LOAD_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/load/front.h"
#include "tools/load/histogram.h"
#include "tools/load/request.h"
#include "tools/load/stamp.h"

/* When completions count, CLOCK_MONOTONIC; written before the threads start. */
struct window {
	uint64_t start_ns, end_ns;
	_Atomic bool abandoned; /* the back-end is gone: do not wait for it */
};

struct worker_result {
	uint64_t completed, bytes; /* in the window */
	uint64_t completed_in_all;
	uint64_t errors, mismatches, stuck;
	uint64_t verified; /* net-rx: frames that were stamped, of all that came */
	uint64_t kicks_before, wakeups_before; /* of the queue, at the first of these */
	uint64_t first_ns, last_ns; /* first submission and last completion */
	bool broken; /* the back-end broke the ring */
	struct histogram latency;
};

struct worker;

/* What differs between a disk and a network. */
struct workload {
	/* What its memory holds at first. */
	void (*fill)(struct worker *worker, struct request *request);
	/* False: nothing can be asked for now. */
	bool (*prepare)(struct worker *worker, struct request *request);
	void (*complete)(struct worker *worker, const struct load_done *done);
};

extern const struct workload workload_blk, workload_net_tx, workload_net_rx;

struct worker {
	const struct load_config *config;
	const struct workload *workload;
	struct load_front *front;
	struct load_queue *queue;
	struct window *window;
	unsigned int index;
	pthread_t thread;

	struct request *requests, *free;
	unsigned int in_flight;
	uint64_t now_ns, progress_ns;
	uint64_t left; /* requests still to be submitted; net-rx: frames still to come */
	bool last_pass; /* of --verify: reading all that was written */
	uint64_t random; /* state of the generator */
	uint64_t first_block, blocks, next_block; /* the queue's part of the disk */
	struct stamp_map stamps;
	uint64_t frame; /* net-tx: the next one's number */
	uint8_t *received; /* net-rx, verified: what came of the frame */
	uint32_t received_bytes;
	struct worker_result result;
};

const struct workload *workload_of(const struct load_config *config);
/* Shared memory that all workers' requests take. */
uint64_t worker_memory(const struct load_config *config);

void worker_open(struct worker *worker, struct load_front *front, struct window *window,
		 unsigned int index);
void worker_close(struct worker *worker);
void *worker_run(void *worker);

static inline uint64_t worker_random(struct worker *worker)
{
	/* xorshift64*: quick, and good enough to spread requests. */
	worker->random ^= worker->random >> 12;
	worker->random ^= worker->random << 25;
	worker->random ^= worker->random >> 27;
	return worker->random * 0x2545f4914f6cdd1dULL;
}

/* Evenly among 0..@limit - 1. */
static inline uint64_t worker_random_below(struct worker *worker, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)worker_random(worker) * limit) >> 64);
}

uint64_t load_now_ns(void);

#endif
