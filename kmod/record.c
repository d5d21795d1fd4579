// SPDX-License-Identifier: GPL-2.0
/*
 * Records, one a key: how they come, are found, are numbered and go.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "param.h"
#include "compat.h"
#include "record.h"

/*
 * Records of a share in a bucket: by chance 15 come together once in 10^14 times. More
 * would be somebody's doing (hash.h), and beyond 16 each would begin a futile resize.
 */
#define BT_MAX_CHAIN 15

static struct kmem_cache *bt_record_cache;
static atomic64_t bt_last_block = ATOMIC64_INIT(-1);
u64 bufftrack_hash_secret[3] __ro_after_init;

/* ---- the table ------------------------------------------------------------ */

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
	.automatic_shrinking = BT_SHRINKING,
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

/* For bt_record_find(): only here does the key have to be in memory. */
struct bt_record *bufftrack_record_find_resizing(struct bt_table *table, u64 buffer, u32 space_id,
						 u32 hash)
{
	struct bt_key key = { .buffer = buffer, .space_id = space_id, .hash = hash };

	return rhashtable_lookup(&table->records, &key, bt_record_params);
}

/*
 * Whether the share has as many records in a bucket as chance does not bring together.
 * Others' are passed by: their memory is there, under RCU, but a space that another
 * shard's record refers to may not be: it is compared, and not looked at.
 */
static noinline bool bucket_full(struct xarray *spaces, const struct bucket_table *tbl,
				 unsigned int bucket)
{
	const struct bt_space *space;
	struct rhash_head *head;
	unsigned int own = 0;
	struct bt_record *rec;

	rht_for_each_entry_rcu(rec, head, tbl, bucket, node) {
		space = READ_ONCE(rec->space);
		if (space && space == xa_load(spaces, rec->space_id))
			own++;
	}
	return own >= BT_MAX_CHAIN;
}

/**
 * bufftrack_record_insert() - bring a record into a table
 * @table: the table
 * @spaces: those of the share whose record it is, by their number
 * @rec: the record, of a key that is not there; its shard's lock is held
 * @hash: the key's
 *
 * Return: 0; -EBUSY, -ENOMEM where the table has no room until it has been made
 * larger, or the bucket has too many of the share's.
 */
int bufftrack_record_insert(struct bt_table *table, struct xarray *spaces, struct bt_record *rec,
			    u32 hash)
{
	struct rhashtable *ht = &table->records;
	const struct bucket_table *tbl = rht_dereference_rcu(ht->tbl, ht);
	unsigned int bucket = hash & (tbl->size - 1);
	struct rhash_head *head;
	unsigned int nr = 0;

	rht_for_each_rcu(head, tbl, bucket)
		nr++;
	if (unlikely(nr >= BT_MAX_CHAIN) && bucket_full(spaces, tbl, bucket))
		return -EBUSY;
	return rhashtable_insert_fast(ht, &rec->node, bt_record_params);
}

/* ---- records -------------------------------------------------------------- */

/* bufftrack_record_new - for a key, or NULL; charged to the current task */
struct bt_record *bufftrack_record_new(const struct bt_key *key, gfp_t gfp)
{
	struct bt_record *rec = kmem_cache_zalloc(bt_record_cache, gfp);

	if (likely(rec)) {
		rec->buffer = key->buffer;
		rec->space_id = key->space_id;
	}
	return rec;
}

/*
 * bufftrack_record_take - the same under a shard's lock. Where the caller expects to need
 * @several, they are allocated at once, and kept in @spares.
 */
struct bt_record *bufftrack_record_take(struct bt_spares *spares, bool several,
					const struct bt_key *key)
{
	struct bt_record *rec;

	/* All of them or none: it returns that as a number in 6.12, as a bool in 7.2. */
	if (!spares->nr && several &&
	    kmem_cache_alloc_bulk(bt_record_cache, BT_GFP_LOCKED | __GFP_ZERO, BT_SPARES,
				  spares->record))
		spares->nr = BT_SPARES;
	if (!spares->nr)
		return bufftrack_record_new(key, BT_GFP_LOCKED);
	rec = spares->record[--spares->nr];
	rec->buffer = key->buffer;
	rec->space_id = key->space_id;
	return rec;
}

/* bufftrack_spares_free - what a batch did not need */
void bufftrack_spares_free(struct bt_spares *spares)
{
	kmem_cache_free_bulk(bt_record_cache, spares->nr, spares->record);
	spares->nr = 0;
}

/* bufftrack_record_free - one that has never been in a table; NULL is allowed */
void bufftrack_record_free(struct bt_record *rec)
{
	if (rec)
		kmem_cache_free(bt_record_cache, rec);
}

static void record_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(bt_record_cache, container_of(rcu, struct bt_record, rcu));
}

/**
 * bufftrack_record_remove() - forget a tombstone
 * @table: the table that it is in
 * @rec: dead, in its share's list of tombstones no more; the shard's lock is
 *	held, and the caller still has the record's reference to its share
 */
void bufftrack_record_remove(struct bt_table *table, struct bt_record *rec)
{
	rhashtable_remove_fast(&table->records, &rec->node, bt_record_params);
	/* Walks that stand on it take the lock and look at this. */
	rec->state = BUFFTRACK_STATE_NONE;
	bufftrack_actor_put(rec->alloc[0].actor);
	bufftrack_actor_put(rec->alloc[1].actor);
	bufftrack_actor_put(rec->prev_end.actor);
	bufftrack_actor_put(rec->end.actor);
	call_rcu(&rec->rcu, record_free_rcu);
}

/* bufftrack_prev_generation - of the life before, 0 where that is not known */
u64 bufftrack_prev_generation(const struct bt_record *rec)
{
	return rec->prev_delta ? rec->generation - rec->prev_delta : 0;
}

/* bufftrack_lives - how many it had: a block is used up before the next; at most U32_MAX */
u32 bufftrack_lives(const struct bt_record *rec)
{
	u32 of_last = rec->generation & (BT_GEN_BLOCK - 1);

	if (rec->blocks == BT_MAX_BLOCKS)
		return U32_MAX;
	return rec->blocks ? (rec->blocks - 1) * (BT_GEN_BLOCK - 1) + of_last : 0;
}

/* bufftrack_generation_block - the record's next generation is the first of a new block */
void bufftrack_generation_block(struct bt_record *rec)
{
	u64 prev = rec->generation;

	rec->generation = atomic64_inc_return(&bt_last_block) * BT_GEN_BLOCK + 1;
	rec->prev_delta = 0;
	if (rec->blocks < BT_MAX_BLOCKS)
		rec->blocks++;
	if (!prev)
		return;
	/* A previous one too far away is as one that is not known. */
	if (rec->generation - prev <= U32_MAX)
		rec->prev_delta = rec->generation - prev;
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
