/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_CLOCK_H
#define BUFFTRACK_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock_span;

/**
 * struct clock - how far a recording's clock is ahead of CLOCK_MONOTONIC
 * @spans: for each span of time of which anything is known, in the order of time
 */
struct clock {
	struct clock_span *spans;
	size_t nr;
};

void clock_learn(struct clock *clock, uint64_t recorded, uint64_t told);
bool clock_offset(const struct clock *clock, uint64_t time, int64_t *offset);
void clock_free(struct clock *clock);

#endif
