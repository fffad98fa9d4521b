// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The socket link: joins two guests by a Unix socket that keeps message boundaries, one frame a
 * message, its header in front. So checksums and segments that both guests would only undo are never
 * made; where one guest negotiated less than the other, the receiving side does the work (segment.h).
 *
 * Who comes first listens, who comes second connects. When the peer leaves, a listener waits for the
 * next one and a connector tries to connect again, or listens where nobody does any more: either may
 * be restarted. The first message each way says who speaks; only then is the link up. A third comer
 * is hung up on before that, and so knows. Who connects and says nothing loses the place to the next.
 *
 *	no peer --- accept or connect ---> greeted? --- hello received ---> joined
 *	   ^                                  |                               |
 *	   +---------- end of stream ---------+--------- end of stream -------+
 *
 * All of it is the worker thread's, so no descriptor can be closed under a system call. Only ->joined
 * is seen by the control thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backend/link/link.h"
#include "backend/link/scatter.h"
#include "backend/link/segment.h"
#include "common/log.h"
#include "common/socket.h"

#define HELLO_MAGIC   0x4b4e494c54564b50ULL
#define HELLO_VERSION 1
#define HELLO_WAIT_MS 1000
#define RETRY_MS      100
/* Room for a few of the largest frames; the kernel cuts it to what an administrator allows. */
#define BUFFER_BYTES (1 << 20)

struct hello {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
};

struct socket_link {
	struct link link;
	const char *path;
	int listener; /* -1: we are the one who connects */
	int peer; /* -1: none */
	int64_t retry_at;
	int64_t greeted_at; /* ms, as retry_at */
	_Atomic bool joined;
	_Atomic unsigned int accepted;
	bool pending; /* the segmenter has more of the last frame */
	struct segmenter segmenter;
};

static struct socket_link *socket_of(struct link *link)
{
	return (struct socket_link *)link;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* ---- who is there ------------------------------------------------------------------------------- */

static void set_joined(struct socket_link *s, bool joined)
{
	const uint64_t one = 1;

	if (atomic_exchange(&s->joined, joined) != joined &&
	    write(s->link.changed, &one, sizeof(one)) < 0)
		return; /* full: a change is waiting to be seen already */
}

static void leave_peer(struct socket_link *s)
{
	close(s->peer);
	s->peer = -1;
	s->retry_at = now_ms() + RETRY_MS;
	set_joined(s, false);
}

static void greet_peer(struct socket_link *s, int fd)
{
	const struct hello hello = {HELLO_MAGIC, HELLO_VERSION, sizeof(struct frame_header)};
	const int bytes = BUFFER_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	s->peer = fd;
	s->greeted_at = now_ms();
	if (send(fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(hello))
		leave_peer(s);
}

/* The first message of a peer. -EAGAIN while there is none; the peer is left if it is no hello. */
static int take_hello(struct socket_link *s)
{
	static struct log_limit limit;
	struct hello hello;
	ssize_t bytes = recv(s->peer, &hello, sizeof(hello), MSG_DONTWAIT);

	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (bytes != sizeof(hello) || hello.magic != HELLO_MAGIC ||
	    hello.version != HELLO_VERSION || hello.header_bytes != sizeof(struct frame_header)) {
		if (bytes > 0)
			log_peer(&limit, "%s: who is there speaks another protocol: left it",
				 s->link.name);
		leave_peer(s);
		return -ENOTCONN;
	}
	set_joined(s, true);
	return 0;
}

/* A guest that asks while another is there is hung up on. */
static void accept_peers(struct socket_link *s)
{
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (s->peer >= 0)
			close(fd);
		else
			greet_peer(s, fd);
	}
}

/*
 * Connects, or becomes the one who listens. 0 or -errno; -EADDRINUSE: somebody came at the same moment,
 * and listens there now. @flags: SOCK_NONBLOCK where a listener that
 * lets nobody in must not be waited for.
 */
static int connect_or_listen(struct socket_link *s, int flags)
{
	int fd = socket_connect(s->path, SOCK_SEQPACKET | flags);

	if (fd >= 0) {
		greet_peer(s, fd);
		return 0;
	}
	if (fd != -ENOENT && fd != -ECONNREFUSED)
		return fd;
	fd = socket_listen(s->path, SOCK_SEQPACKET);
	if (fd < 0)
		return fd;
	s->listener = fd;
	return 0;
}

/* Who connected has said hello at once; whether who listens has the time for it is not known. */
static bool peer_silent(const struct socket_link *s)
{
	return s->peer >= 0 && !s->joined && s->listener >= 0 &&
	       now_ms() >= s->greeted_at + HELLO_WAIT_MS;
}

/* Looks for a peer, now and then: called from wherever the worker happens to be. */
static void look_for_peer(struct socket_link *s)
{
	static struct log_limit limit;

	if (peer_silent(s) && take_hello(s) == -EAGAIN) {
		log_peer(&limit, "%s: who came says nothing: left it", s->link.name);
		leave_peer(s);
	}
	if (s->peer >= 0 || now_ms() < s->retry_at)
		return;
	s->retry_at = now_ms() + RETRY_MS;
	if (s->listener < 0)
		connect_or_listen(s, SOCK_NONBLOCK); /* the worker has frames to move */
	if (s->listener >= 0)
		accept_peers(s);
}

/* Whether frames can flow. */
static bool peer_ready(struct socket_link *s)
{
	look_for_peer(s);
	if (s->peer < 0)
		return false;
	return atomic_load_explicit(&s->joined, memory_order_relaxed) || !take_hello(s);
}

/* ---- frames ------------------------------------------------------------------------------------- */

static int socket_link_send(struct link *link, unsigned int queue, const struct iovec *pieces,
			    unsigned int count)
{
	struct socket_link *s = socket_of(link);
	struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};

	if (!peer_ready(s))
		return -ENOTCONN;
	if (sendmsg(s->peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		leave_peer(s);
	return -errno;
}

/* One message into @pieces. Bytes; -EMSGSIZE, -EFAULT: it is lost; -EAGAIN, also when the peer left. */
static ssize_t receive_message(struct socket_link *s, struct iovec *pieces, unsigned int count)
{
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
	ssize_t bytes = recvmsg(s->peer, &message, MSG_DONTWAIT);

	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	/* Our own guest's memory is gone, which is no fault of the peer's. */
	if (bytes < 0 && errno == EFAULT)
		return -EFAULT;
	if (bytes <= 0) {
		leave_peer(s);
		return -EAGAIN;
	}
	if (message.msg_flags & MSG_TRUNC || (size_t)bytes <= sizeof(struct frame_header))
		return -EMSGSIZE;
	return bytes;
}

/* Straight into the guest's pieces. That a checksum was seen to be right is no peer's to say. */
static ssize_t receive_direct(struct socket_link *s, struct iovec *pieces, unsigned int count)
{
	ssize_t bytes = receive_message(s, pieces, count);

	((struct frame_header *)pieces[0].iov_base)->flags &= ~VIRTIO_NET_HDR_F_DATA_VALID;
	return bytes;
}

/* The guest takes less than its peer may send: by way of the segmenter. */
static ssize_t receive_segment(struct socket_link *s, unsigned int accepted, struct iovec *pieces,
			       unsigned int count, size_t room)
{
	struct segmenter *segmenter = &s->segmenter;
	struct iovec whole[2] = {{&segmenter->header, sizeof(segmenter->header)},
				 {segmenter->frame, sizeof(segmenter->frame)}};
	ssize_t bytes;

	if (!s->pending) {
		bytes = receive_message(s, whole, 2);
		if (bytes < 0)
			return bytes;
		segmenter->length = bytes - sizeof(segmenter->header);
		segmenter->header.flags &= ~VIRTIO_NET_HDR_F_DATA_VALID;
		if (frame_check(&segmenter->header, segmenter->length, s->link.takes) ||
		    segmenter_begin(segmenter, accepted))
			return -EMSGSIZE;
		s->pending = true;
	}
	if (!segmenter_next(segmenter)) {
		s->pending = false;
		return receive_segment(s, accepted, pieces, count, room);
	}
	if (sizeof(struct frame_header) + segmenter->out_length > room)
		return -EMSGSIZE;
	memcpy(pieces[0].iov_base, &segmenter->out_header, sizeof(struct frame_header));
	scatter_spread(pieces + 1, count - 1, segmenter->out, segmenter->out_length);
	return sizeof(struct frame_header) + segmenter->out_length;
}

static ssize_t socket_link_receive(struct link *link, unsigned int queue, struct iovec *pieces,
				   unsigned int count, size_t room)
{
	struct socket_link *s = socket_of(link);
	unsigned int accepted = atomic_load_explicit(&s->accepted, memory_order_relaxed);

	if (!s->pending) {
		if (!peer_ready(s))
			return -EAGAIN;
		if ((accepted & link->takes) == link->takes)
			return receive_direct(s, pieces, count);
	}
	return receive_segment(s, accepted, pieces, count, room);
}

static unsigned int socket_link_prepare(struct link *link, unsigned int queue, bool want_receive,
					bool want_send, struct pollfd *fds, int *timeout_ms)
{
	struct socket_link *s = socket_of(link);
	unsigned int count = 0;

	if (s->pending && want_receive)
		*timeout_ms = 0;
	if ((s->listener < 0 ? s->peer < 0 : s->peer >= 0 && !s->joined) &&
	    (*timeout_ms < 0 || *timeout_ms > RETRY_MS))
		*timeout_ms = RETRY_MS;
	/* The end of the stream shows also when nothing is wanted. */
	fds[count].fd = s->peer;
	fds[count].events = (want_receive || !s->joined ? POLLIN : 0) | (want_send ? POLLOUT : 0);
	count++;
	fds[count].fd = s->listener;
	fds[count].events = POLLIN;
	return count + 1;
}

static void socket_link_dispatch(struct link *link, unsigned int queue, const struct pollfd *fds,
				 unsigned int count)
{
	struct socket_link *s = socket_of(link);

	/* With frames still in the socket the end waits until they are received, if they can be. */
	if (fds[0].revents & (POLLHUP | POLLERR) &&
	    !(fds[0].revents & POLLIN && fds[0].events & POLLIN))
		leave_peer(s);
	else if (fds[0].revents & POLLIN && !s->joined)
		take_hello(s);
	if (fds[1].revents & POLLIN)
		accept_peers(s);
	look_for_peer(s);
}

/* ---- settings ----------------------------------------------------------------------------------- */

static int socket_link_set_accepted(struct link *link, unsigned int offloads)
{
	atomic_store(&socket_of(link)->accepted, offloads);
	return 0;
}

static void socket_link_refresh(struct link *link)
{
	uint64_t count;

	if (read(link->changed, &count, sizeof(count)) < 0)
		return;
	link->up = atomic_load(&socket_of(link)->joined);
}

static void socket_link_close(struct link *link)
{
	struct socket_link *s = socket_of(link);

	if (s->peer >= 0)
		close(s->peer);
	if (s->listener >= 0) {
		close(s->listener);
		unlink(s->path);
	}
	if (link->changed >= 0)
		close(link->changed);
	free(s);
}

static const struct link_ops socket_ops = {
	.send = socket_link_send,
	.receive = socket_link_receive,
	.prepare = socket_link_prepare,
	.dispatch = socket_link_dispatch,
	.set_accepted = socket_link_set_accepted,
	.refresh = socket_link_refresh,
	.close = socket_link_close,
};

/* The one who listens greets at once, or hangs up on a third comer. */
static int wait_for_hello(struct socket_link *s)
{
	struct pollfd fds = {.fd = s->peer, .events = POLLIN};

	if (s->peer < 0 || (poll(&fds, 1, HELLO_WAIT_MS) == 1 && take_hello(s) == -ENOTCONN)) {
		log_error("%s: two guests are joined there already: name another path",
			  s->link.name);
		errno = EBUSY;
		return -1;
	}
	return 0;
}

struct link *link_open_socket(const struct link_options *options)
{
	struct socket_link *s = calloc(1, sizeof(*s));
	int error;

	if (!s)
		return NULL;
	s->link.ops = &socket_ops;
	snprintf(s->link.name, sizeof(s->link.name), "socket:%s", options->name);
	s->link.queues = 1;
	s->link.takes = FRAME_CSUM | FRAME_TSO4 | FRAME_TSO6 | FRAME_ECN;
	s->link.gives = s->link.takes;
	s->link.changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->path = options->name;
	s->listener = s->peer = -1;
	error = connect_or_listen(s, 0);
	if (error == -EADDRINUSE)
		error = connect_or_listen(s, 0);
	if (error) {
		errno = -error;
		log_errno("%s: can neither connect nor listen: check the path and its directory",
			  s->link.name);
		goto fail;
	}
	if (s->listener < 0 && wait_for_hello(s))
		goto fail;
	s->link.up = atomic_load(&s->joined);
	return &s->link;
fail:
	error = errno;
	socket_link_close(&s->link);
	errno = error;
	return NULL;
}
