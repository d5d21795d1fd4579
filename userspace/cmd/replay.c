// SPDX-License-Identifier: GPL-2.0
/* replay: a recorded log, through the device. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ledger/balance.h"
#include "cmd/command.h"
#include "abi/device.h"
#include "util/json.h"
#include "source/replay_parse.h"
#include "util/options.h"
#include "util/util.h"

#define BATCH_OPS 256
#define PAGE_LIVES 512

/* The spaces that the server's names mean; others follow as they appear. */
#define SPACE_OF_UNTYPED 0

/*
 * @number: what the kernel calls it
 */
struct client {
	uint64_t id;
	uint64_t number;
	bool is_private;
	int fd;
};

/* Where a buffer was last allocated, for the lines that do not say. */
struct place {
	uint64_t device;
	uint64_t buffer;
	uint32_t space;
};

/* The generation that a life has now, for the one that it had in the log. */
struct generation {
	uint64_t device;
	uint64_t buffer;
	uint32_t space;
	uint64_t then;
	uint64_t now; /* 0 until its ALLOC was carried out */
};

/* A type of memory, by its name in the log. */
struct type {
	char name[REPLAY_TYPE_LEN];
	uint32_t space;
};

struct labelled {
	uint64_t device;
	uint32_t space;
};

/* What is carried out in one go: calls of one client, in the log's order. */
struct batch {
	struct client *client;
	struct bufftrack_op ops[BATCH_OPS];
	struct balance_key *keys[BATCH_OPS];
	struct generation *generations[BATCH_OPS];
	uint32_t nr;
};

struct replay {
	int fd;
	uint64_t features;
	uint32_t max_batch;
	struct batch batch;

	void *clients;
	void *places;
	void *generations;
	struct balance *balance;
	struct type *types;
	uint32_t nr_types;
	struct labelled *labelled;
	size_t nr_labelled;

	bool closed_any;
	uint64_t nr_clients;
	uint64_t ignored;
	uint64_t failed;
	int error; /* why the first of those failed */
};

static int compare_clients(const void *first, const void *second)
{
	const struct client *a = first, *b = second;

	return compare_numbers(a->id, b->id);
}

static int compare_places(const void *first, const void *second)
{
	const struct place *a = first, *b = second;
	int order = compare_numbers(a->buffer, b->buffer);

	return order ? order : compare_numbers(a->device, b->device);
}

static int compare_generations(const void *first, const void *second)
{
	const struct generation *a = first, *b = second;
	int order = compare_numbers(a->then, b->then);

	if (!order)
		order = compare_numbers(a->buffer, b->buffer);
	if (!order)
		order = compare_numbers(a->device, b->device);
	if (!order)
		order = compare_numbers(a->space, b->space);
	return order;
}

/*
 * Finds what is equal to @wanted in a tree, or adds a copy of it. @added says
 * which.
 */
static void *find_or_add(void **tree, const void *wanted, size_t size,
			 int (*compare)(const void *, const void *), bool *added)
{
	void **found = tfind(wanted, tree, compare);
	void *copy;

	*added = !found;
	if (found)
		return *found;
	copy = xrealloc(NULL, 1, size);
	memcpy(copy, wanted, size);
	found = tsearch(copy, tree, compare);
	if (!found) {
		complain("out of memory");
		exit(EXIT_ERROR);
	}
	return *found;
}

/* It has to be known before the first call; later it fails, and is as everybody's. */
static void make_private(const struct replay *replay, struct client *client)
{
	struct bufftrack_client arg = {
		.mask = BUFFTRACK_CLIENT_PRIVATE,
		.flags = BUFFTRACK_CLIENT_PRIVATE,
	};

	if (client->is_private || !(replay->features & BUFFTRACK_FEATURE_PRIVATE))
		return;
	client->is_private = ioctl(client->fd, BUFFTRACK_IOC_CLIENT, &arg) == 0;
}

/* Each client of the log is one of ours: an open file. NULL where it cannot. */
static struct client *find_client(struct replay *replay, uint64_t id)
{
	struct client wanted = { .id = id, .fd = -1 };
	struct bufftrack_client name = { .mask = BUFFTRACK_CLIENT_NAME };
	struct client *client;
	bool added;

	client = find_or_add(&replay->clients, &wanted, sizeof(wanted), compare_clients, &added);
	if (client->fd >= 0)
		return client;
	client->fd = device_open();
	if (client->fd < 0)
		return NULL;
	replay->nr_clients++;
	snprintf(name.name, sizeof(name.name), "replay-%" PRIu64, id);
	ioctl(client->fd, BUFFTRACK_IOC_CLIENT, &name);
	client->number = name.id;
	client->is_private = false;
	return client;
}

static uint32_t space_of_type(struct replay *replay, const char *type)
{
	static const char *const fixed[] = { "DRAM", "L1" };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		if (strcmp(type, fixed[i]) == 0)
			return i;
	for (i = 0; i < replay->nr_types; i++)
		if (strcmp(type, replay->types[i].name) == 0)
			return replay->types[i].space;
	replay->types = xrealloc(replay->types, replay->nr_types + 1, sizeof(*replay->types));
	memcpy(replay->types[i].name, type, REPLAY_TYPE_LEN);
	replay->types[i].space = (uint32_t)ARRAY_SIZE(fixed) + i;
	replay->nr_types++;
	return replay->types[i].space;
}

/* Names a space as the log does, unless it has a name. */
static void label_space(struct replay *replay, uint64_t device, uint32_t space, const char *type)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_SPACE,
		.device = device,
		.space = space,
	};
	struct bufftrack_label label = {
		.device = device,
		.space = space,
		.flags = BUFFTRACK_LABEL_SPACE,
	};
	size_t i;

	if (!*type || !(replay->features & BUFFTRACK_FEATURE_LABEL))
		return;
	for (i = replay->nr_labelled; i-- > 0;)
		if (replay->labelled[i].device == device && replay->labelled[i].space == space)
			return;
	replay->labelled =
		xrealloc(replay->labelled, replay->nr_labelled + 1, sizeof(*replay->labelled));
	replay->labelled[replay->nr_labelled].device = device;
	replay->labelled[replay->nr_labelled++].space = space;

	if (ioctl(replay->fd, BUFFTRACK_IOC_STAT, &stat) == 0 && stat.name[0])
		return;
	snprintf(label.label, sizeof(label.label), "%s", type);
	/* A name is a help, no more. */
	ioctl(replay->fd, BUFFTRACK_IOC_LABEL, &label);
}

/* The space of a line, which an ALLOC settles for later lines of the buffer. */
static uint32_t space_of_line(struct replay *replay, const struct replay_line *line)
{
	struct place wanted = {
		.device = line->device,
		.buffer = line->buffer,
		.space = SPACE_OF_UNTYPED,
	};
	struct place **found, *place;
	uint32_t space;
	bool added;

	if (!line->has_space && !*line->type) {
		found = tfind(&wanted, &replay->places, compare_places);
		return found ? (*found)->space : SPACE_OF_UNTYPED;
	}
	space = line->has_space ? line->space : space_of_type(replay, line->type);
	label_space(replay, line->device, space, line->type);
	if (line->kind == REPLAY_ALLOC) {
		place = find_or_add(&replay->places, &wanted, sizeof(wanted), compare_places,
				    &added);
		place->space = space;
	}
	return space;
}

/* Takes in the answer to one call. */
static void take_answer(struct replay *replay, uint32_t i)
{
	const struct bufftrack_op *op = &replay->batch.ops[i];
	struct generation *generation = replay->batch.generations[i];
	struct balance_key *key = replay->batch.keys[i];

	if (op->error) {
		if (!replay->failed++)
			replay->error = -op->error;
		return;
	}
	balance_verdict(replay->balance, op->verdict, 1);
	if (generation)
		generation->now = op->generation;
	if (op->flags & BUFFTRACK_F_VIEW)
		return;
	if (op->op == BUFFTRACK_OP_ALLOC) {
		key->live = true;
	} else if (!op->refs &&
		   (op->verdict == BUFFTRACK_OK || op->verdict == BUFFTRACK_SIZE_MISMATCH)) {
		key->live = false;
		balance_released(replay->balance);
	}
}

/* One call by itself, with the answer where a batch has it. */
static void submit_one(int fd, struct bufftrack_op *op)
{
	unsigned long command = op->op == BUFFTRACK_OP_ALLOC ? BUFFTRACK_IOC_ALLOC
							     : BUFFTRACK_IOC_FREE;
	struct bufftrack_op single = *op;

	single.op = 0;
	single.error = ioctl(fd, command, &single) ? -errno : 0;
	single.op = op->op;
	*op = single;
}

/* Carries out what has gathered. Returns false where the device fails. */
static bool submit(struct replay *replay)
{
	struct batch *batch = &replay->batch;
	struct bufftrack_batch call = {
		.entries = (uintptr_t)batch->ops,
		.nr = batch->nr,
		.entry_size = sizeof(batch->ops[0]),
	};
	uint32_t i;

	if (!batch->nr)
		return true;
	if (replay->features & BUFFTRACK_FEATURE_BATCH) {
		if (ioctl(batch->client->fd, BUFFTRACK_IOC_BATCH, &call)) {
			complain("cannot replay: %s", strerror(errno));
			return false;
		}
	} else {
		for (i = 0; i < batch->nr; i++)
			submit_one(batch->client->fd, &batch->ops[i]);
	}
	for (i = 0; i < batch->nr; i++)
		take_answer(replay, i);
	batch->nr = 0;
	return true;
}

static bool is_full(const struct replay *replay)
{
	return replay->batch.nr == BATCH_OPS || replay->batch.nr == replay->max_batch;
}

static struct generation *find_generation(struct replay *replay, const struct balance_key *key,
					  uint64_t then, bool add)
{
	struct generation wanted = {
		.device = key->device,
		.buffer = key->buffer,
		.space = key->space,
		.then = then,
	};
	struct generation **found;
	bool added;

	if (add)
		return find_or_add(&replay->generations, &wanted, sizeof(wanted),
				   compare_generations, &added);
	found = tfind(&wanted, &replay->generations, compare_generations);
	return found ? *found : NULL;
}

/*
 * The token for a life of the log. One whose ALLOC is not in the log gets one
 * that no key ever had: without a token, a newer life might be freed for it.
 */
static bool translate_token(struct replay *replay, const struct balance_key *key, uint64_t then,
			    uint64_t *token)
{
	struct generation *generation;

	*token = 0;
	if (!then)
		return true;
	generation = find_generation(replay, key, then, false);
	if (generation && !generation->now && !submit(replay))
		return false;
	*token = generation && generation->now ? generation->now : UINT64_MAX;
	return true;
}

static bool add_op(struct replay *replay, const struct replay_line *line)
{
	uint32_t space = space_of_line(replay, line);
	struct client *client = find_client(replay, line->client);
	struct batch *batch = &replay->batch;
	struct balance_key wanted, *key;
	struct bufftrack_op *op;
	uint64_t token = 0;

	if (!client)
		return false;
	if (line->flags & BUFFTRACK_LIFE_PRIVATE)
		make_private(replay, client);
	wanted = (struct balance_key){
		.device = line->device,
		.buffer = line->buffer,
		.client = client->is_private ? client->number : 0,
		.space = space,
	};
	key = balance_key(replay->balance, &wanted);
	if ((client != batch->client || is_full(replay)) && !submit(replay))
		return false;
	if (line->kind == REPLAY_FREE && !translate_token(replay, key, line->token, &token))
		return false;

	batch->client = client;
	batch->keys[batch->nr] = key;
	batch->generations[batch->nr] = NULL;
	op = &batch->ops[batch->nr];
	*op = (struct bufftrack_op){
		.device = line->device,
		.buffer = line->buffer,
		.space = space,
		.flags = line->flags & ~BUFFTRACK_LIFE_PRIVATE,
	};
	if (line->kind == REPLAY_ALLOC) {
		op->op = BUFFTRACK_OP_ALLOC;
		op->size = line->size;
		op->tag = line->tag;
		if (line->generation)
			batch->generations[batch->nr] =
				find_generation(replay, key, line->generation, true);
	} else {
		op->op = BUFFTRACK_OP_FREE;
		op->flags &= BUFFTRACK_F_VIEW;
		op->token = token;
	}
	balance_call(replay->balance, key, line->kind == REPLAY_ALLOC);
	batch->nr++;
	return true;
}

/* A client of the log goes away: what it holds leaks. */
static bool close_client(struct replay *replay, uint64_t id)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_CLIENT };
	struct client wanted = { .id = id }, **found, *client;

	if (!submit(replay))
		return false;
	found = tfind(&wanted, &replay->clients, compare_clients);
	if (!found || (*found)->fd < 0)
		return true;
	client = *found;
	if (ioctl(client->fd, BUFFTRACK_IOC_STAT, &stat) == 0)
		balance_verdict(replay->balance, BUFFTRACK_LEAK, stat.live);
	close(client->fd);
	client->fd = -1;
	replay->closed_any = true;
	return true;
}

static bool read_log(struct replay *replay, FILE *log)
{
	struct replay_line line;
	bool done = true;
	char *text = NULL;
	size_t room = 0;

	while (done && getline(&text, &room, log) >= 0) {
		if (!replay_parse(text, &line))
			replay->ignored++;
		else if (line.kind == REPLAY_CLOSE)
			done = close_client(replay, line.client);
		else
			done = add_op(replay, &line);
	}
	free(text);
	if (done && ferror(log)) {
		complain("cannot read the log: %s", strerror(errno));
		return false;
	}
	return done && submit(replay);
}

/* Where clients have closed, only the kernel knows what still lives. */
static bool read_live(struct replay *replay)
{
	struct bufftrack_list query = { 0 };
	struct bufftrack_life *page;
	struct balance_key **keys, *key, wanted;
	uint32_t i;
	size_t k;

	for (k = balance_keys(replay->balance, &keys); k-- > 0;)
		keys[k]->live = false;
	page = xrealloc(NULL, PAGE_LIVES, sizeof(*page));
	do {
		query.entries = (uintptr_t)page;
		query.nr = PAGE_LIVES;
		query.entry_size = sizeof(*page);
		if (ioctl(replay->fd, BUFFTRACK_IOC_LIST, &query)) {
			complain("cannot list: %s", strerror(errno));
			free(page);
			return false;
		}
		for (i = 0; i < query.nr; i++) {
			wanted = (struct balance_key){
				.device = page[i].device,
				.buffer = page[i].buffer,
				.client = page[i].flags & BUFFTRACK_LIFE_PRIVATE ? page[i].client
										 : 0,
				.space = page[i].space,
			};
			key = balance_find(replay->balance, &wanted);
			if (key)
				key->live = true;
		}
	} while (query.nr);
	free(page);
	return true;
}

static void print_json(const struct replay *replay)
{
	struct json_object *object = json_object_new_object();

	balance_json(replay->balance, object, true);
	json_add_number(object, "clients", replay->nr_clients);
	json_add_number(object, "ignored", replay->ignored);
	json_add_number(object, "failed", replay->failed);
	json_print(object);
}

static void print_text(const struct replay *replay)
{
	balance_print(replay->balance, "lines of the log");
	balance_print_count("clients", replay->nr_clients, "");
	balance_print_count("ignored", replay->ignored, "lines that tell of neither");
	balance_print_worst(replay->balance);
}

/* A log can have more processes than a process may have open files at first. */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void free_client(void *node)
{
	struct client *client = node;

	if (client->fd >= 0)
		close(client->fd);
	free(client);
}

static bool open_replay(struct replay *replay)
{
	struct bufftrack_info info = { 0 };

	replay->fd = device_open();
	if (replay->fd < 0)
		return false;
	if (ioctl(replay->fd, BUFFTRACK_IOC_INFO, &info)) {
		complain("cannot ask the module what it can do: %s", strerror(errno));
		close(replay->fd);
		return false;
	}
	replay->features = info.features;
	replay->max_batch = info.max_batch ? info.max_batch : BATCH_OPS;
	replay->balance = balance_new();
	raise_open_files();
	return true;
}

static void close_replay(struct replay *replay)
{
	tdestroy(replay->clients, free_client);
	tdestroy(replay->places, free);
	tdestroy(replay->generations, free);
	balance_free(replay->balance);
	free(replay->types);
	free(replay->labelled);
	close(replay->fd);
}

static int run_replay(struct replay *replay, FILE *log, bool json, bool quiet)
{
	int ret = EXIT_ERROR;

	if (!open_replay(replay))
		return EXIT_ERROR;
	/* The summary is of what there is before the clients close. */
	if (read_log(replay, log) && (!replay->closed_any || read_live(replay))) {
		balance_sum_up(replay->balance);
		if (json && !quiet)
			print_json(replay);
		else if (!quiet)
			print_text(replay);
		ret = EXIT_OK;
	}
	if (ret == EXIT_OK && !balance_calls(replay->balance))
		complain("the log tells of no alloc and no free (%" PRIu64 " lines)",
			 replay->ignored);
	if (replay->failed) {
		complain("%" PRIu64 " lines could not be replayed: %s%s", replay->failed,
			 strerror(replay->error),
			 replay->error == ENOSPC
				 ? "\n  (raise the parameters max_buffers or max_devices)"
				 : "");
		ret = EXIT_ERROR;
	}
	close_replay(replay);
	return ret;
}

static int replay_main(int argc, char **argv)
{
	bool json = false, quiet = false, from_stdin;
	const struct option_spec options[] = {
		OPTION_FLAG('j', "json", &json),
		OPTION_FLAG('q', "quiet", &quiet),
	};
	int ret = command_options(&cmd_replay, argc, argv, options, ARRAY_SIZE(options));
	struct replay *replay;
	FILE *log;

	if (ret != COMMAND_GO_ON)
		return ret;
	if (argc - optind != 1) {
		complain(optind < argc ? "replay takes one log at a time"
				       : "which log? ('-' for standard input)");
		return command_misused(&cmd_replay);
	}

	from_stdin = strcmp(argv[optind], "-") == 0;
	log = from_stdin ? stdin : fopen(argv[optind], "re");
	if (!log) {
		complain("cannot open %s: %s", argv[optind], strerror(errno));
		return EXIT_ERROR;
	}
	replay = xrealloc(NULL, 1, sizeof(*replay));
	memset(replay, 0, sizeof(*replay));
	ret = run_replay(replay, log, json, quiet);
	free(replay);
	if (!from_stdin)
		fclose(log);
	return ret;
}

const struct command cmd_replay = {
	.name = "replay",
	.help = "feed a recorded log through the device",
	.usage = "Usage: bufftrack replay [OPTION...] FILE\n"
		 "Reports the allocs and frees of a recorded log to the module, and sums up\n"
		 "its verdicts. FILE is a log of the allocation server, or what\n"
		 "'bufftrack watch --all --json' wrote; '-' is standard input. Other lines are\n"
		 "ignored. Each process of the log becomes one client. At the end they close:\n"
		 "what is live then leaks, after the summary was taken.\n"
		 "\n"
		 "The keys are those of the log, in the namespace of the machine: on one whose\n"
		 "devices have these ids too, the verdicts of both mix.\n"
		 "\n"
		 "Options:\n"
		 "  -h, --help   this text\n"
		 "  -j, --json   the summary as one JSON object\n"
		 "  -q, --quiet  no summary\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack replay server.log\n"
		 "  zcat server.log.gz | bufftrack replay --json - | jq .over_freed\n",
	.run = replay_main,
};
