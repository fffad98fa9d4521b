/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The statistics page: what a daemon counts, in shared memory that readers map read-only.
 *
 * One file a daemon, "PROGRAM.PID" in $PVKIT_STATS_DIR, else /run/pvkit when that can be written,
 * else $XDG_RUNTIME_DIR/pvkit, else /tmp/pvkit-UID; mode 0640. It begins with struct stats_header,
 * then follow queues_max of struct stats_queue. Each counter has one writer, the queue's own thread,
 * which stores it relaxed; a reader that loads it relaxed sees a value that was true a moment ago. No
 * lock, no request, no cost when nobody looks. Counters only rise while the file lives, and wrap
 * at 2^64.
 */
#ifndef PVKIT_ABI_STATS_H
#define PVKIT_ABI_STATS_H

#include "abi/types.h"

#define STATS_MAGIC   0x5354565050544154ULL
#define STATS_VERSION 1

enum stats_device { STATS_DEVICE_BLK = 2, STATS_DEVICE_NET = 1 }; /* the virtio device ids */

/*
 * Latency from the moment a request is taken off its ring to its completion being published.
 * Logarithmic with 4 steps an octave: bucket (e - 8) * 4 + m counts latencies of
 * [2^e + m * 2^(e-2), 2^e + (m+1) * 2^(e-2)) ns for 8 <= e < 40; the first also takes everything
 * below 256 ns, the last everything above.
 */
#define STATS_LATENCY_BUCKETS 128

/* Batch sizes: bucket k counts batches of [2^k, 2^(k+1)) requests, the last all above. */
#define STATS_BATCH_BUCKETS 12

/* What the kinds of request mean for each device. */
enum stats_kind {
	STATS_BLK_READ = 0,
	STATS_BLK_WRITE = 1,
	STATS_BLK_FLUSH = 2,
	STATS_BLK_DISCARD = 3,
	STATS_BLK_WRITE_ZEROES = 4,
	STATS_BLK_OTHER = 5,
	STATS_NET_FRAME = 0, /* frames; GSO frames count once */
	STATS_NET_GSO = 1,   /* of which larger than the MTU */
	STATS_NET_CONTROL = 2,
	STATS_KINDS = 8,
};

enum stats_direction {
	STATS_BOTH = 0,
	STATS_FROM_GUEST = 1,
	STATS_TO_GUEST = 2,
};

struct stats_queue {
	uint32_t index;	    /* of the queue in its device; written once */
	uint32_t direction; /* enum stats_direction; written once */
	uint64_t active;    /* 1 while the queue runs */
	uint64_t requests[STATS_KINDS];
	uint64_t bytes_in;  /* from the guest: written to disk, sent to the link */
	uint64_t bytes_out; /* to the guest */
	uint64_t errors;    /* requests that failed */
	uint64_t dropped;   /* frames that were dropped */
	uint64_t broken;    /* times that the peer broke the ring's protocol */
	uint64_t kicks;	    /* wake-ups by the guest */
	uint64_t interrupts;		/* sent */
	uint64_t interrupts_suppressed; /* batches published without one */
	uint64_t polls_hit;  /* rounds of polling that found work */
	uint64_t polls_miss; /* that found none until the budget ran out */
	uint64_t sleeps;
	uint64_t cpu_ns; /* the queue thread's CPU time, renewed at each sleep or oftener */
	uint64_t batch[STATS_BATCH_BUCKETS];
	uint64_t latency[STATS_LATENCY_BUCKETS];
	uint64_t reserved[6]; /* up to a multiple of 64 bytes */
};
ABI_ASSERT(sizeof(struct stats_queue) % 64 == 0);

struct stats_header {
	uint64_t magic;	  /* written last, so that a reader never sees half a header */
	uint32_t version; /* STATS_VERSION */
	uint32_t device;  /* enum stats_device */
	uint32_t pid;
	uint32_t queues_max; /* entries that follow */
	uint64_t queue_size; /* sizeof(struct stats_queue), for readers of another version */
	uint64_t start_ns;   /* CLOCK_MONOTONIC at creation */
	char program[16];
	char object[64]; /* the image, the link: for people, cut to fit, NUL-terminated */
	uint8_t reserved[8];
};
ABI_ASSERT(sizeof(struct stats_header) == 128);

#endif
