// SPDX-License-Identifier: GPL-2.0
/*
 * The platform that the tests are.
 */
#include <linux/delay.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/fake.h"

struct fake_platform fake;
EXPORT_SYMBOL_GPL(fake);

unsigned int fake_vectors = 1;
EXPORT_SYMBOL_GPL(fake_vectors);

/* ---- vectors, as MSI-X has them: masked is latched ------------------------------------------- */

struct fake_vector {
	int irq;
	bool masked, latched;
	struct irq_work again;
};

static struct fake_vector vectors[FAKE_VECTORS];

static void vector_send(struct fake_vector *vector)
{
	unsigned long flags;

	local_irq_save(flags);
	if (vector->masked)
		vector->latched = true;
	else
		generic_handle_irq(vector->irq);
	local_irq_restore(flags);
}

static void vector_again(struct irq_work *work)
{
	vector_send(container_of(work, struct fake_vector, again));
}

static void vector_ack(struct irq_data *data)
{
}

static void vector_mask(struct irq_data *data)
{
	struct fake_vector *vector = irq_data_get_irq_chip_data(data);

	vector->masked = true;
	fake.masks++;
}

static int vector_retrigger(struct irq_data *data)
{
	struct fake_vector *vector = irq_data_get_irq_chip_data(data);

	irq_work_queue(&vector->again);
	return 1;
}

static void vector_unmask(struct irq_data *data)
{
	struct fake_vector *vector = irq_data_get_irq_chip_data(data);

	vector->masked = false;
	if (vector->latched)
		vector_retrigger(data);
	vector->latched = false;
}

static struct irq_chip vector_chip = {
	.name = "fake",
	.irq_ack = vector_ack,
	.irq_mask = vector_mask,
	.irq_unmask = vector_unmask,
	.irq_retrigger = vector_retrigger,
};

static int vectors_create(void)
{
	struct fake_vector *vector;

	for (vector = vectors; vector < vectors + FAKE_VECTORS; vector++) {
		vector->irq = irq_alloc_desc(NUMA_NO_NODE);
		if (vector->irq < 0)
			return vector->irq;
		vector->again = IRQ_WORK_INIT_HARD(vector_again);
		irq_set_chip_data(vector->irq, vector);
		irq_set_chip_and_handler_name(vector->irq, &vector_chip, handle_edge_irq, "fake");
	}
	return 0;
}

static void vectors_destroy(void)
{
	struct fake_vector *vector;

	for (vector = vectors; vector < vectors + FAKE_VECTORS; vector++) {
		irq_work_sync(&vector->again);
		irq_free_desc(vector->irq);
	}
}

int pvkit_platform_irq(struct pvkit_platform *platform, u32 vector)
{
	return vector < FAKE_VECTORS ? vectors[vector].irq : -EINVAL;
}

/* ---- calls ----------------------------------------------------------------------------------- */

int pvkit_platform_sleep(void)
{
	fake.sleeps++;
	return 0;
}

void pvkit_platform_poweroff(void)
{
	fake.poweroffs++;
}

void pvkit_platform_reboot(void)
{
	fake.reboots++;
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

/* ---- coming and going ------------------------------------------------------------------------ */

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
	return vectors_create();
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
	platform->vectors = fake_vectors;
	fake_vectors = 1;
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

void fake_grants_returned(struct kunit *test)
{
	struct pvkit_grants_count count;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		pvkit_grants_count(&count);
		if (!count.waiting)
			break;
		msleep(10);
	}
	KUNIT_EXPECT_EQ(test, count.reserved, 0U);
	KUNIT_EXPECT_EQ(test, count.given, 0U);
}
EXPORT_SYMBOL_GPL(fake_grants_returned);

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

/* ---- the other side -------------------------------------------------------------------------- */

void fake_set_pending(u32 port)
{
	set_bit(port % 64, (unsigned long *)&fake.platform.pending->word[port / 64]);
}
EXPORT_SYMBOL_GPL(fake_set_pending);

void fake_interrupt(void)
{
	vector_send(&vectors[0]);
}
EXPORT_SYMBOL_GPL(fake_interrupt);

void fake_notify(u32 port)
{
	if (port < fake.platform.vectors) {
		vector_send(&vectors[port]);
		return;
	}
	fake_set_pending(port);
	fake_interrupt();
}
EXPORT_SYMBOL_GPL(fake_notify);

static void __exit tests_exit(void)
{
	if (!prepared)
		return;
	vectors_destroy();
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
