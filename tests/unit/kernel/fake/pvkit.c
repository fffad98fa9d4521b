// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Grants, events and states without a bus. Each event has a thread, on which its handler is called; a
 * notification of either side is a word that is set, relaxed: it orders nothing.
 */
#include "tests/unit/kernel/fake/pvkit.h"

#include <sched.h>

/* ---- grants ---------------------------------------------------------------------------------- */

#define GRANTS 8192

/* In one word, as the real ones: what is permitted, and how often it is mapped. */
#define PERMIT   1U
#define READONLY 2U
#define MAPPED   4U

static struct grant {
	u32 word;
	struct page *page;
	bool given_up; /* under the lock */
} grant[GRANTS];

static struct {
	pthread_mutex_t lock;
	u32 free[GRANTS], count;
	bool begun;
} grants_all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void begin(void)
{
	u32 i;

	if (grants_all.begun)
		return;
	grants_all.begun = true;
	for (i = GRANTS - 1; i; i--)
		grants_all.free[grants_all.count++] = i;
}

int pvkit_grants_open(struct pvkit_grants *grants, u16 domain, unsigned int size)
{
	int ret = -ENOSPC;

	pthread_mutex_lock(&grants_all.lock);
	begin();
	if (size <= grants_all.count) {
		grants->reference = calloc(size, sizeof(u32));
		grants->free = grants->size = size;
		grants->domain = domain;
		grants_all.count -= size;
		memcpy(grants->reference, &grants_all.free[grants_all.count], size * sizeof(u32));
		ret = 0;
	}
	pthread_mutex_unlock(&grants_all.lock);
	return ret;
}

void pvkit_grants_close(struct pvkit_grants *grants)
{
	pthread_mutex_lock(&grants_all.lock);
	while (grants->free)
		grants_all.free[grants_all.count++] = pvkit_grants_take(grants);
	pthread_mutex_unlock(&grants_all.lock);
	free(grants->reference);
	grants->reference = NULL;
}

void pvkit_grant_give(u32 reference, u16 domain, struct page *page, bool readonly)
{
	if (!reference || READ_ONCE(grant[reference].word))
		abort();
	WRITE_ONCE(grant[reference].page, page);
	WRITE_ONCE(grant[reference].word, PERMIT | (readonly ? READONLY : 0));
}

int pvkit_grant_end(u32 reference)
{
	u32 word = READ_ONCE(grant[reference].word);

	do {
		if (word >= MAPPED)
			return -EBUSY;
		/* Ending what is not given is a fault of the driver. */
		if (!word)
			abort();
	} while (!__atomic_compare_exchange_n(&grant[reference].word, &word, 0, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return 0;
}

void pvkit_grant_end_later(u32 reference, struct page *page)
{
	pthread_mutex_lock(&grants_all.lock);
	grant[reference].given_up = true;
	pthread_mutex_unlock(&grants_all.lock);
}

void *fake_map(u32 reference, bool write)
{
	u32 word = reference < GRANTS ? READ_ONCE(grant[reference].word) : 0;

	do {
		if (!word || (write && word & READONLY))
			return NULL;
	} while (!__atomic_compare_exchange_n(&grant[reference].word, &word, word + MAPPED, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return page_address(READ_ONCE(grant[reference].page));
}

void fake_unmap(u32 reference)
{
	__atomic_fetch_sub(&grant[reference].word, MAPPED, __ATOMIC_RELEASE);
}

/* ---- rings ----------------------------------------------------------------------------------- */

#define CLOSED 1024

/* The back-end may still have them. */
static struct {
	void *pages[CLOSED];
	unsigned int count;
} closed;

int pvkit_shared_open(struct pvkit_shared *shared, u16 domain, unsigned int order)
{
	shared->count = 1U << order;
	shared->pages = aligned_alloc(PAGE_SIZE, (size_t)PAGE_SIZE << order);
	memset(shared->pages, 0, (size_t)PAGE_SIZE << order);
	return 0;
}

void pvkit_shared_close(struct pvkit_shared *shared)
{
	pthread_mutex_lock(&grants_all.lock);
	if (closed.count == CLOSED)
		abort();
	if (shared->pages)
		closed.pages[closed.count++] = shared->pages;
	pthread_mutex_unlock(&grants_all.lock);
	shared->pages = NULL;
}

bool fake_settle(void)
{
	u32 i;
	bool all;

	pthread_mutex_lock(&grants_all.lock);
	for (i = 1; i < GRANTS; i++) {
		if (!grant[i].given_up || pvkit_grant_end(i))
			continue;
		grant[i].given_up = false;
		put_page(grant[i].page);
		grants_all.free[grants_all.count++] = i;
	}
	while (closed.count)
		free(closed.pages[--closed.count]);
	all = !grants_all.begun || grants_all.count == GRANTS - 1;
	pthread_mutex_unlock(&grants_all.lock);
	return all;
}

/* ---- events ---------------------------------------------------------------------------------- */

#define PORTS 4096

static struct port {
	u32 rung, doorbell; /* words of the notifications */
	bool closing;
	pthread_t thread;
	irq_handler_t handler;
	void *context;
} port[PORTS];

static void *interrupt_thread(void *argument)
{
	struct port *mine = argument;

	while (!__atomic_load_n(&mine->closing, __ATOMIC_ACQUIRE)) {
		if (__atomic_exchange_n(&mine->rung, 0, __ATOMIC_RELAXED))
			mine->handler(0, mine->context);
		else
			sched_yield();
	}
	return NULL;
}

int pvkit_event_open(struct pvkit_device *device, struct pvkit_event *event, irq_handler_t handler,
		     const char *name, void *context, int vcpu)
{
	static u32 ports = 1;
	struct port *new = &port[ports];

	if (ports == PORTS)
		return -ENOSPC;
	new->handler = handler;
	new->context = context;
	event->port = ports++;
	event->doorbell = &new->doorbell;
	/* The first one comes when it is bound. */
	WRITE_ONCE(new->rung, 1);
	return pthread_create(&new->thread, NULL, interrupt_thread, new) ? -ENOMEM : 0;
}

void pvkit_event_close(struct pvkit_event *event)
{
	struct port *mine = &port[event->port];

	if (!event->port)
		return;
	__atomic_store_n(&mine->closing, true, __ATOMIC_RELEASE);
	pthread_join(mine->thread, NULL);
	*event = (struct pvkit_event){.port = 0};
}

void pvkit_event_worked(const struct pvkit_event *event)
{
}

void fake_interrupt(u32 number)
{
	WRITE_ONCE(port[number].rung, 1);
}

bool fake_notified(u32 number)
{
	return __atomic_exchange_n(&port[number].doorbell, 0, __ATOMIC_RELAXED);
}

/* ---- states ---------------------------------------------------------------------------------- */

struct workqueue_struct *pvkit_workers;
unsigned long fake_failures;

int __pvkit_driver_register(struct pvkit_driver *driver, struct module *owner)
{
	return 0;
}

void pvkit_driver_unregister(struct pvkit_driver *driver)
{
}

void pvkit_device_ask_again(struct pvkit_device *device, int error)
{
	abort();
}

int pvkit_device_switch(struct pvkit_device *device, enum store_state state)
{
	device->state = state;
	return 0;
}

void pvkit_device_switch_soon(struct pvkit_device *device, enum store_state state)
{
	pvkit_device_switch(device, state);
}

int pvkit_device_await(struct pvkit_device *device, unsigned int states, unsigned int milliseconds)
{
	return 0;
}

void pvkit_device_fail(struct pvkit_device *device, int error, const char *format, ...)
{
	__atomic_fetch_add(&fake_failures, 1, __ATOMIC_RELAXED);
	pvkit_device_switch(device, STORE_STATE_CLOSING);
}
