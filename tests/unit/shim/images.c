// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Kernel images that are none, or no longer: each must be refused with an errno, nothing may be
 * read or written outside the file and the guest's memory (the sanitizers watch), and the good
 * ones must load where they said. No KVM is needed: memory is faked.
 */
#include "tests/unit/shim/images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ROUNDS 20000

static void bzimage_loads(void **state)
{
	const struct boot_params *params = (void *)(ram + BOOT_ZERO_PAGE);
	char initrd[] = "/tmp/pvkit-initrd-XXXXXX";
	struct vcpu_entry entry;
	int fd = mkstemp(initrd);

	assert_int_equal(write(fd, "initial RAM disk", 16), 16);
	make_bzimage(file);
	assert_int_equal(boot_open(file_with(file, sizeof(file)), initrd, "one two", false), 0);
	unlink(initrd);
	close(fd);
	assert_int_equal(boot_load(&entry), 0);
	assert_int_equal(entry.mode, VCPU_LONG_MODE);
	assert_int_equal(entry.rip, PREFERRED + 0x200);
	assert_int_equal(entry.rsi, BOOT_ZERO_PAGE);
	assert_memory_equal(ram + PREFERRED, file + 5 * 512, KERNEL_SIZE - 5 * 512);
	assert_string_equal(ram + params->hdr.cmd_line_ptr, "one two");
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->hdr.setup_data, 0);
	assert_int_equal(params->acpi_rsdp_addr, ACPI_RSDP);
	assert_int_equal(params->hdr.ramdisk_size, 16);
	assert_int_equal(params->hdr.ramdisk_image, MEMORY - 4096);
	assert_memory_equal(ram + MEMORY - 4096, "initial RAM disk", 16);
}

static void memory_map_is_whole(void **state)
{
	const struct boot_params *params = (void *)(ram + BOOT_ZERO_PAGE);
	uint64_t usable = 0, end = 0;
	struct vcpu_entry entry;

	make_bzimage(file);
	assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, "", false), 0);
	assert_int_equal(boot_load(&entry), 0);
	for (unsigned int i = 0; i < params->e820_entries; i++) {
		const struct boot_e820_entry *range = &params->e820_table[i];

		assert_true(range->addr >= end); /* in order, disjoint */
		end = range->addr + range->size;
		if (range->type == BOOT_RAM)
			usable += range->size;
	}
	assert_int_equal(end, VM_RAM_HIGH_START + MEMORY);
	assert_int_equal(usable, 2 * MEMORY - (MIB - BOOT_LOW_END));
}

static void initrd_obeys_its_limit(void **state)
{
	const struct boot_params *params = (void *)(ram + BOOT_ZERO_PAGE);
	struct setup_header *header = make_bzimage(file);
	struct vcpu_entry entry;

	header->initrd_addr_max = 0x2ffffff;
	assert_int_equal(boot_open(file_with(file, sizeof(file)), "/bin/sh", "", false), 0);
	assert_int_equal(boot_load(&entry), 0);
	assert_true(params->hdr.ramdisk_image + params->hdr.ramdisk_size <= 0x3000000);
	boot_close();
	/* Just behind the kernel is no room for any. */
	header->initrd_addr_max = PREFERRED + 4 * MIB;
	assert_int_equal(boot_open(file_with(file, sizeof(file)), "/bin/sh", "", false), 0);
	assert_int_equal(boot_load(&entry), -E2BIG);
}

static void kernel_finds_a_lower_place(void **state)
{
	struct vcpu_entry entry;

	set_memory(18 * MIB);
	make_bzimage(file);
	assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, "", false), 0);
	assert_int_equal(boot_load(&entry), 0);
	assert_int_equal(entry.rip, 0x200000 + 0x200);
	boot_close();
	make_bzimage(file)->relocatable_kernel = 0;
	assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, "", false), 0);
	assert_int_equal(boot_load(&entry), -E2BIG);
}

static void command_line_has_a_limit(void **state)
{
	struct vcpu_entry entry;
	char text[102] = {0};

	memset(text, 'a', 101);
	make_bzimage(file);
	assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, text, false), 0);
	assert_int_equal(boot_load(&entry), -E2BIG);
	text[100] = '\0';
	boot_close();
	assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, text, false), 0);
	assert_int_equal(boot_load(&entry), 0);
}

/* Every field that decides about addresses, with the values that hurt. */
static void bad_bzimages_are_refused(void **state)
{
#define REFUSED(change)                                                \
	do {                                                           \
		struct setup_header *h = make_bzimage(file);           \
		change;                                                \
		assert_int_equal(check(file, sizeof(file)), -ENOEXEC); \
	} while (0)
	REFUSED(h->boot_flag = 0);
	REFUSED(h->header = 0);
	REFUSED(h->version = 0x20b);
	REFUSED(h->xloadflags = 0);
	REFUSED(h->loadflags = 0);
	REFUSED(h->setup_sects = 60);
	REFUSED(h->syssize = 0xffffffff);
	REFUSED(h->kernel_alignment = 0);
	REFUSED(h->kernel_alignment = 0x300000);
	REFUSED(h->kernel_alignment = 0x80000000);
	REFUSED(h->pref_address = 0);
	REFUSED(h->pref_address = 0xfffff);
	REFUSED(h->pref_address = ~0ULL);
	REFUSED(h->pref_address = VM_PCI_HOLE_START);
	REFUSED(h->init_size = 0xffffffff);
	for (size_t size = 1; size < KERNEL_SIZE; size += size < 4000 ? 1 : 500) {
		make_bzimage(file);
		assert_true(check(file, size) < 0);
	}
}

static void elf_loads(void **state)
{
	struct vcpu_entry entry;

	make_elf(&elf);
	assert_int_equal(boot_open(file_with(&elf, sizeof(elf)), "/bin/sh", "three", false), 0);
	assert_int_equal(boot_load(&entry), 0);
	assert_int_equal(entry.mode, VCPU_PROTECTED_32);
	assert_int_equal(entry.rip, ENTRY);
	assert_int_equal(entry.rbx, BOOT_PVH);
	assert_memory_equal(ram + 0x200000, elf.code, sizeof(elf.code));
	assert_int_equal(*(uint32_t *)(ram + BOOT_PVH), 0x336ec578);
	assert_int_equal(*(uint32_t *)(ram + BOOT_PVH + 12), 1); /* modules */
	assert_string_equal(ram + *(uint64_t *)(ram + BOOT_PVH + 24), "three");
	assert_int_equal(*(uint64_t *)(ram + BOOT_PVH + 32), ACPI_RSDP);
}

static void bad_elves_are_refused(void **state)
{
#define ELF_REFUSED(change)                                           \
	do {                                                          \
		make_elf(&elf);                                       \
		change;                                               \
		assert_int_equal(check(&elf, sizeof(elf)), -ENOEXEC); \
	} while (0)
	ELF_REFUSED(elf.head.e_ident[EI_CLASS] = 9);
	ELF_REFUSED(elf.head.e_ident[EI_DATA] = ELFDATA2MSB);
	ELF_REFUSED(elf.head.e_machine = EM_AARCH64);
	ELF_REFUSED(elf.head.e_type = ET_REL);
	ELF_REFUSED(elf.head.e_phnum = 0);
	ELF_REFUSED(elf.head.e_phnum = 0xffff);
	ELF_REFUSED(elf.head.e_phoff = ~0ULL - 8);
	ELF_REFUSED(elf.head.e_phentsize = 1);
	ELF_REFUSED(elf.load.p_offset = ~0ULL);
	ELF_REFUSED(elf.load.p_filesz = ~0ULL);
	ELF_REFUSED(elf.load.p_memsz = 1);
	ELF_REFUSED(elf.load.p_paddr = 0);
	ELF_REFUSED(elf.load.p_paddr = ~0ULL - 16);
	ELF_REFUSED(elf.bss.p_memsz = ~0ULL);
	ELF_REFUSED(elf.bss.p_paddr = 0xf0000000);
	ELF_REFUSED(elf.note.p_type = PT_NULL);
	ELF_REFUSED(elf.note.p_filesz = 0);
	ELF_REFUSED(elf.notes.other.n_namesz = 0xfffffffd);
	ELF_REFUSED(elf.notes.other.n_descsz = 0xffffffff);
	ELF_REFUSED(elf.notes.head.n_type = 17);
	ELF_REFUSED(elf.notes.head.n_descsz = 2);
	ELF_REFUSED(elf.notes.head.n_descsz = 8); /* the segment ends before */
	ELF_REFUSED(elf.notes.name[0] = 'x');
	ELF_REFUSED(elf.notes.entry = 0x300010); /* in memory that the file does not fill */
	ELF_REFUSED(elf.notes.entry = 0x100);
	for (size_t size = 1; size < sizeof(elf); size += 7) {
		make_elf(&elf);
		assert_true(check(&elf, size) < 0);
	}
	make_elf(&elf);
	elf.bss.p_memsz = MEMORY; /* sane, but more than there is */
	assert_int_equal(boot_open(file_with(&elf, sizeof(elf)), NULL, "", false), 0);
	assert_int_equal(boot_load(&(struct vcpu_entry){0}), -E2BIG);
}

static void what_is_no_kernel(void **state)
{
	char folder[] = "/tmp/pvkit-images-XXXXXX", fifo[64];

	memset(file, 'x', sizeof(file));
	assert_int_equal(check(file, sizeof(file)), -ENOEXEC);
	assert_int_equal(check(file, 1), -ENOEXEC);
	assert_int_equal(check(file, 0), -EINVAL);
	assert_int_equal(boot_open("/nonexistent", NULL, "", false), -ENOENT);
	assert_int_equal(boot_open("/", NULL, "", false), -EINVAL);
	assert_int_equal(boot_open("/dev/zero", NULL, "", false), -EINVAL);
	assert_int_equal(boot_open("/bin/sh", NULL, "", false), -ENOEXEC); /* a program is no kernel */
	assert_non_null(mkdtemp(folder));
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(boot_open(fifo, NULL, "", false), -EINVAL); /* and does not hang */
	unlink(fifo);
	rmdir(folder);
	make_bzimage(file);
	assert_int_equal(boot_open(file_with(file, sizeof(file)), "/nonexistent", "", false), -ENOENT);
}

/* A file that is cut after it was opened is found out when it is loaded. */
static void a_file_that_shrinks(void **state)
{
	struct vcpu_entry entry;
	const char *path;
	int fd;

	make_bzimage(file);
	path = file_with(file, sizeof(file));
	assert_int_equal(boot_open(path, NULL, "", false), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, KERNEL_SIZE / 2), 0);
	close(fd);
	assert_int_equal(boot_load(&entry), -ENODATA);
}

/* Whatever bytes are changed: it is refused, or it loads; the sanitizers see the rest. */
static void random_damage(void **state)
{
	unsigned int loaded = 0;

	srand(1);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		bool is_elf = i & 1;
		uint8_t *data = is_elf ? (uint8_t *)&elf : file;
		size_t size = is_elf ? sizeof(elf) : sizeof(file);
		/* Where the headers are. */
		size_t from = is_elf ? 0 : 0x1f1,
		       range = is_elf ? sizeof(elf) - sizeof(elf.code) : 0x80;
		struct vcpu_entry entry;

		make_bzimage(file);
		make_elf(&elf);
		for (int n = rand() % 4; n >= 0; n--)
			data[from + (size_t)rand() % range] =
				(uint8_t)(rand() & 1 ? rand() : -(rand() & 1));
		if (boot_open(file_with(data, size), NULL, "x", false) == 0 && boot_load(&entry) == 0)
			loaded++;
		boot_close();
	}
	assert_true(loaded > ROUNDS / 20);
	assert_true(loaded < ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bzimage_loads),
		TEST(memory_map_is_whole),
		TEST(initrd_obeys_its_limit),
		TEST(kernel_finds_a_lower_place),
		TEST(command_line_has_a_limit),
		TEST(bad_bzimages_are_refused),
		TEST(elf_loads),
		TEST(bad_elves_are_refused),
		TEST(what_is_no_kernel),
		TEST(a_file_that_shrinks),
		TEST(random_damage),
	};

	return cmocka_run_group_tests(tests, make_memory, NULL);
}
