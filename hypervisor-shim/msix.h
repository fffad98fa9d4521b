/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * MSI-X of a device whose interrupts come from eventfds that another process signals.
 *
 * While a vector is open (MSI-X enabled, neither vector nor function masked), the eventfds of its
 * sources are attached to KVM: an event becomes a message without this process. While it is closed
 * nobody reads them, and the counter of the eventfd is itself the latch: nothing is lost between
 * detaching and looking, because nobody has to look. The pending-bit array polls the counters,
 * without consuming them.
 *
 *	mask:	detach (returns when KVM is through with every event that came before)
 *	unmask:	set the route if the message changed, attach, then drain the counter: if it was not
 *		zero the event fell into the closed time, and one message is sent by hand.
 *
 * An event between attaching and draining is KVM's, or both KVM's and ours: one interrupt too many at
 * most, never one too few.
 *
 * The caller's lock covers all calls on one struct msix.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_MSIX_H
#define PVKIT_HYPERVISOR_SHIM_MSIX_H

#include <stdbool.h>
#include <stdint.h>

struct pci_device;

#define MSIX_VECTORS_MAX 256
#define MSIX_NO_VECTOR   0xffff

/* A BAR of its own: table, then pending bits. */
#define MSIX_BAR_VECTORS_MAX 128
#define MSIX_PBA_OFFSET      0x800 /* behind MSIX_BAR_VECTORS_MAX entries of the table */
#define MSIX_BAR_SIZE        0x1000

/* An eventfd that interrupts the guest. Many sources may share a vector. */
struct msix_source {
	int fd; /* non-blocking; its owner's */
	uint16_t vector;
	bool attached;
	struct msix_source *next; /* of the same vector */
};

struct msix_vector {
	uint32_t address_low, address_high, data, control; /* as the guest wrote them */
	bool latched; /* msix_signal() came while it was closed */
	bool open;
	struct msix_source *sources;
	int gsi; /* of its route; -1: no source has asked for one */
	bool routed;
	uint64_t route_address; /* what the route says now */
	uint32_t route_data;
};

struct msix {
	struct pci_device *pci;
	uint8_t capability;
	uint16_t vectors;
	bool enabled, function_masked;
	uint32_t table_offset, pba_offset; /* in the BAR */
	struct msix_vector vector[MSIX_VECTORS_MAX];
};

/* Adds the capability, table and pending bits in @bar, which holds nothing else. */
void msix_init(struct msix *msix, struct pci_device *pci, int bar, uint16_t vectors);
/* The same at these offsets of a @bar that its owner declares. */
void msix_init_at(struct msix *msix, struct pci_device *pci, int bar, uint32_t table_offset,
		  uint32_t pba_offset, uint16_t vectors);

/* @source has no vector yet. Its owner takes it from its vector before it frees it. */
void msix_add_source(struct msix *msix, struct msix_source *source, int fd);

/*
 * Moves @source to @vector, or to none. The vector that it has now: MSIX_NO_VECTOR where there is no
 * such vector, or KVM has no route left.
 */
uint16_t msix_assign(struct msix *msix, struct msix_source *source, uint16_t vector);

/* One interrupt now, or when @vector opens. */
void msix_signal(struct msix *msix, uint16_t vector);

/* Offsets are those of the BAR. */
void msix_bar_read(struct msix *msix, uint64_t offset, void *data, unsigned int size);
void msix_bar_write(struct msix *msix, uint64_t offset, const void *data, unsigned int size);
/* The guest wrote configuration space: true if MSI-X was enabled or disabled by it. */
bool msix_config_written(struct msix *msix);

/* As after power-on: disabled, every vector masked and zero, no source has a vector. */
void msix_reset(struct msix *msix);
/* Detaches everything and gives the routes back. */
void msix_close(struct msix *msix);

/* Clears the counter of an eventfd: true if it was not zero. */
bool msix_drain(int fd);

#endif
