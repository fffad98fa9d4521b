// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What each message does. The table at the end says which are known, how long their payload is, how
 * many descriptors come along and who handles them; a message that does not fit its row never
 * reaches a handler. What is not in the table was not offered, and closes the connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/transport/vhost_user_connection.h"

#define PROTOCOL_FEATURES (1ULL << VHOST_USER_F_PROTOCOL_FEATURES)

/* The handler's: the one descriptor of the message, which the caller owns from here on. */
static int take_fd(struct vhost_user_message *m)
{
	int fd = m->fd_count ? m->fds[0] : -1;

	if (m->fd_count)
		m->fds[0] = -1;
	return fd;
}

static int answer_u64(struct vhost_user *vu, uint64_t value)
{
	vu->message.header.size = sizeof(value);
	vu->message.payload.u64 = value;
	return 0;
}

/* ---- features and ownership ------------------------------------------------------------------- */

static int get_features(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return answer_u64(vu, vu->device->features | PROTOCOL_FEATURES);
}

static int set_features(struct vhost_user *vu, union vhost_user_payload *payload)
{
	uint64_t features = payload->u64, before = vu->features;
	struct backend_device *device = vu->device;
	unsigned int i;
	int err;

	if (features & ~(device->features | PROTOCOL_FEATURES))
		return vhost_user_fault(vu, "features %#llx, of which %#llx were not offered",
					(unsigned long long)features,
					(unsigned long long)(features & ~device->features));
	if (features == before)
		return 0;

	back_rings_pause(vu);
	err = device->ops->set_features(device, features & ~PROTOCOL_FEATURES);
	if (!err)
		vu->features = features;
	/* A place in a ring of one format means nothing in the other: it must be set up again. */
	for (i = 0; !err && i < vu->ring_count; i++) {
		if ((features ^ before) & VIRTQUEUE_F_PACKED)
			vu->rings[i].kicked = vu->rings[i].used_known = false;
	}
	return back_rings_resume(vu) ?: err;
}

static int get_protocol_features(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return answer_u64(vu, vu->protocol_offered);
}

static int set_protocol_features(struct vhost_user *vu, union vhost_user_payload *payload)
{
	if (payload->u64 & ~vu->protocol_offered)
		return vhost_user_fault(vu,
					"protocol features %#llx, of which %#llx were not offered",
					(unsigned long long)payload->u64,
					(unsigned long long)(payload->u64 & ~vu->protocol_offered));
	vu->protocol = payload->u64;
	return 0;
}

static int set_owner(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return 0; /* a connection has one front-end anyway */
}

static int get_queue_num(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return answer_u64(vu, vu->device->queues_told ?: vu->ring_count);
}

static int set_backend_req_fd(struct vhost_user *vu, union vhost_user_payload *payload)
{
	if (vu->backchannel >= 0)
		close(vu->backchannel);
	vu->backchannel = take_fd(&vu->message);
	return 0;
}

/* ---- device ----------------------------------------------------------------------------------- */

void vhost_user_reset_device(struct vhost_user *vu)
{
	unsigned int i;

	for (i = 0; i < vu->ring_count; i++)
		back_ring_forget(vu, &vu->rings[i]);
	vu->features = 0;
	vu->status = 0;
	if (vu->device->ops->reset)
		vu->device->ops->reset(vu->device);
}

static int reset_device(struct vhost_user *vu, union vhost_user_payload *payload)
{
	vhost_user_reset_device(vu);
	return 0;
}

/* Deprecated, and read in two ways; stopping the rings is what both have in common. */
static int reset_owner(struct vhost_user *vu, union vhost_user_payload *payload)
{
	unsigned int i;

	for (i = 0; i < vu->ring_count; i++) {
		back_ring_release(vu, &vu->rings[i]);
		vu->rings[i].enable = BACK_RING_UNSAID;
	}
	return 0;
}

static int set_status(struct vhost_user *vu, union vhost_user_payload *payload)
{
	if (payload->u64 > UINT8_MAX)
		return vhost_user_fault(vu, "status %#llx", (unsigned long long)payload->u64);
	if (!payload->u64)
		vhost_user_reset_device(vu);
	vu->status = payload->u64;
	return 0;
}

static int get_status(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return answer_u64(vu, vu->status);
}

static int config_check(struct vhost_user *vu, const struct vhost_user_config *config)
{
	if (config->size > VHOST_USER_CONFIG_SIZE_MAX ||
	    config->offset > VHOST_USER_CONFIG_SIZE_MAX - config->size ||
	    vu->message.header.size != offsetof(struct vhost_user_config, data) + config->size)
		return vhost_user_fault(vu, "%u bytes at %u in a payload of %u", config->size,
					config->offset, vu->message.header.size);
	return 0;
}

/* The answer has the size of the question, or no payload when the device has no such bytes. */
static int get_config(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct vhost_user_config *config = &payload->config;
	struct backend_device *device = vu->device;
	int err = config_check(vu, config);

	if (err)
		return err;
	if (device->ops->config_read(device, config->offset, config->data, config->size))
		vu->message.header.size = 0;
	return 0;
}

static int set_config(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct vhost_user_config *config = &payload->config;
	struct backend_device *device = vu->device;
	int err = config_check(vu, config);

	if (err)
		return err;
	if (config->flags != VHOST_USER_CONFIG_WRITABLE &&
	    config->flags != VHOST_USER_CONFIG_MIGRATION)
		return vhost_user_fault(vu, "flags %#x", config->flags);
	back_rings_pause(vu);
	err = device->ops->config_write(device, config->offset, config->data, config->size);
	return back_rings_resume(vu) ?: err;
}

/* Only where the device asked for these to be offered. The link needs neither. */
static int accept_silently(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return 0;
}

/* ---- memory ----------------------------------------------------------------------------------- */

static void memory_changed(struct vhost_user *vu)
{
	if (vu->device->ops->memory_changed)
		vu->device->ops->memory_changed(vu->device, &vu->memory->guest);
}

static int region_fault(struct vhost_user *vu, const struct vhost_user_memory_region *region,
			int err)
{
	vhost_user_fault(vu, "region of %llu bytes at guest %#llx, user %#llx, file %#llx: %s",
			 (unsigned long long)region->size,
			 (unsigned long long)region->guest_address,
			 (unsigned long long)region->user_address,
			 (unsigned long long)region->mmap_offset, strerror(-err));
	return err;
}

/* The new table is built beside the old one, so that a bad one changes nothing. */
static int set_mem_table(struct vhost_user *vu, union vhost_user_payload *payload)
{
	const struct vhost_user_memory *m = &payload->memory;
	struct memory_table *fresh = vu->memory_spare;
	uint32_t i;
	int err;

	/* Some front-ends always send all of the array. */
	if (m->count > VHOST_USER_MEMORY_REGIONS_MAX || m->count != vu->message.fd_count ||
	    vu->message.header.size < offsetof(struct vhost_user_memory, region[m->count]) ||
	    (vu->message.header.size - offsetof(struct vhost_user_memory, region)) %
		    sizeof(m->region[0]))
		return vhost_user_fault(vu, "%u regions, %u descriptors, a payload of %u", m->count,
					vu->message.fd_count, vu->message.header.size);
	for (i = 0; i < m->count; i++) {
		err = memory_table_add(fresh, &m->region[i], vu->message.fds[i], vu->guard);
		if (err) {
			memory_table_clear(fresh);
			return region_fault(vu, &m->region[i], err);
		}
	}
	back_rings_pause(vu);
	vu->memory_spare = vu->memory;
	vu->memory = fresh;
	memory_changed(vu);
	memory_table_clear(vu->memory_spare);
	return back_rings_resume(vu);
}

static int get_max_mem_slots(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return answer_u64(vu, GUEST_MEMORY_REGIONS_MAX);
}

static int add_mem_reg(struct vhost_user *vu, union vhost_user_payload *payload)
{
	const struct vhost_user_memory_region *region = &payload->single.region;
	int err;

	back_rings_pause(vu);
	err = memory_table_add(vu->memory, region, vu->message.fds[0], vu->guard);
	if (err)
		region_fault(vu, region, err);
	else
		memory_changed(vu);
	return back_rings_resume(vu) ?: err;
}

static int rem_mem_reg(struct vhost_user *vu, union vhost_user_payload *payload)
{
	const struct vhost_user_memory_region *region = &payload->single.region;
	int err;

	back_rings_pause(vu);
	err = memory_table_remove(vu->memory, region);
	if (err)
		region_fault(vu, region, err);
	else
		memory_changed(vu);
	return back_rings_resume(vu) ?: err;
}

/*
 * Migration logs. Logging is not offered (VHOST_F_LOG_ALL, LOG_SHMFD), so nothing would ever be
 * written to one; a log in a descriptor is of a protocol feature that was not agreed.
 */
static int set_log_base(struct vhost_user *vu, union vhost_user_payload *payload)
{
	if (vu->message.fd_count)
		return vhost_user_fault(vu, "a log of %llu bytes; logging was not offered",
					(unsigned long long)payload->log.mmap_size);
	return 0;
}

static int set_log_fd(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return 0; /* closed with the message */
}

/* ---- rings ------------------------------------------------------------------------------------ */

/* All 32 bits of an index count: a cut-off one would name another ring. */
static struct back_ring *ring_of(struct vhost_user *vu, uint64_t index)
{
	if (index < vu->ring_count)
		return &vu->rings[index];
	vhost_user_fault(vu, "ring %#llx of %u", (unsigned long long)index, vu->ring_count);
	return NULL;
}

static int set_vring_num(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct back_ring *ring = ring_of(vu, payload->state.index);

	if (!ring)
		return -EPROTO;
	if (!payload->state.num || payload->state.num > VIRTQUEUE_SIZE_MAX)
		return vhost_user_fault(vu, "ring %u: %u slots; 1 to %u can be", ring->queue.index,
					payload->state.num, VIRTQUEUE_SIZE_MAX);
	if (ring->running && payload->state.num != ring->size)
		return vhost_user_fault(vu, "ring %u runs", ring->queue.index);
	ring->size = payload->state.num;
	return 0; /* what starts a ring is a message behind SET_VRING_BASE */
}

static int set_vring_addr(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct back_ring *ring = ring_of(vu, payload->address.index);

	return ring ? back_ring_set_address(vu, ring, &payload->address) : -EPROTO;
}

static int set_vring_base(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct back_ring *ring = ring_of(vu, payload->state.index);

	return ring ? back_ring_set_base(vu, ring, payload->state.num) : -EPROTO;
}

static int get_vring_base(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct back_ring *ring = ring_of(vu, payload->state.index);

	if (!ring)
		return -EPROTO;
	back_ring_release(vu, ring);
	payload->state.num = back_ring_base(vu, ring);
	return 0;
}

static int set_vring_enable(struct vhost_user *vu, union vhost_user_payload *payload)
{
	struct back_ring *ring = ring_of(vu, payload->state.index);

	if (!ring)
		return -EPROTO;
	if (payload->state.num > 1)
		return vhost_user_fault(vu, "ring %u: %u is neither 0 nor 1", ring->queue.index,
					payload->state.num);
	ring->enable = payload->state.num ? BACK_RING_ON : BACK_RING_OFF;
	if (payload->state.num)
		return back_ring_start(vu, ring);
	back_ring_stop(vu, ring);
	return 0;
}

/*
 * Eventfds and pipes; other things are odd, but theirs to choose. Files of a file system are refused:
 * whoever provides that may let a read of ours wait for ever, non-blocking or not.
 */
static bool can_notify(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	       !S_ISBLK(st.st_mode);
}

/* SET_VRING_KICK, _CALL and _ERR: a ring and a descriptor, or the word that there is none. */
static int vring_fd(struct vhost_user *vu, uint64_t value,
		    int (*set)(struct vhost_user *vu, struct back_ring *ring, int fd))
{
	bool has_fd = !(value & VHOST_USER_VRING_NO_FD);
	struct back_ring *ring = ring_of(vu, value & ~VHOST_USER_VRING_NO_FD);

	if (!ring)
		return -EPROTO;
	if (has_fd != (vu->message.fd_count == 1))
		return vhost_user_fault(vu, "ring %u: %#llx with %u descriptors", ring->queue.index,
					(unsigned long long)value, vu->message.fd_count);
	if (has_fd && !can_notify(vu->message.fds[0]))
		return vhost_user_fault(vu, "ring %u: a file where an eventfd should be",
					ring->queue.index);
	return set(vu, ring, take_fd(&vu->message));
}

/*
 * The call that takes a kick out of a pipe without waiting takes the direction from the mode of the
 * open file, and writes where that allows both (queue.c). That mode never changes.
 */
static bool is_kick(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
	       (!S_ISFIFO(st.st_mode) || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
}

static int set_vring_kick(struct vhost_user *vu, union vhost_user_payload *payload)
{
	if (vu->message.fd_count == 1 && !is_kick(vu->message.fds[0]))
		return vhost_user_fault(vu, "ring %llu: a pipe to be kicked by must be open for "
					"reading only",
					(unsigned long long)payload->u64);
	return vring_fd(vu, payload->u64, back_ring_set_kick);
}

static int set_vring_call(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return vring_fd(vu, payload->u64, back_ring_set_call);
}

static int set_vring_err(struct vhost_user *vu, union vhost_user_payload *payload)
{
	return vring_fd(vu, payload->u64, back_ring_set_error);
}

/* ---- the table -------------------------------------------------------------------------------- */

enum answer {
	ANSWER_NONE, /* a number, if REPLY_ACK was agreed and one is asked for */
	ANSWER_PAYLOAD, /* the handler left it in the message */
	ANSWER_ON_FAILURE, /* as NONE; and a failure that cannot be told is not worth the connection */
};

struct rule {
	int (*handle)(struct vhost_user *vu, union vhost_user_payload *payload);
	uint16_t size_min, size_max; /* of the payload */
	uint8_t fds_min, fds_max;
	enum answer answer;
	uint64_t protocol; /* bits of which one must have been agreed; 0: none needed */
};

#define EMPTY      0, 0
#define U64        8, 8
#define STATE      sizeof(struct vhost_user_vring_state), sizeof(struct vhost_user_vring_state)
#define ADDRESS    sizeof(struct vhost_user_vring_address), sizeof(struct vhost_user_vring_address)
#define MEMORY     offsetof(struct vhost_user_memory, region), sizeof(struct vhost_user_memory)
#define SINGLE     sizeof(struct vhost_user_single_region), sizeof(struct vhost_user_single_region)
#define CONFIG     offsetof(struct vhost_user_config, data), sizeof(struct vhost_user_config)
#define LOG        8, sizeof(struct vhost_user_log)
#define NO_FD      0, 0
#define ONE_FD     1, 1
#define MAY_FD     0, 1
#define REGION_FDS 0, VHOST_USER_MEMORY_REGIONS_MAX
#define IF(bit)    (1ULL << VHOST_USER_PROTOCOL_F_##bit)

static const struct rule rules[VHOST_USER_REQUEST_COUNT] = {
	[VHOST_USER_GET_FEATURES] = {get_features, EMPTY, NO_FD, ANSWER_PAYLOAD},
	[VHOST_USER_SET_FEATURES] = {set_features, U64, NO_FD},
	[VHOST_USER_SET_OWNER] = {set_owner, EMPTY, NO_FD},
	[VHOST_USER_RESET_OWNER] = {reset_owner, EMPTY, NO_FD},
	[VHOST_USER_SET_MEM_TABLE] = {set_mem_table, MEMORY, REGION_FDS},
	[VHOST_USER_SET_LOG_BASE] = {set_log_base, LOG, MAY_FD},
	[VHOST_USER_SET_LOG_FD] = {set_log_fd, EMPTY, ONE_FD},
	[VHOST_USER_SET_VRING_NUM] = {set_vring_num, STATE, NO_FD},
	[VHOST_USER_SET_VRING_ADDR] = {set_vring_addr, ADDRESS, NO_FD},
	[VHOST_USER_SET_VRING_BASE] = {set_vring_base, STATE, NO_FD},
	[VHOST_USER_GET_VRING_BASE] = {get_vring_base, STATE, NO_FD, ANSWER_PAYLOAD},
	[VHOST_USER_SET_VRING_KICK] = {set_vring_kick, U64, MAY_FD},
	[VHOST_USER_SET_VRING_CALL] = {set_vring_call, U64, MAY_FD},
	[VHOST_USER_SET_VRING_ERR] = {set_vring_err, U64, MAY_FD},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {get_protocol_features, EMPTY, NO_FD, ANSWER_PAYLOAD},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {set_protocol_features, U64, NO_FD},
	[VHOST_USER_GET_QUEUE_NUM] = {get_queue_num, EMPTY, NO_FD, ANSWER_PAYLOAD},
	[VHOST_USER_SET_VRING_ENABLE] = {set_vring_enable, STATE, NO_FD},
	[VHOST_USER_SEND_RARP] = {accept_silently, U64, NO_FD, .protocol = IF(RARP)},
	[VHOST_USER_NET_SET_MTU] = {accept_silently, U64, NO_FD, .protocol = IF(MTU)},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {set_backend_req_fd, EMPTY, ONE_FD},
	[VHOST_USER_GET_CONFIG] = {get_config, CONFIG, NO_FD, ANSWER_PAYLOAD},
	[VHOST_USER_SET_CONFIG] = {set_config, CONFIG, NO_FD, ANSWER_ON_FAILURE},
	[VHOST_USER_RESET_DEVICE] = {reset_device, EMPTY, NO_FD},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {get_max_mem_slots, EMPTY, NO_FD, ANSWER_PAYLOAD},
	[VHOST_USER_ADD_MEM_REG] = {add_mem_reg, SINGLE, ONE_FD},
	[VHOST_USER_REM_MEM_REG] = {rem_mem_reg, SINGLE, MAY_FD},
	[VHOST_USER_SET_STATUS] = {set_status, U64, NO_FD},
	[VHOST_USER_GET_STATUS] = {get_status, EMPTY, NO_FD, ANSWER_PAYLOAD},
};

static const struct rule *rule_of(struct vhost_user *vu)
{
	const struct vhost_user_message *m = &vu->message;
	const struct rule *rule = NULL;

	if (m->header.request < VHOST_USER_REQUEST_COUNT)
		rule = &rules[m->header.request];
	if (!rule || !rule->handle || (rule->protocol && !(vu->protocol & rule->protocol))) {
		vhost_user_fault(vu, "was not offered");
		return NULL;
	}
	if (m->header.size < rule->size_min || m->header.size > rule->size_max) {
		vhost_user_fault(vu, "a payload of %u bytes; %u to %u can be", m->header.size,
				 rule->size_min, rule->size_max);
		return NULL;
	}
	if (m->fd_count < rule->fds_min || m->fd_count > rule->fds_max) {
		vhost_user_fault(vu, "%u descriptors; %u to %u can be", m->fd_count, rule->fds_min,
				 rule->fds_max);
		return NULL;
	}
	return rule;
}

int vhost_user_dispatch(struct vhost_user *vu)
{
	struct vhost_user_message *m = &vu->message;
	const struct rule *rule = rule_of(vu);
	bool ask = m->header.flags & VHOST_USER_FLAG_NEED_REPLY;
	int err;

	if (!rule)
		return -EPROTO;
	err = rule->handle(vu, &m->payload);
	if (err == -EPROTO)
		return err;
	if (rule->answer != ANSWER_PAYLOAD) {
		if (!ask || !vhost_user_agreed(vu, VHOST_USER_PROTOCOL_F_REPLY_ACK))
			return rule->answer == ANSWER_ON_FAILURE ? 0 : err;
		answer_u64(vu, err ? 1 : 0);
	} else if (err) {
		return err;
	}
	m->header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	return message_send(vu->fd, &m->header, &m->payload);
}
