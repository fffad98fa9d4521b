// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * MEMORY_OP. The shared_info page goes into RAM (xen_shared.h). Frames of the grant table go outside
 * RAM, where the guest wants each: into the platform device's BAR, or under PVH to a place that
 * nothing else has. Each is a memory slot of its own: a guest places a few dozen of them in its life,
 * when its table grows.
 */
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/xen_hypercall.h"
#include "hypervisor-shim/pv/xen_shared.h"

/* pv.lock covers it. Guest-physical addresses; 0: nowhere. */
static uint64_t grant_address[GRANT_TABLE_FRAMES];

static bool is_self(uint16_t domain)
{
	return domain == DOMAIN_SELF || domain == PV_GUEST;
}

/* Below where 64-bit BARs end, which is within the CPU's address width; and no RAM. */
static bool may_be_placed(uint64_t frame)
{
	uint64_t address = frame << XEN_FRAME_SHIFT;

	return frame && frame < (vm_pci64_start() + vm_pci64_size()) >> XEN_FRAME_SHIFT &&
	       !guest_memory_run(vm_memory(), address);
}

static void remove_frame(uint64_t index)
{
	if (grant_address[index])
		vm_remove_slot(grant_address[index]);
	grant_address[index] = 0;
}

/* With the lock held. KVM refuses what overlaps another slot. */
static int place_grant_frame(uint64_t index, uint64_t frame)
{
	uint64_t address = frame << XEN_FRAME_SHIFT;
	int result;

	if (index >= GRANT_TABLE_FRAMES || !may_be_placed(frame))
		return -EINVAL; /* also status frames: version 2 is not offered */
	if (grant_address[index] == address)
		return 0;
	remove_frame(index);
	result = vm_add_slot(address, XEN_FRAME_BYTES,
			     (uint8_t *)pv.shared.base + PV_GRANT_OFFSET + index * XEN_FRAME_BYTES);
	if (result < 0)
		return result;
	grant_address[index] = address;
	if (index >= pv.grants.frames)
		pv.grants.frames = (uint32_t)index + 1;
	return 0;
}

static int add(uint64_t address)
{
	struct memory_add_to_physmap args;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	if (!is_self(args.domain))
		return -EPERM;
	switch (args.space) {
	case MEMORY_SPACE_SHARED_INFO:
		return args.index ? -EINVAL : xen_shared_place(args.frame);
	case MEMORY_SPACE_GRANT_TABLE:
		pthread_mutex_lock(&pv.lock);
		result = place_grant_frame(args.index, args.frame);
		pthread_mutex_unlock(&pv.lock);
		return result;
	default:
		return -ENOSYS;
	}
}

static int remove_from(uint64_t address)
{
	struct memory_remove_from_physmap args;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	if (!is_self(args.domain))
		return -EPERM;
	result = -EINVAL;
	pthread_mutex_lock(&pv.lock);
	for (uint64_t i = 0; args.frame && i < GRANT_TABLE_FRAMES; i++) {
		if (grant_address[i] >> XEN_FRAME_SHIFT != args.frame)
			continue;
		remove_frame(i);
		result = 0;
	}
	pthread_mutex_unlock(&pv.lock);
	return result;
}

static int64_t reservation(uint64_t address)
{
	const struct guest_memory *memory = vm_memory();
	struct memory_domain args;
	int64_t frames = 0;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	if (!is_self(args.domain))
		return -EPERM;
	for (uint32_t i = 0; i < memory->count; i++)
		frames += (int64_t)(memory->region[i].size >> XEN_FRAME_SHIFT);
	return frames;
}

int64_t xen_memory_op(uint64_t operation, uint64_t address)
{
	switch (operation) {
	case MEMORY_OP_ADD_TO_PHYSMAP:
		return add(address);
	case MEMORY_OP_REMOVE_FROM_PHYSMAP:
		return remove_from(address);
	case MEMORY_OP_CURRENT_RESERVATION:
	case MEMORY_OP_MAXIMUM_RESERVATION:
		return reservation(address);
	default:
		return -ENOSYS;
	}
}

void xen_memory_reset(void)
{
	pthread_mutex_lock(&pv.lock);
	for (uint64_t i = 0; i < GRANT_TABLE_FRAMES; i++)
		remove_frame(i);
	pthread_mutex_unlock(&pv.lock);
}
