// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Daemons are started with their socket, watched, ended, and do not outlive the shim. Small
 * scripts stand in for them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/daemons.h"

static char folder[] = "/tmp/pvkit-daemons-XXXXXX";

static void write_script(const char *name, const char *text)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "we");
	assert_non_null(out);
	fprintf(out, "#!/bin/sh\n%s\n", text);
	fclose(out);
	assert_int_equal(chmod(path, 0755), 0);
}

static int setup_group(void **state)
{
	char path[4096];

	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s:%s", folder, getenv("PATH"));
	setenv("PATH", path, 1);
	write_script("fake-echo", "read -r line <&3; echo \"$line $*\" >&3; cat <&3 >/dev/null");
	write_script("fake-exit", "exit \"$1\"");
	write_script("fake-pid", "echo $$ >&3; exec sleep 1000");
	write_script("fake-stubborn", "trap '' TERM; echo ready >&3; while :; do sleep 1; done");
	return 0;
}

static int teardown_group(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static int setup(void **state)
{
	return daemons_open();
}

static int teardown(void **state)
{
	daemons_close();
	return 0;
}

/* One line from a daemon, without its end. */
static void read_line(int fd, char *line, size_t size)
{
	size_t have = 0;

	while (have < size - 1) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&readable, 1, 10000), 1);
		assert_int_equal(read(fd, line + have, 1), 1);
		if (line[have] == '\n')
			break;
		have++;
	}
	line[have] = '\0';
}

static void wait_for_end(void)
{
	struct pollfd ended = {.fd = daemons_fd(), .events = POLLIN};

	assert_int_equal(poll(&ended, 1, 10000), 1);
}

static void socket_and_arguments(void **state)
{
	const char *const arguments[] = {"--fd=3", "--name=with space", NULL};
	int fd = daemons_start("fake-echo", "disk 1", arguments);
	char line[128];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "ping\n", 5), 5);
	read_line(fd, line, sizeof(line));
	assert_string_equal(line, "ping --fd=3 --name=with space");
	assert_int_equal(daemons_reap(), 0);
	/* It sees its socket close, and ends by itself: no complaint. */
	close(fd);
	wait_for_end();
	assert_int_equal(daemons_reap(), 1);
	assert_int_equal(daemons_reap(), 0);
}

static void ends_are_seen(void **state)
{
	const char *const bad[] = {"3", NULL}, *const good[] = {"0", NULL}, *const none[] = {NULL};
	int fds[3];
	unsigned int ended = 0;

	fds[0] = daemons_start("fake-exit", "disk 1", bad);
	fds[1] = daemons_start("fake-exit", "disk 2", good);
	fds[2] = daemons_start("there-is-no-such-program", "disk 3", none);
	while (ended < 3) {
		wait_for_end();
		ended += daemons_reap();
	}
	for (int i = 0; i < 3; i++) {
		char byte;

		assert_true(fds[i] >= 0);
		assert_int_equal(read(fds[i], &byte, 1), 0); /* the other end is closed */
		close(fds[i]);
	}
}

/* As a parent that ignores SIGCHLD leaves it to whom it starts. */
static void ends_are_seen_whoever_started_us(void **state)
{
	const char *const arguments[] = {"3", NULL};
	int fd;

	daemons_close();
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(daemons_open(), 0);
	fd = daemons_start("fake-exit", "disk 1", arguments);
	assert_true(fd >= 0);
	wait_for_end();
	assert_int_equal(daemons_reap(), 1);
	close(fd);
}

static void all_end_when_asked(void **state)
{
	const char *const none[] = {NULL};
	char line[32];
	pid_t pids[3];

	for (int i = 0; i < 3; i++) {
		int fd = daemons_start("fake-pid", "net 1", none);

		read_line(fd, line, sizeof(line));
		pids[i] = atoi(line);
		assert_int_equal(kill(pids[i], 0), 0);
	}
	daemons_close();
	for (int i = 0; i < 3; i++)
		assert_int_equal(kill(pids[i], 0), -1);
	assert_int_equal(daemons_open(), 0);
}

static void a_stubborn_one_is_killed(void **state)
{
	const char *const none[] = {NULL};
	int fd = daemons_start("fake-stubborn", "net 1", none);
	char line[32];

	read_line(fd, line, sizeof(line));
	daemons_close();
	assert_true(waitpid(-1, NULL, WNOHANG) < 0); /* no child is left */
	close(fd);
	assert_int_equal(daemons_open(), 0);
}

/* Whatever happens to the shim. */
static void they_die_with_the_shim(void **state)
{
	const char *const none[] = {NULL};
	char line[32];
	int pipe_fds[2];
	pid_t shim, pid;

	assert_int_equal(pipe(pipe_fds), 0);
	shim = fork();
	if (!shim) {
		int fd;

		fd = daemons_open() < 0 ? -1 : daemons_start("fake-pid", "disk 1", none);
		read_line(fd, line, sizeof(line));
		dprintf(pipe_fds[1], "%s\n", line);
		pause();
		_exit(0);
	}
	read_line(pipe_fds[0], line, sizeof(line));
	pid = atoi(line);
	assert_int_equal(kill(pid, 0), 0);
	kill(shim, SIGKILL);
	waitpid(shim, NULL, 0);
	for (int ms = 0; ms < 5000; ms++) {
		char path[64], state_letter = 'Z';
		FILE *stat;

		/* Gone, or waiting for whoever adopted it. */
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		stat = fopen(path, "re");
		if (!stat)
			return;
		(void)!fscanf(stat, "%*d %*s %c", &state_letter);
		fclose(stat);
		if (state_letter == 'Z')
			return;
		usleep(1000);
	}
	fail_msg("process %d lives on", (int)pid);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(socket_and_arguments),
		TEST(ends_are_seen),
		TEST(ends_are_seen_whoever_started_us),
		TEST(all_end_when_asked),
		TEST(a_stubborn_one_is_killed),
		TEST(they_die_with_the_shim),
	};

	log_open("daemons", false);
	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
