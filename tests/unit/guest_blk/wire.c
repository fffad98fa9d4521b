// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The block front-end's wire: requests as a back-end finds them, answers as it may give them.
 * Catalogue: F50 (rsp_prod too far; wrong id or operation; duplicate response), and statuses that do
 * not exist.
 */
#include "fixture.h"

static union blkif_req taken(struct fixture *fx)
{
	union blkif_req request;

	memset(&request, 0xee, sizeof(request));
	assert_int_equal(xen_back_take(&fx->back, &request, sizeof(request)), XEN_RING_FOUND);
	return request;
}

static void test_data_in_the_slot(void **state)
{
	struct fixture *fx = fixture_new(1);
	struct wire_request request;
	union blkif_req got;
	uint32_t i;

	(void)state;
	assert_true(wire_reserve(&fx->wire));
	wire_build(&request, BLKIF_READ, 0x123456789aULL);
	for (i = 0; i < BLKIF_SEGMENTS_MAX; i++)
		wire_add(&request, 100 + i, 512 * (i % 8), 512);
	wire_extend(&request, 1024); /* 2, then 3 and 4 */
	assert_int_equal(wire_put(&fx->wire, &request, fx), 0);
	assert_true(wire_announce(&fx->wire));
	assert_false(wire_announce(&fx->wire));

	got = taken(fx);
	assert_int_equal(got.operation, BLKIF_READ);
	assert_int_equal(got.rw.segments, BLKIF_SEGMENTS_MAX);
	assert_int_equal(got.rw.sector, 0x123456789aULL);
	for (i = 0; i < BLKIF_SEGMENTS_MAX; i++) {
		assert_int_equal(got.rw.segment[i].grant, 100 + i);
		assert_int_equal(got.rw.segment[i].first_sector, i % 8);
		assert_int_equal(got.rw.segment[i].last_sector, i == 10 ? 4 : i % 8);
	}
	fixture_free(fx);
}

static void test_no_data(void **state)
{
	struct fixture *fx = fixture_new(1);
	struct wire_request request;
	union blkif_req got;

	(void)state;
	assert_true(wire_reserve(&fx->wire));
	wire_build(&request, BLKIF_FLUSH, 0);
	assert_int_equal(wire_put(&fx->wire, &request, fx), 0);
	assert_true(wire_reserve(&fx->wire));
	wire_build_range(&request, BLKIF_DISCARD, BLKIF_DISCARD_FLAG_SECURE, 8, 1ULL << 40);
	assert_int_equal(wire_put(&fx->wire, &request, fx), 0);
	wire_announce(&fx->wire);

	got = taken(fx);
	assert_int_equal(got.operation, BLKIF_FLUSH);
	assert_int_equal(got.rw.segments, 0);
	got = taken(fx);
	assert_int_equal(got.operation, BLKIF_DISCARD);
	assert_int_equal(got.discard.flags, BLKIF_DISCARD_FLAG_SECURE);
	assert_int_equal(got.discard.sector, 8);
	assert_int_equal(got.discard.sectors, 1ULL << 40);
	fixture_free(fx);
}

static void test_indirect(void **state)
{
	static struct blkif_segment page[2][BLKIF_SEGMENTS_PER_PAGE];
	struct fixture *fx = fixture_new(1);
	struct wire_request request;
	struct wire_answer got_answer;
	union blkif_req got;
	uint32_t i;

	(void)state;
	assert_true(wire_reserve(&fx->wire));
	wire_build(&request, BLKIF_WRITE, 77);
	wire_build_indirect(&request, 0, page[0], 40);
	wire_build_indirect(&request, 1, page[1], 41);
	for (i = 0; i < 600; i++)
		wire_add(&request, 1000 + i, 0, 4096);
	assert_int_equal(wire_put(&fx->wire, &request, fx), 0);
	wire_announce(&fx->wire);

	got = taken(fx);
	assert_int_equal(got.operation, BLKIF_INDIRECT);
	assert_int_equal(got.indirect.indirect_operation, BLKIF_WRITE);
	assert_int_equal(got.indirect.segments, 600);
	assert_int_equal(got.indirect.sector, 77);
	assert_int_equal(got.indirect.page_grant[0], 40);
	assert_int_equal(got.indirect.page_grant[1], 41);
	assert_int_equal(got.indirect.page_grant[2], 0);
	assert_int_equal(page[0][511].grant, 1511);
	assert_int_equal(page[1][0].grant, 1512);
	assert_int_equal(page[1][87].last_sector, 7);

	/* The answer repeats the real operation. */
	answer(fx, got.indirect.id, BLKIF_WRITE, BLKIF_OK);
	assert_int_equal(wire_take(&fx->wire, &got_answer), XEN_RING_FOUND);
	assert_ptr_equal(got_answer.token, fx);
	assert_int_equal(got_answer.status, BLKIF_OK);
	fixture_free(fx);
}

/* Promises count as slots; given back or broken, they are free again. */
static void test_promises(void **state)
{
	struct fixture *fx = fixture_new(2);
	struct wire_request request;
	uint32_t i, size = fx->wire.front.ring.size;

	(void)state;
	assert_int_equal(size, 64);
	for (i = 0; i < size - 2; i++)
		put_write(fx, i, &fx->token[i]);
	assert_true(wire_reserve(&fx->wire));
	assert_true(wire_reserve(&fx->wire));
	assert_false(wire_reserve(&fx->wire));
	wire_cancel(&fx->wire);
	assert_true(wire_reserve(&fx->wire));
	wire_build(&request, BLKIF_READ, 0);
	fx->wire.front.ring.broken = XEN_RING_FAULT_ID;
	assert_int_equal(wire_put(&fx->wire, &request, fx), -1);
	assert_int_equal(fx->wire.building, 1);
	assert_int_equal(fx->wire.shadow.free_count, 2);
	fixture_free(fx);
}

static void test_statuses(void **state)
{
	static const int16_t known[] = {BLKIF_OK, BLKIF_ERROR, BLKIF_NOT_SUPPORTED};
	struct fixture *fx = fixture_new(1);
	struct wire_answer got;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		put_write(fx, i, &fx->token[i]);
	wire_announce(&fx->wire);
	for (i = 0; i < 3; i++) {
		answer(fx, taken(fx).rw.id, BLKIF_WRITE, known[i]);
		assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_FOUND);
		assert_int_equal(got.status, known[i]);
		assert_ptr_equal(got.token, &fx->token[i]);
	}
	assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_EMPTY);
	answer(fx, taken(fx).rw.id, BLKIF_WRITE, 5);
	assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_FOUND);
	assert_int_equal(got.status, BLKIF_ERROR);
	assert_true(wire_broken(&fx->wire));
	assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_BROKEN);
	assert_string_equal(wire_fault(&fx->wire), "response with a status that does not exist");
	fixture_free(fx);
}

enum lie {
	WRONG_ID,
	ID_NOT_LENT,
	TWICE,
	WRONG_OPERATION,
	INDIRECT_OPERATION,
	TOO_MANY,
	BACKWARDS
};

static void lie(struct fixture *fx, enum lie kind)
{
	struct xen_ring_header *header = fx->area.pages;
	uint64_t id = taken(fx).rw.id;
	struct wire_answer got;

	switch (kind) {
	case WRONG_ID:
		answer(fx, 0xffffffffffffffffULL, BLKIF_WRITE, BLKIF_OK);
		break;
	case ID_NOT_LENT:
		answer(fx, fx->wire.shadow.free_head, BLKIF_WRITE, BLKIF_OK);
		break;
	case TWICE:
		answer(fx, id, BLKIF_WRITE, BLKIF_OK);
		assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_FOUND);
		taken(fx);
		answer(fx, id, BLKIF_WRITE, BLKIF_OK);
		break;
	case WRONG_OPERATION:
		answer(fx, id, BLKIF_READ, BLKIF_OK);
		break;
	case INDIRECT_OPERATION:
		answer(fx, id, BLKIF_INDIRECT, BLKIF_OK);
		break;
	case TOO_MANY:
		header->rsp_prod = 1000;
		break;
	case BACKWARDS:
		header->rsp_prod = 0xffffffff;
		break;
	}
	assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_BROKEN);
	assert_int_equal(wire_take(&fx->wire, &got), XEN_RING_BROKEN);
	assert_true(wire_broken(&fx->wire));
}

/* Whatever it was, all that had no answer comes back, once. */
static void test_lies_and_recovery(void **state)
{
	enum lie kind;

	(void)state;
	for (kind = WRONG_ID; kind <= BACKWARDS; kind++) {
		struct fixture *fx = fixture_new(1);
		bool seen[SLOTS_MAX] = {false};
		uint32_t i, back = 0;
		char *token;

		for (i = 0; i < 10; i++)
			put_write(fx, i, &fx->token[i]);
		wire_announce(&fx->wire);
		lie(fx, kind);
		while ((token = wire_recover(&fx->wire))) {
			assert_false(seen[token - fx->token]);
			seen[token - fx->token] = true;
			back++;
		}
		assert_int_equal(back, kind == TWICE ? 9 : 10);
		assert_int_equal(fx->wire.shadow.free_count, fx->wire.shadow.size);
		fixture_free(fx);
	}
}

/* The doorbell: once a batch, and not while the back-end looks by itself. */
static void test_notifications(void **state)
{
	struct fixture *fx = fixture_new(1);
	uint32_t i;

	(void)state;
	for (i = 0; i < 8; i++)
		put_write(fx, i, fx);
	assert_true(wire_announce(&fx->wire));
	xen_back_events_disable(&fx->back);
	for (i = 0; i < 8; i++)
		taken(fx);
	for (i = 0; i < 8; i++)
		put_write(fx, i, fx);
	assert_false(wire_announce(&fx->wire));
	for (i = 0; i < 8; i++)
		taken(fx);
	assert_false(xen_back_events_enable(&fx->back));
	put_write(fx, i, fx);
	assert_true(wire_announce(&fx->wire));
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_in_the_slot), cmocka_unit_test(test_no_data),
		cmocka_unit_test(test_indirect),         cmocka_unit_test(test_promises),
		cmocka_unit_test(test_statuses),         cmocka_unit_test(test_lies_and_recovery),
		cmocka_unit_test(test_notifications),
	};

	return cmocka_run_group_tests_name("block front-end, wire", tests, NULL, NULL);
}
