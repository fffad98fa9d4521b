/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's memory as the front-end described it: each region mapped, findable by guest address
 * (buffers) and by user address (the rings themselves).
 *
 * Only the control thread touches a table, and changes it only while no queue runs.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_VHOST_USER_MEMORY_H
#define PVKIT_BACKEND_TRANSPORT_VHOST_USER_MEMORY_H

#include "abi/vhost_user.h"
#include "ring/guest_memory.h"

struct memory_mapping {
	uint64_t guest_address, user_address, size;
	uint8_t *host; /* where the region begins */
	void *base; /* what was mapped: whole pages around the region */
	size_t length;
};

struct memory_table {
	struct guest_memory guest; /* what ring/ looks at */
	uint32_t count;
	struct memory_mapping mapping[GUEST_MEMORY_REGIONS_MAX];
};

/*
 * Maps @region of @fd, which stays the caller's. -EPROTO for what no honest front-end sends (empty,
 * wrapping, overlapping, longer than its file), another -errno when this host cannot map it. @event
 * is signalled when the file shrinks under the mapping.
 */
int memory_table_add(struct memory_table *table, const struct vhost_user_memory_region *region,
		     int fd, int event);
/* Unmaps the region with exactly these addresses and size; -ENOENT if there is none. */
int memory_table_remove(struct memory_table *table, const struct vhost_user_memory_region *region);
void memory_table_clear(struct memory_table *table);

/* A pointer to @length bytes at user address @address, all in one region, or NULL. */
void *memory_table_user(const struct memory_table *table, uint64_t address, uint64_t length);

#endif
