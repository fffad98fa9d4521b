// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/event_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi/hypercall.h"
#include "hypervisor-shim/notify.h"

/* A port that the guest may use: NULL for one that is closed, or no port at all. */
static struct event_port *find(struct event_channels *channels, uint32_t port)
{
	if (!port || port >= EVENT_CHANNEL_PORTS ||
	    channels->port[port].state == EVENT_CHANNEL_CLOSED)
		return NULL;
	return &channels->port[port];
}

static bool is_guest(const struct event_channels *channels, uint16_t domain)
{
	return domain == DOMAIN_SELF || domain == channels->guest;
}

/* The guest has rights over itself only. */
static int check_self(const struct event_channels *channels, uint16_t domain)
{
	if (is_guest(channels, domain))
		return 0;
	return domain == channels->backend ? -EPERM : -ESRCH;
}

/* Lowest first: what a guest binds early has a vector of its own. */
static struct event_port *new_port(struct event_channels *channels, uint32_t *number)
{
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		struct event_port *port = &channels->port[i];

		if (port->state != EVENT_CHANNEL_CLOSED || port->lingering)
			continue;
		*number = i;
		return port;
	}
	return NULL;
}

static bool is_loop(const struct event_channels *channels, const struct event_port *port)
{
	return port->state == EVENT_CHANNEL_INTERDOMAIN && port->remote_domain == channels->guest;
}

static bool is_backends(const struct event_channels *channels, const struct event_port *port)
{
	return port->state == EVENT_CHANNEL_INTERDOMAIN && port->owner;
}

static void close_descriptors(struct event_port *port)
{
	if (port->from_guest >= 0)
		close(port->from_guest);
	if (port->to_guest >= 0)
		close(port->to_guest);
	port->from_guest = port->to_guest = -1;
}

static void set_state(struct event_port *port, uint8_t state)
{
	port->state = state;
	port->owner = 0;
	port->remote_port = 0;
}

/* The other end of a loop, which goes back to where it was before; 0: @number has none. */
static uint32_t release_loop(struct event_channels *channels, uint32_t number)
{
	uint32_t peer = channels->port[number].remote_port;

	if (!is_loop(channels, &channels->port[number]))
		return 0;
	set_state(&channels->port[peer], EVENT_CHANNEL_UNBOUND);
	return peer;
}

/* KVM lets go of the descriptors of both ends before one is closed: each end may use either. */
static void disconnect(struct event_channels *channels, uint32_t number, uint8_t state)
{
	uint32_t peer = release_loop(channels, number);

	set_state(&channels->port[number], state);
	channels->ops->wire(channels, number);
	if (peer) {
		channels->ops->wire(channels, peer);
		close_descriptors(&channels->port[peer]);
	}
	close_descriptors(&channels->port[number]);
}

static void close_port(struct event_channels *channels, uint32_t number)
{
	disconnect(channels, number, EVENT_CHANNEL_CLOSED);
}

int event_channel_alloc_unbound(struct event_channels *channels,
				struct event_channel_alloc_unbound *args)
{
	bool loop = is_guest(channels, args->remote_domain);
	int result = check_self(channels, args->domain);
	struct event_port *port;

	if (result < 0)
		return result;
	if (!loop && args->remote_domain != channels->backend)
		return -ESRCH;
	port = new_port(channels, &args->port);
	if (!port)
		return -ENOSPC;
	port->state = EVENT_CHANNEL_UNBOUND;
	port->remote_domain = loop ? channels->guest : channels->backend;
	port->vcpu = 0;
	return 0;
}

/* Both ends lie in the guest: back-ends do not offer ports of theirs. */
int event_channel_bind_interdomain(struct event_channels *channels,
				   struct event_channel_bind_interdomain *args)
{
	struct event_port *remote, *local;

	if (!is_guest(channels, args->remote_domain))
		return args->remote_domain == channels->backend ? -EINVAL : -ESRCH;
	remote = find(channels, args->remote_port);
	if (!remote || remote->state != EVENT_CHANNEL_UNBOUND ||
	    remote->remote_domain != channels->guest)
		return -EINVAL;
	local = new_port(channels, &args->local_port);
	if (!local)
		return -ENOSPC;
	local->state = remote->state = EVENT_CHANNEL_INTERDOMAIN;
	local->remote_domain = channels->guest;
	local->remote_port = args->remote_port;
	remote->remote_port = args->local_port;
	local->vcpu = 0;
	channels->ops->wire(channels, args->local_port);
	channels->ops->wire(channels, args->remote_port);
	/* What the other end sent before there was anybody to hear it. */
	channels->ops->raise(channels, args->local_port);
	return 0;
}

static bool is_per_vcpu(uint32_t virq)
{
	return virq == VIRTUAL_IRQ_TIMER || virq == VIRTUAL_IRQ_DEBUG ||
	       virq == VIRTUAL_IRQ_PROFILE || virq == VIRTUAL_IRQ_PMU;
}

static uint32_t find_virq(const struct event_channels *channels, uint32_t virq, uint32_t vcpu)
{
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		const struct event_port *port = &channels->port[i];

		if (port->state == EVENT_CHANNEL_VIRQ && port->virq == virq &&
		    (!is_per_vcpu(virq) || port->vcpu == vcpu))
			return i;
	}
	return 0;
}

int event_channel_bind_virq(struct event_channels *channels, struct event_channel_bind_virq *args)
{
	struct event_port *port;

	if (args->virq >= VIRTUAL_IRQS || (!is_per_vcpu(args->virq) && args->vcpu))
		return -EINVAL;
	if (args->vcpu >= channels->vcpus)
		return -ENOENT;
	if (find_virq(channels, args->virq, args->vcpu))
		return -EEXIST;
	port = new_port(channels, &args->port);
	if (!port)
		return -ENOSPC;
	port->state = EVENT_CHANNEL_VIRQ;
	port->virq = args->virq;
	port->vcpu = args->vcpu;
	channels->ops->wire(channels, args->port);
	return 0;
}

int event_channel_bind_ipi(struct event_channels *channels, struct event_channel_bind_ipi *args)
{
	struct event_port *port;

	if (args->vcpu >= channels->vcpus)
		return -ENOENT;
	port = new_port(channels, &args->port);
	if (!port)
		return -ENOSPC;
	port->state = EVENT_CHANNEL_IPI;
	port->vcpu = args->vcpu;
	channels->ops->wire(channels, args->port);
	return 0;
}

/* Where interrupts are MSI-X it is recorded for STATUS: which vCPU they go to, their message says. */
int event_channel_bind_vcpu(struct event_channels *channels,
			    const struct event_channel_bind_vcpu *args)
{
	struct event_port *port = find(channels, args->port);

	if (args->vcpu >= channels->vcpus)
		return -ENOENT;
	if (!port || port->state == EVENT_CHANNEL_IPI ||
	    (port->state == EVENT_CHANNEL_VIRQ && is_per_vcpu(port->virq)))
		return -EINVAL;
	port->vcpu = args->vcpu;
	channels->ops->wire(channels, args->port);
	return 0;
}

int event_channel_send(struct event_channels *channels, uint32_t number)
{
	struct event_port *port = find(channels, number);

	if (!port)
		return -EINVAL;
	switch (port->state) {
	case EVENT_CHANNEL_UNBOUND:
		return 0; /* nobody is there to hear it; who binds is notified anyway */
	case EVENT_CHANNEL_IPI:
		channels->ops->raise(channels, number);
		return 0;
	case EVENT_CHANNEL_INTERDOMAIN:
		if (is_loop(channels, port))
			channels->ops->raise(channels, port->remote_port);
		else if (port->from_guest >= 0)
			notify(port->from_guest);
		return 0;
	default:
		return -EINVAL;
	}
}

int event_channel_close(struct event_channels *channels, uint32_t number)
{
	struct event_port *port = find(channels, number);
	uint16_t owner;

	if (!port || port->fixed)
		return -EINVAL;
	owner = is_backends(channels, port) ? port->owner : 0;
	close_port(channels, number);
	if (owner) {
		port->lingering = owner;
		/* Takes it back where @owner is not there to say UNBIND. */
		channels->ops->closed(channels, owner, number);
	}
	return 0;
}

int event_channel_status(struct event_channels *channels, struct event_channel_status *args)
{
	int result = check_self(channels, args->domain);
	const struct event_port *port;

	if (result < 0)
		return result;
	if (!args->port || args->port >= EVENT_CHANNEL_PORTS)
		return -EINVAL;
	port = &channels->port[args->port];
	args->state = port->state;
	args->vcpu = port->state == EVENT_CHANNEL_CLOSED ? 0 : port->vcpu;
	memset(&args->u, 0, sizeof(args->u));
	if (port->state == EVENT_CHANNEL_UNBOUND) {
		args->u.unbound.domain = port->remote_domain;
	} else if (port->state == EVENT_CHANNEL_INTERDOMAIN) {
		args->u.interdomain.domain = port->remote_domain;
		args->u.interdomain.port = port->remote_port;
	} else if (port->state == EVENT_CHANNEL_VIRQ) {
		args->u.virq = port->virq;
	}
	return 0;
}

/* Nothing is ever held back here: masking is MSI-X's own, or stands in the guest's memory. */
int event_channel_unmask(struct event_channels *channels, uint32_t number)
{
	if (!find(channels, number))
		return -EINVAL;
	if (channels->ops->unmask)
		channels->ops->unmask(channels, number);
	return 0;
}

int event_channel_reset(struct event_channels *channels, const struct event_channel_reset *args)
{
	int result = check_self(channels, args->domain);

	for (uint32_t i = 1; !result && i < EVENT_CHANNEL_PORTS; i++) {
		if (find(channels, i) && !channels->port[i].fixed)
			event_channel_close(channels, i);
	}
	return result;
}

void event_channels_reset(struct event_channels *channels)
{
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		channels->port[i].lingering = 0;
		if (find(channels, i) && !channels->port[i].fixed)
			close_port(channels, i);
	}
}

void event_channels_close(struct event_channels *channels)
{
	event_channels_reset(channels);
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		if (find(channels, i))
			close_port(channels, i);
		channels->port[i].fixed = false;
	}
}

void event_channels_init(struct event_channels *channels, const struct event_channel_ops *ops,
			 uint16_t guest, uint16_t backend, uint32_t vcpus)
{
	memset(channels, 0, sizeof(*channels));
	channels->ops = ops;
	channels->guest = guest;
	channels->backend = backend;
	channels->vcpus = vcpus;
	for (uint32_t i = 0; i < EVENT_CHANNEL_PORTS; i++) {
		struct event_port *port = &channels->port[i];

		port->from_guest = port->to_guest = -1;
		port->wire.source.fd = port->wire.doorbell_fd = -1;
		port->wire.source.vector = MSIX_NO_VECTOR;
	}
}

int event_channel_bind_fixed(struct event_channels *channels)
{
	uint32_t number;
	struct event_port *port = new_port(channels, &number);
	int fd;

	if (!port)
		return -ENOSPC;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	port->from_guest = fd;
	port->state = EVENT_CHANNEL_INTERDOMAIN;
	port->fixed = true;
	port->remote_domain = channels->backend;
	port->remote_port = number;
	channels->ops->wire(channels, number);
	return (int)number;
}

/*
 * It came back, and asks again. The counter that it had may be full and block; a new one is born
 * notified. The old one stays open till KVM has let go of it.
 */
static int renew(struct event_channels *channels, uint32_t number)
{
	struct event_port *port = &channels->port[number];
	int fresh = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), old = port->from_guest;

	if (fresh < 0)
		return -errno;
	port->from_guest = fresh;
	channels->ops->wire(channels, number);
	close(old);
	return 0;
}

int event_channel_bind_backend(struct event_channels *channels, uint16_t owner, uint32_t number)
{
	struct event_port *port = find(channels, number);
	int from, to;

	if (!port || port->fixed)
		return -ENOENT;
	if (is_backends(channels, port))
		return port->owner == owner ? renew(channels, number) : -EBUSY;
	if (port->state != EVENT_CHANNEL_UNBOUND || port->remote_domain != channels->backend)
		return -ENOENT;
	from = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* born notified */
	if (from < 0)
		return -errno;
	to = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (to < 0) {
		int result = -errno;

		close(from);
		return result;
	}
	port->from_guest = from;
	port->to_guest = to;
	port->state = EVENT_CHANNEL_INTERDOMAIN;
	port->owner = owner;
	port->remote_port = number;
	channels->ops->wire(channels, number);
	return 0;
}

int event_channel_unbind_backend(struct event_channels *channels, uint16_t owner, uint32_t number)
{
	struct event_port *port;

	if (!number || number >= EVENT_CHANNEL_PORTS)
		return -ENOENT;
	port = &channels->port[number];
	if (port->state == EVENT_CHANNEL_CLOSED && port->lingering == owner) {
		port->lingering = 0;
		return 0;
	}
	if (!is_backends(channels, port) || port->owner != owner)
		return -ENOENT;
	disconnect(channels, number, EVENT_CHANNEL_UNBOUND);
	return 0;
}

void event_channel_unbind_owner(struct event_channels *channels, uint16_t owner)
{
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++)
		event_channel_unbind_backend(channels, owner, i);
}

void event_channel_raise_virq(struct event_channels *channels, uint32_t virq, uint32_t vcpu)
{
	uint32_t port = find_virq(channels, virq, vcpu);

	if (port)
		channels->ops->raise(channels, port);
}
