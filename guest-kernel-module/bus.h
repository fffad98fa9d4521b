/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The bus, as pvkit.ko itself sees it; what drivers see is in pvkit.h.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_BUS_H
#define PVKIT_GUEST_KERNEL_MODULE_BUS_H

#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "guest-kernel-module/pvkit.h"

struct pvkit_platform;

struct pvkit_bus_device {
	struct pvkit_device device;
	struct list_head link; /* the scan's */
	bool seen;
	bool suspended; /* with its driver; under device_lock() */
	struct pvkit_watch backend; /* the back-end's state, while a driver is bound */
	struct work_struct work; /* under device_lock(): pvkit_watches_run() */
	struct delayed_work again; /* alike: the back-end's state, which could not be read */
	struct delayed_work tell; /* our own state, which could not be written, or not at once */
	struct mutex telling; /* what the store is told, in order */
	enum store_state told; /* under it; UNKNOWN: nobody knows */
	bool untold; /* alike: the last try failed */
	/* watch.c's, under its lock. */
	struct list_head events;
	struct pvkit_watch *running;
	struct task_struct *runner;
};

static inline struct pvkit_bus_device *pvkit_bus_device(struct pvkit_device *device)
{
	return container_of(device, struct pvkit_bus_device, device);
}

extern struct bus_type pvkit_bus;

/* Jiffies until a store that failed is tried again. */
extern unsigned int pvkit_bus_again;

/* Lets the device's worker run its watches. From any context. */
void pvkit_bus_wake(struct pvkit_bus_device *device);
/* That worker's: calls all watches of @device that have events. */
void pvkit_watches_run(struct pvkit_bus_device *device);

/* Writes our state, if the store has another one; has itself called again if that fails. */
int pvkit_device_tell(struct pvkit_bus_device *device);
void pvkit_device_tell_soon(struct work_struct *work);

/* Of @dev, under device_lock(), what system sleep does too. Resumes only what was suspended. */
int pvkit_bus_suspend(struct device *dev);
int pvkit_bus_resume(struct device *dev);

/* Drivers can register from here on. */
int pvkit_bus_register(void);
void pvkit_bus_unregister(void);

/* Finds devices, and goes on looking. The store is connected. */
int pvkit_scan_start(struct pvkit_platform *platform);
/* Removes all devices, and their drivers from them. */
void pvkit_scan_stop(void);

/* A device of a directory of the store, not yet registered; or an ERR_PTR. */
struct pvkit_bus_device *pvkit_bus_device_create(struct device *parent, const char *class,
						 unsigned int id);
/* Registered or not. */
void pvkit_bus_device_destroy(struct pvkit_bus_device *device, bool registered);

#endif
