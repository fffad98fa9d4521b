/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Marks: NOPs that say to plugin.c from where to where to count. Nobody else has such displacements.
 */
#ifndef PVKIT_BENCH_INSTRUCTIONS_MARKS_H
#define PVKIT_BENCH_INSTRUCTIONS_MARKS_H

#define MARK_BEGIN 0x706b0001
#define MARK_END   0x706b0002

#define MARKS_TEXT_OF(x) #x
#define MARKS_TEXT(x)    MARKS_TEXT_OF(x)
#define MARK(which)      __asm__ volatile("nopl " MARKS_TEXT(which) "(%%rax)" ::: "memory")

#endif
