/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What boot.c shares with the kernel formats, and where boot data lies in the guest's first MiB.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_BOOT_FORMAT_H
#define PVKIT_HYPERVISOR_SHIM_BOOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/vcpu.h"

#define BOOT_GDT          0x1000ULL
#define BOOT_ZERO_PAGE    0x2000ULL /* struct boot_params */
#define BOOT_PAGE_TABLES  0x3000ULL /* six pages: the first 4 GiB, one to one */
#define BOOT_STACK        0x9ff0ULL
#define BOOT_PVH          0xa000ULL /* struct hvm_start_info and what it points to */
#define BOOT_COMMAND_LINE 0x20000ULL
#define BOOT_COMMAND_MAX  0xffffu
#define BOOT_LOW_END      0x9fc00ULL /* an extended BIOS data area would begin here */
#define BOOT_KERNEL_MIN   0x100000ULL

/* A file that is read as far as its size was when it was opened. */
struct boot_file {
	const char *path;
	int fd;
	uint64_t size;
};

struct boot_images {
	struct boot_file kernel, initrd; /* initrd.fd -1: none */
	const char *append;
};

struct boot_format {
	const char *name;
	bool (*probe)(const uint8_t *head, size_t size); /* of the file: at most BOOT_HEAD bytes */
	int (*check)(const struct boot_images *images);
	int (*load)(const struct boot_images *images, struct vcpu_entry *entry);
};
#define BOOT_HEAD 4096

extern const struct boot_format boot_bzimage, boot_elf;

/* Where in the file the compressed kernel lies; it does lie in there. -ENOEXEC after a line. */
int boot_bzimage_payload(const struct boot_file *kernel, uint64_t *offset, uint64_t *size);
/* Puts the ELF file inside a bzImage in place of it; -errno after a line. */
int boot_unpack(struct boot_file *kernel);

/* Exactly @size bytes from @offset, or -EIO (a short file: -ENODATA); says nothing. */
int boot_read(const struct boot_file *file, uint64_t offset, void *data, uint64_t size);
/* The same, into guest memory; reports a failure. */
int boot_read_to_guest(const struct boot_file *file, uint64_t offset, uint64_t address,
		       uint64_t size);
/* Zero-terminated at BOOT_COMMAND_LINE; -E2BIG after a line if longer than @max. */
int boot_put_command_line(const char *append, uint64_t max);
/* The initrd at the top of low RAM, below @limit, not below @floor. *address is 0 without one. */
int boot_put_initrd(const struct boot_file *initrd, uint64_t floor, uint64_t limit,
		    uint64_t *address);
uint64_t boot_low_ram_end(void);

#endif
