/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of replay share: replay.c, feed.c, clients.c, spaces.c. */
#ifndef BUFFTRACK_REPLAY_H
#define BUFFTRACK_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/bufftrack.h>

#include "source/replay_parse.h"

struct balance;
struct balance_key;

#define BATCH_OPS 256

/*
 * @number: what the kernel calls it
 */
struct client {
	uint64_t id;
	uint64_t number;
	bool is_private;
	int fd;
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
	uint64_t failing; /* verdicts that the exit status may tell */
	uint64_t failed;
	int error; /* why the first of those failed */
};

/* feed.c */
bool replay_read_log(struct replay *replay, FILE *log);
void *replay_find_or_add(void **tree, const void *wanted, size_t size,
			 int (*compare)(const void *, const void *));

/* clients.c */
struct client *replay_client(struct replay *replay, uint64_t id);
void replay_make_private(const struct replay *replay, struct client *client);
bool replay_close_client(struct replay *replay, uint64_t id);
void replay_free_client(void *node);

/* spaces.c */
uint32_t replay_space(struct replay *replay, const struct replay_line *line);

#endif
