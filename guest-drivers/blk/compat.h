/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where kernels from 6.1 on differ, for this driver. Everything else is written once.
 *
 *	6.5	block_device_operations take blk_mode_t
 *	6.9	limits are a struct, given when the disk is made
 *	6.11	so are features; before, they are flags of the queue
 *	6.14	merging is no choice any more
 */
#ifndef PVKIT_GUEST_DRIVERS_BLK_COMPAT_H
#define PVKIT_GUEST_DRIVERS_BLK_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define pvd_mode_t fmode_t
#else
#define pvd_mode_t blk_mode_t
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define PVD_TAG_FLAGS BLK_MQ_F_SHOULD_MERGE
#else
#define PVD_TAG_FLAGS 0
#endif

/* Limits and features of a disk, in sectors of 512 bytes where nothing else is said. */
struct pvd_limits {
	unsigned int segments;
	unsigned int sector_size, physical_sector_size; /* bytes */
	unsigned int discard_sectors, secure_erase_sectors, write_zeroes_sectors;
	unsigned int discard_granularity, discard_alignment; /* bytes */
	bool write_cache, fua;
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)

static inline void pvd_limits_fill(struct queue_limits *lim, const struct pvd_limits *limits)
{
	lim->max_segments = limits->segments;
	lim->max_segment_size = PAGE_SIZE;
	lim->seg_boundary_mask = PAGE_SIZE - 1;
	lim->dma_alignment = SECTOR_SIZE - 1;
	lim->max_hw_sectors = limits->segments * (PAGE_SIZE / SECTOR_SIZE);
	lim->logical_block_size = limits->sector_size;
	lim->physical_block_size = limits->physical_sector_size;
	lim->max_hw_discard_sectors = limits->discard_sectors;
	lim->discard_granularity = limits->discard_granularity;
	lim->discard_alignment = limits->discard_alignment;
	lim->max_secure_erase_sectors = limits->secure_erase_sectors;
	lim->max_write_zeroes_sectors = limits->write_zeroes_sectors;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	lim->features &= ~(BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA);
	if (limits->write_cache)
		lim->features |= BLK_FEAT_WRITE_CACHE;
	if (limits->write_cache && limits->fua)
		lim->features |= BLK_FEAT_FUA;
#endif
}

#endif

static inline void pvd_queue_flags(struct request_queue *q, const struct pvd_limits *limits)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_write_cache(q, limits->write_cache, limits->fua);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)

static inline struct gendisk *pvd_alloc_disk(struct blk_mq_tag_set *set,
					     const struct pvd_limits *limits, void *data)
{
	struct queue_limits lim = {};
	struct gendisk *disk;

	pvd_limits_fill(&lim, limits);
	disk = blk_mq_alloc_disk(set, &lim, data);
	if (!IS_ERR(disk))
		pvd_queue_flags(disk->queue, limits);
	return disk;
}

/* No request is being made: the queue is frozen or quiesced. */
static inline int pvd_update_limits(struct request_queue *q, const struct pvd_limits *limits)
{
	struct queue_limits lim = queue_limits_start_update(q);

	pvd_limits_fill(&lim, limits);
	pvd_queue_flags(q, limits);
	return queue_limits_commit_update(q, &lim);
}

#else

static inline int pvd_update_limits(struct request_queue *q, const struct pvd_limits *limits)
{
	blk_queue_max_segments(q, limits->segments);
	blk_queue_max_segment_size(q, PAGE_SIZE);
	blk_queue_segment_boundary(q, PAGE_SIZE - 1);
	blk_queue_dma_alignment(q, SECTOR_SIZE - 1);
	blk_queue_max_hw_sectors(q, limits->segments * (PAGE_SIZE / SECTOR_SIZE));
	blk_queue_logical_block_size(q, limits->sector_size);
	blk_queue_physical_block_size(q, limits->physical_sector_size);
	blk_queue_max_discard_sectors(q, limits->discard_sectors);
	q->limits.discard_granularity = limits->discard_granularity;
	q->limits.discard_alignment = limits->discard_alignment;
	blk_queue_max_secure_erase_sectors(q, limits->secure_erase_sectors);
	blk_queue_max_write_zeroes_sectors(q, limits->write_zeroes_sectors);
	pvd_queue_flags(q, limits);
	return 0;
}

static inline struct gendisk *pvd_alloc_disk(struct blk_mq_tag_set *set,
					     const struct pvd_limits *limits, void *data)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, data);

	if (!IS_ERR(disk))
		pvd_update_limits(disk->queue, limits);
	return disk;
}

#endif

/* What the back-end offered and then refused: from any context, as the kernel's own helpers. */
static inline void pvd_disable_discard(struct request_queue *q)
{
	q->limits.max_discard_sectors = 0;
}

static inline void pvd_disable_secure_erase(struct request_queue *q)
{
	q->limits.max_secure_erase_sectors = 0;
}

static inline void pvd_disable_write_zeroes(struct request_queue *q)
{
	q->limits.max_write_zeroes_sectors = 0;
}

#endif
