// SPDX-License-Identifier: GPL-2.0
/*
 * A walk over a table that can stop anywhere and go on later, holding nothing.
 *
 * The order is that of the hashes with their bits reversed, then of the keys. A
 * bucket's number is the low bits of the hash, so a resize splits or merges
 * neighbours of this order and changes nothing else (the idea is that of SCAN
 * in Redis, by Pieter Noordhuis). A record that stays in the table is met
 * exactly once, since the walk only ever goes up.
 */
#include <linux/bitrev.h>
#include <linux/log2.h>
#include <linux/rhashtable.h>

#include "record.h"
#include "walk.h"

/* Parts looked through before the walk lets others run. */
#define BT_WALK_PARTS 1024

/* A place in the order. */
struct place {
	u32 at;
	u64 buffer;
	u32 space_id;
};

static struct place place_of(u64 buffer, u32 space_id)
{
	return (struct place){
		.at = bitrev32(bt_hash(buffer, space_id)),
		.buffer = buffer,
		.space_id = space_id,
	};
}

static bool place_before(const struct place *a, const struct place *b)
{
	if (a->at != b->at)
		return a->at < b->at;
	if (a->buffer != b->buffer)
		return a->buffer < b->buffer;
	return a->space_id < b->space_id;
}

/*
 * The first record after @after in a part of the table: those whose reversed
 * hashes begin with the @bits bits of @part. That is one bucket of the table at
 * hand; of one to which a resize moves its entries, several buckets or a part
 * of one. An entry is linked into the newer table before it leaves the older,
 * so that looking from old to new misses none; meeting one twice is harmless.
 *
 * Of a chain the last entry is moved first: who stands on it goes on in the newer
 * table's chain, whose entries are judged by their place like any others, and has
 * missed nothing of the old one. New entries come at the head, behind the walk:
 * they are none that were there from the beginning. What leaves the table keeps
 * its way to the next, and for RCU's readers its memory. No lock: a record's key and
 * a bucket table's size are written before they are published, and never again.
 */
static struct bt_record *part_next(struct rhashtable *ht, struct bucket_table *tbl,
				   unsigned int bits, u32 part, const struct place *after)
{
	struct bt_record *rec, *best = NULL;
	struct place best_place, here;
	struct rhash_head *head;
	unsigned int hash;

	while (tbl) {
		hash = (bitrev32(part) >> (32 - bits)) & (tbl->size - 1);
		for (; hash < tbl->size; hash += 1U << bits) {
			rht_for_each_entry_rcu(rec, head, tbl, hash, node) {
				here = place_of(rec->buffer, rec->space_id);
				if (here.at >> (32 - bits) != part)
					continue;
				if (after && !place_before(after, &here))
					continue;
				if (best && !place_before(&here, &best_place))
					continue;
				best = rec;
				best_place = here;
			}
		}
		/* Pairs with the release by which an entry leaves the older table. */
		smp_rmb();
		tbl = rht_dereference_rcu(tbl->future_tbl, ht);
	}
	return best;
}

/**
 * bufftrack_table_next() - the next record of a walk
 * @table: the table; the caller is in an RCU read section
 * @pos: all 0 to begin; moved to the record that is returned
 *
 * Return: the record, which may have been evicted meanwhile (its state, under
 * the shard's lock, says so); NULL at the end; ERR_PTR(-EAGAIN) after a long
 * way without one, to be called again outside of this RCU read section.
 */
struct bt_record *bufftrack_table_next(struct bt_table *table, struct bt_pos *pos)
{
	struct rhashtable *ht = &table->records;
	struct bucket_table *tbl = rht_dereference_rcu(ht->tbl, ht);
	struct place after = place_of(pos->buffer, pos->space_id);
	unsigned int bits = ilog2(tbl->size);
	struct bt_record *rec;
	u32 part, n = 0;

	/* floor: no record of a lower place is still to come. */
	if (pos->started)
		pos->floor = max(pos->floor, after.at);

	for (part = pos->floor >> (32 - bits); part < 1U << bits; part++) {
		rec = part_next(ht, tbl, bits, part, pos->started ? &after : NULL);
		if (rec) {
			pos->buffer = rec->buffer;
			pos->space_id = rec->space_id;
			pos->started = true;
			return rec;
		}
		if (part + 1 < 1U << bits)
			pos->floor = (part + 1) << (32 - bits);
		if (++n == BT_WALK_PARTS)
			return ERR_PTR(-EAGAIN);
	}
	return NULL;
}
