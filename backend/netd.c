// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * pvkit-netd: serves one network device: virtio over vhost-user, or Xen's to a guest of pvkit-shim.
 *
 * The order in main() is the order in which things can go wrong for the user: the command line, the
 * link with the rights that it needs, then the socket. Nothing listens before all the rest is good.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/daemon.h"
#include "backend/link/link.h"
#include "backend/net/netif.h"
#include "backend/net/virtio_net.h"
#include "common/ethernet.h"
#include "common/stats.h"

#define SPEED_DEFAULT 10000

struct config {
	struct daemon_config daemon; /* first */
	struct link_options link;
	bool has_link, has_mac;
	uint8_t mac[6];
	uint64_t pairs, mtu, speed;
};

static int parse_link(void *context, const char *value, char *reason, size_t reason_size)
{
	struct config *config = context;

	config->has_link = true;
	return link_parse(&config->link, value, reason, reason_size);
}

static int parse_mac(void *context, const char *value, char *reason, size_t reason_size)
{
	struct config *config = context;

	if (ethernet_parse(config->mac, value, reason, reason_size) < 0)
		return -1;
	config->has_mac = true;
	return 0;
}

#define FIELD(name) offsetof(struct config, name)

/* clang-format off */
static const struct option_spec netd_options[] = {
	DAEMON_CONNECTION_OPTIONS("vif/0 is the first paravirtual interface, vif/1 the second"),

	{.name = "network", .kind = OPTION_HEADING, .help = "The network"},
	{.name = "link", .kind = OPTION_CALL, .call = parse_link,
	 .argument = "tap:NAME|user|socket:PATH|null",
	 .help = "Where frames go. tap:NAME is an interface of the host: one that exists and is ours, "
		 "or a new one where we may create it, which goes when we end. user needs no rights: a "
		 "network of its own behind address translation, 10.0.2.0/24 with DHCP, and "
		 "connections from the host by user,hostfwd=tcp:[HOST]:PORT-[GUEST]:PORT, repeated at "
		 "will. socket:PATH joins two guests; who comes first listens there. null swallows "
		 "everything."},
	{.name = "mac", .kind = OPTION_CALL, .call = parse_mac, .argument = "ADDRESS",
	 .help = "The guest's Ethernet address. By default it is made from the names of the host, the "
		 "link and the socket, so that it stays the same from run to run; with --fd and a link "
		 "of socket:PATH, where nothing tells the two guests apart, it is random."},
	{.name = "mtu", .kind = OPTION_NUMBER, .offset = FIELD(mtu), .argument = "BYTES",
	 .minimum = 68, .maximum = 65535,
	 .help = "The MTU that the guest is told, and that the tap is given if we may. The default is "
		 "the link's own. With --attach the tap's alone: the guest finds its own in the store."},
	{.name = "speed", .kind = OPTION_NUMBER, .offset = FIELD(speed), .argument = "MBITS",
	 .maximum = INT32_MAX,
	 .help = "The speed that the guest is told, in Mbit/s; 0: unknown. It limits nothing. The "
		 "default is 10000."},

	{.name = "performance", .kind = OPTION_HEADING, .help = "Performance"},
	{.name = "queue-pairs", .kind = OPTION_NUMBER, .offset = FIELD(pairs), .argument = "N",
	 .minimum = 1, .maximum = LINK_QUEUES_MAX,
	 .help = "Pairs of queues that a front-end may use; each has a thread. More than one are for a "
		 "tap (created multi_queue) and for null, where the default is one for each CPU of the "
		 "host; else it is 1."},
	DAEMON_POLL_OPTION("queue pair"),

	DAEMON_OTHER_OPTIONS,
	{0},
};

static const struct program_spec netd_program = {
	.name = "pvkit-netd",
	.summary = "serve a network device to a virtual machine",
	.usage = "--socket-path PATH --link LINK [OPTION...]\n"
		 "--attach PATH --device vif/ID --link LINK [OPTION...]",
	.description =
		"pvkit-netd serves a virtio network device to any vhost-user front-end: pvkit-shim, "
		"QEMU, user-mode Linux, DPDK; or, with --attach, Xen's network device to a guest of "
		"pvkit-shim. Frames go straight between the guest's memory and the link; checksums and "
		"segmentation are passed on to whoever must do them.\n"
		"\n"
		"The guest's link is up while the tap is up, or while the other guest of a socket is "
		"there.\n"
		"\n"
		"A frame that is malformed is dropped and counted, and reported: each of the first "
		"five, then in one line at most a second. A guest that breaks the protocol of "
		"a queue loses that queue.",
	.examples =
		"  ip tuntap add tap0 mode tap user $USER    # as root, once\n"
		"  ip addr add 192.168.7.1/24 dev tap0 && ip link set tap0 up\n"
		"  pvkit-netd --socket-path /tmp/net.sock --link tap:tap0 &\n"
		"  qemu-system-x86_64 -m 1G -object memory-backend-memfd,id=m,size=1G,share=on \\\n"
		"      -machine memory-backend=m -chardev socket,id=c,path=/tmp/net.sock \\\n"
		"      -netdev vhost-user,id=n,chardev=c -device virtio-net-pci,netdev=n ...\n"
		"\n"
		"  pvkit-netd --socket-path /tmp/net.sock --link user,hostfwd=tcp::2222-:22",
	.exit_status = "0\tended by a signal; or the socket given by --fd, or the guest that it is "
		       "attached to, was closed in order; or the guest's device was unplugged\n"
		       "1\tthe link, the socket or the guest could not be used, or the connection "
		       "of --fd or to the guest broke; a line on standard error says which\n"
		       "2\tbad command line",
	.options = netd_options,
};
/* clang-format on */

static void check_options(const void *context)
{
	const struct config *config = context;
	char text[160] = "--";

	daemon_check_device(&netd_program, &config->daemon, "vif");
	if (!config->has_link)
		daemon_usage_error(&netd_program, "--link is needed");
	if (link_check(&config->link, config->pairs, config->mtu, text + 2, sizeof(text) - 2) < 0)
		daemon_usage_error(&netd_program, text);
	if (config->has_mac && daemon_attaches(&config->daemon))
		daemon_usage_error(&netd_program,
				   "--mac is not for --attach: the store has the guest's address");
}

/* How many queues to open: as told, or what the link can have and the host can make use of. */
static void choose_queues(struct config *config)
{
	struct link_options *link = &config->link;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	link->queues = link->queues_min = config->pairs ? config->pairs : 1;
	if (!config->pairs && cpus > 1 && (link->kind == LINK_TAP || link->kind == LINK_NULL))
		link->queues = cpus < LINK_QUEUES_MAX ? cpus : LINK_QUEUES_MAX;
}

/*
 * The host's name tells guests apart that meet on a real network. Two that are joined by a socket are
 * told apart by their front-ends' sockets; with --fd they have none, and chance must do.
 */
static void choose_mac(uint8_t *mac, const struct config *config, const struct link *link)
{
	const char *own = config->daemon.socket_path;
	char chance[17] = "";

	if (!own && config->link.kind == LINK_SOCKET)
		ethernet_chance(chance);
	ethernet_derive(mac, link->name, own ? own : chance);
}

static struct stats_page *open_stats(const struct link *link)
{
	return stats_open("pvkit-netd", STATS_DEVICE_NET, link->name, 2 * link->queues + 1);
}

static int serve_virtio(const struct config *config, struct link *link, struct stats_page *stats)
{
	struct net_options options = {
		.mtu = config->mtu ? config->mtu : link->mtu,
		.speed = config->speed ? config->speed : NET_SPEED_UNKNOWN,
		.poll_us = config->daemon.poll_us,
	};
	struct net_device *net;
	int status;

	if (config->has_mac)
		memcpy(options.mac, config->mac, sizeof(options.mac));
	else
		choose_mac(options.mac, config, link);
	net = net_open(link, &options, stats);
	if (!net)
		return 1;
	status = daemon_serve(&config->daemon, &net->device);
	net_close(net);
	return status;
}

static int serve_xen(const struct config *config, struct link *link, struct stats_page *stats)
{
	const struct netif_options options = {
		.speed = config->speed,
		.poll_us = config->daemon.poll_us,
	};
	struct netif *netif = netif_open(link, &options, stats);
	int status;

	if (!netif)
		return 1;
	status = daemon_serve_xen(&config->daemon, &netif->device);
	netif_close(netif);
	return status;
}

int main(int argc, char **argv)
{
	struct config config = {
		.daemon = DAEMON_DEFAULTS,
		.speed = SPEED_DEFAULT,
	};
	struct stats_page *stats;
	struct link *link;
	int status = 1;

	daemon_begin(&netd_program, argc, argv, &config, "{\"type\":\"net\"}", check_options);
	choose_queues(&config);
	config.link.mtu = config.mtu;
	link = link_open(&config.link);
	if (link) {
		stats = open_stats(link);
		status = daemon_attaches(&config.daemon) ? serve_xen(&config, link, stats)
							 : serve_virtio(&config, link, stats);
		stats_close(stats);
		link->ops->close(link);
	}
	control_close();
	return status;
}
