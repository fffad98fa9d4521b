// SPDX-License-Identifier: GPL-2.0
/*
 * What a queue consists of: ring, event channel, grants, pages. All of it is taken when the queue
 * opens, so that I/O allocates nothing and cannot run short of anything that would not come back.
 *
 * The grant table is one for the whole guest, and may be small. Data pages are the bulk: where
 * their references are short, a queue does with fewer, down to one largest request.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "guest-drivers/blk/blk.h"

static irqreturn_t poll_event(int irq, void *context)
{
	/* Events are off on a ring that is asked; the first one on binding comes all the same. */
	return IRQ_HANDLED;
}

static int open_ring(struct pvd_queue *queue, unsigned int order)
{
	struct xen_ring_area area = {.slot_bytes = BLKIF_SLOT_BYTES};
	int ret;

	ret = pvkit_shared_open(&queue->shared, queue->pvd->device->backend_domain, order);
	if (ret)
		return ret;
	area.pages = queue->shared.pages;
	area.bytes = queue->shared.count * XEN_RING_PAGE_BYTES;
	queue->entries = kvcalloc(xen_ring_slots(&area), sizeof(*queue->entries), GFP_KERNEL);
	if (!queue->entries)
		return -ENOMEM;
	if (wire_open(&queue->wire, &area, queue->entries))
		return -EINVAL;
	if (queue->poll)
		xen_front_events_disable(&queue->wire.front);
	return 0;
}

/* References for data and descriptors: as many as there are, and at least one request's. */
static int open_grants(struct pvd_queue *queue, unsigned int *pages)
{
	const struct terms *terms = &queue->pvd->terms;
	unsigned int slots = queue->wire.front.ring.size;
	unsigned int descriptors = slots * terms->descriptor_pages;
	int ret;

	*pages = min(terms->pages, slots * terms->segments);
	for (;;) {
		ret = pvkit_grants_open(&queue->grants, queue->pvd->device->backend_domain,
					*pages + descriptors);
		if (ret != -ENOSPC || *pages == terms->segments)
			return ret;
		*pages = max(*pages / 2, terms->segments);
	}
}

/* A stack of @count pages that stay granted until the queue closes. */
static int open_pages(struct pvd_queue *queue, struct pvd_grant **stack, unsigned int *size,
		      unsigned int count, bool readonly)
{
	struct pvd_grant *grants = kvcalloc(count, sizeof(*grants), GFP_KERNEL);

	if (!grants)
		return -ENOMEM;
	*stack = grants;
	while (*size < count) {
		struct pvd_grant *grant = &grants[*size];

		grant->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!grant->page)
			return -ENOMEM;
		grant->reference = pvkit_grants_take(&queue->grants);
		if (WARN_ON_ONCE(!grant->reference)) {
			__free_page(grant->page);
			return -ENOSPC;
		}
		pvkit_grant_give(grant->reference, queue->grants.domain, grant->page, readonly);
		(*size)++;
	}
	return 0;
}

static void close_pages(struct pvd_queue *queue, struct pvd_grant **stack, unsigned int *size)
{
	unsigned int i;

	for (i = 0; i < *size; i++) {
		struct pvd_grant *grant = &(*stack)[i];

		if (pvkit_grant_end(grant->reference)) {
			/* The back-end still holds it; page and reference are the bus's now. */
			pvkit_grant_end_later(grant->reference, grant->page);
			continue;
		}
		pvkit_grants_put(&queue->grants, grant->reference);
		__free_page(grant->page);
	}
	*size = 0;
	kvfree(*stack);
	*stack = NULL;
}

static int open_event(struct pvd_queue *queue)
{
	struct pvd *pvd = queue->pvd;
	unsigned int interrupting = pvd->terms.queues - pvd->terms.poll_queues;
	int vcpu = -1;

	if (!queue->poll && interrupting == num_online_cpus())
		vcpu = queue->index;
	snprintf(queue->name, sizeof(queue->name), "pvkit-blk-%u-%s%u", pvd->device->id,
		 queue->poll ? "poll" : "", queue->index);
	return pvkit_event_open(pvd->device, &queue->event,
				queue->poll ? poll_event : pvd_interrupt, queue->name, queue, vcpu);
}

int pvd_queue_open(struct pvd_queue *queue)
{
	const struct terms *terms = &queue->pvd->terms;
	unsigned int pages, descriptors;
	int ret;

	ret = open_ring(queue, terms->ring_page_order);
	if (!ret)
		ret = open_grants(queue, &pages);
	if (ret)
		goto failed;

	if (terms->pooled) {
		/* Not read-only: a back-end that keeps maps uses them for reads and writes. */
		ret = open_pages(queue, &queue->pool, &queue->pool_size, pages, false);
		if (ret == -ENOMEM && queue->pool_size >= terms->segments)
			ret = 0;
	}
	queue->pool_free = queue->pool_size;
	descriptors = queue->wire.front.ring.size * terms->descriptor_pages;
	if (!ret && descriptors)
		ret = open_pages(queue, &queue->descriptors, &queue->descriptors_size, descriptors,
				 !terms->persistent);
	queue->descriptors_free = queue->descriptors_size;
	if (ret)
		goto failed;

	/* Who polls or looks after a time may be there already. */
	spin_lock_irq(&queue->lock);
	queue->waiting = false;
	queue->open = true;
	spin_unlock_irq(&queue->lock);
	ret = open_event(queue);
	if (ret)
		goto failed;
	return 0;

failed:
	pvd_queue_close(queue);
	return ret;
}

/* Under the lock, so that what they gave back is there, and they have done with the queue. */
static bool some_out(struct pvd_queue *queue)
{
	bool some;

	spin_lock_irq(&queue->lock);
	some = queue->out;
	spin_unlock_irq(&queue->lock);
	return some;
}

void pvd_queue_close(struct pvd_queue *queue)
{
	spin_lock_irq(&queue->lock);
	queue->open = false;
	spin_unlock_irq(&queue->lock);
	pvkit_event_close(&queue->event);
	memset(&queue->event, 0, sizeof(queue->event));
	/* Ended all, but perhaps on another CPU, which has not come to give back what they had. */
	while (some_out(queue))
		usleep_range(50, 500);
	close_pages(queue, &queue->pool, &queue->pool_size);
	close_pages(queue, &queue->descriptors, &queue->descriptors_size);
	queue->pool_free = 0;
	queue->descriptors_free = 0;
	pvkit_grants_close(&queue->grants);
	memset(&queue->grants, 0, sizeof(queue->grants));
	pvkit_shared_close(&queue->shared);
	memset(&queue->shared, 0, sizeof(queue->shared));
	kvfree(queue->entries);
	queue->entries = NULL;
	memset(&queue->wire, 0, sizeof(queue->wire));
}
