/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How often an interrupt may come for nothing; struct pvkit_event_meter is in pvkit.h.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_EVENT_METER_H
#define PVKIT_GUEST_KERNEL_MODULE_EVENT_METER_H

#include <linux/compiler.h>

#include "guest-kernel-module/pvkit.h"

/* In a row, and within an interval, without any work behind them; 0: no limit. */
extern unsigned int pvkit_spurious_events;

/* Before the interrupt can come. */
void pvkit_meter_open(struct pvkit_event_meter *meter, unsigned int irq);
/* The interrupt's handler is over, and it stays disabled until free_irq(). */
void pvkit_meter_close(struct pvkit_event_meter *meter);

/* So many came for nothing, just now. */
void pvkit_meter_full(struct pvkit_event_meter *meter);

/* The interrupt came. By its handler only. */
static inline void pvkit_meter_charge(struct pvkit_event_meter *meter)
{
	/* Who pays at the same time on another CPU may lose by it, or win: it is no matter. */
	unsigned int unpaid = READ_ONCE(meter->unpaid) + 1;

	WRITE_ONCE(meter->unpaid, unpaid);
	if (unlikely(unpaid > READ_ONCE(pvkit_spurious_events)))
		pvkit_meter_full(meter);
}

/* There was work behind it. From any context. */
void pvkit_meter_pay(struct pvkit_event_meter *meter);

/* How often an interrupt was switched off, of all meters that there ever were. */
unsigned int pvkit_meter_storms(void);

#endif
