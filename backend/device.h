/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a virtio device is to the transport in front of it.
 *
 * The transport calls all of these from its one control thread; each device serves its queues from
 * threads of its own. The transport never looks at a request, the device never at a message.
 */
#ifndef PVKIT_BACKEND_DEVICE_H
#define PVKIT_BACKEND_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend_queue;
struct guest_memory;

struct backend_device {
	const struct backend_device_ops *ops;
	const char *name;	 /* for messages */
	unsigned int queues_max; /* virtqueues, a control queue among them */
	/*
	 * What vhost-user's GET_QUEUE_NUM answers; 0: queues_max. A net device says its queue pairs:
	 * there, front-ends compare it with a number of pairs.
	 */
	unsigned int queues_told;
	uint64_t features;	 /* offered; the ring's and VERSION_1 among them */

	/*
	 * Set by the transport: tells the front-end that the configuration space changed (vhost-user:
	 * VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, then the guest's config interrupt). The control
	 * thread calls it; it does nothing where the front-end has no back-channel.
	 */
	void (*config_changed)(struct backend_device *device);
	void *transport;
};

struct backend_device_ops {
	/* The front-end accepted @features, a subset of those offered. 0, or -EINVAL to refuse. */
	int (*set_features)(struct backend_device *device, uint64_t features);

	/*
	 * The configuration space; -EINVAL outside it or where a field is not writable. All queues
	 * are stopped during a write: what was answered before it had the old configuration, what is
	 * answered after it has the new one.
	 */
	int (*config_read)(struct backend_device *device, uint32_t offset, void *data,
			   uint32_t size);
	int (*config_write)(struct backend_device *device, uint32_t offset, const void *data,
			    uint32_t size);

	/*
	 * Serves @queue from now on, beginning with what already waits on the ring: its kick may have
	 * been taken by whoever served it before. 0, or -errno: the queue stays stopped.
	 */
	int (*queue_start)(struct backend_device *device, struct backend_queue *queue);
	/*
	 * Stops serving: returns when no request of the queue is in flight, all completions are on
	 * the ring and the device holds no pointer into guest memory. queue->ring says where it stood.
	 */
	void (*queue_stop)(struct backend_device *device, struct backend_queue *queue);

	/*
	 * The table of guest memory changed; all queues are stopped. For what depends on it, such as
	 * registered buffers. May be NULL.
	 */
	void (*memory_changed)(struct backend_device *device, const struct guest_memory *memory);

	/* The front-end left or reset the device; all queues are stopped. May be NULL. */
	void (*reset)(struct backend_device *device);
};

#endif
