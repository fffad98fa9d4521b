// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/attach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/socket.h"
#include "hypervisor-shim/pv/attach_client.h"

#define GIVE_UP_ASK_MS  100
#define ACCEPT_PAUSE_MS 1000

/*
 * What the thread waits for. An event names a descriptor by its use, and is looked up again under the
 * lock: the client may be gone since.
 */
enum use {
	USE_WAKE,
	USE_LISTENER,
	USE_KICK,
	USE_SOCKET,
	USE_PROCESS,
};

static struct {
	int epoll, wake, listener, kick;
	uint32_t kick_port;
	int64_t accept_again; /* ms; 0: the listener is watched */
	pthread_t thread;
	bool running, ending;
	pthread_cond_t changed; /* with pv.lock */
	void (*lost)(const char *device);
	const char *path; /* of the listener */
} attach = {.epoll = -1, .wake = -1, .listener = -1, .kick = -1};

/* An eventfd, a socket: its use, and its number. */
static int watch(int fd, enum use use)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)use << 32 | (uint32_t)fd,
	};

	return epoll_ctl(attach.epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void client_unwatch(int fd)
{
	epoll_ctl(attach.epoll, EPOLL_CTL_DEL, fd, NULL); /* it may not be watched yet */
}

static void drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

/* The thread has to look at deadlines, or at its end. */
static void wake(void)
{
	uint64_t one = 1;

	(void)!write(attach.wake, &one, sizeof(one));
}

void clients_changed(void)
{
	if (attach.running)
		pthread_cond_broadcast(&attach.changed);
}

static struct client *client_by_descriptor(int fd, enum use use)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client && (use == USE_SOCKET ? client->fd : client->pidfd) == fd)
			return client;
	}
	return NULL;
}

/* ---- the thread ------------------------------------------------------------------------------- */

/*
 * Of the process that connected, or -1: it is none that we can see. Should its number be another
 * process' by now, then it has ended, its connection with it, and nothing is held that could be let
 * go of too early.
 */
static int peer_process(int fd)
{
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
		return -1;
	return pidfd_open(peer.pid, 0);
}

/*
 * The back-end stays in the backlog and keeps the listener readable, so the thread would turn as fast as
 * it can until somebody frees what is missing.
 */
static void accept_later(int err)
{
	log_peer(&attach_faults,
		 "cannot accept a back-end at %s: %s; trying again each second; raise the limit of "
		 "open files (ulimit -n) or free memory",
		 attach.path, strerror(err));
	client_unwatch(attach.listener);
	attach.accept_again = attach_now() + ACCEPT_PAUSE_MS;
}

static void accept_one(void)
{
	int fd = accept4(attach.listener, NULL, NULL, SOCK_CLOEXEC);
	struct client *client = fd < 0 ? NULL : client_new(fd, -1, NULL);

	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED)
			accept_later(errno);
		return;
	}
	if (!client || watch(fd, USE_SOCKET) < 0) {
		log_peer(&attach_faults, "a back-end more than the %u that can attach",
			 CLIENTS_MAX);
		if (client)
			client_disconnect(client, NULL); /* closes it */
		else
			close(fd);
		return;
	}
	client->greet_by = attach_now() + ATTACH_ACK_SECONDS * 1000LL;
	client->pidfd = peer_process(fd);
	if (client->pidfd >= 0 && watch(client->pidfd, USE_PROCESS) < 0) {
		close(client->pidfd);
		client->pidfd = -1;
	}
}

static void kicked(void)
{
	drain(attach.kick);
	pv.channels.ops->raise(&pv.channels, attach.kick_port);
}

static bool is_open(int fd)
{
	struct pollfd ended = {.fd = fd};

	return fd >= 0 && poll(&ended, 1, 0) == 0;
}

/* The process of a back-end has ended, and so has all that it had in flight. */
static const char *process_ended(int fd)
{
	struct client *client = client_by_descriptor(fd, USE_PROCESS);
	const char *device;

	if (!client)
		return NULL;
	close(client->pidfd); /* leaves the epoll: nobody else has a copy */
	client->pidfd = -1;
	if (is_open(client->fd))
		return NULL; /* another process has its end of the connection too */
	device = client->device;
	if (!device && client->features & 1ULL << ATTACH_F_RESUME) {
		client_settle(client);
		return NULL; /* whoever has its cookie comes yet */
	}
	if (!device && client_holds_anything(client))
		log_warn("%s: its back-end died; the guest has back what it held, and waits for "
			 "another one",
			 client_name(client));
	client_release(client);
	return device;
}

/* With the lock held. The device whose back-end is gone for good, or NULL. */
static const char *handle(enum use use, int fd)
{
	struct client *client;

	switch (use) {
	case USE_WAKE:
		drain(attach.wake);
		break;
	case USE_LISTENER:
		accept_one();
		break;
	case USE_KICK:
		kicked();
		break;
	case USE_SOCKET:
		client = client_by_descriptor(fd, USE_SOCKET);
		if (client)
			client_receive(client);
		break;
	case USE_PROCESS:
		return process_ended(fd);
	}
	return NULL;
}

/* ms until the listener is watched again; -1: it is. */
static int resume_listening(void)
{
	int64_t now = attach_now();

	if (!attach.accept_again)
		return -1;
	if (attach.accept_again <= now) {
		attach.accept_again = 0;
		if (!watch(attach.listener, USE_LISTENER))
			return -1;
		attach.accept_again = now + ACCEPT_PAUSE_MS;
	}
	return (int)(attach.accept_again - now);
}

static int next_deadline(void)
{
	int timeout, pause;

	pthread_mutex_lock(&pv.lock);
	timeout = clients_expire();
	pause = resume_listening();
	pthread_mutex_unlock(&pv.lock);
	return pause >= 0 && (timeout < 0 || pause < timeout) ? pause : timeout;
}

/* One event at a time, so that none of a batch names a descriptor that the one before has closed. */
static void *attach_thread(void *unused)
{
	struct epoll_event event;
	const char *lost;
	bool ending;

	for (;;) {
		if (epoll_wait(attach.epoll, &event, 1, next_deadline()) != 1)
			continue;
		pthread_mutex_lock(&pv.lock);
		ending = attach.ending;
		lost = ending ? NULL : handle(event.data.u64 >> 32, (int)(uint32_t)event.data.u64);
		pthread_mutex_unlock(&pv.lock);
		if (ending)
			return NULL;
		if (lost && attach.lost)
			attach.lost(lost);
	}
}

/* ---- waiting for answers ---------------------------------------------------------------------- */

static bool anybody_owes(uint16_t type)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		if (attach_clients[i] && client_owes(attach_clients[i], type))
			return true;
	}
	return false;
}

/* Not for long, since whoever waits may have a reason to give up. */
static void wait_for_change(void)
{
	int64_t ms = attach_now() + GIVE_UP_ASK_MS;
	struct timespec until = {ms / 1000, ms % 1000 * 1000000};

	pthread_cond_timedwait(&attach.changed, &pv.lock, &until);
}

/* The thread disconnects who is late, so this ends. */
static bool wait_for_answers(uint16_t type, bool (*give_up)(void))
{
	wake(); /* there are deadlines now */
	while (anybody_owes(type)) {
		wait_for_change();
		if (give_up && give_up())
			return false;
	}
	return true;
}

bool attach_tell_reset(bool (*give_up)(void))
{
	pv.generation++;
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client && client_attached(client))
			client_notify(client, ATTACH_GUEST_RESET, NULL, 0, NULL, 0, true);
	}
	return wait_for_answers(ATTACH_GUEST_RESET, give_up);
}

bool attach_tell_grants(bool closed, bool (*give_up)(void))
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client && client_attached(client))
			client_send_grant_table(client, closed);
	}
	return wait_for_answers(ATTACH_GRANT_TABLE, give_up);
}

void attach_channel_closed(uint16_t owner, uint32_t port)
{
	struct attach_bind body = {.guest_port = port};
	struct client *client = client_by_owner(owner);

	if (client && client_attached(client))
		client_notify(client, ATTACH_CHANNEL_CLOSED, &body, sizeof(body), NULL, 0, false);
	/* It may be gone by now. Who is absent will not say UNBIND. */
	client = client_by_owner(owner);
	if (!client || !client_attached(client))
		event_channel_unbind_backend(&pv.channels, owner, port);
}

/* Nobody can talk to it, and it may have I/O in flight: it has a device, or holds something. */
static bool is_stray(const struct client *client)
{
	return client && client->owner && client->fd < 0 && client->pidfd >= 0 &&
	       (*client->claim || client_holds_anything(client));
}

static bool any_stray(void)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		if (is_stray(attach_clients[i]))
			return true;
	}
	return false;
}

bool attach_end_absent(bool (*give_up)(void))
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = attach_clients[i];

		if (!is_stray(client))
			continue;
		log_warn("%s: its back-end did not answer the reset and is ended, lest it writes into "
			 "the new guest; look at its log and its storage, then start it again",
			 *client->claim ? client->claim : client_name(client));
		if (pidfd_send_signal(client->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			log_errno("%s: cannot end its back-end, which the reset waits for; kill it",
				  client_name(client));
	}
	while (any_stray()) {
		wait_for_change();
		if (give_up && give_up())
			return false;
	}
	return true;
}

void attach_forget_absent(void)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (!client || client->fd >= 0)
			continue;
		if (client->pidfd < 0 || !*client->claim)
			client_release(client);
		else if (client->ledger.base) /* its process ends yet, and has its device till then */
			sealed_memory_clear(&client->ledger);
	}
}

/* ---- opening and closing ---------------------------------------------------------------------- */

int attach_add(int fd, int pidfd, const char *device)
{
	struct client *client;
	int result = -ENOSPC;

	pthread_mutex_lock(&pv.lock);
	client = client_new(fd, pidfd, device);
	if (client)
		result = watch(fd, USE_SOCKET);
	if (!result && pidfd >= 0)
		result = watch(pidfd, USE_PROCESS);
	if (result < 0) {
		log_error("%s: cannot watch its back-end: %s; see ulimit -n", device,
			  strerror(-result));
		if (client) {
			client_release(client);
		} else {
			close(fd);
			if (pidfd >= 0)
				close(pidfd);
		}
	}
	pthread_mutex_unlock(&pv.lock);
	return result;
}

bool attach_lives(const char *device)
{
	bool lives = false;

	pthread_mutex_lock(&pv.lock);
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = attach_clients[i];

		if (client && client->device && !strcmp(client->device, device))
			lives = client->fd >= 0;
	}
	pthread_mutex_unlock(&pv.lock);
	return lives;
}

int attach_listen(const char *path)
{
	int fd = socket_listen(path, SOCK_SEQPACKET), result = fd < 0 ? fd : 0;

	if (!result) {
		attach.listener = fd;
		attach.path = path;
		/* Whoever attaches has all of the guest's memory. */
		result = chmod(path, 0600) < 0 ? -errno : watch(fd, USE_LISTENER);
	}
	if (result < 0)
		log_error("cannot listen for back-ends at %s: %s; see --attach", path,
			  strerror(-result));
	return result;
}

int attach_kick(uint32_t port)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), result;

	if (fd < 0)
		return -errno;
	attach.kick_port = port;
	attach.kick = fd;
	result = watch(fd, USE_KICK);
	if (!result)
		return fd;
	close(fd);
	return result;
}

static int start(void)
{
	pthread_condattr_t attributes;
	sigset_t all, before;
	int result;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&attach.changed, &attributes);
	pthread_condattr_destroy(&attributes);
	attach.ending = false;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	result = -pthread_create(&attach.thread, NULL, attach_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	attach.running = !result;
	if (!result)
		pthread_setname_np(attach.thread, "attach");
	return result;
}

int attach_open(const struct attach_ram *ram, void (*lost)(const char *device))
{
	int result = 0;

	attach_ram = *ram;
	attach.lost = lost;
	attach.epoll = epoll_create1(EPOLL_CLOEXEC);
	attach.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (attach.epoll < 0 || attach.wake < 0)
		result = -errno;
	if (!result)
		result = watch(attach.wake, USE_WAKE);
	if (!result)
		result = start();
	if (result < 0)
		log_error("cannot serve back-ends: %s; see ulimit -n and -u", strerror(-result));
	return result;
}

static void stop(void)
{
	if (!attach.running)
		return;
	pthread_mutex_lock(&pv.lock);
	attach.ending = true;
	pthread_mutex_unlock(&pv.lock);
	wake();
	pthread_join(attach.thread, NULL);
	attach.running = false;
	pthread_cond_destroy(&attach.changed);
}

void attach_close(void)
{
	int *const fds[] = {&attach.epoll, &attach.wake, &attach.listener};

	stop();
	pthread_mutex_lock(&pv.lock);
	/* They are about to unpin, each for itself. */
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		if (attach_clients[i])
			client_free(attach_clients[i]);
	}
	pthread_mutex_unlock(&pv.lock);
	if (attach.path)
		unlink(attach.path);
	attach.path = NULL;
	attach.accept_again = 0;
	attach.kick = -1;
	for (unsigned int i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
