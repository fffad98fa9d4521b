/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Virtqueues, split and packed, both sides (Virtual I/O Device 1.2, sections 2.6 to 2.8).
 *
 * The device side is what a back-end runs, the driver side what a front-end runs. Each keeps its
 * private indices here and shares nothing with its peer but the three areas of the ring. Neither
 * side believes the other: every index and identifier that is read from shared memory is copied
 * once, checked, and only then used. A peer that breaks the protocol makes the call return
 * VIRTQUEUE_BROKEN and sets ->broken; the queue then stays broken until it is initialised again.
 *
 * Nothing here allocates, locks, or makes a system call. A virtqueue belongs to one thread.
 */
#ifndef PVKIT_RING_VIRTQUEUE_H
#define PVKIT_RING_VIRTQUEUE_H

#ifndef __KERNEL__
#include <stdbool.h>
#endif
#ifdef __cplusplus
#define VIRTIO_RING_NO_LEGACY /* its vring_init() is not C++ */
#endif
#include <linux/virtio_ring.h>

#include "abi/types.h"
#include "ring/guest_memory.h"

/* Largest queue size of either format; QEMU's VIRTQUEUE_MAX_SIZE. */
#define VIRTQUEUE_SIZE_MAX 1024

/* Feature bits that shape the ring itself; the rest of a feature word is ignored here. */
#define VIRTQUEUE_F_INDIRECT  (1ULL << 28)
#define VIRTQUEUE_F_EVENT_IDX (1ULL << 29)
#define VIRTQUEUE_F_PACKED    (1ULL << 34)
#define VIRTQUEUE_F_IN_ORDER  (1ULL << 35)

/* What pop and reap answer. */
enum virtqueue_result {
	VIRTQUEUE_BROKEN = -1, /* the peer broke the protocol: see ->broken */
	VIRTQUEUE_EMPTY = 0,
	VIRTQUEUE_FOUND = 1,
};

/* Why a queue is broken; virtqueue_fault_text() puts it in words. */
enum virtqueue_fault {
	VIRTQUEUE_OK = 0,
	VIRTQUEUE_FAULT_INDEX_JUMP,	/* avail or used index more than one ring ahead */
	VIRTQUEUE_FAULT_HEAD_RANGE,	/* head, next or id outside the ring */
	VIRTQUEUE_FAULT_LOOP,		/* chain longer than the ring */
	VIRTQUEUE_FAULT_INDIRECT,	/* nested, odd length, too long, not in one region */
	VIRTQUEUE_FAULT_ORDER,		/* a readable descriptor behind a writable one */
	VIRTQUEUE_FAULT_IN_FLIGHT,	/* a head that the device already holds */
	VIRTQUEUE_FAULT_NOT_IN_FLIGHT,	/* driver side: an id that was not lent, or a length too large */
	VIRTQUEUE_FAULT_WRAP,		/* packed: flags that fit neither lap of the ring */
	VIRTQUEUE_FAULT_NO_ANSWER,	/* set by a device: a chain without room for its answer */
};

/* Where the areas of a ring are mapped in this process. The names are the specification's. */
struct virtqueue_areas {
	void *descriptors; /* split: descriptor table; packed: descriptor ring */
	void *driver;	   /* split: available ring; packed: driver event suppression */
	void *device;	   /* split: used ring; packed: device event suppression */
	uint16_t size;	   /* 1..VIRTQUEUE_SIZE_MAX; a power of two when split */
};

/* Bytes that each area of a ring of @size takes, @features deciding the format. */
size_t virtqueue_descriptors_bytes(uint16_t size, uint64_t features);
size_t virtqueue_driver_bytes(uint16_t size, uint64_t features);
size_t virtqueue_device_bytes(uint16_t size, uint64_t features);

const char *virtqueue_fault_text(enum virtqueue_fault fault);

/* ---- device side ---------------------------------------------------------------------------- */

/*
 * One descriptor chain as the device sees it: already through the door. The caller owns ->iov and
 * says its room in ->iov_max; the readable pieces come first, the writable ones after them.
 */
struct virtqueue_chain {
	struct ring_iovec *iov;
	uint16_t iov_max;

	uint16_t id;	   /* identifies the chain to virtqueue_push() */
	uint16_t slots;	   /* packed: ring slots that the chain took; 1 when split */
	uint16_t readable; /* pieces in iov[0 .. readable) */
	uint16_t writable; /* pieces in iov[readable .. readable + writable) */
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	/*
	 * The chain is well formed but cannot be used: a buffer that lies in no region, or more
	 * pieces than iov_max. Only this request is to fail (catalogue: E); the pieces that did
	 * pass the door are listed, and the last writable piece is always in ->tail when it did,
	 * so that a block device can still write its status byte. ->tail.base is NULL otherwise.
	 */
	bool unusable;
	struct ring_iovec tail; /* the last writable piece, also of a usable chain */
};

struct virtqueue_device {
	struct virtqueue_areas areas;
	const struct guest_memory *memory;
	enum virtqueue_fault broken;
	bool packed, event_idx, indirect, in_order;

	/* Private indices. Split: free-running. Packed: slot number, wrap counter beside it. */
	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	uint16_t avail_seen; /* split: last avail->idx read, so that a batch reads it once */
	uint16_t batch; /* split: chains, packed: slots that are pushed and not yet published */
	/* packed: a batch's first descriptor is published last */
	uint16_t batch_first, batch_first_flags;
	bool kicks_wanted;
	/*
	 * The owner before may have published without interrupting, and the event index that would
	 * have told lies in the past: the first decision by event index says yes.
	 */
	bool interrupt_owed;
	uint32_t undecided; /* indices or slots published since the last interrupt decision */

	uint16_t in_flight_count; /* chains popped and not yet pushed */
	uint16_t in_flight_slots; /* packed: ring slots from next_used to next_avail */
	uint64_t in_flight[VIRTQUEUE_SIZE_MAX / 64]; /* split: by head; packed: by buffer id */
};

/* A place in the ring, as VHOST_USER_SET/GET_VRING_BASE carry it. */
struct virtqueue_position {
	uint16_t avail, used; /* split: free-running; packed: slot | wrap << 15 */
};

/*
 * Takes over a ring at @position. -1 if the size or the position is impossible for the format, or an
 * area is missing or not aligned as the specification demands.
 */
int virtqueue_device_init(struct virtqueue_device *vq, const struct virtqueue_areas *areas,
			  uint64_t features, const struct guest_memory *memory,
			  struct virtqueue_position position);

/* Where the device stands now: what the next owner of the ring must be initialised with. */
struct virtqueue_position virtqueue_device_position(const struct virtqueue_device *vq);

/* Takes the next chain into @chain (->iov and ->iov_max set by the caller). */
enum virtqueue_result virtqueue_pop(struct virtqueue_device *vq, struct virtqueue_chain *chain);

/* Gives back, unused, the chain that was popped last; to be called in reverse order of popping. */
void virtqueue_unpop(struct virtqueue_device *vq, const struct virtqueue_chain *chain);

/* Stages a chain as used, @written bytes written to its writable pieces. Not visible until publish. */
void virtqueue_push(struct virtqueue_device *vq, uint16_t id, uint16_t slots, uint32_t written);

/* Makes all staged chains visible to the driver at once. */
void virtqueue_publish(struct virtqueue_device *vq);

/* After publish: whether the driver asked to be interrupted for what was published since last asked. */
bool virtqueue_should_interrupt(struct virtqueue_device *vq);

/* Asks the driver for no kicks while the device is looking anyway. */
void virtqueue_kicks_disable(struct virtqueue_device *vq);

/*
 * Asks for a kick at the next buffer. True if there is one already: the caller must not sleep, and
 * looks again. The full barrier inside pairs with the driver's between publish and should_kick.
 */
bool virtqueue_kicks_enable(struct virtqueue_device *vq);

/* Whether a chain is waiting, without taking it. */
bool virtqueue_has_work(struct virtqueue_device *vq);

/* ---- driver side ---------------------------------------------------------------------------- */

/* A piece of memory as the driver names it to the device. */
struct virtqueue_buffer {
	uint64_t address; /* guest-physical */
	uint32_t length;
};

/* What the driver remembers of a chain that it lent out: the shadow, the only thing it believes. */
struct virtqueue_lent {
	void *token;	   /* NULL: not lent */
	uint64_t writable; /* most bytes that the device may claim to have written */
	uint16_t slots;	   /* descriptors taken */
	uint16_t next;	   /* split: descriptor behind this one, lent or free; packed: free id */
	uint16_t last;	   /* split: the chain's last descriptor */
};

struct virtqueue_driver {
	struct virtqueue_areas areas;
	enum virtqueue_fault broken;
	bool packed, event_idx, indirect, in_order;

	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	uint16_t used_seen; /* split: last used->idx read, so that a batch reads it once */
	uint16_t batch; /* split: chains, packed: slots that are added and not yet published */
	uint16_t batch_first, batch_first_flags;
	bool interrupts_wanted;
	uint32_t undecided; /* indices or slots published since the last kick decision */
	uint16_t free_head; /* split: free descriptors; packed: free buffer ids */
	uint16_t free_count; /* descriptors or slots */

	/*
	 * In-order: heads or ids in the order in which they were lent, at free-running indices. The
	 * device may report a run of chains by its last one alone: while a run is handed out,
	 * order_run is how many of it are left, the last of them with order_run_written bytes.
	 */
	uint16_t order_head, order_tail;
	uint16_t order_run;
	uint32_t order_run_written;
	uint16_t order[VIRTQUEUE_SIZE_MAX];

	struct virtqueue_lent lent[VIRTQUEUE_SIZE_MAX];
};

/* Starts a ring that is all zeroes. -1 as virtqueue_device_init(). */
int virtqueue_driver_init(struct virtqueue_driver *vq, const struct virtqueue_areas *areas,
			  uint64_t features);

/*
 * Lends @readable buffers, then @writable ones, as one chain under @token (not NULL). Staged until
 * publish. -1 if the ring has no room for it. With @indirect not NULL (and negotiated) the chain
 * takes one slot and its table is written there: room for readable + writable descriptors, known to
 * the device at guest address @indirect_address.
 */
int virtqueue_add(struct virtqueue_driver *vq, const struct virtqueue_buffer *buffers,
		  uint16_t readable, uint16_t writable, void *token, void *indirect,
		  uint64_t indirect_address);

/* Makes the staged chains visible to the device. */
void virtqueue_driver_publish(struct virtqueue_driver *vq);

/* After publish: whether the device asked to be kicked. Holds the full barrier. */
bool virtqueue_should_kick(struct virtqueue_driver *vq);

/* Takes back the next finished chain: its token and the bytes written. */
enum virtqueue_result virtqueue_reap(struct virtqueue_driver *vq, void **token, uint32_t *written);

void virtqueue_interrupts_disable(struct virtqueue_driver *vq);
/* As virtqueue_kicks_enable(), the other way: true if something is finished already. */
bool virtqueue_interrupts_enable(struct virtqueue_driver *vq);

#endif
