// SPDX-License-Identifier: GPL-2.0
/*
 * Storms: a back-end that notifies for nothing, as fast as it can.
 *
 * All that a back-end has is an eventfd, and each write to it may be an interrupt here. Nothing in
 * between limits them, so one that writes in a loop would have a vCPU do nothing else. An honest
 * one notifies when it has put something on a ring and was asked to; now and then somebody else has
 * taken that by the time. So each interrupt costs its vector one, and each time a driver finds work
 * (pvkit_event_worked()) pays for some. The vector that has a whole budget unpaid within an
 * interval is disabled for another one, then heard again. That is a few per cent of a CPU, for
 * ever, and the back-end's own device still works meanwhile, if with delays.
 *
 * What it costs the honest: an addition, and a call where there was work. disable_irq() is lazy: the
 * vector is masked (an exit) when it comes while it is disabled, that is in a storm only. A masked
 * vector costs nobody but who notifies it: the shim takes its eventfd from KVM, and the eventfd's
 * counter keeps the event until the vector is unmasked. So nothing is lost either, and a device
 * that stops to storm works as before.
 *
 * What has a meter is a vector, since it is vectors that storm and that can be masked. The ports
 * behind vector 0 share one: any of their back-ends can write its eventfd, and set any bit of the
 * pending page, so nobody could tell whom to punish; they share the delay.
 */
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/module.h>

#include "guest-kernel-module/event_meter.h"

#define INTERVAL_MS 10

/*
 * What work pays for: its own interrupt, one that lost the race to take it, and the same for each
 * ring where a queue has two. A back-end that storms beside its work has four for one.
 */
#define PAID_BY_WORK 4

unsigned int pvkit_spurious_events = 256;
module_param_named(spurious_events, pvkit_spurious_events, uint, 0644);
MODULE_PARM_DESC(spurious_events,
		 "Interrupts without work in 10 ms until one is off for 10 ms (default 256; 0: never)");

static atomic_t storms;

static void hear_again(struct timer_list *timer)
{
	struct pvkit_event_meter *meter = container_of(timer, struct pvkit_event_meter, timer);

	meter->since = jiffies;
	/* Delivers what came meanwhile. */
	enable_irq(meter->irq);
}

void pvkit_meter_open(struct pvkit_event_meter *meter, unsigned int irq)
{
	meter->irq = irq;
	meter->unpaid = 0;
	meter->since = jiffies;
	meter->told = false;
	timer_setup(&meter->timer, hear_again, 0);
}

void pvkit_meter_close(struct pvkit_event_meter *meter)
{
	/* Afterwards nobody starts the timer. */
	disable_irq(meter->irq);
	timer_delete_sync(&meter->timer);
}

void pvkit_meter_full(struct pvkit_event_meter *meter)
{
	unsigned long now = jiffies, interval = msecs_to_jiffies(INTERVAL_MS);
	bool storm = time_before_eq(now, meter->since + interval);

	WRITE_ONCE(meter->unpaid, 0);
	meter->since = now;
	if (!storm || !READ_ONCE(pvkit_spurious_events))
		return;
	atomic_inc(&storms);
	if (!meter->told)
		pr_warn("pvkit: interrupt %u comes again and again for nothing: heard now and then only (see spurious_events)\n",
			meter->irq);
	meter->told = true;
	disable_irq_nosync(meter->irq);
	mod_timer(&meter->timer, now + interval);
}

void pvkit_meter_pay(struct pvkit_event_meter *meter)
{
	unsigned int unpaid = READ_ONCE(meter->unpaid);

	if (unpaid)
		WRITE_ONCE(meter->unpaid, unpaid - min(unpaid, PAID_BY_WORK + 0U));
}

unsigned int pvkit_meter_storms(void)
{
	return atomic_read(&storms);
}
