// SPDX-License-Identifier: MIT OR GPL-2.0
#include "tools/load/report.h"

#include <stdio.h>

#include "common/log.h"

void report_add(struct report *report, const struct worker *worker)
{
	const struct worker_result *result = &worker->result;
	struct worker_result *total = &report->total;

	total->completed += result->completed;
	total->completed_in_all += result->completed_in_all;
	/* Frames that were received tell their own length. */
	total->bytes += worker->config->device == LOAD_NET_RX
				? result->bytes
				: result->completed * worker->config->block_size;
	total->errors += result->errors;
	total->mismatches += result->mismatches;
	total->stuck += result->stuck;
	total->verified += result->verified;
	total->broken |= result->broken;
	if (!total->first_ns || result->first_ns < total->first_ns)
		total->first_ns = result->first_ns;
	if (result->last_ns > total->last_ns)
		total->last_ns = result->last_ns;
	histogram_merge(&total->latency, &result->latency);
	report->kicks += worker->queue->kicks - result->kicks_before;
	report->wakeups += worker->queue->wakeups - result->wakeups_before;
}

static double per_second(const struct report *report, double value)
{
	return report->seconds > 0 ? value / report->seconds : 0;
}

static double percentile_us(const struct report *report, double share)
{
	return histogram_percentile(&report->total.latency, share) / 1000;
}

static double mean_us(const struct report *report)
{
	const struct histogram *latency = &report->total.latency;

	return latency->count ? (double)latency->sum / (double)latency->count / 1000 : 0;
}

/* Below a clock tick's worth of CPU a quotient would say nothing. */
static double per_cpu_second(const struct report *report)
{
	return report->backend_seconds > 0.001
		       ? (double)report->total.completed / report->backend_seconds
		       : 0;
}

static void print_json(const struct report *report)
{
	const struct load_config *config = report->config;
	const struct worker_result *total = &report->total;

	printf("{\"device\":\"%s\",\"queues\":%llu,\"depth\":%llu,\"block_size\":%llu,"
	       "\"reads\":%llu,\"pattern\":\"%s\",\"wait\":\"%s\",\"ring\":\"%s\",\"event_idx\":%s,"
	       "\"indirect\":%s,\"in_order\":%s",
	       load_device_name(config->device), (unsigned long long)config->queues,
	       (unsigned long long)config->depth, (unsigned long long)config->block_size,
	       (unsigned long long)config->reads,
	       config->pattern == LOAD_RANDOM ? "random" : "sequential",
	       config->wait == LOAD_POLL ? "poll" : "sleep", load_ring_name(config->ring),
	       report->features & VIRTQUEUE_F_EVENT_IDX ? "true" : "false",
	       report->features & VIRTQUEUE_F_INDIRECT ? "true" : "false",
	       report->features & VIRTQUEUE_F_IN_ORDER ? "true" : "false");
	if (config->ring == LOAD_XEN)
		printf(",\"persistent\":%s", report->persistent ? "true" : "false");
	printf(",\"seconds\":%.6f,\"requests\":%llu,\"iops\":%.1f,\"bytes_per_second\":%.1f",
	       report->seconds, (unsigned long long)total->completed,
	       per_second(report, (double)total->completed),
	       per_second(report, (double)total->bytes));
	printf(",\"latency_us\":{\"mean\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,"
	       "\"max\":%.3f}",
	       mean_us(report), percentile_us(report, 0.5), percentile_us(report, 0.99),
	       percentile_us(report, 0.999), (double)total->latency.maximum / 1000);
	printf(",\"kicks\":%llu,\"wakeups\":%llu,\"errors\":%llu,\"mismatches\":%llu,\"stuck\":%"
	       "llu,"
	       "\"broken\":%s",
	       (unsigned long long)report->kicks, (unsigned long long)report->wakeups,
	       (unsigned long long)total->errors, (unsigned long long)total->mismatches,
	       (unsigned long long)total->stuck, total->broken ? "true" : "false");
	if (report->backend_seconds >= 0)
		printf(",\"backend_cpu_seconds\":%.6f,\"requests_per_cpu_second\":%.1f",
		       report->backend_seconds, per_cpu_second(report));
	if (report->idle_share >= 0)
		printf(",\"backend_idle_cpu_share\":%.6f", report->idle_share);
	printf("}\n");
}

static const char *pieces(const struct load_config *config)
{
	return config->device == LOAD_BLK ? "blocks" : "frames";
}

static void print_text(const struct report *report)
{
	const struct load_config *config = report->config;
	const struct worker_result *total = &report->total;
	const char *unit = config->device == LOAD_BLK ? "IOPS" : "frames/s";

	printf("%llu requests in %.3f s: %.0f %s, %.1f MB/s\n",
	       (unsigned long long)total->completed, report->seconds,
	       per_second(report, (double)total->completed), unit,
	       per_second(report, (double)total->bytes) / 1e6);
	if (config->device != LOAD_NET_RX)
		printf("latency in us: mean %.1f, p50 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
		       mean_us(report), percentile_us(report, 0.5), percentile_us(report, 0.99),
		       percentile_us(report, 0.999), (double)total->latency.maximum / 1000);
	printf("%llu kicks, %llu wake-ups", (unsigned long long)report->kicks,
	       (unsigned long long)report->wakeups);
	if (report->backend_seconds >= 0)
		printf("; back-end: %.3f CPU seconds, %.0f requests for each",
		       report->backend_seconds, per_cpu_second(report));
	printf("\n");
	if (report->idle_share >= 0)
		printf("idle, the back-end took %.3f %% of a CPU\n", report->idle_share * 100);
	if (config->verify)
		printf("verified: %llu failed requests, %llu wrong %s\n",
		       (unsigned long long)total->errors, (unsigned long long)total->mismatches,
		       pieces(config));
}

void report_print(const struct report *report)
{
	if (report->config->json)
		print_json(report);
	else
		print_text(report);
	fflush(stdout);
}

/* A check of nothing finds nothing. */
static bool lacks_stamps(const struct report *report)
{
	return report->config->device == LOAD_NET_RX && report->config->verify &&
	       report->total.completed_in_all && !report->total.verified;
}

/* A measurement of nothing is none. That requests do not come back is said of them. */
static bool came_nothing(const struct report *report)
{
	return report->config->device == LOAD_NET_RX && !report->total.completed_in_all &&
	       !report->total.stuck;
}

bool report_is_good(const struct report *report)
{
	const struct worker_result *total = &report->total;
	const char *path = report->config->path;

	if (total->broken)
		log_error("%s: the back-end broke the ring's protocol", path);
	if (total->stuck)
		log_error("%s: %llu requests never came back", path,
			  (unsigned long long)total->stuck);
	if (came_nothing(report))
		log_error("%s: no frame came in %g s; is anything sent to it?", path,
			  (double)report->config->runtime);
	if (total->errors)
		log_error("%s: %llu requests failed", path, (unsigned long long)total->errors);
	if (total->mismatches)
		log_error("%s: %llu %s are not as they were written", path,
			  (unsigned long long)total->mismatches, pieces(report->config));
	if (lacks_stamps(report))
		log_error("%s: no frame of %llu had a stamp; send some by --device=net-tx --verify",
			  path, (unsigned long long)total->completed_in_all);
	return !total->broken && !total->stuck && !total->errors && !total->mismatches &&
	       !lacks_stamps(report) && !came_nothing(report);
}
