// SPDX-License-Identifier: GPL-2.0
/*
 * pvkit_blk.ko: registration and parameters. blk.h says how it all works.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "guest-drivers/blk/blk.h"

static unsigned int queues;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues,
		 "Queues that interrupt, if the back-end has so many (default 0: one a vCPU)");

static unsigned int poll_queues;
module_param(poll_queues, uint, 0444);
MODULE_PARM_DESC(poll_queues, "Queues for polled I/O, beside the others (default 0)");

static unsigned int ring_page_order = 2;
module_param(ring_page_order, uint, 0444);
MODULE_PARM_DESC(ring_page_order, "Pages of a ring, as a power of two, 0 to 4 (default 2)");

static unsigned int indirect_segments = 64;
module_param(indirect_segments, uint, 0444);
MODULE_PARM_DESC(indirect_segments,
		 "Pages of data in a request; up to 11: none is indirect (default 64)");

static unsigned int queue_pages = TERMS_PAGES_DEFAULT;
module_param(queue_pages, uint, 0444);
MODULE_PARM_DESC(queue_pages, "Pages of data under way in a queue (default 1024)");

static bool persistent = true;
module_param(persistent, bool, 0444);
MODULE_PARM_DESC(persistent,
		 "Copy through pages that a back-end keeps, if it wants to (default Y)");

static bool trusted = true;
module_param(trusted, bool, 0444);
MODULE_PARM_DESC(trusted, "N: show the back-end nothing but copies of data (default Y)");

unsigned int pvd_request_timeout;
module_param_named(request_timeout, pvd_request_timeout, uint, 0644);
MODULE_PARM_DESC(request_timeout,
		 "Seconds for an answer until a disk is given up (default 0: for ever)");

unsigned int pvd_close_timeout = 30;
module_param_named(close_timeout, pvd_close_timeout, uint, 0644);
MODULE_PARM_DESC(close_timeout, "Seconds for an unplugged disk to finish what is out (default 30)");

void pvd_wish(struct terms_wish *wish)
{
	*wish = (struct terms_wish){
		.cpus = num_online_cpus(),
		.queues = queues,
		.poll_queues = poll_queues,
		.ring_page_order = ring_page_order,
		.indirect_segments = indirect_segments,
		.pages = queue_pages,
		.persistent = persistent,
		.trusted = trusted,
	};
}

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

static struct pvkit_driver driver = {
	.class = STORE_CLASS_BLOCK,
	.driver.name = "pvkit_blk",
	.probe = probe,
	.remove = remove,
	.backend_changed = pvd_backend_changed,
	.suspend = pvd_suspend,
	.resume = pvd_resume,
};

static int __init pvkit_blk_init(void)
{
	return pvkit_driver_register(&driver);
}
module_init(pvkit_blk_init);

static void __exit pvkit_blk_exit(void)
{
	pvkit_driver_unregister(&driver);
}
module_exit(pvkit_blk_exit);

MODULE_DESCRIPTION("pvkit: front-end of paravirtual block devices");
MODULE_LICENSE("GPL");
MODULE_VERSION(PVKIT_VERSION);
MODULE_ALIAS("pvkit:" STORE_CLASS_BLOCK);
