/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bufftrack, private: the objects, who owns them, and the locks.
 *
 *   client --- attach --- share --- device --- table --- record
 *   (a file)   (client    (a user's  (an id)   (a key     (a key: the
 *               on a       part of a            space)     last two lives)
 *               device)    device)
 *
 * A key is (space, buffer) in a table. A device has one public table, which
 * its public shares have in common; a PRIVATE client's share has its own.
 *
 * References: an attach pins its share; a record pins the share whose user
 * allocated its last life; a share pins its device and its user. A client owns
 * its attaches until it closes. A record leaves its table by eviction only,
 * and then waits for RCU, since lookups of other shards pass by.
 *
 * Locks, outermost first:
 *   client->lock		attaches, flags			mutex
 *   bt_devices_lock		devices coming and going	mutex
 *   device->lock		shares coming and going		mutex
 *   share->spaces_lock		spaces coming			mutex
 *   shard->lock		all records of the shard, their holds, the lists
 *				of holds (attach) and of tombstones (share) with
 *				the shard's number		spinlock
 *   stack->lock		the stack's actors		spinlock
 *   bt_offending_lock		a user's offending stacks	spinlock
 *   bt_names_lock		names of clients, labels	spinlock
 *   bt_logging_lock		who may log how much		spinlock
 *   bt_users_lock, bt_mapped_lock	the users; the mapped files	mutexes: innermost
 * No two shard locks are ever held at once. Nothing that the shrinker takes
 * (shard->lock, and under it stack->lock, RCU, the locks of rhashtables and xarrays)
 * is held over an allocation that may sleep.
 */
#ifndef BUFFTRACK_H
#define BUFFTRACK_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/tracepoint-defs.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <linux/bufftrack.h>

struct bt_client;
struct bt_stack;
struct bt_user;

#define BT_SHARD_BITS		4
#define BT_SHARDS		(1U << BT_SHARD_BITS)
#define BT_ACTOR_SLOTS		64U	/* a power of 2 */
#define BT_MAX_BATCH		4096U
#define BT_MAX_SPACES		256U
#define BT_MAX_STACK		64U
#define BT_MAX_HOLDERS		1024U	/* of a life: looked through under its lock */

/*
 * Generations are handed to records in blocks of this many (a power of 2), so
 * that a token tells whether it was ever this record's. The first number of a
 * block is not used: no generation is 0.
 */
#define BT_GEN_BLOCK		1024ULL

/* For allocations on a caller's behalf: charged, and fail before an OOM kill. */
#define BT_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* The same, under a spinlock. */
#define BT_GFP_LOCKED (GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN)

/* ---- parameters (main.c) ------------------------------------------------- */

enum bt_on_error { BT_REPORT, BT_SIGTRAP, BT_PANIC };

extern unsigned int bufftrack_max_buffers;
extern unsigned int bufftrack_max_devices;
extern unsigned int bufftrack_history;
extern unsigned int bufftrack_max_stacks;
extern unsigned int bufftrack_log_limit;
extern unsigned int bufftrack_on_error;
extern struct workqueue_struct *bufftrack_wq;

/* ---- who did it (actor.c) ------------------------------------------------ */

/*
 * The task behind an event, as it was named then, and the stack it was at. Kept
 * by reference, so that the pid can be told in any reader's namespace. Never
 * changes once made.
 */
struct bt_actor {
	refcount_t refs;
	kuid_t uid;
	struct pid *pid;
	struct pid *tid;
	char comm[TASK_COMM_LEN];
	struct bt_stack *stack;		/* NULL: without one */
	struct list_head node;		/* bt_stack.actors, under its lock */
	struct rcu_head rcu;
};

/*
 * An event of a record; @time is 0, and @actor NULL, where it is not known.
 */
struct bt_when {
	u64 time;
	struct bt_actor *actor;
};

struct bt_actor *bufftrack_actor_new(void);
void bufftrack_actor_free(struct bt_actor *actor);
bool bufftrack_actor_exited(const struct bt_actor *actor);

/* Drop a reference, in a task, locks held or not; NULL is allowed. */
static inline void bufftrack_actor_put(struct bt_actor *actor)
{
	if (actor && refcount_dec_and_test(&actor->refs))
		bufftrack_actor_free(actor);
}

/* ---- stacks (stack.c) ---------------------------------------------------- */

extern atomic64_t bufftrack_stacks_lost;

int bufftrack_stacks_init(void);
void bufftrack_stacks_exit(void);
struct bt_stack *bufftrack_stack_get(struct bt_client *client,
				     const u64 __user *addresses, u32 depth);
void bufftrack_stack_put(struct bt_stack *stack);
void bufftrack_stack_offending(struct bt_stack *stack);
void bufftrack_stacks_forget(struct bt_user *user);
u32 bufftrack_stack_id(const struct bt_stack *stack);
struct bt_actor *bufftrack_stack_actor(const struct bt_actor *base,
				       struct bt_stack *stack);
void bufftrack_stack_forget(struct bt_actor *actor);
int bufftrack_stack(struct bufftrack_stack *arg);

/* ---- counters (stats.c) -------------------------------------------------- */

/*
 * What happened, each event in one of these; what is told follows from them
 * (bufftrack_stats_read()). The ordinary ALLOC and FREE count once each.
 */
struct bt_hot {
	u64 revived;		/* ALLOCs that began a life on a tombstone */
	u64 freed;		/* FREEs that ended a life of the same user's */
	u64 fresh;		/* ALLOCs that began a life on a new record */
	u64 shared;		/* ALLOCs of a further reference */
	u64 dropped;		/* FREEs of which @freed has not told */
	u64 ended;		/* ends of lives of which @freed has not told */
	u64 views;		/* that came, and that went */
	u64 evicted;		/* tombstones that might have been asked for */
	u64 forgotten;		/* tombstones that went otherwise */
};

struct bt_stats {
	struct bt_hot __percpu *hot;
	atomic64_t bytes;
	atomic64_t peak;
	atomic64_t verdicts[BUFFTRACK_NR_VERDICTS]; /* but OK, which follows */
};

#define bt_stats_add(stats, field, n) this_cpu_add((stats)->hot->field, (n))

extern atomic64_t bufftrack_failed;	/* ALLOCs refused for want of room */

int bufftrack_stats_init(struct bt_stats *stats);
void bufftrack_stats_destroy(struct bt_stats *stats);
void bufftrack_stats_read(const struct bt_stats *stats,
			  struct bufftrack_stat *to);
int bufftrack_stat(struct bt_client *client, struct bufftrack_stat *stat);
void bufftrack_stats_retire(const struct bt_stats *stats);
void bufftrack_stats_retired(struct bufftrack_stat *to);
void bufftrack_stats_info(struct bufftrack_info *info);

/*
 * Several changes at once: their sum, and the highest that it was on the way, at
 * least 0. Sizes are the caller's word: a sum may wrap, and comes back all the
 * same; what is beyond S64_MAX is no peak. Each add is ordered with all others, and
 * offers its own sum: the loop misses no peak.
 */
static inline void bt_stats_bytes(struct bt_stats *stats, s64 sum, s64 high)
{
	s64 top, peak;

	if (!high) {
		atomic64_add(sum, &stats->bytes);
		return;
	}
	top = atomic64_add_return(sum, &stats->bytes) - sum + high;
	peak = atomic64_read(&stats->peak);
	while (unlikely(top > peak) &&
	       !atomic64_try_cmpxchg(&stats->peak, &peak, top))
		;
}

/* ---- users, devices, shares, spaces (user.c, device.c, share.c, space.c) -- */

/*
 * The latest stacks of bad calls, which no life refers to. They keep the user,
 * until the module is unloaded.
 */
#define BT_OFFENDING 64

struct bt_user {
	struct list_head node;		/* bt_users_lock */
	refcount_t refs;
	kuid_t uid;
	atomic_t devices;		/* of which it is the payer */
	atomic_t stacks;		/* that its clients passed, still there */
	struct bt_stack *offending[BT_OFFENDING]; /* bt_offending_lock */
	u32 offending_next;
	struct bt_stats stats;
};

struct bt_shard {
	spinlock_t lock;		/* see above: shard->lock */
} ____cacheline_aligned_in_smp;

struct bt_table {
	struct rhashtable records;
	atomic64_t evicted;		/* tombstones; not 0 where any ever was */
	struct bt_shard shards[BT_SHARDS];
};

struct bt_device {
	u64 id;
	unsigned long serial;
	refcount_t refs;
	struct rhash_head node;
	struct bt_user *payer;		/* for whom it counts; lock */
	struct mutex lock;		/* see above: device->lock */
	struct list_head shares;	/* lock; readers RCU; see share_insert() */
	struct rcu_head rcu;
	struct bt_table table;
};

struct bt_space {
	struct bt_share *share;
	u32 id;
	char label[BUFFTRACK_NAME_LEN];
	struct bt_stats *stats;		/* own_stats, or the parent's space's */
	struct bt_stats own_stats;
};

/* One shard's tombstones of a share, in the order in which they ended. */
struct bt_tombs {
	struct hlist_head list;		/* bt_record.tomb */
	struct hlist_node **tail;	/* the last one's next, or the list's first */
	u64 oldest;			/* its first one's ended_seq, else ~0 */
};

/*
 * A user has one public share of a device. A PRIVATE client's share has keys
 * and tombstones of its own; it counts in its user's public one, its parent,
 * which it pins, so that the counts outlive it.
 */
struct bt_share {
	struct bt_device *device;
	struct bt_user *user;
	struct bt_share *parent;	/* NULL where public */
	struct bt_table *table;		/* the device's, or private_table */
	u64 private_client;		/* its id, 0 where public */
	refcount_t refs;
	struct list_head node;		/* bt_device.shares */
	struct bt_stats *stats;		/* bytes, and what has no space */
	struct bt_stats own_stats;
	atomic_t clients;		/* of a public one: PRIVATE ones too */
	atomic_t tombs_nr;
	atomic64_t ended_seq;
	struct bt_tombs tombs[BT_SHARDS];
	struct mutex spaces_lock;	/* see above */
	struct xarray spaces;
	unsigned int nr_spaces;
	char label[BUFFTRACK_NAME_LEN];
	struct work_struct free_work;
	struct rcu_head rcu;
	struct bt_table private_table[];
};

struct bt_user *bufftrack_user_get(kuid_t uid);
void bufftrack_user_put(struct bt_user *user);
void bufftrack_users_sum(struct bufftrack_stat *to);
void bufftrack_users_forget(void);
void bufftrack_users_exit(void);
bool bufftrack_may_see(kuid_t uid);
bool bufftrack_may_see_all(void);

int bufftrack_devices_init(void);
void bufftrack_devices_exit(void);
struct bt_device *bufftrack_device_open(u64 id, struct bt_user *user,
					bool create);
struct bt_device *bufftrack_device_get(u64 id);
bool bufftrack_device_serial(u64 id, unsigned long *serial);
struct bt_device *bufftrack_device_after(unsigned long *serial);
struct bt_device *bufftrack_device_next(unsigned long *serial);
void bufftrack_device_put(struct bt_device *device);
bool bufftrack_device_lost(u64 id);
void bufftrack_device_set_lost(u64 id);

struct bt_share *bufftrack_share_open(struct bt_client *client, u64 device,
				      bool create);
struct bt_share *bufftrack_share_next(struct bt_device *device,
				      struct bt_share *prev);
void bufftrack_share_put(struct bt_share *share);
void bufftrack_shares_each(void (*fn)(struct bt_share *share, void *arg),
			   void *arg);

void bufftrack_spaces_init(struct bt_share *share);
void bufftrack_spaces_destroy(struct bt_share *share);
struct bt_space *bufftrack_space_get(struct bt_share *share, u32 id);
int bufftrack_label(struct bt_share *share, const struct bufftrack_label *arg);
void bufftrack_name_copy(char *to, const char *from);

/* ---- clients (client.c) -------------------------------------------------- */

struct bt_attach {
	struct bt_client *client;
	struct bt_share *share;
	u64 device;			/* its id */
	struct bt_space *space;		/* the latest one used: a cache */
	struct hlist_head holds[BT_SHARDS];	/* shard lock; bt_hold.node */
};

struct bt_client {
	u64 id;
	struct bt_user *user;
	struct bt_actor *opener;
	refcount_t refs;		/* the file, and readers of STAT */
	/*
	 * BUFFTRACK_CLIENT_*; written under lock. Read without it as one word: a call
	 * is judged as before a change, or as after it.
	 */
	unsigned int flags;
	bool used;			/* see bufftrack_client_set() */
	atomic_t held;			/* lives that it holds */
	atomic64_t log_suppressed;
	atomic_t log_unknown;
	struct bt_attach *last;		/* the latest one used: a cache */
	struct mutex lock;		/* see above: client->lock */
	struct xarray attaches;		/* by device serial */
	char name[BUFFTRACK_NAME_LEN];
	struct bt_stats stats;
	struct rcu_head rcu;
	struct bt_actor __rcu *actors[BT_ACTOR_SLOTS];
};

struct bt_client *bufftrack_client_open(void);
void bufftrack_client_close(struct bt_client *client);
void bufftrack_client_put(struct bt_client *client);
struct bt_client *bufftrack_client_find(u64 id);
struct bt_client *bufftrack_client_next(u64 after);
int bufftrack_client_set(struct bt_client *client,
			 struct bufftrack_client *arg);
struct bt_attach *bufftrack_attach_lookup(struct bt_client *client, u64 id);
struct bt_attach *bufftrack_attach(struct bt_client *client, u64 id,
				   bool create);
void bufftrack_clients_exit(void);

/* The client's attach to a device, or NULL. */
static inline struct bt_attach *
bufftrack_attach_find(struct bt_client *client, u64 id)
{
	/* Acquire: pairs with the release of it, so that the attach is complete. */
	struct bt_attach *attach = smp_load_acquire(&client->last);

	if (likely(attach && attach->device == id))
		return attach;
	return bufftrack_attach_lookup(client, id);
}

/* ---- lives and holds (life.c) -------------------------------------------- */

/*
 * A client's references to a life. The first holder's lies in the record; it
 * stays with a count of 0, to tell a double free from a foreign one, until the
 * life ends or the client closes.
 */
struct bt_hold {
	struct bt_attach *attach;
	struct hlist_node node;		/* bt_attach.holds */
	u32 count;
	u32 refs;			/* of the life, in its record's; else 0 */
};

struct bt_more_hold {
	struct bt_hold hold;
	struct bt_record *record;
	struct bt_more_hold *next;	/* in the order of the first hold */
};

#define BT_MAX_VIEWS	((1U << 24) - 1)

/* The most that fits: with U32_MAX lives, or more. */
#define BT_MAX_BLOCKS	((1U << 22) - 1)

/*
 * One key: its live or last life, and what is to be known of the life before.
 * The key never changes; everything else is under the shard's lock. What only the
 * living need lies where the dead have their end: use what the state allows.
 */
struct bt_record {
	struct rhash_head node;
	u64 buffer;
	u32 space_id;
	u32 state : 3;			/* enum bufftrack_state; NONE: evicted */
	u32 prev_state : 3;
	u32 flags : 2;			/* EXCLUSIVE, SHARED, of the first ALLOC */
	u32 slot : 1;			/* which of alloc[] is this life's */
	u32 blocks : 22;		/* of generations, that were all this key's */
	u64 generation;			/* 0: no life yet */
	struct bt_space *space;		/* the allocating user's; its share pinned */
	u64 size;
	u32 prev_delta;			/* generation - the previous one's */
	u32 frees;
	union {
		struct {		/* live */
			struct bt_hold first;
			struct bt_more_hold *more;
		};
		struct {		/* dead */
			struct hlist_node tomb;	/* bt_tombs.list */
			u64 ended_seq;
			struct bt_when end;
		};
		struct rcu_head rcu;	/* evicted */
	};
	u64 tag;
	u32 views : 24;
	u32 refused_own : 8;		/* of @refused, its user's own: for the log */
	u32 refused;
	struct bt_when alloc[2];	/* this life's, and the one's before */
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
	return rec->state == BUFFTRACK_STATE_LIVE ? rec->first.refs : 0;
}

/* ---- callers (actor.c), and what they count in (count.c) ------------------ */

/*
 * What a caller's ordinary calls come to, until it is counted: in the space, the
 * share, the user and the client, which are the same for all of them.
 */
struct bt_tally {
	struct bt_space *space;		/* NULL: nothing to be counted, nothing here */
	u32 revived;			/* as in bt_hot */
	u32 fresh;
	u32 freed;
	s64 bytes;			/* as in bt_stats_bytes() */
	s64 high;
};

/* Records that a batch allocates at a time. */
#define BT_SPARES 8

/* A task in a call of one ALLOC or FREE, or of many. */
struct bt_caller {
	struct bt_client *client;
	struct bt_actor *actor;
	u32 refs;			/* of the actor, that are the caller's: 1 or more */
	u64 now;
	struct bt_tally tally;
	unsigned int nr_spare;
	void *spare[BT_SPARES];		/* records, for the keys that may come */
};

int bufftrack_caller_init(struct bt_caller *caller, struct bt_client *client);
void bufftrack_caller_exit(struct bt_caller *caller);
void bufftrack_tally_flush(struct bt_caller *caller);

/* ---- records (record.c) --------------------------------------------------- */

int bufftrack_records_init(void);
void bufftrack_records_exit(void);
int bufftrack_table_init(struct bt_table *table);
void bufftrack_table_destroy(struct bt_table *table);
u64 bufftrack_prev_generation(const struct bt_record *rec);
u32 bufftrack_lives(const struct bt_record *rec);
void bufftrack_record_remove(struct bt_record *rec);
void bufftrack_spares_free(struct bt_caller *caller);

/* ---- verdicts (alloc.c, free.c, end.c) ------------------------------------ */

int bufftrack_alloc(struct bt_caller *caller, struct bufftrack_op *op);
int bufftrack_free(struct bt_caller *caller, struct bufftrack_op *op);
u64 bufftrack_attach_close(struct bt_attach *attach);
int bufftrack_reset(struct bt_caller *caller, struct bufftrack_reset *arg);

/* ---- walks over a table (walk.c) ----------------------------------------- */

/* Where a walk over a table is: after this key, in the order of walk.c. */
struct bt_pos {
	u64 buffer;
	u32 space_id;
	u32 floor;
	bool started;
};

struct bt_record *bufftrack_table_next(struct bt_table *table,
				       struct bt_pos *pos);

/* ---- tombstones (history.c) ---------------------------------------------- */

int bufftrack_history_init(void);
void bufftrack_history_exit(void);
unsigned int bufftrack_history_evict(struct bt_share *share, unsigned int nr);
void bufftrack_history_forget(struct bt_share *share);
void bufftrack_history_shrink(struct bt_share *share);

/*
 * Give up what is beyond the limit. Takes shard locks, one after another. The count
 * is a hint: who raised it above the limit sees it there, and comes here.
 */
static inline void bufftrack_history_trim(struct bt_share *share)
{
	if (unlikely(atomic_read(&share->tombs_nr) >
		     (int)READ_ONCE(bufftrack_history)))
		bufftrack_history_shrink(share);
}

/* ---- listing (list.c) ---------------------------------------------------- */

int bufftrack_list(struct bufftrack_list *arg);

/* ---- arguments (ioctl.c) ------------------------------------------------- */

long bufftrack_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* ---- what is said (report.c) --------------------------------------------- */

DECLARE_TRACEPOINT(bufftrack_alloc);
DECLARE_TRACEPOINT(bufftrack_free);

struct bt_who {
	u64 time;
	pid_t pid;
	pid_t tid;
	u32 uid;
	u32 stack_id;
	u32 exited;
	char comm[TASK_COMM_LEN];
};

/* An ALLOC or FREE that counted, for the tracepoints. */
struct bt_use {
	u64 device;
	u64 buffer;
	u64 size;
	u64 tag;
	u64 token;
	u64 generation;
	u64 client;
	u32 space;
	u32 flags;
	u32 refs;
	u32 views;
	struct bt_who by;
};

struct bt_life {
	u64 generation;
	u32 state;
	struct bt_who alloc;
	struct bt_who end;
};

/* A bad verdict or a leak, for the tracepoints and the log. */
struct bt_bad {
	u64 device;
	u64 buffer;
	u64 size;
	u64 tag;
	u64 token;
	u64 requested;			/* the size that the call gave */
	u64 generation;
	u64 client;
	u64 evicted;
	u32 space;
	u32 verdict;
	u32 info;
	u32 refs;
	u32 nth;
	u32 nth_own;			/* as far as the log goes; 0: of another user's key */
	u32 lives;
	u32 frees;
	struct bt_who by;
	struct bt_life life;		/* the one that was meant */
	struct bt_life prev;		/* the one before it */
};

/* Which life a FREE meant. */
enum bt_named { BT_NAMED_LAST, BT_NAMED_PREV, BT_NAMED_OLDER, BT_NAMED_NEVER };

void bufftrack_report_use(const struct bt_caller *caller,
			  const struct bt_record *rec,
			  const struct bufftrack_op *op, bool alloc);
void bufftrack_report_bad(const struct bt_caller *caller,
			  const struct bt_share *share,
			  const struct bt_record *rec, enum bt_named named,
			  const struct bufftrack_op *op, struct bt_bad *bad);
void bufftrack_report_after(struct bt_client *client, const struct bt_bad *bad);
void bufftrack_report_leak(const struct bt_client *client,
			   const struct bt_share *share,
			   const struct bt_record *rec, u32 count);
void bufftrack_report_open(const struct bt_client *client);
void bufftrack_report_close(struct bt_client *client, u64 leaks);
void bufftrack_report_reset(const struct bt_caller *caller, u64 device,
			    u64 lives);
u64 bufftrack_logs_suppressed(void);
int bufftrack_verdict_errno(u32 verdict);

#endif /* BUFFTRACK_H */
