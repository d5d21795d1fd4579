// SPDX-License-Identifier: GPL-2.0
/* run: the summary, as text and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cmd/run/run.h"
#include "event/names.h"
#include "report/suppress.h"
#include "util/json.h"
#include "util/util.h"

/* Whether neither the command nor a child of it has had a client. */
static bool nothing_tracked(const struct run *run)
{
	uint64_t sum = run->nr_clients + run->allocs + run->frees;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(run->verdicts); i++)
		sum += run->verdicts[i];
	return !sum;
}

/* Whether all that the command did was seen. */
static bool is_complete(const struct run *run, uint64_t lost)
{
	return !lost && !run->unloaded && !run->given_up;
}

/* The likeliest reason for which nothing was tracked. */
static const char *why_nothing(const struct run *run)
{
	const char *switched = getenv("BUFFTRACK");

	if (switched && !strcmp(switched, "off"))
		return "BUFFTRACK=off is set: unset it";
	if (run->no_access == EACCES || run->no_access == EPERM)
		return "its user may not open /dev/bufftrack: add the user to the group bufftrack";
	if (run->no_access)
		return "it cannot open /dev/bufftrack: in a container, pass the device to it";
	return "it does not use libbufftrack, or what it started is no child of it\n"
	       "    (a container engine, a service)";
}

/**
 * run_exit_status - what run exits with
 * @run: when the command has ended
 * @lost: how many events were lost
 *
 * A clean status is given only for a run that is complete.
 */
int run_exit_status(const struct run *run, uint64_t lost)
{
	int status = run_command_status(run);

	if (run->error_exitcode && run->failing)
		return (int)run->error_exitcode;
	if (status)
		return status;
	if (run->require_client && nothing_tracked(run))
		return EXIT_RUN_FAILED;
	if (run->error_exitcode && !run->allow_loss && !is_complete(run, lost))
		return EXIT_RUN_FAILED;
	return 0;
}

void run_summary_json(const struct run *run, uint64_t lost)
{
	struct json_object *object = json_object_new_object();
	struct json_object *places = json_object_new_array(), *entry;
	const struct lives_space *space;
	char text[256];
	size_t i;

	copy_text(text, sizeof(text), run->command[0], strlen(run->command[0]));
	json_add_text(object, "event", "summary");
	json_add_text(object, "command", text);
	json_add_number(object, "pid", (uint64_t)run_pid);
	json_add_number(object, "status", (uint64_t)run_command_status(run));
	json_add_number(object, "allocs", run->allocs);
	json_add_number(object, "frees", run->frees);
	json_add_number(object, "bad_frees", run->failing);
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
	suppressions_json(run->suppressions, object);
	json_add_number(object, "clients", run->nr_clients);
	json_add_bool(object, "complete", is_complete(run, lost));
	json_add_text(object, "not_tracked", nothing_tracked(run) ? why_nothing(run) : NULL);
	json_print(object);
}

/* What the command came to. */
static void print_command(const struct run *run)
{
	const char *name = strrchr(run->command[0], '/');
	char command[48];

	name = name && name[1] ? name + 1 : run->command[0];
	copy_text(command, sizeof(command), name, strlen(name));
	if (WIFEXITED(run->wait_status))
		printf("BUFFTRACK: %s (pid %d) exited with %d\n", command, run_pid,
		       WEXITSTATUS(run->wait_status));
	else
		printf("BUFFTRACK: %s (pid %d) was ended by signal %d\n", command, run_pid,
		       WTERMSIG(run->wait_status));
}

static void print_unknown(const struct run *run)
{
	uint64_t all = run->verdicts[BUFFTRACK_UNKNOWN_FREE];
	uint64_t ignored = run->ignored_unknown;

	if (!all)
		return;
	printf("    %s: %" PRIu64, verdict_name(BUFFTRACK_UNKNOWN_FREE), all);
	if (ignored && run->no_unknown)
		printf(" (not counted: --no-unknown)");
	else if (ignored)
		printf(" (%" PRIu64 " may be of older buffers: counted with --unknown)", ignored);
	putchar('\n');
}

static void print_verdicts(const struct run *run)
{
	unsigned int i;

	printf("    allocs: %" PRIu64 ", frees: %" PRIu64 ", bad: %" PRIu64 "\n", run->allocs,
	       run->frees, run->failing);
	for (i = BUFFTRACK_DOUBLE_FREE; i < BUFFTRACK_LEAK; i++)
		if (i == BUFFTRACK_UNKNOWN_FREE)
			print_unknown(run);
		else if (run->verdicts[i])
			printf("    %s: %" PRIu64 "\n", verdict_name(i), run->verdicts[i]);
	if (run->verdicts[BUFFTRACK_NR_VERDICTS])
		printf("    others: %" PRIu64 "\n", run->verdicts[BUFFTRACK_NR_VERDICTS]);
	if (run->leak_check != LEAK_CHECK_NO)
		printf("    leaked: %" PRIu64 ", %" PRIu64 " bytes%s\n",
		       run->verdicts[BUFFTRACK_LEAK], run->leaked_bytes,
		       run->verdicts[BUFFTRACK_LEAK] && run->leak_check != LEAK_CHECK_FULL
			       ? " (--leak-check=full tells which)"
			       : "");
}

static void print_peaks(const struct run *run)
{
	char id[SHORT_TEXT], size[SHORT_TEXT];
	const struct lives_space *space;
	const struct place *place;
	size_t i;

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
}

void run_summary_text(const struct run *run, uint64_t lost)
{
	print_command(run);
	print_verdicts(run);
	suppressions_print(run->suppressions);
	print_peaks(run);
	if (nothing_tracked(run))
		printf("    nothing was tracked: no process of the command opened /dev/bufftrack;\n"
		       "    %s\n",
		       why_nothing(run));
	if (lost)
		printf("    %" PRIu64 " event%s lost, report incomplete: raise --buffer-size\n",
		       lost, plural(lost));
	if (run->unloaded)
		printf("    the module was unloaded meanwhile: report incomplete\n");
}
