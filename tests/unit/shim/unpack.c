// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * --boot=pvh: the ELF kernel inside a bzImage. What was packed by each method's own library must
 * load as the ELF file alone would; whatever else lies there must be refused in one line, within
 * the file, the memory told and no time at all (the sanitizers watch).
 */
#include "tests/unit/shim/images.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define ROUNDS      3000
#define SETUP       (5 * 512)
#define OFFSET      700 /* of the payload, behind the real-mode part */
#define RELOCATIONS 1000 /* behind the ELF file, as Linux has them */

/* ---- packing --------------------------------------------------------------------------------- */

static size_t pack_gzip(const void *data, size_t size, uint8_t *out, size_t room)
{
	z_stream stream = {
		.next_in = (Bytef *)data,
		.avail_in = (uInt)size,
		.next_out = out,
		.avail_out = (uInt)room,
	};

	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, 0), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return stream.total_out;
}

static uint32_t xz_dictionary = 1 << 20;

/* As Linux does it: x86 instructions are prepared. */
static size_t pack_xz(const void *data, size_t size, uint8_t *out, size_t room)
{
	lzma_options_lzma options;
	lzma_filter filters[] = {
		{LZMA_FILTER_X86, NULL},
		{LZMA_FILTER_LZMA2, &options},
		{LZMA_VLI_UNKNOWN, NULL},
	};
	size_t used = 0;

	assert_false(lzma_lzma_preset(&options, 0));
	options.dict_size = xz_dictionary;
	assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, data, size, out,
						   &used, room),
			 LZMA_OK);
	return used;
}

static size_t pack_zstd(const void *data, size_t size, uint8_t *out, size_t room)
{
	size_t used = ZSTD_compress(out, room, data, size, 3);

	assert_false(ZSTD_isError(used));
	return used;
}

static const struct packer {
	const char *name;
	size_t (*pack)(const void *data, size_t size, uint8_t *out, size_t room);
	bool tells_size; /* as the last thing of its stream; else Linux appends it */
} packers[] = {
	{"gzip", pack_gzip, true},
	{"xz", pack_xz, false},
	{"zstd", pack_zstd, false},
};
#define PACKERS (sizeof(packers) / sizeof(*packers))

static uint8_t kernel[sizeof(struct elf_file) + RELOCATIONS];
static uint8_t *const payload = file + SETUP + OFFSET;

static struct setup_header *header(void)
{
	return (void *)(file + 0x1f1);
}

static void tell_size(uint32_t size)
{
	memcpy(payload + header()->payload_length - 4, &size, 4);
}

static void put_payload(const struct packer *packer, const void *data, size_t size)
{
	size_t room = KERNEL_SIZE - SETUP - OFFSET - 4, used;

	make_bzimage(file)->payload_offset = OFFSET;
	used = packer->pack(data, size, payload, room);
	header()->payload_length = (uint32_t)(used + (packer->tells_size ? 0 : 4));
	tell_size((uint32_t)size);
}

/* The ELF file of images.h, with code that does not vanish when it is packed. */
static void make_packed(const struct packer *packer)
{
	make_elf(&elf);
	srand(1);
	for (size_t i = 0; i < sizeof(elf.code); i++)
		elf.code[i] = (uint8_t)(rand() & (i & 1 ? 0xff : 0x0f));
	memcpy(kernel, &elf, sizeof(elf));
	memset(kernel + sizeof(elf), 0xa5, RELOCATIONS);
	put_payload(packer, kernel, sizeof(kernel));
}

static int check_pvh(void)
{
	return check_as(true, file, sizeof(file));
}

static void refused(const char *why)
{
	assert_int_equal(check_pvh(), -ENOEXEC);
	if (!strstr(last_line, why))
		fail_msg("'%s' does not say '%s'", last_line, why);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void each_method_loads(void **state)
{
	struct vcpu_entry entry;

	xz_dictionary = 128 << 20; /* as Linux has it; unpacking must afford one */
	for (size_t i = 0; i < PACKERS; i++) {
		make_packed(&packers[i]);
		set_memory(MEMORY);
		memset(ram + 0x200000, 0, sizeof(elf.code));
		assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, "x", true), 0);
		assert_true(boot_is_pvh());
		for (int resets = 0; resets < 2; resets++) {
			assert_int_equal(boot_load(&entry), 0);
			assert_int_equal(entry.mode, VCPU_PROTECTED_32);
			assert_int_equal(entry.rip, ENTRY);
			assert_memory_equal(ram + 0x200000, elf.code, sizeof(elf.code));
			memset(ram, 0, 4 * MIB);
		}
		boot_close();
	}
	xz_dictionary = 1 << 20;
}

static void only_when_asked(void **state)
{
	make_packed(&packers[0]);
	assert_int_equal(boot_open(file_with(file, sizeof(file)), NULL, "", false), 0);
	assert_false(boot_is_pvh());
	boot_close();
	/* What is an ELF file needs no unpacking, and what is no kernel gets none. */
	assert_int_equal(boot_open(file_with(&elf, sizeof(elf)), NULL, "", true), 0);
	assert_true(boot_is_pvh());
	boot_close();
	memset(file, 'x', sizeof(file));
	refused("is no kernel");
}

static void wrong_places(void **state)
{
	make_packed(&packers[1]);
	header()->version = 0x207;
	refused("boot protocol 2.08");
	make_packed(&packers[1]);
	header()->payload_offset = 0xffffffff;
	refused("cut short");
	header()->payload_offset = KERNEL_SIZE - SETUP;
	refused("cut short");
	header()->payload_offset = OFFSET + 1;
	refused("impossible size"); /* read from where it is not */
	make_packed(&packers[1]);
	header()->payload_length = 0xffffffff;
	refused("cut short");
	for (uint32_t length = 0; length <= 4; length++) {
		header()->payload_length = length;
		refused("impossible length");
	}
}

static void wrong_sizes(void **state)
{
	for (size_t i = 0; i < PACKERS; i++) {
		make_packed(&packers[i]);
		tell_size(0);
		refused("impossible size");
		tell_size(0xffffffff);
		refused("impossible size");
		tell_size((1 << 30) + 1);
		refused("impossible size");
		if (packers[i].tells_size)
			continue; /* it is a part of the stream, which then is damaged */
		tell_size(sizeof(kernel) - 1);
		refused("more than it tells");
		tell_size(1);
		refused("more than it tells");
		tell_size(sizeof(kernel) + 1);
		refused("less than it tells");
		tell_size(1 << 30);
		refused("less than it tells");
	}
}

static void cut_anywhere(void **state)
{
	for (size_t i = 0; i < PACKERS; i++) {
		make_packed(&packers[i]);
		for (size_t size = 1; size < SETUP + OFFSET + header()->payload_length;
		     size += size < 4000 ? 11 : 97)
			assert_true(check_as(true, file, size) < 0);
		/* The file is whole, and its header tells a shorter payload; as long as it looks. */
		for (uint32_t length = header()->payload_length - 5; length > 20; length -= 17) {
			header()->payload_length = length;
			tell_size(sizeof(kernel));
			refused("");
		}
	}
}

static void bombs(void **state)
{
	size_t size = 8 * MIB;
	void *zeros = calloc(1, size);

	assert_non_null(zeros);
	for (size_t i = 0; i < PACKERS; i++) {
		put_payload(&packers[i], zeros, size);
		refused("no ELF file");
		tell_size(4096);
		refused(packers[i].tells_size ? "" : "more than it tells");
	}
	free(zeros);
}

static void other_methods(void **state)
{
	static const struct {
		const char *name;
		uint8_t magic[6];
	} others[] = {
		{"bzip2", "BZh91A"},
		{"lzma", {0x5d, 0, 0, 0x80, 0, 0xff}},
		{"lzo", {0x89, 'L', 'Z', 'O', 0, 0x0d}},
		{"lz4", {2, 0x21, 0x4c, 0x18, 1, 2}},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		make_packed(&packers[0]);
		memcpy(payload, others[i].magic, sizeof(others[i].magic));
		refused(others[i].name);
	}
	make_packed(&packers[0]);
	memset(payload, 'x', 16);
	refused("nobody knows");
	/* A magic and no more of it. */
	memcpy(payload,
	       "\xfd"
	       "7zXZ",
	       6);
	header()->payload_length = 5;
	refused("impossible size");
	tell_size(4096);
	refused("nobody knows");
}

static void what_is_no_elf(void **state)
{
	static uint8_t inner[KERNEL_SIZE];

	make_bzimage(inner); /* that would be entered the other way */
	put_payload(&packers[2], inner, sizeof(inner));
	refused("no ELF file");
	make_packed(&packers[2]);
	elf.notes.head.n_type = 17;
	put_payload(&packers[2], &elf, sizeof(elf));
	refused("no PVH entry point");
	put_payload(&packers[2], &elf, sizeof(elf.head) - 1);
	refused("cut short");
	put_payload(&packers[2], &elf, 20);
	refused("no ELF file");
}

static void random_damage(void **state)
{
	unsigned int loaded = 0;

	srand(2);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct vcpu_entry entry;
		int seed = rand();

		make_packed(&packers[i % PACKERS]);
		srand((unsigned int)seed);
		for (int n = rand() % 3; n >= 0; n--)
			payload[(size_t)rand() % header()->payload_length] ^=
				(uint8_t)(1 << rand() % 8);
		if (boot_open(file_with(file, sizeof(file)), NULL, "x", true) == 0 &&
		    boot_load(&entry) == 0)
			loaded++;
		boot_close();
	}
	/* Checksums see nearly all: gzip's header has bits that mean nothing, zstd here has no sum. */
	assert_true(loaded < ROUNDS / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_method_loads), TEST(only_when_asked), TEST(wrong_places),
		TEST(wrong_sizes),       TEST(cut_anywhere),    TEST(bombs),
		TEST(other_methods),     TEST(what_is_no_elf),  TEST(random_damage),
	};

	return cmocka_run_group_tests(tests, make_memory, NULL);
}
