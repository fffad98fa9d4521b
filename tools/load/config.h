/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the user asked pvkit-load for.
 */
#ifndef PVKIT_TOOLS_LOAD_CONFIG_H
#define PVKIT_TOOLS_LOAD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_QUEUES_MAX   64
#define LOAD_SEGMENTS_MAX 254
#define LOAD_FRAME_MAX    65535

/* Before parsing: nobody asked for one. */
#define LOAD_RUNTIME_DEFAULT -1

enum load_device {
	LOAD_BLK,
	LOAD_NET_TX,
	LOAD_NET_RX,
	LOAD_DEVICES
};
enum load_pattern {
	LOAD_RANDOM,
	LOAD_SEQUENTIAL
};
enum load_wait {
	LOAD_POLL,
	LOAD_SLEEP
};
enum load_ring {
	LOAD_SPLIT,
	LOAD_PACKED,
	LOAD_XEN,
	LOAD_RING_OF_CONNECTION /* split by --socket, xen by --attach */
};
enum load_feature {
	LOAD_AUTO,
	LOAD_ON,
	LOAD_OFF
};

struct load_config {
	const char *socket; /* one of these */
	const char *attach;
	const char *path; /* of whichever socket: what error lines name */
	unsigned int device, pattern, wait, ring;
	unsigned int event_idx, indirect, in_order, persistent;
	uint64_t queues, depth, queue_size;
	uint64_t block_size, segments, reads, size;
	uint64_t count; /* requests in all; 0: by time */
	uint64_t timeout;
	uint64_t backend_pid, seed;
	double runtime, ramp, linger; /* seconds */
	unsigned int cpus[LOAD_QUEUES_MAX], cpu_count;
	bool verify, json;
};

/* The command line, checked as a whole; exits where it makes no sense. */
void load_config_parse(struct load_config *config, int argc, char **argv);

const char *load_device_name(unsigned int device);
const char *load_ring_name(unsigned int ring);

#endif
