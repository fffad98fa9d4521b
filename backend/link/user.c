// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The user-mode link: a whole TCP/IP stack in this process (libslirp), so that a guest reaches the
 * network without any right in the host. 10.0.2.0/24 and fec0::/64; the host is .2, a name server .3,
 * DHCP hands out .15.
 *
 * libslirp wants one thread, a call before and after each sleep, and pushes frames when it likes. So
 * frames for the guest wait in a bounded queue; while the guest takes none, libslirp's sockets are not
 * looked at, and the senders behind them feel it. What overflows is lost as on any network.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <slirp/libslirp.h>

#include "backend/link/link.h"
#include "backend/link/scatter.h"
#include "common/log.h"

/* A TCP window of each of a few connections. */
#define BACKLOG_BYTES (1 << 20)
#define USER_MTU      1500
#define TIMERS_MAX    8
#define NEVER         INT64_MAX

struct timer {
	SlirpTimerCb callback; /* NULL: free */
	void *context;
	int64_t expires_ms;
};

/* Frames as a length and the bytes behind it, wrapping round. */
struct backlog {
	uint32_t head, tail; /* free-running */
	uint8_t bytes[BACKLOG_BYTES];
};

struct user_link {
	struct link link;
	Slirp *slirp;
	struct timer timer[TIMERS_MAX];
	struct pollfd *fds; /* of the sleep that is being prepared or dispatched */
	unsigned int fds_count;
	struct pollfd service_fds[LINK_FDS_MAX];
	struct backlog backlog;
	uint8_t frame[FRAME_BYTES_MAX];
};

static struct user_link *user_of(struct link *link)
{
	return (struct user_link *)link;
}

/* ---- the queue of frames for the guest ---------------------------------------------------------- */

static void backlog_copy_in(struct backlog *b, const void *data, uint32_t length)
{
	uint32_t at = b->tail % BACKLOG_BYTES;
	uint32_t first = length < BACKLOG_BYTES - at ? length : BACKLOG_BYTES - at;

	memcpy(b->bytes + at, data, first);
	memcpy(b->bytes, (const char *)data + first, length - first);
	b->tail += length;
}

static void backlog_copy_out(struct backlog *b, void *data, uint32_t length)
{
	uint32_t at = b->head % BACKLOG_BYTES;
	uint32_t first = length < BACKLOG_BYTES - at ? length : BACKLOG_BYTES - at;

	memcpy(data, b->bytes + at, first);
	memcpy((char *)data + first, b->bytes, length - first);
	b->head += length;
}

static bool backlog_empty(const struct backlog *b)
{
	return b->head == b->tail;
}

static void backlog_put(struct backlog *b, const void *frame, uint32_t length)
{
	if (length > FRAME_BYTES_MAX || b->tail - b->head + sizeof(length) + length > BACKLOG_BYTES)
		return;
	backlog_copy_in(b, &length, sizeof(length));
	backlog_copy_in(b, frame, length);
}

static uint32_t backlog_take(struct backlog *b, void *frame)
{
	uint32_t length;

	backlog_copy_out(b, &length, sizeof(length));
	backlog_copy_out(b, frame, length);
	return length;
}

/* ---- what libslirp calls ------------------------------------------------------------------------ */

static ssize_t on_send_packet(const void *frame, size_t length, void *context)
{
	struct user_link *user = context;

	backlog_put(&user->backlog, frame, length);
	return length;
}

static void on_guest_error(const char *text, void *context)
{
	static struct log_limit limit;
	struct user_link *user = context;

	log_peer(&limit, "%s: the guest's traffic: %s", user->link.name, text);
}

static int64_t on_clock(void *context)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *on_timer_new(SlirpTimerCb callback, void *timer_context, void *context)
{
	struct user_link *user = context;
	unsigned int i;

	for (i = 0; i < TIMERS_MAX; i++) {
		if (user->timer[i].callback)
			continue;
		user->timer[i] = (struct timer){callback, timer_context, NEVER};
		return &user->timer[i];
	}
	return NULL;
}

static void on_timer_free(void *timer, void *context)
{
	if (timer)
		((struct timer *)timer)->callback = NULL;
}

static void on_timer_mod(void *timer, int64_t expires_ms, void *context)
{
	if (timer)
		((struct timer *)timer)->expires_ms = expires_ms;
}

/* Each sleep asks libslirp for its descriptors anew, on its own thread: nothing to note. */
static void on_poll_fd(int fd, void *context)
{
}

static void on_notify(void *context)
{
}

static int on_add_poll(int fd, int events, void *context)
{
	struct user_link *user = context;
	struct pollfd *slot;

	if (user->fds_count == LINK_FDS_MAX)
		return -1;
	slot = &user->fds[user->fds_count];
	*slot = (struct pollfd){.fd = fd};
	if (events & SLIRP_POLL_IN)
		slot->events |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		slot->events |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		slot->events |= POLLPRI;
	return user->fds_count++;
}

static int on_get_revents(int index, void *context)
{
	struct user_link *user = context;
	int revents, events = 0;

	if (index < 0 || (unsigned int)index >= user->fds_count)
		return 0;
	revents = user->fds[index].revents;
	if (revents & POLLIN)
		events |= SLIRP_POLL_IN;
	if (revents & POLLOUT)
		events |= SLIRP_POLL_OUT;
	if (revents & POLLPRI)
		events |= SLIRP_POLL_PRI;
	if (revents & POLLERR)
		events |= SLIRP_POLL_ERR;
	if (revents & POLLHUP)
		events |= SLIRP_POLL_HUP;
	return events;
}

static const SlirpCb user_callbacks = {
	.send_packet = on_send_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.timer_new = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_poll_fd,
	.unregister_poll_fd = on_poll_fd,
	.notify = on_notify,
};

/* ---- frames and events: the worker thread ------------------------------------------------------- */

static void run_timers(struct user_link *user, uint32_t *timeout_ms)
{
	int64_t now = on_clock(user) / 1000000;
	struct timer *timer;
	unsigned int i;

	for (i = 0; i < TIMERS_MAX; i++) {
		timer = &user->timer[i];
		if (timer->callback && timer->expires_ms <= now) {
			timer->expires_ms = NEVER;
			timer->callback(timer->context);
		}
		if (timer->callback && timer->expires_ms - now < *timeout_ms)
			*timeout_ms = timer->expires_ms - now;
	}
}

static unsigned int user_prepare(struct link *link, unsigned int queue, bool want_receive,
				 bool want_send, struct pollfd *fds, int *timeout_ms)
{
	struct user_link *user = user_of(link);
	uint32_t timeout = *timeout_ms < 0 ? UINT32_MAX : (uint32_t)*timeout_ms;

	user->fds = fds;
	user->fds_count = 0;
	if (!want_receive)
		return 0;
	if (!backlog_empty(&user->backlog))
		timeout = 0;
	slirp_pollfds_fill(user->slirp, &timeout, on_add_poll, user);
	run_timers(user, &timeout);
	*timeout_ms = timeout > INT32_MAX ? -1 : (int)timeout;
	return user->fds_count;
}

static void user_dispatch(struct link *link, unsigned int queue, const struct pollfd *fds,
			  unsigned int count)
{
	struct user_link *user = user_of(link);

	if (backlog_empty(&user->backlog))
		slirp_pollfds_poll(user->slirp, 0, on_get_revents, user);
}

/* A look at the sockets without a sleep, for a worker that is kept busy by the guest. */
static void service(struct user_link *user)
{
	int timeout = 0;
	unsigned int count = user_prepare(&user->link, 0, true, false, user->service_fds, &timeout);

	if (poll(user->service_fds, count, 0) >= 0)
		user_dispatch(&user->link, 0, user->service_fds, count);
}

static int user_send(struct link *link, unsigned int queue, const struct iovec *pieces,
		     unsigned int count)
{
	struct user_link *user = user_of(link);
	/* In one piece, and in private memory: libslirp looks at it more than once. */
	size_t length = scatter_gather(user->frame, sizeof(user->frame), pieces + 1, count - 1);

	slirp_input(user->slirp, user->frame, length);
	return 0;
}

static ssize_t user_receive(struct link *link, unsigned int queue, struct iovec *pieces,
			    unsigned int count, size_t room)
{
	struct user_link *user = user_of(link);
	size_t length;

	if (backlog_empty(&user->backlog))
		service(user);
	if (backlog_empty(&user->backlog))
		return -EAGAIN;
	length = backlog_take(&user->backlog, user->frame);
	if (sizeof(struct frame_header) + length > room)
		return -EMSGSIZE;
	memset(pieces[0].iov_base, 0, sizeof(struct frame_header));
	scatter_spread(pieces + 1, count - 1, user->frame, length);
	return sizeof(struct frame_header) + length;
}

/* ---- opening ------------------------------------------------------------------------------------ */

static void user_refresh(struct link *link)
{
}

static void user_close(struct link *link)
{
	struct user_link *user = user_of(link);

	if (user->slirp)
		slirp_cleanup(user->slirp);
	free(user);
}

static const struct link_ops user_ops = {
	.send = user_send,
	.receive = user_receive,
	.prepare = user_prepare,
	.dispatch = user_dispatch,
	.refresh = user_refresh,
	.close = user_close,
};

static int add_forward(struct user_link *user, const struct link_forward *forward)
{
	struct in_addr host = {forward->host_address}, guest = {forward->guest_address};
	char text[INET_ADDRSTRLEN];

	if (!slirp_add_hostfwd(user->slirp, forward->udp, host, forward->host_port, guest,
			       forward->guest_port))
		return 0;
	inet_ntop(AF_INET, &host, text, sizeof(text));
	log_errno("%s: cannot forward %s port %u of %s: name another port", user->link.name,
		  forward->udp ? "udp" : "tcp", forward->host_port, text);
	return -1;
}

static Slirp *open_slirp(struct user_link *user)
{
	SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.in6_enabled = true,
		.vprefix_len = 64,
		.vhostname = "pvkit",
		.if_mtu = user->link.mtu,
		.if_mru = user->link.mtu,
	};

	config.vnetwork.s_addr = htonl(0x0a000200);
	config.vnetmask.s_addr = htonl(0xffffff00);
	config.vhost.s_addr = htonl(0x0a000202);
	config.vnameserver.s_addr = htonl(0x0a000203);
	config.vdhcp_start.s_addr = htonl(0x0a00020f);
	inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &config.vhost6);
	inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
	return slirp_new(&config, &user_callbacks, user);
}

struct link *link_open_user(const struct link_options *options)
{
	struct user_link *user = calloc(1, sizeof(*user));
	unsigned int i;
	int error;

	if (!user)
		return NULL;
	user->link.ops = &user_ops;
	snprintf(user->link.name, sizeof(user->link.name), "user");
	user->link.queues = 1;
	user->link.mtu = options->mtu ? options->mtu : USER_MTU;
	user->link.up = true;
	user->link.changed = -1;
	user->slirp = open_slirp(user);
	if (!user->slirp) {
		log_error("user: libslirp does not start; use another --link");
		errno = ENOMEM;
		goto fail;
	}
	for (i = 0; i < options->forward_count; i++)
		if (add_forward(user, &options->forward[i]))
			goto fail;
	return &user->link;
fail:
	error = errno;
	user_close(&user->link);
	errno = error;
	return NULL;
}
