// SPDX-License-Identifier: GPL-2.0
/* run: the summary, as text and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cmd/run/run.h"
#include "event/names.h"
#include "util/json.h"
#include "util/util.h"

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
	json_add_number(object, "bad_frees", run_failing(run));
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

void run_summary_text(const struct run *run, uint64_t lost)
{
	char command[48], id[SHORT_TEXT], size[SHORT_TEXT];
	const char *name = strrchr(run->command[0], '/');
	const struct lives_space *space;
	const struct place *place;
	size_t i;

	name = name && name[1] ? name + 1 : run->command[0];
	copy_text(command, sizeof(command), name, strlen(name));
	if (WIFEXITED(run->wait_status))
		printf("BUFFTRACK: %s (pid %d) exited with %d\n", command, run_pid,
		       WEXITSTATUS(run->wait_status));
	else
		printf("BUFFTRACK: %s (pid %d) was ended by signal %d\n", command, run_pid,
		       WTERMSIG(run->wait_status));
	printf("    allocs: %" PRIu64 ", frees: %" PRIu64 ", bad: %" PRIu64 "\n", run->allocs,
	       run->frees, run_failing(run));
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
		printf("    %" PRIu64 " event%s lost, report incomplete: raise --buffer-size\n",
		       lost, plural(lost));
	if (run->unloaded)
		printf("    the module was unloaded meanwhile: report incomplete\n");
}
