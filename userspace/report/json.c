// SPDX-License-Identifier: GPL-2.0
/* An event as a line of JSON. */
#include "abi/labels.h"
#include "event/event.h"
#include "event/names.h"
#include "report/report.h"
#include "report/words.h"
#include "symbol/stack.h"
#include "util/json.h"
#include "util/util.h"

struct json_object *report_stack_json(const struct stack *stack)
{
	struct json_object *array = json_object_new_array(), *object;
	const struct stack_frame *frame;

	for (frame = stack->frames; frame < stack->frames + stack->nr; frame++) {
		object = json_object_new_object();
		json_add_id(object, "address", frame->address);
		json_add_text(object, "module", frame->module);
		json_add_text(object, "build_id", frame->build_id);
		json_add_id(object, "offset", frame->offset);
		json_add_text(object, "symbol", frame->symbol);
		json_add_text(object, "file", frame->file);
		json_add(object, "line", frame->line ? json_object_new_int64(frame->line) : NULL);
		json_add_bool(object, "inlined", frame->inlined);
		json_add_text(object, "unresolved", frame->why);
		json_object_array_add(array, object);
	}
	return array;
}

/* Who and when; NULL where that is not known. */
struct json_object *report_who_json(const struct who *who)
{
	struct json_object *object;

	if (!who->time)
		return NULL;
	object = json_object_new_object();
	json_add_number(object, "pid", who->pid);
	json_add_number(object, "tid", who->tid);
	json_add_number(object, "client", who->client);
	json_add_time(object, "start", who->start);
	json_add_number(object, "uid", who->uid);
	json_add_text(object, "comm", who->comm);
	json_add_time(object, "time", who->time);
	return object;
}

static struct json_object *who_json(const struct report_style *style, const struct who *who,
				    const char *reason)
{
	struct json_object *object = report_who_json(who);
	const struct stack *stack;

	if (!object)
		return NULL;
	json_add_bool(object, "exited", who->exited);
	json_add_text(object, "reason", reason);
	json_add_number(object, "stack_id", who->stack_id);
	stack = report_stack_of(style, who);
	json_add(object, "stack", report_stack_json(stack));
	json_add_text(object, "no_stack", stack->why);
	return object;
}

static struct json_object *offender_json(const struct report_style *style,
					 const struct event *event)
{
	struct json_object *object = who_json(style, &event->by, NULL);

	if (object && style->own_clock) {
		json_add(object, "time", NULL);
		json_add_time(object, "recorded", event->by.time);
	}
	return object;
}

static void add_life_json(const struct report_style *style, struct json_object *object,
			  const struct life_span *life)
{
	json_add(object, "freed", who_json(style, &life->freed, state_words(life->reason)->reason));
	json_add(object, "allocated", who_json(style, &life->allocated, NULL));
}

static struct json_object *previous_json(const struct report_style *style,
					 const struct life_span *life)
{
	struct json_object *object;

	if (!life->generation)
		return NULL;
	object = json_object_new_object();
	json_add_number(object, "generation", life->generation);
	add_life_json(style, object, life);
	return object;
}

static struct json_object *info_json(uint32_t info)
{
	struct json_object *array = json_object_new_array();
	const struct info_word *word;

	for (word = info_words(); word->word; word++)
		if (info & word->bit)
			json_object_array_add(array, json_object_new_string(word->word));
	return array;
}

static struct json_object *flags_json(uint32_t flags)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = {
		{ BUFFTRACK_F_EXCLUSIVE, "exclusive" },
		{ BUFFTRACK_F_SHARED, "shared" },
		{ BUFFTRACK_F_VIEW, "view" },
		{ BUFFTRACK_F_RETAIN, "retain" },
		{ BUFFTRACK_F_SAME, "same" },
		{ BUFFTRACK_F_LAST, "last" },
		{ BUFFTRACK_F_PERSISTENT, "persistent" },
		{ BUFFTRACK_LIFE_PRIVATE, "private" },
	};
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (flags & words[i].bit)
			json_object_array_add(array, json_object_new_string(words[i].word));
	return array;
}

static void add_key_json(const struct report_style *style, struct json_object *object,
			 const struct event *event)
{
	json_add_id(object, "device", event->device);
	json_add_text(object, "device_label", labels_device(style->labels, event->device));
	json_add_number(object, "space", event->space);
	json_add_text(object, "space_label",
		      labels_space(style->labels, event->device, event->space));
	json_add_id(object, "buffer", event->buffer);
	json_add_number(object, "size", event->size);
	json_add_number(object, "generation", event->generation);
	json_add_number(object, "token", event->token);
	json_add_number(object, "refs", event->refs);
	json_add_number(object, "nth", event->nth);
	json_add_bool(object, "certain", !report_is_probable(event));
	json_add_id(object, "tag", event->tag);
	json_add_number(object, "client", event->client);
}

static void add_verdict_json(const struct report_style *style, struct json_object *object,
			     const struct event *event)
{
	json_add_bool(object, "history_lost", report_history_lost(event));
	json_add(object, "info", info_json(event->info));
	json_add_number(object, "lives", event->lives);
	json_add_number(object, "frees", event->frees);
	if (event->kind == EVENT_LEAK) {
		json_add_number(object, "count", event->count);
		return;
	}
	json_add_number(object, "named", event->life.generation);
	json_add_number(object, "requested", event->requested);
	json_add_number(object, "evicted", event->evicted);
	json_add(object, "previous", previous_json(style, &event->previous));
}

/* Prints, as a line of JSON, that events were lost after the one told last. */
void report_lost_json(uint64_t lost)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "event", "lost");
	json_add_number(object, "lost", lost);
	json_print(object);
}

/* Prints one event as a line of JSON; @lost events were lost until now. */
void report_json(const struct report_style *style, const struct event *event, uint64_t lost)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "event", event->name);
	switch (event->kind) {
	case EVENT_CLIENT_OPEN:
		json_add_number(object, "client", event->client);
		json_add_number(object, "uid", event->uid);
		break;
	case EVENT_CLIENT_CLOSE:
		json_add_number(object, "client", event->client);
		json_add_number(object, "uid", event->uid);
		json_add_text(object, "name", event->client_name);
		json_add_number(object, "leaks", event->leaks);
		break;
	case EVENT_FORK:
		break;
	case EVENT_RESET:
		json_add_id(object, "device", event->device);
		json_add_text(object, "device_label", labels_device(style->labels, event->device));
		json_add_number(object, "lives", event->ended);
		break;
	case EVENT_ALLOC:
	case EVENT_FREE:
	case EVENT_UNDO:
		add_key_json(style, object, event);
		json_add_number(object, "views", event->views);
		json_add(object, "flags", flags_json(event->flags));
		break;
	case EVENT_LEAK:
	case EVENT_BAD:
		add_key_json(style, object, event);
		add_verdict_json(style, object, event);
		break;
	}
	json_add(object, "offender", offender_json(style, event));
	if (event_has_key(event))
		add_life_json(style, object, &event->life);
	json_add_number(object, "lost", lost);
	json_print(object);
}
