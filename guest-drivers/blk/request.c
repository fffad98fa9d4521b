// SPDX-License-Identifier: GPL-2.0
/*
 * From a request of blk-mq to the ring.
 *
 * A request is built between two holds of its queue's lock. The first takes a slot, references (or
 * pages of the pool) and descriptor pages; the second stages it. In between, page contents may be
 * copied and a grant table written, with interrupts on.
 *
 * blk-mq sends a batch with ->last at its end, or calls ->commit_rqs. Until then nothing is shown
 * to the back-end, which then gets one index and at most one notification for all.
 */
#include "guest-drivers/blk/blk.h"

/* ---- pieces: what of a request lies in one page ---------------------------------------------- */

/*
 * Whether @bv goes on where the piece before ended. @end is kept here, for the next call. The pool
 * is copied back with the same questions in the same order, so with the same answers.
 */
struct piece_end {
	struct page *page;
	unsigned int offset;
};

static bool piece_goes_on(struct piece_end *end, const struct bio_vec *bv)
{
	bool on = end->page == bv->bv_page && end->offset == bv->bv_offset;

	end->page = bv->bv_page;
	end->offset = bv->bv_offset + bv->bv_len;
	return on;
}

/* Pages of the pool keep the data at its offset, so that sectors lie where they would without. */
static void copy_to_pool(const struct pvd_grant *grant, const struct bio_vec *bv)
{
	memcpy_from_page(page_address(grant->page) + bv->bv_offset, bv->bv_page, bv->bv_offset,
			 bv->bv_len);
}

void pvd_copy_from_pool(struct pvd_request *request)
{
	struct piece_end end = {};
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int i = 0;

	rq_for_each_segment(bv, pvd_to_rq(request), iter) {
		if (!piece_goes_on(&end, &bv))
			i++;
		memcpy_to_page(bv.bv_page, bv.bv_offset,
			       page_address(request->grant[i - 1].page) + bv.bv_offset, bv.bv_len);
	}
}

/* ---- what a request takes of its queue ------------------------------------------------------- */

/* Under the lock. */
static void reserve_pages(struct pvd_queue *queue, struct pvd_request *request)
{
	unsigned int i;

	for (i = 0; i < request->reserved; i++) {
		if (request->pooled)
			request->grant[i] = queue->pool[--queue->pool_free];
		else
			request->grant[i].reference = pvkit_grants_take(&queue->grants);
	}
	for (i = 0; i < request->descriptors; i++)
		request->grant[queue->pvd->terms.segments + i] =
			queue->descriptors[--queue->descriptors_free];
}

/* BLK_STS_DEV_RESOURCE: a request that is out will bring back what is missing, and start @hctx. */
static blk_status_t reserve(struct pvd_queue *queue, struct pvd_request *request,
			    struct blk_mq_hw_ctx *hctx)
{
	blk_status_t status = BLK_STS_OK;
	unsigned int pages;
	bool notify = false;

	spin_lock_irq(&queue->lock);
	pages = request->pooled ? queue->pool_free : queue->grants.free;
	if (!queue->open || wire_broken(&queue->wire)) {
		status = BLK_STS_IOERR;
	} else if (pages < request->reserved || queue->descriptors_free < request->descriptors ||
		   !wire_reserve(&queue->wire)) {
		/* What was staged must be on its way before we wait for its end. */
		notify = wire_announce(&queue->wire);
		queue->notifications += notify;
		queue->waiting = true;
		blk_mq_stop_hw_queue(hctx);
		status = BLK_STS_DEV_RESOURCE;
	} else {
		reserve_pages(queue, request);
		queue->out++;
	}
	spin_unlock_irq(&queue->lock);
	if (notify)
		pvkit_event_notify(&queue->event);
	return status;
}

/*
 * Takes a direct grant back. A back-end that answered uses the page no more; one that does all the
 * same keeps the page from being freed, and loses the disk.
 */
static bool end_grant(struct pvd_queue *queue, const struct pvd_grant *grant)
{
	if (likely(!pvkit_grant_end(grant->reference)))
		return true;
	get_page(grant->page);
	pvkit_grant_end_later(grant->reference, grant->page);
	return false;
}

/* Gives all back that the request took, and starts blk-mq if somebody waits for it. */
void pvd_release(struct pvd_request *request)
{
	struct pvd_queue *queue = request->queue;
	struct request *rq = pvd_to_rq(request);
	unsigned int i, kept = 0;
	unsigned long flags;
	bool waiting;

	if (!request->pooled) {
		for (i = 0; i < request->used; i++) {
			if (!end_grant(queue, &request->grant[i])) {
				request->grant[i].reference = 0;
				kept++;
			}
		}
	}

	spin_lock_irqsave(&queue->lock, flags);
	for (i = request->reserved; i--;) {
		if (request->pooled)
			queue->pool[queue->pool_free++] = request->grant[i];
		else if (request->grant[i].reference)
			pvkit_grants_put(&queue->grants, request->grant[i].reference);
	}
	for (i = request->descriptors; i--;)
		queue->descriptors[queue->descriptors_free++] =
			request->grant[queue->pvd->terms.segments + i];
	waiting = queue->waiting;
	queue->waiting = false;
	queue->out--;
	spin_unlock_irqrestore(&queue->lock, flags);

	if (unlikely(waiting))
		blk_mq_start_stopped_hw_queues(rq->q, true);
	if (unlikely(kept) && !request->recovered)
		pvd_retire(queue->pvd, "it still uses a page of a request that it has answered");
}

/* ---- building -------------------------------------------------------------------------------- */

static blk_status_t build_data(struct pvd_request *request, struct wire_request *wire)
{
	struct request *rq = pvd_to_rq(request);
	bool write = rq_data_dir(rq) == WRITE;
	u16 domain = request->queue->grants.domain;
	struct piece_end end = {};
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter) {
		struct pvd_grant *grant;

		/*
		 * Limits promise both; a caller who breaks them gets an error, not other people's
		 * data.
		 */
		if ((bv.bv_offset | bv.bv_len) % BLKIF_SECTOR_BYTES)
			return BLK_STS_IOERR;
		if (piece_goes_on(&end, &bv)) {
			wire_extend(wire, bv.bv_len);
			grant = &request->grant[request->used - 1];
		} else {
			if (WARN_ON_ONCE(request->used == request->reserved))
				return BLK_STS_IOERR;
			grant = &request->grant[request->used++];
			if (!request->pooled) {
				grant->page = bv.bv_page;
				pvkit_grant_give(grant->reference, domain, grant->page, write);
			}
			wire_add(wire, grant->reference, bv.bv_offset, bv.bv_len);
		}
		if (request->pooled && write)
			copy_to_pool(grant, &bv);
	}
	return BLK_STS_OK;
}

static blk_status_t build(struct pvd_request *request, struct wire_request *wire)
{
	struct request *rq = pvd_to_rq(request);
	unsigned int i;
	u8 flags = 0;

	switch (request->operation) {
	case BLKIF_DISCARD:
		if (req_op(rq) == REQ_OP_SECURE_ERASE)
			flags = BLKIF_DISCARD_FLAG_SECURE;
		wire_build_range(wire, BLKIF_DISCARD, flags, blk_rq_pos(rq), blk_rq_sectors(rq));
		return BLK_STS_OK;
	case BLKIF_WRITE_ZEROES:
		if (!(rq->cmd_flags & REQ_NOUNMAP))
			flags = BLKIF_ZEROES_FLAG_UNMAP;
		wire_build_range(wire, BLKIF_WRITE_ZEROES, flags, blk_rq_pos(rq),
				 blk_rq_sectors(rq));
		return BLK_STS_OK;
	}
	/* What carries no data has no place. */
	wire_build(wire, request->operation, request->reserved ? blk_rq_pos(rq) : 0);
	for (i = 0; i < request->descriptors; i++) {
		struct pvd_grant *grant = &request->grant[request->queue->pvd->terms.segments + i];

		wire_build_indirect(wire, i, page_address(grant->page), grant->reference);
	}
	return build_data(request, wire);
}

/* Which operation serves @rq. BLK_STS_NOTSUPP: none of this back-end's. */
static blk_status_t choose(const struct terms *terms, struct request *rq, u8 *operation)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		*operation = BLKIF_READ;
		return BLK_STS_OK;
	case REQ_OP_WRITE:
		*operation =
			rq->cmd_flags & REQ_FUA && terms->barrier ? BLKIF_BARRIER : BLKIF_WRITE;
		return BLK_STS_OK;
	case REQ_OP_FLUSH:
		*operation = terms->flush ? BLKIF_FLUSH : BLKIF_BARRIER;
		return terms->flush || terms->barrier ? BLK_STS_OK : BLK_STS_NOTSUPP;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		*operation = BLKIF_DISCARD;
		return terms->discard ? BLK_STS_OK : BLK_STS_NOTSUPP;
	case REQ_OP_WRITE_ZEROES:
		*operation = BLKIF_WRITE_ZEROES;
		return terms->write_zeroes ? BLK_STS_OK : BLK_STS_NOTSUPP;
	default:
		return BLK_STS_NOTSUPP;
	}
}

static blk_status_t prepare(struct pvd_queue *queue, struct request *rq,
			    struct pvd_request *request)
{
	const struct terms *terms = &queue->pvd->terms;
	unsigned int segments = 0;
	blk_status_t status;

	if (unlikely(test_bit(PVD_DEAD, &queue->pvd->flags)))
		return BLK_STS_IOERR;
	status = choose(terms, rq, &request->operation);
	if (status)
		return status;
	if (request->operation <= BLKIF_BARRIER)
		segments = rq->bio ? blk_rq_nr_phys_segments(rq) : 0;
	if (WARN_ON_ONCE(segments > terms->segments))
		return BLK_STS_IOERR;
	request->queue = queue;
	request->pooled = terms->pooled;
	request->recovered = false;
	request->reserved = segments;
	request->used = 0;
	request->descriptors =
		segments > BLKIF_SEGMENTS_MAX ? DIV_ROUND_UP(segments, BLKIF_SEGMENTS_PER_PAGE) : 0;
	return BLK_STS_OK;
}

/* ---- to the ring ----------------------------------------------------------------------------- */

/* @last: nothing more comes soon. */
static blk_status_t stage(struct pvd_queue *queue, struct pvd_request *request,
			  struct wire_request *wire, bool last)
{
	bool notify = false;
	int ret = -1;

	spin_lock_irq(&queue->lock);
	if (queue->open)
		ret = wire_put(&queue->wire, wire, request);
	else
		wire_cancel(&queue->wire);
	if (!ret) {
		queue->requests++;
		if (last)
			notify = wire_announce(&queue->wire);
		queue->notifications += notify;
	}
	spin_unlock_irq(&queue->lock);
	if (notify)
		pvkit_event_notify(&queue->event);
	return ret ? BLK_STS_IOERR : BLK_STS_OK;
}

static void cancel(struct pvd_queue *queue, struct pvd_request *request)
{
	spin_lock_irq(&queue->lock);
	wire_cancel(&queue->wire);
	spin_unlock_irq(&queue->lock);
	pvd_release(request);
}

blk_status_t pvd_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct pvd_request *request = blk_mq_rq_to_pdu(bd->rq);
	struct pvd_queue *queue = hctx->driver_data;
	struct wire_request wire;
	blk_status_t status;

	status = prepare(queue, bd->rq, request);
	if (!status)
		status = reserve(queue, request, hctx);
	if (status)
		return status;
	status = build(request, &wire);
	if (unlikely(status)) {
		cancel(queue, request);
		return status;
	}
	/* 0 is the queue's own interval, for a look and a line in the log. */
	bd->rq->timeout = pvd_patience();
	/* From stage on, the answer may be faster than we are. */
	blk_mq_start_request(bd->rq);
	status = stage(queue, request, &wire, bd->last);
	if (unlikely(status))
		pvd_release(request);
	return status;
}

void pvd_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct pvd_queue *queue = hctx->driver_data;
	bool notify = false;

	spin_lock_irq(&queue->lock);
	if (queue->open)
		notify = wire_announce(&queue->wire);
	queue->notifications += notify;
	spin_unlock_irq(&queue->lock);
	if (notify)
		pvkit_event_notify(&queue->event);
}
