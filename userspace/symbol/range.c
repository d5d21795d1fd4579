// SPDX-License-Identifier: GPL-2.0
/*
 * Tables of address ranges. They may overlap: a file can say anything, and the DWARF of
 * a function that the linker has dropped still has its ranges.
 */
#include <stdlib.h>

#include "symbol/range.h"
#include "util/util.h"

/* ranges_add - a range that ranges_find() finds after the next ranges_sort() */
void ranges_add(struct ranges *ranges, uint64_t low, uint64_t high, size_t owner)
{
	if (low >= high)
		return;
	if (ranges->nr == ranges->room) {
		ranges->room = ranges->room ? 2 * ranges->room : 64;
		ranges->ranges = xrealloc(ranges->ranges, ranges->room, sizeof(*ranges->ranges));
	}
	ranges->ranges[ranges->nr++] = (struct range){ .low = low, .high = high, .owner = owner };
}

/* Of those that begin at one place the widest comes first. */
static int compare(const void *a, const void *b)
{
	const struct range *one = a, *other = b;
	int order = compare_numbers(one->low, other->low);

	if (!order)
		order = compare_numbers(other->high, one->high);
	return order ? order : compare_numbers(one->owner, other->owner);
}

void ranges_sort(struct ranges *ranges)
{
	uint64_t reach = 0;
	size_t i;

	if (ranges->nr)
		qsort(ranges->ranges, ranges->nr, sizeof(*ranges->ranges), compare);
	for (i = 0; i < ranges->nr; i++) {
		if (reach < ranges->ranges[i].high)
			reach = ranges->ranges[i].high;
		ranges->ranges[i].reach = reach;
	}
}

/* The last range before @end that holds @address. */
static const struct range *find_before(const struct ranges *ranges, size_t end, uint64_t address)
{
	const struct range *range;

	while (end--) {
		range = &ranges->ranges[end];
		if (range->reach <= address)
			return NULL;
		if (address < range->high)
			return range;
	}
	return NULL;
}

/* ranges_find - the range that holds @address and begins nearest to it; NULL for none */
const struct range *ranges_find(const struct ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->nr, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (ranges->ranges[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return find_before(ranges, low, address);
}

/* ranges_next - after @range, the next one outwards that holds @address */
const struct range *ranges_next(const struct ranges *ranges, const struct range *range,
				uint64_t address)
{
	return find_before(ranges, (size_t)(range - ranges->ranges), address);
}

void ranges_free(struct ranges *ranges)
{
	free(ranges->ranges);
	*ranges = (struct ranges){ 0 };
}
