/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The store: a tree of small strings by which devices are described and connected; Xen's wire
 * protocol.
 *
 * A message is a header and up to STORE_PAYLOAD_MAX bytes. Requests are answered in order, by the
 * same type or STORE_ERROR, with the same request id. STORE_WATCH_EVENT comes unasked at any time,
 * with request and transaction id 0. The same bytes travel over two carriers:
 *
 *   ring page      between a guest and the store, one event channel both ways
 *   Unix stream    between tools or back-ends and the store; what libxenstore speaks
 *
 * Payloads (NUL-terminated strings written as "…|", lists of them as "(…|)*"):
 *
 *	type			request				reply
 *	DIRECTORY		path|				(name|)*
 *	DIRECTORY_PART		path|offset|			generation|(name|)*; the last: ||
 *	READ			path|				value, no NUL
 *	WRITE			path|value, no NUL		OK|
 *	MKDIR, RM		path|				OK|
 *	GET_PERMISSIONS		path|				(permission|)*
 *	SET_PERMISSIONS		path|(permission|)+		OK|
 *	WATCH			path|token|(depth|)?		OK|, and an event at once
 *	UNWATCH			path|token|			OK|
 *	RESET_WATCHES		|				OK|; ends transactions too
 *	WATCH_EVENT		–				path|token|
 *	TRANSACTION_START	|				id|
 *	TRANSACTION_END		T| or F|			OK|; EAGAIN on a conflict
 *	GET_DOMAIN_PATH		domain|				path|
 *	IS_DOMAIN_INTRODUCED	domain|				T| or F|
 *	INTRODUCE		domain|frame|port|		OK|	privileged, as the next ones
 *	RELEASE, RESUME		domain|				OK|
 *	SET_TARGET		domain|target|			OK|
 *	CONTROL			command|…			text|
 *	ERROR			–				one of STORE_E*|
 *
 * A permission is a letter and a domain: n none, r read, w write, b both. The first one names the
 * owner, and what everybody else may do. A path that does not begin with / is relative to
 * /local/domain/ID.
 */
#ifndef PVKIT_ABI_STORE_H
#define PVKIT_ABI_STORE_H

#include "abi/types.h"

enum store_message {
	STORE_CONTROL = 0,
	STORE_DIRECTORY = 1,
	STORE_READ = 2,
	STORE_GET_PERMISSIONS = 3,
	STORE_WATCH = 4,
	STORE_UNWATCH = 5,
	STORE_TRANSACTION_START = 6,
	STORE_TRANSACTION_END = 7,
	STORE_INTRODUCE = 8,
	STORE_RELEASE = 9,
	STORE_GET_DOMAIN_PATH = 10,
	STORE_WRITE = 11,
	STORE_MKDIR = 12,
	STORE_RM = 13,
	STORE_SET_PERMISSIONS = 14,
	STORE_WATCH_EVENT = 15,
	STORE_ERROR = 16,
	STORE_IS_DOMAIN_INTRODUCED = 17,
	STORE_RESUME = 18,
	STORE_SET_TARGET = 19,
	STORE_RESET_WATCHES = 21, /* 20 was never part of the protocol */
	STORE_DIRECTORY_PART = 22,
	STORE_TYPES = 23,
	STORE_INVALID = 0xffff,
};

struct store_header {
	uint32_t type; /* enum store_message */
	uint32_t request; /* chosen by the asker, comes back */
	uint32_t transaction; /* 0: none */
	uint32_t length; /* of the payload that follows */
};
ABI_ASSERT(sizeof(struct store_header) == 16);

#define STORE_PAYLOAD_MAX       4096 /* more breaks the connection */
#define STORE_ABSOLUTE_PATH_MAX 3072 /* more is answered with EINVAL */
#define STORE_RELATIVE_PATH_MAX 2048

/* Payload of STORE_ERROR. */
#define STORE_EINVAL    "EINVAL"
#define STORE_EACCES    "EACCES"
#define STORE_EEXIST    "EEXIST"
#define STORE_EISDIR    "EISDIR"
#define STORE_ENOENT    "ENOENT"
#define STORE_ENOMEM    "ENOMEM"
#define STORE_ENOSPC    "ENOSPC"
#define STORE_EIO       "EIO"
#define STORE_ENOTEMPTY "ENOTEMPTY"
#define STORE_ENOSYS    "ENOSYS"
#define STORE_EROFS     "EROFS"
#define STORE_EBUSY     "EBUSY"
#define STORE_EAGAIN    "EAGAIN"
#define STORE_EISCONN   "EISCONN"
#define STORE_E2BIG     "E2BIG"
#define STORE_EPERM     "EPERM"

/* Watches on what is no path: a domain came, a domain went. */
#define STORE_WATCH_INTRODUCE "@introduceDomain"
#define STORE_WATCH_RELEASE   "@releaseDomain"

/* ---- the ring page --------------------------------------------------------------------------- */

#define STORE_RING_BYTES 1024

/*
 * Two byte streams. Indices run freely over 32 bits; a byte lies at its index modulo
 * STORE_RING_BYTES. A producer writes the bytes, then, with release, its index, then notifies; a
 * consumer reads the index with acquire, the bytes, then stores its own index, then notifies, since
 * the producer may wait for room. Indices more than STORE_RING_BYTES apart are a broken connection.
 *
 * Reconnection: the guest sets ->connection to RECONNECT and notifies; the store drops what is
 * under way, resets all four indices, sets CONNECTED and notifies. After an ->error the guest
 * can do no other than that.
 */
struct store_ring_page {
	uint8_t request[STORE_RING_BYTES]; /* guest writes */
	uint8_t response[STORE_RING_BYTES]; /* store writes */
	uint32_t request_consumer; /* store writes */
	uint32_t request_producer; /* guest writes */
	uint32_t response_consumer; /* guest writes */
	uint32_t response_producer; /* store writes */
	uint32_t features; /* STORE_FEATURE_*; written by the store before the guest starts */
	uint32_t connection; /* STORE_CONNECT*; both */
	uint32_t error; /* STORE_RING_*; store writes */
};
ABI_ASSERT(sizeof(struct store_ring_page) == 2076);
ABI_ASSERT(offsetof(struct store_ring_page, request_consumer) == 2048);
ABI_ASSERT(offsetof(struct store_ring_page, features) == 2064);

#define STORE_FEATURE_RECONNECTION 0x1U /* ->connection means something */
#define STORE_FEATURE_ERROR        0x2U /* ->error means something */
#define STORE_FEATURE_WATCH_DEPTH  0x4U /* STORE_WATCH takes a depth; Xen 4.19 and later */

enum store_connection {
	STORE_CONNECTED = 0,
	STORE_RECONNECT = 1,
};

enum store_ring_error {
	STORE_RING_OK = 0,
	STORE_RING_COMMUNICATION = 1,
	STORE_RING_INDEX = 2,
	STORE_RING_PROTOCOL = 3, /* a payload that is too long */
};

/* ---- quotas: a domain's, Xen's defaults ------------------------------------------------------ */

#define STORE_QUOTA_NODES        1000
#define STORE_QUOTA_WATCHES      128
#define STORE_QUOTA_OUTSTANDING  20
#define STORE_QUOTA_TRANSACTIONS 10
#define STORE_QUOTA_NODE_BYTES   2048
#define STORE_QUOTA_PERMISSIONS  5

/* ---- devices --------------------------------------------------------------------------------- */

/*
 * A device is two directories, one a side, that name each other by "frontend" and "backend". Each
 * side writes its own "state" and watches the other's.
 *
 *	/local/domain/GUEST/device/CLASS/ID		front-end writes
 *	/local/domain/BACKEND/backend/CLASS/GUEST/ID	back-end writes
 */
enum store_state {
	STORE_STATE_UNKNOWN = 0,
	STORE_STATE_INITIALISING = 1,
	STORE_STATE_INIT_WAIT = 2, /* back: features published; waits for the front-end */
	STORE_STATE_INITIALISED = 3, /* front: rings published; waits for the back-end */
	STORE_STATE_CONNECTED = 4,
	STORE_STATE_CLOSING = 5,
	STORE_STATE_CLOSED = 6,
	STORE_STATE_RECONFIGURING = 7,
	STORE_STATE_RECONFIGURED = 8,
};

#define STORE_KEY_STATE         "state"
#define STORE_KEY_FRONTEND      "frontend"
#define STORE_KEY_FRONTEND_ID   "frontend-id"
#define STORE_KEY_BACKEND       "backend"
#define STORE_KEY_BACKEND_ID    "backend-id"
#define STORE_KEY_ONLINE        "online" /* back: 0: go away for good once closed */
/*
 * Back, by who makes the device: 1: a front-end that is Closing is answered by Closing, and by Closed
 * when it is Closed itself. Linux's own front-ends look for that Closing while the machine shuts down,
 * each for 5 seconds. Without, the answer is Closed at once, which lets go of all rings and grants.
 */
#define STORE_KEY_CLOSE_STEPS   "close-in-steps"
#define STORE_KEY_PROTOCOL      "protocol" /* front: layout of the ring's structs */
#define STORE_PROTOCOL_X86_64   "x86_64-abi" /* the only one here; also what an absent key means */
#define STORE_PROTOCOL_X86_32   "x86_32-abi"
#define STORE_KEY_EVENT_CHANNEL "event-channel"

/*
 * Several queues: back-end says the most, front-end says how many, and then a directory "queue-N"
 * each.
 */
#define STORE_KEY_MAX_QUEUES   "multi-queue-max-queues"
#define STORE_KEY_NUM_QUEUES   "multi-queue-num-queues"
#define STORE_KEY_QUEUE_PREFIX "queue-"

/* Front: 0: the back-end may be hostile, so bounce what shares a page with other data. */
#define STORE_KEY_TRUSTED "trusted"

#endif
