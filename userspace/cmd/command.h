/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_COMMAND_H
#define BUFFTRACK_COMMAND_H

#include <stddef.h>

struct option_spec;

/* The exit codes, as the man page states them. */
enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
};

/* The options were in order: no exit code. */
#define COMMAND_GO_ON (-1)

/**
 * struct command - one subcommand of the tool
 * @name: what the user types
 * @help: one line for the list of commands
 * @usage: the whole of its --help, of which the first line is the synopsis
 * @run: does it; @argv[0] is the tool's name, for getopt's messages
 */
struct command {
	const char *name;
	const char *help;
	const char *usage;
	int (*run)(int argc, char **argv);
};

extern const struct command cmd_diff;
extern const struct command cmd_list;
extern const struct command cmd_load;
extern const struct command cmd_replay;
extern const struct command cmd_report;
extern const struct command cmd_run;
extern const struct command cmd_serve;
extern const struct command cmd_status;
extern const struct command cmd_top;
extern const struct command cmd_unload;
extern const struct command cmd_watch;
extern const struct command cmd_who;

int command_help(const struct command *command);
int command_misused(const struct command *command);
int command_options(const struct command *command, int argc, char **argv,
		    const struct option_spec *specs, size_t nr);
int command_options_before(const struct command *command, int argc, char **argv,
			   const struct option_spec *specs, size_t nr);
int command_options_only(const struct command *command, int argc, char **argv,
			 const struct option_spec *specs, size_t nr);

#endif
