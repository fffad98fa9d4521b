// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The control loop: watches that go while they are called, signals, and the way out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/control.h"

static int events[3];
static unsigned int called[3];

static int loop_open(void **state)
{
	int i;

	for (i = 0; i < 3; i++) {
		events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		called[i] = 0;
	}
	return control_open();
}

static int loop_close(void **state)
{
	int i;

	control_close();
	for (i = 0; i < 3; i++)
		close(events[i]);
	return 0;
}

static void count(void *context, uint32_t ready)
{
	unsigned int i = (uintptr_t)context;
	eventfd_t value;

	assert_true(ready & EPOLLIN);
	eventfd_read(events[i], &value);
	called[i]++;
	if (i == 2)
		control_quit(7);
}

static void test_run_until_quit(void **state)
{
	assert_int_equal(control_watch(events[0], EPOLLIN, count, (void *)0), 0);
	assert_int_equal(control_watch(events[2], EPOLLIN, count, (void *)2), 0);
	assert_int_equal(control_watch(events[0], EPOLLIN, count, (void *)0), -EEXIST);
	eventfd_write(events[0], 1);
	eventfd_write(events[2], 1);
	assert_int_equal(control_run(), 7);
	assert_int_equal(called[2], 1);
	assert_true(called[0] <= 1);
}

/* All three are ready; whoever comes first removes the others and itself. */
static void remove_all(void *context, uint32_t ready)
{
	int i;

	for (i = 0; i < 3; i++) {
		control_unwatch(events[i]);
		close(events[i]);
	}
	called[0]++;
	control_quit(0);
}

static void test_unwatch_in_callback(void **state)
{
	int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(control_watch(events[i], EPOLLIN, remove_all, NULL), 0);
		eventfd_write(events[i], 1);
	}
	assert_int_equal(control_run(), 0);
	assert_int_equal(called[0], 1);
}

static void on_hangup(void *context)
{
	*(int *)context += 1;
	kill(getpid(), SIGTERM);
}

/* SIGHUP says "look again", SIGTERM ends the loop; a SIGPIPE goes unnoticed. */
static void test_signals(void **state)
{
	int hangups = 0;

	control_on_hangup(on_hangup, &hangups);
	kill(getpid(), SIGPIPE);
	kill(getpid(), SIGHUP);
	assert_int_equal(control_run(), 0);
	assert_int_equal(hangups, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_run_until_quit, loop_open, loop_close),
		cmocka_unit_test_setup_teardown(test_unwatch_in_callback, loop_open, loop_close),
		cmocka_unit_test_setup_teardown(test_signals, loop_open, loop_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
