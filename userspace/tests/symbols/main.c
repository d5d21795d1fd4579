// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>

#include "chain.h"

volatile int seen;

static __attribute__((noinline)) int apart(int value)
{
	return middle(value) + other(value);
}

/* Its rare end becomes a part of its own, where the compiler splits functions. */
static __attribute__((noinline)) void rarely(int value)
{
	if (value > 100000) {
		puts("rare");
		printf("%d\n", middle(value));
		abort();
	}
	seen += value;
}

static __attribute__((noinline, noreturn)) void never_returns(void)
{
	puts("end");
	exit(0);
}

int main(int argc, char **argv)
{
	int total = 0;

	(void)argv;
	for (int i = 0; i < argc; i++) {
		total += apart(i);
		rarely(total);
	}
	if (total > 5)
		puts("more");
	never_returns();
}
