/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stacks: the return addresses that callers pass, each distinct stack once.
 */
#ifndef BUFFTRACK_STACK_H
#define BUFFTRACK_STACK_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

#include <linux/bufftrack.h>

struct bt_mapped;
struct bt_user;
struct file;
struct mm_struct;

struct bt_frame {
	u64 address;
	u64 offset;
	union {
		struct file *file; /* while it is being made */
		struct bt_mapped *mapped; /* NULL where no file is mapped */
	};
};

struct bt_stack {
	refcount_t refs; /* of actors, and of calls under way */
	u32 id;
	u32 depth;
	u64 hash;
	kuid_t uid; /* of who passed it, and may read it */
	struct mm_struct *mm; /* pinned, so that no other has its address */
	struct bt_user *user;
	struct rhash_head node;
	spinlock_t lock; /* of the list of actors */
	struct list_head actors; /* bt_actor.node */
	struct work_struct free_work;
	struct rcu_head rcu;
	struct bt_frame frames[];
};

extern atomic64_t bufftrack_stacks_lost;

int bufftrack_stacks_init(void);
void bufftrack_stacks_exit(void);
struct bt_stack *bufftrack_stack_get(struct bt_user *user, const u64 __user *addresses, u32 depth);
void bufftrack_stack_put(struct bt_stack *stack);
void bufftrack_stack_offending(struct bt_stack *stack);
void bufftrack_stacks_forget(void);
u32 bufftrack_stack_id(const struct bt_stack *stack);
int bufftrack_stack(struct bufftrack_stack *arg);

#endif /* BUFFTRACK_STACK_H */
