// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Device side of the packed virtqueue.
 *
 * There is no index to read: the flags of the slot at next_avail say whether it holds a chain. Used
 * descriptors go into the ring in the order of completion, each skipping as many slots as its chain
 * took, so next_used never overtakes next_avail.
 *
 * A batch is published by the flags of its first descriptor. The driver looks at slots in order and
 * stops at the first that is not used, so those behind it may be written at once, in any order.
 */
#include "ring/descriptor_chain.h"
#include "ring/packed.h"

int packed_device_init(struct virtqueue_device *vq, struct virtqueue_position position)
{
	uint16_t size = vq->areas.size;
	uint32_t avail = position.avail & (PACKED_WRAP - 1);
	uint32_t used = position.used & (PACKED_WRAP - 1);
	uint32_t distance;

	if (avail >= size || used >= size)
		return -1;
	vq->next_avail = avail;
	vq->avail_wrap = position.avail & PACKED_WRAP;
	vq->next_used = used;
	vq->used_wrap = position.used & PACKED_WRAP;

	distance = avail + (vq->avail_wrap != vq->used_wrap ? size : 0) - used;
	if (distance > size)
		return -1;
	vq->in_flight_slots = distance;
	return 0;
}

static uint16_t position_word(uint16_t slot, bool wrap)
{
	return slot | (wrap ? PACKED_WRAP : 0);
}

struct virtqueue_position packed_device_position(const struct virtqueue_device *vq)
{
	struct virtqueue_position position = {
		position_word(vq->next_avail, vq->avail_wrap),
		position_word(vq->next_used, vq->used_wrap),
	};

	return position;
}

/* What the flags of the slot at next_avail say of it. */
static enum virtqueue_result slot_state(const struct virtqueue_device *vq, uint16_t flags)
{
	uint16_t lap = flags & PACKED_LAP;

	if (lap == packed_avail_bits(vq->avail_wrap))
		return VIRTQUEUE_FOUND;
	/* Used in this lap: only the device writes that, and it has not been here. */
	if (lap == packed_used_bits(vq->avail_wrap))
		return VIRTQUEUE_BROKEN;
	return VIRTQUEUE_EMPTY;
}

/* Copies the chain that begins at next_avail, over the end of the ring if need be. */
static enum virtqueue_fault walk_ring(struct virtqueue_device *vq, struct chain_walk *walk)
{
	uint16_t slot = vq->next_avail, room = vq->areas.size - vq->in_flight_slots, slots;
	bool wrap = vq->avail_wrap;
	enum virtqueue_fault fault;
	struct descriptor copy;

	/* A chain that ran into slots whose use is still owed would be overwritten by it. */
	for (slots = 1; slots <= room; slots++) {
		copy = descriptor_copy_packed(vq->areas.descriptors, slot);
		if ((copy.flags & PACKED_LAP) != packed_avail_bits(wrap))
			return VIRTQUEUE_FAULT_WRAP;
		if (copy.flags & VRING_DESC_F_INDIRECT)
			fault = chain_walk_packed_table(walk, vq, &copy);
		else
			fault = chain_walk_add(walk, &copy);
		if (fault)
			return fault;
		if (!(copy.flags & VRING_DESC_F_NEXT)) {
			/* The last descriptor carries the id of the chain. */
			walk->chain->id = copy.last;
			walk->chain->slots = slots;
			return VIRTQUEUE_OK;
		}
		packed_advance(&slot, &wrap, 1, vq->areas.size);
	}
	return VIRTQUEUE_FAULT_LOOP;
}

enum virtqueue_result packed_device_pop(struct virtqueue_device *vq, struct virtqueue_chain *chain)
{
	struct chain_walk walk;
	enum virtqueue_result state;

	/* Pairs with the driver's release of these flags: the whole chain is visible. */
	state = slot_state(vq, order_load_acquire(&packed_slot(&vq->areas, vq->next_avail)->flags));
	if (state != VIRTQUEUE_FOUND) {
		if (state == VIRTQUEUE_BROKEN)
			vq->broken = VIRTQUEUE_FAULT_WRAP;
		return state;
	}

	chain_walk_begin(&walk, chain, vq->memory);
	vq->broken = walk_ring(vq, &walk);
	if (!vq->broken && chain->id >= vq->areas.size)
		vq->broken = VIRTQUEUE_FAULT_HEAD_RANGE;
	else if (!vq->broken && in_flight_test(vq, chain->id))
		vq->broken = VIRTQUEUE_FAULT_IN_FLIGHT;
	if (vq->broken)
		return VIRTQUEUE_BROKEN;

	in_flight_set(vq, chain->id);
	vq->in_flight_slots += chain->slots;
	packed_advance(&vq->next_avail, &vq->avail_wrap, chain->slots, vq->areas.size);
	return VIRTQUEUE_FOUND;
}

void packed_device_unpop(struct virtqueue_device *vq, const struct virtqueue_chain *chain)
{
	in_flight_clear(vq, chain->id);
	vq->in_flight_slots -= chain->slots;
	packed_retreat(&vq->next_avail, &vq->avail_wrap, chain->slots, vq->areas.size);
}

void packed_device_push(struct virtqueue_device *vq, uint16_t id, uint16_t slots, uint32_t written)
{
	struct vring_packed_desc *slot = packed_slot(&vq->areas, vq->next_used);
	uint16_t flags = packed_used_bits(vq->used_wrap) | (written ? VRING_DESC_F_WRITE : 0);

	order_store_relaxed(&slot->len, written);
	order_store_relaxed(&slot->id, id);
	if (vq->batch) {
		order_store_relaxed(&slot->flags, flags);
	} else {
		vq->batch_first = vq->next_used;
		vq->batch_first_flags = flags;
	}

	in_flight_clear(vq, id);
	vq->in_flight_slots -= slots;
	packed_advance(&vq->next_used, &vq->used_wrap, slots, vq->areas.size);
	vq->batch += slots;
}

void packed_device_publish(struct virtqueue_device *vq)
{
	/* All descriptors of the batch, and the data, before the flags that let the driver in. */
	order_store_release(&packed_slot(&vq->areas, vq->batch_first)->flags,
			    vq->batch_first_flags);
}

bool packed_device_should_interrupt(struct virtqueue_device *vq)
{
	uint16_t slot = vq->next_used, size = vq->areas.size;
	uint32_t count = take_undecided(&vq->undecided), event;
	bool wrap = vq->used_wrap, owed = vq->interrupt_owed;

	/* Flags before the driver's wish; pairs with the barrier in its interrupts_enable. */
	order_full_barrier();
	event = order_load_relaxed((uint32_t *)vq->areas.driver);
	if (packed_event_disabled(event))
		return false;
	if (!vq->event_idx || !packed_event_at_slot(event))
		return true;
	vq->interrupt_owed = false;
	packed_retreat(&slot, &wrap, vq->batch, size);
	return owed || packed_event_reached(event, slot, wrap, count, size);
}

void packed_device_kicks_disable(struct virtqueue_device *vq)
{
	packed_event_disable(vq->areas.device);
}

bool packed_device_kicks_enable(struct virtqueue_device *vq)
{
	packed_event_enable(vq->areas.device, vq->event_idx, vq->next_avail, vq->avail_wrap);
	/* The wish before the look at the slot; pairs with the driver's should_kick. */
	order_full_barrier();
	return packed_device_has_work(vq);
}

bool packed_device_has_work(struct virtqueue_device *vq)
{
	/*
	 * Flags that fit no lap are work too: pop will say so. A ring full of chains in flight has
	 * come round to its own oldest slot, which the driver cannot have handed over again.
	 */
	return slot_state(vq,
			  order_load_acquire(&packed_slot(&vq->areas, vq->next_avail)->flags)) !=
	       VIRTQUEUE_EMPTY;
}
