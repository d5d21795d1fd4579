/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_SITE_H
#define BUFFTRACK_SITE_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct site - a place in a program, and what comes from it
 * @name: as reports have it, perhaps behind a kind of verdict
 * @nr: how many
 * @bytes: in all
 */
struct site {
	char *name;
	uint64_t nr;
	uint64_t bytes;
};

/* Sites by their names. */
struct sites {
	void *tree;
	struct site **table;
	size_t nr;
	size_t room;
};

void sites_add(struct sites *sites, const char *name, uint64_t nr, uint64_t bytes);
const struct site *sites_find(const struct sites *sites, const char *name);
void sites_sort(struct sites *sites);
void sites_free(struct sites *sites);

#endif
