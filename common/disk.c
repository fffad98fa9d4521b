// SPDX-License-Identifier: MIT OR GPL-2.0
#include "common/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int disk_parse_serial(const char **serial, const char *text, char *reason, size_t size)
{
	size_t length = strlen(text);
	const char *c = text;

	while (*c > ' ' && *c <= '~' && *c != '/')
		c++;
	if (!*c && length && length <= DISK_SERIAL_MAX) {
		*serial = text;
		return 0;
	}
	snprintf(
		reason, size,
		"'%s' is no serial number, expected 1 to %d printable characters, no blanks and no "
		"slashes",
		text, DISK_SERIAL_MAX);
	return -1;
}

int disk_check_null_size(uint64_t size, unsigned int block, char *reason, size_t reason_size)
{
	if (size % block == 0)
		return 0;
	snprintf(reason, reason_size, "size: '%" PRIu64 "' is no multiple of the block size of %u",
		 size, block);
	return -1;
}
