// SPDX-License-Identifier: GPL-2.0
/* The reader of perf.data, against files that are made here, good and damaged. */
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "source/perf_data.h"
#include "source/recording.h"
#include "tests/perf_file.h"
#include "util/util.h"

#define MAX_TAKEN 8

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

/* ---- reading it --------------------------------------------------------------- */

static bool take(void *data, const struct recorded *recorded)
{
	struct taken *taken = data;

	if (taken->nr < MAX_TAKEN)
		taken->recorded[taken->nr] = *recorded;
	taken->nr++;
	return true;
}

static int open_bytes(const void *bytes, size_t len)
{
	int fd = memfd_create("perf.data", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, bytes, len) == (ssize_t)len)
		return fd;
	perror("memfd");
	exit(1);
}

static void read_bytes(const uint8_t *bytes, size_t len, struct taken *taken,
		       struct recording_facts *facts)
{
	const struct recording_sink sink = { .take = take, .data = taken };
	int fd = open_bytes(bytes, len);

	taken->nr = 0;
	perf_data_read(&fd, 1, &sink, facts);
	close(fd);
}

static void read_records(records_fn *put_them, unsigned int how, struct taken *taken,
			 struct recording_facts *facts)
{
	static struct file file;

	make_file(&file, put_them, how);
	read_bytes(file.bytes, file.len, taken, facts);
}

/* Whether the events of put_records() were told, and nothing was wrong. */
static bool is_whole(const struct taken *taken, const struct recording_facts *facts)
{
	return taken->nr == 2 && !facts->error[0] && facts->lost == 11 &&
	       taken->recorded[0].event.buffer == 0x1000 &&
	       taken->recorded[1].event.buffer == 0x2000 && taken->recorded[1].nr_frames == 2 &&
	       strcmp(taken->recorded[1].frames[0].path, "/opt/runtime.so") == 0;
}

static void test_forms(void)
{
	static struct file file;
	struct recording_facts facts;
	struct taken taken;

	make_pipe(&file);
	read_bytes(file.bytes, file.len, &taken, &facts);
	check(is_whole(&taken, &facts) && facts.clock == RECORDING_CLOCK_MONOTONIC,
	      "what perf has written to a pipe");
	read_records(put_compressed_records, 0, &taken, &facts);
	check(is_whole(&taken, &facts), "compressed");
	read_records(put_compressed2_records, 0, &taken, &facts);
	check(is_whole(&taken, &facts), "compressed, as newer perfs do it");
	read_records(put_rounds, 0, &taken, &facts);
	check(taken.nr == 5 && taken.recorded[0].event.buffer == 1 &&
		      taken.recorded[1].event.buffer == 2 && taken.recorded[2].event.buffer == 3 &&
		      taken.recorded[3].event.buffer == 4 && taken.recorded[4].event.buffer == 5,
	      "the order of time over rounds");
}

/* A directory of perf's: a file with a header, and others that have records only. */
static void test_directory(void)
{
	static struct file file, thread;
	struct recording_facts facts;
	struct taken taken = { 0 };
	const struct recording_sink sink = { .take = take, .data = &taken };
	int fds[2];

	make_file(&file, put_records, 0);
	memset(&thread, 0, sizeof(thread));
	put_sample(&thread, 7, ALLOC_TYPE, 50, 0x500);
	put_sample(&thread, 7, ALLOC_TYPE, 250, 0x1500);
	fds[0] = open_bytes(file.bytes, file.len);
	fds[1] = open_bytes(thread.bytes, thread.len);
	perf_data_read(fds, 2, &sink, &facts);
	check(taken.nr == 4 && !facts.error[0] && taken.recorded[0].event.buffer == 0x500 &&
		      taken.recorded[1].event.buffer == 0x1000 &&
		      taken.recorded[2].event.buffer == 0x1500 &&
		      taken.recorded[3].event.buffer == 0x2000,
	      "a directory: its files' events in the order of time");
	close(fds[0]);
	close(fds[1]);
}

static void test_honest(void)
{
	struct recording_facts facts;
	struct taken taken;

	read_records(put_foreign, 0, &taken, &facts);
	check(taken.nr == 2 && facts.foreign == 1 && taken.recorded[1].event.buffer == 0x2000,
	      "a record of another size than its format's is foreign, and is counted");
	check(facts.unknown == 1, "a record without a format is counted, and passed over");
	read_records(put_twice, SAME_EVENT, &taken, &facts);
	check(taken.nr == 2 && facts.repeated == 2, "an event that was recorded twice counts once");
	read_records(put_twice, 0, &taken, &facts);
	check(facts.foreign == 2, "an event that its attribute is not of is foreign");
	read_records(put_records, SAME_EVENT | COUNTED, &taken, &facts);
	check(facts.allocs == RECORDED, "a leader of a group is recorded");
	read_records(put_twice, COUNTED, &taken, &facts);
	check(facts.allocs == RECORDED && facts.frees == RECORDED_NOT &&
		      strstr(recording_no_balance(&facts), "no frees"),
	      "of allocs alone there is no balance, and why");
	facts.frees = RECORDED_COUNTED;
	check(strstr(recording_no_balance(&facts), ":S"), "nor of frees that were counted only");
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
	check(facts.allocs == RECORDED && facts.frees == RECORDED_NOT,
	      "allocs were recorded, frees were not");
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

	make_file(&file, put_records, 0);
	memcpy(&records, file.bytes + 40, sizeof(records));
	test_good(&file);
	test_refused(&file, "another magic", 0, 0, "no perf.data");
	test_refused(&file, "not finished", 48, 0, "not finished");
	test_refused(&file, "attributes beyond the end", 24, ROOM, "attributes");
	test_refused(&file, "attributes too short", 16, 24, "attributes");
	test_refused(&file, "records beyond the end", 48, UINT64_MAX, "cut short");
	test_refused(&file, "no formats", 72, 0, "formats");
	test_refused(&file, "a record without a length", records, PERF_RECORD_SAMPLE, "damaged");
	test_refused(&file, "compressed, but not so", records, COMPRESSED | 48ULL << 48, "damaged");
	test_forms();
	test_directory();
	test_honest();
	test_short(&file);
	test_damaged(&file);
	printf("1..%u\n", nr_tests);
	return failed ? 1 : 0;
}
