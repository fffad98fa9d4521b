/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's grant table (abi/grant_table.h), as far as it is the shim's: which version is in
 * force, and what is in use.
 *
 * The entries lie in the shared BAR; back-ends check and pin them by themselves, and count their pins
 * in the use words (abi/attach.h). So the shim looks at a grant only when something ends: the guest
 * starts anew, wants another version, or the process of a back-end has ended. What that had pinned
 * stands in its ledger.
 *
 * All words here are written by back-ends too, which may be hostile: they are numbers that are read
 * once, and no index or length comes from them. A back-end that writes nonsense keeps pages from the
 * guest, or gives the guest back a page that only that back-end uses.
 *
 * The caller's lock covers all of it; back-ends have no lock but the one in each use word.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_GRANT_TABLE_H
#define PVKIT_HYPERVISOR_SHIM_PV_GRANT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/attach.h"
#include "abi/grant_table.h"

#define GRANT_TABLE_FRAMES        256 /* 131072 grants of version 1, 65536 of version 2 */
#define GRANT_TABLE_STATUS_FRAMES (GRANT_TABLE_FRAMES * GRANT_V2_PER_FRAME / GRANT_STATUS_PER_FRAME)
#define GRANT_TABLE_GRANTS_MAX    (GRANT_TABLE_FRAMES * GRANT_V1_PER_FRAME)

/* The shim's own number as a holder of locks; back-ends get the ones below. */
#define GRANT_TABLE_OWNER ATTACH_OWNER_MAX

struct grant_table {
	uint32_t version;
	uint32_t frames; /* that the guest asked for; all of them are there from the start */
	uint8_t *entries; /* GRANT_TABLE_FRAMES pages */
	grant_status *status; /* GRANT_TABLE_STATUS_FRAMES pages */
	struct attach_grant_use *use; /* GRANT_TABLE_GRANTS_MAX */
};

void grant_table_init(struct grant_table *table, void *entries, void *status, void *use);
/* References in the version that is in force. */
uint32_t grant_table_size(const struct grant_table *table);
uint32_t grant_table_status_frames(const struct grant_table *table);

/* Whether any is, but for the reserved ones: those outlive a change of the version. */
bool grant_table_in_use(const struct grant_table *table);
/*
 * All entries that are not in use become zero; version 1 if none was in use. False: some were, and
 * stay as they are.
 */
bool grant_table_clear(struct grant_table *table);
/* The same whatever the counts say: no back-end knows this guest's memory as it was. */
void grant_table_wipe(struct grant_table *table);
/*
 * Nothing but reserved entries is in use, and no back-end looks at the table: @version in force, the
 * reserved entries say the same as before in the new layout, all others become zero. -ERANGE: one of
 * them cannot be said in version 1; nothing has changed then.
 */
int grant_table_switch(struct grant_table *table, uint32_t version);

/* Back-end @owner has ended: takes from it the locks that it held. */
void grant_table_break_locks(struct grant_table *table, uint16_t owner);
/* Its pins are over: takes them off the counts; empties the ledger. */
void grant_table_drop(struct grant_table *table, struct attach_grant_ledger *ledger);
/* No back-end can pin or unpin: the counts are what these ledgers say, and no more. */
void grant_table_recount(struct grant_table *table, struct attach_grant_ledger *const *ledgers,
			 unsigned int count);

#endif
