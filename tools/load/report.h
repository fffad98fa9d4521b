/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef PVKIT_TOOLS_LOAD_REPORT_H
#define PVKIT_TOOLS_LOAD_REPORT_H

#include "tools/load/worker.h"

/* The sum over all queues. */
struct report {
	const struct load_config *config;
	uint64_t features;
	bool persistent;
	double seconds;
	double backend_seconds; /* CPU time; negative: not measured */
	double idle_share; /* of a CPU, in the time of --linger; negative: not measured */
	uint64_t kicks, wakeups;
	struct worker_result total;
};

void report_add(struct report *report, const struct worker *worker);
void report_print(const struct report *report);
/* Whether all went well; says what did not. */
bool report_is_good(const struct report *report);

#endif
