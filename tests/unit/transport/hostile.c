// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A hostile front-end: the vhost-user control rows (26 to 33) of the catalogue of hostile inputs.
 * After each input the connection must be closed, every descriptor and mapping that came with it
 * gone, a second device beside it undisturbed, and the next front-end served.
 */
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/transport/fixture.h"

struct world {
	struct back back;
	struct guest guest, other_guest;
	struct vhost_user_front other; /* an honest front-end of the second device */
	struct guest_queue other_queue;
	struct footprint before;
};

static int world_open(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));

	back_open(&w->back, 2, -1);
	guest_open(&w->guest);
	guest_open(&w->other_guest);
	front_connect(&w->other, w->back.path[1]);
	front_setup(&w->other, &w->other_guest, format_split);
	queue_open(&w->other_queue, &w->other_guest, 0, format_split);
	front_start(&w->other, &w->other_queue, queue_begin(&w->other_queue));
	queue_echo(&w->other_queue, 10);
	w->before = footprint_now();
	*state = w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;

	vhost_user_front_close(&w->other);
	queue_close(&w->other_queue);
	guest_close(&w->guest);
	guest_close(&w->other_guest);
	assert_int_equal(back_close(&w->back), 0);
	test_free(w);
	return 0;
}

/* The hostile one is gone without a trace, and nobody else noticed. */
static void world_is_well(struct world *w)
{
	struct vhost_user_front front;
	uint8_t byte;

	queue_echo(&w->other_queue, 20);
	footprint_returns(w->before);
	front_connect(&front, w->back.path[0]);
	assert_int_equal(vhost_user_front_get_config(&front, 7, &byte, 1), 0);
	vhost_user_front_close(&front);
	footprint_returns(w->before);
}

static int raw_connect(struct world *w)
{
	int fd = socket_connect(w->back.path[0], SOCK_STREAM);

	assert_true(fd >= 0);
	return fd;
}

static int raw_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		    const int *fds, unsigned int count)
{
	uint8_t message[12 + 1024] = {0};
	struct vhost_user_header header = {request, flags, size};

	memcpy(message, &header, sizeof(header));
	if (payload && size <= 1024)
		memcpy(message + sizeof(header), payload, size);
	return socket_send(fd, message, sizeof(header) + (size <= 1024 ? size : 0), fds, count,
			   1000);
}

static void raw_tell(int fd, uint32_t request, const void *payload, uint32_t size)
{
	assert_int_equal(raw_send(fd, request, VHOST_USER_VERSION, payload, size, NULL, 0), 0);
}

/* Whether the back-end closes within @ms; answers that come before are thrown away. */
static bool raw_closed(int fd, int ms)
{
	struct pollfd wait = {fd, POLLIN, 0};
	char bytes[4096];

	while (poll(&wait, 1, ms) == 1) {
		if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			return true;
	}
	return false;
}

static void raw_expect_closed(struct world *w, int fd)
{
	assert_true(raw_closed(fd, 5000));
	close(fd);
	world_is_well(w);
}

/* A question and its answer: what came before was taken, and the connection lives. */
static void raw_expect_alive(int fd)
{
	struct vhost_user_header header;
	uint64_t value;

	raw_tell(fd, VHOST_USER_GET_FEATURES, NULL, 0);
	assert_int_equal(socket_receive(fd, &header, sizeof(header), NULL, NULL, 5000), 0);
	assert_int_equal(header.request, VHOST_USER_GET_FEATURES);
	assert_int_equal(header.flags, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY);
	assert_int_equal(header.size, sizeof(value));
	assert_int_equal(socket_receive(fd, &value, sizeof(value), NULL, NULL, 5000), 0);
}

/* One message on a connection of its own, which must end. */
static void refuse(struct world *w, uint32_t request, const void *payload, uint32_t size,
		   const int *fds, unsigned int count)
{
	int fd = raw_connect(w);

	raw_send(fd, request, VHOST_USER_VERSION, payload, size, fds, count);
	raw_expect_closed(w, fd);
}

static uint32_t payload_size(uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_FEATURES:
	case VHOST_USER_SET_PROTOCOL_FEATURES:
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
	case VHOST_USER_SET_STATUS:
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		return 8;
	case VHOST_USER_SET_VRING_ADDR:
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		return 40;
	case VHOST_USER_SET_LOG_BASE:
		return 16;
	case VHOST_USER_SET_MEM_TABLE:
		return 264;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		return 12;
	default:
		return 0;
	}
}

static void test_row_26_surplus_descriptors(void **state)
{
	static const unsigned int counts[] = {8, 9, 16, 253};
	struct world *w = *state;
	uint8_t payload[1024] = {0};
	int fds[253], fd;
	uint32_t request;
	unsigned int i;

	for (i = 0; i < 253; i++)
		fds[i] = w->back.command;
	for (request = 0; request <= VHOST_USER_REQUEST_COUNT; request++) {
		for (i = 0; i < 4; i++) {
			fd = raw_connect(w);
			raw_send(fd, request, VHOST_USER_VERSION, payload, payload_size(request),
				 fds, counts[i]);
			assert_true(raw_closed(fd, 5000));
			close(fd);
		}
	}
	world_is_well(w);

	/* One descriptor beside each byte of a header. */
	fd = raw_connect(w);
	for (i = 0; i < 12; i++)
		socket_send(fd, &payload[i == 0 ? 0 : 1], 1, fds, 1, 1000);
	raw_expect_closed(w, fd);

	/* And many beside a message that is never finished. */
	fd = raw_connect(w);
	socket_send(fd, payload, 1, fds, 8, 1000);
	close(fd);
	world_is_well(w);
}

static void test_row_27_endless_messages(void **state)
{
	struct world *w = *state;
	struct vhost_user_inflight inflight = {.queues = 4, .queue_size = 128};
	struct vhost_user_vring_state num = {1, 256};
	struct mallinfo2 before, after;
	int fd, i, err = 0;

	refuse(w, VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight), NULL, 0);
	refuse(w, VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), &w->guest.memory, 1);

	fd = raw_connect(w);
	raw_expect_alive(fd);
	before = mallinfo2();
	for (i = 0; i < 20000; i++) {
		raw_tell(fd, VHOST_USER_SET_VRING_NUM, &num, sizeof(num));
		if (i % 100 == 0) {
			uint64_t ring = 1;

			raw_send(fd, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &ring, 8,
				 &w->back.command, 1);
			raw_send(fd, VHOST_USER_SET_VRING_ERR, VHOST_USER_VERSION, &ring, 8,
				 &w->back.command, 1);
			raw_send(fd, VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_VERSION, NULL, 0,
				 &w->back.command, 1);
		}
	}
	raw_expect_alive(fd);
	after = mallinfo2();
	assert_true(after.uordblks < before.uordblks + 4096);
	assert_true(footprint_now().fds <= w->before.fds + 5); /* both ends, call, error, channel */
	close(fd);
	world_is_well(w);

	/* Questions without end, and nobody reads the answers. */
	fd = raw_connect(w);
	for (i = 0; i < 100000 && !err; i++)
		err = raw_send(fd, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	assert_int_not_equal(err, 0);
	raw_expect_closed(w, fd);
}

static void test_row_28_wide_ring_index(void **state)
{
	static const uint32_t indices[] = {QUEUES, 0xff, 0x10000, 0x80000001, 0xffff0000};
	static const uint32_t states[] = {VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
					  VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE};
	static const uint32_t fds[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
				       VHOST_USER_SET_VRING_ERR};
	struct world *w = *state;
	unsigned int i, j;

	for (i = 0; i < 5; i++) {
		struct vhost_user_vring_state s = {indices[i], 1};
		struct vhost_user_vring_address a = {.index = indices[i]};
		uint64_t u64 = indices[i] & ~VHOST_USER_VRING_NO_FD;

		for (j = 0; j < 4; j++)
			refuse(w, states[j], &s, sizeof(s), NULL, 0);
		refuse(w, VHOST_USER_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
		for (j = 0; j < 3; j++) {
			refuse(w, fds[j], &u64, sizeof(u64), &w->back.command, 1);
			u64 |= VHOST_USER_VRING_NO_FD;
			refuse(w, fds[j], &u64, sizeof(u64), NULL, 0);
			u64 = 0x200ULL << i * 12; /* ring 0 in the low byte */
			refuse(w, fds[j], &u64, sizeof(u64), &w->back.command, 1);
			/* A descriptor that should be there is not, and the other way round. */
			u64 = 0;
			refuse(w, fds[j], &u64, sizeof(u64), NULL, 0);
			u64 = VHOST_USER_VRING_NO_FD;
			refuse(w, fds[j], &u64, sizeof(u64), &w->back.command, 1);
			u64 = indices[i] & ~VHOST_USER_VRING_NO_FD;
		}
	}
}

static void test_row_29_log(void **state)
{
	static const struct vhost_user_log logs[] = {
		{UINT64_MAX, 1}, {4096, UINT64_MAX}, {1, 0}, {0, 0}, {UINT64_MAX / 2, 4096}};
	struct world *w = *state;
	uint64_t base = 0x1000;
	unsigned int i;
	int fd;

	for (i = 0; i < 5; i++)
		refuse(w, VHOST_USER_SET_LOG_BASE, &logs[i], sizeof(logs[i]), &w->guest.memory, 1);
	/* VHOST_F_LOG_ALL was not offered. */
	base = 1ULL << 26;
	refuse(w, VHOST_USER_SET_FEATURES, &base, sizeof(base), NULL, 0);

	fd = raw_connect(w);
	raw_tell(fd, VHOST_USER_SET_LOG_BASE, &base, sizeof(base));
	raw_send(fd, VHOST_USER_SET_LOG_FD, VHOST_USER_VERSION, NULL, 0, &w->back.command, 1);
	raw_expect_alive(fd);
	close(fd);
	world_is_well(w);
}

/* ---- memory ----------------------------------------------------------------------------------- */

static struct vhost_user_memory good_table(const struct world *w)
{
	return (struct vhost_user_memory){
		.count = 2,
		.region = {{LOW_ADDRESS, REGION_BYTES, (uintptr_t)w->guest.low, 0},
			   {HIGH_ADDRESS, REGION_BYTES, (uintptr_t)w->guest.high, REGION_BYTES}},
	};
}

static int send_table(struct world *w, int fd, const struct vhost_user_memory *table,
		      unsigned int fd_count)
{
	int fds[8] = {w->guest.memory, w->guest.memory, w->guest.memory, w->guest.memory,
		      w->guest.memory, w->guest.memory, w->guest.memory, w->guest.memory};

	return raw_send(fd, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, table,
			offsetof(struct vhost_user_memory, region[2]), fds, fd_count);
}

/* The same bad second region by both ways. */
static void refuse_region(struct world *w, struct vhost_user_memory_region bad)
{
	struct vhost_user_memory table = good_table(w);
	struct vhost_user_single_region single = {0, table.region[0]};
	int fd = raw_connect(w);

	table.region[1] = bad;
	send_table(w, fd, &table, 2);
	raw_expect_closed(w, fd);

	fd = raw_connect(w);
	raw_send(fd, VHOST_USER_ADD_MEM_REG, VHOST_USER_VERSION, &single, sizeof(single),
		 &w->guest.memory, 1);
	raw_expect_alive(fd);
	single.region = bad;
	raw_send(fd, VHOST_USER_ADD_MEM_REG, VHOST_USER_VERSION, &single, sizeof(single),
		 &w->guest.memory, 1);
	raw_expect_closed(w, fd);
}

static void test_row_30_regions(void **state)
{
	struct world *w = *state;
	struct vhost_user_memory table = good_table(w);
	const struct vhost_user_memory_region low = table.region[0], high = table.region[1];
	struct vhost_user_single_region single = {0};
	struct vhost_user_memory_region bad;
	int fd;

	bad = high, bad.guest_address = low.guest_address + low.size - 4096;
	refuse_region(w, bad);
	bad = high, bad.user_address = low.user_address + low.size - 1;
	refuse_region(w, bad);
	bad = high, bad.size = 0;
	refuse_region(w, bad);
	bad = high, bad.size = REGION_BYTES + 1; /* a byte beyond the file */
	refuse_region(w, bad);
	bad = high, bad.size = 1ULL << 62;
	refuse_region(w, bad);
	bad = high, bad.size = UINT64_MAX;
	refuse_region(w, bad);
	bad = high, bad.guest_address = UINT64_MAX - 4096;
	refuse_region(w, bad);
	bad = high, bad.user_address = UINT64_MAX - 4096;
	refuse_region(w, bad);
	bad = high, bad.mmap_offset = UINT64_MAX - 4096;
	refuse_region(w, bad);
	bad = high, bad.mmap_offset = 1ULL << 62;
	refuse_region(w, bad);

	table.count = 9;
	fd = raw_connect(w);
	send_table(w, fd, &table, 2);
	raw_expect_closed(w, fd);
	table.count = 2;
	fd = raw_connect(w);
	send_table(w, fd, &table, 1);
	raw_expect_closed(w, fd);
	table.count = 8; /* more than the payload has */
	fd = raw_connect(w);
	send_table(w, fd, &table, 8);
	raw_expect_closed(w, fd);

	single.region = high;
	refuse(w, VHOST_USER_REM_MEM_REG, &single, sizeof(single), NULL, 0);
}

static void test_row_30_too_many_regions(void **state)
{
	struct world *w = *state;
	struct vhost_user_single_region single = {0};
	unsigned int i;
	int fd = raw_connect(w);

	for (i = 0; i <= GUEST_MEMORY_REGIONS_MAX; i++) {
		single.region = (struct vhost_user_memory_region){
			.guest_address = i * 0x10000, .size = 4096, .user_address = i * 0x10000};
		if (i == GUEST_MEMORY_REGIONS_MAX)
			raw_expect_alive(fd);
		raw_send(fd, VHOST_USER_ADD_MEM_REG, VHOST_USER_VERSION, &single, sizeof(single),
			 &w->guest.memory, 1);
	}
	raw_expect_closed(w, fd);
}

/* Tells all of ring 0 but where it lies; the connection lives. */
static int begin_ring(struct world *w, uint64_t features)
{
	struct vhost_user_memory table = good_table(w);
	struct vhost_user_vring_state num = {0, RING_SIZE};
	int fd = raw_connect(w);

	features |= 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	raw_tell(fd, VHOST_USER_SET_FEATURES, &features, sizeof(features));
	assert_int_equal(send_table(w, fd, &table, 2), 0);
	raw_tell(fd, VHOST_USER_SET_VRING_NUM, &num, sizeof(num));
	raw_expect_alive(fd);
	return fd;
}

static void refuse_address(struct world *w, uint64_t features, uint64_t descriptor,
			   uint64_t available, uint64_t used)
{
	struct vhost_user_vring_address address = {
		.descriptor = descriptor, .available = available, .used = used};
	int fd = begin_ring(w, features);

	raw_tell(fd, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));
	raw_expect_closed(w, fd);
}

static void test_row_30_ring_addresses(void **state)
{
	struct world *w = *state;
	uint64_t low = (uintptr_t)w->guest.low, end = (uintptr_t)w->guest.high + REGION_BYTES;
	uint64_t middle = (uintptr_t)w->guest.high;
	struct vhost_user_vring_address address = {0};
	struct vhost_user_vring_state s = {0, 1};
	uint64_t kick = 0;
	int fd;

	refuse_address(w, format_split, 0, low, low);
	refuse_address(w, format_split, low, UINT64_MAX - 1, low);
	refuse_address(w, format_split, low, low, end);
	refuse_address(w, format_split, end - 16 * RING_SIZE + 16, low, low);
	refuse_address(w, format_split, middle - 16, low, low); /* spans two regions */
	refuse_address(w, format_split, low + 8, low, low);
	refuse_address(w, format_split, low, low + 1, low);
	refuse_address(w, format_split, low, low, low + 2);
	refuse_address(w, format_packed, low, low + 2, low);
	refuse_address(w, format_packed, low, low, low - 4);

	/* The size comes last and makes the ring reach beyond its region. */
	fd = begin_ring(w, format_split);
	address.descriptor = end - 16 * RING_SIZE;
	address.available = address.used = low;
	raw_tell(fd, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));
	raw_expect_alive(fd);
	s.num = 2 * RING_SIZE;
	raw_tell(fd, VHOST_USER_SET_VRING_NUM, &s, sizeof(s));
	raw_send(fd, VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &kick, sizeof(kick),
		 &w->back.command, 1);
	raw_expect_alive(fd);
	s.num = 1;
	raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &s, sizeof(s));
	raw_expect_closed(w, fd);

	/* Sizes that no ring has, and places outside it. */
	for (s.num = 0; s.num < 0x100000; s.num = s.num ? s.num << 4 : VIRTQUEUE_SIZE_MAX + 1)
		refuse(w, VHOST_USER_SET_VRING_NUM, &s, sizeof(s), NULL, 0);
	s.num = 0x10000;
	refuse(w, VHOST_USER_SET_VRING_BASE, &s, sizeof(s), NULL, 0);
	s.num = 2;
	refuse(w, VHOST_USER_SET_VRING_ENABLE, &s, sizeof(s), NULL, 0);

	fd = begin_ring(w, format_packed);
	s.num = RING_SIZE; /* slots are 0 to RING_SIZE - 1 */
	raw_tell(fd, VHOST_USER_SET_VRING_BASE, &s, sizeof(s));
	address.descriptor = low;
	raw_tell(fd, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));
	raw_send(fd, VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &kick, sizeof(kick),
		 &w->back.command, 1);
	raw_expect_alive(fd);
	s.num = 1;
	raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &s, sizeof(s));
	raw_expect_closed(w, fd);
}

/* ---- memory pulled away ----------------------------------------------------------------------- */

static void shrink(struct world *w, uint64_t features, off_t to, int kick)
{
	struct guest hostile;
	struct vhost_user_front front;
	struct vhost_user_ring ring;
	struct guest_queue q[QUEUES];
	unsigned int i;

	guest_open(&hostile);
	front_connect(&front, w->back.path[0]);
	front_setup(&front, &hostile, features);
	for (i = 0; i < QUEUES; i++) {
		queue_open(&q[i], &hostile, i, features);
		ring = queue_ring(&q[i], queue_begin(&q[i]));
		if (kick < 0)
			ring.kick = -1;
		assert_int_equal(vhost_user_front_start_ring(&front, i, &ring), 0);
		queue_echo(&q[i], 8);
		/* A request whose buffers will be gone when it is looked at. */
		assert_int_equal(vhost_user_front_enable_ring(&front, i, false), 0);
		queue_lend(&q[i]);
		virtqueue_driver_publish(&q[i].driver);
	}
	assert_int_equal(ftruncate(hostile.memory, to), 0); /* our own mapping is taboo from here */
	for (i = 0; i < QUEUES; i++)
		vhost_user_front_enable_ring(&front, i, true);
	assert_true(raw_closed(front.fd, 5000));
	vhost_user_front_close(&front);
	for (i = 0; i < QUEUES; i++)
		queue_close(&q[i]);
	guest_close(&hostile);
	world_is_well(w);
}

static void test_row_31_memory_shrunk(void **state)
{
	struct world *w = *state;

	shrink(w, format_split, 0, 0);
	shrink(w, format_packed, 0, 0);
	shrink(w, format_split, REGION_BYTES, 0); /* rings stay, buffers go */
	shrink(w, format_packed, REGION_BYTES, 0);
	shrink(w, format_split, 0, -1);
	shrink(w, format_split, REGION_BYTES / 2, -1);
}

static void own_sigbus(int signal)
{
	_exit(42);
}

/* A SIGBUS that is not the guest's memory is a defect of our own and goes where it always went. */
static void test_row_31_other_sigbus(void **state)
{
	struct sigaction own = {.sa_handler = own_sigbus}, before;
	struct world *w = *state;
	int status;
	pid_t pid;

	sigaction(SIGBUS, &own, &before);
	shrink(w, format_split, 0, 0); /* puts the guard's handler in place */
	pid = fork();
	if (!pid) {
		int fd = memfd_create("own", MFD_CLOEXEC);
		volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

		_exit(p[0]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	sigaction(SIGBUS, &before, NULL);
}

/* ---- rings ------------------------------------------------------------------------------------ */

static void ring_message(int fd, int which, const struct guest_queue *q)
{
	const struct vhost_user_vring_state num = {0, RING_SIZE}, base = {0, 0}, on = {0, 1};
	const struct vhost_user_vring_address address = {
		.descriptor = (uintptr_t)q->driver.areas.descriptors,
		.available = (uintptr_t)q->driver.areas.driver,
		.used = (uintptr_t)q->driver.areas.device,
	};
	const uint64_t zero = 0;

	switch (which) {
	case 0:
		raw_tell(fd, VHOST_USER_SET_VRING_NUM, &num, sizeof(num));
		raw_tell(fd, VHOST_USER_SET_VRING_BASE, &base, sizeof(base));
		break;
	case 1:
		raw_tell(fd, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));
		break;
	case 2:
		raw_send(fd, VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &zero, 8, &q->kick, 1);
		break;
	case 3:
		raw_send(fd, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &zero, 8, &q->call, 1);
		break;
	case 4:
		raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on));
		break;
	}
}

/* Size and place first, the rest in all orders, the kick before all of them: it is always served. */
static void test_row_32_kick_first_in_any_order(void **state)
{
	struct world *w = *state;
	unsigned int code, i, order[4], rest, seen, tried = 0;
	uint64_t features = format_split | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	struct vhost_user_memory table = good_table(w);
	struct guest_queue q;
	int fd;

	for (code = 0; code < 4 * 4 * 4 * 4; code++) {
		seen = 0;
		for (i = 0, rest = code; i < 4; i++, rest /= 4)
			seen |= 1 << (order[i] = 1 + rest % 4);
		if (seen != 0x1e)
			continue;
		tried++;
		queue_open(&q, &w->guest, 0, format_split);
		fd = raw_connect(w);
		raw_tell(fd, VHOST_USER_SET_FEATURES, &features, sizeof(features));
		send_table(w, fd, &table, 2);
		queue_lend(&q);
		virtqueue_driver_publish(&q.driver);
		eventfd_write(q.kick, 1);
		ring_message(fd, 0, &q);
		for (i = 0; i < 4; i++)
			ring_message(fd, order[i], &q);
		queue_expect(&q);
		queue_echo(&q, 10);
		close(fd);
		queue_close(&q);
	}
	assert_int_equal(tried, 24);
	world_is_well(w);
}

static void test_row_32_enable_before_all_else(void **state)
{
	struct vhost_user_vring_state on = {0, 1}, absent = {QUEUES, 1};
	struct vhost_user_memory table = good_table(*state);
	struct world *w = *state;
	uint64_t features = format_split | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	struct guest_queue q;
	int fd = raw_connect(w), i;

	raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &on, sizeof(on));
	raw_tell(fd, VHOST_USER_SET_FEATURES, &features, sizeof(features));
	send_table(w, fd, &table, 2);
	queue_open(&q, &w->guest, 0, format_split);
	queue_lend(&q);
	virtqueue_driver_publish(&q.driver);
	for (i = 0; i < 4; i++)
		ring_message(fd, i, &q);
	queue_expect(&q); /* and no kick at all */
	raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &absent, sizeof(absent));
	assert_true(raw_closed(fd, 5000));
	close(fd);
	queue_close(&q);
	world_is_well(w);
}

/* Sets ring 0 up on a raw connection, and runs it. */
static int raw_start(struct world *w, struct guest_queue *q)
{
	uint64_t features = format_split | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	struct vhost_user_memory table = good_table(w);
	int fd = raw_connect(w), i;

	raw_tell(fd, VHOST_USER_SET_FEATURES, &features, sizeof(features));
	send_table(w, fd, &table, 2);
	queue_open(q, &w->guest, 0, format_split);
	for (i = 0; i < 5; i++)
		ring_message(fd, i, q);
	queue_echo(q, 5);
	return fd;
}

/* A kick alone must not start a ring at a place from before the reset. */
static void test_reset_forgets_rings(void **state)
{
	struct world *w = *state;
	atomic_uint *starts = &w->back.echo[0].starts;
	struct guest_queue q;
	const uint64_t zero = 0;
	unsigned int before;
	int fd = raw_start(w, &q);

	before = *starts;
	raw_tell(fd, VHOST_USER_SET_STATUS, &zero, sizeof(zero));
	ring_message(fd, 2, &q);
	ring_message(fd, 4, &q);
	raw_expect_alive(fd);
	assert_int_equal(*starts, before);
	memset(w->guest.low, 0, RING_AREA);
	ring_message(fd, 0, &q);
	ring_message(fd, 1, &q);
	raw_expect_alive(fd);
	assert_int_equal(*starts, before + 1);
	close(fd);
	queue_close(&q);
	world_is_well(w);
}

/* A broken ring is served again when it was set up anew, not when it was merely paused. */
static void test_pause_does_not_mend(void **state)
{
	struct vhost_user_vring_state off = {0, 0};
	struct world *w = *state;
	atomic_uint *starts = &w->back.echo[0].starts;
	struct guest_queue q;
	const uint64_t zero = 0;
	struct pollfd broken = {.events = POLLIN};
	unsigned int before;
	int fd = raw_start(w, &q);

	broken.fd = eventfd(0, EFD_CLOEXEC);
	raw_send(fd, VHOST_USER_SET_VRING_ERR, VHOST_USER_VERSION, &zero, 8, &broken.fd, 1);
	raw_expect_alive(fd);
	((struct vring_avail *)q.driver.areas.driver)->idx += RING_SIZE + 1;
	eventfd_write(q.kick, 1);
	assert_int_equal(poll(&broken, 1, 5000), 1);
	before = *starts;
	raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off));
	ring_message(fd, 4, &q);
	raw_expect_alive(fd);
	assert_int_equal(*starts, before);
	ring_message(fd, 2, &q);
	raw_expect_alive(fd);
	assert_int_equal(*starts, before + 1);
	close(fd);
	close(broken.fd);
	queue_close(&q);
	world_is_well(w);
}

/* Notifications that are no eventfds: full, closed, or nothing that can be waited for. */
static void test_odd_notifications(void **state)
{
	static const char *const files[] = {"/dev/null", "/dev/full", "/dev/zero"};
	struct world *w = *state;
	const uint64_t zero = 0;
	struct guest_queue q;
	unsigned int i;
	int fd, odd, pipes[2];

	for (i = 0; i < 5; i++) {
		if (i < 3) {
			odd = open(files[i], O_RDWR | O_CLOEXEC);
		} else {
			assert_int_equal(pipe(pipes), 0);
			odd = pipes[i % 2];
			close(pipes[1 - i % 2]);
		}
		fd = raw_start(w, &q);
		raw_send(fd, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &zero, 8, &odd, 1);
		if (i != 3) /* which is refused, below */
			raw_send(fd, VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &zero, 8, &odd,
				 1);
		raw_send(fd, VHOST_USER_SET_VRING_ERR, VHOST_USER_VERSION, &zero, 8, &odd, 1);
		raw_expect_alive(fd);
		queue_lend(&q);
		virtqueue_driver_publish(&q.driver);
		usleep(5000);
		close(fd);
		close(odd);
		queue_close(&q);
		world_is_well(w);
	}
}

/* As a kick; the pipe must come back as empty as it was. */
static void refuse_kick(struct world *w, int fd, int from)
{
	uint64_t zero = 0;
	char byte;

	assert_true(fd >= 0 && from >= 0);
	refuse(w, VHOST_USER_SET_VRING_KICK, &zero, 8, &fd, 1);
	assert_int_equal(read(from, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

/* A pipe that is open both ways would be written to, with what is on our stack. */
static void test_kicks_that_can_be_written(void **state)
{
	struct world *w = *state;
	char path[64];
	uint64_t zero = 0;
	int ends[2], both, fd;

	snprintf(path, sizeof(path), "/tmp/pvkit-kick-%d", getpid());
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	both = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	unlink(path);
	w->before = footprint_now();
	refuse_kick(w, both, both);
	close(both);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	both = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	refuse_kick(w, both, ends[0]);
	close(both);
	w->before.fds--;
	refuse_kick(w, ends[1], ends[0]);

	fd = raw_connect(w);
	raw_send(fd, VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &zero, 8, &ends[0], 1);
	raw_send(fd, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &zero, 8, &ends[1], 1);
	raw_expect_alive(fd);
	close(fd);
	world_is_well(w);
	close(ends[0]);
	close(ends[1]);
}

static void take_from(int fd, int other)
{
	struct backend_queue queue = {.kick = fd};

	assert_false(backend_queue_take_kick(&queue));
	eventfd_write(other, 1);
	assert_true(backend_queue_take_kick(&queue));
	assert_false(backend_queue_take_kick(&queue));
	close(other);
	assert_false(backend_queue_take_kick(&queue));
	close(fd);
}

/* The front-end may make its descriptors block again: taking a kick must not wait for one. */
static void test_blocking_kick(void **state)
{
	int ends[2];
	struct backend_queue queue = {.kick = eventfd(0, EFD_CLOEXEC)};

	alarm(20); /* in place of a wait for ever */
	assert_false(backend_queue_take_kick(&queue));
	eventfd_write(queue.kick, 5);
	assert_true(backend_queue_take_kick(&queue));
	assert_false(backend_queue_take_kick(&queue));
	close(queue.kick);
	/* Others than eventfds are possible too. */
	assert_int_equal(pipe(ends), 0);
	take_from(ends[0], ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	take_from(ends[0], ends[1]);
	alarm(0);
}

/* Full, and made to block behind our back: the control thread goes on. */
static void test_start_with_full_notifications(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	struct vhost_user_vring_state off = {0, 0};
	struct world *w = *state;
	struct guest_queue q;
	int fd = raw_start(w, &q);

	raw_tell(fd, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off));
	raw_expect_alive(fd);
	eventfd_write(q.kick, most);
	eventfd_write(q.call, most);
	fcntl(q.kick, F_SETFL, 0);
	fcntl(q.call, F_SETFL, 0);
	ring_message(fd, 4, &q);
	raw_expect_alive(fd);
	close(fd);
	queue_close(&q);
	world_is_well(w);
}

/* A read of a file takes as long as its file system likes. */
static void test_notifications_in_files(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					    VHOST_USER_SET_VRING_ERR};
	static const char *const files[] = {"/proc/self/stat", "/proc/self"};
	struct world *w = *state;
	const uint64_t zero = 0;
	unsigned int i, j;
	int fd;

	w->before.fds++; /* ours */
	for (i = 0; i < 2; i++) {
		fd = open(files[i], O_RDONLY | O_CLOEXEC);
		for (j = 0; j < 3; j++)
			refuse(w, requests[j], &zero, 8, &fd, 1);
		close(fd);
	}
}

/* ---- messages that are no messages ------------------------------------------------------------ */

static void test_row_33_byte_by_byte(void **state)
{
	struct world *w = *state;
	struct vhost_user_vring_state num = {0, RING_SIZE};
	uint8_t message[20];
	unsigned int i;
	int fd = raw_connect(w);

	memcpy(message, &(struct vhost_user_header){VHOST_USER_SET_VRING_NUM, 1, 8}, 12);
	memcpy(message + 12, &num, 8);
	for (i = 0; i < sizeof(message); i++) {
		assert_int_equal(socket_send(fd, message + i, 1, NULL, 0, 1000), 0);
		usleep(2000);
	}
	raw_expect_alive(fd); /* slow, but right */
	close(fd);
	world_is_well(w);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void test_row_33_half_then_hang(void **state)
{
	struct world *w = *state;
	uint8_t header[12];
	int64_t begin;
	int fd, i;

	memcpy(header, &(struct vhost_user_header){VHOST_USER_SET_VRING_NUM, 1, 8}, 12);
	fd = raw_connect(w);
	begin = now_ms();
	assert_int_equal(socket_send(fd, header, 12, NULL, 0, 1000), 0);
	/* Meanwhile the control loop serves the other device. */
	assert_int_equal(vhost_user_front_enable_ring(&w->other, 0, true), 0);
	assert_true(now_ms() - begin < 1000);
	assert_true(raw_closed(fd, 6000));
	assert_true(now_ms() - begin > 2000);
	assert_true(now_ms() - begin < 6000);
	close(fd);
	world_is_well(w);

	/* A byte now and then does not buy time. */
	fd = raw_connect(w);
	begin = now_ms();
	for (i = 0; i < 12 && !raw_closed(fd, 500); i++)
		socket_send(fd, header + i, 1, NULL, 0, 1000);
	assert_true(i < 12);
	assert_true(now_ms() - begin < 6000);
	close(fd);
	world_is_well(w);
}

static void test_row_33_wrong_size(void **state)
{
	struct world *w = *state;
	uint8_t payload[1024] = {0};
	uint32_t request, size, i;
	int fd;

	for (request = 0; request <= VHOST_USER_REQUEST_COUNT; request++) {
		size = payload_size(request);
		const uint32_t wrong[] = {size + 1, size ? size - 1 : 2, 269,
					  1024,     UINT32_MAX,          0x80000000u + size};

		if (request == VHOST_USER_SET_LOG_BASE)
			continue; /* 8 to 16 bytes */
		for (i = 0; i < 6; i++) {
			fd = raw_connect(w);
			raw_send(fd, request, VHOST_USER_VERSION, payload, wrong[i], NULL, 0);
			assert_true(raw_closed(fd, 5000));
			close(fd);
		}
	}
	world_is_well(w);
}

static void test_row_33_wrong_header(void **state)
{
	static const uint32_t flags[] = {0, 2, 3, 5, 0x10001, 0x80000001};
	struct world *w = *state;
	struct vhost_user_config config = {0};
	uint64_t bits;
	unsigned int i;
	int fd;

	for (i = 0; i < 6; i++) {
		fd = raw_connect(w);
		raw_send(fd, VHOST_USER_GET_FEATURES, flags[i], NULL, 0, NULL, 0);
		raw_expect_closed(w, fd);
	}
	for (i = 0; i < 3; i++)
		refuse(w, (uint32_t[]){0, VHOST_USER_REQUEST_COUNT, UINT32_MAX}[i], NULL, 0, NULL,
		       0);
	bits = 1ULL << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD;
	refuse(w, VHOST_USER_SET_PROTOCOL_FEATURES, &bits, 8, NULL, 0);
	bits = 1ULL << 63;
	refuse(w, VHOST_USER_SET_FEATURES, &bits, 8, NULL, 0);
	bits = 256;
	refuse(w, VHOST_USER_SET_STATUS, &bits, 8, NULL, 0);
	config.size = 8; /* of a payload that has none */
	refuse(w, VHOST_USER_GET_CONFIG, &config, 12, NULL, 0);
	config.offset = UINT32_MAX;
	refuse(w, VHOST_USER_GET_CONFIG, &config, 20, NULL, 0);
	config.size = UINT32_MAX;
	refuse(w, VHOST_USER_SET_CONFIG, &config, 20, NULL, 0);
	config = (struct vhost_user_config){.offset = 32, .size = 8, .flags = 7};
	refuse(w, VHOST_USER_SET_CONFIG, &config, 20, NULL, 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_row_26_surplus_descriptors),
		ROW(test_row_27_endless_messages),
		ROW(test_row_28_wide_ring_index),
		ROW(test_row_29_log),
		ROW(test_row_30_regions),
		ROW(test_row_30_too_many_regions),
		ROW(test_row_30_ring_addresses),
		ROW(test_row_31_memory_shrunk),
		ROW(test_row_31_other_sigbus),
		ROW(test_row_32_kick_first_in_any_order),
		ROW(test_row_32_enable_before_all_else),
		ROW(test_reset_forgets_rings),
		ROW(test_pause_does_not_mend),
		ROW(test_odd_notifications),
		ROW(test_start_with_full_notifications),
		ROW(test_notifications_in_files),
		ROW(test_kicks_that_can_be_written),
		cmocka_unit_test(test_blocking_kick),
		ROW(test_row_33_byte_by_byte),
		ROW(test_row_33_half_then_hang),
		ROW(test_row_33_wrong_size),
		ROW(test_row_33_wrong_header),
	};

	log_open("hostile", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
