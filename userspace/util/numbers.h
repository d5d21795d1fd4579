/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_NUMBERS_H
#define BUFFTRACK_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of numbers, in their order. */
struct numbers {
	uint64_t *values;
	size_t nr;
	size_t room;
};

bool numbers_have(const struct numbers *numbers, uint64_t value);
void numbers_add(struct numbers *numbers, uint64_t value);
void numbers_remove(struct numbers *numbers, uint64_t value);

#endif
