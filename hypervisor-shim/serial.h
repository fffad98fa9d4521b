/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A 16550A serial port, COM1.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_SERIAL_H
#define PVKIT_HYPERVISOR_SHIM_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#define SERIAL_PORT  0x3f8
#define SERIAL_PORTS 8

int serial_open(void);
void serial_reset(void);

/* From the console, in any thread. False: no room; console_input_room() tells when. */
bool serial_receive(uint8_t byte);
void serial_receive_break(void); /* SysRq, for a guest's console */
/* The console takes output again. */
void serial_output_room(void);

#endif
