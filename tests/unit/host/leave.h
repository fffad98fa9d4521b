/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest that goes, in whatever state its front-end is, leaves nothing of itself on the host: no grant
 * in use, no port, no descriptor, no thread; and its back-end serves the next one, or has ended in order.
 * Every state times every way to go, for every kind of device.
 *
 * Each once settled, the back-end having followed to that state, and once in haste: the guest goes
 * while the back-end is at it.
 */
#ifndef PVKIT_TESTS_UNIT_HOST_LEAVE_H
#define PVKIT_TESTS_UNIT_HOST_LEAVE_H

#include "fake_shim.h"

#include <dirent.h>

/* A device; its guest is known by its fake shim, which is the guest's first member. */
struct leave_kind {
	const char *front, *back; /* directories */
	/* A back-end that waits for a front-end. */
	struct fake_shim *(*open)(void);
	/* The front-end's keys, rings and ports, all new ones. */
	void (*publish)(struct fake_shim *shim);
	/* Requests, on rings that perhaps nobody serves; nobody waits for answers. */
	void (*ask)(struct fake_shim *shim);
	/* No queue runs, as far as the device can tell. */
	bool (*stopped)(struct fake_shim *shim);
	/* One request that is answered well. */
	void (*serve)(struct fake_shim *shim);
	/* The daemon has ended, or ends now, with status 0. */
	void (*close)(struct fake_shim *shim);
};

enum leave_way {
	LEAVE_REMOVED, /* its directory is */
	LEAVE_RESET, /* the machine is reset */
	LEAVE_CLOSED, /* its state says so */
	LEAVE_UNPLUGGED, /* the administrator takes the device away, and the guest does not answer */
	LEAVE_LOST, /* the domain is gone, and the shim with it */
	LEAVE_WAYS
};

#define LEAVE_STATES 6 /* Initialising to Closed */

struct leave_cell {
	const struct leave_kind *kind;
	unsigned int state;
	enum leave_way way;
	bool haste;
	char name[64];
};

/* ---- what is left ---------------------------------------------------------------------------- */

struct leave_count {
	unsigned int files, threads;
};

static inline unsigned int leave_entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static inline struct leave_count leave_count(void)
{
	return (struct leave_count){leave_entries("/proc/self/fd"),
				    leave_entries("/proc/self/task")};
}

/* A thread is listed for a moment after it was joined. */
static inline void leave_check_count(struct leave_count wanted)
{
	struct leave_count now = leave_count();
	unsigned int ms;

	for (ms = 0; ms < FAKE_WAIT_MS && memcmp(&now, &wanted, sizeof(now)) != 0; ms++) {
		fake_sleep_ms(1);
		now = leave_count();
	}
	assert_int_equal(now.files, wanted.files);
	assert_int_equal(now.threads, wanted.threads);
}

/* The daemon has ended by itself: its thread, and those of the shim and the store that it talked to. */
static inline void leave_check_ended(struct leave_count idle)
{
	unsigned int ms;

	for (ms = 0; ms < FAKE_WAIT_MS && leave_count().threads != idle.threads - 3; ms++)
		fake_sleep_ms(1);
	assert_int_equal(leave_count().threads, idle.threads - 3);
}

static inline void leave_check_nothing(const struct leave_kind *kind, struct fake_shim *shim)
{
	unsigned int i;

	assert_true(kind->stopped(shim));
	shim_check_unpinned(shim);
	for (i = 0; i < SHIM_PORTS; i++)
		assert_false(shim->port[i].bound);
}

/* ---- coming ---------------------------------------------------------------------------------- */

static inline void leave_set_state(const struct leave_kind *kind, struct fake_shim *shim,
				   unsigned int state)
{
	char value[4];

	snprintf(value, sizeof(value), "%u", state);
	store_set(&shim->store, value, "%s/state", kind->front);
}

static inline void leave_wait_back(const struct leave_kind *kind, struct fake_shim *shim,
				   const char *state)
{
	char path[FAKE_TEXT];

	snprintf(path, sizeof(path), "%s/state", kind->back);
	assert_true(store_wait(&shim->store, path, state));
}

/* The front-end gets to its state by those before; the last step is the one that may be in haste. */
static inline void leave_come(const struct leave_cell *cell, struct fake_shim *shim)
{
	/* What the back-end does about each. */
	static const char *const back[] = {NULL, "2", "2", "4", "4", "6", "6"};
	unsigned int state;

	for (state = STORE_STATE_INITIALISING; state <= cell->state; state++) {
		/* InitWait is the back-end's own: a front-end that says it says nothing. */
		if (state == STORE_STATE_INIT_WAIT && cell->state != STORE_STATE_INIT_WAIT)
			continue;
		leave_set_state(cell->kind, shim, state);
		if (state < cell->state || !cell->haste)
			leave_wait_back(cell->kind, shim, back[state]);
	}
}

/* ---- going ----------------------------------------------------------------------------------- */

/* As the shim does it: ports, the notice, and when that is acknowledged grants and directories. */
static inline void leave_reset(const struct leave_kind *kind, struct fake_shim *shim)
{
	const unsigned int acks = shim->acks[ATTACH_GUEST_RESET];
	char path[FAKE_TEXT];
	unsigned int i;

	for (i = 0; i < SHIM_PORTS; i++)
		shim->port[i].unbound = false;
	shim_notice(shim, ATTACH_GUEST_RESET, NULL, 0, NULL, 0);
	for (i = 0; i < FAKE_WAIT_MS && shim->acks[ATTACH_GUEST_RESET] == acks; i++)
		fake_sleep_ms(1);
	assert_int_equal(shim->acks[ATTACH_GUEST_RESET], acks + 1);
	leave_check_nothing(kind, shim);
	for (i = 0; i < SHIM_GRANTS; i++)
		guest_set_grant(shim, i, 0, 0, 0);
	snprintf(path, sizeof(path), "%s/state", kind->front);
	pthread_mutex_lock(&shim->store.lock);
	fake_store_drop(&shim->store, kind->front);
	fake_store_put(&shim->store, path, "1");
	pthread_mutex_unlock(&shim->store.lock);
	leave_wait_back(kind, shim, "2");
}

static inline void leave_go(const struct leave_cell *cell, struct fake_shim *shim)
{
	const struct leave_kind *kind = cell->kind;

	switch (cell->way) {
	case LEAVE_REMOVED:
		store_drop(&shim->store, kind->front);
		leave_wait_back(kind, shim, "6");
		break;
	case LEAVE_RESET:
		leave_reset(kind, shim);
		break;
	case LEAVE_CLOSED:
		leave_set_state(kind, shim, STORE_STATE_CLOSED);
		leave_wait_back(kind, shim, "6");
		break;
	case LEAVE_UNPLUGGED:
		store_set(&shim->store, "0", "%s/online", kind->back);
		store_drop(&shim->store, kind->front);
		leave_wait_back(kind, shim, "");
		break;
	default:
		fake_shim_stop(shim);
		fake_store_disconnect(&shim->store);
		break;
	}
}

static inline void leave_next(const struct leave_kind *kind, struct fake_shim *shim)
{
	leave_set_state(kind, shim, STORE_STATE_INITIALISING);
	leave_wait_back(kind, shim, "2");
	kind->publish(shim);
	leave_set_state(kind, shim, STORE_STATE_INITIALISED);
	leave_wait_back(kind, shim, "4");
	kind->serve(shim);
}

/* ---- the matrix ------------------------------------------------------------------------------ */

static inline void leave_test(void **state)
{
	const struct leave_cell *cell = *state;
	const struct leave_count before = leave_count();
	struct fake_shim *shim = cell->kind->open();
	struct leave_count idle;

	cell->kind->publish(shim);
	cell->kind->ask(shim);
	idle = leave_count();
	leave_come(cell, shim);
	leave_go(cell, shim);
	if (cell->way < LEAVE_UNPLUGGED) {
		leave_check_count(idle);
		leave_check_nothing(cell->kind, shim);
		leave_next(cell->kind, shim);
	} else if (cell->way == LEAVE_UNPLUGGED) {
		leave_check_ended(idle);
		leave_check_nothing(cell->kind, shim);
	}
	cell->kind->close(shim);
	leave_check_count(before);
}

static const struct leave_kind *leave_first;

/* What is made once in a process, and stays, is there before anything is counted. */
static inline int leave_warm_up(void **state)
{
	leave_first->close(leave_first->open());
	return 0;
}

static inline int leave_run(const struct leave_kind *kind)
{
	static const char *const states[] = {"",          "Initialising", "InitWait", "Initialised",
					     "Connected", "Closing",      "Closed"};
	static const char *const ways[] = {"directory removed", "machine reset", "says Closed",
					   "unplugged", "domain gone"};
	static struct leave_cell cells[LEAVE_STATES * LEAVE_WAYS * 2];
	struct CMUnitTest tests[LEAVE_STATES * LEAVE_WAYS * 2];
	unsigned int i;

	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		struct leave_cell *cell = &cells[i];

		cell->kind = kind;
		cell->haste = i & 1;
		cell->way = i / 2 % LEAVE_WAYS;
		cell->state = 1 + i / 2 / LEAVE_WAYS;
		snprintf(cell->name, sizeof(cell->name), "%s, %s%s", states[cell->state],
			 ways[cell->way], cell->haste ? " in haste" : "");
		tests[i] = (struct CMUnitTest){
			.name = cell->name, .test_func = leave_test, .initial_state = cell};
	}
	leave_first = kind;
	return cmocka_run_group_tests(tests, leave_warm_up, NULL);
}

#endif
