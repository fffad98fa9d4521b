// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/notify.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static aio_context_t context; /* 0: the host has none for us */
static int nothing;

static void open_context(void)
{
	nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing >= 0 && syscall(SYS_io_setup, 1, &context) < 0) {
		context = 0;
		close(nothing);
	}
}

/* The read is over when it is submitted. Who puts in a result takes one out, so there is room. */
static bool signal_by_kernel(int eventfd)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)nothing,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)eventfd,
	};
	struct iocb *requests[] = {&request};
	struct io_event result;

	if (!context || syscall(SYS_io_submit, context, 1, requests) != 1)
		return false;
	syscall(SYS_io_getevents, context, 0, 1, &result, NULL);
	return true;
}

/*
 * Where the host lets us have no such reads (see fs.aio-max-nr). A back-end that fills the counter
 * between the two calls makes us wait.
 */
static void signal_by_write(int eventfd)
{
	struct pollfd full = {.fd = eventfd, .events = POLLOUT};
	uint64_t one = 1;

	if (poll(&full, 1, 0) == 1 && full.revents & POLLOUT)
		(void)!write(eventfd, &one, sizeof(one));
}

void notify(int eventfd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, open_context);
	if (!signal_by_kernel(eventfd))
		signal_by_write(eventfd);
}
