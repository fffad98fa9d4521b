// SPDX-License-Identifier: GPL-2.0
/*
 * What ring/ offers to the front-ends; ring/ itself knows no kernel.
 */
#include <linux/module.h>

#include "ring/xen_ring.h"
#include "ring/xen_shadow.h"

EXPORT_SYMBOL_GPL(xen_ring_fault_text);
EXPORT_SYMBOL_GPL(xen_ring_slots);
EXPORT_SYMBOL_GPL(xen_front_init);
EXPORT_SYMBOL_GPL(xen_front_publish);
EXPORT_SYMBOL_GPL(xen_front_should_notify);
EXPORT_SYMBOL_GPL(xen_front_look);
EXPORT_SYMBOL_GPL(xen_front_events_disable);
EXPORT_SYMBOL_GPL(xen_front_events_enable);
EXPORT_SYMBOL_GPL(xen_front_has_work);
EXPORT_SYMBOL_GPL(xen_shadow_init);
