/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The toolstack: which PV devices the guest has, as the store tells it (abi/store.h "devices").
 *
 *	/local/domain/1/device/CLASS/ID			the guest's, who writes it
 *	/local/domain/0/backend/CLASS/1/ID		the back-end's
 *
 * When the guest starts anew /local/domain/1 is made anew, in one transaction, as if the devices
 * that have a back-end's directory were added to an empty one: whatever the old guest had written or
 * removed is as it was, state is Initialising again, and back-ends stop and wait for it. So no guest
 * lives on another one's quota.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_TOOLSTACK_H
#define PVKIT_HYPERVISOR_SHIM_PV_TOOLSTACK_H

#include <stdbool.h>
#include <stdint.h>

#define TOOLSTACK_DEVICES_MAX 32
#define TOOLSTACK_NAME_BYTES  24

struct toolstack_device {
	char name[TOOLSTACK_NAME_BYTES]; /* "vbd/51712", "vif/0" */
	/* vbd */
	const char *params; /* the image, for people; NULL: not known */
	bool read_only;
	/* vif */
	uint8_t mac[6];
	uint64_t mtu; /* 0: not told */
	uint64_t rate_bytes, rate_us; /* 0 us: not told */
};

/*
 * For an in-tree Xen guest of @vcpus: which are there, where it tells what it can do, and reports errors
 * of its front-ends; devices that are added then close in steps. 0 or -errno after a line.
 */
int toolstack_serve_linux(unsigned int vcpus);
/* Both directories of the device. 0 or -errno after a line. */
int toolstack_add(const struct toolstack_device *device);
/* What its back-end says of itself: enum store_state. */
unsigned int toolstack_backend_state(const char *name);
/* Its back-end is gone for good: it is Closed in the guest's eyes, unless it was unplugged before. */
void toolstack_lost(const char *name);
/* The guest starts anew. */
void toolstack_restarted(void);
/* The devices are forgotten, for the store is closed. */
void toolstack_close(void);

/* The id of the nth disk, as Linux numbers "xvda", "xvdb", …. */
unsigned int toolstack_disk_id(unsigned int number);

#endif
