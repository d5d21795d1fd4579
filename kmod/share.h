/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shares: what a user, or a PRIVATE client, has of a device.
 */
#ifndef BUFFTRACK_SHARE_H
#define BUFFTRACK_SHARE_H

#include <linux/workqueue.h>

#include "device.h"
#include "space.h"

/* One shard's tombstones of a share, in the order in which they ended. */
struct bt_tombs {
	struct hlist_head list; /* bt_record.tomb */
	struct hlist_node **tail; /* the last one's next, or the list's first */
	u64 oldest; /* its first one's ended_seq, else ~0 */
};

/*
 * A user has one public share of a device. A PRIVATE client's share has keys
 * and tombstones of its own; it counts in its user's public one, its parent,
 * which it pins, so that the counts outlive it.
 */
struct bt_share {
	struct bt_device *device;
	struct bt_user *user;
	struct bt_share *parent; /* NULL where public */
	struct bt_table *table; /* the device's, or private_table */
	u64 private_client; /* its id, 0 where public */
	refcount_t refs;
	struct list_head node; /* of a public one: bt_device.shares */
	struct xarray privates; /* of a public one: its PRIVATE clients' ones, by their ids */
	struct bt_stats *stats; /* bytes, and what has no space */
	struct bt_stats own_stats;
	atomic_t clients; /* of a public one: PRIVATE ones too */
	atomic_t tombs_nr;
	atomic64_t ended_seq;
	unsigned long evict_again; /* jiffies: not before, for want of memory */
	struct bt_tombs tombs[BT_SHARDS];
	struct bt_spaces spaces;
	char label[BUFFTRACK_NAME_LEN];
	struct work_struct free_work;
	struct rcu_head rcu;
	struct bt_table private_table[];
};

struct bt_share *bufftrack_share_open(struct bt_user *user, u64 private_client, u64 device,
				      bool create);
struct bt_share *bufftrack_share_next(struct bt_device *device, struct bt_share *prev);
struct bt_share *bufftrack_private_next(struct bt_share *parent, u64 after);
void bufftrack_share_put(struct bt_share *share);
void bufftrack_shares_each(void (*fn)(struct bt_share *share, void *arg), void *arg);
int bufftrack_label(struct bt_share *share, struct bufftrack_label *arg);

#endif /* BUFFTRACK_SHARE_H */
