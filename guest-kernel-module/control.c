// SPDX-License-Identifier: GPL-2.0
/*
 * What the host asks of the guest as a whole, by the key control/shutdown of the store: poweroff,
 * halt, reboot, suspend. The guest empties the key to say that it has heard.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "guest-kernel-module/control.h"
#include "guest-kernel-module/platform.h"
#include "guest-kernel-module/pvkit.h"

static struct {
	struct pvkit_watch watch;
	struct work_struct work;
	bool open;
} control;

static void obey(const char *wish)
{
	int error = 0;

	pr_info("pvkit: the host asks for %s\n", wish);
	if (!strcmp(wish, "poweroff") || !strcmp(wish, "halt"))
		pvkit_platform_poweroff();
	else if (!strcmp(wish, "reboot"))
		pvkit_platform_reboot();
	else if (!strcmp(wish, "suspend"))
		error = pvkit_platform_sleep();
	else
		pr_warn("pvkit: control/shutdown: nobody knows how to %s\n", wish);
	if (error)
		pr_err("pvkit: cannot suspend (%d)\n", error);
}

static void read_wish(struct work_struct *work)
{
	char *wish = pvkit_store_read(PVKIT_STORE_NONE, "control", "shutdown", NULL);

	if (IS_ERR(wish))
		return;
	/* Heard first: a suspend does not return before the guest is elsewhere. */
	if (*wish && !pvkit_store_write(PVKIT_STORE_NONE, "control", "shutdown", "%s", ""))
		obey(wish);
	kfree(wish);
}

/* In the store's reader. */
static void wish_changed(struct pvkit_watch *watch, const char *path)
{
	queue_work(system_long_wq, &control.work);
}

int pvkit_control_start(void)
{
	int error;

	INIT_WORK(&control.work, read_wish);
	error = pvkit_watch_open(NULL, &control.watch, "control/shutdown", NULL, wish_changed);
	control.open = !error;
	return error;
}

void pvkit_control_stop(void)
{
	if (!control.open)
		return;
	pvkit_watch_close(&control.watch);
	cancel_work_sync(&control.work);
	control.open = false;
}
