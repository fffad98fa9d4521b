// SPDX-License-Identifier: GPL-2.0
/*
 * Cutting frames: no piece goes across the end of a page, and there are no more of them than every
 * back-end takes. A frame that has more where it lies is copied into pages of its own.
 */
#include <linux/skbuff.h>

#include "guest-drivers/net/frame.h"

static bool add_pieces(struct pvnet_frame *frame, struct page *page, unsigned int offset,
		       unsigned int size)
{
	page += offset >> PAGE_SHIFT;
	offset = offset_in_page(offset);
	while (size) {
		unsigned int part = min_t(unsigned int, size, PAGE_SIZE - offset);

		if (frame->count == NETIF_SLOTS_MIN)
			return false;
		frame->piece[frame->count++] = (struct pvnet_piece){page++, offset, part};
		offset = 0;
		size -= part;
	}
	return true;
}

/* The frame where it lies. False: in too many pieces. */
static bool cut_in_place(struct pvnet_frame *frame)
{
	const struct sk_buff *skb = frame->skb;
	unsigned int head = skb_headlen(skb), i;

	frame->count = 0;
	if (head && head <= PVNET_HEAD_BYTES)
		frame->piece[frame->count++] = (struct pvnet_piece){NULL, 0, head};
	else if (!add_pieces(frame, virt_to_page(skb->data), offset_in_page(skb->data), head))
		return false;
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		if (!add_pieces(frame, skb_frag_page(frag), skb_frag_off(frag),
				skb_frag_size(frag)))
			return false;
	}
	return true;
}

static void drop_copy(struct pvnet_frame *frame)
{
	while (frame->count)
		__free_page(frame->piece[--frame->count].page);
}

/* The frame in pages of its own: never more than 16. */
static int cut_copy(struct pvnet_frame *frame)
{
	const struct sk_buff *skb = frame->skb;
	unsigned int done = 0;

	frame->count = 0;
	frame->owned = true;
	while (done < skb->len) {
		unsigned int part = min_t(unsigned int, skb->len - done, PAGE_SIZE);
		/* Zeroed: the back-end sees the whole of it. */
		struct page *page = alloc_page(GFP_ATOMIC | __GFP_NOWARN | __GFP_ZERO);

		if (!page)
			goto no_memory;
		frame->piece[frame->count++] = (struct pvnet_piece){page, 0, part};
		if (skb_copy_bits(skb, done, page_address(page), part))
			goto no_memory;
		done += part;
	}
	return 0;
no_memory:
	drop_copy(frame);
	return -ENOMEM;
}

int pvnet_frame_cut(struct pvnet_frame *frame, bool copy)
{
	if (frame->skb->len <= PVNET_HEAD_BYTES) {
		frame->count = 1;
		frame->piece[0] = (struct pvnet_piece){NULL, 0, frame->skb->len};
		return 0;
	}
	if (!copy && cut_in_place(frame))
		return 0;
	return cut_copy(frame);
}

/*
 * Its bytes in a page of ours, where they lie across the end of one, or where the back-end is not to
 * see what is before them: the xdp_frame itself, with pointers of the kernel's.
 */
int pvnet_frame_cut_xdp(struct pvnet_frame *frame, bool copy)
{
	const struct xdp_frame *xdp = frame->frame;
	struct page *page;

	frame->count = 1;
	if (!copy && offset_in_page(xdp->data) + xdp->len <= PAGE_SIZE) {
		frame->piece[0] = (struct pvnet_piece){virt_to_page(xdp->data),
						       offset_in_page(xdp->data), xdp->len};
		return 0;
	}
	page = alloc_page(GFP_ATOMIC | __GFP_NOWARN | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	memcpy(page_address(page), xdp->data, xdp->len);
	frame->owned = true;
	frame->piece[0] = (struct pvnet_piece){page, 0, xdp->len};
	return 0;
}
