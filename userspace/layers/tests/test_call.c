// SPDX-License-Identifier: GPL-2.0
/* The table's code in the way of a call: all that is passed comes through, and what is told. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/table.h"

/* In place of common/: what is reported is kept to be looked at. */
__thread unsigned int layer_depth;
static uint64_t began, ended, undone, size_seen;
static bool withhold;

void layer_alloc(uint32_t space, uint64_t handle, uint64_t device, uint64_t size, uint64_t tag,
		 uint64_t parent)
{
	(void)space;
	(void)device;
	(void)tag;
	(void)parent;
	began = handle;
	size_seen = size;
}

bool layer_retain(uint32_t space, uint64_t handle)
{
	(void)space;
	(void)handle;
	return true;
}

void layer_unretain(uint32_t space, uint64_t handle)
{
	(void)space;
	(void)handle;
}

void layer_free_begin(struct layer_free *what, uint32_t space, uint64_t handle)
{
	(void)space;
	what->reported = true;
	what->withheld = withhold;
	ended = handle;
}

void layer_free_end(struct layer_free *what, bool freed)
{
	(void)what;
	undone += !freed;
}

void layer_reset(uint64_t device, uint64_t tag, unsigned int flags)
{
	(void)device;
	(void)tag;
	(void)flags;
}

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

static double many(void **out, long b, long c, long d, long e, long f, long g, long h, double x,
		   double y, int i, float z)
{
	*out = (void *)0x1234;
	return b + 10.0 * c + 100.0 * d + 1000.0 * e + 10000.0 * f + 1e5 * g + 1e6 * h + x + y +
	       1e7 * i + z;
}

static long variadic(int nr, ...)
{
	va_list args;
	double sum = 0;

	va_start(args, nr);
	while (nr--)
		sum += va_arg(args, double);
	va_end(args);
	return (long)sum;
}

static int freed_with;
static int give_back(void *at)
{
	(void)at;
	return freed_with;
}

static void *stand_in(struct table_rule *rule, uint64_t real)
{
	rule->real = real;
	return table_make_trampoline(rule);
}

int main(void)
{
	struct table_rule alloc = { .kind = TABLE_ALLOC,
				    .pointer = { TABLE_AT_ARG, 0, 0, 0 },
				    .size = { TABLE_PRODUCT, 1, 2, 0 } };
	struct table_rule end = { .kind = TABLE_END, .device = { TABLE_NUMBER, 0, 0, 0 } };
	struct table_rule release = { .kind = TABLE_FREE,
				      .pointer = { TABLE_ARG, 0, 0, 0 },
				      .success = TABLE_EQUAL,
				      .result = 0 };
	double (*call_many)(void **, long, long, long, long, long, long, long, double, double, int,
			    float) = stand_in(&alloc, (uintptr_t)many);
	long (*call_variadic)(int, ...) = stand_in(&end, (uintptr_t)variadic);
	int (*call_release)(void *) = stand_in(&release, (uintptr_t)give_back);
	void *out = NULL;

	if (!call_many) {
		puts("table: no trampolines on this machine: skipped");
		return 0;
	}
	CHECK(call_many(&out, 1, 2, 3, 4, 5, 6, 7, 0.5, 0.25, 8, 0.125F) == 87654321.875);
	CHECK(out == (void *)0x1234 && began == 0x1234 && size_seen == 2);
	CHECK(call_variadic(3, 1.0, 2.0, 4.0) == 7);
	CHECK(call_release((void *)0x99) == 0 && ended == 0x99 && !undone);
	freed_with = 5;
	CHECK(call_release((void *)0x98) == 5 && undone == 1);
	withhold = true;
	CHECK(call_release((void *)0x97) == 0 && ended == 0x97 && undone == 1);
	/* What the runtime calls of itself is not the program's. */
	withhold = false;
	layer_depth = 1;
	CHECK(call_release((void *)0x96) == 5 && ended == 0x97 && layer_depth == 1);
	puts("table: calls: ok");
	return 0;
}
