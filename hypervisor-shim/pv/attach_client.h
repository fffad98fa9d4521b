/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A back-end as the shim knows it, attached or absent: identity, connection, ledger, and which notices
 * it has not answered. Internal to attach*.c; pv.lock covers all of it.
 *
 *	connected ──HELLO──→ attached ──socket closes──→ absent ──process ended, RELEASE──→ gone
 *	    │                    ↑                          │
 *	    └────────────────────┴────HELLO with cookie─────┘
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_ATTACH_CLIENT_H
#define PVKIT_HYPERVISOR_SHIM_PV_ATTACH_CLIENT_H

#include "abi/attach.h"
#include "common/log.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/pv.h"

#define CLIENTS_MAX 64
#define NOTICES_MAX 8

struct notice {
	uint16_t type; /* 0: free */
	uint32_t sequence;
	int64_t deadline; /* ms */
};

struct client {
	int fd; /* -1: absent */
	int pidfd; /* -1: its process has ended, or cannot be seen from here */
	const char *device; /* as attach_add() was told; NULL */
	char claim[ATTACH_DEVICE_BYTES]; /* the device that it serves; empty: none that we know */
	bool refused; /* a claim, which was told; it may ask again and again */
	int64_t greet_by; /* ms; 0: it has greeted, or may take its time */
	uint16_t owner; /* 0: has not greeted */
	uint8_t cookie[ATTACH_COOKIE_BYTES];
	uint64_t features;
	struct sealed_memory ledger;
	uint32_t sequence; /* of our messages */
	struct notice notice[NOTICES_MAX];
	char name[33]; /* its own, made printable */
};

extern struct client *attach_clients[CLIENTS_MAX];
extern struct attach_ram attach_ram;
extern struct log_limit attach_faults;

/* NULL: too many, or no memory; the descriptors stay the caller's then. */
struct client *client_new(int fd, int pidfd, const char *device);
/*
 * Its connection is over, for @why, or because it closed it (NULL). One that never greeted is freed.
 * Wakes who waits for its answers.
 */
void client_disconnect(struct client *client, const char *why);
/* Its process may live: ports and pins stay as they are, and it has no part in them any more. */
void client_free(struct client *client);
/* Gone for good: ports and pins too. Frees it. */
void client_release(struct client *client);
const char *client_name(const struct client *client);
/* Ports or pins. */
bool client_holds_anything(const struct client *client);

/* Gives a new client its identity. 0 or -errno. */
int client_greet(struct client *client, uint64_t features);
/* @client is @absent again. Frees @absent. */
void client_resume(struct client *client, struct client *absent);
struct client *client_by_cookie(const uint8_t *cookie);
struct client *client_by_owner(uint16_t owner);
/* Who serves @device, or may have I/O in flight for it still. */
struct client *client_by_claim(const char *device);
bool client_attached(const struct client *client);
/* Its connection has ended, though that waits to be looked at. */
bool client_hung_up(const struct client *client);

/* One message with @count descriptors. False: it was disconnected, do not touch it any more. */
bool client_send(struct client *client, struct attach_header *header, const void *body,
		 const int *fds, unsigned int count);
/* A message of ours, which is to be answered if @answered. */
bool client_notify(struct client *client, uint16_t type, const void *body, uint32_t size,
		   const int *fds, unsigned int count, bool answered);
bool client_send_grant_table(struct client *client, bool closed);
bool client_owes(const struct client *client, uint16_t type);

/* What arrived. False: it was disconnected. */
bool client_receive(struct client *client);

/* Locks and counts that it left half done, once its process has ended or if that cannot be seen. */
void client_settle(const struct client *client);
/* The counts can be made exact when no back-end is attached, nor any process of one lives. */
void clients_recount(void);
/* Those that did not keep a deadline are disconnected. ms until the next one; -1: none. */
int clients_expire(void);
/* A copy of the descriptor would keep it watched beyond its close. */
void client_unwatch(int fd);
/* Something changed that attach_tell_*() waits for. */
void clients_changed(void);
int64_t attach_now(void); /* ms */

#endif
