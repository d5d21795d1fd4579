/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_EVENT_H
#define BUFFTRACK_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/bufftrack.h>

struct stack;

#define EVENT_SYSTEM "bufftrack"
#define EVENT_PREFIX "bufftrack_"
#define EVENT_FORK_SYSTEM "sched"
#define EVENT_FORK_NAME "sched_process_fork"

enum event_kind {
	EVENT_ALLOC,
	EVENT_FREE,
	EVENT_UNDO, /* a free was taken back: nothing was freed */
	EVENT_CLIENT_OPEN,
	EVENT_CLIENT_CLOSE,
	EVENT_RESET,
	EVENT_FORK, /* of the scheduler: a task has a child */
	EVENT_LEAK,
	EVENT_BAD, /* a bad verdict, also one that this tool does not know */
};

/**
 * struct who - a task that did something, and when
 * @time: ns of CLOCK_MONOTONIC; 0 where nothing is known
 * @stack_id: its stack; 0 where it gave none
 * @start: when its process began; 0 where that is not known
 * @client: its client; 0 where that is not known
 * @exited: the process is gone
 * @stack: that stack, where it came with the event; else NULL
 */
struct who {
	uint64_t time;
	uint64_t start;
	uint64_t client;
	uint32_t pid;
	uint32_t tid;
	uint32_t uid;
	uint32_t stack_id;
	bool exited;
	char comm[BUFFTRACK_COMM_LEN];
	const struct stack *stack;
};

/**
 * struct life_span - how a life began and how it ended
 * @generation: 0 where no such life is known
 * @reason: how it ended: &enum bufftrack_state
 */
struct life_span {
	uint64_t generation;
	struct who allocated;
	struct who freed;
	uint32_t reason;
};

/**
 * struct event - what one event says; what it does not say is 0
 * @name: the tracepoint's name without "bufftrack_"
 * @verdict: of a BAD event; BUFFTRACK_NR_VERDICTS where it is not known
 * @generation: the generation of the key's live life, else of its last
 * @life: the life that the offender meant
 * @previous: the one before that
 * @by: the caller; of a leak the task that opened the client
 * @count: LEAK: how many holds
 * @leaks: CLIENT_CLOSE: how many lives leaked
 * @ended: RESET: how many lives ended
 * @child: FORK: the thread id of the child; the parent's is @by.tid
 */
struct event {
	char name[32];
	enum event_kind kind;
	uint32_t verdict;
	uint64_t device;
	uint64_t buffer;
	uint64_t size;
	uint64_t tag;
	uint64_t token;
	uint64_t generation;
	uint64_t client;
	uint64_t requested;
	uint64_t evicted;
	uint64_t leaks;
	uint64_t ended;
	uint32_t space;
	uint32_t flags;
	uint32_t refs;
	uint32_t views;
	uint32_t nth;
	uint32_t info;
	uint32_t count;
	uint32_t lives;
	uint32_t frees;
	uint32_t uid;
	uint32_t child;
	struct who by;
	char client_name[BUFFTRACK_NAME_LEN];
	/* Of a verdict alone: struct event is sent without what follows where it is none. */
	struct life_span life;
	struct life_span previous;
};

bool event_is_ordinary(const char *name);
bool event_has_key(const struct event *event);
const struct who *event_other(const struct event *event);
void event_begin(struct event *event, const char *tracepoint);

#endif
