/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Hypercalls: Xen's numbers, sub-operations and argument structs, as a 64-bit x86 guest uses them.
 *
 * A call has a number and up to five arguments. Most numbers name a family: the first argument is
 * then the sub-operation, the second the address of its argument struct below. The answer is a
 * signed 64-bit number, negative errno on failure; the errno values are those of Linux on x86.
 *
 * Two ways lead in (platform.h has the private one). They differ in what an address means:
 *
 *   in-tree Xen guests   VMCALL or VMMCALL; number in RAX, arguments in RDI, RSI, RDX, R10, R8,
 *                        answer in RAX; addresses are guest-virtual ones of the calling vCPU
 *   pvkit's own modules  an OUT instruction; number, arguments and answer in a block in guest
 *                        memory; addresses are guest-physical, what they name is contiguous there
 *
 * Addresses are integers here, also those that lie inside the structs: nobody but the guest may
 * dereference them. Input fields are marked in, output fields out.
 *
 * Names are pvkit's own so that a file may include Xen's headers beside this one; each comment has
 * Xen's name where the two differ by more than their prefix.
 */
#ifndef PVKIT_ABI_HYPERCALL_H
#define PVKIT_ABI_HYPERCALL_H

#include "abi/types.h"

#define HYPERCALL_ARGUMENTS_MAX 5

#define XEN_FRAME_SHIFT 12
#define XEN_FRAME_BYTES 4096

enum hypercall {
	HYPERCALL_MEMORY_OP = 12,
	HYPERCALL_MULTICALL = 13,
	HYPERCALL_SET_TIMER_OP = 15, /* argument 1: absolute system time in ns; 0 disarms */
	HYPERCALL_XEN_VERSION = 17,
	HYPERCALL_CONSOLE_IO = 18, /* sub-operation, byte count, address of the bytes */
	HYPERCALL_GRANT_TABLE_OP = 20, /* grant_table.h; third argument: count of structs */
	HYPERCALL_VM_ASSIST = 21,
	HYPERCALL_VCPU_OP = 24, /* sub-operation, vCPU, address of the struct */
	HYPERCALL_SCHED_OP = 29,
	HYPERCALL_CALLBACK_OP = 30,
	HYPERCALL_EVENT_CHANNEL_OP = 32, /* event_channel.h */
	HYPERCALL_PHYSDEV_OP = 33,
	HYPERCALL_HVM_OP = 34,
	HYPERCALL_ARCH_0 = 48,
	HYPERCALL_ARCH_7 = 55, /* the last of eight left to each port of Xen: platform.h takes it */
};

/* ---- domains --------------------------------------------------------------------------------- */

#define DOMAIN_FIRST_RESERVED 0x7ff0 /* real domains are below */
#define DOMAIN_SELF           0x7ff0 /* the caller */
#define DOMAIN_IO             0x7ff1
#define DOMAIN_XEN            0x7ff2
#define DOMAIN_INVALID        0x7ff4

/* Our back-ends speak as the domain that holds Xen's own back-ends. */
#define DOMAIN_BACKEND 0

/* ---- identity by CPUID ----------------------------------------------------------------------- */

/*
 * In-tree guests look for the signature at multiples of 0x100 from 0x40000000 to 0x4000ff00 and
 * take what they find first, but other hypervisors are asked first or last by priority: so no KVM
 * signature may stand above Xen's. Never show it where the kernel below cannot pass hypercalls on:
 * a guest that believes it and cannot place its shared_info page stops at boot.
 */
#define XEN_LEAF_FIRST     0x40000000U
#define XEN_LEAF_LAST      0x4000ff00U
#define XEN_LEAF_STEP      0x100U
#define XEN_LEAF_SIGNATURE "XenVMMXenVMM" /* EBX, ECX, EDX of the base leaf */
#define XEN_LEAF_VERSION   1 /* base + 1: EAX = major << 16 | minor */
#define XEN_LEAF_HYPERCALL 2 /* base + 2: EAX hypercall pages, EBX number of the MSR */
#define XEN_LEAF_TIME      3 /* base + 3: about the TSC */
#define XEN_LEAF_HVM       4 /* base + 4: EAX of the bits below, EBX vCPU id, ECX domain id */
#define XEN_LEAVES_MAX     5
#define XEN_MSR_HYPERCALL  0x40000000U /* write: guest-physical address of a page to fill */

#define XEN_LEAF_HVM_APIC_ACCESS    (1U << 0)
#define XEN_LEAF_HVM_X2APIC         (1U << 1)
#define XEN_LEAF_HVM_IOMMU_MAPPINGS (1U << 2)
#define XEN_LEAF_HVM_VCPU_ID        (1U << 3) /* EBX holds something */
#define XEN_LEAF_HVM_DOMAIN_ID      (1U << 4) /* ECX holds something */
#define XEN_LEAF_HVM_EXT_DEST_ID    (1U << 5) /* 15-bit APIC ids in MSI messages */
#define XEN_LEAF_HVM_UPCALL_VECTOR \
	(1U << 6) /* HVM_OP_SET_UPCALL_VECTOR is enough for every event */

/* ---- memory_op ------------------------------------------------------------------------------- */

enum memory_op {
	MEMORY_OP_INCREASE_RESERVATION = 0,
	MEMORY_OP_DECREASE_RESERVATION = 1,
	MEMORY_OP_CURRENT_RESERVATION = 3,
	MEMORY_OP_MAXIMUM_RESERVATION = 4,
	MEMORY_OP_POPULATE_PHYSMAP = 6,
	MEMORY_OP_ADD_TO_PHYSMAP = 7,
	MEMORY_OP_MEMORY_MAP = 9,
	MEMORY_OP_REMOVE_FROM_PHYSMAP = 15,
	MEMORY_OP_ADD_TO_PHYSMAP_BATCH = 23,
};

/* What ADD_TO_PHYSMAP puts at a frame of the guest. */
enum memory_space {
	MEMORY_SPACE_SHARED_INFO = 0,
	MEMORY_SPACE_GRANT_TABLE = 1, /* ->index: frame of the table, or of the status frames */
	MEMORY_SPACE_GMFN = 2,
	MEMORY_SPACE_GMFN_RANGE = 3,
	MEMORY_SPACE_GMFN_FOREIGN = 4,
	MEMORY_SPACE_DEV_MMIO = 5,
};

/* Or'ed to ->index in space GRANT_TABLE: a status frame of version 2, no entry frame. */
#define MEMORY_INDEX_GRANT_STATUS 0x80000000U

/* ADD_TO_PHYSMAP. shared_info goes to RAM, grant frames to frames outside RAM. */
struct memory_add_to_physmap {
	uint16_t domain; /* in */
	uint16_t size; /* in: frames, space GMFN_RANGE only */
	uint32_t space; /* in: enum memory_space */
	uint64_t index; /* in */
	uint64_t frame; /* in: where the guest wants to see it */
};
ABI_ASSERT(sizeof(struct memory_add_to_physmap) == 24);
ABI_ASSERT(offsetof(struct memory_add_to_physmap, index) == 8);

/* ADD_TO_PHYSMAP_BATCH. */
struct memory_add_to_physmap_batch {
	uint16_t domain; /* in */
	uint16_t space; /* in */
	uint16_t size; /* in: elements of each array */
	uint16_t foreign_domain; /* in: space GMFN_FOREIGN; 0 else */
	uint64_t indices; /* in: address of uint64_t[] */
	uint64_t frames; /* in: address of uint64_t[] */
	uint64_t errors; /* in: address of int32_t[], which is out */
};
ABI_ASSERT(sizeof(struct memory_add_to_physmap_batch) == 32);
ABI_ASSERT(offsetof(struct memory_add_to_physmap_batch, indices) == 8);

/* REMOVE_FROM_PHYSMAP. */
struct memory_remove_from_physmap {
	uint16_t domain; /* in */
	uint16_t padding[3];
	uint64_t frame; /* in */
};
ABI_ASSERT(sizeof(struct memory_remove_from_physmap) == 16);

/* INCREASE_RESERVATION, DECREASE_RESERVATION, POPULATE_PHYSMAP: the balloon. */
struct memory_reservation {
	uint64_t extents; /* in: address of uint64_t[] of frame numbers */
	uint64_t count; /* in */
	uint32_t order; /* in: frames of an extent, as a power of two */
	uint32_t flags; /* in */
	uint16_t domain; /* in */
	uint16_t padding[3];
};
ABI_ASSERT(sizeof(struct memory_reservation) == 32);
ABI_ASSERT(offsetof(struct memory_reservation, domain) == 24);

/* CURRENT_RESERVATION, MAXIMUM_RESERVATION: the answer is a count of frames. */
struct memory_domain {
	uint16_t domain; /* in */
};
ABI_ASSERT(sizeof(struct memory_domain) == 2);

/* MEMORY_MAP: the E820 map. */
struct memory_map {
	uint32_t count; /* in: room; out: entries written */
	uint32_t padding;
	uint64_t entries; /* in: address of struct memory_map_entry[] */
};
ABI_ASSERT(sizeof(struct memory_map) == 16);
ABI_ASSERT(offsetof(struct memory_map, entries) == 8);

/* The BIOS's own format, of 20 bytes. */
struct memory_map_entry {
	uint64_t address;
	uint64_t size;
	uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS, 5 unusable */
} __attribute__((packed));
ABI_ASSERT(sizeof(struct memory_map_entry) == 20);

/* ---- xen_version ----------------------------------------------------------------------------- */

enum version_op {
	VERSION_OP_VERSION = 0, /* no struct; answers major << 16 | minor */
	VERSION_OP_EXTRAVERSION = 1, /* char[VERSION_EXTRAVERSION_BYTES] */
	VERSION_OP_COMPILE_INFO = 2,
	VERSION_OP_CAPABILITIES = 3, /* char[VERSION_CAPABILITIES_BYTES] */
	VERSION_OP_CHANGESET = 4, /* char[VERSION_CHANGESET_BYTES] */
	VERSION_OP_PLATFORM_PARAMETERS = 5,
	VERSION_OP_GET_FEATURES = 6,
	VERSION_OP_PAGESIZE = 7, /* no struct; answers 4096 */
	VERSION_OP_GUEST_HANDLE = 8, /* a domain's UUID, 16 bytes */
	VERSION_OP_COMMANDLINE = 9,
	VERSION_OP_BUILD_ID = 10,
};

#define VERSION_EXTRAVERSION_BYTES 16
#define VERSION_CAPABILITIES_BYTES 1024
#define VERSION_CHANGESET_BYTES    64
#define VERSION_COMMANDLINE_BYTES  1024

/* COMPILE_INFO. */
struct version_compile_info {
	char compiler[64];
	char compile_by[16];
	char compile_domain[32];
	char compile_date[32];
};
ABI_ASSERT(sizeof(struct version_compile_info) == 144);

/* PLATFORM_PARAMETERS. */
struct version_platform_parameters {
	uint64_t virtual_start;
};
ABI_ASSERT(sizeof(struct version_platform_parameters) == 8);

/* GET_FEATURES: 32 features a word; there is but word 0, all others are answered with zeroes. */
struct version_features {
	uint32_t word; /* in */
	uint32_t features; /* out: 1 << enum xen_feature */
};
ABI_ASSERT(sizeof(struct version_features) == 8);

#define VERSION_FEATURE_WORDS 1

enum xen_feature {
	XEN_FEATURE_WRITABLE_PAGE_TABLES = 0,
	XEN_FEATURE_WRITABLE_DESCRIPTOR_TABLES = 1,
	XEN_FEATURE_AUTO_TRANSLATED_PHYSMAP = 2, /* guest frames are not machine frames */
	XEN_FEATURE_SUPERVISOR_MODE_KERNEL = 3, /* the guest's kernel runs in ring 0 */
	XEN_FEATURE_PAE_PGDIR_ABOVE_4GB = 4,
	XEN_FEATURE_MMU_PT_UPDATE_PRESERVE_AD = 5,
	XEN_FEATURE_HIGHMEM_ASSIST = 6,
	XEN_FEATURE_GRANT_MAP_AVAIL_BITS = 7,
	XEN_FEATURE_HVM_CALLBACK_VECTOR = 8, /* HVM_CALLBACK_BY_VECTOR works */
	XEN_FEATURE_HVM_SAFE_PVCLOCK = 9, /* the clock in vcpu_info works */
	XEN_FEATURE_HVM_PIRQS = 10, /* device interrupts as event channels: never here */
	XEN_FEATURE_DOM0 = 11,
};

/* ---- sched_op -------------------------------------------------------------------------------- */

enum sched_op {
	SCHED_OP_YIELD = 0, /* no struct */
	SCHED_OP_BLOCK = 1, /* no struct; enables event delivery, then waits for one */
	SCHED_OP_SHUTDOWN = 2,
	SCHED_OP_POLL = 3,
	SCHED_OP_REMOTE_SHUTDOWN = 4,
	SCHED_OP_SHUTDOWN_CODE = 5, /* as SHUTDOWN, but only records the reason */
	SCHED_OP_WATCHDOG = 6, /* answers the id of a new watchdog */
	SCHED_OP_PIN_OVERRIDE = 7,
};

enum sched_shutdown_reason {
	SCHED_SHUTDOWN_POWEROFF = 0,
	SCHED_SHUTDOWN_REBOOT = 1,
	SCHED_SHUTDOWN_SUSPEND = 2, /* returns 1 when cancelled, 0 when resumed */
	SCHED_SHUTDOWN_CRASH = 3,
	SCHED_SHUTDOWN_WATCHDOG = 4,
	SCHED_SHUTDOWN_SOFT_RESET = 5, /* kexec: keep memory, forget the rest */
	SCHED_SHUTDOWN_MAX = 5,
};

/* SHUTDOWN, SHUTDOWN_CODE. */
struct sched_shutdown_args {
	uint32_t reason; /* in */
};
ABI_ASSERT(sizeof(struct sched_shutdown_args) == 4);

/*
 * POLL: sleeps until one of the ports is pending. All of them masked, or the caller misses events.
 */
struct sched_poll_args {
	uint64_t ports; /* in: address of uint32_t[] */
	uint32_t count; /* in: 0..SCHED_POLL_PORTS_MAX */
	uint32_t padding;
	uint64_t timeout; /* in: absolute system time in ns; 0: none */
};
ABI_ASSERT(sizeof(struct sched_poll_args) == 24);
ABI_ASSERT(offsetof(struct sched_poll_args, timeout) == 16);

#define SCHED_POLL_PORTS_MAX 128

/* WATCHDOG. */
struct sched_watchdog_args {
	uint32_t id; /* in: 0 for a new one */
	uint32_t timeout; /* in: seconds; 0 with an id: ends it */
};
ABI_ASSERT(sizeof(struct sched_watchdog_args) == 8);

/* ---- vcpu_op --------------------------------------------------------------------------------- */

enum vcpu_op {
	VCPU_OP_INITIALISE = 0,
	VCPU_OP_UP = 1,
	VCPU_OP_DOWN = 2,
	VCPU_OP_IS_UP = 3, /* no struct; answers 0 or 1 */
	VCPU_OP_GET_RUNSTATE = 4,
	VCPU_OP_REGISTER_RUNSTATE_AREA = 5,
	VCPU_OP_SET_PERIODIC_TIMER = 6,
	VCPU_OP_STOP_PERIODIC_TIMER = 7, /* no struct; Linux gives up when this fails */
	VCPU_OP_SET_SINGLESHOT_TIMER = 8,
	VCPU_OP_STOP_SINGLESHOT_TIMER = 9, /* no struct */
	VCPU_OP_REGISTER_VCPU_INFO = 10,
	VCPU_OP_SEND_NMI = 11,
	VCPU_OP_GET_PHYSICAL_ID = 12,
	VCPU_OP_REGISTER_TIME_AREA = 13,
};

enum vcpu_runstate {
	VCPU_RUNSTATE_RUNNING = 0,
	VCPU_RUNSTATE_RUNNABLE = 1,
	VCPU_RUNSTATE_BLOCKED = 2,
	VCPU_RUNSTATE_OFFLINE = 3,
	VCPU_RUNSTATES = 4,
};

/* GET_RUNSTATE; also what a registered area holds. */
struct vcpu_runstate_area {
	uint32_t state; /* enum vcpu_runstate */
	uint32_t padding;
	uint64_t entered; /* system time in ns; VCPU_RUNSTATE_UPDATING while it is being written */
	uint64_t time[VCPU_RUNSTATES]; /* ns spent in each */
};
ABI_ASSERT(sizeof(struct vcpu_runstate_area) == 48);
ABI_ASSERT(offsetof(struct vcpu_runstate_area, entered) == 8);

#define VCPU_RUNSTATE_UPDATING (1ULL << 63)

/* REGISTER_RUNSTATE_AREA, REGISTER_TIME_AREA. */
struct vcpu_register_area {
	uint64_t address; /* in */
};
ABI_ASSERT(sizeof(struct vcpu_register_area) == 8);

/* SET_PERIODIC_TIMER. */
struct vcpu_periodic_timer {
	uint64_t period; /* in: ns */
};
ABI_ASSERT(sizeof(struct vcpu_periodic_timer) == 8);

/* SET_SINGLESHOT_TIMER: raises VIRQ_TIMER at @timeout. */
struct vcpu_singleshot_timer {
	uint64_t timeout; /* in: absolute system time in ns */
	uint32_t flags; /* in: VCPU_TIMER_* */
	uint32_t padding;
};
ABI_ASSERT(sizeof(struct vcpu_singleshot_timer) == 16);

#define VCPU_TIMER_FUTURE (1U << 0) /* -ETIME when @timeout has passed already */

/* REGISTER_VCPU_INFO: struct vcpu_info_area (event_channel.h) elsewhere than in shared_info. */
struct vcpu_register_info {
	uint64_t frame; /* in: a frame of RAM */
	uint32_t offset; /* in: within it; the struct may not cross its end */
	uint32_t reserved;
};
ABI_ASSERT(sizeof(struct vcpu_register_info) == 16);

/* GET_PHYSICAL_ID. */
struct vcpu_physical_id {
	uint64_t id; /* out: APIC id | ACPI id << 32 */
};
ABI_ASSERT(sizeof(struct vcpu_physical_id) == 8);

/* ---- hvm_op ---------------------------------------------------------------------------------- */

enum hvm_op {
	HVM_OP_SET_PARAMETER = 0,
	HVM_OP_GET_PARAMETER = 1,
	HVM_OP_FLUSH_TLBS = 5, /* no struct */
	HVM_OP_PAGETABLE_DYING = 9,
	HVM_OP_GET_TIME = 10,
	HVM_OP_GET_MEMORY_TYPE = 15,
	HVM_OP_SET_UPCALL_VECTOR = 23,
};

enum hvm_parameter {
	HVM_PARAMETER_CALLBACK_IRQ = 0, /* how events interrupt the guest: below */
	HVM_PARAMETER_STORE_FRAME = 1,
	HVM_PARAMETER_STORE_PORT = 2,
	HVM_PARAMETER_IOREQ_FRAME = 5,
	HVM_PARAMETER_BUFIOREQ_FRAME = 6,
	HVM_PARAMETER_TIMER_MODE = 10,
	HVM_PARAMETER_HPET_ENABLED = 11,
	HVM_PARAMETER_IDENTITY_PT = 12,
	HVM_PARAMETER_ACPI_S_STATE = 14,
	HVM_PARAMETER_VPT_ALIGN = 16,
	HVM_PARAMETER_CONSOLE_FRAME = 17,
	HVM_PARAMETER_CONSOLE_PORT = 18,
	HVM_PARAMETER_ACPI_IOPORTS_LOCATION = 19,
	HVM_PARAMETER_TRIPLE_FAULT_REASON = 31,
	HVM_PARAMETER_VM_GENERATION_ID = 34,
	HVM_PARAMETERS = 39,
};

/* SET_PARAMETER, GET_PARAMETER. */
struct hvm_parameter_args {
	uint16_t domain; /* in */
	uint16_t padding;
	uint32_t index; /* in: enum hvm_parameter */
	uint64_t value; /* in to set, out to get */
};
ABI_ASSERT(sizeof(struct hvm_parameter_args) == 16);
ABI_ASSERT(offsetof(struct hvm_parameter_args, value) == 8);

/* HVM_PARAMETER_CALLBACK_IRQ: the way in the top byte; 0 as a whole: none. */
#define HVM_CALLBACK_TYPE_SHIFT  56
#define HVM_CALLBACK_TYPE_MASK   0xff00000000000000ULL
#define HVM_CALLBACK_BY_GSI      0ULL /* low bits: the GSI */
#define HVM_CALLBACK_BY_PCI_INTX 1ULL /* domain << 32, bus << 16, device << 11, pin in the low 2 */
#define HVM_CALLBACK_BY_VECTOR   2ULL /* low byte: the vector, on every vCPU, no EOI */

/* GET_TIME. */
struct hvm_time_args {
	uint64_t now; /* out: system time in ns */
};
ABI_ASSERT(sizeof(struct hvm_time_args) == 8);

/* PAGETABLE_DYING. */
struct hvm_pagetable_dying_args {
	uint16_t domain; /* in */
	uint16_t padding[3];
	uint64_t address; /* in: of the top-level table */
};
ABI_ASSERT(sizeof(struct hvm_pagetable_dying_args) == 16);

/* GET_MEMORY_TYPE. */
struct hvm_memory_type_args {
	uint16_t domain; /* in */
	uint16_t type; /* out: 0 RAM, 1 read-only RAM, 2 emulated */
	uint16_t padding[2];
	uint64_t frame; /* in */
};
ABI_ASSERT(sizeof(struct hvm_memory_type_args) == 16);

/* SET_UPCALL_VECTOR: per vCPU, delivered as a local APIC interrupt that wants an EOI. */
struct hvm_upcall_vector_args {
	uint32_t vcpu; /* in */
	uint8_t vector; /* in: 16..255 */
	uint8_t padding[3];
};
ABI_ASSERT(sizeof(struct hvm_upcall_vector_args) == 8);
ABI_ASSERT(offsetof(struct hvm_upcall_vector_args, vector) == 4);

/* ---- console_io, multicall, the platform device of in-tree guests ---------------------------- */

enum console_op {
	CONSOLE_OP_WRITE = 0,
	CONSOLE_OP_READ = 1, /* answers the count of bytes read */
};

/* MULTICALL: address of these, their count. */
struct multicall_call {
	uint64_t number; /* in */
	uint64_t result; /* out */
	uint64_t argument[6]; /* in */
};
ABI_ASSERT(sizeof(struct multicall_call) == 64);

#define XEN_PLATFORM_VENDOR 0x5853
#define XEN_PLATFORM_DEVICE 0x0001

/*
 * The unplug port of emulated devices: read 16 bits for the magic, write 16 bits of what to remove.
 */
#define XEN_UNPLUG_PORT      0x10
#define XEN_UNPLUG_MAGIC     0x49d2
#define XEN_UNPLUG_IDE_DISKS 0x1
#define XEN_UNPLUG_NICS      0x2
#define XEN_UNPLUG_AUX_DISKS 0x4
#define XEN_UNPLUG_NVME      0x8

#define XEN_DEBUG_PORT 0xe9 /* bytes written there go to the hypervisor's log */

#endif
