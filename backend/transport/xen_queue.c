// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * From the front-end's keys to queues that run.
 *
 * All keys are read and judged before the first ring is mapped, and all rings are mapped and all ports
 * bound before the first queue starts: a front-end whose third queue is nonsense costs nothing that
 * would have to be taken back from a thread. A reference may be named once in the whole device: two
 * rings in one page would be one guest's own problem, but its requests would not be what any check of
 * ours has seen.
 *
 * A ring is entered where its own header says that responses stand: 0 for a front-end that begins,
 * and for one whose back-end died, the requests that nobody answered are served again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/transport/xen_private.h"
#include "ring/order.h"

/* "queue-63/" and the longest key of any device. */
#define KEY_BYTES 64

/* ---- keys ------------------------------------------------------------------------------------ */

static int read_pages(struct xen *xen, const struct xen_ring_kind *kind, unsigned int *pages,
		      bool *several)
{
	struct xen_device *device = xen->device;
	uint64_t order_max = kind->page_order_max < device->page_order_max ? kind->page_order_max
									   : device->page_order_max;
	uint64_t order, count;
	int err;

	*pages = 1;
	*several = false;
	if (!kind->page_order_max)
		return 0;
	err = xen_device_front_number(device, "ring-page-order", UINT64_MAX, order_max, &order);
	if (err)
		return err;
	if (order != UINT64_MAX) {
		*pages = 1U << order;
		*several = true;
		return 0;
	}
	err = xen_device_front_number(device, "num-ring-pages", 0, 1ULL << order_max, &count);
	if (err || !count)
		return err;
	if (count & (count - 1)) {
		xen_device_refuse(device, "its num-ring-pages is %llu, no power of two",
				  (unsigned long long)count);
		return -EINVAL;
	}
	*pages = count;
	*several = true;
	return 0;
}

static bool named_before(const struct xen *xen, const struct xen_slot *until, unsigned int ring,
			 unsigned int page, uint32_t reference)
{
	const struct xen_slot *slot;
	unsigned int r, p;

	for (slot = xen->slots; slot <= until; slot++) {
		for (r = 0; r < XEN_QUEUE_RINGS; r++) {
			for (p = 0; p < slot->pages[r]; p++) {
				if (slot == until && (r > ring || (r == ring && p >= page)))
					return false;
				if (slot->reference[r][p] == reference)
					return true;
			}
		}
	}
	return false;
}

static int read_reference(struct xen *xen, struct xen_slot *slot, unsigned int ring,
			  unsigned int page, const char *prefix, bool several)
{
	char key[KEY_BYTES], number[12] = "";
	uint64_t reference;
	int err;

	if (several)
		snprintf(number, sizeof(number), "%u", page);
	snprintf(key, sizeof(key), "%s%s%s", prefix, slot->kinds[ring].ref_key, number);
	err = xen_device_front_number(xen->device, key, UINT64_MAX, UINT32_MAX, &reference);
	if (err)
		return err;
	/* A ring of one page goes by either name. */
	if (reference == UINT64_MAX && several && slot->pages[ring] == 1)
		return read_reference(xen, slot, ring, page, prefix, false);
	if (reference == UINT64_MAX) {
		xen_device_refuse(xen->device, "it has no %s", key);
		return -EINVAL;
	}
	if (named_before(xen, slot, ring, page, reference)) {
		xen_device_refuse(xen->device,
				  "its %s is grant %llu, which is part of a ring already", key,
				  (unsigned long long)reference);
		return -EINVAL;
	}
	slot->reference[ring][page] = reference;
	return 0;
}

static int read_port(struct xen *xen, const char *prefix, const char *name, uint32_t *port)
{
	char key[KEY_BYTES];
	uint64_t value;
	int err;

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	err = xen_device_front_number(xen->device, key, 0, UINT32_MAX, &value);
	*port = value;
	return err;
}

/* A channel for each ring where the front-end has them all, else one for all rings. */
static int read_ports(struct xen *xen, struct xen_slot *slot, const char *prefix, uint32_t *ports)
{
	unsigned int i, own = 0;
	int err;

	for (i = 0; i < slot->kind_count; i++) {
		ports[i] = 0;
		if (!slot->kinds[i].event_key)
			continue;
		err = read_port(xen, prefix, slot->kinds[i].event_key, &ports[i]);
		if (err)
			return err;
		own += ports[i] != 0;
	}
	if (own == slot->kind_count) {
		slot->channel_count = own;
		return 0;
	}
	slot->channel_count = 1;
	err = read_port(xen, prefix, STORE_KEY_EVENT_CHANNEL, &ports[0]);
	if (err)
		return err;
	if (ports[0])
		return 0;
	xen_device_refuse(xen->device, "it has no %s%s", prefix, STORE_KEY_EVENT_CHANNEL);
	return -EINVAL;
}

static int read_slot(struct xen *xen, struct xen_slot *slot, const char *prefix, uint32_t *ports)
{
	unsigned int ring, page, pages;
	bool several;
	int err;

	for (ring = 0; ring < slot->kind_count; ring++) {
		err = read_pages(xen, &slot->kinds[ring], &pages, &several);
		if (err)
			return err;
		slot->pages[ring] = pages;
		for (page = 0; page < pages; page++) {
			err = read_reference(xen, slot, ring, page, prefix, several);
			if (err)
				return err;
		}
	}
	return read_ports(xen, slot, prefix, ports);
}

/* How many queues, and whether they lie in directories of their own. */
static int read_queue_count(struct xen *xen, unsigned int *count, bool *directories)
{
	uint64_t queues;
	char text[XEN_VALUE_BYTES];
	int err = xen_device_front_number(xen->device, STORE_KEY_NUM_QUEUES, UINT64_MAX,
					  xen->device->queues_max, &queues);

	if (err)
		return err;
	if (!queues) {
		xen_device_refuse(xen->device, "its %s is 0", STORE_KEY_NUM_QUEUES);
		return -EINVAL;
	}
	*directories = queues != UINT64_MAX && queues > 1;
	*count = queues == UINT64_MAX ? 1 : queues;
	/* One queue that was counted may lie in either place. */
	if (queues == 1)
		*directories = xen_device_front_read(xen->device, STORE_KEY_EVENT_CHANNEL, text,
						     sizeof(text)) == -ENOENT &&
			       xen_device_front_read(xen->device, "queue-0/event-channel", text,
						     sizeof(text)) > 0;
	return 0;
}

static int check_protocol(struct xen *xen)
{
	char text[XEN_VALUE_BYTES];
	int got = xen_device_front_read(xen->device, STORE_KEY_PROTOCOL, text, sizeof(text));

	if (got == -ENOENT || (got >= 0 && !strcmp(text, STORE_PROTOCOL_X86_64)))
		return 0;
	if (got == -EPIPE)
		return got;
	xen_device_refuse(xen->device, "its ring layout is '%s'; only %s is served",
			  got < 0 ? strerror(-got) : text, STORE_PROTOCOL_X86_64);
	return -EINVAL;
}

/* ---- one queue ------------------------------------------------------------------------------- */

static void slot_unmap(struct xen *xen, struct xen_slot *slot)
{
	unsigned int i;

	for (i = 0; i < slot->kind_count; i++) {
		host_area_close(xen->host, &slot->area[i]);
		slot->queue.ring[i].area = (struct xen_ring_area){0};
	}
}

static int slot_map(struct xen *xen, struct xen_slot *slot)
{
	unsigned int i;
	int err;

	for (i = 0; i < slot->kind_count; i++) {
		struct host_area *area = &slot->area[i];

		err = host_area_open(xen->host, area, slot->reference[i], slot->pages[i]);
		if (err) {
			xen_device_refuse(xen->device,
					  "its %s of queue %d, grant %u and %u more, "
					  "cannot be mapped: %s",
					  slot->kinds[i].ref_key, (int)slot->queue.index,
					  slot->reference[i][0], slot->pages[i] - 1,
					  strerror(-err));
			slot_unmap(xen, slot);
			return err;
		}
		slot->queue.ring[i].area = (struct xen_ring_area){
			.pages = area->pages,
			.bytes = area->count * HOST_PAGE_BYTES,
			.slot_bytes = slot->kinds[i].slot_bytes,
		};
	}
	return 0;
}

static void slot_unbind(struct xen *xen, struct xen_slot *slot)
{
	unsigned int i;

	for (i = 0; i < slot->channel_count; i++)
		host_unbind(xen->host, &slot->channel[i]);
}

static int slot_bind(struct xen *xen, struct xen_slot *slot, const uint32_t *ports)
{
	unsigned int i;
	int err;

	for (i = 0; i < slot->channel_count; i++) {
		err = host_bind(xen->host, ports[i], &slot->channel[i]);
		if (err) {
			xen_device_refuse(xen->device,
					  "its event channel %u of queue %d cannot be bound: %s",
					  ports[i], (int)slot->queue.index, strerror(-err));
			slot->channel_count = i;
			slot_unbind(xen, slot);
			return err;
		}
	}
	for (i = 0; i < slot->kind_count; i++)
		slot->queue.ring[i].channel = &slot->channel[i < slot->channel_count ? i : 0];
	return 0;
}

static void slot_begin(struct xen_slot *slot)
{
	unsigned int i;

	for (i = 0; i < slot->kind_count; i++) {
		struct xen_ring_header *header = slot->queue.ring[i].area.pages;
		uint32_t at = order_load_relaxed(&header->rsp_prod);

		slot->queue.ring[i].position = (struct xen_ring_position){at, at};
	}
}

static int slot_open(struct xen *xen, struct xen_slot *slot, const uint32_t *ports)
{
	int err = slot_map(xen, slot);

	if (err)
		return err;
	err = slot_bind(xen, slot, ports);
	if (err) {
		slot_unmap(xen, slot);
		return err;
	}
	slot_begin(slot);
	return 0;
}

static int slot_start(struct xen *xen, struct xen_slot *slot)
{
	int err = xen->device->ops->queue_start(xen->device, &slot->queue);

	slot->running = !err;
	if (err)
		xen_device_refuse(xen->device, "queue %d cannot be served: %s",
				  (int)slot->queue.index, strerror(-err));
	return err;
}

static void slot_stop(struct xen *xen, struct xen_slot *slot)
{
	if (slot->running)
		xen->device->ops->queue_stop(xen->device, &slot->queue);
	slot->running = false;
}

/* ---- all queues ------------------------------------------------------------------------------ */

static void slot_init(struct xen_slot *slot, uint32_t index, const struct xen_ring_kind *kinds,
		      unsigned int kind_count)
{
	*slot = (struct xen_slot){.queue.index = index, .kinds = kinds, .kind_count = kind_count};
}

/* The control queue's slot is the one behind the others, where it is there at all. */
static int open_slots(struct xen *xen, unsigned int count, bool directories)
{
	uint32_t(*ports)[XEN_QUEUE_RINGS] = calloc(count + 1, sizeof(*ports));
	struct xen_device *device = xen->device;
	unsigned int i, total = count;
	char prefix[KEY_BYTES / 2] = "", text[XEN_VALUE_BYTES];
	int err = 0;

	if (!ports)
		return -ENOMEM;
	for (i = 0; !err && i < count; i++) {
		slot_init(&xen->slots[i], i, device->kinds, device->kind_count);
		if (directories)
			snprintf(prefix, sizeof(prefix), "%s%u/", STORE_KEY_QUEUE_PREFIX, i);
		err = read_slot(xen, &xen->slots[i], prefix, ports[i]);
	}
	if (!err && device->control &&
	    xen_device_front_read(device, device->control->ref_key, text, sizeof(text)) !=
		    -ENOENT) {
		xen->control = &xen->slots[total++];
		slot_init(xen->control, XEN_QUEUE_CONTROL, device->control, 1);
		err = read_slot(xen, xen->control, "", ports[count]);
	}
	for (i = 0; !err && i < total; i++) {
		err = slot_open(xen, &xen->slots[i], ports[i]);
		if (!err)
			xen->slot_count++;
	}
	free(ports);
	device->queues = count;
	return err;
}

static int start_slots(struct xen *xen)
{
	unsigned int i;
	int err = 0;

	if (xen->control)
		err = slot_start(xen, xen->control);
	for (i = 0; !err && i < xen->slot_count; i++)
		if (&xen->slots[i] != xen->control)
			err = slot_start(xen, &xen->slots[i]);
	return err;
}

static void stop_slots(struct xen *xen)
{
	unsigned int i;

	for (i = 0; i < xen->slot_count; i++)
		if (&xen->slots[i] != xen->control)
			slot_stop(xen, &xen->slots[i]);
	if (xen->control)
		slot_stop(xen, xen->control);
}

int xen_queues_open(struct xen *xen)
{
	unsigned int count;
	bool directories;
	int err = check_protocol(xen);

	if (!err)
		err = read_queue_count(xen, &count, &directories);
	if (!err)
		err = xen->device->ops->negotiate(xen->device);
	if (!err)
		err = open_slots(xen, count, directories);
	if (!err)
		err = start_slots(xen);
	if (err)
		xen_queues_close(xen);
	return err;
}

void xen_queues_close(struct xen *xen)
{
	unsigned int i;

	stop_slots(xen);
	for (i = 0; i < xen->slot_count; i++) {
		slot_unbind(xen, &xen->slots[i]);
		slot_unmap(xen, &xen->slots[i]);
	}
	xen->slot_count = 0;
	xen->control = NULL;
	xen->device->queues = 0;
}

void xen_queues_pause(struct xen *xen)
{
	unsigned int i;

	stop_slots(xen);
	for (i = 0; i < xen->slot_count; i++)
		slot_unmap(xen, &xen->slots[i]);
}

int xen_queues_resume(struct xen *xen)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < xen->slot_count; i++)
		err = slot_map(xen, &xen->slots[i]);
	return err ? err : start_slots(xen);
}

static const char *ring_name(const struct xen_device *device, const struct xen_queue *queue,
			     const struct xen_ring *ring)
{
	unsigned int i;

	if (queue->index == XEN_QUEUE_CONTROL)
		return device->control->ref_key;
	for (i = 1; i < device->kind_count; i++)
		if (queue->ring[i].area.pages == ring->header)
			return device->kinds[i].ref_key;
	return device->kinds[0].ref_key;
}

void xen_queue_broken(const struct xen_device *device, const struct xen_queue *queue,
		      const struct xen_ring *ring, const char *next)
{
	static struct log_limit limit;

	log_peer(&limit,
		 "%s: queue %d: the front-end broke the ring of its %s: %s (its req_prod is %u); "
		 "the queue stays stopped until %s",
		 device->name, (int)queue->index, ring_name(device, queue, ring),
		 xen_ring_fault_text(ring->broken), order_load_relaxed(&ring->header->req_prod),
		 next);
}
