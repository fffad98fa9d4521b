/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the files of this room share: the state of one attachment.
 *
 *   attach.c          the connection: greeting, questions, the loop
 *   attach_message.c  one packet in or out, with its descriptors
 *   notice.c          what the shim tells unasked
 *   memory.c          the guest's memory and the shim's tables, mapped
 *   grants.c          pins
 *   area.c            granted pages side by side
 *   channel.c         event channels
 *   store_client.c    the store; knows nothing of the others
 */
#ifndef PVKIT_BACKEND_HOST_HOST_PRIVATE_H
#define PVKIT_BACKEND_HOST_HOST_PRIVATE_H

#include "abi/attach.h"
#include "abi/grant_table.h"
#include "abi/platform.h"
#include "backend/host/host.h"
#include "common/log.h"

/* ---- messages -------------------------------------------------------------------------------- */

#define HOST_BODY_BYTES 64 /* what we know of the longest body */

struct host_message {
	struct attach_header header;
	union {
		uint8_t bytes[HOST_BODY_BYTES];
		struct attach_welcome welcome;
		struct attach_memory memory;
		struct attach_bind bind;
		struct attach_bound bound;
		struct attach_grant_table grant_table;
	} body;
	unsigned int fd_count;
	int fds[ATTACH_FDS_MAX];
};

/* 0 or -errno; never blocks. */
int host_message_send(int fd, const struct attach_header *header, const void *body);
/*
 * One packet, whose descriptors become the caller's. 1: there; 0: not within @timeout_ms; -ECONNRESET
 * at the end; -EPROTO, nothing left open, when it cannot be a message.
 */
int host_message_receive(int fd, struct host_message *message, int timeout_ms);
void host_message_drop(struct host_message *message);

/* ---- memory ---------------------------------------------------------------------------------- */

/* A file mapped in whole pages of its own, watched by the memory guard. */
struct host_mapping {
	uint8_t *base; /* NULL: none */
	size_t length;
	uint8_t *data; /* what was asked for, in it */
	bool huge;
};

struct host_region {
	struct attach_memory memory;
	struct host_mapping mapping;
};

struct host_memory {
	struct guest_memory all, writable;
	unsigned int count;
	struct host_region region[GUEST_MEMORY_REGIONS_MAX];
};

/*
 * Maps [offset, offset + size) of @fd, which stays the caller's. -EPROTO when the file is shorter.
 * @event: signalled when the file shrinks later.
 */
int host_mapping_open(struct host_mapping *mapping, int fd, uint64_t offset, uint64_t size,
		      bool readonly, int event);
void host_mapping_close(struct host_mapping *mapping);

int host_memory_add(struct host_memory *memory, const struct attach_memory *region, int fd,
		    int event);
int host_memory_remove(struct host_memory *memory, const struct attach_memory *region);
void host_memory_clear(struct host_memory *memory);

/* ---- grants ---------------------------------------------------------------------------------- */

struct host_grants {
	struct attach_grant_table table; /* ->grants is 0 before there is one */
	struct host_mapping shared, use_counts, own;
	void *entries;
	grant_status *status; /* version 2 */
	struct platform_pending *pending;
	struct attach_grant_use *use;
	struct attach_grant_ledger *ledger; /* NULL: not agreed */
};

int host_grants_map(struct host *host, const struct attach_grant_table *table, const int *fds,
		    unsigned int fd_count);
void host_grants_unmap(struct host *host);
/* Unpins what the ledger still names; how many pins that were. No queue runs. */
uint64_t host_grants_sweep(struct host *host);

/* ---- the host -------------------------------------------------------------------------------- */

#define HOST_CHANNELS_MAX 256
#define HOST_NOTICES_MAX  64

struct host {
	int fd; /* -1: lost */
	char place[128]; /* where it attached, for messages */
	bool orderly;
	bool told; /* a line said why it is lost */
	bool served; /* ->ops is there */
	bool watched;
	uint32_t sequence;
	struct attach_welcome welcome;
	uint64_t generation;
	struct host_memory memory;
	struct host_grants grants;
	struct store_client *store;
	const struct host_ops *ops;
	void *context;
	int guard; /* eventfd: memory was pulled away */
	int again; /* eventfd: notices wait that came while we asked, or the connection is lost */
	uint32_t ports[HOST_CHANNELS_MAX]; /* bound */
	unsigned int port_count;
	/* Came while an answer was waited for; told from the loop, in order. */
	struct host_message notices[HOST_NOTICES_MAX];
	unsigned int notice_count;
	struct log_limit limit;
};

/*
 * Asks the shim: 0 and @answer, with @fd_count descriptors that are the caller's; the shim's -errno;
 * -EPIPE when the connection is lost, maybe just now.
 */
int host_ask(struct host *host, enum attach_type type, const void *body, uint32_t size,
	     struct host_message *answer, uint32_t answer_size, unsigned int fd_count);
/* The connection is over, for that reason, which is said; NULL: the shim closed it. -EPIPE. */
int host_broken(struct host *host, const char *why);
void host_signal_again(struct host *host);

/* Takes a message over, if it is no notice. 0: it is one; 1: it may be ignored; -EPIPE. */
int host_notice_check(struct host *host, struct host_message *message);
/* Takes a notice over, for the loop. 0 or -EPIPE. */
int host_notice_keep(struct host *host, struct host_message *message);
bool host_notice_next(struct host *host, struct host_message *notice);
/* Tells it to the owner, and does what it says; it is gone afterwards. */
void host_notice_tell(struct host *host, struct host_message *notice);
/* Closed channels of that number that wait for the loop are not the one that is bound now. */
void host_forget_closed(struct host *host, uint32_t port);

/* The set of ports that are bound. Add is false where it is there already, or no room. */
bool host_port_add(struct host *host, uint32_t port);
bool host_port_remove(struct host *host, uint32_t port);
bool host_port_bound(const struct host *host, uint32_t port);

#endif
