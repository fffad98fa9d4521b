// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * XEN_VERSION: what the guest is told about its hypervisor. The version is that of the Xen whose
 * headers the interface was checked against.
 */
#include "abi/hypercall.h"
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/xen.h"
#include "hypervisor-shim/pv/xen_hypercall.h"

#define FEATURES                                                                                 \
	(1U << XEN_FEATURE_WRITABLE_PAGE_TABLES | 1U << XEN_FEATURE_WRITABLE_DESCRIPTOR_TABLES | \
	 1U << XEN_FEATURE_AUTO_TRANSLATED_PHYSMAP | 1U << XEN_FEATURE_SUPERVISOR_MODE_KERNEL |  \
	 1U << XEN_FEATURE_HVM_CALLBACK_VECTOR | 1U << XEN_FEATURE_HVM_SAFE_PVCLOCK)

static int get_features(uint64_t address)
{
	struct version_features args;
	int result = copy_from_guest(&args, address, sizeof(args));

	if (result < 0)
		return result;
	args.features = args.word ? 0 : FEATURES;
	return copy_to_guest(address, &args, sizeof(args));
}

static int put_text(uint64_t address, const char *text, size_t size)
{
	char field[VERSION_CAPABILITIES_BYTES] = "";

	memcpy(field, text, strlen(text));
	return copy_to_guest(address, field, size);
}

static int get_compile_info(uint64_t address)
{
	static const struct version_compile_info info = {.compile_by = "pvkit"};

	return copy_to_guest(address, &info, sizeof(info));
}

int64_t xen_version_op(uint64_t operation, uint64_t address)
{
	static const struct version_platform_parameters parameters;
	static const uint8_t handle[16];

	switch (operation) {
	case VERSION_OP_VERSION:
		return XEN_VERSION;
	case VERSION_OP_PAGESIZE:
		return XEN_FRAME_BYTES;
	case VERSION_OP_GET_FEATURES:
		return get_features(address);
	case VERSION_OP_EXTRAVERSION:
		return put_text(address, ".0-pvkit", VERSION_EXTRAVERSION_BYTES);
	case VERSION_OP_CAPABILITIES:
		return put_text(address, "hvm-3.0-x86_64", VERSION_CAPABILITIES_BYTES);
	case VERSION_OP_CHANGESET:
		return put_text(address, "unavailable", VERSION_CHANGESET_BYTES);
	case VERSION_OP_COMPILE_INFO:
		return get_compile_info(address);
	case VERSION_OP_PLATFORM_PARAMETERS:
		return copy_to_guest(address, &parameters, sizeof(parameters));
	case VERSION_OP_GUEST_HANDLE:
		return copy_to_guest(address, handle, sizeof(handle));
	default:
		return -ENOSYS;
	}
}
