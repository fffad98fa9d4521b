// SPDX-License-Identifier: MIT OR GPL-2.0
/* Pins: flags and counts exactly as abi/attach.h says, whatever guest and other back-ends do. */
#include "fake_shim.h"

#include <sched.h>
#include <time.h>

struct pins {
	struct fake_shim shim;
	struct host *host;
};

static int open_version(void **state, unsigned int version)
{
	struct pins *t = calloc(1, sizeof(*t));
	struct host_options options = {.name = "pins"};

	fake_shim_init(&t->shim, version);
	assert_int_equal(control_open(), 0);
	options.fd = fake_shim_start(&t->shim);
	t->host = host_open(&options);
	assert_non_null(t->host);
	*state = t;
	return 0;
}

static int open_v1(void **state)
{
	return open_version(state, 1);
}

static int open_v2(void **state)
{
	return open_version(state, 2);
}

static int close_all(void **state)
{
	struct pins *t = *state;

	host_close(t->host);
	control_close();
	fake_shim_close(&t->shim);
	free(t);
	return 0;
}

static struct attach_grant_ledger ledger(struct pins *t, uint32_t reference)
{
	return t->shim.ledger[reference];
}

static void test_flags(void **state)
{
	struct pins *t = *state;
	uint64_t page = guest_page(&t->shim);
	uint32_t reference = guest_grant(&t->shim, page, false);
	struct host_pin a = {.reference = reference}, b = {.reference = reference, .write = true},
			c = b;

	assert_int_equal(host_pin(t->host, &a), 0);
	memcpy(guest_at(&t->shim, page), "seen", 5);
	assert_string_equal(a.page, "seen");
	assert_int_equal(guest_use(&t->shim, reference), GRANT_READING);
	assert_int_equal(t->shim.use[reference].word, 1);

	assert_int_equal(host_pin(t->host, &b), 0);
	assert_int_equal(guest_use(&t->shim, reference), GRANT_READING | GRANT_WRITING);
	assert_int_equal(host_pin(t->host, &c), 0);
	assert_int_equal(t->shim.use[reference].word, 3 | 2ULL << ATTACH_USE_WRITERS_SHIFT);
	assert_int_equal(ledger(t, reference).readers, 3);
	assert_int_equal(ledger(t, reference).writers, 2);
	assert_ptr_equal(a.page, b.page);

	host_unpin(t->host, &b);
	host_unpin(t->host, &b); /* harmless */
	assert_int_equal(guest_use(&t->shim, reference), GRANT_READING | GRANT_WRITING);
	host_unpin(t->host, &c);
	assert_int_equal(guest_use(&t->shim, reference), GRANT_READING);
	assert_int_equal(t->shim.use[reference].word, 1);
	host_unpin(t->host, &a);
	assert_int_equal(guest_use(&t->shim, reference), 0);
	shim_check_unpinned(&t->shim);
}

static int try_pin(struct pins *t, uint32_t reference, bool write)
{
	struct host_pin pin = {.reference = reference, .write = write};
	int err = host_pin(t->host, &pin);

	if (err)
		assert_null(pin.page);
	host_unpin(t->host, &pin);
	shim_check_unpinned(&t->shim);
	return err;
}

static int try_entry(struct pins *t, uint64_t frame, uint16_t flags, uint16_t domain, bool write)
{
	uint32_t reference = t->shim.next_grant++;

	guest_set_grant(&t->shim, reference, frame, flags, domain);
	return try_pin(t, reference, write);
}

static void test_refused(void **state)
{
	struct pins *t = *state;

	assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS, 0, true), 0);
	assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS | GRANT_READONLY, 0, false), 0);
	assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS | GRANT_READONLY, 0, true), -EACCES);
	assert_int_equal(try_entry(t, 1, GRANT_INVALID, 0, false), -EACCES);
	assert_int_equal(try_entry(t, 1, GRANT_TRANSFER, 0, false), -EACCES);
	assert_int_equal(try_entry(t, 1, GRANT_TRANSITIVE, 0, false), -EACCES);
	assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS, 3, false), -EACCES);
	if (t->shim.version == 2)
		assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS | GRANT_SUB_PAGE, 0, false),
				 -EACCES);

	assert_int_equal(try_pin(t, SHIM_GRANTS - 1, false), -EACCES);
	assert_int_equal(try_pin(t, SHIM_GRANTS, false), -ENOENT);
	assert_int_equal(try_pin(t, UINT32_MAX, false), -ENOENT);

	/* Frames that are no memory: behind a region, far away, and one that would wrap to page 0. */
	assert_int_equal(try_entry(t, SHIM_REGION / SHIM_PAGE, GRANT_PERMIT_ACCESS, 0, true),
			 -EFAULT);
	assert_int_equal(try_entry(t, UINT32_MAX, GRANT_PERMIT_ACCESS, 0, true), -EFAULT);
	if (t->shim.version == 2) {
		assert_int_equal(try_entry(t, 1ULL << 52, GRANT_PERMIT_ACCESS, 0, true), -EFAULT);
		assert_int_equal(try_entry(t, UINT64_MAX, GRANT_PERMIT_ACCESS, 0, true), -EFAULT);
	}
}

/* The counts of others: neither their flags nor their numbers change with ours. */
static void test_others(void **state)
{
	struct pins *t = *state;
	uint32_t reference = guest_grant(&t->shim, guest_page(&t->shim), false);
	struct host_pin pin = {.reference = reference, .write = true};
	uint64_t *word = &t->shim.use[reference].word;

	*word = 2; /* another back-end reads it, twice */
	assert_int_equal(host_pin(t->host, &pin), 0);
	assert_int_equal(*word, 3 | 1ULL << ATTACH_USE_WRITERS_SHIFT);
	host_unpin(t->host, &pin);
	assert_int_equal(*word, 2);
	assert_int_equal(guest_use(&t->shim, reference) & GRANT_READING, GRANT_READING);
	assert_int_equal(guest_use(&t->shim, reference) & GRANT_WRITING, 0);

	/* The guest takes the permission away: no new pin, whatever the counts say. */
	guest_set_grant(&t->shim, reference, 1, GRANT_INVALID | GRANT_READING, 0);
	assert_int_equal(host_pin(t->host, &pin), -EACCES);
	assert_int_equal(*word, 2);

	guest_set_grant(&t->shim, reference, 1, GRANT_PERMIT_ACCESS, 0);
	*word = 9ULL << ATTACH_USE_LOCK_SHIFT; /* somebody died with the lock */
	assert_int_equal(host_pin(t->host, &pin), -EBUSY);
	assert_int_equal(*word, 9ULL << ATTACH_USE_LOCK_SHIFT);
	*word = ATTACH_USE_READERS_MASK;
	assert_int_equal(host_pin(t->host, &pin), -EOVERFLOW);
	*word = 0;
	if (t->shim.version == 2)
		((grant_status *)(t->shim.shared + SHIM_STATUS))[reference] = 0;
	guest_set_grant(&t->shim, reference, 1, 0, 0);
}

/*
 * A lock that nobody lets go of: neither count nor ledger lose the pin, so that it can be taken back by
 * both of them once the lock is gone.
 */
static void test_kept_lock(void **state)
{
	struct pins *t = *state;
	uint32_t reference = guest_grant(&t->shim, guest_page(&t->shim), false);
	struct host_pin pins[2] = {{.reference = reference, .write = true},
				   {.reference = reference}};
	uint64_t *word = &t->shim.use[reference].word, kept;

	assert_int_equal(host_pin_many(t->host, pins, 2), 0);
	kept = *word | 9ULL << ATTACH_USE_LOCK_SHIFT;
	*word = kept;
	host_unpin_many(t->host, pins, 2);
	assert_null(pins[0].page);
	assert_int_equal(*word, kept);
	assert_int_equal(ledger(t, reference).readers, 2);
	assert_int_equal(ledger(t, reference).writers, 1);
	assert_int_equal(guest_use(&t->shim, reference), GRANT_READING | GRANT_WRITING);
	*word &= ~ATTACH_USE_LOCK_MASK;
	host_close(t->host);
	t->host = NULL;
	shim_check_unpinned(&t->shim);
}

static void *let_go(void *context)
{
	uint64_t *word = context;
	const struct timespec time = {.tv_nsec = 600000000};

	nanosleep(&time, NULL);
	__atomic_fetch_and(word, ~ATTACH_USE_LOCK_MASK, __ATOMIC_RELEASE);
	return NULL;
}

/* A thread of ours that holds the lock and gets no processor: others wait for it. */
static void test_own_lock(void **state)
{
	struct pins *t = *state;
	uint32_t reference = guest_grant(&t->shim, guest_page(&t->shim), false);
	struct host_pin pin = {.reference = reference, .write = true};
	uint64_t *word = &t->shim.use[reference].word;
	const uint64_t own = (uint64_t)shim_welcome().owner << ATTACH_USE_LOCK_SHIFT;
	pthread_t thread;

	__atomic_fetch_or(word, own, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, let_go, word), 0);
	assert_int_equal(host_pin(t->host, &pin), 0);
	pthread_join(thread, NULL);
	__atomic_fetch_or(word, own, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, let_go, word), 0);
	host_unpin(t->host, &pin);
	pthread_join(thread, NULL);
	shim_check_unpinned(&t->shim);
}

/* A batch of which one is bad: none is pinned, the good ones are as before. */
static void test_many(void **state)
{
	struct pins *t = *state;
	struct host_pin pins[11] = {0};
	unsigned int i, bad;

	for (bad = 0; bad < 11; bad++) {
		for (i = 0; i < 11; i++) {
			pins[i].reference = guest_grant(&t->shim, guest_page(&t->shim), i == bad);
			pins[i].write = true;
		}
		assert_int_equal(host_pin_many(t->host, pins, 11), -EACCES);
		shim_check_unpinned(&t->shim);
	}
	pins[bad - 1].write = false;
	assert_int_equal(host_pin_many(t->host, pins, 11), 0);
	host_unpin_many(t->host, pins, 11);
	shim_check_unpinned(&t->shim);
}

static void test_area(void **state)
{
	struct pins *t = *state;
	uint32_t references[HOST_AREA_PAGES];
	uint64_t pages[HOST_AREA_PAGES];
	struct host_area area;
	unsigned int i;

	for (i = 0; i < HOST_AREA_PAGES; i++) {
		pages[i] = guest_page(&t->shim);
		references[i] = guest_grant(&t->shim, pages[i], false);
		memset(guest_at(&t->shim, pages[i]), 'a' + i, SHIM_PAGE);
	}
	assert_int_equal(host_area_open(t->host, &area, references, HOST_AREA_PAGES), 0);
	for (i = 0; i < HOST_AREA_PAGES; i++) {
		assert_int_equal(area.pages[i * SHIM_PAGE], 'a' + i);
		area.pages[i * SHIM_PAGE + 5] = 'x';
		assert_int_equal(((char *)guest_at(&t->shim, pages[i]))[5], 'x');
	}
	host_area_close(t->host, &area);
	host_area_close(t->host, &area);
	shim_check_unpinned(&t->shim);

	references[3] = SHIM_GRANTS;
	assert_int_equal(host_area_open(t->host, &area, references, HOST_AREA_PAGES), -ENOENT);
	assert_int_equal(host_area_open(t->host, &area, references, 0), -EINVAL);
	assert_int_equal(host_area_open(t->host, &area, references, HOST_AREA_PAGES + 1), -EINVAL);
	shim_check_unpinned(&t->shim);
}

/* ---- threads: queues that share a grant, and a guest that wants it back ----------------------- */

#define ROUNDS     20000
#define TAKEN_BACK 50000
#define RACE_S     10

struct racer {
	struct pins *t;
	pthread_t thread;
	uint32_t reference;
	unsigned int pinned;
	uint32_t *owned; /* in the page: the guest writes 1 while it takes the page for its own */
	uint64_t owned_frame;
};

static _Atomic bool racing;
static _Atomic unsigned int taken_back;
static time_t race_until;

/* Until each thread had its turn often enough; a busy machine may not get there. */
static bool goes_on(const struct racer *racer)
{
	return time(NULL) < race_until && (racer->pinned < ROUNDS || taken_back < TAKEN_BACK);
}

static void *race(void *context)
{
	struct racer *racer = context;
	struct host_pin pin = {.reference = racer->reference};

	while (goes_on(racer)) {
		pin.write = !pin.write;
		if (host_pin(racer->t->host, &pin)) {
			sched_yield();
			continue;
		}
		racer->pinned++;
		/* As long as we hold it the guest sees it in use. */
		assert_true(guest_use(&racer->t->shim, racer->reference) & GRANT_READING);
		assert_true(!pin.write ||
			    guest_use(&racer->t->shim, racer->reference) & GRANT_WRITING);
		assert_int_equal(order_load_relaxed(racer->owned), 0);
		host_unpin(racer->t->host, &pin);
		if (racer->pinned % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static bool ended_v1(struct fake_shim *shim, uint32_t reference)
{
	struct grant_v1 *entry = (struct grant_v1 *)(shim->shared + SHIM_ENTRIES) + reference;
	uint16_t flags = GRANT_PERMIT_ACCESS;

	return __atomic_compare_exchange_n(&entry->flags, &flags, 0, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* As in Linux: the flags are gone at once, the page is not its own before the status says so. */
static bool ended_v2(struct fake_shim *shim, uint32_t reference)
{
	union grant_v2 *entry = (union grant_v2 *)(shim->shared + SHIM_ENTRIES) + reference;
	grant_status *status = (grant_status *)(shim->shared + SHIM_STATUS) + reference;

	order_store_relaxed(&entry->header.flags, 0);
	order_full_barrier();
	return !(order_load_acquire(status) & (GRANT_READING | GRANT_WRITING));
}

/* Takes the grant back when nobody uses it, has the page for itself, and gives it again. */
static void *take_back(void *context)
{
	struct racer *racer = context;
	struct fake_shim *shim = &racer->t->shim;
	bool second = shim->version == 2;

	while (racing) {
		if (second ? ended_v2(shim, racer->reference) : ended_v1(shim, racer->reference)) {
			taken_back++;
			order_store_relaxed(racer->owned, 1);
			sched_yield();
			order_store_relaxed(racer->owned, 0);
			guest_set_grant(shim, racer->reference, racer->owned_frame,
					GRANT_PERMIT_ACCESS, 0);
		}
		sched_yield();
	}
	return NULL;
}

static void test_race(void **state)
{
	struct pins *t = *state;
	uint64_t page = guest_page(&t->shim);
	struct racer all = {.t = t,
			    .reference = guest_grant(&t->shim, page, false),
			    .owned = guest_at(&t->shim, page),
			    .owned_frame = page / SHIM_PAGE};
	struct racer racers[3] = {all, all, all}, guest = all;
	unsigned int i, pinned = 0;

	*all.owned = 0;
	taken_back = 0;
	race_until = time(NULL) + RACE_S;
	racing = true;
	assert_int_equal(pthread_create(&guest.thread, NULL, take_back, &guest), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	for (i = 0; i < 3; i++) {
		pthread_join(racers[i].thread, NULL);
		pinned += racers[i].pinned;
	}
	racing = false;
	pthread_join(guest.thread, NULL);
	assert_true(pinned > 0);
	/* Under version 1 a guest can but wait for a moment without a pin, and may have found none. */
	assert_true(t->shim.version == 1 || taken_back > 0);
	shim_check_unpinned(&t->shim);
}

/*
 * A guest that writes whatever it likes into entry and status, all the time. It may have its page
 * back too early, or never: counts, ledger and process are as they should be.
 */
static void *scribble(void *context)
{
	struct racer *racer = context;
	struct fake_shim *shim = &racer->t->shim;
	grant_status *status = (grant_status *)(shim->shared + SHIM_STATUS) + racer->reference;
	uint32_t random = 1;

	while (racing) {
		random = random * 1664525 + 1013904223;
		guest_set_grant(shim, racer->reference,
				random & 1 ? racer->owned_frame : (uint64_t)random << 20,
				random >> 16 & 0xffff, random >> 8 & 1);
		if (shim->version == 2)
			order_store_relaxed(status, (grant_status)(random >> 8));
	}
	return NULL;
}

static void *pin_anyway(void *context)
{
	struct racer *racer = context;
	struct host_pin pin = {.reference = racer->reference};

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pin.write = i & 1;
		if (host_pin(racer->t->host, &pin))
			continue;
		racer->pinned++;
		host_unpin(racer->t->host, &pin);
	}
	return NULL;
}

static void test_scribbled(void **state)
{
	struct pins *t = *state;
	uint64_t page = guest_page(&t->shim);
	struct racer all = {.t = t,
			    .reference = guest_grant(&t->shim, page, false),
			    .owned_frame = page / SHIM_PAGE};
	struct racer racers[2] = {all, all}, guest = all;
	unsigned int i;

	racing = true;
	assert_int_equal(pthread_create(&guest.thread, NULL, scribble, &guest), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&racers[i].thread, NULL, pin_anyway, &racers[i]),
				 0);
	for (i = 0; i < 2; i++)
		pthread_join(racers[i].thread, NULL);
	racing = false;
	pthread_join(guest.thread, NULL);
	assert_int_equal(t->shim.use[all.reference].word, 0);
	/* Once it behaves the grant is as good as any. */
	guest_set_grant(&t->shim, all.reference, all.owned_frame, GRANT_PERMIT_ACCESS, 0);
	memset(t->shim.shared + SHIM_STATUS, 0, SHIM_GRANTS * sizeof(grant_status));
	assert_int_equal(try_pin(t, all.reference, true), 0);
}

/* Revoked while it is pinned: the pin holds, and nobody gets another. */
static void test_revoked(void **state)
{
	struct pins *t = *state;
	uint64_t page = guest_page(&t->shim);
	struct host_pin pin = {.reference = guest_grant(&t->shim, page, false), .write = true};
	struct host_pin second = {.reference = pin.reference};
	uint16_t left = t->shim.version == 2 ? 0 : GRANT_READING | GRANT_WRITING;

	assert_int_equal(host_pin(t->host, &pin), 0);
	guest_set_grant(&t->shim, pin.reference, page / SHIM_PAGE, left, 0);
	assert_int_equal(guest_use(&t->shim, pin.reference), GRANT_READING | GRANT_WRITING);
	assert_int_equal(host_pin(t->host, &second), -EACCES);
	assert_int_equal(guest_use(&t->shim, pin.reference), GRANT_READING | GRANT_WRITING);
	assert_int_equal(t->shim.use[pin.reference].word, 1 | 1ULL << ATTACH_USE_WRITERS_SHIFT);
	memcpy(pin.page, "late", 5);
	host_unpin(t->host, &pin);
	shim_check_unpinned(&t->shim);
	assert_int_equal(host_pin(t->host, &second), -EACCES);
}

/* ---- regions that may only be read ----------------------------------------------------------- */

static void greet_readonly(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_memory region = shim_region(0);

	region.flags = ATTACH_MEMORY_READONLY;
	shim_send_welcome(shim, sequence);
	shim_notice(shim, ATTACH_MEMORY_ADD, &region, sizeof(region), &shim->memory_fd, 1);
	shim_send_memory(shim, 1);
	shim_send_table(shim);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

static int open_readonly(void **state)
{
	struct pins *t = calloc(1, sizeof(*t));
	struct host_options options = {.name = "pins"};

	fake_shim_init(&t->shim, 1);
	t->shim.greet = greet_readonly;
	assert_int_equal(control_open(), 0);
	options.fd = fake_shim_start(&t->shim);
	t->host = host_open(&options);
	assert_non_null(t->host);
	*state = t;
	return 0;
}

static void test_readonly_region(void **state)
{
	struct pins *t = *state;

	assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS, 0, false), 0);
	assert_int_equal(try_entry(t, 1, GRANT_PERMIT_ACCESS, 0, true), -EFAULT);
	assert_int_equal(try_entry(t, SHIM_HIGH / SHIM_PAGE, GRANT_PERMIT_ACCESS, 0, true), 0);
}

/* What is still pinned at the end is found in the ledger and given back. */
static void test_forgotten(void **state)
{
	struct pins *t = *state;
	uint32_t reference = guest_grant(&t->shim, guest_page(&t->shim), false);
	struct host_pin pins[2] = {{.reference = reference, .write = true},
				   {.reference = reference}};

	assert_int_equal(host_pin_many(t->host, pins, 2), 0);
	host_close(t->host);
	t->host = NULL;
	shim_check_unpinned(&t->shim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flags, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_flags, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_kept_lock, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_kept_lock, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_own_lock, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_refused, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_refused, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_others, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_others, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_many, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_many, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_area, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_area, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_race, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_race, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_scribbled, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_scribbled, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_revoked, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_revoked, open_v2, close_all),
		cmocka_unit_test_setup_teardown(test_readonly_region, open_readonly, close_all),
		cmocka_unit_test_setup_teardown(test_forgotten, open_v1, close_all),
		cmocka_unit_test_setup_teardown(test_forgotten, open_v2, close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
