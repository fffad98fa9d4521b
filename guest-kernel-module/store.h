/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The store client, as pvkit.ko itself sees it; what drivers see is in pvkit.h.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_STORE_H
#define PVKIT_GUEST_KERNEL_MODULE_STORE_H

#include <linux/types.h>

#include "abi/store.h"

struct pvkit_platform;
struct seq_file;

/* Seconds; a parameter of the module. */
extern unsigned int pvkit_store_timeout;

/* Connects. Nothing of an earlier life is left afterwards: no watch, no transaction. */
int pvkit_store_start(struct pvkit_platform *platform);
/* All watches are closed and nobody calls any more. */
void pvkit_store_stop(void);

/* Around a suspend. After resume the connection is a new one, with the watches of before. */
void pvkit_store_suspend(void);
int pvkit_store_resume(void);

/* A piece of a request's payload. */
struct store_part {
	const void *data;
	u32 size;
};

#define STORE_PARTS_MAX 4

/*
 * One request and its reply, which is NUL-terminated and for kfree(); @reply and @length may be
 * NULL. Negative errno: what the store answered; -ETIMEDOUT: nothing; -EIO: the connection broke;
 * -EPROTO: an answer that makes no sense; -E2BIG: more than a message holds.
 */
int pvkit_store_transact(enum store_message type, u32 transaction, const struct store_part *parts,
			 unsigned int count, char **reply, u32 *length);

/* A transaction that its owner could not end: it is ended when the store speaks again. */
void pvkit_store_end_later(u32 transaction);

/* Names below @path, one behind the other, each NUL-terminated; *@end is behind the last. */
char *pvkit_store_directory(const char *path, const char **end);

/* "directory/key", or "directory" where @key is NULL or empty; for kfree(). */
char *pvkit_store_path(const char *directory, const char *key);

void pvkit_store_show(struct seq_file *file);

/* ---- what the client and the watches have between them --------------------------------------- */

/* An event came, in the client's thread. */
void pvkit_watches_event(const char *path, const char *token);
/* The connection is a new one: all watches are made again, and each has an event. */
void pvkit_watches_renew(void);
/* For accounting. */
unsigned int pvkit_watches_count(void);

#endif
