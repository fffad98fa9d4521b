// SPDX-License-Identifier: GPL-2.0
/*
 * From the ring to the end of a request.
 *
 * Whoever looks first (interrupt, poller, timeout) takes all that is answered under the lock, as a
 * list, and ends it without: blk-mq then calls ->complete on the CPU that asked, where the data is
 * warm.
 */
#include "guest-drivers/blk/blk.h"
#include "guest-drivers/blk/compat.h"

/* The back-end offers what it does not do: do not ask again. */
static blk_status_t refused(struct pvd_request *request)
{
	struct pvd *pvd = request->queue->pvd;
	struct request *rq = pvd_to_rq(request);

	dev_warn_ratelimited(&pvd->device->dev,
			     "the back-end does not do operation %u, which it offered\n",
			     request->operation);
	switch (req_op(rq)) {
	case REQ_OP_DISCARD:
		pvd_disable_discard(rq->q);
		break;
	case REQ_OP_SECURE_ERASE:
		pvd_disable_secure_erase(rq->q);
		break;
	case REQ_OP_WRITE_ZEROES:
		pvd_disable_write_zeroes(rq->q);
		break;
	default:
		break;
	}
	return BLK_STS_NOTSUPP;
}

/* Under the lock. All that is answered, oldest first. */
static struct pvd_request *collect(struct pvd_queue *queue)
{
	struct pvd_request *first = NULL, **place = &first;
	struct wire *wire = &queue->wire;
	enum xen_ring_result found;
	struct wire_answer answer;

	do {
		if (!queue->poll)
			xen_front_events_disable(&wire->front);
		while ((found = wire_take(wire, &answer)) == XEN_RING_FOUND) {
			struct pvd_request *request = answer.token;

			if (likely(answer.status == BLKIF_OK))
				request->status = BLK_STS_OK;
			else if (answer.status == BLKIF_NOT_SUPPORTED)
				request->status = refused(request);
			else
				request->status = BLK_STS_IOERR;
			request->next = NULL;
			*place = request;
			place = &request->next;
		}
		if (unlikely(found == XEN_RING_BROKEN))
			pvd_retire(queue->pvd, wire_fault(wire));
	} while (found == XEN_RING_EMPTY && !queue->poll && xen_front_events_enable(&wire->front));
	return first;
}

static struct pvd_request *collect_open(struct pvd_queue *queue)
{
	struct pvd_request *first = NULL;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (queue->open)
		first = collect(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
	return first;
}

static void finish(struct pvd_request *request)
{
	if (request->pooled && request->operation == BLKIF_READ && !request->status)
		pvd_copy_from_pool(request);
	pvd_release(request);
}

void pvd_complete(struct request *rq)
{
	struct pvd_request *request = blk_mq_rq_to_pdu(rq);

	finish(request);
	blk_mq_end_request(rq, request->status);
}

static void complete_batch(struct io_comp_batch *iob)
{
	struct request *rq;

	rq_list_for_each(&iob->req_list, rq) finish(blk_mq_rq_to_pdu(rq));
	blk_mq_end_request_batch(iob);
}

static void complete_list(struct pvd_request *first)
{
	struct pvd_request *next;

	for (; first; first = next) {
		next = first->next;
		blk_mq_complete_request(pvd_to_rq(first));
	}
}

irqreturn_t pvd_interrupt(int irq, void *context)
{
	struct pvd_queue *queue = context;
	struct pvd_request *first = collect_open(queue);

	queue->interrupts++;
	if (first)
		pvkit_event_worked(&queue->event);
	complete_list(first);
	return IRQ_HANDLED;
}

int pvd_poll(struct blk_mq_hw_ctx *hctx, struct io_comp_batch *iob)
{
	/* Polls go on while the disk is quiesced, and changes its queues. */
	struct pvd_request *request = collect_open(READ_ONCE(hctx->driver_data)), *next;
	int found = 0;

	for (; request; request = next, found++) {
		struct request *rq = pvd_to_rq(request);

		next = request->next;
		if (!blk_mq_complete_request_remote(rq) &&
		    !blk_mq_add_to_batch(rq, iob, request->status != BLK_STS_OK, complete_batch))
			pvd_complete(rq);
	}
	return found;
}

/*
 * Nothing came for a long time. Perhaps only the notification was lost; else a back-end may be
 * slow, or away to come back, and only the user can know how long is too long.
 */
enum blk_eh_timer_return pvd_timed_out(struct request *rq)
{
	struct pvd_request *request = blk_mq_rq_to_pdu(rq);
	struct pvd_queue *queue = request->queue;
	struct pvd *pvd = queue->pvd;
	unsigned int patience = pvd_patience();

	complete_list(collect_open(queue));
	if (blk_mq_request_completed(rq) || !blk_mq_request_started(rq))
		return BLK_EH_DONE;
	if (patience && rq->timeout >= patience) {
		pvd_retire(pvd,
			   "it did not answer a request in the time that request_timeout gives it");
		return BLK_EH_RESET_TIMER;
	}
	dev_warn_ratelimited(&pvd->device->dev,
			     "%s: operation %u at sector %llu waits for %u s (see request_timeout)\n",
			     rq->q->disk ? rq->q->disk->disk_name : "disk", request->operation,
			     (unsigned long long)blk_rq_pos(rq),
			     jiffies_to_msecs(rq->timeout) / 1000);
	rq->timeout = patience ?: rq->q->rq_timeout;
	return BLK_EH_RESET_TIMER;
}

void pvd_recover(struct pvd_queue *queue, enum pvd_recovery how)
{
	struct pvd_request *first = NULL, **place = &first, *request, *next;

	spin_lock_irq(&queue->lock);
	if (queue->open) {
		while ((request = wire_recover(&queue->wire))) {
			request->status = BLK_STS_IOERR;
			request->recovered = true;
			request->next = NULL;
			*place = request;
			place = &request->next;
		}
		queue->open = false;
	}
	spin_unlock_irq(&queue->lock);
	if (how == PVD_FAIL) {
		complete_list(first);
		return;
	}
	for (; first; first = next) {
		next = first->next;
		pvd_release(first);
		blk_mq_requeue_request(pvd_to_rq(first), false);
	}
}
