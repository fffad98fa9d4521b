// SPDX-License-Identifier: GPL-2.0
/*
 * The store's calls, as drivers make them.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "guest-kernel-module/pvkit.h"
#include "guest-kernel-module/store.h"

char *pvkit_store_path(const char *directory, const char *key)
{
	if (!key || !*key)
		return kstrdup(directory, GFP_KERNEL);
	return kasprintf(GFP_KERNEL, "%s/%s", directory, key);
}

/* A call whose payload is a path, with or without something behind it. */
static int call_path(enum store_message type, u32 transaction, const char *directory,
		     const char *key, struct store_part rest, char **reply, u32 *length)
{
	char *path = pvkit_store_path(directory, key);
	struct store_part parts[2];
	int error;

	if (!path)
		return -ENOMEM;
	parts[0] = (struct store_part){ path, strlen(path) + 1 };
	parts[1] = rest;
	error = pvkit_store_transact(type, transaction, parts, ARRAY_SIZE(parts), reply, length);
	kfree(path);
	return error;
}

/* Whoever else writes there often enough to make us begin again this often wants to. */
#define COMMIT_TRIES 16

static const struct store_part nothing = { "", 0 };

/*
 * The store refuses a guest more at once, as if its quota of nodes were used up; devices that shake
 * hands at the same time, each in a work of its own, may well want more.
 */
static struct semaphore transactions =
	__SEMAPHORE_INITIALIZER(transactions, STORE_QUOTA_TRANSACTIONS);

static int start_transaction(struct pvkit_store_transaction *transaction)
{
	static const struct store_part empty = { "", 1 };
	char *reply;
	int error;

	error = pvkit_store_transact(STORE_TRANSACTION_START, 0, &empty, 1, &reply, NULL);
	/* Others of this guest have them all, or ours that nobody could end yet: it will pass. */
	if (error == -ENOSPC)
		error = -EBUSY;
	if (error)
		return error;
	error = kstrtou32(reply, 10, &transaction->id);
	kfree(reply);
	if (error || !transaction->id)
		return -EPROTO;
	return 0;
}

int pvkit_store_begin(struct pvkit_store_transaction *transaction)
{
	int error;

	down(&transactions);
	error = start_transaction(transaction);
	if (error)
		up(&transactions);
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_store_begin);

int pvkit_store_end(struct pvkit_store_transaction transaction, bool abort)
{
	struct store_part part = { abort ? "F" : "T", 2 };
	int error;

	error = pvkit_store_transact(STORE_TRANSACTION_END, transaction.id, &part, 1, NULL, NULL);
	/* The store may not have got it. */
	if (error == -ETIMEDOUT)
		pvkit_store_end_later(transaction.id);
	up(&transactions);
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_store_end);

static int try_commit(int (*write)(struct pvkit_store_transaction transaction, void *context),
		      void *context)
{
	struct pvkit_store_transaction transaction;
	int error, end;

	error = pvkit_store_begin(&transaction);
	if (error)
		return error;
	error = write(transaction, context);
	end = pvkit_store_end(transaction, error != 0);
	return error ?: end;
}

int pvkit_store_commit(int (*write)(struct pvkit_store_transaction transaction, void *context),
		       void *context)
{
	unsigned int tries;
	int error = -EAGAIN;

	for (tries = 0; tries < COMMIT_TRIES && error == -EAGAIN; tries++)
		error = try_commit(write, context);
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_store_commit);

char *pvkit_store_read(struct pvkit_store_transaction transaction, const char *directory,
		       const char *key, unsigned int *length)
{
	char *reply;
	int error;

	error = call_path(STORE_READ, transaction.id, directory, key, nothing, &reply, length);
	return error ? ERR_PTR(error) : reply;
}
EXPORT_SYMBOL_GPL(pvkit_store_read);

int pvkit_store_read_number(struct pvkit_store_transaction transaction, const char *directory,
			    const char *key, u64 max, u64 *number)
{
	char *value = pvkit_store_read(transaction, directory, key, NULL);
	u64 read;
	int error;

	if (IS_ERR(value))
		return PTR_ERR(value);
	/* kstrtoull() takes a plus and a newline too; numbers in a store have digits. */
	error = isdigit(*value) ? kstrtoull(value, 10, &read) : -EINVAL;
	kfree(value);
	if (error || read > max)
		return -ERANGE;
	*number = read;
	return 0;
}
EXPORT_SYMBOL_GPL(pvkit_store_read_number);

u64 pvkit_store_read_offer(const char *directory, const char *key, u64 max, u64 otherwise,
			   int *error)
{
	u64 number;
	int failure = pvkit_store_read_number(PVKIT_STORE_NONE, directory, key, max, &number);

	if (!failure)
		return number;
	if (!pvkit_store_absent(failure))
		*error = failure;
	return otherwise;
}
EXPORT_SYMBOL_GPL(pvkit_store_read_offer);

u64 pvkit_store_read_number_or(const char *directory, const char *key, u64 max, u64 otherwise)
{
	int error;

	return pvkit_store_read_offer(directory, key, max, otherwise, &error);
}
EXPORT_SYMBOL_GPL(pvkit_store_read_number_or);

int pvkit_store_write(struct pvkit_store_transaction transaction, const char *directory,
		      const char *key, const char *format, ...)
{
	va_list arguments;
	char *value;
	int error;

	va_start(arguments, format);
	value = kvasprintf(GFP_KERNEL, format, arguments);
	va_end(arguments);
	if (!value)
		return -ENOMEM;
	error = call_path(STORE_WRITE, transaction.id, directory, key,
			  (struct store_part){ value, strlen(value) }, NULL, NULL);
	kfree(value);
	return error;
}
EXPORT_SYMBOL_GPL(pvkit_store_write);

int pvkit_store_remove(struct pvkit_store_transaction transaction, const char *directory,
		       const char *key)
{
	return call_path(STORE_RM, transaction.id, directory, key, nothing, NULL, NULL);
}
EXPORT_SYMBOL_GPL(pvkit_store_remove);

int pvkit_store_clear(struct pvkit_store_transaction transaction, const char *directory,
		      const char *key)
{
	int error = pvkit_store_remove(transaction, directory, key);

	return error == -ENOENT ? 0 : error;
}
EXPORT_SYMBOL_GPL(pvkit_store_clear);

char *pvkit_store_directory(const char *path, const char **end)
{
	char *reply;
	u32 length;
	int error;

	error = call_path(STORE_DIRECTORY, 0, path, NULL, nothing, &reply, &length);
	if (error)
		return ERR_PTR(error);
	*end = reply + length;
	return reply;
}
