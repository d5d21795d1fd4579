/* SPDX-License-Identifier: GPL-2.0 */
/* The rows of the benchmark, and what they are made with. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
	uint64_t begun;
	uint64_t spent; /* ns; with --icount, instructions */
	uint64_t ops;
	char why[256]; /* it could not be measured */
};

struct row {
	const char *name;
	bool (*measure)(const struct row *row, struct sample *sample);
	unsigned int flags; /* the measuring function's own */
};

/* measure_single(), measure_batch(), measure_exit() */
#define ROW_FREE (1U << 0) /* the frees are counted, not the allocs */
#define ROW_FRESH (1U << 1) /* keys that nobody has seen */
#define ROW_EVICT (1U << 2) /* with as many tombstones as there may be */
#define ROW_FULL (1U << 3) /* beside 4,000,000 live buffers */
/* measure_double_free() */
#define ROW_TRACED (1U << 4)
/* measure_library() */
#define ROW_STACK (1U << 5)
/* measure_socket() */
#define ROW_LOGGED (1U << 6)
#define ROW_ANSWERED (1U << 7)
/* measure_opencl() */
#define ROW_HOST (1U << 8)
/* measure_unwind(): without any of them, by libbufftrack */
#define ROW_LIBGCC (1U << 9)
#define ROW_LIBUNWIND (1U << 10)
#define ROW_BACKTRACE (1U << 11)

/* clock.c */
uint64_t now(void);
void begin(struct sample *sample);
void end(struct sample *sample, uint64_t ops);
bool cannot(struct sample *sample, const char *format, ...) __attribute__((format(printf, 2, 3)));
void die(const char *what) __attribute__((noreturn));

/* registry.c */
bool measure_null(const struct row *row, struct sample *sample);
bool measure_single(const struct row *row, struct sample *sample);
bool measure_batch(const struct row *row, struct sample *sample);
bool measure_double_free(const struct row *row, struct sample *sample);
bool measure_exit(const struct row *row, struct sample *sample);

/* one file each */
bool measure_library(const struct row *row, struct sample *sample);
bool measure_socket(const struct row *row, struct sample *sample);
bool measure_uprobe(const struct row *row, struct sample *sample);
bool measure_user_events(const struct row *row, struct sample *sample);
bool measure_opencl(const struct row *row, struct sample *sample);
bool measure_unwind(const struct row *row, struct sample *sample);

#endif /* BENCH_H */
