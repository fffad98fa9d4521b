// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on received frames (XDP), and frames that other devices send through us.
 *
 * A program needs a frame in one page, with room before and behind it, and with its checksum in
 * place. So loading the first program, or unloading the last, is a new handshake: without SG, GSO
 * and blank checksums, and with headroom where the back-end offers that. Where it does not, a frame
 * is moved up in its page. Frames of before, and of back-ends that do not care, are dropped if a
 * program could not see all of them.
 */
#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>

#include "guest-drivers/net/net.h"

#define FLUSH_TX       1U
#define FLUSH_REDIRECT 2U

#define TAIL SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

unsigned int pvnet_xdp_mtu_max(void)
{
	return PAGE_SIZE - XDP_PACKET_HEADROOM - TAIL - VLAN_ETH_HLEN;
}

static bool send_back(struct pvnet_queue *queue, struct xdp_buff *buff)
{
	struct netdev_queue *txq = netdev_get_tx_queue(queue->net->dev, queue->index);
	struct xdp_frame *frame = xdp_convert_buff_to_frame(buff);
	int error;

	if (!frame)
		return false;
	__netif_tx_lock(txq, smp_processor_id());
	error = pvnet_tx_frame(queue, frame);
	__netif_tx_unlock(txq);
	return !error;
}

static void count(struct pvnet_queue *queue, u32 action, bool done)
{
	struct pvnet_rx_stats *stats = &queue->rx.stats;

	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(&stats->xdp_packets);
	if (done && action == XDP_TX)
		u64_stats_inc(&stats->xdp_tx);
	else if (done && action == XDP_REDIRECT)
		u64_stats_inc(&stats->xdp_redirect);
	else if (!done)
		u64_stats_inc(&stats->xdp_drop);
	u64_stats_update_end(&stats->sync);
}

/* Room before the frame, and behind it for what an xdp_frame or skb needs. */
static bool make_room(struct page *page, unsigned int *offset, unsigned int length)
{
	unsigned int old = *offset;

	if (old < XDP_PACKET_HEADROOM)
		*offset = XDP_PACKET_HEADROOM;
	if (*offset + length > PAGE_SIZE - TAIL)
		return false;
	if (*offset != old)
		memmove(page_address(page) + *offset, page_address(page) + old, length);
	return true;
}

/* Whether the frame has got a new owner, or passes. */
static bool act(struct pvnet_queue *queue, struct bpf_prog *program, struct xdp_buff *buff,
		u32 action, unsigned int *flush)
{
	struct net_device *dev = queue->net->dev;

	switch (action) {
	case XDP_PASS:
		return true;
	case XDP_TX:
		if (!send_back(queue, buff))
			break;
		*flush |= FLUSH_TX;
		return true;
	case XDP_REDIRECT:
		if (xdp_do_redirect(dev, buff, program))
			break;
		*flush |= FLUSH_REDIRECT;
		return true;
	case XDP_DROP:
		return false;
	default:
		bpf_warn_invalid_xdp_action(dev, program, action);
		fallthrough;
	case XDP_ABORTED:
		break;
	}
	trace_xdp_exception(dev, program, action);
	return false;
}

struct pvnet_xdp_result pvnet_xdp_run(struct pvnet_queue *queue, struct bpf_prog *program,
				      struct page *page, unsigned int offset, unsigned int length,
				      unsigned int *flush)
{
	struct pvnet_xdp_result result = {};
	struct xdp_buff buff;
	u32 action = XDP_DROP;
	bool done;

	if (!make_room(page, &offset, length)) {
		done = false;
	} else {
		xdp_init_buff(&buff, PAGE_SIZE, &queue->rx.xdp);
		xdp_prepare_buff(&buff, page_address(page), offset, length, true);
		action = bpf_prog_run_xdp(program, &buff);
		done = act(queue, program, &buff, action, flush);
	}
	count(queue, action, done);
	if (!done) {
		page_pool_recycle_direct(queue->rx.pool, page);
	} else if (action == XDP_PASS) {
		result.pass = true;
		result.offset = buff.data - buff.data_hard_start;
		result.length = buff.data_end - buff.data;
		result.metadata = buff.data - buff.data_meta;
	}
	return result;
}

static void flush_tx(struct pvnet_queue *queue)
{
	struct netdev_queue *txq = netdev_get_tx_queue(queue->net->dev, queue->index);

	__netif_tx_lock(txq, smp_processor_id());
	pvnet_tx_publish(queue);
	__netif_tx_unlock(txq);
}

void pvnet_xdp_flush(struct pvnet_queue *queue, unsigned int flush)
{
	if (flush & FLUSH_TX)
		flush_tx(queue);
	if (flush & FLUSH_REDIRECT)
		xdp_do_flush();
}

/* How many were sent; the caller keeps the others. */
int pvnet_xdp_xmit(struct net_device *dev, int count, struct xdp_frame **frames, u32 flags)
{
	struct pvnet *net = netdev_priv(dev);
	/* Pairs with make_queues(). */
	unsigned int queues = order_load_acquire(&net->queues);
	struct pvnet_queue *queue;
	struct netdev_queue *txq;
	int sent = 0;

	if (flags & ~XDP_XMIT_FLAGS_MASK)
		return -EINVAL;
	if (!queues || !test_bit(PVNET_POLLING, &net->flags) || pvnet_retired(net))
		return -ENETDOWN;
	queue = net->queue[smp_processor_id() % queues];
	txq = netdev_get_tx_queue(dev, queue->index);
	__netif_tx_lock(txq, smp_processor_id());
	while (sent < count && !pvnet_tx_frame(queue, frames[sent]))
		sent++;
	if (flags & XDP_XMIT_FLUSH)
		pvnet_tx_publish(queue);
	__netif_tx_unlock(txq);
	return sent;
}

static int set_program(struct pvnet *net, struct bpf_prog *program, struct netlink_ext_ack *extack)
{
	struct bpf_prog *old = rtnl_dereference(net->xdp);

	if (program && net->dev->mtu > pvnet_xdp_mtu_max()) {
		NL_SET_ERR_MSG_MOD(extack, "the MTU is too large for XDP: a frame must fit a page");
		return -EINVAL;
	}
	rcu_assign_pointer(net->xdp, program);
	if (old)
		bpf_prog_put(old);
	net->dev->max_mtu = pvnet_mtu_max(net);
	if (!old != !program)
		pvnet_reopen(net);
	return 0;
}

int pvnet_bpf(struct net_device *dev, struct netdev_bpf *bpf)
{
	if (bpf->command != XDP_SETUP_PROG)
		return -EINVAL;
	return set_program(netdev_priv(dev), bpf->prog, bpf->extack);
}
