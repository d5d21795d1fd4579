/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_AROUND_H
#define BUFFTRACK_AROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bufftrack.h>

/**
 * struct around_place - where addresses are told apart: a space of a device
 * @device: its device
 * @client: the PRIVATE client whose keys they are; 0 for those of all others
 * @space: its number
 * @has_below: @below is there
 * @has_above: @above is there
 * @told: for who prints it
 * @below: the live one nearest below the address, which does not reach it
 * @above: the live one nearest above it
 */
struct around_place {
	uint64_t device;
	uint64_t client;
	uint32_t space;
	bool has_below;
	bool has_above;
	bool told;
	struct bufftrack_life below;
	struct bufftrack_life above;
};

/**
 * struct around - what is known of an address, on every device
 * @address: it
 * @lives: the lives that it lies in: the live ones first, then those that ended last
 * @nr: how many these are
 * @nr_live: how many of them are live
 * @places: each space with a live life in it
 * @nr_places: how many these are
 */
struct around {
	uint64_t address;
	struct bufftrack_life *lives;
	size_t nr;
	size_t nr_live;
	struct around_place *places;
	size_t nr_places;
	size_t room;
	size_t room_places;
	size_t of_device; /* the first place of the device that was seen last */
};

bool around_covers(const struct bufftrack_life *life, uint64_t address);
int around_read(struct around *around, int fd, const struct bufftrack_list *filter);
struct around_place *around_place_of(struct around *around, const struct bufftrack_life *life);
void around_add(struct around *around, const struct bufftrack_life *life);
void around_sort(struct around *around);
void around_free(struct around *around);

#endif
