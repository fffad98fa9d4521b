/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pvkit_blk.ko: disks of a paravirtual block back-end, /dev/pvda and so on.
 *
 * Theory of operation. A disk has one hardware queue a vCPU, each with its own ring, event channel,
 * grants and lock; nothing is shared between queues while I/O runs. A request goes
 *
 *	queue_rq	takes a slot, grants and descriptor pages under the queue's lock (or stops
 *			blk-mq until a completion brings some back); grants its pages and writes the
 *			descriptors without the lock; stages it under the lock; the last of a batch
 *			shows all of them to the back-end, and rings the doorbell if it asked
 *	event		takes all responses under the lock, ends the requests without
 *	complete	on the CPU that asked: takes the grants back, or copies from the pool
 *
 * Data is granted where it lies, or, where the back-end keeps what it mapped (persistent) or is not
 * trusted with other people's halves of a page, copied through a pool of pages that stay granted.
 *
 * Who trusts whom: of the back-end nothing is believed but the copy of a response that fits a
 * request (wire.h), and numbers from the store that passed terms.h. When it breaks the protocol the
 * disk is retired: one line in the log, all I/O fails, and pages that it still holds are not freed
 * before it lets them go.
 *
 * Life of a device (handshake.c); the bus calls one at a time, a mutex keeps the works out:
 *
 *	WAITING		the back-end's features are awaited
 *	PUBLISHED	rings are made and told; its disk is awaited
 *	CONNECTED	the disk is there
 *	CLOSING		the disk is gone, the back-end still has the rings
 *	CLOSED		nothing is left
 *
 * A device comes back to WAITING from CLOSED, when somebody plugs a disk in anew; and from
 * PUBLISHED and CONNECTED after a resume or when a new back-end takes over. Then the disk stays:
 * its queues are quiesced, what was out is taken back from the old rings, and all goes on with the
 * new ones.
 */
#ifndef PVKIT_GUEST_DRIVERS_BLK_BLK_H
#define PVKIT_GUEST_DRIVERS_BLK_BLK_H

#include <linux/blk-mq.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "guest-drivers/blk/terms.h"
#include "guest-drivers/blk/wire.h"
#include "guest-kernel-module/pvkit.h"

/* A page that the back-end may use. */
struct pvd_grant {
	struct page *page;
	u32 reference;
};

struct pvd_queue {
	spinlock_t lock; /* all of it but what is constant while the queue is open */
	struct pvd *pvd;
	struct wire wire;
	bool open;
	bool waiting; /* blk-mq was stopped for want of a slot or pages */
	bool poll; /* of the queues that are asked, and never interrupt */
	unsigned int index;

	struct pvkit_event event;
	struct pvkit_grants grants; /* free: direct mode takes one a page of data */
	struct pvd_grant *pool; /* free pages of pooled mode, a stack */
	unsigned int pool_free;
	struct pvd_grant *descriptors; /* free descriptor pages, a stack */
	unsigned int descriptors_free;
	unsigned int pool_size, descriptors_size;
	unsigned int out; /* requests that have taken something of all this */
	struct pvkit_shared shared; /* the ring */
	struct xen_shadow_entry *entries;

	u64 requests, notifications, interrupts;
	char name[32]; /* of the interrupt */
} ____cacheline_aligned_in_smp;

/* What a request of blk-mq carries for us. */
struct pvd_request {
	struct pvd_queue *queue;
	struct pvd_request *next; /* while it is on a list of finished ones */
	blk_status_t status;
	u8 operation; /* BLKIF_*; of an indirect one, the real one */
	u8 descriptors; /* descriptor pages, behind the data's places in ->grant */
	bool pooled;
	bool recovered; /* taken back unanswered: the back-end may well be using its pages */
	u16 reserved, used; /* places in ->grant */
	struct pvd_grant grant[]; /* the device's ->segments, then its ->descriptor_pages */
};

enum pvd_phase {
	PVD_WAITING,
	PVD_PUBLISHED,
	PVD_CONNECTED,
	PVD_CLOSING,
	PVD_CLOSED,
};

/* Bits of pvd->flags. */
#define PVD_RETIRED  0 /* the back-end broke the protocol; said once */
#define PVD_DEAD     1 /* queue_rq fails all */
#define PVD_ADDED    2 /* the disk was shown */
#define PVD_REMOVING 3 /* the bus takes the device: no new work */
#define PVD_FAILED   4 /* we gave up on this back-end: wait for its Closed */

struct pvd {
	struct kref references; /* the bus's, the disk's */
	struct pvkit_device *device;
	struct mutex mutex; /* phase and all that follows from it */
	enum pvd_phase phase;
	unsigned long flags;
	bool quiesced;

	struct terms terms;
	struct pvd_queue *queue;
	unsigned int queues; /* places in ->queue: those of the first terms */

	struct gendisk *disk;
	struct blk_mq_tag_set tags;
	int number; /* 0: pvda */
	unsigned int irq_maps, poll_maps; /* hardware queues of ->tags, by kind */
	struct terms_disk properties;
	char serial[BLKIF_SERIAL_BYTES_MAX + 1];

	struct work_struct attach; /* shows the disk: reads partitions, so may last */
	struct work_struct retire;
	const char *retire_why;
	struct delayed_work watchdog; /* while the disk goes: fails what nobody will answer */
	unsigned long watchdog_end;
};

/* ---- driver.c: parameters ---- */

extern struct pvkit_driver pvd_driver;
extern struct terms_wish pvd_parameters; /* ->cpus is found each time */
extern unsigned int pvd_request_timeout, pvd_close_timeout; /* seconds */

/* How long a request may wait for its answer from now on, in jiffies; 0: for ever. */
static inline unsigned int pvd_patience(void)
{
	return min_t(unsigned int, READ_ONCE(pvd_request_timeout), INT_MAX / HZ) * HZ;
}

/* ---- queue.c: what a queue consists of ---- */

int pvd_queue_open(struct pvd_queue *queue);
/* No request is out any more. The back-end may still hold pages. */
void pvd_queue_close(struct pvd_queue *queue);

/* ---- request.c: from a request to the ring ---- */

blk_status_t pvd_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd);
void pvd_commit_rqs(struct blk_mq_hw_ctx *hctx);
/* Gives all back that @request took of its queue. */
void pvd_release(struct pvd_request *request);
/* What was read goes to whom asked. */
void pvd_copy_from_pool(struct pvd_request *request);

static inline struct request *pvd_to_rq(struct pvd_request *request)
{
	return blk_mq_rq_from_pdu(request);
}

/* ---- complete.c: from the ring to the end of a request ---- */

irqreturn_t pvd_interrupt(int irq, void *context);
void pvd_complete(struct request *rq);
int pvd_poll(struct blk_mq_hw_ctx *hctx, struct io_comp_batch *iob);
enum blk_eh_timer_return pvd_timed_out(struct request *rq);

/* How what is out when the rings go ends: fails, or waits in blk-mq for new ones. */
enum pvd_recovery {
	PVD_FAIL,
	PVD_REQUEUE,
};

/* Nobody is in queue_rq, or will be, without seeing PVD_DEAD. */
void pvd_recover(struct pvd_queue *queue, enum pvd_recovery how);

/* ---- disk.c: what the kernel sees of it ---- */

int pvd_disk_create(struct pvd *pvd);
/* Makes it visible, reads its partitions: lasts as long as the back-end makes it last. */
int pvd_disk_show(struct pvd *pvd);
/* Where blk-mq's queues go, and its limits, on new terms; the disk is quiesced. */
void pvd_disk_map(struct pvd *pvd);
int pvd_disk_update(struct pvd *pvd);
void pvd_disk_resize(struct pvd *pvd, u64 sectors);
/* In order: waits for what is out. Who has it open keeps a dead one. */
void pvd_disk_hide(struct pvd *pvd);
void pvd_disk_free(struct pvd *pvd);

/* ---- life.c: ends of a disk ---- */

void pvd_life_init(struct pvd *pvd);
/* The back-end did @why: fails all, once, for good. From any context. */
void pvd_retire(struct pvd *pvd, const char *why);
/* Shows a new disk, in a worker. */
void pvd_attach(struct pvd *pvd);
/* Takes the disk away: in order while the back-end serves, else all that is out fails. */
void pvd_close_disk(struct pvd *pvd);
/* Nothing is called any more. The bus's callbacks are over. */
void pvd_life_end(struct pvd *pvd);
void pvd_put(struct pvd *pvd);

/* ---- keys.c: the store's keys ---- */

/* What is to be used, from what the back-end offers and the user wishes. Fails with the store. */
int pvd_read_terms(struct pvd *pvd, struct terms *terms);
/* Tells rings, event channels and choices. */
int pvd_write_queues(struct pvd *pvd);
/* Fails with the store; else @why is NULL: fit for use, or what is wrong. */
int pvd_read_disk(struct pvd *pvd, struct terms_disk *disk, const char **why);
void pvd_read_serial(struct pvd *pvd);
/* Whether the back-end goes for good. Where nothing is said it stays. */
bool pvd_unplugged(struct pvd *pvd);
/* As it stands in the store now; gone: STORE_STATE_UNKNOWN. As last seen if the store fails. */
enum store_state pvd_backend_state(struct pvd *pvd);

/* ---- handshake.c: the store's states ---- */

/* Begins, or begins anew. */
void pvd_begin(struct pvd *pvd);
void pvd_backend_changed(struct pvkit_device *device, enum store_state state);
int pvd_suspend(struct pvkit_device *device);
int pvd_resume(struct pvkit_device *device);
/* Whatever the back-end says, nothing is left afterwards. */
void pvd_end(struct pvd *pvd);

#endif
