// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What a guest does between two marks, and nothing else: no process begins there, no file is opened.
 *
 *	load loop N			N times two instructions, to see that the count is exact
 *	load read DISK DEPTH N		N random reads of 4 KiB past the page cache, DEPTH at a time
 *	load send ADDRESS SIZE N	N datagrams to the discard port
 *	load echo ADDRESS SIZE N	N times a datagram to the echo port, and its answer
 *
 * Each warms up first, by as much as an eighth. Linked statically, for the initrd.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/instructions/marks.h"

#define BLOCK        4096
#define DEPTH_MAX    64
#define DATAGRAM_MAX 1472
#define PORT_ECHO    7
#define PORT_DISCARD 9

struct disk {
	int fd;
	uint64_t blocks, seed;
	unsigned int depth;
	aio_context_t context;
	struct iocb request[DEPTH_MAX];
	uint8_t *buffer; /* a block for each */
};

static uint64_t next_offset(struct disk *disk)
{
	disk->seed = disk->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (disk->seed >> 33) % disk->blocks * BLOCK;
}

static void submit(struct disk *disk, struct iocb **list, long count)
{
	if (syscall(SYS_io_submit, disk->context, count, list) != count)
		err(1, "io_submit");
}

/* As many as came back are sent again, until @count have been sent, and all are back. */
static void read_all(struct disk *disk, unsigned int count)
{
	struct io_event events[DEPTH_MAX];
	struct iocb *list[DEPTH_MAX];
	unsigned int sent = 0, out = 0;
	long n = disk->depth < count ? disk->depth : count;

	for (long i = 0; i < n; i++)
		list[i] = &disk->request[i];
	for (;;) {
		for (long i = 0; i < n; i++)
			list[i]->aio_offset = (int64_t)next_offset(disk);
		if (n)
			submit(disk, list, n);
		sent += (unsigned int)n;
		out += (unsigned int)n;
		if (!out)
			return;
		n = syscall(SYS_io_getevents, disk->context, 1L, (long)DEPTH_MAX, events, NULL);
		if (n < 1)
			err(1, "io_getevents");
		out -= (unsigned int)n;
		for (long i = 0; i < n; i++) {
			if (events[i].res != BLOCK)
				errx(1, "a read ended with %lld", (long long)events[i].res);
			list[i] = (struct iocb *)(uintptr_t)events[i].obj;
		}
		if (n > (long)(count - sent))
			n = (long)(count - sent);
	}
}

static void open_disk(struct disk *disk, const char *path, unsigned int depth)
{
	uint64_t bytes;

	*disk = (struct disk){.depth = depth, .seed = 1};
	disk->fd = open(path, O_RDONLY | O_DIRECT);
	if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &bytes) < 0)
		err(1, "%s", path);
	disk->blocks = bytes / BLOCK;
	if (!depth || depth > DEPTH_MAX)
		errx(1, "depth %u", depth);
	disk->buffer = aligned_alloc(BLOCK, (size_t)DEPTH_MAX * BLOCK);
	if (!disk->buffer || syscall(SYS_io_setup, DEPTH_MAX, &disk->context) < 0)
		err(1, "io_setup");
	memset(disk->buffer, 1, (size_t)DEPTH_MAX * BLOCK);
	for (unsigned int i = 0; i < depth; i++)
		disk->request[i] = (struct iocb){
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)disk->fd,
			.aio_buf = (uintptr_t)disk->buffer + (size_t)i * BLOCK,
			.aio_nbytes = BLOCK,
		};
}

static void read_disk(const char *path, unsigned int depth, unsigned int count)
{
	static struct disk disk;

	open_disk(&disk, path, depth);
	read_all(&disk, count / 8);
	MARK(MARK_BEGIN);
	read_all(&disk, count);
	MARK(MARK_END);
}

static int open_socket(const char *address, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		errx(1, "%s is no address", address);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "%s", address);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void send_all(int fd, size_t size, unsigned int count)
{
	static uint8_t data[DATAGRAM_MAX];

	for (unsigned int i = 0; i < count; i++) {
		if (send(fd, data, size, 0) != (ssize_t)size)
			err(1, "send");
	}
}

static void echo_all(int fd, size_t size, unsigned int count)
{
	static uint8_t data[DATAGRAM_MAX];

	for (unsigned int i = 0; i < count; i++) {
		send_all(fd, size, 1);
		if (recv(fd, data, sizeof(data), 0) != (ssize_t)size)
			err(1, "no answer to datagram %u", i);
	}
}

static void speak(void (*all)(int fd, size_t size, unsigned int count), const char *address,
		  uint16_t port, size_t size, unsigned int count)
{
	int fd = open_socket(address, port);

	if (size > DATAGRAM_MAX)
		errx(1, "%zu bytes are too many", size);
	/* Until the neighbour's address is known, what is sent waits, and most of it is dropped. */
	echo_all(open_socket(address, PORT_ECHO), size, 1);
	all(fd, size, count / 8);
	MARK(MARK_BEGIN);
	all(fd, size, count);
	MARK(MARK_END);
}

static void loop(unsigned int count)
{
	MARK(MARK_BEGIN);
	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(count));
	MARK(MARK_END);
}

static unsigned int number(const char *text)
{
	return (unsigned int)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "loop") && argc == 3)
		loop(number(argv[2]));
	else if (!strcmp(what, "read") && argc == 5)
		read_disk(argv[2], number(argv[3]), number(argv[4]));
	else if (!strcmp(what, "send") && argc == 5)
		speak(send_all, argv[2], PORT_DISCARD, number(argv[3]), number(argv[4]));
	else if (!strcmp(what, "echo") && argc == 5)
		speak(echo_all, argv[2], PORT_ECHO, number(argv[3]), number(argv[4]));
	else
		errx(2, "usage: load loop N | read DISK DEPTH N | send|echo ADDRESS SIZE N");
	return 0;
}
