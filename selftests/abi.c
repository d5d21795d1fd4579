// SPDX-License-Identifier: GPL-2.0
/*
 * The shape of every command: one test a rejection, each made of an otherwise
 * valid call.
 */
#include "bt.h"

/* ---- sizes and offsets, the same for 32 and 64 bits ---------------------- */

#define SIZE_IS(type, size) \
	_Static_assert(sizeof(struct type) == (size), #type)
#define AT(type, field, offset) \
	_Static_assert(offsetof(struct type, field) == (offset), #type "." #field)

SIZE_IS(bufftrack_info, 112);
AT(bufftrack_info, reserved, 4);
AT(bufftrack_info, features, 8);
AT(bufftrack_info, max_buffers, 16);
AT(bufftrack_info, max_devices, 24);
AT(bufftrack_info, history, 32);
AT(bufftrack_info, max_stacks, 40);
AT(bufftrack_info, max_batch, 48);
AT(bufftrack_info, max_stack_depth, 52);
AT(bufftrack_info, max_spaces, 56);
AT(bufftrack_info, log_limit, 60);
AT(bufftrack_info, evicted, 64);
AT(bufftrack_info, stacks_lost, 72);
AT(bufftrack_info, logs_suppressed, 80);
AT(bufftrack_info, failed, 88);
AT(bufftrack_info, max_clients, 96);
AT(bufftrack_info, max_events, 104);

SIZE_IS(bufftrack_client, 48);
AT(bufftrack_client, flags, 4);
AT(bufftrack_client, name, 8);
AT(bufftrack_client, id, 40);

SIZE_IS(bufftrack_op, 96);
AT(bufftrack_op, buffer, 8);
AT(bufftrack_op, size, 16);
AT(bufftrack_op, tag, 24);
AT(bufftrack_op, token, 32);
AT(bufftrack_op, stack, 40);
AT(bufftrack_op, stack_depth, 48);
AT(bufftrack_op, space, 52);
AT(bufftrack_op, op, 56);
AT(bufftrack_op, flags, 60);
AT(bufftrack_op, generation, 64);
AT(bufftrack_op, refs, 72);
AT(bufftrack_op, verdict, 76);
AT(bufftrack_op, info, 80);
AT(bufftrack_op, error, 84);
AT(bufftrack_op, stack_id, 88);
AT(bufftrack_op, reserved, 92);

SIZE_IS(bufftrack_batch, 32);
AT(bufftrack_batch, nr, 8);
AT(bufftrack_batch, entry_size, 12);
AT(bufftrack_batch, flags, 16);
AT(bufftrack_batch, done, 20);
AT(bufftrack_batch, bad, 24);
AT(bufftrack_batch, reserved, 28);

SIZE_IS(bufftrack_label, 56);
AT(bufftrack_label, space, 8);
AT(bufftrack_label, flags, 12);
AT(bufftrack_label, label, 16);
AT(bufftrack_label, tag, 48);

SIZE_IS(bufftrack_reset, 40);
AT(bufftrack_reset, flags, 8);
AT(bufftrack_reset, space, 12);
AT(bufftrack_reset, tag, 16);
AT(bufftrack_reset, lives, 24);
AT(bufftrack_reset, holds, 32);

SIZE_IS(bufftrack_stat, 480);
AT(bufftrack_stat, flags, 4);
AT(bufftrack_stat, cursor, 8);
AT(bufftrack_stat, device, 16);
AT(bufftrack_stat, client, 24);
AT(bufftrack_stat, space, 32);
AT(bufftrack_stat, pid, 36);
AT(bufftrack_stat, uid, 40);
AT(bufftrack_stat, client_flags, 44);
AT(bufftrack_stat, name, 48);
AT(bufftrack_stat, comm, 80);
AT(bufftrack_stat, live, 96);
AT(bufftrack_stat, bytes, 104);
AT(bufftrack_stat, peak_bytes, 112);
AT(bufftrack_stat, allocs, 120);
AT(bufftrack_stat, frees, 128);
AT(bufftrack_stat, history, 136);
AT(bufftrack_stat, evicted, 144);
AT(bufftrack_stat, clients, 152);
AT(bufftrack_stat, verdicts, 160);
AT(bufftrack_stat, undos, 416);
AT(bufftrack_stat, certain, 424);
AT(bufftrack_stat, reserved, 432);

SIZE_IS(bufftrack_event, 72);
AT(bufftrack_event, start_time, 8);
AT(bufftrack_event, client, 16);
AT(bufftrack_event, cgroup, 24);
AT(bufftrack_event, stack_id, 32);
AT(bufftrack_event, pid, 36);
AT(bufftrack_event, tid, 40);
AT(bufftrack_event, uid, 44);
AT(bufftrack_event, exited, 48);
AT(bufftrack_event, reserved, 52);
AT(bufftrack_event, comm, 56);

SIZE_IS(bufftrack_life, 384);
AT(bufftrack_life, buffer, 8);
AT(bufftrack_life, size, 16);
AT(bufftrack_life, tag, 24);
AT(bufftrack_life, generation, 32);
AT(bufftrack_life, client, 40);
AT(bufftrack_life, space, 48);
AT(bufftrack_life, state, 52);
AT(bufftrack_life, refs, 56);
AT(bufftrack_life, views, 60);
AT(bufftrack_life, flags, 64);
AT(bufftrack_life, reserved, 68);
AT(bufftrack_life, lives, 72);
AT(bufftrack_life, frees, 76);
AT(bufftrack_life, refused, 80);
AT(bufftrack_life, prev_state, 84);
AT(bufftrack_life, prev_generation, 88);
AT(bufftrack_life, alloc, 96);
AT(bufftrack_life, end, 168);
AT(bufftrack_life, prev_alloc, 240);
AT(bufftrack_life, prev_end, 312);

SIZE_IS(bufftrack_list, 104);
AT(bufftrack_list, nr, 8);
AT(bufftrack_list, entry_size, 12);
AT(bufftrack_list, flags, 16);
AT(bufftrack_list, space, 20);
AT(bufftrack_list, device, 24);
AT(bufftrack_list, client, 32);
AT(bufftrack_list, pid, 40);
AT(bufftrack_list, reserved, 44);
AT(bufftrack_list, cursor, 48);
AT(bufftrack_list, tag, 80);
AT(bufftrack_list, buffer, 88);
AT(bufftrack_list, generation, 96);

SIZE_IS(bufftrack_holder, 72);
AT(bufftrack_holder, count, 8);
AT(bufftrack_holder, pid, 12);
AT(bufftrack_holder, uid, 16);
AT(bufftrack_holder, reserved, 20);
AT(bufftrack_holder, name, 24);
AT(bufftrack_holder, comm, 56);

SIZE_IS(bufftrack_holders, 56);
AT(bufftrack_holders, nr, 8);
AT(bufftrack_holders, entry_size, 12);
AT(bufftrack_holders, device, 16);
AT(bufftrack_holders, buffer, 24);
AT(bufftrack_holders, space, 32);
AT(bufftrack_holders, flags, 36);
AT(bufftrack_holders, generation, 40);
AT(bufftrack_holders, refs, 48);
AT(bufftrack_holders, others, 52);

SIZE_IS(bufftrack_bad, 496);
AT(bufftrack_bad, device, 8);
AT(bufftrack_bad, buffer, 16);
AT(bufftrack_bad, size, 24);
AT(bufftrack_bad, requested, 32);
AT(bufftrack_bad, tag, 40);
AT(bufftrack_bad, token, 48);
AT(bufftrack_bad, generation, 56);
AT(bufftrack_bad, named, 64);
AT(bufftrack_bad, prev_generation, 72);
AT(bufftrack_bad, evicted, 80);
AT(bufftrack_bad, space, 88);
AT(bufftrack_bad, verdict, 92);
AT(bufftrack_bad, info, 96);
AT(bufftrack_bad, flags, 100);
AT(bufftrack_bad, refs, 104);
AT(bufftrack_bad, views, 108);
AT(bufftrack_bad, nth, 112);
AT(bufftrack_bad, count, 116);
AT(bufftrack_bad, lives, 120);
AT(bufftrack_bad, frees, 124);
AT(bufftrack_bad, reason, 128);
AT(bufftrack_bad, prev_reason, 132);
AT(bufftrack_bad, offender, 136);
AT(bufftrack_bad, end, 208);
AT(bufftrack_bad, alloc, 280);
AT(bufftrack_bad, prev_end, 352);
AT(bufftrack_bad, prev_alloc, 424);

SIZE_IS(bufftrack_events, 40);
AT(bufftrack_events, nr, 8);
AT(bufftrack_events, entry_size, 12);
AT(bufftrack_events, flags, 16);
AT(bufftrack_events, reserved, 20);
AT(bufftrack_events, cursor, 24);
AT(bufftrack_events, lost, 32);

SIZE_IS(bufftrack_frame, 320);
AT(bufftrack_frame, offset, 8);
AT(bufftrack_frame, build_id, 16);
AT(bufftrack_frame, build_id_len, 36);
AT(bufftrack_frame, inode, 40);
AT(bufftrack_frame, file_size, 48);
AT(bufftrack_frame, file_time, 56);
AT(bufftrack_frame, path, 64);

SIZE_IS(bufftrack_stack, 24);
AT(bufftrack_stack, nr, 8);
AT(bufftrack_stack, frame_size, 12);
AT(bufftrack_stack, stack_id, 16);
AT(bufftrack_stack, flags, 20);

_Static_assert(BUFFTRACK_IOC_INFO == 0xc070bf20, "INFO");
_Static_assert(BUFFTRACK_IOC_CLIENT == 0xc030bf21, "CLIENT");
_Static_assert(BUFFTRACK_IOC_ALLOC == 0xc060bf22, "ALLOC");
_Static_assert(BUFFTRACK_IOC_FREE == 0xc060bf23, "FREE");
_Static_assert(BUFFTRACK_IOC_BATCH == 0xc020bf24, "BATCH");
_Static_assert(BUFFTRACK_IOC_LABEL == 0xc038bf25, "LABEL");
_Static_assert(BUFFTRACK_IOC_RESET == 0xc028bf26, "RESET");
_Static_assert(BUFFTRACK_IOC_STAT == 0xc1e0bf27, "STAT");
_Static_assert(BUFFTRACK_IOC_LIST == 0xc068bf28, "LIST");
_Static_assert(BUFFTRACK_IOC_STACK == 0xc018bf29, "STACK");
_Static_assert(BUFFTRACK_IOC_UNDO == 0xc060bf2a, "UNDO");
_Static_assert(BUFFTRACK_IOC_HOLDERS == 0xc038bf2b, "HOLDERS");
_Static_assert(BUFFTRACK_IOC_EVENTS == 0xc028bf2c, "EVENTS");
_Static_assert(BUFFTRACK_IOC_HOLDERS == 0xc038bf2b, "HOLDERS");
_Static_assert(BUFFTRACK_IOC_EVENTS == 0xc028bf2c, "EVENTS");

/* ---- every command ------------------------------------------------------- */

#define BUFFER	0x1000
#define LONGEST	((1U << _IOC_SIZEBITS) - 1)

struct field {
	unsigned int offset;
	unsigned int size;
};

#define FIELD(type, name) \
	{ offsetof(struct type, name), sizeof(((struct type *)0)->name) }
/* Of a field, its bytes from @from on */
#define TAIL(type, name, from) \
	{ offsetof(struct type, name) + (from), \
	  sizeof(((struct type *)0)->name) - (from) }

FIXTURE(command) {
	int fd;
	__u64 device;
	__u32 stack_id;
	struct bufftrack_op ops[2];
	struct bufftrack_life lives[4];
	struct bufftrack_frame frames[4];
	/* A valid call's struct, and room to be longer in */
	unsigned char arg[LONGEST] __attribute__((aligned(8)));
};

FIXTURE_VARIANT(command) {
	unsigned long cmd;
	struct field zero[12];		/* have to be 0 in the valid call */
	struct field flags;
	__u32 known;			/* its bits that have a meaning */
	struct field out[16];		/* outputs that are not inputs, too */
};

FIXTURE_VARIANT_ADD(command, info) {
	.cmd = BUFFTRACK_IOC_INFO,
	.zero = { FIELD(bufftrack_info, reserved) },
	.flags = FIELD(bufftrack_info, flags),
	.out = {
		FIELD(bufftrack_info, features),
		FIELD(bufftrack_info, max_buffers),
		FIELD(bufftrack_info, max_devices),
		FIELD(bufftrack_info, history),
		FIELD(bufftrack_info, max_stacks),
		FIELD(bufftrack_info, max_batch),
		FIELD(bufftrack_info, max_stack_depth),
		FIELD(bufftrack_info, max_spaces),
		FIELD(bufftrack_info, log_limit),
		FIELD(bufftrack_info, evicted),
		FIELD(bufftrack_info, stacks_lost),
		FIELD(bufftrack_info, logs_suppressed),
		FIELD(bufftrack_info, failed),
		FIELD(bufftrack_info, max_clients),
		FIELD(bufftrack_info, max_events),
	},
};

FIXTURE_VARIANT_ADD(command, client) {
	.cmd = BUFFTRACK_IOC_CLIENT,
	.flags = FIELD(bufftrack_client, mask),
	.known = BUFFTRACK_CLIENT_NAME | BUFFTRACK_CLIENT_PRIVATE |
		 BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP |
		 BUFFTRACK_CLIENT_REQUIRE_TOKEN | BUFFTRACK_CLIENT_PARTIAL |
		 BUFFTRACK_CLIENT_FORKED,
	.out = { FIELD(bufftrack_client, id) },
};

#define OP_OUTPUTS {				\
	FIELD(bufftrack_op, generation),	\
	FIELD(bufftrack_op, refs),		\
	FIELD(bufftrack_op, verdict),		\
	FIELD(bufftrack_op, info),		\
	FIELD(bufftrack_op, error),		\
	FIELD(bufftrack_op, stack_id),		\
}

FIXTURE_VARIANT_ADD(command, alloc) {
	.cmd = BUFFTRACK_IOC_ALLOC,
	.zero = {
		FIELD(bufftrack_op, token),
		FIELD(bufftrack_op, op),
		FIELD(bufftrack_op, reserved),
	},
	.flags = FIELD(bufftrack_op, flags),
	.known = BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED | BUFFTRACK_F_VIEW |
		 BUFFTRACK_F_RETAIN | BUFFTRACK_F_SAME | BUFFTRACK_F_PERSISTENT,
	.out = OP_OUTPUTS,
};

FIXTURE_VARIANT_ADD(command, free) {
	.cmd = BUFFTRACK_IOC_FREE,
	.zero = {
		FIELD(bufftrack_op, tag),
		FIELD(bufftrack_op, op),
		FIELD(bufftrack_op, reserved),
	},
	.flags = FIELD(bufftrack_op, flags),
	.known = BUFFTRACK_F_VIEW | BUFFTRACK_F_LAST,
	.out = OP_OUTPUTS,
};

FIXTURE_VARIANT_ADD(command, batch) {
	.cmd = BUFFTRACK_IOC_BATCH,
	.zero = { FIELD(bufftrack_batch, reserved) },
	.flags = FIELD(bufftrack_batch, flags),
	.out = {
		FIELD(bufftrack_batch, done),
		FIELD(bufftrack_batch, bad),
	},
};

FIXTURE_VARIANT_ADD(command, label) {
	.cmd = BUFFTRACK_IOC_LABEL,
	.zero = { FIELD(bufftrack_label, space), FIELD(bufftrack_label, tag) },
	.flags = FIELD(bufftrack_label, flags),
	.known = BUFFTRACK_LABEL_SPACE | BUFFTRACK_LABEL_TAG | BUFFTRACK_LABEL_GET,
};

FIXTURE_VARIANT_ADD(command, reset) {
	.cmd = BUFFTRACK_IOC_RESET,
	.zero = { FIELD(bufftrack_reset, space), FIELD(bufftrack_reset, tag) },
	.flags = FIELD(bufftrack_reset, flags),
	.known = BUFFTRACK_RESET_CLIENT | BUFFTRACK_RESET_SPACE,
	.out = { FIELD(bufftrack_reset, lives), FIELD(bufftrack_reset, holds) },
};

FIXTURE_VARIANT_ADD(command, stat) {
	.cmd = BUFFTRACK_IOC_STAT,
	.zero = {
		FIELD(bufftrack_stat, reserved),
		FIELD(bufftrack_stat, cursor),
		FIELD(bufftrack_stat, client),
		FIELD(bufftrack_stat, space),
	},
	.flags = FIELD(bufftrack_stat, flags),
	.known = BUFFTRACK_STAT_NEXT,
	.out = {
		FIELD(bufftrack_stat, pid),
		FIELD(bufftrack_stat, uid),
		FIELD(bufftrack_stat, client_flags),
		FIELD(bufftrack_stat, name),
		FIELD(bufftrack_stat, comm),
		FIELD(bufftrack_stat, live),
		FIELD(bufftrack_stat, bytes),
		FIELD(bufftrack_stat, peak_bytes),
		FIELD(bufftrack_stat, allocs),
		FIELD(bufftrack_stat, frees),
		FIELD(bufftrack_stat, history),
		FIELD(bufftrack_stat, evicted),
		FIELD(bufftrack_stat, clients),
		FIELD(bufftrack_stat, verdicts),
		FIELD(bufftrack_stat, undos), FIELD(bufftrack_stat, certain),
	},
};

FIXTURE_VARIANT_ADD(command, list) {
	.cmd = BUFFTRACK_IOC_LIST,
	.zero = {
		FIELD(bufftrack_list, space),
		FIELD(bufftrack_list, device),
		FIELD(bufftrack_list, client),
		FIELD(bufftrack_list, pid),
		FIELD(bufftrack_list, reserved),
		FIELD(bufftrack_list, tag),
		FIELD(bufftrack_list, buffer),
		FIELD(bufftrack_list, generation),
	},
	.flags = FIELD(bufftrack_list, flags),
	.known = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE |
		 BUFFTRACK_LIST_SPACE | BUFFTRACK_LIST_CLIENT |
		 BUFFTRACK_LIST_PID | BUFFTRACK_LIST_TAG |
		 BUFFTRACK_LIST_BUFFER | BUFFTRACK_LIST_GENERATION,
};

FIXTURE_VARIANT_ADD(command, stack) {
	.cmd = BUFFTRACK_IOC_STACK,
	.flags = FIELD(bufftrack_stack, flags),
};

/* The id of a stack that a live allocation refers to; 0 where there are none. */
static __u32 a_stack(int fd, __u64 device)
{
	__u64 frames[] = { (uintptr_t)a_stack, (uintptr_t)bt_open };
	struct bufftrack_op op = {
		.device = device,
		.buffer = BUFFER + 1,
		.size = 1,
		.stack = (uintptr_t)frames,
		.stack_depth = ARRAY_SIZE(frames),
	};
	struct bufftrack_life life;

	if (bt_alloc(fd, &op) || bt_life(fd, device, 0, BUFFER + 1, &life))
		return 0;
	return life.alloc.stack_id;
}

FIXTURE_SETUP(command)
{
	struct bufftrack_op op = { .buffer = BUFFER, .size = 64 };

	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	op.device = self->device;
	ASSERT_EQ(0, bt_alloc(self->fd, &op));

	switch (variant->cmd) {
	case BUFFTRACK_IOC_ALLOC:
	case BUFFTRACK_IOC_FREE: {
		struct bufftrack_op *valid = (void *)self->arg;

		valid->device = self->device;
		valid->buffer = BUFFER;
		valid->size = 64;
		break;
	}
	case BUFFTRACK_IOC_BATCH: {
		struct bufftrack_batch *valid = (void *)self->arg;

		self->ops[0] = (struct bufftrack_op) {
			.op = BUFFTRACK_OP_ALLOC, .device = self->device,
			.buffer = BUFFER, .size = 64,
		};
		self->ops[1] = (struct bufftrack_op) {
			.op = BUFFTRACK_OP_FREE, .device = self->device,
			.buffer = BUFFER, .size = 64,
		};
		valid->entries = (uintptr_t)self->ops;
		valid->nr = 2;
		valid->entry_size = sizeof(self->ops[0]);
		break;
	}
	case BUFFTRACK_IOC_LABEL: {
		struct bufftrack_label *valid = (void *)self->arg;

		valid->device = self->device;
		strcpy(valid->label, "device");
		break;
	}
	case BUFFTRACK_IOC_RESET: {
		struct bufftrack_reset *valid = (void *)self->arg;

		valid->device = self->device;
		break;
	}
	case BUFFTRACK_IOC_STAT: {
		struct bufftrack_stat *valid = (void *)self->arg;

		valid->scope = BUFFTRACK_STAT_DEVICE;
		valid->device = self->device;
		break;
	}
	case BUFFTRACK_IOC_LIST: {
		struct bufftrack_list *valid = (void *)self->arg;

		valid->entries = (uintptr_t)self->lives;
		valid->nr = ARRAY_SIZE(self->lives);
		valid->entry_size = sizeof(self->lives[0]);
		break;
	}
	case BUFFTRACK_IOC_STACK: {
		struct bufftrack_stack *valid = (void *)self->arg;

		if (!(bt_features(self->fd) & BUFFTRACK_FEATURE_STACK))
			SKIP(return, "no BUFFTRACK_FEATURE_STACK");
		valid->stack_id = a_stack(self->fd, self->device);
		ASSERT_NE(0, valid->stack_id)
			TH_LOG("no stack id of an ALLOC with a stack");
		valid->frames = (uintptr_t)self->frames;
		valid->nr = ARRAY_SIZE(self->frames);
		valid->frame_size = sizeof(self->frames[0]);
		break;
	}
	}
}

FIXTURE_TEARDOWN(command)
{
	close(self->fd);
}

static unsigned long with_size(unsigned long cmd, unsigned int size)
{
	return _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size);
}

/* All counters of the device and of the module that a call could move */
struct snapshot {
	struct bufftrack_stat device;
	struct bufftrack_stat all;
};

static int take(int fd, __u64 device, struct snapshot *snapshot)
{
	int rc = bt_stat(fd, BUFFTRACK_STAT_DEVICE, device, 0,
			 &snapshot->device);

	return rc ? rc : bt_stat(fd, BUFFTRACK_STAT_ALL, 0, 0, &snapshot->all);
}

/* What a refused call returned; -EUCLEAN where it changed something. */
static int refused(int fd, __u64 device, unsigned long cmd, void *arg)
{
	struct snapshot before, after;
	int rc;

	if (take(fd, device, &before))
		return -EIO;
	rc = bt_ioctl(fd, cmd, arg);
	if (take(fd, device, &after))
		return -EIO;
	return memcmp(&before, &after, sizeof(before)) ? -EUCLEAN : rc;
}

#define REFUSED(cmd, arg) refused(self->fd, self->device, cmd, arg)

TEST_F(command, valid)
{
	ASSERT_EQ(0, bt_ioctl(self->fd, variant->cmd, self->arg));
}

TEST_F(command, shorter)
{
	unsigned int size;

	for (size = 0; size < _IOC_SIZE(variant->cmd); size++)
		ASSERT_EQ(-EINVAL, REFUSED(with_size(variant->cmd, size),
					   self->arg))
			TH_LOG("size %u", size);
}

TEST_F(command, longer_with_zeros)
{
	unsigned int size = _IOC_SIZE(variant->cmd);
	unsigned char copy[LONGEST];
	const unsigned int more[] = { size + 1, size + 4, size + 8, 4096, 8192,
				      LONGEST };
	unsigned int i, byte;

	memcpy(copy, self->arg, sizeof(copy));
	for (i = 0; i < ARRAY_SIZE(more); i++) {
		memcpy(self->arg, copy, sizeof(copy));
		ASSERT_EQ(0, bt_ioctl(self->fd,
				      with_size(variant->cmd, more[i]),
				      self->arg))
			TH_LOG("size %u", more[i]);
		for (byte = size; byte < LONGEST; byte++)
			ASSERT_EQ(0, self->arg[byte]);
		/* A FREE, and the tombs of a RESET, need something to end. */
		if (variant->cmd == BUFFTRACK_IOC_FREE) {
			struct bufftrack_op op = {
				.device = self->device, .buffer = BUFFER,
				.size = 64,
			};

			ASSERT_EQ(0, bt_alloc(self->fd, &op));
		}
	}
}

TEST_F(command, longer_with_more)
{
	unsigned int size = _IOC_SIZE(variant->cmd);
	const unsigned int at[] = { size, size + 1, size + 7, 4095, 4096,
				    LONGEST - 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		self->arg[at[i]] = 1;
		ASSERT_EQ(-E2BIG, REFUSED(with_size(variant->cmd, at[i] + 1),
					  self->arg))
			TH_LOG("byte %u", at[i]);
		self->arg[at[i]] = 0;
	}
}

TEST_F(command, bad_pointer)
{
	long page = sysconf(_SC_PAGESIZE);
	void *none = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	ASSERT_TRUE(none != MAP_FAILED);
	EXPECT_EQ(-EFAULT, REFUSED(variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, REFUSED(variant->cmd, none));
	EXPECT_EQ(-EFAULT, REFUSED(variant->cmd, (void *)-8UL));
	EXPECT_EQ(-EFAULT, REFUSED(variant->cmd, (void *)(~0UL / 2 + 1)));
	munmap(none, page);
}

TEST_F(command, before_a_page_of_nothing)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned int size = _IOC_SIZE(variant->cmd);
	unsigned char *two, *end;

	two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(two != MAP_FAILED);
	end = two + page;
	ASSERT_EQ(0, mprotect(end, page, PROT_NONE));

	/* One byte too late, whole and by its last byte only. */
	memcpy(end - size + 8, self->arg, size - 8);
	EXPECT_EQ(-EFAULT, REFUSED(variant->cmd, end - size + 8));
	memset(two, 0, page);
	memcpy(end - size, self->arg, size);
	EXPECT_EQ(-EFAULT, REFUSED(with_size(variant->cmd, size + 1),
				   end - size));
	EXPECT_EQ(0, bt_ioctl(self->fd, variant->cmd, end - size));
	munmap(two, 2 * page);
}

TEST_F(command, read_only_memory)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *map;
	int rc;

	map = mmap(NULL, page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(map != MAP_FAILED);
	memcpy(map, self->arg, _IOC_SIZE(variant->cmd));
	ASSERT_EQ(0, mprotect(map, page, PROT_READ));
	/* LABEL has no output: it may do without writing. */
	rc = bt_ioctl(self->fd, variant->cmd, map);
	if (variant->cmd != BUFFTRACK_IOC_LABEL || rc)
		EXPECT_EQ(-EFAULT, rc);
	munmap(map, page);
}

TEST_F(command, other_direction)
{
	unsigned int nr = _IOC_NR(variant->cmd);
	unsigned int size = _IOC_SIZE(variant->cmd);
	unsigned int dir;

	for (dir = 0; dir < 4; dir++) {
		if (dir == (_IOC_READ | _IOC_WRITE))
			continue;
		EXPECT_EQ(-ENOTTY, REFUSED(_IOC(dir, BUFFTRACK_IOC_MAGIC, nr,
						size), self->arg))
			TH_LOG("direction %u", dir);
	}
}

TEST_F(command, other_magic)
{
	unsigned int type;

	for (type = 0; type < 256; type++) {
		/* 'T' is for terminals, 0 to 0x20 for files: not ours to see */
		if (type == BUFFTRACK_IOC_MAGIC)
			continue;
		EXPECT_NE(0, REFUSED(_IOC(_IOC_READ | _IOC_WRITE, type,
					  _IOC_NR(variant->cmd),
					  _IOC_SIZE(variant->cmd)),
				     self->arg));
	}
	EXPECT_EQ(-ENOTTY, REFUSED(_IOC(_IOC_READ | _IOC_WRITE, 0xbe,
					_IOC_NR(variant->cmd),
					_IOC_SIZE(variant->cmd)), self->arg));
}

TEST_F(command, unknown_flag)
{
	__u32 *flags = (__u32 *)(self->arg + variant->flags.offset);
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (variant->known & 1U << bit)
			continue;
		*flags = 1U << bit;
		EXPECT_EQ(-EINVAL, REFUSED(variant->cmd, self->arg))
			TH_LOG("bit %d", bit);
	}
}

TEST_F(command, not_zero)
{
	const struct field *field;
	unsigned int byte;

	for (field = variant->zero; field->size; field++) {
		for (byte = 0; byte < field->size; byte++) {
			self->arg[field->offset + byte] = 1;
			EXPECT_EQ(-EINVAL, REFUSED(variant->cmd, self->arg))
				TH_LOG("offset %u", field->offset + byte);
			self->arg[field->offset + byte] = 0;
		}
	}
}

TEST_F(command, writes_all_outputs)
{
	const struct field *field;
	unsigned int byte;

	for (field = variant->out; field->size; field++)
		memset(self->arg + field->offset, BT_POISON, field->size);
	ASSERT_EQ(0, bt_ioctl(self->fd, variant->cmd, self->arg));
	for (field = variant->out; field->size; field++) {
		for (byte = 0; byte < field->size; byte++)
			if (self->arg[field->offset + byte] != BT_POISON)
				break;
		EXPECT_NE(byte, field->size)
			TH_LOG("offset %u was not written", field->offset);
	}
}

TEST_F(command, on_another_descriptor)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	close(self->fd);
	EXPECT_EQ(-EBADF, bt_ioctl(self->fd, variant->cmd, self->arg));
	EXPECT_EQ(0, bt_ioctl(copy, variant->cmd, self->arg));
	close(copy);
	self->fd = -1;
}

/* ---- what only one command has ------------------------------------------- */

FIXTURE(node) {
	int fd;
	__u64 device;
};

FIXTURE_SETUP(node)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
}

FIXTURE_TEARDOWN(node)
{
	close(self->fd);
}

TEST_F(node, unknown_commands)
{
	struct bufftrack_op op = { .device = self->device };
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		if (nr >= 0x20 && nr <= 0x2c)
			continue;
		EXPECT_EQ(-ENOTTY, bt_ioctl(self->fd,
					    _IOC(_IOC_READ | _IOC_WRITE,
						 BUFFTRACK_IOC_MAGIC, nr,
						 sizeof(op)), &op))
			TH_LOG("number 0x%x", nr);
	}
	/* FIBMAP: of regular files */
	EXPECT_EQ(-ENOTTY, bt_ioctl(self->fd, 1, &op));
}

TEST_F(node, has_no_data)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, 0) ==
		    MAP_FAILED);
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(node, is_a_character_device)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	/* Not for everybody: udev gives it to a group. */
	EXPECT_EQ(0, st.st_mode & 07);
}

TEST_F(node, path_only)
{
	struct bufftrack_info info = { 0 };
	int fd = open(BT_NODE, O_PATH | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, bt_ioctl(fd, BUFFTRACK_IOC_INFO, &info));
	close(fd);
}

TEST_F(node, info)
{
	struct bufftrack_info info = { 0 };
	unsigned long history;

	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	EXPECT_EQ((1ULL << 20) - 1, info.features);
	EXPECT_EQ(1ULL << 22, info.max_buffers);
	EXPECT_EQ(1024, info.max_devices);
	EXPECT_EQ(65536, info.history);
	EXPECT_EQ(16384, info.max_stacks);
	EXPECT_LE(64, info.max_batch);
	EXPECT_LE(16, info.max_stack_depth);
	EXPECT_LE(16, info.max_spaces);
	EXPECT_EQ(5, info.log_limit);

	ASSERT_EQ(0, bt_parameter("history", 77, &history));
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	EXPECT_EQ(77, info.history);
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
}

static int op_with(int fd, unsigned long cmd, struct bufftrack_op op)
{
	op.size = 64;
	return bt_op(fd, cmd, &op);
}

TEST_F(node, op_flags_that_do_not_meet)
{
	const __u32 exclusive_view = BUFFTRACK_F_VIEW | BUFFTRACK_F_EXCLUSIVE;
	const __u32 shared_view = BUFFTRACK_F_VIEW | BUFFTRACK_F_SHARED;
	const __u32 both = BUFFTRACK_F_SHARED | BUFFTRACK_F_EXCLUSIVE;
	struct bufftrack_op op = { .device = self->device };

#define WITH(cmd, value) ({						\
	op.flags = (value);						\
	op_with(self->fd, BUFFTRACK_IOC_##cmd, op);			\
})
	ASSERT_EQ(0, WITH(ALLOC, 0));
	EXPECT_EQ(-EINVAL, WITH(ALLOC, exclusive_view));
	EXPECT_EQ(-EINVAL, WITH(ALLOC, shared_view));
	EXPECT_EQ(-EINVAL, WITH(ALLOC, shared_view | exclusive_view));
	EXPECT_EQ(-EINVAL, WITH(FREE, BUFFTRACK_F_SHARED));
	EXPECT_EQ(-EINVAL, WITH(FREE, BUFFTRACK_F_EXCLUSIVE));
	EXPECT_EQ(-EINVAL, WITH(FREE, exclusive_view));
	EXPECT_EQ(0, WITH(ALLOC, both));
	EXPECT_EQ(0, WITH(FREE, 0));
#undef WITH
}

TEST_F(node, op_in_the_wrong_place)
{
	struct bufftrack_op op = { .device = self->device, .size = 64 };
	__u32 number;

	ASSERT_EQ(0, bt_alloc(self->fd, &op));
	for (number = 1; number < 4; number++) {
		op.op = number;
		EXPECT_EQ(-EINVAL, bt_alloc(self->fd, &op));
		EXPECT_EQ(-EINVAL, bt_free(self->fd, &op));
	}
}

TEST_F(node, all_bits_of_a_key_and_of_a_size)
{
	struct bufftrack_op op = {
		.device = ~0ULL, .buffer = ~0ULL, .space = ~0U, .size = ~0ULL,
		.tag = ~0ULL,
	};
	struct bufftrack_life life;

	ASSERT_EQ(0, bt_alloc(self->fd, &op));
	EXPECT_EQ(BUFFTRACK_OK, op.verdict);
	ASSERT_EQ(0, bt_life(self->fd, ~0ULL, ~0U, ~0ULL, &life));
	EXPECT_EQ(~0ULL, life.size);
	EXPECT_EQ(~0ULL, life.tag);
	op.tag = 0;
	ASSERT_EQ(0, bt_free(self->fd, &op));
	EXPECT_EQ(BUFFTRACK_OK, op.verdict);
	EXPECT_EQ(0, op.refs);

	op = (struct bufftrack_op) { .device = 0 };
	ASSERT_EQ(0, bt_alloc(self->fd, &op));
	EXPECT_EQ(BUFFTRACK_OK, op.verdict);
	ASSERT_EQ(0, bt_life(self->fd, 0, 0, 0, &life));
	EXPECT_EQ(0, life.size);
	ASSERT_EQ(0, bt_free(self->fd, &op));
	EXPECT_EQ(BUFFTRACK_OK, op.verdict);
}

TEST_F(node, keys_that_differ_in_one_bit)
{
	struct bufftrack_op op = { .size = 64 };
	unsigned int bit;

	for (bit = 0; bit < 64 + 32; bit++) {
		op.device = self->device;
		op.buffer = bit < 64 ? 1ULL << bit : 0;
		op.space = bit < 64 ? 0 : 1U << (bit - 64);
		ASSERT_EQ(0, bt_alloc(self->fd, &op));
		EXPECT_EQ(BUFFTRACK_OK, op.verdict);
		EXPECT_EQ(1, op.refs);
	}
}

TEST_F(node, stack_too_deep)
{
	struct bufftrack_info info = { 0 };
	struct bufftrack_op op = { .device = self->device, .size = 64 };
	__u64 *frames;

	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_INFO, &info));
	if (!(info.features & BUFFTRACK_FEATURE_STACK))
		SKIP(return, "no BUFFTRACK_FEATURE_STACK");
	frames = calloc(info.max_stack_depth + 1, sizeof(*frames));
	ASSERT_TRUE(!!frames);
	op.stack = (uintptr_t)frames;
	op.stack_depth = info.max_stack_depth + 1;
	EXPECT_EQ(-EINVAL, bt_alloc(self->fd, &op));
	op.stack = 8;
	op.stack_depth = 1;
	EXPECT_EQ(-EFAULT, bt_alloc(self->fd, &op));
	op.stack = (uintptr_t)frames;
	op.stack_depth = info.max_stack_depth;
	EXPECT_EQ(0, bt_alloc(self->fd, &op));
	/* None of the refused ones counted. */
	EXPECT_EQ(1, op.refs);
	free(frames);
}

TEST_F(node, label_space)
{
	struct bufftrack_label label = {
		.device = self->device, .space = BT_SPACE, .label = "L1",
		.flags = BUFFTRACK_LABEL_SPACE,
	};

	EXPECT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LABEL, &label));
}

TEST_F(node, stat_scope)
{
	struct bufftrack_stat stat;

	EXPECT_EQ(-EINVAL, bt_stat(self->fd, 4, 0, 0, &stat));
	EXPECT_EQ(-EINVAL, bt_stat(self->fd, ~0U, 0, 0, &stat));
	/* ALL has no walk, and takes no device. */
	EXPECT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &stat));
	EXPECT_EQ(-EINVAL, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 1, 0, &stat));
	EXPECT_EQ(-EINVAL, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 1, &stat));
	EXPECT_EQ(-EINVAL, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 1,
				   &stat));
}

TEST_F(node, list_room)
{
	struct bufftrack_life lives[2];
	struct bufftrack_list list = {
		.entries = (uintptr_t)lives, .nr = 1,
		.entry_size = sizeof(lives[0]),
	};
	struct bufftrack_op op = { .device = self->device, .size = 64 };

	ASSERT_EQ(0, bt_alloc(self->fd, &op));
#define LIST(field, value) ({						\
	struct bufftrack_list __list = list;				\
									\
	__list.field = (value);						\
	bt_ioctl(self->fd, BUFFTRACK_IOC_LIST, &__list);		\
})
	EXPECT_EQ(0, LIST(nr, 1));
	EXPECT_EQ(-EINVAL, LIST(nr, 0));
	EXPECT_EQ(-EINVAL, LIST(entry_size, 0));
	EXPECT_EQ(-EINVAL, LIST(entry_size, sizeof(lives[0]) - 8));
	EXPECT_EQ(-EINVAL, LIST(entry_size, sizeof(lives[0]) + 4));
	EXPECT_EQ(-EINVAL, LIST(entry_size, 4096 + 8));
	EXPECT_EQ(-EFAULT, LIST(entries, 0));
#undef LIST
}

TEST_HARNESS_MAIN
