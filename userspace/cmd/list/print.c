// SPDX-License-Identifier: GPL-2.0
/* list: the allocations, as a table and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi/labels.h"
#include "cmd/list/list.h"
#include "event/names.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/json.h"
#include "util/util.h"

#define TABLE_COLUMNS 80

uint64_t list_age(const struct list *list, const struct bufftrack_life *life)
{
	return list->now > life->alloc.time ? list->now - life->alloc.time : 0;
}

static struct json_object *event_json(const struct list *list, const struct bufftrack_event *event)
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
	stack = stacks_get(list->stacks, event->stack_id, event->pid, event->time);
	json_add_number(object, "stack_id", event->stack_id);
	json_add(object, "stack", report_stack_json(stack));
	json_add_text(object, "no_stack", stack->why);
	return object;
}

void list_print_json(struct list *list, const struct bufftrack_life *life)
{
	struct json_object *object = json_object_new_object();
	char comm[BUFFTRACK_COMM_LEN];

	copy_text(comm, sizeof(comm), life->alloc.comm, sizeof(life->alloc.comm));
	json_add_id(object, "device", life->device);
	json_add_text(object, "device_label", labels_device(list->labels, life->device));
	json_add_number(object, "space", life->space);
	json_add_text(object, "space_label", labels_space(list->labels, life->device, life->space));
	json_add_id(object, "buffer", life->buffer);
	json_add_number(object, "size", life->size);
	json_add_number(object, "generation", life->generation);
	json_add_number(object, "refs", life->refs);
	json_add_number(object, "views", life->views);
	json_add_id(object, "tag", life->tag);
	json_add_text(object, "state", state_words(life->state)->name);
	json_add_time(object, "age", list_age(list, life));
	json_add_number(object, "client", life->client);
	json_add_number(object, "pid", life->alloc.pid);
	json_add_text(object, "comm", comm);
	json_add_bool(object, "exited", life->alloc.exited);
	json_add_bool(object, "shared", life->flags & BUFFTRACK_F_SHARED);
	json_add_bool(object, "private", life->flags & BUFFTRACK_LIFE_PRIVATE);
	json_add_number(object, "lives", life->lives);
	json_add_number(object, "frees", life->frees);
	json_add_number(object, "refused", life->refused);
	json_add(object, "allocated", event_json(list, &life->alloc));
	json_add(object, "ended", event_json(list, &life->end));
	json_print(object);
}

/* How wide the columns are whose contents differ much. */
struct widths {
	int device;
	int space;
	int buffer;
	int comm;
};

#define LABEL_COLUMNS 12

static void device_cell(struct list *list, const struct bufftrack_life *life, char text[SHORT_TEXT])
{
	const char *label = labels_device(list->labels, life->device);

	if (label)
		snprintf(text, SHORT_TEXT, "%.*s", LABEL_COLUMNS, label);
	else
		format_id(text, life->device);
}

static void space_cell(struct list *list, const struct bufftrack_life *life, char text[SHORT_TEXT])
{
	const char *label = labels_space(list->labels, life->device, life->space);

	if (label)
		snprintf(text, SHORT_TEXT, "%.*s", LABEL_COLUMNS, label);
	else
		snprintf(text, SHORT_TEXT, "%u", life->space);
}

static void age_cell(uint64_t ns, char text[SHORT_TEXT])
{
	uint64_t seconds = ns / NSEC_PER_SEC;

	if (ns < 9950000000ULL)
		snprintf(text, SHORT_TEXT, "%.1fs", (double)ns / 1e9);
	else if (seconds < 600)
		snprintf(text, SHORT_TEXT, "%" PRIu64 "s", seconds);
	else if (seconds < 36000)
		snprintf(text, SHORT_TEXT, "%" PRIu64 "m", seconds / 60);
	else if (seconds < 864000)
		snprintf(text, SHORT_TEXT, "%" PRIu64 "h", seconds / 3600);
	else
		snprintf(text, SHORT_TEXT, "%" PRIu64 "d", seconds / 86400);
}

static void widen(int *width, const char *text)
{
	int len = (int)strlen(text);

	if (len > *width)
		*width = len;
}

static void measure(struct list *list, struct widths *widths)
{
	char text[SHORT_TEXT];
	size_t i;

	for (i = 0; i < list->nr; i++) {
		device_cell(list, &list->lives[i], text);
		widen(&widths->device, text);
		space_cell(list, &list->lives[i], text);
		widen(&widths->space, text);
		snprintf(text, sizeof(text), "0x%" PRIx64, (uint64_t)list->lives[i].buffer);
		widen(&widths->buffer, text);
	}
	/* The other columns and the blanks between all of them. */
	widths->comm = TABLE_COLUMNS - widths->device - widths->space - widths->buffer -
		       (list->all ? 36 : 29);
	if (widths->comm < 1)
		widths->comm = 1;
}

static void print_heading(const struct list *list, const struct widths *widths)
{
	printf("%-*s %-*s %-*s    SIZE REFS  AGE%s     PID %.*s\n", widths->device, "DEVICE",
	       widths->space, "SPACE", widths->buffer, "BUFFER", list->all ? " STATE " : "",
	       widths->comm, "COMM");
}

static void print_row(struct list *list, const struct widths *widths,
		      const struct bufftrack_life *life)
{
	char device[SHORT_TEXT], space[SHORT_TEXT], size[SHORT_TEXT];
	char age[SHORT_TEXT], state[SHORT_TEXT] = "", buffer[SHORT_TEXT];
	char comm[BUFFTRACK_COMM_LEN];

	device_cell(list, life, device);
	space_cell(list, life, space);
	snprintf(buffer, sizeof(buffer), "0x%" PRIx64, (uint64_t)life->buffer);
	format_size(size, life->size);
	age_cell(list_age(list, life), age);
	if (list->all)
		snprintf(state, sizeof(state), " %-6s", state_words(life->state)->name);
	copy_text(comm, sizeof(comm), life->alloc.comm, sizeof(life->alloc.comm));
	printf("%-*s %-*s %-*s %7s %4u %4s%s %7u %.*s\n", widths->device, device, widths->space,
	       space, widths->buffer, buffer, size, life->refs, age, state, life->alloc.pid,
	       widths->comm, comm);
}

static void print_who(struct list *list, const char *label, const struct bufftrack_event *event)
{
	char comm[BUFFTRACK_COMM_LEN], span[SHORT_TEXT];

	if (!event->time)
		return;
	copy_text(comm, sizeof(comm), event->comm, sizeof(event->comm));
	format_duration(span, list->now > event->time ? list->now - event->time : 0);
	printf("  %-14s pid %u (%s%s) tid %u, %s ago\n", label, event->pid, comm,
	       event->exited ? ", exited" : "", event->tid, span);
	report_stack(stacks_get(list->stacks, event->stack_id, event->pid, event->time));
}

/* Beneath its row: where the life ended, and where it began. */
static void print_stacks(struct list *list, const struct bufftrack_life *life)
{
	print_who(list, state_words(life->state)->by, &life->end);
	print_who(list, "allocated by", &life->alloc);
}

/* All of them, in the order that they are in. */
void list_print_table(struct list *list)
{
	struct widths widths = { .device = 6, .space = 5, .buffer = 10 };
	size_t i;

	measure(list, &widths);
	print_heading(list, &widths);
	for (i = 0; i < list->nr; i++) {
		print_row(list, &widths, &list->lives[i]);
		if (list->show_stacks)
			print_stacks(list, &list->lives[i]);
	}
}
