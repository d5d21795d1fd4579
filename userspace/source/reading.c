// SPDX-License-Identifier: GPL-2.0
/*
 * A recording may be damaged, or made by somebody who means ill, and the libraries that
 * read it were not made for that: a child of ours reads it, and sends the events. Its
 * parent believes nothing of what it is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/reading.h"
#include "util/util.h"

/* What the child may allocate: this, and so many times the size of the files. */
#define MEMORY_BASE (1ULL << 31)
#define MEMORY_FACTOR 8
/* How long it may compute: one that takes longer goes round in circles. */
#define SECONDS_BASE 60
#define SECONDS_PER_MB 1
/* What is on its way at once. */
#define PIPE_SIZE (1 << 20)
#define BUFFER_SIZE (64 << 10)

/* ---- the child ------------------------------------------------------------------ */

struct sender {
	FILE *to;
	const struct recording_facts *facts;
	bool begun;
};

static void send_facts(const struct sender *sender)
{
	const struct message message = { .kind = MESSAGE_FACTS };

	fwrite_unlocked(&message, sizeof(message), 1, sender->to);
	fwrite_unlocked(sender->facts, sizeof(*sender->facts), 1, sender->to);
}

static bool send_event(void *data, const struct recorded *recorded)
{
	const struct event *event = &recorded->event;
	bool verdict = event->kind == EVENT_BAD || event->kind == EVENT_LEAK;
	struct sender *sender = data;
	const struct message message = {
		.kind = MESSAGE_EVENT,
		.event_len = verdict ? sizeof(*event) : offsetof(struct event, life),
		.chain = recorded->chain,
		.nr_frames = recorded->nr_frames,
		.lost = recorded->lost,
	};

	/* What is known of it before it is read is told, should that not come to its end. */
	if (!sender->begun)
		send_facts(sender);
	sender->begun = true;
	fwrite_unlocked(&message, sizeof(message), 1, sender->to);
	fwrite_unlocked(event, message.event_len, 1, sender->to);
	if (recorded->nr_frames)
		fwrite_unlocked(recorded->frames, sizeof(recorded->frames[0]), recorded->nr_frames,
				sender->to);
	return !ferror_unlocked(sender->to);
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

static uint64_t size_of(const int *fds, size_t nr)
{
	struct stat stat;
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		if (fstat(fds[i], &stat) == 0)
			size += (uint64_t)stat.st_size;
	return size;
}

static void __attribute__((noreturn))
run_child(const int *fds, size_t nr, reader_fn *read_files, FILE *to)
{
	struct recording_facts facts;
	struct sender sender = { .to = to, .facts = &facts };
	struct recording_sink sink = { .take = send_event, .data = &sender };
	const struct message end = { .kind = MESSAGE_END };
	uint64_t size = size_of(fds, nr);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Ctrl-C is the parent's: it ends this one. */
	signal(SIGINT, SIG_IGN);
	silence();
	limit(RLIMIT_CORE, 0);
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_AS, MEMORY_BASE + MEMORY_FACTOR * size);
#endif
	limit(RLIMIT_CPU, SECONDS_BASE + SECONDS_PER_MB * (size >> 20));
	read_files(fds, nr, &sink, &facts);
	send_facts(&sender);
	fwrite_unlocked(&end, sizeof(end), 1, to);
	_exit(fflush(to) ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- the parent ------------------------------------------------------------------ */

/**
 * reading_start - start a process that reads a recording
 * @fds: its files
 * @nr: how many
 * @read_files: what reads them
 * @events: where the messages come from
 *
 * Returns its pid, or -1 after it has said why not.
 */
pid_t reading_start(const int *fds, size_t nr, reader_fn *read_files, FILE **events)
{
	int ends[2];
	pid_t child;
	FILE *to;

	if (pipe2(ends, O_CLOEXEC)) {
		complain("cannot make a pipe: %s", strerror(errno));
		return -1;
	}
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
	/* What is not written yet is the parent's to write. */
	fflush(NULL);
	child = fork();
	if (child == 0) {
		/* Else it would wait for itself where the parent reads no more. */
		close(ends[0]);
		to = fdopen(ends[1], "w");
		if (to && !setvbuf(to, NULL, _IOFBF, BUFFER_SIZE))
			run_child(fds, nr, read_files, to);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	*events = child > 0 ? fdopen(ends[0], "r") : NULL;
	if (*events) {
		setvbuf(*events, NULL, _IOFBF, BUFFER_SIZE);
		return child;
	}
	complain("cannot start a process: %s", strerror(errno));
	close(ends[0]);
	return -1;
}

static bool receive(FILE *from, void *to, size_t len)
{
	return fread_unlocked(to, len, 1, from) == 1;
}

static void end_text(char *text, size_t room)
{
	text[room - 1] = '\0';
}

static void check_who(struct who *who)
{
	who->stack = NULL;
	end_text(who->comm, sizeof(who->comm));
}

static bool check_event(struct event *event)
{
	if (event->kind > EVENT_BAD || event->verdict > BUFFTRACK_NR_VERDICTS)
		return false;
	end_text(event->name, sizeof(event->name));
	end_text(event->client_name, sizeof(event->client_name));
	check_who(&event->by);
	check_who(&event->life.allocated);
	check_who(&event->life.freed);
	check_who(&event->previous.allocated);
	check_who(&event->previous.freed);
	return true;
}

static bool receive_event(FILE *from, const struct message *message, struct recorded *recorded)
{
	struct event *event = &recorded->event;
	struct bufftrack_frame *frame;

	if ((message->event_len != sizeof(*event) &&
	     message->event_len != offsetof(struct event, life)) ||
	    message->nr_frames > RECORDED_FRAMES)
		return false;
	memset((char *)event + message->event_len, 0, sizeof(*event) - message->event_len);
	if (!receive(from, event, message->event_len) || !check_event(event))
		return false;
	recorded->lost = message->lost;
	recorded->chain = message->chain;
	recorded->nr_frames = message->nr_frames;
	if (message->nr_frames &&
	    !receive(from, recorded->frames, message->nr_frames * sizeof(*frame)))
		return false;
	for (frame = recorded->frames; frame < recorded->frames + recorded->nr_frames; frame++) {
		frame->path[sizeof(frame->path) - 1] = '\0';
		if (frame->build_id_len > BUFFTRACK_BUILD_ID_LEN)
			frame->build_id_len = BUFFTRACK_BUILD_ID_LEN;
	}
	return true;
}

/* Receives a message; returns false where none has come that can be one. */
bool reading_receive(FILE *from, struct message *message, struct recorded *recorded,
		     struct recording_facts *facts)
{
	if (!receive(from, message, sizeof(*message)))
		return false;
	switch (message->kind) {
	case MESSAGE_EVENT:
		return receive_event(from, message, recorded);
	case MESSAGE_FACTS:
		if (!receive(from, facts, sizeof(*facts)))
			return false;
		end_text(facts->error, sizeof(facts->error));
		return true;
	case MESSAGE_END:
		return true;
	default:
		return false;
	}
}
