// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/pv.h"

struct pv pv = {.lock = PTHREAD_MUTEX_INITIALIZER};

int pv_state_open(const struct event_channel_ops *ops, unsigned int vcpus)
{
	int result = sealed_memory_open(&pv.shared, "pvkit-shared", PV_SHARED_BYTES);

	event_channels_init(&pv.channels, ops, PV_GUEST, PV_BACKEND, vcpus);
	if (!result)
		result = sealed_memory_open(&pv.use, "pvkit-grant-use",
					    GRANT_TABLE_GRANTS_MAX *
						    sizeof(struct attach_grant_use));
	if (result < 0) {
		pv_state_close();
		return result;
	}
	grant_table_init(&pv.grants, (uint8_t *)pv.shared.base + PV_GRANT_OFFSET,
			 (uint8_t *)pv.shared.base + PV_STATUS_OFFSET, pv.use.base);
	return 0;
}

void pv_state_close(void)
{
	sealed_memory_close(&pv.shared);
	sealed_memory_close(&pv.use);
}
