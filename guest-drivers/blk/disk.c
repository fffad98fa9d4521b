// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel sees of a disk: gendisk, limits, name, attributes.
 *
 *	/sys/block/pvda/serial			where the back-end tells one
 *	/sys/block/pvda/pvkit/data		direct, persistent, copied: what becomes of data
 *	/sys/block/pvda/pvkit/queues, ring_slots, segments
 *	/sys/block/pvda/pvkit/requests, notifications, interrupts	sums over all queues
 */
#include <linux/cdrom.h>
#include <linux/hdreg.h>
#include <linux/idr.h>

#include "guest-drivers/blk/blk.h"
#include "guest-drivers/blk/compat.h"


static DEFINE_IDA(numbers);

/* ---- names ----------------------------------------------------------------------------------- */

/*
 * The place that the toolstack means by virtual-device: Xen's numbers are majors and minors of
 * disks. -1: none of the kinds that have an order.
 */
static int wanted_number(unsigned int device)
{
	unsigned int major = device >> 8, minor = device & 0xff;

	if (device & (1U << 28))
		return (device & 0xfffff) >> 8;
	if ((major == 202 || major == 8) && minor % 16 == 0)
		return minor / 16;
	return -1;
}

static int take_number(unsigned int device)
{
	int wanted = wanted_number(device), number = -ENOSPC;

	if (wanted >= 0)
		number = ida_alloc_range(&numbers, wanted, wanted, GFP_KERNEL);
	return number >= 0 ? number : ida_alloc(&numbers, GFP_KERNEL);
}

/* pvda … pvdz, pvdaa … */
static void write_name(char *name, size_t size, int number)
{
	char reversed[8];
	size_t letters = 0, at;

	for (; number >= 0 && letters < sizeof(reversed); number = number / 26 - 1)
		reversed[letters++] = 'a' + number % 26;
	at = scnprintf(name, size, "pvd");
	while (letters && at + 1 < size)
		name[at++] = reversed[--letters];
	name[at] = '\0';
}

/* ---- operations ------------------------------------------------------------------------------ */

static int get_geometry(struct block_device *bdev, struct hd_geometry *geometry)
{
	sector_t sectors = get_capacity(bdev->bd_disk);

	/* As partition tools know it from disks that have none. */
	geometry->heads = 255;
	geometry->sectors = 63;
	geometry->cylinders = min_t(sector_t, sectors / (255 * 63), 65535);
	return 0;
}

static int ioctl(struct block_device *bdev, pvd_mode_t mode, unsigned int command,
		 unsigned long argument)
{
	struct pvd *pvd = bdev->bd_disk->private_data;

	if (command == CDROM_GET_CAPABILITY && pvd->properties.info & BLKIF_INFO_CDROM)
		return 0;
	return -ENOTTY;
}

static void free_disk(struct gendisk *disk)
{
	pvd_put(disk->private_data);
}

static const struct block_device_operations operations = {
	.owner = THIS_MODULE,
	.getgeo = get_geometry,
	.ioctl = ioctl,
	.compat_ioctl = blkdev_compat_ptr_ioctl,
	.free_disk = free_disk,
};

/* ---- attributes ------------------------------------------------------------------------------ */

static struct pvd *from_device(struct device *dev)
{
	return dev_to_disk(dev)->private_data;
}

static ssize_t serial_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	return sysfs_emit(page, "%s\n", from_device(dev)->serial);
}

static ssize_t data_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	const struct terms *terms = &from_device(dev)->terms;

	return sysfs_emit(page, "%s\n",
			  terms->persistent ? "persistent"
			  : terms->pooled   ? "copied"
					    : "direct");
}

static ssize_t queues_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	const struct terms *terms = &from_device(dev)->terms;

	return sysfs_emit(page, "%u %u\n", terms->queues - terms->poll_queues, terms->poll_queues);
}

static ssize_t ring_slots_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	return sysfs_emit(page, "%u\n", from_device(dev)->tags.queue_depth);
}

static ssize_t segments_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	return sysfs_emit(page, "%u\n", from_device(dev)->terms.segments);
}

/* A counter of each queue, @offset bytes into it; a sum that may be a little old. */
static ssize_t show_sum(struct device *dev, char *page, size_t offset)
{
	struct pvd *pvd = from_device(dev);
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < pvd->queues; i++)
		sum += READ_ONCE(*(u64 *)((char *)&pvd->queue[i] + offset));
	return sysfs_emit(page, "%llu\n", sum);
}

static ssize_t requests_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	return show_sum(dev, page, offsetof(struct pvd_queue, requests));
}

static ssize_t notifications_show(struct device *dev, struct device_attribute *attribute,
				  char *page)
{
	return show_sum(dev, page, offsetof(struct pvd_queue, notifications));
}

static ssize_t interrupts_show(struct device *dev, struct device_attribute *attribute, char *page)
{
	return show_sum(dev, page, offsetof(struct pvd_queue, interrupts));
}

static DEVICE_ATTR_RO(serial);
static DEVICE_ATTR_RO(data);
static DEVICE_ATTR_RO(queues);
static DEVICE_ATTR_RO(ring_slots);
static DEVICE_ATTR_RO(segments);
static DEVICE_ATTR_RO(requests);
static DEVICE_ATTR_RO(notifications);
static DEVICE_ATTR_RO(interrupts);

static struct attribute *serial_attributes[] = {
	&dev_attr_serial.attr,
	NULL,
};

static umode_t serial_visible(struct kobject *kobj, struct attribute *attribute, int i)
{
	return from_device(kobj_to_dev(kobj))->serial[0] ? attribute->mode : 0;
}

static struct attribute *pvkit_attributes[] = {
	&dev_attr_data.attr,       &dev_attr_queues.attr,
	&dev_attr_ring_slots.attr, &dev_attr_segments.attr,
	&dev_attr_requests.attr,   &dev_attr_notifications.attr,
	&dev_attr_interrupts.attr, NULL,
};

static const struct attribute_group serial_group = {
	.attrs = serial_attributes,
	.is_visible = serial_visible,
};

static const struct attribute_group pvkit_group = {
	.name = "pvkit",
	.attrs = pvkit_attributes,
};

static const struct attribute_group *groups[] = {&serial_group, &pvkit_group, NULL};

/* ---- blk-mq's view --------------------------------------------------------------------------- */

static int init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int index)
{
	struct pvd *pvd = data;

	hctx->driver_data = &pvd->queue[index % pvd->terms.queues];
	return 0;
}

static void map_kind(struct blk_mq_tag_set *set, enum hctx_type kind, unsigned int count,
		     unsigned int offset)
{
	struct blk_mq_queue_map *map = &set->map[kind];

	map->nr_queues = count;
	map->queue_offset = offset;
	if (count)
		blk_mq_map_queues(map);
}

/* Those that are polled are the last. */
static void map_queues(struct blk_mq_tag_set *set)
{
	struct pvd *pvd = set->driver_data;

	map_kind(set, HCTX_TYPE_DEFAULT, pvd->irq_maps, 0);
	if (set->nr_maps > HCTX_TYPE_POLL) {
		map_kind(set, HCTX_TYPE_READ, 0, 0);
		map_kind(set, HCTX_TYPE_POLL, pvd->poll_maps, pvd->irq_maps);
	}
}

static const struct blk_mq_ops mq_operations = {
	.queue_rq = pvd_queue_rq,
	.commit_rqs = pvd_commit_rqs,
	.complete = pvd_complete,
	.poll = pvd_poll,
	.timeout = pvd_timed_out,
	.init_hctx = init_hctx,
	.map_queues = map_queues,
};

/* ---- the disk -------------------------------------------------------------------------------- */

static void fill_limits(const struct pvd *pvd, struct pvd_limits *limits)
{
	const struct terms_disk *properties = &pvd->properties;
	const struct terms *terms = &pvd->terms;

	*limits = (struct pvd_limits){
		.segments = terms->segments,
		.sector_size = properties->sector_size,
		.physical_sector_size = properties->physical_sector_size,
		.write_cache = terms->flush || terms->barrier,
		.fua = terms->barrier,
	};
	if (terms->discard) {
		limits->discard_sectors = UINT_MAX;
		limits->discard_granularity = properties->discard_granularity;
		limits->discard_alignment = properties->discard_alignment;
		if (properties->discard_secure)
			limits->secure_erase_sectors = UINT_MAX;
	}
	if (terms->write_zeroes)
		limits->write_zeroes_sectors = UINT_MAX;
}

static int make_tags(struct pvd *pvd)
{
	const struct terms *terms = &pvd->terms;
	struct blk_mq_tag_set *tags = &pvd->tags;
	struct pvd_request *request;

	pvd->poll_maps = terms->poll_queues;
	pvd->irq_maps = terms->queues - terms->poll_queues;
	*tags = (struct blk_mq_tag_set){
		.ops = &mq_operations,
		.nr_hw_queues = terms->queues,
		.nr_maps = terms->poll_queues ? HCTX_MAX_TYPES : 1,
		.queue_depth = pvd->queue[0].wire.front.ring.size,
		.cmd_size = struct_size(request, grant, terms->segments + terms->descriptor_pages),
		.numa_node = NUMA_NO_NODE,
		.flags = PVD_TAG_FLAGS,
		.driver_data = pvd,
	};
	return blk_mq_alloc_tag_set(tags);
}

int pvd_disk_create(struct pvd *pvd)
{
	struct pvd_limits limits;
	struct gendisk *disk;
	int ret;

	pvd->number = take_number(pvd->device->id);
	if (pvd->number < 0)
		return pvd->number;
	ret = make_tags(pvd);
	if (ret)
		goto free_number;
	fill_limits(pvd, &limits);
	disk = pvd_alloc_disk(&pvd->tags, &limits, pvd);
	if (IS_ERR(disk)) {
		ret = PTR_ERR(disk);
		goto free_tags;
	}
	write_name(disk->disk_name, sizeof(disk->disk_name), pvd->number);
	disk->fops = &operations;
	disk->private_data = pvd;
	if (pvd->properties.info & (BLKIF_INFO_REMOVABLE | BLKIF_INFO_CDROM))
		disk->flags |= GENHD_FL_REMOVABLE;
	set_capacity(disk, pvd->properties.sectors);
	set_disk_ro(disk, pvd->properties.info & BLKIF_INFO_READONLY);
	pvd->disk = disk;
	return 0;

free_tags:
	blk_mq_free_tag_set(&pvd->tags);
free_number:
	ida_free(&numbers, pvd->number);
	return ret;
}

int pvd_disk_show(struct pvd *pvd)
{
	int ret;

	/* Given back by free_disk, which is called for a disk that was shown. */
	kref_get(&pvd->references);
	ret = device_add_disk(&pvd->device->dev, pvd->disk, groups);
	if (ret) {
		pvd_put(pvd);
		return ret;
	}
	set_bit(PVD_ADDED, &pvd->flags);
	dev_info(&pvd->device->dev,
		 "%s: %llu sectors of %u bytes, %u queues of %u, %u segments, data %s\n",
		 pvd->disk->disk_name,
		 pvd->properties.sectors / (pvd->properties.sector_size / 512),
		 pvd->properties.sector_size, pvd->terms.queues, pvd->tags.queue_depth,
		 pvd->terms.segments,
		 pvd->terms.persistent ? "persistent"
		 : pvd->terms.pooled   ? "copied"
				       : "direct");
	return 0;
}

void pvd_disk_map(struct pvd *pvd)
{
	struct blk_mq_hw_ctx *hctx;
	unsigned long i;

	queue_for_each_hw_ctx(pvd->disk->queue, hctx, i)
		WRITE_ONCE(hctx->driver_data, &pvd->queue[i % pvd->terms.queues]);
}

int pvd_disk_update(struct pvd *pvd)
{
	struct pvd_limits limits;

	fill_limits(pvd, &limits);
	return pvd_update_limits(pvd->disk->queue, &limits);
}

void pvd_disk_resize(struct pvd *pvd, u64 sectors)
{
	u64 before = get_capacity(pvd->disk);

	pvd->properties.sectors = sectors;
	if (sectors == before)
		return;
	dev_info(&pvd->device->dev, "%s: from %llu to %llu sectors of 512 bytes\n",
		 pvd->disk->disk_name, before, sectors);
	set_capacity_and_notify(pvd->disk, sectors);
}

void pvd_disk_hide(struct pvd *pvd)
{
	if (test_and_clear_bit(PVD_ADDED, &pvd->flags))
		del_gendisk(pvd->disk);
}

void pvd_disk_free(struct pvd *pvd)
{
	put_disk(pvd->disk);
	pvd->disk = NULL;
	blk_mq_free_tag_set(&pvd->tags);
	ida_free(&numbers, pvd->number);
}
