/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a program says on standard error: one line a message, "PROGRAM: message".
 *
 * An error line names the object, the value, the errno where there is one, and the next step for the
 * user. Nothing on the data path logs; what a hostile peer can cause passes through log_peer(),
 * which lets a burst through and then a line a second, and counts what it held back.
 */
#ifndef PVKIT_COMMON_LOG_H
#define PVKIT_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Sets the name that stands before each line, and whether log_info() prints. */
void log_open(const char *program, bool verbose);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As log_error(), with ": " and the text of errno behind it. Keeps errno. */
void log_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* log_error() or log_errno(), then exit(1). For the time before any guest or client runs. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A peer's fault: one line at most every second per @limit after a burst of 5. Thread-safe. */
struct log_limit {
	_Atomic int64_t next_ns;
	_Atomic uint32_t burst;
	_Atomic uint32_t held_back;
};
void log_peer(struct log_limit *limit, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
