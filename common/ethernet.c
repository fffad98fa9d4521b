// SPDX-License-Identifier: MIT OR GPL-2.0
#include "common/ethernet.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

int ethernet_parse(uint8_t address[6], const char *text, char *reason, size_t size)
{
	static const uint8_t nobody[6];
	uint8_t byte[6];
	int length = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &byte[0], &byte[1], &byte[2],
		   &byte[3], &byte[4], &byte[5], &length) != 6 ||
	    length != 17 || text[length])
		snprintf(reason, size, "'%s' is not of the form 52:54:00:12:34:56", text);
	else if (byte[0] & 1)
		snprintf(reason, size, "'%s' is a group address: its first byte must be even", text);
	else if (!memcmp(byte, nobody, sizeof(byte)))
		snprintf(reason, size, "'%s' is nobody's address: no Linux takes it", text);
	else {
		memcpy(address, byte, sizeof(byte));
		return 0;
	}
	return -1;
}

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
