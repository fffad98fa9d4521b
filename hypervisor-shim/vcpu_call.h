/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Calling a vCPU out of the guest, for what KVM changes only then.
 *
 * KVM holds a lock of the vCPU's as long as its thread is in the guest, and takes the same lock for each
 * ioctl on it: who asked for one from another thread might wait for as long as the guest sleeps. So it
 * leaves the vCPU's thread a job, and a signal. While it waits for that it does the jobs that others
 * left for itself: or two vCPUs that want something of each other would wait for ever.
 *
 * A vCPU without a thread is in no guest; its jobs are done by who has them, under the lock, which keeps
 * the thread from beginning.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_VCPU_CALL_H
#define PVKIT_HYPERVISOR_SHIM_VCPU_CALL_H

#include <signal.h>

/* Sent to a vCPU's thread after something was left for it: a job, or the word to stop. */
#define VCPU_SIGNAL SIGUSR1

/*
 * @call with the descriptor of vCPU @number. From any thread, without locks for which a vCPU may wait.
 * The answer is that of @call.
 */
int vcpu_call(unsigned int number, int (*call)(int fd, const void *argument), const void *argument);

/* ---- for the thread of vCPU @number ----------------------------------------------------------- */

void vcpu_call_enter(unsigned int number);
/* Before it goes into the guest. A job that comes later comes with a signal. */
void vcpu_call_look(void);
void vcpu_call_leave(void);

#endif
