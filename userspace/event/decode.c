// SPDX-License-Identifier: GPL-2.0
/*
 * From a trace record to a struct event. Fields are found by their name, so that
 * those which a newer module appends, or an older one lacks, do no harm. Each
 * format is looked through once: what is left for a record is a list of copies.
 */
#include <event-parse.h>
#include <stdlib.h>
#include <string.h>

#include "event/decode.h"
#include "event/event.h"
#include "util/util.h"

/* The kernel's numbers of events have 16 bits. */
#define NR_NUMBERS (1U << 16)
#define MAX_COPIES 96

/* The first field of bufftrack's own: BUFFTRACK_MARK_*. */
#define MARK_FIELD "mark"

/* The kinds of events that have a field. */
#define OF(kind) (1U << (kind))
#define OF_CLIENT (OF(EVENT_CLIENT_OPEN) | OF(EVENT_CLIENT_CLOSE))
#define OF_VERDICT (OF(EVENT_BAD) | OF(EVENT_LEAK))
#define OF_KEY (OF(EVENT_ALLOC) | OF(EVENT_FREE) | OF(EVENT_UNDO) | OF_VERDICT)
#define OF_ALL (~OF(EVENT_FORK))

/* Which field of a record goes where in a struct event; @text: it is a string. */
struct rule {
	const char *field;
	uint32_t kinds;
	size_t to;
	size_t size;
	bool text;
};

#define NUMBER(kinds, field, member)                                                               \
	{                                                                                          \
		field, kinds, offsetof(struct event, member), sizeof(((struct event *)0)->member), \
			false                                                                      \
	}
#define TEXT(kinds, field, member)                                                                 \
	{                                                                                          \
		field, kinds, offsetof(struct event, member), sizeof(((struct event *)0)->member), \
			true                                                                       \
	}
#define WHO(prefix, who)                                             \
	NUMBER(OF_VERDICT, prefix "time", who.time),                 \
		NUMBER(OF_VERDICT, prefix "stack_id", who.stack_id), \
		NUMBER(OF_VERDICT, prefix "exited", who.exited),     \
		NUMBER(OF_VERDICT, prefix "start", who.start),       \
		NUMBER(OF_VERDICT, prefix "client", who.client),     \
		NUMBER(OF_VERDICT, prefix "uid", who.uid),           \
		NUMBER(OF_VERDICT, prefix "pid", who.pid),           \
		NUMBER(OF_VERDICT, prefix "tid", who.tid),           \
		TEXT(OF_VERDICT, prefix "comm", who.comm)

static const struct rule rules[] = {
	NUMBER(OF(EVENT_FORK), "parent_pid", by.tid),
	NUMBER(OF(EVENT_FORK), "child_pid", child),
	NUMBER(OF_ALL, "client", client),
	NUMBER(OF_ALL, "stack_id", by.stack_id),
	NUMBER(OF_ALL, "pid", by.pid),
	NUMBER(OF_ALL, "tid", by.tid),
	NUMBER(OF_ALL, "client", by.client),
	NUMBER(OF_KEY, "start", by.start),
	NUMBER(OF_KEY | OF_CLIENT, "uid", by.uid),
	TEXT(OF_ALL, "comm", by.comm),
	NUMBER(OF_CLIENT, "uid", uid),
	NUMBER(OF_CLIENT, "leaks", leaks),
	TEXT(OF_CLIENT, "name", client_name),
	NUMBER(OF(EVENT_RESET), "device", device),
	NUMBER(OF(EVENT_RESET), "lives", ended),
	NUMBER(OF_KEY, "device", device),
	NUMBER(OF_KEY, "space", space),
	NUMBER(OF_KEY, "buffer", buffer),
	NUMBER(OF_KEY, "size", size),
	NUMBER(OF_KEY, "tag", tag),
	NUMBER(OF_KEY, "token", token),
	NUMBER(OF_KEY, "generation", generation),
	NUMBER(OF_KEY, "flags", flags),
	NUMBER(OF_KEY, "refs", refs),
	NUMBER(OF_KEY, "views", views),
	NUMBER(OF_VERDICT, "nth", nth),
	NUMBER(OF_VERDICT, "info", info),
	NUMBER(OF_VERDICT, "count", count),
	NUMBER(OF_VERDICT, "lives", lives),
	NUMBER(OF_VERDICT, "frees", frees),
	NUMBER(OF_VERDICT, "requested", requested),
	NUMBER(OF_VERDICT, "evicted", evicted),
	/* The life that the offender meant. */
	NUMBER(OF_VERDICT, "named", life.generation),
	NUMBER(OF_VERDICT, "freed_reason", life.reason),
	WHO("freed_", life.freed),
	WHO("alloc_", life.allocated),
	/* The one before that. */
	NUMBER(OF_VERDICT, "prev_generation", previous.generation),
	NUMBER(OF_VERDICT, "prev_freed_reason", previous.reason),
	WHO("prev_freed_", previous.freed),
	WHO("prev_alloc_", previous.allocated),
};

/* A rule that has met a format: so many bytes from there to there. */
struct copy {
	uint32_t from;
	uint32_t from_size;
	uint32_t to;
	uint32_t to_size;
	bool text;
};

struct format {
	struct event event; /* what is the same of all its events */
	size_t size; /* of its fields */
	uint32_t mark; /* which its records begin with; 0 where they do not */
	uint32_t mark_at;
	size_t nr_copies;
	struct copy copies[MAX_COPIES];
};

struct event_formats {
	struct format *by_number[NR_NUMBERS];
	bool forks;
	bool others;
};

/* Stands for the format of an event that is not bufftrack's. */
static struct format other_format;

/* @forks: the scheduler's event of a fork counts as one of bufftrack's. */
struct event_formats *event_formats_new(bool forks)
{
	struct event_formats *formats = calloc(1, sizeof(*formats));

	if (!formats) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	formats->forks = forks;
	return formats;
}

void event_formats_free(struct event_formats *formats)
{
	size_t i;

	for (i = 0; i < NR_NUMBERS; i++)
		if (formats->by_number[i] != &other_format)
			free(formats->by_number[i]);
	free(formats);
}

/* What the module writes into an event's field "mark"; 0 of what is not the module's. */
static uint32_t mark_of(const struct event *event)
{
	switch (event->kind) {
	case EVENT_ALLOC:
		return BUFFTRACK_MARK_ALLOC;
	case EVENT_FREE:
		return BUFFTRACK_MARK_FREE;
	case EVENT_UNDO:
		return BUFFTRACK_MARK_UNDO;
	case EVENT_CLIENT_OPEN:
		return BUFFTRACK_MARK_CLIENT_OPEN;
	case EVENT_CLIENT_CLOSE:
		return BUFFTRACK_MARK_CLIENT_CLOSE;
	case EVENT_RESET:
		return BUFFTRACK_MARK_RESET;
	case EVENT_LEAK:
	case EVENT_BAD:
		if (event->verdict < BUFFTRACK_NR_VERDICTS)
			return BUFFTRACK_MARK_VERDICT(event->verdict);
		break;
	case EVENT_FORK:
		break;
	}
	return 0;
}

static bool is_number_size(int size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static void add_copy(struct format *format, const struct tep_format_field *field,
		     const struct rule *rule)
{
	if (format->nr_copies == MAX_COPIES || (!rule->text && !is_number_size(field->size)))
		return;
	format->copies[format->nr_copies++] = (struct copy){
		.from = (uint32_t)field->offset,
		.from_size = (uint32_t)field->size,
		.to = (uint32_t)rule->to,
		.to_size = (uint32_t)rule->size,
		.text = rule->text,
	};
}

static void measure(struct format *format, const struct tep_format_field *field)
{
	size_t end;

	for (; field; field = field->next) {
		if (field->offset < 0 || field->size < 0)
			continue;
		end = (size_t)field->offset + (size_t)field->size;
		if (end > format->size)
			format->size = end;
	}
}

/* A format may say anything: what lies outside of its records is no field. */
static struct tep_format_field *find_field(struct tep_event *event, const char *name)
{
	struct tep_format_field *field = tep_find_field(event, name);

	return field && field->offset >= 0 && field->size > 0 ? field : NULL;
}

/**
 * event_formats_add - learn a format
 * @formats: all of them
 * @event: it; of whatever system
 */
void event_formats_add(struct event_formats *formats, struct tep_event *event)
{
	bool fork = formats->forks && strcmp(event->name, EVENT_FORK_NAME) == 0;
	struct tep_format_field *field;
	struct format *format;
	size_t i;

	if (event->id < 0 || event->id >= (int)NR_NUMBERS)
		return;
	if (strcmp(event->system, EVENT_SYSTEM) && !fork) {
		event_formats_add_other(formats, (uint16_t)event->id);
		formats->others |= strcmp(event->system, "ftrace") != 0;
		return;
	}
	format = xrealloc(NULL, 1, sizeof(*format));
	memset(format, 0, sizeof(*format));
	event_begin(&format->event, event->name);
	measure(format, event->format.common_fields);
	measure(format, event->format.fields);
	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		field = find_field(event, rules[i].field);
		if (field && rules[i].kinds & OF(format->event.kind))
			add_copy(format, field, &rules[i]);
	}
	field = find_field(event, MARK_FIELD);
	if (field && field->size == sizeof(format->mark)) {
		format->mark = mark_of(&format->event);
		format->mark_at = (uint32_t)field->offset;
	}
	if (formats->by_number[event->id] != &other_format)
		free(formats->by_number[event->id]);
	formats->by_number[event->id] = format;
}

void event_formats_add_all(struct event_formats *formats, struct tep_handle *tep)
{
	int i;

	for (i = 0; i < tep_get_events_count(tep); i++)
		event_formats_add(formats, tep_get_event(tep, i));
}

/* Learns that the number is another system's. */
void event_formats_add_other(struct event_formats *formats, uint16_t number)
{
	if (!formats->by_number[number])
		formats->by_number[number] = &other_format;
}

/* The number of bufftrack's event @name; below 0 where there is no format of it. */
int event_formats_find(const struct event_formats *formats, const char *name)
{
	int i;

	for (i = 0; i < (int)NR_NUMBERS; i++)
		if (formats->by_number[i] && strcmp(formats->by_number[i]->event.name, name) == 0)
			return i;
	return -1;
}

/* Whether the number is that of an event of bufftrack. */
bool event_formats_are_ours(const struct event_formats *formats, uint16_t number)
{
	return formats->by_number[number] && formats->by_number[number] != &other_format;
}

/* Whether there are formats of other systems, ftrace itself aside. */
bool event_formats_have_others(const struct event_formats *formats)
{
	return formats->others;
}

/*
 * Whether the record is as long as the format says. ftrace rounds a record up to its
 * struct's alignment, of 8 at most, and perf once more, behind a word of its own.
 */
static bool has_size_of(const struct format *format, size_t size)
{
	return size >= format->size && size <= (format->size + 7) / 8 * 8 + 4;
}

static bool is_of_format(const struct format *format, const uint8_t *data, size_t size)
{
	uint32_t mark;

	if (!has_size_of(format, size))
		return false;
	if (!format->mark)
		return true;
	memcpy(&mark, data + format->mark_at, sizeof(mark));
	return mark == format->mark;
}

static const struct format *find_format(const struct event_formats *formats, const void *data,
					size_t size)
{
	uint16_t number; /* which every record has first */

	if (size < sizeof(number))
		return NULL;
	memcpy(&number, data, sizeof(number));
	return formats->by_number[number];
}

static enum decoded judge(const struct format *format, const void *data, size_t size)
{
	if (!format)
		return DECODED_UNKNOWN;
	if (format == &other_format)
		return DECODED_OTHER;
	return is_of_format(format, data, size) ? DECODED : DECODED_FOREIGN;
}

/* What a record is, without looking at what it says. */
enum decoded event_kind_of_record(const struct event_formats *formats, const void *data,
				  size_t size)
{
	return judge(find_format(formats, data, size), data, size);
}

/*
 * Whether two records of that size are of one event. Between the number, which every
 * record has first, and the pid, the kernel notes what interrupted it, and behind the
 * last field it writes nothing: both may differ.
 */
bool event_same_record(const struct event_formats *formats, const void *a, const void *b,
		       size_t size)
{
	const struct format *format = find_format(formats, a, size);
	const size_t number = sizeof(uint16_t), pid = 4;

	if (judge(format, a, size) != DECODED || memcmp(a, b, number))
		return false;
	return format->size > pid &&
	       memcmp((const char *)a + pid, (const char *)b + pid, format->size - pid) == 0;
}

static uint64_t read_number(const uint8_t *from, size_t size)
{
	uint64_t value = 0;
	uint32_t four;
	uint16_t two;

	switch (size) {
	case 8:
		memcpy(&value, from, 8);
		break;
	case 4:
		memcpy(&four, from, 4);
		value = four;
		break;
	case 2:
		memcpy(&two, from, 2);
		value = two;
		break;
	default:
		value = *from;
	}
	return value;
}

static void write_number(uint8_t *to, size_t size, uint64_t value)
{
	uint32_t four = (uint32_t)value;

	if (size == 8)
		memcpy(to, &value, 8);
	else if (size == 4)
		memcpy(to, &four, 4);
	else
		*(bool *)to = value;
}

/**
 * event_decode - read a record
 * @formats: the formats of where it is from, of this machine's byte order
 * @data: the record
 * @size: how long it is
 * @time: when it was written
 * @event: what it says, where it is DECODED
 */
enum decoded event_decode(const struct event_formats *formats, const void *data, size_t size,
			  uint64_t time, struct event *event)
{
	const struct format *format = find_format(formats, data, size);
	enum decoded decoded = judge(format, data, size);
	const struct copy *copy;
	const uint8_t *from;

	if (decoded != DECODED)
		return decoded;
	*event = format->event;
	event->by.time = time;
	for (copy = format->copies; copy < format->copies + format->nr_copies; copy++) {
		from = (const uint8_t *)data + copy->from;
		if (copy->text)
			copy_text((char *)event + copy->to, copy->to_size, (const char *)from,
				  copy->from_size);
		else
			write_number((uint8_t *)event + copy->to, copy->to_size,
				     read_number(from, copy->from_size));
	}
	if (event->kind == EVENT_LEAK)
		event->life.generation = event->generation;
	return DECODED;
}
