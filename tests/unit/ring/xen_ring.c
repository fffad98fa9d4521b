// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A Xen ring step by step: sizes, what stands where in shared memory, when the other side is told.
 */
#include "xen_fixture.h"

static struct xen_variant plain(void)
{
	struct xen_variant v = xen_variant(0, 0);

	v.start = 0;
	return v;
}

/* The sizes that other implementations compute for their rings. */
static void test_slots(void **state)
{
	static uint64_t pages[PAGES_MAX * XEN_RING_PAGE_BYTES / 8];
	static const struct {
		uint32_t pages, slot, slots;
	} row[] = {
		{1, 112, 32}, {2, 112, 64}, {4, 112, 128}, {8, 112, 256}, {16, 112, 512},
		{1, 12, 256}, {1, 8, 256},  {1, 16, 128},  {1, 4, 512},   {16, 8, 4096},
		{1, 4032, 1}, {1, 4036, 0}, {1, 0, 0},     {1, 6, 0},     {1, 0xfffffffc, 0},
		{0, 112, 0},  {17, 112, 0}, {3, 112, 64},  {1, 2016, 2},  {1, 1344, 2},
	};
	struct xen_ring_area area = {.pages = pages};
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		area.bytes = row[i].pages * XEN_RING_PAGE_BYTES;
		area.slot_bytes = row[i].slot;
		assert_int_equal(xen_ring_slots(&area), row[i].slots);
	}
	area = (struct xen_ring_area){pages, 4095, 112};
	assert_int_equal(xen_ring_slots(&area), 0);
	area = (struct xen_ring_area){(char *)pages + 4, 4096, 112};
	assert_int_equal(xen_ring_slots(&area), 0);
	area = (struct xen_ring_area){NULL, 4096, 112};
	assert_int_equal(xen_ring_slots(&area), 0);
}

static void test_impossible_areas_and_positions(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = plain();
	struct xen_ring_area none = {NULL, 4096, 112};

	xen_fixture_start(fx, &v);
	assert_int_equal(xen_front_init(&fx->front, &none), -1);
	assert_int_equal(xen_back_init(&fx->back, &none, (struct xen_ring_position){0, 0}), -1);
	/* More requests taken and not answered than there are slots; answers ahead of requests. */
	assert_int_equal(xen_back_init(&fx->back, &fx->area, (struct xen_ring_position){33, 0}),
			 -1);
	assert_int_equal(xen_back_init(&fx->back, &fx->area, (struct xen_ring_position){0, 1}), -1);
	assert_int_equal(xen_back_init(&fx->back, &fx->area, (struct xen_ring_position){16, -16u}),
			 0);
	assert_int_equal(xen_back_position(&fx->back).req_cons, 16);
	assert_int_equal(xen_back_position(&fx->back).rsp_prod, -16u);
}

/* As the contract draws it: what a front-end writes first, and where requests and responses lie. */
static void test_layout(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = plain();
	uint8_t *slots, message[MESSAGE_MAX], expected[MESSAGE_MAX];
	static const uint8_t zero[48];
	uint32_t i;

	xen_fixture_start(fx, &v);
	memset(fx->area.pages, 0x5a, XEN_RING_PAGE_BYTES);
	assert_int_equal(xen_front_init(&fx->front, &fx->area), 0);
	assert_int_equal(fx->header->req_prod, 0);
	assert_int_equal(fx->header->rsp_prod, 0);
	assert_int_equal(fx->header->req_event, 1);
	assert_int_equal(fx->header->rsp_event, 1);
	assert_memory_equal(fx->header->reserved, zero, sizeof(zero));

	slots = (uint8_t *)fx->area.pages + 64;
	for (i = 0; i < 3; i++) {
		xen_fill(message, 112, i);
		assert_int_equal(xen_front_put(&fx->front, message, 112), 0);
		xen_fill(expected, 112, i);
		assert_memory_equal(slots + i * 112, expected, 112);
	}
	assert_int_equal(fx->header->req_prod, 0);
	xen_front_publish(&fx->front);
	assert_int_equal(fx->header->req_prod, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(xen_back_take(&fx->back, message, 112), XEN_RING_FOUND);
		assert_true(xen_filled(message, 112, i));
	}
	/* A response takes its own bytes only. */
	xen_fill(message, 16, 77);
	xen_back_answer(&fx->back, message, 16);
	assert_memory_equal(slots, message, 16);
	xen_fill(expected, 112, 0);
	assert_memory_equal(slots + 16, expected + 16, 96);
	assert_int_equal(fx->header->rsp_prod, 0);
	xen_back_publish(&fx->back);
	assert_int_equal(fx->header->rsp_prod, 1);
	assert_int_equal(xen_front_reap(&fx->front, message, 16), XEN_RING_FOUND);
	assert_true(xen_filled(message, 16, 77));
	assert_int_equal(xen_front_reap(&fx->front, message, 16), XEN_RING_EMPTY);
}

static void put(struct xen_fixture *fx, uint32_t count)
{
	uint8_t message[MESSAGE_MAX] = {0};

	while (count--)
		assert_int_equal(xen_front_put(&fx->front, message, 112), 0);
	xen_front_publish(&fx->front);
}

static void take(struct xen_fixture *fx, uint32_t count)
{
	uint8_t message[MESSAGE_MAX];

	while (count--)
		assert_int_equal(xen_back_take(&fx->back, message, 112), XEN_RING_FOUND);
}

static void answer(struct xen_fixture *fx, uint32_t count)
{
	uint8_t message[MESSAGE_MAX] = {0};

	while (count--)
		xen_back_answer(&fx->back, message, 16);
	xen_back_publish(&fx->back);
}

static void reap(struct xen_fixture *fx, uint32_t count)
{
	uint8_t message[MESSAGE_MAX];

	while (count--)
		assert_int_equal(xen_front_reap(&fx->front, message, 16), XEN_RING_FOUND);
}

static void test_full_ring(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = xen_variant(0, 2);
	uint8_t message[MESSAGE_MAX] = {0};

	xen_fixture_start(fx, &v);
	put(fx, 32);
	assert_int_equal(xen_front_room(&fx->front), 0);
	assert_int_equal(xen_front_put(&fx->front, message, 112), -1);
	take(fx, 32);
	/* Taken is not answered, and answered is not reaped. */
	assert_int_equal(xen_front_put(&fx->front, message, 112), -1);
	answer(fx, 32);
	assert_int_equal(xen_front_put(&fx->front, message, 112), -1);
	reap(fx, 5);
	assert_int_equal(xen_front_room(&fx->front), 5);
	put(fx, 5);
	take(fx, 5);
	assert_int_equal(xen_back_take(&fx->back, message, 112), XEN_RING_EMPTY);
	reap(fx, 27);
}

static void test_untake_and_waiting(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = xen_variant(0, 1);
	uint8_t message[MESSAGE_MAX];
	uint32_t i;

	xen_fixture_start(fx, &v);
	assert_int_equal(xen_back_waiting(&fx->back, 1), 0);
	for (i = 0; i < 10; i++) {
		xen_fill(message, 112, i);
		xen_front_put(&fx->front, message, 112);
	}
	xen_front_publish(&fx->front);
	assert_int_equal(xen_back_waiting(&fx->back, 1), 10);
	take(fx, 6);
	xen_back_untake(&fx->back, 2);
	assert_int_equal(xen_back_waiting(&fx->back, 1), 6);
	assert_int_equal(xen_back_take(&fx->back, message, 112), XEN_RING_FOUND);
	assert_true(xen_filled(message, 112, 4));
	/* Enough are known: the shared index is not read again. */
	put(fx, 1);
	assert_int_equal(xen_back_waiting(&fx->back, 5), 5);
	assert_int_equal(xen_back_waiting(&fx->back, 6), 6);
}

/* One notification a batch at most, and only when the event lies in it. */
static void test_requests_notify(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = plain();

	xen_fixture_start(fx, &v);
	assert_false(xen_front_should_notify(&fx->front));
	put(fx, 3);
	assert_true(xen_front_should_notify(&fx->front));
	assert_false(xen_front_should_notify(&fx->front));
	put(fx, 1);
	assert_false(xen_front_should_notify(&fx->front));
	take(fx, 4);
	assert_false(xen_back_events_enable(&fx->back));
	put(fx, 2);
	assert_true(xen_front_should_notify(&fx->front));
	/* It found them by itself: enabling says so. */
	take(fx, 1);
	assert_true(xen_back_events_enable(&fx->back));
	take(fx, 1);
	assert_false(xen_back_has_work(&fx->back));
	xen_back_events_disable(&fx->back);
	put(fx, 2);
	assert_false(xen_front_should_notify(&fx->front));
	assert_true(xen_back_has_work(&fx->back));
	/* Published in two steps, decided once. */
	take(fx, 2);
	assert_false(xen_back_events_enable(&fx->back));
	put(fx, 1);
	put(fx, 1);
	assert_true(xen_front_should_notify(&fx->front));
}

static void test_responses_notify(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = plain();

	xen_fixture_start(fx, &v);
	put(fx, 20);
	take(fx, 20);
	assert_false(xen_back_should_notify(&fx->back));
	answer(fx, 2);
	assert_true(xen_back_should_notify(&fx->back));
	assert_false(xen_back_should_notify(&fx->back));
	answer(fx, 2);
	assert_false(xen_back_should_notify(&fx->back));
	reap(fx, 4);
	assert_false(xen_front_events_enable(&fx->front));
	answer(fx, 1);
	assert_true(xen_back_should_notify(&fx->back));
	reap(fx, 1);
	assert_false(xen_front_events_enable(&fx->front));
	xen_front_events_disable(&fx->front);
	answer(fx, 1);
	assert_false(xen_back_should_notify(&fx->back));
	assert_true(xen_front_has_work(&fx->front));
	assert_true(xen_front_events_enable(&fx->front));
	reap(fx, 1);

	/* A front-end that wants to know when several are there may put its event further ahead. */
	fx->header->rsp_event = fx->front.rsp_cons + 3;
	answer(fx, 2);
	assert_false(xen_back_should_notify(&fx->back));
	answer(fx, 1);
	assert_true(xen_back_should_notify(&fx->back));
}

/* Whoever takes over cannot know whether the last response was announced by an event. */
static void test_takeover_owes_a_notification(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = xen_variant(0, 3);

	xen_fixture_start(fx, &v);
	put(fx, 8);
	take(fx, 8);
	answer(fx, 3);
	/* The owner dies before it notifies; the event index lies behind now. */
	assert_int_equal(xen_back_init(&fx->back, &fx->area, xen_back_position(&fx->back)), 0);
	answer(fx, 1);
	assert_true(xen_back_should_notify(&fx->back));
	answer(fx, 1);
	assert_false(xen_back_should_notify(&fx->back));
	reap(fx, 5);
}

/* An event that no notification has passed must not make the next request notify. */
static void test_disable_takes_the_event_back(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = plain();
	uint32_t before;

	xen_fixture_start(fx, &v);
	assert_false(xen_back_events_enable(&fx->back));
	xen_back_events_disable(&fx->back);
	put(fx, 1);
	assert_false(xen_front_should_notify(&fx->front));
	take(fx, 1);
	/* One that was passed is left alone: the line stays where it is. */
	assert_false(xen_back_events_enable(&fx->back));
	put(fx, 2);
	take(fx, 2);
	before = fx->header->req_event;
	xen_back_events_disable(&fx->back);
	assert_int_equal(fx->header->req_event, before);
}

static void test_shadow(void **state)
{
	struct xen_fixture *fx = *state;
	struct xen_variant v = plain();
	char token[32];
	uint32_t i;

	xen_fixture_start(fx, &v);
	for (i = 0; i < 32; i++)
		assert_int_equal(xen_shadow_lend(&fx->shadow, &token[i], i), i);
	assert_int_equal(xen_shadow_lend(&fx->shadow, token, 0), -1);
	assert_ptr_equal(xen_shadow_settle(&fx->shadow, &fx->front.ring, 7, 7), &token[7]);
	assert_ptr_equal(xen_shadow_settle(&fx->shadow, &fx->front.ring, 31, 31), &token[31]);
	assert_int_equal(fx->shadow.free_count, 2);
	assert_int_equal(xen_shadow_lend(&fx->shadow, token, 0), 31);
	assert_int_equal(xen_shadow_lend(&fx->shadow, token, 0), 7);
	assert_int_equal(xen_shadow_lend(&fx->shadow, token, 0), -1);
	assert_int_equal(fx->front.ring.broken, XEN_RING_OK);
}

static void test_fault_texts(void **state)
{
	int fault;

	for (fault = XEN_RING_OK; fault <= XEN_RING_FAULT_OPERATION; fault++)
		assert_string_not_equal(xen_ring_fault_text(fault), "unknown fault");
	assert_string_equal(xen_ring_fault_text(fault), "unknown fault");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		xen_test(test_impossible_areas_and_positions),
		xen_test(test_layout),
		xen_test(test_full_ring),
		xen_test(test_untake_and_waiting),
		xen_test(test_requests_notify),
		xen_test(test_responses_notify),
		xen_test(test_takeover_owes_a_notification),
		xen_test(test_disable_takes_the_event_back),
		xen_test(test_shadow),
		cmocka_unit_test(test_fault_texts),
	};

	return cmocka_run_group_tests_name("Xen ring", tests, NULL, NULL);
}
