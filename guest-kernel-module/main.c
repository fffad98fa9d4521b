// SPDX-License-Identifier: GPL-2.0
/*
 * pvkit.ko.
 */
#include <linux/module.h>

#include "guest-kernel-module/pvkit.h"

MODULE_DESCRIPTION("pvkit: platform, events, grants, store and bus of paravirtual front-ends");
MODULE_LICENSE("GPL");
MODULE_VERSION(PVKIT_VERSION);
