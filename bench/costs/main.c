// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What it costs to leave a guest and to enter it, by each way that pvkit uses: guests of a few
 * instructions (guest.h) under the shim's own code, on this machine's /dev/kvm.
 *
 *	costs [--json] [--quick]
 *
 * A row is a loop in the guest, timed here; what the marks at its ends cost is taken off.
 * Interrupts are timed one by one, from the write of the eventfd to the answer of the guest.
 *
 * One guest a process, so each entrance has a process of its own.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/kvm.h>

#include "bench/costs/guest.h"
#include "bench/costs/result.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/pv/platform.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/start.h"
#include "hypervisor-shim/pv/xen.h"

#define OWNER         1 /* the number of a back-end, which is us */
#define SAMPLE_NS     4000000 /* long beside a mark, short beside a time slice */
#define ROUNDS_MAX    (1U << 24)
#define WAIT_MS       60000
#define HALT_PAUSE_NS 1000000 /* after this a guest that halts does; KVM polls for 0.2 ms first */

static struct {
	bool json, quick;
} options;

struct entrance {
	const char *name;
	bool xen;
	const uint8_t *code, *end;
	const char *title[ROWS]; /* NULL: this guest has no such row */
	const char *interrupt[3];
};

static const struct entrance entrances[] = {
	{
		.name = "pvkit",
		.code = pvkit_guest,
		.end = pvkit_guest_end,
		.title =
			{
				[ROW_LOOP] = "the loop around what follows: two instructions",
				[ROW_CPUID] = "CPUID, answered by KVM",
				[ROW_PIC] = "port input, answered by KVM",
				[ROW_PORT] = "port output that the shim drops",
				[ROW_MEMORY] = "device memory write that the shim drops",
				[ROW_HYPERCALL] = "hypercall SEND, in the shim",
				[ROW_NOTIFY] = "doorbell: ioeventfd",
				[ROW_KICK] = "virtio's kick: ioeventfd",
			},
		.interrupt =
			{
				"MSI-X, guest spins, answer in memory",
				"MSI-X, guest halted, answer in memory",
				"MSI-X, guest halted, doorbell back to a sleeper",
			},
	},
	{
		.name = "xen",
		.xen = true,
		.code = xen_guest,
		.end = xen_guest_end,
		.title =
			{
				[ROW_LOOP] = "the loop around what follows: two instructions",
				[ROW_CPUID] = "CPUID, answered by KVM",
				[ROW_PIC] = "port input, answered by KVM",
				[ROW_PORT] = "port output that the shim drops",
				[ROW_HYPERCALL] = "hypercall SEND, in the shim",
				[ROW_NOTIFY] = "hypercall SEND, in KVM, to an eventfd",
			},
		.interrupt =
			{
				"upcall, guest spins, answer in memory",
				"upcall, guest halted, answer in memory",
				"upcall, guest halted, SEND back to a sleeper",
			},
	},
};

/* Written by the vCPU's thread until the guest is idle, read by the main thread from then on. */
static struct {
	const struct entrance *entrance;
	struct pci_device device;
	int kick; /* the device's */
	int idle; /* an eventfd: the guest has done all rows */
	int from_guest, to_guest; /* the bound port's */
	struct result rows[ROWS];
	struct result *row;
	uint64_t since;
	double mark; /* of what a sample costs without rounds */
	bool calibrating;
} run = {.kick = -1, .idle = -1};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- rows, in the vCPU's thread ---------------------------------------------------------------- */

static unsigned int samples_wanted(void)
{
	return options.quick ? 15 : 101;
}

/* The first samples of the loop's row have one round, and say what a mark costs. */
static void begin_row(uint32_t number)
{
	run.row = number < ROWS && run.entrance->title[number] ? &run.rows[number] : NULL;
	if (!run.row)
		return;
	run.row->title = run.entrance->title[number];
	run.row->rounds = 0;
	run.row->count = 0;
	run.since = 0;
	run.calibrating = number == ROW_LOOP;
}

static void keep(uint64_t elapsed)
{
	struct result *row = run.row;

	row->sample[row->count++] = ((double)elapsed - run.mark) / row->rounds;
}

/* How many rounds come next; 0: enough. Rounds are doubled until they are long enough for the clock. */
static uint32_t next_sample(uint64_t elapsed)
{
	struct result *row = run.row;

	if (!row)
		return 0;
	if (!run.since) {
		row->rounds = 1;
	} else if (run.calibrating) {
		row->sample[row->count++] = (double)elapsed;
		if (row->count == samples_wanted()) {
			run.mark = result_median(row);
			run.calibrating = false;
			row->count = 0;
		}
	} else if (elapsed < SAMPLE_NS / 2 && row->rounds < ROUNDS_MAX) {
		/* What came before was long for another reason, such as a neighbour. */
		row->rounds *= 2;
		row->count = 0;
	} else {
		keep(elapsed);
	}
	return row->count < samples_wanted() ? row->rounds : 0;
}

static void ports_read(uint16_t port, void *data, unsigned int size)
{
	uint64_t at = now();
	uint32_t rounds = port == GUEST_PORTS + GUEST_SAMPLE ? next_sample(at - run.since) : 0;

	memset(data, 0, size);
	memcpy(data, &rounds, size < sizeof(rounds) ? size : sizeof(rounds));
	run.since = now();
}

/* As attach.h has it for a back-end in another process. */
static void bind_port(uint32_t port)
{
	int result;

	pthread_mutex_lock(&pv.lock);
	result = event_channel_bind_backend(&pv.channels, OWNER, port);
	if (!result) {
		run.from_guest = pv.channels.port[port].from_guest;
		run.to_guest = pv.channels.port[port].to_guest;
	}
	pthread_mutex_unlock(&pv.lock);
	if (result < 0)
		die("port %u cannot be bound: %s", port, strerror(-result));
	if (run.device.bar[0].mapped)
		PAYLOAD_CHECK(vm_ioeventfd(run.device.bar[0].address + GUEST_KICK, 0, run.kick,
					   true) == 0);
}

static void ports_write(uint16_t port, const void *data, unsigned int size)
{
	const uint64_t one = 1;
	uint32_t value = 0;

	memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
	switch (port - GUEST_PORTS) {
	case GUEST_READY:
		bind_port(value);
		break;
	case GUEST_ROW:
		begin_row(value);
		break;
	case GUEST_IDLE:
		(void)!write(run.idle, &one, sizeof(one));
		break;
	}
}

static const struct port_range ports = {
	.name = "costs",
	.first = GUEST_PORTS,
	.count = 16,
	.read = ports_read,
	.write = ports_write,
};

/* ---- interrupts, in the main thread ------------------------------------------------------------ */

static void set_mode(uint32_t mode)
{
	uint32_t *place = guest_memory_at(vm_memory(), GUEST_MODE, sizeof(*place));

	__atomic_store_n(place, mode, __ATOMIC_SEQ_CST);
}

static uint64_t answers(void)
{
	const uint64_t *place = guest_memory_at(vm_memory(), GUEST_ANSWERS, sizeof(*place));

	return __atomic_load_n(place, __ATOMIC_SEQ_CST);
}

static void die_of_silence(const char *of)
{
	die("the guest of the entrance %s does not answer: %s", run.entrance->name, of);
}

static void interrupt(void)
{
	const uint64_t one = 1;

	if (write(run.to_guest, &one, sizeof(one)) != sizeof(one))
		die_errno("eventfd of the bound port");
}

static void await_count(uint64_t count)
{
	uint64_t deadline = now() + WAIT_MS * 1000000ULL;

	while (answers() < count) {
		if (now() > deadline)
			die_of_silence("an interrupt");
	}
}

static void await_notification(void)
{
	struct pollfd event = {.fd = run.from_guest, .events = POLLIN};
	uint64_t count;

	if (poll(&event, 1, WAIT_MS) != 1)
		die_of_silence("an interrupt");
	(void)!read(run.from_guest, &count, sizeof(count));
}

static void pause_ns(long ns)
{
	struct timespec time = {.tv_nsec = ns};

	nanosleep(&time, NULL);
}

/* The first is there to see the mode. */
static void measure_interrupt(struct result *result, uint32_t mode)
{
	unsigned int wanted = 1 + (options.quick ? 100 : 1000);

	result->rounds = 1;
	result->count = 0;
	set_mode(mode);
	for (unsigned int i = 0; i < wanted; i++) {
		uint64_t before = answers(), at;

		if (mode & MODE_HALT)
			pause_ns(HALT_PAUSE_NS);
		at = now();
		interrupt();
		if (mode & MODE_NOTIFY)
			await_notification();
		else
			await_count(before + 1);
		if (i)
			result->sample[result->count++] = (double)(now() - at);
	}
}

static void end_guest(void)
{
	set_mode(MODE_END);
	interrupt();
	if (payload_wait() != MACHINE_POWER_OFF)
		die_of_silence("the end");
}

/* ---- a guest ----------------------------------------------------------------------------------- */

static void device_read(struct pci_device *device, int bar, uint64_t offset, void *data,
			unsigned int size)
{
	memset(data, 0, size);
}

static void device_write(struct pci_device *device, int bar, uint64_t offset, const void *data,
			 unsigned int size)
{
}

/* What a virtio device is to its driver's kick, and no more. */
static void plug_device(void)
{
	static const struct pci_device_ops ops = {
		.bar_read = device_read,
		.bar_write = device_write,
	};

	run.device.ops = &ops;
	run.device.name = "costs";
	pci_init(&run.device, 0x1b36, 0x00ff, 0xff0000, 0, 0, 0);
	pci_declare_bar(&run.device, 0, 0x1000, false, false);
	PAYLOAD_CHECK(pci_add(&run.device) == 0);
	run.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	PAYLOAD_CHECK(run.kick >= 0);
}

static void boot(void)
{
	const struct pv_options pv_options = {.xen = run.entrance->xen};

	payload_bzimage(run.entrance->code, run.entrance->end);
	if (run.entrance->xen)
		xen_announce();
	else
		platform_announce();
	payload_boot(1, "");
	PAYLOAD_CHECK(pv_start(&pv_options) == 0);
	if (!run.entrance->xen)
		plug_device();
	PAYLOAD_CHECK(bus_add_ports(&ports) == 0);
	PAYLOAD_CHECK(console_start() == 0 && machine_start() == 0);
}

static void print(struct result *result)
{
	static bool any;

	if (options.json && any)
		printf(", ");
	any = true;
	result_print(result, run.entrance->name, options.json);
}

static void measure_interrupts(void)
{
	static const uint32_t modes[] = {0, MODE_HALT, MODE_HALT | MODE_NOTIFY};
	static const char *const names[] = {"spinning", "halted", "roundtrip"};
	static struct result result;

	for (unsigned int i = 0; i < 3; i++) {
		result.name = names[i];
		result.title = run.entrance->interrupt[i];
		measure_interrupt(&result, modes[i]);
		print(&result);
	}
}

static void measure(const struct entrance *entrance)
{
	static const char *const names[ROWS] = {"loop",   "cpuid",     "pic",    "port",
						"memory", "hypercall", "notify", "kick"};
	struct pollfd event = {.events = POLLIN};

	run.entrance = entrance;
	run.idle = event.fd = eventfd(0, EFD_CLOEXEC);
	boot();
	if (poll(&event, 1, WAIT_MS) != 1)
		die_of_silence(payload_end());
	for (unsigned int i = 0; i < ROWS; i++) {
		run.rows[i].name = names[i];
		if (run.rows[i].count)
			print(&run.rows[i]);
	}
	await_notification(); /* drains what the rows left */
	measure_interrupts();
	end_guest();
	pv_stop();
	payload_end();
}

/* ---- all of it --------------------------------------------------------------------------------- */

static bool kvm_has_xen(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), flags;

	if (fd < 0)
		die_errno("/dev/kvm");
	flags = ioctl(fd, KVM_CHECK_EXTENSION, (long)KVM_CAP_XEN_HVM);
	close(fd);
	return flags > 0 && flags & KVM_XEN_HVM_CONFIG_EVTCHN_SEND;
}

static void measure_in_child(const struct entrance *entrance)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die_errno("fork");
	if (!pid) {
		measure(entrance);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		die("the entrance %s could not be measured", entrance->name);
}

int main(int argc, char **argv)
{
	bool xen = false;

	log_open("costs", false);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			options.json = true;
		else if (!strcmp(argv[i], "--quick"))
			options.quick = true;
		else
			die("%s: not known; usage: costs [--json] [--quick]", argv[i]);
	}
	xen = kvm_has_xen();
	if (options.json)
		printf("{\"software\": %s, \"xen\": %s, \"rows\": [",
		       cpuid_host_virtualizes() ? "false" : "true", xen ? "true" : "false");
	measure_in_child(&entrances[0]);
	if (xen && options.json)
		printf(", ");
	if (xen)
		measure_in_child(&entrances[1]);
	else if (!options.json)
		printf("xen: this KVM has no CONFIG_KVM_XEN\n");
	if (options.json)
		printf("]}\n");
	return 0;
}
