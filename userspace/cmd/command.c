// SPDX-License-Identifier: GPL-2.0
/* What the commands have in common: their options, and how they are explained. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "util/options.h"
#include "util/util.h"

/* Prints a command's whole help, as it was asked for. */
int command_help(const struct command *command)
{
	fputs(command->usage, stdout);
	return EXIT_OK;
}

/* Says how a command is used, after what was wrong has been said. */
int command_misused(const struct command *command)
{
	const char *end = strchr(command->usage, '\n');

	fprintf(stderr, "%.*s\nTry 'bufftrack %s --help'.\n", (int)(end - command->usage),
		command->usage, command->name);
	return EXIT_USAGE;
}

static int parse(const struct command *command, int argc, char **argv, bool stop_at_word,
		 const struct option_spec *specs, size_t nr)
{
	switch (options_parse(argc, argv, stop_at_word, specs, nr)) {
	case OPTIONS_FINE:
		return COMMAND_GO_ON;
	case OPTIONS_HELP:
		return command_help(command);
	case OPTIONS_WRONG:
		break;
	}
	return command_misused(command);
}

/**
 * command_options - take the options out of a command's line
 * @command: which has been called
 * @argc: as it was called
 * @argv: as it was called; getopt(3)'s optind is then the first word that is no option
 * @specs: what it takes, besides --help
 * @nr: how many these are
 *
 * Returns COMMAND_GO_ON, or what to exit with.
 */
int command_options(const struct command *command, int argc, char **argv,
		    const struct option_spec *specs, size_t nr)
{
	return parse(command, argc, argv, false, specs, nr);
}

/* The same, where what follows the first word that is no option belongs to that word. */
int command_options_before(const struct command *command, int argc, char **argv,
			   const struct option_spec *specs, size_t nr)
{
	return parse(command, argc, argv, true, specs, nr);
}

/* The same, of a command that takes nothing but options. */
int command_options_only(const struct command *command, int argc, char **argv,
			 const struct option_spec *specs, size_t nr)
{
	int ret = parse(command, argc, argv, false, specs, nr);

	if (ret != COMMAND_GO_ON || optind == argc)
		return ret;
	complain("%s takes no argument: %s", command->name, argv[optind]);
	return command_misused(command);
}
