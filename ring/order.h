/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Memory order by name. Fields that a peer can change are touched only through these.
 *
 * Each access is also a single access: the compiler may neither repeat nor tear it, so a value that
 * was read is a snapshot that the peer cannot change any more. On x86 all but the full barrier are
 * plain moves; what they cost is the compiler's freedom only.
 *
 *   order_load_relaxed    a snapshot of a field whose order something else provides
 *   order_store_relaxed   a field that a later release makes visible
 *   order_load_acquire    an index or flag: what the peer wrote before it is visible after it
 *   order_store_release   an index or flag: what was written before it is visible with it
 *   order_full_barrier    between a store and a load of another field, where both sides do the same
 *                         crosswise (publish, then look whether the peer sleeps; arm, then look for
 *                         work): without it both may read the old value, and nobody wakes anybody
 */
#ifndef PVKIT_RING_ORDER_H
#define PVKIT_RING_ORDER_H

#ifdef __KERNEL__

/* virt_: also in a guest kernel built for one CPU, since the peer runs on another one. */
#include <asm/barrier.h>
#include <linux/compiler.h>

#define order_load_relaxed(field)	  READ_ONCE(*(field))
#define order_store_relaxed(field, value) WRITE_ONCE(*(field), value)
#define order_load_acquire(field)	  virt_load_acquire(field)
#define order_store_release(field, value) virt_store_release(field, value)
#define order_full_barrier()		  virt_mb()

#else

#define order_load_relaxed(field)	  __atomic_load_n(field, __ATOMIC_RELAXED)
#define order_store_relaxed(field, value) __atomic_store_n(field, value, __ATOMIC_RELAXED)
#define order_load_acquire(field)	  __atomic_load_n(field, __ATOMIC_ACQUIRE)
#define order_store_release(field, value) __atomic_store_n(field, value, __ATOMIC_RELEASE)

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PVKIT_ORDER_TSAN
#endif
#elif defined(__SANITIZE_THREAD__)
#define PVKIT_ORDER_TSAN
#endif

static inline void order_full_barrier(void)
{
#ifdef PVKIT_ORDER_TSAN
	/* The sanitizer knows no fences; a locked operation is one for the CPU. */
	int fence = 0;

	__atomic_fetch_add(&fence, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#endif

#endif
