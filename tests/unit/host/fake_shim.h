/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A shim with a guest in this process: memory in two regions, a grant table, ports that are pairs of
 * eventfds, a store, and the other end of the socket that a back-end attaches to. The test plays the
 * guest; a thread answers the back-end.
 */
#ifndef PVKIT_TESTS_UNIT_HOST_FAKE_SHIM_H
#define PVKIT_TESTS_UNIT_HOST_FAKE_SHIM_H

#include "fake_store.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "abi/attach.h"
#include "abi/grant_table.h"
#include "abi/platform.h"
#include "backend/control.h"
#include "backend/host/host.h"
#include "backend/transport/xen.h"
#include "ring/order.h"

#define SHIM_GUEST   1
#define SHIM_OWNER   5
#define SHIM_PAGE    4096
#define SHIM_REGION  (4ULL << 20) /* one at 0, one high up */
#define SHIM_HIGH    0x100000000ULL
#define SHIM_PORTS   256
#define SHIM_GRANTS  4096
#define SHIM_PENDING 0
#define SHIM_ENTRIES SHIM_PAGE
#define SHIM_STATUS  (SHIM_ENTRIES + SHIM_GRANTS * 16)
#define SHIM_SHARED  (SHIM_STATUS + SHIM_GRANTS * 2)

struct fake_shim {
	int fd; /* ours of the socket */
	pthread_t thread;
	bool running;
	struct fake_store store;
	_Atomic int store_fd; /* the back-end's end, until it asks for it */
	int memory_fd, shared_fd, use_fd, ledger_fd;
	uint8_t *memory; /* both regions, one after the other */
	uint8_t *shared;
	struct attach_grant_use *use;
	struct attach_grant_ledger *ledger;
	unsigned int version; /* of grants */
	uint32_t next_grant;
	uint32_t next_page; /* of memory, in turn from either region */
	struct platform_pending *pending;
	struct {
		int from, to;
		_Atomic bool unbound, bound;
	} port[SHIM_PORTS];
	/* Answers that came to our notices, by type. */
	_Atomic unsigned int acks[64];
	_Atomic unsigned int unbinds;

	int claim_error; /* CLAIM is answered with it */
	unsigned int claim_busy; /* CLAIM is answered with -EBUSY so often at first */
	char claimed[ATTACH_DEVICE_BYTES];
	/* What a hostile one does; set before fake_shim_start(). */
	void (*greet)(struct fake_shim *shim, uint32_t sequence);
	_Atomic bool bind_silent;
	_Atomic bool
		closed_before_bind; /* CHANNEL_CLOSED of that port comes before its BIND's answer */

	/* The daemon. */
	struct fake_shim
		*beside; /* another guest, whose device it serves in the same loop; or NULL */
	pthread_t daemon;
	struct xen_device *device;
	const char *device_name;
	int daemon_fd;
	int status;
};

/* ---- messages -------------------------------------------------------------------------------- */

static inline void shim_send(struct fake_shim *shim, struct attach_header header, const void *body,
			     const int *fds, unsigned int fd_count)
{
	uint8_t packet[ATTACH_MESSAGE_MAX];
	char control[CMSG_SPACE(16 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {packet, sizeof(header) + header.size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *rights;

	memcpy(packet, &header, sizeof(header));
	if (header.size)
		memcpy(packet + sizeof(header), body, header.size);
	if (fd_count) {
		memset(control, 0, sizeof(control));
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		rights = CMSG_FIRSTHDR(&message);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
	}
	if (sendmsg(shim->fd, &message, MSG_NOSIGNAL) < 0)
		return;
}

static inline void shim_notice(struct fake_shim *shim, enum attach_type type, const void *body,
			       uint32_t size, const int *fds, unsigned int fd_count)
{
	struct attach_header header = {.type = type, .sequence = 1000 + type, .size = size};

	shim_send(shim, header, body, fds, fd_count);
}

static inline void shim_answer(struct fake_shim *shim, const struct attach_header *to, int error,
			       const void *body, uint32_t size, const int *fds,
			       unsigned int fd_count)
{
	struct attach_header header = {.type = to->type,
				       .flags = ATTACH_FLAG_ANSWER,
				       .sequence = to->sequence,
				       .error = error,
				       .size = size};

	shim_send(shim, header, body, fds, fd_count);
}

static inline struct attach_memory shim_region(unsigned int high)
{
	return (struct attach_memory){
		.guest_address = high ? SHIM_HIGH : 0,
		.size = SHIM_REGION,
		.offset = high ? SHIM_REGION : 0,
	};
}

static inline void shim_send_memory(struct fake_shim *shim, unsigned int high)
{
	struct attach_memory region = shim_region(high);

	shim_notice(shim, ATTACH_MEMORY_ADD, &region, sizeof(region), &shim->memory_fd, 1);
}

static inline struct attach_grant_table shim_table(const struct fake_shim *shim)
{
	return (struct attach_grant_table){
		.version = shim->version,
		.grants = SHIM_GRANTS,
		.size = SHIM_SHARED,
		.entries_offset = SHIM_ENTRIES,
		.status_offset = SHIM_STATUS,
		.pending_offset = SHIM_PENDING,
	};
}

static inline void shim_send_table(struct fake_shim *shim)
{
	struct attach_grant_table table = shim_table(shim);
	int fds[] = {shim->shared_fd, shim->use_fd, shim->ledger_fd};

	shim_notice(shim, ATTACH_GRANT_TABLE, &table, sizeof(table), fds, 3);
}

static inline struct attach_welcome shim_welcome(void)
{
	return (struct attach_welcome){
		.magic = ATTACH_MAGIC,
		.version_major = ATTACH_VERSION_MAJOR,
		.features = 1ULL << ATTACH_F_LEDGER | 1ULL << ATTACH_F_MEMORY_CHANGES |
			    1ULL << ATTACH_F_CLAIM,
		.guest_domain = SHIM_GUEST,
		.owner = SHIM_OWNER,
		.ports = SHIM_PORTS,
	};
}

static inline void shim_send_welcome(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header hello = {.type = ATTACH_HELLO, .sequence = sequence};
	struct attach_welcome welcome = shim_welcome();

	shim_answer(shim, &hello, 0, &welcome, sizeof(welcome), NULL, 0);
}

static inline void shim_greet(struct fake_shim *shim, uint32_t sequence)
{
	shim_send_welcome(shim, sequence);
	shim_send_memory(shim, 0);
	shim_send_memory(shim, 1);
	shim_send_table(shim);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

static inline void shim_bind(struct fake_shim *shim, const struct attach_header *header,
			     uint32_t port)
{
	struct attach_bound bound = {.guest_port = port, .local_port = port + 1000};
	struct attach_bind bind = {.guest_port = port};
	const uint64_t one = 1;
	int fds[2];

	if (shim->bind_silent)
		return;
	if (port >= SHIM_PORTS || !shim->port[port].unbound) {
		shim_answer(shim, header, -ENOENT, NULL, 0, NULL, 0);
		return;
	}
	if (shim->port[port].bound) {
		shim_answer(shim, header, -EBUSY, NULL, 0, NULL, 0);
		return;
	}
	if (shim->closed_before_bind)
		shim_notice(shim, ATTACH_CHANNEL_CLOSED, &bind, sizeof(bind), NULL, 0);
	shim->port[port].bound = true;
	/* A port is born notified. */
	assert_int_equal(write(shim->port[port].from, &one, sizeof(one)), sizeof(one));
	fds[0] = shim->port[port].from;
	fds[1] = shim->port[port].to;
	shim_answer(shim, header, 0, &bound, sizeof(bound), fds, 2);
}

static inline void shim_serve(struct fake_shim *shim, const struct attach_header *header,
			      const void *body)
{
	const struct attach_bind *bind = body;
	int fd, error;

	if (header->flags & ATTACH_FLAG_ANSWER) {
		shim->acks[header->type & 63]++;
		return;
	}
	switch (header->type) {
	case ATTACH_HELLO:
		(shim->greet ?: shim_greet)(shim, header->sequence);
		break;
	case ATTACH_STORE:
		fd = shim->store_fd;
		shim->store_fd = -1;
		shim_answer(shim, header, fd < 0 ? -EBUSY : 0, NULL, 0, &fd, fd >= 0);
		if (fd >= 0)
			close(fd);
		break;
	case ATTACH_CLAIM:
		memcpy(shim->claimed, body, sizeof(shim->claimed));
		error = shim->claim_error;
		if (shim->claim_busy) {
			error = -EBUSY;
			shim->claim_busy--;
		}
		shim_answer(shim, header, error, NULL, 0, NULL, 0);
		break;
	case ATTACH_BIND:
		shim_bind(shim, header, bind->guest_port);
		break;
	case ATTACH_UNBIND:
		shim->unbinds++;
		if (bind->guest_port < SHIM_PORTS)
			shim->port[bind->guest_port].bound = false;
		shim_answer(shim, header, 0, NULL, 0, NULL, 0);
		break;
	default:
		shim_answer(shim, header, -EOPNOTSUPP, NULL, 0, NULL, 0);
		break;
	}
}

static inline void *shim_thread(void *context)
{
	struct fake_shim *shim = context;
	uint8_t packet[ATTACH_MESSAGE_MAX] __attribute__((aligned(8)));

	while (recv(shim->fd, packet, sizeof(packet), 0) >= (ssize_t)sizeof(struct attach_header))
		shim_serve(shim, (struct attach_header *)packet,
			   packet + sizeof(struct attach_header));
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static inline void *shim_file(int *fd, size_t bytes)
{
	void *at;

	*fd = memfd_create("pvkit-test", MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, bytes), 0);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_true(at != MAP_FAILED);
	return at;
}

static inline void fake_shim_init(struct fake_shim *shim, unsigned int version)
{
	sigset_t signals;

	/* They are the control loop's; no thread of ours may take one. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	memset(shim, 0, sizeof(*shim));
	shim->version = version;
	shim->next_grant = GRANTS_RESERVED;
	shim->memory = shim_file(&shim->memory_fd, 2 * SHIM_REGION);
	shim->shared = shim_file(&shim->shared_fd, SHIM_SHARED);
	shim->use = shim_file(&shim->use_fd, SHIM_GRANTS * sizeof(*shim->use));
	shim->ledger = shim_file(&shim->ledger_fd, SHIM_GRANTS * sizeof(*shim->ledger));
	shim->pending = (struct platform_pending *)(shim->shared + SHIM_PENDING);
	shim->pending->vectors = UINT32_MAX;
	shim->fd = shim->daemon_fd = -1;
	shim->store_fd = fake_store_open(&shim->store);
	for (int i = 0; i < SHIM_PORTS; i++)
		shim->port[i].from = shim->port[i].to = -1;
}

/* The back-end's end of the socket. */
static inline int fake_shim_start(struct fake_shim *shim)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	shim->fd = fds[0];
	assert_int_equal(pthread_create(&shim->thread, NULL, shim_thread, shim), 0);
	shim->running = true;
	return fds[1];
}

/* The shim goes away: its connection ends. */
static inline void fake_shim_stop(struct fake_shim *shim)
{
	if (!shim->running)
		return;
	shutdown(shim->fd, SHUT_RDWR);
	pthread_join(shim->thread, NULL);
	close(shim->fd);
	shim->running = false;
}

/* No grant may be in use any more. */
static inline void shim_check_unpinned(const struct fake_shim *shim)
{
	const grant_status *status = (const grant_status *)(shim->shared + SHIM_STATUS);
	unsigned int i;

	for (i = 0; i < SHIM_GRANTS; i++) {
		assert_int_equal(shim->use[i].word, 0);
		assert_int_equal(shim->ledger[i].readers, 0);
		assert_int_equal(shim->ledger[i].writers, 0);
		if (shim->version == 2)
			assert_int_equal(status[i], 0);
		else
			assert_int_equal(
				((struct grant_v1 *)(shim->shared + SHIM_ENTRIES))[i].flags &
					(GRANT_READING | GRANT_WRITING),
				0);
	}
}

static inline void fake_shim_close(struct fake_shim *shim)
{
	int i;

	fake_shim_stop(shim);
	if (shim->store_fd >= 0)
		close(shim->store_fd);
	fake_store_close(&shim->store);
	shim_check_unpinned(shim);
	for (i = 0; i < SHIM_PORTS; i++) {
		if (shim->port[i].from < 0)
			continue;
		close(shim->port[i].from);
		close(shim->port[i].to);
	}
	munmap(shim->memory, 2 * SHIM_REGION);
	munmap(shim->shared, SHIM_SHARED);
	munmap(shim->use, SHIM_GRANTS * sizeof(*shim->use));
	munmap(shim->ledger, SHIM_GRANTS * sizeof(*shim->ledger));
	close(shim->memory_fd);
	close(shim->shared_fd);
	close(shim->use_fd);
	close(shim->ledger_fd);
}

/* ---- the guest ------------------------------------------------------------------------------- */

/* A page of the guest: neighbours in turn lie in different regions, so never side by side. */
static inline uint64_t guest_page(struct fake_shim *shim)
{
	uint32_t n = shim->next_page++;

	assert_true(n / 2 < SHIM_REGION / SHIM_PAGE);
	return (n % 2 ? SHIM_HIGH : 0) + n / 2 * (uint64_t)SHIM_PAGE;
}

static inline void *guest_at(struct fake_shim *shim, uint64_t address)
{
	return shim->memory + (address >= SHIM_HIGH ? address - SHIM_HIGH + SHIM_REGION : address);
}

static inline void guest_set_grant(struct fake_shim *shim, uint32_t reference, uint64_t frame,
				   uint16_t flags, uint16_t domain)
{
	if (shim->version == 2) {
		union grant_v2 *entry = (union grant_v2 *)(shim->shared + SHIM_ENTRIES) + reference;

		order_store_relaxed(&entry->full_page.frame, frame);
		order_store_relaxed(&entry->header.domain, domain);
		order_store_release(&entry->header.flags, flags);
	} else {
		struct grant_v1 *entry =
			(struct grant_v1 *)(shim->shared + SHIM_ENTRIES) + reference;

		order_store_relaxed(&entry->frame, (uint32_t)frame);
		order_store_relaxed(&entry->domain, domain);
		order_store_release(&entry->flags, flags);
	}
}

static inline uint32_t guest_grant(struct fake_shim *shim, uint64_t address, bool readonly)
{
	uint32_t reference = shim->next_grant++;

	assert_true(reference < SHIM_GRANTS);
	guest_set_grant(shim, reference, address / SHIM_PAGE,
			GRANT_PERMIT_ACCESS | (readonly ? GRANT_READONLY : 0), 0);
	return reference;
}

/* A ring of a front-end that has been there for long: its indices stand at @start. */
static inline void guest_ring_begin(struct xen_front *front, uint32_t start)
{
	struct xen_ring_header *header = front->ring.header;

	header->req_prod = header->rsp_prod = start;
	header->req_event = header->rsp_event = start + 1;
	front->req_prod = front->req_published = front->req_decided = start;
	front->rsp_cons = front->rsp_seen = start;
	front->rsp_event = start + 1;
}

/* The use flags that the guest sees. */
static inline uint16_t guest_use(struct fake_shim *shim, uint32_t reference)
{
	struct grant_v1 *entry = (struct grant_v1 *)(shim->shared + SHIM_ENTRIES) + reference;

	if (shim->version == 2)
		return order_load_relaxed((grant_status *)(shim->shared + SHIM_STATUS) + reference);
	return order_load_relaxed(&entry->flags) & (GRANT_READING | GRANT_WRITING);
}

/* An unbound port; none is given twice. */
static inline uint32_t guest_port(struct fake_shim *shim)
{
	uint32_t port;

	for (port = 1; shim->port[port].from >= 0; port++)
		assert_true(port < SHIM_PORTS - 1);
	shim->port[port].from = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	shim->port[port].to = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(shim->port[port].from >= 0 && shim->port[port].to >= 0);
	shim->port[port].unbound = true;
	return port;
}

static inline void guest_kick(struct fake_shim *shim, uint32_t port)
{
	const uint64_t one = 1;

	if (write(shim->port[port].from, &one, sizeof(one)) < 0)
		return;
}

static inline bool guest_wait_interrupt(struct fake_shim *shim, uint32_t port, int ms)
{
	struct pollfd there = {.fd = shim->port[port].to, .events = POLLIN};
	uint64_t count;

	return poll(&there, 1, ms) > 0 &&
	       read(shim->port[port].to, &count, sizeof(count)) == sizeof(count);
}

/* ---- a daemon of one Xen device in a thread -------------------------------------------------- */

struct daemon_device {
	struct host *host;
	struct xen *xen;
};

static inline bool daemon_serve(struct fake_shim *shim, struct daemon_device *served)
{
	struct host_options options = {.fd = shim->daemon_fd, .name = "test"};

	served->host = host_open(&options);
	if (served->host)
		served->xen = xen_open(shim->device, served->host, shim->device_name);
	return served->xen;
}

static inline void *daemon_thread(void *context)
{
	struct fake_shim *shim = context;
	struct daemon_device own = {0}, other = {0};

	shim->status = -1;
	if (daemon_serve(shim, &own) && (!shim->beside || daemon_serve(shim->beside, &other)))
		shim->status = control_run();
	xen_close(own.xen);
	host_close(own.host);
	xen_close(other.xen);
	host_close(other.host);
	return NULL;
}

/* Before daemon_start() of @shim, whose daemon serves the device of @other too. */
static inline void daemon_beside(struct fake_shim *shim, struct fake_shim *other,
				 struct xen_device *device, const char *name)
{
	shim->beside = other;
	other->device = device;
	other->device_name = name;
	other->daemon_fd = fake_shim_start(other);
}

/* The control loop is this process's; SIGTERM and the like stay as they are in other threads. */
static inline void daemon_start(struct fake_shim *shim, struct xen_device *device, const char *name)
{
	shim->device = device;
	shim->device_name = name;
	assert_int_equal(control_open(), 0);
	shim->daemon_fd = fake_shim_start(shim);
	assert_int_equal(pthread_create(&shim->daemon, NULL, daemon_thread, shim), 0);
}

/* Its exit status. */
static inline int daemon_join(struct fake_shim *shim)
{
	pthread_join(shim->daemon, NULL);
	control_close();
	return shim->status;
}

static inline int daemon_stop(struct fake_shim *shim)
{
	fake_shim_stop(shim);
	return daemon_join(shim);
}

#endif
