// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What the toolstack leaves in the store for a new guest, whatever the old one did there.
 *
 *	40	a guest that filled its quota, or removed its own directory, and was reset
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor-shim/pv/toolstack.h"
#include "store_speak.h"

#define HOME "/local/domain/1"
#define BACK "/local/domain/0/backend"

static struct speaker backend, guest;

static int setup(void **state)
{
	static const struct toolstack_device disk = {.name = "vbd/51712"};
	static const struct toolstack_device nic = {.name = "vif/0", .mac = {2, 0, 0, 0, 0, 1}};

	if (speakers_open(&backend, &guest) < 0)
		return -1;
	assert_int_equal(toolstack_serve_linux(2), 0);
	assert_int_equal(toolstack_add(&disk), 0);
	assert_int_equal(toolstack_add(&nic), 0);
	return 0;
}

static int teardown(void **state)
{
	speakers_close(&backend, &guest);
	toolstack_close();
	return 0;
}

/* What a front-end does first, and what a guest must not. */
static void assert_new_guest_works(void)
{
	asked(&guest, STORE_GET_PERMISSIONS, 0, HOME, "n1");
	asked(&guest, STORE_DIRECTORY, 0, "device", "vbd\0vif");
	asked(&guest, STORE_DIRECTORY, 0, "device/vbd", "51712");
	reads(&guest, 0, "device/vbd/51712/state", "1");
	reads(&guest, 0, "device/vbd/51712/backend", BACK "/vbd/1/51712");
	reads(&guest, 0, "device/vif/0/mac", "02:00:00:00:00:01");
	writes(&guest, 0, "device/vbd/51712/ring-ref", "8");
	writes(&guest, 0, "device/vif/0/tx-ring-ref", "9");
	refused(&guest, STORE_MKDIR, 0, "device/vbd/51728", STORE_EACCES);
	asked_bytes(&guest, STORE_DIRECTORY, 0, "data", sizeof("data"), "", 0);
	writes(&guest, 0, "control/feature-reboot", "1");
	reads(&guest, 0, "cpu/1/availability", "online");
	refused(&guest, STORE_WRITE, 0, "cpu/1/availability\0offline", STORE_EACCES);
}

static void quota_is_not_inherited(void **state)
{
	struct message answer;
	char path[64];
	unsigned int i, size;

	for (i = 0; i <= STORE_QUOTA_NODES; i++) {
		size = (unsigned int)snprintf(path, sizeof(path), "data/%u/%u", i % 50, i) + 1;
		ask_bytes(&guest, STORE_MKDIR, 0, path, size, &answer);
		if (answer.header.type == STORE_ERROR)
			break;
	}
	assert_string_equal(answer.payload, STORE_ENOSPC);
	refused(&guest, STORE_WRITE, 0, "device/vbd/51712/ring-ref\0008", STORE_ENOSPC);
	toolstack_restarted();
	assert_new_guest_works();
}

static void home_is_made_anew(void **state)
{
	ok(&guest, STORE_RM, 0, HOME);
	refused(&guest, STORE_DIRECTORY, 0, "device", STORE_EACCES);
	toolstack_restarted();
	assert_new_guest_works();
}

/* A back-end sees a front-end that begins, never that there is none. */
static void back_ends_see_a_beginning(void **state)
{
	writes(&guest, 0, "device/vbd/51712/state", "4");
	ok(&backend, STORE_WATCH, 0, HOME "/device/vbd/51712/state\0w");
	event(&backend, HOME "/device/vbd/51712/state", "w");
	toolstack_restarted();
	event(&backend, HOME "/device/vbd/51712/state", "w");
	reads(&backend, 0, HOME "/device/vbd/51712/state", "1");
	reads(&backend, 0, BACK "/vbd/1/51712/state", "1");
	assert_new_guest_works();
}

/* By whoever wrote its directories, as Xen's own toolstack would. */
static void plugged_devices_stay(void **state)
{
	writes(&backend, 0, BACK "/vif/1/7/frontend", HOME "/device/vif/7");
	writes(&backend, 0, BACK "/vif/1/7/online", "1");
	writes(&backend, 0, HOME "/device/vif/7/mac", "02:00:00:00:00:0a");
	writes(&backend, 0, HOME "/device/vif/7/mtu", "9000");
	ok(&backend, STORE_SET_PERMISSIONS, 0, HOME "/device/vif/7\0n1\0r0");
	writes(&backend, 0, HOME "/device/vif/7/backend", BACK "/vif/1/7");
	writes(&backend, 0, BACK "/vbd/1/768/frontend", HOME "/device/vbd/768");
	/* Unplugged: its back-end removes both. */
	ok(&backend, STORE_RM, 0, BACK "/vif/1/0");
	ok(&backend, STORE_RM, 0, HOME "/device/vif/0");
	for (unsigned int i = 0; i < 2; i++) {
		writes(&guest, 0, "device/vif/7/tx-ring-ref", "8");
		writes(&guest, 0, "device/vif/7/state", "4");
		toolstack_restarted();
		asked(&guest, STORE_DIRECTORY, 0, "device/vif", "7");
		asked(&guest, STORE_DIRECTORY, 0, "device/vif/7",
		      "backend\0backend-id\0handle\0mac\0mtu\0state");
		asked(&guest, STORE_GET_PERMISSIONS, 0, "device/vif/7", "n1\0r0");
		reads(&guest, 0, "device/vif/7/backend", BACK "/vif/1/7");
		reads(&guest, 0, "device/vif/7/mac", "02:00:00:00:00:0a");
		reads(&guest, 0, "device/vif/7/mtu", "9000");
		reads(&guest, 0, "device/vif/7/state", "1");
		reads(&guest, 0, "device/vbd/768/virtual-device", "768");
		reads(&guest, 0, "device/vbd/51712/state", "1");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(quota_is_not_inherited, setup, teardown),
		cmocka_unit_test_setup_teardown(home_is_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(back_ends_see_a_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(plugged_devices_stay, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
