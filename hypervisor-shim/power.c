// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Power: the fixed hardware of ACPI, as little of it as FADT has to name.
 *
 * There is no button and no timer, so the event registers only remember what is written. The
 * control register says that ACPI is on (no SMI_CMD, so it always was) and takes S5. Three doors
 * lead to a reset: ACPI's reset register, which is the one of old PC chipsets at 0xcf9, the pulse
 * of the keyboard controller, and a triple fault (vcpu.c); kernels try them in turn.
 *
 * pvpanic is QEMU's device: one port that tells which events it takes and takes them.
 */
#include <stdatomic.h>
#include <string.h>

#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/power.h"

#define CONTROL_SCI_ENABLE    (1u << 0)
#define CONTROL_SLEEP_TYPE(v) ((v) >> 10 & 7)
#define CONTROL_SLEEP         (1u << 13)
#define CONTROL_WRITABLE      0x1c06 /* SLP_TYP, BM_RLD, GBL_RLS */

#define RESET_CPU (1u << 2)

#define KEYBOARD_STATUS 0x64
#define KEYBOARD_RESET  0xfe

#define PANIC_PANICKED     (1u << 0)
#define PANIC_CRASH_LOADED (1u << 1) /* a crash kernel takes over: nothing for us to do */

static struct {
	_Atomic uint16_t enable, control;
} power;

static void put(void *data, unsigned int size, uint32_t value)
{
	memcpy(data, &value, size);
}

static uint32_t get(const void *data, unsigned int size)
{
	uint32_t value = 0;

	memcpy(&value, data, size);
	return value;
}

static void event_read(uint16_t port, void *data, unsigned int size)
{
	uint32_t both = (uint32_t)atomic_load(&power.enable) << 16; /* status: nothing happened */

	put(data, size, both >> 8 * (port - POWER_PM1_EVENT));
}

static void event_write(uint16_t port, const void *data, unsigned int size)
{
	if (port == POWER_PM1_EVENT + 2)
		atomic_store(&power.enable, (uint16_t)get(data, size));
}

static void control_read(uint16_t port, void *data, unsigned int size)
{
	put(data, size,
	    (uint32_t)(atomic_load(&power.control) | CONTROL_SCI_ENABLE) >>
		    8 * (port - POWER_PM1_CONTROL));
}

static void control_write(uint16_t port, const void *data, unsigned int size)
{
	uint32_t value = get(data, size);

	if (port != POWER_PM1_CONTROL || size == 1)
		return;
	atomic_store(&power.control, (uint16_t)(value & CONTROL_WRITABLE));
	if (value & CONTROL_SLEEP && CONTROL_SLEEP_TYPE(value) == POWER_SLEEP_OFF)
		machine_request(MACHINE_POWER_OFF);
}

static void reset_write(uint16_t port, const void *data, unsigned int size)
{
	if (get(data, size) & RESET_CPU)
		machine_request(MACHINE_RESET);
}

/* "Ready to take a command": there is no keyboard, but kernels wait for this before they pulse. */
static void keyboard_read(uint16_t port, void *data, unsigned int size)
{
	put(data, size, 0);
}

static void keyboard_write(uint16_t port, const void *data, unsigned int size)
{
	if (size == 1 && get(data, size) == KEYBOARD_RESET)
		machine_request(MACHINE_RESET);
}

static void panic_read(uint16_t port, void *data, unsigned int size)
{
	put(data, size, PANIC_PANICKED | PANIC_CRASH_LOADED);
}

static void panic_write(uint16_t port, const void *data, unsigned int size)
{
	if (get(data, size) & PANIC_PANICKED)
		machine_request(MACHINE_PANIC);
}

void power_reset(void)
{
	atomic_store(&power.enable, 0);
	atomic_store(&power.control, 0);
}

static const struct port_range ranges[] = {
	{"ACPI PM1 event", POWER_PM1_EVENT, 4, event_read, event_write},
	{"ACPI PM1 control", POWER_PM1_CONTROL, 2, control_read, control_write},
	{"reset control", POWER_RESET, 1, NULL, reset_write},
	{"keyboard controller", KEYBOARD_STATUS, 1, keyboard_read, keyboard_write},
	{"pvpanic", POWER_PANIC, 1, panic_read, panic_write},
};

int power_open(void)
{
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		int result = bus_add_ports(&ranges[i]);

		if (result < 0)
			return result;
	}
	power_reset();
	return 0;
}
