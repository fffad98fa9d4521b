// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <linux/virtio_ids.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "abi/store.h"
#include "abi/vhost_user.h"
#include "common/ethernet.h"
#include "common/log.h"
#include "common/socket.h"
#include "hypervisor-shim/daemons.h"
#include "hypervisor-shim/devices.h"
#include "hypervisor-shim/hvm/virtio_pci.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/toolstack.h"

/* A daemon has opened its image or link by then, or given up: both take no longer than that. */
#define ANSWER_TIMEOUT_MS 30000
#define LOOK_MS           2

/* The arguments of one daemon: "--name=value" texts of its own. */
struct arguments {
	const char *list[DAEMONS_ARGUMENTS_MAX + 1];
	unsigned int count;
	char text[8192];
	size_t used;
	bool full;
};

static void __attribute__((format(printf, 2, 3)))
add_argument(struct arguments *arguments, const char *format, ...)
{
	size_t room = sizeof(arguments->text) - arguments->used;
	char *at = arguments->text + arguments->used;
	va_list values;
	int length;

	va_start(values, format);
	length = vsnprintf(at, room, format, values);
	va_end(values);
	if (length < 0 || (size_t)length >= room || arguments->count == DAEMONS_ARGUMENTS_MAX) {
		arguments->full = true;
		return;
	}
	arguments->used += (size_t)length + 1;
	arguments->list[arguments->count++] = at;
}

/*
 * Whether our daemon serves. One that could not open what it should serve has said so, and ends:
 * then the connection closes without an answer, and there is nothing to add but which device it
 * was. The question changes nothing and may be asked again.
 */
static int await_answer(const char *program, const char *device, int fd)
{
	const struct vhost_user_header question = {VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0};
	struct {
		struct vhost_user_header header;
		uint64_t features;
	} __attribute__((packed)) answer;
	int result = socket_send(fd, &question, sizeof(question), NULL, 0, ANSWER_TIMEOUT_MS);

	if (!result)
		result = socket_receive(fd, &answer, sizeof(answer), NULL, NULL, ANSWER_TIMEOUT_MS);
	if (result == -ETIMEDOUT)
		log_error("%s: %s does not answer for %d seconds; look at what its image or link "
			  "waits for",
			  device, program, ANSWER_TIMEOUT_MS / 1000);
	return result;
}

static int start(const char *program, const char *device, struct arguments *arguments)
{
	int fd, result;

	if (arguments->full) {
		log_error("%s: the options for %s are too long; use shorter paths", device,
			  program);
		return -E2BIG;
	}
	fd = daemons_start(program, device, arguments->list);
	if (fd < 0)
		return fd;
	result = await_answer(program, device, fd);
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}

static int connect_to(const char *device, const char *path)
{
	int fd = socket_connect(path, SOCK_STREAM);

	if (fd < 0)
		log_error("%s: cannot connect to %s: %s; start the back-end first, listening there",
			  device, path, strerror(-fd));
	return fd;
}

/*
 * Until the back-end of the PV device @name waits for the guest. One that cannot has said so, and
 * ends.
 */
static int await_backend(const char *program, const char *device, const char *name)
{
	const struct timespec tick = {.tv_nsec = LOOK_MS * 1000000};

	for (int ms = 0; ms < ANSWER_TIMEOUT_MS; ms += LOOK_MS) {
		if (toolstack_backend_state(name) == STORE_STATE_INIT_WAIT)
			return 0;
		if (!attach_lives(name)) {
			log_error("%s: %s ended before it served %s; its own message stands above",
				  device, program, name);
			return -ECONNRESET;
		}
		nanosleep(&tick, NULL);
	}
	log_error(
		"%s: %s does not serve %s for %d seconds; look at what its image or link waits for",
		device, program, name, ANSWER_TIMEOUT_MS / 1000);
	return -ETIMEDOUT;
}

/* @name lives for ever. */
static int start_attached(const char *program, const char *device, const char *name,
			  struct arguments *arguments)
{
	int fd, pidfd, result;

	if (arguments->full) {
		log_error("%s: the options for %s are too long; use shorter paths", device,
			  program);
		return -E2BIG;
	}
	fd = daemons_start_attached(program, device, arguments->list, &pidfd);
	if (fd < 0)
		return fd;
	result = attach_add(fd, pidfd, name);
	return result < 0 ? result : await_backend(program, device, name);
}

static void add_place(struct arguments *a, const char *name)
{
	if (name)
		add_argument(a, "--attach-fd=%d", DAEMON_SOCKET);
	else
		add_argument(a, "--fd=%d", DAEMON_SOCKET);
	if (name)
		add_argument(a, "--device=%s", name);
}

/* @name: NULL, or that of a PV device. */
static int start_blkd(const struct shim_disk *disk, const char *device, const char *name,
		      bool verbose)
{
	struct arguments a = {0};

	add_place(&a, name);
	if (disk->path)
		add_argument(&a, "--blk-file=%s", disk->path);
	else
		add_argument(&a, "--null-size=%llu", (unsigned long long)disk->size);
	if (disk->engine)
		add_argument(&a, "--engine=%s", disk->engine);
	if (disk->cache)
		add_argument(&a, "--cache=%s", disk->cache);
	if (disk->serial)
		add_argument(&a, "--serial=%s", disk->serial);
	if (disk->read_only)
		add_argument(&a, "--read-only");
	add_argument(&a, "--num-queues=%llu", (unsigned long long)disk->queues);
	if (verbose)
		add_argument(&a, "--verbose");
	return name ? start_attached("pvkit-blkd", device, name, &a)
		    : start("pvkit-blkd", device, &a);
}

static int start_netd(const struct shim_net *net, const char *device, const char *name,
		      bool verbose)
{
	const uint8_t *mac = net->mac;
	struct arguments a = {0};

	add_place(&a, name);
	add_argument(&a, "--link=%s", net->link);
	/* A PV guest finds its address and MTU in the store; the MTU is the tap's too. */
	if (!name && net->has_mac)
		add_argument(&a, "--mac=%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
			     mac[3], mac[4], mac[5]);
	if (net->mtu)
		add_argument(&a, "--mtu=%llu", (unsigned long long)net->mtu);
	add_argument(&a, "--queue-pairs=%llu", (unsigned long long)net->queue_pairs);
	if (verbose)
		add_argument(&a, "--verbose");
	return name ? start_attached("pvkit-netd", device, name, &a)
		    : start("pvkit-netd", device, &a);
}

/*
 * PV devices: described in the store; then their back-ends, which others may start. They are numbered
 * by themselves: the first is xvda, whatever virtio disks there are.
 */
static int add_pv_disk(const struct shim_disk *disk, const char *name, bool verbose)
{
	static struct toolstack_device devices[CONFIG_DEVICES_MAX];
	static unsigned int count;
	struct toolstack_device *device = &devices[count];
	int result;

	*device = (struct toolstack_device){.params = disk->path, .read_only = disk->read_only};
	snprintf(device->name, sizeof(device->name), "vbd/%u", toolstack_disk_id(count++));
	result = toolstack_add(device);
	if (!result && (disk->path || disk->size))
		result = start_blkd(disk, name, device->name, verbose);
	return result;
}

/*
 * The same at each start, as guests name their interfaces by it. Guests of one host differ by their link,
 * or by where the back-end attaches; but not two that a socket joins.
 */
static void choose_mac(struct shim_net *net, const char *device, const char *attach)
{
	char text[TOOLSTACK_NAME_BYTES + 17], chance[17] = "", path[2 * PATH_MAX] = "";
	const char *place = net->link ? net->link : path;

	if (net->has_mac)
		return;
	if (attach)
		socket_absolute(path, sizeof(path), attach);
	if (!strncmp(place, "socket:", 7))
		ethernet_chance(chance);
	snprintf(text, sizeof(text), "%s%s", device, chance);
	ethernet_derive(net->mac, place, text);
	net->has_mac = true;
}

static int add_pv_net(struct shim_net *net, const char *name, const struct shim_config *config)
{
	static struct toolstack_device devices[CONFIG_DEVICES_MAX];
	static unsigned int count;
	struct toolstack_device *device = &devices[count];
	int result;

	*device = (struct toolstack_device){
		.mtu = net->mtu,
		.rate_bytes = net->rate_bytes,
		.rate_us = net->rate_us,
	};
	snprintf(device->name, sizeof(device->name), "vif/%u", count++);
	choose_mac(net, device->name, config->attach);
	memcpy(device->mac, net->mac, sizeof(device->mac));
	result = toolstack_add(device);
	if (!result && net->link)
		result = start_netd(net, name, device->name, config->verbose);
	return result;
}

static int add_disk(const struct shim_config *config, unsigned int number)
{
	/* For messages as long as the process lives. */
	static char names[CONFIG_DEVICES_MAX][16];
	struct shim_disk disk = config->disks[number];
	struct virtio_pci_options options = {.packed = disk.packed};
	char *name = names[number];
	int fd;

	snprintf(name, sizeof(names[number]), "disk %u", number + 1);
	if (!disk.queues)
		disk.queues = config->cpus;
	if (disk.bus == BUS_PV)
		return add_pv_disk(&disk, name, config->verbose);
	fd = disk.vhost_user ? connect_to(name, disk.vhost_user)
			     : start_blkd(&disk, name, NULL, config->verbose);
	if (fd < 0)
		return fd;
	options.name = name;
	options.queues = (uint16_t)disk.queues;
	options.queue_size = (uint16_t)disk.queue_size;
	return virtio_pci_add(VIRTIO_ID_BLOCK, fd, &options);
}

static int add_net(const struct shim_config *config, unsigned int number)
{
	static char names[CONFIG_DEVICES_MAX][16];
	struct shim_net net = config->nets[number];
	struct virtio_pci_options options = {.packed = net.packed};
	char *name = names[number];
	int fd;

	snprintf(name, sizeof(names[number]), "net %u", number + 1);
	if (!net.queue_pairs)
		net.queue_pairs = 1;
	if (net.bus == BUS_PV)
		return add_pv_net(&net, name, config);
	fd = net.vhost_user ? connect_to(name, net.vhost_user)
			    : start_netd(&net, name, NULL, config->verbose);
	if (fd < 0)
		return fd;
	options.name = name;
	options.queues = (uint16_t)net.queue_pairs;
	options.queue_size = (uint16_t)net.queue_size;
	options.mtu = (uint16_t)net.mtu;
	options.has_mac = net.has_mac;
	memcpy(options.mac, net.mac, sizeof(options.mac));
	return virtio_pci_add(VIRTIO_ID_NET, fd, &options);
}

static int check_path(const char *what, unsigned int number, const char *path, int mode)
{
	int result;

	if (!path || access(path, mode) == 0)
		return 0;
	result = -errno;
	log_errno("%s %u: cannot use %s; see --%s", what, number + 1, path, what);
	return result;
}

int devices_check(const struct shim_config *config)
{
	int result = 0;

	for (unsigned int i = 0; !result && i < config->disks_count; i++) {
		const struct shim_disk *disk = &config->disks[i];

		result = check_path("disk", i, disk->path, disk->read_only ? R_OK : R_OK | W_OK);
		if (!result)
			result = check_path("disk", i, disk->vhost_user, R_OK | W_OK);
	}
	for (unsigned int i = 0; !result && i < config->nets_count; i++)
		result = check_path("net", i, config->nets[i].vhost_user, R_OK | W_OK);
	return result;
}

int devices_add(const struct shim_config *config)
{
	int result = 0;

	for (unsigned int i = 0; !result && i < config->disks_count; i++)
		result = add_disk(config, i);
	for (unsigned int i = 0; !result && i < config->nets_count; i++)
		result = add_net(config, i);
	return result;
}
