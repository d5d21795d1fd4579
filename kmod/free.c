// SPDX-License-Identifier: GPL-2.0
/*
 * FREE, judged. As ALLOC it looks its record up, and decides, under the shard's lock.
 */
#include "compat.h"
#include "free.h"
#include "life.h"
#include "log.h"

/*
 * A tombstone of this namespace was given up, so there may have been a life. It never
 * comes back to 0; an eviction that is not seen yet is after this call.
 */
static bool table_lost(const struct bt_table *table)
{
	return atomic64_read(&table->evicted);
}

/* Which life the token means. */
static enum bt_named name_life(const struct bt_table *table, const struct bt_record *rec, u64 token)
{
	if (!token || token == rec->generation)
		return BT_NAMED_LAST;
	if (token == bufftrack_prev_generation(rec))
		return BT_NAMED_PREV;
	/* No record was given the first number of a block. */
	if (token > rec->generation || !(token & (BT_GEN_BLOCK - 1)))
		return BT_NAMED_NEVER;
	if (token / BT_GEN_BLOCK == rec->generation / BT_GEN_BLOCK)
		return BT_NAMED_OLDER;
	/* An earlier block: perhaps this record's, or a forgotten one's. */
	if (rec->blocks > 1 || table_lost(table))
		return BT_NAMED_OLDER;
	return BT_NAMED_NEVER;
}

/* Of a life that has ended: what its free is. */
static u32 verdict_of_state(u8 state)
{
	switch (state) {
	case BUFFTRACK_STATE_EXITED:
		return BUFFTRACK_FREE_AFTER_EXIT;
	case BUFFTRACK_STATE_RESET:
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
	for (more = rec->more; more; more = more->next)
		if (more->hold.count)
			return &more->hold;
	return NULL;
}

/* The verdict, and where it is a good one the hold that is to be dropped. */
static u32 judge_free(struct bt_record *rec, const struct bt_client *client, enum bt_named named,
		      struct bt_hold **drop)
{
	struct bt_hold *hold;

	if (named == BT_NAMED_NEVER)
		return BUFFTRACK_UNKNOWN_FREE;
	if (rec->state != BUFFTRACK_STATE_LIVE) {
		if (named == BT_NAMED_LAST)
			return verdict_of_state(rec->state);
		if (named == BT_NAMED_PREV)
			return verdict_of_state(rec->prev_state);
		return BUFFTRACK_DOUBLE_FREE;
	}
	if (named != BT_NAMED_LAST)
		return BUFFTRACK_STALE_FREE;

	hold = bufftrack_hold_find(rec, client);
	*drop = hold;
	if (hold && hold->count)
		return BUFFTRACK_OK;
	if (rec->flags & BUFFTRACK_F_SHARED) {
		*drop = hold_oldest(rec);
		return BUFFTRACK_OK;
	}
	return hold ? BUFFTRACK_DOUBLE_FREE : BUFFTRACK_FOREIGN_FREE;
}

static u32 free_info(const struct bt_table *table, const struct bt_record *rec, enum bt_named named,
		     u64 token)
{
	bool lost = table_lost(table);
	u32 info = 0;

	if (rec ? named == BT_NAMED_OLDER : lost)
		info |= BUFFTRACK_INFO_HISTORY_LOST;
	/* Certain: a token proves it, or the key has had this one life only. */
	if ((!rec || token) ? info : (bufftrack_lives(rec) > 1 || lost))
		info |= BUFFTRACK_INFO_PROBABLE;
	return info;
}

static void count_refused(struct bt_record *rec, const struct bt_client *client)
{
	if (rec->refused != U32_MAX)
		rec->refused++;
	/* Another user's free must not use up the lines of this one. */
	if (rec->space->share->user == client->user && rec->refused_own != U8_MAX)
		rec->refused_own++;
}

/* Any FREE, under the lock. */
static void free_locked(struct bt_caller *caller, struct bt_share *share, struct bt_stats *part,
			struct bt_record *rec, unsigned int shard, struct bufftrack_op *op,
			struct bt_bad *bad)
{
	struct bt_table *table = share->table;
	struct bt_client *client = caller->client;
	enum bt_named named = BT_NAMED_NEVER;
	struct bt_hold *hold = NULL;

	bt_caller_flush(caller);
	if (op->flags & BUFFTRACK_F_VIEW) {
		if (rec && rec->state == BUFFTRACK_STATE_LIVE && rec->views &&
		    (!op->token || op->token == rec->generation))
			rec->views--;
		goto good;
	}

	if (rec) {
		named = name_life(table, rec, op->token);
		op->verdict = judge_free(rec, client, named, &hold);
	} else {
		op->verdict = BUFFTRACK_UNKNOWN_FREE;
	}

	if (op->verdict != BUFFTRACK_OK) {
		op->info = free_info(table, rec, named, op->token);
		if (rec)
			count_refused(rec, client);
		bufftrack_answer(op, client, rec);
		bt_verdict_tell(caller, share, rec, named, op, bad);
		return;
	}

	if (!--hold->count)
		bufftrack_hold_ends(hold, rec);
	rec->first.refs--;
	if (op->size && op->size != rec->size) {
		op->verdict = BUFFTRACK_SIZE_MISMATCH;
		bt_verdict_tell(caller, share, rec, BT_NAMED_LAST, op, bad);
	}
	if (!rec->first.refs)
		bufftrack_life_end(rec, caller, BUFFTRACK_STATE_FREED, shard);
	bufftrack_count(BT_DROPPED, part, client->user, client);
good:
	bufftrack_answer(op, client, rec);
	if (tracepoint_enabled(bufftrack_free) && rec)
		bufftrack_event_use(caller, rec, op, false);
}

/* Any FREE but the ordinary one, which found @rec and has locked its shard. */
static noinline int free_slow(struct bt_caller *caller, struct bt_attach *attach,
			      struct bt_record *rec, unsigned int shard, struct bufftrack_op *op)
	__releases(&attach->share->table->shards[].lock)
{
	struct bt_stats *part = bt_attach_stats(attach, op->space);
	struct bt_share *share = attach->share, *foreign = NULL;
	struct bt_bad bad BT_UNINIT; /* filled where there is a bad verdict only */

	free_locked(caller, share, part, rec, shard, op, &bad);
	if (rec && rec->space->share != share)
		foreign = bt_share_of(rec);
	bt_shard_unlock(&share->table->shards[shard]);

	if (op->verdict != BUFFTRACK_OK || op->flags & BUFFTRACK_F_VIEW)
		bufftrack_verdict_end(caller, part, op, &bad);
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
	if (!(READ_ONCE(client->flags) & BUFFTRACK_CLIENT_PRIVATE) &&
	    bufftrack_device_lost(op->device))
		op->info = BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE;
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
	bt_life_over(rec, caller, BUFFTRACK_STATE_FREED, nr);
	op->generation = rec->generation;
	if (tracepoint_enabled(bufftrack_free))
		bufftrack_event_use(caller, rec, op, false);
	bt_shard_unlock(shard);
	bufftrack_history_trim(attach->share);
	return 0;
}
