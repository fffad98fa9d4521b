// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The table: a line a daemon, a line a queue. Drawn with five ANSI sequences: home, clear to the end of
 * the line and of the screen, hide and show the cursor.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/stats.h"
#include "tools/top/rates.h"
#include "tools/top/view.h"

#define LINE_MAX_BYTES 256

struct screen {
	bool live;
	unsigned int rows, columns; /* left, and in all */
};

static void __attribute__((format(printf, 2, 3)))
screen_line(struct screen *screen, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list arguments;

	if (screen->live && !screen->rows)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (screen->live) {
		printf("%.*s\033[K\n", (int)screen->columns, line);
		screen->rows--;
	} else {
		puts(line);
	}
}

/* A text from a page may hold anything; a terminal gets only what it can print. */
static const char *printable(const char *text, char *copy, size_t size)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < size; i++)
		copy[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	copy[i] = '\0';
	return copy;
}

/* 999, 12.3k, 4.56M: never more than six characters. */
static const char *short_number(double value, char *text, size_t size)
{
	static const char suffixes[] = " kMGTPE";
	unsigned int i = 0;

	while (value >= 999.5 && suffixes[i + 1]) {
		value /= 1000;
		i++;
	}
	if (i == 0)
		snprintf(text, size, "%.0f", value);
	else
		snprintf(text, size, "%.*f%c",
			 value < 9.995   ? 2
			 : value < 99.95 ? 1
					 : 0,
			 value, suffixes[i]);
	return text;
}

static const char *direction_name(uint32_t direction)
{
	return direction == STATS_FROM_GUEST ? "tx" : direction == STATS_TO_GUEST ? "rx" : "";
}

static void print_rates(struct screen *screen, const char *name, const struct rates *rates)
{
	char requests[16], kicks[16], interrupts[16], suppressed[16];

	screen_line(screen, "  %-6s %8s %9.1f %8.1f %8.1f %8s %8s %8s %6.1f %5.0f%% %6.1f %7.0f",
		    name, short_number(rates->requests, requests, sizeof(requests)),
		    rates->bytes / 1e6, rates->p50_us, rates->p99_us,
		    short_number(rates->kicks, kicks, sizeof(kicks)),
		    short_number(rates->interrupts, interrupts, sizeof(interrupts)),
		    short_number(rates->suppressed, suppressed, sizeof(suppressed)), rates->batch,
		    rates->polls_hit * 100, rates->cpu * 100, rates->errors + rates->dropped);
}

static bool queue_was_used(const struct stats_queue *queue)
{
	unsigned int i;

	for (i = 0; i < STATS_KINDS; i++)
		if (queue->requests[i])
			return true;
	return queue->active || queue->broken;
}

static void print_page(struct screen *screen, const struct page *before, const struct page *now)
{
	uint64_t start = before ? before->taken_ns : now->header.start_ns;
	double seconds = (double)(now->taken_ns - start) / 1e9;
	char program[16], object[64], name[32];
	unsigned int i;

	screen_line(screen, "%s %u  %s", printable(now->header.program, program, sizeof(program)),
		    now->header.pid, printable(now->header.object, object, sizeof(object)));
	for (i = 0; i < now->queues; i++) {
		const struct stats_queue *queue = &now->queue[i];
		struct rates rates;

		if (!queue_was_used(queue))
			continue;
		rates = rates_of(before ? &before->queue[i] : NULL, queue, now->header.device,
				 seconds);
		snprintf(name, sizeof(name), "%u%s%s%s", queue->index,
			 *direction_name(queue->direction) ? " " : "",
			 direction_name(queue->direction), queue->broken ? "!" : "");
		print_rates(screen, name, &rates);
	}
}

static struct screen screen_open(bool live)
{
	struct screen screen = {.live = live, .rows = 24, .columns = 80};
	struct winsize size;

	if (live && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		screen.rows = size.ws_row;
		screen.columns = size.ws_col;
	}
	screen.rows--; /* the last line's newline must not scroll */
	return screen;
}

void table_begin(void)
{
	fputs("\033[?25l\033[H\033[J", stdout);
}

void table_end(void)
{
	fputs("\033[?25h", stdout);
	fflush(stdout);
}

void table_print(const struct page *before, const struct page *now, bool live)
{
	struct screen screen = screen_open(live);

	if (live)
		fputs("\033[H", stdout);
	screen_line(&screen, "  %-6s %8s %9s %8s %8s %8s %8s %8s %6s %6s %6s %7s", "queue",
		    "IO|pkt/s", "MB/s", "p50 us", "p99 us", "kicks/s", "irqs/s", "suppr/s", "batch",
		    "polls", "cpu %", "fail/s");
	if (!now)
		screen_line(&screen, "no daemon has a statistics page in %s", stats_directory());
	for (; now; now = now->next)
		print_page(&screen, page_find(before, now), now);
	if (live)
		fputs("\033[J", stdout);
	fflush(stdout);
}
