// SPDX-License-Identifier: GPL-2.0
/* Which buffers lie at an address, and which next to it: on every device, in every space. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi/around.h"
#include "util/util.h"

#define PAGE_LIVES 512

/* Whether an address lies in a buffer. One without bytes has its first address. */
bool around_covers(const struct bufftrack_life *life, uint64_t address)
{
	return address == life->buffer ||
	       (address > life->buffer && address - life->buffer < life->size);
}

static uint64_t private_client(const struct bufftrack_life *life)
{
	return life->flags & BUFFTRACK_LIFE_PRIVATE ? life->alloc.client : 0;
}

static bool is_of(const struct around_place *place, const struct bufftrack_life *life)
{
	return place->device == life->device && place->space == life->space &&
	       place->client == private_client(life);
}

/* The space that a life is in; NULL where nothing is live there. */
struct around_place *around_place_of(struct around *around, const struct bufftrack_life *life)
{
	size_t i;

	for (i = 0; i < around->nr_places; i++)
		if (is_of(&around->places[i], life))
			return &around->places[i];
	return NULL;
}

/* LIST goes from device to device: only the places of the latest are looked through. */
static struct around_place *find_place(struct around *around, const struct bufftrack_life *life)
{
	struct around_place *place;
	size_t i;

	for (i = around->of_device; i < around->nr_places; i++)
		if (is_of(&around->places[i], life))
			return &around->places[i];
	if (around->nr_places == around->room_places) {
		around->room_places = around->room_places ? 2 * around->room_places : 16;
		around->places =
			xrealloc(around->places, around->room_places, sizeof(*around->places));
	}
	if (around->nr_places && around->places[around->nr_places - 1].device != life->device)
		around->of_device = around->nr_places;
	place = &around->places[around->nr_places++];
	*place = (struct around_place){
		.device = life->device,
		.client = private_client(life),
		.space = life->space,
	};
	return place;
}

static void add_neighbour(struct around *around, const struct bufftrack_life *life)
{
	struct around_place *place = find_place(around, life);

	if (life->buffer < around->address) {
		if (place->has_below && place->below.buffer >= life->buffer)
			return;
		place->has_below = true;
		place->below = *life;
	} else {
		if (place->has_above && place->above.buffer <= life->buffer)
			return;
		place->has_above = true;
		place->above = *life;
	}
}

/* Takes one life in, as LIST tells it. */
void around_add(struct around *around, const struct bufftrack_life *life)
{
	bool live = life->state == BUFFTRACK_STATE_LIVE;

	if (!around_covers(life, around->address)) {
		if (live)
			add_neighbour(around, life);
		return;
	}
	if (around->nr == around->room) {
		around->room = around->room ? 2 * around->room : 16;
		around->lives = xrealloc(around->lives, around->room, sizeof(*around->lives));
	}
	around->lives[around->nr++] = *life;
	around->nr_live += live;
}

static int compare_lives(const void *first, const void *second)
{
	const struct bufftrack_life *a = first, *b = second;
	int order =
		compare_numbers(a->state != BUFFTRACK_STATE_LIVE, b->state != BUFFTRACK_STATE_LIVE);

	if (!order)
		order = compare_numbers(b->end.time, a->end.time);
	if (!order)
		order = compare_numbers(a->device, b->device);
	if (!order)
		order = compare_numbers(a->space, b->space);
	/* Of several that reach the address, that one which begins nearest to it. */
	return order ? order : compare_numbers(b->buffer, a->buffer);
}

/* The live ones first, then those that ended last. */
void around_sort(struct around *around)
{
	if (around->nr)
		qsort(around->lives, around->nr, sizeof(*around->lives), compare_lives);
}

/**
 * around_read - find out what is known of an address
 * @around: holds the address; all else 0
 * @fd: the open device
 * @filter: what LIST is to choose, such as one device
 *
 * Returns 0; -1 with errno where LIST failed.
 */
int around_read(struct around *around, int fd, const struct bufftrack_list *filter)
{
	struct bufftrack_list query = *filter;
	struct bufftrack_life *page = xrealloc(NULL, PAGE_LIVES, sizeof(*page));
	int error = 0;
	uint32_t i;

	do {
		/* An older kernel fills less of each. */
		memset(page, 0, PAGE_LIVES * sizeof(*page));
		query.entries = (uintptr_t)page;
		query.nr = PAGE_LIVES;
		query.entry_size = sizeof(*page);
		if (ioctl(fd, BUFFTRACK_IOC_LIST, &query)) {
			error = errno;
			break;
		}
		for (i = 0; i < query.nr; i++)
			around_add(around, &page[i]);
	} while (query.nr);
	free(page);
	around_sort(around);
	errno = error;
	return error ? -1 : 0;
}

void around_free(struct around *around)
{
	free(around->lives);
	free(around->places);
}
