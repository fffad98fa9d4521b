// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Our layouts and numbers beside the kernel's copy of Xen's headers, which is what the in-tree
 * front-ends and back-ends are built from. tests/guest/fetch-headers unpacks them; without, there
 * is nothing to compare, and the program says so.
 */
#if __has_include(<xen/interface/xen.h>)

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <asm/bootparam.h>

/* What these headers expect of the kernel, and one that they include for no reason that matters. */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef uint64_t aligned_u64 __attribute__((aligned(8)));
#define __LINUX_SPINLOCK_H

#define CONFIG_XEN_PVHVM /* whose functions are but declared */

#include <asm/xen/cpuid.h>
#include <linux/pci_ids.h>
#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>
#include <xen/interface/features.h>
#include <xen/interface/grant_table.h>
#include <xen/interface/hvm/hvm_op.h>
#include <xen/interface/hvm/params.h>
#include <xen/interface/io/blkif.h>
#include <xen/interface/io/netif.h>
#include <xen/interface/io/protocols.h>
#include <xen/interface/io/xenbus.h>
#include <xen/interface/io/xs_wire.h>
#include <xen/interface/memory.h>
#include <xen/interface/sched.h>
#include <xen/interface/vcpu.h>
#include <xen/interface/version.h>
#include <xen/platform_pci.h>

#include "xen_same.h"

/* By what a guest finds the platform device, and has emulated ones removed. */
static void test_platform_device(void **state)
{
	same(XEN_PLATFORM_VENDOR, PCI_VENDOR_ID_XEN);
	same(XEN_PLATFORM_DEVICE, PCI_DEVICE_ID_XEN_PLATFORM);
	same(XEN_UNPLUG_PORT, XEN_IOPORT_MAGIC);
	same(XEN_UNPLUG_PORT, XEN_IOPORT_UNPLUG);
	same(XEN_UNPLUG_PORT + 2, XEN_IOPORT_PROTOVER);
	same(XEN_UNPLUG_MAGIC, XEN_IOPORT_MAGIC_VAL);
	same(XEN_UNPLUG_IDE_DISKS, XEN_UNPLUG_ALL_IDE_DISKS);
	same(XEN_UNPLUG_NICS, XEN_UNPLUG_ALL_NICS);
	same(XEN_UNPLUG_AUX_DISKS, XEN_UNPLUG_AUX_IDE_DISKS);
}

static void test_memory_range(void **state)
{
	same(MEMORY_OP_ADD_TO_PHYSMAP_BATCH, XENMEM_add_to_physmap_range);
	same_size(struct memory_add_to_physmap_batch, struct xen_add_to_physmap_range);
	same_field(struct memory_add_to_physmap_batch, domain, struct xen_add_to_physmap_range,
		   domid);
	same_field(struct memory_add_to_physmap_batch, space, struct xen_add_to_physmap_range,
		   space);
	same_field(struct memory_add_to_physmap_batch, size, struct xen_add_to_physmap_range, size);
	same_field(struct memory_add_to_physmap_batch, foreign_domain,
		   struct xen_add_to_physmap_range, foreign_domid);
	same_field(struct memory_add_to_physmap_batch, indices, struct xen_add_to_physmap_range,
		   idxs);
	same_field(struct memory_add_to_physmap_batch, frames, struct xen_add_to_physmap_range,
		   gpfns);
	same_field(struct memory_add_to_physmap_batch, errors, struct xen_add_to_physmap_range,
		   errs);
}

static void test_clocks(void **state)
{
	same_size(struct vcpu_time_area, struct pvclock_vcpu_time_info);
	same_field(struct vcpu_time_area, version, struct pvclock_vcpu_time_info, version);
	same_field(struct vcpu_time_area, tsc, struct pvclock_vcpu_time_info, tsc_timestamp);
	same_field(struct vcpu_time_area, system_time, struct pvclock_vcpu_time_info, system_time);
	same_field(struct vcpu_time_area, tsc_to_system_mul, struct pvclock_vcpu_time_info,
		   tsc_to_system_mul);
	same_field(struct vcpu_time_area, tsc_shift, struct pvclock_vcpu_time_info, tsc_shift);
	same_field(struct vcpu_time_area, flags, struct pvclock_vcpu_time_info, flags);
	same(VCPU_TIME_TSC_STABLE, PVCLOCK_TSC_STABLE_BIT);
	same(VCPU_TIME_GUEST_STOPPED, PVCLOCK_GUEST_STOPPED);
	same_field(struct shared_info_page, wall_version, struct shared_info, wc.version);
	same_field(struct shared_info_page, wall_seconds, struct shared_info, wc.sec);
	same_field(struct shared_info_page, wall_nanoseconds, struct shared_info, wc.nsec);
	same_field(struct shared_info_page, wall_seconds_high, struct shared_info, wc_sec_hi);
}

/* The kernel's requests share the operation; the rest is a union of what differs. */
static void test_blkif_requests(void **state)
{
	same_size(union blkif_req, struct blkif_request);
	same_field(union blkif_req, operation, struct blkif_request, operation);
	same_field(struct blkif_rw_req, segments, struct blkif_request, u.rw.nr_segments);
	same_field(struct blkif_rw_req, handle, struct blkif_request, u.rw.handle);
	same_field(struct blkif_rw_req, id, struct blkif_request, u.rw.id);
	same_field(struct blkif_rw_req, sector, struct blkif_request, u.rw.sector_number);
	same_field(struct blkif_rw_req, segment, struct blkif_request, u.rw.seg);
	same_field(struct blkif_discard_req, flags, struct blkif_request, u.discard.flag);
	same_field(struct blkif_discard_req, id, struct blkif_request, u.discard.id);
	same_field(struct blkif_discard_req, sector, struct blkif_request, u.discard.sector_number);
	same_field(struct blkif_discard_req, sectors, struct blkif_request, u.discard.nr_sectors);
	same_field(struct blkif_indirect_req, indirect_operation, struct blkif_request,
		   u.indirect.indirect_op);
	same_field(struct blkif_indirect_req, segments, struct blkif_request,
		   u.indirect.nr_segments);
	same_field(struct blkif_indirect_req, id, struct blkif_request, u.indirect.id);
	same_field(struct blkif_indirect_req, sector, struct blkif_request,
		   u.indirect.sector_number);
	same_field(struct blkif_indirect_req, handle, struct blkif_request, u.indirect.handle);
	same_field(struct blkif_indirect_req, page_grant, struct blkif_request,
		   u.indirect.indirect_grefs);
	/* Its operation is outside the struct. */
	same(sizeof(struct blkif_indirect_req), sizeof(struct blkif_request_indirect) + 1);
}

static void test_netif(void **state)
{
	same_netif_frames(xen_netif);
	same(NETIF_TX_CSUM_BLANK, XEN_NETTXF_csum_blank);
	same(NETIF_TX_DATA_VALIDATED, XEN_NETTXF_data_validated);
	same(NETIF_TX_MORE_DATA, XEN_NETTXF_more_data);
	same(NETIF_TX_EXTRA_INFO, XEN_NETTXF_extra_info);
	same(NETIF_RX_DATA_VALIDATED, XEN_NETRXF_data_validated);
	same(NETIF_RX_CSUM_BLANK, XEN_NETRXF_csum_blank);
	same(NETIF_RX_MORE_DATA, XEN_NETRXF_more_data);
	same(NETIF_RX_EXTRA_INFO, XEN_NETRXF_extra_info);
	same(NETIF_RX_GSO_PREFIX, XEN_NETRXF_gso_prefix);
	same(NETIF_DROPPED, XEN_NETIF_RSP_DROPPED);
	same(NETIF_ERROR, XEN_NETIF_RSP_ERROR);
	same(NETIF_OK, XEN_NETIF_RSP_OKAY);
	same(NETIF_NULL, XEN_NETIF_RSP_NULL);
	same(NETIF_EXTRA_XDP, XEN_NETIF_EXTRA_TYPE_XDP);
	same(NETIF_EXTRA_TYPES, XEN_NETIF_EXTRA_TYPE_MAX);
	same(NETIF_XDP_HEADROOM_MAX, XEN_NETIF_MAX_XDP_HEADROOM);
	same_field(struct netif_extra, u.xdp.headroom, struct xen_netif_extra_info, u.xdp.headroom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SAME_TESTS,
		cmocka_unit_test(test_platform_device),
		cmocka_unit_test(test_memory_range),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_blkif_requests),
		cmocka_unit_test(test_netif),
	};

	return cmocka_run_group_tests_name("contract against the kernel's headers", tests, NULL,
					   NULL);
}

#else

#include <stdio.h>

int main(void)
{
	puts("1..0 # SKIP no kernel headers in build/headers: run make deps");
	return 0;
}

#endif
