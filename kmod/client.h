/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Clients, one an open file; and their attaches, what each has of a device.
 */
#ifndef BUFFTRACK_CLIENT_H
#define BUFFTRACK_CLIENT_H

#include "share.h"
#include "user.h"

struct bt_ring;

struct bt_attach {
	struct bt_client *client;
	struct bt_share *share;
	u64 device; /* its id */
	struct bt_space *space; /* the latest one used: a cache */
	struct hlist_head holds[BT_SHARDS]; /* shard lock; bt_hold.node */
	struct bt_resets resets; /* RESET CLIENT; bt_resets_lock */
};

struct bt_client {
	u64 id;
	struct bt_user *user;
	struct bt_actor *opener;
	refcount_t refs; /* the file, and readers of STAT */
	/*
	 * BUFFTRACK_CLIENT_*; written under lock. Read without it as one word: a call
	 * is judged as before a change, or as after it.
	 */
	unsigned int flags;
	bool used; /* see bufftrack_client_set() */
	bool unrecorded; /* an ALLOC or FREE was refused */
	bool closing; /* its file has been released */
	atomic_t held; /* lives that it holds */
	atomic64_t leaks; /* as it closes */
	atomic64_t log_suppressed;
	atomic_t log_unknown;
	struct bt_attach *last; /* the latest one used: a cache */
	struct mutex lock; /* see above: client->lock */
	struct xarray attaches; /* by device serial */
	struct bt_ring *ring; /* its user's, while the file is open */
	u64 events_cursor; /* behind what EVENTS last told this file */
	char name[BUFFTRACK_NAME_LEN];
	struct bt_stats stats;
	struct rcu_head rcu;
	struct bt_actor __rcu *actors[BT_ACTOR_SLOTS];
};

struct bt_client *bufftrack_client_open(void);
void bufftrack_client_remove(struct bt_client *client);
void bufftrack_client_put(struct bt_client *client);
struct bt_client *bufftrack_client_find(u64 id);
struct bt_client *bufftrack_client_next(u64 after);
int bufftrack_client_set(struct bt_client *client, struct bufftrack_client *arg);
void bufftrack_clients_exit(void);

struct bt_attach *bufftrack_attach_lookup(struct bt_client *client, u64 id);
struct bt_attach *bufftrack_attach_make(struct bt_client *client, u64 id);
struct bt_attach *bufftrack_attach_make_known(struct bt_client *client, u64 id);

/* The client's attach to a device, or NULL. */
static inline struct bt_attach *bufftrack_attach_find(struct bt_client *client, u64 id)
{
	/* Acquire: pairs with the release of it, so that the attach is complete. */
	struct bt_attach *attach = smp_load_acquire(&client->last);

	if (likely(attach && attach->device == id))
		return attach;
	return bufftrack_attach_lookup(client, id);
}

/* The space of the attach's share, where it has it; it stays as long as the share. */
static inline struct bt_space *bt_attach_space(struct bt_attach *attach, u32 id)
{
	/* Acquire: pairs with the release below, so that the space is complete. */
	struct bt_space *space = smp_load_acquire(&attach->space);

	if (likely(space && space->id == id))
		return space;
	space = xa_load(&attach->share->spaces.by_id, id);
	if (space)
		/* Pairs with the acquire above. */
		smp_store_release(&attach->space, space);
	return space;
}

#endif /* BUFFTRACK_CLIENT_H */
