/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Copies between a frame in one piece and a frame in many: for links that cannot do without.
 */
#ifndef PVKIT_BACKEND_LINK_SCATTER_H
#define PVKIT_BACKEND_LINK_SCATTER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The bytes of @pieces into @data. Answers how many, at most @size. */
size_t scatter_gather(void *data, size_t size, const struct iovec *pieces, unsigned int count);
/* @size bytes into @pieces; what does not fit is left off. */
void scatter_spread(const struct iovec *pieces, unsigned int count, const void *data, size_t size);

#endif
