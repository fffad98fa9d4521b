/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What stands around PV mode in its unit tests: KVM as hvm_fake.h has it, a store that hands out
 * sockets and does nothing else, a machine that notes what it was asked for; and a back-end that
 * speaks abi/attach.h from a test. One program includes it once.
 */
#ifndef PVKIT_TESTS_UNIT_SHIM_PV_FAKE_H
#define PVKIT_TESTS_UNIT_SHIM_PV_FAKE_H

#include "tests/unit/shim/hvm_fake.h"

#include "abi/attach.h"
#include "common/socket.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/store.h"

/* ---- KVM, machine, store ---------------------------------------------------------------------- */

static struct {
	uint64_t slot; /* guest-physical address of the one slot; 0: none */
	_Atomic(enum machine_event) event;
	atomic_uint store_peers;
	unsigned int (*leaves)(unsigned int cpu, struct kvm_cpuid_entry2 *entries);
} fake_pv;

#ifndef PV_FAKE_OWN_SLOTS
int vm_add_slot(uint64_t address, uint64_t size, void *host)
{
	if (fake_pv.slot)
		return -EEXIST;
	fake_pv.slot = address;
	return 0;
}

int vm_remove_slot(uint64_t address)
{
	if (fake_pv.slot != address)
		return -ENOENT;
	fake_pv.slot = 0;
	return 0;
}
#endif

void cpuid_add_leaves(unsigned int (*make)(unsigned int cpu, struct kvm_cpuid_entry2 *entries))
{
	fake_pv.leaves = make;
}

void machine_request(enum machine_event event)
{
	atomic_store(&fake_pv.event, event);
}

enum machine_event machine_requested(void)
{
	return atomic_load(&fake_pv.event);
}

bool machine_is_ended(void)
{
	enum machine_event event = machine_requested();

	return event == MACHINE_QUIT || event == MACHINE_SIGNAL;
}

int pv_store_connection(unsigned int domain)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (write(pair[1], "store", 5) != 5)
		abort();
	close(pair[1]);
	fake_pv.store_peers++;
	return pair[0];
}

static const struct attach_ram fake_ram = {.memory = vm_memory, .region_fd = vm_region_fd};

/* ---- a back-end ------------------------------------------------------------------------------- */

#define PEER_FDS_MAX 8

struct peer_message {
	struct attach_header header;
	union {
		uint8_t bytes[ATTACH_MESSAGE_MAX];
		struct attach_welcome welcome;
		struct attach_memory memory;
		struct attach_grant_table table;
		struct attach_bind bind;
		struct attach_bound bound;
	} body;
	int fds[PEER_FDS_MAX];
	unsigned int fd_count;
};

struct peer {
	int fd;
	uint32_t sequence;
	struct attach_welcome welcome;
	struct attach_grant_table table;
	struct attach_grant_use *use;
	struct attach_grant_ledger *ledger;
	uint8_t *shared;
};

static inline void peer_close_fds(struct peer_message *message)
{
	while (message->fd_count)
		close(message->fds[--message->fd_count]);
}

/* The next message, within 10 s; false: the connection is closed. */
static inline bool peer_receive(struct peer *peer, struct peer_message *message)
{
	char control[CMSG_SPACE(PEER_FDS_MAX * sizeof(int))];
	uint8_t packet[sizeof(struct attach_header) + ATTACH_MESSAGE_MAX];
	struct iovec piece = {packet, sizeof(packet)};
	struct msghdr head = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct pollfd ready = {.fd = peer->fd, .events = POLLIN};
	struct cmsghdr *c;
	ssize_t size;

	memset(message, 0, sizeof(*message));
	assert_int_equal(poll(&ready, 1, 10000), 1);
	size = recvmsg(peer->fd, &head, MSG_CMSG_CLOEXEC);
	if (size <= 0)
		return false;
	assert_true((size_t)size >= sizeof(message->header));
	memcpy(&message->header, packet, sizeof(message->header));
	memcpy(message->body.bytes, packet + sizeof(message->header),
	       (size_t)size - sizeof(message->header));
	assert_int_equal(message->header.size, (size_t)size - sizeof(message->header));
	c = CMSG_FIRSTHDR(&head);
	if (c) {
		message->fd_count = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(message->fds, CMSG_DATA(c), message->fd_count * sizeof(int));
	}
	return true;
}

static inline void peer_expect(struct peer *peer, uint16_t type, struct peer_message *message)
{
	assert_true(peer_receive(peer, message));
	assert_int_equal(message->header.type, type);
}

static inline void peer_gone(struct peer *peer)
{
	struct peer_message message;

	assert_false(peer_receive(peer, &message));
	close(peer->fd);
	peer->fd = -1;
}

static inline void peer_send_raw(struct peer *peer, const void *data, size_t size, const int *fds,
				 unsigned int count)
{
	socket_send(peer->fd, data, size, fds, count, 1000);
}

static inline void peer_send(struct peer *peer, uint16_t type, uint16_t flags, uint32_t sequence,
			     int error, const void *body, uint32_t size)
{
	uint8_t packet[sizeof(struct attach_header) + ATTACH_MESSAGE_MAX];
	struct attach_header header = {type, flags, sequence, error, size};

	memcpy(packet, &header, sizeof(header));
	if (size)
		memcpy(packet + sizeof(header), body, size);
	peer_send_raw(peer, packet, sizeof(header) + size, NULL, 0);
}

/* Sends a request and takes its answer. Its error. */
static inline int peer_ask(struct peer *peer, uint16_t type, const void *body, uint32_t size,
			   struct peer_message *answer)
{
	uint32_t sequence = peer->sequence++;

	peer_send(peer, type, 0, sequence, 0, body, size);
	peer_expect(peer, type, answer);
	assert_int_equal(answer->header.flags, ATTACH_FLAG_ANSWER);
	assert_int_equal(answer->header.sequence, sequence);
	return answer->header.error;
}

static inline void peer_ack(struct peer *peer, const struct peer_message *message)
{
	peer_send(peer, message->header.type, ATTACH_FLAG_ANSWER, message->header.sequence, 0, NULL,
		  0);
}

static inline struct attach_hello peer_hello(const uint8_t *cookie)
{
	struct attach_hello hello = {
		.magic = ATTACH_MAGIC,
		.version_major = ATTACH_VERSION_MAJOR,
		.features = 1 << ATTACH_F_LEDGER | 1 << ATTACH_F_MEMORY_CHANGES | 1 << ATTACH_F_CLAIM,
		.name = "test",
	};

	if (cookie)
		memcpy(hello.cookie, cookie, sizeof(hello.cookie));
	return hello;
}

static inline void *peer_map(int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(base != MAP_FAILED);
	return base;
}

static inline void peer_take_table(struct peer *peer)
{
	struct peer_message message;

	peer_expect(peer, ATTACH_GRANT_TABLE, &message);
	assert_int_equal(message.fd_count, 3);
	peer->table = message.body.table;
	if (!peer->shared) {
		peer->shared = peer_map(message.fds[0], peer->table.size);
		peer->use = peer_map(message.fds[1], GRANT_TABLE_GRANTS_MAX * sizeof(*peer->use));
		peer->ledger =
			peer_map(message.fds[2], GRANT_TABLE_GRANTS_MAX * sizeof(*peer->ledger));
	}
	peer_close_fds(&message);
	peer_ack(peer, &message);
}

/* Greets, and takes all up to READY. The flags of WELCOME. */
static inline uint32_t peer_greet(struct peer *peer, const uint8_t *cookie)
{
	struct attach_hello hello = peer_hello(cookie);
	struct peer_message message;

	assert_int_equal(peer_ask(peer, ATTACH_HELLO, &hello, sizeof(hello), &message), 0);
	peer->welcome = message.body.welcome;
	for (uint32_t i = 0; i < vm_memory()->count; i++) {
		peer_expect(peer, ATTACH_MEMORY_ADD, &message);
		assert_int_equal(message.fd_count, 1);
		assert_int_equal(message.body.memory.size, vm_memory()->region[i].size);
		assert_int_equal(message.body.memory.guest_address, vm_memory()->region[i].address);
		peer_close_fds(&message);
	}
	peer_take_table(peer);
	peer_expect(peer, ATTACH_READY, &message);
	return peer->welcome.flags;
}

/* An inherited connection, as daemons have it. */
static inline void peer_open(struct peer *peer, const char *device, int pidfd)
{
	int pair[2];

	*peer = (struct peer){.fd = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	peer->fd = pair[1];
	assert_int_equal(attach_add(pair[0], pidfd, device), 0);
}

static inline void peer_connect(struct peer *peer, const char *path)
{
	*peer = (struct peer){.fd = socket_connect(path, SOCK_SEQPACKET)};
	assert_true(peer->fd >= 0);
}

/* Dies, or lets go. */
static inline void peer_close(struct peer *peer)
{
	size_t grants = GRANT_TABLE_GRANTS_MAX;

	if (peer->fd >= 0)
		close(peer->fd);
	if (peer->shared) {
		munmap(peer->shared, peer->table.size);
		munmap(peer->use, grants * sizeof(*peer->use));
		munmap(peer->ledger, grants * sizeof(*peer->ledger));
	}
	*peer = (struct peer){.fd = -1};
}

/* Counts and flags as a back-end sets them, without any race to care for. */
static inline void peer_pin(struct peer *peer, uint32_t reference)
{
	struct grant_v1 *entry =
		(struct grant_v1 *)(peer->shared + peer->table.entries_offset) + reference;

	peer->use[reference].word++;
	entry->flags |= GRANT_READING;
	peer->ledger[reference].readers++;
}

#endif
