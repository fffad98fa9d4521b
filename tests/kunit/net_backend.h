/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network back-end for the network front-end's suites: its hands are the test's. And the guest's
 * side of the one device that it has, vif-0.
 */
#ifndef PVKIT_TESTS_KUNIT_NET_BACKEND_H
#define PVKIT_TESTS_KUNIT_NET_BACKEND_H

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/sched.h>
#include <linux/skbuff.h>

#include "guest-drivers/net/net.h"
#include "tests/kunit/fake.h"

#define BACKEND_FRONT "/local/domain/1/device/vif/0"
#define BACKEND_BACK  "/local/domain/0/backend/vif/1/0"

#define BACKEND_QUEUES 2 /* that it can serve */

/* Waits for a condition that others bring about: most soon, if they get the CPU. */
#define EVENTUALLY(test, condition)                           \
	do {                                                  \
		int tries;                                    \
		for (tries = 0; tries < 800 && !(condition);) \
			if (++tries <= 100)                   \
				yield();                      \
			else                                  \
				msleep(10);                   \
		KUNIT_ASSERT_TRUE(test, condition);           \
	} while (0)

/* ---- the back-end ---------------------------------------------------------------------------- */

struct backend_queue {
	struct xen_back tx, rx;
	u32 tx_reference, rx_reference;
	u32 tx_port, rx_port; /* one and the same, unless they are split */
};

struct backend {
	struct backend_queue queue[BACKEND_QUEUES];
	unsigned int queues; /* that are mapped */
};

extern struct backend backend;

/* A key of its directory. */
void backend_say(const char *key, const char *value);
/* A number in the front-end's directory; 0: none. */
u32 backend_ask(const char *key);

/* An entry of the grant table, and the page that is lent by it. */
struct grant_v1 *backend_grant(u32 reference);
u8 *backend_granted(u32 reference);

/* Offers the usual, unless the test said otherwise before, and waits for the front-end's keys. */
void backend_announce(struct kunit *test);
/* Maps all queues, and is Connected. */
void backend_serve(struct kunit *test);
/* Unmaps them. */
void backend_let_go(void);
/* Of a front-end that is Closing to begin anew: sees it through. */
void backend_reopen(struct kunit *test);

/* Tells the front-end of what was answered. */
void backend_publish_tx(struct backend_queue *queue);
void backend_publish_rx(struct backend_queue *queue);

/* The next slot of a test's frame; what the guest says by itself, IPv6, is answered at once. */
u16 backend_tx_take(struct kunit *test, struct backend_queue *queue, struct netif_tx_req *request);
void backend_tx_answer(struct backend_queue *queue, u16 id, s16 status);
/* The test took all of its own: the rest the guest says by itself, and is answered. */
void backend_tx_rest(struct backend_queue *queue);

/* Bytes at @offset of the next page that was lent, to be announced. Its reference. */
u32 backend_rx_fill(struct kunit *test, struct backend_queue *queue, const void *data,
		    unsigned int offset, unsigned int size, u16 flags);
/* Anything, in the place of the next response. */
void backend_rx_raw(struct kunit *test, struct backend_queue *queue, struct netif_rx_rsp response,
		    bool right_id);
/* How many pages are lent. */
u32 backend_rx_lent(struct backend_queue *queue);

/* ---- the guest ------------------------------------------------------------------------------- */

struct guest {
	struct pvkit_device *device;
	unsigned int frames; /* that it received */
	struct sk_buff *last; /* of them */
};

extern struct guest guest;

/* NULL: no device yet. */
struct pvnet *guest_net(void);
/* The device comes, is served and up, and has lent all its pages. */
void guest_plug(struct kunit *test);
/* A frame with @head bytes in its linear part and @pages behind. */
struct sk_buff *guest_make(struct kunit *test, unsigned int head, unsigned int pages);
/* To the device; the caller goes on holding it, to see guest_is_over(). */
void guest_queue(struct sk_buff *skb);
/* Both. */
struct sk_buff *guest_send(struct kunit *test, unsigned int head, unsigned int pages);
/* Whether the driver has let go of a frame that was sent so. */
bool guest_is_over(struct sk_buff *skb);

/* ---- a suite --------------------------------------------------------------------------------- */

int backend_init(struct kunit *test);
/* Whatever happened, no reference and no page is left. */
void backend_exit(struct kunit *test);

#endif
