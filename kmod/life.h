/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lives, and the holds on them. The shard's lock is held.
 */
#ifndef BUFFTRACK_LIFE_H
#define BUFFTRACK_LIFE_H

#include "bufftrack.h"
#include "count.h"
#include "record.h"
#include "tomb.h"

struct bt_hold *bufftrack_hold_find(struct bt_record *rec, const struct bt_client *client);
void bufftrack_hold_ends(struct bt_hold *hold, const struct bt_record *rec);
void bufftrack_hold_remove(struct bt_record *rec, struct bt_hold *hold);
void bufftrack_space_change(struct bt_record *rec, struct bt_caller *caller,
			    struct bt_space *space);
void bufftrack_life_end(struct bt_record *rec, struct bt_caller *caller, enum bufftrack_state state,
			unsigned int shard);
void bufftrack_answer(struct bufftrack_op *op, const struct bt_client *client,
		      struct bt_record *rec);

/*
 * References to the caller's actor go to a record and come back from it, mostly one
 * for one: the caller hands on what came back.
 */
static inline struct bt_actor *bt_actor_give(struct bt_caller *caller)
{
	if (likely(caller->refs > 1))
		caller->refs--;
	else
		refcount_inc(&caller->actor->refs);
	return caller->actor;
}

static inline void bt_actor_take_back(struct bt_caller *caller, struct bt_actor *actor)
{
	if (likely(actor == caller->actor))
		caller->refs++;
	else
		bufftrack_actor_put(actor);
}

/* In place of an event of two lives ago: mostly the actor is the same one. */
static inline void bt_when_set(struct bt_when *when, struct bt_caller *caller)
{
	struct bt_actor *old = when->actor;

	if (unlikely(old != caller->actor)) {
		when->actor = bt_actor_give(caller);
		bufftrack_actor_put(old);
	}
	when->time = caller->now;
}

static inline void bt_hold_init(struct bt_hold *hold, struct bt_attach *attach, unsigned int shard,
				u32 count, u32 refs)
{
	hold->attach = attach;
	hold->count = count;
	hold->refs = refs;
	hlist_add_head(&hold->node, &attach->holds[shard]);
}

/*
 * Make sure of what a first hold needs, before anything is changed: a place
 * within the client's limit, which is taken. -ENOSPC where there is none: of two at
 * once for the last place both may be refused, never both let in.
 */
static inline int bt_held_inc(struct bt_client *client)
{
	unsigned int max = READ_ONCE(bufftrack_max_buffers);

	if (likely((unsigned int)atomic_inc_return(&client->held) <= max))
		return 0;
	atomic_dec(&client->held);
	return -ENOSPC;
}

/*
 * A new life, with the caller's reference, on a record that is new or, where @again, a
 * tombstone.
 */
static __always_inline void bt_life_begin(struct bt_record *rec, struct bt_caller *caller,
					  struct bt_attach *attach, struct bt_space *space,
					  unsigned int shard, bool again, struct bufftrack_op *op)
{
	if (again) {
		bt_tomb_del(rec, shard);
		bt_actor_take_back(caller, rec->prev_end.actor);
		rec->prev_end = rec->end;
		rec->prev_state = rec->state;
		rec->slot = !rec->slot;
	}
	if (likely(rec->space == space))
		bt_tally_of(caller, space)->revived++;
	else
		bufftrack_space_change(rec, caller, space);
	bt_tally_bytes(caller, op->size);
	bt_generation_next(rec);
	rec->state = BUFFTRACK_STATE_LIVE;
	rec->flags = op->flags;
	rec->size = op->size;
	rec->tag = op->tag;
	rec->views = 0;
	rec->more = NULL;
	bt_when_set(&rec->alloc[rec->slot], caller);
	bt_hold_init(&rec->first, attach, shard, 1, 1);
	op->generation = rec->generation;
	op->refs = 1;
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

/* Its holds are gone: it has its end where it had them. */
static inline void bt_life_over(struct bt_record *rec, struct bt_caller *caller,
				enum bufftrack_state state, unsigned int shard)
{
	rec->state = state;
	rec->end.time = caller->now;
	rec->end.actor = bt_actor_give(caller);
	bt_tomb_add(rec, shard);
}

#endif /* BUFFTRACK_LIFE_H */
