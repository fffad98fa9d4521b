// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * pvkit-shim: boots a kernel under KVM.
 *
 * The order in main() is the order in which things can go wrong for the user, cheap ones first:
 * the command line, the files, KVM, the kernel in memory, then daemons and devices. No vCPU runs
 * before all of it is good.
 *
 * After that the main thread waits: for what the guest or the user asks for, for signals, and for
 * daemons that end.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/config.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/daemons.h"
#include "hypervisor-shim/devices.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/platform.h"
#include "hypervisor-shim/pv/start.h"
#include "hypervisor-shim/pv/xen.h"
#include "hypervisor-shim/vm.h"

static int signals = -1;
static int last_signal;

/* In every thread: they arrive at the descriptor, for the main thread. */
static void open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die_errno("cannot wait for signals");
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* /dev/kvm can open where the CPU has no virtualization: KVM then emulates, and only a little. */
static void warn_of_software_kvm(void)
{
	if (!cpuid_host_virtualizes())
		log_warn("this CPU shows neither vmx nor svm, so KVM works by software here: a "
			 "stock "
			 "kernel will not boot, only very small guests run");
}

static int start_pv(const struct shim_config *config)
{
	const struct pv_options options = {
		.xen = config->mode == MODE_XEN,
		.attach = config->attach,
		.store_socket = config->store_socket,
	};

	return config->pv ? pv_start(&options) : 0;
}

static int prepare(const struct shim_config *config)
{
	int result = boot_open(config->kernel, config->initrd, config->append,
			       config->boot == BOOT_BY_PVH);

	if (!result)
		result = devices_check(config);
	if (!result)
		result = console_open(config->console);
	if (!result && config->mode == MODE_XEN)
		xen_announce();
	else if (config->pv)
		platform_announce();
	if (!result)
		result = machine_open(config->memory, (unsigned int)config->cpus);
	if (!result && config->prealloc)
		result = vm_preallocate();
	if (!result)
		result = start_pv(config);
	if (!result)
		result = daemons_open();
	if (!result)
		result = devices_add(config);
	return result;
}

static void take_signals(void)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		last_signal = (int)info.ssi_signo;
		machine_request(MACHINE_SIGNAL);
	}
}

static enum machine_event wait_for_event(void)
{
	struct pollfd fds[] = {
		{.fd = machine_request_fd(), .events = POLLIN},
		{.fd = signals, .events = POLLIN},
		{.fd = daemons_fd(), .events = POLLIN},
	};

	while (machine_requested() == MACHINE_RUNNING) {
		if (poll(fds, sizeof(fds) / sizeof(*fds), -1) < 0)
			continue;
		take_signals();
		/* The guest goes on: its device is told by the connection that broke. */
		daemons_reap();
	}
	return machine_requested();
}

/* False: after a line. Where an end cut it short, that is the next event. */
static bool restart(void)
{
	bool done;

	log_info("the guest reboots");
	done = machine_restart() == 0;
	take_signals();
	return done || machine_is_ended();
}

static int run(const struct shim_config *config)
{
	for (;;) {
		switch (wait_for_event()) {
		case MACHINE_RESET:
			if (config->on_reboot == REBOOT_EXIT)
				return EXIT_REBOOT;
			if (!restart())
				return EXIT_ERROR;
			break;
		case MACHINE_POWER_OFF:
			return EXIT_POWER_OFF;
		case MACHINE_PANIC:
			return EXIT_PANIC;
		case MACHINE_QUIT:
			return EXIT_QUIT;
		case MACHINE_SIGNAL:
			return EXIT_SIGNAL + last_signal;
		case MACHINE_FAULT:
		case MACHINE_RUNNING:
			return EXIT_ERROR;
		}
	}
}

int main(int argc, char **argv)
{
	static struct shim_config config;
	int status = EXIT_ERROR;

	log_open("pvkit-shim", false);
	config_parse(&config, argc, argv);
	open_signals();
	if (prepare(&config) == 0) {
		warn_of_software_kvm();
		if (console_start() == 0 && machine_start() == 0)
			status = run(&config);
	} else {
		take_signals();
		if (last_signal)
			status = EXIT_SIGNAL + last_signal;
	}
	/* The guest stops before its console does, and its disks close before their daemons end. */
	machine_stop();
	console_close();
	pv_stop();
	machine_close();
	daemons_close();
	boot_close();
	return status;
}
