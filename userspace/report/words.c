// SPDX-License-Identifier: GPL-2.0
/* The words of which reports are made: names, why a verdict was given, what it changed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi/labels.h"
#include "event/event.h"
#include "report/report.h"
#include "report/words.h"
#include "symbol/stack.h"
#include "util/util.h"

bool report_is_probable(const struct event *event)
{
	return event->info & BUFFTRACK_INFO_PROBABLE;
}

bool report_history_lost(const struct event *event)
{
	return event->info & BUFFTRACK_INFO_HISTORY_LOST;
}

/* Of a path. */
const char *report_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

const char *report_device_name(const struct report_style *style, uint64_t device,
			       char text[REPORT_NAME_TEXT])
{
	const char *label = labels_device(style->labels, device);
	char id[SHORT_TEXT];

	format_id(id, device);
	if (label)
		snprintf(text, REPORT_NAME_TEXT, "%s", label);
	else
		snprintf(text, REPORT_NAME_TEXT, "%s", id);
	return text;
}

const char *report_space_name(const struct report_style *style, uint64_t device, uint32_t space,
			      char text[REPORT_NAME_TEXT])
{
	const char *label = labels_space(style->labels, device, space);

	if (label)
		snprintf(text, REPORT_NAME_TEXT, "%s", label);
	else
		snprintf(text, REPORT_NAME_TEXT, "space %u", space);
	return text;
}

const char *report_device(const struct report_style *style, const struct event *event,
			  char text[REPORT_NAME_TEXT])
{
	return report_device_name(style, event->device, text);
}

const char *report_space(const struct report_style *style, const struct event *event,
			 char text[REPORT_NAME_TEXT])
{
	return report_space_name(style, event->device, event->space, text);
}

/* The event's name with another character between its words. */
const char *report_name(const struct event *event, char between, char text[sizeof(event->name)])
{
	char *at;

	memcpy(text, event->name, sizeof(event->name));
	for (at = text; *at; at++)
		if (*at == '_')
			*at = between;
	return text;
}

static void explain_double_free(const struct event *event, char *text, size_t room)
{
	if (event->refs)
		snprintf(text, room,
			 "this client already released its reference; other clients hold %u",
			 event->refs);
	else if (event->token && report_history_lost(event))
		snprintf(text, room,
			 "the token names generation %" PRIu64
			 ", which is older than the records of this buffer",
			 event->token);
	else if (event->token)
		snprintf(text, room, "the token's generation %" PRIu64 " was freed before",
			 event->token);
	else if (event->lives > 1)
		snprintf(text, room, "no token was given, and this buffer was allocated %u times",
			 event->lives);
	else if (report_is_probable(event))
		snprintf(text, room,
			 "no token was given, and older records of this device were evicted");
	else
		snprintf(text, room, "this buffer was allocated once, and freed before");
}

static void explain_stale_free(const struct event *event, char *text, size_t room)
{
	if (event->token && event->token != event->generation)
		snprintf(text, room,
			 "the token names generation %" PRIu64 ", the %s one is %" PRIu64,
			 event->token, event->refs ? "live" : "last", event->generation);
	else
		snprintf(text, room,
			 "that allocation was replaced: its address was allocated again");
}

static void explain_unknown_free(const struct event *event, char *text, size_t room)
{
	if (event->generation)
		snprintf(text, room, "this buffer never had the token %" PRIu64, event->token);
	else if (report_history_lost(event) && !event->evicted)
		snprintf(text, room,
			 "no record of this buffer, but older records of this device were evicted");
	else if (report_history_lost(event))
		snprintf(text, room,
			 "no record of this buffer, but %" PRIu64
			 " older record%s of this device %s evicted",
			 event->evicted, plural(event->evicted),
			 event->evicted == 1 ? "was" : "were");
	else
		snprintf(text, room, "there is no record of this buffer");
}

/* What the kernel knows that makes it say so. */
void report_why(const struct event *event, char *text, size_t room)
{
	switch (event->verdict) {
	case BUFFTRACK_DOUBLE_FREE:
		explain_double_free(event, text, room);
		break;
	case BUFFTRACK_STALE_FREE:
		explain_stale_free(event, text, room);
		break;
	case BUFFTRACK_FOREIGN_FREE:
		snprintf(text, room, "the buffer is live and owned by another client");
		break;
	case BUFFTRACK_FREE_AFTER_EXIT:
		snprintf(text, room, "the buffer was released when its last owner exited");
		break;
	case BUFFTRACK_FREE_AFTER_RESET:
		snprintf(text, room, "the buffer was released by a reset of the %s",
			 event->life.reason == BUFFTRACK_STATE_CONTEXT ? "client's context"
								       : "device");
		break;
	case BUFFTRACK_HELD_FREE:
		snprintf(text, room, "it was to be the last reference, and %u %s left", event->refs,
			 event->refs == 1 ? "is" : "are");
		break;
	case BUFFTRACK_UNKNOWN_FREE:
		explain_unknown_free(event, text, room);
		break;
	case BUFFTRACK_MISSED_FREE:
		snprintf(text, room,
			 "the address was allocated again while live: its free was never reported, "
			 "or the allocator gave it out twice");
		break;
	case BUFFTRACK_SIZE_MISMATCH:
		snprintf(text, room, "%" PRIu64 " bytes reported, %" PRIu64 " recorded",
			 event->requested, event->size);
		break;
	case BUFFTRACK_DANGLING:
		snprintf(text, room, "%s of a buffer that is not live%s",
			 event->flags & BUFFTRACK_F_RETAIN ? "a further reference" : "a view",
			 event->token ? ", or not the one that the token names" : "");
		break;
	case BUFFTRACK_LEAK:
		snprintf(text, room, "the client closed with %u reference%s; other clients hold %u",
			 event->count, plural(event->count), event->refs);
		break;
	default:
		snprintf(text, room, "a verdict that this tool does not know");
	}
}

const char *report_consequence(const struct event *event)
{
	switch (event->verdict) {
	case BUFFTRACK_MISSED_FREE:
		return "the earlier allocation was ended";
	case BUFFTRACK_HELD_FREE:
		return "the buffer was released";
	case BUFFTRACK_SIZE_MISMATCH:
		return "the call was counted";
	case BUFFTRACK_LEAK:
		return event->refs ? "its references were dropped" : "the buffer was released";
	case BUFFTRACK_NR_VERDICTS:
		return "";
	default:
		return "the call was ignored";
	}
}

const char *report_offence(const struct event *event)
{
	switch (event->verdict) {
	case BUFFTRACK_LEAK:
		return "leaked by";
	case BUFFTRACK_MISSED_FREE:
	case BUFFTRACK_DANGLING:
		return "offending alloc";
	case BUFFTRACK_SIZE_MISMATCH:
	case BUFFTRACK_NR_VERDICTS:
		return "offending call";
	default:
		return "offending free";
	}
}

const struct stack *report_stack_of(const struct report_style *style, const struct who *who)
{
	return who->stack ? who->stack
			  : stacks_get(style->stacks, who->stack_id, who->pid, who->time);
}

/* A client that leaves gives no stack: it is the alloc that has no free. */
const struct who *report_culprit(const struct event *event)
{
	return event->kind == EVENT_LEAK ? &event->life.allocated : &event->by;
}

/* Who has called, of a stack: for grep, and for counting the same ones. */
const char *report_place(const struct stack *stack, char text[REPORT_WHERE_TEXT])
{
	const struct stack_frame *frame = stack_caller(stack);

	if (!frame)
		snprintf(text, REPORT_WHERE_TEXT, "no-stack");
	else if (frame->symbol && frame->line)
		snprintf(text, REPORT_WHERE_TEXT, "%.200s %.100s:%u", frame->symbol,
			 report_last_part(frame->file), frame->line);
	else if (frame->symbol)
		snprintf(text, REPORT_WHERE_TEXT, "%.200s", frame->symbol);
	else if (frame->module)
		snprintf(text, REPORT_WHERE_TEXT, "%.100s+0x%" PRIx64,
			 report_last_part(frame->module), frame->offset);
	else
		snprintf(text, REPORT_WHERE_TEXT, "0x%" PRIx64, frame->address);
	return text;
}

/* Where the culprit is. */
const char *report_where(const struct report_style *style, const struct event *event,
			 char text[REPORT_WHERE_TEXT])
{
	return report_place(report_stack_of(style, report_culprit(event)), text);
}
