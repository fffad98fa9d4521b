/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * blk-mq, as the block front-end knows it. Threads of the test are the CPUs that run its queues.
 */
#ifndef PVKIT_TESTS_UNIT_KERNEL_BLK_MQ_H
#define PVKIT_TESTS_UNIT_KERNEL_BLK_MQ_H

#include "tests/unit/kernel/kernel.h"

#define READ        0
#define WRITE       1
#define SECTOR_SIZE 512

typedef u8 blk_status_t;
#define BLK_STS_OK           0
#define BLK_STS_NOTSUPP      1
#define BLK_STS_IOERR        10
#define BLK_STS_DEV_RESOURCE 13

enum {
	REQ_OP_READ,
	REQ_OP_WRITE,
	REQ_OP_FLUSH,
	REQ_OP_DISCARD,
	REQ_OP_SECURE_ERASE,
	REQ_OP_WRITE_ZEROES,
	REQ_OP_MASK = 0xff,
	REQ_FUA = 0x100,
	REQ_NOUNMAP = 0x200,
};

enum blk_eh_timer_return {
	BLK_EH_DONE,
	BLK_EH_RESET_TIMER,
};

/* ---- limits: for compat.h -------------------------------------------------------------------- */

#define BLK_FEAT_WRITE_CACHE 1
#define BLK_FEAT_FUA         2

struct queue_limits {
	unsigned int max_segments, max_segment_size, dma_alignment, max_hw_sectors, features;
	unsigned int logical_block_size, physical_block_size, max_hw_discard_sectors;
	unsigned int discard_granularity, discard_alignment, max_secure_erase_sectors;
	unsigned int max_write_zeroes_sectors, max_discard_sectors;
	unsigned long seg_boundary_mask;
};

/* ---- structures ------------------------------------------------------------------------------ */

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len, bv_offset;
};

#define FAKE_SEGMENTS 16

struct bio {
	unsigned int count;
	struct bio_vec vec[FAKE_SEGMENTS];
};

struct req_iterator {
	unsigned int i;
};

enum fake_rq_state {
	FAKE_IDLE,
	FAKE_IN_FLIGHT,
	FAKE_COMPLETE,
};

struct request {
	struct request_queue *q;
	struct blk_mq_hw_ctx *mq_hctx;
	struct request *next; /* on one list at a time */
	struct bio *bio;
	unsigned int cmd_flags;
	unsigned int timeout;
	u64 sector;
	int state; /* enum fake_rq_state */
	int references; /* 0: free; a timeout holds one while it looks */
	unsigned int cpu; /* that asked */
	blk_status_t result; /* of the last life */
	u64 pdu[]; /* the driver's */
};

struct fake_list {
	pthread_mutex_t lock;
	struct request *first, **last;
};

struct blk_mq_hw_ctx {
	void *driver_data;
	struct request_queue *queue;
	unsigned long state; /* bit 0: stopped */
	struct fake_list waiting;
};

struct io_comp_batch {
	struct request *req_list;
	void (*complete)(struct io_comp_batch *iob);
};

struct blk_mq_queue_data {
	struct request *rq;
	bool last;
};

struct blk_mq_ops {
	blk_status_t (*queue_rq)(struct blk_mq_hw_ctx *, const struct blk_mq_queue_data *);
	void (*commit_rqs)(struct blk_mq_hw_ctx *);
	void (*complete)(struct request *);
	int (*poll)(struct blk_mq_hw_ctx *, struct io_comp_batch *);
	enum blk_eh_timer_return (*timeout)(struct request *);
};

struct blk_mq_tag_set {
	unsigned int queue_depth;
};

#define FAKE_QUEUES 2
#define FAKE_CPUS   4

struct request_queue {
	const struct blk_mq_ops *mq_ops;
	struct gendisk *disk;
	struct queue_limits limits;
	unsigned int rq_timeout;
	struct blk_mq_hw_ctx hctx[FAKE_QUEUES];
	pthread_rwlock_t dispatch; /* RCU: readers send, who quiesces waits for them */
	int quiesced; /* how many times */
	struct fake_list requeued; /* until they are kicked */
	struct fake_list remote[FAKE_CPUS]; /* complete on the CPU that asked */
};

struct gendisk {
	char disk_name[32];
	struct request_queue *queue;
};

/* ---- what the driver calls ------------------------------------------------------------------- */

#define req_op(rq)                  ((rq)->cmd_flags & REQ_OP_MASK)
#define rq_data_dir(rq)             (req_op(rq) == REQ_OP_READ ? READ : WRITE)
#define blk_rq_pos(rq)              ((rq)->sector)
#define blk_rq_sectors(rq)          8U
#define blk_rq_nr_phys_segments(rq) ((rq)->bio->count)
#define blk_mq_rq_to_pdu(rq)        ((void *)(rq)->pdu)
#define blk_mq_rq_from_pdu(p)       container_of((u64 *)(p), struct request, pdu)
#define rq_for_each_segment(bv, rq, iter)                                                         \
	for ((iter).i = 0;                                                                        \
	     (rq)->bio && (iter).i < (rq)->bio->count && ((bv) = (rq)->bio->vec[(iter).i], true); \
	     (iter).i++)
#define rq_list_for_each(list, rq) for ((rq) = *(list); (rq); (rq) = (rq)->next)

void blk_mq_start_request(struct request *rq);
bool blk_mq_complete_request_remote(struct request *rq);
void blk_mq_complete_request(struct request *rq);
void blk_mq_end_request(struct request *rq, blk_status_t status);
bool blk_mq_add_to_batch(struct request *rq, struct io_comp_batch *iob, bool error,
			 void (*complete)(struct io_comp_batch *iob));
void blk_mq_end_request_batch(struct io_comp_batch *iob);
void blk_mq_requeue_request(struct request *rq, bool kick);
void blk_mq_kick_requeue_list(struct request_queue *q);
void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx);
void blk_mq_start_stopped_hw_queues(struct request_queue *q, bool async);
void blk_mq_quiesce_queue(struct request_queue *q);
void blk_mq_unquiesce_queue(struct request_queue *q);
void blk_mark_disk_dead(struct gendisk *disk);

static inline bool blk_mq_request_started(struct request *rq)
{
	return READ_ONCE(rq->state) != FAKE_IDLE;
}

static inline bool blk_mq_request_completed(struct request *rq)
{
	return READ_ONCE(rq->state) == FAKE_COMPLETE;
}

/* For compat.h, and never called. */
struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *limits,
				  void *data);
struct queue_limits queue_limits_start_update(struct request_queue *q);
int queue_limits_commit_update(struct request_queue *q, struct queue_limits *limits);

/* ---- what the test calls --------------------------------------------------------------------- */

struct gendisk *fake_disk_new(const struct blk_mq_ops *ops);
/* No request is out, and nobody sends or polls. */
void fake_disk_free(struct gendisk *disk);
/* @pdu bytes of the driver's. */
struct request *fake_request_new(struct request_queue *q, unsigned int queue, size_t pdu);
/* Of a request that fake_request_free() says is free: sends it, now or later. */
void fake_submit(struct request *rq, unsigned int cpu);
bool fake_request_free(struct request *rq);
/* One turn of a CPU: completes what came back to it, sends what waits in @queue, polls it. */
void fake_run_queue(struct request_queue *q, unsigned int queue, unsigned int cpu, bool poll);
/* @rq has waited for long, if it is out. */
void fake_timeout(struct request *rq);

#endif
