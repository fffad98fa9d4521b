// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Event channels. The shim wires both eventfds to KVM; from then on it is on the way of no event.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/host/host_private.h"
#include "ring/order.h"

bool host_port_add(struct host *host, uint32_t port)
{
	unsigned int i;

	for (i = 0; i < host->port_count; i++)
		if (host->ports[i] == port)
			return false;
	if (host->port_count == HOST_CHANNELS_MAX)
		return false;
	host->ports[host->port_count++] = port;
	return true;
}

bool host_port_remove(struct host *host, uint32_t port)
{
	unsigned int i;

	for (i = 0; i < host->port_count; i++) {
		if (host->ports[i] == port) {
			host->ports[i] = host->ports[--host->port_count];
			return true;
		}
	}
	return false;
}

bool host_port_bound(const struct host *host, uint32_t port)
{
	unsigned int i;

	for (i = 0; i < host->port_count; i++)
		if (host->ports[i] == port)
			return true;
	return false;
}

int host_bind(struct host *host, uint32_t port, struct host_channel *channel)
{
	const struct attach_bind bind = {.guest_port = port};
	struct host_message answer;
	int err;

	*channel = (struct host_channel){.from = -1, .to = -1};
	if (!port || port >= host->welcome.ports)
		return -ENOENT;
	if (!host_port_add(host, port))
		return -EBUSY;
	err = host_ask(host, ATTACH_BIND, &bind, sizeof(bind), &answer, sizeof(struct attach_bound),
		       2);
	if (err) {
		host_port_remove(host, port);
		return err;
	}
	/* What was closed before this answer was an earlier channel of the same number. */
	host_forget_closed(host, port);
	channel->port = port;
	channel->from = answer.fds[0];
	channel->to = answer.fds[1];
	fcntl(channel->from, F_SETFL, fcntl(channel->from, F_GETFL) | O_NONBLOCK);
	fcntl(channel->to, F_SETFL, fcntl(channel->to, F_GETFL) | O_NONBLOCK);
	return 0;
}

void host_unbind(struct host *host, struct host_channel *channel)
{
	const struct attach_bind bind = {.guest_port = channel->port};
	struct host_message answer;

	if (!channel->port)
		return;
	close(channel->from);
	close(channel->to);
	/* A port that the guest closed, or a reset, is not there any more: that is what we want. */
	if (host_port_remove(host, channel->port))
		host_ask(host, ATTACH_UNBIND, &bind, sizeof(bind), &answer, 0, 0);
	*channel = (struct host_channel){.from = -1, .to = -1};
}

void host_notify(const struct host *host, const struct host_channel *channel)
{
	struct platform_pending *pending = host->grants.pending;
	const uint64_t one = 1;

	order_full_barrier();
	/* Acquire pairs with the shim's release of ->vectors, before which it set up the vectors. */
	if (channel->port >= order_load_acquire(&pending->vectors))
		__atomic_fetch_or(&pending->word[channel->port / 64], 1ULL << channel->port % 64,
				  __ATOMIC_SEQ_CST);
	/* Full: a notification that is still to be taken. */
	if (write(channel->to, &one, sizeof(one)) < 0)
		return;
}

bool host_take_event(const struct host_channel *channel)
{
	uint64_t count;
	struct iovec to = {&count, sizeof(count)};

	/* The shim shares the flags of the open file; this one is the call's own. */
	return preadv2(channel->from, &to, 1, -1, RWF_NOWAIT) > 0;
}
