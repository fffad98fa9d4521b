// SPDX-License-Identifier: GPL-2.0
/*
 * Grants: which pages the back-ends may touch. Version 1 of the table (abi/grant_table.h).
 *
 * Two levels, so that requests never meet a lock that queues share. Here: who has which reference,
 * a free list under one lock, touched when queues come and go. Above, in struct pvkit_grants: a
 * stack of references for each queue, under the queue's own lock. Giving a page is then three
 * stores, and taking it back one locked operation on an entry that nobody else of ours touches.
 *
 * A back-end may keep using a page for as long as it likes. Then neither the page nor the reference
 * may ever be used for something else: both go to the waiting list, which is tried again from time
 * to time, forever.
 *
 * An entry's other writer is a back-end on another CPU, also where this guest has only one: the
 * operations are the sync_ ones, whose lock prefix is never patched away.
 */
#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <asm/barrier.h>
#include <asm/sync_bitops.h>

#include "guest-kernel-module/grant_table.h"
#include "guest-kernel-module/platform.h"
#include "guest-kernel-module/pvkit.h"

#define IN_USE (GRANT_READING | GRANT_WRITING)
/*
 * A back-end that flips its flags between our look and our exchange cannot hold a CPU for longer.
 */
#define END_TRIES 8
#define RETRY_FIRST (HZ / 50 + 1)
#define RETRY_LAST  HZ

/* What we know of a reference beside its entry. */
struct reference {
	u32 next; /* in the free list or the waiting list */
	struct page *page; /* waiting list */
};

static struct {
	struct grant_v1 *entry;
	u32 size;
	struct reference *reference;
	spinlock_t lock; /* all below, and struct reference */
	u32 free_head; /* 0: none */
	u32 free;
	u32 waiting_head;
	u32 waiting;
	u32 lost;
	unsigned long retry;
	bool stopping;
	struct delayed_work work;
} table = {
	.lock = __SPIN_LOCK_UNLOCKED(table.lock),
};

/* ---- entries --------------------------------------------------------------------------------- */

void pvkit_grant_give(u32 reference, u16 domain, struct page *page, bool readonly)
{
	struct grant_v1 *entry = &table.entry[reference];

	WRITE_ONCE(entry->frame, (u32)page_to_pfn(page));
	WRITE_ONCE(entry->domain, domain);
	/* Pairs with the back-end's read of flags and domain, before it looks at the frame. */
	virt_store_release(&entry->flags,
			   (u16)(GRANT_PERMIT_ACCESS | (readonly ? GRANT_READONLY : 0)));
}
EXPORT_SYMBOL_GPL(pvkit_grant_give);

int pvkit_grant_end(u32 reference)
{
	struct grant_v1 *entry = &table.entry[reference];
	unsigned int tries;
	u16 flags;

	for (tries = 0; tries < END_TRIES; tries++) {
		flags = READ_ONCE(entry->flags);
		if (flags & IN_USE)
			return -EBUSY;
		/* A full barrier: whatever the back-end wrote into the page is there. */
		if (sync_cmpxchg(&entry->flags, flags, 0) == flags)
			return 0;
	}
	return -EBUSY;
}
EXPORT_SYMBOL_GPL(pvkit_grant_end);

/* ---- references ------------------------------------------------------------------------------ */

/* Under the lock. */
static void free_reference(u32 reference)
{
	table.reference[reference].page = NULL;
	table.reference[reference].next = table.free_head;
	table.free_head = reference;
	table.free++;
}

static u32 take_reference(void)
{
	u32 reference = table.free_head;

	if (!reference)
		return 0;
	table.free_head = table.reference[reference].next;
	table.free--;
	return reference;
}

int pvkit_grants_refill(struct pvkit_grants *grants, unsigned int count)
{
	unsigned long flags;
	int result = 0;

	if (WARN_ON_ONCE(count > grants->size - grants->free))
		return -EINVAL;
	spin_lock_irqsave(&table.lock, flags);
	if (count > table.free)
		result = -ENOSPC;
	else
		while (count--)
			grants->reference[grants->free++] = take_reference();
	spin_unlock_irqrestore(&table.lock, flags);
	return result;
}
EXPORT_SYMBOL_GPL(pvkit_grants_refill);

int pvkit_grants_open(struct pvkit_grants *grants, u16 domain, unsigned int size)
{
	int result;

	*grants = (struct pvkit_grants){ .size = size, .domain = domain };
	grants->reference = kvcalloc(size, sizeof(*grants->reference), GFP_KERNEL);
	if (!grants->reference) {
		grants->size = 0;
		return -ENOMEM;
	}
	result = pvkit_grants_refill(grants, size);
	if (result) {
		pr_warn("pvkit: the grant table has %u free references, %u were asked for\n",
			READ_ONCE(table.free), size);
		pvkit_grants_close(grants);
	}
	return result;
}
EXPORT_SYMBOL_GPL(pvkit_grants_open);

void pvkit_grants_close(struct pvkit_grants *grants)
{
	unsigned long flags;

	spin_lock_irqsave(&table.lock, flags);
	while (grants->free)
		free_reference(grants->reference[--grants->free]);
	spin_unlock_irqrestore(&table.lock, flags);
	kvfree(grants->reference);
	*grants = (struct pvkit_grants){};
}
EXPORT_SYMBOL_GPL(pvkit_grants_close);

/* ---- pages that a back-end does not give back ------------------------------------------------ */

void pvkit_grant_end_later(u32 reference, struct page *page)
{
	bool ended = !pvkit_grant_end(reference);
	unsigned long flags;

	spin_lock_irqsave(&table.lock, flags);
	if (ended) {
		free_reference(reference);
	} else {
		table.reference[reference].page = page;
		table.reference[reference].next = table.waiting_head;
		table.waiting_head = reference;
		table.waiting++;
		table.retry = RETRY_FIRST;
		if (!table.stopping)
			mod_delayed_work(system_wq, &table.work, table.retry);
	}
	spin_unlock_irqrestore(&table.lock, flags);
	if (ended)
		put_page(page);
}
EXPORT_SYMBOL_GPL(pvkit_grant_end_later);

/* Takes the waiting list, and puts back what is still in use, unless @forgotten. */
static void end_waiting(bool forgotten)
{
	u32 list, next, reference;
	struct page *page;

	spin_lock_irq(&table.lock);
	list = table.waiting_head;
	table.waiting_head = 0;
	spin_unlock_irq(&table.lock);

	for (reference = list; reference; reference = next) {
		bool ended = !pvkit_grant_end(reference) || forgotten;

		spin_lock_irq(&table.lock);
		next = table.reference[reference].next;
		page = table.reference[reference].page;
		if (ended) {
			table.waiting--;
			free_reference(reference);
		} else {
			table.reference[reference].next = table.waiting_head;
			table.waiting_head = reference;
		}
		spin_unlock_irq(&table.lock);
		if (ended)
			put_page(page);
	}
}

static void retry_waiting(struct work_struct *work)
{
	end_waiting(false);
	spin_lock_irq(&table.lock);
	if (table.waiting && !table.stopping) {
		table.retry = min_t(unsigned long, table.retry * 2, RETRY_LAST);
		mod_delayed_work(system_wq, &table.work, table.retry);
	}
	spin_unlock_irq(&table.lock);
}

/* ---- rings ----------------------------------------------------------------------------------- */

int pvkit_shared_open(struct pvkit_shared *shared, u16 domain, unsigned int order)
{
	struct pvkit_grants grants;
	unsigned int i;
	int result;

	*shared = (struct pvkit_shared){};
	if (WARN_ON_ONCE(1U << order > ARRAY_SIZE(shared->reference)))
		return -EINVAL;
	result = pvkit_grants_open(&grants, domain, 1U << order);
	if (result)
		return result;
	/* Pages of their own, each with its own count: a back-end may keep some of them. */
	shared->pages = alloc_pages_exact(PAGE_SIZE << order, GFP_KERNEL | __GFP_ZERO);
	if (shared->pages) {
		shared->count = 1U << order;
		for (i = 0; i < shared->count; i++) {
			shared->reference[i] = pvkit_grants_take(&grants);
			pvkit_grant_give(shared->reference[i], domain,
					 virt_to_page(shared->pages + i * PAGE_SIZE), false);
		}
	}
	pvkit_grants_close(&grants);
	return shared->pages ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(pvkit_shared_open);

void pvkit_shared_close(struct pvkit_shared *shared)
{
	unsigned int i;

	for (i = 0; i < shared->count; i++)
		pvkit_grant_end_later(shared->reference[i],
				      virt_to_page(shared->pages + i * PAGE_SIZE));
	*shared = (struct pvkit_shared){};
}
EXPORT_SYMBOL_GPL(pvkit_shared_close);

/* ---- the table's life ------------------------------------------------------------------------ */

int pvkit_grants_start(struct pvkit_platform *platform)
{
	u32 reference;

	table.entry = platform->entries;
	table.size = platform->grants;
	table.reference = kvcalloc(table.size, sizeof(*table.reference), GFP_KERNEL);
	if (!table.reference)
		return -ENOMEM;
	INIT_DELAYED_WORK(&table.work, retry_waiting);
	table.free_head = 0;
	table.free = 0;
	table.waiting_head = 0;
	table.waiting = 0;
	table.lost = 0;
	table.stopping = false;
	spin_lock_irq(&table.lock);
	/*
	 * Backwards, so that low references, whose entries lie close together, are given out first.
	 */
	for (reference = table.size; reference-- > GRANTS_RESERVED;) {
		if (pvkit_grant_end(reference))
			table.lost++;
		else
			free_reference(reference);
	}
	spin_unlock_irq(&table.lock);
	if (table.lost)
		pr_warn("pvkit: %u grants of an earlier life are still in use by a back-end\n",
			table.lost);
	return 0;
}

void pvkit_grants_forgotten(void)
{
	end_waiting(true);
}

void pvkit_grants_stop(bool forgotten)
{
	spin_lock_irq(&table.lock);
	table.stopping = true;
	spin_unlock_irq(&table.lock);
	cancel_delayed_work_sync(&table.work);
	end_waiting(forgotten);
	if (table.waiting)
		pr_warn("pvkit: %u pages are lost, a back-end still uses them\n", table.waiting);
	if (table.free + table.waiting + table.lost + GRANTS_RESERVED != table.size)
		pr_warn("pvkit: a driver kept %u grant references\n",
			table.size - GRANTS_RESERVED - table.free - table.waiting - table.lost);
	kvfree(table.reference);
	table.reference = NULL;
	table.size = 0;
}

/* ---- accounting ------------------------------------------------------------------------------ */

void pvkit_grants_count(struct pvkit_grants_count *count)
{
	u32 reference;
	u16 flags;

	*count = (struct pvkit_grants_count){};
	for (reference = GRANTS_RESERVED; reference < table.size; reference++) {
		flags = READ_ONCE(table.entry[reference].flags);
		count->given += (flags & GRANT_TYPE_MASK) != GRANT_INVALID;
		count->used += (flags & GRANT_TYPE_MASK) != GRANT_INVALID && flags & IN_USE;
	}
	spin_lock_irq(&table.lock);
	count->total = table.size > GRANTS_RESERVED ? table.size - GRANTS_RESERVED - table.lost : 0;
	count->reserved = count->total - table.free;
	count->waiting = table.waiting;
	count->lost = table.lost;
	spin_unlock_irq(&table.lock);
}

void pvkit_grants_show(struct seq_file *file)
{
	struct pvkit_grants_count count;
	u32 reference, i;

	pvkit_grants_count(&count);
	seq_printf(file, "total %u\nreserved %u\ngiven %u\nused %u\nwaiting %u\nlost %u\n",
		   count.total, count.reserved, count.given, count.used, count.waiting, count.lost);
	spin_lock_irq(&table.lock);
	/* As many as fit into what a reader has patience for. */
	for (reference = table.waiting_head, i = 0; reference && i < 64; i++) {
		seq_printf(file, "waiting reference %u frame 0x%lx domain %u flags 0x%x\n",
			   reference, page_to_pfn(table.reference[reference].page),
			   READ_ONCE(table.entry[reference].domain),
			   READ_ONCE(table.entry[reference].flags));
		reference = table.reference[reference].next;
	}
	spin_unlock_irq(&table.lock);
}
