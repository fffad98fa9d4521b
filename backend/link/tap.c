// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The tap link: frames to and from the host's network stack, with the vnet header, so that
 * checksums and segmentation are left to whoever must do them, which mostly is nobody.
 *
 * One descriptor a queue. A read or write of it is one frame, straight from or into guest memory;
 * the kernel copies it into its own buffer anyway, so a copy of ours would be the second. A guest
 * may change a frame while the kernel reads it: the kernel validates its own copy.
 *
 * Whether the interface is up is asked when a netlink message says that some interface changed: the
 * flags that an ioctl answers then are newer than the message, so messages need no parsing and
 * losing one does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "backend/link/link.h"
#include "common/log.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* What TUNSETTXFILTER compares exactly; it hashes the rest, multicast addresses only. */
#define TAP_FILTER_EXACT 8
#define TAP_FILTER_MAX   256

struct tap_queue {
	int fd;
	bool active;
	bool gone; /* the worker's: the interface was deleted under us */
	uint8_t overflow[FRAME_BYTES_MAX];
};

struct tap {
	struct link link;
	int index; /* of the interface; its name may change */
	int control; /* a socket for ioctls on the interface */
	bool multi_queue;
	struct tap_queue queue[];
};

static struct tap *tap_of(struct link *link)
{
	return (struct tap *)link;
}

/* ---- frames: the worker threads ----------------------------------------------------------------- */

static int tap_send(struct link *link, unsigned int queue, const struct iovec *pieces,
		    unsigned int count)
{
	if (writev(tap_of(link)->queue[queue].fd, pieces, count) < 0)
		return -errno;
	return 0;
}

/*
 * The kernel cuts a frame that is too large and does not say so. A private buffer behind the guest's
 * catches what does not fit, and its presence in the count tells.
 */
static ssize_t tap_receive(struct link *link, unsigned int queue, struct iovec *pieces,
			   unsigned int count, size_t room)
{
	struct tap_queue *q = &tap_of(link)->queue[queue];
	struct iovec saved = pieces[count];
	ssize_t bytes;

	pieces[count] = (struct iovec){q->overflow, sizeof(q->overflow)};
	bytes = readv(q->fd, pieces, count + 1);
	pieces[count] = saved;
	if (bytes < 0)
		return -errno;
	return (size_t)bytes > room ? -EMSGSIZE : bytes;
}

static unsigned int tap_prepare(struct link *link, unsigned int queue, bool want_receive,
				bool want_send, struct pollfd *fds, int *timeout_ms)
{
	struct tap_queue *q = &tap_of(link)->queue[queue];

	/* A tap that is gone shows an error for ever; with nothing wanted none is looked for. */
	if (q->gone || !(want_receive || want_send))
		return 0;
	fds->fd = q->fd;
	fds->events = (want_receive ? POLLIN : 0) | (want_send ? POLLOUT : 0);
	return 1;
}

static void tap_dispatch(struct link *link, unsigned int queue, const struct pollfd *fds,
			 unsigned int count)
{
	if (count && fds->revents & (POLLERR | POLLNVAL))
		tap_of(link)->queue[queue].gone = true;
}

/* ---- settings: the control thread --------------------------------------------------------------- */

static unsigned int tun_offloads(unsigned int offloads)
{
	unsigned int tun = 0;

	if (!(offloads & FRAME_CSUM))
		return 0;
	tun |= TUN_F_CSUM;
	if (offloads & FRAME_TSO4)
		tun |= TUN_F_TSO4;
	if (offloads & FRAME_TSO6)
		tun |= TUN_F_TSO6;
	if (offloads & FRAME_ECN && tun & (TUN_F_TSO4 | TUN_F_TSO6))
		tun |= TUN_F_TSO_ECN;
	if (offloads & FRAME_UFO)
		tun |= TUN_F_UFO;
	/* The kernel takes both or none. */
	if (offloads & FRAME_USO4 && offloads & FRAME_USO6)
		tun |= TUN_F_USO4 | TUN_F_USO6;
	return tun;
}

static int tap_set_accepted(struct link *link, unsigned int offloads)
{
	struct tap *tap = tap_of(link);

	/* A property of the interface: any of its queues will do that is attached. */
	return ioctl(tap->queue[0].fd, TUNSETOFFLOAD, (unsigned long)tun_offloads(offloads))
		       ? -errno
		       : 0;
}

static void tap_set_filter(struct link *link, const struct link_filter *filter)
{
	struct {
		struct tun_filter head;
		uint8_t address[TAP_FILTER_MAX + 1][6];
	} tun = {0};

	/* A count of 0 lets everything through, so do more addresses than the kernel sorts by. */
	if (!filter->everything && filter->count < TAP_FILTER_MAX) {
		tun.head.flags = filter->all_multicast ? TUN_FLT_ALLMULTI : 0;
		memcpy(tun.address, filter->address, filter->count * sizeof(tun.address[0]));
		memset(tun.address[filter->count], 0xff, sizeof(tun.address[0])); /* broadcast */
		tun.head.count = filter->count + 1;
	}
	/* Filtering is best effort in virtio: a guest copes with frames that it did not want. */
	if (ioctl(tap_of(link)->queue[0].fd, TUNSETTXFILTER, &tun) < 0)
		log_info("%s: no receive filter: the guest gets every frame", link->name);
}

static int tap_set_active(struct link *link, unsigned int queue, bool active)
{
	struct tap *tap = tap_of(link);
	struct ifreq request = {0};

	/* One queue is always there, or the interface would lose its carrier. */
	if (!tap->multi_queue || !queue || tap->queue[queue].active == active)
		return 0;
	request.ifr_flags = active ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
	if (ioctl(tap->queue[queue].fd, TUNSETQUEUE, &request))
		return -errno;
	tap->queue[queue].active = active;
	return 0;
}

static void tap_refresh(struct link *link)
{
	struct tap *tap = tap_of(link);
	struct ifreq request = {.ifr_ifindex = tap->index};
	char messages[8192];

	while (recv(link->changed, messages, sizeof(messages), 0) > 0)
		;
	if (ioctl(tap->control, SIOCGIFNAME, &request) ||
	    ioctl(tap->control, SIOCGIFFLAGS, &request)) {
		/* Deleted; or moved to another namespace, where we cannot see but frames still flow. */
		memset(&request, 0, sizeof(request));
		if (ioctl(tap->queue[0].fd, TUNGETIFF, &request))
			link->up = false;
		return;
	}
	link->up = (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

static void tap_close(struct link *link)
{
	struct tap *tap = tap_of(link);
	unsigned int i;

	if (link->queues && tap->queue[0].fd >= 0)
		tap_set_filter(link, &(struct link_filter){.everything = true});
	for (i = 0; i < link->queues; i++)
		if (tap->queue[i].fd >= 0)
			close(tap->queue[i].fd);
	if (link->changed >= 0)
		close(link->changed);
	if (tap->control >= 0)
		close(tap->control);
	free(tap);
}

static const struct link_ops tap_ops = {
	.send = tap_send,
	.receive = tap_receive,
	.prepare = tap_prepare,
	.dispatch = tap_dispatch,
	.set_accepted = tap_set_accepted,
	.set_filter = tap_set_filter,
	.set_active = tap_set_active,
	.refresh = tap_refresh,
	.close = tap_close,
};

/* ---- opening ------------------------------------------------------------------------------------ */

/* "tap", "tun", "" for another kind of interface; NULL: there is none of that name. */
static const char *interface_kind(struct tap *tap, const char *name)
{
	static struct ethtool_drvinfo info;
	struct ifreq request = {0};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(tap->control, SIOCGIFINDEX, &request))
		return NULL;
	memset(&info, 0, sizeof(info));
	info.cmd = ETHTOOL_GDRVINFO;
	request.ifr_data = (void *)&info;
	if (ioctl(tap->control, SIOCETHTOOL, &request) || strcmp(info.driver, "tun"))
		return "";
	return info.bus_info;
}

/* Says in one line why TUNSETIFF refused with @error and what to do. Returns -1, errno = @error. */
static int attach_failed(struct tap *tap, const char *name, unsigned int queues, int error)
{
	const char *kind = interface_kind(tap, name);
	const char *multi = queues > 1 ? " multi_queue" : "";

	if (kind && !*kind)
		log_error("%s: is an interface, but no tap: name another, or one that does not "
			  "exist to have it created",
			  name);
	else if (kind && !strcmp(kind, "tun"))
		log_error("%s: is a tun interface, which carries no Ethernet frames: it must be of "
			  "mode tap",
			  name);
	else if (error == EBUSY)
		log_error("%s: another process has this tap open: stop that, or name another tap",
			  name);
	else if (error == EINVAL && kind && queues > 1)
		log_error("%s: takes one queue only: create it with \"ip tuntap add %s mode tap "
			  "multi_queue\", or use --queue-pairs=1",
			  name, name);
	else if (error == E2BIG)
		log_error("%s: has not %u queues left: use fewer --queue-pairs", name, queues);
	else if (error == EPERM && kind)
		log_error("%s: belongs to another user: run as its owner, or name another tap",
			  name);
	else if (error == EPERM)
		log_error("%s: there is no such tap and no right to create one: let root do \"ip "
			  "tuntap add %s mode tap user $USER%s\", or use --link=user",
			  name, name, multi);
	else {
		errno = error;
		log_errno("%s: cannot attach to the tap: see \"ip tuntap\"", name);
	}
	errno = error;
	return -1;
}

static int attach_queue(int fd, const char *name, short flags)
{
	struct ifreq request = {.ifr_flags = flags};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, TUNSETIFF, &request) ? -errno : 0;
}

static int open_queue(struct tap *tap, const char *name, unsigned int queue,
		      unsigned int queues_min)
{
	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct tap_queue *q = &tap->queue[queue];
	int header_bytes = sizeof(struct frame_header);
	int little_endian = 1;
	int error;

	q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (q->fd < 0) {
		log_errno("cannot open /dev/net/tun: load the tun module or ask for access to it, "
			  "or use --link=user");
		return -1;
	}
	error = attach_queue(q->fd, name, flags | (tap->multi_queue ? IFF_MULTI_QUEUE : 0));
	if (error == -EINVAL && !queue && queues_min == 1) {
		/* The tap exists already, and is of the other kind. */
		tap->multi_queue = !tap->multi_queue;
		error = attach_queue(q->fd, name, flags | (tap->multi_queue ? IFF_MULTI_QUEUE : 0));
		if (!error && !tap->multi_queue)
			tap->link.queues = 1;
	}
	if (error)
		return attach_failed(tap, name, queues_min, -error);
	if (ioctl(q->fd, TUNSETVNETHDRSZ, &header_bytes) ||
	    ioctl(q->fd, TUNSETVNETLE, &little_endian)) {
		log_errno("%s: this kernel's tap has no vnet header of 12 bytes (Linux 3.19 has)",
			  name);
		return -1;
	}
	q->active = true;
	return 0;
}

/* What the interface does for the guest, found by asking; it starts with nothing accepted. */
static void probe_offloads(struct tap *tap)
{
	struct link *link = &tap->link;

	if (tap_set_accepted(link, FRAME_CSUM))
		return;
	link->gives = FRAME_CSUM;
	if (!tap_set_accepted(link, FRAME_CSUM | FRAME_TSO4 | FRAME_TSO6 | FRAME_ECN))
		link->gives |= FRAME_TSO4 | FRAME_TSO6 | FRAME_ECN;
	if (!tap_set_accepted(link, FRAME_CSUM | FRAME_UFO))
		link->gives |= FRAME_UFO;
	if (!tap_set_accepted(link, FRAME_CSUM | FRAME_USO4 | FRAME_USO6))
		link->gives |= FRAME_USO4 | FRAME_USO6;
	tap_set_accepted(link, 0);
	/* A kernel that gives frames of a kind takes them, too. */
	link->takes = link->gives;
}

static int open_watch(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int learn_interface(struct tap *tap, const struct link_options *options)
{
	struct ifreq request = {0};

	strncpy(request.ifr_name, options->name, IFNAMSIZ - 1);
	if (ioctl(tap->control, SIOCGIFINDEX, &request))
		return -1;
	tap->index = request.ifr_ifindex;
	if (options->mtu) {
		/* Only its owner in the host may; the guest is told either way. */
		request.ifr_mtu = options->mtu;
		if (ioctl(tap->control, SIOCSIFMTU, &request))
			log_info("%s: cannot set its MTU to %u", options->name, options->mtu);
	}
	if (ioctl(tap->control, SIOCGIFMTU, &request))
		return -1;
	tap->link.mtu = request.ifr_mtu;
	return 0;
}

struct link *link_open_tap(const struct link_options *options)
{
	struct tap *tap = calloc(1, sizeof(*tap) + options->queues * sizeof(tap->queue[0]));
	unsigned int i;
	int error;

	if (!tap)
		return NULL;
	tap->link.ops = &tap_ops;
	snprintf(tap->link.name, sizeof(tap->link.name), "tap:%s", options->name);
	tap->link.queues = options->queues;
	tap->multi_queue = options->queues > 1;
	for (i = 0; i < options->queues; i++)
		tap->queue[i].fd = -1;
	tap->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tap->link.changed = open_watch();
	if (tap->control < 0 || tap->link.changed < 0) {
		log_errno("%s: cannot open a socket to watch it; raise the limit of open files",
			  tap->link.name);
		goto fail;
	}

	for (i = 0; i < tap->link.queues; i++)
		if (open_queue(tap, options->name, i, options->queues_min))
			goto fail;
	if (learn_interface(tap, options)) {
		log_errno("%s: cannot learn its index and MTU; look whether it is there still: ip "
			  "link",
			  tap->link.name);
		goto fail;
	}
	probe_offloads(tap);
	tap_set_filter(&tap->link, &(struct link_filter){.everything = true});
	tap_refresh(&tap->link);
	return &tap->link;
fail:
	error = errno;
	tap_close(&tap->link);
	errno = error;
	return NULL;
}
