/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "tests/unit/kernel/linux/netdevice.h"
