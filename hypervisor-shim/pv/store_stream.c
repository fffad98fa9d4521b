// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A peer on a Unix stream socket: tools and back-ends.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor-shim/pv/store_peer.h"

static ssize_t stream_result(ssize_t count)
{
	if (count >= 0)
		return count;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static ssize_t stream_read(struct store_peer *peer, void *data, size_t size)
{
	ssize_t count = recv(peer->fd, data, size, MSG_DONTWAIT);

	return count ? stream_result(count) : -ECONNRESET;
}

static ssize_t stream_write(struct store_peer *peer, const void *data, size_t size)
{
	return stream_result(send(peer->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static void stream_ready(struct store_peer *peer, short events)
{
}

static bool stream_waiting(struct store_peer *peer)
{
	return false;
}

static void stream_flush(struct store_peer *peer)
{
}

static void stream_fail(struct store_peer *peer, enum store_ring_error error)
{
	peer->ended = true;
}

static void stream_close(struct store_peer *peer)
{
	close(peer->fd);
}

static const struct store_carrier stream = {
	.read = stream_read,
	.write = stream_write,
	.ready = stream_ready,
	.waiting = stream_waiting,
	.flush = stream_flush,
	.fail = stream_fail,
	.close = stream_close,
};

struct store_peer *store_stream_new(struct store *store, unsigned int domain, int fd)
{
	return store_peer_new(store, domain, &stream, fd);
}
