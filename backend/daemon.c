// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/control.h"
#include "backend/daemon.h"
#include "backend/host/host.h"
#include "backend/transport/vhost_user.h"
#include "backend/transport/xen.h"
#include "common/log.h"

#define POLL_US_MAX 1000000

int daemon_parse_poll(void *context, const char *value, char *reason, size_t reason_size)
{
	struct daemon_config *config = context;
	char *end;
	long us;

	if (!strcmp(value, "auto")) {
		config->poll_us = -1;
		return 0;
	}
	errno = 0;
	us = strtol(value, &end, 10);
	if (errno || end == value || *end || us < 0 || us > POLL_US_MAX) {
		snprintf(reason, reason_size, "'%s' is neither auto nor a number from 0 to %d",
			 value, POLL_US_MAX);
		return -1;
	}
	config->poll_us = us;
	return 0;
}

void daemon_usage_error(const struct program_spec *program, const char *text)
{
	log_error("%s; see %s --help", text, program->name);
	exit(2);
}

static void check_connection(const struct program_spec *program, const struct daemon_config *config)
{
	unsigned int ways = !!config->socket_path + (config->fd != DAEMON_NO_FD) +
			    !!config->attach + (config->attach_fd != DAEMON_NO_FD);

	if (ways != 1)
		daemon_usage_error(
			program,
			ways ? "--socket-path, --fd, --attach and --attach-fd exclude each other" :
			       "one of --socket-path, --fd, --attach and --attach-fd is needed");
	if (daemon_attaches(config) && !config->device)
		daemon_usage_error(program, "--attach and --attach-fd need --device");
	if (!daemon_attaches(config) && config->device)
		daemon_usage_error(program, "--device is for --attach and --attach-fd");
}

void daemon_check_device(const struct program_spec *program, const struct daemon_config *config,
			 const char *class)
{
	size_t length = strlen(class);
	const char *id = config->device;
	char text[96];

	if (!id)
		return;
	if (strncmp(id, class, length) == 0 && id[length] == '/') {
		id += length + 1;
		if (*id && strlen(id) <= 9 && strspn(id, "0123456789") == strlen(id))
			return;
	}
	snprintf(text, sizeof(text), "--device: '%.32s' is no device of this program: %s/NUMBER is",
		 config->device, class);
	daemon_usage_error(program, text);
}

void daemon_begin(const struct program_spec *program, int argc, char **argv, void *config,
		  const char *capabilities, void (*check)(const void *config))
{
	const struct daemon_config *daemon = config;
	int error;

	log_open(program->name, false);
	option_parse(program, argc, argv, config);
	if (daemon->print_capabilities) {
		puts(capabilities);
		exit(0);
	}
	log_open(program->name, daemon->verbose);
	check_connection(program, daemon);
	check(config);
	if (daemon->stats)
		setenv("PVKIT_STATS_DIR", daemon->stats, 1);
	error = control_open();
	if (error) {
		errno = -error;
		die_errno("the control loop cannot be made; raise the limit of open files");
	}
}

int daemon_serve(const struct daemon_config *config, struct backend_device *device)
{
	struct vhost_user_options options = {
		.socket_path = config->socket_path,
		.fd = config->fd == DAEMON_NO_FD ? -1 : (int)config->fd,
	};
	struct vhost_user *vu = vhost_user_open(device, &options);
	int status;

	if (!vu)
		return 1;
	status = control_run();
	vhost_user_close(vu);
	return status;
}

int daemon_serve_xen(const struct daemon_config *config, struct xen_device *device)
{
	struct host_options options = {
		.path = config->attach,
		.fd = config->attach ? -1 : (int)config->attach_fd,
		.name = device->name,
	};
	struct host *host = host_open(&options);
	struct xen *xen = NULL;
	int status = 1;

	if (host)
		xen = xen_open(device, host, config->device);
	if (xen)
		status = control_run();
	xen_close(xen);
	host_close(host);
	return status;
}
