// SPDX-License-Identifier: GPL-2.0
/*
 * STAT: the counters of one device, space, client, or all; and the loss in INFO.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/user_namespace.h>

#include "client.h"
#include "log.h"
#include "stack.h"
#include "stat.h"

/* bufftrack_stat_info - the counters of loss, machine-wide */
void bufftrack_stat_info(struct bufftrack_info *info)
{
	info->evicted = bufftrack_evicted();
	info->stacks_lost = atomic64_read(&bufftrack_stacks_lost);
	info->logs_suppressed = bufftrack_logs_suppressed();
	info->failed = atomic64_read(&bufftrack_failed);
}

/* The user's own sums, or with the right to see it everybody's. */
static int stat_all(struct bufftrack_stat *st)
{
	struct bt_client *client;
	struct bt_user *user;
	u64 id = 0;

	if (bufftrack_may_see_all()) {
		bufftrack_users_sum(st);
	} else {
		user = bufftrack_user_get();
		if (IS_ERR(user))
			return PTR_ERR(user);
		bufftrack_stats_read(&user->stats, st);
		bufftrack_user_put(user);
	}
	while ((client = bufftrack_client_next(id))) {
		id = client->id;
		if (bufftrack_may_see(client->user->uid))
			st->clients++;
		bufftrack_client_put(client);
		cond_resched();
	}
	return 0;
}

/* Whose label it is to be: the caller's own, else for the privileged any. */
static bool label_wanted(const struct bt_share *share, const char *have)
{
	return !have[0] || uid_eq(share->user->uid, current_euid());
}

static void take_label(const struct bt_share *share, const char *label, char *to)
{
	char name[BUFFTRACK_NAME_LEN];

	bufftrack_name_copy(name, label);
	if (name[0] && label_wanted(share, to))
		memcpy(to, name, sizeof(name));
}

static void stat_share(struct bt_share *share, struct bufftrack_stat *st)
{
	struct bufftrack_stat bytes = {}, spaces = {};
	struct bt_space *space;
	unsigned long id;

	bufftrack_stats_read(share->stats, &bytes);
	xa_for_each(&share->spaces.by_id, id, space)
		bufftrack_stats_read(space->stats, &spaces);
	take_label(share, share->label, st->name);

	/* The peak of the sum is the share's own, not the sum of peaks. */
	spaces.bytes = 0;
	spaces.peak_bytes = 0;
	bufftrack_stat_sum(st, &bytes);
	bufftrack_stat_sum(st, &spaces);
	st->clients += atomic_read(&share->clients);
}

/* True where the caller may see a part of the device; adds up what it may. */
static bool stat_device_parts(struct bt_device *device, struct bufftrack_stat *st)
{
	struct bt_share *share = NULL;
	bool seen = false;

	while ((share = bufftrack_share_next(device, share))) {
		if (!bufftrack_may_see(share->user->uid))
			continue;
		seen = true;
		stat_share(share, st);
	}
	return seen;
}

static int stat_device(struct bufftrack_stat *st)
{
	unsigned long serial = st->cursor;
	struct bt_device *device;
	bool seen;

	if (!(st->flags & BUFFTRACK_STAT_NEXT)) {
		device = bufftrack_device_get(st->device);
		if (!device)
			return -ENOENT;
		seen = stat_device_parts(device, st);
		bufftrack_device_put(device);
		return seen ? 0 : -ENOENT;
	}

	while ((device = bufftrack_device_next(&serial))) {
		seen = stat_device_parts(device, st);
		st->device = device->id;
		st->cursor = serial;
		bufftrack_device_put(device);
		if (seen)
			return 0;
		cond_resched();
	}
	return -ENOENT;
}

/* The lowest space from *@id on that the caller may see of the device */
static bool first_space(struct bt_device *device, unsigned long *id)
{
	struct bt_share *share = NULL;
	unsigned long best = 0, at;
	bool found = false;

	while ((share = bufftrack_share_next(device, share))) {
		at = *id;
		if (!bufftrack_may_see(share->user->uid) ||
		    !xa_find(&share->spaces.by_id, &at, U32_MAX, XA_PRESENT))
			continue;
		best = found ? min(best, at) : at;
		found = true;
	}
	if (found)
		*id = best;
	return found;
}

static int stat_space(struct bufftrack_stat *st)
{
	bool next = st->flags & BUFFTRACK_STAT_NEXT;
	struct bt_device *device = bufftrack_device_get(st->device);
	struct bt_share *share = NULL;
	struct bt_space *space;
	unsigned long id;
	int err = -ENOENT;

	if (!device)
		return -ENOENT;

	/* The cursor is the last space's number, plus one: it may have no place in @id. */
	if (next && st->cursor > U32_MAX)
		goto out;
	id = next ? st->cursor : st->space;
	if (next && !first_space(device, &id))
		goto out;

	while ((share = bufftrack_share_next(device, share))) {
		if (!bufftrack_may_see(share->user->uid))
			continue;
		space = xa_load(&share->spaces.by_id, id);
		if (space) {
			bufftrack_stats_read(space->stats, st);
			take_label(share, space->label, st->name);
			err = 0;
		}
	}
	st->space = id;
	if (next)
		st->cursor = (u64)id + 1;
out:
	bufftrack_device_put(device);
	return err;
}

static int stat_client(struct bt_client *self, struct bufftrack_stat *st)
{
	struct bt_client *client;
	u64 id = st->cursor;

	if (st->flags & BUFFTRACK_STAT_NEXT) {
		while ((client = bufftrack_client_next(id))) {
			if (bufftrack_may_see(client->user->uid))
				break;
			id = client->id;
			bufftrack_client_put(client);
			cond_resched();
		}
	} else {
		client = bufftrack_client_find(st->client ?: self->id);
		/* One's own is always seen, whoever opened it. */
		if (client && client != self && !bufftrack_may_see(client->user->uid)) {
			bufftrack_client_put(client);
			client = NULL;
		}
	}
	if (!client)
		return -ENOENT;

	bufftrack_stats_read(&client->stats, st);
	st->live = atomic_read(&client->held);
	/* Tombstones are its user's. */
	st->history = 0;
	st->client = client->id;
	if (st->flags & BUFFTRACK_STAT_NEXT)
		st->cursor = client->id;
	st->pid = pid_nr_ns(client->opener->pid, task_active_pid_ns(current));
	st->uid = from_kuid_munged(current_user_ns(), client->user->uid);
	st->client_flags = READ_ONCE(client->flags);
	memcpy(st->comm, client->opener->comm, sizeof(st->comm));
	bufftrack_name_copy(st->name, client->name);
	bufftrack_client_put(client);
	return 0;
}

/**
 * bufftrack_stat() - answer a STAT whose inputs ioctl.c has checked
 * @client: the caller's
 * @stat: the request; its output fields are 0
 *
 * Return: 0; or -ENOENT, -ENOMEM. May sleep.
 */
int bufftrack_stat(struct bt_client *client, struct bufftrack_stat *stat)
{
	switch (stat->scope) {
	case BUFFTRACK_STAT_DEVICE:
		return stat_device(stat);
	case BUFFTRACK_STAT_SPACE:
		return stat_space(stat);
	case BUFFTRACK_STAT_CLIENT:
		return stat_client(client, stat);
	default:
		return stat_all(stat);
	}
}
