/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way into the shim: struct platform_call, one for each CPU.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_HYPERCALL_H
#define PVKIT_GUEST_KERNEL_MODULE_HYPERCALL_H

#include <linux/types.h>

/* Calls work from here on, by I/O port @port. 0 or -ENOMEM. */
int pvkit_hypercall_open(u16 port);
void pvkit_hypercall_close(void);

#endif
