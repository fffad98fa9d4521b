// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The statistics page, the writer's side.
 *
 * A daemon that was killed leaves its file behind. A later one that finds the file of a dead pid
 * removes it, but only when nobody holds its lock: a daemon of another pid namespace may share the
 * directory, and its pid means nothing here.
 */
#include "common/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

struct stats_page {
	struct stats_header *header;
	size_t size;
	int fd; /* holds the lock; -1: private memory */
	char path[PATH_MAX];
};

const char *stats_directory(void)
{
	static char directory[PATH_MAX - NAME_MAX];
	const char *wanted = getenv("PVKIT_STATS_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");

	if (wanted && *wanted)
		snprintf(directory, sizeof(directory), "%s", wanted);
	else if (access("/run/pvkit", W_OK) == 0 || (errno == ENOENT && access("/run", W_OK) == 0))
		snprintf(directory, sizeof(directory), "/run/pvkit");
	else if (runtime && *runtime)
		snprintf(directory, sizeof(directory), "%s/pvkit", runtime);
	else
		snprintf(directory, sizeof(directory), "/tmp/pvkit-%u", geteuid());
	return directory;
}

/*
 * Opens the directory, made if need be. One below /tmp could have been laid out by somebody else, to
 * have us write where a link of theirs leads: it must be a directory of our own.
 */
static int stats_open_directory(const char *path)
{
	struct stat status;
	int fd;

	if (mkdir(path, strncmp(path, "/tmp/", 5) ? 0755 : 0700) < 0 && errno != EEXIST)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) < 0 || (status.st_uid != geteuid() && status.st_uid != 0)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

static bool stats_pid_of(const char *name, pid_t *pid)
{
	const char *dot = strrchr(name, '.');
	char *end;
	long value;

	if (!dot || dot[1] < '1' || dot[1] > '9')
		return false;
	value = strtol(dot + 1, &end, 10);
	if (*end || value > INT_MAX)
		return false;
	*pid = value;
	return true;
}

/* Whether the file is a statistics page that its writer no longer holds. */
static bool stats_is_abandoned(int directory, const char *name)
{
	struct stat status;
	uint64_t magic;
	bool abandoned;
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return false;
	abandoned = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
		    status.st_uid == geteuid() &&
		    pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) && magic == STATS_MAGIC &&
		    flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return abandoned;
}

static void stats_sweep(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	pid_t pid;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream))) {
		if (!stats_pid_of(entry->d_name, &pid))
			continue;
		if (kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		if (stats_is_abandoned(directory, entry->d_name))
			unlinkat(directory, entry->d_name, 0);
	}
	closedir(stream);
}

/* A file of our pid is the leaving of a predecessor that had the same number. */
static int stats_create(int directory, const char *name, size_t size)
{
	int fd, error;

	unlinkat(directory, name, 0);
	fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -1;
	/* Allocated now: a file system that is full must not become a SIGBUS while counting. */
	error = posix_fallocate(fd, 0, size);
	if (!error && (fchmod(fd, 0640) < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0))
		error = errno;
	if (error) {
		unlinkat(directory, name, 0);
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* Makes and maps the file; page->fd stays -1 and errno is set when that cannot be. */
static void stats_map_file(struct stats_page *page, const char *program)
{
	char name[NAME_MAX];
	int directory, error;
	void *map;

	snprintf(name, sizeof(name), "%s.%d", program, getpid());
	snprintf(page->path, sizeof(page->path), "%s/%s", stats_directory(), name);
	directory = stats_open_directory(stats_directory());
	if (directory < 0)
		return;
	stats_sweep(directory);
	page->fd = stats_create(directory, name, page->size);
	if (page->fd >= 0) {
		map = mmap(NULL, page->size, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
		if (map == MAP_FAILED) {
			error = errno;
			unlinkat(directory, name, 0);
			close(page->fd);
			page->fd = -1;
			errno = error;
		} else {
			page->header = map;
		}
	}
	error = errno;
	close(directory);
	errno = error;
}

static void stats_write_header(struct stats_header *header, const char *program,
			       enum stats_device device, const char *object,
			       unsigned int queues_max)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	header->version = STATS_VERSION;
	header->device = device;
	header->pid = getpid();
	header->queues_max = queues_max;
	header->queue_size = sizeof(struct stats_queue);
	header->start_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	snprintf(header->program, sizeof(header->program), "%s", program);
	snprintf(header->object, sizeof(header->object), "%s", object);
	/* Release: a reader that sees the magic sees the rest. */
	__atomic_store_n(&header->magic, STATS_MAGIC, __ATOMIC_RELEASE);
}

struct stats_page *stats_open(const char *program, enum stats_device device, const char *object,
			      unsigned int queues_max)
{
	struct stats_page *page = calloc(1, sizeof(*page));
	unsigned int i;

	if (!page)
		die_errno("no memory for the statistics page");
	page->fd = -1;
	page->size = sizeof(struct stats_header) + queues_max * sizeof(struct stats_queue);
	stats_map_file(page, program);
	if (page->fd < 0) {
		log_warn("%s: the page of counters cannot be made: %s; serving without, unseen by "
			 "pvkit-top; give --stats or PVKIT_STATS_DIR a directory of yours",
			 page->path, strerror(errno));
		page->header = mmap(NULL, page->size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page->header == MAP_FAILED)
			die_errno("no memory for the statistics page of %zu bytes", page->size);
	}
	for (i = 0; i < queues_max; i++)
		stats_queue(page, i)->index = i;
	stats_write_header(page->header, program, device, object, queues_max);
	return page;
}

struct stats_queue *stats_queue(struct stats_page *page, unsigned int index)
{
	return (struct stats_queue *)(page->header + 1) + index;
}

void stats_close(struct stats_page *page)
{
	if (!page)
		return;
	munmap(page->header, page->size);
	if (page->fd >= 0) {
		unlink(page->path);
		close(page->fd);
	}
	free(page);
}
