// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A peer that breaks the protocol of a Xen ring: what costs the ring (H, K), and what must cost
 * nothing. The numbers are those of the catalogue of hostile inputs.
 */
#include "xen_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static const uint32_t starts[] = {0, 1, 31, 32, 100, 0x7fffffff, 0x80000000, -33u, -32u, -5u, -1u};
#define STARTS (sizeof(starts) / sizeof(starts[0]))

#define REQUEST  BLKIF_SLOT_BYTES
#define RESPONSE sizeof(struct blkif_rsp)

/* A ring of 32 slots in which @taken requests were taken, @answered answered and @reaped reaped. */
static void begin(struct xen_fixture *fx, uint32_t start, uint32_t put, uint32_t taken,
		  uint32_t answered)
{
	struct xen_variant v = xen_variant(0, 0);
	uint8_t message[MESSAGE_MAX] = {0};
	uint32_t i;

	v.start = start;
	xen_fixture_start(fx, &v);
	for (i = 0; i < put; i++)
		assert_int_equal(xen_front_put(&fx->front, message, REQUEST), 0);
	xen_front_publish(&fx->front);
	for (i = 0; i < taken; i++)
		assert_int_equal(xen_back_take(&fx->back, message, REQUEST), XEN_RING_FOUND);
	for (i = 0; i < answered; i++)
		xen_back_answer(&fx->back, message, RESPONSE);
	xen_back_publish(&fx->back);
}

/* H: this call and every later one says so, nothing is copied and nothing moves. */
static void expect_back_broken(struct xen_fixture *fx)
{
	struct xen_ring_position before = xen_back_position(&fx->back), after;
	uint8_t message[MESSAGE_MAX], untouched[MESSAGE_MAX];

	memset(message, 0x77, sizeof(message));
	memset(untouched, 0x77, sizeof(untouched));
	assert_true(xen_back_has_work(&fx->back));
	assert_int_equal(xen_back_take(&fx->back, message, REQUEST), XEN_RING_BROKEN);
	assert_int_equal(fx->back.ring.broken, XEN_RING_FAULT_REQUESTS);
	assert_int_equal(xen_back_take(&fx->back, message, REQUEST), XEN_RING_BROKEN);
	assert_int_equal(xen_back_waiting(&fx->back, 1), 0);
	assert_memory_equal(message, untouched, sizeof(message));
	after = xen_back_position(&fx->back);
	assert_int_equal(after.req_cons, before.req_cons);
	assert_int_equal(after.rsp_prod, before.rsp_prod);
}

/* 1, 14: the request index more than one ring ahead, wherever the ring stands. */
static void test_1_request_index_jumps(void **state)
{
	static const uint32_t jumps[] = {33, 34, 64, 100, 0x10000, 0x7fffffff, 0x80000000};
	struct xen_fixture *fx = *state;
	uint8_t message[MESSAGE_MAX];
	size_t i, j;

	for (i = 0; i < STARTS; i++) {
		for (j = 0; j < sizeof(jumps) / sizeof(jumps[0]); j++) {
			begin(fx, starts[i], 0, 0, 0);
			fx->header->req_prod = starts[i] + jumps[j];
			expect_back_broken(fx);
		}
		/* Exactly one ring is what a full ring looks like. */
		begin(fx, starts[i], 0, 0, 0);
		fx->header->req_prod = starts[i] + 32;
		for (j = 0; j < 32; j++)
			assert_int_equal(xen_back_take(&fx->back, message, REQUEST),
					 XEN_RING_FOUND);
		assert_int_equal(xen_back_take(&fx->back, message, REQUEST), XEN_RING_EMPTY);
	}
}

/* 1: requests over slots whose requests were taken and not answered, or not visibly. */
static void test_1_requests_over_unanswered_ones(void **state)
{
	struct xen_fixture *fx = *state;
	uint8_t message[MESSAGE_MAX] = {0};
	size_t i;

	for (i = 0; i < STARTS; i++) {
		begin(fx, starts[i], 20, 20, 0);
		fx->header->req_prod = starts[i] + 33;
		expect_back_broken(fx);

		begin(fx, starts[i], 20, 20, 10);
		fx->header->req_prod = starts[i] + 43;
		expect_back_broken(fx);

		/* Staged is not published: the front-end cannot know of these slots. */
		begin(fx, starts[i], 20, 20, 10);
		xen_back_answer(&fx->back, message, RESPONSE);
		fx->header->req_prod = starts[i] + 43;
		expect_back_broken(fx);

		begin(fx, starts[i], 20, 20, 10);
		fx->header->req_prod = starts[i] + 42;
		assert_int_equal(xen_back_take(&fx->back, message, REQUEST), XEN_RING_FOUND);
		assert_int_equal(xen_back_waiting(&fx->back, 1), 21);
	}
}

/* 1: an index that runs backwards, within what a careless check would let pass. */
static void test_1_request_index_runs_backwards(void **state)
{
	struct xen_fixture *fx = *state;
	uint32_t back;
	size_t i;

	for (i = 0; i < STARTS; i++) {
		for (back = 1; back <= 33; back += 8) {
			begin(fx, starts[i], 20, 20, 0);
			fx->header->req_prod = starts[i] + 20 - back;
			expect_back_broken(fx);
		}
	}
}

/*
 * A batch goes by the index that was checked: what the peer writes there meanwhile is not looked
 * at.
 */
static void test_1_index_changes_within_a_batch(void **state)
{
	struct xen_fixture *fx = *state;
	uint8_t message[MESSAGE_MAX];
	uint32_t i;

	begin(fx, -3u, 6, 1, 0);
	fx->header->req_prod = 12345;
	for (i = 0; i < 5; i++)
		assert_int_equal(xen_back_take(&fx->back, message, REQUEST), XEN_RING_FOUND);
	expect_back_broken(fx);
}

/* ---- 2: a request that is rewritten all the time --------------------------------------------- */

#define ROUNDS_MIN 1000000
#define RACE_SECONDS_MAX 30 /* a busy machine runs the two threads at once only now and then */

struct racer {
	uint8_t *slot;
	bool stop;
};

/* Every word of the slot holds the same number at each moment between two rounds. */
static void *rewrite(void *argument)
{
	struct racer *racer = argument;
	uint64_t *word = (uint64_t *)racer->slot, value = 0;
	size_t i;

	while (!__atomic_load_n(&racer->stop, __ATOMIC_RELAXED)) {
		value += 0x0000000100000001ULL;
		for (i = 0; i < REQUEST / 8; i++)
			__atomic_store_n(&word[i], value, __ATOMIC_RELAXED);
		if (!(value & 0xfff))
			sched_yield();
	}
	return NULL;
}

/*
 * The copy is the caller's own: it stays what it was while the slot changes under it, no word of it
 * is torn, and no two reads of one word made it.
 */
static void test_2_request_is_rewritten(void **state)
{
	struct xen_fixture *fx = *state;
	struct racer racer = {0};
	uint64_t copy[REQUEST / 8], again[REQUEST / 8];
	unsigned int round, i, changed = 0;
	time_t end = time(NULL) + RACE_SECONDS_MAX;
	pthread_t thread;

	begin(fx, -1u, 0, 0, 0);
	/* Its number is 0 - 1, its place the last. */
	racer.slot = (uint8_t *)fx->area.pages + 64 + 31 * REQUEST;
	memset(racer.slot, 0, REQUEST);
	fx->header->req_prod = 0;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, &racer), 0);
	for (round = 0; changed < 1000 && (round < ROUNDS_MIN || !changed); round++) {
		if (!(round & 0xffff) && time(NULL) > end)
			break;
		assert_int_equal(xen_back_take(&fx->back, copy, REQUEST), XEN_RING_FOUND);
		memcpy(again, copy, sizeof(copy));
		if (!(round & 0xff))
			sched_yield();
		for (i = 0; i < REQUEST / 8; i++) {
			/* Both halves were written by one store. */
			assert_int_equal((uint32_t)copy[i], copy[i] >> 32);
			assert_int_equal(copy[i], again[i]);
			changed += copy[i] != copy[0];
		}
		xen_back_untake(&fx->back, 1);
	}
	__atomic_store_n(&racer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	print_message("  %u words of %u requests changed while they were copied\n", changed, round);
	assert_true(changed > 0);
	assert_int_equal(fx->back.ring.broken, XEN_RING_OK);
}

/* Events are wishes: any value costs at most a notification, and breaks nothing. */
static void test_any_event_index(void **state)
{
	static const uint32_t wishes[] = {0, 1, 7, 0x7fffffff, 0x80000000, 0xffffffff};
	struct xen_fixture *fx = *state;
	uint8_t message[MESSAGE_MAX] = {0};
	size_t i;

	for (i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		begin(fx, -4u, 8, 8, 0);
		fx->header->rsp_event = wishes[i];
		fx->header->req_event = wishes[i];
		xen_front_should_notify(&fx->front);
		xen_back_answer(&fx->back, message, RESPONSE);
		xen_back_publish(&fx->back);
		xen_back_should_notify(&fx->back);
		/* What the peer writes into our own event index is not read back. */
		fx->header->req_event = wishes[i];
		xen_back_events_disable(&fx->back);
		assert_false(xen_back_events_enable(&fx->back));
		assert_int_equal(fx->header->req_event, fx->back.req_cons + 1);
		assert_int_equal(xen_front_reap(&fx->front, message, RESPONSE), XEN_RING_FOUND);
	}
}

static void test_our_own_surplus_response(void **state)
{
	struct xen_fixture *fx = *state;
	uint8_t message[MESSAGE_MAX] = {0};

	begin(fx, -2u, 4, 3, 3);
	xen_back_answer(&fx->back, message, RESPONSE);
	assert_int_equal(fx->back.ring.broken, XEN_RING_FAULT_SURPLUS);
	assert_int_equal(xen_back_position(&fx->back).rsp_prod, 1);
}

/* ---- 50: the back-end against our front-end -------------------------------------------------- */

static void expect_front_broken(struct xen_fixture *fx)
{
	uint8_t message[MESSAGE_MAX], untouched[MESSAGE_MAX];
	uint32_t before = fx->front.rsp_cons;

	memset(message, 0x77, sizeof(message));
	memset(untouched, 0x77, sizeof(untouched));
	assert_true(xen_front_has_work(&fx->front));
	assert_int_equal(xen_front_reap(&fx->front, message, RESPONSE), XEN_RING_BROKEN);
	assert_int_equal(fx->front.ring.broken, XEN_RING_FAULT_RESPONSES);
	assert_int_equal(xen_front_reap(&fx->front, message, RESPONSE), XEN_RING_BROKEN);
	assert_memory_equal(message, untouched, sizeof(message));
	assert_int_equal(fx->front.rsp_cons, before);
	assert_int_equal(xen_front_put(&fx->front, message, REQUEST), -1);
}

static void test_50_response_index_too_far(void **state)
{
	struct xen_fixture *fx = *state;
	uint8_t message[MESSAGE_MAX] = {0};
	size_t i;

	for (i = 0; i < STARTS; i++) {
		/* Nothing was asked. */
		begin(fx, starts[i], 0, 0, 0);
		fx->header->rsp_prod = starts[i] + 1;
		expect_front_broken(fx);
		/* One more than was asked, though less than a ring. */
		begin(fx, starts[i], 10, 10, 0);
		fx->header->rsp_prod = starts[i] + 11;
		expect_front_broken(fx);
		/* What is staged the back-end cannot have seen. */
		begin(fx, starts[i], 10, 10, 0);
		assert_int_equal(xen_front_put(&fx->front, message, REQUEST), 0);
		fx->header->rsp_prod = starts[i] + 11;
		expect_front_broken(fx);
		/* Backwards. */
		begin(fx, starts[i], 10, 10, 5);
		while (xen_front_reap(&fx->front, message, RESPONSE) == XEN_RING_FOUND)
			;
		fx->header->rsp_prod = starts[i] + 4;
		expect_front_broken(fx);
		/* All of them. */
		begin(fx, starts[i], 32, 32, 0);
		fx->header->rsp_prod = starts[i] + 32;
		assert_int_equal(xen_front_reap(&fx->front, message, RESPONSE), XEN_RING_FOUND);
		assert_int_equal(fx->front.ring.broken, XEN_RING_OK);
	}
}

/* Asks twice, reads @response as its first answer. */
static void *judge(struct xen_fixture *fx, struct blkif_rsp response)
{
	static char token[2];
	union blkif_req request = {0};
	struct blkif_rsp got;

	begin(fx, -1u, 0, 0, 0);
	xen_shadow_init(&fx->shadow, fx->entry, 4);
	request.rw.operation = BLKIF_READ;
	request.rw.id = xen_shadow_lend(&fx->shadow, &token[0], BLKIF_READ);
	assert_int_equal(xen_front_put(&fx->front, &request, REQUEST), 0);
	request.rw.operation = BLKIF_WRITE;
	request.rw.id = xen_shadow_lend(&fx->shadow, &token[1], BLKIF_WRITE);
	assert_int_equal(xen_front_put(&fx->front, &request, REQUEST), 0);
	xen_front_publish(&fx->front);
	assert_int_equal(xen_back_take(&fx->back, &request, REQUEST), XEN_RING_FOUND);
	assert_int_equal(xen_back_take(&fx->back, &request, REQUEST), XEN_RING_FOUND);
	xen_back_answer(&fx->back, &response, RESPONSE);
	xen_back_answer(&fx->back, &response, RESPONSE);
	xen_back_publish(&fx->back);
	assert_int_equal(xen_front_reap(&fx->front, &got, RESPONSE), XEN_RING_FOUND);
	return xen_shadow_settle(&fx->shadow, &fx->front.ring, got.id, got.operation);
}

static void test_50_ids_and_operations(void **state)
{
	static const uint64_t bad[] = {2, 3, 4, 32, 0xffffffff, 0x100000000, 0x100000001, -1ull};
	struct xen_fixture *fx = *state;
	struct blkif_rsp got;
	size_t i;

	assert_non_null(judge(fx, (struct blkif_rsp){.id = 1, .operation = BLKIF_WRITE}));
	/* A second answer to the same request. */
	assert_int_equal(xen_front_reap(&fx->front, &got, RESPONSE), XEN_RING_FOUND);
	assert_null(xen_shadow_settle(&fx->shadow, &fx->front.ring, got.id, got.operation));
	assert_int_equal(fx->front.ring.broken, XEN_RING_FAULT_ID);
	assert_int_equal(xen_front_reap(&fx->front, &got, RESPONSE), XEN_RING_BROKEN);
	/* The other one is still there to be recovered. */
	assert_int_equal(fx->shadow.free_count, 3);
	assert_non_null(fx->entry[0].token);

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(judge(fx, (struct blkif_rsp){.id = bad[i], .operation = BLKIF_READ}));
		assert_int_equal(fx->front.ring.broken, XEN_RING_FAULT_ID);
		assert_int_equal(fx->shadow.free_count, 2);
	}
	assert_null(judge(fx, (struct blkif_rsp){.id = 0, .operation = BLKIF_WRITE}));
	assert_int_equal(fx->front.ring.broken, XEN_RING_FAULT_OPERATION);
	assert_int_equal(fx->shadow.free_count, 2);
}

/* Rings full of noise: whatever is answered, no step leaves the area (the sanitizer watches). */
static void test_random_headers(void **state)
{
	struct xen_fixture *fx = *state;
	uint32_t seed = 4711, round, i;
	uint8_t message[MESSAGE_MAX] = {0};

	for (round = 0; round < 3000; round++) {
		begin(fx, xen_draw(&seed), 10, 6, 3);
		for (i = 0; i < 60; i++) {
			uint32_t noise = xen_draw(&seed);
			uint32_t *word = (uint32_t *)fx->header + noise % 4;

			/* Near what is plausible, and anywhere. */
			*word = noise & 16 ? xen_draw(&seed) : *word + (noise >> 8) % 48 - 24;
			xen_back_take(&fx->back, message, REQUEST);
			if (fx->back.rsp_prod != fx->back.req_cons)
				xen_back_answer(&fx->back, message, RESPONSE);
			xen_back_publish(&fx->back);
			xen_back_should_notify(&fx->back);
			xen_front_reap(&fx->front, message, RESPONSE);
			xen_front_put(&fx->front, message, REQUEST);
			xen_front_publish(&fx->front);
			xen_front_should_notify(&fx->front);
			assert_true(fx->back.req_cons - fx->back.rsp_published <= 32);
			assert_true(xen_front_room(&fx->front) <= 32);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		xen_test(test_1_request_index_jumps),
		xen_test(test_1_requests_over_unanswered_ones),
		xen_test(test_1_request_index_runs_backwards),
		xen_test(test_1_index_changes_within_a_batch),
		xen_test(test_2_request_is_rewritten),
		xen_test(test_any_event_index),
		xen_test(test_our_own_surplus_response),
		xen_test(test_50_response_index_too_far),
		xen_test(test_50_ids_and_operations),
		xen_test(test_random_headers),
	};

	return cmocka_run_group_tests_name("Xen ring, hostile peers", tests, NULL, NULL);
}
