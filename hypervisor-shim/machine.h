/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The machine's life: vCPUs and devices ask for its end here, from any thread; the main thread acts.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_MACHINE_H
#define PVKIT_HYPERVISOR_SHIM_MACHINE_H

#include <stdbool.h>

enum machine_event {
	MACHINE_RUNNING,
	MACHINE_POWER_OFF, /* the guest switched off (S5) */
	MACHINE_RESET,	   /* the guest asked for a reset, or a triple fault made one */
	MACHINE_PANIC,	   /* the guest's kernel says that it panicked */
	MACHINE_FAULT,	   /* KVM cannot go on with the guest; a line was printed */
	MACHINE_QUIT,	   /* the user ended it at the terminal */
	MACHINE_SIGNAL,	   /* a signal ended it */
};

/* 0 or -errno. Makes what the calls below need. */
int machine_open(void);
void machine_close(void);

/* The first event wins; vCPUs stop soon after, also the one that called. */
void machine_request(enum machine_event event);
/* What was asked for; MACHINE_RUNNING: nothing yet. */
enum machine_event machine_requested(void);
/* Readable when an event waits. */
int machine_request_fd(void);
/* Forgets the event: after a reset. */
void machine_forget(void);

#endif
