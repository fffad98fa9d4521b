// SPDX-License-Identifier: MIT OR GPL-2.0
/* What is left on the host of a Xen network device whose guest goes. */
#include "netif_guest.h"
#include "tests/unit/host/leave.h"

static struct fake_shim *open_nic(void)
{
	return &nic_open()->shim;
}

static void publish(struct fake_shim *shim)
{
	struct nic *n = (struct nic *)shim;
	struct xen_front control;

	__atomic_store_n(&n->link->busy, false, __ATOMIC_RELAXED);
	nic_features(n);
	nic_queues(n, 2, true);
	front_set(n, "ctrl-ring-ref", "%u", ring_make(n, &control, NETIF_CTRL_SLOT_BYTES));
	front_set(n, "event-channel-ctrl", "%u", guest_port(&n->shim));
}

/* Pages posted, and frames that the link does not take: all of them stay pinned. */
static void ask_much(struct fake_shim *shim)
{
	struct nic *n = (struct nic *)shim;
	uint8_t frame[200];
	unsigned int i;

	fill(frame, sizeof(frame), 1);
	__atomic_store_n(&n->link->busy, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++) {
		rx_post(n, &n->q[i], 50);
		tx_frame(n, &n->q[i], frame, sizeof(frame));
		tx_frame(n, &n->q[i], frame, sizeof(frame));
	}
}

static bool stopped(struct fake_shim *shim)
{
	return !((struct nic *)shim)->link->active;
}

static void serve(struct fake_shim *shim)
{
	struct nic *n = (struct nic *)shim;

	check_tx(n, &n->q[0]);
	check_tx(n, &n->q[1]);
}

static void close_nic(struct fake_shim *shim)
{
	nic_close((struct nic *)shim);
}

int main(void)
{
	const struct leave_kind nic = {
		.front = FRONT,
		.back = BACK,
		.open = open_nic,
		.publish = publish,
		.ask = ask_much,
		.stopped = stopped,
		.serve = serve,
		.close = close_nic,
	};

	log_open("test", false);
	return leave_run(&nic);
}
