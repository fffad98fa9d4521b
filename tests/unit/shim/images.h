/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Kernel images for tests of the boot: good ones, to be spoilt, and what stands in place of the
 * machine: memory is faked, and refusals are counted.
 */
#ifndef PVKIT_TESTS_UNIT_SHIM_IMAGES_H
#define PVKIT_TESTS_UNIT_SHIM_IMAGES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <asm/bootparam.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/boot_format.h"
#include "hypervisor-shim/vm.h"

#define MIB         (1ULL << 20)
#define MEMORY      (64 * MIB)
#define KERNEL_SIZE 20000
#define PREFERRED   0x1000000u
#define ENTRY       0x200040u

/* In place of vm.c: two regions, as with more than 3 GiB. */
static struct guest_memory memory;
static uint8_t *ram;

const struct guest_memory *vm_memory(void)
{
	return &memory;
}

/* In place of log.c: refusals come by the thousand, and each must have said something. */
static unsigned int lines;
static char last_line[300];

void log_error(const char *format, ...)
{
	va_list arguments;

	lines++;
	va_start(arguments, format);
	vsnprintf(last_line, sizeof(last_line), format, arguments);
	va_end(arguments);
}

void log_errno(const char *format, ...)
{
	lines++;
}

void log_info(const char *format, ...)
{
}

static void set_memory(uint64_t low)
{
	memory.count = 0;
	assert_int_equal(guest_memory_add(&memory, 0, low, ram), 0);
	assert_int_equal(guest_memory_add(&memory, VM_RAM_HIGH_START, MEMORY, ram + MEMORY), 0);
	memset(ram, 0, 1 * MIB);
}

static int make_memory(void **state)
{
	ram = mmap(NULL, 2 * MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return ram == MAP_FAILED ? -1 : 0;
}

static int fresh(void **state)
{
	set_memory(MEMORY);
	return 0;
}

static int done(void **state)
{
	boot_close();
	return 0;
}

static const char *file_with(const void *data, size_t size)
{
	static char path[64];
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = memfd_create("image", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int check_as(bool pvh, const void *data, size_t size)
{
	unsigned int before = lines;
	int result = boot_open(file_with(data, size), NULL, "", pvh);

	assert_int_equal(lines - before, result < 0 ? 1 : 0);
	boot_close();
	return result;
}

static inline int check(const void *data, size_t size)
{
	return check_as(false, data, size);
}

/* A good bzImage; what follows the setup part is its number of the byte. */
static struct setup_header *make_bzimage(uint8_t file[KERNEL_SIZE])
{
	struct setup_header *header = (void *)(file + 0x1f1);

	for (size_t i = 0; i < KERNEL_SIZE; i++)
		file[i] = (uint8_t)(i ^ i >> 8);
	memset(file, 0, 5 * 512);
	memcpy(file + 0x200, "\xeb\x6a", 2);
	header->setup_sects = 4;
	header->syssize = (KERNEL_SIZE - 5 * 512 + 15) / 16;
	header->boot_flag = 0xaa55;
	header->header = 0x53726448;
	header->version = 0x20f;
	header->loadflags = LOADED_HIGH;
	header->initrd_addr_max = 0x7fffffff;
	header->kernel_alignment = 0x200000;
	header->relocatable_kernel = 1;
	header->xloadflags = XLF_KERNEL_64;
	header->cmdline_size = 100;
	header->pref_address = PREFERRED;
	header->init_size = 4 * MIB;
	return header;
}

static uint8_t file[KERNEL_SIZE];

struct elf_file {
	Elf64_Ehdr head;
	Elf64_Phdr load, bss, note;
	struct {
		Elf64_Nhdr other;
		char other_name[8];
		uint8_t other_data[4];
		Elf64_Nhdr head;
		char name[4];
		uint32_t entry;
	} notes;
	uint8_t code[4096];
};

static void make_elf(struct elf_file *elf)
{
	*elf = (struct elf_file){
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     1},
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_phoff = offsetof(struct elf_file, load),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 3},
		.load = {.p_type = PT_LOAD,
			 .p_offset = offsetof(struct elf_file, code),
			 .p_paddr = 0x200000,
			 .p_filesz = sizeof(elf->code),
			 .p_memsz = sizeof(elf->code)},
		.bss = {.p_type = PT_LOAD, .p_paddr = 0x300000, .p_memsz = MIB},
		.note = {.p_type = PT_NOTE,
			 .p_offset = offsetof(struct elf_file, notes),
			 .p_filesz = sizeof(elf->notes)},
		.notes = {.other = {6, 3, 18},
			  .other_name = "Linux",
			  .head = {4, 4, 18},
			  .name = "Xen",
			  .entry = ENTRY},
	};
	memset(elf->code, 0x90, sizeof(elf->code));
}

static struct elf_file elf;

#endif
