// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A back-end's host and a real shim around one grant table: the guest changes its version while the
 * back-end's queues pin. A pin is refused, or is the page that was granted; never an entry of one
 * version read as the other's. Catalogue of robustness: 45.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/host/host.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/restart.h"
#include "hypervisor-shim/pv/store.h"
#include "ring/order.h"

#define PAGES    64
#define FIRST    4 /* page i by grant i; those that are reserved outlive a change, in another place */
#define QUEUES   2
#define CHANGES  100
#define RACE_S   20 /* a busy machine may not get there */
#define NO_GRANT 0xdeadU /* what the other pages hold */

static struct {
	int fd;
	struct guest_memory memory;
	struct host *host;
	/* Queues hold it while they have a pin; the control thread, while they are quiet. */
	pthread_rwlock_t running;
	bool quiet_held;
	atomic_bool quiet, over;
	atomic_uint pinned, refused, wrong;
	atomic_uint changes, busy, kept; /* the last: in use, over a change */
} t;

/* ---- the shim --------------------------------------------------------------------------------- */

static const struct guest_memory *memory_of(void)
{
	return &t.memory;
}

static int region_fd(unsigned int region, uint64_t *offset)
{
	*offset = 0;
	return t.fd;
}

static void nothing(struct event_channels *channels, uint32_t port)
{
}

static void closed(struct event_channels *channels, uint16_t owner, uint32_t port)
{
}

static const struct event_channel_ops channel_ops = {
	.wire = nothing, .raise = nothing, .closed = closed};

static int open_shim(void)
{
	static const struct attach_ram ram = {memory_of, region_fd};
	const size_t bytes = PAGES * HOST_PAGE_BYTES;
	uint32_t *pages;
	int pair[2];

	t.fd = memfd_create("pvkit-test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(t.fd, (off_t)bytes), 0);
	pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	assert_true(pages != MAP_FAILED);
	for (uint32_t i = 0; i < PAGES; i++)
		pages[i * HOST_PAGE_BYTES / sizeof(*pages)] = i < FIRST ? NO_GRANT : i;
	assert_int_equal(guest_memory_add(&t.memory, 0, bytes, pages), 0);
	assert_int_equal(pv_store_open(PV_GUEST), 0);
	assert_int_equal(attach_open(&ram, NULL), 0);
	assert_int_equal(pv_state_open(&channel_ops, 1), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(attach_add(pair[0], -1, "vbd/51712"), 0);
	return pair[1];
}

static void close_shim(void)
{
	pv_store_close();
	pv_state_close();
	munmap(t.memory.region[0].host, t.memory.region[0].size);
	close(t.fd);
}

/* ---- the guest -------------------------------------------------------------------------------- */

static void grant_from(uint32_t first)
{
	for (uint32_t i = first; i < PAGES; i++) {
		struct grant_v1 *v1 = (struct grant_v1 *)pv.grants.entries + i;
		union grant_v2 *v2 = (union grant_v2 *)pv.grants.entries + i;

		if (pv.grants.version == 2) {
			order_store_relaxed(&v2->full_page.frame, i);
			order_store_release(&v2->header.flags, GRANT_PERMIT_ACCESS);
		} else {
			order_store_relaxed(&v1->frame, i);
			order_store_release(&v1->flags, GRANT_PERMIT_ACCESS);
		}
	}
}

static bool goes_on(time_t until)
{
	return t.changes < CHANGES && time(NULL) < until;
}

static unsigned int grants_in_use(void)
{
	unsigned int count = 0;

	for (uint32_t i = GRANTS_RESERVED; i < PAGES; i++)
		count += order_load_acquire(&pv.grants.use[i].word) != 0;
	return count;
}

/* A vCPU in SET_VERSION, again and again. While a pin is held it is refused, and nothing changes. */
static void *change(void *unused)
{
	const time_t until = time(NULL) + RACE_S;
	int result;

	grant_from(FIRST);
	while (goes_on(until)) {
		pthread_mutex_lock(&pv.lock);
		result = restart_grants(3 - pv.grants.version, NULL);
		pthread_mutex_unlock(&pv.lock);
		if (!result) {
			t.changes++;
			t.kept += grants_in_use();
			grant_from(GRANTS_RESERVED);
		} else if (result == -EBUSY) {
			t.busy++;
		} else {
			abort();
		}
		usleep(result ? 20 : 300); /* the queues are at work when the next one comes */
	}
	t.over = true;
	return NULL;
}

/* ---- the back-end ----------------------------------------------------------------------------- */

static void pin_one(uint32_t reference, bool write)
{
	struct host_pin pin = {.reference = reference, .write = write};
	int err = host_pin(t.host, &pin);

	if (err == -EACCES) {
		t.refused++; /* not granted anew yet */
	} else if (err || *(const uint32_t *)pin.page != reference) {
		t.wrong++;
	} else {
		t.pinned++;
	}
	if (write && reference == PAGES - 1)
		sched_yield(); /* it lasts longer */
	host_unpin(t.host, &pin);
}

static void *queue(void *context)
{
	uint32_t i = (uint32_t)(uintptr_t)context;

	while (!t.over) {
		if (!t.quiet) {
			pthread_rwlock_rdlock(&t.running);
			pin_one(FIRST + i % (PAGES - FIRST), i & 1);
			pthread_rwlock_unlock(&t.running);
			if (++i % PAGES == 0)
				usleep(100); /* else the guest would hardly ever find none in use */
		} else {
			sched_yield();
		}
	}
	return NULL;
}

static void quiesce(void *context)
{
	t.quiet = true;
	if (!t.quiet_held)
		pthread_rwlock_wrlock(&t.running);
	t.quiet_held = true;
}

static void resume(void *context)
{
	if (t.quiet_held)
		pthread_rwlock_unlock(&t.running);
	t.quiet_held = false;
	t.quiet = false;
}

static void channel_closed(void *context, uint32_t port)
{
}

static void lost(void *context, bool orderly)
{
	control_quit(orderly ? 0 : 1);
}

/* When the guest is through the connection ends, by which the control loop does. */
static void *end(void *context)
{
	pthread_t *threads = context;

	for (unsigned int i = 0; i < 1 + QUEUES; i++)
		pthread_join(threads[i], NULL);
	attach_close();
	return NULL;
}

static void a_version_changes_under_pins(void **state)
{
	static const struct host_ops ops = {quiesce, resume, quiesce, channel_closed, lost};
	struct host_options options = {.name = "versions"};
	pthread_t threads[1 + QUEUES], last;

	pthread_rwlock_init(&t.running, NULL);
	assert_int_equal(control_open(), 0);
	options.fd = open_shim();
	t.host = host_open(&options);
	assert_non_null(t.host);
	host_serve(t.host, &ops, NULL);
	pthread_create(&threads[0], NULL, change, NULL);
	for (uintptr_t i = 0; i < QUEUES; i++)
		pthread_create(&threads[1 + i], NULL, queue, (void *)(i * 7));
	pthread_create(&last, NULL, end, threads);
	assert_int_equal(control_run(), 0);
	pthread_join(last, NULL);

	assert_int_equal(t.wrong, 0);
	assert_int_equal(t.kept, 0);
	assert_true(t.changes > 0 && t.pinned > 0);
	assert_int_equal(grants_in_use(), 0);
	if (t.quiet_held)
		pthread_rwlock_unlock(&t.running);
	host_close(t.host);
	control_close();
	close_shim();
	pthread_rwlock_destroy(&t.running);
	print_message("%u changes, %u refused; %u pins, %u refused\n", t.changes, t.busy, t.pinned,
		      t.refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_changes_under_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
