// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Linux's bzImage, by the 64-bit boot protocol (Documentation/arch/x86/boot.rst of the kernel).
 *
 * The file is a real-mode part, which is not run but whose header tells what the kernel needs,
 * and the protected-mode part, which goes to the address that the kernel prefers and is entered
 * 0x200 bytes behind it: in long mode, the first 4 GiB mapped one to one, RSI at struct
 * boot_params. The kernel unpacks itself and so owns init_size bytes there, more than the file
 * has.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/boot_format.h"
#include "hypervisor-shim/vm.h"

#define HEADER_AT        0x1f1
#define HEADER_LENGTH_AT 0x201 /* the byte that tells where the header ends: 0x202 + its value */
#define HEADER_MAGIC     0x53726448 /* "HdrS" */
#define BOOT_FLAG        0xaa55
#define PROTOCOL_PAYLOAD 0x0208
#define PROTOCOL_64BIT   0x020c
#define ENTRY_64BIT      0x200
#define SECTOR           512
#define LOADER_UNDEFINED 0xff
#define ALIGNMENT_MIN    0x1000
#define ALIGNMENT_MAX    0x40000000

#define PTE_PRESENT  1
#define PTE_WRITABLE 2
#define PDE_LARGE    0x80

struct bzimage {
	struct setup_header header;
	uint64_t setup_size; /* of the real-mode part: the rest of the file is loaded */
	uint64_t payload_size;
};

static bool probe(const uint8_t *head, size_t size)
{
	const struct setup_header *header = (const void *)(head + HEADER_AT);

	return size >= HEADER_AT + sizeof(*header) && header->boot_flag == BOOT_FLAG &&
	       header->header == HEADER_MAGIC;
}

static int refuse(const struct boot_file *kernel, const char *why)
{
	log_error("kernel %s: %s; give --kernel another one", kernel->path, why);
	return -ENOEXEC;
}

static int read_header(const struct boot_file *kernel, struct bzimage *image)
{
	uint8_t head[BOOT_HEAD] = {0};
	uint64_t size = kernel->size < sizeof(head) ? kernel->size : sizeof(head);
	uint64_t length;
	int result = boot_read(kernel, 0, head, size);

	if (result < 0)
		return refuse(kernel, "cannot be read");
	if (!probe(head, size))
		return refuse(kernel, "is no bzImage");
	/*
	 * A newer kernel's header is longer than ours, an older one's shorter: the rest reads
	 * zero.
	 */
	length = 0x202 + head[HEADER_LENGTH_AT] - HEADER_AT;
	if (length > sizeof(image->header))
		length = sizeof(image->header);
	memset(&image->header, 0, sizeof(image->header));
	memcpy(&image->header, head + HEADER_AT, length);
	return 0;
}

/* The real-mode part, whose header counts the sectors behind the first. */
static uint64_t setup_size(const struct setup_header *h)
{
	uint64_t sectors = h->setup_sects ? h->setup_sects : 4;

	return (sectors + 1) * SECTOR;
}

int boot_bzimage_payload(const struct boot_file *kernel, uint64_t *offset, uint64_t *size)
{
	struct bzimage image;
	int result = read_header(kernel, &image);

	if (result < 0)
		return result;
	if (image.header.version < PROTOCOL_PAYLOAD)
		return refuse(kernel, "does not tell where its payload is (boot protocol 2.08)");
	*offset = setup_size(&image.header) + image.header.payload_offset;
	*size = image.header.payload_length;
	if (*offset > kernel->size || *size > kernel->size - *offset)
		return refuse(kernel, "is cut short");
	return 0;
}

static int check_header(const struct boot_file *kernel, struct bzimage *image)
{
	const struct setup_header *h = &image->header;

	if (h->version < PROTOCOL_64BIT || !(h->xloadflags & XLF_KERNEL_64))
		return refuse(kernel, "has no 64-bit entry point (boot protocol 2.12)");
	if (!(h->loadflags & LOADED_HIGH))
		return refuse(kernel, "is a zImage");
	image->setup_size = setup_size(h);
	if (kernel->size <= image->setup_size + ENTRY_64BIT)
		return refuse(kernel, "is cut short");
	image->payload_size = kernel->size - image->setup_size;
	/* syssize counts paragraphs, rounded up; a signature may follow. */
	if ((uint64_t)h->syssize * 16 > image->payload_size + 15)
		return refuse(kernel, "is cut short");
	if (h->kernel_alignment < ALIGNMENT_MIN || h->kernel_alignment > ALIGNMENT_MAX ||
	    h->kernel_alignment & (h->kernel_alignment - 1))
		return refuse(kernel, "asks for an impossible alignment");
	if (h->pref_address < BOOT_KERNEL_MIN || h->pref_address >= VM_PCI_HOLE_START)
		return refuse(kernel, "prefers an impossible address");
	if (h->init_size > VM_PCI_HOLE_START)
		return refuse(kernel, "asks for more memory than lies below 3 GiB");
	return 0;
}

static int parse(const struct boot_file *kernel, struct bzimage *image)
{
	int result = read_header(kernel, image);

	return result < 0 ? result : check_header(kernel, image);
}

static int check(const struct boot_images *images)
{
	struct bzimage image;

	return parse(&images->kernel, &image);
}

/* What must be free of anything else while the kernel unpacks itself. */
static uint64_t footprint(const struct bzimage *image)
{
	return image->header.init_size > image->payload_size ? image->header.init_size
							     : image->payload_size;
}

static int choose_address(const struct boot_file *kernel, const struct bzimage *image,
			  uint64_t *address)
{
	const struct setup_header *h = &image->header;
	uint64_t end = boot_low_ram_end(), need = footprint(image);
	uint64_t lowest =
		(BOOT_KERNEL_MIN + h->kernel_alignment - 1) & ~((uint64_t)h->kernel_alignment - 1);

	*address = h->pref_address;
	if (*address + need > end && h->relocatable_kernel && lowest < *address)
		*address = lowest;
	if (*address + need <= end)
		return 0;
	log_error("kernel %s needs %llu MiB from %llu MiB on; give the guest more --memory",
		  kernel->path, (unsigned long long)need >> 20, (unsigned long long)*address >> 20);
	return -E2BIG;
}

static void put_memory_map(struct boot_params *params)
{
	struct boot_range ranges[BOOT_RANGES_MAX];

	params->e820_entries = (uint8_t)boot_memory_map(ranges);
	for (unsigned int i = 0; i < params->e820_entries; i++) {
		params->e820_table[i].addr = ranges[i].start;
		params->e820_table[i].size = ranges[i].size;
		params->e820_table[i].type = ranges[i].type;
	}
}

static void put_boot_params(const struct bzimage *image, uint64_t initrd, uint64_t initrd_size)
{
	struct boot_params *params =
		guest_memory_at(vm_memory(), BOOT_ZERO_PAGE, sizeof(struct boot_params));

	memset(params, 0, sizeof(*params));
	params->hdr = image->header;
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.setup_data = 0;
	params->hdr.cmd_line_ptr = (uint32_t)BOOT_COMMAND_LINE;
	params->hdr.ramdisk_image = (uint32_t)initrd;
	params->hdr.ramdisk_size = (uint32_t)initrd_size;
	params->acpi_rsdp_addr = ACPI_RSDP;
	put_memory_map(params);
}

/* One PML4, one PDPT, four directories of 2 MiB pages. */
static void put_page_tables(void)
{
	uint64_t *table = guest_memory_at(vm_memory(), BOOT_PAGE_TABLES, 6 * 0x1000);
	uint64_t *pdpt = table + 512, *directories = table + 1024;

	memset(table, 0, 6 * 0x1000);
	table[0] = (BOOT_PAGE_TABLES + 0x1000) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + 0x2000 + i * 0x1000) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		directories[i] = i << 21 | PTE_PRESENT | PTE_WRITABLE | PDE_LARGE;
}

/* The selectors that the protocol names: 0x10 code, 0x18 data. */
static void put_gdt(struct vcpu_entry *entry)
{
	static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};

	memcpy(guest_memory_at(vm_memory(), BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
	entry->gdt = BOOT_GDT;
	entry->gdt_limit = sizeof(gdt) - 1;
}

static int load(const struct boot_images *images, struct vcpu_entry *entry)
{
	uint64_t address = 0, initrd = 0, initrd_size;
	struct bzimage image;
	int result = parse(&images->kernel, &image);

	if (!result)
		result = choose_address(&images->kernel, &image, &address);
	if (!result)
		result = boot_put_command_line(images->append, image.header.cmdline_size);
	if (!result)
		result = boot_read_to_guest(&images->kernel, image.setup_size, address,
					    image.payload_size);
	if (!result)
		result = boot_put_initrd(&images->initrd, address + footprint(&image),
					 (uint64_t)image.header.initrd_addr_max + 1, &initrd);
	if (result < 0)
		return result;
	initrd_size = initrd ? images->initrd.size : 0;
	put_boot_params(&image, initrd, initrd_size);
	put_page_tables();
	put_gdt(entry);
	entry->mode = VCPU_LONG_MODE;
	entry->rip = address + ENTRY_64BIT;
	entry->rsi = BOOT_ZERO_PAGE;
	entry->page_tables = BOOT_PAGE_TABLES;
	return 0;
}

const struct boot_format boot_bzimage = {
	.name = "a bzImage",
	.probe = probe,
	.check = check,
	.load = load,
};
