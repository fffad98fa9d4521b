// SPDX-License-Identifier: GPL-2.0
/*
 * Finding devices: the directories device/CLASS/ID of the store.
 *
 * One watch on "device" tells of everything below it, of what our own drivers write too. So only
 * what can make or end a device leads to a scan: a change of the upper three levels, or of a
 * "backend" key. A scan compares the store with the list of devices; what fails for another reason
 * than absence changes nothing.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/platform.h"
#include "guest-kernel-module/store.h"

#define CLASS_MAX   16 /* letters */
#define DEVICES_MAX 1024 /* more than the store's quota lets anybody make */

static struct {
	struct device *parent;
	struct pvkit_watch watch;
	struct work_struct work;
	/* The work's own, and start's and stop's, which run without it. */
	struct list_head devices;
	unsigned int count;
	bool open;
} scan = {
	.devices = LIST_HEAD_INIT(scan.devices),
};

static struct pvkit_bus_device *find_device(const char *class, unsigned int id)
{
	struct pvkit_bus_device *device;

	list_for_each_entry(device, &scan.devices, link)
		if (device->device.id == id && !strcmp(device->device.class, class))
			return device;
	return NULL;
}

static void remove_device(struct pvkit_bus_device *device)
{
	list_del(&device->link);
	scan.count--;
	pvkit_bus_device_destroy(device, true);
}

static void add_device(const char *class, unsigned int id)
{
	struct pvkit_bus_device *device;
	int error;

	if (scan.count >= DEVICES_MAX)
		return;
	device = pvkit_bus_device_create(scan.parent, class, id);
	if (IS_ERR(device)) {
		/* Half written: a "backend" that comes later brings us here again. */
		if (PTR_ERR(device) != -ENOENT)
			pr_err("pvkit: device/%s/%u makes no device (%ld)\n", class, id,
			       PTR_ERR(device));
		return;
	}
	error = device_add(&device->device.dev);
	if (error) {
		pr_err("pvkit: device/%s/%u cannot be added (%d)\n", class, id, error);
		pvkit_bus_device_destroy(device, false);
		return;
	}
	device->seen = true;
	list_add_tail(&device->link, &scan.devices);
	scan.count++;
}

/* A class's devices. False: it cannot be read, and not because it is gone. */
static bool scan_class(const char *class)
{
	struct pvkit_bus_device *device;
	const char *end, *name;
	char path[CLASS_MAX + 8], *names;
	unsigned int id;

	snprintf(path, sizeof(path), "device/%s", class);
	names = pvkit_store_directory(path, &end);
	if (IS_ERR(names))
		return PTR_ERR(names) == -ENOENT;
	for (name = names; name < end; name += strlen(name) + 1) {
		if (!isdigit(*name) || kstrtouint(name, 10, &id))
			continue;
		device = find_device(class, id);
		if (device)
			device->seen = true;
		else
			add_device(class, id);
	}
	kfree(names);
	return true;
}

static bool class_is_good(const char *class)
{
	size_t length = strspn(class, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return length && length <= CLASS_MAX && !class[length];
}

static bool scan_classes(void)
{
	const char *end, *name;
	char *names = pvkit_store_directory("device", &end);
	bool complete = true;

	if (IS_ERR(names))
		return PTR_ERR(names) == -ENOENT;
	for (name = names; name < end; name += strlen(name) + 1)
		if (class_is_good(name))
			complete &= scan_class(name);
	kfree(names);
	return complete;
}

static void scan_store(struct work_struct *work)
{
	struct pvkit_bus_device *device, *next;

	list_for_each_entry(device, &scan.devices, link)
		device->seen = false;
	if (!scan_classes())
		return;
	list_for_each_entry_safe(device, next, &scan.devices, link)
		if (!device->seen)
			remove_device(device);
}

/* Whether a change at @path, "device/CLASS/ID/KEY…", can make or end a device. */
static bool concerns_devices(const char *path)
{
	const char *at;
	unsigned int slashes = 0;

	for (at = path; *at; at++)
		slashes += *at == '/';
	return slashes < 3 || (slashes == 3 && !strcmp(strrchr(path, '/'), "/" STORE_KEY_BACKEND));
}

/* In the store's reader. */
static void devices_changed(struct pvkit_watch *watch, const char *path)
{
	if (concerns_devices(path))
		queue_work(system_long_wq, &scan.work);
}

int pvkit_scan_start(struct pvkit_platform *platform)
{
	int error;

	scan.parent = platform->device;
	INIT_WORK(&scan.work, scan_store);
	/* Its first event is the first scan. */
	error = pvkit_watch_open(NULL, &scan.watch, "device", NULL, devices_changed);
	scan.open = !error;
	return error;
}

void pvkit_scan_stop(void)
{
	struct pvkit_bus_device *device, *next;

	if (!scan.open)
		return;
	pvkit_watch_close(&scan.watch);
	cancel_work_sync(&scan.work);
	list_for_each_entry_safe_reverse(device, next, &scan.devices, link)
		remove_device(device);
	scan.open = false;
}
