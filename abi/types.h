/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Fixed-width types for the contract headers: the only thing outside abi/ that they include.
 */
#ifndef PVKIT_ABI_TYPES_H
#define PVKIT_ABI_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <stddef.h>
#include <stdint.h>
#endif

/* A layout assertion that means the same in C, C++ and the kernel. */
#ifdef __cplusplus
#define ABI_ASSERT(condition) static_assert(condition, #condition)
#else
#define ABI_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#endif
