// SPDX-License-Identifier: GPL-2.0
#include "chain.h"

int other(int value)
{
	puts("other");
	return middle(value);
}

__attribute__((constructor)) static void constructed(void)
{
	puts("constructed");
	seen++;
}
