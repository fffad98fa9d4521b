// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Xen's entrance, without a KVM: a guest that makes hypercalls with addresses of its own page tables,
 * honest and hostile ones, and what KVM is told of it. Catalogue of robustness: 45, 47, 48.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/kvm.h>
#include <linux/pci_regs.h>

#define PV_FAKE_OWN_SLOTS
#include "tests/unit/shim/pv_fake.h"

#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/xen.h"
#include "hypervisor-shim/pv/xen_hypercall.h"
#include "hypervisor-shim/pv/xen_kvm.h"
#include "hypervisor-shim/pv/xen_shared.h"
#include "hypervisor-shim/vcpu.h"

#define PAGE     4096ULL
#define VIRTUAL  0xffff888000000000ULL /* of page 0; pages lie crosswise in memory: see below */
#define MAPPED   0x200000ULL
#define ARGS     (VIRTUAL + 0x20000)
#define SHARED   0x40ULL /* frames */
#define INFO     0x50ULL
#define OUTSIDE  0xc0100ULL /* of no RAM */
#define OWNER    7
#define SLOTS    16
#define MESSAGES 8

/* ---- what KVM was told ------------------------------------------------------------------------ */

static struct {
	int refuse; /* -errno of xen_kvm_open() */
	uint64_t shared;
	uint8_t vector;
	uint64_t vcpu[VM_CPUS_MAX][XEN_KVM_VCPU_TIMER + 1];
	struct xen_kvm_target target[EVENT_CHANNEL_PORTS];
	struct {
		uint32_t port, vcpu;
	} sent[MESSAGES];
	unsigned int sends;
	struct {
		uint64_t address, size;
		void *host;
	} slot[SLOTS];
	uint32_t route_port, route_vcpu;
	bool pvh, hides_vga;
	void (*reset)(void), (*close)(void);
	unsigned int restarts;
} kvm;

int xen_kvm_open(void)
{
	return kvm.refuse;
}

void xen_kvm_set_long_mode(void)
{
}

int xen_kvm_set_shared_info(uint64_t frame)
{
	kvm.shared = frame;
	return 0;
}

int xen_kvm_set_vector(uint8_t vector)
{
	kvm.vector = vector;
	return 0;
}

void xen_kvm_send(uint32_t port, uint32_t vcpu)
{
	if (kvm.sends < MESSAGES) {
		kvm.sent[kvm.sends].port = port;
		kvm.sent[kvm.sends].vcpu = vcpu;
	}
	kvm.sends++;
}

int xen_kvm_set_target(uint32_t port, const struct xen_kvm_target *target)
{
	/* As KVM: it is taken off before there is another. */
	assert_true(!kvm.target[port].kind || !target->kind);
	kvm.target[port] = *target;
	return 0;
}

int xen_kvm_set_vcpu(unsigned int vcpu, enum xen_kvm_vcpu what, uint64_t value)
{
	struct timespec limit;

	/* It may wait for a vCPU that waits for the lock: we do not have it, whoever else may for a moment. */
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 10;
	assert_int_equal(pthread_mutex_timedlock(&pv.lock, &limit), 0);
	pthread_mutex_unlock(&pv.lock);
	kvm.vcpu[vcpu][what] = value;
	return 0;
}

int vm_evtchn_route_set(int gsi, uint32_t port, uint32_t vcpu)
{
	kvm.route_port = port;
	kvm.route_vcpu = vcpu;
	return vm_msi_route_set(gsi, vcpu, port);
}

int vm_add_slot(uint64_t address, uint64_t size, void *host)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (kvm.slot[i].size && kvm.slot[i].address == address)
			return -EEXIST;
	}
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (kvm.slot[i].size)
			continue;
		kvm.slot[i].address = address;
		kvm.slot[i].size = size;
		kvm.slot[i].host = host;
		return 0;
	}
	return -ENOSPC;
}

int vm_remove_slot(uint64_t address)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (!kvm.slot[i].size || kvm.slot[i].address != address)
			continue;
		kvm.slot[i].size = 0;
		return 0;
	}
	return -ENOENT;
}

static void *slot_at(uint64_t frame)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (kvm.slot[i].size && kvm.slot[i].address == frame * PAGE)
			return kvm.slot[i].host;
	}
	return NULL;
}

static unsigned int slots(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < SLOTS; i++)
		count += kvm.slot[i].size != 0;
	return count;
}

void cpuid_replace_leaves(unsigned int (*make)(unsigned int cpu, struct kvm_cpuid_entry2 *entries))
{
	fake_pv.leaves = make;
}

bool boot_is_pvh(void)
{
	return kvm.pvh;
}

static const struct boot_range memory_map[] = {
	{0, 0x9fc00, BOOT_RAM},
	{0xe0000, 0x20000, BOOT_RESERVED},
	{0x100000, FAKE_RAM_LOW - 0x100000, BOOT_RAM},
};
#define MAP_ENTRIES (sizeof(memory_map) / sizeof(*memory_map))

unsigned int boot_memory_map(struct boot_range ranges[BOOT_RANGES_MAX])
{
	memcpy(ranges, memory_map, sizeof(memory_map));
	return MAP_ENTRIES;
}

void acpi_hide_lack_of_vga(void)
{
	kvm.hides_vga = true;
}

void machine_add_part(void (*reset)(void), void (*close_part)(void))
{
	kvm.reset = reset;
	kvm.close = close_part;
}

/* ---- the guest's hands ------------------------------------------------------------------------ */

/* Neighbours are swapped, so what crosses a page is nowhere contiguous; page 0xff is not mapped. */
bool vcpu_translate(uint64_t address, uint64_t *physical)
{
	if (address < VIRTUAL || address - VIRTUAL >= MAPPED || (address - VIRTUAL) / PAGE == 0xff)
		return false;
	*physical = (address - VIRTUAL) ^ PAGE;
	return true;
}

static void *at(uint64_t virtual)
{
	uint64_t physical = 0;

	assert_true(vcpu_translate(virtual, &physical));
	return guest_memory_at(vm_memory(), physical, 1);
}

static void put(uint64_t virtual, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		*(uint8_t *)at(virtual + i) = ((const uint8_t *)data)[i];
}

static void take(uint64_t virtual, void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)data)[i] = *(const uint8_t *)at(virtual + i);
}

static int64_t call_from(uint8_t cpl, bool longmode, uint64_t number, uint64_t a, uint64_t b,
			 uint64_t c)
{
	struct kvm_xen_exit exit = {.type = KVM_EXIT_XEN_HCALL};

	exit.u.hcall.cpl = cpl;
	exit.u.hcall.longmode = longmode;
	exit.u.hcall.input = number;
	exit.u.hcall.params[0] = a;
	exit.u.hcall.params[1] = b;
	exit.u.hcall.params[2] = c;
	exit.u.hcall.result = 0x5a5a;
	xen_hypercall(0, &exit);
	return (int64_t)exit.u.hcall.result;
}

static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	return call_from(0, true, number, a, b, c);
}

/* With a struct that goes in and comes out. */
static int64_t op(uint64_t number, uint64_t operation, void *args, size_t size)
{
	uint64_t last = number == HYPERCALL_GRANT_TABLE_OP;
	int64_t result;

	put(ARGS, args, size);
	result = call(number, operation, ARGS, last);
	take(ARGS, args, size);
	return result;
}

static int64_t vcpu_op(uint64_t operation, unsigned int vcpu, const void *args, size_t size)
{
	put(ARGS, args, size);
	return call(HYPERCALL_VCPU_OP, operation, vcpu, ARGS);
}

static int64_t place(uint32_t space, uint64_t index, uint64_t frame)
{
	struct memory_add_to_physmap args = {DOMAIN_SELF, 0, space, index, frame};

	return op(HYPERCALL_MEMORY_OP, MEMORY_OP_ADD_TO_PHYSMAP, &args, sizeof(args));
}

static struct shared_info_page *shared_page(void)
{
	return guest_memory_at(vm_memory(), SHARED * PAGE, PAGE);
}

static uint32_t unbound(void)
{
	struct event_channel_alloc_unbound args = {DOMAIN_SELF, PV_BACKEND, 0};

	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_ALLOC_UNBOUND, &args, sizeof(args)),
		0);
	return args.port;
}

static int64_t port_op(uint64_t operation, uint32_t port)
{
	struct event_channel_port args = {port};

	return op(HYPERCALL_EVENT_CHANNEL_OP, operation, &args, sizeof(args));
}

static bool take_event(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- around ----------------------------------------------------------------------------------- */

static void restarted(void)
{
	kvm.restarts++;
}

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	memset(fake_vm.memory.region[0].host, 0, FAKE_RAM_LOW);
	fake_pv.event = MACHINE_RUNNING;
	assert_int_equal(pci_open(), 0);
	assert_int_equal(attach_open(&fake_ram, NULL), 0);
	assert_int_equal(xen_open(restarted), 0);
	pci_assign();
	return 0;
}

static int teardown(void **state)
{
	attach_close();
	kvm.close();
	pci_close_all();
	bus_close();
	assert_int_equal(slots(), 0);
	assert_int_equal(fake_vm.irqfds, 0);
	for (unsigned int i = 0; i < FAKE_GSIS; i++)
		assert_false(fake_vm.route[i].used);
	for (uint32_t i = 0; i < EVENT_CHANNEL_PORTS; i++)
		assert_int_equal(kvm.target[i].kind, XEN_KVM_NOTHING);
	return 0;
}

static int open_group(void **state)
{
	fake_vm_open();
	return 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static uint32_t config_read(unsigned int offset)
{
	uint32_t address = 0x80000000u | 1 << 11 | (offset & 0xfc), value = 0;

	pci_port_write(0xcf8, &address, 4);
	pci_port_read(0xcfc, &value, 4);
	return value;
}

static void a_guest_finds_it(void **state)
{
	struct kvm_cpuid_entry2 leaf[CPUID_LEAVES_MAX];
	uint8_t version = 0;
	uint16_t magic = 0;
	char signature[13] = "";

	xen_announce();
	assert_true(kvm.hides_vga);
	assert_int_equal(fake_pv.leaves(3, leaf), XEN_LEAVES_MAX);
	memcpy(signature, &leaf[0].ebx, 4);
	memcpy(signature + 4, &leaf[0].ecx, 4);
	memcpy(signature + 8, &leaf[0].edx, 4);
	assert_string_equal(signature, XEN_LEAF_SIGNATURE);
	assert_int_equal(leaf[0].function, 0x40000000);
	assert_int_equal(leaf[0].eax, 0x40000004);
	assert_int_equal(leaf[4].ebx, 3);
	assert_true(leaf[4].eax & XEN_LEAF_HVM_VCPU_ID && leaf[4].eax & XEN_LEAF_HVM_UPCALL_VECTOR);

	assert_int_equal(config_read(0), XEN_PLATFORM_DEVICE << 16 | XEN_PLATFORM_VENDOR);
	assert_true(config_read(PCI_BASE_ADDRESS_0) & ~0xfu);
	assert_true(config_read(PCI_BASE_ADDRESS_1) & ~0xfu);
	bus_port_read(XEN_UNPLUG_PORT, &magic, 2);
	assert_int_equal(magic, XEN_UNPLUG_MAGIC);
	bus_port_read(XEN_UNPLUG_PORT + 2, &version, 1);
	assert_int_equal(version, 1);
	magic = XEN_UNPLUG_NICS | XEN_UNPLUG_IDE_DISKS;
	bus_port_write(XEN_UNPLUG_PORT, &magic, 2);
	assert_non_null(slot_at(XEN_STORE_ADDRESS / PAGE));
}

static void a_pvh_guest_finds_no_device(void **state)
{
	attach_close();
	kvm.close();
	pci_close_all();
	bus_close();
	memset(&kvm, 0, sizeof(kvm));
	kvm.pvh = true;
	assert_int_equal(pci_open(), 0);
	assert_int_equal(attach_open(&fake_ram, NULL), 0);
	xen_announce();
	assert_false(kvm.hides_vga);
	assert_int_equal(xen_open(restarted), 0);
	assert_int_equal(config_read(0), 0xffffffff);
}

static void a_kvm_without_xen_is_refused(void **state)
{
	kvm.refuse = -ENOTSUP;
	assert_int_equal(xen_open(restarted), -ENOTSUP);
	kvm.refuse = 0;
}

static void only_64_bit_kernels_may_call(void **state)
{
	assert_int_equal(call_from(3, true, HYPERCALL_XEN_VERSION, VERSION_OP_VERSION, 0, 0),
			 -EPERM);
	assert_int_equal(call_from(1, true, HYPERCALL_XEN_VERSION, VERSION_OP_VERSION, 0, 0),
			 -EPERM);
	assert_int_equal(call_from(0, false, HYPERCALL_XEN_VERSION, VERSION_OP_VERSION, 0, 0),
			 -ENOSYS);
	assert_int_equal(call(HYPERCALL_XEN_VERSION, VERSION_OP_VERSION, 0, 0), 4 << 16 | 17);
	assert_int_equal(call(HYPERCALL_XEN_VERSION, VERSION_OP_PAGESIZE, 0, 0), 4096);
}

static void what_is_not_there_is_refused(void **state)
{
	static const uint64_t numbers[] = {0,
					   1,
					   11,
					   HYPERCALL_MULTICALL,
					   HYPERCALL_PHYSDEV_OP,
					   HYPERCALL_VM_ASSIST,
					   HYPERCALL_CALLBACK_OP,
					   HYPERCALL_ARCH_7,
					   64,
					   UINT64_MAX};

	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		assert_int_equal(call(numbers[i], 0, ARGS, 0), -ENOSYS);
	assert_int_equal(call(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_INIT_CONTROL, ARGS, 0),
			 -ENOSYS);
	assert_int_equal(call(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_PIRQ, ARGS, 0),
			 -ENOSYS);
	assert_int_equal(call(HYPERCALL_HVM_OP, HVM_OP_PAGETABLE_DYING, ARGS, 0), -ENOSYS);
	assert_int_equal(call(HYPERCALL_MEMORY_OP, MEMORY_OP_POPULATE_PHYSMAP, ARGS, 0), -ENOSYS);
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_INITIALISE, 0, ARGS), -ENOSYS);
	assert_int_equal(call(HYPERCALL_CONSOLE_IO, CONSOLE_OP_READ, 1, ARGS), -ENOSYS);
}

static void bad_addresses_fault(void **state)
{
	static const uint64_t bad[] = {0,
				       0x20000,
				       VIRTUAL + MAPPED,
				       VIRTUAL + 0xff * PAGE,
				       VIRTUAL + 0xff * PAGE - 2,
				       UINT64_MAX - 3};
	static const uint64_t numbers[] = {HYPERCALL_MEMORY_OP, HYPERCALL_EVENT_CHANNEL_OP,
					   HYPERCALL_GRANT_TABLE_OP};
	static const uint64_t operations[] = {MEMORY_OP_ADD_TO_PHYSMAP, EVENT_CHANNEL_OP_STATUS,
					      GRANT_OP_QUERY_SIZE};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		for (unsigned int j = 0; j < sizeof(numbers) / sizeof(*numbers); j++)
			assert_int_equal(call(numbers[j], operations[j], bad[i], 1), -EFAULT);
		assert_int_equal(call(HYPERCALL_MEMORY_OP, MEMORY_OP_MEMORY_MAP, bad[i], 0),
				 -EFAULT);
		assert_int_equal(call(HYPERCALL_HVM_OP, HVM_OP_GET_PARAMETER, bad[i], 0), -EFAULT);
		assert_int_equal(call(HYPERCALL_XEN_VERSION, VERSION_OP_GET_FEATURES, bad[i], 0),
				 -EFAULT);
		assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_REGISTER_VCPU_INFO, 0, bad[i]),
				 -EFAULT);
		assert_int_equal(call(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, bad[i], 0), -EFAULT);
	}
}

/* Neither page is what the address says if taken as a physical one. */
static void arguments_may_cross_pages(void **state)
{
	struct hvm_parameter_args args = {DOMAIN_SELF, 0, HVM_PARAMETER_STORE_FRAME, 1};
	uint64_t address = ARGS + PAGE - 8;

	put(address, &args, sizeof(args));
	assert_int_equal(call(HYPERCALL_HVM_OP, HVM_OP_GET_PARAMETER, address, 0), 0);
	take(address, &args, sizeof(args));
	assert_true(args.value == XEN_STORE_ADDRESS / PAGE);
}

static void features_are_told(void **state)
{
	struct version_features args = {0, 0};

	assert_int_equal(op(HYPERCALL_XEN_VERSION, VERSION_OP_GET_FEATURES, &args, sizeof(args)),
			 0);
	assert_true(args.features & 1 << XEN_FEATURE_HVM_CALLBACK_VECTOR);
	assert_true(args.features & 1 << XEN_FEATURE_AUTO_TRANSLATED_PHYSMAP);
	assert_false(args.features & 1 << XEN_FEATURE_HVM_PIRQS);
	args.word = 1;
	assert_int_equal(op(HYPERCALL_XEN_VERSION, VERSION_OP_GET_FEATURES, &args, sizeof(args)),
			 0);
	assert_int_equal(args.features, 0);
}

static void parameters(void **state)
{
	struct hvm_parameter_args args = {DOMAIN_SELF, 0, HVM_PARAMETER_STORE_PORT, 0};

	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_GET_PARAMETER, &args, sizeof(args)), 0);
	assert_int_equal(args.value, xen_store_port_number());
	args.index = HVM_PARAMETER_CONSOLE_FRAME;
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_GET_PARAMETER, &args, sizeof(args)), 0);
	assert_int_equal(args.value, 0);
	args.index = HVM_PARAMETERS;
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_GET_PARAMETER, &args, sizeof(args)), -EINVAL);
	args.index = HVM_PARAMETER_STORE_FRAME;
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_SET_PARAMETER, &args, sizeof(args)), -EPERM);
	args.domain = PV_BACKEND;
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_GET_PARAMETER, &args, sizeof(args)), -EPERM);
}

static void shared_info_goes_into_ram(void **state)
{
	memset(shared_page(), 0xff, PAGE);
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED), 0);
	assert_int_equal(kvm.shared, SHARED);
	for (unsigned int i = 0; i < PAGE / 8; i++)
		assert_true(((uint64_t *)shared_page())[i] == 0);
	for (unsigned int i = 0; i < vm_cpus(); i++)
		assert_int_equal(kvm.vcpu[i][XEN_KVM_VCPU_INFO], SHARED * PAGE + i * 64);
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, OUTSIDE), -EINVAL);
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 1, SHARED), -EINVAL);
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED | 1ULL << 52), -EINVAL);
	assert_int_equal(place(MEMORY_SPACE_GMFN, 0, SHARED), -ENOSYS);
	assert_int_equal(kvm.shared, SHARED);
}

static int64_t register_info(unsigned int vcpu, uint64_t frame, uint32_t offset)
{
	struct vcpu_register_info info = {frame, offset, 0};

	return vcpu_op(VCPU_OP_REGISTER_VCPU_INFO, vcpu, &info, sizeof(info));
}

static void a_vcpu_has_its_info_elsewhere(void **state)
{
	struct vcpu_info_area *info =
		guest_memory_at(vm_memory(), INFO * PAGE + 128, sizeof(*info));

	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED), 0);
	shared_page()->vcpu[2].pending_sel = 0x80;
	shared_page()->vcpu[2].upcall_pending = 1;
	assert_int_equal(register_info(2, INFO, PAGE - 63), -EINVAL);
	assert_int_equal(register_info(2, INFO, 4), -EINVAL);
	assert_int_equal(register_info(2, OUTSIDE, 128), -EINVAL);
	assert_int_equal(register_info(2, INFO | 1ULL << 52, 128), -EINVAL);
	assert_int_equal(register_info(vm_cpus(), INFO, 128), -ENOENT);
	assert_int_equal(register_info(2, INFO, 128), 0);
	assert_int_equal(kvm.vcpu[2][XEN_KVM_VCPU_INFO], INFO * PAGE + 128);
	assert_true(info->pending_sel == 0x80 && info->upcall_pending);
	assert_int_equal(register_info(2, INFO, 256), -EINVAL); /* once */
	/* It stays there when the page comes to another place. */
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED + 1), 0);
	assert_int_equal(kvm.vcpu[2][XEN_KVM_VCPU_INFO], INFO * PAGE + 128);
	assert_int_equal(kvm.vcpu[1][XEN_KVM_VCPU_INFO], (SHARED + 1) * PAGE + 64);
}

static void areas_are_found_by_the_page_tables(void **state)
{
	struct vcpu_register_area area = {VIRTUAL + 0x30000};

	assert_int_equal(vcpu_op(VCPU_OP_REGISTER_RUNSTATE_AREA, 1, &area, sizeof(area)), 0);
	assert_int_equal(kvm.vcpu[1][XEN_KVM_VCPU_RUNSTATE], 0x31000);
	assert_int_equal(vcpu_op(VCPU_OP_REGISTER_TIME_AREA, 0, &area, sizeof(area)), 0);
	assert_int_equal(kvm.vcpu[0][XEN_KVM_VCPU_TIME], 0x31000);
	area.address = 0;
	assert_int_equal(vcpu_op(VCPU_OP_REGISTER_TIME_AREA, 0, &area, sizeof(area)), 0);
	assert_true(kvm.vcpu[0][XEN_KVM_VCPU_TIME] == XEN_KVM_NOWHERE);
	/* KVM takes it as contiguous, which it is not. */
	area.address = VIRTUAL + 0x31000 - 8;
	assert_int_equal(vcpu_op(VCPU_OP_REGISTER_RUNSTATE_AREA, 1, &area, sizeof(area)), -EFAULT);
	area.address = 0x1000;
	assert_int_equal(vcpu_op(VCPU_OP_REGISTER_RUNSTATE_AREA, 1, &area, sizeof(area)), -EFAULT);
	assert_int_equal(kvm.vcpu[1][XEN_KVM_VCPU_RUNSTATE], 0x31000);
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_STOP_PERIODIC_TIMER, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_IS_UP, 3, 0), 1);
	assert_int_equal(call(HYPERCALL_VCPU_OP, VCPU_OP_IS_UP, 1ULL << 32, 0), -ENOENT);
}

static int64_t set_callback(uint64_t value)
{
	struct hvm_parameter_args args = {DOMAIN_SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, value};

	return op(HYPERCALL_HVM_OP, HVM_OP_SET_PARAMETER, &args, sizeof(args));
}

static void upcalls(void **state)
{
	struct hvm_upcall_vector_args args = {1, 0xf3, {0}};

	/* There is no way to interrupt by a pin. */
	assert_int_equal(set_callback(1), -ENOSYS);
	assert_int_equal(set_callback(HVM_CALLBACK_BY_PCI_INTX << 56 | 8), -ENOSYS);
	assert_int_equal(set_callback(HVM_CALLBACK_BY_VECTOR << 56 | 0xf3), 0);
	assert_int_equal(kvm.vector, 0xf3);
	assert_int_equal(set_callback(HVM_CALLBACK_BY_VECTOR << 56 | 3), -EINVAL);
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_SET_UPCALL_VECTOR, &args, sizeof(args)), 0);
	assert_int_equal(kvm.vcpu[1][XEN_KVM_VCPU_VECTOR], 0xf3);
	args.vector = 15;
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_SET_UPCALL_VECTOR, &args, sizeof(args)),
			 -EINVAL);
	args = (struct hvm_upcall_vector_args){99, 0xf3, {0}};
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_SET_UPCALL_VECTOR, &args, sizeof(args)),
			 -ENOENT);
	/* Who has a vector says so, as Linux does. */
	args.vcpu = 0;
	assert_int_equal(op(HYPERCALL_HVM_OP, HVM_OP_SET_UPCALL_VECTOR, &args, sizeof(args)), 0);
	assert_int_equal(set_callback(1), 0);
	assert_int_equal(kvm.vector, 0);
}

static void timers_follow_their_ports(void **state)
{
	struct event_channel_bind_virq args = {VIRTUAL_IRQ_TIMER, 2, 0};
	struct event_channel_reset reset = {DOMAIN_SELF};

	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_VIRQ, &args, sizeof(args)), 0);
	assert_int_equal(kvm.vcpu[2][XEN_KVM_VCPU_TIMER], args.port);
	assert_int_equal(port_op(EVENT_CHANNEL_OP_CLOSE, args.port), 0);
	assert_int_equal(kvm.vcpu[2][XEN_KVM_VCPU_TIMER], 0);
	args.vcpu = 1;
	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_VIRQ, &args, sizeof(args)), 0);
	assert_int_equal(kvm.vcpu[1][XEN_KVM_VCPU_TIMER], args.port);
	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_RESET, &reset, sizeof(reset)), 0);
	assert_int_equal(kvm.vcpu[1][XEN_KVM_VCPU_TIMER], 0);
}

static void grant_frames_go_where_the_guest_wants(void **state)
{
	struct memory_remove_from_physmap remove = {.domain = DOMAIN_SELF, .frame = OUTSIDE + 1};
	uint8_t *table = (uint8_t *)pv.shared.base + PV_GRANT_OFFSET;

	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 0, OUTSIDE), 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 3, OUTSIDE + 1), 0);
	assert_ptr_equal(slot_at(OUTSIDE), table);
	assert_ptr_equal(slot_at(OUTSIDE + 1), table + 3 * PAGE);
	assert_int_equal(pv.grants.frames, 4);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 3, OUTSIDE + 1), 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 0, OUTSIDE + 9), 0); /* moves */
	assert_null(slot_at(OUTSIDE));
	assert_ptr_equal(slot_at(OUTSIDE + 9), table);
	assert_int_equal(slots(), 3);
	assert_int_equal(
		op(HYPERCALL_MEMORY_OP, MEMORY_OP_REMOVE_FROM_PHYSMAP, &remove, sizeof(remove)), 0);
	assert_int_equal(
		op(HYPERCALL_MEMORY_OP, MEMORY_OP_REMOVE_FROM_PHYSMAP, &remove, sizeof(remove)),
		-EINVAL);
	assert_null(slot_at(OUTSIDE + 1));
}

static void grant_frames_go_nowhere_else(void **state)
{
	static const uint64_t bad[] = {
		0,          SHARED,     FAKE_RAM_LOW / PAGE - 1, 0x100000, 1ULL << 40,
		1ULL << 52, UINT64_MAX, XEN_STORE_ADDRESS / PAGE};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(place(MEMORY_SPACE_GRANT_TABLE, 0, bad[i]) < 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, GRANT_TABLE_FRAMES, OUTSIDE), -EINVAL);
	/* There is no status in version 1. */
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, MEMORY_INDEX_GRANT_STATUS, OUTSIDE),
			 -EINVAL);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, UINT64_MAX, OUTSIDE), -EINVAL);
	assert_int_equal(slots(), 1);
	/* The store's page is still there. */
	assert_non_null(slot_at(XEN_STORE_ADDRESS / PAGE));
}

static int64_t ask_map(uint32_t room, uint64_t entries, uint32_t *count)
{
	struct memory_map args = {.count = room, .entries = entries};
	int64_t result = op(HYPERCALL_MEMORY_OP, MEMORY_OP_MEMORY_MAP, &args, sizeof(args));

	*count = args.count;
	return result;
}

/* Linux asks with room for 128 entries, where the boot protocol told it of none. */
static void the_memory_map_is_told(void **state)
{
	const uint64_t entries = ARGS + 2 * PAGE - 30; /* the second one crosses pages */
	struct memory_map_entry entry[MAP_ENTRIES + 1];
	uint32_t count;

	memset(entry, 0x5a, sizeof(entry));
	put(entries, entry, sizeof(entry));
	assert_int_equal(ask_map(128, entries, &count), 0);
	assert_int_equal(count, MAP_ENTRIES);
	assert_int_equal(ask_map(MAP_ENTRIES + 1, entries, &count), 0);
	assert_int_equal(count, MAP_ENTRIES);
	take(entries, entry, sizeof(entry));
	for (unsigned int i = 0; i < MAP_ENTRIES; i++) {
		assert_true(entry[i].address == memory_map[i].start);
		assert_true(entry[i].size == memory_map[i].size);
		assert_int_equal(entry[i].type, memory_map[i].type);
	}
	assert_int_equal(entry[MAP_ENTRIES].type, 0x5a5a5a5a); /* nothing behind them */
}

static void a_memory_map_without_room(void **state)
{
	struct memory_map_entry entry[2];
	uint32_t count;

	memset(entry, 0x5a, sizeof(entry));
	put(ARGS + PAGE, entry, sizeof(entry));
	assert_int_equal(ask_map(1, ARGS + PAGE, &count), 0);
	assert_int_equal(count, 1);
	take(ARGS + PAGE, entry, sizeof(entry));
	assert_true(entry[0].size == memory_map[0].size);
	assert_int_equal(entry[1].type, 0x5a5a5a5a);
	assert_int_equal(ask_map(0, 0, &count), 0);
	assert_int_equal(count, 0);
	/* Neither what is not mapped, nor what is so up to the second entry; any count is taken. */
	assert_int_equal(ask_map(1, VIRTUAL + 0xff * PAGE, &count), -EFAULT);
	assert_int_equal(ask_map(UINT32_MAX, VIRTUAL + 0xff * PAGE - 30, &count), -EFAULT);
	assert_int_equal(count, UINT32_MAX);
	assert_int_equal(ask_map(128, UINT64_MAX - 10, &count), -EFAULT);
}

static int64_t grant_op(uint64_t operation, void *args, size_t size)
{
	return op(HYPERCALL_GRANT_TABLE_OP, operation, args, size);
}

static int64_t set_version(uint32_t version)
{
	struct grant_set_version args = {version};
	int64_t result = grant_op(GRANT_OP_SET_VERSION, &args, sizeof(args));

	/* The one in force is told, whatever was asked. */
	assert_int_equal(args.version, pv.grants.version);
	return result;
}

static int64_t place_status(uint64_t index, uint64_t frame)
{
	return place(MEMORY_SPACE_GRANT_TABLE, MEMORY_INDEX_GRANT_STATUS | index, frame);
}

static void grants_have_two_versions(void **state)
{
	struct grant_query_size size = {.domain = DOMAIN_SELF};
	struct grant_get_version get = {.domain = DOMAIN_SELF};

	assert_int_equal(grant_op(GRANT_OP_QUERY_SIZE, &size, sizeof(size)), 0);
	assert_int_equal(size.status, GRANT_OK);
	assert_int_equal(size.frames_max, GRANT_TABLE_FRAMES);
	assert_int_equal(set_version(1), 0);
	assert_int_equal(set_version(0), -EINVAL);
	assert_int_equal(set_version(3), -EINVAL);
	assert_int_equal(set_version(2), 0);
	assert_int_equal(grant_op(GRANT_OP_GET_VERSION, &get, sizeof(get)), 0);
	assert_int_equal(get.version, 2);
	/* A reserved entry may be in use then, no other. */
	pv.grants.use[GRANTS_RESERVED - 1].word = 1;
	assert_int_equal(set_version(1), 0);
	pv.grants.use[GRANTS_RESERVED].word = 1;
	assert_int_equal(set_version(2), -EBUSY);
	pv.grants.use[GRANTS_RESERVED].word = 0;
	assert_int_equal(set_version(2), 0);
	((union grant_v2 *)pv.grants.entries)[2].header.flags = GRANT_TRANSITIVE;
	assert_int_equal(set_version(1), -ERANGE);
	assert_int_equal(pv.grants.version, 2);
}

static void status_frames_go_where_the_guest_wants(void **state)
{
	uint8_t *status = (uint8_t *)pv.shared.base + PV_STATUS_OFFSET;

	assert_int_equal(set_version(2), 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 0, OUTSIDE), 0);
	assert_int_equal(place_status(0, OUTSIDE + 1), 0);
	assert_ptr_equal(slot_at(OUTSIDE + 1), status);
	assert_int_equal(pv.grants.frames, 1);
	/* The second one has the uses of entry frames 8 to 15. */
	assert_int_equal(place_status(1, OUTSIDE + 2), 0);
	assert_ptr_equal(slot_at(OUTSIDE + 2), status + PAGE);
	assert_int_equal(pv.grants.frames, 16);
	assert_int_equal(place_status(GRANT_TABLE_STATUS_FRAMES - 1, OUTSIDE + 3), 0);
	assert_int_equal(pv.grants.frames, GRANT_TABLE_FRAMES);
	assert_int_equal(place_status(GRANT_TABLE_STATUS_FRAMES, OUTSIDE + 4), -EINVAL);
	assert_int_equal(place_status(0x7fffffff, OUTSIDE + 4), -EINVAL);
	assert_int_equal(place_status(1ULL << 40, OUTSIDE + 4), -EINVAL);
	assert_int_equal(place_status(0, SHARED), -EINVAL); /* RAM */
	assert_int_equal(slots(), 5);
	/* What lay there gives way, of either kind. */
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 1, OUTSIDE + 1), 0);
	assert_ptr_equal(slot_at(OUTSIDE + 1), (uint8_t *)pv.grants.entries + PAGE);
	assert_int_equal(place_status(1, OUTSIDE), 0);
	assert_ptr_equal(slot_at(OUTSIDE), status + PAGE);
	assert_int_equal(slots(), 4);
	/* Version 1 has none, and takes them away; entries stay. */
	assert_int_equal(set_version(1), 0);
	assert_int_equal(slots(), 2);
	assert_non_null(slot_at(OUTSIDE + 1));
	assert_int_equal(place_status(0, OUTSIDE), -EINVAL);
	assert_int_equal(set_version(2), 0);
	assert_int_equal(place_status(0, OUTSIDE), 0);
	kvm.reset();
	assert_int_equal(slots(), 1);
	assert_int_equal(pv.grants.version, 1);
}

static void frames_are_told_where_they_were_put(void **state)
{
	uint64_t list[3] = {0};
	struct grant_setup_table table = {.domain = DOMAIN_SELF, .frames = 3};
	struct grant_get_status_frames status = {.frames = 1, .domain = DOMAIN_SELF};

	table.frame_list = status.frame_list = ARGS + 0x1000;
	assert_int_equal(set_version(2), 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 1, OUTSIDE), 0);
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &table, sizeof(table)), 0);
	assert_int_equal(table.status, GRANT_OK);
	take(table.frame_list, list, sizeof(list));
	assert_true(list[0] == UINT64_MAX && list[1] == OUTSIDE && list[2] == UINT64_MAX);
	assert_int_equal(place_status(0, OUTSIDE + 1), 0);
	assert_int_equal(grant_op(GRANT_OP_GET_STATUS_FRAMES, &status, sizeof(status)), 0);
	assert_int_equal(status.status, GRANT_OK);
	take(table.frame_list, list, sizeof(*list));
	assert_true(list[0] == OUTSIDE + 1);
	status.frames = 2; /* more than three entry frames have */
	assert_int_equal(grant_op(GRANT_OP_GET_STATUS_FRAMES, &status, sizeof(status)), 0);
	assert_int_equal(status.status, GRANT_ERROR);
	table.frames = GRANT_TABLE_FRAMES + 1;
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &table, sizeof(table)), 0);
	assert_int_equal(table.status, GRANT_ERROR);
	table.frames = 1;
	table.frame_list = VIRTUAL + MAPPED;
	assert_int_equal(grant_op(GRANT_OP_SETUP_TABLE, &table, sizeof(table)), 0);
	assert_int_equal(table.status, GRANT_BAD_ADDRESS);
}

/* Maps, copies and the like are a hypervisor's, which the back-ends do without. */
static void grants_are_not_mapped_by_calls(void **state)
{
	static const uint64_t operations[] = {GRANT_OP_MAP,  GRANT_OP_UNMAP, GRANT_OP_TRANSFER,
					      GRANT_OP_COPY, GRANT_OP_SWAP,  GRANT_OP_CACHE_FLUSH,
					      UINT64_MAX};
	struct grant_copy args = {0};

	for (unsigned int i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		assert_int_equal(grant_op(operations[i], &args, sizeof(args)), -ENOSYS);
}

static void bind_backend(uint32_t port)
{
	pthread_mutex_lock(&pv.lock);
	assert_int_equal(event_channel_bind_backend(&pv.channels, OWNER, port), 0);
	pthread_mutex_unlock(&pv.lock);
}

static void back_ends_are_connected_by_kvm(void **state)
{
	struct event_channel_bind_vcpu bind;
	uint32_t port = unbound();

	assert_int_equal(kvm.target[port].kind, XEN_KVM_NOTHING);
	bind_backend(port);
	assert_int_equal(kvm.target[port].kind, XEN_KVM_EVENTFD);
	assert_int_equal(kvm.target[port].fd, pv.channels.port[port].from_guest);
	assert_int_equal(fake_vm.irqfds, 1);
	assert_int_equal(fake_vm.irqfd[0].fd, pv.channels.port[port].to_guest);
	assert_true(kvm.route_port == port && kvm.route_vcpu == 0);
	bind = (struct event_channel_bind_vcpu){port, 3};
	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_VCPU, &bind, sizeof(bind)), 0);
	assert_true(kvm.route_port == port && kvm.route_vcpu == 3);
	assert_int_equal(fake_vm.irqfds, 1);
	/* Where KVM has no place, the call comes to us. */
	assert_true(take_event(pv.channels.port[port].from_guest));
	assert_int_equal(port_op(EVENT_CHANNEL_OP_SEND, port), 0);
	assert_true(take_event(pv.channels.port[port].from_guest));

	assert_int_equal(port_op(EVENT_CHANNEL_OP_CLOSE, port), 0);
	assert_int_equal(kvm.target[port].kind, XEN_KVM_NOTHING);
	assert_int_equal(fake_vm.irqfds, 0);
}

static void ipis_and_loops_are_kvms_alone(void **state)
{
	struct event_channel_alloc_unbound alloc = {DOMAIN_SELF, DOMAIN_SELF, 0};
	struct event_channel_bind_interdomain loop = {.remote_domain = DOMAIN_SELF};
	struct event_channel_bind_ipi ipi = {.vcpu = 2};
	struct event_channel_bind_vcpu bind;

	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_IPI, &ipi, sizeof(ipi)), 0);
	assert_int_equal(kvm.target[ipi.port].kind, XEN_KVM_IPI);
	assert_int_equal(kvm.target[ipi.port].port, ipi.port);
	assert_int_equal(kvm.target[ipi.port].vcpu, 2);

	assert_int_equal(op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_ALLOC_UNBOUND, &alloc,
			    sizeof(alloc)),
			 0);
	loop.remote_port = alloc.port;
	assert_int_equal(op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_INTERDOMAIN, &loop,
			    sizeof(loop)),
			 0);
	assert_int_equal(kvm.target[alloc.port].kind, XEN_KVM_PORT);
	assert_int_equal(kvm.target[alloc.port].port, loop.local_port);
	assert_int_equal(kvm.target[loop.local_port].port, alloc.port);
	/* Who sends is told where the other end's vCPU is now. */
	bind = (struct event_channel_bind_vcpu){alloc.port, 1};
	assert_int_equal(
		op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_VCPU, &bind, sizeof(bind)), 0);
	assert_int_equal(kvm.target[loop.local_port].vcpu, 1);
	assert_int_equal(port_op(EVENT_CHANNEL_OP_CLOSE, alloc.port), 0);
	assert_int_equal(kvm.target[loop.local_port].kind, XEN_KVM_NOTHING);
}

static void unmasking_sends_what_was_held_back(void **state)
{
	uint32_t port = unbound();
	uint64_t bit = 1ULL << port;

	bind_backend(port);
	assert_int_equal(port_op(EVENT_CHANNEL_OP_UNMASK, port), 0); /* no page yet */
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED), 0);
	kvm.sends = 0;
	shared_page()->mask[0] = ~0ULL;
	shared_page()->pending[0] = bit;
	assert_int_equal(port_op(EVENT_CHANNEL_OP_UNMASK, port), 0);
	assert_true(shared_page()->mask[0] == ~bit);
	assert_true(shared_page()->pending[0] == 0);
	assert_int_equal(kvm.sends, 1);
	assert_int_equal(kvm.sent[0].port, port);
	/* Neither without an event, nor of what was not masked. */
	assert_int_equal(port_op(EVENT_CHANNEL_OP_UNMASK, port), 0);
	shared_page()->pending[0] = bit;
	assert_int_equal(port_op(EVENT_CHANNEL_OP_UNMASK, port), 0);
	assert_int_equal(kvm.sends, 1);
	assert_true(shared_page()->pending[0] == bit);
	/* The next port of that number begins without an event. */
	assert_int_equal(port_op(EVENT_CHANNEL_OP_CLOSE, port), 0);
	assert_true(shared_page()->pending[0] == 0);
	assert_int_equal(port_op(EVENT_CHANNEL_OP_UNMASK, port), -EINVAL);
}

static void senders_need_no_pending_page(void **state)
{
	uint32_t *vectors = (uint32_t *)((uint8_t *)pv.shared.base + PV_PENDING_OFFSET);

	assert_int_equal(*vectors, UINT32_MAX);
	kvm.reset();
	assert_int_equal(*vectors, UINT32_MAX);
}

static void a_reset_leaves_nothing(void **state)
{
	struct event_channel_bind_virq timer = {VIRTUAL_IRQ_TIMER, 0, 0};
	struct hvm_upcall_vector_args vector = {0, 0xf3, {0}};

	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED), 0);
	assert_int_equal(register_info(0, INFO, 0), 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 1, OUTSIDE), 0);
	op(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_BIND_VIRQ, &timer, sizeof(timer));
	op(HYPERCALL_HVM_OP, HVM_OP_SET_UPCALL_VECTOR, &vector, sizeof(vector));
	bind_backend(unbound());
	kvm.reset();
	assert_int_equal(kvm.restarts, 1);
	assert_true(kvm.shared == XEN_KVM_NOWHERE);
	assert_true(kvm.vcpu[0][XEN_KVM_VCPU_INFO] == XEN_KVM_NOWHERE);
	assert_int_equal(kvm.vcpu[0][XEN_KVM_VCPU_TIMER], 0);
	assert_int_equal(kvm.vcpu[0][XEN_KVM_VCPU_VECTOR], 0);
	assert_int_equal(fake_vm.irqfds, 0);
	assert_int_equal(slots(), 1); /* the store's page */
	assert_int_equal(pv.grants.frames, 1);
	/* The next kernel does the same from the start. */
	assert_int_equal(place(MEMORY_SPACE_SHARED_INFO, 0, SHARED + 2), 0);
	assert_int_equal(register_info(0, INFO, 64), 0);
	assert_int_equal(place(MEMORY_SPACE_GRANT_TABLE, 0, OUTSIDE), 0);
	assert_int_equal(set_callback(1), -ENOSYS);
}

static void it_shuts_down(void **state)
{
	struct sched_shutdown_args args = {SCHED_SHUTDOWN_CRASH};

	assert_int_equal(op(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, &args, sizeof(args)), 0);
	assert_int_equal(fake_pv.event, MACHINE_PANIC);
	args.reason = SCHED_SHUTDOWN_SUSPEND;
	assert_int_equal(op(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, &args, sizeof(args)), -EINVAL);
	args.reason = SCHED_SHUTDOWN_SOFT_RESET;
	assert_int_equal(op(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, &args, sizeof(args)), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_finds_it),
		TEST(a_pvh_guest_finds_no_device),
		TEST(a_kvm_without_xen_is_refused),
		TEST(only_64_bit_kernels_may_call),
		TEST(what_is_not_there_is_refused),
		TEST(bad_addresses_fault),
		TEST(arguments_may_cross_pages),
		TEST(features_are_told),
		TEST(parameters),
		TEST(shared_info_goes_into_ram),
		TEST(a_vcpu_has_its_info_elsewhere),
		TEST(areas_are_found_by_the_page_tables),
		TEST(upcalls),
		TEST(timers_follow_their_ports),
		TEST(grant_frames_go_where_the_guest_wants),
		TEST(grant_frames_go_nowhere_else),
		TEST(the_memory_map_is_told),
		TEST(a_memory_map_without_room),
		TEST(grants_have_two_versions),
		TEST(status_frames_go_where_the_guest_wants),
		TEST(frames_are_told_where_they_were_put),
		TEST(grants_are_not_mapped_by_calls),
		TEST(back_ends_are_connected_by_kvm),
		TEST(ipis_and_loops_are_kvms_alone),
		TEST(unmasking_sends_what_was_held_back),
		TEST(senders_need_no_pending_page),
		TEST(a_reset_leaves_nothing),
		TEST(it_shuts_down),
	};

	return cmocka_run_group_tests(tests, open_group, NULL);
}
