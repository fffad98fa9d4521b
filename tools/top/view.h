/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The two ways to look: a table for people, JSON for programs.
 */
#ifndef PVKIT_TOOLS_TOP_VIEW_H
#define PVKIT_TOOLS_TOP_VIEW_H

#include <stdbool.h>

#include "tools/top/page.h"

/* @before: the reading before, or NULL. @live: redraw in place on a terminal. */
void table_print(const struct page *before, const struct page *now, bool live);
void table_begin(void);
void table_end(void);

/* One object on one line. */
void json_print(const struct page *before, const struct page *now);

#endif
