// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The console: why it has threads.
 *
 * A vCPU must never wait for a terminal that is slow or stopped, and standard output must not be
 * made non-blocking, since the shell shares it. So output goes to a buffer and a thread writes
 * it; when the buffer is full the serial port looks busy to the guest. Input waits in a thread of
 * its own until the serial port has room, so nothing typed is lost.
 *
 * A terminal is in raw mode meanwhile, but for output processing, which our own messages want.
 * Ctrl-A is the one key that does not reach the guest: see escape().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/serial.h"

#define OUTPUT_SIZE   (64 * 1024)
#define FLUSH_SECONDS 2
#define HURRY_NS      (10 * 1000 * 1000)
#define ESCAPE        0x01 /* Ctrl-A */
#define SIGNAL_HURRY  SIGUSR2 /* takes the writer out of write() */

static struct {
	int in, out; /* -1: none */
	int stop_fd; /* ends the input thread's poll */
	bool out_is_ours, raw, started, has_input;
	struct termios before;
	pthread_t writer, reader;

	pthread_mutex_t lock;
	pthread_cond_t output_waits, input_room;
	uint8_t output[OUTPUT_SIZE];
	size_t first, count;
	bool was_full, stopping;
	bool dead; /* nobody takes the output any more */
	bool hurry; /* the time to take it is over */
	unsigned int room_told; /* counts console_input_room() calls, so that none is missed */
	bool escaped;
} console = {
	.in = -1,
	.out = -1,
	.stop_fd = -1,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.output_waits = PTHREAD_COND_INITIALIZER,
	.input_room = PTHREAD_COND_INITIALIZER,
};

bool console_put(uint8_t byte)
{
	bool room;

	if (console.out < 0)
		return true; /* goes nowhere */
	pthread_mutex_lock(&console.lock);
	room = console.dead || console.count < OUTPUT_SIZE;
	if (console.dead) {
		/* dropped */
	} else if (room) {
		console.output[(console.first + console.count) % OUTPUT_SIZE] = byte;
		if (!console.count++)
			pthread_cond_signal(&console.output_waits);
	} else {
		console.was_full = true;
	}
	pthread_mutex_unlock(&console.lock);
	return room;
}

void console_input_room(void)
{
	if (!console.has_input)
		return;
	pthread_mutex_lock(&console.lock);
	console.room_told++;
	pthread_cond_signal(&console.input_room);
	pthread_mutex_unlock(&console.lock);
}

/* As much as is there in one piece, from the buffer, with the lock not held. */
static ssize_t write_some(const uint8_t *data, size_t size)
{
	struct pollfd poll_out = {.fd = console.out, .events = POLLOUT};
	ssize_t n = write(console.out, data, size);

	if (n >= 0)
		return n;
	if (errno == EINTR)
		return 0;
	if (errno == EAGAIN) { /* somebody else made it non-blocking */
		poll(&poll_out, 1, 1000);
		return 0;
	}
	return -1;
}

static void *writer_main(void *argument)
{
	pthread_setname_np(pthread_self(), "console out");
	pthread_mutex_lock(&console.lock);
	while (!console.hurry && (console.count || !console.stopping)) {
		size_t piece = OUTPUT_SIZE - console.first;
		bool dead, tell;
		ssize_t n;

		if (!console.count) {
			pthread_cond_wait(&console.output_waits, &console.lock);
			continue;
		}
		if (piece > console.count)
			piece = console.count;
		pthread_mutex_unlock(&console.lock);
		n = write_some(console.output + console.first, piece);
		dead = n < 0;
		if (dead)
			log_errno("cannot write the guest's console output; the rest is dropped");
		pthread_mutex_lock(&console.lock);
		console.dead = dead;
		if (dead)
			n = (ssize_t)console.count;
		console.first = (console.first + (size_t)n) % OUTPUT_SIZE;
		console.count -= (size_t)n;
		tell = console.was_full && console.count < OUTPUT_SIZE;
		if (!tell)
			continue;
		console.was_full = false;
		pthread_mutex_unlock(&console.lock);
		serial_output_room();
		pthread_mutex_lock(&console.lock);
	}
	pthread_mutex_unlock(&console.lock);
	return NULL;
}

/* Waits for room. False: the console stops. */
static bool deliver(uint8_t byte)
{
	for (;;) {
		unsigned int told;
		bool stopping;

		pthread_mutex_lock(&console.lock);
		told = console.room_told;
		pthread_mutex_unlock(&console.lock);
		if (serial_receive(byte))
			return true;
		pthread_mutex_lock(&console.lock);
		while (told == console.room_told && !console.stopping)
			pthread_cond_wait(&console.input_room, &console.lock);
		stopping = console.stopping;
		pthread_mutex_unlock(&console.lock);
		if (stopping)
			return false;
	}
}

/* What follows Ctrl-A. */
static bool escape(uint8_t byte)
{
	switch (byte) {
	case 'x':
		machine_request(MACHINE_QUIT);
		return true;
	case 'b':
		serial_receive_break();
		return true;
	case 'a':
	case ESCAPE:
		return deliver(ESCAPE);
	default:
		log_info("Ctrl-A x ends the guest, Ctrl-A b sends a break, Ctrl-A a a Ctrl-A");
		return true;
	}
}

static bool take_input(const uint8_t *data, size_t size)
{
	bool on = true;

	for (size_t i = 0; on && i < size; i++) {
		if (console.escaped) {
			console.escaped = false;
			on = escape(data[i]);
		} else if (console.raw && data[i] == ESCAPE) {
			console.escaped = true;
		} else {
			on = deliver(data[i]);
		}
	}
	return on;
}

static void *reader_main(void *argument)
{
	struct pollfd fds[] = {
		{.fd = console.in, .events = POLLIN},
		{.fd = console.stop_fd, .events = POLLIN},
	};
	uint8_t data[64];

	pthread_setname_np(pthread_self(), "console in");
	for (;;) {
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		if (!fds[0].revents)
			continue;
		n = read(console.in, data, sizeof(data));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		/* The end of a pipe is no end of the guest. */
		if (n <= 0 || !take_input(data, (size_t)n))
			return NULL;
	}
}

static int open_output_file(const char *path)
{
	int result;

	console.out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (console.out < 0) {
		result = -errno;
		log_errno("cannot write console file %s; see --console", path);
		return result;
	}
	console.out_is_ours = true;
	return 0;
}

static const char *path_of(const char *where)
{
	return strncmp(where, "file:", 5) ? NULL : where + 5;
}

bool console_known(const char *where)
{
	const char *path = path_of(where);

	return path ? *path : !strcmp(where, "stdio") || !strcmp(where, "none");
}

int console_open(const char *where)
{
	const char *path = path_of(where);

	if (path)
		return open_output_file(path);
	if (!strcmp(where, "stdio")) {
		console.in = STDIN_FILENO;
		console.out = STDOUT_FILENO;
	}
	return 0;
}

static void restore_terminal(void)
{
	/* Now: waiting for output that a stopped terminal does not take could take for ever. */
	if (console.raw)
		tcsetattr(console.in, TCSANOW, &console.before);
	console.raw = false;
}

static void make_raw(void)
{
	struct termios raw;

	if (tcgetattr(console.in, &console.before) < 0)
		return; /* no terminal */
	raw = console.before;
	cfmakeraw(&raw);
	raw.c_oflag |= console.before.c_oflag & OPOST;
	if (tcsetattr(console.in, TCSANOW, &raw) < 0)
		return;
	console.raw = true;
	atexit(restore_terminal);
}

/* A background job that reads its terminal is stopped by the shell; it does without. */
static bool in_background(void)
{
	pid_t group = tcgetpgrp(console.in);

	return group >= 0 && group != getpgrp();
}

static int start_threads(void)
{
	int result = pthread_create(&console.writer, NULL, writer_main, NULL);

	console.started = !result;
	if (!result && console.in >= 0) {
		result = pthread_create(&console.reader, NULL, reader_main, NULL);
		console.has_input = !result;
	}
	return -result;
}

int console_start(void)
{
	int result;

	if (console.out < 0)
		return 0;
	if (console.in >= 0 && in_background())
		console.in = -1;
	if (console.in >= 0)
		make_raw();
	console.stop_fd = eventfd(0, EFD_CLOEXEC);
	result = console.stop_fd < 0 ? -errno : start_threads();
	if (result < 0)
		log_error("cannot start the console: %s; see ulimit -n and -u", strerror(-result));
	return result;
}

static void ignore(int number)
{
}

static struct timespec from_now(time_t seconds, long ns)
{
	struct timespec then;

	clock_gettime(CLOCK_REALTIME, &then);
	then.tv_sec += seconds;
	then.tv_nsec += ns;
	if (then.tv_nsec >= 1000000000) {
		then.tv_nsec -= 1000000000;
		then.tv_sec++;
	}
	return then;
}

/*
 * It gets some time to write the rest. A signal may come just before it blocks: so, again and
 * again.
 */
static void join_writer(void)
{
	const struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
	struct timespec deadline = from_now(FLUSH_SECONDS, 0);

	if (!pthread_timedjoin_np(console.writer, NULL, &deadline))
		return;
	log_warn("the end of the guest's console output was not taken, and is lost");
	sigaction(SIGNAL_HURRY, &action, NULL);
	pthread_mutex_lock(&console.lock);
	console.hurry = true;
	pthread_mutex_unlock(&console.lock);
	do {
		pthread_kill(console.writer, SIGNAL_HURRY);
		deadline = from_now(0, HURRY_NS);
	} while (pthread_timedjoin_np(console.writer, NULL, &deadline));
}

static void stop_threads(void)
{
	uint64_t one = 1;

	pthread_mutex_lock(&console.lock);
	console.stopping = true;
	pthread_cond_broadcast(&console.output_waits);
	pthread_cond_broadcast(&console.input_room);
	pthread_mutex_unlock(&console.lock);
	(void)!write(console.stop_fd, &one, sizeof(one));
	if (console.has_input)
		pthread_join(console.reader, NULL);
	console.has_input = false;
	if (console.started)
		join_writer();
	console.started = false;
}

void console_close(void)
{
	if (console.started)
		stop_threads();
	restore_terminal();
	if (console.out_is_ours && console.out >= 0)
		close(console.out);
	if (console.stop_fd >= 0)
		close(console.stop_fd);
	console.in = console.out = console.stop_fd = -1;
	console.out_is_ours = false;
	console.stopping = console.dead = console.hurry = false;
	console.first = console.count = 0;
}
