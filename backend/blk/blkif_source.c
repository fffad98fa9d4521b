// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The ring of one queue, in front of its worker. A slot is copied once, by xen_back_take(); only
 * indices that make no sense end the queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/blk/blkif_request.h"

static struct blkif_source *to_blkif(struct blk_source *base)
{
	return (struct blkif_source *)base;
}

/* ---- sequences ------------------------------------------------------------------------------- */

enum step {
	STEP_FLUSH,
	STEP_DATA
};

/* flush, write, flush; an empty barrier and a flush that carries a write are parts of that. */
static const uint8_t barrier_steps[] = {STEP_FLUSH, STEP_DATA, STEP_FLUSH};

static bool is_range(const union blkif_req *from)
{
	return from->operation == BLKIF_DISCARD || from->operation == BLKIF_WRITE_ZEROES;
}

static bool must_be_alone(const struct blkif_source *source, const union blkif_req *from)
{
	uint64_t sector, sectors;

	if (is_range(from))
		return blkif_range_of(source, &from->discard, &sector, &sectors) &&
		       sectors > BLKIF_RANGES_SECTORS_MAX;
	switch (blkif_operation(from)) {
	case BLKIF_BARRIER:
		return true;
	case BLKIF_FLUSH:
		return blkif_segments(from) > 0;
	default:
		return false;
	}
}

static void sequence_begin(struct blkif_source *source, const union blkif_req *from)
{
	struct blkif_sequence *sequence = &source->sequence;

	*sequence = (struct blkif_sequence){.active = true, .request = *from};
	if (is_range(from))
		return;
	if (!blkif_segments(from))
		sequence->steps = 1;
	else
		sequence->steps = blkif_operation(from) == BLKIF_BARRIER ? 3 : 2;
}

static void sequence_range(struct blkif_source *source, struct blk_request *request)
{
	struct blkif_sequence *sequence = &source->sequence;
	const struct blkif_discard_req *from = &sequence->request.discard;
	uint64_t sector, sectors;

	if (from->operation == BLKIF_WRITE_ZEROES && !source->options.write_zeroes)
		request->op = BLK_UNKNOWN;
	else if (blkif_range_of(source, from, &sector, &sectors))
		blkif_set_ranges(request, from, sector + sequence->done, sectors - sequence->done);
	else
		blkif_malformed(source, request);
}

static void sequence_step(struct blkif_source *source, struct blk_request *request)
{
	struct blkif_sequence *sequence = &source->sequence;

	blkif_begin(source, request, &sequence->request);
	blkif_slot_of(source, request)->step = true;
	if (is_range(&sequence->request))
		sequence_range(source, request);
	else if (barrier_steps[sequence->step] == STEP_FLUSH)
		request->op = BLK_FLUSH;
	else
		blkif_take_data(source, request, &sequence->request, BLKIF_WRITE);
}

/* A step is over: true when that was the last. */
static bool sequence_over(struct blkif_source *source, const struct blk_request *request)
{
	struct blkif_sequence *sequence = &source->sequence;
	uint64_t sector, sectors;

	if (request->status != BLK_OK)
		return true;
	if (!is_range(&sequence->request))
		return ++sequence->step == sequence->steps;
	sequence->done += request->bytes / BLK_SECTOR;
	return !blkif_range_of(source, &sequence->request.discard, &sector, &sectors) ||
	       sequence->done >= sectors;
}

/* ---- the source ------------------------------------------------------------------------------ */

/* The head of the ring, or the next step, may have to wait for what is in flight. */
static bool held_up(const struct blkif_source *source)
{
	return (source->sequence.active || source->draining) && source->in_flight;
}

static unsigned int blkif_fetch(struct blk_source *base, struct blk_request **requests,
				unsigned int max)
{
	struct blkif_source *source = to_blkif(base);
	enum xen_ring_result result;
	union blkif_req from;
	unsigned int count = 0;

	if (!max || held_up(source))
		return 0;
	source->draining = false;
	if (source->sequence.active) {
		sequence_step(source, requests[0]);
		return 1;
	}
	while (count < max) {
		result = xen_back_take(&source->back, &from, sizeof(from));
		if (result != XEN_RING_FOUND) {
			base->broken = result == XEN_RING_BROKEN;
			break;
		}
		if (!must_be_alone(source, &from)) {
			blkif_take(source, requests[count++], &from);
			continue;
		}
		if (source->in_flight) {
			xen_back_untake(&source->back, 1);
			source->draining = true;
			break;
		}
		sequence_begin(source, &from);
		sequence_step(source, requests[count++]);
		break;
	}
	return count;
}

static const int16_t statuses[] = {
	[BLK_OK] = BLKIF_OK,
	[BLK_ERROR] = BLKIF_ERROR,
	[BLK_UNSUPPORTED] = BLKIF_NOT_SUPPORTED,
};

static void blkif_complete(struct blk_source *base, struct blk_request **requests,
			   unsigned int count)
{
	struct blkif_source *source = to_blkif(base);
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct blkif_slot *slot = blkif_slot_of(source, requests[i]);
		struct blkif_rsp answer = {
			.id = slot->id,
			.operation = slot->operation,
			.status = statuses[requests[i]->status],
		};

		blkif_pages_put(source, slot);
		source->in_flight--;
		if (slot->step) {
			if (!sequence_over(source, requests[i]))
				continue;
			source->sequence.active = false;
		}
		xen_back_answer(&source->back, &answer, sizeof(answer));
	}
}

static void blkif_publish(struct blk_source *base)
{
	xen_back_publish(&to_blkif(base)->back);
}

static bool blkif_interrupt(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	if (!xen_back_should_notify(&source->back))
		return false;
	host_notify(source->options.device->host, source->options.queue->ring[0].channel);
	return true;
}

static bool blkif_has_work(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	if (source->sequence.active || source->draining)
		return !source->in_flight;
	return xen_back_has_work(&source->back);
}

/* What waits for a completion needs no kick: the completion wakes the worker. */
static bool blkif_arm(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	if (source->sequence.active || source->draining)
		return !source->in_flight;
	return xen_back_events_enable(&source->back);
}

static void blkif_disarm(struct blk_source *base)
{
	xen_back_events_disable(&to_blkif(base)->back);
}

static bool blkif_take_kick(struct blk_source *base)
{
	return host_take_event(to_blkif(base)->options.queue->ring[0].channel);
}

static void blkif_report_broken(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	xen_queue_broken(source->options.device, source->options.queue, &source->back.ring,
			 "the front-end closes the device");
}

static const struct blk_source_ops blkif_source_ops = {
	.fetch = blkif_fetch,
	.complete = blkif_complete,
	.publish = blkif_publish,
	.interrupt = blkif_interrupt,
	.has_work = blkif_has_work,
	.arm = blkif_arm,
	.disarm = blkif_disarm,
	.take_kick = blkif_take_kick,
	.report_broken = blkif_report_broken,
};

int blkif_source_open(struct blkif_source *source, const struct blkif_source_options *options)
{
	struct xen_queue_ring *ring = &options->queue->ring[0];
	int err;

	memset(source, 0, sizeof(*source));
	source->base.ops = &blkif_source_ops;
	source->options = *options;
	if (xen_back_init(&source->back, &ring->area, ring->position))
		return -EINVAL;
	source->slots = calloc(blkif_source_depth(source), sizeof(*source->slots));
	if (!source->slots)
		return -ENOMEM;
	err = blkif_cache_open(&source->cache, options->device->host,
			       options->persistent ? BLKIF_CACHE_MAX : 0);
	if (err)
		free(source->slots);
	return err;
}

void blkif_source_close(struct blkif_source *source)
{
	/* The only request that is taken and not answered; its slot holds it still. */
	if (source->sequence.active && !source->base.broken)
		xen_back_untake(&source->back, 1);
	source->options.queue->ring[0].position = xen_back_position(&source->back);
	blkif_cache_close(&source->cache);
	free(source->slots);
	source->slots = NULL;
}
