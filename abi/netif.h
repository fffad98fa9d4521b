/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * netif: Xen's network interface. Two rings a queue, tx and rx as the guest sees it, and for the
 * whole device a control ring, if both want one.
 *
 * A frame takes one slot a page of it. tx: the first request says the size of all, the others each
 * its own. rx: the guest lends pages, one a request; the back-end fills some, and each response
 * says how much; it stands in the very slot of its request, because extra slots have no room for an
 * id.
 *
 *	tx	req(size of all, EXTRA_INFO, MORE_DATA)  extra(GSO)  req(size, MORE_DATA)  req(size)
 *	rx	rsp(bytes, EXTRA_INFO, MORE_DATA)  extra(GSO)  rsp(bytes, MORE_DATA)  rsp(bytes)
 *
 * Every tx request, also under an extra, owes a response; under an extra its status is NETIF_NULL.
 * An rx slot that carried an extra has used up its request.
 *
 *	front-end				back-end
 *	Initialising				Initialising
 *						writes features
 *						InitWait
 *	reads them, writes rings,	←
 *	channels, its own features
 *	Connected			→	(Initialised is as good)
 *						reads them, maps rings, binds channels
 *						Connected, carrier = 1
 *	posts rx pages, opens for tx	←
 *	… frames …
 *						carrier = 0 or 1 at any time
 *	Closing, then Closed		⇄	Closing, then Closed
 */
#ifndef PVKIT_ABI_NETIF_H
#define PVKIT_ABI_NETIF_H

#include "abi/types.h"

/* ---- tx and rx rings ------------------------------------------------------------------------- */

#define NETIF_SLOTS_MIN   18 /* every back-end takes a frame of so many tx slots */
#define NETIF_TX_SIZE_MAX 65535 /* bytes of one frame */

struct netif_tx_req {
	uint32_t grant;
	uint16_t offset; /* in the page; offset + size may not pass its end */
	uint16_t flags; /* NETIF_TX_* */
	uint16_t id; /* comes back in the response */
	uint16_t size; /* first of a frame: of it all; others: of this slot */
};
ABI_ASSERT(sizeof(struct netif_tx_req) == 12);

#define NETIF_TX_CSUM_BLANK     (1U << 0) /* the checksum field holds but the pseudo header's sum */
#define NETIF_TX_DATA_VALIDATED (1U << 1) /* no need to check it */
#define NETIF_TX_MORE_DATA      (1U << 2) /* the frame goes on in another request */
#define NETIF_TX_EXTRA_INFO     (1U << 3) /* the next slot is an extra */

struct netif_tx_rsp {
	uint16_t id;
	int16_t status; /* enum netif_status */
};
ABI_ASSERT(sizeof(struct netif_tx_rsp) == 4);

struct netif_rx_req {
	uint16_t id;
	uint16_t padding;
	uint32_t grant; /* writable, a whole page */
};
ABI_ASSERT(sizeof(struct netif_rx_req) == 8);

struct netif_rx_rsp {
	uint16_t id;
	uint16_t offset; /* in the page */
	uint16_t flags; /* NETIF_RX_* */
	int16_t status; /* bytes in this page, or enum netif_status below 0 */
};
ABI_ASSERT(sizeof(struct netif_rx_rsp) == 8);

#define NETIF_RX_DATA_VALIDATED (1U << 0)
#define NETIF_RX_CSUM_BLANK     (1U << 1)
#define NETIF_RX_MORE_DATA      (1U << 2)
#define NETIF_RX_EXTRA_INFO     (1U << 3)
#define NETIF_RX_GSO_PREFIX \
	(1U << 4) /* Windows drivers: a slot before the frame says the GSO size */

enum netif_status {
	NETIF_DROPPED = -2,
	NETIF_ERROR = -1,
	NETIF_OK = 0,
	NETIF_NULL = 1, /* tx: the slot was an extra */
};

/* An extra slot: tells more about the frame whose first slot comes before it. Fits either ring. */
enum netif_extra_type {
	NETIF_EXTRA_NONE = 0, /* invalid */
	NETIF_EXTRA_GSO = 1,
	NETIF_EXTRA_MULTICAST_ADD =
		2, /* tx: of no frame but on its own, its first request is empty */
	NETIF_EXTRA_MULTICAST_DEL = 3,
	NETIF_EXTRA_HASH = 4,
	NETIF_EXTRA_XDP = 5, /* Linux */
	NETIF_EXTRA_TYPES = 6,
};

struct netif_extra {
	uint8_t type; /* enum netif_extra_type */
	uint8_t flags; /* NETIF_EXTRA_MORE */
	union {
		struct {
			uint16_t size; /* payload bytes of each segment */
			uint8_t type; /* enum netif_gso_type */
			uint8_t padding;
			uint16_t features; /* 0 */
		} gso;
		struct {
			uint8_t address[6];
		} multicast;
		struct {
			uint8_t type; /* bit number of NETIF_HASH_* */
			uint8_t algorithm; /* enum netif_hash_algorithm */
			uint8_t value[4]; /* least significant byte first */
		} hash;
		struct {
			uint16_t headroom; /* bytes before the data in the page */
			uint16_t padding[2];
		} xdp;
		uint16_t words[3];
	} u;
};
ABI_ASSERT(sizeof(struct netif_extra) == 8);
ABI_ASSERT(offsetof(struct netif_extra, u) == 2);

#define NETIF_EXTRA_MORE (1U << 0) /* the next slot is an extra too */

enum netif_gso_type {
	NETIF_GSO_NONE = 0,
	NETIF_GSO_TCPV4 = 1,
	NETIF_GSO_TCPV6 = 2,
	/* pvkit's own, after NETIF_KEY_GSO_UDPV4, _UDPV6 */
	NETIF_GSO_UDPV4 = 0x81,
	NETIF_GSO_UDPV6 = 0x82,
};

#define NETIF_XDP_HEADROOM_MAX 0x7fff

/* One slot: 256 of either in a ring of one page. */
union netif_tx_slot {
	struct netif_tx_req req;
	struct netif_tx_rsp rsp;
	struct netif_extra extra;
};
ABI_ASSERT(sizeof(union netif_tx_slot) == 12);

union netif_rx_slot {
	struct netif_rx_req req;
	struct netif_rx_rsp rsp;
	struct netif_extra extra;
};
ABI_ASSERT(sizeof(union netif_rx_slot) == 8);

#define NETIF_TX_SLOT_BYTES sizeof(union netif_tx_slot)
#define NETIF_RX_SLOT_BYTES sizeof(union netif_rx_slot)

/* ---- control ring ---------------------------------------------------------------------------- */

/*
 * What a request's data hold, and a response's. All not named are 0.
 *
 *	GET_HASH_FLAGS							→ NETIF_HASH_* that it can
 *	SET_HASH_FLAGS		NETIF_HASH_*; 0: no hashing
 *	SET_HASH_KEY		grant of the key, its bytes; the rest is zeroes
 *	GET_HASH_MAPPING_SIZE						→ most entries; 0: no table
 *	SET_HASH_MAPPING_SIZE	entries; 0: queue = hash modulo queues
 *	SET_HASH_MAPPING	grant of uint32_t queues, entries, first entry
 *	SET_HASH_ALGORITHM	enum netif_hash_algorithm; comes before all others
 *	GET_GREF_MAPPING_SIZE	queue						→ most entries
 *	ADD_GREF_MAPPING	queue, grant of struct netif_static_grant, entries: all or none
 *	DEL_GREF_MAPPING	queue, grant of the same, entries	→ entries removed
 */
enum netif_ctrl_type {
	NETIF_CTRL_INVALID = 0,
	NETIF_CTRL_GET_HASH_FLAGS = 1,
	NETIF_CTRL_SET_HASH_FLAGS = 2,
	NETIF_CTRL_SET_HASH_KEY = 3,
	NETIF_CTRL_GET_HASH_MAPPING_SIZE = 4,
	NETIF_CTRL_SET_HASH_MAPPING_SIZE = 5,
	NETIF_CTRL_SET_HASH_MAPPING = 6,
	NETIF_CTRL_SET_HASH_ALGORITHM = 7,
	NETIF_CTRL_GET_GREF_MAPPING_SIZE = 8,
	NETIF_CTRL_ADD_GREF_MAPPING = 9,
	NETIF_CTRL_DEL_GREF_MAPPING = 10,
};

enum netif_ctrl_status {
	NETIF_CTRL_SUCCESS = 0,
	NETIF_CTRL_NOT_SUPPORTED = 1,
	NETIF_CTRL_INVALID_PARAMETER = 2,
	NETIF_CTRL_BUFFER_OVERFLOW = 3, /* more than the back-end has room for */
};

struct netif_ctrl_req {
	uint16_t id; /* comes back */
	uint16_t type; /* enum netif_ctrl_type */
	uint32_t data[3];
};
ABI_ASSERT(sizeof(struct netif_ctrl_req) == 16);

struct netif_ctrl_rsp {
	uint16_t id;
	uint16_t type;
	uint32_t status; /* enum netif_ctrl_status */
	uint32_t data;
};
ABI_ASSERT(sizeof(struct netif_ctrl_rsp) == 12);

#define NETIF_CTRL_SLOT_BYTES sizeof(struct netif_ctrl_req)

/* Over what: addresses, or addresses and ports. The largest kind that fits a packet is taken. */
#define NETIF_HASH_IPV4     (1U << 0)
#define NETIF_HASH_IPV4_TCP (1U << 1)
#define NETIF_HASH_IPV6     (1U << 2)
#define NETIF_HASH_IPV6_TCP (1U << 3)

enum netif_hash_algorithm {
	NETIF_HASH_ALGORITHM_NONE = 0,
	NETIF_HASH_ALGORITHM_TOEPLITZ = 1,
};

/* A page that stays mapped: ADD_GREF_MAPPING, DEL_GREF_MAPPING. */
struct netif_static_grant {
	uint32_t grant;
	uint16_t flags; /* in: NETIF_STATIC_GRANT_READONLY */
	uint16_t status; /* out, DEL: enum netif_ctrl_status */
};
ABI_ASSERT(sizeof(struct netif_static_grant) == 8);

#define NETIF_STATIC_GRANT_READONLY (1U << 0)

/* ---- in the store ---------------------------------------------------------------------------- */

#define STORE_CLASS_NET "vif"

/* Either side, for what it can receive. 1 or absent, unless said otherwise. */
#define NETIF_KEY_SG        "feature-sg" /* more than one slot a frame */
#define NETIF_KEY_GSO_TCPV4 "feature-gso-tcpv4"
#define NETIF_KEY_GSO_TCPV6 "feature-gso-tcpv6"
#define NETIF_KEY_NO_CSUM_V4 \
	"feature-no-csum-offload" /* 1: no NETIF_*_CSUM_BLANK for IPv4, please */
#define NETIF_KEY_CSUM_V6   "feature-ipv6-csum-offload"
#define NETIF_KEY_GSO_UDPV4 "feature-pvkit-gso-udpv4" /* pvkit's own */
#define NETIF_KEY_GSO_UDPV6 "feature-pvkit-gso-udpv6"

/* Back-end offers, front-end uses. */
#define NETIF_KEY_SPLIT_EVENT_CHANNELS "feature-split-event-channels"
#define NETIF_KEY_RX_COPY              "feature-rx-copy" /* always: flipping pages is no more */
#define NETIF_KEY_MULTICAST            "feature-multicast-control"
#define NETIF_KEY_DYNAMIC_MULTICAST    "feature-dynamic-multicast-control"
#define NETIF_KEY_CTRL_RING            "feature-ctrl-ring"
#define NETIF_KEY_XDP_HEADROOM_OFFER   "feature-xdp-headroom"

/* Back-end tells, at any time. */
#define NETIF_KEY_CARRIER "carrier" /* 0 or 1; default 1 */
#define NETIF_KEY_RATE    "rate" /* by whoever made the device: "BYTES,MICROSECONDS" */
#define NETIF_KEY_SPEED   "pvkit-speed" /* pvkit's own: Mbit/s; default unknown */

/* Front-end's directory, by whoever creates the device. */
#define NETIF_KEY_MAC "mac" /* xx:xx:xx:xx:xx:xx */
#define NETIF_KEY_MTU "mtu" /* default 1500 */

/* Front-end, for each queue in "queue-N/" when there are several, else in its directory. */
#define NETIF_KEY_TX_RING_REF      "tx-ring-ref"
#define NETIF_KEY_RX_RING_REF      "rx-ring-ref"
#define NETIF_KEY_EVENT_CHANNEL_TX "event-channel-tx" /* split; else STORE_KEY_EVENT_CHANNEL */
#define NETIF_KEY_EVENT_CHANNEL_RX "event-channel-rx"
/* Front-end, for the device. */
#define NETIF_KEY_CTRL_RING_REF      "ctrl-ring-ref"
#define NETIF_KEY_EVENT_CHANNEL_CTRL "event-channel-ctrl"
#define NETIF_KEY_REQUEST_RX_COPY    "request-rx-copy"
#define NETIF_KEY_RX_NOTIFY          "feature-rx-notify" /* it notifies when it posts rx requests */
#define NETIF_KEY_REQUEST_MULTICAST  "request-multicast-control"
#define NETIF_KEY_XDP_HEADROOM       "xdp-headroom" /* bytes to leave free before rx data */

#endif
