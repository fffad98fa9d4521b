// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * One epoll loop. It takes one event a round: then no second event of the same round can name a
 * watch that the first one's callback has removed, so callbacks may unwatch and close anything, and
 * nothing here needs a reference count. The control path is rare enough to afford the extra system
 * call, and epoll hands out ready descriptors in turn, so none starves.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "backend/control.h"
#include "common/log.h"

struct watch {
	struct watch *next;
	int fd;
	control_callback callback;
	void *context;
};

static struct {
	int epoll;
	int signals;
	bool quit;
	int status;
	sigset_t mask_before;
	void (*pipe_before)(int signal);
	struct watch *watches;
	void (*on_hangup)(void *context);
	void *hangup_context;
} control = {.epoll = -1, .signals = -1};

static void on_signal(void *context, uint32_t events)
{
	struct signalfd_siginfo info;

	if (read(control.signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
		control_quit(0);
	else if (info.ssi_signo == SIGHUP && control.on_hangup)
		control.on_hangup(control.hangup_context);
}

int control_open(void)
{
	sigset_t mask;
	int err;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	control.quit = false;
	control.status = 0;
	control.epoll = epoll_create1(EPOLL_CLOEXEC);
	control.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (control.epoll < 0 || control.signals < 0) {
		err = -errno;
		goto fail;
	}
	err = control_watch(control.signals, EPOLLIN, on_signal, NULL);
	if (err)
		goto fail;
	pthread_sigmask(SIG_BLOCK, &mask, &control.mask_before);
	/* Writers see EPIPE. Ignored and not blocked: a pending one would strike at the end. */
	control.pipe_before = signal(SIGPIPE, SIG_IGN);
	return 0;
fail:
	if (control.epoll >= 0)
		close(control.epoll);
	if (control.signals >= 0)
		close(control.signals);
	control.epoll = control.signals = -1;
	return err;
}

void control_close(void)
{
	if (control.epoll < 0)
		return;
	while (control.watches)
		control_unwatch(control.watches->fd);
	close(control.signals);
	close(control.epoll);
	control.epoll = control.signals = -1;
	control.on_hangup = NULL;
	signal(SIGPIPE, control.pipe_before);
	pthread_sigmask(SIG_SETMASK, &control.mask_before, NULL);
}

int control_watch(int fd, uint32_t events, control_callback callback, void *context)
{
	struct epoll_event event = {.events = events};
	struct watch *watch = malloc(sizeof(*watch));
	int err;

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){control.watches, fd, callback, context};
	event.data.ptr = watch;
	if (epoll_ctl(control.epoll, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		free(watch);
		return err;
	}
	control.watches = watch;
	return 0;
}

void control_unwatch(int fd)
{
	struct watch **link, *watch;

	for (link = &control.watches; (watch = *link); link = &watch->next) {
		if (watch->fd != fd)
			continue;
		epoll_ctl(control.epoll, EPOLL_CTL_DEL, fd, NULL);
		*link = watch->next;
		free(watch);
		return;
	}
}

void control_unwatch_and_close(int fd)
{
	if (fd < 0)
		return;
	control_unwatch(fd);
	close(fd);
}

void control_on_hangup(void (*callback)(void *context), void *context)
{
	control.on_hangup = callback;
	control.hangup_context = context;
}

int control_run(void)
{
	struct epoll_event event;
	struct watch *watch;
	int n;

	while (!control.quit) {
		n = epoll_wait(control.epoll, &event, 1, -1);
		if (n < 0 && errno != EINTR) {
			log_errno("control loop: epoll_wait");
			return 1;
		}
		if (n != 1)
			continue;
		watch = event.data.ptr;
		/* The callback may free @watch; nothing touches it afterwards. */
		watch->callback(watch->context, event.events);
	}
	return control.status;
}

void control_quit(int status)
{
	control.quit = true;
	control.status = status;
}
