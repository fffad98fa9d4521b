// SPDX-License-Identifier: GPL-2.0
/*
 * The platform that the tests are.
 */
#include <linux/irq.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/fake.h"

struct fake_platform fake;
EXPORT_SYMBOL_GPL(fake);

int pvkit_platform_irq(struct pvkit_platform *platform, u32 vector)
{
	return -EINVAL;
}

int pvkit_platform_sleep(void)
{
	fake.sleeps++;
	return 0;
}

s64 pvkit_hypercall(u32 number, u64 first, u64 second, u64 third)
{
	return -EINVAL;
}

static s64 alloc_unbound(struct event_channel_alloc_unbound *alloc)
{
	u32 port = find_first_zero_bit(fake.bound, FAKE_PORTS);

	if (port == FAKE_PORTS)
		return -ENOSPC;
	__set_bit(port, fake.bound);
	alloc->port = port;
	return 0;
}

s64 pvkit_hypercall_data(u32 number, u64 first, void *data, size_t size, u64 third)
{
	struct event_channel_port *port = data;

	if (number != HYPERCALL_EVENT_CHANNEL_OP)
		return -EINVAL;
	if (first == EVENT_CHANNEL_OP_ALLOC_UNBOUND)
		return alloc_unbound(data);
	if (first != EVENT_CHANNEL_OP_CLOSE)
		return -EINVAL;
	fake.closes++;
	return test_and_clear_bit(port->port, fake.bound) ? 0 : -EINVAL;
}

/*
 * User-mode Linux has 64 interrupts, and sets all of them aside for itself; the upper ones it never
 * uses.
 */
#define SPARE_IRQ  40
#define SPARE_IRQS 24

static bool prepared;

/* Once: KUnit runs the suites of a module before the module's own beginning. */
static int prepare(void)
{
	int error;

	if (prepared)
		return 0;
	error = pvkit_bus_register();
	if (error)
		return error;
	irq_free_descs(SPARE_IRQ, SPARE_IRQS);
	prepared = true;
	return 0;
}

int fake_start(void)
{
	struct pvkit_platform *platform = &fake.platform;
	int error = prepare();

	if (error)
		return error;
	memset(&fake, 0, sizeof(fake));
	platform->domain = 1;
	platform->ports = FAKE_PORTS;
	platform->vectors = 1;
	platform->store_port = FAKE_STORE_PORT;
	platform->grants = FAKE_GRANTS;
	platform->doorbells = (void __iomem *)fake.doorbell;
	platform->doorbell_stride = sizeof(fake.doorbell[0]);
	platform->pending = kzalloc(PAGE_SIZE, GFP_KERNEL);
	platform->store_page = kzalloc(PAGE_SIZE, GFP_KERNEL);
	platform->entries = kcalloc(FAKE_GRANTS, sizeof(struct grant_v1), GFP_KERNEL);
	if (!platform->pending || !platform->store_page || !platform->entries)
		return -ENOMEM;
	__set_bit(0, fake.bound);
	__set_bit(FAKE_STORE_PORT, fake.bound);
	error = pvkit_grants_start(platform);
	return error ?: pvkit_events_start(platform);
}
EXPORT_SYMBOL_GPL(fake_start);

void fake_stop(void)
{
	pvkit_events_stop();
	pvkit_grants_stop(true);
	kfree(fake.platform.pending);
	kfree(fake.platform.store_page);
	kfree(fake.platform.entries);
}
EXPORT_SYMBOL_GPL(fake_stop);

int fake_bus_start(void)
{
	return pvkit_scan_start(&fake.platform);
}
EXPORT_SYMBOL_GPL(fake_bus_start);

void fake_bus_stop(void)
{
	pvkit_scan_stop();
}
EXPORT_SYMBOL_GPL(fake_bus_stop);

void fake_set_pending(u32 port)
{
	set_bit(port % 64, (unsigned long *)&fake.platform.pending->word[port / 64]);
}
EXPORT_SYMBOL_GPL(fake_set_pending);

void fake_interrupt(void)
{
	unsigned long flags;

	local_irq_save(flags);
	pvkit_events_demultiplex();
	local_irq_restore(flags);
}
EXPORT_SYMBOL_GPL(fake_interrupt);

void fake_notify(u32 port)
{
	fake_set_pending(port);
	fake_interrupt();
}
EXPORT_SYMBOL_GPL(fake_notify);

static void __exit tests_exit(void)
{
	if (prepared)
		pvkit_bus_unregister();
}
module_exit(tests_exit);

static int __init tests_init(void)
{
	return prepare();
}
module_init(tests_init);

MODULE_DESCRIPTION("KUnit suites of pvkit's guest modules");
MODULE_AUTHOR("pvkit developers");
MODULE_LICENSE("GPL");
