// SPDX-License-Identifier: GPL-2.0
/* run: what a command and its children do, and an exit status for it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "event/event.h"
#include "event/names.h"
#include "ledger/lives.h"
#include "report/group.h"
#include "util/json.h"
#include "abi/labels.h"
#include "report/report.h"
#include "util/signals.h"
#include "symbol/stack.h"
#include "source/trace.h"
#include "util/options.h"
#include "util/util.h"

#define DEFAULT_BUFFER_KB 4096
#define DEFAULT_ERROR_EXITCODE 3
/* How many frames a runtime is asked to pass, and whether to trap. */
#define STACK_VARIABLE "BUFFTRACK_STACK"
#define DEFAULT_STACK "32"
#define TRAP_VARIABLE "BUFFTRACK_TRAP"
/* As env(1) and the shells have them. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNAL 128

/* The kernel's PROC_PID_INIT_INO */
#define INITIAL_PID_NAMESPACE "pid:[4026531836]"

#define TICK_MS 1000
/* After so many events signals are let in. */
#define MAX_EVENTS 256

/* A set of numbers, in their order. */
struct numbers {
	uint64_t *values;
	size_t nr;
	size_t room;
};

/* What a space was called while the command had clients there. */
struct place {
	char device_label[BUFFTRACK_NAME_LEN];
	char space_label[BUFFTRACK_NAME_LEN];
};

enum leak_check {
	LEAK_CHECK_NO,
	LEAK_CHECK_SUMMARY,
	LEAK_CHECK_FULL,
};

struct run {
	struct report_style style;
	struct trace *trace;
	struct groups *groups; /* NULL where each event is told whole */
	char **command;
	const char *output; /* NULL for stderr */
	unsigned int leak_check; /* enum leak_check */
	bool json;
	bool no_group;
	bool trap;
	bool unknown;
	uint64_t error_exitcode;
	uint64_t buffer_kb;

	struct numbers tasks; /* that descend from the command */
	struct numbers clients; /* that these have opened */
	struct lives lives; /* that the command has begun */
	struct place *places; /* of each of their spaces */
	size_t nr_places;
	uint64_t allocs;
	uint64_t frees;
	uint64_t verdicts[BUFFTRACK_NR_VERDICTS + 1]; /* the last: not known */
	uint64_t leaked_bytes;
	bool unloaded; /* the module, meanwhile */
	bool given_up; /* its events could not be had again */
	int wait_status;
};

static pid_t command_pid;

/* ---- the numbers ---------------------------------------------------------- */

/* Where the value is, or would be. */
static size_t find_number(const struct numbers *numbers, uint64_t value)
{
	size_t low = 0, high = numbers->nr, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (numbers->values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_number(const struct numbers *numbers, uint64_t value)
{
	size_t at = find_number(numbers, value);

	return at < numbers->nr && numbers->values[at] == value;
}

static void add_number(struct numbers *numbers, uint64_t value)
{
	size_t at = find_number(numbers, value);

	if (at < numbers->nr && numbers->values[at] == value)
		return;
	if (numbers->nr == numbers->room) {
		numbers->room = numbers->room ? 2 * numbers->room : 64;
		numbers->values =
			xrealloc(numbers->values, numbers->room, sizeof(*numbers->values));
	}
	memmove(numbers->values + at + 1, numbers->values + at,
		(numbers->nr - at) * sizeof(*numbers->values));
	numbers->values[at] = value;
	numbers->nr++;
}

static void remove_number(struct numbers *numbers, uint64_t value)
{
	size_t at = find_number(numbers, value);

	if (at == numbers->nr || numbers->values[at] != value)
		return;
	numbers->nr--;
	memmove(numbers->values + at, numbers->values + at + 1,
		(numbers->nr - at) * sizeof(*numbers->values));
}

/* ---- the balance ---------------------------------------------------------- */

/* The labels go with the command's clients. */
static void note_labels(struct run *run, struct place *place, const struct lives_space *space)
{
	struct labels *labels = run->style.labels;
	const char *label;

	*place = (struct place){ 0 };
	label = labels_device(labels, space->device);
	if (label)
		snprintf(place->device_label, sizeof(place->device_label), "%s", label);
	label = labels_space(labels, space->device, space->space);
	if (label)
		snprintf(place->space_label, sizeof(place->space_label), "%s", label);
}

/* What the command does in the space of @event. */
static struct lives_space *space_of(struct run *run, const struct event *event)
{
	struct lives_space *space = lives_space(&run->lives, event->device, event->space);

	if (run->nr_places < run->lives.nr_spaces) {
		run->places = xrealloc(run->places, run->nr_places + 1, sizeof(*run->places));
		note_labels(run, &run->places[run->nr_places++], space);
	}
	return space;
}

static void take_alloc(struct run *run, const struct event *event)
{
	run->allocs++;
	space_of(run, event)->allocs++;
	/* What another has begun is no peak of the command's. */
	if (event->refs == 1)
		lives_begin(&run->lives, &(struct life){
						 .generation = event->generation,
						 .device = event->device,
						 .space = event->space,
						 .size = event->size,
					 });
}

/* ---- the events ----------------------------------------------------------- */

/*
 * Whether the command or one of its children has done it. Clients are closed by a
 * task that is on its way out, and named by the one that has opened them.
 */
static bool is_ours(const struct run *run, const struct event *event)
{
	if (event->kind == EVENT_LEAK || event->kind == EVENT_CLIENT_CLOSE)
		return has_number(&run->clients, event->client);
	return has_number(&run->tasks, event->by.tid);
}

static void follow_fork(struct run *run, const struct event *event)
{
	if (has_number(&run->tasks, event->by.tid))
		add_number(&run->tasks, event->child);
	else if (event->child != (uint32_t)command_pid)
		/* A number of ours that has come to be another's. */
		remove_number(&run->tasks, event->child);
}

static void account(struct run *run, const struct event *event, bool ours)
{
	switch (event->kind) {
	case EVENT_FORK:
		follow_fork(run, event);
		break;
	case EVENT_CLIENT_OPEN:
		if (ours)
			add_number(&run->clients, event->client);
		break;
	case EVENT_CLIENT_CLOSE:
		remove_number(&run->clients, event->client);
		break;
	case EVENT_RESET:
		lives_end_device(&run->lives, event->device);
		break;
	case EVENT_ALLOC:
		if (ours && !(event->flags & BUFFTRACK_F_VIEW))
			take_alloc(run, event);
		break;
	case EVENT_FREE:
		if (ours && !(event->flags & BUFFTRACK_F_VIEW)) {
			run->frees++;
			space_of(run, event)->frees++;
		}
		/* Another may have dropped the last hold of what is shared. */
		if (!event->refs)
			lives_end(&run->lives, event->generation);
		break;
	case EVENT_LEAK:
		if (ours) {
			run->verdicts[BUFFTRACK_LEAK]++;
			run->leaked_bytes += event->size;
		}
		if (!event->refs)
			lives_end(&run->lives, event->generation);
		break;
	case EVENT_BAD:
		if (ours)
			run->verdicts[event->verdict]++;
		if (event->verdict == BUFFTRACK_MISSED_FREE)
			lives_end(&run->lives, event->life.generation);
		break;
	}
}

static void tell(struct run *run, const struct event *event)
{
	uint64_t lost = trace_count_lost(run->trace);

	if (run->json)
		report_json(&run->style, event, lost);
	else if (!run->groups || groups_take(run->groups, event, monotonic_ns()))
		report_text(&run->style, event, lost);
	else
		return;
	fflush(stdout);
}

/*
 * Takes the events that are there: @max at most, and none after the first that is
 * later than @until. Returns whether there may be more.
 */
static bool take_events(struct run *run, bool flush, uint64_t max, uint64_t until)
{
	bool ours, more = false;
	struct event event;

	while (max-- && (more = trace_next(run->trace, flush, &event))) {
		ours = is_ours(run, &event);
		account(run, &event, ours);
		if (ours && (event.kind == EVENT_BAD ||
			     (event.kind == EVENT_LEAK && run->leak_check == LEAK_CHECK_FULL)))
			tell(run, &event);
		if (event.by.time > until)
			break;
	}
	if (run->groups) {
		groups_tell_due(run->groups, monotonic_ns());
		fflush(stdout);
	}
	return more;
}

/* ---- the summary ---------------------------------------------------------- */

/* All bad verdicts, but those that may be of a buffer from before the tracking. */
static uint64_t bad_frees(const struct run *run)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(run->verdicts); i++)
		if (i != BUFFTRACK_LEAK && (i != BUFFTRACK_UNKNOWN_FREE || run->unknown))
			sum += run->verdicts[i];
	return sum;
}

static int command_status(const struct run *run)
{
	if (WIFEXITED(run->wait_status))
		return WEXITSTATUS(run->wait_status);
	return EXIT_SIGNAL + WTERMSIG(run->wait_status);
}

static void summary_json(const struct run *run, uint64_t lost)
{
	struct json_object *object = json_object_new_object();
	struct json_object *places = json_object_new_array(), *entry;
	const struct lives_space *space;
	char text[256];
	size_t i;

	copy_text(text, sizeof(text), run->command[0], strlen(run->command[0]));
	json_add_text(object, "event", "summary");
	json_add_text(object, "command", text);
	json_add_number(object, "pid", (uint64_t)command_pid);
	json_add_number(object, "status", (uint64_t)command_status(run));
	json_add_number(object, "allocs", run->allocs);
	json_add_number(object, "frees", run->frees);
	json_add_number(object, "bad_frees", bad_frees(run));
	for (i = BUFFTRACK_DOUBLE_FREE; i < BUFFTRACK_NR_VERDICTS; i++)
		json_add_number(object, verdict_name((unsigned int)i), run->verdicts[i]);
	json_add_number(object, "leaked_bytes", run->leaked_bytes);
	for (i = 0; i < run->nr_places; i++) {
		space = &run->lives.spaces[i];
		entry = json_object_new_object();
		json_add_id(entry, "device", space->device);
		json_add_text(entry, "device_label", run->places[i].device_label);
		json_add_number(entry, "space", space->space);
		json_add_text(entry, "space_label", run->places[i].space_label);
		json_add_number(entry, "allocs", space->allocs);
		json_add_number(entry, "frees", space->frees);
		json_add_number(entry, "peak_bytes", space->peak_bytes);
		json_object_array_add(places, entry);
	}
	json_add(object, "spaces", places);
	json_add_number(object, "lost", lost);
	json_add_bool(object, "unloaded", run->unloaded);
	json_print(object);
}

static void summary_text(const struct run *run, uint64_t lost)
{
	char command[48], id[SHORT_TEXT], size[SHORT_TEXT];
	const char *name = strrchr(run->command[0], '/');
	const struct lives_space *space;
	const struct place *place;
	size_t i;

	name = name && name[1] ? name + 1 : run->command[0];
	copy_text(command, sizeof(command), name, strlen(name));
	if (WIFEXITED(run->wait_status))
		printf("BUFFTRACK: %s (pid %d) exited with %d\n", command, command_pid,
		       WEXITSTATUS(run->wait_status));
	else
		printf("BUFFTRACK: %s (pid %d) was ended by signal %d\n", command, command_pid,
		       WTERMSIG(run->wait_status));
	printf("    allocs: %" PRIu64 ", frees: %" PRIu64 ", bad: %" PRIu64 "\n", run->allocs,
	       run->frees, bad_frees(run));
	for (i = BUFFTRACK_DOUBLE_FREE; i < BUFFTRACK_LEAK; i++)
		if (run->verdicts[i])
			printf("    %s: %" PRIu64 "%s\n", verdict_name((unsigned int)i),
			       run->verdicts[i],
			       i == BUFFTRACK_UNKNOWN_FREE && !run->unknown
				       ? " (not counted without --unknown)"
				       : "");
	if (run->verdicts[BUFFTRACK_NR_VERDICTS])
		printf("    others: %" PRIu64 "\n", run->verdicts[BUFFTRACK_NR_VERDICTS]);
	if (run->leak_check != LEAK_CHECK_NO)
		printf("    leaked: %" PRIu64 ", %" PRIu64 " bytes%s\n",
		       run->verdicts[BUFFTRACK_LEAK], run->leaked_bytes,
		       run->verdicts[BUFFTRACK_LEAK] && run->leak_check != LEAK_CHECK_FULL
			       ? " (--leak-check=full tells which)"
			       : "");
	for (i = 0; i < run->nr_places; i++) {
		space = &run->lives.spaces[i];
		place = &run->places[i];
		printf("    peak: %s bytes on device %s", format_size(size, space->peak_bytes),
		       place->device_label[0] ? place->device_label : format_id(id, space->device));
		if (place->space_label[0])
			printf(" %s\n", place->space_label);
		else
			printf(" space %u\n", space->space);
	}
	if (lost)
		printf("    %" PRIu64 " event%s lost, so this is not all; --buffer-size makes "
		       "more room\n",
		       lost, plural(lost));
	if (run->unloaded)
		printf("    the module was unloaded meanwhile, so this is not all\n");
}

/* ---- the command ---------------------------------------------------------- */

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

/* Whether it is not yet known that it has. */
static bool command_is_over(void)
{
	siginfo_t ended = { 0 };

	return waitid(P_PID, (id_t)command_pid, &ended, WEXITED | WNOHANG | WNOWAIT) ||
	       ended.si_pid;
}

/*
 * The terminal's signals reach the command by themselves. One that comes when the command
 * is over is meant for the report; but not the terminal's first one, which may have ended
 * the command.
 */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	static volatile sig_atomic_t seen;
	int saved = errno;

	(void)context;
	if (command_is_over()) {
		if (info->si_code != SI_KERNEL || seen)
			signals_stop();
	} else if (info->si_code != SI_KERNEL) {
		kill(command_pid, signal);
	}
	seen = seen || info->si_code == SI_KERNEL;
	errno = saved;
}

static void wake_up(int signal)
{
	(void)signal;
}

/* Signals are let in only between the events. Fills in the mask for that. */
static void block_signals(sigset_t *inherited)
{
	sigset_t blocked;
	size_t i;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&blocked, passed_on[i]);
	sigprocmask(SIG_BLOCK, &blocked, inherited);
}

/* After the fork: the command has inherited what was there. */
static void catch_signals(sigset_t *signals)
{
	struct sigaction pass = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO };
	struct sigaction old;
	sigset_t passed;
	size_t i;

	sigemptyset(&passed);
	sigdelset(signals, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++) {
		sigaction(passed_on[i], NULL, &old);
		if (old.sa_handler == SIG_IGN)
			continue;
		sigaction(passed_on[i], &pass, NULL);
		sigdelset(signals, passed_on[i]);
		sigaddset(&passed, passed_on[i]);
	}
	signals_pass_on(&passed);
	signal(SIGPIPE, SIG_IGN);
}

/* The command has ended: what comes from here on is meant for the report. */
static void take_signals(void)
{
	sigset_t unused;

	signals_let_in();
	signals_catch(&unused);
}

/* In the child. What goes wrong is written to @failed. */
static void execute(const struct run *run, const sigset_t *mask, const struct sigaction *inherited,
		    int failed)
{
	int error;

	sigaction(SIGCHLD, inherited, NULL);
	setenv(STACK_VARIABLE, DEFAULT_STACK, 0);
	if (run->trap)
		setenv(TRAP_VARIABLE, "1", 1);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(run->command[0], run->command);
	error = errno;
	if (write(failed, &error, sizeof(error)) < 0)
		_exit(EXIT_ERROR);
	_exit(EXIT_NOT_FOUND);
}

/* Starts the command. Returns EXIT_OK, or what to exit with. */
static int start_command(const struct run *run, const sigset_t *mask)
{
	struct sigaction child = { .sa_handler = wake_up }, inherited;
	int failed[2], error = 0;
	ssize_t len;

	if (pipe2(failed, O_CLOEXEC)) {
		complain("cannot make a pipe: %s", strerror(errno));
		return EXIT_ERROR;
	}
	/* Where it was ignored nothing would be told, or left, of a child that has ended. */
	sigaction(SIGCHLD, &child, &inherited);
	command_pid = fork();
	if (command_pid == 0)
		execute(run, mask, &inherited, failed[1]);
	close(failed[1]);
	if (command_pid < 0) {
		complain("cannot fork: %s", strerror(errno));
		close(failed[0]);
		return EXIT_ERROR;
	}
	len = read(failed[0], &error, sizeof(error));
	close(failed[0]);
	if (len <= 0)
		return EXIT_OK;
	waitpid(command_pid, NULL, 0);
	complain("cannot run %s: %s", run->command[0], strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/* From here on what is printed goes to the report, not to the command's output. */
static bool redirect(int to)
{
	if (dup2(to, STDOUT_FILENO) >= 0)
		return true;
	complain("cannot redirect the report: %s", strerror(errno));
	return false;
}

/* Its clients are closed, and the next one numbers them and their lives anew. */
static void forget_module(struct run *run)
{
	stacks_forget(run->style.stacks);
	labels_forget(run->style.labels);
	lives_end_all(&run->lives);
	run->clients.nr = 0;
}

static void follow_module(struct run *run)
{
	if (run->given_up)
		return;
	switch (trace_refresh(run->trace)) {
	case TRACE_SAME:
		break;
	case TRACE_GONE:
		take_events(run, true, UINT64_MAX, monotonic_ns());
		if (run->groups)
			groups_end(run->groups);
		forget_module(run);
		run->unloaded = true;
		complain("the module was unloaded: not all will be told");
		break;
	case TRACE_BACK:
		complain("the module is loaded again: what comes now is told");
		break;
	case TRACE_FAILED:
		run->given_up = true;
		break;
	}
}

static bool command_ended(struct run *run)
{
	pid_t ended = waitpid(command_pid, &run->wait_status, WNOHANG);

	if (ended >= 0 || errno != ECHILD)
		return ended == command_pid;
	complain("what the command exited with is not known");
	run->wait_status = W_EXITCODE(EXIT_ERROR, 0);
	return true;
}

static int follow_command(struct run *run, const sigset_t *signals)
{
	bool more = false;
	uint64_t lost;

	add_number(&run->tasks, (uint64_t)command_pid);
	while (!command_ended(run)) {
		trace_wait(run->trace, more ? 0 : TICK_MS, signals, -1);
		more = take_events(run, false, MAX_EVENTS, UINT64_MAX);
		follow_module(run);
		signals_let_in();
	}
	take_signals();
	/* Of a module that was unloaded last there is a notice. */
	trace_wait(run->trace, 0, NULL, -1);
	follow_module(run);
	trace_stop(run->trace);
	take_events(run, true, UINT64_MAX, monotonic_ns());
	if (run->groups)
		groups_end(run->groups);

	lost = trace_count_lost(run->trace);
	if (run->json)
		summary_json(run, lost);
	else
		summary_text(run, lost);
	if (run->error_exitcode && bad_frees(run))
		return (int)run->error_exitcode;
	if (run->error_exitcode && run->leak_check == LEAK_CHECK_FULL &&
	    run->verdicts[BUFFTRACK_LEAK])
		return (int)run->error_exitcode;
	return command_status(run);
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
		return EXIT_ERROR;
	output = open_output(run);
	if (output < 0)
		return EXIT_ERROR;
	block_signals(&signals);
	run->trace = trace_create(true, true, run->buffer_kb);
	if (!run->trace)
		return EXIT_ERROR;
	run->style.labels = labels_new();
	run->style.stacks = stacks_new();
	if (!run->json && !run->no_group)
		run->groups = groups_new(&run->style);
	ret = start_command(run, &signals);
	if (ret == EXIT_OK) {
		catch_signals(&signals);
		if (redirect(output)) {
			run->style.colour = report_wants_colour(stdout);
			ret = follow_command(run, &signals);
		} else {
			ret = EXIT_ERROR;
		}
	}
	groups_free(run->groups);
	stacks_free(run->style.stacks);
	labels_free(run->style.labels);
	trace_destroy(run->trace);
	lives_free(&run->lives);
	free(run->places);
	free(run->tasks.values);
	free(run->clients.values);
	return ret;
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
		.buffer_kb = DEFAULT_BUFFER_KB,
	};
	const struct option_spec options[] = {
		OPTION_NUMBER('b', "buffer-size", &run.buffer_kb, .min = 1,
			      .range = "at least 1 (KB a CPU)"),
		OPTION_NUMBER('e', "error-exitcode", &run.error_exitcode, .max = 255,
			      .range = "at most 255"),
		OPTION_FLAG('G', "no-group", &run.no_group),
		OPTION_FLAG('j', "json", &run.json),
		OPTION_CHOICE('l', "leak-check", &run.leak_check, .choices = leak_checks),
		OPTION_TEXT('o', "output", &run.output),
		OPTION_FLAG('t', "trap", &run.trap),
		OPTION_FLAG('u', "unknown", &run.unknown),
	};
	int ret = command_options_before(&cmd_run, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (optind == argc) {
		complain("a command to run is missing");
		return command_misused(&cmd_run);
	}
	run.command = argv + optind;
	return run_command(&run);
}

const struct command cmd_run = {
	.name = "run",
	.help = "run a command, and report what it does",
	.usage = "Usage: bufftrack run [OPTION...] [--] COMMAND [ARGUMENT...]\n"
		 "Runs a command, reports the bad frees of it and its children, and sums up.\n"
		 "Exits with 3 where there was one, else as the command does (128 and the signal\n"
		 "where that ended it). Here each bad verdict is one, also of an alloc; a leak is\n"
		 "not. Needs root, and the module loaded (bufftrack load).\n"
		 "\n"
		 "Options:\n"
		 "  -b, --buffer-size KB    room for events not yet read, a CPU (4096)\n"
		 "  -e, --error-exitcode N  what a bad free exits with (3); 0: as the command\n"
		 "  -G, --no-group          tell each bad free whole; otherwise those after the\n"
		 "                          fifth from the same two stacks are counted\n"
		 "  -h, --help              this text\n"
		 "  -j, --json              one JSON object a line, the summary last\n"
		 "  -l, --leak-check WHAT   no: nothing; summary: how many (so if not given);\n"
		 "                          full: report each, and exit as for a bad free\n"
		 "  -o, --output FILE       report there instead of to stderr\n"
		 "  -t, --trap              ask the runtime for a SIGTRAP at a bad free, so that\n"
		 "                          a debugger stops there (sets BUFFTRACK_TRAP=1)\n"
		 "  -u, --unknown           frees of unknown buffers are bad frees, too\n"
		 "\n"
		 "Examples:\n"
		 "  sudo bufftrack run --leak-check=full -- ./test --all\n"
		 "  sudo bufftrack run -- sudo -u \"$USER\" --preserve-env=BUFFTRACK_STACK ./test\n"
		 "  sudo bufftrack run --json --output run.jsonl -- python3 train.py\n"
		 "  sudo bufftrack run --trap -- gdb --args ./test\n",
	.run = run_main,
};
