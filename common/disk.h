/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a command line may say of a disk: one rule for whoever hands it on and whoever serves it.
 */
#ifndef PVKIT_COMMON_DISK_H
#define PVKIT_COMMON_DISK_H

#include <stddef.h>
#include <stdint.h>

#define DISK_SERIAL_MAX 20

/* Of a disk without an image; more than any guest can address. */
#define DISK_NULL_SIZE_MAX (1ULL << 60)

/* Guests make names of a serial number. @text into *serial. 0, or -1 with a line in @reason. */
int disk_parse_serial(const char **serial, const char *text, char *reason, size_t size);

/*
 * Whether a disk without an image can be of @size, in blocks of @block bytes. 0, or -1 with a line in
 * @reason that begins with the end of the option's name, "size".
 */
int disk_check_null_size(uint64_t size, unsigned int block, char *reason, size_t reason_size);

#endif
