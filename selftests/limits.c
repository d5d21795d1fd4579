// SPDX-License-Identifier: GPL-2.0
/*
 * What a user can make the kernel keep is bounded: a limit that is reached is a
 * clean ENOSPC, changes nothing, and is nobody else's.
 */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bt.h"

#define SIZE	16

FIXTURE(limits) {
	int fd;
	__u64 device;
	unsigned long max_buffers, max_devices, max_stacks, max_clients, history;
	struct bufftrack_op op;
};

FIXTURE_SETUP(limits)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	ASSERT_EQ(0, bt_parameter("max_buffers", 1 << 22, &self->max_buffers));
	ASSERT_EQ(0, bt_parameter("max_devices", 1024, &self->max_devices));
	ASSERT_EQ(0, bt_parameter("max_stacks", 16384, &self->max_stacks));
	ASSERT_EQ(0, bt_parameter("max_clients", 1 << 17, &self->max_clients));
	ASSERT_EQ(0, bt_parameter("history", 65536, &self->history));
	ASSERT_EQ(0, chmod(BT_NODE, 0666));
}

FIXTURE_TEARDOWN(limits)
{
	bt_parameter("max_buffers", self->max_buffers, NULL);
	bt_parameter("max_devices", self->max_devices, NULL);
	bt_parameter("max_stacks", self->max_stacks, NULL);
	bt_parameter("max_clients", self->max_clients, NULL);
	bt_parameter("history", self->history, NULL);
	chmod(BT_NODE, 0600);
	close(self->fd);
}

#define ALLOC(fd, _buffer, ...) ({					\
	self->op = (struct bufftrack_op) {				\
		.device = self->device, .buffer = _buffer, .size = SIZE,\
		__VA_ARGS__ };						\
	bt_alloc(fd, &self->op) ?: -(int)self->op.verdict;		\
})
#define FREE(fd, _buffer, ...) ({					\
	self->op = (struct bufftrack_op) {				\
		.device = self->device, .buffer = _buffer, __VA_ARGS__ };\
	bt_free(fd, &self->op) ?: -(int)self->op.verdict;		\
})

static __u64 failed(int fd)
{
	struct bufftrack_info info = { 0 };

	return bt_ioctl(fd, BUFFTRACK_IOC_INFO, &info) ? ~0ULL : info.failed;
}

TEST_F(limits, parameters)
{
	static const char * const names[] = {
		"max_buffers", "max_devices", "history", "max_stacks",
		"log_limit", "max_clients", "on_error",
	};
	struct stat st;
	char path[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), BT_PARAMETERS "%s", names[i]);
		ASSERT_EQ(0, stat(path, &st))
			TH_LOG("no %s", names[i]);
		EXPECT_EQ(0644, (int)(st.st_mode & 0777));
	}
	EXPECT_EQ(-EINVAL, bt_write(BT_PARAMETERS "max_buffers", "many"));
	EXPECT_EQ(-EINVAL, bt_write(BT_PARAMETERS "history", "-1"));
	/* What is counted must not come out negative. */
	for (i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), BT_PARAMETERS "%s", names[i]);
		EXPECT_EQ(-EINVAL, bt_write(path, "2147483648"))
			TH_LOG("%s", names[i]);
	}
}

TEST_F(limits, buffers)
{
	struct bufftrack_stat before, after;
	struct bufftrack_life life;
	__u64 i, had = failed(self->fd);

	ASSERT_EQ(0, bt_parameter("max_buffers", 8, NULL));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ALLOC(self->fd, i));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &before));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 8));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 8, .flags = BUFFTRACK_F_EXCLUSIVE));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(-ENOENT, bt_life(self->fd, self->device, 0, 8, &life));
	EXPECT_EQ(had + 2, failed(self->fd));

	/* A call that makes no further allocation goes on. */
	EXPECT_EQ(0, ALLOC(self->fd, 7));
	EXPECT_EQ(2, self->op.refs);
	EXPECT_EQ(0, ALLOC(self->fd, 7, .flags = BUFFTRACK_F_VIEW));
	EXPECT_EQ(-BUFFTRACK_MISSED_FREE,
		  ALLOC(self->fd, 6, .flags = BUFFTRACK_F_EXCLUSIVE));
	EXPECT_EQ(0, FREE(self->fd, 0));
	EXPECT_EQ(0, ALLOC(self->fd, 8));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 0));
	EXPECT_EQ(had + 3, failed(self->fd));
	/* Not by this device only */
	self->device = bt_device();
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 8));
}

TEST_F(limits, buffers_that_another_holds)
{
	struct bufftrack_life life;
	int other = bt_open();
	__u64 i;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_parameter("max_buffers", 4, NULL));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, ALLOC(self->fd, i));
	/* Each client has a limit of its own. */
	for (i = 4; i < 8; i++)
		ASSERT_EQ(0, ALLOC(other, i));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 4));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 4, .flags = BUFFTRACK_F_EXCLUSIVE));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 4, &life));
	EXPECT_EQ(1, life.refs);
	EXPECT_EQ(1, life.lives);
	EXPECT_EQ(BUFFTRACK_STATE_LIVE, life.state);
	EXPECT_EQ(bt_client_id(other), life.client);
	/* A reference that was taken from it makes room. */
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 9));
	EXPECT_EQ(0, FREE(other, 7));
	EXPECT_EQ(-BUFFTRACK_MISSED_FREE,
		  ALLOC(other, 3, .flags = BUFFTRACK_F_EXCLUSIVE));
	EXPECT_EQ(0, ALLOC(self->fd, 9));
	close(other);
}

TEST_F(limits, buffers_after_reset)
{
	__u64 i, lives;

	ASSERT_EQ(0, bt_parameter("max_buffers", 4, NULL));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, ALLOC(self->fd, i));
	ASSERT_EQ(0, bt_reset(self->fd, self->device, &lives));
	EXPECT_EQ(4, lives);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, ALLOC(self->fd, i + 10));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 20));
}

/* As some user who has no device yet; returns how many can be made. */
static int devices(unsigned int tries, int *error)
{
	struct bufftrack_op op = { .size = SIZE };
	struct bufftrack_stat stat;
	int fd = bt_open();
	unsigned int i;

	*error = 0;
	for (i = 0; fd >= 0 && i < tries; i++) {
		op.device = bt_device();
		*error = bt_alloc(fd, &op);
		if (!*error)
			continue;
		if (bt_stat(fd, BUFFTRACK_STAT_DEVICE, op.device, 0,
			    &stat) != -ENOENT)
			*error = -EIO;
		break;
	}
	return fd < 0 ? -1 : (int)i;
}

TEST_F(limits, devices)
{
	struct bt_pipe up, down;
	int error;
	pid_t pid;

	ASSERT_EQ(0, bt_parameter("max_devices", 5, NULL));
	ASSERT_EQ(0, bt_pipe(&up));
	ASSERT_EQ(0, bt_pipe(&down));
	pid = bt_fork();
	if (!pid) {
		ASSERT_EQ(0, bt_become(BT_UID + 10));
		EXPECT_EQ(5, devices(10, &error));
		EXPECT_EQ(-ENOSPC, error);
		bt_send(&up, 0);
		bt_receive(&down);
		_exit(0);
	}
	bt_receive(&up);
	/* It has used up its own share, and nobody else's. */
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 11));
		EXPECT_EQ(5, devices(10, &error));
		EXPECT_EQ(-ENOSPC, error);
	}
	bt_send(&down, 0);
	EXPECT_EQ(0, bt_reap(pid));
}

TEST_F(limits, clients)
{
	int fds[5], i, other;

	ASSERT_EQ(0, bt_parameter("max_clients", 4, NULL));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 40));
		for (i = 0; i < 4; i++) {
			fds[i] = bt_open();
			ASSERT_LE(0, fds[i]);
		}
		EXPECT_EQ(-1, bt_open());
		EXPECT_EQ(ENOSPC, errno);
		/* One that closes makes room. */
		close(fds[1]);
		fds[1] = bt_open();
		EXPECT_LE(0, fds[1]);
	}
	/* Nobody else's room is taken. */
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 41));
		other = bt_open();
		EXPECT_LE(0, other);
	}
}

/* A PRIVATE client has a table on each device that it uses: they count as clients do. */
TEST_F(limits, tables_of_private_clients)
{
	int fd, i;

	ASSERT_EQ(0, bt_parameter("max_clients", 4, NULL));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 42));
		fd = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);
		ASSERT_LE(0, fd);
		for (i = 0; i < 4; i++) {
			self->device = bt_device();
			ASSERT_EQ(0, ALLOC(fd, 1));
		}
		self->device = bt_device();
		EXPECT_EQ(-ENOSPC, ALLOC(fd, 1));
		close(fd);
		fd = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);
		ASSERT_LE(0, fd);
		/* They go a moment later. */
		for (i = 0; i < 500 && ALLOC(fd, 1) == -ENOSPC; i++)
			usleep(10000);
		EXPECT_GT(500, i);
	}
}

/* A user namespace whose root has ten uids, made by @uid; its first process's pid. */
static pid_t namespace_of(uid_t uid, uid_t first, struct bt_pipe *down)
{
	struct bt_pipe up, go;
	char path[64], map[64];
	pid_t pid;
	int rc;

	if (bt_pipe(&up) || bt_pipe(&go) || bt_pipe(down))
		return -1;
	pid = bt_fork();
	if (!pid) {
		if ((uid && bt_become(uid)) || prctl(PR_SET_DUMPABLE, 1) ||
		    unshare(CLONE_NEWUSER))
			_exit(1);
		bt_send(&up, 0);
		bt_receive(&go);
		return 0;
	}
	bt_receive(&up);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	snprintf(map, sizeof(map), "0 %u 10", first);
	rc = bt_write(path, map);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	rc = rc ?: bt_write(path, map);
	if (!rc) {
		bt_send(&go, 0);
		return pid;
	}
	kill(pid, SIGKILL);
	bt_reap(pid);
	return rc;
}

/* How many devices can be made by as many uids of a namespace, while all of them stay */
static int devices_of_uids(uid_t nr, unsigned int tries)
{
	struct bt_pipe up, down;
	int sum = 0, error;
	pid_t pid[10];
	uid_t uid;

	if (bt_pipe(&up) || bt_pipe(&down))
		return -1;
	for (uid = 0; uid < nr; uid++) {
		pid[uid] = bt_fork();
		if (!pid[uid]) {
			if (setresuid(uid, uid, uid))
				_exit(1);
			bt_send(&up, devices(tries, &error));
			bt_receive(&down);
			_exit(0);
		}
		sum += (int)bt_receive(&up);
	}
	/* Whichever takes it */
	for (uid = 0; uid < nr; uid++)
		bt_send(&down, 0);
	for (uid = 0; uid < nr; uid++)
		bt_reap(pid[uid]);
	return sum;
}

/* Uids that a user has in a namespace of his own do not multiply what he may have. */
TEST_F(limits, devices_of_a_user_namespace)
{
	struct bt_pipe down;
	pid_t pid;
	int error;

	ASSERT_EQ(0, bt_parameter("max_devices", 5, NULL));
	pid = namespace_of(BT_UID + 43, 2000000, &down);
	if (!pid)
		_exit(devices_of_uids(4, 3));
	ASSERT_LT(0, pid);
	EXPECT_EQ(5, bt_reap(pid));
	/* Their tombstones keep them: he has no room himself. */
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 43));
		EXPECT_EQ(0, devices(10, &error));
		EXPECT_EQ(-ENOSPC, error);
	}
}

/* Of those that root makes, as for containers, each counts for itself. */
TEST_F(limits, devices_of_roots_user_namespaces)
{
	struct bt_pipe down;
	pid_t pid;
	int i;

	ASSERT_EQ(0, bt_parameter("max_devices", 5, NULL));
	for (i = 0; i < 4; i++) {
		pid = namespace_of(0, 3000000, &down);
		if (!pid)
			_exit(devices_of_uids(4, 3));
		ASSERT_LT(0, pid);
		/* The kernel soon gives its number, and its place in memory, to the next. */
		EXPECT_EQ(5, bt_reap(pid));
	}
}

/* What such uids have of a device that is there is bounded, too. */
TEST_F(limits, shares_of_a_user_namespace)
{
	struct bt_pipe down;
	pid_t pid, one;
	int fd, i, sum = 0;

	ASSERT_EQ(0, ALLOC(self->fd, 1));
	ASSERT_EQ(0, bt_parameter("max_devices", 3, NULL));
	pid = namespace_of(BT_UID + 44, 4000000, &down);
	if (!pid) {
		for (i = 0; i < 6; i++) {
			one = bt_fork();
			if (!one) {
				if (setresuid(i, i, i))
					_exit(2);
				fd = bt_open();
				_exit(ALLOC(fd, 10 + i) == -ENOSPC);
			}
			sum += bt_reap(one);
		}
		_exit(sum);
	}
	EXPECT_EQ(3, bt_reap(pid));
}

/* A device that another brought into being costs nothing. */
TEST_F(limits, devices_that_are_there)
{
	ASSERT_EQ(0, ALLOC(self->fd, 1));
	ASSERT_EQ(0, bt_parameter("max_devices", 0, NULL));
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID + 12));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ALLOC(fd, 2));
		self->device = bt_device();
		EXPECT_EQ(-ENOSPC, ALLOC(fd, 2));
	}
}

/* Nor does one that another keeps when its own user has left it. */
TEST_F(limits, devices_that_others_keep)
{
	int other, fd, i;

	ASSERT_EQ(0, bt_parameter("max_devices", 1, NULL));
	ASSERT_EQ(0, bt_parameter("history", 0, NULL));
	IN_A_CHILD {
		ASSERT_EQ(0, seteuid(BT_UID + 15));
		other = bt_open();
		fd = bt_open();
		ASSERT_LE(0, other);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, seteuid(0));
		ASSERT_EQ(0, ALLOC(fd, 1));
		EXPECT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, 2));
		self->device = bt_device();
		EXPECT_EQ(-ENOSPC, ALLOC(other, 1));
		close(fd);
		/* He has left it a moment later. */
		for (i = 0; i < 500 && ALLOC(other, 1) == -ENOSPC; i++)
			usleep(10000);
		EXPECT_GT(500, i);
	}
}

/* Those that are gone count no more. */
TEST_F(limits, devices_come_and_go)
{
	struct bufftrack_op op = { .size = SIZE };
	int i, fd, other;

	ASSERT_EQ(0, bt_parameter("max_devices", 5, NULL));
	ASSERT_EQ(0, bt_parameter("history", 0, NULL));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 13));
		/* Without a client its user would go, too, and count anew. */
		other = bt_open();
		ASSERT_LE(0, other);
		for (i = 0; i < 50; i++) {
			fd = bt_open();
			ASSERT_LE(0, fd);
			op.device = bt_device();
			EXPECT_EQ(0, bt_alloc(fd, &op))
				TH_LOG("device %d", i);
			EXPECT_EQ(0, bt_free(fd, &op));
			close(fd);
			/* It may go a moment later. */
			usleep(20000);
		}
	}
}

/* A device that went after its freed-buffer records: nobody can tell what was there. */
TEST_F(limits, device_that_went_without_history)
{
	int other = bt_open(), i;
	__u64 lives;

	ASSERT_LE(0, other);
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, 1));
	EXPECT_EQ(0, (int)self->op.info);
	ASSERT_EQ(0, bt_parameter("history", 0, NULL));
	ASSERT_EQ(0, ALLOC(other, 1));
	ASSERT_EQ(0, FREE(other, 1));
	close(other);
	/* It may go a moment later: until then it can be reset. */
	for (i = 0; i < 500 && bt_reset(self->fd, self->device, &lives) != -ENODEV; i++)
		usleep(10000);
	ASSERT_GT(500, i);
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, 1));
	EXPECT_EQ(BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE, (int)self->op.info);
	/* Nor after it has come again */
	ASSERT_EQ(0, ALLOC(self->fd, 2));
	ASSERT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, 1));
	EXPECT_EQ(BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE, (int)self->op.info);
}

TEST_F(limits, labels_need_room_too)
{
	struct bufftrack_label label = { .label = "name" };
	int fd;

	ASSERT_EQ(0, bt_parameter("max_devices", 0, NULL));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 14));
		fd = bt_open();
		ASSERT_LE(0, fd);
		label.device = bt_device();
		EXPECT_EQ(-ENOSPC, bt_ioctl(fd, BUFFTRACK_IOC_LABEL, &label));
	}
}

TEST_F(limits, spaces)
{
	struct bufftrack_info info = { 0 };
	struct bufftrack_stat stat;
	__u32 i;

	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	ASSERT_LT(0, info.max_spaces);
	ASSERT_GE(4096, info.max_spaces);
	for (i = 0; i < info.max_spaces; i++)
		ASSERT_EQ(0, ALLOC(self->fd, 1, .space = i));
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 1, .space = i));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_SPACE,
				   self->device, i, &stat));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &stat));
	EXPECT_EQ(info.max_spaces, stat.live);
	EXPECT_EQ(0, ALLOC(self->fd, 2, .space = i - 1));
	/* Another user has room there. */
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID + 15));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ALLOC(fd, 1, .space = info.max_spaces));
	}
}

/* A user's freed-buffer records evict that user's only. */
TEST_F(limits, history_is_the_users)
{
	struct bufftrack_stat stat;
	__u64 i;

	ASSERT_EQ(0, bt_parameter("history", 10, NULL));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, ALLOC(self->fd, i));
		ASSERT_EQ(0, FREE(self->fd, i));
	}
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID + 16));
		fd = bt_open();
		ASSERT_LE(0, fd);
		for (i = 0; i < 100; i++) {
			EXPECT_EQ(0, ALLOC(fd, 1000 + i));
			EXPECT_EQ(0, FREE(fd, 1000 + i));
		}
	}
	for (i = 0; i < 10; i++)
		EXPECT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd, i));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &stat));
	EXPECT_EQ(20, stat.history);
	EXPECT_EQ(90, stat.evicted);
}

#define HOLDERS	1024

/* Each is looked through, while all calls of the device wait. */
TEST_F(limits, holders_of_a_life)
{
	const struct rlimit files = { 2 * HOLDERS, 2 * HOLDERS };
	const __u64 before = failed(self->fd);
	int fds[HOLDERS];
	unsigned int i;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	for (i = 0; i < HOLDERS; i++) {
		fds[i] = bt_open();
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, ALLOC(fds[i], 1, .flags = BUFFTRACK_F_SHARED));
	}
	EXPECT_EQ(-ENOSPC, ALLOC(self->fd, 1));
	EXPECT_EQ(before + 1, failed(self->fd));
	/* They themselves can go on, and where one goes there is room. */
	EXPECT_EQ(0, ALLOC(fds[0], 1));
	EXPECT_EQ(HOLDERS + 1, self->op.refs);
	close(fds[7]);
	EXPECT_EQ(0, ALLOC(self->fd, 1));
	EXPECT_EQ(HOLDERS + 1, self->op.refs);
	for (i = 0; i < HOLDERS; i++)
		if (i != 7)
			close(fds[i]);
	EXPECT_EQ(0, FREE(self->fd, 1));
	EXPECT_EQ(0, self->op.refs);
}

/* What others make of a life leaves room for its user, and for each other. */
TEST_F(limits, holders_of_anothers_life)
{
	int fds[40], i, room = 0;
	uid_t uid;

	ASSERT_EQ(0, ALLOC(self->fd, 1));
	for (uid = BT_UID + 50; uid < BT_UID + 52; uid++) {
		IN_A_CHILD {
			ASSERT_EQ(0, bt_become(uid));
			for (i = 0; i < 40; i++) {
				fds[i] = bt_open();
				ASSERT_LE(0, fds[i]);
				room += !ALLOC(fds[i], 1);
			}
			EXPECT_EQ(32, room);
			EXPECT_EQ(-ENOSPC, ALLOC(fds[39], 1));
		}
	}
}

static int open_as(uid_t uid)
{
	int fd;

	if (seteuid(uid))
		return -errno;
	fd = bt_open();
	return seteuid(0) ? -errno : fd;
}

/* A freed-buffer record counts to who allocated the buffer, whoever frees it. */
TEST_F(limits, history_of_lives_that_others_end)
{
	const int fd = open_as(BT_UID + 17);
	struct bufftrack_stat stat;
	__u64 i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_parameter("history", 10, NULL));
	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, ALLOC(fd, i, .flags = BUFFTRACK_F_SHARED));
		ASSERT_EQ(0, ALLOC(self->fd, i));
	}
	/* By a FREE, the last one */
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, FREE(fd, i));
		ASSERT_EQ(0, FREE(self->fd, i));
		/* It is told which life it has ended, which was not of its user. */
		ASSERT_NE(0, self->op.generation);
	}
	ASSERT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &stat));
	EXPECT_EQ(10, stat.history);
	EXPECT_EQ(90, stat.evicted);
	/* By the exit of who held them last */
	close(fd);
	close(self->fd);
	self->fd = open_as(BT_UID + 17);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &stat));
	EXPECT_EQ(0, stat.live);
	EXPECT_EQ(10, stat.history);
	EXPECT_EQ(290, stat.evicted);
}

/* In whatever shards the keys are: of all of them the first to end is the first to go. */
TEST_F(limits, history_goes_oldest_first)
{
	__u64 i;

	ASSERT_EQ(0, bt_parameter("history", 100, NULL));
	for (i = 0; i < 300; i++)
		ASSERT_EQ(0, ALLOC(self->fd, i));
	for (i = 0; i < 300; i++)
		ASSERT_EQ(0, FREE(self->fd, i));
	for (i = 0; i < 300; i++) {
		EXPECT_EQ(i < 200 ? -BUFFTRACK_UNKNOWN_FREE : -BUFFTRACK_DOUBLE_FREE,
			  FREE(self->fd, i))
			TH_LOG("buffer %llu", (unsigned long long)i);
	}
}

TEST_F(limits, history_is_the_private_clients)
{
	int p = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);
	__u64 i;

	ASSERT_LE(0, p);
	ASSERT_EQ(0, bt_parameter("history", 10, NULL));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, ALLOC(self->fd, i));
		ASSERT_EQ(0, FREE(self->fd, i));
	}
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(0, ALLOC(p, i));
		EXPECT_EQ(0, FREE(p, i));
	}
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(self->fd, i));
		EXPECT_EQ(0U, self->op.info);
	}
	EXPECT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(p, 0));
	EXPECT_EQ(BUFFTRACK_INFO_PROBABLE | BUFFTRACK_INFO_HISTORY_LOST,
		  self->op.info);
	close(p);
}

/* Under memory pressure freed-buffer records are evicted, and each is counted. */
TEST_F(limits, history_gives_way_to_memory)
{
	struct bufftrack_op *ops = calloc(1024, sizeof(*ops));
	struct bufftrack_stat before, after;
	struct bufftrack_batch batch;
	unsigned int i, round;

	ASSERT_TRUE(!!ops);
	for (round = 0; round < 16; round++) {
		for (i = 0; i < 1024; i++)
			ops[i] = (struct bufftrack_op) {
				.op = i & 1 ? BUFFTRACK_OP_FREE :
					      BUFFTRACK_OP_ALLOC,
				.device = self->device,
				.buffer = round * 512 + i / 2, .size = SIZE,
			};
		ASSERT_EQ(0, bt_batch(self->fd, ops, 1024, &batch));
		ASSERT_EQ(0, batch.bad);
	}
	ASSERT_EQ(0, ALLOC(self->fd, ~0ULL));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &before));
	EXPECT_EQ(16 * 512, before.history);
	ASSERT_EQ(0, bt_write("/proc/sys/vm/drop_caches", "2"));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &after));
	EXPECT_GT(before.history, after.history);
	EXPECT_EQ(before.history - after.history,
		  after.evicted - before.evicted);
	EXPECT_EQ(1, after.live);
	/* Live allocations are never evicted. */
	EXPECT_EQ(0, FREE(self->fd, ~0ULL));
	/* The first one that ended is gone, and it is said so. */
	EXPECT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(self->fd, 0));
	EXPECT_EQ(BUFFTRACK_INFO_PROBABLE | BUFFTRACK_INFO_HISTORY_LOST,
		  self->op.info);
	free(ops);
}

static int read_stack(int fd, __u32 id)
{
	struct bufftrack_frame frame;
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)&frame, .nr = 1, .frame_size = sizeof(frame),
		.stack_id = id,
	};

	return bt_ioctl(fd, BUFFTRACK_IOC_STACK, &stack);
}

TEST_F(limits, stacks)
{
	__u64 frames[4] = { 0x1000, 0x2000, 0x3000, 0 };
	struct bufftrack_info before = { 0 }, after = { 0 };
	struct bufftrack_life life;
	__u32 ids[8];
	__u64 i;

	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &before));
	if (!(before.features & BUFFTRACK_FEATURE_STACK))
		SKIP(return, "no BUFFTRACK_FEATURE_STACK");
	ASSERT_EQ(0, bt_parameter("max_stacks", 4, NULL));
	for (i = 0; i < 8; i++) {
		frames[3] = 0x10000 + i;
		ASSERT_EQ(0, ALLOC(self->fd, i, .stack = (uintptr_t)frames,
				   .stack_depth = 4));
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, i, &life));
		ids[i] = life.alloc.stack_id;
		EXPECT_EQ(0, read_stack(self->fd, ids[i]));
	}
	/* The oldest ones have given way, each counted. */
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i < 4 ? -ENOENT : 0, read_stack(self->fd, ids[i]))
			TH_LOG("stack %d", (int)i);
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &after));
	EXPECT_EQ(before.stacks_lost + 4, after.stacks_lost);
	/* One that is passed again and again stays. */
	for (i = 8; i < 40; i++) {
		frames[3] = i & 1 ? 0x10007 : 0x10000 + i;
		ASSERT_EQ(0, ALLOC(self->fd, i, .stack = (uintptr_t)frames,
				   .stack_depth = 4));
	}
	EXPECT_EQ(0, read_stack(self->fd, ids[7]));
	/* With no room for any, the calls go on. */
	ASSERT_EQ(0, bt_parameter("max_stacks", 0, NULL));
	frames[3] = 0x20000;
	EXPECT_EQ(0, ALLOC(self->fd, 100, .stack = (uintptr_t)frames, .stack_depth = 4));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 100, &life));
	EXPECT_EQ(0U, life.alloc.stack_id);
	/* What had one goes, and what comes does not trip over it. */
	ASSERT_EQ(0, bt_parameter("max_stacks", 4, NULL));
	for (i = 0; i < 40; i++)
		EXPECT_EQ(0, FREE(self->fd, i));
	EXPECT_EQ(0, ALLOC(self->fd, 7, .stack = (uintptr_t)frames, .stack_depth = 4));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 7, &life));
	EXPECT_EQ(0, read_stack(self->fd, life.alloc.stack_id));
}

/* As many stacks as may be, of processes that are gone: the newest is not what is lost. */
TEST_F_TIMEOUT(limits, stacks_of_short_processes, 300)
{
	__u64 frames[2] = { 0x1000, 0x2000 };
	struct bufftrack_life life;
	__u64 i;

	ASSERT_EQ(0, bt_parameter("max_stacks", 64, NULL));
	for (i = 0; i < 64; i++) {
		IN_A_CHILD {
			EXPECT_EQ(0, ALLOC(self->fd, i, .stack = (uintptr_t)frames,
					   .stack_depth = 2));
			EXPECT_EQ(0, FREE(self->fd, i));
		}
	}
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 63, &life));
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE,
		  FREE(self->fd, 63, .stack = (uintptr_t)frames, .stack_depth = 2));
	/* It has the next number. */
	EXPECT_EQ(0, read_stack(self->fd, life.alloc.stack_id + 1));
	EXPECT_EQ(0, read_stack(self->fd, life.alloc.stack_id));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 0, &life));
	EXPECT_EQ(-ENOENT, read_stack(self->fd, life.alloc.stack_id));
}

/* Many more than may be, of one process: none of the newest is missing. */
TEST_F_TIMEOUT(limits, stacks_without_end, 300)
{
	const unsigned int keep = 100, many = 5000;
	__u64 frames[16] = { 0 };
	struct bufftrack_life life;
	unsigned int i;

	ASSERT_EQ(0, bt_parameter("max_stacks", keep, NULL));
	/* Of a user who has no stacks of other tests. */
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID + 18));
		fd = bt_open();
		ASSERT_LE(0, fd);
		for (i = 0; i < many; i++) {
			frames[15] = i;
			ASSERT_EQ(0, ALLOC(fd, i, .stack = (uintptr_t)frames,
					   .stack_depth = 16));
		}
		for (i = many - keep - 1; i < many; i++) {
			ASSERT_EQ(0, bt_life(fd, self->device, 0, i, &life));
			EXPECT_EQ(i < many - keep ? -ENOENT : 0,
				  read_stack(fd, life.alloc.stack_id))
				TH_LOG("stack %u", i);
		}
	}
}

/* How many stacks are lost of bad calls from @nr places, one every @ms. */
static __u64 lost_of(FIXTURE_DATA(limits) *self, int fd, unsigned int nr,
		     unsigned int ms)
{
	struct bufftrack_info before = { 0 }, after = { 0 };
	static __u64 frames[2] = { 0x1000, 0x20000 };
	int rc;

	bt_ioctl(fd, BUFFTRACK_IOC_INFO, &before);
	for (; nr; nr--) {
		frames[1]++;
		rc = FREE(fd, 1, .stack = (uintptr_t)frames, .stack_depth = 2);
		if (rc != -BUFFTRACK_DOUBLE_FREE)
			return ~0ULL;
		usleep(ms * 1000);
	}
	bt_ioctl(fd, BUFFTRACK_IOC_INFO, &after);
	return after.stacks_lost - before.stacks_lost;
}

/* Whether the stack of the user's latest bad call is there: 0, or a negative errno */
static int bt_newest_has_stack(int fd)
{
	struct bufftrack_events end = { .flags = BUFFTRACK_EVENTS_END };
	struct bufftrack_bad bad = { 0 };
	struct bufftrack_events arg = {
		.entries = (uintptr_t)&bad, .nr = 1, .entry_size = sizeof(bad),
	};
	int rc = bt_ioctl(fd, BUFFTRACK_IOC_EVENTS, &end);

	arg.cursor = end.cursor - 1;
	rc = rc ?: bt_ioctl(fd, BUFFTRACK_IOC_EVENTS, &arg);
	return rc ?: read_stack(fd, bad.offender.stack_id);
}

/* Those that are kept of bad calls give way to newer ones. */
TEST_F(limits, stacks_of_bad_calls)
{
	struct bufftrack_info info = { 0 };
	int fd;

	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	if (!(info.features & BUFFTRACK_FEATURE_STACK))
		SKIP(return, "no BUFFTRACK_FEATURE_STACK");
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 17));
		fd = bt_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ALLOC(fd, 1));
		ASSERT_EQ(0, FREE(fd, 1));
		EXPECT_EQ(0, lost_of(self, fd, 80, 0));
	}
	ASSERT_EQ(0, bt_parameter("max_stacks", 4, NULL));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID + 17));
		fd = bt_open();
		ASSERT_LE(0, fd);
		/* The limit is lower: those that are above it go, and are counted. */
		EXPECT_LT(0, lost_of(self, fd, 1, 0));
		/* Each takes the place of the oldest, which EVENTS then has no more. */
		EXPECT_GE(10, lost_of(self, fd, 10, 0));
		EXPECT_EQ(0, bt_newest_has_stack(fd));
	}
}

TEST_HARNESS_MAIN
