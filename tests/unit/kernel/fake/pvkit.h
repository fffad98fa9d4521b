/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The bus's services from the other side: what a back-end has of them.
 */
#ifndef PVKIT_TESTS_UNIT_KERNEL_FAKE_PVKIT_H
#define PVKIT_TESTS_UNIT_KERNEL_FAKE_PVKIT_H

#include "guest-kernel-module/pvkit.h"

/* Maps a grant. NULL: it gives nothing, or not that. */
void *fake_map(u32 reference, bool write);
void fake_unmap(u32 reference);

/* Interrupts the guest. Any port that ever was, also a closed one. */
void fake_interrupt(u32 port);
/* Whether the guest has notified since this was asked last. */
bool fake_notified(u32 port);

/* No back-end is left, so what was given up ends. False: references are missing. */
bool fake_settle(void);

/* Called by pvkit_device_fail(). */
extern unsigned long fake_failures;

#endif
