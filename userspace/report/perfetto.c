// SPDX-License-Identifier: GPL-2.0
/*
 * A trace for ui.perfetto.dev, in the JSON form that it shares with Chrome: a
 * counter for each space of a device, and an instant for each bad event.
 */
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "util/json.h"
#include "ledger/ledger.h"
#include "ledger/lives.h"
#include "report/perfetto.h"
#include "report/report.h"
#include "util/util.h"

/* The process of the counters: no real one can have that pid (PID_MAX_LIMIT). */
#define COUNTERS_PID 4194304U

struct perfetto {
	const char *path;
	FILE *file;
	bool begun;
	void *tasks;
};

/* A task that has been named. */
struct task {
	uint32_t pid;
	uint32_t tid;
};

static int compare_tasks(const void *first, const void *second)
{
	const struct task *a = first, *b = second;
	int order = compare_numbers(a->pid, b->pid);

	return order ? order : compare_numbers(a->tid, b->tid);
}

static void write_object(struct perfetto *perfetto, struct json_object *object)
{
	fputs(perfetto->begun ? ",\n" : "\n", perfetto->file);
	perfetto->begun = true;
	fputs(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE),
	      perfetto->file);
	json_object_put(object);
}

static struct json_object *new_object(const char *phase, const char *name, uint32_t pid,
				      uint32_t tid)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "ph", phase);
	json_add_text(object, "name", name);
	json_add_text(object, "cat", EVENT_SYSTEM);
	json_add_number(object, "pid", pid);
	json_add_number(object, "tid", tid);
	return object;
}

/* Microseconds, which the format wants. */
static void add_time(struct json_object *object, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 ".%03u", ns / 1000, (unsigned int)(ns % 1000));
	json_add(object, "ts", json_object_new_double_s((double)ns / 1e3, text));
}

static void write_name(struct perfetto *perfetto, const char *what, const struct task *task,
		       const char *name)
{
	struct json_object *object = new_object("M", what, task->pid, task->tid);
	struct json_object *args = json_object_new_object();

	json_add(args, "name", json_object_new_string(name));
	json_add(object, "args", args);
	write_object(perfetto, object);
}

/* Returns true for a task that is seen for the first time. */
static bool add_task(struct perfetto *perfetto, const struct task *task)
{
	struct task *copy;

	if (tfind(task, &perfetto->tasks, compare_tasks))
		return false;
	copy = xrealloc(NULL, 1, sizeof(*copy));
	*copy = *task;
	if (!tsearch(copy, &perfetto->tasks, compare_tasks)) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	return true;
}

static void name_task(struct perfetto *perfetto, const struct who *who)
{
	const struct task task = { who->pid, who->tid }, process = { who->pid, who->pid };

	if (add_task(perfetto, &process)) {
		write_name(perfetto, "process_name", &process, who->comm);
		write_name(perfetto, "thread_name", &process, who->comm);
	}
	if (add_task(perfetto, &task))
		write_name(perfetto, "thread_name", &task, who->comm);
}

static void write_counter(struct perfetto *perfetto, uint64_t time, const struct lives_space *space)
{
	struct json_object *object, *args = json_object_new_object();
	char device[SHORT_TEXT], name[SHORT_TEXT + 48];

	snprintf(name, sizeof(name), "device %s space %u live", format_id(device, space->device),
		 space->space);
	object = new_object("C", name, COUNTERS_PID, COUNTERS_PID);
	add_time(object, time);
	json_add_number(args, "bytes", space->bytes);
	json_add(object, "args", args);
	write_object(perfetto, object);
}

static void write_instant(struct perfetto *perfetto, const struct event *event)
{
	struct json_object *object, *args = json_object_new_object();

	name_task(perfetto, &event->by);
	object = new_object("i", event->name, event->by.pid, event->by.tid);
	json_add_text(object, "s", "t"); /* it belongs to the thread */
	add_time(object, event->by.time);
	json_add_id(args, "device", event->device);
	json_add_number(args, "space", event->space);
	json_add_id(args, "buffer", event->buffer);
	json_add_number(args, "size", event->size);
	json_add_number(args, "generation", event->generation);
	json_add_number(args, "token", event->token);
	json_add_number(args, "refs", event->refs);
	json_add_number(args, "nth", event->nth);
	json_add_bool(args, "certain", !(event->info & BUFFTRACK_INFO_PROBABLE));
	json_add(args, "freed", report_who_json(&event->life.freed));
	json_add(args, "allocated", report_who_json(&event->life.allocated));
	json_add(object, "args", args);
	write_object(perfetto, object);
}

/* Begins the file; says why where it cannot, and returns NULL. */
struct perfetto *perfetto_create(const char *path)
{
	const struct task counters = { COUNTERS_PID, COUNTERS_PID };
	struct perfetto *perfetto = xrealloc(NULL, 1, sizeof(*perfetto));

	*perfetto = (struct perfetto){ .path = path, .file = fopen(path, "we") };
	if (!perfetto->file) {
		complain("cannot create %s: %s", path, strerror(errno));
		free(perfetto);
		return NULL;
	}
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", perfetto->file);
	write_name(perfetto, "process_name", &counters, "bufftrack: live buffers");
	return perfetto;
}

/* Adds an event, which the ledger has taken: what it changed there, and a mark. */
void perfetto_add(struct perfetto *perfetto, const struct event *event, struct ledger *ledger)
{
	const struct lives_space *space;

	while ((space = ledger_changed(ledger)))
		write_counter(perfetto, event->by.time, space);
	if (event->kind == EVENT_BAD || event->kind == EVENT_LEAK)
		write_instant(perfetto, event);
}

/* Ends the file; says why where it could not be written, and returns false. */
bool perfetto_close(struct perfetto *perfetto)
{
	bool failed;

	fputs("\n]}\n", perfetto->file);
	failed = ferror(perfetto->file);
	if (fclose(perfetto->file) || failed) {
		complain("cannot write %s: %s", perfetto->path, strerror(errno));
		failed = true;
	}
	tdestroy(perfetto->tasks, free);
	free(perfetto);
	return !failed;
}
