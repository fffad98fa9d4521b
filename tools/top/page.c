// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Reading the pages.
 *
 * The directory may be writable by others, and whoever owns a page may cut it short at any time. A
 * mapping of it would then end in SIGBUS, at any load. So each reading is a read(2) into memory of
 * our own, a few KiB a second and daemon, and all checks are made on that copy. Nothing but a regular
 * file is opened for longer than it takes to see what it is, and never one that could block us.
 */
#include "tools/top/page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/stats.h"

/* More than any virtio device has (QEMU's limit); keeps a lying header from costing memory. */
#define PAGE_QUEUES_MAX 1024

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* "PROGRAM.PID" of a process that lives: its pid, else 0. */
static pid_t page_pid_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	char *end;
	long pid;

	if (!dot || dot[1] < '1' || dot[1] > '9')
		return 0;
	pid = strtol(dot + 1, &end, 10);
	if (*end || pid > INT_MAX)
		return 0;
	return kill(pid, 0) < 0 && errno == ESRCH ? 0 : pid;
}

static bool page_header_is_good(const struct stats_header *header, pid_t pid)
{
	return header->magic == STATS_MAGIC && header->version == STATS_VERSION &&
	       header->pid == (uint32_t)pid && header->queue_size == sizeof(struct stats_queue) &&
	       header->queues_max > 0 && header->queues_max <= PAGE_QUEUES_MAX;
}

static bool page_read_exactly(int fd, void *data, size_t size, off_t offset)
{
	return pread(fd, data, size, offset) == (ssize_t)size;
}

static struct page *page_read_file(int fd, pid_t pid)
{
	struct stats_header header;
	struct page *page;
	struct stat status;
	size_t size;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return NULL;
	if (!page_read_exactly(fd, &header, sizeof(header), 0) ||
	    !page_header_is_good(&header, pid))
		return NULL;
	header.program[sizeof(header.program) - 1] = '\0';
	header.object[sizeof(header.object) - 1] = '\0';
	size = header.queues_max * sizeof(struct stats_queue);
	page = malloc(sizeof(*page) + size);
	if (!page)
		return NULL;
	page->next = NULL;
	page->header = header;
	page->queues = header.queues_max;
	page->taken_ns = now_ns();
	if (!page_read_exactly(fd, page->queue, size, sizeof(header))) {
		free(page);
		return NULL;
	}
	return page;
}

static int page_order(const struct page *a, const struct page *b)
{
	int order = strcmp(a->header.program, b->header.program);

	return order ? order : (int)a->header.pid - (int)b->header.pid;
}

static void page_insert(struct page **list, struct page *page)
{
	while (*list && page_order(*list, page) < 0)
		list = &(*list)->next;
	page->next = *list;
	*list = page;
}

static void page_read_directory(const char *path, pid_t only, struct page **list)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		pid_t pid = page_pid_of(entry->d_name);
		struct page *page;
		int fd;

		if (!pid || (only && pid != only))
			continue;
		fd = openat(dirfd(directory), entry->d_name,
			    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			continue;
		page = page_read_file(fd, pid);
		close(fd);
		if (page)
			page_insert(list, page);
	}
	closedir(directory);
}

struct page *page_read_all(pid_t pid)
{
	static const char system_wide[] = "/run/pvkit";
	const char *directory = stats_directory();
	struct page *list = NULL;

	page_read_directory(directory, pid, &list);
	/* Our own daemons' pages lie elsewhere than root's, which we may be allowed to read too. */
	if (!getenv("PVKIT_STATS_DIR") && strcmp(directory, system_wide))
		page_read_directory(system_wide, pid, &list);
	return list;
}

void page_free_all(struct page *pages)
{
	while (pages) {
		struct page *next = pages->next;

		free(pages);
		pages = next;
	}
}

const struct page *page_find(const struct page *pages, const struct page *same)
{
	for (; pages; pages = pages->next)
		if (pages->header.pid == same->header.pid &&
		    pages->header.start_ns == same->header.start_ns &&
		    pages->queues == same->queues)
			return pages;
	return NULL;
}
