// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Requests to a disk on Xen's rings (abi/blkif.h).
 *
 * A request's pages are granted one by one, and so are those that list them where there are too many
 * for the slot. With persistent grants all of them are given once, for both directions; without, a
 * request gives its own, for its direction, and takes them back when it is answered, as a guest must
 * before it uses the pages for something else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/blkif.h"
#include "common/log.h"
#include "tools/load/request.h"
#include "tools/load/xen.h"

/* ---- what is agreed -------------------------------------------------------------------------- */

static unsigned int data_pages(const struct load_config *config)
{
	return xen_pages(config->block_size);
}

static unsigned int table_pages(unsigned int segments)
{
	return (segments + BLKIF_SEGMENTS_PER_PAGE - 1) / BLKIF_SEGMENTS_PER_PAGE;
}

static bool is_indirect(const struct load_config *config)
{
	return config->indirect == LOAD_ON || data_pages(config) > BLKIF_SEGMENTS_MAX;
}

static void check_size(const struct load_front *front)
{
	const struct load_config *config = front->config;
	uint64_t most = xen_guest_read_number(BLKIF_KEY_MAX_INDIRECT, 0);

	if (!is_indirect(config))
		return;
	if (!most)
		die("--indirect: the back-end at %s does not offer it, so --block-size is %u at "
		    "most",
		    config->path, BLKIF_SEGMENTS_MAX * XEN_RING_PAGE_BYTES);
	if (data_pages(config) > most)
		die("--block-size: the back-end at %s takes requests of %llu bytes at most",
		    config->path, (unsigned long long)most * XEN_RING_PAGE_BYTES);
}

/* Pages of a ring with so many slots; the command line allows no other sizes. */
static unsigned int ring_pages(const struct load_front *front)
{
	uint64_t order = xen_guest_read_number(BLKIF_KEY_MAX_RING_PAGE_ORDER, 0);
	uint64_t most = 1ULL << (order < XEN_RING_PAGE_ORDER_MAX ? order : XEN_RING_PAGE_ORDER_MAX);
	struct xen_ring_area area = {.pages = front->memory.region.host,
				     .bytes = XEN_RING_PAGE_BYTES,
				     .slot_bytes = BLKIF_SLOT_BYTES};

	while (xen_ring_slots(&area) < front->config->queue_size)
		area.bytes *= 2;
	if (area.bytes / XEN_RING_PAGE_BYTES <= most)
		return area.bytes / XEN_RING_PAGE_BYTES;
	area.bytes = (uint32_t)most * XEN_RING_PAGE_BYTES;
	die("--queue-size: the back-end at %s takes rings of %u requests at most",
	    front->config->path, xen_ring_slots(&area));
}

static unsigned int negotiate(struct load_front *front)
{
	check_size(front);
	if (is_indirect(front->config))
		front->features |= VIRTQUEUE_F_INDIRECT;
	front->persistent =
		xen_choose(front, front->config->persistent,
			   xen_guest_read_number(BLKIF_KEY_PERSISTENT, 0), "persistent");
	return ring_pages(front);
}

static void publish(struct load_front *front)
{
	unsigned int pages = xen_queue_of(front->queues[0])->pages;

	if (pages > 1)
		xen_guest_write(BLKIF_KEY_RING_PAGE_ORDER, "%u", __builtin_ctz(pages));
	xen_guest_write(BLKIF_KEY_PERSISTENT, "%u", front->persistent);
	xen_guest_write(STORE_KEY_PROTOCOL, "%s", STORE_PROTOCOL_X86_64);
}

static void publish_queue(struct load_front *front, unsigned int index, const char *prefix)
{
	const struct xen_queue *queue = xen_queue_of(front->queues[index]);
	char key[64];
	unsigned int i;

	for (i = 0; i < queue->pages; i++) {
		if (queue->pages == 1)
			snprintf(key, sizeof(key), "%s%s", prefix, BLKIF_KEY_RING_REF);
		else
			snprintf(key, sizeof(key), "%s%s%u", prefix, BLKIF_KEY_RING_REF_PREFIX, i);
		xen_guest_write(key, "%u", queue->reference[i]);
	}
	snprintf(key, sizeof(key), "%s%s", prefix, STORE_KEY_EVENT_CHANNEL);
	xen_guest_write(key, "%u", queue->port);
}

static void connected(struct load_front *front)
{
	uint64_t sectors = xen_guest_read_number(BLKIF_KEY_SECTORS, 0);
	uint64_t unit = xen_guest_read_number(BLKIF_KEY_SECTOR_SIZE, BLKIF_SECTOR_BYTES);
	uint64_t info = xen_guest_read_number(BLKIF_KEY_INFO, 0);

	if (!unit || front->config->block_size % unit)
		die("--block-size: %llu is no multiple of the %llu bytes of this disk's sectors",
		    (unsigned long long)front->config->block_size, (unsigned long long)unit);
	if (sectors > UINT64_MAX / BLKIF_SECTOR_BYTES)
		die("%s: the disk has %llu sectors, which is no disk", front->config->path,
		    (unsigned long long)sectors);
	load_front_take_disk(front, sectors * BLKIF_SECTOR_BYTES, info & BLKIF_INFO_READONLY);
}

const struct xen_kind xen_blk_kind = {
	.device = "vbd/51712",
	.other = "vif/0",
	.hint = "for that use --device=net-tx or net-rx, or attach pvkit-blkd --device=vbd/51712",
	.slot_bytes = {BLKIF_SLOT_BYTES, BLKIF_SLOT_BYTES},
	.ready = STORE_STATE_INITIALISED,
	.negotiate = negotiate,
	.publish = publish,
	.publish_queue = publish_queue,
	.connected = connected,
};

/* ---- requests -------------------------------------------------------------------------------- */

static uint64_t slot_bytes(const struct load_config *config)
{
	unsigned int pages = data_pages(config);

	return (uint64_t)(pages + table_pages(pages)) * XEN_RING_PAGE_BYTES;
}

static void list_segments(const struct load_config *config, struct blkif_segment *segment,
			  const uint32_t *references)
{
	uint64_t left = config->block_size;
	unsigned int i;

	for (i = 0; left; i++) {
		uint64_t part = left < XEN_RING_PAGE_BYTES ? left : XEN_RING_PAGE_BYTES;

		segment[i] = (struct blkif_segment){
			.grant = references[i],
			.last_sector = part / BLKIF_SECTOR_BYTES - 1,
		};
		left -= part;
	}
}

static void list_directly(struct load_front *front, struct xen_request *xen)
{
	xen->slot.rw.segments = xen->pages;
	xen->slot_bytes =
		offsetof(struct blkif_rw_req, segment) + xen->pages * sizeof(struct blkif_segment);
	list_segments(front->config, xen->slot.rw.segment, xen->references);
}

static void list_indirectly(struct load_front *front, struct xen_request *xen)
{
	uint32_t *tables = xen->references + xen->pages;
	struct blkif_segment *list;
	unsigned int i;

	xen->tables = table_pages(xen->pages);
	list = xen_take_pages(front, xen->tables, tables);
	list_segments(front->config, list, xen->references);
	xen->slot.operation = BLKIF_INDIRECT;
	xen->slot.indirect.segments = xen->pages;
	for (i = 0; i < xen->tables; i++)
		xen->slot.indirect.page_grant[i] = tables[i];
	xen->slot_bytes = sizeof(struct blkif_indirect_req);
}

static void lay_out(struct load_front *front, struct load_queue *queue, struct request *request)
{
	unsigned int pages = data_pages(front->config), i;
	struct xen_request *xen = &request->xen;

	*xen = (struct xen_request){.pages = pages};
	xen->references = calloc(pages + table_pages(pages), sizeof(*xen->references));
	if (!xen->references)
		die_errno("no memory for requests");
	request->data = xen_take_pages(front, pages, xen->references);
	if (is_indirect(front->config))
		list_indirectly(front, xen);
	else
		list_directly(front, xen);
	if (front->persistent)
		for (i = 0; i < xen->pages + xen->tables; i++)
			xen_grant_give(xen->references[i], false);
}

static void release(struct request *request)
{
	free(request->xen.references);
}

static void give_all(const struct request *request)
{
	const struct xen_request *xen = &request->xen;
	unsigned int i;

	for (i = 0; i < xen->pages; i++)
		xen_grant_give(xen->references[i], request->is_write);
	for (; i < xen->pages + xen->tables; i++)
		xen_grant_give(xen->references[i], true);
}

static bool take_all(const struct request *request)
{
	const struct xen_request *xen = &request->xen;
	bool all = true;
	unsigned int i;

	for (i = 0; i < xen->pages + xen->tables; i++)
		all = xen_grant_take(xen->references[i]) && all;
	return all;
}

static bool add(struct load_queue *base, struct request *request)
{
	struct xen_queue *queue = xen_queue_of(base);
	struct xen_request *xen = &request->xen;
	uint8_t operation = request->is_write ? BLKIF_WRITE : BLKIF_READ;
	int64_t id;

	if (!xen_front_room(&queue->ring))
		return false;
	id = xen_shadow_lend(&queue->shadow, request, operation);
	if (id < 0)
		return false;
	if (!queue->persistent)
		give_all(request);
	if (xen->tables)
		xen->slot.indirect.indirect_operation = operation;
	else
		xen->slot.operation = operation;
	/* In the same place in both. */
	xen->slot.rw.id = (uint64_t)id;
	xen->slot.rw.sector = request->offset / BLKIF_SECTOR_BYTES;
	return xen_front_put(&queue->ring, &xen->slot, xen->slot_bytes) == 0;
}

static enum load_found reap(struct load_queue *base, struct load_done *done)
{
	struct xen_queue *queue = xen_queue_of(base);
	struct blkif_rsp response;
	enum xen_ring_result found = xen_front_reap(&queue->ring, &response, sizeof(response));

	if (found != XEN_RING_FOUND)
		return found == XEN_RING_BROKEN ? LOAD_BROKEN : LOAD_NOTHING;
	done->request = xen_shadow_settle(&queue->shadow, &queue->ring.ring, response.id,
					  response.operation);
	if (!done->request)
		return LOAD_BROKEN;
	done->status = response.status;
	/* What is answered is not in use any more. */
	if (!queue->persistent && !take_all(done->request))
		done->status = -EBUSY;
	return LOAD_FOUND;
}

const struct load_wire xen_blk_wire = {
	.slot_bytes = slot_bytes,
	.lay_out = lay_out,
	.release = release,
	.add = add,
	.publish = xen_publish,
	.reap = reap,
	.arm = xen_arm,
	.disarm = xen_disarm,
};
