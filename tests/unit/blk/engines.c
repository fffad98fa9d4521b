// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The whole device on each engine, cache mode and ring format: what was written is read back, from
 * the guest's side and from outside.
 */
#include "tests/unit/blk/harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define IMAGE_BYTES (4ULL << 20)

struct setting {
	const struct store_engine *engine;
	enum store_cache cache;
	uint64_t features;
	const char *directory;
};

#define F_PACKED (F_BLK | VIRTQUEUE_F_PACKED)

static const struct setting settings[] = {
	{&store_engine_io_uring, STORE_CACHE_WRITEBACK, F_BLK, "/tmp"},
	{&store_engine_io_uring, STORE_CACHE_DIRECT, F_BLK, "/tmp"},
	{&store_engine_io_uring, STORE_CACHE_WRITEBACK, F_PACKED, "/tmp"},
	{&store_engine_io_uring, STORE_CACHE_WRITEBACK, F_BLK, "/dev/shm"},
	{&store_engine_libaio, STORE_CACHE_DIRECT, F_BLK, "/tmp"},
	{&store_engine_libaio, STORE_CACHE_WRITEBACK, F_PACKED, "/tmp"},
	{&store_engine_threads, STORE_CACHE_WRITEBACK, F_BLK, "/tmp"},
	{&store_engine_threads, STORE_CACHE_DIRECT, F_PACKED, "/tmp"},
};

static void fill(uint8_t *data, size_t bytes, uint32_t seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		data[i] = (seed = seed * 1664525 + 1013904223) >> 24;
}

static bool all_zero(const uint8_t *data, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (data[i])
			return false;
	return true;
}

static void write_and_read(struct harness *h, uint64_t sector, uint64_t bytes, uint64_t offset)
{
	uint64_t mark = h->next;
	uint64_t from = take(h, bytes, offset), to = take(h, bytes, offset);
	uint8_t *outside = malloc(bytes);
	int fd = open(h->path, O_RDONLY);

	fill(at(h, from), bytes, sector + offset + 1);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, sector, from, bytes), VIRTIO_BLK_S_OK);
	assert_int_equal(request(h, VIRTIO_BLK_T_IN, sector, to, bytes), VIRTIO_BLK_S_OK);
	assert_memory_equal(at(h, from), at(h, to), bytes);
	assert_int_equal(pread(fd, outside, bytes, sector * 512), bytes);
	assert_memory_equal(outside, at(h, from), bytes);
	close(fd);
	free(outside);
	h->next = mark;
}

static void exercise_data(struct harness *h)
{
	write_and_read(h, 0, 4096, 0);
	write_and_read(h, 8, 65536, 0);
	write_and_read(h, IMAGE_BYTES / 512 - 1, 512, 0);
	/* Off every alignment, also larger than one bounce buffer. */
	write_and_read(h, 3, 512, 1);
	write_and_read(h, 17, 4096, 777);
	write_and_read(h, 33, 200 * 512, 13);
}

/* Many small pieces, of odd lengths, off alignment. */
static void exercise_pieces(struct harness *h)
{
	uint64_t mark = h->next, data = take(h, 8192, 3);
	uint8_t expected[4096];
	struct chain c = {0};
	unsigned int i;

	fill(at(h, data), 4096, 99);
	memcpy(expected, at(h, data), 4096);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 64, data, 4096), VIRTIO_BLK_S_OK);
	memset(at(h, data), 0, 8192);
	add_header(h, &c, VIRTIO_BLK_T_IN, 64);
	for (i = 0; i < 16; i++)
		add_writable(&c, data + i * 400, i < 15 ? 257 : 4096 - 15 * 257);
	add_status(h, &c);
	send_chain(h, &c);
	wait_chain(h, &c);
	assert_int_equal(chain_status(h, &c), VIRTIO_BLK_S_OK);
	assert_int_equal(c.written, 4097);
	for (i = 0; i < 15; i++)
		assert_memory_equal(at(h, data + i * 400), expected + i * 257, 257);
	assert_memory_equal(at(h, data + 15 * 400), expected + 15 * 257, 4096 - 15 * 257);
	h->next = mark;
}

static void exercise_ranges(struct harness *h)
{
	uint64_t mark = h->next, data = take(h, 65536, 0);

	fill(at(h, data), 65536, 5);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 128, data, 65536), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(h, VIRTIO_BLK_T_DISCARD, 128, 32, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(h, VIRTIO_BLK_T_WRITE_ZEROES, 160, 32, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(h, VIRTIO_BLK_T_WRITE_ZEROES, 192, 33,
				       VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_OK);
	memset(at(h, data), 1, 65536);
	assert_int_equal(request(h, VIRTIO_BLK_T_IN, 128, data, 65536), VIRTIO_BLK_S_OK);
	assert_true(all_zero(at(h, data), 97 * 512));
	assert_false(all_zero(at(h, data + 97 * 512), 512));
	assert_int_equal(request(h, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	h->next = mark;
}

/* Two ranges in one request; the second is out of range, so neither is touched. */
static void exercise_range_lists(struct harness *h)
{
	uint64_t mark = h->next, list = take(h, 32, 0), data = take(h, 4096, 0);
	struct virtio_blk_discard_write_zeroes *range = at(h, list);

	fill(at(h, data), 4096, 7);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_OK);
	range[0] = (struct virtio_blk_discard_write_zeroes){0, 2, 0};
	range[1] = (struct virtio_blk_discard_write_zeroes){IMAGE_BYTES / 512, 1, 0};
	assert_int_equal(request(h, VIRTIO_BLK_T_WRITE_ZEROES, 0, list, 32), VIRTIO_BLK_S_IOERR);
	range[1].sector = 4;
	assert_int_equal(request(h, VIRTIO_BLK_T_WRITE_ZEROES, 0, list, 31), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(h, VIRTIO_BLK_T_IN, 0, data, 4096), VIRTIO_BLK_S_OK);
	assert_false(all_zero(at(h, data), 1024));
	assert_int_equal(request(h, VIRTIO_BLK_T_WRITE_ZEROES, 0, list, 32), VIRTIO_BLK_S_OK);
	assert_int_equal(request(h, VIRTIO_BLK_T_IN, 0, data, 4096), VIRTIO_BLK_S_OK);
	assert_true(all_zero(at(h, data), 1024));
	assert_true(all_zero(at(h, data + 2048), 512));
	assert_false(all_zero(at(h, data + 1024), 1024));
	h->next = mark;
}

#define MANY 48

/* As many at once as the ring takes, in distinct places; every answer is the right one's. */
static void exercise_depth(struct harness *h)
{
	static struct chain chains[MANY];
	uint64_t mark = h->next, data = take(h, MANY * 4096, 0);
	unsigned int i;

	fill(at(h, data), MANY * 4096, 11);
	memset(chains, 0, sizeof(chains));
	for (i = 0; i < MANY; i++) {
		add_header(h, &chains[i], VIRTIO_BLK_T_OUT, 512 + i * 8);
		add_readable(&chains[i], data + i * 4096, 4096);
		add_status(h, &chains[i]);
		send_chain(h, &chains[i]);
	}
	for (i = 0; i < MANY; i++) {
		wait_chain(h, &chains[i]);
		assert_int_equal(chain_status(h, &chains[i]), VIRTIO_BLK_S_OK);
		assert_int_equal(chains[i].written, 1);
	}
	for (i = 0; i < MANY; i++) {
		uint64_t to = take(h, 4096, 0);

		assert_int_equal(request(h, VIRTIO_BLK_T_IN, 512 + i * 8, to, 4096),
				 VIRTIO_BLK_S_OK);
		assert_memory_equal(at(h, to), at(h, data + i * 4096), 4096);
		h->next = to;
	}
	h->next = mark;
}

static void test_engine(void **state)
{
	const struct setting *setting = *state;
	struct store_image *image;
	struct harness h = {0};
	int fd;

	if (setting->engine->probe())
		skip();
	snprintf(h.path, sizeof(h.path), "%s/pvkit-blk-XXXXXX", setting->directory);
	fd = mkstemp(h.path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
	image = open_file(h.path, false, setting->cache, 0);
	if (!image && setting->cache == STORE_CACHE_DIRECT) {
		unlink(h.path);
		skip();
	}
	image->can_erase = true; /* which no file can: no engine may say that it did */
	harness_open(&h, image, setting->engine, setting->features, 256);
	exercise_data(&h);
	exercise_pieces(&h);
	exercise_ranges(&h);
	exercise_range_lists(&h);
	exercise_depth(&h);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(stats_read(&stats_queue(h.stats, 0)->broken), 0);
	harness_close(&h);
	unlink(h.path);
}

static void test_null(void **state)
{
	struct store_image_options options = {.null_size = IMAGE_BYTES};
	struct harness h = {0};
	uint64_t data;

	harness_open(&h, store_image_open(&options), &store_engine_null, F_BLK, 256);
	h.image->can_erase = true;
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	data = take(&h, 4096, 0);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 0, data, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, IMAGE_BYTES / 512, data, 4096),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&h, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_OK);
	harness_close(&h);
}

/* Refuses system call @number to this process, as a container's filter does. */
static void forbid(int number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
}

/* What is chosen in place of io_uring, in a child where the calls are forbidden one by one. */
static void fall_back_child(void)
{
	forbid(__NR_io_uring_setup);
	if (store_engine_choose(STORE_IO_URING, STORE_CACHE_DIRECT) != &store_engine_libaio)
		_exit(1);
	if (store_engine_choose(STORE_IO_URING, STORE_CACHE_WRITEBACK) != &store_engine_threads)
		_exit(2);
	forbid(__NR_io_setup);
	if (store_engine_choose(STORE_IO_URING, STORE_CACHE_DIRECT) != &store_engine_threads)
		_exit(3);
	_exit(0);
}

static void test_fall_back(void **state)
{
	int status;
	pid_t child = fork();

	if (!child)
		fall_back_child();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* no filters here */
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_ptr_equal(store_engine_choose(STORE_NULL, STORE_CACHE_DIRECT), &store_engine_null);
}

/* The whole device once more, with guest memory registered where the limits allow that. */
static void test_registered_memory(void **state)
{
	struct harness h = {0};

	if (store_engine_io_uring.probe())
		skip();
	make_file(h.path, sizeof(h.path), IMAGE_BYTES);
	h.register_memory = true;
	harness_open(&h, open_file(h.path, false, STORE_CACHE_DIRECT, 0), &store_engine_io_uring,
		     F_BLK, 256);
	exercise_data(&h);
	exercise_depth(&h);
	harness_close(&h);
	unlink(h.path);
}

int main(void)
{
	enum {
		COUNT = sizeof(settings) / sizeof(*settings)
	};
	struct CMUnitTest tests[COUNT + 3];
	static char names[COUNT][64];
	unsigned int i;

	log_open("engines", false);
	for (i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "%s %s %s %s", settings[i].engine->name,
			 settings[i].cache == STORE_CACHE_DIRECT ? "direct" : "writeback",
			 settings[i].features & VIRTQUEUE_F_PACKED ? "packed" : "split",
			 settings[i].directory);
		tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate(test_engine,
									(void *)&settings[i]);
		tests[i].name = names[i];
	}
	tests[COUNT] = (struct CMUnitTest)cmocka_unit_test(test_null);
	tests[COUNT + 1] = (struct CMUnitTest)cmocka_unit_test(test_fall_back);
	tests[COUNT + 2] = (struct CMUnitTest)cmocka_unit_test(test_registered_memory);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
