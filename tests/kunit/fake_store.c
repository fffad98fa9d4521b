// SPDX-License-Identifier: GPL-2.0
/*
 * The store that the tests are: a flat tree, one thread, and the moods of a hostile one.
 */
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/store.h"
#include "ring/order.h"
#include "tests/kunit/fake.h"

#define NODES	96
#define WATCHES 32
#define HOME	"/local/domain/1/"

struct fake_node {
	char *path, *value;
};

struct fake_watch {
	char *path; /* as it was asked for */
	char *token;
};

static struct {
	struct mutex lock; /* tree and watches */
	struct task_struct *thread;
	struct fake_node node[NODES];
	struct fake_watch watch[WATCHES];
	enum fake_store_mood mood;
	unsigned int conflicts, transactions;
	const char *failing, *refusing, *refusal; /* the test's */
	u32 consumer, producer;
	bool broken; /* it broke the ring itself, and waits for a reconnection */
	bool connected; /* to the client under test */
	bool ending; /* nobody takes what it says any more */
	char payload[STORE_PAYLOAD_MAX + 1];
} store = {
	.lock = __MUTEX_INITIALIZER(store.lock),
};

/* ---- ring ------------------------------------------------------------------------------------ */

/*
 * Not kthread_should_stop(): tests say things with the store's mouth too, and the end of a case that
 * was aborted runs in the process that loads the module, which is no kthread.
 */
static bool ends(void)
{
	return READ_ONCE(store.ending);
}

static void notify(void)
{
	fake_notify(FAKE_STORE_PORT);
}

static bool reset_asked(void)
{
	struct store_ring_page *page = fake.platform.store_page;

	if (order_load_acquire(&page->connection) != STORE_RECONNECT)
		return false;
	page->request_consumer = page->request_producer = 0;
	page->response_consumer = page->response_producer = 0;
	store.consumer = store.producer = 0;
	store.broken = false;
	store.mood = FAKE_STORE_GOOD;
	order_store_release(&page->connection, STORE_CONNECTED);
	notify();
	return true;
}

/* False: the connection is a new one, or the thread ends. */
static bool get(void *data, u32 size)
{
	struct store_ring_page *page = fake.platform.store_page;
	u8 *byte = data;

	while (size) {
		if (ends() || reset_asked())
			return false;
		if (READ_ONCE(store.mood) == FAKE_STORE_STUCK || store.broken ||
		    order_load_acquire(&page->request_producer) == store.consumer) {
			yield();
			continue;
		}
		*byte++ = page->request[store.consumer++ % STORE_RING_BYTES];
		size--;
		order_store_release(&page->request_consumer, store.consumer);
		if (!size || store.consumer % 256 == 0)
			notify();
	}
	return true;
}

static void put(const void *data, u32 size)
{
	struct store_ring_page *page = fake.platform.store_page;
	const u8 *byte = data;

	while (size) {
		if (ends() || order_load_acquire(&page->connection) == STORE_RECONNECT)
			return;
		if (store.producer - order_load_acquire(&page->response_consumer) ==
		    STORE_RING_BYTES) {
			yield();
			continue;
		}
		page->response[store.producer++ % STORE_RING_BYTES] = *byte++;
		size--;
		order_store_release(&page->response_producer, store.producer);
		if (!size || store.producer % 256 == 0)
			notify();
	}
}

static void put_message(u32 type, u32 request, const void *data, u32 size)
{
	struct store_header header = { .type = type, .request = request, .length = size };

	put(&header, sizeof(header));
	put(data, size);
}

/* ---- tree ------------------------------------------------------------------------------------ */

static char *absolute(const char *path)
{
	return kasprintf(GFP_KERNEL, "%s%s", *path == '/' ? "" : HOME, path);
}

/* Whether @path is @root or below it. */
static bool below(const char *path, const char *root)
{
	size_t length = strlen(root);

	return !strncmp(path, root, length) && (!path[length] || path[length] == '/');
}

static struct fake_node *find_node(const char *path)
{
	unsigned int i;

	for (i = 0; i < NODES; i++)
		if (store.node[i].path && !strcmp(store.node[i].path, path))
			return &store.node[i];
	return NULL;
}

/* A parent exists by its children. */
static bool exists(const char *path)
{
	unsigned int i;

	for (i = 0; i < NODES; i++)
		if (store.node[i].path && below(store.node[i].path, path))
			return true;
	return false;
}

static void send_event(const struct fake_watch *watch, const char *path)
{
	char text[256];
	u32 size;

	/* A relative watch hears relative paths. */
	if (*watch->path != '/' && below(path, "/local/domain/1"))
		path += strlen(HOME);
	size = snprintf(text, sizeof(text), "%s%c%s", path, 0, watch->token) + 1;
	put_message(STORE_WATCH_EVENT, 0, text, size);
}

static void fire(const char *path)
{
	unsigned int i;

	for (i = 0; i < WATCHES; i++) {
		char *root;

		if (!store.watch[i].path)
			continue;
		root = absolute(store.watch[i].path);
		if (below(path, root) || below(root, path))
			send_event(&store.watch[i], path);
		kfree(root);
	}
}

static void set_node(const char *path, const char *value)
{
	struct fake_node *node = find_node(path);
	unsigned int i;

	for (i = 0; i < NODES && !node; i++)
		if (!store.node[i].path)
			node = &store.node[i];
	if (!node)
		return;
	kfree(node->value);
	node->value = kstrdup(value, GFP_KERNEL);
	if (!node->path)
		node->path = kstrdup(path, GFP_KERNEL);
}

static bool remove_nodes(const char *path)
{
	bool found = false;
	unsigned int i;

	for (i = 0; i < NODES; i++) {
		if (!store.node[i].path || !below(store.node[i].path, path))
			continue;
		kfree(store.node[i].path);
		kfree(store.node[i].value);
		store.node[i] = (struct fake_node){};
		found = true;
	}
	return found;
}

/* The names below @path, each once. */
static u32 list_names(const char *path, char *to)
{
	size_t length = strlen(path);
	unsigned int i;
	u32 size = 0, at;

	for (i = 0; i < NODES; i++) {
		const char *name = store.node[i].path;
		size_t end;

		if (!name || !below(name, path) || !name[length])
			continue;
		name += length + 1;
		end = strcspn(name, "/");
		for (at = 0; at < size; at += strlen(to + at) + 1)
			if (strlen(to + at) == end && !strncmp(to + at, name, end))
				break;
		if (at < size)
			continue;
		memcpy(to + size, name, end);
		to[size + end] = 0;
		size += end + 1;
	}
	return size;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void forget_watch(struct fake_watch *watch)
{
	kfree(watch->path);
	kfree(watch->token);
	*watch = (struct fake_watch){};
}

static void add_watch(const char *path, const char *token)
{
	unsigned int i;

	for (i = 0; i < WATCHES && store.watch[i].path; i++)
		;
	if (i == WATCHES)
		return;
	store.watch[i].path = kstrdup(path, GFP_KERNEL);
	store.watch[i].token = kstrdup(token, GFP_KERNEL);
	send_event(&store.watch[i], path);
}

static void remove_watch(const char *path, const char *token)
{
	unsigned int i;

	for (i = 0; i < WATCHES; i++)
		if (store.watch[i].path && !strcmp(store.watch[i].path, path) &&
		    !strcmp(store.watch[i].token, token))
			forget_watch(&store.watch[i]);
}

static void say(const struct store_header *header, const char *text)
{
	put_message(header->type, header->request, text, strlen(text) + 1);
}

static void refuse(const struct store_header *header, const char *error)
{
	put_message(STORE_ERROR, header->request, error, strlen(error) + 1);
}

static void serve(const struct store_header *header)
{
	const char *path = store.payload, *rest = path + strlen(path) + 1;
	char *whole = absolute(path), *names;
	struct fake_node *node = find_node(whole);
	unsigned int i;

	switch (header->type) {
	case STORE_READ:
		if (store.failing && !strcmp(whole, store.failing))
			refuse(header, STORE_EIO);
		else if (node)
			put_message(STORE_READ, header->request, node->value, strlen(node->value));
		else if (exists(whole))
			put_message(STORE_READ, header->request, "", 0);
		else
			refuse(header, STORE_ENOENT);
		break;
	case STORE_WRITE:
		if (store.refusing && !strcmp(whole, store.refusing)) {
			refuse(header, store.refusal);
			break;
		}
		set_node(whole, rest);
		fire(whole);
		say(header, "OK");
		break;
	case STORE_RM:
		if (remove_nodes(whole)) {
			fire(whole);
			say(header, "OK");
		} else {
			refuse(header, STORE_ENOENT);
		}
		break;
	case STORE_DIRECTORY:
		names = kzalloc(STORE_PAYLOAD_MAX, GFP_KERNEL);
		if (exists(whole))
			put_message(STORE_DIRECTORY, header->request, names,
				    list_names(whole, names));
		else
			refuse(header, STORE_ENOENT);
		kfree(names);
		break;
	case STORE_WATCH:
		say(header, "OK");
		add_watch(path, rest);
		break;
	case STORE_UNWATCH:
		remove_watch(path, rest);
		say(header, "OK");
		break;
	case STORE_RESET_WATCHES:
		for (i = 0; i < WATCHES; i++)
			forget_watch(&store.watch[i]);
		say(header, "OK");
		break;
	case STORE_TRANSACTION_START:
		if (store.transactions >= STORE_QUOTA_TRANSACTIONS) {
			refuse(header, STORE_ENOSPC);
			break;
		}
		store.transactions++;
		say(header, "7");
		break;
	case STORE_TRANSACTION_END:
		store.transactions--;
		if (store.conflicts && store.conflicts--)
			refuse(header, STORE_EAGAIN);
		else
			say(header, "OK");
		break;
	default:
		refuse(header, STORE_ENOSYS);
	}
	kfree(whole);
}

/* What a hostile store does before, or instead of, the right answer. */
static bool behave(const struct store_header *header)
{
	struct store_header bad = { .type = STORE_READ, .request = header->request };

	switch (READ_ONCE(store.mood)) {
	case FAKE_STORE_SILENT:
		return false;
	case FAKE_STORE_OTHER_TYPE:
		put_message(STORE_MKDIR, header->request, "OK", 3);
		return false;
	case FAKE_STORE_OTHER_ID:
		put_message(header->type, header->request + 77, "no", 3);
		put_message(STORE_ERROR, header->request - 1, STORE_ENOENT, 7);
		return true;
	case FAKE_STORE_TOO_LONG:
		bad.length = STORE_PAYLOAD_MAX + 1;
		store.broken = true;
		put(&bad, sizeof(bad));
		return false;
	case FAKE_STORE_BAD_INDEX:
		store.broken = true;
		order_store_release(&fake.platform.store_page->response_producer,
				    store.producer + STORE_RING_BYTES + 1);
		notify();
		return false;
	case FAKE_STORE_BAD_EVENT:
		put_message(STORE_WATCH_EVENT, 0, "", 0);
		put_message(STORE_WATCH_EVENT, 0, "path", 5);
		put_message(STORE_WATCH_EVENT, 0, "path", 4);
		put_message(STORE_WATCH_EVENT, 0, "path\0notanumber", 15);
		put_message(STORE_WATCH_EVENT, 0, "path\0" "99999999", 13);
		return true;
	default:
		return true;
	}
}

static int run(void *context)
{
	struct store_header header;

	while (!kthread_should_stop()) {
		if (ends()) {
			yield();
			continue;
		}
		if (!get(&header, sizeof(header)) || !get(store.payload, header.length))
			continue;
		store.payload[header.length] = 0;
		mutex_lock(&store.lock);
		if (behave(&header))
			serve(&header);
		mutex_unlock(&store.lock);
	}
	return 0;
}

/* ---- for tests ------------------------------------------------------------------------------- */

void fake_store_mood(enum fake_store_mood mood)
{
	WRITE_ONCE(store.mood, mood);
}
EXPORT_SYMBOL_GPL(fake_store_mood);

void fake_store_set(const char *path, const char *value)
{
	mutex_lock(&store.lock);
	if (value)
		set_node(path, value);
	else
		remove_nodes(path);
	fire(path);
	mutex_unlock(&store.lock);
}
EXPORT_SYMBOL_GPL(fake_store_set);

void fake_store_fail(const char *path)
{
	mutex_lock(&store.lock);
	store.failing = path;
	mutex_unlock(&store.lock);
}
EXPORT_SYMBOL_GPL(fake_store_fail);

void fake_store_refuse(const char *path, const char *error)
{
	mutex_lock(&store.lock);
	store.refusing = path;
	store.refusal = error;
	mutex_unlock(&store.lock);
}
EXPORT_SYMBOL_GPL(fake_store_refuse);

const char *fake_store_get(const char *path)
{
	struct fake_node *node;

	mutex_lock(&store.lock);
	node = find_node(path);
	mutex_unlock(&store.lock);
	return node ? node->value : NULL;
}
EXPORT_SYMBOL_GPL(fake_store_get);

unsigned int fake_store_transactions(void)
{
	return READ_ONCE(store.transactions);
}
EXPORT_SYMBOL_GPL(fake_store_transactions);

void fake_store_take_transactions(unsigned int count)
{
	WRITE_ONCE(store.transactions, count);
}
EXPORT_SYMBOL_GPL(fake_store_take_transactions);

unsigned int fake_store_watches(void)
{
	unsigned int i, count = 0;

	mutex_lock(&store.lock);
	for (i = 0; i < WATCHES; i++)
		count += store.watch[i].path != NULL;
	mutex_unlock(&store.lock);
	return count;
}
EXPORT_SYMBOL_GPL(fake_store_watches);

void fake_store_conflicts(unsigned int count)
{
	WRITE_ONCE(store.conflicts, count);
}
EXPORT_SYMBOL_GPL(fake_store_conflicts);

int fake_store_start(void)
{
	int error;

	fake.platform.store_page->features = STORE_FEATURE_RECONNECTION | STORE_FEATURE_ERROR;
	store.consumer = store.producer = 0;
	store.mood = FAKE_STORE_GOOD;
	store.broken = store.ending = store.connected = false;
	store.conflicts = store.transactions = 0;
	pvkit_store_timeout = 1;
	pvkit_bus_again = HZ / 10;
	store.thread = kthread_run(run, NULL, "fake-store");
	if (IS_ERR(store.thread)) {
		error = PTR_ERR(store.thread);
		store.thread = NULL;
		return error;
	}
	error = pvkit_store_start(&fake.platform);
	store.connected = !error;
	return error;
}
EXPORT_SYMBOL_GPL(fake_store_start);

void fake_store_stop(void)
{
	unsigned int i;

	if (store.connected)
		pvkit_store_stop();
	store.connected = false;
	WRITE_ONCE(store.ending, true);
	if (store.thread)
		kthread_stop(store.thread);
	store.thread = NULL;
	store.failing = store.refusing = NULL;
	remove_nodes("");
	for (i = 0; i < WATCHES; i++)
		forget_watch(&store.watch[i]);
}
EXPORT_SYMBOL_GPL(fake_store_stop);
