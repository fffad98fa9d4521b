/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What pvkit-blkd and pvkit-netd have in common as programs: the options of QEMU's conventions for
 * back-end programs and of the statistics page, and the way from the command line to the loop.
 */
#ifndef PVKIT_BACKEND_DAEMON_H
#define PVKIT_BACKEND_DAEMON_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/option.h"

struct backend_device;
struct xen_device;

/* The first member of a daemon's configuration, so that the option table's callbacks find it. */
struct daemon_config {
	const char *socket_path, *attach, *device, *stats;
	uint64_t fd, attach_fd;
	int64_t poll_us; /* -1: adaptive */
	bool verbose, print_capabilities;
};

#define DAEMON_NO_FD	UINT64_MAX
#define DAEMON_DEFAULTS {.fd = DAEMON_NO_FD, .attach_fd = DAEMON_NO_FD, .poll_us = -1}

/* Rows of an option table. */
/* clang-format off */
#define DAEMON_CONNECTION_OPTIONS(device_name) \
	{.name = "connection", .kind = OPTION_HEADING, \
	 .help = "Where the front-end connects (one of these)"}, \
	{.name = "socket-path", .kind = OPTION_STRING, .argument = "PATH", .minimum = 1, \
	 .offset = offsetof(struct daemon_config, socket_path), \
	 .help = "Listen on a Unix socket at PATH, and serve one front-end after another."}, \
	{.name = "fd", .kind = OPTION_NUMBER, .argument = "N", .maximum = INT_MAX, \
	 .offset = offsetof(struct daemon_config, fd), \
	 .help = "Serve the connected socket that was inherited as descriptor N, until it closes."}, \
	{.name = "attach", .kind = OPTION_STRING, .argument = "PATH", .minimum = 1, \
	 .offset = offsetof(struct daemon_config, attach), \
	 .help = "Attach to the guest of the pvkit-shim that listens at PATH, and serve a Xen " \
		 "device; with --device."}, \
	{.name = "attach-fd", .kind = OPTION_NUMBER, .argument = "N", .maximum = INT_MAX, \
	 .offset = offsetof(struct daemon_config, attach_fd), \
	 .help = "The same by the connected socket that was inherited as descriptor N."}, \
	{.name = "device", .kind = OPTION_STRING, .argument = "CLASS/ID", .minimum = 3, \
	 .maximum = 32, .offset = offsetof(struct daemon_config, device), \
	 .help = "Which device to serve with --attach or --attach-fd, as the store names it: " \
		 device_name "."}, \
	{.name = "print-capabilities", .kind = OPTION_FLAG, \
	 .offset = offsetof(struct daemon_config, print_capabilities), \
	 .help = "Print what this program can do as JSON, as QEMU's vhost-user conventions say, and " \
		 "exit."}

#define DAEMON_POLL_OPTION(queue) \
	{.name = "poll-us", .kind = OPTION_CALL, .argument = "N|auto", .call = daemon_parse_poll, \
	 .help = "Microseconds that a " queue " looks for work before it sleeps. auto (the default) " \
		 "adapts to whether looking finds any, up to 100, and does not look at all when idle; " \
		 "0 never looks."}

#define DAEMON_OTHER_OPTIONS \
	{.name = "other", .kind = OPTION_HEADING, .help = "Other"}, \
	{.name = "stats", .kind = OPTION_STRING, .argument = "DIR", .minimum = 1, \
	 .offset = offsetof(struct daemon_config, stats), \
	 .help = "The directory for the page of counters that pvkit-top reads. By default " \
		 "$PVKIT_STATS_DIR, else /run/pvkit when that can be written, else " \
		 "$XDG_RUNTIME_DIR/pvkit, else /tmp/pvkit-UID. Where there is none, the " \
		 "daemon serves without counters, after a line."}, \
	{.name = "verbose", .kind = OPTION_FLAG, .offset = offsetof(struct daemon_config, verbose), \
	 .help = "Say more on standard error."}
/* clang-format on */

int daemon_parse_poll(void *config, const char *value, char *reason, size_t reason_size);

/* One line about the command line, which points to --help; exit 2. */
void daemon_usage_error(const struct program_spec *program, const char *text)
	__attribute__((noreturn));

/* Refuses a --device that is none of @class, as the store names classes: vbd, vif. */
void daemon_check_device(const struct program_spec *program, const struct daemon_config *config,
			 const char *class);

/*
 * From the command line to the control loop, before any thread is made, so that all of them leave
 * signals to that loop. @config begins with a struct daemon_config. Prints @capabilities and exits
 * where that was asked for. @check judges the rest of the configuration.
 */
void daemon_begin(const struct program_spec *program, int argc, char **argv, void *config,
		  const char *capabilities, void (*check)(const void *config));

/* Serves @device until the end. The exit status. */
int daemon_serve(const struct daemon_config *config, struct backend_device *device);

/* Whether the command line asks for a Xen device of a guest, and then: the same. */
static inline bool daemon_attaches(const struct daemon_config *config)
{
	return config->attach || config->attach_fd != DAEMON_NO_FD;
}
int daemon_serve_xen(const struct daemon_config *config, struct xen_device *device);

#endif
