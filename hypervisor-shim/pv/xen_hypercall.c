// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/xen_hypercall.h"

#include <linux/kvm.h>

#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/hypercall.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/xen.h"
#include "hypervisor-shim/pv/xen_kvm.h"
#include "hypervisor-shim/pv/xen_shared.h"
#include "hypervisor-shim/vcpu.h"

#define CONSOLE_BYTES_MAX 128

static bool is_self(uint16_t domain)
{
	return domain == DOMAIN_SELF || domain == PV_GUEST;
}

/* ---- HVM_OP ----------------------------------------------------------------------------------- */

static int get_parameter(uint32_t index, uint64_t *value)
{
	*value = 0; /* what is not here, as the console */
	switch (index) {
	case HVM_PARAMETER_CALLBACK_IRQ:
		*value = xen_shared_callback();
		return 0;
	case HVM_PARAMETER_STORE_FRAME:
		*value = XEN_STORE_ADDRESS >> XEN_FRAME_SHIFT;
		return 0;
	case HVM_PARAMETER_STORE_PORT:
		*value = xen_store_port_number();
		return 0;
	default:
		return index < HVM_PARAMETERS ? 0 : -EINVAL;
	}
}

static int parameter_op(uint64_t operation, uint64_t address)
{
	struct hvm_parameter_args args;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	if (!is_self(args.domain))
		return -EPERM;
	if (operation == HVM_OP_SET_PARAMETER)
		return args.index == HVM_PARAMETER_CALLBACK_IRQ
			       ? xen_shared_set_callback(args.value)
			       : -EPERM;
	result = get_parameter(args.index, &args.value);
	return result < 0 ? result : copy_to_guest(address, &args, sizeof(args));
}

static int set_upcall_vector(uint64_t address)
{
	struct hvm_upcall_vector_args args;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	return args.vcpu < vm_cpus() ? xen_shared_set_vector(args.vcpu, args.vector) : -ENOENT;
}

static int64_t hvm_op(uint64_t operation, uint64_t address)
{
	switch (operation) {
	case HVM_OP_SET_PARAMETER:
	case HVM_OP_GET_PARAMETER:
		return parameter_op(operation, address);
	case HVM_OP_SET_UPCALL_VECTOR:
		return set_upcall_vector(address);
	default:
		return -ENOSYS;
	}
}

/* ---- VCPU_OP ---------------------------------------------------------------------------------- */

static int register_info(unsigned int vcpu, uint64_t address)
{
	struct vcpu_register_info info;
	int result = copy_from_guest(&info, address, sizeof(info));

	return result < 0 ? result : xen_shared_place_vcpu(vcpu, &info);
}

/* The struct holds the guest-virtual address of the area, 0 for none. */
static int register_area(unsigned int vcpu, uint64_t address, size_t size,
			 int (*place)(unsigned int vcpu, uint64_t address))
{
	uint64_t physical = XEN_KVM_NOWHERE;
	struct vcpu_register_area area;
	int result = copy_from_guest(&area, address, sizeof(area));

	if (!result && area.address)
		result = guest_copy_locate(area.address, size, &physical);
	return result < 0 ? result : place(vcpu, physical);
}

static int64_t vcpu_op(uint64_t operation, uint64_t number, uint64_t address)
{
	unsigned int vcpu = (unsigned int)number;

	if (number >= vm_cpus())
		return -ENOENT;
	switch (operation) {
	case VCPU_OP_IS_UP:
	case VCPU_OP_GET_PHYSICAL_ID:
		return operation == VCPU_OP_IS_UP ? 1 : hypercall_vcpu_op(operation, vcpu, address);
	case VCPU_OP_REGISTER_VCPU_INFO:
		return register_info(vcpu, address);
	case VCPU_OP_REGISTER_RUNSTATE_AREA:
		return register_area(vcpu, address, sizeof(struct vcpu_runstate_area),
				     xen_shared_place_runstate);
	case VCPU_OP_REGISTER_TIME_AREA:
		return register_area(vcpu, address, sizeof(struct vcpu_time_area),
				     xen_shared_place_time);
	case VCPU_OP_STOP_PERIODIC_TIMER: /* there is none */
	case VCPU_OP_STOP_SINGLESHOT_TIMER: /* one without a port never runs */
		return 0;
	default:
		return -ENOSYS;
	}
}

/* ---- others ----------------------------------------------------------------------------------- */

static int64_t event_channel_op(uint64_t operation, uint64_t address)
{
	int64_t result = hypercall_event_channel_op(operation, address);

	if (!result && (operation == EVENT_CHANNEL_OP_BIND_VIRQ ||
			operation == EVENT_CHANNEL_OP_CLOSE || operation == EVENT_CHANNEL_OP_RESET))
		xen_shared_update_timers();
	return result;
}

static int64_t console_io(uint64_t operation, uint64_t count, uint64_t address)
{
	if (operation != CONSOLE_OP_WRITE)
		return -ENOSYS;
	return hypercall_log(address, count < CONSOLE_BYTES_MAX ? count : CONSOLE_BYTES_MAX);
}

static int64_t dispatch(uint64_t number, const __u64 *argument)
{
	switch (number) {
	case HYPERCALL_MEMORY_OP:
		return xen_memory_op(argument[0], argument[1]);
	case HYPERCALL_XEN_VERSION:
		return xen_version_op(argument[0], argument[1]);
	case HYPERCALL_CONSOLE_IO:
		return console_io(argument[0], argument[1], argument[2]);
	case HYPERCALL_GRANT_TABLE_OP:
		return hypercall_grant_table_op(argument[0], argument[1], argument[2]);
	case HYPERCALL_VCPU_OP:
		return vcpu_op(argument[0], argument[1], argument[2]);
	case HYPERCALL_SCHED_OP:
		return hypercall_sched_op(argument[0], argument[1]);
	case HYPERCALL_EVENT_CHANNEL_OP:
		return event_channel_op(argument[0], argument[1]);
	case HYPERCALL_HVM_OP:
		return hvm_op(argument[0], argument[1]);
	default:
		return -ENOSYS;
	}
}

/* Like Xen: user mode gets nothing. A 32-bit kernel would pass other structs. */
void xen_hypercall(unsigned int vcpu, struct kvm_xen_exit *exit)
{
	if (exit->type != KVM_EXIT_XEN_HCALL)
		return;
	if (exit->u.hcall.cpl) {
		exit->u.hcall.result = (uint64_t)-EPERM;
		return;
	}
	if (!exit->u.hcall.longmode) {
		exit->u.hcall.result = (uint64_t)-ENOSYS;
		return;
	}
	guest_copy_set_space(vcpu_translate);
	exit->u.hcall.result = (uint64_t)dispatch(exit->u.hcall.input, exit->u.hcall.params);
	guest_copy_set_space(NULL);
}
