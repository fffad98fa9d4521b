// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/attach_client.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "abi/platform.h"
#include "common/socket.h"

struct client *attach_clients[CLIENTS_MAX];
struct attach_ram attach_ram;
struct log_limit attach_faults;

int64_t attach_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

const char *client_name(const struct client *client)
{
	if (client->device)
		return client->device;
	return *client->name ? client->name : "a back-end";
}

bool client_holds_anything(const struct client *client)
{
	const struct attach_grant_ledger *ledger = client->ledger.base;

	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		if (pv.channels.port[i].owner == client->owner)
			return true;
	}
	if (!ledger)
		return true; /* who knows */
	for (uint32_t i = 0; i < GRANT_TABLE_GRANTS_MAX; i++) {
		if (ledger[i].readers || ledger[i].writers)
			return true;
	}
	return false;
}

static struct client **free_slot(void)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		if (!attach_clients[i])
			return &attach_clients[i];
	}
	return NULL;
}

/*
 * One that is absent and left nothing loses nothing but the word RESUMED; unless its process lives and
 * has a device, which it may be writing to.
 */
static void make_room(void)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client->fd < 0 && !client->device && (client->pidfd < 0 || !*client->claim) &&
		    !client_holds_anything(client)) {
			client_release(client);
			return;
		}
	}
}

struct client *client_new(int fd, int pidfd, const char *device)
{
	struct client *client, **slot;

	if (!free_slot())
		make_room();
	slot = free_slot();
	client = slot ? calloc(1, sizeof(*client)) : NULL;
	if (!client)
		return NULL;
	client->fd = fd;
	client->pidfd = pidfd;
	client->device = device;
	if (device)
		snprintf(client->claim, sizeof(client->claim), "%s", device);
	*slot = client;
	return client;
}

/* For all copies of the descriptor: closing ours alone would end nothing where somebody has another. */
static void hang_up(struct client *client)
{
	if (client->fd < 0)
		return;
	client_unwatch(client->fd);
	shutdown(client->fd, SHUT_RDWR);
	close(client->fd);
	client->fd = -1;
}

void client_free(struct client *client)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		if (attach_clients[i] == client)
			attach_clients[i] = NULL;
	}
	hang_up(client);
	if (client->pidfd >= 0)
		close(client->pidfd);
	sealed_memory_close(&client->ledger);
	free(client);
}

bool client_attached(const struct client *client)
{
	return client->owner && client->fd >= 0;
}

bool client_hung_up(const struct client *client)
{
	struct pollfd ended = {.fd = client->fd};

	return poll(&ended, 1, 0) == 1 && ended.revents & (POLLHUP | POLLERR);
}

/* Its process may pin and unpin, whatever has become of its connection. */
static bool lives(const struct client *client)
{
	struct pollfd ended = {.fd = client->pidfd, .events = POLLIN};

	return client->pidfd >= 0 && !poll(&ended, 1, 0);
}

/*
 * What it left between a lock and its release. While its threads run, a lock is theirs, and a count is
 * on its way: so not before its process has ended, where that can be seen at all.
 */
void client_settle(const struct client *client)
{
	if (lives(client))
		return;
	grant_table_break_locks(&pv.grants, client->owner);
	clients_recount();
}

void clients_recount(void)
{
	struct attach_grant_ledger *ledgers[CLIENTS_MAX];
	unsigned int count = 0;

	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = attach_clients[i];

		if (!client || !client->owner)
			continue;
		/* Who has no ledger has pins that nobody knows. */
		if (client_attached(client) || lives(client) || !client->ledger.base)
			return;
		ledgers[count++] = client->ledger.base;
	}
	grant_table_recount(&pv.grants, ledgers, count);
}

void client_disconnect(struct client *client, const char *why)
{
	if (why)
		log_peer(&attach_faults, "%s: its back-end %s; it is disconnected",
			 client_name(client), why);
	hang_up(client);
	memset(client->notice, 0, sizeof(client->notice));
	clients_changed();
	if (client->owner)
		client_settle(client);
	else if (client->pidfd < 0 || !client->device)
		client_free(client);
}

void client_release(struct client *client)
{
	if (client->owner) {
		event_channel_unbind_owner(&pv.channels, client->owner);
		grant_table_break_locks(&pv.grants, client->owner);
		if (client->ledger.base)
			grant_table_drop(&pv.grants, client->ledger.base);
	}
	client_free(client);
	clients_recount();
	clients_changed();
}

static uint16_t new_owner(void)
{
	uint16_t owner = 1;

	/* There are far more numbers than clients; a number of a port or lock is never reused early. */
	while (client_by_owner(owner))
		owner++;
	return owner;
}

int client_greet(struct client *client, uint64_t features)
{
	int result = 0;

	if (getrandom(client->cookie, sizeof(client->cookie), 0) != sizeof(client->cookie))
		return -EIO;
	if (features & 1ULL << ATTACH_F_LEDGER)
		result = sealed_memory_open(&client->ledger, "pvkit-ledger",
					    GRANT_TABLE_GRANTS_MAX *
						    sizeof(struct attach_grant_ledger));
	if (result < 0)
		return result;
	client->features = features;
	client->owner = new_owner();
	client->greet_by = 0;
	return 0;
}

void client_resume(struct client *client, struct client *absent)
{
	client_settle(absent); /* that its process has ended may wait to be looked at */
	client->owner = absent->owner;
	client->features = absent->features;
	client->ledger = absent->ledger;
	client->greet_by = 0;
	memcpy(client->cookie, absent->cookie, sizeof(client->cookie));
	absent->ledger = (struct sealed_memory){.fd = -1};
	absent->owner = 0;
	/* A process that we started stands behind the device still, whoever serves it now. */
	if (!client->device && absent->device) {
		if (client->pidfd >= 0)
			close(client->pidfd);
		client->device = absent->device;
		memcpy(client->claim, absent->claim, sizeof(client->claim));
		client->pidfd = absent->pidfd;
		absent->pidfd = -1;
	}
	client_free(absent);
}

/* Without telling by its time how much of a guess was right. */
static bool same_cookie(const uint8_t *a, const uint8_t *b)
{
	uint8_t differ = 0;

	for (unsigned int i = 0; i < ATTACH_COOKIE_BYTES; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

struct client *client_by_cookie(const uint8_t *cookie)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client && client->owner && same_cookie(client->cookie, cookie))
			return client;
	}
	return NULL;
}

struct client *client_by_owner(uint16_t owner)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		if (attach_clients[i] && attach_clients[i]->owner == owner)
			return attach_clients[i];
	}
	return NULL;
}

struct client *client_by_claim(const char *device)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client && (client->fd >= 0 || client->pidfd >= 0) &&
		    !strcmp(client->claim, device))
			return client;
	}
	return NULL;
}

bool client_owes(const struct client *client, uint16_t type)
{
	for (unsigned int i = 0; i < NOTICES_MAX; i++) {
		if (client->notice[i].type == type)
			return true;
	}
	return false;
}

bool client_send(struct client *client, struct attach_header *header, const void *body,
		 const int *fds, unsigned int count)
{
	uint8_t packet[ATTACH_MESSAGE_MAX];
	int result;

	memcpy(packet, header, sizeof(*header));
	if (header->size)
		memcpy(packet + sizeof(*header), body, header->size);
	/* Never waits: a back-end whose buffer is full does not read what it is told. */
	result = socket_send(client->fd, packet, sizeof(*header) + header->size, fds, count, 0);
	if (!result)
		return true;
	client_disconnect(client, result == -ETIMEDOUT ? "does not read what it is told"
				  : result == -EPIPE || result == -ECONNRESET
					  ? NULL
					  : "cannot be told what it has to know");
	return false;
}

static struct notice *free_notice(struct client *client)
{
	for (unsigned int i = 0; i < NOTICES_MAX; i++) {
		if (!client->notice[i].type)
			return &client->notice[i];
	}
	return NULL;
}

bool client_notify(struct client *client, uint16_t type, const void *body, uint32_t size,
		   const int *fds, unsigned int count, bool answered)
{
	struct attach_header header = {
		.type = type,
		.sequence = client->sequence++,
		.size = size,
	};
	struct notice *notice = answered ? free_notice(client) : NULL;

	if (answered && !notice) {
		client_disconnect(client, "leaves too many notices unanswered");
		return false;
	}
	if (notice)
		*notice = (struct notice){
			.type = type,
			.sequence = header.sequence,
			.deadline = attach_now() + ATTACH_ACK_SECONDS * 1000LL,
		};
	return client_send(client, &header, body, fds, count);
}

bool client_send_grant_table(struct client *client, bool closed)
{
	struct attach_grant_table body = {
		.version = pv.grants.version,
		.grants = closed ? 0 : grant_table_size(&pv.grants),
		.size = pv.shared.size,
		.entries_offset = PV_GRANT_OFFSET,
		.status_offset = PV_STATUS_OFFSET,
		.pending_offset = PV_PENDING_OFFSET,
	};
	int fds[] = {pv.shared.fd, pv.use.fd, client->ledger.fd};

	return client_notify(client, ATTACH_GRANT_TABLE, &body, sizeof(body), fds,
			     client->ledger.base ? 3 : 2, true);
}

static bool is_late(const struct client *client, int64_t now, int64_t *next)
{
	int64_t deadline = client->greet_by;

	for (unsigned int i = 0; i < NOTICES_MAX; i++) {
		const struct notice *notice = &client->notice[i];

		if (notice->type && (!deadline || notice->deadline < deadline))
			deadline = notice->deadline;
	}
	if (client->fd < 0 || !deadline)
		return false;
	if (deadline <= now)
		return true;
	if (*next < 0 || deadline - now < *next)
		*next = deadline - now;
	return false;
}

int clients_expire(void)
{
	int64_t now = attach_now(), next = -1;

	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = attach_clients[i];

		if (client && is_late(client, now, &next))
			client_disconnect(client, client->owner ? "does not answer in time"
								: "does not greet");
	}
	return (int)next;
}
