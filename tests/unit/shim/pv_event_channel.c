// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Event channels as bookkeeping: which port exists in which state, what each call answers, and who is
 * told. Catalogue of robustness: 48 (ports exhausted, then bind; reset).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/hypercall.h"
#include "hypervisor-shim/pv/event_channel.h"

#define GUEST   1
#define BACKEND 0
#define VCPUS   4
#define OWNER   5

static struct event_channels c;

static struct {
	unsigned int raised[EVENT_CHANNEL_PORTS];
	unsigned int wired, closed;
	uint16_t owner;
	uint32_t port;
} seen;

/* Descriptors are open whenever the wiring looks at them, also at the end. */
static void wire(struct event_channels *channels, uint32_t port)
{
	const struct event_port *p = &channels->port[port];
	const int fds[] = {p->from_guest, p->to_guest};

	seen.wired++;
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			assert_true(dup2(fds[i], fds[i]) == fds[i]);
}

static void raise_port(struct event_channels *channels, uint32_t port)
{
	seen.raised[port]++;
}

static void closed(struct event_channels *channels, uint16_t owner, uint32_t port)
{
	seen.closed++;
	seen.owner = owner;
	seen.port = port;
}

static const struct event_channel_ops ops = {
	.wire = wire,
	.raise = raise_port,
	.closed = closed,
};

static int setup(void **state)
{
	memset(&seen, 0, sizeof(seen));
	event_channels_init(&c, &ops, GUEST, BACKEND, VCPUS);
	return 0;
}

static int teardown(void **state)
{
	event_channels_close(&c);
	for (uint32_t i = 0; i < EVENT_CHANNEL_PORTS; i++) {
		assert_int_equal(c.port[i].state, EVENT_CHANNEL_CLOSED);
		assert_int_equal(c.port[i].from_guest, -1);
		assert_int_equal(c.port[i].to_guest, -1);
	}
	return 0;
}

static uint32_t unbound(uint16_t remote)
{
	struct event_channel_alloc_unbound args = {DOMAIN_SELF, remote, 0};

	assert_int_equal(event_channel_alloc_unbound(&c, &args), 0);
	return args.port;
}

static struct event_channel_status status(uint32_t port)
{
	struct event_channel_status args = {.domain = DOMAIN_SELF, .port = port};

	assert_int_equal(event_channel_status(&c, &args), 0);
	return args;
}

static bool readable(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void ports_are_given_out_lowest_first(void **state)
{
	assert_int_equal(unbound(BACKEND), 1);
	assert_int_equal(unbound(BACKEND), 2);
	assert_int_equal(unbound(BACKEND), 3);
	assert_int_equal(event_channel_close(&c, 2), 0);
	assert_int_equal(unbound(BACKEND), 2);
	assert_int_equal(unbound(BACKEND), 4);
}

static void domains_are_checked(void **state)
{
	struct event_channel_alloc_unbound a = {BACKEND, BACKEND, 0};
	struct event_channel_bind_interdomain b = {.remote_domain = 7, .remote_port = 1};
	struct event_channel_status s = {.domain = BACKEND, .port = 1};
	struct event_channel_reset r = {BACKEND};

	assert_int_equal(event_channel_alloc_unbound(&c, &a), -EPERM);
	a.domain = 9;
	assert_int_equal(event_channel_alloc_unbound(&c, &a), -ESRCH);
	a.domain = GUEST;
	a.remote_domain = 9;
	assert_int_equal(event_channel_alloc_unbound(&c, &a), -ESRCH);
	assert_int_equal(event_channel_bind_interdomain(&c, &b), -ESRCH);
	b.remote_domain = BACKEND;
	assert_int_equal(event_channel_bind_interdomain(&c, &b), -EINVAL);
	assert_int_equal(event_channel_status(&c, &s), -EPERM);
	assert_int_equal(event_channel_reset(&c, &r), -EPERM);
}

static void a_back_end_binds(void **state)
{
	uint32_t port = unbound(BACKEND);

	assert_int_equal(status(port).state, EVENT_CHANNEL_UNBOUND);
	assert_int_equal(event_channel_send(&c, port), 0); /* nobody hears it */
	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	assert_int_equal(status(port).state, EVENT_CHANNEL_INTERDOMAIN);
	assert_int_equal(status(port).u.interdomain.domain, BACKEND);
	assert_true(readable(c.port[port].from_guest)); /* born notified */
	assert_false(readable(c.port[port].from_guest));
	assert_int_equal(event_channel_send(&c, port), 0);
	assert_true(readable(c.port[port].from_guest));

	assert_int_equal(event_channel_bind_backend(&c, OWNER + 1, port), -EBUSY);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0); /* it came back */
	assert_true(readable(c.port[port].from_guest));
	assert_int_equal(event_channel_unbind_backend(&c, OWNER + 1, port), -ENOENT);
	assert_int_equal(event_channel_unbind_backend(&c, OWNER, port), 0);
	assert_int_equal(status(port).state, EVENT_CHANNEL_UNBOUND);
	assert_int_equal(event_channel_bind_backend(&c, OWNER + 1, port), 0);
}

static void back_ends_bind_nothing_else(void **state)
{
	struct event_channel_bind_ipi ipi = {.vcpu = 1};
	int fixed = event_channel_bind_fixed(&c);

	assert_true(fixed > 0);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, (uint32_t)fixed), -ENOENT);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, 0), -ENOENT);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, 100), -ENOENT);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, UINT32_MAX), -ENOENT);
	assert_int_equal(event_channel_unbind_backend(&c, OWNER, UINT32_MAX), -ENOENT);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, unbound(GUEST)), -ENOENT);
	assert_int_equal(event_channel_bind_ipi(&c, &ipi), 0);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, ipi.port), -ENOENT);
}

/* A late UNBIND must not hit whoever got the number next. */
static void a_closed_port_lingers_for_its_back_end(void **state)
{
	uint32_t port = unbound(BACKEND);

	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	assert_int_equal(event_channel_close(&c, port), 0);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(seen.owner, OWNER);
	assert_int_equal(seen.port, port);
	assert_int_equal(status(port).state, EVENT_CHANNEL_CLOSED);
	assert_int_equal(event_channel_close(&c, port), -EINVAL);
	assert_int_not_equal(unbound(BACKEND), port);
	assert_int_equal(event_channel_unbind_backend(&c, OWNER + 1, port), -ENOENT);
	assert_int_equal(event_channel_unbind_backend(&c, OWNER, port), 0);
	assert_int_equal(unbound(BACKEND), port);
}

static void a_loop_in_the_guest(void **state)
{
	uint32_t far = unbound(DOMAIN_SELF), wrong = unbound(BACKEND);
	struct event_channel_bind_interdomain b = {.remote_domain = GUEST, .remote_port = wrong};
	uint32_t near;

	assert_int_equal(event_channel_bind_interdomain(&c, &b), -EINVAL);
	b.remote_port = 0;
	assert_int_equal(event_channel_bind_interdomain(&c, &b), -EINVAL);
	b.remote_port = far;
	assert_int_equal(event_channel_bind_interdomain(&c, &b), 0);
	near = b.local_port;
	assert_int_equal(seen.raised[near], 1); /* pending at once */
	assert_int_equal(event_channel_bind_interdomain(&c, &b), -EINVAL);
	assert_int_equal(event_channel_send(&c, near), 0);
	assert_int_equal(seen.raised[far], 1);
	assert_int_equal(event_channel_send(&c, far), 0);
	assert_int_equal(seen.raised[near], 2);
	assert_int_equal(status(far).u.interdomain.port, near);
	assert_int_equal(event_channel_close(&c, near), 0);
	assert_int_equal(status(far).state, EVENT_CHANNEL_UNBOUND);
	assert_int_equal(seen.closed, 0);
}

static void virtual_interrupts(void **state)
{
	struct event_channel_bind_virq v = {VIRTUAL_IRQ_TIMER, 3, 0};
	struct event_channel_bind_vcpu to = {.vcpu = 1};

	assert_int_equal(event_channel_bind_virq(&c, &v), 0);
	assert_int_equal(event_channel_bind_virq(&c, &v), -EEXIST);
	assert_int_equal(status(v.port).u.virq, VIRTUAL_IRQ_TIMER);
	assert_int_equal(status(v.port).vcpu, 3);
	assert_int_equal(event_channel_send(&c, v.port), -EINVAL);
	event_channel_raise_virq(&c, VIRTUAL_IRQ_TIMER, 3);
	event_channel_raise_virq(&c, VIRTUAL_IRQ_TIMER, 2); /* not bound */
	assert_int_equal(seen.raised[v.port], 1);
	to.port = v.port;
	assert_int_equal(event_channel_bind_vcpu(&c, &to), -EINVAL); /* a vCPU's own */
	v.vcpu = VCPUS;
	assert_int_equal(event_channel_bind_virq(&c, &v), -ENOENT);
	v = (struct event_channel_bind_virq){VIRTUAL_IRQ_CONSOLE, 1, 0};
	assert_int_equal(event_channel_bind_virq(&c, &v), -EINVAL); /* global */
	v.vcpu = 0;
	assert_int_equal(event_channel_bind_virq(&c, &v), 0);
	to.port = v.port;
	assert_int_equal(event_channel_bind_vcpu(&c, &to), 0);
	assert_int_equal(status(v.port).vcpu, 1);
	event_channel_raise_virq(&c, VIRTUAL_IRQ_CONSOLE, 0);
	assert_int_equal(seen.raised[v.port], 1);
	v.virq = VIRTUAL_IRQS;
	assert_int_equal(event_channel_bind_virq(&c, &v), -EINVAL);
}

static void interrupts_between_vcpus(void **state)
{
	struct event_channel_bind_ipi ipi = {.vcpu = 2};
	struct event_channel_bind_vcpu to = {.vcpu = 1};

	assert_int_equal(event_channel_bind_ipi(&c, &ipi), 0);
	assert_int_equal(event_channel_send(&c, ipi.port), 0);
	assert_int_equal(seen.raised[ipi.port], 1);
	assert_int_equal(status(ipi.port).state, EVENT_CHANNEL_IPI);
	assert_int_equal(status(ipi.port).vcpu, 2);
	to.port = ipi.port;
	assert_int_equal(event_channel_bind_vcpu(&c, &to), -EINVAL);
	to.vcpu = VCPUS;
	assert_int_equal(event_channel_bind_vcpu(&c, &to), -ENOENT);
	ipi.vcpu = VCPUS;
	assert_int_equal(event_channel_bind_ipi(&c, &ipi), -ENOENT);
}

static void ports_that_are_none(void **state)
{
	const uint32_t bad[] = {0, 1, EVENT_CHANNEL_PORTS, UINT32_MAX};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct event_channel_bind_vcpu to = {bad[i], 0};
		struct event_channel_status s = {.domain = DOMAIN_SELF, .port = bad[i]};

		assert_int_equal(event_channel_send(&c, bad[i]), -EINVAL);
		assert_int_equal(event_channel_close(&c, bad[i]), -EINVAL);
		assert_int_equal(event_channel_unmask(&c, bad[i]), -EINVAL);
		assert_int_equal(event_channel_bind_vcpu(&c, &to), -EINVAL);
		assert_int_equal(event_channel_status(&c, &s), bad[i] == 1 ? 0 : -EINVAL);
	}
	assert_int_equal(event_channel_unmask(&c, unbound(BACKEND)), 0);
}

static void ports_can_be_exhausted(void **state)
{
	struct event_channel_alloc_unbound a = {DOMAIN_SELF, BACKEND, 0};
	struct event_channel_bind_virq v = {VIRTUAL_IRQ_TIMER, 0, 0};
	struct event_channel_bind_ipi i = {0};
	struct event_channel_reset r = {DOMAIN_SELF};
	uint32_t loop = unbound(DOMAIN_SELF);
	struct event_channel_bind_interdomain b = {.remote_domain = GUEST, .remote_port = loop};

	for (uint32_t port = 2; port < EVENT_CHANNEL_PORTS; port++)
		assert_int_equal(unbound(BACKEND), port);
	assert_int_equal(event_channel_alloc_unbound(&c, &a), -ENOSPC);
	assert_int_equal(event_channel_bind_virq(&c, &v), -ENOSPC);
	assert_int_equal(event_channel_bind_ipi(&c, &i), -ENOSPC);
	assert_int_equal(event_channel_bind_interdomain(&c, &b), -ENOSPC);
	assert_int_equal(status(loop).state, EVENT_CHANNEL_UNBOUND);
	assert_int_equal(event_channel_reset(&c, &r), 0);
	assert_int_equal(unbound(BACKEND), 1);
}

static void a_reset_spares_what_is_fixed(void **state)
{
	struct event_channel_reset r = {GUEST};
	uint32_t fixed = (uint32_t)event_channel_bind_fixed(&c), port = unbound(BACKEND);

	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	assert_int_equal(event_channel_close(&c, fixed), -EINVAL);
	assert_int_equal(event_channel_reset(&c, &r), 0);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(status(fixed).state, EVENT_CHANNEL_INTERDOMAIN);
	assert_int_equal(event_channel_send(&c, fixed), 0);
	assert_true(readable(c.port[fixed].from_guest));
	port = unbound(BACKEND);
	assert_int_equal(port, 3); /* 2 lingers */
	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	event_channels_reset(&c); /* the guest's own reset: back-ends are told otherwise */
	assert_int_equal(seen.closed, 1);
	assert_int_equal(unbound(BACKEND), 2);
}

static int refused_eventfds;

int eventfd(unsigned int count, int flags)
{
	if (refused_eventfds) {
		refused_eventfds--;
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_eventfd2, count, flags);
}

static int lowest_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* One that gets free meanwhile is not taken by the second, which nobody would close. */
static void a_lack_of_descriptors_leaves_none(void **state)
{
	uint32_t port = unbound(BACKEND);
	int before = lowest_descriptor();

	refused_eventfds = 1;
	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), -EMFILE);
	assert_int_equal(lowest_descriptor(), before);
	refused_eventfds = 0;
	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
}

static void all_of_an_owner(void **state)
{
	uint32_t port[3];

	for (int i = 0; i < 3; i++) {
		port[i] = unbound(BACKEND);
		assert_int_equal(
			event_channel_bind_backend(&c, i == 1 ? OWNER + 1 : OWNER, port[i]), 0);
	}
	event_channel_unbind_owner(&c, OWNER);
	assert_int_equal(status(port[0]).state, EVENT_CHANNEL_UNBOUND);
	assert_int_equal(status(port[1]).state, EVENT_CHANNEL_INTERDOMAIN);
	assert_int_equal(status(port[2]).state, EVENT_CHANNEL_UNBOUND);
}

/* It shares the flags of the open files. The alarm ends the program where a call waits. */
static void a_back_end_cannot_make_us_wait(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	uint32_t port = unbound(BACKEND);
	int from;

	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	from = c.port[port].from_guest;
	assert_true(readable(from));
	fcntl(from, F_SETFL, 0);
	fcntl(c.port[port].to_guest, F_SETFL, 0);
	assert_int_equal(write(from, &full, sizeof(full)), sizeof(full));
	alarm(10);
	assert_false(msix_drain(c.port[port].to_guest));
	assert_int_equal(event_channel_send(&c, port), 0);
	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	alarm(0);
	assert_true(readable(c.port[port].from_guest));
}

#define RACES  20000
#define RACE_S 2 /* on a busy machine each round waits for its turns */

static struct {
	int fd;
	atomic_bool over; /* when the next round begins */
	atomic_uint begun, ended; /* rounds */
} racer;

static void await(atomic_uint *rounds, unsigned int round)
{
	while (atomic_load(rounds) < round)
		sched_yield();
}

static void *fill(void *unused)
{
	const uint64_t full = UINT64_MAX - 1;

	for (unsigned int i = 1;; i++) {
		await(&racer.begun, i);
		if (racer.over)
			return NULL;
		if (write(racer.fd, &full, sizeof(full)) != sizeof(full))
			abort();
		atomic_store(&racer.ended, i);
	}
}

/* In each round it fills the empty counter while the guest sends; then it is emptied for the next one. */
static void nor_can_one_that_is_fast(void **state)
{
	const time_t until = time(NULL) + RACE_S;
	uint32_t port = unbound(BACKEND);
	pthread_t thread;
	unsigned int i;

	assert_int_equal(event_channel_bind_backend(&c, OWNER, port), 0);
	racer.fd = c.port[port].from_guest;
	assert_true(readable(racer.fd));
	fcntl(racer.fd, F_SETFL, 0);
	alarm(60);
	assert_int_equal(pthread_create(&thread, NULL, fill, NULL), 0);
	for (i = 1; i <= RACES && time(NULL) < until; i++) {
		atomic_store(&racer.begun, i);
		assert_int_equal(event_channel_send(&c, port), 0);
		while (atomic_load(&racer.ended) < i || msix_drain(racer.fd))
			msix_drain(racer.fd);
	}
	racer.over = true;
	atomic_store(&racer.begun, i);
	pthread_join(thread, NULL);
	alarm(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_are_given_out_lowest_first),
		TEST(domains_are_checked),
		TEST(a_back_end_binds),
		TEST(back_ends_bind_nothing_else),
		TEST(a_closed_port_lingers_for_its_back_end),
		TEST(a_loop_in_the_guest),
		TEST(virtual_interrupts),
		TEST(interrupts_between_vcpus),
		TEST(ports_that_are_none),
		TEST(ports_can_be_exhausted),
		TEST(a_reset_spares_what_is_fixed),
		TEST(a_lack_of_descriptors_leaves_none),
		TEST(all_of_an_owner),
		TEST(a_back_end_cannot_make_us_wait),
		TEST(nor_can_one_that_is_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
