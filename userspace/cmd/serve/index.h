/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In which spaces an address is allocated: a FREE does not say which one it means. Bounded:
 * addresses that are allocated nowhere are forgotten where there are too many.
 */
#ifndef BUFFTRACK_SERVE_INDEX_H
#define BUFFTRACK_SERVE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

struct index;

/**
 * struct index_found - what a FREE means
 * @size: the one that the address was allocated with; 0 where that is not known
 * @ambiguous: the address is allocated in several spaces
 */
struct index_found {
	uint64_t size;
	uint8_t space;
	bool ambiguous;
};

struct index *index_new(void);
void index_free(struct index *index);
void index_alloc(struct index *index, int32_t device, uint64_t buffer, uint8_t space,
		 uint64_t size);
struct index_found index_take(struct index *index, int32_t device, uint64_t buffer);

#endif
