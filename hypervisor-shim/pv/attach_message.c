// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What back-ends say. One packet is copied, its form is checked here once, then its type's function
 * looks at the copy. What breaks the protocol costs the connection; what merely cannot be done is
 * answered with an errno.
 */
#include "hypervisor-shim/pv/attach_client.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor-shim/pv/restart.h"
#include "hypervisor-shim/pv/store.h"

#define FEATURES \
	(1ULL << ATTACH_F_LEDGER | 1ULL << ATTACH_F_MEMORY_CHANGES | 1ULL << ATTACH_F_CLAIM | \
	 1ULL << ATTACH_F_RESUME)

struct message {
	struct attach_header header;
	uint8_t body[ATTACH_MESSAGE_MAX - sizeof(struct attach_header)];
};

static bool answer(struct client *client, const struct message *message, int error,
		   const void *body, uint32_t size, const int *fds, unsigned int count)
{
	struct attach_header header = {
		.type = message->header.type,
		.flags = ATTACH_FLAG_ANSWER,
		.sequence = message->header.sequence,
		.error = error,
		.size = error ? 0 : size,
	};

	return client_send(client, &header, body, fds, error ? 0 : count);
}

static bool answer_plainly(struct client *client, const struct message *message, int error)
{
	return answer(client, message, error, NULL, 0, NULL, 0);
}

static bool break_off(struct client *client, const char *why)
{
	client_disconnect(client, why);
	return false;
}

/* ---- HELLO ------------------------------------------------------------------------------------ */

static bool send_memory(struct client *client)
{
	const struct guest_memory *memory = attach_ram.memory();

	for (uint32_t i = 0; i < memory->count; i++) {
		struct attach_memory body = {
			.guest_address = memory->region[i].address,
			.size = memory->region[i].size,
		};
		int fd = attach_ram.region_fd(i, &body.offset);

		if (!client_notify(client, ATTACH_MEMORY_ADD, &body, sizeof(body), &fd, 1, false))
			return false;
	}
	return true;
}

static void take_name(struct client *client, const char *name, size_t size)
{
	size_t i;

	for (i = 0; i < size && name[i]; i++)
		client->name[i] = isprint((unsigned char)name[i]) ? name[i] : '?';
	client->name[i] = '\0';
}

/*
 * Whose cookie it is, if it may come back. A predecessor that died just now may look attached still:
 * the end of its connection waits behind this message.
 */
static struct client *find_absent(const struct attach_hello *hello)
{
	static const uint8_t none[ATTACH_COOKIE_BYTES];
	struct client *client;

	if (!memcmp(hello->cookie, none, sizeof(none)))
		return NULL;
	client = client_by_cookie(hello->cookie);
	if (client && client_attached(client) && client_hung_up(client))
		client_disconnect(client, NULL); /* it has greeted, so it is not freed */
	/* The pins of one with a ledger can be kept only by one with a ledger. */
	if (client && client->features & ~hello->features)
		return NULL;
	return client;
}

static bool welcome(struct client *client, const struct message *message, uint32_t flags,
		    uint16_t minor)
{
	struct attach_welcome body = {
		.magic = ATTACH_MAGIC,
		.version_major = ATTACH_VERSION_MAJOR,
		.version_minor = minor,
		.features = client->features,
		.flags = flags,
		.guest_domain = PV_GUEST,
		.backend_domain = PV_BACKEND,
		.owner = client->owner,
		.ports = EVENT_CHANNEL_PORTS,
		.generation = pv.generation,
	};

	memcpy(body.cookie, client->cookie, sizeof(body.cookie));
	return answer(client, message, 0, &body, sizeof(body), NULL, 0) && send_memory(client) &&
	       client_send_grant_table(client, restart_grants_closed()) &&
	       client_notify(client, ATTACH_READY, NULL, 0, NULL, 0, false);
}

static bool handle_hello(struct client *client, const struct message *message)
{
	struct client *absent;
	struct attach_hello hello;
	uint32_t flags = 0;
	uint16_t minor;
	int result;

	memcpy(&hello, message->body, sizeof(hello));
	if (hello.magic != ATTACH_MAGIC)
		return break_off(client, "does not greet as one");
	if (hello.version_major < ATTACH_VERSION_MAJOR)
		return answer_plainly(client, message, -EPROTO) &&
		       break_off(client, "speaks an older version only");
	minor = hello.version_major == ATTACH_VERSION_MAJOR ? hello.version_minor : UINT16_MAX;
	if (minor > ATTACH_VERSION_MINOR)
		minor = ATTACH_VERSION_MINOR;
	take_name(client, hello.name, sizeof(hello.name));
	absent = find_absent(&hello);
	if (absent && client_attached(absent))
		return answer_plainly(client, message, -EBUSY);
	if (absent) {
		client_resume(client, absent);
		flags |= ATTACH_WELCOME_RESUMED;
	} else {
		result = client_greet(client, hello.features & FEATURES);
		if (result < 0)
			return answer_plainly(client, message, result);
	}
	log_info("%s: %s is attached%s", client_name(client), client->name, absent ? " again" : "");
	return welcome(client, message, flags, minor);
}

/* ---- the others ------------------------------------------------------------------------------- */

static bool handle_store(struct client *client, const struct message *message)
{
	int fd = pv_store_connection(PV_BACKEND);
	bool sent;

	if (fd < 0)
		return answer_plainly(client, message, fd);
	sent = answer(client, message, 0, NULL, 0, &fd, 1);
	close(fd);
	return sent;
}

static bool handle_bind(struct client *client, const struct message *message)
{
	struct attach_bound bound = {0};
	struct attach_bind bind;
	int result, fds[2];

	memcpy(&bind, message->body, sizeof(bind));
	result = event_channel_bind_backend(&pv.channels, client->owner, bind.guest_port);
	if (result < 0)
		return answer_plainly(client, message, result);
	bound.guest_port = bound.local_port = bind.guest_port;
	fds[0] = pv.channels.port[bind.guest_port].from_guest;
	fds[1] = pv.channels.port[bind.guest_port].to_guest;
	return answer(client, message, 0, &bound, sizeof(bound), fds, 2);
}

static bool handle_unbind(struct client *client, const struct message *message)
{
	struct attach_bind bind;

	memcpy(&bind, message->body, sizeof(bind));
	return answer_plainly(
		client, message,
		event_channel_unbind_backend(&pv.channels, client->owner, bind.guest_port));
}

static bool handle_release(struct client *client, const struct message *message)
{
	struct attach_release release;
	struct client *absent;

	memcpy(&release, message->body, sizeof(release));
	absent = client_by_cookie(release.cookie);
	if (!absent)
		return answer_plainly(client, message, -ENOENT);
	/* Attached, or its process has not ended and may have I/O in flight. */
	if (client_attached(absent) || absent->pidfd >= 0)
		return answer_plainly(client, message, -EBUSY);
	client_release(absent);
	return answer_plainly(client, message, 0);
}

/* A name of the store's, which goes into messages. */
static bool is_device_name(const char *name, size_t size)
{
	size_t length = strnlen(name, size);

	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("/-_", name[i]))
			return false;
	}
	return length && length < size;
}

/* It asks again for a while, as one does whose predecessor ends just now: told once. */
static bool refuse_claim(struct client *client, const struct message *message, const char *device,
			 const struct client *holder)
{
	const char *name = *holder->name ? holder->name : "another";

	if (!client->refused && holder->fd >= 0)
		log_peer(&attach_faults, "%s: %s may not serve it, for %s does", device,
			 client_name(client), name);
	else if (!client->refused)
		log_peer(&attach_faults,
			 "%s: %s may not serve it yet, for the process of %s, which did, has not "
			 "ended",
			 device, client_name(client), name);
	client->refused = true;
	return answer_plainly(client, message, -EBUSY);
}

static bool handle_claim(struct client *client, const struct message *message)
{
	struct attach_claim claim;
	struct client *holder;

	memcpy(&claim, message->body, sizeof(claim));
	if (!is_device_name(claim.device, sizeof(claim.device)))
		return answer_plainly(client, message, -EINVAL);
	holder = client_by_claim(claim.device);
	if (holder && holder != client && client_attached(holder) && client_hung_up(holder)) {
		client_disconnect(holder, NULL);
		holder = client_by_claim(claim.device);
	}
	if (holder && holder != client)
		return refuse_claim(client, message, claim.device, holder);
	memcpy(client->claim, claim.device, sizeof(client->claim));
	return answer_plainly(client, message, 0);
}

static const struct {
	uint32_t size; /* of the body */
	bool (*handle)(struct client *client, const struct message *message);
} requests[] = {
	[ATTACH_HELLO] = {sizeof(struct attach_hello), handle_hello},
	[ATTACH_STORE] = {0, handle_store},
	[ATTACH_BIND] = {sizeof(struct attach_bind), handle_bind},
	[ATTACH_UNBIND] = {sizeof(struct attach_bind), handle_unbind},
	[ATTACH_RELEASE] = {sizeof(struct attach_release), handle_release},
	[ATTACH_CLAIM] = {sizeof(struct attach_claim), handle_claim},
};

static bool take_request(struct client *client, const struct message *message)
{
	uint16_t type = message->header.type;

	if (type >= sizeof(requests) / sizeof(*requests) || !requests[type].handle) {
		if (message->header.flags & ATTACH_FLAG_OPTIONAL)
			return true;
		return break_off(client, "sends what is no message");
	}
	if (!client->owner != (type == ATTACH_HELLO))
		return break_off(client, client->owner ? "greets again" : "does not greet first");
	if (message->header.size < requests[type].size)
		return break_off(client, "sends a message that is too short");
	return requests[type].handle(client, message);
}

static bool take_answer(struct client *client, const struct message *message)
{
	const struct attach_header *header = &message->header;

	for (unsigned int i = 0; i < NOTICES_MAX; i++) {
		struct notice *notice = &client->notice[i];

		if (!notice->type || notice->type != header->type ||
		    notice->sequence != header->sequence)
			continue;
		/* What must be done cannot be refused; and there is no other sign for "done". */
		if (header->error)
			return break_off(client, "does not do what it is told");
		notice->type = 0;
		clients_changed();
		return true;
	}
	return break_off(client, "answers what nobody asked");
}

static bool take(struct client *client, const struct message *message, size_t size)
{
	if (size < sizeof(message->header) ||
	    message->header.size != size - sizeof(message->header))
		return break_off(client, "sends a message of a wrong size");
	if (message->header.flags & ATTACH_FLAG_ANSWER)
		return take_answer(client, message);
	return take_request(client, message);
}

bool client_receive(struct client *client)
{
	struct message message;
	struct iovec piece = {&message, sizeof(message)};
	/* No room for descriptors: none of its messages has any, and so none gets into our table. */
	struct msghdr head = {.msg_iov = &piece, .msg_iovlen = 1};
	ssize_t size = recvmsg(client->fd, &head, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (size <= 0) {
		client_disconnect(client, NULL);
		return false;
	}
	if (head.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return break_off(client, head.msg_flags & MSG_CTRUNC
						 ? "sends descriptors"
						 : "sends a message that is too long");
	return take(client, &message, (size_t)size);
}
