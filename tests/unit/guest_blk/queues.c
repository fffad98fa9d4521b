// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The block driver's queues on several CPUs (tests/unit/kernel has the kernel): its own handshake,
 * queues, requests, completions and ends of a disk, with its own locks. Threads are
 *
 *	senders		CPUs that send, complete what came back to them, and poll
 *	interrupts	one an event
 *	timeouts	look at all that is out, all the time
 *	back-ends	one a queue; the test kills them in the middle of a request
 *	works		of the driver: retirement
 *	the bus		this one: another back-end, a suspend, the end
 *
 * What a write carries and a read brings is compared, so a page that came or went too early shows
 * without a sanitizer too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <unistd.h>

#include "guest-drivers/blk/blk.h"
#include "tests/unit/kernel/fake/pvkit.h"

#define SENDERS  3
#define TAGS     12 /* a sender */
#define QUEUES   2 /* the second is polled */
#define SEGMENTS 16
#define PAGES    24 /* under way in a queue: too few, so it stops and starts */
#define DEADLINE 120 /* seconds; it takes a few */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 30
#define EACH   300 /* requests in a round, all together, before the bus does something */
#else
#define ROUNDS 60
#define EACH   500
#endif

/* One that a sender sends, again and again. */
struct tag {
	struct request *rq;
	struct bio bio;
	struct page *page[SEGMENTS];
	bool sent;
};

struct back {
	pthread_t thread;
	pthread_mutex_t lock; /* held while it uses pages; ->dead */
	bool dead, running, hostile;
	struct xen_back ring;
	u32 port;
	struct blkif_segment segment[SEGMENTS]; /* of the request at hand */
};

static struct {
	struct pvkit_device device;
	struct pvd *pvd;
	bool pooled, persistent; /* terms of the next back-end */
	struct tag tag[SENDERS][TAGS];
	struct back back[QUEUES];
	pthread_t sender[SENDERS], timer;
	bool over; /* no new requests; and an end to timeouts */
	/* Requests fail while their pages are in use: nobody looks at data any more. */
	bool hostile;
	unsigned long served, failed, ended;
	const char *fault;
} all;

#define count(field) __atomic_add_fetch(&all.field, 1, __ATOMIC_RELAXED)

static void fault(const char *text)
{
	if (!READ_ONCE(all.hostile))
		WRITE_ONCE(all.fault, text);
}

/* ---- the back-end ---------------------------------------------------------------------------- */

static u64 pattern(u64 sector, unsigned int segment)
{
	return sector * 1000 + segment;
}

/* Both ends of each part, so that none is looked at before or behind its time. */
static void use(u8 *part, unsigned int bytes, bool read, u64 value)
{
	u64 *first = (u64 *)part, *last = (u64 *)(part + bytes - 8);

	if (read) {
		*first = value;
		*last = value;
	} else if (*first != value || *last != value) {
		fault("the back-end finds other data than were written");
	}
}

static void use_segments(struct back *back, unsigned int segments, bool read, u64 sector)
{
	unsigned int i;

	for (i = 0; i < segments; i++) {
		struct blkif_segment *segment = &back->segment[i];
		unsigned int at = segment->first_sector * 512U;
		u8 *page = fake_map(segment->grant, read);

		if (!page) {
			fault("a segment without a grant");
			segment->grant = 0;
			continue;
		}
		use(page + at, (segment->last_sector + 1) * 512U - at, read, pattern(sector, i));
	}
}

static unsigned int take_segments(struct back *back, const union blkif_req *request)
{
	const void *page;
	unsigned int segments;

	if (request->rw.operation != BLKIF_INDIRECT) {
		memcpy(back->segment, request->rw.segment, sizeof(request->rw.segment));
		return request->rw.segments;
	}
	segments = request->indirect.segments;
	page = fake_map(request->indirect.page_grant[0], false);
	if (!page || segments > SEGMENTS) {
		fault("an indirect request without its page");
		return 0;
	}
	memcpy(back->segment, page, segments * sizeof(*back->segment));
	fake_unmap(request->indirect.page_grant[0]);
	return segments;
}

/* False: it died. Then it may hold pages for a while, but uses them no more. */
static bool serve(struct back *back, const union blkif_req *request)
{
	struct blkif_rsp response = {.id = request->rw.id, .operation = request->rw.operation};
	unsigned int segments = 0, i;
	bool dead;

	if (response.operation == BLKIF_INDIRECT)
		response.operation = request->indirect.indirect_operation;
	pthread_mutex_lock(&back->lock);
	dead = back->dead;
	if (!dead) {
		segments = take_segments(back, request);
		use_segments(back, segments, response.operation == BLKIF_READ, request->rw.sector);
	}
	pthread_mutex_unlock(&back->lock);
	for (i = 0; i < segments; i++) {
		if (request->rw.sector % 8 == 0)
			sched_yield();
		if (back->segment[i].grant)
			fake_unmap(back->segment[i].grant);
	}
	if (dead)
		return false;
	if (READ_ONCE(back->hostile))
		response.id ^= 0x1000;
	xen_back_answer(&back->ring, &response, sizeof(response));
	count(served);
	return true;
}

static bool dead(struct back *back)
{
	bool answer;

	pthread_mutex_lock(&back->lock);
	answer = back->dead;
	pthread_mutex_unlock(&back->lock);
	return answer;
}

static void back_publish(struct back *back)
{
	xen_back_publish(&back->ring);
	if (xen_back_should_notify(&back->ring))
		fake_interrupt(back->port);
}

static void *back_thread(void *argument)
{
	struct back *back = argument;
	union blkif_req request;
	unsigned int taken = 0;

	while (!dead(back)) {
		if (xen_back_take(&back->ring, &request, sizeof(request)) == XEN_RING_FOUND) {
			if (!serve(back, &request))
				break;
			if (++taken % 3 == 0)
				back_publish(back);
			continue;
		}
		back_publish(back);
		if (xen_back_events_enable(&back->ring))
			continue;
		while (!fake_notified(back->port) && !dead(back))
			sched_yield();
	}
	return NULL;
}

static void back_start(struct back *back, const struct pvd_queue *queue)
{
	struct xen_ring_position start = {0, 0};
	struct xen_ring_area area = {
		.pages = queue->shared.pages,
		.bytes = XEN_RING_PAGE_BYTES,
		.slot_bytes = BLKIF_SLOT_BYTES,
	};

	assert_int_equal(xen_back_init(&back->ring, &area, start), 0);
	back->port = queue->event.port;
	back->dead = false;
	back->hostile = false;
	back->running = true;
	assert_int_equal(pthread_create(&back->thread, NULL, back_thread, back), 0);
}

static void backs_die(void)
{
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		pthread_mutex_lock(&all.back[i].lock);
		all.back[i].dead = true;
		pthread_mutex_unlock(&all.back[i].lock);
	}
}

static void backs_bury(void)
{
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		if (all.back[i].running)
			pthread_join(all.back[i].thread, NULL);
		all.back[i].running = false;
	}
}

/* ---- keys.c and disk.c ----------------------------------------------------------------------- */

int pvd_read_terms(struct pvd *pvd, struct terms *terms)
{
	*terms = (struct terms){
		.queues = QUEUES,
		.poll_queues = 1,
		.segments = SEGMENTS,
		.descriptor_pages = 1,
		.pages = PAGES,
		.pooled = all.pooled,
		.persistent = all.persistent,
		.flush = true,
	};
	return 0;
}

int pvd_write_queues(struct pvd *pvd)
{
	unsigned int i;

	backs_bury();
	for (i = 0; i < QUEUES; i++)
		back_start(&all.back[i], &pvd->queue[i]);
	return 0;
}

int pvd_read_disk(struct pvd *pvd, struct terms_disk *disk, const char **why)
{
	*disk = (struct terms_disk){.sectors = 1 << 20, .sector_size = 512};
	*why = NULL;
	return 0;
}

void pvd_read_serial(struct pvd *pvd)
{
}

bool pvd_unplugged(struct pvd *pvd)
{
	return true;
}

enum store_state pvd_backend_state(struct pvd *pvd)
{
	return STORE_STATE_CONNECTED;
}

static const struct blk_mq_ops operations = {
	.queue_rq = pvd_queue_rq,
	.commit_rqs = pvd_commit_rqs,
	.complete = pvd_complete,
	.poll = pvd_poll,
	.timeout = pvd_timed_out,
};

int pvd_disk_create(struct pvd *pvd)
{
	pvd->disk = fake_disk_new(&operations);
	pvd_disk_map(pvd);
	return 0;
}

int pvd_disk_show(struct pvd *pvd)
{
	return 0;
}

void pvd_disk_map(struct pvd *pvd)
{
	unsigned int i;

	for (i = 0; i < QUEUES; i++)
		WRITE_ONCE(pvd->disk->queue->hctx[i].driver_data, &pvd->queue[i]);
}

int pvd_disk_update(struct pvd *pvd)
{
	return 0;
}

void pvd_disk_resize(struct pvd *pvd, u64 sectors)
{
}

static void threads_end(void);

void pvd_disk_hide(struct pvd *pvd)
{
	threads_end();
}

void pvd_disk_free(struct pvd *pvd)
{
	fake_disk_free(pvd->disk);
	pvd->disk = NULL;
}

/* ---- senders --------------------------------------------------------------------------------- */

/* Parts of their own pages, but for the first two, which lie one behind the other in one. */
static void fill_bio(struct tag *tag, unsigned int parts)
{
	unsigned int i;

	tag->bio.count = parts;
	for (i = 0; i < parts; i++) {
		tag->bio.vec[i].bv_page = tag->page[i == 1 ? 0 : i];
		tag->bio.vec[i].bv_offset = i < 2 && parts > 1 ? 2048 * i : 512;
		tag->bio.vec[i].bv_len = i < 2 && parts > 1 ? 2048 : 1024;
	}
}

/* What one segment of the wire has: the first two parts are one. */
static void touch_data(struct tag *tag, bool fill)
{
	struct bio_vec *vec = tag->bio.vec;
	unsigned int i, segment;

	for (i = 0, segment = 0; i < tag->bio.count; i++, segment++) {
		unsigned int bytes = vec[i].bv_len;
		u8 *part = (u8 *)page_address(vec[i].bv_page) + vec[i].bv_offset;

		if (!i && tag->bio.count > 1) {
			bytes += vec[1].bv_len;
			i++;
		}
		use(part, bytes, fill, pattern(tag->rq->sector, segment));
	}
}

/* Some are built in vain: they have a part of no whole sectors. */
static bool is_wrong(const struct tag *tag)
{
	return tag->rq->bio && tag->rq->sector % 16 == 2;
}

static void send_one(struct tag *tag, unsigned int me, u64 number)
{
	static const unsigned int kinds[] = {REQ_OP_READ, REQ_OP_WRITE, REQ_OP_WRITE, REQ_OP_FLUSH};
	unsigned int kind = kinds[number % 4];

	tag->rq->cmd_flags = kind;
	tag->rq->sector = number;
	tag->rq->bio = kind == REQ_OP_FLUSH ? NULL : &tag->bio;
	fill_bio(tag, 1 + number % 7 * 2);
	if (is_wrong(tag))
		tag->bio.vec[tag->bio.count - 1].bv_len = 1000;
	if (kind == REQ_OP_WRITE && !READ_ONCE(all.hostile))
		touch_data(tag, true);
	tag->sent = true;
	fake_submit(tag->rq, me);
}

static void end_one(struct tag *tag)
{
	tag->sent = false;
	count(ended);
	if (is_wrong(tag) != !!tag->rq->result)
		count(failed);
	else if (!tag->rq->result && req_op(tag->rq) == REQ_OP_READ && !READ_ONCE(all.hostile))
		touch_data(tag, false);
}

/* The last one uses the polled queue, the first the other, and the middle one both. */
static void *sender_thread(void *argument)
{
	unsigned int me = (unsigned int)(uintptr_t)argument, i, out;
	struct request_queue *q = all.pvd->disk->queue;
	u64 number = me;
	bool over;

	do {
		over = READ_ONCE(all.over);
		for (i = 0, out = 0; i < TAGS; i++) {
			struct tag *tag = &all.tag[me][i];

			if (tag->sent && fake_request_free(tag->rq))
				end_one(tag);
			if (!tag->sent && !over)
				send_one(tag, me, number += SENDERS);
			out += tag->sent;
		}
		for (i = me > 1; i <= (me > 0); i++)
			fake_run_queue(q, i, me, i);
		sched_yield();
	} while (out || !over);
	return NULL;
}

static void *timer_thread(void *argument)
{
	unsigned int i = 0;

	while (!READ_ONCE(all.over)) {
		fake_timeout(all.tag[i % SENDERS][i / SENDERS % TAGS].rq);
		i++;
		sched_yield();
	}
	return NULL;
}

static void tag_new(struct tag *tag, unsigned int queue)
{
	size_t pdu = sizeof(struct pvd_request) + (SEGMENTS + 1) * sizeof(struct pvd_grant);
	unsigned int i;

	tag->rq = fake_request_new(all.pvd->disk->queue, queue, pdu);
	tag->sent = false;
	for (i = 0; i < SEGMENTS; i++)
		tag->page[i] = fake_alloc_page();
}

static void tag_free(struct tag *tag)
{
	unsigned int i;

	free(tag->rq);
	for (i = 0; i < SEGMENTS; i++)
		put_page(tag->page[i]);
}

static void threads_begin(void)
{
	uintptr_t i, j;

	for (i = 0; i < SENDERS; i++)
		for (j = 0; j < TAGS; j++)
			tag_new(&all.tag[i][j], i == 1 ? j % 2 : i / 2);
	for (i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&all.sender[i], NULL, sender_thread, (void *)i), 0);
	assert_int_equal(pthread_create(&all.timer, NULL, timer_thread, NULL), 0);
}

static void threads_end(void)
{
	unsigned int i, j;

	WRITE_ONCE(all.over, true);
	for (i = 0; i < SENDERS; i++)
		pthread_join(all.sender[i], NULL);
	pthread_join(all.timer, NULL);
	for (i = 0; i < SENDERS; i++)
		for (j = 0; j < TAGS; j++)
			tag_free(&all.tag[i][j]);
}

/* ---- the bus --------------------------------------------------------------------------------- */

static void begin(void)
{
	memset(&all, 0, sizeof(all));
	for (unsigned int i = 0; i < QUEUES; i++)
		pthread_mutex_init(&all.back[i].lock, NULL);
	WRITE_ONCE(fake_failures, 0);
	assert_int_equal(pvd_driver.probe(&all.device), 0);
	all.pvd = dev_get_drvdata(&all.device.dev);
	pvd_driver.backend_changed(&all.device, STORE_STATE_INIT_WAIT);
	pvd_driver.backend_changed(&all.device, STORE_STATE_CONNECTED);
	assert_int_equal(all.device.state, STORE_STATE_CONNECTED);
	threads_begin();
}

static void wait_until(const unsigned long *counter, unsigned long until)
{
	while (READ_ONCE(*counter) < until)
		usleep_range(200, 200);
}

static void wait_for(const unsigned long *counter, unsigned long more)
{
	wait_until(counter, READ_ONCE(*counter) + more);
}

/* The disk is gone: nothing is left of it. */
static void end(void)
{
	backs_die();
	backs_bury();
	pvd_driver.backend_changed(&all.device, STORE_STATE_CLOSED);
	assert_int_equal(all.device.state, STORE_STATE_CLOSED);
	pvd_driver.remove(&all.device);
	assert_true(fake_settle());
	assert_int_equal(fake_pages_used(), 0);
	if (all.fault)
		fail_msg("%s", all.fault);
}

/* Another back-end takes over, of another kind, with and without a suspend before. */
static void test_back_ends_come_and_go(void **state)
{
	unsigned int round;

	begin();
	for (round = 1; round < ROUNDS; round++) {
		wait_for(&all.served, EACH);
		all.pooled = round % 3;
		all.persistent = round % 3 == 1;
		if (round % 4 == 0)
			pvd_driver.suspend(&all.device);
		backs_die();
		if (round % 4 == 0)
			pvd_driver.resume(&all.device);
		pvd_driver.backend_changed(&all.device, STORE_STATE_INIT_WAIT);
		pvd_driver.backend_changed(&all.device, STORE_STATE_CONNECTED);
		assert_int_equal(all.device.state, STORE_STATE_CONNECTED);
	}
	wait_for(&all.served, EACH);
	/* In order: all that is out is answered. */
	pvd_driver.backend_changed(&all.device, STORE_STATE_CLOSING);
	assert_int_equal(all.failed, 0);
	assert_int_equal(fake_failures, 0);
	end();
}

/* A back-end breaks the protocol on one queue while both are busy: all fails, once. */
static void test_hostile_back_end(void **state)
{
	unsigned int round;

	for (round = 0; round < ROUNDS / 5; round++) {
		begin();
		wait_for(&all.served, EACH);
		WRITE_ONCE(all.hostile, true);
		WRITE_ONCE(all.back[round % QUEUES].hostile, true);
		wait_for(&all.failed, EACH);
		/* Requests may fail before the disk does. */
		wait_until(&fake_failures, 1);
		pvd_driver.backend_changed(&all.device, STORE_STATE_CLOSING);
		end();
		assert_int_equal(fake_failures, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back_ends_come_and_go),
		cmocka_unit_test(test_hostile_back_end),
	};

	alarm(DEADLINE);
	return cmocka_run_group_tests_name("block front-end, queues", tests, NULL, NULL);
}
