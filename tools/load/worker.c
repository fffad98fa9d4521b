// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The loop of a queue's thread.
 *
 * Each round adds whatever it may, publishes it at once, and takes back all that is finished. The
 * clock is read once a round that found something: a request's latency runs from the round that added
 * it to the round that took it back, which is what a driver would see.
 */
#include "tools/load/worker.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

#define SPINS_PER_CLOCK 256

uint64_t load_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

const struct workload *workload_of(const struct load_config *config)
{
	switch (config->device) {
	case LOAD_NET_TX:
		return &workload_net_tx;
	case LOAD_NET_RX:
		return &workload_net_rx;
	default:
		return &workload_blk;
	}
}

uint64_t worker_memory(const struct load_config *config)
{
	return config->queues * config->depth * load_wire_of(config)->slot_bytes(config);
}

void worker_open(struct worker *worker, struct load_front *front, struct window *window,
		 unsigned int index)
{
	const struct load_config *config = front->config;
	unsigned int i;

	memset(worker, 0, sizeof(*worker));
	worker->config = config;
	worker->workload = workload_of(config);
	worker->front = front;
	worker->queue = load_front_queue(front, index);
	worker->window = window;
	worker->index = index;
	worker->random = (config->seed + 1) * 0x9e3779b97f4a7c15ULL + index;
	worker->left = UINT64_MAX;
	if (config->count) /* the first queues take the rest */
		worker->left =
			config->count / config->queues + (index < config->count % config->queues);
	if (config->device == LOAD_BLK) {
		worker->blocks = front->capacity / config->block_size / config->queues;
		worker->first_block = index * worker->blocks;
		if (config->verify)
			stamp_open(&worker->stamps, worker->blocks, config->block_size,
				   (uint32_t)load_now_ns() ^ config->seed);
	}
	if (config->device == LOAD_NET_RX && config->verify) {
		worker->received = malloc(LOAD_FRAME_MAX);
		if (!worker->received)
			die_errno("no memory for frames");
	}
	worker->requests = calloc(config->depth, sizeof(*worker->requests));
	if (!worker->requests)
		die_errno("no memory for requests");
	for (i = config->depth; i-- > 0;) {
		struct request *request = &worker->requests[i];

		worker->queue->wire->lay_out(front, worker->queue, request);
		worker->workload->fill(worker, request);
		request->next = worker->free;
		worker->free = request;
	}
}

void worker_close(struct worker *worker)
{
	unsigned int i;

	for (i = 0; i < worker->config->depth; i++)
		worker->queue->wire->release(&worker->requests[i]);
	free(worker->requests);
	stamp_close(&worker->stamps);
	free(worker->received);
}

static void worker_pin(const struct worker *worker)
{
	const struct load_config *config = worker->config;
	cpu_set_t set;
	unsigned int cpu;

	if (!config->cpu_count)
		return;
	cpu = config->cpus[worker->index % config->cpu_count];
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die_errno("--cpus: queue %u cannot run on CPU %u; name CPUs of those that nproc and "
			  "taskset -p show",
			  worker->index, cpu);
}

static bool worker_add(struct worker *worker, struct request *request)
{
	if (!worker->queue->wire->add(worker->queue, request))
		return false;
	request->start_ns = worker->now_ns;
	worker->in_flight++;
	return true;
}

/*
 * What is received has no request of its own: pages are posted as long as frames are awaited, since one
 * may take several.
 */
static bool receives(const struct worker *worker)
{
	return worker->config->device == LOAD_NET_RX;
}

/* Fills the ring. */
static void worker_submit(struct worker *worker)
{
	unsigned int added = 0;

	if (!worker->last_pass && worker->now_ns >= worker->window->end_ns)
		worker->left = 0;
	while (worker->free && worker->left) {
		struct request *request = worker->free;

		if (!worker->workload->prepare(worker, request))
			break;
		worker->free = request->next;
		if (!worker_add(worker, request))
			die("--depth: queue %u of size %llu has no room for %u requests; use a "
			    "larger --queue-size",
			    worker->queue->index, (unsigned long long)worker->config->queue_size,
			    worker->in_flight + 1);
		if (!receives(worker))
			worker->left--;
		added++;
	}
	if (added)
		load_queue_publish(worker->queue);
}

static void worker_count(struct worker *worker, const struct request *request)
{
	struct worker_result *result = &worker->result;

	result->completed_in_all++;
	if (worker->last_pass || worker->now_ns < worker->window->start_ns ||
	    worker->now_ns >= worker->window->end_ns)
		return;
	if (!result->completed++) {
		result->kicks_before = worker->queue->kicks;
		result->wakeups_before = worker->queue->wakeups;
	}
	result->last_ns = worker->now_ns;
	histogram_add(&result->latency, worker->now_ns - request->start_ns);
}

/* Takes back all that is finished; how many that were. */
static unsigned int worker_reap(struct worker *worker)
{
	struct load_queue *queue = worker->queue;
	unsigned int count = 0;
	struct load_done done = {0};
	enum load_found found;

	while ((found = queue->wire->reap(queue, &done)) == LOAD_FOUND) {
		if (!count++)
			worker->now_ns = load_now_ns();
		if (!done.part)
			worker_count(worker, done.request);
		if (!done.part && receives(worker))
			worker->left--;
		worker->workload->complete(worker, &done);
		done.request->next = worker->free;
		worker->free = done.request;
		worker->in_flight--;
		if (receives(worker) && !worker->left)
			break;
	}
	if (found == LOAD_BROKEN)
		worker->result.broken = true;
	return count;
}

/* By time nothing need come in: whoever receives frames only waits for the end. By count all must. */
static bool must_complete(const struct worker *worker)
{
	return !receives(worker) || worker->config->count;
}

/* Waits for something to do. False when there is no hope left. */
static bool worker_wait(struct worker *worker, unsigned int *spins)
{
	uint64_t patience = worker->config->timeout * 1000000000ULL;

	if (worker->config->wait == LOAD_SLEEP)
		load_queue_sleep(worker->queue, 100);
	else if (++*spins % SPINS_PER_CLOCK)
		return true;
	worker->now_ns = load_now_ns();
	if (!must_complete(worker))
		return worker->now_ns < worker->window->end_ns && !worker->window->abandoned;
	return worker->now_ns - worker->progress_ns < patience && !worker->window->abandoned;
}

static void worker_loop(struct worker *worker)
{
	unsigned int spins = 0;

	worker->now_ns = worker->progress_ns = load_now_ns();
	for (;;) {
		worker_submit(worker);
		if (!worker->in_flight || (receives(worker) && !worker->left))
			break;
		if (worker_reap(worker))
			worker->progress_ns = worker->now_ns;
		else if (worker->result.broken || !worker_wait(worker, &spins))
			break;
	}
	if (must_complete(worker) && (!receives(worker) || worker->left))
		worker->result.stuck = worker->in_flight;
}

void *worker_run(void *argument)
{
	struct worker *worker = argument;

	worker_pin(worker);
	worker->result.first_ns = load_now_ns();
	worker_loop(worker);
	if (worker->config->device == LOAD_BLK && worker->config->verify && !worker->result.stuck &&
	    !worker->result.broken) {
		worker->last_pass = true;
		worker->next_block = 0;
		worker->left = UINT64_MAX;
		worker_loop(worker);
	}
	return NULL;
}
