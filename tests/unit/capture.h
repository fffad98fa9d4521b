/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is said on standard error, for a test that wants to read it. A test that fails in between says
 * so into the capture: assert after captured().
 */
#ifndef PVKIT_TESTS_UNIT_CAPTURE_H
#define PVKIT_TESTS_UNIT_CAPTURE_H

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	char text[16384];
	FILE *file;
	int saved;
} capture_state;

static inline void capture(void)
{
	capture_state.file = tmpfile();
	capture_state.saved = dup(STDERR_FILENO);
	dup2(fileno(capture_state.file), STDERR_FILENO);
}

/* Until a line is there, or for @ms. */
static inline void capture_wait(unsigned int ms)
{
	const struct timespec pause = {0, 1000000};
	struct stat file = {0};

	while (ms-- && !fstat(fileno(capture_state.file), &file) && !file.st_size)
		nanosleep(&pause, NULL);
}

static inline const char *captured(void)
{
	size_t length;

	dup2(capture_state.saved, STDERR_FILENO);
	close(capture_state.saved);
	rewind(capture_state.file);
	length = fread(capture_state.text, 1, sizeof(capture_state.text) - 1, capture_state.file);
	capture_state.text[length] = '\0';
	fclose(capture_state.file);
	return capture_state.text;
}

#endif
