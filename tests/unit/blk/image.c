// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Opening images: what is refused, what is locked, what is never looked at.
 */
#include "tests/unit/blk/harness.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char path[64];

static int make(void **state)
{
	make_file(path, sizeof(path), 1 << 20);
	return 0;
}

static int drop(void **state)
{
	return unlink(path);
}

static void assert_refused(const char *name, bool read_only, enum store_cache cache,
			   uint32_t block_size)
{
	assert_null(open_file(name, read_only, cache, block_size));
}

static void test_opens(void **state)
{
	struct store_image *image = open_file(path, false, STORE_CACHE_WRITEBACK, 0);

	assert_non_null(image);
	assert_int_equal(image->size, 1 << 20);
	assert_int_equal(image->block_size, 512);
	assert_int_equal(image->physical_size % image->block_size, 0);
	assert_memory_equal(image->id, "pvkit-", 6);
	store_image_close(image);
}

static void test_missing(void **state)
{
	assert_refused("/nonexistent/disk.img", false, STORE_CACHE_WRITEBACK, 0);
}

static void test_wrong_types(void **state)
{
	char fifo[80];

	assert_refused("/tmp", false, STORE_CACHE_WRITEBACK, 0);
	assert_refused("/tmp", true, STORE_CACHE_WRITEBACK, 0);
	assert_refused("/dev/null", false, STORE_CACHE_WRITEBACK, 0);
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_refused(fifo, true, STORE_CACHE_WRITEBACK, 0); /* and does not wait for a writer */
	unlink(fifo);
}

static void test_sizes(void **state)
{
	struct store_image *image;

	assert_int_equal(truncate(path, 0), 0);
	assert_refused(path, false, STORE_CACHE_WRITEBACK, 0);
	assert_int_equal(truncate(path, 1000), 0);
	assert_refused(path, false, STORE_CACHE_WRITEBACK, 0);
	assert_int_equal(truncate(path, 4096 + 512), 0);
	assert_refused(path, false, STORE_CACHE_WRITEBACK, 4096);
	image = open_file(path, false, STORE_CACHE_WRITEBACK, 512);
	assert_non_null(image);
	store_image_close(image);
}

static void test_second_writer_is_refused(void **state)
{
	struct store_image *image = open_file(path, false, STORE_CACHE_WRITEBACK, 0);

	assert_non_null(image);
	assert_refused(path, false, STORE_CACHE_WRITEBACK, 0);
	assert_refused(path, true, STORE_CACHE_WRITEBACK, 0);
	store_image_close(image);
	image = open_file(path, false, STORE_CACHE_WRITEBACK, 0);
	assert_non_null(image);
	store_image_close(image);
}

static void test_readers_share(void **state)
{
	struct store_image *first = open_file(path, true, STORE_CACHE_WRITEBACK, 0);
	struct store_image *second = open_file(path, true, STORE_CACHE_WRITEBACK, 0);

	assert_non_null(first);
	assert_non_null(second);
	assert_refused(path, false, STORE_CACHE_WRITEBACK, 0);
	store_image_close(first);
	store_image_close(second);
}

/* Another format's header is data like any other, served as it is. */
static void test_format_is_not_guessed(void **state)
{
	static const char header[] = "QFI\xfb\0\0\0\3";
	struct store_image *image;
	int fd = open(path, O_WRONLY);

	assert_int_equal(write(fd, header, 8), 8);
	close(fd);
	image = open_file(path, false, STORE_CACHE_WRITEBACK, 0);
	assert_non_null(image);
	assert_int_equal(image->size, 1 << 20);
	store_image_close(image);
}

static void test_refresh(void **state)
{
	struct store_image *image = open_file(path, false, STORE_CACHE_WRITEBACK, 0);

	assert_non_null(image);
	assert_int_equal(store_image_refresh(image), 0);
	assert_int_equal(truncate(path, 2 << 20), 0);
	assert_int_equal(store_image_refresh(image), 1);
	assert_int_equal(image->size, 2 << 20);
	assert_int_equal(truncate(path, (3 << 20) + 100), 0);
	assert_int_equal(store_image_refresh(image), -EINVAL);
	assert_int_equal(truncate(path, 1 << 20), 0);
	assert_int_equal(store_image_refresh(image), -EINVAL);
	assert_int_equal(image->size, 2 << 20);
	store_image_close(image);
}

static void test_null_image(void **state)
{
	struct store_image_options options = {.null_size = 1 << 20};
	struct store_image *image;

	image = store_image_open(&options);
	assert_non_null(image);
	assert_int_equal(store_image_refresh(image), 0);
	store_image_close(image);
}

static void test_direct_says_its_alignment(void **state)
{
	struct store_image *image = open_file(path, false, STORE_CACHE_DIRECT, 0);

	if (!image)
		skip(); /* the file system of /tmp has no O_DIRECT */
	assert_true(image->memory_align >= 1 && image->memory_align <= 4096);
	store_image_close(image);
}

/*
 * A loop device in front of the file, its name in @name. It goes when it is closed, also by the end of
 * a test that fails. -1: not to be had here.
 */
static int loop_open(char *name, size_t size)
{
	struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number, loop = -1;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	config.fd = (uint32_t)fd;
	number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	snprintf(name, size, "/dev/loop%d", number);
	if (number >= 0)
		loop = open(name, O_RDWR | O_CLOEXEC);
	if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
		close(loop);
		loop = -1;
	}
	close(fd);
	if (control >= 0)
		close(control);
	return loop;
}

/* What a mount does: it claims the device. */
static void test_claimed_device_is_not_written(void **state)
{
	struct store_image *image;
	char name[32];
	int loop = loop_open(name, sizeof(name)), claim;

	if (loop < 0)
		skip(); /* no rights, or no loop devices */
	claim = open(name, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(claim >= 0);
	assert_refused(name, false, STORE_CACHE_WRITEBACK, 0);
	image = open_file(name, true, STORE_CACHE_WRITEBACK, 0);
	assert_non_null(image);
	store_image_close(image);
	close(claim);

	image = open_file(name, false, STORE_CACHE_WRITEBACK, 0);
	assert_non_null(image);
	assert_true(image->block_device);
	assert_true(open(name, O_RDONLY | O_EXCL | O_CLOEXEC) < 0);
	store_image_close(image);
	close(loop);
}

/* Makes a loop device one that can erase securely: what it is asked first, and what it erased. */
static struct {
	bool can;
	unsigned int times;
	uint64_t offset, bytes;
} eraser;

int ioctl(int fd, unsigned long request, ...)
{
	const uint64_t *range;
	va_list list;

	va_start(list, request);
	range = va_arg(list, void *);
	va_end(list);
	if (request != BLKSECDISCARD || !eraser.can)
		return (int)syscall(SYS_ioctl, fd, request, range);
	if ((range[0] | range[1]) % 512) {
		errno = EINVAL;
		return -1;
	}
	eraser.offset = range[0];
	eraser.bytes = range[1];
	__atomic_add_fetch(&eraser.times, 1, __ATOMIC_RELEASE);
	return 0;
}

static bool says_it_erases(const char *name, bool read_only)
{
	struct store_image *image = open_file(name, read_only, STORE_CACHE_WRITEBACK, 0);
	bool answer;

	assert_non_null(image);
	answer = image->can_erase;
	store_image_close(image);
	return answer;
}

static void erase_by(const struct store_engine *engine, const char *name)
{
	struct harness h = {0};
	unsigned int before = eraser.times;

	harness_open(&h, open_file(name, false, STORE_CACHE_WRITEBACK, 0), engine, F_BLK, 256);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(eraser.times, before);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(__atomic_load_n(&eraser.times, __ATOMIC_ACQUIRE), before + 1);
	assert_true(eraser.offset == 4096 && eraser.bytes == 8192);
	harness_close(&h);
}

static void test_device_that_erases(void **state)
{
	static const struct store_engine *const engines[] = {
		&store_engine_io_uring, &store_engine_libaio, &store_engine_threads};
	char name[32];
	int loop = loop_open(name, sizeof(name));
	unsigned int i;

	if (loop < 0)
		skip(); /* no rights, or no loop devices */
	assert_false(says_it_erases(name, false)); /* a loop device cannot */
	eraser.can = true;
	assert_false(says_it_erases(path, false));
	assert_false(says_it_erases(name, true));
	assert_true(says_it_erases(name, false));
	assert_int_equal(eraser.times, 0); /* by the question */
	for (i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (!engines[i]->probe())
			erase_by(engines[i], name);
	eraser.can = false;
	close(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_opens, make, drop),
		cmocka_unit_test_setup_teardown(test_missing, make, drop),
		cmocka_unit_test_setup_teardown(test_wrong_types, make, drop),
		cmocka_unit_test_setup_teardown(test_sizes, make, drop),
		cmocka_unit_test_setup_teardown(test_second_writer_is_refused, make, drop),
		cmocka_unit_test_setup_teardown(test_readers_share, make, drop),
		cmocka_unit_test_setup_teardown(test_format_is_not_guessed, make, drop),
		cmocka_unit_test_setup_teardown(test_refresh, make, drop),
		cmocka_unit_test_setup_teardown(test_null_image, make, drop),
		cmocka_unit_test_setup_teardown(test_direct_says_its_alignment, make, drop),
		cmocka_unit_test_setup_teardown(test_claimed_device_is_not_written, make, drop),
		cmocka_unit_test_setup_teardown(test_device_that_erases, make, drop),
	};

	log_open("image", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
