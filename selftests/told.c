// SPDX-License-Identifier: GPL-2.0
/*
 * What is told to who asks: EVENTS and poll(), HOLDERS, LIST's filters, labels, fdinfo.
 */
#include <poll.h>

#include "bt.h"

#define BUFFER	0x4000ULL
#define SIZE	4096
#define PAGE	64

FIXTURE(told) {
	__u64 device;
	int a, b;
	__u64 cursor;			/* of EVENTS, for a */
};

FIXTURE_SETUP(told)
{
	struct bufftrack_events end = { .flags = BUFFTRACK_EVENTS_END };

	/* Any user may report here. */
	ASSERT_EQ(0, chmod(BT_NODE, 0666));
	self->device = bt_device();
	self->a = bt_open_as(0);
	self->b = bt_open_as(0);
	ASSERT_LE(0, self->a);
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &end));
	EXPECT_EQ(0, end.nr);
	self->cursor = end.cursor;
}

FIXTURE_TEARDOWN(told)
{
	close(self->a);
	close(self->b);
	chmod(BT_NODE, 0600);
}

static struct bufftrack_op op_of(__u64 device, __u64 size)
{
	return (struct bufftrack_op){
		.device = device, .buffer = BUFFER, .space = BT_SPACE, .size = size,
	};
}

static int alloc(int fd, __u64 device, __u32 flags, __u64 tag)
{
	struct bufftrack_op op = op_of(device, SIZE);

	op.flags = flags;
	op.tag = tag;
	return bt_alloc(fd, &op);
}

static int free_it(int fd, __u64 device, struct bufftrack_op *op)
{
	*op = op_of(device, 0);
	return bt_free(fd, op);
}

/* A page from the cursor on: how many, or a negative errno */
static int events(int fd, __u64 *cursor, struct bufftrack_bad *bad, __u32 room, __u64 *lost)
{
	struct bufftrack_events arg = {
		.entries = (uintptr_t)bad,
		.nr = room,
		.entry_size = sizeof(*bad),
		.cursor = *cursor,
		.lost = ~0ULL,
	};
	int rc = bt_ioctl(fd, BUFFTRACK_IOC_EVENTS, &arg);

	*cursor = arg.cursor;
	*lost = arg.lost;
	return rc ?: (int)arg.nr;
}

static int ready(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLIN;
}

TEST_F(told, a_double_free)
{
	struct bufftrack_bad bad[PAGE];
	struct bufftrack_op op;
	__u64 lost, me = bt_client_id(self->a);

	ASSERT_EQ(0, alloc(self->a, self->device, 0, 7));
	ASSERT_EQ(0, free_it(self->a, self->device, &op));
	EXPECT_EQ(0, ready(self->a));
	ASSERT_EQ(0, free_it(self->a, self->device, &op));
	ASSERT_EQ(BUFFTRACK_DOUBLE_FREE, op.verdict);
	EXPECT_EQ(1, ready(self->a));

	memset(bad, BT_POISON, sizeof(bad));
	ASSERT_EQ(1, events(self->a, &self->cursor, bad, PAGE, &lost));
	EXPECT_EQ(0, lost);
	EXPECT_EQ(0, ready(self->a));
	/* Another file of the user has not read it yet. */
	EXPECT_EQ(1, ready(self->b));
	EXPECT_EQ(self->cursor - 1, bad[0].sequence);
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, bad[0].verdict);
	EXPECT_EQ(0, bad[0].info);
	EXPECT_EQ(self->device, bad[0].device);
	EXPECT_EQ(BUFFER, bad[0].buffer);
	EXPECT_EQ(BT_SPACE, bad[0].space);
	EXPECT_EQ(SIZE, bad[0].size);
	EXPECT_EQ(7, bad[0].tag);
	EXPECT_EQ(op.generation, bad[0].generation);
	EXPECT_EQ(op.generation, bad[0].named);
	EXPECT_EQ(1, bad[0].nth);
	EXPECT_EQ(1, bad[0].lives);
	EXPECT_EQ(1, bad[0].frees);
	EXPECT_EQ(BUFFTRACK_STATE_FREED, bad[0].reason);
	EXPECT_EQ(getpid(), bad[0].offender.pid);
	EXPECT_EQ(getpid(), bad[0].end.pid);
	EXPECT_EQ(getpid(), bad[0].alloc.pid);
	EXPECT_EQ(me, bad[0].offender.client);
	EXPECT_EQ(me, bad[0].alloc.client);
	EXPECT_EQ(geteuid(), bad[0].offender.uid);
	EXPECT_LT(0, bad[0].offender.start_time);
	EXPECT_GT(bad[0].offender.time, bad[0].end.time);
	EXPECT_GE(bad[0].end.time, bad[0].alloc.time);
	EXPECT_EQ(0, bad[0].prev_generation);
	EXPECT_EQ(0, bad[0].prev_alloc.time);
	EXPECT_EQ(0, events(self->a, &self->cursor, bad, PAGE, &lost));
	EXPECT_EQ(0, lost);
}

TEST_F(told, a_leak)
{
	struct bufftrack_bad bad[PAGE];
	__u64 lost;

	ASSERT_EQ(0, alloc(self->b, self->device, 0, 0));
	ASSERT_EQ(0, alloc(self->b, self->device, BUFFTRACK_F_RETAIN, 0));
	close(self->b);
	self->b = bt_open_as(0);
	ASSERT_EQ(1, events(self->a, &self->cursor, bad, PAGE, &lost));
	EXPECT_EQ(BUFFTRACK_LEAK, bad[0].verdict);
	EXPECT_EQ(2, bad[0].count);
	EXPECT_EQ(getpid(), bad[0].alloc.pid);
	EXPECT_EQ(getpid(), bad[0].offender.pid);
}

/* The newest stay, in their order, and what is gone is counted. */
TEST_F(told, more_than_are_kept)
{
	struct bufftrack_bad bad[PAGE];
	struct bufftrack_info info = { .flags = 0 };
	__u64 lost, all = 0, first = 0, sequence = 0, lost_all = 0;
	struct bufftrack_op op;
	unsigned int i, n;

	ASSERT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_INFO, &info));
	ASSERT_LE(1024, info.max_events);
	n = info.max_events + 100;
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, free_it(self->a, self->device, &op));
	for (;;) {
		int nr = events(self->a, &self->cursor, bad, PAGE, &lost);

		ASSERT_LE(0, nr);
		lost_all += lost;
		if (!nr)
			break;
		if (!first)
			first = bad[0].sequence;
		for (i = 0; i < (unsigned int)nr; i++) {
			if (sequence)
				EXPECT_EQ(sequence + 1, bad[i].sequence);
			sequence = bad[i].sequence;
		}
		all += nr;
	}
	EXPECT_EQ(n, all + lost_all);
	EXPECT_LE(info.max_events, all);
	EXPECT_EQ(self->cursor - 1, sequence);
}

/* poll() wakes who waits. */
TEST_F(told, poll_wakes)
{
	struct pollfd wait = { .fd = self->a, .events = POLLIN };
	struct bufftrack_op op;
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (!child) {
		usleep(200000);
		_exit(free_it(self->b, self->device, &op) || op.verdict != BUFFTRACK_UNKNOWN_FREE);
	}
	EXPECT_EQ(1, poll(&wait, 1, 60000));
	EXPECT_EQ(POLLIN, wait.revents);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* Another user's bad verdicts are his own, whatever he may read besides. */
TEST_F(told, another_users)
{
	struct bufftrack_op op;
	pid_t child;
	int status;

	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct bufftrack_bad bad[PAGE];
		__u64 cursor = 0, lost;
		int fd;

		fd = bt_become(BT_UID) ? -1 : bt_open_as(0);
		if (fd < 0 || events(fd, &cursor, bad, PAGE, &lost) || lost)
			_exit(1);
		if (free_it(fd, self->device, &op))
			_exit(2);
		if (events(fd, &cursor, bad, PAGE, &lost) != 1 || bad[0].offender.uid != BT_UID)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0, ready(self->a));
}

TEST_F(told, events_refused)
{
	struct bufftrack_bad bad;
	const struct bufftrack_events good = {
		.entries = (uintptr_t)&bad, .nr = 1, .entry_size = sizeof(bad),
		.cursor = self->cursor,
	};
	struct bufftrack_events arg = good;

	EXPECT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	arg = good;
	arg.nr = 0;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	arg = good;
	arg.flags = 2;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	arg = good;
	arg.flags = BUFFTRACK_EVENTS_END;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	arg = good;
	arg.reserved = 1;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	arg = good;
	arg.entry_size = sizeof(bad) - 8;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	arg = good;
	arg.cursor = self->cursor + 1;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	/* The memory is looked at where there is something to write. */
	ASSERT_EQ(0, free_it(self->a, self->device, &(struct bufftrack_op){ .op = 0 }));
	arg = good;
	arg.entries = 8;
	EXPECT_EQ(-EFAULT, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	/* And the event is still there. */
	arg = good;
	EXPECT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_EVENTS, &arg));
	EXPECT_EQ(1, arg.nr);
}

/* Of a BATCH that is refused as a whole, no entry was recorded. */
TEST_F(told, a_batch_refused)
{
	struct bufftrack_op op = op_of(self->device, SIZE);
	struct bufftrack_batch batch = { .entries = (uintptr_t)&op, .nr = 1, .entry_size = 4 };

	op.op = BUFFTRACK_OP_FREE;
	ASSERT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_BATCH, &batch));
	ASSERT_EQ(0, alloc(self->a, self->device, 0, 0));
	ASSERT_EQ(0, free_it(self->a, self->device, &op));
	ASSERT_EQ(0, free_it(self->a, self->device, &op));
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, op.verdict);
	EXPECT_EQ(BUFFTRACK_INFO_NOT_RECORDED | BUFFTRACK_INFO_PROBABLE, op.info);
	/* Of another client it says nothing; nor does one without entries of its own. */
	batch = (struct bufftrack_batch){ .entry_size = sizeof(op) };
	ASSERT_EQ(-EINVAL, bt_ioctl(self->b, BUFFTRACK_IOC_BATCH, &batch));
	ASSERT_EQ(0, free_it(self->b, self->device, &op));
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, op.verdict);
	EXPECT_EQ(0, op.info);
}

/* ---- HOLDERS -------------------------------------------------------------- */

static int holders(int fd, __u64 device, __u64 generation, struct bufftrack_holder *to, __u32 room,
		   struct bufftrack_holders *arg)
{
	*arg = (struct bufftrack_holders){
		.entries = (uintptr_t)to, .nr = room, .entry_size = sizeof(*to),
		.device = device, .buffer = BUFFER, .space = BT_SPACE, .generation = generation,
		.refs = ~0U, .others = ~0U,
	};
	return bt_ioctl(fd, BUFFTRACK_IOC_HOLDERS, arg);
}

TEST_F(told, who_holds)
{
	struct bufftrack_holder found[4];
	struct bufftrack_holders arg;
	struct bufftrack_op op;

	EXPECT_EQ(-ENOENT, holders(self->a, self->device, 0, found, 4, &arg));
	ASSERT_EQ(0, bt_client(self->b, 0, 0, "second", NULL));
	ASSERT_EQ(0, alloc(self->a, self->device, 0, 0));
	ASSERT_EQ(0, alloc(self->b, self->device, 0, 0));
	ASSERT_EQ(0, alloc(self->b, self->device, 0, 0));
	memset(found, BT_POISON, sizeof(found));
	ASSERT_EQ(0, holders(self->a, self->device, 0, found, 4, &arg));
	EXPECT_EQ(2, arg.nr);
	EXPECT_EQ(3, arg.refs);
	EXPECT_EQ(0, arg.others);
	EXPECT_NE(0, arg.generation);
	EXPECT_EQ(bt_client_id(self->a), found[0].client);
	EXPECT_EQ(1, found[0].count);
	EXPECT_EQ(getpid(), found[0].pid);
	EXPECT_EQ(bt_client_id(self->b), found[1].client);
	EXPECT_EQ(2, found[1].count);
	EXPECT_STREQ("second", found[1].name);
	EXPECT_EQ(BT_POISON, (__u8)found[2].name[0]);

	/* The number alone; less room; another life. */
	ASSERT_EQ(0, holders(self->a, self->device, 0, NULL, 0, &arg));
	EXPECT_EQ(2, arg.nr);
	ASSERT_EQ(0, holders(self->a, self->device, arg.generation, found, 1, &arg));
	EXPECT_EQ(2, arg.nr);
	EXPECT_EQ(-ESTALE, holders(self->a, self->device, arg.generation + 1, found, 1, &arg));

	/* Who has dropped all stays, to be told from who never had one. */
	ASSERT_EQ(0, free_it(self->a, self->device, &op));
	ASSERT_EQ(0, holders(self->a, self->device, 0, found, 4, &arg));
	EXPECT_EQ(2, arg.nr);
	EXPECT_EQ(0, found[0].count);
	EXPECT_EQ(2, arg.refs);
	ASSERT_EQ(0, free_it(self->b, self->device, &op));
	ASSERT_EQ(0, free_it(self->b, self->device, &op));
	ASSERT_EQ(0, holders(self->a, self->device, 0, found, 4, &arg));
	EXPECT_EQ(0, arg.nr);
	EXPECT_EQ(0, arg.refs);
}

/* Another user sees that there are references, and not whose; or that there is no key. */
TEST_F(told, who_holds_of_anothers)
{
	struct bufftrack_holders arg;
	struct bufftrack_holder found[4];
	pid_t child;
	int status;

	ASSERT_EQ(0, alloc(self->a, self->device, 0, 0));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int fd = bt_become(BT_UID) ? -1 : bt_open_as(0);

		if (fd < 0 || alloc(fd, self->device, 0, 0))
			_exit(1);
		_exit(holders(fd, self->device, 0, found, 4, &arg) == -ENOENT ? 0 : 2);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_F(told, holders_refused)
{
	struct bufftrack_holder one;
	const struct bufftrack_holders good = {
		.entries = (uintptr_t)&one, .nr = 1, .entry_size = sizeof(one),
		.device = self->device, .buffer = BUFFER, .space = BT_SPACE,
	};
	struct bufftrack_holders arg = good;

	ASSERT_EQ(0, alloc(self->a, self->device, 0, 0));
	EXPECT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_HOLDERS, &arg));
	arg = good;
	arg.flags = 1;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_HOLDERS, &arg));
	arg = good;
	arg.entry_size = 4;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->a, BUFFTRACK_IOC_HOLDERS, &arg));
	arg = good;
	arg.entries = 8;
	EXPECT_EQ(-EFAULT, bt_ioctl(self->a, BUFFTRACK_IOC_HOLDERS, &arg));
}

/* ---- LIST, labels, fdinfo ------------------------------------------------- */

TEST_F(told, list_filters)
{
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEVICE, .device = self->device,
	};
	struct bufftrack_op op = op_of(self->device, SIZE);
	unsigned int i;

	for (i = 0; i < 4; i++) {
		op = op_of(self->device, SIZE);
		op.buffer += i;
		op.tag = i / 2;
		ASSERT_EQ(0, bt_alloc(self->a, &op));
	}
	EXPECT_EQ(4, bt_count(self->a, filter));
	filter.flags |= BUFFTRACK_LIST_TAG;
	filter.tag = 1;
	EXPECT_EQ(2, bt_count(self->a, filter));
	filter.tag = 9;
	EXPECT_EQ(0, bt_count(self->a, filter));
	filter.tag = 1;
	filter.flags |= BUFFTRACK_LIST_BUFFER;
	filter.buffer = BUFFER + 3;
	EXPECT_EQ(1, bt_count(self->a, filter));
	filter.buffer = BUFFER;
	EXPECT_EQ(0, bt_count(self->a, filter));
	filter = (struct bufftrack_list){
		.flags = BUFFTRACK_LIST_GENERATION, .generation = op.generation,
	};
	EXPECT_EQ(1, bt_count(self->a, filter));
	filter.flags = 0;
	EXPECT_EQ(-EINVAL, bt_count(self->a, filter));
	filter = (struct bufftrack_list){ .tag = 1 };
	EXPECT_EQ(-EINVAL, bt_count(self->a, filter));
	filter = (struct bufftrack_list){ .buffer = 1 };
	EXPECT_EQ(-EINVAL, bt_count(self->a, filter));
}

static int label(int fd, __u64 device, __u32 flags, __u64 tag, const char *set, char *got)
{
	struct bufftrack_label arg = { .device = device, .flags = flags, .tag = tag };
	int rc;

	if (set)
		strncpy(arg.label, set, sizeof(arg.label) - 1);
	rc = bt_ioctl(fd, BUFFTRACK_IOC_LABEL, &arg);
	if (got)
		memcpy(got, arg.label, sizeof(arg.label));
	return rc;
}

TEST_F(told, labels)
{
	const __u32 get = BUFFTRACK_LABEL_GET, tag = BUFFTRACK_LABEL_TAG;
	char text[BUFFTRACK_NAME_LEN];

	EXPECT_EQ(-ENOENT, label(self->a, self->device, get | tag, 5, NULL, text));
	EXPECT_EQ(0, label(self->a, self->device, tag, 5, "model-a", NULL));
	EXPECT_EQ(0, label(self->a, self->device, tag, 6ULL << 40, "model-b", NULL));
	EXPECT_EQ(0, label(self->a, self->device, 0, 0, "wormhole", NULL));
	EXPECT_EQ(0, label(self->a, self->device, get | tag, 5, NULL, text));
	EXPECT_STREQ("model-a", text);
	EXPECT_EQ(0, label(self->b, self->device, get | tag, 6ULL << 40, NULL, text));
	EXPECT_STREQ("model-b", text);
	EXPECT_EQ(0, label(self->a, self->device, get, 0, NULL, text));
	EXPECT_STREQ("wormhole", text);
	EXPECT_EQ(-ENOENT, label(self->a, self->device, get | tag, 7, NULL, text));
	EXPECT_EQ(0, label(self->a, self->device, tag, 5, "", NULL));
	EXPECT_EQ(-ENOENT, label(self->a, self->device, get | tag, 5, NULL, text));
	EXPECT_EQ(-EINVAL, label(self->a, self->device, tag | BUFFTRACK_LABEL_SPACE, 5, "x", NULL));
	EXPECT_EQ(-EINVAL, label(self->a, self->device, 0, 5, "x", NULL));
	EXPECT_EQ(-EINVAL, label(self->a, self->device, 8, 0, "x", NULL));
	EXPECT_EQ(-EINVAL, label(self->a, self->device, tag, 5, "a b", NULL));
}

/* As many as there may be, and no more; one that goes makes room. */
TEST_F(told, many_tags)
{
	char text[BUFFTRACK_NAME_LEN];
	unsigned int i;

	for (i = 0; i < 1024; i++) {
		snprintf(text, sizeof(text), "tag-%u", i);
		ASSERT_EQ(0, label(self->a, self->device, BUFFTRACK_LABEL_TAG, i, text, NULL));
	}
	EXPECT_EQ(-ENOSPC, label(self->a, self->device, BUFFTRACK_LABEL_TAG, i, "x", NULL));
	EXPECT_EQ(0, label(self->a, self->device, BUFFTRACK_LABEL_TAG, 3, "", NULL));
	EXPECT_EQ(0, label(self->a, self->device, BUFFTRACK_LABEL_TAG, i, "x", NULL));
}

TEST_F(told, fdinfo)
{
	char path[64], text[4096], want[128];
	struct bufftrack_op op;

	ASSERT_EQ(0, bt_client(self->a, 0, 0, "my runtime", NULL));
	ASSERT_EQ(0, alloc(self->a, self->device, 0, 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->a);
	ASSERT_EQ(0, bt_read(path, text, sizeof(text)));
	snprintf(want, sizeof(want), "bufftrack-client-id:\t%llu\n",
		 (unsigned long long)bt_client_id(self->a));
	EXPECT_TRUE(!!strstr(text, want));
	EXPECT_TRUE(!!strstr(text, "bufftrack-client-name:\tmy runtime\n"));
	EXPECT_TRUE(!!strstr(text, "bufftrack-live-buffers:\t1\n"));
	EXPECT_TRUE(!!strstr(text, "bufftrack-live-bytes:\t4096\n"));
	ASSERT_EQ(0, free_it(self->a, self->device, &op));
	ASSERT_EQ(0, bt_read(path, text, sizeof(text)));
	EXPECT_TRUE(!!strstr(text, "bufftrack-live-buffers:\t0\n"));
	EXPECT_TRUE(!!strstr(text, "bufftrack-live-bytes:\t0\n"));
}

TEST_HARNESS_MAIN
