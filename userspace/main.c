// SPDX-License-Identifier: GPL-2.0
/* The table of commands, and what is common to all of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "util/util.h"

static const struct command *const commands[] = {
	&cmd_load, &cmd_unload, &cmd_status, &cmd_list,	  &cmd_who, &cmd_watch,
	&cmd_run,  &cmd_report, &cmd_diff,   &cmd_replay, &cmd_top, &cmd_serve,
};

static void print_help(FILE *out)
{
	size_t i;

	fputs("Usage: bufftrack COMMAND [OPTION...]\n"
	      "Says who freed which device buffer twice, and what is still allocated.\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s%s\n", commands[i]->name, commands[i]->help);
	fputs("  help      explain a command: bufftrack help COMMAND\n"
	      "\n"
	      "Options:\n"
	      "  -h, --help     this text; after a command, its own\n"
	      "  -V, --version  the version\n"
	      "\n"
	      "Examples:\n"
	      "  sudo bufftrack load            load the kernel module\n"
	      "  sudo bufftrack watch           report bad frees as they happen\n"
	      "  sudo bufftrack run -- ./test   report what a command does\n"
	      "  bufftrack list --older-than 5m what has been allocated for long\n"
	      "  bufftrack report trace.dat     report what trace-cmd or perf recorded\n"
	      "  bufftrack replay server.log    check a recorded log\n"
	      "\n"
	      "Exit codes: 0 done, 1 it failed (the message says why), 2 misused,\n"
	      "3 bad verdicts. run has those of the command, and 125 where it failed.\n",
	      out);
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i];
	complain("no such command: %s (see 'bufftrack --help')", name);
	return NULL;
}

static int help(int argc, char **argv)
{
	const struct command *command;

	if (argc > 2) {
		complain("help explains one command at a time");
		return EXIT_USAGE;
	}
	if (argc < 2) {
		print_help(stdout);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	return command ? command_help(command) : EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		complain("a command is missing");
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0) {
		printf("bufftrack %s\n", VERSION);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "help") == 0)
		return help(argc - 1, argv + 1);

	command = find_command(argv[1]);
	if (!command)
		return EXIT_USAGE;
	argv[1] = argv[0];
	return command->run(argc - 1, argv + 1);
}

/* A file that is opened is not to lie where output goes. */
static void fill_closed(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDONLY);
}

int main(int argc, char **argv)
{
	static char name[] = "bufftrack";
	int ret;

	fill_closed();
	if (argc > 0)
		argv[0] = name;
	ret = run(argc, argv);

	/* Output that could not be written is an error, except to a closed pipe. */
	if (fflush(stdout) || ferror(stdout)) {
		if (errno == EPIPE)
			return ret;
		complain("cannot write the output: %s", strerror(errno));
		return ret ? ret : EXIT_ERROR;
	}
	return ret;
}
