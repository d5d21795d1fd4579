/* SPDX-License-Identifier: GPL-2.0 */
/* run: the layers by which runtimes that know nothing of bufftrack are seen. */
#ifndef BUFFTRACK_RUN_RUNTIME_H
#define BUFFTRACK_RUN_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbers;

struct runtimes {
	const char *wanted; /* --runtime; NULL: auto */
	const char *interpose; /* --interpose, a file; or NULL */
	bool protect; /* --protect */
	unsigned int set; /* whose layers are set up, a bit each */
	unsigned int loaded; /* whose library a process of the command's had */
	unsigned int hello; /* whose layer said so */
	uint64_t next_look; /* when to look at the processes again */
};

/* Decides by what is wanted. False, with words, where a name is none. */
bool runtimes_choose(struct runtimes *runtimes);
/* In the child: puts what is chosen into the environment. */
void runtimes_set_up(const struct runtimes *runtimes);
/* A client of the command's was called so. */
void runtimes_note_client(struct runtimes *runtimes, const char *name);
/* Looks, at times, at what the command's processes have loaded. */
void runtimes_look(struct runtimes *runtimes, const struct numbers *tasks);
/* Says which runtimes were loaded without their layer. Returns how many. */
unsigned int runtimes_tell(const struct runtimes *runtimes, bool json);

#endif
