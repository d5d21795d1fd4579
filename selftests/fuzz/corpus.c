// SPDX-License-Identifier: GPL-2.0
/* The programs that are kept: each a file, named by what is in it. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static void add(struct corpus *corpus, const struct program *program)
{
	if (corpus->nr == corpus->room) {
		corpus->room = corpus->room ? 2 * corpus->room : 64;
		corpus->programs =
			realloc(corpus->programs, corpus->room * sizeof(corpus->programs[0]));
		if (!corpus->programs)
			die("no memory");
	}
	corpus->programs[corpus->nr++] = *program;
}

static void name(const struct corpus *corpus, const struct program *program, char *to, size_t len)
{
	snprintf(to, len, "%s/%016llx", corpus->directory,
		 (unsigned long long)program_hash(program));
}

/* The short ones first: what they reach, a longer one need not be kept for. */
static int compare(const void *a, const void *b)
{
	const struct program *x = a, *y = b;
	uint64_t hash_x, hash_y;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	hash_x = program_hash(x);
	hash_y = program_hash(y);
	return hash_x < hash_y ? -1 : hash_x > hash_y;
}

void corpus_load(struct corpus *corpus)
{
	DIR *dir = opendir(corpus->directory);
	struct program program;
	struct dirent *entry;
	char path[4096];

	if (!dir)
		die("%s: %s", corpus->directory, strerror(errno));
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", corpus->directory, entry->d_name);
		if (program_read(&program, path) && program.nr)
			add(corpus, &program);
	}
	closedir(dir);
	qsort(corpus->programs, corpus->nr, sizeof(corpus->programs[0]), compare);
}

void corpus_add(struct corpus *corpus, const struct program *program)
{
	char path[4096];
	FILE *to;

	add(corpus, program);
	if (!corpus->directory)
		return;
	name(corpus, program, path, sizeof(path));
	to = fopen(path, "we");
	if (!to)
		die("%s: %s", path, strerror(errno));
	program_write(program, to);
	if (fclose(to))
		die("%s: %s", path, strerror(errno));
}

void corpus_delete(const struct corpus *corpus, const struct program *program)
{
	char path[4096];

	name(corpus, program, path, sizeof(path));
	if (unlink(path) && errno != ENOENT)
		die("%s: %s", path, strerror(errno));
}
