// SPDX-License-Identifier: GPL-2.0
/*
 * HOLDERS: a life's holds are looked at under the shard's lock, of which there are at most
 * BT_MAX_HOLDERS; what is told of each client is read after it.
 */
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "holders.h"
#include "life.h"
#include "param.h"
#include "reader.h"

/* A hold as it was under the lock; its client is there as long as the reference. */
struct held {
	struct bt_client *client;
	u32 count;
};

/* What was found. @seen is room for @room, NULL to count only. */
struct found {
	const struct bt_reader *reader;
	struct held *seen;
	u32 room;
	u32 nr;
	u32 others;
};

static void add_hold(struct found *found, const struct bt_hold *hold)
{
	struct bt_client *client = hold->attach->client;

	if (!bt_reader_sees(found->reader, client->user->uid)) {
		found->others += hold->count;
		return;
	}
	/* A client that is going away has no reference left to take. */
	if (found->nr < found->room && refcount_inc_not_zero(&client->refs))
		found->seen[found->nr] = (struct held){ .client = client, .count = hold->count };
	else if (found->nr < found->room)
		return;
	found->nr++;
}

static void add_holds(struct found *found, const struct bt_record *rec)
{
	const struct bt_more_hold *more;

	add_hold(found, &rec->first);
	for (more = rec->more; more; more = more->next)
		add_hold(found, &more->hold);
}

static void fill_holder(const struct bt_reader *reader, struct bufftrack_holder *to,
			const struct held *held)
{
	const struct bt_client *client = held->client;

	*to = (struct bufftrack_holder){
		.client = client->id,
		.count = held->count,
		.pid = pid_nr_ns(client->opener->pid, reader->ns),
		.uid = from_kuid_munged(current_user_ns(), client->user->uid),
	};
	bufftrack_name_copy(to->name, client->name);
	memcpy(to->comm, client->opener->comm, sizeof(to->comm));
}

static int copy_holders(const struct found *found, const struct bufftrack_holders *arg)
{
	size_t len = min_t(size_t, arg->entry_size, sizeof(struct bufftrack_holder));
	u32 nr = min(found->nr, found->room);
	struct bufftrack_holder holder;
	u64 to = arg->entries;
	u32 i;

	for (i = 0; i < nr; i++, to += arg->entry_size) {
		fill_holder(found->reader, &holder, &found->seen[i]);
		if (copy_to_user(u64_to_user_ptr(to), &holder, len) ||
		    clear_user(u64_to_user_ptr(to + len), arg->entry_size - len))
			return -EFAULT;
	}
	return 0;
}

/* With the shard's lock. */
static int look(const struct bt_record *rec, struct found *found, struct bufftrack_holders *arg)
{
	if (!rec || rec->state == BUFFTRACK_STATE_NONE ||
	    !(bt_reader_sees(found->reader, rec->space->share->user->uid)))
		return -ENOENT;
	if (arg->generation && arg->generation != rec->generation)
		return -ESTALE;
	arg->generation = rec->generation;
	arg->refs = bt_refs(rec);
	if (rec->state == BUFFTRACK_STATE_LIVE)
		add_holds(found, rec);
	return 0;
}

/**
 * bufftrack_holders() - answer a HOLDERS whose inputs ioctl.c has checked
 * @client: the caller's: a PRIVATE one has keys of its own
 * @arg: in and out
 *
 * Return: 0; or -ENOENT, -ESTALE, -ENOMEM, -EFAULT. May sleep. Takes the shard's lock.
 */
int bufftrack_holders(struct bt_client *client, struct bufftrack_holders *arg)
{
	struct bt_key key = {
		.buffer = arg->buffer,
		.space_id = arg->space,
		.hash = bt_hash(arg->buffer, arg->space),
	};
	unsigned int nr = bt_shard_nr(key.hash);
	struct bt_attach *attach;
	struct bt_table *table;
	struct bt_reader reader;
	struct found found = { .reader = &reader, .room = min(arg->nr, BT_MAX_HOLDERS) };
	int err;
	u32 i;

	bufftrack_reader_init(&reader, current_euid());
	attach = bufftrack_attach_make_known(client, arg->device);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	if (!attach)
		return -ENOENT;
	if (found.room) {
		found.seen = kvcalloc(found.room, sizeof(*found.seen), BT_GFP);
		if (!found.seen)
			return -ENOMEM;
	}
	table = attach->share->table;
	bt_shard_lock(&table->shards[nr]);
	err = look(bt_record_find(table, key), &found, arg);
	bt_shard_unlock(&table->shards[nr]);
	if (!err)
		err = copy_holders(&found, arg);
	for (i = 0; i < min(found.nr, found.room); i++)
		bufftrack_client_put(found.seen[i].client);
	kvfree(found.seen);
	if (err)
		return err;
	arg->nr = found.nr;
	arg->others = found.others;
	return 0;
}
