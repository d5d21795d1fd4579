// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The table: one function a line.
 *
 *	KIND FUNCTION[,ALIAS...] WORD=VALUE...
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/table.h"

static const char *const kinds[] = {
	[TABLE_ALLOC] = "alloc", [TABLE_FREE] = "free", [TABLE_RETAIN] = "retain",
	[TABLE_VIEW] = "view",	 [TABLE_END] = "end",
};

struct reader {
	const char *path;
	unsigned int line;
	const char **spaces;
	bool failed;
};

static bool wrong(struct reader *reader, const char *what, const char *word)
{
	fprintf(stderr, "bufftrack: %s:%u: %s: %s\n", reader->path, reader->line, what, word);
	reader->failed = true;
	return false;
}

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* "arg1" to "arg6"; returns what is behind it, or NULL. */
static const char *read_arg(const char *text, unsigned int *arg)
{
	if (strncmp(text, "arg", 3) || text[3] < '1' || text[3] > '0' + TABLE_ARGS)
		return NULL;
	*arg = text[3] - '1';
	return text + 4;
}

static bool read_value(const char *text, struct table_value *value)
{
	const char *rest;

	if (!strcmp(text, "return")) {
		value->from = TABLE_RETURN;
		return true;
	}
	if (read_number(text, &value->number)) {
		value->from = TABLE_NUMBER;
		return true;
	}
	value->from = *text == '*' ? TABLE_AT_ARG : TABLE_ARG;
	rest = read_arg(text + (*text == '*'), &value->arg);
	if (!rest || !*rest)
		return rest;
	value->from = TABLE_PRODUCT;
	rest = *text != '*' && *rest == '*' ? read_arg(rest + 1, &value->second) : NULL;
	return rest && !*rest;
}

static bool read_success(const char *text, struct table_rule *rule)
{
	rule->success = TABLE_EQUAL;
	if (!strcmp(text, "any")) {
		rule->success = TABLE_ANY;
		return true;
	}
	if (!strcmp(text, "nonzero")) {
		rule->success = TABLE_NOT_EQUAL;
		return true;
	}
	return read_number(text, &rule->result);
}

/* A space by its name: it gets a number when it is first named. */
static bool read_space(const char *text, struct table_rule *rule, const char **spaces)
{
	for (rule->space = 1; rule->space <= TABLE_SPACES; rule->space++) {
		if (!spaces[rule->space])
			spaces[rule->space] = strdup(text);
		if (spaces[rule->space] && !strcmp(spaces[rule->space], text))
			return true;
	}
	return false;
}

static bool read_word(struct reader *reader, struct table_rule *rule, char *word)
{
	char *text = strchr(word, '=');
	bool good;

	if (!text)
		return wrong(reader, "a word without a value", word);
	*text++ = '\0';
	if (!strcmp(word, "pointer"))
		good = read_value(text, &rule->pointer);
	else if (!strcmp(word, "size"))
		good = read_value(text, &rule->size);
	else if (!strcmp(word, "device"))
		good = read_value(text, &rule->device);
	else if (!strcmp(word, "tag"))
		good = read_value(text, &rule->tag);
	else if (!strcmp(word, "parent"))
		good = read_value(text, &rule->parent);
	else if (!strcmp(word, "success"))
		good = read_success(text, rule);
	else if (!strcmp(word, "space"))
		good = read_space(text, rule, reader->spaces);
	else
		return wrong(reader, "no such word", word);
	return good || wrong(reader, "not a value", text);
}

static bool read_kind(struct reader *reader, const char *word, struct table_rule *rule)
{
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(word, kinds[i])) {
			rule->kind = i;
			return true;
		}
	return wrong(reader, "no such kind (alloc, free, retain, view, end)", word);
}

/* The parts that each kind cannot do without. */
static bool is_whole(struct reader *reader, const struct table_rule *rule)
{
	if (rule->kind == TABLE_END)
		return true;
	if (rule->pointer.from == TABLE_NONE)
		return wrong(reader, "pointer= is missing", rule->function);
	if (rule->kind == TABLE_VIEW && rule->parent.from == TABLE_NONE)
		return wrong(reader, "parent= is missing", rule->function);
	if ((rule->kind == TABLE_FREE || rule->kind == TABLE_RETAIN) &&
	    rule->pointer.from == TABLE_RETURN)
		return wrong(reader, "pointer=return of what is freed or retained", rule->function);
	return true;
}

/* One rule for each name: each has a function of its own below it. */
static void add_names(struct table_rule **rules, const struct table_rule *rule, char *names)
{
	struct table_rule *added;
	char *name, *rest = names;

	while ((name = strsep(&rest, ","))) {
		added = malloc(sizeof(*added));
		if (!added)
			return;
		*added = *rule;
		added->function = strdup(name);
		added->next = *rules;
		*rules = added;
	}
}

static void read_line(struct reader *reader, char *line, struct table_rule **rules)
{
	struct table_rule rule = { .space = 1, .device = { .from = TABLE_NUMBER } };
	char *word, *names = NULL, *rest = line;
	unsigned int nr = 0;

	line[strcspn(line, "#\n")] = '\0';
	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		if (nr == 0 && !read_kind(reader, word, &rule))
			return;
		if (nr == 1)
			rule.function = names = word;
		if (nr++ > 1 && !read_word(reader, &rule, word))
			return;
	}
	if (nr == 1)
		wrong(reader, "a function's name is missing", line);
	if (nr > 1 && is_whole(reader, &rule))
		add_names(rules, &rule, names);
}

struct table_rule *table_read(const char *path, const char *spaces[LAYER_SPACES])
{
	struct reader reader = { .path = path, .spaces = spaces };
	struct table_rule *rules = NULL;
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	if (!file) {
		fprintf(stderr, "bufftrack: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	while (getline(&line, &room, file) >= 0) {
		reader.line++;
		read_line(&reader, line, &rules);
	}
	free(line);
	fclose(file);
	/* Half a table would tell of faults that are none. */
	return reader.failed ? NULL : rules;
}

struct table_rule *table_find(struct table_rule *rules, const char *function)
{
	for (; rules; rules = rules->next)
		if (!strcmp(rules->function, function))
			return rules;
	return NULL;
}
