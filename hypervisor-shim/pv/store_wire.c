// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Payloads: see store_wire.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/store_wire.h"

int store_wire_strings(const char *payload, unsigned int size, const char **strings,
		       unsigned int max)
{
	const char *end = payload + size, *nul;
	unsigned int count = 0;

	for (; payload != end; payload = nul + 1) {
		nul = memchr(payload, 0, (size_t)(end - payload));
		if (!nul)
			return -EINVAL;
		if (count < max)
			strings[count] = payload;
		count++;
	}
	return (int)count;
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '@' || c == '/';
}

int store_wire_path(unsigned int domain, const char *given, enum store_wire_special special,
		    char *path)
{
	size_t length = strlen(given), before = 0;
	const char *c;

	if (!length || (*given == '@' && special != STORE_WIRE_SPECIAL))
		return -EINVAL;
	for (c = given; *c; c++)
		if (!is_name_character(*c) || (c[0] == '/' && c[1] == '/'))
			return -EINVAL;
	if (c[-1] == '/' && length > 1)
		return -EINVAL;
	if (*given != '/' && *given != '@') {
		if (length > STORE_RELATIVE_PATH_MAX)
			return -EINVAL;
		before = (size_t)sprintf(path, "/local/domain/%u/", domain);
	}
	if (before + length > STORE_ABSOLUTE_PATH_MAX)
		return -EINVAL;
	memcpy(path + before, given, length + 1);
	return (int)before;
}

int store_wire_number(const char *text, unsigned long max, unsigned long *number)
{
	unsigned long value = 0;
	const char *c;

	for (c = text; *c >= '0' && *c <= '9'; c++) {
		value = value * 10 + (unsigned long)(*c - '0');
		if (value > max)
			return -EINVAL;
	}
	if (*c || c == text)
		return -EINVAL;
	*number = value;
	return 0;
}

/* In the order of STORE_MAY_*. */
static const char letters[] = "nrwb";

int store_wire_permission(const char *text, struct store_permission *permission)
{
	const char *letter = *text ? strchr(letters, *text) : NULL;
	unsigned long domain;

	if (!letter || store_wire_number(text + 1, UINT16_MAX, &domain) < 0)
		return -EINVAL;
	permission->may = (uint16_t)(letter - letters);
	permission->domain = (uint16_t)domain;
	return 0;
}

unsigned int store_wire_permission_text(const struct store_permission *permission, char *text)
{
	return (unsigned int)sprintf(text, "%c%u", letters[permission->may & 3],
				     permission->domain) +
	       1;
}

const char *store_wire_error(int error)
{
	static const struct {
		int number;
		const char *name;
	} errors[] = {
		{EINVAL, STORE_EINVAL}, {EACCES, STORE_EACCES},   {EEXIST, STORE_EEXIST},
		{EISDIR, STORE_EISDIR}, {ENOENT, STORE_ENOENT},   {ENOMEM, STORE_ENOMEM},
		{ENOSPC, STORE_ENOSPC}, {EIO, STORE_EIO},         {ENOTEMPTY, STORE_ENOTEMPTY},
		{ENOSYS, STORE_ENOSYS}, {EROFS, STORE_EROFS},     {EBUSY, STORE_EBUSY},
		{EAGAIN, STORE_EAGAIN}, {EISCONN, STORE_EISCONN}, {E2BIG, STORE_E2BIG},
		{EPERM, STORE_EPERM},
	};
	unsigned int i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].number == -error)
			return errors[i].name;
	return STORE_EINVAL;
}
