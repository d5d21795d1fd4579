// SPDX-License-Identifier: GPL-2.0
/*
 * The events in a trace.dat, by trace-cmd's own library. Its iteration over all CPUs
 * ends a CPU at a record of an unknown number where events were lost before (3.1.6):
 * so each CPU is read by itself, and the oldest record of all is told next.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <trace-cmd.h>
#include <unistd.h>

#include "event/decode.h"
#include "event/event.h"
#include "source/recording.h"
#include "source/trace_data.h"
#include "util/util.h"

/* The library has it, and its header will: older ones do not say the clock. */
const char *tracecmd_get_trace_clock(struct tracecmd_input *handle) __attribute__((weak));

#define MAGIC_LEN (sizeof(TRACE_DATA_MAGIC) - 1)
#define MAX_HEADER 256

/* The file's main buffer, or that of an instance that was recorded besides. */
struct buffer {
	struct tracecmd_input *input;
	uint64_t lost;
	bool lost_more;
	bool ours; /* has events of bufftrack */
	bool others; /* has events of others */
};

/* What one CPU has written to one buffer. */
struct cpu {
	struct buffer *buffer;
	int nr;
	struct tep_record *record; /* the next one */
};

/* The event of bufftrack that a CPU has written last, and to which buffer. */
struct repeat {
	const struct buffer *buffer; /* NULL: none, or it was met again */
	int size;
	uint8_t bytes[1024];
};

struct reader {
	const struct recording_sink *sink;
	struct recording_facts *facts;
	struct event_formats *formats;
	struct buffer *buffers;
	size_t nr_buffers;
	struct cpu *cpus; /* a heap: none is older than its parent */
	size_t nr_cpus;
	struct repeat *repeats; /* by CPU, where there are several buffers */
	struct recorded recorded;
	bool ended;
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

/* ---- records ---------------------------------------------------------------------- */

/* Whether the CPU has just written the same event to another buffer. */
static bool is_repeated(struct reader *reader, const struct cpu *cpu)
{
	const struct tep_record *record = cpu->record;
	struct repeat *last;

	if (!reader->repeats || record->size < 0)
		return false;
	last = &reader->repeats[cpu->nr];
	if (last->buffer && last->buffer != cpu->buffer && last->size == record->size &&
	    event_same_record(reader->formats, last->bytes, record->data, (size_t)last->size)) {
		last->buffer = NULL;
		return true;
	}
	last->buffer = (size_t)record->size <= sizeof(last->bytes) ? cpu->buffer : NULL;
	if (last->buffer) {
		last->size = record->size;
		memcpy(last->bytes, record->data, (size_t)last->size);
	}
	return false;
}

static void count_lost(struct reader *reader, struct buffer *buffer,
		       const struct tep_record *record)
{
	/* Below 0 the kernel has not said how many. */
	if (record->missed_events < 0)
		buffer->lost_more = true;
	else
		buffer->lost += (uint64_t)record->missed_events;
	if (record->missed_events > 0 && !buffer->others)
		reader->recorded.lost += (uint64_t)record->missed_events;
}

static void take_record(struct reader *reader, const struct cpu *cpu)
{
	const struct tep_record *record = cpu->record;
	struct recorded *recorded = &reader->recorded;
	struct buffer *buffer = cpu->buffer;

	if (record->missed_events)
		count_lost(reader, buffer, record);
	switch (event_decode(reader->formats, record->data,
			     record->size < 0 ? 0 : (size_t)record->size, record->ts,
			     &recorded->event)) {
	case DECODED:
		buffer->ours = true;
		if (is_repeated(reader, cpu))
			reader->facts->repeated++;
		else if (!reader->sink->take(reader->sink->data, recorded))
			reader->ended = true;
		break;
	case DECODED_OTHER:
		buffer->others = true;
		break;
	case DECODED_UNKNOWN:
		buffer->others = true;
		reader->facts->unknown++;
		break;
	case DECODED_FOREIGN:
		buffer->others = true;
		reader->facts->foreign++;
		break;
	}
}

/* ---- the order of time -------------------------------------------------------------- */

static void swap_cpus(struct reader *reader, size_t a, size_t b)
{
	struct cpu cpu = reader->cpus[a];

	reader->cpus[a] = reader->cpus[b];
	reader->cpus[b] = cpu;
}

static bool is_older(const struct reader *reader, size_t a, size_t b)
{
	return reader->cpus[a].record->ts < reader->cpus[b].record->ts;
}

static void sink_down(struct reader *reader, size_t at)
{
	size_t child;

	for (; (child = 2 * at + 1) < reader->nr_cpus; at = child) {
		if (child + 1 < reader->nr_cpus && is_older(reader, child + 1, child))
			child++;
		if (!is_older(reader, child, at))
			return;
		swap_cpus(reader, at, child);
	}
}

static void read_records(struct reader *reader)
{
	struct cpu *oldest;
	size_t i;

	for (i = reader->nr_cpus / 2; i-- > 0;)
		sink_down(reader, i);
	while (reader->nr_cpus && !reader->ended) {
		oldest = &reader->cpus[0];
		take_record(reader, oldest);
		tracecmd_free_record(oldest->record);
		oldest->record = tracecmd_read_data(oldest->buffer->input, oldest->nr);
		if (!oldest->record)
			*oldest = reader->cpus[--reader->nr_cpus];
		sink_down(reader, 0);
	}
	while (reader->nr_cpus)
		tracecmd_free_record(reader->cpus[--reader->nr_cpus].record);
}

/* ---- buffers ------------------------------------------------------------------------ */

static void add_buffer(struct reader *reader, struct tracecmd_input *input)
{
	if (input)
		reader->buffers[reader->nr_buffers++] = (struct buffer){ .input = input };
}

static void open_buffers(struct reader *reader, struct tracecmd_input *input)
{
	int nr = tracecmd_buffer_instances(input), i;

	reader->buffers = xrealloc(NULL, (size_t)(nr > 0 ? nr : 0) + 1, sizeof(struct buffer));
	add_buffer(reader, input);
	for (i = 0; i < nr; i++)
		add_buffer(reader, tracecmd_buffer_instance_handle(input, i));
}

static void open_cpus(struct reader *reader, int nr)
{
	struct tep_record *record;
	size_t i;
	int cpu;

	reader->cpus = xrealloc(NULL, reader->nr_buffers * (size_t)nr + 1, sizeof(struct cpu));
	for (i = 0; i < reader->nr_buffers; i++) {
		for (cpu = 0; cpu < nr; cpu++) {
			record = tracecmd_read_data(reader->buffers[i].input, cpu);
			if (record)
				reader->cpus[reader->nr_cpus++] =
					(struct cpu){ &reader->buffers[i], cpu, record };
		}
	}
	if (reader->nr_buffers == 1)
		return;
	reader->repeats = xrealloc(NULL, (size_t)nr + 1, sizeof(*reader->repeats));
	for (cpu = 0; cpu < nr; cpu++)
		reader->repeats[cpu].buffer = NULL;
}

static void close_buffers(struct reader *reader)
{
	/* The first is closed by who has opened it. */
	while (reader->nr_buffers > 1)
		tracecmd_close(reader->buffers[--reader->nr_buffers].input);
	free(reader->buffers);
	free(reader->cpus);
	free(reader->repeats);
}

/*
 * What a buffer has lost was bufftrack's where nobody else's events are in it; and not,
 * where only others' are.
 */
static void count_losses(struct reader *reader)
{
	struct recording_facts *facts = reader->facts;
	const struct buffer *buffer;
	bool ours = false;

	for (buffer = reader->buffers; buffer < reader->buffers + reader->nr_buffers; buffer++)
		ours |= buffer->ours;
	for (buffer = reader->buffers; buffer < reader->buffers + reader->nr_buffers; buffer++) {
		if (!buffer->others)
			facts->lost += buffer->lost;
		else if (buffer->ours || !ours)
			facts->lost_shared += buffer->lost;
		if (buffer->ours || !ours || !buffer->others)
			facts->lost_more |= buffer->lost_more;
	}
}

static enum recorded_how how_recorded(const struct event_formats *formats, const char *name)
{
	return event_formats_find(formats, name) < 0 ? RECORDED_NOT : RECORDED;
}

static void read_file(struct reader *reader, struct tracecmd_input *input)
{
	struct tep_handle *tep = tracecmd_get_tep(input);
	struct recording_facts *facts = reader->facts;

	if (tep_is_file_bigendian(tep) != tep_is_local_bigendian(tep)) {
		recording_fail(facts, "it is of a machine of another byte order: report it there");
		return;
	}
	event_formats_add_all(reader->formats, tep);
	facts->clock = find_clock(input);
	facts->allocs = how_recorded(reader->formats, "alloc");
	facts->frees = how_recorded(reader->formats, "free");
	open_buffers(reader, input);
	open_cpus(reader, tep_get_cpus(tep));
	read_records(reader);
	count_losses(reader);
	close_buffers(reader);
}

/* What stands before each section of a file of version 7. */
struct section {
	uint16_t id;
	uint16_t flags;
	uint32_t name;
	uint64_t size;
};

/* Where the options of a file of version 7 are; 0 where that was not written. */
static uint64_t find_options(const uint8_t *at, const uint8_t *end)
{
	uint64_t options;
	int i;

	at += 2 + 1 + 1 + 4; /* the version, the byte order, the size of a long and of a page */
	for (i = 0; i < 2 && at && at < end; i++) { /* the name and version of the compression */
		at = memchr(at, '\0', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	if (!at || end - at < (ptrdiff_t)sizeof(options))
		return 0;
	memcpy(&options, at, sizeof(options));
	return options;
}

/*
 * A file of version 7 says at its begin where its options are, which are written last:
 * the library takes one that is cut short for one without any data.
 */
static bool is_cut_short(int fd)
{
	uint8_t bytes[MAX_HEADER];
	const uint8_t *at = bytes + MAGIC_LEN;
	ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
	struct section section;
	uint64_t options, left;
	struct stat stat;

	if (len < (ssize_t)MAGIC_LEN + 2 || at[0] != '7' || at[1] || fstat(fd, &stat))
		return false;
	options = find_options(at, bytes + len);
	left = options && options < (uint64_t)stat.st_size ? (uint64_t)stat.st_size - options : 0;
	return left < sizeof(section) ||
	       pread(fd, &section, sizeof(section), (off_t)options) != sizeof(section) ||
	       section.size > left - sizeof(section);
}

/**
 * trace_data_read - give the events of a trace.dat to @sink, in the order of time
 * @fds: the file
 * @nr: 1
 * @sink: where they go
 * @facts: what is known of it; its @error says what went wrong
 */
void trace_data_read(const int *fds, size_t nr, const struct recording_sink *sink,
		     struct recording_facts *facts)
{
	struct reader reader = { .sink = sink, .facts = facts };
	struct tracecmd_input *input;

	(void)nr;
	*facts = (struct recording_facts){ 0 };
	if (is_cut_short(fds[0])) {
		recording_fail(facts, "it is cut short, or trace-cmd record has not finished it:"
				      " end it by Ctrl-C, not by kill -9");
		return;
	}
	tracecmd_set_loglevel(TEP_LOG_NONE);
	input = tracecmd_open_fd(dup(fds[0]), TRACECMD_FL_LOAD_NO_PLUGINS);
	if (!input) {
		recording_fail(facts, "it is damaged, or of a newer trace-cmd than the library"
				      " libtracecmd");
		return;
	}
	reader.formats = event_formats_new(false);
	read_file(&reader, input);
	event_formats_free(reader.formats);
	tracecmd_close(input);
}
