// SPDX-License-Identifier: GPL-2.0
/*
 * Every row of the verdict table, plain and STRICT: what the call returns, and
 * what the counters and the record say afterwards.
 */
#include "bt.h"

#define BUFFER		0x296ccc80ULL
#define SIZE		8192
#define ANY		(~0ULL)		/* a generation: any but 0 */
#define PROBABLE	BUFFTRACK_INFO_PROBABLE
#define LOST		BUFFTRACK_INFO_HISTORY_LOST
#define NOT_RECORDED	BUFFTRACK_INFO_NOT_RECORDED
#define FORKED		BUFFTRACK_INFO_FORKED
#define FOLLOWS		BUFFTRACK_INFO_CONSEQUENCE
#define UNDONE		BUFFTRACK_INFO_UNDONE
#define VIEWS_LEFT	BUFFTRACK_INFO_VIEWS_LEFT
#define V(verdict)	[BUFFTRACK_##verdict]
#define STATE(state)	BUFFTRACK_STATE_##state

FIXTURE(verdict) {
	__u64 device;
	int a, b, c;			/* three clients of this process */
	unsigned long history;
	struct bufftrack_op op;		/* the latest call's */
};

FIXTURE_VARIANT(verdict) {
	__u32 flags;
};

FIXTURE_VARIANT_ADD(verdict, plain) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(verdict, strict) {
	.flags = BUFFTRACK_CLIENT_STRICT,
};

FIXTURE_SETUP(verdict)
{
	self->device = bt_device();
	self->a = bt_open_as(variant->flags);
	self->b = bt_open_as(variant->flags);
	self->c = bt_open_as(variant->flags);
	ASSERT_LE(0, self->a);
	ASSERT_LE(0, self->b);
	ASSERT_LE(0, self->c);
	/* Some tests change it; a failed one may not come to put it back. */
	ASSERT_EQ(0, bt_parameter("history", 65536, &self->history));
}

FIXTURE_TEARDOWN(verdict)
{
	bt_parameter("history", self->history, NULL);
	close(self->a);
	close(self->b);
	close(self->c);
}

/* What is not as it should be, in words. */
static const char *judge(FIXTURE_DATA(verdict) *self, bool strict, int fd,
			 unsigned long cmd, struct bufftrack_op want,
			 struct bufftrack_op in)
{
	static struct bt_words words;
	int error = strict ? -bt_verdict_errno(want.verdict) : 0;
	int rc;

	words = (struct bt_words) { .used = 0 };
	in.device = in.device ?: self->device;
	in.buffer = in.buffer ?: BUFFER;
	in.space = in.space ?: BT_SPACE;
	if (cmd == BUFFTRACK_IOC_ALLOC)
		in.size = in.size ?: SIZE;
	self->op = in;
	rc = bt_op(fd, cmd, &self->op);
	if (rc != error)
		bt_say(&words, "[%s, not %s]", strerror(-rc), strerror(-error));
	if (want.generation == ANY && self->op.generation)
		want.generation = self->op.generation;
	BT_DIFFER(&words, &want, &self->op, verdict);
	BT_DIFFER(&words, &want, &self->op, refs);
	BT_DIFFER(&words, &want, &self->op, generation);
	BT_DIFFER(&words, &want, &self->op, info);
	BT_DIFFER(&words, &want, &self->op, error);
	return words.text;
}

#define EXPECT_CALL(cmd, fd, _verdict, _refs, _generation, _info, ...)	\
	EXPECT_STREQ("", judge(self,					\
		variant->flags & BUFFTRACK_CLIENT_STRICT, fd, cmd,	\
		(struct bufftrack_op) {					\
			.verdict = BUFFTRACK_##_verdict,		\
			.refs = _refs,					\
			.generation = _generation,			\
			.info = _info,					\
		}, (struct bufftrack_op) { __VA_ARGS__ }))

/* By default of SIZE bytes at BUFFER in BT_SPACE; more fields may follow. */
#define EXPECT_ALLOC(fd, verdict, refs, generation, ...)		\
	EXPECT_CALL(BUFFTRACK_IOC_ALLOC, fd, verdict, refs, generation,	\
		    0, __VA_ARGS__)

#define EXPECT_FREE(fd, verdict, refs, generation, info, ...)		\
	EXPECT_CALL(BUFFTRACK_IOC_FREE, fd, verdict, refs, generation,	\
		    info, __VA_ARGS__)

/* The key's next allocation; its generation */
#define NEW_LIFE(fd, ...) ({						\
	EXPECT_ALLOC(fd, OK, 1, ANY, __VA_ARGS__);			\
	self->op.generation;						\
})

/* All the counters of the device */
#define EXPECT_DEVICE(...)						\
	EXPECT_STREQ("", bt_stat_diff(self->a, BUFFTRACK_STAT_DEVICE,	\
		self->device, 0, (struct bufftrack_stat) { __VA_ARGS__ }))

/* How many allocations a client owns */
#define HELD(fd) ({							\
	struct bufftrack_stat __stat;					\
									\
	ASSERT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_CLIENT, 0, 0, &__stat));\
	__stat.live;							\
})

static const char *look(FIXTURE_DATA(verdict) *self, __u64 buffer,
			struct bufftrack_life want)
{
	__u32 me = getpid();

	want.size = want.size ?: SIZE;
	want.alloc.pid = want.alloc.pid ?: me;
	if (want.state == STATE(LIVE))
		want.client = want.client ?: bt_client_id(self->a);
	else
		want.end.pid = want.end.pid ?: me;
	if (want.prev_state) {
		want.prev_alloc.pid = want.prev_alloc.pid ?: me;
		want.prev_end.pid = want.prev_end.pid ?: me;
	}
	return bt_life_diff(self->a, self->device, BT_SPACE, buffer, want);
}

/*
 * The whole record of the key. By default a live one is held by client a, and
 * all was done by this process.
 */
#define EXPECT_LIFE_OF(buffer, ...)					\
	EXPECT_STREQ("", look(self, buffer,				\
			      (struct bufftrack_life) { __VA_ARGS__ }))
#define EXPECT_LIFE(...)						\
	EXPECT_LIFE_OF(BUFFER, __VA_ARGS__)

#define EXPECT_NO_RECORD(buffer) do {					\
	struct bufftrack_life __life;					\
									\
	EXPECT_EQ(-ENOENT, bt_life(self->a, self->device, BT_SPACE,	\
				   buffer, &__life));			\
} while (0)

/* ---- OK ------------------------------------------------------------------ */

TEST_F(verdict, ok)
{
	__u64 generation = NEW_LIFE(self->a, .tag = 0x1234);

	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1, .tag = 0x1234);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 1 });
	EXPECT_EQ(1, HELD(self->a));

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_LIFE(.state = STATE(FREED), .generation = generation,
		    .lives = 1, .frees = 1, .tag = 0x1234);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 2 });
	EXPECT_EQ(0, HELD(self->a));
}

TEST_F(verdict, ok_with_token_and_size)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_FREE(self->a, OK, 0, generation, 0, .token = generation,
		    .size = SIZE);
	EXPECT_LIFE(.state = STATE(FREED), .generation = generation,
		    .lives = 1, .frees = 1);
}

TEST_F(verdict, ok_by_several_clients)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, OK, 2, generation, .tag = 77);
	EXPECT_ALLOC(self->b, OK, 3, generation);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 3,
		    .lives = 1);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_EQ(1, HELD(self->b));
	EXPECT_FREE(self->a, OK, 2, generation, 0);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 2,
		    .lives = 1, .client = bt_client_id(self->b));
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	EXPECT_FREE(self->b, OK, 0, generation, 0);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 3, .frees = 3, .history = 1,
		      .verdicts = { V(OK) = 6 });
}

TEST_F(verdict, ok_in_each_space_by_itself)
{
	__u64 one = NEW_LIFE(self->a), two = NEW_LIFE(self->a, .space = 6);

	EXPECT_NE(one, two);
	EXPECT_FREE(self->a, OK, 0, one, 0);
	EXPECT_FREE(self->a, OK, 0, two, 0, .space = 6);
	EXPECT_DEVICE(.peak_bytes = 2 * SIZE, .allocs = 2, .frees = 2,
		      .history = 2, .verdicts = { V(OK) = 4 });
}

/* ---- DOUBLE_FREE --------------------------------------------------------- */

/* The five steps of the report that this project began with. */
TEST_F(verdict, double_free_as_first_reported)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 2, generation);
	EXPECT_FREE(self->a, OK, 1, generation, 0);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0);

	EXPECT_LIFE(.state = STATE(FREED), .generation = generation,
		    .lives = 1, .frees = 1, .refused = 1);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 2, .frees = 2, .history = 1,
		      .verdicts = { V(OK) = 4, V(DOUBLE_FREE) = 1 });
}

TEST_F(verdict, double_free_again_and_again)
{
	__u64 generation = NEW_LIFE(self->a);
	int i;

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	for (i = 0; i < 100; i++)
		EXPECT_FREE(i & 1 ? self->b : self->a, DOUBLE_FREE, 0,
			    generation, 0);
	EXPECT_LIFE(.state = STATE(FREED), .generation = generation,
		    .lives = 1, .frees = 1, .refused = 100);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 2, V(DOUBLE_FREE) = 100 });
}

/* One id on eight devices, as the shards of a mesh buffer have. */
TEST_F(verdict, double_free_of_a_mesh)
{
	__u64 device[8], generation[8];
	int i;

	for (i = 0; i < 8; i++) {
		device[i] = bt_device();
		generation[i] = NEW_LIFE(self->a, .device = device[i],
					 .tag = 0xe5);
	}
	for (i = 0; i < 8; i++)
		EXPECT_FREE(self->a, OK, 0, generation[i], 0,
			    .device = device[i]);
	for (i = 0; i < 8; i++)
		EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[i], 0,
			    .device = device[i]);
	for (i = 0; i < 8; i++) {
		self->device = device[i];
		EXPECT_LIFE(.state = STATE(FREED), .generation = generation[i],
			    .lives = 1, .frees = 1, .refused = 1, .tag = 0xe5);
		EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .frees = 1,
			      .history = 1,
			      .verdicts = { V(OK) = 2, V(DOUBLE_FREE) = 1 });
	}
}

/* One address of the log lived 1,112 times: none of that is an error. */
TEST_F(verdict, double_free_after_reuse)
{
	const unsigned int lives = 1112;
	__u64 first = 0, last = 0;
	unsigned int i;

	for (i = 0; i < lives; i++) {
		__u64 generation = NEW_LIFE(self->a);

		EXPECT_LT(last, generation);
		EXPECT_FREE(self->a, OK, 0, generation, 0);
		first = first ?: generation;
		last = generation;
	}
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = lives, .frees = lives,
		      .history = 1, .verdicts = { V(OK) = 2 * lives });
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, last, PROBABLE);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, last, 0, .token = last);
	/* In another block of generations, and of this key all the same */
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, last, PROBABLE, .token = first);
	EXPECT_LIFE(.state = STATE(FREED), .generation = last, .lives = lives,
		    .frees = lives, .refused = 3, .prev_state = STATE(FREED),
		    .prev_generation = last - 1);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = lives, .frees = lives,
		      .history = 1,
		      .verdicts = { V(OK) = 2 * lives, V(DOUBLE_FREE) = 3 });
}

TEST_F(verdict, double_free_is_certain_with_a_token)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->a);
	EXPECT_FREE(self->a, OK, 0, two, 0);

	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, 0, .token = two);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, 0, .token = one);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, PROBABLE);
	EXPECT_LIFE(.state = STATE(FREED), .generation = two, .lives = 2,
		    .frees = 2, .refused = 3, .prev_state = STATE(FREED),
		    .prev_generation = one);
}

/* This client already released its reference; another client's keeps the buffer live. */
TEST_F(verdict, double_free_of_a_client)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_FREE(self->a, OK, 1, generation, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 1, generation, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 1, generation, 0,
		    .token = generation);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1, .refused = 2, .client = bt_client_id(self->b));
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_EQ(1, HELD(self->b));
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2,
		      .frees = 1,
		      .verdicts = { V(OK) = 3, V(DOUBLE_FREE) = 2 });

	/* It may take a reference again. */
	EXPECT_ALLOC(self->a, OK, 2, generation);
	EXPECT_FREE(self->a, OK, 1, generation, 0);
	EXPECT_FREE(self->b, OK, 0, generation, 0);
}

TEST_F(verdict, double_free_by_one_who_never_held)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_FREE(self->b, DOUBLE_FREE, 0, generation, 0);
}

/* Three allocations ago is further back than the record goes. */
TEST_F(verdict, double_free_of_an_older_life)
{
	__u64 generation[4];
	int i;

	for (i = 0; i < 4; i++) {
		generation[i] = NEW_LIFE(self->a);
		EXPECT_FREE(self->a, OK, 0, generation[i], 0);
	}
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[3], PROBABLE,
		    .token = generation[0]);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[3], PROBABLE,
		    .token = generation[1]);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[3], 0,
		    .token = generation[2]);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 4, .frees = 4, .history = 1,
		      .verdicts = { V(OK) = 8, V(DOUBLE_FREE) = 3 });
}

/* ---- STALE_FREE ---------------------------------------------------------- */

TEST_F(verdict, stale_free)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->a);
	EXPECT_FREE(self->a, STALE_FREE, 1, two, 0, .token = one);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .frees = 1, .refused = 1,
		    .prev_state = STATE(FREED), .prev_generation = one);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2,
		      .frees = 1, .verdicts = { V(OK) = 3, V(STALE_FREE) = 1 });
	EXPECT_EQ(1, HELD(self->a));
	/* The live one is its owner's as before. */
	EXPECT_FREE(self->a, OK, 0, two, 0, .token = two);
}

TEST_F(verdict, stale_free_by_any_client)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->b);
	EXPECT_FREE(self->a, STALE_FREE, 1, two, 0, .token = one);
	EXPECT_FREE(self->c, STALE_FREE, 1, two, 0, .token = one);
	EXPECT_FREE(self->b, OK, 0, two, 0, .token = two);
}

TEST_F(verdict, stale_free_of_an_older_life)
{
	__u64 generation[4];
	int i;

	for (i = 0; i < 4; i++) {
		generation[i] = NEW_LIFE(self->a);
		if (i < 3)
			EXPECT_FREE(self->a, OK, 0, generation[i], 0);
	}
	EXPECT_FREE(self->a, STALE_FREE, 1, generation[3], 0,
		    .token = generation[0]);
	EXPECT_FREE(self->a, STALE_FREE, 1, generation[3], 0,
		    .token = generation[1]);
	EXPECT_FREE(self->a, STALE_FREE, 1, generation[3], 0,
		    .token = generation[2]);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation[3],
		    .refs = 1, .lives = 4, .frees = 3, .refused = 3,
		    .prev_state = STATE(FREED),
		    .prev_generation = generation[2]);
}

/* Without a token a late free of the old allocation looks like the owner's. */
TEST_F(verdict, stale_free_needs_a_token)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->a);
	EXPECT_FREE(self->a, OK, 0, two, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, PROBABLE);
}

/* ---- FOREIGN_FREE -------------------------------------------------------- */

TEST_F(verdict, foreign_free)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_FREE(self->b, FOREIGN_FREE, 1, generation, 0);
	EXPECT_FREE(self->b, FOREIGN_FREE, 1, generation, 0,
		    .token = generation);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1, .refused = 2);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 1, V(FOREIGN_FREE) = 2 });
	EXPECT_FREE(self->a, OK, 0, generation, 0);
}

/* Having owned an earlier allocation is not having owned this one. */
TEST_F(verdict, foreign_free_after_an_earlier_hold)
{
	__u64 one = NEW_LIFE(self->b), two;

	EXPECT_FREE(self->b, OK, 0, one, 0);
	two = NEW_LIFE(self->a);
	EXPECT_FREE(self->b, FOREIGN_FREE, 1, two, PROBABLE);
	EXPECT_FREE(self->b, FOREIGN_FREE, 1, two, 0, .token = two);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .frees = 1, .refused = 2,
		    .prev_state = STATE(FREED), .prev_generation = one);
}

TEST_F(verdict, foreign_free_by_another_process)
{
	__u64 generation = NEW_LIFE(self->a);
	pid_t pid = bt_fork();

	if (!pid) {
		int fd = bt_open_as(variant->flags);

		ASSERT_LE(0, fd);
		EXPECT_FREE(fd, FOREIGN_FREE, 1, generation, 0);
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1, .refused = 1);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 1, V(FOREIGN_FREE) = 1 });
}

/* ---- FREE_AFTER_EXIT and LEAK -------------------------------------------- */

TEST_F(verdict, free_after_exit)
{
	__u64 generation = NEW_LIFE(self->b, .tag = 3);

	close(self->b);
	EXPECT_LIFE(.state = STATE(EXITED), .generation = generation,
		    .lives = 1, .tag = 3);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .history = 1,
		      .verdicts = { V(OK) = 1, V(LEAK) = 1 });
	EXPECT_FREE(self->a, FREE_AFTER_EXIT, 0, generation, 0);
	EXPECT_FREE(self->a, FREE_AFTER_EXIT, 0, generation, 0,
		    .token = generation);
	EXPECT_LIFE(.state = STATE(EXITED), .generation = generation,
		    .lives = 1, .refused = 2, .tag = 3);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .history = 1,
		      .verdicts = { V(OK) = 1, V(LEAK) = 1,
				    V(FREE_AFTER_EXIT) = 2 });
	self->b = -1;
}

TEST_F(verdict, free_after_a_kill)
{
	struct bufftrack_stat stat;
	struct bt_pipe up;
	__u64 generation, client, until;
	pid_t pid;

	ASSERT_EQ(0, bt_pipe(&up));
	pid = bt_fork();
	if (!pid) {
		int fd = bt_open_as(variant->flags);

		ASSERT_LE(0, fd);
		generation = NEW_LIFE(fd);
		EXPECT_ALLOC(fd, OK, 2, generation);
		bt_send(&up, generation);
		bt_send(&up, bt_client_id(fd));
		pause();
		_exit(1);
	}
	generation = bt_receive(&up);
	client = bt_receive(&up);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 2,
		    .lives = 1, .alloc = { .pid = pid }, .client = client);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	/* Not by waitpid(): the reference goes with the process, not with its zombie. */
	until = bt_now() + 2000000000ULL;
	do {
		ASSERT_EQ(0, bt_stat(self->a, BUFFTRACK_STAT_DEVICE,
				     self->device, 0, &stat));
	} while (stat.live && bt_now() < until);
	EXPECT_EQ(0, stat.live);
	EXPECT_EQ(128 + SIGKILL, bt_reap(pid));
	EXPECT_LIFE(.state = STATE(EXITED), .generation = generation,
		    .lives = 1, .alloc = { .pid = pid, .exited = 1 },
		    .end = { .pid = pid, .exited = 1 });
	EXPECT_FREE(self->a, FREE_AFTER_EXIT, 0, generation, 0);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 2, .history = 1,
		      .verdicts = { V(OK) = 2, V(LEAK) = 1,
				    V(FREE_AFTER_EXIT) = 1 });
}

/* One client's references go, those of the others stay. */
TEST_F(verdict, leak_beside_other_holders)
{
	__u64 generation = NEW_LIFE(self->b);

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_ALLOC(self->a, OK, 3, generation);
	EXPECT_ALLOC(self->b, OK, 4, generation);
	close(self->b);
	self->b = -1;
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 4,
		      .verdicts = { V(OK) = 4, V(LEAK) = 1 });
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0);
}

TEST_F(verdict, leak_counts_lives)
{
	__u64 generation[5];
	int i;

	for (i = 0; i < 5; i++) {
		generation[i] = NEW_LIFE(self->b, .buffer = 0x1000 + i);
		if (i & 1)
			EXPECT_ALLOC(self->b, OK, 2, generation[i],
				     .buffer = 0x1000 + i);
	}
	/* One that was freed is no leak. */
	EXPECT_FREE(self->b, OK, 0, generation[0], 0, .buffer = 0x1000);
	close(self->b);
	self->b = -1;
	EXPECT_DEVICE(.peak_bytes = 5 * SIZE, .allocs = 7, .frees = 1,
		      .history = 5, .verdicts = { V(OK) = 8, V(LEAK) = 4 });
	EXPECT_LIFE_OF(0x1000, .state = STATE(FREED),
		       .generation = generation[0], .lives = 1, .frees = 1);
	for (i = 1; i < 5; i++)
		EXPECT_LIFE_OF(0x1000 + i, .state = STATE(EXITED),
			       .generation = generation[i], .lives = 1);
}

TEST_F(verdict, leak_of_nothing)
{
	__u64 generation = NEW_LIFE(self->b);

	EXPECT_ALLOC(self->a, OK, 2, generation);
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	close(self->b);
	self->b = -1;
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2,
		      .frees = 1, .verdicts = { V(OK) = 3 });
}

TEST_F(verdict, reuse_after_exit)
{
	__u64 one = NEW_LIFE(self->b), two;

	close(self->b);
	self->b = -1;
	two = NEW_LIFE(self->a);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .prev_state = STATE(EXITED),
		    .prev_generation = one);
	EXPECT_FREE(self->a, STALE_FREE, 1, two, 0, .token = one);
	EXPECT_FREE(self->a, OK, 0, two, 0);
	/* The allocation that the token names ended by an exit, not by a free. */
	EXPECT_FREE(self->a, FREE_AFTER_EXIT, 0, two, 0, .token = one);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, PROBABLE);
}

/* ---- UNKNOWN_FREE and the history ---------------------------------------- */

TEST_F(verdict, unknown_free)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0, .buffer = 0x77);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0, .buffer = 0x77,
		    .token = generation);
	/* The same number in another space is another key. */
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0, .space = 6);
	EXPECT_NO_RECORD(0x77);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 1, V(UNKNOWN_FREE) = 3 });
}

TEST_F(verdict, unknown_free_on_an_unknown_device)
{
	struct bufftrack_stat before, after;

	ASSERT_EQ(0, bt_stat(self->a, BUFFTRACK_STAT_ALL, 0, 0, &before));
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0, .token = 1);
	ASSERT_EQ(0, bt_stat(self->a, BUFFTRACK_STAT_ALL, 0, 0, &after));
	EXPECT_EQ(before.verdicts[BUFFTRACK_UNKNOWN_FREE] + 2,
		  after.verdicts[BUFFTRACK_UNKNOWN_FREE]);
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.history, after.history);
}

TEST_F(verdict, unknown_free_of_a_token_never_had)
{
	__u64 other = NEW_LIFE(self->a, .buffer = 0x77);
	__u64 generation = NEW_LIFE(self->a);
	const __u64 never[] = { generation + 1, generation - 1, other,
				generation + 1024, ~0ULL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(never); i++)
		EXPECT_FREE(self->a, UNKNOWN_FREE, 1, generation, 0,
			    .token = never[i]);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1, .refused = ARRAY_SIZE(never));
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	for (i = 0; i < ARRAY_SIZE(never); i++)
		EXPECT_FREE(self->a, UNKNOWN_FREE, 0, generation, 0,
			    .token = never[i]);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = 2 * SIZE,
		      .allocs = 2, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 3,
				    V(UNKNOWN_FREE) = 2 * ARRAY_SIZE(never) });
}

TEST_F(verdict, unknown_free_with_history_lost)
{
	__u64 generation[5];
	int i;

	ASSERT_EQ(0, bt_parameter("history", 4, NULL));
	for (i = 0; i < 5; i++) {
		generation[i] = NEW_LIFE(self->a, .buffer = 0x1000 + i);
		EXPECT_FREE(self->a, OK, 0, generation[i], 0,
			    .buffer = 0x1000 + i);
	}
	EXPECT_NO_RECORD(0x1000);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, PROBABLE | LOST,
		    .buffer = 0x1000);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, PROBABLE | LOST,
		    .buffer = 0x1000, .token = generation[0]);
	/* Of any key of the device, though this one never was */
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, PROBABLE | LOST,
		    .buffer = 0x77);
	/* A key with a record might have had allocations before it. */
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[1], PROBABLE,
		    .buffer = 0x1001);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[1], 0,
		    .buffer = 0x1001, .token = generation[1]);
	/* This token may be that of a forgotten allocation of this very key. */
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation[4], PROBABLE | LOST,
		    .buffer = 0x1004, .token = generation[0]);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, generation[1], 0,
		    .buffer = 0x1001, .token = generation[4]);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 5, .frees = 5, .history = 4,
		      .evicted = 1,
		      .verdicts = { V(OK) = 10, V(DOUBLE_FREE) = 3,
				    V(UNKNOWN_FREE) = 4 });
}

/* A loss on one device says nothing of another. */
TEST_F(verdict, history_lost_is_of_the_device)
{
	int i;

	ASSERT_EQ(0, bt_parameter("history", 1, NULL));
	for (i = 0; i < 3; i++) {
		NEW_LIFE(self->a, .buffer = 0x1000 + i);
		EXPECT_FREE(self->a, OK, 0, ANY, 0, .buffer = 0x1000 + i);
	}
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, PROBABLE | LOST,
		    .buffer = 0x1000);
	self->device = bt_device();
	NEW_LIFE(self->a);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0, .buffer = 0x1000);
}

TEST_F(verdict, no_history_at_all)
{
	__u64 generation;

	ASSERT_EQ(0, bt_parameter("history", 0, NULL));
	generation = NEW_LIFE(self->a);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_NO_RECORD(BUFFER);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, PROBABLE | LOST);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .frees = 1, .evicted = 1,
		      .verdicts = { V(OK) = 2, V(UNKNOWN_FREE) = 1 });
}

/* The one that ended longest ago goes first, whatever shard it is in. */
TEST_F(verdict, history_oldest_out_first)
{
	enum { KEYS = 64, KEPT = 8 };
	int i, age;

	ASSERT_EQ(0, bt_parameter("history", KEPT, NULL));
	for (i = 0; i < KEYS; i++)
		NEW_LIFE(self->a, .buffer = 0x1000 + i * 64);
	for (i = 0; i < KEYS; i++) {
		/* 37 and 64 have no common factor: an order of its own */
		EXPECT_FREE(self->a, OK, 0, ANY, 0,
			    .buffer = 0x1000 + i * 37 % KEYS * 64);
		for (age = 0; age <= i; age++) {
			__u64 buffer = 0x1000 + (i - age) * 37 % KEYS * 64;
			struct bufftrack_life life;
			int rc = bt_life(self->a, self->device, BT_SPACE,
					 buffer, &life);

			ASSERT_EQ(age < KEPT ? 0 : -ENOENT, rc)
				TH_LOG("%d ended, one of age %d", i + 1, age);
		}
	}
	EXPECT_DEVICE(.peak_bytes = KEYS * SIZE, .allocs = KEYS, .frees = KEYS,
		      .history = KEPT, .evicted = KEYS - KEPT,
		      .verdicts = { V(OK) = 2 * KEYS });
}

/* A key that is allocated again is no freed-buffer record, and its next one is the newest. */
TEST_F(verdict, history_after_a_revival)
{
	int i;

	ASSERT_EQ(0, bt_parameter("history", 4, NULL));
	for (i = 0; i < 4; i++) {
		NEW_LIFE(self->a, .buffer = 0x1000 + i);
		EXPECT_FREE(self->a, OK, 0, ANY, 0, .buffer = 0x1000 + i);
	}
	NEW_LIFE(self->a, .buffer = 0x1000);
	NEW_LIFE(self->a, .buffer = 0x1004);
	EXPECT_FREE(self->a, OK, 0, ANY, 0, .buffer = 0x1004);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = 2 * SIZE,
		      .allocs = 6, .frees = 5, .history = 4,
		      .verdicts = { V(OK) = 11 });
	EXPECT_FREE(self->a, OK, 0, ANY, 0, .buffer = 0x1000);
	EXPECT_NO_RECORD(0x1001);
	EXPECT_DEVICE(.peak_bytes = 2 * SIZE, .allocs = 6, .frees = 6,
		      .history = 4, .evicted = 1,
		      .verdicts = { V(OK) = 12 });
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, ANY, PROBABLE, .buffer = 0x1000);
}

/* ---- MISSED_FREE --------------------------------------------------------- */

TEST_F(verdict, missed_free)
{
	__u64 one = NEW_LIFE(self->a, .flags = BUFFTRACK_F_EXCLUSIVE), two;

	EXPECT_CALL(BUFFTRACK_IOC_ALLOC, self->a, MISSED_FREE, 1, ANY, PROBABLE,
		     .size = 3 * SIZE, .tag = 9, .flags = BUFFTRACK_F_EXCLUSIVE);
	two = self->op.generation;
	EXPECT_LT(one, two);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .prev_state = STATE(MISSED), .size = 3 * SIZE,
		    .prev_generation = one, .tag = 9,
		    .flags = BUFFTRACK_F_EXCLUSIVE);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_DEVICE(.live = 1, .bytes = 3 * SIZE, .peak_bytes = 3 * SIZE,
		      .allocs = 2,
		      .verdicts = { V(OK) = 1, V(MISSED_FREE) = 1 });

	/* The free that did not come in time */
	EXPECT_FREE(self->a, STALE_FREE, 1, two, PROBABLE | FOLLOWS, .token = one);
	EXPECT_FREE(self->a, OK, 0, two, 0, .token = two);
	EXPECT_FREE(self->a, STALE_FREE, 0, two, PROBABLE | FOLLOWS, .token = one);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, PROBABLE);
}

TEST_F(verdict, missed_free_by_another_client)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_ALLOC(self->c, OK, 2, one);
	EXPECT_ALLOC(self->a, OK, 3, one);
	EXPECT_CALL(BUFFTRACK_IOC_ALLOC, self->b, MISSED_FREE, 1, ANY, PROBABLE,
		     .flags = BUFFTRACK_F_EXCLUSIVE);
	two = self->op.generation;
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_EQ(1, HELD(self->b));
	EXPECT_EQ(0, HELD(self->c));
	EXPECT_FREE(self->a, FOREIGN_FREE, 1, two, PROBABLE);
	EXPECT_FREE(self->c, STALE_FREE, 1, two, PROBABLE | FOLLOWS, .token = one);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .prev_state = STATE(MISSED), .refused = 2,
		    .prev_generation = one, .client = bt_client_id(self->b),
		    .flags = BUFFTRACK_F_EXCLUSIVE);
	EXPECT_FREE(self->b, OK, 0, two, 0);
	/* What was owned of the allocation that ended is no leak. */
	close(self->c);
	self->c = -1;
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 4, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 4, V(MISSED_FREE) = 1,
				    V(FOREIGN_FREE) = 1, V(STALE_FREE) = 1 });
}

TEST_F(verdict, exclusive_of_a_dead_key)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->a, .flags = BUFFTRACK_F_EXCLUSIVE);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .frees = 1, .prev_state = STATE(FREED),
		    .prev_generation = one, .flags = BUFFTRACK_F_EXCLUSIVE);
	/* It rules this call, not those that come later. */
	EXPECT_ALLOC(self->a, OK, 2, two);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 3,
		      .frees = 1, .verdicts = { V(OK) = 4 });
}

/* ---- SHARED -------------------------------------------------------------- */

TEST_F(verdict, shared_freed_by_another)
{
	__u64 generation = NEW_LIFE(self->a, .flags = BUFFTRACK_F_SHARED);

	EXPECT_FREE(self->b, OK, 0, generation, 0);
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_LIFE(.state = STATE(FREED), .generation = generation,
		    .lives = 1, .frees = 1, .flags = BUFFTRACK_F_SHARED);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0);
}

TEST_F(verdict, shared_own_hold_first)
{
	__u64 generation = NEW_LIFE(self->a, .flags = BUFFTRACK_F_SHARED);

	EXPECT_ALLOC(self->a, OK, 2, generation);
	EXPECT_ALLOC(self->b, OK, 3, generation);
	EXPECT_FREE(self->b, OK, 2, generation, 0);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_EQ(0, HELD(self->b));
	/* It has none left; one that never had one drops the oldest holder's. */
	EXPECT_FREE(self->b, DOUBLE_FREE, 2, generation, 0);
	EXPECT_FREE(self->c, OK, 1, generation, 0);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_FREE(self->c, OK, 0, generation, 0);
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 3, .frees = 3, .history = 1,
		      .verdicts = { V(OK) = 6, V(DOUBLE_FREE) = 1 });
}

TEST_F(verdict, shared_oldest_holder_next)
{
	__u64 generation = NEW_LIFE(self->b, .flags = BUFFTRACK_F_SHARED);
	int d = bt_open_as(variant->flags);

	ASSERT_LE(0, d);
	EXPECT_ALLOC(self->c, OK, 2, generation);
	EXPECT_ALLOC(self->a, OK, 3, generation);
	EXPECT_FREE(d, OK, 2, generation, 0);
	EXPECT_EQ(0, HELD(self->b));
	EXPECT_EQ(1, HELD(self->c));
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_FREE(d, OK, 1, generation, 0);
	EXPECT_EQ(0, HELD(self->c));
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1, .flags = BUFFTRACK_F_SHARED);
	EXPECT_FREE(d, OK, 0, generation, 0);
	EXPECT_EQ(0, HELD(self->a));
	close(d);
}

/* The first ALLOC's flags rule. */
TEST_F(verdict, shared_too_late)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, OK, 2, generation, .flags = BUFFTRACK_F_SHARED);
	EXPECT_FREE(self->c, FOREIGN_FREE, 2, generation, 0);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 2,
		    .lives = 1, .refused = 1);
}

TEST_F(verdict, shared_ends_with_its_life)
{
	__u64 one = NEW_LIFE(self->a, .flags = BUFFTRACK_F_SHARED), two;

	EXPECT_FREE(self->b, OK, 0, one, 0);
	two = NEW_LIFE(self->a);
	EXPECT_FREE(self->b, FOREIGN_FREE, 1, two, PROBABLE);
}

TEST_F(verdict, shared_is_stale_too)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->a, .flags = BUFFTRACK_F_SHARED);
	EXPECT_FREE(self->b, STALE_FREE, 1, two, 0, .token = one);
	EXPECT_EQ(1, HELD(self->a));
}

/* ---- PRIVATE ------------------------------------------------------------- */

TEST_F(verdict, private_clients_never_meet)
{
	int p = bt_open_as(variant->flags | BUFFTRACK_CLIENT_PRIVATE);
	int q = bt_open_as(variant->flags | BUFFTRACK_CLIENT_PRIVATE);
	__u64 one, two, three;

	ASSERT_LE(0, p);
	ASSERT_LE(0, q);
	one = NEW_LIFE(p);
	two = NEW_LIFE(q);
	three = NEW_LIFE(self->a);
	EXPECT_NE(one, two);
	EXPECT_NE(two, three);
	EXPECT_DEVICE(.live = 3, .bytes = 3 * SIZE, .peak_bytes = 3 * SIZE,
		      .allocs = 3, .verdicts = { V(OK) = 3 });

	EXPECT_FREE(p, OK, 0, one, 0);
	EXPECT_FREE(p, DOUBLE_FREE, 0, one, 0);
	EXPECT_FREE(self->b, FOREIGN_FREE, 1, three, 0);
	EXPECT_FREE(q, OK, 0, two, 0);
	EXPECT_FREE(self->a, OK, 0, three, 0);
	/* A token of another's is one that this key never had. */
	EXPECT_FREE(p, UNKNOWN_FREE, 0, one, 0, .token = three);
	EXPECT_DEVICE(.peak_bytes = 3 * SIZE, .allocs = 3, .frees = 3,
		      .history = 3,
		      .verdicts = { V(OK) = 6, V(DOUBLE_FREE) = 1,
				    V(FOREIGN_FREE) = 1, V(UNKNOWN_FREE) = 1 });
	close(p);
	close(q);
}

TEST_F(verdict, private_unknown_to_others)
{
	int p = bt_open_as(variant->flags | BUFFTRACK_CLIENT_PRIVATE);
	int q = bt_open_as(variant->flags | BUFFTRACK_CLIENT_PRIVATE);

	ASSERT_LE(0, p);
	ASSERT_LE(0, q);
	NEW_LIFE(p);
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0);
	EXPECT_FREE(q, UNKNOWN_FREE, 0, 0, 0);
	EXPECT_ALLOC(self->a, DANGLING, 0, 0, .flags = BUFFTRACK_F_VIEW);
	EXPECT_EQ(1, HELD(p));
	close(p);
	close(q);
}

TEST_F(verdict, private_gone_at_exit)
{
	int p = bt_open_as(variant->flags | BUFFTRACK_CLIENT_PRIVATE);
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_DEAD,
		.device = self->device,
	};
	struct bufftrack_stat stat;
	struct bufftrack_life life;

	ASSERT_LE(0, p);
	NEW_LIFE(self->a, .buffer = 0x77);
	NEW_LIFE(p);
	NEW_LIFE(p, .buffer = 0x78);
	EXPECT_FREE(p, OK, 0, ANY, 0, .buffer = 0x78);
	ASSERT_EQ(0, bt_life(p, self->device, BT_SPACE, BUFFER, &life));
	EXPECT_EQ(BUFFTRACK_LIFE_PRIVATE, life.flags);
	EXPECT_EQ(bt_client_id(p), life.client);
	close(p);
	EXPECT_EQ(1, bt_count(self->a, filter));
	ASSERT_EQ(0, bt_stat(self->a, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &stat));
	EXPECT_EQ(1, stat.live);
	EXPECT_EQ(SIZE, stat.bytes);
	EXPECT_EQ(0, stat.history);
	EXPECT_EQ(1, stat.verdicts[BUFFTRACK_LEAK]);
	/* Nothing that others could have met was lost. */
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, 0);
}

/* ---- VIEW and DANGLING ---------------------------------------------- */

#define VIEW	.flags = BUFFTRACK_F_VIEW

TEST_F(verdict, view)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 1, generation, VIEW);
	/* Of a part of it; by one who owns nothing */
	EXPECT_ALLOC(self->b, OK, 1, generation, VIEW, .size = 16);
	EXPECT_EQ(0, HELD(self->b));
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .views = 2, .lives = 1);
	EXPECT_FREE(self->b, OK, 1, generation, 0, VIEW);
	EXPECT_FREE(self->a, OK, 1, generation, 0, VIEW, .token = generation);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1);
	/* One too many, and of another allocation: no error, and no change */
	EXPECT_FREE(self->a, OK, 1, generation, 0, VIEW);
	EXPECT_ALLOC(self->a, OK, 1, generation, VIEW);
	EXPECT_FREE(self->a, OK, 1, generation, 0, VIEW,
		    .token = generation + 1);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .views = 1, .lives = 1);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 8 });
}

TEST_F(verdict, view_of_a_dead_key)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 1, generation, VIEW);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_FREE(self->a, OK, 0, generation, 0, VIEW);
	EXPECT_CALL(BUFFTRACK_IOC_ALLOC, self->a, DANGLING, 0, generation, VIEWS_LEFT, VIEW);
	EXPECT_CALL(BUFFTRACK_IOC_ALLOC, self->b, DANGLING, 0, generation, VIEWS_LEFT, VIEW);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 4, V(DANGLING) = 2 });
	/* A new allocation has none of the old one's views. */
	generation = NEW_LIFE(self->a);
	EXPECT_ALLOC(self->a, OK, 1, generation, VIEW);
	EXPECT_FREE(self->a, OK, 1, generation, 0, VIEW);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
}

TEST_F(verdict, view_of_an_unknown_key)
{
	NEW_LIFE(self->a);
	EXPECT_ALLOC(self->a, DANGLING, 0, 0, VIEW, .buffer = 0x77);
	EXPECT_FREE(self->a, OK, 0, 0, 0, VIEW, .buffer = 0x77);
	EXPECT_NO_RECORD(0x77);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 2, V(DANGLING) = 1 });
}

/* ---- SIZE_MISMATCH ------------------------------------------------------- */

TEST_F(verdict, size_mismatch_of_an_alloc)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, SIZE_MISMATCH, 2, generation, .size = 1);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 2,
		    .lives = 1);
	EXPECT_EQ(1, HELD(self->b));
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2,
		      .verdicts = { V(OK) = 1, V(SIZE_MISMATCH) = 1 });
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	EXPECT_FREE(self->a, OK, 0, generation, 0, .size = SIZE);
}

TEST_F(verdict, size_mismatch_of_a_free)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 2, generation);
	EXPECT_FREE(self->a, SIZE_MISMATCH, 1, generation, 0, .size = 1);
	EXPECT_FREE(self->a, SIZE_MISMATCH, 0, generation, 0, .size = ~0ULL);
	EXPECT_LIFE(.state = STATE(FREED), .generation = generation,
		    .lives = 1, .frees = 1);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 2, .frees = 2, .history = 1,
		      .verdicts = { V(OK) = 2, V(SIZE_MISMATCH) = 2 });
	/* A refused free is what it is, whatever its size. */
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0, .size = 1);
}

TEST_F(verdict, size_may_change_with_the_life)
{
	__u64 one = NEW_LIFE(self->a), two;

	EXPECT_FREE(self->a, OK, 0, one, 0);
	two = NEW_LIFE(self->a, .size = 1);
	EXPECT_FREE(self->a, OK, 0, two, 0, .size = 1);
	EXPECT_LIFE(.state = STATE(FREED), .generation = two, .lives = 2,
		    .frees = 2, .size = 1, .prev_state = STATE(FREED),
		    .prev_generation = one);
}

/* ---- RESET and FREE_AFTER_RESET ------------------------------------------ */

TEST_F(verdict, free_after_reset)
{
	int p = bt_open_as(variant->flags | BUFFTRACK_CLIENT_PRIVATE);
	__u64 generation = NEW_LIFE(self->a), lives, next;

	ASSERT_LE(0, p);
	EXPECT_ALLOC(self->b, OK, 2, generation);
	NEW_LIFE(self->b, .buffer = 0x77);
	NEW_LIFE(self->b, .buffer = 0x78, .space = 6);
	NEW_LIFE(self->a, .buffer = 0x79);
	EXPECT_FREE(self->a, OK, 0, ANY, 0, .buffer = 0x79);
	NEW_LIFE(p, .buffer = 0x80);

	ASSERT_EQ(0, bt_reset(self->c, self->device, &lives));
	EXPECT_EQ(4, lives);
	EXPECT_LIFE(.state = STATE(RESET), .generation = generation,
		    .lives = 1);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, ANY, 0, .buffer = 0x79);
	EXPECT_LIFE_OF(0x79, .state = STATE(FREED), .lives = 1, .frees = 1,
		       .refused = 1, .generation = self->op.generation);
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_EQ(0, HELD(self->b));
	EXPECT_EQ(0, HELD(p));
	EXPECT_FREE(self->a, FREE_AFTER_RESET, 0, generation, 0);
	EXPECT_FREE(self->b, FREE_AFTER_RESET, 0, generation, 0,
		    .token = generation);
	EXPECT_FREE(self->c, FREE_AFTER_RESET, 0, generation, 0);
	EXPECT_FREE(p, FREE_AFTER_RESET, 0, ANY, 0, .buffer = 0x80);
	EXPECT_DEVICE(.peak_bytes = 4 * SIZE, .allocs = 6, .frees = 1,
		      .history = 5,
		      .verdicts = { V(OK) = 7, V(FREE_AFTER_RESET) = 4,
				    V(DOUBLE_FREE) = 1 });

	/* Nothing left to reset, and no leak. */
	ASSERT_EQ(0, bt_reset(self->c, self->device, &lives));
	EXPECT_EQ(0, lives);
	close(self->b);
	self->b = -1;
	next = NEW_LIFE(self->a);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = next, .refs = 1,
		    .lives = 2, .refused = 3, .prev_state = STATE(RESET),
		    .prev_generation = generation);
	EXPECT_FREE(self->a, OK, 0, next, 0);
	EXPECT_FREE(self->a, FREE_AFTER_RESET, 0, next, 0,
		    .token = generation);
	close(p);
}

TEST_F(verdict, reset_of_one_device_only)
{
	__u64 other = bt_device(), generation, lives;

	generation = NEW_LIFE(self->a, .device = other);
	NEW_LIFE(self->a);
	ASSERT_EQ(0, bt_reset(self->a, self->device, &lives));
	EXPECT_EQ(1, lives);
	EXPECT_FREE(self->a, OK, 0, generation, 0, .device = other);
}

TEST_F(verdict, reset_of_an_unknown_device)
{
	__u64 lives;

	EXPECT_EQ(-ENODEV, bt_reset(self->a, self->device, &lives));
}

TEST_F(verdict, reset_needs_the_capability)
{
	__u64 generation = NEW_LIFE(self->a), lives;
	pid_t pid = bt_fork();

	if (!pid) {
		ASSERT_EQ(0, bt_become(BT_UID));
		EXPECT_EQ(-EPERM, bt_reset(self->a, self->device, &lives));
		/* Nor does it tell whether there is such a device. */
		EXPECT_EQ(-EPERM, bt_reset(self->a, bt_device(), &lives));
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1,
		    .lives = 1);
}

/* ---- what the record keeps ----------------------------------------------- */

TEST_F(verdict, previous_life_of_another_process)
{
	__u64 one, two;
	struct bt_pipe up;
	pid_t pid;

	ASSERT_EQ(0, bt_pipe(&up));
	pid = bt_fork();
	if (!pid) {
		int fd = bt_open_as(variant->flags);

		ASSERT_LE(0, fd);
		one = NEW_LIFE(fd);
		EXPECT_FREE(fd, OK, 0, one, 0);
		bt_send(&up, one);
		_exit(0);
	}
	one = bt_receive(&up);
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_LIFE(.state = STATE(FREED), .generation = one, .lives = 1,
		    .frees = 1, .alloc = { .pid = pid, .exited = 1 },
		    .end = { .pid = pid, .exited = 1 });
	two = NEW_LIFE(self->a);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = two, .refs = 1,
		    .lives = 2, .frees = 1, .prev_state = STATE(FREED),
		    .prev_generation = one,
		    .prev_alloc = { .pid = pid, .exited = 1 },
		    .prev_end = { .pid = pid, .exited = 1 });
	EXPECT_FREE(self->a, OK, 0, two, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, two, PROBABLE);
	EXPECT_LIFE(.state = STATE(FREED), .generation = two, .lives = 2,
		    .frees = 2, .refused = 1, .prev_state = STATE(FREED),
		    .prev_generation = one,
		    .prev_alloc = { .pid = pid, .exited = 1 },
		    .prev_end = { .pid = pid, .exited = 1 });
}

TEST_F(verdict, times_are_monotonic)
{
	struct bufftrack_life life;
	__u64 before = bt_now(), between;

	NEW_LIFE(self->a);
	between = bt_now();
	EXPECT_FREE(self->a, OK, 0, ANY, 0);
	ASSERT_EQ(0, bt_life(self->a, self->device, BT_SPACE, BUFFER, &life));
	EXPECT_LE(before, life.alloc.time);
	EXPECT_GE(between, life.alloc.time);
	EXPECT_LE(between, life.end.time);
	EXPECT_GE(bt_now(), life.end.time);
}

/* ---- what happened, not only what was reported ---------------------------- */

#define EXPECT_OTHER(cmd, fd, verdict, refs, generation, info, ...)	\
	EXPECT_CALL(BUFFTRACK_IOC_##cmd, fd, verdict, refs, generation,	\
		    info, __VA_ARGS__)
#define LAST_		.flags = BUFFTRACK_F_LAST
#define SAME_		.flags = BUFFTRACK_F_SAME
#define RETAIN_		.flags = BUFFTRACK_F_RETAIN

/* UNDO of the latest call, as it was answered: an errno */
static int undo(FIXTURE_DATA(verdict) *self, int fd, struct bufftrack_op free)
{
	self->op = free;
	return bt_ioctl(fd, BUFFTRACK_IOC_UNDO, &self->op);
}

/* The free of an ALLOC that was refused may be of what was never recorded. */
TEST_F(verdict, free_of_what_was_refused)
{
	unsigned long max;
	struct bufftrack_op op = {
		.device = self->device, .buffer = BUFFER, .space = BT_SPACE, .size = SIZE,
	};
	int rc;

	NEW_LIFE(self->a);
	EXPECT_FREE(self->a, OK, 0, self->op.generation, 0);
	NEW_LIFE(self->a, .buffer = 7);
	ASSERT_EQ(0, bt_parameter("max_buffers", 1, &max));
	rc = bt_alloc(self->a, &op);
	bt_parameter("max_buffers", max, NULL);
	ASSERT_EQ(-ENOSPC, rc);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, ANY, PROBABLE | NOT_RECORDED);
	/* A token proves it all the same. */
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, ANY, NOT_RECORDED,
		    .token = self->op.generation);
	EXPECT_FREE(self->b, DOUBLE_FREE, 0, ANY, 0);
}

/* A child that shares the client frees; the parent is not accused. */
TEST_F(verdict, free_by_a_forked_child)
{
	__u64 generation = NEW_LIFE(self->a);
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (!child) {
		struct bufftrack_op op = {
			.device = self->device, .buffer = BUFFER, .space = BT_SPACE,
		};

		_exit(bt_free(self->a, &op) || op.verdict);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, PROBABLE | FORKED);
}

/* The driver refused the first free, and the second one works. */
TEST_F(verdict, undo_between_two_frees)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_EQ(0, undo(self, self->a, self->op));
	EXPECT_EQ(BUFFTRACK_OK, self->op.verdict);
	EXPECT_EQ(1, self->op.refs);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1, .lives = 1,
		    .flags = BUFFTRACK_LIFE_UNDONE);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1, .frees = 1,
		      .undos = 1, .verdicts = { V(OK) = 2 });
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, PROBABLE | UNDONE);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 1, .frees = 2, .history = 1, .undos = 1,
		      .verdicts = { V(OK) = 3, V(DOUBLE_FREE) = 1 });
}

/* What had counted nothing has nothing to take back. */
TEST_F(verdict, undo_of_a_double_free)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0);
	EXPECT_EQ(0, undo(self, self->a, self->op));
	EXPECT_LIFE(.state = STATE(FREED), .generation = generation, .lives = 1, .frees = 1,
		    .refused = 1);
}

TEST_F(verdict, undo_of_one_of_several)
{
	__u64 generation = NEW_LIFE(self->a);
	struct bufftrack_op freed;

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	freed = self->op;
	EXPECT_EQ(0, undo(self, self->b, freed));
	EXPECT_EQ(2, self->op.refs);
	/* Another who never had one has none to take back. */
	EXPECT_EQ(-ENOENT, undo(self, self->c, freed));
	EXPECT_FREE(self->a, OK, 1, generation, 0);
	EXPECT_FREE(self->b, OK, 0, generation, 0);
	/* Only who ended it can take the end back. */
	freed = self->op;
	EXPECT_EQ(-ENOENT, undo(self, self->a, freed));
	EXPECT_EQ(0, undo(self, self->b, freed));
	EXPECT_EQ(1, self->op.refs);
}

TEST_F(verdict, undo_too_late)
{
	__u64 generation = NEW_LIFE(self->a);
	struct bufftrack_op freed;

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	freed = self->op;
	NEW_LIFE(self->a);
	EXPECT_EQ(-ESTALE, undo(self, self->a, freed));
	EXPECT_FREE(self->a, OK, 0, ANY, 0);
	freed.buffer++;
	EXPECT_EQ(-ENOENT, undo(self, self->a, freed));
	freed.flags = BUFFTRACK_F_VIEW;
	EXPECT_EQ(-EINVAL, undo(self, self->a, freed));
}

/* Reset since: it ends in that reset. */
TEST_F(verdict, undo_after_a_reset)
{
	__u64 generation = NEW_LIFE(self->a), lives;
	struct bufftrack_op freed;

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	freed = self->op;
	ASSERT_EQ(0, bt_reset(self->a, self->device, &lives));
	EXPECT_EQ(0, lives);
	EXPECT_EQ(0, undo(self, self->a, freed));
	EXPECT_EQ(0, self->op.refs);
	EXPECT_FREE(self->a, FREE_AFTER_RESET, 0, generation, PROBABLE | UNDONE);
}

/* RESET CLIENT of a context: how many holds */
static int reset_context(FIXTURE_DATA(verdict) *self, int fd, __u64 tag)
{
	struct bufftrack_reset reset = {
		.device = self->device, .tag = tag,
		.flags = BUFFTRACK_RESET_CLIENT | BUFFTRACK_RESET_TAG,
	};

	return bt_ioctl(fd, BUFFTRACK_IOC_RESET, &reset) ?: (int)reset.holds;
}

/* Another context's end does not hide the one that meant it. */
TEST_F(verdict, undo_after_two_contexts)
{
	__u64 generation = NEW_LIFE(self->a, .tag = 7);
	struct bufftrack_op freed;

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	freed = self->op;
	EXPECT_EQ(0, reset_context(self, self->a, 7));
	EXPECT_EQ(0, reset_context(self, self->a, 8));
	EXPECT_EQ(0, undo(self, self->a, freed));
	EXPECT_EQ(0, self->op.refs);
	EXPECT_LIFE(.state = STATE(CONTEXT), .generation = generation, .lives = 1,
		    .flags = BUFFTRACK_LIFE_UNDONE, .tag = 7);
}

/* Of more resets than are remembered it is not known whether one meant it. */
TEST_F(verdict, undo_after_many_contexts)
{
	__u64 generation = NEW_LIFE(self->a, .tag = 7), tag;
	struct bufftrack_op freed;

	EXPECT_FREE(self->a, OK, 0, generation, 0);
	freed = self->op;
	for (tag = 8; tag < 12; tag++)
		EXPECT_EQ(0, reset_context(self, self->a, tag));
	EXPECT_EQ(0, undo(self, self->a, freed));
	EXPECT_EQ(1, self->op.refs);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	freed = self->op;
	for (tag = 8; tag < 60; tag++)
		EXPECT_EQ(0, reset_context(self, self->a, tag));
	EXPECT_EQ(-ENOENT, undo(self, self->a, freed));
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, PROBABLE | UNDONE);
}

/* Whoever had a reference left has not freed it twice. */
TEST_F(verdict, reset_of_what_a_last_left)
{
	__u64 generation = NEW_LIFE(self->a), lives;

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_FREE(self->a, HELD_FREE, 1, generation, 0, LAST_);
	ASSERT_EQ(0, bt_reset(self->a, self->device, &lives));
	EXPECT_EQ(0, lives);
	EXPECT_FREE(self->b, FREE_AFTER_RESET, 0, generation, PROBABLE | FOLLOWS);
	EXPECT_LIFE(.state = STATE(RESET), .generation = generation, .lives = 1, .frees = 1,
		    .refused = 1);
	/* The next life has nothing of that. */
	EXPECT_ALLOC(self->a, OK, 1, ANY);
	ASSERT_EQ(0, bt_reset(self->a, self->device, &lives));
	EXPECT_EQ(1, lives);
	EXPECT_FREE(self->a, FREE_AFTER_RESET, 0, ANY, PROBABLE);
}

TEST_F(verdict, context_of_what_a_last_left)
{
	__u64 generation = NEW_LIFE(self->a, .tag = 7);

	EXPECT_ALLOC(self->b, OK, 2, generation, .tag = 7);
	EXPECT_FREE(self->a, HELD_FREE, 1, generation, 0, LAST_);
	EXPECT_EQ(1, reset_context(self, self->b, 7));
	EXPECT_FREE(self->b, FREE_AFTER_RESET, 0, generation, PROBABLE | FOLLOWS);
}

/* The end by LAST stays, and the reference is left again. */
TEST_F(verdict, undo_of_what_a_last_left)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 2, generation);
	EXPECT_FREE(self->a, HELD_FREE, 1, generation, 0, LAST_);
	EXPECT_FREE(self->a, OK, 0, generation, PROBABLE | FOLLOWS);
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_EQ(0, undo(self, self->a, self->op));
	EXPECT_EQ(1, self->op.refs);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_LIFE(.state = STATE(LAST), .generation = generation, .lives = 1, .frees = 1,
		    .refs = 1, .flags = BUFFTRACK_LIFE_UNDONE);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 2, .frees = 2, .history = 1, .undos = 1,
		      .verdicts = { V(OK) = 3, V(HELD_FREE) = 1 });
	EXPECT_FREE(self->a, OK, 0, generation, PROBABLE | FOLLOWS | UNDONE);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, PROBABLE | UNDONE);
	EXPECT_EQ(0, HELD(self->a));
}

/* Who has none dropped the second one's reference: it is the second one's again. */
TEST_F(verdict, undo_of_anothers_of_a_shared)
{
	__u64 generation = NEW_LIFE(self->a, .flags = BUFFTRACK_F_SHARED);

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_ALLOC(self->b, OK, 3, generation);
	EXPECT_FREE(self->a, OK, 2, generation, 0);
	EXPECT_FREE(self->c, OK, 1, generation, 0);
	EXPECT_EQ(0, undo(self, self->c, self->op));
	EXPECT_EQ(2, self->op.refs);
	/* Once only */
	EXPECT_EQ(-ENOENT, undo(self, self->c, self->op));
	EXPECT_FREE(self->a, DOUBLE_FREE, 2, generation, PROBABLE | UNDONE);
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	EXPECT_FREE(self->b, OK, 0, generation, 0);
}

/* An UNDO that is refused leaves what there is to take back. */
TEST_F(verdict, undo_that_is_refused)
{
	__u64 generation = NEW_LIFE(self->a, .flags = BUFFTRACK_F_SHARED);
	struct bufftrack_op freed, last;

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_ALLOC(self->b, OK, 3, generation);
	EXPECT_FREE(self->a, HELD_FREE, 2, generation, 0, LAST_);
	last = self->op;
	EXPECT_FREE(self->c, OK, 1, generation, PROBABLE | FOLLOWS);
	freed = self->op;
	/* The LAST was another's. */
	EXPECT_EQ(-ENOENT, undo(self, self->c, last));
	EXPECT_EQ(0, undo(self, self->c, freed));
	EXPECT_EQ(2, self->op.refs);
}

/* What is to be said of the life that was not freed is said. */
TEST_F(verdict, missed_free_of_what_was_undone)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 1, generation, VIEW);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_EQ(0, undo(self, self->a, self->op));
	EXPECT_OTHER(ALLOC, self->a, MISSED_FREE, 1, ANY, PROBABLE | UNDONE | VIEWS_LEFT,
		     .flags = BUFFTRACK_F_EXCLUSIVE);
}

TEST_F(verdict, undo_in_a_batch)
{
	struct bufftrack_op ops[3] = {
		{ .op = BUFFTRACK_OP_ALLOC, .device = self->device, .buffer = 1, .size = 1 },
		{ .op = BUFFTRACK_OP_FREE, .device = self->device, .buffer = 1 },
	};
	struct bufftrack_batch batch;

	ASSERT_EQ(0, bt_batch(self->a, ops, 2, &batch));
	ops[1].op = BUFFTRACK_OP_UNDO;
	ASSERT_EQ(0, bt_batch(self->a, &ops[1], 1, &batch));
	EXPECT_EQ(0, batch.bad);
	EXPECT_EQ(1, ops[1].refs);
}

/* A GEM import returns the handle that it had: closed once. */
TEST_F(verdict, same_and_last)
{
	__u64 generation = NEW_LIFE(self->a, SAME_);

	EXPECT_ALLOC(self->a, OK, 1, generation, SAME_);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 1,
		      .verdicts = { V(OK) = 2 });
	EXPECT_ALLOC(self->b, OK, 2, generation, SAME_);
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	EXPECT_FREE(self->a, OK, 0, generation, 0, LAST_);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0, LAST_);
}

TEST_F(verdict, retain)
{
	__u64 generation;

	EXPECT_OTHER(ALLOC, self->a, DANGLING, 0, 0, 0, RETAIN_);
	EXPECT_NO_RECORD(BUFFER);
	generation = NEW_LIFE(self->a);
	EXPECT_ALLOC(self->a, OK, 2, generation, RETAIN_);
	EXPECT_ALLOC(self->b, OK, 3, generation, RETAIN_, .token = generation);
	EXPECT_OTHER(ALLOC, self->b, DANGLING, 3, generation, 0, RETAIN_,
		     .token = generation + 1);
	EXPECT_FREE(self->a, OK, 2, generation, 0);
	EXPECT_FREE(self->a, OK, 1, generation, 0);
	EXPECT_FREE(self->b, OK, 0, generation, 0);
	EXPECT_OTHER(ALLOC, self->b, DANGLING, 0, generation, 0, RETAIN_);
}

TEST_F(verdict, view_with_a_token)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 1, generation, .flags = BUFFTRACK_F_VIEW, .token = generation);
	EXPECT_OTHER(ALLOC, self->a, DANGLING, 1, generation, 0, .flags = BUFFTRACK_F_VIEW,
		     .token = generation + 1);
	EXPECT_FREE(self->a, OK, 1, generation, 0, .flags = BUFFTRACK_F_VIEW,
		    .token = generation + 1);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 1, .lives = 1,
		    .views = 1);
}

/* LAST ends the life; each reference that is left may still be freed. */
TEST_F(verdict, held_free)
{
	__u64 generation = NEW_LIFE(self->a), two;

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_ALLOC(self->b, OK, 3, generation);
	EXPECT_FREE(self->a, HELD_FREE, 2, generation, 0, LAST_);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 3, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 3, V(HELD_FREE) = 1 });
	EXPECT_LIFE(.state = STATE(LAST), .generation = generation, .refs = 2, .lives = 1,
		    .frees = 1);
	EXPECT_FREE(self->a, DOUBLE_FREE, 2, generation, PROBABLE | FOLLOWS);
	EXPECT_FREE(self->c, FOREIGN_FREE, 2, generation, PROBABLE | FOLLOWS);
	EXPECT_FREE(self->b, OK, 1, generation, PROBABLE | FOLLOWS);
	EXPECT_OTHER(ALLOC, self->b, DANGLING, 1, generation, 0, RETAIN_);
	two = NEW_LIFE(self->a);
	EXPECT_EQ(0, HELD(self->b));
	EXPECT_FREE(self->b, STALE_FREE, 1, two, PROBABLE | FOLLOWS, .token = generation);
	EXPECT_FREE(self->a, OK, 0, two, 0);
}

TEST_F(verdict, held_free_all_freed)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_FREE(self->b, HELD_FREE, 1, generation, 0, LAST_);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_FREE(self->a, OK, 0, generation, PROBABLE | FOLLOWS);
	EXPECT_EQ(0, HELD(self->a));
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, 0);
	EXPECT_LIFE(.state = STATE(LAST), .generation = generation, .lives = 1, .frees = 1,
		    .refused = 1);
}

TEST_F(verdict, undo_of_a_held_free)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_FREE(self->a, HELD_FREE, 1, generation, 0, LAST_);
	EXPECT_EQ(0, undo(self, self->a, self->op));
	EXPECT_EQ(2, self->op.refs);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = generation, .refs = 2, .lives = 1,
		    .flags = BUFFTRACK_LIFE_UNDONE);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2, .frees = 1,
		      .undos = 1, .verdicts = { V(OK) = 2, V(HELD_FREE) = 1 });
	EXPECT_FREE(self->b, OK, 1, generation, 0);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
}

/* What a LAST left goes with its client: no LEAK. */
TEST_F(verdict, held_free_and_an_exit)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->b, OK, 2, generation);
	EXPECT_FREE(self->a, HELD_FREE, 1, generation, 0, LAST_);
	close(self->b);
	self->b = bt_open_as(variant->flags);
	EXPECT_DEVICE(.peak_bytes = SIZE, .allocs = 2, .frees = 1, .history = 1,
		      .verdicts = { V(OK) = 2, V(HELD_FREE) = 1 });
	EXPECT_LIFE(.state = STATE(LAST), .generation = generation, .lives = 1, .frees = 1);
}

TEST_F(verdict, views_left)
{
	__u64 generation = NEW_LIFE(self->a);

	EXPECT_ALLOC(self->a, OK, 1, generation, .flags = BUFFTRACK_F_VIEW);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
	EXPECT_FREE(self->a, DOUBLE_FREE, 0, generation, VIEWS_LEFT);
}

TEST_F(verdict, persistent_is_no_leak)
{
	NEW_LIFE(self->b, .flags = BUFFTRACK_F_PERSISTENT);
	EXPECT_LIFE(.state = STATE(LIVE), .generation = self->op.generation, .refs = 1,
		    .lives = 1, .client = bt_client_id(self->b),
		    .flags = BUFFTRACK_F_PERSISTENT);
	close(self->b);
	self->b = bt_open_as(variant->flags);
	/* One that sees the device */
	NEW_LIFE(self->a, .buffer = 9);
	EXPECT_DEVICE(.live = 1, .bytes = SIZE, .peak_bytes = SIZE, .allocs = 2, .history = 1,
		      .verdicts = { V(OK) = 2 });
}

TEST_F(verdict, reset_of_a_context)
{
	struct bufftrack_reset reset = {
		.device = self->device, .tag = 5,
		.flags = BUFFTRACK_RESET_CLIENT | BUFFTRACK_RESET_TAG,
	};
	__u64 generation = NEW_LIFE(self->a, .tag = 5);

	EXPECT_ALLOC(self->a, OK, 1, ANY, .buffer = 9, .tag = 6);
	EXPECT_ALLOC(self->b, OK, 1, ANY, .buffer = 10, .tag = 5);
	EXPECT_ALLOC(self->a, OK, 2, ANY, .buffer = 10, .tag = 5);
	ASSERT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_RESET, &reset));
	EXPECT_EQ(1, reset.lives);
	EXPECT_EQ(2, reset.holds);
	EXPECT_FREE(self->a, FREE_AFTER_RESET, 0, generation, 0);
	EXPECT_LIFE(.state = STATE(CONTEXT), .generation = generation, .lives = 1, .tag = 5,
		    .refused = 1);
	EXPECT_EQ(1, HELD(self->a));
	EXPECT_FREE(self->b, OK, 0, ANY, 0, .buffer = 10);
	reset = (struct bufftrack_reset) {
		.flags = BUFFTRACK_RESET_CLIENT | BUFFTRACK_RESET_ALL,
	};
	ASSERT_EQ(0, bt_ioctl(self->a, BUFFTRACK_IOC_RESET, &reset));
	EXPECT_EQ(1, reset.lives);
	EXPECT_EQ(1, reset.holds);
	EXPECT_EQ(0, HELD(self->a));
}

TEST_F(verdict, required_token)
{
	__u64 generation = NEW_LIFE(self->a);
	struct bufftrack_op op = {
		.device = self->device, .buffer = BUFFER, .space = BT_SPACE,
	};

	ASSERT_EQ(0, bt_client(self->a, BUFFTRACK_CLIENT_REQUIRE_TOKEN,
			       BUFFTRACK_CLIENT_REQUIRE_TOKEN, NULL, NULL));
	EXPECT_EQ(-EINVAL, bt_free(self->a, &op));
	EXPECT_FREE(self->a, OK, 0, generation, 0, .token = generation);
}

TEST_F(verdict, partial)
{
	ASSERT_EQ(0, bt_client(self->a, BUFFTRACK_CLIENT_PARTIAL, BUFFTRACK_CLIENT_PARTIAL,
			       NULL, NULL));
	EXPECT_FREE(self->a, UNKNOWN_FREE, 0, 0, PROBABLE | NOT_RECORDED);
	EXPECT_EQ(-EINVAL, bt_client(self->a, BUFFTRACK_CLIENT_PARTIAL, 0, NULL, NULL));
}

/* Another user's life is not ended: one more reference. */
TEST_F(verdict, missed_free_of_another_user)
{
	__u64 generation = NEW_LIFE(self->a);
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (!child) {
		struct bufftrack_op op = {
			.device = self->device, .buffer = BUFFER, .space = BT_SPACE,
			.size = SIZE, .flags = BUFFTRACK_F_EXCLUSIVE,
		};
		int fd;

		if (chmod(BT_NODE, 0666) || setresuid(BT_UID, BT_UID, BT_UID))
			_exit(2);
		fd = bt_open();
		if (fd < 0 || bt_alloc(fd, &op) || op.verdict != BUFFTRACK_MISSED_FREE ||
		    op.refs != 2 || op.generation != generation ||
		    op.info != BUFFTRACK_INFO_PROBABLE)
			_exit(1);
		op.flags = BUFFTRACK_F_LAST;
		/* A plain FREE */
		_exit(bt_free(fd, &op) || op.verdict != BUFFTRACK_OK || op.refs != 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	chmod(BT_NODE, 0660);
	EXPECT_EQ(0, status);
	EXPECT_FREE(self->a, OK, 0, generation, 0);
}

TEST_HARNESS_MAIN
