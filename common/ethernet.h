/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Ethernet addresses that nobody chose.
 */
#ifndef PVKIT_COMMON_ETHERNET_H
#define PVKIT_COMMON_ETHERNET_H

#include <stdint.h>

/*
 * A locally administered address of this host's name and the two texts, the same each time. What tells
 * one guest's from another's that meet on a network must be in them.
 */
void ethernet_derive(uint8_t address[6], const char *first, const char *second);
/* A text for the above that is another one each time, for guests that nothing else tells apart. */
void ethernet_chance(char text[17]);

#endif
