/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Guests of a few instructions, wrapped into a kernel image and booted by the shim's own code.
 * They end within milliseconds even where KVM works by software. One program includes this once:
 * a test behind cmocka.h, which then says what failed; a program that is no test ends.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/vm.h"

#ifdef assert_true
#define PAYLOAD_CHECK(condition) assert_true(condition)
#else
#define PAYLOAD_CHECK(condition)                                              \
	do {                                                                  \
		if (!(condition))                                             \
			die("%s:%d: %s: %m", __FILE__, __LINE__, #condition); \
	} while (0)
#endif

#define PAYLOAD_MEMORY     (32ULL << 20)
#define PAYLOAD_TIMEOUT_MS 20000

/*
 * Machine code between two labels in read-only data. It runs wherever it is loaded: jumps are
 * relative. Macros: out_byte PORT, VALUE; put_char CHAR (serial port); power_off.
 */
#define PAYLOAD(name, bits, code)                                        \
	extern const uint8_t name[], name##_end[];                       \
	__asm__(".pushsection .rodata\n"                                 \
		".code" #bits "\n" #name ":\n" code "\n" #name "_end:\n" \
		".code64\n"                                              \
		".popsection\n")

__asm__(".macro out_byte port, value\n"
	"	mov $\\port, %edx\n"
	"	mov $\\value, %eax\n"
	"	out %al, %dx\n"
	".endm\n"
	".macro put_char char\n"
	"	out_byte 0x3f8, \\char\n"
	".endm\n"
	".macro power_off\n"
	"	mov $0x604, %edx\n"
	"	mov $0x3400, %eax\n" /* SLP_EN, SLP_TYP 5 */
	"	out %ax, %dx\n"
	"9:	hlt\n"
	"	jmp 9b\n"
	".endm\n");

#define PAYLOAD_ADDRESS 0x1000000u /* where both kinds of image are loaded */

static char payload_path[64], payload_output[] = "/tmp/pvkit-payload-XXXXXX";
static char payload_text[8192];
static int payload_fd = -1;

static void payload_open_file(void)
{
	if (payload_fd >= 0)
		close(payload_fd);
	payload_fd = memfd_create("payload", MFD_CLOEXEC);
	PAYLOAD_CHECK(payload_fd >= 0);
	snprintf(payload_path, sizeof(payload_path), "/proc/self/fd/%d", payload_fd);
}

static void payload_write(const void *data, size_t size)
{
	PAYLOAD_CHECK(write(payload_fd, data, size) == (ssize_t)size);
}

/* An ELF file with one segment, entered at its begin in 32-bit protected mode. */
static inline void payload_elf(const uint8_t *code, const uint8_t *end)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr load, note;
		struct {
			Elf64_Nhdr head;
			char name[4];
			uint32_t entry;
		} xen;
	} file = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     1},
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2},
		.load = {.p_type = PT_LOAD,
			 .p_offset = sizeof(file),
			 .p_paddr = PAYLOAD_ADDRESS,
			 .p_filesz = (size_t)(end - code),
			 .p_memsz = (size_t)(end - code) + 4096},
		.note = {.p_type = PT_NOTE,
			 .p_offset = offsetof(typeof(file), xen),
			 .p_filesz = sizeof(file.xen)},
		.xen = {{4, 4, 18}, "Xen", PAYLOAD_ADDRESS},
	};

	payload_open_file();
	payload_write(&file, sizeof(file));
	payload_write(code, (size_t)(end - code));
}

/* A bzImage whose protected-mode part is the code behind 0x200 bytes, entered in long mode. */
static inline void payload_bzimage(const uint8_t *code, const uint8_t *end)
{
	uint8_t file[5 * 512 + 512] = {0};
	uint32_t paragraphs = (uint32_t)((512 + (size_t)(end - code) + 15) / 16);

	file[0x1f1] = 4; /* setup_sects */
	memcpy(file + 0x1f4, &paragraphs, 4);
	memcpy(file + 0x1fe, "\x55\xaa", 2);
	memcpy(file + 0x200, "\xeb\x6a", 2); /* the header ends at 0x26c */
	memcpy(file + 0x202, "HdrS\x0f\x02", 6);
	file[0x211] = 1; /* LOADED_HIGH */
	memcpy(file + 0x22c, "\xff\xff\xff\x7f", 4); /* initrd_addr_max */
	memcpy(file + 0x230, "\x00\x00\x20\x00\x01", 5); /* alignment 2 MiB, relocatable */
	file[0x236] = 1; /* XLF_KERNEL_64 */
	memcpy(file + 0x238, "\xff\x07", 2); /* cmdline_size */
	memcpy(file + 0x258, "\0\0\0\x01", 4); /* pref_address: PAYLOAD_ADDRESS */
	memcpy(file + 0x260, "\0\0\x10\0", 4); /* init_size 1 MiB */
	payload_open_file();
	payload_write(file, sizeof(file));
	payload_write(code, (size_t)(end - code));
}

/* Whether there is a KVM at all; where there is none, these tests have nothing to say. */
static inline bool payload_can_run(void)
{
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		return true;
	printf("1..0 # SKIP /dev/kvm: %s\n", strerror(errno));
	return false;
}

/* All up to the first instruction of payload_path. Devices may be added then. */
static void payload_boot(unsigned int cpus, const char *command_line)
{
	static char where[80];
	int fd;

	strcpy(payload_output + sizeof(payload_output) - 7, "XXXXXX");
	fd = mkstemp(payload_output);
	PAYLOAD_CHECK(fd >= 0);
	close(fd);
	snprintf(where, sizeof(where), "file:%s", payload_output);
	PAYLOAD_CHECK(boot_open(payload_path, NULL, command_line, false) == 0);
	PAYLOAD_CHECK(console_open(where) == 0);
	PAYLOAD_CHECK(machine_open(PAYLOAD_MEMORY, cpus) == 0);
}

static enum machine_event payload_wait(void)
{
	struct pollfd event = {.fd = machine_request_fd(), .events = POLLIN};

	poll(&event, 1, PAYLOAD_TIMEOUT_MS);
	machine_stop();
	return machine_requested();
}

/* Starts, waits for the guest's request, and stops. MACHINE_RUNNING: it came to none in time. */
static inline enum machine_event payload_run(void)
{
	PAYLOAD_CHECK(console_start() == 0);
	PAYLOAD_CHECK(machine_start() == 0);
	return payload_wait();
}

/* Takes it apart. What it wrote to the serial port, until the next call. */
static const char *payload_end(void)
{
	ssize_t n;
	int fd;

	console_close();
	machine_close();
	boot_close();
	fd = open(payload_output, O_RDONLY | O_CLOEXEC);
	n = read(fd, payload_text, sizeof(payload_text) - 1);
	payload_text[n > 0 ? n : 0] = '\0';
	close(fd);
	unlink(payload_output);
	return payload_text;
}
