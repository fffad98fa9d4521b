// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The latency histogram: every figure that pvkit-load gives for a latency comes out of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/load/histogram.h"

static void buckets_are_monotonic_and_continuous(void **state)
{
	unsigned int before = 0, bucket;
	uint64_t ns;

	for (ns = 0; ns < 1 << 20; ns++) {
		bucket = histogram_index(ns);
		assert_true(bucket == before || bucket == before + 1);
		before = bucket;
	}
	assert_int_equal(histogram_index((1ULL << (HISTOGRAM_TOP + 1)) - 1), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void assert_near(double value, double expected)
{
	if (value < expected * 0.984 || value > expected * 1.016)
		fail_msg("%f is not near %f", value, expected);
}

static void percentiles_are_near(void **state)
{
	struct histogram *histogram = calloc(1, sizeof(*histogram));
	unsigned int i;

	assert_true(histogram_percentile(histogram, 0.5) == 0);
	for (i = 1; i <= 100000; i++)
		histogram_add(histogram, i * 10);
	assert_near(histogram_percentile(histogram, 0.5), 500000);
	assert_near(histogram_percentile(histogram, 0.99), 990000);
	assert_near(histogram_percentile(histogram, 0.999), 999000);
	assert_true(histogram_percentile(histogram, 1) <= 1000000);
	assert_int_equal(histogram->maximum, 1000000);
	free(histogram);
}

static void a_merge_is_as_one(void **state)
{
	struct histogram *one = calloc(3, sizeof(*one)), *half = one + 1, *other = one + 2;
	uint64_t i;

	for (i = 0; i < 10000; i++) {
		histogram_add(one, i * i);
		histogram_add(i % 3 ? half : other, i * i);
	}
	histogram_merge(half, other);
	assert_memory_equal(one, half, sizeof(*one));
	free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_monotonic_and_continuous),
		cmocka_unit_test(percentiles_are_near),
		cmocka_unit_test(a_merge_is_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
