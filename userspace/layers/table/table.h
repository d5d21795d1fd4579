/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the files of the table's layer know of each other. */
#ifndef BUFFTRACK_LAYER_TABLE_H
#define BUFFTRACK_LAYER_TABLE_H

#include "common/layer.h"

/* Arguments that are passed in registers, and so can be looked at. */
#define TABLE_ARGS 6
#define TABLE_SPACES (LAYER_SPACES - 2) /* that a table can name */

enum table_kind {
	TABLE_ALLOC,
	TABLE_FREE,
	TABLE_RETAIN,
	TABLE_VIEW,
	TABLE_END,
};

/* Where a value is: what the function returns, an argument, or what an argument points to. */
enum table_from {
	TABLE_NONE,
	TABLE_NUMBER,
	TABLE_RETURN,
	TABLE_ARG,
	TABLE_AT_ARG,
	TABLE_PRODUCT, /* of two arguments: calloc()'s */
};

struct table_value {
	enum table_from from;
	unsigned int arg;
	unsigned int second;
	uint64_t number;
};

/* What the function returns where it did what it is for. */
enum table_success {
	TABLE_ANY,
	TABLE_EQUAL,
	TABLE_NOT_EQUAL,
};

/* One line of the table. */
struct table_rule {
	char *function;
	enum table_kind kind;
	struct table_value pointer;
	struct table_value size;
	struct table_value device;
	struct table_value tag;
	struct table_value parent;
	uint32_t space;
	enum table_success success;
	uint64_t result;
	uint64_t real; /* what the trampoline calls; atomic */
	void *trampoline;
	struct table_rule *next;
};

/* The registers of a call, as the trampoline lays them down. */
struct table_call {
	uint64_t args[TABLE_ARGS];
	uint64_t result;
	struct table_rule *rule;
	struct layer_free free;
	uint64_t pointer;
	bool programs;
	bool counted;
};

/* Reads the table; complaints go to stderr, since nothing else is there to hear them. */
struct table_rule *table_read(const char *path, const char *spaces[LAYER_SPACES]);
/* The rule for a function's name, or NULL. */
struct table_rule *table_find(struct table_rule *rules, const char *function);
/* A piece of code that stands in for the function; NULL where this machine has none. */
void *table_make_trampoline(struct table_rule *rule);

#endif /* BUFFTRACK_LAYER_TABLE_H */
