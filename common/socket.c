// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Unix sockets with descriptors.
 *
 * Every descriptor that a peer sends lands in our table before we have agreed to it, so a receiver
 * that drops one without closing it is filled up by whoever sends enough. Hence the rule kept here: a
 * call either hands all descriptors to its caller or closes all of them.
 */
#include "common/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The kernel's SCM_MAX_FD: a message never brings more, so none is cut off unseen. */
#define SOCKET_FDS_MAX      253
#define SOCKET_CONNECT_SECS 10
#define SOCKET_LOCK_NS      1000000
#define SOCKET_LOCK_TRIES   500 /* half a second: a worker may be what waits */

union socket_control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(SOCKET_FDS_MAX * sizeof(int))];
};

static int socket_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (!*path)
		return -ENOENT;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

/* 0: somebody answers at the address, or -errno. */
static int socket_probe(const struct sockaddr_un *address, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		error = -errno;
	close(fd);
	return error;
}

/*
 * Removes the socket file of a program that is gone. 0, or -errno when the name is in use. Under the lock
 * of the directory: between our question and the removal nobody puts a socket of his there, and one that
 * nobody answers at is not on its way from bind() to listen().
 */
static int socket_remove_stale(const struct sockaddr_un *address, int type)
{
	struct stat status;
	int error;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	error = socket_probe(address, type);
	if (error == -ENOENT)
		return 0;
	/* EAGAIN: a full backlog; EPROTOTYPE: of another type */
	if (error != -ECONNREFUSED)
		return error == -EACCES || error == -EMFILE || error == -ENFILE ? error
										: -EADDRINUSE;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int socket_bind(int fd, const struct sockaddr_un *address, int type)
{
	int error;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	error = socket_remove_stale(address, type);
	if (error)
		return error;
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

static int socket_open_directory(const struct sockaddr_un *address)
{
	char path[sizeof(address->sun_path)];
	char *slash;
	int fd;

	strcpy(path, address->sun_path);
	slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Locks the directory of the address against all others who want to listen in it; the descriptor holds
 * the lock until it is closed. It is held for some system calls. But whoever may read the directory may
 * hold it for ever, so it is not waited for without end: -EADDRINUSE.
 */
static int socket_lock(const struct sockaddr_un *address)
{
	const struct timespec moment = {.tv_nsec = SOCKET_LOCK_NS};
	int fd = socket_open_directory(address), tries, error;

	for (tries = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		error = errno == EWOULDBLOCK ? EADDRINUSE : errno;
		if ((errno != EWOULDBLOCK && errno != EINTR) || tries == SOCKET_LOCK_TRIES) {
			close(fd);
			return -error;
		}
		nanosleep(&moment, NULL);
	}
	return fd;
}

int socket_listen(const char *path, int type)
{
	struct sockaddr_un address;
	int fd, lock, error;

	error = socket_address(path, &address);
	if (error)
		return error;
	lock = socket_lock(&address);
	if (lock < 0)
		return lock;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	error = fd < 0 ? -errno : socket_bind(fd, &address, type);
	if (!error && type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0)
		error = -errno;
	close(lock);
	if (error && fd >= 0)
		close(fd);
	return error ?: fd;
}

int socket_connect(const char *path, int type)
{
	/* A listener that never accepts lets its backlog fill and connect() wait: not for ever. */
	const struct timeval limit = {.tv_sec = SOCKET_CONNECT_SECS}, none = {0};
	struct sockaddr_un address;
	int fd, error;

	error = socket_address(path, &address);
	if (error)
		return error;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno == EAGAIN ? ETIMEDOUT : errno;
		close(fd);
		return -error;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	return fd;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits for @events until @deadline (-1: for ever). 0 or -errno. */
static int socket_wait(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int64_t left = -1;
	int ready;

	for (;;) {
		if (deadline >= 0) {
			left = deadline - now_ms();
			if (left < 0)
				left = 0;
		}
		ready = poll(&poll_fd, 1, (int)left);
		if (ready > 0)
			return 0; /* POLLERR and POLLHUP too: the transfer then says what it is */
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static void socket_attach(struct msghdr *message, union socket_control *control, const int *fds,
			  unsigned int count)
{
	struct cmsghdr *header;

	memset(control, 0, sizeof(*control));
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(count * sizeof(int));
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
}

int socket_send(int fd, const void *data, size_t size, const int *fds, unsigned int count,
		int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	union socket_control control;
	size_t done = 0;

	if (count > SOCKET_FDS_MAX)
		return -EINVAL;
	while (done < size) {
		struct iovec piece = {(char *)data + done, size - done};
		struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
		ssize_t sent;
		int error;

		if (count && !done)
			socket_attach(&message, &control, fds, count);
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0) {
			done += sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		error = socket_wait(fd, POLLOUT, deadline);
		if (error)
			return error;
	}
	return 0;
}

static void close_all(const int *fds, unsigned int count)
{
	while (count--)
		close(fds[count]);
}

/*
 * Takes the descriptors of one message behind the *@have that came before. False when there were
 * more than @room: the surplus is closed.
 */
static bool socket_collect(struct msghdr *message, int *fds, unsigned int room, unsigned int *have)
{
	bool fits = !(message->msg_flags & MSG_CTRUNC);
	struct cmsghdr *header;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		unsigned int i, came;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < came; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (*have < room) {
				fds[(*have)++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

int socket_receive(int fd, void *data, size_t size, int *fds, unsigned int *count, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	unsigned int room = count ? *count : 0, have = 0;
	union socket_control control;
	size_t done = 0;
	int error = 0;

	while (done < size && !error) {
		struct iovec piece = {(char *)data + done, size - done};
		struct msghdr message = {.msg_iov = &piece,
					 .msg_iovlen = 1,
					 .msg_control = control.bytes,
					 .msg_controllen = sizeof(control.bytes)};
		ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (got > 0 || (got == 0 && message.msg_controllen)) {
			if (!socket_collect(&message, fds, room, &have))
				error = -EMSGSIZE;
			done += got;
		} else if (got == 0) {
			error = -ECONNRESET;
		} else if (errno == EAGAIN) {
			error = socket_wait(fd, POLLIN, deadline);
		} else if (errno != EINTR) {
			error = -errno;
		}
	}
	if (error) {
		close_all(fds, have);
		have = 0;
	}
	if (count)
		*count = have;
	return error;
}

void socket_absolute(char *text, size_t size, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char folder[PATH_MAX], real[PATH_MAX];

	snprintf(folder, sizeof(folder), "./");
	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
	/* Without a folder there will be no socket either. */
	snprintf(text, size, "%s/%s", realpath(folder, real) ? real : folder, name);
}
