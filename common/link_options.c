// SPDX-License-Identifier: MIT OR GPL-2.0
#include "common/link_options.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* "HOST:PORT" with an empty host for any; @text is cut to pieces. */
static int parse_endpoint(char *text, uint32_t *address, uint16_t *port)
{
	char *colon = strrchr(text, ':');
	char *end;
	unsigned long number;

	if (!colon)
		return -1;
	*colon = '\0';
	if (*text && inet_pton(AF_INET, text, address) != 1)
		return -1;
	number = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || !number || number > 65535)
		return -1;
	*port = number;
	return 0;
}

/* "[tcp|udp]:[HOST]:PORT-[GUEST]:PORT", QEMU's form. */
static int parse_forward(struct link_forward *forward, const char *text)
{
	char copy[128], *host, *guest;

	if (strlen(text) >= sizeof(copy))
		return -1;
	strcpy(copy, text);
	host = strchr(copy, ':');
	if (!host)
		return -1;
	*host++ = '\0';
	guest = strchr(host, '-');
	if (!guest)
		return -1;
	*guest++ = '\0';

	memset(forward, 0, sizeof(*forward));
	if (!strcmp(copy, "udp"))
		forward->udp = true;
	else if (*copy && strcmp(copy, "tcp"))
		return -1;
	if (parse_endpoint(host, &forward->host_address, &forward->host_port))
		return -1;
	return parse_endpoint(guest, &forward->guest_address, &forward->guest_port);
}

static int parse_user(struct link_options *options, const char *text, char *reason,
		      size_t reason_size)
{
	char item[160];
	size_t length;

	options->kind = LINK_USER;
	while (*text == ',') {
		text++;
		length = strcspn(text, ",");
		snprintf(item, sizeof(item), "%.*s", (int)length, text);
		text += length;
		if (strncmp(item, "hostfwd=", 8)) {
			snprintf(reason, reason_size,
				 "'%s' is not known behind user: hostfwd=... is", item);
			return -1;
		}
		if (options->forward_count == LINK_FORWARDS_MAX) {
			snprintf(reason, reason_size, "more than %d port forwards",
				 LINK_FORWARDS_MAX);
			return -1;
		}
		if (parse_forward(&options->forward[options->forward_count++], item + 8)) {
			snprintf(reason, reason_size,
				 "'%s' is not of the form tcp:[HOST]:PORT-[GUEST]:PORT", item + 8);
			return -1;
		}
	}
	return 0;
}

static int parse_tap(struct link_options *options, const char *name, char *reason,
		     size_t reason_size)
{
	size_t length = strlen(name);

	options->kind = LINK_TAP;
	options->name = name;
	/* The kernel would take "tap%d" for a pattern. */
	if (length && length < IFNAMSIZ && !strpbrk(name, "/%: \t\n") && strcmp(name, ".") &&
	    strcmp(name, ".."))
		return 0;
	snprintf(reason, reason_size,
		 "'tap:%s' names no interface, expected 1 to %d characters without '/', ':', '%%' "
		 "and blanks",
		 name, IFNAMSIZ - 1);
	return -1;
}

static int parse_socket(struct link_options *options, const char *path, char *reason,
			size_t reason_size)
{
	const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	size_t length = strlen(path);

	options->kind = LINK_SOCKET;
	options->name = path;
	if (length && length <= most)
		return 0;
	snprintf(reason, reason_size,
		 "'socket:%s': expected a path of 1 to %zu characters, not %zu", path, most,
		 length);
	return -1;
}

int link_parse(struct link_options *options, const char *text, char *reason, size_t reason_size)
{
	if (!strcmp(text, "null")) {
		options->kind = LINK_NULL;
		return 0;
	}
	if (!strncmp(text, "tap:", 4))
		return parse_tap(options, text + 4, reason, reason_size);
	if (!strncmp(text, "socket:", 7))
		return parse_socket(options, text + 7, reason, reason_size);
	if (!strcmp(text, "user") || !strncmp(text, "user,", 5))
		return parse_user(options, text + 4, reason, reason_size);
	snprintf(reason, reason_size,
		 "'%s' is none of tap:NAME, user[,hostfwd=...], socket:PATH and null", text);
	return -1;
}

int link_check(const struct link_options *options, uint64_t pairs, uint64_t mtu, char *reason,
	       size_t reason_size)
{
	if (pairs > 1 && options->kind != LINK_TAP && options->kind != LINK_NULL)
		snprintf(reason, reason_size,
			 "queue-pairs: '%" PRIu64 "' are for tap:NAME and null, expected 1", pairs);
	else if (mtu > LINK_USER_MTU_MAX && options->kind == LINK_USER)
		snprintf(reason, reason_size,
			 "mtu: '%" PRIu64 "' is out of range for user, expected at most %d", mtu,
			 LINK_USER_MTU_MAX);
	else
		return 0;
	return -1;
}
