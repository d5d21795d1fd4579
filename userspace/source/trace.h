/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_TRACE_H
#define BUFFTRACK_TRACE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct event;
struct trace;

enum trace_change {
	TRACE_SAME,
	TRACE_GONE, /* the module was unloaded */
	TRACE_BACK, /* it is loaded, and its events are being recorded */
	TRACE_FAILED,
};

bool trace_is_own(const struct trace *trace);
struct trace *trace_create(bool all, bool forks, uint64_t buffer_kb);
void trace_stop(struct trace *trace);
void trace_destroy(struct trace *trace);
bool trace_wait(struct trace *trace, int timeout_ms, const sigset_t *signals, int output);
void trace_pull(struct trace *trace);
bool trace_next(struct trace *trace, bool flush, struct event *event);
enum trace_change trace_refresh(struct trace *trace);
uint64_t trace_count_lost(struct trace *trace);

#endif
