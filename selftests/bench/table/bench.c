// SPDX-License-Identifier: GPL-2.0
/*
 * What the table's functions take, beside the least that they can do with: in nanoseconds
 * (../uml), or where the clock counts them in instructions (../run).
 *
 * An object more in the module (BUFFTRACK_BENCH in Kbuild). Who reads the parameter bench
 * waits for it, and gets a line of JSON a row. Rows take turns, so that what else the
 * machine does meets them all.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "../../../kmod/alloc.h"
#include "../../../kmod/caller.h"
#include "../../../kmod/close.h"
#include "../../../kmod/free.h"
#include "../../../kmod/param.h"

#define TURNS 10U
#define PAIRS 1000000U
#define LIVE 1000000U
#define FRESH 100000U
#define KEY_BITS 10
#define SPACE 1U
#define SIZE 8192U
#define KEYS_FROM (1ULL << 40) /* of those that are used again and again */
#define OTHER_FROM (2ULL << 40) /* of all others */

/* ---- the least: a lookup, the shard's lock, two counters ------------------- */

/* As large as a record of the module, and looked up by the same fields. */
union bare_record {
	struct {
		struct rhash_head node;
		u64 buffer;
		u32 space_id;
	};
	char as_large[sizeof(struct bt_record)];
};

struct bare_key {
	u64 buffer;
	u32 space_id;
	u32 hash;
};

struct bare_hot {
	u64 allocs;
	u64 frees;
	s64 live;
};

struct bare {
	struct rhashtable records;
	struct bare_hot __percpu *hot;
	struct bt_shard shards[BT_SHARDS];
};

static struct kmem_cache *bare_cache;

/* By what the numbers above are divided: where each instruction counts, few do. */
static unsigned int bench_divisor = 1;
module_param(bench_divisor, uint, 0400);
MODULE_PARM_DESC(bench_divisor, "By which the numbers of pairs and buffers are divided");

static inline u32 bare_key_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bare_key *)data)->hash;
}

static inline u32 bare_record_hashfn(const void *data, u32 len, u32 seed)
{
	const union bare_record *rec = data;

	return bt_hash(rec->buffer, rec->space_id);
}

static inline int bare_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct bare_key *key = arg->key;
	const union bare_record *rec = obj;

	return rec->buffer != key->buffer || rec->space_id != key->space_id;
}

static const struct rhashtable_params bare_params = {
	.head_offset = offsetof(union bare_record, node),
	.key_len = sizeof(struct bare_key),
	.hashfn = bare_key_hashfn,
	.obj_hashfn = bare_record_hashfn,
	.obj_cmpfn = bare_cmpfn,
	.automatic_shrinking = true,
};

static int bare_init(struct bare *bare)
{
	int i;

	for (i = 0; i < BT_SHARDS; i++)
		spin_lock_init(&bare->shards[i].lock);
	bare->hot = alloc_percpu(struct bare_hot);
	return bare->hot ? rhashtable_init(&bare->records, &bare_params) : -ENOMEM;
}

static void bare_free(void *ptr, void *arg)
{
	kmem_cache_free(bare_cache, ptr);
}

static void bare_exit(struct bare *bare)
{
	if (bare->records.key_len)
		rhashtable_free_and_destroy(&bare->records, bare_free, NULL);
	free_percpu(bare->hot);
	*bare = (struct bare){};
}

static int bare_insert(struct bare *bare, u64 buffer)
{
	union bare_record *rec = kmem_cache_zalloc(bare_cache, BT_GFP);
	int err;

	if (!rec)
		return -ENOMEM;
	rec->buffer = buffer;
	rec->space_id = SPACE;
	/* No room before a worker has made it larger */
	while ((err = rhashtable_insert_fast(&bare->records, &rec->node, bare_params)) == -EBUSY)
		fsleep(1000);
	if (err)
		kmem_cache_free(bare_cache, rec);
	return err;
}

enum parts { LOOKUP = 0, LOCK = 1, COUNT = 2, ALL = 3 };

/* Half a pair, or those parts of it */
static __always_inline int bare_half(struct bare *bare, u64 buffer, enum parts parts, bool alloc)
{
	struct bare_key key = {
		.buffer = buffer,
		.space_id = SPACE,
		.hash = bt_hash(buffer, SPACE),
	};
	spinlock_t *lock = &bare->shards[bt_shard_nr(key.hash)].lock;
	union bare_record *rec;

	rcu_read_lock();
	if (parts & LOCK)
		spin_lock(lock);
	rec = rhashtable_lookup(&bare->records, &key, bare_params);
	if (parts & COUNT) {
		if (alloc)
			this_cpu_add(bare->hot->allocs, 1);
		else
			this_cpu_add(bare->hot->frees, 1);
		this_cpu_add(bare->hot->live, alloc ? 1 : -1);
	}
	if (parts & LOCK)
		spin_unlock(lock);
	rcu_read_unlock();
	return !rec;
}

/* ---- where it happens ------------------------------------------------------ */

/* A device of the one client, and the bare table beside it. */
struct place {
	struct bufftrack_op alloc;
	struct bufftrack_op free;
	struct bare bare;
};

static struct place *places; /* [NR_PLACES] */
static struct bt_client *client;
static struct bt_caller caller;
static u64 last_device;

/* @FEW: the keys in use, and no others. @MANY: LIVE others. @NEW: none, each turn. */
enum { FEW, MANY, NEW, NR_PLACES };

static int place_init(struct place *place)
{
	struct bufftrack_op op = { .device = ++last_device, .space = SPACE };

	place->free = op;
	op.size = SIZE;
	place->alloc = op;
	return bare_init(&place->bare);
}

static void place_exit(struct place *place)
{
	bare_exit(&place->bare);
}

static __always_inline void op_set(struct bufftrack_op *op, u64 buffer)
{
	op->buffer = buffer;
	op->generation = 0;
	op->refs = 0;
	op->verdict = BUFFTRACK_OK;
	op->info = 0;
}

static __always_inline int table_alloc(struct place *place, u64 buffer)
{
	struct bufftrack_op *op = &place->alloc;

	op_set(op, buffer);
	return bufftrack_alloc(&caller, op) | op->verdict | (op->refs ^ 1);
}

static __always_inline int table_free(struct place *place, u64 buffer, u32 verdict)
{
	struct bufftrack_op *op = &place->free;

	op_set(op, buffer);
	return bufftrack_free(&caller, op) | (op->verdict ^ verdict) | op->refs;
}

/* ---- a turn of each row ---------------------------------------------------- */

/* Calls @one @nr times, mostly as if it was written here; -EIO where one went wrong. */
static __always_inline int loop(struct place *place, unsigned int nr, bool fresh,
				int (*one)(struct place *place, u64 buffer))
{
	u64 order = 1; /* a linear congruential generator's, the same in each turn */
	unsigned int i;
	int bad = 0;

	for (i = 0; i < nr; i++) {
		order = order * 6364136223846793005ULL + 1442695040888963407ULL;
		if (fresh)
			bad |= one(place, OTHER_FROM + ((u64)i << 12));
		else
			bad |= one(place, KEYS_FROM + (order >> (64 - KEY_BITS) << 12));
		if (!(i % 64))
			cond_resched();
	}
	return bad ? -EIO : 0;
}

static __always_inline int one_nothing(struct place *place, u64 buffer)
{
	OPTIMIZER_HIDE_VAR(buffer);
	return !buffer;
}

static __always_inline int one_lookup(struct place *place, u64 buffer)
{
	return bare_half(&place->bare, buffer, LOOKUP, true) |
	       bare_half(&place->bare, buffer, LOOKUP, false);
}

static __always_inline int one_lock(struct place *place, u64 buffer)
{
	return bare_half(&place->bare, buffer, LOCK, true) |
	       bare_half(&place->bare, buffer, LOCK, false);
}

static __always_inline int one_count(struct place *place, u64 buffer)
{
	return bare_half(&place->bare, buffer, COUNT, true) |
	       bare_half(&place->bare, buffer, COUNT, false);
}

static __always_inline int one_bare(struct place *place, u64 buffer)
{
	return bare_half(&place->bare, buffer, ALL, true) |
	       bare_half(&place->bare, buffer, ALL, false);
}

static __always_inline int one_bare_fresh(struct place *place, u64 buffer)
{
	if (!bare_half(&place->bare, buffer, ALL, true) || bare_insert(&place->bare, buffer))
		return 1;
	return bare_half(&place->bare, buffer, ALL, false);
}

static __always_inline int one_pair(struct place *place, u64 buffer)
{
	return table_alloc(place, buffer) | table_free(place, buffer, BUFFTRACK_OK);
}

static __always_inline int one_double(struct place *place, u64 buffer)
{
	return table_free(place, buffer, BUFFTRACK_DOUBLE_FREE);
}

static __always_inline int one_caller(struct place *place, u64 buffer)
{
	struct bt_caller one;
	int err = bufftrack_caller_init(&one, client);

	if (!err)
		bufftrack_caller_exit(&one);
	return err;
}

#define TURN(name, one, fresh)                                                \
	static noinline int turn_##name(struct place *place, unsigned int nr) \
	{                                                                     \
		return loop(place, nr, fresh, one);                           \
	}

TURN(nothing, one_nothing, false)
TURN(lookup, one_lookup, false)
TURN(lock, one_lock, false)
TURN(count, one_count, false)
TURN(bare, one_bare, false)
TURN(bare_fresh, one_bare_fresh, true)
TURN(reuse, one_pair, false)
TURN(fresh, one_pair, true)
TURN(double, one_double, false)
TURN(caller, one_caller, false)

static struct row {
	const char *name;
	const char *bare; /* the row that it is compared with */
	int (*turn)(struct place *place, unsigned int nr);
	int place;
	unsigned int nr;
	u64 took[TURNS];
} rows[] = {
	{ "loop", NULL, turn_nothing, FEW, PAIRS },
	{ "bare_lookup", NULL, turn_lookup, FEW, PAIRS },
	{ "bare_lookup_lock", NULL, turn_lock, FEW, PAIRS },
	{ "bare_lookup_count", NULL, turn_count, FEW, PAIRS },
	{ "bare", NULL, turn_bare, FEW, PAIRS },
	{ "reuse", "bare", turn_reuse, FEW, PAIRS },
	{ "bare_1m", NULL, turn_bare, MANY, PAIRS },
	{ "reuse_1m", "bare_1m", turn_reuse, MANY, PAIRS },
	{ "bare_fresh", NULL, turn_bare_fresh, NEW, FRESH },
	{ "fresh", "bare_fresh", turn_fresh, NEW, FRESH },
	{ "double_free", NULL, turn_double, FEW, PAIRS },
	{ "caller", NULL, turn_caller, FEW, PAIRS },
};

/* ---- all of them ----------------------------------------------------------- */

static int fill(struct place *place, u64 from, unsigned int nr, bool live)
{
	unsigned int i;
	int err = 0;
	u64 buffer;

	for (i = 0; i < nr && !err; i++) {
		buffer = from + ((u64)i << 12);
		err = bare_insert(&place->bare, buffer);
		if (!err && table_alloc(place, buffer))
			err = -EIO;
		if (!err && !live && table_free(place, buffer, BUFFTRACK_OK))
			err = -EIO;
		if (!(i % 64))
			cond_resched();
	}
	return err;
}

/* So that the client's end has no leaks to tell of. */
static int drain(struct place *place, u64 from, unsigned int nr)
{
	unsigned int i;
	int bad = 0;

	for (i = 0; i < nr; i++) {
		bad |= table_free(place, from + ((u64)i << 12), BUFFTRACK_OK);
		if (!(i % 64))
			cond_resched();
	}
	return bad ? -EIO : 0;
}

static int row_turn(struct row *row, unsigned int turn)
{
	struct place *place = &places[row->place];
	u64 begin;
	int err = 0;

	if (row->place == NEW)
		err = place_init(place);
	if (!err) {
		begin = ktime_get_ns();
		err = row->turn(place, row->nr / bench_divisor);
		/* The first turn of all is a warm-up, and the second one takes its place. */
		row->took[turn ? turn - 1 : 0] = ktime_get_ns() - begin;
	}
	if (row->place == NEW)
		place_exit(place);
	if (err)
		pr_err("bufftrack: bench: row %s: error %d\n", row->name, err);
	return err;
}

static int measure(void)
{
	unsigned int turn, i;
	int err;

	err = fill(&places[FEW], KEYS_FROM, 1U << KEY_BITS, false);
	if (!err)
		err = fill(&places[MANY], KEYS_FROM, 1U << KEY_BITS, false);
	if (!err)
		err = fill(&places[MANY], OTHER_FROM, LIVE / bench_divisor, true);
	/* Both tables are to have grown to their size. */
	msleep(2000);
	for (turn = 0; !err && turn <= TURNS; turn++)
		for (i = 0; !err && i < ARRAY_SIZE(rows); i++)
			err = row_turn(&rows[i], turn);
	return err ?: drain(&places[MANY], OTHER_FROM, LIVE / bench_divisor);
}

static int with_places(void)
{
	int i, err = 0;

	for (i = 0; i < NEW && !err; i++)
		err = place_init(&places[i]);
	if (!err)
		err = measure();
	for (i = 0; i < NEW; i++)
		place_exit(&places[i]);
	return err;
}

static int with_client(void)
{
	int err;

	client = bufftrack_client_open();
	if (IS_ERR(client))
		return PTR_ERR(client);
	err = bufftrack_caller_init(&caller, client);
	if (!err) {
		err = with_places();
		bufftrack_caller_exit(&caller);
	}
	bufftrack_client_close(client);
	return err;
}

static int bench(void)
{
	int err = -ENOMEM;

	bare_cache = kmem_cache_create("bufftrack_bare", sizeof(union bare_record), 0, SLAB_ACCOUNT,
				       NULL);
	places = kcalloc(NR_PLACES, sizeof(*places), GFP_KERNEL);
	if (bare_cache && places)
		err = with_client();
	kfree(places);
	kmem_cache_destroy(bare_cache);
	return err;
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* In tenths of a nanosecond for each of @nr */
static u64 tenths(u64 took, unsigned int nr)
{
	return DIV_ROUND_CLOSEST_ULL(took * 10, nr);
}

static int bench_get(char *buffer, const struct kernel_param *kp)
{
	struct row *row;
	u64 best, median, mean, sum;
	unsigned int nr, turn;
	int err, at = 0;

	if (!bench_divisor || bench_divisor > FRESH)
		return -EINVAL;
	err = bench();
	if (err)
		return err;
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		sort(row->took, TURNS, sizeof(row->took[0]), cmp_u64, NULL);
		nr = row->nr / bench_divisor;
		best = tenths(row->took[0], nr);
		median = tenths((row->took[TURNS / 2 - 1] + row->took[TURNS / 2]) / 2, nr);
		for (sum = 0, turn = 0; turn < TURNS; turn++)
			sum += row->took[turn];
		mean = tenths(sum, nr * TURNS);
		at += sysfs_emit_at(buffer, at,
				    "{\"name\":\"%s\",\"best\":%llu.%llu,\"median\":%llu.%llu,"
				    "\"mean\":%llu.%llu,\"bare\":\"%s\"}\n",
				    row->name, best / 10, best % 10, median / 10, median % 10,
				    mean / 10, mean % 10, row->bare ?: "");
	}
	return at;
}

static const struct kernel_param_ops bench_ops = {
	.get = bench_get,
};

module_param_cb(bench, &bench_ops, NULL, 0400);
MODULE_PARM_DESC(bench, "Reading it takes half a minute, and says what was measured");
