// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Xen's rings: from a socket at which a back-end attaches to rings that run, and back.
 *
 *	this process (guest and shim)			pvkit-blkd, pvkit-netd --attach
 *	memory, store, grant table; listens
 *						←	attaches
 *						←	InitWait: what it can
 *	rings, grants, ports; what it took	→
 *						←	Connected: what the device is
 *	… load …
 *	Closing					→
 *						←	Closed
 *	looks whether every grant came back
 */
#include "tools/load/xen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define LOOK_NS      1000000 /* how often the store is looked at, before the load and after it */
#define CLOSE_MS     10000
#define LEAVE_MS     1000
#define PREFIX_BYTES 16

static const struct xen_kind *kind_of(const struct load_config *config)
{
	return config->device == LOAD_BLK ? &xen_blk_kind : &xen_net_kind;
}

/* ---- waiting for the back-end ---------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool hung_up(const struct load_front *front)
{
	struct pollfd poll_fd = {.fd = front->connection, .events = POLLRDHUP};

	return poll(&poll_fd, 1, 0) > 0;
}

static void pause_a_moment(void)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};

	nanosleep(&pause, NULL);
}

int64_t xen_deadline(const struct load_front *front)
{
	return now_ms() + (int64_t)front->config->timeout * 1000;
}

bool xen_wait_on(const struct load_front *front, int64_t deadline)
{
	if (hung_up(front))
		die("%s: the back-end that attached is gone; what it said itself tells why",
		    front->config->path);
	pause_a_moment();
	return now_ms() < deadline;
}

static void __attribute__((noreturn)) die_refused(const struct load_front *front)
{
	char why[256];

	if (!xen_guest_read("error", why, sizeof(why)))
		snprintf(why, sizeof(why), "it does not say why");
	die("%s: the back-end refuses these rings: %s", front->config->path, why);
}

/* Somebody is there, and serves something else. */
static void check_device(const struct load_front *front)
{
	const struct xen_kind *kind = kind_of(front->config);

	if (xen_guest_serves(kind->other))
		die("%s: the back-end that attached serves %s; %s", front->config->path,
		    kind->other, kind->hint);
}

static void await_state(const struct load_front *front, enum store_state wanted)
{
	int64_t deadline = xen_deadline(front);
	enum store_state state;

	while ((state = xen_guest_backend_state()) != wanted) {
		if (wanted == STORE_STATE_CONNECTED && state > STORE_STATE_CONNECTED)
			die_refused(front);
		check_device(front);
		if (!xen_wait_on(front, deadline))
			die("%s: a back-end attached, and does not serve %s after %llu s, its "
			    "state "
			    "is %u; give it --device=%s, or a longer --timeout here",
			    front->config->path, kind_of(front->config)->device,
			    (unsigned long long)front->config->timeout, state,
			    kind_of(front->config)->device);
	}
}

/* ---- rings ----------------------------------------------------------------------------------- */

void *xen_take_pages(struct load_front *front, unsigned int count, uint32_t *references)
{
	uint64_t address;
	void *pages = load_memory_take(&front->memory, (uint64_t)count * XEN_RING_PAGE_BYTES,
				       XEN_RING_PAGE_BYTES, &address);
	unsigned int i;

	for (i = 0; i < count; i++)
		references[i] = xen_guest_grant(address + (uint64_t)i * XEN_RING_PAGE_BYTES);
	return pages;
}

bool xen_choose(const struct load_front *front, unsigned int wanted, bool offered,
		const char *option)
{
	if (wanted == LOAD_ON && !offered)
		die("--%s: the back-end at %s does not offer it; use --%s=auto", option,
		    front->config->path, option);
	return wanted != LOAD_OFF && offered;
}

struct load_queue *xen_queue_new(struct load_front *front, unsigned int index, unsigned int pages)
{
	struct load_queue *base = load_queue_new(front, index, sizeof(struct xen_queue));
	struct xen_queue *queue = xen_queue_of(base);
	struct xen_ring_area area = {
		.pages = xen_take_pages(front, pages, queue->reference),
		.bytes = pages * XEN_RING_PAGE_BYTES,
		.slot_bytes = kind_of(front->config)->slot_bytes[index % 2],
	};
	unsigned int i;

	queue->pages = pages;
	queue->persistent = front->persistent;
	if (xen_front_init(&queue->ring, &area) < 0)
		die("--queue-size: a ring of %u pages is impossible", pages);
	queue->entries = calloc(queue->ring.ring.size, sizeof(*queue->entries));
	if (!queue->entries)
		die_errno("no memory for queue %u", index);
	xen_shadow_init(&queue->shadow, queue->entries, queue->ring.ring.size);
	for (i = 0; i < pages; i++)
		xen_grant_give(queue->reference[i], false);
	queue->port = xen_guest_port();
	if (front->config->wait == LOAD_POLL)
		xen_front_events_disable(&queue->ring);
	return base;
}

static void publish(struct load_front *front)
{
	const struct xen_kind *kind = kind_of(front->config);
	char prefix[PREFIX_BYTES] = "";
	unsigned int i;

	if (front->config->queues > 1)
		xen_guest_write(STORE_KEY_NUM_QUEUES, "%llu",
				(unsigned long long)front->config->queues);
	kind->publish(front);
	for (i = 0; i < front->config->queues; i++) {
		if (front->config->queues > 1)
			snprintf(prefix, sizeof(prefix), "%s%u/", STORE_KEY_QUEUE_PREFIX, i);
		kind->publish_queue(front, i, prefix);
	}
	xen_guest_set_state(kind->ready);
}

static void check_queues(const struct load_front *front)
{
	uint64_t most = xen_guest_read_number(STORE_KEY_MAX_QUEUES, 1);

	if (front->config->queues > most)
		die("--queues: the back-end at %s has only %llu; ask for no more", front->config->path,
		    (unsigned long long)most);
}

static void xen_open(struct load_front *front, uint64_t extra)
{
	const struct load_config *config = front->config;
	const struct xen_kind *kind = kind_of(config);
	unsigned int i, pages;
	pid_t backend;

	/* Before anybody is there to say how large rings may be, so for the largest. */
	load_memory_open(&front->memory,
			 (uint64_t)front->queue_count * XEN_RING_PAGES_MAX * XEN_RING_PAGE_BYTES +
				 extra);
	xen_guest_open(&front->memory, kind->device);
	front->connection = xen_guest_await(config->path, (unsigned int)config->timeout, &backend);
	if (!front->backend)
		front->backend = backend;
	await_state(front, STORE_STATE_INIT_WAIT);
	check_queues(front);
	front->features = VIRTQUEUE_F_EVENT_IDX;
	pages = kind->negotiate(front);
	for (i = 0; i < front->queue_count; i++)
		front->queues[i] = xen_queue_new(front, i, pages);
	publish(front);
	await_state(front, STORE_STATE_CONNECTED);
	for (i = 0; i < front->queue_count; i++) {
		struct load_queue *queue = front->queues[i];

		xen_guest_port_descriptors(xen_queue_of(queue)->port, &queue->kick, &queue->call);
	}
	kind->connected(front);
}

static void xen_start(struct load_front *front)
{
	xen_guest_set_state(STORE_STATE_CONNECTED);
}

/* As a guest's driver does when its device is unplugged. */
static bool xen_stop(struct load_front *front)
{
	int64_t deadline = now_ms() + CLOSE_MS;

	xen_guest_set_state(STORE_STATE_CLOSING);
	while (xen_guest_backend_state() != STORE_STATE_CLOSED) {
		if (hung_up(front) || now_ms() > deadline) {
			log_error("%s: the back-end does not close the device",
				  front->config->path);
			return false;
		}
		pause_a_moment();
	}
	xen_guest_set_state(STORE_STATE_CLOSED);
	if (!xen_guest_grants_in_use())
		return true;
	log_error("%s: the back-end has closed the device, and still uses some of its grants",
		  front->config->path);
	return false;
}

static void xen_close(struct load_front *front)
{
	struct pollfd poll_fd = {.fd = front->connection, .events = POLLRDHUP};
	unsigned int i;

	/* The back-end sees this end first, and leaves; a lost store would be a fault to it. */
	shutdown(front->connection, SHUT_WR);
	poll(&poll_fd, 1, LEAVE_MS);
	close(front->connection);
	xen_guest_close();
	for (i = 0; i < front->queue_count; i++)
		free(xen_queue_of(front->queues[i])->entries);
}

const struct load_transport load_xen = {
	.open = xen_open,
	.start = xen_start,
	.stop = xen_stop,
	.close = xen_close,
	.wires = {[LOAD_BLK] = &xen_blk_wire,
		  [LOAD_NET_TX] = &xen_net_tx_wire,
		  [LOAD_NET_RX] = &xen_net_rx_wire},
};

/* ---- what all requests have in common -------------------------------------------------------- */

bool xen_publish(struct load_queue *queue)
{
	struct xen_front *ring = &xen_queue_of(queue)->ring;

	xen_front_publish(ring);
	return xen_front_should_notify(ring);
}

bool xen_arm(struct load_queue *queue)
{
	return xen_front_events_enable(&xen_queue_of(queue)->ring);
}

void xen_disarm(struct load_queue *queue)
{
	xen_front_events_disable(&xen_queue_of(queue)->ring);
}
