// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Device side of the split virtqueue.
 *
 * The avail index is read with acquire once for all chains that it announces; the used index is
 * written with release once for all chains that were pushed. So a batch costs two transfers of a
 * cache line that both sides write, not two a chain.
 */
#include "ring/descriptor_chain.h"
#include "ring/split.h"

int split_device_init(struct virtqueue_device *vq, struct virtqueue_position position)
{
	if ((uint16_t)(position.avail - position.used) > vq->areas.size)
		return -1;
	vq->next_avail = position.avail;
	vq->avail_seen = position.avail;
	vq->next_used = position.used;
	return 0;
}

struct virtqueue_position split_device_position(const struct virtqueue_device *vq)
{
	struct virtqueue_position position = {vq->next_avail, vq->next_used};

	return position;
}

/* Whether there are chains behind the last index that was read. */
static enum virtqueue_result look_for_more(struct virtqueue_device *vq)
{
	/* Pairs with the driver's release of idx: its ring entries and descriptors are visible. */
	uint16_t idx = order_load_acquire(&split_avail(&vq->areas)->idx);

	if ((uint16_t)(idx - vq->next_avail) > vq->areas.size) {
		vq->broken = VIRTQUEUE_FAULT_INDEX_JUMP;
		return VIRTQUEUE_BROKEN;
	}
	vq->avail_seen = idx;
	return idx == vq->next_avail ? VIRTQUEUE_EMPTY : VIRTQUEUE_FOUND;
}

enum virtqueue_result split_device_pop(struct virtqueue_device *vq, struct virtqueue_chain *chain)
{
	struct chain_walk walk;
	enum virtqueue_result more;
	uint16_t head;

	if (vq->next_avail == vq->avail_seen) {
		more = look_for_more(vq);
		if (more != VIRTQUEUE_FOUND)
			return more;
	}

	head = order_load_relaxed(
		&split_avail(&vq->areas)->ring[vq->next_avail & (vq->areas.size - 1)]);
	if (head >= vq->areas.size) {
		vq->broken = VIRTQUEUE_FAULT_HEAD_RANGE;
		return VIRTQUEUE_BROKEN;
	}
	if (in_flight_test(vq, head)) {
		vq->broken = VIRTQUEUE_FAULT_IN_FLIGHT;
		return VIRTQUEUE_BROKEN;
	}

	chain_walk_begin(&walk, chain, vq->memory);
	vq->broken = chain_walk_split(&walk, vq, head);
	if (vq->broken)
		return VIRTQUEUE_BROKEN;

	chain->id = head;
	chain->slots = 1;
	in_flight_set(vq, head);
	vq->next_avail++;
	return VIRTQUEUE_FOUND;
}

void split_device_unpop(struct virtqueue_device *vq, const struct virtqueue_chain *chain)
{
	in_flight_clear(vq, chain->id);
	vq->next_avail--;
}

void split_device_push(struct virtqueue_device *vq, uint16_t id, uint32_t written)
{
	struct vring_used_elem *element =
		&split_used(&vq->areas)->ring[vq->next_used & (vq->areas.size - 1)];

	order_store_relaxed(&element->id, id);
	order_store_relaxed(&element->len, written);
	in_flight_clear(vq, id);
	vq->next_used++;
	vq->batch++;
}

void split_device_publish(struct virtqueue_device *vq)
{
	/* The elements, and the data behind them, before the index that announces them. */
	order_store_release(&split_used(&vq->areas)->idx, vq->next_used);
}

bool split_device_should_interrupt(struct virtqueue_device *vq)
{
	struct vring_avail *avail = split_avail(&vq->areas);
	uint32_t count = take_undecided(&vq->undecided);
	bool owed = vq->interrupt_owed;

	/* idx before the driver's wish; pairs with the barrier in its interrupts_enable. */
	order_full_barrier();
	if (!vq->event_idx)
		return !(order_load_relaxed(&avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vq->interrupt_owed = false;
	return split_event_reached(order_load_relaxed(split_used_event(&vq->areas)),
				   vq->next_used - vq->batch, count) ||
	       owed;
}

void split_device_kicks_disable(struct virtqueue_device *vq)
{
	__virtio16 *event = split_avail_event(&vq->areas);

	/*
	 * With event indices one that was passed asks for nothing. One that was not passed, because
	 * something else than a kick ended the sleep, is put behind, or the next buffer would kick.
	 */
	if (!vq->event_idx)
		order_store_relaxed(&split_used(&vq->areas)->flags, VRING_USED_F_NO_NOTIFY);
	else if (order_load_relaxed(event) == vq->next_avail)
		order_store_relaxed(event, vq->next_avail - 1);
}

bool split_device_kicks_enable(struct virtqueue_device *vq)
{
	if (vq->event_idx)
		order_store_relaxed(split_avail_event(&vq->areas), vq->next_avail);
	else
		order_store_relaxed(&split_used(&vq->areas)->flags, 0);
	/* The wish before the look at idx; pairs with the barrier in the driver's should_kick. */
	order_full_barrier();
	return split_device_has_work(vq);
}

bool split_device_has_work(struct virtqueue_device *vq)
{
	/* An index that jumped is work too: pop will say what is wrong with it. */
	return vq->next_avail != vq->avail_seen ||
	       order_load_acquire(&split_avail(&vq->areas)->idx) != vq->next_avail;
}
