// SPDX-License-Identifier: GPL-2.0
/*
 * The events in a perf.data, as perf record writes it to a file: a header, the
 * attributes of what was recorded, the records, and sections with what else is
 * known, the formats of the events among them. Nothing in the file is believed:
 * each part is looked at through a span that ends where the part does.
 */
#include <errno.h>
#include <event-parse.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "source/perf_data.h"
#include "source/recording.h"
#include "util/util.h"

#define MAGIC_LEN (sizeof(PERF_DATA_MAGIC) - 1)
#define HEADER_LEN 104
#define PIPE_HEADER_LEN 16

/* Bits of the header: sections that follow the records, in this order. */
#define FEATURE_TRACING_DATA 1
#define FEATURE_BUILD_ID 2
#define NR_FEATURES 256

/* Records that the kernel does not know. */
#define RECORD_AUXTRACE 71
#define RECORD_COMPRESSED 81
#define RECORD_COMPRESSED2 83

#define MISC_COMM_EXEC (1 << 13)
#define MISC_MMAP_BUILD_ID (1 << 14)
#define MISC_BUILD_ID_SIZE (1 << 15)

#define MAX_ATTR_LEN 4096

/* What is left of a part of the file. */
struct span {
	const uint8_t *at;
	uint64_t left;
};

struct section {
	uint64_t offset;
	uint64_t size;
};

/* Which attribute a sample with that id has. */
struct attr_id {
	uint64_t id;
	size_t attr;
};

/* A record that is looked at again, in the order of time. */
struct index_entry {
	uint64_t time;
	uint64_t offset;
};

struct build_id {
	const char *path; /* in the file, of @path_len bytes at most */
	size_t path_len;
	uint8_t id[BUFFTRACK_BUILD_ID_LEN];
	uint32_t len;
};

/* A file that a process has mapped. */
struct map {
	uint64_t start;
	uint64_t len;
	uint64_t offset;
	const char *path; /* as above */
	size_t path_len;
	uint8_t build_id[BUFFTRACK_BUILD_ID_LEN];
	uint32_t build_id_len;
};

/* What one process has mapped, or several: a child shares its parent's until it differs. */
struct maps {
	size_t refs;
	size_t nr;
	struct map map[];
};

struct process {
	uint32_t pid;
	struct maps *maps; /* NULL: none */
};

/* What a sample has of interest. */
struct sample {
	uint64_t time;
	uint32_t pid;
	uint32_t cpu;
	struct span chain; /* of addresses */
	struct span raw;
};

struct perf_data {
	const uint8_t *file;
	uint64_t size;
	struct section records;
	struct perf_event_attr *attrs;
	size_t nr_attrs;
	struct attr_id *ids;
	size_t nr_ids;
	bool same_layout; /* of the samples of all attributes */
	bool identified; /* each sample begins with its id */
	bool chains;
	struct tep_handle *tep;
	struct index_entry *entries;
	size_t nr_entries;
	size_t entries_room;
	struct build_id *build_ids;
	size_t nr_build_ids;
	void *processes;
	uint64_t lost;
	uint64_t lost_samples; /* as perf has counted at the end */
	struct recorded recorded;
	struct recording_facts *facts;
};

/* ---- spans ----------------------------------------------------------------- */

/* Takes @len bytes; NULL, and the span is empty, where it has fewer. */
static const uint8_t *take(struct span *span, uint64_t len)
{
	const uint8_t *at = span->at;

	if (len > span->left) {
		span->left = 0;
		return NULL;
	}
	span->at += len;
	span->left -= len;
	return at;
}

static bool take_copy(struct span *span, void *to, size_t len)
{
	const uint8_t *at = take(span, len);

	if (at)
		memcpy(to, at, len);
	else
		memset(to, 0, len);
	return at;
}

static uint64_t take64(struct span *span)
{
	uint64_t value;

	take_copy(span, &value, sizeof(value));
	return value;
}

static uint32_t take32(struct span *span)
{
	uint32_t value;

	take_copy(span, &value, sizeof(value));
	return value;
}

/* A string with its NUL; NULL where that is missing. */
static const char *take_text(struct span *span)
{
	const uint8_t *end = span->left ? memchr(span->at, '\0', span->left) : NULL;

	return end ? (const char *)take(span, (uint64_t)(end - span->at) + 1) : NULL;
}

static bool fits(const struct perf_data *perf, const struct section *section)
{
	return section->offset <= perf->size && section->size <= perf->size - section->offset;
}

/* All of a section that fits; of another one nothing. */
static struct span open_section(const struct perf_data *perf, const struct section *section)
{
	struct span span = { perf->file, 0 };

	if (fits(perf, section)) {
		span.at += section->offset;
		span.left = section->size;
	}
	return span;
}

/* ---- the formats of the events ----------------------------------------------- */

/*
 * How an event is printed is of no interest, and the library may crash on it where it
 * is damaged: it is given the fields alone.
 */
static bool parse_format(struct perf_data *perf, const uint8_t *text, uint64_t len)
{
	static const char print[] = "\nprint fmt:", nothing[] = "\nprint fmt: \"\"\n";
	const uint8_t *end = memmem(text, len, print, sizeof(print) - 1);
	char *fields;
	bool done;

	if (!end)
		return false;
	len = (uint64_t)(end - text);
	fields = xrealloc(NULL, len + sizeof(nothing), 1);
	memcpy(fields, text, len);
	memcpy(fields + len, nothing, sizeof(nothing));
	done = !tep_parse_event(perf->tep, fields, (unsigned long)(len + sizeof(nothing) - 1),
				EVENT_SYSTEM);
	free(fields);
	return done;
}

/* Formats that are counted by 64 bits each, of a system or of ftrace itself. */
static bool read_formats(struct perf_data *perf, struct span *span, bool ours)
{
	uint32_t nr = take32(span);
	const uint8_t *text;
	uint64_t len;

	for (; nr && span->left; nr--) {
		len = take64(span);
		text = take(span, len);
		if (!text || (ours && !parse_format(perf, text, len)))
			return false;
	}
	return !nr;
}

static bool take_header_file(struct span *span, const char *name)
{
	const char *found = take_text(span);

	return found && strcmp(found, name) == 0 && take(span, take64(span));
}

/* The section of the formats, which perf writes in the manner of trace-cmd. */
static bool read_tracing_data(struct perf_data *perf, struct span *span)
{
	const uint8_t *magic = take(span, 10), *order;
	const char *version = take_text(span), *system;
	uint32_t nr;

	if (!magic || memcmp(magic, "\x17\x08\x44tracing", 10) || !version)
		return false;
	order = take(span, 2);
	if (!order || order[0] != tep_is_bigendian() || (order[1] != 4 && order[1] != 8))
		return false;
	tep_set_long_size(perf->tep, order[1]);
	take32(span); /* the size of a page */
	if (!take_header_file(span, "header_page") || !take_header_file(span, "header_event") ||
	    !read_formats(perf, span, false))
		return false;
	for (nr = take32(span); nr && span->left; nr--) {
		system = take_text(span);
		if (!system || !read_formats(perf, span, strcmp(system, EVENT_SYSTEM) == 0))
			return false;
	}
	return !nr;
}

/* Whether the event was recorded whose tracepoint has that number. */
static bool has_event(const struct perf_data *perf, const char *name)
{
	struct tep_event *event = tep_find_event_by_name(perf->tep, EVENT_SYSTEM, name);
	size_t i;

	for (i = 0; event && i < perf->nr_attrs; i++)
		if (perf->attrs[i].type == PERF_TYPE_TRACEPOINT &&
		    perf->attrs[i].config == (uint64_t)event->id)
			return true;
	return false;
}

/* ---- build ids --------------------------------------------------------------- */

static int compare_build_ids(const void *first, const void *second)
{
	const struct build_id *a = first, *b = second;
	size_t len = a->path_len < b->path_len ? a->path_len : b->path_len;
	int order = memcmp(a->path, b->path, len);

	return order ? order : compare_numbers(a->path_len, b->path_len);
}

static uint32_t build_id_len(uint32_t len)
{
	return len < BUFFTRACK_BUILD_ID_LEN ? len : BUFFTRACK_BUILD_ID_LEN;
}

/* The section of the files' build ids; what is wrong in it is left out. */
static void read_build_ids(struct perf_data *perf, struct span *span)
{
	struct perf_event_header header;
	struct build_id *build_id;
	struct span record;
	uint8_t id[24];

	while (take_copy(span, &header, sizeof(header)) && header.size > sizeof(header)) {
		record.left = header.size - sizeof(header);
		record.at = take(span, record.left);
		if (!record.at)
			break;
		take32(&record); /* the pid */
		if (!take_copy(&record, id, sizeof(id)))
			continue;
		perf->build_ids =
			xrealloc(perf->build_ids, perf->nr_build_ids + 1, sizeof(*perf->build_ids));
		build_id = &perf->build_ids[perf->nr_build_ids++];
		build_id->len =
			build_id_len(header.misc & MISC_BUILD_ID_SIZE ? id[20] : sizeof(id));
		memcpy(build_id->id, id, sizeof(build_id->id));
		build_id->path = (const char *)record.at;
		build_id->path_len = strnlen(build_id->path, record.left);
	}
	if (perf->nr_build_ids)
		qsort(perf->build_ids, perf->nr_build_ids, sizeof(*perf->build_ids),
		      compare_build_ids);
}

static void find_build_id(const struct perf_data *perf, struct map *map)
{
	const struct build_id wanted = { .path = map->path, .path_len = map->path_len }, *found;

	if (map->build_id_len || !perf->nr_build_ids)
		return;
	found = bsearch(&wanted, perf->build_ids, perf->nr_build_ids, sizeof(wanted),
			compare_build_ids);
	if (!found)
		return;
	map->build_id_len = found->len;
	memcpy(map->build_id, found->id, sizeof(map->build_id));
}

/* ---- the header --------------------------------------------------------------- */

static int compare_ids(const void *first, const void *second)
{
	const struct attr_id *a = first, *b = second;

	return compare_numbers(a->id, b->id);
}

static bool read_ids(struct perf_data *perf, size_t attr, struct span *span)
{
	uint64_t nr = span->left / sizeof(uint64_t);

	if (span->left % sizeof(uint64_t))
		return false;
	perf->ids = xrealloc(perf->ids, perf->nr_ids + nr + 1, sizeof(*perf->ids));
	for (; nr; nr--)
		perf->ids[perf->nr_ids++] = (struct attr_id){ take64(span), attr };
	return true;
}

static bool read_attrs(struct perf_data *perf, const struct section *section, uint64_t len)
{
	struct span attrs = open_section(perf, section), one, ids;
	struct section of_ids;
	struct perf_event_attr *attr;

	if (len < PERF_ATTR_SIZE_VER0 + sizeof(of_ids) || len > MAX_ATTR_LEN || !attrs.left ||
	    attrs.left % len)
		return false;
	perf->identified = true;
	perf->same_layout = true;
	while (attrs.left) {
		one.at = take(&attrs, len);
		one.left = len - sizeof(of_ids);
		perf->attrs = xrealloc(perf->attrs, perf->nr_attrs + 1, sizeof(*perf->attrs));
		attr = &perf->attrs[perf->nr_attrs];
		*attr = (struct perf_event_attr){ 0 };
		take_copy(&one, attr, one.left < sizeof(*attr) ? one.left : sizeof(*attr));
		memcpy(&of_ids, attrs.at - sizeof(of_ids), sizeof(of_ids));
		ids = open_section(perf, &of_ids);
		if (!fits(perf, &of_ids) || !read_ids(perf, perf->nr_attrs, &ids))
			return false;
		perf->identified &= !!(attr->sample_type & PERF_SAMPLE_IDENTIFIER);
		perf->same_layout &= attr->sample_type == perf->attrs[0].sample_type &&
				     attr->read_format == perf->attrs[0].read_format &&
				     attr->sample_id_all == perf->attrs[0].sample_id_all;
		perf->chains |= !!(attr->sample_type & PERF_SAMPLE_CALLCHAIN);
		perf->nr_attrs++;
	}
	if (perf->nr_ids)
		qsort(perf->ids, perf->nr_ids, sizeof(*perf->ids), compare_ids);
	return perf->same_layout || perf->identified;
}

/* The sections after the records. */
static bool read_features(struct perf_data *perf, uint64_t table, const uint64_t flags[4])
{
	struct section section = { table, 0 };
	bool has_formats = false;
	struct span headers, span;
	unsigned int i;

	if (table > perf->size)
		return false;
	section.size = perf->size - table;
	headers = open_section(perf, &section);
	for (i = 0; i < NR_FEATURES; i++) {
		if (!(flags[i / 64] >> i % 64 & 1))
			continue;
		if (!take_copy(&headers, &section, sizeof(section)))
			break;
		if (i != FEATURE_TRACING_DATA && i != FEATURE_BUILD_ID)
			continue;
		span = open_section(perf, &section);
		if (i == FEATURE_TRACING_DATA)
			has_formats = read_tracing_data(perf, &span);
		else
			read_build_ids(perf, &span);
	}
	return has_formats;
}

static bool is_monotonic(const struct perf_data *perf)
{
	size_t i;

	for (i = 0; i < perf->nr_attrs; i++)
		if (!perf->attrs[i].use_clockid || perf->attrs[i].clockid != CLOCK_MONOTONIC)
			return false;
	return perf->nr_attrs;
}

static bool read_header(struct perf_data *perf)
{
	struct span span = { perf->file, perf->size };
	const uint8_t *magic = take(&span, MAGIC_LEN);
	struct section attrs;
	uint64_t len = take64(&span), attr_len = take64(&span), flags[4];

	if (!magic || memcmp(magic, PERF_DATA_MAGIC, MAGIC_LEN)) {
		recording_fail(perf->facts, "it is no perf.data of this kind of machine");
		return false;
	}
	if (len == PIPE_HEADER_LEN) {
		recording_fail(perf->facts, "perf wrote it to a pipe: record with 'perf record -o"
					    " FILE' and without a pipe");
		return false;
	}
	take_copy(&span, &attrs, sizeof(attrs));
	take_copy(&span, &perf->records, sizeof(perf->records));
	take(&span, sizeof(struct section));
	if (!take_copy(&span, flags, sizeof(flags)) || len < HEADER_LEN) {
		recording_fail(perf->facts, "its header is damaged");
		return false;
	}
	if (!perf->records.size) {
		recording_fail(perf->facts,
			       "perf record has not finished it: end it by Ctrl-C, not by kill -9");
		return false;
	}
	if (!read_attrs(perf, &attrs, attr_len)) {
		recording_fail(perf->facts, "the attributes of its events are damaged");
		return false;
	}
	if (!fits(perf, &perf->records)) {
		recording_fail(perf->facts,
			       "it is cut short: of %" PRIu64 " bytes of records, not"
			       " all are there, and the formats are missing",
			       perf->records.size);
		return false;
	}
	if (!read_features(perf, perf->records.offset + perf->records.size, flags)) {
		recording_fail(perf->facts,
			       "the formats of its events are missing or damaged: was it recorded"
			       " with -e 'bufftrack:*'?");
		return false;
	}
	if (is_monotonic(perf))
		perf->facts->clock = RECORDING_CLOCK_MONOTONIC;
	perf->facts->has_uses = has_event(perf, EVENT_PREFIX "alloc") &&
				has_event(perf, EVENT_PREFIX "free");
	return true;
}

/* ---- samples ------------------------------------------------------------------ */

static const struct perf_event_attr *attr_of_id(const struct perf_data *perf, uint64_t id)
{
	const struct attr_id wanted = { .id = id }, *found;

	if (!perf->nr_ids)
		return NULL;
	found = bsearch(&wanted, perf->ids, perf->nr_ids, sizeof(wanted), compare_ids);
	return found ? &perf->attrs[found->attr] : NULL;
}

/* The attribute that says how the sample is laid out. */
static const struct perf_event_attr *attr_of_sample(const struct perf_data *perf, struct span span)
{
	return perf->same_layout ? &perf->attrs[0] : attr_of_id(perf, take64(&span));
}

/* The counters that a sample may hold, which are of no interest. */
static void skip_counters(struct span *span, uint64_t format)
{
	uint64_t nr = 1, each = 8;

	if (format & PERF_FORMAT_GROUP)
		nr = take64(span);
	if (format & PERF_FORMAT_TOTAL_TIME_ENABLED)
		take64(span);
	if (format & PERF_FORMAT_TOTAL_TIME_RUNNING)
		take64(span);
	if (format & PERF_FORMAT_ID)
		each += 8;
	if (format & (1U << 4)) /* PERF_FORMAT_LOST, of Linux 6.0 */
		each += 8;
	take(span, nr > span->left ? UINT64_MAX : nr * each);
}

/* What stands before the raw data is in the order of the bits' meaning. */
static bool read_sample(const struct perf_data *perf, struct span span, struct sample *sample)
{
	const struct perf_event_attr *attr = attr_of_sample(perf, span);
	uint64_t type, nr;

	*sample = (struct sample){ 0 };
	if (!attr)
		return false;
	type = attr->sample_type;
	if (type & PERF_SAMPLE_IDENTIFIER)
		take64(&span);
	if (type & PERF_SAMPLE_IP)
		take64(&span);
	if (type & PERF_SAMPLE_TID) {
		sample->pid = take32(&span);
		take32(&span);
	}
	if (type & PERF_SAMPLE_TIME)
		sample->time = take64(&span);
	if (type & PERF_SAMPLE_ADDR)
		take64(&span);
	if (type & PERF_SAMPLE_ID)
		take64(&span);
	if (type & PERF_SAMPLE_STREAM_ID)
		take64(&span);
	if (type & PERF_SAMPLE_CPU) {
		sample->cpu = take32(&span);
		take32(&span);
	}
	if (type & PERF_SAMPLE_PERIOD)
		take64(&span);
	if (type & PERF_SAMPLE_READ)
		skip_counters(&span, attr->read_format);
	if (type & PERF_SAMPLE_CALLCHAIN) {
		nr = take64(&span);
		if (nr > span.left / sizeof(uint64_t))
			return false;
		sample->chain.left = nr * sizeof(uint64_t);
		sample->chain.at = take(&span, sample->chain.left);
	}
	if (!(type & PERF_SAMPLE_RAW))
		return false;
	sample->raw.left = take32(&span);
	sample->raw.at = take(&span, sample->raw.left);
	return sample->raw.at;
}

/* The event of ours that the sample is; NULL where it is another's. */
static struct tep_event *event_of_sample(const struct perf_data *perf, const struct sample *sample)
{
	struct span raw = sample->raw;
	uint16_t type; /* which every tracepoint has first */

	return take_copy(&raw, &type, sizeof(type)) ? tep_find_event(perf->tep, type) : NULL;
}

/*
 * The time of a record that is no sample: of the fields of a sample, those few
 * that are at its end.
 */
static uint64_t time_of_other(const struct perf_data *perf, struct span span)
{
	static const uint64_t fields[] = { PERF_SAMPLE_TID, PERF_SAMPLE_TIME,
					   PERF_SAMPLE_ID,  PERF_SAMPLE_STREAM_ID,
					   PERF_SAMPLE_CPU, PERF_SAMPLE_IDENTIFIER };
	const struct perf_event_attr *attr = perf->attrs;
	uint64_t len = 0, id;
	size_t i;

	if (!perf->same_layout) {
		/* The id is the last. */
		if (span.left < sizeof(id))
			return 0;
		memcpy(&id, span.at + span.left - sizeof(id), sizeof(id));
		attr = attr_of_id(perf, id);
	}
	if (!attr || !attr->sample_id_all || !(attr->sample_type & PERF_SAMPLE_TIME))
		return 0;
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (attr->sample_type & fields[i])
			len += 8;
	if (len > span.left)
		return 0;
	take(&span, span.left - len);
	if (attr->sample_type & PERF_SAMPLE_TID)
		take64(&span);
	return take64(&span);
}

/* ---- the first look: which records, in which order ---------------------------- */

static void add_entry(struct perf_data *perf, uint64_t time, uint64_t offset)
{
	if (perf->nr_entries == perf->entries_room) {
		perf->entries_room = perf->entries_room ? 2 * perf->entries_room : 1024;
		perf->entries = xrealloc(perf->entries, perf->entries_room, sizeof(*perf->entries));
	}
	perf->entries[perf->nr_entries++] = (struct index_entry){ time, offset };
}

static void index_record(struct perf_data *perf, const struct perf_event_header *header,
			 struct span body, uint64_t offset)
{
	struct sample sample;

	switch (header->type) {
	case PERF_RECORD_SAMPLE:
		if (read_sample(perf, body, &sample) && event_of_sample(perf, &sample))
			add_entry(perf, sample.time, offset);
		break;
	case PERF_RECORD_LOST:
		add_entry(perf, time_of_other(perf, body), offset);
		break;
	case PERF_RECORD_LOST_SAMPLES:
		perf->lost_samples += take64(&body);
		break;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_FORK:
	case PERF_RECORD_COMM:
		if (perf->chains)
			add_entry(perf, time_of_other(perf, body), offset);
		break;
	default:
		break;
	}
}

static int compare_entries(const void *first, const void *second)
{
	const struct index_entry *a = first, *b = second;
	int order = compare_numbers(a->time, b->time);

	return order ? order : compare_numbers(a->offset, b->offset);
}

/* Takes a record with its header. */
static bool take_record(struct span *span, struct perf_event_header *header, struct span *body)
{
	if (!take_copy(span, header, sizeof(*header)) || header->size < sizeof(*header))
		return false;
	body->left = header->size - sizeof(*header);
	body->at = take(span, body->left);
	return body->at;
}

static void index_records(struct perf_data *perf)
{
	struct span span = open_section(perf, &perf->records), body;
	struct perf_event_header header;
	uint64_t offset = 0;

	while (span.left) {
		if (!take_record(&span, &header, &body)) {
			recording_fail(perf->facts, "it is damaged at byte %" PRIu64,
				       perf->records.offset + offset);
			break;
		}
		if (header.type == RECORD_COMPRESSED || header.type == RECORD_COMPRESSED2) {
			recording_fail(perf->facts, "its records are compressed: record without"
						    " -z (--compression-level)");
			break;
		}
		index_record(perf, &header, body, offset);
		/* Its data come after it. */
		if (header.type == RECORD_AUXTRACE && !take(&span, take64(&body))) {
			recording_fail(perf->facts, "it is damaged at byte %" PRIu64,
				       perf->records.offset + offset);
			break;
		}
		offset = perf->records.size - span.left;
	}
	if (perf->nr_entries)
		qsort(perf->entries, perf->nr_entries, sizeof(*perf->entries), compare_entries);
}

/* ---- what processes have mapped, for call chains ------------------------------- */

static int compare_processes(const void *first, const void *second)
{
	const struct process *a = first, *b = second;

	return compare_numbers(a->pid, b->pid);
}

static struct process *find_process(struct perf_data *perf, uint32_t pid)
{
	const struct process wanted = { .pid = pid };
	struct process **found = tfind(&wanted, &perf->processes, compare_processes), *process;

	if (found)
		return *found;
	process = xrealloc(NULL, 1, sizeof(*process));
	*process = wanted;
	if (!tsearch(process, &perf->processes, compare_processes)) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	return process;
}

static void drop_maps(struct process *process)
{
	if (process->maps && !--process->maps->refs)
		free(process->maps);
	process->maps = NULL;
}

static void free_process(void *node)
{
	drop_maps(node);
	free(node);
}

/* Room for one more, in a list that is the process's own. */
static struct map *new_map(struct process *process)
{
	struct maps *maps = process->maps;
	size_t nr = maps ? maps->nr : 0;
	size_t size = sizeof(*maps) + (nr + 1) * sizeof(maps->map[0]);

	if (!maps || maps->refs > 1) {
		maps = xrealloc(NULL, 1, size);
		maps->refs = 1;
		if (nr)
			memcpy(maps->map, process->maps->map, nr * sizeof(maps->map[0]));
		drop_maps(process);
	} else {
		maps = xrealloc(maps, 1, size);
	}
	maps->nr = nr + 1;
	process->maps = maps;
	return &maps->map[nr];
}

static void add_map(struct perf_data *perf, const struct perf_event_header *header,
		    struct span body)
{
	uint32_t pid = take32(&body);
	struct map map = { 0 };
	uint8_t id[24];

	take32(&body); /* the tid */
	map.start = take64(&body);
	map.len = take64(&body);
	map.offset = take64(&body);
	if (header->type == PERF_RECORD_MMAP2) {
		take_copy(&body, id, sizeof(id));
		if (header->misc & MISC_MMAP_BUILD_ID) {
			map.build_id_len = build_id_len(id[0]);
			memcpy(map.build_id, id + 4, sizeof(map.build_id));
		}
		take64(&body); /* prot and flags */
	}
	map.path = (const char *)body.at;
	map.path_len = strnlen(map.path, body.left);
	/* Memory without a file is named //anon, [stack] and so on. */
	if (!body.left || map.path[0] != '/' || (map.path_len > 1 && map.path[1] == '/'))
		return;
	find_build_id(perf, &map);
	*new_map(find_process(perf, pid)) = map;
}

/* A child begins with what its parent has mapped; a thread has it already. */
static void fork_process(struct perf_data *perf, struct span body)
{
	uint32_t pid = take32(&body), parent_pid = take32(&body);
	struct process *process, *parent;

	if (pid == parent_pid)
		return;
	parent = find_process(perf, parent_pid);
	process = find_process(perf, pid);
	drop_maps(process);
	process->maps = parent->maps;
	if (process->maps)
		process->maps->refs++;
}

static void add_frame(const struct process *process, struct recorded *recorded, uint64_t address)
{
	struct bufftrack_frame *frame = &recorded->frames[recorded->nr_frames++];
	const struct map *map;
	size_t i;

	*frame = (struct bufftrack_frame){ .address = address };
	for (i = process->maps ? process->maps->nr : 0; i-- > 0;) {
		map = &process->maps->map[i];
		if (address < map->start || address - map->start >= map->len)
			continue;
		frame->offset = address - map->start + map->offset;
		frame->build_id_len = map->build_id_len;
		memcpy(frame->build_id, map->build_id, sizeof(frame->build_id));
		if (map->path_len < sizeof(frame->path))
			memcpy(frame->path, map->path, map->path_len);
		return;
	}
}

/* The part of the chain that is in user space, which a marker precedes. */
static void read_chain(struct perf_data *perf, const struct sample *sample)
{
	const struct process *process = find_process(perf, sample->pid);
	struct recorded *recorded = &perf->recorded;
	struct span chain = sample->chain;
	bool user = false;
	uint64_t address;

	while (chain.left && recorded->nr_frames < RECORDED_FRAMES) {
		address = take64(&chain);
		if (address >= PERF_CONTEXT_MAX)
			user = address == PERF_CONTEXT_USER;
		else if (user)
			add_frame(process, recorded, address);
	}
}

/* ---- the second look: the events ----------------------------------------------- */

static bool tell_sample(struct perf_data *perf, struct span body, const struct recording_sink *sink)
{
	struct recorded *recorded = &perf->recorded;
	struct tep_record record = { 0 };
	struct tep_event *format;
	struct sample sample;

	if (!read_sample(perf, body, &sample))
		return true;
	format = event_of_sample(perf, &sample);
	if (!format)
		return true;
	record.ts = sample.time;
	record.cpu = (int)sample.cpu;
	record.size = (int)sample.raw.left;
	record.data = (void *)sample.raw.at;
	event_decode(&recorded->event, format, &record);
	recorded->lost = perf->lost;
	recorded->nr_frames = 0;
	read_chain(perf, &sample);
	return sink->take(sink->data, recorded);
}

static void tell_events(struct perf_data *perf, const struct recording_sink *sink)
{
	struct perf_event_header header;
	struct span span, body;
	size_t i;

	for (i = 0; i < perf->nr_entries; i++) {
		span = open_section(perf, &perf->records);
		take(&span, perf->entries[i].offset);
		take_record(&span, &header, &body);
		switch (header.type) {
		case PERF_RECORD_SAMPLE:
			if (!tell_sample(perf, body, sink))
				return;
			break;
		case PERF_RECORD_LOST:
			take64(&body); /* of which event */
			perf->lost += take64(&body);
			break;
		case PERF_RECORD_FORK:
			fork_process(perf, body);
			break;
		case PERF_RECORD_COMM:
			if (header.misc & MISC_COMM_EXEC)
				drop_maps(find_process(perf, take32(&body)));
			break;
		default:
			add_map(perf, &header, body);
		}
	}
}

static bool map_file(struct perf_data *perf, int fd)
{
	struct stat stat;
	void *file;

	if (fstat(fd, &stat) || !stat.st_size) {
		recording_fail(perf->facts, "it is empty");
		return false;
	}
	file = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED) {
		recording_fail(perf->facts, "it cannot be mapped: %s", strerror(errno));
		return false;
	}
	perf->file = file;
	perf->size = (uint64_t)stat.st_size;
	return true;
}

/**
 * perf_data_read - give the events of a perf.data to @sink, in the order of time
 * @fd: the file
 * @sink: where they go
 * @facts: what is known of it; its @error says what went wrong
 */
void perf_data_read(int fd, const struct recording_sink *sink, struct recording_facts *facts)
{
	struct perf_data perf = { .facts = facts };

	*facts = (struct recording_facts){ 0 };
	if (!map_file(&perf, fd))
		return;
	perf.tep = tep_alloc();
	if (perf.tep && read_header(&perf)) {
		index_records(&perf);
		tell_events(&perf, sink);
	}
	/* Both count the same ones; each may be missing. */
	facts->lost = perf.lost > perf.lost_samples ? perf.lost : perf.lost_samples;
	tep_free(perf.tep);
	tdestroy(perf.processes, free_process);
	free(perf.attrs);
	free(perf.ids);
	free(perf.entries);
	free(perf.build_ids);
	munmap((void *)perf.file, perf.size);
}
