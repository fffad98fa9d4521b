// SPDX-License-Identifier: GPL-2.0
/*
 * What a device says to its back-end, and waits for.
 */
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/pvkit.h"
#include "guest-kernel-module/store.h"

struct news {
	const char *path; /* the device's */
	enum store_state state;
};

/*
 * In a transaction with a look whether the device is still there: a write alone would make a
 * directory anew that was just taken away.
 */
static int write_state(struct pvkit_store_transaction transaction, void *context)
{
	const struct news *news = context;
	char *before = pvkit_store_read(transaction, news->path, STORE_KEY_BACKEND, NULL);

	if (IS_ERR(before))
		return PTR_ERR(before);
	kfree(before);
	return pvkit_store_write(transaction, news->path, STORE_KEY_STATE, "%u", news->state);
}

/*
 * Our state, if the store has another one. Of a write without an answer nobody knows whether it was
 * done; told again, it is. Who comes meanwhile waits, and tells what is the state by then.
 */
int pvkit_device_tell(struct pvkit_bus_device *device)
{
	struct news news = { .path = device->device.path };
	bool known;
	int error = 0;

	mutex_lock(&device->telling);
	news.state = READ_ONCE(device->device.state);
	if (device->told != news.state) {
		error = pvkit_store_commit(write_state, &news);
		device->told = error ? STORE_STATE_UNKNOWN : news.state;
	}
	known = device->untold;
	device->untold = error;
	mutex_unlock(&device->telling);
	if (!error || error == -ENOENT)
		return error;
	if (pvkit_store_refused(error)) {
		dev_err(&device->device.dev, "state %u cannot be written (%d)\n", news.state,
			error);
		return error;
	}
	if (!known)
		dev_warn(&device->device.dev, "state %u cannot be written (%d): trying again\n",
			 news.state, error);
	queue_delayed_work(pvkit_workers, &device->tell, pvkit_bus_again);
	return 0;
}

void pvkit_device_tell_soon(struct work_struct *work)
{
	/* Pages may have to be written back through the device. */
	unsigned int noio = memalloc_noio_save();

	pvkit_device_tell(container_of(to_delayed_work(work), struct pvkit_bus_device, tell));
	memalloc_noio_restore(noio);
}

int pvkit_device_switch(struct pvkit_device *device, enum store_state state)
{
	WRITE_ONCE(device->state, state);
	return pvkit_device_tell(pvkit_bus_device(device));
}
EXPORT_SYMBOL_GPL(pvkit_device_switch);

void pvkit_device_switch_soon(struct pvkit_device *device, enum store_state state)
{
	WRITE_ONCE(device->state, state);
	mod_delayed_work(pvkit_workers, &pvkit_bus_device(device)->tell, 0);
}
EXPORT_SYMBOL_GPL(pvkit_device_switch_soon);

void pvkit_device_fail(struct pvkit_device *device, int error, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = kvasprintf(GFP_KERNEL, format, arguments);
	va_end(arguments);
	dev_err(&device->dev, "%s (%d)\n", text ?: "out of memory", error);
	pvkit_store_write(PVKIT_STORE_NONE, device->path, "error", "%d %s", error,
			  text ?: "out of memory");
	kfree(text);
	pvkit_device_switch(device, STORE_STATE_CLOSING);
}
EXPORT_SYMBOL_GPL(pvkit_device_fail);

struct waiter {
	struct pvkit_watch watch;
	wait_queue_head_t queue;
	bool changed;
};

/* In the store's reader. */
static void waiter_changed(struct pvkit_watch *watch, const char *path)
{
	struct waiter *waiter = container_of(watch, struct waiter, watch);

	WRITE_ONCE(waiter->changed, true);
	wake_up_all(&waiter->queue);
}

/* Returns when the state is right, the time is over, or the directory is gone. */
static int await_states(struct pvkit_device *device, struct waiter *waiter, unsigned int states,
			unsigned long deadline)
{
	u64 state;
	int error;

	for (;;) {
		WRITE_ONCE(waiter->changed, false);
		error = pvkit_store_read_number(PVKIT_STORE_NONE, device->backend, STORE_KEY_STATE,
						STORE_STATE_RECONFIGURED, &state);
		if (error && error != -ERANGE)
			return error;
		if (!error) {
			device->backend_state = state;
			if (states & 1U << state)
				return 0;
		}
		if (time_after_eq(jiffies, deadline))
			return -ETIMEDOUT;
		wait_event_timeout(waiter->queue, READ_ONCE(waiter->changed), deadline - jiffies);
	}
}

int pvkit_device_await(struct pvkit_device *device, unsigned int states, unsigned int milliseconds)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(milliseconds) + 1;
	struct waiter waiter = {};
	int error;

	init_waitqueue_head(&waiter.queue);
	error = pvkit_watch_open(NULL, &waiter.watch, device->backend, STORE_KEY_STATE,
				 waiter_changed);
	if (error)
		return error;
	error = await_states(device, &waiter, states, deadline);
	pvkit_watch_close(&waiter.watch);
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_device_await);
