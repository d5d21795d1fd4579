// SPDX-License-Identifier: GPL-2.0
/*
 * Users, devices, shares and spaces: what there is, who brought it into being,
 * and when it goes.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/jhash.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "bufftrack.h"

static const struct rhashtable_params bt_device_params = {
	.head_offset = offsetof(struct bt_device, node),
	.key_offset = offsetof(struct bt_device, id),
	.key_len = sizeof(u64),
	.automatic_shrinking = true,
};

/*
 * Writers hold bt_devices_lock. Readers hold RCU, under which a device is freed
 * no sooner than after them. Who wants more of it than its serial or its list of
 * shares takes a reference, unless it was the last that went: refs never rise
 * from 0, so that a device that is being taken down is as one that is not there.
 */
static struct rhashtable bt_devices;
static DEFINE_XARRAY_FLAGS(bt_devices_serial, XA_FLAGS_ACCOUNT);
static DEFINE_MUTEX(bt_devices_lock);
static atomic_long_t bt_last_serial = ATOMIC_LONG_INIT(0);

static LIST_HEAD(bt_users);
static DEFINE_MUTEX(bt_users_lock);

/*
 * Devices that are gone and had lost history, as a Bloom filter. A free on a
 * device that is not known must not be called certain if its tombstones were
 * given up; a false positive only says "probable" too often: one in 5,000 after
 * 2,000 such devices.
 */
#define BT_LOST_BITS 65536
#define BT_LOST_HASHES 4
static DECLARE_BITMAP(bt_lost, BT_LOST_BITS);

static unsigned int lost_bit(u64 id, unsigned int n)
{
	return jhash_2words(lower_32_bits(id), upper_32_bits(id), n) % BT_LOST_BITS;
}

/* bufftrack_device_lost - history of this device was lost, before it went */
bool bufftrack_device_lost(u64 id)
{
	unsigned int n;

	smp_rmb(); /* bufftrack_device_set_lost(): who misses the device sees what it lost */
	for (n = 0; n < BT_LOST_HASHES; n++)
		if (!test_bit(lost_bit(id, n), bt_lost))
			return false;
	return true;
}

/* bufftrack_device_set_lost - before the device leaves its table; any context */
void bufftrack_device_set_lost(u64 id)
{
	unsigned int n;

	for (n = 0; n < BT_LOST_HASHES; n++)
		set_bit(lost_bit(id, n), bt_lost);
	smp_wmb(); /* bufftrack_device_lost() */
}

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

/* ---- users ---------------------------------------------------------------- */

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
	ratelimit_state_init(&user->log, 5 * HZ, 100);
	ratelimit_set_flags(&user->log, RATELIMIT_MSG_ON_RELEASE);
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

/* ---- devices -------------------------------------------------------------- */

/* bufftrack_device_get - a reference to a known device, or NULL */
struct bt_device *bufftrack_device_get(u64 id)
{
	struct bt_device *device;

	rcu_read_lock();
	device = rhashtable_lookup(&bt_devices, &id, bt_device_params);
	if (device && !refcount_inc_not_zero(&device->refs))
		device = NULL;
	rcu_read_unlock();
	return device;
}

/*
 * bufftrack_device_serial - whether the device is known, and its serial. No other
 * device ever has that one: what is looked up by it is this one's, or nothing.
 */
bool bufftrack_device_serial(u64 id, unsigned long *serial)
{
	struct bt_device *device;

	rcu_read_lock();
	device = rhashtable_lookup(&bt_devices, &id, bt_device_params);
	if (device)
		*serial = device->serial;
	rcu_read_unlock();
	return device;
}

/* bufftrack_device_next - the first device after *@serial, or NULL */
struct bt_device *bufftrack_device_next(unsigned long *serial)
{
	struct bt_device *device;

	rcu_read_lock();
	do {
		if (*serial == ULONG_MAX) {
			device = NULL;
			break;
		}
		++*serial;
		device = xa_find(&bt_devices_serial, serial, ULONG_MAX, XA_PRESENT);
	} while (device && !refcount_inc_not_zero(&device->refs));
	rcu_read_unlock();
	return device;
}

/* bufftrack_device_put - drop a reference; may sleep */
void bufftrack_device_put(struct bt_device *device)
{
	if (!refcount_dec_and_mutex_lock(&device->refs, &bt_devices_lock))
		return;
	rhashtable_remove_fast(&bt_devices, &device->node, bt_device_params);
	xa_erase(&bt_devices_serial, device->serial);
	mutex_unlock(&bt_devices_lock);

	/* Needs no lock: without a share nobody has it charged anew. */
	atomic_dec(&device->payer->devices);
	bufftrack_user_put(device->payer);
	bufftrack_table_destroy(&device->table);
	kfree_rcu(device, rcu);
}

/* Its place in the list of serials is there, too: nobody sees it yet. */
static struct bt_device *device_new(u64 id)
{
	struct bt_device *device = kzalloc(sizeof(*device), BT_GFP);
	int err;

	if (!device)
		return ERR_PTR(-ENOMEM);
	err = bufftrack_table_init(&device->table);
	if (err)
		goto free;
	device->id = id;
	device->serial = atomic_long_inc_return(&bt_last_serial);
	err = xa_reserve(&bt_devices_serial, device->serial, BT_GFP);
	if (err)
		goto table;
	refcount_set(&device->refs, 1);
	mutex_init(&device->lock);
	INIT_LIST_HEAD(&device->shares);
	return device;
table:
	bufftrack_table_destroy(&device->table);
free:
	kfree(device);
	return ERR_PTR(err);
}

/* One that nobody has seen */
static void device_discard(struct bt_device *device)
{
	xa_release(&bt_devices_serial, device->serial);
	bufftrack_table_destroy(&device->table);
	kfree(device);
}

/* With bt_devices_lock held; takes over none of the caller's references. */
static int device_insert(struct bt_device *device, struct bt_user *creator)
{
	int err = -ENOSPC;

	/*
	 * The count goes up under the lock, and down without it after the device has left
	 * its table: it is never too low. The limit may change at any time: before or after.
	 */
	if (atomic_inc_return(&creator->devices) > READ_ONCE(bufftrack_max_devices))
		goto dec;
	device->payer = creator;
	atomic64_set(&device->table.evicted, bufftrack_device_lost(device->id));
	/* Once it can be found it may be in use: from then on nothing may fail. */
	err = rhashtable_insert_fast(&bt_devices, &device->node, bt_device_params);
	if (err)
		goto dec;
	refcount_inc(&creator->refs);
	/* Its place is there: storing it needs no memory. Walks find it complete. */
	xa_store(&bt_devices_serial, device->serial, device, GFP_NOWAIT);
	return 0;
dec:
	atomic_dec(&creator->devices);
	return err;
}

static struct bt_device *device_open(u64 id, struct bt_user *user, bool create)
{
	struct bt_device *device = bufftrack_device_get(id), *fresh;
	int err = 0;

	if (device || !create)
		return device;

	fresh = device_new(id);
	if (IS_ERR(fresh))
		return fresh;
	mutex_lock(&bt_devices_lock);
	/* Under the lock no device in the table has lost its last reference. */
	device = bufftrack_device_get(id);
	if (!device)
		err = device_insert(fresh, user);
	mutex_unlock(&bt_devices_lock);
	if (!device && !err)
		return fresh;
	device_discard(fresh);
	return device ?: ERR_PTR(err);
}

/* ---- shares --------------------------------------------------------------- */

static void share_free(struct bt_share *share)
{
	struct bt_space *space;
	unsigned long id;

	xa_for_each(&share->spaces, id, space) {
		bufftrack_stats_destroy(&space->own_stats);
		kfree(space);
	}
	xa_destroy(&share->spaces);
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
	atomic_inc(&user->devices);
	refcount_inc(&user->refs);
	device->payer = user;
	atomic_dec(&before->devices);
	bufftrack_user_put(before);
}

/* With device->lock held; @gone has left the list. */
static void device_recharge(struct bt_device *device, const struct bt_share *gone)
{
	struct bt_share *share;

	if (gone->parent || gone->user != device->payer)
		return;
	/* He may have another one already. The public ones come first. */
	list_for_each_entry(share, &device->shares, node) {
		if (share->parent)
			break;
		if (share->user == gone->user)
			return;
	}
	share = list_first_entry_or_null(&device->shares, struct bt_share, node);
	if (share)
		device_charge(device, share->user);
}

static void share_free_work(struct work_struct *work)
{
	struct bt_share *share = container_of(work, struct bt_share, free_work);

	mutex_lock(&share->device->lock);
	list_del_rcu(&share->node);
	device_recharge(share->device, share);
	mutex_unlock(&share->device->lock);
	share_free(share);
}

/* bufftrack_share_put - drop a reference; from any task, shard locks held */
void bufftrack_share_put(struct bt_share *share)
{
	if (refcount_dec_and_test(&share->refs))
		queue_work(bufftrack_wq, &share->free_work);
}

/**
 * bufftrack_share_next() - walk over a device's shares
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
 * bufftrack_shares_each() - call a function for every share of every device
 * @fn: the function; must not sleep
 * @arg: handed to @fn
 *
 * For the shrinker: takes no lock and drops no device, since the allocation
 * that it serves may be under any of the mutexes. Sleeps between devices, which it
 * finds anew by serial: it needs no reference to them, for RCU keeps the list of one
 * that is going. A share of which it has a reference has one of its device.
 */
void bufftrack_shares_each(void (*fn)(struct bt_share *share, void *arg), void *arg)
{
	struct bt_device *device;
	unsigned long serial = 0;
	struct bt_share *share;

	do {
		rcu_read_lock();
		device = xa_find_after(&bt_devices_serial, &serial, ULONG_MAX, XA_PRESENT);
		if (device)
			list_for_each_entry_rcu(share, &device->shares, node) {
				if (!refcount_inc_not_zero(&share->refs))
					continue;
				fn(share, arg);
				bufftrack_share_put(share);
			}
		rcu_read_unlock();
		cond_resched();
	} while (device);
}

/* Takes over the reference to the parent, if it can. Nobody sees it yet. */
static struct bt_share *share_new(struct bt_client *client, struct bt_device *device,
				  struct bt_share *parent)
{
	struct bt_share *share;
	int err, i;

	share = kzalloc(struct_size(share, private_table, parent ? 1 : 0), BT_GFP);
	if (!share)
		return ERR_PTR(-ENOMEM);
	if (parent) {
		share->parent = parent;
		share->private_client = client->id;
		share->stats = parent->stats;
		share->table = share->private_table;
		err = bufftrack_table_init(share->table);
	} else {
		share->stats = &share->own_stats;
		share->table = &device->table;
		err = bufftrack_stats_init(share->stats);
	}
	if (err) {
		kfree(share);
		return ERR_PTR(err);
	}

	refcount_set(&share->refs, 1);
	refcount_inc(&device->refs);
	share->device = device;
	refcount_inc(&client->user->refs);
	share->user = client->user;
	mutex_init(&share->spaces_lock);
	/* Its nodes are large, and as many as the user likes. */
	xa_init_flags(&share->spaces, XA_FLAGS_ACCOUNT);
	INIT_WORK(&share->free_work, share_free_work);
	for (i = 0; i < BT_SHARDS; i++) {
		share->tombs[i].tail = &share->tombs[i].list.first;
		share->tombs[i].oldest = U64_MAX;
	}
	return share;
}

/* With device->lock held. The public ones come first, then by their PRIVATE clients' ids. */
static void share_insert(struct bt_device *device, struct bt_share *share)
{
	struct list_head *place = &device->shares;
	struct bt_share *before;

	/* Who brought the device into being may not have come yet, or have left again. */
	if (list_empty(&device->shares))
		device_charge(device, share->user);
	if (share->parent)
		list_for_each_entry_reverse(before, &device->shares, node)
			if (before->private_client <= share->private_client) {
				place = &before->node;
				break;
			}
	/* Pairs with the walks under RCU: they find it complete. */
	list_add_rcu(&share->node, place);
}

/* With device->lock held. */
static struct bt_share *share_find(struct bt_device *device, const struct bt_user *user)
{
	struct bt_share *share;

	list_for_each_entry(share, &device->shares, node) {
		if (share->parent)
			break;
		if (share->user == user && refcount_inc_not_zero(&share->refs))
			return share;
	}
	return NULL;
}

/* The user's share that all clients but PRIVATE ones have, made where not there */
static struct bt_share *share_public(struct bt_client *client, struct bt_device *device)
{
	struct bt_share *share, *fresh;

	mutex_lock(&device->lock);
	share = share_find(device, client->user);
	mutex_unlock(&device->lock);
	if (share)
		return share;

	fresh = share_new(client, device, NULL);
	if (IS_ERR(fresh))
		return fresh;
	mutex_lock(&device->lock);
	share = share_find(device, client->user);
	if (!share)
		share_insert(device, fresh);
	mutex_unlock(&device->lock);
	if (!share)
		return fresh;
	share_free(fresh);
	return share;
}

static struct bt_share *share_private(struct bt_client *client, struct bt_device *device,
				      struct bt_share *parent)
{
	struct bt_share *share = share_new(client, device, parent);

	if (IS_ERR(share)) {
		bufftrack_share_put(parent);
		return share;
	}
	mutex_lock(&device->lock);
	share_insert(device, share);
	mutex_unlock(&device->lock);
	return share;
}

/**
 * bufftrack_share_open() - the client's share of a device
 * @client: the client, its lock held
 * @id: the device
 * @create: make the device where it is not known
 *
 * Return: a reference; NULL where the device is not known and not to be made;
 * or -ENOMEM, -ENOSPC.
 */
struct bt_share *bufftrack_share_open(struct bt_client *client, u64 id, bool create)
{
	struct bt_device *device;
	struct bt_share *share;

	device = device_open(id, client->user, create);
	if (IS_ERR_OR_NULL(device))
		return ERR_CAST(device);

	share = share_public(client, device);
	if (!IS_ERR(share) && client->flags & BUFFTRACK_CLIENT_PRIVATE)
		share = share_private(client, device, share);
	bufftrack_device_put(device);
	return share;
}

/* ---- spaces --------------------------------------------------------------- */

/* bufftrack_space_get - the share's space, made where not there, or ERR_PTR */
struct bt_space *bufftrack_space_get(struct bt_share *share, u32 id)
{
	/* Needs no lock: xa_store() below publishes it complete, and it stays with the share. */
	struct bt_space *space = xa_load(&share->spaces, id);
	struct bt_space *parent = NULL;
	int err;

	if (likely(space))
		return space;

	if (share->parent) {
		parent = bufftrack_space_get(share->parent, id);
		if (IS_ERR(parent))
			return parent;
	}

	mutex_lock(&share->spaces_lock);
	space = xa_load(&share->spaces, id);
	if (space)
		goto out;
	err = -ENOSPC;
	if (share->nr_spaces >= BT_MAX_SPACES)
		goto fail;
	err = -ENOMEM;
	space = kzalloc(sizeof(*space), BT_GFP);
	if (!space)
		goto fail;
	space->stats = parent ? parent->stats : &space->own_stats;
	if (!parent && bufftrack_stats_init(space->stats))
		goto free;
	space->share = share;
	space->id = id;
	err = xa_err(xa_store(&share->spaces, id, space, BT_GFP));
	if (err)
		goto stats;
	share->nr_spaces++;
out:
	mutex_unlock(&share->spaces_lock);
	return space;
stats:
	bufftrack_stats_destroy(&space->own_stats);
free:
	kfree(space);
fail:
	mutex_unlock(&share->spaces_lock);
	return ERR_PTR(err);
}

/* bufftrack_label - name the caller's share of a device, or of a space of it */
int bufftrack_label(struct bt_share *share, const struct bufftrack_label *arg)
{
	struct bt_space *space = NULL;

	share = share->parent ?: share;
	if (arg->flags & BUFFTRACK_LABEL_SPACE) {
		space = bufftrack_space_get(share, arg->space);
		if (IS_ERR(space))
			return PTR_ERR(space);
	}
	mutex_lock(&share->spaces_lock);
	memcpy(space ? space->label : share->label, arg->label, sizeof(arg->label));
	mutex_unlock(&share->spaces_lock);
	return 0;
}

/* ---- init ----------------------------------------------------------------- */

int __init bufftrack_devices_init(void)
{
	return rhashtable_init(&bt_devices, &bt_device_params);
}

/*
 * bufftrack_devices_exit - give up all tombstones, and with them the devices.
 * No client is left, so nothing else holds a share.
 */
void bufftrack_devices_exit(void)
{
	unsigned long serial = 0;
	struct bt_device *device;
	struct bt_share *share;
	struct bt_user *user;

	mutex_lock(&bt_users_lock);
	list_for_each_entry(user, &bt_users, node)
		bufftrack_stacks_forget(user);
	mutex_unlock(&bt_users_lock);
	while ((device = bufftrack_device_next(&serial))) {
		share = NULL;
		while ((share = bufftrack_share_next(device, share)))
			bufftrack_history_forget(share);
		bufftrack_device_put(device);
	}
	/* The works of shares put their parents and the devices, those of stacks users. */
	drain_workqueue(bufftrack_wq);
	WARN_ON(!xa_empty(&bt_devices_serial));
	WARN_ON(!list_empty(&bt_users));
	rhashtable_destroy(&bt_devices);
	xa_destroy(&bt_devices_serial);
}
