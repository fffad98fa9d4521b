// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A worker goes round between the link and the two rings while there is work. When there is none it
 * looks on for a bounded, adaptive time, with kicks turned off, because being woken is the dearest
 * thing there is; then it asks for kicks, looks once more, and sleeps in one poll() on everything that
 * can bring work: the kicks, the link, and the control thread.
 *
 *	kick of the transmit ring	wanted unless the link is busy and holds a frame
 *	link readable			wanted while the guest has buffers staged
 *	link writable			wanted while a frame is held
 *	kick of the receive ring	wanted only when buffers are missing
 *	time				while a frame is held that has no credit
 *	another worker's bell		wanted while the guest has buffers staged
 *
 * So nothing that cannot be acted upon wakes it, and a flood on one side that the other does not take
 * costs nothing. A driver that kicks without end and without work is listened to at intervals only
 * (backend/poll.h); the link is looked at meanwhile.
 *
 * The control thread never touches a running ring: it has the worker do what must be done, between
 * two bursts (net_worker_do()). The mutex there is not on the data path; a burst sees one flag. A
 * worker that a peer holds in a system call is freed for it (backend/thread.h).
 */
#include <errno.h>
#include <immintrin.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "backend/net/worker.h"
#include "backend/thread.h"
#include "common/log.h"
#include "common/stats.h"

/*
 * How long a guest that has too few buffers is waited for before they must do, and frames that do not
 * fit are lost. A vCPU that the host runs in turns with others is away for tens of milliseconds, and the
 * link queues meanwhile; the shortest retransmission time-out of TCP is 200 ms, which a guest that never
 * has enough buffers must not be made to meet.
 */
#define MAKE_DO_MS 100
/* A frame without credit is looked at so often, since its limit may change. */
#define PAUSE_MAX_NS 100000000
/* The rhythm of looking at rings whose driver never kicks. */
#define NO_KICK_SLEEP_NS 100000
/* A worker that has no time to sleep looks once in so many rounds at its CPU time and for starved rings. */
#define LOOK_ROUNDS 256

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* ---- calls from the control thread -------------------------------------------------------------- */

static void take_call(struct net_worker *worker)
{
	net_worker_call call;
	uint64_t count;

	pthread_mutex_lock(&worker->lock);
	atomic_store_explicit(&worker->called, false, memory_order_relaxed);
	if (read(worker->wake, &count, sizeof(count)) < 0)
		count = 0; /* it could not be written, and the flag was seen all the same */
	call = worker->call;
	pthread_mutex_unlock(&worker->lock);

	/* Without the lock: whoever waits must come to look, in case a peer holds us in this. */
	if (call)
		call(worker, worker->argument);

	pthread_mutex_lock(&worker->lock);
	worker->call = NULL;
	pthread_cond_signal(&worker->done);
	pthread_mutex_unlock(&worker->lock);
}

void net_worker_do(struct net_worker *worker, net_worker_call call, void *argument)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&worker->lock);
	worker->call = call;
	worker->argument = argument;
	atomic_store_explicit(&worker->called, true, memory_order_release);
	if (write(worker->wake, &one, sizeof(one)) < 0)
		log_errno("worker %u: cannot wake it", worker->index);
	while (worker->call)
		backend_thread_wait(worker->thread, &worker->done, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

/* ---- sleep -------------------------------------------------------------------------------------- */

/* Whether to look again instead of sleeping. */
static bool keep_polling(struct net_worker *worker)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct stats_queue *stats = worker->stats[NET_SIDE_TX];

	if (!worker->idle_since)
		worker->idle_since = now;
	if (now - worker->idle_since < poll_budget_ns(&worker->poll)) {
		_mm_pause();
		return true;
	}
	if (poll_budget_ns(&worker->poll) && !worker->slept)
		stats_add(&stats->polls_miss, 1);
	worker->slept = true;
	return false;
}

static void work_found(struct net_worker *worker)
{
	worker->idle_kicks = 0;
	if (!worker->idle_since)
		return;
	if (poll_budget_ns(&worker->poll) && !worker->slept)
		stats_add(&worker->stats[NET_SIDE_TX]->polls_hit, 1);
	worker->slept = false;
	poll_learn(&worker->poll, clock_ns(CLOCK_MONOTONIC) - worker->idle_since);
	worker->idle_since = 0;
}

/* How long not to listen to kicks; every other sleep listens, to learn whether they have ended. */
static unsigned int rest_us(struct net_worker *worker)
{
	unsigned int us = worker->rested ? 0 : poll_rest_us(worker->idle_kicks);

	worker->rested = us;
	return us;
}

static int wait_on(struct pollfd *fds, unsigned int count, int64_t timeout_ns)
{
	struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};

	return ppoll(fds, count, timeout_ns == INT64_MAX ? NULL : &timeout, NULL);
}

static bool take_kick(struct net_worker *worker, const struct pollfd *fds, enum net_side side)
{
	if (!fds[side].revents)
		return false;
	stats_add(&worker->stats[side]->kicks, 1);
	/* What cannot be taken, a pipe that was closed, is a kick for ever: it counts as one. */
	worker->ops->take_kick(worker, side);
	return true;
}

/*
 * For how many ms the guest is waited for yet; -1: it is not, or nothing is there that could do. Where no
 * buffer came for long enough, whatever else did, what is staged must do.
 */
static int starving_ms(struct net_worker *worker, const struct net_wait *wait)
{
	uint64_t now, waited_ms;

	if (!wait->starving || !wait->staged) {
		worker->starved_since = 0;
		return -1;
	}
	now = clock_ns(CLOCK_MONOTONIC);
	if (!worker->starved_since || worker->starved_taken != wait->taken) {
		worker->starved_since = now;
		worker->starved_taken = wait->taken;
	}
	waited_ms = (now - worker->starved_since) / 1000000;
	if (waited_ms < MAKE_DO_MS)
		return MAKE_DO_MS - waited_ms;
	worker->starved_since = 0;
	worker->ops->make_do(worker);
	return 0;
}

static void wait_for_work(struct net_worker *worker)
{
	const unsigned int rest = rest_us(worker);
	const struct link_ops *ops = worker->link->ops;
	struct pollfd *bell = worker->fds + 1, *kicks = bell + 1, *fds = kicks + NET_SIDES;
	struct net_wait wait = {.kick = {-1, -1}, .bell = -1};
	int64_t timeout_ns = INT64_MAX;
	unsigned int count, side;
	bool kicked = false;
	int timeout_ms, ready;
	uint64_t rung;

	worker->ops->wait(worker, &wait);
	if (rest)
		timeout_ns = rest * 1000LL;
	else if (wait.blind)
		timeout_ns = NO_KICK_SLEEP_NS;
	worker->fds[0] = (struct pollfd){.fd = worker->wake, .events = POLLIN};
	*bell = (struct pollfd){.fd = wait.bell, .events = POLLIN};
	for (side = 0; side < NET_SIDES; side++)
		kicks[side] = (struct pollfd){.fd = rest ? -1 : wait.kick[side], .events = POLLIN};
	timeout_ms = starving_ms(worker, &wait);
	count = ops->prepare(worker->link, worker->index, wait.receive, wait.send, fds,
			     &timeout_ms);
	if (timeout_ms >= 0 && timeout_ms * 1000000LL < timeout_ns)
		timeout_ns = timeout_ms * 1000000LL;
	if (wait.pause_ns > PAUSE_MAX_NS)
		wait.pause_ns = PAUSE_MAX_NS;
	if (wait.pause_ns && (int64_t)wait.pause_ns < timeout_ns)
		timeout_ns = (int64_t)wait.pause_ns;
	ready = wait_on(worker->fds, 2 + NET_SIDES + count, timeout_ns);
	if (ready < 0)
		return; /* EINTR, or no memory: look round and try again */
	if (bell->revents && read(wait.bell, &rung, sizeof(rung)) < 0)
		rung = 0; /* nothing in it: what matters is what it rang for */
	for (side = 0; side < NET_SIDES; side++)
		kicked |= take_kick(worker, kicks, side);
	worker->idle_kicks += kicked;
	ops->dispatch(worker->link, worker->index, fds, count);
}

/* The thread serves two queues: its time is counted at the receive queue only. */
static void renew_cpu_time(struct net_worker *worker)
{
	worker->rounds = 0;
	__atomic_store_n(&worker->stats[NET_SIDE_RX]->cpu_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID),
			 __ATOMIC_RELAXED);
}

/* Traffic from the guest is no reason for frames to the guest to wait on. */
static void look_round(struct net_worker *worker)
{
	struct net_wait wait = {.kick = {-1, -1}, .bell = -1};

	renew_cpu_time(worker);
	worker->ops->wait(worker, &wait);
	starving_ms(worker, &wait);
}

static void sleep_until_work(struct net_worker *worker)
{
	if (worker->ops->arm(worker)) {
		stats_add(&worker->stats[NET_SIDE_RX]->sleeps, 1);
		renew_cpu_time(worker);
		wait_for_work(worker);
	}
	worker->ops->disarm(worker);
}

/* ---- the thread --------------------------------------------------------------------------------- */

static void *worker_main(void *argument)
{
	struct net_worker *worker = argument;
	while (!worker->quit) {
		if (atomic_load_explicit(&worker->called, memory_order_acquire)) {
			take_call(worker);
			continue; /* it may have been the last */
		}
		if (++worker->rounds == LOOK_ROUNDS)
			look_round(worker);
		if (worker->ops->burst(worker))
			work_found(worker);
		else if (!keep_polling(worker))
			sleep_until_work(worker);
	}
	return NULL;
}

static void call_quit(struct net_worker *worker, void *argument)
{
	worker->quit = true;
}

void net_worker_init(struct net_worker *worker, const struct net_pair_ops *ops, struct link *link,
		     unsigned int index, struct stats_page *page)
{
	worker->ops = ops;
	worker->link = link;
	worker->index = index;
	worker->stats[NET_SIDE_RX] = stats_queue(page, 2 * index);
	worker->stats[NET_SIDE_RX]->direction = STATS_TO_GUEST;
	worker->stats[NET_SIDE_TX] = stats_queue(page, 2 * index + 1);
	worker->stats[NET_SIDE_TX]->direction = STATS_FROM_GUEST;
}

int net_worker_open(struct net_worker *worker, int64_t poll_us)
{
	char name[16];
	int error;

	poll_init(&worker->poll, poll_us);
	worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wake < 0)
		return -errno;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->done, NULL);
	error = backend_thread_create(&worker->thread, worker_main, worker);
	if (error)
		return -error;
	worker->running = true;
	snprintf(name, sizeof(name), "pair-%u", worker->index);
	pthread_setname_np(worker->thread, name);
	return 0;
}

void net_worker_close(struct net_worker *worker)
{
	if (worker->running) {
		net_worker_do(worker, call_quit, NULL);
		pthread_join(worker->thread, NULL);
		pthread_cond_destroy(&worker->done);
		pthread_mutex_destroy(&worker->lock);
		worker->running = false;
	}
	if (worker->wake >= 0)
		close(worker->wake);
	worker->wake = -1;
}
