// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * One message is one packet. The kernel's room for descriptors is larger than what the protocol
 * allows, so that surplus ones are seen, and closed, and the message is refused.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/host/host_private.h"

#define FDS_ROOM 32

int host_message_send(int fd, const struct attach_header *header, const void *body)
{
	struct iovec iov[2] = {
		{(void *)header, sizeof(*header)},
		{(void *)body, header->size},
	};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = header->size ? 2 : 1};
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	for (;;) {
		if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (errno == EAGAIN && poll(&room, 1, HOST_ANSWER_MS) == 0)
			return -ETIMEDOUT;
	}
}

void host_message_drop(struct host_message *message)
{
	while (message->fd_count)
		close(message->fds[--message->fd_count]);
}

/* Takes the descriptors over; false: more than a message may have. */
static bool take_fds(struct host_message *message, struct msghdr *from)
{
	struct cmsghdr *control;
	unsigned int i, count;
	int fds[FDS_ROOM];
	bool surplus = false;

	for (control = CMSG_FIRSTHDR(from); control; control = CMSG_NXTHDR(from, control)) {
		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (count > FDS_ROOM)
			count = FDS_ROOM; /* there was room for no more */
		memcpy(fds, CMSG_DATA(control), count * sizeof(int));
		for (i = 0; i < count; i++) {
			if (message->fd_count < ATTACH_FDS_MAX) {
				message->fds[message->fd_count++] = fds[i];
			} else {
				close(fds[i]);
				surplus = true;
			}
		}
	}
	return !surplus;
}

static int receive_now(int fd, struct host_message *message)
{
	uint8_t packet[ATTACH_MESSAGE_MAX];
	union {
		char space[CMSG_SPACE(FDS_ROOM * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr from = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	size_t body;
	ssize_t got;

	got = recvmsg(fd, &from, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	memset(message, 0, sizeof(*message));
	if (!take_fds(message, &from) || from.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		goto broken;
	if (!got)
		goto end;
	if ((size_t)got < sizeof(message->header))
		goto broken;
	memcpy(&message->header, packet, sizeof(message->header));
	body = got - sizeof(message->header);
	if (message->header.size != body)
		goto broken;
	memcpy(message->body.bytes, packet + sizeof(message->header),
	       body < HOST_BODY_BYTES ? body : HOST_BODY_BYTES);
	return 1;
end:
	host_message_drop(message);
	return -ECONNRESET;
broken:
	host_message_drop(message);
	return -EPROTO;
}

int host_message_receive(int fd, struct host_message *message, int timeout_ms)
{
	struct pollfd there = {.fd = fd, .events = POLLIN};
	int got;

	got = receive_now(fd, message);
	if (got || !timeout_ms)
		return got;
	if (poll(&there, 1, timeout_ms) <= 0)
		return 0;
	return receive_now(fd, message);
}
