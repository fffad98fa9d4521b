// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * blk-mq.
 */
#include "tests/unit/kernel/linux/blk-mq.h"

#define STOPPED 0
#define BATCH   4

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_init(struct fake_list *list)
{
	pthread_mutex_init(&list->lock, NULL);
	list->first = NULL;
	list->last = &list->first;
}

static void list_put(struct fake_list *list, struct request *rq)
{
	pthread_mutex_lock(&list->lock);
	rq->next = NULL;
	*list->last = rq;
	list->last = &rq->next;
	pthread_mutex_unlock(&list->lock);
}

static struct request *list_take(struct fake_list *list)
{
	struct request *rq;

	pthread_mutex_lock(&list->lock);
	rq = list->first;
	if (rq)
		list->first = rq->next;
	if (!list->first)
		list->last = &list->first;
	pthread_mutex_unlock(&list->lock);
	return rq;
}

/* ---- a request's life ------------------------------------------------------------------------ */

static void put_request(struct request *rq)
{
	__atomic_sub_fetch(&rq->references, 1, __ATOMIC_ACQ_REL);
}

/* Release: a timeout comes seconds after the start of its request, not in the middle of it. */
static void set_state(struct request *rq, enum fake_rq_state state)
{
	__atomic_store_n(&rq->state, state, __ATOMIC_RELEASE);
}

void blk_mq_start_request(struct request *rq)
{
	if (READ_ONCE(rq->state) != FAKE_IDLE)
		abort();
	set_state(rq, FAKE_IN_FLIGHT);
}

/* Every other one of each kind ends on the CPU that asked. */
bool blk_mq_complete_request_remote(struct request *rq)
{
	if (READ_ONCE(rq->state) != FAKE_IN_FLIGHT)
		abort();
	set_state(rq, FAKE_COMPLETE);
	if (rq->sector / 4 % 2)
		return false;
	list_put(&rq->q->remote[rq->cpu], rq);
	return true;
}

void blk_mq_complete_request(struct request *rq)
{
	if (!blk_mq_complete_request_remote(rq))
		rq->q->mq_ops->complete(rq);
}

void blk_mq_end_request(struct request *rq, blk_status_t status)
{
	rq->result = status;
	set_state(rq, FAKE_IDLE);
	put_request(rq);
}

bool blk_mq_add_to_batch(struct request *rq, struct io_comp_batch *iob, bool error,
			 void (*complete)(struct io_comp_batch *iob))
{
	if (error)
		return false;
	iob->complete = complete;
	rq->next = iob->req_list;
	iob->req_list = rq;
	return true;
}

void blk_mq_end_request_batch(struct io_comp_batch *iob)
{
	while (iob->req_list) {
		struct request *rq = iob->req_list;

		iob->req_list = rq->next;
		blk_mq_end_request(rq, BLK_STS_OK);
	}
}

void blk_mq_requeue_request(struct request *rq, bool kick)
{
	if (READ_ONCE(rq->state) != FAKE_IN_FLIGHT)
		abort();
	set_state(rq, FAKE_IDLE);
	list_put(&rq->q->requeued, rq);
}

void blk_mq_kick_requeue_list(struct request_queue *q)
{
	struct request *rq;

	while ((rq = list_take(&q->requeued)))
		list_put(&rq->mq_hctx->waiting, rq);
}

/* ---- queues ---------------------------------------------------------------------------------- */

void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx)
{
	set_bit(STOPPED, &hctx->state);
}

void blk_mq_start_stopped_hw_queues(struct request_queue *q, bool async)
{
	unsigned int i;

	/* Their CPUs look at them all the time. */
	for (i = 0; i < FAKE_QUEUES; i++)
		clear_bit(STOPPED, &q->hctx[i].state);
}

void blk_mq_quiesce_queue(struct request_queue *q)
{
	__atomic_fetch_add(&q->quiesced, 1, __ATOMIC_RELAXED);
	pthread_rwlock_wrlock(&q->dispatch);
	pthread_rwlock_unlock(&q->dispatch);
}

void blk_mq_unquiesce_queue(struct request_queue *q)
{
	/* Pairs with the look in send_waiting(): the queues are as they were left here. */
	pthread_rwlock_wrlock(&q->dispatch);
	if (__atomic_fetch_sub(&q->quiesced, 1, __ATOMIC_RELAXED) < 1)
		abort();
	pthread_rwlock_unlock(&q->dispatch);
}

void blk_mark_disk_dead(struct gendisk *disk)
{
}

static bool may_send(struct blk_mq_hw_ctx *hctx)
{
	return !READ_ONCE(hctx->queue->quiesced) && !test_bit(STOPPED, &hctx->state);
}

static void send_batch(struct blk_mq_hw_ctx *hctx)
{
	const struct blk_mq_ops *ops = hctx->queue->mq_ops;
	struct request *rq = list_take(&hctx->waiting), *next;
	unsigned int sent = 0;
	blk_status_t status;

	for (; rq; rq = next) {
		next = sent + 1 < BATCH ? list_take(&hctx->waiting) : NULL;
		status = ops->queue_rq(hctx, &(struct blk_mq_queue_data){rq, !next});
		if (status == BLK_STS_OK) {
			sent++;
			continue;
		}
		if (status == BLK_STS_DEV_RESOURCE)
			list_put(&hctx->waiting, rq);
		else
			blk_mq_end_request(rq, status);
		if (next)
			list_put(&hctx->waiting, next);
		/* The last one did not say that it is. */
		if (sent)
			ops->commit_rqs(hctx);
		return;
	}
}

static void send_waiting(struct blk_mq_hw_ctx *hctx)
{
	/* Before the lock too: who quiesces would wait long for a moment without readers. */
	if (!may_send(hctx))
		return;
	pthread_rwlock_rdlock(&hctx->queue->dispatch);
	if (may_send(hctx))
		send_batch(hctx);
	pthread_rwlock_unlock(&hctx->queue->dispatch);
}

/* ---- for the test ---------------------------------------------------------------------------- */

struct gendisk *fake_disk_new(const struct blk_mq_ops *ops)
{
	struct gendisk *disk = calloc(1, sizeof(*disk));
	struct request_queue *q = calloc(1, sizeof(*q));
	unsigned int i;

	disk->queue = q;
	q->disk = disk;
	q->mq_ops = ops;
	q->rq_timeout = 30 * HZ;
	pthread_rwlock_init(&q->dispatch, NULL);
	list_init(&q->requeued);
	for (i = 0; i < FAKE_CPUS; i++)
		list_init(&q->remote[i]);
	for (i = 0; i < FAKE_QUEUES; i++) {
		q->hctx[i].queue = q;
		list_init(&q->hctx[i].waiting);
	}
	return disk;
}

void fake_disk_free(struct gendisk *disk)
{
	free(disk->queue);
	free(disk);
}

struct request *fake_request_new(struct request_queue *q, unsigned int queue, size_t pdu)
{
	struct request *rq = calloc(1, sizeof(*rq) + pdu);

	rq->q = q;
	rq->mq_hctx = &q->hctx[queue];
	return rq;
}

void fake_submit(struct request *rq, unsigned int cpu)
{
	rq->cpu = cpu;
	__atomic_store_n(&rq->references, 1, __ATOMIC_RELEASE);
	list_put(&rq->mq_hctx->waiting, rq);
}

bool fake_request_free(struct request *rq)
{
	return !__atomic_load_n(&rq->references, __ATOMIC_ACQUIRE);
}

void fake_run_queue(struct request_queue *q, unsigned int queue, unsigned int cpu, bool poll)
{
	struct io_comp_batch batch = {};
	struct request *rq;

	send_waiting(&q->hctx[queue]);
	if (poll && q->mq_ops->poll(&q->hctx[queue], &batch) && batch.req_list)
		batch.complete(&batch);
	while ((rq = list_take(&q->remote[cpu])))
		q->mq_ops->complete(rq);
}

void fake_timeout(struct request *rq)
{
	int references = READ_ONCE(rq->references);

	do {
		if (!references)
			return;
	} while (!__atomic_compare_exchange_n(&rq->references, &references, references + 1, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	if (__atomic_load_n(&rq->state, __ATOMIC_ACQUIRE) == FAKE_IN_FLIGHT)
		rq->q->mq_ops->timeout(rq);
	put_request(rq);
}
