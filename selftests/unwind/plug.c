// SPDX-License-Identifier: GPL-2.0
/*
 * A library that calls back. Built twice with another ROOM: the code is of the same length,
 * the frame is not.
 */
#include "plug.h"

#ifndef ROOM
#define ROOM 40
#endif

static volatile uint64_t sink;

__attribute__((visibility("default"), noinline)) void
plug_call(void (*function)(unsigned int depth, uint64_t seed), unsigned int depth, uint64_t seed)
{
	volatile uint64_t room[ROOM];

	room[0] = seed;
	function(depth, seed);
	sink = room[0];
}
