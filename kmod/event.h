/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints' snapshots: what an event tells, taken under the shard's lock.
 */
#ifndef BUFFTRACK_EVENT_H
#define BUFFTRACK_EVENT_H

#include <linux/tracepoint-defs.h>

#include "caller.h"

DECLARE_TRACEPOINT(bufftrack_alloc);
DECLARE_TRACEPOINT(bufftrack_free);
DECLARE_TRACEPOINT(bufftrack_leak);

struct bt_who {
	u64 time;
	struct bt_actor *actor; /* alive under the shard's lock */
	pid_t pid;
	pid_t tid;
	u32 uid;
	u32 stack_id;
	u32 exited;
	u64 start_time;
	u64 client;
	u64 cgroup;
	char comm[TASK_COMM_LEN];
};

/* An ALLOC or FREE that counted, for the tracepoints. */
struct bt_use {
	u64 device;
	u64 buffer;
	u64 size;
	u64 tag;
	u64 token;
	u64 generation;
	u64 client;
	u32 space;
	u32 flags;
	u32 refs;
	u32 views;
	u32 info;
	u32 ended; /* 1: the life has ended with this call */
	u32 mark; /* BUFFTRACK_MARK_ALLOC or _FREE */
	struct bt_who by;
};

struct bt_life {
	u64 generation;
	u32 state;
	struct bt_who alloc;
	struct bt_who end;
};

/* A bad verdict or a leak, for the tracepoints and the log. */
struct bt_bad {
	u64 device;
	u64 buffer;
	u64 size;
	u64 tag;
	u64 token;
	u64 requested; /* the size that the call gave */
	u64 generation;
	u64 client;
	u64 evicted;
	u32 space;
	u32 verdict;
	u32 info;
	u32 refs;
	u32 nth;
	u32 nth_own; /* as far as the log goes; 0: of another user's key */
	u32 lives;
	u32 frees;
	u32 flags;
	u32 views;
	struct bt_who by;
	struct bt_life life; /* the one that was meant */
	struct bt_life prev; /* the one before it */
};

/* Which life a call meant. */
enum bt_named { BT_NAMED_LAST, BT_NAMED_PREV, BT_NAMED_OLDER, BT_NAMED_NEVER };

void bufftrack_event_use(const struct bt_caller *caller, const struct bt_record *rec,
			 const struct bufftrack_op *op, bool alloc);
void bufftrack_bad_fill(struct bt_bad *bad, const struct bt_caller *caller,
			const struct bt_share *share, const struct bt_record *rec,
			enum bt_named named, const struct bufftrack_op *op);
void bufftrack_event_bad(const struct bt_bad *bad);
void bufftrack_leak_fill(struct bt_bad *bad, const struct bt_client *client,
			 const struct bt_share *share, const struct bt_record *rec, u32 info);
void bufftrack_event_leak(const struct bt_bad *bad, u32 count);
void bufftrack_event_undo(const struct bt_caller *caller, const struct bt_record *rec,
			  const struct bufftrack_op *op, u32 refused);
void bufftrack_event_open(const struct bt_client *client);
void bufftrack_event_close(const struct bt_client *client, u64 leaks);
void bufftrack_event_reset(const struct bt_caller *caller, u64 device, u64 lives);

#endif /* BUFFTRACK_EVENT_H */
