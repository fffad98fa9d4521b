// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The policy. execute.c relies on it: an offset and a length that passed here lie within the image,
 * in whole blocks, and their arithmetic does not wrap.
 */
#include "backend/blk/validate.h"

/* One request moves less than this, so that its length fits every protocol's 32-bit fields. */
#define TRANSFER_BYTES_MAX (1ULL << 31)

/* [sector, sector + bytes) lies inside the image. No sum is made that could wrap. */
static bool in_image(const struct blk_policy *policy, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = policy->size / BLK_SECTOR;

	return sector <= sectors && bytes <= policy->size - sector * BLK_SECTOR;
}

static bool whole_blocks(const struct blk_policy *policy, uint64_t sector, uint64_t bytes)
{
	uint64_t mask = policy->block_size - 1;

	return !((sector * BLK_SECTOR | bytes) & mask);
}

static enum blk_status validate_transfer(const struct blk_policy *policy,
					 const struct blk_request *request)
{
	if (!request->bytes || request->bytes >= TRANSFER_BYTES_MAX)
		return BLK_ERROR;
	if (!in_image(policy, request->sector, request->bytes) ||
	    !whole_blocks(policy, request->sector, request->bytes))
		return BLK_ERROR;
	return BLK_OK;
}

/*
 * A flag that the operation does not define is answered with "unsupported", as the specification
 * says, so that a driver can tell it from a range that is wrong.
 */
static enum blk_status validate_range(const struct blk_policy *policy, enum blk_op op,
				      const struct blk_range *range)
{
	uint64_t bytes = (uint64_t)range->sectors * BLK_SECTOR;

	if (range->reserved || (range->unmap && op != BLK_WRITE_ZEROES))
		return BLK_UNSUPPORTED;
	if (!range->sectors || range->sectors > BLK_RANGE_SECTORS_MAX)
		return BLK_ERROR;
	if (!in_image(policy, range->sector, bytes) || !whole_blocks(policy, range->sector, bytes))
		return BLK_ERROR;
	return BLK_OK;
}

static enum blk_status validate_ranges(const struct blk_policy *policy,
				       const struct blk_request *request)
{
	enum blk_status status;
	unsigned int i;

	if (!request->range_count || request->range_count > BLK_RANGES_MAX)
		return BLK_ERROR;
	for (i = 0; i < request->range_count; i++) {
		status = validate_range(policy, request->op, &request->ranges[i]);
		if (status != BLK_OK)
			return status;
	}
	return BLK_OK;
}

/* What not every image can. */
static enum blk_status validate_offered(const struct blk_policy *policy,
					const struct blk_request *request, bool offered)
{
	if (policy->read_only)
		return BLK_ERROR;
	return offered ? validate_ranges(policy, request) : BLK_UNSUPPORTED;
}

enum blk_status blk_validate(const struct blk_policy *policy, const struct blk_request *request)
{
	switch (request->op) {
	case BLK_READ:
		return validate_transfer(policy, request);
	case BLK_WRITE:
		return policy->read_only ? BLK_ERROR : validate_transfer(policy, request);
	case BLK_DISCARD:
		return validate_offered(policy, request, policy->can_discard);
	case BLK_SECURE_ERASE:
		return validate_offered(policy, request, policy->can_erase);
	case BLK_WRITE_ZEROES:
		return policy->read_only ? BLK_ERROR : validate_ranges(policy, request);
	case BLK_FLUSH:
	case BLK_GET_ID:
		return BLK_OK;
	case BLK_MALFORMED:
		return BLK_ERROR;
	default:
		return BLK_UNSUPPORTED;
	}
}
