// SPDX-License-Identifier: GPL-2.0
/*
 * Clients: one an open file; what they use, and how they go.
 */
#include <linux/cred.h>
#include <linux/slab.h>

#include "client.h"
#include "param.h"

/* Flags that are never cleared. */
#define BT_CLIENT_STAYS \
	(BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_PARTIAL | BUFFTRACK_CLIENT_FORKED)

/*
 * Every open client by its id. xa_store() publishes it complete. Readers hold RCU,
 * under which its memory stays, and take a reference unless the last one has gone:
 * from 0 refs do not rise again.
 */
static DEFINE_XARRAY_FLAGS(bt_clients, XA_FLAGS_ACCOUNT);
static atomic64_t bt_last_client = ATOMIC64_INIT(0);

static void client_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct bt_client, rcu));
}

static void client_free(struct bt_client *client)
{
	int i;

	/* Calls use the slots, and with the file's end there are none any more. */
	for (i = 0; i < BT_ACTOR_SLOTS; i++)
		bufftrack_actor_put(rcu_dereference_protected(client->actors[i], true));
	bufftrack_actor_put(client->opener);
	bufftrack_stats_destroy(&client->stats);
	atomic_dec(&client->user->account->clients);
	bufftrack_user_put(client->user);
	call_rcu(&client->rcu, client_free_rcu);
}

/* bufftrack_client_put - drop a reference; may sleep */
void bufftrack_client_put(struct bt_client *client)
{
	if (refcount_dec_and_test(&client->refs))
		client_free(client);
}

/* bufftrack_client_open - a new client of the current task, or ERR_PTR */
struct bt_client *bufftrack_client_open(void)
{
	struct bt_client *client = kzalloc(sizeof(*client), BT_GFP);
	int err = -ENOMEM;

	if (!client)
		return ERR_PTR(-ENOMEM);

	client->id = atomic64_inc_return(&bt_last_client);
	client->opener = bufftrack_actor_new(client->id);
	if (!client->opener)
		goto free;
	if (bufftrack_stats_init(&client->stats))
		goto opener;
	client->user = bufftrack_user_get();
	if (IS_ERR(client->user))
		goto stats;
	err = -ENOSPC;
	if (!bt_charge(&client->user->account->clients, READ_ONCE(bufftrack_max_clients)))
		goto user;
	refcount_set(&client->refs, 1);
	mutex_init(&client->lock);
	xa_init_flags(&client->attaches, XA_FLAGS_ACCOUNT);

	/* From here on STAT finds it. */
	err = xa_err(xa_store(&bt_clients, client->id, client, BT_GFP));
	if (err)
		goto charge;
	return client;
charge:
	atomic_dec(&client->user->account->clients);
user:
	bufftrack_user_put(client->user);
stats:
	bufftrack_stats_destroy(&client->stats);
opener:
	bufftrack_actor_put(client->opener);
free:
	kfree(client);
	return ERR_PTR(err);
}

/* bufftrack_client_remove - of a file that has been released: nobody finds it any more */
void bufftrack_client_remove(struct bt_client *client)
{
	xa_erase(&bt_clients, client->id);
	bufftrack_client_put(client);
}

/* bufftrack_client_find - a reference to an open client, or NULL */
struct bt_client *bufftrack_client_find(u64 id)
{
	struct bt_client *client;

	rcu_read_lock();
	client = id <= ULONG_MAX ? xa_load(&bt_clients, id) : NULL;
	if (client && !refcount_inc_not_zero(&client->refs))
		client = NULL;
	rcu_read_unlock();
	return client;
}

/* bufftrack_client_next - a reference to the first client after an id, or NULL */
struct bt_client *bufftrack_client_next(u64 after)
{
	struct bt_client *client = NULL;
	unsigned long id = after;

	rcu_read_lock();
	while (id < ULONG_MAX) {
		id++;
		client = xa_find(&bt_clients, &id, ULONG_MAX, XA_PRESENT);
		if (!client || refcount_inc_not_zero(&client->refs))
			break;
		client = NULL;
	}
	rcu_read_unlock();
	return client;
}

/**
 * bufftrack_client_set() - carry out CLIENT
 * @client: the caller's
 * @arg: in and out; mask, flags and name are checked by ioctl.c
 *
 * Return: 0; -EBUSY where PRIVATE comes too late, -EINVAL where it, PARTIAL or
 * FORKED would go.
 */
int bufftrack_client_set(struct bt_client *client, struct bufftrack_client *arg)
{
	unsigned int mask = arg->mask & ~BUFFTRACK_CLIENT_NAME;
	int err = 0;

	/*
	 * Calls set used without the lock, but before they take it to make the first
	 * attach: where one was made, used is seen here; where none was, it will see
	 * PRIVATE. flags are one word, read anywhere without the lock: before or after.
	 */
	mutex_lock(&client->lock);
	if (mask & ~arg->flags & client->flags & BT_CLIENT_STAYS) {
		err = -EINVAL;
	} else if (mask & arg->flags & ~client->flags & BUFFTRACK_CLIENT_PRIVATE &&
		   READ_ONCE(client->used)) {
		err = -EBUSY;
	} else {
		WRITE_ONCE(client->flags, (client->flags & ~mask) | (arg->flags & mask));
		if (arg->mask & BUFFTRACK_CLIENT_NAME)
			bufftrack_name_copy(client->name, arg->name);
	}
	arg->flags = client->flags;
	bufftrack_name_copy(arg->name, client->name);
	arg->id = client->id;
	mutex_unlock(&client->lock);
	return err;
}

/*
 * An attach keeps its device, and so the serial, for as long as it is there: until
 * the client closes, with no call under way. So no lock is needed to look for it:
 * xa_store() in attach_make_locked() publishes it complete.
 */
static struct bt_attach *attach_find(struct bt_client *client, u64 id)
{
	unsigned long serial;

	if (!bufftrack_device_serial(id, &serial))
		return NULL;
	return xa_load(&client->attaches, serial);
}

static struct bt_attach *attach_make_locked(struct bt_client *client, u64 id, bool new_device)
{
	struct bt_attach *attach;
	struct bt_share *share;
	int err;

	/* Another thread may have been faster. */
	attach = attach_find(client, id);
	if (attach)
		return attach;

	share = bufftrack_share_open(client->user,
				     client->flags & BUFFTRACK_CLIENT_PRIVATE ? client->id : 0, id,
				     new_device);
	if (IS_ERR_OR_NULL(share))
		return ERR_CAST(share);

	err = -ENOMEM;
	attach = kzalloc(sizeof(*attach), BT_GFP);
	if (!attach)
		goto put;
	attach->client = client;
	attach->share = share;
	attach->device = id;
	err = xa_err(xa_store(&client->attaches, share->device->serial, attach, BT_GFP));
	if (err)
		goto free;
	/* Only a close takes it back, when no call is under way. STAT may be before it. */
	atomic_inc(&(share->parent ?: share)->clients);
	return attach;
free:
	kfree(attach);
put:
	bufftrack_share_put(share);
	return ERR_PTR(err);
}

/* bufftrack_attach_lookup - for bufftrack_attach_find(), where it is not the latest one */
struct bt_attach *bufftrack_attach_lookup(struct bt_client *client, u64 id)
{
	struct bt_attach *attach = attach_find(client, id);

	if (!attach)
		return NULL;
	/* Pairs with the acquire in bufftrack_attach_find(). */
	smp_store_release(&client->last, attach);
	return attach;
}

static struct bt_attach *attach_make(struct bt_client *client, u64 id, bool new_device)
{
	struct bt_attach *attach = bufftrack_attach_find(client, id);

	if (likely(attach))
		return attach;

	mutex_lock(&client->lock);
	attach = attach_make_locked(client, id, new_device);
	mutex_unlock(&client->lock);
	return attach;
}

/**
 * bufftrack_attach_make() - the client's attach to a device; both made where not there
 * @client: the client
 * @id: the device
 *
 * Return: the attach, which stays until the client closes; or -ENOMEM, -ENOSPC. May
 * sleep.
 */
struct bt_attach *bufftrack_attach_make(struct bt_client *client, u64 id)
{
	return attach_make(client, id, true);
}

/**
 * bufftrack_attach_make_known() - the client's attach to a device that is known
 * @client: the client
 * @id: the device
 *
 * Return: as bufftrack_attach_make(); NULL where the device is not known.
 */
struct bt_attach *bufftrack_attach_make_known(struct bt_client *client, u64 id)
{
	return attach_make(client, id, false);
}

/* bufftrack_clients_exit - the last client has closed: nothing may be left */
void bufftrack_clients_exit(void)
{
	WARN_ON(!xa_empty(&bt_clients));
	xa_destroy(&bt_clients);
}
