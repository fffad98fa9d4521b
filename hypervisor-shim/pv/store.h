/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The store of one guest (abi/store.h): the tree, who may see what, and whoever is connected.
 *
 * It runs on a thread of its own, so that a vCPU never waits for it: a guest's request is bytes in
 * its ring page and an eventfd. All state belongs to that thread, so nothing in it is locked. The
 * functions below may be called from any other thread: each is a call that the store's thread makes
 * between two requests, and that returns when it is done. No peer can make the thread wait, so the
 * caller waits for a few requests at most. Without an open store they are -ENODEV.
 *
 * What Xen's own store does otherwise, for those who know it:
 *
 *	- a transaction sees one state of all nodes, and removing a subtree does not conflict with
 *	  writes inside it; what it looked at and what it wrote conflicts as there
 *	- quotas are reached when the number is, not one later
 *	- paths and permissions that Xen would bend into shape are EINVAL
 *	- there is one guest, whose ring the shim connects: INTRODUCE and RELEASE of any other domain
 *	  are refused, and what INTRODUCE says of page and port is not used
 *	- CONTROL knows check, help, print and quota
 *
 *	store.c			the thread, and most functions below
 *	store_hand.c		the last three of them
 *	store_connection.c	peers: queues, and what bounds them; on two carriers:
 *	store_stream.c		a socket
 *	store_ring.c		the guest's ring page
 *	store_request.c		what each request means, and who may ask it
 *	store_wire.c		strings, paths and numbers in payloads
 *	store_access.c		permissions, quotas, events of one change
 *	store_transaction.c	many changes, as one or not at all
 *	store_watch.c		who is told
 *	store_domain.c		who is who
 *	store_tree.c		the nodes
 *	store_control.c		CONTROL, INTRODUCE, RELEASE
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/store.h"

#define STORE_DOMAIN_BACKEND 0 /* privileged: reads and writes everything */

/*
 * Starts the thread with a tree that holds /local/domain/@guest, which the guest owns, and /tool.
 * 0 or -errno after a line.
 */
int pv_store_open(unsigned int guest);
/* Ends the thread and closes all connections. */
void pv_store_close(void);

/*
 * The guest's connection: @page is its ring page, in memory that both sides write. @kicked becomes
 * readable when the guest notified; writing to @kick notifies it. The descriptors stay the caller's
 * and outlive the connection.
 */
int pv_store_connect_guest(struct store_ring_page *page, int kicked, int kick);
/* The guest was reset: its watches, transactions and ring state are gone; the tree stays. */
void pv_store_reset_guest(void);

/* The guest's ring page is used no more when it returns. */
void pv_store_disconnect_guest(void);

/* A connected socket (SOCK_STREAM) that speaks for @domain, or -errno. The caller owns it. */
int pv_store_connection(unsigned int domain);
/*
 * Listens at @path for tools, which speak as domain 0: xenstore-ls and libxenstore (by their
 * environment's XENSTORED_PATH). Only our own user may connect. 0 or -errno.
 */
int pv_store_listen(const char *path);

/*
 * The shim's own hand, as domain 0; returns when it is done. 0 or -errno; format gives the value.
 * @owner owns a node that is new, as are the ones above it that were missing; @reader may read them
 * (and what is later made below); give the same number twice where nobody else should.
 */
int pv_store_write(unsigned int owner, unsigned int reader, const char *path, const char *format,
		   ...) __attribute__((format(printf, 4, 5)));
/* The value, NUL-terminated, cut to @size; its length or -errno. */
int pv_store_read(const char *path, char *value, unsigned int size);
int pv_store_remove(const char *path);

#endif
