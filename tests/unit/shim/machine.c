// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A reset of the machine that the user cuts short, with parts that only note what was done to them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>

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
	unsigned int wiped, loaded, started, lines;
	int wipe; /* what it answers */
	void (*meanwhile)(void); /* while devices are reset */
	bool late; /* while memory is taken */
} parts;

/* ---- the parts -------------------------------------------------------------------------------- */

int vm_open(uint64_t memory, unsigned int cpus)
{
	return 0;
}

void vm_close(void)
{
}

int vm_reset(void)
{
	parts.wiped++;
	if (parts.late)
		parts.meanwhile();
	return parts.late ? -EINTR : parts.wipe;
}

int vcpus_open(void)
{
	return 0;
}

int vcpus_reset(const struct vcpu_entry *entry)
{
	return 0;
}

int vcpus_start(void)
{
	parts.started++;
	return 0;
}

void vcpus_stop(void)
{
}

void vcpus_close(void)
{
}

int boot_load(struct vcpu_entry *entry)
{
	parts.loaded++;
	return 0;
}

int acpi_load(void)
{
	return 0;
}

int bus_add_ports(const struct port_range *range)
{
	return 0;
}

void bus_close(void)
{
}

int pci_open(void)
{
	return 0;
}

void pci_assign(void)
{
}

void pci_port_read(uint16_t port, void *data, unsigned int size)
{
}

void pci_port_write(uint16_t port, const void *data, unsigned int size)
{
}

void pci_reset_all(void)
{
	if (parts.meanwhile && !parts.late)
		parts.meanwhile();
}

void pci_close_all(void)
{
}

int power_open(void)
{
	return 0;
}

void power_reset(void)
{
}

int serial_open(void)
{
	return 0;
}

void serial_reset(void)
{
}

void log_error(const char *format, ...)
{
	parts.lines++;
}

void log_errno(const char *format, ...)
{
	parts.lines++;
}

/* ---- the tests -------------------------------------------------------------------------------- */

static int setup(void **state)
{
	parts = (typeof(parts)){0};
	assert_int_equal(machine_open(1 << 20, 1), 0);
	assert_int_equal(machine_start(), 0);
	parts.loaded = parts.started = 0;
	machine_request(MACHINE_RESET);
	return 0;
}

static int teardown(void **state)
{
	machine_close();
	return 0;
}

static void a_reset_begins_anew(void **state)
{
	assert_int_equal(machine_restart(), 0);
	assert_int_equal(machine_requested(), MACHINE_RUNNING);
	assert_int_equal(parts.wiped, 1);
	assert_int_equal(parts.loaded, 1);
	assert_int_equal(parts.started, 1);
}

static void a_reset_that_fails_says_so(void **state)
{
	parts.wipe = -ENOMEM;
	assert_int_equal(machine_restart(), -ENOMEM);
	assert_int_equal(parts.lines, 1);
	assert_int_equal(parts.started, 0);
}

static void quit(void)
{
	machine_request(MACHINE_QUIT);
}

static void an_end_leaves_memory_as_it_is(void **state)
{
	parts.meanwhile = quit;
	assert_int_equal(machine_restart(), -EINTR);
	assert_int_equal(machine_requested(), MACHINE_QUIT);
	assert_int_equal(parts.wiped, 0);
	assert_int_equal(parts.started, 0);
	assert_int_equal(parts.lines, 0);
}

static void terminate(void)
{
	pthread_kill(pthread_self(), SIGTERM);
}

/* The main thread, which would take the signal, is the one that resets. */
static void a_signal_that_waits_is_an_end(void **state)
{
	sigset_t set, before;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	parts.meanwhile = terminate;
	for (unsigned int i = 0; i < 2; i++) {
		parts.late = i;
		assert_false(machine_is_ended());
		assert_int_equal(machine_restart(), -EINTR);
		assert_true(machine_is_ended());
		assert_int_equal(sigwait(&set, &number), 0);
		assert_int_equal(parts.wiped, i);
		assert_int_equal(parts.started, 0);
		assert_int_equal(parts.lines, 0);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reset_begins_anew),
		TEST(a_reset_that_fails_says_so),
		TEST(an_end_leaves_memory_as_it_is),
		TEST(a_signal_that_waits_is_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
