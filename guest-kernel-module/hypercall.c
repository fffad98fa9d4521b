// SPDX-License-Identifier: GPL-2.0
/*
 * The way into the shim.
 *
 * A call block belongs to one CPU from filling to reading, in all contexts: so interrupts are off
 * meanwhile, and one block a CPU is enough. It costs nothing that the exit does not cost anyway:
 * the vCPU stands still in the OUT. Blocks and their data lie in pages below 4 GiB, which are RAM,
 * contiguous and within reach of a 32-bit OUT; arguments on stacks, which are none of that, go
 * through a copy.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "guest-kernel-module/hypercall.h"
#include "guest-kernel-module/platform.h"

struct call_area {
	struct platform_call call;
	u8 data[HYPERCALL_DATA_MAX];
};

static_assert(sizeof(struct call_area) == 512);

static struct {
	struct call_area *area; /* by CPU */
	unsigned int order;
	u16 port;
} hypercall;

int pvkit_hypercall_open(u16 port)
{
	unsigned int order = get_order(nr_cpu_ids * sizeof(struct call_area));
	unsigned long pages = __get_free_pages(GFP_KERNEL | __GFP_ZERO | GFP_DMA32, order);

	if (!pages)
		return -ENOMEM;
	hypercall.area = (struct call_area *)pages;
	hypercall.order = order;
	hypercall.port = port;
	return 0;
}

void pvkit_hypercall_close(void)
{
	free_pages((unsigned long)hypercall.area, hypercall.order);
	hypercall.area = NULL;
}

/* Interrupts are off. */
static s64 do_call(struct platform_call *call, u32 number, const u64 argument[3])
{
	*call = (struct platform_call){
		.number = number,
		.size = sizeof(*call),
		.argument = { argument[0], argument[1], argument[2] },
		.result = -ENOSYS, /* what a port says where nobody listens */
	};
	/* The exit orders all for this CPU; the compiler must do as much. */
	barrier();
	outl((u32)(virt_to_phys(call) >> PLATFORM_CALL_SHIFT), hypercall.port);
	barrier();
	return READ_ONCE(call->result);
}

s64 pvkit_hypercall(u32 number, u64 first, u64 second, u64 third)
{
	unsigned long flags;
	s64 result;

	local_irq_save(flags);
	result = do_call(&hypercall.area[smp_processor_id()].call, number,
			 (u64[]){ first, second, third });
	local_irq_restore(flags);
	return result;
}

s64 pvkit_hypercall_data(u32 number, u64 first, void *data, size_t size, u64 third)
{
	struct call_area *area;
	unsigned long flags;
	s64 result;

	if (WARN_ON_ONCE(size > sizeof(area->data)))
		return -EINVAL;
	local_irq_save(flags);
	area = &hypercall.area[smp_processor_id()];
	memcpy(area->data, data, size);
	result = do_call(&area->call, number,
			 (u64[]){ first, virt_to_phys(area->data), third });
	memcpy(data, area->data, size);
	local_irq_restore(flags);
	return result;
}
