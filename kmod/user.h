/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Users: who they are, what they may see, and what all of them have counted.
 */
#ifndef BUFFTRACK_USER_H
#define BUFFTRACK_USER_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>

#include "counter.h"

struct bt_stack;

/*
 * The latest stacks of bad calls, which no life refers to. They keep the user,
 * until the module is unloaded.
 */
#define BT_OFFENDING 64

struct bt_user {
	struct list_head node; /* bt_users_lock */
	refcount_t refs;
	kuid_t uid;
	atomic_t devices; /* of which it is the payer */
	atomic_t stacks; /* that its clients passed, still there */
	struct bt_stack *offending[BT_OFFENDING]; /* bt_offending_lock */
	u32 offending_next;
	struct bt_stats stats;
};

struct bt_user *bufftrack_user_get(kuid_t uid);
void bufftrack_user_put(struct bt_user *user);
void bufftrack_users_sum(struct bufftrack_stat *to);
void bufftrack_users_each(void (*fn)(struct bt_user *user));
void bufftrack_users_exit(void);
bool bufftrack_may_see(kuid_t uid);
bool bufftrack_may_see_all(void);

#endif /* BUFFTRACK_USER_H */
