// SPDX-License-Identifier: GPL-2.0
/* Programs on the pool of pool.c, for the table's layer. */
#include <stdio.h>
#include <string.h>

void *pool_take(unsigned long size);
int pool_give(void *block);
void pool_busy(int is_so);

#define NOINLINE __attribute__((noinline, noclone))

NOINLINE static void *take(void)
{
	void *block = pool_take(64); /* at take */

	__asm__ volatile("" ::: "memory");
	return block;
}

NOINLINE static int give(void *block)
{
	int err = pool_give(block); /* at give */

	__asm__ volatile("" ::: "memory");
	return err;
}

NOINLINE static int give_again(void *block)
{
	int err = pool_give(block); /* at give_again */

	__asm__ volatile("" ::: "memory");
	return err;
}

int main(int argc, char **argv)
{
	void *block = take();

	if (argc == 2 && !strcmp(argv[1], "twice")) {
		give(block);
		give_again(block);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "refused")) {
		/* What the pool refuses it has not freed; what fails is no allocation. */
		pool_busy(1);
		give(block);
		pool_busy(0);
		pool_take(1000);
		return give(block);
	}
	fprintf(stderr, "usage: table twice|refused\n");
	return 2;
}
