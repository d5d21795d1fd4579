// SPDX-License-Identifier: GPL-2.0
/* who: what lies at an address and next to it, in text and in JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi/holders.h"
#include "cmd/who/who.h"
#include "event/event.h"
#include "event/names.h"
#include "report/life.h"
#include "report/report.h"
#include "report/words.h"
#include "util/json.h"
#include "util/util.h"

/* How far a buffer that does not reach the address is from it. */
static uint64_t distance(const struct who_query *who, const struct bufftrack_life *life)
{
	uint64_t address = who->around.address;

	if (life->buffer > address)
		return life->buffer - address;
	/* From its last byte: it may end with the last one there is. */
	return life->size ? address - life->buffer - (life->size - 1) : address - life->buffer;
}

/* How many of the allocations that the address lies in are told. */
static size_t nr_told(const struct who_query *who)
{
	const struct around *around = &who->around;

	if (!who->limit || around->nr - around->nr_live <= who->limit)
		return around->nr;
	return around->nr_live + (size_t)who->limit;
}

static void print_holders(const struct who_query *who, const struct bufftrack_life *life)
{
	char name[BUFFTRACK_NAME_LEN], comm[BUFFTRACK_COMM_LEN];
	const struct bufftrack_holder *holder;
	struct holders holders;

	holders_read(&holders, who->fd, life);
	if (holders.error)
		report_line("  held by        not known: %s", strerror(holders.error));
	for (holder = holders.table; holder < holders.table + holders.nr; holder++) {
		copy_text(name, sizeof(name), holder->name, sizeof(holder->name));
		copy_text(comm, sizeof(comm), holder->comm, sizeof(holder->comm));
		report_line("  %-14s client %" PRIu64
			    "%s%s%s, pid %u (%s), uid %u: %u reference%s%s",
			    holder->count ? "held by" : "was held by", (uint64_t)holder->client,
			    name[0] ? " (" : "", name, name[0] ? ")" : "", holder->pid, comm,
			    holder->uid, holder->count, plural(holder->count),
			    holder->count ? "" : " left");
	}
	if (holders.others)
		report_line("  held by        other users: %u reference%s", holders.others,
			    plural(holders.others));
	holders_free(&holders);
}

/* The allocation of the same address before. */
static void print_previous(const struct who_query *who, const struct bufftrack_life *life)
{
	if (!life->prev_alloc.time)
		return;
	puts("the allocation before:");
	report_party(&who->style, state_words(life->prev_state)->by, &life->prev_end, who->now);
	report_party(&who->style, "allocated by", &life->prev_alloc, who->now);
}

static void print_history(const struct bufftrack_life *life)
{
	struct life_span last = {
		.generation = life->generation,
		.freed.time = life->end.time,
		.reason = life->state,
	};
	struct life_span previous = {
		.generation = life->prev_generation,
		.freed.time = life->prev_end.time,
		.reason = life->prev_state,
	};
	uint32_t known = !!last.generation + !!previous.generation;
	char history[128] = "";

	report_add_life(history, sizeof(history), &previous);
	report_add_life(history, sizeof(history), &last);
	report_line("this key: %u alloc%s, %u free%s, %u refused; history%s%s", life->lives,
		    plural(life->lives), life->frees, plural(life->frees), life->refused,
		    life->lives > known ? " ..." : "", history);
}

static void print_state(const struct bufftrack_life *life)
{
	char views[48] = "", tag[32] = "";

	if (life->views)
		snprintf(views, sizeof(views), ", %u view%s", life->views, plural(life->views));
	if (life->tag)
		snprintf(tag, sizeof(tag), ", tag 0x%" PRIx64, (uint64_t)life->tag);
	if (life->state == BUFFTRACK_STATE_LIVE)
		report_line("live: generation %" PRIu64 ", %u reference%s%s%s%s%s",
			    (uint64_t)life->generation, life->refs, plural(life->refs), views, tag,
			    life->flags & BUFFTRACK_F_SHARED ? ", shared" : "",
			    life->flags & BUFFTRACK_LIFE_PRIVATE ? ", private" : "");
	else
		report_line("ended (%s): generation %" PRIu64 "%s%s%s",
			    state_words(life->state)->name, (uint64_t)life->generation, views, tag,
			    life->flags & BUFFTRACK_LIFE_PRIVATE ? ", private" : "");
}

static void print_life(const struct who_query *who, const struct bufftrack_life *life)
{
	char device[REPORT_NAME_TEXT], space[REPORT_NAME_TEXT], offset[64] = "";
	uint64_t address = who->around.address;

	report_device_name(&who->style, life->device, device);
	report_space_name(&who->style, life->device, life->space, space);
	if (address != life->buffer)
		snprintf(offset, sizeof(offset), " lies 0x%" PRIx64 " bytes into",
			 address - (uint64_t)life->buffer);
	report_line("0x%" PRIx64 "%s buffer 0x%" PRIx64 "+0x%" PRIx64 " (%s, %" PRIu64
		    " bytes) on device %s",
		    address, offset[0] ? offset : " is", (uint64_t)life->buffer,
		    (uint64_t)life->size, space, (uint64_t)life->size, device);
	print_state(life);
	report_party(&who->style, state_words(life->state)->by, &life->end, who->now);
	report_party(&who->style, "allocated by", &life->alloc, who->now);
	print_holders(who, life);
	print_previous(who, life);
	print_history(life);
}

static void print_neighbour(const struct who_query *who, const char *label,
			    const struct bufftrack_life *life)
{
	char device[REPORT_NAME_TEXT], space[REPORT_NAME_TEXT], comm[BUFFTRACK_COMM_LEN];
	bool above = life->buffer > who->around.address;

	report_device_name(&who->style, life->device, device);
	report_space_name(&who->style, life->device, life->space, space);
	copy_text(comm, sizeof(comm), life->alloc.comm, sizeof(life->alloc.comm));
	report_line("%s: 0x%" PRIx64 "+0x%" PRIx64 " (%s) on device %s, which %s 0x%" PRIx64
		    " bytes %s; allocated by pid %u (%s%s)",
		    label, (uint64_t)life->buffer, (uint64_t)life->size, space, device,
		    above ? "begins" : "ends", distance(who, life), above ? "after" : "before",
		    life->alloc.pid, comm, life->alloc.exited ? ", exited" : "");
}

static void print_place(const struct who_query *who, const struct around_place *place)
{
	if (place && place->has_below)
		print_neighbour(who, "live below", &place->below);
	if (place && place->has_above)
		print_neighbour(who, "live above", &place->above);
}

/* The space that a life is in, the first time that it is asked for; else NULL. */
static const struct around_place *untold_place(struct who_query *who,
					       const struct bufftrack_life *life)
{
	struct around_place *place = around_place_of(&who->around, life);

	if (!place || place->told)
		return NULL;
	place->told = true;
	return place;
}

/* Of all spaces' neighbours the nearest one below, or above; NULL where there is none. */
static const struct bufftrack_life *nearest(const struct who_query *who, bool above)
{
	const struct around *around = &who->around;
	const struct bufftrack_life *best = NULL, *life;
	const struct around_place *place;

	for (place = around->places; place < around->places + around->nr_places; place++) {
		if (!(above ? place->has_above : place->has_below))
			continue;
		life = above ? &place->above : &place->below;
		if (!best || distance(who, life) < distance(who, best))
			best = life;
	}
	return best;
}

/* Prints what is known. */
void who_print_text(struct who_query *who)
{
	const struct around *around = &who->around;
	const struct bufftrack_life *below = nearest(who, false), *above = nearest(who, true);
	size_t told = nr_told(who), i;

	if (around->nr && !around->nr_live)
		report_line("0x%" PRIx64 " lies in no live buffer; in what has ended:",
			    around->address);
	for (i = 0; i < told; i++) {
		if (i)
			putchar('\n');
		print_life(who, &around->lives[i]);
		print_place(who, untold_place(who, &around->lives[i]));
	}
	if (told < around->nr)
		printf("\n%zu more that have ended: --limit 0 shows all\n", around->nr - told);
	if (around->nr)
		return;
	if (below)
		print_neighbour(who, "nearest live below", below);
	if (above)
		print_neighbour(who, "nearest live above", above);
	if (!below && !above)
		puts("no live buffer is known there, nor elsewhere");
}

static struct json_object *holders_json(const struct holders *holders)
{
	struct json_object *array = json_object_new_array(), *object;
	char name[BUFFTRACK_NAME_LEN], comm[BUFFTRACK_COMM_LEN];
	const struct bufftrack_holder *holder;

	for (holder = holders->table; holder < holders->table + holders->nr; holder++) {
		copy_text(name, sizeof(name), holder->name, sizeof(holder->name));
		copy_text(comm, sizeof(comm), holder->comm, sizeof(holder->comm));
		object = json_object_new_object();
		json_add_number(object, "client", holder->client);
		json_add_text(object, "name", name);
		json_add_number(object, "pid", holder->pid);
		json_add_text(object, "comm", comm);
		json_add_number(object, "uid", holder->uid);
		json_add_number(object, "count", holder->count);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *previous_json(const struct who_query *who,
					 const struct bufftrack_life *life)
{
	struct json_object *object;

	if (!life->prev_alloc.time)
		return NULL;
	object = json_object_new_object();
	json_add_number(object, "generation", life->prev_generation);
	json_add_text(object, "state", state_words(life->prev_state)->name);
	json_add(object, "allocated", report_party_json(&who->style, &life->prev_alloc));
	json_add(object, "ended", report_party_json(&who->style, &life->prev_end));
	return object;
}

static void print_life_json(const struct who_query *who, const char *relation,
			    const struct bufftrack_life *life)
{
	struct json_object *object = json_object_new_object();
	bool covers = around_covers(life, who->around.address);
	struct holders holders;

	holders_read(&holders, who->fd, life);
	json_add_id(object, "address", who->around.address);
	json_add_text(object, "relation", relation);
	json_add_id(object, "offset", covers ? who->around.address - life->buffer : 0);
	json_add_id(object, "distance", covers ? 0 : distance(who, life));
	report_add_life_json(&who->style, object, life, who->now);
	json_add(object, "holders", holders.error ? NULL : holders_json(&holders));
	json_add_number(object, "others", holders.others);
	json_add(object, "previous", previous_json(who, life));
	json_print(object);
	holders_free(&holders);
}

static void print_place_json(const struct who_query *who, const struct around_place *place)
{
	if (place && place->has_below)
		print_life_json(who, "below", &place->below);
	if (place && place->has_above)
		print_life_json(who, "above", &place->above);
}

/* Prints the same, an object for each buffer. */
void who_print_json(struct who_query *who)
{
	const struct around *around = &who->around;
	const struct bufftrack_life *below = nearest(who, false), *above = nearest(who, true);
	size_t told = nr_told(who), i;

	for (i = 0; i < told; i++) {
		print_life_json(who, around->address == around->lives[i].buffer ? "at" : "inside",
				&around->lives[i]);
		print_place_json(who, untold_place(who, &around->lives[i]));
	}
	if (!around->nr && below)
		print_life_json(who, "below", below);
	if (!around->nr && above)
		print_life_json(who, "above", above);
}
