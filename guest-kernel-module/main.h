/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The platform driver, as the module's beginning and end see it.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_MAIN_H
#define PVKIT_GUEST_KERNEL_MODULE_MAIN_H

#include <linux/types.h>

struct seq_file;

int pvkit_platform_register(void);
void pvkit_platform_unregister(void);
void pvkit_platform_show(struct seq_file *file);

/* The files of debugfs, which are there while the platform is. */
void pvkit_accounts_open(void);
void pvkit_accounts_close(void);

#endif
