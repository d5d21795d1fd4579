// SPDX-License-Identifier: GPL-2.0
/* Return addresses that a caller passes, and what is kept of them. */
#include <sys/mount.h>
#include <sys/prctl.h>

#include <sched.h>

#include "bt.h"

#define SIZE	16

FIXTURE(stack) {
	int fd;
	__u64 device;
	__u32 depth;			/* at most */
	struct bufftrack_op op;
	struct bufftrack_life life;
	struct bufftrack_stack stack;
	struct bufftrack_frame frames[256];
};

FIXTURE_SETUP(stack)
{
	struct bufftrack_info info = { 0 };

	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	if (!(info.features & BUFFTRACK_FEATURE_STACK))
		SKIP(return, "no BUFFTRACK_FEATURE_STACK");
	self->depth = info.max_stack_depth;
	ASSERT_LE(16, self->depth);
	ASSERT_GE(ARRAY_SIZE(self->frames), self->depth);
}

FIXTURE_TEARDOWN(stack)
{
	close(self->fd);
}

static int call(FIXTURE_DATA(stack) *self, int fd, unsigned long cmd,
		__u64 buffer, const __u64 *frames, unsigned int depth)
{
	self->op = (struct bufftrack_op) {
		.device = self->device, .buffer = buffer,
		.size = cmd == BUFFTRACK_IOC_ALLOC ? SIZE : 0,
		.stack = (uintptr_t)frames, .stack_depth = depth,
	};
	return bt_op(fd, cmd, &self->op) ?: -(int)self->op.verdict;
}

#define ALLOC(buffer, frames, depth) \
	call(self, self->fd, BUFFTRACK_IOC_ALLOC, buffer, frames, depth)
#define FREE(buffer, frames, depth) \
	call(self, self->fd, BUFFTRACK_IOC_FREE, buffer, frames, depth)
#define LIFE(_buffer) \
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, _buffer, &self->life))

static int read_stack(FIXTURE_DATA(stack) *self, __u32 id, unsigned int room)
{
	memset(self->frames, BT_POISON, sizeof(self->frames));
	self->stack = (struct bufftrack_stack) {
		.frames = (uintptr_t)self->frames, .nr = room,
		.frame_size = sizeof(self->frames[0]), .stack_id = id,
	};
	return bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &self->stack);
}

#define READ(id, room)	read_stack(self, id, room)

TEST_F(stack, of_each_event)
{
	const __u64 at_alloc[] = { 0x1001, 0x1002, 0x1003 };
	const __u64 at_free[] = { 0x2001, 0x2002 };
	unsigned int i;

	ASSERT_EQ(0, ALLOC(1, at_alloc, 3));
	ASSERT_EQ(0, FREE(1, at_free, 2));
	LIFE(1);
	ASSERT_NE(0U, self->life.alloc.stack_id);
	ASSERT_NE(0U, self->life.end.stack_id);
	ASSERT_NE(self->life.end.stack_id, self->life.alloc.stack_id);
	ASSERT_EQ(0, READ(self->life.alloc.stack_id, 8));
	ASSERT_EQ(3, self->stack.nr);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(at_alloc[i], self->frames[i].address);
		/* Nothing is mapped there. */
		EXPECT_EQ(0, self->frames[i].offset);
		EXPECT_STREQ("", self->frames[i].path);
		EXPECT_EQ(0, self->frames[i].build_id_len);
		EXPECT_EQ(0, self->frames[i].inode);
	}
	EXPECT_EQ(0xa5, (unsigned char)self->frames[3].path[0]);
	ASSERT_EQ(0, READ(self->life.end.stack_id, 8));
	ASSERT_EQ(2, self->stack.nr);
	EXPECT_EQ(at_free[0], self->frames[0].address);
	EXPECT_EQ(at_free[1], self->frames[1].address);
}

TEST_F(stack, none)
{
	ASSERT_EQ(0, ALLOC(1, NULL, 0));
	LIFE(1);
	EXPECT_EQ(0, self->life.alloc.stack_id);
	EXPECT_EQ(-ENOENT, READ(0, 1));
	EXPECT_EQ(-ENOENT, READ(~0U, 1));
}

/* One stack is kept once, however many allocations refer to it. */
TEST_F(stack, kept_once)
{
	const __u64 one[] = { 0x3001, 0x3002 }, two[] = { 0x3001, 0x3003 };
	__u32 id;

	ASSERT_EQ(0, ALLOC(1, one, 2));
	LIFE(1);
	id = self->life.alloc.stack_id;
	ASSERT_EQ(0, ALLOC(2, one, 2));
	LIFE(2);
	EXPECT_EQ(id, self->life.alloc.stack_id);
	/* Another one, and a part of the first */
	ASSERT_EQ(0, ALLOC(3, two, 2));
	LIFE(3);
	EXPECT_NE(id, self->life.alloc.stack_id);
	ASSERT_EQ(0, ALLOC(4, one, 1));
	LIFE(4);
	EXPECT_NE(id, self->life.alloc.stack_id);
}

/* From one place by more tasks than the kernel looks through, each under its own name */
TEST_F(stack, of_many_tasks)
{
	const unsigned int many = 100;
	const __u64 frames[] = { 0x3101, 0x3102 };
	char name[BUFFTRACK_COMM_LEN];
	unsigned long history;
	unsigned int i;
	__u32 id;

	for (i = 0; i < 2 * many; i++) {
		snprintf(name, sizeof(name), "task-%u", i % many);
		ASSERT_EQ(0, prctl(PR_SET_NAME, name));
		ASSERT_EQ(0, ALLOC(1 + i, frames, 2));
	}
	LIFE(1);
	id = self->life.alloc.stack_id;
	ASSERT_NE(0U, id);
	for (i = 0; i < 2 * many; i++) {
		snprintf(name, sizeof(name), "task-%u", i % many);
		LIFE(1 + i);
		EXPECT_STREQ(name, self->life.alloc.comm);
		EXPECT_EQ(id, self->life.alloc.stack_id);
	}
	/* The last one of them takes it along. */
	ASSERT_EQ(0, bt_parameter("history", 0, &history));
	close(self->fd);
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(-ENOENT, READ(id, 1));
}

/* In another address space the same addresses mean something else. */
TEST_F(stack, of_another_process)
{
	const __u64 frames[] = { 0x3101, 0x3102 };
	__u32 id;

	ASSERT_EQ(0, ALLOC(1, frames, 2));
	IN_A_CHILD {
		ASSERT_EQ(0, ALLOC(2, frames, 2));
	}
	LIFE(1);
	id = self->life.alloc.stack_id;
	LIFE(2);
	EXPECT_LT(0, id);
	EXPECT_LT(0, self->life.alloc.stack_id);
	EXPECT_NE(id, self->life.alloc.stack_id);
}

/* Address spaces differ in few bits: these must do, for the places of their stacks. */
TEST_F_TIMEOUT(stack, of_many_processes, 300)
{
	const unsigned int many = 600;
	struct bufftrack_info before = { 0 }, after = { 0 };
	const __u64 frames[] = { 0x3201, 0x3202 };
	unsigned int i;

	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &before));
	for (i = 0; i < many; i++) {
		IN_A_CHILD {
			EXPECT_EQ(0, ALLOC(1 + i, frames, 2));
		}
	}
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &after));
	EXPECT_EQ(before.stacks_lost, after.stacks_lost);
}

/* It goes with the last allocation that refers to it. */
TEST_F(stack, goes_with_its_lives)
{
	const __u64 frames[] = { 0x4001 }, other[] = { 0x4002 };
	unsigned long history;
	__u32 id;

	ASSERT_EQ(0, bt_parameter("history", 1, &history));
	ASSERT_EQ(0, ALLOC(1, frames, 1));
	LIFE(1);
	id = self->life.alloc.stack_id;
	ASSERT_EQ(0, FREE(1, NULL, 0));
	EXPECT_EQ(0, READ(id, 1));
	/* The freed-buffer record is evicted, and the stack with it. */
	ASSERT_EQ(0, ALLOC(2, other, 1));
	ASSERT_EQ(0, FREE(2, NULL, 0));
	EXPECT_EQ(-ENOENT, READ(id, 1));
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
}

/* Two allocations of a key are known: the earlier one's stacks are, too. */
TEST_F(stack, of_the_life_before)
{
	const __u64 frames[3] = { 0x5001, 0x5002, 0x5003 };
	__u32 id;

	ASSERT_EQ(0, ALLOC(1, &frames[0], 1));
	ASSERT_EQ(0, FREE(1, &frames[1], 1));
	ASSERT_EQ(0, ALLOC(1, &frames[2], 1));
	LIFE(1);
	id = self->life.prev_alloc.stack_id;
	ASSERT_EQ(0, READ(id, 1));
	EXPECT_EQ(frames[0], self->frames[0].address);
	ASSERT_EQ(0, READ(self->life.prev_end.stack_id, 1));
	EXPECT_EQ(frames[1], self->frames[0].address);
	ASSERT_EQ(0, FREE(1, NULL, 0));
	ASSERT_EQ(0, ALLOC(1, NULL, 0));
	EXPECT_EQ(-ENOENT, READ(id, 1));
}

/*
 * No allocation refers to the stack of a refused call: EVENTS does, of the user's latest
 * 1,024.
 */
TEST_F(stack, of_refused_calls)
{
	__u64 frame = 0x5801;
	unsigned int i;
	__u32 id;

	ASSERT_EQ(0, ALLOC(1, NULL, 0));
	ASSERT_EQ(0, FREE(1, &frame, 1));
	LIFE(1);
	/* It has the next number. */
	id = self->life.end.stack_id + 1;
	EXPECT_EQ(-ENOENT, READ(id, 1));
	frame = 0x5802;
	/* The same one again is the same one. */
	for (i = 0; i < 100; i++)
		ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(1, &frame, 1));
	ASSERT_EQ(0, READ(id, 1));
	EXPECT_EQ(frame, self->frames[0].address);
	for (i = 1; i < 1024; i++) {
		frame++;
		ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(1, &frame, 1));
	}
	EXPECT_EQ(0, READ(id, 1));
	frame++;
	ASSERT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(1, &frame, 1));
	EXPECT_EQ(-ENOENT, READ(id, 1));
	EXPECT_EQ(0, READ(id + 1024, 1));
	EXPECT_EQ(frame, self->frames[0].address);
}

TEST_F(stack, deep)
{
	__u64 *frames = calloc(self->depth, sizeof(*frames));
	unsigned int i;

	ASSERT_TRUE(!!frames);
	for (i = 0; i < self->depth; i++)
		frames[i] = 0x60000 + i;
	ASSERT_EQ(0, ALLOC(1, frames, self->depth));
	LIFE(1);
	ASSERT_EQ(0, READ(self->life.alloc.stack_id, self->depth));
	EXPECT_EQ(self->depth, self->stack.nr);
	for (i = 0; i < self->depth; i++)
		EXPECT_EQ(frames[i], self->frames[i].address);
	/* With less room, that is filled, and the depth is told. */
	ASSERT_EQ(0, READ(self->life.alloc.stack_id, 2));
	EXPECT_EQ(self->depth, self->stack.nr);
	EXPECT_EQ(frames[1], self->frames[1].address);
	EXPECT_EQ(0xa5, (unsigned char)self->frames[2].path[0]);
	free(frames);
}

/* Where a frame lies in a mapped file, that and the place in it are kept. */
TEST_F(stack, in_a_mapped_file)
{
	const __u64 frames[] = { (uintptr_t)read_stack + 1 };
	char path[BUFFTRACK_PATH_LEN];
	unsigned long start = 0, end = 0, offset = 0;
	char line[512];
	bool found = false;
	FILE *maps;
	ssize_t n;

	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	ASSERT_LT(0, n);
	path[n] = '\0';
	maps = fopen("/proc/self/maps", "r");
	ASSERT_TRUE(!!maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%lx-%lx %*s %lx", &start, &end,
			       &offset) == 3 &&
			frames[0] >= start && frames[0] < end;
	fclose(maps);
	ASSERT_TRUE(found);
	ASSERT_EQ(0, ALLOC(1, frames, 1));
	LIFE(1);
	ASSERT_EQ(0, READ(self->life.alloc.stack_id, 1));
	EXPECT_EQ(frames[0], self->frames[0].address);
	EXPECT_EQ(frames[0] - start + offset, self->frames[0].offset);
	EXPECT_STREQ(path, self->frames[0].path);
}

#define PLACE		((void *)0x20000000)
#define PLACE_SIZE	0x10000

/* A file of zeros that has a page more for each time it is called */
static int write_pages(const char *path, unsigned int pages)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	char page[4096] = { 0 };

	if (fd < 0)
		return -errno;
	for (; pages; pages--)
		if (write(fd, page, sizeof(page)) != sizeof(page))
			return -EIO;
	return fd;
}

/* Maps the file at PLACE, as a library is, in place of what is there. */
static int map_there(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *at;

	if (fd < 0)
		return -errno;
	at = mmap(PLACE, PLACE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
	close(fd);
	return at == PLACE ? 0 : -EIO;
}

/* A library that was unmapped, and another one in its place, at the same addresses */
TEST_F(stack, of_a_library_in_anothers_place)
{
	const __u64 frames[] = { (uintptr_t)PLACE + 0x123, (uintptr_t)read_stack };
	char one[] = "/tmp/bufftrack-XXXXXX", two[] = "/tmp/bufftrack-XXXXXX";
	__u32 first, second;

	close(mkstemp(one));
	close(mkstemp(two));
	close(write_pages(one, 16));
	close(write_pages(two, 16));
	ASSERT_EQ(0, map_there(one));
	ASSERT_EQ(0, ALLOC(1, frames, 2));
	ASSERT_EQ(0, map_there(two));
	ASSERT_EQ(0, ALLOC(2, frames, 2));
	ASSERT_EQ(0, ALLOC(3, frames, 2));
	LIFE(1);
	first = self->life.alloc.stack_id;
	LIFE(2);
	second = self->life.alloc.stack_id;
	EXPECT_NE(first, second);
	LIFE(3);
	EXPECT_EQ(second, self->life.alloc.stack_id);
	ASSERT_EQ(0, READ(first, 2));
	EXPECT_STREQ(one, self->frames[0].path);
	EXPECT_EQ(0x123, self->frames[0].offset);
	ASSERT_EQ(0, READ(second, 2));
	EXPECT_STREQ(two, self->frames[0].path);
	EXPECT_EQ(0x123, self->frames[0].offset);

	/* Written anew, in the same inode: what is mapped is another library. */
	ASSERT_EQ(0, munmap(PLACE, PLACE_SIZE));
	usleep(20000);
	close(write_pages(two, 17));
	ASSERT_EQ(0, map_there(two));
	ASSERT_EQ(0, ALLOC(4, frames, 2));
	LIFE(4);
	EXPECT_NE(second, self->life.alloc.stack_id);

	/* Nothing is mapped any more, then code that was made here. */
	ASSERT_EQ(0, munmap(PLACE, PLACE_SIZE));
	ASSERT_EQ(0, ALLOC(5, frames, 2));
	LIFE(5);
	second = self->life.alloc.stack_id;
	EXPECT_NE(first, second);
	ASSERT_EQ(0, READ(second, 2));
	EXPECT_STREQ("", self->frames[0].path);
	EXPECT_EQ(0, self->frames[0].offset);
	EXPECT_EQ(frames[0], self->frames[0].address);
	/* The first one again is as a new one: it may have been replaced meanwhile. */
	ASSERT_EQ(0, map_there(one));
	ASSERT_EQ(0, ALLOC(6, frames, 2));
	LIFE(6);
	EXPECT_NE(second, self->life.alloc.stack_id);
	ASSERT_EQ(0, READ(self->life.alloc.stack_id, 2));
	EXPECT_STREQ(one, self->frames[0].path);
	munmap(PLACE, PLACE_SIZE);
	unlink(one);
	unlink(two);
}

/* The path that /proc/self/maps has for an address */
static int path_in_maps(unsigned long address, char *path, size_t size)
{
	unsigned long start, end;
	char line[512];
	int rc = -ENOENT;
	FILE *maps;

	maps = fopen("/proc/self/maps", "re");
	while (maps && rc && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || address < start ||
		    address >= end || !strchr(line, '/'))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, size, "%s", strchr(line, '/'));
		rc = 0;
	}
	if (maps)
		fclose(maps);
	return rc;
}

/* On an overlay that is not the root, the path is that in the overlay, not the layer's. */
TEST_F(stack, in_a_file_of_an_overlay)
{
	const __u64 frames[] = { (uintptr_t)PLACE + 0x10 };
	char top[] = "/tmp/bufftrack-XXXXXX", path[BUFFTRACK_PATH_LEN];

	ASSERT_TRUE(!!mkdtemp(top));
	IN_A_CHILD {
		ASSERT_EQ(0, unshare(CLONE_NEWNS));
		ASSERT_EQ(0, mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
		ASSERT_EQ(0, mount("tmpfs", top, "tmpfs", 0, NULL));
		ASSERT_EQ(0, chdir(top));
		ASSERT_EQ(0, mkdir("lower", 0755));
		ASSERT_EQ(0, mkdir("upper", 0755));
		ASSERT_EQ(0, mkdir("work", 0755));
		ASSERT_EQ(0, mkdir("merged", 0755));
		close(write_pages("lower/library.so", 16));
		if (mount("overlay", "merged", "overlay", 0,
			  "lowerdir=lower,upperdir=upper,workdir=work")) {
			ASSERT_EQ(ENODEV, errno);
			SKIP(_exit(0), "this kernel has no overlayfs");
		}
		ASSERT_EQ(0, map_there("merged/library.so"));
		ASSERT_EQ(0, path_in_maps(frames[0], path, sizeof(path)));
		ASSERT_TRUE(!!strstr(path, "/merged/library.so"));
		ASSERT_EQ(0, ALLOC(1, frames, 1));
		LIFE(1);
		ASSERT_EQ(0, READ(self->life.alloc.stack_id, 1));
		EXPECT_STREQ(path, self->frames[0].path);
		EXPECT_EQ(0x10, self->frames[0].offset);
	}
	rmdir(top);
}

/*
 * The objects of a slab cache that are in use, or -1. Those that were freed but lie in a CPU's
 * slab, or in KASAN's quarantine, count too, until the cache is shrunk.
 */
static long in_slab(const char *name)
{
	char path[128], line[512], cache[64];
	long used = -1, n;
	FILE *slabs;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
	bt_write(path, "1");
	slabs = fopen("/proc/slabinfo", "re");
	while (slabs && used < 0 && fgets(line, sizeof(line), slabs))
		if (sscanf(line, "%63s %ld", cache, &n) == 2 && !strcmp(cache, name))
			used = n;
	if (slabs)
		fclose(slabs);
	return used;
}

/* What is kept of a process that is gone does not keep its address space. */
TEST_F_TIMEOUT(stack, pins_no_address_space, 300)
{
	const unsigned int many = 64;
	const __u64 frames[] = { (uintptr_t)read_stack };
	unsigned int i, round;
	long used[2];

	if (in_slab("mm_struct") < 0)
		SKIP(return, "no /proc/slabinfo with mm_struct");
	ASSERT_EQ(0, ALLOC(1, NULL, 0));
	ASSERT_EQ(0, FREE(1, NULL, 0));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < many; i++) {
			IN_A_CHILD {
				EXPECT_EQ(-BUFFTRACK_DOUBLE_FREE,
					  FREE(1, round ? frames : NULL, round));
			}
		}
		used[round] = in_slab("mm_struct");
	}
	/* Some may be in use by chance: of those that were kept there were 64. */
	EXPECT_GT(used[0] + 40, used[1]);
}

/* The process is gone; the stack is not. */
TEST_F(stack, outlives_its_process)
{
	char path[BUFFTRACK_PATH_LEN];
	ssize_t n;

	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	ASSERT_LT(0, n);
	path[n] = '\0';
	IN_A_CHILD {
		const __u64 frames[] = { (uintptr_t)read_stack };

		EXPECT_EQ(0, ALLOC(1, frames, 1));
	}
	LIFE(1);
	EXPECT_EQ(1, self->life.alloc.exited);
	ASSERT_EQ(0, READ(self->life.alloc.stack_id, 1));
	EXPECT_STREQ(path, self->frames[0].path);
}

TEST_F(stack, frame_size)
{
	const __u64 frames[] = { 0x7001 };
	unsigned int size;
	char room[4096 + 8];

	ASSERT_EQ(0, ALLOC(1, frames, 1));
	LIFE(1);
#define SIZED(size) ({							\
	self->stack = (struct bufftrack_stack) {			\
		.frames = (uintptr_t)room, .nr = 1, .frame_size = size,	\
		.stack_id = self->life.alloc.stack_id };		\
	bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &self->stack);		\
})
	for (size = 0; size < sizeof(struct bufftrack_frame); size += 8)
		EXPECT_EQ(-EINVAL, SIZED(size));
	EXPECT_EQ(-EINVAL, SIZED(sizeof(struct bufftrack_frame) + 4));
	EXPECT_EQ(-EINVAL, SIZED(4096 + 8));
	EXPECT_EQ(0, SIZED(4096));
#undef SIZED
}

/* Without the feature it is said so, and not done by halves. */
TEST(stack_feature)
{
	const __u64 frames[] = { 0x1000 };
	struct bufftrack_op op = {
		.device = bt_device(), .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = 1,
	};
	struct bufftrack_stack stack = {
		.frame_size = sizeof(struct bufftrack_frame), .nr = 1,
	};
	int fd = bt_open();
	bool has = bt_features(fd) & BUFFTRACK_FEATURE_STACK;

	ASSERT_LE(0, fd);
	EXPECT_EQ(has ? 0 : -EOPNOTSUPP, bt_alloc(fd, &op));
	EXPECT_EQ(has ? -ENOENT : -ENOTTY,
		  bt_ioctl(fd, BUFFTRACK_IOC_STACK, &stack));
	close(fd);
}

TEST_HARNESS_MAIN
