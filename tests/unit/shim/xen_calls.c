// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * All hypercalls of docs/abi.md by Xen's own entrance on a KVM that has it (CONFIG_KVM_XEN), each once
 * as it should be and once as it should not; also those that KVM answers itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "hypervisor-shim/pv/xen.h"
#include "tests/payload/payload.h"
#include "tests/unit/shim/call_table.h"

/* Guest frames: shared_info and others in RAM, and where no RAM is. */
#define SHARED 0x2d0ULL
#define INFO   0x2d1ULL
#define AREA   0x2d2000ULL
#define FREE   0x10000ULL
#define FRAMES (PAYLOAD_MEMORY >> XEN_FRAME_SHIFT)
#define RANGES 6 /* of the memory map */
#define WIDE   8 /* the list that takes what is longer than a row */

#define MEMORY(op)       CALL(MEMORY_OP, MEMORY_OP_##op, CALL_ARGS)
#define VERSION(op, ...) CALL(XEN_VERSION, VERSION_OP_##op, __VA_ARGS__)
#define HVM(op)          CALL(HVM_OP, HVM_OP_##op, CALL_ARGS)

/*
 * KVM fills the page with a stub for each number, by which every processor finds its instruction.
 * Addresses are one to one.
 */
PAYLOAD(caller, 64,
	"	mov $0x80000, %esp\n"
	"	mov $0x40000000, %ecx\n"
	"	mov $0x2f0000, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	mov $0x300000, %ebx\n"
	"1:	cmp 0x2ff004, %ebx\n"
	"	je 2f\n"
	"	mov (%rbx), %ecx\n"
	"	mov 0x08(%rbx), %rdi\n"
	"	mov 0x10(%rbx), %rsi\n"
	"	mov 0x18(%rbx), %rdx\n"
	"	mov 0x20(%rbx), %r10\n"
	"	mov 0x28(%rbx), %r8\n"
	"	shl $5, %ecx\n"
	"	add $0x2f0000, %ecx\n"
	"	call *%rcx\n"
	"	mov %rax, 0x30(%rbx)\n"
	"	add $256, %ebx\n"
	"	jmp 1b\n"
	"2:	power_off\n");

/* The same without long mode. */
PAYLOAD(old_caller, 32,
	"	mov $0x80000, %esp\n"
	"	mov $0x40000000, %ecx\n"
	"	mov $0x2f0000, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	mov $0x300000, %ebp\n"
	"1:	cmp 0x2ff004, %ebp\n"
	"	je 2f\n"
	"	mov (%ebp), %eax\n"
	"	mov 0x08(%ebp), %ebx\n"
	"	mov 0x10(%ebp), %ecx\n"
	"	shl $5, %eax\n"
	"	add $0x2f0000, %eax\n"
	"	call *%eax\n"
	"	mov %eax, 0x30(%ebp)\n"
	"	cltd\n"
	"	mov %edx, 0x34(%ebp)\n"
	"	add $256, %ebp\n"
	"	jmp 1b\n"
	"2:	power_off\n");

static int finish(void **state)
{
	pv_stop();
	payload_end();
	return 0;
}

static void run_image(enum machine_event end)
{
	const struct pv_options options = {.xen = true};

	xen_announce();
	payload_boot(CALL_CPUS, "");
	assert_int_equal(pv_start(&options), 0);
	calls_put(0, 0);
	assert_int_equal(payload_run(), end);
}

static void run(void)
{
	payload_bzimage(caller, caller_end);
	run_image(MACHINE_POWER_OFF);
	calls_check();
}

static const struct call_row shared_info = {
	"add_to_physmap, shared_info",
	MEMORY(ADD_TO_PHYSMAP),
	0,
	IN(place, {SELF, 0, MEMORY_SPACE_SHARED_INFO, 0, SHARED}),
};

static void event_channels(void **state)
{
	const struct shared_info_page *page;

	calls_begin();
	calls_add(&shared_info);
	CALLS(event_rows);
	run();
	page = guest_memory_at(vm_memory(), SHARED * XEN_FRAME_BYTES, sizeof(*page));
	/* A loop's end as it is bound; by send its other end, and the IPI. */
	assert_true(page->pending[0] == (1 << 4 | 1 << 2 | 1 << 6));
	assert_true(page->vcpu[0].pending_sel == 1 && page->vcpu[0].upcall_pending == 1);
}

static void ports_are_closed(void **state)
{
	calls_begin();
	calls_add(&shared_info);
	CALLS(close_rows);
	run();
}

/* No frame was placed yet. */
static void grants(void **state)
{
	calls_begin();
	CALLS(grant_rows);
	run();
	assert_true(call_list(0)[0] == UINT64_MAX && call_list(0)[1] == UINT64_MAX);
	assert_true(call_list(0)[2] == 0);
	assert_true(call_list(1)[0] == UINT64_MAX && call_list(1)[1] == 0);
}

static const struct call_row memory_rows[] = {
	{"shared_info", MEMORY(ADD_TO_PHYSMAP), 0,
	 IN(place, {SELF, 0, MEMORY_SPACE_SHARED_INFO, 0, SHARED})},
	{"shared_info, an index", MEMORY(ADD_TO_PHYSMAP), -EINVAL,
	 IN(place, {SELF, 0, MEMORY_SPACE_SHARED_INFO, 1, SHARED})},
	{"shared_info, no RAM", MEMORY(ADD_TO_PHYSMAP), -EINVAL,
	 IN(place, {SELF, 0, MEMORY_SPACE_SHARED_INFO, 0, FREE})},
	{"add_to_physmap, domain 0", MEMORY(ADD_TO_PHYSMAP), -EPERM,
	 IN(place, {0, 0, MEMORY_SPACE_SHARED_INFO, 0, SHARED})},
	{"add_to_physmap, no space", MEMORY(ADD_TO_PHYSMAP), -ENOSYS,
	 IN(place, {SELF, 0, MEMORY_SPACE_GMFN, 0, SHARED})},
	{"a grant frame", MEMORY(ADD_TO_PHYSMAP), 0,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, 1, FREE})},
	{"a grant frame, no index", MEMORY(ADD_TO_PHYSMAP), -EINVAL,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, 256, FREE})},
	{"a grant frame, RAM", MEMORY(ADD_TO_PHYSMAP), -EINVAL,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, 0, SHARED})},
	{"a grant frame, frame 0", MEMORY(ADD_TO_PHYSMAP), -EINVAL,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, 0, 0})},
	{"a grant frame, over the store's", MEMORY(ADD_TO_PHYSMAP), -EEXIST,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, 0, XEN_STORE_ADDRESS / XEN_FRAME_BYTES})},
	{"a status frame, version 1", MEMORY(ADD_TO_PHYSMAP), -EINVAL,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, MEMORY_INDEX_GRANT_STATUS, FREE + 1})},
	{"version 2", GRANT(SET_VERSION), 0, IN(set_version, {2})},
	{"a status frame", MEMORY(ADD_TO_PHYSMAP), 0,
	 IN(place, {1, 0, MEMORY_SPACE_GRANT_TABLE, MEMORY_INDEX_GRANT_STATUS, FREE + 1})},
	{"a grant frame's place", GRANT(SETUP_TABLE), 0,
	 IN(setup_table, {.domain = 1, .frames = 2, .frame_list = CALL_LIST(0)}),
	 OUT(setup_table, {.domain = 1, .frames = 2, .frame_list = CALL_LIST(0)})},
	{"a status frame's place", GRANT(GET_STATUS_FRAMES), 0,
	 IN(get_status_frames, {.domain = 1, .frames = 1, .frame_list = CALL_LIST(1)}),
	 OUT(get_status_frames, {.domain = 1, .frames = 1, .frame_list = CALL_LIST(1)})},
	{"remove", MEMORY(REMOVE_FROM_PHYSMAP), 0, IN(remove, {.domain = SELF, .frame = FREE})},
	{"remove, nothing", MEMORY(REMOVE_FROM_PHYSMAP), -EINVAL,
	 IN(remove, {.domain = SELF, .frame = FREE})},
	{"remove, RAM", MEMORY(REMOVE_FROM_PHYSMAP), -EINVAL,
	 IN(remove, {.domain = SELF, .frame = SHARED})},
	{"remove, domain 0", MEMORY(REMOVE_FROM_PHYSMAP), -EPERM,
	 IN(remove, {.domain = 0, .frame = FREE + 1})},
	{"memory_map", MEMORY(MEMORY_MAP), 0, IN(map, {.count = 12, .entries = CALL_LIST(2)}),
	 OUT(map, {.count = RANGES, .entries = CALL_LIST(2)})},
	{"memory_map, less room", MEMORY(MEMORY_MAP), 0,
	 IN(map, {.count = 2, .entries = CALL_LIST(3)})},
	{"memory_map, entries", MEMORY(MEMORY_MAP), -EFAULT,
	 IN(map, {.count = 1, .entries = CALL_OUTSIDE})},
	{"current_reservation", MEMORY(CURRENT_RESERVATION), FRAMES, IN(memory, {SELF})},
	{"maximum_reservation", MEMORY(MAXIMUM_RESERVATION), FRAMES, IN(memory, {1})},
	{"current_reservation, domain 0", MEMORY(CURRENT_RESERVATION), -EPERM, IN(memory, {0})},
	{"increase_reservation", MEMORY(INCREASE_RESERVATION), -ENOSYS},
	{"decrease_reservation", MEMORY(DECREASE_RESERVATION), -ENOSYS},
	{"populate_physmap", MEMORY(POPULATE_PHYSMAP), -ENOSYS},
	{"add_to_physmap_batch", MEMORY(ADD_TO_PHYSMAP_BATCH), -ENOSYS},
};

static void memory(void **state)
{
	const struct memory_map_entry *entry;

	calls_begin();
	CALLS(memory_rows);
	run();
	assert_true(call_list(0)[0] == UINT64_MAX && call_list(0)[1] == FREE);
	assert_true(call_list(1)[0] == FREE + 1);
	entry = (void *)call_list(2);
	assert_true(entry->address == 0 && entry->size == 0x9fc00 && entry->type == 1);
	assert_int_equal(entry[RANGES].type, 0);
	entry = (void *)call_list(3);
	assert_int_equal(entry[1].type, 2);
	assert_int_equal(entry[2].type, 0);
}

static const struct call_row version_rows[] = {
	{"version", VERSION(VERSION, 0), 4 << 16 | 17},
	{"pagesize", VERSION(PAGESIZE, 0), 4096},
	{"extraversion", VERSION(EXTRAVERSION, CALL_ARGS), 0, IN(text, "----------------"),
	 OUT(text, ".0-pvkit")},
	{"compile_info", VERSION(COMPILE_INFO, CALL_LIST(WIDE)), 0},
	{"capabilities", VERSION(CAPABILITIES, CALL_LIST(WIDE)), 0},
	{"capabilities, no RAM", VERSION(CAPABILITIES, PAYLOAD_MEMORY - 1023), -EFAULT},
	{"changeset", VERSION(CHANGESET, CALL_ARGS), 0, OUT(text, "unavailable")},
	{"platform_parameters", VERSION(PLATFORM_PARAMETERS, CALL_ARGS), 0, IN(text, "--------"),
	 OUT(text, "")},
	{"get_features", VERSION(GET_FEATURES, CALL_ARGS), 0, IN(features, {0, 0}),
	 OUT(features, {0, 0x30f})},
	{"get_features, word 1", VERSION(GET_FEATURES, CALL_ARGS), 0, IN(features, {1, 7}),
	 OUT(features, {1, 0})},
	{"guest_handle", VERSION(GUEST_HANDLE, CALL_ARGS), 0, IN(text, "----------------"),
	 OUT(text, "")},
	{"commandline", VERSION(COMMANDLINE, CALL_ARGS), -ENOSYS},
	{"build_id", VERSION(BUILD_ID, CALL_ARGS), -ENOSYS},
	{"console_io, write", CALL(CONSOLE_IO, CONSOLE_OP_WRITE, 9, CALL_ARGS), 0,
	 IN(text, "hello Xen")},
	{"console_io, read", CALL(CONSOLE_IO, CONSOLE_OP_READ, 9, CALL_ARGS), -ENOSYS},
	{"multicall", CALL(MULTICALL, CALL_ARGS, 1), -ENOSYS},
	{"vm_assist", CALL(VM_ASSIST, 0), -ENOSYS},
	{"callback_op", CALL(CALLBACK_OP, 0, CALL_ARGS), -ENOSYS},
	{"physdev_op", CALL(PHYSDEV_OP, 0, CALL_ARGS), -ENOSYS},
	{"pvkit's own", CALL(PLATFORM, PLATFORM_OP_RESET), -ENOSYS},
	{"no number", .number = 0, .result = -ENOSYS},
	{"the last stub", .number = 127, .result = -ENOSYS},
};

static void what_it_is(void **state)
{
	calls_begin();
	CALLS(version_rows);
	run();
	assert_string_equal((char *)call_list(WIDE), "hvm-3.0-x86_64");
}

#define BY_VECTOR(vector) (HVM_CALLBACK_BY_VECTOR << HVM_CALLBACK_TYPE_SHIFT | (vector))

static const struct call_row hvm_rows[] = {
	{"get, the store's frame", HVM(GET_PARAMETER), 0,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_STORE_FRAME, 0}),
	 OUT(parameter, {SELF, 0, HVM_PARAMETER_STORE_FRAME, XEN_STORE_ADDRESS / XEN_FRAME_BYTES})},
	{"get, the store's port", HVM(GET_PARAMETER), 0,
	 IN(parameter, {1, 0, HVM_PARAMETER_STORE_PORT, 0}),
	 OUT(parameter, {1, 0, HVM_PARAMETER_STORE_PORT, 1})},
	{"get, no console", HVM(GET_PARAMETER), 0,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_CONSOLE_FRAME, 5}),
	 OUT(parameter, {SELF, 0, HVM_PARAMETER_CONSOLE_FRAME, 0})},
	{"get, none", HVM(GET_PARAMETER), -EINVAL, IN(parameter, {SELF, 0, HVM_PARAMETERS, 0})},
	{"get, domain 0", HVM(GET_PARAMETER), -EPERM,
	 IN(parameter, {0, 0, HVM_PARAMETER_STORE_FRAME, 0})},
	{"set, the store's frame", HVM(SET_PARAMETER), -EPERM,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_STORE_FRAME, 1})},
	{"set, domain 0", HVM(SET_PARAMETER), -EPERM,
	 IN(parameter, {0, 0, HVM_PARAMETER_CALLBACK_IRQ, 0})},
	{"callback, a pin", HVM(SET_PARAMETER), -ENOSYS,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, 1})},
	{"callback, no vector", HVM(SET_PARAMETER), -EINVAL,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, BY_VECTOR(15)})},
	{"callback, a vector", HVM(SET_PARAMETER), 0,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, BY_VECTOR(0xf3)})},
	{"callback: that one", HVM(GET_PARAMETER), 0,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, 0}),
	 OUT(parameter, {SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, BY_VECTOR(0xf3)})},
	{"upcall vector", HVM(SET_UPCALL_VECTOR), 0, IN(vector, {0, 0xf3, {0}})},
	{"upcall vector, none", HVM(SET_UPCALL_VECTOR), -EINVAL, IN(vector, {0, 15, {0}})},
	{"upcall vector, no vCPU", HVM(SET_UPCALL_VECTOR), -ENOENT,
	 IN(vector, {CALL_CPUS, 0xf3, {0}})},
	{"callback, a pin beside it", HVM(SET_PARAMETER), 0,
	 IN(parameter, {SELF, 0, HVM_PARAMETER_CALLBACK_IRQ, 1})},
	{"flush_tlbs", HVM(FLUSH_TLBS), -ENOSYS},
	{"pagetable_dying", HVM(PAGETABLE_DYING), -ENOSYS},
	{"get_time", HVM(GET_TIME), -ENOSYS},
	{"get_memory_type", HVM(GET_MEMORY_TYPE), -ENOSYS},
};

static void parameters_and_vectors(void **state)
{
	calls_begin();
	CALLS(hvm_rows);
	run();
}

static const struct call_row vcpu_rows[] = {
	{"is_up", VCPU(IS_UP, 1), 1},
	{"is_up, no vCPU", VCPU(IS_UP, CALL_CPUS), -ENOENT},
	{"is_up, far from a vCPU", VCPU(IS_UP, 1ULL << 32), -ENOENT},
	{"get_physical_id", VCPU(GET_PHYSICAL_ID, 1), 0, OUT(physical_id, {1ULL << 32 | 1})},
	{"vcpu_info", VCPU(REGISTER_VCPU_INFO, 1), 0, IN(info, {INFO, 64, 0})},
	{"vcpu_info, again", VCPU(REGISTER_VCPU_INFO, 1), -EINVAL, IN(info, {INFO, 64, 0})},
	{"vcpu_info, askew", VCPU(REGISTER_VCPU_INFO, 0), -EINVAL, IN(info, {INFO, 4, 0})},
	{"vcpu_info, too long", VCPU(REGISTER_VCPU_INFO, 0), -EINVAL, IN(info, {INFO, 4040, 0})},
	{"vcpu_info, no RAM", VCPU(REGISTER_VCPU_INFO, 0), -EINVAL, IN(info, {FREE, 0, 0})},
	{"vcpu_info, no vCPU", VCPU(REGISTER_VCPU_INFO, CALL_CPUS), -ENOENT,
	 IN(info, {INFO, 0, 0})},
	{"runstate", VCPU(REGISTER_RUNSTATE_AREA, 0), 0, IN(area, {AREA})},
	{"runstate, no RAM", VCPU(REGISTER_RUNSTATE_AREA, 0), -EFAULT, IN(area, {CALL_OUTSIDE})},
	{"runstate, not mapped", VCPU(REGISTER_RUNSTATE_AREA, 0), -EFAULT, IN(area, {1ULL << 40})},
	{"runstate, none", VCPU(REGISTER_RUNSTATE_AREA, 0), 0, IN(area, {0})},
	{"time", VCPU(REGISTER_TIME_AREA, 0), 0, IN(area, {AREA + 0x100})},
	{"time, no RAM", VCPU(REGISTER_TIME_AREA, 0), -EFAULT, IN(area, {PAYLOAD_MEMORY - 8})},
	{"time, none", VCPU(REGISTER_TIME_AREA, 0), 0, IN(area, {0})},
	{"stop_periodic_timer", CALL(VCPU_OP, VCPU_OP_STOP_PERIODIC_TIMER, 0), 0},
	{"stop_singleshot_timer", CALL(VCPU_OP, VCPU_OP_STOP_SINGLESHOT_TIMER, 0), 0},
	{"singleshot timer, no port", VCPU(SET_SINGLESHOT_TIMER, 0), -ENOSYS},
	{"set_timer_op, no port", CALL(SET_TIMER_OP, 0), -ENOSYS},
	{"the timer's port", EVENT(BIND_VIRQ), 0, IN(bind_virq, {VIRTUAL_IRQ_TIMER, 0}),
	 OUT(bind_virq, {VIRTUAL_IRQ_TIMER, 0, 2})},
	{"set_timer_op", CALL(SET_TIMER_OP, 0), 0},
	{"stop_singleshot_timer, KVM's", CALL(VCPU_OP, VCPU_OP_STOP_SINGLESHOT_TIMER, 0), 0},
	{"singleshot timer, another's", VCPU(SET_SINGLESHOT_TIMER, 1), -EINVAL},
	{"the timer's port, closed", EVENT(CLOSE), 0, IN(port, {2})},
	{"set_timer_op, no port again", CALL(SET_TIMER_OP, 0), -ENOSYS},
	{"initialise", VCPU(INITIALISE, 1), -ENOSYS},
	{"up", VCPU(UP, 1), -ENOSYS},
	{"down", VCPU(DOWN, 1), -ENOSYS},
	{"get_runstate", VCPU(GET_RUNSTATE, 0), -ENOSYS},
	{"set_periodic_timer", VCPU(SET_PERIODIC_TIMER, 0), -ENOSYS},
	{"send_nmi", VCPU(SEND_NMI, 1), -ENOSYS},
	{"yield", CALL(SCHED_OP, SCHED_OP_YIELD), 0},
	{"block", SCHED(BLOCK), -ENOSYS},
	{"poll, too many", SCHED(POLL), -EINVAL,
	 IN(poll, {.ports = CALL_LIST(0), .count = SCHED_POLL_PORTS_MAX + 1})},
	{"poll, no RAM", SCHED(POLL), -EFAULT, IN(poll, {.ports = CALL_OUTSIDE, .count = 1})},
	{"shutdown_code", SCHED(SHUTDOWN_CODE), 0, IN(shutdown, {SCHED_SHUTDOWN_MAX})},
	{"shutdown_code, none", SCHED(SHUTDOWN_CODE), -EINVAL,
	 IN(shutdown, {SCHED_SHUTDOWN_MAX + 1})},
	{"shutdown, none", SCHED(SHUTDOWN), -EINVAL, IN(shutdown, {UINT32_MAX})},
	{"suspend", SCHED(SHUTDOWN), -EINVAL, IN(shutdown, {SCHED_SHUTDOWN_SUSPEND})},
	{"soft_reset", SCHED(SHUTDOWN), -EINVAL, IN(shutdown, {SCHED_SHUTDOWN_SOFT_RESET})},
	{"watchdog", SCHED(WATCHDOG), -ENOSYS},
};

static void vcpus_and_timers(void **state)
{
	calls_begin();
	calls_add(&shared_info);
	CALLS(vcpu_rows);
	run();
}

/* It does not come back to note the answer. */
static void it_shuts_down(void **state)
{
	static const struct call_row row = {"shutdown", SCHED(SHUTDOWN), 0,
					    IN(shutdown, {SCHED_SHUTDOWN_CRASH})};

	calls_begin();
	calls_add(&row);
	payload_bzimage(caller, caller_end);
	run_image(MACHINE_PANIC);
}

static void only_64_bit_kernels_may_call(void **state)
{
	static const struct call_row rows[] = {
		{"version", VERSION(VERSION, 0), -ENOSYS},
		{"shutdown", SCHED(SHUTDOWN), -ENOSYS, IN(shutdown, {SCHED_SHUTDOWN_CRASH})},
	};

	calls_begin();
	calls_add_all(rows, sizeof(rows) / sizeof(*rows));
	payload_elf(old_caller, old_caller_end);
	run_image(MACHINE_POWER_OFF);
	calls_check();
}

static bool kvm_has_xen(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int has = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_XEN_HVM);

	close(fd);
	if (has > 0 && has & KVM_XEN_HVM_CONFIG_EVTCHN_SEND)
		return true;
	printf("1..0 # SKIP this KVM has no entrance for Xen guests (CONFIG_KVM_XEN)\n");
	return false;
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(event_channels),   TEST(ports_are_closed), TEST(grants),
		TEST(memory),           TEST(what_it_is),       TEST(parameters_and_vectors),
		TEST(vcpus_and_timers), TEST(it_shuts_down),    TEST(only_64_bit_kernels_may_call),
	};

	if (!payload_can_run() || !kvm_has_xen())
		return 77;
	log_open("xen_calls", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
