// SPDX-License-Identifier: GPL-2.0
/* Counters: their scopes, how they add up, and the walks over them. */
#include <sys/prctl.h>

#include "bt.h"

#define SIZE	100

FIXTURE(stat) {
	int fd;
	__u64 device;
	struct bufftrack_op op;
	struct bufftrack_stat stat;
};

FIXTURE_SETUP(stat)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
}

FIXTURE_TEARDOWN(stat)
{
	close(self->fd);
}

#define ALLOC(fd, ...) ({						\
	self->op = (struct bufftrack_op) {				\
		.device = self->device, .size = SIZE, __VA_ARGS__ };	\
	bt_alloc(fd, &self->op) ?: -(int)self->op.verdict;		\
})
#define FREE(fd, ...) ({						\
	self->op = (struct bufftrack_op) {				\
		.device = self->device, __VA_ARGS__ };			\
	bt_free(fd, &self->op) ?: -(int)self->op.verdict;		\
})

TEST_F(stat, unknown)
{
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE,
				   self->device, 0, &self->stat));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_SPACE,
				   self->device, 0, &self->stat));
	ASSERT_EQ(0, ALLOC(self->fd, .space = 1));
	EXPECT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_SPACE, self->device, 1,
			     &self->stat));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_SPACE,
				   self->device, 0, &self->stat));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, ~0ULL, 0,
				   &self->stat));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT,
				   bt_client_id(self->fd) + 1, 0,
				   &self->stat));
}

TEST_F(stat, spaces_add_up_to_the_device)
{
	static const char * const differ = "";

	ASSERT_EQ(0, ALLOC(self->fd, .space = 1, .buffer = 1));
	ASSERT_EQ(0, ALLOC(self->fd, .space = 1, .buffer = 2));
	ASSERT_EQ(0, ALLOC(self->fd, .space = 2, .buffer = 1));
	ASSERT_EQ(0, ALLOC(self->fd, .space = 2, .buffer = 1));
	ASSERT_EQ(0, FREE(self->fd, .space = 1, .buffer = 2));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE,
		  FREE(self->fd, .space = 1, .buffer = 2));
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE,
		  FREE(self->fd, .space = 2, .buffer = 3));

	EXPECT_STREQ(differ, bt_stat_diff(self->fd, BUFFTRACK_STAT_SPACE,
					  self->device, 1,
					  (struct bufftrack_stat) {
		.live = 1, .bytes = SIZE, .peak_bytes = 2 * SIZE, .allocs = 2,
		.frees = 1, .history = 1, .verdicts = {
			[BUFFTRACK_OK] = 3, [BUFFTRACK_DOUBLE_FREE] = 1,
		} }));
	EXPECT_STREQ(differ, bt_stat_diff(self->fd, BUFFTRACK_STAT_SPACE,
					  self->device, 2,
					  (struct bufftrack_stat) {
		.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2,
		.verdicts = {
			[BUFFTRACK_OK] = 2, [BUFFTRACK_UNKNOWN_FREE] = 1,
		} }));
	EXPECT_STREQ(differ, bt_stat_diff(self->fd, BUFFTRACK_STAT_DEVICE,
					  self->device, 0,
					  (struct bufftrack_stat) {
		.live = 2, .bytes = 2 * SIZE, .peak_bytes = 3 * SIZE,
		.allocs = 4, .frees = 1, .history = 1, .verdicts = {
			[BUFFTRACK_OK] = 5, [BUFFTRACK_DOUBLE_FREE] = 1,
			[BUFFTRACK_UNKNOWN_FREE] = 1,
		} }));
}

/* A bad free that is proven, one that is not, and bad ALLOCs, which are none. */
TEST_F(stat, certain)
{
	const __u64 id = bt_client_id(self->fd);
	__u64 token;
	struct bufftrack_stat all, device, client;
	struct bufftrack_client self_client = {
		.mask = BUFFTRACK_CLIENT_PARTIAL, .flags = BUFFTRACK_CLIENT_PARTIAL,
	};

	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &all));
	ASSERT_EQ(0, ALLOC(self->fd));
	token = self->op.token;
	ASSERT_EQ(0, FREE(self->fd, .token = token));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd, .token = token));
	ASSERT_EQ(0, self->op.info & BUFFTRACK_INFO_PROBABLE);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &device));
	EXPECT_EQ(1, device.certain);
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(-BUFFTRACK_MISSED_FREE, ALLOC(self->fd, .flags = BUFFTRACK_F_EXCLUSIVE));
	ASSERT_EQ(0, ioctl(self->fd, BUFFTRACK_IOC_CLIENT, &self_client));
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, .buffer = 3));
	ASSERT_NE(0, self->op.info & BUFFTRACK_INFO_PROBABLE);

	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &device));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, id, 0, &client));
	EXPECT_EQ(1, device.certain);
	EXPECT_EQ(1, client.certain);
	EXPECT_EQ(1, client.verdicts[BUFFTRACK_UNKNOWN_FREE]);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &self->stat));
	EXPECT_EQ(all.certain + 1, self->stat.certain);
}

TEST_F(stat, all)
{
	struct bufftrack_stat before, after;
	__u64 other = bt_device();

	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &before));
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd, .buffer = 1));
	ASSERT_EQ(0, FREE(self->fd));
	self->device = other;
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, .buffer = 3));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &after));
	EXPECT_EQ(before.live + 2, after.live);
	EXPECT_EQ(before.bytes + 2 * SIZE, after.bytes);
	EXPECT_EQ(before.allocs + 3, after.allocs);
	EXPECT_EQ(before.frees + 1, after.frees);
	EXPECT_EQ(before.history + 1, after.history);
	EXPECT_EQ(before.evicted, after.evicted);
	EXPECT_EQ(before.clients, after.clients);
	EXPECT_LE(after.bytes, after.peak_bytes);
	EXPECT_LE(before.peak_bytes, after.peak_bytes);
	EXPECT_EQ(before.verdicts[BUFFTRACK_OK] + 4,
		  after.verdicts[BUFFTRACK_OK]);
	EXPECT_EQ(before.verdicts[BUFFTRACK_UNKNOWN_FREE] + 1,
		  after.verdicts[BUFFTRACK_UNKNOWN_FREE]);
}

/* A client's going takes nothing from what was counted. */
/* A user who has nothing left, neither a client nor a freed-buffer record */
TEST_F(stat, all_after_a_user)
{
	struct bufftrack_stat before, after;
	unsigned long history;
	__u64 lives;
	int i;

	self->device = bt_device();
	ASSERT_EQ(0, bt_parameter("history", 0, &history));
	ASSERT_EQ(0, chmod(BT_NODE, 0666));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &before));
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID + 40));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ALLOC(fd));
		EXPECT_EQ(0, FREE(fd));
		EXPECT_EQ(0, ALLOC(fd));
	}
	/* It goes with its device, which may go a moment later. */
	for (i = 0; i < 500 && bt_reset(self->fd, self->device, &lives) != -ENODEV; i++)
		usleep(10000);
	usleep(50000);
	EXPECT_EQ(0, bt_parameter("history", history, NULL));
	EXPECT_EQ(0, chmod(BT_NODE, 0600));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &after));
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.allocs + 2, after.allocs);
	EXPECT_EQ(before.frees + 1, after.frees);
	EXPECT_EQ(before.verdicts[BUFFTRACK_LEAK] + 1, after.verdicts[BUFFTRACK_LEAK]);
	EXPECT_LE(before.evicted + 2, after.evicted);
}

TEST_F(stat, all_after_a_client)
{
	struct bufftrack_stat before, after;
	int other = bt_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &before));
	ASSERT_EQ(0, ALLOC(other));
	ASSERT_EQ(0, ALLOC(other, .buffer = 1));
	ASSERT_EQ(0, FREE(other));
	close(other);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &after));
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.bytes, after.bytes);
	EXPECT_EQ(before.allocs + 2, after.allocs);
	EXPECT_EQ(before.frees + 1, after.frees);
	EXPECT_EQ(before.clients - 1, after.clients);
	EXPECT_EQ(before.verdicts[BUFFTRACK_LEAK] + 1,
		  after.verdicts[BUFFTRACK_LEAK]);
}

/* Counters never run backwards, PRIVATE clients' neither. */
TEST_F(stat, after_a_private_client)
{
	struct bufftrack_stat before, after;
	int other = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(other));
	ASSERT_EQ(0, ALLOC(other, .buffer = 1));
	ASSERT_EQ(0, FREE(other));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &before));
	EXPECT_EQ(3, before.allocs);
	EXPECT_EQ(1, before.frees);
	EXPECT_EQ(3 * SIZE, before.peak_bytes);
	close(other);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &after));
	EXPECT_EQ(3, after.allocs);
	EXPECT_EQ(1, after.frees);
	EXPECT_EQ(4, after.verdicts[BUFFTRACK_OK]);
	EXPECT_EQ(1, after.verdicts[BUFFTRACK_LEAK]);
	EXPECT_EQ(3 * SIZE, after.peak_bytes);
	EXPECT_EQ(SIZE, after.bytes);
	EXPECT_EQ(1, after.live);
}

TEST_F(stat, client)
{
	struct bufftrack_stat mine, its;
	int other = bt_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_client(other, BUFFTRACK_CLIENT_STRICT,
			       BUFFTRACK_CLIENT_STRICT, "other", NULL));
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(self->fd));
	ASSERT_EQ(0, ALLOC(other));
	ASSERT_EQ(0, ALLOC(other, .buffer = 1));
	ASSERT_EQ(0, FREE(other));
	ASSERT_EQ(-EALREADY, FREE(other));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0, &mine));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT,
			     bt_client_id(other), 0, &its));
	EXPECT_EQ(1, mine.live);
	EXPECT_EQ(SIZE, mine.bytes);
	EXPECT_EQ(2, mine.allocs);
	EXPECT_EQ(0, mine.frees);
	EXPECT_EQ(2, mine.verdicts[BUFFTRACK_OK]);
	EXPECT_EQ(0, mine.verdicts[BUFFTRACK_DOUBLE_FREE]);
	EXPECT_EQ(0, mine.history);
	EXPECT_EQ(0, mine.evicted);
	EXPECT_EQ(1, its.live);
	EXPECT_EQ(SIZE, its.bytes);
	EXPECT_EQ(2 * SIZE, its.peak_bytes);
	EXPECT_EQ(2, its.allocs);
	EXPECT_EQ(1, its.frees);
	EXPECT_EQ(3, its.verdicts[BUFFTRACK_OK]);
	EXPECT_EQ(1, its.verdicts[BUFFTRACK_DOUBLE_FREE]);
	EXPECT_STREQ("other", its.name);
	EXPECT_EQ(BUFFTRACK_CLIENT_STRICT, its.client_flags);
	EXPECT_EQ(getpid(), (pid_t)its.pid);
	EXPECT_EQ(getuid(), its.uid);
	close(other);
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT,
				   bt_client_id(self->fd) + 1, 0, &its));
}

/* Another's FREE may drop a SHARED reference: that is the other's call. */
TEST_F(stat, client_that_frees_for_another)
{
	struct bufftrack_stat mine, its;
	int other = bt_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ALLOC(self->fd, .flags = BUFFTRACK_F_SHARED));
	ASSERT_EQ(0, FREE(other));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0, &mine));
	ASSERT_EQ(0, bt_stat(other, BUFFTRACK_STAT_CLIENT, 0, 0, &its));
	EXPECT_EQ(0, mine.live);
	EXPECT_EQ(0, mine.bytes);
	EXPECT_EQ(0, mine.frees);
	EXPECT_EQ(0, its.live);
	EXPECT_EQ(0, its.bytes);
	EXPECT_EQ(1, its.frees);
	EXPECT_EQ(1, its.verdicts[BUFFTRACK_OK]);
	close(other);
}

TEST_F(stat, client_of_another_process)
{
	struct bt_pipe up, down;
	__u64 id;
	pid_t pid;

	ASSERT_EQ(0, bt_pipe(&up));
	ASSERT_EQ(0, bt_pipe(&down));
	pid = bt_fork();
	if (!pid) {
		int fd;

		prctl(PR_SET_NAME, "the-opener");
		fd = bt_open();
		prctl(PR_SET_NAME, "later-on");
		bt_send(&up, bt_client_id(fd));
		bt_receive(&down);
		_exit(0);
	}
	id = bt_receive(&up);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, id, 0,
			     &self->stat));
	EXPECT_EQ(pid, (pid_t)self->stat.pid);
	EXPECT_STREQ("the-opener", self->stat.comm);
	bt_send(&down, 0);
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, id, 0,
				   &self->stat));
}

TEST_F(stat, peak)
{
	__u64 i;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, ALLOC(self->fd, .buffer = i));
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, FREE(self->fd, .buffer = i));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, ALLOC(self->fd, .buffer = i));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(5 * SIZE, self->stat.bytes);
	EXPECT_EQ(10 * SIZE, self->stat.peak_bytes);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0,
			     &self->stat));
	EXPECT_EQ(10 * SIZE, self->stat.peak_bytes);
}

/* Two users of a device, each with a peak of its own, at different times */
TEST_F(stat, peak_of_a_device_is_not_a_sum)
{
	__u64 i;
	int p = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);

	ASSERT_LE(0, p);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, ALLOC(self->fd, .buffer = i));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, FREE(self->fd, .buffer = i));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, ALLOC(p, .buffer = i));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(3 * SIZE, self->stat.bytes);
	EXPECT_EQ(4 * SIZE, self->stat.peak_bytes);
	close(p);
}

TEST_F(stat, clients_of_a_device)
{
	int a = bt_open(), b = bt_open();

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_EQ(0, ALLOC(a));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(1, self->stat.clients);
	ASSERT_EQ(0, ALLOC(b));
	ASSERT_EQ(0, ALLOC(b, .buffer = 1));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(2, self->stat.clients);
	close(a);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(1, self->stat.clients);
	close(b);
}

/*
 * A walk with NEXT. @found counts what is in @want, in that order; the rest is
 * of other tests.
 */
static int walk(int fd, struct bufftrack_stat from, const __u64 *want,
		unsigned int nr, unsigned int *found)
{
	struct bufftrack_stat stat = from;
	__u64 id;
	int rc;

	*found = 0;
	for (;;) {
		stat.scope = from.scope;
		stat.flags = BUFFTRACK_STAT_NEXT;
		/* What was output is no input. */
		stat.client = 0;
		stat.space = 0;
		stat.device = from.device;
		rc = bt_ioctl(fd, BUFFTRACK_IOC_STAT, &stat);
		if (rc)
			return rc == -ENOENT ? 0 : rc;
		id = from.scope == BUFFTRACK_STAT_CLIENT ? stat.client :
		     from.scope == BUFFTRACK_STAT_SPACE ? stat.space :
							  stat.device;
		if (*found < nr && id == want[*found])
			++*found;
		else if (*found && *found < nr)
			return -EBADMSG;
	}
}

TEST_F(stat, next_device)
{
	__u64 devices[5];
	unsigned int i, found;

	for (i = 0; i < 5; i++) {
		/* Not in the order of their numbers */
		devices[i] = bt_device() ^ (i & 1 ? 1ULL << 63 : 0);
		self->device = devices[i];
		ASSERT_EQ(0, ALLOC(self->fd));
	}
	ASSERT_EQ(0, walk(self->fd, (struct bufftrack_stat) {
				.scope = BUFFTRACK_STAT_DEVICE,
			  }, devices, 5, &found));
	EXPECT_EQ(5, found);
}

TEST_F(stat, next_space)
{
	const __u64 spaces[] = { 0, 1, 2, 9, ~0U };
	unsigned int i, found;

	/* Not in the order in which they come into being */
	for (i = ARRAY_SIZE(spaces); i--; )
		ASSERT_EQ(0, ALLOC(self->fd, .space = spaces[i]));
	ASSERT_EQ(0, walk(self->fd, (struct bufftrack_stat) {
				.scope = BUFFTRACK_STAT_SPACE,
				.device = self->device,
			  }, spaces, ARRAY_SIZE(spaces), &found));
	EXPECT_EQ(ARRAY_SIZE(spaces), found);
}

TEST_F(stat, next_client)
{
	__u64 ids[5];
	unsigned int i, found;
	int fds[5];

	for (i = 0; i < 5; i++) {
		fds[i] = bt_open();
		ASSERT_LE(0, fds[i]);
		ids[i] = bt_client_id(fds[i]);
	}
	ASSERT_EQ(0, walk(self->fd, (struct bufftrack_stat) {
				.scope = BUFFTRACK_STAT_CLIENT,
			  }, ids, 5, &found));
	EXPECT_EQ(5, found);
	for (i = 0; i < 5; i++)
		close(fds[i]);
}

/* What a walk says of one is what one hears by its name. */
TEST_F(stat, next_is_the_same_as_named)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_SPACE }, named;

	ASSERT_EQ(0, ALLOC(self->fd, .space = 3));
	stat.flags = BUFFTRACK_STAT_NEXT;
	stat.device = self->device;
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_STAT, &stat));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_SPACE, self->device, 3,
			     &named));
	EXPECT_EQ(3, stat.space);
	EXPECT_EQ(0, memcmp(&stat.pid, &named.pid,
			    sizeof(stat) - offsetof(struct bufftrack_stat,
						    pid)));
}

TEST_HARNESS_MAIN
