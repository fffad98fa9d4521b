// SPDX-License-Identifier: GPL-2.0
/*
 * What the two sides agree on.
 */
#include "guest-drivers/blk/terms.h"
#include "abi/xen_ring.h"

#define DISK_BYTES_MAX 0x7fffffffffffffffULL /* the kernel counts them with a sign */

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

/* Some back-ends say an order, older ones a count of pages, some both. */
static uint32_t offered_order(const struct terms_offer *offer)
{
	uint32_t order = 0;

	while (order < XEN_RING_PAGE_ORDER_MAX && (2U << order) <= offer->ring_pages)
		order++;
	if (offer->ring_page_order > order)
		order = offer->ring_page_order;
	return smaller(order, XEN_RING_PAGE_ORDER_MAX);
}

static void agree_queues(struct terms *terms, const struct terms_offer *offer,
			 const struct terms_wish *wish)
{
	uint32_t most = offer->queues ? smaller(offer->queues, TERMS_QUEUES_MAX) : 1;
	uint32_t queues = wish->queues ? wish->queues : wish->cpus;

	/* At least one that interrupts: what nobody polls for must end too. */
	queues = smaller(queues ? queues : 1, most);
	terms->poll_queues = smaller(wish->poll_queues, most - 1);
	if (terms->poll_queues > most - queues)
		queues = most - terms->poll_queues;
	terms->queues = queues + terms->poll_queues;
}

void terms_agree(struct terms *terms, const struct terms_offer *offer,
		 const struct terms_wish *wish)
{
	uint32_t most;

	agree_queues(terms, offer, wish);
	terms->ring_page_order = smaller(wish->ring_page_order, offered_order(offer));

	terms->segments = BLKIF_SEGMENTS_MAX;
	terms->descriptor_pages = 0;
	most = smaller(smaller(offer->indirect_segments, wish->indirect_segments),
		       BLKIF_INDIRECT_SEGMENTS_MAX);
	if (most > BLKIF_SEGMENTS_MAX) {
		terms->segments = most;
		terms->descriptor_pages =
			(most + BLKIF_SEGMENTS_PER_PAGE - 1) / BLKIF_SEGMENTS_PER_PAGE;
	}
	/* Whatever the wish, the largest request must have its pages. */
	terms->pages = smaller(wish->pages ? wish->pages : TERMS_PAGES_DEFAULT, TERMS_PAGES_MAX);
	if (terms->pages < terms->segments)
		terms->pages = terms->segments;

	terms->persistent = offer->persistent && wish->persistent;
	terms->pooled = terms->persistent || !wish->trusted;
	terms->flush = offer->flush;
	terms->barrier = offer->barrier;
	terms->discard = offer->discard;
	terms->write_zeroes = offer->write_zeroes;
}

const char *terms_continue(struct terms *new_terms, const struct terms *old)
{
	if (new_terms->segments < old->segments)
		return "it takes fewer segments a request than its predecessor";
	new_terms->segments = old->segments;
	new_terms->descriptor_pages = old->descriptor_pages;
	if ((old->flush || old->barrier) && !new_terms->flush && !new_terms->barrier)
		return "it cannot flush, and its predecessor could";
	/* Writes with FUA that wait would go as plain ones, and the kernel does not flush after. */
	if (old->barrier && !new_terms->barrier)
		return "it takes no barriers, and its predecessor did";
	return NULL;
}

const char *terms_check_disk(struct terms_disk *disk, uint32_t page_bytes)
{
	uint32_t size = disk->sector_size;

	if (!power_of_two(size) || size < BLKIF_SECTOR_BYTES || size > page_bytes)
		return "sector-size is no power of two from 512 to a page";
	if (disk->sectors > DISK_BYTES_MAX / BLKIF_SECTOR_BYTES)
		return "sectors are more than a disk can have";
	disk->sectors -= disk->sectors % (size / BLKIF_SECTOR_BYTES);

	if (!power_of_two(disk->physical_sector_size) || disk->physical_sector_size < size)
		disk->physical_sector_size = size;
	if (disk->discard_granularity < size || disk->discard_granularity % size)
		disk->discard_granularity = size;
	if (disk->discard_alignment % size)
		disk->discard_alignment = 0;
	disk->discard_alignment %= disk->discard_granularity;
	return NULL;
}
