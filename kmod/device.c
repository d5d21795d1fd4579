// SPDX-License-Identifier: GPL-2.0
/*
 * Devices: what there is, and when it goes.
 */
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/siphash.h>
#include <linux/slab.h>

#include "device.h"
#include "param.h"
#include "user.h"

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

/*
 * Devices that are gone and had lost history, as a Bloom filter. A free on a
 * device that is not known must not be called certain if its tombstones were
 * given up; a false positive only says "probable" too often: one in 5,000 after
 * 2,000 such devices.
 */
#define BT_LOST_BITS 65536
#define BT_LOST_HASHES 4
static DECLARE_BITMAP(bt_lost, BT_LOST_BITS);
static siphash_key_t bt_lost_secret; /* whose devices they are may choose their ids */

static unsigned int lost_bit(u64 id, unsigned int n)
{
	return siphash_2u64(id, n, &bt_lost_secret) % BT_LOST_BITS;
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

/* bufftrack_device_after - the first device after *@serial, or NULL; with RCU held */
struct bt_device *bufftrack_device_after(unsigned long *serial)
{
	return xa_find_after(&bt_devices_serial, serial, ULONG_MAX, XA_PRESENT);
}

/* bufftrack_device_next - a reference to the first device after *@serial, or NULL */
struct bt_device *bufftrack_device_next(unsigned long *serial)
{
	struct bt_device *device;

	rcu_read_lock();
	do
		device = bufftrack_device_after(serial);
	while (device && !refcount_inc_not_zero(&device->refs));
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
	atomic_dec(&device->payer->account->devices);
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
	/* On a 32-bit kernel they begin anew: never with one that is there, nor with 0. */
	do {
		device->serial = atomic_long_inc_return(&bt_last_serial) ?: 1;
		err = xa_insert(&bt_devices_serial, device->serial, NULL, BT_GFP);
	} while (err == -EBUSY);
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
	if (!bt_charge(&creator->account->devices, READ_ONCE(bufftrack_max_devices)))
		return err;
	device->payer = creator;
	atomic64_set(&device->table.evicted, bufftrack_device_lost(device->id));
	/* Once it can be found it may be in use: from then on nothing may fail. */
	err = -ENOMEM;
	if (rhashtable_insert_fast(&bt_devices, &device->node, bt_device_params))
		goto dec;
	refcount_inc(&creator->refs);
	/* Its place is there: storing it needs no memory. Walks find it complete. */
	xa_store(&bt_devices_serial, device->serial, device, GFP_NOWAIT);
	return 0;
dec:
	atomic_dec(&creator->account->devices);
	return err;
}

/**
 * bufftrack_device_open() - the device of this id
 * @id: the device
 * @user: for whom it counts where it is made
 * @create: make it where it is not known
 *
 * Return: a reference; NULL where it is not known and not to be made; or -ENOMEM,
 * or -ENOSPC where @user has as many as he may.
 */
struct bt_device *bufftrack_device_open(u64 id, struct bt_user *user, bool create)
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

int __init bufftrack_devices_init(void)
{
	get_random_bytes(&bt_lost_secret, sizeof(bt_lost_secret));
	return rhashtable_init(&bt_devices, &bt_device_params);
}

/* bufftrack_devices_exit - what kept them is gone */
void bufftrack_devices_exit(void)
{
	WARN_ON(!xa_empty(&bt_devices_serial));
	rhashtable_destroy(&bt_devices);
	xa_destroy(&bt_devices_serial);
}
