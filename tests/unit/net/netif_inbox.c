// SPDX-License-Identifier: MIT OR GPL-2.0
/* Frames that are handed on between workers: none is lost, torn or out of its giver's order, and no bell. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/net/netif_inbox.h"

#define GIVERS  3
#define FRAMES  20000
#define WAIT_MS 10000

struct giver {
	struct netif_inbox *inbox;
	pthread_t thread;
	uint32_t id;
};

static bool give(struct netif_inbox *inbox, uint32_t id, uint32_t n)
{
	const struct frame_header header = {.gso_size = id};
	uint32_t data[8];
	struct iovec pieces[2] = {{data, 12}, {(uint8_t *)data + 12, sizeof(data) - 12}};

	for (unsigned int i = 0; i < 8; i++)
		data[i] = n;
	return netif_inbox_put(inbox, &header, pieces, 2, sizeof(data));
}

static void *give_all(void *context)
{
	const struct giver *giver = context;

	for (uint32_t n = 0; n < FRAMES; n++)
		while (!give(giver->inbox, giver->id, n))
			sched_yield();
	return NULL;
}

static void check(const struct netif_inbox_slot *slot, uint32_t *next)
{
	uint32_t data[8];

	assert_true(slot->header.gso_size < GIVERS);
	assert_int_equal(slot->bytes, sizeof(data));
	memcpy(data, slot->frame, sizeof(data));
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(data[i], next[slot->header.gso_size]);
	next[slot->header.gso_size]++;
}

/* Sleeps whenever there is nothing: a bell that was lost ends in WAIT_MS. */
static void test_threads(void **state)
{
	struct netif_inbox *inbox = netif_inbox_new();
	struct giver giver[GIVERS];
	struct pollfd bell = {.fd = inbox->bell, .events = POLLIN};
	const struct netif_inbox_slot *slot;
	uint32_t next[GIVERS] = {0}, got = 0;
	uint64_t count;

	for (uint32_t i = 0; i < GIVERS; i++) {
		giver[i] = (struct giver){.inbox = inbox, .id = i};
		assert_int_equal(pthread_create(&giver[i].thread, NULL, give_all, &giver[i]), 0);
	}
	while (got < GIVERS * FRAMES) {
		slot = netif_inbox_first(inbox);
		if (slot) {
			check(slot, next);
			netif_inbox_take(inbox);
			got++;
			continue;
		}
		assert_int_equal(poll(&bell, 1, WAIT_MS), 1);
		assert_int_equal(read(inbox->bell, &count, sizeof(count)), sizeof(count));
	}
	for (uint32_t i = 0; i < GIVERS; i++)
		pthread_join(giver[i].thread, NULL);
	assert_null(netif_inbox_first(inbox));
	netif_inbox_free(inbox);
}

static void test_full(void **state)
{
	struct netif_inbox *inbox = netif_inbox_new();
	const struct frame_header header = {0};
	static uint8_t data[FRAME_BYTES_MAX + 1];
	struct iovec piece = {data, sizeof(data)};
	uint32_t next[GIVERS] = {0};

	assert_false(netif_inbox_put(inbox, &header, &piece, 1, sizeof(data)));
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < NETIF_INBOX_SLOTS; i++)
			assert_true(give(inbox, 1, round * NETIF_INBOX_SLOTS + i));
		assert_false(give(inbox, 1, 0));
		for (uint32_t i = 0; i < NETIF_INBOX_SLOTS; i++) {
			check(netif_inbox_first(inbox), next);
			netif_inbox_take(inbox);
		}
		assert_null(netif_inbox_first(inbox));
	}
	assert_true(netif_inbox_put(inbox, &header, &piece, 1, sizeof(data) - 1));
	netif_inbox_free(inbox);
	netif_inbox_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
