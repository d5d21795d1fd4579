// SPDX-License-Identifier: GPL-2.0
/* A hash table with open addressing and linear probing, by device and address. */
#include <stdlib.h>
#include <string.h>

#include "cmd/serve/index.h"
#include "cmd/serve/protocol.h"
#include "util/util.h"

#define FIRST_SLOTS 4096
/* Beyond that many slots those that are allocated nowhere go. */
#define MANY_SLOTS (1U << 20)

/* An ALLOC takes a place in each table: a type that the protocol does not have goes to one. */
#define SPACES (NR_BUFFER_TYPES + 1)
#define OTHER_SPACE NR_BUFFER_TYPES

/**
 * struct place - one address of one device
 * @references: by space
 * @latest: the space of its latest ALLOC
 * @other: the number of that space where it is none of the protocol's
 * @size: of its latest ALLOC
 */
struct place {
	uint64_t buffer;
	uint64_t size;
	int32_t device;
	bool used;
	uint8_t latest;
	uint8_t other;
	uint32_t references[SPACES];
};

struct index {
	struct place *places;
	size_t slots; /* a power of 2 */
	size_t used;
};

static uint8_t slot_of_space(uint8_t space)
{
	return space < NR_BUFFER_TYPES ? space : OTHER_SPACE;
}

/* Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): addresses are aligned. */
static size_t first_slot(const struct index *index, int32_t device, uint64_t buffer)
{
	uint64_t hash = (buffer ^ (uint64_t)(uint32_t)device << 32) * 0x9e3779b97f4a7c15ULL;

	return (hash ^ hash >> 32) & (index->slots - 1);
}

/* Its place, or the free one where it would lie. */
static struct place *find(const struct index *index, int32_t device, uint64_t buffer)
{
	size_t slot = first_slot(index, device, buffer);
	struct place *place;

	for (;; slot = (slot + 1) & (index->slots - 1)) {
		place = &index->places[slot];
		if (!place->used || (place->buffer == buffer && place->device == device))
			return place;
	}
}

static bool is_allocated(const struct place *place)
{
	unsigned int space;

	for (space = 0; space < SPACES; space++)
		if (place->references[space])
			return true;
	return false;
}

static void set_slots(struct index *index, size_t slots)
{
	index->slots = slots;
	index->used = 0;
	index->places = xrealloc(NULL, slots, sizeof(*index->places));
	memset(index->places, 0, slots * sizeof(*index->places));
}

/* Everything into a table of @slots; of a large one only what is allocated somewhere. */
static void rebuild(struct index *index, size_t slots, bool all)
{
	struct index old = *index;
	size_t i;

	set_slots(index, slots);
	for (i = 0; i < old.slots; i++) {
		if (!old.places[i].used || (!all && !is_allocated(&old.places[i])))
			continue;
		*find(index, old.places[i].device, old.places[i].buffer) = old.places[i];
		index->used++;
	}
	free(old.places);
}

static void make_room(struct index *index)
{
	if (index->used < index->slots / 4 * 3)
		return;
	if (index->slots < MANY_SLOTS) {
		rebuild(index, index->slots * 2, true);
		return;
	}
	rebuild(index, index->slots, false);
	if (index->used >= index->slots / 2)
		rebuild(index, index->slots * 2, true);
}

struct index *index_new(void)
{
	struct index *index = xrealloc(NULL, 1, sizeof(*index));

	set_slots(index, FIRST_SLOTS);
	return index;
}

void index_free(struct index *index)
{
	free(index->places);
	free(index);
}

void index_alloc(struct index *index, int32_t device, uint64_t buffer, uint8_t space, uint64_t size)
{
	struct place *place;
	uint8_t slot = slot_of_space(space);

	make_room(index);
	place = find(index, device, buffer);
	if (!place->used) {
		*place = (struct place){ .device = device, .buffer = buffer, .used = true };
		index->used++;
	}
	place->latest = slot;
	place->size = size;
	if (slot == OTHER_SPACE)
		place->other = space;
	if (place->references[slot] != UINT32_MAX)
		place->references[slot]++;
}

/**
 * index_take() - a FREE: which space it means; one reference less there
 *
 * The space where the address is allocated, of several the one of the latest ALLOC; where it
 * is not allocated, the latest it was, since the module knows how that ended; else DRAM.
 */
struct index_found index_take(struct index *index, int32_t device, uint64_t buffer)
{
	struct place *place = find(index, device, buffer);
	unsigned int space, where = place->latest, nr = 0;

	if (!place->used)
		return (struct index_found){ .space = BUFFER_DRAM };
	for (space = 0; space < SPACES; space++) {
		if (!place->references[space])
			continue;
		nr++;
		if (!place->references[where])
			where = space;
	}
	if (place->references[where])
		place->references[where]--;
	return (struct index_found){
		.size = place->size,
		.space = where == OTHER_SPACE ? place->other : where,
		.ambiguous = nr > 1,
	};
}
