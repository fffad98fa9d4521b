// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The machine: which parts it has, in which order they come, and what a reset is.
 *
 * A guest's reset is done from the main thread while no vCPU runs: devices first, so that no
 * back-end holds a ring in memory that is about to be wiped, then memory and chips, then the
 * kernel again, then the vCPUs' power-on state.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/power.h"
#include "hypervisor-shim/serial.h"
#include "hypervisor-shim/vcpu.h"
#include "hypervisor-shim/vm.h"

static struct {
	_Atomic(enum machine_event) event;
	int fd;
	void (*reset_part)(void), (*close_part)(void);
} machine = {.fd = -1};

/* A reset takes a while, and forgets what was asked for before: not that the user wants an end. */
static bool is_kept_over_reset(enum machine_event event)
{
	return event == MACHINE_QUIT || event == MACHINE_SIGNAL;
}

static void wake_main_thread(void)
{
	uint64_t one = 1;

	/* Cannot fail: the counter is far from full. */
	(void)!write(machine.fd, &one, sizeof(one));
}

void machine_request(enum machine_event event)
{
	enum machine_event before = atomic_load(&machine.event);

	do {
		if (before != MACHINE_RUNNING &&
		    !(before == MACHINE_RESET && is_kept_over_reset(event)))
			return;
	} while (!atomic_compare_exchange_weak(&machine.event, &before, event));
	wake_main_thread();
}

enum machine_event machine_requested(void)
{
	return atomic_load(&machine.event);
}

/* Signals are blocked in all threads, and so wait while the main thread is busy. */
static bool signal_waits(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) > 0 || sigismember(&pending, SIGINT) > 0 ||
		sigismember(&pending, SIGHUP) > 0);
}

bool machine_is_ended(void)
{
	return is_kept_over_reset(machine_requested()) || signal_waits();
}

int machine_request_fd(void)
{
	return machine.fd;
}

static void forget_request(void)
{
	enum machine_event event = machine_requested();
	uint64_t count;

	(void)!read(machine.fd, &count, sizeof(count));
	/* The exchange fails where an end came since the line above. */
	if (is_kept_over_reset(event) ||
	    !atomic_compare_exchange_strong(&machine.event, &event, MACHINE_RUNNING))
		wake_main_thread();
}

static int open_requests(void)
{
	int result;

	atomic_store(&machine.event, MACHINE_RUNNING);
	machine.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (machine.fd >= 0)
		return 0;
	result = -errno;
	log_errno("cannot make an eventfd; see ulimit -n");
	return result;
}

static int add_devices(void)
{
	static const struct port_range address = {"PCI address", 0xcf8, 1, pci_port_read,
						  pci_port_write};
	static const struct port_range data = {"PCI data", 0xcfc, 4, pci_port_read, pci_port_write};
	int result = serial_open();

	if (!result)
		result = power_open();
	if (!result)
		result = bus_add_ports(&address);
	if (!result)
		result = bus_add_ports(&data);
	if (!result)
		result = pci_open();
	if (result < 0)
		log_error("cannot make the machine's own devices: %s", strerror(-result));
	return result;
}

/* The kernel in memory, which reads zero before, and the vCPUs at its door. */
static int load_guest(void)
{
	struct vcpu_entry entry;
	int result = boot_load(&entry);

	if (!result)
		result = acpi_load();
	if (!result)
		result = vcpus_reset(&entry);
	return result;
}

int machine_open(uint64_t memory, unsigned int cpus)
{
	int result = open_requests();

	if (!result)
		result = vm_open(memory, cpus);
	if (!result)
		result = vcpus_open();
	if (!result)
		result = add_devices();
	if (!result)
		result = load_guest();
	return result;
}

int machine_start(void)
{
	pci_assign();
	return vcpus_start();
}

int machine_restart(void)
{
	int result;

	vcpus_stop();
	if (machine.reset_part)
		machine.reset_part();
	pci_reset_all();
	/* Then they gave up waiting for back-ends, which may use the memory still. */
	if (machine_is_ended())
		return -EINTR;
	power_reset();
	serial_reset();
	result = vm_reset();
	if (result < 0 && result != -EINTR)
		log_error("cannot reset the machine: %s", strerror(-result));
	forget_request();
	if (!result)
		result = load_guest();
	return result < 0 ? result : machine_start();
}

void machine_stop(void)
{
	vcpus_stop();
}

void machine_add_part(void (*reset)(void), void (*close)(void))
{
	machine.reset_part = reset;
	machine.close_part = close;
}

void machine_close(void)
{
	vcpus_stop();
	if (machine.close_part)
		machine.close_part();
	machine_add_part(NULL, NULL);
	pci_close_all();
	vcpus_close();
	vm_close();
	bus_close();
	if (machine.fd >= 0)
		close(machine.fd);
	machine.fd = -1;
}
