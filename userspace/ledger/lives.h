/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LIVES_H
#define BUFFTRACK_LIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct life - one allocation of a buffer, from its alloc to the end
 * @generation: the kernel's number for it; 0 for none
 * @size: what it adds to the bytes of its space while it is live
 * @live: it is counted there
 */
struct life {
	uint64_t generation;
	uint64_t device;
	uint64_t size;
	uint32_t space;
	bool live;
};

/**
 * struct lives_space - what lives, and what was done, in one space of a device
 * @changed: since lives_changed() has returned it
 * @peak_bytes: the most that @bytes has been
 * @allocs: for who counts them; so are @frees
 */
struct lives_space {
	uint64_t device;
	uint32_t space;
	bool changed;
	uint64_t live;
	uint64_t bytes;
	uint64_t peak_bytes;
	uint64_t allocs;
	uint64_t frees;
};

/**
 * struct lives - the allocations that are live, and their sums by space
 * @spaces: in the order in which they were first seen
 * @by_generation: a tree of those that lives_begin() has copied
 */
struct lives {
	struct lives_space *spaces;
	size_t nr_spaces;
	void *by_generation;
};

struct lives_space *lives_space(struct lives *lives, uint64_t device, uint32_t space);
const struct lives_space *lives_changed(struct lives *lives);
void lives_set_live(struct lives *lives, struct life *life, bool live);
void lives_begin(struct lives *lives, const struct life *life);
void lives_end(struct lives *lives, uint64_t generation);
void lives_end_device(struct lives *lives, uint64_t device);
void lives_end_all(struct lives *lives);
void lives_free(struct lives *lives);

#endif
