// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * pvkit-load: a front-end without a guest, to load and to measure a back-end.
 *
 * The main thread connects, starts one thread a queue, and does nothing then but look at the clock
 * and at the socket: a back-end that goes away ends the run, instead of leaving it wait.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "common/log.h"
#include "tools/load/config.h"
#include "tools/load/front.h"
#include "tools/load/report.h"
#include "tools/load/worker.h"

#define NS_PER_SECOND 1000000000ULL

/* CPU time of all threads that the process has or had, io_uring's workers among them. */
static double cpu_seconds(pid_t pid)
{
	struct timespec time;
	clockid_t clock;
	int error;

	if (!pid)
		return -1;
	error = clock_getcpuclockid(pid, &clock);
	if (!error && clock_gettime(clock, &time) < 0)
		error = errno;
	if (error) {
		errno = error;
		die_errno("--backend-pid: the CPU time of process %d cannot be read; name one that "
			  "runs",
			  pid);
	}
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Until @deadline_ns; false when the back-end hung up before. */
static bool wait_until(const struct load_front *front, uint64_t deadline_ns)
{
	struct pollfd poll_fd = {.fd = front->connection, .events = POLLRDHUP};

	for (;;) {
		uint64_t now = load_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec timeout = {left / NS_PER_SECOND, left % NS_PER_SECOND};

		if (!left)
			return true;
		if (ppoll(&poll_fd, 1, &timeout, NULL) > 0)
			return false;
	}
}

static void join_all(struct worker *workers, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
}

/* By count there is no time to wait for: looks at the socket until all threads are through. */
static bool wait_for_workers(const struct load_front *front, struct worker *workers)
{
	unsigned int done = 0;

	while (done < front->config->queues) {
		if (pthread_tryjoin_np(workers[done].thread, NULL) == 0)
			done++;
		else if (!wait_until(front, load_now_ns() + NS_PER_SECOND / 1000))
			break;
	}
	if (done == front->config->queues)
		return true;
	workers[0].window->abandoned = true;
	join_all(workers + done, front->config->queues - done);
	return false;
}

static void start_workers(struct worker *workers, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		int error = pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);

		if (error) {
			errno = error;
			die_errno("queue %u has no thread; use fewer --queues, or raise ulimit -u",
				  i);
		}
	}
}

/* Runs the load; the seconds that it was measured for, and the back-end's CPU time in them. */
static bool run(struct load_front *front, struct worker *workers, struct report *report)
{
	const struct load_config *config = front->config;
	struct window *window = workers[0].window;
	double before, after = -1;
	bool alive = true;

	window->start_ns = load_now_ns() + (uint64_t)(config->ramp * 1e9);
	window->end_ns =
		config->count ? UINT64_MAX : window->start_ns + (uint64_t)(config->runtime * 1e9);
	before = cpu_seconds(front->backend);
	start_workers(workers, config->queues);
	if (!config->count) {
		alive = wait_until(front, window->start_ns);
		if (alive && config->ramp > 0)
			before = cpu_seconds(front->backend);
		alive = alive && wait_until(front, window->end_ns);
		if (alive)
			after = cpu_seconds(front->backend);
	}
	alive = wait_for_workers(front, workers) && alive;
	if (config->count && alive)
		after = cpu_seconds(front->backend);
	report->backend_seconds = after >= 0 ? after - before : -1;
	return alive;
}

/* Half a second passes first, in which a back-end may end its polling. */
static bool linger(const struct load_front *front, struct report *report)
{
	const struct load_config *config = front->config;
	uint64_t start = load_now_ns() + NS_PER_SECOND / 2;
	double before;

	if (!(config->linger > 0))
		return true;
	if (!wait_until(front, start))
		return false;
	before = cpu_seconds(front->backend);
	if (!wait_until(front, start + (uint64_t)(config->linger * 1e9)))
		return false;
	if (front->backend)
		report->idle_share = (cpu_seconds(front->backend) - before) / config->linger;
	return true;
}

static struct worker *open_workers(struct load_front *front, struct window *window)
{
	struct worker *workers = calloc(front->config->queues, sizeof(*workers));
	unsigned int i;

	if (!workers)
		die_errno("no memory for %llu queues; use fewer --queues",
			  (unsigned long long)front->config->queues);
	for (i = 0; i < front->config->queues; i++)
		worker_open(&workers[i], front, window, i);
	return workers;
}

static void sum_up(struct report *report, const struct worker *workers, const struct window *window,
		   bool alive)
{
	unsigned int i;

	for (i = 0; i < report->config->queues; i++)
		report_add(report, &workers[i]);
	if (!report->total.last_ns)
		report->seconds = 0; /* nothing came back */
	else if (report->config->count)
		report->seconds = (double)(report->total.last_ns - report->total.first_ns) / 1e9;
	else if (alive)
		report->seconds = (double)(window->end_ns - window->start_ns) / 1e9;
	else if (report->total.last_ns > window->start_ns)
		report->seconds = (double)(report->total.last_ns - window->start_ns) / 1e9;
}

int main(int argc, char **argv)
{
	struct load_config config = {
		.queues = 1,
		.depth = 32,
		.queue_size = 256,
		.segments = 1,
		.reads = 100,
		.in_order = LOAD_OFF,
		.ring = LOAD_RING_OF_CONNECTION,
		.runtime = LOAD_RUNTIME_DEFAULT,
		.timeout = 30,
		.seed = 1,
	};
	static struct window window;
	static struct report report = {.idle_share = -1};
	static struct load_front front;
	struct worker *workers;
	unsigned int i;
	bool alive, let_go = true;

	load_config_parse(&config, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	load_front_open(&front, &config, worker_memory(&config));
	workers = open_workers(&front, &window);
	load_front_start(&front);

	alive = run(&front, workers, &report) && linger(&front, &report);
	if (alive)
		let_go = load_front_stop(&front);
	else
		log_error("%s: the back-end closed the connection", config.path);

	report.config = &config;
	report.features = front.features;
	report.persistent = front.persistent;
	sum_up(&report, workers, &window, alive);
	report_print(&report);
	for (i = 0; i < config.queues; i++)
		worker_close(&workers[i]);
	free(workers);
	load_front_close(&front);
	return alive && report_is_good(&report) && let_go ? 0 : 1;
}
