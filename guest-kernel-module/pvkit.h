/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What pvkit.ko gives to the front-ends: a bus of devices, events, grants, and the store.
 *
 * The front-ends are written against this header and the contracts in abi/ and ring/ alone. They
 * never see where the services come from: under pvkit-shim it is the platform device
 * (abi/platform.h); another module may give the same services from elsewhere.
 *
 * Unless said otherwise: functions may sleep, answer 0 or a negative errno, and belong to process
 * context.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_PVKIT_H
#define PVKIT_GUEST_KERNEL_MODULE_PVKIT_H

#include <linux/device.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "abi/grant_table.h"
#include "abi/store.h"

/* ---- devices and drivers --------------------------------------------------------------------- */

/*
 * A front-end device: the directory /local/domain/GUEST/device/CLASS/ID of the store.
 *
 * The bus watches "state" in the back-end's directory and calls ->backend_changed in a worker of
 * its own, one call at a time for each device and never beside probe, remove, suspend or resume: so
 * a driver's handshake needs no lock of its own. It is called once after probe and after resume,
 * and for each write of that key from then on, also when the state is the same as before (a disk
 * that grew says so that way); UNKNOWN: the key is gone or makes no sense. Where the store fails to
 * tell the state, it is asked again a second later.
 *
 * Our own state is Initialising when probe begins. It is Closed when remove and suspend are over; a
 * driver that wants its back-end to let go first writes Closing itself.
 *
 * ->backend_changed, ->suspend and ->resume run with memalloc_noio_save(): what they allocate waits
 * for no I/O, which may be their own device's.
 */
struct pvkit_device {
	struct device dev;
	const char *class; /* "vbd", "vif" */
	unsigned int id;
	const char *path; /* our directory, "device/vbd/51712" */
	char *backend; /* the back-end's, absolute; changes only when it is replaced on resume */
	u16 backend_domain;
	enum store_state state; /* ours; the store has it, or will have */
	enum store_state backend_state; /* as last seen */
};

#define to_pvkit_device(d) container_of(d, struct pvkit_device, dev)

struct pvkit_driver {
	const char *class;
	struct device_driver driver; /* ->name, ->owner; the rest is the bus's */
	int (*probe)(struct pvkit_device *device);
	/* The back-end may be gone, hostile, or still using grants. Afterwards nothing is left. */
	void (*remove)(struct pvkit_device *device);
	void (*backend_changed)(struct pvkit_device *device, enum store_state state);
	/* Around a suspend: ports and grants are gone by the time of resume, the data is not. */
	int (*suspend)(struct pvkit_device *device);
	int (*resume)(struct pvkit_device *device);
};

int __pvkit_driver_register(struct pvkit_driver *driver, struct module *owner);
#define pvkit_driver_register(driver) __pvkit_driver_register(driver, THIS_MODULE)
void pvkit_driver_unregister(struct pvkit_driver *driver);

/*
 * Where works run that ->backend_changed waits for: a queue with a rescuer, like its own, since
 * pages may have to be written back before there is memory for another worker.
 */
extern struct workqueue_struct *pvkit_workers;

/*
 * The store failed with @error in the middle of a handshake, which says nothing of the back-end: has
 * ->backend_changed called again a second later, with the state of then.
 */
void pvkit_device_ask_again(struct pvkit_device *device, int error);

/*
 * Writes our state, if it is another one. What fails and may pass is the bus's: it writes the state
 * of then a second later, until the store has it, and the answer is 0. -ENOENT: the device's
 * directory is gone; others: the store refuses it.
 */
int pvkit_device_switch(struct pvkit_device *device, enum store_state state);

/* The same for who cannot wait for the store: our state is written soon, by the bus. */
void pvkit_device_switch_soon(struct pvkit_device *device, enum store_state state);

/*
 * Waits until the back-end's state is one of @states (bits, 1U << STORE_STATE_CLOSED and so on),
 * for probe, remove, suspend and resume, beside which ->backend_changed does not run. 0, or
 * -ETIMEDOUT, or -ENOENT: the back-end's directory is gone.
 */
int pvkit_device_await(struct pvkit_device *device, unsigned int states,
		       unsigned int milliseconds);

/* Logs, writes "error" into our directory for the administrator, and switches to Closing. */
__printf(3, 4) void pvkit_device_fail(struct pvkit_device *device, int error,
				      const char *format, ...);

/* ---- events ---------------------------------------------------------------------------------- */

/* Of an interrupt that must not come for nothing too often: event_meter.c's. */
struct pvkit_event_meter {
	unsigned int irq;
	unsigned int unpaid; /* interrupts that brought no work; its handler's, and who pays */
	unsigned long since; /* jiffies, of the budget that is being spent; the handler's */
	struct timer_list timer; /* while it is off */
	bool told;
};

/*
 * An event channel of ours, unbound for the device's back-end, behind a Linux interrupt. Stays
 * where it is while it is open.
 */
struct pvkit_event {
	u32 port;
	unsigned int irq; /* for affinity, disable_irq() and the like */
	void __iomem *doorbell;
	/* The event code's. */
	irq_handler_t handler;
	void *context;
	struct pvkit_event_meter *meter; /* its own, or that of vector 0 */
	struct pvkit_event_meter own;
	u32 generation;
	bool kept; /* the port is not ours to close */
};

/*
 * @handler runs in hard interrupt context, once or more for each notification since it ran last.
 * @vcpu: where it is wanted first, -1: anywhere. The port's number goes to the back-end by the
 * store.
 */
int pvkit_event_open(struct pvkit_device *device, struct pvkit_event *event, irq_handler_t handler,
		     const char *name, void *context, int vcpu);
/* The handler is over when it returns. Harmless on an event that is all zeroes. */
void pvkit_event_close(struct pvkit_event *event);

/*
 * There was something to do: to be called whenever the driver finds work on the event's ring, from
 * any context. An event that comes many times without that is a storm, and is held back. Harmless
 * on an event that is all zeroes.
 */
void pvkit_event_worked(const struct pvkit_event *event);

/* From any context; ordered after all earlier stores. */
static inline void pvkit_event_notify(const struct pvkit_event *event)
{
	writel(0, event->doorbell);
}

/* ---- grants ---------------------------------------------------------------------------------- */

/*
 * A reference belongs to its driver from reserve to release. Giving and taking back are a few
 * memory accesses, in any context; reserving may sleep only with GFP_KERNEL inside, so do it when a
 * queue is made, not for each request.
 */
struct pvkit_grants {
	u32 *reference; /* a stack of free references, private to one queue; its owner locks it */
	unsigned int free, size;
	u16 domain; /* who may use them */
};

int pvkit_grants_open(struct pvkit_grants *grants, u16 domain, unsigned int size);
/*
 * All that were taken must have been put back. Harmless when all zeroes.
 */
void pvkit_grants_close(struct pvkit_grants *grants);

/* 0: none is free (0 is never given out). */
static inline u32 pvkit_grants_take(struct pvkit_grants *grants)
{
	return grants->free ? grants->reference[--grants->free] : 0;
}

/* Of a reference that is not given, or whose pvkit_grant_end() succeeded. */
static inline void pvkit_grants_put(struct pvkit_grants *grants, u32 reference)
{
	grants->reference[grants->free++] = reference;
}

/* Lets @domain use the whole page @page. */
void pvkit_grant_give(u32 reference, u16 domain, struct page *page, bool readonly);
/*
 * -EBUSY: the back-end still uses it; the grant stays as it was, neither it nor the page is free.
 */
int pvkit_grant_end(u32 reference);
/*
 * Takes back a grant whose page its owner gives up: tried now, and when the back-end still uses it,
 * again from time to time. Page (one reference to it, put_page()) and grant reference are released
 * when it is over, and stay visible in debugfs until then. So the reference never comes back to
 * @grants of its driver, which takes a new one instead: pvkit_grants_refill().
 */
void pvkit_grant_end_later(u32 reference, struct page *page);
/* Adds one reference for each that pvkit_grant_end_later() took. -ENOSPC: the table is full. */
int pvkit_grants_refill(struct pvkit_grants *grants, unsigned int count);

/* ---- pages that both sides share for long: rings --------------------------------------------- */

/* @order pages, zeroed, contiguous and granted, one reference a page. */
struct pvkit_shared {
	void *pages;
	unsigned int count;
	u32 reference[16];
};

int pvkit_shared_open(struct pvkit_shared *shared, u16 domain, unsigned int order);
/* Pages that the back-end still holds are given back later. Harmless when all zeroes. */
void pvkit_shared_close(struct pvkit_shared *shared);

/* ---- the store ------------------------------------------------------------------------------- */

/* A transaction; ->id 0 (PVKIT_STORE_NONE): each call for itself. */
struct pvkit_store_transaction {
	u32 id;
};

#define PVKIT_STORE_NONE ((struct pvkit_store_transaction){ 0 })

/* May wait for others' ends: who is in one begins no other. 0 obliges to pvkit_store_end(). */
int pvkit_store_begin(struct pvkit_store_transaction *transaction);
/* -EAGAIN on a conflict: nothing was done, begin again. */
int pvkit_store_end(struct pvkit_store_transaction transaction, bool abort);
/*
 * All that @write writes, or nothing: in a transaction that is begun again when it meets a conflict,
 * but not for ever (-EAGAIN).
 */
int pvkit_store_commit(int (*write)(struct pvkit_store_transaction transaction, void *context),
		       void *context);

/* The value, NUL-terminated, for kfree(); or an ERR_PTR. @length may be NULL. */
char *pvkit_store_read(struct pvkit_store_transaction transaction, const char *directory,
		       const char *key, unsigned int *length);
/* -ENOENT; -ERANGE: no unsigned decimal number up to @max. */
int pvkit_store_read_number(struct pvkit_store_transaction transaction, const char *directory,
			    const char *key, u64 max, u64 *number);
/* The same with a default for what is absent; what is there and no number, or too large, too. */
u64 pvkit_store_read_number_or(const char *directory, const char *key, u64 max, u64 otherwise);
/*
 * The same, where a key that could not be read is not one that is absent: that makes @error its
 * error, which else stays, so that many can be read before it is looked at.
 */
u64 pvkit_store_read_offer(const char *directory, const char *key, u64 max, u64 otherwise,
			   int *error);

/*
 * Of the error of a read: the store says that there is nothing of use, or (-EACCES) nothing for us,
 * which some say of what is gone. All others say nothing of what the key holds: the connection
 * broke, the store is slow, memory was short.
 */
static inline bool pvkit_store_absent(int error)
{
	return error == -ENOENT || error == -ERANGE || error == -EACCES;
}

/*
 * Of the error of a write: the store understood and refuses, for a quota or for rights, and would
 * again. All others may pass.
 */
static inline bool pvkit_store_refused(int error)
{
	return error == -ENOSPC || error == -EACCES || error == -EINVAL || error == -E2BIG ||
	       error == -ENAMETOOLONG;
}

__printf(4, 5) int pvkit_store_write(struct pvkit_store_transaction transaction,
				     const char *directory, const char *key,
				     const char *format, ...);
int pvkit_store_remove(struct pvkit_store_transaction transaction, const char *directory,
		       const char *key);
/* What an earlier handshake may have left, and would be believed: it may be absent. */
int pvkit_store_clear(struct pvkit_store_transaction transaction, const char *directory,
		      const char *key);

/*
 * ->changed is called in the bus's worker of the device after an event below @path, and once at
 * registration. Events that come faster than it runs are one call, with the watch's own path if
 * theirs differ. pvkit_watch_close() returns when it is over; ->changed itself may close its watch,
 * and free it.
 */
struct pvkit_watch {
	char *path;
	void (*changed)(struct pvkit_watch *watch, const char *path);
	struct pvkit_device *device;
	/* The store client's. */
	struct list_head link;
	struct list_head queued;
	char *event; /* NULL: ->path */
	u32 token;
};

int pvkit_watch_open(struct pvkit_device *device, struct pvkit_watch *watch,
		     const char *directory, const char *key,
		     void (*changed)(struct pvkit_watch *watch, const char *path));
void pvkit_watch_close(struct pvkit_watch *watch);

#endif
