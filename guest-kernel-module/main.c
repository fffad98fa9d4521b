// SPDX-License-Identifier: GPL-2.0
/*
 * pvkit.ko: the platform below, the bus above, and between them the services by which a front-end
 * reaches its back-end.
 *
 *	pvkit_blk.ko, pvkit_net.ko
 *	─────────────────────────── pvkit.h
 *	bus, scan, watch	devices of the store; whose state changed
 *	control			what the host asks of the guest
 *	store			requests and events, by ring page
 *	grant_table, event_channel	pages that a back-end may use; one interrupt a port
 *	event_meter		how often one may come for nothing
 *	─────────────────────────── platform.h
 *	platform, hypercall	PCI device, CPUID, port I/O
 *
 * The bus exists from the module's first moment, so drivers can be loaded in any order, and without
 * a platform. The services begin and end with the platform device.
 *
 * /sys/kernel/debug/pvkit/ says what is in use: platform, grants, events, store.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/grant_table.h"
#include "guest-kernel-module/main.h"
#include "guest-kernel-module/store.h"

static struct dentry *folder;

#define ACCOUNT(name, show)                                                                        \
	static int name##_show(struct seq_file *file, void *unused)                                \
	{                                                                                          \
		show(file);                                                                        \
		return 0;                                                                          \
	}                                                                                          \
	DEFINE_SHOW_ATTRIBUTE(name)

ACCOUNT(platform, pvkit_platform_show);
ACCOUNT(grants, pvkit_grants_show);
ACCOUNT(events, pvkit_events_show);
ACCOUNT(store, pvkit_store_show);

void pvkit_accounts_open(void)
{
	folder = debugfs_create_dir("pvkit", NULL);
	debugfs_create_file("platform", 0400, folder, NULL, &platform_fops);
	debugfs_create_file("grants", 0400, folder, NULL, &grants_fops);
	debugfs_create_file("events", 0400, folder, NULL, &events_fops);
	debugfs_create_file("store", 0400, folder, NULL, &store_fops);
}

void pvkit_accounts_close(void)
{
	debugfs_remove(folder);
}

static int __init pvkit_init(void)
{
	int error = pvkit_bus_register();

	if (error)
		return error;
	error = pvkit_platform_register();
	if (error)
		pvkit_bus_unregister();
	return error;
}
module_init(pvkit_init);

static void __exit pvkit_exit(void)
{
	pvkit_platform_unregister();
	pvkit_bus_unregister();
}
module_exit(pvkit_exit);

MODULE_DESCRIPTION("pvkit: platform, events, grants, store and bus of paravirtual front-ends");
MODULE_AUTHOR("pvkit developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(PVKIT_VERSION);
