// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/toolstack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/blkif.h"
#include "abi/netif.h"
#include "abi/store.h"
#include "common/ethernet.h"
#include "common/log.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/toolstack_client.h"

#define TRIES_MAX 16 /* of a transaction that others disturb */

/* Linux: major 202 has 16 disks of 16 minors; further ones are numbered by 256, with a bit. */
#define DISKS_OF_MAJOR 16
#define DISK_FIRST     (202U << 8)
#define DISK_MINORS    16U
#define DISK_EXTENDED  (1U << 28)

static struct {
	struct toolstack_device device[TOOLSTACK_DEVICES_MAX];
	unsigned int count;
	bool linux_guest;
	unsigned int vcpus; /* of that */
} toolstack;

unsigned int toolstack_disk_id(unsigned int number)
{
	if (number < DISKS_OF_MAJOR)
		return DISK_FIRST + number * DISK_MINORS;
	return DISK_EXTENDED | number << 8;
}

/* One directory of a device, being written. */
struct directory {
	struct toolstack_client *client;
	char path[128];
};

static void put(const struct directory *directory, const char *key, const char *value)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", directory->path, key);
	toolstack_client_write(directory->client, path, value);
}

static void put_number(const struct directory *directory, const char *key, uint64_t number)
{
	char value[24];

	snprintf(value, sizeof(value), "%llu", (unsigned long long)number);
	put(directory, key, value);
}

static bool is_disk(const struct toolstack_device *device)
{
	return !strncmp(device->name, "vbd/", 4);
}

static const char *id_of(const struct toolstack_device *device)
{
	return strchr(device->name, '/') + 1;
}

static void front_path(char path[128], const char *name)
{
	snprintf(path, 128, "/local/domain/%u/device/%s", PV_GUEST, name);
}

/* "vbd/51712" is .../backend/vbd/1/51712. */
static void back_path(char path[128], const char *name)
{
	const char *id = strchr(name, '/');

	snprintf(path, 128, "/local/domain/%u/backend/%.*s/%u%s", PV_BACKEND, (int)(id - name),
		 name, PV_GUEST, id);
}

static void put_mac(const struct directory *directory, const uint8_t *mac)
{
	char value[18];

	snprintf(value, sizeof(value), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	put(directory, NETIF_KEY_MAC, value);
}

/* Whoever plugged it in need not have given it one. */
static bool has_mac(const struct toolstack_device *device)
{
	static const uint8_t none[sizeof(device->mac)];

	return memcmp(device->mac, none, sizeof(none)) != 0;
}

static void put_rate(const struct directory *directory, const struct toolstack_device *device)
{
	char value[48];

	if (!device->rate_us)
		return;
	snprintf(value, sizeof(value), "%llu,%llu", (unsigned long long)device->rate_bytes,
		 (unsigned long long)device->rate_us);
	put(directory, NETIF_KEY_RATE, value);
}

/* State comes last, so that who is told of it by a watch finds the rest. */
static void put_front(struct toolstack_client *client, const struct toolstack_device *device)
{
	struct directory front = {.client = client};
	char back[128];

	front_path(front.path, device->name);
	back_path(back, device->name);
	toolstack_client_remove(client, front.path);
	toolstack_client_directory(client, front.path, PV_GUEST, PV_BACKEND);
	put(&front, STORE_KEY_BACKEND, back);
	put_number(&front, STORE_KEY_BACKEND_ID, PV_BACKEND);
	if (is_disk(device)) {
		put(&front, BLKIF_KEY_VIRTUAL_DEVICE, id_of(device));
		put(&front, BLKIF_KEY_DEVICE_TYPE, "disk");
	} else {
		put(&front, "handle", id_of(device));
		if (has_mac(device))
			put_mac(&front, device->mac);
		if (device->mtu)
			put_number(&front, NETIF_KEY_MTU, device->mtu);
	}
	put_number(&front, STORE_KEY_STATE, STORE_STATE_INITIALISING);
}

static void put_back(struct toolstack_client *client, const struct toolstack_device *device)
{
	struct directory back = {.client = client};
	char front[128];

	back_path(back.path, device->name);
	front_path(front, device->name);
	toolstack_client_directory(client, back.path, PV_BACKEND, PV_GUEST);
	put(&back, STORE_KEY_FRONTEND, front);
	put_number(&back, STORE_KEY_FRONTEND_ID, PV_GUEST);
	put_number(&back, STORE_KEY_ONLINE, 1);
	if (toolstack.linux_guest)
		put_number(&back, STORE_KEY_CLOSE_STEPS, 1);
	if (is_disk(device)) {
		put(&back, BLKIF_KEY_MODE, device->read_only ? "r" : "w");
		if (device->params)
			put(&back, BLKIF_KEY_PARAMS, device->params);
	} else {
		put(&back, "handle", id_of(device));
		put_mac(&back, device->mac);
		put_rate(&back, device);
	}
	put_number(&back, STORE_KEY_STATE, STORE_STATE_INITIALISING);
}

/* The guest may look into /device, but makes no devices there. */
static void put_class(struct toolstack_client *client, const struct toolstack_device *device)
{
	char path[128];

	snprintf(path, sizeof(path), "/local/domain/%u/device", PV_GUEST);
	toolstack_client_directory(client, path, PV_BACKEND, PV_GUEST);
	snprintf(path, sizeof(path), "/local/domain/%u/device/%s", PV_GUEST,
		 is_disk(device) ? "vbd" : "vif");
	toolstack_client_directory(client, path, PV_BACKEND, PV_GUEST);
}

static void put_device(struct toolstack_client *client, const struct toolstack_device *device)
{
	put_class(client, device);
	put_back(client, device);
	put_front(client, device);
}

/* All that @put writes, in one transaction, for @device or NULL. 0 or -errno after a line. */
static int put_at_once(void (*put)(struct toolstack_client *client,
				   const struct toolstack_device *device),
		       const struct toolstack_device *device)
{
	struct toolstack_client client;
	int result = -EAGAIN;

	for (unsigned int i = 0; result == -EAGAIN && i < TRIES_MAX; i++) {
		toolstack_client_begin(&client);
		put(&client, device);
		result = toolstack_client_end(&client);
	}
	if (result < 0)
		log_error("%s: cannot write its directories into the store: %s",
			  device ? device->name : "the guest", strerror(-result));
	return result;
}

static void put_linux(struct toolstack_client *client, const struct toolstack_device *none)
{
	static const char *const names[] = {"control", "data", "error"};
	char path[64];

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "/local/domain/%u/%s", PV_GUEST, names[i]);
		toolstack_client_directory(client, path, PV_GUEST, PV_BACKEND);
	}
	snprintf(path, sizeof(path), "/local/domain/%u/cpu", PV_GUEST);
	toolstack_client_directory(client, path, PV_BACKEND, PV_GUEST);
	for (unsigned int i = 0; i < toolstack.vcpus; i++) {
		snprintf(path, sizeof(path), "/local/domain/%u/cpu/%u/availability", PV_GUEST, i);
		toolstack_client_write(client, path, "online");
	}
}

int toolstack_serve_linux(unsigned int vcpus)
{
	toolstack.linux_guest = true;
	toolstack.vcpus = vcpus;
	return put_at_once(put_linux, NULL);
}

int toolstack_add(const struct toolstack_device *device)
{
	int result;

	if (toolstack.count == TOOLSTACK_DEVICES_MAX)
		return -ENOSPC;
	result = put_at_once(put_device, device);
	if (!result)
		toolstack.device[toolstack.count++] = *device;
	return result;
}

unsigned int toolstack_backend_state(const char *name)
{
	char back[128], path[160], value[16];

	back_path(back, name);
	snprintf(path, sizeof(path), "%s/%s", back, STORE_KEY_STATE);
	if (pv_store_read(path, value, sizeof(value)) < 0)
		return STORE_STATE_UNKNOWN;
	return (unsigned int)strtoul(value, NULL, 10);
}

static void write_back(const char *name, const char *key, unsigned int value)
{
	char back[128], path[160];

	back_path(back, name);
	snprintf(path, sizeof(path), "%s/%s", back, key);
	pv_store_write(PV_BACKEND, PV_GUEST, path, "%u", value);
}

/* False: it was unplugged, which removed its directories. Whoever writes there makes them anew. */
static bool is_described(const char *name)
{
	char back[128], path[160], value[4];

	back_path(back, name);
	snprintf(path, sizeof(path), "%s/%s", back, STORE_KEY_FRONTEND);
	return pv_store_read(path, value, sizeof(value)) >= 0;
}

void toolstack_lost(const char *name)
{
	if (!is_described(name)) {
		log_info("%s: unplugged", name);
		return;
	}
	log_warn("%s: its back-end is gone; the guest loses this device", name);
	write_back(name, STORE_KEY_ONLINE, 0);
	write_back(name, STORE_KEY_STATE, STORE_STATE_CLOSED);
}

/* ---- the guest starts anew ------------------------------------------------------------------- */

static const struct toolstack_device *find(const char *name)
{
	for (unsigned int i = 0; i < toolstack.count; i++) {
		if (!strcmp(toolstack.device[i].name, name))
			return &toolstack.device[i];
	}
	return NULL;
}

static bool read_front(const char *name, const char *key, char *value, unsigned int size)
{
	char front[128], path[160];

	front_path(front, name);
	snprintf(path, sizeof(path), "%s/%s", front, key);
	return pv_store_read(path, value, size) >= 0;
}

/*
 * A device that was plugged in through the store. What its name does not tell is in the guest's own
 * directory alone: what the guest wrote there instead, only the guest believes.
 */
static void learn(struct toolstack_device *device, const char *name)
{
	char value[24], reason[80];

	*device = (struct toolstack_device){0};
	snprintf(device->name, sizeof(device->name), "%s", name);
	if (read_front(name, NETIF_KEY_MAC, value, sizeof(value)))
		ethernet_parse(device->mac, value, reason, sizeof(reason));
	if (read_front(name, NETIF_KEY_MTU, value, sizeof(value)))
		device->mtu = strtoull(value, NULL, 10);
}

static void put_front_anew(struct toolstack_client *client, const char *name)
{
	const struct toolstack_device *device = find(name);
	struct toolstack_device plugged;

	if (!is_described(name))
		return;
	if (!device) {
		learn(&plugged, name);
		device = &plugged;
		put_class(client, device);
	}
	put_front(client, device);
}

/* All that have a back-end's directory; listed in the transaction, as who unplugs one disturbs it. */
static void put_fronts_anew(struct toolstack_client *client, const char *class)
{
	char path[128], ids[STORE_PAYLOAD_MAX + 1], name[TOOLSTACK_NAME_BYTES];
	unsigned int size;

	snprintf(path, sizeof(path), "/local/domain/%u/backend/%s/%u", PV_BACKEND, class, PV_GUEST);
	size = toolstack_client_list(client, path, ids);
	for (const char *id = ids; id < ids + size; id += strlen(id) + 1) {
		if ((size_t)snprintf(name, sizeof(name), "%s/%s", class, id) < sizeof(name))
			put_front_anew(client, name);
	}
}

/*
 * The directory as a whole is the old guest's, which may have filled or removed it, and what it
 * owns counts against the new one. In one transaction, so that a back-end sees its front-end begin
 * anew, not go.
 */
static void put_home_anew(struct toolstack_client *client, const struct toolstack_device *none)
{
	char path[32];

	snprintf(path, sizeof(path), "/local/domain/%u", PV_GUEST);
	toolstack_client_remove(client, path);
	toolstack_client_directory(client, path, PV_GUEST, PV_GUEST);
	if (toolstack.linux_guest)
		put_linux(client, NULL);
	for (unsigned int i = 0; i < toolstack.count; i++)
		put_class(client, &toolstack.device[i]);
	put_fronts_anew(client, "vbd");
	put_fronts_anew(client, "vif");
}

/* The guest's connection too: its watches would fire for what is written next. */
void toolstack_restarted(void)
{
	pv_store_reset_guest();
	put_at_once(put_home_anew, NULL);
}

void toolstack_close(void)
{
	toolstack.count = 0;
	toolstack.linux_guest = false;
}
