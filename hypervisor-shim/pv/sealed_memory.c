// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/sealed_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

static int make(struct sealed_memory *memory, const char *name, size_t size)
{
	void *base;

	memory->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory->fd < 0)
		return -errno;
	if (ftruncate(memory->fd, (off_t)size) < 0 ||
	    fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	memory->base = base;
	memory->size = size;
	return 0;
}

int sealed_memory_open(struct sealed_memory *memory, const char *name, size_t size)
{
	int result;

	*memory = (struct sealed_memory){.fd = -1};
	result = make(memory, name, size);
	if (!result)
		return 0;
	log_error("cannot make %zu KiB of shared memory (%s): %s; see ulimit -n and free memory",
		  size >> 10, name, strerror(-result));
	if (memory->fd >= 0)
		close(memory->fd);
	*memory = (struct sealed_memory){.fd = -1};
	return result;
}

void sealed_memory_close(struct sealed_memory *memory)
{
	if (!memory->base)
		return;
	munmap(memory->base, memory->size);
	close(memory->fd);
	*memory = (struct sealed_memory){.fd = -1};
}

void sealed_memory_clear(struct sealed_memory *memory)
{
	if (fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)memory->size) < 0)
		memset(memory->base, 0, memory->size);
}
