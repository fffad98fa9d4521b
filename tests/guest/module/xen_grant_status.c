// SPDX-License-Identifier: GPL-2.0
/*
 * What Linux leaves out: with grant_table.version=2 an HVM guest asks for version 2 of the grant table,
 * gets it, places the frames of entries, and never those of the status. The first grant that a driver takes
 * back is then looked up at address 0 (drivers/xen/grant-table.c: grstatus stays NULL unless the domain is
 * a PV one). So nobody could see xen-blkfront and xen-netfront on version 2, under any hypervisor.
 *
 * This module, for tests only, places the status frames behind the entries in the platform device's BAR, and
 * tells grant-table.c. It is loaded before the front-ends, and stays.
 */
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/interface/memory.h>
#include <asm/xen/hypercall.h>

#define STATUS_INDEX (1U << 31) /* Xen: XENMAPIDX_grant_table_status, which Linux has not */

#define PER_STATUS_FRAME (XEN_PAGE_SIZE / sizeof(grant_status_t))
#define PER_ENTRY_FRAME	 (XEN_PAGE_SIZE / sizeof(union grant_entry_v2))
#define STATUS_FRAMES	 DIV_ROUND_UP(256 * PER_ENTRY_FRAME, PER_STATUS_FRAME)

static grant_status_t *status;

/* Grants that somebody uses at this moment. */
static int count_in_use(char *text, const struct kernel_param *parameter)
{
	unsigned int i, count = 0;

	for (i = 0; i < STATUS_FRAMES * PER_STATUS_FRAME; i++)
		count += (READ_ONCE(status[i]) & (GTF_reading | GTF_writing)) != 0;
	return sprintf(text, "%u\n", count);
}

static const struct kernel_param_ops in_use = {.get = count_in_use};
module_param_cb(in_use, &in_use, NULL, 0444);

/* Not exported; a probe on it tells its address. */
static unsigned long address_of(const char *name)
{
	struct kprobe probe = {.symbol_name = "kallsyms_lookup_name"};
	unsigned long (*lookup)(const char *name);

	if (register_kprobe(&probe))
		return 0;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	return lookup(name);
}

static phys_addr_t place(void)
{
	struct pci_dev *platform = pci_get_device(0x5853, 1, NULL);
	struct gnttab_get_version version = {.dom = DOMID_SELF};
	struct xen_add_to_physmap add = {
		.domid = DOMID_SELF,
		.space = XENMAPSPACE_grant_table,
	};
	phys_addr_t at;
	int i, err = 0;

	if (!platform || HYPERVISOR_grant_table_op(GNTTABOP_get_version, &version, 1) ||
	    version.version != 2)
		return 0;
	at = pci_resource_start(platform, 1) + gnttab_max_grant_frames() * XEN_PAGE_SIZE;
	if (at + STATUS_FRAMES * XEN_PAGE_SIZE - 1 > pci_resource_end(platform, 1))
		at = 0;
	pci_dev_put(platform);
	for (i = STATUS_FRAMES - 1; at && !err && i >= 0; i--) {
		add.idx = STATUS_INDEX | i;
		add.gpfn = (at >> XEN_PAGE_SHIFT) + i;
		err = HYPERVISOR_memory_op(XENMEM_add_to_physmap, &add);
	}
	return err ? 0 : at;
}

static int __init xen_grant_status_init(void)
{
	grant_status_t **grstatus = (void *)address_of("grstatus");
	phys_addr_t at = place();

	if (!grstatus || !at)
		return -ENODEV;
	status = memremap(at, STATUS_FRAMES * XEN_PAGE_SIZE, MEMREMAP_WB);
	if (!status)
		return -ENOMEM;
	WRITE_ONCE(*grstatus, status);
	__module_get(THIS_MODULE);
	return 0;
}
module_init(xen_grant_status_init);

MODULE_DESCRIPTION("Status frames of version 2 for the in-tree Xen drivers, for tests");
MODULE_LICENSE("GPL");
