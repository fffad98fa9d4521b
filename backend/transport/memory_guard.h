/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Surviving a front-end that shrinks the file behind its guest's memory.
 *
 * A load or store beyond the new end of the file raises SIGBUS in whichever thread touches it. The
 * guard's handler looks the address up among the guarded ranges, puts anonymous zero pages in place
 * of what is gone, signals the range's owner, and lets the thread go on: it then sees zeroes, which
 * every reader of guest memory must take as well as any other hostile content. The owner closes the
 * connection. A SIGBUS elsewhere is a defect of our own and kills the process as ever.
 *
 * The kernel needs no such help: I/O to a page that is gone fails with EFAULT.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_MEMORY_GUARD_H
#define PVKIT_BACKEND_TRANSPORT_MEMORY_GUARD_H

#include <stddef.h>

/*
 * Guards [base, base + length), a mapping in pages of @page bytes. @event is an eventfd that is
 * signalled when the range broke. 0 or -errno. The control thread calls these; the handler runs in
 * any thread.
 */
int memory_guard_add(void *base, size_t length, size_t page, int event);
/* Before the range is unmapped; no thread may still look at it. */
void memory_guard_remove(void *base);

#endif
