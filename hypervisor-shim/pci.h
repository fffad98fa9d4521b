/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A PCI bus of one segment, bus 0, function 0 only: configuration mechanism #1 (ports 0xcf8,
 * 0xcfc) and ECAM, memory BARs, capabilities. What a device puts behind its BARs is its own.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PCI_H
#define PVKIT_HYPERVISOR_SHIM_PCI_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_DEVICES_MAX 32

struct pci_device;

struct pci_bar {
	uint64_t size; /* bytes, a power of two from 4 KiB on; 0: no such BAR */
	bool is_64bit; /* takes two registers */
	bool prefetchable;
	uint64_t address; /* as the guest programmed it; valid while ->mapped */
	bool mapped; /* memory decoding is on and the address is sane */
};

struct pci_device_ops {
	/* Access within a BAR: size is 1, 2, 4 or 8; unaligned ones were refused before. */
	void (*bar_read)(struct pci_device *device, int bar, uint64_t offset, void *data,
			 unsigned int size);
	void (*bar_write)(struct pci_device *device, int bar, uint64_t offset, const void *data,
			  unsigned int size);
	/*
	 * A BAR was mapped, moved or unmapped: bar[].mapped and .address are the new ones. NULL:
	 * don't care.
	 */
	void (*bar_changed)(struct pci_device *device, int bar);
	/* The guest wrote [offset, offset+size) of the configuration space. NULL: don't care. */
	void (*config_written)(struct pci_device *device, unsigned int offset, unsigned int size);
	/* Before it reads [offset, offset+size). NULL: don't care. */
	void (*config_reading)(struct pci_device *device, unsigned int offset, unsigned int size);
	/* The machine is reset. */
	void (*reset)(struct pci_device *device);
	void (*close)(struct pci_device *device);
};

struct pci_device {
	const struct pci_device_ops *ops;
	const char *name; /* for messages */
	uint8_t slot; /* set by pci_add() */
	uint8_t config[256];
	uint8_t writable[256]; /* bit mask: which config bits the guest may change */
	uint8_t capabilities_end; /* where the next capability goes */
	struct pci_bar bar[6];
	uint8_t gsi; /* the INTx line that _PRT and the interrupt-line register name */
};

/* Fills the type 0 header; class is base << 16 | sub << 8 | interface. */
void pci_init(struct pci_device *device, uint16_t vendor, uint16_t id, uint32_t class,
	      uint8_t revision, uint16_t subsystem_vendor, uint16_t subsystem_id);
/* Declares a BAR: before pci_add(). */
void pci_declare_bar(struct pci_device *device, int bar, uint64_t size, bool is_64bit,
		     bool prefetchable);
/* Appends a capability of @size bytes (its first two, id and next, are filled in). Its offset. */
uint8_t pci_add_capability(struct pci_device *device, uint8_t id, unsigned int size);

/* Puts the host bridge into slot 0: before any other device. 0 or -errno. */
int pci_open(void);
/* What a firmware would do: an address for every BAR, decoding on. After a reset too. */
void pci_assign(void);

/* Puts it in the next free slot. 0 or -ENOSPC. All vCPU threads may call into it from then on. */
int pci_add(struct pci_device *device);
void pci_reset_all(void);
void pci_close_all(void);

/*
 * The bus as the vCPU loop sees it. A lock of the bus serialises configuration space, BARs that move
 * and resets. Accesses within BARs come without it, from several vCPUs at a time, beside all other
 * callbacks but reset and close: devices lock for themselves, and may be slow.
 */
void pci_port_read(uint16_t port, void *data, unsigned int size);
void pci_port_write(uint16_t port, const void *data, unsigned int size);
/* False if no BAR is mapped there: the caller reads all ones and drops writes. */
bool pci_memory_read(uint64_t address, void *data, unsigned int size);
bool pci_memory_write(uint64_t address, const void *data, unsigned int size);

#endif
