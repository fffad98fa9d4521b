// SPDX-License-Identifier: GPL-2.0
/*
 * Ends of a disk: unplugged in order, its back-end gone, its back-end hostile.
 *
 * An orderly end lets the kernel write back what is dirty, and so depends on the back-end. It may
 * stop to answer at any time meanwhile; then nobody would ever return from del_gendisk(). So a
 * watchdog looks once a second whether somebody still serves, and for how long this has lasted, and
 * fails all that is out when it is no use to wait. It takes no lock that the waiting one holds.
 */
#include <linux/slab.h>

#include "guest-drivers/blk/blk.h"

/* No I/O succeeds any more, and all that is out ends now. */
static void kill_queues(struct pvd *pvd)
{
	struct request_queue *q = pvd->disk->queue;
	unsigned int i;

	if (test_and_set_bit(PVD_DEAD, &pvd->flags))
		return;
	/* Afterwards nobody is in queue_rq who has not seen the flag. */
	blk_mq_quiesce_queue(q);
	for (i = 0; i < pvd->queues; i++)
		pvd_recover(&pvd->queue[i], PVD_FAIL);
	blk_mq_unquiesce_queue(q);
	blk_mq_start_stopped_hw_queues(q, true);
	blk_mq_kick_requeue_list(q);
}

/* The same, and the kernel is told, so that it does not even try. Under the mutex. */
static void kill_disk(struct pvd *pvd)
{
	struct gendisk *disk = pvd->disk;

	kill_queues(pvd);
	if (pvd->quiesced) {
		pvd->quiesced = false;
		blk_mq_unquiesce_queue(disk->queue);
	}
	/* Not before I/O fails: this may wait for people who wait for I/O. */
	blk_mark_disk_dead(disk);
}

/* ---- retirement ------------------------------------------------------------------------------ */

static void retire(struct work_struct *work)
{
	struct pvd *pvd = container_of(work, struct pvd, retire);

	mutex_lock(&pvd->mutex);
	/* Who removes the device sees PVD_RETIRED. */
	if (!test_bit(PVD_REMOVING, &pvd->flags)) {
		if (pvd->disk)
			kill_disk(pvd);
		set_bit(PVD_FAILED, &pvd->flags);
		pvkit_device_fail(pvd->device, -EPROTO,
				  "%s is retired, all its I/O fails, its back-end misbehaves: %s",
				  pvd->disk ? pvd->disk->disk_name : "the disk", pvd->retire_why);
	}
	mutex_unlock(&pvd->mutex);
}

void pvd_retire(struct pvd *pvd, const char *why)
{
	if (test_and_set_bit(PVD_RETIRED, &pvd->flags))
		return;
	pvd->retire_why = why;
	queue_work(pvkit_workers, &pvd->retire);
}

/* ---- attaching ------------------------------------------------------------------------------- */

static void attach(struct work_struct *work)
{
	struct pvd *pvd = container_of(work, struct pvd, attach);
	int ret = pvd_disk_show(pvd);

	if (!ret)
		return;
	dev_err(&pvd->device->dev, "%s: cannot add the disk: %d\n", pvd->disk->disk_name, ret);
	pvd_retire(pvd, "no disk could be made of what it tells");
}

void pvd_attach(struct pvd *pvd)
{
	queue_work(pvkit_workers, &pvd->attach);
}

/* ---- closing --------------------------------------------------------------------------------- */

static bool served(struct pvd *pvd)
{
	enum store_state state;

	if (test_bit(PVD_RETIRED, &pvd->flags))
		return false;
	state = pvd_backend_state(pvd);
	return state == STORE_STATE_CONNECTED || state == STORE_STATE_CLOSING;
}

static void watch(struct work_struct *work)
{
	struct pvd *pvd = container_of(to_delayed_work(work), struct pvd, watchdog);

	if (test_bit(PVD_DEAD, &pvd->flags))
		return;
	if (!served(pvd) || time_after(jiffies, pvd->watchdog_end)) {
		dev_warn(&pvd->device->dev,
			 "%s: the back-end does not finish what is out; it fails\n",
			 pvd->disk->disk_name);
		kill_queues(pvd);
		return;
	}
	queue_delayed_work(pvkit_workers, &pvd->watchdog, HZ);
}

void pvd_close_disk(struct pvd *pvd)
{
	if (!pvd->disk)
		return;
	if (pvd->phase != PVD_CONNECTED || pvd->quiesced || !served(pvd))
		kill_disk(pvd);
	pvd->watchdog_end = jiffies + pvd_close_timeout * HZ;
	queue_delayed_work(pvkit_workers, &pvd->watchdog, HZ);
	cancel_work_sync(&pvd->attach);
	pvd_disk_hide(pvd);
	cancel_delayed_work_sync(&pvd->watchdog);
	pvd_disk_free(pvd);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void pvd_life_init(struct pvd *pvd)
{
	kref_init(&pvd->references);
	mutex_init(&pvd->mutex);
	INIT_WORK(&pvd->attach, attach);
	INIT_WORK(&pvd->retire, retire);
	INIT_DELAYED_WORK(&pvd->watchdog, watch);
}

void pvd_life_end(struct pvd *pvd)
{
	cancel_work_sync(&pvd->retire);
}

static void free_pvd(struct kref *references)
{
	kfree(container_of(references, struct pvd, references));
}

void pvd_put(struct pvd *pvd)
{
	kref_put(&pvd->references, free_pvd);
}
