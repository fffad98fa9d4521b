/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From the command line to devices on the guest's bus, with their back-ends.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_DEVICES_H
#define PVKIT_HYPERVISOR_SHIM_DEVICES_H

#include "hypervisor-shim/config.h"

/* What can be known to be wrong before any daemon is started. 0, or -errno after a line. */
int devices_check(const struct shim_config *config);
/* Starts daemons, connects, and adds the devices. 0, or -errno after a line. */
int devices_add(const struct shim_config *config);

#endif
