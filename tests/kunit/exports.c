// SPDX-License-Identifier: GPL-2.0
/*
 * What the drivers' suites need, and drivers never do: the other side of a
 * ring, and accounts.
 */
#include <linux/module.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/event_meter.h"
#include "guest-kernel-module/grant_table.h"
#include "ring/xen_ring.h"

EXPORT_SYMBOL_GPL(pvkit_bus_resume);
EXPORT_SYMBOL_GPL(pvkit_bus_suspend);
EXPORT_SYMBOL_GPL(pvkit_grants_count);
EXPORT_SYMBOL_GPL(pvkit_meter_storms);
EXPORT_SYMBOL_GPL(pvkit_spurious_events);
EXPORT_SYMBOL_GPL(xen_back_init);
EXPORT_SYMBOL_GPL(xen_back_look);
EXPORT_SYMBOL_GPL(xen_back_publish);
EXPORT_SYMBOL_GPL(xen_back_should_notify);
EXPORT_SYMBOL_GPL(xen_back_events_disable);
EXPORT_SYMBOL_GPL(xen_back_events_enable);
EXPORT_SYMBOL_GPL(xen_back_has_work);
EXPORT_SYMBOL_GPL(xen_back_waiting);
