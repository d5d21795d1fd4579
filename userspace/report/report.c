// SPDX-License-Identifier: GPL-2.0
/* The words: an event as a report for a person, and as a line of JSON. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"
#include "util/json.h"
#include "abi/labels.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/util.h"

#define COLUMNS 80
#define LABEL_WIDTH 18
#define BAR "=================================================================="

#define RED "\033[1;31m"
#define PLAIN "\033[0m"

/* How a life ended: the reason, its letter in a history, the task's part in it. */
static const struct {
	const char *reason;
	char letter;
	const char *label;
} endings[] = {
	[BUFFTRACK_STATE_NONE] = { "none", '?', "ended by" },
	[BUFFTRACK_STATE_LIVE] = { "live", '?', "ended by" },
	[BUFFTRACK_STATE_FREED] = { "free", 'F', "freed before" },
	[BUFFTRACK_STATE_EXITED] = { "exit", 'X', "ended by exit of" },
	[BUFFTRACK_STATE_RESET] = { "reset", 'R', "ended by reset of" },
	[BUFFTRACK_STATE_MISSED] = { "missed", 'M', "replaced by" },
};

static unsigned int ending(const struct life_span *life)
{
	return life->reason < ARRAY_SIZE(endings) ? life->reason : BUFFTRACK_STATE_NONE;
}

static bool is_probable(const struct event *event)
{
	return event->info & BUFFTRACK_INFO_PROBABLE;
}

static bool history_lost(const struct event *event)
{
	return event->info & BUFFTRACK_INFO_HISTORY_LOST;
}

bool report_wants_colour(FILE *out)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(out)) && !(no_colour && *no_colour) && terminal && *terminal &&
	       strcmp(terminal, "dumb") != 0;
}

/* How many columns a word of UTF-8 takes. */
static size_t columns(const char *word, size_t len)
{
	size_t nr = 0, i;

	for (i = 0; i < len; i++)
		nr += ((unsigned char)word[i] & 0xc0) != 0x80;
	return nr;
}

/* Prints text, broken between words where it would be too wide. */
static void print_wrapped(const char *text)
{
	size_t at = 0, len, blanks;

	while (*text) {
		blanks = strspn(text, " ");
		len = strcspn(text + blanks, " ");
		if (at && at + blanks + columns(text + blanks, len) > COLUMNS) {
			fputs("\n    ", stdout);
			at = 4;
			text += blanks;
			blanks = 0;
		}
		printf("%.*s", (int)(blanks + len), text);
		at += blanks + columns(text + blanks, len);
		text += blanks + len;
	}
	putchar('\n');
}

static void __attribute__((format(printf, 1, 2))) print_line(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_wrapped(text);
}

/* Of a path. */
static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Room for a function and its place. */
#define WHERE_TEXT 384

/* Room for the name of a device or a space. */
#define NAME_TEXT (BUFFTRACK_NAME_LEN + SHORT_TEXT)

static const char *device_text(const struct report_style *style, const struct event *event,
			       char text[NAME_TEXT])
{
	const char *label = labels_device(style->labels, event->device);
	char id[SHORT_TEXT];

	format_id(id, event->device);
	if (label)
		snprintf(text, NAME_TEXT, "%s", label);
	else
		snprintf(text, NAME_TEXT, "%s", id);
	return text;
}

static const char *space_text(const struct report_style *style, const struct event *event,
			      char text[NAME_TEXT])
{
	const char *label = labels_space(style->labels, event->device, event->space);

	if (label)
		snprintf(text, NAME_TEXT, "%s", label);
	else
		snprintf(text, NAME_TEXT, "space %u", event->space);
	return text;
}

/* The event's name with another character between its words. */
static const char *name_text(const struct event *event, char between,
			     char text[sizeof(event->name)])
{
	char *at;

	memcpy(text, event->name, sizeof(event->name));
	for (at = text; *at; at++)
		if (*at == '_')
			*at = between;
	return text;
}

static const char *plural(uint64_t nr)
{
	return nr == 1 ? "" : "s";
}

static void explain_double_free(const struct event *event, char *text, size_t room)
{
	if (event->refs)
		snprintf(text, room, "this client has no hold left, others have %u", event->refs);
	else if (event->token && history_lost(event))
		snprintf(text, room,
			 "the token names generation %" PRIu64 ", older than the record of the key",
			 event->token);
	else if (event->token)
		snprintf(text, room, "the token's generation %" PRIu64 " was freed before",
			 event->token);
	else if (event->lives > 1)
		snprintf(text, room, "without a token, and the key has had %u lives", event->lives);
	else if (is_probable(event))
		snprintf(text, room, "without a token, and older records of this device are gone");
	else
		snprintf(text, room, "the key has had one life, which was freed before");
}

static void explain_stale_free(const struct event *event, char *text, size_t room)
{
	if (event->token && event->token != event->generation)
		snprintf(text, room,
			 "the token names generation %" PRIu64 ", the %s one is %" PRIu64,
			 event->token, event->refs ? "live" : "last", event->generation);
	else
		snprintf(text, room, "that life was replaced by an exclusive alloc");
}

static void explain_unknown_free(const struct event *event, char *text, size_t room)
{
	if (event->generation)
		snprintf(text, room, "this key never had the token %" PRIu64, event->token);
	else if (history_lost(event) && !event->evicted)
		snprintf(text, room,
			 "no record of this key, but older records of this device are gone");
	else if (history_lost(event))
		snprintf(text, room,
			 "no record of this key, but %" PRIu64
			 " older record%s of this device %s gone",
			 event->evicted, plural(event->evicted),
			 event->evicted == 1 ? "is" : "are");
	else
		snprintf(text, room, "there is no record of this key");
}

/* What the kernel knows that makes it say so. */
static void explain(const struct event *event, char *text, size_t room)
{
	switch (event->verdict) {
	case BUFFTRACK_DOUBLE_FREE:
		explain_double_free(event, text, room);
		break;
	case BUFFTRACK_STALE_FREE:
		explain_stale_free(event, text, room);
		break;
	case BUFFTRACK_FOREIGN_FREE:
		snprintf(text, room, "it is live, and this client never held it");
		break;
	case BUFFTRACK_FREE_AFTER_EXIT:
		snprintf(text, room, "it ended when its last holder exited");
		break;
	case BUFFTRACK_FREE_AFTER_RESET:
		snprintf(text, room, "it ended in a reset of the device");
		break;
	case BUFFTRACK_UNKNOWN_FREE:
		explain_unknown_free(event, text, room);
		break;
	case BUFFTRACK_MISSED_FREE:
		snprintf(text, room, "an exclusive alloc found it live");
		break;
	case BUFFTRACK_SIZE_MISMATCH:
		snprintf(text, room, "%" PRIu64 " bytes reported, %" PRIu64 " recorded",
			 event->requested, event->size);
		break;
	case BUFFTRACK_DANGLING_VIEW:
		snprintf(text, room, "a view of a buffer that is not live");
		break;
	case BUFFTRACK_LEAK:
		snprintf(text, room, "the client left with %u hold%s, others have %u", event->count,
			 plural(event->count), event->refs);
		break;
	default:
		snprintf(text, room, "a verdict that this tool does not know");
	}
}

static const char *consequence(const struct event *event)
{
	switch (event->verdict) {
	case BUFFTRACK_MISSED_FREE:
		return "the earlier life was ended";
	case BUFFTRACK_SIZE_MISMATCH:
		return "it was counted";
	case BUFFTRACK_LEAK:
		return event->refs ? "the holds were dropped" : "the life was ended";
	case BUFFTRACK_NR_VERDICTS:
		return "";
	default:
		return "nothing was changed";
	}
}

static const char *offence(const struct event *event)
{
	switch (event->verdict) {
	case BUFFTRACK_LEAK:
		return "leaked by";
	case BUFFTRACK_MISSED_FREE:
	case BUFFTRACK_DANGLING_VIEW:
		return "offending alloc";
	case BUFFTRACK_SIZE_MISMATCH:
	case BUFFTRACK_NR_VERDICTS:
		return "offending call";
	default:
		return "offending free";
	}
}

static void print_frame(const struct stack *stack, size_t nr)
{
	const struct stack_frame *frame = &stack->frames[nr];
	char text[512];
	size_t used;

	used = (size_t)snprintf(text, sizeof(text), "    #%zu", nr);
	if (frame->symbol)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %.200s ",
					 frame->symbol);
	if (frame->line)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %.100s:%u ",
					 last_part(frame->file), frame->line);
	if (frame->inlined)
		snprintf(text + used, sizeof(text) - used, " (inlined)");
	else if (frame->module)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %.100s+0x%" PRIx64,
					 last_part(frame->module), frame->offset);
	else
		used += (size_t)snprintf(text + used, sizeof(text) - used, " 0x%" PRIx64,
					 frame->address);
	if (!frame->why || frame->inlined) {
		print_line("%s", text);
	} else if (frame->symbol) {
		print_line("%s  (%s)", text, frame->why);
	} else {
		print_line("%s", text);
		print_line("       (%s%s%s)", frame->why, frame->build_id[0] ? "; build id " : "",
			   frame->build_id);
	}
}

void report_stack(const struct stack *stack)
{
	size_t i;

	for (i = 0; i < stack->nr; i++)
		print_frame(stack, i);
	if (stack->why)
		print_line("    %s", stack->why);
}

static const struct stack *stack_of(const struct report_style *style, const struct who *who)
{
	return who->stack ? who->stack : stacks_get(style->stacks, who->stack_id);
}

/* By which clock the time of an event is, or one inside of it, where they differ. */
static const char *clock_text(const struct report_style *style, bool of_event)
{
	if (!style->own_clock)
		return "";
	return of_event ? " by the recording's clock" : " by CLOCK_MONOTONIC";
}

/* Who did something, when, and from where; relative to the offence at @now. */
static void print_who(const struct report_style *style, const char *label, const struct who *who,
		      uint64_t now)
{
	char thread[32] = "", when[SHORT_TEXT + 48], span[SHORT_TEXT];

	if (!who->exited || who->tid != who->pid)
		snprintf(thread, sizeof(thread), " tid %u", who->tid);
	if (!now || style->own_clock)
		snprintf(when, sizeof(when), "%" PRIu64 ".%06" PRIu64 " s%s",
			 who->time / (uint64_t)NSEC_PER_SEC,
			 who->time % (uint64_t)NSEC_PER_SEC / 1000, clock_text(style, !now));
	else
		snprintf(when, sizeof(when), "%s earlier",
			 format_duration(span, now > who->time ? now - who->time : 0));
	print_line("%-*spid %u (%s%s)%s, %s", LABEL_WIDTH, label, who->pid, who->comm,
		   who->exited ? ", exited" : "", thread, when);
	report_stack(stack_of(style, who));
}

static void print_life(const struct report_style *style, const struct life_span *life, uint64_t now)
{
	if (life->freed.time)
		print_who(style, endings[ending(life)].label, &life->freed, now);
	if (life->allocated.time)
		print_who(style, "allocated by", &life->allocated, now);
}

/* Appends one life to a history such as "A7 F7 A8". */
static void add_life(char *text, size_t room, const struct life_span *life)
{
	size_t used = strlen(text);

	if (!life->generation)
		return;
	snprintf(text + used, room - used, " A%" PRIu64, life->generation);
	used = strlen(text);
	if (life->freed.time)
		snprintf(text + used, room - used, " %c%" PRIu64, endings[ending(life)].letter,
			 life->generation);
}

static void print_key_line(const struct event *event, uint64_t lost)
{
	struct life_span last = { .generation = event->generation };
	uint32_t known = !!event->life.generation + !!event->previous.generation;
	char history[128] = "", refused[32] = "";

	add_life(history, sizeof(history), &event->previous);
	add_life(history, sizeof(history), &event->life);
	/* The life that was meant may not be the key's last one. */
	if (event->generation > event->life.generation) {
		add_life(history, sizeof(history), &last);
		known++;
	}
	if (!event->lives) {
		print_line("this key: no record; lost: %" PRIu64, lost);
		return;
	}
	if (event->verdict < BUFFTRACK_MISSED_FREE)
		snprintf(refused, sizeof(refused), ", %u refused", event->nth);
	print_line("this key: %u alloc%s, %u free%s%s; history%s%s; lost: %" PRIu64, event->lives,
		   plural(event->lives), event->frees, plural(event->frees), refused,
		   event->lives > known ? " ..." : "", history, lost);
}

/* Where the culprit is: for grep, and for counting the same ones. */
static const char *where_text(const struct report_style *style, const struct event *event,
			      char text[WHERE_TEXT])
{
	/* A client that leaves gives no stack: it is the alloc that has no free. */
	const struct who *who = event->kind == EVENT_LEAK ? &event->life.allocated : &event->by;
	const struct stack *stack = stack_of(style, who);
	const struct stack_frame *frame = stack->frames;

	if (!stack->nr)
		snprintf(text, WHERE_TEXT, "no-stack");
	else if (frame->symbol && frame->line)
		snprintf(text, WHERE_TEXT, "%.200s %.100s:%u", frame->symbol,
			 last_part(frame->file), frame->line);
	else if (frame->symbol)
		snprintf(text, WHERE_TEXT, "%.200s", frame->symbol);
	else if (frame->module)
		snprintf(text, WHERE_TEXT, "%.100s+0x%" PRIx64, last_part(frame->module),
			 frame->offset);
	else
		snprintf(text, WHERE_TEXT, "0x%" PRIx64, frame->address);
	return text;
}

static void print_report(const struct report_style *style, const struct event *event, uint64_t lost)
{
	char device[NAME_TEXT], space[NAME_TEXT], name[sizeof(event->name)];
	char reason[256], where[WHERE_TEXT];

	device_text(style, event, device);
	space_text(style, event, space);
	explain(event, reason, sizeof(reason));

	puts(BAR);
	if (style->colour)
		fputs(RED, stdout);
	print_line("BUFFTRACK: %s of buffer 0x%" PRIx64 " (%s, %" PRIu64 " bytes) on device %s",
		   name_text(event, ' ', name), event->buffer, space, event->size, device);
	if (style->colour)
		fputs(PLAIN, stdout);
	print_line("%s: %s; %s", reason, is_probable(event) ? "probable" : "certain",
		   consequence(event));
	print_who(style, offence(event), &event->by, 0);
	/* What ended a life whose free was missed is the offence itself. */
	if (event->verdict == BUFFTRACK_MISSED_FREE)
		print_who(style, "allocated by", &event->life.allocated, event->by.time);
	else
		print_life(style, &event->life, event->by.time);
	if (is_probable(event) && event->previous.generation) {
		puts("it may have been meant for the life before:");
		print_life(style, &event->previous, event->by.time);
	}
	print_key_line(event, lost);
	printf("SUMMARY: %s %s device %s %s %" PRIu64 "\n", name_text(event, '-', name),
	       where_text(style, event, where), device, space, event->size);
	puts(BAR);
}

/* An event that is no mistake: one line. */
static void print_ordinary(const struct report_style *style, const struct event *event)
{
	char device[NAME_TEXT], space[NAME_TEXT], key[2 * NAME_TEXT + 64] = "";
	const struct who *by = &event->by;

	if (event_has_key(event))
		snprintf(key, sizeof(key),
			 "device %s %s 0x%" PRIx64 " %" PRIu64 " bytes, generation %" PRIu64
			 ", %u ref%s%s, ",
			 device_text(style, event, device), space_text(style, event, space),
			 event->buffer, event->size, event->generation, event->refs,
			 plural(event->refs), event->flags & BUFFTRACK_F_VIEW ? " (view)" : "");
	else if (event->kind == EVENT_RESET)
		snprintf(key, sizeof(key), "device %s, %" PRIu64 " live%s ended, ",
			 device_text(style, event, device), event->ended,
			 event->ended == 1 ? " life" : "s");
	else
		snprintf(key, sizeof(key), "client %" PRIu64 ", ", event->client);
	print_line("%" PRIu64 ".%06" PRIu64 " %s %spid %u (%s)", by->time / (uint64_t)NSEC_PER_SEC,
		   by->time % (uint64_t)NSEC_PER_SEC / 1000, event->name, key, by->pid, by->comm);
}

/* Prints one event for a person; @lost events were lost until now. */
void report_text(const struct report_style *style, const struct event *event, uint64_t lost)
{
	if (event->kind == EVENT_BAD || event->kind == EVENT_LEAK)
		print_report(style, event, lost);
	else
		print_ordinary(style, event);
}

/* What bad frees that are the same have in common, for report_group(). */
void report_group_text(const struct report_style *style, const struct event *event,
		       char text[REPORT_GROUP_TEXT])
{
	char device[NAME_TEXT], space[NAME_TEXT], name[sizeof(event->name)];
	char where[WHERE_TEXT];

	name_text(event, ' ', name);
	if (event->by.stack_id)
		snprintf(text, REPORT_GROUP_TEXT, "%s in %s from the same %s", name,
			 where_text(style, event, where),
			 event_other(event)->stack_id ? "two stacks" : "stack");
	else
		snprintf(text, REPORT_GROUP_TEXT, "%s of buffer 0x%" PRIx64 " (%s) on device %s",
			 name, event->buffer, space_text(style, event, space),
			 device_text(style, event, device));
}

/* Prints how many more there were, in one line: for grep. */
void report_group(const char *text, uint64_t more, uint64_t all)
{
	printf("BUFFTRACK: %" PRIu64 " more of %s, %" PRIu64 " in all\n", more, text, all);
}

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
	stack = stack_of(style, who);
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
	json_add(object, "freed", who_json(style, &life->freed, endings[ending(life)].reason));
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

static struct json_object *flags_json(uint32_t flags)
{
	struct json_object *array = json_object_new_array();

	if (flags & BUFFTRACK_F_EXCLUSIVE)
		json_object_array_add(array, json_object_new_string("exclusive"));
	if (flags & BUFFTRACK_F_SHARED)
		json_object_array_add(array, json_object_new_string("shared"));
	if (flags & BUFFTRACK_F_VIEW)
		json_object_array_add(array, json_object_new_string("view"));
	if (flags & BUFFTRACK_LIFE_PRIVATE)
		json_object_array_add(array, json_object_new_string("private"));
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
	json_add_bool(object, "certain", !is_probable(event));
	json_add_id(object, "tag", event->tag);
	json_add_number(object, "client", event->client);
}

static void add_verdict_json(const struct report_style *style, struct json_object *object,
			     const struct event *event)
{
	json_add_bool(object, "history_lost", history_lost(event));
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
