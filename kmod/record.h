/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of records: its shards, and a look for a key.
 */
#ifndef BUFFTRACK_RECORD_H
#define BUFFTRACK_RECORD_H

#include <linux/rhashtable.h>
#include <linux/spinlock.h>

#include "bufftrack.h"
#include "hash.h"

struct bt_key {
	u64 buffer;
	u32 space_id;
	u32 hash;
};

static inline struct bt_key bt_key_of(const struct bufftrack_op *op)
{
	return (struct bt_key){
		.buffer = op->buffer,
		.space_id = op->space,
		.hash = bt_hash(op->buffer, op->space),
	};
}

/*
 * RCU is for the table's other entries, which others may evict. A spinlock makes a
 * section that RCU waits for as well; but lockdep wants to hear it.
 */
static inline void bt_shard_lock(struct bt_shard *shard)
{
	if (IS_ENABLED(CONFIG_PROVE_RCU))
		rcu_read_lock();
	spin_lock(&shard->lock);
}

static inline void bt_shard_unlock(struct bt_shard *shard)
{
	spin_unlock(&shard->lock);
	if (IS_ENABLED(CONFIG_PROVE_RCU))
		rcu_read_unlock();
}

struct bt_record *bufftrack_record_find_resizing(struct bt_table *table, u64 buffer, u32 space_id,
						 u32 hash);

/*
 * The key's record, or NULL, with the shard's lock held: nobody else brings the key
 * into the table or takes it out. Where no resize is under way, one look at its
 * bucket tells; an entry that a resize leads to is told apart by its key, as any.
 */
static __always_inline struct bt_record *bt_record_find(struct bt_table *table, struct bt_key key)
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
	return bufftrack_record_find_resizing(table, key.buffer, key.space_id, key.hash);
}

struct bt_record *bufftrack_record_new(const struct bt_key *key, gfp_t gfp);
int bufftrack_record_insert(struct bt_share *share, struct bt_record *rec, u32 hash);
struct bt_record *bufftrack_record_take(struct bt_caller *caller, const struct bt_key *key);
void bufftrack_record_free(struct bt_record *rec);
void bufftrack_generation_block(struct bt_record *rec);

/* A life begins: of the record's block the next generation, or the first of another. */
static inline void bt_generation_next(struct bt_record *rec)
{
	u64 next = rec->generation + 1;

	if (unlikely(!rec->blocks || !(next & (BT_GEN_BLOCK - 1)))) {
		bufftrack_generation_block(rec);
		return;
	}
	rec->generation = next;
	rec->prev_delta = 1;
}

#endif /* BUFFTRACK_RECORD_H */
