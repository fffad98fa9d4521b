// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A front-end's shadow.
 */
#include "ring/xen_shadow.h"

void xen_shadow_init(struct xen_shadow *shadow, struct xen_shadow_entry *entry, uint32_t size)
{
	uint32_t i;

	for (i = 0; i < size; i++) {
		entry[i].token = NULL;
		entry[i].operation = 0;
		entry[i].next = i + 1;
	}
	shadow->entry = entry;
	shadow->size = size;
	shadow->free_head = 0;
	shadow->free_count = size;
}
