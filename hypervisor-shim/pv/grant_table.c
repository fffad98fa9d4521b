// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/grant_table.h"

#include <errno.h>
#include <string.h>

#include "abi/xen_ring.h"
#include "ring/order.h"

#define PAGE        XEN_RING_PAGE_BYTES
#define USE_FLAGS   (GRANT_READING | GRANT_WRITING)
#define PATIENCE    1000000 /* looks at locks, in all: under one a back-end does ten instructions */
#define COUNTS_MASK (ATTACH_USE_READERS_MASK | ATTACH_USE_WRITERS_MASK)

void grant_table_init(struct grant_table *table, void *entries, void *status, void *use)
{
	*table = (struct grant_table){
		.version = 1,
		.frames = 1,
		.entries = entries,
		.status = status,
		.use = use,
	};
}

uint32_t grant_table_size(const struct grant_table *table)
{
	return GRANT_TABLE_FRAMES * (table->version == 2 ? GRANT_V2_PER_FRAME : GRANT_V1_PER_FRAME);
}

uint32_t grant_table_status_frames(const struct grant_table *table)
{
	uint32_t entries = table->frames * GRANT_V2_PER_FRAME;

	return (entries + GRANT_STATUS_PER_FRAME - 1) / GRANT_STATUS_PER_FRAME;
}

static uint32_t readers_of(uint64_t word)
{
	return word & ATTACH_USE_READERS_MASK;
}

static uint32_t writers_of(uint64_t word)
{
	return (word & ATTACH_USE_WRITERS_MASK) >> ATTACH_USE_WRITERS_SHIFT;
}

static uint64_t use_word(uint32_t readers, uint32_t writers)
{
	return readers | (uint64_t)writers << ATTACH_USE_WRITERS_SHIFT;
}

static uint16_t *use_flags(struct grant_table *table, uint32_t reference)
{
	if (table->version == 2)
		return &table->status[reference];
	return (uint16_t *)(table->entries + (size_t)reference * sizeof(struct grant_v1));
}

/*
 * Makes the use flags say what the counts say. Single locked operations, since the guest and
 * back-ends change other bits of the same word meanwhile. Release: a guest that sees the flag clear
 * takes the page back, after all that was done to it.
 */
static void set_flags(struct grant_table *table, uint32_t reference, uint64_t word)
{
	uint16_t *flags = use_flags(table, reference);
	uint16_t set =
		(readers_of(word) ? GRANT_READING : 0) | (writers_of(word) ? GRANT_WRITING : 0);

	if (set)
		__atomic_fetch_or(flags, set, __ATOMIC_SEQ_CST);
	if (set != USE_FLAGS && order_load_relaxed(flags) & USE_FLAGS & ~set)
		__atomic_fetch_and(flags, (uint16_t) ~(USE_FLAGS & ~set), __ATOMIC_RELEASE);
}

static bool is_used(const struct grant_table *table, uint32_t reference)
{
	return order_load_acquire(&table->use[reference].word) != 0;
}

bool grant_table_in_use(const struct grant_table *table)
{
	for (uint32_t i = GRANTS_RESERVED; i < grant_table_size(table); i++) {
		if (is_used(table, i))
			return true;
	}
	return false;
}

static void empty(struct grant_table *table, uint32_t version)
{
	memset(table->entries, 0, (size_t)GRANT_TABLE_FRAMES * PAGE);
	memset(table->status, 0, (size_t)GRANT_TABLE_STATUS_FRAMES * PAGE);
	table->version = version;
}

/* ---- another version -------------------------------------------------------------------------- */

/* A grant of a page, in either layout; other types are not kept. */
struct kept {
	struct grant_header header; /* ->flags 0: none */
	uint64_t frame;
};

/*
 * Other vCPUs of the guest may write these entries meanwhile: each field is read once. The use flags
 * are not taken from here, where the guest can set them, but from the counts.
 */
static int keep_one(const struct grant_table *table, uint32_t reference, struct kept *kept)
{
	const struct grant_v1 *v1 = (const struct grant_v1 *)table->entries + reference;
	const union grant_v2 *v2 = (const union grant_v2 *)table->entries + reference;
	bool second = table->version == 2;
	uint16_t flags = order_load_acquire(second ? &v2->header.flags : &v1->flags);
	unsigned int type = flags & GRANT_TYPE_MASK;

	*kept = (struct kept){0};
	if (second && type == GRANT_TRANSITIVE)
		return -ERANGE;
	if (type != GRANT_PERMIT_ACCESS || (second && flags & GRANT_SUB_PAGE))
		return 0;
	kept->header.flags = flags & (GRANT_TYPE_MASK | GRANT_READONLY);
	kept->header.domain = order_load_relaxed(second ? &v2->header.domain : &v1->domain);
	kept->frame =
		second ? order_load_relaxed(&v2->full_page.frame) : order_load_relaxed(&v1->frame);
	return second && kept->frame > UINT32_MAX ? -ERANGE : 0;
}

/* Release: whoever sees the flags sees the rest. */
static void put_one(struct grant_table *table, uint32_t reference, const struct kept *kept)
{
	struct grant_v1 *v1 = (struct grant_v1 *)table->entries + reference;
	union grant_v2 *v2 = (union grant_v2 *)table->entries + reference;

	if (table->version == 2) {
		order_store_relaxed(&v2->header.domain, kept->header.domain);
		order_store_relaxed(&v2->full_page.frame, kept->frame);
		order_store_release(&v2->header.flags, kept->header.flags);
	} else {
		order_store_relaxed(&v1->domain, kept->header.domain);
		order_store_relaxed(&v1->frame, (uint32_t)kept->frame);
		order_store_release(&v1->flags, kept->header.flags);
	}
	set_flags(table, reference, order_load_acquire(&table->use[reference].word));
}

int grant_table_switch(struct grant_table *table, uint32_t version)
{
	struct kept kept[GRANTS_RESERVED];

	for (uint32_t i = 0; i < GRANTS_RESERVED; i++) {
		if (keep_one(table, i, &kept[i]) < 0)
			return -ERANGE;
	}
	empty(table, version);
	for (uint32_t i = 0; i < GRANTS_RESERVED; i++)
		put_one(table, i, &kept[i]);
	return 0;
}

/* ---- a guest that starts anew ----------------------------------------------------------------- */

void grant_table_wipe(struct grant_table *table)
{
	memset(table->use, 0, (size_t)GRANT_TABLE_GRANTS_MAX * sizeof(*table->use));
	empty(table, 1);
	table->frames = 1;
}

bool grant_table_clear(struct grant_table *table)
{
	size_t bytes = table->version == 2 ? sizeof(union grant_v2) : sizeof(struct grant_v1);
	bool clear = true;

	for (uint32_t i = 0; i < grant_table_size(table); i++) {
		if (is_used(table, i)) {
			clear = false;
			continue;
		}
		memset(table->entries + i * bytes, 0, bytes);
		if (table->version == 2)
			table->status[i] = 0;
	}
	if (clear) {
		empty(table, 1);
		table->frames = 1;
	}
	return clear;
}

/* ---- back-ends that died ---------------------------------------------------------------------- */

/*
 * It died between lock and store. Its counts stand as they were before; the flags may be those of
 * before or of after, so they are made those of before. That is never too little: an unpin takes its
 * pin out of the ledger first, so what is too high here, a recount finds.
 */
void grant_table_break_locks(struct grant_table *table, uint16_t owner)
{
	for (uint32_t i = 0; i < grant_table_size(table); i++) {
		uint64_t word = order_load_acquire(&table->use[i].word);

		if ((word & ATTACH_USE_LOCK_MASK) >> ATTACH_USE_LOCK_SHIFT != owner)
			continue;
		set_flags(table, i, word);
		order_store_release(&table->use[i].word, word & COUNTS_MASK);
	}
}

/* The word without a lock, which is ours then. */
static uint64_t lock(struct attach_grant_use *use, unsigned int *patience)
{
	const uint64_t ours = (uint64_t)GRANT_TABLE_OWNER << ATTACH_USE_LOCK_SHIFT;
	uint64_t word = order_load_relaxed(&use->word);

	for (;;) {
		uint64_t counts = word & COUNTS_MASK;

		if (word & ATTACH_USE_LOCK_MASK) {
			if (!*patience)
				break;
			--*patience;
			__builtin_ia32_pause();
			word = order_load_relaxed(&use->word);
		} else if (__atomic_compare_exchange_n(&use->word, &word, counts | ours, false,
						       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return counts;
		}
	}
	/*
	 * A back-end that never lets go, or made the lock up: it has no claim to it. One that was
	 * merely slow stores a count that is too high.
	 */
	__atomic_store_n(&use->word, (word & COUNTS_MASK) | ours, __ATOMIC_SEQ_CST);
	return word & COUNTS_MASK;
}

static uint32_t less(uint32_t count, uint32_t drop)
{
	return count > drop ? count - drop : 0;
}

static void drop_one(struct grant_table *table, uint32_t reference,
		     const struct attach_grant_ledger *pins, unsigned int *patience)
{
	struct attach_grant_use *use = &table->use[reference];
	uint64_t word = lock(use, patience);

	word = use_word(less(readers_of(word), pins->readers),
			less(writers_of(word), pins->writers));
	set_flags(table, reference, word);
	order_store_release(&use->word, word);
}

void grant_table_drop(struct grant_table *table, struct attach_grant_ledger *ledger)
{
	unsigned int patience = PATIENCE;

	for (uint32_t i = 0; i < grant_table_size(table); i++) {
		struct attach_grant_ledger pins = {
			.readers = order_load_relaxed(&ledger[i].readers),
			.writers = order_load_relaxed(&ledger[i].writers),
		};

		if (!pins.readers && !pins.writers)
			continue;
		drop_one(table, i, &pins, &patience);
		ledger[i] = (struct attach_grant_ledger){0};
	}
}

static uint64_t sum(struct attach_grant_ledger *const *ledgers, unsigned int count,
		    uint32_t reference)
{
	uint64_t readers = 0, writers = 0;

	for (unsigned int i = 0; i < count; i++) {
		readers += ledgers[i][reference].readers;
		writers += ledgers[i][reference].writers;
	}
	if (readers > ATTACH_USE_READERS_MASK)
		readers = ATTACH_USE_READERS_MASK;
	if (writers > ATTACH_USE_READERS_MASK)
		writers = ATTACH_USE_READERS_MASK;
	return use_word((uint32_t)readers, (uint32_t)writers);
}

void grant_table_recount(struct grant_table *table, struct attach_grant_ledger *const *ledgers,
			 unsigned int count)
{
	for (uint32_t i = 0; i < grant_table_size(table); i++) {
		uint64_t word = sum(ledgers, count, i);

		if (order_load_acquire(&table->use[i].word) == word)
			continue;
		set_flags(table, i, word);
		order_store_release(&table->use[i].word, word);
	}
}
