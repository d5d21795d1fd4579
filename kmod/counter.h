/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters of a part of a device, a user or a client.
 *
 * What every ALLOC and FREE counts is per cpu and summed by the reader. Bytes are
 * atomic, since the peak must be exact; bad verdicts are, since they are rare.
 */
#ifndef BUFFTRACK_COUNTER_H
#define BUFFTRACK_COUNTER_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include <linux/bufftrack.h>

/*
 * What happened, each event in one of these; what is told follows from them
 * (bufftrack_stats_read()). The ordinary ALLOC and FREE count once each.
 */
enum bt_count {
	BT_REVIVED, /* ALLOCs that began a life on a tombstone */
	BT_FREED, /* FREEs that ended a life of the same user's */
	BT_FRESH, /* ALLOCs that began a life on a new record */
	BT_SHARED, /* ALLOCs of a further reference */
	BT_DROPPED, /* FREEs of which FREED has not told */
	BT_ENDED, /* ends of lives of which FREED has not told */
	BT_VIEWS, /* that came, and that went; SAMEs that added no reference */
	BT_EVICTED, /* tombstones that might have been asked for */
	BT_FORGOTTEN, /* tombstones that went otherwise */
	BT_UNDONE, /* FREEs that were taken back */
	BT_NR_COUNTS
};

struct bt_hot {
	u64 n[BT_NR_COUNTS];
};

struct bt_stats {
	struct bt_hot __percpu *hot;
	atomic64_t bytes;
	atomic64_t peak;
	atomic64_t certain; /* bad frees that are proven */
	atomic64_t verdicts[BUFFTRACK_NR_VERDICTS]; /* but OK, which follows */
};

#define bt_stats_add(stats, what, nr) this_cpu_add((stats)->hot->n[what], (nr))

extern atomic64_t bufftrack_failed; /* ALLOCs refused for want of room */
DECLARE_PER_CPU(u64, bufftrack_evictions);

u64 bufftrack_evicted(void);
int bufftrack_stats_init(struct bt_stats *stats);
void bufftrack_stats_destroy(struct bt_stats *stats);
void bufftrack_stats_read(const struct bt_stats *stats, struct bufftrack_stat *to);
void bufftrack_stat_sum(struct bufftrack_stat *to, const struct bufftrack_stat *from);
void bufftrack_stats_retire(const struct bt_stats *stats);
void bufftrack_stats_retired(struct bufftrack_stat *to);

/*
 * Several changes at once: their sum, and the highest that it was on the way, at
 * least 0. Sizes are the caller's word: a sum may wrap, and comes back all the
 * same; what is beyond S64_MAX is no peak. Each add is ordered with all others, and
 * offers its own sum: the loop misses no peak.
 */
static inline void bt_stats_bytes(struct bt_stats *stats, s64 sum, s64 high)
{
	s64 top, peak;

	if (!high) {
		atomic64_add(sum, &stats->bytes);
		return;
	}
	top = atomic64_add_return(sum, &stats->bytes) - sum + high;
	peak = atomic64_read(&stats->peak);
	while (unlikely(top > peak) && !atomic64_try_cmpxchg(&stats->peak, &peak, top))
		;
}

#endif /* BUFFTRACK_COUNTER_H */
