// SPDX-License-Identifier: GPL-2.0
/*
 * The driver as the bus sees it.
 */
#include <linux/slab.h>

#include "guest-drivers/blk/blk.h"

struct terms_wish pvd_parameters = {
	.ring_page_order = 2,
	.indirect_segments = 64,
	.pages = TERMS_PAGES_DEFAULT,
	/* A copy costs more than the grants, unless the back-end has to map them by a hypercall. */
	.persistent = false,
	.trusted = true,
};

unsigned int pvd_request_timeout;
unsigned int pvd_close_timeout = 30;

static int probe(struct pvkit_device *device)
{
	struct pvd *pvd = kzalloc(sizeof(*pvd), GFP_KERNEL);

	if (!pvd)
		return -ENOMEM;
	pvd->device = device;
	pvd_life_init(pvd);
	dev_set_drvdata(&device->dev, pvd);
	pvd_begin(pvd);
	return 0;
}

static void remove(struct pvkit_device *device)
{
	struct pvd *pvd = dev_get_drvdata(&device->dev);

	pvd_end(pvd);
	dev_set_drvdata(&device->dev, NULL);
	pvd_put(pvd);
}

struct pvkit_driver pvd_driver = {
	.class = STORE_CLASS_BLOCK,
	.driver.name = "pvkit_blk",
	.probe = probe,
	.remove = remove,
	.backend_changed = pvd_backend_changed,
	.suspend = pvd_suspend,
	.resume = pvd_resume,
};
