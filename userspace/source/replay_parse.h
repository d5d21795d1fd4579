/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_REPLAY_PARSE_H
#define BUFFTRACK_REPLAY_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_TYPE_LEN 32

enum replay_kind {
	REPLAY_ALLOC,
	REPLAY_FREE,
	REPLAY_CLOSE, /* the client went away */
};

/**
 * struct replay_line - what one line of a log says
 * @client: whose line it is: a pid, or a client's id; 0 where it is not said
 * @generation: ALLOC: the generation that was given out then; 0 where not said
 * @token: FREE: the generation that was named then; 0 where none was
 * @flags: BUFFTRACK_F_*, BUFFTRACK_LIFE_PRIVATE
 * @has_space: @space is given; else @type may name one
 * @type: the name of the memory space; empty where it is not said
 */
struct replay_line {
	enum replay_kind kind;
	uint64_t client;
	uint64_t device;
	uint64_t buffer;
	uint64_t size;
	uint64_t tag;
	uint64_t generation;
	uint64_t token;
	uint32_t flags;
	uint32_t space;
	bool has_space;
	char type[REPLAY_TYPE_LEN];
};

bool replay_parse(char *text, struct replay_line *line);

#endif
