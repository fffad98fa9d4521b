/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A writer of ACPI machine language, as much of it as a DSDT of static devices takes. Names are
 * of four characters.
 *
 * A buffer that runs full remembers it: aml_length() answers 0 then, and callers check nothing
 * else.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_AML_H
#define PVKIT_HYPERVISOR_SHIM_AML_H

#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH_MAX 8

struct aml {
	uint8_t *data;
	size_t length, room;
	size_t open[AML_DEPTH_MAX]; /* where the lengths of the open blocks stand */
	unsigned int depth;
	int full;
};

void aml_start(struct aml *aml, void *data, size_t room);
size_t aml_length(const struct aml *aml);

/* Blocks: each begin has its aml_end(). */
void aml_scope(struct aml *aml, const char *name); /* "_SB_", at the root */
void aml_device(struct aml *aml, const char *name);
void aml_package(struct aml *aml, uint8_t elements);
void aml_end(struct aml *aml);

/* Name (name, …): what follows is the value. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *value);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0501" */

/* A resource template: a buffer of descriptors. */
void aml_resources(struct aml *aml);
void aml_resources_end(struct aml *aml);
void aml_port(struct aml *aml, uint16_t first, uint8_t count);
void aml_irq(struct aml *aml, unsigned int irq); /* edge, active high, exclusive */
void aml_memory32(struct aml *aml, uint32_t start, uint32_t size);
/* Windows of a bridge: [first, last]. */
void aml_window_bus(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_port(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_memory32(struct aml *aml, uint32_t first, uint32_t last);
void aml_window_memory64(struct aml *aml, uint64_t first, uint64_t last);

#endif
