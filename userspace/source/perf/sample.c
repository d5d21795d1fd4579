// SPDX-License-Identifier: GPL-2.0
/* The attributes of what perf has recorded, and the samples and times that they lay out. */
#include <stdlib.h>

#include "source/perf/perf.h"
#include "util/util.h"

#define PERF_FORMAT_LOST_BIT (1U << 4) /* of Linux 6.0 */

static int compare_ids(const void *first, const void *second)
{
	const struct attr_id *a = first, *b = second;

	return compare_numbers(a->id, b->id);
}

/* Adds an attribute, of which a newer perf may know more, and the ids of its samples. */
bool attrs_add(struct attrs *attrs, struct span from, struct span ids)
{
	struct perf_event_attr *attr;

	if (from.left < PERF_ATTR_SIZE_VER0 || ids.left % sizeof(uint64_t))
		return false;
	attrs->attr = xrealloc(attrs->attr, attrs->nr + 1, sizeof(*attrs->attr));
	attr = &attrs->attr[attrs->nr];
	*attr = (struct perf_event_attr){ 0 };
	take_copy(&from, attr, from.left < sizeof(*attr) ? from.left : sizeof(*attr));
	attrs->ids = xrealloc(attrs->ids, attrs->nr_ids + ids.left / sizeof(uint64_t) + 1,
			      sizeof(*attrs->ids));
	while (ids.left)
		attrs->ids[attrs->nr_ids++] = (struct attr_id){ take64(&ids), attrs->nr };
	attrs->sorted = false;
	if (!attrs->nr)
		attrs->identified = attrs->same_layout = true;
	attrs->identified &= !!(attr->sample_type & PERF_SAMPLE_IDENTIFIER);
	attrs->same_layout &= attr->sample_type == attrs->attr[0].sample_type &&
			      attr->read_format == attrs->attr[0].read_format &&
			      attr->sample_id_all == attrs->attr[0].sample_id_all;
	attrs->chains |= !!(attr->sample_type & PERF_SAMPLE_CALLCHAIN);
	attrs->nr++;
	return true;
}

void attrs_free(struct attrs *attrs)
{
	free(attrs->attr);
	free(attrs->ids);
}

const struct perf_event_attr *attrs_find(struct attrs *attrs, uint64_t id)
{
	const struct attr_id wanted = { .id = id }, *found;

	if (!attrs->nr_ids)
		return NULL;
	if (!attrs->sorted)
		qsort(attrs->ids, attrs->nr_ids, sizeof(*attrs->ids), compare_ids);
	attrs->sorted = true;
	found = bsearch(&wanted, attrs->ids, attrs->nr_ids, sizeof(wanted), compare_ids);
	return found ? &attrs->attr[found->attr] : NULL;
}

/* The attribute that says how the sample is laid out. */
static const struct perf_event_attr *layout_of(struct attrs *attrs, struct span span)
{
	if (!attrs->nr)
		return NULL;
	if (attrs->same_layout)
		return &attrs->attr[0];
	return attrs->identified ? attrs_find(attrs, take64(&span)) : NULL;
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
	if (format & PERF_FORMAT_LOST_BIT)
		each += 8;
	take(span, nr > span->left ? UINT64_MAX : nr * each);
}

/* What stands before the chain is in the order of the bits' meaning. */
static void read_numbers(uint64_t type, struct span *span, struct sample *sample)
{
	if (type & PERF_SAMPLE_IDENTIFIER)
		sample->id = take64(span);
	if (type & PERF_SAMPLE_IP)
		take64(span);
	if (type & PERF_SAMPLE_TID) {
		sample->pid = take32(span);
		sample->tid = take32(span);
	}
	if (type & PERF_SAMPLE_TIME)
		sample->time = take64(span);
	if (type & PERF_SAMPLE_ADDR)
		take64(span);
	if (type & PERF_SAMPLE_ID)
		sample->id = take64(span);
	if (type & PERF_SAMPLE_STREAM_ID)
		take64(span);
	if (type & PERF_SAMPLE_CPU) {
		sample->cpu = take32(span);
		take32(span);
	}
	if (type & PERF_SAMPLE_PERIOD)
		take64(span);
}

/* Reads a sample; false where it has no raw data, and so is no tracepoint's. */
bool sample_read(struct attrs *attrs, struct span span, struct sample *sample)
{
	const struct perf_event_attr *layout = layout_of(attrs, span);
	uint64_t type, nr;

	*sample = (struct sample){ 0 };
	if (!layout)
		return false;
	type = layout->sample_type;
	read_numbers(type, &span, sample);
	sample->attr = attrs->nr == 1 ? layout : attrs_find(attrs, sample->id);
	if (type & PERF_SAMPLE_READ)
		skip_counters(&span, layout->read_format);
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

/* The attribute of a record that is no sample, whose id is its last word. */
static const struct perf_event_attr *layout_of_other(struct attrs *attrs, struct span span)
{
	uint64_t id;

	if (!attrs->nr)
		return NULL;
	if (attrs->same_layout)
		return &attrs->attr[0];
	if (span.left < sizeof(id))
		return NULL;
	memcpy(&id, span.at + span.left - sizeof(id), sizeof(id));
	return attrs_find(attrs, id);
}

/* The fields of a sample that stand at the end of another record, too, in their order. */
static const uint64_t id_fields[] = { PERF_SAMPLE_TID, PERF_SAMPLE_TIME,
				      PERF_SAMPLE_ID,  PERF_SAMPLE_STREAM_ID,
				      PERF_SAMPLE_CPU, PERF_SAMPLE_IDENTIFIER };

/* One of those fields of a record; 0 where it has it not. */
static uint64_t other_field(struct attrs *attrs, struct span span, uint64_t wanted)
{
	const struct perf_event_attr *attr = layout_of_other(attrs, span);
	uint64_t len = 0, before = 0;
	size_t i;

	if (!attr || !attr->sample_id_all || !(attr->sample_type & wanted))
		return 0;
	for (i = 0; i < ARRAY_SIZE(id_fields); i++) {
		if (id_fields[i] == wanted)
			before = len;
		if (attr->sample_type & id_fields[i])
			len += 8;
	}
	if (len > span.left)
		return 0;
	take(&span, span.left - len + before);
	return take64(&span);
}

uint64_t other_time(struct attrs *attrs, struct span body)
{
	return other_field(attrs, body, PERF_SAMPLE_TIME);
}

/* Of which event the record tells. */
uint64_t other_id(struct attrs *attrs, struct span body)
{
	uint64_t id = other_field(attrs, body, PERF_SAMPLE_IDENTIFIER);

	return id ? id : other_field(attrs, body, PERF_SAMPLE_ID);
}
