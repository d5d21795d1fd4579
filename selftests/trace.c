// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints, read as text from an instance of tracefs of the test's own:
 * every event, its name and its fields.
 */
#include <sys/prctl.h>

#include "bt.h"

#define TRACING	"/sys/kernel/tracing/"
#define BUFFER	0x296ccc80ULL
#define SPACE	3
#define SIZE	8192
#define TAG	0xabcULL

FIXTURE(trace) {
	int fd;
	__u64 device;
	__u64 id;			/* fd's client */
	char instance[64];
	char text[1 << 20];
	char line[2048];		/* the latest one found */
	struct bufftrack_op op;
};

static int setting(FIXTURE_DATA(trace) *self, const char *name,
		   const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", self->instance, name);
	return bt_write(path, value);
}

FIXTURE_SETUP(trace)
{
	prctl(PR_SET_NAME, "trace-test");
	self->device = bt_device();
	snprintf(self->instance, sizeof(self->instance),
		 TRACING "instances/bt-%d", getpid());
	ASSERT_EQ(0, mkdir(self->instance, 0700));
	ASSERT_EQ(0, setting(self, "buffer_size_kb", "2048"));
	ASSERT_EQ(0, setting(self, "events/bufftrack/enable", "1"));
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->id = bt_client_id(self->fd);
}

FIXTURE_TEARDOWN(trace)
{
	setting(self, "events/bufftrack/enable", "0");
	close(self->fd);
	rmdir(self->instance);
}

static int call(FIXTURE_DATA(trace) *self, int fd, unsigned long cmd,
		struct bufftrack_op op)
{
	op.device = self->device;
	op.space = SPACE;
	op.buffer = op.buffer ?: BUFFER;
	if (cmd == BUFFTRACK_IOC_ALLOC) {
		op.size = op.size ?: SIZE;
		op.tag = TAG;
	}
	self->op = op;
	return bt_op(fd, cmd, &self->op) ?: -(int)self->op.verdict;
}

#define ALLOC(fd, ...)	call(self, fd, BUFFTRACK_IOC_ALLOC,		\
			     (struct bufftrack_op) { __VA_ARGS__ })
#define FREE(fd, ...)	call(self, fd, BUFFTRACK_IOC_FREE,		\
			     (struct bufftrack_op) { __VA_ARGS__ })

/*
 * The @nth line of @event (from 0) that has @with in it. Its words are left in
 * self->line.
 */
static bool find(FIXTURE_DATA(trace) *self, const char *event,
		 const char *with, unsigned int nth)
{
	char path[128], name[64], *line, *next;
	size_t used = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/trace", self->instance);
	snprintf(name, sizeof(name), " %s: ", event);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	do {
		n = read(fd, self->text + used, sizeof(self->text) - 1 - used);
		used += n > 0 ? n : 0;
	} while (n > 0);
	close(fd);
	self->text[used] = '\0';
	for (line = self->text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!strstr(line, name) || !strstr(line, with) || nth--)
			continue;
		snprintf(self->line, sizeof(self->line), "%.*s",
			 (int)sizeof(self->line) - 1, line);
		return true;
	}
	self->line[0] = '\0';
	return false;
}

/* The value of @key in the line found, "(none)" where there is none */
static const char *field(FIXTURE_DATA(trace) *self, const char *key)
{
	static char value[128];
	char pattern[64];
	const char *at;

	snprintf(pattern, sizeof(pattern), " %s=", key);
	at = strstr(self->line, pattern);
	if (!at)
		return "(none)";
	at += strlen(pattern);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, " "), at);
	return value;
}

/* @want is a number; in base 16 where the event prints it so. */
#define EXPECT_NUMBER(key, want)					\
	EXPECT_EQ((unsigned long long)(want),				\
		  strtoull(field(self, key), NULL, 0))			\
		TH_LOG("%s=%s in: %s", key, field(self, key), self->line)
#define EXPECT_WORD(key, want)						\
	EXPECT_STREQ(want, field(self, key))				\
		TH_LOG("%s in: %s", key, self->line)

#define ASSERT_EVENT(event, nth) do {					\
	char __with[64];						\
									\
	snprintf(__with, sizeof(__with), "device=0x%llx ",		\
		 (unsigned long long)self->device);			\
	ASSERT_TRUE(find(self, "bufftrack_" event, __with, nth))	\
		TH_LOG("no such event: " event);			\
} while (0)

#define EXPECT_NO_EVENT(event)	EXPECT_NO_EVENT_AFTER(event, 0)
#define EXPECT_NO_EVENT_AFTER(event, nth) do {				\
	char __with[64];						\
									\
	snprintf(__with, sizeof(__with), "device=0x%llx ",		\
		 (unsigned long long)self->device);			\
	EXPECT_FALSE(find(self, "bufftrack_" event, __with, nth));	\
} while (0)

/* What every event of this process has */
#define EXPECT_KEY(_buffer) do {					\
	EXPECT_NUMBER("device", self->device);				\
	EXPECT_NUMBER("space", SPACE);					\
	EXPECT_NUMBER("buffer", _buffer);				\
	EXPECT_NUMBER("pid", getpid());					\
	EXPECT_NUMBER("tid", getpid());					\
	EXPECT_WORD("comm", "trace-test");				\
} while (0)

TEST_F(trace, fields_in_their_format)
{
	static const char * const events[] = {
		"alloc", "free", "double_free", "stale_free", "foreign_free",
		"free_after_exit", "free_after_reset", "unknown_free",
		"missed_free", "size_mismatch", "dangling", "held_free", "leak",
		"client_open", "client_close", "reset", "undo",
	};
	static const char * const bad[] = {
		"device", "space", "buffer", "size", "token", "generation",
		"refs", "nth", "stack_id", "freed_pid", "freed_tid",
		"freed_comm", "freed_time", "freed_stack_id", "freed_reason",
		"alloc_pid", "alloc_tid", "alloc_comm", "alloc_time",
		"alloc_stack_id",
	};
	char path[256], word[64];
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		snprintf(path, sizeof(path),
			 TRACING "events/bufftrack/bufftrack_%s/format",
			 events[i]);
		ASSERT_EQ(0, bt_read(path, self->text, sizeof(self->text)))
			TH_LOG("no %s", events[i]);
		for (j = 0; i >= 2 && i <= 11 && j < ARRAY_SIZE(bad); j++) {
			snprintf(word, sizeof(word), "%s=", bad[j]);
			EXPECT_TRUE(!!strstr(self->text, word))
				TH_LOG("%s prints no %s", events[i], bad[j]);
			snprintf(word, sizeof(word), " %s", bad[j]);
			EXPECT_TRUE(!!strstr(self->text, word))
				TH_LOG("%s has no %s", events[i], bad[j]);
		}
	}
}

TEST_F(trace, of_a_private_client)
{
	ASSERT_EQ(0, bt_client(self->fd, BUFFTRACK_CLIENT_PRIVATE, BUFFTRACK_CLIENT_PRIVATE, NULL,
			       NULL));
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EVENT("alloc", 0);
	EXPECT_WORD("flags", "private");
	ASSERT_EVENT("free", 0);
	EXPECT_WORD("flags", "private");
}

TEST_F(trace, alloc_and_free)
{
	__u64 generation;

	ASSERT_EQ(0, ALLOC(self->fd, .flags = BUFFTRACK_F_SHARED));
	generation = self->op.generation;
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd, .flags = BUFFTRACK_F_VIEW));
	ASSERT_EQ(0, FREE(self->fd, .token = generation));
	ASSERT_EQ(0, FREE(self->fd));

	ASSERT_EVENT("alloc", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("size", SIZE);
	EXPECT_NUMBER("tag", TAG);
	EXPECT_NUMBER("generation", generation);
	EXPECT_NUMBER("client", self->id);
	EXPECT_WORD("flags", "shared");
	EXPECT_NUMBER("refs", 1);
	EXPECT_NUMBER("views", 0);
	ASSERT_EVENT("alloc", 1);
	EXPECT_NUMBER("refs", 2);
	ASSERT_EVENT("alloc", 2);
	EXPECT_WORD("flags", "view");
	EXPECT_NUMBER("refs", 2);
	EXPECT_NUMBER("views", 1);
	ASSERT_EVENT("free", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("token", generation);
	EXPECT_NUMBER("generation", generation);
	EXPECT_NUMBER("refs", 1);
	/* An allocation that ends with views says so. */
	ASSERT_EVENT("free", 1);
	EXPECT_NUMBER("token", 0);
	EXPECT_NUMBER("refs", 0);
	EXPECT_NUMBER("views", 1);
	EXPECT_NUMBER("size", SIZE);
}

/* A view that goes when the allocation has ended is not its end once more. */
TEST_F(trace, view_of_what_has_ended)
{
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd, .flags = BUFFTRACK_F_VIEW));
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EQ(0, FREE(self->fd, .flags = BUFFTRACK_F_VIEW));
	ASSERT_EVENT("free", 0);
	EXPECT_NUMBER("refs", 0);
	EXPECT_NO_EVENT_AFTER("free", 1);
}

TEST_F(trace, double_free)
{
	__u64 generation, before = bt_now();

	ASSERT_EQ(0, ALLOC(self->fd));
	generation = self->op.generation;
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd, .token = generation));

	ASSERT_EVENT("double_free", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("size", SIZE);
	EXPECT_NUMBER("token", 0);
	EXPECT_NUMBER("generation", generation);
	EXPECT_NUMBER("named", generation);
	EXPECT_NUMBER("client", self->id);
	EXPECT_NUMBER("refs", 0);
	EXPECT_NUMBER("nth", 1);
	EXPECT_WORD("info", "");
	EXPECT_WORD("freed_reason", "free");
	EXPECT_NUMBER("freed_pid", getpid());
	EXPECT_NUMBER("freed_tid", getpid());
	EXPECT_WORD("freed_comm", "trace-test");
	EXPECT_NUMBER("alloc_pid", getpid());
	EXPECT_NUMBER("alloc_tid", getpid());
	EXPECT_WORD("alloc_comm", "trace-test");
	EXPECT_LE(before, strtoull(field(self, "alloc_time"), NULL, 0));
	EXPECT_LE(strtoull(field(self, "alloc_time"), NULL, 0),
		  strtoull(field(self, "freed_time"), NULL, 0));
	EXPECT_GE(bt_now(), strtoull(field(self, "freed_time"), NULL, 0));
	EXPECT_NUMBER("lives", 1);
	EXPECT_NUMBER("frees", 1);
	EXPECT_NUMBER("prev_generation", 0);
	EXPECT_WORD("prev_freed_reason", "none");
	ASSERT_EVENT("double_free", 1);
	EXPECT_NUMBER("token", generation);
	EXPECT_NUMBER("nth", 2);
}

TEST_F(trace, double_free_by_another_process)
{
	pid_t pid;

	ASSERT_EQ(0, ALLOC(self->fd));
	pid = bt_fork();
	if (!pid) {
		prctl(PR_SET_NAME, "first-freer");
		EXPECT_EQ(0, FREE(self->fd));
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(pid));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd));
	ASSERT_EVENT("double_free", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("freed_pid", pid);
	EXPECT_WORD("freed_comm", "first-freer");
	EXPECT_NUMBER("alloc_pid", getpid());
}

TEST_F(trace, double_free_after_reuse)
{
	__u64 one, two;

	ASSERT_EQ(0, ALLOC(self->fd));
	one = self->op.generation;
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd));
	two = self->op.generation;
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd));
	ASSERT_EVENT("double_free", 0);
	EXPECT_WORD("info", "probable");
	EXPECT_NUMBER("named", two);
	EXPECT_NUMBER("lives", 2);
	EXPECT_NUMBER("frees", 2);
	EXPECT_NUMBER("prev_generation", one);
	EXPECT_WORD("prev_freed_reason", "free");
	EXPECT_NUMBER("prev_freed_pid", getpid());
}

TEST_F(trace, stale_free)
{
	__u64 one, two;

	ASSERT_EQ(0, ALLOC(self->fd));
	one = self->op.generation;
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd));
	two = self->op.generation;
	ASSERT_EQ(-BUFFTRACK_STALE_FREE, FREE(self->fd, .token = one));
	ASSERT_EVENT("stale_free", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("token", one);
	EXPECT_NUMBER("named", one);
	EXPECT_NUMBER("generation", two);
	EXPECT_NUMBER("refs", 1);
	EXPECT_NUMBER("nth", 1);
	EXPECT_WORD("freed_reason", "free");
	EXPECT_NUMBER("freed_pid", getpid());
}

TEST_F(trace, foreign_free)
{
	int other = bt_open();
	__u64 generation;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ALLOC(self->fd));
	generation = self->op.generation;
	ASSERT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(other));
	ASSERT_EVENT("foreign_free", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("client", bt_client_id(other));
	EXPECT_NUMBER("generation", generation);
	EXPECT_NUMBER("refs", 1);
	EXPECT_WORD("freed_reason", "live");
	EXPECT_NUMBER("freed_time", 0);
	EXPECT_NUMBER("alloc_pid", getpid());
	close(other);
}

TEST_F(trace, leak_and_free_after_exit)
{
	int other = bt_open();
	__u64 generation, id = bt_client_id(other);
	char with[32];

	ASSERT_EQ(0, ALLOC(other));
	generation = self->op.generation;
	ASSERT_EQ(0, ALLOC(other));
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(other, .buffer = 7));
	close(other);
	ASSERT_EQ(-BUFFTRACK_FREE_AFTER_EXIT, FREE(self->fd, .buffer = 7));

	ASSERT_EVENT("leak", 1);
	ASSERT_EVENT("leak", 0);
	if (strtoull(field(self, "buffer"), NULL, 0) != BUFFER)
		ASSERT_EVENT("leak", 1);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("count", 2);
	EXPECT_NUMBER("refs", 1);
	EXPECT_NUMBER("size", SIZE);
	EXPECT_NUMBER("tag", TAG);
	EXPECT_NUMBER("client", id);
	EXPECT_NUMBER("generation", generation);
	EXPECT_NUMBER("alloc_pid", getpid());
	ASSERT_EVENT("free_after_exit", 0);
	EXPECT_KEY(7);
	EXPECT_WORD("freed_reason", "exit");
	EXPECT_NUMBER("freed_pid", getpid());

	snprintf(with, sizeof(with), "client=%llu ", (unsigned long long)id);
	ASSERT_TRUE(find(self, "bufftrack_client_close", with, 0));
	EXPECT_NUMBER("leaks", 2);
}

TEST_F(trace, open_and_close)
{
	int other = bt_open();
	__u64 id;
	char with[32];

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_client(other, 0, 0, "runtime", &id));
	close(other);
	snprintf(with, sizeof(with), "client=%llu ", (unsigned long long)id);
	ASSERT_TRUE(find(self, "bufftrack_client_open", with, 0));
	EXPECT_NUMBER("pid", getpid());
	EXPECT_WORD("comm", "trace-test");
	EXPECT_NUMBER("uid", getuid());
	ASSERT_TRUE(find(self, "bufftrack_client_close", with, 0));
	EXPECT_NUMBER("pid", getpid());
	EXPECT_NUMBER("leaks", 0);
	EXPECT_WORD("name", "runtime");
	EXPECT_FALSE(find(self, "bufftrack_client_close", with, 1));
}

TEST_F(trace, reset_and_free_after_reset)
{
	__u64 lives;

	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd, .buffer = 7));
	ASSERT_EQ(0, bt_reset(self->fd, self->device, &lives));
	ASSERT_EQ(-BUFFTRACK_FREE_AFTER_RESET, FREE(self->fd));
	ASSERT_EVENT("reset", 0);
	EXPECT_NUMBER("lives", 2);
	EXPECT_NUMBER("pid", getpid());
	ASSERT_EVENT("free_after_reset", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_WORD("freed_reason", "reset");
	EXPECT_NUMBER("freed_pid", getpid());
}

TEST_F(trace, unknown_free)
{
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE,
		  FREE(self->fd, .buffer = 7, .token = 12345));
	ASSERT_EVENT("unknown_free", 0);
	EXPECT_KEY(7);
	EXPECT_NUMBER("token", 12345);
	EXPECT_NUMBER("generation", 0);
	EXPECT_NUMBER("nth", 1);
	EXPECT_WORD("freed_reason", "none");
	EXPECT_NUMBER("freed_time", 0);
	EXPECT_NUMBER("alloc_time", 0);
	EXPECT_NUMBER("lives", 0);
}

TEST_F(trace, missed_free)
{
	__u64 one, two;

	ASSERT_EQ(0, ALLOC(self->fd));
	one = self->op.generation;
	ASSERT_EQ(-BUFFTRACK_MISSED_FREE,
		  ALLOC(self->fd, .flags = BUFFTRACK_F_EXCLUSIVE));
	two = self->op.generation;
	ASSERT_EVENT("missed_free", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("generation", two);
	EXPECT_NUMBER("named", one);
	EXPECT_NUMBER("alloc_pid", getpid());
	EXPECT_NUMBER("refs", 1);
}

TEST_F(trace, size_mismatch)
{
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(-BUFFTRACK_SIZE_MISMATCH, ALLOC(self->fd, .size = 1));
	ASSERT_EQ(-BUFFTRACK_SIZE_MISMATCH, FREE(self->fd, .size = 2));
	ASSERT_EVENT("size_mismatch", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("size", SIZE);
	EXPECT_NUMBER("refs", 2);
	ASSERT_EVENT("size_mismatch", 1);
	EXPECT_NUMBER("refs", 1);
	/* It counts all the same, and is counted. */
	ASSERT_EVENT("alloc", 1);
	EXPECT_NUMBER("refs", 2);
	ASSERT_EVENT("free", 0);
	EXPECT_NUMBER("refs", 1);
}

TEST_F(trace, dangling)
{
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, FREE(self->fd));
	ASSERT_EQ(-BUFFTRACK_DANGLING,
		  ALLOC(self->fd, .flags = BUFFTRACK_F_VIEW));
	ASSERT_EVENT("dangling", 0);
	EXPECT_KEY(BUFFER);
	EXPECT_NUMBER("refs", 0);
	EXPECT_WORD("freed_reason", "free");
}

/* What is refused as a call is no event. */
TEST_F(trace, errors_are_no_events)
{
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(-EINVAL, FREE(self->fd, .op = 1));
	ASSERT_EQ(-EINVAL, ALLOC(self->fd, .token = 1));
	EXPECT_NO_EVENT("free");
	EXPECT_NO_EVENT("unknown_free");
	ASSERT_EVENT("alloc", 0);
	EXPECT_NUMBER("refs", 1);
	EXPECT_FALSE(find(self, "bufftrack_alloc", "refs=2", 0));
}

/* Events of one key come in the order in which they happened. */
/* The word that each event begins with */
static const struct {
	const char *event;
	__u32 mark;
} marks[] = {
	{ "bufftrack_alloc", BUFFTRACK_MARK_ALLOC },
	{ "bufftrack_free", BUFFTRACK_MARK_FREE },
	{ "bufftrack_undo", BUFFTRACK_MARK_UNDO },
	{ "bufftrack_client_open", BUFFTRACK_MARK_CLIENT_OPEN },
	{ "bufftrack_client_close", BUFFTRACK_MARK_CLIENT_CLOSE },
	{ "bufftrack_reset", BUFFTRACK_MARK_RESET },
	{ "bufftrack_leak", BUFFTRACK_MARK_VERDICT(BUFFTRACK_LEAK) },
	{ "bufftrack_double_free", BUFFTRACK_MARK_VERDICT(BUFFTRACK_DOUBLE_FREE) },
	{ "bufftrack_dangling", BUFFTRACK_MARK_VERDICT(BUFFTRACK_DANGLING) },
};

/* Each event of marks[] at least once */
static void all_marked(FIXTURE_DATA(trace) *self)
{
	struct bufftrack_reset reset = { .device = self->device };
	int fd = bt_open();

	ALLOC(fd, .buffer = BUFFER + 1);
	close(fd);
	ALLOC(self->fd);
	FREE(self->fd);
	bt_ioctl(self->fd, BUFFTRACK_IOC_UNDO, &self->op);
	FREE(self->fd);
	FREE(self->fd);
	ALLOC(self->fd, .flags = BUFFTRACK_F_RETAIN);
	ioctl(self->fd, BUFFTRACK_IOC_RESET, &reset);
}

/* Filters show it: no event passes one that asks for another mark. */
TEST_F(trace, marks)
{
	char file[96], filter[64];
	unsigned int i, other;

	for (other = 0; other < 2; other++) {
		for (i = 0; i < ARRAY_SIZE(marks); i++) {
			snprintf(file, sizeof(file), "events/bufftrack/%s/filter", marks[i].event);
			snprintf(filter, sizeof(filter), "mark %s 0x%x", other ? "!=" : "==",
				 marks[i].mark);
			ASSERT_EQ(0, setting(self, file, filter));
		}
		/* To open it so empties it. */
		snprintf(file, sizeof(file), "%s/trace", self->instance);
		close(open(file, O_WRONLY | O_TRUNC | O_CLOEXEC));
		all_marked(self);
		for (i = 0; i < ARRAY_SIZE(marks); i++)
			EXPECT_STREQ(other ? "" : marks[i].event,
				     find(self, marks[i].event, "", 0) ? marks[i].event : "");
	}
}

TEST_F(trace, batch)
{
	struct bufftrack_batch batch;
	struct bufftrack_op ops[4];
	int i;

	for (i = 0; i < 4; i++)
		ops[i] = (struct bufftrack_op) {
			.op = i ? BUFFTRACK_OP_FREE : BUFFTRACK_OP_ALLOC,
			.device = self->device, .space = SPACE,
			.buffer = BUFFER, .size = SIZE,
		};
	ASSERT_EQ(0, bt_batch(self->fd, ops, 4, &batch));
	ASSERT_EVENT("alloc", 0);
	ASSERT_EVENT("free", 0);
	ASSERT_EVENT("double_free", 0);
	EXPECT_NUMBER("nth", 1);
	ASSERT_EVENT("double_free", 1);
	EXPECT_NUMBER("nth", 2);
}

TEST_HARNESS_MAIN
