/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_OPTIONS_H
#define BUFFTRACK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct option_spec - one option of a command, and where its value goes
 * @letter: its short form; 0 where it has none
 * @name: its long form, without the dashes
 * @flag: set to true: the option takes no value
 * @number: takes a number from @min to @max
 * @max: 0 for no limit
 * @duration: takes a duration of at least @min ns, at most @max
 * @range: the words for that range, in the message where it is exceeded
 * @text: takes any text
 * @choice: takes one of @choices, and is set to its index
 * @choices: NULL at their end
 * @given: set to true where the option was given; may be NULL
 *
 * Written by the macros below; one of @flag, @number, @duration, @text and @choice.
 */
struct option_spec {
	char letter;
	const char *name;
	bool *flag;
	uint64_t *number;
	uint64_t *duration;
	uint64_t min;
	uint64_t max;
	const char *range;
	const char **text;
	unsigned int *choice;
	const char *const *choices;
	bool *given;
};

#define OPTION_FLAG(...) OPTION_SPEC(flag, __VA_ARGS__)
#define OPTION_NUMBER(...) OPTION_SPEC(number, __VA_ARGS__)
#define OPTION_DURATION(...) OPTION_SPEC(duration, __VA_ARGS__)
#define OPTION_TEXT(...) OPTION_SPEC(text, __VA_ARGS__)
#define OPTION_CHOICE(...) OPTION_SPEC(choice, __VA_ARGS__)
#define OPTION_SPEC(kind, short_form, long_form, ...)                            \
	{                                                                        \
		.letter = (short_form), .name = (long_form), .kind = __VA_ARGS__ \
	}

enum options_result {
	OPTIONS_FINE,
	OPTIONS_HELP, /* --help was asked for */
	OPTIONS_WRONG, /* what is wrong has been said */
};

enum options_result options_parse(int argc, char **argv, bool stop_at_word,
				  const struct option_spec *specs, size_t nr);

#endif
