/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Event channels: numbered ports of a domain, each of one bit of news.
 *
 * An interdomain channel has a port at either end; a send at one end makes the other end's port
 * pending. A port that is pending and not masked makes its vCPU's upcall. Port 0 never exists.
 *
 *	front-end (guest)			back-end
 *	ALLOC_UNBOUND: port, remote = back-end
 *	writes the port to the store	→	reads it, BIND_INTERDOMAIN
 *						local port is pending at once
 *	SEND				⇒	pending → wakes
 *	pending → upcall		⇐	SEND
 *
 * Two layouts say what is pending. With two levels a bit in the shared_info page, and a summary bit
 * in the vCPU's info. With FIFO an event word a port, linked into sixteen queues a vCPU by
 * priority. The guest begins with two levels; the first INIT_CONTROL that succeeds switches all of
 * its ports.
 *
 * With pvkit's own entrance (platform.h) neither is used to deliver: each port has an interrupt.
 */
#ifndef PVKIT_ABI_EVENT_CHANNEL_H
#define PVKIT_ABI_EVENT_CHANNEL_H

#include "abi/types.h"

enum event_channel_op {
	EVENT_CHANNEL_OP_BIND_INTERDOMAIN = 0,
	EVENT_CHANNEL_OP_BIND_VIRQ = 1,
	EVENT_CHANNEL_OP_BIND_PIRQ = 2,
	EVENT_CHANNEL_OP_CLOSE = 3,
	EVENT_CHANNEL_OP_SEND = 4,
	EVENT_CHANNEL_OP_STATUS = 5,
	EVENT_CHANNEL_OP_ALLOC_UNBOUND = 6,
	EVENT_CHANNEL_OP_BIND_IPI = 7,
	EVENT_CHANNEL_OP_BIND_VCPU = 8,
	EVENT_CHANNEL_OP_UNMASK = 9,
	EVENT_CHANNEL_OP_RESET = 10,
	EVENT_CHANNEL_OP_INIT_CONTROL = 11,
	EVENT_CHANNEL_OP_EXPAND_ARRAY = 12,
	EVENT_CHANNEL_OP_SET_PRIORITY = 13,
};

/* ALLOC_UNBOUND: a port that @remote_domain may bind to. */
struct event_channel_alloc_unbound {
	uint16_t domain; /* in: whose port; only the caller's without privilege */
	uint16_t remote_domain; /* in */
	uint32_t port; /* out */
};
ABI_ASSERT(sizeof(struct event_channel_alloc_unbound) == 8);

/* BIND_INTERDOMAIN: the other end of an unbound port. */
struct event_channel_bind_interdomain {
	uint16_t remote_domain; /* in */
	uint16_t padding;
	uint32_t remote_port; /* in */
	uint32_t local_port; /* out */
};
ABI_ASSERT(sizeof(struct event_channel_bind_interdomain) == 12);

/* BIND_VIRQ: one port a virtual interrupt; of a per-vCPU one, a port a vCPU. */
struct event_channel_bind_virq {
	uint32_t virq; /* in: enum virtual_irq */
	uint32_t vcpu; /* in: 0 for a global one */
	uint32_t port; /* out */
};
ABI_ASSERT(sizeof(struct event_channel_bind_virq) == 12);

/* BIND_PIRQ: a device's interrupt. */
struct event_channel_bind_pirq {
	uint32_t pirq; /* in */
	uint32_t flags; /* in: EVENT_CHANNEL_PIRQ_WILL_SHARE */
	uint32_t port; /* out */
};
ABI_ASSERT(sizeof(struct event_channel_bind_pirq) == 12);

#define EVENT_CHANNEL_PIRQ_WILL_SHARE 1

/* BIND_IPI: a send makes the very port pending, on @vcpu. */
struct event_channel_bind_ipi {
	uint32_t vcpu; /* in */
	uint32_t port; /* out */
};
ABI_ASSERT(sizeof(struct event_channel_bind_ipi) == 8);

/* CLOSE, SEND, UNMASK: of a port of the caller. */
struct event_channel_port {
	uint32_t port; /* in */
};
ABI_ASSERT(sizeof(struct event_channel_port) == 4);

/* BIND_VCPU: where the port's upcall goes. Never for an IPI or a per-vCPU virtual interrupt. */
struct event_channel_bind_vcpu {
	uint32_t port; /* in */
	uint32_t vcpu; /* in */
};
ABI_ASSERT(sizeof(struct event_channel_bind_vcpu) == 8);

/* RESET: closes all ports, and goes back to two levels. */
struct event_channel_reset {
	uint16_t domain; /* in */
};
ABI_ASSERT(sizeof(struct event_channel_reset) == 2);

enum event_channel_state {
	EVENT_CHANNEL_CLOSED = 0,
	EVENT_CHANNEL_UNBOUND = 1,
	EVENT_CHANNEL_INTERDOMAIN = 2,
	EVENT_CHANNEL_PIRQ = 3,
	EVENT_CHANNEL_VIRQ = 4,
	EVENT_CHANNEL_IPI = 5,
};

/* STATUS. */
struct event_channel_status {
	uint16_t domain; /* in */
	uint16_t padding;
	uint32_t port; /* in */
	uint32_t state; /* out: enum event_channel_state */
	uint32_t vcpu; /* out */
	union { /* out */
		struct {
			uint16_t domain;
		} unbound;
		struct {
			uint16_t domain;
			uint16_t padding;
			uint32_t port;
		} interdomain;
		uint32_t pirq;
		uint32_t virq;
	} u;
};
ABI_ASSERT(sizeof(struct event_channel_status) == 24);
ABI_ASSERT(offsetof(struct event_channel_status, state) == 8);
ABI_ASSERT(offsetof(struct event_channel_status, u) == 16);

enum virtual_irq {
	VIRTUAL_IRQ_TIMER = 0, /* a vCPU's own */
	VIRTUAL_IRQ_DEBUG = 1, /* a vCPU's own */
	VIRTUAL_IRQ_CONSOLE = 2,
	VIRTUAL_IRQ_DOMAIN_EXCEPTION = 3,
	VIRTUAL_IRQ_TRACE_BUFFER = 4,
	VIRTUAL_IRQ_DEBUGGER = 6,
	VIRTUAL_IRQ_PROFILE = 7, /* a vCPU's own */
	VIRTUAL_IRQ_CONSOLE_RING = 8,
	VIRTUAL_IRQ_CPU_STATE = 9,
	VIRTUAL_IRQ_MEMORY_EVENT = 10,
	VIRTUAL_IRQ_ARGO = 11,
	VIRTUAL_IRQ_NO_MEMORY = 12,
	VIRTUAL_IRQ_PMU = 13, /* a vCPU's own */
	VIRTUAL_IRQ_ARCH_0 = 16,
	VIRTUAL_IRQS = 24,
};

/* ---- two levels: the shared_info page -------------------------------------------------------- */

/* One word of summary bits, one bit a word of 64 ports. */
#define EVENT_CHANNEL_TWO_LEVEL_WORDS 64
#define EVENT_CHANNEL_TWO_LEVEL_PORTS 4096

/* A vCPU's clock: the layout of the pvclock. Written by the hypervisor, ->version odd meanwhile. */
struct vcpu_time_area {
	uint32_t version;
	uint32_t padding;
	uint64_t tsc; /* when the rest was true */
	uint64_t system_time; /* ns */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags; /* VCPU_TIME_* */
	uint8_t padding1[2];
};
ABI_ASSERT(sizeof(struct vcpu_time_area) == 32);
ABI_ASSERT(offsetof(struct vcpu_time_area, tsc_to_system_mul) == 24);

#define VCPU_TIME_TSC_STABLE    (1U << 0)
#define VCPU_TIME_GUEST_STOPPED (1U << 1)

/*
 * A vCPU's side of delivery. To make a port pending that is not masked: set its bit in ->pending of
 * the page, then its word's bit in ->pending_sel, then ->upcall_pending, then interrupt; each only
 * if the one before was clear. The guest goes the other way: clears ->upcall_pending, takes
 * ->pending_sel by exchange, then looks at the words.
 */
struct vcpu_info_area {
	uint8_t upcall_pending; /* set by the hypervisor, cleared by the guest */
	uint8_t upcall_mask; /* the guest's; HVM guests have their interrupt flag instead */
	uint8_t padding[6];
	uint64_t pending_sel;
	uint64_t cr2;
	uint64_t reserved;
	struct vcpu_time_area time;
};
ABI_ASSERT(sizeof(struct vcpu_info_area) == 64);
ABI_ASSERT(offsetof(struct vcpu_info_area, pending_sel) == 8);
ABI_ASSERT(offsetof(struct vcpu_info_area, time) == 32);

#define SHARED_INFO_VCPUS 32 /* further vCPUs must place their info by VCPU_OP_REGISTER_VCPU_INFO */

struct shared_info_page {
	struct vcpu_info_area vcpu[SHARED_INFO_VCPUS];
	uint64_t pending
		[EVENT_CHANNEL_TWO_LEVEL_WORDS]; /* set by the sender, cleared by the guest */
	uint64_t mask[EVENT_CHANNEL_TWO_LEVEL_WORDS]; /* the guest's */
	/* Wall clock at system time 0; ->wall_version odd while it is being written. */
	uint32_t wall_version;
	uint32_t wall_seconds;
	uint32_t wall_nanoseconds;
	uint32_t wall_seconds_high;
	/* What only PV guests without their own page tables use. */
	uint64_t max_frame;
	uint64_t frame_list_list;
	uint64_t nmi_reason;
	uint64_t p2m_cr3;
	uint64_t p2m_address;
	uint64_t p2m_generation;
};
ABI_ASSERT(offsetof(struct shared_info_page, pending) == 2048);
ABI_ASSERT(offsetof(struct shared_info_page, mask) == 2560);
ABI_ASSERT(offsetof(struct shared_info_page, wall_version) == 3072);
ABI_ASSERT(sizeof(struct shared_info_page) == 3136);

/* ---- FIFO ------------------------------------------------------------------------------------ */

#define EVENT_FIFO_LINK_BITS 17
#define EVENT_FIFO_PORTS     (1U << EVENT_FIFO_LINK_BITS)

#define EVENT_FIFO_PRIORITY_HIGHEST 0
#define EVENT_FIFO_PRIORITY_DEFAULT 7
#define EVENT_FIFO_PRIORITY_LOWEST  15
#define EVENT_FIFO_QUEUES           16

/*
 * An event word, one a port, in the pages of the event array. Both sides change single bits with
 * compare-and-exchange or locked bit operations.
 */
#define EVENT_WORD_PENDING   (1U << 31) /* set by the sender, cleared by the guest's handler */
#define EVENT_WORD_MASKED    (1U << 30) /* the guest's */
#define EVENT_WORD_LINKED    (1U << 29) /* in a queue: hypervisor sets, guest clears */
#define EVENT_WORD_BUSY      (1U << 28) /* UNMASK: the guest is about to ask the hypervisor */
#define EVENT_WORD_LINK_MASK ((1U << EVENT_FIFO_LINK_BITS) - 1) /* port of the next; 0: the tail */

#define EVENT_WORDS_PER_FRAME 1024

/*
 * One a vCPU. The hypervisor writes heads of queues that were empty, then sets the bit in ->ready.
 */
struct event_fifo_control {
	uint32_t ready; /* bit a queue */
	uint32_t reserved;
	uint32_t head[EVENT_FIFO_QUEUES]; /* ports */
};
ABI_ASSERT(sizeof(struct event_fifo_control) == 72);
ABI_ASSERT(offsetof(struct event_fifo_control, head) == 8);

/* INIT_CONTROL: where @vcpu's control block lies. */
struct event_channel_init_control {
	uint64_t frame; /* in */
	uint32_t
		offset; /* in: within the frame, a multiple of 8; the block may not cross its end */
	uint32_t vcpu; /* in */
	uint8_t link_bits; /* out: EVENT_FIFO_LINK_BITS */
	uint8_t padding[7];
};
ABI_ASSERT(sizeof(struct event_channel_init_control) == 24);
ABI_ASSERT(offsetof(struct event_channel_init_control, link_bits) == 16);

/* EXPAND_ARRAY: the next frame of event words; its words start masked. */
struct event_channel_expand_array {
	uint64_t frame; /* in */
};
ABI_ASSERT(sizeof(struct event_channel_expand_array) == 8);

/* SET_PRIORITY. */
struct event_channel_set_priority {
	uint32_t port; /* in */
	uint32_t priority; /* in: 0 highest .. 15 lowest */
};
ABI_ASSERT(sizeof(struct event_channel_set_priority) == 8);

#endif
