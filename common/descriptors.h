/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef PVKIT_COMMON_DESCRIPTORS_H
#define PVKIT_COMMON_DESCRIPTORS_H

/*
 * As many as the hard limit allows: a port of a back-end takes two, and the usual soft limit is for
 * programs that select(). What cannot be raised stays; who needs more fails where it opens.
 */
void descriptors_raise_limit(void);

#endif
