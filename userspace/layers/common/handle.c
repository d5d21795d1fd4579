// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What is remembered of handles: an open hash table for each space, in memory that a forked
 * child finds empty. Slots are taken by one compare-and-exchange and never given back, so
 * that there is no lock, for a child of fork() to find taken either. A table has room for a
 * million handles (they come back: runtimes take them from an allocator), and only the
 * pages in use exist. What has no room is reported on the first device.
 */
#include <sys/mman.h>

#include "common/layer.h"

#define SLOT_BITS 20
#define SLOTS (1UL << SLOT_BITS)
/* Slots that are looked at for one handle. */
#define PROBES 64U

static struct layer_handle *tables[LAYER_SPACES]; /* atomic */

static struct layer_handle *make_table(uint32_t space)
{
	const size_t bytes = SLOTS * sizeof(struct layer_handle);
	struct layer_handle *table = NULL;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A child must not take its parent's handles for its own. */
	if (madvise(memory, bytes, MADV_WIPEONFORK)) {
		munmap(memory, bytes);
		return NULL;
	}
	if (__atomic_compare_exchange_n(&tables[space], &table, memory, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return memory;
	munmap(memory, bytes);
	return table;
}

static size_t first_slot(uint64_t handle)
{
	/* Fibonacci hashing: the low bits of addresses say little. */
	return (handle * 0x9e3779b97f4a7c15ULL) >> (64 - SLOT_BITS);
}

struct layer_handle *layer_find(uint32_t space, uint64_t handle)
{
	struct layer_handle *table = __atomic_load_n(&tables[space], __ATOMIC_ACQUIRE);
	size_t slot = first_slot(handle);
	unsigned int i;

	for (i = 0; table && i < PROBES; i++, slot = (slot + 1) % SLOTS) {
		uint64_t there = __atomic_load_n(&table[slot].handle, __ATOMIC_ACQUIRE);

		if (there == handle)
			return &table[slot];
		if (!there)
			return NULL;
	}
	return NULL;
}

struct layer_handle *layer_remember(uint32_t space, uint64_t handle)
{
	struct layer_handle *table = __atomic_load_n(&tables[space], __ATOMIC_ACQUIRE);
	size_t slot = first_slot(handle);
	unsigned int i;

	if (!table)
		table = make_table(space);
	for (i = 0; table && i < PROBES; i++, slot = (slot + 1) % SLOTS) {
		uint64_t there = __atomic_load_n(&table[slot].handle, __ATOMIC_ACQUIRE);

		if (!there)
			__atomic_compare_exchange_n(&table[slot].handle, &there, handle, false,
						    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		if (!there || there == handle)
			return &table[slot];
	}
	return NULL;
}
