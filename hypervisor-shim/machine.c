// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hypervisor-shim/machine.h"

static struct {
	_Atomic(enum machine_event) event;
	int fd;
} machine = {.fd = -1};

int machine_open(void)
{
	atomic_store(&machine.event, MACHINE_RUNNING);
	machine.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return machine.fd < 0 ? -errno : 0;
}

void machine_close(void)
{
	if (machine.fd >= 0)
		close(machine.fd);
	machine.fd = -1;
}

void machine_request(enum machine_event event)
{
	enum machine_event running = MACHINE_RUNNING;
	uint64_t one = 1;

	if (!atomic_compare_exchange_strong(&machine.event, &running, event))
		return;
	/* Cannot fail: nobody else adds to the counter. */
	(void)!write(machine.fd, &one, sizeof(one));
}

enum machine_event machine_requested(void)
{
	return atomic_load(&machine.event);
}

int machine_request_fd(void)
{
	return machine.fd;
}

void machine_forget(void)
{
	uint64_t count;

	(void)!read(machine.fd, &count, sizeof(count));
	atomic_store(&machine.event, MACHINE_RUNNING);
}
