// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * JSON: every counter of every queue, and what follows from two readings where there are two.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/stats.h"
#include "tools/top/rates.h"
#include "tools/top/view.h"

static const char *const blk_kinds[] = {"read",    "write",        "flush",
					"discard", "write_zeroes", "other"};
static const char *const net_kinds[] = {"frame", "gso", "control"};

/* Bytes of the well-formed UTF-8 sequence at @text; 0 when it is none. */
static unsigned int utf8_length(const unsigned char *text)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned int length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2, i;
	uint32_t code = text[0] & (0xff >> (length + 1));

	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80) /* the terminating 0 ends it here too */
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return length;
}

static void json_string(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	putchar('"');
	while (*c) {
		unsigned int length = 1;

		if (*c == '"' || *c == '\\') {
			printf("\\%c", *c);
		} else if (*c < ' ' || *c == 0x7f) {
			printf("\\u%04x", *c);
		} else if (*c < 0x80) {
			putchar(*c);
		} else {
			length = utf8_length(c);
			printf("%.*s", length ? (int)length : 6,
			       length ? (const char *)c : "\\ufffd");
			length += !length;
		}
		c += length;
	}
	putchar('"');
}

static void json_counter(const char *name, uint64_t value)
{
	printf(",\"%s\":%" PRIu64, name, value);
}

static void json_requests(const struct stats_queue *queue, uint32_t device)
{
	bool net = device == STATS_DEVICE_NET;
	const char *const *kinds = net ? net_kinds : blk_kinds;
	unsigned int count = net ? 3 : 6, i;

	printf(",\"requests\":{");
	for (i = 0; i < count; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", kinds[i], queue->requests[i]);
	putchar('}');
}

/* Batches by bucket; latencies as [lower bound in ns, count], empty buckets left out. */
static void json_histograms(const struct stats_queue *queue)
{
	bool first = true;
	unsigned int i;

	printf(",\"batch\":[");
	for (i = 0; i < STATS_BATCH_BUCKETS; i++)
		printf("%s%" PRIu64, i ? "," : "", queue->batch[i]);
	printf("],\"latency\":[");
	for (i = 0; i < STATS_LATENCY_BUCKETS; i++) {
		if (!queue->latency[i])
			continue;
		printf("%s[%" PRIu64 ",%" PRIu64 "]", first ? "" : ",",
		       i ? stats_latency_floor(i) : 0, queue->latency[i]);
		first = false;
	}
	printf("],\"latency_p50_ns\":%.0f,\"latency_p99_ns\":%.0f",
	       rates_percentile(queue->latency, 0.50), rates_percentile(queue->latency, 0.99));
}

static void json_rates(const struct rates *rates)
{
	printf(",\"rates\":{\"seconds\":%.6f,\"requests\":%.3f,\"bytes\":%.3f,\"errors\":%.3f,"
	       "\"dropped\":%.3f,\"kicks\":%.3f,\"interrupts\":%.3f,\"interrupts_suppressed\":%.3f,"
	       "\"batch\":%.3f,\"polls_hit_share\":%.4f,\"cpu_share\":%.4f,\"p50_us\":%.3f,"
	       "\"p99_us\":%.3f}",
	       rates->seconds, rates->requests, rates->bytes, rates->errors, rates->dropped,
	       rates->kicks, rates->interrupts, rates->suppressed, rates->batch, rates->polls_hit,
	       rates->cpu, rates->p50_us, rates->p99_us);
}

static void json_queue(const struct stats_queue *before, const struct stats_queue *queue,
		       uint32_t device, double seconds)
{
	static const char *const directions[] = {"both", "from-guest", "to-guest"};
	struct rates rates;

	printf("{\"index\":%u,\"direction\":\"%s\",\"active\":%s", queue->index,
	       queue->direction < 3 ? directions[queue->direction] : "unknown",
	       queue->active ? "true" : "false");
	json_requests(queue, device);
	json_counter("bytes_in", queue->bytes_in);
	json_counter("bytes_out", queue->bytes_out);
	json_counter("errors", queue->errors);
	json_counter("dropped", queue->dropped);
	json_counter("broken", queue->broken);
	json_counter("kicks", queue->kicks);
	json_counter("interrupts", queue->interrupts);
	json_counter("interrupts_suppressed", queue->interrupts_suppressed);
	json_counter("polls_hit", queue->polls_hit);
	json_counter("polls_miss", queue->polls_miss);
	json_counter("sleeps", queue->sleeps);
	json_counter("cpu_ns", queue->cpu_ns);
	json_histograms(queue);
	if (before) {
		rates = rates_of(before, queue, device, seconds);
		json_rates(&rates);
	}
	putchar('}');
}

static void json_page(const struct page *before, const struct page *page)
{
	const struct stats_header *header = &page->header;
	double seconds = before ? (double)(page->taken_ns - before->taken_ns) / 1e9 : 0;
	unsigned int i;

	printf("{\"program\":");
	json_string(header->program);
	printf(",\"pid\":%u,\"object\":", header->pid);
	json_string(header->object);
	printf(",\"device\":\"%s\"", header->device == STATS_DEVICE_NET ? "net" : "blk");
	json_counter("start_ns", header->start_ns);
	json_counter("taken_ns", page->taken_ns);
	printf(",\"queues\":[");
	for (i = 0; i < page->queues; i++) {
		if (i)
			putchar(',');
		json_queue(before ? &before->queue[i] : NULL, &page->queue[i], header->device,
			   seconds);
	}
	printf("]}");
}

void json_print(const struct page *before, const struct page *now)
{
	const struct page *page;

	printf("{\"daemons\":[");
	for (page = now; page; page = page->next) {
		if (page != now)
			putchar(',');
		json_page(page_find(before, page), page);
	}
	puts("]}");
	fflush(stdout);
}
