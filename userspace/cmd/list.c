// SPDX-License-Identifier: GPL-2.0
/* list: the lives that the kernel knows. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/command.h"
#include "abi/device.h"
#include "event/names.h"
#include "util/json.h"
#include "abi/labels.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/options.h"
#include "util/util.h"

#define PAGE_LIVES 512
#define TABLE_COLUMNS 80

struct list {
	struct bufftrack_list query;
	bool json;
	bool reverse;
	bool all;
	bool show_stacks;
	uint64_t older_than;
	uint64_t limit; /* 0 for none */
	const struct sort_key *sort;
	uint64_t now;
	struct labels *labels;
	struct stacks *stacks;
	struct bufftrack_life *lives;
	size_t nr;
	size_t room;
};

#define FIELD(member) \
	offsetof(struct bufftrack_life, member), sizeof(((struct bufftrack_life *)0)->member)

/* By which field, and whether its largest value is asked for first. */
static const struct sort_key {
	const char *name;
	size_t offset;
	size_t size; /* 0 for no order */
	bool descending;
} sort_keys[] = {
	{ "age", FIELD(alloc.time), false }, { "buffer", FIELD(buffer), false },
	{ "client", FIELD(client), false },  { "device", FIELD(device), false },
	{ "lives", FIELD(lives), true },     { "none", 0, 0, false },
	{ "pid", FIELD(alloc.pid), false },  { "refs", FIELD(refs), true },
	{ "refused", FIELD(refused), true }, { "size", FIELD(size), true },
	{ "space", FIELD(space), false },
};

static bool is_sorted(const struct list *list)
{
	return list->sort->size;
}

static uint64_t sort_value(const struct sort_key *key, const struct bufftrack_life *life)
{
	const char *field = (const char *)life + key->offset;
	uint64_t wide;
	uint32_t narrow;

	if (key->size == sizeof(wide)) {
		memcpy(&wide, field, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, field, sizeof(narrow));
	return narrow;
}

/* Equal ones in the order of their keys, so that two runs agree. */
static int compare_lives(const void *first, const void *second, void *arg)
{
	const struct bufftrack_life *a = first, *b = second;
	const struct list *list = arg;
	int order;

	order = compare_numbers(sort_value(list->sort, a), sort_value(list->sort, b));
	if (list->sort->descending)
		order = -order;
	if (!order)
		order = compare_numbers(a->device, b->device);
	if (!order)
		order = compare_numbers(a->space, b->space);
	if (!order)
		order = compare_numbers(a->buffer, b->buffer);
	return list->reverse ? -order : order;
}

static uint64_t age_of(const struct list *list, const struct bufftrack_life *life)
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

static void print_json(struct list *list, const struct bufftrack_life *life)
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
	json_add_time(object, "age", age_of(list, life));
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
	age_cell(age_of(list, life), age);
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

static void print_lives(struct list *list)
{
	struct widths widths = { .device = 6, .space = 5, .buffer = 10 };
	size_t i;

	if (list->nr && is_sorted(list))
		qsort_r(list->lives, list->nr, sizeof(*list->lives), compare_lives, list);
	if (list->limit && list->nr > list->limit)
		list->nr = list->limit;
	if (list->json) {
		for (i = 0; i < list->nr; i++)
			print_json(list, &list->lives[i]);
		return;
	}
	measure(list, &widths);
	print_heading(list, &widths);
	for (i = 0; i < list->nr; i++) {
		print_row(list, &widths, &list->lives[i]);
		if (list->show_stacks)
			print_stacks(list, &list->lives[i]);
	}
}

/* Takes one life in. Returns false where no more are wanted. */
static bool take_life(struct list *list, const struct bufftrack_life *life)
{
	if (age_of(list, life) < list->older_than)
		return true;
	/* Where nothing is sorted, nothing has to be kept. */
	if (list->json && !is_sorted(list)) {
		print_json(list, life);
		list->nr++;
		return !list->limit || list->nr < list->limit;
	}
	if (list->nr == list->room) {
		list->room = list->room ? 2 * list->room : PAGE_LIVES;
		list->lives = xrealloc(list->lives, list->room, sizeof(*list->lives));
	}
	list->lives[list->nr++] = *life;
	return is_sorted(list) || !list->limit || list->nr < list->limit;
}

static int read_lives(struct list *list, int fd)
{
	struct bufftrack_life *page;
	bool more = true;
	uint32_t i;

	page = xrealloc(NULL, PAGE_LIVES, sizeof(*page));
	while (more) {
		/* An older kernel fills less of each. */
		memset(page, 0, PAGE_LIVES * sizeof(*page));
		list->query.entries = (uintptr_t)page;
		list->query.nr = PAGE_LIVES;
		list->query.entry_size = sizeof(*page);
		if (ioctl(fd, BUFFTRACK_IOC_LIST, &list->query)) {
			complain("cannot list: %s", strerror(errno));
			free(page);
			return EXIT_ERROR;
		}
		list->now = monotonic_ns();
		for (i = 0; more && i < list->query.nr; i++)
			more = take_life(list, &page[i]);
		more = more && list->query.nr;
	}
	free(page);
	return EXIT_OK;
}

static int run_list(struct list *list)
{
	int fd = device_open();
	int ret;

	if (fd < 0)
		return EXIT_ERROR;
	list->labels = labels_new();
	list->stacks = stacks_new();
	labels_read(list->labels, fd);
	ret = read_lives(list, fd);
	if (ret == EXIT_OK && !(list->json && !is_sorted(list)))
		print_lives(list);
	labels_free(list->labels);
	stacks_free(list->stacks);
	free(list->lives);
	close(fd);
	return ret;
}

static bool find_sort_key(const char *name, const struct sort_key **key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sort_keys); i++) {
		if (strcmp(name, sort_keys[i].name))
			continue;
		*key = &sort_keys[i];
		return true;
	}
	complain("cannot sort by %s (see 'bufftrack list --help')", name);
	return false;
}

static int list_main(int argc, char **argv)
{
	struct list list = { .sort = sort_keys };
	struct bufftrack_list *query = &list.query;
	bool by_client = false, by_device = false, by_pid = false, by_space = false;
	uint64_t client = 0, device = 0, pid = 0, space = 0;
	const char *sort = NULL;
	const struct option_spec options[] = {
		OPTION_FLAG('a', "all", &list.all),
		OPTION_NUMBER('c', "client", &client, .given = &by_client),
		OPTION_NUMBER('d', "device", &device, .given = &by_device),
		OPTION_FLAG('j', "json", &list.json),
		OPTION_NUMBER('n', "limit", &list.limit),
		OPTION_DURATION('o', "older-than", &list.older_than),
		OPTION_NUMBER('p', "pid", &pid, .given = &by_pid, .max = INT32_MAX),
		OPTION_FLAG('r', "reverse", &list.reverse),
		OPTION_TEXT('s', "sort", &sort),
		OPTION_NUMBER('S', "space", &space, .given = &by_space, .max = UINT32_MAX),
		OPTION_FLAG('t', "stacks", &list.show_stacks),
	};
	int ret = command_options_only(&cmd_list, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (sort && !find_sort_key(sort, &list.sort))
		return EXIT_USAGE;
	query->client = client;
	query->device = device;
	query->pid = (uint32_t)pid;
	query->space = (uint32_t)space;
	query->flags = (list.all ? BUFFTRACK_LIST_DEAD : 0) |
		       (by_client ? BUFFTRACK_LIST_CLIENT : 0) |
		       (by_device ? BUFFTRACK_LIST_DEVICE : 0) | (by_pid ? BUFFTRACK_LIST_PID : 0) |
		       (by_space ? BUFFTRACK_LIST_SPACE : 0);
	return run_list(&list);
}

const struct command cmd_list = {
	.name = "list",
	.help = "list what is allocated, and what was",
	.usage = "Usage: bufftrack list [OPTION...]\n"
		 "Lists the live buffers of the caller's user; root sees those of all.\n"
		 "\n"
		 "Options:\n"
		 "  -a, --all                  those that have ended too, as far as known\n"
		 "  -c, --client ID            to which one client has references\n"
		 "  -d, --device ID            of one device only\n"
		 "  -h, --help                 this text\n"
		 "  -j, --json                 one JSON object a line\n"
		 "  -n, --limit N              the first N only; 0: all\n"
		 "  -o, --older-than DURATION  allocated at least that long ago (10s, 5m, 2h;\n"
		 "                             seconds if plain)\n"
		 "  -p, --pid PID              allocated by process PID only\n"
		 "  -r, --reverse              the other way round\n"
		 "  -s, --sort KEY             by age (oldest first), buffer, client, device,\n"
		 "                             lives, pid, refs, refused, size (largest\n"
		 "                             first), space; none keeps nothing in memory\n"
		 "  -S, --space N              in one memory space only\n"
		 "  -t, --stacks               beneath each, the stacks of its alloc and its end\n"
		 "                             (--json has them always)\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack list --older-than 5m --sort size --limit 20\n"
		 "  bufftrack list --device 0 --all --stacks\n"
		 "  bufftrack list --json | jq -s 'map(.size) | add'\n",
	.run = list_main,
};
