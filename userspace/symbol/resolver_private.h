/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of a resolver share: resolver.c, and ask.c, which waits for children. */
#ifndef BUFFTRACK_RESOLVER_PRIVATE_H
#define BUFFTRACK_RESOLVER_PRIVATE_H

#include <linux/bufftrack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "symbol/locate.h"
#include "symbol/perfmap.h"
#include "symbol/reader.h"
#include "symbol/resolver.h"
#include "symbol/symbols.h"

/* Children at a time: each is another user. */
#define NR_READERS 4

struct reader {
	pid_t child; /* 0 where there is none */
	int fd; /* to it and from it */
	uid_t user;
	uint64_t number; /* another for each child that there was; 0 for none */
	uint64_t used;
};

/* What is known of a file. */
struct known {
	struct bufftrack_frame frame; /* any one of those in it */
	uint64_t reader; /* the number of that which has it open */
	enum unresolved why; /* no child has come to its end with it; or it is missing */
	uint64_t missing_until;
	pid_t missing_for; /* looked for as this process's */
	struct stat there; /* what was at the path then */
};

struct resolver {
	struct locate_paths paths;
	struct reader readers[NR_READERS];
	uint64_t nr_started;
	uint64_t nr_asked;
	int ms;
	uint64_t stop; /* when all are given up; UINT64_MAX where no signal has come */
	struct known *known;
	size_t nr_known;
	struct perfmap *perfmap;
	pid_t pid; /* whose frames they are; 0 where it is not known, or has ended */
	void (*while_waiting)(void *data);
	void *waiting_data;
};

enum asked {
	ASK_FAILED, /* the child has ended, or was too slow */
	ASK_NEEDS_FILE,
	ASK_WANTS_DEBUG, /* but has answered */
	ASK_DONE,
};

void reader_end(struct reader *reader);
struct reader *reader_of(struct resolver *resolver, uint64_t number);
struct reader *reader_for(struct resolver *resolver, int file);
enum asked ask(struct resolver *resolver, struct reader *reader,
	       const struct bufftrack_frame *frame, const int files[READER_FILES],
	       struct symbol_list *list, uint64_t until);
int ask_servers(struct resolver *resolver, const struct bufftrack_frame *frame, bool debug,
		uint64_t until);

#endif
