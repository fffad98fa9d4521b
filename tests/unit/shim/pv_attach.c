// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The server of back-ends, with real sockets: what a back-end gets, how it comes back, what stays when
 * it dies, and what hostile messages cost: the connection, and nothing else. Catalogue of robustness:
 * 26, 33, 44, 48, 49, 55.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/shim/pv_fake.h"

#include "common/log.h"
#include "hypervisor-shim/pv/attach_client.h"
#include "hypervisor-shim/pv/hypercall.h"
#include "hypervisor-shim/pv/restart.h"

#define DEVICE    "vbd/51712"
#define REFERENCE 500

static char path[] = "/tmp/pvkit-attach-XXXXXX/socket";
static atomic_uint lost;

static bool unkillable;

int pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned int flags)
{
	return unkillable ? 0 : (int)syscall(SYS_pidfd_send_signal, pidfd, sig, info, flags);
}

static void no_wire(struct event_channels *channels, uint32_t port)
{
}

static void closed(struct event_channels *channels, uint16_t owner, uint32_t port)
{
	attach_channel_closed(owner, port);
}

static const struct event_channel_ops ops = {
	.wire = no_wire,
	.raise = no_wire,
	.closed = closed,
};

static void on_lost(const char *device)
{
	assert_string_equal(device, DEVICE);
	lost++;
}

static int open_group(void **state)
{
	fake_vm_open();
	path[sizeof(path) - sizeof("/socket")] = '\0';
	if (!mkdtemp(path))
		return -1;
	path[strlen(path)] = '/';
	return 0;
}

static int close_group(void **state)
{
	path[sizeof(path) - sizeof("/socket")] = '\0';
	return rmdir(path);
}

static int setup(void **state)
{
	lost = 0;
	fake_pv.event = MACHINE_RUNNING;
	assert_int_equal(pv_state_open(&ops, 4), 0);
	assert_int_equal(attach_open(&fake_ram, on_lost), 0);
	return attach_listen(path);
}

static int teardown(void **state)
{
	struct stat status;

	attach_close();
	event_channels_close(&pv.channels);
	pv_state_close();
	assert_true(stat(path, &status) < 0); /* the socket file is gone */
	return 0;
}

static uint32_t unbound(void)
{
	struct event_channel_alloc_unbound args = {DOMAIN_SELF, PV_BACKEND, 0};

	pthread_mutex_lock(&pv.lock);
	assert_int_equal(event_channel_alloc_unbound(&pv.channels, &args), 0);
	pthread_mutex_unlock(&pv.lock);
	return args.port;
}

static uint8_t state_of(uint32_t port)
{
	uint8_t state;

	pthread_mutex_lock(&pv.lock);
	state = pv.channels.port[port].state;
	pthread_mutex_unlock(&pv.lock);
	return state;
}

static uint64_t use_of(uint32_t reference)
{
	return __atomic_load_n(&pv.grants.use[reference].word, __ATOMIC_SEQ_CST);
}

static void give(uint32_t reference)
{
	struct grant_v1 *entry = (struct grant_v1 *)pv.grants.entries + reference;

	*entry = (struct grant_v1){.flags = GRANT_PERMIT_ACCESS, .frame = 1};
}

static unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void a_back_end_gets_what_it_needs(void **state)
{
	struct peer_message message;
	struct peer peer;
	char text[6] = "";

	peer_open(&peer, DEVICE, -1);
	assert_true(attach_lives(DEVICE));
	assert_int_equal(peer_greet(&peer, NULL), 0);
	assert_int_equal(peer.welcome.magic, ATTACH_MAGIC);
	assert_int_equal(peer.welcome.guest_domain, 1);
	assert_int_equal(peer.welcome.backend_domain, 0);
	assert_int_equal(peer.welcome.owner, 1);
	assert_int_equal(peer.welcome.ports, EVENT_CHANNEL_PORTS);
	assert_int_equal(peer.table.version, 1);
	assert_int_equal(peer.table.grants, GRANT_TABLE_GRANTS_MAX);
	assert_int_equal(peer.table.size, PV_SHARED_BYTES);
	assert_int_equal(peer_ask(&peer, ATTACH_STORE, NULL, 0, &message), 0);
	assert_int_equal(message.fd_count, 1);
	assert_int_equal(read(message.fds[0], text, 5), 5);
	assert_string_equal(text, "store");
	peer_close_fds(&message);
	peer_close(&peer);
	fake_eventually(!attach_lives(DEVICE));
}

static void ports_are_bound_and_unbound(void **state)
{
	struct attach_bind bind = {.guest_port = unbound()};
	struct peer_message message;
	struct peer peer, other;
	uint64_t count;

	peer_connect(&peer, path);
	peer_greet(&peer, NULL);
	peer_connect(&other, path);
	peer_greet(&other, NULL);
	assert_int_not_equal(other.welcome.owner, peer.welcome.owner);
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	assert_int_equal(message.fd_count, 2);
	assert_int_equal(message.body.bound.guest_port, bind.guest_port);
	assert_int_equal(read(message.fds[0], &count, sizeof(count)), 8); /* born notified */
	pthread_mutex_lock(&pv.lock);
	event_channel_send(&pv.channels, bind.guest_port);
	pthread_mutex_unlock(&pv.lock);
	assert_int_equal(read(message.fds[0], &count, sizeof(count)), 8);
	peer_close_fds(&message);
	assert_int_equal(peer_ask(&other, ATTACH_BIND, &bind, sizeof(bind), &message), -EBUSY);
	assert_int_equal(message.header.size, 0);
	assert_int_equal(peer_ask(&other, ATTACH_UNBIND, &bind, sizeof(bind), &message), -ENOENT);
	assert_int_equal(peer_ask(&peer, ATTACH_UNBIND, &bind, sizeof(bind), &message), 0);
	assert_int_equal(state_of(bind.guest_port), EVENT_CHANNEL_UNBOUND);
	bind.guest_port = 4000;
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), -ENOENT);
	peer_close(&peer);
	peer_close(&other);
}

static void the_guest_closes_a_port(void **state)
{
	struct attach_bind bind = {.guest_port = unbound()};
	struct peer_message message;
	struct peer peer;

	peer_connect(&peer, path);
	peer_greet(&peer, NULL);
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	peer_close_fds(&message);
	pthread_mutex_lock(&pv.lock);
	assert_int_equal(event_channel_close(&pv.channels, bind.guest_port), 0);
	pthread_mutex_unlock(&pv.lock);
	peer_expect(&peer, ATTACH_CHANNEL_CLOSED, &message);
	assert_int_equal(message.body.bind.guest_port, bind.guest_port);
	assert_int_not_equal(unbound(), bind.guest_port);
	assert_int_equal(peer_ask(&peer, ATTACH_UNBIND, &bind, sizeof(bind), &message), 0);
	assert_int_equal(unbound(), bind.guest_port);
	/* Who is not there will not say UNBIND. */
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	peer_close_fds(&message);
	peer_close(&peer);
	pthread_mutex_lock(&pv.lock);
	assert_int_equal(event_channel_close(&pv.channels, bind.guest_port), 0);
	pthread_mutex_unlock(&pv.lock);
	fake_eventually(!pv.channels.port[bind.guest_port].lingering);
}

static void it_comes_back_by_its_cookie(void **state)
{
	struct attach_bind bind = {.guest_port = unbound()};
	uint8_t cookie[ATTACH_COOKIE_BYTES], wrong[ATTACH_COOKIE_BYTES];
	struct peer_message message;
	struct peer peer, next;
	uint64_t count;

	give(REFERENCE);
	peer_connect(&peer, path);
	peer_greet(&peer, NULL);
	memcpy(cookie, peer.welcome.cookie, sizeof(cookie));
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	assert_int_equal(read(message.fds[0], &count, sizeof(count)), 8);
	peer_close_fds(&message);
	peer_pin(&peer, REFERENCE);
	/* Nobody else may be it while it is there. */
	peer_connect(&next, path);
	{
		struct attach_hello hello = peer_hello(cookie);

		assert_int_equal(peer_ask(&next, ATTACH_HELLO, &hello, sizeof(hello), &message),
				 -EBUSY);
	}
	peer_close(&next);
	peer_close(&peer);
	/* What the guest sends meanwhile is latched; its ports and pins are there still. */
	pthread_mutex_lock(&pv.lock);
	event_channel_send(&pv.channels, bind.guest_port);
	pthread_mutex_unlock(&pv.lock);
	memcpy(wrong, cookie, sizeof(wrong));
	wrong[0] ^= 1;
	peer_connect(&next, path);
	assert_int_equal(peer_greet(&next, wrong), 0);
	assert_int_equal(peer_ask(&next, ATTACH_BIND, &bind, sizeof(bind), &message), -EBUSY);
	peer_close(&next);

	peer_connect(&peer, path);
	assert_int_equal(peer_greet(&peer, cookie), ATTACH_WELCOME_RESUMED);
	assert_int_equal(peer.ledger[REFERENCE].readers, 1);
	assert_true(use_of(REFERENCE) == 1);
	assert_memory_equal(peer.welcome.cookie, cookie, sizeof(cookie));
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	assert_int_equal(read(message.fds[0], &count, sizeof(count)), 8);
	assert_true(count == 1); /* what was latched, and that it is bound again, are one */
	peer_close_fds(&message);
	peer_close(&peer);
}

static int claim(struct peer *peer, const char *device)
{
	struct attach_claim body = {0};
	struct peer_message message;

	snprintf(body.device, sizeof(body.device), "%s", device);
	return peer_ask(peer, ATTACH_CLAIM, &body, sizeof(body), &message);
}

static void a_device_has_one_back_end(void **state)
{
	struct attach_claim unended;
	struct peer_message message;
	struct peer first, second;

	peer_connect(&first, path);
	peer_greet(&first, NULL);
	peer_connect(&second, path);
	peer_greet(&second, NULL);
	assert_int_equal(claim(&first, DEVICE), 0);
	assert_int_equal(claim(&first, DEVICE), 0);
	assert_int_equal(claim(&second, DEVICE), -EBUSY);
	assert_int_equal(claim(&second, "vif/0"), 0);
	assert_int_equal(claim(&second, ""), -EINVAL);
	assert_int_equal(claim(&second, "vif/\033[2J"), -EINVAL);
	memset(&unended, 'x', sizeof(unended));
	assert_int_equal(peer_ask(&second, ATTACH_CLAIM, &unended, sizeof(unended), &message),
			 -EINVAL);
	/* What was refused took nothing away. */
	assert_int_equal(claim(&first, "vif/0"), -EBUSY);
	/* They are of this process, which lives. */
	peer_close(&first);
	assert_int_equal(claim(&second, DEVICE), -EBUSY);
	peer_close(&second);
}

/* Connects by itself, claims @device, hangs up, and goes on. */
static pid_t start_leaver(const char *device, uint8_t cookie[ATTACH_COOKIE_BYTES])
{
	struct peer peer;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		peer_connect(&peer, path);
		peer_greet(&peer, NULL);
		if (claim(&peer, device) < 0)
			_exit(1);
		close(peer.fd);
		(void)!write(ends[1], peer.welcome.cookie, ATTACH_COOKIE_BYTES);
		pause();
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], cookie, ATTACH_COOKIE_BYTES), ATTACH_COOKIE_BYTES);
	close(ends[0]);
	return pid;
}

/* Without a connection it may have I/O in flight still: nobody serves its device, not even after a reset. */
static void a_claim_lasts_as_long_as_the_process(void **state)
{
	struct attach_release release;
	struct peer_message message;
	pid_t pid = start_leaver("vbd/51728", release.cookie);
	struct peer next;

	peer_connect(&next, path);
	peer_greet(&next, NULL);
	assert_int_equal(claim(&next, "vbd/51728"), -EBUSY);
	assert_int_equal(peer_ask(&next, ATTACH_RELEASE, &release, sizeof(release), &message),
			 -EBUSY);
	pthread_mutex_lock(&pv.lock);
	attach_forget_absent();
	pthread_mutex_unlock(&pv.lock);
	assert_int_equal(claim(&next, "vbd/51728"), -EBUSY);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fake_eventually(claim(&next, "vbd/51728") == 0);
	assert_int_equal(lost, 0);
	peer_close(&next);
}

/* The claim of a back-end that the shim started is there before it says so, and until it has ended. */
static void a_daemons_device_is_its_own(void **state)
{
	pid_t pid = fork();
	struct peer daemon, other;

	if (!pid) {
		pause();
		_exit(0);
	}
	peer_open(&daemon, DEVICE, pidfd_open(pid, 0));
	peer_connect(&other, path);
	peer_greet(&other, NULL);
	assert_int_equal(claim(&other, DEVICE), -EBUSY);
	peer_greet(&daemon, NULL);
	assert_int_equal(claim(&daemon, DEVICE), 0);
	peer_close(&daemon);
	assert_int_equal(claim(&other, DEVICE), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fake_eventually(claim(&other, DEVICE) == 0);
	peer_close(&other);
}

static void release_frees_what_a_dead_one_left(void **state)
{
	struct attach_bind bind = {.guest_port = unbound()};
	struct attach_release release;
	struct peer_message message;
	struct peer peer, next;

	give(REFERENCE);
	peer_open(&peer, NULL, -1); /* a process that cannot be seen */
	peer_greet(&peer, NULL);
	memcpy(release.cookie, peer.welcome.cookie, sizeof(release.cookie));
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	peer_close_fds(&message);
	peer_pin(&peer, REFERENCE);
	peer_connect(&next, path);
	peer_greet(&next, NULL);
	assert_int_equal(peer_ask(&next, ATTACH_RELEASE, &release, sizeof(release), &message),
			 -EBUSY);
	peer_close(&peer);
	fake_eventually(peer_ask(&next, ATTACH_RELEASE, &release, sizeof(release), &message) == 0);
	assert_true(use_of(REFERENCE) == 0);
	assert_int_equal(((struct grant_v1 *)pv.grants.entries)[REFERENCE].flags,
			 GRANT_PERMIT_ACCESS);
	assert_int_equal(peer_ask(&next, ATTACH_RELEASE, &release, sizeof(release), &message),
			 -ENOENT);
	assert_int_equal(peer_ask(&next, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	peer_close_fds(&message);
	peer_close(&next);
}

static bool is_absent(uint16_t owner)
{
	const struct client *client;
	bool absent;

	pthread_mutex_lock(&pv.lock);
	client = client_by_owner(owner);
	absent = client && !client_attached(client);
	pthread_mutex_unlock(&pv.lock);
	return absent;
}

/* ---- a vCPU that makes calls meanwhile -------------------------------------------------------- */

#define CALL_AT    0x10000u
#define LONGEST_MS 2000 /* of one call: up to 60 ms, five times as much under a sanitizer */

static struct {
	atomic_bool goes_on;
	atomic_uint calls;
	_Atomic int64_t longest_ns;
} vcpu;

static int64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void *call_and_call(void *unused)
{
	const struct event_channel_status args = {.domain = DOMAIN_SELF, .port = 1};
	int64_t begun, took;

	memcpy(guest_memory_at(vm_memory(), CALL_AT, sizeof(args)), &args, sizeof(args));
	while (vcpu.goes_on) {
		begun = now_ns();
		if (hypercall_event_channel_op(EVENT_CHANNEL_OP_STATUS, CALL_AT))
			abort();
		took = now_ns() - begun;
		if (took > vcpu.longest_ns)
			vcpu.longest_ns = took;
		vcpu.calls++;
	}
	return NULL;
}

/* A pin of each grant; or, with @lock_of, nonsense under locks of one that does not let go of them. */
static void fill_ledger(struct peer *peer, uint16_t lock_of)
{
	for (uint32_t i = 0; i < GRANT_TABLE_GRANTS_MAX; i++) {
		peer_pin(peer, i);
		if (!lock_of)
			continue;
		peer->use[i].word |= (uint64_t)lock_of << ATTACH_USE_LOCK_SHIFT;
		peer->ledger[i] = (struct attach_grant_ledger){UINT32_MAX, UINT32_MAX};
	}
}

static void dies_with_a_full_ledger(uint16_t lock_of)
{
	pid_t pid = fork();
	struct peer daemon;
	pthread_t thread;
	unsigned int calls;

	if (!pid) {
		pause();
		_exit(0);
	}
	peer_open(&daemon, DEVICE, pidfd_open(pid, 0));
	peer_greet(&daemon, NULL);
	fill_ledger(&daemon, lock_of);
	vcpu.longest_ns = 0;
	vcpu.goes_on = true;
	assert_int_equal(pthread_create(&thread, NULL, call_and_call, NULL), 0);
	fake_eventually(vcpu.calls > 0);
	peer_close(&daemon);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fake_eventually(!use_of(GRANT_TABLE_GRANTS_MAX - 1));
	calls = vcpu.calls;
	fake_eventually(vcpu.calls > calls);
	vcpu.goes_on = false;
	pthread_join(thread, NULL);
	assert_true(vcpu.longest_ns < LONGEST_MS * 1000000LL);
}

/* The alarm ends the program where the shim is at it for ever. */
static void a_full_ledger_delays_nobody(void **state)
{
	struct peer other;

	alarm(60);
	peer_connect(&other, path);
	peer_greet(&other, NULL);
	dies_with_a_full_ledger(0);
	peer_pin(&other, REFERENCE);
	dies_with_a_full_ledger(0);
	/* What another one has pinned is pinned, and nothing else. */
	for (uint32_t i = 0; i < GRANT_TABLE_GRANTS_MAX; i++)
		assert_int_equal(use_of(i), i == REFERENCE);
	dies_with_a_full_ledger((uint16_t)other.welcome.owner);
	alarm(0);
	peer_close(&other);
}

/* The socket alone says nothing: the process may have I/O in flight. */
static void a_daemons_pins_last_as_long_as_its_process(void **state)
{
	const uint64_t locked = 1ULL << ATTACH_USE_LOCK_SHIFT | 1; /* its owner is 1 */
	struct attach_bind bind = {.guest_port = unbound()};
	struct peer_message message;
	pid_t pid = fork();
	struct peer peer, other;

	if (!pid) {
		pause();
		_exit(0);
	}
	give(REFERENCE);
	peer_open(&peer, DEVICE, pidfd_open(pid, 0));
	peer_greet(&peer, NULL);
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	peer_close_fds(&message);
	peer_pin(&peer, REFERENCE);
	/* Counts that no ledger knows, with a lock and without: its threads are in between. */
	__atomic_store_n(&peer.use[REFERENCE + 1].word, 3, __ATOMIC_SEQ_CST);
	__atomic_store_n(&peer.use[REFERENCE + 2].word, locked, __ATOMIC_SEQ_CST);
	peer_close(&peer);
	fake_eventually(!attach_lives(DEVICE));
	/* Nor may the end of another one, whose process cannot be seen, disturb them. */
	peer_open(&other, NULL, -1);
	peer_greet(&other, NULL);
	peer_pin(&other, REFERENCE);
	peer_close(&other);
	fake_eventually(is_absent(2));
	assert_true(use_of(REFERENCE) == 2);
	assert_true(use_of(REFERENCE + 1) == 3);
	assert_true(use_of(REFERENCE + 2) == locked);
	assert_int_equal(state_of(bind.guest_port), EVENT_CHANNEL_INTERDOMAIN);
	assert_int_equal(lost, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fake_eventually(lost == 1);
	assert_true(use_of(REFERENCE) == 1); /* of the other one */
	assert_true(use_of(REFERENCE + 1) == 0); /* nobody lives: recounted */
	assert_true(use_of(REFERENCE + 2) == 0);
	assert_int_equal(state_of(bind.guest_port), EVENT_CHANNEL_UNBOUND);
}

/* A process that connected by itself: it is told its port and ends when it is killed. */
static pid_t start_peer(uint64_t features, uint32_t port)
{
	struct attach_hello hello = peer_hello(NULL);
	struct attach_bind bind = {.guest_port = port};
	struct peer_message message;
	struct peer peer;
	pid_t pid = fork();

	if (pid)
		return pid;
	peer_connect(&peer, path);
	hello.features |= features;
	assert_int_equal(peer_ask(&peer, ATTACH_HELLO, &hello, sizeof(hello), &message), 0);
	do
		peer_receive(&peer, &message);
	while (message.header.type != ATTACH_READY);
	assert_int_equal(peer_ask(&peer, ATTACH_BIND, &bind, sizeof(bind), &message), 0);
	pause();
	_exit(0);
}

/* Whoever attached by itself leaves nothing when it is killed, unless it wished to. */
static void what_a_killed_process_held_is_free(void **state)
{
	static const uint64_t features[] = {0, 1ULL << ATTACH_F_RESUME};
	uint8_t left[] = {EVENT_CHANNEL_UNBOUND, EVENT_CHANNEL_INTERDOMAIN};

	for (unsigned int i = 0; i < 2; i++) {
		uint32_t port = unbound();
		pid_t pid = start_peer(features[i], port);

		fake_eventually(state_of(port) == EVENT_CHANNEL_INTERDOMAIN);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fake_eventually(state_of(port) == left[i]);
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		assert_int_equal(state_of(port), left[i]);
	}
	assert_int_equal(lost, 0);
}

static bool never(void)
{
	return false;
}

static bool at_once(void)
{
	return true;
}

static void *tell_reset(void *give_up)
{
	bool told;

	pthread_mutex_lock(&pv.lock);
	told = attach_tell_reset(give_up ? at_once : never);
	pthread_mutex_unlock(&pv.lock);
	return (void *)(uintptr_t)told;
}

static void a_reset_waits_for_all(void **state)
{
	struct peer_message message;
	struct peer a, b, bad;
	pthread_t thread;
	void *told;

	peer_connect(&a, path);
	peer_greet(&a, NULL);
	peer_connect(&b, path);
	peer_greet(&b, NULL);
	peer_connect(&bad, path);
	peer_greet(&bad, NULL);
	pthread_create(&thread, NULL, tell_reset, NULL);
	peer_expect(&a, ATTACH_GUEST_RESET, &message);
	peer_ack(&a, &message);
	peer_expect(&bad, ATTACH_GUEST_RESET, &message);
	peer_send(&bad, ATTACH_GUEST_RESET, ATTACH_FLAG_ANSWER, message.header.sequence, -EBUSY,
		  NULL, 0);
	peer_gone(&bad); /* it cannot be refused */
	peer_expect(&b, ATTACH_GUEST_RESET, &message);
	peer_close(&b); /* dies before it answers: nobody waits for it */
	pthread_join(thread, &told);
	assert_true(told);
	assert_int_equal(pv.generation, 1);
	/* A machine that ends waits for nobody. */
	pthread_create(&thread, NULL, tell_reset, path);
	pthread_join(thread, &told);
	assert_false(told);
	peer_close(&a);
	pv.generation = 0;
}

/* Its worker may write into the guest's memory for as long as it lives: the new guest comes after. */
static void a_machine_reset_ends_who_is_late(void **state)
{
	pid_t pid = fork();
	struct peer peer;
	siginfo_t ended = {0};

	if (!pid) {
		pause();
		_exit(0);
	}
	give(REFERENCE);
	peer_open(&peer, DEVICE, pidfd_open(pid, 0));
	peer_greet(&peer, NULL);
	peer_pin(&peer, REFERENCE);
	shutdown(peer.fd, SHUT_RDWR);
	fake_eventually(!attach_lives(DEVICE));
	pthread_mutex_lock(&pv.lock);
	restart_machine();
	waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT);
	kill(pid, SIGKILL);
	pthread_mutex_unlock(&pv.lock);
	waitpid(pid, NULL, 0);
	assert_int_equal(ended.si_pid, pid);
	fake_eventually(lost == 1);
	assert_true(use_of(REFERENCE) == 0);
	peer_close(&peer);
	pv.generation = 0;
}

/* It cannot be killed, as where its storage hangs. The user ends the machine, and nothing is wiped. */
static void an_end_waits_for_nobody_who_is_late(void **state)
{
	pid_t pid = fork();
	struct peer peer;
	bool attached;

	if (!pid) {
		pause();
		_exit(0);
	}
	give(REFERENCE);
	peer_open(&peer, DEVICE, pidfd_open(pid, 0));
	peer_greet(&peer, NULL);
	peer_pin(&peer, REFERENCE);
	pthread_mutex_lock(&pv.lock);
	unkillable = true;
	machine_request(MACHINE_SIGNAL);
	restart_machine(); /* it is attached, and says nothing */
	attached = attach_clients[0] && client_attached(attach_clients[0]);
	pthread_mutex_unlock(&pv.lock);
	assert_true(attached);
	assert_true(use_of(REFERENCE) == 1);
	shutdown(peer.fd, SHUT_RDWR);
	fake_eventually(!attach_lives(DEVICE));
	pthread_mutex_lock(&pv.lock);
	restart_machine();
	unkillable = false;
	pthread_mutex_unlock(&pv.lock);
	assert_true(use_of(REFERENCE) == 1);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(lost, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fake_eventually(lost == 1);
	peer_close(&peer);
	pv.generation = 0;
}

/* A back-end that lives on for a moment puts its pins back by itself. */
static void the_end_leaves_pins_alone(void **state)
{
	struct peer peer;

	give(REFERENCE);
	peer_open(&peer, DEVICE, -1);
	peer_greet(&peer, NULL);
	peer_pin(&peer, REFERENCE);
	attach_close();
	assert_int_equal(peer.ledger[REFERENCE].readers, 1);
	assert_true(use_of(REFERENCE) == 1);
	peer_gone(&peer);
	peer_close(&peer);
}

/* ---- hostile ---------------------------------------------------------------------------------- */

static void hostile_greetings(void **state)
{
	struct attach_hello hello = peer_hello(NULL), bad;
	struct attach_bind bind = {1, 0};
	struct peer_message message;
	struct peer peer;

	bad = hello;
	bad.magic++;
	peer_connect(&peer, path);
	peer_send(&peer, ATTACH_HELLO, 0, 0, 0, &bad, sizeof(bad));
	peer_gone(&peer);
	bad = hello;
	bad.version_major = 0;
	peer_connect(&peer, path);
	assert_int_equal(peer_ask(&peer, ATTACH_HELLO, &bad, sizeof(bad), &message), -EPROTO);
	peer_gone(&peer);
	/* A newer one speaks ours too; and what it adds behind its struct is not looked at. */
	{
		struct {
			struct attach_hello hello;
			uint8_t more[64];
		} newer = {.hello = hello};

		newer.hello.version_major = 3;
		newer.hello.version_minor = 9;
		memset(newer.more, 0xff, sizeof(newer.more));
		peer_connect(&peer, path);
		assert_int_equal(peer_ask(&peer, ATTACH_HELLO, &newer, sizeof(newer), &message), 0);
		assert_int_equal(message.body.welcome.version_major, ATTACH_VERSION_MAJOR);
		assert_int_equal(message.body.welcome.version_minor, ATTACH_VERSION_MINOR);
		peer_close(&peer);
	}
	peer_connect(&peer, path);
	peer_send(&peer, ATTACH_BIND, 0, 0, 0, &bind, sizeof(bind));
	peer_gone(&peer);
	peer_connect(&peer, path);
	peer_send(&peer, ATTACH_HELLO, 0, 0, 0, &hello, sizeof(hello) - 1);
	peer_gone(&peer);
	peer_connect(&peer, path);
	peer_greet(&peer, NULL);
	peer_send(&peer, ATTACH_HELLO, 0, 1, 0, &hello, sizeof(hello));
	peer_gone(&peer);
}

struct bad_packet {
	struct attach_header header;
	size_t size; /* of the whole */
};

static void hostile_messages(void **state)
{
	static const struct bad_packet bad[] = {
		{{ATTACH_BIND, 0, 1, 0, 8}, 16}, /* says more than there is */
		{{ATTACH_BIND, 0, 1, 0, 4}, 20}, /* shorter than its struct */
		{{ATTACH_BIND, 0, 1, 0, UINT32_MAX}, 24},
		{{ATTACH_STORE, 0, 1, 0, 0}, 15}, /* half a header */
		{{ATTACH_STORE, 0, 1, 0, 0}, 1},
		{{ATTACH_STORE, 0, 1, 0, 1}, 16},
		{{0, 0, 1, 0, 0}, 16},
		{{6, 0, 1, 0, 0}, 16},
		{{ATTACH_MEMORY_ADD, 0, 1, 0, 32}, 48}, /* ours, not its own */
		{{UINT16_MAX, 0, 1, 0, 0}, 16},
		{{ATTACH_GUEST_RESET, ATTACH_FLAG_ANSWER, 77, 0, 0}, 16}, /* nobody asked */
		{{ATTACH_GRANT_TABLE, ATTACH_FLAG_ANSWER, 0, 0, 0}, 16},
		{{ATTACH_STORE, 0, 1, 0, 600}, 616}, /* longer than any message */
		{{ATTACH_STORE, 0, 1, 0, 512}, 528},
	};
	unsigned int before = open_descriptors();
	uint8_t packet[1024] = {0};
	struct peer_message message;
	struct peer peer, other;

	peer_connect(&other, path);
	peer_greet(&other, NULL);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		peer_connect(&peer, path);
		peer_greet(&peer, NULL);
		memcpy(packet, &bad[i].header, sizeof(bad[i].header));
		peer_send_raw(&peer, packet, bad[i].size, NULL, 0);
		peer_gone(&peer);
		peer_close(&peer);
	}
	/* Others are undisturbed, and unknown messages may be optional. */
	peer_send(&other, 999, ATTACH_FLAG_OPTIONAL, 1, 0, NULL, 0);
	assert_int_equal(peer_ask(&other, ATTACH_STORE, NULL, 0, &message), 0);
	peer_close_fds(&message);
	peer_close(&other);
	/* Absent clients have their ledgers; they are released. */
	pthread_mutex_lock(&pv.lock);
	attach_forget_absent();
	pthread_mutex_unlock(&pv.lock);
	fake_eventually(({
		pthread_mutex_lock(&pv.lock);
		attach_forget_absent();
		pthread_mutex_unlock(&pv.lock);
		open_descriptors() == before;
	}));
}

/* Who keeps a copy of the shim's end, as pvkit-load does, sees that the shim cuts a back-end off. */
static void what_is_cut_off_ends_for_all(void **state)
{
	struct pollfd ended = {.events = POLLRDHUP};
	struct peer peer = {.fd = -1};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ended.fd = dup(pair[0]);
	peer.fd = pair[1];
	assert_int_equal(attach_add(pair[0], -1, NULL), 0);
	peer_greet(&peer, NULL);
	assert_int_equal(poll(&ended, 1, 0), 0);
	peer_send(&peer, 999, 0, 1, 0, NULL, 0);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	peer_gone(&peer);
	close(ended.fd);
	peer_close(&peer);
}

static void surplus_descriptors(void **state)
{
	struct attach_header header = {ATTACH_STORE, 0, 1, 0, 0};
	unsigned int before;
	struct peer peer;
	int fds[100];

	for (unsigned int i = 0; i < 100; i++)
		fds[i] = STDOUT_FILENO;
	peer_connect(&peer, path);
	peer_greet(&peer, NULL);
	before = open_descriptors();
	/* What would be answered without them. */
	peer_send_raw(&peer, &header, sizeof(header), fds, 100);
	peer_gone(&peer);
	/* Both ends of the connection; the shim cuts it off first, and closes its own then. */
	fake_eventually(open_descriptors() == before - 2);
	peer_close(&peer);
}

static void a_flood_of_connections(void **state)
{
	struct peer peers[70];
	struct pollfd ready;

	for (unsigned int i = 0; i < 70; i++)
		peer_connect(&peers[i], path);
	fake_eventually(({
		unsigned int alive = 0;

		for (unsigned int i = 0; i < 70; i++) {
			ready = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
			alive += poll(&ready, 1, 0) == 0;
		}
		alive == 64;
	}));
	for (unsigned int i = 0; i < 70; i++)
		peer_close(&peers[i]);
	/* There is room again. */
	fake_eventually(({
		bool greeted;

		peer_connect(&peers[0], path);
		usleep(1000);
		ready = (struct pollfd){.fd = peers[0].fd, .events = POLLIN};
		greeted = poll(&ready, 1, 0) == 0;
		if (!greeted)
			peer_close(&peers[0]);
		greeted;
	}));
	peer_greet(&peers[0], NULL);
	peer_close(&peers[0]);
	/* Those that greet and go are kept for as long as there is room only. */
	for (unsigned int i = 0; i < 200; i++) {
		peer_connect(&peers[0], path);
		peer_greet(&peers[0], NULL);
		peer_close(&peers[0]);
	}
}

static int64_t cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The one that cannot be accepted keeps the listener ready; it is served once it can be. */
static void no_descriptor_is_left(void **state)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct rlimit before, none;
	struct peer peer = {0};
	int64_t spent;
	int lowest;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	getrlimit(RLIMIT_NOFILE, &before);
	peer.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	lowest = dup(peer.fd);
	close(lowest);
	none = before;
	none.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(connect(peer.fd, (struct sockaddr *)&to, sizeof(to)), 0);
	spent = cpu_ms();
	nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	spent = cpu_ms() - spent;
	setrlimit(RLIMIT_NOFILE, &before);
	assert_true(spent < 100);
	assert_int_equal(peer_greet(&peer, NULL), 0);
	peer_close(&peer);
}

/* Its buffer runs full, and that is its own loss: no one waits for it. */
static void one_that_does_not_read(void **state)
{
	struct attach_bind bind = {.guest_port = 4000};
	struct attach_header header = {ATTACH_BIND, 0, 0, 0, sizeof(bind)};
	uint8_t packet[sizeof(header) + sizeof(bind)];
	struct peer peer;

	peer_connect(&peer, path);
	peer_greet(&peer, NULL);
	memcpy(packet, &header, sizeof(header));
	memcpy(packet + sizeof(header), &bind, sizeof(bind));
	for (unsigned int i = 0; i < 100000; i++) {
		if (socket_send(peer.fd, packet, sizeof(packet), NULL, 0, 1000) < 0) {
			peer_close(&peer);
			return;
		}
	}
	fail_msg("nothing stopped it");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_back_end_gets_what_it_needs),
		TEST(ports_are_bound_and_unbound),
		TEST(the_guest_closes_a_port),
		TEST(it_comes_back_by_its_cookie),
		TEST(a_device_has_one_back_end),
		TEST(a_claim_lasts_as_long_as_the_process),
		TEST(a_daemons_device_is_its_own),
		TEST(release_frees_what_a_dead_one_left),
		TEST(a_full_ledger_delays_nobody),
		TEST(a_daemons_pins_last_as_long_as_its_process),
		TEST(what_a_killed_process_held_is_free),
		TEST(a_reset_waits_for_all),
		TEST(a_machine_reset_ends_who_is_late),
		TEST(an_end_waits_for_nobody_who_is_late),
		TEST(the_end_leaves_pins_alone),
		TEST(hostile_greetings),
		TEST(hostile_messages),
		TEST(what_is_cut_off_ends_for_all),
		TEST(surplus_descriptors),
		TEST(a_flood_of_connections),
		TEST(no_descriptor_is_left),
		TEST(one_that_does_not_read),
	};

	log_open("pv_attach", false);
	return cmocka_run_group_tests(tests, open_group, close_group);
}
