// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Images: opened, locked and measured once, before any guest runs.
 *
 * The format is raw, always: a guest could write another format's header into its first sector, and
 * a daemon that guesses would then follow what the guest wrote there to other files.
 *
 * Locks are open-file-description locks, so they belong to our open file and not to the process, and
 * end with it whatever happens. A writer locks the whole file. A reader takes shared locks of two
 * bytes only, those that QEMU's tools use to say "I read" and "nobody may write" (100 and 201): two
 * readers of either project get along, and a writer of either is refused beside them.
 *
 * A block device may be in use by the kernel itself, which takes no such lock: mounted, swapped to, part
 * of an array. So a writer also claims it (O_EXCL), which the kernel refuses then.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "backend/store/store.h"
#include "common/log.h"

/*
 * A process that was killed keeps its lock and claim for some milliseconds: the kernel takes down its io_uring,
 * which holds the file, after the process is gone. Its successor is not to be refused for that.
 */
#define LOCK_TRIES    20
#define LOCK_PAUSE_NS 25000000

#define LOCK_BYTE_READS       100
#define LOCK_BYTE_NO_WRITERS  201
#define MEMORY_ALIGN_UNKNOWN  4096 /* where the kernel does not say: safe for every device */
#define PHYSICAL_SIZE_DEFAULT 4096

static int lock_range(int fd, short type, off_t start, off_t length)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, F_OFD_SETLK, &lock);
}

static int image_try_lock(const struct store_image *image)
{
	if (!image->read_only)
		return lock_range(image->fd, F_WRLCK, 0, 0);
	if (lock_range(image->fd, F_RDLCK, LOCK_BYTE_READS, 1) < 0)
		return -1;
	return lock_range(image->fd, F_RDLCK, LOCK_BYTE_NO_WRITERS, 1);
}

static int image_lock(const struct store_image *image)
{
	const struct timespec pause = {0, LOCK_PAUSE_NS};
	unsigned int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (image_try_lock(image) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		nanosleep(&pause, NULL);
	}
	if (errno == EAGAIN || errno == EACCES)
		log_error("%s: in use: another process holds its lock; stop that one, or serve a "
			  "copy",
			  image->name);
	else
		log_errno("%s: cannot be locked; move it to a file system with locks", image->name);
	return -1;
}

/* A claim is for block devices only: for other files O_EXCL without O_CREAT is undefined. */
static int image_claim_flag(const struct store_image *image)
{
	struct stat st;

	if (image->read_only || stat(image->name, &st) < 0 || !S_ISBLK(st.st_mode))
		return 0;
	return O_EXCL;
}

static int image_open_claimed(const char *name, int flags)
{
	const struct timespec pause = {0, LOCK_PAUSE_NS};
	unsigned int i;
	int fd;

	for (i = 0; (fd = open(name, flags)) < 0 && errno == EBUSY && i < LOCK_TRIES; i++)
		nanosleep(&pause, NULL);
	return fd;
}

static int image_open_file(struct store_image *image)
{
	int flags = (image->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK |
		    (image->direct ? O_DIRECT : 0);

	/*
	 * O_NONBLOCK: a FIFO must be refused, not waited for. It goes once the file is open: io_uring
	 * would fail requests on it that have to wait.
	 */
	image->fd = image_open_claimed(image->name, flags | image_claim_flag(image));
	if (image->fd >= 0)
		return fcntl(image->fd, F_SETFL, image->direct ? O_DIRECT : 0);
	if (errno == EINVAL && image->direct)
		log_error("%s: its file system has no O_DIRECT; use --cache=writeback",
			  image->name);
	else if (errno == EBUSY)
		log_error(
			"%s: in use by this host: mounted, swapped to, part of an array or claimed "
			"by another program; release it, or use --read-only",
			image->name);
	else if (errno == EISDIR)
		log_error("%s: is a directory; name a raw image file or a block device",
			  image->name);
	else if (errno == ENOENT)
		log_error("%s: no such file; make one with: truncate -s 1G %s", image->name,
			  image->name);
	else if ((errno == EACCES || errno == EPERM || errno == EROFS) && !image->read_only)
		log_errno("%s: cannot be opened for writing; change its rights, or use --read-only",
			  image->name);
	else
		log_errno("%s: cannot be opened; check the path and its rights", image->name);
	return -1;
}

static int image_check_type(struct store_image *image, const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return 0;
	if (S_ISBLK(st->st_mode)) {
		image->block_device = true;
		return 0;
	}
	log_error("%s: is %s; name a raw image file or a block device", image->name,
		  S_ISDIR(st->st_mode) ? "a directory" : "neither a file nor a block device");
	return -1;
}

static int image_read_size(const struct store_image *image, uint64_t *size)
{
	struct stat st;

	if (image->block_device)
		return ioctl(image->fd, BLKGETSIZE64, size);
	if (fstat(image->fd, &st) < 0)
		return -1;
	*size = st.st_size;
	return 0;
}

/* What O_DIRECT asks of file offsets and of buffers in memory. */
static void image_direct_alignment(struct store_image *image, uint32_t *offset_align)
{
	struct statx stx;

	image->memory_align = MEMORY_ALIGN_UNKNOWN;
	if (statx(image->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align) {
		image->memory_align = stx.stx_dio_mem_align;
		*offset_align = stx.stx_dio_offset_align;
	}
}

static int image_block_sizes(struct store_image *image, uint32_t wanted, const struct stat *st)
{
	uint32_t least = 512, physical = PHYSICAL_SIZE_DEFAULT;
	int sector;

	image->memory_align = 1;
	if (image->block_device && ioctl(image->fd, BLKSSZGET, &sector) == 0) {
		least = sector;
		ioctl(image->fd, BLKPBSZGET, &physical);
	} else if (st->st_blksize >= 512 && st->st_blksize <= 65536) {
		physical = st->st_blksize;
	}
	if (image->direct)
		image_direct_alignment(image, &least);

	image->block_size = wanted ? wanted : (least < 512 ? 512 : least);
	if (image->block_size < least) {
		log_error("%s: needs blocks of %u bytes; use --logical-block-size=%u%s",
			  image->name, least, least,
			  image->block_device ? "" : " or --cache=writeback");
		return -1;
	}
	if (image->block_size > 4096) {
		log_error("%s: has blocks of %u bytes, more than 4096; use --cache=writeback",
			  image->name, image->block_size);
		return -1;
	}
	image->physical_size = physical < image->block_size ? image->block_size : physical;
	return 0;
}

static int image_check_size(const struct store_image *image, uint64_t size)
{
	if (size == 0) {
		log_error("%s: is empty; give it a size with: truncate -s 1G %s", image->name,
			  image->name);
		return -1;
	}
	if (size % image->block_size) {
		log_error("%s: %" PRIu64
			  " bytes are no multiple of the block size of %u; extend it "
			  "with: truncate -s %%%u %s",
			  image->name, size, image->block_size, image->block_size, image->name);
		return -1;
	}
	return 0;
}

/*
 * Beyond the end of the file the hole is a question without an effect. A block device that cannot
 * discard says so at the first one, which costs nobody anything: it is a hint.
 */
static bool image_can_discard(const struct store_image *image, uint64_t size)
{
	if (image->read_only)
		return false;
	if (image->block_device)
		return true;
	return fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size, 4096) == 0;
}

/*
 * A device that can make data unrecoverable finds fault with a range that is none; one that cannot says
 * that before it looks at the range. Nothing is erased by the question. Of a file nobody knows where its
 * copies are.
 */
static bool image_can_erase(const struct store_image *image)
{
	uint64_t no_range[2] = {1, 512};

	return image->block_device && !image->read_only &&
	       ioctl(image->fd, BLKSECDISCARD, no_range) < 0 && errno == EINVAL;
}

/* The same file has the same serial number at each start, and two files have different ones. */
static void image_make_id(struct store_image *image, const struct stat *st)
{
	char text[48];

	if (image->block_device)
		snprintf(text, sizeof(text), "pvkit-%x-%x", major(st->st_rdev), minor(st->st_rdev));
	else
		snprintf(text, sizeof(text), "pvkit-%" PRIx64,
			 (uint64_t)st->st_ino ^ ((uint64_t)st->st_dev << 40));
	memcpy(image->id, text, strnlen(text, sizeof(image->id)));
}

static int image_open(struct store_image *image, uint32_t block_size)
{
	struct statfs fs;
	struct stat st;
	uint64_t size;

	if (image_open_file(image) < 0)
		return -1;
	if (fstat(image->fd, &st) < 0) {
		log_errno("%s: cannot be examined; check its file system", image->name);
		return -1;
	}
	if (image_check_type(image, &st) < 0 || image_lock(image) < 0)
		return -1;
	if (image_read_size(image, &size) < 0) {
		log_errno("%s: its size cannot be read; check the device", image->name);
		return -1;
	}
	if (image_block_sizes(image, block_size, &st) < 0 || image_check_size(image, size) < 0)
		return -1;
	image->size = size;
	image->memory_backed =
		!image->block_device && fstatfs(image->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
	image->can_discard = image_can_discard(image, size);
	image->can_erase = image_can_erase(image);
	image_make_id(image, &st);
	return 0;
}

static void image_open_null(struct store_image *image, const struct store_image_options *options)
{
	image->name = "null";
	image->block_size = options->block_size ? options->block_size : 512;
	image->physical_size = PHYSICAL_SIZE_DEFAULT;
	image->memory_align = 1;
	image->size = options->null_size;
	image->can_discard = !options->read_only;
	memcpy(image->id, "pvkit-null", sizeof("pvkit-null"));
}

struct store_image *store_image_open(const struct store_image_options *options)
{
	struct store_image *image = calloc(1, sizeof(*image));
	int result = 0;

	if (!image) {
		log_errno("image: no memory");
		return NULL;
	}
	image->fd = -1;
	image->name = options->path;
	image->read_only = options->read_only;
	image->direct = options->path && options->cache == STORE_CACHE_DIRECT;
	if (options->path)
		result = image_open(image, options->block_size);
	else
		image_open_null(image, options);
	if (result < 0) {
		store_image_close(image);
		return NULL;
	}
	return image;
}

void store_image_close(struct store_image *image)
{
	if (!image)
		return;
	if (image->fd >= 0) {
		/* At once, also while the kernel still takes down rings that hold the file. */
		lock_range(image->fd, F_UNLCK, 0, 0);
		close(image->fd);
	}
	free(image);
}

int store_image_refresh(struct store_image *image)
{
	uint64_t size, old = image->size;

	if (image->fd < 0)
		return 0;
	if (image_read_size(image, &size) < 0) {
		int error = errno;

		log_errno("%s: its size cannot be read; it stays %" PRIu64 " bytes", image->name,
			  old);
		return -error;
	}
	if (size == old)
		return 0;
	if (size < old) {
		log_error("%s: shrank from %" PRIu64 " to %" PRIu64 " bytes, which a running guest "
			  "cannot follow; give it its size back, or restart the guest",
			  image->name, old, size);
		return -EINVAL;
	}
	if (image_check_size(image, size) < 0)
		return -EINVAL;
	image->size = size;
	return 1;
}
