/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The in-kernel interrupt controllers and the table that routes GSIs to them or to messages. What
 * devices use of it stands in vm.h.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_IRQ_H
#define PVKIT_HYPERVISOR_SHIM_IRQ_H

#define IRQ_TIMER        0
#define IRQ_TIMER_GSI    2 /* the PIT's pin at the I/O APIC: MADT tells the guest */
#define IRQ_COM1         4
#define IRQ_SCI          9
#define IRQ_PCI_FIRST    16 /* INTx of PCI: pins of the I/O APIC that nothing else uses */
#define IRQ_PCI_COUNT    8
#define IRQ_IOAPIC_PINS  24
#define IRQ_IOAPIC_START 0xfec00000u
#define IRQ_LAPIC_START  0xfee00000u

int irq_open(void); /* 0 or -errno after a line on standard error */
void irq_close(void);
int irq_reset(void); /* as after irq_open(); routes of messages stay */

#endif
