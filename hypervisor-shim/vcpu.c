// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The vCPU loop.
 *
 * A thread enters the guest and comes back for what KVM does not do itself; run_guest() has one
 * switch with all of it. With irqchips, timers, kicks and interrupts in the kernel that is only
 * port and memory accesses of configuration paths, and the end.
 *
 * Stopping is a flag, immediate_exit and a signal: the flag for a thread that is in the shim, the
 * signal for one that is in the guest, immediate_exit for one in between. A stopped machine has
 * no vCPU threads; a reset starts new ones.
 * vcpu_call.h calls a vCPU out of the guest in the same way.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/xen_hypercall.h"
#include "hypervisor-shim/vcpu.h"
#include "hypervisor-shim/vcpu_call.h"
#include "hypervisor-shim/vcpu_state.h"
#include "hypervisor-shim/vm.h"

#define MSR_MISC_ENABLE          0x1a0
#define MISC_ENABLE_FAST_STRINGS 1
#define MSR_MTRR_DEF_TYPE        0x2ff
#define MTRR_ENABLED_WRITE_BACK  (1u << 11 | 6)

#define CR0_PE     (1u << 0)
#define CR0_ET     (1u << 4)
#define CR0_NE     (1u << 5)
#define CR0_WP     (1u << 16)
#define CR0_PG     (1u << 31)
#define CR4_PAE    (1u << 5)
#define EFER_LME   (1u << 8)
#define EFER_LMA   (1u << 10)
#define RFLAGS_ONE (1u << 1)

struct vcpu {
	unsigned int number;
	int fd;
	struct kvm_run *run;
	struct vcpu_state *power_on;
	pthread_t thread;
	bool started;
};

static struct {
	struct vcpu vcpu[VM_CPUS_MAX];
	size_t run_size;
	atomic_bool stop;
} vcpus = {.vcpu = {[0 ... VM_CPUS_MAX - 1] = {.fd = -1}}};

/* The vCPU of this thread; also for the signal handler. */
static __thread struct vcpu *current;

static void handle_stop(int number)
{
	if (current)
		current->run->immediate_exit = 1;
}

static void install_handler(void)
{
	/* No SA_RESTART: KVM_RUN has to come back. */
	struct sigaction action = {.sa_handler = handle_stop};

	sigaction(VCPU_SIGNAL, &action, NULL);
}

static int set_cpuid(const struct vcpu *vcpu)
{
	struct kvm_cpuid2 *table = cpuid_make(vcpu->number, vm_cpus());
	int result = 0;

	if (!table || ioctl(vcpu->fd, KVM_SET_CPUID2, table) < 0)
		result = -errno;
	free(table);
	return result;
}

/* There is no firmware to switch caches and fast string moves on. */
static int set_firmware_msrs(const struct vcpu *vcpu)
{
	static const struct kvm_msr_entry values[] = {
		{.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRINGS},
		{.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK},
	};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = {.head.nmsrs = 1};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		one.entry = values[i];
		if (ioctl(vcpu->fd, KVM_SET_MSRS, &one) < 0)
			return -errno;
	}
	return 0;
}

static int open_vcpu(struct vcpu *vcpu, unsigned int number)
{
	int result;

	vcpu->number = number;
	vcpu->fd = ioctl(vm_fd(), KVM_CREATE_VCPU, (long)number);
	if (vcpu->fd < 0)
		return -errno;
	vcpu->run = mmap(NULL, vcpus.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return -errno;
	}
	result = set_cpuid(vcpu);
	if (!result)
		result = set_firmware_msrs(vcpu);
	if (result < 0)
		return result;
	vcpu->power_on = vcpu_state_read(vcpu->fd);
	return vcpu->power_on ? 0 : -errno;
}

int vcpus_open(void)
{
	int size = ioctl(vm_kvm_fd(), KVM_GET_VCPU_MMAP_SIZE, 0L), result;

	if (size < 0) {
		result = -errno;
		log_errno("KVM does not tell the size of a vCPU");
		return result;
	}
	vcpus.run_size = (size_t)size;
	install_handler();
	for (unsigned int i = 0; i < vm_cpus(); i++) {
		result = open_vcpu(&vcpus.vcpu[i], i);
		if (result < 0) {
			log_error("KVM cannot make vCPU %u of %u: %s; try fewer --cpus", i,
				  vm_cpus(), strerror(-result));
			vcpus_close();
			return result;
		}
	}
	return 0;
}

void vcpus_close(void)
{
	for (unsigned int i = 0; i < VM_CPUS_MAX; i++) {
		struct vcpu *vcpu = &vcpus.vcpu[i];

		vcpu_state_free(vcpu->power_on);
		vcpu->power_on = NULL;
		if (vcpu->run)
			munmap(vcpu->run, vcpus.run_size);
		vcpu->run = NULL;
		if (vcpu->fd >= 0)
			close(vcpu->fd);
		vcpu->fd = -1;
	}
}

static void set_flat_segments(struct kvm_sregs *sregs, bool long_mode)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 0x10,
		.type = 0xb, /* execute, read, accessed */
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !long_mode,
		.l = long_mode,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = 0x18,
		.type = 3, /* read, write, accessed */
		.present = 1,
		.s = 1,
		.g = 1,
		.db = 1,
	};

	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment){.limit = 0x67, .type = 0xb, .present = 1};
	sregs->ldt = (struct kvm_segment){.type = 2, .unusable = 1};
}

static int enter_at(int fd, const struct vcpu_entry *entry)
{
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rsi = entry->rsi,
		.rbx = entry->rbx,
		.rflags = RFLAGS_ONE,
	};
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	set_flat_segments(&sregs, entry->mode == VCPU_LONG_MODE);
	sregs.gdt.base = entry->gdt;
	sregs.gdt.limit = entry->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET;
	if (entry->mode == VCPU_LONG_MODE) {
		sregs.cr0 |= CR0_PG | CR0_NE | CR0_WP;
		sregs.cr3 = entry->page_tables;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

int vcpus_reset(const struct vcpu_entry *entry)
{
	int result = 0;

	for (unsigned int i = 0; !result && i < vm_cpus(); i++)
		result = vcpu_state_write(vcpus.vcpu[i].fd, vcpus.vcpu[i].power_on);
	if (!result)
		result = enter_at(vcpus.vcpu[0].fd, entry);
	if (result < 0)
		log_error("KVM refuses the power-on state of a vCPU: %s", strerror(-result));
	return result;
}

/* A string instruction (REP OUTS) brings many accesses at once. */
static void handle_port(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_port_write(run->io.port, data, run->io.size);
		else
			bus_port_read(run->io.port, data, run->io.size);
	}
}

static void handle_memory(struct kvm_run *run)
{
	if (run->mmio.is_write)
		bus_memory_write(run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_memory_read(run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

int vcpu_descriptor(unsigned int number)
{
	return vcpus.vcpu[number].fd;
}

bool vcpu_translate(uint64_t address, uint64_t *physical)
{
	struct kvm_translation translation = {.linear_address = address};

	if (!current || ioctl(current->fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid)
		return false;
	*physical = translation.physical_address;
	return true;
}

static void say_internal_error(const struct vcpu *vcpu, uint64_t rip)
{
	const struct kvm_run *run = vcpu->run;
	char bytes[3 * 15 + 1] = "";

	/* KVM_INTERNAL_ERROR_EMULATION tells the instruction, if its flags say so. */
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		for (int i = 0; i < run->emulation_failure.insn_size && i < 15; i++)
			sprintf(bytes + 3 * i, " %02x", run->emulation_failure.insn_bytes[i]);
	}
	log_error("KVM cannot go on with vCPU %u at 0x%llx: internal error %u%s%s", vcpu->number,
		  (unsigned long long)rip, run->internal.suberror, *bytes ? ", instruction" : "",
		  bytes);
}

static void say_fault(const struct vcpu *vcpu)
{
	struct kvm_regs regs = {0};

	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		say_internal_error(vcpu, regs.rip);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		log_error("the CPU refuses to enter vCPU %u at 0x%llx: reason 0x%llx", vcpu->number,
			  (unsigned long long)regs.rip,
			  (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		log_error("KVM left vCPU %u at 0x%llx for a reason that this version does not "
			  "know: %u",
			  vcpu->number, (unsigned long long)regs.rip, vcpu->run->exit_reason);
	}
}

static enum machine_event system_event(const struct kvm_run *run)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return MACHINE_POWER_OFF;
	case KVM_SYSTEM_EVENT_RESET:
		return MACHINE_RESET;
	default:
		return MACHINE_PANIC;
	}
}

/* Every reason for which a guest comes back here. */
static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_port(run);
		break;
	case KVM_EXIT_MMIO:
		handle_memory(run);
		break;
	case KVM_EXIT_XEN:
		xen_hypercall(vcpu->number, &run->xen);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN: /* a triple fault */
		machine_request(MACHINE_RESET);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		machine_request(system_event(run));
		break;
	default:
		say_fault(vcpu);
		machine_request(MACHINE_FAULT);
	}
}

static void run_guest(struct vcpu *vcpu)
{
	while (!atomic_load(&vcpus.stop) && machine_requested() == MACHINE_RUNNING) {
		vcpu_call_look();
		if (ioctl(vcpu->fd, KVM_RUN, 0L) < 0) {
			if (errno == EINTR || errno == EAGAIN) {
				/* Whoever wants something left it before it sent the signal. */
				vcpu->run->immediate_exit = 0;
				continue;
			}
			log_errno("KVM_RUN of vCPU %u", vcpu->number);
			machine_request(MACHINE_FAULT);
			return;
		}
		handle_exit(vcpu);
	}
}

/*
 * A port or memory access is complete for the guest only at the next KVM_RUN. With immediate_exit
 * that does just this, and a vCPU that is looked at later stands behind its instruction.
 */
static void complete_access(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	(void)ioctl(vcpu->fd, KVM_RUN, 0L);
	vcpu->run->immediate_exit = 0;
}

static void *vcpu_main(void *argument)
{
	struct vcpu *vcpu = argument;
	char name[16];
	sigset_t set;

	snprintf(name, sizeof(name), "vcpu %u", vcpu->number);
	pthread_setname_np(pthread_self(), name);
	current = vcpu;
	sigemptyset(&set);
	sigaddset(&set, VCPU_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	vcpu_call_enter(vcpu->number);
	run_guest(vcpu);
	vcpu_call_leave();
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	complete_access(vcpu);
	return NULL;
}

int vcpus_start(void)
{
	sigset_t all, before;
	int result = 0;

	/* All signals are the main thread's, but the one that vcpu_main() opens. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	atomic_store(&vcpus.stop, false);
	for (unsigned int i = 0; !result && i < vm_cpus(); i++) {
		struct vcpu *vcpu = &vcpus.vcpu[i];

		vcpu->run->immediate_exit = 0;
		result = -pthread_create(&vcpu->thread, NULL, vcpu_main, vcpu);
		vcpu->started = !result;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result < 0) {
		log_error("cannot start a vCPU thread: %s; see ulimit -u", strerror(-result));
		vcpus_stop();
	}
	return result;
}

void vcpus_stop(void)
{
	atomic_store(&vcpus.stop, true);
	for (unsigned int i = 0; i < VM_CPUS_MAX; i++) {
		if (vcpus.vcpu[i].started)
			pthread_kill(vcpus.vcpu[i].thread, VCPU_SIGNAL);
	}
	for (unsigned int i = 0; i < VM_CPUS_MAX; i++) {
		if (vcpus.vcpu[i].started)
			pthread_join(vcpus.vcpu[i].thread, NULL);
		vcpus.vcpu[i].started = false;
	}
}
