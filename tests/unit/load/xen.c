// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What pvkit-load puts on Xen's rings, what it grants for how long, and what it believes of the answers.
 * The test is the back-end, on the other side of each ring.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/blkif.h"
#include "abi/netif.h"
#include "tools/load/request.h"
#include "tools/load/xen.h"

#define MEMORY_BYTES (4 << 20)
#define REQUESTS     2
#define PAGE         XEN_RING_PAGE_BYTES

struct fixture {
	struct load_config config;
	struct load_front front;
	struct load_queue *queue;
	struct xen_back back;
	struct request request[REQUESTS];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->config = (struct load_config){
		.ring = LOAD_XEN,
		.queues = 1,
		.queue_size = 32,
		.block_size = 4096,
		.segments = 1,
	};
	fx->front.config = &fx->config;
	load_memory_open(&fx->front.memory, MEMORY_BYTES);
	xen_guest_open(&fx->front.memory, "vbd/51712");
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	unsigned int i;

	for (i = 0; i < REQUESTS; i++)
		fx->queue->wire->release(&fx->request[i]);
	free(xen_queue_of(fx->queue)->entries);
	free(fx->queue);
	xen_guest_close();
	load_memory_close(&fx->front.memory);
	free(fx);
	return 0;
}

/* After what the test wants is in ->config and ->front. */
static void begin(struct fixture *fx)
{
	unsigned int index = fx->config.device == LOAD_NET_TX, i;
	struct xen_ring_area area = {.bytes = PAGE};

	fx->queue = xen_queue_new(&fx->front, index, 1);
	area.pages = xen_queue_of(fx->queue)->ring.ring.header;
	area.slot_bytes = xen_queue_of(fx->queue)->ring.ring.slot_bytes;
	assert_int_equal(xen_back_init(&fx->back, &area, (struct xen_ring_position){0, 0}), 0);
	for (i = 0; i < REQUESTS; i++)
		fx->queue->wire->lay_out(&fx->front, fx->queue, &fx->request[i]);
}

static struct grant_v1 *entry(uint32_t reference)
{
	return (struct grant_v1 *)pv.grants.entries + reference;
}

static uint8_t *granted(struct fixture *fx, uint32_t reference)
{
	uint64_t address = (uint64_t)entry(reference)->frame * PAGE;

	assert_int_equal(entry(reference)->domain, PV_BACKEND);
	assert_int_equal(entry(reference)->flags & GRANT_TYPE_MASK, GRANT_PERMIT_ACCESS);
	return (uint8_t *)fx->front.memory.region.host +
	       (address - fx->front.memory.region.guest_address);
}

static bool read_only(uint32_t reference)
{
	return entry(reference)->flags & GRANT_READONLY;
}

static void send(struct fixture *fx, struct request *request)
{
	assert_true(fx->queue->wire->add(fx->queue, request));
	assert_true(fx->queue->wire->publish(fx->queue));
}

static void take(struct fixture *fx, void *slot, uint32_t bytes)
{
	assert_int_equal(xen_back_take(&fx->back, slot, bytes), XEN_RING_FOUND);
}

static enum load_found answer(struct fixture *fx, const void *response, uint32_t bytes,
			      struct load_done *done)
{
	xen_back_answer(&fx->back, response, bytes);
	xen_back_publish(&fx->back);
	*done = (struct load_done){0};
	return fx->queue->wire->reap(fx->queue, done);
}

/* ---- disks ----------------------------------------------------------------------------------- */

static union blkif_req ask(struct fixture *fx, struct request *request, bool is_write)
{
	union blkif_req slot;

	request->is_write = is_write;
	request->offset = 1 << 20;
	send(fx, request);
	take(fx, &slot, sizeof(slot));
	return slot;
}

static enum load_found answer_disk(struct fixture *fx, uint64_t id, uint8_t operation, int status,
				   struct load_done *done)
{
	const struct blkif_rsp response = {.id = id, .operation = operation, .status = status};

	return answer(fx, &response, sizeof(response), done);
}

static void a_read_lends_its_page_and_gets_it_back(void **state)
{
	struct fixture *fx = *state;
	struct load_done done;
	union blkif_req slot;
	uint32_t reference;

	begin(fx);
	slot = ask(fx, &fx->request[0], false);
	reference = slot.rw.segment[0].grant;
	assert_int_equal(slot.operation, BLKIF_READ);
	assert_int_equal(slot.rw.segments, 1);
	assert_int_equal(slot.rw.sector, (1 << 20) / 512);
	assert_int_equal(slot.rw.segment[0].last_sector, 7);
	assert_ptr_equal(granted(fx, reference), fx->request[0].data);
	assert_false(read_only(reference));
	assert_int_equal(answer_disk(fx, slot.rw.id, BLKIF_READ, BLKIF_OK, &done), LOAD_FOUND);
	assert_ptr_equal(done.request, &fx->request[0]);
	assert_int_equal(done.status, 0);
	assert_int_equal(entry(reference)->flags, GRANT_INVALID);
}

static void a_write_lends_for_reading_only(void **state)
{
	struct fixture *fx = *state;
	union blkif_req slot;

	begin(fx);
	slot = ask(fx, &fx->request[0], true);
	assert_int_equal(slot.operation, BLKIF_WRITE);
	assert_true(read_only(slot.rw.segment[0].grant));
}

static void a_persistent_grant_stays(void **state)
{
	struct fixture *fx = *state;
	struct load_done done;
	union blkif_req slot;

	fx->front.persistent = true;
	begin(fx);
	slot = ask(fx, &fx->request[0], true);
	assert_false(read_only(slot.rw.segment[0].grant));
	assert_int_equal(answer_disk(fx, slot.rw.id, BLKIF_WRITE, BLKIF_OK, &done), LOAD_FOUND);
	assert_ptr_equal(granted(fx, slot.rw.segment[0].grant), fx->request[0].data);
}

static void a_page_that_is_still_used_is_an_error(void **state)
{
	struct fixture *fx = *state;
	struct load_done done;
	union blkif_req slot;

	begin(fx);
	slot = ask(fx, &fx->request[0], false);
	entry(slot.rw.segment[0].grant)->flags |= GRANT_READING | GRANT_WRITING;
	assert_int_equal(answer_disk(fx, slot.rw.id, BLKIF_READ, BLKIF_OK, &done), LOAD_FOUND);
	assert_int_equal(done.status, -EBUSY);
}

static void a_request_ends_within_a_page(void **state)
{
	struct fixture *fx = *state;
	union blkif_req slot;

	fx->config.block_size = 2 * PAGE + 512;
	begin(fx);
	slot = ask(fx, &fx->request[1], false);
	assert_int_equal(slot.rw.segments, 3);
	assert_int_equal(slot.rw.segment[1].last_sector, 7);
	assert_int_equal(slot.rw.segment[2].last_sector, 0);
	assert_ptr_equal(granted(fx, slot.rw.segment[2].grant), fx->request[1].data + 2 * PAGE);
}

static void a_large_request_is_indirect(void **state)
{
	struct fixture *fx = *state;
	const struct blkif_segment *list;
	struct load_done done;
	union blkif_req slot;
	unsigned int i;

	fx->config.block_size = 12 * PAGE;
	begin(fx);
	slot = ask(fx, &fx->request[0], true);
	assert_int_equal(slot.operation, BLKIF_INDIRECT);
	assert_int_equal(slot.indirect.indirect_operation, BLKIF_WRITE);
	assert_int_equal(slot.indirect.segments, 12);
	assert_true(read_only(slot.indirect.page_grant[0]));
	list = (const struct blkif_segment *)granted(fx, slot.indirect.page_grant[0]);
	for (i = 0; i < 12; i++)
		assert_ptr_equal(granted(fx, list[i].grant), fx->request[0].data + i * PAGE);
	assert_int_equal(answer_disk(fx, slot.indirect.id, BLKIF_WRITE, BLKIF_OK, &done),
			 LOAD_FOUND);
	assert_int_equal(entry(slot.indirect.page_grant[0])->flags, GRANT_INVALID);
}

static void an_error_is_passed_on(void **state)
{
	struct fixture *fx = *state;
	struct load_done done;
	union blkif_req slot;

	begin(fx);
	slot = ask(fx, &fx->request[0], false);
	assert_int_equal(answer_disk(fx, slot.rw.id, BLKIF_READ, BLKIF_ERROR, &done), LOAD_FOUND);
	assert_int_equal(done.status, BLKIF_ERROR);
}

static void an_answer_to_nothing_breaks_the_ring(void **state)
{
	struct fixture *fx = *state;
	struct load_done done;
	union blkif_req slot;

	begin(fx);
	slot = ask(fx, &fx->request[0], false);
	assert_int_equal(answer_disk(fx, slot.rw.id + 1, BLKIF_READ, BLKIF_OK, &done), LOAD_BROKEN);
	assert_int_equal(fx->queue->wire->reap(fx->queue, &done), LOAD_BROKEN);
}

static void an_answer_of_another_kind_breaks_the_ring(void **state)
{
	struct fixture *fx = *state;
	struct load_done done;
	union blkif_req slot;

	begin(fx);
	slot = ask(fx, &fx->request[0], false);
	assert_int_equal(answer_disk(fx, slot.rw.id, BLKIF_WRITE, BLKIF_OK, &done), LOAD_BROKEN);
}

static void a_full_ring_takes_no_more(void **state)
{
	struct fixture *fx = *state;
	unsigned int i;

	begin(fx);
	for (i = 0; i < 32; i++)
		assert_true(fx->queue->wire->add(fx->queue, &fx->request[0]));
	assert_false(fx->queue->wire->add(fx->queue, &fx->request[1]));
}

/* ---- frames ---------------------------------------------------------------------------------- */

static enum load_found answer_tx(struct fixture *fx, uint16_t id, int status,
				 struct load_done *done)
{
	const struct netif_tx_rsp response = {.id = id, .status = status};

	return answer(fx, &response, sizeof(response), done);
}

static void a_frame_is_over_with_its_last_slot(void **state)
{
	struct fixture *fx = *state;
	struct netif_tx_req slot[2];
	struct load_done done;

	fx->config.device = LOAD_NET_TX;
	fx->config.block_size = PAGE + 100;
	begin(fx);
	send(fx, &fx->request[0]);
	take(fx, &slot[0], sizeof(slot[0]));
	take(fx, &slot[1], sizeof(slot[1]));
	assert_int_equal(slot[0].size, PAGE + 100);
	assert_int_equal(slot[0].flags, NETIF_TX_MORE_DATA);
	assert_int_equal(slot[1].size, 100);
	assert_int_equal(slot[1].flags, 0);
	assert_ptr_equal(granted(fx, slot[1].grant), fx->request[0].data + PAGE);
	assert_true(read_only(slot[0].grant));
	assert_int_equal(answer_tx(fx, slot[0].id, NETIF_DROPPED, &done), LOAD_NOTHING);
	assert_int_equal(answer_tx(fx, slot[1].id, NETIF_OK, &done), LOAD_FOUND);
	assert_int_equal(done.status, NETIF_DROPPED);
	assert_int_equal(entry(slot[0].grant)->flags, GRANT_INVALID);
	assert_int_equal(entry(slot[1].grant)->flags, GRANT_INVALID);
}

static void lend(struct fixture *fx, struct netif_rx_req *slot)
{
	fx->config.device = LOAD_NET_RX;
	begin(fx);
	send(fx, &fx->request[0]);
	take(fx, slot, sizeof(*slot));
	assert_ptr_equal(granted(fx, slot->grant), fx->request[0].data);
	assert_false(read_only(slot->grant));
}

static enum load_found answer_rx(struct fixture *fx, struct netif_rx_rsp response,
				 struct load_done *done)
{
	return answer(fx, &response, sizeof(response), done);
}

static void a_part_of_a_frame_is_told_as_one(void **state)
{
	struct fixture *fx = *state;
	struct netif_rx_req slot;
	struct load_done done;

	lend(fx, &slot);
	assert_int_equal(answer_rx(fx,
				   (struct netif_rx_rsp){.id = slot.id,
							 .offset = 64,
							 .flags = NETIF_RX_MORE_DATA,
							 .status = 1000},
				   &done),
			 LOAD_FOUND);
	assert_true(done.part);
	assert_int_equal(done.bytes, 1000);
	assert_ptr_equal(done.data, fx->request[0].data + 64);
	assert_int_equal(entry(slot.grant)->flags, GRANT_INVALID);
}

static void data_beyond_the_page_breaks_the_ring(void **state)
{
	struct fixture *fx = *state;
	struct netif_rx_req slot;
	struct load_done done;

	lend(fx, &slot);
	assert_int_equal(
		answer_rx(fx, (struct netif_rx_rsp){.id = slot.id, .offset = 4000, .status = 97},
			  &done),
		LOAD_BROKEN);
}

static void a_page_handed_back_is_an_error(void **state)
{
	struct fixture *fx = *state;
	struct netif_rx_req slot;
	struct load_done done;

	lend(fx, &slot);
	assert_int_equal(
		answer_rx(fx, (struct netif_rx_rsp){.id = slot.id, .status = NETIF_ERROR}, &done),
		LOAD_FOUND);
	assert_int_equal(done.status, NETIF_ERROR);
	assert_int_equal(done.bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_read_lends_its_page_and_gets_it_back),
		TEST(a_write_lends_for_reading_only),
		TEST(a_persistent_grant_stays),
		TEST(a_page_that_is_still_used_is_an_error),
		TEST(a_request_ends_within_a_page),
		TEST(a_large_request_is_indirect),
		TEST(an_error_is_passed_on),
		TEST(an_answer_to_nothing_breaks_the_ring),
		TEST(an_answer_of_another_kind_breaks_the_ring),
		TEST(a_full_ring_takes_no_more),
		TEST(a_frame_is_over_with_its_last_slot),
		TEST(a_part_of_a_frame_is_told_as_one),
		TEST(data_beyond_the_page_breaks_the_ring),
		TEST(a_page_handed_back_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
