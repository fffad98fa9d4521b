// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The wire as the driver uses it: several senders and one who collects, under the queue's lock, which
 * is held twice for a request and not while it is built; and a back-end on a thread of its own. The
 * thread sanitizer judges whether lock and ring order all that is shared.
 */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define SENDERS  3
#define DEADLINE 120 /* seconds; it takes a few */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define EACH 3000
#else
#define EACH 30000
#endif

struct sent {
	uint32_t number; /* what the data says; the back-end makes its complement of it */
	bool done; /* under the lock */
	struct blkif_segment page[BLKIF_SEGMENTS_PER_PAGE];
};

static struct {
	struct fixture *fx;
	pthread_mutex_t lock;
	/* "Grants": where the back-end finds a request's data and descriptors. */
	struct sent *granted[SENDERS];
	unsigned int left; /* senders that are not done; under the lock */
	const char *failure;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t data_of(const struct blkif_segment *segment, struct sent **sent)
{
	*sent = all.granted[segment->grant];
	return (*sent)->number;
}

static const char *serve(const union blkif_req *request)
{
	const struct blkif_segment *segment = &request->rw.segment[0];
	uint8_t operation = request->operation;
	struct blkif_rsp response;
	struct sent *sent;

	if (operation == BLKIF_INDIRECT) {
		operation = request->indirect.indirect_operation;
		segment = &all.granted[request->indirect.page_grant[0]]->page[0];
		if (request->indirect.segments != 20)
			return "another count of segments";
	} else if (request->rw.segments != 1) {
		return "another count of segments";
	}
	/* The number went through the sector, the data through memory. */
	if (data_of(segment, &sent) != request->rw.sector)
		return "data came later than its request";
	sent->number = ~sent->number;
	response = (struct blkif_rsp){.id = request->rw.id, .operation = operation};
	xen_back_answer(&all.fx->back, &response, sizeof(response));
	return NULL;
}

static void *back_thread(void *argument)
{
	union blkif_req request;
	unsigned int served = 0;

	(void)argument;
	while (served < SENDERS * EACH && !all.failure) {
		if (xen_back_take(&all.fx->back, &request, sizeof(request)) != XEN_RING_FOUND) {
			sched_yield();
			continue;
		}
		all.failure = serve(&request);
		xen_back_publish(&all.fx->back);
		served++;
	}
	return NULL;
}

/* As request.c: reserve, build, stage. */
static void send_one(unsigned int me, struct sent *sent, uint32_t number)
{
	struct wire_request request;
	bool reserved = false;
	uint32_t i;

	while (!reserved) {
		pthread_mutex_lock(&all.lock);
		reserved = wire_reserve(&all.fx->wire);
		pthread_mutex_unlock(&all.lock);
	}
	sent->number = number;
	sent->done = false;
	wire_build(&request, number % 2 ? BLKIF_WRITE : BLKIF_READ, number);
	if (number % 3 == 0)
		wire_build_indirect(&request, 0, sent->page, me);
	for (i = 0; i < (number % 3 ? 1 : 20); i++)
		wire_add(&request, me, 0, 4096);
	pthread_mutex_lock(&all.lock);
	assert_int_equal(wire_put(&all.fx->wire, &request, sent), 0);
	wire_announce(&all.fx->wire);
	pthread_mutex_unlock(&all.lock);
}

static bool ended(struct sent *sent)
{
	bool done;

	pthread_mutex_lock(&all.lock);
	done = sent->done;
	pthread_mutex_unlock(&all.lock);
	return done;
}

static void *send_thread(void *argument)
{
	unsigned int me = (unsigned int)(uintptr_t)argument;
	struct sent *sent = all.granted[me];
	uint32_t i;

	for (i = 0; i < EACH; i++) {
		send_one(me, sent, i * SENDERS + me);
		while (!ended(sent))
			sched_yield();
		assert_int_equal(sent->number, ~(i * SENDERS + me));
	}
	pthread_mutex_lock(&all.lock);
	all.left--;
	pthread_mutex_unlock(&all.lock);
	return NULL;
}

/* The interrupt. False: nobody sends any more. */
static bool collect(void)
{
	struct wire_answer got;
	bool more;

	pthread_mutex_lock(&all.lock);
	while (wire_take(&all.fx->wire, &got) == XEN_RING_FOUND) {
		assert_int_equal(got.status, BLKIF_OK);
		((struct sent *)got.token)->done = true;
	}
	assert_false(wire_broken(&all.fx->wire));
	more = all.left;
	pthread_mutex_unlock(&all.lock);
	return more;
}

static void test_senders_collector_back(void **state)
{
	pthread_t back, sender[SENDERS];
	uintptr_t i;

	(void)state;
	all.fx = fixture_new(1);
	all.left = SENDERS;
	for (i = 0; i < SENDERS; i++)
		all.granted[i] = calloc(1, sizeof(*all.granted[i]));
	assert_int_equal(pthread_create(&back, NULL, back_thread, NULL), 0);
	for (i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&sender[i], NULL, send_thread, (void *)i), 0);
	while (collect())
		sched_yield();
	for (i = 0; i < SENDERS; i++)
		pthread_join(sender[i], NULL);
	pthread_join(back, NULL);
	if (all.failure)
		fail_msg("back-end: %s", all.failure);
	assert_int_equal(all.fx->wire.shadow.free_count, all.fx->wire.shadow.size);
	assert_int_equal(all.fx->wire.building, 0);
	for (i = 0; i < SENDERS; i++)
		free(all.granted[i]);
	fixture_free(all.fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_senders_collector_back),
	};

	alarm(DEADLINE);
	return cmocka_run_group_tests_name("block front-end, threads", tests, NULL, NULL);
}
