// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Booting without firmware: the shim is the boot loader. It knows two kinds of kernels and finds
 * out by itself which one it was given; each says in its own file how it is entered.
 *
 * Files are opened once, before anything else happens, and read again at each reset: so a kernel
 * that is replaced on disk meanwhile changes nothing, and nothing of the guest's own writing
 * survives.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/boot_format.h"
#include "hypervisor-shim/vm.h"

#define PAGE 0x1000ULL

static const struct boot_format *const formats[] = {&boot_bzimage, &boot_elf};

static struct {
	struct boot_images images;
	const struct boot_format *format;
} boot = {.images = {.kernel.fd = -1, .initrd.fd = -1}};

int boot_read(const struct boot_file *file, uint64_t offset, void *data, uint64_t size)
{
	uint8_t *at = data;

	if (offset > file->size || size > file->size - offset)
		return -ENODATA;
	while (size) {
		ssize_t n = pread(file->fd, at, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA; /* it was cut since it was opened */
		at += n;
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return 0;
}

int boot_read_to_guest(const struct boot_file *file, uint64_t offset, uint64_t address,
		       uint64_t size)
{
	void *host = guest_memory_at(vm_memory(), address, size);
	int result = host ? boot_read(file, offset, host, size) : -EFAULT;

	if (result == -EFAULT)
		log_error("%s does not fit the guest's memory: %llu bytes at 0x%llx; give it more "
			  "--memory",
			  file->path, (unsigned long long)size, (unsigned long long)address);
	else if (result < 0)
		log_error("cannot read %s: %s", file->path,
			  result == -ENODATA ? "the file is cut short" : strerror(-result));
	return result;
}

int boot_put_command_line(const char *append, uint64_t max)
{
	size_t length = strlen(append);
	char *at;

	if (length > max || length > BOOT_COMMAND_MAX) {
		log_error("the kernel takes a command line of %llu characters, --append has %zu; "
			  "shorten it",
			  (unsigned long long)max, length);
		return -E2BIG;
	}
	at = guest_memory_at(vm_memory(), BOOT_COMMAND_LINE, length + 1);
	if (!at)
		return -EFAULT;
	memcpy(at, append, length + 1);
	return 0;
}

int boot_put_initrd(const struct boot_file *initrd, uint64_t floor, uint64_t limit,
		    uint64_t *address)
{
	uint64_t end = boot_low_ram_end();

	*address = 0;
	if (initrd->fd < 0)
		return 0;
	if (end > limit)
		end = limit;
	if (initrd->size > end || ((end - initrd->size) & ~(PAGE - 1)) < floor) {
		log_error("%s (%llu MiB) does not fit behind the kernel, which ends at %llu MiB of "
			  "%llu; "
			  "give the guest more --memory",
			  initrd->path, (unsigned long long)initrd->size >> 20,
			  (unsigned long long)floor >> 20, (unsigned long long)end >> 20);
		return -E2BIG;
	}
	*address = (end - initrd->size) & ~(PAGE - 1);
	return boot_read_to_guest(initrd, 0, *address, initrd->size);
}

uint64_t boot_low_ram_end(void)
{
	return vm_memory()->region[0].size;
}

unsigned int boot_memory_map(struct boot_range ranges[BOOT_RANGES_MAX])
{
	const struct guest_memory *memory = vm_memory();
	unsigned int n = 0;

	ranges[n++] = (struct boot_range){0, BOOT_LOW_END, BOOT_RAM};
	ranges[n++] = (struct boot_range){BOOT_LOW_END, 0xa0000 - BOOT_LOW_END, BOOT_RESERVED};
	/* The ACPI tables lie here. */
	ranges[n++] = (struct boot_range){0xe0000, 0x20000, BOOT_RESERVED};
	ranges[n++] = (struct boot_range){BOOT_KERNEL_MIN, boot_low_ram_end() - BOOT_KERNEL_MIN,
					  BOOT_RAM};
	ranges[n++] = (struct boot_range){VM_ECAM_START, VM_ECAM_SIZE, BOOT_RESERVED};
	ranges[n++] =
		(struct boot_range){VM_KVM_START, VM_RAM_HIGH_START - VM_KVM_START, BOOT_RESERVED};
	if (memory->count > 1)
		ranges[n++] = (struct boot_range){memory->region[1].address, memory->region[1].size,
						  BOOT_RAM};
	return n;
}

static int open_file(struct boot_file *file, const char *path, const char *what)
{
	struct stat st;
	int result;

	file->path = path;
	/* Not to hang on a FIFO. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st) < 0) {
		result = -errno;
		log_errno("cannot open %s %s; see --%s", what, path, what);
		return result;
	}
	if (!S_ISREG(st.st_mode) || !st.st_size) {
		log_error("%s %s is %s; give --%s a file to load", what, path,
			  S_ISREG(st.st_mode) ? "empty" : "no regular file", what);
		return -EINVAL;
	}
	file->size = (uint64_t)st.st_size;
	return 0;
}

/* By what the file begins with. */
static int probe(void)
{
	const struct boot_file *kernel = &boot.images.kernel;
	uint64_t size = kernel->size < BOOT_HEAD ? kernel->size : BOOT_HEAD;
	uint8_t head[BOOT_HEAD];
	int result = boot_read(kernel, 0, head, size);

	boot.format = NULL;
	if (result < 0) {
		log_error("cannot read kernel %s: %s; see --kernel", kernel->path,
			  strerror(-result));
		return result;
	}
	for (size_t i = 0; !boot.format && i < sizeof(formats) / sizeof(*formats); i++)
		if (formats[i]->probe(head, size))
			boot.format = formats[i];
	return 0;
}

static int find_format(bool pvh)
{
	const struct boot_file *kernel = &boot.images.kernel;
	int result = probe();

	if (!result && pvh && boot.format == &boot_bzimage) {
		result = boot_unpack(&boot.images.kernel);
		if (!result)
			result = probe();
	}
	if (result < 0)
		return result;
	if (boot.format) {
		log_info("kernel %s is %s", kernel->path, boot.format->name);
		return boot.format->check(&boot.images);
	}
	log_error("%s is no kernel, neither a bzImage nor an ELF file; "
		  "give --kernel a /boot/vmlinuz-VERSION or a vmlinux",
		  kernel->path);
	return -ENOEXEC;
}

int boot_open(const char *kernel, const char *initrd, const char *append, bool pvh)
{
	int result = open_file(&boot.images.kernel, kernel, "kernel");

	boot.images.append = append;
	if (!result && initrd)
		result = open_file(&boot.images.initrd, initrd, "initrd");
	if (!result)
		result = find_format(pvh);
	if (result < 0)
		boot_close();
	return result;
}

void boot_close(void)
{
	struct boot_file *const files[] = {&boot.images.kernel, &boot.images.initrd};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (files[i]->fd >= 0)
			close(files[i]->fd);
		*files[i] = (struct boot_file){.fd = -1};
	}
	boot.format = NULL;
}

bool boot_is_pvh(void)
{
	return boot.format == &boot_elf;
}

int boot_load(struct vcpu_entry *entry)
{
	*entry = (struct vcpu_entry){.rsp = BOOT_STACK};
	return boot.format->load(&boot.images, entry);
}
