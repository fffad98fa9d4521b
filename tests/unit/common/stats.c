// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The statistics page: its layout as a reader finds it, its file's life, and the bucket functions.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/stats.h"

static char directory[64], path[128];

static int setup(void **state)
{
	strcpy(directory, "/tmp/pvkit-stats-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/pvkit-test.%d", directory, getpid());
	return setenv("PVKIT_STATS_DIR", directory, 1);
}

/* Fails unless the test left the directory empty. */
static int teardown(void **state)
{
	return rmdir(directory);
}

static void the_file_has_the_layout_of_the_contract(void **state)
{
	struct stats_page *page = stats_open("pvkit-test", STATS_DEVICE_BLK, "a.img", 3);
	struct stats_header header;
	struct stats_queue queue;
	struct stat status;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	stats_add(&stats_queue(page, 2)->kicks, 5);
	stats_add(&stats_queue(page, 2)->kicks, 2);
	assert_int_equal(stats_read(&stats_queue(page, 2)->kicks), 7);

	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	assert_int_equal(status.st_size, 128 + 3 * sizeof(queue));
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	assert_true(header.magic == STATS_MAGIC);
	assert_int_equal(header.version, 1);
	assert_int_equal(header.device, 2);
	assert_int_equal(header.pid, getpid());
	assert_int_equal(header.queues_max, 3);
	assert_int_equal(header.queue_size, sizeof(queue));
	assert_string_equal(header.program, "pvkit-test");
	assert_string_equal(header.object, "a.img");
	assert_int_equal(pread(fd, &queue, sizeof(queue), 128 + 2 * sizeof(queue)), sizeof(queue));
	assert_int_equal(queue.index, 2);
	assert_int_equal(queue.kicks, 7);
	close(fd);
	stats_close(page);
	assert_int_equal(access(path, F_OK), -1);
}

static void long_names_are_cut(void **state)
{
	static const char long_object[] =
		"/a/path/that/is/much/longer/than/the/sixty/four/bytes/of/the/header/holds.img";
	struct stats_page *page = stats_open("pvkit-test", STATS_DEVICE_NET, long_object, 1);
	struct stats_header header;
	int fd = open(path, O_RDONLY);

	assert_int_equal(read(fd, &header, sizeof(header)), sizeof(header));
	assert_int_equal(strlen(header.object), sizeof(header.object) - 1);
	close(fd);
	stats_close(page);
}

static void make_file(const char *name, uint64_t magic, char *full)
{
	int fd;

	sprintf(full, "%s/%s", directory, name);
	fd = open(full, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, &magic, sizeof(magic)), sizeof(magic));
	close(fd);
}

static pid_t dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static void files_of_the_dead_are_removed(void **state)
{
	char name[64], dead[128], foreign[128], living[128], own[128];
	struct stats_page *page;

	snprintf(name, sizeof(name), "pvkit-blkd.%d", dead_pid());
	make_file(name, STATS_MAGIC, dead);
	snprintf(name, sizeof(name), "other.%d", dead_pid());
	make_file(name, 1, foreign); /* no page: not ours to remove */
	make_file("pvkit-blkd.1", STATS_MAGIC, living);
	snprintf(name, sizeof(name), "pvkit-test.%d", getpid());
	make_file(name, STATS_MAGIC, own); /* of a predecessor with our pid: replaced */

	page = stats_open("pvkit-test", STATS_DEVICE_BLK, "a", 1);
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(foreign, F_OK), 0);
	assert_int_equal(access(living, F_OK), 0);
	stats_close(page);
	assert_int_equal(access(own, F_OK), -1);
	unlink(foreign);
	unlink(living);
}

/* Where no file can be made the daemon counts all the same. */
static void counting_works_without_a_file(void **state)
{
	struct stats_page *page;
	int silence = open("/dev/null", O_WRONLY), saved = dup(STDERR_FILENO);

	setenv("PVKIT_STATS_DIR", "/proc/no-such/place", 1);
	dup2(silence, STDERR_FILENO);
	page = stats_open("pvkit-test", STATS_DEVICE_BLK, "a", 2);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(silence);
	stats_add(&stats_queue(page, 1)->errors, 1);
	assert_int_equal(stats_queue(page, 1)->errors, 1);
	stats_close(page);
}

static void the_directory(void **state)
{
	assert_string_equal(stats_directory(), directory);
	unsetenv("PVKIT_STATS_DIR");
	assert_int_equal(stats_directory()[0], '/');
	assert_non_null(strstr(stats_directory(), "pvkit"));
}

static void latency_buckets_are_monotonic_and_continuous(void **state)
{
	unsigned int bucket, before = 0;
	uint64_t ns;

	for (ns = 0; ns < 1 << 20; ns++) {
		bucket = stats_latency_bucket(ns);
		assert_true(bucket == before || bucket == before + 1);
		before = bucket;
	}
	/* Each floor is the first of its bucket, and the last before it belongs to the one before. */
	for (bucket = 1; bucket < STATS_LATENCY_BUCKETS; bucket++) {
		assert_int_equal(stats_latency_bucket(stats_latency_floor(bucket)), bucket);
		assert_int_equal(stats_latency_bucket(stats_latency_floor(bucket) - 1), bucket - 1);
	}
	assert_int_equal(stats_latency_bucket(0), 0);
	assert_int_equal(stats_latency_bucket(1ULL << 40), STATS_LATENCY_BUCKETS - 1);
	assert_int_equal(stats_latency_bucket(UINT64_MAX), STATS_LATENCY_BUCKETS - 1);
}

static void batch_buckets(void **state)
{
	uint64_t n;

	assert_int_equal(stats_batch_bucket(0), 0);
	assert_int_equal(stats_batch_bucket(1), 0);
	assert_int_equal(stats_batch_bucket(2), 1);
	assert_int_equal(stats_batch_bucket(3), 1);
	assert_int_equal(stats_batch_bucket(4), 2);
	assert_int_equal(stats_batch_bucket(UINT64_MAX), STATS_BATCH_BUCKETS - 1);
	for (n = 1; n < 1 << 14; n++)
		assert_true(stats_batch_bucket(n) >= stats_batch_bucket(n - 1));
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(the_file_has_the_layout_of_the_contract),
		FILE_TEST(long_names_are_cut),
		FILE_TEST(files_of_the_dead_are_removed),
		FILE_TEST(counting_works_without_a_file),
		FILE_TEST(the_directory),
		cmocka_unit_test(latency_buckets_are_monotonic_and_continuous),
		cmocka_unit_test(batch_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
