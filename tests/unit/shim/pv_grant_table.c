// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Grant tables on the shim's side: what is in use stays, also when a back-end dies in the middle of a
 * pin, and what nobody uses any more is free again. Catalogue of robustness: 44, 45, 52.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/grant_table.h"
#include "hypervisor-shim/pv/sealed_memory.h"

#define PAGE      4096
#define REFERENCE 1234
#define OTHER     99999
#define DEAD      7

static struct {
	struct grant_table table;
	struct sealed_memory entries, status, use, ledger[2];
} t;

static int setup(void **state)
{
	size_t ledger = GRANT_TABLE_GRANTS_MAX * sizeof(struct attach_grant_ledger);

	assert_int_equal(sealed_memory_open(&t.entries, "e", GRANT_TABLE_FRAMES * PAGE), 0);
	assert_int_equal(sealed_memory_open(&t.status, "s", GRANT_TABLE_STATUS_FRAMES * PAGE), 0);
	assert_int_equal(
		sealed_memory_open(&t.use, "u",
				   GRANT_TABLE_GRANTS_MAX * sizeof(struct attach_grant_use)),
		0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sealed_memory_open(&t.ledger[i], "l", ledger), 0);
	grant_table_init(&t.table, t.entries.base, t.status.base, t.use.base);
	return 0;
}

static int teardown(void **state)
{
	struct sealed_memory *const all[] = {&t.entries, &t.status, &t.use, &t.ledger[0],
					     &t.ledger[1]};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++)
		sealed_memory_close(all[i]);
	return 0;
}

static struct grant_v1 *entry(uint32_t reference)
{
	return (struct grant_v1 *)t.entries.base + reference;
}

static uint64_t *word(uint32_t reference)
{
	return &t.table.use[reference].word;
}

static uint64_t counts(uint64_t readers, uint64_t writers)
{
	return readers | writers << ATTACH_USE_WRITERS_SHIFT;
}

static uint64_t locked_by(uint64_t owner)
{
	return owner << ATTACH_USE_LOCK_SHIFT;
}

static struct attach_grant_ledger *pins(int ledger, uint32_t reference)
{
	return (struct attach_grant_ledger *)t.ledger[ledger].base + reference;
}

static void give(uint32_t reference)
{
	entry(reference)->frame = 77;
	entry(reference)->domain = 0;
	entry(reference)->flags = GRANT_PERMIT_ACCESS;
}

/* As a back-end with ledger 0 does it. */
static void pin(int ledger, uint32_t reference, bool write)
{
	*word(reference) += counts(1, write);
	entry(reference)->flags |= GRANT_READING | (write ? GRANT_WRITING : 0);
	pins(ledger, reference)->readers++;
	pins(ledger, reference)->writers += write;
}

static void sizes(void **state)
{
	assert_int_equal(grant_table_size(&t.table), GRANT_TABLE_FRAMES * 512);
	grant_table_switch(&t.table, 2);
	assert_int_equal(grant_table_size(&t.table), GRANT_TABLE_FRAMES * 256);
	t.table.frames = 9;
	assert_int_equal(grant_table_status_frames(&t.table), 2);
}

static void clear_spares_what_is_in_use(void **state)
{
	give(REFERENCE);
	give(OTHER);
	pin(0, REFERENCE, true);
	assert_true(grant_table_in_use(&t.table));
	assert_false(grant_table_clear(&t.table));
	assert_int_equal(entry(REFERENCE)->flags,
			 GRANT_PERMIT_ACCESS | GRANT_READING | GRANT_WRITING);
	assert_int_equal(entry(REFERENCE)->frame, 77);
	assert_int_equal(entry(OTHER)->flags, 0);
	grant_table_drop(&t.table, t.ledger[0].base);
	assert_false(grant_table_in_use(&t.table));
	assert_true(grant_table_clear(&t.table));
	assert_int_equal(entry(REFERENCE)->flags, 0);
}

static void clear_keeps_the_version_of_what_is_in_use(void **state)
{
	union grant_v2 *grant = t.entries.base;
	grant_status *status = t.status.base;

	grant_table_switch(&t.table, 2);
	grant[REFERENCE].full_page.header.flags = GRANT_PERMIT_ACCESS;
	status[REFERENCE] = GRANT_READING;
	*word(REFERENCE) = counts(1, 0);
	*pins(0, REFERENCE) = (struct attach_grant_ledger){1, 0};
	assert_false(grant_table_clear(&t.table));
	assert_int_equal(t.table.version, 2);
	assert_int_equal(status[REFERENCE], GRANT_READING);
	grant_table_drop(&t.table, t.ledger[0].base);
	assert_int_equal(status[REFERENCE], 0);
	assert_int_equal(grant[REFERENCE].full_page.header.flags, GRANT_PERMIT_ACCESS);
	assert_true(grant_table_clear(&t.table));
	assert_int_equal(t.table.version, 1);
}

static union grant_v2 *entry_2(uint32_t reference)
{
	return (union grant_v2 *)t.entries.base + reference;
}

static grant_status *status(uint32_t reference)
{
	return (grant_status *)t.status.base + reference;
}

static void reserved_entries_outlive_a_version(void **state)
{
	give(0);
	give(1);
	entry(1)->flags |= GRANT_READONLY;
	pin(0, 1, false);
	entry(2)->flags = GRANT_TRANSFER;
	give(GRANTS_RESERVED);
	assert_false(grant_table_in_use(&t.table));
	assert_int_equal(grant_table_switch(&t.table, 2), 0);
	assert_int_equal(t.table.version, 2);
	assert_int_equal(entry_2(0)->header.flags, GRANT_PERMIT_ACCESS);
	assert_true(entry_2(0)->full_page.frame == 77);
	assert_int_equal(entry_2(1)->header.flags, GRANT_PERMIT_ACCESS | GRANT_READONLY);
	assert_int_equal(*status(0), 0);
	assert_int_equal(*status(1), GRANT_READING);
	assert_int_equal(entry_2(2)->header.flags, 0);
	assert_int_equal(entry_2(GRANTS_RESERVED)->header.flags, 0);
	assert_int_equal(grant_table_switch(&t.table, 1), 0);
	assert_int_equal(entry(0)->flags, GRANT_PERMIT_ACCESS);
	assert_int_equal(entry(1)->flags, GRANT_PERMIT_ACCESS | GRANT_READONLY | GRANT_READING);
	assert_int_equal(entry(1)->frame, 77);
	/* Its pin ends in another version than it began in. */
	assert_int_equal(grant_table_switch(&t.table, 2), 0);
	grant_table_drop(&t.table, t.ledger[0].base);
	assert_int_equal(*status(1), 0);
	assert_true(*word(1) == 0);
}

static void version_1_cannot_say_all(void **state)
{
	assert_int_equal(grant_table_switch(&t.table, 2), 0);
	entry_2(3)->full_page.frame = 1ULL << 32;
	entry_2(3)->header.flags = GRANT_PERMIT_ACCESS;
	entry_2(REFERENCE)->header.flags = GRANT_PERMIT_ACCESS;
	assert_int_equal(grant_table_switch(&t.table, 1), -ERANGE);
	assert_int_equal(t.table.version, 2);
	assert_int_equal(entry_2(REFERENCE)->header.flags, GRANT_PERMIT_ACCESS);
	entry_2(3)->header.flags = GRANT_TRANSITIVE;
	assert_int_equal(grant_table_switch(&t.table, 1), -ERANGE);
	/* Of others nobody asks, and a part of a page is not kept. */
	entry_2(3)->header.flags = GRANT_PERMIT_ACCESS | GRANT_SUB_PAGE;
	entry_2(3)->full_page.frame = 5;
	entry_2(REFERENCE)->header.flags = GRANT_TRANSITIVE;
	assert_int_equal(grant_table_switch(&t.table, 1), 0);
	assert_int_equal(entry(3)->flags, 0);
}

/* The guest can write status frames; it deceives only itself. */
static void the_guests_status_is_not_believed(void **state)
{
	assert_int_equal(grant_table_switch(&t.table, 2), 0);
	entry_2(1)->header.flags = GRANT_PERMIT_ACCESS;
	*word(1) = counts(1, 1);
	*word(REFERENCE) = counts(1, 0);
	*pins(0, REFERENCE) = (struct attach_grant_ledger){1, 0};
	memset(t.status.base, 0, t.status.size);
	assert_true(grant_table_in_use(&t.table));
	memset(t.status.base, 0xff, t.status.size);
	grant_table_drop(&t.table, t.ledger[0].base);
	assert_false(grant_table_in_use(&t.table));
	assert_int_equal(*status(REFERENCE) & (GRANT_READING | GRANT_WRITING), 0);
	memset(t.status.base, 0, t.status.size);
	assert_int_equal(grant_table_switch(&t.table, 1), 0);
	assert_int_equal(entry(1)->flags, GRANT_PERMIT_ACCESS | GRANT_READING | GRANT_WRITING);
	assert_int_equal(entry(0)->flags, 0);
}

static void the_dead_ones_pins_are_dropped(void **state)
{
	give(REFERENCE);
	pin(0, REFERENCE, true);
	pin(1, REFERENCE, false);
	pin(1, REFERENCE, false);
	grant_table_drop(&t.table, t.ledger[0].base);
	assert_true(*word(REFERENCE) == counts(2, 0));
	assert_int_equal(entry(REFERENCE)->flags, GRANT_PERMIT_ACCESS | GRANT_READING);
	assert_int_equal(pins(0, REFERENCE)->readers, 0);
	grant_table_drop(&t.table, t.ledger[1].base);
	assert_true(*word(REFERENCE) == 0);
	assert_int_equal(entry(REFERENCE)->flags, GRANT_PERMIT_ACCESS);
}

/* It set the flag, and had not counted yet. */
static void died_while_pinning(void **state)
{
	give(REFERENCE);
	entry(REFERENCE)->flags |= GRANT_READING | GRANT_WRITING;
	*word(REFERENCE) = locked_by(DEAD);
	*word(OTHER) = locked_by(DEAD + 1) | counts(1, 0);
	grant_table_break_locks(&t.table, DEAD);
	assert_true(*word(REFERENCE) == 0);
	assert_int_equal(entry(REFERENCE)->flags, GRANT_PERMIT_ACCESS);
	assert_true(*word(OTHER) == (locked_by(DEAD + 1) | counts(1, 0)));
}

/* The ledger first, then the flag; the count was still to come. */
static void died_while_unpinning(void **state)
{
	struct attach_grant_ledger *const none[] = {t.ledger[0].base};

	give(REFERENCE);
	*word(REFERENCE) = locked_by(DEAD) | counts(1, 1);
	grant_table_break_locks(&t.table, DEAD);
	/* Too high, so the flags are there again: a guest does not get the page back too early. */
	assert_true(*word(REFERENCE) == counts(1, 1));
	assert_int_equal(entry(REFERENCE)->flags,
			 GRANT_PERMIT_ACCESS | GRANT_READING | GRANT_WRITING);
	grant_table_recount(&t.table, none, 1);
	assert_true(*word(REFERENCE) == 0);
	assert_int_equal(entry(REFERENCE)->flags, GRANT_PERMIT_ACCESS);
}

static void recounting_adds_up_ledgers(void **state)
{
	struct attach_grant_ledger *const both[] = {t.ledger[0].base, t.ledger[1].base};

	give(REFERENCE);
	*pins(0, REFERENCE) = (struct attach_grant_ledger){2, 1};
	*pins(1, REFERENCE) = (struct attach_grant_ledger){3, 0};
	*word(REFERENCE) = counts(50, 40);
	*word(OTHER) = counts(1, 1);
	entry(OTHER)->flags = GRANT_PERMIT_ACCESS | GRANT_READING | GRANT_WRITING;
	grant_table_recount(&t.table, both, 2);
	assert_true(*word(REFERENCE) == counts(5, 1));
	assert_int_equal(entry(REFERENCE)->flags,
			 GRANT_PERMIT_ACCESS | GRANT_READING | GRANT_WRITING);
	assert_true(*word(OTHER) == 0);
	assert_int_equal(entry(OTHER)->flags, GRANT_PERMIT_ACCESS);
}

/* Numbers that a hostile back-end made up, and locks that it never gives back. */
static void nonsense_is_bounded(void **state)
{
	struct attach_grant_ledger *const ledger[] = {t.ledger[0].base};

	for (uint32_t i = 0; i < grant_table_size(&t.table); i += 3) {
		*word(i) = locked_by(3) | counts(1, 0);
		*pins(0, i) = (struct attach_grant_ledger){UINT32_MAX, UINT32_MAX};
	}
	grant_table_drop(&t.table, t.ledger[0].base);
	assert_false(grant_table_in_use(&t.table));
	*pins(0, 5) = (struct attach_grant_ledger){UINT32_MAX, UINT32_MAX};
	grant_table_recount(&t.table, ledger, 1);
	assert_true(*word(5) == counts(ATTACH_USE_READERS_MASK, ATTACH_USE_READERS_MASK));
	memset(t.use.base, 0xff, t.use.size);
	grant_table_break_locks(&t.table, DEAD);
	assert_false(grant_table_clear(&t.table));
	grant_table_wipe(&t.table);
	assert_false(grant_table_in_use(&t.table));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sizes),
		TEST(clear_spares_what_is_in_use),
		TEST(clear_keeps_the_version_of_what_is_in_use),
		TEST(reserved_entries_outlive_a_version),
		TEST(version_1_cannot_say_all),
		TEST(the_guests_status_is_not_believed),
		TEST(the_dead_ones_pins_are_dropped),
		TEST(died_while_pinning),
		TEST(died_while_unpinning),
		TEST(recounting_adds_up_ledgers),
		TEST(nonsense_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
