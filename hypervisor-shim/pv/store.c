// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The store's thread, and how others reach it.
 *
 * A call from another thread is put on a list, and the thread woken; it makes the call between two
 * requests. Under a lock instead, a caller could starve behind a guest that asks without ever
 * stopping, since a mutex goes to whoever is running.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/socket.h"
#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/store_call.h"
#include "hypervisor-shim/pv/store_control.h"
#include "hypervisor-shim/pv/store_peer.h"

#define POLL_WAKE     0
#define POLL_LISTENER 1
#define POLL_PEERS    2
#define TICK_MS       1000 /* for what gets too old */
#define FAVOUR_MS     10 /* how soon the guests' wait is looked at */

struct call {
	struct call *next;
	store_call_fn *run;
	void *argument;
	int result;
	bool done;
};

static struct {
	pthread_mutex_t lock; /* over the next five */
	pthread_cond_t done;
	struct call *calls, **last;
	bool open;
	bool stop;

	pthread_t thread;
	int wake;

	/* The thread's alone. */
	struct store store;
	int listener;
	char *listen_path;
	uint64_t accept_again_ms; /* after we ran out of descriptors */
} state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
};

static uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void run_calls(void)
{
	struct call *call, *next;

	pthread_mutex_lock(&state.lock);
	call = state.calls;
	state.calls = NULL;
	state.last = &state.calls;
	pthread_mutex_unlock(&state.lock);
	if (!call)
		return;
	for (next = call; next; next = next->next)
		next->result = next->run(&state.store, next->argument);
	pthread_mutex_lock(&state.lock);
	while (call) { /* which its owner takes back as soon as it is done */
		next = call->next;
		call->done = true;
		call = next;
	}
	pthread_cond_broadcast(&state.done);
	pthread_mutex_unlock(&state.lock);
}

static void accept_tool(void)
{
	int fd = accept4(state.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			log_errno("store: cannot accept a connection at %s; again in a second",
				  state.listen_path);
			state.accept_again_ms = state.store.now_ms + TICK_MS;
		}
		return;
	}
	if (state.store.peer_count >= STORE_PEERS_MAX ||
	    !store_stream_new(&state.store, STORE_DOMAIN_BACKEND, fd)) {
		log_warn("store: refused a connection at %s: there are %u", state.listen_path,
			 state.store.peer_count);
		close(fd);
	}
}

/* The nearest time at which there is something to do though no descriptor says so; -1: none. */
static int time_to_wait(void)
{
	int wait = state.listener >= 0 && state.accept_again_ms ? TICK_MS : -1;
	struct store_peer *peer;

	for (peer = state.store.peers; peer; peer = peer->next) {
		if (store_peer_busy(peer))
			return 0;
		if (peer->first)
			wait = TICK_MS;
	}
	return state.store.favoured ? FAVOUR_MS : wait;
}

static unsigned int prepare(struct pollfd *polled)
{
	const struct store *store = &state.store;
	unsigned int count = POLL_PEERS;
	const struct store_peer *peer;

	polled[POLL_WAKE] = (struct pollfd){.fd = state.wake, .events = POLLIN};
	polled[POLL_LISTENER] = (struct pollfd){
		.fd = store->now_ms < state.accept_again_ms ? -1 : state.listener,
		.events = POLLIN,
	};
	for (peer = store->peers; peer; peer = peer->next)
		polled[count++] = (struct pollfd){
			.fd = peer->fd,
			.events = store_peer_events(peer),
		};
	return count;
}

static void take_turns(const struct pollfd *polled)
{
	struct store *store = &state.store;
	struct store_peer *peer;

	for (peer = store->peers; peer; peer = peer->next, polled++) {
		store_peer_expire(peer);
		store_peer_turn(peer, polled->revents);
	}
	/* What a turn queued for a peer that had its turn before. */
	for (peer = store->peers; peer; peer = peer->next)
		store_peer_flush(peer);
	if (store->favoured && store->now_ms >= store->favoured_until)
		store->favoured = NULL;
	store_peer_reap(store);
}

static bool stopping(void)
{
	bool stop;

	pthread_mutex_lock(&state.lock);
	stop = state.stop;
	pthread_mutex_unlock(&state.lock);
	return stop;
}

static void *store_thread(void *unused)
{
	/* The guest's page has its place too, and peers are made by calls of ours. */
	static struct pollfd polled[POLL_PEERS + STORE_PEERS_MAX + 1];
	uint64_t count;

	while (!stopping()) {
		poll(polled, prepare(polled), time_to_wait());
		state.store.now_ms = now_ms();
		/* First those that were polled, then what changes who they are. */
		take_turns(polled + POLL_PEERS);
		if (polled[POLL_LISTENER].revents & POLLIN)
			accept_tool();
		if (state.store.now_ms >= state.accept_again_ms)
			state.accept_again_ms = 0;
		if (polled[POLL_WAKE].revents && read(state.wake, &count, sizeof(count)) < 0)
			log_errno("store: cannot read what wakes its thread");
		run_calls();
		for (struct store_peer *peer = state.store.peers; peer; peer = peer->next)
			store_peer_flush(peer);
		store_peer_reap(&state.store);
	}
	return NULL;
}

/* ---- calls ----------------------------------------------------------------------------------- */

int store_call(store_call_fn *run, void *argument)
{
	struct call call = {.run = run, .argument = argument};
	const uint64_t one = 1;

	pthread_mutex_lock(&state.lock);
	if (!state.open || state.stop) {
		pthread_mutex_unlock(&state.lock);
		return -ENODEV;
	}
	*state.last = &call;
	state.last = &call.next;
	if (write(state.wake, &one, sizeof(one)) < 0)
		log_errno("store: cannot wake its thread");
	while (!call.done)
		pthread_cond_wait(&state.done, &state.lock);
	pthread_mutex_unlock(&state.lock);
	return call.result;
}

static void close_everything(struct store *store)
{
	struct store_peer *peer;

	for (peer = store->peers; peer; peer = peer->next)
		peer->ended = true;
	store_peer_reap(store);
	store_domain_close(store);
	if (state.listener >= 0) {
		close(state.listener);
		unlink(state.listen_path);
	}
	free(state.listen_path);
	close(state.wake);
}

/* Signals are other threads' business. */
static int start_thread(void)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	error = pthread_create(&state.thread, NULL, store_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_setname_np(state.thread, "store");
	return -error;
}

int pv_store_open(unsigned int guest)
{
	int error;

	pthread_mutex_lock(&state.lock);
	if (state.open) {
		pthread_mutex_unlock(&state.lock);
		log_error("store: it is open already");
		return -EBUSY;
	}
	state.last = &state.calls;
	state.stop = false;
	state.listener = -1;
	state.listen_path = NULL;
	state.accept_again_ms = 0;
	state.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = state.wake < 0 ? -errno : store_domain_open(&state.store, guest);
	state.store.now_ms = now_ms();
	if (!error) {
		error = start_thread();
		if (error)
			store_domain_close(&state.store);
	}
	if (error && state.wake >= 0)
		close(state.wake);
	state.open = !error;
	pthread_mutex_unlock(&state.lock);
	if (error) {
		errno = -error;
		log_errno("store: cannot start for domain %u", guest);
	}
	return error;
}

void pv_store_close(void)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&state.lock);
	if (!state.open || state.stop) {
		pthread_mutex_unlock(&state.lock);
		return;
	}
	state.stop = true;
	pthread_mutex_unlock(&state.lock);
	if (write(state.wake, &one, sizeof(one)) < 0)
		log_errno("store: cannot wake its thread");
	pthread_join(state.thread, NULL);
	run_calls(); /* whoever came before the end */
	close_everything(&state.store);
	pthread_mutex_lock(&state.lock);
	state.open = false;
	pthread_mutex_unlock(&state.lock);
}

/* The guest's ring goes, whoever had introduced it. */
static void end_ring(struct store *store)
{
	struct store_peer *peer;

	for (peer = store->peers; peer; peer = peer->next)
		if (peer->page)
			peer->ended = true;
	store_peer_reap(store);
}

struct ring {
	struct store_ring_page *page;
	int kicked, kick;
};

static int connect_guest(struct store *store, void *argument)
{
	const struct ring *ring = argument;

	end_ring(store);
	if (!store_ring_new(store, store->guest, ring->page, ring->kicked, ring->kick))
		return -ENOMEM;
	return store_guest_introduce(store);
}

int pv_store_connect_guest(struct store_ring_page *page, int kicked, int kick)
{
	return store_call(connect_guest,
			  &(struct ring){.page = page, .kicked = kicked, .kick = kick});
}

static int disconnect_guest(struct store *store, void *argument)
{
	store_guest_release(store);
	end_ring(store);
	return 0;
}

void pv_store_disconnect_guest(void)
{
	store_call(disconnect_guest, NULL);
}

static int reset_guest(struct store *store, void *argument)
{
	struct store_peer *peer;

	for (peer = store->peers; peer; peer = peer->next)
		if (peer->page && peer->domain->introduced)
			store_ring_reset(peer);
	return 0;
}

void pv_store_reset_guest(void)
{
	store_call(reset_guest, NULL);
}

struct stream {
	unsigned int domain;
	int fd;
};

static int connect_stream(struct store *store, void *argument)
{
	const struct stream *stream = argument;

	if (store->peer_count >= STORE_PEERS_MAX)
		return -EMFILE;
	return store_stream_new(store, stream->domain, stream->fd) ? 0 : -ENOMEM;
}

int pv_store_connection(unsigned int domain)
{
	struct stream stream = {.domain = domain};
	int pair[2], error;

	if (domain > UINT16_MAX)
		return -EINVAL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	stream.fd = pair[1];
	error = store_call(connect_stream, &stream);
	if (!error)
		return pair[0];
	close(pair[0]);
	close(pair[1]);
	return error;
}

struct listener {
	char *path;
	int fd;
};

static int listen_there(struct store *store, void *argument)
{
	const struct listener *listener = argument;

	if (state.listener >= 0)
		return -EBUSY;
	state.listener = listener->fd;
	state.listen_path = listener->path;
	return 0;
}

int pv_store_listen(const char *path)
{
	struct listener listener = {.path = strdup(path)};
	int error;

	if (!listener.path)
		return -ENOMEM;
	listener.fd = socket_listen(path, SOCK_STREAM);
	error = listener.fd;
	if (error < 0)
		goto no_socket;
	/* Whoever connects has all rights of domain 0. */
	error = chmod(path, 0600) < 0 ? -errno : store_call(listen_there, &listener);
	if (!error)
		return 0;
	close(listener.fd);
	unlink(path);
no_socket:
	errno = -error;
	log_errno("--store-socket: cannot listen at %s; give another path", path);
	free(listener.path);
	return error;
}
