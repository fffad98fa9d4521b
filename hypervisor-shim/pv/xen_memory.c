// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * MEMORY_OP. The shared_info page goes into RAM (xen_shared.h). Frames of the grant table, and the
 * status frames of its version 2, go outside RAM, where the guest wants each: into the platform
 * device's BAR, or under PVH to a place that nothing else has. Each is a memory slot of its own: a
 * guest places a few dozen of them in its life, when its table grows.
 *
 * A guest can write status frames, as on Xen. Nobody but that guest believes what stands there: what
 * is in use, back-ends and shim know from the counts.
 */
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/xen_hypercall.h"
#include "hypervisor-shim/pv/xen_shared.h"

/* pv.lock covers them. Guest-physical addresses; 0: nowhere. */
static uint64_t entry_address[GRANT_TABLE_FRAMES];
static uint64_t status_address[GRANT_TABLE_STATUS_FRAMES];

static const struct frames {
	uint64_t *address;
	uint32_t count;
	uint64_t offset; /* in the shared memory */
} entries = {entry_address, GRANT_TABLE_FRAMES, PV_GRANT_OFFSET},
  status = {status_address, GRANT_TABLE_STATUS_FRAMES, PV_STATUS_OFFSET};

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

static void remove_frame(const struct frames *frames, uint64_t index)
{
	if (frames->address[index])
		vm_remove_slot(frames->address[index]);
	frames->address[index] = 0;
}

static void remove_all(const struct frames *frames)
{
	for (uint32_t i = 0; i < frames->count; i++)
		remove_frame(frames, i);
}

/* Whether it was one of @frames that lay there. */
static bool remove_at(const struct frames *frames, uint64_t address)
{
	for (uint32_t i = 0; i < frames->count; i++) {
		if (frames->address[i] != address)
			continue;
		remove_frame(frames, i);
		return true;
	}
	return false;
}

/*
 * As on Xen, what lay there gives way: a kernel that follows by kexec does not know its
 * predecessor's places. KVM refuses what overlaps a slot that is none of these.
 */
static int place_frame(const struct frames *frames, uint64_t index, uint64_t frame)
{
	uint64_t address = frame << XEN_FRAME_SHIFT;
	int result;

	if (index >= frames->count || !may_be_placed(frame))
		return -EINVAL;
	if (frames->address[index] == address)
		return 0;
	remove_frame(frames, index);
	if (!remove_at(&entries, address))
		remove_at(&status, address);
	result = vm_add_slot(address, XEN_FRAME_BYTES,
			     (uint8_t *)pv.shared.base + frames->offset + index * XEN_FRAME_BYTES);
	if (!result)
		frames->address[index] = address;
	return result;
}

/* With the lock held. The table grows to what was placed. */
static int place_grant_frame(uint64_t index, uint64_t frame)
{
	uint64_t wanted = index + 1;
	int result;

	if (pv.grants.version == 2 && index & MEMORY_INDEX_GRANT_STATUS) {
		index &= ~(uint64_t)MEMORY_INDEX_GRANT_STATUS;
		wanted = index < grant_table_status_frames(&pv.grants)
				 ? 0
				 : (index + 1) * GRANT_STATUS_PER_FRAME / GRANT_V2_PER_FRAME;
		result = place_frame(&status, index, frame);
	} else {
		result = place_frame(&entries, index, frame);
	}
	if (!result && wanted > pv.grants.frames)
		pv.grants.frames = (uint32_t)wanted;
	return result;
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
	uint64_t at;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	if (!is_self(args.domain))
		return -EPERM;
	if (!args.frame || args.frame >> (64 - XEN_FRAME_SHIFT))
		return -EINVAL;
	at = args.frame << XEN_FRAME_SHIFT;
	pthread_mutex_lock(&pv.lock);
	result = remove_at(&entries, at) || remove_at(&status, at) ? 0 : -EINVAL;
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

/* What has room, as on Xen: a guest that gives less learns of no more. */
static int64_t tell_map(uint64_t address)
{
	struct boot_range ranges[BOOT_RANGES_MAX];
	struct memory_map_entry entries[BOOT_RANGES_MAX];
	uint32_t count = boot_memory_map(ranges);
	struct memory_map args;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	for (uint32_t i = 0; i < count; i++)
		entries[i] =
			(struct memory_map_entry){ranges[i].start, ranges[i].size, ranges[i].type};
	if (args.count > count)
		args.count = count;
	result = copy_to_guest(args.entries, entries, args.count * sizeof(*entries));
	return result < 0 ? result : copy_to_guest(address, &args, sizeof(args));
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
	case MEMORY_OP_MEMORY_MAP:
		return tell_map(address);
	default:
		return -ENOSYS;
	}
}

void xen_memory_reset(void)
{
	pthread_mutex_lock(&pv.lock);
	remove_all(&entries);
	remove_all(&status);
	pthread_mutex_unlock(&pv.lock);
}

/* ---- what GRANT_TABLE_OP asks ----------------------------------------------------------------- */

static bool takes_version_2(void)
{
	return true;
}

/* One that the guest has placed nowhere is an invalid frame, as on Xen. */
static uint64_t entry_frame(uint32_t index)
{
	return entry_address[index] ? entry_address[index] >> XEN_FRAME_SHIFT : UINT64_MAX;
}

static uint64_t status_frame(uint32_t index)
{
	return status_address[index] ? status_address[index] >> XEN_FRAME_SHIFT : UINT64_MAX;
}

static void version_changed(void)
{
	if (pv.grants.version == 1)
		remove_all(&status);
}

const struct grant_view xen_memory_grants = {
	.takes_version_2 = takes_version_2,
	.entry_frame = entry_frame,
	.status_frame = status_frame,
	.version_changed = version_changed,
};
