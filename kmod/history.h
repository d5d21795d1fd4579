/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tombstones: what is kept of lives that have ended, and for how long.
 *
 * A share has a list of them for each shard, under the shard's lock. It is an hlist with
 * an end: a list_head may be checked for corruption at each change, which takes longer
 * than the change.
 */
#ifndef BUFFTRACK_HISTORY_H
#define BUFFTRACK_HISTORY_H

#include "param.h"
#include "share.h"

int bufftrack_history_init(void);
void bufftrack_history_exit(void);
unsigned int bufftrack_history_evict(struct bt_share *share, unsigned int nr);
void bufftrack_history_forget(struct bt_share *share);
void bufftrack_history_forget_all(void);
void bufftrack_history_shrink(struct bt_share *share);

DECLARE_PER_CPU(long, bufftrack_tombs);

/* A life has ended: the youngest of all. */
static inline void bt_tomb_add(struct bt_record *rec, unsigned int shard)
{
	struct bt_share *share = rec->space->share;
	struct bt_tombs *tombs = &share->tombs[shard];

	lockdep_assert_held(&share->table->shards[shard].lock);
	rec->ended_seq = atomic64_inc_return(&share->ended_seq);
	/* Read without the lock, as a hint. */
	if (tombs->tail == &tombs->list.first)
		WRITE_ONCE(tombs->oldest, rec->ended_seq);
	rec->tomb.next = NULL;
	rec->tomb.pprev = tombs->tail;
	*tombs->tail = &rec->tomb;
	tombs->tail = &rec->tomb.next;
	atomic_inc(&share->tombs_nr);
	this_cpu_inc(bufftrack_tombs);
}

/* It lives again, or goes. */
static inline void bt_tomb_del(struct bt_record *rec, unsigned int shard)
{
	struct bt_share *share = rec->space->share;
	struct bt_tombs *tombs = &share->tombs[shard];
	struct hlist_node *next = rec->tomb.next;

	lockdep_assert_held(&share->table->shards[shard].lock);
	if (rec->tomb.pprev == &tombs->list.first)
		WRITE_ONCE(tombs->oldest,
			   next ? hlist_entry(next, struct bt_record, tomb)->ended_seq : U64_MAX);
	if (!next)
		tombs->tail = rec->tomb.pprev;
	__hlist_del(&rec->tomb);
	atomic_dec(&share->tombs_nr);
	this_cpu_dec(bufftrack_tombs);
}

/*
 * Give up what is beyond the limit. Takes shard locks, one after another. The count
 * is a hint: who raised it above the limit sees it there, and comes here.
 */
static inline void bufftrack_history_trim(struct bt_share *share)
{
	if (unlikely(atomic_read(&share->tombs_nr) > (int)READ_ONCE(bufftrack_history)))
		bufftrack_history_shrink(share);
}

/*
 * The tombstone of a life that has ended is its user's, who may be another than the
 * caller's. A reference to his share, for bt_share_trim() once the lock is gone.
 */
static inline struct bt_share *bt_share_of(const struct bt_record *rec)
{
	struct bt_share *share = rec->space->share;

	refcount_inc(&share->refs);
	return share;
}

/* Takes the reference over; NULL is allowed. */
static inline void bt_share_trim(struct bt_share *share)
{
	if (!share)
		return;
	bufftrack_history_trim(share);
	bufftrack_share_put(share);
}

#endif /* BUFFTRACK_HISTORY_H */
