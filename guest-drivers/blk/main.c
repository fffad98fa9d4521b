// SPDX-License-Identifier: GPL-2.0
/*
 * pvkit_blk.ko: registration. blk.h says how it all works.
 */
#include <linux/module.h>

#include "guest-drivers/blk/blk.h"

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
MODULE_LICENSE("GPL");
MODULE_VERSION(PVKIT_VERSION);
MODULE_ALIAS("pvkit:" STORE_CLASS_BLOCK);
