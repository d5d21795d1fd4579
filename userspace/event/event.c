// SPDX-License-Identifier: GPL-2.0
/*
 * From a trace record to a struct event. Fields are found by their name, so that
 * those which a newer module appends, or an older one lacks, do no harm.
 */
#include <event-parse.h>
#include <string.h>

#include "event/event.h"
#include "event/names.h"
#include "util/util.h"

/* The events that are no verdict; every other one is. */
static const struct {
	const char *name;
	enum event_kind kind;
} ordinary[] = {
	{ "alloc", EVENT_ALLOC },
	{ "free", EVENT_FREE },
	{ "client_open", EVENT_CLIENT_OPEN },
	{ "client_close", EVENT_CLIENT_CLOSE },
	{ "reset", EVENT_RESET },
	{ EVENT_FORK_NAME, EVENT_FORK },
};

static const char *short_name(const char *name)
{
	size_t len = strlen(EVENT_PREFIX);

	return strncmp(name, EVENT_PREFIX, len) ? name : name + len;
}

static void classify(struct event *event)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ordinary); i++) {
		if (strcmp(event->name, ordinary[i].name))
			continue;
		event->kind = ordinary[i].kind;
		return;
	}
	event->kind = EVENT_BAD;
	event->verdict = verdict_of_name(event->name);
	if (event->verdict == BUFFTRACK_LEAK)
		event->kind = EVENT_LEAK;
}

/* Whether the tracepoint @name tells of something that is no mistake. */
bool event_is_ordinary(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ordinary); i++)
		if (strcmp(short_name(name), ordinary[i].name) == 0)
			return true;
	return false;
}

/* Whether the event is about one buffer. */
bool event_has_key(const struct event *event)
{
	return event->kind != EVENT_CLIENT_OPEN && event->kind != EVENT_CLIENT_CLOSE &&
	       event->kind != EVENT_RESET && event->kind != EVENT_FORK;
}

/*
 * The second task that has to do with it: who freed first; where a free was missed,
 * who allocated. Its time is 0 where there is none.
 */
const struct who *event_other(const struct event *event)
{
	return event->verdict == BUFFTRACK_MISSED_FREE ? &event->life.allocated
						       : &event->life.freed;
}

/* One record, with the format that says where its fields are. */
struct source {
	struct tep_event *format;
	struct tep_record *record;
};

/* The field, where the record has all of it: a file may say anything. */
static struct tep_format_field *find_field(const struct source *source, const char *name)
{
	struct tep_format_field *field = tep_find_field(source->format, name);
	const int size = source->record->size;

	if (!field || field->offset < 0 || field->size < 0 || field->offset > size ||
	    field->size > size - field->offset)
		return NULL;
	return field;
}

static uint64_t number(const struct source *source, const char *name)
{
	struct tep_format_field *field = find_field(source, name);
	unsigned long long value;

	if (!field || tep_read_number_field(field, source->record->data, &value))
		return 0;
	return value;
}

static uint32_t number32(const struct source *source, const char *name)
{
	return (uint32_t)number(source, name);
}

static void text(const struct source *source, const char *name, char *to, size_t room)
{
	struct tep_format_field *field = find_field(source, name);

	*to = '\0';
	if (!field)
		return;
	copy_text(to, room, (char *)source->record->data + field->offset, (size_t)field->size);
}

/* The fields of the life that the offender meant. */
static void decode_life(struct life_span *life, const struct source *source)
{
	struct who *freed = &life->freed, *allocated = &life->allocated;

	life->generation = number(source, "named");
	life->reason = number32(source, "freed_reason");
	freed->time = number(source, "freed_time");
	freed->stack_id = number32(source, "freed_stack_id");
	freed->exited = number(source, "freed_exited");
	freed->pid = number32(source, "freed_pid");
	freed->tid = number32(source, "freed_tid");
	text(source, "freed_comm", freed->comm, sizeof(freed->comm));
	allocated->time = number(source, "alloc_time");
	allocated->stack_id = number32(source, "alloc_stack_id");
	allocated->exited = number(source, "alloc_exited");
	allocated->pid = number32(source, "alloc_pid");
	allocated->tid = number32(source, "alloc_tid");
	text(source, "alloc_comm", allocated->comm, sizeof(allocated->comm));
}

/* The fields of the life before that one. */
static void decode_previous(struct life_span *life, const struct source *source)
{
	struct who *freed = &life->freed, *allocated = &life->allocated;

	life->generation = number(source, "prev_generation");
	if (!life->generation)
		return;
	life->reason = number32(source, "prev_freed_reason");
	freed->time = number(source, "prev_freed_time");
	freed->stack_id = number32(source, "prev_freed_stack_id");
	freed->pid = number32(source, "prev_freed_pid");
	freed->tid = number32(source, "prev_freed_tid");
	text(source, "prev_freed_comm", freed->comm, sizeof(freed->comm));
	allocated->time = number(source, "prev_alloc_time");
	allocated->stack_id = number32(source, "prev_alloc_stack_id");
	allocated->pid = number32(source, "prev_alloc_pid");
	allocated->tid = number32(source, "prev_alloc_tid");
	text(source, "prev_alloc_comm", allocated->comm, sizeof(allocated->comm));
}

/* Reads a record of the system bufftrack whose clock is CLOCK_MONOTONIC. */
void event_decode(struct event *event, struct tep_event *format, struct tep_record *record)
{
	const struct source source = { .format = format, .record = record };

	*event = (struct event){ .verdict = BUFFTRACK_NR_VERDICTS };
	copy_text(event->name, sizeof(event->name), short_name(format->name), sizeof(event->name));
	classify(event);

	event->client = number(&source, "client");
	event->by.time = record->ts;
	event->by.stack_id = number32(&source, "stack_id");
	event->by.pid = number32(&source, "pid");
	event->by.tid = number32(&source, "tid");
	text(&source, "comm", event->by.comm, sizeof(event->by.comm));

	switch (event->kind) {
	case EVENT_FORK:
		event->by.tid = number32(&source, "parent_pid");
		event->child = number32(&source, "child_pid");
		return;
	case EVENT_CLIENT_OPEN:
	case EVENT_CLIENT_CLOSE:
		event->uid = number32(&source, "uid");
		event->leaks = number(&source, "leaks");
		text(&source, "name", event->client_name, sizeof(event->client_name));
		return;
	case EVENT_RESET:
		event->device = number(&source, "device");
		event->ended = number(&source, "lives");
		return;
	default:
		break;
	}

	event->device = number(&source, "device");
	event->space = number32(&source, "space");
	event->buffer = number(&source, "buffer");
	event->size = number(&source, "size");
	event->tag = number(&source, "tag");
	event->token = number(&source, "token");
	event->generation = number(&source, "generation");
	event->flags = number32(&source, "flags");
	event->refs = number32(&source, "refs");
	event->views = number32(&source, "views");
	if (event->kind == EVENT_ALLOC || event->kind == EVENT_FREE)
		return;

	event->nth = number32(&source, "nth");
	event->info = number32(&source, "info");
	event->count = number32(&source, "count");
	event->lives = number32(&source, "lives");
	event->frees = number32(&source, "frees");
	event->requested = number(&source, "requested");
	event->evicted = number(&source, "evicted");
	decode_life(&event->life, &source);
	decode_previous(&event->previous, &source);
	if (event->kind == EVENT_LEAK)
		event->life.generation = event->generation;
}
