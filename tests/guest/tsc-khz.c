// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Prints the rate of this machine's time-stamp counter, in kHz.
 *
 * An emulated guest sees that counter and measures its rate while it boots; on a busy machine it measures
 * wrongly, and its time then runs wild. So its command line tells it (tsc_early_khz).
 */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* The counter at a time that is known to the length of two calls: of many pairs, the closest. */
static unsigned long long sample(unsigned long long *ns)
{
	unsigned long long best = ~0ULL, tsc = 0;

	for (int i = 0; i < 100; i++) {
		unsigned long long before = now_ns(), counter = __rdtsc(), after = now_ns();

		if (after - before < best) {
			best = after - before;
			tsc = counter;
			*ns = before + best / 2;
		}
	}
	return tsc;
}

int main(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	unsigned long long ns[2], tsc[2];

	tsc[0] = sample(&ns[0]);
	nanosleep(&pause, NULL);
	tsc[1] = sample(&ns[1]);
	printf("%llu\n", (tsc[1] - tsc[0]) * 1000000 / (ns[1] - ns[0]));
	return 0;
}
