// SPDX-License-Identifier: GPL-2.0
/*
 * The handshake over the store: abi/blkif.h draws it.
 *
 * All of it runs under the device's mutex: the bus calls one at a time, and the works of life.c
 * come in between. Whatever the back-end does in whatever order, each state of its is an event in
 * one of our phases, and a phase that has no use for it ignores it.
 */
#include <linux/slab.h>

#include "guest-drivers/blk/blk.h"

/* Where a back-end has no rings any more. */
#define SERVES_NOBODY                                                 \
	(1U << STORE_STATE_UNKNOWN | 1U << STORE_STATE_INITIALISING | \
	 1U << STORE_STATE_INIT_WAIT | 1U << STORE_STATE_CLOSED)
/* For the back-end's Closed, when nobody waits for our I/O any more. Later, pages stay with it. */
#define CLOSED_WAIT_MS 5000

/* Gives up on this back-end, for a reason that is told. */
#define fail(pvd, ...) (pvkit_device_fail(given_up(pvd)->device, __VA_ARGS__))

static struct pvd *given_up(struct pvd *pvd)
{
	set_bit(PVD_FAILED, &pvd->flags);
	return pvd;
}

/* ---- rings ----------------------------------------------------------------------------------- */

/* Gives up the rings, with whatever is out on them. To requeue, the disk must be quiesced. */
static void disconnect(struct pvd *pvd, enum pvd_recovery how)
{
	unsigned int i;

	for (i = 0; i < pvd->queues; i++)
		pvd_recover(&pvd->queue[i], how);
	for (i = 0; i < pvd->queues; i++)
		pvd_queue_close(&pvd->queue[i]);
}

static void forget_queues(struct pvd *pvd)
{
	kvfree(pvd->queue);
	pvd->queue = NULL;
	pvd->queues = 0;
}

/* The disk stays; what is sent to it waits, what was out will be sent anew. */
static void hold(struct pvd *pvd)
{
	if (pvd->disk && !pvd->quiesced) {
		blk_mq_quiesce_queue(pvd->disk->queue);
		pvd->quiesced = true;
	}
}

static void go_on(struct pvd *pvd)
{
	struct request_queue *q = pvd->disk->queue;

	if (!pvd->quiesced)
		return;
	pvd->quiesced = false;
	blk_mq_unquiesce_queue(q);
	blk_mq_start_stopped_hw_queues(q, true);
	blk_mq_kick_requeue_list(q);
}

static int open_queues(struct pvd *pvd)
{
	unsigned int i;
	int ret;

	if (!pvd->queue) {
		pvd->queue = kvcalloc(pvd->terms.queues, sizeof(*pvd->queue), GFP_KERNEL);
		if (!pvd->queue)
			return -ENOMEM;
		pvd->queues = pvd->terms.queues;
		for (i = 0; i < pvd->queues; i++) {
			spin_lock_init(&pvd->queue[i].lock);
			pvd->queue[i].pvd = pvd;
			pvd->queue[i].index = i;
		}
	}
	for (i = 0; i < pvd->terms.queues; i++) {
		pvd->queue[i].poll = i >= pvd->terms.queues - pvd->terms.poll_queues;
		ret = pvd_queue_open(&pvd->queue[i]);
		if (ret)
			break;
	}
	/* With one queue it works too; an open one can be kept, its neighbours not. */
	if (i < pvd->terms.queues)
		disconnect(pvd, PVD_FAIL);
	return i < pvd->terms.queues ? ret : 0;
}

static void publish(struct pvd *pvd)
{
	const char *why = NULL;
	struct terms terms;
	int ret;

	ret = pvd_read_terms(pvd, &terms);
	if (ret) {
		pvkit_device_ask_again(pvd->device, ret);
		return;
	}
	if (pvd->disk)
		why = terms_continue(&terms, &pvd->terms);
	if (why) {
		fail(pvd, -EOPNOTSUPP, "%s cannot go on with this back-end: %s",
		     pvd->disk->disk_name, why);
		return;
	}
	pvd->terms = terms;
	ret = open_queues(pvd);
	if (ret) {
		fail(pvd, ret,
		     "cannot make %u queues of %u pages: load pvkit_blk with smaller queues=, queue_pages= or ring_page_order=",
		     terms.queues, 1U << terms.ring_page_order);
		return;
	}
	ret = pvd_write_queues(pvd);
	if (ret) {
		disconnect(pvd, pvd->disk ? PVD_REQUEUE : PVD_FAIL);
		if (pvkit_store_refused(ret))
			fail(pvd, ret,
			     "cannot write %u rings and event channels to %s: remove other nodes of this guest from the store, or load pvkit_blk with smaller queues=",
			     terms.queues, pvd->device->path);
		else
			pvkit_device_ask_again(pvd->device, ret);
		return;
	}
	pvd->phase = PVD_PUBLISHED;
	pvkit_device_switch(pvd->device, STORE_STATE_INITIALISED);
}

/* ---- the disk -------------------------------------------------------------------------------- */

/* The first time: a disk. */
static void show(struct pvd *pvd)
{
	int ret;

	pvd_read_serial(pvd);
	ret = pvd_disk_create(pvd);
	if (ret) {
		fail(pvd, ret, "cannot make a disk");
		return;
	}
	pvd->phase = PVD_CONNECTED;
	pvkit_device_switch(pvd->device, STORE_STATE_CONNECTED);
	pvd_attach(pvd);
}

/* The disk is there and waits. */
static void resume_disk(struct pvd *pvd, u64 sectors)
{
	int ret = pvd_disk_update(pvd);

	if (ret)
		dev_warn(&pvd->device->dev, "%s: limits stay as they were: %d\n",
			 pvd->disk->disk_name, ret);
	pvd_disk_map(pvd);
	pvd->phase = PVD_CONNECTED;
	pvkit_device_switch(pvd->device, STORE_STATE_CONNECTED);
	go_on(pvd);
	pvd_disk_resize(pvd, sectors);
}

static void connect(struct pvd *pvd)
{
	struct terms_disk disk;
	const char *why;
	int ret = pvd_read_disk(pvd, &disk, &why);

	if (ret) {
		pvkit_device_ask_again(pvd->device, ret);
		return;
	}
	if (!why && pvd->disk && disk.sector_size != pvd->properties.sector_size)
		why = "its sectors are of another size than its predecessor's";
	if (why) {
		fail(pvd, -EINVAL, "not a disk to use: %s", why);
		return;
	}
	pvd->properties = disk;
	if (pvd->disk)
		resume_disk(pvd, disk.sectors);
	else
		show(pvd);
}

static void resize(struct pvd *pvd)
{
	struct terms_disk disk;
	const char *why;
	int ret = pvd_read_disk(pvd, &disk, &why);

	if (ret)
		pvkit_device_ask_again(pvd->device, ret);
	else if (why)
		dev_warn(&pvd->device->dev, "%s keeps its size: %s\n", pvd->disk->disk_name, why);
	else
		pvd_disk_resize(pvd, disk.sectors);
}

/* ---- ends and beginnings --------------------------------------------------------------------- */

void pvd_begin(struct pvd *pvd)
{
	if (!pvd->disk) {
		clear_bit(PVD_DEAD, &pvd->flags);
		clear_bit(PVD_RETIRED, &pvd->flags);
	}
	clear_bit(PVD_FAILED, &pvd->flags);
	pvd->phase = PVD_WAITING;
	pvkit_device_switch(pvd->device, STORE_STATE_INITIALISING);
}

static void finish(struct pvd *pvd)
{
	disconnect(pvd, PVD_FAIL);
	forget_queues(pvd);
	pvd->phase = PVD_CLOSED;
	pvkit_device_switch(pvd->device, STORE_STATE_CLOSED);
}

/* The back-end is Closing, or, if @gone, nobody serves the rings any more. */
static void close_down(struct pvd *pvd, bool gone)
{
	switch (pvd->phase) {
	case PVD_WAITING:
		/* A back-end that still ends its last life will come back for us. */
		if (!pvd_unplugged(pvd) && !test_bit(PVD_FAILED, &pvd->flags))
			return;
		pvd_close_disk(pvd);
		finish(pvd);
		return;
	case PVD_PUBLISHED:
	case PVD_CONNECTED:
		pvd_close_disk(pvd);
		pvd->phase = PVD_CLOSING;
		pvkit_device_switch(pvd->device, STORE_STATE_CLOSING);
		fallthrough;
	case PVD_CLOSING:
		if (gone)
			finish(pvd);
		return;
	case PVD_CLOSED:
		return;
	}
}

/* The back-end has begun anew, or begins. */
static void back_again(struct pvd *pvd, bool waits)
{
	if (test_bit(PVD_FAILED, &pvd->flags) && pvd->phase != PVD_CLOSED)
		return;
	switch (pvd->phase) {
	case PVD_CLOSING: /* its Closed was too short to be seen */
		finish(pvd);
		fallthrough;
	case PVD_CLOSED:
		pvd_begin(pvd);
		break;
	case PVD_CONNECTED:
		/* Another one has taken over; its predecessor's rings are nobody's. */
		if (!waits)
			return;
		dev_info(&pvd->device->dev, "a new back-end: what is out is sent again\n");
		hold(pvd);
		disconnect(pvd, PVD_REQUEUE);
		pvd->phase = PVD_WAITING;
		break;
	case PVD_WAITING:
	case PVD_PUBLISHED: /* it finds our state and keys as they are */
		break;
	}
	if (waits && pvd->phase == PVD_WAITING)
		publish(pvd);
}

void pvd_backend_changed(struct pvkit_device *device, enum store_state state)
{
	struct pvd *pvd = dev_get_drvdata(&device->dev);

	mutex_lock(&pvd->mutex);
	switch (state) {
	case STORE_STATE_INITIALISING:
	case STORE_STATE_INIT_WAIT:
		back_again(pvd, state == STORE_STATE_INIT_WAIT);
		break;
	case STORE_STATE_CONNECTED:
		if (pvd->phase == PVD_PUBLISHED && !test_bit(PVD_FAILED, &pvd->flags))
			connect(pvd);
		else if (pvd->phase == PVD_CONNECTED && !test_bit(PVD_DEAD, &pvd->flags))
			resize(pvd);
		break;
	case STORE_STATE_CLOSING:
	case STORE_STATE_CLOSED:
	case STORE_STATE_UNKNOWN:
		close_down(pvd, state != STORE_STATE_CLOSING);
		break;
	default:
		break;
	}
	mutex_unlock(&pvd->mutex);
}

int pvd_suspend(struct pvkit_device *device)
{
	struct pvd *pvd = dev_get_drvdata(&device->dev);
	unsigned int i;

	mutex_lock(&pvd->mutex);
	hold(pvd);
	/*
	 * The platform forgets the ports, and may give them to devices that resume before this one,
	 * interrupts and all. Cancelled or not, the resume makes new queues.
	 */
	for (i = 0; i < pvd->queues; i++)
		pvkit_event_close(&pvd->queue[i].event);
	mutex_unlock(&pvd->mutex);
	return 0;
}

/*
 * What was out may have been done or not; it is done again, in the same order as far as order was
 * promised: none. A disk that was dead stays dead.
 */
int pvd_resume(struct pvkit_device *device)
{
	struct pvd *pvd = dev_get_drvdata(&device->dev);

	mutex_lock(&pvd->mutex);
	if (pvd->phase == PVD_PUBLISHED || pvd->phase == PVD_CONNECTED) {
		hold(pvd);
		disconnect(pvd, PVD_REQUEUE);
		if (test_bit(PVD_DEAD, &pvd->flags))
			go_on(pvd);
		else
			pvd_begin(pvd);
	}
	mutex_unlock(&pvd->mutex);
	return 0;
}

void pvd_end(struct pvd *pvd)
{
	bool shared;

	set_bit(PVD_REMOVING, &pvd->flags);
	mutex_lock(&pvd->mutex);
	shared = pvd->queue;
	pvd_close_disk(pvd);
	if (pvd->phase != PVD_CLOSED) {
		pvkit_device_switch(pvd->device, STORE_STATE_CLOSING);
		if (shared)
			pvkit_device_await(pvd->device, SERVES_NOBODY, CLOSED_WAIT_MS);
		finish(pvd);
	}
	mutex_unlock(&pvd->mutex);
	pvd_life_end(pvd);
}
