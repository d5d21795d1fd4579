/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_BALANCE_H
#define BUFFTRACK_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bufftrack.h>

struct balance;
struct json_object;

/**
 * struct balance_key - one key, and what was reported of it
 * @client: of a PRIVATE client's its id, else 0
 * @live: it has a life that has not ended
 * @allocs: calls, refused ones too
 * @frees: calls, refused ones too
 * @before: references that were taken without an alloc's being counted
 * @data: for who has the balance; freed with the key
 */
struct balance_key {
	uint64_t device;
	uint64_t buffer;
	uint64_t client;
	uint32_t space;
	bool live;
	uint64_t allocs;
	uint64_t frees;
	uint64_t before;
	void *data;
};

struct balance *balance_new(void);
void balance_free(struct balance *balance);
struct balance_key *balance_key(struct balance *balance, const struct balance_key *wanted);
struct balance_key *balance_find(struct balance *balance, const struct balance_key *wanted);
size_t balance_keys(const struct balance *balance, struct balance_key ***keys);

void balance_call(struct balance *balance, struct balance_key *key, bool alloc);
void balance_undo(struct balance *balance, struct balance_key *key);
void balance_verdict(struct balance *balance, uint32_t verdict, uint64_t nr);
void balance_released(struct balance *balance);

uint64_t balance_calls(const struct balance *balance);
void balance_sum_up(struct balance *balance);
void balance_json(const struct balance *balance, struct json_object *object, bool known);
void balance_print_count(const char *name, uint64_t value, const char *what);
void balance_print_verdicts(const struct balance *balance, uint32_t first);
void balance_print(const struct balance *balance, const char *calls);
void balance_print_worst(const struct balance *balance);

#endif
