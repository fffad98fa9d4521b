// SPDX-License-Identifier: GPL-2.0
/*
 * Watches: from an event of the store to the worker of a device.
 *
 * The store's reader must not wait for a driver. So an event is a note: the watch is put into its
 * device's queue, once, and the device's worker is woken. Events that come faster than the worker
 * runs are merged, so whoever writes a watched key endlessly costs a queue of one.
 *
 * The worker takes the device's lock (device_lock), under which the driver core calls probe,
 * remove, suspend and resume: that is why a driver needs no lock of its own between those and its
 * callbacks. Who closes a watch without that lock, from elsewhere, waits until the callback is
 * over.
 *
 * A watch without a device is the bus's own: it is called in the reader, at once, and does not
 * sleep.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/pvkit.h"
#include "guest-kernel-module/store.h"

static struct {
	spinlock_t lock; /* all below; ->link, ->queued, ->event of watches; ->events of devices */
	struct list_head all;
	unsigned int count;
	u32 last_token;
	wait_queue_head_t over;
} watches = {
	.lock = __SPIN_LOCK_UNLOCKED(watches.lock),
	.all = LIST_HEAD_INIT(watches.all),
	.over = __WAIT_QUEUE_HEAD_INITIALIZER(watches.over),
};

/* ---- events ---------------------------------------------------------------------------------- */

/* Under the lock. @path NULL: the watch's own. */
static void note_event(struct pvkit_watch *watch, const char *path)
{
	struct pvkit_bus_device *device;

	if (!watch->device) {
		watch->changed(watch, path ?: watch->path);
		return;
	}
	device = pvkit_bus_device(watch->device);
	if (list_empty(&watch->queued)) {
		watch->event = path ? kstrdup(path, GFP_ATOMIC) : NULL;
		list_add_tail(&watch->queued, &device->events);
	} else if (watch->event && (!path || strcmp(watch->event, path))) {
		kfree(watch->event);
		watch->event = NULL;
	}
	pvkit_bus_wake(device);
}

void pvkit_watches_event(const char *path, const char *token)
{
	struct pvkit_watch *watch;
	u32 number;

	if (kstrtou32(token, 10, &number))
		return;
	spin_lock(&watches.lock);
	list_for_each_entry(watch, &watches.all, link) {
		if (watch->token == number) {
			note_event(watch, path);
			break;
		}
	}
	spin_unlock(&watches.lock);
}

void pvkit_watches_run(struct pvkit_bus_device *device)
{
	struct pvkit_watch *watch;
	char *event, *path;

	spin_lock(&watches.lock);
	while ((watch = list_first_entry_or_null(&device->events, struct pvkit_watch, queued))) {
		list_del_init(&watch->queued);
		event = watch->event;
		watch->event = NULL;
		device->running = watch;
		device->runner = current;
		spin_unlock(&watches.lock);

		path = event ?: kstrdup(watch->path, GFP_KERNEL);
		/* Afterwards the watch may be gone. */
		if (path)
			watch->changed(watch, path);
		kfree(path);

		spin_lock(&watches.lock);
		device->running = NULL;
		device->runner = NULL;
		wake_up_all(&watches.over);
	}
	spin_unlock(&watches.lock);
}

/* ---- watches --------------------------------------------------------------------------------- */

static int tell_store(enum store_message type, const char *path, u32 token)
{
	char text[12];
	struct store_part parts[] = {
		{ path, strlen(path) + 1 },
		{ text, snprintf(text, sizeof(text), "%u", token) + 1 },
	};

	return pvkit_store_transact(type, 0, parts, ARRAY_SIZE(parts), NULL, NULL);
}

/* Afterwards no event finds it; whether its callback is still running is another question. */
static void unlink_watch(struct pvkit_watch *watch)
{
	spin_lock(&watches.lock);
	list_del_init(&watch->link);
	watches.count--;
	list_del_init(&watch->queued);
	kfree(watch->event);
	watch->event = NULL;
	spin_unlock(&watches.lock);
}

int pvkit_watch_open(struct pvkit_device *device, struct pvkit_watch *watch, const char *directory,
		     const char *key, void (*changed)(struct pvkit_watch *watch, const char *path))
{
	int error;

	*watch = (struct pvkit_watch){ .changed = changed, .device = device };
	INIT_LIST_HEAD(&watch->link);
	INIT_LIST_HEAD(&watch->queued);
	watch->path = pvkit_store_path(directory, key);
	if (!watch->path)
		return -ENOMEM;
	spin_lock(&watches.lock);
	watch->token = ++watches.last_token;
	/* Before the store knows it: its first event may come before its answer. */
	list_add_tail(&watch->link, &watches.all);
	watches.count++;
	spin_unlock(&watches.lock);
	error = tell_store(STORE_WATCH, watch->path, watch->token);
	if (error) {
		pr_err("pvkit: no watch on %s (%d)\n", watch->path, error);
		unlink_watch(watch);
		kfree(watch->path);
		watch->path = NULL;
	}
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_watch_open);

static bool is_over(struct pvkit_watch *watch)
{
	struct pvkit_bus_device *device = pvkit_bus_device(watch->device);
	bool over;

	spin_lock(&watches.lock);
	over = device->running != watch || device->runner == current;
	spin_unlock(&watches.lock);
	return over;
}

void pvkit_watch_close(struct pvkit_watch *watch)
{
	if (!watch->path)
		return;
	unlink_watch(watch);
	/* What the store still sends finds nobody. */
	tell_store(STORE_UNWATCH, watch->path, watch->token);
	if (watch->device)
		wait_event(watches.over, is_over(watch));
	kfree(watch->path);
	watch->path = NULL;
}
EXPORT_SYMBOL_GPL(pvkit_watch_close);

/* The oldest watch that is younger than @token: its path, for kfree(). */
static char *next_watch(u32 *token)
{
	struct pvkit_watch *watch;
	char *path = NULL;

	spin_lock(&watches.lock);
	list_for_each_entry(watch, &watches.all, link) {
		/* Tokens wrap after 4 billion watches; the list is in their order. */
		if ((s32)(watch->token - *token) > 0) {
			path = kstrdup(watch->path, GFP_ATOMIC);
			*token = watch->token;
			break;
		}
	}
	spin_unlock(&watches.lock);
	return path;
}

void pvkit_watches_renew(void)
{
	struct pvkit_watch *watch;
	u32 token, last;
	char *path;
	int error;

	spin_lock(&watches.lock);
	last = watches.last_token;
	watch = list_first_entry_or_null(&watches.all, struct pvkit_watch, link);
	token = watch ? watch->token - 1 : last;
	spin_unlock(&watches.lock);
	while (token != last && (path = next_watch(&token))) {
		error = tell_store(STORE_WATCH, path, token);
		if (error && error != -EEXIST)
			pr_err("pvkit: no watch on %s (%d)\n", path, error);
		kfree(path);
	}
	/* Something may have changed while nobody looked. */
	spin_lock(&watches.lock);
	list_for_each_entry(watch, &watches.all, link)
		note_event(watch, NULL);
	spin_unlock(&watches.lock);
}

unsigned int pvkit_watches_count(void)
{
	return READ_ONCE(watches.count);
}
