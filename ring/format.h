/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the two ring formats offer to virtqueue.c, which knows which one a queue has. The contracts
 * are those of the functions of ring/virtqueue.h that carry the same name.
 */
#ifndef PVKIT_RING_FORMAT_H
#define PVKIT_RING_FORMAT_H

#include "ring/virtqueue.h"

/* Bits above VIRTQUEUE_SIZE_MAX are never a size, so masks of 16 bits do. */
ABI_ASSERT(VIRTQUEUE_SIZE_MAX <= 32768);

int split_device_init(struct virtqueue_device *vq, struct virtqueue_position position);
struct virtqueue_position split_device_position(const struct virtqueue_device *vq);
enum virtqueue_result split_device_pop(struct virtqueue_device *vq, struct virtqueue_chain *chain);
void split_device_unpop(struct virtqueue_device *vq, const struct virtqueue_chain *chain);
void split_device_push(struct virtqueue_device *vq, uint16_t id, uint32_t written);
void split_device_publish(struct virtqueue_device *vq);
bool split_device_should_interrupt(struct virtqueue_device *vq);
void split_device_kicks_disable(struct virtqueue_device *vq);
bool split_device_kicks_enable(struct virtqueue_device *vq);
bool split_device_has_work(struct virtqueue_device *vq);

int packed_device_init(struct virtqueue_device *vq, struct virtqueue_position position);
struct virtqueue_position packed_device_position(const struct virtqueue_device *vq);
enum virtqueue_result packed_device_pop(struct virtqueue_device *vq, struct virtqueue_chain *chain);
void packed_device_unpop(struct virtqueue_device *vq, const struct virtqueue_chain *chain);
void packed_device_push(struct virtqueue_device *vq, uint16_t id, uint16_t slots, uint32_t written);
void packed_device_publish(struct virtqueue_device *vq);
bool packed_device_should_interrupt(struct virtqueue_device *vq);
void packed_device_kicks_disable(struct virtqueue_device *vq);
bool packed_device_kicks_enable(struct virtqueue_device *vq);
bool packed_device_has_work(struct virtqueue_device *vq);

/* A chain to lend, as virtqueue_add() was told it. */
struct virtqueue_request {
	const struct virtqueue_buffer *buffers;
	uint16_t readable, total;
	void *token;
	void *indirect; /* NULL: direct descriptors */
	uint64_t indirect_address;
};

void split_driver_init(struct virtqueue_driver *vq);
int split_driver_add(struct virtqueue_driver *vq, const struct virtqueue_request *request);
void split_driver_publish(struct virtqueue_driver *vq);
bool split_driver_should_kick(struct virtqueue_driver *vq);
enum virtqueue_result split_driver_reap(struct virtqueue_driver *vq, void **token,
					uint32_t *written);
void split_driver_interrupts_disable(struct virtqueue_driver *vq);
bool split_driver_interrupts_enable(struct virtqueue_driver *vq);

void packed_driver_init(struct virtqueue_driver *vq);
int packed_driver_add(struct virtqueue_driver *vq, const struct virtqueue_request *request);
void packed_driver_publish(struct virtqueue_driver *vq);
bool packed_driver_should_kick(struct virtqueue_driver *vq);
enum virtqueue_result packed_driver_reap(struct virtqueue_driver *vq, void **token,
					 uint32_t *written);
void packed_driver_interrupts_disable(struct virtqueue_driver *vq);
bool packed_driver_interrupts_enable(struct virtqueue_driver *vq);

/* ---- device: which chains it holds ----------------------------------------------------------- */

static inline bool in_flight_test(const struct virtqueue_device *vq, uint16_t id)
{
	return vq->in_flight[id / 64] >> (id % 64) & 1;
}

static inline void in_flight_set(struct virtqueue_device *vq, uint16_t id)
{
	vq->in_flight[id / 64] |= 1ULL << (id % 64);
	vq->in_flight_count++;
}

static inline void in_flight_clear(struct virtqueue_device *vq, uint16_t id)
{
	if (!in_flight_test(vq, id))
		return;
	vq->in_flight[id / 64] &= ~(1ULL << (id % 64));
	vq->in_flight_count--;
}

/* ---- both sides: the next notification decision ---------------------------------------------- */

/*
 * How much was published since the last decision; starts the next count. It is counted in 32 bits
 * although indices have 16: an owner that asks rarely must not fold a whole lap to nothing.
 */
static inline uint32_t take_undecided(uint32_t *undecided)
{
	uint32_t count = *undecided;

	*undecided = 0;
	return count;
}

#endif
