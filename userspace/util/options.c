// SPDX-License-Identifier: GPL-2.0
/* The options of a command, by its table. Each command has -h, --help besides. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/options.h"
#include "util/util.h"

/* Above every letter */
#define NO_LETTER 256

static uint64_t max_of(const struct option_spec *spec)
{
	return spec->max ? spec->max : UINT64_MAX;
}

static bool set_number(const struct option_spec *spec, const char *text)
{
	uint64_t value;

	if (!parse_number(text, &value)) {
		complain("not a number for --%s: %s", spec->name, text);
		return false;
	}
	if (value >= spec->min && value <= max_of(spec)) {
		*spec->number = value;
		return true;
	}
	if (spec->range)
		complain("--%s has to be %s, not %s", spec->name, spec->range, text);
	else
		complain("out of range for --%s: %s", spec->name, text);
	return false;
}

static bool set_duration(const struct option_spec *spec, const char *text)
{
	uint64_t value;

	if (parse_duration(text, &value) && value >= spec->min && value <= max_of(spec)) {
		*spec->duration = value;
		return true;
	}
	complain("not a duration%s%s for --%s: %s", spec->range ? " " : "",
		 spec->range ? spec->range : "", spec->name, text);
	return false;
}

static bool set_choice(const struct option_spec *spec, const char *text)
{
	char list[256] = "";
	size_t used = 0;
	unsigned int i;

	for (i = 0; spec->choices[i]; i++) {
		if (!strcmp(text, spec->choices[i])) {
			*spec->choice = i;
			return true;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 !i			? ""
						 : spec->choices[i + 1] ? ", "
									: " or ",
						 spec->choices[i]);
	}
	complain("--%s is %s, not %s", spec->name, list, text);
	return false;
}

static bool set_value(const struct option_spec *spec, const char *text)
{
	if (spec->given)
		*spec->given = true;
	if (spec->flag)
		*spec->flag = true;
	if (spec->text)
		*spec->text = text;
	if (spec->number)
		return set_number(spec, text);
	if (spec->duration)
		return set_duration(spec, text);
	if (spec->choice)
		return set_choice(spec, text);
	return true;
}

/* What getopt_long(3) returns for an option; one without a letter has its place. */
static int value_of(const struct option_spec *specs, size_t i)
{
	return specs[i].letter ? specs[i].letter : NO_LETTER + (int)i;
}

static const struct option_spec *find_spec(const struct option_spec *specs, size_t nr, int value)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (value_of(specs, i) == value)
			return &specs[i];
	return NULL;
}

static enum options_result parse(int argc, char **argv, const char *letters,
				 const struct option *names, const struct option_spec *specs,
				 size_t nr)
{
	enum options_result result = OPTIONS_FINE;
	const struct option_spec *spec;
	int value;

	while ((value = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		if (value == 'h')
			return OPTIONS_HELP;
		spec = find_spec(specs, nr, value);
		if (!spec)
			return OPTIONS_WRONG;
		if (!set_value(spec, optarg))
			result = OPTIONS_WRONG;
	}
	return result;
}

/**
 * options_parse - take the options out of a command line
 * @argc: of it
 * @argv: of it; getopt(3)'s optind is then the first word that is no option
 * @stop_at_word: what follows the first such word belongs to another command
 * @specs: what the command takes
 * @nr: how many these are
 */
enum options_result options_parse(int argc, char **argv, bool stop_at_word,
				  const struct option_spec *specs, size_t nr)
{
	struct option *names = xrealloc(NULL, nr + 2, sizeof(*names));
	char *letters = xrealloc(NULL, nr + 2, 2), *at = letters;
	enum options_result result;
	size_t i;

	if (stop_at_word)
		*at++ = '+';
	*at++ = 'h';
	for (i = 0; i < nr; i++) {
		names[i] = (struct option){
			.name = specs[i].name,
			.has_arg = specs[i].flag ? no_argument : required_argument,
			.val = value_of(specs, i),
		};
		if (!specs[i].letter)
			continue;
		*at++ = specs[i].letter;
		if (!specs[i].flag)
			*at++ = ':';
	}
	*at = '\0';
	names[nr] = (struct option){ .name = "help", .val = 'h' };
	names[nr + 1] = (struct option){ 0 };
	result = parse(argc, argv, letters, names, specs, nr);
	free(names);
	free(letters);
	return result;
}
