/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_RANGE_H
#define BUFFTRACK_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct range - addresses of code, and whose they are
 * @low: the first one
 * @high: the one behind the last
 * @reach: the highest @high of this range and of all before it
 * @owner: what the caller gave ranges_add()
 */
struct range {
	uint64_t low;
	uint64_t high;
	uint64_t reach;
	size_t owner;
};

struct ranges {
	struct range *ranges;
	size_t nr;
	size_t room;
};

void ranges_add(struct ranges *ranges, uint64_t low, uint64_t high, size_t owner);
void ranges_sort(struct ranges *ranges);
const struct range *ranges_find(const struct ranges *ranges, uint64_t address);
const struct range *ranges_next(const struct ranges *ranges, const struct range *range,
				uint64_t address);
void ranges_free(struct ranges *ranges);

#endif
