// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The user-mode network: it answers ARP and DHCP, and forwards a port of the host to the guest.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "fixture.h"

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};

struct fixture {
	struct link_options options;
	struct link *link;
	struct frame_header header;
	uint8_t frame[2000];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->link)
		fx->link->ops->close(fx->link);
	free(fx);
	return 0;
}

static void open_link(struct fixture *fx, const char *text)
{
	char reason[200] = "";

	fx->options.queues = 1;
	if (link_parse(&fx->options, text, reason, sizeof(reason)))
		fail_msg("%s: %s", text, reason);
	fx->link = link_open(&fx->options);
	assert_non_null(fx->link);
}

static void send_frame(struct fixture *fx, size_t length)
{
	struct iovec pieces[3] = {
		{&fx->header, sizeof(fx->header)}, {fx->frame, 10}, {fx->frame + 10, length - 10}};

	assert_int_equal(fx->link->ops->send(fx->link, 0, pieces, 3), 0);
}

static ssize_t receive_now(struct fixture *fx)
{
	struct iovec pieces[4] = {{&fx->header, sizeof(fx->header)},
				  {fx->frame, 100},
				  {fx->frame + 100, sizeof(fx->frame) - 100}};
	ssize_t bytes = fx->link->ops->receive(fx->link, 0, pieces, 3,
					       sizeof(fx->header) + sizeof(fx->frame));

	return bytes < 0 ? bytes : bytes - (ssize_t)sizeof(fx->header);
}

/* The next frame of this Ethernet type (and IP protocol, if not 0), asleep meanwhile as a worker. */
static ssize_t receive(struct fixture *fx, unsigned int type, unsigned int protocol)
{
	struct pollfd fds[LINK_FDS_MAX];
	unsigned int count, i;
	ssize_t bytes;
	int timeout_ms;

	for (i = 0; i < 200; i++) {
		bytes = receive_now(fx);
		if (bytes >= 14 && (unsigned int)(fx->frame[12] << 8 | fx->frame[13]) == type &&
		    (!protocol || fx->frame[23] == protocol))
			return bytes;
		if (bytes >= 0)
			continue;
		timeout_ms = 10;
		count = fx->link->ops->prepare(fx->link, 0, true, false, fds, &timeout_ms);
		poll(fds, count, timeout_ms);
		fx->link->ops->dispatch(fx->link, 0, fds, count);
	}
	fail_msg("no frame of type %#x came", type);
	return -1;
}

static void ethernet(struct fixture *fx, unsigned int type)
{
	memset(fx->frame, 0, sizeof(fx->frame));
	memset(fx->frame, 0xff, 6);
	memcpy(fx->frame + 6, guest_mac, 6);
	fx->frame[12] = type >> 8;
	fx->frame[13] = type;
}

static void test_arp(void **state)
{
	static const uint8_t question[] = {0, 1, 8, 0, 6, 4, 0, 1}, gateway[] = {10, 0, 2, 2};
	struct fixture *fx = *state;
	uint8_t *arp = fx->frame + 14;

	open_link(fx, "user");
	assert_true(fx->link->up);
	assert_int_equal(fx->link->takes, 0);
	assert_int_equal(receive_now(fx), -EAGAIN);
	ethernet(fx, 0x0806);
	memcpy(arp, question, 8);
	memcpy(arp + 8, guest_mac, 6);
	memcpy(arp + 14, (uint8_t[]){10, 0, 2, 15}, 4);
	memcpy(arp + 24, gateway, 4);
	send_frame(fx, 42);
	receive(fx, 0x0806, 0);
	assert_int_equal(arp[7], 2);
	assert_memory_equal(arp + 14, gateway, 4);
	assert_memory_equal(fx->frame, guest_mac, 6);
}

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = value >> 8;
	p[1] = value;
}

static uint16_t ip_checksum(const uint8_t *ip)
{
	uint32_t sum = 0;
	int i;

	for (i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

static void test_dhcp(void **state)
{
	struct fixture *fx = *state;
	uint8_t *ip = fx->frame + 14, *udp = ip + 20, *bootp = udp + 8;

	open_link(fx, "user");
	ethernet(fx, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 20 + 8 + 300);
	ip[8] = 64;
	ip[9] = 17;
	memset(ip + 16, 0xff, 4);
	put16(ip + 10, ip_checksum(ip));
	put16(udp, 68);
	put16(udp + 2, 67);
	put16(udp + 4, 308);
	bootp[0] = 1, bootp[1] = 1, bootp[2] = 6;
	memcpy(bootp + 28, guest_mac, 6);
	memcpy(bootp + 236, (uint8_t[]){0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255}, 8);
	send_frame(fx, 14 + 328);
	assert_true(receive(fx, 0x0800, 17) > 14 + 28 + 240);
	assert_int_equal(bootp[0], 2);
	assert_memory_equal(bootp + 16, ((uint8_t[]){10, 0, 2, 15}), 4);
}

/* A connection from the host reaches the guest as a SYN to the port that it has there. */
static void test_forward(void **state)
{
	struct fixture *fx = *state;
	struct sockaddr_in address = {.sin_family = AF_INET};
	uint8_t *arp = fx->frame + 14;
	char text[100];
	unsigned int port;
	int fd;

	for (port = 23456; port < 23556 && !fx->link; port++) {
		memset(&fx->options, 0, sizeof(fx->options));
		snprintf(text, sizeof(text), "user,hostfwd=tcp:127.0.0.1:%u-10.0.2.15:22", port);
		fx->options.queues = 1;
		assert_int_equal(link_parse(&fx->options, text, text, sizeof(text)), 0);
		fx->link = link_open(&fx->options);
	}
	assert_non_null(fx->link);
	/* Taken: said, and nothing is opened. */
	assert_null(link_open(&fx->options));
	assert_int_equal(errno, EADDRINUSE);

	address.sin_port = htons(port - 1);
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&address, sizeof(address));
	receive(fx, 0x0806, 0); /* who has 10.0.2.15? */
	ethernet(fx, 0x0806);
	memcpy(arp, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 2}, 8);
	memcpy(arp + 8, guest_mac, 6);
	memcpy(arp + 14, (uint8_t[]){10, 0, 2, 15, 0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2}, 14);
	send_frame(fx, 42);
	receive(fx, 0x0800, 6);
	assert_int_equal(fx->frame[36] << 8 | fx->frame[37], 22);
	assert_int_equal(fx->frame[47] & 0x3f, 2);
	close(fd);
}

/* Frames that make no sense are the stack's to survive. */
static void test_nonsense(void **state)
{
	struct fixture *fx = *state;
	unsigned int i;

	open_link(fx, "user");
	for (i = 0; i < 2000; i++) {
		fill(fx->frame, sizeof(fx->frame), i * 2654435761u >> 16);
		fx->frame[12] = i & 1 ? 8 : 0x86;
		fx->frame[13] = i & 1 ? (i & 2 ? 6 : 0) : 0xdd;
		fx->frame[14] = i & 1 ? 0x45 : 0x60;
		send_frame(fx, 14 + i % 1480);
		while (receive_now(fx) >= 0)
			;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arp),
		TEST(test_dhcp),
		TEST(test_forward),
		TEST(test_nonsense),
	};

	log_open("user_link", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
