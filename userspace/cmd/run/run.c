// SPDX-License-Identifier: GPL-2.0
/* run: what a command and its children do, and an exit status for it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/run/run.h"
#include "event/event.h"
#include "report/suppress.h"
#include "source/trace.h"
#include "util/options.h"
#include "util/signals.h"
#include "util/util.h"

#define DEFAULT_BUFFER_KB 4096
#define DEFAULT_ERROR_EXITCODE 3

/* The kernel's PROC_PID_INIT_INO */
#define INITIAL_PID_NAMESPACE "pid:[4026531836]"

#define TICK_MS 1000
#define LOOK_MS 100
/* After so many events signals are let in. */
#define MAX_EVENTS 256

/*
 * Takes the events that are there: @max at most, and none after the first that is
 * later than @until. Returns whether there may be more.
 */
static bool take_events(struct run *run, bool flush, uint64_t max, uint64_t until)
{
	bool ours, told, suppressed, more = false;
	struct event event;

	while (max-- && (more = trace_next(run->live.trace, flush, &event))) {
		ours = run_is_ours(run, &event);
		told = ours && (event.kind == EVENT_BAD ||
				(event.kind == EVENT_LEAK && run->leak_check == LEAK_CHECK_FULL));
		suppressed = told &&
			     suppressions_match(run->suppressions, &run->live.style, &event);
		run_account(run, &event, ours, suppressed);
		if (told && !suppressed && live_tell(&run->live, &event) && run->gen_suppressions)
			suppression_generate(&run->live.style, &event);
		if (event.by.time > until)
			break;
	}
	live_tell_due(&run->live);
	fflush(stdout);
	return more;
}

/* From here on what is printed goes to the report, not to the command's output. */
static bool redirect(int to)
{
	if (dup2(to, STDOUT_FILENO) >= 0)
		return true;
	complain("cannot redirect the report: %s", strerror(errno));
	return false;
}

static void follow_module(struct run *run)
{
	if (run->given_up)
		return;
	switch (trace_refresh(run->live.trace)) {
	case TRACE_SAME:
		break;
	case TRACE_GONE:
		take_events(run, true, UINT64_MAX, monotonic_ns());
		run_forget_module(run);
		run->unloaded = true;
		complain("the module was unloaded: report incomplete");
		break;
	case TRACE_BACK:
		complain("the module is loaded again: its events are reported");
		break;
	case TRACE_FAILED:
		run->given_up = true;
		break;
	}
}

/* Shorter while it is not known what the command loads. */
static int tick(const struct run *run)
{
	return run->runtimes.set & ~run->runtimes.loaded ? LOOK_MS : TICK_MS;
}

static int follow_command(struct run *run, const sigset_t *signals)
{
	bool more = false;
	int status;
	uint64_t lost;

	numbers_add(&run->tasks, (uint64_t)run_pid);
	while (!run_command_ended(run)) {
		runtimes_look(&run->runtimes, &run->tasks);
		trace_wait(run->live.trace, more ? 0 : tick(run), signals, -1);
		more = take_events(run, false, MAX_EVENTS, UINT64_MAX);
		follow_module(run);
		signals_let_in();
	}
	run_take_signals();
	/* Of a module that was unloaded last there is a notice. */
	trace_wait(run->live.trace, 0, NULL, -1);
	follow_module(run);
	trace_stop(run->live.trace);
	take_events(run, true, UINT64_MAX, monotonic_ns());
	live_end_groups(&run->live);
	run_own_end(run);

	lost = trace_count_lost(run->live.trace);
	if (run->live.json)
		run_summary_json(run, lost);
	else
		run_summary_text(run, lost);
	status = run_exit_status(run, lost);
	/* Not all was seen: a bad free that was is told by its own status. */
	if (runtimes_tell(&run->runtimes, run->live.json) && run->require_client && !status)
		return EXIT_RUN_FAILED;
	return status;
}

static int open_output(const struct run *run)
{
	int fd = STDERR_FILENO;

	if (run->output)
		fd = open(run->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		complain("cannot write %s: %s", run->output, strerror(errno));
	return fd;
}

/* Without /proc it cannot be told. */
static bool ids_are_ours(void)
{
	char name[sizeof(INITIAL_PID_NAMESPACE) + 1] = "";

	if (readlink("/proc/self/ns/pid", name, sizeof(name) - 1) < 0 ||
	    !strcmp(name, INITIAL_PID_NAMESPACE))
		return true;
	complain("processes have other ids here than in the kernel's events: run this in the\n"
		 "initial pid namespace, on the host or in a container that has its\n"
		 "(docker run --pid=host)");
	return false;
}

static int run_command(struct run *run)
{
	sigset_t signals;
	int output, ret;

	if (!ids_are_ours())
		return EXIT_RUN_FAILED;
	output = open_output(run);
	if (output < 0)
		return EXIT_RUN_FAILED;
	run_block_signals(&signals);
	if (!live_open(&run->live, true, true))
		return EXIT_RUN_FAILED;
	run_own_begin(run);
	ret = run_start(run, &signals);
	if (ret == EXIT_OK) {
		run_catch_signals(&signals);
		if (redirect(output)) {
			run->live.style.colour = report_wants_colour(stdout);
			ret = follow_command(run, &signals);
		} else {
			ret = EXIT_RUN_FAILED;
		}
	}
	if (ret == EXIT_OK && (fflush(stdout) || ferror(stdout)))
		ret = EXIT_RUN_FAILED;
	live_close(&run->live);
	lives_free(&run->lives);
	free(run->places);
	free(run->tasks.values);
	free(run->clients.values);
	return ret;
}

/* Whether two options are given that exclude each other. */
static bool both(const char *first, bool has_first, const char *second, bool has_second)
{
	if (!has_first || !has_second)
		return false;
	complain("--%s and --%s exclude each other", first, second);
	return true;
}

static int run_main(int argc, char **argv)
{
	static const char *const leak_checks[] = {
		[LEAK_CHECK_NO] = "no",
		[LEAK_CHECK_SUMMARY] = "summary",
		[LEAK_CHECK_FULL] = "full",
		NULL,
	};
	struct run run = {
		.leak_check = LEAK_CHECK_SUMMARY,
		.error_exitcode = DEFAULT_ERROR_EXITCODE,
		.live.buffer_kb = DEFAULT_BUFFER_KB,
	};
	const char *user = NULL, *suppressions = NULL;
	bool as_root = false;
	const struct option_spec options[] = {
		OPTION_FLAG(0, "allow-loss", &run.allow_loss),
		OPTION_FLAG(0, "as-root", &as_root),
		OPTION_NUMBER('b', "buffer-size", &run.live.buffer_kb, .min = 1,
			      .range = "at least 1 (KB a CPU)"),
		OPTION_TEXT(0, "debuginfo-path", &run.live.debug_path),
		OPTION_NUMBER('e', "error-exitcode", &run.error_exitcode, .max = 255,
			      .range = "at most 255"),
		OPTION_FLAG('G', "no-group", &run.live.no_group),
		OPTION_FLAG(0, "gen-suppressions", &run.gen_suppressions),
		OPTION_TEXT(0, "interpose", &run.runtimes.interpose),
		OPTION_FLAG('j', "json", &run.live.json),
		OPTION_CHOICE('l', "leak-check", &run.leak_check, .choices = leak_checks),
		OPTION_FLAG(0, "no-unknown", &run.no_unknown),
		OPTION_TEXT('o', "output", &run.output),
		OPTION_FLAG(0, "protect", &run.runtimes.protect),
		OPTION_FLAG(0, "require-client", &run.require_client),
		OPTION_TEXT(0, "runtime", &run.runtimes.wanted),
		OPTION_TEXT(0, "suppressions", &suppressions),
		OPTION_TEXT(0, "symfs", &run.live.symfs),
		OPTION_FLAG('t', "trap", &run.trap),
		OPTION_FLAG('u', "unknown", &run.unknown),
		OPTION_TEXT(0, "user", &user),
	};
	int ret = command_options_before(&cmd_run, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (optind == argc) {
		complain("a command to run is missing");
		return command_misused(&cmd_run);
	}
	if (both("as-root", as_root, "user", user) ||
	    both("unknown", run.unknown, "no-unknown", run.no_unknown) ||
	    both("json", run.live.json, "gen-suppressions", run.gen_suppressions) ||
	    !runtimes_choose(&run.runtimes))
		return command_misused(&cmd_run);
	run.command = argv + optind;
	if (!as_root && !run_find_user(&run.user, user))
		return EXIT_RUN_FAILED;
	if (suppressions)
		run.suppressions = suppressions_read(suppressions);
	if (suppressions && !run.suppressions)
		return EXIT_RUN_FAILED;
	ret = run_command(&run);
	suppressions_free(run.suppressions);
	return ret;
}

const struct command cmd_run = {
	.name = "run",
	.help = "run a command, and report what it does",
	.usage =
		"Usage: bufftrack run [OPTION...] [--] COMMAND [ARGUMENT...]\n"
		"Runs a command, reports the bad frees of it and its children, and sums up.\n"
		"Exits with 3 where there was one, else as the command does (128 and the signal\n"
		"where that ended it); with 125 where run itself failed, or where the command\n"
		"was fine, and not all that it did was seen. Here each bad verdict counts, also\n"
		"of an alloc; a leak does not. Needs root, and the module loaded (bufftrack\n"
		"load). Under sudo the command runs as the user who called sudo.\n"
		"\n"
		"Options:\n"
		"      --allow-loss        lost events and an unloaded module are no failure\n"
		"      --as-root           under sudo: run the command as root\n"
		"  -b, --buffer-size KB    room for events not yet read, a CPU (4096)\n"
		"      --debuginfo-path DIRS  more directories with debug files, looked into\n"
		"                          before /usr/lib/debug; colons between them\n"
		"  -e, --error-exitcode N  what a bad free exits with (3); 0: as the command\n"
		"  -G, --no-group          tell each bad free whole; otherwise those after the\n"
		"                          fifth from the same two stacks are counted\n"
		"      --gen-suppressions  print a suppression beneath each report\n"
		"  -h, --help              this text\n"
		"      --interpose FILE    see the buffers of the functions in this table\n"
		"  -j, --json              one JSON object a line, the summary last\n"
		"  -l, --leak-check WHAT   no: nothing; summary: how many (so if not given);\n"
		"                          full: report each, and exit as for a bad free\n"
		"      --no-unknown        frees of unknown buffers are no bad frees\n"
		"  -o, --output FILE       report there instead of to stderr\n"
		"      --protect           a bad free does not reach the runtime: its layer keeps\n"
		"                          it back, and the program goes on\n"
		"      --require-client    fail where nothing was tracked\n"
		"      --runtime NAME,...  see these runtimes' buffers through layers: opencl,\n"
		"                          vulkan; auto (if not given): all that there are; none\n"
		"      --suppressions FILE\n"
		"                          bad verdicts that are known, and not to be reported\n"
		"      --symfs DIR         look for files with symbols below this root\n"
		"  -t, --trap              ask the runtime for a SIGTRAP at a bad free, so that\n"
		"                          a debugger stops there (sets BUFFTRACK_TRAP=1)\n"
		"  -u, --unknown           all frees of unknown buffers are bad frees, also those\n"
		"                          that may be of a buffer from before the tracking\n"
		"      --user NAME         run the command as that user\n"
		"\n"
		"Examples:\n"
		"  sudo bufftrack run --leak-check=full -- ./test --all\n"
		"  sudo bufftrack run --require-client --json --output run.jsonl -- ./test\n"
		"  sudo bufftrack run -- python3 train.py\n"
		"  sudo bufftrack run --trap -- gdb --args ./test\n",
	.run = run_main,
};
