/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A transaction of the shim's with its own store, as a tool of domain 0 would make it: so that others
 * see all of a device's directories at once, or nothing.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_TOOLSTACK_CLIENT_H
#define PVKIT_HYPERVISOR_SHIM_PV_TOOLSTACK_CLIENT_H

#include <stdint.h>

#include "abi/store.h"

struct toolstack_client {
	int fd;
	uint32_t transaction;
	int error; /* the first; everything after it does nothing */
};

/* Connects and begins. The result of all is toolstack_client_end()'s. */
void toolstack_client_begin(struct toolstack_client *client);
/* 0; -EAGAIN: somebody else changed the same, and nothing was done; or -errno. */
int toolstack_client_end(struct toolstack_client *client);

void toolstack_client_remove(struct toolstack_client *client, const char *path);
void toolstack_client_write(struct toolstack_client *client, const char *path, const char *value);
/*
 * The names of what is below @path, each with its NUL, and their size: 0 where there is no @path, or
 * after an error.
 */
unsigned int toolstack_client_list(struct toolstack_client *client, const char *path,
				   char names[STORE_PAYLOAD_MAX + 1]);
/*
 * A directory that @owner owns and @reader may read, and what is later made below it; the same
 * number twice where nobody else should.
 */
void toolstack_client_directory(struct toolstack_client *client, const char *path,
				unsigned int owner, unsigned int reader);

#endif
