// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The split format as it stands in memory, and its notifications at the wrap of the indices.
 */
#include "fixture.h"

#define SIZE 8

static char tokens[SIZE];

static void test_sizes_are_the_specifications(void **state)
{
	assert_int_equal(virtqueue_descriptors_bytes(256, 0), 4096);
	assert_int_equal(virtqueue_driver_bytes(256, 0), 6 + 2 * 256);
	assert_int_equal(virtqueue_device_bytes(256, 0), 6 + 8 * 256);
}

/* The kernel's own layout of a ring in one piece, where nothing lies between the areas. */
static void test_sizes_are_the_kernels(void **state)
{
	unsigned int size;

	for (size = 1; size <= VIRTQUEUE_SIZE_MAX; size *= 2)
		assert_int_equal(vring_size(size, 1), virtqueue_descriptors_bytes(size, 0) +
							      virtqueue_driver_bytes(size, 0) +
							      virtqueue_device_bytes(size, 0));
}

static void test_init_refuses_the_impossible(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_position start = {0, 0};
	struct virtqueue_areas areas;
	static const uint16_t sizes[] = {0, 3, 6, 255, 2048, 32768, 65535};
	size_t i;

	fixture_start(fx, 0, SIZE, 0);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		areas = fx->areas;
		areas.size = sizes[i];
		assert_int_equal(virtqueue_device_init(&fx->device, &areas, 0, &fx->memory, start),
				 -1);
		assert_int_equal(virtqueue_driver_init(&fx->driver, &areas, 0), -1);
	}
	areas = fx->areas;
	areas.device = fx->low + 0x8002;
	assert_int_equal(virtqueue_device_init(&fx->device, &areas, 0, &fx->memory, start), -1);
	areas = fx->areas;
	areas.driver = NULL;
	assert_int_equal(virtqueue_device_init(&fx->device, &areas, 0, &fx->memory, start), -1);
	/* More in flight than the ring holds. */
	start.avail = SIZE + 1;
	assert_int_equal(virtqueue_device_init(&fx->device, &fx->areas, 0, &fx->memory, start), -1);
	start.avail = 2;
	start.used = 65535;
	assert_int_equal(virtqueue_device_init(&fx->device, &fx->areas, 0, &fx->memory, start), 0);
}

/* What another implementation's driver would write, without our driver side. */
static void test_chain_by_hand(void **state)
{
	struct fixture *fx = *state;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	fixture_start(fx, 0, SIZE, 65535);
	desc = fx->areas.descriptors;
	avail = fx->areas.driver;
	used = fx->areas.device;

	desc[5] = (struct vring_desc){DATA, 16, VRING_DESC_F_NEXT, 2};
	desc[2] = (struct vring_desc){DATA + 64, 512, VRING_DESC_F_NEXT, 7};
	desc[7] = (struct vring_desc){HIGH_ADDRESS + 8, 1, VRING_DESC_F_WRITE, 0};
	avail->ring[65535 % SIZE] = 5;
	assert_false(virtqueue_has_work(&fx->device));
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
	avail->idx = 0;
	assert_true(virtqueue_has_work(&fx->device));
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);

	assert_int_equal(fx->chain.id, 5);
	assert_int_equal(fx->chain.slots, 1);
	assert_int_equal(fx->chain.readable, 2);
	assert_int_equal(fx->chain.writable, 1);
	assert_int_equal(fx->chain.readable_bytes, 528);
	assert_int_equal(fx->chain.writable_bytes, 1);
	assert_false(fx->chain.unusable);
	assert_ptr_equal(fx->iov[0].base, fixture_host(fx, DATA));
	assert_ptr_equal(fx->iov[1].base, fixture_host(fx, DATA + 64));
	assert_ptr_equal(fx->iov[2].base, fx->high + 8);
	assert_int_equal(fx->iov[2].length, 1);
	assert_ptr_equal(fx->chain.tail.base, fx->high + 8);
	assert_int_equal(fx->device.in_flight_count, 1);

	virtqueue_push(&fx->device, 5, 1, 1);
	assert_int_equal(used->idx, 65535);
	virtqueue_publish(&fx->device);
	assert_int_equal(used->idx, 0);
	assert_int_equal(used->ring[65535 % SIZE].id, 5);
	assert_int_equal(used->ring[65535 % SIZE].len, 1);
	assert_int_equal(fx->device.in_flight_count, 0);
}

static void test_publish_without_push_writes_nothing(void **state)
{
	struct fixture *fx = *state;
	struct vring_used *used;

	fixture_start(fx, 0, SIZE, 100);
	used = fx->areas.device;
	used->idx = 7;
	virtqueue_publish(&fx->device);
	assert_int_equal(used->idx, 7);
	assert_false(virtqueue_should_interrupt(&fx->device));
}

static void test_unpop_gives_back(void **state)
{
	struct fixture *fx = *state;
	uint16_t first;

	fixture_start(fx, 0, SIZE, 65535);
	fixture_add(fx, &tokens[0]);
	fixture_add_publish(fx, &tokens[1]);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	first = fx->chain.id;
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	virtqueue_unpop(&fx->device, &fx->chain);
	fx->chain.id = first;
	virtqueue_unpop(&fx->device, &fx->chain);
	assert_int_equal(virtqueue_device_position(&fx->device).avail, 65535);
	assert_int_equal(fx->device.in_flight_count, 0);
	assert_true(virtqueue_has_work(&fx->device));
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_int_equal(fx->chain.id, first);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_int_equal(virtqueue_device_position(&fx->device).avail, 1);
}

/* An interrupt exactly when the used index passes used_event, and never twice. */
static void test_event_index_at_the_wrap(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;
	uint16_t event, start, pushed;
	int i;

	for (start = 65536 - SIZE; start != 2; start++) {
		for (i = -2; i < SIZE + 2; i++) {
			fixture_start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, start);
			fx->device.interrupt_owed = false;
			avail = fx->areas.driver;
			event = start + i;
			avail->ring[SIZE] = event;
			for (pushed = 0; pushed < SIZE; pushed++) {
				virtqueue_push(&fx->device, pushed, 1, 0);
				virtqueue_publish(&fx->device);
				assert_int_equal(virtqueue_should_interrupt(&fx->device),
						 pushed == i);
				assert_false(virtqueue_should_interrupt(&fx->device));
			}
			/* All at once. */
			fixture_start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, start);
			fx->device.interrupt_owed = false;
			avail->ring[SIZE] = event;
			for (pushed = 0; pushed < SIZE; pushed++)
				virtqueue_push(&fx->device, pushed, 1, 0);
			virtqueue_publish(&fx->device);
			assert_int_equal(virtqueue_should_interrupt(&fx->device),
					 i >= 0 && i < SIZE);
		}
	}
}

/* An owner that asks once in many laps must not miss the one that it passed. */
static void test_decision_after_many_laps(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;
	uint32_t i;

	fixture_start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, 0);
	fx->device.interrupt_owed = false;
	avail = fx->areas.driver;
	avail->ring[SIZE] = 5;
	for (i = 0; i < 65536 + 2; i++) {
		virtqueue_push(&fx->device, 0, 1, 0);
		virtqueue_publish(&fx->device);
	}
	assert_true(virtqueue_should_interrupt(&fx->device));
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	assert_false(virtqueue_should_interrupt(&fx->device));
}

/* The predecessor may have died between publish and interrupt. */
static void test_new_owner_interrupts_once(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;

	fixture_start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, 50);
	avail = fx->areas.driver;
	avail->ring[SIZE] = 49;
	assert_false(virtqueue_should_interrupt(&fx->device));
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	assert_true(virtqueue_should_interrupt(&fx->device));
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	assert_false(virtqueue_should_interrupt(&fx->device));
}

/* What is staged is not passed yet. */
static void test_decision_with_more_staged(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;

	fixture_start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, 65534);
	fx->device.interrupt_owed = false;
	avail = fx->areas.driver;
	avail->ring[SIZE] = 65535;
	virtqueue_push(&fx->device, 0, 1, 0);
	virtqueue_publish(&fx->device);
	virtqueue_push(&fx->device, 1, 1, 0);
	assert_false(virtqueue_should_interrupt(&fx->device));
	virtqueue_publish(&fx->device);
	assert_true(virtqueue_should_interrupt(&fx->device));
}

/* The field defect: a sleeper that compares indices by size misses the one after 65535. */
static void test_no_wakeup_lost_at_the_wrap(void **state)
{
	struct fixture *fx = *state;
	uint64_t features[] = {0, VIRTQUEUE_F_EVENT_IDX};
	void *token;
	uint32_t written;
	int round, i;

	for (round = 0; round < 2; round++) {
		fixture_start(fx, features[round], SIZE, 65530);
		for (i = 0; i < 12; i++) {
			assert_false(virtqueue_kicks_enable(&fx->device));
			assert_false(virtqueue_interrupts_enable(&fx->driver));
			fixture_add_publish(fx, &tokens[0]);
			assert_true(virtqueue_should_kick(&fx->driver));
			assert_true(virtqueue_has_work(&fx->device));
			assert_true(virtqueue_kicks_enable(&fx->device));
			virtqueue_kicks_disable(&fx->device);
			assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
			virtqueue_push(&fx->device, fx->chain.id, fx->chain.slots, 3);
			virtqueue_publish(&fx->device);
			assert_true(virtqueue_should_interrupt(&fx->device));
			assert_true(virtqueue_interrupts_enable(&fx->driver));
			virtqueue_interrupts_disable(&fx->driver);
			assert_int_equal(virtqueue_reap(&fx->driver, &token, &written),
					 VIRTQUEUE_FOUND);
		}
		assert_int_equal(virtqueue_device_position(&fx->device).avail, 6);
	}
}

static void test_flags_suppress(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;
	struct vring_used *used;

	fixture_start(fx, 0, SIZE, 0);
	avail = fx->areas.driver;
	used = fx->areas.device;
	virtqueue_kicks_disable(&fx->device);
	assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
	fixture_add_publish(fx, &tokens[0]);
	assert_false(virtqueue_should_kick(&fx->driver));
	virtqueue_interrupts_disable(&fx->driver);
	assert_int_equal(avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	virtqueue_push(&fx->device, fx->chain.id, 1, 0);
	virtqueue_publish(&fx->device);
	assert_false(virtqueue_should_interrupt(&fx->device));
	assert_false(virtqueue_kicks_enable(&fx->device));
	assert_int_equal(used->flags, 0);
}

/* A device that was woken by something else than a kick needs none for the next buffer. */
static void test_event_index_is_taken_back(void **state)
{
	struct fixture *fx = *state;

	fixture_start(fx, VIRTQUEUE_F_EVENT_IDX, SIZE, 65535);
	assert_false(virtqueue_kicks_enable(&fx->device));
	virtqueue_kicks_disable(&fx->device);
	fixture_add_publish(fx, &tokens[0]);
	assert_false(virtqueue_should_kick(&fx->driver));
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_false(virtqueue_kicks_enable(&fx->device));
	fixture_add_publish(fx, &tokens[1]);
	assert_true(virtqueue_should_kick(&fx->driver));
}

/* In order the device may write one used entry for a run, at the run's first place. */
static void test_in_order_run(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;
	struct vring_desc *desc;
	struct vring_used *used;
	void *token;
	uint32_t written;
	int i;

	fixture_start(fx, VIRTQUEUE_F_IN_ORDER, SIZE, 65534);
	avail = fx->areas.driver;
	desc = fx->areas.descriptors;
	used = fx->areas.device;
	for (i = 0; i < 4; i++)
		fixture_add(fx, &tokens[i]);
	virtqueue_driver_publish(&fx->driver);
	/* Chains of two descriptors each: heads 0, 2, 4, 6, as the specification wants. */
	used->ring[65534 % SIZE].id = 4;
	used->ring[65534 % SIZE].len = 5;
	used->idx = 1;
	for (i = 0; i < 3; i++) {
		assert_true(virtqueue_interrupts_enable(&fx->driver));
		assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_FOUND);
		assert_ptr_equal(token, &tokens[i]);
		assert_int_equal(written, i < 2 ? 32 : 5);
	}
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_EMPTY);
	assert_int_equal(fx->driver.free_count, SIZE - 2);
	used->ring[1].id = 6;
	used->ring[1].len = 32;
	used->idx = 2;
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_FOUND);
	assert_ptr_equal(token, &tokens[3]);
	assert_int_equal(fx->driver.free_count, SIZE);
	/* Descriptors go on in ring order. */
	for (i = 0; i < 4; i++) {
		fixture_add(fx, &tokens[i]);
		assert_int_equal(avail->ring[(2 + i) % SIZE], 2 * i);
		assert_int_equal(desc[2 * i].next, 2 * i + 1);
	}
}

/* A run that the index does not cover. */
static void test_in_order_run_too_long(void **state)
{
	struct fixture *fx = *state;
	struct vring_used *used;
	void *token;
	uint32_t written;

	fixture_start(fx, VIRTQUEUE_F_IN_ORDER, SIZE, 0);
	used = fx->areas.device;
	fixture_add(fx, &tokens[0]);
	fixture_add(fx, &tokens[1]);
	fixture_add_publish(fx, &tokens[2]);
	used->ring[0].id = 4;
	used->idx = 2;
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_BROKEN);
	assert_int_equal(fx->driver.broken, VIRTQUEUE_FAULT_INDEX_JUMP);
}

static void test_driver_fills_the_ring_exactly(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[3] = {{DATA, 1}, {DATA, 1}, {DATA, 1}};
	int i;

	fixture_start(fx, 0, SIZE, 0);
	assert_int_equal(virtqueue_add(&fx->driver, buffers, 0, 0, &tokens[0], NULL, 0), -1);
	for (i = 0; i < 2; i++)
		assert_int_equal(virtqueue_add(&fx->driver, buffers, 3, 0, &tokens[i], NULL, 0), 0);
	assert_int_equal(virtqueue_add(&fx->driver, buffers, 3, 0, &tokens[2], NULL, 0), -1);
	assert_int_equal(virtqueue_add(&fx->driver, buffers, 2, 0, &tokens[2], NULL, 0), 0);
	assert_int_equal(virtqueue_add(&fx->driver, buffers, 1, 0, &tokens[3], NULL, 0), -1);
	virtqueue_driver_publish(&fx->driver);
	for (i = 0; i < 3; i++)
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_the_specifications),
		cmocka_unit_test(test_sizes_are_the_kernels),
		fixture_test(test_init_refuses_the_impossible),
		fixture_test(test_chain_by_hand),
		fixture_test(test_publish_without_push_writes_nothing),
		fixture_test(test_unpop_gives_back),
		fixture_test(test_event_index_at_the_wrap),
		fixture_test(test_decision_after_many_laps),
		fixture_test(test_decision_with_more_staged),
		fixture_test(test_new_owner_interrupts_once),
		fixture_test(test_no_wakeup_lost_at_the_wrap),
		fixture_test(test_flags_suppress),
		fixture_test(test_event_index_is_taken_back),
		fixture_test(test_in_order_run),
		fixture_test(test_in_order_run_too_long),
		fixture_test(test_driver_fills_the_ring_exactly),
	};

	return cmocka_run_group_tests_name("split virtqueue", tests, NULL, NULL);
}
