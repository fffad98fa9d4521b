// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The console on a terminal: raw mode and back, the escape key, input that waits for the guest,
 * output that waits for the terminal, and neither that waits for ever. The serial port is faked.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/serial.h"

static struct {
	pthread_mutex_t lock;
	char received[1024];
	unsigned int count, room, breaks, output_rooms;
	enum machine_event event;
} port = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int master, saved_in, saved_out;
static struct termios cooked;

/* In place of serial.c and machine.c. */
bool serial_receive(uint8_t byte)
{
	bool room;

	pthread_mutex_lock(&port.lock);
	room = port.count < port.room;
	if (room)
		port.received[port.count++] = (char)byte;
	pthread_mutex_unlock(&port.lock);
	return room;
}

void serial_receive_break(void)
{
	__atomic_add_fetch(&port.breaks, 1, __ATOMIC_SEQ_CST);
}

void serial_output_room(void)
{
	__atomic_add_fetch(&port.output_rooms, 1, __ATOMIC_SEQ_CST);
}

void machine_request(enum machine_event event)
{
	__atomic_store_n(&port.event, event, __ATOMIC_SEQ_CST);
}

static void set_room(unsigned int room)
{
	pthread_mutex_lock(&port.lock);
	port.room = room;
	pthread_mutex_unlock(&port.lock);
	console_input_room();
}

static unsigned int received(void)
{
	unsigned int count;

	pthread_mutex_lock(&port.lock);
	count = port.count;
	pthread_mutex_unlock(&port.lock);
	return count;
}

#define SOON(condition)                                           \
	do {                                                      \
		for (int ms = 0; !(condition) && ms < 5000; ms++) \
			usleep(1000);                             \
		assert_true(condition);                           \
	} while (0)

static int setup(void **state)
{
	int slave;

	memset(port.received, 0, sizeof(port.received));
	port.count = port.breaks = port.output_rooms = 0;
	port.room = sizeof(port.received) - 1;
	port.event = MACHINE_RUNNING;
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0 || tcgetattr(slave, &cooked) < 0)
		return -1;
	saved_in = dup(STDIN_FILENO);
	saved_out = dup(STDOUT_FILENO);
	dup2(slave, STDIN_FILENO);
	dup2(slave, STDOUT_FILENO);
	close(slave);
	return console_open("stdio") < 0 || console_start() < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	console_close();
	dup2(saved_in, STDIN_FILENO);
	dup2(saved_out, STDOUT_FILENO);
	close(saved_in);
	close(saved_out);
	close(master);
	return 0;
}

static void type(const char *text)
{
	assert_int_equal(write(master, text, strlen(text)), strlen(text));
}

static void raw_mode_and_back(void **state)
{
	struct termios now;

	tcgetattr(STDIN_FILENO, &now);
	assert_int_equal(now.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_true(now.c_oflag & OPOST);
	console_close();
	tcgetattr(STDIN_FILENO, &now);
	assert_int_equal(now.c_lflag, cooked.c_lflag);
	assert_int_equal(now.c_iflag, cooked.c_iflag);
}

static void input_reaches_the_guest(void **state)
{
	type("ls\r\x03"); /* Ctrl-C is the guest's */
	SOON(received() == 4);
	assert_string_equal(port.received, "ls\r\x03");
}

static void the_escape_key(void **state)
{
	type("a\x01\x62"
	     "b\x01\x01\x01\x61"
	     "c\x01zd");
	SOON(received() == 6);
	assert_string_equal(port.received, "ab\x01\x01"
					   "cd");
	assert_int_equal(__atomic_load_n(&port.breaks, __ATOMIC_SEQ_CST), 1);
	assert_int_equal(__atomic_load_n(&port.event, __ATOMIC_SEQ_CST), MACHINE_RUNNING);
	type("\x01x");
	SOON(__atomic_load_n(&port.event, __ATOMIC_SEQ_CST) == MACHINE_QUIT);
}

static void input_waits_for_the_guest(void **state)
{
	set_room(2);
	type("0123456789");
	SOON(received() == 2);
	usleep(20000);
	assert_int_equal(received(), 2);
	set_room(5);
	SOON(received() == 5);
	set_room(100);
	SOON(received() == 10);
	assert_string_equal(port.received, "0123456789");
	/* It may still be waiting at the end. */
	set_room(10);
	type("more");
	usleep(20000);
}

static void output_reaches_the_terminal(void **state)
{
	char text[16] = {0};
	size_t have = 0;

	for (const char *p = "hello\n"; *p; p++)
		assert_true(console_put((uint8_t)*p));
	while (have < 7) { /* the terminal makes CR LF of it */
		ssize_t n = read(master, text + have, sizeof(text) - 1 - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_string_equal(text, "hello\r\n");
}

/* Nobody reads: the buffer fills, then the guest is held back, and told when it may go on. */
static void output_waits_for_the_terminal(void **state)
{
	unsigned int put = 0, got = 0;
	char text[4096];

	while (console_put('x') && put < 10000000)
		put++;
	assert_in_range(put, 64 * 1024, 1000000);
	assert_int_equal(__atomic_load_n(&port.output_rooms, __ATOMIC_SEQ_CST), 0);
	while (got < put) {
		ssize_t n = read(master, text, sizeof(text));

		assert_true(n > 0);
		got += (unsigned int)n;
	}
	SOON(__atomic_load_n(&port.output_rooms, __ATOMIC_SEQ_CST) >= 1);
	assert_true(console_put('y'));
}

static void an_end_that_nobody_reads(void **state)
{
	struct timespec before, after;

	while (console_put('x'))
		;
	clock_gettime(CLOCK_MONOTONIC, &before);
	console_close();
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_in_range(after.tv_sec - before.tv_sec, 1, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(raw_mode_and_back),
		TEST(input_reaches_the_guest),
		TEST(the_escape_key),
		TEST(input_waits_for_the_guest),
		TEST(output_reaches_the_terminal),
		TEST(output_waits_for_the_terminal),
		TEST(an_end_that_nobody_reads),
	};

	log_open("console_stdio", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
