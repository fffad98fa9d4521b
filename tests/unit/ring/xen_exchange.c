// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Both sides of a Xen ring against each other in one thread, step by random step, beside a model
 * that knows what each step must answer: how many wait, in which order they come, who must be told.
 */
#include "xen_fixture.h"

#define STEPS 20000

struct model {
	struct xen_fixture *fx;
	struct xen_variant v;
	uint32_t seed;
	/* Free-running counts; each stage is at most the one before. */
	uint32_t put, published, taken, answered, announced, reaped;
	uint32_t request_number[SLOTS_MAX], response_number[SLOTS_MAX]; /* by count, modulo */
	/* Taken and not answered: whose response comes when is not the ring's business. */
	uint32_t held_count;
	bool back_sleeps, front_sleeps;
	bool back_quiet, front_quiet; /* asked for no events */
	bool owed; /* by a new owner of the back-end: one notification */
	unsigned long notified_back, notified_front, untaken;
};

static uint32_t *number_of(uint32_t *numbers, const struct model *m, uint32_t count)
{
	return &numbers[count % m->v.size];
}

static void step_put(struct model *m)
{
	uint8_t message[1344];
	uint32_t number = xen_draw(&m->seed);
	bool room = m->put - m->reaped < m->v.size;

	assert_int_equal(xen_front_room(&m->fx->front), m->v.size - (m->put - m->reaped));
	xen_fill(message, m->v.request_bytes, number);
	assert_int_equal(xen_front_put(&m->fx->front, message, m->v.request_bytes), room ? 0 : -1);
	if (room)
		*number_of(m->request_number, m, m->put++) = number;
}

static void step_front_publish(struct model *m)
{
	bool news = m->published != m->put, notify;

	xen_front_publish(&m->fx->front);
	m->published = m->put;
	notify = xen_front_should_notify(&m->fx->front);
	if (!news)
		assert_false(notify);
	if (news && m->back_sleeps)
		assert_true(notify);
	if (m->back_quiet)
		assert_false(notify);
	if (notify) {
		m->back_sleeps = false;
		m->notified_back++;
	}
}

static void step_take(struct model *m)
{
	uint8_t message[1344];
	int result;

	if (m->back_sleeps)
		return;
	assert_int_equal(xen_back_has_work(&m->fx->back), m->published != m->taken);
	result = xen_back_take(&m->fx->back, message, m->v.request_bytes);
	assert_int_equal(result, m->published != m->taken ? XEN_RING_FOUND : XEN_RING_EMPTY);
	if (result != XEN_RING_FOUND)
		return;
	assert_true(xen_filled(message, m->v.request_bytes,
			       *number_of(m->request_number, m, m->taken)));
	if (xen_draw(&m->seed) % 8 == 0) {
		xen_back_untake(&m->fx->back, 1);
		m->untaken++;
		return;
	}
	m->taken++;
	m->held_count++;
}

static void step_waiting(struct model *m)
{
	uint32_t enough = xen_draw(&m->seed) % (m->v.size + 1);
	uint32_t waiting = xen_back_waiting(&m->fx->back, enough);
	uint32_t real = m->published - m->taken;

	assert_true(waiting <= real);
	if (waiting < enough)
		assert_int_equal(waiting, real);
}

static void step_answer(struct model *m)
{
	uint8_t message[1344];
	uint32_t number = xen_draw(&m->seed);

	if (!m->held_count)
		return;
	xen_fill(message, m->v.response_bytes, number);
	xen_back_answer(&m->fx->back, message, m->v.response_bytes);
	*number_of(m->response_number, m, m->answered++) = number;
	m->held_count--;
}

static void step_back_publish(struct model *m)
{
	bool news = m->announced != m->answered, notify;

	xen_back_publish(&m->fx->back);
	m->announced = m->answered;
	notify = xen_back_should_notify(&m->fx->back);
	if (!news)
		assert_false(notify);
	if (news && (m->front_sleeps || m->owed))
		assert_true(notify);
	if (m->front_quiet && !m->owed)
		assert_false(notify);
	m->owed = m->owed && !news;
	if (notify) {
		m->front_sleeps = false;
		m->notified_front++;
	}
}

static void step_reap(struct model *m)
{
	uint8_t message[1344];
	int result;

	if (m->front_sleeps)
		return;
	assert_int_equal(xen_front_has_work(&m->fx->front), m->announced != m->reaped);
	result = xen_front_reap(&m->fx->front, message, m->v.response_bytes);
	assert_int_equal(result, m->announced != m->reaped ? XEN_RING_FOUND : XEN_RING_EMPTY);
	if (result != XEN_RING_FOUND)
		return;
	assert_true(xen_filled(message, m->v.response_bytes,
			       *number_of(m->response_number, m, m->reaped)));
	m->reaped++;
}

static void step_back_sleep(struct model *m)
{
	bool work;

	if (xen_draw(&m->seed) & 1) {
		xen_back_events_disable(&m->fx->back);
		m->back_quiet = true;
		m->back_sleeps = false;
		return;
	}
	work = xen_back_events_enable(&m->fx->back);
	m->back_quiet = false;
	assert_int_equal(work, m->published != m->taken);
	m->back_sleeps = !work;
}

static void step_front_sleep(struct model *m)
{
	bool work;

	if (xen_draw(&m->seed) & 1) {
		xen_front_events_disable(&m->fx->front);
		m->front_quiet = true;
		m->front_sleeps = false;
		return;
	}
	work = xen_front_events_enable(&m->fx->front);
	m->front_quiet = false;
	assert_int_equal(work, m->announced != m->reaped);
	m->front_sleeps = !work;
}

/*
 * A new owner of the back-end, at the place where the old one stood, with requests still
 * unanswered.
 */
static void step_takeover(struct model *m)
{
	struct xen_fixture *fx = m->fx;

	if (m->announced != m->answered)
		return;
	assert_int_equal(xen_back_init(&fx->back, &fx->area, xen_back_position(&fx->back)), 0);
	m->back_sleeps = false;
	m->back_quiet = false;
	m->owed = true;
}

static void run(struct xen_fixture *fx, const struct xen_variant *v, uint32_t seed)
{
	static void (*const step[])(struct model *) = {
		step_put,     step_put,           step_put,    step_put,      step_front_publish,
		step_take,    step_take,          step_take,   step_take,     step_back_sleep,
		step_answer,  step_answer,        step_answer, step_answer,   step_back_publish,
		step_reap,    step_reap,          step_reap,   step_reap,     step_front_sleep,
		step_waiting, step_front_publish, step_reap,   step_takeover, step_back_publish,
	};
	struct model *m = calloc(1, sizeof(*m));
	uint32_t i, burst;

	m->fx = fx;
	m->v = *v;
	m->seed = seed;
	xen_fixture_start(fx, v);
	m->owed = true;
	for (i = 0; i < STEPS; i++) {
		void (*chosen)(struct model *) =
			step[xen_draw(&m->seed) % (sizeof(step) / sizeof(step[0]))];

		/* Bursts fill and empty the ring; single steps never would. */
		burst = xen_draw(&m->seed) % 16 ? 1 : 1 + xen_draw(&m->seed) % v->size;
		while (burst--)
			chosen(m);
	}
	assert_int_equal(fx->back.ring.broken, XEN_RING_OK);
	assert_int_equal(fx->front.ring.broken, XEN_RING_OK);
	/* The random walk went somewhere. */
	assert_true(m->reaped > 500 && m->reaped > 3 * v->size);
	assert_true(m->notified_back > 30 && m->notified_front > 50 && m->untaken > 50);

	free(m);
}

static void test_every_variant(void **state)
{
	unsigned int number, turn;

	for (number = 0; number < XEN_VARIANTS; number++) {
		for (turn = 0; turn < 40; turn += 8) {
			struct xen_variant v = xen_variant(number, turn);

			xen_variant_print(&v, "random steps");
			run(*state, &v, 1 + number * 100 + turn);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		xen_test(test_every_variant),
	};

	return cmocka_run_group_tests_name("Xen ring, front against back, one thread", tests, NULL,
					   NULL);
}
