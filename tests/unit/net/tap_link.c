// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The tap, against the kernel's own network stack in a network namespace of this process. Needs root.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <linux/if_tun.h>
#include <linux/sockios.h>

#include "fixture.h"

#define HOST  "192.168.77.1"
#define GUEST "192.168.77.2"

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};

struct fixture {
	struct link_options options;
	struct link *link;
	int control;
	struct frame_header header;
	uint8_t frame[70000];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->options.kind = LINK_TAP;
	fx->options.name = "ptest0";
	fx->options.queues = fx->options.queues_min = 1;
	fx->control = socket(AF_INET, SOCK_DGRAM, 0);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->link)
		fx->link->ops->close(fx->link);
	close(fx->control);
	free(fx);
	return 0;
}

static struct ifreq request_for(const char *name)
{
	struct ifreq request = {0};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return request;
}

static void set_flags(struct fixture *fx, const char *name, int set, int clear)
{
	struct ifreq request = request_for(name);

	assert_int_equal(ioctl(fx->control, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags = (request.ifr_flags | set) & ~clear;
	assert_int_equal(ioctl(fx->control, SIOCSIFFLAGS, &request), 0);
}

static void set_address(struct fixture *fx)
{
	struct ifreq request = request_for(fx->options.name);
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
	struct arpreq arp = {.arp_flags = ATF_PERM | ATF_COM};

	in->sin_family = AF_INET;
	inet_pton(AF_INET, HOST, &in->sin_addr);
	assert_int_equal(ioctl(fx->control, SIOCSIFADDR, &request), 0);
	inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
	assert_int_equal(ioctl(fx->control, SIOCSIFNETMASK, &request), 0);
	set_flags(fx, fx->options.name, IFF_UP, 0);

	in = (struct sockaddr_in *)&arp.arp_pa;
	in->sin_family = AF_INET;
	inet_pton(AF_INET, GUEST, &in->sin_addr);
	memcpy(arp.arp_ha.sa_data, guest_mac, 6);
	strcpy(arp.arp_dev, fx->options.name);
	assert_int_equal(ioctl(fx->control, SIOCSARP, &arp), 0);
}

static void open_link(struct fixture *fx)
{
	fx->link = link_open(&fx->options);
	assert_non_null(fx->link);
}

/* The next frame of IP protocol @protocol; the kernel sends others of its own accord. */
static ssize_t receive(struct fixture *fx, uint8_t protocol)
{
	struct iovec pieces[3] = {{&fx->header, sizeof(fx->header)},
				  {fx->frame, sizeof(fx->frame)}};
	struct pollfd fds[LINK_FDS_MAX];
	int timeout_ms, i;
	ssize_t bytes;

	for (i = 0; i < 100; i++) {
		timeout_ms = 20;
		fx->link->ops->prepare(fx->link, 0, true, false, fds, &timeout_ms);
		poll(fds, 1, timeout_ms);
		bytes = fx->link->ops->receive(fx->link, 0, pieces, 2,
					       sizeof(fx->header) + sizeof(fx->frame));
		if (bytes > 12 + 34 && fx->frame[12] == 8 && fx->frame[13] == 0 &&
		    fx->frame[23] == protocol)
			return bytes - 12;
	}
	fail_msg("no frame of protocol %u came", protocol);
	return -1;
}

static int send_frame(struct fixture *fx, size_t length)
{
	/* In three pieces, as guests have them. */
	struct iovec pieces[4] = {{&fx->header, sizeof(fx->header)},
				  {fx->frame, 14},
				  {fx->frame + 14, 20},
				  {fx->frame + 34, length - 34}};

	return fx->link->ops->send(fx->link, 0, pieces, 4);
}

static uint16_t checksum(const uint8_t *data, size_t length, uint32_t sum)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = value >> 8;
	p[1] = value;
}

/* Ethernet and IP headers from the guest to the host, around @length bytes. */
static void make_headers(struct fixture *fx, uint8_t protocol, size_t length)
{
	struct ifreq request = request_for(fx->options.name);
	uint8_t *ip = fx->frame + 14;

	assert_int_equal(ioctl(fx->control, SIOCGIFHWADDR, &request), 0);
	memcpy(fx->frame, request.ifr_hwaddr.sa_data, 6);
	memcpy(fx->frame + 6, guest_mac, 6);
	put16(fx->frame + 12, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, 20 + length);
	ip[8] = 64;
	ip[9] = protocol;
	inet_pton(AF_INET, GUEST, ip + 12);
	inet_pton(AF_INET, HOST, ip + 16);
	put16(ip + 10, checksum(ip, 20, 0));
}

static void test_ping(void **state)
{
	struct fixture *fx = *state;
	uint8_t *icmp = fx->frame + 34, payload[56];

	open_link(fx);
	set_address(fx);
	make_headers(fx, IPPROTO_ICMP, 64);
	memset(icmp, 0, 8);
	icmp[0] = 8;
	put16(icmp + 4, 0x1234);
	put16(icmp + 6, 7);
	fill(payload, sizeof(payload), 2);
	memcpy(icmp + 8, payload, sizeof(payload));
	put16(icmp + 2, checksum(icmp, 64, 0));
	assert_int_equal(send_frame(fx, 98), 0);
	assert_int_equal(receive(fx, IPPROTO_ICMP), 98);
	assert_int_equal(icmp[0], 0);
	assert_int_equal(icmp[4] << 8 | icmp[5], 0x1234);
	assert_memory_equal(icmp + 8, payload, sizeof(payload));
	assert_int_equal(checksum(icmp, 64, 0), 0);
}

static int udp_socket(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(5555)};
	const struct timeval limit = {.tv_sec = 2};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* The guest leaves the checksum to the host, and the host to the guest. */
static void test_checksums_are_passed_on(void **state)
{
	struct fixture *fx = *state;
	struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(6666)};
	uint8_t *udp = fx->frame + 34, data[300], got[400];
	int fd;

	open_link(fx);
	set_address(fx);
	assert_int_equal(fx->link->ops->set_accepted(fx->link, fx->link->gives), 0);
	fd = udp_socket();
	fill(data, sizeof(data), 8);

	make_headers(fx, IPPROTO_UDP, 308);
	put16(udp, 6666);
	put16(udp + 2, 5555);
	put16(udp + 4, 308);
	put16(udp + 6, ~checksum(fx->frame + 14 + 12, 8, IPPROTO_UDP + 308));
	memcpy(udp + 8, data, sizeof(data));
	fx->header = (struct frame_header){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	assert_int_equal(send_frame(fx, 342), 0);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 300);
	assert_memory_equal(got, data, 300);

	inet_pton(AF_INET, GUEST, &guest.sin_addr);
	assert_int_equal(sendto(fd, data, 300, 0, (struct sockaddr *)&guest, sizeof(guest)), 300);
	assert_int_equal(receive(fx, IPPROTO_UDP), 342);
	assert_memory_equal(udp + 8, data, 300);
	assert_int_equal(fx->header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(fx->header.csum_start, 34);
	assert_int_equal(fx->header.csum_offset, 6);

	/* A guest that does not take that gets it complete. */
	assert_int_equal(fx->link->ops->set_accepted(fx->link, 0), 0);
	assert_int_equal(sendto(fd, data, 300, 0, (struct sockaddr *)&guest, sizeof(guest)), 300);
	assert_int_equal(receive(fx, IPPROTO_UDP), 342);
	assert_int_equal(fx->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
	assert_int_equal(
		checksum(udp, 308, IPPROTO_UDP + 308 + (uint16_t)~checksum(fx->frame + 26, 8, 0)),
		0);
	close(fd);
}

static void test_too_large_is_said(void **state)
{
	struct fixture *fx = *state;
	struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(6666)};
	struct iovec pieces[3] = {{&fx->header, sizeof(fx->header)}, {fx->frame, 200}};
	uint8_t data[1000] = {0};
	ssize_t bytes;
	int fd, i;

	open_link(fx);
	set_address(fx);
	fd = udp_socket();
	inet_pton(AF_INET, GUEST, &guest.sin_addr);
	pieces[2] = (struct iovec){data, 1};
	assert_int_equal(sendto(fd, data, 1000, 0, (struct sockaddr *)&guest, sizeof(guest)), 1000);
	for (i = 0; i < 100; i++) {
		bytes = fx->link->ops->receive(fx->link, 0, pieces, 2, 212);
		if (bytes == -EMSGSIZE)
			break;
		usleep(1000);
	}
	assert_int_equal(bytes, -EMSGSIZE);
	/* The piece behind is as it was. */
	assert_ptr_equal(pieces[2].iov_base, data);
	assert_int_equal(pieces[2].iov_len, 1);
	close(fd);
}

static bool up_after(struct fixture *fx, bool up)
{
	struct pollfd fds = {.fd = fx->link->changed, .events = POLLIN};
	int i;

	for (i = 0; i < 20 && fx->link->up != up; i++)
		if (poll(&fds, 1, 100) == 1)
			fx->link->ops->refresh(fx->link);
	return fx->link->up == up;
}

static void test_state_follows_the_interface(void **state)
{
	struct fixture *fx = *state;
	struct ifreq request;

	open_link(fx);
	assert_false(fx->link->up);
	set_flags(fx, "ptest0", IFF_UP, 0);
	assert_true(up_after(fx, true));
	set_flags(fx, "ptest0", 0, IFF_UP);
	assert_true(up_after(fx, false));
	/* Also by another name. */
	request = request_for("ptest0");
	strcpy(request.ifr_newname, "other0");
	assert_int_equal(ioctl(fx->control, SIOCSIFNAME, &request), 0);
	set_flags(fx, "other0", IFF_UP, 0);
	assert_true(up_after(fx, true));
}

static int open_tun(const char *name, int flags)
{
	struct ifreq request = request_for(name);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	request.ifr_flags = flags | IFF_NO_PI;
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static void expect_refused(struct fixture *fx, const char *name, int error)
{
	fx->options.name = name;
	errno = 0;
	assert_null(link_open(&fx->options));
	assert_int_equal(errno, error);
}

static void test_refused(void **state)
{
	struct fixture *fx = *state;
	int fd;

	expect_refused(fx, "lo", EINVAL);
	fd = open_tun("ptest1", IFF_TAP);
	expect_refused(fx, "ptest1", EBUSY);
	fx->options.queues = fx->options.queues_min = 2;
	expect_refused(fx, "ptest1", EINVAL);
	fx->options.queues = fx->options.queues_min = 1;
	close(fd);
	fd = open_tun("ptest2", IFF_TUN);
	expect_refused(fx, "ptest2", EINVAL);
	close(fd);
}

/* Neither root nor owner. */
static void test_no_rights(void **state)
{
	struct fixture *fx = *state;
	int status, fd = open_tun("ptest3", IFF_TAP | IFF_MULTI_QUEUE);
	pid_t child;

	assert_int_equal(ioctl(fd, TUNSETOWNER, 1234), 0);
	child = fork();
	if (!child) {
		if (setgid(4321) || setuid(4321))
			_exit(1);
		fx->options.name = "ptest3";
		if (link_open(&fx->options) || errno != EPERM)
			_exit(2);
		fx->options.name = "ptest4";
		if (link_open(&fx->options) || errno != EPERM)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* The owner may, whatever he is. */
	child = fork();
	if (!child) {
		if (setgid(4321) || setuid(1234))
			_exit(1);
		fx->options.name = "ptest3";
		_exit(link_open(&fx->options) ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
}

/* A detached queue gets nothing: all flows come by the one that is left. */
static void test_queues_attach_and_detach(void **state)
{
	struct fixture *fx = *state;
	struct sockaddr_in guest = {.sin_family = AF_INET};
	int fd, i;

	fx->options.queues = fx->options.queues_min = 2;
	open_link(fx);
	set_address(fx);
	assert_int_equal(fx->link->ops->set_active(fx->link, 1, false), 0);
	assert_int_equal(fx->link->ops->set_active(fx->link, 1, false), 0);
	fd = udp_socket();
	inet_pton(AF_INET, GUEST, &guest.sin_addr);
	for (i = 0; i < 16; i++) {
		guest.sin_port = htons(7000 + i);
		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&guest, sizeof(guest)),
				 1);
		receive(fx, IPPROTO_UDP);
		assert_int_equal(fx->frame[36] << 8 | fx->frame[37], 7000 + i);
	}
	assert_int_equal(fx->link->ops->set_active(fx->link, 1, true), 0);
	assert_int_equal(fx->link->ops->set_active(fx->link, 0, false), 0);
	close(fd);
}

/* A tap that exists decides; one that does not is made for as many as wanted. */
static void test_as_many_queues_as_there_are(void **state)
{
	struct fixture *fx = *state;
	int fd = open_tun("ptest5", IFF_TAP);

	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	fx->options.name = "ptest5";
	fx->options.queues = 4;
	open_link(fx);
	assert_int_equal(fx->link->queues, 1);
	fx->link->ops->close(fx->link);
	fd = open_tun("ptest6", IFF_TAP | IFF_MULTI_QUEUE);
	fx->options.name = "ptest6";
	open_link(fx);
	assert_int_equal(fx->link->queues, 4);
	fx->link->ops->close(fx->link);
	fx->options.queues = 1;
	open_link(fx);
	assert_int_equal(fx->link->queues, 1);
	close(fd);
}

static void test_filter(void **state)
{
	struct fixture *fx = *state;
	uint8_t other[1][6] = {{0x52, 0x54, 0, 9, 9, 9}}, own[1][6];
	struct link_filter filter = {.count = 1, .address = other};
	struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(6666)};
	struct iovec pieces[3] = {{&fx->header, sizeof(fx->header)},
				  {fx->frame, sizeof(fx->frame)}};
	ssize_t bytes;
	int fd;

	open_link(fx);
	set_address(fx);
	fd = udp_socket();
	inet_pton(AF_INET, GUEST, &guest.sin_addr);
	fx->link->ops->set_filter(fx->link, &filter);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&guest, sizeof(guest)), 1);
	while ((bytes = fx->link->ops->receive(fx->link, 0, pieces, 2, 12 + 70000)) > 0)
		assert_false(fx->frame[12] == 8 && fx->frame[23] == IPPROTO_UDP &&
			     !memcmp(fx->frame, guest_mac, 6));
	assert_int_equal(bytes, -EAGAIN);
	memcpy(own[0], guest_mac, 6);
	filter.address = own;
	fx->link->ops->set_filter(fx->link, &filter);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&guest, sizeof(guest)), 1);
	receive(fx, IPPROTO_UDP);
	close(fd);
}

static void test_mtu(void **state)
{
	struct fixture *fx = *state;

	fx->options.mtu = 4000;
	open_link(fx);
	assert_int_equal(fx->link->mtu, 4000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ping),
		TEST(test_checksums_are_passed_on),
		TEST(test_too_large_is_said),
		TEST(test_state_follows_the_interface),
		TEST(test_refused),
		TEST(test_no_rights),
		TEST(test_queues_attach_and_detach),
		TEST(test_as_many_queues_as_there_are),
		TEST(test_filter),
		TEST(test_mtu),
	};

	log_open("tap_link", false);
	if (access("/dev/net/tun", R_OK | W_OK) || unshare(CLONE_NEWNET)) {
		puts("1..0 # SKIP needs root and /dev/net/tun, for a network namespace with a tap");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
