// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/transport/memory_guard.h"
#include "backend/transport/vhost_user_memory.h"

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* No sum of a region's numbers may wrap, and no user address may mean two things. */
static bool region_plausible(const struct memory_table *table,
			     const struct vhost_user_memory_region *region)
{
	uint64_t end;
	uint32_t i;

	if (!region->size || region->size > SIZE_MAX / 2 ||
	    __builtin_add_overflow(region->guest_address, region->size, &end) ||
	    __builtin_add_overflow(region->user_address, region->size, &end) ||
	    __builtin_add_overflow(region->mmap_offset, region->size, &end) || end > INT64_MAX)
		return false;
	for (i = 0; i < table->count; i++) {
		const struct memory_mapping *m = &table->mapping[i];

		if (overlap(m->user_address, m->size, region->user_address, region->size) ||
		    overlap(m->guest_address, m->size, region->guest_address, region->size))
			return false;
	}
	return true;
}

/*
 * The page size of the file: a huge page for hugetlbfs, where mappings must begin and end at its
 * multiples. 0 if the file is shorter than the region, whose tail would fault.
 */
static size_t file_page(int fd, const struct vhost_user_memory_region *region)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return 0;
	if (S_ISREG(st.st_mode) && region->mmap_offset + region->size > (uint64_t)st.st_size)
		return 0;
	return fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize : (size_t)sysconf(_SC_PAGESIZE);
}

static int mapping_open(struct memory_mapping *m, const struct vhost_user_memory_region *region,
			int fd, int event)
{
	size_t page = file_page(fd, region);
	uint64_t skip;
	int err;

	if (!page)
		return -EPROTO;
	skip = region->mmap_offset & (page - 1);
	m->length = (skip + region->size + page - 1) & ~(page - 1);
	m->base = mmap(NULL, m->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		       region->mmap_offset - skip);
	if (m->base == MAP_FAILED)
		return -errno;
	err = memory_guard_add(m->base, m->length, page, event);
	if (err) {
		munmap(m->base, m->length);
		return err;
	}
	/* A dump of the daemon is for its own state; the guest's memory is the guest's. */
	madvise(m->base, m->length, MADV_DONTDUMP);
	m->host = (uint8_t *)m->base + skip;
	m->guest_address = region->guest_address;
	m->user_address = region->user_address;
	m->size = region->size;
	return 0;
}

static void mapping_close(struct memory_mapping *m)
{
	memory_guard_remove(m->base);
	munmap(m->base, m->length);
}

int memory_table_add(struct memory_table *table, const struct vhost_user_memory_region *region,
		     int fd, int event)
{
	struct memory_mapping *m = &table->mapping[table->count];
	int err;

	if (table->count == GUEST_MEMORY_REGIONS_MAX)
		return -ENOSPC;
	if (!region_plausible(table, region))
		return -EPROTO;
	err = mapping_open(m, region, fd, event);
	if (err)
		return err;
	if (guest_memory_add(&table->guest, m->guest_address, m->size, m->host)) {
		mapping_close(m);
		return -EPROTO;
	}
	table->count++;
	return 0;
}

int memory_table_remove(struct memory_table *table, const struct vhost_user_memory_region *region)
{
	struct memory_mapping *m;

	for (m = table->mapping; m < table->mapping + table->count; m++) {
		if (m->guest_address != region->guest_address || m->size != region->size ||
		    m->user_address != region->user_address)
			continue;
		guest_memory_remove(&table->guest, m->guest_address, m->size);
		mapping_close(m);
		*m = table->mapping[--table->count];
		return 0;
	}
	return -ENOENT;
}

void memory_table_clear(struct memory_table *table)
{
	while (table->count) {
		struct memory_mapping *m = &table->mapping[--table->count];

		guest_memory_remove(&table->guest, m->guest_address, m->size);
		mapping_close(m);
	}
}

void *memory_table_user(const struct memory_table *table, uint64_t address, uint64_t length)
{
	const struct memory_mapping *m;

	for (m = table->mapping; m < table->mapping + table->count; m++) {
		if (address >= m->user_address && address - m->user_address < m->size &&
		    length <= m->size - (address - m->user_address))
			return m->host + (address - m->user_address);
	}
	return NULL;
}
