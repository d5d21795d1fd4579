// SPDX-License-Identifier: GPL-2.0
/*
 * The lines of a log: those of the allocation server, in its two forms, and the
 * events of 'bufftrack watch --json'. What is none of these is not for us.
 */
#include <ctype.h>
#include <errno.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <linux/bufftrack.h>
#include <stdlib.h>
#include <string.h>

#include "source/replay_parse.h"
#include "util/util.h"

/* The server begins its lines with one of these; an emoji may have a selector. */
static const char *const marks[] = { "\u2713", "\u2717", "\u26a0" };
#define VARIATION_SELECTOR "\ufe0f"

/* Takes out what steers a terminal: colours, carriage returns. */
static void strip_controls(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\033' && text[1] == '[') {
			text += 2;
			while (*text && !(*text >= 0x40 && *text <= 0x7e))
				text++;
			if (*text)
				text++;
		} else if (*text == '\033' || *text == '\r' || *text == '\n') {
			text++;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		++*at;
}

/* Takes @word, whose blanks stand for one blank or more. */
static bool take(const char **at, const char *word)
{
	const char *text = *at;

	for (; *word; word++) {
		if (*word == ' ') {
			if (*text != ' ' && *text != '\t')
				return false;
			skip_blanks(&text);
		} else if (*text++ != *word) {
			return false;
		}
	}
	*at = text;
	return true;
}

static bool take_number(const char **at, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoull(*at, &end, 10);
	if (errno || isalnum((unsigned char)*end) || *end == '_')
		return false;
	*at = end;
	return true;
}

static bool take_type(const char **at, char type[REPLAY_TYPE_LEN])
{
	size_t len = 0;

	while (isalnum((unsigned char)(*at)[len]) || (*at)[len] == '_')
		len++;
	if (!len || len >= REPLAY_TYPE_LEN)
		return false;
	memcpy(type, *at, len);
	type[len] = '\0';
	*at += len;
	return true;
}

/* "524288 bytes of L1 on device 0 (buffer_id=25718784" or "buffer 1 on device 4" */
static bool take_alloc(const char *at, struct replay_line *line)
{
	line->kind = REPLAY_ALLOC;
	if (take(&at, "buffer "))
		return take_number(&at, &line->buffer) && take(&at, " on device ") &&
		       take_number(&at, &line->device);
	return take_number(&at, &line->size) && take(&at, " bytes of ") &&
	       take_type(&at, line->type) && take(&at, " on device ") &&
	       take_number(&at, &line->device) && take(&at, " (buffer_id=") &&
	       take_number(&at, &line->buffer);
}

/* "25718784 on device 0", and what else it says of the buffer */
static bool take_free(const char *at, struct replay_line *line)
{
	line->kind = REPLAY_FREE;
	return take_number(&at, &line->buffer) && take(&at, " on device ") &&
	       take_number(&at, &line->device);
}

/* What follows a mark. */
static bool parse_server(const char *at, struct replay_line *line)
{
	*line = (struct replay_line){ 0 };
	take(&at, VARIATION_SELECTOR);
	skip_blanks(&at);
	if (take(&at, "[PID ")) {
		if (!take_number(&at, &line->client) || !take(&at, "]"))
			return false;
		skip_blanks(&at);
	}
	if (take(&at, "Allocated "))
		return take_alloc(at, line);
	if (take(&at, "Freed buffer ") || take(&at, "Unknown buffer ") ||
	    take(&at, "Deallocation for unknown buffer "))
		return take_free(at, line);
	return false;
}

static const char *after_mark(const char *text)
{
	const char *first = NULL, *at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(marks); i++) {
		at = strstr(text, marks[i]);
		if (at && (!first || at < first))
			first = at;
	}
	/* All of them are as long. */
	return first ? first + strlen(marks[0]) : NULL;
}

/* A number, or an id in a string. */
static bool json_number(struct json_object *object, const char *key, uint64_t *value)
{
	struct json_object *member;

	*value = 0;
	if (!json_object_object_get_ex(object, key, &member))
		return false;
	switch (json_object_get_type(member)) {
	case json_type_int:
		*value = json_object_get_uint64(member);
		return true;
	case json_type_string:
		return parse_number(json_object_get_string(member), value);
	default:
		return false;
	}
}

static uint32_t json_flags(struct json_object *object)
{
	struct json_object *array;
	uint32_t flags = 0;
	const char *flag;
	size_t i;

	if (!json_object_object_get_ex(object, "flags", &array) ||
	    !json_object_is_type(array, json_type_array))
		return 0;
	for (i = 0; i < json_object_array_length(array); i++) {
		flag = json_object_get_string(json_object_array_get_idx(array, i));
		if (!flag)
			continue;
		if (strcmp(flag, "exclusive") == 0)
			flags |= BUFFTRACK_F_EXCLUSIVE;
		else if (strcmp(flag, "shared") == 0)
			flags |= BUFFTRACK_F_SHARED;
		else if (strcmp(flag, "view") == 0)
			flags |= BUFFTRACK_F_VIEW;
		else if (strcmp(flag, "private") == 0)
			flags |= BUFFTRACK_LIFE_PRIVATE;
	}
	return flags;
}

/*
 * The events that stand for a call. An ALLOC or FREE that counted has an event
 * of its own beside that of a bad verdict, so missed_free and size_mismatch are
 * none; a leak follows from client_close.
 */
static bool classify(const char *event, struct replay_line *line)
{
	static const char *const frees[] = {
		"free",		"double_free",	   "stale_free",
		"foreign_free", "free_after_exit", "free_after_reset",
		"unknown_free",
	};
	size_t i;

	if (strcmp(event, "client_close") == 0) {
		line->kind = REPLAY_CLOSE;
		return true;
	}
	line->kind = REPLAY_ALLOC;
	if (strcmp(event, "alloc") == 0)
		return true;
	if (strcmp(event, "dangling") == 0) {
		line->flags = BUFFTRACK_F_VIEW;
		return true;
	}
	line->kind = REPLAY_FREE;
	for (i = 0; i < ARRAY_SIZE(frees); i++)
		if (strcmp(event, frees[i]) == 0)
			return true;
	return false;
}

/* Whose line it is: the client's, which processes may share, else the pid's. */
static bool json_client(struct json_object *object, uint64_t *client)
{
	struct json_object *offender;

	if (json_number(object, "client", client) && *client)
		return true;
	return json_object_object_get_ex(object, "offender", &offender) &&
	       json_number(offender, "pid", client);
}

static bool parse_event(struct json_object *object, struct replay_line *line)
{
	struct json_object *member;
	const char *type;
	uint64_t space;

	*line = (struct replay_line){ 0 };
	if (!json_object_object_get_ex(object, "event", &member) ||
	    !json_object_is_type(member, json_type_string) ||
	    !classify(json_object_get_string(member), line))
		return false;
	if (line->kind == REPLAY_CLOSE)
		return json_number(object, "client", &line->client);

	if (!json_number(object, "device", &line->device) ||
	    !json_number(object, "buffer", &line->buffer))
		return false;
	json_client(object, &line->client);
	line->has_space = json_number(object, "space", &space);
	line->space = (uint32_t)space;
	json_number(object, "size", &line->size);
	line->flags |= json_flags(object);
	if (line->kind == REPLAY_ALLOC) {
		json_number(object, "tag", &line->tag);
		json_number(object, "generation", &line->generation);
	} else {
		json_number(object, "token", &line->token);
	}
	if (json_object_object_get_ex(object, "space_label", &member) &&
	    json_object_is_type(member, json_type_string)) {
		type = json_object_get_string(member);
		copy_text(line->type, sizeof(line->type), type, strlen(type));
	}
	return true;
}

static bool parse_json(const char *text, struct replay_line *line)
{
	struct json_object *object = json_tokener_parse(text);
	bool found;

	if (!object)
		return false;
	found = json_object_is_type(object, json_type_object) && parse_event(object, line);
	json_object_put(object);
	return found;
}

/**
 * replay_parse - what a line of a log says
 * @text: the line, which is changed
 * @line: what it says
 *
 * Returns false for a line that tells of no alloc, free or close.
 */
bool replay_parse(char *text, struct replay_line *line)
{
	const char *at;

	strip_controls(text);
	at = text;
	skip_blanks(&at);
	if (*at == '{')
		return parse_json(at, line);
	while ((at = after_mark(at)))
		if (parse_server(at, line))
			return true;
	return false;
}
