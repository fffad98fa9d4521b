// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Our layouts and numbers beside Xen's own public headers (libxen-dev).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <asm/bootparam.h>

#if !__has_include(<xen/xen.h>)
#error "Xen's public headers are missing: install libxen-dev, or run make deps"
#endif

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#define xen_mb()                  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb()                 __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb()                 __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/blkif.h>
#include <xen/io/netif.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#include "xen_same.h"

static void test_identity(void **state)
{
	same(XEN_LEAVES_MAX, XEN_CPUID_MAX_NUM_LEAVES);
	same(DOMAIN_INVALID, DOMID_INVALID);
	same(XEN_DEBUG_PORT, XEN_HVM_DEBUGCONS_IOPORT);
	same(SHARED_INFO_VCPUS, XEN_LEGACY_MAX_VCPUS);
}

/* The errno that a hypercall answers is the one that Linux knows. */
static void test_errno(void **state)
{
#define ERRNO(name)              \
	{                        \
		XEN_##name, name \
	}
	static const int pair[][2] = {
		ERRNO(EPERM),   ERRNO(ENOENT),     ERRNO(ESRCH),   ERRNO(EIO),    ERRNO(ENXIO),
		ERRNO(E2BIG),   ERRNO(EBADF),      ERRNO(EAGAIN),  ERRNO(ENOMEM), ERRNO(EACCES),
		ERRNO(EFAULT),  ERRNO(EBUSY),      ERRNO(EEXIST),  ERRNO(EXDEV),  ERRNO(ENODEV),
		ERRNO(EINVAL),  ERRNO(ENOSPC),     ERRNO(ERANGE),  ERRNO(ENOSYS), ERRNO(ENOTEMPTY),
		ERRNO(ENODATA), ERRNO(ETIME),      ERRNO(EISCONN), ERRNO(EROFS),  ERRNO(EISDIR),
		ERRNO(ENOBUFS), ERRNO(EOPNOTSUPP),
	};
	size_t i;

	for (i = 0; i < sizeof(pair) / sizeof(pair[0]); i++)
		assert_int_equal(pair[i][0], pair[i][1]);
}

static void test_memory_batch(void **state)
{
	same(MEMORY_OP_ADD_TO_PHYSMAP_BATCH, XENMEM_add_to_physmap_batch);
	same(MEMORY_INDEX_GRANT_STATUS, XENMAPIDX_grant_table_status);
	same_size(struct memory_add_to_physmap_batch, struct xen_add_to_physmap_batch);
	same_field(struct memory_add_to_physmap_batch, domain, struct xen_add_to_physmap_batch,
		   domid);
	same_field(struct memory_add_to_physmap_batch, space, struct xen_add_to_physmap_batch,
		   space);
	same_field(struct memory_add_to_physmap_batch, size, struct xen_add_to_physmap_batch, size);
	same_field(struct memory_add_to_physmap_batch, foreign_domain,
		   struct xen_add_to_physmap_batch, u.foreign_domid);
	same_field(struct memory_add_to_physmap_batch, indices, struct xen_add_to_physmap_batch,
		   idxs);
	same_field(struct memory_add_to_physmap_batch, frames, struct xen_add_to_physmap_batch,
		   gpfns);
	same_field(struct memory_add_to_physmap_batch, errors, struct xen_add_to_physmap_batch,
		   errs);
	same_field(struct memory_reservation, flags, struct xen_memory_reservation, mem_flags);
	same_size(struct memory_domain, struct xen_memory_domain);
}

static void test_sizes_of_texts(void **state)
{
	same(VERSION_EXTRAVERSION_BYTES, XEN_EXTRAVERSION_LEN);
	same(VERSION_CAPABILITIES_BYTES, XEN_CAPABILITIES_INFO_LEN);
	same(VERSION_CHANGESET_BYTES, XEN_CHANGESET_INFO_LEN);
	same(VERSION_COMMANDLINE_BYTES, sizeof(xen_commandline_t));
	same(XEN_FEATURE_HIGHMEM_ASSIST, XENFEAT_highmem_assist);
}

static void test_hvm_rest(void **state)
{
	same(HVM_OP_FLUSH_TLBS, HVMOP_flush_tlbs);
	same(HVM_OP_GET_TIME, HVMOP_get_time);
	same_size(struct hvm_time_args, struct xen_hvm_get_time);
	same(HVM_PARAMETER_ACPI_IOPORTS_LOCATION, HVM_PARAM_ACPI_IOPORTS_LOCATION);
	same(HVM_PARAMETER_TRIPLE_FAULT_REASON, HVM_PARAM_TRIPLE_FAULT_REASON);
	same(HVM_PARAMETER_VM_GENERATION_ID, HVM_PARAM_VM_GENERATION_ID_ADDR);
	same(HVM_PARAMETERS, HVM_NR_PARAMS);
	same(HVM_CALLBACK_TYPE_MASK, HVM_PARAM_CALLBACK_IRQ_TYPE_MASK);
	same(HVM_CALLBACK_TYPE_MASK, 0xffULL << HVM_CALLBACK_TYPE_SHIFT);
	same(HVM_CALLBACK_BY_GSI, HVM_PARAM_CALLBACK_TYPE_GSI);
	same(HVM_CALLBACK_BY_PCI_INTX, HVM_PARAM_CALLBACK_TYPE_PCI_INTX);
}

static void test_clocks(void **state)
{
	same_size(struct vcpu_time_area, struct vcpu_time_info);
	same_field(struct vcpu_time_area, version, struct vcpu_time_info, version);
	same_field(struct vcpu_time_area, tsc, struct vcpu_time_info, tsc_timestamp);
	same_field(struct vcpu_time_area, system_time, struct vcpu_time_info, system_time);
	same_field(struct vcpu_time_area, tsc_to_system_mul, struct vcpu_time_info,
		   tsc_to_system_mul);
	same_field(struct vcpu_time_area, tsc_shift, struct vcpu_time_info, tsc_shift);
	same_field(struct vcpu_time_area, flags, struct vcpu_time_info, flags);
	same(VCPU_TIME_TSC_STABLE, XEN_PVCLOCK_TSC_STABLE_BIT);
	same(VCPU_TIME_GUEST_STOPPED, XEN_PVCLOCK_GUEST_STOPPED);
	same_field(struct shared_info_page, wall_version, struct shared_info, wc_version);
	same_field(struct shared_info_page, wall_seconds, struct shared_info, wc_sec);
	same_field(struct shared_info_page, wall_nanoseconds, struct shared_info, wc_nsec);
	same_field(struct shared_info_page, wall_seconds_high, struct shared_info, wc_sec_hi);
}

static void test_rest_of_grants_and_store(void **state)
{
	same(GRANT_PWT, GTF_PWT);
	same(GRANT_PCD, GTF_PCD);
	same(GRANT_PAT, GTF_PAT);
	same(GRANT_NO_SPACE, GNTST_no_space);
	same(VIRTUAL_IRQ_ARGO, VIRQ_ARGO);
	same(STORE_CONTROL, XS_CONTROL);
	same(STORE_DIRECTORY_PART, XS_DIRECTORY_PART);
	same(STORE_TYPES, XS_TYPE_COUNT);
	same(STORE_INVALID, XS_INVALID);
	same(sizeof(xsd_errors) / sizeof(xsd_errors[0]), 16);
	assert_string_equal(STORE_E2BIG, xsd_errors[14].errstring);
	assert_string_equal(STORE_EPERM, xsd_errors[15].errstring);
}

static void test_blkif_requests(void **state)
{
	same_size(struct blkif_rw_req, struct blkif_request);
	same_field(struct blkif_rw_req, operation, struct blkif_request, operation);
	same_field(struct blkif_rw_req, segments, struct blkif_request, nr_segments);
	same_field(struct blkif_rw_req, handle, struct blkif_request, handle);
	same_field(struct blkif_rw_req, id, struct blkif_request, id);
	same_field(struct blkif_rw_req, sector, struct blkif_request, sector_number);
	same_field(struct blkif_rw_req, segment, struct blkif_request, seg);
	same_size(struct blkif_discard_req, struct blkif_request_discard);
	same_field(struct blkif_discard_req, operation, struct blkif_request_discard, operation);
	same_field(struct blkif_discard_req, flags, struct blkif_request_discard, flag);
	same_field(struct blkif_discard_req, handle, struct blkif_request_discard, handle);
	same_field(struct blkif_discard_req, id, struct blkif_request_discard, id);
	same_field(struct blkif_discard_req, sector, struct blkif_request_discard, sector_number);
	same_field(struct blkif_discard_req, sectors, struct blkif_request_discard, nr_sectors);
	same_size(struct blkif_indirect_req, struct blkif_request_indirect);
	same_field(struct blkif_indirect_req, operation, struct blkif_request_indirect, operation);
	same_field(struct blkif_indirect_req, indirect_operation, struct blkif_request_indirect,
		   indirect_op);
	same_field(struct blkif_indirect_req, segments, struct blkif_request_indirect, nr_segments);
	same_field(struct blkif_indirect_req, id, struct blkif_request_indirect, id);
	same_field(struct blkif_indirect_req, sector, struct blkif_request_indirect, sector_number);
	same_field(struct blkif_indirect_req, handle, struct blkif_request_indirect, handle);
	same_field(struct blkif_indirect_req, page_grant, struct blkif_request_indirect,
		   indirect_grefs);
	same(BLKIF_VENDOR, BLKIF_OP_RESERVED_1);
}

static void test_netif(void **state)
{
	same_netif_frames(netif);
	same(NETIF_TX_CSUM_BLANK, NETTXF_csum_blank);
	same(NETIF_TX_DATA_VALIDATED, NETTXF_data_validated);
	same(NETIF_TX_MORE_DATA, NETTXF_more_data);
	same(NETIF_TX_EXTRA_INFO, NETTXF_extra_info);
	same(NETIF_RX_DATA_VALIDATED, NETRXF_data_validated);
	same(NETIF_RX_CSUM_BLANK, NETRXF_csum_blank);
	same(NETIF_RX_MORE_DATA, NETRXF_more_data);
	same(NETIF_RX_EXTRA_INFO, NETRXF_extra_info);
	same(NETIF_RX_GSO_PREFIX, NETRXF_gso_prefix);
	same(NETIF_DROPPED, NETIF_RSP_DROPPED);
	same(NETIF_ERROR, NETIF_RSP_ERROR);
	same(NETIF_OK, NETIF_RSP_OKAY);
	same(NETIF_NULL, NETIF_RSP_NULL);
	same(NETIF_CTRL_GET_GREF_MAPPING_SIZE, XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE);
	same(NETIF_CTRL_ADD_GREF_MAPPING, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING);
	same(NETIF_CTRL_DEL_GREF_MAPPING, XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING);
	same(NETIF_STATIC_GRANT_READONLY, XEN_NETIF_CTRLF_GREF_readonly);
	same_size(struct netif_static_grant, struct xen_netif_gref);
	same_field(struct netif_static_grant, grant, struct xen_netif_gref, ref);
	same_field(struct netif_static_grant, flags, struct xen_netif_gref, flags);
	same_field(struct netif_static_grant, status, struct xen_netif_gref, status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SAME_TESTS,
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_memory_batch),
		cmocka_unit_test(test_sizes_of_texts),
		cmocka_unit_test(test_hvm_rest),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_rest_of_grants_and_store),
		cmocka_unit_test(test_blkif_requests),
		cmocka_unit_test(test_netif),
	};

	return cmocka_run_group_tests_name("contract against Xen's headers", tests, NULL, NULL);
}
