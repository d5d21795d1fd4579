// SPDX-License-Identifier: GPL-2.0
/*
 * Tombstones: what is kept of lives that have ended, and for how long.
 *
 * A share keeps its tombstones in one list a shard, each in the order in which
 * the lives ended, under the shard's lock. The oldest of all is at the head of
 * one of them: ended_seq tells which.
 */
#include <linux/math64.h>
#include <linux/sched.h>

#include "compat.h"
#include "history.h"
#include "tally.h"

/* Tombstones that the shrinker is to give up at a time: each time it walks all shares. */
#define BT_SCAN_BATCH 1024

static struct shrinker *bt_shrinker;

/* Of all shares: one comes and goes on any CPU. */
DEFINE_PER_CPU(long, bufftrack_tombs);

/* A tombstone is given up: @lost where it might have been asked for. */
static void count_gone(const struct bt_record *rec, bool lost)
{
	const struct bt_share *share = rec->space->share;

	/* The device's own table; of a PRIVATE one nobody asks once it is gone. */
	if (lost && atomic64_inc_return(&share->table->evicted) == 1 && !share->parent)
		bufftrack_device_set_lost(share->device->id);
	if (lost)
		this_cpu_inc(bufftrack_evictions);
	bufftrack_count(lost ? BT_EVICTED : BT_FORGOTTEN, rec->space->stats, share->user, NULL);
}

/* Remove the oldest one; false where there is none. Takes a shard's lock. */
static bool remove_oldest(struct bt_share *share, bool lost)
{
	u64 best_seq = U64_MAX, seq;
	struct bt_record *rec;
	unsigned int best = 0, i;

	for (i = 0; i < BT_SHARDS; i++) {
		/*
		 * From history.h, without its lock: which list is taken is a hint. That all are
		 * empty is for certain where nobody can add one, as when a PRIVATE client
		 * has closed: its end took each lock after the last tombstone came.
		 */
		seq = READ_ONCE(share->tombs[i].oldest);
		if (seq < best_seq) {
			best_seq = seq;
			best = i;
		}
	}
	if (best_seq == U64_MAX)
		return false;

	rcu_read_lock();
	bt_shard_lock(&share->table->shards[best]);
	/* It may have come to life since; then the next call sees that. */
	rec = hlist_entry_safe(share->tombs[best].list.first, struct bt_record, tomb);
	if (rec) {
		bt_tomb_del(rec, best);
		count_gone(rec, lost);
		bufftrack_record_remove(share->table, rec);
		bufftrack_share_put(share);
	}
	bt_shard_unlock(&share->table->shards[best]);
	rcu_read_unlock();
	return true;
}

/**
 * bufftrack_history_evict() - give up tombstones of a share, oldest first
 * @share: the share; the caller has a reference
 * @nr: how many at the most
 *
 * Does not sleep; takes shard locks, one at a time.
 *
 * Return: how many it has tried for; where it is 0 there were none.
 */
unsigned int bufftrack_history_evict(struct bt_share *share, unsigned int nr)
{
	unsigned int n;

	nr = min(nr, 1024U);
	for (n = 0; n < nr && remove_oldest(share, true); n++)
		;
	return n;
}

/* bufftrack_history_forget - nobody can ask any more; may sleep */
void bufftrack_history_forget(struct bt_share *share)
{
	while (remove_oldest(share, false))
		cond_resched();
}

static void forget_share(struct bt_share *share, void *arg)
{
	bufftrack_history_forget(share);
}

/* bufftrack_history_forget_all - at the end, when no client is left to hold a share */
void bufftrack_history_forget_all(void)
{
	bufftrack_shares_each(forget_share, NULL);
}

/* bufftrack_history_shrink - down to the limit; may sleep */
void bufftrack_history_shrink(struct bt_share *share)
{
	int over;

	for (;;) {
		over = atomic_read(&share->tombs_nr) - (int)READ_ONCE(bufftrack_history);
		if (over <= 0 || !bufftrack_history_evict(share, over))
			break;
		cond_resched();
	}
}

/* ---- memory pressure ------------------------------------------------------ */

/* A sum of many moments is as good a guess as any. */
static unsigned long count_all(void)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(bufftrack_tombs, cpu));
	return max(sum, 0L);
}

static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	return count_all() ?: SHRINK_EMPTY;
}

struct scan {
	unsigned long sum; /* of all tombstones, when it began */
	unsigned long nr; /* to be evicted */
	unsigned long before; /* tombstones of the shares so far */
	unsigned long due; /* that these are to have given */
	unsigned long done;
};

/*
 * Every share gives in proportion to what it has, so that no user pays for another:
 * of @sum tombstones in a row, each that begins another @sum/@nr of them.
 */
static void scan_share(struct bt_share *share, void *arg)
{
	struct scan *scan = arg;
	unsigned long due;

	scan->before += atomic_read(&share->tombs_nr);
	due = mul_u64_u64_div_u64(scan->before, scan->nr, scan->sum);
	if (due > scan->due)
		scan->done += bufftrack_history_evict(share, due - scan->due);
	scan->due = due;
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct scan scan = { .nr = sc->nr_to_scan, .sum = count_all() };

	if (!scan.sum)
		return SHRINK_STOP;
	bufftrack_shares_each(scan_share, &scan);
	return scan.done ?: SHRINK_STOP;
}

int __init bufftrack_history_init(void)
{
	int err;

	bt_shrinker = shrinker_alloc(0, "bufftrack");
	if (!bt_shrinker)
		return -ENOMEM;
	bt_shrinker->count_objects = shrink_count;
	bt_shrinker->scan_objects = shrink_scan;
	bt_shrinker->batch = BT_SCAN_BATCH;
	err = shrinker_register(bt_shrinker, "bufftrack");
	if (err)
		shrinker_free(bt_shrinker);
	return err;
}

void bufftrack_history_exit(void)
{
	shrinker_free(bt_shrinker);
}
