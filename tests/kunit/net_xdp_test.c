// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on received frames: real ones, that the verifier has seen and the interpreter runs. What
 * becomes of a frame, its page and the counters by each of their answers; and the handshake that
 * comes with the first program and with the last.
 */
#include <linux/bpf.h>
#include <linux/fdtable.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>

#include "tests/kunit/net_backend.h"

#define FRAMES   600U /* enough that pages that are lost would be missed */
#define PROGRAMS 8

#define COUNT(side, field) u64_stats_read(&guest_net()->queue[0]->side.stats.field)

static struct backend_queue *const queue = &backend.queue[0];
static u8 frame[PAGE_SIZE];

/* ---- programs -------------------------------------------------------------------------------- */

/* Who loads programs from inside the kernel declares it. */
int kern_sys_bpf(int cmd, union bpf_attr *attr, unsigned int size);

static struct {
	struct bpf_prog *program[PROGRAMS];
	unsigned int count;
} loaded;

static struct bpf_prog *load(struct kunit *test, const struct bpf_insn *code, unsigned int count)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insn_cnt = count,
		.insns = (unsigned long)code,
		.license = (unsigned long)"GPL",
	};
	int fd = kern_sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	struct bpf_prog *program;

	KUNIT_ASSERT_GE(test, fd, 0);
	KUNIT_ASSERT_LT(test, loaded.count, (unsigned int)PROGRAMS);
	program = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_XDP, false);
	close_fd(fd);
	KUNIT_ASSERT_FALSE(test, IS_ERR(program));
	return loaded.program[loaded.count++] = program;
}

/* One that answers @action to each frame. */
static struct bpf_prog *load_answer(struct kunit *test, u32 action)
{
	const struct bpf_insn code[] = {
		BPF_MOV32_IMM(BPF_REG_0, action),
		BPF_EXIT_INSN(),
	};

	return load(test, code, ARRAY_SIZE(code));
}

/* One that calls a helper with its context and @by, then lets the frame pass. */
static struct bpf_prog *load_adjust(struct kunit *test, int helper, int by)
{
	const struct bpf_insn code[] = {
		BPF_MOV32_IMM(BPF_REG_2, by),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper),
		BPF_MOV32_IMM(BPF_REG_0, XDP_PASS),
		BPF_EXIT_INSN(),
	};

	return load(test, code, ARRAY_SIZE(code));
}

static struct bpf_prog *load_redirect(struct kunit *test, int ifindex)
{
	const struct bpf_insn code[] = {
		BPF_MOV32_IMM(BPF_REG_1, ifindex),
		BPF_MOV32_IMM(BPF_REG_2, 0),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect),
		BPF_EXIT_INSN(),
	};

	return load(test, code, ARRAY_SIZE(code));
}

/* As the network core does it: the driver gets a reference of its own. */
static int set_program(struct bpf_prog *program)
{
	struct net_device *dev = guest_net()->dev;
	struct netdev_bpf bpf = {.command = XDP_SETUP_PROG, .prog = program};
	int error;

	if (program)
		bpf_prog_inc(program);
	rtnl_lock();
	error = dev->netdev_ops->ndo_bpf(dev, &bpf);
	rtnl_unlock();
	if (error && program)
		bpf_prog_put(program);
	return error;
}

static void attach(struct kunit *test, struct bpf_prog *program)
{
	KUNIT_ASSERT_EQ(test, set_program(program), 0);
	backend_reopen(test);
	EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
}

static s64 references(const struct bpf_prog *program)
{
	return atomic64_read(&program->aux->refcnt);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Frames of 500 bytes, a few at a time; waits until the program has seen them all. */
static void receive_many(struct kunit *test, unsigned int count)
{
	const u64 before = COUNT(rx, xdp_packets);
	unsigned int i;

	for (i = 1; i <= count; i++) {
		backend_rx_fill(test, queue, frame, XDP_PACKET_HEADROOM, 500, 0);
		if (i % 50 && i < count)
			continue;
		backend_publish_rx(queue);
		EVENTUALLY(test, COUNT(rx, xdp_packets) == before + i);
		EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
	}
}

/* Pages that the pool ever took of the system; that it needs no more means that they come back. */
static u32 pages_taken(void)
{
	return guest_net()->queue[0]->rx.pool->pages_state_hold_cnt;
}

static void expect_dropped(struct kunit *test, u32 action)
{
	u32 before;

	guest_plug(test);
	attach(test, load_answer(test, action));
	receive_many(test, 50);
	before = pages_taken();
	receive_many(test, FRAMES);
	KUNIT_EXPECT_LT(test, pages_taken() - before, FRAMES / 2);
	KUNIT_EXPECT_EQ(test, guest.frames, 0U);
	KUNIT_EXPECT_EQ(test, COUNT(rx, packets), 0ULL);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_packets), 50ULL + FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 50ULL + FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_tx) + COUNT(rx, xdp_redirect), 0ULL);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void drops(struct kunit *test)
{
	expect_dropped(test, XDP_DROP);
}

static void aborts(struct kunit *test)
{
	expect_dropped(test, XDP_ABORTED);
}

static void answers_nonsense(struct kunit *test)
{
	expect_dropped(test, 77);
}

static void passes(struct kunit *test)
{
	u32 before;

	guest_plug(test);
	attach(test, load_answer(test, XDP_PASS));
	receive_many(test, 50);
	before = pages_taken();
	receive_many(test, FRAMES);
	EVENTUALLY(test, guest.frames == 50 + FRAMES);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, 500U);
	KUNIT_EXPECT_EQ(test, skb_headlen(guest.last) + ETH_HLEN, (unsigned int)PVNET_RX_HEAD);
	KUNIT_EXPECT_LT(test, pages_taken() - before, FRAMES / 2);
	KUNIT_EXPECT_EQ(test, COUNT(rx, packets), 50ULL + FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_packets), 50ULL + FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 0ULL);
}

/* The back-end has left no room: the frame is moved up, and none of it is lost. */
static void passes_moved(struct kunit *test)
{
	u8 got[400];
	unsigned int i;

	guest_plug(test);
	attach(test, load_answer(test, XDP_PASS));
	for (i = ETH_HLEN; i < sizeof(got); i++)
		frame[i] = i;
	backend_rx_fill(test, queue, frame, 3, sizeof(got), 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == 1);
	KUNIT_ASSERT_EQ(test, guest.last->len + ETH_HLEN, (unsigned int)sizeof(got));
	KUNIT_ASSERT_EQ(test, skb_copy_bits(guest.last, 0, got, guest.last->len), 0);
	KUNIT_EXPECT_EQ(test, memcmp(got, frame + ETH_HLEN, sizeof(got) - ETH_HLEN), 0);
}

static void pass_adjusted(struct kunit *test, int helper, int by)
{
	KUNIT_ASSERT_EQ(test, set_program(load_adjust(test, helper, by)), 0);
	receive_many(test, 1);
}

/* What the program does to the frame's ends, and before it, is what the stack gets. */
static void passes_adjusted(struct kunit *test)
{
	guest_plug(test);
	attach(test, load_answer(test, XDP_DROP));
	pass_adjusted(test, BPF_FUNC_xdp_adjust_head, -20);
	EVENTUALLY(test, guest.frames == 1);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, 520U);
	pass_adjusted(test, BPF_FUNC_xdp_adjust_head, 30);
	EVENTUALLY(test, guest.frames == 2);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, 470U);
	pass_adjusted(test, BPF_FUNC_xdp_adjust_tail, -100);
	EVENTUALLY(test, guest.frames == 3);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, 400U);
	pass_adjusted(test, BPF_FUNC_xdp_adjust_meta, -8);
	EVENTUALLY(test, guest.frames == 4);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, 500U);
	KUNIT_EXPECT_EQ(test, (unsigned int)skb_metadata_len(guest.last), 8U);
}

/* ---- frames that go out again ---------------------------------------------------------------- */

/* What was received stands on the tx ring; answered, its page goes back to the pool. */
static void expect_sent_back(struct kunit *test, unsigned int count)
{
	struct netif_tx_req request;

	while (count--) {
		backend_tx_take(test, queue, &request);
		KUNIT_EXPECT_EQ(test, (unsigned int)request.size, 500U);
		KUNIT_EXPECT_EQ(test, (unsigned int)request.flags, 0U);
		KUNIT_EXPECT_NULL(test, memchr_inv(backend_granted(request.grant) + request.offset,
						   0x52, 500));
		backend_tx_answer(queue, request.id, NETIF_OK);
	}
	backend_publish_tx(queue);
	EVENTUALLY(test, (backend_tx_rest(queue), !guest_net()->queue[0]->tx.in_flight));
}

static void send_back_many(struct kunit *test)
{
	u32 before = 0;
	unsigned int i;

	for (i = 0; i < FRAMES / 50; i++) {
		receive_many(test, 50);
		expect_sent_back(test, 50);
		if (i == 3)
			before = pages_taken();
	}
	KUNIT_EXPECT_LT(test, pages_taken() - before, FRAMES / 3);
	KUNIT_EXPECT_EQ(test, guest.frames, 0U);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_packets), (u64)FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 0ULL);
	KUNIT_EXPECT_EQ(test, COUNT(tx, xdp_frames), (u64)FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(tx, xdp_dropped), 0ULL);
}

static void sends_back(struct kunit *test)
{
	guest_plug(test);
	attach(test, load_answer(test, XDP_TX));
	send_back_many(test);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_tx), (u64)FRAMES);
}

/* The xdp_frame before the bytes is not for everybody. */
static void sends_back_untrusted(struct kunit *test)
{
	fake_store_set(BACKEND_FRONT "/trusted", "0");
	guest_plug(test);
	attach(test, load_answer(test, XDP_TX));
	send_back_many(test);
	KUNIT_EXPECT_GE(test, COUNT(tx, copied), (u64)FRAMES);
}

/* The back-end answers nothing: what finds no room is dropped, and no page with it. */
static void sends_back_into_full_ring(struct kunit *test)
{
	u32 before;
	u64 sent;

	guest_plug(test);
	attach(test, load_answer(test, XDP_TX));
	receive_many(test, 300);
	sent = COUNT(tx, xdp_frames);
	KUNIT_EXPECT_GT(test, sent, 200ULL);
	KUNIT_EXPECT_LT(test, sent, (u64)PVNET_RING);
	before = pages_taken();
	receive_many(test, FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(tx, xdp_frames), sent);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_tx), sent);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 300 + FRAMES - sent);
	KUNIT_EXPECT_EQ(test, COUNT(tx, xdp_dropped), 300 + FRAMES - sent);
	KUNIT_EXPECT_LT(test, pages_taken() - before, FRAMES / 2);
	/* And they go with the device, which waits for no answer. */
}

/* To a device that can send: this one. */
static void redirects(struct kunit *test)
{
	guest_plug(test);
	attach(test, load_redirect(test, guest_net()->dev->ifindex));
	send_back_many(test);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_redirect), (u64)FRAMES);
}

static void redirects_to_nobody(struct kunit *test)
{
	u32 before;

	guest_plug(test);
	attach(test, load_redirect(test, guest_net()->dev->ifindex + 1000));
	receive_many(test, 50);
	before = pages_taken();
	receive_many(test, FRAMES);
	KUNIT_EXPECT_LT(test, pages_taken() - before, FRAMES / 2);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 50ULL + FRAMES);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_redirect), 0ULL);
}

/* ---- frames that no program gets ------------------------------------------------------------- */

static void not_in_one_page(struct kunit *test)
{
	const struct netif_extra gso = {.type = NETIF_EXTRA_GSO,
					.u.gso = {.size = 1000, .type = NETIF_GSO_TCPV4}};
	struct netif_rx_rsp extra;

	guest_plug(test);
	attach(test, load_answer(test, XDP_PASS));
	/* Two pages; segments; no room behind it. */
	backend_rx_fill(test, queue, frame, 0, 1000, NETIF_RX_MORE_DATA);
	backend_rx_fill(test, queue, frame, 0, 1000, 0);
	memcpy(&extra, &gso, sizeof(extra));
	backend_rx_fill(test, queue, frame, 0, 3000, NETIF_RX_EXTRA_INFO | NETIF_RX_CSUM_BLANK);
	backend_rx_raw(test, queue, extra, false);
	backend_rx_fill(test, queue, frame, 0, PAGE_SIZE - XDP_PACKET_HEADROOM, 0);
	/* Too short; the back-end's own word. */
	backend_rx_fill(test, queue, frame, 0, ETH_HLEN - 1, 0);
	backend_rx_raw(test, queue, (struct netif_rx_rsp){.status = NETIF_ERROR}, true);
	backend_rx_fill(test, queue, frame, 0, 100, 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == 1);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, 100U);
	KUNIT_EXPECT_EQ(test, COUNT(rx, dropped), 2ULL);
	KUNIT_EXPECT_EQ(test, COUNT(rx, errors), 2ULL);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 1ULL);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_packets), 2ULL);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

/* ---- with the handshake ---------------------------------------------------------------------- */

static void expect_keys(struct kunit *test, bool program, unsigned int headroom)
{
	KUNIT_EXPECT_EQ(test, backend_ask("feature-sg"), (u32)!program);
	KUNIT_EXPECT_EQ(test, backend_ask("feature-gso-tcpv4"), (u32)!program);
	KUNIT_EXPECT_EQ(test, backend_ask("feature-gso-tcpv6"), (u32)!program);
	KUNIT_EXPECT_EQ(test, backend_ask("feature-no-csum-offload"), (u32)program);
	KUNIT_EXPECT_EQ(test, backend_ask("feature-ipv6-csum-offload"), (u32)!program);
	KUNIT_EXPECT_EQ(test, backend_ask("xdp-headroom"), headroom);
}

static void asks_for_plain_frames(struct kunit *test)
{
	guest_plug(test);
	expect_keys(test, false, 0);
	attach(test, load_answer(test, XDP_PASS));
	expect_keys(test, true, 0);
	backend_say(NETIF_KEY_XDP_HEADROOM_OFFER, "1");
	attach(test, NULL);
	expect_keys(test, false, 0);
	attach(test, load_answer(test, XDP_PASS));
	expect_keys(test, true, XDP_PACKET_HEADROOM);
}

/* One program for another: at once, and the link stays. */
static void replaces(struct kunit *test)
{
	struct bpf_prog *pass = load_answer(test, XDP_PASS), *drop = load_answer(test, XDP_DROP);

	guest_plug(test);
	attach(test, pass);
	EVENTUALLY(test, references(pass) == 2);
	receive_many(test, 10);
	KUNIT_ASSERT_EQ(test, set_program(drop), 0);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CONNECTED);
	KUNIT_EXPECT_TRUE(test, netif_carrier_ok(guest_net()->dev));
	EVENTUALLY(test, references(pass) == 1 && references(drop) == 2);
	receive_many(test, 10);
	EVENTUALLY(test, guest.frames == 10);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_drop), 10ULL);
	KUNIT_EXPECT_EQ(test, COUNT(rx, xdp_packets), 20ULL);
}

/* Frames of both directions on the rings, some of them not told of, some never answered. */
static void comes_and_goes_under_traffic(struct kunit *test)
{
	struct bpf_prog *program = load_answer(test, XDP_TX);
	struct netif_tx_req request;
	struct sk_buff *skb[4];
	unsigned int round, i;

	guest_plug(test);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < ARRAY_SIZE(skb); i++)
			skb[i] = guest_send(test, 300, i % 3);
		backend_tx_take(test, queue, &request);
		for (i = 0; i < 40; i++)
			backend_rx_fill(test, queue, frame, 256, 500, 0);
		backend_publish_rx(queue);
		for (i = 0; i < 40; i++)
			backend_rx_fill(test, queue, frame, 256, 500, 0);
		xen_back_publish(&queue->rx);
		attach(test, round % 2 ? NULL : program);
		/* Those that waited before the driver are sent now. */
		for (i = 0; i < ARRAY_SIZE(skb); i++) {
			EVENTUALLY(test, (backend_tx_rest(queue), guest_is_over(skb[i])));
			kfree_skb(skb[i]);
		}
		if (round % 2) {
			i = guest.frames;
			backend_rx_fill(test, queue, frame, 0, 500, 0);
			backend_publish_rx(queue);
			EVENTUALLY(test, guest.frames == i + 1);
		} else {
			receive_many(test, 60);
			KUNIT_EXPECT_EQ(test, COUNT(tx, xdp_frames), 60ULL);
		}
		KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
	}
	EVENTUALLY(test, references(program) == 1);
}

/* The device goes with its program. */
static void leaves_with_device(struct kunit *test)
{
	struct bpf_prog *program = load_answer(test, XDP_TX);

	guest_plug(test);
	attach(test, program);
	receive_many(test, 20);
	EVENTUALLY(test, references(program) == 2);
	backend_exit(test);
	EVENTUALLY(test, references(program) == 1);
	KUNIT_ASSERT_EQ(test, backend_init(test), 0);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static int set_mtu(int mtu)
{
	int error;

	rtnl_lock();
	error = dev_set_mtu(guest_net()->dev, mtu);
	rtnl_unlock();
	return error;
}

static void frames_must_fit_a_page(struct kunit *test)
{
	const int most = pvnet_xdp_mtu_max();
	struct bpf_prog *program = load_answer(test, XDP_PASS);

	guest_plug(test);
	EVENTUALLY(test, references(program) == 1);
	KUNIT_ASSERT_EQ(test, set_mtu(most + 1), 0);
	KUNIT_EXPECT_EQ(test, set_program(program), -EINVAL);
	KUNIT_EXPECT_EQ(test, references(program), 1LL);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CONNECTED);
	KUNIT_ASSERT_EQ(test, set_mtu(most), 0);
	attach(test, program);
	KUNIT_EXPECT_EQ(test, set_mtu(most + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_mtu(most), 0);
	/* The largest frame, with a VLAN's header. */
	backend_rx_fill(test, queue, frame, XDP_PACKET_HEADROOM, most + VLAN_ETH_HLEN, 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == 1);
	attach(test, NULL);
	KUNIT_EXPECT_EQ(test, set_mtu(most + 1), 0);
}

static void other_commands(struct kunit *test)
{
	struct netdev_bpf bpf = {.command = XDP_SETUP_XSK_POOL};
	struct net_device *dev;

	guest_plug(test);
	dev = guest_net()->dev;
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, dev->netdev_ops->ndo_bpf(dev, &bpf), -EINVAL);
	rtnl_unlock();
}

/* ---- the suite ------------------------------------------------------------------------------- */

static int init(struct kunit *test)
{
	memset(frame, 0x52, sizeof(frame));
	loaded.count = 0;
	return backend_init(test);
}

/* The device's references went with it. */
static void leave(struct kunit *test)
{
	backend_exit(test);
	while (loaded.count) {
		struct bpf_prog *program = loaded.program[--loaded.count];
		int tries = 200;

		while (references(program) > 1 && --tries)
			msleep(10);
		KUNIT_EXPECT_EQ(test, references(program), 1LL);
		bpf_prog_put(program);
	}
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(drops),
	KUNIT_CASE(aborts),
	KUNIT_CASE(answers_nonsense),
	KUNIT_CASE(passes),
	KUNIT_CASE(passes_moved),
	KUNIT_CASE(passes_adjusted),
	KUNIT_CASE(sends_back),
	KUNIT_CASE(sends_back_untrusted),
	KUNIT_CASE(sends_back_into_full_ring),
	KUNIT_CASE(redirects),
	KUNIT_CASE(redirects_to_nobody),
	KUNIT_CASE(not_in_one_page),
	KUNIT_CASE(asks_for_plain_frames),
	KUNIT_CASE(replaces),
	KUNIT_CASE(comes_and_goes_under_traffic),
	KUNIT_CASE(leaves_with_device),
	KUNIT_CASE(frames_must_fit_a_page),
	KUNIT_CASE(other_commands),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_xdp",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
