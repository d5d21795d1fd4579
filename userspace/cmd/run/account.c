// SPDX-License-Identifier: GPL-2.0
/* run: which events are of the command and its children, and what these come to. */
#include <stdio.h>
#include <string.h>

#include "abi/labels.h"
#include "cmd/run/run.h"
#include "event/event.h"
#include "event/filter.h"
#include "util/util.h"

/* The labels go with the command's clients. */
static void note_labels(struct run *run, struct place *place, const struct lives_space *space)
{
	struct labels *labels = run->live.style.labels;
	const char *label;

	*place = (struct place){ 0 };
	label = labels_device(labels, space->device);
	if (label)
		snprintf(place->device_label, sizeof(place->device_label), "%s", label);
	label = labels_space(labels, space->device, space->space);
	if (label)
		snprintf(place->space_label, sizeof(place->space_label), "%s", label);
}

/* What the command does in the space of @event. */
static struct lives_space *space_of(struct run *run, const struct event *event)
{
	struct lives_space *space = lives_space(&run->lives, event->device, event->space);

	if (run->nr_places < run->lives.nr_spaces) {
		run->places = xrealloc(run->places, run->nr_places + 1, sizeof(*run->places));
		note_labels(run, &run->places[run->nr_places++], space);
	}
	return space;
}

static void take_alloc(struct run *run, const struct event *event)
{
	run->allocs++;
	space_of(run, event)->allocs++;
	/* What another has begun is no peak of the command's. */
	if (event->refs == 1)
		lives_begin(&run->lives, &(struct life){
						 .generation = event->generation,
						 .device = event->device,
						 .space = event->space,
						 .size = event->size,
					 });
}

/*
 * Whether the command or one of its children has done it. Clients are closed by a
 * task that is on its way out, and named by the one that has opened them.
 */
bool run_is_ours(const struct run *run, const struct event *event)
{
	if (run->own_since)
		return run_own_is_ours(run, event);
	if (event->kind == EVENT_LEAK || event->kind == EVENT_CLIENT_CLOSE)
		return numbers_have(&run->clients, event->client);
	return numbers_have(&run->tasks, event->by.tid);
}

static void follow_fork(struct run *run, const struct event *event)
{
	if (numbers_have(&run->tasks, event->by.tid))
		numbers_add(&run->tasks, event->child);
	else if (event->child != (uint32_t)run_pid)
		/* A number of ours that has come to be another's. */
		numbers_remove(&run->tasks, event->child);
}

static void count_bad(struct run *run, const struct event *event, bool suppressed)
{
	bool unknown = event->verdict == BUFFTRACK_UNKNOWN_FREE;
	bool known = run->own_since || numbers_have(&run->clients, event->client);
	bool fails = verdict_is_failure(event->verdict, event->info, known);

	if (unknown && (run->unknown || run->no_unknown))
		fails = run->unknown;
	run->verdicts[event->verdict]++;
	run->ignored_unknown += unknown && !fails;
	if (fails && !suppressed)
		run->failing++;
}

/* Takes an event into account; @suppressed: it is not to make the command fail. */
void run_account(struct run *run, const struct event *event, bool ours, bool suppressed)
{
	switch (event->kind) {
	case EVENT_FORK:
		follow_fork(run, event);
		break;
	case EVENT_CLIENT_OPEN:
		if (ours) {
			numbers_add(&run->clients, event->client);
			run->nr_clients++;
		}
		break;
	case EVENT_CLIENT_CLOSE:
		if (ours)
			runtimes_note_client(&run->runtimes, event->client_name);
		numbers_remove(&run->clients, event->client);
		break;
	case EVENT_RESET:
		lives_end_device(&run->lives, event->device);
		break;
	case EVENT_ALLOC:
		if (ours && !(event->flags & BUFFTRACK_F_VIEW))
			take_alloc(run, event);
		break;
	case EVENT_FREE:
		if (ours && !(event->flags & BUFFTRACK_F_VIEW)) {
			run->frees++;
			space_of(run, event)->frees++;
		}
		/* Another may have dropped the last hold of what is shared. */
		if (!event->refs)
			lives_end(&run->lives, event->generation);
		break;
	case EVENT_UNDO:
		if (ours && run->frees) {
			run->frees--;
			space_of(run, event)->frees--;
		}
		break;
	case EVENT_LEAK:
		if (ours) {
			run->verdicts[BUFFTRACK_LEAK]++;
			run->leaked_bytes += event->size;
			run->failing += run->leak_check == LEAK_CHECK_FULL && !suppressed;
		}
		if (!event->refs)
			lives_end(&run->lives, event->generation);
		break;
	case EVENT_BAD:
		if (ours)
			count_bad(run, event, suppressed);
		if (event->verdict == BUFFTRACK_MISSED_FREE)
			lives_end(&run->lives, event->life.generation);
		break;
	}
}

/* Its clients are closed, and the next one numbers them and their lives anew. */
void run_forget_module(struct run *run)
{
	live_forget_module(&run->live);
	lives_end_all(&run->lives);
	run->clients.nr = 0;
}
