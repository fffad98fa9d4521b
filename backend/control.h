/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The control thread of a daemon: one epoll loop, every entry point visible.
 *
 * It serves the sockets of front-ends and shims, signals, timers and what a device wants watched (link
 * state). A ring it touches only while no queue's thread has it: to set it up, and a device's control
 * queue, which it serves itself. SIGTERM and SIGINT end the loop, then main() stops the queues and leaves.
 */
#ifndef PVKIT_BACKEND_CONTROL_H
#define PVKIT_BACKEND_CONTROL_H

#include <stdint.h>

typedef void (*control_callback)(void *context, uint32_t events);

/* 0 or -errno. One loop a process. Blocks SIGTERM, SIGINT and SIGHUP for all threads, ignores SIGPIPE. */
int control_open(void);
void control_close(void);

/* Calls @callback in the loop when @fd shows @events (EPOLLIN, …). 0 or -errno. */
int control_watch(int fd, uint32_t events, control_callback callback, void *context);
void control_unwatch(int fd);
/* The end of a descriptor that may be watched; nothing for -1. */
void control_unwatch_and_close(int fd);

/* @callback at SIGHUP: "look at your file again". */
void control_on_hangup(void (*callback)(void *context), void *context);

/* Runs until SIGTERM, SIGINT or control_quit(status). Returns the status, 0 after a signal. */
int control_run(void);
void control_quit(int status);

#endif
