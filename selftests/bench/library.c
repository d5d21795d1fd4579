// SPDX-License-Identifier: GPL-2.0
/* The same pairs through libbufftrack, with and without a stack. */
#include <bufftrack.h>
#include <stddef.h>

#include "bench.h"

#define DEVICE 4
#define KEYS 1024
#define FRAMES 16

static void pairs(struct bufftrack *bt, struct bufftrack_buffer *buffers)
{
	unsigned int i;

	for (i = 0; i < KEYS; i++)
		if (bufftrack_alloc(bt, &buffers[i], NULL))
			die("bufftrack_alloc");
	for (i = 0; i < KEYS; i++)
		if (bufftrack_free(bt, &buffers[i], NULL))
			die("bufftrack_free");
}

/* Deeper by one frame each, so that there are enough of them to collect. */
static __attribute__((noinline)) void deeper(unsigned int frames, struct bufftrack *bt,
					     struct bufftrack_buffer *buffers)
{
	if (frames)
		deeper(frames - 1, bt, buffers);
	else
		pairs(bt, buffers);
	/* Not a tail call */
	__asm__ volatile("");
}

bool measure_library(const struct row *row, struct sample *sample)
{
	unsigned int frames = row->flags & ROW_STACK ? FRAMES : 0;
	unsigned int rounds = frames ? 4 : 32;
	static struct bufftrack_buffer buffers[KEYS];
	struct bufftrack *bt = bufftrack_open("bench", 0);
	unsigned int i;

	if (!bt)
		die("bufftrack_open");
	if (bufftrack_set_stack_depth(bt, frames) != frames)
		return cannot(sample, "BUFFTRACK_STACK is set, or this module keeps no stacks");
	for (i = 0; i < KEYS; i++)
		buffers[i] = (struct bufftrack_buffer){
			.device = DEVICE,
			.space = 1,
			.buffer = 0x20000000 + i * 8192,
			.size = 8192,
		};
	deeper(FRAMES, bt, buffers);
	begin(sample);
	for (i = 0; i < rounds; i++)
		deeper(FRAMES, bt, buffers);
	end(sample, (uint64_t)rounds * KEYS * 2);
	bufftrack_close(bt);
	return true;
}
