// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Both sides of a ring against each other in one thread, step by random step, beside a model that
 * knows what each step must answer: which chain comes, in which order, who must be woken.
 */
#include "variants.h"

#define REQUESTS 16
#define PIECES	 6
#define STEPS	 20000

struct request {
	struct virtqueue_buffer buffer[PIECES];
	uint16_t readable, writable, slots;
	uint64_t writable_bytes;
	uint32_t written;
	bool lent;
	/* what the device was told */
	uint16_t id, device_slots;
};

struct fifo {
	struct request *entry[REQUESTS];
	unsigned int count;
};

struct model {
	struct fixture *fx;
	uint32_t seed;
	struct request request[REQUESTS];
	unsigned int slots_free;
	/* A chain's way: staged, published, held by the device, done, published again. */
	struct fifo staged, offered, held, done, used;
	bool device_sleeps, driver_sleeps;
	bool kicks_off, interrupts_off;
	unsigned long added, popped, reaped, kicks, interrupts, unpopped;
};

static void put(struct fifo *fifo, struct request *request)
{
	fifo->entry[fifo->count++] = request;
}

static struct request *take(struct fifo *fifo, unsigned int place)
{
	struct request *request = fifo->entry[place];

	assert_true(place < fifo->count);
	fifo->count--;
	memmove(&fifo->entry[place], &fifo->entry[place + 1],
		(fifo->count - place) * sizeof(fifo->entry[0]));
	return request;
}

static void move_all(struct fifo *to, struct fifo *from)
{
	while (from->count)
		put(to, take(from, 0));
}

static void fill(struct model *m, struct request *r)
{
	uint32_t total = 1 + draw(&m->seed) % PIECES, i;

	r->readable = draw(&m->seed) % (total + 1);
	r->writable = total - r->readable;
	r->writable_bytes = 0;
	for (i = 0; i < total; i++) {
		r->buffer[i].length = 1 + draw(&m->seed) % 4096;
		r->buffer[i].address =
			(draw(&m->seed) & 1 ? DATA : HIGH_ADDRESS) + draw(&m->seed) % 0x8000;
		if (i >= r->readable)
			r->writable_bytes += r->buffer[i].length;
	}
}

static void step_add(struct model *m)
{
	struct request *r = &m->request[draw(&m->seed) % REQUESTS];
	uint64_t table = TABLES + (r - m->request) * PIECES * 16;
	bool indirect = draw(&m->seed) & 1;
	int result;

	if (r->lent)
		return;
	fill(m, r);
	r->slots = indirect && m->fx->features & VIRTQUEUE_F_INDIRECT ? 1
								      : r->readable + r->writable;
	result = virtqueue_add(&m->fx->driver, r->buffer, r->readable, r->writable, r,
			       indirect ? fixture_host(m->fx, table) : NULL, table);
	assert_int_equal(result, r->slots <= m->slots_free ? 0 : -1);
	if (result)
		return;
	m->slots_free -= r->slots;
	r->lent = true;
	put(&m->staged, r);
	m->added++;
}

static void step_kick(struct model *m)
{
	bool news = m->staged.count, kick;

	move_all(&m->offered, &m->staged);
	virtqueue_driver_publish(&m->fx->driver);
	kick = virtqueue_should_kick(&m->fx->driver);
	if (!news)
		assert_false(kick);
	if (news && m->device_sleeps)
		assert_true(kick);
	if (m->kicks_off && !(m->fx->features & VIRTQUEUE_F_EVENT_IDX))
		assert_false(kick);
	if (kick) {
		m->device_sleeps = false;
		m->kicks++;
	}
}

static void check_pieces(struct model *m, const struct request *r)
{
	const struct virtqueue_chain *chain = &m->fx->chain;
	int i;

	assert_false(chain->unusable);
	assert_int_equal(chain->readable, r->readable);
	assert_int_equal(chain->writable, r->writable);
	assert_int_equal(chain->writable_bytes, r->writable_bytes);
	for (i = 0; i < r->readable + r->writable; i++) {
		assert_ptr_equal(chain->iov[i].base, fixture_host(m->fx, r->buffer[i].address));
		assert_int_equal(chain->iov[i].length, r->buffer[i].length);
	}
	if (r->writable)
		assert_ptr_equal(chain->tail.base, chain->iov[i - 1].base);
	else
		assert_null(chain->tail.base);
}

static void step_pop(struct model *m)
{
	struct request *r;
	int result;

	if (m->device_sleeps)
		return;
	assert_int_equal(virtqueue_has_work(&m->fx->device), m->offered.count > 0);
	result = virtqueue_pop(&m->fx->device, &m->fx->chain);
	assert_int_equal(result, m->offered.count ? VIRTQUEUE_FOUND : VIRTQUEUE_EMPTY);
	if (result != VIRTQUEUE_FOUND)
		return;
	r = m->offered.entry[0];
	check_pieces(m, r);
	if (draw(&m->seed) % 8 == 0) {
		virtqueue_unpop(&m->fx->device, &m->fx->chain);
		m->unpopped++;
		return;
	}
	r->id = m->fx->chain.id;
	r->device_slots = m->fx->chain.slots;
	put(&m->held, take(&m->offered, 0));
	m->popped++;
	assert_int_equal(m->fx->device.in_flight_count, m->held.count);
}

static void step_device_sleep(struct model *m)
{
	bool work;

	if (draw(&m->seed) & 1) {
		virtqueue_kicks_disable(&m->fx->device);
		m->kicks_off = true;
		m->device_sleeps = false;
		return;
	}
	work = virtqueue_kicks_enable(&m->fx->device);
	m->kicks_off = false;
	assert_int_equal(work, m->offered.count > 0);
	m->device_sleeps = !work;
}

static void step_push(struct model *m)
{
	struct request *r;
	unsigned int place;

	if (!m->held.count)
		return;
	place = m->fx->features & VIRTQUEUE_F_IN_ORDER ? 0 : draw(&m->seed) % m->held.count;
	r = take(&m->held, place);
	r->written = r->writable_bytes ? draw(&m->seed) % (r->writable_bytes + 1) : 0;
	virtqueue_push(&m->fx->device, r->id, r->device_slots, r->written);
	put(&m->done, r);
}

static void step_interrupt(struct model *m)
{
	bool news = m->done.count, wanted;

	move_all(&m->used, &m->done);
	virtqueue_publish(&m->fx->device);
	wanted = virtqueue_should_interrupt(&m->fx->device);
	if (!news)
		assert_false(wanted);
	if (news && m->driver_sleeps)
		assert_true(wanted);
	if (m->interrupts_off && !(m->fx->features & VIRTQUEUE_F_EVENT_IDX))
		assert_false(wanted);
	if (wanted) {
		m->driver_sleeps = false;
		m->interrupts++;
	}
}

static void step_reap(struct model *m)
{
	struct request *r;
	uint32_t written;
	void *token;
	int result;

	if (m->driver_sleeps)
		return;
	result = virtqueue_reap(&m->fx->driver, &token, &written);
	assert_int_equal(result, m->used.count ? VIRTQUEUE_FOUND : VIRTQUEUE_EMPTY);
	if (result != VIRTQUEUE_FOUND)
		return;
	r = take(&m->used, 0);
	assert_ptr_equal(token, r);
	assert_int_equal(written, r->written);
	r->lent = false;
	m->slots_free += r->slots;
	m->reaped++;
}

static void step_driver_sleep(struct model *m)
{
	bool finished;

	if (draw(&m->seed) & 1) {
		virtqueue_interrupts_disable(&m->fx->driver);
		m->interrupts_off = true;
		m->driver_sleeps = false;
		return;
	}
	finished = virtqueue_interrupts_enable(&m->fx->driver);
	m->interrupts_off = false;
	assert_int_equal(finished, m->used.count > 0);
	m->driver_sleeps = !finished;
}

/* A new owner of the device side, at the place where the old one stood with nothing in flight. */
static void step_takeover(struct model *m)
{
	struct fixture *fx = m->fx;

	if (m->held.count || m->done.count)
		return;
	assert_int_equal(virtqueue_device_init(&fx->device, &fx->areas, fx->features, &fx->memory,
					       virtqueue_device_position(&fx->device)),
			 0);
	m->device_sleeps = false;
}

static void run(struct fixture *fx, const struct variant *v)
{
	static void (*const step[])(struct model *) = {
		step_add,  step_add,	   step_add,	      step_kick,     step_pop,
		step_pop,  step_pop,	   step_device_sleep, step_push,     step_push,
		step_push, step_interrupt, step_reap,	      step_reap,     step_reap,
		step_reap, step_takeover,  step_driver_sleep, step_interrupt};
	struct model m = {.fx = fx, .seed = 1 + v->position, .slots_free = v->size};
	int i;

	fixture_start(fx, v->features, v->size, v->position);
	for (i = 0; i < STEPS; i++)
		step[draw(&m.seed) % (sizeof(step) / sizeof(step[0]))](&m);
	assert_int_equal(fx->device.broken, VIRTQUEUE_OK);
	assert_int_equal(fx->driver.broken, VIRTQUEUE_OK);
	/* The random walk went somewhere. */
	assert_true(m.reaped > STEPS / 20);
	assert_true(m.kicks > 50 && m.interrupts > 50 && m.unpopped > 50);
}

static void test_every_variant(void **state)
{
	unsigned int number, turn;

	for (number = 0; number < VARIANTS; number++) {
		for (turn = 0; turn < 26; turn += 5) {
			struct variant v = variant(number, turn);

			variant_print(&v, "random steps");
			run(*state, &v);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_every_variant),
	};

	return cmocka_run_group_tests_name("driver against device, one thread", tests, NULL, NULL);
}
