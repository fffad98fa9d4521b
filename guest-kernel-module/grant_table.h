/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The grant table, as pvkit.ko itself sees it; what drivers see is in pvkit.h.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_GRANT_TABLE_H
#define PVKIT_GUEST_KERNEL_MODULE_GRANT_TABLE_H

#include <linux/types.h>

struct pvkit_platform;
struct seq_file;

/* Entries that somebody still uses, from a life before, are never given out. */
int pvkit_grants_start(struct pvkit_platform *platform);
/*
 * @forgotten: the platform has taken all grants back, so pages that waited for that are free. Else
 * they, and nothing but they, are lost, since a back-end may write into them for ever.
 */
void pvkit_grants_stop(bool forgotten);
/* All grants are gone, by a suspend: pages that waited for that are free. */
void pvkit_grants_forgotten(void);

struct pvkit_grants_count {
	unsigned int total; /* that drivers may have */
	unsigned int reserved; /* of these, that drivers have, or that wait */
	unsigned int given; /* entries that are valid at this moment */
	unsigned int used; /* of these, with a use flag */
	unsigned int waiting; /* pvkit_grant_end_later() */
	unsigned int lost; /* in use from a life before */
};

void pvkit_grants_count(struct pvkit_grants_count *count);
void pvkit_grants_show(struct seq_file *file);

#endif
