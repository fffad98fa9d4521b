/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A link: where a guest's frames go to and come from. A tap, a user-mode network stack, a socket to
 * another guest, or nothing.
 *
 * Two threads touch a link. The control thread opens it, tells it what the guest accepts, and asks
 * for its state; each queue of it is served by one worker thread, which sends and receives frames and
 * waits for what the queue tells it to wait for. Nothing is locked between queues.
 *
 * A link knows nothing of rings. Pieces of a frame are the guest's own memory, the header in front
 * of them is private: see frame.h.
 */
#ifndef PVKIT_BACKEND_LINK_LINK_H
#define PVKIT_BACKEND_LINK_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "backend/link/frame.h"
#include "common/link_options.h"

/* The most pieces of one frame, its header among them: IOV_MAX less one that a link may add. */
#define LINK_PIECES_MAX 1023
/* Descriptors that one queue may wait for. */
#define LINK_FDS_MAX 1024

struct link;

/* Which frames the guest wants; a link that cannot sort gives it all. */
struct link_filter {
	bool everything; /* promiscuous */
	bool all_multicast;
	unsigned int count;
	uint8_t (*address)[6]; /* the guest's own among them */
};

struct link_ops {
	/*
	 * Sends one frame; @pieces[0] is its header, already checked against ->takes. 0; -EAGAIN:
	 * the link is busy, try again when prepare(…, want_send) has waited; another -errno: the
	 * frame is lost.
	 */
	int (*send)(struct link *link, unsigned int queue, const struct iovec *pieces,
		    unsigned int count);
	/*
	 * Receives one frame into @pieces, of @room bytes together; @pieces[0] is for its header.
	 * Answers the bytes written, or -EAGAIN: none there; -EMSGSIZE: one came that was larger
	 * than @room and is lost; another -errno: trouble, worth waiting for. May write to
	 * @pieces[count], which is valid memory, but leaves it as it was.
	 */
	ssize_t (*receive)(struct link *link, unsigned int queue, struct iovec *pieces,
			   unsigned int count, size_t room);
	/*
	 * The worker is about to sleep: fills in what the queue waits for, lowers *timeout_ms (-1:
	 * for ever) where it must be woken earlier. Answers how many of @fds it used.
	 */
	unsigned int (*prepare)(struct link *link, unsigned int queue, bool want_receive,
				bool want_send, struct pollfd *fds, int *timeout_ms);
	/* The worker woke: what became of @fds. */
	void (*dispatch)(struct link *link, unsigned int queue, const struct pollfd *fds,
			 unsigned int count);

	/* The rest is the control thread's. The first three may be NULL. */

	/* What the guest accepts of ->gives. 0 or -errno. */
	int (*set_accepted)(struct link *link, unsigned int offloads);
	void (*set_filter)(struct link *link, const struct link_filter *filter);
	/* Whether frames are to come by @queue. The worker does not receive from it while not. */
	int (*set_active)(struct link *link, unsigned int queue, bool active);
	/* ->changed is readable: empties it, renews ->up. */
	void (*refresh)(struct link *link);
	void (*close)(struct link *link);
};

struct link {
	const struct link_ops *ops;
	char name[96]; /* for messages: "tap:tap0" */
	unsigned int queues;
	unsigned int takes; /* offloads that frames sent to it may ask for */
	unsigned int gives; /* offloads that frames received from it may ask for, if accepted */
	uint32_t mtu; /* 0: it does not say */
	bool up; /* the control thread's */
	int changed; /* readable when ->up may have changed; -1: it never does */
};

/* NULL, errno set and reported, on failure. */
struct link *link_open(const struct link_options *options);

struct link *link_open_null(const struct link_options *options);
struct link *link_open_tap(const struct link_options *options);
struct link *link_open_user(const struct link_options *options);
struct link *link_open_socket(const struct link_options *options);

#endif
