// SPDX-License-Identifier: GPL-2.0
/*
 * Lives, and the holds on them: what is not done at every call.
 */
#include <linux/slab.h>

#include "life.h"

/* ---- holds ---------------------------------------------------------------- */

/* bufftrack_hold_find - the client's hold on a life, or NULL; @rec has holds */
struct bt_hold *bufftrack_hold_find(struct bt_record *rec, const struct bt_client *client)
{
	struct bt_more_hold *more;

	if (rec->first.attach->client == client)
		return &rec->first;
	for (more = *bt_more_of(rec); more; more = more->next)
		if (more->hold.attach->client == client)
			return &more->hold;
	return NULL;
}

/* bufftrack_hold_ends - a hold comes to have no count */
void bufftrack_hold_ends(struct bt_hold *hold, const struct bt_record *rec)
{
	struct bt_client *client = hold->attach->client;

	atomic_dec(&client->held);
	/* Of what a FREE LAST has ended the bytes went with the life. */
	if (rec->state == BUFFTRACK_STATE_LIVE)
		bt_stats_bytes(&client->stats, -rec->size, 0);
}

static noinline void hold_remove_more(struct bt_record *rec, struct bt_hold *hold)
{
	struct bt_more_hold *more, **at = bt_more_of(rec);

	if (hold == &rec->first) {
		/* The order of the holders is kept: the next moves up. */
		more = *at;
		hold->attach = more->hold.attach;
		hold->count = more->hold.count;
		rec->lent = more->lent;
		hlist_add_behind(&hold->node, &more->hold.node);
		hlist_del(&more->hold.node);
		*at = more->next;
	} else {
		more = container_of(hold, struct bt_more_hold, hold);
		while (*at != more)
			at = &(*at)->next;
		*at = more->next;
	}
	bufftrack_actor_put(more->actor);
	kfree(more);
}

void bufftrack_hold_remove(struct bt_record *rec, struct bt_hold *hold)
{
	if (hold->count)
		bufftrack_hold_ends(hold, rec);
	hlist_del(&hold->node);
	if (likely(hold == &rec->first && !*bt_more_of(rec)))
		hold->attach = NULL;
	else
		hold_remove_more(rec, hold);
}

/* ---- lives ---------------------------------------------------------------- */

/* The record comes to the user who allocates it, from nobody or another. */
void bufftrack_space_change(struct bt_record *rec, struct bt_caller *caller, struct bt_space *space)
{
	struct bt_space *from = rec->space;

	if (from) {
		bufftrack_count(BT_FORGOTTEN, from->stats, from->share->user, NULL);
		bufftrack_share_put(from->share);
	}
	refcount_inc(&space->share->refs);
	/* bucket_full() reads it without the lock. */
	WRITE_ONCE(rec->space, space);
	/* The lines of the log that one user has had are not another's. */
	rec->refused_own = 0;
	bt_tally_of(caller, space)->fresh++;
}

static void count_end(const struct bt_record *rec)
{
	struct bt_space *space = rec->space;
	struct bt_share *share = space->share;

	bufftrack_count(BT_ENDED, space->stats, share->user, NULL);
	bt_stats_bytes(space->stats, -rec->size, 0);
	bt_stats_bytes(share->stats, -rec->size, 0);
	bt_stats_bytes(&share->user->stats, -rec->size, 0);
}

/*
 * bufftrack_life_end - end a life: drop the remaining holds, and count the end. Only
 * RESET and MISSED_FREE leave holds with a nonzero count.
 */
void bufftrack_life_end(struct bt_record *rec, struct bt_caller *caller, enum bufftrack_state state,
			unsigned int shard)
{
	bt_caller_flush(caller);
	while (rec->first.attach)
		bufftrack_hold_remove(rec, &rec->first);
	count_end(rec);
	bt_life_over(rec, caller, state, shard);
}

/**
 * bufftrack_life_last() - end a life of which references are left
 * @rec: the life; the caller's reference is gone already
 * @caller: who ends it
 * @end: where its end comes to lie; taken over
 *
 * The holds that are left stay, until they are freed, the key is allocated again, or
 * their clients close. They keep their places in their clients' limits.
 */
void bufftrack_life_last(struct bt_record *rec, struct bt_caller *caller, struct bt_held_end *end)
{
	struct bt_more_hold *more;

	bt_caller_flush(caller);
	if (rec->first.count)
		bt_stats_bytes(&rec->first.attach->client->stats, -rec->size, 0);
	for (more = rec->more; more; more = more->next)
		if (more->hold.count)
			bt_stats_bytes(&more->hold.attach->client->stats, -rec->size, 0);
	count_end(rec);
	if (likely(rec->frees != U32_MAX))
		rec->frees++;
	bt_caller_after(caller, bt_alloc_of(rec)->time);
	end->when.time = caller->now;
	end->when.actor = bt_actor_give(caller);
	end->more = rec->more;
	rec->held_end = end;
	rec->state = BT_STATE_HELD;
}

/*
 * bufftrack_life_settle - what a FREE LAST ended becomes a tombstone: drop the references
 * that are left
 */
void bufftrack_life_settle(struct bt_record *rec, unsigned int shard)
{
	struct bt_held_end *end = rec->held_end;

	while (rec->first.attach)
		bufftrack_hold_remove(rec, &rec->first);
	rec->state = BUFFTRACK_STATE_LAST;
	rec->end = end->when;
	bt_tomb_add(rec, shard);
	kfree(end);
}

static void count_revival(const struct bt_record *rec)
{
	struct bt_space *space = rec->space;
	struct bt_share *share = space->share;

	bt_stats_add(space->stats, BT_ENDED, -1);
	bt_stats_add(&share->user->stats, BT_ENDED, -1);
	bt_stats_bytes(space->stats, rec->size, rec->size);
	bt_stats_bytes(share->stats, rec->size, rec->size);
	bt_stats_bytes(&share->user->stats, rec->size, rec->size);
}

/* bufftrack_hold_begins - a hold comes to have a count: its place is taken already */
void bufftrack_hold_begins(struct bt_hold *hold, const struct bt_record *rec)
{
	if (rec->state == BUFFTRACK_STATE_LIVE)
		bt_stats_bytes(&hold->attach->client->stats, rec->size, rec->size);
}

/* bufftrack_life_revive - the life of a tombstone lives again: its FREE is taken back */
void bufftrack_life_revive(struct bt_record *rec, struct bt_attach *attach, unsigned int shard)
{
	struct bt_actor *ender = rec->end.actor;

	bt_tomb_del(rec, shard);
	rec->state = BUFFTRACK_STATE_LIVE;
	rec->more = NULL;
	rec->lent = 0;
	bt_hold_init(&rec->first, attach, shard, 1, 1);
	bufftrack_actor_put(ender);
	atomic_inc(&attach->client->held);
	bufftrack_hold_begins(&rec->first, rec);
	if (rec->frees)
		rec->frees--;
	count_revival(rec);
}

/* bufftrack_life_unlast - a life that a FREE LAST has ended lives again, with its holds */
void bufftrack_life_unlast(struct bt_record *rec)
{
	struct bt_held_end *end = rec->held_end;
	struct bt_more_hold *more;

	rec->state = BUFFTRACK_STATE_LIVE;
	rec->more = end->more;
	if (rec->first.count)
		bufftrack_hold_begins(&rec->first, rec);
	for (more = rec->more; more; more = more->next)
		if (more->hold.count)
			bufftrack_hold_begins(&more->hold, rec);
	bufftrack_actor_put(end->when.actor);
	kfree(end);
	if (rec->frees)
		rec->frees--;
	count_revival(rec);
}

/*
 * bufftrack_life_unsettle - the FREE of the last reference that a FREE LAST had left is taken
 * back: it is left again, and the life's end stays. @end is taken over.
 */
void bufftrack_life_unsettle(struct bt_record *rec, struct bt_attach *attach, unsigned int shard,
			     struct bt_held_end *end)
{
	bt_tomb_del(rec, shard);
	end->when = rec->end;
	end->more = NULL;
	rec->held_end = end;
	rec->state = BT_STATE_HELD;
	rec->lent = 0;
	bt_hold_init(&rec->first, attach, shard, 1, 1);
	/* Never ENOSPC: it had the place. */
	atomic_inc(&attach->client->held);
}

/**
 * bufftrack_may_know() - who is told the generation and the references of a life
 * @client: the caller's
 * @rec: the record; before the call's own end of the life
 *
 * Return: whether the client is of its user, holds it, or may see all.
 */
bool bufftrack_may_know(const struct bt_client *client, struct bt_record *rec)
{
	return likely(rec->space->share->user == client->user) ||
	       (!bt_is_tombstone(rec) && bufftrack_hold_find(rec, client)) ||
	       bufftrack_may_see_all();
}

/* bufftrack_answer - the generation and the references, to who may know them */
void bufftrack_answer(struct bufftrack_op *op, const struct bt_client *client,
		      struct bt_record *rec)
{
	if (unlikely(!rec) || !bufftrack_may_know(client, rec))
		return;
	op->generation = rec->generation;
	op->refs = bt_refs(rec);
}
