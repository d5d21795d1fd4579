// SPDX-License-Identifier: GPL-2.0
/*
 * Records, and the verdicts.
 *
 * A key belongs to one of its table's shards, whose lock covers all that is
 * decided about it. A call looks its record up under that lock. Where it turns
 * out to need memory, it lets go, allocates, and begins again.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "bufftrack.h"
#include "compat.h"
#include "hash.h"
#include "tomb.h"

/* Holds dropped in one go before a close lets others run. */
#define BT_CLOSE_CHUNK 64

static struct kmem_cache *bt_record_cache;
static atomic64_t bt_last_block = ATOMIC64_INIT(-1);
u64 bufftrack_hash_secret[3] __ro_after_init;

/* ---- the table ------------------------------------------------------------ */

struct bt_key {
	u64 buffer;
	u32 space_id;
	u32 hash;
};

static inline struct bt_key key_of(const struct bufftrack_op *op)
{
	return (struct bt_key){
		.buffer = op->buffer,
		.space_id = op->space,
		.hash = bt_hash(op->buffer, op->space),
	};
}

static inline u32 key_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_key *)data)->hash;
}

static inline u32 record_hashfn(const void *data, u32 len, u32 seed)
{
	const struct bt_record *rec = data;

	return bt_hash(rec->buffer, rec->space_id);
}

static inline int record_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct bt_key *key = arg->key;
	const struct bt_record *rec = obj;

	return rec->buffer != key->buffer || rec->space_id != key->space_id;
}

static const struct rhashtable_params bt_record_params = {
	.head_offset = offsetof(struct bt_record, node),
	.key_len = sizeof(struct bt_key),
	.hashfn = key_hashfn,
	.obj_hashfn = record_hashfn,
	.obj_cmpfn = record_cmpfn,
	.automatic_shrinking = true,
};

/* bufftrack_table_init - 0 or -ENOMEM */
int bufftrack_table_init(struct bt_table *table)
{
	int i;

	for (i = 0; i < BT_SHARDS; i++)
		spin_lock_init(&table->shards[i].lock);
	return rhashtable_init(&table->records, &bt_record_params);
}

/* bufftrack_table_destroy - its records are gone: each pinned it */
void bufftrack_table_destroy(struct bt_table *table)
{
	WARN_ON(atomic_read(&table->records.nelems));
	rhashtable_destroy(&table->records);
}

/*
 * A tombstone of this namespace was given up, so there may have been a life. It never
 * comes back to 0; an eviction that is not seen yet is after this call.
 */
static bool table_lost(const struct bt_table *table)
{
	return atomic64_read(&table->evicted);
}

/*
 * RCU is for the table's other entries, which others may evict. A spinlock makes a
 * section that RCU waits for as well; but lockdep wants to hear it.
 */
static inline void shard_lock(struct bt_shard *shard)
{
	if (IS_ENABLED(CONFIG_PROVE_RCU))
		rcu_read_lock();
	spin_lock(&shard->lock);
}

static inline void shard_unlock(struct bt_shard *shard)
{
	spin_unlock(&shard->lock);
	if (IS_ENABLED(CONFIG_PROVE_RCU))
		rcu_read_unlock();
}

/* noinline: the key need not be in memory but for this. */
static noinline struct bt_record *record_find_resizing(struct bt_table *table, struct bt_key key)
{
	return rhashtable_lookup(&table->records, &key, bt_record_params);
}

/*
 * The key's record, or NULL, with the shard's lock held: nobody else brings the key
 * into the table or takes it out. Where no resize is under way, one look at its
 * bucket tells; an entry that a resize leads to is told apart by its key, as any.
 */
static __always_inline struct bt_record *record_find(struct bt_table *table, struct bt_key key)
{
	struct rhashtable *ht = &table->records;
	const struct bucket_table *tbl = rht_dereference_rcu(ht->tbl, ht);
	struct rhash_head *head;
	struct bt_record *rec;

	rht_for_each_entry_rcu(rec, head, tbl, key.hash & (tbl->size - 1), node)
		if (rec->buffer == key.buffer && rec->space_id == key.space_id)
			return rec;
	/* As rhashtable_lookup(): entries move only after this was set. */
	smp_rmb();
	if (likely(!rcu_access_pointer(tbl->future_tbl)))
		return NULL;
	return record_find_resizing(table, key);
}

/* ---- records -------------------------------------------------------------- */

/* Charged to the caller. */
static struct bt_record *record_new(const struct bt_key *key, gfp_t gfp)
{
	struct bt_record *rec = kmem_cache_zalloc(bt_record_cache, gfp);

	if (likely(rec)) {
		rec->buffer = key->buffer;
		rec->space_id = key->space_id;
	}
	return rec;
}

/*
 * Where the caller's memory cgroup is full, the user's oldest tombstones on the
 * device give way; they come back after a grace period.
 */
static struct bt_record *record_new_or_evict(struct bt_share *share, const struct bt_key *key)
{
	struct bt_record *rec;
	int tries = 4;

	while (!(rec = record_new(key, BT_GFP))) {
		if (!tries-- || fatal_signal_pending(current) ||
		    !bufftrack_history_evict(share, BT_CLOSE_CHUNK))
			return NULL;
		rcu_barrier();
	}
	return rec;
}

static void record_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(bt_record_cache, container_of(rcu, struct bt_record, rcu));
}

/**
 * bufftrack_record_remove() - forget a tombstone
 * @rec: dead, in its share's list of tombstones no more; the shard's lock is
 *	held, and RCU or a reference keeps its share
 */
void bufftrack_record_remove(struct bt_record *rec)
{
	struct bt_share *share = rec->space->share;

	rhashtable_remove_fast(&share->table->records, &rec->node, bt_record_params);
	/* Walks that stand on it take the lock and look at this. */
	rec->state = BUFFTRACK_STATE_NONE;
	bufftrack_actor_put(rec->alloc[0].actor);
	bufftrack_actor_put(rec->alloc[1].actor);
	bufftrack_actor_put(rec->prev_end.actor);
	bufftrack_actor_put(rec->end.actor);
	call_rcu(&rec->rcu, record_free_rcu);
	bufftrack_share_put(share);
}

/*
 * References to the caller's actor go to a record and come back from it, mostly one
 * for one: the caller hands on what came back.
 */
static inline struct bt_actor *actor_give(struct bt_caller *caller)
{
	if (likely(caller->refs > 1))
		caller->refs--;
	else
		refcount_inc(&caller->actor->refs);
	return caller->actor;
}

static inline void actor_take_back(struct bt_caller *caller, struct bt_actor *actor)
{
	if (likely(actor == caller->actor))
		caller->refs++;
	else
		bufftrack_actor_put(actor);
}

/* In place of an event of two lives ago: mostly the actor is the same one. */
static inline void when_set(struct bt_when *when, struct bt_caller *caller)
{
	struct bt_actor *old = when->actor;

	if (unlikely(old != caller->actor)) {
		when->actor = actor_give(caller);
		bufftrack_actor_put(old);
	}
	when->time = caller->now;
}

/* bufftrack_prev_generation - of the life before, 0 where that is not known */
u64 bufftrack_prev_generation(const struct bt_record *rec)
{
	return rec->prev_delta ? rec->generation - rec->prev_delta : 0;
}

/* The next generation of a record: from its block, or the first of a new one. */
static void generation_next(struct bt_record *rec)
{
	u64 prev = rec->generation;

	rec->generation++;
	if (!(rec->generation & (BT_GEN_BLOCK - 1)) || !prev) {
		rec->generation = atomic64_inc_return(&bt_last_block) * BT_GEN_BLOCK + 1;
		if (prev)
			rec->bits |= BT_RECORD_REBASED;
	}
	/* A previous one too far away is as one that is not known. */
	if (prev && rec->generation - prev <= U32_MAX)
		rec->prev_delta = rec->generation - prev;
	else
		rec->prev_delta = 0;
}

/* ---- holds ---------------------------------------------------------------- */

static struct bt_record *hold_record(struct bt_hold *hold)
{
	if (hold->more)
		return container_of(hold, struct bt_more_hold, hold)->record;
	return container_of(hold, struct bt_record, first);
}

static inline void hold_init(struct bt_hold *hold, struct bt_attach *attach, unsigned int shard,
			     bool more)
{
	hold->attach = attach;
	hold->count = 0;
	hold->more = more;
	hlist_add_head(&hold->node, &attach->holds[shard]);
}

static struct bt_hold *hold_find(struct bt_record *rec, const struct bt_client *client)
{
	struct bt_more_hold *more;

	if (rec->first.attach && rec->first.attach->client == client)
		return &rec->first;
	for (more = rec->more; more; more = more->next)
		if (more->hold.attach->client == client)
			return &more->hold;
	return NULL;
}

/* The oldest holder who still has a count. */
static struct bt_hold *hold_oldest(struct bt_record *rec)
{
	struct bt_more_hold *more;

	if (rec->first.attach && rec->first.count)
		return &rec->first;
	for (more = rec->more; more; more = more->next)
		if (more->hold.count)
			return &more->hold;
	return NULL;
}

static struct bt_hold *hold_add(struct bt_record *rec, struct bt_attach *attach, unsigned int shard,
				struct bt_more_hold **spare)
{
	struct bt_more_hold *more = *spare, **end = &rec->more;

	if (!rec->first.attach) {
		hold_init(&rec->first, attach, shard, false);
		return &rec->first;
	}
	*spare = NULL;
	more->record = rec;
	more->next = NULL;
	while (*end)
		end = &(*end)->next;
	*end = more;
	hold_init(&more->hold, attach, shard, true);
	return &more->hold;
}

/* A hold comes to have a count, or to have none: what its client counts. */
static void hold_begins(struct bt_hold *hold, const struct bt_record *rec)
{
	bt_stats_bytes(&hold->attach->client->stats, rec->size, rec->size);
}

static void hold_ends(struct bt_hold *hold, const struct bt_record *rec)
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

static inline void hold_remove(struct bt_record *rec, struct bt_hold *hold)
{
	if (hold->count)
		hold_ends(hold, rec);
	hlist_del(&hold->node);
	if (likely(hold == &rec->first && !rec->more))
		hold->attach = NULL;
	else
		hold_remove_more(rec, hold);
}

/*
 * Make sure of what a first hold needs, before anything is changed: a place
 * within the client's limit, which is taken. -ENOSPC where there is none: of two at
 * once for the last place both may be refused, never both let in.
 */
static inline int held_inc(struct bt_client *client)
{
	unsigned int max = READ_ONCE(bufftrack_max_buffers);

	if (likely((unsigned int)atomic_inc_return(&client->held) <= max))
		return 0;
	atomic_dec(&client->held);
	return -ENOSPC;
}

/* ---- the tally -------------------------------------------------------------- */

/**
 * bufftrack_tally_flush() - count what a caller's ordinary calls came to
 * @caller: the caller, before it answers, and before it counts anything else
 */
void bufftrack_tally_flush(struct bt_caller *caller)
{
	struct bt_tally *tally = &caller->tally;
	struct bt_client *client = caller->client;
	struct bt_space *space = tally->space;
	struct bt_stats *user;

	if (!space)
		return;
	user = &client->user->stats;
	if (tally->revived) {
		bt_stats_add(space->stats, revived, tally->revived);
		bt_stats_add(user, revived, tally->revived);
		bt_stats_add(&client->stats, revived, tally->revived);
	}
	if (unlikely(tally->fresh)) {
		bt_stats_add(space->stats, fresh, tally->fresh);
		bt_stats_add(user, fresh, tally->fresh);
		bt_stats_add(&client->stats, fresh, tally->fresh);
	}
	if (tally->freed) {
		bt_stats_add(space->stats, freed, tally->freed);
		bt_stats_add(user, freed, tally->freed);
		bt_stats_add(&client->stats, freed, tally->freed);
	}
	bt_stats_bytes(space->stats, tally->bytes, tally->high);
	bt_stats_bytes(space->share->stats, tally->bytes, tally->high);
	bt_stats_bytes(user, tally->bytes, tally->high);
	bt_stats_bytes(&client->stats, tally->bytes, tally->high);
	tally->space = NULL;
}

/* The tally, for a call in this space of the caller's own user. */
static inline struct bt_tally *tally_of(struct bt_caller *caller, struct bt_space *space)
{
	if (unlikely(caller->tally.space != space)) {
		bufftrack_tally_flush(caller);
		caller->tally = (struct bt_tally){ .space = space };
	}
	return &caller->tally;
}

static inline void tally_bytes(struct bt_caller *caller, s64 delta)
{
	struct bt_tally *tally = &caller->tally;

	tally->bytes += delta;
	if (tally->bytes > tally->high)
		tally->high = tally->bytes;
}

/* The record comes to the user who allocates it, from nobody or another. */
static noinline void space_change(struct bt_record *rec, struct bt_caller *caller,
				  struct bt_space *space)
{
	struct bt_space *from = rec->space;

	if (from) {
		bt_stats_add(from->stats, forgotten, 1);
		bt_stats_add(&from->share->user->stats, forgotten, 1);
		bufftrack_share_put(from->share);
	}
	refcount_inc(&space->share->refs);
	rec->space = space;
	tally_of(caller, space)->fresh++;
}

/* ---- lives ---------------------------------------------------------------- */

/* A new life on a record that is new or a tombstone; no hold yet. */
static __always_inline void life_begin(struct bt_record *rec, struct bt_caller *caller,
				       struct bt_space *space, const struct bufftrack_op *op,
				       unsigned int shard)
{
	if (likely(rec->lives)) {
		bt_tomb_del(rec, shard);
		actor_take_back(caller, rec->prev_end.actor);
		rec->prev_end = rec->end;
		rec->prev_state = rec->state;
		rec->bits ^= BT_RECORD_SLOT;
	}
	if (likely(rec->space == space))
		tally_of(caller, space)->revived++;
	else
		space_change(rec, caller, space);
	tally_bytes(caller, op->size);
	generation_next(rec);
	if (likely(rec->lives != U32_MAX))
		rec->lives++;
	rec->state = BUFFTRACK_STATE_LIVE;
	rec->flags = op->flags & (BUFFTRACK_F_SHARED | BUFFTRACK_F_EXCLUSIVE);
	rec->size = op->size;
	rec->tag = op->tag;
	rec->refs = 0;
	rec->views = 0;
	rec->first.attach = NULL;
	rec->more = NULL;
	when_set(&rec->alloc[bt_slot(rec)], caller);
}

/* Its holds are gone: it has its end where it had them. */
static inline void life_over(struct bt_record *rec, struct bt_caller *caller,
			     enum bufftrack_state state, unsigned int shard)
{
	rec->refs = 0;
	rec->state = state;
	rec->end.time = caller->now;
	rec->end.actor = actor_give(caller);
	bt_tomb_add(rec, shard);
}

/* The holds that are left, of count 0 but in a reset or a missed free, go. */
static noinline void life_end(struct bt_record *rec, struct bt_caller *caller,
			      enum bufftrack_state state, unsigned int shard)
{
	struct bt_space *space = rec->space;
	struct bt_share *share = space->share;

	bufftrack_tally_flush(caller);
	while (rec->first.attach)
		hold_remove(rec, &rec->first);
	bt_stats_add(space->stats, ended, 1);
	bt_stats_add(&share->user->stats, ended, 1);
	bt_stats_bytes(space->stats, -rec->size, 0);
	bt_stats_bytes(share->stats, -rec->size, 0);
	bt_stats_bytes(&share->user->stats, -rec->size, 0);
	if (state == BUFFTRACK_STATE_FREED && likely(rec->frees != U32_MAX))
		rec->frees++;
	life_over(rec, caller, state, shard);
}

/* ---- counting and answering ------------------------------------------------ */

/*
 * A call counts for its client, the client's user, and the user's part of the
 * device: the space, or the share where its user never had an ALLOC there. A space
 * is published complete, by xa_store(), and stays with the share.
 */
static struct bt_stats *part_stats(struct bt_share *share, u32 space_id)
{
	struct bt_space *space;

	share = share->parent ?: share;
	space = xa_load(&share->spaces, space_id);
	return likely(space) ? space->stats : share->stats;
}

static void count_shared(struct bt_client *client, struct bt_stats *part)
{
	bt_stats_add(part, shared, 1);
	bt_stats_add(&client->user->stats, shared, 1);
	bt_stats_add(&client->stats, shared, 1);
}

static void count_dropped(struct bt_client *client, struct bt_stats *part)
{
	bt_stats_add(part, dropped, 1);
	bt_stats_add(&client->user->stats, dropped, 1);
	bt_stats_add(&client->stats, dropped, 1);
}

static void count_view(struct bt_client *client, struct bt_stats *part)
{
	if (part)
		bt_stats_add(part, views, 1);
	bt_stats_add(&client->user->stats, views, 1);
	bt_stats_add(&client->stats, views, 1);
}

/* A bad one. Comes after the call itself was counted, if it was. */
static void count_verdict(struct bt_client *client, struct bt_stats *part, u32 verdict)
{
	smp_wmb(); /* bufftrack_stats_read() */
	if (part)
		atomic64_inc(&part->verdicts[verdict]);
	atomic64_inc(&client->user->stats.verdicts[verdict]);
	atomic64_inc(&client->stats.verdicts[verdict]);
}

/*
 * The generation and the references of a life are for its holders, its user,
 * and those who may see all.
 */
static inline void answer(struct bufftrack_op *op, const struct bt_client *client,
			  struct bt_record *rec)
{
	if (unlikely(!rec))
		return;
	if (unlikely(rec->space->share->user != client->user) &&
	    !(rec->state == BUFFTRACK_STATE_LIVE && hold_find(rec, client)) &&
	    !bufftrack_may_see(NULL))
		return;
	op->generation = rec->generation;
	op->refs = rec->refs;
}

/* The space of the attach's share, where it has it; it stays as long as the share. */
static struct bt_space *space_find(struct bt_attach *attach, u32 id)
{
	/* Acquire: pairs with the release below, so that the space is complete. */
	struct bt_space *space = smp_load_acquire(&attach->space);

	if (likely(space && space->id == id))
		return space;
	space = xa_load(&attach->share->spaces, id);
	if (space)
		/* Pairs with the acquire above. */
		smp_store_release(&attach->space, space);
	return space;
}

/* What a call of the attach's client counts in, beside the client and the user. */
static inline struct bt_stats *attach_stats(struct bt_attach *attach, u32 space_id)
{
	struct bt_space *space = space_find(attach, space_id);

	return likely(space) ? space->stats : part_stats(attach->share, space_id);
}

/* ---- ALLOC ---------------------------------------------------------------- */

/* What an ALLOC must allocate before it takes the lock again. */
struct spare {
	struct bt_record *record;
	struct bt_more_hold *hold;
	bool need_record;
	bool need_hold;
};

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
	struct bt_space *space; /* NULL for a VIEW where there is none */
	struct bt_key key;
	unsigned int shard_nr;
};

/* A life on a record that is new or dead, with the caller's first hold. */
static __always_inline void life_take(struct bt_record *rec, struct bt_caller *caller,
				      struct bt_attach *attach, struct bt_space *space,
				      unsigned int shard, struct bufftrack_op *op)
{
	life_begin(rec, caller, space, op, shard);
	hold_init(&rec->first, attach, shard, false);
	rec->first.count = 1;
	rec->refs = 1;
	op->generation = rec->generation;
	op->refs = 1;
}

static noinline void life_take_slow(struct bt_record *rec, struct alloc *alloc,
				    struct bufftrack_op *op)
{
	life_take(rec, alloc->caller, alloc->attach, alloc->space, alloc->shard_nr, op);
}

/* A key that is not known: the record that was allocated comes into the table. */
static int alloc_first(struct alloc *alloc, struct bufftrack_op *op, struct spare *spare,
		       struct bt_record **new)
{
	struct bt_client *client = alloc->caller->client;
	struct bt_record *rec = spare->record;
	int err;

	/* Mostly there is one at hand; to wait for it the lock has to go. */
	if (likely(!rec)) {
		rec = record_new(&alloc->key, BT_GFP_LOCKED);
		spare->record = rec;
	}
	if (unlikely(!rec)) {
		spare->need_record = true;
		return -EAGAIN;
	}
	err = held_inc(client);
	if (err)
		return err;
	err = rhashtable_insert_fast(&alloc->attach->share->table->records, &rec->node,
				     bt_record_params);
	if (err) {
		atomic_dec(&client->held);
		return -EBUSY;
	}
	spare->record = NULL;
	life_take_slow(rec, alloc, op);
	*new = rec;
	return 0;
}

/* A further reference to a life. */
static int alloc_more(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op,
		      struct spare *spare)
{
	struct bt_client *client = alloc->caller->client;
	struct bt_hold *hold = hold_find(rec, client);
	int err;

	if (!hold && rec->first.attach && !spare->hold) {
		spare->need_hold = true;
		return -EAGAIN;
	}
	if (rec->refs == U32_MAX)
		return -EOVERFLOW;
	if (!hold || !hold->count) {
		err = held_inc(client);
		if (err)
			return err;
	}
	bufftrack_tally_flush(alloc->caller);
	if (op->size != rec->size)
		op->verdict = BUFFTRACK_SIZE_MISMATCH;
	if (!hold)
		hold = hold_add(rec, alloc->attach, alloc->shard_nr, &spare->hold);
	if (!hold->count++)
		hold_begins(hold, rec);
	rec->refs++;
	count_shared(client, alloc->space->stats);
	return 0;
}

/* EXCLUSIVE, and the key is live: the free of that life never came. */
static int alloc_missed(struct alloc *alloc, struct bt_record *rec, struct bufftrack_op *op)
{
	struct bt_client *client = alloc->caller->client;
	struct bt_hold *hold = hold_find(rec, client);
	int err;

	if (!(hold && hold->count)) {
		err = held_inc(client);
		if (err)
			return err;
	} else {
		/* life_end() gives the place back. */
		atomic_inc(&client->held);
	}
	op->verdict = BUFFTRACK_MISSED_FREE;
	life_end(rec, alloc->caller, BUFFTRACK_STATE_MISSED, alloc->shard_nr);
	life_take_slow(rec, alloc, op);
	return 0;
}

static int alloc_view(struct bt_record *rec, struct bufftrack_op *op)
{
	if (!rec || rec->state != BUFFTRACK_STATE_LIVE) {
		op->verdict = BUFFTRACK_DANGLING_VIEW;
		return 0;
	}
	if (rec->views == U32_MAX)
		return -EOVERFLOW;
	rec->views++;
	return 0;
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
	int err;

	if (op->flags & BUFFTRACK_F_VIEW) {
		err = alloc_view(rec, op);
	} else if (!rec) {
		err = alloc_first(alloc, op, spare, &rec);
	} else if (rec->state != BUFFTRACK_STATE_LIVE) {
		err = held_inc(caller->client);
		if (!err)
			life_take_slow(rec, alloc, op);
	} else if (op->flags & BUFFTRACK_F_EXCLUSIVE) {
		/* What was not freed is then the life before. */
		named = BT_NAMED_PREV;
		err = alloc_missed(alloc, rec, op);
	} else {
		err = alloc_more(alloc, rec, op, spare);
	}
	if (err)
		return err;

	answer(op, caller->client, rec);
	if (op->verdict != BUFFTRACK_OK)
		bufftrack_report_bad(caller, alloc->attach->share, rec, named, op, bad);
	if (tracepoint_enabled(bufftrack_alloc) && op->verdict != BUFFTRACK_DANGLING_VIEW)
		bufftrack_report_use(caller, rec, op, true);
	return 0;
}

/* Whether to look once more: with what it needs, which may have changed by then. */
static bool alloc_again(struct alloc *alloc, struct spare *spare, int *err, int *tries)
{
	if (*err == -EAGAIN) {
		/* Memory may be waited for. */
		bufftrack_tally_flush(alloc->caller);
		*err = spare_fill(spare, alloc->attach->share, &alloc->key);
		return !*err;
	}
	if (*err != -EBUSY)
		return false;
	if (!(*tries)--) {
		*err = -ENOMEM;
		return false;
	}
	fsleep(1000);
	return true;
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
	struct bt_key key = key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
	struct alloc alloc = {
		.caller = caller,
		.attach = attach,
		.space = space,
		.key = key,
		.shard_nr = nr,
	};
	struct bt_table *table = attach->share->table;
	struct spare spare = {};
	struct bt_bad bad BT_UNINIT; /* filled where there is a bad verdict only */
	struct bt_stats *part;
	int tries = 20;
	int err;

	for (;;) {
		err = alloc_locked(&alloc, rec, op, &spare, &bad);
		shard_unlock(&table->shards[nr]);
		if (likely(!err) || !alloc_again(&alloc, &spare, &err, &tries))
			break;
		shard_lock(&table->shards[nr]);
		rec = record_find(table, key);
	}
	if (unlikely(spare.record))
		kmem_cache_free(bt_record_cache, spare.record);
	kfree(spare.hold);
	if (err)
		return alloc_failed(err);
	if (likely(op->verdict == BUFFTRACK_OK && !(op->flags & BUFFTRACK_F_VIEW)))
		return 0;

	bufftrack_tally_flush(caller);
	part = space ? space->stats : part_stats(attach->share, op->space);
	if (op->verdict != BUFFTRACK_OK) {
		count_verdict(caller->client, part, op->verdict);
		bufftrack_report_after(caller->client, &bad);
	} else {
		count_view(caller->client, part);
	}
	return 0;
}

/* A VIEW on a device that the client's user has not used. */
static noinline int alloc_nowhere(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_bad bad BT_UNINIT;

	op->verdict = BUFFTRACK_DANGLING_VIEW;
	bufftrack_report_bad(caller, NULL, NULL, BT_NAMED_NEVER, op, &bad);
	count_verdict(caller->client, NULL, op->verdict);
	bufftrack_report_after(caller->client, &bad);
	return 0;
}

/*
 * Where an ALLOC is to be: the client's attach and its user's space, which come
 * into being with the first one. A refused ALLOC must not bring them into being:
 * -ENOSPC where the limit says at once that it will be. A VIEW brings no space, and
 * has no attach (NULL) on a device that is not known.
 */
static noinline struct bt_attach *
alloc_place(struct bt_client *client, const struct bufftrack_op *op, struct bt_space **space)
{
	struct bt_attach *attach;

	WRITE_ONCE(client->used, true);
	if (op->flags & BUFFTRACK_F_VIEW)
		return bufftrack_attach(client, op->device, false);

	if ((unsigned int)atomic_read(&client->held) >= READ_ONCE(bufftrack_max_buffers))
		return ERR_PTR(-ENOSPC);
	attach = bufftrack_attach(client, op->device, true);
	if (IS_ERR(attach))
		return attach;
	*space = bufftrack_space_get(attach->share, op->space);
	return IS_ERR(*space) ? ERR_CAST(*space) : attach;
}

/* The first ALLOC of a client in a space. */
static noinline int alloc_begin(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_space *space = NULL;
	struct bt_key key = key_of(op);
	struct bt_attach *attach;
	struct bt_table *table;

	attach = alloc_place(caller->client, op, &space);
	if (IS_ERR(attach))
		return alloc_failed(PTR_ERR(attach));
	if (!attach)
		return alloc_nowhere(caller, op);
	table = attach->share->table;
	shard_lock(&table->shards[bt_shard_nr(key.hash)]);
	return alloc_slow(caller, attach, space, record_find(table, key), op);
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
	struct bt_key key = key_of(op);
	unsigned int nr = bt_shard_nr(key.hash);
	struct bt_space *space = NULL;
	struct bt_attach *attach;
	struct bt_record *rec;
	struct bt_shard *shard;

	attach = bufftrack_attach_find(client, op->device);
	if (likely(attach))
		space = space_find(attach, op->space);
	if (unlikely(!space))
		return alloc_begin(caller, op);

	shard = &attach->share->table->shards[nr];
	shard_lock(shard);
	rec = record_find(attach->share->table, key);
	/* The ordinary one begins a life on a tombstone. */
	if (unlikely(!rec || rec->state == BUFFTRACK_STATE_LIVE || op->flags & BUFFTRACK_F_VIEW ||
		     held_inc(client)))
		return alloc_slow(caller, attach, space, rec, op);
	life_take(rec, caller, attach, space, nr, op);
	if (tracepoint_enabled(bufftrack_alloc))
		bufftrack_report_use(caller, rec, op, true);
	shard_unlock(shard);
	return 0;
}

/* ---- FREE ----------------------------------------------------------------- */

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
	if ((rec->bits & BT_RECORD_REBASED) || table_lost(table))
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

	hold = hold_find(rec, client);
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
	if (!rec || token ? info : rec->lives > 1 || lost)
		info |= BUFFTRACK_INFO_PROBABLE;
	return info;
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

	bufftrack_tally_flush(caller);
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
		if (rec && rec->refused != U32_MAX)
			rec->refused++;
		answer(op, client, rec);
		bufftrack_report_bad(caller, share, rec, named, op, bad);
		return;
	}

	if (!--hold->count)
		hold_ends(hold, rec);
	rec->refs--;
	if (op->size && op->size != rec->size) {
		op->verdict = BUFFTRACK_SIZE_MISMATCH;
		bufftrack_report_bad(caller, share, rec, BT_NAMED_LAST, op, bad);
	}
	if (!rec->refs)
		life_end(rec, caller, BUFFTRACK_STATE_FREED, shard);
	count_dropped(client, part);
good:
	answer(op, client, rec);
	if (tracepoint_enabled(bufftrack_free) && rec)
		bufftrack_report_use(caller, rec, op, false);
}

/* Any FREE but the ordinary one, which found @rec and has locked its shard. */
static noinline int free_slow(struct bt_caller *caller, struct bt_attach *attach,
			      struct bt_record *rec, unsigned int shard, struct bufftrack_op *op)
	__releases(&attach->share->table->shards[].lock)
{
	struct bt_stats *part = attach_stats(attach, op->space);
	struct bt_share *share = attach->share;
	struct bt_bad bad BT_UNINIT; /* filled where there is a bad verdict only */

	free_locked(caller, share, part, rec, shard, op, &bad);
	shard_unlock(&share->table->shards[shard]);

	if (op->verdict != BUFFTRACK_OK) {
		count_verdict(caller->client, part, op->verdict);
		bufftrack_report_after(caller->client, &bad);
	} else if (op->flags & BUFFTRACK_F_VIEW) {
		count_view(caller->client, part);
	}
	bufftrack_history_trim(share);
	return 0;
}

/* As bufftrack_attach(), of a device that the client has not used. */
static noinline struct bt_attach *free_place(struct bt_client *client, u64 device)
{
	WRITE_ONCE(client->used, true);
	return bufftrack_attach(client, device, false);
}

/* On a device that nobody has used, or whose history is gone. */
static noinline int free_nowhere(struct bt_caller *caller, struct bufftrack_op *op)
{
	struct bt_client *client = caller->client;
	struct bt_bad bad BT_UNINIT;

	if (op->flags & BUFFTRACK_F_VIEW) {
		count_view(client, NULL);
		return 0;
	}
	op->verdict = BUFFTRACK_UNKNOWN_FREE;
	if (!(READ_ONCE(client->flags) & BUFFTRACK_CLIENT_PRIVATE) &&
	    bufftrack_device_lost(op->device))
		op->info = BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE;
	bufftrack_report_bad(caller, NULL, NULL, BT_NAMED_NEVER, op, &bad);
	count_verdict(client, NULL, op->verdict);
	bufftrack_report_after(client, &bad);
	return 0;
}

/*
 * The ordinary FREE: of the only reference to a life, which the caller has, and
 * which its user began; with all of what it says of it right.
 */
static __always_inline bool free_is_last(const struct bt_record *rec,
					 const struct bt_client *client,
					 const struct bt_space *space,
					 const struct bufftrack_op *op)
{
	return rec && rec->state == BUFFTRACK_STATE_LIVE && rec->refs == 1 && rec->first.attach &&
	       rec->first.attach->client == client && rec->first.count && !rec->more &&
	       rec->space == space && !op->flags && (!op->token || op->token == rec->generation) &&
	       (!op->size || op->size == rec->size);
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
	struct bt_key key = key_of(op);
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

	space = space_find(attach, op->space);
	shard = &attach->share->table->shards[nr];
	shard_lock(shard);
	rec = record_find(attach->share->table, key);
	if (unlikely(!free_is_last(rec, client, space, op)))
		return free_slow(caller, attach, rec, nr, op);

	hlist_del(&rec->first.node);
	atomic_dec(&client->held);
	tally_of(caller, space)->freed++;
	tally_bytes(caller, -rec->size);
	if (likely(rec->frees != U32_MAX))
		rec->frees++;
	life_over(rec, caller, BUFFTRACK_STATE_FREED, nr);
	op->generation = rec->generation;
	if (tracepoint_enabled(bufftrack_free))
		bufftrack_report_use(caller, rec, op, false);
	shard_unlock(shard);
	bufftrack_history_trim(attach->share);
	return 0;
}

/* bufftrack_caller_init - the current task as a caller, or -ENOMEM */
int bufftrack_caller_init(struct bt_caller *caller, struct bt_client *client)
{
	caller->client = client;
	caller->actor = bufftrack_actor_get(client);
	caller->refs = 1;
	caller->now = ktime_get_ns();
	caller->tally.space = NULL;
	return caller->actor ? 0 : -ENOMEM;
}

/* bufftrack_caller_exit - its calls are over, and counted */
void bufftrack_caller_exit(struct bt_caller *caller)
{
	bufftrack_tally_flush(caller);
	if (refcount_sub_and_test(caller->refs, &caller->actor->refs))
		bufftrack_actor_free(caller->actor);
}

/* ---- the ends that nobody reported ---------------------------------------- */

/* Drops up to a chunk of the attach's holds in one shard; how many it leaked. */
static unsigned int close_chunk(struct bt_attach *attach, unsigned int nr, struct bt_caller *caller)
{
	struct bt_client *client = attach->client;
	unsigned int leaks = 0, n;
	struct bt_record *rec;
	struct bt_hold *hold;
	u32 count;

	for (n = 0; n < BT_CLOSE_CHUNK; n++) {
		hold = hlist_entry_safe(attach->holds[nr].first, struct bt_hold, node);
		if (!hold)
			break;
		rec = hold_record(hold);
		count = hold->count;
		rec->refs -= count;
		if (count) {
			leaks++;
			count_verdict(client, attach_stats(attach, rec->space_id), BUFFTRACK_LEAK);
			bufftrack_report_leak(client, attach->share, rec, count);
		}
		hold_remove(rec, hold);
		if (!rec->refs)
			life_end(rec, caller, BUFFTRACK_STATE_EXITED, nr);
	}
	return leaks;
}

/**
 * bufftrack_attach_close() - drop a closing client's holds on a device
 * @attach: of a client whose file has been released
 *
 * Return: how many lives it leaked. Sleeps between chunks.
 */
u64 bufftrack_attach_close(struct bt_attach *attach)
{
	struct bt_table *table = attach->share->table;
	struct bt_caller caller = {
		.client = attach->client,
		.actor = attach->client->opener,
		.refs = 1, /* the client's, which stays */
		.now = ktime_get_ns(),
	};
	unsigned int nr;
	u64 leaks = 0;
	bool more;

	for (nr = 0; nr < BT_SHARDS; nr++) {
		do {
			shard_lock(&table->shards[nr]);
			leaks += close_chunk(attach, nr, &caller);
			more = !hlist_empty(&attach->holds[nr]);
			shard_unlock(&table->shards[nr]);
			bufftrack_history_trim(attach->share);
			cond_resched();
		} while (more);
	}
	return leaks;
}

/* How many lives ended. The caller has a reference to the table's owner. */
static u64 table_reset(struct bt_table *table, struct bt_caller *caller)
{
	struct bt_pos pos = {};
	struct bt_share *share;
	struct bt_record *rec;
	unsigned int nr;
	u64 lives = 0;

	for (;;) {
		share = NULL;
		rcu_read_lock();
		rec = bufftrack_table_next(table, &pos);
		if (!rec)
			break;
		if (!IS_ERR(rec)) {
			nr = bt_shard_nr(bt_hash(rec->buffer, rec->space_id));
			spin_lock(&table->shards[nr].lock);
			if (rec->state == BUFFTRACK_STATE_LIVE) {
				life_end(rec, caller, BUFFTRACK_STATE_RESET, nr);
				lives++;
				share = rec->space->share;
				refcount_inc(&share->refs);
			}
			spin_unlock(&table->shards[nr].lock);
		}
		rcu_read_unlock();
		if (share) {
			bufftrack_history_trim(share);
			bufftrack_share_put(share);
		}
		cond_resched();
	}
	rcu_read_unlock();
	return lives;
}

/**
 * bufftrack_reset() - carry out RESET, whose right ioctl.c has checked
 * @caller: who asked for it
 * @arg: in and out
 *
 * Return: 0, or -ENODEV. Sleeps between records.
 */
int bufftrack_reset(struct bt_caller *caller, struct bufftrack_reset *arg)
{
	struct bt_device *device = bufftrack_device_get(arg->device);
	struct bt_share *share = NULL;

	if (!device)
		return -ENODEV;
	arg->lives = table_reset(&device->table, caller);
	while ((share = bufftrack_share_next(device, share)))
		if (share->private_client)
			arg->lives += table_reset(share->table, caller);
	bufftrack_report_reset(caller, arg->device, arg->lives);
	bufftrack_device_put(device);
	return 0;
}

/* ---- init ----------------------------------------------------------------- */

int __init bufftrack_records_init(void)
{
	get_random_bytes(bufftrack_hash_secret, sizeof(bufftrack_hash_secret));
	bt_record_cache = KMEM_CACHE(bt_record, SLAB_ACCOUNT);
	return bt_record_cache ? 0 : -ENOMEM;
}

void bufftrack_records_exit(void)
{
	/* Evicted records come back by RCU. */
	rcu_barrier();
	kmem_cache_destroy(bt_record_cache);
}
