/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the modules are built for: 6.1 to 6.12.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_COMPAT_H
#define PVKIT_GUEST_KERNEL_MODULE_COMPAT_H

#include <linux/version.h>

/* The bus's callbacks see devices, and later drivers, that they may not change. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define COMPAT_UEVENT_CONST const
#else
#define COMPAT_UEVENT_CONST
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define COMPAT_MATCH_CONST const
#else
#define COMPAT_MATCH_CONST
#endif

#endif
