// SPDX-License-Identifier: GPL-2.0
/* list: the allocations, as a table and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi/labels.h"
#include "cmd/list/list.h"
#include "event/names.h"
#include "report/life.h"
#include "report/report.h"
#include "util/json.h"
#include "util/util.h"

#define TABLE_COLUMNS 80

uint64_t list_age(const struct list *list, const struct bufftrack_life *life)
{
	return list->now > life->alloc.time ? list->now - life->alloc.time : 0;
}

static struct report_style style_of(const struct list *list)
{
	return (struct report_style){ .labels = list->labels, .stacks = list->stacks };
}

void list_print_json(struct list *list, const struct bufftrack_life *life)
{
	struct json_object *object = json_object_new_object();
	struct report_style style = style_of(list);

	report_add_life_json(&style, object, life, list->now);
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

/* Beneath its row: where the life ended, and where it began. */
static void print_stacks(struct list *list, const struct bufftrack_life *life)
{
	struct report_style style = style_of(list);

	report_party(&style, state_words(life->state)->by, &life->end, list->now);
	report_party(&style, "allocated by", &life->alloc, list->now);
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
