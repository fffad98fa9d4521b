// SPDX-License-Identifier: GPL-2.0
/*
 * The store's keys, both ways. Numbers that are not, or are too large, count as absent; terms.c
 * says what becomes of those that are there.
 */
#include <linux/cpumask.h>
#include <linux/slab.h>

#include "guest-drivers/blk/blk.h"

#define DIRECTORY_BYTES 128

/* ---- what the back-end offers ---------------------------------------------------------------- */

static u32 offered(struct pvd *pvd, const char *key, u32 otherwise, int *error)
{
	return pvkit_store_read_offer(pvd->device->backend, key, U32_MAX, otherwise, error);
}

int pvd_read_terms(struct pvd *pvd, struct terms *terms)
{
	int error = 0;
	struct terms_offer offer = {
		.queues = offered(pvd, STORE_KEY_MAX_QUEUES, 1, &error),
		.ring_page_order = offered(pvd, BLKIF_KEY_MAX_RING_PAGE_ORDER, 0, &error),
		.ring_pages = offered(pvd, BLKIF_KEY_MAX_RING_PAGES, 0, &error),
		.indirect_segments = offered(pvd, BLKIF_KEY_MAX_INDIRECT, 0, &error),
		.flush = offered(pvd, BLKIF_KEY_FLUSH, 0, &error),
		.barrier = offered(pvd, BLKIF_KEY_BARRIER, 0, &error),
		.discard = offered(pvd, BLKIF_KEY_DISCARD, 0, &error),
		.persistent = offered(pvd, BLKIF_KEY_PERSISTENT, 0, &error),
		.write_zeroes = offered(pvd, BLKIF_KEY_WRITE_ZEROES, 0, &error),
	};
	struct terms_wish wish = pvd_parameters;

	wish.cpus = num_online_cpus();
	wish.queues = min(wish.queues, nr_cpu_ids); /* blk-mq makes no use of more */
	/* Whoever gave us the device may say so in our own directory. */
	if (!pvkit_store_read_offer(pvd->device->path, STORE_KEY_TRUSTED, 1, 1, &error))
		wish.trusted = false;
	if (error)
		return error;
	if (pvd->disk) {
		wish.queues = pvd->irq_maps;
		wish.poll_queues = pvd->poll_maps;
		wish.indirect_segments = max(wish.indirect_segments, pvd->terms.segments);
	}
	terms_agree(terms, &offer, &wish);
	/* Queues of blk-mq that share a ring need one that interrupts. */
	if (pvd->disk && terms->queues < pvd->queues)
		terms->poll_queues = 0;
	return 0;
}

/* ---- what we answer -------------------------------------------------------------------------- */

static int write_ring(struct pvd *pvd, struct pvkit_store_transaction t, struct pvd_queue *queue,
		      const char *directory)
{
	unsigned int i;
	int ret = 0;

	if (queue->shared.count == 1) {
		/* What an earlier front-end left would be believed. */
		ret = pvkit_store_clear(t, directory, BLKIF_KEY_RING_REF_PREFIX "0");
		if (!ret)
			ret = pvkit_store_write(t, directory, BLKIF_KEY_RING_REF, "%u",
						queue->shared.reference[0]);
	} else {
		for (i = 0; i < queue->shared.count && !ret; i++) {
			char key[sizeof(BLKIF_KEY_RING_REF_PREFIX) + 4];

			snprintf(key, sizeof(key), BLKIF_KEY_RING_REF_PREFIX "%u", i);
			ret = pvkit_store_write(t, directory, key, "%u",
						queue->shared.reference[i]);
		}
	}
	if (!ret)
		ret = pvkit_store_write(t, directory, STORE_KEY_EVENT_CHANNEL, "%u",
					queue->event.port);
	return ret;
}

static int write_order(struct pvd *pvd, struct pvkit_store_transaction t)
{
	const char *directory = pvd->device->path;
	u32 order = pvd->terms.ring_page_order;
	int ret;

	if (!order) {
		ret = pvkit_store_clear(t, directory, BLKIF_KEY_RING_PAGE_ORDER);
		return ret ? ret : pvkit_store_clear(t, directory, BLKIF_KEY_NUM_RING_PAGES);
	}
	ret = pvkit_store_write(t, directory, BLKIF_KEY_RING_PAGE_ORDER, "%u", order);
	if (!ret)
		ret = pvkit_store_write(t, directory, BLKIF_KEY_NUM_RING_PAGES, "%u", 1U << order);
	return ret;
}

static int write_keys(struct pvkit_store_transaction t, void *context)
{
	struct pvd *pvd = context;
	const char *directory = pvd->device->path;
	unsigned int i;
	int ret;

	ret = write_order(pvd, t);
	if (!ret)
		ret = pvkit_store_write(t, directory, STORE_KEY_NUM_QUEUES, "%u",
					pvd->terms.queues);
	if (!ret)
		ret = pvkit_store_write(t, directory, STORE_KEY_PROTOCOL, "%s",
					STORE_PROTOCOL_X86_64);
	if (!ret)
		ret = pvkit_store_write(t, directory, BLKIF_KEY_PERSISTENT, "%u",
					pvd->terms.persistent);
	if (!ret && pvd->terms.write_zeroes)
		ret = pvkit_store_write(t, directory, BLKIF_KEY_WRITE_ZEROES, "1");
	if (pvd->terms.queues == 1)
		return ret ? ret : write_ring(pvd, t, &pvd->queue[0], directory);

	for (i = 0; i < pvd->terms.queues && !ret; i++) {
		char queue[DIRECTORY_BYTES];

		if (snprintf(queue, sizeof(queue), "%s/" STORE_KEY_QUEUE_PREFIX "%u", directory,
			     i) >= (int)sizeof(queue))
			return -ENAMETOOLONG;
		ret = write_ring(pvd, t, &pvd->queue[i], queue);
	}
	return ret;
}

int pvd_write_queues(struct pvd *pvd)
{
	return pvkit_store_commit(write_keys, pvd);
}

/* ---- the disk -------------------------------------------------------------------------------- */

int pvd_read_disk(struct pvd *pvd, struct terms_disk *disk, const char **why)
{
	int error = 0, ret;
	u32 size = offered(pvd, BLKIF_KEY_SECTOR_SIZE, BLKIF_SECTOR_BYTES, &error);
	char *type;

	ret = pvkit_store_read_number(PVKIT_STORE_NONE, pvd->device->backend, BLKIF_KEY_SECTORS,
				      U64_MAX, &disk->sectors);
	if (ret) {
		*why = "it does not tell the number of sectors";
		return pvkit_store_absent(ret) ? 0 : ret;
	}
	disk->sector_size = size;
	disk->physical_sector_size = offered(pvd, BLKIF_KEY_PHYSICAL_SECTOR_SIZE, size, &error);
	disk->info = offered(pvd, BLKIF_KEY_INFO, 0, &error);
	disk->discard_granularity = offered(pvd, BLKIF_KEY_DISCARD_GRANULARITY, size, &error);
	disk->discard_alignment = offered(pvd, BLKIF_KEY_DISCARD_ALIGNMENT, 0, &error);
	disk->discard_secure = offered(pvd, BLKIF_KEY_DISCARD_SECURE, 0, &error);

	type = pvkit_store_read(PVKIT_STORE_NONE, pvd->device->path, BLKIF_KEY_DEVICE_TYPE, NULL);
	if (!IS_ERR(type)) {
		if (!strcmp(type, "cdrom"))
			disk->info |= BLKIF_INFO_CDROM;
		kfree(type);
	}
	*why = terms_check_disk(disk, PAGE_SIZE);
	return error;
}

void pvd_read_serial(struct pvd *pvd)
{
	char *serial =
		pvkit_store_read(PVKIT_STORE_NONE, pvd->device->backend, BLKIF_KEY_SERIAL, NULL);
	size_t i;

	pvd->serial[0] = '\0';
	if (IS_ERR(serial))
		return;
	/* Half of a number could be that of another disk. */
	if (strlen(serial) > BLKIF_SERIAL_BYTES_MAX) {
		dev_warn(&pvd->device->dev, "no serial number: the back-end's has more than %u characters\n",
			 BLKIF_SERIAL_BYTES_MAX);
		kfree(serial);
		return;
	}
	/* It goes to udev's rules and names: nothing but what prints. */
	for (i = 0; serial[i]; i++)
		pvd->serial[i] =
			serial[i] > ' ' && serial[i] <= '~' && serial[i] != '/' ? serial[i] : '_';
	pvd->serial[i] = '\0';
	kfree(serial);
}

/* ---- where the back-end stands --------------------------------------------------------------- */

bool pvd_unplugged(struct pvd *pvd)
{
	return !pvkit_store_read_number_or(pvd->device->backend, STORE_KEY_ONLINE, 1, 1);
}

enum store_state pvd_backend_state(struct pvd *pvd)
{
	u64 state;
	int ret;

	ret = pvkit_store_read_number(PVKIT_STORE_NONE, pvd->device->backend, STORE_KEY_STATE,
				      STORE_STATE_RECONFIGURED, &state);
	if (!ret)
		return (enum store_state)state;
	return pvkit_store_absent(ret) ? STORE_STATE_UNKNOWN : pvd->device->backend_state;
}
