// SPDX-License-Identifier: GPL-2.0
/*
 * Users: who they are, what they may see, and what all of them have counted.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/slab.h>

#include "param.h"
#include "user.h"

static LIST_HEAD(bt_users);
static DEFINE_MUTEX(bt_users_lock);

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

static struct bt_user *user_new(kuid_t uid)
{
	struct bt_user *user = kzalloc(sizeof(*user), BT_GFP);

	if (!user)
		return NULL;
	if (bufftrack_stats_init(&user->stats)) {
		kfree(user);
		return NULL;
	}
	user->uid = uid;
	refcount_set(&user->refs, 1);
	return user;
}

static void user_free(struct bt_user *user)
{
	bufftrack_stats_destroy(&user->stats);
	kfree(user);
}

/* With bt_users_lock held. */
static struct bt_user *user_find(kuid_t uid)
{
	struct bt_user *user;

	list_for_each_entry(user, &bt_users, node)
		if (uid_eq(user->uid, uid)) {
			refcount_inc(&user->refs);
			return user;
		}
	return NULL;
}

/*
 * bufftrack_user_get - the user, made where not there; reference or ERR_PTR. As for
 * devices and shares: who waits for memory of his own cgroup has no lock that others need.
 */
struct bt_user *bufftrack_user_get(kuid_t uid)
{
	struct bt_user *user, *fresh;

	mutex_lock(&bt_users_lock);
	user = user_find(uid);
	mutex_unlock(&bt_users_lock);
	if (user)
		return user;

	fresh = user_new(uid);
	if (!fresh)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&bt_users_lock);
	user = user_find(uid);
	if (!user)
		list_add_tail(&fresh->node, &bt_users);
	mutex_unlock(&bt_users_lock);
	if (!user)
		return fresh;
	user_free(fresh);
	return user;
}

/* bufftrack_user_put - drop a reference; may sleep */
void bufftrack_user_put(struct bt_user *user)
{
	if (!refcount_dec_and_mutex_lock(&user->refs, &bt_users_lock))
		return;
	list_del(&user->node);
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
