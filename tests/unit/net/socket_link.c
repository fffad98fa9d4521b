// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Two guests joined by a socket: who listens, who comes back, and what is done in software where one
 * of them takes less than the other sends.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/socket.h"
#include "fixture.h"

struct fixture {
	char path[64];
	struct link_options options;
	struct link *a, *b;
	struct frame_header header;
	uint8_t sent[66000], got[66000];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	snprintf(fx->path, sizeof(fx->path), "/tmp/pvkit-link-%d.sock", getpid());
	unlink(fx->path);
	fx->options.kind = LINK_SOCKET;
	fx->options.name = fx->path;
	fx->options.queues = 1;
	fill(fx->sent, sizeof(fx->sent), 5);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->a)
		fx->a->ops->close(fx->a);
	if (fx->b)
		fx->b->ops->close(fx->b);
	unlink(fx->path);
	free(fx);
	return 0;
}

static ssize_t receive(struct link *link, struct frame_header *header, void *data, size_t room)
{
	struct iovec pieces[3] = {{header, sizeof(*header)}, {data, room}};

	return link->ops->receive(link, 0, pieces, 2, sizeof(*header) + room);
}

/* What a worker does when there is nothing else to do. */
static void turn(struct link *link)
{
	struct pollfd fds[LINK_FDS_MAX];
	struct frame_header header;
	uint8_t data[64];
	int timeout_ms = 10;
	unsigned int count = link->ops->prepare(link, 0, true, false, fds, &timeout_ms);

	assert_true(poll(fds, count, timeout_ms) >= 0);
	link->ops->dispatch(link, 0, fds, count);
	/* The end of the stream comes behind the last frame. */
	assert_int_equal(receive(link, &header, data, sizeof(data)), -EAGAIN);
}

static int send_frame(struct link *link, struct frame_header *header, void *data, size_t length)
{
	struct iovec pieces[2] = {{header, sizeof(*header)}, {data, length}};

	return link->ops->send(link, 0, pieces, 2);
}

static bool is_up(struct link *link)
{
	struct pollfd fds = {.fd = link->changed, .events = POLLIN};

	if (poll(&fds, 1, 0) == 1)
		link->ops->refresh(link);
	return link->up;
}

/* Until both sides agree, some hundred turns at most. */
static void turn_until(struct fixture *fx, bool up)
{
	int i;

	for (i = 0; i < 300; i++) {
		if (fx->a)
			turn(fx->a);
		if (fx->b)
			turn(fx->b);
		if ((!fx->a || is_up(fx->a) == up) && (!fx->b || is_up(fx->b) == up))
			return;
	}
	fail_msg("the links did not %s", up ? "join" : "part");
}

static void join(struct fixture *fx)
{
	fx->a = link_open(&fx->options);
	assert_non_null(fx->a);
	assert_false(fx->a->up);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, 60), -ENOTCONN);
	fx->b = link_open(&fx->options);
	assert_non_null(fx->b);
	turn_until(fx, true);
	fx->a->ops->set_accepted(fx->a, TEST_OFFLOADS);
	fx->b->ops->set_accepted(fx->b, TEST_OFFLOADS);
}

static void expect(struct fixture *fx, struct link *from, struct link *to, size_t length)
{
	struct frame_header header;

	assert_int_equal(send_frame(from, &fx->header, fx->sent, length), 0);
	assert_int_equal(receive(to, &header, fx->got, sizeof(fx->got)), 12 + length);
	assert_memory_equal(&header, &fx->header, 12);
	assert_memory_equal(fx->got, fx->sent, length);
	assert_int_equal(receive(to, &header, fx->got, sizeof(fx->got)), -EAGAIN);
}

static void test_frames_both_ways(void **state)
{
	struct fixture *fx = *state;

	join(fx);
	expect(fx, fx->a, fx->b, 60);
	expect(fx, fx->b, fx->a, 1514);
	/* As it is, with its header: neither side makes segments. */
	fx->header = (struct frame_header){
		VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1448, 34, 16, 0};
	expect(fx, fx->a, fx->b, 65549);
}

static void test_too_large_is_lost_and_said(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header;

	join(fx);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, 1000), 0);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, 100), 0);
	assert_int_equal(receive(fx->b, &header, fx->got, 999), -EMSGSIZE);
	assert_int_equal(receive(fx->b, &header, fx->got, 999), 112);
}

/* The front-end took away memory that a frame was to go to. */
static void test_memory_that_is_gone(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header;
	void *gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	join(fx);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, 1000), 0);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, 100), 0);
	assert_int_equal(receive(fx->b, &header, gone, 4096), -EFAULT);
	assert_int_equal(receive(fx->b, &header, fx->got, 999), 112);
	assert_true(is_up(fx->a));
	assert_true(is_up(fx->b));
	munmap(gone, 4096);
}

static void test_full_socket_is_busy(void **state)
{
	struct fixture *fx = *state;
	struct pollfd fds[LINK_FDS_MAX];
	int timeout = -1, i, result = 0;

	join(fx);
	for (i = 0; i < 100000 && !result; i++)
		result = send_frame(fx->a, &fx->header, fx->sent, 1500);
	assert_int_equal(result, -EAGAIN);
	assert_int_equal(fx->a->ops->prepare(fx->a, 0, true, true, fds, &timeout), 2);
	assert_true(fds[0].events & POLLOUT);
}

static void test_either_may_come_back(void **state)
{
	struct fixture *fx = *state;

	join(fx);
	/* The one who connected. */
	fx->b->ops->close(fx->b);
	fx->b = NULL;
	turn_until(fx, false);
	fx->b = link_open(&fx->options);
	assert_non_null(fx->b);
	turn_until(fx, true);
	expect(fx, fx->b, fx->a, 60);
	/* The one who listened: the other becomes the listener, or meets it again. */
	fx->a->ops->close(fx->a);
	fx->a = NULL;
	turn_until(fx, false);
	fx->a = link_open(&fx->options);
	assert_non_null(fx->a);
	turn_until(fx, true);
	fx->a->ops->set_accepted(fx->a, TEST_OFFLOADS);
	fx->b->ops->set_accepted(fx->b, TEST_OFFLOADS);
	expect(fx, fx->a, fx->b, 60);
	expect(fx, fx->b, fx->a, 61);
}

static void *run_turns(void *argument)
{
	struct link *link = argument;
	int i;

	for (i = 0; i < 50; i++)
		turn(link);
	return NULL;
}

/* Somebody listens at the name and lets nobody in: the worker has other things to do than wait. */
static void test_full_listener_holds_up_nobody(void **state)
{
	struct fixture *fx = *state;
	struct timespec before, after;
	int listener, others[4], i;

	join(fx);
	fx->a->ops->close(fx->a);
	fx->a = NULL;
	listener = socket_listen(fx->path, SOCK_SEQPACKET);
	assert_true(listener >= 0);
	assert_int_equal(listen(listener, 0), 0);
	for (i = 0; i < 4; i++)
		others[i] = socket_connect(fx->path, SOCK_SEQPACKET | SOCK_NONBLOCK);
	assert_int_equal(others[3], -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (i = 0; i < 30; i++)
		turn(fx->b); /* some 10 ms each; after 100 it tries to connect */
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec <= 2);
	for (i = 0; i < 4; i++)
		if (others[i] >= 0)
			close(others[i]);
	close(listener);
}

static void test_third_comer_is_told(void **state)
{
	struct fixture *fx = *state;
	pthread_t thread;

	join(fx);
	assert_int_equal(pthread_create(&thread, NULL, run_turns, fx->a), 0);
	assert_null(link_open(&fx->options));
	assert_int_equal(errno, EBUSY);
	pthread_join(thread, NULL);
	expect(fx, fx->a, fx->b, 60);
}

/* Somebody connects and waits: the place is not his. */
static void test_silent_comer_is_left(void **state)
{
	struct fixture *fx = *state;
	uint8_t hello[64];
	int fd, i;

	fx->a = link_open(&fx->options);
	assert_non_null(fx->a);
	fd = socket_connect(fx->path, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	for (i = 0; i < 1000; i++) {
		turn(fx->a);
		assert_false(is_up(fx->a));
		if (recv(fd, hello, sizeof(hello), MSG_DONTWAIT) == 0)
			break;
	}
	assert_true(i < 1000);
	fx->b = link_open(&fx->options);
	assert_non_null(fx->b);
	turn_until(fx, true);
	close(fd);
}

static void test_bad_paths(void **state)
{
	struct fixture *fx = *state;
	char too_long[200];

	fx->options.name = "/nowhere/at/all.sock";
	assert_null(link_open(&fx->options));
	assert_int_equal(errno, ENOENT);
	memset(too_long, 'x', sizeof(too_long));
	too_long[0] = '/';
	too_long[199] = 0;
	fx->options.name = too_long;
	assert_null(link_open(&fx->options));
	assert_int_equal(errno, ENAMETOOLONG);
}

/* ---- software ----------------------------------------------------------------------------------- */

static uint32_t add16(uint32_t sum, const uint8_t *p, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = value >> 8;
	p[1] = value;
}

static unsigned int get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* The sum of a correct packet is all ones. */
static void check_transport(const uint8_t *frame, size_t at, size_t length, bool ipv6)
{
	const uint8_t *ip = frame + 14;
	uint32_t sum = ipv6 ? add16(6, ip + 8, 32) : add16(6, ip + 12, 8);

	assert_int_equal(add16(add16(sum, frame + at, length - at) + length - at, NULL, 0), 0xffff);
}

/* A TCP frame of @payload bytes as a guest's driver gives it away, in ->sent. */
static size_t make_tcp(struct fixture *fx, bool ipv6, size_t payload, uint8_t flags)
{
	uint8_t *frame = fx->sent, *ip = frame + 14, *tcp = ip + (ipv6 ? 40 : 20);
	size_t tcp_bytes = 32 + payload;
	uint32_t sum;

	put16(frame + 12, ipv6 ? 0x86dd : 0x0800);
	memset(ip, 0, ipv6 ? 40 : 20);
	memset(tcp, 0, 32);
	if (ipv6) {
		ip[0] = 0x60;
		put16(ip + 4, tcp_bytes);
		ip[6] = 6;
		fill(ip + 8, 32, 9);
		sum = add16(6, ip + 8, 32);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 20 + tcp_bytes);
		put16(ip + 4, 0xfffe);
		ip[9] = 6;
		fill(ip + 12, 8, 9);
		sum = add16(6, ip + 12, 8);
	}
	tcp[4] = 0xff, tcp[5] = 0xff, tcp[6] = 0xff;
	tcp[12] = 8 << 4;
	tcp[13] = flags;
	put16(tcp + 16, add16(sum + tcp_bytes, NULL, 0));
	fx->header =
		(struct frame_header){VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
				      tcp + 32 - frame,
				      1000,
				      tcp - frame,
				      16,
				      0};
	return tcp + 32 + payload - frame;
}

static void check_segments(struct fixture *fx, bool ipv6)
{
	size_t headers = ipv6 ? 14 + 40 + 32 : 14 + 20 + 32, ip = 14, tcp = headers - 32;
	size_t length = make_tcp(fx, ipv6, 3500, 0x80 | 0x10 | 0x08 | 0x01), done = 0, payload;
	struct frame_header header, zero = {0};
	uint32_t sequence;
	ssize_t bytes;
	int i;

	fx->b->ops->set_accepted(fx->b, 0);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, length), 0);
	for (i = 0; i < 4; i++) {
		payload = i < 3 ? 1000 : 500;
		memset(&header, 0xff, sizeof(header));
		bytes = receive(fx->b, &header, fx->got, sizeof(fx->got)) - 12;
		assert_int_equal(bytes, headers + payload);
		assert_memory_equal(&header, &zero, 12);
		assert_memory_equal(fx->got + headers, fx->sent + headers + done, payload);
		if (ipv6) {
			assert_int_equal(get16(fx->got + ip + 4), 32 + payload);
		} else {
			assert_int_equal(get16(fx->got + ip + 2), 52 + payload);
			assert_int_equal(get16(fx->got + ip + 4), (0xfffe + i) & 0xffff);
			assert_int_equal(add16(0, fx->got + ip, 20), 0xffff);
		}
		sequence = get16(fx->got + tcp + 4) << 16 | get16(fx->got + tcp + 6);
		assert_int_equal(sequence, (uint32_t)(0xffffff00 + done));
		/* CWR on the first, PSH and FIN on the last. */
		assert_int_equal(fx->got[tcp + 13], i == 0 ? 0x90 : i < 3 ? 0x10 : 0x19);
		check_transport(fx->got, tcp, bytes, ipv6);
		done += payload;
	}
	assert_int_equal(receive(fx->b, &header, fx->got, sizeof(fx->got)), -EAGAIN);
}

static void test_segments_are_cut(void **state)
{
	struct fixture *fx = *state;

	join(fx);
	check_segments(fx, false);
	check_segments(fx, true);
}

static void test_checksum_is_completed(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header;
	size_t length;

	join(fx);
	length = make_tcp(fx, false, 333, 0x10);
	fx->header.gso_type = 0;
	fx->header.gso_size = fx->header.hdr_len = 0;
	fx->b->ops->set_accepted(fx->b, 0);
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, length), 0);
	assert_int_equal(receive(fx->b, &header, fx->got, sizeof(fx->got)), 12 + length);
	assert_int_equal(header.flags, 0);
	check_transport(fx->got, 34, length, false);
	/* Who takes it as it is gets it as it is. */
	fx->b->ops->set_accepted(fx->b, FRAME_CSUM);
	expect(fx, fx->a, fx->b, length);
}

/* Frames whose headers are not what they say. */
static void test_what_cannot_be_cut_is_lost(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header;
	size_t length, i;

	join(fx);
	fx->b->ops->set_accepted(fx->b, FRAME_CSUM);
	for (i = 0; i < 6; i++) {
		length = make_tcp(fx, i == 5, 3000, 0x10);
		if (i == 0)
			fx->sent[14] = 0x4f; /* IP header up to behind the TCP header */
		else if (i == 1)
			fx->sent[34 + 12] = 0x40; /* TCP header too small */
		else if (i == 2)
			put16(fx->sent + 12, 0x0806);
		else if (i == 3)
			fx->header.csum_start = 30;
		else if (i == 4)
			fx->header.csum_offset = 6;
		else
			fx->header.csum_start = 50;
		assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, length), 0);
		assert_int_equal(receive(fx->b, &header, fx->got, sizeof(fx->got)), -EMSGSIZE);
	}
	/* The longest frame, and nothing but tags in it. */
	for (i = 12; i < FRAME_BYTES_MAX; i += 4)
		memcpy(fx->sent + i, "\x81\0\0", 4);
	fx->header.csum_start = 34;
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, FRAME_BYTES_MAX), 0);
	assert_int_equal(receive(fx->b, &header, fx->got, sizeof(fx->got)), -EMSGSIZE);
	/* A header that no one could take. */
	length = make_tcp(fx, false, 100, 0x10);
	fx->header.csum_start = 60000;
	assert_int_equal(send_frame(fx->a, &fx->header, fx->sent, length), 0);
	assert_int_equal(receive(fx->b, &header, fx->got, sizeof(fx->got)), -EMSGSIZE);
	assert_int_equal(receive(fx->b, &header, fx->got, sizeof(fx->got)), -EAGAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_frames_both_ways),
		TEST(test_too_large_is_lost_and_said),
		TEST(test_memory_that_is_gone),
		TEST(test_full_socket_is_busy),
		TEST(test_either_may_come_back),
		TEST(test_full_listener_holds_up_nobody),
		TEST(test_third_comer_is_told),
		TEST(test_silent_comer_is_left),
		TEST(test_bad_paths),
		TEST(test_segments_are_cut),
		TEST(test_checksum_is_completed),
		TEST(test_what_cannot_be_cut_is_lost),
	};

	log_open("socket_link", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
