// SPDX-License-Identifier: GPL-2.0
/*
 * The ends that nobody reported: a client's exit, and a device's reset.
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "close.h"
#include "compat.h"
#include "life.h"
#include "log.h"
#include "proof.h"
#include "ring.h"
#include "walk.h"

/*
 * Holds dropped in one go before a close lets others run. One of many of a life takes
 * longer: it is looked for among up to BT_MAX_HOLDERS.
 */
#define BT_CLOSE_CHUNK 64
#define BT_CLOSE_OF_MANY 32

static struct bt_record *hold_record(struct bt_hold *hold)
{
	if (hold->refs)
		return container_of(hold, struct bt_record, first);
	return container_of(hold, struct bt_more_hold, hold)->record;
}

/*
 * One event a life. EVENTS has the first %BT_RING_EVENTS of a client's leaks: more would push
 * those out again, at the price of their ends once more.
 */
static void leak_tell(struct bt_client *client, const struct bt_share *share,
		      const struct bt_record *rec, u32 count)
{
	bool keep = atomic64_read(&client->leaks) <= BT_RING_EVENTS;
	struct bt_bad bad BT_UNINIT;

	if (!keep && !tracepoint_enabled(bufftrack_leak))
		return;
	bufftrack_leak_fill(&bad, client, share, rec, bufftrack_proof_leak(client, rec));
	bufftrack_event_leak(&bad, count);
	bad.by.time = ktime_get_ns();
	if (keep)
		bufftrack_ring_add(client, &bad, count);
}

/* A closing client drops its hold; true where the life, or what was left of it, is over. */
static bool hold_close(struct bt_record *rec, struct bt_hold *hold, struct bt_caller *caller,
		       unsigned int nr)
{
	struct bt_attach *attach = hold->attach;
	struct bt_client *client = attach->client;
	u32 count = hold->count;

	rec->first.refs -= count;
	if (count && rec->state == BUFFTRACK_STATE_LIVE && !(rec->flags & BT_LIFE_PERSISTENT)) {
		atomic64_inc(&client->leaks);
		bufftrack_count_verdict(client, bt_attach_stats(attach, rec->space_id),
					BUFFTRACK_LEAK, false);
		leak_tell(client, attach->share, rec, count);
	}
	if (rec->first.refs) {
		bufftrack_hold_remove(rec, hold);
		return false;
	}
	if (rec->state == BT_STATE_HELD) {
		bufftrack_life_settle(rec, nr);
	} else {
		bufftrack_hold_remove(rec, hold);
		bufftrack_life_end(rec, caller, BUFFTRACK_STATE_EXITED, nr);
	}
	return true;
}

/*
 * Drops up to a chunk of the attach's holds in one shard. A life of another user's that has
 * ended ends the chunk: @foreign is for bt_share_trim() then.
 */
static void close_chunk(struct bt_attach *attach, unsigned int nr, struct bt_caller *caller,
			struct bt_share **foreign)
{
	struct bt_record *rec;
	struct bt_hold *hold;
	unsigned int n;
	bool of_many;

	*foreign = NULL;
	for (n = 0; n < BT_CLOSE_CHUNK && !*foreign; n += of_many ? BT_CLOSE_OF_MANY : 1) {
		hold = hlist_entry_safe(attach->holds[nr].first, struct bt_hold, node);
		if (!hold)
			break;
		rec = hold_record(hold);
		of_many = *bt_more_of(rec);
		if (hold_close(rec, hold, caller, nr) && rec->space->share != attach->share)
			*foreign = bt_share_of(rec);
	}
}

static bool all_closing(const struct bt_record *rec)
{
	const struct bt_more_hold *more;

	if (rec->first.count && !READ_ONCE(rec->first.attach->client->closing))
		return false;
	for (more = rec->more; more; more = more->next)
		if (more->hold.count && !READ_ONCE(more->hold.attach->client->closing))
			return false;
	return true;
}

/**
 * bufftrack_life_exit() - end a life whose holders are all closing, as they will
 * @rec: a live life, its shard's lock held
 * @nr: the shard
 *
 * A new owner of the address is never told MISSED_FREE of a process that is dying. What
 * the life counted is trimmed by who has closed.
 */
void bufftrack_life_exit(struct bt_record *rec, unsigned int nr)
{
	struct bt_caller caller = { .refs = 1 }; /* the client's, which stays */

	if (likely(!all_closing(rec)))
		return;
	do {
		caller.client = rec->first.attach->client;
		caller.actor = caller.client->opener;
		caller.now = ktime_get_ns();
	} while (!hold_close(rec, &rec->first, &caller, nr));
}

/**
 * bufftrack_attach_close() - drop a closing client's holds on a device
 * @attach: of a client whose file has been released
 *
 * Sleeps between chunks.
 */
void bufftrack_attach_close(struct bt_attach *attach)
{
	struct bt_table *table = attach->share->table;
	struct bt_caller caller = {
		.client = attach->client,
		.actor = attach->client->opener,
		.refs = 1, /* the client's, which stays */
	};
	struct bt_share *foreign;
	unsigned int nr;
	bool left;

	for (nr = 0; nr < BT_SHARDS; nr++) {
		do {
			bt_shard_lock(&table->shards[nr]);
			caller.now = ktime_get_ns();
			close_chunk(attach, nr, &caller, &foreign);
			left = !hlist_empty(&attach->holds[nr]);
			bt_shard_unlock(&table->shards[nr]);
			bufftrack_history_trim(attach->share);
			bt_share_trim(foreign);
			cond_resched();
		} while (left);
	}
}

static void attach_free(struct bt_attach *attach)
{
	struct bt_share *share = attach->share;

	atomic_dec(&(share->parent ?: share)->clients);
	/* A PRIVATE client's keys go with it. */
	if (share->parent)
		bufftrack_history_forget(share);
	bufftrack_share_put(share);
	kfree(attach);
}

/**
 * bufftrack_client_close() - the last reference to the file has gone
 * @client: the client; gone afterwards
 *
 * Drops its holds, each with a LEAK. Whatever ended the task, the file's
 * release calls this at once. May sleep, and does so between many holds.
 */
void bufftrack_client_close(struct bt_client *client)
{
	struct bt_attach *attach;
	unsigned long serial;

	/* Under each shard's lock that comes, who finds its holds sees it. */
	WRITE_ONCE(client->closing, true);
	if (atomic_read(&client->held))
		bufftrack_ring_prepare(client);
	xa_for_each(&client->attaches, serial, attach) {
		bufftrack_attach_close(attach);
		attach_free(attach);
	}
	xa_destroy(&client->attaches);

	bufftrack_event_close(client, atomic64_read(&client->leaks));
	bufftrack_log_close(client);
	bufftrack_ring_leave(client);
	bufftrack_client_remove(client);
}

/* ---- resets --------------------------------------------------------------- */

static DEFINE_SPINLOCK(bt_resets_lock);

/* A reset is about to begin. */
static void reset_note(struct bt_resets *resets, const struct bt_reset *reset)
{
	spin_lock(&bt_resets_lock);
	resets->latest[resets->nr++ % BT_RESETS] = *reset;
	/* Of the count only matters whether some are forgotten, and which is the next. */
	if (resets->nr == 3 * BT_RESETS)
		resets->nr = 2 * BT_RESETS;
	spin_unlock(&bt_resets_lock);
}

/**
 * bufftrack_reset_since() - whether a life would have ended in a reset
 * @resets: of its table, or of its client's attach
 * @rec: the life; its shard's lock is held
 * @time: when it ended by a FREE
 *
 * Return: 1 where a reset that meant it came after that; 0 where none did; -ENOENT where
 * more came after that than are remembered.
 */
int bufftrack_reset_since(const struct bt_resets *resets, const struct bt_record *rec, u64 time)
{
	unsigned int i, after = 0;
	int since = 0;

	spin_lock(&bt_resets_lock);
	for (i = 0; i < min(resets->nr, BT_RESETS); i++) {
		if (resets->latest[i].time <= time)
			continue;
		after++;
		if (bt_reset_meant(&resets->latest[i], rec))
			since = 1;
	}
	if (!since && after == BT_RESETS && resets->nr > BT_RESETS)
		since = -ENOENT;
	spin_unlock(&bt_resets_lock);
	return since;
}

/* What a FREE LAST has left goes in a reset: its holders have not freed it. */
static void held_reset(struct bt_record *rec, struct bt_caller *caller, enum bufftrack_state state,
		       unsigned int nr)
{
	bufftrack_life_settle(rec, nr);
	bufftrack_actor_put(rec->end.actor);
	rec->end.time = caller->now;
	rec->end.actor = bt_actor_give(caller);
	rec->state = state;
	rec->held_reset = 1;
}

/* How many lives ended. The caller has a reference to the table's owner. */
static u64 table_reset(struct bt_table *table, struct bt_caller *caller,
		       const struct bt_reset *reset)
{
	struct bt_pos pos = {};
	struct bt_share *share;
	struct bt_record *rec;
	unsigned int nr;
	u64 lives = 0;

	reset_note(&table->resets, reset);
	for (;;) {
		share = NULL;
		rcu_read_lock();
		rec = bufftrack_table_next(table, &pos);
		if (!rec)
			break;
		if (!IS_ERR(rec) && bt_reset_meant(reset, rec)) {
			/* The key never changes; one that is evicted by now is not LIVE. */
			nr = bt_shard_nr(bt_hash(rec->buffer, rec->space_id));
			bt_shard_lock(&table->shards[nr]);
			/* It may have begun after the reset has. */
			caller->now = ktime_get_ns();
			if (rec->state == BUFFTRACK_STATE_LIVE) {
				bufftrack_life_end(rec, caller, BUFFTRACK_STATE_RESET, nr);
				lives++;
				share = bt_share_of(rec);
			} else if (rec->state == BT_STATE_HELD) {
				held_reset(rec, caller, BUFFTRACK_STATE_RESET, nr);
				share = bt_share_of(rec);
			}
			bt_shard_unlock(&table->shards[nr]);
		}
		rcu_read_unlock();
		bt_share_trim(share);
		cond_resched();
	}
	rcu_read_unlock();
	return lives;
}

/* As table_reset(), of a user's PRIVATE clients. */
static u64 privates_reset(struct bt_share *parent, struct bt_caller *caller,
			  const struct bt_reset *reset)
{
	struct bt_share *share;
	u64 lives = 0, id = 0;

	while ((share = bufftrack_private_next(parent, id))) {
		id = share->private_client;
		lives += table_reset(share->table, caller, reset);
		bufftrack_share_put(share);
	}
	return lives;
}

/**
 * bufftrack_reset() - carry out RESET of a device, whose right ioctl.c has checked
 * @caller: who asked for it
 * @arg: in and out
 *
 * Return: 0, or -ENODEV. Sleeps between records.
 */
int bufftrack_reset(struct bt_caller *caller, struct bufftrack_reset *arg)
{
	struct bt_device *device = bufftrack_device_get(arg->device);
	struct bt_reset reset = {
		.time = caller->now,
		.space_id = arg->space,
		.flags = arg->flags,
	};
	struct bt_share *share = NULL;

	if (!device)
		return -ENODEV;
	arg->lives = table_reset(&device->table, caller, &reset);
	while ((share = bufftrack_share_next(device, share)))
		arg->lives += privates_reset(share, caller, &reset);
	bufftrack_event_reset(caller, arg->device, arg->lives);
	bufftrack_device_put(device);
	return 0;
}

/* ---- the caller's own context ---------------------------------------------- */

/* The client's count in a life goes; the hold stays where others keep the life. */
static struct bt_share *hold_reset(struct bt_record *rec, struct bt_hold *hold,
				   struct bt_caller *caller, unsigned int nr,
				   struct bufftrack_reset *arg)
{
	arg->holds++;
	rec->first.refs -= hold->count;
	hold->count = 0;
	bufftrack_hold_ends(hold, rec);
	if (rec->first.refs)
		return NULL;
	if (rec->state == BT_STATE_HELD) {
		held_reset(rec, caller, BUFFTRACK_STATE_CONTEXT, nr);
	} else {
		arg->lives++;
		bufftrack_life_end(rec, caller, BUFFTRACK_STATE_CONTEXT, nr);
	}
	return bt_share_of(rec);
}

/* One of those that are pending, or none; what is left over goes back to the attach. */
static struct bt_share *reset_one(struct bt_attach *attach, struct bt_caller *caller,
				  unsigned int nr, struct hlist_head *pending,
				  const struct bt_reset *reset, struct bufftrack_reset *arg)
{
	struct bt_hold *hold = hlist_entry_safe(pending->first, struct bt_hold, node);
	struct bt_record *rec;

	if (!hold)
		return NULL;
	rec = hold_record(hold);
	hlist_del(&hold->node);
	hlist_add_head(&hold->node, &attach->holds[nr]);
	if (!hold->count || !bt_reset_meant(reset, rec))
		return NULL;
	return hold_reset(rec, hold, caller, nr, arg);
}

static void attach_reset(struct bt_attach *attach, struct bt_caller *caller,
			 struct bufftrack_reset *arg)
{
	struct bt_table *table = attach->share->table;
	const struct bt_reset reset = {
		.time = caller->now,
		.tag = arg->tag,
		.space_id = arg->space,
		.flags = arg->flags,
	};
	struct hlist_head pending;
	struct bt_share *share;
	unsigned int nr, n;

	reset_note(&attach->resets, &reset);
	for (nr = 0; nr < BT_SHARDS; nr++) {
		INIT_HLIST_HEAD(&pending);
		bt_shard_lock(&table->shards[nr]);
		hlist_move_list(&attach->holds[nr], &pending);
		do {
			share = NULL;
			caller->now = ktime_get_ns();
			for (n = 0; n < BT_CLOSE_CHUNK && pending.first && !share; n++)
				share = reset_one(attach, caller, nr, &pending, &reset, arg);
			bt_shard_unlock(&table->shards[nr]);
			bt_share_trim(share);
			cond_resched();
			bt_shard_lock(&table->shards[nr]);
		} while (pending.first);
		bt_shard_unlock(&table->shards[nr]);
	}
}

/**
 * bufftrack_reset_client() - carry out RESET CLIENT: a context of the caller's is over
 * @caller: the caller
 * @arg: in and out
 *
 * Drops the caller's own holds, of a device, or of all; of lives with a tag, or all.
 * Nobody else's are touched, and nothing leaks. Sleeps between chunks.
 */
void bufftrack_reset_client(struct bt_caller *caller, struct bufftrack_reset *arg)
{
	struct bt_client *client = caller->client;
	struct bt_attach *attach;
	unsigned long serial;

	/* One at a time: each takes the lists of holds to pieces. */
	mutex_lock(&client->lock);
	xa_for_each(&client->attaches, serial, attach)
		if (arg->flags & BUFFTRACK_RESET_ALL || attach->device == arg->device)
			attach_reset(attach, caller, arg);
	mutex_unlock(&client->lock);
	bufftrack_event_reset(caller, arg->device, arg->lives);
}
