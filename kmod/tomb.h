/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A share's lists of tombstones, one a shard: in and out. The shard's lock is held.
 *
 * Each is an hlist with an end: a list_head may be checked for corruption at each
 * change, which takes longer than the change.
 */
#ifndef BUFFTRACK_TOMB_H
#define BUFFTRACK_TOMB_H

#include "bufftrack.h"

/* A life has ended: the youngest of all. */
static inline void bt_tomb_add(struct bt_record *rec, unsigned int shard)
{
	struct bt_share *share = rec->space->share;
	struct bt_tombs *tombs = &share->tombs[shard];

	rec->ended_seq = atomic64_inc_return(&share->ended_seq);
	/* Read without the lock, as a hint. */
	if (tombs->tail == &tombs->list.first)
		WRITE_ONCE(tombs->oldest, rec->ended_seq);
	rec->tomb.next = NULL;
	rec->tomb.pprev = tombs->tail;
	*tombs->tail = &rec->tomb;
	tombs->tail = &rec->tomb.next;
	atomic_inc(&share->tombs_nr);
}

/* It lives again, or goes. */
static inline void bt_tomb_del(struct bt_record *rec, unsigned int shard)
{
	struct bt_share *share = rec->space->share;
	struct bt_tombs *tombs = &share->tombs[shard];
	struct hlist_node *next = rec->tomb.next;

	if (rec->tomb.pprev == &tombs->list.first)
		WRITE_ONCE(tombs->oldest,
			   next ? hlist_entry(next, struct bt_record, tomb)->ended_seq : U64_MAX);
	if (!next)
		tombs->tail = rec->tomb.pprev;
	__hlist_del(&rec->tomb);
	atomic_dec(&share->tombs_nr);
}

#endif /* BUFFTRACK_TOMB_H */
