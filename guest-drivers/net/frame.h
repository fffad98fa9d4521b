/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A frame that is to be sent, cut into the pieces that go into slots.
 */
#ifndef PVKIT_GUEST_DRIVERS_NET_FRAME_H
#define PVKIT_GUEST_DRIVERS_NET_FRAME_H

#include "guest-drivers/net/net.h"

struct pvnet_piece {
	struct page *page; /* NULL: in the head area */
	u16 offset, size;
};

struct pvnet_frame {
	struct sk_buff *skb; /* or */
	struct xdp_frame *frame;
	u32 bytes;
	u16 flags; /* NETIF_TX_* of the first slot */
	bool owned; /* the pieces' pages are copies */
	struct netif_extra gso; /* type 0: none */
	unsigned int count;
	struct pvnet_piece piece[NETIF_SLOTS_MIN];
};

/* Cuts ->skb; @copy: into pages of its own. 0 or -ENOMEM. */
int pvnet_frame_cut(struct pvnet_frame *frame, bool copy);
/* Cuts ->frame: one piece. The same. */
int pvnet_frame_cut_xdp(struct pvnet_frame *frame, bool copy);

#endif
