// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/transport/memory_guard.h"
#include "ring/guest_memory.h"

/* Two full tables of two devices: a table is replaced by building the new one beside the old. */
#define GUARDS_MAX (4 * GUEST_MEMORY_REGIONS_MAX)

/*
 * One writer, the control thread; the readers are signal handlers in any thread. ->end is zero while
 * the slot is empty or being filled. A handler that finds its address in a slot holds it there by
 * being inside that range: its owner stops all such threads before it removes the guard. Slots of
 * others may change under the handler; it reads ->end twice to drop a torn one.
 */
struct guard {
	_Atomic uintptr_t start, end;
	_Atomic size_t page;
	_Atomic int event;
};

static struct guard guards[GUARDS_MAX];
static struct sigaction action_before;

static bool guard_repair(struct guard *guard, uintptr_t address)
{
	const uint64_t one = 1;
	uintptr_t start, end, from;

	end = atomic_load_explicit(&guard->end, memory_order_acquire);
	if (address >= end)
		return false;
	start = atomic_load_explicit(&guard->start, memory_order_acquire);
	if (address < start || atomic_load_explicit(&guard->end, memory_order_relaxed) != end)
		return false;

	/* All that follows a page beyond the end of the file lies beyond it too. */
	from = address & ~(atomic_load_explicit(&guard->page, memory_order_relaxed) - 1);
	if (from < start)
		from = start;
	if (mmap((void *)from, end - from, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return false;
	if (write(atomic_load_explicit(&guard->event, memory_order_relaxed), &one, sizeof(one)) < 0)
		return true; /* saturated: the owner has yet to look */
	return true;
}

/* Async-signal-safe: atomics, mmap and write only. */
static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	int err = errno;
	unsigned int i;

	for (i = 0; i < GUARDS_MAX; i++) {
		if (guard_repair(&guards[i], (uintptr_t)info->si_addr)) {
			errno = err;
			return;
		}
	}
	/* Not ours: the faulting instruction runs again under the disposition of before. */
	sigaction(SIGBUS, &action_before, NULL);
	errno = err;
}

static int handler_install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	struct sigaction current;

	if (sigaction(SIGBUS, NULL, &current))
		return -errno;
	if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_sigbus)
		return 0;
	action_before = current;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

int memory_guard_add(void *base, size_t length, size_t page, int event)
{
	struct guard *guard;
	int err = handler_install();

	if (err)
		return err;
	for (guard = guards; guard < guards + GUARDS_MAX; guard++) {
		if (atomic_load_explicit(&guard->end, memory_order_relaxed))
			continue;
		atomic_store_explicit(&guard->page, page, memory_order_relaxed);
		atomic_store_explicit(&guard->event, event, memory_order_relaxed);
		atomic_store_explicit(&guard->start, (uintptr_t)base, memory_order_relaxed);
		/* Pairs with the handler's acquire: a slot with an end is whole. */
		atomic_store_explicit(&guard->end, (uintptr_t)base + length, memory_order_release);
		return 0;
	}
	return -ENOSPC;
}

void memory_guard_remove(void *base)
{
	struct guard *guard;

	for (guard = guards; guard < guards + GUARDS_MAX; guard++) {
		if (!atomic_load_explicit(&guard->end, memory_order_relaxed) ||
		    atomic_load_explicit(&guard->start, memory_order_relaxed) != (uintptr_t)base)
			continue;
		atomic_store_explicit(&guard->end, 0, memory_order_relaxed);
		/* ->start must not be seen changed under the old ->end. */
		atomic_thread_fence(memory_order_release);
		return;
	}
}
