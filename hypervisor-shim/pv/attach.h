/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The shim's side of abi/attach.h: the sockets of all back-ends, served by one thread. Nothing of a
 * data path passes here.
 *
 * That a back-end is gone is told by two things: its socket closes, and then its process has ended. Not
 * before that its pins are dropped and its ports unbound: it may still have requests in flight in the
 * kernel. Until then it may come back by its cookie. Where its process cannot be seen, or it said
 * that it, or another one, comes back (ATTACH_F_RESUME), somebody RELEASEs what it left.
 *
 * The store is not touched: what the front-end wrote there stands, and by its state Connected a new
 * back-end sees that it takes over from a dead one (backend/transport/xen.h).
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_ATTACH_H
#define PVKIT_HYPERVISOR_SHIM_PV_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/guest_memory.h"

/* The guest's RAM as back-ends map it: the regions, and where each lies in which file. */
struct attach_ram {
	const struct guest_memory *(*memory)(void);
	int (*region_fd)(unsigned int region, uint64_t *offset);
};

/*
 * @ram must not change while back-ends are attached.
 * @lost is told, on the attach thread with no lock held, when the back-end of @device, one of those
 * given to attach_add(), is gone for good. 0 or -errno after a line.
 */
int attach_open(const struct attach_ram *ram, void (*lost)(const char *device));
/* Closes all connections; back-ends end when they see that. */
void attach_close(void);

/* Listens at @path too. */
int attach_listen(const char *path);
/*
 * Serves the back-end of @device (a text that lives for ever) at the other end of @fd. @pidfd: of its
 * process, or -1. Both are taken over, also on failure.
 */
int attach_add(int fd, int pidfd, const char *device);
/* Whether the back-end of @device has not ended. */
bool attach_lives(const char *device);

/*
 * An eventfd by which the shim itself notifies port @port: for senders that do not know about
 * vectors. The caller's to close, after attach_close(). -errno on failure.
 */
int attach_kick(uint32_t port);

/* ---- with pv.lock held ----------------------------------------------------------------------- */

/* The guest closed @port. */
void attach_channel_closed(uint16_t owner, uint32_t port);

/*
 * These wait, with the lock released meanwhile, until each back-end has answered or was disconnected
 * for being late; or until @give_up says true, which is asked from time to time: false then.
 */
bool attach_tell_reset(bool (*give_up)(void));
/* The table as it is, or closed: without a single valid reference. */
bool attach_tell_grants(bool closed, bool (*give_up)(void));

/*
 * The memory is to be another guest's: kills each back-end that is not attached, lives, and may have I/O
 * in flight; and waits for its end as above, since its I/O ends with it.
 */
bool attach_end_absent(bool (*give_up)(void));

/* A new guest begins: those that are not attached have nothing of it. */
void attach_forget_absent(void);

#endif
