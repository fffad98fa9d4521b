// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A peer that breaks the protocol: what costs the queue (H) and what costs one request (E).
 * The numbers are those of the catalogue of hostile inputs.
 */
#include "fixture.h"

#define SIZE	 8
#define N	 VRING_DESC_F_NEXT
#define W	 VRING_DESC_F_WRITE
#define I	 VRING_DESC_F_INDIRECT
#define FEATURES (VIRTQUEUE_F_INDIRECT | VIRTQUEUE_F_EVENT_IDX)

#define SPLIT  FEATURES
#define PACKED (FEATURES | VIRTQUEUE_F_PACKED)
static const uint64_t formats[] = {SPLIT, PACKED};

struct piece {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
};

static char tokens[SIZE];

/* Writes descriptors as one chain from slot 0 of a fresh ring, and makes it available. */
static void offer(struct fixture *fx, uint64_t features, const struct piece *piece, uint16_t count)
{
	struct vring_packed_desc *packed;
	struct vring_avail *avail;
	struct vring_desc *desc;
	uint16_t i;

	fixture_start(fx, features, SIZE, features & VIRTQUEUE_F_PACKED ? 0x8000 : 0);
	desc = fx->areas.descriptors;
	packed = fx->areas.descriptors;
	avail = fx->areas.driver;
	for (i = 0; i < count; i++) {
		if (features & VIRTQUEUE_F_PACKED)
			packed[i] = (struct vring_packed_desc){piece[i].address, piece[i].length, 1,
							       piece[i].flags | 0x80};
		else
			desc[i] = (struct vring_desc){piece[i].address, piece[i].length,
						      piece[i].flags, i + 1};
	}
	avail->ring[0] = 0;
	if (!(features & VIRTQUEUE_F_PACKED))
		avail->idx = 1;
}

/* Writes an indirect table for either format and offers it. */
static void offer_table(struct fixture *fx, uint64_t features, uint64_t address, uint32_t bytes,
			const struct piece *piece, uint16_t count)
{
	struct piece head = {address, bytes, I};
	struct vring_packed_desc *packed = fixture_host(fx, address);
	struct vring_desc *desc = fixture_host(fx, address);
	uint16_t i;

	for (i = 0; i < count; i++) {
		if (features & VIRTQUEUE_F_PACKED)
			packed[i] = (struct vring_packed_desc){piece[i].address, piece[i].length, 0,
							       piece[i].flags};
		else
			desc[i] = (struct vring_desc){piece[i].address, piece[i].length,
						      piece[i].flags, i + 1};
	}
	offer(fx, features, &head, 1);
}

/* H: this call and every later one says so, and nothing moves. */
static void expect_broken(struct fixture *fx, enum virtqueue_fault fault)
{
	struct virtqueue_position before = virtqueue_device_position(&fx->device), after;
	uint16_t held = fx->device.in_flight_count;

	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_BROKEN);
	assert_int_equal(fx->device.broken, fault);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_BROKEN);
	assert_int_equal(fx->device.broken, fault);
	after = virtqueue_device_position(&fx->device);
	assert_int_equal(after.avail, before.avail);
	assert_int_equal(after.used, before.used);
	assert_int_equal(fx->device.in_flight_count, held);
}

/* E: the chain can be given back, and the ring goes on. */
static void expect_unusable(struct fixture *fx)
{
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_true(fx->chain.unusable);
	assert_int_equal(fx->device.broken, VIRTQUEUE_OK);
	assert_int_equal(fx->device.in_flight_count, 1);
	virtqueue_push(&fx->device, fx->chain.id, fx->chain.slots, 0);
	virtqueue_publish(&fx->device);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
	assert_int_equal(fx->device.in_flight_count, 0);
}

#define FOR_EACH_FORMAT(features)                                                                  \
	for (size_t format_ = 0; format_ < 2 && ((features) = formats[format_], true); format_++)

/* 15: the index jumps by more than the queue size. */
static void test_15_index_jump(void **state)
{
	struct fixture *fx = *state;
	struct vring_avail *avail;
	static const uint16_t starts[] = {0, 100, 65530, 65535};
	static const uint16_t jumps[] = {SIZE + 1, 100, 32768, 65535};
	size_t i, j;

	for (i = 0; i < 4; i++) {
		for (j = 0; j < 4; j++) {
			fixture_start(fx, SPLIT, SIZE, starts[i]);
			avail = fx->areas.driver;
			avail->idx = starts[i] + jumps[j];
			assert_true(virtqueue_has_work(&fx->device));
			expect_broken(fx, VIRTQUEUE_FAULT_INDEX_JUMP);
		}
		/* Exactly one ring is what a full ring looks like. */
		fixture_start(fx, SPLIT, SIZE, starts[i]);
		for (j = 0; j < SIZE; j++)
			avail->ring[j] = j;
		avail->idx = starts[i] + SIZE;
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	}
}

/* 15, the other way: the device's used index against our driver side. */
static void test_15_used_index_jump(void **state)
{
	struct fixture *fx = *state;
	struct vring_used *used;
	uint32_t written;
	void *token;

	fixture_start(fx, SPLIT, SIZE, 65533);
	used = fx->areas.device;
	used->idx = (uint16_t)(65533 + SIZE + 1);
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_BROKEN);
	assert_int_equal(fx->driver.broken, VIRTQUEUE_FAULT_INDEX_JUMP);
	assert_int_equal(virtqueue_add(&fx->driver, &(struct virtqueue_buffer){DATA, 1}, 1, 0,
				       &tokens[0], NULL, 0),
			 -1);
}

/* 16: a head or a link outside the ring. */
static void test_16_head_range(void **state)
{
	struct fixture *fx = *state;
	struct piece piece[] = {{DATA, 8, N}, {DATA, 8, 0}};
	struct vring_avail *avail;
	struct vring_desc *desc;
	static const uint16_t bad[] = {SIZE, SIZE + 1, 1024, 32768, 65535};
	size_t i;

	for (i = 0; i < 5; i++) {
		offer(fx, SPLIT, piece, 2);
		avail = fx->areas.driver;
		avail->ring[0] = bad[i];
		expect_broken(fx, VIRTQUEUE_FAULT_HEAD_RANGE);

		offer(fx, SPLIT, piece, 2);
		desc = fx->areas.descriptors;
		desc[0].next = bad[i];
		expect_broken(fx, VIRTQUEUE_FAULT_HEAD_RANGE);
	}
}

/* 16: a chain that comes back to itself, after one step or several. */
static void test_16_loop(void **state)
{
	struct fixture *fx = *state;
	struct piece piece[] = {{DATA, 8, N}, {DATA, 8, N}, {DATA, 8, N}};
	struct vring_desc *desc;
	uint16_t back;

	for (back = 0; back < 3; back++) {
		offer(fx, SPLIT, piece, 3);
		desc = fx->areas.descriptors;
		desc[2].next = back;
		expect_broken(fx, VIRTQUEUE_FAULT_LOOP);

		offer_table(fx, SPLIT, TABLES, 3 * 16, piece, 3);
		desc = fixture_host(fx, TABLES);
		desc[2].next = back;
		expect_broken(fx, VIRTQUEUE_FAULT_LOOP);
	}
	/* The longest chain that is none. */
	{
		struct piece all[SIZE];
		int i;

		for (i = 0; i < SIZE; i++)
			all[i] = (struct piece){DATA, 8, i < SIZE - 1 ? N : 0};
		offer(fx, SPLIT, all, SIZE);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		assert_int_equal(fx->chain.readable, SIZE);
	}
}

/* 17: indirect tables. */
static void test_17_nested(void **state)
{
	struct fixture *fx = *state;
	struct piece table[] = {{DATA, 8, N}, {TABLES, 16, I}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer_table(fx, features, TABLES, 2 * 16, table, 2);
		expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
	}
}

static void test_17_bad_lengths(void **state)
{
	struct fixture *fx = *state;
	struct piece table[] = {{DATA, 8, N}, {DATA, 8, 0}};
	static const uint32_t bad[] = {0,
				       1,
				       15,
				       17,
				       31,
				       (VIRTQUEUE_SIZE_MAX + 1) * 16,
				       0x10000 * 16,
				       0xfffffff0,
				       0xffffffff};
	uint64_t features;
	size_t i;

	FOR_EACH_FORMAT(features) {
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			offer_table(fx, features, TABLES, bad[i], table, 2);
			expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
		}
	}
	/* A link past the end of a split table. */
	offer_table(fx, SPLIT, TABLES, 16, table, 2);
	expect_broken(fx, VIRTQUEUE_FAULT_HEAD_RANGE);
}

static void test_17_table_outside_one_region(void **state)
{
	struct fixture *fx = *state;
	struct piece table[] = {{DATA, 8, N}, {DATA, 8, 0}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer_table(fx, features, HIGH_ADDRESS + REGION_BYTES - 16, 32, table, 1);
		expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
		offer_table(fx, features, TABLES, 32, table, 2);
		fx->memory.count = 0;
		expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
		fx->memory.count = 2;
	}
	/* The next region follows at once for the guest; the host maps it elsewhere. */
	guest_memory_add(&fx->memory, HIGH_ADDRESS + REGION_BYTES, 4096, fx->low);
	FOR_EACH_FORMAT(features) {
		offer_table(fx, features, HIGH_ADDRESS + REGION_BYTES - 16, 32, table, 1);
		expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
	}
}

static void test_17_not_negotiated_or_not_last(void **state)
{
	struct fixture *fx = *state;
	struct piece table[] = {{DATA, 8, 0}};
	struct piece behind[] = {{TABLES, 16, I | N}, {DATA, 8, 0}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer_table(fx, features & ~VIRTQUEUE_F_INDIRECT, TABLES, 16, table, 1);
		expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
		offer_table(fx, features, TABLES, 16, table, 1);
		offer(fx, features, behind, 2);
		expect_broken(fx, VIRTQUEUE_FAULT_INDIRECT);
	}
}

/* What the specification allows and few drivers do: direct descriptors, then a table. */
static void test_17_direct_then_indirect(void **state)
{
	struct fixture *fx = *state;
	struct piece table[] = {{DATA, 8, N}, {DATA, 4, W}};
	struct piece chain[] = {{DATA, 16, N}, {TABLES, 32, I}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer_table(fx, features, TABLES, 32, table, 2);
		offer(fx, features, chain, 2);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		assert_int_equal(fx->chain.readable, 2);
		assert_int_equal(fx->chain.readable_bytes, 24);
		assert_int_equal(fx->chain.writable, 1);
	}
}

/* Longer than the ring, as Linux makes them. */
static void test_17_largest_table(void **state)
{
	static struct piece table[VIRTQUEUE_SIZE_MAX];
	static struct ring_iovec iov[VIRTQUEUE_SIZE_MAX];
	struct fixture *fx = *state;
	uint64_t features;
	int i;

	for (i = 0; i < VIRTQUEUE_SIZE_MAX; i++)
		table[i] = (struct piece){DATA + i, 1, i < VIRTQUEUE_SIZE_MAX - 1 ? N : W};
	FOR_EACH_FORMAT(features) {
		offer_table(fx, features, TABLES, sizeof(struct vring_desc) * VIRTQUEUE_SIZE_MAX,
			    table, VIRTQUEUE_SIZE_MAX);
		fx->chain.iov = iov;
		fx->chain.iov_max = VIRTQUEUE_SIZE_MAX;
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		assert_false(fx->chain.unusable);
		assert_int_equal(fx->chain.readable, VIRTQUEUE_SIZE_MAX - 1);
		assert_ptr_equal(fx->chain.tail.base,
				 fixture_host(fx, DATA + VIRTQUEUE_SIZE_MAX - 1));
	}
}

/* 18: buffers that end outside their region, that wrap, or that are nowhere. */
static void test_18_bad_addresses(void **state)
{
	struct fixture *fx = *state;
	static const struct piece bad[] = {
		{HIGH_ADDRESS + REGION_BYTES - 8, 9, 0},
		{HIGH_ADDRESS, REGION_BYTES + 1, 0},
		{HIGH_ADDRESS + REGION_BYTES, 1, 0},
		{LOW_ADDRESS - 1, 2, 0},
		{LOW_ADDRESS - 1, 1, 0},
		{UINT64_MAX, 1, 0},
		{UINT64_MAX, 2, 0},
		{UINT64_MAX - 0xfff, 0xffffffff, 0},
		{0, 0xffffffff, 0},
		/* With no length at all. */
		{0, 0, 0},
		{HIGH_ADDRESS + REGION_BYTES, 0, 0},
		{UINT64_MAX, 0, 0},
	};
	uint64_t features;
	size_t i;

	FOR_EACH_FORMAT(features) {
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct piece chain[] = {{DATA, 16, N}, bad[i], {DATA + 99, 1, W}};

			/* The status byte is still there to say that the request failed. */
			chain[1].flags = N;
			offer(fx, features, chain, 3);
			expect_unusable(fx);
			assert_int_equal(fx->chain.readable, 1);
			assert_ptr_equal(fx->chain.tail.base, fixture_host(fx, DATA + 99));

			chain[1].flags = N | W;
			offer(fx, features, chain, 3);
			expect_unusable(fx);
			assert_ptr_equal(fx->chain.tail.base, fixture_host(fx, DATA + 99));

			/* It is the status byte itself. */
			chain[1].flags = N;
			chain[1].address = DATA;
			chain[1].length = 8;
			chain[2] = bad[i];
			chain[2].flags = W;
			offer(fx, features, chain, 3);
			expect_unusable(fx);
			assert_int_equal(fx->chain.readable, 2);
			assert_null(fx->chain.tail.base);

			/* An earlier writable piece is no place for a status. */
			chain[1].flags = N | W;
			offer(fx, features, chain, 3);
			expect_unusable(fx);
			assert_int_equal(fx->chain.writable, 1);
			assert_null(fx->chain.tail.base);

			/* The same in a table. */
			offer_table(fx, features, TABLES, 48, chain, 3);
			expect_unusable(fx);
			assert_null(fx->chain.tail.base);
		}
	}
}

/* Regions that adjoin for the guest: a good buffer may run over both, a bad one past the second. */
static void test_18_buffer_over_two_regions(void **state)
{
	struct fixture *fx = *state;
	uint64_t edge = HIGH_ADDRESS + REGION_BYTES;
	struct piece chain[] = {{edge - 8, 24, N}, {edge - 1, 2, W}};
	uint64_t features;

	guest_memory_add(&fx->memory, edge, 16, fx->low);
	FOR_EACH_FORMAT(features) {
		chain[0].length = 24;
		offer(fx, features, chain, 2);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		assert_false(fx->chain.unusable);
		assert_int_equal(fx->chain.readable, 2);
		assert_int_equal(fx->chain.readable_bytes, 24);
		assert_ptr_equal(fx->iov[0].base, fx->high + REGION_BYTES - 8);
		assert_int_equal(fx->iov[0].length, 8);
		assert_ptr_equal(fx->iov[1].base, fx->low);
		assert_int_equal(fx->iov[1].length, 16);
		assert_int_equal(fx->chain.writable, 2);
		assert_ptr_equal(fx->chain.tail.base, fx->low);
		assert_int_equal(fx->chain.tail.length, 1);

		chain[0].length = 25;
		offer(fx, features, chain, 2);
		expect_unusable(fx);
		assert_int_equal(fx->chain.readable, 0);
		assert_ptr_equal(fx->chain.tail.base, fx->low);
	}
	guest_memory_add(&fx->memory, UINT64_MAX - 15, 16, fx->low);
	guest_memory_add(&fx->memory, 0, 16, fx->low);
	FOR_EACH_FORMAT(features) {
		chain[0] = (struct piece){UINT64_MAX - 7, 16, N};
		offer(fx, features, chain, 2);
		expect_unusable(fx);
	}
}

/* An empty buffer at a good address is no data, and no harm. */
static void test_18_zero_length_at_a_good_address(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 0, N}, {DATA, 16, N}, {DATA, 4, N | W}, {DATA, 0, W}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer(fx, features, chain, 4);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		assert_false(fx->chain.unusable);
		assert_int_equal(fx->chain.readable, 1);
		assert_int_equal(fx->chain.writable, 1);
		assert_int_equal(fx->chain.tail.length, 4);
	}
}

static void test_more_pieces_than_room(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 16, N}, {DATA, 512, N | W}, {DATA + 600, 1, W}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer(fx, features, chain, 3);
		fx->chain.iov_max = 2;
		memset(&fx->iov[2], 0x5a, sizeof(fx->iov[2]));
		expect_unusable(fx);
		assert_int_equal(fx->chain.readable + fx->chain.writable, 2);
		assert_ptr_equal(fx->chain.tail.base, fixture_host(fx, DATA + 600));
		assert_int_equal(fx->iov[2].length, 0x5a5a5a5a5a5a5a5a);
		offer(fx, features, chain, 3);
		fx->chain.iov_max = 0;
		expect_unusable(fx);
	}
}

static void test_readable_behind_writable(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 16, N}, {DATA, 512, N | W}, {DATA + 600, 1, 0}};
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer(fx, features, chain, 3);
		expect_broken(fx, VIRTQUEUE_FAULT_ORDER);
		/* Also where the pieces themselves are left out. */
		chain[1].length = 0;
		offer(fx, features, chain, 3);
		expect_broken(fx, VIRTQUEUE_FAULT_ORDER);
		chain[1].address = 0;
		offer_table(fx, features, TABLES, 48, chain, 3);
		expect_broken(fx, VIRTQUEUE_FAULT_ORDER);
		chain[1] = (struct piece){DATA, 512, N | W};
	}
}

/* 21: what the driver writes after the read changes nothing. */
static void test_21_the_snapshot_wins(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 16, N}, {DATA + 32, 8, W}};
	struct virtqueue_chain before;
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer(fx, features, chain, 2);
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		before = fx->chain;
		memset(fx->areas.descriptors, 0xff, 16 * SIZE);
		assert_memory_equal(&before, &fx->chain, sizeof(before));
		assert_ptr_equal(fx->iov[0].base, fixture_host(fx, DATA));
		assert_int_equal(fx->iov[1].length, 8);
		virtqueue_push(&fx->device, fx->chain.id, fx->chain.slots, 8);
		virtqueue_publish(&fx->device);
		assert_int_equal(virtqueue_device_position(&fx->device).used & 0x7fff,
				 features & VIRTQUEUE_F_PACKED ? 2 : 1);
	}
}

/* 22: a head or id that the device already holds. */
static void test_22_head_in_flight(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 16, 0}, {DATA, 16, 0}};
	struct vring_avail *avail;
	uint64_t features;

	FOR_EACH_FORMAT(features) {
		offer(fx, features, chain, 2);
		avail = fx->areas.driver;
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
		if (!(features & VIRTQUEUE_F_PACKED)) {
			avail->ring[1] = 0;
			avail->idx = 2;
		}
		expect_broken(fx, VIRTQUEUE_FAULT_IN_FLIGHT);
	}
}

/* 22: a driver that never reaps can hold no more than the ring. */
static void test_22_submit_without_reaping(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[SIZE];
	struct vring_avail *avail;
	uint16_t i;

	for (i = 0; i < SIZE; i++)
		chain[i] = (struct piece){DATA, 16, 0};
	offer(fx, SPLIT, chain, SIZE);
	avail = fx->areas.driver;
	for (i = 0; i < SIZE; i++)
		avail->ring[i] = i;
	for (i = 0; i < SIZE; i++) {
		avail->idx = i + 1;
		assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	}
	avail->idx = SIZE + 1;
	expect_broken(fx, VIRTQUEUE_FAULT_IN_FLIGHT);
}

/* 24: packed. */
static void test_24_wrap_bits(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 16, N}, {DATA, 16, 0}};
	struct vring_packed_desc *ring;

	/* Used in a lap that the device has not come to. */
	offer(fx, PACKED, chain, 2);
	ring = fx->areas.descriptors;
	ring[0].flags = N | 0x8080;
	assert_true(virtqueue_has_work(&fx->device));
	expect_broken(fx, VIRTQUEUE_FAULT_WRAP);
	/* The other lap is not yet. */
	ring[0].flags = N | 0x8000;
	offer(fx, PACKED, chain, 0);
	ring[0].flags = N | 0x8000;
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_EMPTY);
	/* A chain that goes on into slots which the driver did not hand over. */
	offer(fx, PACKED, chain, 2);
	ring[1].flags = 0;
	expect_broken(fx, VIRTQUEUE_FAULT_WRAP);
	offer(fx, PACKED, chain, 2);
	ring[1].flags = 0x8000;
	expect_broken(fx, VIRTQUEUE_FAULT_WRAP);
}

static void test_24_id_range(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[] = {{DATA, 16, 0}};
	struct vring_packed_desc *ring;
	static const uint16_t bad[] = {SIZE, 1023, 1024, 65535};
	size_t i;

	for (i = 0; i < 4; i++) {
		offer(fx, PACKED, chain, 1);
		ring = fx->areas.descriptors;
		ring[0].id = bad[i];
		expect_broken(fx, VIRTQUEUE_FAULT_HEAD_RANGE);
	}
}

static void test_24_chain_longer_than_the_ring(void **state)
{
	struct fixture *fx = *state;
	struct piece chain[SIZE];
	struct vring_packed_desc *ring;
	int i;

	for (i = 0; i < SIZE; i++)
		chain[i] = (struct piece){DATA, 16, N};
	/* Without end: it would wrap into its own first slot. */
	offer(fx, PACKED, chain, SIZE);
	expect_broken(fx, VIRTQUEUE_FAULT_LOOP);
	/* Into slots of a chain in flight, with flags of the next lap. */
	chain[1].flags = 0;
	offer(fx, PACKED, chain, SIZE);
	ring = fx->areas.descriptors;
	for (i = 2; i < SIZE; i++)
		ring[i].id = 2;
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	ring[0].flags = 0x8000;
	expect_broken(fx, VIRTQUEUE_FAULT_LOOP);
	/* The longest that is allowed. */
	chain[1].flags = N;
	chain[SIZE - 1].flags = 0;
	offer(fx, PACKED, chain, SIZE);
	assert_int_equal(virtqueue_pop(&fx->device, &fx->chain), VIRTQUEUE_FOUND);
	assert_int_equal(fx->chain.slots, SIZE);
}

/* A device that completes what it was not lent, or more than it was lent. */
static void device_claims(struct fixture *fx, uint64_t features, uint32_t id, uint32_t written)
{
	struct vring_packed_desc *packed = fx->areas.descriptors;
	struct vring_used *used = fx->areas.device;

	if (features & VIRTQUEUE_F_PACKED) {
		packed[0].id = id;
		packed[0].len = written;
		packed[0].flags = 0x8080;
	} else {
		used->ring[0].id = id;
		used->ring[0].len = written;
		used->idx = 1;
	}
}

static void test_driver_against_a_hostile_device(void **state)
{
	struct fixture *fx = *state;
	struct {
		uint32_t id, written;
		enum virtqueue_fault fault;
	} claim[] = {
		{SIZE, 0, VIRTQUEUE_FAULT_HEAD_RANGE},
		{65535, 0, VIRTQUEUE_FAULT_HEAD_RANGE},
		{5, 0, VIRTQUEUE_FAULT_NOT_IN_FLIGHT},
		{1, 0, VIRTQUEUE_FAULT_NOT_IN_FLIGHT}, /* split: in the chain, not its head */
		{0, 33, VIRTQUEUE_FAULT_NOT_IN_FLIGHT},
		{0, UINT32_MAX, VIRTQUEUE_FAULT_NOT_IN_FLIGHT},
		{0, 32, VIRTQUEUE_OK},
	};
	uint64_t features, order;
	uint32_t written;
	void *token;
	size_t i;

	FOR_EACH_FORMAT(features) {
		for (i = 0; i < 2 * sizeof(claim) / sizeof(claim[0]); i++) {
			order = i & 1 ? VIRTQUEUE_F_IN_ORDER : 0;
			fixture_start(fx, features | order, SIZE,
				      features & VIRTQUEUE_F_PACKED ? 0x8000 : 0);
			fixture_add_publish(fx, &tokens[0]);
			device_claims(fx, features, claim[i / 2].id, claim[i / 2].written);
			assert_int_equal(virtqueue_reap(&fx->driver, &token, &written),
					 claim[i / 2].fault ? VIRTQUEUE_BROKEN : VIRTQUEUE_FOUND);
			assert_int_equal(fx->driver.broken, claim[i / 2].fault);
		}
	}
	/* Twice the same. */
	fixture_start(fx, SPLIT, SIZE, 0);
	fixture_add_publish(fx, &tokens[0]);
	device_claims(fx, SPLIT, 0, 0);
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_FOUND);
	((struct vring_used *)fx->areas.device)->idx = 2;
	assert_int_equal(virtqueue_reap(&fx->driver, &token, &written), VIRTQUEUE_BROKEN);
	assert_int_equal(fx->driver.broken, VIRTQUEUE_FAULT_NOT_IN_FLIGHT);
}

/* Anything at all in the ring: no answer is wrong, but none may touch what is not the guest's. */
static void test_random_rings(void **state)
{
	struct fixture *fx = *state;
	uint64_t features, pick;
	uint32_t written;
	void *token;
	int round, i;

	srand(1);
	FOR_EACH_FORMAT(features) {
		for (round = 0; round < 20000; round++) {
			struct vring_desc *desc;
			uint16_t *words;

			fixture_start(fx, features, SIZE,
				      features & VIRTQUEUE_F_PACKED ? 0x8000 : 65533);
			desc = fx->areas.descriptors;
			for (i = 0; i < SIZE; i++) {
				pick = rand() % 4 ? DATA + rand() % 64 : (uint64_t)rand() << 16;
				desc[i] = (struct vring_desc){pick, rand() % 64, rand() & 7,
							      rand() % (SIZE + 1)};
				if (features & VIRTQUEUE_F_PACKED) {
					desc[i].flags = rand() % SIZE;
					desc[i].next = (rand() & 7) | (rand() & 3 ? 0x80 : 0x8000);
				}
			}
			words = fx->areas.driver;
			for (i = 0; i < SIZE + 3; i++)
				words[i] = rand() % (SIZE + 1);
			if (!(features & VIRTQUEUE_F_PACKED))
				words[1] = 65533 + rand() % (SIZE + 2);
			while (virtqueue_pop(&fx->device, &fx->chain) == VIRTQUEUE_FOUND) {
				for (i = 0; i < fx->chain.readable + fx->chain.writable; i++)
					memset(fx->iov[i].base, 0, fx->iov[i].length);
				if (rand() & 1)
					virtqueue_push(&fx->device, fx->chain.id, fx->chain.slots,
						       rand() % 64);
			}
			virtqueue_publish(&fx->device);
			virtqueue_should_interrupt(&fx->device);
			virtqueue_kicks_enable(&fx->device);
			while (virtqueue_reap(&fx->driver, &token, &written) == VIRTQUEUE_FOUND)
				;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_15_index_jump),
		fixture_test(test_15_used_index_jump),
		fixture_test(test_16_head_range),
		fixture_test(test_16_loop),
		fixture_test(test_17_nested),
		fixture_test(test_17_bad_lengths),
		fixture_test(test_17_table_outside_one_region),
		fixture_test(test_17_not_negotiated_or_not_last),
		fixture_test(test_17_direct_then_indirect),
		fixture_test(test_17_largest_table),
		fixture_test(test_18_bad_addresses),
		fixture_test(test_18_buffer_over_two_regions),
		fixture_test(test_18_zero_length_at_a_good_address),
		fixture_test(test_more_pieces_than_room),
		fixture_test(test_readable_behind_writable),
		fixture_test(test_21_the_snapshot_wins),
		fixture_test(test_22_head_in_flight),
		fixture_test(test_22_submit_without_reaping),
		fixture_test(test_24_wrap_bits),
		fixture_test(test_24_id_range),
		fixture_test(test_24_chain_longer_than_the_ring),
		fixture_test(test_driver_against_a_hostile_device),
		fixture_test(test_random_rings),
	};

	return cmocka_run_group_tests_name("hostile peers", tests, NULL, NULL);
}
