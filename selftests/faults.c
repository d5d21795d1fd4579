// SPDX-License-Identifier: GPL-2.0
/*
 * User memory that faults in the middle of a call: where the call stops, what was
 * done by then; and, by userfaultfd, what others do while it waits there.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "bt.h"
#include "snapshot.h"

#define SIZE	4096
#define OP_SIZE	sizeof(struct bufftrack_op)
#define CHUNK	8		/* entries that the kernel takes at a time */

static long page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* ---- pages of nothing ---------------------------------------------------- */

FIXTURE(hole) {
	int fd;
	__u64 device;
	long page;
	char *map;			/* 16 pages, of which the last 4 can go */
	char *cut;			/* where they begin */
	struct bufftrack_op op;
	struct snapshot before;
	struct snapshot after;
};

FIXTURE_SETUP(hole)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	self->page = page_size();
	self->map = mmap(NULL, 16 * self->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->map != MAP_FAILED);
	self->cut = self->map + 12 * self->page;
	/* One live key, and one that is dead */
	ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device,
			     1, &self->op));
	ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device,
			     2, &self->op));
	ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 2,
			     &self->op));
}

FIXTURE_TEARDOWN(hole)
{
	munmap(self->map, 16 * self->page);
	close(self->fd);
}

static void protect(FIXTURE_DATA(hole) *self, int prot)
{
	if (mprotect(self->cut, 4 * self->page, prot))
		abort();
}

#define TAKE(snapshot) \
	ASSERT_EQ(0, snapshot_take(self->fd, self->device, 0, 0, &self->snapshot))
#define EXPECT_NO_CHANGE()						\
do {									\
	TAKE(after);							\
	EXPECT_STREQ("", snapshot_diff(&self->before, &self->after));	\
} while (0)

/*
 * A call whose struct has its last @beyond bytes in the pages that have @prot.
 * Nothing is to come of it, and the struct is to stay as it was.
 */
static int beyond(FIXTURE_DATA(hole) *self, unsigned long cmd, const void *arg,
		  unsigned int nr, int prot)
{
	unsigned int size = _IOC_SIZE(cmd);
	char *at = self->cut - size + nr;
	int rc;

	protect(self, PROT_READ | PROT_WRITE);
	memcpy(at, arg, size);
	protect(self, prot);
	rc = bt_ioctl(self->fd, cmd, at);
	protect(self, PROT_READ | PROT_WRITE);
	return memcmp(at, arg, size) ? -EUCLEAN : rc;
}

static const int prots[] = { PROT_NONE, PROT_READ };

/* Wherever the struct of an ALLOC or a FREE is cut, and however */
TEST_F(hole, in_an_op)
{
	static const struct {
		unsigned long cmd;
		__u64 buffer;
	} calls[] = {
		{ BUFFTRACK_IOC_ALLOC, 1 },	/* a further reference */
		{ BUFFTRACK_IOC_ALLOC, 2 },	/* a new allocation */
		{ BUFFTRACK_IOC_ALLOC, 3 },	/* a new key */
		{ BUFFTRACK_IOC_FREE, 1 },
		{ BUFFTRACK_IOC_FREE, 2 },	/* a double one */
	};
	unsigned int i, nr, p;

	TAKE(before);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		struct bufftrack_op op = {
			.device = self->device, .buffer = calls[i].buffer,
			.size = SIZE,
		};

		for (nr = 1; nr <= OP_SIZE; nr++)
			for (p = 0; p < ARRAY_SIZE(prots); p++)
				ASSERT_EQ(-EFAULT, beyond(self, calls[i].cmd, &op,
							  nr, prots[p]))
					TH_LOG("call %u, %u bytes beyond", i, nr);
		EXPECT_NO_CHANGE();
	}
	/* The same where it is whole */
	EXPECT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 1,
			     &self->op));
	EXPECT_EQ(0, self->op.refs);
}

/* Those commands whose answer comes after they have changed something */
TEST_F(hole, in_an_answer)
{
	struct bufftrack_client client = {
		.mask = BUFFTRACK_CLIENT_NAME | BUFFTRACK_CLIENT_STRICT,
		.flags = BUFFTRACK_CLIENT_STRICT, .name = "another",
	};
	struct bufftrack_label label = {
		.device = self->device, .label = "another",
	};
	struct bufftrack_reset reset = { .device = self->device };
	struct bufftrack_op op = {
		.op = BUFFTRACK_OP_ALLOC, .device = self->device, .buffer = 1,
		.size = SIZE,
	};
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)&op, .nr = 1, .entry_size = sizeof(op),
	};
	unsigned int p, nr;

	TAKE(before);
	for (p = 0; p < ARRAY_SIZE(prots); p++) {
		for (nr = 1; nr <= sizeof(client); nr++)
			EXPECT_EQ(-EFAULT, beyond(self, BUFFTRACK_IOC_CLIENT,
						  &client, nr, prots[p]));
		for (nr = 1; nr <= sizeof(label); nr++)
			EXPECT_EQ(-EFAULT, beyond(self, BUFFTRACK_IOC_LABEL,
						  &label, nr, prots[p]));
		for (nr = 1; nr <= sizeof(reset); nr++)
			EXPECT_EQ(-EFAULT, beyond(self, BUFFTRACK_IOC_RESET,
						  &reset, nr, prots[p]));
		for (nr = 1; nr <= sizeof(batch); nr++)
			EXPECT_EQ(-EFAULT, beyond(self, BUFFTRACK_IOC_BATCH,
						  &batch, nr, prots[p]));
		EXPECT_NO_CHANGE();
	}
}

/* The array of addresses of a stack, in a call and in an entry of a batch */
TEST_F(hole, in_a_stack)
{
	struct bufftrack_info before = { 0 }, after = { 0 };
	struct bufftrack_batch batch;
	struct bufftrack_op ops[3];
	unsigned int i, nr;
	__u64 *frames;

	for (i = 0; i < 16; i++)
		((__u64 *)self->cut)[-1 - (int)i] = 0x1000 + i;
	protect(self, PROT_NONE);
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &before));
	TAKE(before);
	for (nr = 1; nr <= 16; nr++) {
		frames = (__u64 *)self->cut - 16 + nr;
		for (i = 1; i <= 3; i++) {
			self->op = (struct bufftrack_op) {
				.device = self->device, .buffer = i,
				.size = SIZE, .stack = (uintptr_t)frames,
				.stack_depth = 16,
			};
			EXPECT_EQ(-EFAULT, bt_alloc(self->fd, &self->op));
			EXPECT_EQ(-EFAULT, bt_free(self->fd, &self->op));
		}
	}
	EXPECT_NO_CHANGE();
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &after));
	/* A caller's error is no loss. */
	EXPECT_EQ(before.stacks_lost, after.stacks_lost);
	EXPECT_EQ(before.failed, after.failed);

	for (i = 0; i < 3; i++)
		ops[i] = (struct bufftrack_op) {
			.op = BUFFTRACK_OP_ALLOC, .device = self->device,
			.buffer = 1, .size = SIZE,
		};
	ops[1].stack = (uintptr_t)self->cut - 8;
	ops[1].stack_depth = 2;
	EXPECT_EQ(0, bt_batch(self->fd, ops, 3, &batch));
	EXPECT_EQ(3, batch.done);
	EXPECT_EQ(1, batch.bad);
	EXPECT_EQ(-EFAULT, ops[1].error);
	EXPECT_EQ(2, ops[0].refs);
	EXPECT_EQ(3, ops[2].refs);
}

/* Lays @nr entries of @size so that @fit of them and @part bytes are before the cut. */
static char *lay(FIXTURE_DATA(hole) *self, __u32 op, unsigned int nr,
		 unsigned int size, unsigned int fit, unsigned int part,
		 __u64 buffer)
{
	char *at = self->cut - fit * size - part;
	unsigned int i;

	protect(self, PROT_READ | PROT_WRITE);
	memset(at, 0, nr * size);
	for (i = 0; i < nr; i++) {
		struct bufftrack_op *entry = (void *)(at + i * size);

		entry->op = op;
		entry->device = self->device;
		entry->buffer = buffer + i;
		entry->size = SIZE;
		memset(&entry->generation, BT_POISON,
		       offsetof(struct bufftrack_op, reserved) -
			       offsetof(struct bufftrack_op, generation));
	}
	return at;
}

static int sized(int fd, void *entries, unsigned int nr, unsigned int size,
		 struct bufftrack_batch *batch)
{
	*batch = (struct bufftrack_batch) {
		.entries = (uintptr_t)entries, .nr = nr, .entry_size = size,
		.done = ~0U, .bad = ~0U,
	};
	return bt_ioctl(fd, BUFFTRACK_IOC_BATCH, batch);
}

static __u64 live(FIXTURE_DATA(hole) *self)
{
	struct bufftrack_stat stat;

	return bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &stat) ?
		       ~0ULL : stat.live;
}

/*
 * As many as the call says were carried out, and not one more; what was told is
 * right. @fit entries can be read; those whose answer cannot be written may be
 * among the done ones of the last chunk.
 */
static void check_batch(struct __test_metadata *_metadata,
			FIXTURE_DATA(hole) *self, char *at, unsigned int size,
			unsigned int fit, const struct bufftrack_batch *batch,
			__u64 refs, __u64 live_before)
{
	const struct bufftrack_op *entry;
	unsigned int i;

	EXPECT_EQ(0, batch->bad);
	EXPECT_EQ(refs ? live_before + batch->done : live_before - batch->done,
		  live(self))
		TH_LOG("size %u, %u fit, %u done", size, fit, batch->done);
	for (i = 0; i < fit; i++) {
		entry = (void *)(at + i * size);
		EXPECT_EQ(0, entry->error);
		EXPECT_EQ(refs, entry->refs)
			TH_LOG("entry %u of size %u, %u fit", i, size, fit);
		EXPECT_EQ(BUFFTRACK_OK, entry->verdict);
	}
}

TEST_F(hole, in_the_entries)
{
	const unsigned int sizes[] = { OP_SIZE, OP_SIZE + 8, 128 };
	const unsigned int fits[] = { 0, 1, CHUNK - 1, CHUNK, CHUNK + 7 };
	const unsigned int nr = CHUNK + 20;
	struct bufftrack_batch batch;
	unsigned int s, f, part;
	__u64 buffer = 1000, was;
	char *at;

	for (s = 0; s < ARRAY_SIZE(sizes); s++)
		for (f = 0; f < ARRAY_SIZE(fits); f++)
			for (part = 0; part < sizes[s]; part += 8) {
				was = live(self);
				at = lay(self, BUFFTRACK_OP_ALLOC, nr, sizes[s],
					 fits[f], part, buffer);
				protect(self, PROT_NONE);
				ASSERT_EQ(-EFAULT, sized(self->fd, at, nr, sizes[s],
							 &batch));
				ASSERT_EQ(fits[f], batch.done);
				check_batch(_metadata, self, at, sizes[s], fits[f],
					    &batch, 1, was);
				/* They are there to be freed, in the same way. */
				was = live(self);
				at = lay(self, BUFFTRACK_OP_FREE, nr, sizes[s],
					 fits[f], part, buffer);
				protect(self, PROT_NONE);
				ASSERT_EQ(-EFAULT, sized(self->fd, at, nr, sizes[s],
							 &batch));
				ASSERT_EQ(fits[f], batch.done);
				check_batch(_metadata, self, at, sizes[s], fits[f],
					    &batch, 0, was);
			}
}

/* Entries that can be read only: the call ends there, and says what it has done. */
TEST_F(hole, in_the_answers)
{
	const unsigned int sizes[] = { OP_SIZE, 128 };
	const unsigned int nr = 2 * CHUNK + 10;
	struct bufftrack_batch batch;
	unsigned int s, fit, part;
	__u64 buffer = 1000, was;
	char *at;

	for (s = 0; s < ARRAY_SIZE(sizes); s++)
		for (fit = 0; fit < nr; fit += 9)
			for (part = 0; part < sizes[s]; part += 32) {
				was = live(self);
				at = lay(self, BUFFTRACK_OP_ALLOC, nr, sizes[s],
					 fit, part, buffer);
				protect(self, PROT_READ);
				ASSERT_EQ(-EFAULT, sized(self->fd, at, nr, sizes[s],
							 &batch));
				EXPECT_LE(fit, batch.done);
				/* The rest of a chunk is all that can go untold. */
				EXPECT_GE(fit + CHUNK, batch.done);
				check_batch(_metadata, self, at, sizes[s], fit,
					    &batch, 1, was);
				buffer += nr;
			}
}

/* LIST stops at the hole; the same call again, with room, misses nothing. */
TEST_F(hole, in_the_room_of_lives)
{
	const unsigned int sizes[] = { sizeof(struct bufftrack_life),
				       sizeof(struct bufftrack_life) + 40 };
	struct bufftrack_list list, asked;
	const unsigned int nr = 40;
	unsigned int s, fit, i;
	char *at;

	for (i = 0; i < nr - 2; i++)
		ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE,
				     self->device, 100 + i, &self->op));
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (fit = 0; fit < nr; fit++) {
			protect(self, PROT_READ | PROT_WRITE);
			at = self->cut - fit * sizes[s] - (fit * 8) % sizes[s];
			asked = (struct bufftrack_list) {
				.entries = (uintptr_t)at, .nr = nr,
				.entry_size = sizes[s],
				.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
				.device = self->device,
			};
			list = asked;
			protect(self, fit & 1 ? PROT_NONE : PROT_READ);
			ASSERT_EQ(-EFAULT, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST,
						    &list));
			ASSERT_EQ(0, memcmp(&list, &asked, sizeof(list)));
		}
		/* A hole just behind the room is none. */
		list.entries = (uintptr_t)self->cut - nr * sizes[s];
		ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
		EXPECT_EQ(nr, list.nr);
		at = (char *)(uintptr_t)list.entries;
		for (i = 0; i < nr; i++)
			EXPECT_EQ(self->device, ((struct bufftrack_life *)
						 (at + i * sizes[s]))->device);
	}
}

/* STACK stops likewise, and keeps nothing of the stack. */
TEST_F(hole, in_the_room_of_frames)
{
	const unsigned int size = sizeof(struct bufftrack_frame);
	struct bufftrack_stack stack, asked;
	struct bufftrack_life life;
	unsigned long history;
	__u64 frames[16];
	unsigned int fit;

	for (fit = 0; fit < ARRAY_SIZE(frames); fit++)
		frames[fit] = (uintptr_t)&page_size + fit;
	self->op = (struct bufftrack_op) {
		.device = self->device, .buffer = 3, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	ASSERT_EQ(0, bt_alloc(self->fd, &self->op));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 3, &life));
	ASSERT_NE(0, life.alloc.stack_id);
	asked = (struct bufftrack_stack) {
		.nr = ARRAY_SIZE(frames), .frame_size = size,
		.stack_id = life.alloc.stack_id,
	};
	for (fit = 0; fit < ARRAY_SIZE(frames); fit++) {
		asked.frames = (uintptr_t)self->cut - fit * size - 8;
		stack = asked;
		protect(self, fit & 1 ? PROT_NONE : PROT_READ);
		ASSERT_EQ(-EFAULT, bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack));
		ASSERT_EQ(0, memcmp(&stack, &asked, sizeof(stack)));
	}
	asked.frames = (uintptr_t)self->cut - ARRAY_SIZE(frames) * size;
	stack = asked;
	EXPECT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack));

	/* A failed call leaves no reference: the device goes with its allocation. */
	ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 3,
			     &self->op));
	ASSERT_EQ(0, bt_parameter("history", 0, &history));
	EXPECT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 1,
			     &self->op));
	EXPECT_EQ(0, bt_parameter("history", history, NULL));
	stack = asked;
	EXPECT_EQ(-ENOENT, bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack));
}

/* ---- a page that comes when somebody brings it --------------------------- */

#define LATE_WAIT	60000	/* ms */

FIXTURE(late) {
	int fd;
	int other;
	int uffd;
	__u64 device;
	long page;
	char *map;			/* 4 pages; the last two come late */
	char *cut;			/* where they begin */
	char *content;			/* what they will contain */
	pthread_t thread;
	/* What is done while the call waits; -1 or less where it went wrong */
	int (*meanwhile)(FIXTURE_DATA(late) *self);
	int result;
	unsigned int faults;
	struct bufftrack_op op;
	struct bufftrack_op ops[2 * CHUNK];
	struct bufftrack_batch batch;
	struct bufftrack_stat stat;
	struct bufftrack_life life;
};

FIXTURE_SETUP(late)
{
	struct uffdio_register region = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };

	if (access("/proc/sys/vm/unprivileged_userfaultfd", F_OK))
		SKIP(return, "a kernel without userfaultfd");
	self->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	ASSERT_LE(0, self->uffd);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_API, &api));
	self->page = page_size();
	self->map = mmap(NULL, 4 * self->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->map != MAP_FAILED);
	self->cut = self->map + 2 * self->page;
	memset(self->map, 0, 2 * self->page);
	region.range.start = (uintptr_t)self->cut;
	region.range.len = 2 * self->page;
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &region));
	self->content = calloc(4, self->page);
	ASSERT_TRUE(!!self->content);

	self->fd = bt_open();
	self->other = bt_open();
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	self->device = bt_device();
	/* The other one keeps the device. */
	ASSERT_EQ(0, bt_call(self->other, BUFFTRACK_IOC_ALLOC, SIZE, self->device,
			     0xfff0, &self->op));
}

FIXTURE_TEARDOWN(late)
{
	free(self->content);
	close(self->uffd);
	close(self->fd);
	close(self->other);
}

/* Brings each page that is asked for; does what there is to do before the first. */
static void *bring(void *data)
{
	FIXTURE_DATA(late) *self = data;
	struct pollfd wait = { .fd = self->uffd, .events = POLLIN };
	struct uffdio_copy copy = { .len = self->page };
	struct uffd_msg msg;

	while (poll(&wait, 1, LATE_WAIT) == 1 &&
	       read(self->uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		if (!self->faults++)
			self->result = self->meanwhile(self);
		copy.dst = msg.arg.pagefault.address & -self->page;
		copy.src = (uintptr_t)self->content +
			   (copy.dst - (uintptr_t)self->cut);
		if (ioctl(self->uffd, UFFDIO_COPY, &copy))
			self->result = -errno;
		if (self->faults == 2)
			break;
	}
	return NULL;
}

#define BEGIN(fn) do {							\
	self->meanwhile = fn;						\
	self->result = -ETIMEDOUT;					\
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, bring, self));	\
} while (0)

/* What is left of the late pages is touched, so that bring() comes to its end. */
#define END() do {							\
	(void)*(volatile char *)self->cut;				\
	(void)*(volatile char *)(self->cut + self->page);		\
	ASSERT_EQ(0, pthread_join(self->thread, NULL));			\
	EXPECT_EQ(2, self->faults);					\
	EXPECT_EQ(0, self->result);					\
} while (0)

/* The struct at @at, which is before the late pages, in them or across */
static void put(FIXTURE_DATA(late) *self, char *at, const void *what, size_t size)
{
	const char *from = what;

	for (; size; size--, at++, from++) {
		if (at < self->cut)
			*at = *from;
		else
			self->content[at - self->cut] = *from;
	}
}

/* The keys of one chunk come, then go: the second chunk is what comes late. */
static char *two_chunks(FIXTURE_DATA(late) *self)
{
	char *at = self->cut - CHUNK * OP_SIZE;
	unsigned int i;

	for (i = 0; i < 2 * CHUNK; i++)
		self->ops[i] = (struct bufftrack_op) {
			.op = i < CHUNK ? BUFFTRACK_OP_ALLOC : BUFFTRACK_OP_FREE,
			.device = self->device, .buffer = i % CHUNK, .size = SIZE,
		};
	put(self, at, self->ops, sizeof(self->ops));
	return at;
}

/* The first chunk has been carried out: each of its keys is the others' to see. */
static int free_one(FIXTURE_DATA(late) *self)
{
	struct bufftrack_op op;
	int rc;

	rc = bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &self->stat);
	if (rc || self->stat.live != CHUNK + 1)
		return rc ?: -100;
	rc = bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 5, &op);
	return rc ?: bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device, 99,
			     &op);
}

TEST_F(late, free_while_a_batch_waits)
{
	char *at = two_chunks(self);
	unsigned int i;

	BEGIN(free_one);
	EXPECT_EQ(0, bt_batch(self->fd, (void *)at, 2 * CHUNK, &self->batch));
	END();
	EXPECT_EQ(2 * CHUNK, self->batch.done);
	EXPECT_EQ(1, self->batch.bad);
	memcpy(self->ops, at, sizeof(self->ops));
	for (i = 0; i < 2 * CHUNK; i++) {
		EXPECT_EQ(i < CHUNK ? 1U : 0U, self->ops[i].refs);
		EXPECT_EQ(i == CHUNK + 5 ? BUFFTRACK_DOUBLE_FREE : BUFFTRACK_OK,
			  self->ops[i].verdict)
			TH_LOG("entry %u", i);
	}
	EXPECT_STREQ("", bt_stat_diff(self->fd, BUFFTRACK_STAT_DEVICE,
				      self->device, 0,
				      (struct bufftrack_stat) {
		.live = 2, .bytes = 2 * SIZE, .peak_bytes = (CHUNK + 1) * SIZE,
		.allocs = CHUNK + 2, .frees = CHUNK, .history = CHUNK,
		.verdicts = {
			[BUFFTRACK_OK] = 2 * CHUNK + 2,
			[BUFFTRACK_DOUBLE_FREE] = 1,
		} }));
}

static int use_one(FIXTURE_DATA(late) *self)
{
	struct bufftrack_op op;

	return bt_call(self->other, BUFFTRACK_IOC_ALLOC, SIZE, self->device, 1005, &op) ?:
	       bt_call(self->other, BUFFTRACK_IOC_FREE, 0, self->device, 1005, &op);
}

/* What comes after the wait comes after what was done meanwhile. */
TEST_F(late, times_while_a_batch_waits)
{
	char *at = two_chunks(self);
	unsigned int i;

	for (i = CHUNK; i < 2 * CHUNK; i++) {
		self->ops[i].op = BUFFTRACK_OP_ALLOC;
		self->ops[i].buffer = 1000 + i - CHUNK;
	}
	put(self, at, self->ops, sizeof(self->ops));
	BEGIN(use_one);
	EXPECT_EQ(0, bt_batch(self->fd, (void *)at, 2 * CHUNK, &self->batch));
	END();
	EXPECT_EQ(0, self->batch.bad);
	ASSERT_EQ(0, bt_life(self->other, self->device, 0, 1005, &self->life));
	EXPECT_EQ(2, self->life.lives);
	EXPECT_LE(self->life.prev_end.time, self->life.alloc.time);
}

static int close_it(FIXTURE_DATA(late) *self)
{
	int rc = close(self->fd) ? -errno : 0;

	/* The call keeps the client: its references are there until the call is over. */
	self->fd = -1;
	rc = rc ?: bt_life(self->other, self->device, 0, 5, &self->life);
	if (rc || self->life.state != BUFFTRACK_STATE_LIVE)
		return rc ?: -100;
	return 0;
}

TEST_F(late, close_while_a_batch_waits)
{
	__u64 id = bt_client_id(self->fd);
	char *at = two_chunks(self);
	unsigned int i;

	/* Not all go: 7 of them leak. */
	for (i = 0; i < 7; i++)
		self->ops[CHUNK + i].buffer = 1000 + i;
	put(self, at, self->ops, sizeof(self->ops));
	BEGIN(close_it);
	EXPECT_EQ(0, bt_batch(self->fd, (void *)at, 2 * CHUNK, &self->batch));
	END();
	EXPECT_EQ(2 * CHUNK, self->batch.done);
	EXPECT_EQ(7, self->batch.bad);
	EXPECT_EQ(-ENOENT, bt_stat(self->other, BUFFTRACK_STAT_CLIENT, id, 0,
				   &self->stat));
	ASSERT_EQ(0, bt_stat(self->other, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(1, self->stat.live);
	EXPECT_EQ(7, self->stat.verdicts[BUFFTRACK_LEAK]);
	EXPECT_EQ(7, self->stat.verdicts[BUFFTRACK_UNKNOWN_FREE]);
	ASSERT_EQ(0, bt_life(self->other, self->device, 0, 5, &self->life));
	EXPECT_EQ(BUFFTRACK_STATE_EXITED, self->life.state);
}

static int reset_it(FIXTURE_DATA(late) *self)
{
	__u64 lives;
	int rc = bt_reset(self->other, self->device, &lives);

	return rc ?: lives == CHUNK + 1 ? 0 : -100;
}

TEST_F(late, reset_while_a_batch_waits)
{
	char *at = two_chunks(self);
	unsigned int i;

	BEGIN(reset_it);
	EXPECT_EQ(0, bt_batch(self->fd, (void *)at, 2 * CHUNK, &self->batch));
	END();
	EXPECT_EQ(2 * CHUNK, self->batch.done);
	EXPECT_EQ(CHUNK, self->batch.bad);
	memcpy(self->ops, at, sizeof(self->ops));
	for (i = CHUNK; i < 2 * CHUNK; i++)
		EXPECT_EQ(BUFFTRACK_FREE_AFTER_RESET, self->ops[i].verdict);
}

/* Every command, on the same file: none may wait for the call that waits. */
static int all_commands(FIXTURE_DATA(late) *self)
{
	struct bufftrack_label label = {
		.device = self->device, .label = "meanwhile",
	};
	__u64 frames[] = { 0x1001, 0x1002 };
	struct bufftrack_info info = { 0 };
	struct bufftrack_stack stack = { .frame_size = sizeof(struct bufftrack_frame) };
	struct bufftrack_op op = {
		.device = self->device, .buffer = 0x77, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = 2,
	};
	struct bufftrack_life life;
	struct bufftrack_stat stat;
	struct bufftrack_batch batch;
	struct bufftrack_op entry = {
		.op = BUFFTRACK_OP_ALLOC, .device = bt_device(), .buffer = 1,
	};
	unsigned int scope;
	__u64 lives;
	int rc;

	rc = bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info);
	rc = rc ?: bt_client(self->fd, 0, 0, "meanwhile", NULL);
	rc = rc ?: bt_alloc(self->fd, &op);
	rc = rc ?: bt_life(self->fd, self->device, 0, 0x77, &life);
	if (rc)
		return rc;
	stack.stack_id = life.alloc.stack_id;
	rc = bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack);
	rc = rc ?: bt_free(self->fd, &op);
	rc = rc ?: bt_batch(self->fd, &entry, 1, &batch);
	rc = rc ?: bt_reset(self->fd, entry.device, &lives);
	rc = rc ?: bt_ioctl(self->fd, BUFFTRACK_IOC_LABEL, &label);
	for (scope = BUFFTRACK_STAT_ALL; !rc && scope <= BUFFTRACK_STAT_CLIENT; scope++)
		rc = bt_stat(self->fd, scope,
			     scope == BUFFTRACK_STAT_ALL ||
			     scope == BUFFTRACK_STAT_CLIENT ? 0 : self->device, 0,
			     &stat);
	return rc;
}

/* The struct of a call is what comes late, whole or from some byte on. */
TEST_F(late, structs)
{
	static const unsigned int before[] = { 0, 8, 40 };
	unsigned int i;
	char *at;

	for (i = 0; i < ARRAY_SIZE(before); i++) {
		struct bufftrack_op op = {
			.device = self->device, .buffer = 0x100 + i, .size = SIZE,
		};

		at = self->cut - before[i];
		put(self, at, &op, sizeof(op));
		self->faults = 0;
		BEGIN(all_commands);
		EXPECT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_ALLOC, at));
		END();
		memcpy(&op, at, sizeof(op));
		EXPECT_EQ(1, op.refs);
		ASSERT_EQ(0, madvise(self->cut, 2 * self->page, MADV_DONTNEED));
	}
}

/* The addresses of a stack: the call has not looked at its key yet. */
static int alloc_first(FIXTURE_DATA(late) *self)
{
	struct bufftrack_op op;

	return bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device, 1, &op) ?:
	       all_commands(self);
}

/* What was done before the addresses of a stack were read is counted. */
static int count_first(FIXTURE_DATA(late) *self)
{
	struct bufftrack_op op;
	int rc;

	rc = bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &self->stat);
	if (rc || self->stat.live != 2 || self->stat.bytes != 2 * SIZE)
		return rc ?: -100;
	rc = bt_call(self->other, BUFFTRACK_IOC_ALLOC, SIZE, self->device, 2, &op);
	return rc ?: bt_call(self->other, BUFFTRACK_IOC_FREE, 0, self->device, 2, &op);
}

TEST_F(late, a_stack_in_a_batch)
{
	const __u64 frames[] = { 0x2001, 0x2002, 0x2003, 0x2004 };
	char *at = self->cut - 16;
	unsigned int i;

	put(self, at, frames, sizeof(frames));
	for (i = 0; i < 2; i++)
		self->ops[i] = (struct bufftrack_op) {
			.op = BUFFTRACK_OP_ALLOC, .device = self->device,
			.buffer = 1 + i, .size = SIZE,
		};
	self->ops[1].stack = (uintptr_t)at;
	self->ops[1].stack_depth = ARRAY_SIZE(frames);
	BEGIN(count_first);
	EXPECT_EQ(0, bt_batch(self->fd, self->ops, 2, &self->batch));
	END();
	EXPECT_EQ(0, self->batch.bad);
	ASSERT_EQ(0, bt_life(self->other, self->device, 0, 2, &self->life));
	EXPECT_EQ(2, self->life.lives);
	EXPECT_LE(self->life.prev_end.time, self->life.alloc.time);
}

TEST_F(late, a_stack)
{
	const __u64 frames[] = { 0x2001, 0x2002, 0x2003, 0x2004 };
	char *at = self->cut - 16;

	put(self, at, frames, sizeof(frames));
	self->op = (struct bufftrack_op) {
		.device = self->device, .buffer = 1, .size = SIZE,
		.stack = (uintptr_t)at, .stack_depth = ARRAY_SIZE(frames),
	};
	BEGIN(alloc_first);
	EXPECT_EQ(0, bt_alloc(self->fd, &self->op));
	END();
	EXPECT_EQ(BUFFTRACK_OK, self->op.verdict);
	EXPECT_EQ(2, self->op.refs);
	EXPECT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 1,
			     &self->op));
	EXPECT_EQ(1, self->op.refs);
}

/* Everything on the device is freed, and its freed-buffer records are evicted. */
static int free_and_forget(FIXTURE_DATA(late) *self)
{
	unsigned long history;
	struct bufftrack_op op;
	unsigned int i;
	int rc, err;

	rc = bt_parameter("history", 0, &history);
	for (i = 0; !rc && i < 2 * CHUNK; i++)
		rc = bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, i, &op);
	err = bt_parameter("history", history, NULL);
	return rc ?: err ?: all_commands(self);
}

TEST_F(late, the_room_of_lives)
{
	const unsigned int nr = 2 * CHUNK + 1;
	struct bufftrack_list list = {
		.nr = 16, .entry_size = sizeof(struct bufftrack_life),
		.flags = BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_DEAD,
		.device = self->device,
	};
	const struct bufftrack_life *lives;
	unsigned int i;

	for (i = 0; i < nr - 1; i++)
		ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE,
				     self->device, i, &self->op));
	list.entries = (uintptr_t)self->cut - 2 * sizeof(*lives) - 24;
	BEGIN(free_and_forget);
	EXPECT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list));
	END();
	/* As they were when the kernel looked: that was before the room was there. */
	EXPECT_EQ(16, list.nr);
	lives = (void *)(uintptr_t)list.entries;
	for (i = 0; i < list.nr; i++) {
		EXPECT_EQ(self->device, lives[i].device);
		EXPECT_EQ(BUFFTRACK_STATE_LIVE, lives[i].state);
		EXPECT_EQ(1, lives[i].refs);
	}
	/* The walk goes on from an allocation that is not there any more. */
	list.entries = (uintptr_t)self->map;
	list.nr = 4;
	list.entry_size = sizeof(*lives);
	while (!bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &list) && list.nr) {
		for (i = 0; i < list.nr; i++)
			EXPECT_TRUE(((struct bufftrack_life *)self->map)[i].buffer ==
				    0xfff0 ||
				    ((struct bufftrack_life *)self->map)[i].buffer ==
				    0x77);
		list.nr = 4;
		list.entry_size = sizeof(*lives);
	}
	EXPECT_EQ(0, list.nr);
}

/* The stack's only allocation goes while its frames are copied out. */
static int forget_the_stack(FIXTURE_DATA(late) *self)
{
	unsigned long history;
	struct bufftrack_op op;
	int rc;

	rc = bt_parameter("history", 0, &history);
	rc = rc ?: bt_call(self->fd, BUFFTRACK_IOC_FREE, 0, self->device, 1, &op);
	return bt_parameter("history", history, NULL) ?: rc ?: all_commands(self);
}

TEST_F(late, the_room_of_frames)
{
	const struct bufftrack_frame *seen;
	struct bufftrack_stack stack;
	__u64 frames[16];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(frames); i++)
		frames[i] = (uintptr_t)&page_size + i;
	self->op = (struct bufftrack_op) {
		.device = self->device, .buffer = 1, .size = SIZE,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	ASSERT_EQ(0, bt_alloc(self->fd, &self->op));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 1, &self->life));
	ASSERT_NE(0, self->life.alloc.stack_id);
	stack = (struct bufftrack_stack) {
		.frames = (uintptr_t)self->cut - sizeof(*seen) - 8,
		.nr = ARRAY_SIZE(frames), .frame_size = sizeof(*seen),
		.stack_id = self->life.alloc.stack_id,
	};
	BEGIN(forget_the_stack);
	EXPECT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack));
	END();
	EXPECT_EQ(ARRAY_SIZE(frames), stack.nr);
	seen = (void *)(uintptr_t)stack.frames;
	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		EXPECT_EQ(frames[i], seen[i].address);
		EXPECT_NE(0, seen[i].path[0]);
	}
	stack.frames = (uintptr_t)self->map;
	EXPECT_EQ(-ENOENT, bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack));
}

/* In a child: a batch whose second chunk never comes. Does not return. */
static void wait_for_ever(__u64 device, int ready)
{
	struct uffdio_register region = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	const long page = page_size();
	struct bufftrack_batch batch;
	struct bufftrack_op *ops;
	int uffd, fd;
	__u64 id;
	char *map;
	int i;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region.range.start = (uintptr_t)map + page;
	region.range.len = 2 * page;
	if (uffd < 0 || map == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api) ||
	    ioctl(uffd, UFFDIO_REGISTER, &region))
		_exit(1);
	ops = (void *)(map + page - CHUNK * OP_SIZE);
	for (i = 0; i < CHUNK; i++)
		ops[i] = (struct bufftrack_op) {
			.op = BUFFTRACK_OP_ALLOC, .device = device, .buffer = i,
			.size = SIZE,
		};
	fd = bt_open();
	id = bt_client_id(fd);
	if (write(ready, &id, sizeof(id)) == sizeof(id))
		bt_batch(fd, ops, 2 * CHUNK, &batch);
	_exit(2);
}

/* It can be killed there, and its client goes. */
TEST_F(late, killed_while_a_batch_waits)
{
	struct bt_pipe ready;
	pid_t pid;
	__u64 id;
	int i;

	ASSERT_EQ(0, bt_pipe(&ready));
	pid = bt_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* The parent's file is to be the parent's only. */
		close(self->fd);
		wait_for_ever(self->device, ready.fd[1]);
	}
	id = bt_receive(&ready);
	for (i = 0; i < 6000; i++) {
		ASSERT_EQ(0, bt_stat(self->other, BUFFTRACK_STAT_DEVICE,
				     self->device, 0, &self->stat));
		if (self->stat.live == CHUNK + 1)
			break;
		usleep(10000);
	}
	EXPECT_EQ(CHUNK + 1, self->stat.live);
	/* A moment more, for it to come to the page. */
	usleep(100000);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, bt_reap(pid));
	EXPECT_EQ(-ENOENT, bt_stat(self->other, BUFFTRACK_STAT_CLIENT, id, 0,
				   &self->stat));
	ASSERT_EQ(0, bt_stat(self->other, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(1, self->stat.live);
	EXPECT_EQ(CHUNK, self->stat.verdicts[BUFFTRACK_LEAK]);
}

TEST_HARNESS_MAIN
