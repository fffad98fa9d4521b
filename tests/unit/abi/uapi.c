// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Our layouts and numbers beside the kernel's, wherever the kernel has the same thing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "abi/stats.h"
#include "abi/vhost_user.h"
#include "ring/guest_memory.h"
#include "ring/virtqueue.h"

#define assert_same_field(ours, our_field, theirs, their_field)                                    \
	do {                                                                                       \
		assert_int_equal(offsetof(struct ours, our_field),                                 \
				 offsetof(struct theirs, their_field));                            \
		assert_int_equal(sizeof(((struct ours *)0)->our_field),                            \
				 sizeof(((struct theirs *)0)->their_field));                       \
	} while (0)

#define assert_same_size(ours, theirs) assert_int_equal(sizeof(struct ours), sizeof(struct theirs))

static void test_vring_state(void **state)
{
	assert_same_size(vhost_user_vring_state, vhost_vring_state);
	assert_same_field(vhost_user_vring_state, index, vhost_vring_state, index);
	assert_same_field(vhost_user_vring_state, num, vhost_vring_state, num);
}

static void test_vring_address(void **state)
{
	assert_same_size(vhost_user_vring_address, vhost_vring_addr);
	assert_same_field(vhost_user_vring_address, index, vhost_vring_addr, index);
	assert_same_field(vhost_user_vring_address, flags, vhost_vring_addr, flags);
	assert_same_field(vhost_user_vring_address, descriptor, vhost_vring_addr, desc_user_addr);
	assert_same_field(vhost_user_vring_address, used, vhost_vring_addr, used_user_addr);
	assert_same_field(vhost_user_vring_address, available, vhost_vring_addr, avail_user_addr);
	assert_same_field(vhost_user_vring_address, log, vhost_vring_addr, log_guest_addr);
}

static void test_memory(void **state)
{
	assert_same_size(vhost_user_memory_region, vhost_memory_region);
	assert_same_field(vhost_user_memory_region, guest_address, vhost_memory_region,
			  guest_phys_addr);
	assert_same_field(vhost_user_memory_region, size, vhost_memory_region, memory_size);
	assert_same_field(vhost_user_memory_region, user_address, vhost_memory_region,
			  userspace_addr);
	/* What vhost keeps as padding carries the offset in the region's file. */
	assert_same_field(vhost_user_memory_region, mmap_offset, vhost_memory_region,
			  flags_padding);
	assert_same_field(vhost_user_memory, count, vhost_memory, nregions);
	assert_int_equal(offsetof(struct vhost_user_memory, region),
			 offsetof(struct vhost_memory, regions));
}

static void test_iotlb(void **state)
{
	assert_same_size(vhost_user_iotlb, vhost_iotlb_msg);
	assert_same_field(vhost_user_iotlb, iova, vhost_iotlb_msg, iova);
	assert_same_field(vhost_user_iotlb, size, vhost_iotlb_msg, size);
	assert_same_field(vhost_user_iotlb, user_address, vhost_iotlb_msg, uaddr);
	assert_same_field(vhost_user_iotlb, permissions, vhost_iotlb_msg, perm);
	assert_same_field(vhost_user_iotlb, type, vhost_iotlb_msg, type);
}

static void test_ring_features(void **state)
{
	assert_int_equal(VIRTQUEUE_F_INDIRECT, 1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	assert_int_equal(VIRTQUEUE_F_EVENT_IDX, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	assert_int_equal(VIRTQUEUE_F_PACKED, 1ULL << VIRTIO_F_RING_PACKED);
	/* No name in older headers. */
#ifdef VIRTIO_F_IN_ORDER
	assert_int_equal(VIRTQUEUE_F_IN_ORDER, 1ULL << VIRTIO_F_IN_ORDER);
#endif
}

/* The protocol's bit hides among the features of the transport, where virtio has none. */
static void test_protocol_features_bit(void **state)
{
	assert_true(VHOST_USER_F_PROTOCOL_FEATURES >= VIRTIO_TRANSPORT_F_START);
	assert_true(VHOST_USER_F_PROTOCOL_FEATURES < VIRTIO_TRANSPORT_F_END);
	assert_int_not_equal(VHOST_USER_F_PROTOCOL_FEATURES, VIRTIO_RING_F_EVENT_IDX);
	assert_int_not_equal(VHOST_USER_F_PROTOCOL_FEATURES, VIRTIO_RING_F_INDIRECT_DESC);
	assert_int_not_equal(VHOST_USER_F_PROTOCOL_FEATURES, VIRTIO_F_VERSION_1);
}

/* A chain's pieces go to preadv() and io_uring as they are. */
static void test_iovec(void **state)
{
	assert_same_size(ring_iovec, iovec);
	assert_same_field(ring_iovec, base, iovec, iov_base);
	assert_same_field(ring_iovec, length, iovec, iov_len);
}

static void test_device_ids(void **state)
{
	assert_int_equal(STATS_DEVICE_NET, VIRTIO_ID_NET);
	assert_int_equal(STATS_DEVICE_BLK, VIRTIO_ID_BLOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vring_state),
		cmocka_unit_test(test_vring_address),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_iotlb),
		cmocka_unit_test(test_ring_features),
		cmocka_unit_test(test_protocol_features_bit),
		cmocka_unit_test(test_iovec),
		cmocka_unit_test(test_device_ids),
	};

	return cmocka_run_group_tests_name("layouts beside the kernel's", tests, NULL, NULL);
}
