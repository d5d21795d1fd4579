/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lines to standard output that are never waited for: a thread of their own writes them.
 * Where the reader is too slow, lines are left out, and it is said how many.
 */
#ifndef BUFFTRACK_SERVE_OUTPUT_H
#define BUFFTRACK_SERVE_OUTPUT_H

#include <stdint.h>

struct output;

struct output *output_start(void);
void output_line(struct output *output, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t output_stop(struct output *output);

#endif
