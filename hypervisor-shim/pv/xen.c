// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/xen.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "abi/platform.h"
#include "common/log.h"
#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/boot.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/restart.h"
#include "hypervisor-shim/pv/xen_hypercall.h"
#include "hypervisor-shim/pv/xen_kvm.h"
#include "hypervisor-shim/pv/xen_platform.h"
#include "hypervisor-shim/pv/xen_shared.h"
#include "hypervisor-shim/pv/xen_wiring.h"
#include "hypervisor-shim/vm.h"

static struct {
	uint32_t store_port;
	int store_kick;
	void (*restarted)(void);
} xen = {.store_kick = -1};

/* ---- CPUID ------------------------------------------------------------------------------------ */

static unsigned int make_leaves(unsigned int cpu, struct kvm_cpuid_entry2 *leaf)
{
	uint32_t signature[3];

	memcpy(signature, XEN_LEAF_SIGNATURE, sizeof(signature));
	memset(leaf, 0, XEN_LEAVES_MAX * sizeof(*leaf));
	for (unsigned int i = 0; i < XEN_LEAVES_MAX; i++)
		leaf[i].function = XEN_LEAF_FIRST + i;
	leaf[0].eax = XEN_LEAF_FIRST + XEN_LEAVES_MAX - 1;
	leaf[0].ebx = signature[0];
	leaf[0].ecx = signature[1];
	leaf[0].edx = signature[2];
	leaf[XEN_LEAF_VERSION].eax = XEN_VERSION;
	leaf[XEN_LEAF_HYPERCALL].eax = 1;
	leaf[XEN_LEAF_HYPERCALL].ebx = XEN_MSR_HYPERCALL;
	leaf[XEN_LEAF_HVM].eax =
		XEN_LEAF_HVM_VCPU_ID | XEN_LEAF_HVM_DOMAIN_ID | XEN_LEAF_HVM_UPCALL_VECTOR;
	leaf[XEN_LEAF_HVM].ebx = cpu;
	leaf[XEN_LEAF_HVM].ecx = PV_GUEST;
	return XEN_LEAVES_MAX;
}

void xen_announce(void)
{
	cpuid_replace_leaves(make_leaves);
	if (!boot_is_pvh())
		acpi_hide_lack_of_vga();
}

/* ---- start, reset, end ------------------------------------------------------------------------ */

static void closed(struct event_channels *channels, uint16_t owner, uint32_t port)
{
	attach_channel_closed(owner, port);
}

static const struct event_channel_ops channel_ops = {
	.wire = xen_wiring_update,
	.raise = xen_wiring_raise,
	.closed = closed,
	.unmask = xen_wiring_unmask,
};

/* The machine is reset: no vCPU runs. */
static void power_on(void)
{
	if (xen.restarted)
		xen.restarted();
	pthread_mutex_lock(&pv.lock);
	restart_machine();
	pthread_mutex_unlock(&pv.lock);
	xen_shared_reset();
	xen_memory_reset();
}

static void close_all(void)
{
	pthread_mutex_lock(&pv.lock);
	event_channels_close(&pv.channels);
	pthread_mutex_unlock(&pv.lock);
	xen_shared_reset();
	xen_memory_reset();
	vm_remove_slot(XEN_STORE_ADDRESS);
	if (xen.store_kick >= 0)
		close(xen.store_kick);
	xen.store_kick = -1;
	xen.restarted = NULL;
	pv_state_close();
}

/* Senders find no port without a vector of its own: they write the eventfd and that is all. */
static void hide_pending_page(void)
{
	struct platform_pending *pending = (void *)((uint8_t *)pv.shared.base + PV_PENDING_OFFSET);

	pending->vectors = UINT32_MAX;
}

static int number_vcpus(void)
{
	int result = 0;

	for (unsigned int i = 0; !result && i < vm_cpus(); i++)
		result = xen_kvm_set_vcpu(i, XEN_KVM_VCPU_ID, i);
	return result;
}

static int open_ports(void)
{
	int result;

	xen_wiring_init();
	hide_pending_page();
	result = event_channel_bind_fixed(&pv.channels);
	if (result > 0)
		xen.store_port = (uint32_t)result;
	return result < 0 ? result : 0;
}

static int place_store_page(void)
{
	return vm_add_slot(XEN_STORE_ADDRESS, XEN_FRAME_BYTES,
			   (uint8_t *)pv.shared.base + PV_STORE_OFFSET);
}

int xen_open(void (*restarted)(void))
{
	int result = xen_kvm_open();

	if (result < 0)
		return result; /* after its own line */
	result = pv_state_open(&channel_ops, vm_cpus());
	if (result < 0)
		return result;
	pv.grant_view = &xen_memory_grants;
	machine_add_part(power_on, close_all);
	xen.restarted = restarted;
	result = open_ports();
	if (!result)
		result = number_vcpus();
	if (!result)
		result = place_store_page();
	if (!result && !boot_is_pvh())
		result = xen_platform_open();
	if (result < 0)
		log_error("cannot make the parts of a Xen guest: %s", strerror(-result));
	return result;
}

int xen_store_port(int *kicked, int *kick)
{
	int result = attach_kick(xen.store_port);

	if (result < 0)
		return result;
	xen.store_kick = *kick = result;
	*kicked = pv.channels.port[xen.store_port].from_guest;
	return 0;
}

uint32_t xen_store_port_number(void)
{
	return xen.store_port;
}
