// SPDX-License-Identifier: GPL-2.0
/* Suppressions: which files are taken, and which bad verdicts they fit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"
#include "report/report.h"
#include "report/suppress.h"
#include "symbol/stack.h"
#include "util/json.h"
#include "util/util.h"

static unsigned int tests, failed;
static char path[] = "/tmp/bufftrack-suppress-XXXXXX";

static void expect(const char *name, bool wanted, bool seen)
{
	tests++;
	printf("%sok %u - suppress: %s\n", wanted == seen ? "" : "not ", tests, name);
	failed += wanted != seen;
}

static struct suppressions *read_text(const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file || fputs(text, file) < 0 || fclose(file)) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	return suppressions_read(path);
}

static struct stack_frame frames[] = {
	{ .symbol = "Buffer::release",
	  .file = "/src/buffer.cpp",
	  .line = 433,
	  .module = "/lib/a.so.1" },
	{ .symbol = "operator[]", .module = "/lib/a.so.1" },
	{ .module = "/opt/b.so" },
	{ .symbol = "main", .file = "main.c", .line = 7, .module = "/bin/app" },
};

static struct stack stack = { .nr = ARRAY_SIZE(frames), .frames = frames };
static struct stack no_stack;

static bool matches(const char *patterns, const char *verdict, const struct stack *of)
{
	struct event event = { .kind = EVENT_BAD, .by = { .time = 1, .stack = of } };
	static struct report_style style;
	struct suppressions *suppressions;
	char text[4096];
	bool found;

	snprintf(text, sizeof(text), "# known\n\n{\n  a name\n%s}\n", patterns);
	snprintf(event.name, sizeof(event.name), "%s", verdict);
	suppressions = read_text(text);
	found = suppressions && suppressions_match(suppressions, &style, &event);
	suppressions_free(suppressions);
	return found;
}

static void test_matching(void)
{
	expect("by its kind alone", true, matches("double_free\n", "double_free", &stack));
	expect("another kind", false, matches("double_free\n", "stale_free", &stack));
	expect("kinds by a wildcard", true, matches("*_free\n", "stale_free", &stack));
	expect("a kind as a report has it", true, matches("stale-free\n", "stale_free", &stack));
	expect("a function", true, matches("*\nfun:Buffer::release\n", "leak", &stack));
	expect("functions by a wildcard", true, matches("*\nfun:Buffer::*\n", "leak", &stack));
	expect("another function", false, matches("*\nfun:Buffer\n", "leak", &stack));
	expect("a quoted wildcard", true, matches("*\nfun:*\nfun:operator\\[]\n", "leak", &stack));
	expect("a function that is not known", true,
	       matches("*\nfun:*\nfun:*\nfun:\?\?\?\nfun:main\n", "leak", &stack));
	expect("a module by its path", true, matches("*\nobj:/lib/*.so*\n", "leak", &stack));
	expect("a module by its name", true, matches("*\nobj:a.so.1\n", "leak", &stack));
	expect("another module", false, matches("*\nobj:b.so\n", "leak", &stack));
	expect("a file", true, matches("*\nsrc:buffer.cpp\n", "leak", &stack));
	expect("a file and its line", true, matches("*\nsrc:buffer.cpp:433\n", "leak", &stack));
	expect("another line", false, matches("*\nsrc:buffer.cpp:43\n", "leak", &stack));
	expect("a frame without a file", false, matches("*\nfun:*\nsrc:*\n", "leak", &stack));
	expect("any frames between", true, matches("*\n...\nfun:main\n", "leak", &stack));
	expect("no frames between", true, matches("*\n...\nfun:Buffer::*\n", "leak", &stack));
	expect("any frames, twice", true,
	       matches("*\n...\nobj:b.so\n...\nsrc:main.c:7\n", "leak", &stack));
	expect("in another order", false,
	       matches("*\n...\nfun:main\n...\nobj:b.so\n", "leak", &stack));
	expect("a frame too many", false,
	       matches("*\nfun:*\nfun:*\nfun:*\nfun:*\nfun:*\n", "leak", &stack));
	expect("any frames at the end", true, matches("*\n...\nfun:main\n...\n", "leak", &stack));
	expect("no stack, and a frame is wanted", false, matches("*\nfun:*\n", "leak", &no_stack));
	expect("no stack, and none is wanted", true, matches("*\n...\n", "leak", &no_stack));
}

static bool is_taken(const char *text)
{
	struct suppressions *suppressions = read_text(text);

	suppressions_free(suppressions);
	return suppressions;
}

static void test_reading(void)
{
	char text[4096] = "{\nname\nleak\n";
	int i;

	for (i = 0; i < 65; i++)
		strcat(text, "fun:f\n");
	strcat(text, "}\n");
	expect("an empty file is taken", true, is_taken(""));
	expect("remarks and two of them are taken", true,
	       is_taken("# one\n{\n one\t\n double_free\n fun:a\n}\n{\n two\n leak\n ...\n}\n"));
	expect("no brace", false, is_taken("name\ndouble_free\n"));
	expect("no end", false, is_taken("{\nname\ndouble_free\n"));
	expect("no kind", false, is_taken("{\nname\n}\n"));
	expect("no such line", false, is_taken("{\nname\nleak\ncall:main\n}\n"));
	expect("what follows the dots", false, is_taken("{\nname\nleak\n...x\n}\n"));
	expect("an empty function", false, is_taken("{\nname\nleak\nfun:\n}\n"));
	expect("too many frames", false, is_taken(text));
	unlink(path);
	expect("no such file", false, suppressions_read(path));
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0) {
		perror(path);
		return EXIT_FAILURE;
	}
	close(fd);
	test_matching();
	test_reading();
	printf("1..%u\n", tests);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
