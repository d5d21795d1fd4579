/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LIVE_H
#define BUFFTRACK_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "report/report.h"

struct event;
struct groups;
struct trace;

/**
 * struct live - events that are told as they happen: what run and watch share
 * @json: a line of JSON each
 * @no_group: each event is told whole, however often it comes
 * @buffer_kb: the room for events not yet read, a CPU
 * @symfs: the root of the paths of files with symbols; NULL for the one there is
 * @debug_path: more directories with debug files; NULL for none
 * @lost_told: how many lost events have been told of
 */
struct live {
	struct report_style style;
	struct trace *trace;
	struct groups *groups; /* NULL where each event is told whole */
	bool json;
	bool no_group;
	uint64_t buffer_kb;
	const char *symfs;
	const char *debug_path;
	uint64_t lost_told;
};

bool live_open(struct live *live, bool all, bool forks);
void live_close(struct live *live);
bool live_tell(struct live *live, const struct event *event);
void live_tell_lost(struct live *live);
void live_tell_due(struct live *live);
void live_end_groups(struct live *live);
void live_forget_module(struct live *live);

#endif
