// SPDX-License-Identifier: GPL-2.0
/*
 * The bus: devices of the store, and the drivers that register here.
 *
 * A driver is found by class, "vbd" or "vif"; "pvkit:CLASS" is the alias by which udev loads it.
 */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "abi/hypercall.h"
#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/compat.h"
#include "guest-kernel-module/pvkit.h"

unsigned int pvkit_bus_again = HZ;

struct workqueue_struct *pvkit_workers;
EXPORT_SYMBOL_GPL(pvkit_workers);

static const struct pvkit_driver *to_driver(COMPAT_MATCH_CONST struct device_driver *driver)
{
	return container_of(driver, const struct pvkit_driver, driver);
}

/* ---- the worker of a device ------------------------------------------------------------------ */

/*
 * A disk whose rings are made anew is quiesced meanwhile: memory that is wanted for that must not
 * wait for pages to be written to it. So whatever the bus calls of a driver while a device is in
 * use allocates without I/O, and runs in a queue that has a rescuer.
 */

static void run_device(struct work_struct *work)
{
	struct pvkit_bus_device *device = container_of(work, struct pvkit_bus_device, work);
	unsigned int noio;

	device_lock(&device->device.dev);
	noio = memalloc_noio_save();
	pvkit_watches_run(device);
	memalloc_noio_restore(noio);
	device_unlock(&device->device.dev);
}

void pvkit_bus_wake(struct pvkit_bus_device *device)
{
	queue_work(pvkit_workers, &device->work);
}

static void ask_soon(struct pvkit_device *device)
{
	queue_delayed_work(pvkit_workers, &pvkit_bus_device(device)->again, pvkit_bus_again);
}

void pvkit_device_ask_again(struct pvkit_device *device, int error)
{
	dev_warn_ratelimited(&device->dev,
			     "the store fails the handshake with %s (%d): trying again\n",
			     device->backend, error);
	ask_soon(device);
}
EXPORT_SYMBOL_GPL(pvkit_device_ask_again);

static void backend_changed(struct pvkit_watch *watch, const char *path)
{
	struct pvkit_device *device = watch->device;
	u64 state;
	int error;

	error = pvkit_store_read_number(PVKIT_STORE_NONE, device->backend, STORE_KEY_STATE,
					STORE_STATE_RECONFIGURED, &state);
	if (error && !pvkit_store_absent(error)) {
		/* A back-end that serves must not count as gone. */
		ask_soon(device);
		return;
	}
	device->backend_state = error ? STORE_STATE_UNKNOWN : state;
	to_driver(device->dev.driver)->backend_changed(device, device->backend_state);
	/* The back-end is to answer it, not to be asked again before. */
	pvkit_device_tell(pvkit_bus_device(device));
}

static void ask_again(struct work_struct *work)
{
	struct pvkit_bus_device *device =
		container_of(to_delayed_work(work), struct pvkit_bus_device, again);
	unsigned int noio;

	device_lock(&device->device.dev);
	noio = memalloc_noio_save();
	/* Open while a driver is bound and awake. */
	if (device->backend.path)
		backend_changed(&device->backend, device->backend.path);
	memalloc_noio_restore(noio);
	device_unlock(&device->device.dev);
}

static int watch_backend(struct pvkit_device *device)
{
	return pvkit_watch_open(device, &pvkit_bus_device(device)->backend, device->backend,
				STORE_KEY_STATE, backend_changed);
}

/* ---- what the driver core calls -------------------------------------------------------------- */

static int bus_match(struct device *dev, COMPAT_MATCH_CONST struct device_driver *driver)
{
	return !strcmp(to_pvkit_device(dev)->class, to_driver(driver)->class);
}

static int bus_uevent(COMPAT_UEVENT_CONST struct device *dev, struct kobj_uevent_env *env)
{
	COMPAT_UEVENT_CONST struct pvkit_device *device =
		container_of(dev, COMPAT_UEVENT_CONST struct pvkit_device, dev);

	return add_uevent_var(env, "MODALIAS=pvkit:%s", device->class);
}

static int bus_probe(struct device *dev)
{
	struct pvkit_device *device = to_pvkit_device(dev);
	const struct pvkit_driver *driver = to_driver(dev->driver);
	int error;

	/* The driver before may have gone while all slept. */
	pvkit_bus_device(device)->suspended = false;
	error = pvkit_device_switch(device, STORE_STATE_INITIALISING);
	if (error)
		return error;
	error = driver->probe(device);
	if (error)
		return error;
	error = watch_backend(device);
	if (error)
		driver->remove(device);
	return error;
}

static void bus_remove(struct device *dev)
{
	struct pvkit_device *device = to_pvkit_device(dev);

	pvkit_watch_close(&pvkit_bus_device(device)->backend);
	to_driver(dev->driver)->remove(device);
	pvkit_device_switch(device, STORE_STATE_CLOSED);
}

static int suspend_device(struct pvkit_device *device, const struct pvkit_driver *driver)
{
	int error = 0;

	pvkit_watch_close(&pvkit_bus_device(device)->backend);
	if (driver->suspend)
		error = driver->suspend(device);
	if (error)
		watch_backend(device);
	else
		pvkit_device_switch(device, STORE_STATE_CLOSED);
	return error;
}

int pvkit_bus_suspend(struct device *dev)
{
	unsigned int noio;
	int error;

	if (!dev->driver)
		return 0;
	noio = memalloc_noio_save();
	error = suspend_device(to_pvkit_device(dev), to_driver(dev->driver));
	memalloc_noio_restore(noio);
	pvkit_bus_device(to_pvkit_device(dev))->suspended = !error;
	return error;
}

/*
 * The back-end may be another one, elsewhere, of another domain. Both or none: pages of the one are
 * not for the other.
 */
static void find_backend(struct pvkit_device *device)
{
	char *backend;
	u64 domain;

	if (pvkit_store_read_number(PVKIT_STORE_NONE, device->path, STORE_KEY_BACKEND_ID,
				    DOMAIN_FIRST_RESERVED - 1, &domain))
		return;
	backend = pvkit_store_read(PVKIT_STORE_NONE, device->path, STORE_KEY_BACKEND, NULL);
	if (IS_ERR(backend))
		return;
	kfree(device->backend);
	device->backend = backend;
	device->backend_domain = domain;
}

static int resume_device(struct pvkit_device *device, const struct pvkit_driver *driver)
{
	int error;

	find_backend(device);
	error = pvkit_device_switch(device, STORE_STATE_INITIALISING);
	if (!error && driver->resume)
		error = driver->resume(device);
	if (!error)
		error = watch_backend(device);
	if (error)
		dev_err(&device->dev, "does not come back (%d)\n", error);
	return error;
}

int pvkit_bus_resume(struct device *dev)
{
	struct pvkit_bus_device *device = pvkit_bus_device(to_pvkit_device(dev));
	unsigned int noio;
	int error;

	/* A driver that came meanwhile is awake, and has its watch. */
	if (!dev->driver || !device->suspended)
		return 0;
	device->suspended = false;
	noio = memalloc_noio_save();
	error = resume_device(&device->device, to_driver(dev->driver));
	memalloc_noio_restore(noio);
	return error;
}

static const struct dev_pm_ops bus_pm = {
	SYSTEM_SLEEP_PM_OPS(pvkit_bus_suspend, pvkit_bus_resume)
};

/* ---- sysfs ----------------------------------------------------------------------------------- */

static ssize_t modalias_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "pvkit:%s\n", to_pvkit_device(dev)->class);
}
static DEVICE_ATTR_RO(modalias);

static ssize_t path_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "%s\n", to_pvkit_device(dev)->path);
}
static DEVICE_ATTR_RO(path);

static ssize_t state_show(struct device *dev, struct device_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "%u %u\n", to_pvkit_device(dev)->state,
			  to_pvkit_device(dev)->backend_state);
}
static DEVICE_ATTR_RO(state);

static struct attribute *bus_attrs[] = {
	&dev_attr_modalias.attr,
	&dev_attr_path.attr,
	&dev_attr_state.attr,
	NULL,
};
ATTRIBUTE_GROUPS(bus);

struct bus_type pvkit_bus = {
	.name = "pvkit",
	.match = bus_match,
	.uevent = bus_uevent,
	.probe = bus_probe,
	.remove = bus_remove,
	.pm = pm_sleep_ptr(&bus_pm),
	.dev_groups = bus_groups,
};

/* ---- registration ---------------------------------------------------------------------------- */

int pvkit_bus_register(void)
{
	int error;

	pvkit_workers = alloc_workqueue("pvkit", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!pvkit_workers)
		return -ENOMEM;
	error = bus_register(&pvkit_bus);
	if (error)
		destroy_workqueue(pvkit_workers);
	return error;
}

void pvkit_bus_unregister(void)
{
	bus_unregister(&pvkit_bus);
	destroy_workqueue(pvkit_workers);
}

int __pvkit_driver_register(struct pvkit_driver *driver, struct module *owner)
{
	driver->driver.bus = &pvkit_bus;
	driver->driver.owner = owner;
	return driver_register(&driver->driver);
}
EXPORT_SYMBOL_GPL(__pvkit_driver_register);

void pvkit_driver_unregister(struct pvkit_driver *driver)
{
	driver_unregister(&driver->driver);
}
EXPORT_SYMBOL_GPL(pvkit_driver_unregister);

/* ---- devices --------------------------------------------------------------------------------- */

static void release_device(struct device *dev)
{
	struct pvkit_device *device = to_pvkit_device(dev);

	kfree(device->class);
	kfree(device->path);
	kfree(device->backend);
	kfree(pvkit_bus_device(device));
}

/* What the store says of it. */
static int describe(struct pvkit_device *device)
{
	u64 number;
	int error;

	device->backend = pvkit_store_read(PVKIT_STORE_NONE, device->path, STORE_KEY_BACKEND, NULL);
	if (IS_ERR(device->backend)) {
		error = PTR_ERR(device->backend);
		device->backend = NULL;
		return error;
	}
	if (*device->backend != '/')
		return -EINVAL;
	error = pvkit_store_read_number(PVKIT_STORE_NONE, device->path, STORE_KEY_BACKEND_ID,
					DOMAIN_FIRST_RESERVED - 1, &number);
	if (error)
		return error;
	device->backend_domain = number;
	device->state = pvkit_store_read_number_or(device->path, STORE_KEY_STATE,
						   STORE_STATE_RECONFIGURED, STORE_STATE_UNKNOWN);
	pvkit_bus_device(device)->told = device->state;
	return 0;
}

struct pvkit_bus_device *pvkit_bus_device_create(struct device *parent, const char *class,
						 unsigned int id)
{
	struct pvkit_bus_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	int error;

	if (!device)
		return ERR_PTR(-ENOMEM);
	INIT_WORK(&device->work, run_device);
	INIT_DELAYED_WORK(&device->again, ask_again);
	INIT_DELAYED_WORK(&device->tell, pvkit_device_tell_soon);
	mutex_init(&device->telling);
	INIT_LIST_HEAD(&device->events);
	INIT_LIST_HEAD(&device->link);
	device->device.id = id;
	device->device.class = kstrdup(class, GFP_KERNEL);
	device->device.path = kasprintf(GFP_KERNEL, "device/%s/%u", class, id);
	device->device.dev.parent = parent;
	device->device.dev.bus = &pvkit_bus;
	device->device.dev.release = release_device;
	device_initialize(&device->device.dev);
	error = -ENOMEM;
	if (device->device.class && device->device.path)
		error = dev_set_name(&device->device.dev, "%s-%u", class, id);
	if (!error)
		error = describe(&device->device);
	if (error) {
		put_device(&device->device.dev);
		return ERR_PTR(error);
	}
	return device;
}

void pvkit_bus_device_destroy(struct pvkit_bus_device *device, bool registered)
{
	if (registered)
		device_del(&device->device.dev);
	/* Outside the device's lock, which the workers take. */
	cancel_work_sync(&device->work);
	cancel_delayed_work_sync(&device->again);
	cancel_delayed_work_sync(&device->tell);
	put_device(&device->device.dev);
}
