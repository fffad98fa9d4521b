/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The machine as a whole: put together, started, reset, taken apart; and how it is told to end.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_MACHINE_H
#define PVKIT_HYPERVISOR_SHIM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum machine_event {
	MACHINE_RUNNING,
	MACHINE_POWER_OFF, /* the guest switched off (S5) */
	MACHINE_RESET, /* the guest asked for a reset, or a triple fault made one */
	MACHINE_PANIC, /* the guest's kernel says that it panicked */
	MACHINE_FAULT, /* KVM cannot go on with the guest; a line was printed */
	MACHINE_QUIT, /* the user ended it at the terminal */
	MACHINE_SIGNAL, /* a signal ended it */
};

/*
 * From the main thread. 0, or -errno after one line on standard error; machine_close() is right
 * in any case.
 *
 * machine_open() makes the VM, its vCPUs and the devices that every machine has, and puts the
 * kernel of boot_open() into memory. PCI devices are added then. machine_start() runs it.
 */
int machine_open(uint64_t memory, unsigned int cpus);
int machine_start(void);
/*
 * A reset: stops the vCPUs, resets every device, loads the kernel again, and starts. -EINTR without
 * a line: machine_is_ended() meanwhile, and nothing was started.
 */
int machine_restart(void);
void machine_stop(void);
/* Closes the PCI devices too. */
void machine_close(void);
/*
 * A part that is no device on the bus: @reset is called while no vCPU runs, before devices are reset,
 * and @close before they are closed. One such part; after machine_open().
 */
void machine_add_part(void (*reset)(void), void (*close)(void));

/*
 * From any thread. The first event wins, but a reset gives way to the user's end (QUIT, SIGNAL), also
 * while it is under way. vCPUs stop soon after, also the one that called.
 */
void machine_request(enum machine_event event);
/* What was asked for; MACHINE_RUNNING: nothing yet. */
enum machine_event machine_requested(void);
/*
 * The user ends it: QUIT, SIGNAL, or a signal that the main thread has yet to take. What may last
 * long in a start or a reset asks this, and gives up.
 */
bool machine_is_ended(void);
/* Readable when an event waits. -1 before machine_open(). */
int machine_request_fd(void);

#endif
