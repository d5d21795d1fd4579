// SPDX-License-Identifier: GPL-2.0
/* What comes from each place in a program. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "report/site.h"
#include "util/util.h"

static int compare_names(const void *first, const void *second)
{
	const struct site *a = first, *b = second;

	return strcmp(a->name, b->name);
}

/* The site of that name; NULL where nothing came from there. */
const struct site *sites_find(const struct sites *sites, const char *name)
{
	const struct site wanted = { .name = (char *)(uintptr_t)name };
	struct site **found = tfind(&wanted, &sites->tree, compare_names);

	return found ? *found : NULL;
}

static struct site *new_site(struct sites *sites, const char *name)
{
	struct site *site = xrealloc(NULL, 1, sizeof(*site));
	size_t len = strlen(name) + 1;

	*site = (struct site){ .name = memcpy(xrealloc(NULL, len, 1), name, len) };
	if (!tsearch(site, &sites->tree, compare_names)) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	if (sites->nr == sites->room) {
		sites->room = sites->room ? 2 * sites->room : 64;
		sites->table = xrealloc(sites->table, sites->room, sizeof(*sites->table));
	}
	sites->table[sites->nr++] = site;
	return site;
}

/* Adds @nr of something, @bytes in all, to the site of that name. */
void sites_add(struct sites *sites, const char *name, uint64_t nr, uint64_t bytes)
{
	const struct site wanted = { .name = (char *)(uintptr_t)name };
	struct site **found = tfind(&wanted, &sites->tree, compare_names);
	struct site *site = found ? *found : new_site(sites, name);

	site->nr += nr;
	site->bytes += bytes;
}

/* Those with the most bytes first; of as many, in the order of their names. */
static int compare_bytes(const void *first, const void *second)
{
	const struct site *a = *(struct site *const *)first, *b = *(struct site *const *)second;
	int order = compare_numbers(b->bytes, a->bytes);

	if (!order)
		order = compare_numbers(b->nr, a->nr);
	return order ? order : strcmp(a->name, b->name);
}

void sites_sort(struct sites *sites)
{
	if (sites->nr)
		qsort(sites->table, sites->nr, sizeof(*sites->table), compare_bytes);
}

static void keep(void *node)
{
	(void)node;
}

void sites_free(struct sites *sites)
{
	size_t i;

	tdestroy(sites->tree, keep);
	for (i = 0; i < sites->nr; i++) {
		free(sites->table[i]->name);
		free(sites->table[i]);
	}
	free(sites->table);
	*sites = (struct sites){ 0 };
}
