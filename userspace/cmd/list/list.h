/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of list share: list.c, print.c, site.c. */
#ifndef BUFFTRACK_LIST_H
#define BUFFTRACK_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bufftrack.h>

#include "report/site.h"

struct labels;
struct sort_key;
struct stacks;

enum list_by {
	LIST_BY_BUFFER,
	LIST_BY_SITE, /* who allocated them */
};

struct list {
	struct bufftrack_list query;
	bool json;
	bool reverse;
	bool all;
	bool show_stacks;
	bool folded; /* the stacks of their allocs, with the bytes from there */
	bool fail_if_any;
	bool by_tag;
	uint64_t tag;
	unsigned int by; /* enum list_by */
	struct sites sites; /* by site, or by folded stack */
	uint64_t older_than;
	uint64_t limit; /* 0 for none */
	const struct sort_key *sort;
	uint64_t now;
	struct labels *labels;
	struct stacks *stacks;
	struct bufftrack_life *lives;
	size_t nr;
	size_t room;
};

/* print.c */
uint64_t list_age(const struct list *list, const struct bufftrack_life *life);
void list_print_json(struct list *list, const struct bufftrack_life *life);
void list_print_table(struct list *list);

/* site.c */
void list_take_site(struct list *list, const struct bufftrack_life *life);
void list_print_sites(struct list *list);

#endif
