/* SPDX-License-Identifier: GPL-2.0 */
/* The daemon, and a client of it. */
#ifndef BENCH_SOCKET_H
#define BENCH_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "message.h"

struct daemon {
	pid_t pid;
	bool answers;
	char path[64];
};

void daemon_start(struct daemon *daemon, bool logs, bool answers);
void daemon_stop(struct daemon *daemon);
int daemon_connect(const struct daemon *daemon);
uint64_t daemon_pairs(const struct daemon *daemon, int fd, uint64_t device, uint64_t first,
		      unsigned int nr);

#endif /* BENCH_SOCKET_H */
