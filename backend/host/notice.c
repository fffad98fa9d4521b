// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What the shim tells unasked. A change of a table happens between two callbacks, the queues being
 * quiet; only then is it answered.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/host/host_private.h"

/* What a type must carry. */
struct shape {
	uint32_t size;
	unsigned int fds_min, fds_max;
};

static bool shape_of(uint16_t type, struct shape *shape)
{
	static const struct shape shapes[] = {
		[ATTACH_MEMORY_ADD - ATTACH_MEMORY_ADD] = {sizeof(struct attach_memory), 1, 1},
		[ATTACH_MEMORY_REMOVE - ATTACH_MEMORY_ADD] = {sizeof(struct attach_memory), 0, 0},
		[ATTACH_GRANT_TABLE -
			ATTACH_MEMORY_ADD] = {sizeof(struct attach_grant_table), 2, 3},
		[ATTACH_READY - ATTACH_MEMORY_ADD] = {0, 0, 0},
		[ATTACH_CHANNEL_CLOSED - ATTACH_MEMORY_ADD] = {sizeof(struct attach_bind), 0, 0},
		[ATTACH_GUEST_RESET - ATTACH_MEMORY_ADD] = {0, 0, 0},
	};

	if (type < ATTACH_MEMORY_ADD || type > ATTACH_GUEST_RESET)
		return false;
	*shape = shapes[type - ATTACH_MEMORY_ADD];
	return true;
}

static void acknowledge(struct host *host, const struct host_message *notice)
{
	const struct attach_header header = {
		.type = notice->header.type,
		.flags = ATTACH_FLAG_ANSWER,
		.sequence = notice->header.sequence,
	};

	int err = host->fd < 0 ? 0 : host_message_send(host->fd, &header, NULL);

	/* It may go away at any time, also while we do what it asked for. */
	if (err)
		host_broken(host, err == -EPIPE || err == -ECONNRESET
					  ? NULL
					  : "it does not take our answers");
}

/* Changes a table: the queues are quiet meanwhile. */
static int change_tables(struct host *host, struct host_message *notice)
{
	int err;

	if (host->served)
		host->ops->quiesce(host->context);
	switch (notice->header.type) {
	case ATTACH_MEMORY_ADD:
		err = host_memory_add(&host->memory, &notice->body.memory, notice->fds[0],
				      host->guard);
		break;
	case ATTACH_MEMORY_REMOVE:
		err = host_memory_remove(&host->memory, &notice->body.memory);
		break;
	default:
		if (host->grants.table.grants && host_grants_sweep(host))
			log_error("grants were still pinned when their table changed; a defect of "
				  "this program");
		err = host_grants_map(host, &notice->body.grant_table, notice->fds,
				      notice->fd_count);
		break;
	}
	if (err)
		return err;
	/* Of a table without references nothing can be pinned: quiet until the next one. */
	if (host->served && host->grants.table.grants)
		host->ops->resume(host->context);
	if (notice->header.type != ATTACH_MEMORY_ADD)
		acknowledge(host, notice);
	return 0;
}

static void guest_reset(struct host *host, const struct host_message *notice)
{
	if (host->served)
		host->ops->reset(host->context);
	if (host_grants_sweep(host))
		log_error("grants were still pinned after a reset; a defect of this program");
	host->generation++;
	acknowledge(host, notice);
}

/* Tells one notice, which is gone afterwards. */
void host_notice_tell(struct host *host, struct host_message *notice)
{
	char text[96];
	int err = 0;

	switch (notice->header.type) {
	case ATTACH_MEMORY_ADD:
	case ATTACH_MEMORY_REMOVE:
	case ATTACH_GRANT_TABLE:
		err = change_tables(host, notice);
		break;
	case ATTACH_CHANNEL_CLOSED:
		if (host->served && host_port_bound(host, notice->body.bind.guest_port))
			host->ops->channel_closed(host->context, notice->body.bind.guest_port);
		break;
	case ATTACH_GUEST_RESET:
		guest_reset(host, notice);
		break;
	default: /* READY, for the greeting only */
		break;
	}
	host_message_drop(notice);
	if (err) {
		snprintf(text, sizeof(text), "message %u cannot be used: %s", notice->header.type,
			 strerror(-err));
		host_broken(host, text);
	}
}

/* 0: a notice that we know; 1: one that may be ignored, and is dropped; -EPIPE. */
int host_notice_check(struct host *host, struct host_message *message)
{
	struct shape shape;

	if (!(message->header.flags & ATTACH_FLAG_ANSWER) &&
	    shape_of(message->header.type, &shape)) {
		if (message->header.size >= shape.size && message->fd_count >= shape.fds_min &&
		    message->fd_count <= shape.fds_max)
			return 0;
	} else if (message->header.flags & ATTACH_FLAG_OPTIONAL) {
		host_message_drop(message);
		return 1;
	}
	host_message_drop(message);
	return host_broken(host, "it sent a message that breaks the protocol");
}

int host_notice_keep(struct host *host, struct host_message *message)
{
	if (host->notice_count == HOST_NOTICES_MAX) {
		host_message_drop(message);
		return host_broken(host, "it says too much before it answers");
	}
	host->notices[host->notice_count++] = *message;
	host_signal_again(host);
	return 0;
}

void host_forget_closed(struct host *host, uint32_t port)
{
	unsigned int i, kept = 0;

	for (i = 0; i < host->notice_count; i++) {
		struct host_message *notice = &host->notices[i];

		if (notice->header.type == ATTACH_CHANNEL_CLOSED &&
		    notice->body.bind.guest_port == port)
			continue;
		host->notices[kept++] = *notice;
	}
	host->notice_count = kept;
}

/* The oldest that waits; false: none does. */
bool host_notice_next(struct host *host, struct host_message *notice)
{
	if (!host->notice_count)
		return false;
	*notice = host->notices[0];
	host->notice_count--;
	memmove(host->notices, host->notices + 1, host->notice_count * sizeof(host->notices[0]));
	return true;
}
