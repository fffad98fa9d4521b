// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * xdp INTERFACE pass|drop|tx|redirect|none: an XDP program of two instructions for the interface, which stays until "none"
 * takes it away; redirect sends to the interface itself. In a guest under test there is no libbpf.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "xdp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct bpf_insn set(uint8_t reg, int32_t value)
{
	return (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = value};
}

static int load(const struct bpf_insn *program, size_t count)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = count,
		.license = (uintptr_t) "Dual MIT/GPL",
	};
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		fail("the program is not loaded");
	return fd;
}

static int answer(int action)
{
	const struct bpf_insn program[] = {set(BPF_REG_0, action), {.code = BPF_JMP | BPF_EXIT}};

	return load(program, 2);
}

static int redirect(unsigned int interface)
{
	const struct bpf_insn program[] = {
		set(BPF_REG_1, interface),
		set(BPF_REG_2, 0),
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return load(program, 4);
}

static void attach(unsigned int interface, int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
		struct rtattr xdp, value;
		int32_t fd;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_SETLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)interface},
		.xdp = {.rta_len = 2 * sizeof(struct rtattr) + 4, .rta_type = IFLA_XDP | NLA_F_NESTED},
		.value = {.rta_len = sizeof(struct rtattr) + 4, .rta_type = IFLA_XDP_FD},
		.fd = fd,
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char more[4096];
	} reply;
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (netlink < 0 || send(netlink, &request, sizeof(request), 0) < 0 ||
	    recv(netlink, &reply, sizeof(reply), 0) < (ssize_t)(sizeof(reply.head) + sizeof(int)))
		fail("netlink");
	errno = -reply.error.error;
	if (errno)
		fail("the interface does not take the program");
	close(netlink);
}

int main(int argc, char **argv)
{
	unsigned int interface = argc == 3 ? if_nametoindex(argv[1]) : 0;
	const char *action = interface ? argv[2] : "";

	if (strcmp(action, "pass") == 0)
		attach(interface, answer(XDP_PASS));
	else if (strcmp(action, "drop") == 0)
		attach(interface, answer(XDP_DROP));
	else if (strcmp(action, "tx") == 0)
		attach(interface, answer(XDP_TX));
	else if (strcmp(action, "redirect") == 0)
		attach(interface, redirect(interface));
	else if (strcmp(action, "none") == 0)
		attach(interface, -1);
	else
		return fprintf(stderr, "usage: xdp INTERFACE pass|drop|tx|redirect|none\n"), 2;
	return 0;
}
