// SPDX-License-Identifier: GPL-2.0
/*
 * FREE, judged. As ALLOC it looks its record up, and decides, under the shard's lock.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "compat.h"
#include "free.h"
#include "life.h"
#include "log.h"
#include "proof.h"

/* Of a life that has ended: what its free is. */
static u32 verdict_of_state(u8 state)
{
	switch (state) {
	case BUFFTRACK_STATE_EXITED:
		return BUFFTRACK_FREE_AFTER_EXIT;
	case BUFFTRACK_STATE_RESET:
	case BUFFTRACK_STATE_CONTEXT:
		return BUFFTRACK_FREE_AFTER_RESET;
	case BUFFTRACK_STATE_MISSED:
		return BUFFTRACK_STALE_FREE;
	default:
		return BUFFTRACK_DOUBLE_FREE;
	}
}

/* The oldest holder who still has a count. */
static struct bt_hold *hold_oldest(struct bt_record *rec)
{
	struct bt_more_hold *more;

	if (rec->first.count)
		return &rec->first;
	for (more = *bt_more_of(rec); more; more = more->next)
		if (more->hold.count)
			return &more->hold;
	return NULL;
}

/* Of a life that has holds: the verdict, and the hold that is to be dropped. */
static u32 judge_hold(struct bt_record *rec, const struct bt_client *client, struct bt_hold **drop)
{
	struct bt_hold *hold = bufftrack_hold_find(rec, client);

	*drop = hold;
	if (hold)
		return hold->count ? BUFFTRACK_OK : BUFFTRACK_DOUBLE_FREE;
	if (rec->flags & BUFFTRACK_F_SHARED && rec->space->share->user == client->user) {
		*drop = hold_oldest(rec);
		return BUFFTRACK_OK;
	}
	return BUFFTRACK_FOREIGN_FREE;
}

/* The verdict, and where it is a good one the hold that is to be dropped. */
static u32 judge_free(struct bt_record *rec, const struct bt_client *client, enum bt_named named,
		      struct bt_hold **drop)
{
	if (named == BT_NAMED_NEVER)
		return BUFFTRACK_UNKNOWN_FREE;
	if (named == BT_NAMED_LAST)
		return bt_is_tombstone(rec) ? verdict_of_state(rec->state)
					    : judge_hold(rec, client, drop);
	if (rec->state == BUFFTRACK_STATE_LIVE)
		return BUFFTRACK_STALE_FREE;
	return named == BT_NAMED_PREV ? verdict_of_state(rec->prev_state) : BUFFTRACK_DOUBLE_FREE;
}

static void count_refused(struct bt_record *rec, const struct bt_client *client)
{
	if (rec->refused != BT_MAX_REFUSED)
		rec->refused++;
	if (rec->refused_since != U8_MAX)
		rec->refused_since++;
	/* Another user's free must not use up the lines of this one. */
	if (rec->space->share->user == client->user && rec->refused_own != U8_MAX)
		rec->refused_own++;
}

/* One FREE on its way through. */
struct free {
	struct bt_caller *caller;
	struct bt_attach *attach;
	struct bt_stats *part;
	struct bt_record *rec;
	unsigned int shard_nr;
	struct bt_held_end *spare; /* for LAST */
};

static void free_view(const struct free *free, struct bufftrack_op *op)
{
	struct bt_record *rec = free->rec;

	if (rec && rec->state == BUFFTRACK_STATE_LIVE && rec->views &&
	    (!op->token || op->token == rec->generation))
		rec->views--;
	bufftrack_answer(op, free->caller->client, rec);
	/* Of what lives no more it is no event: it would be its end once more. */
	if (tracepoint_enabled(bufftrack_free) && rec && rec->state == BUFFTRACK_STATE_LIVE)
		bufftrack_event_use(free->caller, rec, op, false);
}

static void free_refused(const struct free *free, enum bt_named named, struct bufftrack_op *op,
			 struct bt_bad *bad)
{
	struct bt_share *share = free->attach->share;
	struct bt_client *client = free->caller->client;
	struct bt_record *rec = free->rec;

	op->info = bufftrack_proof(free->caller, share->table, rec, named, op);
	if (rec)
		count_refused(rec, client);
	bufftrack_answer(op, client, rec);
	bt_verdict_tell(free->caller, share, rec, named, op, bad);
}

/* The caller has no hold, and drops another's: an UNDO gives it back to that one. */
static void hold_lend(struct bt_record *rec, struct bt_hold *hold)
{
	if (hold == &rec->first)
		rec->lent = 1;
	else
		container_of(hold, struct bt_more_hold, hold)->lent = true;
}

/*
 * Drop a reference. What the caller may know is asked before the life ends; its event is
 * told before, too, with who holds it.
 */
static void free_drop(struct free *free, struct bt_hold *hold, bool held, struct bufftrack_op *op,
		      struct bt_bad *bad)
{
	struct bt_share *share = free->attach->share;
	struct bt_caller *caller = free->caller;
	struct bt_record *rec = free->rec;
	bool may_know = bufftrack_may_know(caller->client, rec);

	if (held)
		op->verdict = BUFFTRACK_HELD_FREE;
	else if (op->size && op->size != rec->size)
		op->verdict = BUFFTRACK_SIZE_MISMATCH;
	if (op->verdict != BUFFTRACK_OK || rec->state == BT_STATE_HELD)
		op->info = bufftrack_proof(caller, share->table, rec, BT_NAMED_LAST, op);

	if (hold->attach->client != caller->client)
		hold_lend(rec, hold);
	if (!--hold->count)
		bufftrack_hold_ends(hold, rec);
	rec->first.refs--;
	rec->refused_since = 0;
	op->refs = rec->first.refs;
	if (held && rec->views)
		op->info |= BUFFTRACK_INFO_VIEWS_LEFT;
	if (op->verdict != BUFFTRACK_OK)
		bt_verdict_tell(caller, share, rec, BT_NAMED_LAST, op, bad);
	if (held) {
		bufftrack_life_last(rec, caller, free->spare);
		free->spare = NULL;
	} else if (!rec->first.refs && rec->state == BT_STATE_HELD) {
		bufftrack_life_settle(rec, free->shard_nr);
	} else if (!rec->first.refs) {
		bufftrack_life_end(rec, caller, BUFFTRACK_STATE_FREED, free->shard_nr);
	}
	bufftrack_count(BT_DROPPED, free->part, caller->client->user, caller->client);
	if (may_know)
		op->generation = rec->generation;
	else
		op->refs = 0;
	if (tracepoint_enabled(bufftrack_free))
		bufftrack_event_use(caller, rec, op, false);
}

/*
 * Any FREE, under the lock. Returns 0 with the verdict in @op, or -EAGAIN where it needs
 * @free->spare.
 */
static int free_locked(struct free *free, struct bufftrack_op *op, struct bt_bad *bad)
{
	struct bt_client *client = free->caller->client;
	enum bt_named named = BT_NAMED_NEVER;
	struct bt_record *rec = free->rec;
	struct bt_hold *hold = NULL;
	bool held;

	bt_caller_flush(free->caller);
	if (op->flags & BUFFTRACK_F_VIEW) {
		free_view(free, op);
		return 0;
	}
	op->verdict = BUFFTRACK_UNKNOWN_FREE;
	if (rec) {
		named = bufftrack_life_named(free->attach->share->table, rec, op->token);
		op->verdict = judge_free(rec, client, named, &hold);
	}
	if (op->verdict != BUFFTRACK_OK) {
		free_refused(free, named, op, bad);
		return 0;
	}
	/* The end of another user's life is not the caller's to tell. */
	held = op->flags & BUFFTRACK_F_LAST && rec->state == BUFFTRACK_STATE_LIVE &&
	       rec->first.refs > 1 && hold->attach->client == client &&
	       rec->space->share->user == client->user;
	if (held && !free->spare)
		return -EAGAIN;
	free_drop(free, hold, held, op, bad);
	return 0;
}

/* Any FREE but the ordinary one, which found @rec and has locked its shard. */
static noinline int free_slow(struct bt_caller *caller, struct bt_attach *attach,
			      struct bt_record *rec, unsigned int nr, struct bufftrack_op *op)
	__releases(&attach->share->table->shards[].lock)
{
	struct bt_share *share = attach->share, *foreign = NULL;
	struct bt_bad bad BT_UNINIT; /* filled where there is a bad verdict only */
	struct free free = {
		.caller = caller,
		.attach = attach,
		.part = bt_attach_stats(attach, op->space),
		.rec = rec,
		.shard_nr = nr,
	};

	while (free_locked(&free, op, &bad)) {
		bt_shard_unlock(&share->table->shards[nr]);
		free.spare = kmalloc(sizeof(*free.spare), BT_GFP);
		if (!free.spare)
			return -ENOMEM;
		caller->now = ktime_get_ns();
		bt_shard_lock(&share->table->shards[nr]);
		free.rec = bt_record_find(share->table, bt_key_of(op));
	}
	rec = free.rec;
	if (rec && rec->space->share != share)
		foreign = bt_share_of(rec);
	bt_shard_unlock(&share->table->shards[nr]);
	kfree(free.spare);

	if (op->verdict != BUFFTRACK_OK || op->flags & BUFFTRACK_F_VIEW)
		bufftrack_verdict_end(caller, free.part, op, &bad);
	bufftrack_history_trim(share);
	bt_share_trim(foreign);
	return 0;
}

/* As bufftrack_attach_make_known(), of a device that the client has not used. */
static noinline struct bt_attach *free_place(struct bt_client *client, u64 device)
{
	WRITE_ONCE(client->used, true);
	return bufftrack_attach_make_known(client, device);
}

/* On a device that nobody has used, or whose history is gone. */
static noinline int free_nowhere(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_client *client = caller->client;
	struct bt_bad bad BT_UNINIT;

	if (op->flags & BUFFTRACK_F_VIEW) {
		bufftrack_verdict_end(caller, NULL, op, NULL);
		return 0;
	}
	op->verdict = BUFFTRACK_UNKNOWN_FREE;
	op->info = bufftrack_proof_nowhere(client, op->device);
	bt_verdict_tell(caller, NULL, NULL, BT_NAMED_NEVER, op, &bad);
	bufftrack_verdict_end(caller, NULL, op, &bad);
	return 0;
}

/*
 * The ordinary FREE: of the only reference to a life, which the caller has, and
 * which its user began; with all of what it says of it right. It is the first
 * holder's where there is no other.
 */
static __always_inline bool free_is_last(const struct bt_record *rec,
					 const struct bt_attach *attach,
					 const struct bt_space *space,
					 const struct bufftrack_op *op)
{
	return rec && rec->state == BUFFTRACK_STATE_LIVE && rec->first.refs == 1 &&
	       rec->first.attach == attach && !rec->more && rec->space == space && !op->flags &&
	       (!op->token || op->token == rec->generation) && (!op->size || op->size == rec->size);
}

/**
 * bufftrack_free() - judge one FREE
 * @caller: who, and when
 * @op: the report, its inputs checked by ioctl.c, its outputs 0; the answer
 *
 * Return: 0, or -ENOMEM: nothing was changed. May sleep. Takes the shard's lock.
 */
int bufftrack_free(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_client *client = caller->client;
	struct bt_key key = bt_key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
	struct bt_attach *attach;
	struct bt_space *space;
	struct bt_record *rec;
	struct bt_shard *shard;

	attach = bufftrack_attach_find(client, op->device);
	if (unlikely(!attach)) {
		attach = free_place(client, op->device);
		if (IS_ERR(attach))
			return PTR_ERR(attach);
		if (!attach)
			return free_nowhere(caller, op);
	}

	space = bt_attach_space(attach, op->space);
	shard = &attach->share->table->shards[nr];
	bt_shard_lock(shard);
	rec = bt_record_find(attach->share->table, key);
	if (unlikely(!free_is_last(rec, attach, space, op)))
		return free_slow(caller, attach, rec, nr, op);

	/* No list poison: tombstone fields reuse this storage. */
	__hlist_del(&rec->first.node);
	atomic_dec(&client->held);
	bt_tally_of(caller, space)->freed++;
	bt_tally_bytes(caller, -rec->size);
	rec->refused_since = 0;
	bt_life_over(rec, caller, BUFFTRACK_STATE_FREED, nr);
	op->generation = rec->generation;
	if (tracepoint_enabled(bufftrack_free))
		bufftrack_event_use(caller, rec, op, false);
	bt_shard_unlock(shard);
	bufftrack_history_trim(attach->share);
	return 0;
}
