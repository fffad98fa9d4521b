// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The front-end side of vhost-user.
 *
 * Where REPLY_ACK was agreed, every message that changes something is acknowledged, so that an error
 * is known where it was made, and so that the old value is out of use when the call returns. Where
 * it was not, a back-end shows a refusal only by closing the connection, at the next message that
 * has an answer.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/socket.h"
#include "hypervisor-shim/hvm/vhost_user.h"

#define STOP_TIMEOUT_MS 60000 /* GET_VRING_BASE waits for the slowest disk request in flight */

/* A message of the back-channel, which the one thread for the events of all devices reads. */
#define EVENT_TIMEOUT_MS 500

#define PROTOCOL_FEATURES (1ULL << VHOST_USER_F_PROTOCOL_FEATURES)

static bool agreed(const struct vhost_user_front *front, unsigned int feature)
{
	return front->protocol_features >> feature & 1;
}

static int broken(struct vhost_user_front *front, int err)
{
	front->broken = true;
	return err;
}

static int send_message(struct vhost_user_front *front, uint32_t request, uint32_t flags,
			const void *payload, uint32_t size, const int *fds, unsigned int count)
{
	struct {
		struct vhost_user_header header;
		uint8_t payload[VHOST_USER_PAYLOAD_MAX];
	} message = {{request, VHOST_USER_VERSION | flags, size}, {0}};
	int err;

	if (front->broken)
		return -ENOTCONN;
	if (size)
		memcpy(message.payload, payload, size);
	err = socket_send(front->fd, &message, sizeof(message.header) + size, fds, count,
			  front->patience_ms);
	return err ? broken(front, err) : 0;
}

/* Receives the answer to @request: up to @room bytes; *size says how many. */
static int receive_answer(struct vhost_user_front *front, uint32_t request, void *payload,
			  uint32_t room, uint32_t *size, int timeout_ms)
{
	struct vhost_user_header header;
	unsigned int fds = 0;
	int err;

	err = socket_receive(front->fd, &header, sizeof(header), NULL, &fds, timeout_ms);
	if (err)
		return broken(front, err);
	if (header.request != request || header.size > room ||
	    (header.flags & (VHOST_USER_VERSION_MASK | VHOST_USER_FLAG_REPLY)) !=
		    (VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY))
		return broken(front, -EPROTO);
	*size = header.size;
	if (!header.size)
		return 0;
	fds = 0;
	err = socket_receive(front->fd, payload, header.size, NULL, &fds, front->patience_ms);
	return err ? broken(front, err) : 0;
}

/*
 * For what takes a back-end long: it maps all memory of a guest and touches it, or starts threads. The
 * value to be restored.
 */
static int patient(struct vhost_user_front *front)
{
	int before = front->patience_ms;

	front->patience_ms = VHOST_USER_SETUP_MS;
	return before;
}

/* A message that changes something: acknowledged if the back-end can. */
static int tell_with(struct vhost_user_front *front, uint32_t request, const void *payload,
		     uint32_t size, const int *fds, unsigned int count)
{
	bool ack = agreed(front, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint64_t answer = 0;
	uint32_t got;
	int err;

	err = send_message(front, request, ack ? VHOST_USER_FLAG_NEED_REPLY : 0, payload, size, fds,
			   count);
	if (err || !ack)
		return err;
	err = receive_answer(front, request, &answer, sizeof(answer), &got, front->patience_ms);
	if (err)
		return err;
	if (got != sizeof(answer))
		return broken(front, -EPROTO);
	return answer ? -EREMOTEIO : 0;
}

static int tell(struct vhost_user_front *front, uint32_t request, const void *payload,
		uint32_t size)
{
	return tell_with(front, request, payload, size, NULL, 0);
}

static int tell_u64(struct vhost_user_front *front, uint32_t request, uint64_t value)
{
	return tell(front, request, &value, sizeof(value));
}

/* A question: the answer has @size bytes too. */
static int ask(struct vhost_user_front *front, uint32_t request, void *payload, uint32_t asked,
	       uint32_t size, int timeout_ms)
{
	uint32_t got;
	int err = send_message(front, request, 0, payload, asked, NULL, 0);

	if (!err)
		err = receive_answer(front, request, payload, size, &got, timeout_ms);
	if (err)
		return err;
	return got == size ? 0 : broken(front, -EPROTO);
}

static int ask_u64(struct vhost_user_front *front, uint32_t request, uint64_t *value)
{
	return ask(front, request, value, 0, sizeof(*value), front->patience_ms);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static int open_backchannel(struct vhost_user_front *front)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	err = tell_with(front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	front->backchannel = pair[0];
	return 0;
}

static int agree_protocol(struct vhost_user_front *front, uint64_t wanted)
{
	uint64_t offered = 0;
	int err = ask_u64(front, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);

	if (err)
		return err;
	/* Not acknowledged itself: REPLY_ACK holds from the next message on. */
	err = tell_u64(front, VHOST_USER_SET_PROTOCOL_FEATURES, offered & wanted);
	if (!err)
		front->protocol_features = offered & wanted;
	if (!err && agreed(front, VHOST_USER_PROTOCOL_F_MQ))
		err = ask_u64(front, VHOST_USER_GET_QUEUE_NUM, &front->queues_max);
	if (!err && agreed(front, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		err = ask_u64(front, VHOST_USER_GET_MAX_MEM_SLOTS, &front->memory_slots);
	return err;
}

int vhost_user_front_open(struct vhost_user_front *front, int fd, uint64_t protocol_wanted)
{
	uint64_t features = 0;
	int err;

	*front = (struct vhost_user_front){
		.fd = fd,
		.backchannel = -1,
		.patience_ms = VHOST_USER_SETUP_MS,
		.queues_max = 1,
		.memory_slots = VHOST_USER_MEMORY_REGIONS_MAX,
	};
	err = ask_u64(front, VHOST_USER_GET_FEATURES, &features);
	if (err)
		goto fail;
	front->features = features & ~PROTOCOL_FEATURES;
	front->knows_protocol = features & PROTOCOL_FEATURES;
	if (front->knows_protocol) {
		err = agree_protocol(front, protocol_wanted);
		if (err)
			goto fail;
	}
	err = tell(front, VHOST_USER_SET_OWNER, NULL, 0);
	if (!err && agreed(front, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		err = open_backchannel(front);
	if (!err)
		return 0;
fail:
	vhost_user_front_close(front);
	return err;
}

void vhost_user_front_close(struct vhost_user_front *front)
{
	if (front->backchannel >= 0)
		close(front->backchannel);
	if (front->fd >= 0)
		close(front->fd);
	free(front->table);
	front->table = NULL;
	front->table_count = 0;
	front->fd = front->backchannel = -1;
	front->broken = true;
}

/* ---- device ----------------------------------------------------------------------------------- */

int vhost_user_front_set_features(struct vhost_user_front *front, uint64_t features)
{
	int err = tell_u64(front, VHOST_USER_SET_FEATURES,
			   features | (front->knows_protocol ? PROTOCOL_FEATURES : 0));

	if (!err)
		front->acknowledged = features;
	return err;
}

int vhost_user_front_set_status(struct vhost_user_front *front, uint8_t status)
{
	if (!agreed(front, VHOST_USER_PROTOCOL_F_STATUS))
		return 0;
	return tell_u64(front, VHOST_USER_SET_STATUS, status);
}

int vhost_user_front_get_status(struct vhost_user_front *front, uint8_t *status)
{
	uint64_t value = 0;
	int err;

	if (!agreed(front, VHOST_USER_PROTOCOL_F_STATUS))
		return -EOPNOTSUPP;
	err = ask_u64(front, VHOST_USER_GET_STATUS, &value);
	if (!err)
		*status = value;
	return err;
}

static bool config_range(uint32_t offset, uint32_t size)
{
	return size <= VHOST_USER_CONFIG_SIZE_MAX && offset <= VHOST_USER_CONFIG_SIZE_MAX - size;
}

int vhost_user_front_get_config(struct vhost_user_front *front, uint32_t offset, void *data,
				uint32_t size)
{
	struct vhost_user_config config = {.offset = offset, .size = size};
	uint32_t bytes = offsetof(struct vhost_user_config, data) + size, got;
	int err;

	if (!agreed(front, VHOST_USER_PROTOCOL_F_CONFIG))
		return -EOPNOTSUPP;
	if (!config_range(offset, size))
		return -EINVAL;
	err = send_message(front, VHOST_USER_GET_CONFIG, 0, &config, bytes, NULL, 0);
	if (!err)
		err = receive_answer(front, VHOST_USER_GET_CONFIG, &config, sizeof(config), &got,
				     front->patience_ms);
	if (err)
		return err;
	if (!got)
		return -EINVAL;
	if (got != bytes)
		return broken(front, -EPROTO);
	memcpy(data, config.data, size);
	return 0;
}

int vhost_user_front_set_config(struct vhost_user_front *front, uint32_t offset, const void *data,
				uint32_t size)
{
	struct vhost_user_config config = {.offset = offset, .size = size};

	if (!agreed(front, VHOST_USER_PROTOCOL_F_CONFIG))
		return -EOPNOTSUPP;
	if (!config_range(offset, size))
		return -EINVAL;
	memcpy(config.data, data, size);
	return tell(front, VHOST_USER_SET_CONFIG, &config,
		    offsetof(struct vhost_user_config, data) + size);
}

/* ---- memory ----------------------------------------------------------------------------------- */

static struct vhost_user_memory_region region_of(const struct vhost_user_region *region)
{
	return (struct vhost_user_memory_region){
		.guest_address = region->guest_address,
		.size = region->size,
		.user_address = (uintptr_t)region->host,
		.mmap_offset = region->fd_offset,
	};
}

static int set_table(struct vhost_user_front *front, const struct vhost_user_region *regions,
		     unsigned int count)
{
	struct vhost_user_memory memory = {.count = count};
	int fds[VHOST_USER_MEMORY_REGIONS_MAX];
	unsigned int i;

	for (i = 0; i < count; i++) {
		memory.region[i] = region_of(&regions[i]);
		fds[i] = regions[i].fd;
	}
	return tell_with(front, VHOST_USER_SET_MEM_TABLE, &memory,
			 offsetof(struct vhost_user_memory, region[count]), fds, count);
}

static bool table_has(const struct vhost_user_memory_region *table, unsigned int count,
		      const struct vhost_user_memory_region *region)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (!memcmp(&table[i], region, sizeof(*region)))
			return true;
	}
	return false;
}

/* One by one: first what goes, then what comes, since the two may overlap. */
static int change_table(struct vhost_user_front *front, const struct vhost_user_region *regions,
			const struct vhost_user_memory_region *table, unsigned int count)
{
	struct vhost_user_single_region single = {0};
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < front->table_count; i++) {
		single.region = front->table[i];
		if (!table_has(table, count, &single.region))
			err = tell(front, VHOST_USER_REM_MEM_REG, &single, sizeof(single));
	}
	for (i = 0; !err && i < count; i++) {
		single.region = table[i];
		if (!table_has(front->table, front->table_count, &single.region))
			err = tell_with(front, VHOST_USER_ADD_MEM_REG, &single, sizeof(single),
					&regions[i].fd, 1);
	}
	return err;
}

int vhost_user_front_set_memory(struct vhost_user_front *front,
				const struct vhost_user_region *regions, unsigned int count)
{
	struct vhost_user_memory_region *table;
	int err, patience;
	unsigned int i;

	if (count > VHOST_USER_MEMORY_REGIONS_MAX &&
	    (!agreed(front, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) ||
	     count > front->memory_slots))
		return -ENOSPC;
	table = calloc(count ? count : 1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		table[i] = region_of(&regions[i]);

	patience = patient(front);
	if (count > VHOST_USER_MEMORY_REGIONS_MAX)
		err = change_table(front, regions, table, count);
	else
		err = set_table(front, regions, count);
	front->patience_ms = patience;
	if (err) {
		free(table);
		return err;
	}
	free(front->table);
	front->table = table;
	front->table_count = count;
	return 0;
}

/* ---- rings ------------------------------------------------------------------------------------ */

static bool packed(const struct vhost_user_front *front)
{
	return front->acknowledged & VIRTQUEUE_F_PACKED;
}

static int tell_state(struct vhost_user_front *front, uint32_t request, uint32_t index,
		      uint32_t num)
{
	const struct vhost_user_vring_state state = {index, num};

	return tell(front, request, &state, sizeof(state));
}

static int tell_fd(struct vhost_user_front *front, uint32_t request, unsigned int index, int fd)
{
	uint64_t value = index | (fd < 0 ? VHOST_USER_VRING_NO_FD : 0);

	return tell_with(front, request, &value, sizeof(value), &fd, fd >= 0);
}

static int tell_address(struct vhost_user_front *front, unsigned int index,
			const struct vhost_user_ring *ring)
{
	const struct vhost_user_vring_address address = {
		.index = index,
		.descriptor = ring->descriptors,
		.available = ring->driver,
		.used = ring->device,
	};

	return tell(front, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));
}

static int start_ring(struct vhost_user_front *front, unsigned int index,
		      const struct vhost_user_ring *ring)
{
	uint32_t base = ring->position.avail;
	int err;

	if (packed(front))
		base |= (uint32_t)ring->position.used << 16;
	err = tell_state(front, VHOST_USER_SET_VRING_NUM, index, ring->size);
	if (!err)
		err = tell_state(front, VHOST_USER_SET_VRING_BASE, index, base);
	if (!err)
		err = tell_address(front, index, ring);
	if (!err)
		err = tell_fd(front, VHOST_USER_SET_VRING_KICK, index, ring->kick);
	if (!err)
		err = tell_fd(front, VHOST_USER_SET_VRING_CALL, index, ring->call);
	if (!err)
		err = vhost_user_front_enable_ring(front, index, !ring->disabled);
	return err;
}

int vhost_user_front_start_ring(struct vhost_user_front *front, unsigned int index,
				const struct vhost_user_ring *ring)
{
	int patience = patient(front), err = start_ring(front, index, ring);

	front->patience_ms = patience;
	return err;
}

int vhost_user_front_set_call(struct vhost_user_front *front, unsigned int index, int call)
{
	return tell_fd(front, VHOST_USER_SET_VRING_CALL, index, call);
}

int vhost_user_front_enable_ring(struct vhost_user_front *front, unsigned int index, bool on)
{
	if (!front->knows_protocol)
		return on ? 0 : -EOPNOTSUPP;
	return tell_state(front, VHOST_USER_SET_VRING_ENABLE, index, on);
}

int vhost_user_front_stop_ring(struct vhost_user_front *front, unsigned int index,
			       struct virtqueue_position *position)
{
	struct vhost_user_vring_state state = {.index = index};
	int err;

	err = ask(front, VHOST_USER_GET_VRING_BASE, &state, sizeof(state), sizeof(state),
		  STOP_TIMEOUT_MS);
	if (err)
		return err;
	if (state.index != index)
		return broken(front, -EPROTO);
	/*
	 * All that the back-end took it has given back, so both sides stand at the same place; some
	 * back-ends (DPDK) say only one of them for a packed ring, all do for a split one.
	 */
	position->avail = state.num;
	position->used = packed(front) && state.num >> 16 ? state.num >> 16 : state.num;
	return 0;
}

/* ---- the back-channel ------------------------------------------------------------------------- */

static int answer_backchannel(struct vhost_user_front *front, uint32_t request, uint64_t value)
{
	struct {
		struct vhost_user_header header;
		uint8_t value[sizeof(uint64_t)];
	} message = {{request, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, sizeof(value)}, {0}};

	memcpy(message.value, &value, sizeof(value));
	return socket_send(front->backchannel, &message, sizeof(message), NULL, 0, EVENT_TIMEOUT_MS);
}

enum vhost_user_event vhost_user_front_take_event(struct vhost_user_front *front)
{
	struct pollfd readable = {front->backchannel, POLLIN, 0};
	struct vhost_user_header header;
	uint8_t payload[VHOST_USER_PAYLOAD_MAX];
	unsigned int fds = 0;
	bool known;

	if (front->backchannel < 0 || poll(&readable, 1, 0) <= 0)
		return VHOST_USER_EVENT_NONE;
	if (socket_receive(front->backchannel, &header, sizeof(header), NULL, &fds,
			   EVENT_TIMEOUT_MS) ||
	    header.size > sizeof(payload))
		return VHOST_USER_EVENT_CLOSED;
	fds = 0;
	if (header.size &&
	    socket_receive(front->backchannel, payload, header.size, NULL, &fds, EVENT_TIMEOUT_MS))
		return VHOST_USER_EVENT_CLOSED;
	known = header.request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG;
	if ((header.flags & VHOST_USER_FLAG_NEED_REPLY) &&
	    agreed(front, VHOST_USER_PROTOCOL_F_REPLY_ACK) &&
	    answer_backchannel(front, header.request, known ? 0 : 1))
		return VHOST_USER_EVENT_CLOSED;
	return known ? VHOST_USER_EVENT_CONFIG_CHANGED : VHOST_USER_EVENT_NONE;
}
