// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The virtual machine: why it is made this way.
 *
 * RAM is one memfd, because back-ends are other processes that map it; its size is sealed, so
 * that a back-end that shrinks the file cannot kill the shim by SIGBUS. It appears twice in the
 * guest at the most: below the PCI hole and, the rest, from 4 GiB on. Both parts are KVM slots
 * for good, so their addresses never change under a running vCPU; slots of devices come and go
 * behind them.
 *
 * Nothing is touched before the guest touches it (MAP_NORESERVE), so a guest may be given more
 * memory than the host has free, as every monitor allows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/vm.h"

#define SLOTS_MAX        320 /* a Xen guest places each frame of its grant table by itself */
#define KVM_IDENTITY_MAP VM_KVM_START
#define KVM_TSS          (VM_KVM_START + 0x1000) /* three pages */
#define PCI64_SIZE_MAX   (64ULL << 30)
#define HUGE_PAGE        (2ULL << 20)
#define POPULATE_PIECE   (64ULL << 20) /* a signal waits for so much: tens of milliseconds */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

struct slot {
	uint64_t address, size; /* size 0: free */
	void *host;
};

static struct {
	int kvm, fd, ram_fd;
	unsigned int cpus;
	uint64_t ram_size;
	struct guest_memory memory;
	uint64_t region_offset[2]; /* in ram_fd */
	uint64_t pci64_start;
	bool preallocate;
	pthread_mutex_t slots_lock;
	struct slot slots[SLOTS_MAX];
} vm = {.kvm = -1, .fd = -1, .ram_fd = -1, .slots_lock = PTHREAD_MUTEX_INITIALIZER};

int vm_fd(void)
{
	return vm.fd;
}

int vm_kvm_fd(void)
{
	return vm.kvm;
}

unsigned int vm_cpus(void)
{
	return vm.cpus;
}

const struct guest_memory *vm_memory(void)
{
	return &vm.memory;
}

int vm_region_fd(unsigned int region, uint64_t *offset)
{
	if (region >= vm.memory.count)
		return -EINVAL;
	*offset = vm.region_offset[region];
	return vm.ram_fd;
}

int vm_capability(unsigned int capability)
{
	int have = ioctl(vm.fd >= 0 ? vm.fd : vm.kvm, KVM_CHECK_EXTENSION, (long)capability);

	return have < 0 ? 0 : have;
}

uint64_t vm_pci64_start(void)
{
	return vm.pci64_start;
}

uint64_t vm_pci64_size(void)
{
	return vm.pci64_start < PCI64_SIZE_MAX ? vm.pci64_start : PCI64_SIZE_MAX;
}

/* A slot of size 0 takes it away. */
static int set_slot(unsigned int number, const struct slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = number,
		.guest_phys_addr = slot->address,
		.memory_size = slot->size,
		.userspace_addr = (uint64_t)(uintptr_t)slot->host,
	};

	return ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

int vm_add_slot(uint64_t address, uint64_t size, void *host)
{
	struct slot slot = {.address = address, .size = size, .host = host};
	int result = -ENOSPC;

	if (!size)
		return -EINVAL;
	pthread_mutex_lock(&vm.slots_lock);
	for (unsigned int i = 0; i < SLOTS_MAX; i++) {
		if (vm.slots[i].size)
			continue;
		result = set_slot(i, &slot);
		if (!result)
			vm.slots[i] = slot;
		break;
	}
	pthread_mutex_unlock(&vm.slots_lock);
	return result;
}

int vm_remove_slot(uint64_t address)
{
	int result = -ENOENT;

	pthread_mutex_lock(&vm.slots_lock);
	for (unsigned int i = 0; i < SLOTS_MAX; i++) {
		if (!vm.slots[i].size || vm.slots[i].address != address)
			continue;
		vm.slots[i].size = 0;
		result = set_slot(i, &vm.slots[i]);
		break;
	}
	pthread_mutex_unlock(&vm.slots_lock);
	return result;
}

/* So that a transparent huge page of the file can be one in the guest's tables too. */
static void *map_aligned(uint64_t size, uint64_t offset)
{
	uint8_t *room = mmap(NULL, size + HUGE_PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *start, *host;
	uint64_t before;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	before = -(uintptr_t)room & (HUGE_PAGE - 1);
	start = room + before;
	host = mmap(start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		    vm.ram_fd, (off_t)offset);
	if (host == MAP_FAILED) {
		munmap(room, size + HUGE_PAGE);
		return MAP_FAILED;
	}
	if (before)
		munmap(room, before);
	munmap(start + size, HUGE_PAGE - before);
	madvise(host, size, MADV_HUGEPAGE);
	madvise(host, size, MADV_DONTDUMP);
	return host;
}

static int add_ram(uint64_t address, uint64_t size, uint64_t offset)
{
	void *host = map_aligned(size, offset);
	int result;

	if (host == MAP_FAILED) {
		result = -errno;
		log_errno("cannot map %llu MiB of guest memory; give the guest less --memory",
			  (unsigned long long)size >> 20);
		return result;
	}
	vm.region_offset[vm.memory.count] = offset;
	if (guest_memory_add(&vm.memory, address, size, host) < 0)
		return -EINVAL;
	result = vm_add_slot(address, size, host);
	if (result < 0)
		log_error("KVM refuses %llu MiB of memory at 0x%llx: %s",
			  (unsigned long long)size >> 20, (unsigned long long)address,
			  strerror(-result));
	return result;
}

static int make_ram(uint64_t memory)
{
	uint64_t low = memory < VM_PCI_HOLE_START ? memory : VM_PCI_HOLE_START;
	int result;

	vm.ram_size = memory;
	vm.ram_fd = memfd_create("pvkit-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (vm.ram_fd < 0 || ftruncate(vm.ram_fd, (off_t)memory) < 0 ||
	    fcntl(vm.ram_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		result = -errno;
		log_errno("cannot make a memory file of %llu MiB for the guest; give it less "
			  "--memory",
			  (unsigned long long)memory >> 20);
		return result;
	}
	result = add_ram(0, low, 0);
	if (!result && memory > low)
		result = add_ram(VM_RAM_HIGH_START, memory - low, low);
	return result;
}

static int open_kvm(void)
{
	int result, version;

	vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm.kvm < 0) {
		result = -errno;
		if (result == -EACCES || result == -EPERM)
			log_errno("cannot open /dev/kvm; join the group that owns it "
				  "(usermod -aG kvm USER, then log in again) or run as root");
		else
			log_errno("cannot open /dev/kvm; load the module kvm_intel or kvm_amd, and "
				  "see "
				  "that virtualization is switched on in the firmware");
		return result;
	}
	version = ioctl(vm.kvm, KVM_GET_API_VERSION, 0L);
	if (version != KVM_API_VERSION) {
		log_error("/dev/kvm speaks version %d of its interface, not %d; is it KVM at all?",
			  version, KVM_API_VERSION);
		return -ENOTSUP;
	}
	return 0;
}

static int check_capabilities(void)
{
	static const struct {
		unsigned int number;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "USER_MEMORY"},
		{KVM_CAP_IRQCHIP, "IRQCHIP"},
		{KVM_CAP_PIT2, "PIT2"},
		{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING"},
		{KVM_CAP_IRQFD, "IRQFD"},
		{KVM_CAP_IOEVENTFD, "IOEVENTFD"},
		{KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI"},
		{KVM_CAP_EXT_CPUID, "EXT_CPUID"},
		{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
		{KVM_CAP_XSAVE, "XSAVE"},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (vm_capability(needed[i].number))
			continue;
		log_error("this kernel's KVM lacks KVM_CAP_%s; use Linux 4.13 or later",
			  needed[i].name);
		return -ENOTSUP;
	}
	return 0;
}

static int create_vm(void)
{
	uint64_t identity_map = KVM_IDENTITY_MAP;
	int result;

	do {
		vm.fd = ioctl(vm.kvm, KVM_CREATE_VM, 0L);
	} while (vm.fd < 0 && errno == EINTR);
	if (vm.fd < 0) {
		result = -errno;
		log_errno(
			"KVM cannot make a virtual machine; is another hypervisor using the CPU?");
		return result;
	}
	/* Both before the first vCPU; only old Intel CPUs use them, all accept them. */
	if (ioctl(vm.fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(vm.fd, KVM_SET_TSS_ADDR, KVM_TSS) < 0) {
		result = -errno;
		log_errno("KVM refuses its own pages at 0x%llx", VM_KVM_START);
		return result;
	}
	return 0;
}

/* Half of the address space at the most, so that RAM and the window never meet. */
static uint64_t pci64_start(void)
{
	uint64_t half = 1ULL << (cpuid_address_bits() - 1);

	return half < VM_PCI64_START ? half : VM_PCI64_START;
}

int vm_open(uint64_t memory, unsigned int cpus)
{
	int result;

	if (!cpus || cpus > VM_CPUS_MAX || memory < VM_MEMORY_MIN || memory > VM_MEMORY_MAX)
		return -EINVAL;
	vm.cpus = cpus;
	result = open_kvm();
	if (!result)
		result = check_capabilities();
	if (!result)
		result = create_vm();
	if (!result)
		result = irq_open();
	if (!result) {
		vm.pci64_start = pci64_start();
		if (memory + (VM_RAM_HIGH_START - VM_PCI_HOLE_START) > vm.pci64_start) {
			log_error("%llu MiB do not fit this CPU's %u address bits; give the guest "
				  "less --memory",
				  (unsigned long long)memory >> 20, cpuid_address_bits());
			result = -E2BIG;
		}
	}
	if (!result)
		result = make_ram(memory);
	if (result < 0)
		vm_close();
	return result;
}

void vm_close(void)
{
	int *const fds[] = {&vm.fd, &vm.kvm, &vm.ram_fd};

	irq_close();
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	for (uint32_t i = 0; i < vm.memory.count; i++)
		munmap(vm.memory.region[i].host, vm.memory.region[i].size);
	vm.memory.count = 0;
	vm.preallocate = false;
	memset(vm.slots, 0, sizeof(vm.slots));
}

/*
 * Collapsing makes huge pages of small ones that are there, also where the host's setting for
 * shared memory says "never". It may fail piece by piece, and altogether on an old kernel: small
 * pages do too.
 */
static void make_huge(const struct guest_region *region)
{
	for (uint64_t at = 0; at + HUGE_PAGE <= region->size; at += HUGE_PAGE) {
		if (madvise(region->host + at, HUGE_PAGE, MADV_COLLAPSE) < 0 && errno == EINVAL)
			return;
	}
}

/* What the host could give away now; UINT64_MAX where it does not say. */
static uint64_t host_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kibibytes = 0;
	char line[128];

	while (file && !kibibytes && fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %llu kB", &kibibytes);
	if (file)
		fclose(file);
	return kibibytes ? (uint64_t)kibibytes << 10 : UINT64_MAX;
}

/* In pieces, so that the user need not wait for all of it. */
static int populate(const struct guest_region *region)
{
	uint64_t size;

	for (uint64_t at = 0; at < region->size; at += size) {
		size = region->size - at < POPULATE_PIECE ? region->size - at : POPULATE_PIECE;
		if (madvise(region->host + at, size, MADV_POPULATE_WRITE) < 0)
			return -errno;
		if (machine_is_ended())
			return -EINTR;
	}
	make_huge(region);
	return 0;
}

int vm_preallocate(void)
{
	/* To find that out by taking it would cost other processes their lives. */
	uint64_t available = host_available();
	int result = vm.ram_size > available ? -ENOMEM : 0;

	vm.preallocate = true;
	for (uint32_t i = 0; !result && i < vm.memory.count; i++)
		result = populate(&vm.memory.region[i]);
	if (result && result != -EINTR)
		log_error("cannot take %llu MiB of memory from the host, which has %llu MiB "
			  "available: %s; give the guest less --memory, or leave out --prealloc",
			  (unsigned long long)vm.ram_size >> 20,
			  (unsigned long long)available >> 20, strerror(-result));
	return result;
}

int vm_reset(void)
{
	int result;

	/* The pages go away everywhere: here, in KVM's tables, and in the back-ends' mappings. */
	if (fallocate(vm.ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)vm.ram_size) < 0)
		return -errno;
	result = irq_reset();
	if (!result && vm.preallocate)
		result = vm_preallocate();
	return result;
}

int vm_ioeventfd(uint64_t address, unsigned int size, int fd, bool on)
{
	struct kvm_ioeventfd request = {
		.addr = address,
		.len = size,
		.fd = fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(vm.fd, KVM_IOEVENTFD, &request) < 0 ? -errno : 0;
}
