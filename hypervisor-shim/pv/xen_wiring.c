// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/xen_wiring.h"

#include <string.h>

#include "common/log.h"
#include "hypervisor-shim/pv/xen_kvm.h"
#include "hypervisor-shim/pv/xen_shared.h"
#include "hypervisor-shim/vm.h"

/* What KVM was told last about a port. */
struct xen_wire {
	int fd; /* of its interrupt; -1: none */
	int gsi;
	uint32_t vcpu;
	struct xen_kvm_target target;
};

static struct xen_wire wires[EVENT_CHANNEL_PORTS];
static struct log_limit unwired;

void xen_wiring_init(void)
{
	memset(wires, 0, sizeof(wires));
	for (uint32_t i = 0; i < EVENT_CHANNEL_PORTS; i++)
		wires[i].fd = -1;
}

/* ---- to the guest ----------------------------------------------------------------------------- */

static void disconnect_interrupt(struct xen_wire *wire)
{
	if (wire->fd < 0)
		return;
	vm_irqfd(wire->gsi, wire->fd, false); /* returns when KVM is through with its events */
	vm_msi_route_free(wire->gsi);
	wire->fd = -1;
}

static int connect(struct xen_wire *wire, int fd, uint32_t port, uint32_t vcpu)
{
	int result;

	wire->gsi = vm_msi_route_new();
	if (wire->gsi < 0)
		return wire->gsi;
	result = vm_evtchn_route_set(wire->gsi, port, vcpu);
	if (!result)
		result = vm_irqfd(wire->gsi, fd, true);
	if (result < 0)
		vm_msi_route_free(wire->gsi);
	else
		wire->fd = fd;
	return result;
}

static void connect_interrupt(struct xen_wire *wire, int fd, uint32_t port, uint32_t vcpu)
{
	int result = 0;

	if (wire->fd != fd) {
		disconnect_interrupt(wire);
		if (fd >= 0)
			result = connect(wire, fd, port, vcpu);
	} else if (fd >= 0 && wire->vcpu != vcpu) {
		result = vm_evtchn_route_set(wire->gsi, port, vcpu);
	}
	wire->vcpu = vcpu;
	if (result < 0)
		log_peer(&unwired, "KVM does not connect the interrupt of event channel %u: %s",
			 port, strerror(-result));
}

/* ---- from the guest --------------------------------------------------------------------------- */

static bool same_target(const struct xen_kvm_target *a, const struct xen_kvm_target *b)
{
	return a->kind == b->kind && a->fd == b->fd && a->port == b->port && a->vcpu == b->vcpu;
}

/* Where KVM refuses, the guest's hypercall comes to us, which works too. */
static void connect_send(struct xen_wire *wire, uint32_t port, const struct xen_kvm_target *target)
{
	static const struct xen_kvm_target nothing;

	if (same_target(&wire->target, target))
		return;
	if (wire->target.kind != XEN_KVM_NOTHING)
		xen_kvm_set_target(port, &nothing);
	wire->target = nothing;
	if (target->kind != XEN_KVM_NOTHING && !xen_kvm_set_target(port, target))
		wire->target = *target;
}

static bool is_loop(const struct event_channels *channels, const struct event_port *port)
{
	return port->state == EVENT_CHANNEL_INTERDOMAIN && port->remote_domain == channels->guest;
}

static struct xen_kvm_target wanted_target(const struct event_channels *channels, uint32_t number)
{
	const struct event_port *port = &channels->port[number];
	struct xen_kvm_target target = {.kind = XEN_KVM_NOTHING};

	if (port->state == EVENT_CHANNEL_IPI) {
		target.kind = XEN_KVM_IPI;
		target.port = number;
		target.vcpu = port->vcpu;
	} else if (is_loop(channels, port)) {
		target.kind = XEN_KVM_PORT;
		target.port = port->remote_port;
		target.vcpu = channels->port[port->remote_port].vcpu;
	} else if (port->state == EVENT_CHANNEL_INTERDOMAIN && port->from_guest >= 0) {
		target.kind = XEN_KVM_EVENTFD;
		target.fd = port->from_guest;
	}
	return target;
}

/* ---- both ------------------------------------------------------------------------------------- */

static void update(struct event_channels *channels, uint32_t number)
{
	const struct event_port *port = &channels->port[number];
	struct xen_kvm_target target = wanted_target(channels, number);
	bool interrupts = port->state == EVENT_CHANNEL_INTERDOMAIN && !is_loop(channels, port);

	connect_interrupt(&wires[number], interrupts ? port->to_guest : -1, number, port->vcpu);
	connect_send(&wires[number], number, &target);
}

/* A port that is closed forgets its event, which the next one of that number is not to have. */
void xen_wiring_update(struct event_channels *channels, uint32_t number)
{
	const struct event_port *port = &channels->port[number];

	update(channels, number);
	if (is_loop(channels, port))
		update(channels, port->remote_port); /* sends to our vCPU */
	if (port->state == EVENT_CHANNEL_CLOSED)
		xen_shared_clear_pending(number);
}

void xen_wiring_raise(struct event_channels *channels, uint32_t number)
{
	xen_kvm_send(number, channels->port[number].vcpu);
}

/*
 * KVM sets the pending bit of a masked port and leaves it at that. So after the mask is off, the event
 * is taken back and sent anew; one that arrives in between has interrupted by itself.
 */
void xen_wiring_unmask(struct event_channels *channels, uint32_t number)
{
	if (xen_shared_unmask(number))
		xen_wiring_raise(channels, number);
}
