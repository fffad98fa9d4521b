// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The choice between the kinds of link.
 */
#include <errno.h>
#include <stddef.h>

#include "backend/link/link.h"

struct link *link_open(const struct link_options *options)
{
	switch (options->kind) {
	case LINK_NULL:
		return link_open_null(options);
	case LINK_TAP:
		return link_open_tap(options);
	case LINK_USER:
		return link_open_user(options);
	case LINK_SOCKET:
		return link_open_socket(options);
	}
	errno = EINVAL;
	return NULL;
}
