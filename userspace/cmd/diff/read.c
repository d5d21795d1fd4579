// SPDX-License-Identifier: GPL-2.0
/*
 * diff: the bad verdicts and leaks of one file by their sites. The file is what run, watch
 * or report has printed, as JSON or as text, or a recording.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/labels.h"
#include "cmd/diff/diff.h"
#include "event/event.h"
#include "event/names.h"
#include "report/report.h"
#include "report/site.h"
#include "report/words.h"
#include "source/recording.h"
#include "symbol/stack.h"
#include "util/util.h"

#define SUMMARY "SUMMARY: "
#define GROUP "BUFFTRACK: "
#define SITE_TEXT 512

/* The line of a source file changes as the file does: it is not looked at. */
static void cut_line_number(char *where)
{
	char *colon = strrchr(where, ':');

	if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
	    strchr(where, ' '))
		*colon = '\0';
}

static void add(struct sites *sites, const char *event, const char *where, uint64_t nr,
		uint64_t bytes)
{
	char text[SITE_TEXT], place[REPORT_WHERE_TEXT];
	char *at;

	snprintf(place, sizeof(place), "%s", where);
	cut_line_number(place);
	snprintf(text, sizeof(text), "%.100s %s", event, place);
	for (at = text; *at && *at != ' '; at++)
		if (*at == '_')
			*at = '-';
	sites_add(sites, text, nr, bytes);
}

/* ---- what was printed as JSON --------------------------------------------- */

static const char *member_text(struct json_object *object, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/* The innermost frame, in the form that SUMMARY lines have. */
static void json_where(struct json_object *event, const char *party, char where[REPORT_WHERE_TEXT])
{
	struct json_object *object = NULL, *stack = NULL, *frame = NULL;
	const char *symbol, *file, *module, *offset;

	snprintf(where, REPORT_WHERE_TEXT, "no-stack");
	if (!json_object_object_get_ex(event, party, &object) ||
	    !json_object_object_get_ex(object, "stack", &stack) ||
	    !json_object_is_type(stack, json_type_array) || !json_object_array_length(stack))
		return;
	frame = json_object_array_get_idx(stack, 0);
	symbol = member_text(frame, "symbol");
	file = member_text(frame, "file");
	module = member_text(frame, "module");
	offset = member_text(frame, "offset");
	if (symbol && file)
		snprintf(where, REPORT_WHERE_TEXT, "%.200s %.100s", symbol, report_last_part(file));
	else if (symbol)
		snprintf(where, REPORT_WHERE_TEXT, "%.200s", symbol);
	else if (module && offset)
		snprintf(where, REPORT_WHERE_TEXT, "%.100s+%.30s", report_last_part(module),
			 offset);
	else if (member_text(frame, "address"))
		snprintf(where, REPORT_WHERE_TEXT, "%.30s", member_text(frame, "address"));
}

static void take_json(struct sites *sites, const char *line)
{
	struct json_object *event = json_tokener_parse(line), *size = NULL;
	const char *name = event ? member_text(event, "event") : NULL;
	char where[REPORT_WHERE_TEXT];
	unsigned int verdict;

	if (name) {
		verdict = verdict_of_name(name);
		if (verdict != BUFFTRACK_OK && verdict != BUFFTRACK_NR_VERDICTS) {
			json_where(event, verdict == BUFFTRACK_LEAK ? "allocated" : "offender",
				   where);
			json_object_object_get_ex(event, "size", &size);
			add(sites, name, where, 1, json_object_get_uint64(size));
		}
	}
	json_object_put(event);
}

/* ---- what was printed as text --------------------------------------------- */

/* KIND WHERE device NAME SPACE SIZE */
static void take_summary(struct sites *sites, char *line)
{
	char *where = strchr(line, ' '), *device = strstr(line, " device "), *size;

	if (!where || !device || device <= where)
		return;
	size = strrchr(device, ' ');
	*where++ = '\0';
	*device = '\0';
	add(sites, line, where, 1, strtoull(size + 1, NULL, 10));
}

/* "N more of KIND in WHERE from the same stack, M in all": how many bytes is not said. */
static void take_group(struct sites *sites, char *line)
{
	char *kind, *where, *end, *at;
	uint64_t nr = strtoull(line, &end, 10);

	if (end == line || strncmp(end, " more of ", 9))
		return;
	kind = end + 9;
	where = strstr(kind, " in ");
	end = strstr(kind, " from the same ");
	if (!where || !end || end <= where)
		return;
	*where = '\0';
	*end = '\0';
	for (at = kind; *at; at++)
		if (*at == ' ')
			*at = '-';
	add(sites, kind, where + 4, nr, 0);
}

static bool read_lines(struct sites *sites, FILE *file)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, file) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		if (*line == '{')
			take_json(sites, line);
		else if (!strncmp(line, SUMMARY, strlen(SUMMARY)))
			take_summary(sites, line + strlen(SUMMARY));
		else if (!strncmp(line, GROUP, strlen(GROUP)))
			take_group(sites, line + strlen(GROUP));
	}
	free(line);
	return !ferror(file);
}

/* ---- a recording ---------------------------------------------------------- */

static bool is_recording(FILE *file)
{
	static const char trace_dat[] = "\027\010\104tracing", perf_data[] = "PERFILE2";
	char magic[sizeof(trace_dat)] = "";
	size_t len = fread(magic, 1, sizeof(magic) - 1, file);

	rewind(file);
	return (len >= strlen(trace_dat) && !memcmp(magic, trace_dat, strlen(trace_dat))) ||
	       (len >= strlen(perf_data) && !memcmp(magic, perf_data, strlen(perf_data)));
}

static bool read_recording(struct sites *sites, char *path)
{
	struct report_style style = { 0 };
	struct recording *recording = recording_open(&path, 1);
	struct recording_facts facts;
	struct recorded recorded;
	char where[REPORT_WHERE_TEXT];

	if (!recording)
		return false;
	style.labels = labels_of_recording();
	style.stacks = stacks_of_recording();
	while (recording_next(recording, &recorded)) {
		if (recorded.event.kind != EVENT_BAD && recorded.event.kind != EVENT_LEAK)
			continue;
		if (recorded.nr_frames)
			recorded.event.by.stack =
				stacks_resolve(style.stacks, recorded.frames, recorded.nr_frames);
		add(sites, recorded.event.name, report_where(&style, &recorded.event, where), 1,
		    recorded.event.size);
	}
	recording_close(recording, &facts);
	labels_free(style.labels);
	stacks_free(style.stacks);
	if (!facts.error[0])
		return true;
	complain("%s could not be read to its end: %s", path, facts.error);
	return false;
}

/* Adds the sites of a file. Returns false where it could not be read, having said why. */
bool diff_read(struct sites *sites, char *path)
{
	FILE *file = fopen(path, "re");
	bool done;

	if (!file) {
		complain("cannot open %s: %s", path, strerror(errno));
		return false;
	}
	if (is_recording(file)) {
		done = read_recording(sites, path);
	} else {
		done = read_lines(sites, file);
		if (!done)
			complain("cannot read %s: %s", path, strerror(errno));
	}
	fclose(file);
	return done;
}
