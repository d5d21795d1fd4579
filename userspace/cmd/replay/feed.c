// SPDX-License-Identifier: GPL-2.0
/* replay: the lines of the log, as calls in batches, and the answers to them. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cmd/command.h"
#include "cmd/replay/replay.h"
#include "event/filter.h"
#include "ledger/balance.h"
#include "util/util.h"

/* The generation that a life has now, for the one that it had in the log. */
struct generation {
	uint64_t device;
	uint64_t buffer;
	uint32_t space;
	uint64_t then;
	uint64_t now; /* 0 until its ALLOC was carried out */
};

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
 * Finds what is equal to @wanted in a tree, or adds a copy of it.
 */
void *replay_find_or_add(void **tree, const void *wanted, size_t size,
			 int (*compare)(const void *, const void *))
{
	void **found = tfind(wanted, tree, compare);
	void *copy;

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
	replay->failing += verdict_is_failure(op->verdict, op->info, true);
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

	if (add)
		return replay_find_or_add(&replay->generations, &wanted, sizeof(wanted),
					  compare_generations);
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
	uint32_t space = replay_space(replay, line);
	struct client *client = replay_client(replay, line->client);
	struct batch *batch = &replay->batch;
	struct balance_key wanted, *key;
	struct bufftrack_op *op;
	uint64_t token = 0;

	if (!client)
		return false;
	if (line->flags & BUFFTRACK_LIFE_PRIVATE)
		replay_make_private(replay, client);
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
	if (!(op->flags & BUFFTRACK_F_VIEW))
		balance_call(replay->balance, key, line->kind == REPLAY_ALLOC);
	batch->nr++;
	return true;
}

bool replay_read_log(struct replay *replay, FILE *log)
{
	struct replay_line line;
	bool done = true;
	char *text = NULL;
	size_t room = 0;

	while (done && getline(&text, &room, log) >= 0) {
		if (!replay_parse(text, &line))
			replay->ignored++;
		else if (line.kind == REPLAY_CLOSE)
			done = submit(replay) && replay_close_client(replay, line.client);
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
