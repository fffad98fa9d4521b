// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Pages side by side. The guest's pages lie anywhere in its memory, a ring is one piece: so its pages
 * are mapped a second time, in order. mremap() of nothing duplicates a shared mapping, which spares
 * us the descriptors of all regions; the kernel does not do that for huge pages.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/host/host_private.h"
#include "backend/transport/memory_guard.h"

bool host_maps_pages(const struct host *host)
{
	unsigned int i;

	for (i = 0; i < host->memory.count; i++)
		if (host->memory.region[i].mapping.huge)
			return false;
	return true;
}

static bool neighbours(const struct host_area *area)
{
	unsigned int i;

	for (i = 1; i < area->count; i++)
		if (area->pin[i].page != (uint8_t *)area->pin[0].page + i * HOST_PAGE_BYTES)
			return false;
	return true;
}

static int map_pages(struct host *host, struct host_area *area)
{
	size_t bytes = area->count * HOST_PAGE_BYTES;
	uint8_t *base;
	unsigned int i;
	int err;

	base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	for (i = 0; i < area->count; i++) {
		if (mremap(area->pin[i].page, 0, HOST_PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			   base + i * HOST_PAGE_BYTES) != MAP_FAILED)
			continue;
		err = errno == EINVAL ? -EOPNOTSUPP : -errno;
		munmap(base, bytes);
		return err;
	}
	err = memory_guard_add(base, bytes, HOST_PAGE_BYTES, host->guard);
	if (err) {
		munmap(base, bytes);
		return err;
	}
	area->pages = base;
	area->mapped = true;
	return 0;
}

int host_area_open(struct host *host, struct host_area *area, const uint32_t *references,
		   unsigned int count)
{
	unsigned int i;
	int err;

	memset(area, 0, sizeof(*area));
	if (!count || count > HOST_AREA_PAGES)
		return -EINVAL;
	area->count = count;
	for (i = 0; i < count; i++)
		area->pin[i] = (struct host_pin){.reference = references[i], .write = true};
	err = host_pin_many(host, area->pin, count);
	if (err)
		return err;
	if (neighbours(area)) {
		area->pages = area->pin[0].page;
		return 0;
	}
	err = map_pages(host, area);
	if (err)
		host_unpin_many(host, area->pin, count);
	return err;
}

void host_area_close(struct host *host, struct host_area *area)
{
	if (!area->pages)
		return;
	if (area->mapped) {
		memory_guard_remove(area->pages);
		munmap(area->pages, area->count * HOST_PAGE_BYTES);
	}
	host_unpin_many(host, area->pin, area->count);
	memset(area, 0, sizeof(*area));
}
