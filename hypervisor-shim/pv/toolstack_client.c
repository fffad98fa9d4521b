// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/toolstack_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/store.h"
#include "common/socket.h"
#include "hypervisor-shim/pv/store.h"

#define ANSWER_MS 10000

struct packet {
	struct store_header header;
	char payload[STORE_PAYLOAD_MAX + 1];
};

/* Behind the others, with its NUL if @with_nul. False: no room. */
static bool append(struct packet *packet, const char *text, bool with_nul)
{
	size_t size = strlen(text) + with_nul;

	if (size > STORE_PAYLOAD_MAX - packet->header.length)
		return false;
	memcpy(packet->payload + packet->header.length, text, size);
	packet->header.length += (uint32_t)size;
	return true;
}

static int error_of(const char *text)
{
	static const struct {
		const char *text;
		int error;
	} errors[] = {
		{STORE_EAGAIN, -EAGAIN}, {STORE_ENOENT, -ENOENT}, {STORE_EINVAL, -EINVAL},
		{STORE_EACCES, -EACCES}, {STORE_ENOSPC, -ENOSPC}, {STORE_E2BIG, -E2BIG},
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		if (!strcmp(text, errors[i].text))
			return errors[i].error;
	}
	return -EIO;
}

/* Sends @packet, and has the answer's payload in it then, NUL-terminated. 0 or -errno. */
static int ask(struct toolstack_client *client, struct packet *packet)
{
	size_t size = sizeof(packet->header) + packet->header.length;
	int result;

	packet->header.transaction = client->transaction;
	result = socket_send(client->fd, packet, size, NULL, 0, ANSWER_MS);
	if (!result)
		result = socket_receive(client->fd, &packet->header, sizeof(packet->header), NULL,
					NULL, ANSWER_MS);
	if (!result && packet->header.length > STORE_PAYLOAD_MAX)
		result = -EPROTO;
	if (!result && packet->header.length)
		result = socket_receive(client->fd, packet->payload, packet->header.length, NULL,
					NULL, ANSWER_MS);
	if (result)
		return result;
	packet->payload[packet->header.length] = '\0';
	return packet->header.type == STORE_ERROR ? error_of(packet->payload) : 0;
}

static void begin_packet(struct packet *packet, enum store_message type)
{
	packet->header = (struct store_header){.type = type};
}

void toolstack_client_begin(struct toolstack_client *client)
{
	struct packet packet;

	*client = (struct toolstack_client){.fd = pv_store_connection(STORE_DOMAIN_BACKEND)};
	if (client->fd < 0) {
		client->error = client->fd;
		return;
	}
	begin_packet(&packet, STORE_TRANSACTION_START);
	append(&packet, "", true);
	client->error = ask(client, &packet);
	if (!client->error)
		client->transaction = (uint32_t)strtoul(packet.payload, NULL, 10);
}

int toolstack_client_end(struct toolstack_client *client)
{
	struct packet packet;
	int result;

	if (client->transaction) {
		begin_packet(&packet, STORE_TRANSACTION_END);
		append(&packet, client->error ? "F" : "T", true);
		result = ask(client, &packet);
		if (!client->error)
			client->error = result;
	}
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	return client->error;
}

/*
 * @second: NULL, or more text. A path that is not there is nothing to remove, nor to list. False:
 * not done, and @packet has no answer.
 */
static bool request(struct toolstack_client *client, struct packet *packet, enum store_message type,
		    const char *path, const char *second, const char *third, bool last_nul)
{
	int result;

	if (client->error)
		return false;
	begin_packet(packet, type);
	if (!append(packet, path, true) || (second && !append(packet, second, last_nul)) ||
	    (third && !append(packet, third, last_nul)))
		result = -E2BIG;
	else
		result = ask(client, packet);
	if (result != -ENOENT || (type != STORE_RM && type != STORE_DIRECTORY))
		client->error = result;
	return !result;
}

unsigned int toolstack_client_list(struct toolstack_client *client, const char *path,
				   char names[STORE_PAYLOAD_MAX + 1])
{
	struct packet packet;

	if (!request(client, &packet, STORE_DIRECTORY, path, NULL, NULL, false))
		return 0;
	memcpy(names, packet.payload, packet.header.length + 1);
	return packet.header.length;
}

void toolstack_client_remove(struct toolstack_client *client, const char *path)
{
	struct packet packet;

	request(client, &packet, STORE_RM, path, NULL, NULL, false);
}

void toolstack_client_write(struct toolstack_client *client, const char *path, const char *value)
{
	struct packet packet;

	request(client, &packet, STORE_WRITE, path, value, NULL, false);
}

void toolstack_client_directory(struct toolstack_client *client, const char *path,
				unsigned int owner, unsigned int reader)
{
	char first[16], second[16];
	struct packet packet;

	request(client, &packet, STORE_MKDIR, path, NULL, NULL, false);
	snprintf(first, sizeof(first), "n%u", owner);
	snprintf(second, sizeof(second), "r%u", reader);
	request(client, &packet, STORE_SET_PERMISSIONS, path, first,
		owner == reader ? NULL : second, true);
}
