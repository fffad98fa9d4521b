// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Both sides of a ring against each other in two threads. A wake-up that is lost leaves both
 * asleep: the alarm then ends the test.
 */
#include "variants.h"

#include "bell.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define REQUESTS 16
#define DEADLINE 60 /* seconds for each run; it takes one at most, or three on a busy machine */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TOTAL 1000
#define NAPS  5000
#else
#define TOTAL 4000
#define NAPS  60000
#endif

struct pair {
	struct fixture *fx;
	struct variant variant;
	uint32_t depth; /* most chains in flight */
	uint32_t total;
	enum waiting waiting;
	struct bell kick, call;
	const char *failure; /* of the device's thread; read after it was joined */
};

struct request {
	uint64_t sequence;
	bool busy;
};

static uint64_t request_address(unsigned int i)
{
	return (i & 1 ? HIGH_ADDRESS : DATA) + i * 64;
}

/* ---- the device's thread: answers each number by its complement ------------------------------ */

struct held {
	uint16_t id, slots;
};

static const char *answer(struct virtqueue_chain *chain)
{
	uint64_t number;
	uint32_t half;

	if (chain->unusable || chain->readable != 2 || chain->writable != 1)
		return "chain is not what was lent";
	/* The number comes in two pieces. */
	memcpy(&half, chain->iov[0].base, 4);
	number = half;
	memcpy(&half, chain->iov[1].base, 4);
	number |= (uint64_t)half << 32;
	number = ~number;
	memcpy(chain->tail.base, &number, 8);
	return NULL;
}

static void finish(struct pair *pair, struct held *held, unsigned int count, uint32_t *seed)
{
	struct virtqueue_device *vq = &pair->fx->device;
	unsigned int place;

	while (count) {
		place = vq->in_order ? 0 : draw(seed) % count;
		virtqueue_push(vq, held[place].id, held[place].slots, 8);
		count--;
		memmove(&held[place], &held[place + 1], (count - place) * sizeof(held[0]));
	}
	virtqueue_publish(vq);
	if (virtqueue_should_interrupt(vq))
		bell_ring(&pair->call);
}

static void *device_thread(void *argument)
{
	struct pair *pair = argument;
	struct virtqueue_device *vq = &pair->fx->device;
	struct virtqueue_chain *chain = &pair->fx->chain;
	struct held held[REQUESTS];
	unsigned int served = 0, count, most;
	enum virtqueue_result result;
	uint32_t seed = 77;

	virtqueue_kicks_disable(vq);
	while (served < pair->total && !pair->failure) {
		most = 1 + draw(&seed) % REQUESTS;
		for (count = 0; count < most; count++) {
			result = virtqueue_pop(vq, chain);
			if (result == VIRTQUEUE_BROKEN)
				pair->failure = virtqueue_fault_text(vq->broken);
			if (result != VIRTQUEUE_FOUND)
				break;
			held[count] = (struct held){chain->id, chain->slots};
			if (!pair->failure)
				pair->failure = answer(chain);
		}
		if (count) {
			finish(pair, held, count, &seed);
			served += count;
		} else if (pair->waiting == SPIN) {
			sched_yield();
		} else {
			if (!virtqueue_kicks_enable(vq))
				bell_wait(&pair->kick);
			virtqueue_kicks_disable(vq);
		}
	}
	return NULL;
}

/* ---- the driver's ---------------------------------------------------------------------------- */

static bool submit(struct pair *pair, struct request *request, unsigned int i, uint64_t sequence)
{
	uint64_t address = request_address(i), table = TABLES + i * 64;
	struct virtqueue_buffer buffers[3] = {{address, 4}, {address + 8, 4}, {address + 16, 8}};

	/* The data before the chain: publish releases both. */
	memcpy(fixture_host(pair->fx, address), &sequence, 4);
	memcpy(fixture_host(pair->fx, address + 8), (char *)&sequence + 4, 4);
	if (virtqueue_add(&pair->fx->driver, buffers, 2, 1, request,
			  sequence & 1 ? fixture_host(pair->fx, table) : NULL, table))
		return false;
	request->sequence = sequence;
	request->busy = true;
	return true;
}

static unsigned int collect(struct pair *pair, struct request *request)
{
	unsigned int reaped = 0;
	enum virtqueue_result result;
	uint64_t reply;
	uint32_t written;
	void *token;

	while ((result = virtqueue_reap(&pair->fx->driver, &token, &written)) == VIRTQUEUE_FOUND) {
		struct request *r = token;

		assert_true(r->busy);
		assert_int_equal(written, 8);
		memcpy(&reply, fixture_host(pair->fx, request_address(r - request) + 16), 8);
		assert_int_equal(reply, ~r->sequence);
		r->busy = false;
		reaped++;
	}
	assert_int_equal(result, VIRTQUEUE_EMPTY);
	return reaped;
}

static void drive(struct pair *pair)
{
	struct virtqueue_driver *vq = &pair->fx->driver;
	struct request request[REQUESTS] = {0};
	uint32_t seed = 99, want, i;
	uint64_t sequence = 0x123456789ULL;
	unsigned int submitted = 0, reaped = 0, got;
	bool full;

	virtqueue_interrupts_disable(vq);
	while (reaped < pair->total) {
		want = 1 + draw(&seed) % pair->depth;
		full = false;
		for (i = 0; i < pair->depth && want && submitted < pair->total && !full; i++) {
			if (request[i].busy)
				continue;
			full = !submit(pair, &request[i], i, sequence);
			if (full)
				break;
			sequence += 0x100000001ULL;
			submitted++;
			want--;
		}
		virtqueue_driver_publish(vq);
		if (virtqueue_should_kick(vq))
			bell_ring(&pair->kick);
		got = collect(pair, request);
		reaped += got;
		if (got)
			continue;
		if (pair->waiting == SPIN) {
			sched_yield();
		} else {
			/* The kick for all that is in flight was given above. */
			if (!virtqueue_interrupts_enable(vq))
				bell_wait(&pair->call);
			virtqueue_interrupts_disable(vq);
		}
	}
}

static void run(struct fixture *fx, struct variant v, uint32_t depth, enum waiting waiting,
		const char *what)
{
	struct pair pair = {.fx = fx, .variant = v, .depth = depth, .waiting = waiting};
	pthread_t thread;

	variant_print(&v, what);
	alarm(DEADLINE);
	fixture_start(fx, v.features, v.size, v.position);
	pair.total = waiting == NAP ? NAPS : TOTAL;
	pair.kick = bell_new(waiting);
	pair.call = bell_new(waiting);
	assert_int_equal(pthread_create(&thread, NULL, device_thread, &pair), 0);
	drive(&pair);
	pthread_join(thread, NULL);
	if (pair.failure)
		fail_msg("device: %s", pair.failure);
	assert_int_equal(fx->device.in_flight_count, 0);
	assert_int_equal(fx->driver.free_count, v.size);
	close(pair.kick.fd);
	close(pair.call.fd);
}

static void test_both_sleep(void **state)
{
	unsigned int number;

	for (number = 0; number < VARIANTS; number++)
		run(*state, variant(number, number), REQUESTS, SLEEP, "many in flight, asleep");
}

/* Each request wakes the device, each answer the driver: no other one makes up for a lost wake-up. */
static void test_ping_pong(void **state)
{
	unsigned int number;

	for (number = 0; number < VARIANTS; number++)
		run(*state, variant(number, number), 1, SLEEP, "one in flight, asleep");
}

/*
 * One side falls asleep while the other looks whether it does: the moment for which both have their
 * full barrier.
 */
static void test_naps(void **state)
{
	unsigned int number;

	for (number = 0; number < VARIANTS; number++) {
		run(*state, variant(number, number), 1, NAP, "one in flight, napping");
		run(*state, variant(number, number), 3, NAP, "a few in flight, napping");
	}
}

/* Nothing but the ring orders the two threads here, which is what the thread sanitizer judges. */
static void test_both_spin(void **state)
{
	unsigned int number;

	for (number = 0; number < VARIANTS; number++)
		run(*state, variant(number, number), REQUESTS, SPIN, "many in flight, spinning");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_both_sleep),
		fixture_test(test_ping_pong),
		fixture_test(test_naps),
		fixture_test(test_both_spin),
	};

	return cmocka_run_group_tests_name("driver against device, two threads", tests, NULL, NULL);
}
