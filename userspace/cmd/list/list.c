// SPDX-License-Identifier: GPL-2.0
/* list: the lives that the kernel knows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/device.h"
#include "abi/labels.h"
#include "cmd/command.h"
#include "cmd/list/list.h"
#include "symbol/stack.h"
#include "util/options.h"
#include "util/util.h"

#define PAGE_LIVES 512
#define TABLE_COLUMNS 80
/* What --fail-if-any exits with */
#define EXIT_ANY 3

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

static void print_lives(struct list *list)
{
	size_t i;

	if (list->nr && is_sorted(list))
		qsort_r(list->lives, list->nr, sizeof(*list->lives), compare_lives, list);
	if (list->limit && list->nr > list->limit)
		list->nr = list->limit;
	if (!list->json) {
		list_print_table(list);
		return;
	}
	for (i = 0; i < list->nr; i++)
		list_print_json(list, &list->lives[i]);
}

static bool by_site(const struct list *list)
{
	return list->by == LIST_BY_SITE || list->folded;
}

/* Takes one life in. Returns false where no more are wanted. */
static bool take_life(struct list *list, const struct bufftrack_life *life)
{
	if (list_age(list, life) < list->older_than || (list->by_tag && life->tag != list->tag))
		return true;
	if (by_site(list)) {
		list_take_site(list, life);
		list->nr++;
		return true;
	}
	/* Where nothing is sorted, nothing has to be kept. */
	if (list->json && !is_sorted(list)) {
		list_print_json(list, life);
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
	if (ret == EXIT_OK && by_site(list))
		list_print_sites(list);
	else if (ret == EXIT_OK && !(list->json && !is_sorted(list)))
		print_lives(list);
	if (ret == EXIT_OK && list->fail_if_any && list->nr)
		ret = EXIT_ANY;
	labels_free(list->labels);
	stacks_free(list->stacks);
	sites_free(&list->sites);
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
	static const char *const by[] = {
		[LIST_BY_BUFFER] = "buffer",
		[LIST_BY_SITE] = "site",
		NULL,
	};
	struct list list = { .sort = sort_keys };
	struct bufftrack_list *query = &list.query;
	bool by_client = false, by_device = false, by_pid = false, by_space = false;
	uint64_t client = 0, device = 0, pid = 0, space = 0;
	const char *sort = NULL;
	const struct option_spec options[] = {
		OPTION_FLAG('a', "all", &list.all),
		OPTION_CHOICE(0, "by", &list.by, .choices = by),
		OPTION_NUMBER('c', "client", &client, .given = &by_client),
		OPTION_NUMBER('d', "device", &device, .given = &by_device),
		OPTION_FLAG(0, "fail-if-any", &list.fail_if_any),
		OPTION_FLAG(0, "folded", &list.folded),
		OPTION_FLAG('j', "json", &list.json),
		OPTION_NUMBER('n', "limit", &list.limit),
		OPTION_DURATION('o', "older-than", &list.older_than),
		OPTION_NUMBER('p', "pid", &pid, .given = &by_pid, .max = INT32_MAX),
		OPTION_FLAG('r', "reverse", &list.reverse),
		OPTION_TEXT('s', "sort", &sort),
		OPTION_NUMBER('S', "space", &space, .given = &by_space, .max = UINT32_MAX),
		OPTION_NUMBER(0, "tag", &list.tag, .given = &list.by_tag),
		OPTION_FLAG('t', "stacks", &list.show_stacks),
	};
	int ret = command_options_only(&cmd_list, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (list.json && list.folded) {
		complain("--json and --folded exclude each other");
		return command_misused(&cmd_list);
	}
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
		 "      --by WHAT              buffer: each (so if not given); site: how many\n"
		 "                             bytes each place has allocated, most first\n"
		 "  -c, --client ID            to which one client has references\n"
		 "  -d, --device ID            of one device only\n"
		 "      --fail-if-any          exit with 3 where any is listed\n"
		 "      --folded               the bytes by the stacks of their allocs, as flame\n"
		 "                             graphs take them\n"
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
		 "      --tag TAG              of one tag only\n"
		 "  -t, --stacks               beneath each, the stacks of its alloc and its end\n"
		 "                             (--json has them always)\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack list --older-than 5m --sort size --limit 20\n"
		 "  bufftrack list --device 0 --all --stacks\n"
		 "  bufftrack list --by site --limit 10\n"
		 "  bufftrack list --tag 7 --fail-if-any\n"
		 "  bufftrack list --json | jq -s 'map(.size) | add'\n",
	.run = list_main,
};
