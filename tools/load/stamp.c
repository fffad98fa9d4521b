// SPDX-License-Identifier: MIT OR GPL-2.0
#include "tools/load/stamp.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

void stamp_open(struct stamp_map *map, uint64_t blocks, uint64_t block_size, uint64_t run)
{
	map->run = run;
	map->block_size = block_size;
	map->blocks = calloc(blocks, sizeof(*map->blocks));
	if (!map->blocks)
		die_errno("no memory to remember %llu blocks; use --size",
			  (unsigned long long)blocks);
}

void stamp_close(struct stamp_map *map)
{
	free(map->blocks);
	map->blocks = NULL;
}

static uint64_t stamp_generation(const struct stamp_map *map, uint32_t generation)
{
	return map->run << 32 | generation;
}

void stamp_write(const struct stamp_map *map, void *data, uint64_t offset, uint32_t generation)
{
	uint64_t *word = data, i;

	for (i = 0; i < map->block_size; i += 16) {
		*word++ = offset + i;
		*word++ = stamp_generation(map, generation);
	}
}

int64_t stamp_check(const struct stamp_map *map, const void *data, uint64_t offset,
		    uint32_t generation, uint64_t found[2])
{
	const uint64_t *word = data;
	uint64_t i;

	for (i = 0; i < map->block_size; i += 16, word += 2) {
		if (word[0] == offset + i && word[1] == stamp_generation(map, generation))
			continue;
		memcpy(found, word, 16);
		return (int64_t)i;
	}
	return -1;
}

static uint64_t frame_word(uint64_t sequence, uint32_t bytes, uint32_t at)
{
	return (sequence + at) * 0x9e3779b97f4a7c15ULL ^ bytes;
}

/* The word at @at; the last one of a frame may be shorter. */
static uint32_t word_bytes(uint32_t bytes, uint32_t at)
{
	return bytes - at < 8 ? bytes - at : 8;
}

void stamp_frame(uint8_t *frame, uint32_t bytes, uint64_t sequence)
{
	uint64_t length = bytes, word;
	uint32_t at = STAMP_FRAME_LEAST;

	memcpy(frame + STAMP_FRAME_START, &length, 8);
	memcpy(frame + STAMP_FRAME_START + 8, &sequence, 8);
	for (; at < bytes; at += 8) {
		word = frame_word(sequence, bytes, at);
		memcpy(frame + at, &word, word_bytes(bytes, at));
	}
}

int64_t stamp_frame_check(const uint8_t *frame, uint32_t bytes)
{
	uint64_t length, sequence, word;
	uint32_t at = STAMP_FRAME_LEAST;

	if (bytes < STAMP_FRAME_LEAST)
		return bytes;
	memcpy(&length, frame + STAMP_FRAME_START, 8);
	memcpy(&sequence, frame + STAMP_FRAME_START + 8, 8);
	if (length != bytes)
		return STAMP_FRAME_START;
	for (; at < bytes; at += 8) {
		word = frame_word(sequence, bytes, at);
		if (memcmp(frame + at, &word, word_bytes(bytes, at)) != 0)
			return at;
	}
	return -1;
}
