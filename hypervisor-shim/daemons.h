/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The back-end daemons that the shim starts for its devices.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_DAEMONS_H
#define PVKIT_HYPERVISOR_SHIM_DAEMONS_H

#define DAEMONS_ARGUMENTS_MAX 24
#define DAEMON_SOCKET         3 /* the descriptor at which a daemon finds its socket */

/* 0 or -errno after a line. From the main thread, as the others here: a daemon dies with it. */
int daemons_open(void);

/*
 * Starts @program, found beside our own executable, else by PATH. @arguments end with NULL,
 * without the program's name. @device is for messages and lives for ever. The answer is our end
 * of a connected socket, or -errno after a line.
 */
int daemons_start(const char *program, const char *device, const char *const *arguments);
/*
 * The same with a socket that keeps messages apart (SOCK_SEQPACKET); @pidfd: one of the process, the
 * caller's own.
 */
int daemons_start_attached(const char *program, const char *device, const char *const *arguments,
			   int *pidfd);

/* Readable when a daemon ended. */
int daemons_fd(void);
/* Says which ones ended and how. Returns how many. */
unsigned int daemons_reap(void);

/* Asks all to end, waits some seconds, and kills the rest. */
void daemons_close(void);

#endif
