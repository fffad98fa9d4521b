// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Driver side of the packed virtqueue.
 *
 * A chain takes the slots behind the youngest one; its buffer id comes from a private list of free
 * ids and names its place in lent[]. A used descriptor carries the id only, so how many slots to
 * skip is known from there, never from the ring.
 *
 * A batch is published by the flags of its first descriptor: the device looks at slots in order,
 * and so cannot see those behind it before.
 */
#include "ring/lent.h"
#include "ring/packed.h"

void packed_driver_init(struct virtqueue_driver *vq)
{
	uint16_t i;

	for (i = 0; i < vq->areas.size; i++)
		vq->lent[i].next = i + 1;
	vq->free_count = vq->areas.size;
	vq->avail_wrap = true;
	vq->used_wrap = true;
}

static uint16_t write_flag(const struct virtqueue_request *request, uint16_t i)
{
	return i >= request->readable ? VRING_DESC_F_WRITE : 0;
}

/* Writes the next slot of the ring and moves on. The flags of a batch's first slot are held back. */
static void add_slot(struct virtqueue_driver *vq, const struct virtqueue_buffer *buffer,
		     uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *slot = packed_slot(&vq->areas, vq->next_avail);

	flags |= packed_avail_bits(vq->avail_wrap);
	order_store_relaxed(&slot->addr, buffer->address);
	if (vq->batch) {
		/* Length, id and flags in one store. */
		order_store_relaxed((uint64_t *)slot + 1,
				    buffer->length | (uint64_t)id << 32 | (uint64_t)flags << 48);
	} else {
		order_store_relaxed(&slot->len, buffer->length);
		order_store_relaxed(&slot->id, id);
		vq->batch_first = vq->next_avail;
		vq->batch_first_flags = flags;
	}
	vq->batch++;
	packed_advance(&vq->next_avail, &vq->avail_wrap, 1, vq->areas.size);
}

static void add_direct(struct virtqueue_driver *vq, const struct virtqueue_request *request,
		       uint16_t id)
{
	uint16_t i;

	for (i = 0; i < request->total; i++)
		add_slot(vq, &request->buffers[i], id,
			 write_flag(request, i) | (i + 1 < request->total ? VRING_DESC_F_NEXT : 0));
}

static void add_indirect(struct virtqueue_driver *vq, const struct virtqueue_request *request,
			 uint16_t id)
{
	struct virtqueue_buffer table = {
		.address = request->indirect_address,
		.length = request->total * sizeof(struct vring_packed_desc),
	};
	uint64_t *word = request->indirect;
	uint16_t i;

	/* In a table neither ids nor links nor laps mean anything. */
	for (i = 0; i < request->total; i++) {
		order_store_relaxed(word++, request->buffers[i].address);
		order_store_relaxed(word++, request->buffers[i].length |
						    (uint64_t)write_flag(request, i) << 48);
	}
	add_slot(vq, &table, id, VRING_DESC_F_INDIRECT);
}

int packed_driver_add(struct virtqueue_driver *vq, const struct virtqueue_request *request)
{
	uint16_t slots = request->indirect ? 1 : request->total, id = vq->free_head;

	/* Each chain takes a slot at least, so where a slot is free an id is. */
	if (slots > vq->free_count)
		return -1;
	vq->free_head = vq->lent[id].next;
	if (request->indirect)
		add_indirect(vq, request, id);
	else
		add_direct(vq, request, id);
	lend(vq, id, request, slots);
	return 0;
}

void packed_driver_publish(struct virtqueue_driver *vq)
{
	/* All descriptors of the batch, and the data, before the flags that let the device in. */
	order_store_release(&packed_slot(&vq->areas, vq->batch_first)->flags,
			    vq->batch_first_flags);
}

bool packed_driver_should_kick(struct virtqueue_driver *vq)
{
	uint16_t slot = vq->next_avail, size = vq->areas.size;
	uint32_t count = take_undecided(&vq->undecided), event;
	bool wrap = vq->avail_wrap;

	/* Flags before the device's wish; pairs with the barrier in its kicks_enable. */
	order_full_barrier();
	event = order_load_relaxed((uint32_t *)vq->areas.device);
	if (packed_event_disabled(event))
		return false;
	if (!vq->event_idx || !packed_event_at_slot(event))
		return true;
	packed_retreat(&slot, &wrap, vq->batch, size);
	return packed_event_reached(event, slot, wrap, count, size);
}

static bool slot_used(const struct virtqueue_driver *vq)
{
	/* Pairs with the device's release of the flags: id, length and data are visible. */
	uint16_t flags = order_load_acquire(&packed_slot(&vq->areas, vq->next_used)->flags);

	return (flags & PACKED_LAP) == packed_used_bits(vq->used_wrap);
}

static void free_chain(struct virtqueue_driver *vq, uint16_t id)
{
	packed_advance(&vq->next_used, &vq->used_wrap, vq->lent[id].slots, vq->areas.size);
	vq->lent[id].next = vq->free_head;
	vq->free_head = id;
}

enum virtqueue_result packed_driver_reap(struct virtqueue_driver *vq, void **token,
					 uint32_t *written)
{
	struct vring_packed_desc *slot;
	uint32_t length;
	uint16_t id;

	if (vq->order_run) {
		id = take_run(vq, &length);
		goto found;
	}
	if (!slot_used(vq))
		return VIRTQUEUE_EMPTY;

	slot = packed_slot(&vq->areas, vq->next_used);
	id = order_load_relaxed(&slot->id);
	length = order_load_relaxed(&slot->len);
	/* Reserved where nothing could be written: DPDK leaves there what the driver had put. */
	if (id < vq->areas.size && !vq->lent[id].writable)
		length = 0;
	vq->broken = judge_used(vq, id, length);
	if (vq->broken)
		return VIRTQUEUE_BROKEN;
	if (vq->in_order) {
		/* A run has no count of its own: its last id stands in the queue somewhere. */
		begin_run(vq, id, length, VIRTQUEUE_SIZE_MAX);
		id = take_run(vq, &length);
	}
found:
	free_chain(vq, id);
	*token = take_back(vq, id);
	*written = length;
	return VIRTQUEUE_FOUND;
}

void packed_driver_interrupts_disable(struct virtqueue_driver *vq)
{
	packed_event_disable(vq->areas.driver);
}

bool packed_driver_interrupts_enable(struct virtqueue_driver *vq)
{
	packed_event_enable(vq->areas.driver, vq->event_idx, vq->next_used, vq->used_wrap);
	/* The wish before the look at the slot; pairs with the device's should_interrupt. */
	order_full_barrier();
	return vq->order_run || slot_used(vq);
}
