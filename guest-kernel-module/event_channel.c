// SPDX-License-Identifier: GPL-2.0
/*
 * Event channels: one Linux interrupt a port.
 *
 * The first ports have an MSI-X vector each, and are the PCI core's interrupts: the event reaches
 * its handler on the CPU that the administrator chose, and all that we do on the way is to count it
 * (event_meter.c). The others share vector 0. Its handler takes the bits of the pending page word
 * by word and calls the interrupt of each: descriptors of our own with the edge-triggered flow,
 * which notes an event that comes while the handler runs or is disabled, and delivers it when it
 * ends or is enabled again.
 *
 * An interrupt that is enabled again asks the chip to send it once more: by a bit of our own and an
 * irq_work, since the pending page belongs to the sender and its vector may be busy.
 *
 * A bit is a bit: a pass over the page calls each handler once, and what is set during the pass
 * comes with an interrupt of its own. How often a back-end may interrupt for nothing, with or
 * without a bit, its vector's meter says.
 */
#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/irqdesc.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/event_meter.h"
#include "guest-kernel-module/platform.h"
#include "guest-kernel-module/pvkit.h"

static struct {
	struct pvkit_platform *platform;
	unsigned int *irq; /* by port, of those behind vector 0; 0: none */
	unsigned long *again; /* by port: to be called once more */
	struct irq_work work;
	struct pvkit_event_meter zero; /* of vector 0 */
	u32 generation; /* rises when the platform forgets all ports */
	atomic_t open;
	atomic_t stray; /* bits of ports that nobody has */
} events;

/* ---- ports behind vector 0 ------------------------------------------------------------------- */

static void call_port(u32 port)
{
	/* Pairs with the release when a port's interrupt is ready. */
	unsigned int irq = smp_load_acquire(&events.irq[port]);

	if (irq)
		generic_handle_irq(irq);
	else
		atomic_inc(&events.stray);
}

static void demultiplex(void)
{
	struct platform_pending *pending = events.platform->pending;
	u32 words = BITS_TO_LONGS(events.platform->ports), word;

	for (word = 0; word < words; word++) {
		unsigned long bits, bit;

		if (!READ_ONCE(pending->word[word]))
			continue;
		/*
		 * The bits before the rings, a full barrier: pairs with the sender's between its
		 * ring and its bit.
		 */
		bits = xchg(&pending->word[word], 0);
		for_each_set_bit(bit, &bits, BITS_PER_LONG) {
			u32 port = word * BITS_PER_LONG + bit;

			if (port < events.platform->ports)
				call_port(port);
		}
	}
}

static irqreturn_t vector_zero(int irq, void *context)
{
	pvkit_meter_charge(&events.zero);
	demultiplex();
	/*
	 * Also where no bit was set: of an interrupt that nobody cares for the kernel disables the
	 * vector for good, with all ports behind it.
	 */
	return IRQ_HANDLED;
}

/* In hard interrupt context, interrupts off. */
static void call_again(struct irq_work *work)
{
	u32 port;

	for_each_set_bit(port, events.again, events.platform->ports) {
		if (test_and_clear_bit(port, events.again))
			call_port(port);
	}
}

static void port_nothing(struct irq_data *data)
{
	/* The page has no mask bits; the flow handler's notes are enough. */
}

static int port_retrigger(struct irq_data *data)
{
	set_bit((u32)(unsigned long)irq_data_get_irq_chip_data(data), events.again);
	irq_work_queue(&events.work);
	return 1;
}

static struct irq_chip port_chip = {
	.name = "pvkit",
	.irq_ack = port_nothing,
	.irq_mask = port_nothing,
	.irq_unmask = port_nothing,
	.irq_retrigger = port_retrigger,
};

static int port_irq_create(u32 port)
{
	/* Owned by nobody: the store's interrupt, which is ours, would keep the module in use. */
	int irq = __irq_alloc_descs(-1, 0, 1, NUMA_NO_NODE, NULL, NULL);

	if (irq < 0)
		return irq;
	irq_set_chip_and_handler_name(irq, &port_chip, handle_edge_irq, "event");
	irq_set_chip_data(irq, (void *)(unsigned long)port);
	return irq;
}

static void port_irq_destroy(u32 port, unsigned int irq)
{
	/* A port that the platform forgot, and gave away again, is another event's by now. */
	if (cmpxchg(&events.irq[port], irq, 0) == irq)
		/* It may have been asked for again at the last moment. */
		clear_bit(port, events.again);
	/* And may be in the work's hands. */
	irq_work_sync(&events.work);
	/* A pass over the page that read the number before finds no action, or no descriptor. */
	irq_free_desc(irq);
}

/* ---- ports with a vector --------------------------------------------------------------------- */

static irqreturn_t vector_own(int irq, void *context)
{
	struct pvkit_event *event = context;

	pvkit_meter_charge(&event->own);
	return event->handler(irq, event->context);
}

void pvkit_event_worked(const struct pvkit_event *event)
{
	if (event->meter)
		pvkit_meter_pay(event->meter);
}
EXPORT_SYMBOL_GPL(pvkit_event_worked);

/* ---- opening and closing --------------------------------------------------------------------- */

static s64 port_close(u32 port)
{
	struct event_channel_port close = { .port = port };

	return pvkit_hypercall_data(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_CLOSE, &close,
				    sizeof(close), 0);
}

int pvkit_event_attach(struct pvkit_event *event, u32 port, irq_handler_t handler, const char *name,
		       void *context)
{
	struct pvkit_platform *platform = events.platform;
	bool own = port < platform->vectors;
	int irq, result;

	if (!port || port >= platform->ports)
		return -EINVAL;
	irq = own ? pvkit_platform_irq(platform, port) : port_irq_create(port);
	if (irq < 0)
		return irq;
	*event = (struct pvkit_event){
		.port = port,
		.irq = irq,
		.doorbell = pvkit_platform_doorbell(platform, port),
		.handler = handler,
		.context = context,
		.meter = own ? &event->own : &events.zero,
		.generation = events.generation,
		.kept = true,
	};
	/* From here on it may come, where it has a vector. */
	if (own) {
		pvkit_meter_open(&event->own, irq);
		result = request_irq(irq, vector_own, 0, name, event);
	} else {
		result = request_irq(irq, handler, 0, name, context);
	}
	if (result) {
		if (!own)
			irq_free_desc(irq);
		*event = (struct pvkit_event){};
		return result;
	}
	if (!own) {
		/* The event is complete, and so is the interrupt; pairs with call_port(). */
		smp_store_release(&events.irq[port], irq);
	}
	atomic_inc(&events.open);
	return 0;
}

/* Where it is wanted first; @cpu -1: where new interrupts go. A shared vector stays where it is. */
static void steer(const struct pvkit_event *event, int cpu)
{
	if (event->port >= events.platform->vectors)
		return;
	if (cpu >= 0 && cpu < nr_cpu_ids && cpu_online(cpu))
		irq_set_affinity(event->irq, cpumask_of(cpu));
	else
		irq_set_affinity(event->irq, cpu_online_mask);
}

int pvkit_event_open(struct pvkit_device *device, struct pvkit_event *event, irq_handler_t handler,
		     const char *name, void *context, int vcpu)
{
	struct event_channel_alloc_unbound alloc = {
		.domain = DOMAIN_SELF,
		.remote_domain = device->backend_domain,
	};
	int result;

	*event = (struct pvkit_event){};
	result = pvkit_hypercall_data(HYPERCALL_EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_ALLOC_UNBOUND,
				      &alloc, sizeof(alloc), 0);
	if (result) {
		dev_err(&device->dev, "no event channel for domain %u (%d)\n",
			device->backend_domain, result);
		return result;
	}
	result = pvkit_event_attach(event, alloc.port, handler, name, context);
	if (result) {
		dev_err(&device->dev, "no interrupt for event channel %u (%d)\n", alloc.port,
			result);
		port_close(alloc.port);
		return result;
	}
	event->kept = false;
	steer(event, vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(pvkit_event_open);

void pvkit_event_close(struct pvkit_event *event)
{
	bool own;

	if (!event->port)
		return;
	own = event->port < events.platform->vectors;
	/* Masks it; the handler is over afterwards. */
	if (own)
		pvkit_meter_close(&event->own);
	free_irq(event->irq, own ? event : event->context);
	if (!event->kept && event->generation == events.generation)
		port_close(event->port);
	if (!own)
		port_irq_destroy(event->port, event->irq);
	atomic_dec(&events.open);
	*event = (struct pvkit_event){};
}
EXPORT_SYMBOL_GPL(pvkit_event_close);

/* ---- life ------------------------------------------------------------------------------------ */

int pvkit_events_start(struct pvkit_platform *platform)
{
	int irq = pvkit_platform_irq(platform, 0), error = -ENOMEM;

	if (irq < 0)
		return irq;
	events.irq = kvcalloc(platform->ports, sizeof(*events.irq), GFP_KERNEL);
	events.again = bitmap_zalloc(platform->ports, GFP_KERNEL);
	if (!events.irq || !events.again)
		goto no_interrupt;
	events.work = IRQ_WORK_INIT_HARD(call_again);
	events.platform = platform;
	atomic_set(&events.open, 0);
	atomic_set(&events.stray, 0);
	pvkit_meter_open(&events.zero, irq);
	/* Never in a thread: it calls the handlers of other interrupts, as an interrupt. */
	error = request_irq(irq, vector_zero, IRQF_NO_THREAD, "pvkit", &events);
	if (!error)
		return 0;
	pr_err("pvkit: vector 0 has no interrupt (%d)\n", error);

no_interrupt:
	kvfree(events.irq);
	bitmap_free(events.again);
	return error;
}

void pvkit_events_stop(void)
{
	pvkit_meter_close(&events.zero);
	free_irq(events.zero.irq, &events);
	irq_work_sync(&events.work);
	kvfree(events.irq);
	bitmap_free(events.again);
	events.irq = NULL;
	events.again = NULL;
	events.platform = NULL;
}

void pvkit_events_forgotten(void)
{
	events.generation++;
}

void pvkit_events_show(struct seq_file *file)
{
	seq_printf(file, "ports %u\nvectors %u\nopen %d\nstray %d\nstorms %u\n",
		   events.platform->ports, events.platform->vectors, atomic_read(&events.open),
		   atomic_read(&events.stray), pvkit_meter_storms());
}
