// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/wiring.h"

#include <string.h>
#include <sys/eventfd.h>

#include "hypervisor-shim/vm.h"
#include "ring/order.h"

void wiring_init(struct wiring *wiring, struct msix *msix, struct platform_pending *pending)
{
	*wiring = (struct wiring){.msix = msix, .pending = pending};
}

static bool has_vector(const struct wiring *wiring, uint32_t port)
{
	return port < wiring->vectors;
}

/* Where @port's events go while it is bound. */
static uint16_t vector_of(const struct wiring *wiring, uint32_t port)
{
	if (!wiring->vectors)
		return MSIX_NO_VECTOR;
	return has_vector(wiring, port) ? (uint16_t)port : 0;
}

/*
 * The eventfd by which a sender in the guest interrupts @port without us; -1 where that takes a
 * pending bit, or where there is no descriptor left: then the sender comes by a slow exit.
 */
static int direct_descriptor(const struct wiring *wiring, struct event_channels *channels,
			     uint32_t number)
{
	struct event_port *port = &channels->port[number];

	if (!has_vector(wiring, number))
		return -1;
	if (port->to_guest < 0)
		port->to_guest = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return port->to_guest;
}

struct wanted {
	int interrupt, doorbell; /* eventfds; -1: none */
};

static struct wanted wanted(const struct wiring *wiring, struct event_channels *channels,
			    uint32_t number)
{
	const struct event_port *port = &channels->port[number];
	struct wanted none = {-1, -1}, both;

	switch (port->state) {
	case EVENT_CHANNEL_INTERDOMAIN:
		if (port->remote_domain != channels->guest)
			return (struct wanted){port->to_guest, port->from_guest};
		both.interrupt = direct_descriptor(wiring, channels, number);
		both.doorbell = direct_descriptor(wiring, channels, port->remote_port);
		return both;
	case EVENT_CHANNEL_IPI:
		both.interrupt = both.doorbell = direct_descriptor(wiring, channels, number);
		return both;
	default:
		return none;
	}
}

static void connect_interrupt(struct wiring *wiring, struct event_wire *wire, int fd,
			      uint16_t vector)
{
	if (wire->source.fd != fd) {
		if (wire->source.fd >= 0)
			msix_assign(wiring->msix, &wire->source, MSIX_NO_VECTOR);
		msix_add_source(wiring->msix, &wire->source, fd);
	}
	if (fd >= 0)
		msix_assign(wiring->msix, &wire->source, vector);
}

static void disconnect_doorbell(struct wiring *wiring, struct event_wire *wire)
{
	if (wire->doorbell_fd < 0)
		return;
	vm_ioeventfd(wire->doorbell_address, 0, wire->doorbell_fd, false);
	wire->doorbell_fd = -1;
	wiring->doorbells_used--;
}

/* Where it fails the doorbell is a slow exit. */
static void connect_doorbell(struct wiring *wiring, struct event_wire *wire, int fd,
			     uint64_t address)
{
	if (wire->doorbell_fd == fd && (fd < 0 || wire->doorbell_address == address))
		return;
	disconnect_doorbell(wiring, wire);
	if (fd < 0 || wiring->doorbells_used == WIRING_DOORBELLS_MAX ||
	    vm_ioeventfd(address, 0, fd, true) < 0)
		return;
	wire->doorbell_fd = fd;
	wire->doorbell_address = address;
	wiring->doorbells_used++;
}

void wiring_update(struct wiring *wiring, struct event_channels *channels, uint32_t number)
{
	struct event_wire *wire = &channels->port[number].wire;
	struct wanted want = wanted(wiring, channels, number);

	connect_interrupt(wiring, wire, want.interrupt, vector_of(wiring, number));
	connect_doorbell(wiring, wire, wiring->doorbells ? want.doorbell : -1,
			 wiring->doorbells + (uint64_t)number * PLATFORM_DOORBELL_STRIDE);
}

/*
 * The same as a back-end does (abi/platform.h "interrupts"), but for the eventfd: MSI-X latches for
 * us. With no vector at all nothing is kept here, since wiring_set_vectors() notifies every port.
 */
void wiring_raise(struct wiring *wiring, struct event_channels *channels, uint32_t number)
{
	if (!wiring->vectors)
		return;
	if (has_vector(wiring, number)) {
		msix_signal(wiring->msix, (uint16_t)number);
		return;
	}
	/* Sequentially consistent: full barrier before the interrupt, as the guest's exchange has. */
	__atomic_fetch_or(&wiring->pending->word[number / 64], 1ULL << number % 64,
			  __ATOMIC_SEQ_CST);
	msix_signal(wiring->msix, 0);
}

static void update_all(struct wiring *wiring, struct event_channels *channels)
{
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		if (channels->port[i].state != EVENT_CHANNEL_CLOSED)
			wiring_update(wiring, channels, i);
	}
}

void wiring_set_vectors(struct wiring *wiring, struct event_channels *channels, uint32_t vectors)
{
	wiring->vectors = vectors;
	/* Pairs with the acquire of senders: who sees it finds the vectors wired, or its event kept. */
	order_store_release(&wiring->pending->vectors, vectors);
	update_all(wiring, channels);
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		uint8_t state = channels->port[i].state;

		if (state != EVENT_CHANNEL_CLOSED && state != EVENT_CHANNEL_UNBOUND)
			wiring_raise(wiring, channels, i);
	}
}

void wiring_move_doorbells(struct wiring *wiring, struct event_channels *channels, uint64_t address)
{
	wiring->doorbells = address;
	update_all(wiring, channels);
}
