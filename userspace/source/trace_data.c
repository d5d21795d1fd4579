// SPDX-License-Identifier: GPL-2.0
/* The events in a trace.dat, by trace-cmd's own library. */
#include <stdlib.h>
#include <string.h>
#include <trace-cmd.h>
#include <unistd.h>

#include "event/event.h"
#include "source/recording.h"
#include "source/trace_data.h"
#include "util/util.h"

/* The library has it, and its header will: older ones do not say the clock. */
const char *tracecmd_get_trace_clock(struct tracecmd_input *handle) __attribute__((weak));

struct reader {
	const struct recording_sink *sink;
	struct recording_facts *facts;
	struct recorded recorded;
};

static enum recording_clock find_clock(struct tracecmd_input *input)
{
	static const char *const not_ns[] = { "counter", "x86-tsc", "ppc-tb" };
	const char *name = tracecmd_get_trace_clock ? tracecmd_get_trace_clock(input) : NULL;
	size_t i;

	if (!name)
		return RECORDING_CLOCK_UNKNOWN;
	if (strcmp(name, "mono") == 0)
		return RECORDING_CLOCK_MONOTONIC;
	for (i = 0; i < ARRAY_SIZE(not_ns); i++)
		if (strcmp(name, not_ns[i]) == 0)
			return RECORDING_CLOCK_OTHER;
	return RECORDING_CLOCK_UNKNOWN;
}

static int take_record(struct tracecmd_input *input, struct tep_record *record, int cpu, void *data)
{
	struct reader *reader = data;
	struct recorded *recorded = &reader->recorded;
	struct tep_event *format;

	(void)cpu;
	/* Below 0 the kernel has not said how many. */
	if (record->missed_events > 0)
		recorded->lost += (uint64_t)record->missed_events;
	else if (record->missed_events)
		reader->facts->lost_more = true;
	format = tep_find_event_by_record(tracecmd_get_tep(input), record);
	if (!format || strcmp(format->system, EVENT_SYSTEM))
		return 0;
	event_decode(&recorded->event, format, record);
	return reader->sink->take(reader->sink->data, recorded) ? 0 : -1;
}

/* The file's main buffer, and those of the instances that were recorded besides. */
static void read_buffers(struct tracecmd_input *input, struct reader *reader)
{
	int nr = tracecmd_buffer_instances(input), nr_handles = 1, i;
	struct tracecmd_input **handles;

	handles = xrealloc(NULL, (size_t)(nr > 0 ? nr : 0) + 1, sizeof(*handles));
	handles[0] = input;
	for (i = 0; i < nr; i++) {
		handles[nr_handles] = tracecmd_buffer_instance_handle(input, i);
		if (handles[nr_handles])
			nr_handles++;
	}
	if (nr_handles == 1)
		tracecmd_iterate_events(input, NULL, 0, take_record, reader);
	else
		tracecmd_iterate_events_multi(handles, nr_handles, take_record, reader);
	while (--nr_handles)
		tracecmd_close(handles[nr_handles]);
	free(handles);
}

/**
 * trace_data_read - give the events of a trace.dat to @sink, in the order of time
 * @fd: the file
 * @sink: where they go
 * @facts: what is known of it; its @error says what went wrong
 */
void trace_data_read(int fd, const struct recording_sink *sink, struct recording_facts *facts)
{
	struct reader reader = { .sink = sink, .facts = facts };
	struct tracecmd_input *input;
	struct tep_handle *tep;

	*facts = (struct recording_facts){ 0 };
	tracecmd_set_loglevel(TEP_LOG_NONE);
	input = tracecmd_open_fd(dup(fd), TRACECMD_FL_LOAD_NO_PLUGINS);
	if (!input) {
		recording_fail(facts, "it is damaged, or of a newer trace-cmd than the library"
				      " libtracecmd");
		return;
	}
	tep = tracecmd_get_tep(input);
	facts->clock = find_clock(input);
	facts->has_uses = tep_find_event_by_name(tep, EVENT_SYSTEM, EVENT_PREFIX "alloc") &&
			  tep_find_event_by_name(tep, EVENT_SYSTEM, EVENT_PREFIX "free");
	read_buffers(input, &reader);
	facts->lost = reader.recorded.lost;
	tracecmd_close(input);
}
