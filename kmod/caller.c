// SPDX-License-Identifier: GPL-2.0
/*
 * Callers: the task in a call, and what is its own until the call is over.
 */
#include <linux/cred.h>
#include <linux/ktime.h>

#include "caller.h"
#include "compat.h"

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
	return bufftrack_actor_fill(slot, client->id);
}

/* bufftrack_caller_init - the current task as a caller, or -ENOMEM; may sleep */
int bufftrack_caller_init(struct bt_caller *caller, struct bt_client *client)
{
	caller->client = client;
	caller->actor = actor_get(client);
	caller->refs = 1;
	caller->now = ktime_get_ns();
	caller->tally.space = NULL;
	caller->spares.nr = 0;
	return caller->actor ? 0 : -ENOMEM;
}

/* bufftrack_caller_init_actor - the same at another actor, whose reference is taken over */
void bufftrack_caller_init_actor(struct bt_caller *caller, const struct bt_caller *from,
				 struct bt_actor *actor)
{
	caller->client = from->client;
	caller->actor = actor;
	caller->refs = 1;
	caller->now = from->now;
	caller->tally.space = NULL;
	caller->spares.nr = 0;
}

/* bufftrack_caller_exit - its calls are over, and counted */
void bufftrack_caller_exit(struct bt_caller *caller)
{
	bt_caller_flush(caller);
	if (unlikely(caller->spares.nr))
		bufftrack_spares_free(&caller->spares);
	if (refcount_sub_and_test(caller->refs, &caller->actor->refs))
		bufftrack_actor_free(caller->actor);
}
