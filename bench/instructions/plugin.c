// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A plugin of QEMU's emulator that counts the instructions which a guest of the nested lab executes
 * between two marks, each address by itself.
 *
 *	-plugin plugin.so,out=FILE
 *
 * The lab's kernel and its guest's may lie at the same addresses. What tells them apart is VMRUN: after it
 * the guest runs, and it ends with the lab's kernel at the instruction behind that VMRUN. QEMU translates
 * a block anew for the other mode, so only the guest's blocks are made to count.
 *
 * A mark is a NOP of a form that nobody else uses (marks.h). At the one that ends a window the counts go to
 * FILE: "window", then a line of address and count for each instruction that was executed, then "end".
 *
 * An instruction with a repeat prefix counts once, as on a CPU, though the emulator goes around for each
 * element. One that faults counts each time that it is tried. The guest has one vCPU, so counters
 * need no lock: it may change threads, but is in one at a time.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/instructions/marks.h"
#include "bench/instructions/qemu_plugin.h"

#define PLACES_BITS 21
#define PLACES      (1u << PLACES_BITS)
#define VMRUNS_MAX  16

struct place {
	uint64_t address; /* 0: free */
	uint64_t count;
};

struct vmrun {
	uint64_t address;
	uintptr_t host;
};

static struct place places[PLACES];
static struct vmrun vmruns[VMRUNS_MAX];
static unsigned int vmrun_count;
static bool window; /* between two marks */
static FILE *output;

static __thread bool in_guest;
static __thread struct place *last;

int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* Two threads may translate at once, so a free place is taken by an atomic exchange. */
static struct place *place_of(uint64_t address)
{
	uint32_t start = (uint32_t)((address * 0x9e3779b97f4a7c15ull) >> (64 - PLACES_BITS));

	for (uint32_t i = 0; i < PLACES; i++) {
		struct place *place = &places[(start + i) % PLACES];
		uint64_t found = 0;

		if (__atomic_compare_exchange_n(&place->address, &found, address, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
		    found == address)
			return place;
	}
	fprintf(stderr, "plugin: the guest has more than %u instructions\n", PLACES);
	exit(1);
}

/* ---- execution --------------------------------------------------------------------------------- */

static void enters_guest(unsigned int vcpu, void *data)
{
	in_guest = true;
	last = NULL;
}

static void leaves_guest(unsigned int vcpu, void *data)
{
	in_guest = false;
}

static void count(unsigned int vcpu, void *data)
{
	struct place *place = data;

	if (window)
		place->count++;
	last = place;
}

static void count_once(unsigned int vcpu, void *data)
{
	struct place *place = data;

	if (window && last != place)
		place->count++;
	last = place;
}

static void open_window(unsigned int vcpu, void *data)
{
	for (uint32_t i = 0; i < PLACES; i++)
		places[i].count = 0;
	window = true;
}

static void close_window(unsigned int vcpu, void *data)
{
	if (!window)
		return;
	window = false;
	fprintf(output, "window\n");
	for (uint32_t i = 0; i < PLACES; i++) {
		if (places[i].count)
			fprintf(output, "%" PRIx64 " %" PRIu64 "\n", places[i].address,
				places[i].count);
	}
	fprintf(output, "end\n");
	fflush(output);
}

/* ---- translation ------------------------------------------------------------------------------- */

static bool is_vmrun(const uint8_t *code, size_t size)
{
	return size == 3 && !memcmp(code, "\x0f\x01\xd8", 3);
}

static bool follows_vmrun(const struct qemu_plugin_insn *insn)
{
	uint64_t address = qemu_plugin_insn_vaddr(insn);
	uintptr_t host = (uintptr_t)qemu_plugin_insn_haddr(insn);

	for (unsigned int i = 0; i < vmrun_count; i++) {
		if (vmruns[i].address + 3 == address && vmruns[i].host + 3 == host)
			return true;
	}
	return false;
}

static void note_vmrun(struct qemu_plugin_insn *insn)
{
	unsigned int i = vmrun_count;

	for (unsigned int j = 0; j < i; j++) {
		if (vmruns[j].address == qemu_plugin_insn_vaddr(insn))
			i = j;
	}
	if (i == VMRUNS_MAX)
		return;
	vmruns[i].address = qemu_plugin_insn_vaddr(insn);
	vmruns[i].host = (uintptr_t)qemu_plugin_insn_haddr(insn);
	if (i == vmrun_count)
		__atomic_store_n(&vmrun_count, i + 1, __ATOMIC_SEQ_CST);
	qemu_plugin_register_vcpu_insn_exec_cb(insn, enters_guest, QEMU_PLUGIN_CB_NO_REGS, NULL);
}

/* A string instruction behind F2 or F3 and, maybe, other prefixes. */
static bool repeats(const uint8_t *code, size_t size)
{
	bool prefix = false;
	size_t i = 0;

	for (; i < size; i++) {
		if (code[i] == 0xf2 || code[i] == 0xf3)
			prefix = true;
		else if (code[i] != 0x66 && code[i] != 0x67 && (code[i] & 0xf0) != 0x40)
			break;
	}
	if (!prefix || i == size)
		return false;
	return (code[i] >= 0x6c && code[i] <= 0x6f) || (code[i] >= 0xa4 && code[i] <= 0xa7) ||
	       (code[i] >= 0xaa && code[i] <= 0xaf);
}

/* NOP of 7 bytes with a 32-bit displacement. */
static uint32_t mark_of(const uint8_t *code, size_t size)
{
	uint32_t mark = 0;

	if (size == 7 && code[0] == 0x0f && code[1] == 0x1f && code[2] == 0x80)
		memcpy(&mark, code + 3, sizeof(mark));
	return mark;
}

static void instrument(struct qemu_plugin_insn *insn)
{
	const uint8_t *code = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn);
	void (*call)(unsigned int vcpu, void *data) = repeats(code, size) ? count_once : count;

	if (mark_of(code, size) == MARK_BEGIN)
		call = open_window;
	else if (mark_of(code, size) == MARK_END)
		call = close_window;
	qemu_plugin_register_vcpu_insn_exec_cb(insn, call, QEMU_PLUGIN_CB_NO_REGS,
					       place_of(qemu_plugin_insn_vaddr(insn)));
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);
	struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0);

	if (in_guest && !follows_vmrun(first)) {
		for (size_t i = 0; i < n; i++)
			instrument(qemu_plugin_tb_get_insn(tb, i));
		return;
	}
	if (follows_vmrun(first))
		qemu_plugin_register_vcpu_insn_exec_cb(first, leaves_guest, QEMU_PLUGIN_CB_NO_REGS,
						       NULL);
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (is_vmrun(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn)))
			note_vmrun(insn);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	const char *path = argc == 1 && !strncmp(argv[0], "out=", 4) ? argv[0] + 4 : NULL;

	output = path ? fopen(path, "w") : NULL;
	if (!output) {
		fprintf(stderr, "plugin: out=FILE is needed, a file that can be written\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
