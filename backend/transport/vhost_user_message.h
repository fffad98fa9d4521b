/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One vhost-user message on its way in, and the answer to it.
 *
 * The control loop must not wait for a slow peer, so a message is put together from what each
 * wake-up brings; a timer of the connection (not of each byte) bounds how long that may take.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_VHOST_USER_MESSAGE_H
#define PVKIT_BACKEND_TRANSPORT_VHOST_USER_MESSAGE_H

#include <stdbool.h>

#include "abi/vhost_user.h"

struct vhost_user_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	int fds[VHOST_USER_FDS_MAX]; /* owned; a handler that keeps one puts -1 here */
	unsigned int fd_count;
	uint32_t received; /* bytes, header included */
};

enum message_state {
	MESSAGE_PARTIAL, /* more is to come */
	MESSAGE_WHOLE,
	MESSAGE_END, /* the peer closed the connection */
	MESSAGE_BROKEN, /* errno says why; the connection is of no use any more */
};

void message_begin(struct vhost_user_message *message);
/* Takes what @fd has, without blocking. */
enum message_state message_receive(struct vhost_user_message *message, int fd);
/* Closes the descriptors that no handler kept. */
void message_drop(struct vhost_user_message *message);

/*
 * Sends header and payload, without blocking: a peer that does not read its answers until the
 * socket is full has broken the protocol, and the caller closes the connection. 0 or -errno.
 */
int message_send(int fd, const struct vhost_user_header *header, const void *payload);

/* "VHOST_USER_SET_OWNER" without its prefix, for messages to people; "request N" for unknown ones. */
const char *message_name(uint32_t request);

#endif
