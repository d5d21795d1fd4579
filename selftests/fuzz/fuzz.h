/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fuzzer: programs of commands to /dev/bufftrack, kept where they reach
 * something new in the module.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/bufftrack.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define FUZZ_NODE "/dev/bufftrack"
#define FUZZ_PARAMETERS "/sys/module/bufftrack/parameters/"

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);

/* ---- programs (program.c) ------------------------------------------------ */

#define PROGRAM_MAX 24
#define PROGRAM_FDS 4
#define PROGRAM_ARGS 10

/* A command's name, and how often of 256 it is chosen. */
#define KINDS(X)        \
	X(open, 16)     \
	X(close, 14)    \
	X(dup, 6)       \
	X(pass, 4)      \
	X(info, 4)      \
	X(client, 12)   \
	X(alloc, 50)    \
	X(free, 44)     \
	X(batch, 12)    \
	X(label, 8)     \
	X(reset, 6)     \
	X(stat, 14)     \
	X(list, 14)     \
	X(stack, 8)     \
	X(raw, 4)       \
	X(threads, 8)   \
	X(fork, 2)      \
	X(user, 6)      \
	X(parameter, 6) \
	X(shrink, 2)    \
	X(undo, 8)      \
	X(holders, 4)   \
	X(events, 4)

#define X(name, weight) KIND_##name,
enum kind { KINDS(X) NR_KINDS };
#undef X

/*
 * What the bytes of @p mean is the kind's: see command.c and run.c. All 0 is the
 * plainest call of the kind, and any bytes are a program.
 */
struct command {
	uint8_t kind;
	uint8_t fd;
	uint8_t p[PROGRAM_ARGS];
};

struct program {
	unsigned int nr;
	struct command commands[PROGRAM_MAX];
};

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t n);

extern const char *const kind_names[NR_KINDS];
void program_random(struct program *program, struct rng *rng);
void program_mutate(struct program *program, const struct program *other, struct rng *rng);
void program_drop(struct program *program, unsigned int at);
uint64_t program_hash(const struct program *program);
void program_write(const struct program *program, FILE *to);
bool program_read(struct program *program, const char *path);

/* ---- coverage (cover.c) -------------------------------------------------- */

#define EDGE_BITS 16
#define EDGE_WORDS ((1U << EDGE_BITS) / 64)

/* A set of edges, each a hash of two places that the module passed in a row. */
struct edges {
	uint64_t words[EDGE_WORDS];
};

unsigned int edges_count(const struct edges *edges);
unsigned int edges_new(const struct edges *edges, const struct edges *known);
bool edges_within(const struct edges *edges, const struct edges *all);
void edges_add(struct edges *to, const struct edges *edges);
void edges_without(struct edges *edges, const struct edges *known);
void edges_both(struct edges *edges, const struct edges *other);

/* One for each task that runs commands at the same time as another. */
enum cover_task { COVER_MAIN, COVER_THREAD, COVER_CHILD, COVER_TASKS };

bool cover_init(void);
void cover_attach(enum cover_task task);
void cover_begin(enum cover_task task);
void cover_end(enum cover_task task, enum kind kind, struct edges *edges);

/* ---- memory to pass (memory.c) ------------------------------------------- */

/* Where a pointer points to; VALID and what comes before NULL can be used. */
enum place {
	PLACE_VALID,
	PLACE_END, /* ends where the mapping does */
	PLACE_ODD, /* valid, not aligned */
	PLACE_NULL,
	PLACE_NONE, /* PROT_NONE */
	PLACE_HOLE, /* nothing is mapped */
	PLACE_RO,
	PLACE_STRADDLE, /* the second half is PROT_NONE */
	PLACE_KERNEL,
	PLACE_WRAP, /* the last bytes of the address space */
	NR_PLACES
};

/* Room that is followed by a page of PROT_NONE. */
struct room {
	uint8_t *at;
	size_t len;
};

/* A task's own: no two write to one at once. */
struct arena {
	struct room single; /* the struct of a call */
	struct room array; /* entries, allocations, frames */
	struct room stack; /* return addresses */
	uint8_t *ro; /* what is written to ro_alias, to be read only */
	uint8_t *ro_alias;
	uint8_t *hole;
	uint8_t *scratch; /* as long as the array */
};

void arena_init(struct arena *arena);
enum place place_of(uint8_t byte);
void *place_in(const struct arena *arena, const struct room *room, enum place where, size_t size);
size_t place_fill(const struct arena *arena, const struct room *room, enum place where,
		  const void *from, size_t size);

/* ---- running (run.c) ----------------------------------------------------- */

#define RUN_DEVICES 3
#define RUN_STACKS 8

/* What the commands of a program share; threads race on it as they like. */
struct run {
	const struct program *program;
	uint64_t devices; /* the first one's id */
	atomic_int fds[PROGRAM_FDS];
	atomic_ullong tokens[PROGRAM_MAX]; /* what ALLOC number i answered */
	atomic_ullong clients[PROGRAM_FDS];
	atomic_uint stacks[RUN_STACKS]; /* ids that LIST showed */
	atomic_ullong list_cursor[4];
	atomic_ullong stat_cursor;
};

struct task {
	struct run *run;
	struct arena arena;
	enum cover_task cover;
	bool racing; /* with another task: what it reads may be half of an event */
	struct edges *edges;
};

void run_init(void);
void run_program(const struct program *program, struct edges *edges);
const char *run_counters(const struct bufftrack_stat *stat);
__attribute__((format(printf, 1, 2), noreturn)) void run_failed(const char *format, ...);

/* ---- one command to the device (command.c) -------------------------------- */

extern bool command_verbose;

unsigned int command_entries(const struct command *c);
void command_ioctl(struct task *task, unsigned int at);

/* ---- corpus (corpus.c) --------------------------------------------------- */

struct corpus {
	const char *directory; /* NULL: in memory only */
	unsigned int nr, room;
	struct program *programs;
};

void corpus_load(struct corpus *corpus);
void corpus_add(struct corpus *corpus, const struct program *program);
void corpus_delete(const struct corpus *corpus, const struct program *program);

#endif /* FUZZ_H */
