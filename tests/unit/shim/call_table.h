/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Hypercalls by a guest of a few instructions, from a table: a row is a call, its struct, and what
 * must come back. The test writes the rows into the guest's memory, the guest makes the calls one
 * after the other, and the test reads the answers there. Ports are given out lowest first, so a row
 * knows what the ones before it got.
 *
 * Behind the rows of the table go the same calls with structs that are not in RAM. One program
 * includes this once, behind tests/payload/payload.h.
 */
#include <inttypes.h>

#include "abi/event_channel.h"
#include "abi/grant_table.h"
#include "abi/hypercall.h"
#include "abi/platform.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/start.h"

#define CALL_ROWS_MAX 256
#define CALL_CPUS     2

/* Guest-physical. The guest reads where its rows end at CALL_ENDS, see the two guests. */
#define CALL_ENDS    0x2ff000u
#define CALL_LISTS   0x2f8000u
#define CALL_PAGE    0x2f0000u
#define CALL_TABLE   0x300000u
#define CALL_STRIDE  256
#define CALL_OUTSIDE 0xc0000000u /* of no RAM */

#define CALL_ARGS    (~0ULL - 1) /* as an argument: the address of the row's struct */
#define CALL_LIST(i) (CALL_LISTS + (i)*0x100ULL) /* room for frame numbers */

struct call_row {
	const char *name;
	uint32_t number;
	uint64_t argument[HYPERCALL_ARGUMENTS_MAX];
	int64_t result;
	bool told; /* ->out comes back; else what went in is as it was */
	uint32_t size; /* of the block; 0: as it should be */
	union call_args {
		struct event_channel_bind_interdomain bind_interdomain;
		struct event_channel_bind_virq bind_virq;
		struct event_channel_port port;
		struct event_channel_status status;
		struct event_channel_alloc_unbound alloc_unbound;
		struct event_channel_bind_ipi bind_ipi;
		struct event_channel_bind_vcpu bind_vcpu;
		struct event_channel_reset reset;
		struct grant_setup_table setup_table;
		struct grant_query_size query_size;
		struct grant_set_version set_version;
		struct grant_get_version get_version;
		struct grant_get_status_frames get_status_frames;
		struct sched_shutdown_args shutdown;
		struct sched_poll_args poll;
		struct vcpu_physical_id physical_id;
		struct vcpu_register_info info;
		struct vcpu_register_area area;
		struct memory_add_to_physmap place;
		struct memory_remove_from_physmap remove;
		struct memory_map map;
		struct memory_domain memory;
		struct version_features features;
		struct hvm_parameter_args parameter;
		struct hvm_upcall_vector_args vector;
		char text[64];
	} in, out;
};

#define CALL(what, ...) .number = HYPERCALL_##what, .argument = {__VA_ARGS__}
#define EVENT(op)       CALL(EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_##op, CALL_ARGS)
#define GRANT(op)       CALL(GRANT_TABLE_OP, GRANT_OP_##op, CALL_ARGS, 1)
#define SCHED(op)       CALL(SCHED_OP, SCHED_OP_##op, CALL_ARGS)
#define VCPU(op, cpu)   CALL(VCPU_OP, VCPU_OP_##op, cpu, CALL_ARGS)
#define IN(arg, ...)    .in = {.arg = __VA_ARGS__}
#define OUT(arg, ...)   .told = true, .out = {.arg = __VA_ARGS__}

struct call_block {
	struct platform_call call;
	union call_args args;
};
_Static_assert(sizeof(struct call_block) <= CALL_STRIDE, "a row has room");

static struct {
	struct call_row row[CALL_ROWS_MAX];
	unsigned int count;
} calls;

static void calls_begin(void)
{
	calls.count = 0;
}

static void calls_add(const struct call_row *row)
{
	assert_true(calls.count < CALL_ROWS_MAX);
	calls.row[calls.count++] = *row;
}

static int struct_of(const struct call_row *row)
{
	for (int i = 0; i < HYPERCALL_ARGUMENTS_MAX; i++) {
		if (row->argument[i] == CALL_ARGS)
			return i;
	}
	return -1;
}

/* Each call that works, with a struct that is not in RAM, or crosses its end. */
static void calls_add_faults(const struct call_row *rows, unsigned int count)
{
	static const uint64_t bad[] = {CALL_OUTSIDE, PAYLOAD_MEMORY - 1, UINT64_MAX - 7};

	for (unsigned int i = 0; i < count; i++) {
		struct call_row row = rows[i];
		int at = struct_of(&row);

		if (at < 0 || row.result)
			continue;
		row.result = -EFAULT;
		row.told = false;
		for (unsigned int j = 0; j < sizeof(bad) / sizeof(*bad); j++) {
			row.argument[at] = bad[j];
			calls_add(&row);
		}
	}
}

static void calls_add_all(const struct call_row *rows, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		calls_add(&rows[i]);
}

/* The two, in this order: what faults must have done nothing. */
#define CALLS(rows)                                                     \
	do {                                                            \
		calls_add_faults(rows, sizeof(rows) / sizeof(*(rows))); \
		calls_add_all(rows, sizeof(rows) / sizeof(*(rows)));    \
	} while (0)

static struct call_block *block_of(unsigned int i)
{
	return guest_memory_at(vm_memory(), CALL_TABLE + i * CALL_STRIDE,
			       sizeof(struct call_block));
}

static uint64_t *call_list(unsigned int i)
{
	return guest_memory_at(vm_memory(), CALL_LIST(i), 0x100);
}

/* The machine is loaded and does not run yet. @before rows come before the guest accepts @features. */
static void calls_put(unsigned int before, uint32_t features)
{
	uint32_t *ends = guest_memory_at(vm_memory(), CALL_ENDS, 12);

	for (unsigned int i = 0; i < calls.count; i++) {
		const struct call_row *row = &calls.row[i];
		struct call_block *block = block_of(i);
		int at = struct_of(row);

		block->call = (struct platform_call){
			.number = row->number,
			.size = row->size ? row->size : sizeof(block->call),
			.result = 0x5a5a5a5a,
		};
		memcpy(block->call.argument, row->argument, sizeof(row->argument));
		if (at >= 0)
			block->call.argument[at] =
				CALL_TABLE + i * CALL_STRIDE + offsetof(struct call_block, args);
		block->args = row->in;
	}
	ends[0] = CALL_TABLE + before * CALL_STRIDE;
	ends[1] = CALL_TABLE + calls.count * CALL_STRIDE;
	ends[2] = features;
}

static bool is_as_wanted(unsigned int i)
{
	const struct call_row *row = &calls.row[i];
	const struct call_block *block = block_of(i);
	const union call_args *wanted = row->told ? &row->out : &row->in;

	if (block->call.result != row->result) {
		print_error("row %u, %s: %" PRId64 ", wanted %" PRId64 "\n", i, row->name,
			    block->call.result, row->result);
		return false;
	}
	if (!memcmp(&block->args, wanted, sizeof(*wanted)))
		return true;
	print_error("row %u, %s: another struct came back:\n", i, row->name);
	for (unsigned int j = 0; j < sizeof(*wanted); j++) {
		if (((const uint8_t *)&block->args)[j] != ((const uint8_t *)wanted)[j])
			print_error("byte %u is 0x%02x, wanted 0x%02x\n", j,
				    ((const uint8_t *)&block->args)[j],
				    ((const uint8_t *)wanted)[j]);
	}
	return false;
}

/* While the machine, stopped, still has its memory. */
static void calls_check(void)
{
	unsigned int bad = 0;

	for (unsigned int i = 0; i < calls.count; i++)
		bad += !is_as_wanted(i);
	assert_int_equal(bad, 0);
}

/* ---- what both entrances answer alike. Port 1 is the store's, no other is bound --------------- */

#define SELF DOMAIN_SELF

static const struct call_row event_rows[] = {
	{"alloc_unbound, for the guest", EVENT(ALLOC_UNBOUND), 0, IN(alloc_unbound, {SELF, SELF}),
	 OUT(alloc_unbound, {SELF, SELF, 2})},
	{"alloc_unbound, for a back-end", EVENT(ALLOC_UNBOUND), 0, IN(alloc_unbound, {1, 0}),
	 OUT(alloc_unbound, {1, 0, 3})},
	{"alloc_unbound, in domain 0", EVENT(ALLOC_UNBOUND), -EPERM, IN(alloc_unbound, {0, 0})},
	{"alloc_unbound, in no domain", EVENT(ALLOC_UNBOUND), -ESRCH, IN(alloc_unbound, {9, 0})},
	{"alloc_unbound, for no domain", EVENT(ALLOC_UNBOUND), -ESRCH,
	 IN(alloc_unbound, {SELF, 9})},
	{"bind_interdomain, a loop", EVENT(BIND_INTERDOMAIN), 0,
	 IN(bind_interdomain, {.remote_domain = SELF, .remote_port = 2}),
	 OUT(bind_interdomain, {.remote_domain = SELF, .remote_port = 2, .local_port = 4})},
	{"bind_interdomain, bound already", EVENT(BIND_INTERDOMAIN), -EINVAL,
	 IN(bind_interdomain, {.remote_domain = SELF, .remote_port = 2})},
	{"bind_interdomain, a back-end's", EVENT(BIND_INTERDOMAIN), -EINVAL,
	 IN(bind_interdomain, {.remote_domain = SELF, .remote_port = 3})},
	{"bind_interdomain, no port", EVENT(BIND_INTERDOMAIN), -EINVAL,
	 IN(bind_interdomain, {.remote_domain = SELF, .remote_port = UINT32_MAX})},
	{"bind_interdomain, domain 0", EVENT(BIND_INTERDOMAIN), -EINVAL,
	 IN(bind_interdomain, {.remote_domain = 0, .remote_port = 2})},
	{"bind_interdomain, no domain", EVENT(BIND_INTERDOMAIN), -ESRCH,
	 IN(bind_interdomain, {.remote_domain = 9, .remote_port = 2})},
	{"bind_virq", EVENT(BIND_VIRQ), 0, IN(bind_virq, {VIRTUAL_IRQ_DEBUG, 1}),
	 OUT(bind_virq, {VIRTUAL_IRQ_DEBUG, 1, 5})},
	{"bind_virq, bound already", EVENT(BIND_VIRQ), -EEXIST,
	 IN(bind_virq, {VIRTUAL_IRQ_DEBUG, 1})},
	{"bind_virq, no number", EVENT(BIND_VIRQ), -EINVAL, IN(bind_virq, {VIRTUAL_IRQS, 0})},
	{"bind_virq, a global one", EVENT(BIND_VIRQ), -EINVAL,
	 IN(bind_virq, {VIRTUAL_IRQ_CONSOLE, 1})},
	{"bind_virq, no vCPU", EVENT(BIND_VIRQ), -ENOENT,
	 IN(bind_virq, {VIRTUAL_IRQ_DEBUG, CALL_CPUS})},
	{"bind_ipi", EVENT(BIND_IPI), 0, IN(bind_ipi, {.vcpu = 1}), OUT(bind_ipi, {1, 6})},
	{"bind_ipi, no vCPU", EVENT(BIND_IPI), -ENOENT, IN(bind_ipi, {.vcpu = CALL_CPUS})},
	{"bind_vcpu", EVENT(BIND_VCPU), 0, IN(bind_vcpu, {4, 1})},
	{"bind_vcpu, a virq", EVENT(BIND_VCPU), -EINVAL, IN(bind_vcpu, {5, 0})},
	{"bind_vcpu, an IPI", EVENT(BIND_VCPU), -EINVAL, IN(bind_vcpu, {6, 0})},
	{"bind_vcpu, closed", EVENT(BIND_VCPU), -EINVAL, IN(bind_vcpu, {77, 0})},
	{"bind_vcpu, no vCPU", EVENT(BIND_VCPU), -ENOENT, IN(bind_vcpu, {4, CALL_CPUS})},
	{"status, the store's", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 1}),
	 OUT(status, {.domain = SELF, .port = 1, .state = 2, .u.interdomain = {0, 0, 1}})},
	{"status, unbound", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 3}),
	 OUT(status, {.domain = SELF, .port = 3, .state = 1, .u.unbound = {0}})},
	{"status, a loop", EVENT(STATUS), 0, IN(status, {.domain = 1, .port = 4}),
	 OUT(status, {.domain = 1, .port = 4, .state = 2, .vcpu = 1, .u.interdomain = {1, 0, 2}})},
	{"status, a virq", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 5}),
	 OUT(status, {.domain = SELF, .port = 5, .state = 4, .vcpu = 1, .u.virq = 1})},
	{"status, an IPI", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 6}),
	 OUT(status, {.domain = SELF, .port = 6, .state = 5, .vcpu = 1})},
	{"status, closed", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 77}),
	 OUT(status, {.domain = SELF, .port = 77, .state = 0})},
	{"status, no port", EVENT(STATUS), -EINVAL, IN(status, {.domain = SELF, .port = 0})},
	{"status, beyond", EVENT(STATUS), -EINVAL, IN(status, {.domain = SELF, .port = 4096})},
	{"status, domain 0", EVENT(STATUS), -EPERM, IN(status, {.domain = 0, .port = 1})},
	{"status, no domain", EVENT(STATUS), -ESRCH, IN(status, {.domain = 9, .port = 1})},
	{"send, a loop", EVENT(SEND), 0, IN(port, {4})},
	{"send, an IPI", EVENT(SEND), 0, IN(port, {6})},
	{"send, nobody hears it", EVENT(SEND), 0, IN(port, {3})},
	{"send, a virq", EVENT(SEND), -EINVAL, IN(port, {5})},
	{"send, closed", EVENT(SEND), -EINVAL, IN(port, {77})},
	{"send, no port", EVENT(SEND), -EINVAL, IN(port, {0})},
	{"send, beyond", EVENT(SEND), -EINVAL, IN(port, {UINT32_MAX})},
	{"unmask", EVENT(UNMASK), 0, IN(port, {4})},
	{"unmask, closed", EVENT(UNMASK), -EINVAL, IN(port, {77})},
	{"unmask, beyond", EVENT(UNMASK), -EINVAL, IN(port, {4096})},
	{"bind_pirq", EVENT(BIND_PIRQ), -ENOSYS},
	{"init_control", EVENT(INIT_CONTROL), -ENOSYS},
	{"expand_array", EVENT(EXPAND_ARRAY), -ENOSYS},
	{"set_priority", EVENT(SET_PRIORITY), -ENOSYS},
	{"no event op", CALL(EVENT_CHANNEL_OP, 99, CALL_ARGS), -ENOSYS},
	{"no event op at all", CALL(EVENT_CHANNEL_OP, UINT64_MAX, CALL_ARGS), -ENOSYS},
};

static const struct call_row close_rows[] = {
	{"a port", EVENT(ALLOC_UNBOUND), 0, IN(alloc_unbound, {SELF, SELF}),
	 OUT(alloc_unbound, {SELF, SELF, 2})},
	{"a loop to it", EVENT(BIND_INTERDOMAIN), 0,
	 IN(bind_interdomain, {.remote_domain = 1, .remote_port = 2}),
	 OUT(bind_interdomain, {.remote_domain = 1, .remote_port = 2, .local_port = 3})},
	{"close", EVENT(CLOSE), 0, IN(port, {3})},
	{"close: the other end", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 2}),
	 OUT(status, {.domain = SELF, .port = 2, .state = 1, .u.unbound = {1}})},
	{"close, closed", EVENT(CLOSE), -EINVAL, IN(port, {3})},
	{"close, the store's", EVENT(CLOSE), -EINVAL, IN(port, {1})},
	{"close, no port", EVENT(CLOSE), -EINVAL, IN(port, {0})},
	{"close, beyond", EVENT(CLOSE), -EINVAL, IN(port, {UINT32_MAX})},
	{"reset, domain 0", EVENT(RESET), -EPERM, IN(reset, {0})},
	{"reset, no domain", EVENT(RESET), -ESRCH, IN(reset, {9})},
	{"reset", EVENT(RESET), 0, IN(reset, {SELF})},
	{"reset: a port", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 2}),
	 OUT(status, {.domain = SELF, .port = 2, .state = 0})},
	{"reset: the store's", EVENT(STATUS), 0, IN(status, {.domain = SELF, .port = 1}),
	 OUT(status, {.domain = SELF, .port = 1, .state = 2, .u.interdomain = {0, 0, 1}})},
};

static const struct call_row grant_rows[] = {
	{"query_size", GRANT(QUERY_SIZE), 0, IN(query_size, {.domain = SELF}),
	 OUT(query_size, {.domain = SELF, .frames = 1, .frames_max = 256})},
	{"query_size, domain 0", GRANT(QUERY_SIZE), 0, IN(query_size, {.domain = 0}),
	 OUT(query_size, {.domain = 0, .status = GRANT_DENIED})},
	{"query_size, no domain", GRANT(QUERY_SIZE), 0, IN(query_size, {.domain = 9}),
	 OUT(query_size, {.domain = 9, .status = GRANT_BAD_DOMAIN})},
	{"query_size, of two", CALL(GRANT_TABLE_OP, GRANT_OP_QUERY_SIZE, CALL_ARGS, 2), -EINVAL},
	{"setup_table", GRANT(SETUP_TABLE), 0,
	 IN(setup_table, {.domain = 1, .frames = 2, .frame_list = CALL_LIST(0)}),
	 OUT(setup_table, {.domain = 1, .frames = 2, .frame_list = CALL_LIST(0)})},
	{"setup_table, too many", GRANT(SETUP_TABLE), 0,
	 IN(setup_table, {.domain = 1, .frames = 257}),
	 OUT(setup_table, {.domain = 1, .frames = 257, .status = GRANT_ERROR})},
	{"setup_table, list", GRANT(SETUP_TABLE), 0,
	 IN(setup_table, {.domain = 1, .frames = 1, .frame_list = CALL_OUTSIDE}),
	 OUT(setup_table,
	     {.domain = 1, .frames = 1, .status = GRANT_BAD_ADDRESS, .frame_list = CALL_OUTSIDE})},
	{"setup_table, domain 0", GRANT(SETUP_TABLE), 0,
	 IN(setup_table, {.domain = 0, .frames = 1}),
	 OUT(setup_table, {.domain = 0, .frames = 1, .status = GRANT_DENIED})},
	{"setup_table: the size", GRANT(QUERY_SIZE), 0, IN(query_size, {.domain = 1}),
	 OUT(query_size, {.domain = 1, .frames = 2, .frames_max = 256})},
	{"get_version", GRANT(GET_VERSION), 0, IN(get_version, {.domain = SELF}),
	 OUT(get_version, {.domain = SELF, .version = 1})},
	{"get_version, domain 0", GRANT(GET_VERSION), -EPERM, IN(get_version, {.domain = 0})},
	{"get_version, no domain", GRANT(GET_VERSION), -ESRCH, IN(get_version, {.domain = 9})},
	{"get_status_frames, version 1", GRANT(GET_STATUS_FRAMES), 0,
	 IN(get_status_frames, {.domain = 1, .frames = 1}),
	 OUT(get_status_frames, {.domain = 1, .frames = 1, .status = GRANT_ERROR})},
	{"set_version, 3", GRANT(SET_VERSION), -EINVAL, IN(set_version, {3}),
	 OUT(set_version, {1})},
	{"set_version, 0", GRANT(SET_VERSION), -EINVAL, IN(set_version, {0}),
	 OUT(set_version, {1})},
	{"set_version, 2", GRANT(SET_VERSION), 0, IN(set_version, {2})},
	{"set_version: 2", GRANT(GET_VERSION), 0, IN(get_version, {.domain = 1}),
	 OUT(get_version, {.domain = 1, .version = 2})},
	{"get_status_frames", GRANT(GET_STATUS_FRAMES), 0,
	 IN(get_status_frames, {.domain = 1, .frames = 1, .frame_list = CALL_LIST(1)}),
	 OUT(get_status_frames, {.domain = 1, .frames = 1, .frame_list = CALL_LIST(1)})},
	{"get_status_frames, too many", GRANT(GET_STATUS_FRAMES), 0,
	 IN(get_status_frames, {.domain = 1, .frames = 2}),
	 OUT(get_status_frames, {.domain = 1, .frames = 2, .status = GRANT_ERROR})},
	{"get_status_frames, list", GRANT(GET_STATUS_FRAMES), 0,
	 IN(get_status_frames, {.domain = 1, .frames = 1, .frame_list = CALL_OUTSIDE}),
	 OUT(get_status_frames,
	     {.domain = 1, .frames = 1, .status = GRANT_BAD_ADDRESS, .frame_list = CALL_OUTSIDE})},
	{"set_version, 1", GRANT(SET_VERSION), 0, IN(set_version, {1})},
	{"set_version: 1", GRANT(GET_VERSION), 0, IN(get_version, {.domain = 1}),
	 OUT(get_version, {.domain = 1, .version = 1})},
	{"map", GRANT(MAP), -ENOSYS},
	{"unmap", GRANT(UNMAP), -ENOSYS},
	{"dump_table", GRANT(DUMP_TABLE), -ENOSYS},
	{"transfer", GRANT(TRANSFER), -ENOSYS},
	{"copy", GRANT(COPY), -ENOSYS},
	{"unmap_and_replace", GRANT(UNMAP_AND_REPLACE), -ENOSYS},
	{"swap", GRANT(SWAP), -ENOSYS},
	{"cache_flush", GRANT(CACHE_FLUSH), -ENOSYS},
	{"no grant op", CALL(GRANT_TABLE_OP, UINT64_MAX, CALL_ARGS, 1), -ENOSYS},
};
