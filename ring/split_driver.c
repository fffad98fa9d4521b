// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Driver side of the split virtqueue.
 *
 * Free descriptors are a private list through lent[].next, last in first out, so that the same few
 * cache lines of the table are used again. The links of a chain that is lent stay in that list as
 * well; what stands in the shared table is never read back.
 *
 * In order the specification wants descriptors used in ring order. Then the list is one circle
 * that never changes, and free descriptors are those between the youngest chain and the oldest.
 */
#include "ring/lent.h"
#include "ring/split.h"

void split_driver_init(struct virtqueue_driver *vq)
{
	uint16_t i;

	for (i = 0; i < vq->areas.size; i++)
		vq->lent[i].next = (i + 1) & (vq->areas.size - 1);
	vq->free_count = vq->areas.size;
}

/* Relaxed: the release of the index that announces the descriptor comes after. */
static void descriptor_write(void *table, uint16_t index, const struct virtqueue_buffer *buffer,
			     uint16_t flags, uint16_t next)
{
	uint64_t *word = (uint64_t *)table + 2 * (uint32_t)index;

	order_store_relaxed(&word[0], buffer->address);
	order_store_relaxed(&word[1],
			    buffer->length | (uint64_t)flags << 32 | (uint64_t)next << 48);
}

static uint16_t write_flag(const struct virtqueue_request *request, uint16_t i)
{
	return i >= request->readable ? VRING_DESC_F_WRITE : 0;
}

/* Writes the chain into free descriptors from free_head on: the last one of them. */
static uint16_t add_direct(struct virtqueue_driver *vq, const struct virtqueue_request *request)
{
	uint16_t index = vq->free_head, next, i;

	for (i = 0; i + 1 < request->total; i++) {
		next = vq->lent[index].next;
		descriptor_write(vq->areas.descriptors, index, &request->buffers[i],
				 write_flag(request, i) | VRING_DESC_F_NEXT, next);
		index = next;
	}
	descriptor_write(vq->areas.descriptors, index, &request->buffers[i], write_flag(request, i),
			 0);
	return index;
}

static uint16_t add_indirect(struct virtqueue_driver *vq, const struct virtqueue_request *request)
{
	struct virtqueue_buffer table = {
		.address = request->indirect_address,
		.length = request->total * sizeof(struct vring_desc),
	};
	uint16_t i;

	for (i = 0; i + 1 < request->total; i++)
		descriptor_write(request->indirect, i, &request->buffers[i],
				 write_flag(request, i) | VRING_DESC_F_NEXT, i + 1);
	descriptor_write(request->indirect, i, &request->buffers[i], write_flag(request, i), 0);
	descriptor_write(vq->areas.descriptors, vq->free_head, &table, VRING_DESC_F_INDIRECT, 0);
	return vq->free_head;
}

int split_driver_add(struct virtqueue_driver *vq, const struct virtqueue_request *request)
{
	uint16_t head = vq->free_head, last;
	uint16_t slots = request->indirect ? 1 : request->total;

	if (slots > vq->free_count)
		return -1;
	last = request->indirect ? add_indirect(vq, request) : add_direct(vq, request);
	vq->free_head = vq->lent[last].next;
	vq->lent[head].last = last;
	lend(vq, head, request, slots);

	order_store_relaxed(&split_avail(&vq->areas)->ring[vq->next_avail & (vq->areas.size - 1)],
			    head);
	vq->next_avail++;
	vq->batch++;
	return 0;
}

void split_driver_publish(struct virtqueue_driver *vq)
{
	/* Ring entries, descriptors and data before the index that announces them. */
	order_store_release(&split_avail(&vq->areas)->idx, vq->next_avail);
}

bool split_driver_should_kick(struct virtqueue_driver *vq)
{
	struct vring_used *used = split_used(&vq->areas);
	uint32_t count = take_undecided(&vq->undecided);

	/* idx before the device's wish; pairs with the barrier in its kicks_enable. */
	order_full_barrier();
	if (!vq->event_idx)
		return !(order_load_relaxed(&used->flags) & VRING_USED_F_NO_NOTIFY);
	return split_event_reached(order_load_relaxed(split_avail_event(&vq->areas)),
				   vq->next_avail - vq->batch, count);
}

/* Whether there are used entries behind the last index that was read. */
static enum virtqueue_result look_for_more(struct virtqueue_driver *vq)
{
	/* Pairs with the device's release of idx: its elements and the data are visible. */
	uint16_t idx = order_load_acquire(&split_used(&vq->areas)->idx);

	if ((uint16_t)(idx - vq->next_used) > vq->areas.size) {
		vq->broken = VIRTQUEUE_FAULT_INDEX_JUMP;
		return VIRTQUEUE_BROKEN;
	}
	vq->used_seen = idx;
	return idx == vq->next_used ? VIRTQUEUE_EMPTY : VIRTQUEUE_FOUND;
}

/* The chain goes back to the front of the list. */
static void free_chain(struct virtqueue_driver *vq, uint16_t head)
{
	if (vq->in_order)
		return;
	vq->lent[vq->lent[head].last].next = vq->free_head;
	vq->free_head = head;
}

enum virtqueue_result split_driver_reap(struct virtqueue_driver *vq, void **token,
					uint32_t *written)
{
	struct vring_used_elem *element;
	enum virtqueue_result more;
	uint32_t id, length;

	if (vq->order_run) {
		id = take_run(vq, &length);
		goto found;
	}
	if (vq->next_used == vq->used_seen) {
		more = look_for_more(vq);
		if (more != VIRTQUEUE_FOUND)
			return more;
	}

	element = &split_used(&vq->areas)->ring[vq->next_used & (vq->areas.size - 1)];
	id = order_load_relaxed(&element->id);
	length = order_load_relaxed(&element->len);
	vq->broken = judge_used(vq, id, length);
	if (vq->broken)
		return VIRTQUEUE_BROKEN;
	if (vq->in_order) {
		/* The index counts each chain of a run, also those without an entry. */
		if (!begin_run(vq, id, length, vq->used_seen - vq->next_used)) {
			vq->broken = VIRTQUEUE_FAULT_INDEX_JUMP;
			return VIRTQUEUE_BROKEN;
		}
		id = take_run(vq, &length);
	}
found:
	vq->next_used++;
	free_chain(vq, id);
	*token = take_back(vq, id);
	*written = length;
	return VIRTQUEUE_FOUND;
}

void split_driver_interrupts_disable(struct virtqueue_driver *vq)
{
	/* With event indices the one that was passed last stays behind, which asks for nothing. */
	if (!vq->event_idx)
		order_store_relaxed(&split_avail(&vq->areas)->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

bool split_driver_interrupts_enable(struct virtqueue_driver *vq)
{
	if (vq->event_idx)
		order_store_relaxed(split_used_event(&vq->areas), vq->next_used);
	else
		order_store_relaxed(&split_avail(&vq->areas)->flags, 0);
	/* The wish before the look at idx; pairs with the barrier in the device's should_interrupt. */
	order_full_barrier();
	return vq->next_used != vq->used_seen ||
	       order_load_acquire(&split_used(&vq->areas)->idx) != vq->next_used;
}
