// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the rules of verdicts and of walk.c, where they cannot be reached or not be seen
 * from user space: counts at their ends, blocks of generations, the order of holds.
 */
#include <linux/bitrev.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/rhashtable.h>
#include <linux/workqueue.h>

#include "../close.h"
#include "../history.h"
#include "../param.h"
#include "../walk.h"
#include "test.h"

/* ---- counts --------------------------------------------------------------- */

static void refs_never_wrap(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bufftrack_stat before, after;
	struct bufftrack_op op;
	struct bt_record *rec;

	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 1);
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	before = bufftrack_test_stat(test, t->other);

	rec->first.refs = U32_MAX;
	op = ALLOC(t->client, 1);
	KUNIT_EXPECT_EQ(test, op.error, -EOVERFLOW);
	/* Of one who does not hold it: no hold is left, and no place is taken. */
	op = ALLOC(t->other, 1);
	KUNIT_EXPECT_EQ(test, op.error, -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, rec->first.refs, U32_MAX);
	KUNIT_EXPECT_EQ(test, rec->first.count, 1U);
	KUNIT_EXPECT_NULL(test, rec->more);
	after = bufftrack_test_stat(test, t->other);
	KUNIT_EXPECT_MEMEQ(test, &before, &after, sizeof(before));

	/* One less, and there is room for one. */
	rec->first.refs = U32_MAX - 1;
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, U32_MAX);
	rec->first.refs = 2;
	EXPECT_ANSWER(FREE(t->client, 1), OK, 1);
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
	EXPECT_ANSWER(FREE(t->client, 1), DOUBLE_FREE, 0);
}

static void views_never_wrap(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bufftrack_op op;
	struct bt_record *rec;

	ALLOC(t->client, 1);
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	/* The free of a view that is not there does not take the count below 0. */
	EXPECT_ANSWER(FREE(t->other, 1, .flags = BUFFTRACK_F_VIEW), OK, 1);
	KUNIT_EXPECT_EQ(test, (u32)rec->views, 0U);
	rec->views = BT_MAX_VIEWS;
	op = ALLOC(t->other, 1, .flags = BUFFTRACK_F_VIEW);
	KUNIT_EXPECT_EQ(test, op.error, -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, (u32)rec->views, BT_MAX_VIEWS);
	EXPECT_ANSWER(FREE(t->other, 1, .flags = BUFFTRACK_F_VIEW), OK, 1);
	KUNIT_EXPECT_EQ(test, (u32)rec->views, BT_MAX_VIEWS - 1);
}

/*
 * A caller reads its clock before it takes the lock: whoever was later in that, and first with
 * the lock, does not make an end come before its beginning.
 */
static void times_are_in_order(struct kunit *test)
{
	struct bt_test *t = test->priv;
	u64 later = ktime_get_ns() + 3600 * NSEC_PER_SEC;
	struct bt_record *rec;

	ALLOC(t->client, 1);
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	rec->alloc[rec->slot].time = later;
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
	KUNIT_EXPECT_EQ(test, rec->end.time, later);
	rec->end.time = later + 1;
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 1);
	KUNIT_EXPECT_EQ(test, rec->prev_end.time, later + 1);
	KUNIT_EXPECT_EQ(test, bt_alloc_of(rec)->time, later + 1);
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 2);
	EXPECT_ANSWER(FREE(t->client, 1, .flags = BUFFTRACK_F_LAST), HELD_FREE, 1);
	KUNIT_EXPECT_EQ(test, bt_end_of(rec)->time, later + 1);
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
}

/* The counts that only tell stop at their highest. */
static void tallies_saturate(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_record *rec;

	ALLOC(t->client, 1);
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	rec->blocks = BT_MAX_BLOCKS;
	rec->frees = U32_MAX;
	rec->refused = BT_MAX_REFUSED;
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
	EXPECT_ANSWER(FREE(t->client, 1), DOUBLE_FREE, 0);
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 1);
	KUNIT_EXPECT_EQ(test, bufftrack_lives(rec), U32_MAX);
	KUNIT_EXPECT_EQ(test, rec->frees, U32_MAX);
	KUNIT_EXPECT_EQ(test, (u32)rec->refused, BT_MAX_REFUSED);
}

static void sizes_may_wrap(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);

	ALLOC(t->client, 1, .size = U64_MAX);
	ALLOC(t->client, 2, .size = U64_MAX - 5);
	ALLOC(t->client, 3, .size = 1ULL << 63);
	FREE(t->client, 1);
	FREE(t->client, 2);
	FREE(t->client, 3);
	KUNIT_EXPECT_EQ(test, atomic64_read(&share->stats->bytes), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->client->stats.bytes), 0);
}

static void a_full_client(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bufftrack_op op;

	bufftrack_test_set(test, &bufftrack_max_buffers, 2);
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 1);
	EXPECT_ANSWER(ALLOC(t->client, 2), OK, 1);
	op = ALLOC(t->client, 3);
	KUNIT_EXPECT_EQ(test, op.error, -ENOSPC);
	KUNIT_EXPECT_NULL(test, bufftrack_test_record(test, t->client, 3));
	/* What it holds it may hold more of, and others have a limit of their own. */
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 2);
	EXPECT_ANSWER(ALLOC(t->other, 1), OK, 3);
	EXPECT_ANSWER(ALLOC(t->other, 3), OK, 1);
	op = ALLOC(t->client, 3);
	KUNIT_EXPECT_EQ(test, op.error, -ENOSPC);
	op = ALLOC(t->client, 3, .flags = BUFFTRACK_F_EXCLUSIVE);
	KUNIT_EXPECT_EQ(test, op.error, -ENOSPC);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 2);
	EXPECT_ANSWER(FREE(t->client, 2), OK, 0);
	EXPECT_ANSWER(ALLOC(t->client, 3), OK, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 2);
}

/* ---- generations ---------------------------------------------------------- */

static void generations_of_a_key(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_record *rec;
	u64 first, other;
	int i;

	first = ALLOC(t->client, 1).generation;
	other = ALLOC(t->client, 2).generation;
	KUNIT_EXPECT_EQ(test, first & (BT_GEN_BLOCK - 1), 1ULL);
	KUNIT_EXPECT_EQ(test, other & (BT_GEN_BLOCK - 1), 1ULL);
	KUNIT_EXPECT_GT(test, other, first);
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	KUNIT_EXPECT_EQ(test, bufftrack_prev_generation(rec), 0ULL);
	/* A further reference is the same life. */
	KUNIT_EXPECT_EQ(test, ALLOC(t->client, 1).generation, first);
	FREE(t->client, 1);
	FREE(t->client, 1);
	for (i = 1; i < 5; i++) {
		KUNIT_EXPECT_EQ(test, ALLOC(t->client, 1).generation, first + i);
		KUNIT_EXPECT_EQ(test, bufftrack_prev_generation(rec), first + i - 1);
		FREE(t->client, 1);
	}
	KUNIT_EXPECT_EQ(test, (u32)rec->blocks, 1U);
}

/* All that a block has, and the step into the next one. */
static void a_block_is_used_up(struct kunit *test)
{
	struct bt_test *t = test->priv;
	u64 first, last, next = 0;
	struct bt_record *rec;
	unsigned int i;

	first = ALLOC(t->client, 1).generation;
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	/* Another key takes the block that would be next. */
	last = ALLOC(t->client, 2).generation;
	for (i = 1; i < BT_GEN_BLOCK - 1; i++) {
		FREE(t->client, 1);
		next = ALLOC(t->client, 1).generation;
	}
	KUNIT_EXPECT_EQ(test, next, first + BT_GEN_BLOCK - 2);
	KUNIT_EXPECT_EQ(test, (u32)rec->blocks, 1U);
	KUNIT_EXPECT_LT(test, next, last);

	FREE(t->client, 1);
	next = ALLOC(t->client, 1).generation;
	KUNIT_EXPECT_GT(test, next, last);
	KUNIT_EXPECT_EQ(test, next & (BT_GEN_BLOCK - 1), 1ULL);
	KUNIT_EXPECT_EQ(test, (u32)rec->blocks, 2U);
	KUNIT_EXPECT_EQ(test, bufftrack_lives(rec), (u32)BT_GEN_BLOCK);
	/* The life before is known across the step. */
	KUNIT_EXPECT_EQ(test, bufftrack_prev_generation(rec), first + BT_GEN_BLOCK - 2);

	/* A token of the old block is an older life's; so may one between be. */
	EXPECT_ANSWER(FREE(t->client, 1, .token = first + BT_GEN_BLOCK - 2), STALE_FREE, 1);
	EXPECT_ANSWER(FREE(t->client, 1, .token = first), STALE_FREE, 1);
	KUNIT_EXPECT_EQ(test, FREE(t->client, 1, .token = first).info,
			(u32)BUFFTRACK_INFO_PROBABLE);
	EXPECT_ANSWER(FREE(t->client, 1, .token = next), OK, 0);
	EXPECT_ANSWER(FREE(t->client, 1, .token = first), DOUBLE_FREE, 0);
}

/* Further back than prev_delta can say. */
static void a_life_too_far_back(struct kunit *test)
{
	struct bt_record *rec = kunit_kzalloc(test, sizeof(*rec), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rec);
	rec->generation = 5ULL << 40;
	rec->prev_delta = U32_MAX;
	KUNIT_EXPECT_EQ(test, bufftrack_prev_generation(rec), (5ULL << 40) - U32_MAX);
	rec->prev_delta = 0;
	KUNIT_EXPECT_EQ(test, bufftrack_prev_generation(rec), 0ULL);
}

#define CERTAIN 0
#define NO_TOKEN S64_MIN

/* A key with four lives, the last of them live or not; the token counts from its block's 0. */
static const struct token_case {
	const char *name;
	bool live;
	s64 token;
	u32 verdict;
	u32 info;
} token_cases[] = {
	{ "none, live", true, NO_TOKEN, BUFFTRACK_OK, CERTAIN },
	{ "none, dead", false, NO_TOKEN, BUFFTRACK_DOUBLE_FREE, BUFFTRACK_INFO_PROBABLE },
	{ "the last, live", true, 4, BUFFTRACK_OK, CERTAIN },
	{ "the last, dead", false, 4, BUFFTRACK_DOUBLE_FREE, CERTAIN },
	{ "the one before, live", true, 3, BUFFTRACK_STALE_FREE, CERTAIN },
	{ "the one before, dead", false, 3, BUFFTRACK_DOUBLE_FREE, CERTAIN },
	{ "older, live", true, 2, BUFFTRACK_STALE_FREE, CERTAIN },
	{ "older, dead", false, 2, BUFFTRACK_DOUBLE_FREE, BUFFTRACK_INFO_PROBABLE },
	{ "the oldest, live", true, 1, BUFFTRACK_STALE_FREE, CERTAIN },
	{ "a block's first, live", true, 0, BUFFTRACK_UNKNOWN_FREE, CERTAIN },
	{ "a block's first, dead", false, 0, BUFFTRACK_UNKNOWN_FREE, CERTAIN },
	{ "to come, live", true, 5, BUFFTRACK_UNKNOWN_FREE, CERTAIN },
	{ "to come, dead", false, 5, BUFFTRACK_UNKNOWN_FREE, CERTAIN },
	{ "of another block", true, BT_GEN_BLOCK + 1, BUFFTRACK_UNKNOWN_FREE, CERTAIN },
	{ "of an earlier block", true, 1 - (s64)BT_GEN_BLOCK, BUFFTRACK_UNKNOWN_FREE, CERTAIN },
};

KUNIT_ARRAY_PARAM_DESC(token, token_cases, name);

static void tokens(struct kunit *test)
{
	const struct token_case *want = test->param_value;
	struct bt_test *t = test->priv;
	struct bufftrack_op op;
	struct bt_record *rec;
	u64 base;
	int i;

	/* Not of the machine's first block: an earlier one is to be there. */
	ALLOC(t->client, 99);
	for (i = 0; i < 4; i++) {
		FREE(t->client, 1);
		op = ALLOC(t->client, 1);
	}
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	base = op.generation & ~(BT_GEN_BLOCK - 1);
	KUNIT_ASSERT_EQ(test, op.generation, base + 4);
	if (!want->live)
		FREE(t->client, 1);
	op = FREE(t->client, 1, .token = want->token == NO_TOKEN ? 0 : base + want->token);
	KUNIT_EXPECT_EQ(test, op.error, 0);
	KUNIT_EXPECT_EQ(test, op.verdict, want->verdict);
	KUNIT_EXPECT_EQ(test, op.info, want->info);
	KUNIT_EXPECT_EQ(test, op.generation, base + 4);
	/* A refused one changes nothing but its own count. */
	KUNIT_EXPECT_EQ(test, (u32)rec->state,
			want->live && want->verdict != BUFFTRACK_OK ? BUFFTRACK_STATE_LIVE
								    : BUFFTRACK_STATE_FREED);
	/* The first FREE of all, of a key not known yet, had no record to count in. */
	KUNIT_EXPECT_EQ(test, (u32)rec->refused, (u32)(want->verdict != BUFFTRACK_OK));
}

/* ---- holds ---------------------------------------------------------------- */

static void holds_keep_their_order(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_client *third = bufftrack_test_open();
	struct bt_record *rec;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, third);
	ALLOC(t->client, 1);
	ALLOC(t->other, 1);
	EXPECT_ANSWER(ALLOC(third, 1), OK, 3);
	rec = bufftrack_test_record(test, t->client, 1);
	if (!rec || !rec->more || !rec->more->next) {
		KUNIT_FAIL(test, "not three holds");
		goto out;
	}
	KUNIT_EXPECT_PTR_EQ(test, rec->first.attach->client, t->client);
	KUNIT_EXPECT_PTR_EQ(test, rec->more->hold.attach->client, t->other);
	KUNIT_EXPECT_PTR_EQ(test, rec->more->next->hold.attach->client, third);

	/* A hold of count 0 stays, to tell a double free from a foreign one. */
	EXPECT_ANSWER(FREE(t->client, 1), OK, 2);
	KUNIT_EXPECT_PTR_EQ(test, rec->first.attach->client, t->client);
	EXPECT_ANSWER(FREE(t->client, 1), DOUBLE_FREE, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 0);

	/* The first one's client closes: the next moves up. */
	bufftrack_test_close(&t->client);
	KUNIT_EXPECT_PTR_EQ(test, rec->first.attach->client, t->other);
	KUNIT_EXPECT_EQ(test, rec->first.count, 1U);
	KUNIT_EXPECT_PTR_EQ(test, rec->more->hold.attach->client, third);
	KUNIT_EXPECT_NULL(test, rec->more->next);
	KUNIT_EXPECT_EQ(test, rec->first.refs, 2U);
	/* It is the moved hold that its own client's list has. */
	bufftrack_test_close(&t->other);
	KUNIT_EXPECT_PTR_EQ(test, rec->first.attach->client, third);
	KUNIT_EXPECT_NULL(test, rec->more);
	KUNIT_EXPECT_EQ(test, (u32)rec->state, BUFFTRACK_STATE_LIVE);
	EXPECT_ANSWER(FREE(third, 1), OK, 0);
	KUNIT_EXPECT_EQ(test, (u32)rec->state, BUFFTRACK_STATE_FREED);
out:
	bufftrack_test_close(&third);
}

static void a_shared_free_drops_the_oldest(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_client *third = bufftrack_test_open();
	struct bt_record *rec;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, third);
	ALLOC(t->client, 1, .flags = BUFFTRACK_F_SHARED);
	ALLOC(t->other, 1);
	ALLOC(t->other, 1);
	rec = bufftrack_test_record(test, t->client, 1);
	if (!rec || !rec->more) {
		KUNIT_FAIL(test, "not two holds");
		goto out;
	}
	EXPECT_ANSWER(FREE(third, 1), OK, 2);
	KUNIT_EXPECT_EQ(test, rec->first.count, 0U);
	EXPECT_ANSWER(FREE(third, 1), OK, 1);
	KUNIT_EXPECT_EQ(test, rec->more->hold.count, 1U);
	/* One's own comes first; where that is gone it is one free too many. */
	ALLOC(t->client, 1);
	EXPECT_ANSWER(FREE(t->other, 1), OK, 1);
	KUNIT_EXPECT_EQ(test, rec->first.count, 1U);
	KUNIT_EXPECT_EQ(test, rec->more->hold.count, 0U);
	EXPECT_ANSWER(FREE(t->other, 1), DOUBLE_FREE, 1);
	EXPECT_ANSWER(FREE(third, 1), OK, 0);
	EXPECT_ANSWER(FREE(third, 1), DOUBLE_FREE, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->other->held), 0);
out:
	bufftrack_test_close(&third);
}

static void a_close_drops_all_holds(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_attach *attach;
	struct bt_record *rec;
	int i, held = 0;

	/* More than a chunk of a shard's, one freed, one held twice, one not alone */
	for (i = 0; i < 1200; i++)
		ALLOC(t->client, i);
	FREE(t->client, 0);
	ALLOC(t->client, 1);
	ALLOC(t->other, 2);
	attach = bufftrack_attach_find(t->client, t->device);
	KUNIT_ASSERT_NOT_NULL(test, attach);
	bufftrack_attach_close(attach);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->client->leaks), 1199LL);
	bufftrack_attach_close(attach);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->client->leaks), 1199LL);
	for (i = 0; i < BT_SHARDS; i++)
		held += !hlist_empty(&attach->holds[i]);
	KUNIT_EXPECT_EQ(test, held, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->client->stats.bytes), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->client->stats.verdicts[BUFFTRACK_LEAK]), 1199);

	rec = bufftrack_test_record(test, t->other, 2);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	KUNIT_EXPECT_EQ(test, (u32)rec->state, BUFFTRACK_STATE_LIVE);
	KUNIT_EXPECT_EQ(test, rec->first.refs, 1U);
	EXPECT_ANSWER(FREE(t->other, 0), DOUBLE_FREE, 0);
	EXPECT_ANSWER(FREE(t->other, 1), FREE_AFTER_EXIT, 0);
	EXPECT_ANSWER(FREE(t->other, 2), OK, 0);
}

static void a_missed_free(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bufftrack_op op;
	struct bt_record *rec;
	u64 token;

	token = ALLOC(t->client, 1).generation;
	ALLOC(t->other, 1);
	op = ALLOC(t->client, 1, .size = 128, .flags = BUFFTRACK_F_EXCLUSIVE);
	EXPECT_ANSWER(op, MISSED_FREE, 1);
	KUNIT_EXPECT_EQ(test, op.generation, token + 1);
	rec = bufftrack_test_record(test, t->client, 1);
	KUNIT_ASSERT_NOT_NULL(test, rec);
	KUNIT_EXPECT_EQ(test, (u32)rec->prev_state, BUFFTRACK_STATE_MISSED);
	KUNIT_EXPECT_EQ(test, rec->size, 128ULL);
	KUNIT_EXPECT_NULL(test, rec->more);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->other->held), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->other->stats.bytes), 0);
	/* Its own free, when it does come, is a stale one, and stays that. */
	EXPECT_ANSWER(FREE(t->client, 1, .token = token), STALE_FREE, 1);
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
	EXPECT_ANSWER(FREE(t->client, 1, .token = token), STALE_FREE, 0);
}

/* The record belongs to the user whose ALLOC began its last life, and pins that share. */
static void a_key_changes_hands(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_client *guest = bufftrack_test_open_as(test, 4711);
	struct bt_share *ours = bufftrack_test_share(test, t->client);
	struct bt_share *theirs = bufftrack_test_share(test, guest);
	struct bt_record *rec;

	ALLOC(t->client, 1);
	rec = bufftrack_test_record(test, t->client, 1);
	if (!rec || ours == theirs) {
		KUNIT_FAIL(test, "not two shares and a record");
		goto out;
	}
	KUNIT_EXPECT_PTR_EQ(test, rec->space->share, ours);
	FREE(t->client, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&ours->tombs_nr), 1);
	ALLOC(guest, 1, .size = 5);
	KUNIT_EXPECT_PTR_EQ(test, rec, bufftrack_test_record(test, guest, 1));
	KUNIT_EXPECT_PTR_EQ(test, rec->space->share, theirs);
	KUNIT_EXPECT_EQ(test, atomic_read(&ours->tombs_nr), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&ours->stats->bytes), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&theirs->stats->bytes), 5);
	FREE(guest, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&ours->tombs_nr), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&theirs->tombs_nr), 1);
out:
	bufftrack_test_close(&guest);
}

/* A PRIVATE client's keys are in a table of its own, its counts in its user's share. */
static void a_private_table(struct kunit *test)
{
	struct bufftrack_client set = {
		.mask = BUFFTRACK_CLIENT_PRIVATE,
		.flags = BUFFTRACK_CLIENT_PRIVATE,
	};
	struct bt_test *t = test->priv;
	struct bt_share *share, *parent;

	KUNIT_ASSERT_EQ(test, bufftrack_client_set(t->other, &set), 0);
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 1);
	EXPECT_ANSWER(ALLOC(t->other, 1), OK, 1);
	parent = bufftrack_test_share(test, t->client);
	share = bufftrack_test_share(test, t->other);
	KUNIT_EXPECT_PTR_EQ(test, share->parent, parent);
	KUNIT_EXPECT_PTR_EQ(test, share->stats, parent->stats);
	KUNIT_EXPECT_PTR_NE(test, share->table, parent->table);
	KUNIT_EXPECT_PTR_NE(test, bufftrack_test_record(test, t->client, 1),
			    bufftrack_test_record(test, t->other, 1));
	KUNIT_EXPECT_EQ(test, atomic64_read(&parent->stats->bytes), 128);
	bufftrack_test_close(&t->other);
	bufftrack_test_settle();
	KUNIT_EXPECT_EQ(test, atomic64_read(&parent->stats->bytes), 64);
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
}

/* ---- walks ---------------------------------------------------------------- */

#define KEYS 1500

/* How often each key below 3 * KEYS was met; false where the order was not kept. */
static bool walk(struct kunit *test, struct bt_table *table, u8 *met, unsigned int stop_at,
		 void (*change)(struct kunit *test))
{
	struct bt_pos pos = {};
	struct bt_record *rec;
	u32 at, last = 0;
	unsigned int n = 0;
	bool order = true;

	for (;;) {
		rcu_read_lock();
		rec = bufftrack_table_next(table, &pos);
		if (!IS_ERR_OR_NULL(rec)) {
			at = bitrev32(bt_hash(rec->buffer, rec->space_id));
			order &= at >= last;
			last = at;
			if (rec->buffer < 3 * KEYS && met[rec->buffer] < U8_MAX)
				met[rec->buffer]++;
		}
		rcu_read_unlock();
		if (!rec)
			return order;
		if (!IS_ERR(rec) && ++n == stop_at)
			change(test);
	}
}

/* The table's worker doubles or halves it once, and queues itself again. */
static void resize(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_table *table = bufftrack_test_share(test, t->client)->table;

	while (flush_work(&table->records.run_work))
		;
}

static void more_keys(struct kunit *test)
{
	struct bt_test *t = test->priv;
	int i;

	for (i = KEYS; i < 3 * KEYS; i++)
		ALLOC(t->client, i);
	resize(test);
}

static void fewer_keys(struct kunit *test)
{
	struct bt_test *t = test->priv;
	int i;

	/* Every eighth one stays. */
	for (i = 0; i < KEYS; i++)
		if (i & 7)
			FREE(t->client, i);
	while (bufftrack_history_evict(bufftrack_test_share(test, t->client), 1024))
		;
	resize(test);
}

static void walk_meets_each_once(struct kunit *test, void (*change)(struct kunit *test),
				 unsigned int every)
{
	struct bt_test *t = test->priv;
	struct bt_table *table = bufftrack_test_share(test, t->client)->table;
	unsigned int i, stop, wrong = 0;
	u8 *met = kunit_kzalloc(test, 3 * KEYS, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, met);
	for (i = 0; i < KEYS; i++)
		ALLOC(t->client, i);
	/* Somewhere in the first half */
	stop = KEYS / 3;
	KUNIT_EXPECT_TRUE(test, walk(test, table, met, change ? stop : 0, change));
	for (i = 0; i < KEYS; i++)
		wrong += i % every ? met[i] > 1 : met[i] != 1;
	for (; i < 3 * KEYS; i++)
		wrong += met[i] > 1;
	KUNIT_EXPECT_EQ(test, wrong, 0U);
}

static void walk_of_a_table(struct kunit *test)
{
	walk_meets_each_once(test, NULL, 1);
}

static void walk_while_it_grows(struct kunit *test)
{
	walk_meets_each_once(test, more_keys, 1);
}

/* The record that the walk stands on may be among those that go. */
static void walk_while_it_shrinks(struct kunit *test)
{
	walk_meets_each_once(test, fewer_keys, 8);
}

static void walk_of_nothing(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_table *table = bufftrack_test_share(test, t->client)->table;
	struct bt_pos pos = {};
	struct bt_record *rec;

	rcu_read_lock();
	rec = bufftrack_table_next(table, &pos);
	rcu_read_unlock();
	KUNIT_EXPECT_NULL(test, rec);
	/* From a place that no record ever had */
	pos = (struct bt_pos){ .buffer = 1234, .space_id = 5, .started = true };
	rcu_read_lock();
	rec = bufftrack_table_next(table, &pos);
	rcu_read_unlock();
	KUNIT_EXPECT_NULL(test, rec);
}

/* Addresses that a runtime would give: no shard and no bucket has them all. */
static void hashes_are_spread(struct kunit *test)
{
	static const u64 steps[] = { 1, 64, 4096, 1 << 21, 1ULL << 32, 1ULL << 52 };
	unsigned int shards[BT_SHARDS], i, s, least, most;

	for (s = 0; s < ARRAY_SIZE(steps); s++) {
		memset(shards, 0, sizeof(shards));
		for (i = 0; i < 4096; i++)
			shards[bt_shard_nr(bt_hash(i * steps[s], 0))]++;
		least = U32_MAX;
		most = 0;
		for (i = 0; i < BT_SHARDS; i++) {
			least = min(least, shards[i]);
			most = max(most, shards[i]);
		}
		/* 256 +- 7 standard deviations */
		KUNIT_EXPECT_GT(test, least, 148U);
		KUNIT_EXPECT_LT(test, most, 364U);
	}
	/* The space is a part of the key. */
	KUNIT_EXPECT_NE(test, bt_hash(1, 0), bt_hash(1, 1));
	KUNIT_EXPECT_NE(test, bt_hash(1, 0), bt_hash(0, 1));
}

/* The next buffer whose key comes into the same bucket as 0's, of at most 4096. */
static u64 colliding(u64 buffer)
{
	do
		buffer++;
	while ((bt_hash(buffer, 0) ^ bt_hash(0, 0)) & 4095);
	return buffer;
}

/* A chain that chance does not make: its maker comes to its end, others do not. */
static void keys_that_collide(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_client *eve = bufftrack_test_open_as(test, 12345);
	u64 buffer = 0;
	int i;

	for (i = 0; i < 15; i++) {
		buffer = colliding(buffer);
		EXPECT_ANSWER(ALLOC(t->client, buffer), OK, 1);
	}
	KUNIT_EXPECT_EQ(test, ALLOC(t->client, colliding(buffer)).error, -ENOMEM);
	EXPECT_ANSWER(FREE(t->client, colliding(buffer)), UNKNOWN_FREE, 0);
	/* What is there goes on, and so do the other buckets. */
	EXPECT_ANSWER(FREE(t->client, buffer), OK, 0);
	EXPECT_ANSWER(ALLOC(t->client, buffer), OK, 1);
	EXPECT_ANSWER(ALLOC(t->client, buffer + 1), OK, 1);

	for (i = 0; i < 10; i++) {
		buffer = colliding(buffer);
		EXPECT_ANSWER(ALLOC(eve, buffer), OK, 1);
	}
	KUNIT_EXPECT_EQ(test, ALLOC(t->other, colliding(buffer)).error, -ENOMEM);
	bufftrack_test_close(&eve);
}

static struct kunit_case table_cases[] = {
	KUNIT_CASE(refs_never_wrap),
	KUNIT_CASE(views_never_wrap),
	KUNIT_CASE(times_are_in_order),
	KUNIT_CASE(tallies_saturate),
	KUNIT_CASE(sizes_may_wrap),
	KUNIT_CASE(a_full_client),
	KUNIT_CASE(generations_of_a_key),
	KUNIT_CASE(a_block_is_used_up),
	KUNIT_CASE(a_life_too_far_back),
	KUNIT_CASE_PARAM(tokens, token_gen_params),
	KUNIT_CASE(holds_keep_their_order),
	KUNIT_CASE(a_shared_free_drops_the_oldest),
	KUNIT_CASE(a_close_drops_all_holds),
	KUNIT_CASE(a_missed_free),
	KUNIT_CASE(a_key_changes_hands),
	KUNIT_CASE(a_private_table),
	KUNIT_CASE(walk_of_a_table),
	KUNIT_CASE(walk_while_it_grows),
	KUNIT_CASE(walk_while_it_shrinks),
	KUNIT_CASE(walk_of_nothing),
	KUNIT_CASE(hashes_are_spread),
	KUNIT_CASE(keys_that_collide),
	{},
};

static struct kunit_suite table_suite = {
	.name = "bufftrack-table",
	.init = bufftrack_test_init,
	.exit = bufftrack_test_exit,
	.test_cases = table_cases,
};

kunit_test_suite(table_suite);
