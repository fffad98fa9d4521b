/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Xen's shared ring, both sides (abi/xen_ring.h has the memory that they share).
 *
 * One structure serves every device: the size of a slot is a number, not a type. A request or
 * response is copied out of its slot into the caller's memory exactly once, word by word; what the
 * caller then checks and uses is that copy. Indices are private; of the peer's two, the producer
 * index is copied, compared with what is possible, and only then believed, and the event index can
 * do no more than cost or save a notification. A peer that breaks the protocol makes the call
 * return XEN_RING_BROKEN and sets ->broken; the ring then stays broken until it is initialised
 * again.
 *
 * The producer index is read once for all that it announces and written once for all that was
 * staged: all four shared words lie in one cache line, and each access from the other side moves
 * it.
 *
 * Nothing here allocates, locks, or makes a system call. A ring belongs to one thread.
 */
#ifndef PVKIT_RING_XEN_RING_H
#define PVKIT_RING_XEN_RING_H

#ifndef __KERNEL__
#include <stdbool.h>
#endif

#include "abi/types.h"
#include "abi/xen_ring.h"
#include "ring/order.h"

/* What take and reap answer. */
enum xen_ring_result {
	XEN_RING_BROKEN = -1, /* the peer broke the protocol: see ->broken */
	XEN_RING_EMPTY = 0,
	XEN_RING_FOUND = 1,
};

/* Why a ring is broken; xen_ring_fault_text() puts it in words. */
enum xen_ring_fault {
	XEN_RING_OK = 0,
	XEN_RING_FAULT_REQUESTS, /* req_prod ran backwards, or further than there are free slots */
	XEN_RING_FAULT_RESPONSES, /* rsp_prod ran backwards, or past the requests that were sent */
	XEN_RING_FAULT_SURPLUS, /* our own: a response to no request */
	XEN_RING_FAULT_ID, /* front-end: a response with an id that is not lent */
	XEN_RING_FAULT_OPERATION, /* front-end: a response to another operation */
};

const char *xen_ring_fault_text(enum xen_ring_fault fault);

/*
 * Where the pages of a ring are mapped, contiguously, and how large a slot of this kind of ring is.
 */
struct xen_ring_area {
	void *pages; /* aligned to 8 bytes at least */
	uint32_t bytes; /* 1..16 whole pages */
	uint32_t slot_bytes; /* a multiple of 4 */
};

/* Slots in such an area: a power of two. 0 if the area is impossible. */
uint32_t xen_ring_slots(const struct xen_ring_area *area);

/* ---- what both sides share ------------------------------------------------------------------- */

struct xen_ring {
	struct xen_ring_header *header;
	uint8_t *slots;
	uint32_t slot_bytes;
	uint32_t size; /* slots, a power of two */
	enum xen_ring_fault broken;
};

static inline uint8_t *xen_ring_slot(const struct xen_ring *ring, uint32_t index)
{
	return ring->slots + (size_t)(index & (ring->size - 1)) * ring->slot_bytes;
}

/*
 * Out of a slot, and into one. Each word is a single access, so what was copied is a snapshot; the
 * order comes from the indices. @bytes is a multiple of 4, at most a slot, and best a constant.
 */
static inline void xen_ring_copy_out(const struct xen_ring *ring, void *to, const uint8_t *slot,
				     uint32_t bytes)
{
	uint8_t *byte = (uint8_t *)to;
	uint32_t at = 0;

	if (ring->slot_bytes % 8 == 0) {
		for (; at + 8 <= bytes; at += 8) {
			uint64_t word = order_load_relaxed((const uint64_t *)(slot + at));

			__builtin_memcpy(byte + at, &word, 8);
		}
	}
	for (; at < bytes; at += 4) {
		uint32_t word = order_load_relaxed((const uint32_t *)(slot + at));

		__builtin_memcpy(byte + at, &word, 4);
	}
}

static inline void xen_ring_copy_in(const struct xen_ring *ring, uint8_t *slot, const void *from,
				    uint32_t bytes)
{
	const uint8_t *byte = (const uint8_t *)from;
	uint32_t at = 0;

	if (ring->slot_bytes % 8 == 0) {
		for (; at + 8 <= bytes; at += 8) {
			uint64_t word;

			__builtin_memcpy(&word, byte + at, 8);
			order_store_relaxed((uint64_t *)(slot + at), word);
		}
	}
	for (; at < bytes; at += 4) {
		uint32_t word;

		__builtin_memcpy(&word, byte + at, 4);
		order_store_relaxed((uint32_t *)(slot + at), word);
	}
}

/* ---- back-end -------------------------------------------------------------------------------- */

/* Where a back-end stands: what the next owner of the ring must be initialised with. */
struct xen_ring_position {
	uint32_t req_cons, rsp_prod;
};

struct xen_back {
	struct xen_ring ring;
	uint32_t req_cons; /* requests taken */
	uint32_t req_seen; /* last req_prod read, already checked */
	uint32_t rsp_prod; /* responses staged */
	uint32_t rsp_published; /* of these, announced */
	uint32_t rsp_decided; /* of these, gone into a decision to notify */
	uint32_t req_event; /* what we wrote there last */
	/* The owner before may have published without notifying: the first decision says yes. */
	bool owed;
};

/*
 * Takes over a ring that a front-end has initialised; at {0, 0} when nobody has served it before.
 * -1 if area or position is impossible. It asks for events until told otherwise.
 */
int xen_back_init(struct xen_back *back, const struct xen_ring_area *area,
		  struct xen_ring_position position);

static inline struct xen_ring_position xen_back_position(const struct xen_back *back)
{
	struct xen_ring_position position = {back->req_cons, back->rsp_prod};

	return position;
}

/* Whether there are requests behind the last index that was read; not for users. */
enum xen_ring_result xen_back_look(struct xen_back *back);

/* Takes the next request: copies the first @bytes of its slot to @request. */
static inline enum xen_ring_result xen_back_take(struct xen_back *back, void *request,
						 uint32_t bytes)
{
	enum xen_ring_result more;

	if (back->ring.broken)
		return XEN_RING_BROKEN;
	if (back->req_cons == back->req_seen) {
		more = xen_back_look(back);
		if (more != XEN_RING_FOUND)
			return more;
	}
	xen_ring_copy_out(&back->ring, request, xen_ring_slot(&back->ring, back->req_cons), bytes);
	back->req_cons++;
	return XEN_RING_FOUND;
}

/*
 * Gives back the @count requests that were taken last and not answered; they will be copied anew.
 */
static inline void xen_back_untake(struct xen_back *back, uint32_t count)
{
	back->req_cons -= count;
}

/* How many requests wait; looks again when fewer than @enough do. 0 when broken. */
uint32_t xen_back_waiting(struct xen_back *back, uint32_t enough);

/*
 * Stages a response, in the slot of the oldest request that has none: that request was taken, so
 * its slot holds nothing any more that anybody reads. Not visible until publish.
 */
static inline void xen_back_answer(struct xen_back *back, const void *response, uint32_t bytes)
{
	if (back->rsp_prod == back->req_cons) {
		back->ring.broken = XEN_RING_FAULT_SURPLUS;
		return;
	}
	xen_ring_copy_in(&back->ring, xen_ring_slot(&back->ring, back->rsp_prod), response, bytes);
	back->rsp_prod++;
}

/* Makes all staged responses visible to the front-end at once. */
void xen_back_publish(struct xen_back *back);

/*
 * After publish: whether the front-end asked to be notified of what was published since last asked.
 */
bool xen_back_should_notify(struct xen_back *back);

/* Asks the front-end for no notifications while the back-end is looking anyway. */
void xen_back_events_disable(struct xen_back *back);

/*
 * Asks to be notified of the next request. True if there is one already: the caller must not sleep,
 * and looks again. The full barrier inside pairs with the front-end's between publish and
 * should_notify.
 */
bool xen_back_events_enable(struct xen_back *back);

/* Whether a request is waiting, without taking it. */
bool xen_back_has_work(const struct xen_back *back);

/* ---- front-end ------------------------------------------------------------------------------- */

struct xen_front {
	struct xen_ring ring;
	uint32_t req_prod; /* requests staged */
	uint32_t req_published; /* of these, announced */
	uint32_t req_decided; /* of these, gone into a decision to notify */
	uint32_t rsp_cons; /* responses taken */
	uint32_t rsp_seen; /* last rsp_prod read, already checked */
	uint32_t rsp_event; /* what we wrote there last */
};

/*
 * Starts a ring: writes its header, so before any back-end knows of it. -1 if the area is
 * impossible.
 */
int xen_front_init(struct xen_front *front, const struct xen_ring_area *area);

/* Requests that can still be staged. */
static inline uint32_t xen_front_room(const struct xen_front *front)
{
	return front->ring.size - (front->req_prod - front->rsp_cons);
}

/* Stages a request. -1 if the ring is full or broken. Not visible until publish. */
static inline int xen_front_put(struct xen_front *front, const void *request, uint32_t bytes)
{
	if (front->ring.broken || !xen_front_room(front))
		return -1;
	xen_ring_copy_in(&front->ring, xen_ring_slot(&front->ring, front->req_prod), request,
			 bytes);
	front->req_prod++;
	return 0;
}

/* Makes all staged requests visible to the back-end at once. */
void xen_front_publish(struct xen_front *front);

/* After publish: whether the back-end asked to be notified. Holds the full barrier. */
bool xen_front_should_notify(struct xen_front *front);

/* Whether there are responses behind the last index that was read; not for users. */
enum xen_ring_result xen_front_look(struct xen_front *front);

/* Takes the next response: copies the first @bytes of its slot to @response. */
static inline enum xen_ring_result xen_front_reap(struct xen_front *front, void *response,
						  uint32_t bytes)
{
	enum xen_ring_result more;

	if (front->ring.broken)
		return XEN_RING_BROKEN;
	if (front->rsp_cons == front->rsp_seen) {
		more = xen_front_look(front);
		if (more != XEN_RING_FOUND)
			return more;
	}
	xen_ring_copy_out(&front->ring, response, xen_ring_slot(&front->ring, front->rsp_cons),
			  bytes);
	front->rsp_cons++;
	return XEN_RING_FOUND;
}

/* As the back-end's, the other way: enable is true if a response is there already. */
void xen_front_events_disable(struct xen_front *front);
bool xen_front_events_enable(struct xen_front *front);
bool xen_front_has_work(const struct xen_front *front);

#endif
