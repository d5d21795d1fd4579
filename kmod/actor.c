// SPDX-License-Identifier: GPL-2.0
/*
 * Who did it: the task behind an event, remembered after it is gone.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>

#include "bufftrack.h"
#include "compat.h"

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
		bufftrack_stack_forget(actor);
	call_rcu(&actor->rcu, actor_free_rcu);
}

/* bufftrack_actor_new - the current task as an actor, or NULL; may sleep */
struct bt_actor *bufftrack_actor_new(void)
{
	struct bt_actor *actor = kmalloc(sizeof(*actor), BT_GFP);

	if (!actor)
		return NULL;

	refcount_set(&actor->refs, 1);
	actor->stack = NULL;
	actor->uid = current_euid();
	actor->pid = get_pid(task_tgid(current));
	actor->tid = get_pid(task_pid(current));
	/* Another thread may rename the task meanwhile: a mixture, which strscpy() ends. */
	strscpy_pad(actor->comm, current->comm, sizeof(actor->comm));
	return actor;
}

static bool same_comm(const char *a, const char *b)
{
	BUILD_BUG_ON(TASK_COMM_LEN != 2 * sizeof(u64));
	/* data_race: another thread may rename the task, see below; @a is an actor's. */
	return data_race(get_unaligned((const u64 *)a) == get_unaligned((const u64 *)b) &&
			 get_unaligned((const u64 *)a + 1) == get_unaligned((const u64 *)b + 1));
}

/*
 * Both comms are padded with zeros. One read here while another thread writes it may
 * be torn: then it does not match, and costs an actor more.
 */
static bool actor_is_current(const struct bt_actor *actor)
{
	return actor->tid == task_pid(current) && uid_eq(actor->uid, current_euid()) &&
	       same_comm(actor->comm, current->comm);
}

static noinline struct bt_actor *actor_fill(struct bt_actor __rcu **slot)
{
	struct bt_actor *actor, *old;

	actor = bufftrack_actor_new();
	if (!actor)
		return NULL;
	refcount_inc(&actor->refs);
	old = unrcu_pointer(xchg(slot, RCU_INITIALIZER(actor)));
	bufftrack_actor_put(old);
	return actor;
}

/*
 * A reference to the current task as an actor, or NULL for want of memory.
 *
 * The client's cache holds one actor a slot, chosen by the tid: threads of a pool,
 * whose tids follow each other, do not meet. It pins its actors until the client
 * closes.
 *
 * It has no lock. The xchg() is a full barrier: it pairs with rcu_dereference_sched(),
 * so that who finds an actor finds it complete, and nothing of it changes after that.
 * Of two threads that fill a slot at once each gets the other's or an older actor
 * out, once, and drops the slot's reference to it. Its memory stays for those under
 * RCU who have yet to take a reference, which they only get while there is one. (A
 * section of the _sched kind is a count, where the other is a call.)
 */
static __always_inline struct bt_actor *actor_get(struct bt_client *client)
{
	struct bt_actor __rcu **slot = &client->actors[current->pid & (BT_ACTOR_SLOTS - 1)];
	struct bt_actor *actor;

	rcu_read_lock_sched();
	actor = rcu_dereference_sched(*slot);
	if (likely(actor && actor_is_current(actor) && refcount_inc_not_zero(&actor->refs))) {
		rcu_read_unlock_sched();
		return actor;
	}
	rcu_read_unlock_sched();
	return actor_fill(slot);
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

/* bufftrack_caller_init - the current task as a caller, or -ENOMEM; may sleep */
int bufftrack_caller_init(struct bt_caller *caller, struct bt_client *client)
{
	caller->client = client;
	caller->actor = actor_get(client);
	caller->refs = 1;
	caller->now = ktime_get_ns();
	caller->tally.space = NULL;
	caller->nr_spare = 0;
	return caller->actor ? 0 : -ENOMEM;
}

/* bufftrack_caller_exit - its calls are over, and counted */
void bufftrack_caller_exit(struct bt_caller *caller)
{
	bufftrack_tally_flush(caller);
	if (unlikely(caller->nr_spare))
		bufftrack_spares_free(caller);
	if (refcount_sub_and_test(caller->refs, &caller->actor->refs))
		bufftrack_actor_free(caller->actor);
}
