// SPDX-License-Identifier: GPL-2.0
/* Is compiled without debug information: no line of a neighbour's is its own. */
#include <stdio.h>

__attribute__((constructor)) static void plain(void)
{
	puts("plain");
	puts("plain again");
}
