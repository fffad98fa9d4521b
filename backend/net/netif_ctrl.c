// SPDX-License-Identifier: MIT OR GPL-2.0
#include "backend/net/netif_ctrl.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backend/control.h"

/* Then the control loop looks at its other descriptors. */
#define CTRL_BURST 16

/* ---- requests -------------------------------------------------------------------------------- */

/* @bytes from the start of a granted page. */
static bool copy_granted(const struct netif_ctrl *ctrl, uint32_t grant, void *data, size_t bytes)
{
	struct host_pin pin = {.reference = grant};

	if (host_pin(ctrl->device->host, &pin))
		return false;
	memcpy(data, pin.page, bytes);
	host_unpin(ctrl->device->host, &pin);
	return true;
}

static enum netif_ctrl_status set_flags(struct netif_ctrl *ctrl, uint32_t flags)
{
	if (flags & ~NETIF_HASH_FLAGS || ctrl->hash.algorithm == NETIF_HASH_ALGORITHM_NONE)
		return NETIF_CTRL_INVALID_PARAMETER;
	ctrl->hash.flags = flags;
	return NETIF_CTRL_SUCCESS;
}

static enum netif_ctrl_status set_key(struct netif_ctrl *ctrl, uint32_t grant, uint32_t bytes)
{
	uint8_t key[NETIF_HASH_KEY_BYTES] = {0};

	if (bytes > sizeof(key))
		return NETIF_CTRL_BUFFER_OVERFLOW;
	if (bytes && !copy_granted(ctrl, grant, key, bytes))
		return NETIF_CTRL_INVALID_PARAMETER;
	memcpy(ctrl->hash.key, key, sizeof(key));
	return NETIF_CTRL_SUCCESS;
}

static enum netif_ctrl_status set_mapping_size(struct netif_ctrl *ctrl, uint32_t size)
{
	if (size > NETIF_HASH_MAPPING_MAX)
		return NETIF_CTRL_INVALID_PARAMETER;
	ctrl->hash.mapping_size = size;
	memset(ctrl->hash.mapping, 0, sizeof(ctrl->hash.mapping));
	return NETIF_CTRL_SUCCESS;
}

static enum netif_ctrl_status set_mapping(struct netif_ctrl *ctrl, uint32_t grant, uint32_t count,
					  uint32_t first)
{
	uint32_t queue[NETIF_HASH_MAPPING_MAX];

	if ((uint64_t)first + count > ctrl->hash.mapping_size)
		return NETIF_CTRL_INVALID_PARAMETER;
	if (count && !copy_granted(ctrl, grant, queue, count * sizeof(*queue)))
		return NETIF_CTRL_INVALID_PARAMETER;
	for (uint32_t i = 0; i < count; i++) {
		if (queue[i] >= ctrl->device->queues)
			return NETIF_CTRL_INVALID_PARAMETER;
	}
	memcpy(ctrl->hash.mapping + first, queue, count * sizeof(*queue));
	return NETIF_CTRL_SUCCESS;
}

static enum netif_ctrl_status set_algorithm(struct netif_ctrl *ctrl, uint32_t algorithm)
{
	if (algorithm > NETIF_HASH_ALGORITHM_TOEPLITZ)
		return NETIF_CTRL_INVALID_PARAMETER;
	ctrl->hash.algorithm = algorithm;
	return NETIF_CTRL_SUCCESS;
}

static enum netif_ctrl_status handle(struct netif_ctrl *ctrl, const struct netif_ctrl_req *request,
				     uint32_t *data)
{
	const uint32_t *in = request->data;

	switch (request->type) {
	case NETIF_CTRL_GET_HASH_FLAGS:
		if (ctrl->hash.algorithm == NETIF_HASH_ALGORITHM_NONE)
			return NETIF_CTRL_NOT_SUPPORTED;
		*data = NETIF_HASH_FLAGS;
		return NETIF_CTRL_SUCCESS;
	case NETIF_CTRL_SET_HASH_FLAGS:
		return set_flags(ctrl, in[0]);
	case NETIF_CTRL_SET_HASH_KEY:
		return set_key(ctrl, in[0], in[1]);
	case NETIF_CTRL_GET_HASH_MAPPING_SIZE:
		*data = NETIF_HASH_MAPPING_MAX;
		return NETIF_CTRL_SUCCESS;
	case NETIF_CTRL_SET_HASH_MAPPING_SIZE:
		return set_mapping_size(ctrl, in[0]);
	case NETIF_CTRL_SET_HASH_MAPPING:
		return set_mapping(ctrl, in[0], in[1], in[2]);
	case NETIF_CTRL_SET_HASH_ALGORITHM:
		return set_algorithm(ctrl, in[0]);
	default:
		return NETIF_CTRL_NOT_SUPPORTED;
	}
}

static bool changes_hash(const struct netif_ctrl_req *request)
{
	return request->type != NETIF_CTRL_GET_HASH_FLAGS &&
	       request->type != NETIF_CTRL_GET_HASH_MAPPING_SIZE;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void serve_one(struct netif_ctrl *ctrl, const struct netif_ctrl_req *request)
{
	struct netif_ctrl_rsp response = {.id = request->id, .type = request->type};

	response.status = handle(ctrl, request, &response.data);
	/* Before the answer: what the front-end asked for is so when it hears of it. */
	if (response.status == NETIF_CTRL_SUCCESS && changes_hash(request))
		ctrl->changed(ctrl);
	xen_back_answer(&ctrl->ring, &response, sizeof(response));
}

static void publish(struct netif_ctrl *ctrl)
{
	xen_back_publish(&ctrl->ring);
	if (xen_back_should_notify(&ctrl->ring))
		host_notify(ctrl->device->host, ctrl->queue->ring[0].channel);
}

/* Serves what is there, up to a bound. False: there is nothing, or the ring is broken. */
static bool serve(struct netif_ctrl *ctrl)
{
	struct netif_ctrl_req request;
	enum xen_ring_result result = XEN_RING_EMPTY;
	unsigned int done;

	for (done = 0; done < CTRL_BURST; done++) {
		result = xen_back_take(&ctrl->ring, &request, sizeof(request));
		if (result != XEN_RING_FOUND)
			break;
		serve_one(ctrl, &request);
	}
	if (done)
		publish(ctrl);
	if (result == XEN_RING_BROKEN) {
		ctrl->broken = true;
		xen_queue_broken(ctrl->device, ctrl->queue, &ctrl->ring.ring, "it connects again");
		return false;
	}
	return done == CTRL_BURST || xen_back_events_enable(&ctrl->ring);
}

static void on_event(void *context, uint32_t events)
{
	struct netif_ctrl *ctrl = context;
	const struct host_channel *channel = ctrl->queue->ring[0].channel;
	const uint64_t one = 1;

	host_take_event(channel);
	/* The rest, the next time round: it is an event of our own making then. */
	if (!ctrl->broken && serve(ctrl) && write(channel->from, &one, sizeof(one)) < 0)
		return; /* it is readable as it is */
}

int netif_ctrl_start(struct netif_ctrl *ctrl, const struct xen_device *device,
		     struct xen_queue *queue)
{
	int error;

	if (xen_back_init(&ctrl->ring, &queue->ring[0].area, queue->ring[0].position))
		return -EINVAL;
	ctrl->device = device;
	ctrl->broken = false;
	/* A port is born notified, so the first look at the ring comes by itself. */
	error = control_watch(queue->ring[0].channel->from, EPOLLIN, on_event, ctrl);
	if (!error)
		ctrl->queue = queue;
	return error;
}

void netif_ctrl_stop(struct netif_ctrl *ctrl)
{
	control_unwatch(ctrl->queue->ring[0].channel->from);
	ctrl->queue->ring[0].position = xen_back_position(&ctrl->ring);
	ctrl->queue = NULL;
}
