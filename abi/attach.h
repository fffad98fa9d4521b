/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Attaching: how a back-end reaches a guest of the shim. Its memory, its grants, its events and its
 * store, over one Unix socket of type SOCK_SEQPACKET.
 *
 * A back-end needs four things of a guest, and a real Xen has a library for each. Here the shim
 * hands them out once, as file descriptors, and is not on the way of any request: guest memory is
 * mapped, grants are checked by the back-end itself in the shared table, events are eventfds wired
 * to KVM in both directions.
 *
 *	back-end				shim
 *	connects (or inherits one end)
 *	HELLO: versions, features, cookie	→
 *					←	WELCOME: version, features, domains, cookie
 *					←	MEMORY_ADD × regions, a descriptor each
 *					←	GRANT_TABLE: descriptors of entries and counts
 *					←	READY: that was all; the rest comes as it changes
 *	CLAIM				→	the device is its own from now on
 *	STORE				→	a connected store socket
 *	… store handshake: abi/blkif.h, abi/netif.h …
 *	BIND: guest's port		→	two eventfds
 *	… I/O …
 *						the guest changes
 *					←	MEMORY_REMOVE, GRANT_TABLE, GUEST_RESET
 *	ACK, when it is done with them	→
 *	UNBIND, closes			→
 *
 * A message is one packet: header, body, descriptors by SCM_RIGHTS. Each body has a fixed size; a
 * receiver takes a longer one and looks at the part that it knows (that is how minor versions add
 * fields, zero meaning "as before"), and refuses a shorter one. Both directions number their
 * requests; an answer carries the number and type of what it answers. Either side may send at any
 * time, so an answer may come after messages of other kinds. Bytes, offsets and addresses are the
 * machine's own.
 *
 * Errors: answers carry a negative errno. A side that breaks this protocol (unknown type without
 * OPTIONAL, wrong size, wrong number of descriptors, overlapping regions) is disconnected; all
 * received descriptors are closed. What a back-end had then is treated as if it had hung up itself.
 *
 * Reconnection: the guest's state lives in the shim and in the guest, so a back-end may come and
 * go. When the connection ends the shim keeps the ports bound for the cookie's owner, latches the
 * guest's events, and keeps the pins in the ledger. A back-end that says HELLO with that cookie
 * gets RESUMED in WELCOME, the same ledger, and by BIND the same eventfds again; it takes every
 * port as notified, and notifies every port once, for what was lost in between. The in-flight log,
 * which is the launcher's, says what to finish; pins that it does not own are dropped. Without the
 * cookie, a new back-end starts afresh.
 *
 * A back-end that hung up, or was disconnected, may live, and have I/O in flight: ports, pins, and
 * locks in use counts stay its own until its process has ended. Then locks are broken, ports
 * unbound and the pins in its ledger dropped. With ATTACH_F_RESUME, ports and pins are kept for the
 * cookie's owner beyond that, until RELEASE or a reset of the machine; but not those of a back-end
 * that the shim started, whose device ends with it. Where the shim cannot see the process (another
 * pid namespace) they are kept too, and for its locks it counts as ended as soon as the connection is
 * closed.
 */
#ifndef PVKIT_ABI_ATTACH_H
#define PVKIT_ABI_ATTACH_H

#include "abi/types.h"

#define ATTACH_MAGIC         0x6b767041U /* "Apvk" */
#define ATTACH_VERSION_MAJOR 1
#define ATTACH_VERSION_MINOR 0

#define ATTACH_MESSAGE_MAX  512 /* bytes of header and body */
#define ATTACH_FDS_MAX      4
#define ATTACH_COOKIE_BYTES 16

enum attach_type {
	/* back-end → shim; the shim answers each */
	ATTACH_HELLO = 1, /* attach_hello → attach_welcome */
	ATTACH_STORE = 2, /* – → –, 1 descriptor: a store connection as the back-end's domain */
	ATTACH_BIND = 3, /* attach_bind → attach_bound, 2 descriptors: from, to the guest */
	ATTACH_UNBIND = 4, /* attach_bind → – */
	ATTACH_RELEASE = 5, /* attach_release → –: drops ports and pins of one that ended, or -EBUSY */
	ATTACH_CLAIM = 6, /* attach_claim → –: it serves that device, and nobody else does */
	/* shim → back-end; ! is to be answered, in any order, within ATTACH_ACK_SECONDS */
	ATTACH_MEMORY_ADD = 32, /* attach_memory, 1 descriptor */
	ATTACH_MEMORY_REMOVE = 33, /* ! attach_memory: nothing in flight there, and unmapped */
	ATTACH_GRANT_TABLE = 34, /* ! attach_grant_table, 2 or 3 descriptors; again when it changes */
	ATTACH_READY = 35, /* – */
	ATTACH_CHANNEL_CLOSED = 36, /* attach_bind: by the guest; UNBIND it, the number waits for that */
	ATTACH_GUEST_RESET = 37, /* !: all queues stopped, all grants unpinned, all ports unbound */
};

enum attach_flag {
	ATTACH_FLAG_ANSWER = 0x1, /* answers the message of the same type and sequence */
	ATTACH_FLAG_OPTIONAL = 0x2, /* a receiver that does not know the type ignores it */
};

struct attach_header {
	uint16_t type; /* enum attach_type */
	uint16_t flags; /* enum attach_flag */
	uint32_t sequence; /* the sender's own count */
	int32_t error; /* answers: 0 or -errno; then there is no body, and no descriptor */
	uint32_t size; /* of the body */
};
ABI_ASSERT(sizeof(struct attach_header) == 16);

/*
 * Time in which a notice is answered. Later the shim disconnects the back-end: its vCPU may be
 * waiting in a hypercall for that answer. In a reset of the machine it is killed then, and its end
 * waited for, where the shim sees its process: memory and grants go to the next guest.
 */
#define ATTACH_ACK_SECONDS 10

/* Feature bits: asked for in HELLO, the common ones come back in WELCOME. */
enum attach_feature {
	ATTACH_F_LEDGER = 0, /* the third descriptor of GRANT_TABLE is there, and must be kept */
	ATTACH_F_MEMORY_CHANGES =
		1, /* without: MEMORY_REMOVE ends the connection, and so hot-unplug */
	ATTACH_F_CLAIM = 2, /* CLAIM is understood */
	ATTACH_F_RESUME = 3, /* what it has is kept beyond the end of its process, for its cookie */
	ATTACH_FEATURES = 4,
};

/* HELLO: must be the first message. */
struct attach_hello {
	uint32_t magic; /* ATTACH_MAGIC */
	uint16_t version_major; /* the highest that it speaks; or the answer is -EPROTO */
	uint16_t version_minor;
	uint64_t features; /* 1 << enum attach_feature */
	uint8_t cookie[ATTACH_COOKIE_BYTES]; /* all zeroes: a new back-end */
	char name[32]; /* for people; NUL-terminated */
};
ABI_ASSERT(sizeof(struct attach_hello) == 64);
ABI_ASSERT(offsetof(struct attach_hello, cookie) == 16);

struct attach_welcome {
	uint32_t magic;
	uint16_t version_major; /* in force */
	uint16_t version_minor;
	uint64_t features;
	uint8_t cookie[ATTACH_COOKIE_BYTES]; /* the secret by which to come back */
	uint32_t flags; /* ATTACH_WELCOME_* */
	uint16_t guest_domain;
	uint16_t backend_domain; /* the one that the back-end speaks as */
	uint32_t owner; /* this back-end's number in the use counts: 1..ATTACH_OWNER_MAX */
	uint32_t ports; /* of the guest: 1..ports - 1 */
	uint64_t generation; /* rises with each GUEST_RESET */
	uint8_t reserved[8];
};
ABI_ASSERT(sizeof(struct attach_welcome) == 64);
ABI_ASSERT(offsetof(struct attach_welcome, owner) == 40);

#define ATTACH_WELCOME_RESUMED \
	(1U << 0) /* the cookie was good: ports and ledger are those of before */

/*
 * MEMORY_ADD, MEMORY_REMOVE: RAM of the guest. Regions never overlap; one is removed as it was
 * added.
 */
struct attach_memory {
	uint64_t guest_address;
	uint64_t size;
	uint64_t offset; /* in the descriptor's file */
	uint32_t flags; /* ATTACH_MEMORY_* */
	uint32_t reserved;
};
ABI_ASSERT(sizeof(struct attach_memory) == 32);

#define ATTACH_MEMORY_READONLY (1U << 0)

/* BIND, UNBIND, CHANNEL_CLOSED. */
struct attach_bind {
	uint32_t guest_port;
	uint32_t reserved;
};
ABI_ASSERT(sizeof(struct attach_bind) == 8);

/*
 * BIND's answer. -ENOENT: no such port, or not unbound for this domain; -EBUSY: bound to somebody
 * else. Descriptors: [0] becomes readable when the guest sends; [1] is written to interrupt the
 * guest. Both are eventfds, wired to KVM for as long as the port is bound. A port is born notified.
 *
 * The guest's way to be interrupted may change: before each write to [1], a sender looks at the
 * pending page. If guest_port ≥ its ->vectors, it sets the port's bit there first (platform.h,
 * "interrupts"). Guests without that page have all ones in ->vectors.
 */
struct attach_bound {
	uint32_t guest_port;
	uint32_t local_port; /* what STATUS would call it; the back-end has no other use for it */
};
ABI_ASSERT(sizeof(struct attach_bound) == 8);

struct attach_release {
	uint8_t cookie[ATTACH_COOKIE_BYTES]; /* of the one that ended */
};
ABI_ASSERT(sizeof(struct attach_release) == 16);

/*
 * CLAIM, before the device's directory is touched: two back-ends of one device would each overwrite
 * what the other says there. -EBUSY: another one serves it that is attached, or whose process has not
 * ended, where the shim can see it; one that was killed ends soon, so ask again. A claim ends as
 * locks do (above), and is made again after coming back by a cookie.
 */
#define ATTACH_DEVICE_BYTES 32

struct attach_claim {
	char device[ATTACH_DEVICE_BYTES]; /* CLASS/ID, as in the store; NUL-terminated */
};
ABI_ASSERT(sizeof(struct attach_claim) == 32);

/*
 * GRANT_TABLE. Descriptors, all memory of the shim's, mapped shared:
 *	[0] the platform's shared memory: entries, status frames, pending page, at the offsets below
 *	[1] use counts, struct attach_grant_use[grants], shared by all back-ends of the guest
 *	[2] ledger, struct attach_grant_ledger[grants], this back-end's own; only with
 *	    ATTACH_F_LEDGER
 * Where the guest sees the entries is between it and the shim. Before the version changes comes a
 * table with ->grants 0: once all have acknowledged that, nobody pins, and what is in use is known.
 * Then comes the table in the version in force, the old one if something was in use. Who greets in
 * between gets the same two. A guest that starts anew has version 1: GUEST_RESET, then the table.
 */
struct attach_grant_table {
	uint32_t version; /* of the entries: 1 or 2 */
	uint32_t grants; /* entries; references from there on are bad */
	uint64_t size; /* of [0] */
	uint64_t entries_offset;
	uint64_t status_offset; /* version 2 */
	uint64_t pending_offset; /* struct platform_pending */
	uint8_t reserved[24];
};
ABI_ASSERT(sizeof(struct attach_grant_table) == 64);
ABI_ASSERT(offsetof(struct attach_grant_table, pending_offset) == 32);

/*
 * How often a grant is pinned, by all back-ends. The first pin sets the use flag of the entry and
 * the last one clears it, WRITING for those that write. Since another back-end may come between
 * count and flag, a field goes from 0 to 1 and from 1 to 0 under the lock in the word, which names
 * its holder so that the shim can take it from one that ended:
 *
 *	pin	its counts > 0 and not locked: CAS them + 1. Else CAS the lock in; check flags and
 *		domain of the entry and CAS the use flags into it; store the counts without the
 *		lock, with release. Then the ledger.
 *	unpin	the ledger first. Its counts > 1 and not locked: CAS them - 1. Else CAS the lock
 *		in; clear the use flags; store the counts without the lock, with release.
 *
 * Who has a use for the lock takes it in any case: it covers the ledger against threads of its own. Who
 * waits for it in vain leaves count and ledger as they are, for the shim to drop both at its end.
 * Each pin looks at flags and domain of the entry, also when the counts say that it is in use. A
 * pin for writing counts in both fields. Who dies between count and ledger leaves a count too high,
 * never one too low: the guest does not get that page back until the shim recounts. It does so when
 * no back-end is attached, no process lives of one that hung up, as far as it sees, and each that
 * it knows has a ledger: else counts may be under way. Too high costs a page, too low would cost the
 * guest its data.
 */
struct attach_grant_use {
	uint64_t word;
};
ABI_ASSERT(sizeof(struct attach_grant_use) == 8);

#define ATTACH_USE_READERS_MASK  0x0000000000ffffffULL /* all pins */
#define ATTACH_USE_WRITERS_SHIFT 24
#define ATTACH_USE_WRITERS_MASK  0x0000ffffff000000ULL /* of these, for writing */
#define ATTACH_USE_LOCK_SHIFT    48
#define ATTACH_USE_LOCK_MASK     0x7fff000000000000ULL /* holder's ->owner; 0: not locked */
#define ATTACH_OWNER_MAX         0x7fff

/* A back-end's own pins. It writes them; the shim reads them when it has hung up or ended. */
struct attach_grant_ledger {
	uint32_t readers;
	uint32_t writers;
};
ABI_ASSERT(sizeof(struct attach_grant_ledger) == 8);

#endif
