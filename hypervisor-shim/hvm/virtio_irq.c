/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "hypervisor-shim/hvm/virtio_irq.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "common/log.h"
#include "hypervisor-shim/hvm/intx.h"
#include "hypervisor-shim/pci.h"

#ifndef VIRTIO_PCI_ISR_QUEUE
#define VIRTIO_PCI_ISR_QUEUE 0x1
#endif

static void update_line(struct virtio_irq *irq)
{
	intx_set(irq->pci, irq->isr && !irq->msix.enabled && !irq->intx_disabled);
}

/* The back-end signalled a queue, and MSI-X is off. */
static void call_ready(struct event_watch *watch, uint32_t events)
{
	struct virtio_irq_source *source =
		(void *)((char *)watch - offsetof(struct virtio_irq_source, watch));
	struct virtio_irq *irq = source->irq;

	pthread_mutex_lock(irq->lock);
	if (watch->watched && msix_drain(watch->fd)) {
		irq->isr |= VIRTIO_PCI_ISR_QUEUE;
		update_line(irq);
	}
	pthread_mutex_unlock(irq->lock);
}

static void update_watch(struct virtio_irq *irq, struct virtio_irq_source *source)
{
	int result;

	if (!source->started || irq->msix.enabled) {
		events_unwatch(&source->watch);
		return;
	}
	result = events_watch(&source->watch);
	if (result < 0)
		log_error("%s: a queue has no INTx interrupt: cannot watch its eventfd: %s; see "
			  "ulimit -n",
			  irq->pci->name, strerror(-result));
}

uint16_t virtio_irq_set_queue_vector(struct virtio_irq *irq, unsigned int queue, uint16_t vector)
{
	return msix_assign(&irq->msix, &irq->source[queue].msix, vector);
}

uint16_t virtio_irq_set_config_vector(struct virtio_irq *irq, uint16_t vector)
{
	irq->config_vector = vector < irq->msix.vectors ? vector : MSIX_NO_VECTOR;
	return irq->config_vector;
}

void virtio_irq_start(struct virtio_irq *irq, unsigned int queue)
{
	irq->source[queue].started = true;
	update_watch(irq, &irq->source[queue]);
}

void virtio_irq_stop(struct virtio_irq *irq, unsigned int queue)
{
	irq->source[queue].started = false;
	update_watch(irq, &irq->source[queue]);
}

void virtio_irq_config_changed(struct virtio_irq *irq)
{
	irq->isr |= VIRTIO_PCI_ISR_CONFIG;
	if (irq->msix.enabled)
		msix_signal(&irq->msix, irq->config_vector);
	else
		update_line(irq);
}

uint8_t virtio_irq_read_isr(struct virtio_irq *irq)
{
	uint8_t isr = irq->isr;

	irq->isr = 0;
	update_line(irq);
	return isr;
}

void virtio_irq_config_written(struct virtio_irq *irq)
{
	unsigned int i;

	irq->intx_disabled = irq->pci->config[PCI_COMMAND + 1] & (PCI_COMMAND_INTX_DISABLE >> 8);
	if (msix_config_written(&irq->msix))
		for (i = 0; i < irq->queues; i++)
			update_watch(irq, &irq->source[i]);
	update_line(irq);
}

void virtio_irq_config_reading(struct virtio_irq *irq)
{
	uint8_t *status = &irq->pci->config[PCI_STATUS];

	*status &= ~PCI_STATUS_INTERRUPT;
	if (irq->isr && !irq->msix.enabled)
		*status |= PCI_STATUS_INTERRUPT;
}

void virtio_irq_reset(struct virtio_irq *irq)
{
	unsigned int i;

	for (i = 0; i < irq->queues; i++) {
		virtio_irq_stop(irq, i);
		msix_assign(&irq->msix, &irq->source[i].msix, MSIX_NO_VECTOR);
		msix_drain(irq->source[i].msix.fd);
	}
	irq->config_vector = MSIX_NO_VECTOR;
	irq->isr = 0;
	update_line(irq);
}

void virtio_irq_power_on(struct virtio_irq *irq)
{
	irq->intx_disabled = false;
	virtio_irq_reset(irq);
	msix_reset(&irq->msix);
}

static int open_source(struct virtio_irq *irq, struct virtio_irq_source *source)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	source->irq = irq;
	source->watch.fd = fd;
	source->watch.events = EPOLLIN;
	source->watch.ready = call_ready;
	msix_add_source(&irq->msix, &source->msix, fd);
	return 0;
}

int virtio_irq_init(struct virtio_irq *irq, struct pci_device *pci, pthread_mutex_t *lock, int bar,
		    unsigned int queues)
{
	int result;

	memset(irq, 0, sizeof(*irq));
	irq->pci = pci;
	irq->lock = lock;
	irq->config_vector = MSIX_NO_VECTOR;
	msix_init(&irq->msix, pci, bar, queues + 1);
	pci->config[PCI_INTERRUPT_PIN] = 1;
	for (irq->queues = 0; irq->queues < queues; irq->queues++) {
		result = open_source(irq, &irq->source[irq->queues]);
		if (result < 0) {
			virtio_irq_close(irq);
			return result;
		}
	}
	return 0;
}

void virtio_irq_close(struct virtio_irq *irq)
{
	unsigned int i;

	msix_close(&irq->msix);
	for (i = 0; i < irq->queues; i++)
		close(irq->source[i].msix.fd);
	irq->queues = 0;
}
