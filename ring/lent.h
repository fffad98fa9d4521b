/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The driver's shadow of what it lent out: what both formats do with it.
 *
 * The device is not believed: an id counts only if its chain is lent, a length only up to what the
 * chain's writable buffers hold. In order, a used entry may name the last chain of a run and leave
 * out those before it, which then count as used in full.
 */
#ifndef PVKIT_RING_LENT_H
#define PVKIT_RING_LENT_H

#include "ring/format.h"

static inline uint16_t *order_place(struct virtqueue_driver *vq, uint16_t index)
{
	return &vq->order[index & (VIRTQUEUE_SIZE_MAX - 1)];
}

ABI_ASSERT((VIRTQUEUE_SIZE_MAX & (VIRTQUEUE_SIZE_MAX - 1)) == 0);

/* Notes chain @id as lent; what its slots are is the format's business. */
static inline void lend(struct virtqueue_driver *vq, uint16_t id,
			const struct virtqueue_request *request, uint16_t slots)
{
	struct virtqueue_lent *lent = &vq->lent[id];
	uint64_t writable = 0;
	uint16_t i;

	for (i = request->readable; i < request->total; i++)
		writable += request->buffers[i].length;
	lent->token = request->token;
	lent->writable = writable;
	lent->slots = slots;
	vq->free_count -= slots;
	if (vq->in_order)
		*order_place(vq, vq->order_tail++) = id;
}

/* Judges a used entry. VIRTQUEUE_OK if @id is lent and may have been written that much. */
static inline enum virtqueue_fault judge_used(const struct virtqueue_driver *vq, uint32_t id,
					      uint32_t written)
{
	if (id >= vq->areas.size)
		return VIRTQUEUE_FAULT_HEAD_RANGE;
	if (!vq->lent[id].token || written > vq->lent[id].writable)
		return VIRTQUEUE_FAULT_NOT_IN_FLIGHT;
	return VIRTQUEUE_OK;
}

/*
 * In order: begins the run that ends with @id, which is lent, so it stands in the queue. False if
 * the run is longer than @most chains.
 */
static inline bool begin_run(struct virtqueue_driver *vq, uint16_t id, uint32_t written,
			     uint16_t most)
{
	uint16_t run;

	for (run = 1; *order_place(vq, vq->order_head + run - 1) != id; run++)
		if (run >= most)
			return false;
	vq->order_run = run;
	vq->order_run_written = written;
	return true;
}

/* In order: takes the next chain of the run; its length in *@written. */
static inline uint16_t take_run(struct virtqueue_driver *vq, uint32_t *written)
{
	uint16_t id = *order_place(vq, vq->order_head++);
	uint64_t writable = vq->lent[id].writable;

	if (--vq->order_run)
		*written = writable < ~0u ? (uint32_t)writable : ~0u;
	else
		*written = vq->order_run_written;
	return id;
}

/* The chain is the driver's again: its token. */
static inline void *take_back(struct virtqueue_driver *vq, uint16_t id)
{
	void *token = vq->lent[id].token;

	vq->lent[id].token = NULL;
	vq->free_count += vq->lent[id].slots;
	return token;
}

#endif
