/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The PCI face of a virtio device: identity, capabilities, and the registers behind them.
 *
 *	BAR 0	0x0000	common configuration	capability COMMON_CFG
 *		0x1000	ISR			ISR_CFG
 *		0x2000	device configuration	DEVICE_CFG
 *		0x3000	doorbells, one a queue	NOTIFY_CFG, multiplier VIRTIO_DOORBELL_STEP
 *	BAR 1	MSI-X table and pending bits (msix.h)
 *
 * Each window has a page of its own, so that a guest can map them apart. Doorbells of running queues
 * never arrive here: KVM signals the back-end's eventfd itself.
 */
#include "hypervisor-shim/hvm/virtio_pci.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "common/log.h"
#include "hypervisor-shim/hvm/intx.h"
#include "hypervisor-shim/hvm/virtio_device.h"
#include "hypervisor-shim/pci.h"

#define VENDOR_VIRTIO 0x1af4
#define DEVICE_MODERN 0x1040 /* + virtio id */
#define REVISION      1
#define CLASS_NETWORK 0x020000 /* Ethernet controller */
#define CLASS_STORAGE 0x018000 /* mass storage, other */
#define CLASS_CONSOLE 0x078000 /* communication, other */
#define CLASS_OTHER   0xff0000

#define BAR_REGISTERS  0
#define BAR_MSIX       1
#define WINDOW_SIZE    0x1000
#define WINDOW_COMMON  0x0000
#define WINDOW_ISR     0x1000
#define WINDOW_DEVICE  0x2000
#define WINDOW_NOTIFY  0x3000
#define REGISTERS_SIZE 0x4000

#define COMMON_SIZE 64 /* Virtio 1.2: queue_notify_data and queue_reset at its end read as 0 */

_Static_assert(VIRTIO_QUEUES_MAX *VIRTIO_DOORBELL_STEP <= WINDOW_SIZE, "doorbells have one page");
_Static_assert(sizeof(struct virtio_pci_common_cfg) <= COMMON_SIZE, "what we know of it");

struct virtio_pci {
	struct pci_device pci; /* first: what pci.h hands us is cast back */
	struct virtio_device device;
	uint8_t window_capability; /* VIRTIO_PCI_CAP_PCI_CFG */
	bool bus_master; /* as the command register said at the last look */

	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
};

static struct virtio_pci *of(struct pci_device *pci)
{
	return (struct virtio_pci *)pci;
}

/* ---- common configuration --------------------------------------------------------------------- */

/* NULL: there is no queue of that number. */
static struct virtio_queue *selected(struct virtio_pci *vp)
{
	return vp->queue_select < vp->device.queues_count ? &vp->device.queue[vp->queue_select]
							  : NULL;
}

static uint32_t word_of(uint64_t features, uint32_t select)
{
	return select < 2 ? features >> select * 32 : 0;
}

static void fill_queue(struct virtio_pci *vp, struct virtio_pci_common_cfg *common)
{
	const struct virtio_queue *queue = selected(vp);

	common->queue_msix_vector = MSIX_NO_VECTOR;
	if (!queue)
		return; /* a size of 0 says so */
	common->queue_size = queue->size;
	common->queue_msix_vector = vp->device.irq.source[vp->queue_select].msix.vector;
	common->queue_enable = queue->enabled;
	common->queue_notify_off = vp->queue_select;
	common->queue_desc_lo = queue->descriptors;
	common->queue_desc_hi = queue->descriptors >> 32;
	common->queue_avail_lo = queue->driver;
	common->queue_avail_hi = queue->driver >> 32;
	common->queue_used_lo = queue->device;
	common->queue_used_hi = queue->device >> 32;
}

static void common_read(struct virtio_pci *vp, uint64_t offset, void *data, unsigned int size)
{
	const struct virtio_device *device = &vp->device;
	union {
		struct virtio_pci_common_cfg common;
		uint8_t bytes[COMMON_SIZE];
	} image;

	memset(&image, 0, sizeof(image));
	image.common.device_feature_select = vp->device_feature_select;
	image.common.device_feature = word_of(device->features_offered, vp->device_feature_select);
	image.common.guest_feature_select = vp->driver_feature_select;
	image.common.guest_feature = word_of(device->features_wanted, vp->driver_feature_select);
	image.common.msix_config = device->irq.config_vector;
	image.common.num_queues = device->queues_count;
	image.common.device_status = device->status;
	image.common.config_generation = device->config_generation;
	image.common.queue_select = vp->queue_select;
	fill_queue(vp, &image.common);
	if (offset + size <= sizeof(image))
		memcpy(data, image.bytes + offset, size);
}

static void set_queue_size(struct virtio_device *device, struct virtio_queue *queue, uint32_t size)
{
	if (!size || size > device->queue_size_max)
		return;
	if (size & (size - 1) && !virtio_device_has(device, VIRTIO_F_RING_PACKED))
		return;
	queue->size = size;
}

static void set_half(uint64_t *address, unsigned int shift, uint32_t half)
{
	*address = (*address & ~(0xffffffffULL << shift)) | (uint64_t)half << shift;
}

/* What an enabled queue still takes is its vector. */
static void queue_write(struct virtio_pci *vp, uint64_t offset, unsigned int size, uint32_t value)
{
	struct virtio_queue *queue = selected(vp);

	if (!queue)
		return;
	if (offset == VIRTIO_PCI_COMMON_Q_MSIX && size == 2) {
		virtio_irq_set_queue_vector(&vp->device.irq, vp->queue_select, value);
		return;
	}
	if (queue->enabled)
		return;
	if (offset == VIRTIO_PCI_COMMON_Q_SIZE && size == 2)
		set_queue_size(&vp->device, queue, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_ENABLE && size == 2 && value == 1)
		virtio_queue_enable(&vp->device, vp->queue_select);
	else if (offset == VIRTIO_PCI_COMMON_Q_DESCLO && size == 4)
		set_half(&queue->descriptors, 0, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_DESCHI && size == 4)
		set_half(&queue->descriptors, 32, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_AVAILLO && size == 4)
		set_half(&queue->driver, 0, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_AVAILHI && size == 4)
		set_half(&queue->driver, 32, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_USEDLO && size == 4)
		set_half(&queue->device, 0, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_USEDHI && size == 4)
		set_half(&queue->device, 32, value);
}

/* A field takes a write of its own width at its own place; the specification allows no other. */
static void common_field_write(struct virtio_pci *vp, uint64_t offset, unsigned int size,
			       uint32_t value)
{
	if (offset == VIRTIO_PCI_COMMON_DFSELECT && size == 4)
		vp->device_feature_select = value;
	else if (offset == VIRTIO_PCI_COMMON_GFSELECT && size == 4)
		vp->driver_feature_select = value;
	else if (offset == VIRTIO_PCI_COMMON_GF && size == 4)
		virtio_device_set_features(&vp->device, vp->driver_feature_select, value);
	else if (offset == VIRTIO_PCI_COMMON_MSIX && size == 2)
		virtio_irq_set_config_vector(&vp->device.irq, value);
	else if (offset == VIRTIO_PCI_COMMON_STATUS && size == 1)
		virtio_device_set_status(&vp->device, value);
	else if (offset == VIRTIO_PCI_COMMON_Q_SELECT && size == 2)
		vp->queue_select = value;
	else
		queue_write(vp, offset, size, value);
}

static uint32_t little_endian(const void *data, unsigned int size)
{
	uint32_t value = 0;

	memcpy(&value, data, size);
	return value;
}

static void common_write(struct virtio_pci *vp, uint64_t offset, const void *data,
			 unsigned int size)
{
	if (size <= 4) {
		common_field_write(vp, offset, size, little_endian(data, size));
		return;
	}
	common_field_write(vp, offset, 4, little_endian(data, 4)); /* a 64-bit address at once */
	common_field_write(vp, offset + 4, 4, little_endian((const uint8_t *)data + 4, 4));
}

/* ---- windows ---------------------------------------------------------------------------------- */

static void isr_read(struct virtio_pci *vp, uint64_t offset, void *data)
{
	if (offset == 0)
		*(uint8_t *)data = virtio_irq_read_isr(&vp->device.irq);
}

/* With the device's lock, as all below. Whoever calls has cleared @data. */
static void registers_read(struct virtio_pci *vp, uint64_t offset, void *data, unsigned int size)
{
	uint64_t inside = offset % WINDOW_SIZE;

	switch (offset - inside) {
	case WINDOW_COMMON:
		common_read(vp, inside, data, size);
		break;
	case WINDOW_ISR:
		isr_read(vp, inside, data);
		break;
	case WINDOW_DEVICE:
		virtio_config_read(&vp->device, inside, data, size);
		break;
	}
}

static void registers_write(struct virtio_pci *vp, uint64_t offset, const void *data,
			    unsigned int size)
{
	uint64_t inside = offset % WINDOW_SIZE;

	switch (offset - inside) {
	case WINDOW_COMMON:
		common_write(vp, inside, data, size);
		break;
	case WINDOW_DEVICE:
		virtio_config_write(&vp->device, inside, data, size);
		break;
	case WINDOW_NOTIFY:
		virtio_device_kick(&vp->device, inside / VIRTIO_DOORBELL_STEP);
		break;
	}
}

static void bar_read_locked(struct virtio_pci *vp, int bar, uint64_t offset, void *data,
			    unsigned int size)
{
	memset(data, 0, size);
	if (bar == BAR_MSIX)
		msix_bar_read(&vp->device.irq.msix, offset, data, size);
	else if (bar == BAR_REGISTERS)
		registers_read(vp, offset, data, size);
}

static void bar_write_locked(struct virtio_pci *vp, int bar, uint64_t offset, const void *data,
			     unsigned int size)
{
	if (bar == BAR_MSIX)
		msix_bar_write(&vp->device.irq.msix, offset, data, size);
	else if (bar == BAR_REGISTERS)
		registers_write(vp, offset, data, size);
}

/* ---- VIRTIO_PCI_CAP_PCI_CFG: the same windows through configuration space ---------------------- */

struct window_access {
	int bar;
	uint64_t offset;
	unsigned int size;
};

/* What the guest wrote there is checked as BAR accesses are checked by the bus. */
static bool window_access(const struct virtio_pci *vp, struct window_access *access)
{
	struct virtio_pci_cap cap;

	memcpy(&cap, vp->pci.config + vp->window_capability, sizeof(cap));
	if (cap.bar != BAR_REGISTERS && cap.bar != BAR_MSIX)
		return false;
	if (cap.length != 1 && cap.length != 2 && cap.length != 4)
		return false;
	if (cap.offset % cap.length ||
	    (uint64_t)cap.offset + cap.length > vp->pci.bar[cap.bar].size)
		return false;
	access->bar = cap.bar;
	access->offset = cap.offset;
	access->size = cap.length;
	return true;
}

static bool is_window_data(const struct virtio_pci *vp, unsigned int offset, unsigned int size)
{
	unsigned int data =
		vp->window_capability + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	return offset < data + 4 && offset + size > data;
}

static uint8_t *window_data(struct virtio_pci *vp)
{
	return vp->pci.config + vp->window_capability +
	       offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
}

static void config_reading(struct pci_device *pci, unsigned int offset, unsigned int size)
{
	struct virtio_pci *vp = of(pci);
	struct window_access access;

	pthread_mutex_lock(&vp->device.lock);
	virtio_irq_config_reading(&vp->device.irq);
	if (is_window_data(vp, offset, size) && window_access(vp, &access))
		bar_read_locked(vp, access.bar, access.offset, window_data(vp), access.size);
	pthread_mutex_unlock(&vp->device.lock);
}

/*
 * A kernel that makes place for another (kexec) resets no device: it takes bus mastering away, and a
 * back-end that went on would write received frames into its successor. As in QEMU, only the change
 * counts: there are drivers that never set the bit.
 */
static void update_bus_master(struct virtio_pci *vp)
{
	bool before = vp->bus_master;

	vp->bus_master = vp->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
	if (before && !vp->bus_master)
		virtio_device_halt(&vp->device);
}

static void config_written(struct pci_device *pci, unsigned int offset, unsigned int size)
{
	struct virtio_pci *vp = of(pci);
	struct window_access access;

	pthread_mutex_lock(&vp->device.lock);
	virtio_irq_config_written(&vp->device.irq);
	update_bus_master(vp);
	if (is_window_data(vp, offset, size) && window_access(vp, &access))
		bar_write_locked(vp, access.bar, access.offset, window_data(vp), access.size);
	pthread_mutex_unlock(&vp->device.lock);
}

/* ---- the device on the bus -------------------------------------------------------------------- */

static void bar_read(struct pci_device *pci, int bar, uint64_t offset, void *data,
		     unsigned int size)
{
	struct virtio_pci *vp = of(pci);

	pthread_mutex_lock(&vp->device.lock);
	bar_read_locked(vp, bar, offset, data, size);
	pthread_mutex_unlock(&vp->device.lock);
}

static void bar_write(struct pci_device *pci, int bar, uint64_t offset, const void *data,
		      unsigned int size)
{
	struct virtio_pci *vp = of(pci);

	pthread_mutex_lock(&vp->device.lock);
	bar_write_locked(vp, bar, offset, data, size);
	pthread_mutex_unlock(&vp->device.lock);
}

static void bar_changed(struct pci_device *pci, int bar)
{
	struct virtio_pci *vp = of(pci);
	const struct pci_bar *registers = &pci->bar[BAR_REGISTERS];

	if (bar != BAR_REGISTERS)
		return;
	pthread_mutex_lock(&vp->device.lock);
	virtio_device_move_doorbells(&vp->device,
				     registers->mapped ? registers->address + WINDOW_NOTIFY : 0);
	pthread_mutex_unlock(&vp->device.lock);
}

static void power_on(struct pci_device *pci)
{
	struct virtio_pci *vp = of(pci);

	pthread_mutex_lock(&vp->device.lock);
	virtio_device_reset(&vp->device);
	virtio_irq_power_on(&vp->device.irq);
	vp->device_feature_select = vp->driver_feature_select = 0;
	vp->queue_select = 0;
	vp->bus_master = false;
	pthread_mutex_unlock(&vp->device.lock);
}

static void close_device(struct pci_device *pci)
{
	struct virtio_pci *vp = of(pci);

	virtio_device_close(&vp->device);
	free(vp);
}

static void add_window(struct virtio_pci *vp, uint8_t type, uint32_t offset, uint32_t length,
		       unsigned int extra)
{
	struct virtio_pci_cap cap = {
		.cap_len = sizeof(cap) + extra,
		.cfg_type = type,
		.bar = BAR_REGISTERS,
		.offset = offset,
		.length = length,
	};
	uint8_t at = pci_add_capability(&vp->pci, PCI_CAP_ID_VNDR, cap.cap_len);

	memcpy(vp->pci.config + at + VIRTIO_PCI_CAP_LEN, (uint8_t *)&cap + VIRTIO_PCI_CAP_LEN,
	       sizeof(cap) - VIRTIO_PCI_CAP_LEN);
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		vp->pci.config[at + VIRTIO_PCI_NOTIFY_CAP_MULT] = VIRTIO_DOORBELL_STEP;
	if (type == VIRTIO_PCI_CAP_PCI_CFG)
		vp->window_capability = at;
}

static void add_capabilities(struct virtio_pci *vp)
{
	uint8_t *writable = vp->pci.writable;
	uint32_t config = vp->device.config_size;

	add_window(vp, VIRTIO_PCI_CAP_COMMON_CFG, WINDOW_COMMON, COMMON_SIZE, 0);
	add_window(vp, VIRTIO_PCI_CAP_ISR_CFG, WINDOW_ISR, 1, 0);
	if (config)
		add_window(vp, VIRTIO_PCI_CAP_DEVICE_CFG, WINDOW_DEVICE, (config + 3) & ~3U, 0);
	add_window(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, WINDOW_NOTIFY,
		   vp->device.queues_count * VIRTIO_DOORBELL_STEP, 4);
	add_window(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	writable += vp->window_capability;
	memset(writable + VIRTIO_PCI_CAP_BAR, 0xff, 1);
	memset(writable + VIRTIO_PCI_CAP_OFFSET, 0xff, 4);
	memset(writable + VIRTIO_PCI_CAP_LENGTH, 0xff, 4);
	memset(writable + sizeof(struct virtio_pci_cap), 0xff, 4);
}

static uint32_t class_of(uint16_t virtio_id)
{
	switch (virtio_id) {
	case VIRTIO_ID_NET:
		return CLASS_NETWORK;
	case VIRTIO_ID_BLOCK:
		return CLASS_STORAGE;
	case VIRTIO_ID_CONSOLE:
		return CLASS_CONSOLE;
	default:
		return CLASS_OTHER;
	}
}

static const struct pci_device_ops virtio_pci_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_changed = bar_changed,
	.config_written = config_written,
	.config_reading = config_reading,
	.reset = power_on,
	.close = close_device,
};

static int put_on_bus(struct virtio_pci *vp)
{
	struct virtio_device *device = &vp->device;
	int result;

	pci_init(&vp->pci, VENDOR_VIRTIO, DEVICE_MODERN + device->id, class_of(device->id),
		 REVISION, VENDOR_VIRTIO, DEVICE_MODERN + device->id);
	vp->pci.ops = &virtio_pci_ops;
	vp->pci.name = device->name;
	pci_declare_bar(&vp->pci, BAR_REGISTERS, REGISTERS_SIZE, false, false);
	result = virtio_irq_init(&device->irq, &vp->pci, &device->lock, BAR_MSIX,
				 device->queues_count);
	if (result < 0) {
		log_error("%s: no eventfds for its interrupts: %s; see ulimit -n", device->name,
			  strerror(-result));
		return result;
	}
	add_capabilities(vp);
	result = pci_add(&vp->pci);
	if (result < 0) {
		log_error("%s: the PCI bus has no free slot; use fewer devices", device->name);
		return result;
	}
	return 0;
}

int virtio_pci_add(uint16_t virtio_id, int fd, const struct virtio_pci_options *options)
{
	struct virtio_pci *vp = calloc(1, sizeof(*vp));
	int result;

	if (!vp) {
		close(fd);
		log_error("%s: out of memory; use fewer queues or devices", options->name);
		return -ENOMEM;
	}
	result = virtio_device_open(&vp->device, virtio_id, fd, options);
	if (result < 0) {
		free(vp);
		return result;
	}
	result = put_on_bus(vp);
	if (result < 0) {
		virtio_device_close(&vp->device);
		free(vp);
		return result;
	}
	result = virtio_device_listen(&vp->device);
	if (result < 0) /* it is on the bus: pci_close_all() frees it */
		log_error("%s: cannot watch the back-end: %s; see ulimit -n", vp->device.name,
			  strerror(-result));
	return result;
}
