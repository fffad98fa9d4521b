// SPDX-License-Identifier: GPL-2.0
/*
 * A block back-end for the block front-end's suite. Its thread never sleeps
 * while it is connected: on the one CPU of user-mode Linux that is the fastest
 * way to be asked.
 */
#include <linux/bitmap.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "ring/order.h"
#include "ring/xen_ring.h"
#include "tests/kunit/blk_backend.h"
#include "tests/kunit/fake.h"

#define IMAGE_BYTES (2 * BACKEND_SECTORS * 512)
#define STORM	    64 /* notifications each time that the thread runs */

struct backend backend;

static struct {
	struct mutex lock; /* all but the mood, against the tests' hands */
	struct task_struct *thread;
	struct xen_back ring[BACKEND_QUEUES_MAX];
	u32 port[BACKEND_QUEUES_MAX];
	u32 ring_reference[BACKEND_QUEUES_MAX][16];
	unsigned int ring_pages;
	bool persistent;
	DECLARE_BITMAP(held, FAKE_GRANTS); /* used for longer than a request */
	u64 last_id;
} self = {
	.lock = __MUTEX_INITIALIZER(self.lock),
};

/* ---- store ----------------------------------------------------------------------------------- */

static void say(const char *key, unsigned int value)
{
	char path[96], text[12];

	snprintf(path, sizeof(path), BACKEND_BACK "/%s", key);
	snprintf(text, sizeof(text), "%u", value);
	fake_store_set(path, text);
}

static unsigned int ask(const char *key, unsigned int otherwise)
{
	const char *value;
	char path[96];
	unsigned int number;

	snprintf(path, sizeof(path), BACKEND_FRONT "/%s", key);
	value = fake_store_get(path);
	return value && !kstrtouint(value, 10, &number) ? number : otherwise;
}

static void enter(enum store_state state)
{
	backend.state = state;
	say(STORE_KEY_STATE, state);
}

static void offer(void)
{
	const struct backend_offer *o = &backend.offer;

	say(STORE_KEY_MAX_QUEUES, o->queues ?: 1);
	say(BLKIF_KEY_MAX_RING_PAGE_ORDER, o->ring_page_order);
	say(BLKIF_KEY_MAX_INDIRECT, o->indirect);
	say(BLKIF_KEY_FLUSH, o->flush);
	say(BLKIF_KEY_BARRIER, o->barrier);
	say(BLKIF_KEY_DISCARD, o->discard);
	say(BLKIF_KEY_DISCARD_SECURE, o->secure);
	say(BLKIF_KEY_WRITE_ZEROES, o->write_zeroes);
	say(BLKIF_KEY_PERSISTENT, o->persistent);
	enter(STORE_STATE_INIT_WAIT);
}

/* ---- grants ---------------------------------------------------------------------------------- */

static bool has_secret(const u8 *page)
{
	const u64 *word = (const u64 *)page;
	unsigned int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++)
		if (word[i] == BACKEND_SECRET * 0x0101010101010101ULL)
			return true;
	return false;
}

/* The page, marked as used; NULL is a fault of the front-end. */
static u8 *pin(u32 reference, bool write)
{
	struct grant_v1 *entry = fake.platform.entries + reference;
	u16 flags = GRANT_READING | (write ? GRANT_WRITING : 0);
	u8 *page;

	if (reference >= FAKE_GRANTS || !(entry->flags & GRANT_PERMIT_ACCESS) || entry->domain ||
	    (write && entry->flags & GRANT_READONLY)) {
		backend.faults++;
		return NULL;
	}
	entry->flags |= flags;
	page = page_address(pfn_to_page(entry->frame));
	backend.secrets += backend.offer.look && has_secret(page);
	return page;
}

static void unpin(u32 reference)
{
	if (!test_bit(reference, self.held))
		fake.platform.entries[reference].flags &= ~(GRANT_READING | GRANT_WRITING);
}

static void hold(u32 reference)
{
	__set_bit(reference, self.held);
}

static void unhold_all(void)
{
	u32 reference;

	for_each_set_bit(reference, self.held, FAKE_GRANTS)
	{
		__clear_bit(reference, self.held);
		unpin(reference);
	}
}

/* ---- requests -------------------------------------------------------------------------------- */

static s16 transfer(u8 operation, u64 sector, const struct blkif_segment *segment,
		    unsigned int count)
{
	bool read = operation == BLKIF_READ;
	unsigned int i;

	for (i = 0; i < count; i++) {
		u32 reference = segment[i].grant;
		unsigned int first = segment[i].first_sector, last = segment[i].last_sector;
		u8 *page = pin(reference, read || self.persistent),
		   *disk = backend.image + sector * 512;
		size_t bytes = (last + 1 - first) * 512;

		if (!page)
			return BLKIF_ERROR;
		backend.page = page;
		if (last < first || last > 7 || sector * 512 + bytes > IMAGE_BYTES) {
			backend.faults++;
			return BLKIF_ERROR;
		}
		if (read)
			memcpy(page + first * 512, disk, bytes);
		else
			memcpy(disk, page + first * 512, bytes);
		if (self.persistent || backend.mood == BACKEND_KEEPS_PAGES ||
		    backend.mood == BACKEND_DIES)
			hold(reference);
		unpin(reference);
		sector += last + 1 - first;
	}
	return BLKIF_OK;
}

static s16 transfer_indirect(const struct blkif_indirect_req *request)
{
	unsigned int done = 0, i, count;
	u64 sector = request->sector;

	backend.indirects++;
	for (i = 0; done < request->segments; i++, done += count) {
		struct blkif_segment *segment = (void *)pin(request->page_grant[i], false);
		unsigned int j;
		s16 status;

		if (!segment)
			return BLKIF_ERROR;
		count = min_t(unsigned int, request->segments - done, BLKIF_SEGMENTS_PER_PAGE);
		status = transfer(request->indirect_operation, sector, segment, count);
		for (j = 0; j < count; j++)
			sector += segment[j].last_sector + 1 - segment[j].first_sector;
		unpin(request->page_grant[i]);
		if (status)
			return status;
	}
	return BLKIF_OK;
}

static s16 clear(const struct blkif_discard_req *request)
{
	if (request->operation == BLKIF_WRITE_ZEROES) {
		backend.zeroes++;
		backend.zeroes_flags = request->flags;
	} else if (request->flags & BLKIF_DISCARD_FLAG_SECURE) {
		backend.secures++;
	} else {
		backend.discards++;
	}
	if ((request->sector + request->sectors) * 512 > IMAGE_BYTES) {
		backend.faults++;
		return BLKIF_ERROR;
	}
	memset(backend.image + request->sector * 512, 0, request->sectors * 512);
	return BLKIF_OK;
}

static void count_data(u8 operation)
{
	backend.reads += operation == BLKIF_READ;
	backend.writes += operation == BLKIF_WRITE;
	backend.barriers += operation == BLKIF_BARRIER;
	backend.flushes += operation == BLKIF_FLUSH;
}

static s16 execute(const union blkif_req *request, u8 *operation)
{
	*operation = request->operation;
	if (request->operation == BLKIF_INDIRECT)
		*operation = request->indirect.indirect_operation;
	if (backend.mood == BACKEND_ERROR)
		return BLKIF_ERROR;
	if (backend.mood == BACKEND_REFUSES)
		return BLKIF_NOT_SUPPORTED;
	count_data(*operation);
	switch (request->operation) {
	case BLKIF_READ:
	case BLKIF_WRITE:
	case BLKIF_BARRIER:
	case BLKIF_FLUSH:
		return transfer(*operation, request->rw.sector, request->rw.segment,
				request->rw.segments);
	case BLKIF_INDIRECT:
		return transfer_indirect(&request->indirect);
	case BLKIF_DISCARD:
	case BLKIF_WRITE_ZEROES:
		return clear(&request->discard);
	}
	backend.faults++;
	return BLKIF_ERROR;
}

static void respond(struct xen_back *ring, const union blkif_req *request)
{
	struct blkif_rsp response = {.id = request->rw.id};
	struct xen_ring_header *header = (void *)ring->ring.header;

	response.status = execute(request, &response.operation);
	if (backend.mood == BACKEND_BAD_STATUS)
		response.status = 17;
	if (backend.mood == BACKEND_BAD_ID)
		response.id = 1ULL << 40;
	if (backend.mood == BACKEND_TWICE)
		response.id = self.last_id;
	if (backend.mood == BACKEND_BAD_OPERATION)
		response.operation ^= 1;
	if (backend.mood == BACKEND_DIES)
		return;
	xen_back_answer(ring, &response, sizeof(response));
	xen_back_publish(ring);
	if (backend.mood == BACKEND_TOO_MANY)
		order_store_release(&header->rsp_prod, ring->rsp_prod + 300);
	self.last_id = request->rw.id;
}

static void storm(void)
{
	unsigned int i;

	for (i = 0; i < backend.queues * STORM; i++)
		fake_notify(self.port[i % backend.queues]);
}

/* False: nothing to do. */
static bool serve(void)
{
	union blkif_req request;
	bool worked = false;
	unsigned int i;

	for (i = 0; i < backend.queues; i++) {
		struct xen_back *ring = &self.ring[i];

		if (READ_ONCE(backend.mood) == BACKEND_SILENT)
			return false;
		while (xen_back_take(ring, &request, sizeof(request)) == XEN_RING_FOUND) {
			respond(ring, &request);
			backend.taken[i]++;
			worked = true;
		}
		if (xen_back_should_notify(ring) && backend.mood != BACKEND_LOSES_NOTIFICATION)
			fake_notify(self.port[i]);
	}
	return worked;
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool map_ring(unsigned int i, const char *directory)
{
	struct xen_ring_area area = {.slot_bytes = BLKIF_SLOT_BYTES};
	struct xen_ring_position start = {};
	unsigned int page;
	char key[48];

	self.port[i] = 0;
	for (page = 0; page < self.ring_pages; page++) {
		u8 *mapped;

		snprintf(key, sizeof(key), self.ring_pages > 1 ? "%sring-ref%u" : "%sring-ref",
			 directory, page);
		self.ring_reference[i][page] = ask(key, 0);
		mapped = pin(self.ring_reference[i][page], true);
		if (!mapped)
			return false;
		hold(self.ring_reference[i][page]);
		if (!page)
			area.pages = mapped;
		/* The front-end's are in one piece; nobody has to rely on it but this test. */
		if (mapped != (u8 *)area.pages + page * PAGE_SIZE)
			return false;
	}
	area.bytes = self.ring_pages * PAGE_SIZE;
	snprintf(key, sizeof(key), "%sevent-channel", directory);
	self.port[i] = ask(key, 0);
	return self.port[i] && !xen_back_init(&self.ring[i], &area, start);
}

static bool connect(void)
{
	unsigned int count = ask(STORE_KEY_NUM_QUEUES, 1), i;

	self.ring_pages = 1U << ask(BLKIF_KEY_RING_PAGE_ORDER, 0);
	self.persistent = backend.offer.persistent && ask(BLKIF_KEY_PERSISTENT, 0);
	if (!count || count > BACKEND_QUEUES_MAX || self.ring_pages > 16)
		return false;
	for (i = 0; i < count; i++) {
		char directory[16] = "";

		if (count > 1)
			snprintf(directory, sizeof(directory), "queue-%u/", i);
		if (!map_ring(i, directory))
			return false;
	}
	backend.queues = count;
	return true;
}

static void disconnect(void)
{
	backend.queues = 0;
	unhold_all();
}

static void show_disk(void)
{
	if (backend.offer.sectors)
		fake_store_set(BACKEND_BACK "/sectors", backend.offer.sectors);
	else
		say(BLKIF_KEY_SECTORS, BACKEND_SECTORS);
	say(BLKIF_KEY_SECTOR_SIZE, backend.offer.sector_size ?: 512);
	say(BLKIF_KEY_INFO, backend.offer.info);
	fake_store_set(BACKEND_BACK "/serial", backend.offer.serial ?: "a b\nc");
	backend.connections++;
	enter(STORE_STATE_CONNECTED);
}

/* False: nothing happened. */
static bool step(void)
{
	enum store_state front = ask(STORE_KEY_STATE, STORE_STATE_UNKNOWN);

	switch (backend.state) {
	case STORE_STATE_INITIALISING:
		offer();
		return true;
	case STORE_STATE_INIT_WAIT:
		if (front != STORE_STATE_INITIALISED)
			return false;
		if (connect()) {
			show_disk();
		} else {
			backend.faults++;
			enter(STORE_STATE_CLOSED);
		}
		return true;
	case STORE_STATE_CONNECTED:
	case STORE_STATE_CLOSING:
		if (serve())
			return true;
		/* Its Closed, around a suspend, may have been too short to be seen. */
		if (front != STORE_STATE_CLOSING && front != STORE_STATE_CLOSED &&
		    front != STORE_STATE_INITIALISING)
			return false;
		if (backend.mood != BACKEND_KEEPS_PAGES)
			disconnect();
		enter(STORE_STATE_CLOSED);
		return true;
	case STORE_STATE_CLOSED:
		if (front != STORE_STATE_INITIALISING)
			return false;
		enter(STORE_STATE_INITIALISING);
		return true;
	default:
		return false;
	}
}

static int run(void *context)
{
	bool worked;

	while (!kthread_should_stop()) {
		mutex_lock(&self.lock);
		worked = step();
		if (READ_ONCE(backend.storms))
			storm();
		mutex_unlock(&self.lock);
		if (worked || backend.queues)
			yield();
		else
			schedule_timeout_interruptible(1);
	}
	return 0;
}

/* ---- the tests' hands ------------------------------------------------------------------------ */

int backend_start(const struct backend_offer *offer)
{
	memset(&backend, 0, sizeof(backend));
	bitmap_zero(self.held, FAKE_GRANTS);
	backend.offer = *offer;
	backend.image = vzalloc(IMAGE_BYTES);
	if (!backend.image)
		return -ENOMEM;
	say(STORE_KEY_ONLINE, 1);
	enter(STORE_STATE_INITIALISING);
	if (offer->device_type)
		fake_store_set(BACKEND_FRONT "/device-type", offer->device_type);
	if (offer->trusted)
		fake_store_set(BACKEND_FRONT "/trusted", offer->trusted);
	fake_store_set(BACKEND_FRONT "/state", "1");
	fake_store_set(BACKEND_FRONT "/backend-id", "0");
	fake_store_set(BACKEND_FRONT "/backend", BACKEND_BACK);
	self.thread = kthread_run(run, NULL, "fake-blk");
	return PTR_ERR_OR_ZERO(self.thread);
}

void backend_stop(void)
{
	if (!backend.image)
		return;
	kthread_stop(self.thread);
	disconnect();
	vfree(backend.image);
	backend.image = NULL;
}

void backend_unplug(void)
{
	mutex_lock(&self.lock);
	say(STORE_KEY_ONLINE, 0);
	enter(STORE_STATE_CLOSING);
	mutex_unlock(&self.lock);
}

void backend_vanish(void)
{
	mutex_lock(&self.lock);
	say(STORE_KEY_ONLINE, 0);
	disconnect();
	enter(STORE_STATE_CLOSED);
	mutex_unlock(&self.lock);
}

void backend_replace(void)
{
	mutex_lock(&self.lock);
	/* What a dead one used, nobody lets go of. */
	backend.queues = 0;
	if (backend.mood != BACKEND_DIES)
		disconnect();
	offer();
	mutex_unlock(&self.lock);
}

void backend_resize(unsigned int sectors)
{
	mutex_lock(&self.lock);
	say(BLKIF_KEY_SECTORS, sectors);
	enter(STORE_STATE_CONNECTED);
	mutex_unlock(&self.lock);
}

void backend_forgive(void)
{
	mutex_lock(&self.lock);
	WRITE_ONCE(backend.mood, BACKEND_GOOD);
	unhold_all();
	mutex_unlock(&self.lock);
}

unsigned int backend_waiting(void)
{
	unsigned int waiting = 0, i;

	mutex_lock(&self.lock);
	for (i = 0; i < backend.queues; i++)
		waiting += xen_back_waiting(&self.ring[i], ~0U);
	mutex_unlock(&self.lock);
	return waiting;
}
