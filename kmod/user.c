// SPDX-License-Identifier: GPL-2.0
/*
 * Users: who they are, what they may see, and what all of them have counted.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/pid.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "param.h"
#include "user.h"

static LIST_HEAD(bt_users);
static DEFINE_HASHTABLE(bt_users_by_uid, 10);
static DEFINE_MUTEX(bt_users_lock);

/* Who a user is. */
struct who {
	kuid_t uid;
	struct user_namespace *namespace;
	struct bt_user *account; /* NULL: itself */
};

/* ---- who may see what ----------------------------------------------------- */

/* Not perfmon_capable(): that nobody has asked for all is not to be audited. */
bool bufftrack_may_see_all(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_PERFMON) ||
	       ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

/**
 * bufftrack_may_see() - the rule of who sees what
 * @uid: whose thing it is
 *
 * Return: whether the current task may see it.
 */
bool bufftrack_may_see(kuid_t uid)
{
	return uid_eq(uid, current_euid()) || bufftrack_may_see_all();
}

/* That nobody looks into it is not to be audited. */
static bool may_ptrace_in(struct user_namespace *ns)
{
	return ns_capable_noaudit(ns, CAP_SYS_PTRACE);
}

/* Of its ids: those of the caller's file system access, as for /proc. */
static bool ids_allow(const struct cred *to)
{
	const struct cred *by = current_cred();

	if (uid_eq(by->fsuid, to->uid) && uid_eq(by->fsuid, to->euid) &&
	    uid_eq(by->fsuid, to->suid) && gid_eq(by->fsgid, to->gid) &&
	    gid_eq(by->fsgid, to->egid) && gid_eq(by->fsgid, to->sgid))
		return true;
	return may_ptrace_in(to->user_ns);
}

/* It can do nothing that the caller cannot. */
static bool capabilities_allow(const struct cred *to)
{
	const struct cred *by = current_cred();

	if (by->user_ns == to->user_ns && cap_issubset(to->cap_permitted, by->cap_effective))
		return true;
	return may_ptrace_in(to->user_ns);
}

/* It has not said that nobody is to look; whose memory is gone has nothing to be seen. */
static bool memory_allows(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	bool allows;

	if (!mm)
		return false;
	allows = get_dumpable(mm) == SUID_DUMP_USER || may_ptrace_in(mm->user_ns);
	mmput(mm);
	return allows;
}

/*
 * What ptrace_may_access() says of PTRACE_MODE_READ_FSCREDS, but for what security modules
 * add to it: neither it nor their hook is for modules.
 */
static bool may_trace_task(struct task_struct *task)
{
	const struct cred *to;
	bool may;

	if (same_thread_group(task, current))
		return true;
	to = get_task_cred(task);
	may = ids_allow(to) && capabilities_allow(to) && memory_allows(task);
	put_cred(to);
	return may;
}

/**
 * bufftrack_may_trace() - whether the current task may look into a process
 * @pid: the process
 * @exec_id: which of its programs: what it was before an exec nobody can look into
 *
 * Return: whether it may; false where the process is gone. May sleep.
 */
bool bufftrack_may_trace(struct pid *pid, u64 exec_id)
{
	struct task_struct *task = get_pid_task(pid, PIDTYPE_TGID);
	bool may = false;

	if (!task)
		return false;
	/* So that all that is looked at is of one program. */
	if (!down_read_killable(&task->signal->exec_update_lock)) {
		may = READ_ONCE(task->self_exec_id) == exec_id && may_trace_task(task);
		up_read(&task->signal->exec_update_lock);
	}
	put_task_struct(task);
	return may;
}

/* ---- users --------------------------------------------------------------- */

/* Who has the limits of the current task: see struct bt_user. */
static struct who account_of_current(void)
{
	struct user_namespace *ns = current_user_ns();
	struct who who = { .uid = current_euid() };

	for (; ns->parent; ns = ns->parent) {
		who.uid = ns->owner;
		who.namespace = uid_eq(ns->owner, GLOBAL_ROOT_UID) ? ns : NULL;
	}
	return who;
}

/* Takes over the reference to the account, if it can. */
static struct bt_user *user_new(const struct who *who)
{
	struct bt_user *user = kzalloc(sizeof(*user), BT_GFP);

	if (!user)
		return NULL;
	if (bufftrack_stats_init(&user->stats)) {
		kfree(user);
		return NULL;
	}
	user->uid = who->uid;
	user->namespace = who->namespace ? get_user_ns(who->namespace) : NULL;
	user->account = who->account ?: user;
	refcount_set(&user->refs, 1);
	spin_lock_init(&user->stacks_lock);
	INIT_LIST_HEAD(&user->kept);
	return user;
}

static void user_free(struct bt_user *user)
{
	if (user->account != user)
		bufftrack_user_put(user->account);
	if (user->namespace)
		put_user_ns(user->namespace);
	bufftrack_stats_destroy(&user->stats);
	kfree(user);
}

/* With bt_users_lock held. */
static struct bt_user *user_find(const struct who *who)
{
	struct bt_user *user;

	hash_for_each_possible(bt_users_by_uid, user, by_uid, __kuid_val(who->uid))
		if (uid_eq(user->uid, who->uid) && user->namespace == who->namespace &&
		    user->account == (who->account ?: user)) {
			refcount_inc(&user->refs);
			return user;
		}
	return NULL;
}

/* As bufftrack_user_get(). Takes the reference to the account over. */
static struct bt_user *user_get(const struct who *who)
{
	struct bt_user *user, *fresh = NULL;

	mutex_lock(&bt_users_lock);
	user = user_find(who);
	mutex_unlock(&bt_users_lock);
	if (user)
		goto found;

	fresh = user_new(who);
	if (!fresh) {
		user = ERR_PTR(-ENOMEM);
		goto found;
	}
	mutex_lock(&bt_users_lock);
	user = user_find(who);
	if (!user) {
		list_add_tail(&fresh->node, &bt_users);
		hash_add(bt_users_by_uid, &fresh->by_uid, __kuid_val(fresh->uid));
	}
	mutex_unlock(&bt_users_lock);
	if (!user)
		return fresh;
	user_free(fresh);
	return user;
found:
	if (who->account)
		bufftrack_user_put(who->account);
	return user;
}

/*
 * bufftrack_user_get - the current task's user; reference or ERR_PTR. As for devices and
 * shares: who waits for memory of his own cgroup has no lock that others need.
 */
struct bt_user *bufftrack_user_get(void)
{
	struct who who = account_of_current();
	struct bt_user *account = user_get(&who);

	if (IS_ERR(account) || (uid_eq(account->uid, current_euid()) && !account->namespace))
		return account;
	who = (struct who){ .uid = current_euid(), .account = account };
	return user_get(&who);
}

/* bufftrack_user_put - drop a reference; may sleep */
void bufftrack_user_put(struct bt_user *user)
{
	if (!refcount_dec_and_mutex_lock(&user->refs, &bt_users_lock))
		return;
	list_del(&user->node);
	hash_del(&user->by_uid);
	bufftrack_stats_retire(&user->stats);
	mutex_unlock(&bt_users_lock);
	user_free(user);
}

/* bufftrack_users_sum - add up what all users have counted, those who are gone too */
void bufftrack_users_sum(struct bufftrack_stat *to)
{
	struct bt_user *user;

	mutex_lock(&bt_users_lock);
	list_for_each_entry(user, &bt_users, node)
		bufftrack_stats_read(&user->stats, to);
	bufftrack_stats_retired(to);
	mutex_unlock(&bt_users_lock);
}

/* bufftrack_users_each - call a function for every user; it must not drop one */
void bufftrack_users_each(void (*fn)(struct bt_user *user))
{
	struct bt_user *user;

	mutex_lock(&bt_users_lock);
	list_for_each_entry(user, &bt_users, node)
		fn(user);
	mutex_unlock(&bt_users_lock);
}

/* bufftrack_users_exit - what kept them is gone */
void bufftrack_users_exit(void)
{
	WARN_ON(!list_empty(&bt_users));
}
