/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The command line of pvkit-shim.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_CONFIG_H
#define PVKIT_HYPERVISOR_SHIM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/link_options.h"

#define CONFIG_DEVICES_MAX 24 /* slots of the PCI bus, a few left over */

enum config_bus {
	BUS_DEFAULT, /* what --mode says */
	BUS_VIRTIO,
	BUS_PV,
};

enum config_mode {
	MODE_HVM,
	MODE_PV,
	MODE_XEN,
};

enum config_boot {
	BOOT_AUTO, /* as the file is */
	BOOT_BY_PVH,
};

enum config_reboot {
	REBOOT_RESTART,
	REBOOT_EXIT,
};

/* The first entries of engine and cache are the daemon's defaults. */
struct shim_disk {
	const char *path, *vhost_user, *serial;
	const char *engine, *cache; /* as pvkit-blkd takes them; NULL: its default */
	uint64_t size; /* of the null engine's disk */
	uint64_t queues, queue_size;
	unsigned int bus; /* after parsing: BUS_VIRTIO or BUS_PV */
	unsigned int engine_choice, cache_choice;
	bool read_only, packed;
};

struct shim_net {
	const char *link, *vhost_user;
	struct link_options link_options; /* what link says */
	uint64_t queue_pairs, queue_size, mtu;
	unsigned int bus; /* as above */
	bool packed, has_mac;
	uint8_t mac[6];
	uint64_t rate_bytes, rate_us; /* it may send so many in so long; 0 us: without limit */
};

struct shim_config {
	const char *kernel, *initrd, *append, *console;
	uint64_t memory, cpus;
	const char *attach, *store_socket; /* of PV mode; NULL */
	unsigned int mode, boot, on_reboot;
	bool pv; /* something of it needs PV mode */
	bool prealloc, verbose;
	struct shim_disk disks[CONFIG_DEVICES_MAX];
	struct shim_net nets[CONFIG_DEVICES_MAX];
	unsigned int disks_count, nets_count;
};

/* Exit statuses, as --help tells them. */
enum {
	EXIT_POWER_OFF = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_REBOOT = 3,
	EXIT_PANIC = 4,
	EXIT_QUIT = 5,
	EXIT_SIGNAL = 128, /* and the signal's number */
};

/* Parses, fills in defaults, and refuses what cannot be: one line, exit status EXIT_USAGE. */
void config_parse(struct shim_config *config, int argc, char **argv);

#endif
