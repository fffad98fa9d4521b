/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What domain 0 may have done to the store as a whole: the guest's connection, and CONTROL.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_CONTROL_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_CONTROL_H

#include "hypervisor-shim/pv/store_domain.h"

/* The guest is there, on its ring page: whoever waits for @introduceDomain is told. 0 or -EINVAL. */
int store_guest_introduce(struct store *store);
/* Its ring is ignored from here on, until it is introduced again. 0 or -ENOENT. */
int store_guest_release(struct store *store);

/* A text for who asked, or -EINVAL for an unknown command. */
int store_control(struct store *store, const char *command, const char *argument, char *text,
		  size_t size);

#endif
