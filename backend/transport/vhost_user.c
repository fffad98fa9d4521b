// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The back-end side of vhost-user: the life of its connection.
 *
 * A daemon serves one front-end at a time; the next one waits in the listener's backlog, so a
 * front-end that restarts is served as soon as the end of its former connection was seen. Whatever
 * goes wrong with a front-end ends in one place, connection_close(), which stops the queues, gives
 * back every descriptor and mapping and leaves the device as new. The process lives on, except
 * when the connection was its only one (--fd).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/transport/vhost_user_connection.h"
#include "common/socket.h"

#define OFFERED_ALWAYS                                                                      \
	(1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK |       \
	 1ULL << VHOST_USER_PROTOCOL_F_BACKEND_REQ | 1ULL << VHOST_USER_PROTOCOL_F_CONFIG | \
	 1ULL << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1ULL << VHOST_USER_PROTOCOL_F_STATUS)

/* Before accept() is tried again that failed for want of descriptors or memory. */
#define ACCEPT_PAUSE_MS 1000

/* The u64 of SET_VRING_KICK can name no more. */
#define RINGS_MAX (VHOST_USER_VRING_INDEX_MASK + 1)

static void on_listener(void *context, uint32_t events);
static void on_connection(void *context, uint32_t events);

int vhost_user_fault(struct vhost_user *vu, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_peer(&vu->limit, "%s: front-end: %s: %s", vu->device->name,
		 message_name(vu->message.header.request), text);
	return -EPROTO;
}

/* Runs once, from the first call on; 0 stops it. */
static void timer_arm(struct vhost_user *vu, unsigned int ms)
{
	const struct itimerspec when = {
		.it_value.tv_sec = ms / 1000,
		.it_value.tv_nsec = ms % 1000 * 1000000,
	};

	if (vu->timer_armed == (ms > 0))
		return;
	timerfd_settime(vu->timer, 0, &when, NULL);
	vu->timer_armed = ms > 0;
}

static void listener_watch(struct vhost_user *vu)
{
	int err = control_watch(vu->listener, EPOLLIN, on_listener, vu);

	if (!err)
		return;
	log_error("%s: cannot listen any more: %s; start it anew", vu->device->name,
		  strerror(-err));
	control_quit(1);
}

/* @fd is taken over, also on failure. */
static int connection_open(struct vhost_user *vu, int fd)
{
	int err = control_watch(fd, EPOLLIN, on_connection, vu);

	if (err) {
		close(fd);
		return err;
	}
	vu->fd = fd;
	message_begin(&vu->message);
	if (vu->listener >= 0)
		control_unwatch(vu->listener);
	return 0;
}

/* Everything that the front-end brought goes. */
static void connection_drop(struct vhost_user *vu)
{
	unsigned int i;
	uint64_t count;

	control_unwatch(vu->fd);
	timer_arm(vu, 0);
	vhost_user_reset_device(vu);
	memory_table_clear(vu->memory);
	if (vu->device->ops->memory_changed)
		vu->device->ops->memory_changed(vu->device, &vu->memory->guest);
	for (i = 0; i < vu->ring_count; i++)
		back_ring_init(&vu->rings[i], i);
	message_drop(&vu->message);
	if (vu->backchannel >= 0)
		close(vu->backchannel);
	close(vu->fd);
	vu->fd = vu->backchannel = -1;
	vu->protocol = 0;
	/* What was signalled for memory that is gone must not hit the next front-end. */
	if (read(vu->guard, &count, sizeof(count)) < 0)
		return;
}

static void connection_close(struct vhost_user *vu, bool orderly)
{
	connection_drop(vu);
	if (vu->listener < 0) {
		if (!orderly)
			log_error("%s: the connection of --fd is lost: leaving; start the "
				  "front-end anew",
				  vu->device->name);
		control_quit(orderly ? 0 : 1);
		return;
	}
	log_info("%s: front-end left; waiting for the next at %s", vu->device->name, vu->path);
	listener_watch(vu);
}

/*
 * The front-end stays in the backlog and keeps the listener readable, so the loop would turn as fast
 * as it can until somebody frees what is missing.
 */
static void accept_later(struct vhost_user *vu, int err)
{
	log_peer(&vu->limit,
		 "%s: a front-end waits at %s and cannot be served: %s; trying again each second; "
		 "raise the limit of open files (ulimit -n) or free memory",
		 vu->device->name, vu->path, strerror(err));
	control_unwatch(vu->listener);
	timer_arm(vu, ACCEPT_PAUSE_MS);
}

static void on_listener(void *context, uint32_t events)
{
	struct vhost_user *vu = context;
	int fd = accept4(vu->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), err;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			accept_later(vu, errno);
		return; /* else it went away before we looked */
	}
	err = connection_open(vu, fd);
	if (err)
		log_peer(&vu->limit, "%s: front-end cannot be served: %s; closing the connection",
			 vu->device->name, strerror(-err));
	else
		log_info("%s: front-end came", vu->device->name);
}

static void on_connection(void *context, uint32_t events)
{
	struct vhost_user *vu = context;
	struct vhost_user_message *m = &vu->message;
	int err;

	switch (message_receive(m, vu->fd)) {
	case MESSAGE_PARTIAL:
		timer_arm(vu, m->received ? VHOST_USER_MESSAGE_TIMEOUT_MS : 0);
		return;
	case MESSAGE_WHOLE:
		timer_arm(vu, 0);
		err = vhost_user_dispatch(vu);
		message_drop(m);
		message_begin(m);
		if (err && err != -EPROTO)
			log_peer(&vu->limit, "%s: front-end: %s: %s; closing the connection",
				 vu->device->name, message_name(m->header.request), strerror(-err));
		if (err)
			connection_close(vu, false);
		return;
	case MESSAGE_END:
		connection_close(vu, true);
		return;
	case MESSAGE_BROKEN:
		log_peer(&vu->limit,
			 "%s: front-end: message cannot be received: %s; closing the "
			 "connection",
			 vu->device->name, strerror(errno));
		connection_close(vu, false);
		return;
	}
}

static void on_timer(void *context, uint32_t events)
{
	struct vhost_user *vu = context;
	uint64_t expired;

	if (read(vu->timer, &expired, sizeof(expired)) < 0 || !vu->timer_armed)
		return;
	if (vu->fd < 0) {
		vu->timer_armed = false;
		listener_watch(vu);
		return;
	}
	log_peer(&vu->limit, "%s: front-end: message not whole after %u ms; closing the connection",
		 vu->device->name, VHOST_USER_MESSAGE_TIMEOUT_MS);
	connection_close(vu, false);
}

static void on_guard(void *context, uint32_t events)
{
	struct vhost_user *vu = context;
	uint64_t count;

	if (read(vu->guard, &count, sizeof(count)) < 0 || vu->fd < 0)
		return;
	log_peer(&vu->limit,
		 "%s: front-end: the file behind the guest's memory shrank; closing the "
		 "connection",
		 vu->device->name);
	connection_close(vu, false);
}

/*
 * The message has no answer, so the front-end owes none and a full socket only means that it has
 * not read the last such word yet: that one says the same.
 */
static void config_changed(struct backend_device *device)
{
	const struct vhost_user_header header = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION,
	};
	struct vhost_user *vu = device->transport;
	int err;

	/* QEMU's net device keeps the configuration to itself and agrees to no such message. */
	if (!vu || vu->backchannel < 0 || !vhost_user_agreed(vu, VHOST_USER_PROTOCOL_F_CONFIG))
		return;
	err = message_send(vu->backchannel, &header, NULL);
	if (err && err != -EAGAIN) {
		log_warn("%s: the front-end's back-channel is lost: %s; a guest will not see "
			 "changes "
			 "of the configuration",
			 device->name, strerror(-err));
		close(vu->backchannel);
		vu->backchannel = -1;
	}
}

/* ---- open and close --------------------------------------------------------------------------- */

static int open_events(struct vhost_user *vu)
{
	int err;

	vu->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	vu->guard = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vu->timer < 0 || vu->guard < 0)
		return -errno;
	err = control_watch(vu->timer, EPOLLIN, on_timer, vu);
	return err ?: control_watch(vu->guard, EPOLLIN, on_guard, vu);
}

static int open_memory(struct vhost_user *vu)
{
	unsigned int i;

	vu->memory = calloc(1, sizeof(*vu->memory));
	vu->memory_spare = calloc(1, sizeof(*vu->memory_spare));
	vu->rings = calloc(vu->ring_count, sizeof(*vu->rings));
	if (!vu->memory || !vu->memory_spare || !vu->rings)
		return -ENOMEM;
	for (i = 0; i < vu->ring_count; i++)
		back_ring_init(&vu->rings[i], i);
	return 0;
}

static int open_socket(struct vhost_user *vu, const struct vhost_user_options *options)
{
	int type, err;
	socklen_t size = sizeof(type);

	if (!options->socket_path) {
		if (getsockopt(options->fd, SOL_SOCKET, SO_TYPE, &type, &size))
			return -errno;
		if (type != SOCK_STREAM)
			return -EPROTOTYPE;
		fcntl(options->fd, F_SETFD, FD_CLOEXEC);
		return connection_open(vu, options->fd);
	}
	vu->listener = socket_listen(options->socket_path, SOCK_STREAM);
	if (vu->listener < 0) {
		err = vu->listener;
		vu->listener = -1;
		return err;
	}
	vu->path = options->socket_path;
	return control_watch(vu->listener, EPOLLIN, on_listener, vu);
}

struct vhost_user *vhost_user_open(struct backend_device *device,
				   const struct vhost_user_options *options)
{
	struct vhost_user *vu = calloc(1, sizeof(*vu));
	int err = -ENOMEM;

	if (!vu)
		goto fail;
	vu->device = device;
	vu->fd = vu->backchannel = vu->listener = vu->timer = vu->guard = -1;
	vu->protocol_offered = OFFERED_ALWAYS | options->protocol_features;
	/*
	 * QEMU before 8.2 runs each queue pair as a device of its own and sends ADD_MEM_REG for each,
	 * so one region comes twice; SET_MEM_TABLE it knows to send once.
	 */
	if (vu->device->queues_told > 1)
		vu->protocol_offered &= ~(1ULL << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	vu->ring_count = device->queues_max < RINGS_MAX ? device->queues_max : RINGS_MAX;
	device->transport = vu;
	device->config_changed = config_changed;
	err = open_memory(vu);
	if (!err)
		err = open_events(vu);
	if (!err)
		err = open_socket(vu, options);
	if (!err)
		return vu;
fail:
	if (options->socket_path)
		log_error("cannot listen at %s: %s; give another --socket-path%s",
			  options->socket_path, strerror(-err),
			  err == -EADDRINUSE ? ", or end the program that serves this one" : "");
	else
		log_error("cannot serve --fd=%d: %s; it must be a connected Unix stream socket",
			  options->fd, strerror(-err));
	if (vu)
		vhost_user_close(vu);
	errno = -err;
	return NULL;
}

void vhost_user_close(struct vhost_user *vu)
{
	if (vu->fd >= 0)
		connection_drop(vu);
	control_unwatch_and_close(vu->listener);
	if (vu->path)
		unlink(vu->path);
	control_unwatch_and_close(vu->timer);
	control_unwatch_and_close(vu->guard);
	vu->device->transport = NULL;
	free(vu->rings);
	free(vu->memory);
	free(vu->memory_spare);
	free(vu);
}
