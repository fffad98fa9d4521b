/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What was measured: a line for each way, with its samples in nanoseconds.
 */
#ifndef PVKIT_BENCH_COSTS_RESULT_H
#define PVKIT_BENCH_COSTS_RESULT_H

#include <stdbool.h>

#define RESULT_SAMPLES_MAX 2000

struct result {
	const char *name, *title;
	unsigned int rounds; /* of each sample, which is their mean */
	unsigned int count;
	double sample[RESULT_SAMPLES_MAX];
};

double result_median(struct result *result);
/* A line for people, or an object of JSON. @group: whose result, before its name. */
void result_print(struct result *result, const char *group, bool json);

#endif
