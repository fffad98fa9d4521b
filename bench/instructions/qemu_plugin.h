/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The part of QEMU's plugin interface (docs/devel/tcg-plugins of QEMU) that plugin.c uses, declared here
 * since Debian packages no header for it. Version 1, which is that of QEMU 7.2; the functions are the
 * program's own.
 */
#ifndef PVKIT_BENCH_INSTRUCTIONS_QEMU_PLUGIN_H
#define PVKIT_BENCH_INSTRUCTIONS_QEMU_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define QEMU_PLUGIN_VERSION    1
#define QEMU_PLUGIN_CB_NO_REGS 0 /* the callback looks at no register */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

typedef struct {
	const char *target_name;
	struct {
		int min, cur;
	} version;
	_Bool system_emulation;
	struct {
		int smp_vcpus, max_vcpus;
	} system;
} qemu_info_t;

/* The plugin's own: what QEMU calls first. 0, or -1: not to be used. */
__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);
extern __attribute__((visibility("default"))) int qemu_plugin_version;

/* A block is about to be translated, by the thread of the vCPU that will run it. */
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*call)(qemu_plugin_id_t id,
							struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);
/* Before each time that the instruction is executed. */
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*call)(unsigned int vcpu, void *data), int flags,
					    void *data);

#endif
