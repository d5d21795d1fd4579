// SPDX-License-Identifier: GPL-2.0
/* Many reports in one call: in order, each with its own verdict. */
#include "bt.h"

#define ENTRIES	64
#define SIZE	4096

FIXTURE(batch) {
	int fd;
	__u64 device;
	unsigned int max;
	struct bufftrack_op ops[ENTRIES];
	struct bufftrack_batch batch;
};

FIXTURE_SETUP(batch)
{
	struct bufftrack_info info = { 0 };

	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	self->max = info.max_batch;
	ASSERT_LE(ENTRIES, self->max);
}

FIXTURE_TEARDOWN(batch)
{
	close(self->fd);
}

static struct bufftrack_op entry(__u64 device, __u32 op, __u64 buffer)
{
	struct bufftrack_op entry = {
		.device = device,
		.buffer = buffer,
		.size = SIZE,
		.op = op,
	};

	/* What is output only is not read. */
	memset(&entry.generation, BT_POISON,
	       offsetof(struct bufftrack_op, reserved) -
	       offsetof(struct bufftrack_op, generation));
	return entry;
}

#define ALLOC(buffer)	entry(self->device, BUFFTRACK_OP_ALLOC, buffer)
#define FREE(buffer)	entry(self->device, BUFFTRACK_OP_FREE, buffer)

#define EXPECT_ENTRY(i, _error, _verdict, _refs) do {			\
	EXPECT_EQ(_error, self->ops[i].error);				\
	EXPECT_EQ(BUFFTRACK_##_verdict, self->ops[i].verdict);		\
	EXPECT_EQ(_refs, self->ops[i].refs);				\
} while (0)

#define EXPECT_BATCH(rc, nr, _done, _bad) do {				\
	EXPECT_EQ(rc, bt_batch(self->fd, self->ops, nr, &self->batch));	\
	EXPECT_EQ(_done, self->batch.done);				\
	EXPECT_EQ(_bad, self->batch.bad);				\
} while (0)

TEST_F(batch, in_order)
{
	self->ops[0] = ALLOC(1);
	self->ops[1] = ALLOC(1);
	self->ops[2] = FREE(1);
	self->ops[3] = FREE(1);
	self->ops[4] = FREE(1);
	self->ops[5] = FREE(2);
	self->ops[6] = ALLOC(1);
	self->ops[7] = ALLOC(1);
	self->ops[7].size = 1;
	EXPECT_BATCH(0, 8, 8, 3);
	EXPECT_ENTRY(0, 0, OK, 1);
	EXPECT_ENTRY(1, 0, OK, 2);
	EXPECT_ENTRY(2, 0, OK, 1);
	EXPECT_ENTRY(3, 0, OK, 0);
	EXPECT_ENTRY(4, 0, DOUBLE_FREE, 0);
	EXPECT_ENTRY(5, 0, UNKNOWN_FREE, 0);
	EXPECT_ENTRY(6, 0, OK, 1);
	EXPECT_ENTRY(7, 0, SIZE_MISMATCH, 2);
	EXPECT_EQ(self->ops[0].generation, self->ops[4].generation);
	EXPECT_LT(self->ops[0].generation, self->ops[6].generation);
	EXPECT_STREQ("", bt_stat_diff(self->fd, BUFFTRACK_STAT_DEVICE,
				      self->device, 0,
				      (struct bufftrack_stat) {
		.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 4,
		.frees = 2, .verdicts = {
			[BUFFTRACK_OK] = 5,
			[BUFFTRACK_DOUBLE_FREE] = 1,
			[BUFFTRACK_UNKNOWN_FREE] = 1,
			[BUFFTRACK_SIZE_MISMATCH] = 1,
		} }));
}

TEST_F(batch, one_entry)
{
	self->ops[0] = ALLOC(1);
	EXPECT_BATCH(0, 1, 1, 0);
	EXPECT_ENTRY(0, 0, OK, 1);
	/* The inputs are as they were. */
	EXPECT_EQ(1, self->ops[0].buffer);
	EXPECT_EQ(BUFFTRACK_OP_ALLOC, self->ops[0].op);
}

TEST_F(batch, several_devices)
{
	__u64 other = bt_device();
	int i;

	for (i = 0; i < ENTRIES; i++)
		self->ops[i] = entry(i & 1 ? other : self->device,
				     i & 2 ? BUFFTRACK_OP_FREE :
					     BUFFTRACK_OP_ALLOC, 7);
	EXPECT_BATCH(0, ENTRIES, ENTRIES, 0);
	for (i = 0; i < ENTRIES; i++)
		EXPECT_ENTRY(i, 0, OK, i & 2 ? 0U : 1U);
}

/* A wrong entry fails by itself and changes nothing. */
TEST_F(batch, wrong_entries)
{
	bool stacks = bt_features(self->fd) & BUFFTRACK_FEATURE_STACK;
	unsigned int refs = 0;
	int i;

	for (i = 0; i < 16; i++)
		self->ops[i] = ALLOC(1);
	self->ops[1].op = 0;
	self->ops[2].op = 4;
	self->ops[3].flags = 1U << 7;
	self->ops[4].flags = BUFFTRACK_F_VIEW | BUFFTRACK_F_EXCLUSIVE;
	self->ops[5].flags = BUFFTRACK_F_VIEW | BUFFTRACK_F_SHARED;
	self->ops[6].token = 1;
	self->ops[7] = FREE(1);
	self->ops[7].tag = 1;
	self->ops[8] = FREE(1);
	self->ops[8].flags = BUFFTRACK_F_SHARED;
	self->ops[9].stack = 8;
	self->ops[9].stack_depth = 1;
	self->ops[10].stack_depth = ~0U;
	EXPECT_BATCH(0, 16, 16, 10);
	for (i = 0; i < 16; i++) {
		if (i >= 1 && i <= 10) {
			EXPECT_EQ(i != 9 ? -EINVAL :
				  stacks ? -EFAULT : -EOPNOTSUPP,
				  self->ops[i].error)
				TH_LOG("entry %d", i);
		} else {
			refs++;
			EXPECT_ENTRY(i, 0, OK, refs);
		}
	}
}

TEST_F(batch, strict)
{
	ASSERT_EQ(0, bt_client(self->fd, BUFFTRACK_CLIENT_STRICT,
			       BUFFTRACK_CLIENT_STRICT, NULL, NULL));
	self->ops[0] = ALLOC(1);
	self->ops[1] = FREE(1);
	self->ops[2] = FREE(1);
	self->ops[3] = FREE(2);
	self->ops[4] = ALLOC(1);
	EXPECT_BATCH(0, 5, 5, 2);
	EXPECT_ENTRY(0, 0, OK, 1);
	EXPECT_ENTRY(1, 0, OK, 0);
	EXPECT_ENTRY(2, -EALREADY, DOUBLE_FREE, 0);
	EXPECT_ENTRY(3, -ENOENT, UNKNOWN_FREE, 0);
	EXPECT_ENTRY(4, 0, OK, 1);
}

TEST_F(batch, how_many)
{
	struct bufftrack_op *ops = calloc(self->max + 1, sizeof(*ops));
	struct bufftrack_batch batch;
	unsigned int i;

	ASSERT_TRUE(!!ops);
	for (i = 0; i <= self->max; i++)
		ops[i] = ALLOC(i);
	EXPECT_EQ(-EINVAL, bt_batch(self->fd, ops, 0, &batch));
	EXPECT_EQ(-EINVAL, bt_batch(self->fd, ops, self->max + 1, &batch));
	EXPECT_EQ(-EINVAL, bt_batch(self->fd, ops, ~0U, &batch));
	/* None of the refused ones counted. */
	EXPECT_EQ(0, bt_batch(self->fd, ops, self->max, &batch));
	EXPECT_EQ(self->max, batch.done);
	EXPECT_EQ(0, batch.bad);
	for (i = 0; i < self->max; i++)
		ASSERT_EQ(1, ops[i].refs);
	free(ops);
}

static int sized(int fd, void *entries, unsigned int nr, unsigned int size,
		 struct bufftrack_batch *batch)
{
	*batch = (struct bufftrack_batch) {
		.entries = (uintptr_t)entries, .nr = nr, .entry_size = size,
	};
	return bt_ioctl(fd, BUFFTRACK_IOC_BATCH, batch);
}

TEST_F(batch, entry_size)
{
	const unsigned int least = sizeof(struct bufftrack_op);
	unsigned char *room = calloc(4, 4104);
	struct bufftrack_batch batch;
	struct bufftrack_op *op;
	unsigned int size, i;

	ASSERT_TRUE(!!room);
	*(struct bufftrack_op *)room = ALLOC(1);
	for (size = 0; size < least; size++)
		EXPECT_EQ(-EINVAL, sized(self->fd, room, 1, size, &batch));
	for (size = least + 1; size < least + 8; size++)
		EXPECT_EQ(-EINVAL, sized(self->fd, room, 1, size, &batch));
	EXPECT_EQ(-EINVAL, sized(self->fd, room, 1, 4096 + 8, &batch));
	EXPECT_EQ(-EINVAL, sized(self->fd, room, 1, ~0U & ~7U, &batch));

	for (size = least; size <= 4096; size += 2 * least) {
		memset(room, 0, 4 * 4104);
		for (i = 0; i < 3; i++)
			memcpy(room + i * size, &(struct bufftrack_op){
			       .op = BUFFTRACK_OP_ALLOC, .size = SIZE,
			       .device = self->device,
			       .buffer = size * 8 + i }, least);
		/* A newer caller's input in the second one */
		room[2 * size - 1] |= size > least;
		ASSERT_EQ(0, sized(self->fd, room, 3, size, &batch));
		EXPECT_EQ(3, batch.done);
		EXPECT_EQ(size > least ? 1U : 0U, batch.bad);
		for (i = 0; i < 3; i++) {
			op = (struct bufftrack_op *)(room + i * size);
			EXPECT_EQ(i == 1 && size > least ? -E2BIG : 0,
				  op->error)
				TH_LOG("size %u, entry %u", size, i);
			if (!op->error)
				EXPECT_EQ(1, op->refs);
		}
	}
	free(room);
}

/* Those before the hole are done, and the caller is told how many. */
TEST_F(batch, a_hole_in_the_entries)
{
	long page = sysconf(_SC_PAGESIZE);
	const unsigned int whole = page / sizeof(struct bufftrack_op);
	struct bufftrack_stat stat;
	struct bufftrack_op *ops;
	unsigned int i;
	char *two;

	two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(two != MAP_FAILED);
	ops = (void *)two;
	for (i = 0; i < whole; i++)
		ops[i] = ALLOC(i);
	ASSERT_EQ(0, mprotect(two + page, page, PROT_NONE));
	EXPECT_EQ(-EFAULT, bt_batch(self->fd, ops, whole + 2, &self->batch));
	EXPECT_EQ(whole, self->batch.done);
	EXPECT_EQ(0, self->batch.bad);
	for (i = 0; i < whole; i++)
		EXPECT_EQ(1, ops[i].refs);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &stat));
	EXPECT_EQ(whole, stat.live);
	munmap(two, 2 * page);
}

TEST_F(batch, no_entries)
{
	EXPECT_EQ(-EFAULT, bt_batch(self->fd, NULL, 1, &self->batch));
	EXPECT_EQ(0, self->batch.done);
}

TEST_F(batch, read_only_entries)
{
	long page = sysconf(_SC_PAGESIZE);
	struct bufftrack_stat stat;
	struct bufftrack_op *ops;

	ops = mmap(NULL, page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(ops != MAP_FAILED);
	ops[0] = ALLOC(1);
	ops[1] = ALLOC(2);
	ASSERT_EQ(0, mprotect(ops, page, PROT_READ));
	EXPECT_EQ(-EFAULT, bt_batch(self->fd, ops, 2, &self->batch));
	/* What could not be told may have been done: as many as it says. */
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &stat));
	EXPECT_EQ(self->batch.done, stat.live);
	munmap(ops, page);
}

TEST_F(batch, limit_is_the_entrys)
{
	unsigned long old;
	int i;

	ASSERT_EQ(0, bt_parameter("max_buffers", 3, &old));
	for (i = 0; i < 5; i++)
		self->ops[i] = ALLOC(i);
	self->ops[5] = FREE(0);
	self->ops[6] = ALLOC(4);
	EXPECT_BATCH(0, 7, 7, 2);
	ASSERT_EQ(0, bt_parameter("max_buffers", old, NULL));
	for (i = 0; i < 7; i++)
		EXPECT_EQ(i == 3 || i == 4 ? -ENOSPC : 0, self->ops[i].error);
}

TEST_HARNESS_MAIN
