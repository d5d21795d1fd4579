// SPDX-License-Identifier: GPL-2.0
/*
 * The events, out of a trace instance of our own, in the order of time.
 *
 * Each CPU has a ring of its own, and what a CPU has recorded is in order. The
 * oldest record at the head of any ring is the next one, once no ring that was
 * found empty can still bring forth an older one: that is, once each of them was
 * found empty after that record was made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "event/decode.h"
#include "event/event.h"
#include "source/trace_private.h"
#include "util/util.h"

/* How soon to look again where a record is held back for the sake of order. */
#define HELD_BACK_MS 2

/* Takes the next record of the page that is there. */
static bool take_record(struct cpu *cpu, void *data, unsigned long long time)
{
	cpu->record = (struct tep_record){
		.ts = time,
		.cpu = (int)cpu->nr,
		.data = data,
		.size = data ? kbuffer_event_size(cpu->buffer) : 0,
	};
	return data;
}

/* Returns false where the ring is empty. */
static bool pull_page(struct trace *trace, struct cpu *cpu)
{
	struct pulled *pulled = xrealloc(NULL, 1, sizeof(*pulled) + trace->page_size);

	if (read(cpu->fd, pulled->page, trace->page_size) <= 0) {
		free(pulled);
		return false;
	}
	pulled->next = NULL;
	*(cpu->pulled_end ? cpu->pulled_end : &cpu->pulled) = pulled;
	cpu->pulled_end = &pulled->next;
	trace->nr_pulled++;
	return true;
}

static void pull(struct trace *trace)
{
	struct cpu *cpu;

	for (cpu = trace->cpus; cpu < trace->cpus + trace->nr_cpus; cpu++)
		while (trace->nr_pulled < MAX_PULLED / trace->page_size && pull_page(trace, cpu))
			;
}

/**
 * trace_pull - takes what there is out of the rings, for trace_next()
 * @trace: the trace
 *
 * For who does something else for long: a ring that is full loses events. Beyond
 * MAX_PULLED they stay in the rings.
 */
void trace_pull(struct trace *trace)
{
	pull(trace);
	trace->nr_owed = trace->nr_pulled;
}

void trace_free_pulled(struct trace *trace, struct cpu *cpu)
{
	struct pulled *pulled;

	while ((pulled = cpu->pulled)) {
		cpu->pulled = pulled->next;
		free(pulled);
		trace->nr_pulled--;
	}
	cpu->pulled_end = NULL;
}

/* Into @cpu->page: the oldest page that was pulled, else the ring's. */
static bool next_page(struct trace *trace, struct cpu *cpu)
{
	struct pulled *pulled = cpu->pulled;

	if (!pulled)
		return read(cpu->fd, cpu->page, trace->page_size) > 0;
	/*
	 * What had to wait may take long to tell: meanwhile the rings fill up, too. What is
	 * pulled now is not owed, or a flood would be pulled for good.
	 */
	if (trace->nr_owed) {
		trace->nr_owed--;
		pull(trace);
	}
	memcpy(cpu->page, pulled->page, trace->page_size);
	cpu->pulled = pulled->next;
	if (!cpu->pulled)
		cpu->pulled_end = NULL;
	free(pulled);
	trace->nr_pulled--;
	return true;
}

/* Reads pages until one has a record, or the ring is empty. */
void trace_fill(struct trace *trace, struct cpu *cpu)
{
	unsigned long long time = 0;
	void *data;

	do {
		cpu->empty_at = monotonic_ns();
		if (!next_page(trace, cpu))
			return;
		if (kbuffer_load_subbuffer(cpu->buffer, cpu->page))
			return;
		if (kbuffer_missed_events(cpu->buffer))
			trace->missed = true;
		data = kbuffer_read_event(cpu->buffer, &time);
	} while (!take_record(cpu, data, time));
}

/* The CPU with the oldest record, if none of the others can have an older one. */
static struct cpu *oldest(struct trace *trace, bool flush)
{
	struct cpu *found = NULL, *cpu;
	uint64_t horizon = UINT64_MAX;

	for (cpu = trace->cpus; cpu < trace->cpus + trace->nr_cpus; cpu++) {
		if (!cpu->record.data) {
			if (cpu->empty_at < horizon)
				horizon = cpu->empty_at;
		} else if (!found || cpu->record.ts < found->record.ts) {
			found = cpu;
		}
	}
	trace->held_back = found;
	if (!found || flush || found->record.ts + COMMIT_NS <= horizon)
		return found;
	return NULL;
}

/**
 * trace_next - the next event
 * @trace: the trace
 * @flush: hold nothing back for the sake of order: nothing more will come
 * @event: what it says
 *
 * Returns false where there is none yet.
 */
bool trace_next(struct trace *trace, bool flush, struct event *event)
{
	unsigned long long time = 0;
	struct cpu *cpu;
	void *data;
	size_t i;

	if (trace->own)
		return own_next(trace->own, event);
	do {
		if (trace->current) {
			cpu = trace->current;
			trace->current = NULL;
			data = kbuffer_next_event(cpu->buffer, &time);
			if (!take_record(cpu, data, time))
				trace_fill(trace, cpu);
		}
		cpu = flush ? NULL : oldest(trace, false);
		if (!cpu) {
			for (i = 0; i < trace->nr_cpus; i++)
				if (!trace->cpus[i].record.data)
					trace_fill(trace, &trace->cpus[i]);
			cpu = oldest(trace, flush);
		}
		if (!cpu) {
			/* The last ones to be lost have no page after them that says so. */
			if (flush)
				trace->missed = true;
			return false;
		}
		trace->current = cpu;
	} while (event_decode(trace->formats, cpu->record.data, (size_t)cpu->record.size,
			      cpu->record.ts, event) != DECODED);
	return true;
}

/**
 * trace_wait - wait for events, or for the module to come or go
 * @trace: the trace
 * @timeout_ms: how long at most
 * @signals: the mask while waiting
 * @output: a file that is written to, whose reader may go away
 *
 * Returns false where that reader has gone away.
 */
bool trace_wait(struct trace *trace, int timeout_ms, const sigset_t *signals, int output)
{
	struct pollfd *uevents;
	struct timespec timeout;
	size_t i;

	if (trace->own)
		return own_wait(trace->own, timeout_ms, signals, output);
	uevents = &trace->polled[trace->nr_cpus];

	trace->polled[trace->nr_cpus + 1] = (struct pollfd){ output, 0, 0 };
	if (trace->held_back && timeout_ms > HELD_BACK_MS)
		timeout_ms = HELD_BACK_MS;
	timeout.tv_sec = timeout_ms / 1000;
	timeout.tv_nsec = (long)(timeout_ms % 1000) * 1000000;
	if (ppoll(trace->polled, trace->nr_cpus + 2, &timeout, signals) <= 0)
		return true;

	/* A CPU that was never there cannot be waited for. */
	for (i = 0; i < trace->nr_cpus; i++)
		if (trace->polled[i].revents & (POLLERR | POLLNVAL))
			trace->polled[i].fd = -1;
	if (uevents->revents)
		trace_read_uevents(trace);
	return !(trace->polled[trace->nr_cpus + 1].revents & (POLLERR | POLLHUP));
}
