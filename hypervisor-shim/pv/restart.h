/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What has to be agreed with all back-ends, and so may wait for them: a guest that starts anew, and
 * another version of its grant table.
 *
 * A guest starts anew in three ways. PLATFORM_OP_RESET: a module comes or goes, the machine runs on.
 * SUSPEND: the module stays, its ports and grants go. A reset of the machine: nothing that was there
 * counts any more. In all of them the ports are closed first, so that nothing interrupts; then
 * back-ends are told, and have stopped; then grants are cleared, but those that are in use still: a
 * back-end that is late, or hung up and lives, may have requests in flight.
 *
 * One of these at a time; pv.lock is held by the caller, and is released while they wait.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_RESTART_H
#define PVKIT_HYPERVISOR_SHIM_PV_RESTART_H

#include <stdbool.h>
#include <stdint.h>

/* False: another one is under way. */
bool restart_begin(void);
void restart_end(void);

/* -EBUSY: grants are in use, and stay; or @give_up said true, which is asked from time to time. */
int restart_guest(bool (*give_up)(void));
/*
 * No vCPU runs, and the guest that comes knows nothing: no grant is spared. But if machine_is_ended()
 * meanwhile: then this returns soon, half done.
 */
void restart_machine(void);
/*
 * The whole of a change to @version, without restart_begin(). -EBUSY: a grant is in use, another one
 * is under way, or as above; -ERANGE: as grant_table_switch().
 */
int restart_grants(uint32_t version, bool (*give_up)(void));
/* Back-ends are being told a table without references: so must be one that attaches now. */
bool restart_grants_closed(void);

#endif
