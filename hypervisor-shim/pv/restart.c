// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/restart.h"

#include <errno.h>
#include <string.h>

#include "abi/platform.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/pv.h"

static bool under_way;
static bool told_closed; /* back-ends know a table without references; nobody told them since */

bool restart_begin(void)
{
	if (under_way)
		return false;
	under_way = true;
	return true;
}

void restart_end(void)
{
	under_way = false;
}

static void clear_pending(void)
{
	struct platform_pending *pending = (void *)((uint8_t *)pv.shared.base + PV_PENDING_OFFSET);

	memset(pending->word, 0, EVENT_CHANNEL_PORTS / 8);
}

/* After a change of the version from @before. */
static bool tell_version(uint32_t before, bool (*give_up)(void))
{
	if (pv.grants.version == before && !told_closed)
		return true;
	told_closed = false;
	return attach_tell_grants(false, give_up);
}

int restart_guest(bool (*give_up)(void))
{
	uint32_t version = pv.grants.version;
	bool clear;

	event_channels_reset(&pv.channels);
	clear_pending();
	if (!attach_tell_reset(give_up))
		return -EBUSY;
	clear = grant_table_clear(&pv.grants);
	if (!tell_version(version, give_up))
		return -EBUSY;
	return clear ? 0 : -EBUSY;
}

/*
 * A storage that hangs may keep a process that was killed; nobody but the user knows for how long.
 * Where he ends the machine, all stays as it is: no guest comes after this one.
 */
void restart_machine(void)
{
	uint32_t version = pv.grants.version;

	event_channels_reset(&pv.channels);
	clear_pending();
	if (!attach_tell_reset(machine_is_ended) || !attach_end_absent(machine_is_ended))
		return;
	attach_forget_absent();
	grant_table_wipe(&pv.grants);
	tell_version(version, machine_is_ended);
}

/*
 * Entries of one version must not be read as the other's. So back-ends first get a table without a
 * single reference; once all have it, none can pin, and what is in use is known for sure.
 */
static int change_version(uint32_t version, bool (*give_up)(void))
{
	uint32_t before = pv.grants.version;
	int result;

	if (grant_table_in_use(&pv.grants))
		return -EBUSY;
	told_closed = true;
	if (!attach_tell_grants(true, give_up))
		return -EBUSY; /* the machine ends or is reset, which tells them anew */
	if (grant_table_in_use(&pv.grants))
		result = -EBUSY;
	else
		result = grant_table_switch(&pv.grants, version);
	if (!tell_version(before, give_up))
		result = -EBUSY;
	return result;
}

int restart_grants(uint32_t version, bool (*give_up)(void))
{
	int result;

	if (version == pv.grants.version)
		return 0;
	if (!restart_begin())
		return -EBUSY;
	result = change_version(version, give_up);
	restart_end();
	return result;
}

bool restart_grants_closed(void)
{
	return told_closed;
}
