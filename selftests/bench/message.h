/* SPDX-License-Identifier: GPL-2.0 */
/* What a runtime and the daemon that the kernel module replaces say to each other. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stdint.h>

enum message_type {
	MESSAGE_ALLOC = 1,
	MESSAGE_FREE = 2,
	MESSAGE_QUERY = 3, /* how many buffers are known? The only one with an answer */
};

struct message {
	uint32_t type;
	uint32_t pid;
	uint64_t device;
	uint64_t buffer;
	uint64_t size;
	uint32_t space;
	uint32_t refs;
	uint64_t time;
	uint64_t known;
	uint64_t answers[7];
};

#endif /* BENCH_MESSAGE_H */
