/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Ethernet addresses: chosen by the user, or by nobody.
 */
#ifndef PVKIT_COMMON_ETHERNET_H
#define PVKIT_COMMON_ETHERNET_H

#include <stddef.h>
#include <stdint.h>

/*
 * Of the form 52:54:00:12:34:56, and such that one station can have it. -1 with @reason set, and
 * @address as it was, where it is not.
 */
int ethernet_parse(uint8_t address[6], const char *text, char *reason, size_t size);
/*
 * A locally administered address of this host's name and the two texts, the same each time. What tells
 * one guest's from another's that meet on a network must be in them.
 */
void ethernet_derive(uint8_t address[6], const char *first, const char *second);
/* A text for the above that is another one each time, for guests that nothing else tells apart. */
void ethernet_chance(char text[17]);

#endif
