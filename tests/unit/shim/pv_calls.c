// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * All hypercalls of docs/abi.md by pvkit's own entrance on a real /dev/kvm, each once as it should be
 * and once as it should not. Catalogue of robustness: 47, 48.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor-shim/pv/platform.h"
#include "tests/payload/payload.h"
#include "tests/payload/platform.h"
#include "tests/unit/shim/call_table.h"

#define FEATURES (1U << PLATFORM_F_GRANT_V2 | 1U << PLATFORM_F_SUSPEND)

#define PLATFORM(op, ...) CALL(PLATFORM, PLATFORM_OP_##op, __VA_ARGS__)

/* The first rows before it accepts features, the others after. */
PAYLOAD(caller, 32,
	"	find_platform\n"
	"	mov $0x300000, %ebx\n"
	"1:	cmp 0x2ff000, %ebx\n"
	"	je 2f\n"
	"	mov %ebx, %eax\n"
	"	shr $6, %eax\n"
	"	mov $0x7076, %edx\n"
	"	out %eax, %dx\n"
	"	add $256, %ebx\n"
	"	jmp 1b\n"
	"2:	mov 0x2ff008, %eax\n"
	"	mov %eax, 0x10(%edi)\n"
	"	movl $0, 0x14(%edi)\n"
	"3:	cmp 0x2ff004, %ebx\n"
	"	je 4f\n"
	"	mov %ebx, %eax\n"
	"	shr $6, %eax\n"
	"	mov $0x7076, %edx\n"
	"	out %eax, %dx\n"
	"	add $256, %ebx\n"
	"	jmp 3b\n"
	"4:	power_off\n"
	"8:	put_char '!'\n"
	"	hlt\n");

static int finish(void **state)
{
	pv_stop();
	payload_end();
	return 0;
}

/* Runs what was added. The machine is left as it stopped. */
static void run(unsigned int before, uint32_t features, enum machine_event end)
{
	const struct pv_options options = {0};

	payload_elf(caller, caller_end);
	platform_announce();
	payload_boot(CALL_CPUS, "");
	assert_int_equal(pv_start(&options), 0);
	calls_put(before, features);
	assert_int_equal(payload_run(), end);
	calls_check();
}

/* Whether ports @bits, and no other, have interrupted by the pending page. */
static void assert_pending(uint64_t bits)
{
	const struct platform_pending *pending =
		(void *)((uint8_t *)pv.shared.base + PV_PENDING_OFFSET);

	assert_true(pending->word[0] == bits);
}

static void event_channels(void **state)
{
	static const struct call_row vectors = {"set_vectors", PLATFORM(SET_VECTORS, 1), 0};

	calls_begin();
	calls_add(&vectors);
	CALLS(event_rows);
	run(0, FEATURES, MACHINE_POWER_OFF);
	/* The store's by set_vectors; a loop's end as it is bound; by send its other end, and the IPI. */
	assert_pending(1 << 1 | 1 << 4 | 1 << 2 | 1 << 6);
}

static void ports_are_closed(void **state)
{
	calls_begin();
	CALLS(close_rows);
	run(0, FEATURES, MACHINE_POWER_OFF);
}

static void grants(void **state)
{
	calls_begin();
	CALLS(grant_rows);
	run(0, FEATURES, MACHINE_POWER_OFF);
	/* In the BAR, which the guest has put at 0xd4000000. */
	assert_true(call_list(0)[0] == 0xd4100 && call_list(0)[1] == 0xd4101);
	assert_true(call_list(0)[2] == 0);
	assert_true(call_list(1)[0] == 0xd4010 && call_list(1)[1] == 0);
}

static const struct call_row other_rows[] = {
	{"yield", CALL(SCHED_OP, SCHED_OP_YIELD), 0},
	{"block", SCHED(BLOCK), -ENOSYS},
	{"poll", SCHED(POLL), -ENOSYS},
	{"remote_shutdown", SCHED(REMOTE_SHUTDOWN), -ENOSYS},
	{"watchdog", SCHED(WATCHDOG), -ENOSYS},
	{"pin_override", SCHED(PIN_OVERRIDE), -ENOSYS},
	{"shutdown_code", SCHED(SHUTDOWN_CODE), 0, IN(shutdown, {SCHED_SHUTDOWN_MAX})},
	{"shutdown_code, none", SCHED(SHUTDOWN_CODE), -EINVAL,
	 IN(shutdown, {SCHED_SHUTDOWN_MAX + 1})},
	{"shutdown, none", SCHED(SHUTDOWN), -EINVAL, IN(shutdown, {UINT32_MAX})},
	{"shutdown, soft_reset", SCHED(SHUTDOWN), -EINVAL,
	 IN(shutdown, {SCHED_SHUTDOWN_SOFT_RESET})},
	{"a port", EVENT(BIND_IPI), 0, IN(bind_ipi, {0}), OUT(bind_ipi, {0, 2})},
	{"shutdown, suspend", SCHED(SHUTDOWN), 0, IN(shutdown, {SCHED_SHUTDOWN_SUSPEND})},
	{"suspend: the port", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 2}),
	 OUT(status, {.domain = SELF, .port = 2})},
	{"get_physical_id", VCPU(GET_PHYSICAL_ID, 1), 0, OUT(physical_id, {1ULL << 32 | 1})},
	{"get_physical_id, no vCPU", VCPU(GET_PHYSICAL_ID, CALL_CPUS), -ENOENT},
	{"initialise", VCPU(INITIALISE, 1), -ENOSYS},
	{"up", VCPU(UP, 1), -ENOSYS},
	{"is_up", VCPU(IS_UP, 1), -ENOSYS},
	{"register_vcpu_info", VCPU(REGISTER_VCPU_INFO, 1), -ENOSYS},
	{"register_runstate_area", VCPU(REGISTER_RUNSTATE_AREA, 1), -ENOSYS},
	{"set_singleshot_timer", VCPU(SET_SINGLESHOT_TIMER, 1), -ENOSYS},
	{"set_vectors", PLATFORM(SET_VECTORS, PLATFORM_VECTORS_MAX), 0},
	{"set_vectors, none", PLATFORM(SET_VECTORS, 0), 0},
	{"set_vectors, too many", PLATFORM(SET_VECTORS, PLATFORM_VECTORS_MAX + 1), -EINVAL},
	{"set_vectors, far too many", PLATFORM(SET_VECTORS, 1ULL << 32), -EINVAL},
	{"log", PLATFORM(LOG, CALL_ARGS, 11), 0, IN(text, "hello\x1b shim")},
	{"log, nothing", PLATFORM(LOG, CALL_OUTSIDE, 0), 0},
	{"log, too much", PLATFORM(LOG, CALL_ARGS, PLATFORM_LOG_BYTES_MAX + 1), -EINVAL},
	{"no platform op", PLATFORM(LOG + 1, CALL_ARGS), -ENOSYS},
	{"memory_op", CALL(MEMORY_OP, MEMORY_OP_MEMORY_MAP, CALL_ARGS), -ENOSYS},
	{"multicall", CALL(MULTICALL, CALL_ARGS, 1), -ENOSYS},
	{"set_timer_op", CALL(SET_TIMER_OP, 1), -ENOSYS},
	{"xen_version", CALL(XEN_VERSION, VERSION_OP_VERSION), -ENOSYS},
	{"console_io", CALL(CONSOLE_IO, CONSOLE_OP_WRITE, 1, CALL_ARGS), -ENOSYS},
	{"vm_assist", CALL(VM_ASSIST, 0), -ENOSYS},
	{"callback_op", CALL(CALLBACK_OP, 0, CALL_ARGS), -ENOSYS},
	{"physdev_op", CALL(PHYSDEV_OP, 0, CALL_ARGS), -ENOSYS},
	{"hvm_op", CALL(HVM_OP, HVM_OP_GET_PARAMETER, CALL_ARGS), -ENOSYS},
	{"no number", .number = 0, .result = -ENOSYS},
	{"no number at all", .number = UINT32_MAX, .result = -ENOSYS},
	{"a short block", CALL(SCHED_OP, SCHED_OP_YIELD), -EINVAL, .size = 63},
	{"a long block of no number", .result = -EINVAL, .size = UINT32_MAX},
};

static void all_others(void **state)
{
	calls_begin();
	CALLS(other_rows);
	run(0, FEATURES, MACHINE_POWER_OFF);
}

/* What a guest has not accepted is not there for it. */
static void features_that_were_not_accepted(void **state)
{
	static const struct call_row rows[] = {
		{"set_version, 2", GRANT(SET_VERSION), -ENOSYS, IN(set_version, {2}),
		 OUT(set_version, {1})},
		{"set_version, 1", GRANT(SET_VERSION), 0, IN(set_version, {1})},
		{"suspend", SCHED(SHUTDOWN), -EINVAL, IN(shutdown, {SCHED_SHUTDOWN_SUSPEND})},
	};

	calls_begin();
	CALLS(rows);
	run(0, 0, MACHINE_POWER_OFF);
}

/* An unknown bit refuses all of them, so no call is let in. */
static void features_that_are_none(void **state)
{
	static const struct call_row rows[] = {
		{"yield", CALL(SCHED_OP, SCHED_OP_YIELD), -EPERM},
		{"log", PLATFORM(LOG, CALL_ARGS, 3), 0, IN(text, "yes")},
	};

	calls_begin();
	CALLS(rows);
	run(0, FEATURES | 1U << PLATFORM_F_EVENT_FIFO, MACHINE_POWER_OFF);
}

static bool is_free(const struct call_row *row)
{
	return row->number == HYPERCALL_PLATFORM && row->argument[0] == PLATFORM_OP_LOG;
}

/* Before ACCEPT, and as well after RESET. */
static void add_refused(const struct call_row *rows, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct call_row row = rows[i];

		if (row.size || is_free(&row))
			continue;
		row.result = -EPERM;
		row.told = false;
		calls_add(&row);
	}
}

static void calls_want_features_first(void **state)
{
	static const struct call_row reset[] = {
		{"a port", EVENT(BIND_IPI), 0, IN(bind_ipi, {0}), OUT(bind_ipi, {0, 2})},
		{"version 2", GRANT(SET_VERSION), 0, IN(set_version, {2})},
		{"reset", PLATFORM(RESET, 0), 0},
	};
	static const struct call_row early[] = {
		{"log", PLATFORM(LOG, CALL_ARGS, 5), 0, IN(text, "early")},
		{"reset", PLATFORM(RESET, 0), 0},
		{"a short block", PLATFORM(RESET, 0), -EINVAL, .size = 32},
	};
	unsigned int before;

	calls_begin();
	add_refused(event_rows, 12);
	add_refused(grant_rows, 8);
	add_refused(other_rows, sizeof(other_rows) / sizeof(*other_rows));
	CALLS(early);
	before = calls.count;
	calls_add_all(reset, sizeof(reset) / sizeof(*reset));
	add_refused(event_rows, 12);
	CALLS(early);
	run(before, FEATURES, MACHINE_POWER_OFF);
	assert_int_equal(pv.channels.port[2].state, EVENT_CHANNEL_CLOSED);
	assert_int_equal(pv.grants.version, 1);
}

static void it_shuts_down(void **state)
{
	static const enum machine_event ends[] = {
		[SCHED_SHUTDOWN_POWEROFF] = MACHINE_POWER_OFF,
		[SCHED_SHUTDOWN_REBOOT] = MACHINE_RESET,
		[SCHED_SHUTDOWN_CRASH] = MACHINE_PANIC,
		[SCHED_SHUTDOWN_WATCHDOG] = MACHINE_PANIC,
	};
	struct call_row row = {"shutdown", SCHED(SHUTDOWN), 0};

	for (uint32_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		if (i == SCHED_SHUTDOWN_SUSPEND)
			continue;
		row.in.shutdown.reason = i;
		calls_begin();
		calls_add(&row);
		run(0, 0, ends[i]);
		finish(NULL);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(event_channels),
		TEST(ports_are_closed),
		TEST(grants),
		TEST(all_others),
		TEST(features_that_were_not_accepted),
		TEST(features_that_are_none),
		TEST(calls_want_features_first),
		cmocka_unit_test(it_shuts_down),
	};

	if (!payload_can_run())
		return 77;
	log_open("pv_calls", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
