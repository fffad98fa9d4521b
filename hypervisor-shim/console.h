/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the serial port is connected to: the terminal, a file, or nothing.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_CONSOLE_H
#define PVKIT_HYPERVISOR_SHIM_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether @where is one of "stdio", "file:PATH" and "none". */
bool console_known(const char *where);
/*
 * Opens @where, which is known; the terminal stays as it is. 0, or -errno after a line on standard
 * error.
 */
int console_open(const char *where);
/* Raw mode, where it is a terminal, and the threads. 0 or -errno after a line. */
int console_start(void);
/* Writes what is still there, for two seconds at the most, and gives the terminal back. */
void console_close(void);

/* From the serial port. False: full, serial_output_room() will be called. Never blocks. */
bool console_put(uint8_t byte);
/* The serial port can receive again. */
void console_input_room(void);

#endif
