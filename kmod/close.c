// SPDX-License-Identifier: GPL-2.0
/*
 * The ends that nobody reported: a client's exit, and a device's reset.
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "close.h"
#include "life.h"
#include "log.h"
#include "walk.h"

/*
 * Holds dropped in one go before a close lets others run. One of many of a life takes
 * longer: it is looked for among up to BT_MAX_HOLDERS.
 */
#define BT_CLOSE_CHUNK 64
#define BT_CLOSE_OF_MANY 32

static struct bt_record *hold_record(struct bt_hold *hold)
{
	if (hold->refs)
		return container_of(hold, struct bt_record, first);
	return container_of(hold, struct bt_more_hold, hold)->record;
}

/*
 * Drops up to a chunk of the attach's holds in one shard; how many it leaked. A life of
 * another user's that has ended ends the chunk: @foreign is for bt_share_trim() then.
 */
static unsigned int close_chunk(struct bt_attach *attach, unsigned int nr, struct bt_caller *caller,
				struct bt_share **foreign)
{
	struct bt_client *client = attach->client;
	unsigned int leaks = 0, n;
	struct bt_record *rec;
	struct bt_hold *hold;
	bool of_many;
	u32 count;

	*foreign = NULL;
	for (n = 0; n < BT_CLOSE_CHUNK && !*foreign; n += of_many ? BT_CLOSE_OF_MANY : 1) {
		hold = hlist_entry_safe(attach->holds[nr].first, struct bt_hold, node);
		if (!hold)
			break;
		rec = hold_record(hold);
		of_many = rec->more;
		count = hold->count;
		rec->first.refs -= count;
		if (count) {
			leaks++;
			bufftrack_count_verdict(client, bt_attach_stats(attach, rec->space_id),
						BUFFTRACK_LEAK);
			bufftrack_event_leak(client, attach->share, rec, count);
		}
		bufftrack_hold_remove(rec, hold);
		if (rec->first.refs)
			continue;
		bufftrack_life_end(rec, caller, BUFFTRACK_STATE_EXITED, nr);
		if (rec->space->share != attach->share)
			*foreign = bt_share_of(rec);
	}
	return leaks;
}

/**
 * bufftrack_attach_close() - drop a closing client's holds on a device
 * @attach: of a client whose file has been released
 *
 * Return: how many lives it leaked. Sleeps between chunks.
 */
u64 bufftrack_attach_close(struct bt_attach *attach)
{
	struct bt_table *table = attach->share->table;
	struct bt_caller caller = {
		.client = attach->client,
		.actor = attach->client->opener,
		.refs = 1, /* the client's, which stays */
	};
	struct bt_share *foreign;
	unsigned int nr;
	u64 leaks = 0;
	bool left;

	for (nr = 0; nr < BT_SHARDS; nr++) {
		do {
			bt_shard_lock(&table->shards[nr]);
			caller.now = ktime_get_ns();
			leaks += close_chunk(attach, nr, &caller, &foreign);
			left = !hlist_empty(&attach->holds[nr]);
			bt_shard_unlock(&table->shards[nr]);
			bufftrack_history_trim(attach->share);
			bt_share_trim(foreign);
			cond_resched();
		} while (left);
	}
	return leaks;
}

static void attach_free(struct bt_attach *attach)
{
	struct bt_share *share = attach->share;

	atomic_dec(&(share->parent ?: share)->clients);
	/* A PRIVATE client's keys go with it. */
	if (share->parent)
		bufftrack_history_forget(share);
	bufftrack_share_put(share);
	kfree(attach);
}

/**
 * bufftrack_client_close() - the last reference to the file has gone
 * @client: the client; gone afterwards
 *
 * Drops its holds, each with a LEAK. Whatever ended the task, the file's
 * release calls this at once. May sleep, and does so between many holds.
 */
void bufftrack_client_close(struct bt_client *client)
{
	struct bt_attach *attach;
	unsigned long serial;
	u64 leaks = 0;

	xa_for_each(&client->attaches, serial, attach) {
		leaks += bufftrack_attach_close(attach);
		attach_free(attach);
	}
	xa_destroy(&client->attaches);

	bufftrack_event_close(client, leaks);
	bufftrack_log_close(client);
	bufftrack_client_remove(client);
}

/* How many lives ended. The caller has a reference to the table's owner. */
static u64 table_reset(struct bt_table *table, struct bt_caller *caller)
{
	struct bt_pos pos = {};
	struct bt_share *share;
	struct bt_record *rec;
	unsigned int nr;
	u64 lives = 0;

	for (;;) {
		share = NULL;
		rcu_read_lock();
		rec = bufftrack_table_next(table, &pos);
		if (!rec)
			break;
		if (!IS_ERR(rec)) {
			/* The key never changes; one that is evicted by now is not LIVE. */
			nr = bt_shard_nr(bt_hash(rec->buffer, rec->space_id));
			bt_shard_lock(&table->shards[nr]);
			if (rec->state == BUFFTRACK_STATE_LIVE) {
				/* It may have begun after the reset has. */
				caller->now = ktime_get_ns();
				bufftrack_life_end(rec, caller, BUFFTRACK_STATE_RESET, nr);
				lives++;
				share = bt_share_of(rec);
			}
			bt_shard_unlock(&table->shards[nr]);
		}
		rcu_read_unlock();
		bt_share_trim(share);
		cond_resched();
	}
	rcu_read_unlock();
	return lives;
}

/**
 * bufftrack_reset() - carry out RESET, whose right ioctl.c has checked
 * @caller: who asked for it
 * @arg: in and out
 *
 * Return: 0, or -ENODEV. Sleeps between records.
 */
int bufftrack_reset(struct bt_caller *caller, struct bufftrack_reset *arg)
{
	struct bt_device *device = bufftrack_device_get(arg->device);
	struct bt_share *share = NULL;

	if (!device)
		return -ENODEV;
	arg->lives = table_reset(&device->table, caller);
	while ((share = bufftrack_share_next(device, share)))
		if (share->private_client)
			arg->lives += table_reset(share->table, caller);
	bufftrack_event_reset(caller, arg->device, arg->lives);
	bufftrack_device_put(device);
	return 0;
}
