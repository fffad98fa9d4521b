/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Compressed data, from memory to memory.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_UNPACK_H
#define PVKIT_HYPERVISOR_SHIM_UNPACK_H

#include <stddef.h>

/* What it is compressed by, by its first bytes, also where unpack() cannot; NULL: nothing known. */
const char *unpack_method(const void *data, size_t size);

/*
 * Unpacks the stream that @data begins with, gzip, xz or zstd, to exactly @room bytes at @out; what
 * follows the stream is not looked at. -ENOTSUP: another method, -EBADMSG: the data are cut or
 * damaged, -EFBIG: there is more than @room, -ENODATA: there is less, -ENOMEM.
 */
int unpack(const void *data, size_t size, void *out, size_t room);

#endif
