// SPDX-License-Identifier: MIT OR GPL-2.0
#include "tools/load/xen_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/platform.h"
#include "abi/xen_ring.h"
#include "common/descriptors.h"
#include "common/log.h"
#include "common/socket.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/toolstack.h"

#define PATH_BYTES  192
#define VALUE_BYTES 64

static struct {
	struct toolstack_device device;
	struct guest_memory memory;
	int memory_fd;
	uint32_t next_grant;
	char front[96], back[96];
} guest;

/* ---- what the shim has a VM for -------------------------------------------------------------- */

static const struct guest_memory *guest_memory(void)
{
	return &guest.memory;
}

static int guest_memory_fd(unsigned int region, uint64_t *offset)
{
	*offset = 0;
	return guest.memory_fd;
}

/* Both ends of a port are eventfds; there is nothing in between. */
static void port_unwired(struct event_channels *channels, uint32_t port)
{
}

static void port_closed(struct event_channels *channels, uint16_t owner, uint32_t port)
{
	attach_channel_closed(owner, port);
}

static const struct event_channel_ops port_ops = {
	.wire = port_unwired,
	.raise = port_unwired,
	.closed = port_closed,
};

/* ---- opening and closing --------------------------------------------------------------------- */

static void set_paths(const char *device)
{
	const char *id = strchr(device, '/');

	snprintf(guest.front, sizeof(guest.front), "/local/domain/%u/device/%s", PV_GUEST, device);
	snprintf(guest.back, sizeof(guest.back), "/local/domain/%u/backend/%.*s/%u%s", PV_BACKEND,
		 (int)(id - device), device, PV_GUEST, id);
}

void xen_guest_open(const struct load_memory *memory, const char *device)
{
	const struct attach_ram ram = {.memory = guest_memory, .region_fd = guest_memory_fd};
	struct platform_pending *pending;

	descriptors_raise_limit();
	guest.memory_fd = memory->region.fd;
	guest.memory.count = 0;
	guest.next_grant = GRANTS_RESERVED;
	guest.device = (struct toolstack_device){.mac = {0x02, 0, 0, 0, 0, 1}};
	snprintf(guest.device.name, sizeof(guest.device.name), "%s", device);
	set_paths(device);
	/* Each of them says what went wrong. */
	if (guest_memory_add(&guest.memory, memory->region.guest_address, memory->region.size,
			     memory->region.host) < 0 ||
	    pv_state_open(&port_ops, 1) < 0 || pv_store_open(PV_GUEST) < 0 ||
	    attach_open(&ram, NULL) < 0 || toolstack_add(&guest.device) < 0)
		exit(1);
	/* No port has a pending bit to be set: whoever notifies writes its eventfd and no more. */
	pending = (struct platform_pending *)((uint8_t *)pv.shared.base + PV_PENDING_OFFSET);
	order_store_release(&pending->vectors, UINT32_MAX);
}

static const char *awaited_at;

/* Ended while we wait: the socket goes with us. The second one, by raise(), has its default effect. */
static void leave(int signal)
{
	unlink(awaited_at);
	raise(signal);
}

static int wait_for_connection(const char *path, int listener, unsigned int seconds)
{
	const struct sigaction leaving = {.sa_handler = leave, .sa_flags = (int)SA_RESETHAND},
			       usual = {.sa_handler = SIG_DFL};
	struct pollfd ready = {.fd = listener, .events = POLLIN};
	int fd = -1;

	awaited_at = path;
	sigaction(SIGTERM, &leaving, NULL);
	sigaction(SIGINT, &leaving, NULL);
	if (poll(&ready, 1, (int)seconds * 1000) > 0)
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	/* One device has one back-end: the next one is not to wait here. */
	close(listener);
	unlink(path);
	sigaction(SIGTERM, &usual, NULL);
	sigaction(SIGINT, &usual, NULL);
	return fd;
}

int xen_guest_await(const char *path, unsigned int seconds, pid_t *pid)
{
	int listener = socket_listen(path, SOCK_SEQPACKET), fd, connection;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	/* Whoever attaches has all of the guest's memory. */
	if (listener < 0 || chmod(path, 0600) < 0)
		die("--attach: cannot listen at %s: %s; name a path that is free, in a folder that "
		    "you may write",
		    path, strerror(listener < 0 ? -listener : errno));
	fd = wait_for_connection(path, listener, seconds);
	if (fd < 0)
		die("%s: no back-end attached within %u s; start one with --attach=%s --device=%s",
		    path, seconds, path, guest.device.name);
	*pid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ? 0 : peer.pid;
	/* The attach thread closes its descriptor when it likes; this one is for hang-ups. */
	connection = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (connection < 0)
		die_errno("%s: the connection cannot be watched; raise ulimit -n", path);
	if (attach_add(fd, -1, guest.device.name) < 0)
		exit(1);
	return connection;
}

/* The thread that a back-end speaks to first, then the store, which uses our memory. */
void xen_guest_close(void)
{
	attach_close();
	event_channels_close(&pv.channels);
	pv_store_close();
	toolstack_close();
	pv_state_close();
}

/* ---- the store ------------------------------------------------------------------------------- */

void xen_guest_write(const char *key, const char *format, ...)
{
	char path[PATH_BYTES], value[VALUE_BYTES];
	va_list arguments;
	int result;

	va_start(arguments, format);
	vsnprintf(value, sizeof(value), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "%s/%s", guest.front, key);
	result = pv_store_write(PV_GUEST, PV_BACKEND, path, "%s", value);
	if (result < 0) {
		errno = -result;
		die_errno("the store: %s = %s", path, value);
	}
}

void xen_guest_set_state(enum store_state state)
{
	xen_guest_write(STORE_KEY_STATE, "%u", state);
}

bool xen_guest_read(const char *key, char *value, unsigned int size)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", guest.back, key);
	return pv_store_read(path, value, size) >= 0;
}

uint64_t xen_guest_read_number(const char *key, uint64_t absent)
{
	char value[VALUE_BYTES], *end;
	uint64_t number;

	if (!xen_guest_read(key, value, sizeof(value)))
		return absent;
	number = strtoull(value, &end, 10);
	if (end == value || *end)
		die("the back-end: its %s is '%s', which is no number", key, value);
	return number;
}

enum store_state xen_guest_backend_state(void)
{
	return toolstack_backend_state(guest.device.name);
}

bool xen_guest_serves(const char *device)
{
	return toolstack_backend_state(device) != STORE_STATE_UNKNOWN;
}

/* ---- ports ----------------------------------------------------------------------------------- */

uint32_t xen_guest_port(void)
{
	struct event_channel_alloc_unbound args = {
		.domain = DOMAIN_SELF,
		.remote_domain = PV_BACKEND,
	};
	int result;

	pthread_mutex_lock(&pv.lock);
	result = event_channel_alloc_unbound(&pv.channels, &args);
	pthread_mutex_unlock(&pv.lock);
	if (result < 0) {
		errno = -result;
		die_errno("an event channel");
	}
	return args.port;
}

void xen_guest_port_descriptors(uint32_t port, int *kick, int *call)
{
	const struct event_port *at = &pv.channels.port[port];

	pthread_mutex_lock(&pv.lock);
	*kick = fcntl(at->from_guest, F_DUPFD_CLOEXEC, 0);
	*call = fcntl(at->to_guest, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&pv.lock);
	if (*kick < 0 || *call < 0)
		die("event channel %u: the back-end says that it is connected, and has not bound "
		    "it",
		    port);
}

/* ---- grants ---------------------------------------------------------------------------------- */

uint32_t xen_guest_grant(uint64_t address)
{
	uint32_t reference = guest.next_grant++;
	struct grant_v1 *entry = (struct grant_v1 *)pv.grants.entries + reference;

	if (reference >= grant_table_size(&pv.grants))
		die("--depth: %u pages are more than a grant table has room for; fewer --queues, "
		    "--depth or --block-size",
		    reference);
	entry->frame = (uint32_t)(address / XEN_RING_PAGE_BYTES);
	return reference;
}

bool xen_guest_grants_in_use(void)
{
	bool in_use;

	pthread_mutex_lock(&pv.lock);
	in_use = grant_table_in_use(&pv.grants);
	pthread_mutex_unlock(&pv.lock);
	return in_use;
}
