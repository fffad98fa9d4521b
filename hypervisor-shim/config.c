// SPDX-License-Identifier: MIT OR GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/disk.h"
#include "common/ethernet.h"
#include "common/log.h"
#include "common/option.h"
#include "hypervisor-shim/config.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/vm.h"
#include "ring/virtqueue.h"

#define MIB             (1ULL << 20)
#define DEFAULT_MEMORY  (512 * MIB)
#define DEFAULT_COMMAND "console=ttyS0"
#define QUEUES_MAX      64

static const char *const mode_names[] = {
	[MODE_HVM] = "hvm",
	[MODE_PV] = "pv",
	[MODE_XEN] = "xen",
	NULL,
};
static const char *const boot_names[] = {
	[BOOT_AUTO] = "auto",
	[BOOT_BY_PVH] = "pvh",
	NULL,
};
static const char *const reboot_names[] = {
	[REBOOT_RESTART] = "restart",
	[REBOOT_EXIT] = "exit",
	NULL,
};
static const char *const bus_names[] = {
	[BUS_DEFAULT] = "default",
	[BUS_VIRTIO] = "virtio",
	[BUS_PV] = "pv",
	NULL,
};
static const char *const engine_names[] = {
	"default", "io_uring", "libaio", "threads", "null", NULL,
};
static const char *const cache_names[] = {"default", "writeback", "direct", NULL};

static int parse_serial(void *context, const char *value, char *reason, size_t reason_size)
{
	struct shim_disk *disk = context;

	return disk_parse_serial(&disk->serial, value, reason, reason_size);
}

static int parse_link(void *context, const char *value, char *reason, size_t reason_size)
{
	struct shim_net *net = context;

	net->link = value;
	return link_parse(&net->link_options, value, reason, reason_size);
}

static int parse_mac(void *context, const char *value, char *reason, size_t reason_size)
{
	struct shim_net *net = context;

	if (ethernet_parse(net->mac, value, reason, reason_size) < 0)
		return -1;
	net->has_mac = true;
	return 0;
}

/* Of a second, in us; NULL where it is none of these. */
static const char *interval_unit(const char *text, double *us)
{
	static const struct {
		const char *name;
		double us;
	} units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};

	for (unsigned int i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(text, units[i].name))
			continue;
		*us *= units[i].us;
		return text;
	}
	return NULL;
}

/* As xl takes it: 100Mb/s, 12.5MB/s@20ms. b: bits, B: bytes; prefixes are powers of ten. */
static bool scan_rate(const char *value, double *bytes_per_s, double *us)
{
	char *rest, *interval;

	*bytes_per_s = strtod(value, &rest);
	if (rest == value || !(value[0] >= '0' && value[0] <= '9'))
		return false;
	if (*rest && strchr("KMG", *rest)) {
		*bytes_per_s *= *rest == 'K' ? 1e3 : *rest == 'M' ? 1e6 : 1e9;
		rest++;
	}
	if (*rest == 'b')
		*bytes_per_s /= 8;
	else if (*rest != 'B')
		return false;
	if (strncmp(++rest, "/s", 2))
		return false;
	rest += 2;
	*us = 50000;
	if (!*rest)
		return true;
	if (*rest++ != '@' || *rest < '0' || *rest > '9')
		return false;
	*us = strtod(rest, &interval);
	return interval_unit(interval, us);
}

static int parse_rate(void *context, const char *value, char *reason, size_t reason_size)
{
	struct shim_net *net = context;
	double bytes_per_s, us, bytes;

	if (!scan_rate(value, &bytes_per_s, &us)) {
		snprintf(reason, reason_size, "'%s' is no rate like 100Mb/s or 12MB/s@20ms", value);
		return -1;
	}
	bytes = bytes_per_s * us / 1e6;
	if (!(bytes >= 1 && bytes <= 1e12 && us >= 1 && us <= 1e9)) {
		snprintf(reason, reason_size,
			 "'%s' is out of range, expected an interval of 1us..1000s with "
			 "1 byte..1 TB in it", value);
		return -1;
	}
	net->rate_bytes = (uint64_t)bytes;
	net->rate_us = (uint64_t)us;
	return 0;
}

static int parse_console(void *context, const char *value, char *reason, size_t reason_size)
{
	struct shim_config *config = context;

	config->console = value;
	if (console_known(value))
		return 0;
	snprintf(reason, reason_size, "'%s' is none of stdio, file:PATH and none", value);
	return -1;
}

#define DISK(name)  offsetof(struct shim_disk, name)
#define NET(name)   offsetof(struct shim_net, name)
#define FIELD(name) offsetof(struct shim_config, name)

/* clang-format off */
static const struct option_spec disk_options[] = {
	{.name = "path", .kind = OPTION_STRING, .offset = DISK(path), .argument = "IMAGE", .minimum = 1,
	 .help = "A raw image or block device; pvkit-blkd is started for it. With bus=pv and --attach it may be "
		 "left out: then somebody else starts the back-end."},
	{.name = "vhost-user", .kind = OPTION_STRING, .offset = DISK(vhost_user), .argument = "SOCKET",
	 .minimum = 1, .help = "In place of path: the socket of a back-end that runs already."},
	{.name = "bus", .kind = OPTION_CHOICE, .offset = DISK(bus), .choices = bus_names,
	 .help = "How the guest sees it. By default virtio in --mode hvm, and pv in the modes pv and xen."},
	{.name = "readonly", .kind = OPTION_FLAG, .offset = DISK(read_only),
	 .help = "The guest may not write. By default it may."},
	{.name = "engine", .kind = OPTION_CHOICE, .offset = DISK(engine_choice), .choices = engine_names,
	 .help = "How pvkit-blkd accesses the image. null, which moves no data, takes size in place of "
		 "path."},
	{.name = "cache", .kind = OPTION_CHOICE, .offset = DISK(cache_choice), .choices = cache_names,
	 .help = "Whether pvkit-blkd goes through the host's page cache (writeback, the default) or "
		 "around it (direct)."},
	{.name = "num-queues", .kind = OPTION_NUMBER, .offset = DISK(queues), .argument = "N", .minimum = 1,
	 .maximum = QUEUES_MAX, .help = "Request queues. The default is one a vCPU."},
	{.name = "queue-size", .kind = OPTION_NUMBER, .offset = DISK(queue_size), .argument = "N",
	 .minimum = 4, .maximum = VIRTQUEUE_SIZE_MAX,
	 .help = "Descriptors of a queue, a power of two. The default is 256."},
	{.name = "serial", .kind = OPTION_CALL, .argument = "TEXT", .call = parse_serial,
	 .help = "The serial number that the guest sees, on either bus: up to 20 printable characters, no "
		 "blanks and no slashes."},
	{.name = "packed", .kind = OPTION_FLAG, .offset = DISK(packed),
	 .help = "Offer packed rings to the guest. By default only split ones."},
	{.name = "size", .kind = OPTION_SIZE, .offset = DISK(size), .argument = "SIZE", .minimum = 512,
	 .maximum = DISK_NULL_SIZE_MAX, .help = "The size of a disk of engine=null."},
	{0},
};

static const struct option_spec net_options[] = {
	{.name = "link", .kind = OPTION_CALL, .argument = "tap:NAME|user|socket:PATH|null",
	 .call = parse_link,
	 .help = "What the NIC is connected to; pvkit-netd is started for it, and its manual tells more "
		 "of these. user needs no rights at all. With bus=pv and --attach it may be left out: then "
		 "somebody else starts the back-end."},
	{.name = "vhost-user", .kind = OPTION_STRING, .offset = NET(vhost_user), .argument = "SOCKET",
	 .minimum = 1, .help = "In place of link: the socket of a back-end that runs already."},
	{.name = "bus", .kind = OPTION_CHOICE, .offset = NET(bus), .choices = bus_names,
	 .help = "How the guest sees it. By default virtio in --mode hvm, and pv in the modes pv and xen."},
	{.name = "mac", .kind = OPTION_CALL, .argument = "ADDRESS", .call = parse_mac,
	 .help = "The guest's Ethernet address. By default one is made of the names of the host and of "
		 "the link, the same each time; with link=socket: a random one."},
	{.name = "queue-pairs", .kind = OPTION_NUMBER, .offset = NET(queue_pairs), .argument = "N",
	 .minimum = 1, .maximum = VM_CPUS_MAX, .help = "Pairs of queues. The default is 1."},
	{.name = "queue-size", .kind = OPTION_NUMBER, .offset = NET(queue_size), .argument = "N",
	 .minimum = 4, .maximum = VIRTQUEUE_SIZE_MAX,
	 .help = "Descriptors of a queue, a power of two. The default is 256."},
	{.name = "mtu", .kind = OPTION_NUMBER, .offset = NET(mtu), .argument = "BYTES", .minimum = 68,
	 .maximum = 65521,
	 .help = "The MTU that the guest is told, and that the tap is given if we may. By default a guest "
		 "is told the link's own on virtio, and none on PV."},
	{.name = "rate", .kind = OPTION_CALL, .argument = "N[KMG]b/s[@INTERVAL]", .call = parse_rate,
	 .help = "With bus=pv: how much the guest may send, over all queues: 100Mb/s, 12MB/s@20ms. In the "
		 "interval, by default 50ms, it may send at any pace. xenstore-write changes it later: the "
		 "key rate, BYTES,MICROSECONDS, of the device's back-end directory. By default there is no "
		 "limit."},
	{.name = "packed", .kind = OPTION_FLAG, .offset = NET(packed),
	 .help = "Offer packed rings to the guest. By default only split ones."},
	{0},
};

static const struct option_spec shim_options[] = {
	{.name = "machine", .kind = OPTION_HEADING, .help = "The machine"},
	{.name = "memory", .kind = OPTION_SIZE, .offset = FIELD(memory), .argument = "SIZE",
	 .minimum = VM_MEMORY_MIN, .maximum = VM_MEMORY_MAX,
	 .help = "The guest's memory, with suffix M or G, a multiple of 1M. The default is 512M."},
	{.name = "cpus", .kind = OPTION_NUMBER, .offset = FIELD(cpus), .argument = "N", .minimum = 1,
	 .maximum = VM_CPUS_MAX, .help = "How many vCPUs. The default is 1."},
	{.name = "prealloc", .kind = OPTION_FLAG, .offset = FIELD(prealloc),
	 .help = "Take all of the guest's memory from the host at the start, in huge pages where it has "
		 "them: starts later, runs faster. By default memory is taken as the guest touches it."},
	{.name = "mode", .kind = OPTION_CHOICE, .offset = FIELD(mode), .choices = mode_names,
	 .help = "Which devices the guest gets where --disk and --net do not say it by bus=. hvm (the "
		 "default): virtio devices, which stock kernels know. pv: paravirtual ones, for guests "
		 "that load the pvkit modules. xen: the same by Xen's own interface, for stock kernels "
		 "with its drivers (xen-blkfront, xen-netfront), on a host kernel with CONFIG_KVM_XEN."},

	{.name = "kernel", .kind = OPTION_HEADING, .help = "What it boots"},
	{.name = "kernel", .kind = OPTION_STRING, .offset = FIELD(kernel), .argument = "FILE",
	 .minimum = 1, .required = true,
	 .help = "A Linux bzImage (vmlinuz), or an ELF file with a PVH entry (vmlinux). Which it is, is "
		 "found out."},
	{.name = "boot", .kind = OPTION_CHOICE, .offset = FIELD(boot), .choices = boot_names,
	 .help = "How the kernel is entered. auto (the default): a bzImage by the 64-bit boot protocol of "
		 "Linux, an ELF file by PVH. pvh: by PVH, a bzImage too, whose ELF file is unpacked first "
		 "(from gzip, xz or zstd), as Debian's can be."},
	{.name = "initrd", .kind = OPTION_STRING, .offset = FIELD(initrd), .argument = "FILE",
	 .minimum = 1, .help = "The initial RAM disk."},
	{.name = "append", .kind = OPTION_STRING, .offset = FIELD(append), .argument = "TEXT",
	 .help = "The kernel's command line. The default is " DEFAULT_COMMAND "."},

	{.name = "devices", .kind = OPTION_HEADING, .help = "Its devices"},
	{.name = "disk", .kind = OPTION_LIST, .offset = FIELD(disks), .argument = "KEY=VALUE,...",
	 .list = disk_options, .list_size = sizeof(struct shim_disk),
	 .count_offset = FIELD(disks_count), .list_max = CONFIG_DEVICES_MAX,
	 .help = "A disk; repeat it for more. Alone, IMAGE stands for path=IMAGE. Keys:"},
	{.name = "net", .kind = OPTION_LIST, .offset = FIELD(nets), .argument = "KEY=VALUE,...",
	 .list = net_options, .list_size = sizeof(struct shim_net),
	 .count_offset = FIELD(nets_count), .list_max = CONFIG_DEVICES_MAX,
	 .help = "A network interface; repeat it for more. Alone, LINK stands for link=LINK. Keys:"},
	{.name = "attach", .kind = OPTION_STRING, .offset = FIELD(attach), .argument = "PATH",
	 .minimum = 1,
	 .help = "Listen at PATH for back-ends of paravirtual devices that the shim does not start "
		 "itself, and for those that come back: pvkit-blkd --attach PATH --device vbd/51712. Who "
		 "may connect may read and write all of the guest's memory. Needs a device with bus=pv, or "
		 "another mode than hvm."},
	{.name = "store-socket", .kind = OPTION_STRING, .offset = FIELD(store_socket),
	 .argument = "PATH", .minimum = 1,
	 .help = "Listen at PATH for tools that look into the guest's store, as xenstore-ls does. Needs what "
		 "--attach needs."},
	{.name = "console", .kind = OPTION_CALL, .argument = "stdio|file:PATH|none",
	 .call = parse_console,
	 .help = "Where the serial port ttyS0 leads. stdio (the default): on a terminal, Ctrl-A x ends "
		 "the guest, Ctrl-A b sends a break (SysRq), Ctrl-A a a Ctrl-A. file:PATH: output only, "
		 "the file is made anew."},

	{.name = "other", .kind = OPTION_HEADING, .help = "Other"},
	{.name = "on-reboot", .kind = OPTION_CHOICE, .offset = FIELD(on_reboot), .choices = reboot_names,
	 .help = "What a reset by the guest does: restart (the default) boots the kernel again in the "
		 "same machine, exit ends with a status of its own."},
	{.name = "verbose", .kind = OPTION_FLAG, .offset = FIELD(verbose),
	 .help = "Say more on standard error."},
	{0},
};
static const struct program_spec shim_program = {
	.name = "pvkit-shim",
	.summary = "boot a Linux kernel as a guest of KVM",
	.usage = "--kernel FILE [OPTION...]",
	.description =
		"pvkit-shim makes a virtual machine by KVM and boots a Linux kernel in it, directly: "
		"there is no firmware, no disk image with a boot loader, and no emulated device but a "
		"serial port. Disks and network interfaces are PCI devices whose back-ends are other "
		"processes, which map the guest's memory and serve its rings: pvkit-blkd and "
		"pvkit-netd, which pvkit-shim starts by itself and ends with itself, or any other "
		"vhost-user back-end.\n"
		"\n"
		"A stock distribution kernel needs no special command line: it finds its CPUs, "
		"devices, power-off and reset by ACPI, and its time by kvmclock.\n"
		"\n"
		"In the lists of --disk and --net a comma inside a value is written twice: "
		"--net link=user,,hostfwd=tcp::2222-:22.\n"
		"\n"
		"SIGTERM, SIGINT and SIGHUP end the guest at once.",
	.examples =
		"  pvkit-shim --kernel /boot/vmlinuz --initrd /boot/initrd.img --memory 2G \\\n"
		"      --cpus 2 --append 'console=ttyS0 root=/dev/vda1' --disk disk.img --net user\n"
		"  pvkit-shim --kernel vmlinux --initrd initrd --console file:guest.log \\\n"
		"      --disk path=disk.img,cache=direct,num-queues=4 \\\n"
		"      --disk vhost-user=/tmp/other.sock",
	.exit_status =
		"0\tthe guest switched itself off\n"
		"1\tthe guest could not be started, or KVM could not go on with it; a line on standard "
		"error says why\n"
		"2\tbad command line\n"
		"3\tthe guest asked for a reset, under --on-reboot exit\n"
		"4\tthe guest's kernel panicked, and told so by pvpanic\n"
		"5\tended at the terminal, by Ctrl-A x\n"
		"128+N\tended by signal N",
	.options = shim_options,
};
/* clang-format on */

static void refuse(const char *what, const char *why)
{
	log_error("%s: %s; see pvkit-shim --help", what, why);
	exit(EXIT_USAGE);
}

static unsigned int choose_bus(unsigned int bus, unsigned int mode)
{
	if (bus != BUS_DEFAULT)
		return bus;
	return mode == MODE_HVM ? BUS_VIRTIO : BUS_PV;
}

/* What belongs to virtio only. */
static void check_bus(const char *what, unsigned int bus, const char *vhost_user, bool packed,
		      uint64_t queue_size)
{
	if (bus == BUS_PV && vhost_user)
		refuse(what, "a back-end behind vhost-user= serves virtio: use bus=virtio, or --attach");
	if (bus == BUS_PV && (packed || queue_size))
		refuse(what, "packed and queue-size are of virtio's rings: use bus=virtio, or leave "
			     "them out");
}

static void check_queue_size(const char *what, uint64_t size)
{
	char reason[64];

	if (!(size & (size - 1)))
		return;
	snprintf(reason, sizeof(reason), "queue-size: '%llu' is no power of two",
		 (unsigned long long)size);
	refuse(what, reason);
}

static void check_disk(struct shim_disk *disk, unsigned int number,
		       const struct shim_config *config)
{
	bool null = !strcmp(engine_names[disk->engine_choice], "null");
	bool others = config->attach && !disk->path && !null;
	char what[32], reason[160];

	snprintf(what, sizeof(what), "--disk (number %u)", number);
	disk->bus = choose_bus(disk->bus, config->mode);
	check_bus(what, disk->bus, disk->vhost_user, disk->packed, disk->queue_size);
	check_queue_size(what, disk->queue_size);
	if (!!disk->path + !!disk->vhost_user + null != 1 && !(disk->bus == BUS_PV && others))
		refuse(what, disk->bus == BUS_PV ?
				     "expected one of path= and engine=null, or --attach=PATH "
				     "for a back-end that you start yourself" :
				     "expected one of path=, vhost-user= and engine=null");
	if (null != !!disk->size)
		refuse(what, "size= and engine=null belong together");
	if (disk_check_null_size(disk->size, 512, reason, sizeof(reason)) < 0)
		refuse(what, reason);
	if (disk->vhost_user &&
	    (disk->engine_choice || disk->cache_choice || disk->serial || disk->read_only))
		refuse(what, "engine, cache, serial and readonly are up to the back-end behind "
			     "vhost-user=");
	disk->engine = disk->engine_choice ? engine_names[disk->engine_choice] : NULL;
	disk->cache = disk->cache_choice ? cache_names[disk->cache_choice] : NULL;
}

static void check_net(struct shim_net *net, unsigned int number, const struct shim_config *config)
{
	char what[32], reason[160];

	snprintf(what, sizeof(what), "--net (number %u)", number);
	net->bus = choose_bus(net->bus, config->mode);
	check_bus(what, net->bus, net->vhost_user, net->packed, net->queue_size);
	check_queue_size(what, net->queue_size);
	if (!!net->link + !!net->vhost_user != 1 && !(net->bus == BUS_PV && config->attach))
		refuse(what, net->bus == BUS_PV ?
				     "expected link=, or --attach=PATH for a back-end that you "
				     "start yourself" :
				     "expected one of link= and vhost-user=");
	if (net->link && link_check(&net->link_options, net->queue_pairs, net->mtu, reason,
				    sizeof(reason)) < 0)
		refuse(what, reason);
	if (net->rate_us && net->bus != BUS_PV)
		refuse(what, "rate= limits paravirtual devices only; add bus=pv, or limit the tap "
			     "with tc");
}

static void check_memory(uint64_t memory)
{
	char reason[64];

	if (!(memory % MIB))
		return;
	snprintf(reason, sizeof(reason), "'%llu' bytes are no multiple of 1M",
		 (unsigned long long)memory);
	refuse("--memory", reason);
}

static void check(struct shim_config *config)
{
	check_memory(config->memory);
	if (config->disks_count + config->nets_count > CONFIG_DEVICES_MAX)
		refuse("--disk and --net", "together they are more than 24 devices");
	config->pv = config->mode != MODE_HVM;
	for (unsigned int i = 0; i < config->disks_count; i++) {
		check_disk(&config->disks[i], i + 1, config);
		config->pv |= config->disks[i].bus == BUS_PV;
	}
	for (unsigned int i = 0; i < config->nets_count; i++) {
		check_net(&config->nets[i], i + 1, config);
		config->pv |= config->nets[i].bus == BUS_PV;
	}
	if (!config->pv && (config->attach || config->store_socket))
		refuse(config->attach ? "--attach" : "--store-socket",
		       "the guest has no paravirtual device; add bus=pv to a --disk or --net, or "
		       "--mode pv");
}

void config_parse(struct shim_config *config, int argc, char **argv)
{
	*config = (struct shim_config){
		.append = DEFAULT_COMMAND,
		.console = "stdio",
		.memory = DEFAULT_MEMORY,
		.cpus = 1,
	};
	option_parse(&shim_program, argc, argv, config);
	log_open(shim_program.name, config->verbose);
	check(config);
}
