// SPDX-License-Identifier: GPL-2.0
/* What lies at an address, and next to it. */
#include <inttypes.h>
#include <stdio.h>

#include "abi/around.h"
#include "util/util.h"

static unsigned int tests, failed;

static void expect(const char *name, bool right)
{
	tests++;
	printf("%sok %u - around: %s\n", right ? "" : "not ", tests, name);
	failed += !right;
}

static struct bufftrack_life life_at(uint64_t device, uint32_t space, uint64_t buffer,
				     uint64_t size)
{
	return (struct bufftrack_life){
		.device = device,
		.space = space,
		.buffer = buffer,
		.size = size,
		.state = BUFFTRACK_STATE_LIVE,
	};
}

static void add(struct around *around, uint64_t device, uint32_t space, uint64_t buffer,
		uint64_t size)
{
	struct bufftrack_life life = life_at(device, space, buffer, size);

	around_add(around, &life);
}

static void add_ended(struct around *around, uint64_t buffer, uint64_t size, uint64_t ended)
{
	struct bufftrack_life life = life_at(1, 1, buffer, size);

	life.state = BUFFTRACK_STATE_FREED;
	life.end.time = ended;
	around_add(around, &life);
}

static void add_private(struct around *around, uint64_t client, uint64_t buffer)
{
	struct bufftrack_life life = life_at(1, 1, buffer, 16);

	life.flags = BUFFTRACK_LIFE_PRIVATE;
	life.alloc.client = client;
	around_add(around, &life);
}

static void test_covers(void)
{
	struct bufftrack_life life = life_at(1, 1, 0x1000, 0x100);
	struct bufftrack_life empty = life_at(1, 1, 0x1000, 0);
	struct bufftrack_life highest = life_at(1, 1, UINT64_MAX - 0xff, 0x100);
	struct bufftrack_life beyond = life_at(1, 1, UINT64_MAX - 0xf, 0x100);

	expect("its first byte", around_covers(&life, 0x1000));
	expect("its last byte", around_covers(&life, 0x10ff));
	expect("not the one behind it", !around_covers(&life, 0x1100));
	expect("not the one before it", !around_covers(&life, 0xfff));
	expect("without bytes its address", around_covers(&empty, 0x1000));
	expect("without bytes no other", !around_covers(&empty, 0x1001));
	expect("the last byte there is", around_covers(&highest, UINT64_MAX));
	expect("it does not go on at 0", !around_covers(&beyond, 0));
}

static void test_neighbours(void)
{
	struct around around = { .address = 0x2010 };
	struct bufftrack_life here = life_at(1, 1, 0x2000, 0x100);
	struct bufftrack_life there = life_at(2, 1, 0, 0);
	const struct around_place *place;

	add(&around, 1, 1, 0x1000, 0x100);
	add(&around, 1, 1, 0x1800, 0x100);
	add(&around, 1, 2, 0x1f00, 0x100);
	around_add(&around, &here);
	add(&around, 1, 1, 0x4000, 0x100);
	add(&around, 1, 1, 0x3000, 0x100);
	add_ended(&around, 0x2800, 0x100, 5);
	add_private(&around, 7, 0x2020);
	add(&around, 2, 1, 0x2020, 0x100);

	place = around_place_of(&around, &here);
	expect("the nearest below", place && place->has_below && place->below.buffer == 0x1800);
	expect("the nearest above, not what has ended, nor a PRIVATE client's",
	       place && place->has_above && place->above.buffer == 0x3000);
	place = around_place_of(&around, &there);
	expect("another device's",
	       place && !place->has_below && place->has_above && place->above.buffer == 0x2020);
	expect("four spaces", around.nr_places == 4);
	expect("one life", around.nr == 1 && around.nr_live == 1);
	there.device = 3;
	expect("no such device", !around_place_of(&around, &there));
	around_free(&around);
}

static void test_order(void)
{
	struct around around = { .address = 0x2010 };

	add_ended(&around, 0x2000, 0x100, 5);
	add_ended(&around, 0x1000, 0x8000, 9);
	add_ended(&around, 0x2008, 0x100, 7);
	add(&around, 1, 2, 0x2000, 0x20);
	add(&around, 1, 1, 0x2000, 0x20);
	around_sort(&around);
	expect("live ones are counted", around.nr == 5 && around.nr_live == 2);
	expect("and first", around.lives[0].space == 1 && around.lives[1].space == 2);
	expect("then what ended last", around.lives[2].buffer == 0x1000);
	expect("then what ended before", around.lives[3].buffer == 0x2008);
	expect("the first that ended last", around.lives[4].buffer == 0x2000);
	around_free(&around);
}

int main(void)
{
	test_covers();
	test_neighbours();
	test_order();
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
