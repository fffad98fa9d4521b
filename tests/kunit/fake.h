/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The platform under test's own hands: memory that the guest shares with nobody, event channels
 * that are a bitmap, and a store that is a thread.
 */
#ifndef PVKIT_TESTS_KUNIT_FAKE_H
#define PVKIT_TESTS_KUNIT_FAKE_H

#include <kunit/test.h>
#include <linux/types.h>

#include "guest-kernel-module/platform.h"

#define FAKE_PORTS	200
#define FAKE_VECTORS	4 /* that there may be */
#define FAKE_STORE_PORT 1
#define FAKE_GRANTS	2048 /* a queue of the network has more than 512, a device two queues */

struct fake_platform {
	struct pvkit_platform platform;
	DECLARE_BITMAP(bound, FAKE_PORTS);
	unsigned int closes, sleeps, poweroffs, reboots;
	unsigned int masks; /* of vectors that were masked */
	u32 doorbell[FAKE_PORTS];
};

extern struct fake_platform fake;

/* Grants, events; without store and bus. */
int fake_start(void);
/* Those that the next fake_start() has, once; else there is vector 0 for all. */
extern unsigned int fake_vectors;
void fake_stop(void);
/* Expects that nothing is granted or reserved; what a back-end let go of comes back within a second. */
void fake_grants_returned(struct kunit *test);
/*
 * The scan for devices, on top of fake_store_start(). A driver under test is registered by
 * __pvkit_driver_register(…, NULL): while suites run the driver core does not know their module
 * yet.
 */
int fake_bus_start(void);
void fake_bus_stop(void);

/* As a back-end: the port's vector, or bit and vector 0. */
void fake_notify(u32 port);
/* The bit alone. */
void fake_set_pending(u32 port);
/* Vector 0 alone. */
void fake_interrupt(void);

/* ---- the store ------------------------------------------------------------------------------- */

/* How it answers the next requests. */
enum fake_store_mood {
	FAKE_STORE_GOOD,
	FAKE_STORE_SILENT, /* reads requests, answers none */
	FAKE_STORE_STUCK, /* does not even read them */
	FAKE_STORE_OTHER_TYPE, /* another message's answer */
	FAKE_STORE_OTHER_ID, /* somebody else's answer, then the right one */
	FAKE_STORE_TOO_LONG, /* a header that promises more than there may be */
	FAKE_STORE_BAD_INDEX, /* more bytes than the ring has */
	FAKE_STORE_BAD_EVENT, /* events without a token or without an end, then the answer */
};

/* The store and its client, on top of fake_start(). */
int fake_store_start(void);
void fake_store_stop(void);
/* The thread alone. */
void fake_store_mood(enum fake_store_mood mood);
/* Its own hand in the tree; watches see it. @value NULL removes. */
void fake_store_set(const char *path, const char *value);
/* A value, or NULL; points into the tree. */
const char *fake_store_get(const char *path);
unsigned int fake_store_watches(void);
/* That were begun and not ended. */
unsigned int fake_store_transactions(void);
/* So many are others', while nobody else has one. */
void fake_store_take_transactions(unsigned int count);
/* Reads of @path fail by the store's fault, with EIO, until this is NULL. */
void fake_store_fail(const char *path);
/* Writes to @path are answered with @error, until this is NULL. */
void fake_store_refuse(const char *path, const char *error);
/* The next transactions that end in a conflict. */
void fake_store_conflicts(unsigned int count);

#endif
