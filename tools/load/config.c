// SPDX-License-Identifier: MIT OR GPL-2.0
#include "tools/load/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/blkif.h"
#include "abi/xen_ring.h"
#include "common/log.h"
#include "common/option.h"
#include "ring/virtqueue.h"
#include "tools/load/stamp.h"

#define XEN_DIRECT_BYTES_MAX (BLKIF_SEGMENTS_MAX * XEN_RING_PAGE_BYTES)

static const char *const devices[] = {"blk", "net-tx", "net-rx", NULL};
static const char *const patterns[] = {"random", "sequential", NULL};
static const char *const waits[] = {"poll", "sleep", NULL};
static const char *const rings[] = {"split", "packed", "xen", NULL};
static const char *const features[] = {"auto", "on", "off", NULL};

const char *load_device_name(unsigned int device)
{
	return devices[device];
}

const char *load_ring_name(unsigned int ring)
{
	return rings[ring];
}

static int parse_seconds(double *seconds, const char *value, char *reason, size_t size)
{
	return option_seconds(value, 0, 1e6, seconds, reason, size);
}

static int parse_runtime(void *config, const char *value, char *reason, size_t size)
{
	return parse_seconds(&((struct load_config *)config)->runtime, value, reason, size);
}

static int parse_ramp(void *config, const char *value, char *reason, size_t size)
{
	return parse_seconds(&((struct load_config *)config)->ramp, value, reason, size);
}

static int parse_linger(void *config, const char *value, char *reason, size_t size)
{
	return parse_seconds(&((struct load_config *)config)->linger, value, reason, size);
}

/* "0", "0,2", "1-3": queue i runs on the i-th of them, beginning anew where they end. */
static int parse_cpus(void *configuration, const char *value, char *reason, size_t size)
{
	struct load_config *config = configuration;
	const char *text = value;

	do {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text || *text < '0' || *text > '9')
			goto bad;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
			if (end == text)
				goto bad;
		}
		if (last < first || last >= 4096)
			goto bad;
		for (; first <= last; first++) {
			if (config->cpu_count == LOAD_QUEUES_MAX)
				goto bad;
			config->cpus[config->cpu_count++] = first;
		}
		if (*end && *end != ',')
			goto bad;
		text = end + 1;
	} while (text[-1]);
	return 0;
bad:
	snprintf(reason, size, "'%s' is no list of CPUs, expected such as 0,2-3", value);
	return -1;
}

#define FIELD(field) offsetof(struct load_config, field)

static const struct option_spec options[] = {
	{.name = "device", .kind = OPTION_HEADING, .help = "The device"},
	{.name = "socket",
	 .kind = OPTION_STRING,
	 .offset = FIELD(socket),
	 .argument = "PATH",
	 .minimum = 1,
	 .help = "The Unix socket at which a vhost-user back-end listens."},
	{.name = "attach",
	 .kind = OPTION_STRING,
	 .offset = FIELD(attach),
	 .argument = "PATH",
	 .minimum = 1,
	 .help = "For Xen's rings: listen at this Unix socket, as pvkit-shim does, until a "
		 "back-end "
		 "attaches: pvkit-blkd --attach=PATH --device=vbd/51712, or pvkit-netd "
		 "--attach=PATH --device=vif/0. It is served as a guest's device for one run, "
		 "and ends with it."},
	{.name = "device",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(device),
	 .choices = devices,
	 .help = "Requests to a disk (the default), frames sent to a network device, or frames "
		 "received from it."},
	{.name = "queues",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(queues),
	 .minimum = 1,
	 .maximum = LOAD_QUEUES_MAX,
	 .help = "Queues, or pairs of them for a network device, each with a thread of its own; 1 "
		 "by default."},
	{.name = "queue-size",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(queue_size),
	 .minimum = 2,
	 .maximum = VIRTQUEUE_SIZE_MAX,
	 .help = "Descriptors of a ring, a power of two; 256 by default. With Xen's rings: "
		 "requests "
		 "of it, 32 to 512; for a network device always 256."},
	{.name = "ring",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(ring),
	 .choices = rings,
	 .help = "The format of the ring. By --socket a virtqueue: split, the default, or packed; "
		 "by --attach xen."},
	{.name = "event-idx",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(event_idx),
	 .choices = features,
	 .help = "Suppress notifications by index. auto, the default: if the back-end offers it; "
		 "on: "
		 "or fail."},
	{.name = "indirect",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(indirect),
	 .choices = features,
	 .help = "Put each request into a table of its own, one slot of the ring; auto by "
		 "default, which with Xen's rings means requests of more than 11 pages."},
	{.name = "in-order",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(in_order),
	 .choices = features,
	 .help = "Have the back-end complete in order; off by default."},
	{.name = "persistent",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(persistent),
	 .choices = features,
	 .help = "With Xen's rings to a disk: grant each page once, for all requests; auto by "
		 "default. off: give it with each request and take it back after."},
	{.name = "load", .kind = OPTION_HEADING, .help = "The load"},
	{.name = "depth",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(depth),
	 .minimum = 1,
	 .maximum = VIRTQUEUE_SIZE_MAX,
	 .help = "Requests in flight, a queue; 32 by default."},
	{.name = "block-size",
	 .kind = OPTION_SIZE,
	 .offset = FIELD(block_size),
	 .minimum = 14,
	 .maximum = 16 << 20,
	 .help = "Bytes of a request, a multiple of 512, or of a frame; 4K by default, 64 for "
		 "frames."},
	{.name = "segments",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(segments),
	 .minimum = 1,
	 .maximum = LOAD_SEGMENTS_MAX,
	 .help = "Descriptors over which the data of a request is spread; 1 by default. With Xen's "
		 "rings it is always one a page."},
	{.name = "reads",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(reads),
	 .argument = "PERCENT",
	 .maximum = 100,
	 .help = "Reads among the requests, the rest are writes; 100 by default. Whatever is "
		 "written destroys what was there."},
	{.name = "pattern",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(pattern),
	 .choices = patterns,
	 .help = "Where the requests go; random by default. Each queue has its own part of the "
		 "disk."},
	{.name = "size",
	 .kind = OPTION_SIZE,
	 .offset = FIELD(size),
	 .minimum = 512,
	 .help = "Use only the first so many bytes of the disk; all by default."},
	{.name = "verify",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(verify),
	 .help = "Stamp all that is written with its place and a generation, check all that is "
		 "read "
		 "back, and read all of it once more at the end. Of frames: number and stamp what "
		 "is sent, check what is received of such."},
	{.name = "seed",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(seed),
	 .help = "Of the random numbers; 1 by default."},
	{.name = "run", .kind = OPTION_HEADING, .help = "The run"},
	{.name = "wait",
	 .kind = OPTION_CHOICE,
	 .offset = FIELD(wait),
	 .choices = waits,
	 .help = "How to wait for completions: look all the time (the default), or sleep until the "
		 "back-end interrupts, as a guest does."},
	{.name = "runtime",
	 .kind = OPTION_CALL,
	 .argument = "SECONDS",
	 .call = parse_runtime,
	 .help = "How long to measure; 5 by default. Not with --count."},
	{.name = "ramp",
	 .kind = OPTION_CALL,
	 .argument = "SECONDS",
	 .call = parse_ramp,
	 .help = "How long to run before measuring; 0 by default. Not with --count."},
	{.name = "count",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(count),
	 .minimum = 1,
	 .help = "Run for so many requests instead of a time."},
	{.name = "linger",
	 .kind = OPTION_CALL,
	 .argument = "SECONDS",
	 .call = parse_linger,
	 .help = "Stay connected without any load for so long afterwards. With --backend-pid that "
		 "shows what an idle device costs."},
	{.name = "timeout",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(timeout),
	 .argument = "SECONDS",
	 .minimum = 1,
	 .maximum = 86400,
	 .help = "Give up when no request has completed for so long; 30 by default."},
	{.name = "cpus",
	 .kind = OPTION_CALL,
	 .argument = "LIST",
	 .call = parse_cpus,
	 .help = "Pin the queues' threads, in turn, to these CPUs."},
	{.name = "backend-pid",
	 .kind = OPTION_NUMBER,
	 .offset = FIELD(backend_pid),
	 .argument = "PID",
	 .minimum = 1,
	 .maximum = 1 << 22, /* the kernel's own; beyond 2^28 a clock would be our own */
	 .help = "Measure the CPU time of this process too, all its threads, and say how many "
		 "requests it did for a second of it. By --attach that is whoever attached."},
	{.name = "json",
	 .kind = OPTION_FLAG,
	 .offset = FIELD(json),
	 .help = "Print the result as one JSON object."},
	{.name = NULL},
};

static const struct program_spec program = {
	.name = "pvkit-load",
	.summary = "load a back-end and measure it",
	.usage = "--socket=PATH|--attach=PATH [OPTION]...",
	.description =
		"pvkit-load is the front-end of a device without a guest behind it: it connects to "
		"any vhost-user back-end for virtio-blk or virtio-net (--socket), or plays shim "
		"and guest for a pvkit-blkd or pvkit-netd that attaches for Xen's blkif or netif "
		"(--attach), shares memory with it, and drives its rings from one thread a queue. "
		"It prints requests a second, bytes a second, and latencies from the moment before "
		"a request is put on its ring to the moment after it is taken off.\n"
		"\n"
		"With --wait=sleep it sleeps on the back-end's interrupt as a guest does, with "
		"--wait=poll it shows what the back-end itself can do. Pin it to other CPUs than "
		"the "
		"back-end.",
	.examples = "  pvkit-blkd --socket-path=/tmp/disk.sock --blk-file=disk.img &\n"
		    "  pvkit-load --socket=/tmp/disk.sock --depth=32 --reads=70 --verify\n"
		    "  pvkit-load --socket=/tmp/disk.sock --queues=2 --wait=sleep --json\n"
		    "  pvkit-load --attach=/tmp/xen.sock --depth=32 &\n"
		    "  pvkit-blkd --attach=/tmp/xen.sock --device=vbd/51712 --blk-file=disk.img",
	.exit_status =
		"0\tAll requests were completed, and checked where asked for.\n"
		"1\tNo connection, failed requests, wrong data, or requests that never came back.\n"
		"2\tThe command line is wrong.",
	.options = options,
};

static void __attribute__((noreturn, format(printf, 1, 2))) bad(const char *format, ...)
{
	char message[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_error("%s; see pvkit-load --help", message);
	exit(2);
}

static void check_blk(const struct load_config *config)
{
	if (config->block_size % 512)
		bad("--block-size: '%llu' is no multiple of 512",
		    (unsigned long long)config->block_size);
	if (config->block_size % config->segments)
		bad("--segments: %llu bytes do not divide into '%llu' pieces",
		    (unsigned long long)config->block_size, (unsigned long long)config->segments);
	if (config->size && config->size < config->block_size)
		bad("--size: '%llu' is less than one request", (unsigned long long)config->size);
}

static void check_net(const struct load_config *config)
{
	if (config->verify && config->block_size < STAMP_FRAME_LEAST)
		bad("--verify: a frame of %llu bytes has no room for a stamp, which needs %u",
		    (unsigned long long)config->block_size, STAMP_FRAME_LEAST);
	if (config->segments != 1)
		bad("--segments: a frame lies in one piece, use --device=blk");
	if (config->reads != 100 || config->size || config->pattern != LOAD_RANDOM)
		bad("--reads, --size and --pattern are of disks, use --device=blk");
	if (config->block_size > LOAD_FRAME_MAX)
		bad("--block-size: '%llu' is out of range for a frame, expected 14..%u",
		    (unsigned long long)config->block_size, LOAD_FRAME_MAX);
}

static void choose_ring(struct load_config *config)
{
	if (!config->socket == !config->attach)
		bad(config->socket ? "--socket and --attach exclude each other" :
				     "one of --socket and --attach is needed");
	config->path = config->attach ? config->attach : config->socket;
	if (config->ring == LOAD_RING_OF_CONNECTION)
		config->ring = config->attach ? LOAD_XEN : LOAD_SPLIT;
	if (config->ring == LOAD_XEN && !config->attach)
		bad("--ring: 'xen' is for back-ends that attach; use --attach=PATH in place of "
		    "--socket");
	if (config->ring != LOAD_XEN && config->attach)
		bad("--ring: '%s' is for vhost-user; use --socket=PATH in place of --attach",
		    load_ring_name(config->ring));
	if (config->ring != LOAD_XEN && config->persistent == LOAD_ON)
		bad("--persistent: virtqueues have no grants, use --attach");
}

static void check_xen(const struct load_config *config)
{
	if (config->event_idx == LOAD_OFF)
		bad("--event-idx: Xen's rings cannot do without it");
	if (config->in_order == LOAD_ON)
		bad("--in-order: Xen's rings know nothing such");
	if (config->segments != 1)
		bad("--segments: on Xen's rings the data is spread over pages, one a segment");
	if (config->device == LOAD_BLK) {
		if (config->queue_size < 32 || config->queue_size > 512)
			bad("--queue-size: '%llu' is out of range for a Xen ring, expected 32..512",
			    (unsigned long long)config->queue_size);
		if (config->indirect == LOAD_OFF && config->block_size > XEN_DIRECT_BYTES_MAX)
			bad("--indirect: without, a request has %u bytes at most",
			    XEN_DIRECT_BYTES_MAX);
		return;
	}
	if (config->queue_size != 256)
		bad("--queue-size: a Xen ring of a network device has 256 slots");
	if (config->persistent == LOAD_ON)
		bad("--persistent: netif has no persistent grants, use --device=blk");
}

/* By time, of which the beginning may not count, or by number. */
static void check_end(struct load_config *config)
{
	bool timed = config->runtime != LOAD_RUNTIME_DEFAULT;

	if (config->count && (timed || config->ramp > 0))
		bad("%s and --count exclude each other: a run ends by its time or by its number of "
		    "requests",
		    timed ? "--runtime" : "--ramp");
	if (!timed)
		config->runtime = 5;
	if (!(config->runtime > 0))
		bad("--runtime: '0' is out of range, expected more than 0 seconds");
}

void load_config_parse(struct load_config *config, int argc, char **argv)
{
	option_parse(&program, argc, argv, config);
	choose_ring(config);
	if (!config->block_size)
		config->block_size = config->device == LOAD_BLK ? 4096 : 64;
	if (config->device == LOAD_BLK)
		check_blk(config);
	else
		check_net(config);
	if (config->ring != LOAD_PACKED && (config->queue_size & (config->queue_size - 1)))
		bad("--queue-size: '%llu' is no power of two",
		    (unsigned long long)config->queue_size);
	if (config->depth > config->queue_size)
		bad("--depth: '%llu' is more than the %llu of --queue-size",
		    (unsigned long long)config->depth, (unsigned long long)config->queue_size);
	if (config->ring == LOAD_XEN)
		check_xen(config);
	check_end(config);
}
