/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Stamps: what is written says where it belongs and how often that place was written, in each 16
 * bytes, so that a misplaced, torn, lost or old block is found wherever it is read.
 */
#ifndef PVKIT_TOOLS_LOAD_STAMP_H
#define PVKIT_TOOLS_LOAD_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One block of a queue's part of the disk. The owner thread keeps two requests off one block. */
struct stamp_block {
	uint32_t generation; /* what was written last and completed well; 0: unknown contents */
	bool busy;
};

struct stamp_map {
	uint64_t run; /* tells this run's stamps from those of an earlier one */
	uint64_t block_size;
	struct stamp_block *blocks;
};

void stamp_open(struct stamp_map *map, uint64_t blocks, uint64_t block_size, uint64_t run);
void stamp_close(struct stamp_map *map);

void stamp_write(const struct stamp_map *map, void *data, uint64_t offset, uint32_t generation);
/* -1 if @data is as it was written, else the first byte that is not, with what was there. */
int64_t stamp_check(const struct stamp_map *map, const void *data, uint64_t offset,
		    uint32_t generation, uint64_t found[2]);

/* ---- frames ---------------------------------------------------------------------------------- */

/*
 * A frame says behind its header how long it was and which one it is, and after that, in each 8 bytes,
 * what follows from these and the place.
 */
#define STAMP_FRAME_START 14 /* Ethernet's header */
#define STAMP_FRAME_LEAST (STAMP_FRAME_START + 16)

void stamp_frame(uint8_t *frame, uint32_t bytes, uint64_t sequence);
/* -1 if the frame is as it was stamped, else the first byte that is not. */
int64_t stamp_frame_check(const uint8_t *frame, uint32_t bytes);

#endif
