// SPDX-License-Identifier: GPL-2.0
/* Recordings, whoever has made them: one file, or several whose events are one stream. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "source/perf_data.h"
#include "source/reading.h"
#include "source/recording.h"
#include "source/trace_data.h"
#include "util/util.h"

/* Files of a directory that perf has made: "data", and one a thread. */
#define MAX_FILES 4096

/* One of the recordings that are read together, and the process that reads it. */
struct part {
	const char *path;
	dev_t device;
	ino_t inode;
	pid_t child;
	FILE *events;
	bool ended; /* the child has said so */
	bool failed; /* or it has gone without a word */
	bool has_next;
	uint64_t lost;
	struct recorded *next; /* where there are several */
	struct recording_facts facts;
};

struct recording {
	size_t nr;
	struct part parts[];
};

void recording_fail(struct recording_facts *facts, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(facts->error, sizeof(facts->error), format, args);
	va_end(args);
}

/* Why the allocs and frees in a recording come to no balance; NULL where they do. */
const char *recording_no_balance(const struct recording_facts *facts)
{
	if (facts->allocs == RECORDED && facts->frees == RECORDED)
		return NULL;
	if (facts->allocs == RECORDED_COUNTED || facts->frees == RECORDED_COUNTED)
		return "allocs or frees were only counted, as members of a group with :S, "
		       "and not recorded: record with -e 'bufftrack:*'";
	if (facts->allocs == RECORDED)
		return "allocs were recorded, but no frees: record with -e 'bufftrack:*'";
	if (facts->frees == RECORDED)
		return "frees were recorded, but no allocs: record with -e 'bufftrack:*'";
	return "only bad events were recorded, no allocs and frees";
}

/* ---- opening ---------------------------------------------------------------------- */

/* Which reader the file is for, by its first bytes; NULL where none. */
static reader_fn *find_reader(int fd)
{
	static const struct {
		const char *magic;
		reader_fn *read_files;
	} kinds[] = {
		{ TRACE_DATA_MAGIC, trace_data_read },
		{ PERF_DATA_MAGIC, perf_data_read },
		{ PERF_DATA_MAGIC_SWAPPED, perf_data_read },
		{ PERF_DATA_MAGIC_OLD, perf_data_read },
	};
	char begin[16] = "";
	size_t i;

	if (pread(fd, begin, sizeof(begin), 0) < 0)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(begin, kinds[i].magic, strlen(kinds[i].magic)) == 0)
			return kinds[i].read_files;
	return NULL;
}

static void close_files(int *fds, size_t nr)
{
	while (nr)
		close(fds[--nr]);
	free(fds);
}

/* The files of a directory of perf's: its own first, then those of its threads. */
static size_t open_directory(int directory, const char *path, int **fds)
{
	char name[32] = "data";
	size_t nr = 0;
	int fd;

	while (nr < MAX_FILES) {
		fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			break;
		*fds = xrealloc(*fds, nr + 1, sizeof(**fds));
		(*fds)[nr] = fd;
		snprintf(name, sizeof(name), "data.%zu", nr++);
	}
	if (!nr)
		complain("%s is a directory, and none that perf record --threads has made", path);
	return nr;
}

/* Opens what is to be read; returns how many files, or 0 after it has said why not. */
static size_t open_files(struct part *part, int **fds)
{
	struct stat stat;
	size_t nr = 1;
	int fd;

	*fds = NULL;
	/* A FIFO's writer is not waited for. */
	fd = open(part->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat)) {
		complain("cannot open %s: %s", part->path, strerror(errno));
		return 0;
	}
	part->device = stat.st_dev;
	part->inode = stat.st_ino;
	if (S_ISDIR(stat.st_mode)) {
		nr = open_directory(fd, part->path, fds);
		close(fd);
		return nr;
	}
	if (!S_ISREG(stat.st_mode)) {
		complain("%s is no file: a recording cannot be read from a pipe;\n"
			 "  write it to a file first",
			 part->path);
		close(fd);
		return 0;
	}
	*fds = xrealloc(NULL, 1, sizeof(**fds));
	(*fds)[0] = fd;
	return 1;
}

static bool start_part(struct part *part)
{
	reader_fn *read_files;
	size_t nr;
	int *fds;

	nr = open_files(part, &fds);
	if (!nr)
		return false;
	read_files = find_reader(fds[0]);
	if (read_files)
		part->child = reading_start(fds, nr, read_files, &part->events);
	else
		complain("%s is neither a trace.dat nor a perf.data of this kind of machine:\n"
			 "  record with 'trace-cmd record -e bufftrack', or with\n"
			 "  'perf record -a -e \"bufftrack:*\"'",
			 part->path);
	close_files(fds, nr);
	return part->events;
}

static bool is_given_twice(const struct recording *recording, const struct part *part)
{
	const struct part *other;

	for (other = recording->parts; other < part; other++)
		if (other->device == part->device && other->inode == part->inode)
			return true;
	return false;
}

/**
 * recording_open - open recordings
 * @paths: trace.dat, perf.data, or directories of perf's
 * @nr: how many
 *
 * Returns NULL where that is not possible, after it has said why.
 */
struct recording *recording_open(char *const *paths, size_t nr)
{
	struct recording *recording;
	struct recording_facts facts;
	struct part *part;
	size_t i;

	recording = xrealloc(NULL, 1, sizeof(*recording) + nr * sizeof(recording->parts[0]));
	recording->nr = 0;
	for (i = 0; i < nr; i++) {
		part = &recording->parts[i];
		*part = (struct part){ .path = paths[i] };
		if (!start_part(part))
			break;
		recording->nr++;
		if (nr > 1)
			part->next = xrealloc(NULL, 1, sizeof(*part->next));
		if (!is_given_twice(recording, part))
			continue;
		complain("%s is given twice", part->path);
		break;
	}
	if (i == nr)
		return recording;
	recording_close(recording, &facts);
	return NULL;
}

/* ---- reading ---------------------------------------------------------------------- */

static bool next_of_part(struct part *part, struct recorded *recorded)
{
	struct message message;

	if (part->ended || part->failed)
		return false;
	do {
		part->failed = !reading_receive(part->events, &message, recorded, &part->facts);
		if (part->failed)
			return false;
	} while (message.kind == MESSAGE_FACTS);
	part->ended = message.kind == MESSAGE_END;
	if (part->ended)
		return false;
	part->lost = recorded->lost;
	return true;
}

/* Takes the next event. Returns false where there is none any more. */
bool recording_next(struct recording *recording, struct recorded *recorded)
{
	struct part *part, *oldest = NULL;
	uint64_t lost = 0;

	if (recording->nr == 1)
		return next_of_part(recording->parts, recorded);
	for (part = recording->parts; part < recording->parts + recording->nr; part++) {
		if (!part->has_next)
			part->has_next = next_of_part(part, part->next);
		if (part->has_next &&
		    (!oldest || part->next->event.by.time < oldest->next->event.by.time))
			oldest = part;
	}
	if (!oldest)
		return false;
	memcpy(recorded, oldest->next,
	       offsetof(struct recorded, frames) +
		       oldest->next->nr_frames * sizeof(recorded->frames[0]));
	oldest->has_next = false;
	for (part = recording->parts; part < recording->parts + recording->nr; part++)
		lost += part->lost;
	recorded->lost = lost;
	return true;
}

/* ---- the end ----------------------------------------------------------------------- */

static void end_part(struct part *part)
{
	struct recording_facts *facts = &part->facts;
	int status = 0;

	/* One that still has something to send has not to be waited for. */
	fclose(part->events);
	if (!part->ended && !part->failed)
		kill(part->child, SIGKILL);
	while (waitpid(part->child, &status, 0) < 0 && errno == EINTR)
		;
	free(part->next);
	if (part->ended || !part->failed)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		recording_fail(facts, "it is damaged: the reading did not come to an end");
	else
		recording_fail(facts, "it is damaged: the reading ended by %s",
			       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an error");
}

static void add_facts(struct recording_facts *sum, const struct part *part, bool several)
{
	const struct recording_facts *facts = &part->facts;

	if (facts->clock != sum->clock)
		sum->clock = RECORDING_CLOCK_OTHER;
	if (facts->allocs < sum->allocs)
		sum->allocs = facts->allocs;
	if (facts->frees < sum->frees)
		sum->frees = facts->frees;
	sum->lost_more |= facts->lost_more;
	sum->lost += facts->lost;
	sum->lost_shared += facts->lost_shared;
	sum->foreign += facts->foreign;
	sum->unknown += facts->unknown;
	sum->repeated += facts->repeated;
	if (!facts->error[0] || sum->error[0])
		return;
	if (several)
		recording_fail(sum, "%.200s: %.300s", part->path, facts->error);
	else
		memcpy(sum->error, facts->error, sizeof(sum->error));
}

/**
 * recording_close - end the reading
 * @recording: what was read; it is gone then
 * @facts: what is known of it. Where it was read to its end and @error is not empty,
 *	or where the child has crashed, the file is damaged
 */
void recording_close(struct recording *recording, struct recording_facts *facts)
{
	struct part *part;

	*facts = (struct recording_facts){ .allocs = RECORDED, .frees = RECORDED };
	for (part = recording->parts; part < recording->parts + recording->nr; part++) {
		end_part(part);
		if (part == recording->parts)
			facts->clock = part->facts.clock;
		add_facts(facts, part, recording->nr > 1);
	}
	free(recording);
}
