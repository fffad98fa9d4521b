/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Signals of the shim itself to an eventfd that a back-end has too.
 *
 * A write could wait: the two share one open file, so the back-end can clear its O_NONBLOCK and fill
 * its counter, and no flag of the call helps, for an eventfd knows none when it is written. What
 * never waits is a signal that the kernel gives by itself, as for an ioeventfd: at a counter that is
 * full it stops. From here that is the end of an asynchronous read of nothing (io_submit(2),
 * IOCB_FLAG_RESFD).
 */
#ifndef PVKIT_HYPERVISOR_SHIM_NOTIFY_H
#define PVKIT_HYPERVISOR_SHIM_NOTIFY_H

/* From any thread, with any lock held. */
void notify(int eventfd);

#endif
