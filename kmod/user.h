/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Users: who they are, what they may see, and what all of them have counted.
 */
#ifndef BUFFTRACK_USER_H
#define BUFFTRACK_USER_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>

#include "counter.h"

struct bt_stack;
struct pid;

/*
 * The latest stacks of bad calls, which no life refers to. They keep their account,
 * until the module is unloaded.
 */
#define BT_OFFENDING 64

struct user_namespace;

/*
 * Limits count for a user's account: for himself in the initial user namespace, else for
 * who made the outermost user namespace that he is in, with all others in it. Where that
 * is root, each such namespace is an account of its own.
 */
struct bt_user {
	struct list_head node; /* bt_users_lock */
	struct hlist_node by_uid; /* the same */
	refcount_t refs;
	kuid_t uid;
	/*
	 * Of an account: root's namespace, else NULL. Referred to, since another namespace is
	 * given the number, or the place, of one that is gone: a container must not have the
	 * limits of the one before it.
	 */
	struct user_namespace *namespace;
	struct bt_user *account; /* itself, or another one, which it pins */
	struct bt_stats stats;
	/* Of an account: what counts for it */
	atomic_t clients; /* open files */
	atomic_t devices; /* of which its users are the payer */
	atomic_t shares; /* public ones, of other users than itself */
	atomic_t tables; /* of PRIVATE clients */
	atomic_t stacks; /* that its users passed, still there */
	spinlock_t stacks_lock;
	struct list_head kept; /* its stacks, the oldest first: stacks_lock */
	struct bt_stack *offending[BT_OFFENDING]; /* stacks_lock */
	u32 offending_next; /* stacks_lock */
};

/*
 * Count one more, unless there are as many as may be: of two at once for the last place
 * both may be refused, never both let in.
 */
static inline bool bt_charge(atomic_t *count, unsigned int max)
{
	if (likely((unsigned int)atomic_inc_return(count) <= max))
		return true;
	atomic_dec(count);
	return false;
}

struct bt_user *bufftrack_user_get(void);
void bufftrack_user_put(struct bt_user *user);
void bufftrack_users_sum(struct bufftrack_stat *to);
void bufftrack_users_each(void (*fn)(struct bt_user *user));
void bufftrack_users_exit(void);
bool bufftrack_may_see(kuid_t uid);
bool bufftrack_may_see_all(void);
bool bufftrack_may_trace(struct pid *pid, u64 exec_id);

#endif /* BUFFTRACK_USER_H */
