/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Copies of the statistics pages of the daemons that run on this host.
 */
#ifndef PVKIT_TOOLS_TOP_PAGE_H
#define PVKIT_TOOLS_TOP_PAGE_H

#include <stdint.h>
#include <sys/types.h>

#include "abi/stats.h"

/* One page as it was at one moment; it is private memory and was checked. */
struct page {
	struct page *next;
	uint64_t taken_ns; /* CLOCK_MONOTONIC */
	struct stats_header header; /* its texts are terminated */
	unsigned int queues;
	struct stats_queue queue[];
};

/*
 * Reads all pages of living daemons, by program and pid; only that of @pid when it is not 0. NULL
 * when there is none.
 */
struct page *page_read_all(pid_t pid);
void page_free_all(struct page *pages);

/* The page of the same daemon in another reading, or NULL. */
const struct page *page_find(const struct page *pages, const struct page *same);

#endif
