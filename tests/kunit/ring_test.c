// SPDX-License-Identifier: GPL-2.0
/*
 * The Xen ring in a kernel, on pages as a front-end has them. What a peer can do to it is tested in
 * tests/unit/ring/; here that the same sources do the same here. Catalogue: A14 (indices that
 * wrap), F50.
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/slab.h>

#include "ring/xen_ring.h"
#include "ring/xen_shadow.h"

struct message {
	u64 id;
	u64 value[5];
};

struct pair {
	void *pages;
	unsigned int order;
	struct xen_front front;
	struct xen_back back;
	struct xen_shadow shadow;
	struct xen_shadow_entry *entries;
};

static void open_pair(struct kunit *test, struct pair *pair, unsigned int order)
{
	struct xen_ring_area area;

	pair->order = order;
	pair->pages = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, order);
	KUNIT_ASSERT_NOT_NULL(test, pair->pages);
	area = (struct xen_ring_area){ pair->pages, PAGE_SIZE << order, sizeof(struct message) };
	KUNIT_ASSERT_EQ(test, xen_front_init(&pair->front, &area), 0);
	KUNIT_ASSERT_EQ(test, xen_back_init(&pair->back, &area, (struct xen_ring_position){}), 0);
	pair->entries = kunit_kcalloc(test, pair->front.ring.size, sizeof(*pair->entries),
				      GFP_KERNEL);
	xen_shadow_init(&pair->shadow, pair->entries, pair->front.ring.size);
}

static void close_pair(struct pair *pair)
{
	free_pages((unsigned long)pair->pages, pair->order);
}

/* As many as fit. */
static unsigned int send_all(struct kunit *test, struct pair *pair, u64 *sequence)
{
	unsigned int sent = 0;
	struct message request = {};
	s64 id;

	while (xen_front_room(&pair->front)) {
		id = xen_shadow_lend(&pair->shadow, pair, 0);
		KUNIT_ASSERT_GE(test, id, 0LL);
		request.id = id;
		request.value[4] = ++*sequence;
		KUNIT_ASSERT_EQ(test, xen_front_put(&pair->front, &request, sizeof(request)), 0);
		sent++;
	}
	xen_front_publish(&pair->front);
	return sent;
}

static void rounds(struct kunit *test)
{
	u64 sequence = 0, expected = 0;
	struct message message;
	struct pair pair;
	unsigned int order, round, i, sent;

	for (order = 0; order <= XEN_RING_PAGE_ORDER_MAX; order++) {
		open_pair(test, &pair, order);
		for (round = 0; round < 20; round++) {
			sent = send_all(test, &pair, &sequence);
			KUNIT_EXPECT_EQ(test, sent, pair.front.ring.size);
			KUNIT_EXPECT_TRUE(test, xen_front_should_notify(&pair.front));
			for (i = 0; i < sent; i++) {
				KUNIT_ASSERT_EQ(test, (int)xen_back_take(&pair.back, &message,
									 sizeof(message)),
						(int)XEN_RING_FOUND);
				KUNIT_EXPECT_EQ(test, message.value[4], ++expected);
				xen_back_answer(&pair.back, &message, sizeof(message));
			}
			xen_back_publish(&pair.back);
			KUNIT_EXPECT_TRUE(test, xen_back_should_notify(&pair.back));
			for (i = 0; i < sent; i++) {
				KUNIT_ASSERT_EQ(test, (int)xen_front_reap(&pair.front, &message,
									  sizeof(message)),
						(int)XEN_RING_FOUND);
				KUNIT_EXPECT_PTR_EQ(test,
						    xen_shadow_settle(&pair.shadow,
								      &pair.front.ring, message.id,
								      0),
						    (void *)&pair);
			}
			KUNIT_EXPECT_FALSE(test, xen_back_events_enable(&pair.back));
			KUNIT_EXPECT_FALSE(test, xen_front_events_enable(&pair.front));
		}
		close_pair(&pair);
	}
}

static void hostile_index(struct kunit *test)
{
	struct message message;
	struct pair pair;
	u64 sequence = 0;
	unsigned int sent;

	open_pair(test, &pair, 0);
	sent = send_all(test, &pair, &sequence);
	pair.front.ring.header->rsp_prod = sent + 1;
	KUNIT_EXPECT_EQ(test, (int)xen_front_reap(&pair.front, &message, sizeof(message)),
			(int)XEN_RING_BROKEN);
	KUNIT_EXPECT_STRNEQ(test, xen_ring_fault_text(pair.front.ring.broken),
			    xen_ring_fault_text(XEN_RING_OK));
	close_pair(&pair);
}

static void hostile_id(struct kunit *test)
{
	static const u64 ids[] = { 1, 1ULL << 32, ~0ULL };
	struct pair pair;
	s64 id;
	int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		open_pair(test, &pair, 0);
		id = xen_shadow_lend(&pair.shadow, &pair, 3);
		KUNIT_EXPECT_EQ(test, id, 0LL);
		KUNIT_EXPECT_NULL(test,
				  xen_shadow_settle(&pair.shadow, &pair.front.ring, ids[i], 3));
		KUNIT_EXPECT_EQ(test, (int)pair.front.ring.broken, (int)XEN_RING_FAULT_ID);
		close_pair(&pair);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(rounds),
	KUNIT_CASE(hostile_index),
	KUNIT_CASE(hostile_id),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_ring",
	.test_cases = cases,
};
kunit_test_suite(suite);
