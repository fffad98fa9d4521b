// SPDX-License-Identifier: MIT OR GPL-2.0
#include <time.h>

#include "backend/store/watch.h"

void store_watch_add(struct store_watch *watch, int fd)
{
	watch->fds[watch->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

void store_watch_init(struct store_watch *watch, const struct store_queue_options *options)
{
	unsigned int i;

	watch->count = 0;
	for (i = 0; i < options->watch_count; i++)
		store_watch_add(watch, options->watch[i]);
}

void store_watch_sleep(struct store_watch *watch, int64_t timeout_us)
{
	struct timespec timeout = {timeout_us / 1000000, timeout_us % 1000000 * 1000};

	ppoll(watch->fds, watch->count, timeout_us < 0 ? NULL : &timeout, NULL);
}
