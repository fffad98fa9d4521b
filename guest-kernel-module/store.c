// SPDX-License-Identifier: GPL-2.0
/*
 * The store client: many callers, one ring.
 *
 *	caller				reader (a thread)
 *	notes itself as waiting
 *	writer's lock: request	→
 *	sleeps				←	reply: looked up by request id, caller woken
 *				←	event: to whoever watches (watch.c)
 *
 * The store may be slow, dead or hostile. A caller waits so long and no longer; its request is then
 * nobody's, and a late reply is dropped; a transaction that begins by one is ended again. After
 * that callers have little patience until the store says something again, so that taking down
 * twenty devices of a dead store ends. Lengths and indices that cannot be break the connection:
 * every caller gets -EIO, and the reader begins a new connection where the store can do that
 * (STORE_FEATURE_RECONNECTION), less and less often when it does not hold.
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/platform.h"
#include "guest-kernel-module/pvkit.h"
#include "guest-kernel-module/store.h"
#include "guest-kernel-module/store_ring.h"
#include "ring/order.h"

unsigned int pvkit_store_timeout = 30;
module_param_named(store_timeout, pvkit_store_timeout, uint, 0644);
MODULE_PARM_DESC(store_timeout, "Seconds to wait for an answer of the store (30)");

#define SILENT_TIMEOUT	  (HZ / 2) /* of a store that did not answer the last time */
#define RECONNECT_TIMEOUT (10 * HZ)
#define RECONNECT_DELAY	  (60 * HZ) /* at most between two attempts */
/* Fewer than the store allows to be unanswered: the rest is for tools beside us. */
#define OUTSTANDING (STORE_QUOTA_OUTSTANDING - 4)

struct store_request {
	struct list_head link; /* in ->waiting until it is answered or given up */
	struct completion done;
	u32 id, type;
	int error;
	char *reply;
	u32 length;
};

static struct {
	struct store_ring ring;
	struct pvkit_event event;
	struct mutex writer; /* the request half of the ring */
	struct semaphore slots;
	wait_queue_head_t moved; /* the store notified, or we broke */
	struct task_struct *reader;
	struct work_struct renew, end_late;

	spinlock_t lock; /* all below */
	struct list_head waiting;
	u32 last_id;
	bool broken; /* until the reader has connected anew */
	bool silent; /* the last request was not answered */
	u32 late[STORE_QUOTA_TRANSACTIONS]; /* transactions that may be open, and are nobody's */
	unsigned int late_count;

	unsigned int breaks; /* in a row, without an answer in between */
	unsigned long requests, answers, events, dropped, reconnections;
	/* The reader's: what it just took from the ring. */
	char payload[STORE_PAYLOAD_MAX + 1];
} store = {
	.writer = __MUTEX_INITIALIZER(store.writer),
	.moved = __WAIT_QUEUE_HEAD_INITIALIZER(store.moved),
	.lock = __SPIN_LOCK_UNLOCKED(store.lock),
	.waiting = LIST_HEAD_INIT(store.waiting),
};

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int error;
} error_of[] = {
	{ STORE_EINVAL, -EINVAL }, { STORE_EACCES, -EACCES },	{ STORE_EEXIST, -EEXIST },
	{ STORE_EISDIR, -EISDIR }, { STORE_ENOENT, -ENOENT },	{ STORE_ENOMEM, -ENOMEM },
	{ STORE_ENOSPC, -ENOSPC }, { STORE_EIO, -EIO },		{ STORE_ENOTEMPTY, -ENOTEMPTY },
	{ STORE_ENOSYS, -ENOSYS }, { STORE_EROFS, -EROFS },	{ STORE_EBUSY, -EBUSY },
	{ STORE_EAGAIN, -EAGAIN }, { STORE_EISCONN, -EISCONN }, { STORE_E2BIG, -E2BIG },
	{ STORE_EPERM, -EPERM },
};

static int error_number(const char *text)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(error_of); i++)
		if (!strcmp(text, error_of[i].text))
			return error_of[i].error;
	return -EINVAL;
}

/* ---- the connection -------------------------------------------------------------------------- */

static irqreturn_t store_notified(int irq, void *context)
{
	wake_up_all(&store.moved);
	return IRQ_HANDLED;
}

static void answer(struct store_request *request, int error)
{
	list_del_init(&request->link);
	request->error = error;
	complete(&request->done);
}

/* Nobody gets an answer any more on this connection. */
static void break_connection(const char *why)
{
	struct store_request *request, *next;

	spin_lock(&store.lock);
	if (!store.broken && why)
		pr_err_ratelimited("pvkit: the store's connection is broken: %s\n", why);
	store.broken = true;
	list_for_each_entry_safe(request, next, &store.waiting, link)
		answer(request, -EIO);
	spin_unlock(&store.lock);
	wake_up_all(&store.moved);
}

/* The reader is to end; whoever else connects is not. */
static bool ending(void)
{
	return current == READ_ONCE(store.reader) && kthread_should_stop();
}

static bool connected(void)
{
	return order_load_acquire(&store.ring.page->connection) == STORE_CONNECTED;
}

/*
 * A new connection, from the reader or while there is none. The writer's lock keeps everybody else
 * from the page; whoever waits for room in it was told that it is broken.
 */
static int reconnect(void)
{
	struct store_ring_page *page = store.ring.page;
	long left;

	if (!(order_load_relaxed(&page->features) & STORE_FEATURE_RECONNECTION))
		return -EOPNOTSUPP;
	mutex_lock(&store.writer);
	order_store_release(&page->connection, STORE_RECONNECT);
	pvkit_event_notify(&store.event);
	left = wait_event_timeout(store.moved, connected() || ending(),
				  RECONNECT_TIMEOUT);
	if (left && connected()) {
		pvkit_store_ring_reset(&store.ring);
		spin_lock(&store.lock);
		store.broken = false;
		store.silent = false;
		store.late_count = 0;
		store.reconnections++;
		spin_unlock(&store.lock);
	}
	mutex_unlock(&store.writer);
	return left && connected() ? 0 : -ETIMEDOUT;
}

/* ---- the reader ------------------------------------------------------------------------------ */

static bool reader_has_work(void)
{
	return ending() || store.broken || pvkit_store_ring_readable(&store.ring);
}

/* Exactly @size bytes; false: the connection broke, or the thread is to end. */
static bool receive(void *data, u32 size)
{
	int got;

	while (size) {
		if (ending() || READ_ONCE(store.broken))
			return false;
		got = pvkit_store_ring_read(&store.ring, data, size);
		if (got < 0) {
			break_connection("response index out of range");
			return false;
		}
		if (got) {
			pvkit_event_worked(&store.event);
			pvkit_event_notify(&store.event);
			data += got;
			size -= got;
		} else {
			wait_event_interruptible(store.moved, reader_has_work());
		}
	}
	return true;
}

static void take_event(const struct store_header *header)
{
	/* path|token|, and what a later protocol may add. The payload ends with a NUL of ours. */
	u32 path = strlen(store.payload);

	store.events++;
	if (path + 1 >= header->length)
		return;
	pvkit_watches_event(store.payload, store.payload + path + 1);
}

/* Under the lock. More than the store lets us have at once are not ours. */
static void note_late(u32 transaction)
{
	if (transaction && store.late_count < ARRAY_SIZE(store.late))
		store.late[store.late_count++] = transaction;
}

/* Under the lock. It must not stay, or the store has none left for us in the end. */
static void take_late_answer(const struct store_header *header)
{
	u32 transaction;

	store.dropped++;
	if (header->type == STORE_TRANSACTION_START && !kstrtou32(store.payload, 10, &transaction))
		note_late(transaction);
}

static void take_answer(const struct store_header *header)
{
	struct store_request *request;
	char *reply = kmemdup(store.payload, header->length + 1, GFP_KERNEL);
	bool found = false;

	spin_lock(&store.lock);
	store.silent = false;
	store.breaks = 0;
	list_for_each_entry(request, &store.waiting, link) {
		if (request->id != header->request)
			continue;
		found = true;
		store.answers++;
		if (header->type == STORE_ERROR) {
			answer(request, error_number(store.payload));
		} else if (header->type != request->type) {
			answer(request, -EPROTO);
		} else if (!reply) {
			answer(request, -ENOMEM);
		} else {
			request->reply = reply;
			request->length = header->length;
			reply = NULL;
			answer(request, 0);
		}
		break;
	}
	if (!found)
		take_late_answer(header);
	/* It speaks again. */
	if (store.late_count)
		queue_work(system_wq, &store.end_late);
	spin_unlock(&store.lock);
	kfree(reply);
}

static void take_message(void)
{
	struct store_header header;

	if (!receive(&header, sizeof(header)))
		return;
	if (header.length > STORE_PAYLOAD_MAX) {
		break_connection("message too long");
		return;
	}
	if (!receive(store.payload, header.length))
		return;
	store.payload[header.length] = 0;
	if (header.type == STORE_WATCH_EVENT)
		take_event(&header);
	else
		take_answer(&header);
}

/* Waits, longer each time, then tries once. */
static void mend_connection(void)
{
	unsigned long delay = min_t(unsigned long, HZ << min(store.breaks, 6U), RECONNECT_DELAY);
	int error;

	if (store.breaks++)
		wait_event_interruptible_timeout(store.moved, ending(), delay);
	if (ending())
		return;
	error = reconnect();
	if (!error) {
		pr_info("pvkit: connected to the store anew\n");
		queue_work(system_wq, &store.renew);
		return;
	}
	if (store.breaks == 1)
		pr_err("pvkit: the store does not connect anew (%d): devices cannot change\n",
		       error);
}

static int reader(void *context)
{
	/* Devices may need an answer before they can write pages back. */
	unsigned int noio = memalloc_noio_save();

	while (!kthread_should_stop()) {
		wait_event_interruptible(store.moved, reader_has_work());
		if (kthread_should_stop())
			break;
		if (READ_ONCE(store.broken))
			mend_connection();
		else
			take_message();
		/* A store that never stops talking has this thread, not the CPU. */
		cond_resched();
	}
	memalloc_noio_restore(noio);
	return 0;
}

static void renew(struct work_struct *work)
{
	pvkit_watches_renew();
}

/* ---- callers --------------------------------------------------------------------------------- */

static unsigned long patience(void)
{
	unsigned long seconds = READ_ONCE(pvkit_store_timeout) ?: 1;

	return READ_ONCE(store.silent) ? SILENT_TIMEOUT : seconds * HZ;
}

/* Under the writer's lock. Waits for room until @deadline. */
static int send(const void *data, u32 size, unsigned long deadline)
{
	int put;

	while (size) {
		if (READ_ONCE(store.broken))
			return -EIO;
		put = pvkit_store_ring_write(&store.ring, data, size);
		if (put < 0) {
			break_connection("request index out of range");
			return -EIO;
		}
		data += put;
		size -= put;
		if (put && !size)
			break;
		pvkit_event_notify(&store.event);
		if (time_after_eq(jiffies, deadline))
			return -ETIMEDOUT;
		wait_event_timeout(store.moved,
				   store.broken || pvkit_store_ring_writable(&store.ring),
				   deadline - jiffies);
	}
	return 0;
}

static int send_request(const struct store_header *header, const struct store_part *parts,
			unsigned int count, unsigned long timeout)
{
	unsigned long deadline = jiffies + timeout;
	u32 start;
	unsigned int i;
	int error;

	mutex_lock(&store.writer);
	start = store.ring.request_producer;
	error = send(header, sizeof(*header), deadline);
	for (i = 0; i < count && !error; i++)
		error = send(parts[i].data, parts[i].size, deadline);
	if (!error)
		pvkit_event_notify(&store.event);
	/* Half a message leaves a stream in which nothing can be found again. */
	if (error == -ETIMEDOUT && store.ring.request_producer != start)
		break_connection("it takes no requests");
	mutex_unlock(&store.writer);
	return error;
}

/* Takes its place among those that wait. */
static int enlist(struct store_request *request, enum store_message type)
{
	int error = 0;

	*request = (struct store_request){ .type = type };
	init_completion(&request->done);
	spin_lock(&store.lock);
	if (!++store.last_id)
		++store.last_id;
	request->id = store.last_id;
	store.requests++;
	if (store.broken)
		error = -EIO;
	else
		list_add_tail(&request->link, &store.waiting);
	spin_unlock(&store.lock);
	return error;
}

/* Nobody will touch the request any more. */
static void delist(struct store_request *request, int error)
{
	spin_lock(&store.lock);
	if (!list_empty(&request->link)) {
		list_del_init(&request->link);
		request->error = error;
		if (error == -ETIMEDOUT) {
			if (!store.silent)
				pr_warn_ratelimited("pvkit: the store does not answer\n");
			store.silent = true;
		}
	}
	spin_unlock(&store.lock);
}

int pvkit_store_transact(enum store_message type, u32 transaction, const struct store_part *parts,
			 unsigned int count, char **reply, u32 *length)
{
	struct store_header header = { .type = type, .transaction = transaction };
	unsigned long timeout = patience();
	struct store_request request;
	unsigned int i, noio;
	int error;

	for (i = 0; i < count; i++) {
		if (parts[i].size > STORE_PAYLOAD_MAX - header.length)
			return -E2BIG;
		header.length += parts[i].size;
	}
	if (down_timeout(&store.slots, timeout))
		return -ETIMEDOUT;
	error = enlist(&request, type);
	if (error)
		goto out;
	header.request = request.id;
	noio = memalloc_noio_save();
	error = send_request(&header, parts, count, timeout);
	if (!error && !wait_for_completion_timeout(&request.done, timeout))
		error = -ETIMEDOUT;
	memalloc_noio_restore(noio);
	delist(&request, error);
	error = request.error;
out:
	up(&store.slots);
	if (!error && reply) {
		*reply = request.reply;
		if (length)
			*length = request.length;
	} else if (!error) {
		kfree(request.reply);
	}
	return error;
}

/* ---- transactions that are nobody's ---------------------------------------------------------- */

void pvkit_store_end_later(u32 transaction)
{
	spin_lock(&store.lock);
	note_late(transaction);
	spin_unlock(&store.lock);
}

/* 0: there is none. */
static u32 next_late(void)
{
	u32 transaction = 0;

	spin_lock(&store.lock);
	if (store.late_count)
		transaction = store.late[--store.late_count];
	spin_unlock(&store.lock);
	return transaction;
}

static void end_late(struct work_struct *work)
{
	static const struct store_part abort = { "F", 2 };
	int error = 0;
	u32 transaction;

	while (error != -ETIMEDOUT && (transaction = next_late())) {
		error = pvkit_store_transact(STORE_TRANSACTION_END, transaction, &abort, 1, NULL,
					     NULL);
		if (error == -ETIMEDOUT)
			pvkit_store_end_later(transaction);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static int connect_ring(void)
{
	static const struct store_part nothing = { "", 1 };
	int error;

	/* Bytes of an earlier life are of messages that may be half there. */
	if (!pvkit_store_ring_open(&store.ring, store.ring.page)) {
		error = reconnect();
		if (error)
			pr_warn("pvkit: the store's ring is not empty, and is not emptied (%d)\n",
				error);
	}
	store.broken = false;
	store.silent = false;
	store.breaks = 0;
	store.late_count = 0;
	store.reader = kthread_run(reader, NULL, "pvkit-store");
	if (IS_ERR(store.reader)) {
		error = PTR_ERR(store.reader);
		store.reader = NULL;
		return error;
	}
	error = pvkit_store_transact(STORE_RESET_WATCHES, 0, &nothing, 1, NULL, NULL);
	/* An old store does not know it, and has no watches of an earlier life either. */
	return error == -ENOSYS || error == -EINVAL ? 0 : error;
}

static void disconnect_ring(void)
{
	if (store.reader)
		kthread_stop(store.reader);
	store.reader = NULL;
	break_connection(NULL);
	cancel_work_sync(&store.renew);
	cancel_work_sync(&store.end_late);
}

int pvkit_store_start(struct pvkit_platform *platform)
{
	int error;

	sema_init(&store.slots, OUTSTANDING);
	INIT_WORK(&store.renew, renew);
	INIT_WORK(&store.end_late, end_late);
	store.ring.page = platform->store_page;
	error = pvkit_event_attach(&store.event, platform->store_port, store_notified,
				   "pvkit-store", &store);
	if (error) {
		pr_err("pvkit: no interrupt for the store's event channel %u (%d)\n",
		       platform->store_port, error);
		return error;
	}
	error = connect_ring();
	if (error) {
		pr_err("pvkit: the store does not answer (%d)\n", error);
		pvkit_store_stop();
	}
	return error;
}

void pvkit_store_stop(void)
{
	disconnect_ring();
	pvkit_event_close(&store.event);
}

void pvkit_store_suspend(void)
{
	disconnect_ring();
}

int pvkit_store_resume(void)
{
	int error = connect_ring();

	if (!error)
		pvkit_watches_renew();
	return error;
}

void pvkit_store_show(struct seq_file *file)
{
	struct store_ring_page *page = store.ring.page;

	spin_lock(&store.lock);
	seq_printf(file, "state %s\nfeatures 0x%x\nrequests %lu\nanswers %lu\nevents %lu\n",
		   store.broken ? "broken" :
		   store.silent ? "silent" :
				  "connected",
		   order_load_relaxed(&page->features), store.requests, store.answers,
		   store.events);
	seq_printf(file, "dropped %lu\nreconnections %lu\n", store.dropped, store.reconnections);
	spin_unlock(&store.lock);
	seq_printf(file, "watches %u\n", pvkit_watches_count());
}
