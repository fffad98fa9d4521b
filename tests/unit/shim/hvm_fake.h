/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What stands below and behind a virtio-pci device in its unit tests: vm.h without KVM, and
 * the front-end of vhost-user without a back-end. Defined here, so the linker takes these and leaves
 * the real ones in their library. One program includes it once.
 *
 * The irqfd is as KVM's: a thread consumes the counter of an attached eventfd and delivers what the
 * route says at that moment; detaching returns when that is over, and takes what is left with it.
 */
#ifndef PVKIT_TESTS_UNIT_SHIM_HVM_FAKE_H
#define PVKIT_TESTS_UNIT_SHIM_HVM_FAKE_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hypervisor-shim/hvm/vhost_user.h"
#include "hypervisor-shim/vm.h"

#define FAKE_RAM_LOW   (4ULL << 20)
#define FAKE_RAM_HIGH  (1ULL << 20)
#define FAKE_GSIS      256
#define FAKE_GSI_FIRST 24
#define FAKE_DOORBELLS 256
#define FAKE_LINES     24

struct fake_route {
	bool used, set;
	uint64_t address;
	uint32_t data;
};

struct fake_irqfd {
	int fd, gsi;
};

static struct {
	struct guest_memory memory;
	int ram_fd;

	pthread_mutex_t lock; /* as the locks in KVM */
	struct fake_route route[FAKE_GSIS];
	struct fake_irqfd irqfd[FAKE_GSIS];
	unsigned int irqfds;
	int epoll;
	/* Called with the lock held for each message that reaches the guest. */
	void (*deliver)(uint64_t address, uint32_t data);
	atomic_uint delivered;
	_Atomic uint32_t last_data;
	_Atomic uint64_t last_address;

	struct {
		uint64_t address;
		int fd;
	} doorbell[FAKE_DOORBELLS];
	unsigned int doorbells;
	bool no_ioeventfd;
	atomic_int line[FAKE_LINES];
	atomic_uint line_changes;
	int routes_left; /* -1: as many as there are */
} fake_vm = {.lock = PTHREAD_MUTEX_INITIALIZER, .routes_left = -1};

static inline void fake_sleep(void)
{
	struct timespec tick = {.tv_nsec = 200000};

	nanosleep(&tick, NULL);
}

/* Waits until @condition holds, 10 s at most. It is not evaluated again once it did. */
#define fake_eventually(condition)                                                  \
	do {                                                                        \
		bool held_ = false;                                                 \
		for (unsigned int tries_ = 0; tries_ < 50000 && !held_; tries_++) { \
			held_ = (condition);                                        \
			if (!held_)                                                 \
				fake_sleep();                                       \
		}                                                                   \
		assert_true(held_);                                                 \
	} while (0)

/* ---- vm.h ------------------------------------------------------------------------------------- */

static void fake_deliver(uint64_t address, uint32_t data)
{
	fake_vm.last_address = address;
	fake_vm.last_data = data;
	if (fake_vm.deliver)
		fake_vm.deliver(address, data);
	atomic_fetch_add(&fake_vm.delivered, 1);
}

static void fake_inject(const struct fake_irqfd *irqfd)
{
	const struct fake_route *route = &fake_vm.route[irqfd->gsi - FAKE_GSI_FIRST];
	uint64_t count;

	if (read(irqfd->fd, &count, sizeof(count)) == sizeof(count) && route->set)
		fake_deliver(route->address, route->data);
}

static void *fake_kvm(void *unused)
{
	struct pollfd sleeper = {.fd = fake_vm.epoll, .events = POLLIN};
	struct epoll_event event;

	for (;;) {
		poll(&sleeper, 1, -1);
		pthread_mutex_lock(&fake_vm.lock);
		if (epoll_wait(fake_vm.epoll, &event, 1, 0) == 1)
			for (unsigned int i = 0; i < fake_vm.irqfds; i++)
				if (fake_vm.irqfd[i].fd == event.data.fd)
					fake_inject(&fake_vm.irqfd[i]);
		pthread_mutex_unlock(&fake_vm.lock);
	}
	return NULL;
}

static inline void fake_vm_open(void)
{
	pthread_t thread;
	uint8_t *ram;

	fake_vm.ram_fd = memfd_create("ram", MFD_CLOEXEC);
	if (ftruncate(fake_vm.ram_fd, FAKE_RAM_LOW + FAKE_RAM_HIGH) < 0)
		abort();
	ram = mmap(NULL, FAKE_RAM_LOW + FAKE_RAM_HIGH, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fake_vm.ram_fd, 0);
	guest_memory_add(&fake_vm.memory, 0, FAKE_RAM_LOW, ram);
	guest_memory_add(&fake_vm.memory, VM_RAM_HIGH_START, FAKE_RAM_HIGH, ram + FAKE_RAM_LOW);
	fake_vm.epoll = epoll_create1(EPOLL_CLOEXEC);
	pthread_create(&thread, NULL, fake_kvm, NULL);
	pthread_detach(thread);
}

unsigned int vm_cpus(void)
{
	return 4;
}

uint64_t vm_pci64_start(void)
{
	return VM_PCI64_START;
}

uint64_t vm_pci64_size(void)
{
	return 64ULL << 30;
}

const struct guest_memory *vm_memory(void)
{
	return &fake_vm.memory;
}

int vm_region_fd(unsigned int region, uint64_t *offset)
{
	*offset = region ? FAKE_RAM_LOW : 0;
	return fake_vm.ram_fd;
}

int vm_ioeventfd(uint64_t address, unsigned int size, int fd, bool on)
{
	for (unsigned int i = 0; i < fake_vm.doorbells; i++) {
		if (fake_vm.doorbell[i].address != address)
			continue;
		if (on || fake_vm.doorbell[i].fd != fd)
			return -EEXIST;
		fake_vm.doorbell[i] = fake_vm.doorbell[--fake_vm.doorbells];
		return 0;
	}
	if (!on)
		return -ENOENT;
	if (fake_vm.no_ioeventfd || fake_vm.doorbells == FAKE_DOORBELLS)
		return -ENOSPC;
	fake_vm.doorbell[fake_vm.doorbells].address = address;
	fake_vm.doorbell[fake_vm.doorbells++].fd = fd;
	return 0;
}

int vm_msi_route_new(void)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&fake_vm.lock);
	for (int i = 0; i < FAKE_GSIS && fake_vm.routes_left; i++) {
		if (fake_vm.route[i].used)
			continue;
		fake_vm.route[i] = (struct fake_route){.used = true};
		gsi = FAKE_GSI_FIRST + i;
		if (fake_vm.routes_left > 0)
			fake_vm.routes_left--;
		break;
	}
	pthread_mutex_unlock(&fake_vm.lock);
	return gsi;
}

void vm_msi_route_free(int gsi)
{
	pthread_mutex_lock(&fake_vm.lock);
	fake_vm.route[gsi - FAKE_GSI_FIRST] = (struct fake_route){0};
	pthread_mutex_unlock(&fake_vm.lock);
}

int vm_msi_route_set(int gsi, uint64_t address, uint32_t data)
{
	struct fake_route *route = &fake_vm.route[gsi - FAKE_GSI_FIRST];

	pthread_mutex_lock(&fake_vm.lock);
	route->set = true;
	route->address = address;
	route->data = data;
	pthread_mutex_unlock(&fake_vm.lock);
	return 0;
}

static int fake_attach(int gsi, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	for (unsigned int i = 0; i < fake_vm.irqfds; i++)
		if (fake_vm.irqfd[i].fd == fd)
			return -EBUSY;
	fake_vm.irqfd[fake_vm.irqfds++] = (struct fake_irqfd){.fd = fd, .gsi = gsi};
	return epoll_ctl(fake_vm.epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int fake_detach(int gsi, int fd)
{
	for (unsigned int i = 0; i < fake_vm.irqfds; i++) {
		if (fake_vm.irqfd[i].fd != fd || fake_vm.irqfd[i].gsi != gsi)
			continue;
		fake_inject(&fake_vm.irqfd[i]);
		fake_vm.irqfd[i] = fake_vm.irqfd[--fake_vm.irqfds];
		return epoll_ctl(fake_vm.epoll, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
	}
	return -ENOENT;
}

int vm_irqfd(int gsi, int fd, bool on)
{
	int result;

	pthread_mutex_lock(&fake_vm.lock);
	result = on ? fake_attach(gsi, fd) : fake_detach(gsi, fd);
	pthread_mutex_unlock(&fake_vm.lock);
	return result;
}

int vm_msi_send(uint64_t address, uint32_t data)
{
	pthread_mutex_lock(&fake_vm.lock);
	fake_deliver(address, data);
	pthread_mutex_unlock(&fake_vm.lock);
	return 0;
}

int vm_irq_line(unsigned int gsi, int level)
{
	atomic_store(&fake_vm.line[gsi], level);
	atomic_fetch_add(&fake_vm.line_changes, 1);
	return 0;
}

/* ---- vhost_user.h ----------------------------------------------------------------------------- */

#define FAKE_RINGS 256

static struct {
	uint64_t features, protocol, queues_max; /* to be offered */
	uint32_t config_size; /* 0: none */
	uint8_t config[256];
	bool refuse_features; /* SET_FEATURES fails, or FEATURES_OK does not stick */
	bool refuse_start;
	bool hangs_at_config; /* GET_CONFIG gets no answer */
	unsigned int misuse; /* rings started twice, stopped or enabled when not started */
	pthread_mutex_t lock; /* for what the test changes under a running device */

	uint64_t accepted;
	uint8_t status;
	unsigned int regions;
	int peer, backchannel_peer; /* the back-end's ends */
	bool gone;
	struct {
		bool started, enabled;
		struct vhost_user_ring ring;
	} ring[FAKE_RINGS];
} fake_backend = {.lock = PTHREAD_MUTEX_INITIALIZER, .peer = -1, .backchannel_peer = -1};

static int fake_call(struct vhost_user_front *front)
{
	pthread_mutex_lock(&fake_backend.lock);
	if (fake_backend.gone)
		front->broken = true;
	pthread_mutex_unlock(&fake_backend.lock);
	return front->broken ? -ENOTCONN : 0;
}

int vhost_user_front_open(struct vhost_user_front *front, int fd, uint64_t protocol_wanted)
{
	int pair[2];

	memset(front, 0, sizeof(*front));
	front->fd = fd;
	front->features = fake_backend.features;
	front->protocol_features = fake_backend.protocol & protocol_wanted;
	front->queues_max = fake_backend.queues_max;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	front->backchannel = pair[0];
	fake_backend.backchannel_peer = pair[1];
	return 0;
}

void vhost_user_front_close(struct vhost_user_front *front)
{
	close(front->fd);
	close(front->backchannel);
}

int vhost_user_front_set_features(struct vhost_user_front *front, uint64_t features)
{
	fake_backend.accepted = features;
	if (fake_backend.refuse_features)
		return -EINVAL;
	return fake_call(front);
}

int vhost_user_front_set_status(struct vhost_user_front *front, uint8_t status)
{
	fake_backend.status = status;
	return fake_call(front);
}

int vhost_user_front_get_status(struct vhost_user_front *front, uint8_t *status)
{
	*status = fake_backend.status;
	return fake_call(front);
}

int vhost_user_front_set_memory(struct vhost_user_front *front,
				const struct vhost_user_region *regions, unsigned int count)
{
	fake_backend.regions = count;
	return fake_call(front);
}

int vhost_user_front_get_config(struct vhost_user_front *front, uint32_t offset, void *data,
				uint32_t size)
{
	if (fake_backend.hangs_at_config) {
		front->broken = true;
		return -ETIMEDOUT;
	}
	if (offset + size > fake_backend.config_size)
		return -EINVAL;
	pthread_mutex_lock(&fake_backend.lock);
	memcpy(data, fake_backend.config + offset, size);
	pthread_mutex_unlock(&fake_backend.lock);
	return fake_call(front);
}

int vhost_user_front_set_config(struct vhost_user_front *front, uint32_t offset, const void *data,
				uint32_t size)
{
	if (offset + size > fake_backend.config_size)
		return -EINVAL;
	pthread_mutex_lock(&fake_backend.lock);
	memcpy(fake_backend.config + offset, data, size);
	pthread_mutex_unlock(&fake_backend.lock);
	return fake_call(front);
}

int vhost_user_front_start_ring(struct vhost_user_front *front, unsigned int index,
				const struct vhost_user_ring *ring)
{
	if (index >= FAKE_RINGS || fake_backend.ring[index].started)
		fake_backend.misuse++;
	if (index >= FAKE_RINGS || fake_backend.refuse_start)
		return -EINVAL;
	fake_backend.ring[index].started = true;
	fake_backend.ring[index].enabled = !ring->disabled;
	fake_backend.ring[index].ring = *ring;
	return fake_call(front);
}

int vhost_user_front_set_call(struct vhost_user_front *front, unsigned int index, int call)
{
	return fake_call(front);
}

int vhost_user_front_enable_ring(struct vhost_user_front *front, unsigned int index, bool on)
{
	fake_backend.misuse += !fake_backend.ring[index].started;
	fake_backend.ring[index].enabled = on;
	return fake_call(front);
}

int vhost_user_front_stop_ring(struct vhost_user_front *front, unsigned int index,
			       struct virtqueue_position *position)
{
	fake_backend.misuse += !fake_backend.ring[index].started;
	fake_backend.ring[index].started = false;
	memset(position, 0, sizeof(*position));
	return fake_call(front);
}

enum vhost_user_event vhost_user_front_take_event(struct vhost_user_front *front)
{
	char c;

	if (recv(front->backchannel, &c, 1, MSG_DONTWAIT) == 0)
		return VHOST_USER_EVENT_CLOSED;
	return c == 'c' ? VHOST_USER_EVENT_CONFIG_CHANGED : VHOST_USER_EVENT_NONE;
}

/* The descriptor to give to virtio_pci_add(). */
static inline int fake_backend_connect(void)
{
	int pair[2];

	memset(fake_backend.ring, 0, sizeof(fake_backend.ring));
	fake_backend.gone = false;
	fake_backend.status = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	fake_backend.peer = pair[1];
	return pair[0];
}

static inline void fake_backend_die(void)
{
	pthread_mutex_lock(&fake_backend.lock);
	fake_backend.gone = true;
	pthread_mutex_unlock(&fake_backend.lock);
	close(fake_backend.peer);
	close(fake_backend.backchannel_peer);
	fake_backend.peer = fake_backend.backchannel_peer = -1;
}

static inline void fake_backend_close(void)
{
	if (fake_backend.peer >= 0)
		fake_backend_die();
}

#endif
