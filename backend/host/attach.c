// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The connection to the shim (abi/attach.h, which tells the protocol).
 *
 * The greeting and each question wait for their answer, for a bounded time. What the shim tells in
 * between is kept in order and told from the loop, so that callbacks never run inside a call that
 * they would have to look behind. All that goes wrong with the connection ends in one place,
 * host_broken(), after which every question answers -EPIPE, and the owner is told from the loop.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/host/host_private.h"
#include "backend/host/store_client.h"
#include "common/socket.h"

/* From HELLO to READY: the shim may have a large guest to describe, or to make first. */
#define GREETING_MS 10000

/* A predecessor that was killed just now ends when its I/O does: the device is asked for so long. */
#define CLAIM_MS       1000
#define CLAIM_AGAIN_NS 50000000

/* Between the ends of two sockets of a process that ends. */
#define HANG_UP_MS 100

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void host_signal_again(struct host *host)
{
	const uint64_t one = 1;

	if (write(host->again, &one, sizeof(one)) < 0)
		return;
}

static void say_broken(struct host *host, const char *whose, const char *why)
{
	log_error("the shim %s: %s%s; the connection is closed. Start this program anew",
		  host->place, whose, why);
	host->told = true;
}

/* The connection is over: nothing more comes, nothing more goes. */
static int hang_up(struct host *host)
{
	host->orderly = !host->told;
	if (host->watched)
		control_unwatch(host->fd);
	host->watched = false;
	close(host->fd);
	host->fd = -1;
	host_signal_again(host);
	return -EPIPE;
}

int host_broken(struct host *host, const char *why)
{
	if (host->fd < 0)
		return -EPIPE;
	if (why)
		say_broken(host, "", why);
	return hang_up(host);
}

static int receive_failed(struct host *host, int err)
{
	/* EOF, and the reset that stands for it when something of ours was unread. */
	return host_broken(host, err == -ECONNRESET ? NULL
				 : err == -EPROTO   ? "it sent a message that is none"
						    : strerror(-err));
}

/* ---- questions ------------------------------------------------------------------------------- */

static bool answers(const struct host_message *message, enum attach_type type, uint32_t sequence)
{
	return message->header.flags & ATTACH_FLAG_ANSWER && message->header.type == type &&
	       message->header.sequence == sequence;
}

/* An error has neither body nor descriptors; an answer has what was asked for. */
static int judge_answer(struct host *host, struct host_message *answer, uint32_t size,
			unsigned int fd_count)
{
	if (answer->header.error > 0 || answer->header.error < -4095 ||
	    (answer->header.error && answer->fd_count) ||
	    (!answer->header.error &&
	     (answer->header.size < size || answer->fd_count != fd_count))) {
		host_message_drop(answer);
		return host_broken(host, "it sent an answer that breaks the protocol");
	}
	return answer->header.error;
}

int host_ask(struct host *host, enum attach_type type, const void *body, uint32_t size,
	     struct host_message *answer, uint32_t answer_size, unsigned int fd_count)
{
	const struct attach_header header = {
		.type = type, .sequence = ++host->sequence, .size = size};
	int64_t left, until = now_ms() + HOST_ANSWER_MS;
	int err;

	if (host->fd < 0)
		return -EPIPE;
	err = host_message_send(host->fd, &header, body);
	if (err)
		return receive_failed(host, err == -EPIPE ? -ECONNRESET : err);
	while ((left = until - now_ms()) > 0) {
		err = host_message_receive(host->fd, answer, (int)left);
		if (err < 0)
			return receive_failed(host, err);
		if (!err)
			continue;
		if (answers(answer, type, header.sequence))
			return judge_answer(host, answer, answer_size, fd_count);
		err = host_notice_check(host, answer);
		if (!err)
			err = host_notice_keep(host, answer);
		if (err < 0)
			return err;
	}
	return host_broken(host, "it does not answer");
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_socket(void *context, uint32_t events)
{
	struct host *host = context;
	struct host_message message;
	int got;

	/* Older ones first; ->again is signalled. */
	if (host->notice_count)
		return;
	got = host_message_receive(host->fd, &message, 0);
	if (got < 0)
		receive_failed(host, got);
	else if (got && !host_notice_check(host, &message))
		host_notice_tell(host, &message);
}

static void on_again(void *context, uint32_t events)
{
	struct host *host = context;
	struct host_message notice;
	uint64_t count;

	if (read(host->again, &count, sizeof(count)) < 0)
		return;
	while (host->fd >= 0 && host_notice_next(host, &notice))
		host_notice_tell(host, &notice);
	if (host->fd < 0 && host->served) {
		host->served = false;
		host->ops->lost(host->context, host->orderly);
	}
}

static void on_guard(void *context, uint32_t events)
{
	struct host *host = context;
	uint64_t count;

	if (read(host->guard, &count, sizeof(count)) > 0)
		host_broken(host, "a file that it gave us shrank");
}

/* A shim that ends closes our socket and its store, in an order that is nobody's. */
static bool shim_hung_up(const struct host *host)
{
	struct pollfd ended = {.fd = host->fd};

	return host->fd < 0 ||
	       (poll(&ended, 1, HANG_UP_MS) == 1 && ended.revents & (POLLHUP | POLLERR));
}

static void say_store_lost(void *context, const char *why)
{
	struct host *host = context;

	if (!shim_hung_up(host))
		say_broken(host, "its store: ", why);
}

static void on_store_lost(void *context)
{
	struct host *host = context;

	if (host->fd >= 0)
		hang_up(host);
}

void host_serve(struct host *host, const struct host_ops *ops, void *context)
{
	host->ops = ops;
	host->context = context;
	host->served = true;
	if (!host->grants.table.grants) /* it is changing now; the one that comes resumes */
		ops->quiesce(context);
	if (host->fd >= 0 && !control_watch(host->fd, EPOLLIN, on_socket, host))
		host->watched = true;
	else
		host_broken(host, "its socket cannot be watched");
}

/* ---- open and close -------------------------------------------------------------------------- */

static int open_socket(struct host *host, const struct host_options *options)
{
	int type;
	socklen_t size = sizeof(type);

	host->fd = options->path ? socket_connect(options->path, SOCK_SEQPACKET) : options->fd;
	if (host->fd < 0) {
		int err = host->fd;

		host->fd = -1;
		return err;
	}
	if (getsockopt(host->fd, SOL_SOCKET, SO_TYPE, &type, &size))
		return -errno;
	return type == SOCK_SEQPACKET ? 0 : -EPROTOTYPE;
}

static int open_events(struct host *host)
{
	int err;

	host->guard = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	host->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (host->guard < 0 || host->again < 0)
		return -errno;
	err = control_watch(host->guard, EPOLLIN, on_guard, host);
	return err ?: control_watch(host->again, EPOLLIN, on_again, host);
}

static int greet(struct host *host, const char *name)
{
	struct attach_hello hello = {
		.magic = ATTACH_MAGIC,
		.version_major = ATTACH_VERSION_MAJOR,
		.version_minor = ATTACH_VERSION_MINOR,
		.features = 1ULL << ATTACH_F_LEDGER | 1ULL << ATTACH_F_MEMORY_CHANGES |
			    1ULL << ATTACH_F_CLAIM,
	};
	const struct attach_welcome *welcome;
	struct host_message answer;
	int err;

	snprintf(hello.name, sizeof(hello.name), "%s", name);
	err = host_ask(host, ATTACH_HELLO, &hello, sizeof(hello), &answer,
		       sizeof(struct attach_welcome), 0);
	if (err)
		return err;
	welcome = &answer.body.welcome;
	if (welcome->magic != ATTACH_MAGIC || welcome->version_major != ATTACH_VERSION_MAJOR ||
	    welcome->features & ~hello.features || !welcome->owner ||
	    welcome->owner > ATTACH_OWNER_MAX || welcome->ports < 2)
		return host_broken(host, "its welcome makes no sense");
	host->welcome = *welcome;
	host->generation = welcome->generation;
	return 0;
}

/* Memory, then grants, then READY. */
static int take_inventory(struct host *host)
{
	int64_t left, until = now_ms() + GREETING_MS;
	struct host_message message;
	bool ready = false;
	int err;

	while (!ready) {
		if (!host_notice_next(host, &message)) {
			left = until - now_ms();
			if (left <= 0)
				return host_broken(host, "it is not ready");
			err = host_message_receive(host->fd, &message, (int)left);
			if (err < 0)
				return receive_failed(host, err);
			if (!err)
				continue;
			err = host_notice_check(host, &message);
			if (err < 0)
				return err;
			if (err)
				continue;
		}
		ready = message.header.type == ATTACH_READY;
		host_notice_tell(host, &message);
		if (host->fd < 0)
			return -EPIPE;
	}
	return host->grants.shared.base ? 0 : host_broken(host, "it has no grant table");
}

static int open_store(struct host *host)
{
	struct host_message answer;
	int err = host_ask(host, ATTACH_STORE, NULL, 0, &answer, 0, 1);

	if (err)
		return err;
	host->store = store_client_open(answer.fds[0]);
	if (!host->store)
		return -errno;
	store_client_on_lost(host->store, on_store_lost, say_store_lost, host);
	return 0;
}

static void say_failed(const struct host *host, const struct host_options *options, int err)
{
	if (host && host->told)
		return;
	if (options->path)
		log_error("cannot attach to the guest at %s: %s; start pvkit-shim first, with "
			  "--attach=%s",
			  options->path,
			  err == -EPIPE ? "the connection was closed" : strerror(-err),
			  options->path);
	else
		log_error("cannot attach to the guest by descriptor %d: %s; it must be a connected "
			  "socket of type SOCK_SEQPACKET to a shim",
			  options->fd, strerror(-err));
}

struct host *host_open(const struct host_options *options)
{
	struct host *host = calloc(1, sizeof(*host));
	int err = -ENOMEM;

	if (!host)
		goto fail;
	host->fd = host->guard = host->again = -1;
	if (options->path)
		snprintf(host->place, sizeof(host->place), "at %s", options->path);
	else
		snprintf(host->place, sizeof(host->place), "by descriptor %d", options->fd);
	err = open_socket(host, options);
	if (!err)
		err = open_events(host);
	if (!err)
		err = greet(host, options->name);
	if (!err)
		err = take_inventory(host);
	if (!err)
		err = open_store(host);
	if (!err)
		return host;
fail:
	say_failed(host, options, err);
	host_close(host);
	errno = -err;
	return NULL;
}

int host_claim(struct host *host, const char *device)
{
	int64_t until = now_ms() + CLAIM_MS;
	struct attach_claim claim = {0};
	struct host_message answer;
	int err;

	/* What is left of a longer one is the name of another device. */
	if (strlen(device) >= sizeof(claim.device)) {
		log_error("device '%s': its name is longer than the %zu characters that can be "
			  "claimed; name another device",
			  device, sizeof(claim.device) - 1);
		return -EINVAL;
	}
	if (!(host->welcome.features >> ATTACH_F_CLAIM & 1))
		return 0;
	strcpy(claim.device, device);
	for (;;) {
		err = host_ask(host, ATTACH_CLAIM, &claim, sizeof(claim), &answer, 0, 0);
		if (err != -EBUSY || now_ms() >= until)
			return err;
		nanosleep(&(struct timespec){.tv_nsec = CLAIM_AGAIN_NS}, NULL);
	}
}

void host_close(struct host *host)
{
	uint64_t pins;

	if (!host)
		return;
	host->served = false;
	store_client_close(host->store);
	while (host->notice_count)
		host_message_drop(&host->notices[--host->notice_count]);
	pins = host_grants_sweep(host);
	if (pins)
		log_error("%llu grants were still pinned at the end; a defect of this program",
			  (unsigned long long)pins);
	host_grants_unmap(host);
	host_memory_clear(&host->memory);
	if (host->watched)
		control_unwatch(host->fd);
	if (host->fd >= 0)
		close(host->fd);
	control_unwatch_and_close(host->guard);
	control_unwatch_and_close(host->again);
	free(host);
}

const char *host_place(const struct host *host)
{
	return host->place;
}

bool host_told(const struct host *host)
{
	return host->told;
}

unsigned int host_guest_domain(const struct host *host)
{
	return host->welcome.guest_domain;
}

unsigned int host_backend_domain(const struct host *host)
{
	return host->welcome.backend_domain;
}

struct store_client *host_store(struct host *host)
{
	return host->store;
}

const struct guest_memory *host_memory(const struct host *host)
{
	return &host->memory.all;
}
