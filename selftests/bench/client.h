/* SPDX-License-Identifier: GPL-2.0 */
/* Reports to /dev/bufftrack, as a runtime without a library makes them. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <linux/bufftrack.h>
#include <stdbool.h>
#include <stddef.h>

#define BATCH 64
#define SIZE 8192

int open_client(void);
struct bufftrack_op key(__u64 device, __u64 index);
void call(int fd, unsigned long command, struct bufftrack_op *op, enum bufftrack_verdict verdict);
void submit(int fd, struct bufftrack_op *ops, unsigned int nr);
void to_alloc(struct bufftrack_op *op);
void to_free(struct bufftrack_op *op);
void fill(int fd, __u64 device, __u64 first, __u64 nr);
void drain(int fd, __u64 device, __u64 first, __u64 nr);

#endif /* BENCH_CLIENT_H */
