// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Which engine serves, when the wanted one is not to be had.
 *
 * io_uring can be switched off for a host or forbidden to a container. libaio is the next best with
 * O_DIRECT only: buffered, its "asynchronous" submission blocks, and one slow read would hold up
 * the whole queue; there helper threads do better.
 */
#include <errno.h>
#include <string.h>

#include "backend/store/store.h"
#include "common/log.h"

static const struct store_engine *const engines[] = {
	[STORE_IO_URING] = &store_engine_io_uring,
	[STORE_LIBAIO] = &store_engine_libaio,
	[STORE_THREADS] = &store_engine_threads,
	[STORE_NULL] = &store_engine_null,
};

static const char *hint(enum store_engine_kind kind, int error)
{
	if (kind == STORE_IO_URING && error == EPERM)
		return "see /proc/sys/kernel/io_uring_disabled and the container's seccomp profile";
	if (kind == STORE_IO_URING && error == ENOMEM)
		return "raise the limit of locked memory: ulimit -l";
	if (error == EPERM)
		return "see the container's seccomp profile";
	if (kind == STORE_LIBAIO && error == EAGAIN)
		return "raise /proc/sys/fs/aio-max-nr";
	return "the kernel is too old or was built without it";
}

static enum store_engine_kind next_best(enum store_engine_kind kind, enum store_cache cache)
{
	if (kind == STORE_IO_URING && cache == STORE_CACHE_DIRECT)
		return STORE_LIBAIO;
	return STORE_THREADS;
}

const struct store_engine *store_engine_choose(enum store_engine_kind wanted,
					       enum store_cache cache)
{
	enum store_engine_kind kind = wanted, next;
	int error;

	for (;; kind = next) {
		error = -engines[kind]->probe();
		if (!error)
			return engines[kind];
		next = next_best(kind, cache);
		if (next == kind) {
			log_error("engine %s: %s; no engine is left", engines[kind]->name,
				  strerror(error));
			return NULL;
		}
		log_warn("engine %s is not available here: %s (%s); using %s", engines[kind]->name,
			 strerror(error), hint(kind, error), engines[next]->name);
	}
}
