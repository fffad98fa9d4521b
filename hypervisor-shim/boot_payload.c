// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The ELF kernel inside a bzImage, for those that are to be entered by PVH.
 *
 * The bzImage's header tells where the compressed kernel lies, its payload, and the payload's last
 * four bytes how large it is unpacked. That size is believed only as far as a limit, and then the
 * data must unpack to it exactly. Behind the ELF file lie the kernel's relocations, which its own
 * unpacker would use; to whom follows the ELF's headers they are nothing.
 *
 * What was unpacked lives in a memory file in place of the image, so that a reset finds it again
 * without the work.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/boot_format.h"
#include "hypervisor-shim/unpack.h"

#define SIZE_BYTES 4
/* A 64-bit kernel is mapped within 1 GiB (KERNEL_IMAGE_SIZE); a payload is smaller than what it is of. */
#define UNPACKED_MAX (1ULL << 30)

struct payload {
	uint8_t *data;
	uint64_t size, unpacked_size;
};

static int refuse(const struct boot_file *kernel, const char *why)
{
	log_error("kernel %s cannot be unpacked for --boot=pvh: %s; give --kernel another one, or "
		  "leave "
		  "out --boot",
		  kernel->path, why);
	return -ENOEXEC;
}

static int explain(const struct boot_file *kernel, const struct payload *payload, int error)
{
	const char *method = unpack_method(payload->data, payload->size);
	char text[100];

	switch (error) {
	case -ENOTSUP:
		if (!method)
			return refuse(kernel, "nobody knows what its payload is compressed by");
		snprintf(text, sizeof(text),
			 "its payload is compressed by %s, and only gzip, xz and zstd are known",
			 method);
		return refuse(kernel, text);
	case -EFBIG:
		return refuse(kernel, "its payload unpacks to more than it tells");
	case -ENODATA:
		return refuse(kernel, "its payload unpacks to less than it tells");
	case -EBADMSG:
		snprintf(text, sizeof(text), "its payload (%s) is cut short or damaged", method);
		return refuse(kernel, text);
	default:
		log_error("cannot unpack kernel %s: %s", kernel->path, strerror(-error));
		return error;
	}
}

static int read_payload(const struct boot_file *kernel, struct payload *payload)
{
	uint64_t offset;
	uint32_t told;
	int result = boot_bzimage_payload(kernel, &offset, &payload->size);

	if (result < 0)
		return result; /* after its own line */
	if (payload->size <= SIZE_BYTES || payload->size > UNPACKED_MAX)
		return refuse(kernel, "its payload has an impossible length");
	payload->data = malloc(payload->size);
	if (!payload->data)
		return explain(kernel, payload, -ENOMEM);
	if (boot_read(kernel, offset, payload->data, payload->size) < 0)
		return refuse(kernel, "the file cannot be read");
	memcpy(&told, payload->data + payload->size - SIZE_BYTES, SIZE_BYTES);
	payload->unpacked_size = told;
	if (!told || told > UNPACKED_MAX)
		return refuse(kernel, "its payload tells an impossible size, the file is damaged");
	return 0;
}

/* The memory file with the payload unpacked, or -errno after a line. */
static int unpack_to_file(const struct boot_file *kernel, const struct payload *payload)
{
	int fd = memfd_create("pvkit-kernel", MFD_CLOEXEC), result = 0;
	void *out = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)payload->unpacked_size) == 0)
		out = mmap(NULL, payload->unpacked_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (out == MAP_FAILED) {
		result = -errno;
		log_errno(
			"cannot get %llu MiB of memory to unpack kernel %s; see ulimit -n and free "
			"memory",
			(unsigned long long)payload->unpacked_size >> 20, kernel->path);
	} else {
		result = unpack(payload->data, payload->size, out, payload->unpacked_size);
		if (result < 0)
			result = explain(kernel, payload, result);
		else if (!boot_elf.probe(out, payload->unpacked_size))
			result = refuse(kernel, "its payload is no ELF file");
		munmap(out, payload->unpacked_size);
	}
	if (result < 0 && fd >= 0)
		close(fd);
	return result < 0 ? result : fd;
}

int boot_unpack(struct boot_file *kernel)
{
	struct payload payload = {0};
	int result = read_payload(kernel, &payload);

	if (!result)
		result = unpack_to_file(kernel, &payload);
	free(payload.data);
	if (result < 0)
		return result;
	close(kernel->fd);
	kernel->fd = result;
	kernel->size = payload.unpacked_size;
	return 0;
}
