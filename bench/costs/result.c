// SPDX-License-Identifier: MIT OR GPL-2.0
#include "bench/costs/result.h"

#include <stdio.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double percentile(struct result *result, unsigned int percent)
{
	qsort(result->sample, result->count, sizeof(*result->sample), compare);
	return result->count ? result->sample[(result->count - 1) * percent / 100] : 0;
}

double result_median(struct result *result)
{
	return percentile(result, 50);
}

void result_print(struct result *result, const char *group, bool json)
{
	double low = percentile(result, 10), high = percentile(result, 90);

	if (json)
		printf("{\"name\": \"%s-%s\", \"title\": \"%s\", \"ns\": %.1f, \"p10\": %.1f, "
		       "\"p90\": %.1f, \"samples\": %u, \"rounds\": %u}",
		       group, result->name, result->title, result_median(result), low, high,
		       result->count, result->rounds);
	else
		printf("%-8s %-10s %10.0f ns (%.0f..%.0f)  %s\n", group, result->name,
		       result_median(result), low, high, result->title);
}
