// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "bench.h"
#include "client.h"

int open_client(void)
{
	int fd = open("/dev/bufftrack", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/bufftrack");
	return fd;
}

/* The addresses of an allocator that begins somewhere and aligns. */
struct bufftrack_op key(__u64 device, __u64 index)
{
	return (struct bufftrack_op){
		.device = device,
		.space = 1,
		.buffer = 0x20000000 + index * SIZE,
		.size = SIZE,
	};
}

void to_alloc(struct bufftrack_op *op)
{
	op->token = 0;
}

/* With the token, as a runtime should that has one. */
void to_free(struct bufftrack_op *op)
{
	op->token = op->generation;
}

void call(int fd, unsigned long command, struct bufftrack_op *op, enum bufftrack_verdict verdict)
{
	if (ioctl(fd, command, op))
		die(command == BUFFTRACK_IOC_ALLOC ? "ALLOC" : "FREE");
	if (op->verdict != verdict) {
		fprintf(stderr, "bench: verdict %u, not %u\n", op->verdict, (unsigned int)verdict);
		exit(1);
	}
}

/* All must be well. */
void submit(int fd, struct bufftrack_op *ops, unsigned int nr)
{
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)ops,
		.nr = nr,
		.entry_size = sizeof(*ops),
	};

	if (ioctl(fd, BUFFTRACK_IOC_BATCH, &batch))
		die("BATCH");
	if (batch.done != nr || batch.bad) {
		fprintf(stderr, "bench: BATCH: %u of %u done, %u bad\n", batch.done, nr, batch.bad);
		exit(1);
	}
}

static void in_batches(int fd, unsigned int op, __u64 device, __u64 first, __u64 nr)
{
	struct bufftrack_op ops[BATCH];
	unsigned int i, some;

	for (; nr; nr -= some, first += some) {
		some = nr < BATCH ? nr : BATCH;
		for (i = 0; i < some; i++) {
			ops[i] = key(device, first + i);
			ops[i].op = op;
		}
		submit(fd, ops, some);
	}
}

/* Makes @nr buffers live, from number @first on. */
void fill(int fd, __u64 device, __u64 first, __u64 nr)
{
	in_batches(fd, BUFFTRACK_OP_ALLOC, device, first, nr);
}

/* Frees them. */
void drain(int fd, __u64 device, __u64 first, __u64 nr)
{
	in_batches(fd, BUFFTRACK_OP_FREE, device, first, nr);
}
