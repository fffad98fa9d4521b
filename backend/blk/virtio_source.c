// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Virtio block requests (Virtual I/O Device 1.2, section 5.2.6).
 *
 * A chain is a header of 16 bytes to read, data to read or to write, and as its last writable byte
 * the status. Where the driver cut it into descriptors means nothing, so the header may lie in
 * several and the status may share one with data. The header and the ranges of a discard are copied
 * once; the driver may change its memory afterwards and changes nothing.
 *
 * A chain without a writable byte can be told neither success nor failure: that ends the queue. Every
 * other malformed chain is one failed request.
 */
#include <linux/virtio_blk.h>
#include <string.h>

#include "backend/blk/virtio_source.h"

static struct virtio_source *to_virtio(struct blk_source *base)
{
	return (struct virtio_source *)base;
}

/* Copies up to @bytes from the front of pieces[0 .. *count), and takes them off. */
static size_t take_bytes(struct ring_iovec **pieces, uint16_t *count, void *data, size_t bytes)
{
	size_t part, done = 0;

	while (*count && done < bytes) {
		part = bytes - done;
		if (part > (*pieces)->length)
			part = (*pieces)->length;
		memcpy((uint8_t *)data + done, (*pieces)->base, part);
		done += part;
		(*pieces)->base = (uint8_t *)(*pieces)->base + part;
		(*pieces)->length -= part;
		if (!(*pieces)->length) {
			(*pieces)++;
			(*count)--;
		}
	}
	return done;
}

/* The status byte is the last writable one: off the data with it. */
static void take_status(struct blk_request *request, struct virtqueue_chain *chain)
{
	struct ring_iovec *last = &request->pieces[chain->readable + chain->writable - 1];

	request->status_at = (uint8_t *)last->base + last->length - 1;
	chain->writable_bytes--;
	if (!--last->length)
		chain->writable--;
}

static void take_ranges(struct blk_request *request, struct ring_iovec *pieces, uint16_t count,
			uint64_t bytes)
{
	struct virtio_blk_discard_write_zeroes range;
	unsigned int i, ranges = bytes / sizeof(range);

	request->range_count = 0;
	request->bytes = 0;
	if (bytes % sizeof(range) || ranges > BLK_RANGES_MAX) {
		request->op = BLK_MALFORMED;
		return;
	}
	for (i = 0; i < ranges; i++) {
		take_bytes(&pieces, &count, &range, sizeof(range));
		request->ranges[i] = (struct blk_range){
			.sector = range.sector,
			.sectors = range.num_sectors,
			.unmap = range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
			.reserved = range.flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
		};
		request->bytes += (uint64_t)range.num_sectors * BLK_SECTOR;
	}
	request->range_count = ranges;
}

static void set_data(struct blk_request *request, enum blk_op op, struct ring_iovec *iov,
		     uint16_t count, uint64_t bytes)
{
	request->op = op;
	request->iov = iov;
	request->iov_count = count;
	request->bytes = bytes;
}

/* Fills @request from a chain that is usable as far as the ring can tell. */
static void parse(struct blk_request *request, struct virtqueue_chain *chain)
{
	struct ring_iovec *readable = request->pieces;
	struct ring_iovec *writable = request->pieces + chain->readable;
	struct virtio_blk_outhdr header;
	uint64_t payload;

	take_status(request, chain);
	if (take_bytes(&readable, &chain->readable, &header, sizeof(header)) != sizeof(header)) {
		request->op = BLK_MALFORMED;
		return;
	}
	payload = chain->readable_bytes - sizeof(header);
	request->sector = header.sector;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		set_data(request, BLK_READ, writable, chain->writable, chain->writable_bytes);
		break;
	case VIRTIO_BLK_T_OUT:
		set_data(request, BLK_WRITE, readable, chain->readable, payload);
		break;
	case VIRTIO_BLK_T_FLUSH:
		set_data(request, BLK_FLUSH, NULL, 0, 0);
		break;
	case VIRTIO_BLK_T_GET_ID:
		set_data(request, BLK_GET_ID, writable, chain->writable, chain->writable_bytes);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_SECURE_ERASE:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		request->op = header.type == VIRTIO_BLK_T_DISCARD        ? BLK_DISCARD
			      : header.type == VIRTIO_BLK_T_SECURE_ERASE ? BLK_SECURE_ERASE
									 : BLK_WRITE_ZEROES;
		take_ranges(request, readable, chain->readable, payload);
		break;
	default:
		request->op = BLK_UNKNOWN;
		break;
	}
}

/* False: the chain leaves no room for an answer, and the queue is broken. */
static bool take_chain(struct virtio_source *source, struct blk_request *request,
		       struct virtqueue_chain *chain)
{
	request->chain_id = chain->id;
	request->chain_slots = chain->slots;
	request->written = 0;
	request->bytes = 0;
	if (!chain->unusable && chain->writable) {
		parse(request, chain);
		return true;
	}
	if (!chain->unusable) {
		source->queue->ring.broken = VIRTQUEUE_FAULT_NO_ANSWER;
		return false;
	}
	/* Some piece is out of reach or one too many. The answer reaches its place if that is not. */
	request->op = BLK_MALFORMED;
	request->status_at =
		chain->tail.base ? (uint8_t *)chain->tail.base + chain->tail.length - 1 : NULL;
	return true;
}

/*
 * The driver has just written what we are about to read, so each line of it is a transfer from its
 * core to ours. Several chains are popped before the first is parsed: their headers and status
 * bytes are on the way meanwhile.
 */
#define FETCH_AHEAD 16

static unsigned int pop_chains(struct virtio_source *source, struct blk_request **requests,
			       struct virtqueue_chain *chains, unsigned int max)
{
	enum virtqueue_result result;
	unsigned int count;

	for (count = 0; count < max; count++) {
		struct virtqueue_chain *chain = &chains[count];

		chain->iov = requests[count]->pieces;
		chain->iov_max = BLK_IOV_MAX;
		result = virtqueue_pop(&source->queue->ring, chain);
		if (result != VIRTQUEUE_FOUND) {
			source->base.broken = result == VIRTQUEUE_BROKEN;
			break;
		}
		__builtin_prefetch(chain->iov->base);
		__builtin_prefetch(chain->tail.base, 1);
	}
	return count;
}

static unsigned int virtio_fetch(struct blk_source *base, struct blk_request **requests,
				 unsigned int max)
{
	struct virtio_source *source = to_virtio(base);
	struct virtqueue_chain chains[FETCH_AHEAD];
	unsigned int i, popped, count = 0;

	while (count < max && !base->broken) {
		popped = max - count < FETCH_AHEAD ? max - count : FETCH_AHEAD;
		popped = pop_chains(source, requests + count, chains, popped);
		for (i = 0; i < popped; i++, count++)
			if (!take_chain(source, requests[count], &chains[i])) {
				base->broken = true;
				return count;
			}
		if (popped < FETCH_AHEAD)
			break;
	}
	return count;
}

static const uint8_t status_bytes[] = {
	[BLK_OK] = VIRTIO_BLK_S_OK,
	[BLK_ERROR] = VIRTIO_BLK_S_IOERR,
	[BLK_UNSUPPORTED] = VIRTIO_BLK_S_UNSUPP,
};

/* What a driver may believe was written: a read that failed may have left anything behind. */
static uint32_t written(const struct blk_request *request)
{
	bool data = request->op == BLK_READ || request->op == BLK_GET_ID;

	if (!request->status_at)
		return 0;
	return 1 + (data && request->status == BLK_OK ? request->bytes : 0);
}

static void virtio_complete(struct blk_source *base, struct blk_request **requests,
			    unsigned int count)
{
	struct virtqueue_device *ring = &to_virtio(base)->queue->ring;
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct blk_request *request = requests[i];

		if (request->status_at)
			*request->status_at = status_bytes[request->status];
		virtqueue_push(ring, request->chain_id, request->chain_slots, written(request));
	}
}

static void virtio_publish(struct blk_source *base)
{
	virtqueue_publish(&to_virtio(base)->queue->ring);
}

static bool virtio_interrupt(struct blk_source *base)
{
	struct backend_queue *queue = to_virtio(base)->queue;

	if (!virtqueue_should_interrupt(&queue->ring))
		return false;
	backend_queue_interrupt(queue);
	return true;
}

static bool virtio_has_work(struct blk_source *base)
{
	return virtqueue_has_work(&to_virtio(base)->queue->ring);
}

static bool virtio_arm(struct blk_source *base)
{
	return virtqueue_kicks_enable(&to_virtio(base)->queue->ring);
}

static void virtio_disarm(struct blk_source *base)
{
	virtqueue_kicks_disable(&to_virtio(base)->queue->ring);
}

static bool virtio_take_kick(struct blk_source *base)
{
	return backend_queue_take_kick(to_virtio(base)->queue);
}

static void virtio_report_broken(struct blk_source *base)
{
	struct virtio_source *source = to_virtio(base);

	backend_queue_broken(source->queue, source->device);
}

static const struct blk_source_ops virtio_source_ops = {
	.fetch = virtio_fetch,
	.complete = virtio_complete,
	.publish = virtio_publish,
	.interrupt = virtio_interrupt,
	.has_work = virtio_has_work,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
	.take_kick = virtio_take_kick,
	.report_broken = virtio_report_broken,
};

void virtio_source_init(struct virtio_source *source, struct backend_queue *queue,
			const char *device)
{
	*source = (struct virtio_source){
		.base.ops = &virtio_source_ops, .queue = queue, .device = device};
}
