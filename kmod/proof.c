// SPDX-License-Identifier: GPL-2.0
/*
 * Which life a call meant, and what of a bad verdict is proven. All of it is worked out
 * for bad verdicts only, under the shard's lock.
 */
#include "life.h"
#include "proof.h"

/*
 * A tombstone of this namespace was given up, so there may have been a life. It never
 * comes back to 0; an eviction that is not seen yet is after this call.
 */
static bool table_lost(const struct bt_table *table)
{
	return atomic64_read(&table->evicted);
}

/**
 * bufftrack_life_named() - which life of a key a token means
 * @table: the key's
 * @rec: the key's record, its shard's lock held
 * @token: the token, 0 for none
 *
 * Return: the last one, the one before, an older one, or none of this key.
 */
enum bt_named bufftrack_life_named(const struct bt_table *table, const struct bt_record *rec,
				   u64 token)
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

static bool holder_closing(const struct bt_hold *hold)
{
	const struct bt_client *client = hold->attach->client;

	return hold->count &&
	       (READ_ONCE(client->closing) || bufftrack_actor_exited(client->opener));
}

/* bufftrack_someone_closing - a holder of a live life is on its way out, or its process gone */
bool bufftrack_someone_closing(struct bt_record *rec)
{
	const struct bt_more_hold *more;

	if (holder_closing(&rec->first))
		return true;
	for (more = rec->more; more; more = more->next)
		if (holder_closing(&more->hold))
			return true;
	return false;
}

static bool is_anothers(const struct bt_caller *caller, const struct bt_when *when)
{
	return when->actor && !uid_eq(when->actor->uid, caller->actor->uid);
}

/* Whether another user's report is a part of what is known of the life that was meant. */
static bool rests_on_another(const struct bt_caller *caller, const struct bt_record *rec,
			     enum bt_named named)
{
	if (named == BT_NAMED_PREV &&
	    (is_anothers(caller, bt_prev_alloc_of(rec)) || is_anothers(caller, &rec->prev_end)))
		return true;
	return is_anothers(caller, bt_alloc_of(rec)) ||
	       (rec->state != BUFFTRACK_STATE_LIVE && is_anothers(caller, bt_end_of(rec)));
}

/* Who took the client's hold, where that is known. */
static const struct bt_actor *hold_taker(const struct bt_client *client, struct bt_record *rec)
{
	struct bt_hold *hold = bufftrack_hold_find(rec, client);

	if (hold && hold != &rec->first)
		return container_of(hold, struct bt_more_hold, hold)->actor;
	if (hold && bt_alloc_of(rec)->actor->client != client->id)
		return client->opener;
	return bt_alloc_of(rec)->actor;
}

/* Of one client, but of two processes */
static bool are_forked(const struct bt_client *client, const struct bt_actor *taker,
		       const struct bt_actor *actor)
{
	return taker && actor && taker->client == client->id && actor->client == client->id &&
	       taker->pid != actor->pid;
}

static bool is_forked(const struct bt_caller *caller, struct bt_record *rec, enum bt_named named)
{
	const struct bt_client *client = caller->client;
	const struct bt_actor *taker;

	if (READ_ONCE(client->flags) & BUFFTRACK_CLIENT_FORKED)
		return true;
	if (!rec)
		return false;
	if (named == BT_NAMED_PREV) {
		taker = bt_prev_alloc_of(rec)->actor;
		return are_forked(client, taker, caller->actor) ||
		       are_forked(client, taker, rec->prev_end.actor);
	}
	if (named != BT_NAMED_LAST)
		return false;
	if (!bt_is_tombstone(rec))
		return are_forked(client, hold_taker(client, rec), caller->actor);
	taker = bt_alloc_of(rec)->actor;
	return are_forked(client, taker, caller->actor) ||
	       are_forked(client, taker, rec->end.actor);
}

/* Whether the FREE is of what an earlier bad verdict has left over. */
static bool is_consequence(const struct bt_record *rec, enum bt_named named)
{
	if (named == BT_NAMED_PREV)
		return rec->prev_state == BUFFTRACK_STATE_MISSED ||
		       rec->prev_state == BUFFTRACK_STATE_LAST;
	return named == BT_NAMED_LAST && (rec->state == BUFFTRACK_STATE_MISSED ||
					  rec->state == BT_STATE_HELD || rec->held_reset);
}

/* Whether a token, or a single life, proves which life was meant and that it is over. */
static bool is_proven(const struct bt_table *table, const struct bt_record *rec,
		      enum bt_named named, u64 token)
{
	if (!rec)
		return !table_lost(table);
	if (!token)
		return bufftrack_lives(rec) <= 1 && !table_lost(table);
	if (named != BT_NAMED_OLDER)
		return true;
	/* Of this key's own block, and a newer one is live. */
	return rec->state == BUFFTRACK_STATE_LIVE &&
	       token / BT_GEN_BLOCK == rec->generation / BT_GEN_BLOCK;
}

static u32 client_info(const struct bt_client *client)
{
	return READ_ONCE(client->unrecorded) || READ_ONCE(client->flags) & BUFFTRACK_CLIENT_PARTIAL
		       ? BUFFTRACK_INFO_NOT_RECORDED
		       : 0;
}

/**
 * bufftrack_proof() - what is to be said beside a bad verdict
 * @caller: the offender
 * @table: the key's
 * @rec: the key's record, its shard's lock held; or NULL
 * @named: which of its lives was meant
 * @op: the call, with its verdict, and what is known of it in its info
 *
 * Return: BUFFTRACK_INFO_*; what of it makes a verdict probable stands in DESIGN.md,
 * "Rules that hold for every verdict".
 */
u32 bufftrack_proof(const struct bt_caller *caller, const struct bt_table *table,
		    struct bt_record *rec, enum bt_named named, const struct bufftrack_op *op)
{
	const u32 always = BUFFTRACK_INFO_CLOSING | BUFFTRACK_INFO_UNDONE |
			   BUFFTRACK_INFO_CONSEQUENCE;
	const u32 without_token = BUFFTRACK_INFO_NOT_RECORDED | BUFFTRACK_INFO_FORKED;
	bool of_free = op->verdict != BUFFTRACK_MISSED_FREE && op->verdict != BUFFTRACK_DANGLING;
	u32 info = op->info | client_info(caller->client);

	if ((!rec || named == BT_NAMED_OLDER) && table_lost(table))
		info |= BUFFTRACK_INFO_HISTORY_LOST;
	if (is_forked(caller, rec, named))
		info |= BUFFTRACK_INFO_FORKED;
	if (rec && of_free && is_consequence(rec, named))
		info |= BUFFTRACK_INFO_CONSEQUENCE;
	if (rec && rec->undone && named == BT_NAMED_LAST)
		info |= BUFFTRACK_INFO_UNDONE;
	if (rec && rec->views && named == BT_NAMED_LAST && rec->state != BUFFTRACK_STATE_LIVE)
		info |= BUFFTRACK_INFO_VIEWS_LEFT;
	if (rec && rec->state == BUFFTRACK_STATE_LIVE && op->verdict != BUFFTRACK_MISSED_FREE &&
	    rec->first.attach->client != caller->client && bufftrack_someone_closing(rec))
		info |= BUFFTRACK_INFO_CLOSING;

	if (!is_proven(table, rec, named, op->token) || info & always ||
	    op->verdict == BUFFTRACK_MISSED_FREE ||
	    (info & without_token && (!op->token || !rec)) ||
	    (rec && rests_on_another(caller, rec, named)))
		info |= BUFFTRACK_INFO_PROBABLE;
	return info;
}

/* bufftrack_proof_nowhere - the same, on a device that is not known */
u32 bufftrack_proof_nowhere(const struct bt_client *client, u64 device)
{
	u32 info = client_info(client);

	if (READ_ONCE(client->flags) & BUFFTRACK_CLIENT_FORKED)
		info |= BUFFTRACK_INFO_FORKED;
	if (!(READ_ONCE(client->flags) & BUFFTRACK_CLIENT_PRIVATE) && bufftrack_device_lost(device))
		info |= BUFFTRACK_INFO_HISTORY_LOST;
	return info ? info | BUFFTRACK_INFO_PROBABLE : 0;
}

/* bufftrack_proof_leak - the same of a LEAK: the exit itself is its proof */
u32 bufftrack_proof_leak(const struct bt_client *client, const struct bt_record *rec)
{
	u32 info = client_info(client);

	if (READ_ONCE(client->flags) & BUFFTRACK_CLIENT_FORKED)
		info |= BUFFTRACK_INFO_FORKED;
	if (rec->undone)
		info |= BUFFTRACK_INFO_UNDONE;
	return info ? info | BUFFTRACK_INFO_PROBABLE : 0;
}
