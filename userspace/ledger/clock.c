// SPDX-License-Identifier: GPL-2.0
/*
 * The distance of a recording's clock from CLOCK_MONOTONIC. The clocks drift apart, so
 * it is kept by spans of time.
 */
#include <stdlib.h>
#include <string.h>

#include "ledger/clock.h"
#include "util/util.h"

/* The clocks are compared anew after so long: a quarter of a second. */
#define SPAN_BITS 28

/* In a span of time, the least distance of the clocks that was seen. */
struct clock_span {
	uint64_t nr;
	int64_t offset;
};

/* The first span that is not before @nr. */
static size_t find_span(const struct clock *clock, uint64_t nr)
{
	size_t first = 0, last = clock->nr, middle;

	while (first < last) {
		middle = (first + last) / 2;
		if (clock->spans[middle].nr < nr)
			first = middle + 1;
		else
			last = middle;
	}
	return first;
}

/**
 * clock_learn - one event's time by both clocks
 * @clock: the clock
 * @recorded: by the recording's clock; 0 where it was not recorded
 * @told: by CLOCK_MONOTONIC, taken just before; 0 where the kernel told none
 */
void clock_learn(struct clock *clock, uint64_t recorded, uint64_t told)
{
	const struct clock_span span = {
		.nr = recorded >> SPAN_BITS,
		.offset = (int64_t)(recorded - told),
	};
	size_t i;

	if (!recorded || !told)
		return;
	i = find_span(clock, span.nr);
	if (i < clock->nr && clock->spans[i].nr == span.nr) {
		if (span.offset < clock->spans[i].offset)
			clock->spans[i].offset = span.offset;
		return;
	}
	clock->spans = xrealloc(clock->spans, clock->nr + 1, sizeof(span));
	memmove(&clock->spans[i + 1], &clock->spans[i], (clock->nr - i) * sizeof(span));
	clock->spans[i] = span;
	clock->nr++;
}

/**
 * clock_offset - by how much the recording's clock is ahead of CLOCK_MONOTONIC
 * @clock: which has learnt from the whole recording
 * @time: when, by the recording's clock
 * @offset: that much
 *
 * It is what was learnt about that time. Returns false where nothing was learnt.
 */
bool clock_offset(const struct clock *clock, uint64_t time, int64_t *offset)
{
	const struct clock_span *spans = clock->spans;
	uint64_t nr = time >> SPAN_BITS;
	size_t i, nearest;

	if (!clock->nr)
		return false;
	i = find_span(clock, nr);
	nearest = i;
	if (i == clock->nr || (i && nr - spans[i - 1].nr < spans[i].nr - nr))
		nearest = i - 1;
	*offset = spans[nearest].offset;
	for (i = nearest ? nearest - 1 : 0; i < clock->nr && i <= nearest + 1; i++)
		if (spans[i].nr + 1 >= spans[nearest].nr && spans[i].nr <= spans[nearest].nr + 1 &&
		    spans[i].offset < *offset)
			*offset = spans[i].offset;
	return true;
}

void clock_free(struct clock *clock)
{
	free(clock->spans);
	*clock = (struct clock){ 0 };
}
