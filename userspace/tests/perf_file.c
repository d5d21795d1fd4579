// SPDX-License-Identifier: GPL-2.0
/* Files as perf makes them: to a file, to a pipe, compressed. */
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "source/perf_data.h"
#include "tests/perf_file.h"
#include "util/util.h"

#define SAMPLE_TYPE                                                                     \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW)

/* Records that perf writes, and the kernel does not know. */
#define HEADER_ATTR 64
#define TRACING_DATA 66
#define FINISHED_ROUND 68
#define COMPRESSED2 83

static void put(struct file *file, const void *bytes, size_t len)
{
	if (len > ROOM - file->len)
		abort();
	memcpy(file->bytes + file->len, bytes, len);
	file->len += len;
}

static void put64(struct file *file, uint64_t value)
{
	put(file, &value, sizeof(value));
}

static void put32(struct file *file, uint32_t value)
{
	put(file, &value, sizeof(value));
}

static void put_text(struct file *file, const char *text)
{
	put(file, text, strlen(text) + 1);
}

static void put_sized_text(struct file *file, const char *text)
{
	put64(file, strlen(text));
	put(file, text, strlen(text));
}

static void put_format(struct file *file, const char *name, int type)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "name: %s\nID: %d\nformat:\n"
		 "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
		 "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
		 "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
		 "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
		 "\tfield:u64 device;\toffset:8;\tsize:8;\tsigned:0;\n"
		 "\tfield:u64 buffer;\toffset:16;\tsize:8;\tsigned:0;\n"
		 "\tfield:char comm[16];\toffset:24;\tsize:16;\tsigned:0;\n\n"
		 "print fmt: \"device=0x%%llx\", REC->device\n",
		 name, type);
	put_sized_text(file, text);
}

static void put_formats(struct file *file)
{
	file->formats = file->len;
	put(file, "\x17\x08\x44tracing", 10);
	put_text(file, "0.6");
	put(file, "\0\x08", 2);
	put32(file, 4096);
	put_text(file, "header_page");
	put_sized_text(file, "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n");
	put_text(file, "header_event");
	put_sized_text(file, "# compressed entry header\n");
	put32(file, 0); /* formats of ftrace's own */
	put32(file, 2); /* systems */
	put_text(file, "sched");
	put32(file, 1);
	put_sized_text(file, "not looked at");
	put_text(file, "bufftrack");
	put32(file, 2);
	put_format(file, "bufftrack_alloc", ALLOC_TYPE);
	put_format(file, "bufftrack_double_free", DOUBLE_TYPE);
	file->formats_end = file->len;
}

static struct perf_event_attr make_attr(uint64_t config, bool counted)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(struct perf_event_attr),
		.config = config,
		.sample_period = !counted,
		.sample_type = SAMPLE_TYPE,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}

static void put_attr(struct file *file, struct perf_event_attr attr, uint64_t ids)
{
	put(file, &attr, sizeof(attr));
	put64(file, ids);
	put64(file, sizeof(uint64_t));
}

static void put_header(struct file *file, uint32_t type, uint16_t misc, size_t len)
{
	const struct perf_event_header header = {
		.type = type,
		.misc = misc,
		.size = (uint16_t)(sizeof(header) + len),
	};

	put(file, &header, sizeof(header));
}

/* What stands at the end of a record that is no sample. */
static void put_sample_id(struct file *file, uint64_t time, uint64_t id)
{
	put64(file, 0); /* pid, tid */
	put64(file, time);
	put64(file, 0); /* CPU */
	put64(file, id);
}

/* A sample whose event has @more bytes behind its fields; 4 is what perf writes. */
static void put_sample_of(struct file *file, uint64_t id, uint16_t type, uint64_t time,
			  uint64_t buffer, size_t more)
{
	static const uint64_t chain[] = { PERF_CONTEXT_KERNEL, 0xffffffff81000000ULL,
					  PERF_CONTEXT_USER, 0x401234, 0x77 };
	const char comm[16] = "runtime";

	put_header(file, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL,
		   48 + 8 + sizeof(chain) + 4 + 40 + more);
	put64(file, id);
	put64(file, 0); /* IP */
	put32(file, 42);
	put32(file, 43);
	put64(file, time);
	put64(file, 1); /* CPU */
	put64(file, 1); /* period */
	put64(file, ARRAY_SIZE(chain));
	put(file, chain, sizeof(chain));
	put32(file, (uint32_t)(40 + more));
	put(file, &type, sizeof(type));
	put(file, "\0\0\0\0\0\0", 6);
	put64(file, 4);
	put64(file, buffer);
	put(file, comm, sizeof(comm));
	for (; more; more -= 4)
		put32(file, 0);
}

void put_sample(struct file *file, uint64_t id, uint16_t type, uint64_t time, uint64_t buffer)
{
	put_sample_of(file, id, type, time, buffer, 4);
}

static void put_mmap2(struct file *file, uint32_t pid, uint64_t time, const char *name)
{
	static const uint8_t build_id[24] = { 20, 0, 0, 0, 0xab };
	char path[32] = "";

	snprintf(path, sizeof(path), "%s", name);
	put_header(file, PERF_RECORD_MMAP2, 1 << 14, 8 + 24 + 24 + 8 + sizeof(path) + 32);
	put32(file, pid);
	put32(file, pid);
	put64(file, 0x400000);
	put64(file, 0x10000);
	put64(file, 0x2000);
	put(file, build_id, sizeof(build_id));
	put64(file, 0);
	put(file, path, sizeof(path));
	put_sample_id(file, time, 7);
}

static void put_fork(struct file *file, uint32_t pid, uint32_t parent, uint64_t time)
{
	put_header(file, PERF_RECORD_FORK, 0, 24 + 32);
	put32(file, pid);
	put32(file, parent);
	put32(file, pid);
	put32(file, parent);
	put64(file, time);
	put_sample_id(file, time, 7);
}

/*
 * Two events in the wrong order, a loss between them, and what was mapped: by the
 * parent of who they are of; by its child and by the parent, later, other files.
 */
void put_records(struct file *file)
{
	put_sample(file, 8, DOUBLE_TYPE, 300, 0x2000);
	put_mmap2(file, 41, 5, "/opt/runtime.so");
	put_fork(file, 42, 41, 6);
	put_fork(file, 43, 42, 7);
	put_mmap2(file, 43, 8, "/opt/of-the-child.so");
	put_mmap2(file, 41, 9, "/opt/of-the-parent.so");
	put_header(file, PERF_RECORD_LOST, 0, 16 + 32);
	put64(file, 7);
	put64(file, 11);
	put_sample_id(file, 200, 7);
	put_sample(file, 7, ALLOC_TYPE, 100, 0x1000);
}

void set64(struct file *file, size_t at, uint64_t value)
{
	memcpy(file->bytes + at, &value, sizeof(value));
}

/* The same records, as perf -z writes them: in pieces that end anywhere. */
static void put_compressed(struct file *file, uint32_t type)
{
	static struct file plain;
	ZSTD_CStream *stream = ZSTD_createCStream();
	size_t at, len;
	uint8_t bytes[4096];
	ZSTD_outBuffer out;
	ZSTD_inBuffer in;

	memset(&plain, 0, sizeof(plain));
	put_records(&plain);
	ZSTD_initCStream(stream, 1);
	for (at = 0; at < plain.len; at += len) {
		len = plain.len - at < 100 ? plain.len - at : 100;
		in = (ZSTD_inBuffer){ plain.bytes + at, len, 0 };
		out = (ZSTD_outBuffer){ bytes, sizeof(bytes), 0 };
		ZSTD_compressStream(stream, &out, &in);
		ZSTD_flushStream(stream, &out);
		put_header(file, type, 0, out.pos + (type == COMPRESSED2 ? 8 : 0));
		if (type == COMPRESSED2)
			put64(file, out.pos);
		put(file, bytes, out.pos);
	}
	ZSTD_freeCStream(stream);
}

void put_compressed_records(struct file *file)
{
	put_compressed(file, COMPRESSED);
}

void put_compressed2_records(struct file *file)
{
	put_compressed(file, COMPRESSED2);
}

/* What has the number of an event of ours, and is none; and a number without a format. */
void put_foreign(struct file *file)
{
	put_sample_of(file, 7, ALLOC_TYPE, 100, 0x1000, 4);
	put_sample_of(file, 7, ALLOC_TYPE, 101, 0x1000, 12);
	put_sample_of(file, 7, ALLOC_TYPE + 100, 102, 0x1000, 4);
	put_sample_of(file, 7, ALLOC_TYPE, 103, 0x2000, 4);
}

/* One event by two names on one CPU, and another that is like it. */
void put_twice(struct file *file)
{
	put_sample(file, 7, ALLOC_TYPE, 100, 0x1000);
	put_sample(file, 8, ALLOC_TYPE, 101, 0x1000);
	put_sample(file, 7, ALLOC_TYPE, 102, 0x1000);
	put_sample(file, 8, ALLOC_TYPE, 103, 0x1000);
}

/*
 * perf records in rounds, a CPU after the other: what the second has is older. What
 * the round before the last has is never older than what was told before.
 */
void put_rounds(struct file *file)
{
	put_sample(file, 7, ALLOC_TYPE, 100, 1);
	put_sample(file, 7, ALLOC_TYPE, 300, 3);
	put_header(file, FINISHED_ROUND, 0, 0);
	put_sample(file, 7, ALLOC_TYPE, 400, 4);
	put_sample(file, 7, ALLOC_TYPE, 200, 2);
	put_header(file, FINISHED_ROUND, 0, 0);
	put_sample(file, 7, ALLOC_TYPE, 500, 5);
}

void make_file(struct file *file, records_fn *put_them, unsigned int how)
{
	static const uint64_t flags[4] = { 1 << 1 };
	const size_t attr_len = sizeof(struct perf_event_attr) + 16;
	size_t records, table;

	memset(file, 0, sizeof(*file));
	put(file, PERF_DATA_MAGIC, 8);
	put64(file, 104);
	put64(file, attr_len);
	put64(file, 104 + 16);
	put64(file, 2 * attr_len);
	put64(file, 0); /* the records, see below */
	put64(file, 0);
	put64(file, 0);
	put64(file, 0);
	put(file, flags, sizeof(flags));
	put64(file, 7); /* the ids */
	put64(file, 8);
	put_attr(file, make_attr(ALLOC_TYPE, false), 104);
	put_attr(file, make_attr(how & SAME_EVENT ? ALLOC_TYPE : DOUBLE_TYPE, how & COUNTED), 112);
	records = file->len;
	put_them(file);
	set64(file, 40, records);
	set64(file, 48, file->len - records);
	table = file->len;
	put64(file, table + 16);
	put64(file, 0);
	put_formats(file);
	set64(file, table + 8, file->len - table - 16);
}

/* What perf writes to a pipe: the header's parts are records, too. */
void make_pipe(struct file *file)
{
	struct perf_event_attr attrs[] = { make_attr(ALLOC_TYPE, false),
					   make_attr(DOUBLE_TYPE, false) };
	size_t i, size_at, begin;
	uint32_t size;

	memset(file, 0, sizeof(*file));
	put(file, PERF_DATA_MAGIC, 8);
	put64(file, 16);
	for (i = 0; i < ARRAY_SIZE(attrs); i++) {
		put_header(file, HEADER_ATTR, 0, sizeof(attrs[i]) + 8);
		put(file, &attrs[i], sizeof(attrs[i]));
		put64(file, 7 + i);
	}
	put_header(file, TRACING_DATA, 0, 4);
	size_at = file->len;
	put32(file, 0);
	begin = file->len;
	put_formats(file);
	size = (uint32_t)(file->len - begin);
	memcpy(file->bytes + size_at, &size, sizeof(size));
	while ((file->len - begin) % 8)
		put(file, "", 1);
	put_records(file);
	put_header(file, FINISHED_ROUND, 0, 0);
}
