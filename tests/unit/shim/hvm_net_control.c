/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Net devices: what the shim makes up for a back-end without configuration space or control queue,
 * and the control queue that it serves, driven by ring/'s driver side.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "ring/virtqueue.h"
#include "tests/unit/shim/hvm_driver.h"

#define CONTROL_FEATURES                                               \
	(1ULL << VIRTIO_NET_F_CTRL_VQ | 1ULL << VIRTIO_NET_F_CTRL_RX | \
	 1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR)
#define COMMAND_AREA 0x200000 /* guest address of the commands */

static struct virtqueue_driver ring;
static bool packed;

static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

/* As DPDK's port: it offers a control queue and serves none. */
static void plug_without_config(bool own_control)
{
	struct virtio_pci_options options = {.name = "net 0", .has_mac = true, .packed = packed};

	memcpy(options.mac, mac, sizeof(mac));
	options.own_control = own_control;
	driver_backend_default();
	fake_backend.features |= 1ULL << VIRTIO_NET_F_MQ | 1ULL << VIRTIO_NET_F_MRG_RXBUF |
				 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE | CONTROL_FEATURES |
				 1ULL << VIRTIO_NET_F_MTU;
	fake_backend.queues_max = 3; /* pairs */
	driver_plug(VIRTIO_ID_NET, &options);
}

static int open_dpdk(void **state)
{
	packed = false;
	plug_without_config(false);
	return 0;
}

static int open_packed(void **state)
{
	packed = true;
	plug_without_config(false);
	return 0;
}

static void plug_with_config(bool own_control)
{
	struct virtio_net_config *config = (void *)fake_backend.config;
	struct virtio_pci_options options = {.name = "net 0", .own_control = own_control};

	driver_backend_default();
	fake_backend.features |= 1ULL << VIRTIO_NET_F_MQ | CONTROL_FEATURES |
				 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS;
	fake_backend.queues_max = 17;
	fake_backend.config_size = 12;
	memcpy(config->mac, mac, sizeof(mac));
	config->max_virtqueue_pairs = 8;
	packed = false;
	driver_plug(VIRTIO_ID_NET, &options);
}

static int open_netd(void **state)
{
	plug_with_config(false);
	return 0;
}

static int open_netd_own(void **state)
{
	plug_with_config(true);
	return 0;
}

static int close_device(void **state)
{
	driver_unplug();
	return 0;
}

static void start_control_ring(unsigned int index)
{
	struct virtqueue_areas areas = {
		.descriptors = guest_memory_at(&fake_vm.memory, driver_area(index), 1),
		.driver = guest_memory_at(&fake_vm.memory, driver_area(index) + 0x4000, 1),
		.device = guest_memory_at(&fake_vm.memory, driver_area(index) + 0x8000, 1),
		.size = 256,
	};

	memset(areas.descriptors, 0, 0x10000);
	assert_int_equal(virtqueue_driver_init(&ring, &areas, driver_features()), 0);
}

static void start_net(unsigned int queues)
{
	start_control_ring(queues - 1);
	driver_begin_with_msix();
	driver_start_rest(queues);
	set_vector(queues - 1, 1);
}

/* Sends a command, its data split into two pieces, and waits for the answer. */
static uint8_t command(uint8_t class, uint8_t cmd, const void *data, unsigned int size)
{
	uint8_t *area = guest_memory_at(&fake_vm.memory, COMMAND_AREA, 0x1000);
	struct virtqueue_buffer buffers[] = {{COMMAND_AREA, 2},
					     {COMMAND_AREA + 2, 1},
					     {COMMAND_AREA + 3, size - 1},
					     {COMMAND_AREA + 0x800, 1}};
	unsigned int index = driver_features() & 1ULL << VIRTIO_NET_F_MQ
				     ? (common_read(VIRTIO_PCI_COMMON_NUMQ, 2) - 1)
				     : 2;
	unsigned int seen = atomic_load(&fake_vm.delivered);
	uint32_t written;
	void *token;

	area[0] = class;
	area[1] = cmd;
	memcpy(area + 2, data, size);
	area[0x800] = 0xee;
	if (size > 1) {
		assert_int_equal(virtqueue_add(&ring, buffers, 3, 1, area, NULL, 0), 0);
	} else {
		buffers[2] = buffers[3];
		assert_int_equal(virtqueue_add(&ring, buffers, 2, 1, area, NULL, 0), 0);
	}
	virtqueue_driver_publish(&ring);
	if (virtqueue_should_kick(&ring)) {
		uint64_t one = 1;
		int fd = doorbell_fd(d.notify + index * 4);

		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	}
	fake_eventually(atomic_load(&fake_vm.delivered) > seen);
	assert_int_equal(virtqueue_reap(&ring, &token, &written), VIRTQUEUE_FOUND);
	assert_int_equal(written, 1);
	virtqueue_interrupts_enable(&ring);
	return area[0x800];
}

static uint8_t set_pairs(uint16_t pairs)
{
	return command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, sizeof(pairs));
}

static void the_configuration_is_made_up(void **state)
{
	uint64_t features = driver_features();

	assert_true(features & 1ULL << VIRTIO_NET_F_MAC);
	assert_true(features & 1ULL << VIRTIO_NET_F_STATUS);
	assert_true(features & 1ULL << VIRTIO_NET_F_MQ);
	assert_int_equal(features & CONTROL_FEATURES, CONTROL_FEATURES);
	assert_false(features & 1ULL << VIRTIO_NET_F_MTU);
	assert_false(features & 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(mem_read(d.device + i, 1), mac[i]);
	assert_int_equal(mem_read(d.device + 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(mem_read(d.device + 8, 2), 3);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_NUMQ, 2), 7);
}

static void the_back_end_hears_nothing_of_the_control_queue(void **state)
{
	start_net(7);
	assert_false(fake_backend.accepted & CONTROL_FEATURES);
	assert_false(fake_backend.accepted & 1ULL << VIRTIO_NET_F_MAC);
	assert_true(fake_backend.accepted & 1ULL << VIRTIO_NET_F_MQ);
	assert_false(fake_backend.ring[6].started);
	for (unsigned int i = 0; i < 6; i++) {
		assert_true(fake_backend.ring[i].started);
		assert_int_equal(fake_backend.ring[i].enabled, i < 2);
	}
}

static void pairs_are_enabled_on_command(void **state)
{
	start_net(7);
	for (unsigned int pairs = 1; pairs <= 3; pairs++) {
		assert_int_equal(set_pairs(pairs), VIRTIO_NET_OK);
		for (unsigned int i = 0; i < 6; i++)
			assert_int_equal(fake_backend.ring[i].enabled, i < pairs * 2);
	}
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
	assert_false(fake_backend.ring[5].enabled);
	assert_int_equal(set_pairs(0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(4), VIRTIO_NET_ERR);
	assert_int_equal(command(VIRTIO_NET_CTRL_MQ, 1, mac, 6), VIRTIO_NET_ERR);
	set_status(0);
	start_net(7);
	assert_false(fake_backend.ring[2].enabled); /* one pair again */
}

static void other_commands(void **state)
{
	static const uint8_t other_mac[6] = {2, 2, 2, 2, 2, 2};
	uint8_t table[8 + 12] = {1};
	uint8_t on = 1;

	start_net(7);
	assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
			 VIRTIO_NET_OK);
	assert_int_equal(command(VIRTIO_NET_CTRL_RX, 99, &on, 1), VIRTIO_NET_ERR);
	assert_int_equal(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 20),
			 VIRTIO_NET_OK);
	assert_int_equal(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 4),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac, 6),
			 VIRTIO_NET_OK);
	assert_int_equal(mem_read(d.device, 4), 0x02020202);
	assert_int_equal(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(77, 0, mac, 6), VIRTIO_NET_ERR);
	set_status(0);
	assert_int_equal(mem_read(d.device + 5, 1), mac[5]); /* its own address again */
}

static void many_commands_pass(void **state)
{
	start_net(7);
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(set_pairs(1 + i % 3), VIRTIO_NET_OK);
}

static void without_mq_the_control_queue_is_the_third(void **state)
{
	uint64_t features = driver_features() & ~(1ULL << VIRTIO_NET_F_MQ);

	driver_begin();
	driver_accept(features);
	assert_true(driver_features_ok());
	driver_enable(3);
	assert_true(fake_backend.ring[1].started);
	assert_false(fake_backend.ring[2].started);
	driver_place_queue(3);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2),
			 0); /* none with these features */
}

static void a_broken_control_ring_costs_the_device(void **state)
{
	uint64_t one = 1;
	uint16_t *avail;

	start_net(7);
	avail = guest_memory_at(&fake_vm.memory, driver_area(6) + 0x4000, 4);
	__atomic_store_n(&avail[1], 0x7000, __ATOMIC_RELEASE); /* idx, far ahead */
	assert_int_equal(write(doorbell_fd(d.notify + 24), &one, 8), 8);
	fake_eventually(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	start_net(7);
	assert_int_equal(status(), STATUS_RUNNING);
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
}

static void a_command_without_room_for_an_answer(void **state)
{
	struct virtqueue_buffer only = {COMMAND_AREA, 2};
	uint64_t one = 1;
	uint32_t written;
	void *token;

	start_net(7);
	assert_int_equal(virtqueue_add(&ring, &only, 1, 0, &only, NULL, 0), 0);
	virtqueue_driver_publish(&ring);
	assert_int_equal(write(doorbell_fd(d.notify + 24), &one, 8), 8);
	fake_eventually(atomic_load(&fake_vm.delivered) > 0);
	assert_int_equal(virtqueue_reap(&ring, &token, &written), VIRTQUEUE_FOUND);
	assert_int_equal(written, 0);
	virtqueue_interrupts_enable(&ring);
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
}

static void fill(int fd)
{
	const uint64_t full = UINT64_MAX - 1;

	fcntl(fd, F_SETFL, 0);
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
}

/*
 * The third queue was one of data, and the back-end keeps what it got for it. No vector is set, so
 * nobody empties the call. The alarm ends the program where the shim waits.
 */
static void eventfds_of_before_make_nobody_wait(void **state)
{
	struct virtqueue_buffer buffers[] = {{COMMAND_AREA, 3}, {COMMAND_AREA + 0x800, 1}};
	uint64_t features = driver_features() & ~(1ULL << VIRTIO_NET_F_MQ), one = 1;
	uint32_t written;
	void *token;
	int kick, call;

	start_net(7);
	kick = dup(fake_backend.ring[2].ring.kick);
	call = dup(fake_backend.ring[2].ring.call);
	alarm(10);
	start_control_ring(2);
	driver_begin();
	driver_accept(features);
	assert_true(driver_features_ok());
	fill(kick);
	driver_enable(3);
	fill(call);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(virtqueue_add(&ring, buffers, 1, 1, buffers, NULL, 0), 0);
		virtqueue_driver_publish(&ring);
		assert_int_equal(write(kick, &one, 8), 8);
		fake_eventually(virtqueue_reap(&ring, &token, &written) == VIRTQUEUE_FOUND);
		virtqueue_interrupts_enable(&ring);
	}
	alarm(0);
	close(kick);
	close(call);
}

static void a_back_end_that_serves_it_gets_it(void **state)
{
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_NUMQ, 2), 17);
	assert_int_equal(mem_read(d.device + 8, 2), 8);
	driver_start(17);
	assert_true(fake_backend.ring[16].started);
	assert_true(fake_backend.ring[15].enabled); /* it enables pairs by itself */
	assert_true(fake_backend.accepted & 1ULL << VIRTIO_NET_F_CTRL_VQ);
}

static void the_shim_serves_it_when_told_to(void **state)
{
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_NUMQ, 2), 9); /* a pair a vCPU */
	assert_int_equal(mem_read(d.device + 8, 2), 4);
	start_net(9);
	assert_false(fake_backend.ring[8].started);
	assert_false(fake_backend.accepted & 1ULL << VIRTIO_NET_F_CTRL_VQ);
	assert_true(fake_backend.accepted & 1ULL << VIRTIO_NET_F_MAC);
	assert_int_equal(set_pairs(4), VIRTIO_NET_OK);
	assert_true(fake_backend.ring[7].enabled);
}

#define TEST(name, open) cmocka_unit_test_setup_teardown(name, open, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_configuration_is_made_up, open_dpdk),
		TEST(the_back_end_hears_nothing_of_the_control_queue, open_dpdk),
		TEST(pairs_are_enabled_on_command, open_dpdk),
		TEST(pairs_are_enabled_on_command, open_packed),
		TEST(other_commands, open_dpdk),
		TEST(many_commands_pass, open_dpdk),
		TEST(many_commands_pass, open_packed),
		TEST(without_mq_the_control_queue_is_the_third, open_dpdk),
		TEST(a_broken_control_ring_costs_the_device, open_dpdk),
		TEST(a_command_without_room_for_an_answer, open_dpdk),
		TEST(eventfds_of_before_make_nobody_wait, open_dpdk),
		TEST(a_back_end_that_serves_it_gets_it, open_netd),
		TEST(the_shim_serves_it_when_told_to, open_netd_own),
	};

	fake_vm_open();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
