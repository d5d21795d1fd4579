// SPDX-License-Identifier: GPL-2.0
/*
 * Shares: what a user, or a PRIVATE client, has of a device; and for which of its
 * users a device counts.
 */
#include <linux/slab.h>

#include "param.h"
#include "share.h"
#include "user.h"

/*
 * What an account may have of them: of tables that are a client's own, as many as clients;
 * of its users' parts of devices, where the users are others than itself, as many as devices.
 */
static bool share_charge(struct bt_user *user, bool private)
{
	struct bt_user *account = user->account;

	if (private)
		return bt_charge(&account->tables, READ_ONCE(bufftrack_max_clients));
	return user == account || bt_charge(&account->shares, READ_ONCE(bufftrack_max_devices));
}

static void share_uncharge(struct bt_user *user, bool private)
{
	struct bt_user *account = user->account;

	if (private)
		atomic_dec(&account->tables);
	else if (user != account)
		atomic_dec(&account->shares);
}

static void share_free(struct bt_share *share)
{
	share_uncharge(share->user, share->parent);
	bufftrack_spaces_destroy(&share->spaces);
	xa_destroy(&share->privates);
	bufftrack_stats_destroy(&share->own_stats);
	if (share->parent) {
		bufftrack_table_destroy(share->table);
		bufftrack_share_put(share->parent);
	}
	bufftrack_user_put(share->user);
	bufftrack_device_put(share->device);
	/* Walks over the list may stand on it, without a reference: they look at refs and node. */
	kfree_rcu(share, rcu);
}

/*
 * A device counts for the user who brought it into being, for as long as he uses it;
 * then for the next one who does: nobody uses up a limit for another. With device->lock
 * held: while there are shares, the payer has one.
 */
static void device_charge(struct bt_device *device, struct bt_user *user)
{
	struct bt_user *before = device->payer;

	if (user == before)
		return;
	atomic_inc(&user->account->devices);
	refcount_inc(&user->refs);
	device->payer = user;
	atomic_dec(&before->account->devices);
	bufftrack_user_put(before);
}

/* With device->lock held; @gone has left the list. */
static void device_recharge(struct bt_device *device, const struct bt_share *gone)
{
	struct bt_share *share;

	if (gone->user != device->payer)
		return;
	/* He may have another one already. */
	list_for_each_entry(share, &device->shares, node)
		if (share->user == gone->user)
			return;
	share = list_first_entry_or_null(&device->shares, struct bt_share, node);
	if (share)
		device_charge(device, share->user);
}

static void share_free_work(struct work_struct *work)
{
	struct bt_share *share = container_of(work, struct bt_share, free_work);

	if (share->parent) {
		xa_cmpxchg(&share->parent->privates, share->private_client, share, NULL,
			   GFP_NOWAIT);
	} else {
		mutex_lock(&share->device->lock);
		list_del_rcu(&share->node);
		device_recharge(share->device, share);
		mutex_unlock(&share->device->lock);
	}
	share_free(share);
}

/* bufftrack_share_put - drop a reference; from any task, shard locks held */
void bufftrack_share_put(struct bt_share *share)
{
	if (refcount_dec_and_test(&share->refs))
		queue_work(bufftrack_wq, &share->free_work);
}

/**
 * bufftrack_share_next() - walk over a device's public shares
 * @device: a device that the caller holds a reference to
 * @prev: the share before, whose reference is dropped; NULL to begin
 *
 * Return: a reference to the next share, or NULL at the end.
 */
struct bt_share *bufftrack_share_next(struct bt_device *device, struct bt_share *prev)
{
	struct list_head *at = prev ? &prev->node : &device->shares;
	struct bt_share *share = NULL;

	/*
	 * prev is still in the list: our reference keeps it there. A share that is
	 * being taken down may be in it, too, with refs of 0, and leads on to the
	 * others, since list_del_rcu() leaves its way and RCU its memory.
	 */
	rcu_read_lock();
	for (at = rcu_dereference(list_next_rcu(at)); at != &device->shares;
	     at = rcu_dereference(list_next_rcu(at))) {
		share = list_entry(at, struct bt_share, node);
		if (refcount_inc_not_zero(&share->refs))
			break;
		share = NULL;
	}
	rcu_read_unlock();
	if (prev)
		bufftrack_share_put(prev);
	return share;
}

/**
 * bufftrack_private_next() - walk over the PRIVATE clients' shares of a public one
 * @parent: the public one, to which the caller has a reference
 * @after: the id of the client before; 0 to begin
 *
 * Return: a reference to the first one of a later client, or NULL where there is none.
 */
struct bt_share *bufftrack_private_next(struct bt_share *parent, u64 after)
{
	struct bt_share *share = NULL;
	unsigned long id = after;

	/* xa_store() publishes it complete; one whose last reference has gone is passed over. */
	rcu_read_lock();
	while (id < ULONG_MAX) {
		id++;
		share = xa_find(&parent->privates, &id, ULONG_MAX, XA_PRESENT);
		if (!share || refcount_inc_not_zero(&share->refs))
			break;
		share = NULL;
	}
	rcu_read_unlock();
	return share;
}

/* A public share, to which the caller has a reference, and those of its PRIVATE clients */
static void family_each(struct bt_share *parent, void (*fn)(struct bt_share *share, void *arg),
			void *arg)
{
	struct bt_share *share;
	u64 id = 0;

	fn(parent, arg);
	while ((share = bufftrack_private_next(parent, id))) {
		id = share->private_client;
		fn(share, arg);
		bufftrack_share_put(share);
		cond_resched();
	}
}

/**
 * bufftrack_shares_each() - call a function for every share of every device
 * @fn: the function
 * @arg: handed to @fn
 *
 * For the shrinker: takes no lock and drops no device, since the allocation
 * that it serves may be under any of the mutexes. Sleeps between shares, of which it has
 * a reference then, and which have one of their device. It finds the next device by its
 * serial: it needs no reference to them, for RCU keeps the list of one that is going.
 */
void bufftrack_shares_each(void (*fn)(struct bt_share *share, void *arg), void *arg)
{
	struct bt_device *device;
	unsigned long serial = 0;
	struct bt_share *share;

	do {
		rcu_read_lock();
		device = bufftrack_device_after(&serial);
		if (device)
			list_for_each_entry_rcu(share, &device->shares, node) {
				if (!refcount_inc_not_zero(&share->refs))
					continue;
				/* Our reference keeps it in the list. */
				rcu_read_unlock();
				family_each(share, fn, arg);
				cond_resched();
				rcu_read_lock();
				bufftrack_share_put(share);
			}
		rcu_read_unlock();
		cond_resched();
	} while (device);
}

/* Takes over the reference to the parent, if it can. Nobody sees it yet. */
static struct bt_share *share_new(struct bt_user *user, struct bt_device *device,
				  struct bt_share *parent, u64 private_client)
{
	struct bt_share *share;
	int err, i;

	if (!share_charge(user, parent))
		return ERR_PTR(-ENOSPC);
	err = -ENOMEM;
	share = kzalloc(struct_size(share, private_table, parent ? 1 : 0), BT_GFP);
	if (!share)
		goto uncharge;
	if (parent) {
		share->parent = parent;
		share->private_client = private_client;
		share->stats = parent->stats;
		share->table = share->private_table;
		err = bufftrack_table_init(share->table);
	} else {
		share->stats = &share->own_stats;
		share->table = &device->table;
		err = bufftrack_stats_init(share->stats);
	}
	if (err)
		goto free;

	refcount_set(&share->refs, 1);
	refcount_inc(&device->refs);
	share->device = device;
	refcount_inc(&user->refs);
	share->user = user;
	bufftrack_spaces_init(&share->spaces, share, parent ? &parent->spaces : NULL);
	xa_init_flags(&share->privates, XA_FLAGS_ACCOUNT);
	share->evict_again = jiffies;
	INIT_WORK(&share->free_work, share_free_work);
	for (i = 0; i < BT_SHARDS; i++) {
		share->tombs[i].tail = &share->tombs[i].list.first;
		share->tombs[i].oldest = U64_MAX;
	}
	return share;
free:
	kfree(share);
uncharge:
	share_uncharge(user, parent);
	return ERR_PTR(err);
}

/* A public one, with device->lock held. */
static void share_insert(struct bt_device *device, struct bt_share *share)
{
	/* Who brought the device into being may not have come yet, or have left again. */
	if (list_empty(&device->shares))
		device_charge(device, share->user);
	/* Pairs with the walks under RCU: they find it complete. */
	list_add_rcu(&share->node, &device->shares);
}

/* With device->lock held. */
static struct bt_share *share_find(struct bt_device *device, const struct bt_user *user)
{
	struct bt_share *share;

	list_for_each_entry(share, &device->shares, node)
		if (share->user == user && refcount_inc_not_zero(&share->refs))
			return share;
	return NULL;
}

/* The user's share that all clients but PRIVATE ones have, made where not there */
static struct bt_share *share_public(struct bt_user *user, struct bt_device *device)
{
	struct bt_share *share, *fresh;

	mutex_lock(&device->lock);
	share = share_find(device, user);
	mutex_unlock(&device->lock);
	if (share)
		return share;

	fresh = share_new(user, device, NULL, 0);
	if (IS_ERR(fresh))
		return fresh;
	mutex_lock(&device->lock);
	share = share_find(device, user);
	if (!share)
		share_insert(device, fresh);
	mutex_unlock(&device->lock);
	if (!share)
		return fresh;
	share_free(fresh);
	return share;
}

static struct bt_share *share_private(struct bt_user *user, struct bt_device *device,
				      struct bt_share *parent, u64 private_client)
{
	struct bt_share *share = share_new(user, device, parent, private_client);
	int err;

	if (IS_ERR(share)) {
		bufftrack_share_put(parent);
		return share;
	}
	/* In the place of one that is going, of an ALLOC that failed. */
	err = xa_err(xa_store(&parent->privates, private_client, share, BT_GFP));
	if (!err)
		return share;
	share_free(share);
	return ERR_PTR(err);
}

/**
 * bufftrack_share_open() - a client's share of a device
 * @user: the client's
 * @private_client: its id where it is PRIVATE, else 0
 * @id: the device
 * @create: make the device where it is not known
 *
 * Return: a reference; NULL where the device is not known and not to be made;
 * or -ENOMEM, -ENOSPC.
 */
struct bt_share *bufftrack_share_open(struct bt_user *user, u64 private_client, u64 id, bool create)
{
	struct bt_device *device;
	struct bt_share *share;

	device = bufftrack_device_open(id, user, create);
	if (IS_ERR_OR_NULL(device))
		return ERR_CAST(device);

	share = share_public(user, device);
	if (!IS_ERR(share) && private_client)
		share = share_private(user, device, share, private_client);
	bufftrack_device_put(device);
	return share;
}

/**
 * bufftrack_label() - answer a LABEL whose inputs ioctl.c has checked
 * @share: the caller's user's part of the device
 * @arg: in, and with GET out
 *
 * Return: 0; -ENOSPC, -ENOMEM; with GET -ENOENT where there is no name. May sleep.
 */
int bufftrack_label(struct bt_share *share, struct bufftrack_label *arg)
{
	struct bt_spaces *spaces;
	struct bt_space *space;
	char *label;

	share = share->parent ?: share;
	spaces = &share->spaces;
	label = share->label;
	if (arg->flags & BUFFTRACK_LABEL_TAG)
		return arg->flags & BUFFTRACK_LABEL_GET
			       ? bufftrack_tag_label_get(spaces, arg->tag, arg->label)
			       : bufftrack_tag_label(spaces, arg->tag, arg->label);
	if (arg->flags & BUFFTRACK_LABEL_SPACE) {
		space = arg->flags & BUFFTRACK_LABEL_GET ? xa_load(&spaces->by_id, arg->space)
							 : bufftrack_space_get(spaces, arg->space);
		if (!space)
			return -ENOENT;
		if (IS_ERR(space))
			return PTR_ERR(space);
		label = space->label;
	}
	if (!(arg->flags & BUFFTRACK_LABEL_GET)) {
		bufftrack_name_copy(label, arg->label);
		return 0;
	}
	bufftrack_name_copy(arg->label, label);
	return arg->label[0] ? 0 : -ENOENT;
}
