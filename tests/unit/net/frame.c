// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Which headers pass, and what is left of their fields.
 */
#include "fixture.h"

#define NEEDS VIRTIO_NET_HDR_F_NEEDS_CSUM
#define VALID VIRTIO_NET_HDR_F_DATA_VALID
#define TCP4  VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6  VIRTIO_NET_HDR_GSO_TCPV6
#define ECN   VIRTIO_NET_HDR_GSO_ECN
#define UDP   VIRTIO_NET_HDR_GSO_UDP
#define ALL   0x7f

static const struct {
	const char *name;
	struct frame_header header;
	size_t length;
	unsigned int offloads;
	enum frame_verdict verdict;
} rows[] = {
	{"plain", {0}, 60, 0, FRAME_GOOD},
	{"no byte", {0}, 0, ALL, FRAME_SHORT},
	{"one byte short of Ethernet", {0}, 13, ALL, FRAME_SHORT},
	{"Ethernet header only", {0}, 14, 0, FRAME_GOOD},
	{"longest", {0}, FRAME_BYTES_MAX, 0, FRAME_GOOD},
	{"too long", {0}, FRAME_BYTES_MAX + 1, ALL, FRAME_LONG},

	{"checksum", {NEEDS, .csum_start = 34, .csum_offset = 16}, 60, FRAME_CSUM, FRAME_GOOD},
	{"not negotiated", {NEEDS, .csum_start = 34, .csum_offset = 16}, 60, 0, FRAME_BAD_CSUM},
	{"field at the end", {NEEDS, .csum_start = 42, .csum_offset = 16}, 60, ALL, FRAME_GOOD},
	{"field past the end",
	 {NEEDS, .csum_start = 43, .csum_offset = 16},
	 60,
	 ALL,
	 FRAME_BAD_CSUM},
	{"start past the end", {NEEDS, .csum_start = 60}, 60, ALL, FRAME_BAD_CSUM},
	{"16-bit wrap", {NEEDS, .csum_start = 65535, .csum_offset = 3}, 60, ALL, FRAME_BAD_CSUM},
	{"places without the flag",
	 {0, .csum_start = 900, .csum_offset = 900},
	 60,
	 ALL,
	 FRAME_GOOD},

	{"TSO4", {NEEDS, TCP4, 54, 1448, 34, 16, 0}, 4000, FRAME_CSUM | FRAME_TSO4, FRAME_GOOD},
	{"TSO4 not negotiated",
	 {NEEDS, TCP4, 54, 1448, 34, 16, 0},
	 4000,
	 FRAME_CSUM,
	 FRAME_BAD_GSO},
	{"TSO6", {NEEDS, TCP6, 74, 1428, 54, 16, 0}, 4000, FRAME_CSUM | FRAME_TSO6, FRAME_GOOD},
	{"TSO6 where only 4", {NEEDS, TCP6, 74, 1428, 54, 16, 0}, 4000, 3, FRAME_BAD_GSO},
	{"ECN", {NEEDS, TCP4 | ECN, 54, 1448, 34, 16, 0}, 4000, FRAME_ECN | 3, FRAME_GOOD},
	{"ECN not negotiated", {NEEDS, TCP4 | ECN, 54, 1448, 34, 16, 0}, 4000, 3, FRAME_BAD_GSO},
	{"UFO", {NEEDS, UDP, 42, 1480, 34, 6, 0}, 4000, FRAME_CSUM | FRAME_UFO, FRAME_GOOD},
	{"UFO with ECN", {NEEDS, UDP | ECN, 42, 1480, 34, 6, 0}, 4000, ALL, FRAME_BAD_GSO},
	{"USO", {NEEDS, FRAME_GSO_UDP_L4, 42, 1400, 34, 6, 0}, 4000, ALL, FRAME_GOOD},
	{"USO of one IP version",
	 {NEEDS, FRAME_GSO_UDP_L4, 42, 1400, 34, 6, 0},
	 4000,
	 FRAME_CSUM | FRAME_USO4,
	 FRAME_BAD_GSO},
	{"unknown type", {NEEDS, 2, 54, 1448, 34, 16, 0}, 4000, ALL, FRAME_BAD_GSO},
	{"ECN of nothing", {NEEDS, ECN, 54, 1448, 34, 16, 0}, 4000, ALL, FRAME_BAD_GSO},
	{"size 0", {NEEDS, TCP4, 54, 0, 34, 16, 0}, 4000, ALL, FRAME_BAD_GSO},
	{"no checksum to fill", {0, TCP4, 54, 1448, 34, 16, 0}, 4000, ALL, FRAME_BAD_GSO},
	{"no room for TCP", {NEEDS, TCP4, 54, 1448, 34, 16, 0}, 53, ALL, FRAME_BAD_GSO},
	{"headers past the end", {NEEDS, TCP4, 4001, 1448, 34, 16, 0}, 4000, ALL, FRAME_BAD_HEADER},
	{"headers of no GSO", {.hdr_len = 60000, .gso_size = 9}, 60, ALL, FRAME_GOOD},
};

static void test_table(void **state)
{
	struct frame_header header;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		header = rows[i].header;
		if (frame_check(&header, rows[i].length, rows[i].offloads) != rows[i].verdict)
			fail_msg("%s: not %s", rows[i].name, frame_verdict_text(rows[i].verdict));
	}
}

static void test_what_means_nothing_is_cleared(void **state)
{
	struct frame_header header = {0xfc, 0, 77, 88, 99, 11, 22}, zero = {0};

	assert_int_equal(frame_check(&header, 100, ALL), FRAME_GOOD);
	assert_memory_equal(&header, &zero, sizeof(zero));
}

static void test_a_valid_checksum_is_told_to_who_understands(void **state)
{
	struct frame_header header = {.flags = VALID};

	assert_int_equal(frame_check(&header, 100, FRAME_CSUM), FRAME_GOOD);
	assert_int_equal(header.flags, VALID);
	assert_int_equal(frame_check(&header, 100, 0), FRAME_GOOD);
	assert_int_equal(header.flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_what_means_nothing_is_cleared),
		cmocka_unit_test(test_a_valid_checksum_is_told_to_who_understands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
