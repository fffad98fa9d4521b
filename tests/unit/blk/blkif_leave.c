// SPDX-License-Identifier: MIT OR GPL-2.0
/* What is left on the host of a Xen disk whose guest goes. */
#include "blkif_guest.h"
#include "tests/unit/host/leave.h"

static struct fake_shim *open_disk(void)
{
	struct disk *d = disk_new();

	disk_open(d);
	return &d->shim;
}

/* Persistent grants are pinned without a request in flight. */
static void publish(struct fake_shim *shim)
{
	struct disk *d = (struct disk *)shim;

	front_set(d, "feature-persistent", "1");
	disk_publish(d, 2, 1, 0);
}

static void ask_much(struct fake_shim *shim)
{
	struct disk *d = (struct disk *)shim;
	struct blkif_rw_req request;
	uint64_t pages[11];
	unsigned int i;

	new_pages(d, pages, 11);
	request = rw(d, BLKIF_READ, 0, pages, 11);
	for (i = 0; i < 40; i++)
		put(d, &d->q[i & 1], &request, sizeof(request));
	push(d, &d->q[0]);
	push(d, &d->q[1]);
}

/* Its workers are threads, which are counted. */
static bool stopped(struct fake_shim *shim)
{
	return true;
}

static void serve(struct fake_shim *shim)
{
	struct disk *d = (struct disk *)shim;
	uint64_t page = guest_page(&d->shim);
	struct blkif_rw_req request = rw(d, BLKIF_WRITE, 8, &page, 1);

	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	assert_int_equal(ask(d, &d->q[1], &request, sizeof(request)), BLKIF_OK);
}

static void close_disk(struct fake_shim *shim)
{
	disk_close((struct disk *)shim);
}

int main(void)
{
	const struct leave_kind disk = {
		.front = FRONT,
		.back = BACK,
		.open = open_disk,
		.publish = publish,
		.ask = ask_much,
		.stopped = stopped,
		.serve = serve,
		.close = close_disk,
	};

	log_open("test", false);
	return leave_run(&disk);
}
