// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Notifications across a start. A kick may have been taken, and an interrupt may have been left out,
 * by whoever served the ring before: an earlier start of ours, a daemon that died, a front-end that
 * masked the vector for a moment. Both are only hints to look: the device looks at a ring when it
 * starts, kicked or not, and the driver is interrupted once more if the ring was ever used.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/transport/vhost_user_connection.h"

#define PACKED_START 0x8000 /* slot 0, wrap counter 1 */
#define PACKED_SLOT  0x7fff

static bool ring_packed(const struct vhost_user *vu)
{
	return vu->features & VIRTQUEUE_F_PACKED;
}

void back_ring_init(struct back_ring *ring, unsigned int index)
{
	memset(ring, 0, sizeof(*ring));
	ring->queue.index = index;
	ring->queue.kick = ring->queue.call = ring->queue.error = -1;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

/* The data path must never block on a peer that does not read. */
static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static bool back_ring_ready(const struct vhost_user *vu, const struct back_ring *ring)
{
	if (!ring->size || !ring->has_address || !ring->kicked)
		return false;
	if (vu->features >> VHOST_USER_F_PROTOCOL_FEATURES & 1)
		return ring->enable == BACK_RING_ON;
	return ring->enable != BACK_RING_OFF;
}

/* The areas of the ring in this process; false if one lies in no region or is misaligned. */
static bool back_ring_areas(struct vhost_user *vu, const struct vhost_user_vring_address *address,
			    uint16_t size, struct virtqueue_areas *areas)
{
	uint64_t features = vu->features;

	if (address->descriptor % 16 || address->available % (ring_packed(vu) ? 4 : 2) ||
	    address->used % 4)
		return false;
	areas->size = size;
	areas->descriptors = memory_table_user(vu->memory, address->descriptor,
					       virtqueue_descriptors_bytes(size, features));
	areas->driver = memory_table_user(vu->memory, address->available,
					  virtqueue_driver_bytes(size, features));
	areas->device = memory_table_user(vu->memory, address->used,
					  virtqueue_device_bytes(size, features));
	return areas->descriptors && areas->driver && areas->device;
}

/*
 * A front-end that knows nothing of packed rings (user-mode Linux) begins every ring at 0, which for
 * a packed one says slot 0 of a lap with wrap counter 0, and means 1. The ring tells which: before a
 * lap with counter 0 lies one with counter 1, in which at least one descriptor was marked used, and
 * no later write before slot 0 is taken clears all such marks.
 */
static bool never_used(const struct virtqueue_areas *areas)
{
	const struct vring_packed_desc *slot = areas->descriptors;
	unsigned int i;

	for (i = 0; i < areas->size; i++) {
		if (__atomic_load_n(&slot[i].flags, __ATOMIC_RELAXED) &
		    1 << VRING_PACKED_DESC_F_USED)
			return false;
	}
	return true;
}

/*
 * Where the device side begins. SET_VRING_BASE says for a split ring only where the available side
 * stands; the used side is what the ring itself shows.
 */
static int back_ring_place(struct vhost_user *vu, struct back_ring *ring,
			   const struct virtqueue_areas *areas)
{
	const struct vring_used *used = areas->device;

	if (ring_packed(vu)) {
		if ((ring->position.avail & PACKED_SLOT) >= ring->size ||
		    (ring->position.used & PACKED_SLOT) >= ring->size)
			return vhost_user_fault(vu, "ring %u begins at slot %#x/%#x of %u",
						ring->queue.index, ring->position.avail,
						ring->position.used, ring->size);
		if (!ring->position.avail && !ring->position.used && never_used(areas))
			ring->position.avail = ring->position.used = PACKED_START;
	} else if (!ring->used_known) {
		ring->position.used = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	}
	ring->used_known = true;
	return 0;
}

static void back_ring_interrupt_again(struct vhost_user *vu, struct back_ring *ring)
{
	if (ring->position.used == (ring_packed(vu) ? PACKED_START : 0) || ring->queue.call < 0)
		return;
	/* Its flags are shared with the front-end, and this is the thread that must never wait. */
	set_nonblocking(ring->queue.call);
	backend_queue_interrupt(&ring->queue);
}

int back_ring_start(struct vhost_user *vu, struct back_ring *ring)
{
	struct backend_device *device = vu->device;
	struct backend_queue *queue = &ring->queue;
	struct virtqueue_areas areas;
	int err;

	if (ring->running || !back_ring_ready(vu, ring))
		return 0;
	if (!back_ring_areas(vu, &ring->address, ring->size, &areas))
		return vhost_user_fault(
			vu, "ring %u of %u slots at %#llx, %#llx, %#llx is in no region",
			queue->index, ring->size, (unsigned long long)ring->address.descriptor,
			(unsigned long long)ring->address.available,
			(unsigned long long)ring->address.used);
	err = back_ring_place(vu, ring, &areas);
	if (err)
		return err;
	queue->features = vu->features & ~(1ULL << VHOST_USER_F_PROTOCOL_FEATURES);
	if (virtqueue_device_init(&queue->ring, &areas, queue->features, &vu->memory->guest,
				  ring->position))
		return vhost_user_fault(vu, "ring %u cannot have %u slots in this format",
					queue->index, ring->size);
	back_ring_interrupt_again(vu, ring);
	err = device->ops->queue_start(device, queue);
	if (err) {
		ring->kicked =
			false; /* until it is set up again: no half-known ring starts by itself */
		log_error("%s: queue %u does not start: %s", device->name, queue->index,
			  strerror(-err));
		return err;
	}
	ring->running = true;
	return 0;
}

void back_ring_stop(struct vhost_user *vu, struct back_ring *ring)
{
	if (!ring->running)
		return;
	vu->device->ops->queue_stop(vu->device, &ring->queue);
	ring->position = virtqueue_device_position(&ring->queue.ring);
	ring->running = false;
	/* Its place means nothing any more, and a pause must not revive it. */
	if (ring->queue.ring.broken)
		ring->kicked = false;
}

void back_ring_release(struct vhost_user *vu, struct back_ring *ring)
{
	back_ring_stop(vu, ring);
	ring->kicked = false;
	replace_fd(&ring->queue.kick, -1);
	replace_fd(&ring->queue.call, -1);
	replace_fd(&ring->queue.error, -1);
}

void back_ring_forget(struct vhost_user *vu, struct back_ring *ring)
{
	back_ring_release(vu, ring);
	ring->size = 0;
	ring->has_address = ring->used_known = false;
	ring->position = (struct virtqueue_position){0, 0};
}

int back_ring_set_base(struct vhost_user *vu, struct back_ring *ring, uint32_t base)
{
	if (ring->running)
		return vhost_user_fault(vu, "ring %u runs", ring->queue.index);
	ring->position.avail = base;
	if (ring_packed(vu)) {
		/*
		 * Some front-ends (DPDK) leave the high half zero: nothing is in flight when a ring
		 * changes hands, so then both sides stand at the same slot.
		 */
		ring->position.used = base >> 16 ? base >> 16 : base;
		ring->used_known = true;
	} else {
		if (base > UINT16_MAX)
			return vhost_user_fault(vu, "ring %u: index %#x", ring->queue.index, base);
		ring->used_known = false;
	}
	return 0;
}

uint32_t back_ring_base(const struct vhost_user *vu, const struct back_ring *ring)
{
	uint32_t base = ring->position.avail;

	return ring_packed(vu) ? base | (uint32_t)ring->position.used << 16 : base;
}

int back_ring_set_address(struct vhost_user *vu, struct back_ring *ring,
			  const struct vhost_user_vring_address *address)
{
	struct virtqueue_areas areas;

	/* The size may come later; then back_ring_start() checks the whole extent. */
	if (!back_ring_areas(vu, address, ring->size ? ring->size : 1, &areas))
		return vhost_user_fault(vu, "ring %u at %#llx, %#llx, %#llx is in no region%s",
					ring->queue.index, (unsigned long long)address->descriptor,
					(unsigned long long)address->available,
					(unsigned long long)address->used,
					vu->memory->count ? "" :
							    ": the guest shares no memory; "
							    "QEMU wants share=on");
	back_ring_stop(vu, ring);
	ring->address = *address;
	ring->has_address = true;
	return back_ring_start(vu, ring);
}

int back_ring_set_kick(struct vhost_user *vu, struct back_ring *ring, int fd)
{
	if (fd >= 0)
		set_nonblocking(fd);
	back_ring_stop(vu, ring);
	replace_fd(&ring->queue.kick, fd);
	ring->kicked = true;
	return back_ring_start(vu, ring);
}

/*
 * Front-ends replace it under load, whenever the guest masks a vector. From one descriptor to
 * another the number stays and only what it stands for changes, which the kernel does atomically:
 * the device's next write goes to the old file or to the new one. A completion that was signalled to
 * the old one in these moments could be missed, so the new one is signalled once.
 */
int back_ring_set_call(struct vhost_user *vu, struct back_ring *ring, int fd)
{
	struct backend_queue *queue = &ring->queue;

	if (fd >= 0)
		set_nonblocking(fd);
	if (ring->running && queue->call >= 0 && fd >= 0) {
		/*
		 * The call itself: ThreadSanitizer's dup3() is a close and an open to it, and frees
		 * what it noted of a number that the device's thread is just writing to.
		 */
		int err = syscall(SYS_dup3, fd, queue->call, O_CLOEXEC) < 0 ? -errno : 0;

		close(fd);
		if (!err)
			backend_queue_interrupt(queue);
		return err;
	}
	back_ring_stop(vu, ring);
	replace_fd(&queue->call, fd);
	return back_ring_start(vu, ring);
}

int back_ring_set_error(struct vhost_user *vu, struct back_ring *ring, int fd)
{
	if (fd >= 0)
		set_nonblocking(fd);
	back_ring_stop(vu, ring);
	replace_fd(&ring->queue.error, fd);
	return back_ring_start(vu, ring);
}

void back_rings_pause(struct vhost_user *vu)
{
	unsigned int i;

	for (i = 0; i < vu->ring_count; i++)
		back_ring_stop(vu, &vu->rings[i]);
}

int back_rings_resume(struct vhost_user *vu)
{
	int err, first = 0;
	unsigned int i;

	for (i = 0; i < vu->ring_count; i++) {
		struct back_ring *ring = &vu->rings[i];
		struct virtqueue_areas areas;

		/* Its region may be on its way out, or in: another message will tell. */
		if (!back_ring_ready(vu, ring) ||
		    !back_ring_areas(vu, &ring->address, ring->size, &areas))
			continue;
		err = back_ring_start(vu, ring);
		if (err && !first)
			first = err;
	}
	return first;
}
