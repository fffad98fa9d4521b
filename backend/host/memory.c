// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What the shim's descriptors are mapped to. Each mapping is under the memory guard: a file that
 * shrinks costs the connection, not the process.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/host/host_private.h"
#include "backend/transport/memory_guard.h"

/* In which pages the file is mapped; 0 when it is shorter than [offset, offset + size). */
static size_t file_page(int fd, uint64_t offset, uint64_t size)
{
	struct statfs fs;
	struct stat st;
	uint64_t end;

	if (!size || __builtin_add_overflow(offset, size, &end) || end > INT64_MAX)
		return 0;
	if (fstat(fd, &st) || fstatfs(fd, &fs) || !S_ISREG(st.st_mode) ||
	    end > (uint64_t)st.st_size)
		return 0;
	return fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize : (size_t)sysconf(_SC_PAGESIZE);
}

int host_mapping_open(struct host_mapping *mapping, int fd, uint64_t offset, uint64_t size,
		      bool readonly, int event)
{
	size_t page = file_page(fd, offset, size);
	uint64_t skip;
	int err;

	if (!page)
		return -EPROTO;
	skip = offset & (page - 1);
	mapping->length = (skip + size + page - 1) & ~(page - 1);
	mapping->huge = page > HOST_PAGE_BYTES;
	mapping->base = mmap(NULL, mapping->length, readonly ? PROT_READ : PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_NORESERVE, fd, offset - skip);
	if (mapping->base == MAP_FAILED) {
		mapping->base = NULL;
		return -errno;
	}
	err = memory_guard_add(mapping->base, mapping->length, page, event);
	if (err) {
		munmap(mapping->base, mapping->length);
		mapping->base = NULL;
		return err;
	}
	/* A dump of the daemon is for its own state; the guest's memory is the guest's. */
	madvise(mapping->base, mapping->length, MADV_DONTDUMP);
	mapping->data = mapping->base + skip;
	return 0;
}

void host_mapping_close(struct host_mapping *mapping)
{
	if (!mapping->base)
		return;
	memory_guard_remove(mapping->base);
	munmap(mapping->base, mapping->length);
	*mapping = (struct host_mapping){0};
}

/* Frames are what grants name: a region is whole pages of the guest. */
static bool plausible(const struct attach_memory *region)
{
	uint64_t end;

	return region->size &&
	       !((region->guest_address | region->size | region->offset) & (HOST_PAGE_BYTES - 1)) &&
	       !__builtin_add_overflow(region->guest_address, region->size, &end) &&
	       region->size <= SIZE_MAX / 2;
}

int host_memory_add(struct host_memory *memory, const struct attach_memory *region, int fd,
		    int event)
{
	struct host_region *added = &memory->region[memory->count];
	bool readonly = region->flags & ATTACH_MEMORY_READONLY;
	int err;

	if (memory->count == GUEST_MEMORY_REGIONS_MAX)
		return -ENOSPC;
	if (!plausible(region))
		return -EPROTO;
	err = host_mapping_open(&added->mapping, fd, region->offset, region->size, readonly, event);
	if (err)
		return err;
	if (guest_memory_add(&memory->all, region->guest_address, region->size,
			     added->mapping.data)) {
		host_mapping_close(&added->mapping);
		return -EPROTO; /* overlaps another */
	}
	/* It found no overlap in all, so there is none in a part. */
	if (!readonly)
		guest_memory_add(&memory->writable, region->guest_address, region->size,
				 added->mapping.data);
	added->memory = *region;
	memory->count++;
	return 0;
}

static void region_close(struct host_memory *memory, struct host_region *region)
{
	guest_memory_remove(&memory->all, region->memory.guest_address, region->memory.size);
	guest_memory_remove(&memory->writable, region->memory.guest_address, region->memory.size);
	host_mapping_close(&region->mapping);
	*region = memory->region[--memory->count];
}

int host_memory_remove(struct host_memory *memory, const struct attach_memory *region)
{
	unsigned int i;

	for (i = 0; i < memory->count; i++) {
		struct host_region *at = &memory->region[i];

		if (at->memory.guest_address != region->guest_address ||
		    at->memory.size != region->size)
			continue;
		region_close(memory, at);
		return 0;
	}
	return -EPROTO;
}

void host_memory_clear(struct host_memory *memory)
{
	while (memory->count)
		region_close(memory, &memory->region[memory->count - 1]);
}
