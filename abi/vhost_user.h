/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * vhost-user: the messages between a front-end (the monitor that owns the guest's memory) and a
 * back-end (the process that serves its rings), over a Unix stream socket.
 *
 * From "Vhost-user Protocol" of QEMU's documentation (docs/interop/vhost-user.rst); the sections
 * named below are that document's. Rings and features come from the kernel's <linux/virtio_*.h>.
 *
 * All numbers are in the byte order of the machine. Offsets, sizes and addresses are in bytes. Three
 * kinds of address occur: guest (guest-physical), user (in the front-end's own address space, only a
 * key into the memory table for everybody else), and file offsets.
 *
 *	front-end					back-end
 *	GET_FEATURES				→	virtio features | PROTOCOL_FEATURES
 *	GET/SET_PROTOCOL_FEATURES		→	what both know
 *	SET_OWNER, SET_BACKEND_REQ_FD		→	keeps the back-channel
 *	SET_FEATURES				→	what the guest's driver accepted
 *	SET_MEM_TABLE or ADD_MEM_REG		→	maps, closes the descriptors
 *	SET_VRING_NUM, BASE, ADDR, KICK, CALL	→	ring is started when it has all it needs
 *	SET_VRING_ENABLE 1			→	ring is served
 *	kick eventfd				⇒	takes buffers
 *							gives them back		⇒ call eventfd
 *	GET_VRING_BASE				→	finishes what is in flight, stops, says where
 */
#ifndef PVKIT_ABI_VHOST_USER_H
#define PVKIT_ABI_VHOST_USER_H

#include "abi/types.h"

/*
 * Feature bit in GET_FEATURES and SET_FEATURES, section "Communication": the back-end knows
 * protocol features. It is no virtio feature and never shown to a guest. Where it was acknowledged,
 * rings wait for SET_VRING_ENABLE; where not, they start enabled (section "Ring states").
 */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Section "Protocol features": bit numbers. */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0, /* GET_QUEUE_NUM */
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1, /* SET_LOG_BASE carries a descriptor */
	VHOST_USER_PROTOCOL_F_RARP = 2, /* SEND_RARP */
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3, /* VHOST_USER_FLAG_NEED_REPLY means something */
	VHOST_USER_PROTOCOL_F_MTU = 4, /* NET_SET_MTU */
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5, /* SET_BACKEND_REQ_FD: the back-channel */
	VHOST_USER_PROTOCOL_F_CROSS_ENDIAN = 6, /* SET_VRING_ENDIAN */
	VHOST_USER_PROTOCOL_F_CRYPTO_SESSION = 7,
	VHOST_USER_PROTOCOL_F_PAGEFAULT = 8, /* POSTCOPY_* */
	VHOST_USER_PROTOCOL_F_CONFIG = 9, /* GET_CONFIG, SET_CONFIG */
	VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHOST_USER_PROTOCOL_F_HOST_NOTIFIER = 11,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12, /* GET_INFLIGHT_FD, SET_INFLIGHT_FD */
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS = 14, /* VRING_KICK; needs bits 3 and 5 */
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15, /* GET_MAX_MEM_SLOTS, ADD/REM_MEM_REG */
	VHOST_USER_PROTOCOL_F_STATUS = 16, /* GET_STATUS, SET_STATUS */
	VHOST_USER_PROTOCOL_F_XEN_MMAP = 17,
	VHOST_USER_PROTOCOL_F_SHARED_OBJECT = 18,
	VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19, /* SET_DEVICE_STATE_FD, CHECK_DEVICE_STATE */
	VHOST_USER_PROTOCOL_F_COUNT = 20,
};

/* Section "Front-end message types". The comment names payload, then reply, then descriptors. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1, /* – → u64 */
	VHOST_USER_SET_FEATURES = 2, /* u64 */
	VHOST_USER_SET_OWNER = 3, /* – */
	VHOST_USER_RESET_OWNER = 4, /* –; deprecated: disables all rings */
	VHOST_USER_SET_MEM_TABLE = 5, /* memory; a descriptor a region */
	VHOST_USER_SET_LOG_BASE = 6, /* u64, or log and 1 descriptor with bit 1 → u64 */
	VHOST_USER_SET_LOG_FD = 7, /* –; 1 eventfd */
	VHOST_USER_SET_VRING_NUM = 8, /* state: size of the ring */
	VHOST_USER_SET_VRING_ADDR = 9, /* address */
	VHOST_USER_SET_VRING_BASE = 10, /* state: where to begin */
	VHOST_USER_GET_VRING_BASE = 11, /* state (num unused) → state; stops the ring */
	VHOST_USER_SET_VRING_KICK = 12, /* u64: VHOST_USER_VRING_*; 1 eventfd or none */
	VHOST_USER_SET_VRING_CALL = 13, /* the same */
	VHOST_USER_SET_VRING_ERR = 14, /* the same */
	VHOST_USER_GET_PROTOCOL_FEATURES = 15, /* – → u64 */
	VHOST_USER_SET_PROTOCOL_FEATURES = 16, /* u64 */
	VHOST_USER_GET_QUEUE_NUM = 17, /* – → u64: queues at most */
	VHOST_USER_SET_VRING_ENABLE = 18, /* state: 1 or 0 */
	VHOST_USER_SEND_RARP = 19, /* u64: a MAC in the first 6 bytes */
	VHOST_USER_NET_SET_MTU = 20, /* u64 */
	VHOST_USER_SET_BACKEND_REQ_FD = 21, /* –; 1 socket */
	VHOST_USER_IOTLB_MSG = 22, /* iotlb → u64 */
	VHOST_USER_SET_VRING_ENDIAN = 23, /* state: 0 little, 1 big */
	VHOST_USER_GET_CONFIG = 24, /* config → config, or an empty payload: error */
	VHOST_USER_SET_CONFIG = 25, /* config */
	VHOST_USER_CREATE_CRYPTO_SESSION = 26,
	VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
	VHOST_USER_POSTCOPY_ADVISE = 28,
	VHOST_USER_POSTCOPY_LISTEN = 29,
	VHOST_USER_POSTCOPY_END = 30,
	VHOST_USER_GET_INFLIGHT_FD = 31, /* inflight → inflight and 1 descriptor */
	VHOST_USER_SET_INFLIGHT_FD = 32, /* inflight; 1 descriptor */
	VHOST_USER_GPU_SET_SOCKET = 33,
	VHOST_USER_RESET_DEVICE = 34, /* – */
	VHOST_USER_VRING_KICK = 35, /* state (num 0) */
	VHOST_USER_GET_MAX_MEM_SLOTS = 36, /* – → u64 */
	VHOST_USER_ADD_MEM_REG = 37, /* one region; 1 descriptor */
	VHOST_USER_REM_MEM_REG = 38, /* one region; some front-ends add a descriptor */
	VHOST_USER_SET_STATUS = 39, /* u64: virtio device status, 0..255 */
	VHOST_USER_GET_STATUS = 40, /* – → u64 */
	VHOST_USER_GET_SHARED_OBJECT = 41,
	VHOST_USER_SET_DEVICE_STATE_FD = 42,
	VHOST_USER_CHECK_DEVICE_STATE = 43, /* – → u64 */
	VHOST_USER_REQUEST_COUNT = 44,
};

/* Section "Back-end message types": over the socket of SET_BACKEND_REQ_FD. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_IOTLB_MSG = 1,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2, /* –: read the configuration space again */
	VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VHOST_USER_BACKEND_VRING_CALL = 4,
	VHOST_USER_BACKEND_VRING_ERR = 5,
	VHOST_USER_BACKEND_SHARED_OBJECT_ADD = 6,
	VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP = 8,
};

/* Section "Header". ->flags: the version in the low two bits, then two flags, the rest is 0. */
#define VHOST_USER_VERSION         0x1U
#define VHOST_USER_VERSION_MASK    0x3U
#define VHOST_USER_FLAG_REPLY      0x4U /* this is an answer */
#define VHOST_USER_FLAG_NEED_REPLY 0x8U /* with REPLY_ACK: answer with a u64, 0 for success */

struct vhost_user_header {
	uint32_t request; /* enum vhost_user_request or vhost_user_backend_request */
	uint32_t flags;
	uint32_t size; /* of the payload that follows, 0..VHOST_USER_PAYLOAD_MAX */
};
ABI_ASSERT(sizeof(struct vhost_user_header) == 12);

/* Section "A vring state description". */
struct vhost_user_vring_state {
	uint32_t index; /* all 32 bits count */
	/*
	 * SET_VRING_NUM: ring size. SET_VRING_ENABLE: 0 or 1. SET/GET_VRING_BASE, split: the next
	 * available index in the low 16 bits. Packed: next available slot | wrap << 15 in the low
	 * half, next used slot | wrap << 15 in the high half.
	 */
	uint32_t num;
};
ABI_ASSERT(sizeof(struct vhost_user_vring_state) == 8);

/* Section "A vring address description". Packed: the same three areas by their packed names. */
struct vhost_user_vring_address {
	uint32_t index;
	uint32_t flags; /* bit 0: log writes to the used ring */
	uint64_t descriptor; /* user addresses, these three */
	uint64_t used; /* packed: device event suppression */
	uint64_t available; /* packed: driver event suppression */
	uint64_t log; /* guest address */
};
ABI_ASSERT(sizeof(struct vhost_user_vring_address) == 40);
ABI_ASSERT(offsetof(struct vhost_user_vring_address, used) == 16);

/* The u64 of SET_VRING_KICK, _CALL and _ERR. */
#define VHOST_USER_VRING_INDEX_MASK 0xffULL
#define VHOST_USER_VRING_NO_FD      0x100ULL /* no descriptor comes along: poll, or do without */

/* Section "Memory regions description". */
struct vhost_user_memory_region {
	uint64_t guest_address;
	uint64_t size;
	uint64_t user_address;
	uint64_t
		mmap_offset; /* where the region begins in its file; may be no multiple of a page */
};
ABI_ASSERT(sizeof(struct vhost_user_memory_region) == 32);

#define VHOST_USER_MEMORY_REGIONS_MAX 8 /* of SET_MEM_TABLE; ADD_MEM_REG has no such bound */

struct vhost_user_memory {
	uint32_t count; /* 0..VHOST_USER_MEMORY_REGIONS_MAX; the payload ends behind the last */
	uint32_t padding;
	struct vhost_user_memory_region region[VHOST_USER_MEMORY_REGIONS_MAX];
};
ABI_ASSERT(sizeof(struct vhost_user_memory) == 264);
ABI_ASSERT(offsetof(struct vhost_user_memory, region) == 8);

/* Section "Single memory region description": ADD_MEM_REG, REM_MEM_REG. */
struct vhost_user_single_region {
	uint64_t padding;
	struct vhost_user_memory_region region;
};
ABI_ASSERT(sizeof(struct vhost_user_single_region) == 40);

/* Section "Log description". One bit a page of 4 KiB. */
struct vhost_user_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
};
ABI_ASSERT(sizeof(struct vhost_user_log) == 16);

/* Section "An IOTLB message"; the layout of the kernel's struct vhost_iotlb_msg. */
struct vhost_user_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t user_address;
	uint8_t permissions; /* 1 read, 2 write */
	uint8_t type; /* 1 miss, 2 update, 3 invalidate, 4 access fail */
	uint8_t reserved[6];
};
ABI_ASSERT(sizeof(struct vhost_user_iotlb) == 32);

/* Section "Virtio device config space". */
#define VHOST_USER_CONFIG_SIZE_MAX 256

#define VHOST_USER_CONFIG_WRITABLE  0 /* ->flags: the guest's driver writes */
#define VHOST_USER_CONFIG_MIGRATION 1 /* read-only fields may be written too */

struct vhost_user_config {
	uint32_t offset; /* offset + size is at most VHOST_USER_CONFIG_SIZE_MAX */
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_CONFIG_SIZE_MAX]; /* the payload ends behind data[size - 1] */
};
ABI_ASSERT(sizeof(struct vhost_user_config) == 268);
ABI_ASSERT(offsetof(struct vhost_user_config, data) == 12);

/* Section "Vring area description": VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG. */
struct vhost_user_vring_area {
	uint64_t index_flags; /* VHOST_USER_VRING_* */
	uint64_t size;
	uint64_t offset;
};
ABI_ASSERT(sizeof(struct vhost_user_vring_area) == 24);

/* Section "Inflight description". Front-ends send it with (24) or without (20) its end padded. */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t queues;
	uint16_t queue_size;
	uint32_t padding;
};
ABI_ASSERT(sizeof(struct vhost_user_inflight) == 24);
ABI_ASSERT(offsetof(struct vhost_user_inflight, padding) == 20);

/* Section "Device state transfer parameters". */
struct vhost_user_device_state {
	uint32_t direction; /* 0 save, 1 load */
	uint32_t phase; /* 0: the device is stopped */
};
ABI_ASSERT(sizeof(struct vhost_user_device_state) == 8);

/* Largest payload of any message above. */
#define VHOST_USER_PAYLOAD_MAX sizeof(struct vhost_user_config)

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_address address;
	struct vhost_user_memory memory;
	struct vhost_user_single_region single;
	struct vhost_user_log log;
	struct vhost_user_iotlb iotlb;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
	struct vhost_user_device_state device_state;
	uint8_t bytes[VHOST_USER_PAYLOAD_MAX];
};

/* Descriptors beside one message: most that any message carries. */
#define VHOST_USER_FDS_MAX VHOST_USER_MEMORY_REGIONS_MAX

#endif
