/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The DSDT: the devices that a guest cannot find by asking a bus.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_DSDT_H
#define PVKIT_HYPERVISOR_SHIM_DSDT_H

#include <stddef.h>

#include "hypervisor-shim/acpi.h"

#define DSDT_SIZE_MAX 8192

/* Its code, without the table's header. The length, 0 if it does not fit. */
size_t dsdt_code(const struct acpi_machine *machine, void *data, size_t size);

#endif
