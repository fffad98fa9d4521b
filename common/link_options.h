/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a command line says of a link: one rule for whoever hands it on and whoever opens it.
 */
#ifndef PVKIT_COMMON_LINK_OPTIONS_H
#define PVKIT_COMMON_LINK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_QUEUES_MAX   16
#define LINK_FORWARDS_MAX 16
#define LINK_USER_MTU_MAX 65520

struct link_forward {
	bool udp;
	uint32_t host_address,
		guest_address; /* network order; guest 0: the first that DHCP gives */
	uint16_t host_port, guest_port;
};

struct link_options {
	enum link_kind {
		LINK_NULL,
		LINK_TAP,
		LINK_USER,
		LINK_SOCKET
	} kind;
	const char *name; /* of the tap, or the path of the socket */
	unsigned int queues, queues_min; /* wanted; as many as there are between the two */
	uint32_t mtu; /* 0: the link's own */
	unsigned int forward_count;
	struct link_forward forward[LINK_FORWARDS_MAX];
};

/*
 * "tap:NAME", "user[,hostfwd=…]", "socket:PATH" or "null" into @options. 0, or -1 with a line in
 * @reason. @text must live as long as @options.
 */
int link_parse(struct link_options *options, const char *text, char *reason, size_t reason_size);

/*
 * Whether such a link can have so many pairs of queues and such an MTU; 0: none was asked for. 0, or -1
 * with a line in @reason that begins with the option, which has the same name in all programs.
 */
int link_check(const struct link_options *options, uint64_t pairs, uint64_t mtu, char *reason,
	       size_t reason_size);

#endif
