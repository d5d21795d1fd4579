// SPDX-License-Identifier: GPL-2.0
/*
 * Suppressions: bad verdicts that are known, and are not to be reported. A file of them
 * looks as valgrind's does: in braces a name, the kind of verdict, and a line for each
 * frame, innermost first.
 */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "report/report.h"
#include "report/suppress.h"
#include "report/words.h"
#include "symbol/stack.h"
#include "util/json.h"
#include "util/util.h"

#define SUPPRESSED_FRAMES 64

enum pattern_kind {
	PATTERN_FUNCTION,
	PATTERN_MODULE,
	PATTERN_SOURCE,
	PATTERN_ANY, /* any number of frames */
};

/* What one frame has to be. */
struct pattern {
	enum pattern_kind kind;
	char *text;
};

struct suppression {
	char *name;
	char *verdict;
	struct pattern patterns[SUPPRESSED_FRAMES];
	size_t nr;
	unsigned int line; /* where it stands in the file */
	uint64_t used;
};

struct suppressions {
	char *path;
	struct suppression *table;
	size_t nr;
};

/* ---- reading -------------------------------------------------------------- */

static char *copy(const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(xrealloc(NULL, len, 1), text, len);
}

/* Of a line, without the blanks around it. */
static char *strip(char *line)
{
	char *end;

	line += strspn(line, " \t");
	end = line + strlen(line);
	while (end > line && strchr(" \t\r\n", end[-1]))
		end--;
	*end = '\0';
	return line;
}

static bool add_pattern(struct suppression *suppression, const char *line)
{
	static const struct {
		const char *prefix;
		enum pattern_kind kind;
	} kinds[] = {
		{ "fun:", PATTERN_FUNCTION },
		{ "obj:", PATTERN_MODULE },
		{ "src:", PATTERN_SOURCE },
		{ "...", PATTERN_ANY },
	};
	struct pattern *pattern = &suppression->patterns[suppression->nr];
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		len = strlen(kinds[i].prefix);
		if (strncmp(line, kinds[i].prefix, len))
			continue;
		if (suppression->nr == SUPPRESSED_FRAMES ||
		    (kinds[i].kind == PATTERN_ANY ? line[len] : !line[len]))
			return false;
		*pattern = (struct pattern){ .kind = kinds[i].kind, .text = copy(line + len) };
		suppression->nr++;
		return true;
	}
	return false;
}

/* The verdict's name as JSON has it, also where it was written as in a report. */
static char *verdict_pattern(const char *line)
{
	char *text = copy(line), *at;

	for (at = text; *at; at++)
		if (*at == '-' || *at == ' ')
			*at = '_';
	return text;
}

/*
 * Takes one line of the file: @open is the suppression that it is a part of, NULL outside of
 * braces. Returns what is wrong with it, or NULL.
 */
static const char *take_line(struct suppressions *suppressions, struct suppression **open,
			     const char *line, unsigned int nr)
{
	struct suppression *now = *open;

	if (!now) {
		if (strcmp(line, "{"))
			return "a suppression begins with {";
		suppressions->table = xrealloc(suppressions->table, suppressions->nr + 1,
					       sizeof(*suppressions->table));
		now = &suppressions->table[suppressions->nr++];
		*now = (struct suppression){ .line = nr };
		*open = now;
	} else if (!strcmp(line, "}")) {
		*open = NULL;
		if (!now->verdict)
			return "a suppression has a name and a kind of verdict";
	} else if (!now->name) {
		now->name = copy(line);
	} else if (!now->verdict) {
		now->verdict = verdict_pattern(line);
	} else if (!add_pattern(now, line)) {
		return "not fun:FUNCTION, obj:MODULE, src:FILE[:LINE] or ..., or more than 64 of "
		       "them";
	}
	return NULL;
}

/* Reads a file of them. Returns NULL where it cannot, having said why. */
struct suppressions *suppressions_read(const char *path)
{
	struct suppressions *suppressions = xrealloc(NULL, 1, sizeof(*suppressions));
	FILE *file = fopen(path, "re");
	struct suppression *open = NULL;
	const char *wrong = NULL;
	char *text = NULL, *line;
	unsigned int nr = 0;
	size_t room = 0;

	*suppressions = (struct suppressions){ .path = copy(path) };
	if (!file) {
		complain("cannot open %s: %s", path, strerror(errno));
		suppressions_free(suppressions);
		return NULL;
	}
	while (!wrong && getline(&text, &room, file) >= 0) {
		nr++;
		line = strip(text);
		if (*line && *line != '#')
			wrong = take_line(suppressions, &open, line, nr);
	}
	if (!wrong && ferror(file))
		wrong = strerror(errno);
	if (!wrong && open)
		wrong = "the last suppression has no }";
	free(text);
	fclose(file);
	if (!wrong)
		return suppressions;
	complain("%s:%u: %s", path, nr, wrong);
	suppressions_free(suppressions);
	return NULL;
}

void suppressions_free(struct suppressions *suppressions)
{
	struct suppression *each;
	size_t i;

	if (!suppressions)
		return;
	for (each = suppressions->table; each < suppressions->table + suppressions->nr; each++) {
		for (i = 0; i < each->nr; i++)
			free(each->patterns[i].text);
		free(each->name);
		free(each->verdict);
	}
	free(suppressions->table);
	free(suppressions->path);
	free(suppressions);
}

/* ---- matching ------------------------------------------------------------- */

/* A file as a whole, or its name without the directories. */
static bool is_file(const char *pattern, const char *path)
{
	return path && (!fnmatch(pattern, path, 0) || !fnmatch(pattern, report_last_part(path), 0));
}

static bool is_source(const char *pattern, const struct stack_frame *frame)
{
	char *text;
	bool found;

	if (!frame->file || is_file(pattern, frame->file))
		return frame->file;
	if (asprintf(&text, "%s:%u", frame->file, frame->line) < 0)
		return false;
	found = is_file(pattern, text);
	free(text);
	return found;
}

static bool is_frame(const struct pattern *pattern, const struct stack_frame *frame)
{
	switch (pattern->kind) {
	case PATTERN_FUNCTION:
		return !fnmatch(pattern->text, frame->symbol ? frame->symbol : "???", 0);
	case PATTERN_MODULE:
		return is_file(pattern->text, frame->module);
	case PATTERN_SOURCE:
		return is_source(pattern->text, frame);
	case PATTERN_ANY:
		break;
	}
	return true;
}

/* Whether the stack begins with these frames; what is further out does not matter. */
static bool begins_with(const struct suppression *suppression, const struct stack *stack)
{
	size_t pattern = 0, frame = 0, again = 0, any = SIZE_MAX;

	while (pattern < suppression->nr) {
		if (suppression->patterns[pattern].kind == PATTERN_ANY) {
			any = pattern++;
			again = frame;
		} else if (frame == stack->nr) {
			return false;
		} else if (is_frame(&suppression->patterns[pattern], &stack->frames[frame])) {
			pattern++;
			frame++;
		} else if (any != SIZE_MAX) {
			/* One more frame is among the "..." before. */
			pattern = any + 1;
			frame = ++again;
		} else {
			return false;
		}
	}
	return true;
}

/* Whether an event is suppressed; the first suppression that fits is used. */
bool suppressions_match(struct suppressions *suppressions, const struct report_style *style,
			const struct event *event)
{
	const struct stack *stack = NULL;
	struct suppression *each;

	if (!suppressions)
		return false;
	for (each = suppressions->table; each < suppressions->table + suppressions->nr; each++) {
		if (fnmatch(each->verdict, event->name, 0))
			continue;
		if (!stack)
			stack = report_stack_of(style, report_culprit(event));
		if (!begins_with(each, stack))
			continue;
		each->used++;
		return true;
	}
	return false;
}

/* ---- telling -------------------------------------------------------------- */

/* How often each was used, and which were not. */
void suppressions_print(const struct suppressions *suppressions)
{
	const struct suppression *each;
	uint64_t sum = 0;

	if (!suppressions)
		return;
	for (each = suppressions->table; each < suppressions->table + suppressions->nr; each++)
		sum += each->used;
	printf("    suppressed: %" PRIu64 "\n", sum);
	for (each = suppressions->table; each < suppressions->table + suppressions->nr; each++)
		if (each->used)
			printf("        %" PRIu64 " by %s\n", each->used, each->name);
		else
			printf("        unused: %s (%s:%u)\n", each->name,
			       report_last_part(suppressions->path), each->line);
}

/* The same: an array of name and count. */
void suppressions_json(const struct suppressions *suppressions, struct json_object *object)
{
	struct json_object *array, *entry;
	const struct suppression *each;

	if (!suppressions)
		return;
	array = json_object_new_array();
	for (each = suppressions->table; each < suppressions->table + suppressions->nr; each++) {
		entry = json_object_new_object();
		json_add_text(entry, "name", each->name);
		json_add_number(entry, "used", each->used);
		json_object_array_add(array, entry);
	}
	json_add(object, "suppressions", array);
}

/* A name as a pattern that only it matches. */
static void print_literally(const char *prefix, const char *text)
{
	printf("   %s", prefix);
	for (; *text; text++) {
		if (strchr("*?[\\", *text))
			putchar('\\');
		putchar(*text);
	}
	putchar('\n');
}

/* Prints the suppression of an event, to be put into a file. */
void suppression_generate(const struct report_style *style, const struct event *event)
{
	const struct stack *stack = report_stack_of(style, report_culprit(event));
	const struct stack_frame *frame;
	size_t i;

	printf("{\n   <a name for this suppression>\n   %s\n", event->name);
	for (i = 0; i < stack->nr && i < SUPPRESSED_FRAMES; i++) {
		frame = &stack->frames[i];
		if (frame->symbol)
			print_literally("fun:", frame->symbol);
		else if (frame->module)
			print_literally("obj:", frame->module);
		else
			puts("   fun:\?\?\?");
	}
	puts("}");
	fflush(stdout);
}
