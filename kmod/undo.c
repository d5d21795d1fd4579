// SPDX-License-Identifier: GPL-2.0
/*
 * UNDO: the driver says that nothing was freed, so the FREE is taken back.
 *
 * A FREE whose verdict had counted nothing has nothing to take back: a double free is just
 * what a driver refuses, and must not bring a dead life back.
 */
#include "life.h"
#include "undo.h"

static bool had_counted(u32 verdict)
{
	return verdict == BUFFTRACK_OK || verdict == BUFFTRACK_SIZE_MISMATCH ||
	       verdict == BUFFTRACK_HELD_FREE;
}

/* Whether a reset that came after this time has ended the life. */
static bool reset_since(const struct bt_reset *reset, const struct bt_record *rec, u64 time)
{
	return reset->time > time && bt_reset_meant(reset, rec);
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

/* Of a life that has holds: it is live, or references are left. */
static int undo_held(struct bt_record *rec, struct bt_client *client, const struct bufftrack_op *op)
{
	struct bt_hold *hold = bufftrack_hold_find(rec, client);

	/* One who dropped another's reference to a SHARED life gives it back. */
	if (!hold && rec->flags & BUFFTRACK_F_SHARED && rec->space->share->user == client->user)
		hold = &rec->first;
	if (!hold)
		return -ENOENT;
	if (rec->first.refs == U32_MAX)
		return -EOVERFLOW;
	if (rec->state == BT_STATE_HELD && op->verdict == BUFFTRACK_HELD_FREE) {
		if (rec->held_end->when.actor->client != client->id)
			return -ENOENT;
		bufftrack_life_unlast(rec);
	}
	hold_regain(rec, hold);
	return 0;
}

/* Of a tombstone: only who ended the life by its FREE can take that back. */
static int undo_dead(struct bt_record *rec, struct bt_attach *attach, unsigned int nr)
{
	u64 time = rec->end.time;

	switch (rec->state) {
	case BUFFTRACK_STATE_RESET:
	case BUFFTRACK_STATE_CONTEXT:
		/* The reference went in the reset. */
		return 0;
	case BUFFTRACK_STATE_FREED:
	case BUFFTRACK_STATE_LAST:
		break;
	default:
		return -ENOENT;
	}
	if (rec->end.actor->client != attach->client->id)
		return -ENOENT;
	if (rec->frees && (reset_since(&attach->share->table->reset, rec, time) ||
			   reset_since(&attach->reset, rec, time)))
		rec->frees--;
	if (reset_since(&attach->share->table->reset, rec, time))
		rec->state = BUFFTRACK_STATE_RESET;
	else if (reset_since(&attach->reset, rec, time))
		rec->state = BUFFTRACK_STATE_CONTEXT;
	else
		bufftrack_life_revive(rec, attach, nr);
	return 0;
}

static int undo_locked(struct bt_caller *caller, struct bt_attach *attach, struct bt_record *rec,
		       unsigned int nr, struct bufftrack_op *op)
{
	u32 refused;
	int err;

	if (!rec || !op->generation)
		return -ENOENT;
	if (op->generation != rec->generation)
		return op->generation < rec->generation ? -ESTALE : -ENOENT;
	err = bt_is_tombstone(rec) ? undo_dead(rec, attach, nr)
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
 * -ESTALE where a newer life has begun; -EOVERFLOW: nothing was changed. Takes the shard's
 * lock.
 */
int bufftrack_undo(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_client *client = caller->client;
	struct bt_key key = bt_key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
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
	bt_caller_flush(caller);
	shard = &attach->share->table->shards[nr];
	bt_shard_lock(shard);
	err = undo_locked(caller, attach, bt_record_find(attach->share->table, key), nr, op);
	bt_shard_unlock(shard);
	if (!err)
		bufftrack_count(BT_UNDONE, bt_attach_stats(attach, op->space), client->user,
				client);
	return err;
}
