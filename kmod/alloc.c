// SPDX-License-Identifier: GPL-2.0
/*
 * ALLOC, judged.
 *
 * A key belongs to one of its table's shards, whose lock covers all that is decided
 * about it. A call looks its record up under that lock. Where it turns out to need
 * memory, it lets go, allocates, and begins again.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "alloc.h"
#include "life.h"
#include "close.h"
#include "log.h"
#include "proof.h"

/* Tombstones given up where there is no memory for a record. */
#define BT_EVICT_CHUNK 64

/* What an ALLOC must allocate before it takes the lock again. */
struct spare {
	struct bt_record *record;
	struct bt_more_hold *hold;
	bool need_record;
	bool need_hold;
};

/*
 * Where the caller's memory cgroup is full, the user's oldest tombstones on the device give
 * way; they come back after a grace period. Where that was in vain, as those may be charged
 * to another cgroup, no more of them do so for a second.
 */
static struct bt_record *record_new_or_evict(struct bt_share *share, const struct bt_key *key)
{
	struct bt_record *rec = bufftrack_record_new(key, BT_GFP);

	if (likely(rec) || time_before(jiffies, READ_ONCE(share->evict_again)) ||
	    fatal_signal_pending(current) || !bufftrack_history_evict(share, BT_EVICT_CHUNK))
		return rec;
	rcu_barrier();
	rec = bufftrack_record_new(key, BT_GFP);
	if (!rec)
		WRITE_ONCE(share->evict_again, jiffies + HZ);
	return rec;
}

static int spare_fill(struct spare *spare, struct bt_share *share, const struct bt_key *key)
{
	if (spare->need_record && !spare->record) {
		spare->record = record_new_or_evict(share, key);
		if (!spare->record)
			return -ENOMEM;
	}
	if (spare->need_hold && !spare->hold) {
		spare->hold = kmalloc(sizeof(*spare->hold), BT_GFP);
		if (!spare->hold)
			return -ENOMEM;
	}
	return 0;
}

/* One ALLOC on its way through. */
struct alloc {
	struct bt_caller *caller;
	struct bt_attach *attach;
	struct bt_space *space; /* NULL for a VIEW or a RETAIN where there is none */
	struct bt_stats *part; /* what it counts in */
	struct bt_key key;
	unsigned int shard_nr;
};

static struct bt_hold *hold_add(struct bt_record *rec, struct bt_attach *attach, unsigned int shard,
				struct bt_actor *actor, struct bt_more_hold **spare)
{
	struct bt_more_hold *more = *spare, **end = &rec->more;

	*spare = NULL;
	more->record = rec;
	more->actor = actor;
	refcount_inc(&actor->refs);
	more->next = NULL;
	more->lent = false;
	while (*end)
		end = &(*end)->next;
	*end = more;
	bt_hold_init(&more->hold, attach, shard, 0, 0);
	return &more->hold;
}

/* Of what is only a number, another user than the life's may take half: the rest is left. */
static bool is_own(const struct bt_record *rec, const struct bt_client *client)
{
	return rec->space->share->user->account == client->user->account;
}

/* Others leave room for the life's own user, and for each other. */
static bool has_room(const struct bt_record *rec, const struct bt_client *client)
{
	const struct bt_user *account = client->user->account;
	const struct bt_more_hold *more;
	unsigned int nr;

	nr = rec->first.attach->client->user->account == account;
	for (more = rec->more; more; more = more->next)
		nr += more->hold.attach->client->user->account == account;
	return nr < (is_own(rec, client) ? BT_MAX_HOLDERS : BT_MAX_FOREIGN);
}

static noinline void life_begin(struct bt_record *rec, struct alloc *alloc, struct bufftrack_op *op)
{
	bt_life_begin(rec, alloc->caller, alloc->attach, alloc->space, alloc->shard_nr,
		      rec->generation, op);
	if (op->flags & BUFFTRACK_F_PERSISTENT)
		rec->flags |= BT_LIFE_PERSISTENT;
}

/* A key that is not known: the record that was allocated comes into the table. */
static int alloc_first(struct alloc *alloc, struct bufftrack_op *op, struct spare *spare,
		       struct bt_record **new)
{
	const struct bt_tally *tally = &alloc->caller->tally;
	struct bt_client *client = alloc->caller->client;
	struct bt_record *rec = spare->record;
	bool several;
	int err;

	/*
	 * Mostly there is one at hand; to wait for it the lock has to go. Of a batch in
	 * which a new key came already more are to be expected.
	 */
	if (likely(!rec)) {
		several = tally->space && tally->fresh;
		rec = bufftrack_record_take(&alloc->caller->spares, several, &alloc->key);
		spare->record = rec;
	}
	if (unlikely(!rec)) {
		spare->need_record = true;
		return -EAGAIN;
	}
	err = bt_held_reserve(client);
	if (err)
		return err;
	err = bufftrack_record_insert(alloc->attach->share->table,
				      &alloc->attach->share->spaces.by_id, rec, alloc->key.hash);
	if (err) {
		atomic_dec(&client->held);
		return -EBUSY;
	}
	spare->record = NULL;
	life_begin(rec, alloc, op);
	*new = rec;
	return 0;
}

/* A life begins on a tombstone; what a FREE LAST has left over goes. */
static int alloc_again(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op)
{
	int err = bt_held_reserve(alloc->caller->client);

	if (err)
		return err;
	bt_caller_flush(alloc->caller);
	if (rec->state == BT_STATE_HELD)
		bufftrack_life_settle(rec, alloc->shard_nr);
	life_begin(rec, alloc, op);
	return 0;
}

/* A further reference to a life. */
static int alloc_more(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op,
		      struct spare *spare)
{
	struct bt_client *client = alloc->caller->client;
	struct bt_hold *hold = bufftrack_hold_find(rec, client);
	int err;

	if (!hold && !has_room(rec, client))
		return -ENOSPC;
	if (!hold && !spare->hold) {
		spare->need_hold = true;
		return -EAGAIN;
	}
	if (rec->first.refs >= (is_own(rec, client) ? U32_MAX : U32_MAX / 2))
		return -EOVERFLOW;
	if (!hold || !hold->count) {
		err = bt_held_reserve(client);
		if (err)
			return err;
	}
	bt_caller_flush(alloc->caller);
	if (op->verdict == BUFFTRACK_OK && op->size != rec->size)
		op->verdict = BUFFTRACK_SIZE_MISMATCH;
	if (!hold)
		hold = hold_add(rec, alloc->attach, alloc->shard_nr, alloc->caller->actor,
				&spare->hold);
	if (!hold->count++)
		bufftrack_hold_begins(hold, rec);
	rec->first.refs++;
	bufftrack_count(BT_SHARED, alloc->part, client->user, client);
	return 0;
}

/*
 * EXCLUSIVE, and the key is live: the free of that life never came. Another user's life is
 * not ended: it has a further reference.
 */
static int alloc_missed(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op,
			struct spare *spare, enum bt_named *named)
{
	struct bt_client *client = alloc->caller->client;
	struct bt_hold *hold = bufftrack_hold_find(rec, client);
	u32 info = bufftrack_someone_closing(rec) ? BUFFTRACK_INFO_CLOSING : 0;
	int err;

	op->verdict = BUFFTRACK_MISSED_FREE;
	if (rec->space->share->user != client->user) {
		err = alloc_more(alloc, rec, op, spare);
	} else {
		/* bufftrack_life_end() gives the caller's own place back. */
		err = 0;
		if (hold && hold->count)
			atomic_inc(&client->held);
		else
			err = bt_held_reserve(client);
		if (!err) {
			info |= rec->undone ? BUFFTRACK_INFO_UNDONE : 0;
			info |= rec->views ? BUFFTRACK_INFO_VIEWS_LEFT : 0;
			bufftrack_life_end(rec, alloc->caller, BUFFTRACK_STATE_MISSED,
					   alloc->shard_nr);
			life_begin(rec, alloc, op);
			/* What was not freed is then the life before. */
			*named = BT_NAMED_PREV;
		}
	}
	if (err)
		op->verdict = BUFFTRACK_OK;
	else
		op->info |= info;
	return err;
}

/* SAME: the client may hold it already. */
static int alloc_same(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op,
		      struct spare *spare)
{
	struct bt_client *client = alloc->caller->client;
	struct bt_hold *hold = bufftrack_hold_find(rec, client);

	if (!hold || !hold->count)
		return alloc_more(alloc, rec, op, spare);
	bt_caller_flush(alloc->caller);
	if (op->size != rec->size)
		op->verdict = BUFFTRACK_SIZE_MISMATCH;
	/* As a view: it adds no reference. */
	bufftrack_count(BT_VIEWS, alloc->part, client->user, client);
	return 0;
}

static int alloc_view(struct bt_record *rec, const struct bt_client *client)
{
	u32 most = is_own(rec, client) ? BT_MAX_VIEWS : BT_MAX_VIEWS / 2;

	if (rec->views >= most)
		return -EOVERFLOW;
	rec->views++;
	return 0;
}

/* VIEW and RETAIN are of a life that is live; with a token, of that one. */
static bool is_dangling(const struct bt_record *rec, const struct bufftrack_op *op)
{
	return !rec || rec->state != BUFFTRACK_STATE_LIVE ||
	       (op->token && op->token != rec->generation);
}

/*
 * Any ALLOC, under the lock. Returns 0 with the verdict in @op, an errno that
 * changed nothing, -EAGAIN where @spare has not what it needs, or -EBUSY where the
 * table has no room until a worker has made it larger.
 */
static int alloc_locked(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op,
			struct spare *spare, struct bt_bad *bad)
{
	struct bt_caller *caller = alloc->caller;
	enum bt_named named = BT_NAMED_LAST;
	struct bt_share *share = alloc->attach->share;
	int err = 0;

	if (rec && rec->state == BUFFTRACK_STATE_LIVE)
		bufftrack_life_exit(rec, alloc->shard_nr);
	if (op->flags & (BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN) && is_dangling(rec, op)) {
		op->verdict = BUFFTRACK_DANGLING;
		named = rec ? bufftrack_life_named(share->table, rec, op->token) : BT_NAMED_NEVER;
	} else if (op->flags & BUFFTRACK_F_VIEW) {
		err = alloc_view(rec, caller->client);
	} else if (!rec) {
		err = alloc_first(alloc, op, spare, &rec);
	} else if (rec->state != BUFFTRACK_STATE_LIVE) {
		err = alloc_again(alloc, rec, op);
	} else if (op->flags & BUFFTRACK_F_EXCLUSIVE) {
		err = alloc_missed(alloc, rec, op, spare, &named);
	} else if (op->flags & BUFFTRACK_F_SAME) {
		err = alloc_same(alloc, rec, op, spare);
	} else {
		err = alloc_more(alloc, rec, op, spare);
	}
	if (err)
		return err;

	if (op->verdict != BUFFTRACK_OK)
		op->info = bufftrack_proof(caller, share->table, rec, named, op);
	bufftrack_answer(op, caller->client, rec);
	if (op->verdict != BUFFTRACK_OK)
		bt_verdict_tell(caller, share, rec, named, op, bad);
	if (tracepoint_enabled(bufftrack_alloc) && op->verdict != BUFFTRACK_DANGLING)
		bufftrack_event_use(caller, rec, op, true);
	return 0;
}

/*
 * Supply what was missing, outside the lock: memory, or the time in which a table grows.
 * An errno where it cannot be had. What others have done to the key meanwhile was before.
 */
static int supply(struct alloc *alloc, struct spare *spare, int need, int *tries)
{
	int err = 0;

	bt_caller_flush(alloc->caller);
	if (need == -EAGAIN)
		err = spare_fill(spare, alloc->attach->share, &alloc->key);
	else if (!(*tries)--)
		err = -ENOMEM;
	else
		fsleep(1000);
	alloc->caller->now = ktime_get_ns();
	return err;
}

static bool is_need(int err)
{
	return err == -EAGAIN || err == -EBUSY;
}

static int alloc_failed(int err)
{
	if (err == -ENOMEM || err == -ENOSPC)
		atomic64_inc(&bufftrack_failed);
	return err;
}

/* Any ALLOC but the ordinary one, which found @rec and has locked its shard. */
static noinline int alloc_slow(struct bt_caller *caller, struct bt_attach *attach,
			       struct bt_space *space, struct bt_record *rec,
			       struct bufftrack_op *op)
	__releases(&attach->share->table->shards[].lock)
{
	struct bt_key key = bt_key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
	struct alloc alloc = {
		.caller = caller,
		.attach = attach,
		.space = space,
		.part = space ? space->stats : bufftrack_part_stats(attach->share, op->space),
		.key = key,
		.shard_nr = nr,
	};
	struct bt_table *table = attach->share->table;
	struct spare spare = {};
	struct bt_bad bad BT_UNINIT; /* filled where there is a bad verdict only */
	int tries = 20;
	int err;

	for (;;) {
		err = alloc_locked(&alloc, rec, op, &spare, &bad);
		bt_shard_unlock(&table->shards[nr]);
		if (likely(!is_need(err)))
			break;
		err = supply(&alloc, &spare, err, &tries);
		if (err)
			break;
		bt_shard_lock(&table->shards[nr]);
		rec = bt_record_find(table, key);
	}
	bufftrack_record_free(spare.record);
	kfree(spare.hold);
	if (err)
		return alloc_failed(err);
	if (unlikely(op->verdict != BUFFTRACK_OK || op->flags & BUFFTRACK_F_VIEW)) {
		bt_caller_flush(caller);
		bufftrack_verdict_end(caller, alloc.part, op, &bad);
	}
	return 0;
}

/* A VIEW on a device that the client's user has not used. */
static noinline int alloc_nowhere(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_bad bad BT_UNINIT;

	op->verdict = BUFFTRACK_DANGLING;
	op->info = bufftrack_proof_nowhere(caller->client, op->device);
	bt_verdict_tell(caller, NULL, NULL, BT_NAMED_NEVER, op, &bad);
	bufftrack_verdict_end(caller, NULL, op, &bad);
	return 0;
}

/*
 * Where an ALLOC is to be: the client's attach and its user's space, which come
 * into being with the first one. A refused ALLOC must not bring them into being:
 * -ENOSPC where the limit says at once that it will be. A VIEW or a RETAIN brings no space, and
 * has no attach (NULL) on a device that is not known.
 */
static noinline struct bt_attach *
alloc_place(struct bt_client *client, const struct bufftrack_op *op, struct bt_space **space)
{
	struct bt_attach *attach;

	WRITE_ONCE(client->used, true);
	if (op->flags & (BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN))
		return bufftrack_attach_make_known(client, op->device);

	if ((unsigned int)atomic_read(&client->held) >= READ_ONCE(bufftrack_max_buffers))
		return ERR_PTR(-ENOSPC);
	attach = bufftrack_attach_make(client, op->device);
	if (IS_ERR(attach))
		return attach;
	*space = bufftrack_space_get(&attach->share->spaces, op->space);
	return IS_ERR(*space) ? ERR_CAST(*space) : attach;
}

/* The first ALLOC of a client in a space. */
static noinline int alloc_begin(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_space *space = NULL;
	struct bt_key key = bt_key_of(op);
	struct bt_attach *attach;
	struct bt_table *table;

	attach = alloc_place(caller->client, op, &space);
	if (IS_ERR(attach))
		return alloc_failed(PTR_ERR(attach));
	if (!attach)
		return alloc_nowhere(caller, op);
	/* It may have waited for memory. */
	caller->now = ktime_get_ns();
	table = attach->share->table;
	bt_shard_lock(&table->shards[bt_shard_nr(key.hash)]);
	return alloc_slow(caller, attach, space, bt_record_find(table, key), op);
}

/**
 * bufftrack_alloc() - judge one ALLOC
 * @caller: who, and when
 * @op: the report, its inputs checked by ioctl.c, its outputs 0; the answer
 *
 * Return: 0; or -ENOMEM, -ENOSPC, -EOVERFLOW: nothing was changed. May sleep.
 * Takes the shard's lock.
 */
int bufftrack_alloc(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_client *client = caller->client;
	struct bt_key key = bt_key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
	struct bt_space *space = NULL;
	struct bt_attach *attach;
	struct bt_record *rec;
	struct bt_shard *shard;

	attach = bufftrack_attach_find(client, op->device);
	if (likely(attach))
		space = bt_attach_space(attach, op->space);
	if (unlikely(!space))
		return alloc_begin(caller, op);

	shard = &attach->share->table->shards[nr];
	bt_shard_lock(shard);
	rec = bt_record_find(attach->share->table, key);
	/* The ordinary one begins a life on a tombstone. */
	if (unlikely(!rec || !bt_is_tombstone(rec) ||
		     op->flags & ~(BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED) ||
		     bt_held_reserve(client)))
		return alloc_slow(caller, attach, space, rec, op);
	bt_life_begin(rec, caller, attach, space, nr, true, op);
	if (tracepoint_enabled(bufftrack_alloc))
		bufftrack_event_use(caller, rec, op, true);
	bt_shard_unlock(shard);
	return 0;
}
