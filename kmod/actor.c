// SPDX-License-Identifier: GPL-2.0
/*
 * Who did it: the task behind an event, remembered after it is gone.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "actor.h"
#include "param.h"
#include "stack.h"

/* Actors of a stack, the latest ones, among which one is looked for. */
#define BT_ACTORS_SEEN 32

static void actor_free_rcu(struct rcu_head *rcu)
{
	struct bt_actor *actor = container_of(rcu, struct bt_actor, rcu);

	put_pid(actor->pid);
	put_pid(actor->tid);
	kfree(actor);
}

/* bufftrack_actor_free - for bufftrack_actor_put() */
void bufftrack_actor_free(struct bt_actor *actor)
{
	if (actor->stack)
		bufftrack_stack_leave(actor->stack, &actor->node);
	call_rcu(&actor->rcu, actor_free_rcu);
}

/* The id of the task's cgroup: its directory's inode number. */
static u64 current_cgroup(void)
{
#ifdef CONFIG_CGROUPS
	u64 id;

	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
	return id;
#else
	return 0;
#endif
}

/* bufftrack_actor_new - the current task as an actor, or NULL; may sleep */
struct bt_actor *bufftrack_actor_new(u64 client)
{
	struct bt_actor *actor = kmalloc(sizeof(*actor), BT_GFP);

	if (!actor)
		return NULL;

	refcount_set(&actor->refs, 1);
	actor->stack = 0;
	actor->uid = current_euid();
	actor->client = client;
	actor->start_time = current->group_leader->start_time;
	actor->cgroup = current_cgroup();
	actor->pid = get_pid(task_tgid(current));
	actor->tid = get_pid(task_pid(current));
	/* Another thread may rename the task meanwhile: a mixture, which strscpy() ends. */
	strscpy_pad(actor->comm, current->comm, sizeof(actor->comm));
	return actor;
}

/* With stack->lock held: a reference to the task's actor, or NULL. */
static struct bt_actor *actor_find(struct bt_stack *stack, const struct bt_actor *base)
{
	struct bt_actor *actor;
	unsigned int seen = 0;

	/* Those of one that was evicted are linked to what may be gone. */
	if (stack->evicted)
		return NULL;
	hlist_for_each_entry(actor, &stack->actors, node) {
		if (seen++ == BT_ACTORS_SEEN)
			break;
		/* One without references is here until it has left, with the lock. */
		if (actor->tid == base->tid && actor->client == base->client &&
		    uid_eq(actor->uid, base->uid) &&
		    !memcmp(actor->comm, base->comm, sizeof(base->comm)) &&
		    refcount_inc_not_zero(&actor->refs))
			return actor;
	}
	return NULL;
}

/**
 * bufftrack_actor_at() - a task with a stack
 * @base: the task's actor without one
 * @stack: the stack, whose reference is taken over
 *
 * Return: a reference to an actor of both, or NULL for want of memory: the one that is
 * there, or another where there are so many that looking for it costs more.
 */
struct bt_actor *bufftrack_actor_at(const struct bt_actor *base, struct bt_stack *stack)
{
	struct bt_actor *actor, *fresh;

	spin_lock(&stack->lock);
	actor = actor_find(stack, base);
	spin_unlock(&stack->lock);
	fresh = actor ? NULL : kmalloc(sizeof(*fresh), BT_GFP);
	if (!fresh)
		goto put;

	/* From here on it never changes. */
	refcount_set(&fresh->refs, 1);
	fresh->uid = base->uid;
	fresh->client = base->client;
	fresh->start_time = base->start_time;
	fresh->cgroup = base->cgroup;
	fresh->pid = get_pid(base->pid);
	fresh->tid = get_pid(base->tid);
	memcpy(fresh->comm, base->comm, sizeof(fresh->comm));
	fresh->stack = stack->serial;
	spin_lock(&stack->lock);
	actor = actor_find(stack, base);
	if (!actor && !stack->evicted) {
		/* With our reference */
		bufftrack_stack_join(stack, &fresh->node);
		spin_unlock(&stack->lock);
		return fresh;
	}
	spin_unlock(&stack->lock);
	if (actor) {
		put_pid(fresh->pid);
		put_pid(fresh->tid);
		kfree(fresh);
	} else {
		actor = fresh;
	}
put:
	bufftrack_stack_put(stack);
	return actor;
}

/* bufftrack_actor_fill - the current task in a slot of a cache: a reference, or NULL */
struct bt_actor *bufftrack_actor_fill(struct bt_actor __rcu **slot, u64 client)
{
	struct bt_actor *actor, *old;

	actor = bufftrack_actor_new(client);
	if (!actor)
		return NULL;
	refcount_inc(&actor->refs);
	old = unrcu_pointer(xchg(slot, RCU_INITIALIZER(actor)));
	bufftrack_actor_put(old);
	return actor;
}

/* bufftrack_actor_exited - whether the actor's process is gone; RCU keeps the task, we the pid */
bool bufftrack_actor_exited(const struct bt_actor *actor)
{
	bool gone;

	rcu_read_lock();
	gone = !pid_task(actor->pid, PIDTYPE_TGID);
	rcu_read_unlock();
	return gone;
}
