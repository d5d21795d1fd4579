// SPDX-License-Identifier: GPL-2.0
/* The ledger's lives: what is live in each space, and the most that ever was. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ledger/lives.h"
#include "util/util.h"

static unsigned int tests, failed;
static struct lives lives;

static void expect(const char *name, uint32_t space, uint64_t live, uint64_t bytes, uint64_t peak)
{
	const struct lives_space *seen = lives_space(&lives, 4, space);
	bool right = seen->live == live && seen->bytes == bytes && seen->peak_bytes == peak;

	tests++;
	printf("%sok %u - lives: %s\n", right ? "" : "not ", tests, name);
	failed += !right;
	if (!right)
		printf("# seen %" PRIu64 " live, %" PRIu64 " bytes, peak %" PRIu64 "\n", seen->live,
		       seen->bytes, seen->peak_bytes);
}

static void begin(uint64_t generation, uint64_t device, uint32_t space, uint64_t size)
{
	lives_begin(&lives, &(struct life){
				    .generation = generation,
				    .device = device,
				    .space = space,
				    .size = size,
			    });
}

int main(void)
{
	struct life own = { .generation = 9, .device = 4, .space = 2, .size = 50 };
	const struct lives_space *changed;
	uint64_t generation;

	expect("nothing yet", 1, 0, 0, 0);
	begin(1, 4, 1, 100);
	begin(2, 4, 1, 30);
	begin(2, 4, 1, 30);
	expect("two, one of them said twice", 1, 2, 130, 130);
	lives_end(&lives, 1);
	lives_end(&lives, 1);
	lives_end(&lives, 77);
	expect("one has ended, and what never was", 1, 1, 30, 130);
	begin(3, 4, 1, 90);
	expect("the most stays", 1, 2, 120, 130);
	lives_set_live(&lives, &own, true);
	lives_set_live(&lives, &own, true);
	expect("one of another's keeping", 2, 1, 50, 50);
	lives_set_live(&lives, &own, false);
	expect("and its end", 2, 0, 0, 50);

	while (lives_changed(&lives))
		;
	begin(5, 4, 2, 1);
	changed = lives_changed(&lives);
	tests++;
	printf("%sok %u - lives: the space that has changed\n",
	       changed && changed->space == 2 && !lives_changed(&lives) ? "" : "not ", tests);
	failed += !changed || changed->space != 2;

	for (generation = 100; generation < 300; generation++)
		begin(generation, 5, 1, 1);
	lives_end_device(&lives, 5);
	expect("a reset of another device", 1, 2, 120, 130);
	lives_end_device(&lives, 4);
	expect("a reset of the device", 1, 0, 0, 130);
	tests++;
	printf("%sok %u - lives: nothing is left of the other one\n",
	       lives_space(&lives, 5, 1)->live ? "not " : "", tests);
	failed += lives_space(&lives, 5, 1)->live;
	begin(400, 4, 1, 10);
	lives_end_all(&lives);
	expect("the module is gone", 1, 0, 0, 130);
	begin(400, 4, 1, 10);
	expect("its numbers come anew", 1, 1, 10, 130);
	lives_free(&lives);
	printf("1..%u\n", tests);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
