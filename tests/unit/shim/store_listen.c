// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A store for tests/system/06-store.t: listens at the path that it is given, until its standard
 * input ends. Each line there is something that a guest does, on its ring page: "write PATH VALUE",
 * "rm PATH"; each is answered by a line. No test by itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/log.h"
#include "store_speak.h"

static void answer_line(struct speaker *ring, uint32_t type, const char *path, const char *value)
{
	char payload[STORE_PAYLOAD_MAX];
	struct message answer;
	int size = snprintf(payload, sizeof(payload), "%s%c%s", path, 0, value);

	ask_bytes(ring, type, 0, payload, (size_t)size, &answer);
	printf("%s\n", answer.payload);
	fflush(stdout);
}

static void serve(void)
{
	char line[STORE_PAYLOAD_MAX], path[1024], value[1024];
	struct speaker ring;

	speaker_connect_ring(&ring);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "write %1023s %1023s", path, value) == 2)
			answer_line(&ring, STORE_WRITE, path, value);
		else if (sscanf(line, "rm %1023s", path) == 1)
			answer_line(&ring, STORE_RM, path, "");
		else
			printf("no such command\n");
	}
	pv_store_close();
	speaker_close(&ring);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		printf("1..0 # SKIP it is what tests/system/06-store.t talks to\n");
		return 0;
	}
	log_open("store_listen", false);
	if (pv_store_open(GUEST) < 0 || pv_store_listen(argv[1]) < 0)
		return 1;
	serve();
	return 0;
}
