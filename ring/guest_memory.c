// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The table of guest memory regions and the door through it.
 */
#include "ring/guest_memory.h"

/* Index of the first region that starts behind @address. */
static uint32_t first_behind(const struct guest_memory *memory, uint64_t address)
{
	uint32_t i = 0;

	while (i < memory->count && memory->region[i].address <= address)
		i++;
	return i;
}

int guest_memory_add(struct guest_memory *memory, uint64_t address, uint64_t size, void *host)
{
	struct guest_region *region = memory->region;
	uint32_t place = first_behind(memory, address), i;
	/* The last byte, since a region may end at the very top of the address space. */
	uint64_t last = address + size - 1;

	if (!size || last < address || memory->count >= GUEST_MEMORY_REGIONS_MAX)
		return -1;
	if (place > 0 && address - region[place - 1].address < region[place - 1].size)
		return -1;
	if (place < memory->count && last >= region[place].address)
		return -1;

	for (i = memory->count; i > place; i--)
		region[i] = region[i - 1];
	region[place].address = address;
	region[place].size = size;
	region[place].host = (uint8_t *)host;
	memory->count++;
	return 0;
}

int guest_memory_remove(struct guest_memory *memory, uint64_t address, uint64_t size)
{
	struct guest_region *region = memory->region;
	uint32_t place = first_behind(memory, address), i;

	if (!place || region[place - 1].address != address || region[place - 1].size != size)
		return -1;
	memory->count--;
	for (i = place - 1; i < memory->count; i++)
		region[i] = region[i + 1];
	return 0;
}

/*
 * Runs once per descriptor. The search halves the table without a branch that depends on the data;
 * a guest has one to four regions mostly, so it takes no or two steps.
 */
void *guest_memory_at(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
	const struct guest_region *region = memory->region;
	uint32_t count = memory->count, half;
	uint64_t offset;

	if (!count)
		return NULL;
	while (count > 1) {
		half = count / 2;
		region += region[half].address <= address ? half : 0;
		count -= half;
	}

	/* An address below the region wraps to an offset that no region is large enough for. */
	offset = address - region->address;
	if (offset >= region->size)
		return NULL;
	/* The subtraction of 1 makes a zero length the largest of all. */
	if (length - 1 >= region->size - offset)
		return NULL;
	return region->host + offset;
}

uint64_t guest_memory_run(const struct guest_memory *memory, uint64_t address)
{
	uint32_t place = first_behind(memory, address);
	const struct guest_region *region = memory->region;
	uint64_t offset;

	if (!place)
		return 0;
	region += place - 1;
	offset = address - region->address;
	return offset < region->size ? region->size - offset : 0;
}
