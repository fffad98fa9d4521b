// SPDX-License-Identifier: GPL-2.0
/*
 * What the platform says of itself: leaves of CPUID, then the registers of its first BAR; and its
 * BARs, mapped. All of it is checked here, once.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "guest-kernel-module/platform_pci.h"

/* ---- CPUID ----------------------------------------------------------------------------------- */

/* The base of our block of leaves, or 0. */
static u32 find_leaves(void)
{
	u32 base, eax, words[3];

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return 0;
	for (base = PLATFORM_LEAF_FIRST; base <= PLATFORM_LEAF_LAST; base += PLATFORM_LEAF_STEP) {
		cpuid(base, &eax, &words[0], &words[1], &words[2]);
		if (!memcmp(words, PLATFORM_SIGNATURE, sizeof(words)) &&
		    eax >= base + PLATFORM_LEAF_VERSION)
			return base;
	}
	return 0;
}

int pvkit_platform_check(struct device *device)
{
	u32 base = find_leaves(), version;

	if (!base) {
		dev_err(device, "no pvkit signature in CPUID: is this pvkit-shim?\n");
		return -ENODEV;
	}
	version = cpuid_eax(base + PLATFORM_LEAF_VERSION);
	if (version >> 16 != PLATFORM_VERSION_MAJOR) {
		dev_err(device, "the platform speaks version %u.%u, this module %u.x: %s\n",
			version >> 16, version & 0xffff, PLATFORM_VERSION_MAJOR,
			version >> 16 > PLATFORM_VERSION_MAJOR ? "take a newer module" :
								 "take a newer shim");
		return -ENODEV;
	}
	return 0;
}

/* ---- registers ------------------------------------------------------------------------------- */

/* Where a part of the shared memory lies; NULL if it does not lie there in full. */
static void *shared_part(struct pci_platform *pp, enum platform_register reg, u64 size)
{
	u64 offset = platform_read64(pp, reg);

	if (offset % PAGE_SIZE || offset > pp->shared_size || size > pp->shared_size - offset) {
		dev_err(&pp->pci->dev, "register 0x%x says 0x%llx, %llu bytes do not lie there\n",
			reg, offset, size);
		return NULL;
	}
	return pp->shared + offset;
}

int pvkit_platform_read(struct pci_platform *pp)
{
	struct pvkit_platform *platform = &pp->platform;
	struct device *device = &pp->pci->dev;
	u32 magic = platform_read32(pp, PLATFORM_REG_MAGIC), frames;

	if (magic != PLATFORM_MAGIC) {
		dev_err(device, "magic is 0x%x\n", magic);
		return -ENODEV;
	}
	platform->domain = platform_read32(pp, PLATFORM_REG_DOMAIN);
	platform->backend_domain = platform_read32(pp, PLATFORM_REG_BACKEND_DOMAIN);
	platform->ports = platform_read32(pp, PLATFORM_REG_PORTS);
	platform->store_port = platform_read32(pp, PLATFORM_REG_STORE_PORT);
	platform->doorbell_stride = platform_read32(pp, PLATFORM_REG_DOORBELL_STRIDE);
	frames = platform_read32(pp, PLATFORM_REG_GRANT_FRAMES);
	platform->grants = frames * GRANT_V1_PER_FRAME;
	if (!platform->ports || platform->ports > EVENT_FIFO_PORTS || !platform->doorbell_stride ||
	    (u64)platform->ports * platform->doorbell_stride >
		    pci_resource_len(pp->pci, PLATFORM_BAR_DOORBELLS) ||
	    !frames || frames > 1U << 16) {
		dev_err(device, "registers make no sense: %u ports, stride %u, %u grant frames\n",
			platform->ports, platform->doorbell_stride, frames);
		return -ENODEV;
	}
	platform->pending = shared_part(pp, PLATFORM_REG_PENDING_OFFSET,
					sizeof(struct platform_pending) +
						BITS_TO_LONGS(platform->ports) * sizeof(long));
	platform->store_page = shared_part(pp, PLATFORM_REG_STORE_OFFSET, PAGE_SIZE);
	platform->entries = shared_part(pp, PLATFORM_REG_GRANT_OFFSET, (u64)frames * PAGE_SIZE);
	return platform->pending && platform->store_page && platform->entries ? 0 : -ENODEV;
}

/* ---- mapping --------------------------------------------------------------------------------- */

/*
 * The BAR is memory, and is to be cached as such. memremap() would degrade it to uncached where the
 * firmware set up no MTRR that covers it, which is any small monitor; so it is mapped frame by
 * frame.
 */
static void *map_shared(struct pci_dev *pci, resource_size_t size)
{
#ifdef CONFIG_VMAP_PFN
	unsigned long first = PHYS_PFN(pci_resource_start(pci, PLATFORM_BAR_SHARED));
	unsigned long count = PHYS_PFN(size), i, *pfns;
	void *shared;

	pfns = kvmalloc_array(count, sizeof(*pfns), GFP_KERNEL);
	if (!pfns)
		return NULL;
	for (i = 0; i < count; i++)
		pfns[i] = first + i;
	shared = vmap_pfn(pfns, count, PAGE_KERNEL);
	kvfree(pfns);
	return shared;
#else
	return memremap(pci_resource_start(pci, PLATFORM_BAR_SHARED), size, MEMREMAP_WB);
#endif
}

static void unmap_shared(void *shared)
{
#ifdef CONFIG_VMAP_PFN
	if (shared)
		vunmap(shared);
#else
	if (shared)
		memunmap(shared);
#endif
}

int pvkit_platform_map(struct pci_platform *pp)
{
	struct pci_dev *pci = pp->pci;

	pp->shared_size = pci_resource_len(pci, PLATFORM_BAR_SHARED);
	if (pci_resource_len(pci, PLATFORM_BAR_REGISTERS) < PLATFORM_REG_END ||
	    pp->shared_size < PAGE_SIZE || pp->shared_size > SZ_1G) {
		dev_err(&pci->dev, "BARs are too small or absent\n");
		return -ENODEV;
	}
	pp->registers = pci_iomap(pci, PLATFORM_BAR_REGISTERS, 0);
	pp->platform.doorbells = pci_iomap(pci, PLATFORM_BAR_DOORBELLS, 0);
	pp->shared = map_shared(pci, pp->shared_size);
	return pp->registers && pp->platform.doorbells && pp->shared ? 0 : -ENOMEM;
}

void pvkit_platform_unmap(struct pci_platform *pp)
{
	unmap_shared(pp->shared);
	if (pp->platform.doorbells)
		pci_iounmap(pp->pci, pp->platform.doorbells);
	if (pp->registers)
		pci_iounmap(pp->pci, pp->registers);
}
