// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * pvkit-blkd: serves one raw image or block device as a virtio disk over vhost-user, or as a Xen disk
 * to a guest that it attaches to.
 *
 * The order in main() is the order in which things can go wrong for the user: the command line, the
 * image and its lock, the engine, then the socket. Nothing listens before all the rest is good.
 */
#include <string.h>
#include <unistd.h>

#include "backend/blk/blkif.h"
#include "backend/blk/virtio_blk.h"
#include "backend/control.h"
#include "backend/daemon.h"
#include "common/disk.h"
#include "common/log.h"
#include "ring/virtqueue.h"

#define QUEUES_MAX 64

struct config {
	struct daemon_config daemon; /* first */
	const char *blk_file, *serial;
	uint64_t null_size, queues, queue_size;
	unsigned int engine, cache, block_size;
	bool read_only, register_memory;
};

static const char *const engine_names[] = {
	[STORE_IO_URING] = "io_uring",
	[STORE_LIBAIO] = "libaio",
	[STORE_THREADS] = "threads",
	[STORE_NULL] = "null",
	NULL,
};

static const char *const cache_names[] = {
	[STORE_CACHE_WRITEBACK] = "writeback",
	[STORE_CACHE_DIRECT] = "direct",
	NULL,
};

static const char *const block_size_names[] = {"auto", "512", "4096", NULL};
static const uint32_t block_sizes[] = {0, 512, 4096};

static int parse_serial(void *context, const char *value, char *reason, size_t reason_size)
{
	struct config *config = context;

	return disk_parse_serial(&config->serial, value, reason, reason_size);
}

#define FIELD(name) offsetof(struct config, name)

/* clang-format off */
static const struct option_spec blkd_options[] = {
	DAEMON_CONNECTION_OPTIONS("vbd/51712 is the first paravirtual disk, vbd/51728 the second"),

	{.name = "disk", .kind = OPTION_HEADING, .help = "The disk"},
	{.name = "blk-file", .kind = OPTION_STRING, .offset = FIELD(blk_file), .argument = "PATH",
	 .minimum = 1,
	 .help = "The image: a raw file or a block device. Its format is never guessed from what it "
		 "contains. It is locked while it is served; a block device that the host itself uses "
		 "(mounted, swap, array) is served with --read-only only."},
	{.name = "read-only", .kind = OPTION_FLAG, .offset = FIELD(read_only),
	 .help = "Open the image for reading only, and tell the guest so. Several readers may share "
		 "an image."},
	{.name = "serial", .kind = OPTION_CALL, .call = parse_serial, .argument = "TEXT",
	 .help = "The serial number that the guest sees, by virtio or Xen's rings: up to 20 printable "
		 "characters, no blanks and no slashes. By default it is made from the image's inode "
		 "number."},
	{.name = "logical-block-size", .kind = OPTION_CHOICE, .offset = FIELD(block_size),
	 .choices = block_size_names,
	 .help = "The smallest unit that the guest may read or write, in bytes. The image's size must "
		 "be a multiple of it. By default (auto) what the image asks for, mostly 512."},
	{.name = "cache", .kind = OPTION_CHOICE, .offset = FIELD(cache), .choices = cache_names,
	 .help = "writeback (the default) goes through the host's page cache; direct goes around it "
		 "(O_DIRECT). With both, what the guest has flushed is on stable storage."},

	{.name = "performance", .kind = OPTION_HEADING, .help = "Performance"},
	{.name = "engine", .kind = OPTION_CHOICE, .offset = FIELD(engine), .choices = engine_names,
	 .help = "How the image is accessed: io_uring (the default), libaio, helper threads, or null, "
		 "which moves no data and needs --null-size in place of --blk-file. Where the kernel "
		 "does not allow the wanted one, the next best serves, and a message says so."},
	{.name = "num-queues", .kind = OPTION_NUMBER, .offset = FIELD(queues), .argument = "N",
	 .minimum = 1, .maximum = QUEUES_MAX,
	 .help = "Request queues that a front-end may use; each that it does use has a thread. By "
		 "default one for each CPU of the host."},
	{.name = "queue-size", .kind = OPTION_NUMBER, .offset = FIELD(queue_size), .argument = "N",
	 .minimum = 4, .maximum = VIRTQUEUE_SIZE_MAX,
	 .help = "The largest virtio ring that is served, in descriptors. The default is 1024."},
	DAEMON_POLL_OPTION("queue"),
	{.name = "register-memory", .kind = OPTION_FLAG, .offset = FIELD(register_memory),
	 .help = "Register guest memory with io_uring. That pins all of it: not for guests that give "
		 "memory back (balloon, virtio-mem)."},
	{.name = "null-size", .kind = OPTION_SIZE, .offset = FIELD(null_size), .argument = "SIZE",
	 .minimum = 512, .maximum = DISK_NULL_SIZE_MAX,
	 .help = "The size of the null engine's disk, with suffix K, M, G or T."},

	DAEMON_OTHER_OPTIONS,
	{0},
};

static const struct program_spec blkd_program = {
	.name = "pvkit-blkd",
	.summary = "serve a disk image to a virtual machine, as virtio or as Xen's block device",
	.usage = "--socket-path PATH --blk-file IMAGE [OPTION...]\n"
		 "--attach PATH --device vbd/ID --blk-file IMAGE [OPTION...]",
	.description =
		"pvkit-blkd serves one raw image or block device as a virtio disk to any vhost-user "
		"front-end: pvkit-shim, QEMU, user-mode Linux. Requests go straight from the guest's "
		"memory to the image; each queue has a thread and an I/O engine of its own.\n"
		"\n"
		"With --attach or --attach-fd it serves the image as a Xen block device (blkif) to a "
		"guest of pvkit-shim in PV mode, from the same threads and engines.\n"
		"\n"
		"SIGHUP makes it look at the image's size again; when the image grew, the guest is told "
		"of its new capacity. SIGTERM and SIGINT end it once all requests in flight are "
		"answered.\n"
		"\n"
		"An error of the image fails the guest's request, is counted, and is reported: each of "
		"the first five, then in one line at most a second. A guest that breaks "
		"the protocol of a queue loses that queue.",
	.examples =
		"  truncate -s 8G disk.img\n"
		"  pvkit-blkd --socket-path /tmp/disk.sock --blk-file disk.img --cache direct &\n"
		"  qemu-system-x86_64 -m 1G -object memory-backend-memfd,id=m,size=1G,share=on \\\n"
		"      -machine memory-backend=m -chardev socket,id=c,path=/tmp/disk.sock \\\n"
		"      -device vhost-user-blk-pci,chardev=c ...\n"
		"  truncate -s 16G disk.img && kill -HUP %1    # the guest's disk grows",
	.exit_status = "0\tended by a signal; or the socket given by --fd, or the guest that it is "
		       "attached to, was closed in order; or the guest's device was unplugged\n"
		       "1\tthe image, the engine, the socket or the guest could not be used, or the connection "
		       "of --fd or to the guest broke; a line on standard error says which\n"
		       "2\tbad command line",
	.options = blkd_options,
};
/* clang-format on */

static void check_null_size(const struct config *config)
{
	char text[160] = "--null-";

	if (disk_check_null_size(config->null_size, block_sizes[config->block_size] ?: 512,
				 text + strlen(text), sizeof(text) - strlen(text)) < 0)
		daemon_usage_error(&blkd_program, text);
}

static void check_options(const void *context)
{
	const struct config *config = context;

	daemon_check_device(&blkd_program, &config->daemon, "vbd");
	if (config->engine == STORE_NULL) {
		if (config->blk_file)
			daemon_usage_error(&blkd_program,
					   "--engine=null has no image: leave out --blk-file");
		if (!config->null_size)
			daemon_usage_error(&blkd_program, "--engine=null needs --null-size");
		check_null_size(config);
	} else if (!config->blk_file) {
		daemon_usage_error(&blkd_program, "--blk-file is needed");
	} else if (config->null_size) {
		daemon_usage_error(&blkd_program, "--null-size is for --engine=null only");
	}
}

static void set_defaults(struct config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*config = (struct config){
		.daemon = DAEMON_DEFAULTS,
		.queues = cpus < 1            ? 1
			  : cpus > QUEUES_MAX ? QUEUES_MAX
					      : cpus,
		.queue_size = VIRTQUEUE_SIZE_MAX,
	};
}

static struct store_image *open_image(const struct config *config)
{
	struct store_image_options options = {
		.path = config->blk_file,
		.null_size = config->null_size,
		.read_only = config->read_only,
		.cache = config->cache,
		.block_size = block_sizes[config->block_size],
	};

	return store_image_open(&options);
}

/* What either kind of device needs; false after a line. */
static bool open_engine(const struct config *config, struct blk_options *options)
{
	options->engine = store_engine_choose(config->engine, config->cache);
	if (!options->engine)
		return false;
	options->stats = stats_open("pvkit-blkd", STATS_DEVICE_BLK, options->image->name,
				    config->queues);
	return true;
}

static int no_device(const struct blk_options *options)
{
	log_errno("%s: no memory for the device; use fewer --num-queues", options->image->name);
	return 1;
}

static void on_hangup_virtio(void *context)
{
	virtio_blk_resize(context);
}

static int serve_virtio(const struct config *config, const struct blk_options *options)
{
	struct virtio_blk *blk = virtio_blk_open(options);
	int status;

	if (!blk)
		return no_device(options);
	control_on_hangup(on_hangup_virtio, blk);
	status = daemon_serve(&config->daemon, virtio_blk_device(blk));
	virtio_blk_close(blk);
	return status;
}

static void on_hangup_xen(void *context)
{
	blkif_resize(context);
}

static int serve_xen(const struct config *config, const struct blk_options *options)
{
	struct blkif *blkif = blkif_open(options);
	int status;

	if (!blkif)
		return no_device(options);
	control_on_hangup(on_hangup_xen, blkif);
	status = daemon_serve_xen(&config->daemon, blkif_device(blkif));
	blkif_close(blkif);
	return status;
}

int main(int argc, char **argv)
{
	struct blk_options options;
	struct config config;
	int status = 1;

	set_defaults(&config);
	daemon_begin(&blkd_program, argc, argv, &config,
		     "{\"type\":\"block\",\"features\":[\"read-only\",\"blk-file\"]}",
		     check_options);
	options = (struct blk_options){
		.image = open_image(&config),
		.queues = config.queues,
		.queue_size = config.queue_size,
		.serial = config.serial,
		.poll_us = config.daemon.poll_us,
		.register_memory = config.register_memory,
	};
	if (options.image && open_engine(&config, &options))
		status = daemon_attaches(&config.daemon) ? serve_xen(&config, &options)
							 : serve_virtio(&config, &options);
	if (options.stats)
		stats_close(options.stats);
	store_image_close(options.image);
	control_close();
	return status;
}
