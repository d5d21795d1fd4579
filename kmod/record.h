/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records, one a key, and the tables that they are in.
 */
#ifndef BUFFTRACK_RECORD_H
#define BUFFTRACK_RECORD_H

#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/lockdep.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include <linux/bufftrack.h>

#include "actor.h"

struct bt_attach;
struct bt_space;

#define BT_SHARD_BITS 4
#define BT_SHARDS (1U << BT_SHARD_BITS)

/*
 * Generations are handed to records in blocks of this many (a power of 2), so
 * that a token tells whether it was ever this record's. The first number of a
 * block is not used: no generation is 0.
 */
#define BT_GEN_BLOCK 1024ULL

/* ---- what a record is ----------------------------------------------------- */

/*
 * A client's references to a life. The first holder's lies in the record; it
 * stays with a count of 0, to tell a double free from a foreign one, until the
 * life ends or the client closes.
 */
struct bt_hold {
	struct bt_attach *attach;
	struct hlist_node node; /* bt_attach.holds */
	u32 count;
	u32 refs; /* of the life, in its record's; else 0 */
};

struct bt_more_hold {
	struct bt_hold hold;
	struct bt_record *record;
	struct bt_more_hold *next; /* in the order of the first hold */
	struct bt_actor *actor; /* who took it */
	/* A FREE of a SHARED life by who has no hold took a reference of this one: for UNDO. */
	bool lent;
};

/* Of a life that a FREE LAST has ended with references left: its end, and its holders. */
struct bt_held_end {
	struct bt_when when;
	struct bt_more_hold *more;
};

/*
 * A record's own state beside enum bufftrack_state: LAST, with references left. It is told
 * as LAST, and is no tombstone yet. The tombstones' states are those from FREED to CONTEXT.
 */
#define BT_STATE_HELD 8

#define BT_MAX_REFUSED ((1U << 21) - 1)

/* Of struct bt_record.flags, where the first two are BUFFTRACK_F_EXCLUSIVE and _SHARED. */
#define BT_LIFE_PERSISTENT BIT(2)

#define BT_MAX_VIEWS ((1U << 24) - 1)

/* The most that fits: with 2^31 lives, or more. */
#define BT_MAX_BLOCKS ((1U << 21) - 1)

/*
 * One key: its live or last life, and what is to be known of the life before.
 * The key never changes; everything else is under the shard's lock. What only the
 * living need lies where the dead have their end: use what the state allows.
 */
struct bt_record {
	struct rhash_head node;
	u64 buffer;
	u32 space_id;
	u32 state : 4; /* enum bufftrack_state, BT_STATE_HELD; NONE: evicted */
	u32 prev_state : 3;
	u32 flags : 3; /* EXCLUSIVE, SHARED, BT_LIFE_PERSISTENT, of the first ALLOC */
	u32 slot : 1; /* which of alloc[] is this life's */
	u32 blocks : 21; /* of generations, that were all this key's */
	u64 generation; /* 0: no life yet */
	struct bt_space *space; /* the allocating user's; its share pinned */
	u64 size;
	u32 prev_delta; /* generation - the previous one's */
	u32 frees;
	union {
		struct { /* live */
			struct bt_hold first;
			union {
				struct bt_more_hold *more;
				struct bt_held_end *held_end; /* HELD */
			};
		};
		struct { /* dead */
			struct hlist_node tomb; /* bt_tombs.list */
			u64 ended_seq;
			struct bt_when end;
		};
		struct rcu_head rcu; /* evicted */
	};
	u64 tag;
	u32 views : 24;
	u32 refused_own : 8; /* of @refused, its user's own: for the log */
	u32 refused : 21;
	u32 undone : 1; /* a free of this life was taken back */
	u32 held_reset : 1; /* a reset took what a FREE LAST had left of it */
	u32 lent : 1; /* the first hold has lost a reference to who has none: see bt_more_hold */
	u32 refused_since : 8; /* the latest FREE that counted; at most U8_MAX */
	struct bt_when alloc[2]; /* this life's, and the one's before */
	struct bt_when prev_end;
};

static inline const struct bt_when *bt_alloc_of(const struct bt_record *rec)
{
	return &rec->alloc[rec->slot];
}

static inline const struct bt_when *bt_prev_alloc_of(const struct bt_record *rec)
{
	return &rec->alloc[!rec->slot];
}

/* The sum of the holds' counts. A life ends when it comes to 0. */
static inline u32 bt_refs(const struct bt_record *rec)
{
	return rec->state == BUFFTRACK_STATE_LIVE || rec->state == BT_STATE_HELD ? rec->first.refs
										 : 0;
}

static inline bool bt_is_tombstone(const struct bt_record *rec)
{
	return rec->state - BUFFTRACK_STATE_FREED <=
	       (u32)(BUFFTRACK_STATE_CONTEXT - BUFFTRACK_STATE_FREED);
}

/* The state as it is told. */
static inline u32 bt_state(const struct bt_record *rec)
{
	return rec->state == BT_STATE_HELD ? BUFFTRACK_STATE_LAST : rec->state;
}

static inline u32 bt_life_flags(const struct bt_record *rec)
{
	return (rec->flags & (BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED)) |
	       (rec->flags & BT_LIFE_PERSISTENT ? BUFFTRACK_F_PERSISTENT : 0);
}

/* The end of this life, which is not live. */
static inline const struct bt_when *bt_end_of(const struct bt_record *rec)
{
	return rec->state == BT_STATE_HELD ? &rec->held_end->when : &rec->end;
}

/* The holders after the first one, where there are holds. */
static inline struct bt_more_hold **bt_more_of(struct bt_record *rec)
{
	return rec->state == BT_STATE_HELD ? &rec->held_end->more : &rec->more;
}

/* ---- the hash of a key: which bucket, which shard, and the order of LIST ---- */

extern u64 bufftrack_hash_secret[3];

static inline u64 bt_fold(u64 a, u64 b)
{
#ifdef CONFIG_ARCH_SUPPORTS_INT128
	__uint128_t wide = (__uint128_t)a * b;

	return (u64)wide ^ (u64)(wide >> 64);
#else
	return a * b ^ ror64(a, 29) * (b >> 32 | 1);
#endif
}

/*
 * Two rounds of multiply and fold, as in wyhash (Wang Yi), keyed by a secret
 * that is drawn at load, since callers choose the keys. The seed of the rhashtable
 * is not used, since the order of LIST must outlive a resize. Whoever tries long
 * enough learns from that order which keys collide: bufftrack_record_insert() has
 * a limit for that.
 */
static inline u32 bt_hash(u64 buffer, u32 space_id)
{
	const u64 *secret = bufftrack_hash_secret;
	u64 h = bt_fold(buffer ^ secret[0], space_id ^ secret[1]);

	return bt_fold(h ^ secret[2], secret[1]);
}

/* Buckets are told apart by the hash's low bits, so shards are by the high. */
static inline unsigned int bt_shard_nr(u32 hash)
{
	return hash >> (32 - BT_SHARD_BITS);
}

/* ---- tables --------------------------------------------------------------- */

struct bt_shard {
	spinlock_t lock; /* see above: shard->lock */
} ____cacheline_aligned_in_smp;

/* A reset: which lives it ended, and when. */
struct bt_reset {
	u64 time;
	u64 tag;
	u32 space_id;
	u32 flags; /* BUFFTRACK_RESET_SPACE, _TAG */
};

static inline bool bt_reset_meant(const struct bt_reset *reset, const struct bt_record *rec)
{
	return !(reset->flags & BUFFTRACK_RESET_SPACE && rec->space_id != reset->space_id) &&
	       !(reset->flags & BUFFTRACK_RESET_TAG && rec->tag != reset->tag);
}

/* The latest resets, for what is taken back after them; bt_resets_lock. */
#define BT_RESETS 4U

struct bt_resets {
	unsigned int nr; /* all there were */
	struct bt_reset latest[BT_RESETS];
};

struct bt_table {
	struct rhashtable records;
	atomic64_t evicted; /* tombstones; not 0 where any ever was */
	struct bt_resets resets; /* noted before the walk */
	struct bt_shard shards[BT_SHARDS];
};

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

int bufftrack_records_init(void);
void bufftrack_records_exit(void);
int bufftrack_table_init(struct bt_table *table);
void bufftrack_table_destroy(struct bt_table *table);

/* ---- records -------------------------------------------------------------- */

/* Records that a batch allocates at a time. */
#define BT_SPARES 8

struct bt_spares {
	unsigned int nr;
	void *record[BT_SPARES];
};

u64 bufftrack_prev_generation(const struct bt_record *rec);
u32 bufftrack_lives(const struct bt_record *rec);
struct bt_record *bufftrack_record_new(const struct bt_key *key, gfp_t gfp);
struct bt_record *bufftrack_record_take(struct bt_spares *spares, bool several,
					const struct bt_key *key);
int bufftrack_record_insert(struct bt_table *table, struct xarray *spaces, struct bt_record *rec,
			    u32 hash);
void bufftrack_record_free(struct bt_record *rec);
void bufftrack_record_remove(struct bt_table *table, struct bt_record *rec);
void bufftrack_spares_free(struct bt_spares *spares);
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
