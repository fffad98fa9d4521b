/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The descriptors that end a sleep, for engines that sleep in ppoll().
 */
#ifndef PVKIT_BACKEND_STORE_WATCH_H
#define PVKIT_BACKEND_STORE_WATCH_H

#include <poll.h>

#include "backend/store/store.h"

#define STORE_WATCH_OWN 2 /* an engine's own, beside the caller's */

struct store_watch {
	struct pollfd fds[STORE_WATCH_MAX + STORE_WATCH_OWN];
	unsigned int count;
};

void store_watch_init(struct store_watch *watch, const struct store_queue_options *options);
void store_watch_add(struct store_watch *watch, int fd);
/* Until one is readable or @timeout_us are over; < 0: no timeout. */
void store_watch_sleep(struct store_watch *watch, int64_t timeout_us);

#endif
