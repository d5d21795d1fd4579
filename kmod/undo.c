// SPDX-License-Identifier: GPL-2.0
/*
 * UNDO: the driver says that nothing was freed, so the FREE is taken back.
 *
 * A FREE whose verdict had counted nothing has nothing to take back: a double free is just
 * what a driver refuses, and must not bring a dead life back.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "close.h"
#include "compat.h"
#include "life.h"
#include "undo.h"

static bool had_counted(u32 verdict)
{
	return verdict == BUFFTRACK_OK || verdict == BUFFTRACK_SIZE_MISMATCH ||
	       verdict == BUFFTRACK_HELD_FREE;
}

static void hold_regain(struct bt_record *rec, struct bt_hold *hold)
{
	rec->first.refs++;
	if (hold->count++)
		return;
	/* Never ENOSPC: it had the place. */
	atomic_inc(&hold->attach->client->held);
	bufftrack_hold_begins(hold, rec);
}

/* Whose reference to a SHARED life one dropped who has none: the latest is the youngest's. */
static struct bt_hold *hold_lent(struct bt_record *rec)
{
	struct bt_hold *hold = rec->lent ? &rec->first : NULL;
	struct bt_more_hold *more, *latest = NULL;

	for (more = *bt_more_of(rec); more; more = more->next)
		if (more->lent)
			latest = more;
	return latest ? &latest->hold : hold;
}

static void hold_unlend(struct bt_record *rec, struct bt_hold *hold)
{
	if (hold == &rec->first)
		rec->lent = 0;
	else
		container_of(hold, struct bt_more_hold, hold)->lent = false;
}

/* Of a life that has holds: it is live, or references are left. */
static int undo_held(struct bt_record *rec, struct bt_client *client, const struct bufftrack_op *op)
{
	struct bt_hold *hold = bufftrack_hold_find(rec, client);
	bool lent = !hold;

	if (lent && rec->flags & BUFFTRACK_F_SHARED && rec->space->share->user == client->user)
		hold = hold_lent(rec);
	if (!hold)
		return -ENOENT;
	if (rec->first.refs == U32_MAX)
		return -EOVERFLOW;
	if (rec->state == BT_STATE_HELD && op->verdict == BUFFTRACK_HELD_FREE) {
		if (rec->held_end->when.actor->client != client->id)
			return -ENOENT;
		bufftrack_life_unlast(rec);
	}
	if (lent)
		hold_unlend(rec, hold);
	hold_regain(rec, hold);
	return 0;
}

/* The last reference that a FREE LAST had left was freed, and that is taken back. */
static int undo_leftover(struct bt_record *rec, struct bt_attach *attach, unsigned int nr,
			 struct bt_held_end **spare)
{
	if (rec->space->share->user != attach->client->user || !*spare)
		return -ENOENT;
	bufftrack_life_unsettle(rec, attach, nr, *spare);
	*spare = NULL;
	return 0;
}

/* Only who ended the life by its FREE can take that back. */
static int undo_end(struct bt_record *rec, struct bt_attach *attach, unsigned int nr)
{
	int all = bufftrack_reset_since(&attach->share->table->resets, rec, rec->end.time);
	int own = bufftrack_reset_since(&attach->resets, rec, rec->end.time);

	if (rec->end.actor->client != attach->client->id)
		return -ENOENT;
	if (all <= 0 && own <= 0) {
		if (all || own)
			return -ENOENT;
		bufftrack_life_revive(rec, attach, nr);
		return 0;
	}
	if (rec->frees)
		rec->frees--;
	rec->state = all > 0 ? BUFFTRACK_STATE_RESET : BUFFTRACK_STATE_CONTEXT;
	return 0;
}

/* Of a tombstone */
static int undo_dead(struct bt_record *rec, struct bt_attach *attach, unsigned int nr,
		     const struct bufftrack_op *op, struct bt_held_end **spare)
{
	switch (rec->state) {
	case BUFFTRACK_STATE_RESET:
	case BUFFTRACK_STATE_CONTEXT:
		/* The reference went in the reset. */
		return 0;
	case BUFFTRACK_STATE_LAST:
		if (op->verdict != BUFFTRACK_HELD_FREE)
			return undo_leftover(rec, attach, nr, spare);
		return undo_end(rec, attach, nr);
	case BUFFTRACK_STATE_FREED:
		return undo_end(rec, attach, nr);
	default:
		return -ENOENT;
	}
}

static int undo_locked(struct bt_caller *caller, struct bt_attach *attach, struct bt_record *rec,
		       unsigned int nr, struct bufftrack_op *op, struct bt_held_end **spare)
{
	u32 refused;
	int err;

	if (!rec || !op->generation)
		return -ENOENT;
	if (op->generation != rec->generation)
		return op->generation < rec->generation ? -ESTALE : -ENOENT;
	err = bt_is_tombstone(rec) ? undo_dead(rec, attach, nr, op, spare)
				   : undo_held(rec, caller->client, op);
	if (err)
		return err;
	refused = rec->refused_since;
	rec->refused_since = 0;
	rec->undone = 1;
	op->verdict = BUFFTRACK_OK;
	op->info = 0;
	op->refs = 0;
	bufftrack_answer(op, caller->client, rec);
	bufftrack_event_undo(caller, rec, op, refused);
	return 0;
}

/**
 * bufftrack_undo() - take a FREE back
 * @caller: who, and when
 * @op: the FREE, as it was answered; its inputs checked by op.c; the answer
 *
 * Return: 0; -ENOENT where the record was evicted, or the caller has nothing to take back;
 * -ESTALE where a newer life has begun; -EOVERFLOW, -ENOMEM: nothing was changed. May sleep.
 * Takes the shard's lock.
 */
int bufftrack_undo(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_client *client = caller->client;
	struct bt_key key = bt_key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
	struct bt_held_end *spare = NULL;
	struct bt_attach *attach;
	struct bt_shard *shard;
	int err;

	if (!had_counted(op->verdict)) {
		op->verdict = BUFFTRACK_OK;
		op->info = 0;
		op->refs = 0;
		return 0;
	}
	attach = bufftrack_attach_find(client, op->device);
	if (!attach)
		return -ENOENT;
	/* Of what a FREE LAST had left it may have been the last one. */
	if (op->info & BUFFTRACK_INFO_CONSEQUENCE && op->verdict != BUFFTRACK_HELD_FREE) {
		spare = kmalloc(sizeof(*spare), BT_GFP);
		if (!spare)
			return -ENOMEM;
		caller->now = ktime_get_ns();
	}
	bt_caller_flush(caller);
	shard = &attach->share->table->shards[nr];
	bt_shard_lock(shard);
	err = undo_locked(caller, attach, bt_record_find(attach->share->table, key), nr, op,
			  &spare);
	bt_shard_unlock(shard);
	kfree(spare);
	if (!err)
		bufftrack_count(BT_UNDONE, bt_attach_stats(attach, op->space), client->user,
				client);
	return err;
}
