// SPDX-License-Identifier: GPL-2.0
/*
 * The records of one file of perf's, in the order of time. perf writes what it finds in
 * the kernel's buffers, one after the other, and marks the end of each round: what is
 * written later is not older than what the round before that one had. So no more than
 * two rounds are held at once, and of a file that is not compressed their places only.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "source/perf/perf.h"
#include "util/util.h"

/* Decompressed at once; a record has less than 64 KB. */
#define CARRY_ROOM (256 << 10)
/* Copies of records that were compressed come in blocks of that size. */
#define BLOCK_SIZE (256 << 10)
/* What was read of the file is given back so often. */
#define TRIM_BYTES (8 << 20)

/* Copies of records, each behind the address of its block. */
struct block {
	size_t refs;
	size_t used;
	uint8_t bytes[BLOCK_SIZE];
};

struct stream {
	struct perf_data *perf;
	struct span file; /* all of it */
	struct span left;
	uint64_t offset; /* of its records in the file; for messages */
	ZSTD_DStream *zstd; /* NULL: nothing was compressed so far */
	uint8_t *carry; /* what was decompressed, from the last record's end on */
	size_t carry_len;
	struct block *block;
	struct queued *entries;
	struct queued *spare;
	size_t nr;
	size_t room;
	size_t ready; /* so many are in their order, and no older one can come */
	size_t next;
	uint64_t latest;
	uint64_t round; /* the latest time of the round before */
	uint64_t touched;
	bool ended;
};

struct stream *stream_new(struct perf_data *perf, struct span records, uint64_t offset)
{
	struct stream *stream;

	perf->streams = xrealloc(perf->streams, perf->nr_streams + 1, sizeof(*stream));
	stream = &perf->streams[perf->nr_streams++];
	*stream = (struct stream){
		.perf = perf,
		.file = records,
		.left = records,
		.offset = offset,
	};
	return stream;
}

/* Gives back the memory of the file; the kernel reads it anew where it is asked for. */
static void touch(struct stream *stream, uint64_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)stream->file.at;

	stream->touched += bytes;
	if (stream->touched < TRIM_BYTES)
		return;
	stream->touched = 0;
	madvise((void *)(at / page * page), stream->file.left + at % page, MADV_DONTNEED);
}

static void put_block(struct block *block)
{
	if (!--block->refs)
		free(block);
}

/* A copy of a record, for as long as its entry is there. */
static const uint8_t *copy_record(struct stream *stream, const uint8_t *record, size_t len)
{
	size_t need = (sizeof(struct block *) + len + 7) / 8 * 8;
	struct block *block = stream->block;
	uint8_t *at;

	if (!block || block->used + need > BLOCK_SIZE) {
		if (block)
			put_block(block);
		block = xrealloc(NULL, 1, sizeof(*block));
		block->refs = 1; /* the stream's */
		block->used = 0;
		stream->block = block;
	}
	at = block->bytes + block->used;
	block->used += need;
	block->refs++;
	memcpy(at, &block, sizeof(block));
	return memcpy(at + sizeof(block), record, len);
}

static void release_record(struct stream *stream, const uint8_t *record)
{
	struct block *block;

	if (!stream->zstd)
		return;
	memcpy(&block, record - sizeof(block), sizeof(block));
	put_block(block);
}

static void add_entry(struct stream *stream, uint64_t time, const uint8_t *record)
{
	if (stream->nr == stream->room) {
		stream->room = stream->room ? 2 * stream->room : 1024;
		stream->entries = xrealloc(stream->entries, stream->room, sizeof(*stream->entries));
		stream->spare = xrealloc(stream->spare, stream->room, sizeof(*stream->spare));
	}
	stream->entries[stream->nr++] = (struct queued){ time, record };
	if (time > stream->latest)
		stream->latest = time;
}

/* The end of the run from @first on that is in order already. */
static size_t run_end(const struct queued *entries, size_t first, size_t nr)
{
	while (++first < nr && entries[first - 1].time <= entries[first].time)
		;
	return first < nr ? first : nr;
}

static void merge(const struct queued *from, size_t first, size_t middle, size_t last,
		  struct queued *to)
{
	size_t a = first, b = middle;

	while (a < middle && b < last)
		*to++ = from[b].time < from[a].time ? from[b++] : from[a++];
	memcpy(to, from + a, (middle - a) * sizeof(*to));
	memcpy(to + (middle - a), from + b, (last - b) * sizeof(*to));
}

/* What a CPU has recorded is in order: only such runs are merged, two by two. */
static void sort_entries(struct stream *stream)
{
	size_t first, middle, last, nr = stream->nr;
	struct queued *entries;

	while (run_end(stream->entries, 0, nr) < nr) {
		for (first = 0; first < nr; first = last) {
			middle = run_end(stream->entries, first, nr);
			last = middle < nr ? run_end(stream->entries, middle, nr) : nr;
			merge(stream->entries, first, middle, last, stream->spare + first);
		}
		entries = stream->entries;
		stream->entries = stream->spare;
		stream->spare = entries;
	}
}

/* What is not younger than @time will not be preceded by anything that comes. */
static void finish_until(struct stream *stream, uint64_t time)
{
	size_t first = 0, last = stream->nr, middle;

	sort_entries(stream);
	while (first < last) {
		middle = (first + last) / 2;
		if (stream->entries[middle].time <= time)
			first = middle + 1;
		else
			last = middle;
	}
	stream->ready = first;
}

static void fail_at(struct stream *stream, const uint8_t *at)
{
	recording_fail(stream->perf->facts, "it is damaged at byte %" PRIu64,
		       stream->offset + (uint64_t)(at - stream->file.at));
	stream->ended = true;
}

static void end_stream(struct stream *stream)
{
	if (stream->carry_len)
		recording_fail(stream->perf->facts, "it is cut short within a compressed record");
	stream->ended = true;
	finish_until(stream, UINT64_MAX);
}

static void take_plain(struct stream *stream, const uint8_t *record, bool copied)
{
	struct perf_data *perf = stream->perf;
	struct perf_event_header header;
	struct span body;
	uint64_t time;

	memcpy(&header, record, sizeof(header));
	body = (struct span){ record + sizeof(header), header.size - sizeof(header) };
	if (header.type == RECORD_FINISHED_ROUND) {
		finish_until(stream, stream->round);
		stream->round = stream->latest;
	} else if (perf_is_wanted(perf, &header, body, &time)) {
		add_entry(stream, time, copied ? copy_record(stream, record, header.size) : record);
	}
}

/* Takes the records that were decompressed whole, and keeps what is left. */
static bool take_carry(struct stream *stream)
{
	struct span span = { stream->carry, stream->carry_len }, body;
	struct perf_event_header header;
	const uint8_t *record;

	for (;;) {
		record = span.at;
		if (span.left < sizeof(header))
			break;
		memcpy(&header, record, sizeof(header));
		if (header.size < sizeof(header))
			return false;
		if (header.size > span.left)
			break;
		take_record(&span, &header, &body);
		take_plain(stream, record, true);
	}
	memmove(stream->carry, span.at, span.left);
	stream->carry_len = span.left;
	return true;
}

static bool decompress(struct stream *stream, struct span body)
{
	ZSTD_inBuffer in = { body.at, body.left, 0 };
	ZSTD_outBuffer out;

	if (!stream->zstd) {
		/* From now on each entry's record is a copy. */
		if (stream->nr)
			return false;
		stream->zstd = ZSTD_createDStream();
		stream->carry = xrealloc(NULL, CARRY_ROOM, 1);
	}
	if (!stream->zstd)
		return false;
	do {
		out = (ZSTD_outBuffer){ stream->carry, CARRY_ROOM, stream->carry_len };
		if (ZSTD_isError(ZSTD_decompressStream(stream->zstd, &out, &in)))
			return false;
		stream->carry_len = out.pos;
		if (!take_carry(stream))
			return false;
	} while (in.pos < in.size || out.pos == out.size);
	return true;
}

/* Takes the next record of the file. */
static void take_next(struct stream *stream)
{
	const uint8_t *record = stream->left.at;
	struct perf_event_header header;
	struct span body;
	bool done = true;

	if (!take_record(&stream->left, &header, &body)) {
		fail_at(stream, record);
		end_stream(stream);
		return;
	}
	touch(stream, header.size);
	if (header.type == RECORD_COMPRESSED2) {
		body.left = body.left >= 8 ? take64(&body) : 0;
		done = body.left <= header.size - sizeof(header) - 8;
	}
	if (!done)
		;
	else if (header.type == RECORD_COMPRESSED || header.type == RECORD_COMPRESSED2)
		done = decompress(stream, body);
	else if (header.type == RECORD_AUXTRACE) /* Its data come after it. */
		done = take(&stream->left, take64(&body));
	else if (header.type >= RECORD_HEADER_ATTR && header.type <= RECORD_BUILD_ID)
		done = perf_take_header_record(stream->perf, &header, &body, &stream->left);
	else
		take_plain(stream, record, stream->zstd);
	if (done)
		return;
	fail_at(stream, record);
	stream->carry_len = 0;
	end_stream(stream);
}

/* The oldest record that is left; NULL where none is. */
const struct queued *stream_peek(struct stream *stream)
{
	while (stream->next == stream->ready) {
		if (stream->ended)
			return NULL;
		/* Those that were told go. */
		stream->nr -= stream->ready;
		if (stream->nr)
			memmove(stream->entries, stream->entries + stream->ready,
				stream->nr * sizeof(*stream->entries));
		stream->next = 0;
		stream->ready = 0;
		while (!stream->ready && !stream->ended) {
			if (stream->left.left)
				take_next(stream);
			else
				end_stream(stream);
		}
	}
	return &stream->entries[stream->next];
}

/* Drops that record. */
void stream_take(struct stream *stream)
{
	struct queued *entry = &stream->entries[stream->next++];
	struct perf_event_header header;

	memcpy(&header, entry->record, sizeof(header));
	touch(stream, header.size);
	release_record(stream, entry->record);
}

/* Ends them all. */
void streams_free(struct perf_data *perf)
{
	struct stream *stream;

	for (stream = perf->streams; stream < perf->streams + perf->nr_streams; stream++) {
		for (; stream->next < stream->nr; stream->next++)
			release_record(stream, stream->entries[stream->next].record);
		if (stream->block)
			put_block(stream->block);
		ZSTD_freeDStream(stream->zstd);
		free(stream->carry);
		free(stream->entries);
		free(stream->spare);
	}
	free(perf->streams);
}

/* The stream that has the oldest record; NULL where none has any more. */
struct stream *streams_oldest(struct perf_data *perf)
{
	struct stream *stream, *oldest = NULL;
	const struct queued *entry;
	uint64_t time = 0;

	for (stream = perf->streams; stream < perf->streams + perf->nr_streams; stream++) {
		entry = stream_peek(stream);
		if (!entry || (oldest && entry->time >= time))
			continue;
		oldest = stream;
		time = entry->time;
	}
	return oldest;
}
