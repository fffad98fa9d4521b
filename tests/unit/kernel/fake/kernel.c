// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Works and pages.
 */
#include "tests/unit/kernel/kernel.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

unsigned long fake_jiffies(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000UL + now.tv_nsec / 1000000UL;
}

void usleep_range(unsigned long least, unsigned long most)
{
	usleep(least);
}

/* ---- works ----------------------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread; /* for the life of the process */
	bool started;
	struct work_struct *first, *running;
} works = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct work_struct **place_of(const struct work_struct *work)
{
	struct work_struct **place = &works.first;

	while (*place && *place != work)
		place = &(*place)->next;
	return place;
}

static void take_out(struct work_struct *work)
{
	struct work_struct **place = place_of(work);

	if (*place)
		*place = work->next;
	work->pending = false;
}

static struct work_struct *due_work(void)
{
	struct work_struct *work = works.first;

	while (work && time_after(work->due, jiffies))
		work = work->next;
	return work;
}

static void wait_for_work(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 10000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&works.changed, &works.lock, &until);
}

static void *work_thread(void *argument)
{
	pthread_mutex_lock(&works.lock);
	for (;;) {
		struct work_struct *work = due_work();

		if (!work) {
			wait_for_work();
			continue;
		}
		take_out(work);
		works.running = work;
		pthread_mutex_unlock(&works.lock);
		work->function(work);
		pthread_mutex_lock(&works.lock);
		works.running = NULL;
		pthread_cond_broadcast(&works.changed);
	}
	return NULL;
}

bool fake_queue_work(struct work_struct *work, unsigned long delay, bool again)
{
	bool was_pending;

	pthread_mutex_lock(&works.lock);
	if (!works.started && pthread_create(&works.thread, NULL, work_thread, NULL))
		abort();
	works.started = true;
	was_pending = work->pending;
	if (again && was_pending)
		take_out(work);
	if (!work->pending) {
		work->pending = true;
		work->due = jiffies + delay;
		work->next = works.first;
		works.first = work;
	}
	pthread_cond_broadcast(&works.changed);
	pthread_mutex_unlock(&works.lock);
	return !was_pending;
}

bool cancel_work_sync(struct work_struct *work)
{
	bool was_pending;

	pthread_mutex_lock(&works.lock);
	was_pending = work->pending;
	take_out(work);
	while (works.running == work)
		pthread_cond_wait(&works.changed, &works.lock);
	/* It may have queued itself. */
	take_out(work);
	pthread_mutex_unlock(&works.lock);
	return was_pending;
}

void fake_timer_work(struct work_struct *work)
{
	struct timer_list *timer = container_of(work, struct timer_list, work);

	timer->function(timer);
}

/* ---- pages ----------------------------------------------------------------------------------- */

#define PAGES  4096
#define POISON 0x5a

static char memory[PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static struct page map[PAGES];
static struct {
	pthread_mutex_t lock;
	struct page *free;
	unsigned int fresh; /* of @map, were used once */
	unsigned int used;
} pages = {.lock = PTHREAD_MUTEX_INITIALIZER};

char *kasprintf(gfp_t gfp, const char *format, ...)
{
	char *text;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

struct page *fake_alloc_page(void)
{
	struct page *page;

	pthread_mutex_lock(&pages.lock);
	page = pages.free;
	if (page)
		pages.free = page->next;
	else if (pages.fresh < PAGES)
		page = &map[pages.fresh++];
	else
		abort();
	pages.used++;
	pthread_mutex_unlock(&pages.lock);
	WRITE_ONCE(page->references, 1);
	memset(page_address(page), 0, PAGE_SIZE);
	return page;
}

void put_page(struct page *page)
{
	int left = __atomic_sub_fetch(&page->references, 1, __ATOMIC_ACQ_REL);

	if (left < 0)
		abort();
	if (left)
		return;
	memset(page_address(page), POISON, PAGE_SIZE);
	pthread_mutex_lock(&pages.lock);
	page->next = pages.free;
	pages.free = page;
	pages.used--;
	pthread_mutex_unlock(&pages.lock);
}

void *page_address(const struct page *page)
{
	return memory[page - map];
}

struct page *virt_to_page(const void *address)
{
	return &map[((const char *)address - memory[0]) / PAGE_SIZE];
}

unsigned int fake_pages_used(void)
{
	unsigned int used;

	pthread_mutex_lock(&pages.lock);
	used = pages.used;
	pthread_mutex_unlock(&pages.lock);
	return used;
}
