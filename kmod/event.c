// SPDX-License-Identifier: GPL-2.0
/*
 * What an event tells, and the tracepoints.
 */
#include "compat.h"
#include "event.h"
#include "stack.h"
#include "verdict.h"

#define CREATE_TRACE_POINTS
#include "bufftrack_trace.h"

/* ---- what an event tells -------------------------------------------------- */

/* Numbers of the initial pid namespace, as every other tracepoint has them. */
static void fill_who(struct bt_who *who, struct bt_actor *actor, u64 time)
{
	who->time = time;
	who->actor = actor;
	who->pid = pid_nr(actor->pid);
	who->tid = pid_nr(actor->tid);
	who->uid = from_kuid(&init_user_ns, actor->uid);
	who->stack_id = bufftrack_stack_id(actor->stack);
	who->start_time = actor->start_time;
	who->client = actor->client;
	who->cgroup = actor->cgroup;
	memcpy(who->comm, actor->comm, sizeof(who->comm));
}

static void fill_when(struct bt_who *who, const struct bt_when *when)
{
	if (!when->time)
		return;
	fill_who(who, when->actor, when->time);
	who->exited = bufftrack_actor_exited(when->actor);
}

static void fill_last(struct bt_life *life, const struct bt_record *rec)
{
	life->generation = rec->generation;
	life->state = bt_state(rec);
	fill_when(&life->alloc, bt_alloc_of(rec));
	if (rec->state != BUFFTRACK_STATE_LIVE)
		fill_when(&life->end, bt_end_of(rec));
}

static void fill_prev(struct bt_life *life, const struct bt_record *rec)
{
	life->generation = bufftrack_prev_generation(rec);
	life->state = rec->prev_state;
	fill_when(&life->alloc, bt_prev_alloc_of(rec));
	fill_when(&life->end, &rec->prev_end);
}

static void fill_record(struct bt_bad *bad, const struct bt_record *rec)
{
	bad->size = rec->size;
	bad->tag = rec->tag;
	bad->generation = rec->generation;
	bad->refs = bt_refs(rec);
	bad->views = rec->views;
	bad->lives = bufftrack_lives(rec);
	bad->frees = rec->frees;
}

/*
 * The stacks that a report of a bad call tells besides its own. A PRIVATE client's records go
 * when it closes, often at once, as the process may not survive what it did: whoever reads
 * of it asks for them after that.
 */
static void keep_stacks(const struct bt_when *when)
{
	if (when->time && when->actor->stack)
		bufftrack_stack_offending(when->actor->stack);
}

/* When its life began, or ended: no event of it that comes is before that. */
static u64 latest_time(const struct bt_record *rec)
{
	return rec->state == BUFFTRACK_STATE_LIVE ? bt_alloc_of(rec)->time : bt_end_of(rec)->time;
}

/**
 * bufftrack_bad_fill() - what is told of a bad verdict of an ALLOC or FREE
 * @bad: filled here
 * @caller: the offender
 * @share: the offender's part of the device, or NULL
 * @rec: the key's record, its shard's lock held; or NULL
 * @named: which of its lives was meant
 * @op: the call, with its verdict
 */
void bufftrack_bad_fill(struct bt_bad *bad, const struct bt_caller *caller,
			const struct bt_share *share, const struct bt_record *rec,
			enum bt_named named, const struct bufftrack_op *op)
{
	*bad = (struct bt_bad){
		.verdict = op->verdict,
		.info = op->info,
		.device = op->device,
		.space = op->space,
		.buffer = op->buffer,
		.token = op->token,
		.size = op->size,
		.requested = op->size,
		.flags = op->flags,
		.client = caller->client->id,
		.nth = 1,
	};
	if (share)
		bad->evicted = atomic64_read(&share->table->evicted);
	fill_who(&bad->by, caller->actor, rec ? max(caller->now, latest_time(rec)) : caller->now);
	if (rec) {
		fill_record(bad, rec);
		if (bufftrack_verdict_is_of_free(op->verdict))
			bad->nth = rec->refused;
		if (rec->space->share->user == caller->client->user)
			bad->nth_own = rec->refused_own;
		keep_stacks(bt_alloc_of(rec));
		if (rec->state != BUFFTRACK_STATE_LIVE)
			keep_stacks(bt_end_of(rec));
		if (named == BT_NAMED_LAST)
			fill_last(&bad->life, rec);
		if (named == BT_NAMED_PREV)
			fill_prev(&bad->life, rec);
		else
			fill_prev(&bad->prev, rec);
	}
}

/* ---- tracepoints, under the shard's lock ---------------------------------- */

static void fill_use(struct bt_use *use, const struct bt_caller *caller,
		     const struct bt_record *rec, const struct bufftrack_op *op)
{
	*use = (struct bt_use){
		.device = op->device,
		.buffer = op->buffer,
		.size = rec->size,
		.tag = rec->tag,
		.token = op->token,
		.generation = rec->generation,
		.client = caller->client->id,
		.space = op->space,
		.flags = op->flags,
		.refs = bt_refs(rec),
		.views = rec->views,
		.info = op->info,
	};

	if (rec->space->share->private_client)
		use->flags |= BUFFTRACK_LIFE_PRIVATE;
	fill_who(&use->by, caller->actor, caller->now);
}

/* bufftrack_event_use - an ALLOC or FREE that counted */
void bufftrack_event_use(const struct bt_caller *caller, const struct bt_record *rec,
			 const struct bufftrack_op *op, bool alloc)
{
	struct bt_use use;

	fill_use(&use, caller, rec, op);
	if (alloc) {
		use.mark = BUFFTRACK_MARK_ALLOC;
		trace_bufftrack_alloc(&use);
		return;
	}
	/* The FREE of a view ends nothing, nor that of what a LAST has left. */
	use.ended = !(op->flags & BUFFTRACK_F_VIEW) && rec->state != BUFFTRACK_STATE_LIVE &&
		    !(op->info & BUFFTRACK_INFO_CONSEQUENCE);
	if (use.ended && rec->views)
		use.info |= BUFFTRACK_INFO_VIEWS_LEFT;
	use.mark = BUFFTRACK_MARK_FREE;
	trace_bufftrack_free(&use);
}

/* bufftrack_event_undo - a FREE was taken back, since which @refused were refused */
void bufftrack_event_undo(const struct bt_caller *caller, const struct bt_record *rec,
			  const struct bufftrack_op *op, u32 refused)
{
	struct bt_use use;

	if (!trace_bufftrack_undo_enabled())
		return;
	fill_use(&use, caller, rec, op);
	trace_bufftrack_undo(&use, rec->state == BUFFTRACK_STATE_LIVE, refused);
}

/* bufftrack_event_bad - a bad verdict of an ALLOC or FREE */
void bufftrack_event_bad(const struct bt_bad *bad)
{
	switch (bad->verdict) {
	case BUFFTRACK_DOUBLE_FREE:
		trace_bufftrack_double_free(bad);
		break;
	case BUFFTRACK_STALE_FREE:
		trace_bufftrack_stale_free(bad);
		break;
	case BUFFTRACK_FOREIGN_FREE:
		trace_bufftrack_foreign_free(bad);
		break;
	case BUFFTRACK_FREE_AFTER_EXIT:
		trace_bufftrack_free_after_exit(bad);
		break;
	case BUFFTRACK_FREE_AFTER_RESET:
		trace_bufftrack_free_after_reset(bad);
		break;
	case BUFFTRACK_UNKNOWN_FREE:
		trace_bufftrack_unknown_free(bad);
		break;
	case BUFFTRACK_MISSED_FREE:
		trace_bufftrack_missed_free(bad);
		break;
	case BUFFTRACK_SIZE_MISMATCH:
		trace_bufftrack_size_mismatch(bad);
		break;
	case BUFFTRACK_DANGLING:
		trace_bufftrack_dangling(bad);
		break;
	case BUFFTRACK_HELD_FREE:
		trace_bufftrack_held_free(bad);
		break;
	}
}

/**
 * bufftrack_leak_fill() - what is told of a closing client that still has holds on a life
 * @bad: filled here
 * @client: the client
 * @share: its part of the device
 * @rec: the life, its shard's lock held; refs are what others hold
 * @info: BUFFTRACK_INFO_*
 */
void bufftrack_leak_fill(struct bt_bad *bad, const struct bt_client *client,
			 const struct bt_share *share, const struct bt_record *rec, u32 info)
{
	*bad = (struct bt_bad){
		.verdict = BUFFTRACK_LEAK,
		.info = info,
		.device = share->device->id,
		.space = rec->space_id,
		.buffer = rec->buffer,
		.client = client->id,
		.nth = 1,
	};
	fill_record(bad, rec);
	fill_who(&bad->by, client->opener, 0);
	fill_last(&bad->life, rec);
}

/* bufftrack_event_leak - the same, with how many references it had */
void bufftrack_event_leak(const struct bt_bad *bad, u32 count)
{
	trace_bufftrack_leak(bad, count);
}

/* ---- clients and devices -------------------------------------------------- */

void bufftrack_event_open(const struct bt_client *client)
{
	struct bt_who by = {};

	fill_who(&by, client->opener, 0);
	trace_bufftrack_client_open(client->id, &by);
}

/* bufftrack_event_close - the client's file has gone: its name needs no lock, STAT only reads */
void bufftrack_event_close(const struct bt_client *client, u64 leaks)
{
	struct bt_who by = {};

	fill_who(&by, client->opener, 0);
	trace_bufftrack_client_close(client->id, &by, client->name, leaks);
}

void bufftrack_event_reset(const struct bt_caller *caller, u64 device, u64 lives)
{
	struct bt_who by = {};

	fill_who(&by, caller->actor, caller->now);
	trace_bufftrack_reset(device, lives, &by);
}
