// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The state machine of xen.h. One function, evaluate(), looks at both sides' states and does the next
 * step; it runs when a watched key changed, whichever and however often. So nothing depends on seeing
 * each change, and a front-end that flips its keys gets one look for many changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/attach.h"
#include "backend/control.h"
#include "backend/transport/xen_private.h"

static const char *const state_names[] = {
	"Unknown", "Initialising", "InitWait",      "Initialised",  "Connected",
	"Closing", "Closed",       "Reconfiguring", "Reconfigured",
};

static int set_state(struct xen *xen, enum store_state state, bool again)
{
	int err;

	if (xen->state == (int)state && !again)
		return 0;
	err = xen_device_write(xen->device, STORE_KEY_STATE, "%d", state);
	if (err)
		return err;
	if (xen->state != (int)state)
		log_info("%s: %s", xen->device->name, state_names[state]);
	xen->state = state;
	return 0;
}

static void disconnect(struct xen *xen)
{
	if (!xen->connected)
		return;
	xen_queues_close(xen);
	xen->connected = false;
	if (xen->device->ops->disconnected)
		xen->device->ops->disconnected(xen->device);
}

/*
 * What the front-end's state says is of a time before this moment: Connected is heard again when it
 * was in another state. Initialised, where it was that last, may mean what we served, or that it went
 * on and came back meanwhile, and we have yet to look: so that is tried.
 */
static void disconnect_now(struct xen *xen)
{
	if (!xen->connected)
		return;
	disconnect(xen);
	xen->stale = 1U << STORE_STATE_CONNECTED;
	xen->doubtful = xen->front_state == STORE_STATE_INITIALISED;
}

static int publish(struct xen *xen)
{
	struct xen_device *device = xen->device;
	int err = 0;

	if (device->queues_max > 1)
		err = xen_device_write(device, STORE_KEY_MAX_QUEUES, "%u", device->queues_max);
	if (!err)
		err = device->ops->publish(device);
	xen->published = !err;
	return err;
}

static void remove_key(struct xen *xen, const char *key)
{
	char path[XEN_PATH_BYTES];

	if (xen_path(path, xen->back, key))
		store_client_remove(xen->store, STORE_NO_TRANSACTION, path);
}

/* The front-end is as it is now; that is not looked at again before it changes. */
static void refuse(struct xen *xen)
{
	disconnect(xen);
	xen->stale = 1U << STORE_STATE_INITIALISED | 1U << STORE_STATE_CONNECTED;
	set_state(xen, STORE_STATE_CLOSING, false);
}

static void begin(struct xen *xen)
{
	disconnect(xen);
	if (xen->state == STORE_STATE_INIT_WAIT && xen->published)
		return;
	if (!publish(xen))
		set_state(xen, STORE_STATE_INIT_WAIT, false);
}

static void connect_front(struct xen *xen)
{
	int err = 0;

	if (!xen->published)
		err = publish(xen);
	remove_key(xen, XEN_KEY_PAUSED);
	if (!err)
		err = xen_queues_open(xen);
	if (err) {
		if (!xen->doubtful)
			refuse(xen);
		return;
	}
	xen->doubtful = false;
	xen->connected = true;
	if (xen->device->ops->describe(xen->device) ||
	    set_state(xen, STORE_STATE_CONNECTED, true)) {
		refuse(xen);
		return;
	}
	remove_key(xen, "error");
	log_info("%s: %u queues", xen->device->name, xen->device->queues);
}

/*
 * Gone for good. Ours goes first: without a back-end's directory nobody makes the front-end's anew; by
 * the end of its own the guest sees that there is no such device any more.
 */
static void finish(struct xen *xen)
{
	disconnect(xen);
	set_state(xen, STORE_STATE_CLOSED, false);
	store_client_remove(xen->store, STORE_NO_TRANSACTION, xen->back);
	store_client_remove(xen->store, STORE_NO_TRANSACTION, xen->front);
	log_info("%s: unplugged", xen->device->name);
	xen->over = true;
	control_quit(0);
}

/* What a key of @length bytes says; Unknown for what is no state. */
static int state_of(const char *text, int length)
{
	if (length != 1 || text[0] < '0' || text[0] > '0' + STORE_STATE_RECONFIGURED)
		return STORE_STATE_UNKNOWN;
	return text[0] - '0';
}

/* Unknown where there is none; -EPIPE. */
static int read_front_state(struct xen *xen)
{
	char text[XEN_VALUE_BYTES];
	int got = xen_device_front_read(xen->device, STORE_KEY_STATE, text, sizeof(text));

	return got == -EPIPE ? got : state_of(text, got);
}

/* Whoever makes devices may have made ours anew, and then what we wrote is gone. */
static void read_own_state(struct xen *xen)
{
	char text[XEN_VALUE_BYTES];
	int got = xen_device_read(xen->device, STORE_KEY_STATE, text, sizeof(text));
	int state = state_of(text, got);

	if (got == -EPIPE || state == xen->state)
		return;
	xen->state = state;
	if (state <= STORE_STATE_INITIALISING)
		xen->published = false;
}

static bool closes_in_steps(struct xen *xen)
{
	char text[XEN_VALUE_BYTES];

	return xen_device_read(xen->device, STORE_KEY_CLOSE_STEPS, text, sizeof(text)) == 1 &&
	       *text == '1';
}

static bool read_online(struct xen *xen)
{
	char text[XEN_VALUE_BYTES];

	return xen_device_read(xen->device, STORE_KEY_ONLINE, text, sizeof(text)) < 0 ||
	       strcmp(text, "0") != 0;
}

/* Unplugging: the front-end closes first, if it is there to do so. */
static void go_offline(struct xen *xen, int front)
{
	if (front == STORE_STATE_INITIALISED || front == STORE_STATE_CONNECTED)
		set_state(xen, STORE_STATE_CLOSING, false);
	else if (front == STORE_STATE_CLOSING)
		disconnect(xen);
	else
		finish(xen);
	if (front == STORE_STATE_CLOSING)
		set_state(xen, STORE_STATE_CLOSED, false);
}

static void follow_front(struct xen *xen, int front)
{
	int before = xen->front_state;

	xen->front_state = front;
	if (front != STORE_STATE_INITIALISED)
		xen->doubtful = false;
	if (xen->stale & 1U << front)
		return;
	if (front != STORE_STATE_UNKNOWN)
		xen->stale = 0;
	switch (front) {
	case STORE_STATE_INITIALISING:
		begin(xen);
		break;
	case STORE_STATE_INITIALISED:
		/* From Connected: it comes back in place, with other rings. */
		if (before == STORE_STATE_CONNECTED)
			disconnect(xen);
		/* fall through */
	case STORE_STATE_CONNECTED:
		if (!xen->connected)
			connect_front(xen);
		break;
	case STORE_STATE_CLOSING:
	case STORE_STATE_CLOSED:
	case STORE_STATE_UNKNOWN:
		disconnect(xen);
		xen->published = false;
		set_state(xen,
			  front == STORE_STATE_CLOSING && closes_in_steps(xen) ? STORE_STATE_CLOSING
									       : STORE_STATE_CLOSED,
			  false);
		break;
	default: /* nothing that concerns us */
		break;
	}
}

/* True: a predecessor was serving this front-end, and left nobody knows what. */
static bool orphaned(struct xen *xen, int front)
{
	char text[XEN_VALUE_BYTES];
	bool first = !xen->begun;

	xen->begun = true;
	return first && front == STORE_STATE_CONNECTED &&
	       xen_device_read(xen->device, XEN_KEY_PAUSED, text, sizeof(text)) < 0;
}

static void evaluate(void *context)
{
	struct xen *xen = context;
	bool online;
	int front;

	if (xen->over || xen->quiet)
		return;
	read_own_state(xen);
	online = read_online(xen);
	front = read_front_state(xen);
	if (front < 0)
		return; /* the store is lost, and that is told elsewhere */
	if (!online) {
		go_offline(xen, front);
	} else if (orphaned(xen, front)) {
		xen->front_state = front;
		xen->stale = 1U << front;
		xen->state = STORE_STATE_UNKNOWN; /* its watch is to fire, whatever is there */
		begin(xen);
	} else {
		follow_front(xen, front);
	}
}

/* ---- changes of the guest -------------------------------------------------------------------- */

static void on_quiesce(void *context)
{
	struct xen *xen = context;

	xen->quiet = true;
	if (xen->connected)
		xen_queues_pause(xen);
}

static void on_resume(void *context)
{
	struct xen *xen = context;

	xen->quiet = false;
	if (xen->connected && xen_queues_resume(xen))
		refuse(xen);
	/* A change that came meanwhile was not looked at. */
	evaluate(xen);
}

/*
 * The guest is a new one, and the tree is as the old one left it, or as the shim has put it since.
 * Closed is where every front-end can begin from.
 */
static void on_reset(void *context)
{
	struct xen *xen = context;

	disconnect_now(xen);
	xen->published = false;
	if (xen->over)
		return;
	set_state(xen, STORE_STATE_CLOSED, false);
	evaluate(xen);
}

/* It takes a ring down without a word, as before a suspend: its pages must be free for that. */
static void on_channel_closed(void *context, uint32_t port)
{
	struct xen *xen = context;

	log_info("%s: the front-end closed event channel %u", xen->device->name, port);
	disconnect_now(xen);
	evaluate(xen);
}

static void on_lost(void *context, bool orderly)
{
	struct xen *xen = context;

	disconnect(xen);
	if (!xen->over)
		control_quit(orderly ? 0 : 1);
	xen->over = true;
}

static const struct host_ops xen_host_ops = {
	.quiesce = on_quiesce,
	.resume = on_resume,
	.reset = on_reset,
	.channel_closed = on_channel_closed,
	.lost = on_lost,
};

/* ---- open and close -------------------------------------------------------------------------- */

/* Where the front-end is: the guest's own part of the tree and nowhere else. */
static int find_directories(struct xen *xen, const char *name)
{
	unsigned int guest = host_guest_domain(xen->host), back = host_backend_domain(xen->host);
	const char *slash = strchr(name, '/');
	char text[sizeof(xen->front)], home[sizeof(xen->front)];
	int got;

	if (!slash || slash == name || !slash[1] || strchr(slash + 1, '/') ||
	    strlen(name) >= ATTACH_DEVICE_BYTES)
		return -EINVAL;
	snprintf(xen->back, sizeof(xen->back), "/local/domain/%u/backend/%.*s/%u/%s", back,
		 (int)(slash - name), name, guest, slash + 1);
	snprintf(home, sizeof(home), "/local/domain/%u/", guest);
	got = xen_device_read(xen->device, STORE_KEY_FRONTEND, text, sizeof(text));
	if (got == -ENOENT) {
		log_warn("%s: the guest %s has no device '%s' yet; waiting until it is plugged in; "
			 "the shim makes one for each --disk or --net with bus=pv",
			 xen->device->name, host_place(xen->host), name);
		snprintf(xen->front, sizeof(xen->front), "/local/domain/%u/device/%s", guest, name);
		return 0;
	}
	if (got < 0)
		return got;
	if (strncmp(text, home, strlen(home)) != 0)
		return -EINVAL;
	memcpy(xen->front, text, sizeof(xen->front));
	return 0;
}

static int watch_keys(struct xen *xen)
{
	char path[XEN_PATH_BYTES];
	int watch;

	xen_path(path, xen->front, STORE_KEY_STATE);
	watch = store_client_watch(xen->store, path, evaluate, xen);
	if (watch < 0)
		return watch;
	xen_path(path, xen->back, STORE_KEY_ONLINE);
	watch = store_client_watch(xen->store, path, evaluate, xen);
	return watch < 0 ? watch : 0;
}

static void say_failed(const struct xen_device *device, const struct host *host, const char *name,
		       int err)
{
	if (host_told(host))
		return;
	if (err == -EBUSY)
		log_error("%s: device '%s' is served by another back-end, or the process of one "
			  "has not ended; end that one first, or name another device",
			  device->name, name);
	else if (err == -EPIPE)
		log_error("%s: device '%s' cannot be served: the shim %s closed the connection; "
			  "look whether it runs, then start this program anew",
			  device->name, name, host_place(host));
	else
		log_error(
			"%s: device '%s' cannot be found in the store of the guest %s: %s; a "
			"device is CLASS/ID, such as vbd/51712, of at most %u characters, and its "
			"directory names the front-end",
			device->name, name, host_place(host), strerror(-err),
			ATTACH_DEVICE_BYTES - 1);
}

struct xen *xen_open(struct xen_device *device, struct host *host, const char *name)
{
	struct xen *xen = calloc(1, sizeof(*xen));
	int err = -ENOMEM;

	if (!xen)
		goto fail;
	xen->device = device;
	xen->host = host;
	xen->store = host_store(host);
	xen->state = xen->front_state = -1;
	device->host = host;
	device->xen = xen;
	device->page_order_max = host_maps_pages(host) ? XEN_RING_PAGE_ORDER_MAX : 0;
	xen->slots = calloc(device->queues_max + 1, sizeof(*xen->slots));
	if (!xen->slots)
		goto fail;
	err = find_directories(xen, name);
	if (!err)
		err = host_claim(host, name);
	if (!err)
		err = watch_keys(xen);
	if (err)
		goto fail;
	/* Watches fire once at first: the first step comes from the loop. */
	host_serve(host, &xen_host_ops, xen);
	return xen;
fail:
	say_failed(device, host, name, err);
	if (xen)
		free(xen->slots);
	free(xen);
	device->xen = NULL;
	errno = -err;
	return NULL;
}

void xen_close(struct xen *xen)
{
	if (!xen)
		return;
	if (xen->connected && !xen->over) {
		disconnect(xen);
		xen_device_write(xen->device, XEN_KEY_PAUSED, "1");
	}
	disconnect(xen);
	xen->device->xen = NULL;
	free(xen->slots);
	free(xen);
}

void xen_device_changed(struct xen_device *device)
{
	struct xen *xen = device->xen;

	if (!xen || !xen->connected || xen->state != STORE_STATE_CONNECTED)
		return;
	if (!device->ops->describe(device))
		set_state(xen, STORE_STATE_CONNECTED, true);
}
