// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The packed format as it stands in memory: laps, batches, positions and event suppression.
 */
#include "fixture.h"

#define SIZE  8
#define AVAIL 0x0080
#define USED  0x8000
#define WRAP  0x8000

static char tokens[SIZE];

static void start(struct fixture *fx, uint64_t features, uint16_t size, uint16_t position)
{
	fixture_start(fx, features | VIRTQUEUE_F_PACKED, size, position);
}

static void test_sizes_are_the_specifications(void **state)
{
	assert_int_equal(virtqueue_descriptors_bytes(256, VIRTQUEUE_F_PACKED), 4096);
	assert_int_equal(virtqueue_driver_bytes(256, VIRTQUEUE_F_PACKED), 4);
	assert_int_equal(virtqueue_device_bytes(256, VIRTQUEUE_F_PACKED), 4);
}

static void test_init_takes_any_size_and_possible_positions(void **state)
{
	struct fixture *fx = *state;
	struct {
		uint16_t avail, used;
		int result;
	} position[] = {
		{0, 0, 0},
		{WRAP, WRAP, 0},
		{6, 6, 0},
		{7, 7, -1},
		{7 | WRAP, 0 | WRAP, -1},
		{0, 7 | WRAP, -1},
		{4 | WRAP, 2 | WRAP, 0},
		{2 | WRAP, 4 | WRAP, -1}, /* used ahead of available */
		{2, 4 | WRAP, 0},	  /* available is a lap further */
		{4, 4 | WRAP, 0},	  /* all in flight */
		{5, 4 | WRAP, -1},	  /* more than all */
	};
	size_t i;

	start(fx, 0, 7, WRAP);
	for (i = 0; i < sizeof(position) / sizeof(position[0]); i++) {
		struct virtqueue_position both = {position[i].avail, position[i].used};

		assert_int_equal(virtqueue_device_init(&fx->device, &fx->areas, fx->features,
						       &fx->memory, both),
				 position[i].result);
		if (position[i].result)
			continue;
		assert_int_equal(virtqueue_device_position(&fx->device).avail, both.avail);
		assert_int_equal(virtqueue_device_position(&fx->device).used, both.used);
	}
}

/* What another implementation's driver would write: a chain over the end of the ring. */
static void test_chain_by_hand_over_the_end(void **state)
{
	struct fixture *fx = *state;
	struct vring_packed_desc *ring;

	start(fx, 0, SIZE, (SIZE - 2) | WRAP);
	ring = fx->areas.descriptors;
	/* Ids of all but the last descriptor mean nothing. */
	ring[7] = (struct vring_packed_desc){DATA + 64, 512, 77, AVAIL | VRING_DESC_F_NEXT};
	ring[0] = (struct vring_packed_desc){HIGH_ADDRESS, 1, 3, USED | VRING_DESC_F_WRITE};
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
	ring[6] = (struct vring_packed_desc){DATA, 16, 77, AVAIL | VRING_DESC_F_NEXT};
	assert_true(virtqueue_has_work(&fx->device));
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_int_equal(fx->chain.id, 3);
	assert_int_equal(fx->chain.slots, 3);
	assert_int_equal(fx->chain.readable_bytes, 528);
	assert_ptr_equal(fx->chain.tail.base, fx->high);
	assert_int_equal(virtqueue_device_position(&fx->device).avail, 1);
	assert_int_equal(virtqueue_device_position(&fx->device).used, 6 | WRAP);

	virtqueue_push(&fx->device, 3, 3, 1);
	assert_int_equal(ring[6].flags, AVAIL | VRING_DESC_F_NEXT);
	virtqueue_publish(&fx->device);
	assert_int_equal(ring[6].flags, AVAIL | USED | VRING_DESC_F_WRITE);
	assert_int_equal(ring[6].id, 3);
	assert_int_equal(ring[6].len, 1);
	assert_int_equal(virtqueue_device_position(&fx->device).used, 1);
	/* In the other lap, used is both bits clear. */
	ring[1] = (struct vring_packed_desc){DATA, 16, 4, USED};
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	virtqueue_push(&fx->device, 4, 1, 0);
	virtqueue_publish(&fx->device);
	assert_int_equal(ring[1].flags, 0);
}

/* Neither side's batch may show before its first descriptor does. */
static void test_batch_is_published_by_its_first(void **state)
{
	struct fixture *fx = *state;
	struct vring_packed_desc *ring;
	uint16_t before, id[3];
	uint32_t written;
	void *token;
	int i;

	start(fx, 0, SIZE, (SIZE - 4) | WRAP);
	ring = fx->areas.descriptors;
	before = ring[4].flags;
	for (i = 0; i < 3; i++)
		fixture_add(fx, &tokens[i]);
	assert_int_equal(ring[4].flags, before);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
	virtqueue_driver_publish(&fx->driver);
	for (i = 0; i < 3; i++) {
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		id[i] = fx->chain.id;
	}
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);

	for (i = 2; i >= 0; i--)
		virtqueue_push(&fx->device, id[i], 2, i);
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_EMPTY);
	virtqueue_publish(&fx->device);
	for (i = 2; i >= 0; i--) {
		assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_FOUND);
		assert_ptr_equal(token, &tokens[i]);
		assert_int_equal(written, i);
	}
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_EMPTY);
	assert_int_equal(fx->driver.free_count, SIZE);
}

static void test_unpop_over_the_end(void **state)
{
	struct fixture *fx = *state;

	start(fx, 0, SIZE, (SIZE - 1) | WRAP);
	fixture_add_publish(fx, &tokens[0]);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_int_equal(virtqueue_device_position(&fx->device).avail, 1);
	virtqueue_unpop(&fx->device, &fx->chain);
	assert_int_equal(virtqueue_device_position(&fx->device).avail, 7 | WRAP);
	assert_int_equal(fx->device.in_flight_count, 0);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
}

/* A ring that is full of chains in flight is not work, in either lap. */
static void test_full_ring(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffer = {DATA, 8};
	uint16_t place, id[SIZE];
	int i;

	for (place = 0; place < SIZE; place++) {
		start(fx, 0, SIZE, place | (place & 1 ? WRAP : 0));
		for (i = 0; i < SIZE; i++) {
			assert_int_equal(virtqueue_add(&fx->driver, &buffer, 1, 0, &tokens[i], NULL,
						       0),
					 0);
			virtqueue_driver_publish(&fx->driver);
			assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
			id[i] = fx->chain.id;
		}
		assert_int_equal(virtqueue_add(&fx->driver, &buffer, 1, 0, &tokens[0], NULL, 0),
				 -1);
		assert_false(virtqueue_has_work(&fx->device));
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
		/* Nor is it while used descriptors are staged. */
		virtqueue_push(&fx->device, id[3], 1, 0);
		virtqueue_push(&fx->device, id[0], 1, 0);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
		virtqueue_publish(&fx->device);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
	}
}

/* An interrupt exactly when the used place passes the event's, over the end of the ring too. */
static void test_event_place_in_both_laps(void **state)
{
	struct fixture *fx = *state;
	uint16_t *event, place, pushed, slot;
	bool wrap;
	int i;

	for (place = 0; place < 2 * SIZE; place++) {
		uint16_t position = place % SIZE | (place < SIZE ? WRAP : 0);

		/* From the oldest to the newest place that a driver may still wait for. */
		for (i = 0; i < SIZE; i++) {
			start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, position);
			fx->device.interrupt_owed = false;
			event = fx->areas.driver;
			slot = (place + i) % SIZE;
			wrap = (place + i) / SIZE % 2 == 0;
			event[0] = slot | (wrap ? WRAP : 0);
			event[1] = VRING_PACKED_EVENT_FLAG_DESC;
			for (pushed = 0; pushed < SIZE; pushed++) {
				virtqueue_push(&fx->device, pushed, 1, 0);
				virtqueue_publish(&fx->device);
				assert_int_equal(virtqueue_should_interrupt(&fx->device),
						 pushed == i);
				assert_false(virtqueue_should_interrupt(&fx->device));
			}
		}
		/* Skipped over by a chain of several slots. */
		start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, position);
		fx->device.interrupt_owed = false;
		event[0] = (place + 1) % SIZE | ((place + 1) / SIZE % 2 == 0 ? WRAP : 0);
		event[1] = VRING_PACKED_EVENT_FLAG_DESC;
		virtqueue_push(&fx->device, 0, 3, 0);
		virtqueue_publish(&fx->device);
		assert_true(virtqueue_should_interrupt(&fx->device));
	}
}

static void want_interrupt_at(struct fixture *fx, uint16_t word)
{
	uint16_t *event = fx->areas.driver;

	event[0] = word;
	event[1] = VRING_PACKED_EVENT_FLAG_DESC;
}

/* What is staged is not passed yet. */
static void test_decision_with_more_staged(void **state)
{
	struct fixture *fx = *state;

	start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, (SIZE - 1) | WRAP);
	fx->device.interrupt_owed = false;
	want_interrupt_at(fx, 0);
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	virtqueue_push(&fx->device, 1, 1, 0);
	assert_false(virtqueue_should_interrupt(&fx->device));
	virtqueue_publish(&fx->device);
	assert_true(virtqueue_should_interrupt(&fx->device));
}

/* An owner that asks once in many laps must not miss the one that it passed. */
static void test_decision_after_many_laps(void **state)
{
	struct fixture *fx = *state;
	int laps, i;

	for (laps = 1; laps < 4; laps++) {
		start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, WRAP);
		fx->device.interrupt_owed = false;
		want_interrupt_at(fx, 5 | WRAP);
		for (i = 0; i < laps * SIZE; i++) {
			virtqueue_push(&fx->device, 0, 1, 0);
			virtqueue_publish(&fx->device);
		}
		assert_true(virtqueue_should_interrupt(&fx->device));
	}
}

/* The predecessor may have died between publish and interrupt. */
static void test_new_owner_interrupts_once(void **state)
{
	struct fixture *fx = *state;

	start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, 3 | WRAP);
	want_interrupt_at(fx, 2 | WRAP);
	assert_false(virtqueue_should_interrupt(&fx->device));
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	assert_true(virtqueue_should_interrupt(&fx->device));
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	assert_false(virtqueue_should_interrupt(&fx->device));
}

static void test_event_flags(void **state)
{
	struct fixture *fx = *state;
	uint16_t *driver, *device;

	start(fx, 0, SIZE, WRAP);
	driver = fx->areas.driver;
	device = fx->areas.device;
	virtqueue_kicks_disable(&fx->device);
	assert_int_equal(device[1], VRING_PACKED_EVENT_FLAG_DISABLE);
	fixture_add_publish(fx, &tokens[0]);
	assert_false(virtqueue_should_kick(&fx->driver));
	assert_true(virtqueue_kicks_enable(&fx->device));
	assert_int_equal(device[1], VRING_PACKED_EVENT_FLAG_ENABLE);
	fixture_add_publish(fx, &tokens[1]);
	assert_true(virtqueue_should_kick(&fx->driver));
	virtqueue_interrupts_disable(&fx->driver);
	assert_int_equal(driver[1], VRING_PACKED_EVENT_FLAG_DISABLE);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	virtqueue_push(&fx->device, fx->chain.id, fx->chain.slots, 0);
	virtqueue_publish(&fx->device);
	assert_false(virtqueue_should_interrupt(&fx->device));

	/* With event indices: the place, in the lap it is in. */
	start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, 5 | WRAP);
	assert_false(virtqueue_kicks_enable(&fx->device));
	assert_int_equal(device[0], 5 | WRAP);
	assert_int_equal(device[1], VRING_PACKED_EVENT_FLAG_DESC);
	assert_false(virtqueue_interrupts_enable(&fx->driver));
	assert_int_equal(driver[0], 5 | WRAP);
	assert_int_equal(driver[1], VRING_PACKED_EVENT_FLAG_DESC);
}

/* In order the device may write one used descriptor for a run and skip the slots of all of it. */
static void test_in_order_run(void **state)
{
	struct fixture *fx = *state;
	struct vring_packed_desc *ring;
	uint16_t id[4];
	uint32_t written;
	void *token;
	int i;

	start(fx, VIRTQUEUE_F_IN_ORDER, SIZE, 5 | WRAP);
	ring = fx->areas.descriptors;
	for (i = 0; i < 4; i++)
		fixture_add(fx, &tokens[i]);
	virtqueue_driver_publish(&fx->driver);
	for (i = 0; i < 4; i++) {
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		id[i] = fx->chain.id;
	}
	/* The device side takes the slots of the whole run as those of its last chain. */
	virtqueue_push(&fx->device, id[2], 6, 5);
	virtqueue_push(&fx->device, id[3], 2, 32);
	virtqueue_publish(&fx->device);
	assert_int_equal(ring[5].id, id[2]);
	for (i = 0; i < 4; i++) {
		assert_true(virtqueue_interrupts_enable(&fx->driver));
		assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_FOUND);
		assert_ptr_equal(token, &tokens[i]);
		assert_int_equal(written, i == 2 ? 5 : 32);
	}
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_EMPTY);
	assert_int_equal(fx->driver.free_count, SIZE);
	assert_int_equal(fx->driver.next_used, 5);
	assert_false(fx->driver.used_wrap);
}

/* Without a writable buffer the length is reserved, and some devices leave the driver's own. */
static void test_length_of_nothing_writable(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffer = {DATA, 8};
	struct vring_packed_desc *ring;
	uint32_t written = 1;
	void *token;

	start(fx, 0, SIZE, WRAP);
	ring = fx->areas.descriptors;
	assert_int_equal(virtqueue_add(&fx->driver, &buffer, 1, 0, &tokens[0], NULL, 0), 0);
	virtqueue_driver_publish(&fx->driver);
	assert_int_equal(ring[0].len, 8);
	ring[0].flags = AVAIL | USED;
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_FOUND);
	assert_ptr_equal(token, &tokens[0]);
	assert_int_equal(written, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_the_specifications),
		fixture_test(test_init_takes_any_size_and_possible_positions),
		fixture_test(test_chain_by_hand_over_the_end),
		fixture_test(test_batch_is_published_by_its_first),
		fixture_test(test_unpop_over_the_end),
		fixture_test(test_full_ring),
		fixture_test(test_event_place_in_both_laps),
		fixture_test(test_decision_with_more_staged),
		fixture_test(test_decision_after_many_laps),
		fixture_test(test_new_owner_interrupts_once),
		fixture_test(test_event_flags),
		fixture_test(test_in_order_run),
		fixture_test(test_length_of_nothing_writable),
	};

	return cmocka_run_group_tests_name("packed virtqueue", tests, NULL, NULL);
}
