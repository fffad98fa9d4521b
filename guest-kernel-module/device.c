// SPDX-License-Identifier: GPL-2.0
/*
 * What a device says to its back-end, and waits for.
 */
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "guest-kernel-module/pvkit.h"
#include "guest-kernel-module/store.h"

/* Whoever else writes there often enough to make us begin again this often wants to. */
#define SWITCH_TRIES 16

/*
 * One attempt. In a transaction with a look whether the device is still there: a write alone would
 * make a directory anew that was just taken away.
 */
static int try_switch(struct pvkit_device *device, enum store_state state)
{
	struct pvkit_store_transaction transaction;
	char *before;
	int error, end;

	error = pvkit_store_begin(&transaction);
	if (error)
		return error;
	before = pvkit_store_read(transaction, device->path, STORE_KEY_BACKEND, NULL);
	if (IS_ERR(before)) {
		error = PTR_ERR(before);
	} else {
		kfree(before);
		error = pvkit_store_write(transaction, device->path, STORE_KEY_STATE, "%u", state);
	}
	end = pvkit_store_end(transaction, error != 0);
	return error ?: end;
}

int pvkit_device_switch(struct pvkit_device *device, enum store_state state)
{
	unsigned int tries;
	int error = 0;

	if (device->state == state)
		return 0;
	for (tries = 0; tries < SWITCH_TRIES; tries++) {
		error = try_switch(device, state);
		if (error != -EAGAIN)
			break;
	}
	if (!error)
		device->state = state;
	else if (error != -ENOENT)
		dev_err(&device->dev, "state %u cannot be written (%d)\n", state, error);
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_device_switch);

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
