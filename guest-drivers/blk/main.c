// SPDX-License-Identifier: GPL-2.0
/*
 * pvkit_blk.ko: parameters and registration. blk.h says how it all works.
 */
#include <linux/module.h>

#include "guest-drivers/blk/blk.h"

module_param_named(queues, pvd_parameters.queues, uint, 0444);
MODULE_PARM_DESC(queues,
		 "Queues that interrupt, if the back-end has so many (default 0: one a vCPU)");

module_param_named(poll_queues, pvd_parameters.poll_queues, uint, 0444);
MODULE_PARM_DESC(poll_queues, "Queues for polled I/O, beside the others (default 0)");

module_param_named(ring_page_order, pvd_parameters.ring_page_order, uint, 0444);
MODULE_PARM_DESC(ring_page_order, "Pages of a ring, as a power of two, 0 to 4 (default 2)");

module_param_named(indirect_segments, pvd_parameters.indirect_segments, uint, 0444);
MODULE_PARM_DESC(indirect_segments,
		 "Pages of data in a request; up to 11: none is indirect (default 64)");

module_param_named(queue_pages, pvd_parameters.pages, uint, 0444);
MODULE_PARM_DESC(queue_pages, "Pages of data under way in a queue (default 1024)");

module_param_named(persistent, pvd_parameters.persistent, bool, 0444);
MODULE_PARM_DESC(persistent,
		 "Y: copy through pages that the back-end keeps mapped (default N)");

module_param_named(trusted, pvd_parameters.trusted, bool, 0444);
MODULE_PARM_DESC(trusted, "N: show the back-end nothing but copies of data (default Y)");

module_param_named(request_timeout, pvd_request_timeout, uint, 0644);
MODULE_PARM_DESC(request_timeout,
		 "Seconds for an answer until a disk is given up (default 0: for ever)");

module_param_named(close_timeout, pvd_close_timeout, uint, 0644);
MODULE_PARM_DESC(close_timeout, "Seconds for an unplugged disk to finish what is out (default 30)");

static int __init pvkit_blk_init(void)
{
	return pvkit_driver_register(&pvd_driver);
}
module_init(pvkit_blk_init);

static void __exit pvkit_blk_exit(void)
{
	pvkit_driver_unregister(&pvd_driver);
}
module_exit(pvkit_blk_exit);

MODULE_DESCRIPTION("pvkit: front-end of paravirtual block devices");
MODULE_AUTHOR("pvkit developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(PVKIT_VERSION);
MODULE_ALIAS("pvkit:" STORE_CLASS_BLOCK);
