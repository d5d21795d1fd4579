/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who did it: the task behind an event, remembered after it is gone.
 */
#ifndef BUFFTRACK_ACTOR_H
#define BUFFTRACK_ACTOR_H

#include <linux/list.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/uidgid.h>

struct bt_stack;

#define BT_ACTOR_SLOTS 64U /* of a client's cache; a power of 2 */

/*
 * The task behind an event, as it was named then, and the stack it was at. Kept
 * by reference, so that the pid can be told in any reader's namespace. Never
 * changes once made.
 */
struct bt_actor {
	refcount_t refs;
	kuid_t uid;
	u64 client;
	u64 start_time; /* of the process */
	u64 cgroup; /* its id, when it first called */
	struct pid *pid;
	struct pid *tid;
	char comm[TASK_COMM_LEN];
	u64 stack; /* bt_stack.serial; 0: without one */
	union {
		struct hlist_node node; /* bt_stack.actors, under its lock */
		struct rcu_head rcu; /* on its way out */
	};
};

/*
 * An event of a record; @time is 0, and @actor NULL, where it is not known.
 */
struct bt_when {
	u64 time;
	struct bt_actor *actor;
};

struct bt_actor *bufftrack_actor_new(u64 client);
struct bt_actor *bufftrack_actor_fill(struct bt_actor __rcu **slot, u64 client);
struct bt_actor *bufftrack_actor_at(const struct bt_actor *base, struct bt_stack *stack);
void bufftrack_actor_free(struct bt_actor *actor);
bool bufftrack_actor_exited(const struct bt_actor *actor);

/* Drop a reference, in a task, locks held or not; NULL is allowed. */
static inline void bufftrack_actor_put(struct bt_actor *actor)
{
	if (actor && refcount_dec_and_test(&actor->refs))
		bufftrack_actor_free(actor);
}

#endif /* BUFFTRACK_ACTOR_H */
