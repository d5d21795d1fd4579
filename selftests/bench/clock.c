// SPDX-License-Identifier: GPL-2.0
/* The clock, and how a measurement ends that does not come off. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void begin(struct sample *sample)
{
	sample->begun = now();
}

void end(struct sample *sample, uint64_t ops)
{
	sample->spent += now() - sample->begun;
	sample->ops += ops;
}

/* For what this kernel or machine lacks. Returns false. */
bool cannot(struct sample *sample, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sample->why, sizeof(sample->why), format, args);
	va_end(args);
	return false;
}

/* For what ought to work. */
void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}
