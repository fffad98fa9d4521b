/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * MSI-X: what a masked vector latches, what unmasking delivers, and that nothing is lost when vectors
 * are masked, moved and unmasked while events keep coming.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pci_regs.h>

#include "hypervisor-shim/msix.h"
#include "hypervisor-shim/pci.h"
#include "tests/unit/shim/hvm_fake.h"

#define VECTORS 4
#define SOURCES 3
#define ADDRESS 0xfee00000u

static struct {
	struct pci_device pci;
	struct msix msix;
	struct msix_source source[SOURCES];
	pthread_mutex_t lock; /* what the device's is */
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void write32(uint64_t offset, uint32_t value)
{
	pthread_mutex_lock(&t.lock);
	msix_bar_write(&t.msix, offset, &value, sizeof(value));
	pthread_mutex_unlock(&t.lock);
}

static uint32_t read32(uint64_t offset)
{
	uint32_t value;

	pthread_mutex_lock(&t.lock);
	msix_bar_read(&t.msix, offset, &value, sizeof(value));
	pthread_mutex_unlock(&t.lock);
	return value;
}

static void set_control(uint16_t flags)
{
	pthread_mutex_lock(&t.lock);
	t.pci.config[t.msix.capability + PCI_MSIX_FLAGS + 1] = flags >> 8;
	msix_config_written(&t.msix);
	pthread_mutex_unlock(&t.lock);
}

static void mask(unsigned int vector, bool on)
{
	write32(vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, on);
}

static void set_message(unsigned int vector, uint32_t data)
{
	write32(vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_LOWER_ADDR, ADDRESS);
	write32(vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
	write32(vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_DATA, data);
}

static unsigned int delivered(void)
{
	return atomic_load(&fake_vm.delivered);
}

static int open_device(void **state)
{
	memset(&t.pci, 0, sizeof(t.pci));
	pci_init(&t.pci, 0x1af4, 0x1042, 0x018000, 1, 0, 0);
	t.pci.name = "test";
	msix_init(&t.msix, &t.pci, 1, VECTORS);
	for (unsigned int i = 0; i < SOURCES; i++)
		msix_add_source(&t.msix, &t.source[i], eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	for (unsigned int i = 0; i < VECTORS; i++)
		set_message(i, 0x40 + i);
	atomic_store(&fake_vm.delivered, 0);
	fake_vm.deliver = NULL;
	fake_vm.last_data = 0;
	return 0;
}

static int close_device(void **state)
{
	msix_close(&t.msix);
	for (unsigned int i = 0; i < SOURCES; i++)
		close(t.source[i].fd);
	assert_int_equal(fake_vm.irqfds, 0);
	for (unsigned int i = 0; i < FAKE_GSIS; i++)
		assert_false(fake_vm.route[i].used);
	return 0;
}

static void capability_says_what_there_is(void **state)
{
	const uint8_t *cap = t.pci.config + t.msix.capability;

	assert_int_equal(cap[0], PCI_CAP_ID_MSIX);
	assert_int_equal(cap[PCI_MSIX_FLAGS], VECTORS - 1);
	assert_int_equal(cap[PCI_MSIX_TABLE], 1);
	assert_int_equal(cap[PCI_MSIX_PBA] | cap[PCI_MSIX_PBA + 1] << 8, MSIX_PBA_OFFSET | 1);
	assert_int_equal(t.pci.bar[1].size, MSIX_BAR_SIZE);
	assert_int_equal(read32(PCI_MSIX_ENTRY_VECTOR_CTRL), 1); /* masked from the start */
}

static void an_open_vector_delivers(void **state)
{
	msix_assign(&t.msix, &t.source[0], 1);
	mask(1, false);
	assert_int_equal(fake_vm.irqfds, 0); /* not enabled */
	set_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_vm.irqfds, 1);
	signal_fd(t.source[0].fd);
	fake_eventually(delivered() == 1);
	assert_int_equal(fake_vm.last_data, 0x41);
	assert_int_equal(fake_vm.last_address, ADDRESS);
}

static void a_masked_vector_is_pending_until_unmasked(void **state)
{
	msix_assign(&t.msix, &t.source[0], 1);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 0);
	signal_fd(t.source[0].fd);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 1 << 1);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 1 << 1); /* looking does not consume */
	assert_int_equal(read32(MSIX_PBA_OFFSET + 4), 0);
	assert_int_equal(delivered(), 0);
	mask(1, false);
	fake_eventually(delivered() >= 1);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 0);
}

static void function_mask_latches_too(void **state)
{
	unsigned int before;

	msix_assign(&t.msix, &t.source[0], 0);
	mask(0, false);
	set_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(fake_vm.irqfds, 0);
	signal_fd(t.source[0].fd);
	msix_signal(&t.msix, 3);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 1 << 0 | 1 << 3);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	fake_eventually(delivered() >= 1);
	before = delivered();
	assert_int_equal(read32(MSIX_PBA_OFFSET), 1 << 3); /* its own mask holds it still */
	mask(3, false);
	assert_int_equal(delivered(), before + 1);
	assert_int_equal(fake_vm.last_data, 0x43);
	mask(3, true);
	mask(3, false);
	assert_int_equal(delivered(), before + 1); /* once */
}

static void a_message_changed_while_masked_is_the_one_sent(void **state)
{
	msix_assign(&t.msix, &t.source[0], 2);
	mask(2, false);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	mask(2, true);
	signal_fd(t.source[0].fd);
	set_message(2, 0x99);
	mask(2, false);
	fake_eventually(delivered() >= 1);
	assert_int_equal(fake_vm.last_data, 0x99);
	set_message(2, 0x9a); /* some drivers do not mask */
	signal_fd(t.source[0].fd);
	fake_eventually(fake_vm.last_data == 0x9a);
}

static void sources_share_a_vector(void **state)
{
	unsigned int before;

	for (unsigned int i = 0; i < SOURCES; i++)
		assert_int_equal(msix_assign(&t.msix, &t.source[i], 1), 1);
	mask(1, false);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_vm.irqfds, SOURCES);
	for (unsigned int i = 0; i < SOURCES; i++) {
		before = delivered();
		signal_fd(t.source[i].fd);
		fake_eventually(delivered() == before + 1);
	}
	mask(1, true);
	signal_fd(t.source[2].fd);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 1 << 1);
	before = delivered();
	mask(1, false);
	fake_eventually(delivered() > before);
}

static void a_source_without_vector_is_silent(void **state)
{
	set_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(msix_assign(&t.msix, &t.source[0], VECTORS), MSIX_NO_VECTOR);
	signal_fd(t.source[0].fd);
	assert_int_equal(read32(MSIX_PBA_OFFSET), 0);
	msix_signal(&t.msix, MSIX_NO_VECTOR);
	assert_int_equal(delivered(), 0);
}

static void no_route_left_reads_as_no_vector(void **state)
{
	fake_vm.routes_left = 1;
	assert_int_equal(msix_assign(&t.msix, &t.source[0], 0), 0);
	assert_int_equal(msix_assign(&t.msix, &t.source[1], 1), MSIX_NO_VECTOR);
	assert_int_equal(msix_assign(&t.msix, &t.source[1], 0), 0);
	fake_vm.routes_left = -1;
}

static void events_survive_the_switch_of_msix(void **state)
{
	msix_assign(&t.msix, &t.source[0], 0);
	mask(0, false);
	signal_fd(t.source[0].fd);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	fake_eventually(delivered() >= 1);
	set_control(0);
	assert_int_equal(fake_vm.irqfds, 0);
}

static void odd_accesses_are_harmless(void **state)
{
	uint8_t junk[8];

	memset(junk, 0xff, sizeof(junk));
	for (uint64_t offset = 0; offset < MSIX_BAR_SIZE; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2) {
			if (offset % size)
				continue;
			msix_bar_read(&t.msix, offset, junk, size);
			msix_bar_write(&t.msix, offset, junk, size);
		}
	assert_int_equal(read32(VECTORS * PCI_MSIX_ENTRY_SIZE), 0); /* behind the table */
}

/* ---- stress ----------------------------------------------------------------------------------- */

#define ROUNDS 3000

static struct {
	atomic_bool closed; /* between the return of mask and the call of unmask */
	atomic_uint data; /* what an interrupt has to carry */
	atomic_bool stop;
	atomic_uint wrong, seen;
} stress;

static void check_delivery(uint64_t address, uint32_t data)
{
	if (atomic_load(&stress.closed) || data != atomic_load(&stress.data))
		atomic_fetch_add(&stress.wrong, 1);
	atomic_fetch_add(&stress.seen, 1);
}

/* Each event has to be followed by an interrupt. Sometimes several come at once. */
static void *signaller(void *unused)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		int fd = t.source[i % SOURCES].fd;
		unsigned int before = atomic_load(&stress.seen);

		for (unsigned int burst = 0; burst <= i % 3; burst++) {
			before = atomic_load(&stress.seen);
			signal_fd(fd);
		}
		for (unsigned int tries = 0; atomic_load(&stress.seen) == before; tries++) {
			if (tries > 50000) {
				atomic_fetch_add(&stress.wrong, 1000000);
				return NULL;
			}
			if (tries > 100)
				fake_sleep();
		}
	}
	return NULL;
}

static void move_vector(unsigned int round)
{
	mask(1, true);
	atomic_store(&stress.closed, true);
	atomic_store(&stress.data, 0x1000 + round);
	set_message(1, 0x1000 + round);
	atomic_store(&stress.closed, false);
	mask(1, false);
}

static void blink_function(void)
{
	set_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	atomic_store(&stress.closed, true);
	atomic_store(&stress.closed, false);
	set_control(PCI_MSIX_FLAGS_ENABLE);
}

static void *mover(void *unused)
{
	for (unsigned int round = 1; !atomic_load(&stress.stop); round++) {
		if (round % 4)
			move_vector(round);
		else
			blink_function();
		read32(MSIX_PBA_OFFSET);
		if (round % 64 == 0)
			fake_sleep(); /* lets the open state last, too */
	}
	return NULL;
}

static void no_event_is_lost_under_motion(void **state)
{
	pthread_t threads[2];

	memset(&stress, 0, sizeof(stress));
	atomic_store(&stress.data, 0x1000);
	set_message(1, 0x1000);
	for (unsigned int i = 0; i < SOURCES; i++)
		msix_assign(&t.msix, &t.source[i], 1);
	mask(1, false);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	fake_vm.deliver = check_delivery;
	pthread_create(&threads[0], NULL, signaller, NULL);
	pthread_create(&threads[1], NULL, mover, NULL);
	pthread_join(threads[0], NULL);
	atomic_store(&stress.stop, true);
	pthread_join(threads[1], NULL);
	fake_vm.deliver = NULL;
	assert_int_equal(atomic_load(&stress.wrong), 0);
	assert_true(atomic_load(&stress.seen) >= ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_device, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capability_says_what_there_is),
		TEST(an_open_vector_delivers),
		TEST(a_masked_vector_is_pending_until_unmasked),
		TEST(function_mask_latches_too),
		TEST(a_message_changed_while_masked_is_the_one_sent),
		TEST(sources_share_a_vector),
		TEST(a_source_without_vector_is_silent),
		TEST(no_route_left_reads_as_no_vector),
		TEST(events_survive_the_switch_of_msix),
		TEST(odd_accesses_are_harmless),
		TEST(no_event_is_lost_under_motion),
	};

	fake_vm_open();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
