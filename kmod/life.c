// SPDX-License-Identifier: GPL-2.0
/*
 * Lives, and the holds on them: what is not done at every call.
 */
#include <linux/slab.h>

#include "life.h"

/* ---- holds ---------------------------------------------------------------- */

/* bufftrack_hold_find - the client's hold on a life, or NULL; @rec is live */
struct bt_hold *bufftrack_hold_find(struct bt_record *rec, const struct bt_client *client)
{
	struct bt_more_hold *more;

	if (rec->first.attach->client == client)
		return &rec->first;
	for (more = rec->more; more; more = more->next)
		if (more->hold.attach->client == client)
			return &more->hold;
	return NULL;
}

void bufftrack_hold_ends(struct bt_hold *hold, const struct bt_record *rec)
{
	struct bt_client *client = hold->attach->client;

	atomic_dec(&client->held);
	bt_stats_bytes(&client->stats, -rec->size, 0);
}

static noinline void hold_remove_more(struct bt_record *rec, struct bt_hold *hold)
{
	struct bt_more_hold *more, **at = &rec->more;

	if (hold == &rec->first) {
		/* The order of the holders is kept: the next moves up. */
		more = rec->more;
		hold->attach = more->hold.attach;
		hold->count = more->hold.count;
		hlist_add_behind(&hold->node, &more->hold.node);
		hlist_del(&more->hold.node);
		rec->more = more->next;
	} else {
		more = container_of(hold, struct bt_more_hold, hold);
		while (*at != more)
			at = &(*at)->next;
		*at = more->next;
	}
	kfree(more);
}

void bufftrack_hold_remove(struct bt_record *rec, struct bt_hold *hold)
{
	if (hold->count)
		bufftrack_hold_ends(hold, rec);
	hlist_del(&hold->node);
	if (likely(hold == &rec->first && !rec->more))
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

/*
 * bufftrack_life_end - end a life: drop the remaining holds, and count the end. Only
 * RESET and MISSED_FREE leave holds with a nonzero count.
 */
void bufftrack_life_end(struct bt_record *rec, struct bt_caller *caller, enum bufftrack_state state,
			unsigned int shard)
{
	struct bt_space *space = rec->space;
	struct bt_share *share = space->share;

	bt_caller_flush(caller);
	while (rec->first.attach)
		bufftrack_hold_remove(rec, &rec->first);
	bufftrack_count(BT_ENDED, space->stats, share->user, NULL);
	bt_stats_bytes(space->stats, -rec->size, 0);
	bt_stats_bytes(share->stats, -rec->size, 0);
	bt_stats_bytes(&share->user->stats, -rec->size, 0);
	bt_life_over(rec, caller, state, shard);
}

/*
 * The generation and the references of a life are for its holders, its user,
 * and those who may see all.
 */
void bufftrack_answer(struct bufftrack_op *op, const struct bt_client *client,
		      struct bt_record *rec)
{
	if (unlikely(!rec))
		return;
	if (unlikely(rec->space->share->user != client->user) &&
	    !(rec->state == BUFFTRACK_STATE_LIVE && bufftrack_hold_find(rec, client)) &&
	    !bufftrack_may_see_all())
		return;
	op->generation = rec->generation;
	op->refs = bt_refs(rec);
}
