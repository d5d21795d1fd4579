// SPDX-License-Identifier: GPL-2.0
/*
 * The allocations that are live, and how many bytes they come to by space. Who follows
 * keys keeps the struct life of each key itself and calls lives_set_live(); who follows
 * generations calls lives_begin() and lives_end().
 */
#include <search.h>
#include <stdlib.h>

#include "ledger/lives.h"
#include "util/util.h"

/* The sums of that space, which begin at 0. The pointer holds until the next new space. */
struct lives_space *lives_space(struct lives *lives, uint64_t device, uint32_t space)
{
	struct lives_space *found;

	for (found = lives->spaces; found < lives->spaces + lives->nr_spaces; found++)
		if (found->device == device && found->space == space)
			return found;
	lives->spaces = xrealloc(lives->spaces, lives->nr_spaces + 1, sizeof(*lives->spaces));
	found = &lives->spaces[lives->nr_spaces++];
	*found = (struct lives_space){ .device = device, .space = space };
	return found;
}

/* One after another, the spaces that have changed; NULL where none has any more. */
const struct lives_space *lives_changed(struct lives *lives)
{
	struct lives_space *space;

	for (space = lives->spaces; space < lives->spaces + lives->nr_spaces; space++) {
		if (!space->changed)
			continue;
		space->changed = false;
		return space;
	}
	return NULL;
}

/* Adds a life to the sums of its space, or takes it out of them. */
void lives_set_live(struct lives *lives, struct life *life, bool live)
{
	struct lives_space *space;

	if (life->live == live)
		return;
	life->live = live;
	space = lives_space(lives, life->device, life->space);
	space->changed = true;
	space->live += live ? 1 : -1ULL;
	space->bytes += live ? life->size : -life->size;
	if (space->bytes > space->peak_bytes)
		space->peak_bytes = space->bytes;
}

static int compare_generations(const void *first, const void *second)
{
	const struct life *a = first, *b = second;

	return compare_numbers(a->generation, b->generation);
}

/* Keeps a copy of @life, which is live from now on; nothing where that generation is. */
void lives_begin(struct lives *lives, const struct life *life)
{
	struct life *copy = xrealloc(NULL, 1, sizeof(*copy)), **known;

	*copy = *life;
	known = tsearch(copy, &lives->by_generation, compare_generations);
	if (!known || *known != copy) {
		free(copy);
		return;
	}
	lives_set_live(lives, copy, true);
}

/* Ends what lives_begin() began; nothing where it did not. */
void lives_end(struct lives *lives, uint64_t generation)
{
	struct life wanted = { .generation = generation };
	struct life **known = tfind(&wanted, &lives->by_generation, compare_generations);
	struct life *life;

	if (!known)
		return;
	life = *known;
	tdelete(life, &lives->by_generation, compare_generations);
	lives_set_live(lives, life, false);
	free(life);
}

/* The generations of a device that live. */
struct device_lives {
	uint64_t device;
	uint64_t *generations;
	size_t nr;
	size_t room;
};

static void note_life(const void *node, VISIT visit, void *arg)
{
	const struct life *life = *(const struct life *const *)node;
	struct device_lives *found = arg;

	if ((visit != postorder && visit != leaf) || life->device != found->device)
		return;
	if (found->nr == found->room) {
		found->room = found->room ? 2 * found->room : 64;
		found->generations =
			xrealloc(found->generations, found->room, sizeof(*found->generations));
	}
	found->generations[found->nr++] = life->generation;
}

/* A reset ends every life on the device. */
void lives_end_device(struct lives *lives, uint64_t device)
{
	struct device_lives found = { .device = device };
	size_t i;

	twalk_r(lives->by_generation, note_life, &found);
	for (i = 0; i < found.nr; i++)
		lives_end(lives, found.generations[i]);
	free(found.generations);
}

/* The module is gone, and all that it knew of. The peaks and counts stay. */
void lives_end_all(struct lives *lives)
{
	struct lives_space *space;

	tdestroy(lives->by_generation, free);
	lives->by_generation = NULL;
	for (space = lives->spaces; space < lives->spaces + lives->nr_spaces; space++) {
		space->live = 0;
		space->bytes = 0;
	}
}

void lives_free(struct lives *lives)
{
	tdestroy(lives->by_generation, free);
	free(lives->spaces);
	*lives = (struct lives){ 0 };
}
