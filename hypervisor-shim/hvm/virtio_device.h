/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A virtio device between a guest's driver and a vhost-user back-end: status, features, queues and
 * configuration space. How the driver reaches it (PCI registers) is virtio_pci.c's.
 *
 *	driver					here				back-end
 *	ACKNOWLEDGE, DRIVER		→	remembers
 *	features, FEATURES_OK		→	checks			→	SET_FEATURES
 *	addresses, size, vector, enable	→	checks each area
 *	DRIVER_OK			→	doorbells to KVM	→	memory, rings started
 *	kick				⇒	(KVM, ioeventfd)	⇒	kick eventfd
 *						(KVM, irqfd: msix.h)	⇐	call eventfd
 *	0 (reset)			→	doorbells off		→	rings stopped, drained
 *	reads NEEDS_RESET		←	back-end was lost	←	hang-up
 *
 * Whatever the driver writes, in whatever order, costs it this device at most.
 *
 * Locks: the bus lock of pci.h, then ->lock of the device. vCPU threads come with the first where they
 * touch the configuration space, and with none to the registers; the events thread with none. So a
 * back-end that hangs holds up who touches registers of its device, not the bus; but who touches its
 * configuration space meanwhile waits with the bus. The back-end is asked under ->lock, so its answers never mix; a message on the
 * back-channel is taken before the lock, because the back-end may wait for the answer to it
 * while a vCPU that holds the lock waits for the back-end.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_VIRTIO_DEVICE_H
#define PVKIT_HYPERVISOR_SHIM_HVM_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hypervisor-shim/hvm/events.h"
#include "hypervisor-shim/hvm/vhost_user.h"
#include "hypervisor-shim/hvm/virtio_irq.h"

struct net_control;
struct virtio_pci_options;

#define VIRTIO_QUEUES_MAX VIRTIO_IRQ_QUEUES_MAX
#define VIRTIO_CONFIG_MAX 256 /* what a vhost-user message holds of it */

#define VIRTIO_DOORBELL_STEP 4 /* bytes between the doorbells of two queues */

struct virtio_queue {
	uint16_t size; /* the registers */
	uint64_t descriptors, driver, device; /* guest addresses */
	bool enabled;
	bool started; /* it runs: at the back-end, or here */
	uint64_t doorbell; /* where its ioeventfd is; 0: nowhere */
	int kick;
};

struct virtio_device {
	uint16_t id;
	char name[64];
	pthread_mutex_t lock;

	struct vhost_user_front front;
	bool lost; /* the back-end is gone for good */
	struct event_watch hangup, backchannel;

	struct virtio_irq irq;
	uint64_t doorbells; /* guest address of queue 0's; 0: not mapped */

	uint8_t status;
	uint64_t features_offered;
	uint64_t features_here; /* of these, what the back-end is not told of */
	uint64_t
		features_wanted; /* as the driver writes them; accepted once FEATURES_OK reads back */

	unsigned int queues_count;
	uint16_t queue_size_max;
	struct virtio_queue queue[VIRTIO_QUEUES_MAX];

	bool config_remote; /* the back-end has a configuration space */
	uint32_t config_size;
	uint8_t config[VIRTIO_CONFIG_MAX];
	uint8_t config_generation;
	/* Net and block: what the shim decides, laid over what the back-end says. NULL: nothing. */
	void (*config_overlay)(struct virtio_device *device);

	/* Net only. */
	unsigned int pairs; /* that were offered */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu;
	struct net_control *control; /* NULL: the back-end's, or none */
};

/* Asks the back-end what it is, and decides on features, queues and configuration. */
int virtio_device_open(struct virtio_device *device, uint16_t id, int fd,
		       const struct virtio_pci_options *options);
/* Starts to listen to the back-end: when ->irq is ready. */
int virtio_device_listen(struct virtio_device *device);
/* The guest is over. */
void virtio_device_close(struct virtio_device *device);

/* The rest with ->lock held. */
void virtio_device_set_status(struct virtio_device *device, uint8_t status);
void virtio_device_set_features(struct virtio_device *device, unsigned int word, uint32_t features);
void virtio_device_reset(struct virtio_device *device);
/* The guest forbids access to its memory: queues stop, and only a reset brings them back. */
void virtio_device_halt(struct virtio_device *device);
/* The doorbells moved to guest address @address; 0: out of the guest's sight. */
void virtio_device_move_doorbells(struct virtio_device *device, uint64_t address);
/* A doorbell that reached us, because there is no ioeventfd (yet). */
void virtio_device_kick(struct virtio_device *device, unsigned int queue);
void virtio_device_needs_reset(struct virtio_device *device);
/* A call on ->front failed with @result: says so, once if the back-end is gone. */
void virtio_device_backend_failed(struct virtio_device *device, const char *what, int result);

static inline bool virtio_device_has(const struct virtio_device *device, unsigned int feature)
{
	return device->features_wanted >> feature & 1;
}

/* virtio_queue.c */
void virtio_queue_enable(struct virtio_device *device, unsigned int index);
/* Starts all enabled queues. 0, or -errno after a message and NEEDS_RESET. */
int virtio_queue_start_all(struct virtio_device *device);
void virtio_queue_stop_all(struct virtio_device *device);
void virtio_queue_reset_all(struct virtio_device *device);
void virtio_queue_place_doorbell(struct virtio_device *device, unsigned int index);
/* The areas of queue @index in this process; false if a byte of them is not RAM. */
struct virtqueue_areas;
bool virtio_queue_areas(const struct virtio_device *device, unsigned int index,
			struct virtqueue_areas *areas);

/* virtio_config.c */
int virtio_config_open(struct virtio_device *device);
void virtio_config_read(struct virtio_device *device, uint64_t offset, void *data,
			unsigned int size);
void virtio_config_write(struct virtio_device *device, uint64_t offset, const void *data,
			 unsigned int size);
/* Asks the back-end again; interrupts the driver if something is different. */
void virtio_config_refresh(struct virtio_device *device);

/* virtio_type.c: what block and net devices are beyond any virtio device */
int virtio_type_open(struct virtio_device *device, const struct virtio_pci_options *options);

#endif
