/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Carries a validated request out, in as many steps on the store as it takes.
 */
#ifndef PVKIT_BACKEND_BLK_EXECUTE_H
#define PVKIT_BACKEND_BLK_EXECUTE_H

#include "backend/blk/request.h"

/* What the requests of one queue have in common. */
struct blk_execute {
	struct store_queue *store;
	const char *id; /* 20 bytes, for GET_ID */
	bool write_through; /* every write is on stable storage before it is answered */
};

/*
 * True: it is over, and ->status says how. False: a step is staged or under way on the store, and
 * blk_execute_continue() is to be called when the store hands request->io back.
 */
bool blk_execute_start(struct blk_execute *execute, struct blk_request *request);
bool blk_execute_continue(struct blk_execute *execute, struct blk_request *request);

static inline struct blk_request *blk_request_of(struct store_io *io)
{
	return (struct blk_request *)((char *)io - offsetof(struct blk_request, io));
}

#endif
