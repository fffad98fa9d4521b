/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Event channels, as pvkit.ko itself sees them; what drivers see is in pvkit.h.
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_EVENT_CHANNEL_H
#define PVKIT_GUEST_KERNEL_MODULE_EVENT_CHANNEL_H

#include <linux/interrupt.h>
#include <linux/types.h>

struct pvkit_event;
struct pvkit_platform;
struct seq_file;

/* @platform has its vectors; the interrupt of vector 0 is taken here. */
int pvkit_events_start(struct pvkit_platform *platform);
/* All events are closed. */
void pvkit_events_stop(void);

/*
 * The platform closed all ports by itself, so events that are open name nothing any more: closing
 * them frees their interrupt only.
 */
void pvkit_events_forgotten(void);

/* An event for a port that exists already. pvkit_event_close() does not close such a port. */
int pvkit_event_attach(struct pvkit_event *event, u32 port, irq_handler_t handler, const char *name,
		       void *context);

void pvkit_events_show(struct seq_file *file);

#endif
