/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The platform: pvkit's own entrance to PV mode, for guests that load pvkit's modules, on any KVM.
 *
 * Why not Xen's entrance: without CONFIG_KVM_XEN a VMCALL never leaves the kernel, nobody can
 * inject a Xen upcall, and a guest that is shown Xen's signature stops at boot. What every KVM has
 * is: port I/O that exits, ioeventfds, irqfds and PCI. So:
 *
 *	find		a CPUID signature of our own, and a PCI device
 *	hypercall	OUT to one port; number, arguments and answer in 64 bytes of guest memory
 *	notify		a write to the port's own word in the doorbell BAR: an ioeventfd
 *	be notified	MSI-X: port p has vector p; the others share vector 0, with pending bits
 *	share		grant frames, store page and pending bits in a BAR that is memory
 *
 * Numbers, structs and meaning of the calls are those of hypercall.h, event_channel.h and
 * grant_table.h.
 *
 * Who writes what
 *
 *	where			guest			shim			back-end
 *	registers		ACCEPT only		all others		–
 *	doorbells		writes			ioeventfds		reads the eventfds
 *	call block		all but ->result	->result		–
 *	pending page		clears bits		->vectors		sets bits
 *	grant frames		entries			clears at reset		use flags
 *	status frames		–			clears at reset		use flags
 *	store page		its half of the ring	the other half		–
 *
 * Life of a module
 *
 *	CPUID leaf: signature, major version known?	else: no platform, or a newer one; say which
 *	PCI device: BARs; registers: magic, version, sizes
 *	PLATFORM_OP_RESET				whatever a predecessor left is gone
 *	write ACCEPT: the features that it will use	from now on they are in force
 *	pci_alloc_irq_vectors: got V, handlers for all of them
 *	PLATFORM_OP_SET_VECTORS, V			events interrupt; what was latched does now
 *	… ports, grants, store, devices …
 *	PLATFORM_OP_SET_VECTORS, 0			events are latched, no interrupt any more
 *	frees its interrupts
 *	PLATFORM_OP_RESET				no port, no grant in use; or -EBUSY
 *
 * Versions: the major changes when an old module would go wrong, the minor when something is added
 * that an old module need not know; additions that change what exists are features, off until
 * accepted.
 *
 * Trust: everything here is the guest's own to break, for itself. The shim and the back-ends copy
 * what they read from these pages once, and check the copy. A back-end that sets bits or flags
 * wrongly costs the guest spurious interrupts, or grants that it cannot take back.
 */
#ifndef PVKIT_ABI_PLATFORM_H
#define PVKIT_ABI_PLATFORM_H

#include "abi/types.h"

#define PLATFORM_VERSION_MAJOR 1
#define PLATFORM_VERSION_MINOR 0
#define PLATFORM_VERSION       (PLATFORM_VERSION_MAJOR << 16 | PLATFORM_VERSION_MINOR)

/* ---- CPUID ----------------------------------------------------------------------------------- */

/*
 * At some multiple of 0x100 from 0x40000000 to 0x4000ff00, in practice the one below; KVM's own
 * leaves stay where they are, and no guest but ours knows the signature.
 *
 *	base + 0	EAX: highest leaf of this block; EBX, ECX, EDX: signature
 *	base + 1	EAX: version; EBX: features, low half; ECX: domain id; EDX: hypercall port
 *	base + 2	EAX: id of this very vCPU, as event channels count
 */
#define PLATFORM_LEAF_FIRST   0x40000000U
#define PLATFORM_LEAF_LAST    0x4000ff00U
#define PLATFORM_LEAF_STEP    0x100U
#define PLATFORM_LEAF_BASE    0x40000200U
#define PLATFORM_SIGNATURE    "pvkit:pvkit:" /* EBX, ECX, EDX: 4 bytes each */
#define PLATFORM_LEAF_VERSION 1
#define PLATFORM_LEAF_VCPU    2
#define PLATFORM_LEAVES       3

/* ---- the PCI device -------------------------------------------------------------------------- */

/*
 * From the range that its owner sets aside for experiments without registration: virtio's driver
 * leaves it alone, and nobody else may ship it. The signature makes sure.
 */
#define PLATFORM_PCI_VENDOR 0x1af4
#define PLATFORM_PCI_DEVICE 0x10f5
#define PLATFORM_PCI_CLASS  0xff8000 /* other system device, as Xen's platform device */

enum platform_bar {
	PLATFORM_BAR_REGISTERS =
		0, /* 32-bit; MSI-X table and pending-bit array behind the registers */
	PLATFORM_BAR_DOORBELLS = 2, /* 64-bit */
	PLATFORM_BAR_SHARED = 4, /* 64-bit, prefetchable: memory; map it write-back */
};

/* In PLATFORM_BAR_REGISTERS. MSI-X: where the capability says; the shim puts it here. */
#define PLATFORM_REGISTERS_BYTES   0x4000
#define PLATFORM_MSIX_TABLE_OFFSET 0x1000
#define PLATFORM_MSIX_PBA_OFFSET   0x2000
#define PLATFORM_VECTORS_MAX       256

/*
 * Registers: little-endian, aligned accesses of each one's own size, 64-bit ones also as two
 * halves. Slow: each exits to the shim. All but ACCEPT are constant while the machine runs; writes
 * to them are dropped.
 */
enum platform_register {
	PLATFORM_REG_MAGIC = 0x00, /* 32: PLATFORM_MAGIC */
	PLATFORM_REG_VERSION = 0x04, /* 32: major << 16 | minor */
	PLATFORM_REG_FEATURES = 0x08, /* 64: offered */
	PLATFORM_REG_ACCEPT = 0x10, /* 64: written once after a reset; reads as what is in force */
	PLATFORM_REG_DOMAIN = 0x18, /* 32: the guest's domain id */
	PLATFORM_REG_BACKEND_DOMAIN = 0x1c, /* 32: where back-ends are, and the store's other end */
	PLATFORM_REG_HYPERCALL_PORT = 0x20, /* 32: an I/O port */
	PLATFORM_REG_VCPUS = 0x24, /* 32: most vCPUs */
	PLATFORM_REG_PORTS = 0x28, /* 32: port numbers are 1..this - 1 */
	PLATFORM_REG_VECTORS = 0x2c, /* 32: in the MSI-X table */
	PLATFORM_REG_DOORBELL_STRIDE = 0x30, /* 32: bytes from one port's doorbell to the next's */
	PLATFORM_REG_STORE_PORT = 0x34, /* 32: bound from the start */
	PLATFORM_REG_CONSOLE_PORT = 0x38, /* 32: 0: no console */
	PLATFORM_REG_GRANT_FRAMES = 0x3c, /* 32: most frames of entries */
	/* Offsets in PLATFORM_BAR_SHARED, multiples of a page. */
	PLATFORM_REG_PENDING_OFFSET = 0x40, /* 64: struct platform_pending */
	PLATFORM_REG_STORE_OFFSET = 0x48, /* 64: struct store_ring_page */
	PLATFORM_REG_CONSOLE_OFFSET = 0x50, /* 64 */
	PLATFORM_REG_GRANT_OFFSET = 0x58, /* 64: GRANT_FRAMES pages of entries */
	PLATFORM_REG_STATUS_OFFSET = 0x60, /* 64: the status frames of version 2 */
	PLATFORM_REG_END = 0x68, /* reads as 0 from here */
};

#define PLATFORM_MAGIC 0x74696b70U /* "pkit" */

/*
 * Features: bit numbers. The guest accepts what it uses; with an unknown bit
 * in ACCEPT all are refused, and it goes on to read as 0.
 */
enum platform_feature {
	PLATFORM_F_GRANT_V2 = 0, /* GRANT_OP_SET_VERSION 2 works */
	PLATFORM_F_EVENT_FIFO = 1, /* more than 4096 ports; delivery stays as below */
	PLATFORM_F_SUSPEND = 2, /* SCHED_SHUTDOWN_SUSPEND returns, ports and grants gone */
	PLATFORM_FEATURES = 3,
};

/* ---- hypercalls ------------------------------------------------------------------------------ */

/*
 * The guest fills a block, presets ->result to -ENOSYS (so that a port where nobody listens answers
 * that), and writes the block's guest-physical address >> PLATFORM_CALL_SHIFT with one 32-bit OUT.
 * When OUT is over, so is the call: ->result is there, and all that the call wrote. The exit orders
 * everything on this vCPU; no fence, but the compiler must neither keep the block in registers nor
 * move the OUT (a "memory" clobber).
 *
 * A block belongs to one vCPU at a time, so: one a vCPU, and no preemption from filling to reading
 * it; calls are allowed in interrupt context, then with a block of its own. It lies in RAM,
 * aligned, below PLATFORM_CALL_ADDRESS_END. All addresses in arguments and structs are
 * guest-physical; what they name may cross pages, for it is contiguous there.
 *
 * Answers: those of the call. And -EFAULT: an address outside RAM. -ENOSYS: no such number or
 * sub-operation. -EINVAL: ->size. -EPERM: before ACCEPT was written; only PLATFORM_OP_RESET and
 * PLATFORM_OP_LOG work then. A block that is not in RAM has no answer: its vCPU's OUT does nothing,
 * and the shim logs it.
 */
struct platform_call {
	uint32_t number; /* enum hypercall, or HYPERCALL_PLATFORM */
	uint32_t size; /* sizeof(struct platform_call) */
	uint64_t argument[5];
	int64_t result;
	uint64_t reserved; /* 0 */
};
ABI_ASSERT(sizeof(struct platform_call) == 64);
ABI_ASSERT(offsetof(struct platform_call, result) == 48);

#define PLATFORM_CALL_SHIFT       6
#define PLATFORM_CALL_ADDRESS_END (1ULL << 38)

/*
 * Where the shim listens; the register and the CPUID leaf are what counts. Outside all PCI windows.
 */
#define PLATFORM_HYPERCALL_PORT 0x7076

/* The platform's own family: a number that Xen leaves to each port of it (HYPERCALL_ARCH_7). */
#define HYPERCALL_PLATFORM 55

enum platform_op {
	/*
	 * Argument 2: vectors that have handlers, 0..PLATFORM_REG_VECTORS. Ports 1..V - 1 interrupt
	 * by their own vector, the others by vector 0 and their pending bit; with V = 0 none does
	 * and events are latched. Every port that is bound is notified once in the new way, so none
	 * is lost in between. A back-end may still use the old way for an event at this moment: a
	 * vector that is freed must be masked first. -EINVAL: too many. A guest with one vector
	 * runs on pending bits alone.
	 */
	PLATFORM_OP_SET_VECTORS = 0,
	/*
	 * Closes all ports but the store's and the console's, takes back the features, grant
	 * version 1, entries to zero, vectors to 0. Back-ends are told first and have stopped using
	 * grants when it returns. -EBUSY: one did not, in time; grants that are in use stay as they
	 * are, the version with them, and the caller must not free those pages.
	 */
	PLATFORM_OP_RESET = 1,
	/*
	 * Argument 2: address of text, 3: its bytes, 256 at most. To the shim's log, for a module's
	 * last words.
	 */
	PLATFORM_OP_LOG = 2,
};

#define PLATFORM_LOG_BYTES_MAX 256

/* ---- doorbells ------------------------------------------------------------------------------- */

/*
 * A 32-bit write of any value to port * stride is EVENT_CHANNEL_OP_SEND of that port, less its
 * answer: nothing happens on a port that is closed. The write is ordered after earlier stores as
 * any write to a device (writel); the ring's own full barrier stands before the decision to ring at
 * all.
 *
 * The host's bus has about 1000 places for doorbells; a port beyond them works too, by a slow exit.
 */
#define PLATFORM_DOORBELL_STRIDE 4

/* ---- interrupts ------------------------------------------------------------------------------ */

/*
 * Ports are given out lowest first, so what a guest binds early has a vector of its own. No mask
 * bit and no pending bit belong to such a port: MSI-X is edge-triggered, masking is MSI-X's own,
 * and an event on a masked vector is latched in the pending-bit array and comes when it is
 * unmasked.
 *
 *	sender (back-end, or shim), port ≥ ->vectors	guest, handler of vector 0
 *	writes its ring
 *	locked OR of the bit, full barrier		for each word: exchange with 0
 *	writes the port's eventfd			for each bit: the port's handler
 *
 * The sender always writes the eventfd, also when the bit stood already: whoever set it may have
 * died before its write. The exchange comes before the handlers look at their rings, so a bit that
 * is set later comes with an interrupt of its own. A port whose handler is masked keeps its event
 * in the guest's private state.
 */
struct platform_pending {
	uint32_t vectors; /* as SET_VECTORS was told; shim writes with release, senders acquire */
	uint32_t reserved[15];
	uint64_t word[]; /* bit port % 64 of word port / 64; PLATFORM_REG_PORTS / 64 words */
};
ABI_ASSERT(sizeof(struct platform_pending) == 64);

#endif
