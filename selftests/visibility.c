// SPDX-License-Identifier: GPL-2.0
/* Who sees what: users, capabilities, namespaces. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "bt.h"

#define SIZE	16
#define ALICE	(BT_UID + 20)

#ifndef CAP_PERFMON
#define CAP_PERFMON	38
#endif

/*
 * Alice owns buffer 1 (and has buffer 2 freed) on a device; what others see of
 * that is looked at by children that become someone else.
 */
FIXTURE(visibility) {
	int fd;				/* root's */
	__u64 device;
	__u64 generation;
	__u64 client;
	pid_t alice;
	uid_t bob;			/* a user who never did anything */
	struct bt_pipe up, down;
	struct bufftrack_op op;
	struct bufftrack_stat stat;
	struct bufftrack_life life;
};

#define ALLOC(fd, buffer) \
	bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device, buffer, &self->op)
#define FREE(fd, buffer) \
	bt_call(fd, BUFFTRACK_IOC_FREE, SIZE, self->device, buffer, &self->op)

FIXTURE_SETUP(visibility)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	self->bob = 100000 + getpid();
	ASSERT_EQ(0, chmod(BT_NODE, 0666));
	ASSERT_EQ(0, bt_pipe(&self->up));
	ASSERT_EQ(0, bt_pipe(&self->down));
	self->alice = bt_fork();
	if (!self->alice) {
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (bt_become(ALICE))
			_exit(1);
		fd = bt_open();
		bt_client(fd, 0, 0, "alices", NULL);
		ALLOC(fd, 2);
		FREE(fd, 2);
		ALLOC(fd, 1);
		bt_send(&self->up, self->op.generation);
		bt_send(&self->up, bt_client_id(fd));
		bt_receive(&self->down);
		_exit(0);
	}
	self->generation = bt_receive(&self->up);
	self->client = bt_receive(&self->up);
	ASSERT_NE(0ULL, self->client);
}

FIXTURE_TEARDOWN(visibility)
{
	bt_send(&self->down, 0);
	bt_reap(self->alice);
	chmod(BT_NODE, 0600);
	close(self->fd);
}

static struct bufftrack_list all(void)
{
	return (struct bufftrack_list) { .flags = BUFFTRACK_LIST_DEAD };
}

static struct bufftrack_list of_device(__u64 device)
{
	return (struct bufftrack_list) {
		.flags = BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_DEAD,
		.device = device,
	};
}

TEST_F(visibility, of_ones_own)
{
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(ALICE));
		fd = bt_open();
		ASSERT_LE(0, fd);
		/* Another process of hers */
		EXPECT_EQ(2, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_CLIENT, self->client,
				     0, &self->stat));
		EXPECT_STREQ("alices", self->stat.name);
		EXPECT_EQ((__u32)self->alice, self->stat.pid);
		EXPECT_EQ(ALICE, self->stat.uid);
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_DEVICE, self->device,
				     0, &self->stat));
		EXPECT_EQ(1, self->stat.live);
		EXPECT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(fd, 1));
		EXPECT_EQ(self->generation, self->op.generation);
		EXPECT_EQ(1, self->op.refs);
	}
}

TEST_F(visibility, of_anothers)
{
	IN_A_CHILD {
		struct bufftrack_stat mine;
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, bt_count(fd, all()));
		EXPECT_EQ(0, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(-ENOENT, bt_stat(fd, BUFFTRACK_STAT_CLIENT,
					   self->client, 0, &self->stat));
		EXPECT_EQ(-ENOENT, bt_stat(fd, BUFFTRACK_STAT_DEVICE,
					   self->device, 0, &self->stat));
		EXPECT_EQ(-ENOENT, bt_stat(fd, BUFFTRACK_STAT_SPACE,
					   self->device, 0, &self->stat));
		/* Nothing of hers is in the sums. */
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_ALL, 0, 0, &mine));
		EXPECT_EQ(0, mine.live);
		EXPECT_EQ(0, mine.allocs);
		EXPECT_EQ(0, mine.history);
		EXPECT_EQ(1, mine.clients);
	}
}

/* That the key is in use is told, and no more. */
TEST_F(visibility, of_anothers_by_a_free)
{
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(fd, 1));
		EXPECT_EQ(0, self->op.generation);
		EXPECT_EQ(0, self->op.refs);
		EXPECT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(fd, 2));
		EXPECT_EQ(0, self->op.generation);
		EXPECT_EQ(0, self->op.refs);
		EXPECT_EQ(-BUFFTRACK_UNKNOWN_FREE, FREE(fd, 3));
		/* Having tried gives no sight of it. */
		EXPECT_EQ(0, bt_count(fd, of_device(self->device)));
	}
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 1, &self->life));
	EXPECT_EQ(1, self->life.refs);
	EXPECT_EQ(1, self->life.refused);
}

TEST_F(visibility, of_a_life_that_both_hold)
{
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ALLOC(fd, 1));
		EXPECT_EQ(self->generation, self->op.generation);
		EXPECT_EQ(2, self->op.refs);
		/* It is hers all the same: she allocated it. */
		EXPECT_EQ(0, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(0, FREE(fd, 1));
	}
}

/* The allocation is his; that a client of root's owns it is not for him to see. */
TEST_F(visibility, of_a_life_that_another_holds)
{
	const __u64 roots = bt_client_id(self->fd);

	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ALLOC(fd, 3));
		ASSERT_EQ(0, ALLOC(self->fd, 3));
		ASSERT_EQ(0, bt_life(fd, self->device, 0, 3, &self->life));
		EXPECT_EQ(bt_client_id(fd), self->life.client);
		ASSERT_EQ(0, FREE(fd, 3));
		ASSERT_EQ(0, bt_life(fd, self->device, 0, 3, &self->life));
		EXPECT_EQ(BUFFTRACK_STATE_LIVE, (int)self->life.state);
		EXPECT_EQ(1, self->life.refs);
		EXPECT_EQ(0, self->life.client);
	}
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 3, &self->life));
	EXPECT_EQ(roots, self->life.client);
}

/* A key that was hers and is now his: he sees when her allocation ended, not whose it was. */
TEST_F(visibility, of_the_life_before)
{
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ALLOC(fd, 2));
		ASSERT_EQ(0, bt_life(fd, self->device, 0, 2, &self->life));
		EXPECT_EQ(getpid(), (pid_t)self->life.alloc.pid);
		EXPECT_EQ(BUFFTRACK_STATE_FREED, (int)self->life.prev_state);
		EXPECT_LT(0, self->life.prev_alloc.time);
		EXPECT_EQ(0, self->life.prev_alloc.pid);
		EXPECT_EQ(0, self->life.prev_alloc.tid);
		EXPECT_STREQ("", self->life.prev_alloc.comm);
		EXPECT_LT(0, self->life.prev_end.time);
		EXPECT_EQ(0, self->life.prev_end.pid);
		EXPECT_EQ(0, self->life.prev_generation);
	}
	/* Root sees both. */
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 2, &self->life));
	EXPECT_LT(0, self->life.prev_generation);
	EXPECT_EQ(self->alice, (pid_t)self->life.prev_alloc.pid);
}

TEST_F(visibility, of_walks)
{
	IN_A_CHILD {
		struct bufftrack_stat walk = {
			.scope = BUFFTRACK_STAT_CLIENT,
			.flags = BUFFTRACK_STAT_NEXT,
		};
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, bt_ioctl(fd, BUFFTRACK_IOC_STAT, &walk));
		EXPECT_EQ(bt_client_id(fd), walk.client);
		walk.client = 0;
		EXPECT_EQ(-ENOENT, bt_ioctl(fd, BUFFTRACK_IOC_STAT, &walk));
		walk = (struct bufftrack_stat) {
			.scope = BUFFTRACK_STAT_DEVICE,
			.flags = BUFFTRACK_STAT_NEXT,
		};
		EXPECT_EQ(-ENOENT, bt_ioctl(fd, BUFFTRACK_IOC_STAT, &walk));
	}
}

TEST_F(visibility, of_a_device_that_both_use)
{
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ALLOC(fd, 10));
		EXPECT_EQ(1, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_DEVICE, self->device,
				     0, &self->stat));
		/* Hers is no part of what he is told. */
		EXPECT_EQ(1, self->stat.live);
		EXPECT_EQ(1, self->stat.allocs);
		EXPECT_EQ(SIZE, self->stat.bytes);
		EXPECT_EQ(0, self->stat.history);
		EXPECT_EQ(1, self->stat.clients);
	}
}

TEST_F(visibility, of_root)
{
	EXPECT_EQ(2, bt_count(self->fd, of_device(self->device)));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, self->client, 0,
			     &self->stat));
	EXPECT_EQ(ALICE, self->stat.uid);
	EXPECT_EQ((__u32)self->alice, self->stat.pid);
	EXPECT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(self->fd, 1));
	EXPECT_EQ(self->generation, self->op.generation);
	EXPECT_EQ(1, self->op.refs);
}

/* Becomes @uid with one capability left. */
static int become_with(uid_t uid, unsigned int cap)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };

	if (prctl(PR_SET_KEEPCAPS, 1) || bt_become(uid))
		return -errno;
	data[cap / 32].permitted = 1U << cap % 32;
	data[cap / 32].effective = 1U << cap % 32;
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

TEST_F(visibility, of_cap_perfmon)
{
	IN_A_CHILD {
		__u64 lives;
		int fd;

		ASSERT_EQ(0, become_with(self->bob, CAP_PERFMON));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(2, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_CLIENT, self->client,
				     0, &self->stat));
		EXPECT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(fd, 1));
		EXPECT_EQ(self->generation, self->op.generation);
		EXPECT_EQ(1, self->op.refs);
		/* To see is not to reset. */
		EXPECT_EQ(-EPERM, bt_reset(fd, self->device, &lives));
	}
}

TEST_F(visibility, of_cap_sys_admin)
{
	IN_A_CHILD {
		__u64 lives;
		int fd;

		ASSERT_EQ(0, become_with(self->bob, CAP_SYS_ADMIN));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(2, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(0, bt_reset(fd, self->device, &lives));
		EXPECT_EQ(1, lives);
	}
}

TEST_F(visibility, of_another_capability)
{
	IN_A_CHILD {
		__u64 lives;
		int fd;

		ASSERT_EQ(0, become_with(self->bob, CAP_NET_ADMIN));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, bt_count(fd, of_device(self->device)));
		EXPECT_EQ(-EPERM, bt_reset(fd, self->device, &lives));
	}
}

static int map_ids(const char *uid_map, const char *gid_map)
{
	int rc = bt_write("/proc/self/setgroups", "deny");

	if (!rc)
		rc = bt_write("/proc/self/uid_map", uid_map);
	return rc ? rc : bt_write("/proc/self/gid_map", gid_map);
}

/* Root of a user namespace is nobody here. */
TEST_F(visibility, of_root_in_a_user_namespace)
{
	IN_A_CHILD {
		char map[64];
		__u64 lives;
		int fd;

		snprintf(map, sizeof(map), "0 %u 1", self->bob);
		ASSERT_EQ(0, bt_become(self->bob));
		/* /proc/self is root's own after a change of ids. */
		ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
		ASSERT_EQ(0, unshare(CLONE_NEWUSER));
		ASSERT_EQ(0, map_ids(map, map));
		EXPECT_EQ(0U, getuid());
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, bt_count(fd, all()));
		EXPECT_EQ(-ENOENT, bt_stat(fd, BUFFTRACK_STAT_CLIENT,
					   self->client, 0, &self->stat));
		EXPECT_EQ(-EPERM, bt_reset(fd, self->device, &lives));
		EXPECT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(fd, 1));
		EXPECT_EQ(0, self->op.generation);
		/* Its own uid is that of its namespace. */
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_CLIENT, 0, 0,
				     &self->stat));
		EXPECT_EQ(0, self->stat.uid);
	}
}

/* Pids are those of the reader's namespace, 0 where there is none. */
TEST_F(visibility, of_pids_in_a_pid_namespace)
{
	struct bt_pipe up, down;
	pid_t outer;

	ASSERT_EQ(0, bt_pipe(&up));
	ASSERT_EQ(0, bt_pipe(&down));
	ASSERT_EQ(0, ALLOC(self->fd, 20));
	ASSERT_EQ(0, unshare(CLONE_NEWPID));
	outer = bt_fork();
	if (!outer) {
		struct bufftrack_list filter = of_device(self->device);
		int fd = bt_open();

		ASSERT_LE(0, fd);
		EXPECT_EQ(1, getpid());
		EXPECT_EQ(0, ALLOC(fd, 21));
		ASSERT_EQ(0, bt_life(fd, self->device, 0, 21, &self->life));
		EXPECT_EQ(1, self->life.alloc.pid);
		EXPECT_EQ(1, self->life.alloc.tid);
		/* The one outside has no pid in here, though a time. */
		ASSERT_EQ(0, bt_life(fd, self->device, 0, 20, &self->life));
		EXPECT_EQ(0, self->life.alloc.pid);
		EXPECT_EQ(0, self->life.alloc.tid);
		EXPECT_NE(0, self->life.alloc.time);
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_CLIENT, self->client,
				     0, &self->stat));
		EXPECT_EQ(0, self->stat.pid);
		EXPECT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_CLIENT, 0, 0,
				     &self->stat));
		EXPECT_EQ(1, self->stat.pid);
		filter.flags |= BUFFTRACK_LIST_PID;
		filter.pid = 1;
		EXPECT_EQ(1, bt_count(fd, filter));
		bt_send(&up, bt_client_id(fd));
		bt_receive(&down);
		_exit(0);
	}
	EXPECT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, bt_receive(&up),
			     0, &self->stat));
	EXPECT_EQ((__u32)outer, self->stat.pid);
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 21, &self->life));
	EXPECT_EQ((__u32)outer, self->life.alloc.pid);
	bt_send(&down, 0);
	EXPECT_EQ(0, bt_reap(outer));
	/* Its number outlives it, here. */
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 21, &self->life));
	EXPECT_EQ((__u32)outer, self->life.alloc.pid);
	EXPECT_EQ(1, self->life.alloc.exited);
}

/* The node by another path is the same registry. */
TEST_F(visibility, of_a_mount_namespace)
{
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, unshare(CLONE_NEWNS));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(2, bt_count(fd, of_device(self->device)));
	}
}

/* A file handed down: sight is the caller's, not the opener's. */
TEST_F(visibility, of_a_file_that_root_opened)
{
	IN_A_CHILD {
		__u64 lives;

		ASSERT_EQ(0, bt_become(self->bob));
		EXPECT_EQ(0, bt_count(self->fd, of_device(self->device)));
		EXPECT_EQ(-EPERM, bt_reset(self->fd, self->device, &lives));
		EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT,
					   self->client, 0, &self->stat));
		EXPECT_EQ(-BUFFTRACK_FOREIGN_FREE, FREE(self->fd, 1));
		EXPECT_EQ(0, self->op.generation);
	}
}

/* Bob's process reports by a file of alice's: she sees that its allocation is there. */
TEST_F(visibility, of_a_process_that_uses_ones_file)
{
	struct bufftrack_list list = of_device(self->device);
	__u64 frames[] = { 0x1000, 0x2000 };
	struct bufftrack_frame room[2];
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)room, .nr = ARRAY_SIZE(room),
		.frame_size = sizeof(room[0]),
	};
	struct bufftrack_op op = {
		.device = self->device, .buffer = 40, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	struct bt_pipe up, down;
	pid_t bob;
	int fd;

	ASSERT_EQ(0, bt_pipe(&up));
	ASSERT_EQ(0, bt_pipe(&down));
	ASSERT_EQ(0, seteuid(ALICE));
	fd = bt_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_LE(0, fd);
	bob = bt_fork();
	if (!bob) {
		if (bt_become(self->bob) || bt_alloc(fd, &op))
			_exit(1);
		/* He owns another one of hers, too, by a file of his own. */
		close(fd);
		fd = bt_open();
		if (ALLOC(fd, 1))
			_exit(1);
		bt_send(&up, bt_client_id(fd));
		bt_receive(&down);
		_exit(0);
	}
	list.client = bt_receive(&up);
	list.pid = bob;
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 40, &self->life));
	ASSERT_EQ(bob, (pid_t)self->life.alloc.pid);
	stack.stack_id = self->life.alloc.stack_id;
	ASSERT_NE(0U, stack.stack_id);
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(ALICE));
		ASSERT_EQ(0, bt_life(fd, self->device, 0, 40, &self->life));
		EXPECT_EQ(0U, self->life.alloc.pid);
		EXPECT_EQ(0U, self->life.alloc.stack_id);
		EXPECT_EQ(-ENOENT, bt_ioctl(fd, BUFFTRACK_IOC_STACK, &stack));
		/* Nor by what she asks for */
		EXPECT_EQ(3, bt_count(fd, of_device(self->device)));
		list.flags |= BUFFTRACK_LIST_PID;
		EXPECT_EQ(0, bt_count(fd, (struct bufftrack_list) {
			.flags = list.flags, .device = list.device, .pid = bob }));
		EXPECT_EQ(0, bt_count(fd, (struct bufftrack_list) {
			.flags = BUFFTRACK_LIST_CLIENT, .client = list.client }));
	}
	/* Root sees who it was, bob his own stack. */
	EXPECT_EQ(1, bt_count(self->fd, (struct bufftrack_list) {
		.flags = BUFFTRACK_LIST_PID, .pid = bob }));
	EXPECT_EQ(1, bt_count(self->fd, (struct bufftrack_list) {
		.flags = BUFFTRACK_LIST_CLIENT, .client = list.client }));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(self->bob));
		EXPECT_EQ(0, bt_ioctl(fd, BUFFTRACK_IOC_STACK, &stack));
	}
	bt_send(&down, 0);
	EXPECT_EQ(0, bt_reap(bob));
	close(fd);
}

TEST_F(visibility, of_stacks)
{
	__u64 frames[] = { 0x1000, 0x2000 };
	struct bufftrack_frame room[4];
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)room, .nr = ARRAY_SIZE(room),
		.frame_size = sizeof(room[0]),
	};

	if (!(bt_features(self->fd) & BUFFTRACK_FEATURE_STACK))
		SKIP(return, "no BUFFTRACK_FEATURE_STACK");
	self->op = (struct bufftrack_op) {
		.device = self->device, .buffer = 30, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	ASSERT_EQ(0, bt_alloc(self->fd, &self->op));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 30, &self->life));
	stack.stack_id = self->life.alloc.stack_id;
	ASSERT_NE(0, (int)stack.stack_id);
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack));
	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(self->bob));
		fd = bt_open();
		ASSERT_LE(0, fd);
		stack.nr = ARRAY_SIZE(room);
		EXPECT_EQ(-ENOENT, bt_ioctl(fd, BUFFTRACK_IOC_STACK, &stack));
	}
}

/* Who gives back the last reference is told which life it was, whoever began it. */
TEST_F(visibility, of_the_last_reference_to_anothers)
{
	__u64 generation;
	int hers, his;

	ASSERT_EQ(0, seteuid(ALICE));
	hers = bt_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_LE(0, hers);
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(self->bob));
		his = bt_open();
		ASSERT_LE(0, his);
		ASSERT_EQ(0, ALLOC(hers, 70));
		generation = self->op.generation;
		ASSERT_EQ(0, ALLOC(his, 70));
		EXPECT_EQ(generation, self->op.generation);
		ASSERT_EQ(0, FREE(hers, 70));
		ASSERT_EQ(0, FREE(his, 70));
		EXPECT_EQ(generation, self->op.generation);
		EXPECT_EQ(0, self->op.refs);
		/* Once more, and it is hers. */
		EXPECT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(his, 70));
		EXPECT_EQ(0, self->op.generation);
	}
	close(hers);
}

/* What STACK tells a reader of alice's: the sum of the addresses, and of the offsets. */
struct told {
	int rc;
	bool addresses;
	bool files;
};

static struct told told_of(__u32 id)
{
	struct bufftrack_frame frames[2];
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)frames, .nr = 2, .frame_size = sizeof(frames[0]),
		.stack_id = id,
	};
	int fd = bt_open();
	struct told told = {
		.rc = fd < 0 ? -errno : bt_ioctl(fd, BUFFTRACK_IOC_STACK, &stack),
	};

	close(fd);
	if (!told.rc) {
		told.addresses = frames[0].address && frames[1].address;
		told.files = frames[0].path[0] && frames[0].offset;
		/* Never a part of them */
		if (!told.addresses && (frames[0].address || frames[1].address))
			told.rc = -EIO;
	}
	return told;
}

/* A process that reports a stack, when it has become what @become makes of it */
static pid_t reporter(__u64 device, int (*become)(void), struct bt_pipe *down, __u32 *id)
{
	const __u64 frames[] = { (uintptr_t)told_of + 4, 0x7000 };
	struct bufftrack_op op = {
		.device = device, .buffer = 60, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	struct bufftrack_life life = { 0 };
	struct bt_pipe up;
	pid_t pid;
	int fd;

	if (bt_pipe(&up) || bt_pipe(down))
		return -1;
	pid = bt_fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = become() ? -1 : bt_open();
		/* 0 where it fails: somebody waits for it. */
		if (fd < 0 || bt_alloc(fd, &op) || bt_life(fd, device, 0, 60, &life))
			life.alloc.stack_id = 0;
		bt_send(&up, life.alloc.stack_id);
		/* It may look at itself, whatever it has become. */
		bt_send(&up, told_of(life.alloc.stack_id).addresses);
		bt_receive(down);
		_exit(0);
	}
	*id = bt_receive(&up);
	return bt_receive(&up) ? pid : -1;
}

static int alice_plain(void)
{
	return bt_become(ALICE) ?: prctl(PR_SET_DUMPABLE, 1);
}

static int alice_hidden(void)
{
	return bt_become(ALICE) ?: prctl(PR_SET_DUMPABLE, 0);
}

/* As a program with file capabilities has them, but looked into all the same */
static int alice_capable(void)
{
	return become_with(ALICE, CAP_NET_ADMIN) ?: prctl(PR_SET_DUMPABLE, 1);
}

static int root_plain(void)
{
	return 0;
}

/* Root without capabilities, as in a container that has no user namespace */
static int root_of_a_container(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Where things lie in a process is told to those who may trace it. */
TEST_F(visibility, of_addresses)
{
	struct {
		const char *what;
		int (*whose)(void);
		int (*reader)(void);
		int rc;
		bool addresses;
	} cases[] = {
		{ "one's own", alice_plain, alice_plain, 0, true },
		{ "not dumpable", alice_hidden, alice_plain, 0, false },
		{ "not dumpable, to root", alice_hidden, root_plain, 0, true },
		{ "of capabilities", alice_capable, alice_plain, 0, false },
		{ "of the same capabilities", alice_capable, alice_capable, 0, true },
		{ "root's", root_plain, root_of_a_container, 0, false },
		{ "root's, to alice", root_plain, alice_plain, -ENOENT, false },
		{ "a container's root's", root_of_a_container, root_of_a_container, 0, true },
	};
	struct bt_pipe down;
	struct told told;
	unsigned int i;
	pid_t pid;
	__u32 id = 0;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pid = reporter(self->device, cases[i].whose, &down, &id);
		ASSERT_NE(0U, id)
			TH_LOG("%s", cases[i].what);
		ASSERT_LT(0, pid)
			TH_LOG("%s", cases[i].what);
		IN_A_CHILD {
			ASSERT_EQ(0, cases[i].reader());
			told = told_of(id);
			EXPECT_EQ(cases[i].rc, told.rc)
				TH_LOG("%s", cases[i].what);
			EXPECT_EQ(cases[i].addresses, told.addresses)
				TH_LOG("%s", cases[i].what);
			EXPECT_EQ(!cases[i].rc, told.files)
				TH_LOG("%s", cases[i].what);
		}
		bt_send(&down, 0);
		EXPECT_EQ(0, bt_reap(pid));
		/* It is gone: nobody may look into it any more, but who sees all. */
		IN_A_CHILD {
			ASSERT_EQ(0, cases[i].reader());
			told = told_of(id);
			EXPECT_EQ(cases[i].rc, told.rc);
			EXPECT_EQ(cases[i].reader == root_plain, told.addresses)
				TH_LOG("%s, gone", cases[i].what);
		}
		EXPECT_TRUE(told_of(id).addresses);
	}
}

/* Nor what a process was before an exec, to those who may look into what it is now */
TEST_F(visibility, of_addresses_before_an_exec)
{
	const __u64 frames[] = { (uintptr_t)told_of + 4, 0x7000 };
	struct bufftrack_op op = {
		.device = self->device, .buffer = 61, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	struct bt_pipe up;
	struct told told;
	pid_t pid;
	__u32 id = 0;
	int fd;

	ASSERT_EQ(0, bt_pipe(&up));
	pid = bt_fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = bt_become(ALICE) ? -1 : bt_open();
		if (fd < 0 || bt_alloc(fd, &op) ||
		    bt_life(fd, self->device, 0, 61, &self->life))
			self->life.alloc.stack_id = 0;
		bt_send(&up, self->life.alloc.stack_id);
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(2);
	}
	id = bt_receive(&up);
	ASSERT_NE(0U, id);
	usleep(300000);
	IN_A_CHILD {
		ASSERT_EQ(0, alice_plain());
		told = told_of(id);
		EXPECT_EQ(0, told.rc);
		EXPECT_TRUE(told.files);
		EXPECT_FALSE(told.addresses);
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	bt_reap(pid);
}

TEST_HARNESS_MAIN
