/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * All that a vCPU remembers, to be read at power-on and put back at a reset.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_VCPU_STATE_H
#define PVKIT_HYPERVISOR_SHIM_VCPU_STATE_H

struct vcpu_state;

/* Reads it from vCPU descriptor @fd. NULL: errno. */
struct vcpu_state *vcpu_state_read(int fd);
/* 0 or -errno. */
int vcpu_state_write(int fd, const struct vcpu_state *state);
void vcpu_state_free(struct vcpu_state *state);

#endif
