// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * ELF kernels by PVH, Xen's boot protocol (xen/include/public/arch-x86/hvm/start_info.h).
 *
 * The segments go where their physical addresses say. An ELF note of Xen's, PHYS32_ENTRY, names
 * the entry point: 32-bit protected mode without paging, EBX at struct hvm_start_info, which
 * names command line, initrd, ACPI's root pointer and the memory map. A Linux vmlinux has the
 * note when it is built with CONFIG_PVH, as Debian's are; so have other small kernels.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/boot_format.h"
#include "hypervisor-shim/vm.h"

#define NOTE_NAME         "Xen"
#define NOTE_PHYS32_ENTRY 18
#define SEGMENTS_MAX      256
#define NOTES_SIZE_MAX    (1 << 20)
#define COMMAND_LINE_MAX  4095
#define START_INFO_MAGIC  0x336ec578

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "layout of hvm_start_info, version 1");

struct start_module {
	uint64_t address, size, command_line, reserved;
};

struct start_range {
	uint64_t address, size;
	uint32_t type, reserved;
};

/* What lies at BOOT_PVH. */
struct start_data {
	struct start_info info;
	struct start_module module;
	struct start_range ranges[BOOT_RANGES_MAX];
};

/* A program header, of either class. */
struct segment {
	uint32_t type;
	uint64_t offset, address, file_size, memory_size;
};

struct elf {
	struct segment segments[SEGMENTS_MAX];
	unsigned int count;
	uint64_t entry; /* PHYS32_ENTRY */
	uint64_t end; /* of the highest segment in memory */
};

static bool probe(const uint8_t *head, size_t size)
{
	return size >= sizeof(Elf32_Ehdr) && !memcmp(head, ELFMAG, SELFMAG);
}

static int refuse(const struct boot_file *kernel, const char *why)
{
	log_error("kernel %s: %s; give --kernel another one", kernel->path, why);
	return -ENOEXEC;
}

/* The fields that both classes have, wherever they stand. */
struct elf_head {
	uint16_t type, machine, header_size, header_count;
	uint64_t header_offset;
	bool is_64bit;
};

static int read_head(const struct boot_file *kernel, struct elf_head *head)
{
	union {
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
		uint8_t bytes[sizeof(Elf64_Ehdr)];
	} raw = {0};

	if (boot_read(kernel, 0, &raw, sizeof(raw)) < 0)
		return refuse(kernel, "is cut short");
	head->is_64bit = raw.bytes[EI_CLASS] == ELFCLASS64;
	if (raw.bytes[EI_DATA] != ELFDATA2LSB ||
	    (!head->is_64bit && raw.bytes[EI_CLASS] != ELFCLASS32))
		return refuse(kernel, "is an ELF file of another kind of machine");
	if (head->is_64bit)
		*head = (struct elf_head){raw.e64.e_type,  raw.e64.e_machine, raw.e64.e_phentsize,
					  raw.e64.e_phnum, raw.e64.e_phoff,   true};
	else
		*head = (struct elf_head){raw.e32.e_type,  raw.e32.e_machine, raw.e32.e_phentsize,
					  raw.e32.e_phnum, raw.e32.e_phoff,   false};
	if (head->machine != EM_X86_64 && head->machine != EM_386)
		return refuse(kernel, "is an ELF file of another kind of machine");
	if (head->type != ET_EXEC && head->type != ET_DYN)
		return refuse(kernel, "is an ELF file that cannot be executed");
	return 0;
}

static int read_segment(const struct boot_file *kernel, const struct elf_head *head,
			unsigned int index, struct segment *segment)
{
	uint64_t offset;
	Elf32_Phdr p32;
	Elf64_Phdr p64;

	if (__builtin_add_overflow(head->header_offset, (uint64_t)index * head->header_size,
				   &offset))
		return -ENODATA;
	if (head->is_64bit) {
		if (boot_read(kernel, offset, &p64, sizeof(p64)) < 0)
			return -ENODATA;
		*segment = (struct segment){p64.p_type, p64.p_offset, p64.p_paddr, p64.p_filesz,
					    p64.p_memsz};
	} else {
		if (boot_read(kernel, offset, &p32, sizeof(p32)) < 0)
			return -ENODATA;
		*segment = (struct segment){p32.p_type, p32.p_offset, p32.p_paddr, p32.p_filesz,
					    p32.p_memsz};
	}
	return 0;
}

static int read_segments(const struct boot_file *kernel, struct elf *elf)
{
	struct elf_head head;
	int result = read_head(kernel, &head);

	if (result < 0)
		return result;
	if (!head.header_count || head.header_count > SEGMENTS_MAX ||
	    head.header_size != (head.is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return refuse(kernel, "has no program headers that make sense");
	elf->count = head.header_count;
	for (unsigned int i = 0; i < elf->count; i++) {
		struct segment *s = &elf->segments[i];

		if (read_segment(kernel, &head, i, s) < 0 || s->offset > kernel->size ||
		    s->file_size > kernel->size - s->offset)
			return refuse(kernel, "is cut short");
	}
	return 0;
}

static bool is_loaded(const struct segment *s)
{
	return s->type == PT_LOAD && s->memory_size;
}

/* In memory where nothing else of the boot lies. */
static bool placement_sane(const struct segment *s)
{
	return s->file_size <= s->memory_size && s->address >= BOOT_KERNEL_MIN &&
	       s->address < VM_PCI_HOLE_START && s->memory_size <= VM_PCI_HOLE_START - s->address;
}

static int check_placement(const struct boot_file *kernel, struct elf *elf)
{
	elf->end = 0;
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct segment *s = &elf->segments[i];

		if (!is_loaded(s))
			continue;
		if (!placement_sane(s))
			return refuse(
				kernel,
				"has a segment that is not between 1 MiB and 3 GiB of memory");
		if (s->address + s->memory_size > elf->end)
			elf->end = s->address + s->memory_size;
	}
	return 0;
}

static uint64_t padded(uint32_t size)
{
	return ((uint64_t)size + 3) & ~3ULL;
}

/* Looks through one PT_NOTE segment that was read to @notes. */
static bool find_entry(const uint8_t *notes, uint64_t size, uint64_t *entry)
{
	uint64_t at = 0, name, data;
	Elf64_Nhdr note; /* the same for both classes */

	while (size - at >= sizeof(note)) {
		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		data = name + padded(note.n_namesz);
		if (data > size || note.n_descsz > size - data)
			return false;
		if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == sizeof(NOTE_NAME) &&
		    !memcmp(notes + name, NOTE_NAME, sizeof(NOTE_NAME)) && note.n_descsz >= 4) {
			*entry = 0;
			memcpy(entry, notes + data, note.n_descsz >= 8 ? 8 : 4);
			return true;
		}
		at = data + padded(note.n_descsz);
		if (at > size)
			return false;
	}
	return false;
}

static bool note_segment_entry(const struct boot_file *kernel, const struct segment *s,
			       uint64_t *entry)
{
	uint8_t *notes;
	bool found;

	if (s->type != PT_NOTE || !s->file_size || s->file_size > NOTES_SIZE_MAX)
		return false;
	notes = malloc(s->file_size);
	if (!notes)
		return false;
	found = boot_read(kernel, s->offset, notes, s->file_size) == 0 &&
		find_entry(notes, s->file_size, entry);
	free(notes);
	return found;
}

static bool entry_loaded(const struct elf *elf)
{
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct segment *s = &elf->segments[i];

		if (is_loaded(s) && elf->entry >= s->address &&
		    elf->entry - s->address < s->file_size)
			return true;
	}
	return false;
}

static int parse(const struct boot_file *kernel, struct elf *elf)
{
	int result = read_segments(kernel, elf);
	bool found = false;

	if (result < 0)
		return result;
	for (unsigned int i = 0; !found && i < elf->count; i++)
		found = note_segment_entry(kernel, &elf->segments[i], &elf->entry);
	if (!found)
		return refuse(kernel,
			      "has no PVH entry point (no ELF note XEN_ELFNOTE_PHYS32_ENTRY)");
	result = check_placement(kernel, elf);
	if (!result && !entry_loaded(elf))
		result = refuse(kernel, "has its PVH entry point outside its segments");
	return result;
}

static int check(const struct boot_images *images)
{
	struct elf elf;

	return parse(&images->kernel, &elf);
}

static int load_segments(const struct boot_file *kernel, const struct elf *elf)
{
	if (elf->end > boot_low_ram_end()) {
		log_error("kernel %s needs memory up to %llu MiB; give the guest more --memory",
			  kernel->path, (unsigned long long)(elf->end + 0xfffff) >> 20);
		return -E2BIG;
	}
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct segment *s = &elf->segments[i];
		int result = 0;

		/* What the file does not fill reads zero already. */
		if (is_loaded(s) && s->file_size)
			result = boot_read_to_guest(kernel, s->offset, s->address, s->file_size);
		if (result < 0)
			return result;
	}
	return 0;
}

static void put_start_info(uint64_t initrd, uint64_t initrd_size)
{
	struct start_data *data = guest_memory_at(vm_memory(), BOOT_PVH, sizeof(struct start_data));
	struct boot_range ranges[BOOT_RANGES_MAX];
	unsigned int count = boot_memory_map(ranges);

	memset(data, 0, sizeof(*data));
	data->info = (struct start_info){
		.magic = START_INFO_MAGIC,
		.version = 1,
		.command_line = BOOT_COMMAND_LINE,
		.rsdp = ACPI_RSDP,
		.memory_map = BOOT_PVH + offsetof(struct start_data, ranges),
		.memory_map_entries = count,
	};
	if (initrd) {
		data->info.module_count = 1;
		data->info.modules = BOOT_PVH + offsetof(struct start_data, module);
		data->module = (struct start_module){.address = initrd, .size = initrd_size};
	}
	for (unsigned int i = 0; i < count; i++)
		data->ranges[i] =
			(struct start_range){ranges[i].start, ranges[i].size, ranges[i].type, 0};
}

static int load(const struct boot_images *images, struct vcpu_entry *entry)
{
	uint64_t initrd = 0;
	struct elf elf;
	int result = parse(&images->kernel, &elf);

	if (!result)
		result = boot_put_command_line(images->append, COMMAND_LINE_MAX);
	if (!result)
		result = load_segments(&images->kernel, &elf);
	if (!result)
		result = boot_put_initrd(&images->initrd, elf.end, VM_PCI_HOLE_START, &initrd);
	if (result < 0)
		return result;
	put_start_info(initrd, initrd ? images->initrd.size : 0);
	entry->mode = VCPU_PROTECTED_32;
	entry->rip = elf.entry;
	entry->rbx = BOOT_PVH;
	return 0;
}

const struct boot_format boot_elf = {
	.name = "an ELF file with a PVH entry",
	.probe = probe,
	.check = check,
	.load = load,
};
