// SPDX-License-Identifier: GPL-2.0
/*
 * The platform under pvkit-shim: a CPUID signature and a PCI device (abi/platform.h has the
 * contract, and the order in which a module comes and goes).
 *
 * What came before us, a module that was unloaded by force, a crashed kernel before kexec, is wiped
 * by RESET before anything is used; and RESET again is the last thing that we do. So whatever
 * happens in between, nothing of ours is left in the shim.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/control.h"
#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/grant_table.h"
#include "guest-kernel-module/hypercall.h"
#include "guest-kernel-module/main.h"
#include "guest-kernel-module/platform_pci.h"
#include "guest-kernel-module/store.h"

static unsigned int vectors;
module_param(vectors, uint, 0444);
MODULE_PARM_DESC(vectors, "MSI-X vectors to use at most: ports behind them share one (0: by CPUs)");

/* Without a wish: a disk and a network device with a queue a CPU have vectors of their own. */
#define VECTORS_BASE	32
#define VECTORS_PER_CPU 8

/* What the services above can do. */
#define FEATURES_WANTED BIT_ULL(PLATFORM_F_SUSPEND)

/* As other ends wait for their back-ends: attach.h gives those ATTACH_ACK_SECONDS to let go. */
#define RESET_TRIES 3

/* One machine, one platform. */
static struct pci_platform *only;

/* ---- calls ----------------------------------------------------------------------------------- */

static s64 platform_call(enum platform_op op, u64 argument)
{
	return pvkit_hypercall(HYPERCALL_PLATFORM, op, argument, 0);
}

static s64 reset_platform(struct device *device)
{
	unsigned int tries;
	s64 result;

	for (tries = 0; tries < RESET_TRIES; tries++) {
		result = platform_call(PLATFORM_OP_RESET, 0);
		if (result != -EBUSY)
			break;
		dev_warn(device, "a back-end does not let go of its grants, trying again\n");
		msleep(100);
	}
	return result;
}

static int accept_features(struct pci_platform *pp)
{
	u64 wanted = platform_read64(pp, PLATFORM_REG_FEATURES) & FEATURES_WANTED;

	platform_write64(pp, PLATFORM_REG_ACCEPT, wanted);
	pp->platform.features = platform_read64(pp, PLATFORM_REG_ACCEPT);
	if (pp->platform.features == wanted)
		return 0;
	dev_err(&pp->pci->dev, "features 0x%llx were accepted, 0x%llx are in force\n", wanted,
		pp->platform.features);
	return -EIO;
}

/* Whatever was before is gone, and calls work. */
static int begin(struct pci_platform *pp)
{
	s64 result = reset_platform(&pp->pci->dev);

	if (result == -EBUSY) {
		dev_warn(&pp->pci->dev, "grants of an earlier life stay in use\n");
	} else if (result) {
		dev_err(&pp->pci->dev, "the platform cannot be reset (%lld)\n", result);
		return result;
	}
	return accept_features(pp);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

int pvkit_platform_irq(struct pvkit_platform *platform, u32 vector)
{
	return pci_irq_vector(container_of(platform, struct pci_platform, platform)->pci, vector);
}

static int open_vectors(struct pci_platform *pp)
{
	unsigned int wanted = vectors ?: VECTORS_BASE + VECTORS_PER_CPU * num_possible_cpus();
	int got;

	wanted = clamp_t(unsigned int, wanted, 1, platform_read32(pp, PLATFORM_REG_VECTORS) ?: 1);
	got = pci_alloc_irq_vectors(pp->pci, 1, wanted, PCI_IRQ_MSIX);
	if (got < 0) {
		dev_err(&pp->pci->dev, "no MSI-X vector (%d)\n", got);
		return got;
	}
	pp->platform.vectors = got;
	return 0;
}

/*
 * From here on events interrupt. Vectors that nobody has asked for yet are masked, and latch.
 */
static int set_vectors(struct pci_platform *pp, u32 count)
{
	s64 result = platform_call(PLATFORM_OP_SET_VECTORS, count);

	if (result)
		dev_err(&pp->pci->dev, "the platform refuses %u vectors (%lld)\n", count, result);
	return result;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int open_services(struct pci_platform *pp)
{
	struct pvkit_platform *platform = &pp->platform;
	int error;

	error = pvkit_grants_start(platform);
	if (error)
		return error;
	error = open_vectors(pp);
	if (error)
		goto no_vectors;
	error = pvkit_events_start(platform);
	if (error)
		goto no_events;
	error = set_vectors(pp, platform->vectors);
	if (error)
		goto no_store;
	error = pvkit_store_start(platform);
	if (error)
		goto no_store;
	error = pvkit_scan_start(platform);
	if (error)
		goto no_scan;
	error = pvkit_control_start();
	if (!error)
		return 0;

	pvkit_scan_stop();
no_scan:
	pvkit_store_stop();
no_store:
	platform_call(PLATFORM_OP_SET_VECTORS, 0);
	pvkit_events_stop();
no_events:
	pci_free_irq_vectors(pp->pci);
no_vectors:
	pvkit_grants_stop(!reset_platform(&pp->pci->dev));
	return error;
}

static void close_services(struct pci_platform *pp)
{
	pvkit_control_stop();
	pvkit_scan_stop();
	pvkit_store_stop();
	set_vectors(pp, 0);
	pvkit_events_stop();
	pci_free_irq_vectors(pp->pci);
	pvkit_grants_stop(!reset_platform(&pp->pci->dev));
}

static int platform_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct pci_platform *pp;
	int error;

	if (only)
		return -EBUSY;
	error = pvkit_platform_check(&pci->dev);
	if (error)
		return error;
	pp = kzalloc(sizeof(*pp), GFP_KERNEL);
	if (!pp)
		return -ENOMEM;
	pp->pci = pci;
	pp->platform.device = &pci->dev;
	error = pci_enable_device(pci);
	if (error)
		goto no_device;
	error = pci_request_regions(pci, "pvkit");
	if (error)
		goto no_regions;
	pci_set_master(pci);
	error = pvkit_platform_map(pp);
	if (!error)
		error = pvkit_platform_read(pp);
	if (!error)
		error = pvkit_hypercall_open(platform_read32(pp, PLATFORM_REG_HYPERCALL_PORT));
	if (error)
		goto no_bars;
	error = begin(pp);
	if (error)
		goto no_calls;
	pci_set_drvdata(pci, pp);
	only = pp;
	error = open_services(pp);
	if (error)
		goto no_calls;
	dev_info(&pci->dev, "domain %u, %u ports, %u vectors, %u grants, features 0x%llx\n",
		 pp->platform.domain, pp->platform.ports - 1, pp->platform.vectors,
		 pp->platform.grants, pp->platform.features);
	pvkit_accounts_open();
	return 0;

no_calls:
	only = NULL;
	pvkit_hypercall_close();
no_bars:
	pvkit_platform_unmap(pp);
	pci_clear_master(pci);
	pci_release_regions(pci);
no_regions:
	pci_disable_device(pci);
no_device:
	kfree(pp);
	return error;
}

static void platform_remove(struct pci_dev *pci)
{
	struct pci_platform *pp = pci_get_drvdata(pci);

	pvkit_accounts_close();
	close_services(pp);
	only = NULL;
	pvkit_hypercall_close();
	pvkit_platform_unmap(pp);
	pci_clear_master(pci);
	pci_release_regions(pci);
	pci_disable_device(pci);
	kfree(pp);
}

/* ---- sleep, and the end ---------------------------------------------------------------------- */

/*
 * By now the devices on the bus have suspended: no grant, no port but the store's is in use.
 */
static int platform_suspend(struct device *device)
{
	struct pci_platform *pp = dev_get_drvdata(device);

	pvkit_store_suspend();
	return set_vectors(pp, 0);
}

static int platform_resume(struct device *device)
{
	struct pci_platform *pp = dev_get_drvdata(device);
	int error;

	pci_set_master(pp->pci);
	error = begin(pp);
	if (error)
		return error;
	pvkit_grants_forgotten();
	pvkit_events_forgotten();
	error = set_vectors(pp, pp->platform.vectors);
	return error ?: pvkit_store_resume();
}

static int suspend_child(struct device *device, void *context)
{
	int error;

	device_lock(device);
	error = pvkit_bus_suspend(device);
	device_unlock(device);
	return error;
}

static int resume_child(struct device *device, void *context)
{
	device_lock(device);
	pvkit_bus_resume(device);
	device_unlock(device);
	return 0;
}

/* All devices are suspended. What the host answers: 0: resumed, and all is gone; 1: cancelled. */
static int sleep_bare(struct pci_platform *pp)
{
	struct sched_shutdown_args args = { .reason = SCHED_SHUTDOWN_SUSPEND };
	s64 result;
	int error;

	pvkit_store_suspend();
	set_vectors(pp, 0);
	result = pvkit_hypercall_data(HYPERCALL_SCHED_OP, SCHED_OP_SHUTDOWN, &args, sizeof(args),
				      0);
	if (!result) {
		pvkit_grants_forgotten();
		pvkit_events_forgotten();
	}
	error = set_vectors(pp, pp->platform.vectors);
	return error ?: pvkit_store_resume() ?: min_t(s64, result, 0);
}

int pvkit_platform_sleep(void)
{
	struct pci_platform *pp = only;
	unsigned int flags;
	int error;

	if (!(pp->platform.features & BIT_ULL(PLATFORM_F_SUSPEND)))
		return -EOPNOTSUPP;
	flags = lock_system_sleep();
	error = device_for_each_child(pp->platform.device, NULL, suspend_child);
	error = error ?: sleep_bare(pp);
	/* Those that were suspended, whoever came or went meanwhile. */
	device_for_each_child(pp->platform.device, NULL, resume_child);
	unlock_system_sleep(flags);
	return error;
}

void pvkit_platform_poweroff(void)
{
	orderly_poweroff(false);
}

void pvkit_platform_reboot(void)
{
	orderly_reboot();
}

static DEFINE_SIMPLE_DEV_PM_OPS(platform_pm, platform_suspend, platform_resume);

/*
 * The kernel that comes next, by kexec, must not find back-ends that still write into its memory.
 */
static void platform_shutdown(struct pci_dev *pci)
{
	platform_call(PLATFORM_OP_SET_VECTORS, 0);
	reset_platform(&pci->dev);
}

static const struct pci_device_id platform_ids[] = {
	{ PCI_DEVICE(PLATFORM_PCI_VENDOR, PLATFORM_PCI_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, platform_ids);

static struct pci_driver platform_driver = {
	.name = "pvkit",
	.id_table = platform_ids,
	.probe = platform_probe,
	.remove = platform_remove,
	.shutdown = platform_shutdown,
	.driver.pm = pm_sleep_ptr(&platform_pm),
};

int pvkit_platform_register(void)
{
	return pci_register_driver(&platform_driver);
}

void pvkit_platform_unregister(void)
{
	pci_unregister_driver(&platform_driver);
}

void pvkit_platform_show(struct seq_file *file)
{
	struct pvkit_platform *platform = &only->platform;

	seq_printf(file, "domain %u\nbackend domain %u\nports %u\nvectors %u\ngrants %u\n",
		   platform->domain, platform->backend_domain, platform->ports, platform->vectors,
		   platform->grants);
	seq_printf(file, "store port %u\nfeatures 0x%llx\n", platform->store_port,
		   platform->features);
}
