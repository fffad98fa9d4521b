/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Ways to switch off and to reset, and how a guest tells of its panic.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_POWER_H
#define PVKIT_HYPERVISOR_SHIM_POWER_H

#define POWER_PM1_EVENT   0x600 /* status, enable */
#define POWER_PM1_CONTROL 0x604
#define POWER_SLEEP_OFF   5 /* SLP_TYP of S5, as _S5 tells */
#define POWER_RESET       0xcf9
#define POWER_RESET_VALUE 6
#define POWER_PANIC       0x505 /* pvpanic */

int power_open(void);
void power_reset(void);

#endif
