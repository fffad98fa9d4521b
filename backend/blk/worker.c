// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The worker: one thread a queue, which shares nothing with the others but the image.
 *
 * A round takes a batch off the ring, validates each request, starts it on the store, sends what is
 * staged with one submission, collects what the store has finished, and publishes all answers at
 * once; the peer is interrupted if it asked to be, once a round. When a round finds nothing to do the
 * worker looks on for a bounded time (poll.h), then asks for kicks and sleeps in one system call that
 * a kick, a completion or the order to stop ends.
 *
 * While the store works on requests of this queue there is no looking: their completion comes by
 * interrupt and wakes us anyway, and until then the CPU is of better use to others.
 */
#include <errno.h>
#include <immintrin.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "backend/blk/execute.h"
#include "backend/blk/validate.h"
#include "backend/blk/worker.h"
#include "backend/poll.h"
#include "backend/thread.h"

#define BATCH_MAX 64
/*
 * Answers are published before a batch is over when there are so many of them or so much was moved:
 * the peer takes them up while we go on. Fewer would only pass the ring's lines to and fro.
 */
#define PUBLISH_MAX   32
#define PUBLISH_BYTES (256U << 10)

/* A round that takes longer than this interrupts in between, so that the first need not wait. */
#define INTERRUPT_LATE_NS 200000

/* The rhythm of looking at a ring whose peer never kicks: an eighth of the time without work. */
#define NO_KICK_SLEEP_MIN_US 50
#define NO_KICK_SLEEP_MAX_US 1000

#define CPU_TIME_RENEW_NS 1000000

struct blk_worker {
	struct blk_worker_options options;
	struct blk_source *source;
	struct stats_queue *stats;
	struct blk_execute execute;
	struct store_queue *store;
	struct poll_budget poll;
	uint64_t now_ns; /* read at least once a round */
	uint64_t round_ns; /* when this round began, or interrupted last */
	uint64_t work_end_ns; /* of the last round that did something */
	uint64_t cpu_time_ns; /* when stats->cpu_ns was renewed */
	bool idle; /* since then, with nothing in flight */
	unsigned int idle_sleeps; /* in a row, no work between them */
	bool published; /* since the last decision to interrupt */
	bool reported; /* the source is broken, and that was said */

	struct blk_request *requests;
	struct blk_request **free; /* stack: what was used last is warm in the cache */
	unsigned int free_count;
	struct blk_request *over[PUBLISH_MAX]; /* answers not yet written */
	unsigned int over_count;
	uint64_t over_bytes;

	pthread_t thread;
	sem_t started;
	int start_error;
	int wake; /* eventfd: look at ->stop */
	_Atomic bool stop;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* ---- answers ---------------------------------------------------------------------------------- */

static const uint8_t kinds[] = {
	[BLK_READ] = STATS_BLK_READ,
	[BLK_WRITE] = STATS_BLK_WRITE,
	[BLK_FLUSH] = STATS_BLK_FLUSH,
	[BLK_DISCARD] = STATS_BLK_DISCARD,
	[BLK_GET_ID] = STATS_BLK_OTHER,
	[BLK_WRITE_ZEROES] = STATS_BLK_WRITE_ZEROES,
	[BLK_UNKNOWN] = STATS_BLK_OTHER,
	[BLK_MALFORMED] = STATS_BLK_OTHER,
	[BLK_SECURE_ERASE] = STATS_BLK_DISCARD,
};

static void count_request(struct blk_worker *worker, const struct blk_request *request)
{
	struct stats_queue *stats = worker->stats;

	stats_add(&stats->requests[kinds[request->op]], 1);
	stats_add(&stats->latency[stats_latency_bucket(worker->now_ns - request->start_ns)], 1);
	if (request->status != BLK_OK)
		stats_add(&stats->errors, 1);
	else if (request->op == BLK_WRITE)
		stats_add(&stats->bytes_in, request->bytes);
	else if (request->op == BLK_READ)
		stats_add(&stats->bytes_out, request->bytes);
}

static void interrupt(struct blk_worker *worker)
{
	if (!worker->published)
		return;
	worker->published = false;
	if (worker->source->ops->interrupt(worker->source))
		stats_add(&worker->stats->interrupts, 1);
	else
		stats_add(&worker->stats->interrupts_suppressed, 1);
}

/* Answers all that is over and makes it visible. */
static void publish(struct blk_worker *worker)
{
	unsigned int i;

	if (!worker->over_count)
		return;
	worker->source->ops->complete(worker->source, worker->over, worker->over_count);
	worker->source->ops->publish(worker->source);
	worker->now_ns = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < worker->over_count; i++) {
		count_request(worker, worker->over[i]);
		worker->free[worker->free_count++] = worker->over[i];
	}
	worker->over_count = 0;
	worker->over_bytes = 0;
	worker->published = true;
	if (worker->now_ns - worker->round_ns > INTERRUPT_LATE_NS) {
		interrupt(worker);
		worker->round_ns = worker->now_ns;
	}
}

static void add_over(struct blk_worker *worker, struct blk_request *request)
{
	worker->over[worker->over_count++] = request;
	worker->over_bytes += request->bytes;
	if (worker->over_count == PUBLISH_MAX || worker->over_bytes >= PUBLISH_BYTES)
		publish(worker);
}

/* ---- a round ---------------------------------------------------------------------------------- */

static void start_request(struct blk_worker *worker, const struct blk_policy *policy,
			  struct blk_request *request)
{
	request->start_ns = worker->now_ns;
	request->status = blk_validate(policy, request);
	if (request->status != BLK_OK || blk_execute_start(&worker->execute, request))
		add_over(worker, request);
}

/*
 * Starts a batch. A disk that is about to run dry is given the first requests at once, and then
 * twice as many each time: it works while we prepare the rest. One that has enough to do gets the
 * batch in one call.
 */
static void start_batch(struct blk_worker *worker, const struct blk_policy *policy,
			struct blk_request **batch, unsigned int count)
{
	struct store_queue *store = worker->store;
	unsigned int i, submit_at = store->in_flight < count ? 1 : count;

	for (i = 0; i < count; i++) {
		start_request(worker, policy, batch[i]);
		if (i + 1 == submit_at) {
			store->engine->submit(store);
			submit_at *= 2;
		}
	}
	store->engine->submit(store);
}

static unsigned int fetch(struct blk_worker *worker)
{
	const struct store_image *image = worker->options.device->image;
	struct blk_request *batch[BATCH_MAX];
	struct blk_policy policy;
	unsigned int i, count, max;

	max = worker->free_count < BATCH_MAX ? worker->free_count : BATCH_MAX;
	for (i = 0; i < max; i++)
		batch[i] = worker->free[worker->free_count - 1 - i];
	count = worker->source->ops->fetch(worker->source, batch, max);
	if (!count)
		return 0;
	worker->free_count -= count;
	stats_add(&worker->stats->batch[stats_batch_bucket(count)], 1);

	/* What may change while we run is read once a batch. */
	policy = (struct blk_policy){
		.size = image->size,
		.block_size = image->block_size,
		.read_only = image->read_only,
		.can_discard = image->can_discard,
		.can_erase = image->can_erase,
	};
	worker->execute.write_through = worker->options.device->write_through;
	start_batch(worker, &policy, batch, count);
	return count;
}

static unsigned int reap(struct blk_worker *worker)
{
	struct store_io *done[BATCH_MAX];
	unsigned int i, count;

	count = worker->store->engine->reap(worker->store, done, BATCH_MAX);
	for (i = 0; i < count; i++) {
		struct blk_request *request = blk_request_of(done[i]);

		if (blk_execute_continue(&worker->execute, request))
			add_over(worker, request);
	}
	return count;
}

/* How much was done: 0 when there was nothing to do. */
static unsigned int round_once(struct blk_worker *worker, bool stopping)
{
	const struct store_engine *engine = worker->store->engine;
	unsigned int fetched = 0, reaped;

	worker->round_ns = worker->now_ns;
	if (!stopping && !worker->source->broken)
		fetched = fetch(worker);
	reaped = reap(worker);
	if (reaped)
		engine->submit(worker->store); /* requests that take another step */
	if (!(fetched + reaped))
		return 0;
	worker->idle_sleeps = 0;
	publish(worker);
	interrupt(worker);
	return fetched + reaped;
}

/* ---- between rounds --------------------------------------------------------------------------- */

/* True: work was found within the budget. */
static bool look(struct blk_worker *worker)
{
	bool busy = worker->store->in_flight;
	uint64_t budget, start = worker->now_ns;
	unsigned int i;

	if (worker->source->broken || (busy && worker->poll.fixed_ns < 0))
		return false;
	budget = poll_budget_ns(&worker->poll);
	if (!budget)
		return false;
	do {
		for (i = 0; i < 16; i++) {
			if (worker->source->ops->has_work(worker->source)) {
				stats_add(&worker->stats->polls_hit, 1);
				return true;
			}
			_mm_pause();
		}
		worker->now_ns = clock_ns(CLOCK_MONOTONIC);
		/* A fixed budget was given to look for completions too. */
		if (busy && round_once(worker, false)) {
			stats_add(&worker->stats->polls_hit, 1);
			return true;
		}
	} while (worker->now_ns - start < budget && !worker->stop);
	stats_add(&worker->stats->polls_miss, 1);
	return false;
}

static int64_t sleep_limit_us(const struct blk_worker *worker)
{
	int64_t idle_us = (worker->now_ns - worker->work_end_ns) / 1000;

	if (worker->options.kick >= 0 || worker->source->broken)
		return -1;
	if (idle_us / 8 < NO_KICK_SLEEP_MIN_US)
		return NO_KICK_SLEEP_MIN_US;
	return idle_us / 8 < NO_KICK_SLEEP_MAX_US ? idle_us / 8 : NO_KICK_SLEEP_MAX_US;
}

static void renew_cpu_time(struct blk_worker *worker)
{
	if (worker->now_ns - worker->cpu_time_ns < CPU_TIME_RENEW_NS)
		return;
	worker->cpu_time_ns = worker->now_ns;
	__atomic_store_n(&worker->stats->cpu_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID),
			 __ATOMIC_RELAXED);
}

/*
 * A peer that floods us with kicks is served at intervals. What the store has finished waits as long;
 * the order to stop does not.
 */
static void rest(struct blk_worker *worker, bool stopping)
{
	struct pollfd wake = {.fd = stopping ? -1 : worker->wake, .events = POLLIN};
	unsigned int us = poll_rest_us(worker->idle_sleeps++);
	struct timespec time = {0, us * 1000L};

	if (!us || worker->options.kick < 0)
		return;
	ppoll(&wake, 1, &time, NULL);
	worker->now_ns = clock_ns(CLOCK_MONOTONIC);
}

/* Sleeps until a kick, a completion or the order to stop. */
static void sleep_until_event(struct blk_worker *worker, bool stopping)
{
	struct blk_source *source = worker->source;
	bool kicks = !stopping && !source->broken;
	uint64_t count;

	rest(worker, stopping);
	if (kicks && source->ops->arm(source)) {
		source->ops->disarm(source);
		return;
	}
	/*
	 * ->stop is looked at after the last reap, which may have swallowed the wake-up of the order
	 * to stop: the flag was set before it.
	 */
	if (stopping || !worker->stop) {
		renew_cpu_time(worker);
		stats_add(&worker->stats->sleeps, 1);
		worker->store->engine->wait(worker->store, sleep_limit_us(worker));
	}
	if (kicks)
		source->ops->disarm(source);
	/* What is left readable would end the next sleep at once. */
	if (source->ops->take_kick(source))
		stats_add(&worker->stats->kicks, 1);
	if (worker->stop && read(worker->wake, &count, sizeof(count)) < 0)
		return;
}

static void report_broken(struct blk_worker *worker)
{
	if (!worker->source->broken || worker->reported || worker->store->in_flight)
		return;
	worker->reported = true;
	stats_add(&worker->stats->broken, 1);
	worker->source->ops->report_broken(worker->source);
}

/* One round, and what it teaches of the intervals between requests. */
static bool work(struct blk_worker *worker)
{
	uint64_t idle_ns = worker->now_ns - worker->work_end_ns;

	if (!round_once(worker, false)) {
		worker->idle = !worker->store->in_flight;
		return false;
	}
	if (worker->idle)
		poll_learn(&worker->poll, idle_ns);
	worker->idle = false;
	worker->work_end_ns = worker->now_ns;
	renew_cpu_time(worker); /* a busy queue may never sleep */
	return true;
}

static void serve(struct blk_worker *worker)
{
	worker->source->ops->disarm(worker->source);
	while (!worker->stop) {
		if (work(worker))
			continue;
		report_broken(worker);
		if (look(worker))
			continue;
		sleep_until_event(worker, false);
		worker->now_ns = clock_ns(CLOCK_MONOTONIC);
	}
	while (worker->store->in_flight)
		if (!round_once(worker, true))
			sleep_until_event(worker, true);
}

/* ---- the thread's life ------------------------------------------------------------------------ */

static int open_store(struct blk_worker *worker)
{
	const struct blk_worker_device *device = worker->options.device;
	struct store_queue_options options = {
		.depth = worker->options.depth,
		.watch = {worker->wake, worker->options.kick},
		.watch_count = worker->options.kick < 0 ? 1 : 2,
		.memory = device->register_memory ? worker->options.memory : NULL,
	};

	worker->store = device->engine->open(device->image, &options);
	if (!worker->store)
		return -errno;
	worker->execute.store = worker->store;
	worker->execute.id = device->id;
	return 0;
}

static void *worker_thread(void *context)
{
	struct blk_worker *worker = context;
	char name[16];

	snprintf(name, sizeof(name), "blk-q%u", worker->options.index);
	pthread_setname_np(pthread_self(), name);
	worker->now_ns = worker->work_end_ns = clock_ns(CLOCK_MONOTONIC);
	worker->start_error = open_store(worker);
	sem_post(&worker->started);
	if (worker->start_error)
		return NULL;
	__atomic_store_n(&worker->stats->active, 1, __ATOMIC_RELAXED);
	serve(worker);
	worker->store->engine->close(worker->store);
	__atomic_store_n(&worker->stats->active, 0, __ATOMIC_RELAXED);
	return NULL;
}

static int create_thread(struct blk_worker *worker)
{
	int error = backend_thread_create(&worker->thread, worker_thread, worker);

	if (error)
		return error;
	while (sem_wait(&worker->started) < 0)
		;
	if (worker->start_error)
		pthread_join(worker->thread, NULL);
	return -worker->start_error;
}

static void worker_free(struct blk_worker *worker)
{
	unsigned int i;
	int error = errno;

	for (i = 0; worker->requests && i < worker->options.depth; i++)
		free(worker->requests[i].bounce);
	free(worker->requests);
	free(worker->free);
	if (worker->wake >= 0)
		close(worker->wake);
	sem_destroy(&worker->started);
	free(worker);
	errno = error;
}

static int worker_init(struct blk_worker *worker, const struct blk_worker_options *options)
{
	unsigned int i;

	worker->options = *options;
	worker->source = options->source;
	worker->stats = options->stats;
	poll_init(&worker->poll, options->device->poll_us);
	sem_init(&worker->started, 0, 0);
	worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->requests = calloc(options->depth, sizeof(*worker->requests));
	worker->free = calloc(options->depth, sizeof(*worker->free));
	if (worker->wake < 0 || !worker->requests || !worker->free)
		return -1;
	for (i = 0; i < options->depth; i++) {
		worker->requests[i].io.slot = i;
		worker->free[options->depth - 1 - i] = &worker->requests[i];
	}
	worker->free_count = options->depth;
	return 0;
}

struct blk_worker *blk_worker_start(const struct blk_worker_options *options)
{
	struct blk_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	if (worker_init(worker, options) < 0 || (errno = create_thread(worker))) {
		worker_free(worker);
		return NULL;
	}
	return worker;
}

void blk_worker_stop(struct blk_worker *worker)
{
	const uint64_t one = 1;

	worker->stop = true;
	while (write(worker->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	backend_thread_join(worker->thread);
	worker_free(worker);
}
