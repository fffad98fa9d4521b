// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The machine on a real /dev/kvm, with guests of a few instructions: how they are entered, ports,
 * memory of devices, notifications both ways without the shim, several CPUs, and every way to end
 * or to begin anew.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/eventfd.h>

#include "hypervisor-shim/power.h"
#include "tests/payload/payload.h"

/*
 * A device with one BAR; the first eight bytes are a number that the test sets, writes are
 * counted.
 */
static struct {
	struct pci_device pci;
	uint64_t value;
	unsigned int writes, resets;
	uint64_t written, offset;
} fake;

static void fake_read(struct pci_device *device, int bar, uint64_t offset, void *data,
		      unsigned int size)
{
	memset(data, 0, size);
	if (offset < 8)
		memcpy(data, (uint8_t *)&fake.value + offset,
		       size < 8 - offset ? size : 8 - offset);
}

static void fake_write(struct pci_device *device, int bar, uint64_t offset, const void *data,
		       unsigned int size)
{
	fake.offset = offset;
	fake.written = 0;
	memcpy(&fake.written, data, size);
	__atomic_add_fetch(&fake.writes, 1,
			   __ATOMIC_SEQ_CST); /* signal_when_ready() waits for it */
}

static void fake_reset(struct pci_device *device)
{
	fake.resets++;
}

static const struct pci_device_ops fake_ops = {
	.bar_read = fake_read,
	.bar_write = fake_write,
	.reset = fake_reset,
};

/*
 * A 32-bit BAR, so that guests without paging reach it; pci_assign() puts it where the hole
 * begins.
 */
static void plug_fake(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.pci.ops = &fake_ops;
	fake.pci.name = "fake";
	pci_init(&fake.pci, 0x1b36, 0x00ff, 0xff0000, 0, 0, 0);
	pci_declare_bar(&fake.pci, 0, 0x1000, false, false);
	assert_int_equal(pci_add(&fake.pci), 0);
}

static int finish(void **state)
{
	payload_end();
	return 0;
}

/* RSI is at the boot parameters, and the mode is long: a 64-bit register keeps its high half. */
PAYLOAD(long_mode, 64,
	"	mov 0x202(%rsi), %eax\n"
	"	cmp $0x53726448, %eax\n"
	"	jne 1f\n"
	"	mov $0x123456789abcdef0, %rcx\n"
	"	shr $32, %rcx\n"
	"	cmp $0x12345678, %ecx\n"
	"	jne 1f\n"
	"	mov 0x228(%rsi), %ebx\n" /* cmd_line_ptr */
	"2:	mov (%rbx), %al\n"
	"	test %al, %al\n"
	"	jz 1f\n"
	"	mov $0x3f8, %edx\n"
	"	out %al, %dx\n"
	"	inc %rbx\n"
	"	jmp 2b\n"
	"1:	power_off\n");

static void bzimage_enters_long_mode(void **state)
{
	payload_bzimage(long_mode, long_mode_end);
	payload_boot(1, "hello, long mode");
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_string_equal(payload_end(), "hello, long mode");
}

PAYLOAD(protected_mode, 32,
	"	cmpl $0x336ec578, (%ebx)\n"
	"	jne 1f\n"
	"	mov 24(%ebx), %esi\n" /* the command line */
	"2:	mov (%esi), %al\n"
	"	test %al, %al\n"
	"	jz 1f\n"
	"	mov $0x3f8, %edx\n"
	"	out %al, %dx\n"
	"	inc %esi\n"
	"	jmp 2b\n"
	"1:	power_off\n");

static void elf_enters_protected_mode(void **state)
{
	payload_elf(protected_mode, protected_mode_end);
	payload_boot(1, "hello, PVH");
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_string_equal(payload_end(), "hello, PVH");
}

/* A string instruction brings all its bytes in one exit. */
PAYLOAD(string_output, 32,
	"	mov 24(%ebx), %esi\n"
	"	mov $0x3f8, %edx\n"
	"	mov $26, %ecx\n"
	"	cld\n"
	"	rep outsb\n"
	"	power_off\n");

static void string_instructions(void **state)
{
	payload_elf(string_output, string_output_end);
	payload_boot(1, "abcdefghijklmnopqrstuvwxyz");
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_string_equal(payload_end(), "abcdefghijklmnopqrstuvwxyz");
}

/* Finds the device in slot 1 by mechanism #1, its BAR, and talks to it. */
PAYLOAD(talk_to_bar, 32,
	"	mov $0xcf8, %edx\n"
	"	mov $0x80000810, %eax\n"
	"	out %eax, %dx\n"
	"	mov $0xcfc, %edx\n"
	"	in %dx, %eax\n"
	"	and $~0xf, %eax\n"
	"	mov %eax, %edi\n"
	"	mov (%edi), %al\n"
	"	mov $0x3f8, %edx\n"
	"	out %al, %dx\n"
	"	movl $0x11223344, 0x10(%edi)\n"
	"	movw $0x5566, 0x20(%edi)\n"
	/* Where no BAR is, all ones are read. */
	"	mov 0x100000(%edi), %eax\n"
	"	inc %eax\n"
	"	jnz 1f\n"
	"	put_char '.'\n"
	"1:	power_off\n");

static void memory_of_devices(void **state)
{
	payload_elf(talk_to_bar, talk_to_bar_end);
	payload_boot(1, "");
	plug_fake();
	fake.value = 'v';
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_int_equal(fake.writes, 2);
	assert_int_equal(fake.written, 0x5566);
	assert_int_equal(fake.offset, 0x20);
	assert_true(fake.pci.bar[0].mapped);
	assert_int_equal(fake.pci.bar[0].address, VM_PCI_HOLE_START);
	assert_string_equal(payload_end(), "v.");
}

PAYLOAD(kick, 32,
	"	movw $0, 0xc0000040\n"
	"	movw $0, 0xc0000040\n"
	"	movw $0, 0xc0000044\n"
	"	power_off\n");

static void kicks_go_to_the_eventfd(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t kicks = 0;

	payload_elf(kick, kick_end);
	payload_boot(1, "");
	plug_fake();
	assert_int_equal(vm_ioeventfd(VM_PCI_HOLE_START + 0x40, 2, fd, true), 0);
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_int_equal(read(fd, &kicks, sizeof(kicks)), sizeof(kicks));
	assert_int_equal(kicks, 2);
	assert_int_equal(fake.writes, 1); /* the one beside it */
	assert_int_equal(vm_ioeventfd(VM_PCI_HOLE_START + 0x40, 2, fd, false), 0);
	close(fd);
	payload_end();
}

/*
 * A handler for vector 0x40 at an IDT below 1 MiB, the local APIC switched on; it tells the test
 * by the BAR that it is ready. The selector of a gate is looked up in a GDT, so there is one too.
 */
PAYLOAD(interrupt, 32,
	"	call 1f\n"
	"1:	pop %ebp\n"
	"	lea handler - 1b(%ebp), %eax\n"
	"	mov %ax, 0x50200\n" /* gate 0x40 of the table at 0x50000 */
	"	movw $0x08, 0x50202\n"
	"	movw $0x8e00, 0x50204\n"
	"	shr $16, %eax\n"
	"	mov %ax, 0x50206\n"
	"	movl $0x0000ffff, 0x51008\n"
	"	movl $0x00cf9b00, 0x5100c\n"
	"	movw $0xf, 0x51800\n"
	"	movl $0x51000, 0x51802\n"
	"	lgdt 0x51800\n"
	"	movw $0x7ff, 0x51810\n"
	"	movl $0x50000, 0x51812\n"
	"	lidt 0x51810\n"
	"	mov $0x80000, %esp\n"
	"	movl $0x1ff, 0xfee000f0\n" /* SPIV */
	"	movl $1, 0xc0000000\n" /* ready */
	"	sti\n"
	"2:	hlt\n"
	"	jmp 2b\n"
	"handler:\n"
	"	put_char 'I'\n"
	"	movl $0, 0xfee000b0\n" /* EOI */
	"	power_off\n");

static void signal_when_ready(int fd)
{
	uint64_t one = 1;

	for (int ms = 0;
	     ms < PAYLOAD_TIMEOUT_MS && !__atomic_load_n(&fake.writes, __ATOMIC_SEQ_CST); ms++)
		usleep(1000);
	if (fd >= 0)
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	else
		assert_true(vm_msi_send(0xfee00000, 0x40) >= 0);
}

static void boot_interrupt(void)
{
	payload_elf(interrupt, interrupt_end);
	payload_boot(1, "");
	plug_fake();
	assert_int_equal(console_start(), 0);
}

static void eventfds_become_messages(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK), gsi;

	boot_interrupt();
	gsi = vm_msi_route_new();
	assert_true(gsi >= 24);
	/* First another vector, to see that a route can be changed under the descriptor. */
	assert_int_equal(vm_msi_route_set(gsi, 0xfee00000, 0x41), 0);
	assert_int_equal(vm_irqfd(gsi, fd, true), 0);
	assert_int_equal(vm_msi_route_set(gsi, 0xfee00000, 0x40), 0);
	assert_int_equal(machine_start(), 0);
	signal_when_ready(fd);
	assert_int_equal(payload_wait(), MACHINE_POWER_OFF);
	assert_int_equal(vm_irqfd(gsi, fd, false), 0);
	vm_msi_route_free(gsi);
	close(fd);
	assert_string_equal(payload_end(), "I");
}

static void messages_can_be_sent_directly(void **state)
{
	boot_interrupt();
	assert_int_equal(machine_start(), 0);
	signal_when_ready(-1);
	assert_int_equal(payload_wait(), MACHINE_POWER_OFF);
	assert_string_equal(payload_end(), "I");
}

/*
 * The second CPU is started by INIT and SIPI at 0x8000, in real mode; it tells its APIC id, as
 * CPUID has it, through the serial port, and switches off. The first one waits.
 */
PAYLOAD(second_cpu, 32,
	"	call 1f\n"
	"1:	pop %ebp\n"
	"	lea trampoline - 1b(%ebp), %esi\n"
	"	mov $0x8000, %edi\n"
	"	mov $trampoline_end - trampoline, %ecx\n"
	"	rep movsb\n"
	"	movl $0x1ff, 0xfee000f0\n"
	"	movl $0x01000000, 0xfee00310\n" /* to APIC 1 */
	"	movl $0x4500, 0xfee00300\n" /* INIT */
	"	movl $0x01000000, 0xfee00310\n"
	"	movl $0x4608, 0xfee00300\n" /* SIPI, page 8 */
	"2:	pause\n"
	"	jmp 2b\n"
	".code16\n"
	"trampoline:\n"
	"	mov $1, %eax\n"
	"	cpuid\n"
	"	shr $24, %ebx\n"
	"	mov %bl, %al\n"
	"	add $'0', %al\n"
	"	mov $0x3f8, %dx\n"
	"	out %al, %dx\n"
	"	mov $0x604, %dx\n"
	"	mov $0x3400, %ax\n"
	"	out %ax, %dx\n"
	"3:	hlt\n"
	"	jmp 3b\n"
	"trampoline_end:\n"
	".code32\n");

static void second_cpu_starts(void **state)
{
	payload_elf(second_cpu, second_cpu_end);
	payload_boot(2, "");
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_string_equal(payload_end(), "1");
}

/*
 * What stands in memory at 0x80000 must be gone after a reset, and so must the flag of CR0 that
 * it sets. The value in the BAR tells how to end: 1 and up by a reset, 0 by S5.
 */
PAYLOAD(ways_to_reset, 32,
	"	mov %cr0, %eax\n"
	"	test $0x2, %eax\n"
	"	jnz 8f\n"
	"	or $0x2, %eax\n"
	"	mov %eax, %cr0\n"
	"	cmpl $0, 0x80000\n"
	"	jne 8f\n"
	"	movl $1, 0x80000\n"
	"	put_char '*'\n"
	"	mov 0xc0000000, %ecx\n"
	"	cmp $1, %ecx\n"
	"	je 1f\n"
	"	cmp $2, %ecx\n"
	"	je 2f\n"
	"	cmp $3, %ecx\n"
	"	je 3f\n"
	"	power_off\n"
	"1:	out_byte 0xcf9, 2\n"
	"	out_byte 0xcf9, 6\n"
	"	hlt\n"
	"2:	out_byte 0x64, 0xfe\n"
	"	hlt\n"
	"3:	movw $0, 0x51810\n" /* a fault without a table for it: a triple fault */
	"	movl $0, 0x51812\n"
	"	lidt 0x51810\n"
	"	xor %ecx, %ecx\n"
	"	div %ecx\n"
	"	hlt\n"
	"8:	put_char '!'\n"
	"	hlt\n");

static void resets_begin_anew(void **state)
{
	payload_elf(ways_to_reset, ways_to_reset_end);
	payload_boot(2, "");
	plug_fake();
	assert_int_equal(vm_preallocate(), 0); /* a reset wipes, and takes it again */
	fake.value = 3;
	assert_int_equal(payload_run(), MACHINE_RESET);
	while (fake.value--) {
		assert_int_equal(machine_restart(), 0);
		assert_int_equal(payload_wait(), fake.value ? MACHINE_RESET : MACHINE_POWER_OFF);
	}
	assert_int_equal(fake.resets, 3);
	assert_string_equal(payload_end(), "****");
}

PAYLOAD(reset_at_once, 32,
	"	out_byte 0xcf9, 6\n"
	"	hlt\n");

/* A guest that resets itself again and again can be ended in the midst of it. */
static void an_end_outlives_a_reset(void **state)
{
	static const enum machine_event ends[] = {MACHINE_QUIT, MACHINE_SIGNAL};

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		payload_elf(reset_at_once, reset_at_once_end);
		payload_boot(2, "");
		assert_int_equal(payload_run(), MACHINE_RESET);
		machine_request(MACHINE_PANIC);
		assert_int_equal(machine_requested(), MACHINE_RESET);
		machine_request(ends[i]);
		assert_int_equal(machine_requested(), ends[i]);
		assert_int_equal(machine_restart(), -EINTR);
		assert_int_equal(payload_wait(), ends[i]);
		payload_end();
	}
}

PAYLOAD(panic, 32,
	"	mov $0x505, %edx\n"
	"	in %dx, %al\n"
	"	add $'0', %al\n"
	"	mov $0x3f8, %edx\n"
	"	out %al, %dx\n"
	"	out_byte 0x505, 2\n" /* a crash kernel will take over: not our business */
	"	out_byte 0x505, 1\n"
	"	hlt\n");

static void panics_are_told(void **state)
{
	payload_elf(panic, panic_end);
	payload_boot(1, "");
	assert_int_equal(payload_run(), MACHINE_PANIC);
	assert_string_equal(payload_end(), "3");
}

/*
 * Absent legacy devices: nothing waits, all ones, and the status of a keyboard controller that is
 * ready.
 */
PAYLOAD(absent_ports, 32,
	"	mov $0x2fd, %edx\n"
	"	in %dx, %al\n"
	"	inc %al\n"
	"	jnz 1f\n"
	"	mov $0x71, %edx\n"
	"	in %dx, %al\n"
	"	inc %al\n"
	"	jnz 1f\n"
	"	mov $0x64, %edx\n"
	"	in %dx, %al\n"
	"	test $2, %al\n"
	"	jnz 1f\n"
	"	out_byte 0x2f8, 0x55\n"
	"	put_char 'k'\n"
	"1:	power_off\n");

static void absent_devices_answer_at_once(void **state)
{
	payload_elf(absent_ports, absent_ports_end);
	payload_boot(1, "");
	assert_int_equal(payload_run(), MACHINE_POWER_OFF);
	assert_string_equal(payload_end(), "k");
}

/* A guest that does nothing can be stopped from outside, wherever its CPUs are. */
PAYLOAD(idle, 32, "1:	jmp 1b\n");

static void a_busy_guest_can_be_stopped(void **state)
{
	payload_elf(idle, idle_end);
	payload_boot(4, "");
	assert_int_equal(console_start(), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(machine_start(), 0);
		usleep(1000 * (i % 3));
		machine_stop();
	}
	machine_request(MACHINE_QUIT);
	machine_request(MACHINE_PANIC); /* the first one holds */
	assert_int_equal(machine_requested(), MACHINE_QUIT);
	payload_end();
}

static void memory_can_be_taken_at_once(void **state)
{
	size_t pages = PAYLOAD_MEMORY / 4096, resident = 0;
	unsigned char *there = malloc(pages);

	payload_elf(idle, idle_end);
	payload_boot(1, "");
	assert_int_equal(vm_preallocate(), 0);
	assert_int_equal(mincore(vm_memory()->region[0].host, PAYLOAD_MEMORY, there), 0);
	for (size_t i = 0; i < pages; i++)
		resident += there[i] & 1;
	assert_int_equal(resident, pages);
	free(there);
	payload_end();
}

static void memory_slots_come_and_go(void **state)
{
	void *page =
		mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	payload_elf(idle, idle_end);
	payload_boot(1, "");
	assert_int_equal(vm_add_slot(0xd0000000, 0x10000, page), 0);
	assert_int_equal(vm_add_slot(0xd0000000, 0x10000, page), -EEXIST);
	assert_int_equal(vm_remove_slot(0xd0000000), 0);
	assert_int_equal(vm_remove_slot(0xd0000000), -ENOENT);
	assert_int_equal(vm_add_slot(0xd0000000, 0x10000, page), 0);
	payload_end();
	munmap(page, 0x10000);
}

/* RAM is a file that back-ends map; none of them can take it away. */
static void memory_cannot_shrink(void **state)
{
	uint64_t offset = 1;
	int fd;

	payload_elf(idle, idle_end);
	payload_boot(1, "");
	assert_int_equal(vm_memory()->count, 1);
	assert_int_equal(vm_memory()->region[0].size, PAYLOAD_MEMORY);
	fd = vm_region_fd(0, &offset);
	assert_int_equal(offset, 0);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_true(vm_region_fd(1, &offset) < 0);
	payload_end();
}

/* 5 GiB: what does not fit below the hole lies from 4 GiB on, at its own place in the file. */
static void memory_lies_around_the_hole(void **state)
{
	uint64_t offset;

	assert_int_equal(vm_open(5ULL << 30, 1), 0);
	assert_int_equal(vm_memory()->count, 2);
	assert_int_equal(vm_memory()->region[0].size, VM_PCI_HOLE_START);
	assert_int_equal(vm_memory()->region[1].address, VM_RAM_HIGH_START);
	assert_int_equal(vm_memory()->region[1].size, (5ULL << 30) - VM_PCI_HOLE_START);
	assert_true(vm_region_fd(1, &offset) >= 0);
	assert_int_equal(offset, VM_PCI_HOLE_START);
	vm_close();
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bzimage_enters_long_mode),
		TEST(elf_enters_protected_mode),
		TEST(string_instructions),
		TEST(memory_of_devices),
		TEST(kicks_go_to_the_eventfd),
		TEST(eventfds_become_messages),
		TEST(messages_can_be_sent_directly),
		TEST(second_cpu_starts),
		TEST(resets_begin_anew),
		TEST(an_end_outlives_a_reset),
		TEST(panics_are_told),
		TEST(absent_devices_answer_at_once),
		TEST(a_busy_guest_can_be_stopped),
		TEST(memory_can_be_taken_at_once),
		TEST(memory_slots_come_and_go),
		TEST(memory_cannot_shrink),
		cmocka_unit_test(memory_lies_around_the_hole),
	};

	if (!payload_can_run())
		return 77;
	log_open("payloads", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
