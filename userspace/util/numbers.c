// SPDX-License-Identifier: GPL-2.0
/* A set of numbers, as a sorted array. */
#include <string.h>

#include "util/numbers.h"
#include "util/util.h"

/* Where the value is, or would be. */
static size_t find_number(const struct numbers *numbers, uint64_t value)
{
	size_t low = 0, high = numbers->nr, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (numbers->values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool numbers_have(const struct numbers *numbers, uint64_t value)
{
	size_t at = find_number(numbers, value);

	return at < numbers->nr && numbers->values[at] == value;
}

void numbers_add(struct numbers *numbers, uint64_t value)
{
	size_t at = find_number(numbers, value);

	if (at < numbers->nr && numbers->values[at] == value)
		return;
	if (numbers->nr == numbers->room) {
		numbers->room = numbers->room ? 2 * numbers->room : 64;
		numbers->values =
			xrealloc(numbers->values, numbers->room, sizeof(*numbers->values));
	}
	memmove(numbers->values + at + 1, numbers->values + at,
		(numbers->nr - at) * sizeof(*numbers->values));
	numbers->values[at] = value;
	numbers->nr++;
}

void numbers_remove(struct numbers *numbers, uint64_t value)
{
	size_t at = find_number(numbers, value);

	if (at == numbers->nr || numbers->values[at] != value)
		return;
	numbers->nr--;
	memmove(numbers->values + at, numbers->values + at + 1,
		(numbers->nr - at) * sizeof(*numbers->values));
}
