/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The wiring of ports: eventfds between doorbells, back-ends and MSI-X vectors.
 *
 *	guest writes its doorbell  ⇒ ioeventfd ⇒  ->from_guest  ⇒  back-end reads
 *	back-end writes  ⇒  ->to_guest  ⇒ irqfd ⇒  the port's vector
 *
 * No notification enters this process, with two exceptions: doorbells for which KVM has no place
 * left, and events that the shim sends itself. An IPI, or a loop in the guest, is one eventfd that is
 * both: the doorbell's ioeventfd is the irqfd of the port that is notified. Only where that port has
 * no vector of its own does its sender have to set a pending bit, and so has to come here.
 *
 * It is declarative: wiring_update() compares what a port asks for with what KVM was told, and tells
 * the difference. The lock of PV mode covers all of it.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_WIRING_H
#define PVKIT_HYPERVISOR_SHIM_PV_WIRING_H

#include "abi/platform.h"
#include "hypervisor-shim/msix.h"
#include "hypervisor-shim/pv/event_channel.h"

/*
 * KVM's bus has 1000 places (NR_IOBUS_DEVS), and the doorbells of virtio devices need theirs later,
 * when their drivers start: these stay for them.
 */
#define WIRING_DOORBELLS_MAX 768

struct wiring {
	struct msix *msix;
	struct platform_pending *pending; /* shared with the guest and all back-ends */
	uint32_t vectors; /* that have handlers; our own copy: nobody else writes it */
	uint64_t doorbells; /* guest-physical address of port 0's; 0: not mapped */
	unsigned int doorbells_used;
};

void wiring_init(struct wiring *wiring, struct msix *msix, struct platform_pending *pending);
/* As struct event_channel_ops has them, for @channels of the platform device. */
void wiring_update(struct wiring *wiring, struct event_channels *channels, uint32_t port);
void wiring_raise(struct wiring *wiring, struct event_channels *channels, uint32_t port);

/* PLATFORM_OP_SET_VECTORS: all bound ports the new way, and each notified once in it. */
void wiring_set_vectors(struct wiring *wiring, struct event_channels *channels, uint32_t vectors);
/* The doorbell BAR moved; 0: it is not mapped. */
void wiring_move_doorbells(struct wiring *wiring, struct event_channels *channels,
			   uint64_t address);

#endif
