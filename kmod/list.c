// SPDX-License-Identifier: GPL-2.0
/*
 * LIST: the lives, in pages. No lock is held from one life to the next.
 *
 * The cursor: the device's serial; the table (0: the public one, else the id of
 * the PRIVATE client whose it is); buffer and space of the last life listed, and
 * whether there was one. Any cursor is safe: it only says where to go on.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "client.h"
#include "list.h"
#include "param.h"
#include "reader.h"
#include "walk.h"

#define CURSOR_STARTED BIT_ULL(32)
#define LIST_CHUNK 16
/* Looked at, wanted or not, before RCU may go on */
#define RECORDS_AT_ONCE 64

struct list_ctx {
	const struct bufftrack_list *arg;
	struct bt_reader reader;
	struct bufftrack_life *lives; /* LIST_CHUNK of them */
	unsigned int nr;
};

static bool may_see(const struct list_ctx *ctx, kuid_t uid)
{
	return bt_reader_sees(&ctx->reader, uid);
}

/* What a filter asks for is told by the answer: nothing that may not be seen. */
static bool holds(const struct list_ctx *ctx, const struct bt_hold *hold)
{
	const struct bt_client *client = hold->attach->client;

	return hold->count && client->id == ctx->arg->client && may_see(ctx, client->user->uid);
}

static bool held_by_wanted(const struct list_ctx *ctx, struct bt_record *rec)
{
	const struct bt_more_hold *more;

	if (holds(ctx, &rec->first))
		return true;
	for (more = *bt_more_of(rec); more; more = more->next)
		if (holds(ctx, &more->hold))
			return true;
	return false;
}

static bool allocated_by_wanted(const struct list_ctx *ctx, const struct bt_record *rec)
{
	const struct bt_actor *actor = bt_alloc_of(rec)->actor;

	return may_see(ctx, actor->uid) &&
	       pid_nr_ns(actor->pid, ctx->reader.ns) == (pid_t)ctx->arg->pid;
}

static u64 oldest_holder(const struct list_ctx *ctx, const struct bt_record *rec)
{
	const struct bt_client *client = NULL;
	const struct bt_more_hold *more;

	if (rec->first.count)
		client = rec->first.attach->client;
	for (more = rec->more; more && !client; more = more->next)
		if (more->hold.count)
			client = more->hold.attach->client;
	return client && may_see(ctx, client->user->uid) ? client->id : 0;
}

static bool wanted(const struct list_ctx *ctx, struct bt_record *rec)
{
	const struct bufftrack_list *arg = ctx->arg;
	bool live = rec->state == BUFFTRACK_STATE_LIVE;

	if (rec->state == BUFFTRACK_STATE_NONE)
		return false;
	if (!live && !(arg->flags & BUFFTRACK_LIST_DEAD))
		return false;
	if (!may_see(ctx, rec->space->share->user->uid))
		return false;
	if (arg->flags & BUFFTRACK_LIST_SPACE && rec->space_id != arg->space)
		return false;
	if (arg->flags & BUFFTRACK_LIST_BUFFER && rec->buffer != arg->buffer)
		return false;
	if (arg->flags & BUFFTRACK_LIST_TAG && rec->tag != arg->tag)
		return false;
	if (arg->flags & BUFFTRACK_LIST_GENERATION && rec->generation != arg->generation)
		return false;
	if (arg->flags & BUFFTRACK_LIST_CLIENT && !(live && held_by_wanted(ctx, rec)))
		return false;
	if (arg->flags & BUFFTRACK_LIST_PID && !allocated_by_wanted(ctx, rec))
		return false;
	return true;
}

static void fill_life(const struct list_ctx *ctx, struct bufftrack_life *to,
		      const struct bt_record *rec)
{
	const struct bt_actor *prev = bt_prev_alloc_of(rec)->actor;
	const struct bt_share *share = rec->space->share;

	*to = (struct bufftrack_life){
		.device = share->device->id,
		.buffer = rec->buffer,
		.size = rec->size,
		.tag = rec->tag,
		.generation = rec->generation,
		.space = rec->space_id,
		.state = bt_state(rec),
		.refs = bt_refs(rec),
		.views = rec->views,
		.flags = bt_life_flags(rec),
		.lives = bufftrack_lives(rec),
		.frees = rec->frees,
		.refused = rec->refused,
		.prev_state = rec->prev_state,
	};
	/* A generation is a token: another user's is not told. */
	if (prev && may_see(ctx, prev->uid))
		to->prev_generation = bufftrack_prev_generation(rec);
	if (share->private_client)
		to->flags |= BUFFTRACK_LIFE_PRIVATE;
	if (rec->undone)
		to->flags |= BUFFTRACK_LIFE_UNDONE;
	if (rec->views && rec->state != BUFFTRACK_STATE_LIVE)
		to->flags |= BUFFTRACK_LIFE_VIEWS_LEFT;
	bufftrack_reader_event(&ctx->reader, &to->alloc, bt_alloc_of(rec));
	if (rec->state == BUFFTRACK_STATE_LIVE)
		to->client = oldest_holder(ctx, rec);
	else
		bufftrack_reader_event(&ctx->reader, &to->end, bt_end_of(rec));
	bufftrack_reader_event(&ctx->reader, &to->prev_alloc, bt_prev_alloc_of(rec));
	bufftrack_reader_event(&ctx->reader, &to->prev_end, &rec->prev_end);
}

/*
 * Fill the chunk from one table. Returns 1 where the chunk is full, 0 where the
 * table is at its end, -EINTR.
 */
static int list_table(struct list_ctx *ctx, struct bt_table *table, struct bt_pos *pos,
		      unsigned int room)
{
	struct bt_record *rec;
	struct bt_shard *shard;
	unsigned int left;
	int more = 1;

	while (more && ctx->nr < room) {
		/* A kernel that preempts would do so here, again and again, and RCU wait. */
		left = RECORDS_AT_ONCE;
		rcu_read_lock();
		do {
			rec = bufftrack_table_next(table, pos);
			if (IS_ERR_OR_NULL(rec))
				break;
			/*
			 * The key, which never changes, tells the shard; all else is under
			 * its lock. RCU keeps the memory until then, and state NONE tells
			 * what was evicted meanwhile (bufftrack_record_remove()).
			 */
			shard = &table->shards[bt_shard_nr(bt_hash(rec->buffer, rec->space_id))];
			bt_shard_lock(shard);
			if (wanted(ctx, rec))
				fill_life(ctx, &ctx->lives[ctx->nr++], rec);
			bt_shard_unlock(shard);
		} while (ctx->nr < room && --left && !need_resched());
		more = !!rec;
		rcu_read_unlock();
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return more;
}

/*
 * The share of the first PRIVATE client after @after whose user the caller may see, with a
 * reference, or NULL: in the order of the ids, of whichever user they are.
 */
static struct bt_share *next_private(const struct list_ctx *ctx, struct bt_device *device,
				     u64 after)
{
	struct bt_share *parent = NULL, *best = NULL, *share;

	while ((parent = bufftrack_share_next(device, parent))) {
		if (!may_see(ctx, parent->user->uid))
			continue;
		share = bufftrack_private_next(parent, after);
		if (share && best && share->private_client > best->private_client)
			swap(share, best);
		if (share && best)
			bufftrack_share_put(best);
		best = share ?: best;
	}
	return best;
}

/* Fill the chunk from one device; as list_table(). */
static int list_device(struct list_ctx *ctx, struct bt_device *device, u64 *table,
		       struct bt_pos *pos, unsigned int room)
{
	struct bt_share *share;
	int more;

	if (!*table) {
		more = list_table(ctx, &device->table, pos, room);
		if (more)
			return more;
		*pos = (struct bt_pos){};
		share = next_private(ctx, device, 0);
	} else {
		share = next_private(ctx, device, *table - 1);
		/* It has closed since: its successor begins at the beginning. */
		if (share && share->private_client != *table)
			*pos = (struct bt_pos){};
	}

	while (share) {
		*table = share->private_client;
		more = list_table(ctx, share->table, pos, room);
		bufftrack_share_put(share);
		if (more)
			return more;
		*pos = (struct bt_pos){};
		share = next_private(ctx, device, *table);
	}
	return 0;
}

/* Fill the chunk from wherever the cursor is, and move it; as list_table(). */
static int list_chunk(struct list_ctx *ctx, u64 *cursor, unsigned int room)
{
	struct bt_pos pos = {
		.buffer = cursor[2],
		.space_id = (u32)cursor[3],
		.started = cursor[3] & CURSOR_STARTED,
	};
	unsigned long serial = cursor[0] ? cursor[0] - 1 : 0;
	unsigned long was = cursor[0];
	const struct bufftrack_list *arg = ctx->arg;
	struct bt_device *device;
	u64 table = cursor[1];
	int more = 0;

	ctx->nr = 0;
	while ((device = bufftrack_device_next(&serial))) {
		if (serial != was) {
			table = 0;
			pos = (struct bt_pos){};
		}
		if (!(arg->flags & BUFFTRACK_LIST_DEVICE) || device->id == arg->device)
			more = list_device(ctx, device, &table, &pos, room);
		bufftrack_device_put(device);
		if (more)
			break;
		was = 0;
		cond_resched();
	}
	if (more > 0) {
		cursor[0] = serial;
		cursor[1] = table;
		cursor[2] = pos.buffer;
		cursor[3] = pos.space_id | (pos.started ? CURSOR_STARTED : 0);
	} else if (!more) {
		cursor[0] = ULONG_MAX;
	}
	return more;
}

static int copy_lives(const struct list_ctx *ctx, u64 to, u32 entry_size)
{
	size_t len = min_t(size_t, entry_size, sizeof(*ctx->lives));
	unsigned int i;

	for (i = 0; i < ctx->nr; i++, to += entry_size) {
		if (copy_to_user(u64_to_user_ptr(to), &ctx->lives[i], len) ||
		    clear_user(u64_to_user_ptr(to + len), entry_size - len))
			return -EFAULT;
	}
	return 0;
}

/**
 * bufftrack_list() - answer a LIST whose inputs ioctl.c has checked
 * @arg: in and out
 *
 * Return: 0; or -ENOMEM, -EFAULT, -EINTR. May sleep.
 */
int bufftrack_list(struct bufftrack_list *arg)
{
	struct list_ctx ctx = {
		.arg = arg,
	};
	u32 done = 0;
	int more = 1;
	int err = 0;

	bufftrack_reader_init(&ctx.reader, current_euid());
	ctx.lives = kmalloc_array(LIST_CHUNK, sizeof(*ctx.lives), BT_GFP);
	if (!ctx.lives)
		return -ENOMEM;

	while (more && done < arg->nr) {
		more = list_chunk(&ctx, arg->cursor, min_t(u32, LIST_CHUNK, arg->nr - done));
		err = more < 0 ? more
			       : copy_lives(&ctx, arg->entries + (u64)done * arg->entry_size,
					    arg->entry_size);
		if (err)
			break;
		done += ctx.nr;
	}
	kfree(ctx.lives);
	arg->nr = done;
	arg->entry_size = sizeof(struct bufftrack_life);
	return err;
}
