/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lives, and the holds on them. The shard's lock is held.
 */
#ifndef BUFFTRACK_LIFE_H
#define BUFFTRACK_LIFE_H

#include "event.h"
#include "history.h"

struct bt_hold *bufftrack_hold_find(struct bt_record *rec, const struct bt_client *client);
void bufftrack_hold_ends(struct bt_hold *hold, const struct bt_record *rec);
void bufftrack_hold_begins(struct bt_hold *hold, const struct bt_record *rec);
void bufftrack_hold_remove(struct bt_record *rec, struct bt_hold *hold);
void bufftrack_space_change(struct bt_record *rec, struct bt_caller *caller,
			    struct bt_space *space);
void bufftrack_life_end(struct bt_record *rec, struct bt_caller *caller, enum bufftrack_state state,
			unsigned int shard);
void bufftrack_life_last(struct bt_record *rec, struct bt_caller *caller, struct bt_held_end *end);
void bufftrack_life_settle(struct bt_record *rec, unsigned int shard);
void bufftrack_life_revive(struct bt_record *rec, struct bt_attach *attach, unsigned int shard);
void bufftrack_life_unlast(struct bt_record *rec);
void bufftrack_life_unsettle(struct bt_record *rec, struct bt_attach *attach, unsigned int shard,
			     struct bt_held_end *end);
bool bufftrack_may_know(const struct bt_client *client, struct bt_record *rec);
void bufftrack_answer(struct bufftrack_op *op, const struct bt_client *client,
		      struct bt_record *rec);

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
static inline int bt_held_reserve(struct bt_client *client)
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
		bt_caller_after(caller, rec->prev_end.time);
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
	/* VIEW, the third bit, begins no life; PERSISTENT is set by who finds it. */
	rec->flags = op->flags;
	rec->undone = 0;
	rec->held_reset = 0;
	rec->lent = 0;
	rec->size = op->size;
	rec->tag = op->tag;
	rec->views = 0;
	rec->more = NULL;
	bt_when_set(&rec->alloc[rec->slot], caller);
	bt_hold_init(&rec->first, attach, shard, 1, 1);
	op->generation = rec->generation;
	op->refs = 1;
}

/* Its holds are gone: it has its end where it had them. */
static __always_inline void bt_life_over(struct bt_record *rec, struct bt_caller *caller,
					 enum bufftrack_state state, unsigned int shard)
{
	if (state == BUFFTRACK_STATE_FREED && likely(rec->frees != U32_MAX))
		rec->frees++;
	rec->state = state;
	bt_caller_after(caller, bt_alloc_of(rec)->time);
	rec->end.time = caller->now;
	rec->end.actor = bt_actor_give(caller);
	bt_tomb_add(rec, shard);
}

#endif /* BUFFTRACK_LIFE_H */
