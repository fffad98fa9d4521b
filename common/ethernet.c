// SPDX-License-Identifier: MIT OR GPL-2.0
#include "common/ethernet.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

/* 64-bit FNV-1a. */
void ethernet_derive(uint8_t address[6], const char *first, const char *second)
{
	char host[HOST_NAME_MAX + 1] = "";
	const char *names[] = {host, first, second};
	uint64_t hash = 0xcbf29ce484222325;

	gethostname(host, sizeof(host) - 1);
	for (unsigned int i = 0; i < 3; i++) {
		for (const char *c = names[i]; *c; c++)
			hash = (hash ^ (uint8_t)*c) * 0x100000001b3;
	}
	for (unsigned int i = 0; i < 6; i++)
		address[i] = (uint8_t)(hash >> 8 * i);
	address[0] = (address[0] & 0xfc) | 2;
}

void ethernet_chance(char text[17])
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = 0;
	snprintf(text, 17, "%016" PRIx64, random);
}
