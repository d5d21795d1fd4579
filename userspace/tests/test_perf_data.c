// SPDX-License-Identifier: GPL-2.0
/* The reader of perf.data, against files that are made here, good and damaged. */
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "source/perf_data.h"
#include "source/recording.h"
#include "util/util.h"

#define ROOM 16384
#define ALLOC_TYPE 1001
#define DOUBLE_TYPE 1002
#define SAMPLE_TYPE                                                                     \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW)
#define COMPRESSED 81
#define MAX_TAKEN 8

struct file {
	uint8_t bytes[ROOM];
	size_t len;
	size_t formats; /* where they begin */
	size_t formats_end;
};

struct taken {
	size_t nr;
	struct recorded recorded[MAX_TAKEN];
};

static unsigned int nr_tests, failed;

static void check(bool good, const char *name)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++nr_tests, name);
	failed += !good;
}

/* ---- making a file ---------------------------------------------------------- */

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

static void put_attr(struct file *file, uint64_t config, uint64_t ids)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = config,
		.sample_type = SAMPLE_TYPE,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};

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

static void put_sample(struct file *file, uint64_t id, uint16_t type, uint64_t time,
		       uint64_t buffer)
{
	static const uint64_t chain[] = { PERF_CONTEXT_KERNEL, 0xffffffff81000000ULL,
					  PERF_CONTEXT_USER, 0x401234, 0x77 };
	const char comm[16] = "runtime";

	put_header(file, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL,
		   48 + 8 + sizeof(chain) + 4 + 44);
	put64(file, id);
	put64(file, 0); /* IP */
	put32(file, 42);
	put32(file, 43);
	put64(file, time);
	put64(file, 1); /* CPU */
	put64(file, 1); /* period */
	put64(file, ARRAY_SIZE(chain));
	put(file, chain, sizeof(chain));
	put32(file, 44);
	put(file, &type, sizeof(type));
	put(file, "\0\0\0\0\0\0", 6);
	put64(file, 4);
	put64(file, buffer);
	put(file, comm, sizeof(comm));
	put32(file, 0);
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
static void put_records(struct file *file)
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

static void set64(struct file *file, size_t at, uint64_t value)
{
	memcpy(file->bytes + at, &value, sizeof(value));
}

static void make(struct file *file)
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
	put_attr(file, ALLOC_TYPE, 104);
	put_attr(file, DOUBLE_TYPE, 112);
	records = file->len;
	put_records(file);
	set64(file, 40, records);
	set64(file, 48, file->len - records);
	table = file->len;
	put64(file, table + 16);
	put64(file, 0);
	put_formats(file);
	set64(file, table + 8, file->len - table - 16);
}

/* ---- reading it --------------------------------------------------------------- */

static bool take(void *data, const struct recorded *recorded)
{
	struct taken *taken = data;

	if (taken->nr < MAX_TAKEN)
		taken->recorded[taken->nr] = *recorded;
	taken->nr++;
	return true;
}

static void read_bytes(const uint8_t *bytes, size_t len, struct taken *taken,
		       struct recording_facts *facts)
{
	const struct recording_sink sink = { .take = take, .data = taken };
	int fd = memfd_create("perf.data", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len) {
		perror("memfd");
		exit(1);
	}
	taken->nr = 0;
	perf_data_read(fd, &sink, facts);
	close(fd);
}

static void test_good(const struct file *file)
{
	const struct recorded *first, *second;
	struct recording_facts facts;
	struct taken taken;

	read_bytes(file->bytes, file->len, &taken, &facts);
	first = &taken.recorded[0];
	second = &taken.recorded[1];
	check(taken.nr == 2 && !facts.error[0], "two events");
	check(taken.nr == 2 && first->event.kind == EVENT_ALLOC &&
		      second->event.verdict == BUFFTRACK_DOUBLE_FREE,
	      "in the order of time");
	check(taken.nr == 2 && first->event.by.time == 100 && first->event.device == 4 &&
		      first->event.buffer == 0x1000 && second->event.buffer == 0x2000 &&
		      strcmp(first->event.by.comm, "runtime") == 0,
	      "what they say");
	check(taken.nr == 2 && !first->lost && second->lost == 11 && facts.lost == 11,
	      "what was lost between them");
	check(taken.nr == 2 && second->nr_frames == 2 && second->frames[0].address == 0x401234 &&
		      second->frames[0].offset == 0x3234 &&
		      strcmp(second->frames[0].path, "/opt/runtime.so") == 0 &&
		      second->frames[0].build_id_len == 20 &&
		      second->frames[0].build_id[0] == 0xab && !second->frames[1].path[0],
	      "the call chain in user space, and the file of its frames");
	check(facts.clock == RECORDING_CLOCK_MONOTONIC, "the clock");
	check(!facts.has_uses, "no frees were recorded");
}

/* One change, and a word of what is said then. */
static void test_refused(const struct file *file, const char *name, size_t at, uint64_t value,
			 const char *word)
{
	struct recording_facts facts;
	struct file changed = *file;
	struct taken taken;

	set64(&changed, at, value);
	read_bytes(changed.bytes, changed.len, &taken, &facts);
	check(strstr(facts.error, word), name);
	if (!strstr(facts.error, word))
		printf("# said: %s\n", facts.error);
}

static void test_short(const struct file *file)
{
	struct recording_facts facts;
	unsigned int silent = 0;
	struct taken taken;
	size_t len;

	for (len = 1; len < file->len; len++) {
		read_bytes(file->bytes, len, &taken, &facts);
		silent += !facts.error[0];
	}
	check(!silent, "cut short anywhere: refused");
}

/* The formats are left alone: the library that parses them is not ours. */
static void test_damaged(const struct file *file)
{
	struct recording_facts facts;
	unsigned int i, changes;
	struct file changed;
	struct taken taken;
	size_t at;

	srand(1);
	for (i = 0; i < 20000; i++) {
		changed = *file;
		for (changes = 1 + (unsigned int)rand() % 4; changes; changes--) {
			at = (size_t)rand() % file->len;
			if (at < file->formats || at >= file->formats_end)
				changed.bytes[at] = rand() % 2 ? 0xff : (uint8_t)rand();
		}
		read_bytes(changed.bytes, changed.len, &taken, &facts);
	}
	check(true, "damaged at random: no crash");
}

int main(void)
{
	static struct file file;
	size_t records;

	make(&file);
	memcpy(&records, file.bytes + 40, sizeof(records));
	test_good(&file);
	test_refused(&file, "another magic", 0, 0, "no perf.data");
	test_refused(&file, "from a pipe", 8, 16, "pipe");
	test_refused(&file, "not finished", 48, 0, "not finished");
	test_refused(&file, "attributes beyond the end", 24, ROOM, "attributes");
	test_refused(&file, "attributes too short", 16, 24, "attributes");
	test_refused(&file, "records beyond the end", 48, UINT64_MAX, "cut short");
	test_refused(&file, "no formats", 72, 0, "formats");
	test_refused(&file, "a record without a length", records, PERF_RECORD_SAMPLE, "damaged");
	test_refused(&file, "compressed", records, COMPRESSED | 8ULL << 48, "compressed");
	test_short(&file);
	test_damaged(&file);
	printf("1..%u\n", nr_tests);
	return failed ? 1 : 0;
}
