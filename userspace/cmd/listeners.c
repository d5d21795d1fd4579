// SPDX-License-Identifier: GPL-2.0
/*
 * Who listens to the module's events by ftrace. That keeps no module from being
 * unloaded: the kernel erases each buffer that ever had one of them on, other modules'
 * events too, and warns of some triggers that were left.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/listeners.h"
#include "event/event.h"
#include "util/json.h"
#include "util/util.h"

/* The instances of bufftrack watch and run, which follow the module. */
#define OWN_INSTANCE "bufftrack-"

/* One more way to listen, and the command that ends it. */
static void name_one(struct json_object *array, const char *what, const char *end, const char *path)
{
	struct json_object *object = json_object_new_object();

	if (!json_object_array_length(array))
		complain("the events of the module are still in use by ftrace; end that first:");
	fprintf(stderr, "  %s:\n    echo '%s' >%s\n", what, end, path);
	json_add_text(object, "what", what);
	json_add_text(object, "end", end);
	json_add_text(object, "file", path);
	json_object_array_add(array, object);
}

/* A line of a trigger file, as it is written to end the trigger: without its state. */
static void name_trigger(struct json_object *array, const char *line, const char *path)
{
	char end[1024];
	const char *state;

	if (*line == '#' || *line == '\n' || !*line)
		return;
	state = strstr(line, " [");
	snprintf(end, sizeof(end), "!%.*s",
		 (int)(state ? (size_t)(state - line) : strcspn(line, "\n")), line);
	name_one(array, "a trigger", end, path);
}

static void look_at_triggers(struct json_object *array, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file))
		name_trigger(array, line, path);
	if (file)
		fclose(file);
}

static bool is_on(const char *path)
{
	FILE *file = fopen(path, "re");
	bool on = file && fgetc(file) == '1';

	if (file)
		fclose(file);
	return on;
}

/* The events of a buffer: that of ftrace itself, or an instance's. */
static void look_at_buffer(struct json_object *array, const char *buffer, bool own)
{
	char path[1024], system[512];
	struct dirent *entry;
	bool on = false;
	DIR *events;

	snprintf(system, sizeof(system), "%.400s/events/" EVENT_SYSTEM, buffer);
	events = opendir(system);
	while (events && (entry = readdir(events))) {
		if (strncmp(entry->d_name, EVENT_PREFIX, strlen(EVENT_PREFIX)))
			continue;
		snprintf(path, sizeof(path), "%s/%s/trigger", system, entry->d_name);
		look_at_triggers(array, path);
		snprintf(path, sizeof(path), "%s/%s/enable", system, entry->d_name);
		on |= is_on(path);
	}
	if (events)
		closedir(events);
	snprintf(path, sizeof(path), "%s/enable", system);
	if (on && !own)
		name_one(array, "events that are on", "0", path);
}

/**
 * listeners_name - name who listens to the module's events, and how to end it
 * @tracing: where tracefs is
 * @array: to which they are added
 *
 * Returns how many there are.
 */
unsigned int listeners_name(const char *tracing, struct json_object *array)
{
	char path[768];
	struct dirent *entry;
	DIR *instances;

	look_at_buffer(array, tracing, false);
	snprintf(path, sizeof(path), "%.300s/instances", tracing);
	instances = opendir(path);
	while (instances && (entry = readdir(instances))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.300s/instances/%.255s", tracing, entry->d_name);
		look_at_buffer(array, path,
			       strncmp(entry->d_name, OWN_INSTANCE, strlen(OWN_INSTANCE)) == 0);
	}
	if (instances)
		closedir(instances);
	return (unsigned int)json_object_array_length(array);
}
