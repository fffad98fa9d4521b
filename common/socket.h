/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Unix sockets with descriptors: what both ends of vhost-user need.
 */
#ifndef PVKIT_COMMON_SOCKET_H
#define PVKIT_COMMON_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Listens at @path. A socket file that nobody answers at is replaced; one that somebody answers at is
 * EADDRINUSE. Of several who come at once one listens and the others get EADDRINUSE: meanwhile the
 * directory, which must be readable, is locked by flock(), waited for half a second at most. -errno on
 * failure. SOCK_CLOEXEC, SOCK_NONBLOCK for accept.
 */
int socket_listen(const char *path, int type);
/* A listener whose backlog is full is -ETIMEDOUT after some seconds; at once with SOCK_NONBLOCK. */
int socket_connect(const char *path, int type);

/*
 * Sends all of @size bytes, with @count descriptors beside the first byte. 0 or -errno.
 * @timeout_ms bounds the whole call.
 */
int socket_send(int fd, const void *data, size_t size, const int *fds, unsigned int count,
		int timeout_ms);

/*
 * Receives exactly @size bytes and up to *count descriptors (in: room; out: how many came). Surplus
 * descriptors are closed by us and make the call -EMSGSIZE; on any failure every descriptor received
 * is closed. -ECONNRESET at the end of the stream, -ETIMEDOUT when @timeout_ms (-1: none) ran out;
 * a message that trickles in must be whole within it.
 */
int socket_receive(int fd, void *data, size_t size, int *fds, unsigned int *count, int timeout_ms);

/*
 * Where the socket @path is from the root on, whatever folder we were started in and by whatever name it
 * is called. It may not be there yet.
 */
void socket_absolute(char *text, size_t size, const char *path);

#endif
