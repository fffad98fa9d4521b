// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Both sides of a Xen ring against each other in two threads. A wake-up that is lost leaves both
 * asleep: the alarm then ends the test.
 */
#include "xen_fixture.h"

#include "bell.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define DEADLINE 60 /* seconds for each run; it takes one at most, or three on a busy machine */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TOTAL 2000
#define NAPS  5000
#else
#define TOTAL 8000
#define NAPS  50000
#endif

struct pair {
	struct xen_fixture *fx;
	struct xen_variant variant;
	uint32_t depth; /* most requests in flight */
	uint32_t total;
	enum waiting waiting;
	struct bell to_back, to_front;
	uint32_t data[SLOTS_MAX]; /* what a request points to, by id */
	const char *failure; /* of the back-end's thread; read after it was joined */
};

/* What lies in the first words of each message. The rest repeats the number. */
struct message {
	uint32_t id;
	uint32_t number;
	uint8_t rest[MESSAGE_MAX - 8];
};

/* ---- the back-end's thread: answers each number by its complement, in any order -------------- */

static void finish(struct pair *pair, struct message *held, unsigned int count, uint32_t *seed)
{
	struct xen_back *back = &pair->fx->back;
	unsigned int place;

	while (count) {
		place = xen_draw(seed) % count;
		held[place].number = ~held[place].number;
		/* Plain: the ring orders it. */
		pair->data[held[place].id] = held[place].number;
		xen_back_answer(back, &held[place], 8);
		held[place] = held[--count];
	}
	xen_back_publish(back);
	if (xen_back_should_notify(back))
		bell_ring(&pair->to_front);
}

static const char *check_request(struct pair *pair, const struct message *request)
{
	if (request->id >= pair->depth)
		return "request has an id that was never used";
	if (pair->data[request->id] != request->number)
		return "request came before its data";
	if (!xen_filled(request->rest, pair->variant.request_bytes - 8, request->number))
		return "request is torn";
	return NULL;
}

static void *back_thread(void *argument)
{
	struct pair *pair = argument;
	struct xen_back *back = &pair->fx->back;
	static struct message held[SLOTS_MAX];
	unsigned int served = 0, count, most;
	enum xen_ring_result result;
	uint32_t seed = 77;

	xen_back_events_disable(back);
	while (served < pair->total && !pair->failure) {
		most = 1 + xen_draw(&seed) % pair->variant.size;
		for (count = 0; count < most && !pair->failure; count++) {
			result = xen_back_take(back, &held[count], pair->variant.request_bytes);
			if (result == XEN_RING_BROKEN)
				pair->failure = xen_ring_fault_text(back->ring.broken);
			if (result != XEN_RING_FOUND)
				break;
			pair->failure = check_request(pair, &held[count]);
		}
		if (count) {
			finish(pair, held, count, &seed);
			served += count;
		} else if (pair->waiting == SPIN) {
			sched_yield();
		} else {
			if (!xen_back_events_enable(back))
				bell_wait(&pair->to_back);
			xen_back_events_disable(back);
		}
	}
	return NULL;
}

/* ---- the front-end's ------------------------------------------------------------------------- */

static char token[SLOTS_MAX];

static void submit(struct pair *pair, uint32_t number)
{
	struct message request = {.number = number};
	int64_t id = xen_shadow_lend(&pair->fx->shadow, token, 0);

	assert_true(id >= 0);
	request.id = id;
	xen_fill(request.rest, pair->variant.request_bytes - 8, number);
	/* The data before the request: publish releases both. */
	pair->data[id] = number;
	assert_int_equal(xen_front_put(&pair->fx->front, &request, pair->variant.request_bytes), 0);
}

static unsigned int collect(struct pair *pair)
{
	struct xen_front *front = &pair->fx->front;
	enum xen_ring_result result;
	struct message response;
	unsigned int reaped = 0;

	while ((result = xen_front_reap(front, &response, 8)) == XEN_RING_FOUND) {
		assert_non_null(xen_shadow_settle(&pair->fx->shadow, &front->ring, response.id, 0));
		assert_int_equal(pair->data[response.id], response.number);
		reaped++;
	}
	assert_int_equal(result, XEN_RING_EMPTY);
	return reaped;
}

static void drive(struct pair *pair)
{
	struct xen_front *front = &pair->fx->front;
	uint32_t seed = 99, want, number = 0x12345;
	unsigned int submitted = 0, reaped = 0, got;

	xen_front_events_disable(front);
	while (reaped < pair->total) {
		want = 1 + xen_draw(&seed) % pair->depth;
		while (want && submitted < pair->total && submitted - reaped < pair->depth) {
			submit(pair, number += 0x10001);
			submitted++;
			want--;
		}
		xen_front_publish(front);
		if (xen_front_should_notify(front))
			bell_ring(&pair->to_back);
		got = collect(pair);
		reaped += got;
		if (got)
			continue;
		if (pair->waiting == SPIN) {
			sched_yield();
		} else {
			/* The notification of all that is in flight was given above. */
			if (!xen_front_events_enable(front))
				bell_wait(&pair->to_front);
			xen_front_events_disable(front);
		}
	}
}

static void run(struct xen_fixture *fx, struct xen_variant v, uint32_t depth, enum waiting waiting,
		const char *what)
{
	static struct pair pair;
	pthread_t thread;

	pair = (struct pair){.fx = fx, .variant = v, .depth = depth, .waiting = waiting};
	xen_variant_print(&v, what);
	alarm(DEADLINE);
	xen_fixture_start(fx, &v);
	pair.total = waiting == NAP ? NAPS : TOTAL;
	pair.to_back = bell_new(waiting);
	pair.to_front = bell_new(waiting);
	assert_int_equal(pthread_create(&thread, NULL, back_thread, &pair), 0);
	drive(&pair);
	pthread_join(thread, NULL);
	if (pair.failure)
		fail_msg("back-end: %s", pair.failure);
	assert_int_equal(fx->shadow.free_count, v.size);
	assert_int_equal(xen_front_room(&fx->front), v.size);
	assert_int_equal(xen_back_position(&fx->back).req_cons, v.start + pair.total);
	assert_int_equal(xen_back_position(&fx->back).rsp_prod, v.start + pair.total);
	close(pair.to_back.fd);
	close(pair.to_front.fd);
}

static void test_both_sleep(void **state)
{
	unsigned int number;

	for (number = 0; number < XEN_VARIANTS; number++) {
		struct xen_variant v = xen_variant(number, 3 + number);

		run(*state, v, v.size, SLEEP, "ring full of requests, asleep");
	}
}

/* Each request wakes the back-end, each answer the front-end: no other makes up for a lost one. */
static void test_ping_pong(void **state)
{
	unsigned int number;

	for (number = 0; number < XEN_VARIANTS; number++)
		run(*state, xen_variant(number, 9 * number), 1, SLEEP, "one in flight, asleep");
}

/*
 * One side falls asleep while the other looks whether it does: the moment for which both have their
 * full barrier.
 */
static void test_naps(void **state)
{
	unsigned int number;

	for (number = 0; number < XEN_VARIANTS; number += 2) {
		run(*state, xen_variant(number, number), 1, NAP, "one in flight, napping");
		run(*state, xen_variant(number, number), 2, NAP, "two in flight, napping");
	}
}

/* Nothing but the ring orders the two threads here, which is what the thread sanitizer judges. */
static void test_both_spin(void **state)
{
	unsigned int number;

	for (number = 0; number < XEN_VARIANTS; number++) {
		struct xen_variant v = xen_variant(number, number);

		run(*state, v, v.size, SPIN, "ring full of requests, spinning");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		xen_test(test_both_sleep),
		xen_test(test_ping_pong),
		xen_test(test_naps),
		xen_test(test_both_spin),
	};

	return cmocka_run_group_tests_name("Xen ring, front against back, two threads", tests, NULL,
					   NULL);
}
