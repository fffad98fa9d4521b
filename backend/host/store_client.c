// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The client side of the store's stream.
 *
 * One request is under way at a time, so answers need no bookkeeping: whatever is no event must be
 * the answer. An event sets its watch's flag and wakes the loop, which runs the callbacks; tokens
 * carry a serial number, so that an event of a watch that was taken back meets no other.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "abi/store.h"
#include "backend/control.h"
#include "backend/host/host.h"
#include "backend/host/store_client.h"
#include "common/log.h"

#define TOKEN_BYTES 24
#define VALUE_BYTES 1024

struct store_watch {
	char *path; /* NULL: free */
	char token[TOKEN_BYTES];
	bool pending;
	void (*changed)(void *context);
	void *context;
};

struct store_client {
	int fd; /* -1: lost */
	int again; /* eventfd: watches are pending, or the store is lost */
	bool told; /* that it is lost */
	uint32_t request, serial;
	void (*lost)(void *context);
	void (*say)(void *context, const char *why);
	void *lost_context;
	struct store_watch watches[STORE_CLIENT_WATCHES];
	/* What comes, up to one message. */
	uint32_t have;
	struct {
		struct store_header header;
		char payload[STORE_PAYLOAD_MAX];
	} in;
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{STORE_EINVAL, EINVAL}, {STORE_EACCES, EACCES},   {STORE_EEXIST, EEXIST},
	{STORE_EISDIR, EISDIR}, {STORE_ENOENT, ENOENT},   {STORE_ENOMEM, ENOMEM},
	{STORE_ENOSPC, ENOSPC}, {STORE_EIO, EIO},         {STORE_ENOTEMPTY, ENOTEMPTY},
	{STORE_ENOSYS, ENOSYS}, {STORE_EROFS, EROFS},     {STORE_EBUSY, EBUSY},
	{STORE_EAGAIN, EAGAIN}, {STORE_EISCONN, EISCONN}, {STORE_E2BIG, E2BIG},
	{STORE_EPERM, EPERM},
};

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void signal_again(struct store_client *client)
{
	const uint64_t one = 1;

	if (write(client->again, &one, sizeof(one)) < 0)
		return;
}

static int lose(struct store_client *client, const char *why)
{
	if (client->fd < 0)
		return -EPIPE;
	if (client->say)
		client->say(client->lost_context, why);
	else
		log_error("the store: %s; the connection is closed. Start this program anew", why);
	control_unwatch(client->fd);
	close(client->fd);
	client->fd = -1;
	signal_again(client);
	return -EPIPE;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* 1: a whole message is in ->in; 0: not yet; -EPIPE. */
static int receive_some(struct store_client *client)
{
	const uint32_t head = sizeof(client->in.header);
	uint32_t whole = head;
	ssize_t got;

	for (;;) {
		if (client->have >= head) {
			if (client->in.header.length > STORE_PAYLOAD_MAX)
				return lose(client, "it sent a message that is too long");
			whole = head + client->in.header.length;
			if (client->have == whole)
				return 1;
		}
		got = recv(client->fd, (char *)&client->in + client->have, whole - client->have,
			   MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (got <= 0)
			return lose(client, got ? strerror(errno) : "it closed the connection");
		client->have += got;
	}
}

/* path|token|: a watch of ours is told of, or it is of one that is no more. */
static void note_event(struct store_client *client)
{
	const char *token, *end = client->in.payload + client->in.header.length;
	unsigned int i;

	token = memchr(client->in.payload, 0, client->in.header.length);
	if (!token || ++token == end || !memchr(token, 0, end - token))
		return;
	for (i = 0; i < STORE_CLIENT_WATCHES; i++) {
		struct store_watch *watch = &client->watches[i];

		if (!watch->path || strcmp(watch->token, token) != 0)
			continue;
		if (!watch->pending)
			signal_again(client);
		watch->pending = true;
	}
}

static int send_all(struct store_client *client, struct iovec *iov, unsigned int count,
		    int64_t until)
{
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
	struct pollfd room = {.fd = client->fd, .events = POLLOUT};
	ssize_t sent;

	while (message.msg_iovlen) {
		sent = sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			if (now_ms() >= until || poll(&room, 1, (int)(until - now_ms())) == 0)
				return lose(client, "it takes no request");
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return lose(client, strerror(errno));
		while (message.msg_iovlen && (size_t)sent >= message.msg_iov->iov_len) {
			sent -= message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= sent;
		}
	}
	return 0;
}

static int error_of(const struct store_client *client)
{
	unsigned int i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (client->in.header.length == strlen(errors[i].name) + 1 &&
		    !memcmp(client->in.payload, errors[i].name, client->in.header.length))
			return -errors[i].error;
	return -EIO;
}

static int wait_for_answer(struct store_client *client, uint32_t type, int64_t until)
{
	struct pollfd there = {.fd = client->fd, .events = POLLIN};
	int got;

	for (;;) {
		got = receive_some(client);
		if (got < 0)
			return got;
		if (!got) {
			if (now_ms() >= until)
				return lose(client, "it does not answer");
			poll(&there, 1, (int)(until - now_ms()));
			continue;
		}
		client->have = 0;
		if (client->in.header.type == STORE_WATCH_EVENT) {
			note_event(client);
			if (now_ms() >= until)
				return lose(client, "it does not answer");
			continue;
		}
		if (client->in.header.request != client->request ||
		    (client->in.header.type != type && client->in.header.type != STORE_ERROR))
			return lose(client, "it sent an answer to no request");
		return client->in.header.type == STORE_ERROR ? error_of(client)
							     : (int)client->in.header.length;
	}
}

/* The length of the answer, which is in ->in.payload until the next call; or -errno. */
static int ask(struct store_client *client, uint32_t type, uint32_t transaction, const void *first,
	       uint32_t first_bytes, const void *second, uint32_t second_bytes)
{
	const struct store_header header = {
		.type = type,
		.request = ++client->request,
		.transaction = transaction,
		.length = first_bytes + second_bytes,
	};
	struct iovec iov[3] = {
		{(void *)&header, sizeof(header)},
		{(void *)first, first_bytes},
		{(void *)second, second_bytes},
	};
	int64_t until = now_ms() + HOST_ANSWER_MS;
	int got;

	if (client->fd < 0)
		return -EPIPE;
	if (header.length > STORE_PAYLOAD_MAX)
		return -E2BIG;
	got = send_all(client, iov, 3, until);
	return got ? got : wait_for_answer(client, type, until);
}

/* ---- requests -------------------------------------------------------------------------------- */

int store_client_read(struct store_client *client, uint32_t transaction, const char *path,
		      char *value, unsigned int size)
{
	int got = ask(client, STORE_READ, transaction, path, strlen(path) + 1, NULL, 0);

	if (got < 0)
		return got;
	if ((unsigned int)got >= size)
		return -E2BIG;
	if (memchr(client->in.payload, 0, got))
		return -EINVAL;
	memcpy(value, client->in.payload, got);
	value[got] = 0;
	return got;
}

int store_client_vwrite(struct store_client *client, uint32_t transaction, const char *path,
			const char *format, va_list ap)
{
	char value[VALUE_BYTES];
	int length = vsnprintf(value, sizeof(value), format, ap), got;

	if (length < 0 || length >= VALUE_BYTES)
		return -E2BIG;
	got = ask(client, STORE_WRITE, transaction, path, strlen(path) + 1, value, length);
	return got < 0 ? got : 0;
}

int store_client_write(struct store_client *client, uint32_t transaction, const char *path,
		       const char *format, ...)
{
	va_list ap;
	int err;

	va_start(ap, format);
	err = store_client_vwrite(client, transaction, path, format, ap);
	va_end(ap);
	return err;
}

int store_client_remove(struct store_client *client, uint32_t transaction, const char *path)
{
	int got = ask(client, STORE_RM, transaction, path, strlen(path) + 1, NULL, 0);

	return got < 0 ? got : 0;
}

int64_t store_client_begin(struct store_client *client)
{
	int got = ask(client, STORE_TRANSACTION_START, 0, "", 1, NULL, 0);
	unsigned long id;
	char *end;

	if (got < 0)
		return got;
	if (!got || client->in.payload[got - 1])
		return lose(client, "it sent a transaction without a number");
	errno = 0;
	id = strtoul(client->in.payload, &end, 10);
	if (errno || *end || !id || id > UINT32_MAX)
		return lose(client, "it sent a transaction without a number");
	return (int64_t)id;
}

int store_client_end(struct store_client *client, uint32_t transaction, bool commit)
{
	int got = ask(client, STORE_TRANSACTION_END, transaction, commit ? "T" : "F", 2, NULL, 0);

	return got < 0 ? got : 0;
}

int store_client_watch(struct store_client *client, const char *path,
		       void (*changed)(void *context), void *context)
{
	struct store_watch *watch;
	int got, i;

	for (i = 0; i < STORE_CLIENT_WATCHES && client->watches[i].path; i++)
		;
	if (i == STORE_CLIENT_WATCHES)
		return -ENOSPC;
	watch = &client->watches[i];
	*watch = (struct store_watch){.changed = changed, .context = context};
	watch->path = strdup(path);
	if (!watch->path)
		return -ENOMEM;
	snprintf(watch->token, sizeof(watch->token), "%d.%u", i, ++client->serial);
	got = ask(client, STORE_WATCH, 0, path, strlen(path) + 1, watch->token,
		  strlen(watch->token) + 1);
	if (got >= 0)
		return i;
	free(watch->path);
	watch->path = NULL;
	return got;
}

void store_client_unwatch(struct store_client *client, int number)
{
	struct store_watch *watch = &client->watches[number];

	if (!watch->path)
		return;
	ask(client, STORE_UNWATCH, 0, watch->path, strlen(watch->path) + 1, watch->token,
	    strlen(watch->token) + 1);
	free(watch->path);
	*watch = (struct store_watch){0};
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_socket(void *context, uint32_t events)
{
	struct store_client *client = context;

	if (receive_some(client) <= 0)
		return;
	client->have = 0;
	if (client->in.header.type == STORE_WATCH_EVENT)
		note_event(client);
	else
		lose(client, "it sent an answer to no request");
}

static void on_again(void *context, uint32_t events)
{
	struct store_client *client = context;
	uint64_t count;
	unsigned int i;

	if (read(client->again, &count, sizeof(count)) < 0)
		return;
	/* A callback may watch and unwatch: each watch is looked at as it is then. */
	for (i = 0; i < STORE_CLIENT_WATCHES; i++) {
		struct store_watch *watch = &client->watches[i];

		if (!watch->path || !watch->pending)
			continue;
		watch->pending = false;
		watch->changed(watch->context);
	}
	if (client->fd < 0 && !client->told) {
		client->told = true;
		if (client->lost)
			client->lost(client->lost_context);
	}
}

struct store_client *store_client_open(int fd)
{
	struct store_client *client = calloc(1, sizeof(*client));
	int err = -ENOMEM;

	if (!client) {
		close(fd);
		errno = -err;
		return NULL;
	}
	client->fd = fd;
	client->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = client->again < 0 ? -errno : control_watch(fd, EPOLLIN, on_socket, client);
	if (!err)
		err = control_watch(client->again, EPOLLIN, on_again, client);
	if (!err)
		return client;
	store_client_close(client);
	errno = -err;
	return NULL;
}

void store_client_close(struct store_client *client)
{
	unsigned int i;

	if (!client)
		return;
	for (i = 0; i < STORE_CLIENT_WATCHES; i++)
		free(client->watches[i].path);
	if (client->fd >= 0) {
		control_unwatch(client->fd);
		close(client->fd);
	}
	if (client->again >= 0) {
		control_unwatch(client->again);
		close(client->again);
	}
	free(client);
}

void store_client_on_lost(struct store_client *client, void (*lost)(void *context),
			  void (*say)(void *context, const char *why), void *context)
{
	client->lost = lost;
	client->say = say;
	client->lost_context = context;
}
