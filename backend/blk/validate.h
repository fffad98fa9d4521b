/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a guest may ask for. All of the policy is in validate.c, and nothing of it elsewhere.
 */
#ifndef PVKIT_BACKEND_BLK_VALIDATE_H
#define PVKIT_BACKEND_BLK_VALIDATE_H

#include "backend/blk/request.h"

struct blk_policy {
	uint64_t size; /* of the image in bytes, as it is for this batch */
	uint32_t block_size;
	bool read_only, can_discard, can_erase;
};

/* BLK_OK: may be executed. The request is judged by its private copy alone. */
enum blk_status blk_validate(const struct blk_policy *policy, const struct blk_request *request);

#endif
