/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Payloads: strings in and out of bytes, paths, permissions, numbers, the names of errors.
 *
 * What comes in is not terminated by anything but itself: each function is told how long it is.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_WIRE_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_WIRE_H

#include "abi/store.h"
#include "hypervisor-shim/pv/store_tree.h"

/*
 * Splits a payload that is nothing but NUL-terminated strings; the first @max are stored. Their
 * number, which may be more, or -EINVAL when the last one has no NUL.
 */
int store_wire_strings(const char *payload, unsigned int size, const char **strings,
		       unsigned int max);

enum store_wire_special {
	STORE_WIRE_NODE, /* a path only */
	STORE_WIRE_SPECIAL, /* or a name that begins with @ */
};

/*
 * Checks what @domain gave as a path and makes it absolute, in STORE_ABSOLUTE_PATH_MAX + 1 bytes.
 * The length of what was put in front of a relative one, or -EINVAL.
 */
int store_wire_path(unsigned int domain, const char *given, enum store_wire_special special,
		    char *path);

/* A decimal number of at most @max and nothing else: 0 or -EINVAL. */
int store_wire_number(const char *text, unsigned long max, unsigned long *number);

/* "r1": 0 or -EINVAL. */
int store_wire_permission(const char *text, struct store_permission *permission);
/* With the NUL; at most 8 bytes. */
unsigned int store_wire_permission_text(const struct store_permission *permission, char *text);

/* The name of -@error, as a STORE_ERROR carries it. */
const char *store_wire_error(int error);

#endif
