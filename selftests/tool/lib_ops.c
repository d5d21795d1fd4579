// SPDX-License-Identifier: GPL-2.0
/* libbufftrack: references, frees taken back, contexts that end, reports that fail. */
#include <sys/syscall.h>

#include "bt.h"
#include <bufftrack.h>

#define SIZE	4096

/* The library's calls come by here: this program's symbol goes before libc's. */
static __u64 hide_features;
static unsigned long fail_command;
static int fail_with;

int ioctl(int fd, unsigned long command, ...)
{
	va_list args;
	void *arg;
	int rc;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (fail_with && command == fail_command) {
		errno = fail_with;
		return -1;
	}
	rc = syscall(SYS_ioctl, fd, command, arg);
	if (!rc && command == BUFFTRACK_IOC_INFO)
		((struct bufftrack_info *)arg)->features &= ~hide_features;
	return rc;
}

FIXTURE(ops) {
	struct bufftrack *bt;
	__u64 device;
	struct bufftrack_answer answer;
	struct bufftrack_buffer buffer;
};

FIXTURE_SETUP(ops)
{
	self->device = bt_device();
	self->bt = bufftrack_open("ops", 0);
	ASSERT_NE(NULL, self->bt);
	self->buffer = (struct bufftrack_buffer){
		.device = self->device, .buffer = 0x1000, .size = SIZE,
	};
}

FIXTURE_TEARDOWN(ops)
{
	bufftrack_close(self->bt);
}

#define VERDICT(v)	EXPECT_EQ(BUFFTRACK_##v, self->answer.verdict)
#define ALLOC()		bufftrack_alloc(self->bt, &self->buffer, &self->answer)
#define FREE()		bufftrack_free(self->bt, &self->buffer, &self->answer)
#define RETAIN()	bufftrack_retain(self->bt, &self->buffer, &self->answer)
#define UNDO()		bufftrack_undo(self->bt, &self->buffer, &self->answer)

TEST_F(ops, null_handle)
{
	EXPECT_EQ(0, bufftrack_retain(NULL, &self->buffer, &self->answer));
	EXPECT_EQ(0, bufftrack_undo(NULL, &self->buffer, &self->answer));
	EXPECT_EQ(0, bufftrack_reset(NULL, 1, 2, BUFFTRACK_RESET_TAG));
	EXPECT_EQ(0, bufftrack_label_tag(NULL, 1, 2, "x"));
	EXPECT_EQ(-EINVAL, bufftrack_retain(self->bt, NULL, &self->answer));
	EXPECT_EQ(-EINVAL, bufftrack_undo(self->bt, NULL, &self->answer));
	EXPECT_EQ(-EINVAL, bufftrack_undo(self->bt, &self->buffer, NULL));
	EXPECT_EQ(-EINVAL, bufftrack_reset(self->bt, 1, 0, BUFFTRACK_RESET_SPACE));
}

TEST_F(ops, retain)
{
	__u64 token;

	EXPECT_EQ(0, RETAIN());
	VERDICT(DANGLING);
	self->buffer.flags = BUFFTRACK_F_EXCLUSIVE;
	ASSERT_EQ(0, ALLOC());
	token = self->buffer.token;
	/* The flags are the alloc's. */
	EXPECT_EQ(0, RETAIN());
	VERDICT(OK);
	EXPECT_EQ(2, self->answer.refs);
	EXPECT_EQ(token, self->buffer.token);
	EXPECT_EQ(0, FREE());
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
	EXPECT_EQ(0, self->answer.refs);
	ASSERT_EQ(0, ALLOC());
	EXPECT_LT(token, self->buffer.token);
	/* An older life's token */
	self->buffer.token = token;
	EXPECT_EQ(0, RETAIN());
	VERDICT(DANGLING);
}

TEST_F(ops, retain_where_there_is_none)
{
	hide_features = BUFFTRACK_FEATURE_RETAIN | BUFFTRACK_FEATURE_UNDO |
			BUFFTRACK_FEATURE_RESET_CLIENT;
	bufftrack_close(self->bt);
	self->bt = bufftrack_open("ops", 0);
	ASSERT_NE(NULL, self->bt);
	ASSERT_EQ(0, ALLOC());
	EXPECT_EQ(0, RETAIN());
	VERDICT(OK);
	EXPECT_EQ(2, self->answer.refs);
	EXPECT_EQ(0, FREE());
	EXPECT_EQ(-EOPNOTSUPP, UNDO());
	EXPECT_EQ(-EOPNOTSUPP, self->answer.error);
	EXPECT_EQ(-EOPNOTSUPP, bufftrack_reset(self->bt, self->device, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, bufftrack_label_tag(self->bt, self->device, 1, "x"));
}

TEST_F(ops, undo)
{
	ASSERT_EQ(0, ALLOC());
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
	EXPECT_EQ(0, UNDO());
	VERDICT(OK);
	EXPECT_EQ(1, self->answer.refs);
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
	/* A bad free had counted nothing. */
	EXPECT_EQ(0, FREE());
	VERDICT(DOUBLE_FREE);
	EXPECT_EQ(0, UNDO());
	EXPECT_EQ(0, FREE());
	VERDICT(DOUBLE_FREE);
}

TEST_F(ops, undo_in_a_batch)
{
	struct bufftrack_entry entry = {
		.buffer = &self->buffer, .op = BUFFTRACK_OP_FREE,
	};

	ASSERT_EQ(0, ALLOC());
	EXPECT_EQ(0, bufftrack_submit(self->bt, &entry, 1, sizeof(entry)));
	EXPECT_EQ(0, entry.answer.refs);
	entry.op = BUFFTRACK_OP_UNDO;
	EXPECT_EQ(0, bufftrack_submit(self->bt, &entry, 1, sizeof(entry)));
	EXPECT_EQ(1, entry.answer.refs);
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
}

TEST_F(ops, last)
{
	ASSERT_EQ(0, ALLOC());
	ASSERT_EQ(0, RETAIN());
	self->buffer.flags = BUFFTRACK_F_LAST;
	EXPECT_EQ(0, FREE());
	VERDICT(HELD_FREE);
	/* The reference that was left */
	self->buffer.flags = 0;
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
	EXPECT_TRUE(self->answer.info & BUFFTRACK_INFO_CONSEQUENCE);
	/* Ended by LAST where it is the only one */
	ASSERT_EQ(0, ALLOC());
	self->buffer.flags = BUFFTRACK_F_LAST;
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
}

TEST_F(ops, same)
{
	self->buffer.flags = BUFFTRACK_F_SAME;
	ASSERT_EQ(0, ALLOC());
	ASSERT_EQ(0, ALLOC());
	EXPECT_EQ(1, self->answer.refs);
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
	EXPECT_EQ(0, FREE());
	VERDICT(DOUBLE_FREE);
}

TEST_F(ops, views_have_tokens)
{
	struct bufftrack_buffer view;

	ASSERT_EQ(0, ALLOC());
	view = self->buffer;
	view.flags = BUFFTRACK_F_VIEW;
	EXPECT_EQ(0, bufftrack_alloc(self->bt, &view, &self->answer));
	VERDICT(OK);
	ASSERT_EQ(0, FREE());
	ASSERT_EQ(0, FREE());
	VERDICT(DOUBLE_FREE);
	EXPECT_TRUE(self->answer.info & BUFFTRACK_INFO_VIEWS_LEFT);
	view = self->buffer;
	view.flags = BUFFTRACK_F_VIEW;
	ASSERT_EQ(0, ALLOC());
	/* The view of a life that is over is none of the new one. */
	EXPECT_EQ(0, bufftrack_alloc(self->bt, &view, &self->answer));
	VERDICT(DANGLING);
}

TEST_F(ops, reset)
{
	struct bufftrack_buffer other = self->buffer;

	self->buffer.tag = 7;
	other.buffer = 0x2000;
	other.tag = 8;
	EXPECT_EQ(-EINVAL, bufftrack_label_tag(self->bt, self->device, 7, "a b"));
	ASSERT_EQ(0, ALLOC());
	ASSERT_EQ(0, bufftrack_alloc(self->bt, &other, NULL));
	EXPECT_EQ(1, bufftrack_reset(self->bt, self->device, 7, BUFFTRACK_RESET_TAG));
	EXPECT_EQ(0, FREE());
	VERDICT(FREE_AFTER_RESET);
	EXPECT_EQ(0, bufftrack_free(self->bt, &other, &self->answer));
	VERDICT(OK);
	ASSERT_EQ(0, bufftrack_alloc(self->bt, &other, NULL));
	EXPECT_EQ(1, bufftrack_reset(self->bt, self->device, 0, 0));
	ASSERT_EQ(0, bufftrack_alloc(self->bt, &other, NULL));
	EXPECT_EQ(1, bufftrack_reset(self->bt, 0, 0, BUFFTRACK_RESET_ALL));
	EXPECT_EQ(0, bufftrack_reset(self->bt, 0, 0, BUFFTRACK_RESET_ALL));
}

/* An alloc that was refused: its free is no free of what another has got meanwhile. */
TEST_F(ops, refused_alloc)
{
	struct bufftrack_buffer other = self->buffer;
	struct bufftrack_entry entry = {
		.buffer = &self->buffer, .op = BUFFTRACK_OP_ALLOC,
	};

	fail_command = BUFFTRACK_IOC_ALLOC;
	fail_with = ENOSPC;
	EXPECT_EQ(-ENOSPC, ALLOC());
	EXPECT_EQ(BUFFTRACK_TOKEN_REFUSED, self->buffer.token);
	fail_with = 0;
	ASSERT_EQ(0, bufftrack_alloc(self->bt, &other, NULL));
	EXPECT_EQ(0, FREE());
	VERDICT(OK);
	EXPECT_EQ(0, UNDO());
	EXPECT_EQ(0, RETAIN());
	entry.op = BUFFTRACK_OP_FREE;
	EXPECT_EQ(0, bufftrack_submit(self->bt, &entry, 1, sizeof(entry)));
	EXPECT_EQ(0, bufftrack_free(self->bt, &other, &self->answer));
	VERDICT(OK);
	entry.op = BUFFTRACK_OP_ALLOC;
	fail_command = BUFFTRACK_IOC_BATCH;
	fail_with = ENOMEM;
	EXPECT_EQ(-ENOMEM, bufftrack_submit(self->bt, &entry, 1, sizeof(entry)));
	EXPECT_EQ(BUFFTRACK_TOKEN_REFUSED, self->buffer.token);
	fail_with = 0;
}

static bool is_partial(struct bufftrack *bt)
{
	struct bufftrack_client client = { 0 };

	return !bt_ioctl(bufftrack_fd(bt), BUFFTRACK_IOC_CLIENT, &client) &&
	       client.flags & BUFFTRACK_CLIENT_PARTIAL;
}

TEST_F(ops, refused_free)
{
	ASSERT_EQ(0, ALLOC());
	fail_command = BUFFTRACK_IOC_FREE;
	fail_with = EINTR;
	EXPECT_EQ(-EINTR, FREE());
	fail_with = 0;
	EXPECT_TRUE(is_partial(self->bt));
	/* So that nobody is told with certainty that the owner forgot it. */
	self->buffer.flags = BUFFTRACK_F_EXCLUSIVE;
	ASSERT_EQ(0, ALLOC());
	VERDICT(MISSED_FREE);
	EXPECT_TRUE(self->answer.info & BUFFTRACK_INFO_NOT_RECORDED);
	/* A refused alloc marks nothing: its own token says it all. */
	bufftrack_close(self->bt);
	self->bt = bufftrack_open("ops", 0);
	fail_command = BUFFTRACK_IOC_ALLOC;
	fail_with = ENOSPC;
	EXPECT_EQ(-ENOSPC, ALLOC());
	fail_with = 0;
	EXPECT_FALSE(is_partial(self->bt));
}

/* Callers that were built with a later header */
TEST_F(ops, entries_grow)
{
	struct {
		struct bufftrack_entry entry;
		__u64 more[3];
	} grown[40];
	struct bufftrack_buffer buffers[40];
	unsigned int i;

	memset(grown, 0xff, sizeof(grown));
	for (i = 0; i < 40; i++) {
		buffers[i] = self->buffer;
		buffers[i].buffer = 0x1000 + i;
		grown[i].entry.op = BUFFTRACK_OP_ALLOC;
		grown[i].entry.buffer = &buffers[i];
	}
	EXPECT_EQ(0, bufftrack_submit(self->bt, &grown[0].entry, 40, sizeof(grown[0])));
	for (i = 0; i < 40; i++) {
		EXPECT_EQ(1, grown[i].entry.answer.refs);
		EXPECT_EQ(~0ULL, grown[i].more[0]);
	}
	EXPECT_EQ(-EINVAL, bufftrack_submit(self->bt, &grown[0].entry, 1, 24));
	EXPECT_EQ(-EINVAL, bufftrack_submit(self->bt, &grown[0].entry, 1,
					    sizeof(grown[0].entry) + 1));
}

/* On a signal's stack of the size that was once enough for all */
static struct bufftrack *handlers_bt;
static __u64 handlers_device;
static int handlers_rc;

static void handler(int signal BT_UNUSED)
{
	struct bufftrack_buffer buffers[32];
	struct bufftrack_entry entries[32];
	unsigned int i;

	memset(entries, 0, sizeof(entries));
	for (i = 0; i < 32; i++) {
		buffers[i] = (struct bufftrack_buffer){
			.device = handlers_device, .buffer = i,
		};
		entries[i].buffer = &buffers[i];
		entries[i].op = BUFFTRACK_OP_ALLOC;
	}
	handlers_rc = bufftrack_submit(handlers_bt, entries, 32, sizeof(entries[0]));
}

TEST_F(ops, small_signal_stack)
{
	static char room[16384];
	stack_t stack = { .ss_sp = room, .ss_size = sizeof(room) };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	handlers_bt = self->bt;
	handlers_device = self->device;
	ASSERT_EQ(0, sigaltstack(&stack, NULL));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	raise(SIGUSR1);
	EXPECT_EQ(0, handlers_rc);
}

TEST_HARNESS_MAIN
