/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the reader of perf.data share, and nobody else. */
#ifndef BUFFTRACK_PERF_H
#define BUFFTRACK_PERF_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "source/recording.h"

/* Records that perf writes, and the kernel does not know. */
#define RECORD_HEADER_ATTR 64
#define RECORD_TRACING_DATA 66
#define RECORD_BUILD_ID 67
#define RECORD_FINISHED_ROUND 68
#define RECORD_AUXTRACE 71
#define RECORD_FEATURE 80
#define RECORD_COMPRESSED 81
#define RECORD_COMPRESSED2 83

/* What newer kernels than the headers here say. */
#define MISC_LOST_SAMPLES_BPF (1 << 15)
#define CONTEXT_USER_DEFERRED ((uint64_t)-640)

/* What is left of a part of a file. */
struct span {
	const uint8_t *at;
	uint64_t left;
};

/* Which attribute a sample with that id has. */
struct attr_id {
	uint64_t id;
	size_t attr;
};

struct attrs {
	struct perf_event_attr *attr;
	size_t nr;
	struct attr_id *ids;
	size_t nr_ids;
	bool sorted; /* the ids */
	bool same_layout; /* of the samples of all attributes */
	bool identified; /* each sample begins with its id */
	bool chains;
};

/* What a sample has of interest. */
struct sample {
	const struct perf_event_attr *attr; /* NULL: it is not known */
	uint64_t id;
	uint64_t time;
	uint32_t pid;
	uint32_t tid;
	uint32_t cpu;
	struct span chain; /* of addresses */
	struct span raw;
};

/* A record that is told in the order of time. */
struct queued {
	uint64_t time;
	const uint8_t *record;
};

struct build_id {
	char *path;
	uint8_t id[BUFFTRACK_BUILD_ID_LEN];
	uint32_t len;
};

struct build_ids {
	struct build_id *id;
	size_t nr;
	bool sorted;
};

/* The event that a CPU has recorded last. */
struct repeat {
	const struct perf_event_attr *attr; /* NULL: none, or it was met again */
	uint32_t cpu;
	uint32_t tid;
	uint32_t len;
	uint8_t bytes[1024];
};

#define NR_REPEATS 1024

struct event_formats;
struct stream;
struct tep_handle;

struct perf_data {
	struct attrs attrs;
	struct tep_handle *tep;
	struct event_formats *formats;
	bool has_formats;
	struct build_ids build_ids;
	void *processes;
	struct span *files; /* that are mapped */
	size_t nr_files;
	struct stream *streams;
	size_t nr_streams;
	uint64_t lost; /* as the kernel has counted on the way, of whatever event */
	uint64_t lost_samples; /* of bufftrack's, as perf has counted at the end */
	bool counted_samples; /* it has */
	bool piped;
	bool mixed; /* events of others were recorded, too */
	bool repeating; /* one event was recorded by two names */
	struct repeat *repeats; /* by CPU; NULL: none so far */
	struct recorded recorded;
	const struct recording_sink *sink;
	struct recording_facts *facts;
	bool ended; /* there shall be no more events */
};

/* ---- spans ----------------------------------------------------------------- */

/* Takes @len bytes; NULL, and the span is empty, where it has fewer. */
static inline const uint8_t *take(struct span *span, uint64_t len)
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

static inline bool take_copy(struct span *span, void *to, size_t len)
{
	const uint8_t *at = take(span, len);

	if (at)
		memcpy(to, at, len);
	else
		memset(to, 0, len);
	return at;
}

static inline uint64_t take64(struct span *span)
{
	uint64_t value;

	take_copy(span, &value, sizeof(value));
	return value;
}

static inline uint32_t take32(struct span *span)
{
	uint32_t value;

	take_copy(span, &value, sizeof(value));
	return value;
}

/* Takes a record with its header. */
static inline bool take_record(struct span *span, struct perf_event_header *header,
			       struct span *body)
{
	if (!take_copy(span, header, sizeof(*header)) || header->size < sizeof(*header))
		return false;
	body->left = header->size - sizeof(*header);
	body->at = take(span, body->left);
	return body->at;
}

/* formats.c */
bool perf_read_formats(struct perf_data *perf, struct span span);

/* sample.c */
bool attrs_add(struct attrs *attrs, struct span attr, struct span ids);
void attrs_free(struct attrs *attrs);
const struct perf_event_attr *attrs_find(struct attrs *attrs, uint64_t id);
bool sample_read(struct attrs *attrs, struct span body, struct sample *sample);
uint64_t other_time(struct attrs *attrs, struct span body);
uint64_t other_id(struct attrs *attrs, struct span body);

/* maps.c */
void build_ids_add(struct build_ids *ids, const struct perf_event_header *header, struct span body);
void build_ids_free(struct build_ids *ids);
void maps_add(struct perf_data *perf, const struct perf_event_header *header, struct span body);
void maps_fork(struct perf_data *perf, struct span body);
void maps_exit(struct perf_data *perf, struct span body);
void maps_exec(struct perf_data *perf, uint32_t pid);
void maps_free(struct perf_data *perf);
void maps_read_chain(struct perf_data *perf, const struct sample *sample);

/* stream.c */
struct stream *stream_new(struct perf_data *perf, struct span records, uint64_t offset);
const struct queued *stream_peek(struct stream *stream);
void stream_take(struct stream *stream);
struct stream *streams_oldest(struct perf_data *perf);
void streams_free(struct perf_data *perf);

/* events.c */
bool perf_is_wanted(struct perf_data *perf, const struct perf_event_header *header,
		    struct span body, uint64_t *time);
void perf_tell(struct perf_data *perf, const struct queued *entry);
void perf_count_losses(struct perf_data *perf);

/* file.c */
bool perf_take_header_record(struct perf_data *perf, const struct perf_event_header *header,
			     struct span *body, struct span *rest);

#endif
