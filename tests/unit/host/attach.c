// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Attaching, to a shim that breaks its protocol in every way: each ends the connection, leaves no
 * descriptor or mapping behind, and the process alive.
 */
#include "fake_shim.h"

#include <dirent.h>

static unsigned int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* What host_open() makes of a greeting. */
static int try_greeting(void (*greet)(struct fake_shim *shim, uint32_t sequence))
{
	struct fake_shim *shim = calloc(1, sizeof(*shim));
	struct host_options options = {.name = "attach"};
	struct host *host;
	unsigned int before, ms;
	int error = 0;

	fake_shim_init(shim, 1);
	shim->greet = greet;
	assert_int_equal(control_open(), 0);
	options.fd = fake_shim_start(shim);
	before = count_fds();
	host = host_open(&options);
	if (!host)
		error = errno;
	host_close(host);
	/*
	 * Its end of the socket is closed, and the store's, if that went to it; the fake's copy of the
	 * last may need a moment.
	 */
	for (ms = 0; ms < 1000 && count_fds() != before - 1 - (shim->store_fd < 0); ms++)
		fake_sleep_ms(1);
	assert_int_equal(count_fds(), before - 1 - (shim->store_fd < 0));
	control_close();
	fake_shim_close(shim);
	free(shim);
	return error;
}

static void test_good(void **state)
{
	assert_int_equal(try_greeting(NULL), 0);
}

/* ---- the welcome ----------------------------------------------------------------------------- */

static struct attach_welcome bad_welcome;

static void greet_welcome(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header hello = {.type = ATTACH_HELLO, .sequence = sequence};

	shim_answer(shim, &hello, 0, &bad_welcome, sizeof(bad_welcome), NULL, 0);
	shim_send_memory(shim, 0);
	shim_send_table(shim);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

#define refuses_welcome(field, value)                                 \
	do {                                                          \
		bad_welcome = shim_welcome();                         \
		bad_welcome.field = value;                            \
		assert_int_not_equal(try_greeting(greet_welcome), 0); \
	} while (0)

static void test_welcome(void **state)
{
	bad_welcome = shim_welcome();
	assert_int_equal(try_greeting(greet_welcome), 0);
	refuses_welcome(magic, 0);
	refuses_welcome(version_major, 2);
	refuses_welcome(owner, 0);
	refuses_welcome(owner, ATTACH_OWNER_MAX + 1);
	refuses_welcome(ports, 0);
	refuses_welcome(ports, UINT32_MAX);
	refuses_welcome(features, UINT64_MAX);
}

static void greet_error(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header hello = {.type = ATTACH_HELLO, .sequence = sequence};

	shim_answer(shim, &hello, -EPROTO, NULL, 0, NULL, 0);
}

static void greet_positive(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header hello = {.type = ATTACH_HELLO, .sequence = sequence};

	shim_answer(shim, &hello, 5, NULL, 0, NULL, 0);
}

static void greet_short(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header hello = {.type = ATTACH_HELLO, .sequence = sequence};
	struct attach_welcome welcome = shim_welcome();

	shim_answer(shim, &hello, 0, &welcome, sizeof(welcome) - 8, NULL, 0);
}

static void greet_with_fds(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header hello = {.type = ATTACH_HELLO, .sequence = sequence};
	struct attach_welcome welcome = shim_welcome();

	shim_answer(shim, &hello, 0, &welcome, sizeof(welcome), &shim->memory_fd, 1);
}

static void greet_other_answer(struct fake_shim *shim, uint32_t sequence)
{
	shim_send_welcome(shim, sequence + 1);
}

static void greet_packet(struct fake_shim *shim, uint32_t sequence)
{
	assert_int_equal(send(shim->fd, "1234", 4, MSG_NOSIGNAL), 4);
}

static void greet_long_packet(struct fake_shim *shim, uint32_t sequence)
{
	static char packet[4096];

	assert_int_equal(send(shim->fd, packet, sizeof(packet), MSG_NOSIGNAL), sizeof(packet));
}

static void greet_wrong_size(struct fake_shim *shim, uint32_t sequence)
{
	struct {
		struct attach_header header;
		struct attach_welcome welcome;
	} packet = {{.type = ATTACH_HELLO,
		     .flags = ATTACH_FLAG_ANSWER,
		     .sequence = sequence,
		     .size = UINT32_MAX},
		    shim_welcome()};

	assert_int_equal(send(shim->fd, &packet, sizeof(packet), MSG_NOSIGNAL), sizeof(packet));
}

static void greet_hang_up(struct fake_shim *shim, uint32_t sequence)
{
	shim_send_welcome(shim, sequence);
	shutdown(shim->fd, SHUT_RDWR);
}

static void greet_not(struct fake_shim *shim, uint32_t sequence)
{
}

static void test_messages(void **state)
{
	assert_int_equal(try_greeting(greet_error), EPROTO);
	assert_int_not_equal(try_greeting(greet_positive), 0);
	assert_int_not_equal(try_greeting(greet_short), 0);
	assert_int_not_equal(try_greeting(greet_with_fds), 0);
	assert_int_not_equal(try_greeting(greet_other_answer), 0);
	assert_int_not_equal(try_greeting(greet_packet), 0);
	assert_int_not_equal(try_greeting(greet_long_packet), 0);
	assert_int_not_equal(try_greeting(greet_wrong_size), 0);
	assert_int_not_equal(try_greeting(greet_hang_up), 0);
	assert_int_not_equal(try_greeting(greet_not), 0); /* after HOST_ANSWER_MS */
}

/* ---- memory ---------------------------------------------------------------------------------- */

static struct attach_memory bad_memory;
static uint32_t memory_bytes;
static unsigned int memory_fds;

static void greet_memory(struct fake_shim *shim, uint32_t sequence)
{
	int fds[16];

	for (unsigned int i = 0; i < 16; i++)
		fds[i] = shim->memory_fd;
	shim_send_welcome(shim, sequence);
	shim_send_memory(shim, 0);
	shim_notice(shim, ATTACH_MEMORY_ADD, &bad_memory, memory_bytes, fds, memory_fds);
	shim_send_table(shim);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

static int try_memory(uint64_t address, uint64_t size, uint64_t offset, unsigned int fds)
{
	bad_memory =
		(struct attach_memory){.guest_address = address, .size = size, .offset = offset};
	memory_bytes = sizeof(bad_memory);
	memory_fds = fds;
	return try_greeting(greet_memory);
}

static void test_memory(void **state)
{
	assert_int_equal(try_memory(SHIM_HIGH, SHIM_REGION, SHIM_REGION, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, SHIM_REGION, SHIM_REGION, 0), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, SHIM_REGION, SHIM_REGION, 2), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, SHIM_REGION, SHIM_REGION, 12), 0);
	assert_int_not_equal(try_memory(0, SHIM_REGION, 0, 1), 0); /* there already */
	assert_int_not_equal(try_memory(SHIM_REGION - SHIM_PAGE, SHIM_REGION, 0, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, 0, 0, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, 2 * SHIM_REGION, SHIM_REGION, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, SHIM_PAGE, UINT64_MAX - SHIM_PAGE + 1, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, SHIM_PAGE, 1ULL << 62, 1), 0);
	assert_int_not_equal(try_memory(UINT64_MAX - SHIM_PAGE + 1, 2 * SHIM_PAGE, 0, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH + 1, SHIM_PAGE, 0, 1), 0);
	assert_int_not_equal(try_memory(SHIM_HIGH, SHIM_PAGE, 512, 1), 0);
	bad_memory = (struct attach_memory){.guest_address = SHIM_HIGH, .size = SHIM_PAGE};
	memory_bytes = sizeof(bad_memory) - 4;
	memory_fds = 1;
	assert_int_not_equal(try_greeting(greet_memory), 0);
}

/* ---- the grant table ------------------------------------------------------------------------- */

static struct attach_grant_table bad_table;
static unsigned int table_fds;

static void greet_table(struct fake_shim *shim, uint32_t sequence)
{
	int fds[] = {shim->shared_fd, shim->use_fd, shim->ledger_fd, shim->ledger_fd};

	shim_send_welcome(shim, sequence);
	shim_send_memory(shim, 0);
	shim_notice(shim, ATTACH_GRANT_TABLE, &bad_table, sizeof(bad_table), fds, table_fds);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

static int try_table(void)
{
	table_fds = 3;
	return try_greeting(greet_table);
}

/* A good table of version 2, but for one field. */
#define table_with(field, value) (bad_table = good_table(), bad_table.field = value, try_table())

static struct attach_grant_table good_table(void)
{
	static const struct fake_shim two = {.version = 2};

	return shim_table(&two);
}

static void greet_no_table(struct fake_shim *shim, uint32_t sequence)
{
	shim_send_welcome(shim, sequence);
	shim_send_memory(shim, 0);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

static void test_table(void **state)
{
	assert_int_equal(table_with(version, 2), 0);
	assert_int_equal(table_with(version, 1), 0);
	assert_int_equal(table_with(grants, 0), 0); /* closed for the moment */
	assert_int_not_equal(table_with(version, 3), 0);
	assert_int_not_equal(table_with(version, 0), 0);
	assert_int_not_equal(table_with(grants, UINT32_MAX), 0);
	assert_int_not_equal(table_with(grants, SHIM_GRANTS * 2), 0);
	assert_int_not_equal(table_with(size, 0), 0);
	assert_int_not_equal(table_with(size, 1ULL << 40), 0);
	assert_int_not_equal(table_with(size, UINT64_MAX), 0);
	assert_int_not_equal(table_with(entries_offset, UINT64_MAX - 7), 0);
	assert_int_not_equal(table_with(entries_offset, 3), 0);
	assert_int_not_equal(table_with(status_offset, SHIM_SHARED), 0);
	assert_int_not_equal(table_with(status_offset, UINT64_MAX - 7), 0);
	assert_int_not_equal(table_with(pending_offset, SHIM_SHARED - 64), 0);
	table_with(version, 1);
	for (table_fds = 0; table_fds < 5; table_fds++)
		if (table_fds != 3)
			assert_int_not_equal(try_greeting(greet_table), 0);
	assert_int_not_equal(try_greeting(greet_no_table), 0);
}

/* ---- other notices --------------------------------------------------------------------------- */

static uint16_t other_type, other_flags;

static void greet_other(struct fake_shim *shim, uint32_t sequence)
{
	struct attach_header other = {.type = other_type, .flags = other_flags};

	shim_send_welcome(shim, sequence);
	shim_send(shim, other, NULL, &shim->memory_fd, 1);
	shim_send_memory(shim, 0);
	shim_send_table(shim);
	shim_notice(shim, ATTACH_READY, NULL, 0, NULL, 0);
}

static void test_other(void **state)
{
	other_type = 500;
	other_flags = ATTACH_FLAG_OPTIONAL;
	assert_int_equal(try_greeting(greet_other), 0);
	other_flags = 0;
	assert_int_not_equal(try_greeting(greet_other), 0);
	other_type = ATTACH_BIND; /* a request that only we may send */
	assert_int_not_equal(try_greeting(greet_other), 0);
	other_type = ATTACH_READY; /* with a descriptor */
	assert_int_not_equal(try_greeting(greet_other), 0);
}

/* ---- later ----------------------------------------------------------------------------------- */

struct life {
	struct fake_shim shim;
	struct host *host;
	unsigned int quiesced, resumed, reset, closed, lost;
	uint32_t closed_port;
	bool orderly;
};

static void on_quiesce(void *context)
{
	((struct life *)context)->quiesced++;
}

static void on_resume(void *context)
{
	((struct life *)context)->resumed++;
}

static void on_reset(void *context)
{
	((struct life *)context)->reset++;
}

static void on_closed(void *context, uint32_t port)
{
	struct life *t = context;

	t->closed++;
	t->closed_port = port;
}

static void on_lost(void *context, bool orderly)
{
	struct life *t = context;

	t->lost++;
	t->orderly = orderly;
	control_quit(0);
}

static const struct host_ops life_ops = {
	.quiesce = on_quiesce,
	.resume = on_resume,
	.reset = on_reset,
	.channel_closed = on_closed,
	.lost = on_lost,
};

static int open_life(void **state)
{
	struct life *t = calloc(1, sizeof(*t));
	struct host_options options = {.name = "life"};

	fake_shim_init(&t->shim, 1);
	assert_int_equal(control_open(), 0);
	options.fd = fake_shim_start(&t->shim);
	t->host = host_open(&options);
	assert_non_null(t->host);
	host_serve(t->host, &life_ops, t);
	*state = t;
	return 0;
}

static int close_life(void **state)
{
	struct life *t = *state;

	host_close(t->host);
	control_close();
	fake_shim_close(&t->shim);
	free(t);
	return 0;
}

static void test_channels(void **state)
{
	struct life *t = *state;
	struct host_channel a, b;
	uint32_t port = guest_port(&t->shim);
	uint64_t count;

	assert_int_equal(host_bind(t->host, 0, &a), -ENOENT);
	assert_int_equal(host_bind(t->host, SHIM_PORTS, &a), -ENOENT);
	assert_int_equal(host_bind(t->host, SHIM_PORTS - 1, &a), -ENOENT);
	assert_int_equal(host_bind(t->host, port, &a), 0);
	assert_int_equal(host_bind(t->host, port, &b), -EBUSY);
	assert_true(host_take_event(&a)); /* born notified */
	assert_false(host_take_event(&a));
	guest_kick(&t->shim, port);
	assert_true(host_take_event(&a));

	/* A guest without vectors' limit: the eventfd alone. */
	host_notify(t->host, &a);
	assert_true(guest_wait_interrupt(&t->shim, port, 1000));
	assert_int_equal(t->shim.pending->word[0], 0);
	/* Two vectors: port 1 has its own, the next does not. */
	order_store_release(&t->shim.pending->vectors, 2);
	host_notify(t->host, &a);
	assert_int_equal(t->shim.pending->word[0], 0);
	port = guest_port(&t->shim);
	assert_int_equal(port, 2);
	assert_int_equal(host_bind(t->host, port, &b), 0);
	host_notify(t->host, &b);
	assert_int_equal(t->shim.pending->word[0], 1ULL << 2);
	assert_int_equal(read(t->shim.port[2].to, &count, sizeof(count)), 8);
	/* The bit stands, and still the eventfd is written. */
	host_notify(t->host, &b);
	assert_true(guest_wait_interrupt(&t->shim, port, 1000));

	host_unbind(t->host, &a);
	host_unbind(t->host, &a);
	assert_int_equal(t->shim.unbinds, 1);
	assert_int_equal(host_bind(t->host, 1, &a), 0);
	host_unbind(t->host, &a);
	host_unbind(t->host, &b);
}

static void test_claim(void **state)
{
	struct life *life = *state;

	assert_int_equal(host_claim(life->host, "vbd/51712"), 0);
	assert_string_equal(life->shim.claimed, "vbd/51712");
	/* The longest, and one that would claim another's name. */
	assert_int_equal(host_claim(life->host, "vbd/123456789012345678901234567"), 0);
	assert_string_equal(life->shim.claimed, "vbd/123456789012345678901234567");
	assert_int_equal(host_claim(life->host, "vif/1234567890123456789012345678"), -EINVAL);
	assert_string_equal(life->shim.claimed, "vbd/123456789012345678901234567");
	/* A predecessor that ends soon, then one that does not. */
	life->shim.claim_busy = 3;
	assert_int_equal(host_claim(life->host, "vif/0"), 0);
	assert_int_equal(life->shim.claim_busy, 0);
	life->shim.claim_error = -EBUSY;
	assert_int_equal(host_claim(life->host, "vif/0"), -EBUSY);
	assert_int_equal(life->lost, 0);
}

/* All that the shim can tell, in order, and then that it goes. */
static void test_notices(void **state)
{
	struct life *t = *state;
	struct attach_memory region = {.guest_address = 0x900000000ULL, .size = SHIM_REGION};
	struct attach_bind closed = {.guest_port = guest_port(&t->shim)};
	struct host_channel channel;
	unsigned int ms;

	assert_int_equal(host_bind(t->host, closed.guest_port, &channel), 0);
	shim_notice(&t->shim, ATTACH_MEMORY_ADD, &region, sizeof(region), &t->shim.memory_fd, 1);
	shim_notice(&t->shim, ATTACH_CHANNEL_CLOSED, &closed, sizeof(closed), NULL, 0);
	closed.guest_port = 77; /* not ours */
	shim_notice(&t->shim, ATTACH_CHANNEL_CLOSED, &closed, sizeof(closed), NULL, 0);
	shim_notice(&t->shim, ATTACH_GUEST_RESET, NULL, 0, NULL, 0);
	shim_notice(&t->shim, ATTACH_MEMORY_REMOVE, &region, sizeof(region), NULL, 0);
	shim_send_table(&t->shim);
	shutdown(t->shim.fd, SHUT_WR);
	assert_int_equal(control_run(), 0);
	assert_int_equal(t->quiesced, 3);
	assert_int_equal(t->resumed, 3);
	assert_int_equal(t->reset, 1);
	assert_int_equal(t->closed, 1);
	assert_int_equal(t->closed_port, channel.port);
	assert_int_equal(t->lost, 1);
	assert_true(t->orderly);
	for (ms = 0; ms < 1000 && !t->shim.acks[ATTACH_MEMORY_REMOVE]; ms++)
		fake_sleep_ms(1);
	assert_int_equal(t->shim.acks[ATTACH_GUEST_RESET], 1);
	assert_int_equal(t->shim.acks[ATTACH_MEMORY_REMOVE], 1);
	/* Nobody answers any more, and nobody waits for that. */
	host_unbind(t->host, &channel);
	assert_int_equal(host_bind(t->host, 1, &channel), -EPIPE);
}

/* A region that is not there is removed: that is no shim that we know. */
static void test_remove_unknown(void **state)
{
	struct life *t = *state;
	struct attach_memory region = {.guest_address = SHIM_PAGE, .size = SHIM_PAGE};

	shim_notice(&t->shim, ATTACH_MEMORY_REMOVE, &region, sizeof(region), NULL, 0);
	control_run();
	assert_int_equal(t->lost, 1);
	assert_false(t->orderly);
}

/* Talks on and on while we wait for an answer. */
static void test_chatter(void **state)
{
	struct life *t = *state;
	struct attach_bind closed = {.guest_port = 7};
	struct host_channel channel;
	unsigned int i;

	t->shim.bind_silent = true;
	for (i = 0; i < 100; i++)
		shim_notice(&t->shim, ATTACH_CHANNEL_CLOSED, &closed, sizeof(closed), NULL, 0);
	assert_int_equal(host_bind(t->host, guest_port(&t->shim), &channel), -EPIPE);
	control_run();
	assert_int_equal(t->lost, 1);
	assert_false(t->orderly);
}

/* The files behind guest and table shrink under our hands. */
static void test_shrink(void **state)
{
	struct host_pin pin = {0};
	struct life *t;

	/* cmocka has a handler of its own around each function. */
	open_life(state);
	t = *state;
	pin.reference = guest_grant(&t->shim, 0, false);
	assert_int_equal(host_pin(t->host, &pin), 0);
	assert_int_equal(ftruncate(t->shim.memory_fd, 0), 0);
	assert_int_equal(*(volatile uint8_t *)pin.page, 0);
	control_run();
	assert_int_equal(t->lost, 1);
	assert_false(t->orderly);
	host_unpin(t->host, &pin);
	close_life(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_welcome),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_other),
		cmocka_unit_test_setup_teardown(test_channels, open_life, close_life),
		cmocka_unit_test_setup_teardown(test_claim, open_life, close_life),
		cmocka_unit_test_setup_teardown(test_notices, open_life, close_life),
		cmocka_unit_test_setup_teardown(test_remove_unknown, open_life, close_life),
		cmocka_unit_test_setup_teardown(test_chatter, open_life, close_life),
		cmocka_unit_test(test_shrink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
