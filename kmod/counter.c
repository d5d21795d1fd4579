// SPDX-License-Identifier: GPL-2.0
/*
 * Counters: what is per cpu is summed by the reader.
 */
#include "counter.h"
#include "param.h"

atomic64_t bufftrack_failed = ATOMIC64_INIT(0);

DEFINE_PER_CPU(u64, bufftrack_evictions);

/* What users who are gone had counted. Under bt_users_lock, as their list. */
static struct bufftrack_stat bt_retired;

/* bufftrack_stats_init - 0 or -ENOMEM; charged to the caller; may sleep */
int bufftrack_stats_init(struct bt_stats *stats)
{
	stats->hot = alloc_percpu_gfp(struct bt_hot, BT_GFP_PERCPU | __GFP_ZERO);
	return stats->hot ? 0 : -ENOMEM;
}

void bufftrack_stats_destroy(struct bt_stats *stats)
{
	free_percpu(stats->hot);
}

/* bufftrack_evicted - how many tombstones were evicted, of all users */
u64 bufftrack_evicted(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(bufftrack_evictions, cpu));
	return sum;
}

/* bufftrack_stat_sum - add up two answers */
void bufftrack_stat_sum(struct bufftrack_stat *to, const struct bufftrack_stat *from)
{
	int i;

	to->live += from->live;
	to->bytes += from->bytes;
	to->peak_bytes += from->peak_bytes;
	to->allocs += from->allocs;
	to->frees += from->frees;
	to->history += from->history;
	to->evicted += from->evicted;
	to->undos += from->undos;
	to->certain += from->certain;
	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++)
		to->verdicts[i] += from->verdicts[i];
}

/**
 * bufftrack_stats_read() - add counters to an answer
 * @stats: the counters
 * @to: what to add them to
 *
 * Takes no lock: a reader beside a writer can see one counter before and
 * another after the same event, but nothing is lost or counted twice.
 */
void bufftrack_stats_read(const struct bt_stats *stats, struct bufftrack_stat *to)
{
	u64 begun = 0, revived = 0, ends = 0, gone = 0;
	struct bufftrack_stat sum = {};
	u64 bad_counted;
	int cpu, i;

	/* Before the verdicts that they are among, so that no fewer of these are seen. */
	sum.certain = atomic64_read(&stats->certain);
	smp_rmb(); /* bufftrack_count_verdict() */
	/* Before the calls that they are among, for the same reason. */
	for (i = BUFFTRACK_OK + 1; i < BUFFTRACK_NR_VERDICTS; i++)
		sum.verdicts[i] = atomic64_read(&stats->verdicts[i]);
	smp_rmb(); /* bufftrack_count_verdict() */
	for_each_possible_cpu(cpu) {
		const struct bt_hot *hot = per_cpu_ptr(stats->hot, cpu);

		ends += READ_ONCE(hot->n[BT_FREED]) + READ_ONCE(hot->n[BT_ENDED]);
		gone += READ_ONCE(hot->n[BT_EVICTED]) + READ_ONCE(hot->n[BT_FORGOTTEN]);
		sum.evicted += READ_ONCE(hot->n[BT_EVICTED]);
		sum.undos += READ_ONCE(hot->n[BT_UNDONE]);
		sum.frees += READ_ONCE(hot->n[BT_FREED]) + READ_ONCE(hot->n[BT_DROPPED]);
		sum.allocs += READ_ONCE(hot->n[BT_REVIVED]) + READ_ONCE(hot->n[BT_FRESH]) +
			      READ_ONCE(hot->n[BT_SHARED]);
		begun += READ_ONCE(hot->n[BT_REVIVED]) + READ_ONCE(hot->n[BT_FRESH]);
		revived += READ_ONCE(hot->n[BT_REVIVED]);
		sum.verdicts[BUFFTRACK_OK] += READ_ONCE(hot->n[BT_VIEWS]);
	}
	/* Beside a writer a difference may come out below 0. */
	sum.live = max_t(s64, begun - ends, 0);
	sum.history = max_t(s64, ends - revived - gone, 0);
	/* Of what counted, all is OK but these. */
	bad_counted = sum.verdicts[BUFFTRACK_MISSED_FREE] + sum.verdicts[BUFFTRACK_SIZE_MISMATCH] +
		      sum.verdicts[BUFFTRACK_HELD_FREE];
	sum.verdicts[BUFFTRACK_OK] += sum.allocs + sum.frees - bad_counted;
	sum.bytes = atomic64_read(&stats->bytes);
	/* A writer raises it after the sum. */
	sum.peak_bytes = max_t(s64, atomic64_read(&stats->peak), sum.bytes);
	bufftrack_stat_sum(to, &sum);
}

/* bufftrack_stats_retire - keep the sums of a user who is gone */
void bufftrack_stats_retire(const struct bt_stats *stats)
{
	u64 peak;

	/* Peaks of different times do not add up. */
	peak = bt_retired.peak_bytes;
	bt_retired.peak_bytes = 0;
	bufftrack_stats_read(stats, &bt_retired);
	bt_retired.peak_bytes = max(peak, bt_retired.peak_bytes);
}

/* bufftrack_stats_retired - add what users who are gone had counted */
void bufftrack_stats_retired(struct bufftrack_stat *to)
{
	u64 peak = to->peak_bytes;

	bufftrack_stat_sum(to, &bt_retired);
	to->peak_bytes = max(peak, bt_retired.peak_bytes);
}
