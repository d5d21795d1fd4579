// SPDX-License-Identifier: GPL-2.0
/* The options of a command: what each kind takes, and what it refuses. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/options.h"
#include "util/util.h"

static unsigned int tests, failed;

static bool all, given;
static uint64_t size, code, span;
static const char *path;
static unsigned int check;

static const char *const checks[] = { "no", "summary", "full", NULL };

static const struct option_spec specs[] = {
	OPTION_FLAG('a', "all", &all),
	OPTION_NUMBER('b', "size", &size, .min = 1, .range = "at least 1", .given = &given),
	OPTION_NUMBER(0, "code", &code, .max = 255),
	OPTION_DURATION('t', "time", &span, .min = 1000, .max = 2000000000),
	OPTION_TEXT('o', "output", &path),
	OPTION_CHOICE(0, "check", &check, .choices = checks),
};

static void expect(const char *name, bool right)
{
	tests++;
	printf("%sok %u - options: %s\n", right ? "" : "not ", tests, name);
	failed += !right;
}

/* Parses a line of words, with everything as it is at first. */
static enum options_result parse(const char *line, bool stop_at_word)
{
	static char text[256];
	static char *argv[32];
	int argc = 0;

	all = false;
	given = false;
	size = 7;
	code = 7;
	span = 7;
	path = NULL;
	check = 1;
	optind = 0;
	snprintf(text, sizeof(text), "bufftrack %s", line);
	for (argv[argc] = strtok(text, " "); argv[argc]; argv[argc] = strtok(NULL, " "))
		argc++;
	return options_parse(argc, argv, stop_at_word, specs, ARRAY_SIZE(specs));
}

static bool fine(const char *line)
{
	return parse(line, false) == OPTIONS_FINE;
}

static bool wrong(const char *line)
{
	return parse(line, false) == OPTIONS_WRONG;
}

int main(void)
{
	expect("none", fine("") && !all && !given && size == 7 && check == 1 && optind == 1);
	expect("short ones",
	       fine("-a -b 16 -o out") && all && given && size == 16 && !strcmp(path, "out"));
	expect("long ones", fine("--all --size=0x10 --output out --code 255") && all &&
				    size == 16 && code == 255);
	expect("an abbreviation", fine("--out x") && !strcmp(path, "x"));
	expect("behind a word", fine("word -a") && all && optind == 2);
	expect("a duration", fine("-t 1.5s") && span == 1500000000);
	expect("a choice", fine("--check full") && check == 2);
	expect("a number below the least", wrong("-b 0") && size == 7);
	expect("a number above the most", wrong("--code 256") && code == 7);
	expect("no number", wrong("-b 1k") && wrong("-b -1") && wrong("-b 99999999999999999999"));
	expect("a duration out of range", wrong("-t 3s") && wrong("-t 1ns") && span == 7);
	expect("no duration", wrong("-t soon"));
	expect("no such choice", wrong("--check all") && check == 1);
	expect("no such option", wrong("-x") && wrong("--none"));
	expect("a value is missing", wrong("--code") && wrong("-b"));
	expect("a value too many", wrong("--all=yes"));
	expect("one is wrong, and the others are taken", wrong("-b 0 -a") && all);
	expect("help",
	       parse("-h", false) == OPTIONS_HELP && parse("--help", false) == OPTIONS_HELP);
	expect("stop at the first word",
	       parse("-a word -b 0", true) == OPTIONS_FINE && all && optind == 2);
	printf("1..%u\n", tests);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
