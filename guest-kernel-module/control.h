/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the host asks of the guest as a whole.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_CONTROL_H
#define PVKIT_GUEST_KERNEL_MODULE_CONTROL_H

/* Listens to the store from here on. */
int pvkit_control_start(void);
void pvkit_control_stop(void);

#endif
