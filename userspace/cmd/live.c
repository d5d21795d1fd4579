// SPDX-License-Identifier: GPL-2.0
/* What run and watch share: the trace, and how its events are told. */
#include <inttypes.h>
#include <stdio.h>

#include "abi/labels.h"
#include "cmd/live.h"
#include "report/group.h"
#include "report/report.h"
#include "source/trace.h"
#include "symbol/stack.h"
#include "util/util.h"

/* A file's symbols may take minutes: meanwhile no ring may run over. */
static void pull(void *trace)
{
	trace_pull(trace);
}

/* Begins to record. Returns false where it cannot, having said why. */
bool live_open(struct live *live, bool all, bool forks)
{
	live->trace = trace_create(all, forks, live->buffer_kb);
	if (!live->trace)
		return false;
	live->style.labels = labels_new();
	live->style.stacks = stacks_new();
	stacks_look_in(live->style.stacks, live->symfs, live->debug_path);
	stacks_while_waiting(live->style.stacks, pull, live->trace);
	if (!live->json && !live->no_group)
		live->groups = groups_new(&live->style);
	return true;
}

void live_close(struct live *live)
{
	groups_free(live->groups);
	stacks_free(live->style.stacks);
	labels_free(live->style.labels);
	trace_destroy(live->trace);
}

/* Tells one event; returns false where it only counted it, as the same was told often enough. */
bool live_tell(struct live *live, const struct event *event)
{
	uint64_t lost = trace_count_lost(live->trace);
	bool whole = true;

	if (live->json) {
		report_json(&live->style, event, lost);
		live->lost_told = lost;
	} else {
		whole = !live->groups || groups_take(live->groups, event, monotonic_ns());
		if (whole)
			report_text(&live->style, event, lost);
	}
	fflush(stdout);
	return whole;
}

/* Tells how many events were lost, where more were than was told before. */
void live_tell_lost(struct live *live)
{
	uint64_t lost = trace_count_lost(live->trace);

	if (lost == live->lost_told)
		return;
	if (live->json)
		report_lost_json(lost);
	else
		printf("BUFFTRACK: %" PRIu64 " event%s lost, %" PRIu64
		       " in all: raise --buffer-size\n",
		       lost - live->lost_told, plural(lost - live->lost_told), lost);
	live->lost_told = lost;
}

/* Tells the counts of groups that have waited long enough. */
void live_tell_due(struct live *live)
{
	if (live->groups)
		groups_tell_due(live->groups, monotonic_ns());
}

/* Tells all counts of groups. */
void live_end_groups(struct live *live)
{
	if (live->groups)
		groups_end(live->groups);
}

/* The module is gone, its events are told: the next one numbers stacks and devices anew. */
void live_forget_module(struct live *live)
{
	live_end_groups(live);
	stacks_forget(live->style.stacks);
	labels_forget(live->style.labels);
}
