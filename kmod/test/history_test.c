// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: tombstones: which one goes first, what is counted, and what is said of a key
 * whose tombstone is gone.
 */
#include <linux/err.h>

#include "../caller.h"
#include "../close.h"
#include "../history.h"
#include "../param.h"
#include "../stat.h"
#include "test.h"

#define LOST (BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE)

static void bury(struct kunit *test, struct bt_client *client, u64 from, u64 to)
{
	for (; from < to; from++) {
		ALLOC(client, from);
		FREE(client, from);
	}
}

static void the_oldest_goes_first(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	unsigned int shards = 0, i;

	for (i = 0; i < 64; i++) {
		ALLOC(t->client, i);
		shards |= BIT(bt_shard_nr(bt_hash(i, 0)));
	}
	/* They are in the lists of several shards. */
	KUNIT_EXPECT_GT(test, hweight32(shards), 4);
	/* The order is that of the ends: 63, 62, ... */
	for (i = 64; i-- > 0;)
		FREE(t->client, i);
	for (i = 64; i-- > 0;) {
		KUNIT_EXPECT_NOT_NULL(test, bufftrack_test_record(test, t->client, i));
		KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 1), 1U);
		KUNIT_EXPECT_NULL(test, bufftrack_test_record(test, t->client, i));
		KUNIT_EXPECT_EQ(test, atomic_read(&share->tombs_nr), (int)i);
	}
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 1), 0U);
}

/* A key that lived again is as old as its last end. */
static void a_new_life_makes_it_young(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);

	bury(test, t->client, 0, 8);
	bury(test, t->client, 3, 4);
	KUNIT_EXPECT_EQ(test, atomic_read(&share->tombs_nr), 8);
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 7), 7U);
	KUNIT_EXPECT_NOT_NULL(test, bufftrack_test_record(test, t->client, 3));
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 7), 1U);
}

static void the_living_are_not_given_up(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	int i;

	bury(test, t->client, 0, 32);
	for (i = 0; i < 32; i += 2)
		ALLOC(t->client, i);
	KUNIT_EXPECT_EQ(test, atomic_read(&share->tombs_nr), 16);
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, U32_MAX), 16U);
	for (i = 0; i < 32; i += 2) {
		EXPECT_ANSWER(FREE(t->client, i), OK, 0);
		EXPECT_ANSWER(FREE(t->client, i + 1), UNKNOWN_FREE, 0);
	}
}

/* The hint that an eviction goes by is right whenever nobody is at work. */
static void hints(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	struct hlist_node **tail;
	struct bt_tombs *tombs;
	struct bt_record *rec;
	u64 last;
	int i, n, sum = 0;

	bury(test, t->client, 0, 100);
	for (i = 0; i < 100; i += 3)
		ALLOC(t->client, i);
	bufftrack_history_evict(share, 5);
	for (i = 0; i < BT_SHARDS; i++) {
		tombs = &share->tombs[i];
		rec = hlist_entry_safe(tombs->list.first, struct bt_record, tomb);
		KUNIT_EXPECT_EQ(test, tombs->oldest, rec ? rec->ended_seq : U64_MAX);
		tail = &tombs->list.first;
		last = 0;
		n = 0;
		hlist_for_each_entry(rec, &tombs->list, tomb) {
			KUNIT_EXPECT_PTR_EQ(test, rec->tomb.pprev, tail);
			tail = &rec->tomb.next;
			KUNIT_EXPECT_GT(test, rec->ended_seq, last);
			KUNIT_EXPECT_EQ(test, bt_shard_nr(bt_hash(rec->buffer, 0)),
					(unsigned int)i);
			last = rec->ended_seq;
			n++;
		}
		KUNIT_EXPECT_PTR_EQ(test, tombs->tail, tail);
		sum += n;
	}
	KUNIT_EXPECT_EQ(test, sum, atomic_read(&share->tombs_nr));
	KUNIT_EXPECT_EQ(test, sum, 100 - 34 - 5);
}

static void down_to_the_limit(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	int i;

	bufftrack_test_set(test, &bufftrack_history, 4);
	/* Each FREE sees to it. */
	for (i = 0; i < 10; i++) {
		bury(test, t->client, i, i + 1);
		KUNIT_EXPECT_EQ(test, atomic_read(&share->tombs_nr), min(i + 1, 4));
	}
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, !!bufftrack_test_record(test, t->client, i), i >= 6);
	WRITE_ONCE(bufftrack_history, 0);
	bufftrack_history_trim(share);
	KUNIT_EXPECT_EQ(test, atomic_read(&share->tombs_nr), 0);
	EXPECT_ANSWER(ALLOC(t->client, 1), OK, 1);
	EXPECT_ANSWER(FREE(t->client, 1), OK, 0);
	EXPECT_ANSWER(FREE(t->client, 1), UNKNOWN_FREE, 0);
}

/* One call gives up a thousand at the most: it holds no lock, but does not sleep. */
static void a_thousand_at_a_time(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);

	bury(test, t->client, 0, 1100);
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 0), 0U);
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 1100), 1024U);
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 1100), 76U);
}

/* Those that were given up are counted, those that nobody can ask for are not. */
static void what_is_counted(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_DEVICE,
		.device = t->device,
	};

	bury(test, t->client, 0, 20);
	bufftrack_history_evict(share, 3);
	KUNIT_ASSERT_EQ(test, bufftrack_stat(t->client, &stat), 0);
	KUNIT_EXPECT_EQ(test, stat.history, 17ULL);
	KUNIT_EXPECT_EQ(test, stat.evicted, 3ULL);
	KUNIT_EXPECT_EQ(test, atomic64_read(&share->table->evicted), 3);
	bufftrack_history_forget(share);
	stat = (struct bufftrack_stat){ .scope = BUFFTRACK_STAT_DEVICE, .device = t->device };
	KUNIT_ASSERT_EQ(test, bufftrack_stat(t->client, &stat), 0);
	KUNIT_EXPECT_EQ(test, stat.history, 0ULL);
	KUNIT_EXPECT_EQ(test, stat.evicted, 3ULL);
}

static void what_is_said_afterwards(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	struct bufftrack_op op;
	u64 token, live;

	/* Nothing lost yet: that there was no such life is certain. */
	op = FREE(t->client, 1);
	EXPECT_ANSWER(op, UNKNOWN_FREE, 0);
	KUNIT_EXPECT_EQ(test, op.info, 0U);

	live = ALLOC(t->client, 2).generation;
	token = ALLOC(t->client, 1).generation;
	FREE(t->client, 1);
	bufftrack_history_evict(share, 1);
	op = FREE(t->client, 1, .token = token);
	EXPECT_ANSWER(op, UNKNOWN_FREE, 0);
	KUNIT_EXPECT_EQ(test, op.info, (u32)LOST);
	KUNIT_EXPECT_EQ(test, op.generation, 0ULL);

	/* The key comes again, on another record: its generations go on. */
	op = ALLOC(t->client, 1);
	KUNIT_EXPECT_GT(test, op.generation, token);
	op = FREE(t->client, 1, .token = token);
	EXPECT_ANSWER(op, STALE_FREE, 1);
	KUNIT_EXPECT_EQ(test, op.info, (u32)LOST);
	/* From here on one life of a record need not be the key's only one. */
	FREE(t->client, 2);
	op = FREE(t->client, 2);
	EXPECT_ANSWER(op, DOUBLE_FREE, 0);
	KUNIT_EXPECT_EQ(test, op.info, (u32)BUFFTRACK_INFO_PROBABLE);
	/* A token proves it all the same. */
	op = FREE(t->client, 2, .token = live);
	EXPECT_ANSWER(op, DOUBLE_FREE, 0);
	KUNIT_EXPECT_EQ(test, op.info, 0U);
}

/* A device that went with history lost is known for that, should it come again. */
static void a_device_that_had_lost(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bufftrack_op op;
	unsigned long serial;

	KUNIT_EXPECT_FALSE(test, bufftrack_device_lost(t->device));
	bury(test, t->client, 0, 3);
	bufftrack_history_evict(bufftrack_test_share(test, t->client), 3);
	/* At once: between its end and this there must be no moment. */
	KUNIT_EXPECT_TRUE(test, bufftrack_device_lost(t->device));
	bufftrack_test_close(&t->client);
	bufftrack_test_settle();
	KUNIT_EXPECT_FALSE(test, bufftrack_device_serial(t->device, &serial));
	KUNIT_EXPECT_TRUE(test, bufftrack_device_lost(t->device));
	/* Not there, and there again */
	op = FREE(t->other, 1);
	EXPECT_ANSWER(op, UNKNOWN_FREE, 0);
	KUNIT_EXPECT_EQ(test, op.info, (u32)LOST);
	KUNIT_EXPECT_FALSE(test, bufftrack_device_serial(t->device, &serial));
	ALLOC(t->other, 2);
	op = FREE(t->other, 1);
	EXPECT_ANSWER(op, UNKNOWN_FREE, 0);
	KUNIT_EXPECT_EQ(test, op.info, (u32)LOST);
}

/* A user's tombstones are the user's own: nobody else's limit or pressure takes them. */
static void users_are_apart(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_client *guest = bufftrack_test_open_as(test, 4711);
	struct bt_share *ours = bufftrack_test_share(test, t->client);
	struct bt_share *theirs = bufftrack_test_share(test, guest);

	bury(test, t->client, 0, 10);
	bury(test, guest, 10, 15);
	KUNIT_EXPECT_EQ(test, atomic_read(&ours->tombs_nr), 10);
	KUNIT_EXPECT_EQ(test, atomic_read(&theirs->tombs_nr), 5);
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(ours, 100), 10U);
	KUNIT_EXPECT_EQ(test, atomic_read(&theirs->tombs_nr), 5);
	EXPECT_ANSWER(FREE(guest, 12), DOUBLE_FREE, 0);
	/* A table is one namespace: what it lost is lost for all. */
	KUNIT_EXPECT_EQ(test, FREE(guest, 99).info, (u32)LOST);
	bufftrack_test_close(&guest);
}

/* Tombstones outlive the client, and keep what they need. */
static void they_outlive_their_client(struct kunit *test)
{
	struct bt_test *t = test->priv;
	unsigned long serial;

	bury(test, t->client, 0, 5);
	bufftrack_test_close(&t->client);
	bufftrack_test_settle();
	KUNIT_EXPECT_TRUE(test, bufftrack_device_serial(t->device, &serial));
	EXPECT_ANSWER(FREE(t->other, 3), DOUBLE_FREE, 0);
	/* The exit of this test sees that the device goes with them. */
}

/* A PRIVATE client's go with it, and count as kept no more. */
static void private_ones_do_not(struct kunit *test)
{
	struct bufftrack_client set = {
		.mask = BUFFTRACK_CLIENT_PRIVATE,
		.flags = BUFFTRACK_CLIENT_PRIVATE,
	};
	struct bt_test *t = test->priv;
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_DEVICE,
		.device = t->device,
	};

	KUNIT_ASSERT_EQ(test, bufftrack_client_set(t->other, &set), 0);
	bury(test, t->client, 0, 2);
	bury(test, t->other, 0, 7);
	ALLOC(t->other, 100);
	KUNIT_ASSERT_EQ(test, bufftrack_stat(t->client, &stat), 0);
	KUNIT_EXPECT_EQ(test, stat.history, 9ULL);
	bufftrack_test_close(&t->other);
	bufftrack_test_settle();
	stat = (struct bufftrack_stat){ .scope = BUFFTRACK_STAT_DEVICE, .device = t->device };
	KUNIT_ASSERT_EQ(test, bufftrack_stat(t->client, &stat), 0);
	KUNIT_EXPECT_EQ(test, stat.history, 2ULL);
	KUNIT_EXPECT_EQ(test, stat.live, 0ULL);
	KUNIT_EXPECT_EQ(test, stat.evicted, 0ULL);
	/* Nothing was lost in the public namespace. */
	KUNIT_EXPECT_EQ(test, FREE(t->client, 99).info, 0U);
}

/* A reset ends what is live, and its tombstones are as any others. */
static void after_a_reset(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	struct bufftrack_reset reset = { .device = t->device };
	struct bt_caller caller;
	int i;

	bufftrack_test_set(test, &bufftrack_history, 6);
	for (i = 0; i < 10; i++)
		ALLOC(i & 1 ? t->client : t->other, i);
	KUNIT_ASSERT_EQ(test, bufftrack_caller_init(&caller, t->client), 0);
	KUNIT_EXPECT_EQ(test, bufftrack_reset(&caller, &reset), 0);
	KUNIT_EXPECT_EQ(test, reset.lives, 10ULL);
	KUNIT_EXPECT_EQ(test, atomic_read(&share->tombs_nr), 6);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->held), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->other->held), 0);
	KUNIT_EXPECT_EQ(test, bufftrack_reset(&caller, &reset), 0);
	KUNIT_EXPECT_EQ(test, reset.lives, 0ULL);
	bufftrack_caller_exit(&caller);
}

static struct kunit_case history_cases[] = {
	KUNIT_CASE(the_oldest_goes_first),
	KUNIT_CASE(a_new_life_makes_it_young),
	KUNIT_CASE(the_living_are_not_given_up),
	KUNIT_CASE(hints),
	KUNIT_CASE(down_to_the_limit),
	KUNIT_CASE(a_thousand_at_a_time),
	KUNIT_CASE(what_is_counted),
	KUNIT_CASE(what_is_said_afterwards),
	KUNIT_CASE(a_device_that_had_lost),
	KUNIT_CASE(users_are_apart),
	KUNIT_CASE(they_outlive_their_client),
	KUNIT_CASE(private_ones_do_not),
	KUNIT_CASE(after_a_reset),
	{},
};

static struct kunit_suite history_suite = {
	.name = "bufftrack-history",
	.init = bufftrack_test_init,
	.exit = bufftrack_test_exit,
	.test_cases = history_cases,
};

kunit_test_suite(history_suite);
