/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Event channels of the guest (abi/event_channel.h): who has which port, and what a port is for.
 *
 * This is bookkeeping. Events themselves do not pass here: a port has eventfds, and ->wire makes KVM
 * connect them with the doorbell and with the interrupt (wiring.h).
 *
 *	port is			->from_guest, set off by its doorbell	->to_guest, interrupts
 *	a back-end's		the back-end reads it			the back-end writes it
 *	the store's		the store reads it			– (the store asks the shim)
 *	an IPI, or one end of	–; its doorbell sets off ->to_guest	made by the wiring where the port
 *	a loop in the guest	of the port that is to be notified	has a vector of its own
 *	a virtual interrupt	–					– (the shim raises it)
 *
 * A port that the guest closes while a back-end has it stays reserved until the back-end says UNBIND
 * (or is gone): else its UNBIND, under way meanwhile, would hit whoever got the number next.
 *
 * Functions answer 0 or -errno, and the caller's lock covers all of them.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_EVENT_CHANNEL_H
#define PVKIT_HYPERVISOR_SHIM_PV_EVENT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/event_channel.h"
#include "hypervisor-shim/msix.h"

#define EVENT_CHANNEL_PORTS EVENT_CHANNEL_TWO_LEVEL_PORTS

struct event_channels;

struct event_channel_ops {
	/* Makes KVM do what the port's state and descriptors ask for; before they are closed too. */
	void (*wire)(struct event_channels *channels, uint32_t port);
	/* Interrupts the guest for @port, now, or when it can be. */
	void (*raise)(struct event_channels *channels, uint32_t port);
	/* The guest closed @port, which back-end @owner has bound. */
	void (*closed)(struct event_channels *channels, uint16_t owner, uint32_t port);
	/* The guest takes off the mask of @port. NULL: there are no masks here. */
	void (*unmask)(struct event_channels *channels, uint32_t port);
};

/* The wiring's: what KVM was told last. */
struct event_wire {
	struct msix_source source; /* ->fd -1: none */
	int doorbell_fd; /* -1: none */
	uint64_t doorbell_address;
};

struct event_port {
	uint8_t state; /* enum event_channel_state */
	bool fixed; /* the guest cannot close it */
	uint16_t remote_domain; /* UNBOUND, INTERDOMAIN */
	uint32_t remote_port; /* INTERDOMAIN */
	uint16_t owner; /* INTERDOMAIN: number of the back-end; 0: the shim's, or a loop */
	uint16_t lingering; /* CLOSED: the back-end that has yet to say UNBIND */
	uint32_t virq, vcpu;
	int from_guest, to_guest; /* eventfds; -1: none */
	struct event_wire wire;
};

struct event_channels {
	const struct event_channel_ops *ops;
	uint16_t guest, backend; /* domains */
	uint32_t vcpus;
	struct event_port port[EVENT_CHANNEL_PORTS];
};

void event_channels_init(struct event_channels *channels, const struct event_channel_ops *ops,
			 uint16_t guest, uint16_t backend, uint32_t vcpus);
/* Closes all that is not fixed. Back-ends are not told: their caller did, or will. */
void event_channels_reset(struct event_channels *channels);
/* The fixed ones too. */
void event_channels_close(struct event_channels *channels);

/* ---- the guest's calls: structs were copied in, and are copied out by the caller -------------- */

int event_channel_alloc_unbound(struct event_channels *channels,
				struct event_channel_alloc_unbound *args);
int event_channel_bind_interdomain(struct event_channels *channels,
				   struct event_channel_bind_interdomain *args);
int event_channel_bind_virq(struct event_channels *channels, struct event_channel_bind_virq *args);
int event_channel_bind_ipi(struct event_channels *channels, struct event_channel_bind_ipi *args);
int event_channel_bind_vcpu(struct event_channels *channels,
			    const struct event_channel_bind_vcpu *args);
int event_channel_send(struct event_channels *channels, uint32_t port);
int event_channel_close(struct event_channels *channels, uint32_t port);
int event_channel_status(struct event_channels *channels, struct event_channel_status *args);
int event_channel_unmask(struct event_channels *channels, uint32_t port);
/* EVENT_CHANNEL_OP_RESET: back-ends are told of each port. */
int event_channel_reset(struct event_channels *channels, const struct event_channel_reset *args);

/* ---- others' --------------------------------------------------------------------------------- */

/* A port that is bound from the start. Its number, or -errno. */
int event_channel_bind_fixed(struct event_channels *channels);
/* 0: the port is @owner's now, and notified, or was before. -ENOENT, -EBUSY, -errno. */
int event_channel_bind_backend(struct event_channels *channels, uint16_t owner, uint32_t port);
/* The port is unbound again for any back-end. -ENOENT: it was not @owner's. */
int event_channel_unbind_backend(struct event_channels *channels, uint16_t owner, uint32_t port);
/* The same for all that @owner has. */
void event_channel_unbind_owner(struct event_channels *channels, uint16_t owner);
/* Raises the port that is bound to @virq, if there is one. */
void event_channel_raise_virq(struct event_channels *channels, uint32_t virq, uint32_t vcpu);

#endif
