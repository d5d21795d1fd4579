/* SPDX-License-Identifier: GPL-2.0 */
/* Functions that are inlined into one another, across files. */
#include <stdio.h>

extern volatile int seen;

static inline __attribute__((always_inline)) int inmost(int value)
{
	if (value > 3)
		printf("%d\n", value);
	return value + seen;
}

static inline __attribute__((always_inline)) int middle(int value)
{
	return inmost(value) + inmost(value + 1);
}

int other(int value);
