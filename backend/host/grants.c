// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Pins, by the protocol of abi/attach.h "use counts".
 *
 * Three parties touch the same words: the guest gives and takes back in the entries, other back-ends
 * count in the use words, and our own threads do both. What keeps a page from going back too early is
 * that the use flag is set before the frame is read and cleared after the last access, each with a
 * locked instruction; what keeps the flag right between back-ends is the lock in the use word.
 *
 * Of the entry nothing is believed but what one load of its header said; the frame is read once,
 * after the use flag is in, and means nothing before it went through the door of guest memory.
 */
#include <errno.h>
#include <immintrin.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "backend/host/host_private.h"
#include "ring/order.h"

#define USE_COUNT_MAX ATTACH_USE_READERS_MASK
#define USE_READER    1ULL
#define USE_WRITER    (1ULL << ATTACH_USE_WRITERS_SHIFT)

/*
 * A lock is held for some instructions, or by one that died: the shim then takes it away. One of our own
 * is held by a thread that gets no processor, and is worth a longer wait.
 */
#define LOCK_SPINS       1000
#define LOCK_WAIT_NS     200000000ULL
#define LOCK_OWN_WAIT_NS 10000000000ULL

#define FRAME_SHIFT 12
#define FRAMES_END  (1ULL << (64 - FRAME_SHIFT))

static uint64_t readers(uint64_t word)
{
	return word & ATTACH_USE_READERS_MASK;
}

static uint64_t writers(uint64_t word)
{
	return (word & ATTACH_USE_WRITERS_MASK) >> ATTACH_USE_WRITERS_SHIFT;
}

static bool locked(uint64_t word)
{
	return word & ~(ATTACH_USE_READERS_MASK | ATTACH_USE_WRITERS_MASK);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Lets the holder of the lock in the word go on; false when it took too long. */
static bool wait_for_lock(const struct host *host, uint64_t word, unsigned int *spins,
			  uint64_t *start)
{
	const bool own = (word & ATTACH_USE_LOCK_MASK) >> ATTACH_USE_LOCK_SHIFT ==
			 host->welcome.owner;

	if (++*spins < LOCK_SPINS) {
		_mm_pause();
		return true;
	}
	if (!*start)
		*start = now_ns();
	sched_yield();
	return now_ns() - *start < (own ? LOCK_OWN_WAIT_NS : LOCK_WAIT_NS);
}

/*
 * Takes the lock of the word, which the caller then has for some instructions; *was is the word without
 * it. -EBUSY: somebody else keeps it.
 *
 * A count that neither comes from 0 nor goes there could be changed without the lock. But it also covers
 * our ledger against our other threads, which would cost a locked instruction of its own: more than what
 * a pin that is shared would save.
 */
static int use_lock(struct host *host, uint64_t *word, uint64_t *was)
{
	const uint64_t lock = (uint64_t)host->welcome.owner << ATTACH_USE_LOCK_SHIFT;
	uint64_t start = 0;
	unsigned int spins = 0;

	*was = __atomic_load_n(word, __ATOMIC_RELAXED);
	for (;;) {
		if (locked(*was)) {
			if (!wait_for_lock(host, *was, &spins, &start))
				return -EBUSY;
			*was = __atomic_load_n(word, __ATOMIC_RELAXED);
			continue;
		}
		if (__atomic_compare_exchange_n(word, was, *was | lock, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return 0;
	}
}

/* With all that was done under the lock before it. */
static void use_unlock(uint64_t *word, uint64_t value)
{
	order_store_release(word, value);
}

/* Only under the lock of the grant's word, by which no other thread of ours is here. */
static void ledger_add(struct host *host, uint32_t reference, bool write, int n)
{
	struct attach_grant_ledger *entry;

	if (!host->grants.ledger)
		return;
	entry = &host->grants.ledger[reference];
	/* Release: on the way up the count stands before this, on the way down behind it. */
	order_store_release(&entry->readers, order_load_relaxed(&entry->readers) + n);
	if (write)
		order_store_release(&entry->writers, order_load_relaxed(&entry->writers) + n);
}

/* ---- the entry ------------------------------------------------------------------------------- */

static uint32_t *entry_header(const struct host_grants *grants, uint32_t reference)
{
	if (grants->table.version == 2)
		return (uint32_t *)((union grant_v2 *)grants->entries + reference);
	return (uint32_t *)((struct grant_v1 *)grants->entries + reference);
}

static bool permitted(const struct host *host, uint32_t word, bool write)
{
	struct grant_header header;

	memcpy(&header, &word, sizeof(header));
	if ((header.flags & GRANT_TYPE_MASK) != GRANT_PERMIT_ACCESS ||
	    header.domain != host->welcome.backend_domain)
		return false;
	/* A part of a page is for the hypervisor's copies: whoever maps it would see the rest. */
	if (host->grants.table.version == 2 && header.flags & GRANT_SUB_PAGE)
		return false;
	return !write || !(header.flags & GRANT_READONLY);
}

/* Version 1: the use flags go into the header by the same exchange that checks it. */
static bool mark_v1(struct host *host, uint32_t reference, bool write)
{
	uint32_t *header = entry_header(&host->grants, reference);
	uint32_t old = __atomic_load_n(header, __ATOMIC_ACQUIRE);
	const uint32_t use = GRANT_READING | (write ? GRANT_WRITING : 0);

	/* A guest that keeps changing it has no grant worth having. */
	for (int tries = 0; tries < 16; tries++) {
		if (!permitted(host, old, write))
			return false;
		if (__atomic_compare_exchange_n(header, &old, old | use, false, __ATOMIC_SEQ_CST,
						__ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

/* Version 2: into the status, then the header again; the guest clears that and then looks here. */
static bool mark_v2(struct host *host, uint32_t reference, bool write, bool first_reader)
{
	uint32_t *header = entry_header(&host->grants, reference);
	grant_status *status = &host->grants.status[reference];
	const grant_status use = GRANT_READING | (write ? GRANT_WRITING : 0);

	if (!permitted(host, __atomic_load_n(header, __ATOMIC_ACQUIRE), write))
		return false;
	__atomic_fetch_or(status, use, __ATOMIC_SEQ_CST);
	order_full_barrier();
	if (permitted(host, __atomic_load_n(header, __ATOMIC_ACQUIRE), write))
		return true;
	/* Only what this pin brought: under the lock, nobody else came meanwhile. */
	__atomic_fetch_and(status, (grant_status) ~(first_reader ? use : GRANT_WRITING),
			   __ATOMIC_SEQ_CST);
	return false;
}

static void unmark(struct host *host, uint32_t reference, uint32_t use)
{
	uint16_t *flags;

	/* flags are the first half of the header */
	flags = host->grants.table.version == 2
			? &host->grants.status[reference]
			: (uint16_t *)entry_header(&host->grants, reference);
	__atomic_fetch_and(flags, (uint16_t)~use, __ATOMIC_SEQ_CST);
}

static uint64_t entry_frame(const struct host_grants *grants, uint32_t reference)
{
	if (grants->table.version == 2)
		return order_load_relaxed(
			&((union grant_v2 *)grants->entries)[reference].full_page.frame);
	return order_load_relaxed(&((struct grant_v1 *)grants->entries)[reference].frame);
}

/* ---- pin and unpin --------------------------------------------------------------------------- */

static bool mark(struct host *host, uint32_t reference, bool write, uint64_t was)
{
	if (host->grants.table.version == 2)
		return mark_v2(host, reference, write, !readers(was));
	return mark_v1(host, reference, write);
}

static int count_up(struct host *host, uint32_t reference, bool write)
{
	const uint64_t lock = (uint64_t)host->welcome.owner << ATTACH_USE_LOCK_SHIFT;
	uint64_t *word = &host->grants.use[reference].word, was, now;
	int err = 0;

	/* Also when it is in use already: the entry decides about each pin. */
	if (!permitted(host,
		       __atomic_load_n(entry_header(&host->grants, reference), __ATOMIC_ACQUIRE),
		       write))
		return -EACCES;
	err = use_lock(host, word, &was);
	if (err)
		return err;
	now = was + USE_READER + (write ? USE_WRITER : 0);
	if (readers(was) == USE_COUNT_MAX || writers(was) == USE_COUNT_MAX)
		err = -EOVERFLOW;
	else if ((!readers(was) || (write && !writers(was))) && !mark(host, reference, write, was))
		err = -EACCES;
	if (!err) {
		/* Who dies here leaves a count too high, never a ledger that says more than it. */
		order_store_relaxed(word, now | lock);
		ledger_add(host, reference, write, 1);
	}
	use_unlock(word, err ? was : now);
	return err;
}

/*
 * False when somebody keeps the lock. Count and ledger then stay as they are: both still say this pin, so
 * what takes the one back by the other, our sweep or the shim after our end, takes this one back as well.
 * The ledger alone must not change, since another thread of ours may get the lock at any moment.
 */
static bool count_down(struct host *host, uint32_t reference, bool write)
{
	static struct log_limit limit;
	uint64_t *word = &host->grants.use[reference].word, was;
	int err = use_lock(host, word, &was);
	uint32_t clear = 0;

	if (err) {
		log_peer(&limit,
			 "grant %u: its use count stays locked; the guest does not get that page "
			 "back before this program ends",
			 reference);
		return false;
	}
	ledger_add(host, reference, write, -1);
	/* Somebody counted wrongly where a count is 0; it then stays so. */
	if (write && writers(was) <= 1) {
		clear |= GRANT_WRITING;
		was &= ~ATTACH_USE_WRITERS_MASK;
	} else if (write) {
		was -= USE_WRITER;
	}
	if (readers(was) <= 1) {
		clear |= GRANT_READING;
		was &= ~ATTACH_USE_READERS_MASK;
	} else {
		was -= USE_READER;
	}
	if (clear)
		unmark(host, reference, clear);
	use_unlock(word, was);
	return true;
}

int host_pin(struct host *host, struct host_pin *pin)
{
	const struct guest_memory *memory = pin->write ? &host->memory.writable : &host->memory.all;
	uint64_t frame;
	int err;

	pin->page = NULL;
	if (pin->reference >= host->grants.table.grants)
		return -ENOENT;
	err = count_up(host, pin->reference, pin->write);
	if (err)
		return err;
	frame = entry_frame(&host->grants, pin->reference);
	if (frame < FRAMES_END)
		pin->page = guest_memory_at(memory, frame << FRAME_SHIFT, HOST_PAGE_BYTES);
	if (pin->page)
		return 0;
	count_down(host, pin->reference, pin->write);
	return -EFAULT;
}

void host_unpin(struct host *host, struct host_pin *pin)
{
	if (!pin->page)
		return;
	pin->page = NULL;
	/* The table may not have shrunk under a pin, but then it would not be ours to read. */
	if (pin->reference >= host->grants.table.grants)
		return;
	count_down(host, pin->reference, pin->write);
}

int host_pin_many(struct host *host, struct host_pin *pins, unsigned int count)
{
	unsigned int i;
	int err;

	for (i = 0; i < count; i++) {
		err = host_pin(host, &pins[i]);
		if (err) {
			host_unpin_many(host, pins, i);
			return err;
		}
	}
	return 0;
}

void host_unpin_many(struct host *host, struct host_pin *pins, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		host_unpin(host, &pins[i]);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Each array is within the file, aligned, and no sum wraps. */
static bool table_plausible(const struct host *host, const struct attach_grant_table *table)
{
	uint64_t entry = table->version == 2 ? sizeof(union grant_v2) : sizeof(struct grant_v1);
	uint64_t pending = sizeof(struct platform_pending) + (host->welcome.ports + 63ULL) / 64 * 8;

	if (table->version != 1 && table->version != 2)
		return false;
	if ((table->entries_offset | table->status_offset | table->pending_offset) &
	    (sizeof(uint64_t) - 1))
		return false;
	if (table->entries_offset > table->size ||
	    table->grants * entry > table->size - table->entries_offset ||
	    table->pending_offset > table->size || pending > table->size - table->pending_offset)
		return false;
	return table->version == 1 ||
	       (table->status_offset <= table->size &&
		table->grants * sizeof(grant_status) <= table->size - table->status_offset);
}

static int map_counts(struct host *host, const struct attach_grant_table *table, const int *fds,
		      bool ledger)
{
	struct host_grants *grants = &host->grants;
	int err;

	err = host_mapping_open(&grants->use_counts, fds[1], 0,
				table->grants * sizeof(struct attach_grant_use), false,
				host->guard);
	if (err || !ledger)
		return err;
	return host_mapping_open(&grants->own, fds[2], 0,
				 table->grants * sizeof(struct attach_grant_ledger), false,
				 host->guard);
}

int host_grants_map(struct host *host, const struct attach_grant_table *table, const int *fds,
		    unsigned int fd_count)
{
	struct host_grants *grants = &host->grants;
	bool ledger = host->welcome.features >> ATTACH_F_LEDGER & 1;
	int err;

	host_grants_unmap(host);
	if (!table_plausible(host, table) || fd_count != (ledger ? 3U : 2U))
		return -EPROTO;
	err = host_mapping_open(&grants->shared, fds[0], 0, table->size, false, host->guard);
	/* A table without references is one that changes: another comes. */
	if (!err && table->grants)
		err = map_counts(host, table, fds, ledger);
	if (err) {
		host_grants_unmap(host);
		return err;
	}
	grants->entries = grants->shared.data + table->entries_offset;
	grants->status = (grant_status *)(grants->shared.data + table->status_offset);
	grants->pending = (struct platform_pending *)(grants->shared.data + table->pending_offset);
	grants->use = (struct attach_grant_use *)grants->use_counts.data;
	grants->ledger = (struct attach_grant_ledger *)grants->own.data;
	grants->table = *table;
	return 0;
}

void host_grants_unmap(struct host *host)
{
	host_mapping_close(&host->grants.shared);
	host_mapping_close(&host->grants.use_counts);
	host_mapping_close(&host->grants.own);
	memset(&host->grants, 0, sizeof(host->grants));
}

uint64_t host_grants_sweep(struct host *host)
{
	struct attach_grant_ledger *ledger = host->grants.ledger;
	uint64_t found = 0;
	uint32_t i;

	for (i = 0; ledger && i < host->grants.table.grants; i++) {
		while (ledger[i].readers) {
			bool write = ledger[i].writers;

			/* The ledger is the shim's to read, but nobody's to make endless. */
			if (++found > USE_COUNT_MAX)
				return found;
			if (!count_down(host, i, write))
				break;
		}
	}
	return found;
}
