// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The platform device from both sides: a guest that reaches it by the PCI bus and by its hypercall
 * port, and a back-end at the other end of a socket, without a KVM. Catalogue of robustness: 45, 47,
 * 48, 52, 55.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/kvm.h>
#include <linux/pci_regs.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#include "tests/unit/shim/pv_fake.h"

#include "abi/platform.h"
#include "common/log.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/pv/platform.h"

#define CALL_AT   0x10000u
#define ARGS_AT   0x20000u
#define LIST_AT   0x30000u
#define MSI       0xfee00000u
#define DEVICE    "vbd/51712"
#define REFERENCE 321

static struct {
	uint64_t bar[6];
	uint32_t msix; /* offset of the capability */
	atomic_uint restarts;
	atomic_uint interrupts[PLATFORM_VECTORS_MAX]; /* by vector: data is 0x40 + vector */
	struct peer peer;
} t;

/* ---- the guest's hands ------------------------------------------------------------------------ */

static uint32_t config_read(unsigned int offset)
{
	uint32_t address = 0x80000000u | 1 << 11 | (offset & 0xfc), value;

	pci_port_write(0xcf8, &address, 4);
	pci_port_read(0xcfc, &value, 4);
	return value;
}

static void config_write(unsigned int offset, uint32_t value)
{
	uint32_t address = 0x80000000u | 1 << 11 | (offset & 0xfc);

	pci_port_write(0xcf8, &address, 4);
	pci_port_write(0xcfc, &value, 4);
}

static uint64_t bar(int number)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * number;
	uint64_t address = config_read(at);

	if ((address & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64)
		address |= (uint64_t)config_read(at + 4) << 32;
	return address & ~0xfULL;
}

static uint32_t read32(unsigned int offset)
{
	uint32_t value = 0;

	assert_true(pci_memory_read(t.bar[0] + offset, &value, 4));
	return value;
}

static uint64_t read64(unsigned int offset)
{
	uint64_t value = 0;

	assert_true(pci_memory_read(t.bar[0] + offset, &value, 8));
	assert_true(value == (read32(offset) | (uint64_t)read32(offset + 4) << 32));
	return value;
}

static void write32(unsigned int offset, uint32_t value)
{
	assert_true(pci_memory_write(t.bar[0] + offset, &value, 4));
}

static void accept_features(uint64_t features)
{
	assert_true(pci_memory_write(t.bar[0] + PLATFORM_REG_ACCEPT, &features, 8));
}

/* As KVM does it: the eventfd if there is one, the exit if not. */
static void doorbell(uint32_t port)
{
	uint64_t address = t.bar[2] + port * PLATFORM_DOORBELL_STRIDE, one = 1;
	uint32_t value = 0;

	for (unsigned int i = 0; i < fake_vm.doorbells; i++) {
		if (fake_vm.doorbell[i].address != address)
			continue;
		assert_int_equal(write(fake_vm.doorbell[i].fd, &one, 8), 8);
		return;
	}
	assert_true(pci_memory_write(address, &value, 4));
}

static bool has_ioeventfd(uint32_t port)
{
	for (unsigned int i = 0; i < fake_vm.doorbells; i++) {
		if (fake_vm.doorbell[i].address == t.bar[2] + port * PLATFORM_DOORBELL_STRIDE)
			return true;
	}
	return false;
}

static void *ram(uint64_t address)
{
	return guest_memory_at(vm_memory(), address, 1);
}

/* By the block at @at, which is one vCPU's own. */
static int64_t call_by(uint32_t at, uint32_t number, uint64_t a, uint64_t b, uint64_t c)
{
	struct platform_call *block = ram(at);
	uint32_t address = at >> PLATFORM_CALL_SHIFT;

	*block = (struct platform_call){
		.number = number,
		.size = sizeof(*block),
		.argument = {a, b, c},
		.result = -ENOSYS,
	};
	bus_port_write(PLATFORM_HYPERCALL_PORT, &address, 4);
	return block->result;
}

static int64_t call(uint32_t number, uint64_t a, uint64_t b, uint64_t c)
{
	return call_by(CALL_AT, number, a, b, c);
}

static int64_t event_op(uint64_t op, void *args, size_t size)
{
	int64_t result;

	memcpy(ram(ARGS_AT), args, size);
	result = call(HYPERCALL_EVENT_CHANNEL_OP, op, ARGS_AT, 0);
	memcpy(args, ram(ARGS_AT), size);
	return result;
}

static int64_t grant_op(uint64_t op, void *args, size_t size)
{
	int64_t result;

	memcpy(ram(ARGS_AT), args, size);
	result = call(HYPERCALL_GRANT_TABLE_OP, op, ARGS_AT, 1);
	memcpy(args, ram(ARGS_AT), size);
	return result;
}

static uint32_t unbound(void)
{
	struct event_channel_alloc_unbound args = {DOMAIN_SELF, PV_BACKEND, 0};

	assert_int_equal(event_op(EVENT_CHANNEL_OP_ALLOC_UNBOUND, &args, sizeof(args)), 0);
	return args.port;
}

/* Opens @count vectors with messages, and switches MSI-X on. */
static void open_vectors(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		unsigned int entry = PLATFORM_MSIX_TABLE_OFFSET + i * PCI_MSIX_ENTRY_SIZE;

		write32(entry + PCI_MSIX_ENTRY_LOWER_ADDR, MSI);
		write32(entry + PCI_MSIX_ENTRY_DATA, 0x40 + i);
		write32(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
	}
	config_write(t.msix, config_read(t.msix) | (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
}

static struct platform_pending *pending(void)
{
	return (void *)((uint8_t *)pv.shared.base + read64(PLATFORM_REG_PENDING_OFFSET));
}

static unsigned int interrupts(unsigned int vector)
{
	return atomic_load(&t.interrupts[vector]);
}

static void forget_interrupts(void)
{
	for (unsigned int i = 0; i < PLATFORM_VECTORS_MAX; i++)
		atomic_store(&t.interrupts[i], 0);
}

/* ---- around ----------------------------------------------------------------------------------- */

static void deliver(uint64_t address, uint32_t data)
{
	if (address == MSI && data >= 0x40 && data < 0x40 + PLATFORM_VECTORS_MAX)
		atomic_fetch_add(&t.interrupts[data - 0x40], 1);
}

static void restarted(void)
{
	t.restarts++;
}

static int setup(void **state)
{
	int kicked, kick;

	memset(&t.bar, 0, sizeof(t.bar));
	t.restarts = 0;
	forget_interrupts();
	fake_pv.event = MACHINE_RUNNING;
	fake_vm.deliver = deliver;
	t.peer = (struct peer){.fd = -1};
	assert_int_equal(pci_open(), 0);
	assert_int_equal(attach_open(&fake_ram, NULL), 0);
	assert_int_equal(platform_open(restarted), 0);
	assert_int_equal(platform_store_port(&kicked, &kick), 0);
	pci_assign();
	for (int i = 0; i < 6; i += 2)
		t.bar[i] = bar(i);
	for (t.msix = config_read(PCI_CAPABILITY_LIST) & 0xff;
	     (config_read(t.msix) & 0xff) != PCI_CAP_ID_MSIX;)
		t.msix = config_read(t.msix) >> 8 & 0xff;
	return 0;
}

static int teardown(void **state)
{
	peer_close(&t.peer);
	attach_close();
	pci_close_all();
	bus_close();
	assert_int_equal(fake_vm.doorbells, 0);
	assert_int_equal(fake_vm.irqfds, 0);
	fake_pv.slot = 0;
	fake_vm.no_ioeventfd = false;
	for (unsigned int i = 0; i < FAKE_GSIS; i++)
		assert_false(fake_vm.route[i].used);
	return 0;
}

static int open_group(void **state)
{
	fake_vm_open();
	return 0;
}

/* A guest whose module is up, with @vectors; and a back-end. */
static void begin(unsigned int vectors)
{
	accept_features(read64(PLATFORM_REG_FEATURES));
	peer_open(&t.peer, DEVICE, -1);
	peer_greet(&t.peer, NULL);
	open_vectors(vectors);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, vectors, 0), 0);
	forget_interrupts();
}

static struct peer_message bind_port(uint32_t port)
{
	struct attach_bind body = {port, 0};
	struct peer_message message;

	assert_int_equal(peer_ask(&t.peer, ATTACH_BIND, &body, sizeof(body), &message), 0);
	return message;
}

static bool take_event(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* By the book: platform.h, "interrupts". */
static void notify(int fd, uint32_t port)
{
	struct platform_pending *page = (void *)(t.peer.shared + t.peer.table.pending_offset);
	uint64_t one = 1;

	if (port >= __atomic_load_n(&page->vectors, __ATOMIC_ACQUIRE))
		__atomic_fetch_or(&page->word[port / 64], 1ULL << port % 64, __ATOMIC_SEQ_CST);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void a_guest_finds_it(void **state)
{
	struct kvm_cpuid_entry2 leaf[PLATFORM_LEAVES];
	char signature[13] = "";

	platform_announce();
	assert_int_equal(fake_pv.leaves(3, leaf), PLATFORM_LEAVES);
	memcpy(signature, &leaf[0].ebx, 4);
	memcpy(signature + 4, &leaf[0].ecx, 4);
	memcpy(signature + 8, &leaf[0].edx, 4);
	assert_string_equal(signature, PLATFORM_SIGNATURE);
	assert_int_equal(leaf[0].function, PLATFORM_LEAF_BASE);
	assert_int_equal(leaf[0].eax, PLATFORM_LEAF_BASE + 2);
	assert_int_equal(leaf[1].edx, PLATFORM_HYPERCALL_PORT);
	assert_int_equal(leaf[2].eax, 3);

	assert_int_equal(config_read(0), PLATFORM_PCI_DEVICE << 16 | PLATFORM_PCI_VENDOR);
	assert_int_equal(config_read(PCI_CLASS_REVISION) >> 8, PLATFORM_PCI_CLASS);
	assert_int_equal(config_read(t.msix + 4), PLATFORM_MSIX_TABLE_OFFSET);
	assert_int_equal(config_read(t.msix + 8), PLATFORM_MSIX_PBA_OFFSET);
	assert_int_equal(config_read(t.msix) >> 16, PLATFORM_VECTORS_MAX - 1);
	assert_int_equal(fake_pv.slot, t.bar[4]);
	assert_int_equal(read32(PLATFORM_REG_MAGIC), PLATFORM_MAGIC);
	assert_int_equal(read32(PLATFORM_REG_VERSION), PLATFORM_VERSION);
	assert_int_equal(read32(PLATFORM_REG_DOMAIN), 1);
	assert_int_equal(read32(PLATFORM_REG_PORTS), 4096);
	assert_int_equal(read32(PLATFORM_REG_STORE_PORT), 1);
	assert_int_equal(read32(PLATFORM_REG_CONSOLE_PORT), 0);
	assert_int_equal(read32(PLATFORM_REG_VCPUS), vm_cpus());
	assert_int_equal(read32(PLATFORM_REG_END), 0);
	assert_int_equal(read32(PLATFORM_MSIX_TABLE_OFFSET - 4), 0);
	write32(PLATFORM_REG_MAGIC, 0);
	assert_int_equal(read32(PLATFORM_REG_MAGIC), PLATFORM_MAGIC);
}

static void features_are_accepted_once(void **state)
{
	uint64_t offered = read64(PLATFORM_REG_FEATURES);

	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, 0, 0), -EPERM);
	assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_YIELD, 0, 0), -EPERM);
	accept_features(offered | 1ULL << 40);
	assert_int_equal(read64(PLATFORM_REG_ACCEPT), 0);
	assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_YIELD, 0, 0), -EPERM);
	write32(PLATFORM_REG_ACCEPT, (uint32_t)offered);
	write32(PLATFORM_REG_ACCEPT + 4, 0);
	assert_true(read64(PLATFORM_REG_ACCEPT) == offered);
	accept_features(0);
	assert_true(read64(PLATFORM_REG_ACCEPT) == offered);
	assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_YIELD, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_RESET, 0, 0), 0);
	assert_int_equal(t.restarts, 1);
	assert_int_equal(read64(PLATFORM_REG_ACCEPT), 0);
	write32(PLATFORM_REG_ACCEPT, 0);
	write32(PLATFORM_REG_ACCEPT + 4, 1); /* the other half spoils it */
	assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_YIELD, 0, 0), -EPERM);
	accept_features(0); /* none of them is an answer too */
	assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_YIELD, 0, 0), 0);
}

static void calls_that_cannot_be(void **state)
{
	struct platform_call *block = ram(CALL_AT);
	uint32_t outside[] = {(uint32_t)(FAKE_RAM_LOW >> 6), UINT32_MAX, 0x4000000};
	uint32_t address = CALL_AT >> 6;
	uint16_t half = 0;

	accept_features(0);
	for (unsigned int i = 0; i < 2; i++)
		bus_port_write(PLATFORM_HYPERCALL_PORT, &outside[i], 4);
	bus_port_write(PLATFORM_HYPERCALL_PORT, &half, 2);
	*block = (struct platform_call){.number = HYPERCALL_SCHED_OP, .size = 63, .result = 99};
	bus_port_write(PLATFORM_HYPERCALL_PORT, &address, 4);
	assert_int_equal(block->result, -EINVAL);
	assert_int_equal(call(HYPERCALL_MEMORY_OP, 0, 0, 0), -ENOSYS);
	assert_int_equal(call(UINT32_MAX, 0, 0, 0), -ENOSYS);
	assert_int_equal(call(HYPERCALL_PLATFORM, 3, 0, 0), -ENOSYS);
	assert_int_equal(call(HYPERCALL_EVENT_CHANNEL_OP, UINT64_MAX, ARGS_AT, 0), -ENOSYS);
	assert_int_equal(call(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_PIRQ, ARGS_AT, 0),
			 -ENOSYS);
	for (int op = EVENT_CHANNEL_OP_INIT_CONTROL; op <= EVENT_CHANNEL_OP_SET_PRIORITY; op++)
		assert_int_equal(call(HYPERCALL_EVENT_CHANNEL_OP, (uint64_t)op, ARGS_AT, 0),
				 -ENOSYS);
	assert_int_equal(
		call(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_STATUS, FAKE_RAM_LOW - 4, 0),
		-EFAULT);
	assert_int_equal(call(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_STATUS, t.bar[4], 0),
			 -EFAULT);
	assert_int_equal(call(HYPERCALL_GRANT_TABLE_OP, GRANT_OP_MAP, ARGS_AT, 1), -ENOSYS);
	assert_int_equal(call(HYPERCALL_GRANT_TABLE_OP, GRANT_OP_QUERY_SIZE, ARGS_AT, 2), -EINVAL);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, 257, 0), -EINVAL);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_LOG, ARGS_AT, 257), -EINVAL);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_LOG, FAKE_RAM_LOW - 8, 16), -EFAULT);
	memcpy(ram(ARGS_AT), "a\033[31mb", 8);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_LOG, ARGS_AT, 7), 0);
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_GET_PHYSICAL_ID, 2, ARGS_AT), 0);
	assert_true(*(uint64_t *)ram(ARGS_AT) == (2 | 2ULL << 32));
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_GET_PHYSICAL_ID, 4, ARGS_AT), -ENOENT);
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_UP, 1, 0), -ENOSYS);
}

/* A block in the high region, by an address that needs all of its bits. */
static void a_block_above_the_hole(void **state)
{
	uint32_t address = (uint32_t)((VM_RAM_HIGH_START + 0x40) >> PLATFORM_CALL_SHIFT);
	struct platform_call *block = ram(VM_RAM_HIGH_START + 0x40);

	accept_features(0);
	*block = (struct platform_call){
		.number = HYPERCALL_SCHED_OP, .size = sizeof(*block), .result = -ENOSYS};
	bus_port_write(PLATFORM_HYPERCALL_PORT, &address, 4);
	assert_int_equal(block->result, 0);
}

static void ways_to_end(void **state)
{
	static const struct {
		uint32_t reason;
		enum machine_event event;
		int64_t result;
	} ways[] = {
		{SCHED_SHUTDOWN_POWEROFF, MACHINE_POWER_OFF, 0},
		{SCHED_SHUTDOWN_REBOOT, MACHINE_RESET, 0},
		{SCHED_SHUTDOWN_CRASH, MACHINE_PANIC, 0},
		{SCHED_SHUTDOWN_WATCHDOG, MACHINE_PANIC, 0},
		{SCHED_SHUTDOWN_SOFT_RESET, MACHINE_RUNNING, -EINVAL},
		{SCHED_SHUTDOWN_MAX + 1, MACHINE_RUNNING, -EINVAL},
		{SCHED_SHUTDOWN_SUSPEND, MACHINE_RUNNING, 0},
	};

	accept_features(read64(PLATFORM_REG_FEATURES));
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		fake_pv.event = MACHINE_RUNNING;
		memcpy(ram(ARGS_AT), &ways[i].reason, 4);
		assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, ARGS_AT, 0),
				 ways[i].result);
		assert_int_equal(fake_pv.event, ways[i].event);
		assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN_CODE, ARGS_AT, 0),
				 ways[i].reason > SCHED_SHUTDOWN_MAX ? -EINVAL : 0);
	}
}

static void notifications_both_ways(void **state)
{
	struct peer_message bound;
	uint32_t port;

	begin(8);
	port = unbound();
	bound = bind_port(port);
	assert_true(has_ioeventfd(port));
	take_event(bound.fds[0]);
	doorbell(port);
	assert_true(take_event(bound.fds[0]));
	notify(bound.fds[1], port);
	fake_eventually(interrupts(port) == 1);
	assert_int_equal(interrupts(0), 0);
	assert_true(pending()->word[0] == 0);
	/* A closed port: nothing happens. */
	assert_int_equal(event_op(EVENT_CHANNEL_OP_CLOSE, &port, 4), 0);
	assert_false(has_ioeventfd(port));
	doorbell(port);
	assert_false(take_event(bound.fds[0]));
	peer_close_fds(&bound);
}

static void masked_events_are_latched(void **state)
{
	unsigned int control;
	struct peer_message bound;
	uint32_t port;

	begin(8);
	port = unbound();
	control = PLATFORM_MSIX_TABLE_OFFSET + port * PCI_MSIX_ENTRY_SIZE +
		  PCI_MSIX_ENTRY_VECTOR_CTRL;
	bound = bind_port(port);
	write32(control, 1);
	notify(bound.fds[1], port);
	assert_int_equal(read32(PLATFORM_MSIX_PBA_OFFSET), 1u << port);
	assert_int_equal(interrupts(port), 0);
	write32(control, 0);
	fake_eventually(interrupts(port) >= 1);
	assert_int_equal(read32(PLATFORM_MSIX_PBA_OFFSET), 0);
	peer_close_fds(&bound);
}

static void ports_share_the_first_vector(void **state)
{
	struct peer_message bound;
	uint32_t port;

	begin(2);
	unbound();
	port = unbound();
	assert_int_equal(port, 3);
	bound = bind_port(port);
	notify(bound.fds[1], port);
	fake_eventually(interrupts(0) == 1);
	assert_true(__atomic_exchange_n(&pending()->word[0], 0, __ATOMIC_SEQ_CST) == 1u << port);
	/* More vectors: each port is notified once in the new way. */
	open_vectors(4);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, 4, 0), 0);
	assert_int_equal(pending()->vectors, 4);
	fake_eventually(interrupts(port) == 1);
	assert_int_equal(interrupts(1), 1); /* the store's */
	/* And fewer: without any, what comes is kept. */
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, 0, 0), 0);
	forget_interrupts();
	notify(bound.fds[1], port);
	usleep(2000);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(interrupts(i), 0);
	pending()->word[0] = 0;
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, 1, 0), 0);
	fake_eventually(interrupts(0) >= 1);
	assert_true(pending()->word[0] == (1u << port | 1u << 1));
	peer_close_fds(&bound);
}

static void loops_need_nobody(void **state)
{
	struct event_channel_alloc_unbound a = {DOMAIN_SELF, DOMAIN_SELF, 0};
	struct event_channel_bind_interdomain b = {.remote_domain = DOMAIN_SELF};
	struct event_channel_bind_ipi ipi = {.vcpu = 1};

	begin(8);
	assert_int_equal(event_op(EVENT_CHANNEL_OP_ALLOC_UNBOUND, &a, sizeof(a)), 0);
	b.remote_port = a.port;
	assert_int_equal(event_op(EVENT_CHANNEL_OP_BIND_INTERDOMAIN, &b, sizeof(b)), 0);
	assert_int_equal(event_op(EVENT_CHANNEL_OP_BIND_IPI, &ipi, sizeof(ipi)), 0);
	assert_int_equal(interrupts(b.local_port), 1);
	assert_true(has_ioeventfd(a.port) && has_ioeventfd(b.local_port) &&
		    has_ioeventfd(ipi.port));
	forget_interrupts();
	doorbell(a.port);
	fake_eventually(interrupts(b.local_port) == 1);
	doorbell(b.local_port);
	fake_eventually(interrupts(a.port) == 1);
	doorbell(ipi.port);
	fake_eventually(interrupts(ipi.port) == 1);
	/* With pending bits the doorbell has to come to us. */
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_SET_VECTORS, 1, 0), 0);
	assert_false(has_ioeventfd(a.port) || has_ioeventfd(ipi.port));
	forget_interrupts();
	pending()->word[0] = 0;
	doorbell(ipi.port);
	fake_eventually(interrupts(0) == 1);
	assert_true(pending()->word[0] == 1u << ipi.port);
	assert_int_equal(event_op(EVENT_CHANNEL_OP_SEND, &a.port, 4), 0);
	fake_eventually(interrupts(0) == 2);
	assert_true(pending()->word[0] == (1u << ipi.port | 1u << b.local_port));
}

static void doorbells_without_a_place(void **state)
{
	struct peer_message bound;
	uint32_t port;

	fake_vm.no_ioeventfd = true;
	begin(8);
	port = unbound();
	bound = bind_port(port);
	assert_false(has_ioeventfd(port));
	take_event(bound.fds[0]);
	doorbell(port);
	assert_true(take_event(bound.fds[0]));
	peer_close_fds(&bound);
}

static void bars_move(void **state)
{
	uint64_t address = t.bar[2] + (1ULL << 30), shared = t.bar[4] + (1ULL << 30);
	struct peer_message bound;
	uint32_t port;

	begin(8);
	port = unbound();
	bound = bind_port(port);
	config_write(PCI_COMMAND, 0);
	assert_false(has_ioeventfd(port));
	assert_int_equal(fake_pv.slot, 0);
	config_write(PCI_BASE_ADDRESS_2, (uint32_t)address);
	config_write(PCI_BASE_ADDRESS_3, (uint32_t)(address >> 32));
	config_write(PCI_BASE_ADDRESS_4, (uint32_t)shared);
	config_write(PCI_BASE_ADDRESS_5, (uint32_t)(shared >> 32));
	config_write(PCI_COMMAND, PCI_COMMAND_MEMORY);
	t.bar[2] = address;
	assert_true(has_ioeventfd(port));
	assert_true(fake_pv.slot == shared);
	peer_close_fds(&bound);
}

static void the_table_says_where_it_is(void **state)
{
	struct grant_setup_table setup_args = {
		.domain = DOMAIN_SELF, .frames = 3, .frame_list = LIST_AT};
	struct grant_query_size query = {.domain = DOMAIN_SELF};
	struct grant_get_status_frames status = {
		.frames = 1, .domain = DOMAIN_SELF, .frame_list = LIST_AT};
	uint64_t *list = ram(LIST_AT);

	accept_features(0);
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &setup_args, sizeof(setup_args)), 0);
	assert_int_equal(setup_args.status, GRANT_OK);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(list[i] == (t.bar[4] + PV_GRANT_OFFSET + i * 4096) >> 12);
	assert_int_equal(grant_op(GRANT_OP_QUERY_SIZE, &query, sizeof(query)), 0);
	assert_int_equal(query.frames, 3);
	assert_int_equal(query.frames_max, read32(PLATFORM_REG_GRANT_FRAMES));
	setup_args.frames = GRANT_TABLE_FRAMES + 1;
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &setup_args, sizeof(setup_args)), 0);
	assert_int_equal(setup_args.status, GRANT_ERROR);
	setup_args.frames = GRANT_TABLE_FRAMES;
	setup_args.frame_list = FAKE_RAM_LOW - 8;
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &setup_args, sizeof(setup_args)), 0);
	assert_int_equal(setup_args.status, GRANT_BAD_ADDRESS);
	setup_args.domain = PV_BACKEND;
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &setup_args, sizeof(setup_args)), 0);
	assert_int_equal(setup_args.status, GRANT_DENIED);
	query.domain = 77;
	assert_int_equal(grant_op(GRANT_OP_QUERY_SIZE, &query, sizeof(query)), 0);
	assert_int_equal(query.status, GRANT_BAD_DOMAIN);
	assert_int_equal(grant_op(GRANT_OP_GET_STATUS_FRAMES, &status, sizeof(status)), 0);
	assert_int_equal(status.status, GRANT_ERROR); /* version 1 */
}

/* A back-end that does what it is told, on a thread: until the connection closes. */
static void *obedient(void *unused)
{
	struct peer_message message;

	while (peer_receive(&t.peer, &message)) {
		if (message.header.type == ATTACH_GRANT_TABLE)
			t.peer.table = message.body.table;
		peer_close_fds(&message);
		if (message.header.type == ATTACH_GRANT_TABLE ||
		    message.header.type == ATTACH_GUEST_RESET)
			peer_ack(&t.peer, &message);
	}
	return NULL;
}

static void end_obedient(pthread_t thread)
{
	shutdown(t.peer.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
}

static void versions(void **state)
{
	struct grant_set_version set = {2};
	struct grant_get_version get = {.domain = DOMAIN_SELF};
	struct grant_get_status_frames status = {
		.frames = 1, .domain = DOMAIN_SELF, .frame_list = LIST_AT};
	pthread_t thread;

	begin(2);
	pthread_create(&thread, NULL, obedient, NULL);
	assert_int_equal(grant_op(GRANT_OP_SET_VERSION, &set, sizeof(set)), 0);
	assert_int_equal(set.version, 2);
	assert_int_equal(grant_op(GRANT_OP_GET_VERSION, &get, sizeof(get)), 0);
	assert_int_equal(get.version, 2);
	assert_int_equal(grant_op(GRANT_OP_GET_STATUS_FRAMES, &status, sizeof(status)), 0);
	assert_int_equal(status.status, GRANT_OK);
	assert_true(*(uint64_t *)ram(LIST_AT) == (t.bar[4] + PV_STATUS_OFFSET) >> 12);
	assert_int_equal(t.peer.table.version, 2);
	assert_int_equal(t.peer.table.grants, GRANT_TABLE_FRAMES * 256);
	t.peer.use[REFERENCE].word = 1;
	set.version = 1;
	assert_int_equal(grant_op(GRANT_OP_SET_VERSION, &set, sizeof(set)), -EBUSY);
	assert_int_equal(set.version, 2);
	t.peer.use[REFERENCE].word = 0;
	set.version = 3;
	assert_int_equal(grant_op(GRANT_OP_SET_VERSION, &set, sizeof(set)), -EINVAL);
	/* A reset goes back to version 1, and tells. */
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_RESET, 0, 0), 0);
	assert_int_equal(t.peer.table.version, 1);
	accept_features(0); /* without PLATFORM_F_GRANT_V2 */
	set.version = 2;
	assert_int_equal(grant_op(GRANT_OP_SET_VERSION, &set, sizeof(set)), -ENOSYS);
	end_obedient(thread);
}

/* Holds back its answers to a table without references, until it is told to. */
static struct {
	sem_t closed, answer;
} hold;

static void *deliberate(void *unused)
{
	struct peer_message message;

	while (peer_receive(&t.peer, &message)) {
		peer_close_fds(&message);
		assert_int_equal(message.header.type, ATTACH_GRANT_TABLE);
		t.peer.table = message.body.table;
		if (!message.body.table.grants) {
			sem_post(&hold.closed);
			sem_wait(&hold.answer);
		}
		peer_ack(&t.peer, &message);
	}
	return NULL;
}

static void *ask_for_version_2(void *unused)
{
	struct grant_set_version set = {2};

	assert_int_equal(grant_op(GRANT_OP_SET_VERSION, &set, sizeof(set)), 0);
	return NULL;
}

/* One that attaches while others are about to let go must not pin by the layout that ends. */
static void who_attaches_during_a_change_waits(void **state)
{
	struct peer late;
	struct peer_message message;
	pthread_t thread, vcpu;

	begin(2);
	sem_init(&hold.closed, 0, 0);
	sem_init(&hold.answer, 0, 0);
	pthread_create(&thread, NULL, deliberate, NULL);
	pthread_create(&vcpu, NULL, ask_for_version_2, NULL);
	sem_wait(&hold.closed);
	peer_open(&late, "late", -1);
	peer_greet(&late, NULL);
	assert_int_equal(late.table.grants, 0);
	sem_post(&hold.answer);
	peer_expect(&late, ATTACH_GRANT_TABLE, &message);
	assert_int_equal(message.body.table.version, 2);
	assert_int_equal(message.body.table.grants, GRANT_TABLE_FRAMES * 256);
	assert_int_equal(message.body.table.status_offset, PV_STATUS_OFFSET);
	assert_int_equal(message.body.table.entries_offset, PV_GRANT_OFFSET);
	peer_close_fds(&message);
	peer_ack(&late, &message);
	pthread_join(vcpu, NULL);
	assert_int_equal(pv.grants.version, 2);
	peer_close(&late);
	end_obedient(thread);
}

static void a_reset_forgets_all_but_what_is_in_use(void **state)
{
	struct grant_v1 *entry = (struct grant_v1 *)pv.grants.entries;
	struct event_channel_status status = {.domain = DOMAIN_SELF};
	struct peer_message bound;
	pthread_t thread;
	uint32_t port;

	begin(8);
	port = unbound();
	bound = bind_port(port);
	entry[REFERENCE] = (struct grant_v1){GRANT_PERMIT_ACCESS, 0, 5};
	entry[REFERENCE + 1] = entry[REFERENCE];
	peer_pin(&t.peer, REFERENCE);
	pthread_create(&thread, NULL, obedient, NULL);
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_RESET, 0, 0), -EBUSY);
	assert_int_equal(entry[REFERENCE].flags, GRANT_PERMIT_ACCESS | GRANT_READING);
	assert_int_equal(entry[REFERENCE + 1].flags, 0);
	assert_false(has_ioeventfd(port));
	assert_int_equal(pending()->vectors, 0);
	assert_int_equal(fake_vm.irqfds, 0);
	accept_features(0);
	status.port = port;
	assert_int_equal(event_op(EVENT_CHANNEL_OP_STATUS, &status, sizeof(status)), 0);
	assert_int_equal(status.state, EVENT_CHANNEL_CLOSED);
	status.port = read32(PLATFORM_REG_STORE_PORT);
	assert_int_equal(event_op(EVENT_CHANNEL_OP_STATUS, &status, sizeof(status)), 0);
	assert_int_equal(status.state, EVENT_CHANNEL_INTERDOMAIN);
	t.peer.use[REFERENCE].word = 0;
	t.peer.ledger[REFERENCE].readers = 0;
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_RESET, 0, 0), 0);
	assert_int_equal(entry[REFERENCE].flags, 0);
	end_obedient(thread);
	peer_close_fds(&bound);
}

static void suspend_keeps_the_module(void **state)
{
	uint32_t reason = SCHED_SHUTDOWN_SUSPEND, port;
	struct peer_message bound;
	pthread_t thread;

	begin(8);
	port = unbound();
	bound = bind_port(port);
	pthread_create(&thread, NULL, obedient, NULL);
	memcpy(ram(ARGS_AT), &reason, 4);
	assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, ARGS_AT, 0), 0);
	assert_int_equal(t.restarts, 0); /* the store is as it was */
	assert_int_equal(pending()->vectors, 8);
	assert_int_equal(unbound(), port); /* no other call than ACCEPT is needed */
	end_obedient(thread);
	peer_close_fds(&bound);
}

/* ---- two vCPUs and a back-end at once --------------------------------------------------------- */

#define RACE_ROUNDS 300
#define RACE_PORTS  8
#define RACE_OWNER \
	77 /* of no connection: what it has bound is free as soon as the guest closes it */
#define OTHER_CALL 0x11000u
#define OTHER_ARGS 0x21000u

#define RACE_S 20 /* a busy machine gives the others their turn at last */

static atomic_bool racing;
static atomic_uint race_sent, race_bound; /* to and of ports of the guest's, that were there */

/* Sends to whatever there is, by calls and by doorbells without an ioeventfd. */
static void *send_to_all(void *unused)
{
	struct event_channel_port *args = ram(OTHER_ARGS);
	uint32_t value = 0;

	while (racing) {
		for (uint32_t port = 1; port <= 2 * RACE_PORTS; port++) {
			int64_t result;

			args->port = port;
			result = call_by(OTHER_CALL, HYPERCALL_EVENT_CHANNEL_OP,
					 EVENT_CHANNEL_OP_SEND, OTHER_ARGS, 0);
			if (result && result != -EINVAL)
				abort();
			race_sent += !result && port != read32(PLATFORM_REG_STORE_PORT);
			pci_memory_write(t.bar[2] + port * PLATFORM_DOORBELL_STRIDE, &value, 4);
		}
	}
	return NULL;
}

static void *bind_all(void *unused)
{
	while (racing) {
		for (uint32_t port = 1; port <= 2 * RACE_PORTS; port++) {
			pthread_mutex_lock(&pv.lock);
			race_bound += !event_channel_bind_backend(&pv.channels, RACE_OWNER, port);
			if (port % 2)
				event_channel_unbind_backend(&pv.channels, RACE_OWNER, port);
			pthread_mutex_unlock(&pv.lock);
		}
		sched_yield();
	}
	return NULL;
}

static void open_ports(void)
{
	struct event_channel_bind_ipi ipi = {.vcpu = 1};

	for (unsigned int i = 0; i < RACE_PORTS; i++) {
		struct event_channel_alloc_unbound far = {DOMAIN_SELF, DOMAIN_SELF, 0};
		struct event_channel_bind_interdomain near = {.remote_domain = DOMAIN_SELF};

		switch (i % 3) {
		case 0:
			unbound();
			break;
		case 1:
			assert_int_equal(event_op(EVENT_CHANNEL_OP_BIND_IPI, &ipi, sizeof(ipi)), 0);
			break;
		default:
			assert_int_equal(
				event_op(EVENT_CHANNEL_OP_ALLOC_UNBOUND, &far, sizeof(far)), 0);
			near.remote_port = far.port;
			assert_int_equal(
				event_op(EVENT_CHANNEL_OP_BIND_INTERDOMAIN, &near, sizeof(near)),
				0);
		}
	}
}

/* One vCPU resets while another one sends, and a back-end binds. */
static void a_reset_races_with_events(void **state)
{
	struct event_channel_reset reset = {DOMAIN_SELF};
	const time_t until = time(NULL) + RACE_S;
	pthread_t sender, backend;

	begin(4);
	race_sent = race_bound = 0;
	racing = true;
	pthread_create(&sender, NULL, send_to_all, NULL);
	pthread_create(&backend, NULL, bind_all, NULL);
	for (unsigned int i = 0;
	     i < RACE_ROUNDS || ((!race_sent || !race_bound) && time(NULL) < until); i++) {
		open_ports();
		sched_yield();
		assert_int_equal(event_op(EVENT_CHANNEL_OP_RESET, &reset, sizeof(reset)), 0);
	}
	racing = false;
	pthread_join(sender, NULL);
	pthread_join(backend, NULL);
	assert_true(race_sent && race_bound);
	/* Nothing is left, of whoever had it; the store's port is as it was. */
	for (uint32_t port = 1; port < EVENT_CHANNEL_PORTS; port++) {
		const struct event_port *p = &pv.channels.port[port];

		assert_int_equal(p->state, port == read32(PLATFORM_REG_STORE_PORT)
						   ? EVENT_CHANNEL_INTERDOMAIN
						   : EVENT_CHANNEL_CLOSED);
		assert_true(p->fixed || (p->from_guest < 0 && p->to_guest < 0 && !p->lingering));
	}
	assert_int_equal(fake_vm.irqfds, 0);
	assert_int_equal(fake_vm.doorbells, 1);
}

/* A vCPU that waits in a reset does not keep the machine from its end. */
static void the_end_does_not_wait(void **state)
{
	begin(8);
	fake_pv.event = MACHINE_SIGNAL;
	assert_int_equal(call(HYPERCALL_PLATFORM, PLATFORM_OP_RESET, 0, 0), -EBUSY);
	fake_pv.event = MACHINE_RUNNING;
}

static void a_machine_reset_spares_nothing(void **state)
{
	struct grant_v1 *entry = (struct grant_v1 *)pv.grants.entries;
	struct peer_message bound;
	pthread_t thread;
	uint32_t port;

	begin(8);
	port = unbound();
	bound = bind_port(port);
	entry[REFERENCE] = (struct grant_v1){GRANT_PERMIT_ACCESS, 0, 5};
	peer_pin(&t.peer, REFERENCE);
	pthread_create(&thread, NULL, obedient, NULL);
	pci_reset_all();
	assert_int_equal(t.restarts, 1);
	assert_int_equal(entry[REFERENCE].flags, 0);
	assert_int_equal(fake_pv.slot, 0);
	assert_int_equal(fake_vm.doorbells, 0);
	pci_assign();
	assert_int_equal(fake_pv.slot, t.bar[4]);
	assert_int_equal(read64(PLATFORM_REG_ACCEPT), 0);
	end_obedient(thread);
	peer_close_fds(&bound);
}

static void the_store_notifies(void **state)
{
	struct event_channel_port args = {read32(PLATFORM_REG_STORE_PORT)};
	int kicked = pv.channels.port[args.port].from_guest;

	begin(2);
	doorbell(args.port);
	assert_true(take_event(kicked));
	assert_int_equal(event_op(EVENT_CHANNEL_OP_SEND, &args, sizeof(args)), 0);
	assert_true(take_event(kicked));
	assert_int_equal(event_op(EVENT_CHANNEL_OP_CLOSE, &args, sizeof(args)), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_finds_it),
		TEST(features_are_accepted_once),
		TEST(calls_that_cannot_be),
		TEST(a_block_above_the_hole),
		TEST(ways_to_end),
		TEST(notifications_both_ways),
		TEST(masked_events_are_latched),
		TEST(ports_share_the_first_vector),
		TEST(loops_need_nobody),
		TEST(doorbells_without_a_place),
		TEST(bars_move),
		TEST(the_table_says_where_it_is),
		TEST(versions),
		TEST(who_attaches_during_a_change_waits),
		TEST(a_reset_forgets_all_but_what_is_in_use),
		TEST(suspend_keeps_the_module),
		TEST(a_reset_races_with_events),
		TEST(the_end_does_not_wait),
		TEST(a_machine_reset_spares_nothing),
		TEST(the_store_notifies),
	};

	log_open("pv_platform", false);
	return cmocka_run_group_tests(tests, open_group, NULL);
}
