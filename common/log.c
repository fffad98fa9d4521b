// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Messages for people: each is built whole and leaves in one write(2), so that lines of several
 * threads or daemons on one terminal do not mix.
 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX    1024
#define LOG_BURST       5
#define LOG_INTERVAL_NS 1000000000LL

static const char *log_program = "pvkit";
static bool log_verbose;

void log_open(const char *program, bool verbose)
{
	log_program = program;
	log_verbose = verbose;
}

/* Part of a message may be a peer's or a user's text: it must not forge a second line. */
static void log_flatten(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* @suffix stands behind the message, whole even where the message had to be cut. */
static void __attribute__((format(printf, 2, 0)))
log_line(const char *suffix, const char *format, va_list arguments)
{
	char line[LOG_LINE_MAX];
	size_t room = sizeof(line) - strlen(suffix) - 1;
	int length = snprintf(line, room, "%s: ", log_program);

	if (length < 0 || (size_t)length >= room)
		length = 0;
	vsnprintf(line + length, room - length, format, arguments);
	strcat(line, suffix);
	log_flatten(line);
	strcat(line, "\n");
	/* Nobody is left to tell when standard error is gone. */
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}

static void __attribute__((format(printf, 2, 0)))
log_error_line(int error, const char *format, va_list arguments)
{
	char suffix[160], text[128];

	snprintf(suffix, sizeof(suffix), ": %s", strerror_r(error, text, sizeof(text)));
	log_line(suffix, format, arguments);
}

void log_info(const char *format, ...)
{
	va_list arguments;

	if (!log_verbose)
		return;
	va_start(arguments, format);
	log_line("", format, arguments);
	va_end(arguments);
}

void log_warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line("", format, arguments);
	va_end(arguments);
}

void log_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line("", format, arguments);
	va_end(arguments);
}

void log_errno(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	va_start(arguments, format);
	log_error_line(error, format, arguments);
	va_end(arguments);
	errno = error;
}

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line("", format, arguments);
	va_end(arguments);
	exit(1);
}

void die_errno(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	va_start(arguments, format);
	log_error_line(error, format, arguments);
	va_end(arguments);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/*
 * Whether a line may pass now. Relaxed order throughout: the fields guard nothing but themselves,
 * and a line too many or too few in a race is of no account.
 */
static bool log_limit_pass(struct log_limit *limit)
{
	int64_t now = now_ns(), next = atomic_load_explicit(&limit->next_ns, memory_order_relaxed);

	if (atomic_load_explicit(&limit->burst, memory_order_relaxed) < LOG_BURST &&
	    atomic_fetch_add_explicit(&limit->burst, 1, memory_order_relaxed) < LOG_BURST) {
		atomic_store_explicit(&limit->next_ns, now + LOG_INTERVAL_NS, memory_order_relaxed);
		return true;
	}
	if (now >= next &&
	    atomic_compare_exchange_strong_explicit(&limit->next_ns, &next, now + LOG_INTERVAL_NS,
						    memory_order_relaxed, memory_order_relaxed))
		return true;
	atomic_fetch_add_explicit(&limit->held_back, 1, memory_order_relaxed);
	return false;
}

void log_peer(struct log_limit *limit, const char *format, ...)
{
	char suffix[64] = "";
	uint32_t held_back;
	va_list arguments;

	if (!log_limit_pass(limit))
		return;
	held_back = atomic_exchange_explicit(&limit->held_back, 0, memory_order_relaxed);
	if (held_back)
		snprintf(suffix, sizeof(suffix), " (%u more such lines held back)", held_back);
	va_start(arguments, format);
	log_line(suffix, format, arguments);
	va_end(arguments);
}
