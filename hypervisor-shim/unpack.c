// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Each method's own library unpacks in one call, from one buffer to another. So the output's size is
 * the bound, whatever the data claim.
 */
#include "hypervisor-shim/unpack.h"

#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* What liblzma may take for its dictionary: kernels have one of up to 128 MiB. */
#define XZ_MEMORY_MAX (256ULL << 20)
#define GZIP_WINDOW   (16 + MAX_WBITS) /* zlib: with gzip's header and checksum */

static int unpack_gzip(const void *data, size_t size, void *out, size_t *filled)
{
	z_stream stream = {.next_in = (Bytef *)data, .next_out = out};
	int result;

	if (size > UINT_MAX || *filled > UINT_MAX)
		return -EFBIG;
	stream.avail_in = (uInt)size;
	stream.avail_out = (uInt)*filled;
	if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	result = inflate(&stream, Z_FINISH);
	*filled = stream.total_out;
	inflateEnd(&stream);
	if (result == Z_STREAM_END)
		return 0;
	if (result == Z_MEM_ERROR)
		return -ENOMEM;
	/* Neither ended nor wrong: it lacks input, or room. */
	return result == Z_BUF_ERROR && !stream.avail_out ? -EFBIG : -EBADMSG;
}

static int unpack_xz(const void *data, size_t size, void *out, size_t *filled)
{
	uint64_t memory = XZ_MEMORY_MAX;
	size_t read = 0, written = 0;

	switch (lzma_stream_buffer_decode(&memory, 0, NULL, data, &read, size, out, &written,
					  *filled)) {
	case LZMA_OK:
		*filled = written;
		return 0;
	case LZMA_MEM_ERROR:
	case LZMA_MEMLIMIT_ERROR:
		return -ENOMEM;
	case LZMA_BUF_ERROR:
		return -EFBIG;
	default:
		return -EBADMSG;
	}
}

static int unpack_zstd(const void *data, size_t size, void *out, size_t *filled)
{
	/* Of the first frame: the library takes whole frames only. */
	size_t frame = ZSTD_findFrameCompressedSize(data, size), result;

	if (ZSTD_isError(frame))
		return -EBADMSG;
	result = ZSTD_decompress(out, *filled, data, frame);
	if (!ZSTD_isError(result)) {
		*filled = result;
		return 0;
	}
	switch (ZSTD_getErrorCode(result)) {
	case ZSTD_error_dstSize_tooSmall:
		return -EFBIG;
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

/* All that Linux compresses its kernels by. */
static const struct method {
	const char *name, *magic;
	size_t magic_size;
	int (*unpack)(const void *data, size_t size, void *out, size_t *filled);
} methods[] = {
	{"gzip", "\x1f\x8b\x08", 3, unpack_gzip},
	{"xz",
	 "\xfd"
	 "7zXZ",
	 6, unpack_xz},
	{"zstd", "\x28\xb5\x2f\xfd", 4, unpack_zstd},
	{"bzip2", "BZh", 3, NULL},
	{"lzma", "\x5d\0\0", 3, NULL},
	{"lzo", "\x89LZO", 5, NULL},
	{"lz4", "\x02\x21\x4c\x18", 4, NULL},
	{"lz4", "\x04\x22\x4d\x18", 4, NULL},
};

static const struct method *find_method(const void *data, size_t size)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (size >= methods[i].magic_size &&
		    !memcmp(data, methods[i].magic, methods[i].magic_size))
			return &methods[i];
	return NULL;
}

const char *unpack_method(const void *data, size_t size)
{
	const struct method *method = find_method(data, size);

	return method ? method->name : NULL;
}

int unpack(const void *data, size_t size, void *out, size_t room)
{
	const struct method *method = find_method(data, size);
	size_t filled = room;
	int result;

	if (!method || !method->unpack)
		return -ENOTSUP;
	result = method->unpack(data, size, out, &filled);
	if (result < 0)
		return result;
	return filled == room ? 0 : -ENODATA;
}
