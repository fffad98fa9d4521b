// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Sockets: descriptors passed and never left behind, and a peer that is slow, silent or gone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/socket.h"

struct pair {
	int near, far;
	unsigned int descriptors; /* open before the test */
};

static unsigned int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static int setup(void **state)
{
	static struct pair pair;
	int ends[2];

	pair.descriptors = open_descriptors();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -1;
	pair.near = ends[0];
	pair.far = ends[1];
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	close(pair->near);
	if (pair->far >= 0)
		close(pair->far);
	return open_descriptors() == pair->descriptors ? 0 : -1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void descriptors_are_passed(void **state)
{
	struct pair *pair = *state;
	int sent[2] = {open("/dev/null", O_RDWR), open("/dev/zero", O_RDONLY)}, got[8];
	unsigned int count = 8;
	char text[6], zero = 1;

	assert_int_equal(socket_send(pair->near, "hello", 6, sent, 2, 1000), 0);
	assert_int_equal(socket_receive(pair->far, text, 6, got, &count, 1000), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(count, 2);
	assert_int_equal(read(got[1], &zero, 1), 1);
	assert_int_equal(zero, 0);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(sent[0]);
	close(sent[1]);
	close(got[0]);
	close(got[1]);
}

static void surplus_descriptors_are_closed(void **state)
{
	struct pair *pair = *state;
	int sent[16], got[8];
	unsigned int count = 8, i;
	char byte;

	for (i = 0; i < 16; i++)
		sent[i] = STDERR_FILENO;
	assert_int_equal(socket_send(pair->near, "x", 1, sent, 16, 1000), 0);
	assert_int_equal(socket_receive(pair->far, &byte, 1, got, &count, 1000), -EMSGSIZE);
	assert_int_equal(count, 0);

	/* Where none is expected there is no table at all. */
	assert_int_equal(socket_send(pair->near, "x", 1, sent, 1, 1000), 0);
	assert_int_equal(socket_receive(pair->far, &byte, 1, NULL, NULL, 1000), -EMSGSIZE);
}

static void descriptors_of_a_half_message_are_closed(void **state)
{
	struct pair *pair = *state;
	int sent = STDERR_FILENO, got[8];
	unsigned int count = 8;
	char text[8];

	assert_int_equal(socket_send(pair->near, "half", 4, &sent, 1, 1000), 0);
	assert_int_equal(socket_receive(pair->far, text, 8, got, &count, 50), -ETIMEDOUT);
	assert_int_equal(count, 0);
}

struct trickle {
	int fd;
	unsigned int bytes, interval_ms;
};

static void *trickle(void *argument)
{
	const struct trickle *plan = argument;
	unsigned int i;

	for (i = 0; i < plan->bytes; i++) {
		usleep(plan->interval_ms * 1000);
		if (send(plan->fd, "t", 1, MSG_NOSIGNAL) != 1)
			break;
	}
	return NULL;
}

static void a_trickle_within_the_timeout_is_whole(void **state)
{
	struct pair *pair = *state;
	struct trickle plan = {pair->near, 20, 2};
	pthread_t thread;
	char text[20];

	pthread_create(&thread, NULL, trickle, &plan);
	assert_int_equal(socket_receive(pair->far, text, 20, NULL, NULL, 5000), 0);
	pthread_join(thread, NULL);
}

static void a_trickle_does_not_renew_the_timeout(void **state)
{
	struct pair *pair = *state;
	struct trickle plan = {pair->near, 40, 20};
	int64_t start = now_ms();
	pthread_t thread;
	char text[64];

	pthread_create(&thread, NULL, trickle, &plan);
	assert_int_equal(socket_receive(pair->far, text, 64, NULL, NULL, 100), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 99, 600);
	close(pair->far);
	pair->far = -1;
	pthread_join(thread, NULL);
}

static void half_a_message_then_silence(void **state)
{
	struct pair *pair = *state;
	int64_t start = now_ms();
	char text[8];

	assert_int_equal(socket_send(pair->near, "half", 4, NULL, 0, 1000), 0);
	assert_int_equal(socket_receive(pair->far, text, 8, NULL, NULL, 60), -ETIMEDOUT);
	assert_true(now_ms() - start >= 60);
}

static void a_peer_that_is_gone(void **state)
{
	struct pair *pair = *state;
	char text[8];

	assert_int_equal(socket_send(pair->far, "half", 4, NULL, 0, 1000), 0);
	close(pair->far);
	pair->far = -1;
	assert_int_equal(socket_receive(pair->near, text, 8, NULL, NULL, 1000), -ECONNRESET);
	assert_int_equal(socket_send(pair->near, "x", 1, NULL, 0, 1000), -EPIPE);
}

static void a_peer_that_never_reads(void **state)
{
	static char bulk[8 << 20];
	struct pair *pair = *state;

	assert_int_equal(socket_send(pair->near, bulk, sizeof(bulk), NULL, 0, 50), -ETIMEDOUT);
}

static void *drain(void *argument)
{
	static char bulk[8 << 20];

	return (void *)(intptr_t)socket_receive(*(int *)argument, bulk, sizeof(bulk), NULL, NULL,
						5000);
}

static void a_message_larger_than_the_buffer(void **state)
{
	static char bulk[8 << 20];
	struct pair *pair = *state;
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, drain, &pair->far);
	assert_int_equal(socket_send(pair->near, bulk, sizeof(bulk), NULL, 0, 5000), 0);
	pthread_join(thread, &result);
	assert_null(result);
}

static void listening(void **state)
{
	char directory[] = "/tmp/pvkit-socket-XXXXXX", path[64], file[64], longer[200];
	int first, second;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
	first = socket_listen(path, SOCK_STREAM);
	assert_true(first >= 0);
	assert_int_equal(socket_listen(path, SOCK_STREAM), -EADDRINUSE);
	second = socket_connect(path, SOCK_STREAM);
	assert_true(second >= 0);
	close(second);
	close(first);

	/* The file is still there and nobody answers: it is replaced. */
	assert_int_equal(socket_connect(path, SOCK_STREAM), -ECONNREFUSED);
	first = socket_listen(path, SOCK_STREAM);
	assert_true(first >= 0);
	close(first);
	unlink(path);
	assert_int_equal(socket_connect(path, SOCK_STREAM), -ENOENT);

	/* What is no socket is never removed. */
	snprintf(file, sizeof(file), "%s/file", directory);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(socket_listen(file, SOCK_STREAM), -EEXIST);
	assert_int_equal(access(file, F_OK), 0);
	unlink(file);
	rmdir(directory);

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(socket_listen(longer, SOCK_STREAM), -ENAMETOOLONG);
	assert_int_equal(socket_connect("", SOCK_STREAM), -ENOENT);
}

#define COMERS 4

struct comer {
	const char *path;
	pthread_barrier_t *start;
	pthread_t thread;
	int fd;
};

static void *come(void *context)
{
	struct comer *comer = context;

	pthread_barrier_wait(comer->start);
	comer->fd = socket_listen(comer->path, SOCK_SEQPACKET);
	return NULL;
}

/* Over a file that somebody left: one listens, the others are told, and it is he who is found. */
static void who_comes_at_once(void **state)
{
	char directory[] = "/tmp/pvkit-socket-XXXXXX", path[64];
	struct comer comers[COMERS];
	pthread_barrier_t start;
	int round, i, listener, connection;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
	close(socket_listen(path, SOCK_SEQPACKET));
	assert_int_equal(pthread_barrier_init(&start, NULL, COMERS), 0);
	for (round = 0; round < 300; round++) {
		for (i = 0; i < COMERS; i++) {
			comers[i] = (struct comer){.path = path, .start = &start};
			assert_int_equal(pthread_create(&comers[i].thread, NULL, come, &comers[i]),
					 0);
		}
		listener = -1;
		for (i = 0; i < COMERS; i++) {
			pthread_join(comers[i].thread, NULL);
			if (comers[i].fd < 0) {
				assert_int_equal(comers[i].fd, -EADDRINUSE);
				continue;
			}
			assert_int_equal(listener, -1);
			listener = comers[i].fd;
		}
		assert_true(listener >= 0);
		connection = socket_connect(path, SOCK_SEQPACKET);
		assert_true(connection >= 0);
		close(connection);
		close(listener); /* and leaves its file to the next round */
	}
	pthread_barrier_destroy(&start);
	unlink(path);
	rmdir(directory);
}

static void a_directory_that_stays_locked(void **state)
{
	char directory[] = "/tmp/pvkit-socket-XXXXXX", path[64];
	int lock, fd;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
	lock = open(directory, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(socket_listen(path, SOCK_STREAM), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), -1);
	close(lock);
	fd = socket_listen(path, SOCK_STREAM);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	rmdir(directory);
}

/* One socket is called by many names; the same name is another socket in another folder. */
static void a_path_is_the_same_from_everywhere(void **state)
{
	char a[] = "/tmp/socket-a-XXXXXX", b[] = "/tmp/socket-b-XXXXXX", cwd[PATH_MAX];
	char from_root[2 * PATH_MAX], here[2 * PATH_MAX], dotted[2 * PATH_MAX], there[2 * PATH_MAX];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_non_null(mkdtemp(a));
	assert_non_null(mkdtemp(b));
	assert_int_equal(chdir(a), 0);
	snprintf(there, sizeof(there), "%s/guest.sock", a);
	socket_absolute(from_root, sizeof(from_root), there);
	socket_absolute(here, sizeof(here), "guest.sock");
	snprintf(there, sizeof(there), "../%s/guest.sock", strrchr(a, '/') + 1);
	socket_absolute(dotted, sizeof(dotted), there);
	assert_int_equal(chdir(b), 0);
	socket_absolute(there, sizeof(there), "guest.sock");
	assert_int_equal(chdir(cwd), 0);
	rmdir(a);
	rmdir(b);
	assert_int_equal(from_root[0], '/');
	assert_string_equal(here, from_root);
	assert_string_equal(dotted, from_root);
	assert_string_not_equal(there, from_root);
	socket_absolute(there, sizeof(there), "/no/such/folder/guest.sock");
	assert_non_null(strstr(there, "/no/such/folder/"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_are_passed),
		TEST(surplus_descriptors_are_closed),
		TEST(descriptors_of_a_half_message_are_closed),
		TEST(a_trickle_within_the_timeout_is_whole),
		TEST(a_trickle_does_not_renew_the_timeout),
		TEST(half_a_message_then_silence),
		TEST(a_peer_that_is_gone),
		TEST(a_peer_that_never_reads),
		TEST(a_message_larger_than_the_buffer),
		TEST(listening),
		TEST(who_comes_at_once),
		TEST(a_directory_that_stays_locked),
		TEST(a_path_is_the_same_from_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
