/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * blkif: Xen's block device. Requests and responses, and the keys by which the two sides agree.
 *
 * Directories of class STORE_CLASS_BLOCK; keys are decimal strings unless said otherwise. An absent
 * key means its default. Nothing is believed because it was read once: each side copies the other's
 * keys when the state says that they are complete, checks them, and uses the copies.
 *
 *	front-end				back-end
 *	Initialising				Initialising
 *						opens the image, writes its features
 *						InitWait
 *	reads features and limits	←
 *	allocates rings, grants, channels
 *	writes them, and what it chose
 *	Initialised			→
 *						reads them, maps rings, binds channels
 *						writes size and properties of the disk
 *						Connected
 *	reads size and properties	←
 *	shows the disk
 *	Connected
 *
 *	… requests …				… responses …
 *						the image grew: writes sectors, then Connected again
 *	reads sectors again		←
 *
 *	no new I/O, waits for what is out	(to unplug: Closing)
 *	Closing				→
 *						serves what is on the rings, unmaps
 *						Closed
 *	takes rings and grants back	←
 *	Closed				→	online = 0: removes both directories
 *
 * Either side may skip waiting: a front-end may go to Initialised before InitWait (with defaults),
 * a back-end from InitWait straight to what the front-end's state asks for. A front-end that comes
 * back to Initialising after Closed starts the dance anew; after a suspend, or a change of
 * back-end, it does so in place.
 */
#ifndef PVKIT_ABI_BLKIF_H
#define PVKIT_ABI_BLKIF_H

#include "abi/types.h"

/* ---- on the ring ----------------------------------------------------------------------------- */

enum blkif_operation {
	BLKIF_READ = 0,
	BLKIF_WRITE = 1,
	BLKIF_BARRIER =
		2, /* a write, maybe empty: all before it, then it, durable, then all after it */
	BLKIF_FLUSH = 3, /* what was acknowledged becomes durable; may carry a write to follow */
	BLKIF_VENDOR = 4, /* reserved: SUSE's packets */
	BLKIF_DISCARD = 5, /* struct blkif_discard_req */
	BLKIF_INDIRECT = 6, /* struct blkif_indirect_req; its ->indirect_operation is one of 0..3 */
	/* pvkit's own, only after BLKIF_KEY_WRITE_ZEROES; struct blkif_discard_req */
	BLKIF_WRITE_ZEROES = 0x80,
};

/* Status of a response. */
enum blkif_status {
	BLKIF_OK = 0,
	BLKIF_ERROR = -1,
	BLKIF_NOT_SUPPORTED = -2,
};

#define BLKIF_SEGMENTS_MAX          11 /* in a request itself */
#define BLKIF_INDIRECT_PAGES_MAX    8
#define BLKIF_SEGMENTS_PER_PAGE     512
#define BLKIF_INDIRECT_SEGMENTS_MAX (BLKIF_INDIRECT_PAGES_MAX * BLKIF_SEGMENTS_PER_PAGE)

/*
 * Sectors: of 512 bytes in ->first_sector, ->last_sector and ->sector, whatever the disk's sector
 * size, unless the front-end said BLKIF_KEY_LARGE_SECTORS; then all are of BLKIF_KEY_SECTOR_SIZE.
 * Linux's front-end counts in 512; transfers are always whole sectors of the disk.
 */
#define BLKIF_SECTOR_BYTES 512

/* A part of one granted page, in whole sectors. */
struct blkif_segment {
	uint32_t grant;
	uint8_t first_sector; /* 0..7, not above ->last_sector */
	uint8_t last_sector; /* inclusive */
	uint16_t padding;
};
ABI_ASSERT(sizeof(struct blkif_segment) == 8);
ABI_ASSERT(offsetof(struct blkif_segment, last_sector) == 5);

/* READ, WRITE, BARRIER, FLUSH. */
struct blkif_rw_req {
	uint8_t operation;
	uint8_t segments; /* 1..11; 0 for FLUSH and for an empty BARRIER */
	uint16_t handle; /* of the virtual device; nobody looks */
	uint32_t padding;
	uint64_t id; /* comes back in the response */
	uint64_t sector;
	struct blkif_segment segment[BLKIF_SEGMENTS_MAX];
};
ABI_ASSERT(sizeof(struct blkif_rw_req) == 112);
ABI_ASSERT(offsetof(struct blkif_rw_req, id) == 8);
ABI_ASSERT(offsetof(struct blkif_rw_req, segment) == 24);

/* DISCARD, WRITE_ZEROES. */
struct blkif_discard_req {
	uint8_t operation;
	uint8_t flags; /* BLKIF_DISCARD_FLAG_SECURE, BLKIF_ZEROES_FLAG_UNMAP */
	uint16_t handle;
	uint32_t padding;
	uint64_t id;
	uint64_t sector;
	uint64_t sectors;
};
ABI_ASSERT(sizeof(struct blkif_discard_req) == 32);
ABI_ASSERT(offsetof(struct blkif_discard_req, sectors) == 24);

#define BLKIF_DISCARD_FLAG_SECURE (1U << 0) /* DISCARD: beyond recovery */
#define BLKIF_ZEROES_FLAG_UNMAP   (1U << 0) /* WRITE_ZEROES: the space may be given up */

/* INDIRECT: the segments are in pages of their own, BLKIF_SEGMENTS_PER_PAGE in each. */
struct blkif_indirect_req {
	uint8_t operation; /* BLKIF_INDIRECT */
	uint8_t indirect_operation; /* the real one */
	uint16_t segments; /* 1..what the back-end offered */
	uint32_t padding;
	uint64_t id;
	uint64_t sector;
	uint16_t handle;
	uint16_t padding1;
	uint32_t page_grant[BLKIF_INDIRECT_PAGES_MAX];
	uint32_t padding2;
};
ABI_ASSERT(sizeof(struct blkif_indirect_req) == 64);
ABI_ASSERT(offsetof(struct blkif_indirect_req, handle) == 24);
ABI_ASSERT(offsetof(struct blkif_indirect_req, page_grant) == 28);

struct blkif_rsp {
	uint64_t id;
	uint8_t operation; /* of the request: of an indirect one, its ->indirect_operation */
	uint8_t padding;
	int16_t status; /* enum blkif_status */
	uint32_t padding1;
};
ABI_ASSERT(sizeof(struct blkif_rsp) == 16);
ABI_ASSERT(offsetof(struct blkif_rsp, status) == 10);

/* One slot: STORE_PROTOCOL_X86_64. 32 of them in a ring of one page. */
union blkif_req {
	uint8_t operation; /* the first byte of each */
	struct blkif_rw_req rw;
	struct blkif_discard_req discard;
	struct blkif_indirect_req indirect;
};
ABI_ASSERT(sizeof(union blkif_req) == 112);

#define BLKIF_SLOT_BYTES sizeof(union blkif_req)

/* ---- in the store ---------------------------------------------------------------------------- */

#define STORE_CLASS_BLOCK "vbd"

/* Back-end, by InitWait: what it can. 1 or absent. */
#define BLKIF_KEY_BARRIER             "feature-barrier"
#define BLKIF_KEY_FLUSH               "feature-flush-cache"
#define BLKIF_KEY_DISCARD             "feature-discard"
#define BLKIF_KEY_PERSISTENT          "feature-persistent" /* front-end too: both, or not */
#define BLKIF_KEY_MAX_INDIRECT        "feature-max-indirect-segments" /* a count; absent: none */
#define BLKIF_KEY_MAX_RING_PAGE_ORDER "max-ring-page-order" /* default 0 */
#define BLKIF_KEY_MAX_RING_PAGES \
	"max-ring-pages" /* the same in pages, as older front-ends read it */
/* pvkit's own: the back-end offers it with 1, the front-end accepts it with 1. */
#define BLKIF_KEY_WRITE_ZEROES "feature-pvkit-write-zeroes"

/* Back-end, by Connected: the disk. */
#define BLKIF_KEY_SECTORS              "sectors" /* of 512 bytes for Linux's front-end, as above */
#define BLKIF_KEY_SECTOR_SIZE          "sector-size" /* bytes; power of two, 512 at least */
#define BLKIF_KEY_PHYSICAL_SECTOR_SIZE "physical-sector-size" /* default: sector-size */
#define BLKIF_KEY_INFO                 "info" /* BLKIF_INFO_* */
#define BLKIF_KEY_DISCARD_GRANULARITY  "discard-granularity" /* bytes; default: sector-size */
#define BLKIF_KEY_DISCARD_ALIGNMENT    "discard-alignment" /* bytes; default 0 */
#define BLKIF_KEY_DISCARD_SECURE       "discard-secure" /* 1: BLKIF_DISCARD_FLAG_SECURE works */
#define BLKIF_KEY_DISCARD_ENABLE       "discard-enable" /* administrator: 0: do not offer it */
/*
 * pvkit's own: what udev tells disks apart by. Printable text without blanks, no longer than virtio's
 * (VIRTIO_BLK_ID_BYTES), so that a disk keeps it on either bus. Absent: none.
 */
#define BLKIF_KEY_SERIAL       "serial"
#define BLKIF_SERIAL_BYTES_MAX 20

#define BLKIF_INFO_CDROM     0x1
#define BLKIF_INFO_REMOVABLE 0x2
#define BLKIF_INFO_READONLY  0x4

/* Back-end's own directory, by whoever creates the device. */
#define BLKIF_KEY_MODE   "mode" /* "r" or "w" */
#define BLKIF_KEY_PARAMS "params" /* the image */
#define BLKIF_KEY_TYPE   "type"

/*
 * Front-end, by Initialised: a ring. In "queue-N/" when it chose several queues, else in its
 * directory.
 */
#define BLKIF_KEY_RING_REF        "ring-ref" /* of a ring of one page */
#define BLKIF_KEY_RING_REF_PREFIX "ring-ref" /* "ring-ref0", … of a ring of several */
#define BLKIF_KEY_RING_PAGE_ORDER "ring-page-order" /* default 0; of the device, for all queues */
#define BLKIF_KEY_NUM_RING_PAGES \
	"num-ring-pages" /* the same in pages, as older back-ends read it */
/* and STORE_KEY_EVENT_CHANNEL, STORE_KEY_PROTOCOL, STORE_KEY_NUM_QUEUES, STORE_KEY_TRUSTED */
#define BLKIF_KEY_LARGE_SECTORS "feature-large-sector-size"

/* Front-end's directory, by whoever creates the device. */
#define BLKIF_KEY_VIRTUAL_DEVICE "virtual-device" /* number of the disk */
#define BLKIF_KEY_DEVICE_TYPE    "device-type" /* "disk", "cdrom" */

#endif
