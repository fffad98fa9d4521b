// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/start.h"

#include "common/descriptors.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/platform.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/toolstack.h"
#include "hypervisor-shim/pv/xen.h"
#include "hypervisor-shim/vm.h"

static int connect_store(bool xen)
{
	struct store_ring_page *page = (void *)((uint8_t *)pv.shared.base + PV_STORE_OFFSET);
	int kicked, kick;
	int result = xen ? xen_store_port(&kicked, &kick) : platform_store_port(&kicked, &kick);

	return result < 0 ? result : pv_store_connect_guest(page, kicked, kick);
}

int pv_start(const struct pv_options *options)
{
	const struct attach_ram ram = {.memory = vm_memory, .region_fd = vm_region_fd};
	int result = pv_store_open(PV_GUEST);

	descriptors_raise_limit();
	if (!result)
		result = attach_open(&ram, toolstack_lost);
	if (!result)
		result = options->xen ? xen_open(toolstack_restarted)
				      : platform_open(toolstack_restarted);
	if (!result)
		result = connect_store(options->xen);
	if (!result && options->xen)
		result = toolstack_serve_linux(vm_cpus());
	if (!result && options->store_socket)
		result = pv_store_listen(options->store_socket);
	if (!result && options->attach)
		result = attach_listen(options->attach);
	return result;
}

/* The thread that tells the store of lost back-ends first, then the store, which uses our memory. */
void pv_stop(void)
{
	attach_close();
	pv_store_close();
	toolstack_close();
}
