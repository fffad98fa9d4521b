// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * GRANT_TABLE_OP. The table is a part of the shared BAR, all of it from the start, so SETUP_TABLE and
 * GET_STATUS_FRAMES only say where that is. What a back-end of Xen does by MAP, UNMAP and COPY, one of
 * ours does in shared memory: those, TRANSFER, SWAP and the rest are -ENOSYS.
 */
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/hypercall.h"
#include "hypervisor-shim/pv/platform.h"
#include "hypervisor-shim/pv/pv.h"

static int16_t check_domain(uint16_t domain)
{
	if (domain == DOMAIN_SELF || domain == PV_GUEST)
		return GRANT_OK;
	return domain == PV_BACKEND ? GRANT_DENIED : GRANT_BAD_DOMAIN;
}

/* Guest-physical frame numbers of @count frames of the BAR from @offset on. */
static int16_t list_frames(uint64_t list, uint64_t offset, uint32_t count)
{
	uint64_t frame = platform_shared_address();

	if (!frame)
		return GRANT_ERROR; /* the BAR is not mapped */
	frame = (frame + offset) >> XEN_FRAME_SHIFT;
	for (uint32_t i = 0; i < count; i++, frame++) {
		if (copy_to_guest(list + i * sizeof(frame), &frame, sizeof(frame)) < 0)
			return GRANT_BAD_ADDRESS;
	}
	return GRANT_OK;
}

static int setup_table(void *data)
{
	struct grant_setup_table *args = data;

	args->status = check_domain(args->domain);
	if (args->status == GRANT_OK && args->frames > GRANT_TABLE_FRAMES)
		args->status = GRANT_ERROR;
	if (args->status != GRANT_OK)
		return 0;
	if (args->frames > pv.grants.frames)
		pv.grants.frames = args->frames;
	args->status = list_frames(args->frame_list, PV_GRANT_OFFSET, args->frames);
	return 0;
}

static int query_size(void *data)
{
	struct grant_query_size *args = data;

	args->status = check_domain(args->domain);
	if (args->status != GRANT_OK)
		return 0;
	args->frames = pv.grants.frames;
	args->frames_max = GRANT_TABLE_FRAMES;
	return 0;
}

static int set_version(void *data)
{
	struct grant_set_version *args = data;
	int result;

	if (args->version != 1 && args->version != 2)
		return -EINVAL;
	result = platform_set_grant_version(args->version);
	args->version = pv.grants.version;
	return result;
}

static int get_version(void *data)
{
	struct grant_get_version *args = data;

	if (check_domain(args->domain) != GRANT_OK)
		return args->domain == PV_BACKEND ? -EPERM : -ESRCH;
	args->version = pv.grants.version;
	return 0;
}

static int get_status_frames(void *data)
{
	struct grant_get_status_frames *args = data;

	args->status = check_domain(args->domain);
	if (args->status == GRANT_OK &&
	    (pv.grants.version != 2 || args->frames > grant_table_status_frames(&pv.grants)))
		args->status = GRANT_ERROR;
	if (args->status == GRANT_OK)
		args->status = list_frames(args->frame_list, PV_STATUS_OFFSET, args->frames);
	return 0;
}

static const struct {
	size_t size; /* 0: refused */
	int (*call)(void *args); /* with the lock held */
} operations[] = {
	[GRANT_OP_SETUP_TABLE] = {sizeof(struct grant_setup_table), setup_table},
	[GRANT_OP_QUERY_SIZE] = {sizeof(struct grant_query_size), query_size},
	[GRANT_OP_SET_VERSION] = {sizeof(struct grant_set_version), set_version},
	[GRANT_OP_GET_STATUS_FRAMES] = {sizeof(struct grant_get_status_frames), get_status_frames},
	[GRANT_OP_GET_VERSION] = {sizeof(struct grant_get_version), get_version},
};

#define OPERATIONS (sizeof(operations) / sizeof(*operations))

int64_t hypercall_grant_table_op(uint64_t operation, uint64_t address, uint64_t count)
{
	uint8_t args[32] __attribute__((aligned(8)));
	int result, copied;

	if (operation >= OPERATIONS || !operations[operation].size)
		return -ENOSYS;
	if (count != 1)
		return -EINVAL;
	result = copy_from_guest(args, address, operations[operation].size);
	if (result < 0)
		return result;
	pthread_mutex_lock(&pv.lock);
	result = operations[operation].call(args);
	pthread_mutex_unlock(&pv.lock);
	/* A version that was refused is told too: the one in force. */
	copied = copy_to_guest(address, args, operations[operation].size);
	return result < 0 ? result : copied;
}
