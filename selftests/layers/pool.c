// SPDX-License-Identifier: GPL-2.0
/* A runtime that nobody knows: blocks of a pool, which it hands out again. */
#include <stddef.h>

static char blocks[4][256];
static int taken[4];
static int busy;

void *pool_take(size_t size)
{
	int i;

	for (i = 0; size <= sizeof(blocks[0]) && i < 4; i++)
		if (!taken[i]) {
			taken[i] = 1;
			return blocks[i];
		}
	return NULL;
}

/* Frees nothing, and says so, while it is busy. */
int pool_give(void *block)
{
	if (busy)
		return -1;
	taken[((char *)block - blocks[0]) / sizeof(blocks[0])] = 0;
	return 0;
}

void pool_busy(int is_so)
{
	busy = is_so;
}
