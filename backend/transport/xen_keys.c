// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Keys of both directories. What the front-end wrote is hostile text: it is copied, bounded, and
 * parsed strictly, so that "12 ", "+1" or "0x10" are no numbers for us while they are for others.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backend/transport/xen_private.h"

bool xen_path(char *path, const char *directory, const char *key)
{
	return snprintf(path, XEN_PATH_BYTES, "%s/%s", directory, key) < XEN_PATH_BYTES;
}

int xen_device_write(struct xen_device *device, const char *key, const char *format, ...)
{
	struct xen *xen = device->xen;
	char path[XEN_PATH_BYTES];
	va_list ap;
	int err;

	if (!xen_path(path, xen->back, key))
		return -ENAMETOOLONG;
	va_start(ap, format);
	err = store_client_vwrite(xen->store, STORE_NO_TRANSACTION, path, format, ap);
	va_end(ap);
	if (err)
		log_peer(&xen->limit, "%s: cannot write %s: %s; look at that key's permissions",
			 device->name, path, strerror(-err));
	return err;
}

int xen_device_read(struct xen_device *device, const char *key, char *value, unsigned int size)
{
	char path[XEN_PATH_BYTES];

	if (!xen_path(path, device->xen->back, key))
		return -ENAMETOOLONG;
	return store_client_read(device->xen->store, STORE_NO_TRANSACTION, path, value, size);
}

int xen_device_watch(struct xen_device *device, const char *key, void (*changed)(void *context),
		     void *context)
{
	char path[XEN_PATH_BYTES];

	if (!xen_path(path, device->xen->back, key))
		return -ENAMETOOLONG;
	return store_client_watch(device->xen->store, path, changed, context);
}

int xen_device_front_read(struct xen_device *device, const char *key, char *value,
			  unsigned int size)
{
	char path[XEN_PATH_BYTES];

	if (!xen_path(path, device->xen->front, key))
		return -ENAMETOOLONG;
	return store_client_read(device->xen->store, STORE_NO_TRANSACTION, path, value, size);
}

/* Digits only. */
static bool parse(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t number = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, *text - '0', &number))
			return false;
	}
	*value = number;
	return number <= max;
}

int xen_device_front_number(struct xen_device *device, const char *key, uint64_t absent,
			    uint64_t max, uint64_t *value)
{
	char text[XEN_VALUE_BYTES];
	int got = xen_device_front_read(device, key, text, sizeof(text));

	*value = absent;
	if (got == -ENOENT)
		return 0;
	if (got == -EPIPE)
		return got; /* the store is lost, and that is told elsewhere */
	if (got < 0) {
		xen_device_refuse(device, "its %s cannot be read: %s", key, strerror(-got));
		return -EINVAL;
	}
	if (parse(text, max, value))
		return 0;
	*value = absent;
	xen_device_refuse(device, "its %s is '%s', not a number from 0 to %llu", key, text,
			  (unsigned long long)max);
	return -EINVAL;
}

/* For a terminal and a store: no byte that means something to either. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void xen_device_refuse(struct xen_device *device, const char *format, ...)
{
	struct xen *xen = device->xen;
	char text[256], path[XEN_PATH_BYTES];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	make_plain(text);
	log_peer(&xen->limit,
		 "%s: the front-end at %s: %s; the device is closed until it begins anew",
		 device->name, xen->front, text);
	if (xen_path(path, xen->back, "error"))
		store_client_write(xen->store, STORE_NO_TRANSACTION, path, "%s", text);
}
