// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/transport/vhost_user_message.h"

void message_begin(struct vhost_user_message *message)
{
	message->received = 0;
	message->fd_count = 0;
}

void message_drop(struct vhost_user_message *message)
{
	while (message->fd_count) {
		int fd = message->fds[--message->fd_count];

		if (fd >= 0)
			close(fd);
	}
}

/*
 * Keeps the descriptors of one recvmsg(). All that arrived are ours to close, so those beyond the
 * room of the message are closed here. The kernel drops what does not fit the control buffer.
 */
static bool take_descriptors(struct vhost_user_message *message, struct msghdr *msg)
{
	bool fits = !(msg->msg_flags & MSG_CTRUNC);
	struct cmsghdr *c;
	size_t i, n;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (message->fd_count < VHOST_USER_FDS_MAX) {
				message->fds[message->fd_count++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

/* Reads up to @size bytes to @data. Bytes read, 0 at the end, -1 with errno. */
static ssize_t receive_some(struct vhost_user_message *message, int fd, void *data, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {data, size};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return n;
	if (!take_descriptors(message, &msg)) {
		errno = EMSGSIZE;
		return -1;
	}
	message->received += n;
	return n;
}

static bool header_plausible(const struct vhost_user_header *header)
{
	return (header->flags & ~VHOST_USER_FLAG_NEED_REPLY) == VHOST_USER_VERSION &&
	       header->size <= VHOST_USER_PAYLOAD_MAX;
}

enum message_state message_receive(struct vhost_user_message *message, int fd)
{
	const uint32_t header_size = sizeof(message->header);
	size_t want;
	void *to;
	ssize_t n;

	for (;;) {
		if (message->received < header_size) {
			to = (char *)&message->header + message->received;
			want = header_size - message->received;
		} else {
			if (!header_plausible(&message->header)) {
				errno = EPROTO;
				return MESSAGE_BROKEN;
			}
			to = message->payload.bytes + (message->received - header_size);
			want = message->header.size - (message->received - header_size);
			if (!want)
				return MESSAGE_WHOLE;
		}
		n = receive_some(message, fd, to, want);
		if (n == 0 && !message->received)
			return MESSAGE_END;
		if (n == 0)
			errno = ECONNRESET;
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return MESSAGE_PARTIAL;
		if (n <= 0)
			return MESSAGE_BROKEN;
	}
}

int message_send(int fd, const struct vhost_user_header *header, const void *payload)
{
	struct iovec iov[2] = {
		{(void *)header, sizeof(*header)},
		{(void *)payload, header->size},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = header->size ? 2 : 1};
	ssize_t n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*header) + header->size ? 0 : -EMSGSIZE;
}

const char *message_name(uint32_t request)
{
	static const char *const names[VHOST_USER_REQUEST_COUNT] = {
		[VHOST_USER_GET_FEATURES] = "GET_FEATURES",
		[VHOST_USER_SET_FEATURES] = "SET_FEATURES",
		[VHOST_USER_SET_OWNER] = "SET_OWNER",
		[VHOST_USER_RESET_OWNER] = "RESET_OWNER",
		[VHOST_USER_SET_MEM_TABLE] = "SET_MEM_TABLE",
		[VHOST_USER_SET_LOG_BASE] = "SET_LOG_BASE",
		[VHOST_USER_SET_LOG_FD] = "SET_LOG_FD",
		[VHOST_USER_SET_VRING_NUM] = "SET_VRING_NUM",
		[VHOST_USER_SET_VRING_ADDR] = "SET_VRING_ADDR",
		[VHOST_USER_SET_VRING_BASE] = "SET_VRING_BASE",
		[VHOST_USER_GET_VRING_BASE] = "GET_VRING_BASE",
		[VHOST_USER_SET_VRING_KICK] = "SET_VRING_KICK",
		[VHOST_USER_SET_VRING_CALL] = "SET_VRING_CALL",
		[VHOST_USER_SET_VRING_ERR] = "SET_VRING_ERR",
		[VHOST_USER_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
		[VHOST_USER_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
		[VHOST_USER_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
		[VHOST_USER_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
		[VHOST_USER_SEND_RARP] = "SEND_RARP",
		[VHOST_USER_NET_SET_MTU] = "NET_SET_MTU",
		[VHOST_USER_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
		[VHOST_USER_IOTLB_MSG] = "IOTLB_MSG",
		[VHOST_USER_SET_VRING_ENDIAN] = "SET_VRING_ENDIAN",
		[VHOST_USER_GET_CONFIG] = "GET_CONFIG",
		[VHOST_USER_SET_CONFIG] = "SET_CONFIG",
		[VHOST_USER_CREATE_CRYPTO_SESSION] = "CREATE_CRYPTO_SESSION",
		[VHOST_USER_CLOSE_CRYPTO_SESSION] = "CLOSE_CRYPTO_SESSION",
		[VHOST_USER_POSTCOPY_ADVISE] = "POSTCOPY_ADVISE",
		[VHOST_USER_POSTCOPY_LISTEN] = "POSTCOPY_LISTEN",
		[VHOST_USER_POSTCOPY_END] = "POSTCOPY_END",
		[VHOST_USER_GET_INFLIGHT_FD] = "GET_INFLIGHT_FD",
		[VHOST_USER_SET_INFLIGHT_FD] = "SET_INFLIGHT_FD",
		[VHOST_USER_GPU_SET_SOCKET] = "GPU_SET_SOCKET",
		[VHOST_USER_RESET_DEVICE] = "RESET_DEVICE",
		[VHOST_USER_VRING_KICK] = "VRING_KICK",
		[VHOST_USER_GET_MAX_MEM_SLOTS] = "GET_MAX_MEM_SLOTS",
		[VHOST_USER_ADD_MEM_REG] = "ADD_MEM_REG",
		[VHOST_USER_REM_MEM_REG] = "REM_MEM_REG",
		[VHOST_USER_SET_STATUS] = "SET_STATUS",
		[VHOST_USER_GET_STATUS] = "GET_STATUS",
		[VHOST_USER_GET_SHARED_OBJECT] = "GET_SHARED_OBJECT",
		[VHOST_USER_SET_DEVICE_STATE_FD] = "SET_DEVICE_STATE_FD",
		[VHOST_USER_CHECK_DEVICE_STATE] = "CHECK_DEVICE_STATE",
	};
	static char unknown[32]; /* the control thread's */

	if (request < VHOST_USER_REQUEST_COUNT && names[request])
		return names[request];
	snprintf(unknown, sizeof(unknown), "request %u", request);
	return unknown;
}
