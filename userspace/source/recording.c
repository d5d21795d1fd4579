// SPDX-License-Identifier: GPL-2.0
/*
 * A recording, whoever has made it. Its file may be damaged, and the libraries that
 * read it were not made for that: a child of ours reads it, and sends the events.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "source/perf_data.h"
#include "source/recording.h"
#include "source/trace_data.h"
#include "util/util.h"

/* What the child may allocate: this, and so many times the size of the file. */
#define MEMORY_BASE (1ULL << 31)
#define MEMORY_FACTOR 8
/* How long it may compute: one that takes longer goes round in circles. */
#define SECONDS_BASE 60
#define SECONDS_PER_MB 1

typedef void reader_fn(int fd, const struct recording_sink *sink, struct recording_facts *facts);

struct recording {
	pid_t child;
	FILE *events;
	bool ended; /* the child has said so */
	struct recording_facts facts;
};

/* What follows: a recorded without its frames, and these; the facts so far; nothing. */
enum message {
	MESSAGE_EVENT = 1,
	MESSAGE_FACTS,
	MESSAGE_END,
};

void recording_fail(struct recording_facts *facts, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(facts->error, sizeof(facts->error), format, args);
	va_end(args);
}

/* ---- the child ------------------------------------------------------------------ */

struct sender {
	FILE *to;
	const struct recording_facts *facts;
	bool begun;
};

static void send_message(FILE *to, int message)
{
	fwrite(&message, sizeof(message), 1, to);
}

static void send_facts(const struct sender *sender)
{
	send_message(sender->to, MESSAGE_FACTS);
	fwrite(sender->facts, sizeof(*sender->facts), 1, sender->to);
}

static bool send_event(void *data, const struct recorded *recorded)
{
	struct sender *sender = data;
	FILE *to = sender->to;

	/* What is known of it before it is read is told, should that not come to its end. */
	if (!sender->begun)
		send_facts(sender);
	sender->begun = true;
	send_message(to, MESSAGE_EVENT);
	fwrite(recorded, offsetof(struct recorded, frames), 1, to);
	if (recorded->nr_frames)
		fwrite(recorded->frames, sizeof(recorded->frames[0]), recorded->nr_frames, to);
	return !ferror(to);
}

static void limit(int resource, uint64_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) || limit.rlim_cur <= most)
		return;
	limit.rlim_cur = most;
	setrlimit(resource, &limit);
}

/* What a library says when it fails, and what libc says, is of no use to a person. */
static void silence(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
}

static void __attribute__((noreturn)) run_child(int fd, reader_fn *read_file, FILE *to)
{
	struct recording_facts facts;
	struct sender sender = { .to = to, .facts = &facts };
	struct recording_sink sink = { .take = send_event, .data = &sender };
	struct stat stat;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	silence();
	limit(RLIMIT_CORE, 0);
	if (fstat(fd, &stat) == 0) {
		limit(RLIMIT_AS, MEMORY_BASE + MEMORY_FACTOR * (uint64_t)stat.st_size);
		limit(RLIMIT_CPU, SECONDS_BASE + SECONDS_PER_MB * ((uint64_t)stat.st_size >> 20));
	}
	read_file(fd, &sink, &facts);
	send_facts(&sender);
	send_message(to, MESSAGE_END);
	_exit(fflush(to) ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- the parent ------------------------------------------------------------------ */

/* Which reader the file is for, by its first bytes; NULL where none. */
static reader_fn *find_reader(int fd)
{
	static const struct {
		const char *magic;
		reader_fn *read_file;
	} kinds[] = {
		{ TRACE_DATA_MAGIC, trace_data_read },
		{ PERF_DATA_MAGIC, perf_data_read },
	};
	char begin[16] = "";
	size_t i;

	if (pread(fd, begin, sizeof(begin), 0) < 0)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(begin, kinds[i].magic, strlen(kinds[i].magic)) == 0)
			return kinds[i].read_file;
	return NULL;
}

static bool is_file(int fd, const char *path)
{
	struct stat stat;

	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode))
		return true;
	complain("%s is no file%s", path,
		 S_ISDIR(stat.st_mode)
			 ? ": if perf record --threads has made it, record without that"
			 : ": a recording cannot be read from a pipe");
	return false;
}

static bool start_child(struct recording *recording, int fd, reader_fn *read_file)
{
	int ends[2];
	FILE *to;

	if (pipe2(ends, O_CLOEXEC)) {
		complain("cannot make a pipe: %s", strerror(errno));
		return false;
	}
	/* What is not written yet is the parent's to write. */
	fflush(NULL);
	recording->child = fork();
	if (recording->child == 0) {
		/* Else it would wait for itself where the parent reads no more. */
		close(ends[0]);
		to = fdopen(ends[1], "w");
		if (to)
			run_child(fd, read_file, to);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	recording->events = fdopen(ends[0], "r");
	if (recording->child > 0 && recording->events)
		return true;
	complain("cannot start a process: %s", strerror(errno));
	return false;
}

/**
 * recording_open - open a trace.dat or a perf.data
 * @path: the file
 *
 * Returns NULL where that is not possible, after it has said why.
 */
struct recording *recording_open(const char *path)
{
	struct recording *recording;
	reader_fn *read_file;
	bool done;
	int fd;

	/* A FIFO's writer is not waited for. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		complain("cannot open %s: %s", path, strerror(errno));
		return NULL;
	}
	if (!is_file(fd, path)) {
		close(fd);
		return NULL;
	}
	read_file = find_reader(fd);
	if (!read_file) {
		complain("%s is neither a trace.dat nor a perf.data of this kind of machine:\n"
			 "  record with 'trace-cmd record -e bufftrack', or with\n"
			 "  'perf record -a -e \"bufftrack:*\"'",
			 path);
		close(fd);
		return NULL;
	}
	recording = xrealloc(NULL, 1, sizeof(*recording));
	*recording = (struct recording){ 0 };
	done = start_child(recording, fd, read_file);
	close(fd);
	if (done)
		return recording;
	free(recording);
	return NULL;
}

static bool receive(struct recording *recording, void *to, size_t len)
{
	return fread(to, len, 1, recording->events) == 1;
}

/* Takes the next event. Returns false where there is none any more. */
bool recording_next(struct recording *recording, struct recorded *recorded)
{
	int message;

	do {
		if (!receive(recording, &message, sizeof(message)))
			return false;
	} while (message == MESSAGE_FACTS &&
		 receive(recording, &recording->facts, sizeof(recording->facts)));
	recording->ended = message == MESSAGE_END;
	if (message != MESSAGE_EVENT)
		return false;
	if (!receive(recording, recorded, offsetof(struct recorded, frames)) ||
	    recorded->nr_frames > RECORDED_FRAMES)
		return false;
	return !recorded->nr_frames ||
	       fread(recorded->frames, sizeof(recorded->frames[0]), recorded->nr_frames,
		     recording->events) == recorded->nr_frames;
}

/**
 * recording_close - end the reading
 * @recording: what was read; it is gone then
 * @facts: what is known of it. Where it was read to its end and @error is not empty,
 *	or where the child has crashed, the file is damaged
 */
void recording_close(struct recording *recording, struct recording_facts *facts)
{
	int status = 0;

	/* One that still has something to send has not to be waited for. */
	fclose(recording->events);
	while (waitpid(recording->child, &status, 0) < 0 && errno == EINTR)
		;
	*facts = recording->facts;
	facts->error[sizeof(facts->error) - 1] = '\0';
	if (!recording->ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		recording_fail(facts, "it is damaged: the reading did not come to an end");
	else if (!recording->ended)
		recording_fail(facts, "it is damaged: the reading ended by %s",
			       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an error");
	free(recording);
}
