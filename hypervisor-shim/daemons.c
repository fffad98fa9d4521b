// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Daemons: one process a device, on a socket pair, so that nothing lies in a file system and nobody
 * else can connect. They write their complaints to our standard error, die when the shim dies in
 * whatever way (the kernel signals them), and are watched by pidfd, never by a pid that may be
 * somebody else's by now.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/daemons.h"

#define DAEMONS_MAX    64
#define END_TIMEOUT_MS 5000
#define CANNOT_EXECUTE 127

struct daemon {
	const char *program, *device;
	pid_t pid;
	int pidfd; /* -1: it ended */
};

static struct {
	int epoll;
	bool ending; /* they were asked to */
	unsigned int count;
	struct daemon daemon[DAEMONS_MAX];
} daemons = {.epoll = -1};

int daemons_open(void)
{
	int result;

	/* Whoever started us may have it ignored: then the kernel reaps, and we would see no end. */
	signal(SIGCHLD, SIG_DFL);
	daemons.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (daemons.epoll >= 0)
		return 0;
	result = -errno;
	log_errno("cannot watch daemons; see ulimit -n");
	return result;
}

int daemons_fd(void)
{
	return daemons.epoll;
}

/* Beside our own executable, where an uninstalled build has it; else the name alone, for PATH. */
static void find_program(const char *program, char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;
	size_t room;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		room = (size_t)(path + PATH_MAX - (slash + 1));
		if ((size_t)snprintf(slash + 1, room, "%s", program) < room && !access(path, X_OK))
			return;
	}
	snprintf(path, PATH_MAX, "%s", program);
}

/* Between fork and exec: only what is safe there. */
static void become(const char *path, char *const *argv, int fd, pid_t parent)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* it died before the line above */
		_exit(CANNOT_EXECUTE);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO); /* the guest's console is there */
	if (fd == DAEMON_SOCKET)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, DAEMON_SOCKET);
	setpgid(0, 0); /* Ctrl-C is for the shim, which ends its daemons in order */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(path, argv);
	_exit(CANNOT_EXECUTE); /* say_end() knows */
}

static int watch(struct daemon *daemon)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = daemon};

	daemon->pidfd = pidfd_open(daemon->pid, 0);
	if (daemon->pidfd < 0 || epoll_ctl(daemons.epoll, EPOLL_CTL_ADD, daemon->pidfd, &event) < 0)
		return -errno;
	return 0;
}

static int spawn(struct daemon *daemon, const char *const *arguments, int fd)
{
	char path[PATH_MAX], *argv[DAEMONS_ARGUMENTS_MAX + 2];
	pid_t parent = getpid();
	unsigned int n = 0;

	find_program(daemon->program, path);
	argv[n++] = path;
	for (; *arguments && n <= DAEMONS_ARGUMENTS_MAX; arguments++)
		argv[n++] = (char *)(uintptr_t)*arguments;
	argv[n] = NULL;
	daemon->pid = fork();
	if (daemon->pid < 0)
		return -errno;
	if (!daemon->pid)
		become(path, argv, fd, parent);
	return watch(daemon);
}

static int start(const char *program, const char *device, const char *const *arguments, int type)
{
	struct daemon *daemon = &daemons.daemon[daemons.count];
	int sockets[2], result;

	if (daemons.count == DAEMONS_MAX)
		return -ENOSPC;
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sockets) < 0) {
		result = -errno;
		log_errno("%s: cannot make a socket for %s; see ulimit -n", device, program);
		return result;
	}
	*daemon = (struct daemon){.program = program, .device = device, .pidfd = -1};
	result = spawn(daemon, arguments, sockets[1]);
	close(sockets[1]);
	if (result < 0) {
		log_error("%s: cannot start %s: %s; see ulimit -u, and the rights of the program",
			  device, program, strerror(-result));
		close(sockets[0]);
		return result;
	}
	daemons.count++;
	log_info("%s: %s is process %d", device, program, (int)daemon->pid);
	return sockets[0];
}

int daemons_start(const char *program, const char *device, const char *const *arguments)
{
	return start(program, device, arguments, SOCK_STREAM);
}

int daemons_start_attached(const char *program, const char *device, const char *const *arguments,
			   int *pidfd)
{
	int fd = start(program, device, arguments, SOCK_SEQPACKET), result;

	if (fd < 0)
		return fd;
	*pidfd = fcntl(daemons.daemon[daemons.count - 1].pidfd, F_DUPFD_CLOEXEC, 0);
	if (*pidfd >= 0)
		return fd;
	result = -errno;
	log_errno("%s: cannot watch %s; see ulimit -n", device, program);
	close(fd);
	return result;
}

static void forget(struct daemon *daemon)
{
	close(daemon->pidfd); /* leaves the epoll too */
	daemon->pidfd = -1;
}

static void say_end(const struct daemon *daemon, const siginfo_t *info)
{
	if (info->si_code != CLD_EXITED)
		log_error("%s: %s (process %d) was ended by signal %d (%s)", daemon->device,
			  daemon->program, (int)daemon->pid, info->si_status,
			  strsignal(info->si_status));
	else if (info->si_status == CANNOT_EXECUTE)
		log_error("%s: %s is neither beside pvkit-shim nor in PATH; build or install it",
			  daemon->device, daemon->program);
	else
		log_error("%s: %s (process %d) ended with status %d; its own message stands above",
			  daemon->device, daemon->program, (int)daemon->pid, info->si_status);
}

static bool reap(struct daemon *daemon, int flags)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)daemon->pidfd, &info, WEXITED | flags) < 0 || !info.si_pid)
		return false;
	if (info.si_code == CLD_EXITED ? info.si_status != 0
				       : !daemons.ending || info.si_status != SIGTERM)
		say_end(daemon, &info);
	forget(daemon);
	return true;
}

unsigned int daemons_reap(void)
{
	unsigned int ended = 0;

	for (unsigned int i = 0; i < daemons.count; i++) {
		if (daemons.daemon[i].pidfd >= 0 && reap(&daemons.daemon[i], WNOHANG))
			ended++;
	}
	return ended;
}

static void signal_all(int number)
{
	for (unsigned int i = 0; i < daemons.count; i++) {
		if (daemons.daemon[i].pidfd >= 0)
			pidfd_send_signal(daemons.daemon[i].pidfd, number, NULL, 0);
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool any_left(void)
{
	for (unsigned int i = 0; i < daemons.count; i++) {
		if (daemons.daemon[i].pidfd >= 0)
			return true;
	}
	return false;
}

/* What it still holds, it writes: so it is asked first, and has some time. */
static void end_all(void)
{
	struct pollfd ended = {.fd = daemons.epoll, .events = POLLIN};
	int64_t deadline = now_ms() + END_TIMEOUT_MS, left;

	daemons_reap(); /* what ended by itself is told as such */
	daemons.ending = true;
	signal_all(SIGTERM);
	while (any_left() && (left = deadline - now_ms()) > 0) {
		poll(&ended, 1, (int)left);
		daemons_reap();
	}
	for (unsigned int i = 0; i < daemons.count; i++) {
		struct daemon *daemon = &daemons.daemon[i];

		if (daemon->pidfd < 0)
			continue;
		log_error("%s: %s (process %d) does not end when asked; it is killed",
			  daemon->device, daemon->program, (int)daemon->pid);
		pidfd_send_signal(daemon->pidfd, SIGKILL, NULL, 0);
		reap(daemon, 0);
	}
}

void daemons_close(void)
{
	if (daemons.epoll < 0)
		return;
	end_all();
	close(daemons.epoll);
	daemons.epoll = -1;
	daemons.count = 0;
	daemons.ending = false;
}
