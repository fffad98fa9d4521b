// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * PV mode on a real /dev/kvm, all of it, with guests of a few instructions: what CPUID says, calls,
 * doorbells and messages that never enter the shim, shared memory, a back-end; and a reset in between.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "abi/attach.h"
#include "abi/platform.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/platform.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/start.h"
#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/toolstack.h"
#include "tests/payload/payload.h"
#include "tests/payload/platform.h"

#define DEVICE    "vbd/51712"
#define REFERENCE 9

static int finish(void **state)
{
	pv_stop();
	payload_end();
	return 0;
}

static void boot_image(void)
{
	const struct pv_options options = {0};

	platform_announce();
	payload_boot(2, "");
	assert_int_equal(pv_start(&options), 0);
}

static void boot(const uint8_t *code, const uint8_t *end)
{
	payload_elf(code, end);
	boot_image();
}

static const char *end(void)
{
	pv_stop();
	return payload_end();
}

/* The leaves, and the signature as a program prints it. */
PAYLOAD(leaves, 64,
	"	mov $0x40000200, %eax\n"
	"	cpuid\n"
	"	mov %edx, %esi\n"
	"	mov %eax, %ebp\n"
	"	mov %ebx, %eax\n"
	"	mov $0x3f8, %edx\n"
	"	out %al, %dx\n"
	"	mov %ah, %al\n"
	"	out %al, %dx\n"
	"	cmp $0x40000202, %ebp\n"
	"	jne 8f\n"
	"	mov $0x40000201, %eax\n"
	"	cpuid\n"
	"	cmp $0x7076, %edx\n"
	"	jne 8f\n"
	"	cmp $1, %ecx\n"
	"	jne 8f\n"
	"	mov $0x40000202, %eax\n"
	"	cpuid\n"
	"	put_digit %eax\n"
	"8:	power_off\n");

static void cpuid_tells_of_it(void **state)
{
	payload_bzimage(leaves, leaves_end);
	boot_image();
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_string_equal(end(), "pv0");
}

/*
 * Before ACCEPT a call is -EPERM (1). Each boot binds an IPI, whose port is 2 since nothing is left
 * over; the first one then asks for a reboot, the second one for power-off, by the count in the
 * grant table's reserved entry, which the host keeps for the test.
 */
PAYLOAD(calls, 32,
	"	find_platform\n"
	"	movl $29, 0x200000\n"
	"	movl $64, 0x200004\n"
	"	mov $0x7076, %edx\n"
	"	mov $0x8000, %eax\n"
	"	out %eax, %dx\n"
	"	cmpl $-1, 0x200030\n"
	"	jne 8f\n"
	"	movl $0, 0x10(%edi)\n"
	"	movl $0, 0x14(%edi)\n"
	"	movl $0, 0x201000\n"
	"	hypercall 32, 7\n" /* BIND_IPI */
	"	put_digit 0x201004\n"
	"	incl 0xd4002000\n" /* a page of the shared memory that nobody uses */
	"	mov 0xd4002000, %eax\n"
	"	movl $1, 0x201000\n" /* reboot */
	"	cmp $1, %eax\n"
	"	je 1f\n"
	"	movl $0, 0x201000\n" /* power off */
	"1:	hypercall 29, 2\n"
	"	hlt\n"
	"8:	put_char '!'\n"
	"	hlt\n");

static void calls_and_a_reboot(void **state)
{
	boot(calls, calls_end);
	assert_int_equal(payload_run(), MACHINE_RESET);
	assert_int_equal(machine_restart(), 0);
	assert_int_equal(payload_wait(), MACHINE_POWER_OFF);
	assert_string_equal(end(), "22");
}

/*
 * An IDT at 0x50000 with gates 0x40 and 0x41, MSI-X vectors 2 and 3 with these. First an IPI to
 * itself, then a back-end: a grant, the port, and a doorbell that the back-end answers.
 */
PAYLOAD(events, 32,
	"	call 1f\n"
	"1:	pop %ebp\n"
	"	lea of_ipi - 1b(%ebp), %eax\n"
	"	mov %ax, 0x50200\n"
	"	movw $0x08, 0x50202\n"
	"	movw $0x8e00, 0x50204\n"
	"	shr $16, %eax\n"
	"	mov %ax, 0x50206\n"
	"	lea of_backend - 1b(%ebp), %eax\n"
	"	mov %ax, 0x50208\n"
	"	movw $0x08, 0x5020a\n"
	"	movw $0x8e00, 0x5020c\n"
	"	shr $16, %eax\n"
	"	mov %ax, 0x5020e\n"
	"	movl $0x0000ffff, 0x51008\n"
	"	movl $0x00cf9b00, 0x5100c\n"
	"	movl $0x0000ffff, 0x51010\n"
	"	movl $0x00cf9b00, 0x51014\n"
	"	movw $0x17, 0x51800\n"
	"	movl $0x51000, 0x51802\n"
	"	lgdt 0x51800\n"
	"	movw $0x7ff, 0x51810\n"
	"	movl $0x50000, 0x51812\n"
	"	lidt 0x51810\n"
	"	mov $0x80000, %esp\n"
	"	movl $0x1ff, 0xfee000f0\n" /* SPIV */
	"	find_platform\n"
	"	movl $0xfee00000, 0x1020(%edi)\n"
	"	movl $0, 0x1024(%edi)\n"
	"	movl $0x40, 0x1028(%edi)\n"
	"	movl $0, 0x102c(%edi)\n"
	"	movl $0xfee00000, 0x1030(%edi)\n"
	"	movl $0, 0x1034(%edi)\n"
	"	movl $0x41, 0x1038(%edi)\n"
	"	movl $0, 0x103c(%edi)\n"
	"	pci_write 0x40, 0x80000000\n" /* MSI-X on */
	"	movl $0, 0x10(%edi)\n"
	"	movl $0, 0x14(%edi)\n"
	"	call_shim 55, 0, 4\n" /* SET_VECTORS */
	"	movl $0, 0x201000\n"
	"	hypercall 32, 7\n" /* BIND_IPI */
	"	put_digit 0x201004\n"
	"	movl $0, 0xd0000008\n"
	"	sti\n"
	"2:	hlt\n"
	"	jmp 2b\n"
	"after_ipi:\n"
	"	movl $0x123, 0xd410004c\n" /* grant 9: frame, then flags and domain */
	"	movl $1, 0xd4100048\n"
	"	movl $0x00007ff0, 0x201000\n"
	"	hypercall 32, 6\n" /* ALLOC_UNBOUND */
	"	put_digit 0x201004\n"
	"	mov 0x201004, %ecx\n"
	"3:	movl $0x7ff0, 0x201000\n"
	"	mov %ecx, 0x201004\n"
	"	hypercall 32, 5\n" /* STATUS */
	"	cmpl $2, 0x201008\n"
	"	jne 3b\n"
	"	movl $0, 0xd000000c\n"
	"4:	sti\n"
	"	hlt\n"
	"	jmp 4b\n"
	"of_ipi:\n"
	"	put_char 'I'\n"
	"	movl $0, 0xfee000b0\n" /* EOI */
	"	mov $0x80000, %esp\n" /* KVM by software knows no IRET here */
	"	jmp after_ipi\n"
	"of_backend:\n"
	"	put_char 'B'\n"
	"	movl $0, 0xfee000b0\n"
	"	power_off\n"
	"8:	put_char '!'\n"
	"	hlt\n");

struct backend {
	int fd, channel[2];
	uint8_t *shared;
	struct attach_grant_table table;
	_Atomic bool bound;
	_Atomic uint32_t granted;
};

/* One message of the protocol: to @body and @fds what comes, for a test that has no doubts. */
static struct attach_header receive(struct backend *backend, void *body, size_t size, int *fds)
{
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct attach_header header;
	struct iovec pieces[] = {{&header, sizeof(header)}, {body, size}};
	struct msghdr head = {
		.msg_iov = pieces,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	if (recvmsg(backend->fd, &head, MSG_CMSG_CLOEXEC) < (ssize_t)sizeof(header))
		return (struct attach_header){.error = -1};
	c = CMSG_FIRSTHDR(&head);
	if (c)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return header;
}

static void request(struct backend *backend, uint16_t type, const void *body, uint32_t size)
{
	uint8_t packet[128];
	struct attach_header header = {.type = type, .size = size};

	memcpy(packet, &header, sizeof(header));
	memcpy(packet + sizeof(header), body, size);
	(void)!write(backend->fd, packet, sizeof(header) + size);
}

static void greet(struct backend *backend)
{
	struct attach_hello hello = {.magic = ATTACH_MAGIC, .version_major = 1, .name = "echo"};
	struct attach_header header, answer;
	uint8_t body[128];
	int fds[4];

	request(backend, ATTACH_HELLO, &hello, sizeof(hello));
	do {
		header = receive(backend, body, sizeof(body), fds);
		if (header.type != ATTACH_GRANT_TABLE)
			continue;
		memcpy(&backend->table, body, sizeof(backend->table));
		backend->shared = mmap(NULL, backend->table.size, PROT_READ | PROT_WRITE,
				       MAP_SHARED, fds[0], 0);
		answer = header;
		answer.flags = ATTACH_FLAG_ANSWER;
		answer.size = 0;
		(void)!write(backend->fd, &answer, sizeof(answer));
	} while (header.type != ATTACH_READY && !header.error);
}

/* Echoes the second event: the first one is that it is bound. One read may take both. */
static void *serve(void *context)
{
	struct backend *backend = context;
	struct attach_bind bind = {.guest_port = 3};
	struct grant_v1 *entries;
	uint64_t count, seen = 0, one = 1;
	uint8_t body[64];

	greet(backend);
	do {
		usleep(500);
		request(backend, ATTACH_BIND, &bind, sizeof(bind));
	} while (receive(backend, body, sizeof(body), backend->channel).error);
	while (seen < 2) {
		struct pollfd event = {.fd = backend->channel[0], .events = POLLIN};

		if (poll(&event, 1, PAYLOAD_TIMEOUT_MS) < 1)
			return NULL;
		if (read(backend->channel[0], &count, sizeof(count)) == sizeof(count))
			seen += count;
	}
	entries = (void *)(backend->shared + backend->table.entries_offset);
	backend->granted =
		entries[REFERENCE].flags == GRANT_PERMIT_ACCESS ? entries[REFERENCE].frame : 0;
	(void)!write(backend->channel[1], &one, sizeof(one));
	return NULL;
}

static void events_and_a_back_end(void **state)
{
	struct backend backend = {0};
	unsigned int wired = 0;
	pthread_t thread;
	int pair[2];

	boot(events, events_end);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	backend.fd = pair[0];
	assert_int_equal(attach_add(pair[1], -1, DEVICE), 0);
	pthread_create(&thread, NULL, serve, &backend);
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	pthread_join(thread, NULL);
	assert_int_equal(backend.granted, 0x123);
	/* KVM had it all: both doorbells have an ioeventfd, both vectors an irqfd. */
	for (uint32_t port = 2; port <= 3; port++)
		wired += pv.channels.port[port].wire.doorbell_fd >= 0 &&
			 pv.channels.port[port].wire.source.attached;
	assert_int_equal(wired, 2);
	assert_string_equal(end(), "2I3B");
	close(backend.fd);
	close(backend.channel[0]);
	close(backend.channel[1]);
	munmap(backend.shared, backend.table.size);
}

/* The directories of a device, as both sides find them, and again after the guest wrote its own. */
static void devices_are_described(void **state)
{
	static const char front[] = "/local/domain/1/device/vbd/51712";
	static const char back[] = "/local/domain/0/backend/vbd/1/51712";
	struct toolstack_device disk = {.name = "vbd/51712", .params = "a.img", .read_only = true};
	struct toolstack_device nic = {.name = "vif/0",
				       .mac = {0x52, 0x54, 0, 1, 2, 3},
				       .mtu = 9000,
				       .rate_bytes = 125000,
				       .rate_us = 10000};
	char path[128], value[128];

	payload_bzimage(leaves, leaves_end);
	boot_image();
	assert_int_equal(toolstack_add(&disk), 0);
	assert_int_equal(toolstack_add(&nic), 0);
#define KEY(directory, key, text)                                            \
	do {                                                                 \
		snprintf(path, sizeof(path), "%s/%s", directory, key);       \
		assert_true(pv_store_read(path, value, sizeof(value)) >= 0); \
		assert_string_equal(value, text);                            \
	} while (0)
	KEY(front, "backend", back);
	KEY(front, "backend-id", "0");
	KEY(front, "virtual-device", "51712");
	KEY(front, "device-type", "disk");
	KEY(front, "state", "1");
	KEY(back, "frontend", front);
	KEY(back, "frontend-id", "1");
	KEY(back, "online", "1");
	KEY(back, "mode", "r");
	KEY(back, "params", "a.img");
	KEY(back, "state", "1");
	KEY("/local/domain/1/device/vif/0", "mac", "52:54:00:01:02:03");
	KEY("/local/domain/1/device/vif/0", "handle", "0");
	KEY("/local/domain/1/device/vif/0", "mtu", "9000");
	KEY("/local/domain/0/backend/vif/1/0", "rate", "125000,10000");
	KEY("/local/domain/0/backend/vif/1/0", "frontend", "/local/domain/1/device/vif/0");

	snprintf(path, sizeof(path), "%s/ring-ref", front);
	assert_int_equal(pv_store_write(1, 0, path, "%u", 8), 0);
	snprintf(path, sizeof(path), "%s/state", front);
	assert_int_equal(pv_store_write(1, 0, path, "%u", 4), 0);
	assert_int_equal(pv_store_write(0, 1, "/local/domain/0/backend/vbd/1/51712/state", "4"), 0);
	toolstack_restarted();
	KEY(front, "state", "1");
	KEY(back, "state", "4"); /* the back-end's own */
	snprintf(path, sizeof(path), "%s/ring-ref", front);
	assert_int_equal(pv_store_read(path, value, sizeof(value)), -ENOENT);
	assert_int_equal(toolstack_backend_state("vbd/51712"), 4);
	toolstack_lost("vbd/51712");
	assert_int_equal(toolstack_backend_state("vbd/51712"), STORE_STATE_CLOSED);
	KEY(back, "online", "0");

	/* Unplugged: neither the end of its back-end nor a new guest brings a key of it back. */
	assert_int_equal(pv_store_remove(back), 0);
	assert_int_equal(pv_store_remove(front), 0);
	toolstack_lost("vbd/51712");
	assert_int_equal(pv_store_read(back, value, sizeof(value)), -ENOENT);
	toolstack_restarted();
	assert_int_equal(pv_store_read(front, value, sizeof(value)), -ENOENT);
	KEY("/local/domain/1/device/vif/0", "state", "1");
#undef KEY
	end();
}

static void disks_are_numbered_as_linux_does(void **state)
{
	assert_int_equal(toolstack_disk_id(0), 51712);
	assert_int_equal(toolstack_disk_id(1), 51728);
	assert_int_equal(toolstack_disk_id(15), 51952);
	assert_int_equal(toolstack_disk_id(16), 1 << 28 | 16 << 8);
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cpuid_tells_of_it),
		TEST(calls_and_a_reboot),
		TEST(events_and_a_back_end),
		TEST(devices_are_described),
		cmocka_unit_test(disks_are_numbered_as_linux_does),
	};

	if (!payload_can_run())
		return 77;
	log_open("pv_payloads", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
