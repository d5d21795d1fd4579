/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stacks: the return addresses that callers pass, each distinct stack once.
 */
#ifndef BUFFTRACK_STACK_H
#define BUFFTRACK_STACK_H

#include <linux/llist.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>

#include <linux/bufftrack.h>

struct bt_region;
struct bt_user;

struct bt_stack {
	refcount_t refs; /* of actors, of calls under way, and one where it is offending */
	u32 hash;
	u64 serial; /* its id, and above it how often all ids had been given out */
	spinlock_t lock; /* of actors, nr_actors and evicted */
	u32 nr_actors;
	u32 mm_seq; /* bt_mm_seq() when its regions were looked at last */
	u8 depth;
	u8 nr_regions; /* 1 or more */
	bool used; /* again, since it came or was passed over */
	bool evicted;
	struct rhash_head node;
	struct hlist_head actors; /* bt_actor.node */
	union {
		struct list_head kept; /* bt_user.kept, under its lock; or empty */
		struct llist_node dead; /* of those that a work is to free */
		struct rcu_head rcu;
	};
	/* Then, for each frame: a u32, where it is in its region, and a u8, which one */
	struct bt_region *regions[];
};

extern atomic64_t bufftrack_stacks_lost;

int bufftrack_stacks_init(void);
void bufftrack_stacks_exit(void);
struct bt_stack *bufftrack_stack_get(struct bt_user *user, const u64 __user *addresses, u32 depth);
void bufftrack_stack_put(struct bt_stack *stack);
void bufftrack_stack_join(struct bt_stack *stack, struct hlist_node *node);
void bufftrack_stack_leave(u64 serial, struct hlist_node *node);
void bufftrack_stack_offending(u64 serial);
void bufftrack_stacks_forget(void);
int bufftrack_stack(struct bufftrack_stack *arg);

/* The id that callers know a stack by; 0: none */
static inline u32 bufftrack_stack_id(u64 serial)
{
	return lower_32_bits(serial);
}

#endif /* BUFFTRACK_STACK_H */
