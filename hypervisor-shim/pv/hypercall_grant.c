// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * GRANT_TABLE_OP, of both entrances. The table is there from the start, all of it, so SETUP_TABLE and
 * GET_STATUS_FRAMES only say where the guest sees it. What a back-end of Xen does by MAP, UNMAP and COPY, one of
 * ours does in shared memory: those, TRANSFER, SWAP and the rest are -ENOSYS.
 */
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/hypercall.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/restart.h"

static int16_t check_domain(uint16_t domain)
{
	if (domain == DOMAIN_SELF || domain == PV_GUEST)
		return GRANT_OK;
	return domain == PV_BACKEND ? GRANT_DENIED : GRANT_BAD_DOMAIN;
}

static int16_t list_frames(uint64_t list, uint64_t (*frame_at)(uint32_t index), uint32_t count)
{
	uint64_t frame;

	for (uint32_t i = 0; i < count; i++) {
		frame = frame_at(i);
		if (!frame)
			return GRANT_ERROR;
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
	args->status = list_frames(args->frame_list, pv.grant_view->entry_frame, args->frames);
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

/* While a vCPU waits for back-ends, the machine may be told to end. */
static bool machine_ends(void)
{
	return machine_requested() != MACHINE_RUNNING;
}

static int change_version(uint32_t version)
{
	int result;

	if (version != 1 && version != 2)
		return -EINVAL;
	if (version == 2 && !pv.grant_view->takes_version_2())
		return -ENOSYS;
	result = restart_grants(version, machine_ends);
	if (!result && pv.grant_view->version_changed)
		pv.grant_view->version_changed();
	return result;
}

/* In any case the one in force is told. */
static int set_version(void *data)
{
	struct grant_set_version *args = data;
	int result = change_version(args->version);

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
		args->status =
			list_frames(args->frame_list, pv.grant_view->status_frame, args->frames);
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
