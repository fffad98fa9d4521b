/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The interrupts of a virtio-pci device: an eventfd a queue that the back-end signals, and changes of
 * the configuration.
 *
 * With MSI-X the eventfds go to KVM (msix.h). Without it, as a driver starts out and as one on a
 * "pci=nomsi" kernel stays, the events thread reads them, sets the ISR and raises the line. Both read
 * the same counters, so an event that comes while the driver switches is seen by the one or the other.
 *
 * The device's lock covers all calls.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_VIRTIO_IRQ_H
#define PVKIT_HYPERVISOR_SHIM_HVM_VIRTIO_IRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hypervisor-shim/hvm/events.h"
#include "hypervisor-shim/msix.h"

#define VIRTIO_IRQ_QUEUES_MAX (MSIX_BAR_VECTORS_MAX - 1) /* one vector is for the configuration */

struct virtio_irq;

struct virtio_irq_source {
	struct msix_source msix; /* ->fd is the call eventfd */
	struct event_watch watch; /* of the same, without MSI-X */
	struct virtio_irq *irq;
	bool started;
};

struct virtio_irq {
	struct pci_device *pci;
	pthread_mutex_t *lock; /* the device's; the events thread takes it */
	struct msix msix;
	uint16_t config_vector;
	uint8_t isr;
	bool intx_disabled; /* as the command register says, which only the bus lock covers */
	unsigned int queues;
	struct virtio_irq_source source[VIRTIO_IRQ_QUEUES_MAX];
};

/* Declares MSI-X in @bar. 0 or -errno; on failure nothing is left open. */
int virtio_irq_init(struct virtio_irq *irq, struct pci_device *pci, pthread_mutex_t *lock, int bar,
		    unsigned int queues);

static inline int virtio_irq_call(const struct virtio_irq *irq, unsigned int queue)
{
	return irq->source[queue].msix.fd;
}

/* As the registers are written; what they read then. */
uint16_t virtio_irq_set_queue_vector(struct virtio_irq *irq, unsigned int queue, uint16_t vector);
uint16_t virtio_irq_set_config_vector(struct virtio_irq *irq, uint16_t vector);

/* The queue's events count from now on, or no longer (the back-end signals no more). */
void virtio_irq_start(struct virtio_irq *irq, unsigned int queue);
void virtio_irq_stop(struct virtio_irq *irq, unsigned int queue);

void virtio_irq_config_changed(struct virtio_irq *irq);
uint8_t virtio_irq_read_isr(struct virtio_irq *irq);

/* The guest wrote configuration space, or is about to read its status register. */
void virtio_irq_config_written(struct virtio_irq *irq);
void virtio_irq_config_reading(struct virtio_irq *irq);

/* The virtio device is reset: MSI-X itself stays as it is. */
void virtio_irq_reset(struct virtio_irq *irq);
/* The machine is reset. */
void virtio_irq_power_on(struct virtio_irq *irq);
/* After events_settle(). */
void virtio_irq_close(struct virtio_irq *irq);

#endif
