// SPDX-License-Identifier: GPL-2.0
/*
 * The store client. Catalogue: D35 from the guest's side (offsets and lengths that cannot be), D36
 * and D43 (a store that does not answer, or sends without end).
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/string.h>

#include "guest-kernel-module/pvkit.h"
#include "guest-kernel-module/store.h"
#include "guest-kernel-module/store_ring.h"
#include "tests/kunit/fake.h"

#define NONE PVKIT_STORE_NONE

static void write_and_read(struct kunit *test)
{
	unsigned int length;
	char *value;

	KUNIT_ASSERT_EQ(test, pvkit_store_write(NONE, "device/vbd/1", "key", "%u-%s", 7, "x"), 0);
	KUNIT_EXPECT_STREQ(test, fake_store_get("/local/domain/1/device/vbd/1/key"), "7-x");
	value = pvkit_store_read(NONE, "device/vbd/1", "key", &length);
	KUNIT_ASSERT_FALSE(test, IS_ERR(value));
	KUNIT_EXPECT_STREQ(test, value, "7-x");
	KUNIT_EXPECT_EQ(test, length, 3U);
	kfree(value);
	KUNIT_EXPECT_EQ(test, pvkit_store_remove(NONE, "device/vbd/1", "key"), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR(pvkit_store_read(NONE, "device/vbd/1", "key", NULL)), -ENOENT);
	KUNIT_EXPECT_EQ(test, pvkit_store_remove(NONE, "device/vbd/1", "key"), -ENOENT);
}

static void numbers(struct kunit *test)
{
	static const char *const bad[] = { "", "x", "-1", "+1", " 1", "1 ", "1\n", "0x1", "256",
					   "99999999999999999999" };
	u64 number = 0;
	int i;

	fake_store_set("/n", "255");
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number(NONE, "/n", NULL, 255, &number), 0);
	KUNIT_EXPECT_EQ(test, number, 255ULL);
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number(NONE, "/n", NULL, 254, &number), -ERANGE);
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number(NONE, "/none", "x", 254, &number), -ENOENT);
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/none", "x", 254, 3), 3ULL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* A newline is what kstrtoull() forgives. */
		if (strchr(bad[i], '\n'))
			continue;
		fake_store_set("/n", bad[i]);
		KUNIT_EXPECT_EQ_MSG(test, pvkit_store_read_number(NONE, "/n", NULL, 255, &number),
				    -ERANGE, "%s", bad[i]);
		KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/n", NULL, 255, 9), 9ULL);
	}
}

/* Longer than the ring: both ways in pieces. */
static void long_values(struct kunit *test)
{
	char *text = kunit_kzalloc(test, 4001, GFP_KERNEL), *value;
	int i;

	for (i = 0; i < 4000; i++)
		text[i] = 'a' + i % 26;
	for (i = 0; i < 5; i++) {
		text[i] = '0' + i;
		KUNIT_ASSERT_EQ(test, pvkit_store_write(NONE, "/long", NULL, "%s", text), 0);
		value = pvkit_store_read(NONE, "/long", NULL, NULL);
		KUNIT_ASSERT_FALSE(test, IS_ERR(value));
		KUNIT_EXPECT_STREQ(test, value, text);
		kfree(value);
	}
	text = kunit_kzalloc(test, 5000, GFP_KERNEL);
	memset(text, 'x', 4500);
	KUNIT_EXPECT_EQ(test, pvkit_store_write(NONE, "/long", NULL, "%s", text), -E2BIG);
}

static void transactions(struct kunit *test)
{
	struct pvkit_store_transaction transaction;

	KUNIT_ASSERT_EQ(test, pvkit_store_begin(&transaction), 0);
	KUNIT_EXPECT_EQ(test, transaction.id, 7U);
	KUNIT_EXPECT_EQ(test, pvkit_store_end(transaction, false), 0);
	fake_store_conflicts(1);
	KUNIT_ASSERT_EQ(test, pvkit_store_begin(&transaction), 0);
	KUNIT_EXPECT_EQ(test, pvkit_store_end(transaction, false), -EAGAIN);
	KUNIT_ASSERT_EQ(test, pvkit_store_begin(&transaction), 0);
	KUNIT_EXPECT_EQ(test, pvkit_store_end(transaction, true), 0);
}

struct caller {
	struct completion done;
	unsigned int number, wrong;
};

static int transact_often(void *context)
{
	struct pvkit_store_transaction transaction;
	struct caller *caller = context;
	int i;

	for (i = 0; i < 5; i++) {
		if (pvkit_store_begin(&transaction)) {
			caller->wrong++;
			continue;
		}
		msleep(20);
		if (pvkit_store_end(transaction, false))
			caller->wrong++;
	}
	complete(&caller->done);
	return 0;
}

static int call_often(void *context)
{
	struct caller *caller = context;
	char path[24];
	u64 number;
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(path, sizeof(path), "/caller/%u", caller->number);
		if (pvkit_store_write(NONE, path, "n", "%u", caller->number * 1000 + i) ||
		    pvkit_store_read_number(NONE, path, "n", U32_MAX, &number) ||
		    number != caller->number * 1000 + i)
			caller->wrong++;
	}
	complete(&caller->done);
	return 0;
}

/* More than may be outstanding, or in a transaction, at once. */
static void many(struct kunit *test, int (*call)(void *context))
{
	struct caller *callers = kunit_kcalloc(test, 24, sizeof(*callers), GFP_KERNEL);
	int i;

	for (i = 0; i < 24; i++) {
		init_completion(&callers[i].done);
		callers[i].number = i;
		KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(call, &callers[i], "caller")));
	}
	for (i = 0; i < 24; i++) {
		wait_for_completion(&callers[i].done);
		KUNIT_EXPECT_EQ(test, callers[i].wrong, 0U);
	}
}

static void many_callers(struct kunit *test)
{
	many(test, call_often);
}

static void many_transactions(struct kunit *test)
{
	many(test, transact_often);
}

static void answers_to_nobody(struct kunit *test)
{
	fake_store_set("/a", "1");
	fake_store_mood(FAKE_STORE_OTHER_ID);
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/a", NULL, 9, 0), 1ULL);
	fake_store_mood(FAKE_STORE_OTHER_TYPE);
	KUNIT_EXPECT_EQ(test, PTR_ERR(pvkit_store_read(NONE, "/a", NULL, NULL)), -EPROTO);
	fake_store_mood(FAKE_STORE_BAD_EVENT);
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/a", NULL, 9, 0), 1ULL);
}

static unsigned long took(unsigned long since)
{
	return (jiffies - since) * 1000 / HZ;
}

/*
 * The client waits a second here: the first waits that long, the others far less, until it speaks.
 */
static void silent(struct kunit *test)
{
	unsigned long since = jiffies;
	int i;

	fake_store_set("/a", "1");
	fake_store_mood(FAKE_STORE_SILENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(pvkit_store_read(NONE, "/a", NULL, NULL)), -ETIMEDOUT);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, PTR_ERR(pvkit_store_read(NONE, "/a", NULL, NULL)),
				-ETIMEDOUT);
	KUNIT_EXPECT_LT(test, took(since), 6000UL);
	fake_store_mood(FAKE_STORE_GOOD);
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/a", NULL, 9, 0), 1ULL);
}

/* No byte of a further request has room. */
static void fill_ring(struct kunit *test)
{
	const struct store_ring_page *page = fake.platform.store_page;
	char *path = kunit_kzalloc(test, STORE_RING_BYTES, GFP_KERNEL);
	u32 used = page->request_producer - page->request_consumer;

	memset(path, '/', STORE_RING_BYTES - used - sizeof(struct store_header) - 1);
	KUNIT_EXPECT_EQ(test, PTR_ERR(pvkit_store_read(NONE, path, NULL, NULL)), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, page->request_producer - page->request_consumer,
			(u32)STORE_RING_BYTES);
}

/*
 * What the store begins for callers that have gone is ended, and so is what could not be ended while
 * it was away: else there would be none left one day.
 */
static void late_transactions(struct kunit *test)
{
	struct pvkit_store_transaction open, late;
	int i;

	KUNIT_ASSERT_EQ(test, pvkit_store_begin(&open), 0);
	fake_store_mood(FAKE_STORE_STUCK);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, pvkit_store_begin(&late), -ETIMEDOUT);
	fill_ring(test);
	KUNIT_EXPECT_EQ(test, pvkit_store_end(open, true), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, fake_store_transactions(), 1U);
	fake_store_mood(FAKE_STORE_GOOD);
	fake_store_set("/a", "1");
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/a", NULL, 9, 0), 1ULL);
	for (i = 0; i < 300 && fake_store_transactions(); i++)
		msleep(10);
	KUNIT_EXPECT_EQ(test, fake_store_transactions(), 0U);
}

/* That others have them all will pass: it is no quota that a write of ours went beyond. */
static void no_transaction_is_left(struct kunit *test)
{
	struct pvkit_store_transaction transaction;
	int error;

	fake_store_take_transactions(STORE_QUOTA_TRANSACTIONS);
	error = pvkit_store_begin(&transaction);
	KUNIT_EXPECT_LT(test, error, 0);
	KUNIT_EXPECT_FALSE(test, pvkit_store_refused(error));
	fake_store_take_transactions(0);
	KUNIT_ASSERT_EQ(test, pvkit_store_begin(&transaction), 0);
	KUNIT_EXPECT_EQ(test, pvkit_store_end(transaction, true), 0);
}

static bool works_again(void)
{
	unsigned int i;

	for (i = 0; i < 300; i++) {
		if (pvkit_store_read_number_or("/a", NULL, 9, 0) == 1)
			return true;
		msleep(10);
	}
	return false;
}

static void wait_for(unsigned int *count, unsigned int wanted)
{
	unsigned int i;

	for (i = 0; i < 300 && READ_ONCE(*count) < wanted; i++)
		msleep(10);
}

struct counted_watch {
	struct pvkit_watch watch;
	unsigned int calls;
	char last[64];
};

static void count_event(struct pvkit_watch *watch, const char *path)
{
	struct counted_watch *counted = container_of(watch, struct counted_watch, watch);

	strscpy(counted->last, path, sizeof(counted->last));
	WRITE_ONCE(counted->calls, counted->calls + 1);
}

/*
 * The connection breaks, the caller hears of it, a new one begins, and the watches are there again.
 */
static void breaks(struct kunit *test, enum fake_store_mood mood)
{
	struct counted_watch counted = {};
	unsigned int before;

	fake_store_set("/a", "1");
	KUNIT_ASSERT_EQ(test, pvkit_watch_open(NULL, &counted.watch, "/w", NULL, count_event), 0);
	wait_for(&counted.calls, 1);
	fake_store_mood(mood);
	KUNIT_EXPECT_EQ(test, PTR_ERR(pvkit_store_read(NONE, "/a", NULL, NULL)), -EIO);
	KUNIT_EXPECT_TRUE(test, works_again());
	wait_for(&counted.calls, 2);
	msleep(50);
	before = counted.calls;
	KUNIT_EXPECT_GE(test, before, 2U);
	fake_store_set("/w", "x");
	wait_for(&counted.calls, before + 1);
	KUNIT_EXPECT_GT(test, counted.calls, before);
	pvkit_watch_close(&counted.watch);
}

static void message_too_long(struct kunit *test)
{
	breaks(test, FAKE_STORE_TOO_LONG);
}

static void index_out_of_range(struct kunit *test)
{
	breaks(test, FAKE_STORE_BAD_INDEX);
}

static void watches(struct kunit *test)
{
	struct counted_watch a = {}, b = {};

	KUNIT_ASSERT_EQ(test, pvkit_watch_open(NULL, &a.watch, "/w", "a", count_event), 0);
	KUNIT_ASSERT_EQ(test, pvkit_watch_open(NULL, &b.watch, "/w", "b", count_event), 0);
	wait_for(&a.calls, 1);
	wait_for(&b.calls, 1);
	KUNIT_EXPECT_EQ(test, fake_store_watches(), 2U);
	fake_store_set("/w/a/deep", "1");
	wait_for(&a.calls, 2);
	KUNIT_EXPECT_STREQ(test, a.last, "/w/a/deep");
	KUNIT_EXPECT_EQ(test, b.calls, 1U);
	pvkit_watch_close(&a.watch);
	pvkit_watch_close(&a.watch);
	KUNIT_EXPECT_EQ(test, fake_store_watches(), 1U);
	fake_store_set("/w/a/deep", "2");
	fake_store_set("/w/b", "2");
	wait_for(&b.calls, 2);
	KUNIT_EXPECT_EQ(test, a.calls, 2U);
	KUNIT_EXPECT_STREQ(test, b.last, "/w/b");
	pvkit_watch_close(&b.watch);
}

/* Whatever an earlier life left in the ring is no answer to us. */
static void starts_on_a_used_ring(struct kunit *test)
{
	struct store_ring_page *page = fake.platform.store_page;

	pvkit_store_stop();
	page->response_producer += 10;
	KUNIT_EXPECT_EQ(test, pvkit_store_start(&fake.platform), 0);
	fake_store_set("/a", "1");
	KUNIT_EXPECT_EQ(test, pvkit_store_read_number_or("/a", NULL, 9, 0), 1ULL);
}

/* The ring alone: indices near their end, and a consumer that takes more than there is. */
static void ring_indices(struct kunit *test)
{
	struct store_ring_page *page = fake.platform.store_page;
	struct store_ring ring;
	char out[8], *in = kunit_kzalloc(test, 1100, GFP_KERNEL);
	int i;

	pvkit_store_stop();
	page->request_producer = page->request_consumer = U32_MAX - 3;
	page->response_producer = page->response_consumer = U32_MAX - 3;
	KUNIT_EXPECT_TRUE(test, pvkit_store_ring_open(&ring, page));
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_write(&ring, "12345678", 8), 8);
	KUNIT_EXPECT_EQ(test, page->request_producer, 4U);
	KUNIT_EXPECT_EQ(test, page->request[1020], '1');
	KUNIT_EXPECT_EQ(test, page->request[0], '5');
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_write(&ring, in, 1100), 1016);
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_write(&ring, in, 1), 0);
	KUNIT_EXPECT_FALSE(test, pvkit_store_ring_writable(&ring));
	page->request_consumer = ring.request_producer + 1;
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_write(&ring, in, 1), -EPROTO);
	for (i = 0; i < 8; i++)
		page->response[(U32_MAX - 3 + i) % STORE_RING_BYTES] = 'a' + i;
	page->response_producer = 4;
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_read(&ring, out, 8), 8);
	KUNIT_EXPECT_EQ(test, memcmp(out, "abcdefgh", 8), 0);
	KUNIT_EXPECT_EQ(test, page->response_consumer, 4U);
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_read(&ring, out, 8), 0);
	/* Ours is ours: what the store writes there does not move us. */
	page->response_consumer = 99;
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_read(&ring, out, 8), 0);
	page->response_producer = 3;
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_read(&ring, out, 8), -EPROTO);
	page->response_producer = 4 + STORE_RING_BYTES + 1;
	KUNIT_EXPECT_EQ(test, pvkit_store_ring_read(&ring, out, 8), -EPROTO);
	KUNIT_EXPECT_EQ(test, pvkit_store_start(&fake.platform), 0);
}

static int init(struct kunit *test)
{
	return fake_start() ?: fake_store_start();
}

static void leave(struct kunit *test)
{
	fake_store_stop();
	fake_stop();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(write_and_read),
	KUNIT_CASE(numbers),
	KUNIT_CASE(long_values),
	KUNIT_CASE(transactions),
	KUNIT_CASE(many_callers),
	KUNIT_CASE(many_transactions),
	KUNIT_CASE(answers_to_nobody),
	KUNIT_CASE(silent),
	KUNIT_CASE(late_transactions),
	KUNIT_CASE(no_transaction_is_left),
	KUNIT_CASE(message_too_long),
	KUNIT_CASE(index_out_of_range),
	KUNIT_CASE(watches),
	KUNIT_CASE(starts_on_a_used_ring),
	KUNIT_CASE(ring_indices),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_store",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
