// SPDX-License-Identifier: GPL-2.0
/*
 * The balance of all buffers: what was allocated, what was freed, and which keys
 * were freed more often than they were allocated.
 */
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/balance.h"
#include "event/names.h"
#include "util/json.h"
#include "util/util.h"

#define WORST_KEYS 10

struct balance {
	void *tree;
	struct balance_key **keys;
	size_t nr_keys;
	size_t room;
	uint64_t allocs;
	uint64_t frees;
	uint64_t released;
	uint64_t live;
	uint64_t balanced;
	uint64_t leaked;
	uint64_t over_freed;
	uint64_t verdicts[BUFFTRACK_NR_VERDICTS];
};

static int compare_keys(const void *first, const void *second)
{
	const struct balance_key *a = first, *b = second;
	int order = compare_numbers(a->buffer, b->buffer);

	if (!order)
		order = compare_numbers(a->device, b->device);
	if (!order)
		order = compare_numbers(a->space, b->space);
	if (!order)
		order = compare_numbers(a->client, b->client);
	return order;
}

struct balance *balance_new(void)
{
	struct balance *balance = xrealloc(NULL, 1, sizeof(*balance));

	*balance = (struct balance){ 0 };
	return balance;
}

static void free_key(void *node)
{
	struct balance_key *key = node;

	free(key->data);
	free(key);
}

void balance_free(struct balance *balance)
{
	tdestroy(balance->tree, free_key);
	free(balance->keys);
	free(balance);
}

/* The key of that device, buffer, client and space; NULL where nothing was reported of it. */
struct balance_key *balance_find(struct balance *balance, const struct balance_key *wanted)
{
	struct balance_key **found = tfind(wanted, &balance->tree, compare_keys);

	return found ? *found : NULL;
}

/* The same, which comes into being where it is not there yet. */
struct balance_key *balance_key(struct balance *balance, const struct balance_key *wanted)
{
	struct balance_key *key = balance_find(balance, wanted);

	if (key)
		return key;
	key = xrealloc(NULL, 1, sizeof(*key));
	*key = (struct balance_key){
		.device = wanted->device,
		.buffer = wanted->buffer,
		.client = wanted->client,
		.space = wanted->space,
	};
	if (!tsearch(key, &balance->tree, compare_keys)) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	if (balance->nr_keys == balance->room) {
		balance->room = balance->room ? 2 * balance->room : 1024;
		balance->keys = xrealloc(balance->keys, balance->room, sizeof(*balance->keys));
	}
	balance->keys[balance->nr_keys++] = key;
	return key;
}

/* All keys; returns how many. */
size_t balance_keys(const struct balance *balance, struct balance_key ***keys)
{
	*keys = balance->keys;
	return balance->nr_keys;
}

/* Counts a call, whatever its verdict. */
void balance_call(struct balance *balance, struct balance_key *key, bool alloc)
{
	if (alloc) {
		key->allocs++;
		balance->allocs++;
	} else {
		key->frees++;
		balance->frees++;
	}
}

/* A free was taken back. */
void balance_undo(struct balance *balance, struct balance_key *key)
{
	if (!key->frees)
		return;
	key->frees--;
	balance->frees--;
}

void balance_verdict(struct balance *balance, uint32_t verdict, uint64_t nr)
{
	if (verdict < BUFFTRACK_NR_VERDICTS)
		balance->verdicts[verdict] += nr;
}

/* A life has ended by a free. */
void balance_released(struct balance *balance)
{
	balance->released++;
}

/* How many calls there were. */
uint64_t balance_calls(const struct balance *balance)
{
	return balance->allocs + balance->frees;
}

static int64_t excess(const struct balance_key *key)
{
	return (int64_t)(key->frees - key->allocs - key->before);
}

/* Those with the most frees beyond their allocs first. */
static int compare_excess(const void *first, const void *second)
{
	const struct balance_key *a = *(struct balance_key *const *)first;
	const struct balance_key *b = *(struct balance_key *const *)second;

	if (excess(a) != excess(b))
		return excess(a) > excess(b) ? -1 : 1;
	if (a->device != b->device)
		return compare_numbers(a->device, b->device);
	if (a->space != b->space)
		return compare_numbers(a->space, b->space);
	return compare_numbers(a->buffer, b->buffer);
}

/* To be called once, after everything was counted. */
void balance_sum_up(struct balance *balance)
{
	const struct balance_key *key;
	size_t i;

	if (!balance->nr_keys)
		return;
	qsort(balance->keys, balance->nr_keys, sizeof(*balance->keys), compare_excess);
	for (i = 0; i < balance->nr_keys; i++) {
		key = balance->keys[i];
		balance->live += key->live;
		if (!excess(key))
			balance->balanced++;
		else if (excess(key) < 0)
			balance->leaked++;
		else
			balance->over_freed++;
	}
}

/* How many keys are among the worst: they stand first. */
static size_t nr_worst(const struct balance *balance)
{
	return balance->over_freed < WORST_KEYS ? (size_t)balance->over_freed : WORST_KEYS;
}

static struct json_object *worst_json(const struct balance *balance)
{
	struct json_object *worst = json_object_new_array(), *entry;
	const struct balance_key *key;
	size_t i;

	for (i = 0; i < nr_worst(balance); i++) {
		key = balance->keys[i];
		entry = json_object_new_object();
		json_add_id(entry, "device", key->device);
		json_add_number(entry, "space", key->space);
		json_add_id(entry, "buffer", key->buffer);
		json_add_number(entry, "allocs", key->allocs);
		json_add_number(entry, "frees", key->frees);
		json_object_array_add(worst, entry);
	}
	return worst;
}

static void add_count(struct json_object *object, const char *key, uint64_t value, bool known)
{
	if (known)
		json_add_number(object, key, value);
	else
		json_add(object, key, NULL);
}

/**
 * balance_json - adds the keys of DESIGN's summary
 * @balance: the balance, summed up
 * @object: what they are added to
 * @known: the good calls were told; else all but the bad verdicts is null
 */
void balance_json(const struct balance *balance, struct json_object *object, bool known)
{
	uint32_t i;

	add_count(object, "allocs", balance->allocs, known);
	add_count(object, "frees", balance->frees, known);
	add_count(object, "released", balance->released, known);
	add_count(object, "live", balance->live, known);
	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++)
		add_count(object, verdict_name(i), balance->verdicts[i],
			  known || i != BUFFTRACK_OK);
	add_count(object, "balanced", balance->balanced, known);
	add_count(object, "leaked", balance->leaked, known);
	add_count(object, "over_freed", balance->over_freed, known);
	json_add(object, "worst", known ? worst_json(balance) : NULL);
}

/* A line of the table. */
void balance_print_count(const char *name, uint64_t value, const char *what)
{
	printf("%-18s %12" PRIu64 "  %s\n", name, value, what);
}

/* The lines of the verdicts from @first on. */
void balance_print_verdicts(const struct balance *balance, uint32_t first)
{
	uint32_t i;

	for (i = first; i < BUFFTRACK_NR_VERDICTS; i++)
		balance_print_count(verdict_name(i), balance->verdicts[i],
				    i == first ? "verdicts" : "");
}

/* The table; @calls says what its allocs and frees are. */
void balance_print(const struct balance *balance, const char *calls)
{
	balance_print_count("allocs", balance->allocs, calls);
	balance_print_count("frees", balance->frees, calls);
	balance_print_count("released", balance->released, "allocations that ended by a free");
	balance_print_count("live", balance->live, "allocations not freed yet");
	balance_print_verdicts(balance, BUFFTRACK_OK);
	balance_print_count("balanced", balance->balanced, "buffers freed as often as allocated");
	balance_print_count("not freed yet", balance->leaked, "buffers freed less often");
	balance_print_count("over_freed", balance->over_freed, "buffers freed more often");
}

/* The keys that were freed too often, if any, after an empty line. */
void balance_print_worst(const struct balance *balance)
{
	const struct balance_key *key;
	char device[SHORT_TEXT];
	size_t i;

	if (!balance->over_freed)
		return;
	printf("\n%-18s %5s %-18s %12s %12s\n", "DEVICE", "SPACE", "BUFFER", "ALLOCS", "FREES");
	for (i = 0; i < nr_worst(balance); i++) {
		key = balance->keys[i];
		printf("%-18s %5u 0x%-16" PRIx64 " %12" PRIu64 " %12" PRIu64 "\n",
		       format_id(device, key->device), key->space, key->buffer, key->allocs,
		       key->frees);
	}
}
