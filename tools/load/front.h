/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The device that pvkit-load drives: its connection, its memory, its rings.
 *
 *	struct load_transport	how a back-end is reached and rings come to run: vhost-user, or
 *				Xen's way (abi/attach.h)
 *	struct load_wire	what a request to one kind of device looks like on such a ring
 *
 * What is asked for, when, and whether the answer is right knows neither: worker.h.
 */
#ifndef PVKIT_TOOLS_LOAD_FRONT_H
#define PVKIT_TOOLS_LOAD_FRONT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hypervisor-shim/hvm/vhost_user.h"
#include "tools/load/config.h"

/*
 * Memory that is shared with the back-end, given out from its beginning and never taken back. Guest
 * addresses begin far from user addresses, so that a back-end which confuses them fails at once.
 */
struct load_memory {
	struct vhost_user_region region;
	uint64_t used;
};

struct load_wire;
struct request;

/* The part of a queue that all transports share; theirs stands behind it. */
struct load_queue {
	unsigned int index; /* of the ring in its device */
	int kick, call; /* eventfds; -1: not yet */
	uint64_t kicks, wakeups;
	const struct load_config *config;
	const struct load_wire *wire;
};

struct load_front {
	const struct load_config *config;
	const struct load_transport *transport;
	struct vhost_user_front vhost; /* virtqueues only */
	int connection; /* a socket that hangs up when the back-end is gone */
	pid_t backend; /* whose CPU time is measured; 0: nobody's */
	struct load_memory memory;
	uint64_t features; /* negotiated: VIRTQUEUE_F_*; of Xen's rings, what is like them */
	bool persistent; /* Xen: grants outlive their request */
	uint64_t capacity; /* blk: bytes that are used */
	unsigned int queue_count;
	struct load_queue *queues[2 * LOAD_QUEUES_MAX];
};

enum load_found {
	LOAD_BROKEN = -1, /* the back-end broke the ring */
	LOAD_NOTHING = 0,
	LOAD_FOUND = 1,
};

/* What came back. */
struct load_done {
	struct request *request;
	int status; /* 0: good; else what the back-end said */
	const uint8_t *data; /* net-rx: the frame, or this part of it */
	uint32_t bytes; /* net-rx: of that */
	bool part; /* net-rx: the frame goes on in another request */
};

/* A request, on the rings of one transport. Of all but the first two, a queue's thread is the only user. */
struct load_wire {
	/* Shared memory that one request takes, at most. */
	uint64_t (*slot_bytes)(const struct load_config *config);
	/* Takes it, sets ->data; once for each request. */
	void (*lay_out)(struct load_front *front, struct load_queue *queue,
			struct request *request);
	void (*release)(struct request *request);

	/* Stages the request as it stands. False: the ring has no room. */
	bool (*add)(struct load_queue *queue, struct request *request);
	/* Shows the back-end all that is staged; true: it wants a kick. */
	bool (*publish)(struct load_queue *queue);
	enum load_found (*reap)(struct load_queue *queue, struct load_done *done);
	/* Asks for interrupts; true: something is finished already. */
	bool (*arm)(struct load_queue *queue);
	void (*disarm)(struct load_queue *queue);
};

/* All of these die with a line on failure. */
struct load_transport {
	/* Connects, negotiates, and prepares all rings, with @extra bytes of memory for requests. */
	void (*open)(struct load_front *front, uint64_t extra);
	/* The rings run from here on. */
	void (*start)(struct load_front *front);
	/* The back-end lets go of them. False: of not all; says so. */
	bool (*stop)(struct load_front *front);
	/* Without waiting for the back-end when it is gone. */
	void (*close)(struct load_front *front);
	const struct load_wire *wires[LOAD_DEVICES];
};

extern const struct load_transport load_virtio, load_xen;

const struct load_transport *load_transport_of(const struct load_config *config);
const struct load_wire *load_wire_of(const struct load_config *config);

void load_front_open(struct load_front *front, const struct load_config *config, uint64_t extra);
void load_front_start(struct load_front *front);
bool load_front_stop(struct load_front *front);
void load_front_close(struct load_front *front);
/* The ring that worker @index drives. */
struct load_queue *load_front_queue(struct load_front *front, unsigned int index);

/* Publishes what was added, and kicks where that is wanted. */
void load_queue_publish(struct load_queue *queue);
/* Sleeps until the back-end interrupts, @milliseconds at most, or not at all if something is done. */
void load_queue_sleep(struct load_queue *queue, int milliseconds);

/* ---- for transports -------------------------------------------------------------------------- */

void load_memory_open(struct load_memory *memory, uint64_t size);
void load_memory_close(struct load_memory *memory);
/* @size bytes, aligned to @align (a power of two), zeroed; their guest address in @address. */
void *load_memory_take(struct load_memory *memory, uint64_t size, uint64_t align,
		       uint64_t *address);
/* @size bytes, zeroed, of which the first is a struct load_queue. */
struct load_queue *load_queue_new(struct load_front *front, unsigned int index, size_t size);
/* Whether the disk serves for what is asked; ->capacity is how much of it. */
void load_front_take_disk(struct load_front *front, uint64_t bytes, bool read_only);

#endif
