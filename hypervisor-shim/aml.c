// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Encodings: ACPI 6.4, chapter 20 (AML) and 6.4 (resource descriptors).
 */
#include <string.h>

#include "hypervisor-shim/aml.h"

#define OP_NAME    0x08
#define OP_BYTE    0x0a
#define OP_WORD    0x0b
#define OP_DWORD   0x0c
#define OP_STRING  0x0d
#define OP_QWORD   0x0e
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_EXT     0x5b
#define EXT_DEVICE 0x82
#define ROOT       '\\'

/* Lengths are always written in this many bytes: they are known only at the end of a block. */
#define LENGTH_BYTES 3
/* A resource template is a buffer whose own size is a word behind the block's length. */
#define TEMPLATE_SIZE_BYTES 3

#define SMALL_IRQ_NO_FLAGS 0x22
#define SMALL_PORT         0x47
#define SMALL_END          0x79
#define LARGE_MEMORY32     0x86
#define LARGE_DWORD        0x87
#define LARGE_WORD         0x88
#define LARGE_QWORD        0x8a

#define WINDOW_MEMORY       0
#define WINDOW_PORT         1
#define WINDOW_BUS          2
#define WINDOW_FIXED        0x0c /* both ends are fixed; a producer; positive decode */
#define MEMORY_WRITABLE     1
#define MEMORY_PREFETCHABLE (3 << 1)
#define PORT_ENTIRE_RANGE   3

static void put(struct aml *aml, const void *data, size_t size)
{
	if (aml->full || size > aml->room - aml->length) {
		aml->full = 1;
		return;
	}
	memcpy(aml->data + aml->length, data, size);
	aml->length += size;
}

static void put8(struct aml *aml, uint8_t value)
{
	put(aml, &value, sizeof(value));
}

static void put16(struct aml *aml, uint16_t value)
{
	put(aml, &value, sizeof(value));
}

static void put32(struct aml *aml, uint32_t value)
{
	put(aml, &value, sizeof(value));
}

static void put64(struct aml *aml, uint64_t value)
{
	put(aml, &value, sizeof(value));
}

void aml_start(struct aml *aml, void *data, size_t room)
{
	*aml = (struct aml){.data = data, .room = room};
}

size_t aml_length(const struct aml *aml)
{
	return aml->full || aml->depth ? 0 : aml->length;
}

static void begin(struct aml *aml)
{
	static const uint8_t later[LENGTH_BYTES];

	if (aml->depth == AML_DEPTH_MAX) {
		aml->full = 1;
		return;
	}
	aml->open[aml->depth++] = aml->length;
	put(aml, later, sizeof(later));
}

/* The length counts its own bytes: four bits in the first, the rest behind. */
void aml_end(struct aml *aml)
{
	size_t at, length;

	if (aml->full || !aml->depth)
		return;
	at = aml->open[--aml->depth];
	length = aml->length - at;
	aml->data[at] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (length & 0xf));
	aml->data[at + 1] = (uint8_t)(length >> 4);
	aml->data[at + 2] = (uint8_t)(length >> 12);
}

void aml_scope(struct aml *aml, const char *name)
{
	put8(aml, OP_SCOPE);
	begin(aml);
	put8(aml, ROOT);
	put(aml, name, 4);
}

void aml_device(struct aml *aml, const char *name)
{
	put8(aml, OP_EXT);
	put8(aml, EXT_DEVICE);
	begin(aml);
	put(aml, name, 4);
}

void aml_package(struct aml *aml, uint8_t elements)
{
	put8(aml, OP_PACKAGE);
	begin(aml);
	put8(aml, elements);
}

void aml_name(struct aml *aml, const char *name)
{
	put8(aml, OP_NAME);
	put(aml, name, 4);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		put8(aml, (uint8_t)value); /* ZeroOp, OneOp */
	} else if (value <= 0xff) {
		put8(aml, OP_BYTE);
		put8(aml, (uint8_t)value);
	} else if (value <= 0xffff) {
		put8(aml, OP_WORD);
		put16(aml, (uint16_t)value);
	} else if (value <= 0xffffffff) {
		put8(aml, OP_DWORD);
		put32(aml, (uint32_t)value);
	} else {
		put8(aml, OP_QWORD);
		put64(aml, value);
	}
}

void aml_string(struct aml *aml, const char *value)
{
	put8(aml, OP_STRING);
	put(aml, value, strlen(value) + 1);
}

static unsigned int hex(char c)
{
	return (unsigned int)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits, four hexadecimal digits, big-endian. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	unsigned int maker = (id[0] & 0x1fu) << 10 | (id[1] & 0x1fu) << 5 | (id[2] & 0x1fu);

	put8(aml, OP_DWORD);
	put8(aml, (uint8_t)(maker >> 8));
	put8(aml, (uint8_t)maker);
	put8(aml, (uint8_t)(hex(id[3]) << 4 | hex(id[4])));
	put8(aml, (uint8_t)(hex(id[5]) << 4 | hex(id[6])));
}

void aml_resources(struct aml *aml)
{
	put8(aml, OP_BUFFER);
	begin(aml);
	put8(aml, OP_WORD);
	put16(aml, 0); /* aml_resources_end() fills it */
}

void aml_resources_end(struct aml *aml)
{
	size_t size, at;

	put8(aml, SMALL_END);
	put8(aml, 0); /* no checksum */
	if (aml->full || !aml->depth)
		return;
	at = aml->open[aml->depth - 1] + LENGTH_BYTES;
	size = aml->length - at - TEMPLATE_SIZE_BYTES;
	aml->data[at + 1] = (uint8_t)size;
	aml->data[at + 2] = (uint8_t)(size >> 8);
	aml_end(aml);
}

void aml_port(struct aml *aml, uint16_t first, uint8_t count)
{
	put8(aml, SMALL_PORT);
	put8(aml, 1); /* decodes 16 bits */
	put16(aml, first);
	put16(aml, first);
	put8(aml, 1); /* alignment */
	put8(aml, count);
}

void aml_irq(struct aml *aml, unsigned int irq)
{
	put8(aml, SMALL_IRQ_NO_FLAGS);
	put16(aml, (uint16_t)(1u << irq));
}

void aml_memory32(struct aml *aml, uint32_t start, uint32_t size)
{
	put8(aml, LARGE_MEMORY32);
	put16(aml, 9);
	put8(aml, MEMORY_WRITABLE);
	put32(aml, start);
	put32(aml, size);
}

static void window_head(struct aml *aml, uint8_t kind, uint16_t length, uint8_t type, uint8_t flags)
{
	put8(aml, kind);
	put16(aml, length);
	put8(aml, type);
	put8(aml, WINDOW_FIXED);
	put8(aml, flags);
}

static void window_word(struct aml *aml, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	window_head(aml, LARGE_WORD, 13, type, flags);
	put16(aml, 0); /* granularity */
	put16(aml, first);
	put16(aml, last);
	put16(aml, 0); /* translation */
	put16(aml, (uint16_t)(last - first + 1));
}

void aml_window_bus(struct aml *aml, uint16_t first, uint16_t last)
{
	window_word(aml, WINDOW_BUS, 0, first, last);
}

void aml_window_port(struct aml *aml, uint16_t first, uint16_t last)
{
	window_word(aml, WINDOW_PORT, PORT_ENTIRE_RANGE, first, last);
}

void aml_window_memory32(struct aml *aml, uint32_t first, uint32_t last)
{
	window_head(aml, LARGE_DWORD, 23, WINDOW_MEMORY, MEMORY_WRITABLE);
	put32(aml, 0);
	put32(aml, first);
	put32(aml, last);
	put32(aml, 0);
	put32(aml, last - first + 1);
}

void aml_window_memory64(struct aml *aml, uint64_t first, uint64_t last)
{
	window_head(aml, LARGE_QWORD, 43, WINDOW_MEMORY, MEMORY_WRITABLE | MEMORY_PREFETCHABLE);
	put64(aml, 0);
	put64(aml, first);
	put64(aml, last);
	put64(aml, 0);
	put64(aml, last - first + 1);
}
