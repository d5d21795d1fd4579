// SPDX-License-Identifier: GPL-2.0
/* What the records of a perf.data come to: events, losses, and what processes have mapped. */
#include "event/decode.h"
#include "event/event.h"
#include "source/perf/perf.h"
#include "util/util.h"

/* Whether the sample is of an event that bufftrack has, or may have. */
static bool count_sample(struct perf_data *perf, const struct sample *sample)
{
	const struct perf_event_attr *attr = sample->attr;
	struct span raw = sample->raw;
	uint16_t number;

	take_copy(&raw, &number, sizeof(number));
	if (attr && attr->type != PERF_TYPE_TRACEPOINT)
		return false;
	switch (event_kind_of_record(perf->formats, sample->raw.at, sample->raw.left)) {
	case DECODED:
		if (!attr || attr->config == number)
			return true;
		perf->facts->foreign++;
		return false;
	case DECODED_FOREIGN:
		perf->facts->foreign++;
		return false;
	case DECODED_UNKNOWN:
		perf->facts->unknown++;
		return false;
	default:
		return false;
	}
}

/* perf has asked each event of each CPU, at its end, how many of its samples were lost. */
static void count_lost_samples(struct perf_data *perf, const struct perf_event_header *header,
			       struct span body)
{
	const struct perf_event_attr *attr = attrs_find(&perf->attrs, other_id(&perf->attrs, body));
	uint16_t number;

	if (header->misc & MISC_LOST_SAMPLES_BPF)
		return;
	if (!attr && perf->attrs.nr == 1)
		attr = perf->attrs.attr;
	perf->counted_samples |= attr != NULL;
	if (!attr || attr->type != PERF_TYPE_TRACEPOINT)
		return;
	number = (uint16_t)attr->config;
	if (event_formats_are_ours(perf->formats, number))
		perf->lost_samples += take64(&body);
}

/**
 * perf_is_wanted - whether a record is to be told, and when
 * @perf: where it is from
 * @header: its header
 * @body: what follows that
 * @time: the time of one that is wanted
 */
bool perf_is_wanted(struct perf_data *perf, const struct perf_event_header *header,
		    struct span body, uint64_t *time)
{
	struct sample sample;

	switch (header->type) {
	case PERF_RECORD_SAMPLE:
		if (!sample_read(&perf->attrs, body, &sample) || !count_sample(perf, &sample))
			return false;
		*time = sample.time;
		return true;
	case PERF_RECORD_LOST:
		*time = other_time(&perf->attrs, body);
		return true;
	case PERF_RECORD_LOST_SAMPLES:
		count_lost_samples(perf, header, body);
		return false;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
	case PERF_RECORD_COMM:
		*time = other_time(&perf->attrs, body);
		return perf->attrs.chains;
	default:
		return false;
	}
}

/*
 * Whether the event is the one before once more: who records one by two names has two
 * samples of it, one after the other.
 */
static bool is_repeated(struct perf_data *perf, const struct sample *sample)
{
	struct repeat *last;

	if (!perf->repeats) {
		perf->repeats = xrealloc(NULL, NR_REPEATS, sizeof(*last));
		memset(perf->repeats, 0, NR_REPEATS * sizeof(*last));
	}
	last = &perf->repeats[sample->cpu % NR_REPEATS];
	if (last->attr && last->attr != sample->attr && last->cpu == sample->cpu &&
	    last->tid == sample->tid && last->len == sample->raw.left &&
	    event_same_record(perf->formats, last->bytes, sample->raw.at, last->len)) {
		last->attr = NULL;
		return true;
	}
	last->attr = sample->raw.left <= sizeof(last->bytes) ? sample->attr : NULL;
	if (!last->attr)
		return false;
	last->cpu = sample->cpu;
	last->tid = sample->tid;
	last->len = (uint32_t)sample->raw.left;
	memcpy(last->bytes, sample->raw.at, last->len);
	return false;
}

static void tell_sample(struct perf_data *perf, struct span body)
{
	struct recorded *recorded = &perf->recorded;
	struct sample sample;

	if (!sample_read(&perf->attrs, body, &sample))
		return;
	if (perf->repeating && is_repeated(perf, &sample)) {
		perf->facts->repeated++;
		return;
	}
	if (event_decode(perf->formats, sample.raw.at, sample.raw.left, sample.time,
			 &recorded->event) != DECODED)
		return;
	recorded->lost = perf->mixed ? 0 : perf->lost;
	recorded->nr_frames = 0;
	recorded->chain = RECORDED_CHAIN_NONE;
	if (perf->attrs.chains)
		maps_read_chain(perf, &sample);
	if (sample.attr && sample.attr->sample_type & PERF_SAMPLE_STACK_USER)
		recorded->chain = RECORDED_CHAIN_DWARF;
	if (!perf->sink->take(perf->sink->data, recorded))
		perf->ended = true;
}

/* Tells the record that @entry stands for. */
void perf_tell(struct perf_data *perf, const struct queued *entry)
{
	struct perf_event_header header;
	struct span body;

	memcpy(&header, entry->record, sizeof(header));
	body = (struct span){ entry->record + sizeof(header), header.size - sizeof(header) };
	switch (header.type) {
	case PERF_RECORD_SAMPLE:
		tell_sample(perf, body);
		break;
	case PERF_RECORD_LOST:
		take64(&body); /* of which buffer */
		perf->lost += take64(&body);
		break;
	case PERF_RECORD_FORK:
		maps_fork(perf, body);
		break;
	case PERF_RECORD_EXIT:
		maps_exit(perf, body);
		break;
	case PERF_RECORD_COMM:
		if (header.misc & PERF_RECORD_MISC_COMM_EXEC)
			maps_exec(perf, take32(&body));
		break;
	default:
		maps_add(perf, &header, body);
	}
}

/*
 * The kernel counts, on the way, what a buffer had no room for, whose ever it was; perf
 * counts at its end by event. Both count the same ones, and each may be missing.
 */
void perf_count_losses(struct perf_data *perf)
{
	struct recording_facts *facts = perf->facts;

	if (!perf->mixed)
		facts->lost = perf->lost > perf->lost_samples ? perf->lost : perf->lost_samples;
	else if (perf->counted_samples)
		facts->lost = perf->lost_samples;
	else
		facts->lost_shared = perf->lost;
}
