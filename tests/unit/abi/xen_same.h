/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Our hypercalls, events, grants and store beside somebody else's headers of the same, wherever
 * Xen's own and the kernel's copy have the same names. Include those before this file.
 *
 * A field is the same when its offset and its size are. Pads are not compared; the size of the
 * whole is.
 */
#ifndef PVKIT_TESTS_UNIT_ABI_XEN_SAME_H
#define PVKIT_TESTS_UNIT_ABI_XEN_SAME_H

#include "abi/blkif.h"
#include "abi/event_channel.h"
#include "abi/grant_table.h"
#include "abi/hypercall.h"
#include "abi/netif.h"
#include "abi/store.h"
#include "abi/xen_ring.h"

#define same_size(ours, theirs) assert_int_equal(sizeof(ours), sizeof(theirs))

#define same_field(ours, our_field, theirs, their_field)                                    \
	do {                                                                                \
		assert_int_equal(offsetof(ours, our_field), offsetof(theirs, their_field)); \
		assert_int_equal(sizeof(((ours *)0)->our_field),                            \
				 sizeof(((theirs *)0)->their_field));                       \
	} while (0)

/* Both as 64 bits: enumerators and macros of any type, negative ones too. */
#define same(ours, theirs) assert_true((int64_t)(ours) == (int64_t)(theirs))

static void same_leaves(void **state)
{
	uint32_t signature[3];

	memcpy(signature, XEN_LEAF_SIGNATURE, sizeof(signature));
	same(signature[0], XEN_CPUID_SIGNATURE_EBX);
	same(signature[1], XEN_CPUID_SIGNATURE_ECX);
	same(signature[2], XEN_CPUID_SIGNATURE_EDX);
	same(XEN_LEAF_FIRST, XEN_CPUID_FIRST_LEAF);
	/* They number leaves from 1 in their comments, from the base in their macro, as we do. */
	same(XEN_LEAF_FIRST + XEN_LEAF_VERSION, XEN_CPUID_LEAF(1));
	same(XEN_LEAF_FIRST + XEN_LEAF_HYPERCALL, XEN_CPUID_LEAF(2));
	same(XEN_LEAF_FIRST + XEN_LEAF_TIME, XEN_CPUID_LEAF(3));
	same(XEN_LEAF_FIRST + XEN_LEAF_HVM, XEN_CPUID_LEAF(4));
	same(XEN_LEAF_HVM_APIC_ACCESS, XEN_HVM_CPUID_APIC_ACCESS_VIRT);
	same(XEN_LEAF_HVM_X2APIC, XEN_HVM_CPUID_X2APIC_VIRT);
	same(XEN_LEAF_HVM_IOMMU_MAPPINGS, XEN_HVM_CPUID_IOMMU_MAPPINGS);
	same(XEN_LEAF_HVM_VCPU_ID, XEN_HVM_CPUID_VCPU_ID_PRESENT);
	same(XEN_LEAF_HVM_DOMAIN_ID, XEN_HVM_CPUID_DOMID_PRESENT);
	same(XEN_LEAF_HVM_EXT_DEST_ID, XEN_HVM_CPUID_EXT_DEST_ID);
	same(XEN_LEAF_HVM_UPCALL_VECTOR, XEN_HVM_CPUID_UPCALL_VECTOR);
}

static void same_hypercall_numbers(void **state)
{
	same(HYPERCALL_MEMORY_OP, __HYPERVISOR_memory_op);
	same(HYPERCALL_MULTICALL, __HYPERVISOR_multicall);
	same(HYPERCALL_SET_TIMER_OP, __HYPERVISOR_set_timer_op);
	same(HYPERCALL_XEN_VERSION, __HYPERVISOR_xen_version);
	same(HYPERCALL_CONSOLE_IO, __HYPERVISOR_console_io);
	same(HYPERCALL_GRANT_TABLE_OP, __HYPERVISOR_grant_table_op);
	same(HYPERCALL_VM_ASSIST, __HYPERVISOR_vm_assist);
	same(HYPERCALL_VCPU_OP, __HYPERVISOR_vcpu_op);
	same(HYPERCALL_SCHED_OP, __HYPERVISOR_sched_op);
	same(HYPERCALL_CALLBACK_OP, __HYPERVISOR_callback_op);
	same(HYPERCALL_EVENT_CHANNEL_OP, __HYPERVISOR_event_channel_op);
	same(HYPERCALL_PHYSDEV_OP, __HYPERVISOR_physdev_op);
	same(HYPERCALL_HVM_OP, __HYPERVISOR_hvm_op);
	same(HYPERCALL_ARCH_0, __HYPERVISOR_arch_0);
	same(HYPERCALL_ARCH_7, __HYPERVISOR_arch_7);
	same(DOMAIN_SELF, DOMID_SELF);
	same(DOMAIN_FIRST_RESERVED, DOMID_FIRST_RESERVED);
	same(DOMAIN_IO, DOMID_IO);
	same(DOMAIN_XEN, DOMID_XEN);
	same(CONSOLE_OP_WRITE, CONSOLEIO_write);
	same(CONSOLE_OP_READ, CONSOLEIO_read);
	same_size(struct multicall_call, struct multicall_entry);
	same_field(struct multicall_call, number, struct multicall_entry, op);
	same_field(struct multicall_call, result, struct multicall_entry, result);
	same_field(struct multicall_call, argument, struct multicall_entry, args);
}

static void same_memory_op(void **state)
{
	same(MEMORY_OP_INCREASE_RESERVATION, XENMEM_increase_reservation);
	same(MEMORY_OP_DECREASE_RESERVATION, XENMEM_decrease_reservation);
	same(MEMORY_OP_CURRENT_RESERVATION, XENMEM_current_reservation);
	same(MEMORY_OP_MAXIMUM_RESERVATION, XENMEM_maximum_reservation);
	same(MEMORY_OP_POPULATE_PHYSMAP, XENMEM_populate_physmap);
	same(MEMORY_OP_ADD_TO_PHYSMAP, XENMEM_add_to_physmap);
	same(MEMORY_OP_MEMORY_MAP, XENMEM_memory_map);
	same(MEMORY_OP_REMOVE_FROM_PHYSMAP, XENMEM_remove_from_physmap);
	same(MEMORY_SPACE_SHARED_INFO, XENMAPSPACE_shared_info);
	same(MEMORY_SPACE_GRANT_TABLE, XENMAPSPACE_grant_table);
	same(MEMORY_SPACE_GMFN, XENMAPSPACE_gmfn);
	same(MEMORY_SPACE_GMFN_RANGE, XENMAPSPACE_gmfn_range);
	same(MEMORY_SPACE_GMFN_FOREIGN, XENMAPSPACE_gmfn_foreign);
	same(MEMORY_SPACE_DEV_MMIO, XENMAPSPACE_dev_mmio);

	same_size(struct memory_add_to_physmap, struct xen_add_to_physmap);
	same_field(struct memory_add_to_physmap, domain, struct xen_add_to_physmap, domid);
	same_field(struct memory_add_to_physmap, size, struct xen_add_to_physmap, size);
	same_field(struct memory_add_to_physmap, space, struct xen_add_to_physmap, space);
	same_field(struct memory_add_to_physmap, index, struct xen_add_to_physmap, idx);
	same_field(struct memory_add_to_physmap, frame, struct xen_add_to_physmap, gpfn);

	same_size(struct memory_remove_from_physmap, struct xen_remove_from_physmap);
	same_field(struct memory_remove_from_physmap, domain, struct xen_remove_from_physmap,
		   domid);
	same_field(struct memory_remove_from_physmap, frame, struct xen_remove_from_physmap, gpfn);

	same_size(struct memory_reservation, struct xen_memory_reservation);
	same_field(struct memory_reservation, extents, struct xen_memory_reservation, extent_start);
	same_field(struct memory_reservation, count, struct xen_memory_reservation, nr_extents);
	same_field(struct memory_reservation, order, struct xen_memory_reservation, extent_order);
	same_field(struct memory_reservation, domain, struct xen_memory_reservation, domid);

	same_size(struct memory_map, struct xen_memory_map);
	same_field(struct memory_map, count, struct xen_memory_map, nr_entries);
	same_field(struct memory_map, entries, struct xen_memory_map, buffer);
	/* Neither of them has the entry: it is the one of a PC's firmware, as Linux boots with it. */
	same_size(struct memory_map_entry, struct boot_e820_entry);
	same_field(struct memory_map_entry, address, struct boot_e820_entry, addr);
	same_field(struct memory_map_entry, size, struct boot_e820_entry, size);
	same_field(struct memory_map_entry, type, struct boot_e820_entry, type);
}

static void same_xen_version(void **state)
{
	same(VERSION_OP_VERSION, XENVER_version);
	same(VERSION_OP_EXTRAVERSION, XENVER_extraversion);
	same(VERSION_OP_COMPILE_INFO, XENVER_compile_info);
	same(VERSION_OP_CAPABILITIES, XENVER_capabilities);
	same(VERSION_OP_CHANGESET, XENVER_changeset);
	same(VERSION_OP_PLATFORM_PARAMETERS, XENVER_platform_parameters);
	same(VERSION_OP_GET_FEATURES, XENVER_get_features);
	same(VERSION_OP_PAGESIZE, XENVER_pagesize);
	same(VERSION_OP_GUEST_HANDLE, XENVER_guest_handle);
	same(VERSION_OP_COMMANDLINE, XENVER_commandline);
	same(VERSION_OP_BUILD_ID, XENVER_build_id);
	same(VERSION_FEATURE_WORDS, XENFEAT_NR_SUBMAPS);

	same_size(struct version_compile_info, struct xen_compile_info);
	same_field(struct version_compile_info, compiler, struct xen_compile_info, compiler);
	same_field(struct version_compile_info, compile_by, struct xen_compile_info, compile_by);
	same_field(struct version_compile_info, compile_domain, struct xen_compile_info,
		   compile_domain);
	same_field(struct version_compile_info, compile_date, struct xen_compile_info,
		   compile_date);
	same_size(struct version_platform_parameters, struct xen_platform_parameters);
	same_field(struct version_platform_parameters, virtual_start,
		   struct xen_platform_parameters, virt_start);
	same_size(struct version_features, struct xen_feature_info);
	same_field(struct version_features, word, struct xen_feature_info, submap_idx);
	same_field(struct version_features, features, struct xen_feature_info, submap);

	same(XEN_FEATURE_WRITABLE_PAGE_TABLES, XENFEAT_writable_page_tables);
	same(XEN_FEATURE_WRITABLE_DESCRIPTOR_TABLES, XENFEAT_writable_descriptor_tables);
	same(XEN_FEATURE_AUTO_TRANSLATED_PHYSMAP, XENFEAT_auto_translated_physmap);
	same(XEN_FEATURE_SUPERVISOR_MODE_KERNEL, XENFEAT_supervisor_mode_kernel);
	same(XEN_FEATURE_PAE_PGDIR_ABOVE_4GB, XENFEAT_pae_pgdir_above_4gb);
	same(XEN_FEATURE_MMU_PT_UPDATE_PRESERVE_AD, XENFEAT_mmu_pt_update_preserve_ad);
	same(XEN_FEATURE_GRANT_MAP_AVAIL_BITS, XENFEAT_gnttab_map_avail_bits);
	same(XEN_FEATURE_HVM_CALLBACK_VECTOR, XENFEAT_hvm_callback_vector);
	same(XEN_FEATURE_HVM_SAFE_PVCLOCK, XENFEAT_hvm_safe_pvclock);
	same(XEN_FEATURE_HVM_PIRQS, XENFEAT_hvm_pirqs);
	same(XEN_FEATURE_DOM0, XENFEAT_dom0);
}

static void same_sched_op(void **state)
{
	same(SCHED_OP_YIELD, SCHEDOP_yield);
	same(SCHED_OP_BLOCK, SCHEDOP_block);
	same(SCHED_OP_SHUTDOWN, SCHEDOP_shutdown);
	same(SCHED_OP_POLL, SCHEDOP_poll);
	same(SCHED_OP_REMOTE_SHUTDOWN, SCHEDOP_remote_shutdown);
	same(SCHED_OP_SHUTDOWN_CODE, SCHEDOP_shutdown_code);
	same(SCHED_OP_WATCHDOG, SCHEDOP_watchdog);
	same(SCHED_OP_PIN_OVERRIDE, SCHEDOP_pin_override);
	same(SCHED_SHUTDOWN_POWEROFF, SHUTDOWN_poweroff);
	same(SCHED_SHUTDOWN_REBOOT, SHUTDOWN_reboot);
	same(SCHED_SHUTDOWN_SUSPEND, SHUTDOWN_suspend);
	same(SCHED_SHUTDOWN_CRASH, SHUTDOWN_crash);
	same(SCHED_SHUTDOWN_WATCHDOG, SHUTDOWN_watchdog);
	same(SCHED_SHUTDOWN_SOFT_RESET, SHUTDOWN_soft_reset);
	same(SCHED_SHUTDOWN_MAX, SHUTDOWN_MAX);

	same_size(struct sched_shutdown_args, struct sched_shutdown);
	same_field(struct sched_shutdown_args, reason, struct sched_shutdown, reason);
	same_size(struct sched_poll_args, struct sched_poll);
	same_field(struct sched_poll_args, ports, struct sched_poll, ports);
	same_field(struct sched_poll_args, count, struct sched_poll, nr_ports);
	same_field(struct sched_poll_args, timeout, struct sched_poll, timeout);
	same_size(struct sched_watchdog_args, struct sched_watchdog);
	same_field(struct sched_watchdog_args, id, struct sched_watchdog, id);
	same_field(struct sched_watchdog_args, timeout, struct sched_watchdog, timeout);
}

static void same_vcpu_op(void **state)
{
	same(VCPU_OP_INITIALISE, VCPUOP_initialise);
	same(VCPU_OP_UP, VCPUOP_up);
	same(VCPU_OP_DOWN, VCPUOP_down);
	same(VCPU_OP_IS_UP, VCPUOP_is_up);
	same(VCPU_OP_GET_RUNSTATE, VCPUOP_get_runstate_info);
	same(VCPU_OP_REGISTER_RUNSTATE_AREA, VCPUOP_register_runstate_memory_area);
	same(VCPU_OP_SET_PERIODIC_TIMER, VCPUOP_set_periodic_timer);
	same(VCPU_OP_STOP_PERIODIC_TIMER, VCPUOP_stop_periodic_timer);
	same(VCPU_OP_SET_SINGLESHOT_TIMER, VCPUOP_set_singleshot_timer);
	same(VCPU_OP_STOP_SINGLESHOT_TIMER, VCPUOP_stop_singleshot_timer);
	same(VCPU_OP_REGISTER_VCPU_INFO, VCPUOP_register_vcpu_info);
	same(VCPU_OP_SEND_NMI, VCPUOP_send_nmi);
	same(VCPU_OP_GET_PHYSICAL_ID, VCPUOP_get_physid);
	same(VCPU_OP_REGISTER_TIME_AREA, VCPUOP_register_vcpu_time_memory_area);
	same(VCPU_RUNSTATE_RUNNING, RUNSTATE_running);
	same(VCPU_RUNSTATE_RUNNABLE, RUNSTATE_runnable);
	same(VCPU_RUNSTATE_BLOCKED, RUNSTATE_blocked);
	same(VCPU_RUNSTATE_OFFLINE, RUNSTATE_offline);
	same(VCPU_RUNSTATES, sizeof(((struct vcpu_runstate_info *)0)->time) / sizeof(uint64_t));
	same(VCPU_RUNSTATE_UPDATING, XEN_RUNSTATE_UPDATE);
	same(VCPU_TIMER_FUTURE, VCPU_SSHOTTMR_future);

	same_size(struct vcpu_runstate_area, struct vcpu_runstate_info);
	same_field(struct vcpu_runstate_area, state, struct vcpu_runstate_info, state);
	same_field(struct vcpu_runstate_area, entered, struct vcpu_runstate_info, state_entry_time);
	same_field(struct vcpu_runstate_area, time, struct vcpu_runstate_info, time);
	same_size(struct vcpu_register_area, struct vcpu_register_runstate_memory_area);
	same_field(struct vcpu_register_area, address, struct vcpu_register_runstate_memory_area,
		   addr.p);
	same_size(struct vcpu_register_area, struct vcpu_register_time_memory_area);
	same_field(struct vcpu_register_area, address, struct vcpu_register_time_memory_area,
		   addr.p);
	same_size(struct vcpu_periodic_timer, struct vcpu_set_periodic_timer);
	same_field(struct vcpu_periodic_timer, period, struct vcpu_set_periodic_timer, period_ns);
	same_size(struct vcpu_singleshot_timer, struct vcpu_set_singleshot_timer);
	same_field(struct vcpu_singleshot_timer, timeout, struct vcpu_set_singleshot_timer,
		   timeout_abs_ns);
	same_field(struct vcpu_singleshot_timer, flags, struct vcpu_set_singleshot_timer, flags);
	same_size(struct vcpu_register_info, struct vcpu_register_vcpu_info);
	same_field(struct vcpu_register_info, frame, struct vcpu_register_vcpu_info, mfn);
	same_field(struct vcpu_register_info, offset, struct vcpu_register_vcpu_info, offset);
	same_size(struct vcpu_physical_id, struct vcpu_get_physid);
	same_field(struct vcpu_physical_id, id, struct vcpu_get_physid, phys_id);
}

static void same_hvm_op(void **state)
{
	same(HVM_OP_SET_PARAMETER, HVMOP_set_param);
	same(HVM_OP_GET_PARAMETER, HVMOP_get_param);
	same(HVM_OP_PAGETABLE_DYING, HVMOP_pagetable_dying);
	same(HVM_OP_GET_MEMORY_TYPE, HVMOP_get_mem_type);
	same(HVM_OP_SET_UPCALL_VECTOR, HVMOP_set_evtchn_upcall_vector);
	same(HVM_PARAMETER_CALLBACK_IRQ, HVM_PARAM_CALLBACK_IRQ);
	same(HVM_PARAMETER_STORE_FRAME, HVM_PARAM_STORE_PFN);
	same(HVM_PARAMETER_STORE_PORT, HVM_PARAM_STORE_EVTCHN);
	same(HVM_PARAMETER_IOREQ_FRAME, HVM_PARAM_IOREQ_PFN);
	same(HVM_PARAMETER_BUFIOREQ_FRAME, HVM_PARAM_BUFIOREQ_PFN);
	same(HVM_PARAMETER_TIMER_MODE, HVM_PARAM_TIMER_MODE);
	same(HVM_PARAMETER_HPET_ENABLED, HVM_PARAM_HPET_ENABLED);
	same(HVM_PARAMETER_IDENTITY_PT, HVM_PARAM_IDENT_PT);
	same(HVM_PARAMETER_ACPI_S_STATE, HVM_PARAM_ACPI_S_STATE);
	same(HVM_PARAMETER_VPT_ALIGN, HVM_PARAM_VPT_ALIGN);
	same(HVM_PARAMETER_CONSOLE_FRAME, HVM_PARAM_CONSOLE_PFN);
	same(HVM_PARAMETER_CONSOLE_PORT, HVM_PARAM_CONSOLE_EVTCHN);
	same(HVM_CALLBACK_BY_VECTOR, HVM_PARAM_CALLBACK_TYPE_VECTOR);

	same_size(struct hvm_parameter_args, struct xen_hvm_param);
	same_field(struct hvm_parameter_args, domain, struct xen_hvm_param, domid);
	same_field(struct hvm_parameter_args, index, struct xen_hvm_param, index);
	same_field(struct hvm_parameter_args, value, struct xen_hvm_param, value);
	same_size(struct hvm_pagetable_dying_args, struct xen_hvm_pagetable_dying);
	same_field(struct hvm_pagetable_dying_args, domain, struct xen_hvm_pagetable_dying, domid);
	same_field(struct hvm_pagetable_dying_args, address, struct xen_hvm_pagetable_dying, gpa);
	same_size(struct hvm_memory_type_args, struct xen_hvm_get_mem_type);
	same_field(struct hvm_memory_type_args, domain, struct xen_hvm_get_mem_type, domid);
	same_field(struct hvm_memory_type_args, type, struct xen_hvm_get_mem_type, mem_type);
	same_field(struct hvm_memory_type_args, frame, struct xen_hvm_get_mem_type, pfn);
	same_size(struct hvm_upcall_vector_args, struct xen_hvm_evtchn_upcall_vector);
	same_field(struct hvm_upcall_vector_args, vcpu, struct xen_hvm_evtchn_upcall_vector, vcpu);
	same_field(struct hvm_upcall_vector_args, vector, struct xen_hvm_evtchn_upcall_vector,
		   vector);
}

static void same_event_channel_op(void **state)
{
	same(EVENT_CHANNEL_OP_BIND_INTERDOMAIN, EVTCHNOP_bind_interdomain);
	same(EVENT_CHANNEL_OP_BIND_VIRQ, EVTCHNOP_bind_virq);
	same(EVENT_CHANNEL_OP_BIND_PIRQ, EVTCHNOP_bind_pirq);
	same(EVENT_CHANNEL_OP_CLOSE, EVTCHNOP_close);
	same(EVENT_CHANNEL_OP_SEND, EVTCHNOP_send);
	same(EVENT_CHANNEL_OP_STATUS, EVTCHNOP_status);
	same(EVENT_CHANNEL_OP_ALLOC_UNBOUND, EVTCHNOP_alloc_unbound);
	same(EVENT_CHANNEL_OP_BIND_IPI, EVTCHNOP_bind_ipi);
	same(EVENT_CHANNEL_OP_BIND_VCPU, EVTCHNOP_bind_vcpu);
	same(EVENT_CHANNEL_OP_UNMASK, EVTCHNOP_unmask);
	same(EVENT_CHANNEL_OP_RESET, EVTCHNOP_reset);
	same(EVENT_CHANNEL_OP_INIT_CONTROL, EVTCHNOP_init_control);
	same(EVENT_CHANNEL_OP_EXPAND_ARRAY, EVTCHNOP_expand_array);
	same(EVENT_CHANNEL_OP_SET_PRIORITY, EVTCHNOP_set_priority);
	same(EVENT_CHANNEL_PIRQ_WILL_SHARE, BIND_PIRQ__WILL_SHARE);
	same(EVENT_CHANNEL_CLOSED, EVTCHNSTAT_closed);
	same(EVENT_CHANNEL_UNBOUND, EVTCHNSTAT_unbound);
	same(EVENT_CHANNEL_INTERDOMAIN, EVTCHNSTAT_interdomain);
	same(EVENT_CHANNEL_PIRQ, EVTCHNSTAT_pirq);
	same(EVENT_CHANNEL_VIRQ, EVTCHNSTAT_virq);
	same(EVENT_CHANNEL_IPI, EVTCHNSTAT_ipi);

	same_size(struct event_channel_alloc_unbound, struct evtchn_alloc_unbound);
	same_field(struct event_channel_alloc_unbound, domain, struct evtchn_alloc_unbound, dom);
	same_field(struct event_channel_alloc_unbound, remote_domain, struct evtchn_alloc_unbound,
		   remote_dom);
	same_field(struct event_channel_alloc_unbound, port, struct evtchn_alloc_unbound, port);
	same_size(struct event_channel_bind_interdomain, struct evtchn_bind_interdomain);
	same_field(struct event_channel_bind_interdomain, remote_domain,
		   struct evtchn_bind_interdomain, remote_dom);
	same_field(struct event_channel_bind_interdomain, remote_port,
		   struct evtchn_bind_interdomain, remote_port);
	same_field(struct event_channel_bind_interdomain, local_port,
		   struct evtchn_bind_interdomain, local_port);
	same_size(struct event_channel_bind_virq, struct evtchn_bind_virq);
	same_field(struct event_channel_bind_virq, virq, struct evtchn_bind_virq, virq);
	same_field(struct event_channel_bind_virq, vcpu, struct evtchn_bind_virq, vcpu);
	same_field(struct event_channel_bind_virq, port, struct evtchn_bind_virq, port);
	same_size(struct event_channel_bind_pirq, struct evtchn_bind_pirq);
	same_field(struct event_channel_bind_pirq, pirq, struct evtchn_bind_pirq, pirq);
	same_field(struct event_channel_bind_pirq, flags, struct evtchn_bind_pirq, flags);
	same_field(struct event_channel_bind_pirq, port, struct evtchn_bind_pirq, port);
	same_size(struct event_channel_bind_ipi, struct evtchn_bind_ipi);
	same_field(struct event_channel_bind_ipi, vcpu, struct evtchn_bind_ipi, vcpu);
	same_field(struct event_channel_bind_ipi, port, struct evtchn_bind_ipi, port);
	same_size(struct event_channel_port, struct evtchn_close);
	same_size(struct event_channel_port, struct evtchn_send);
	same_size(struct event_channel_port, struct evtchn_unmask);
	same_field(struct event_channel_port, port, struct evtchn_close, port);
	same_field(struct event_channel_port, port, struct evtchn_send, port);
	same_field(struct event_channel_port, port, struct evtchn_unmask, port);
	same_size(struct event_channel_bind_vcpu, struct evtchn_bind_vcpu);
	same_field(struct event_channel_bind_vcpu, port, struct evtchn_bind_vcpu, port);
	same_field(struct event_channel_bind_vcpu, vcpu, struct evtchn_bind_vcpu, vcpu);
	same_size(struct event_channel_reset, struct evtchn_reset);
	same_field(struct event_channel_reset, domain, struct evtchn_reset, dom);

	same_size(struct event_channel_status, struct evtchn_status);
	same_field(struct event_channel_status, domain, struct evtchn_status, dom);
	same_field(struct event_channel_status, port, struct evtchn_status, port);
	same_field(struct event_channel_status, state, struct evtchn_status, status);
	same_field(struct event_channel_status, vcpu, struct evtchn_status, vcpu);
	same_field(struct event_channel_status, u.unbound.domain, struct evtchn_status,
		   u.unbound.dom);
	same_field(struct event_channel_status, u.interdomain.domain, struct evtchn_status,
		   u.interdomain.dom);
	same_field(struct event_channel_status, u.interdomain.port, struct evtchn_status,
		   u.interdomain.port);
	same_field(struct event_channel_status, u.pirq, struct evtchn_status, u.pirq);
	same_field(struct event_channel_status, u.virq, struct evtchn_status, u.virq);

	same(VIRTUAL_IRQ_TIMER, VIRQ_TIMER);
	same(VIRTUAL_IRQ_DEBUG, VIRQ_DEBUG);
	same(VIRTUAL_IRQ_CONSOLE, VIRQ_CONSOLE);
	same(VIRTUAL_IRQ_DOMAIN_EXCEPTION, VIRQ_DOM_EXC);
	same(VIRTUAL_IRQ_TRACE_BUFFER, VIRQ_TBUF);
	same(VIRTUAL_IRQ_DEBUGGER, VIRQ_DEBUGGER);
	same(VIRTUAL_IRQ_PROFILE, VIRQ_XENOPROF);
	same(VIRTUAL_IRQ_CONSOLE_RING, VIRQ_CON_RING);
	same(VIRTUAL_IRQ_CPU_STATE, VIRQ_PCPU_STATE);
	same(VIRTUAL_IRQ_MEMORY_EVENT, VIRQ_MEM_EVENT);
	same(VIRTUAL_IRQ_NO_MEMORY, VIRQ_ENOMEM);
	same(VIRTUAL_IRQ_PMU, VIRQ_XENPMU);
	same(VIRTUAL_IRQ_ARCH_0, VIRQ_ARCH_0);
	same(VIRTUAL_IRQS, NR_VIRQS);
}

static void same_event_fifo(void **state)
{
	same(EVENT_FIFO_LINK_BITS, EVTCHN_FIFO_LINK_BITS);
	same(EVENT_FIFO_PORTS, EVTCHN_FIFO_NR_CHANNELS);
	same(EVENT_FIFO_PRIORITY_HIGHEST, EVTCHN_FIFO_PRIORITY_MAX);
	same(EVENT_FIFO_PRIORITY_DEFAULT, EVTCHN_FIFO_PRIORITY_DEFAULT);
	same(EVENT_FIFO_PRIORITY_LOWEST, EVTCHN_FIFO_PRIORITY_MIN);
	same(EVENT_FIFO_QUEUES, EVTCHN_FIFO_MAX_QUEUES);
	same(EVENT_WORD_PENDING, 1U << EVTCHN_FIFO_PENDING);
	same(EVENT_WORD_MASKED, 1U << EVTCHN_FIFO_MASKED);
	same(EVENT_WORD_LINKED, 1U << EVTCHN_FIFO_LINKED);
	same(EVENT_WORD_BUSY, 1U << EVTCHN_FIFO_BUSY);
	same(EVENT_WORD_LINK_MASK, EVTCHN_FIFO_LINK_MASK);
	same(EVENT_WORDS_PER_FRAME, 4096 / sizeof(event_word_t));

	same_size(struct event_fifo_control, struct evtchn_fifo_control_block);
	same_field(struct event_fifo_control, ready, struct evtchn_fifo_control_block, ready);
	same_field(struct event_fifo_control, head, struct evtchn_fifo_control_block, head);
	same_size(struct event_channel_init_control, struct evtchn_init_control);
	same_field(struct event_channel_init_control, frame, struct evtchn_init_control,
		   control_gfn);
	same_field(struct event_channel_init_control, offset, struct evtchn_init_control, offset);
	same_field(struct event_channel_init_control, vcpu, struct evtchn_init_control, vcpu);
	same_field(struct event_channel_init_control, link_bits, struct evtchn_init_control,
		   link_bits);
	same_size(struct event_channel_expand_array, struct evtchn_expand_array);
	same_field(struct event_channel_expand_array, frame, struct evtchn_expand_array, array_gfn);
	same_size(struct event_channel_set_priority, struct evtchn_set_priority);
	same_field(struct event_channel_set_priority, port, struct evtchn_set_priority, port);
	same_field(struct event_channel_set_priority, priority, struct evtchn_set_priority,
		   priority);
}

static void same_shared_info(void **state)
{
	same(EVENT_CHANNEL_TWO_LEVEL_PORTS, EVTCHN_2L_NR_CHANNELS);
	same(EVENT_CHANNEL_TWO_LEVEL_PORTS, EVENT_CHANNEL_TWO_LEVEL_WORDS * 64);
	same_size(struct vcpu_info_area, struct vcpu_info);
	same_field(struct vcpu_info_area, upcall_pending, struct vcpu_info, evtchn_upcall_pending);
	same_field(struct vcpu_info_area, upcall_mask, struct vcpu_info, evtchn_upcall_mask);
	same_field(struct vcpu_info_area, pending_sel, struct vcpu_info, evtchn_pending_sel);
	same_field(struct vcpu_info_area, cr2, struct vcpu_info, arch.cr2);
	same_field(struct vcpu_info_area, time, struct vcpu_info, time);

	same_size(struct shared_info_page, struct shared_info);
	same_field(struct shared_info_page, vcpu, struct shared_info, vcpu_info);
	same_field(struct shared_info_page, pending, struct shared_info, evtchn_pending);
	same_field(struct shared_info_page, mask, struct shared_info, evtchn_mask);
	same_field(struct shared_info_page, max_frame, struct shared_info, arch.max_pfn);
	same_field(struct shared_info_page, frame_list_list, struct shared_info,
		   arch.pfn_to_mfn_frame_list_list);
	same_field(struct shared_info_page, nmi_reason, struct shared_info, arch.nmi_reason);
	same_field(struct shared_info_page, p2m_cr3, struct shared_info, arch.p2m_cr3);
	same_field(struct shared_info_page, p2m_address, struct shared_info, arch.p2m_vaddr);
	same_field(struct shared_info_page, p2m_generation, struct shared_info,
		   arch.p2m_generation);
}

static void same_grant_table(void **state)
{
	same(GRANTS_RESERVED, GNTTAB_NR_RESERVED_ENTRIES);
	same(GRANT_RESERVED_CONSOLE, GNTTAB_RESERVED_CONSOLE);
	same(GRANT_RESERVED_STORE, GNTTAB_RESERVED_XENSTORE);
	same(GRANT_INVALID, GTF_invalid);
	same(GRANT_PERMIT_ACCESS, GTF_permit_access);
	same(GRANT_TRANSFER, GTF_accept_transfer);
	same(GRANT_TRANSITIVE, GTF_transitive);
	same(GRANT_TYPE_MASK, GTF_type_mask);
	same(GRANT_READONLY, GTF_readonly);
	same(GRANT_READING, GTF_reading);
	same(GRANT_WRITING, GTF_writing);
	same(GRANT_PWT, GTF_PWT);
	same(GRANT_PCD, GTF_PCD);
	same(GRANT_PAT, GTF_PAT);
	same(GRANT_SUB_PAGE, GTF_sub_page);
	same(GRANT_TRANSFER_COMMITTED, GTF_transfer_committed);
	same(GRANT_TRANSFER_COMPLETED, GTF_transfer_completed);

	same_size(struct grant_header, struct grant_entry_header);
	same_field(struct grant_header, flags, struct grant_entry_header, flags);
	same_field(struct grant_header, domain, struct grant_entry_header, domid);
	same_size(struct grant_v1, struct grant_entry_v1);
	same_field(struct grant_v1, flags, struct grant_entry_v1, flags);
	same_field(struct grant_v1, domain, struct grant_entry_v1, domid);
	same_field(struct grant_v1, frame, struct grant_entry_v1, frame);
	same_size(union grant_v2, union grant_entry_v2);
	same_field(union grant_v2, header, union grant_entry_v2, hdr);
	same_field(union grant_v2, full_page.header, union grant_entry_v2, full_page.hdr);
	same_field(union grant_v2, sub_page.header, union grant_entry_v2, sub_page.hdr);
	same_field(union grant_v2, transitive.header, union grant_entry_v2, transitive.hdr);
	same_field(union grant_v2, full_page.frame, union grant_entry_v2, full_page.frame);
	same_field(union grant_v2, sub_page.offset, union grant_entry_v2, sub_page.page_off);
	same_field(union grant_v2, sub_page.length, union grant_entry_v2, sub_page.length);
	same_field(union grant_v2, sub_page.frame, union grant_entry_v2, sub_page.frame);
	same_field(union grant_v2, transitive.from_domain, union grant_entry_v2,
		   transitive.trans_domid);
	same_field(union grant_v2, transitive.reference, union grant_entry_v2, transitive.gref);
	same_size(grant_status, grant_status_t);
	same(GRANT_V1_PER_FRAME, 4096 / sizeof(struct grant_entry_v1));
	same(GRANT_V2_PER_FRAME, 4096 / sizeof(union grant_entry_v2));
	same(GRANT_STATUS_PER_FRAME, 4096 / sizeof(grant_status_t));
}

static void same_grant_op_numbers(void **state)
{
	same(GRANT_OP_MAP, GNTTABOP_map_grant_ref);
	same(GRANT_OP_UNMAP, GNTTABOP_unmap_grant_ref);
	same(GRANT_OP_SETUP_TABLE, GNTTABOP_setup_table);
	same(GRANT_OP_DUMP_TABLE, GNTTABOP_dump_table);
	same(GRANT_OP_TRANSFER, GNTTABOP_transfer);
	same(GRANT_OP_COPY, GNTTABOP_copy);
	same(GRANT_OP_QUERY_SIZE, GNTTABOP_query_size);
	same(GRANT_OP_UNMAP_AND_REPLACE, GNTTABOP_unmap_and_replace);
	same(GRANT_OP_SET_VERSION, GNTTABOP_set_version);
	same(GRANT_OP_GET_STATUS_FRAMES, GNTTABOP_get_status_frames);
	same(GRANT_OP_GET_VERSION, GNTTABOP_get_version);
	same(GRANT_OP_SWAP, GNTTABOP_swap_grant_ref);
	same(GRANT_OP_CACHE_FLUSH, GNTTABOP_cache_flush);
	same(GRANT_OK, GNTST_okay);
	same(GRANT_ERROR, GNTST_general_error);
	same(GRANT_BAD_DOMAIN, GNTST_bad_domain);
	same(GRANT_BAD_REFERENCE, GNTST_bad_gntref);
	same(GRANT_BAD_HANDLE, GNTST_bad_handle);
	same(GRANT_BAD_ADDRESS, GNTST_bad_virt_addr);
	same(GRANT_BAD_DEVICE_ADDRESS, GNTST_bad_dev_addr);
	same(GRANT_NO_DEVICE_SPACE, GNTST_no_device_space);
	same(GRANT_DENIED, GNTST_permission_denied);
	same(GRANT_BAD_PAGE, GNTST_bad_page);
	same(GRANT_BAD_COPY, GNTST_bad_copy_arg);
	same(GRANT_ADDRESS_TOO_BIG, GNTST_address_too_big);
	same(GRANT_AGAIN, GNTST_eagain);
	same(GRANT_MAP_DEVICE, GNTMAP_device_map);
	same(GRANT_MAP_HOST, GNTMAP_host_map);
	same(GRANT_MAP_READONLY, GNTMAP_readonly);
	same(GRANT_MAP_APPLICATION, GNTMAP_application_map);
	same(GRANT_MAP_CONTAINS_PTE, GNTMAP_contains_pte);
	same(GRANT_COPY_SOURCE_REFERENCE, GNTCOPY_source_gref);
	same(GRANT_COPY_DEST_REFERENCE, GNTCOPY_dest_gref);
}

static void same_grant_op_structs(void **state)
{
	same_size(struct grant_map, struct gnttab_map_grant_ref);
	same_field(struct grant_map, host_address, struct gnttab_map_grant_ref, host_addr);
	same_field(struct grant_map, flags, struct gnttab_map_grant_ref, flags);
	same_field(struct grant_map, reference, struct gnttab_map_grant_ref, ref);
	same_field(struct grant_map, domain, struct gnttab_map_grant_ref, dom);
	same_field(struct grant_map, status, struct gnttab_map_grant_ref, status);
	same_field(struct grant_map, handle, struct gnttab_map_grant_ref, handle);
	same_field(struct grant_map, device_address, struct gnttab_map_grant_ref, dev_bus_addr);
	same_size(struct grant_unmap, struct gnttab_unmap_grant_ref);
	same_field(struct grant_unmap, host_address, struct gnttab_unmap_grant_ref, host_addr);
	same_field(struct grant_unmap, device_address, struct gnttab_unmap_grant_ref, dev_bus_addr);
	same_field(struct grant_unmap, handle, struct gnttab_unmap_grant_ref, handle);
	same_field(struct grant_unmap, status, struct gnttab_unmap_grant_ref, status);
	same_size(struct grant_unmap_and_replace, struct gnttab_unmap_and_replace);
	same_field(struct grant_unmap_and_replace, host_address, struct gnttab_unmap_and_replace,
		   host_addr);
	same_field(struct grant_unmap_and_replace, new_address, struct gnttab_unmap_and_replace,
		   new_addr);
	same_field(struct grant_unmap_and_replace, handle, struct gnttab_unmap_and_replace, handle);
	same_field(struct grant_unmap_and_replace, status, struct gnttab_unmap_and_replace, status);
	same_size(struct grant_setup_table, struct gnttab_setup_table);
	same_field(struct grant_setup_table, domain, struct gnttab_setup_table, dom);
	same_field(struct grant_setup_table, frames, struct gnttab_setup_table, nr_frames);
	same_field(struct grant_setup_table, status, struct gnttab_setup_table, status);
	same_field(struct grant_setup_table, frame_list, struct gnttab_setup_table, frame_list);
	same_size(struct grant_query_size, struct gnttab_query_size);
	same_field(struct grant_query_size, domain, struct gnttab_query_size, dom);
	same_field(struct grant_query_size, frames, struct gnttab_query_size, nr_frames);
	same_field(struct grant_query_size, frames_max, struct gnttab_query_size, max_nr_frames);
	same_field(struct grant_query_size, status, struct gnttab_query_size, status);
	same_size(struct grant_transfer, struct gnttab_transfer);
	same_field(struct grant_transfer, frame, struct gnttab_transfer, mfn);
	same_field(struct grant_transfer, domain, struct gnttab_transfer, domid);
	same_field(struct grant_transfer, reference, struct gnttab_transfer, ref);
	same_field(struct grant_transfer, status, struct gnttab_transfer, status);
	same_size(struct grant_copy_end, struct gnttab_copy_ptr);
	same_field(struct grant_copy_end, u.reference, struct gnttab_copy_ptr, u.ref);
	same_field(struct grant_copy_end, u.frame, struct gnttab_copy_ptr, u.gmfn);
	same_field(struct grant_copy_end, domain, struct gnttab_copy_ptr, domid);
	same_field(struct grant_copy_end, offset, struct gnttab_copy_ptr, offset);
	same_size(struct grant_copy, struct gnttab_copy);
	same_field(struct grant_copy, source, struct gnttab_copy, source);
	same_field(struct grant_copy, source.u.reference, struct gnttab_copy, source.u.ref);
	same_field(struct grant_copy, source.u.frame, struct gnttab_copy, source.u.gmfn);
	same_field(struct grant_copy, source.domain, struct gnttab_copy, source.domid);
	same_field(struct grant_copy, source.offset, struct gnttab_copy, source.offset);
	same_field(struct grant_copy, dest, struct gnttab_copy, dest);
	same_field(struct grant_copy, length, struct gnttab_copy, len);
	same_field(struct grant_copy, flags, struct gnttab_copy, flags);
	same_field(struct grant_copy, status, struct gnttab_copy, status);
	same_size(struct grant_set_version, struct gnttab_set_version);
	same_field(struct grant_set_version, version, struct gnttab_set_version, version);
	same_size(struct grant_get_version, struct gnttab_get_version);
	same_field(struct grant_get_version, domain, struct gnttab_get_version, dom);
	same_field(struct grant_get_version, version, struct gnttab_get_version, version);
	same_size(struct grant_get_status_frames, struct gnttab_get_status_frames);
	same_field(struct grant_get_status_frames, frames, struct gnttab_get_status_frames,
		   nr_frames);
	same_field(struct grant_get_status_frames, domain, struct gnttab_get_status_frames, dom);
	same_field(struct grant_get_status_frames, status, struct gnttab_get_status_frames, status);
	same_field(struct grant_get_status_frames, frame_list, struct gnttab_get_status_frames,
		   frame_list);
	same_size(struct grant_swap, struct gnttab_swap_grant_ref);
	same_field(struct grant_swap, reference_a, struct gnttab_swap_grant_ref, ref_a);
	same_field(struct grant_swap, reference_b, struct gnttab_swap_grant_ref, ref_b);
	same_field(struct grant_swap, status, struct gnttab_swap_grant_ref, status);
}

static void same_store(void **state)
{
	size_t i;
	static const char *const names[] = {
		STORE_EINVAL, STORE_EACCES, STORE_EEXIST, STORE_EISDIR,    STORE_ENOENT,
		STORE_ENOMEM, STORE_ENOSPC, STORE_EIO,    STORE_ENOTEMPTY, STORE_ENOSYS,
		STORE_EROFS,  STORE_EBUSY,  STORE_EAGAIN, STORE_EISCONN,
	};

	same(STORE_DIRECTORY, XS_DIRECTORY);
	same(STORE_READ, XS_READ);
	same(STORE_GET_PERMISSIONS, XS_GET_PERMS);
	same(STORE_WATCH, XS_WATCH);
	same(STORE_UNWATCH, XS_UNWATCH);
	same(STORE_TRANSACTION_START, XS_TRANSACTION_START);
	same(STORE_TRANSACTION_END, XS_TRANSACTION_END);
	same(STORE_INTRODUCE, XS_INTRODUCE);
	same(STORE_RELEASE, XS_RELEASE);
	same(STORE_GET_DOMAIN_PATH, XS_GET_DOMAIN_PATH);
	same(STORE_WRITE, XS_WRITE);
	same(STORE_MKDIR, XS_MKDIR);
	same(STORE_RM, XS_RM);
	same(STORE_SET_PERMISSIONS, XS_SET_PERMS);
	same(STORE_WATCH_EVENT, XS_WATCH_EVENT);
	same(STORE_ERROR, XS_ERROR);
	same(STORE_IS_DOMAIN_INTRODUCED, XS_IS_DOMAIN_INTRODUCED);
	same(STORE_RESUME, XS_RESUME);
	same(STORE_SET_TARGET, XS_SET_TARGET);
	same(STORE_RESET_WATCHES, XS_RESET_WATCHES);

	same_size(struct store_header, struct xsd_sockmsg);
	same_field(struct store_header, type, struct xsd_sockmsg, type);
	same_field(struct store_header, request, struct xsd_sockmsg, req_id);
	same_field(struct store_header, transaction, struct xsd_sockmsg, tx_id);
	same_field(struct store_header, length, struct xsd_sockmsg, len);
	same_size(struct store_ring_page, struct xenstore_domain_interface);
	same_field(struct store_ring_page, request, struct xenstore_domain_interface, req);
	same_field(struct store_ring_page, response, struct xenstore_domain_interface, rsp);
	same_field(struct store_ring_page, request_consumer, struct xenstore_domain_interface,
		   req_cons);
	same_field(struct store_ring_page, request_producer, struct xenstore_domain_interface,
		   req_prod);
	same_field(struct store_ring_page, response_consumer, struct xenstore_domain_interface,
		   rsp_cons);
	same_field(struct store_ring_page, response_producer, struct xenstore_domain_interface,
		   rsp_prod);
	same_field(struct store_ring_page, features, struct xenstore_domain_interface,
		   server_features);
	same_field(struct store_ring_page, connection, struct xenstore_domain_interface,
		   connection);
	same_field(struct store_ring_page, error, struct xenstore_domain_interface, error);
	same(STORE_RING_BYTES, XENSTORE_RING_SIZE);
	same(STORE_PAYLOAD_MAX, XENSTORE_PAYLOAD_MAX);
	same(STORE_ABSOLUTE_PATH_MAX, XENSTORE_ABS_PATH_MAX);
	same(STORE_RELATIVE_PATH_MAX, XENSTORE_REL_PATH_MAX);
	same(STORE_FEATURE_RECONNECTION, XENSTORE_SERVER_FEATURE_RECONNECTION);
	same(STORE_FEATURE_ERROR, XENSTORE_SERVER_FEATURE_ERROR);
	same(STORE_CONNECTED, XENSTORE_CONNECTED);
	same(STORE_RECONNECT, XENSTORE_RECONNECT);
	same(STORE_RING_OK, XENSTORE_ERROR_NONE);
	same(STORE_RING_COMMUNICATION, XENSTORE_ERROR_COMM);
	same(STORE_RING_INDEX, XENSTORE_ERROR_RINGIDX);
	same(STORE_RING_PROTOCOL, XENSTORE_ERROR_PROTO);

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(names[i], xsd_errors[i].errstring);

	same(STORE_STATE_UNKNOWN, XenbusStateUnknown);
	same(STORE_STATE_INITIALISING, XenbusStateInitialising);
	same(STORE_STATE_INIT_WAIT, XenbusStateInitWait);
	same(STORE_STATE_INITIALISED, XenbusStateInitialised);
	same(STORE_STATE_CONNECTED, XenbusStateConnected);
	same(STORE_STATE_CLOSING, XenbusStateClosing);
	same(STORE_STATE_CLOSED, XenbusStateClosed);
	same(STORE_STATE_RECONFIGURING, XenbusStateReconfiguring);
	same(STORE_STATE_RECONFIGURED, XenbusStateReconfigured);
	assert_string_equal(STORE_PROTOCOL_X86_64, XEN_IO_PROTO_ABI_X86_64);
	assert_string_equal(STORE_PROTOCOL_X86_32, XEN_IO_PROTO_ABI_X86_32);
}

/* Any ring has this header: their macro makes one with slots of eight bytes. */
struct same_message {
	uint64_t word;
};

DEFINE_RING_TYPES(same, struct same_message, struct same_message);

static void same_ring(void **state)
{
	same(sizeof(struct xen_ring_header), offsetof(struct same_sring, ring));
	same_field(struct xen_ring_header, req_prod, struct same_sring, req_prod);
	same_field(struct xen_ring_header, req_event, struct same_sring, req_event);
	same_field(struct xen_ring_header, rsp_prod, struct same_sring, rsp_prod);
	same_field(struct xen_ring_header, rsp_event, struct same_sring, rsp_event);
}

static void same_blkif_numbers(void **state)
{
	same(BLKIF_READ, BLKIF_OP_READ);
	same(BLKIF_WRITE, BLKIF_OP_WRITE);
	same(BLKIF_BARRIER, BLKIF_OP_WRITE_BARRIER);
	same(BLKIF_FLUSH, BLKIF_OP_FLUSH_DISKCACHE);
	same(BLKIF_DISCARD, BLKIF_OP_DISCARD);
	same(BLKIF_INDIRECT, BLKIF_OP_INDIRECT);
	same(BLKIF_OK, BLKIF_RSP_OKAY);
	same(BLKIF_ERROR, BLKIF_RSP_ERROR);
	same(BLKIF_NOT_SUPPORTED, BLKIF_RSP_EOPNOTSUPP);
	same(BLKIF_SEGMENTS_MAX, BLKIF_MAX_SEGMENTS_PER_REQUEST);
	same(BLKIF_INDIRECT_PAGES_MAX, BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
	same(BLKIF_SEGMENTS_PER_PAGE, 4096 / sizeof(struct blkif_request_segment));
	same(BLKIF_INDIRECT_SEGMENTS_MAX,
	     BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST * 4096 / sizeof(struct blkif_request_segment));
	same(BLKIF_DISCARD_FLAG_SECURE, BLKIF_DISCARD_SECURE);
	same(BLKIF_INFO_CDROM, VDISK_CDROM);
	same(BLKIF_INFO_REMOVABLE, VDISK_REMOVABLE);
	same(BLKIF_INFO_READONLY, VDISK_READONLY);

	same_size(struct blkif_segment, struct blkif_request_segment);
	same_field(struct blkif_segment, grant, struct blkif_request_segment, gref);
	same_field(struct blkif_segment, first_sector, struct blkif_request_segment, first_sect);
	same_field(struct blkif_segment, last_sector, struct blkif_request_segment, last_sect);
	same_size(struct blkif_rsp, struct blkif_response);
	same_field(struct blkif_rsp, id, struct blkif_response, id);
	same_field(struct blkif_rsp, operation, struct blkif_response, operation);
	same_field(struct blkif_rsp, status, struct blkif_response, status);
	same(BLKIF_SLOT_BYTES, sizeof(((struct blkif_sring *)0)->ring[0]));
}

static void same_netif_control(void **state)
{
	same(NETIF_CTRL_INVALID, XEN_NETIF_CTRL_TYPE_INVALID);
	same(NETIF_CTRL_GET_HASH_FLAGS, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS);
	same(NETIF_CTRL_SET_HASH_FLAGS, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS);
	same(NETIF_CTRL_SET_HASH_KEY, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY);
	same(NETIF_CTRL_GET_HASH_MAPPING_SIZE, XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE);
	same(NETIF_CTRL_SET_HASH_MAPPING_SIZE, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE);
	same(NETIF_CTRL_SET_HASH_MAPPING, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING);
	same(NETIF_CTRL_SET_HASH_ALGORITHM, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM);
	same(NETIF_CTRL_SUCCESS, XEN_NETIF_CTRL_STATUS_SUCCESS);
	same(NETIF_CTRL_NOT_SUPPORTED, XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
	same(NETIF_CTRL_INVALID_PARAMETER, XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
	same(NETIF_CTRL_BUFFER_OVERFLOW, XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
	same(NETIF_HASH_IPV4, XEN_NETIF_CTRL_HASH_TYPE_IPV4);
	same(NETIF_HASH_IPV4_TCP, XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
	same(NETIF_HASH_IPV6, XEN_NETIF_CTRL_HASH_TYPE_IPV6);
	same(NETIF_HASH_IPV6_TCP, XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP);
	same(NETIF_HASH_ALGORITHM_NONE, XEN_NETIF_CTRL_HASH_ALGORITHM_NONE);
	same(NETIF_HASH_ALGORITHM_TOEPLITZ, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
	same(NETIF_GSO_NONE, XEN_NETIF_GSO_TYPE_NONE);
	same(NETIF_GSO_TCPV4, XEN_NETIF_GSO_TYPE_TCPV4);
	same(NETIF_GSO_TCPV6, XEN_NETIF_GSO_TYPE_TCPV6);
	same(NETIF_EXTRA_NONE, XEN_NETIF_EXTRA_TYPE_NONE);
	same(NETIF_EXTRA_GSO, XEN_NETIF_EXTRA_TYPE_GSO);
	same(NETIF_EXTRA_MULTICAST_ADD, XEN_NETIF_EXTRA_TYPE_MCAST_ADD);
	same(NETIF_EXTRA_MULTICAST_DEL, XEN_NETIF_EXTRA_TYPE_MCAST_DEL);
	same(NETIF_EXTRA_HASH, XEN_NETIF_EXTRA_TYPE_HASH);
	same(NETIF_EXTRA_MORE, XEN_NETIF_EXTRA_FLAG_MORE);
	same(NETIF_TX_SIZE_MAX, XEN_NETIF_MAX_TX_SIZE);
	same(NETIF_SLOTS_MIN, XEN_NETIF_NR_SLOTS_MIN);

	same_size(struct netif_ctrl_req, struct xen_netif_ctrl_request);
	same_field(struct netif_ctrl_req, id, struct xen_netif_ctrl_request, id);
	same_field(struct netif_ctrl_req, type, struct xen_netif_ctrl_request, type);
	same_field(struct netif_ctrl_req, data, struct xen_netif_ctrl_request, data);
	same_size(struct netif_ctrl_rsp, struct xen_netif_ctrl_response);
	same_field(struct netif_ctrl_rsp, id, struct xen_netif_ctrl_response, id);
	same_field(struct netif_ctrl_rsp, type, struct xen_netif_ctrl_response, type);
	same_field(struct netif_ctrl_rsp, status, struct xen_netif_ctrl_response, status);
	same_field(struct netif_ctrl_rsp, data, struct xen_netif_ctrl_response, data);
	same(NETIF_CTRL_SLOT_BYTES, sizeof(((struct xen_netif_ctrl_sring *)0)->ring[0]));
}

/* Xen calls them netif_*, the kernel xen_netif_*. */
#define same_netif_frames(prefix)                                                               \
	do {                                                                                    \
		same_size(struct netif_tx_req, struct prefix##_tx_request);                     \
		same_field(struct netif_tx_req, grant, struct prefix##_tx_request, gref);       \
		same_field(struct netif_tx_req, offset, struct prefix##_tx_request, offset);    \
		same_field(struct netif_tx_req, flags, struct prefix##_tx_request, flags);      \
		same_field(struct netif_tx_req, id, struct prefix##_tx_request, id);            \
		same_field(struct netif_tx_req, size, struct prefix##_tx_request, size);        \
		same_size(struct netif_tx_rsp, struct prefix##_tx_response);                    \
		same_field(struct netif_tx_rsp, id, struct prefix##_tx_response, id);           \
		same_field(struct netif_tx_rsp, status, struct prefix##_tx_response, status);   \
		same_size(struct netif_rx_req, struct prefix##_rx_request);                     \
		same_field(struct netif_rx_req, id, struct prefix##_rx_request, id);            \
		same_field(struct netif_rx_req, grant, struct prefix##_rx_request, gref);       \
		same_size(struct netif_rx_rsp, struct prefix##_rx_response);                    \
		same_field(struct netif_rx_rsp, id, struct prefix##_rx_response, id);           \
		same_field(struct netif_rx_rsp, offset, struct prefix##_rx_response, offset);   \
		same_field(struct netif_rx_rsp, flags, struct prefix##_rx_response, flags);     \
		same_field(struct netif_rx_rsp, status, struct prefix##_rx_response, status);   \
		same_size(struct netif_extra, struct prefix##_extra_info);                      \
		same_field(struct netif_extra, type, struct prefix##_extra_info, type);         \
		same_field(struct netif_extra, flags, struct prefix##_extra_info, flags);       \
		same_field(struct netif_extra, u.gso.size, struct prefix##_extra_info,          \
			   u.gso.size);                                                         \
		same_field(struct netif_extra, u.gso.type, struct prefix##_extra_info,          \
			   u.gso.type);                                                         \
		same_field(struct netif_extra, u.gso.features, struct prefix##_extra_info,      \
			   u.gso.features);                                                     \
		same_field(struct netif_extra, u.multicast.address, struct prefix##_extra_info, \
			   u.mcast.addr);                                                       \
		same_field(struct netif_extra, u.hash.type, struct prefix##_extra_info,         \
			   u.hash.type);                                                        \
		same_field(struct netif_extra, u.hash.algorithm, struct prefix##_extra_info,    \
			   u.hash.algorithm);                                                   \
		same_field(struct netif_extra, u.hash.value, struct prefix##_extra_info,        \
			   u.hash.value);                                                       \
		same_size(union netif_tx_slot, ((struct prefix##_tx_sring *)0)->ring[0]);       \
		same_size(union netif_rx_slot, ((struct prefix##_rx_sring *)0)->ring[0]);       \
	} while (0)

#define SAME_TESTS                                                                           \
	cmocka_unit_test(same_leaves), cmocka_unit_test(same_hypercall_numbers),             \
		cmocka_unit_test(same_memory_op), cmocka_unit_test(same_xen_version),        \
		cmocka_unit_test(same_sched_op), cmocka_unit_test(same_vcpu_op),             \
		cmocka_unit_test(same_hvm_op), cmocka_unit_test(same_event_channel_op),      \
		cmocka_unit_test(same_event_fifo), cmocka_unit_test(same_shared_info),       \
		cmocka_unit_test(same_grant_table), cmocka_unit_test(same_grant_op_numbers), \
		cmocka_unit_test(same_grant_op_structs), cmocka_unit_test(same_store),       \
		cmocka_unit_test(same_ring), cmocka_unit_test(same_blkif_numbers),           \
		cmocka_unit_test(same_netif_control)

#endif
