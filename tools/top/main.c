// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * pvkit-top: what the daemons of this host do, from their statistics pages. It asks them nothing, so
 * looking costs them nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/option.h"
#include "common/stats.h"
#include "tools/top/page.h"
#include "tools/top/view.h"

struct top_config {
	bool once, json;
	double interval;
	uint64_t pid;
};

static int top_interval(void *config, const char *value, char *reason, size_t size)
{
	return option_seconds(value, 0.1, 3600, &((struct top_config *)config)->interval, reason,
			      size);
}

static const struct option_spec top_options[] = {
	{.name = "once",
	 .kind = OPTION_FLAG,
	 .offset = offsetof(struct top_config, once),
	 .help = "Print one table of one interval and exit. With --json: print the counters at "
		 "once."},
	{.name = "json",
	 .kind = OPTION_FLAG,
	 .offset = offsetof(struct top_config, json),
	 .help = "Print JSON, one object a line and interval: every counter of every queue, and "
		 "from "
		 "the second line on the rates."},
	{.name = "interval",
	 .kind = OPTION_CALL,
	 .argument = "SECONDS",
	 .call = top_interval,
	 .help = "Time between two readings, 0.1 to 3600; 1 by default."},
	{.name = "pid",
	 .kind = OPTION_NUMBER,
	 .offset = offsetof(struct top_config, pid),
	 .argument = "PID",
	 .minimum = 1,
	 .maximum = INT32_MAX,
	 .help = "Show only the daemon of this process id."},
	{.name = NULL},
};

static const struct program_spec top_program = {
	.name = "pvkit-top",
	.summary = "show what the pvkit daemons do, queue by queue",
	.usage = "[OPTION]...",
	.description =
		"Each pvkit daemon counts in a page of shared memory, a file in $PVKIT_STATS_DIR, "
		"else "
		"/run/pvkit when that can be written, else $XDG_RUNTIME_DIR/pvkit, else "
		"/tmp/pvkit-UID. pvkit-top reads the pages of all daemons that live and prints, a "
		"line a queue:\n"
		"\n"
		"requests or packets a second, megabytes a second, the latency that half and that "
		"99 "
		"of 100 requests stayed under (from the request's being taken off its ring to its "
		"completion being published), kicks received and interrupts sent and suppressed a "
		"second, the mean batch, the share of polling rounds that found work, the share of "
		"a "
		"CPU that the queue's thread used, and failed requests and dropped frames a "
		"second. "
		"A '!' behind a queue's number says that its front-end broke the ring's protocol.\n"
		"\n"
		"Reading asks nothing of a daemon and costs it nothing. Files that are no such "
		"page "
		"are passed over.",
	.examples = "  pvkit-top\n"
		    "  pvkit-top --json --once | python3 -m json.tool",
	.exit_status = "0\tSuccess, also when no daemon runs; or ended by SIGINT or SIGTERM.\n"
		       "1\tNo page of the process given by --pid, their folder cannot be read, or "
		       "standard output cannot be written.\n"
		       "2\tThe command line is wrong.",
	.options = top_options,
};

static volatile sig_atomic_t top_stopped;

static void top_stop(int signal)
{
	top_stopped = 1;
}

static void top_catch_signals(void)
{
	struct sigaction action = {.sa_handler = top_stop};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/*
 * Sleeps until @deadline and moves it on by one interval, so that the readings do not drift. Those that
 * were missed, while the program was stopped, are not made up for.
 */
static void top_sleep(struct timespec *deadline, double interval)
{
	struct timespec now;
	double late, nanoseconds;

	clock_gettime(CLOCK_MONOTONIC, &now);
	late = (double)(now.tv_sec - deadline->tv_sec) +
	       (double)(now.tv_nsec - deadline->tv_nsec) / 1e9;
	if (late > interval)
		*deadline = now;
	nanoseconds = deadline->tv_nsec + (interval - (time_t)interval) * 1e9;
	deadline->tv_sec += (time_t)interval + (nanoseconds >= 1e9);
	deadline->tv_nsec = (long)(nanoseconds >= 1e9 ? nanoseconds - 1e9 : nanoseconds);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, deadline, NULL);
}

static void top_run(const struct top_config *config)
{
	bool live = !config->json && !config->once && isatty(STDOUT_FILENO);
	struct page *before = page_read_all(config->pid), *now;
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	top_catch_signals();
	if (config->json)
		json_print(NULL, before);
	if (live)
		table_begin();
	while (!(config->json && config->once) && !top_stopped) {
		top_sleep(&deadline, config->interval);
		if (top_stopped)
			break;
		now = page_read_all(config->pid);
		if (config->json)
			json_print(before, now);
		else
			table_print(before, now, live);
		page_free_all(before);
		before = now;
		if (config->once || ferror(stdout))
			break;
	}
	if (live)
		table_end();
	page_free_all(before);
}

/* No daemon may have run yet, which is no error; a folder that we may not read is one. */
static void top_check_directory(void)
{
	int fd = open(stats_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT)
		die_errno("cannot read the statistics pages in %s; run pvkit-top as the daemons' "
			  "user, or set PVKIT_STATS_DIR to their folder",
			  stats_directory());
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct top_config config = {.interval = 1};
	struct page *page;

	option_parse(&top_program, argc, argv, &config);
	top_check_directory();
	if (config.pid) {
		page = page_read_all(config.pid);
		if (!page)
			die("--pid: process %llu has no statistics page in %s; pvkit-top without "
			    "--pid "
			    "shows who has",
			    (unsigned long long)config.pid, stats_directory());
		page_free_all(page);
	}
	top_run(&config);
	if (fflush(stdout) || ferror(stdout))
		die("standard output cannot be written; the figures are not complete");
	return 0;
}
