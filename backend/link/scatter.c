// SPDX-License-Identifier: MIT OR GPL-2.0
#include <string.h>

#include "backend/link/scatter.h"

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t scatter_gather(void *data, size_t size, const struct iovec *pieces, unsigned int count)
{
	size_t done = 0, part;
	unsigned int i;

	for (i = 0; i < count && done < size; i++) {
		part = smaller(pieces[i].iov_len, size - done);
		memcpy((char *)data + done, pieces[i].iov_base, part);
		done += part;
	}
	return done;
}

void scatter_spread(const struct iovec *pieces, unsigned int count, const void *data, size_t size)
{
	size_t done = 0, part;
	unsigned int i;

	for (i = 0; i < count && done < size; i++) {
		part = smaller(pieces[i].iov_len, size - done);
		memcpy(pieces[i].iov_base, (const char *)data + done, part);
		done += part;
	}
}
