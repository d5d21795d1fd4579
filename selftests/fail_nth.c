// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once, and every copy from or to user memory: the first one of
 * a call, then the second one, and so on until a call gets by. After each failure the
 * state has to be as before, and the same call has to do what it does undisturbed.
 *
 * What leaks is found by kmemleak (selftests/vm/run), by the module's caches when it is
 * unloaded (selftests/host/guest), and here: a device has to go with its clients.
 */
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>

#include "fail.h"
#include "snapshot.h"

#define SIZE	4096

/* ---- a call, and what it came to ----------------------------------------- */

struct call {
	int watch;		/* has no part in it */
	int fd;			/* whose call it is */
	int other;		/* another client */
	__u64 id;		/* of the first */
	__u64 device;
	__u64 result;		/* what the call answered, as far as it repeats */
	__u32 stack_id;
	struct bufftrack_op op;
};

/* What a call changed, as far as it is the same each time */
struct outcome {
	__u64 result;
	__u64 device[7], client[5];
	__u64 verdicts[BUFFTRACK_MAX_VERDICTS];
	char names[3][BUFFTRACK_NAME_LEN];
	unsigned int nr;
	struct {
		__u64 buffer, size, tag;
		__u32 space, state, refs, views, flags, lives, frees, refused;
		__u32 prev_state;
		__u32 clients;
	} lives[16];
};

static int by_buffer(const void *a, const void *b)
{
	const struct bufftrack_life *one = a, *two = b;

	return one->buffer < two->buffer ? -1 : one->buffer > two->buffer;
}

static void outcome_of(const struct call *call, const struct snapshot *before,
		       struct snapshot *after, struct outcome *to)
{
	const struct bufftrack_stat *a = &before->device.stat, *b = &after->device.stat;
	const struct bufftrack_stat *c = &before->client.stat, *d = &after->client.stat;
	unsigned int i;

	memset(to, 0, sizeof(*to));
	to->result = call->result;
	to->device[0] = b->live - a->live;
	to->device[1] = b->bytes - a->bytes;
	to->device[2] = b->peak_bytes - a->peak_bytes;
	to->device[3] = b->allocs - a->allocs;
	to->device[4] = b->frees - a->frees;
	to->device[5] = b->history - a->history;
	to->device[6] = b->evicted - a->evicted;
	to->client[0] = d->live - c->live;
	to->client[1] = d->bytes - c->bytes;
	to->client[2] = d->allocs - c->allocs;
	to->client[3] = d->frees - c->frees;
	to->client[4] = d->client_flags;
	/* Machine-wide: each has to be counted there, too. */
	for (i = 0; i < 16; i++)
		to->verdicts[i] = after->all.stat.verdicts[i] -
				  before->all.stat.verdicts[i];
	memcpy(to->names[0], b->name, sizeof(b->name));
	memcpy(to->names[1], after->space.stat.name, sizeof(b->name));
	memcpy(to->names[2], d->name, sizeof(d->name));
	qsort(after->lives, after->nr, sizeof(after->lives[0]), by_buffer);
	to->nr = after->nr;
	for (i = 0; i < after->nr && i < ARRAY_SIZE(to->lives); i++) {
		const struct bufftrack_life *life = &after->lives[i];

		to->lives[i].buffer = life->buffer;
		to->lives[i].size = life->size;
		to->lives[i].tag = life->tag;
		to->lives[i].space = life->space;
		to->lives[i].state = life->state;
		to->lives[i].refs = life->refs;
		to->lives[i].views = life->views;
		to->lives[i].flags = life->flags;
		to->lives[i].lives = life->lives;
		to->lives[i].frees = life->frees;
		to->lives[i].refused = life->refused;
		to->lives[i].prev_state = life->prev_state;
		to->lives[i].clients = !!life->client;
	}
}

/* Where two outcomes differ: "" where they do not. */
static const char *outcome_diff(const struct outcome *want, const struct outcome *seen)
{
	static struct bt_words words;
	unsigned int i;

	words = (struct bt_words) { .used = 0 };
	BT_DIFFER(&words, want, seen, result);
	for (i = 0; i < ARRAY_SIZE(want->device); i++)
		BT_DIFFER(&words, want, seen, device[i]);
	for (i = 0; i < ARRAY_SIZE(want->client); i++)
		BT_DIFFER(&words, want, seen, client[i]);
	for (i = 0; i < 16; i++)
		if (want->verdicts[i] != seen->verdicts[i])
			bt_say(&words, "[verdicts[%u] +%llu, not +%llu]", i,
			       (unsigned long long)seen->verdicts[i],
			       (unsigned long long)want->verdicts[i]);
	BT_DIFFER(&words, want, seen, nr);
	if (memcmp(want->names, seen->names, sizeof(want->names)))
		bt_say(&words, "[names '%.32s' '%.32s' '%.32s']", seen->names[0],
		       seen->names[1], seen->names[2]);
	for (i = 0; i < want->nr && i < ARRAY_SIZE(want->lives); i++)
		if (memcmp(&want->lives[i], &seen->lives[i], sizeof(want->lives[i])))
			bt_say(&words, "[allocation of 0x%llx]",
			       (unsigned long long)want->lives[i].buffer);
	return words.text;
}

static __u64 losses(int fd, bool stacks)
{
	struct bufftrack_info info = { .flags = 0 };

	if (bt_ioctl(fd, BUFFTRACK_IOC_INFO, &info))
		return ~0ULL;
	return stacks ? info.stacks_lost : info.failed;
}

/* ---- the calls ----------------------------------------------------------- */

static int op(struct call *call, int fd, unsigned long cmd, __u64 buffer, __u32 flags)
{
	call->op = (struct bufftrack_op) {
		.device = call->device, .buffer = buffer, .flags = flags,
		.size = cmd == BUFFTRACK_IOC_ALLOC ? SIZE : 0,
	};
	return bt_op(fd, cmd, &call->op);
}

static void result_of_op(struct call *call)
{
	/* After a call that was refused a verdict says so, and is not proven any more. */
	const __u32 of_refused = BUFFTRACK_INFO_NOT_RECORDED | BUFFTRACK_INFO_PROBABLE;

	call->result = (__u64)call->op.verdict << 32 |
		       (call->op.info & ~of_refused) << 16 | call->op.refs;
}

#define OWN(cmd, ...) op(call, call->fd, BUFFTRACK_IOC_##cmd, __VA_ARGS__)
#define OTHERS(cmd, ...) op(call, call->other, BUFFTRACK_IOC_##cmd, __VA_ARGS__)

/* Keys: 1 is live and the other client's, 2 is dead, 3 is live and both clients'. */
static int three_keys(struct call *call)
{
	return OTHERS(ALLOC, 1, 0) ?: OTHERS(ALLOC, 2, 0) ?: OTHERS(FREE, 2, 0) ?:
	       OTHERS(ALLOC, 3, 0) ?: OWN(ALLOC, 3, 0);
}

/* Nobody knows the device. */
static int nothing(struct call *call BT_UNUSED)
{
	return 0;
}

/* The device is known, and this client does not use it yet. */
static int others_only(struct call *call)
{
	return OTHERS(ALLOC, 1, 0) ?: OTHERS(ALLOC, 2, 0) ?: OTHERS(FREE, 2, 0);
}

/* As three_keys(); and the task has a new name, so that it is not known, either. */
static int renamed(struct call *call)
{
	static unsigned int nr;
	char name[16];
	int rc = three_keys(call);

	snprintf(name, sizeof(name), "renamed-%u", nr++);
	return rc ?: prctl(PR_SET_NAME, name);
}

static int private(struct call *call)
{
	return others_only(call) ?: bt_client(call->fd, BUFFTRACK_CLIENT_PRIVATE,
					      BUFFTRACK_CLIENT_PRIVATE, NULL, NULL);
}

static int do_info(struct call *call)
{
	struct bufftrack_info info = { .flags = 0 };
	int rc = bt_ioctl(call->fd, BUFFTRACK_IOC_INFO, &info);

	call->result = info.features;
	return rc;
}

static int do_client(struct call *call)
{
	__u64 id = 0;
	int rc = bt_client(call->fd, BUFFTRACK_CLIENT_STRICT, BUFFTRACK_CLIENT_STRICT,
			   "a name", &id);

	call->result = id == call->id;
	return rc;
}

#define DO_OP(name, ...)						\
static int do_##name(struct call *call)					\
{									\
	int rc = OWN(__VA_ARGS__);					\
									\
	result_of_op(call);						\
	return rc;							\
}

DO_OP(alloc_1, ALLOC, 1, 0)
DO_OP(alloc_2, ALLOC, 2, 0)
DO_OP(alloc_3, ALLOC, 3, 0)
DO_OP(alloc_4, ALLOC, 4, 0)
DO_OP(alloc_view, ALLOC, 1, BUFFTRACK_F_VIEW)
DO_OP(alloc_no_view, ALLOC, 2, BUFFTRACK_F_VIEW)
DO_OP(alloc_missed, ALLOC, 3, BUFFTRACK_F_EXCLUSIVE)
DO_OP(alloc_others_missed, ALLOC, 1, BUFFTRACK_F_EXCLUSIVE)
DO_OP(free_1, FREE, 1, 0)
DO_OP(free_2, FREE, 2, 0)
DO_OP(free_3, FREE, 3, 0)
DO_OP(free_view, FREE, 3, BUFFTRACK_F_VIEW)

static int do_alloc_new_space(struct call *call)
{
	int rc;

	call->op = (struct bufftrack_op) {
		.device = call->device, .buffer = 4, .space = BT_SPACE, .size = SIZE,
		.tag = 9,
	};
	rc = bt_alloc(call->fd, &call->op);
	result_of_op(call);
	return rc;
}

/* Addresses in this program, so that there is a file to be read; new ones each time */
static int with_stack(struct call *call, unsigned long cmd, __u64 buffer, bool same)
{
	static __u64 frames[16];
	static unsigned int nr;
	unsigned int i;
	int rc;

	nr += !same;
	for (i = 0; i < ARRAY_SIZE(frames); i++)
		frames[i] = (uintptr_t)outcome_diff + 64 * nr % 4096 + i;
	call->op = (struct bufftrack_op) {
		.device = call->device, .buffer = buffer,
		.size = cmd == BUFFTRACK_IOC_ALLOC ? SIZE : 0,
		.stack = (uintptr_t)frames, .stack_depth = ARRAY_SIZE(frames),
	};
	rc = bt_op(call->fd, cmd, &call->op);
	result_of_op(call);
	return rc;
}

static int do_alloc_stack(struct call *call)
{
	return with_stack(call, BUFFTRACK_IOC_ALLOC, 4, false);
}

/* A stack that is known, by an actor that is */
static int known_stack(struct call *call)
{
	return three_keys(call) ?: with_stack(call, BUFFTRACK_IOC_ALLOC, 5, false);
}

/* The same by a new one */
static int known_stack_renamed(struct call *call)
{
	return known_stack(call) ?: prctl(PR_SET_NAME, "another name");
}

static int do_alloc_same_stack(struct call *call)
{
	return with_stack(call, BUFFTRACK_IOC_ALLOC, 4, true);
}

/* An allocation that its own FREE ends */
static int its_own(struct call *call)
{
	return three_keys(call) ?: OWN(ALLOC, 5, 0);
}

static int do_free_stack(struct call *call)
{
	return with_stack(call, BUFFTRACK_IOC_FREE, 5, false);
}

static int do_double_free_stack(struct call *call)
{
	return with_stack(call, BUFFTRACK_IOC_FREE, 2, false);
}

static int label(struct call *call, __u32 flags)
{
	struct bufftrack_label arg = {
		.device = call->device, .flags = flags, .label = "a-label",
		.space = flags ? BT_SPACE : 0,
	};

	return bt_ioctl(call->fd, BUFFTRACK_IOC_LABEL, &arg);
}

static int do_label_device(struct call *call)
{
	return label(call, 0);
}

static int do_label_space(struct call *call)
{
	return label(call, BUFFTRACK_LABEL_SPACE);
}

static int do_reset(struct call *call)
{
	return bt_reset(call->fd, call->device, &call->result);
}

static int stat_of(struct call *call, __u32 scope, __u32 flags)
{
	struct bufftrack_stat stat = {
		.scope = scope, .flags = flags,
		.device = !flags && scope == BUFFTRACK_STAT_DEVICE ? call->device :
			  scope == BUFFTRACK_STAT_SPACE ? call->device : 0,
	};
	int rc = bt_ioctl(call->fd, BUFFTRACK_IOC_STAT, &stat);

	/* Of all there is, others may have counted as well. */
	call->result = flags || scope == BUFFTRACK_STAT_ALL ? !!stat.allocs :
		       stat.live << 32 | stat.history << 16 | stat.allocs;
	return rc;
}

static int do_stat_all(struct call *call)
{
	return stat_of(call, BUFFTRACK_STAT_ALL, 0);
}

static int do_stat_device(struct call *call)
{
	return stat_of(call, BUFFTRACK_STAT_DEVICE, 0);
}

static int do_stat_space(struct call *call)
{
	return stat_of(call, BUFFTRACK_STAT_SPACE, 0);
}

static int do_stat_client(struct call *call)
{
	return stat_of(call, BUFFTRACK_STAT_CLIENT, 0);
}

static int do_stat_next(struct call *call)
{
	return stat_of(call, BUFFTRACK_STAT_SPACE, BUFFTRACK_STAT_NEXT);
}

static int do_list(struct call *call)
{
	static struct bufftrack_life lives[8];
	struct bufftrack_list list = {
		.entries = (uintptr_t)lives, .nr = ARRAY_SIZE(lives),
		.entry_size = sizeof(lives[0]), .device = call->device,
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
	};
	unsigned int i;
	int rc;

	memset(lives, 0, sizeof(lives));
	rc = bt_ioctl(call->fd, BUFFTRACK_IOC_LIST, &list);
	call->result = rc ? 0 : list.nr;
	for (i = 0; !rc && i < list.nr; i++)
		call->result += lives[i].buffer << (8 * (1 + lives[i].refs));
	return rc;
}

static int a_stack(struct call *call)
{
	struct bufftrack_life life;
	int rc;

	rc = three_keys(call) ?: with_stack(call, BUFFTRACK_IOC_ALLOC, 4, false) ?:
	     bt_life(call->fd, call->device, 0, 4, &life);
	call->stack_id = rc ? 0 : life.alloc.stack_id;
	return rc;
}

static int do_stack(struct call *call)
{
	static struct bufftrack_frame frames[16];
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)frames, .nr = ARRAY_SIZE(frames),
		.frame_size = sizeof(frames[0]), .stack_id = call->stack_id,
	};
	int rc = bt_ioctl(call->fd, BUFFTRACK_IOC_STACK, &stack);

	call->result = stack.nr + frames[15].build_id_len;
	return rc;
}

/* ---- each of them, disturbed at each place ------------------------------- */

FIXTURE(fail) {
	struct call call;
	unsigned long history;
	struct snapshot before;
	struct snapshot after;
	struct outcome want;
	struct outcome seen;
};

FIXTURE_VARIANT(fail) {
	int (*prepare)(struct call *call);
	int (*call)(struct call *call);
	unsigned int least;	/* faults that are to be met at the least */
	bool changes;	/* answers by copy_to_user(), after it has changed something */
	bool stack;	/* has a stack, which can be lost... */
	__u64 alloc;	/* ...and is that of this key's ALLOC */
	__u64 end;	/* ...or of its end */
};

#define CALL(name, _prepare, _call, _least, ...)			\
	FIXTURE_VARIANT_ADD(fail, name) {				\
		.prepare = _prepare, .call = _call, .least = _least,	\
		__VA_ARGS__						\
	}

/*
 * Of most structs there are three copies: in, tried, out. Those of an ALLOC or a FREE
 * cannot be made to fail like this (faults.c has them): 0 faults means that a call needs
 * no memory at all.
 */
CALL(info, nothing, do_info, 3);
CALL(client, nothing, do_client, 3, .changes = true);
CALL(alloc_new_device, nothing, do_alloc_4, 8);
CALL(alloc_new_attach, others_only, do_alloc_4, 4);
CALL(alloc_new_attach_second_holder, others_only, do_alloc_1, 4);
CALL(alloc_new_space, three_keys, do_alloc_new_space, 3);
CALL(alloc_new_key, three_keys, do_alloc_4, 1);
CALL(alloc_reuse, three_keys, do_alloc_2, 0);
CALL(alloc_second_holder, three_keys, do_alloc_1, 2);
CALL(alloc_further, three_keys, do_alloc_3, 0);
CALL(alloc_by_a_new_task, renamed, do_alloc_2, 2);
CALL(alloc_private, private, do_alloc_4, 8);
CALL(alloc_view, three_keys, do_alloc_view, 0);
CALL(alloc_no_view, three_keys, do_alloc_no_view, 0);
CALL(alloc_missed, three_keys, do_alloc_missed, 0);
CALL(alloc_others_missed, three_keys, do_alloc_others_missed, 0);
CALL(alloc_stack, three_keys, do_alloc_stack, 8, .stack = true, .alloc = 4);
CALL(alloc_stack_new_device, nothing, do_alloc_stack, 12, .stack = true,
	.alloc = 4);
CALL(alloc_known_stack, known_stack, do_alloc_same_stack, 1, .alloc = 4);
CALL(alloc_known_stack_by_a_new_task, known_stack_renamed, do_alloc_same_stack, 4,
	.stack = true, .alloc = 4);
CALL(free_last, three_keys, do_free_3, 0);
CALL(free_by_a_new_task, renamed, do_free_3, 2);
CALL(free_twice, three_keys, do_free_2, 0);
CALL(free_anothers, three_keys, do_free_1, 0);
CALL(free_new_attach, others_only, do_free_2, 3);
CALL(free_unknown_device, nothing, do_free_2, 2);
CALL(free_view, three_keys, do_free_view, 0);
CALL(free_stack, its_own, do_free_stack, 8, .stack = true, .end = 5);
CALL(free_twice_stack, three_keys, do_double_free_stack, 5, .stack = true);
CALL(label_new_device, nothing, do_label_device, 8, .changes = true);
CALL(label_device, three_keys, do_label_device, 3, .changes = true);
CALL(label_new_space, three_keys, do_label_space, 5, .changes = true);
CALL(reset, others_only, do_reset, 4, .changes = true);
CALL(stat_all, three_keys, do_stat_all, 3);
CALL(stat_device, three_keys, do_stat_device, 3);
CALL(stat_space, three_keys, do_stat_space, 3);
CALL(stat_client, three_keys, do_stat_client, 3);
CALL(stat_next, three_keys, do_stat_next, 3);
CALL(list, three_keys, do_list, 5);
CALL(stack, a_stack, do_stack, 5);

FIXTURE_SETUP(fail)
{
	ASSERT_EQ(0, fail_open());
	ASSERT_EQ(0, fail_on_open());
	self->call.watch = bt_open();
	ASSERT_LE(0, self->call.watch);
	self->call.fd = -1;
	self->call.other = -1;
	/* So that the device goes when its last client closes */
	ASSERT_EQ(0, bt_parameter("history", 0, &self->history));
	ASSERT_EQ(0, bt_parameter("history", self->history, NULL));
}

FIXTURE_TEARDOWN(fail)
{
	bt_parameter("history", self->history, NULL);
	close(self->call.watch);
	close(fail_on_fd);
	close(fail_fd);
}

/* New clients, a new device; fills @before. */
static int begin(struct call *call, int (*prepare)(struct call *call),
		 struct snapshot *before)
{
	int rc;

	prctl(PR_SET_NAME, "fail_nth");
	call->device = bt_device();
	call->fd = bt_open();
	call->other = bt_open();
	call->id = bt_client_id(call->fd);
	call->result = 0;
	rc = call->id ? prepare(call) : -EIO;
	return rc ?: snapshot_take(call->watch, call->device, BT_SPACE, call->id, before);
}

static int look(const struct call *call, struct snapshot *snapshot)
{
	return snapshot_take(call->watch, call->device, BT_SPACE, call->id, snapshot);
}

/* The clients close and freed-buffer records go with them: then the device must be gone. */
static int end(struct call *call, unsigned long history)
{
	struct bufftrack_stat stat;
	int i, rc;

	rc = bt_parameter("history", 0, NULL);
	close(call->fd);
	close(call->other);
	for (i = 0; !rc && i < 1000; i++) {
		if (bt_stat(call->watch, BUFFTRACK_STAT_DEVICE, call->device, 0, &stat) ==
		    -ENOENT)
			return bt_parameter("history", history, NULL);
		usleep(1000 + 100 * i);
	}
	bt_parameter("history", history, NULL);
	return rc ?: -ETIMEDOUT;
}

#define EXPECT_OUTCOME(nth)						\
do {									\
	ASSERT_EQ(0, look(call, &self->after));				\
	outcome_of(call, &self->before, &self->after, &self->seen);	\
	EXPECT_STREQ("", outcome_diff(&self->want, &self->seen))	\
		TH_LOG("with fault %u", nth);				\
} while (0)

/* Whether the call's stack is kept: 1 where no allocation can tell. */
static bool has_stack(const struct snapshot *snapshot, __u64 alloc, __u64 end)
{
	const struct bufftrack_life *life;
	unsigned int i;

	for (i = 0; i < snapshot->nr; i++) {
		life = &snapshot->lives[i];
		if (alloc && life->buffer == alloc)
			return life->alloc.stack_id;
		if (end && life->buffer == end)
			return life->end.stack_id;
	}
	return !alloc && !end;
}

/*
 * Now and then a slab's new page needs one allocation more (who its objects are charged
 * to), which takes the fault; the call's last place, its answer, goes untried then.
 */
#define AGAIN	5

static bool last_again(unsigned int *nth, unsigned int *again)
{
	if (!*again || *nth < 2)
		return false;
	--*again;
	*nth -= 2;
	return true;
}

/*
 * One fault, or with @on that one and all that come after it. Then a freed-buffer record would give
 * way to a new record, and so there are none.
 */
static void sweep(struct __test_metadata *_metadata, FIXTURE_DATA(fail) *self,
		  const FIXTURE_VARIANT(fail) *variant, bool on)
{
	struct call *call = &self->call;
	const unsigned long history = on ? 0 : self->history;
	const __u64 ended = on ? 0 : variant->end;
	unsigned int nth, met = 0, lost_some = 0, again = AGAIN;
	__u64 failed, lost;
	bool injected = true, told = true;
	int rc;

	ASSERT_EQ(0, bt_parameter("history", history, NULL));
	/* Undisturbed; and once more, so that nothing comes for the first time. */
	for (nth = 0; nth < 2; nth++) {
		ASSERT_EQ(0, begin(call, variant->prepare, &self->before));
		ASSERT_EQ(0, variant->call(call));
		ASSERT_EQ(0, look(call, &self->after));
		outcome_of(call, &self->before, &self->after, &self->seen);
		if (!nth)
			self->want = self->seen;
		EXPECT_STREQ("", outcome_diff(&self->want, &self->seen));
		EXPECT_TRUE(has_stack(&self->after, variant->alloc, ended));
		ASSERT_EQ(0, end(call, history));
	}

	for (nth = 1; injected; nth++) {
		ASSERT_GT(MOST, nth);
		ASSERT_EQ(0, begin(call, variant->prepare, &self->before));
		failed = losses(call->watch, false);
		lost = losses(call->watch, true);
		fail_on(on);
		fail_arm(nth);
		rc = variant->call(call);
		injected = fail_disarm();
		fail_on(false);
		met += injected;
		failed = losses(call->watch, false) - failed;
		lost = losses(call->watch, true) - lost;
		EXPECT_GE(rc ? 1U : 0U, failed);
		EXPECT_GE(injected && variant->stack ? 1U : 0U, lost);
		lost_some += lost;
		/* That of the answer is the last one, wherever it comes. */
		EXPECT_TRUE(told || !injected || rc == -EFAULT)
			TH_LOG("fault %u: after the answer", nth);

		ASSERT_EQ(0, look(call, &self->after));
		if (!rc) {
			/* It got by without, or met none. */
			EXPECT_OUTCOME(nth);
		} else {
			EXPECT_TRUE(injected);
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
				TH_LOG("fault %u: %s", nth, strerror(-rc));
			if (rc == -EFAULT && variant->changes &&
			    *snapshot_diff(&self->before, &self->after)) {
				/*
				 * The answer itself, which it had been tried to write
				 * before: all is done, and only not told.
				 */
				told = false;
				call->result = self->want.result;
			} else {
				EXPECT_STREQ("", snapshot_diff(&self->before,
							       &self->after))
					TH_LOG("fault %u: %s", nth, strerror(-rc));
				EXPECT_EQ(0, variant->call(call))
					TH_LOG("again after fault %u", nth);
				lost = 0;
			}
			EXPECT_OUTCOME(nth);
		}
		EXPECT_EQ(!lost || (!variant->alloc && !ended),
			  has_stack(&self->after, variant->alloc, ended))
			TH_LOG("fault %u: %llu stacks lost", nth,
			       (unsigned long long)lost);
		ASSERT_EQ(0, end(call, history));
		if (!injected && variant->changes && told)
			injected = last_again(&nth, &again);
	}
	EXPECT_LE(variant->least, met)
		TH_LOG("%u faults", met);
	/* Without its freed-buffer record a key needs a new one. */
	EXPECT_TRUE(on || !variant->least == !met)
		TH_LOG("%u faults", met);
	if (variant->stack)
		EXPECT_LE(1U, lost_some);
	if (variant->changes)
		EXPECT_FALSE(told);
}

TEST_F(fail, each)
{
	sweep(_metadata, self, variant, false);
}

TEST_F(fail, each_and_all_after_it)
{
	sweep(_metadata, self, variant, true);
}

/* ---- a batch: each entry has its own errno ------------------------------- */

#define ENTRIES	40

FIXTURE(fail_batch) {
	struct call call;
	unsigned long history;
	struct snapshot before;
	struct snapshot after;
	struct outcome want;
	struct outcome seen;
	unsigned char entries[ENTRIES * 128];
};

FIXTURE_VARIANT(fail_batch) {
	unsigned int size;
	bool partly;		/* an injected fault can end it between two entries */
};

/* The kernel injects none into a copy that must not wait; faults.c has real ones. */
FIXTURE_VARIANT_ADD(fail_batch, chunks) {
	.size = sizeof(struct bufftrack_op),
};

FIXTURE_VARIANT_ADD(fail_batch, one_by_one) {
	.size = 128,
	.partly = true,
};

FIXTURE_SETUP(fail_batch)
{
	ASSERT_EQ(0, fail_open());
	self->call.watch = bt_open();
	ASSERT_LE(0, self->call.watch);
	ASSERT_EQ(0, bt_parameter("history", 0, &self->history));
	ASSERT_EQ(0, bt_parameter("history", self->history, NULL));
}

FIXTURE_TEARDOWN(fail_batch)
{
	close(self->call.watch);
	close(fail_fd);
}

#define ENTRY(self, size, i) \
	((struct bufftrack_op *)((self)->entries + (i) * (size)))

/* Entries that do not depend on each other: new keys, further references, frees. */
static void fill(FIXTURE_DATA(fail_batch) *self, unsigned int size)
{
	unsigned int i;

	memset(self->entries, 0, sizeof(self->entries));
	for (i = 0; i < ENTRIES; i++)
		*ENTRY(self, size, i) = (struct bufftrack_op) {
			.op = i % 4 == 3 ? BUFFTRACK_OP_FREE : BUFFTRACK_OP_ALLOC,
			.device = self->call.device,
			.buffer = i % 4 == 2 ? 1 : i % 4 == 3 ? 3 : 100 + i,
			.size = SIZE,
			.space = i == 20 ? BT_SPACE : 0,
		};
}

static int enough_to_free(struct call *call)
{
	int i, rc = three_keys(call);

	for (i = 0; !rc && i < ENTRIES / 4; i++)
		rc = OWN(ALLOC, 3, 0);
	return rc;
}

static int batch_from(FIXTURE_DATA(fail_batch) *self, unsigned int size,
		      unsigned int from, unsigned int nr, struct bufftrack_batch *batch)
{
	*batch = (struct bufftrack_batch) {
		.entries = (uintptr_t)ENTRY(self, size, from), .nr = nr,
		.entry_size = size, .done = ~0U, .bad = ~0U,
	};
	return bt_ioctl(self->call.fd, BUFFTRACK_IOC_BATCH, batch);
}

TEST_F(fail_batch, each)
{
	struct call *call = &self->call;
	const unsigned int size = variant->size;
	struct bufftrack_batch batch, rest;
	unsigned int nth, i, bad, met = 0, partly = 0, by_entry = 0, again = AGAIN;
	bool injected = true, told = true;
	int rc;

	for (nth = 0; injected; nth++) {
		ASSERT_GT(MOST, nth);
		ASSERT_EQ(0, begin(call, enough_to_free, &self->before));
		fill(self, size);
		if (nth)
			fail_arm(nth);
		rc = batch_from(self, size, 0, ENTRIES, &batch);
		if (nth) {
			injected = fail_disarm();
			met += injected;
		}
		EXPECT_TRUE(told || !injected || rc == -EFAULT);

		/* What an entry says of itself, as far as they were carried out */
		if (batch.done != ~0U) {
			bad = 0;
			for (i = 0; i < batch.done; i++) {
				if (!ENTRY(self, size, i)->error)
					continue;
				bad++;
				EXPECT_EQ(-ENOMEM, ENTRY(self, size, i)->error);
				EXPECT_EQ(0, batch_from(self, size, i, 1, &rest));
				EXPECT_EQ(0, rest.bad);
			}
			EXPECT_EQ(bad, batch.bad);
			EXPECT_GE(injected && nth ? 1U : 0U, bad);
			by_entry += bad;
		}
		if (!rc) {
			EXPECT_EQ(ENTRIES, batch.done);
		} else {
			EXPECT_TRUE(injected);
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT);
			ASSERT_EQ(0, look(call, &self->after));
			if (batch.done == ~0U && *snapshot_diff(&self->before, &self->after)) {
				/* The answer of the whole */
				EXPECT_EQ(-EFAULT, rc);
				told = false;
			} else {
				if (batch.done == ~0U)
					batch.done = 0;
				if (!batch.done)
					EXPECT_STREQ("", snapshot_diff(&self->before,
								       &self->after));
				partly += !!batch.done;
				/* The last entry's answer can be what is missing. */
				if (batch.done < ENTRIES) {
					EXPECT_EQ(0, batch_from(self, size, batch.done,
								ENTRIES - batch.done,
								&rest));
					EXPECT_EQ(0, rest.bad);
				}
			}
		}
		ASSERT_EQ(0, look(call, &self->after));
		outcome_of(call, &self->before, &self->after, &self->seen);
		if (!nth)
			self->want = self->seen;
		EXPECT_STREQ("", outcome_diff(&self->want, &self->seen))
			TH_LOG("with fault %u: %d, %u done", nth, rc, batch.done);
		ASSERT_EQ(0, end(call, self->history));
		if (!injected && told)
			injected = last_again(&nth, &again);
	}
	/* All kinds of failures were met. */
	EXPECT_LE(5, met);
	EXPECT_EQ(variant->partly, !!partly);
	EXPECT_LE(1, by_entry);
	EXPECT_FALSE(told);
}

/* ---- open, close, exit --------------------------------------------------- */

FIXTURE(fail_file) {
	int watch;
	struct snapshot before;
	struct snapshot after;
	struct bufftrack_op op;
	struct bufftrack_stat stat;
	struct bufftrack_life life;
};

FIXTURE_SETUP(fail_file)
{
	ASSERT_EQ(0, fail_open());
	ASSERT_EQ(0, fail_on_open());
	self->watch = bt_open();
	ASSERT_LE(0, self->watch);
}

FIXTURE_TEARDOWN(fail_file)
{
	close(self->watch);
	close(fail_on_fd);
	close(fail_fd);
}

/* Each time by another user, whom the module has not seen yet: with all our rights. */
static void open_sweep(struct __test_metadata *_metadata, FIXTURE_DATA(fail_file) *self,
		       bool on)
{
	const int secure = SECBIT_NO_SETUID_FIXUP;
	unsigned int nth, met = 0;
	bool injected = true, last;
	int fd, rc;

	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, secure));
	for (nth = 1; injected; nth++) {
		ASSERT_GT(MOST, nth);
		ASSERT_EQ(0, seteuid(BT_UID + nth));
		/* Of 64 clients in a row one needs a new node in the list of them. */
		while (on) {
			fd = bt_open();
			ASSERT_LE(0, fd);
			last = bt_client_id(fd) % 64 == 63;
			close(fd);
			if (last)
				break;
		}
		ASSERT_EQ(0, snapshot_take(self->watch, 0, 0, 0, &self->before));
		fail_on(on);
		fail_arm(nth);
		fd = bt_open();
		rc = fd < 0 ? -errno : 0;
		injected = fail_disarm();
		fail_on(false);
		met += injected;
		if (rc) {
			EXPECT_TRUE(injected);
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
				TH_LOG("fault %u: %s", nth, strerror(-rc));
			ASSERT_EQ(0, snapshot_take(self->watch, 0, 0, 0, &self->after));
			EXPECT_STREQ("", snapshot_diff(&self->before, &self->after))
				TH_LOG("fault %u: %s", nth, strerror(-rc));
			fd = bt_open();
		}
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, bt_device(), 1,
				     &self->op));
		EXPECT_EQ(1, self->op.refs);
		ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_ALL, 0, 0, &self->stat));
		EXPECT_EQ(self->before.all.stat.clients + 1, self->stat.clients);
		close(fd);
		ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_ALL, 0, 0, &self->stat));
		EXPECT_EQ(self->before.all.stat.clients, self->stat.clients);
	}
	ASSERT_EQ(0, seteuid(0));
	/* Client, opener, user and its place in the list of clients, by the least */
	EXPECT_LE(5, met)
		TH_LOG("%u faults", met);
}

TEST_F(fail_file, open)
{
	open_sweep(_metadata, self, false);
}

TEST_F(fail_file, open_and_all_after_it)
{
	open_sweep(_metadata, self, true);
}

/* Who asks for all has a user, too, made where it is not there yet. */
TEST_F(fail_file, stat_all_by_a_new_user)
{
	unsigned int nth, met = 0;
	bool injected = true;
	int rc;

	for (nth = 1; injected; nth++) {
		ASSERT_GT(MOST, nth);
		ASSERT_EQ(0, snapshot_take(self->watch, 0, 0, 0, &self->before));
		ASSERT_EQ(0, seteuid(BT_UID + 500 + nth));
		fail_arm(nth);
		rc = bt_stat(self->watch, BUFFTRACK_STAT_ALL, 0, 0, &self->stat);
		injected = fail_disarm();
		ASSERT_EQ(0, seteuid(0));
		met += injected;
		if (rc) {
			EXPECT_TRUE(injected && (rc == -ENOMEM || rc == -EFAULT))
				TH_LOG("fault %u: %s", nth, strerror(-rc));
		} else {
			EXPECT_EQ(0, self->stat.allocs);
		}
		ASSERT_EQ(0, snapshot_take(self->watch, 0, 0, 0, &self->after));
		EXPECT_STREQ("", snapshot_diff(&self->before, &self->after))
			TH_LOG("fault %u: %s", nth, strerror(-rc));
	}
	/* The struct in, tried, and out, and the user */
	EXPECT_LE(4, met);
}

/* A client owns three allocations, one twice and one with others: 3 leaks. */
static __u64 with_holds(int fd, int watch, __u64 device)
{
	struct bufftrack_op op;
	int rc;

	rc = bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 1, &op) ?:
	     bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 2, &op) ?:
	     bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 2, &op) ?:
	     bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 3, &op) ?:
	     bt_call(watch, BUFFTRACK_IOC_ALLOC, SIZE, device, 3, &op);
	return rc ? 0 : bt_client_id(fd);
}

#define EXPECT_LEFT(id, device) do {					\
	EXPECT_EQ(-ENOENT, bt_stat(self->watch, BUFFTRACK_STAT_CLIENT, id, 0, \
				   &self->stat));			\
	ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_DEVICE, device, 0, \
			     &self->stat));				\
	EXPECT_EQ(1, self->stat.live);					\
	EXPECT_EQ(2, self->stat.history);				\
	EXPECT_EQ(3, self->stat.verdicts[BUFFTRACK_LEAK]);		\
	ASSERT_EQ(0, bt_life(self->watch, device, 0, 2, &self->life));	\
	EXPECT_EQ(BUFFTRACK_STATE_EXITED, self->life.state);		\
	ASSERT_EQ(0, bt_call(self->watch, BUFFTRACK_IOC_FREE, 0, device, 3, \
			     &self->op));				\
	EXPECT_EQ(0, self->op.refs);					\
} while (0)

/* There is no way for a close to fail: nothing in it may need memory. */
TEST_F(fail_file, close)
{
	unsigned int nth;
	bool injected = true;
	__u64 device, id;
	int fd;

	for (nth = 1; injected; nth++) {
		ASSERT_GT(MOST, nth);
		device = bt_device();
		fd = bt_open();
		id = with_holds(fd, self->watch, device);
		ASSERT_NE(0, id);
		fail_arm(nth);
		EXPECT_EQ(0, close(fd));
		injected = fail_disarm();
		EXPECT_LEFT(id, device);
	}
}

/*
 * A process that ends has faults of its own on the way: a fixed number of tries, and
 * one, the 0th, in which nothing has memory any more.
 */
TEST_F(fail_file, exit)
{
	struct bt_pipe pipe;
	unsigned int nth;
	__u64 device, id;
	int fd;

	ASSERT_EQ(0, bt_pipe(&pipe));
	for (nth = 0; nth <= 12; nth++) {
		device = bt_device();
		IN_A_CHILD {
			if (fail_open() || fail_on_open())
				_exit(1);
			fd = bt_open();
			bt_send(&pipe, with_holds(fd, self->watch, device));
			if (nth)
				fail_arm(nth);
			else
				fail_on(true);
			_exit(0);
		}
		id = bt_receive(&pipe);
		ASSERT_NE(0, id);
		EXPECT_LEFT(id, device);
	}
}

/* ---- a table that cannot grow -------------------------------------------- */

#define NEW_KEYS	100

/*
 * A table grows by a worker, and at once where that has not come by the time it is full.
 * It cannot come here: it is this CPU's, which a FIFO task does not give up before it
 * sleeps, or has had it for a second. So one of the faults is that of the larger table.
 */
static int keep_the_cpu(bool keep)
{
	const struct sched_param priority = { .sched_priority = keep };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) ?:
	       sched_setscheduler(0, keep ? SCHED_FIFO : SCHED_OTHER, &priority);
}

/* The entry waits for it, and is carried out. */
TEST_F(fail_file, no_larger_table_of_records)
{
	static struct bufftrack_op ops[NEW_KEYS];
	struct bufftrack_batch batch;
	unsigned int nth, i;
	unsigned long history;
	bool injected = true;
	__u64 device;
	int fd, rc;

	/* So that the devices go */
	ASSERT_EQ(0, bt_parameter("history", 0, &history));
	ASSERT_EQ(0, keep_the_cpu(true));
	for (nth = 1; injected; nth++) {
		ASSERT_GT(MOST, nth);
		device = bt_device();
		fd = bt_open();
		ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, NEW_KEYS,
				     &self->op));
		for (i = 0; i < NEW_KEYS; i++)
			ops[i] = (struct bufftrack_op) {
				.op = BUFFTRACK_OP_ALLOC, .device = device, .buffer = i,
				.size = SIZE,
			};
		fail_arm(nth);
		rc = bt_batch(fd, ops, NEW_KEYS, &batch);
		injected = fail_disarm();
		ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_DEVICE, device, 0, &self->stat));
		if (!rc) {
			EXPECT_EQ(NEW_KEYS, batch.done);
			/* Nothing of it cannot be tried once more. */
			EXPECT_EQ(0, batch.bad)
				TH_LOG("fault %u", nth);
			EXPECT_EQ(1 + NEW_KEYS, self->stat.live);
		} else {
			EXPECT_TRUE(injected);
			EXPECT_EQ(-EFAULT, rc);
			EXPECT_TRUE(self->stat.live == 1 || self->stat.live == 1 + NEW_KEYS)
				TH_LOG("fault %u: %llu live", nth,
				       (unsigned long long)self->stat.live);
		}
		close(fd);
	}
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
	/* The records, be it several at a time */
	EXPECT_LE(10, nth);
}

static unsigned int count_devices(int fd)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_DEVICE, .flags = BUFFTRACK_STAT_NEXT,
	};
	unsigned int nr = 0;

	while (!bt_ioctl(fd, BUFFTRACK_IOC_STAT, &stat))
		nr++;
	return nr;
}

/*
 * The device is not made, and nothing is in the way of the next ALLOC of it. The table's
 * size is a power of 2, of which only so much is known: that it has room for these.
 */
TEST_F(fail_file, no_larger_table_of_devices)
{
	unsigned int nr, size, nth, failed;
	struct bufftrack_stat before;
	__u64 device, client;
	int fd, rc;

	fd = bt_open();
	ASSERT_LE(0, fd);
	client = bt_client_id(fd);
	nr = count_devices(self->watch);
	for (size = 64; size < nr; size *= 2)
		;
	ASSERT_GE(256, size);
	for (; size <= 256; size *= 2) {
		ASSERT_EQ(0, keep_the_cpu(false));
		/* It is full where there is one more than it has buckets. */
		for (; nr <= size; nr++) {
			/* The worker is called beyond that. */
			if (nr >= size / 4 * 3)
				ASSERT_EQ(0, keep_the_cpu(true));
			ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, bt_device(), 1,
					     &self->op));
		}
		failed = 0;
		device = bt_device();
		ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_CLIENT, client, 0, &before));
		for (nth = 1;; nth++, failed++) {
			ASSERT_GT(MOST, nth);
			fail_on(true);
			fail_arm(nth);
			rc = bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 1, &self->op);
			fail_disarm();
			fail_on(false);
			if (!rc)
				break;
			EXPECT_EQ(-ENOMEM, rc);
			ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_CLIENT, client, 0,
					     &self->stat));
			EXPECT_EQ(before.live, self->stat.live);
			EXPECT_EQ(before.allocs, self->stat.allocs);
		}
		EXPECT_EQ(1, self->op.refs);
		nr++;
		ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_DEVICE, device, 0, &self->stat));
		EXPECT_EQ(1, self->stat.live);
		EXPECT_EQ(nr, count_devices(self->watch));
		/* Device, share, attach, record, by the least */
		EXPECT_LE(4, failed);
	}
	close(fd);
}

#define IN_A_ROW	80	/* more than a table has room for at first */

/* The stack is lost, and its call goes on: on a freed-buffer record it needs no memory. */
TEST_F(fail_file, no_larger_table_of_stacks)
{
	static __u64 frame;
	const __u64 device = bt_device();
	unsigned int i, nth, lost = 0;
	__u64 before;
	int fd;

	fd = bt_open();
	ASSERT_LE(0, fd);
	for (i = 0; i < IN_A_ROW; i++) {
		ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, i, &self->op));
		ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, i, &self->op));
	}
	ASSERT_EQ(0, keep_the_cpu(true));
	before = losses(self->watch, true);
	for (i = 0; i < IN_A_ROW; i++) {
		for (nth = 1;; nth++) {
			ASSERT_GT(MOST, nth);
			frame = (uintptr_t)losses + i;
			self->op = (struct bufftrack_op) {
				.device = device, .buffer = i, .size = SIZE,
				.stack = (uintptr_t)&frame, .stack_depth = 1,
			};
			fail_on(true);
			fail_arm(nth);
			/* The first fault is that of the copy of the stack. */
			if (bt_alloc(fd, &self->op))
				self->op.refs = 0;
			fail_disarm();
			fail_on(false);
			if (!self->op.refs)
				continue;
			EXPECT_EQ(1, self->op.refs);
			ASSERT_EQ(0, bt_life(self->watch, device, 0, i, &self->life));
			if (self->life.alloc.stack_id)
				break;
			lost++;
			ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, i, &self->op));
		}
	}
	EXPECT_EQ(before + lost, losses(self->watch, true));
	EXPECT_LE(3 * IN_A_ROW, lost);
	close(fd);
}

/* ---- freed-buffer records give way ---------------------------------------- */

/* So often an allocation of a record fails; then there is memory again. */
TEST_F(fail_file, a_record_in_place_of_a_tombstone)
{
	struct bufftrack_op op;
	unsigned int times, made = 0;
	char text[16];
	__u64 device;
	int fd, rc;

	fd = bt_open();
	ASSERT_LE(0, fd);
	for (times = 1; times < 8; times++) {
		device = bt_device();
		ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 1, &op));
		ASSERT_EQ(0, bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, 1, &op));
		snprintf(text, sizeof(text), "%u", times);
		ASSERT_EQ(0, bt_write(DEBUGFS "failslab/times", text));
		fail_on(true);
		fail_arm(1);
		rc = bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 2, &self->op);
		fail_disarm();
		fail_on(false);
		EXPECT_TRUE(!rc || rc == -ENOMEM);
		ASSERT_EQ(0, bt_stat(self->watch, BUFFTRACK_STAT_DEVICE, device, 0, &self->stat));
		EXPECT_EQ(!rc, self->stat.live);
		EXPECT_EQ(1, self->stat.evicted + self->stat.history);
		made += !rc && self->stat.evicted;
		/* What was known of the other key is gone, and that is said. */
		EXPECT_EQ(self->stat.evicted ? -BUFFTRACK_UNKNOWN_FREE : -BUFFTRACK_DOUBLE_FREE,
			  bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, 1, &op));
		EXPECT_EQ(!!self->stat.evicted, !!(op.info & BUFFTRACK_INFO_HISTORY_LOST));
	}
	ASSERT_EQ(0, bt_write(DEBUGFS "failslab/times", "-1"));
	EXPECT_LE(1, made);
	close(fd);
}

int main(int argc, char **argv)
{
	fail_or_skip();
	return test_harness_run(argc, argv);
}
