// SPDX-License-Identifier: GPL-2.0
/* A life as the kernel lists it, told in text and in JSON. */
#include <stdio.h>

#include "abi/labels.h"
#include "event/names.h"
#include "report/life.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/json.h"
#include "util/util.h"

/* Who began or ended it, and from where; nothing where that is not known. */
void report_party(const struct report_style *style, const char *label,
		  const struct bufftrack_event *event, uint64_t now)
{
	char comm[BUFFTRACK_COMM_LEN], span[SHORT_TEXT];

	if (!event->time)
		return;
	copy_text(comm, sizeof(comm), event->comm, sizeof(event->comm));
	format_duration(span, now > event->time ? now - event->time : 0);
	printf("  %-14s pid %u (%s%s) tid %u, %s ago\n", label, event->pid, comm,
	       event->exited ? ", exited" : "", event->tid, span);
	report_stack(stacks_get(style->stacks, event->stack_id, event->pid, event->time));
}

/* The same; NULL where it is not known. */
struct json_object *report_party_json(const struct report_style *style,
				      const struct bufftrack_event *event)
{
	const struct stack *stack;
	struct json_object *object;
	char comm[BUFFTRACK_COMM_LEN];

	if (!event->time)
		return NULL;
	copy_text(comm, sizeof(comm), event->comm, sizeof(event->comm));
	object = json_object_new_object();
	json_add_number(object, "pid", event->pid);
	json_add_number(object, "tid", event->tid);
	json_add_text(object, "comm", comm);
	json_add_time(object, "time", event->time);
	json_add_bool(object, "exited", event->exited);
	stack = stacks_get(style->stacks, event->stack_id, event->pid, event->time);
	json_add_number(object, "stack_id", event->stack_id);
	json_add(object, "stack", report_stack_json(stack));
	json_add_text(object, "no_stack", stack->why);
	return object;
}

/* Adds all that the kernel lists of a life. */
void report_add_life_json(const struct report_style *style, struct json_object *object,
			  const struct bufftrack_life *life, uint64_t now)
{
	char comm[BUFFTRACK_COMM_LEN];

	copy_text(comm, sizeof(comm), life->alloc.comm, sizeof(life->alloc.comm));
	json_add_id(object, "device", life->device);
	json_add_text(object, "device_label", labels_device(style->labels, life->device));
	json_add_number(object, "space", life->space);
	json_add_text(object, "space_label",
		      labels_space(style->labels, life->device, life->space));
	json_add_id(object, "buffer", life->buffer);
	json_add_number(object, "size", life->size);
	json_add_number(object, "generation", life->generation);
	json_add_number(object, "refs", life->refs);
	json_add_number(object, "views", life->views);
	json_add_id(object, "tag", life->tag);
	json_add_text(object, "state", state_words(life->state)->name);
	json_add_time(object, "age", now > life->alloc.time ? now - life->alloc.time : 0);
	json_add_number(object, "client", life->client);
	json_add_number(object, "pid", life->alloc.pid);
	json_add_text(object, "comm", comm);
	json_add_bool(object, "exited", life->alloc.exited);
	json_add_bool(object, "shared", life->flags & BUFFTRACK_F_SHARED);
	json_add_bool(object, "private", life->flags & BUFFTRACK_LIFE_PRIVATE);
	json_add_number(object, "lives", life->lives);
	json_add_number(object, "frees", life->frees);
	json_add_number(object, "refused", life->refused);
	json_add(object, "allocated", report_party_json(style, &life->alloc));
	json_add(object, "ended", report_party_json(style, &life->end));
}
