// SPDX-License-Identifier: GPL-2.0
/* The walk over the allocations: pages, filters, and allocations that come and go. */
#include "bt.h"

#define LIVES	500
#define FIRST	0x10000
#define MANY	250000

FIXTURE(list) {
	int fd;
	__u64 device;
	unsigned char seen[LIVES];
	unsigned int others;
};

FIXTURE_SETUP(list)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
}

FIXTURE_TEARDOWN(list)
{
	close(self->fd);
}

static int alloc_in(int fd, __u64 device, __u32 space, __u64 buffer)
{
	struct bufftrack_op op = {
		.device = device, .space = space, .buffer = buffer, .size = 1,
	};
	int rc = bt_alloc(fd, &op);

	return rc ? rc : -op.verdict;
}

static int free_in(int fd, __u64 device, __u32 space, __u64 buffer)
{
	struct bufftrack_op op = {
		.device = device, .space = space, .buffer = buffer,
	};
	int rc = bt_free(fd, &op);

	return rc ? rc : -op.verdict;
}

#define ALLOC(buffer)	alloc_in(self->fd, self->device, 0, buffer)
#define FREE(buffer)	free_in(self->fd, self->device, 0, buffer)

static int count(const struct bufftrack_life *life, void *data)
{
	FIXTURE_DATA(list) *self = data;

	if (life->buffer >= FIRST && life->buffer < FIRST + LIVES &&
	    life->device == self->device)
		self->seen[life->buffer - FIRST]++;
	else
		self->others++;
	return 0;
}

struct many {
	unsigned char *met;
	unsigned int nr, again;
};

static int meet(const struct bufftrack_life *life, void *data)
{
	struct many *many = data;

	many->nr++;
	many->again += life->buffer >= MANY || many->met[life->buffer]++;
	return 0;
}

static struct bufftrack_list of_device(__u64 device)
{
	return (struct bufftrack_list) {
		.flags = BUFFTRACK_LIST_DEVICE, .device = device,
	};
}

TEST_F(list, nothing)
{
	EXPECT_EQ(0, bt_count(self->fd, of_device(self->device)));
	ASSERT_EQ(0, ALLOC(1));
	EXPECT_EQ(1, bt_count(self->fd, of_device(self->device)));
	ASSERT_EQ(0, FREE(1));
	EXPECT_EQ(0, bt_count(self->fd, of_device(self->device)));
}

TEST_F(list, pages_of_any_size)
{
	const unsigned int pages[] = { 1, 2, 7, 64, LIVES - 1, LIVES,
				       LIVES + 1 };
	unsigned int i, n;

	for (i = 0; i < LIVES; i++)
		ASSERT_EQ(0, ALLOC(FIRST + i));
	for (n = 0; n < ARRAY_SIZE(pages); n++) {
		memset(self->seen, 0, sizeof(self->seen));
		ASSERT_EQ(0, bt_walk(self->fd, of_device(self->device),
				     pages[n], count, self));
		for (i = 0; i < LIVES; i++)
			ASSERT_EQ(1, self->seen[i])
				TH_LOG("allocation %u, page %u", i, pages[n]);
		EXPECT_EQ(0, self->others);
	}
}

/* The room is not filled beyond what is said to be written. */
TEST_F(list, room)
{
	struct {
		struct bufftrack_life life;
		__u64 more[2];
	} room[4];
	struct bufftrack_list list = of_device(self->device);
	unsigned char *byte;

	ASSERT_EQ(0, ALLOC(FIRST));
	ASSERT_EQ(0, ALLOC(FIRST + 1));
	memset(room, BT_POISON, sizeof(room));
	list.entries = (uintptr_t)room;
	list.nr = ARRAY_SIZE(room);
	list.entry_size = sizeof(room[0]);
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
	EXPECT_EQ(2, list.nr);
	EXPECT_EQ(sizeof(room[0].life), list.entry_size);
	EXPECT_EQ(BUFFTRACK_STATE_LIVE, room[0].life.state);
	EXPECT_EQ(BUFFTRACK_STATE_LIVE, room[1].life.state);
	EXPECT_EQ(0, room[0].life.reserved);
	EXPECT_EQ(FIRST + FIRST + 1,
		  room[0].life.buffer + room[1].life.buffer);
	for (byte = (void *)&room[2]; byte < (unsigned char *)&room[4]; byte++)
		ASSERT_EQ(BT_POISON, *byte);
	/* What this kernel does not know of an entry is 0. */
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, room[i].more[0]);
		EXPECT_EQ(0, room[i].more[1]);
	}

	/* Over: and so it remains. */
	for (int i = 0; i < 3; i++) {
		list.nr = ARRAY_SIZE(room);
		list.entry_size = sizeof(room[0]);
		ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
		EXPECT_EQ(0, list.nr);
	}
}

TEST_F(list, tombstones)
{
	struct bufftrack_list filter = of_device(self->device);
	unsigned int i;

	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, ALLOC(FIRST + i));
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, FREE(FIRST + i));
	EXPECT_EQ(10, bt_count(self->fd, filter));
	filter.flags |= BUFFTRACK_LIST_DEAD;
	EXPECT_EQ(20, bt_count(self->fd, filter));
	ASSERT_EQ(0, bt_walk(self->fd, filter, 3, count, self));
	for (i = 0; i < LIVES; i++)
		EXPECT_EQ(i < 20 ? 1 : 0, self->seen[i]);
}

TEST_F(list, by_device_and_space)
{
	__u64 other = bt_device();
	struct bufftrack_list filter = of_device(self->device);
	int all;

	all = bt_count(self->fd, (struct bufftrack_list) { 0 });
	ASSERT_LE(0, all);
	ASSERT_EQ(0, alloc_in(self->fd, self->device, 0, 1));
	ASSERT_EQ(0, alloc_in(self->fd, self->device, 0, 2));
	ASSERT_EQ(0, alloc_in(self->fd, self->device, 7, 1));
	ASSERT_EQ(0, alloc_in(self->fd, other, 7, 1));
	EXPECT_EQ(all + 4, bt_count(self->fd, (struct bufftrack_list) { 0 }));
	EXPECT_EQ(3, bt_count(self->fd, filter));
	EXPECT_EQ(1, bt_count(self->fd, of_device(other)));
	filter.flags |= BUFFTRACK_LIST_SPACE;
	filter.space = 7;
	EXPECT_EQ(1, bt_count(self->fd, filter));
	/* Space 0 is a space. */
	filter.space = 0;
	EXPECT_EQ(2, bt_count(self->fd, filter));
	filter.space = 8;
	EXPECT_EQ(0, bt_count(self->fd, filter));
	/* A space of all devices */
	filter = (struct bufftrack_list) {
		.flags = BUFFTRACK_LIST_SPACE, .space = 7,
	};
	EXPECT_LE(2, bt_count(self->fd, filter));
}

TEST_F(list, by_client)
{
	int other = bt_open();
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_CLIENT | BUFFTRACK_LIST_DEAD,
	};

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ALLOC(1));
	ASSERT_EQ(0, ALLOC(2));
	ASSERT_EQ(0, alloc_in(other, self->device, 0, 2));
	ASSERT_EQ(0, alloc_in(other, self->device, 0, 3));
	ASSERT_EQ(0, alloc_in(other, self->device, 0, 4));
	ASSERT_EQ(0, free_in(other, self->device, 0, 4));
	/* One that two clients own is listed for both; a freed one for neither. */
	filter.client = bt_client_id(self->fd);
	EXPECT_EQ(2, bt_count(self->fd, filter));
	filter.client = bt_client_id(other);
	EXPECT_EQ(2, bt_count(self->fd, filter));
	ASSERT_EQ(0, free_in(other, self->device, 0, 2));
	EXPECT_EQ(1, bt_count(self->fd, filter));
	close(other);
}

TEST_F(list, by_pid)
{
	struct bufftrack_list filter = of_device(self->device);
	pid_t pid;

	ASSERT_EQ(0, ALLOC(1));
	pid = bt_fork();
	if (!pid) {
		EXPECT_EQ(0, ALLOC(2));
		EXPECT_EQ(0, ALLOC(3));
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(pid));
	filter.flags |= BUFFTRACK_LIST_PID;
	filter.pid = getpid();
	EXPECT_EQ(1, bt_count(self->fd, filter));
	filter.pid = pid;
	EXPECT_EQ(2, bt_count(self->fd, filter));
	filter.pid = 1;
	EXPECT_EQ(0, bt_count(self->fd, filter));
}

/* What is there from the first page to the last is listed once. */
TEST_F(list, while_others_come_and_go)
{
	struct bufftrack_life lives[16];
	struct bufftrack_list list = of_device(self->device);
	unsigned int i, round, coming = 0;

	for (i = 0; i < LIVES; i++)
		ASSERT_EQ(0, ALLOC(FIRST + i));
	for (i = 0; i < 2 * LIVES; i++)
		ASSERT_EQ(0, ALLOC(2 * FIRST + i));
	list.flags |= BUFFTRACK_LIST_DEAD;
	for (round = 0; round < 10000; round++) {
		list.entries = (uintptr_t)lives;
		list.nr = ARRAY_SIZE(lives);
		list.entry_size = sizeof(lives[0]);
		ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
		if (!list.nr)
			break;
		for (i = 0; i < list.nr; i++)
			count(&lives[i], self);
		/* New ones, so many that a hash table grows; old ones die. */
		for (i = 0; i < 64; i++)
			ASSERT_EQ(0, ALLOC(8 * FIRST + coming++));
		for (i = 0; i < 20 && round * 20 + i < 2 * LIVES; i++)
			ASSERT_EQ(0, FREE(2 * FIRST + round * 20 + i));
		if (!(round % 8))
			ASSERT_EQ(0, bt_write("/proc/sys/vm/drop_caches", "2"));
	}
	EXPECT_LT(round, 10000)
		TH_LOG("the walk did not end");
	for (i = 0; i < LIVES; i++)
		ASSERT_EQ(1, self->seen[i])
			TH_LOG("allocation %u", i);
}

/* A key that is freed and allocated again during a walk is listed once. */
/* The walk is in the order of a hash of 32 bits, which of so many keys some share. */
TEST_F(list, keys_of_one_hash)
{
	const char *wanted = getenv("BUFFTRACK_HOLDS");
	unsigned int nr = wanted ? strtoul(wanted, NULL, 0) : MANY, i, n;
	static struct bufftrack_op ops[1000];
	static unsigned char met[MANY];
	struct bufftrack_batch batch;
	struct many many = { .met = met };

	if (nr > MANY)
		nr = MANY;
	nr -= nr % ARRAY_SIZE(ops);
	ASSERT_LT(0, nr);
	for (n = 0; n < nr; n += ARRAY_SIZE(ops)) {
		for (i = 0; i < ARRAY_SIZE(ops); i++)
			ops[i] = (struct bufftrack_op) {
				.op = BUFFTRACK_OP_ALLOC, .device = self->device,
				.buffer = n + i, .size = 1,
			};
		ASSERT_EQ(0, bt_batch(self->fd, ops, ARRAY_SIZE(ops), &batch));
		ASSERT_EQ(0, batch.bad);
	}
	ASSERT_EQ(0, bt_walk(self->fd, of_device(self->device), 64, meet, &many));
	EXPECT_EQ(nr, many.nr);
	EXPECT_EQ(0, many.again);
}

TEST_F(list, a_key_that_lives_again)
{
	struct bufftrack_life life;
	struct bufftrack_list list = of_device(self->device);
	unsigned int i, seen[100] = { 0 };

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, ALLOC(i));
	for (;;) {
		list.entries = (uintptr_t)&life;
		list.nr = 1;
		list.entry_size = sizeof(life);
		ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
		if (!list.nr)
			break;
		ASSERT_GT(100, life.buffer);
		seen[life.buffer]++;
		for (i = 0; i < 100; i++) {
			ASSERT_EQ(0, FREE(i));
			ASSERT_EQ(0, ALLOC(i));
		}
	}
	for (i = 0; i < 100; i++)
		EXPECT_EQ(1, seen[i]);
}

/* A client whose own keys a walk has come to closes: the next one's are met, all of them. */
TEST_F(list, a_private_client_that_closes)
{
	const unsigned int nr = 40, before = 20;
	struct bufftrack_life life;
	struct bufftrack_list list = of_device(self->device);
	unsigned int i, seen[80] = { 0 };
	int one, two;

	one = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);
	two = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);
	ASSERT_LE(0, one);
	ASSERT_LE(0, two);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, alloc_in(one, self->device, 0, i));
		ASSERT_EQ(0, alloc_in(two, self->device, 0, nr + i));
	}
	for (i = 0;; i++) {
		if (i == before)
			ASSERT_EQ(0, close(one));
		list.entries = (uintptr_t)&life;
		list.nr = 1;
		list.entry_size = sizeof(life);
		ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
		if (!list.nr)
			break;
		ASSERT_GT(2 * nr, life.buffer);
		/* Those of the first come first. */
		EXPECT_EQ(i >= before, life.buffer >= nr);
		seen[life.buffer]++;
	}
	EXPECT_EQ(before + nr, i);
	for (i = nr; i < 2 * nr; i++)
		EXPECT_EQ(1, seen[i])
			TH_LOG("allocation %u", i);
	close(two);
}

/* Any cursor is a place to go on from, or an error; never more than that. */
TEST_F(list, a_cursor_from_nowhere)
{
	struct bufftrack_life life;
	struct bufftrack_list list = of_device(self->device);
	unsigned int i, bit;
	int rc;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, ALLOC(i));
	for (i = 0; i < 4; i++)
		for (bit = 0; bit <= 64; bit++) {
			memset(list.cursor, 0, sizeof(list.cursor));
			list.cursor[i] = bit < 64 ? 1ULL << bit : ~0ULL;
			list.entries = (uintptr_t)&life;
			list.nr = 1;
			list.entry_size = sizeof(life);
			rc = bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list);
			EXPECT_TRUE(rc == 0 || rc == -EINVAL)
				TH_LOG("cursor[%u] bit %u: %d", i, bit, rc);
			EXPECT_GE(1, list.nr);
		}
}

TEST_F(list, a_hole_in_the_room)
{
	long page = sysconf(_SC_PAGESIZE);
	struct bufftrack_list list = of_device(self->device);
	unsigned int i;
	char *two;

	two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(two != MAP_FAILED);
	ASSERT_EQ(0, mprotect(two + page, page, PROT_NONE));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, ALLOC(i));
	list.entries = (uintptr_t)two;
	list.nr = 100;
	list.entry_size = sizeof(struct bufftrack_life);
	EXPECT_EQ(-EFAULT, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
	munmap(two, 2 * page);
}

TEST_HARNESS_MAIN
