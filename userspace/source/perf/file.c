// SPDX-License-Identifier: GPL-2.0
/*
 * A perf.data, as perf record writes it: to a file, to a pipe, or to a directory with a
 * file for each of its threads. A file has a header, the attributes of what was
 * recorded, the records, and sections with what else is known, the formats of the events
 * among them; a pipe has all that as records. Nothing in it is believed: each part is
 * looked at through a span that ends where the part does.
 */
#include <errno.h>
#include <event-parse.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "event/decode.h"
#include "event/event.h"
#include "source/perf/perf.h"
#include "source/perf_data.h"
#include "util/util.h"

#define MAGIC_LEN (sizeof(PERF_DATA_MAGIC) - 1)
#define HEADER_LEN 104
#define PIPE_HEADER_LEN 16
#define MAX_ATTR_LEN 4096

/* Bits of the header: sections that follow the records, in this order. */
#define FEATURE_TRACING_DATA 1
#define FEATURE_BUILD_ID 2
#define NR_FEATURES 256

struct section {
	uint64_t offset;
	uint64_t size;
};

static bool fits(struct span file, const struct section *section)
{
	return section->offset <= file.left && section->size <= file.left - section->offset;
}

/* All of a section that fits; of another one nothing. */
static struct span open_section(struct span file, const struct section *section)
{
	struct span span = { file.at, 0 };

	if (fits(file, section)) {
		span.at += section->offset;
		span.left = section->size;
	}
	return span;
}

static bool read_attrs(struct perf_data *perf, struct span file, const struct section *section,
		       uint64_t len)
{
	struct span attrs = open_section(file, section), one, ids;
	struct section of_ids;

	if (len < PERF_ATTR_SIZE_VER0 + sizeof(of_ids) || len > MAX_ATTR_LEN || !attrs.left ||
	    attrs.left % len)
		return false;
	while (attrs.left) {
		one.left = len - sizeof(of_ids);
		one.at = take(&attrs, one.left);
		take_copy(&attrs, &of_ids, sizeof(of_ids));
		ids = open_section(file, &of_ids);
		if (!fits(file, &of_ids) || !attrs_add(&perf->attrs, one, ids))
			return false;
	}
	return perf->attrs.same_layout || perf->attrs.identified;
}

static void read_build_ids(struct perf_data *perf, struct span span)
{
	struct perf_event_header header;
	struct span body;

	while (take_record(&span, &header, &body))
		build_ids_add(&perf->build_ids, &header, body);
}

/* The sections after the records. */
static bool read_features(struct perf_data *perf, struct span file, uint64_t table,
			  const uint64_t flags[4])
{
	struct section section = { table, 0 };
	struct span headers;
	unsigned int i;

	if (table > file.left)
		return false;
	section.size = file.left - table;
	headers = open_section(file, &section);
	for (i = 0; i < NR_FEATURES; i++) {
		if (!(flags[i / 64] >> i % 64 & 1))
			continue;
		if (!take_copy(&headers, &section, sizeof(section)))
			break;
		if (i == FEATURE_TRACING_DATA &&
		    !perf_read_formats(perf, open_section(file, &section)))
			return false;
		if (i == FEATURE_BUILD_ID)
			read_build_ids(perf, open_section(file, &section));
	}
	return perf->has_formats;
}

static bool refuse(struct perf_data *perf, const char *why)
{
	recording_fail(perf->facts, "%s", why);
	return false;
}

static bool read_file_header(struct perf_data *perf, struct span file, struct span span)
{
	struct section attrs, records;
	uint64_t attr_len, flags[4];

	attr_len = take64(&span);
	take_copy(&span, &attrs, sizeof(attrs));
	take_copy(&span, &records, sizeof(records));
	take(&span, sizeof(struct section));
	if (!take_copy(&span, flags, sizeof(flags)))
		return refuse(perf, "its header is damaged");
	if (!records.size)
		return refuse(perf,
			      "perf record has not finished it: end it by Ctrl-C, not by kill -9");
	if (!read_attrs(perf, file, &attrs, attr_len))
		return refuse(perf, "the attributes of its events are damaged");
	if (!fits(file, &records)) {
		recording_fail(perf->facts,
			       "it is cut short: of %" PRIu64 " bytes of records, not"
			       " all are there, and the formats are missing",
			       records.size);
		return false;
	}
	if (!read_features(perf, file, records.offset + records.size, flags))
		return refuse(perf, "the formats of its events are missing or damaged: was it"
				    " recorded with -e 'bufftrack:*'?");
	stream_new(perf, open_section(file, &records), records.offset);
	return true;
}

static bool read_header(struct perf_data *perf, struct span file)
{
	struct span span = file;
	const uint8_t *magic = take(&span, MAGIC_LEN);
	uint64_t len = take64(&span);

	if (magic && memcmp(magic, PERF_DATA_MAGIC_SWAPPED, MAGIC_LEN) == 0)
		return refuse(perf, "it is of a machine of another byte order: report it there");
	if (magic && memcmp(magic, PERF_DATA_MAGIC_OLD, MAGIC_LEN) == 0)
		return refuse(perf, "it is of a perf of before Linux 3.4: record it anew");
	if (!magic || memcmp(magic, PERF_DATA_MAGIC, MAGIC_LEN))
		return refuse(perf, "it is no perf.data of this kind of machine");
	if (len == PIPE_HEADER_LEN) {
		stream_new(perf, span, PIPE_HEADER_LEN);
		perf->piped = true;
		return true;
	}
	if (len < HEADER_LEN)
		return refuse(perf, "its header is damaged");
	return read_file_header(perf, file, span);
}

/**
 * perf_take_header_record - take in a record that has a part of a pipe's header
 * @perf: the recording
 * @header: its header
 * @body: what follows that
 * @rest: what follows it; it may have a part there
 */
bool perf_take_header_record(struct perf_data *perf, const struct perf_event_header *header,
			     struct span *body, struct span *rest)
{
	struct span part;
	uint32_t len;

	switch (header->type) {
	case RECORD_HEADER_ATTR:
		part = *body;
		take32(&part); /* its type */
		len = take32(&part);
		if (len < PERF_ATTR_SIZE_VER0 || len > MAX_ATTR_LEN)
			return false;
		part.left = len;
		part.at = take(body, len);
		return part.at && attrs_add(&perf->attrs, part, *body);
	case RECORD_TRACING_DATA:
		part.left = take32(body);
		part.at = rest->at;
		if (!take(rest, (part.left + 7) / 8 * 8))
			return false;
		return perf_read_formats(perf, part);
	case RECORD_BUILD_ID:
		build_ids_add(&perf->build_ids, header, *body);
		return true;
	default:
		return true;
	}
}

static bool is_monotonic(const struct attrs *attrs)
{
	size_t i;

	for (i = 0; i < attrs->nr; i++)
		if (!attrs->attr[i].use_clockid || attrs->attr[i].clockid != CLOCK_MONOTONIC)
			return false;
	return attrs->nr;
}

/* How the tracepoint of that name was recorded. */
static enum recorded_how how_recorded(const struct perf_data *perf, const char *name)
{
	int number = event_formats_find(perf->formats, name);
	enum recorded_how how = RECORDED_NOT;
	size_t i;

	for (i = 0; number >= 0 && i < perf->attrs.nr; i++) {
		if (perf->attrs.attr[i].type != PERF_TYPE_TRACEPOINT ||
		    perf->attrs.attr[i].config != (uint64_t)number)
			continue;
		if (perf->attrs.attr[i].sample_period)
			return RECORDED;
		how = RECORDED_COUNTED;
	}
	return how;
}

/* Whether two attributes are of one event. */
static bool is_repeating(const struct attrs *attrs)
{
	size_t i, j;

	for (i = 0; i < attrs->nr; i++)
		for (j = 0; j < i; j++)
			if (attrs->attr[i].type == PERF_TYPE_TRACEPOINT &&
			    attrs->attr[j].type == PERF_TYPE_TRACEPOINT &&
			    attrs->attr[i].config == attrs->attr[j].config)
				return true;
	return false;
}

/* Whether events of others were recorded, too; a dummy has no samples. */
static bool has_others(const struct perf_data *perf)
{
	const struct perf_event_attr *attr = perf->attrs.attr;
	size_t i;

	for (i = 0; i < perf->attrs.nr; i++, attr++) {
		if (attr->type == PERF_TYPE_SOFTWARE && attr->config == PERF_COUNT_SW_DUMMY)
			continue;
		if (attr->type != PERF_TYPE_TRACEPOINT || attr->config > UINT16_MAX ||
		    !event_formats_are_ours(perf->formats, (uint16_t)attr->config))
			return true;
	}
	return false;
}

/* What follows from the attributes and the formats, once both are known. */
static void learn(struct perf_data *perf)
{
	struct recording_facts *facts = perf->facts;

	if (is_monotonic(&perf->attrs))
		facts->clock = RECORDING_CLOCK_MONOTONIC;
	facts->allocs = how_recorded(perf, "alloc");
	facts->frees = how_recorded(perf, "free");
	perf->repeating = is_repeating(&perf->attrs);
	perf->mixed = has_others(perf);
}

static void tell_all(struct perf_data *perf)
{
	struct stream *oldest;
	bool learnt = false;

	while (!perf->ended && (oldest = streams_oldest(perf))) {
		if (!learnt)
			learn(perf);
		learnt = true;
		perf_tell(perf, stream_peek(oldest));
		stream_take(oldest);
	}
	if (!learnt)
		learn(perf);
	if (perf->piped && !perf->has_formats && !perf->facts->error[0])
		refuse(perf, "the formats of its events are missing: was it recorded with -e"
			     " 'bufftrack:*'?");
}

static bool map_file(struct perf_data *perf, int fd, struct span *file)
{
	struct stat stat;
	void *bytes;

	if (fstat(fd, &stat))
		return refuse(perf, strerror(errno));
	*file = (struct span){ 0 };
	if (!stat.st_size)
		return true;
	bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED) {
		recording_fail(perf->facts, "it cannot be mapped: %s", strerror(errno));
		return false;
	}
	file->at = bytes;
	file->left = (uint64_t)stat.st_size;
	perf->files = xrealloc(perf->files, perf->nr_files + 1, sizeof(*file));
	perf->files[perf->nr_files++] = *file;
	return true;
}

static bool open_files(struct perf_data *perf, const int *fds, size_t nr)
{
	struct span file;
	size_t i;

	if (!map_file(perf, fds[0], &file))
		return false;
	if (!file.left)
		return refuse(perf, "it is empty");
	if (!read_header(perf, file))
		return false;
	for (i = 1; i < nr; i++) {
		if (!map_file(perf, fds[i], &file))
			return false;
		if (file.left)
			stream_new(perf, file, 0);
	}
	return true;
}

/**
 * perf_data_read - give the events of a perf.data to @sink, in the order of time
 * @fds: the file; and where it is a directory the others in it, which have records only
 * @nr: how many
 * @sink: where they go
 * @facts: what is known of it; its @error says what went wrong
 */
void perf_data_read(const int *fds, size_t nr, const struct recording_sink *sink,
		    struct recording_facts *facts)
{
	struct perf_data perf = { .facts = facts, .sink = sink };

	*facts = (struct recording_facts){ 0 };
	perf.formats = event_formats_new(false);
	perf.tep = tep_alloc();
	if (perf.tep && open_files(&perf, fds, nr)) {
		tell_all(&perf);
		perf_count_losses(&perf);
	}
	streams_free(&perf);
	maps_free(&perf);
	tep_free(perf.tep);
	event_formats_free(perf.formats);
	attrs_free(&perf.attrs);
	build_ids_free(&perf.build_ids);
	free(perf.repeats);
	while (perf.nr_files--)
		munmap((void *)perf.files[perf.nr_files].at, perf.files[perf.nr_files].left);
	free(perf.files);
}
