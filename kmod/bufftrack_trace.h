/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints. Fields are only ever appended; the first is BUFFTRACK_MARK_*. Events
 * about a key that has a record are emitted under the lock of its shard, so that those of
 * one key are in the order in which they happened.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bufftrack

#if !defined(BUFFTRACK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BUFFTRACK_TRACE_H

#include <linux/tracepoint.h>

#include "event.h"

TRACE_DEFINE_ENUM(BUFFTRACK_STATE_NONE);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_LIVE);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_FREED);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_EXITED);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_RESET);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_MISSED);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_LAST);
TRACE_DEFINE_ENUM(BUFFTRACK_STATE_CONTEXT);

#define show_bufftrack_reason(reason)			\
	__print_symbolic(reason,			\
		{ BUFFTRACK_STATE_NONE,   "none" },	\
		{ BUFFTRACK_STATE_LIVE,   "live" },	\
		{ BUFFTRACK_STATE_FREED,  "free" },	\
		{ BUFFTRACK_STATE_EXITED, "exit" },	\
		{ BUFFTRACK_STATE_RESET,  "reset" },	\
		{ BUFFTRACK_STATE_MISSED, "missed" },	\
		{ BUFFTRACK_STATE_LAST,   "last" },	\
		{ BUFFTRACK_STATE_CONTEXT, "context" })

#define show_bufftrack_info(info)				\
	__print_flags(info, "|",				\
		{ BUFFTRACK_INFO_PROBABLE,     "probable" },	\
		{ BUFFTRACK_INFO_HISTORY_LOST, "history_lost" },	\
		{ BUFFTRACK_INFO_NOT_RECORDED, "not_recorded" },	\
		{ BUFFTRACK_INFO_FORKED,       "forked" },	\
		{ BUFFTRACK_INFO_CONSEQUENCE,  "consequence" },	\
		{ BUFFTRACK_INFO_UNDONE,       "undone" },	\
		{ BUFFTRACK_INFO_VIEWS_LEFT,   "views_left" },	\
		{ BUFFTRACK_INFO_CLOSING,      "closing" })

/* An ALLOC or a FREE that counted. A life has ended where "ended" is 1. */
DECLARE_EVENT_CLASS(bufftrack_use,
	TP_PROTO(const struct bt_use *use),
	TP_ARGS(use),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u32, space)
		__field(u64, device)
		__field(u64, buffer)
		__field(u64, size)
		__field(u64, tag)
		__field(u64, token)
		__field(u64, generation)
		__field(u64, client)
		__field(u32, flags)
		__field(u32, refs)
		__field(u32, views)
		__field(u32, stack_id)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
		__field(u32, info)
		__field(u32, ended)
		__field(u32, uid)
		__field(u64, start)
		__field(u64, cgroup)
	),
	TP_fast_assign(
		__entry->mark = use->mark;
		__entry->device = use->device;
		__entry->buffer = use->buffer;
		__entry->size = use->size;
		__entry->tag = use->tag;
		__entry->token = use->token;
		__entry->generation = use->generation;
		__entry->client = use->client;
		__entry->space = use->space;
		__entry->flags = use->flags;
		__entry->refs = use->refs;
		__entry->views = use->views;
		__entry->stack_id = use->by.stack_id;
		__entry->pid = use->by.pid;
		__entry->tid = use->by.tid;
		memcpy(__entry->comm, use->by.comm, TASK_COMM_LEN);
		__entry->info = use->info;
		__entry->ended = use->ended;
		__entry->uid = use->by.uid;
		__entry->start = use->by.start_time;
		__entry->cgroup = use->by.cgroup;
	),
	TP_printk("device=0x%llx space=%u buffer=0x%llx size=%llu tag=0x%llx token=%llu generation=%llu client=%llu flags=%s refs=%u views=%u stack_id=%u pid=%d tid=%d comm=%s",
		  __entry->device, __entry->space, __entry->buffer,
		  __entry->size, __entry->tag, __entry->token,
		  __entry->generation, __entry->client,
		  __print_flags(__entry->flags, "|",
				{ BUFFTRACK_F_EXCLUSIVE, "exclusive" },
				{ BUFFTRACK_F_SHARED, "shared" },
				{ BUFFTRACK_F_VIEW, "view" },
				{ BUFFTRACK_F_RETAIN, "retain" },
				{ BUFFTRACK_F_SAME, "same" },
				{ BUFFTRACK_F_PERSISTENT, "persistent" },
				{ BUFFTRACK_F_LAST, "last" },
				{ BUFFTRACK_LIFE_PRIVATE, "private" }),
		  __entry->refs, __entry->views, __entry->stack_id,
		  __entry->pid, __entry->tid, __entry->comm)
);

DEFINE_EVENT(bufftrack_use, bufftrack_alloc,
	     TP_PROTO(const struct bt_use *use), TP_ARGS(use));
DEFINE_EVENT(bufftrack_use, bufftrack_free,
	     TP_PROTO(const struct bt_use *use), TP_ARGS(use));

/*
 * A bad verdict. pid, tid and comm are the offender's. freed_* and alloc_* are
 * the end and the first ALLOC of the life that the offender meant: the one of
 * its token where that is known, else the key's last one; "named" is its
 * generation. prev_* is the life before that one. A time of 0 says that it is
 * not known.
 */
DECLARE_EVENT_CLASS(bufftrack_bad,
	TP_PROTO(const struct bt_bad *bad),
	TP_ARGS(bad),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u32, space)
		__field(u64, device)
		__field(u64, buffer)
		__field(u64, size)
		__field(u64, token)
		__field(u64, generation)
		__field(u64, client)
		__field(u32, refs)
		__field(u32, nth)
		__field(u32, info)
		__field(u32, stack_id)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
		__field(u32, freed_reason)
		__field(u64, freed_time)
		__field(u32, freed_stack_id)
		__field(u32, freed_exited)
		__field(pid_t, freed_pid)
		__field(pid_t, freed_tid)
		__array(char, freed_comm, TASK_COMM_LEN)
		__field(u64, alloc_time)
		__field(u32, alloc_stack_id)
		__field(u32, alloc_exited)
		__field(pid_t, alloc_pid)
		__field(pid_t, alloc_tid)
		__array(char, alloc_comm, TASK_COMM_LEN)
		__field(u64, named)
		__field(u32, lives)
		__field(u32, frees)
		__field(u64, tag)
		__field(u64, requested)
		__field(u64, evicted)
		__field(u64, prev_generation)
		__field(u64, prev_freed_time)
		__field(u64, prev_alloc_time)
		__field(u32, prev_freed_reason)
		__field(u32, prev_freed_stack_id)
		__field(u32, prev_alloc_stack_id)
		__field(pid_t, prev_freed_pid)
		__field(pid_t, prev_freed_tid)
		__field(pid_t, prev_alloc_pid)
		__field(pid_t, prev_alloc_tid)
		__array(char, prev_freed_comm, TASK_COMM_LEN)
		__array(char, prev_alloc_comm, TASK_COMM_LEN)
		__field(u32, flags)
		__field(u32, views)
		__field(u32, uid)
		__field(u32, freed_uid)
		__field(u32, alloc_uid)
		__field(u64, start)
		__field(u64, cgroup)
		__field(u64, freed_start)
		__field(u64, freed_client)
		__field(u64, freed_cgroup)
		__field(u64, alloc_start)
		__field(u64, alloc_client)
		__field(u64, alloc_cgroup)
	),
	TP_fast_assign(
		__entry->mark = BUFFTRACK_MARK_VERDICT(bad->verdict);
		__entry->device = bad->device;
		__entry->buffer = bad->buffer;
		__entry->size = bad->size;
		__entry->token = bad->token;
		__entry->generation = bad->generation;
		__entry->client = bad->client;
		__entry->space = bad->space;
		__entry->refs = bad->refs;
		__entry->nth = bad->nth;
		__entry->info = bad->info;
		__entry->stack_id = bad->by.stack_id;
		__entry->pid = bad->by.pid;
		__entry->tid = bad->by.tid;
		memcpy(__entry->comm, bad->by.comm, TASK_COMM_LEN);
		__entry->freed_reason = bad->life.state;
		__entry->freed_time = bad->life.end.time;
		__entry->freed_stack_id = bad->life.end.stack_id;
		__entry->freed_exited = bad->life.end.exited;
		__entry->freed_pid = bad->life.end.pid;
		__entry->freed_tid = bad->life.end.tid;
		memcpy(__entry->freed_comm, bad->life.end.comm, TASK_COMM_LEN);
		__entry->alloc_time = bad->life.alloc.time;
		__entry->alloc_stack_id = bad->life.alloc.stack_id;
		__entry->alloc_exited = bad->life.alloc.exited;
		__entry->alloc_pid = bad->life.alloc.pid;
		__entry->alloc_tid = bad->life.alloc.tid;
		memcpy(__entry->alloc_comm, bad->life.alloc.comm, TASK_COMM_LEN);
		__entry->named = bad->life.generation;
		__entry->lives = bad->lives;
		__entry->frees = bad->frees;
		__entry->tag = bad->tag;
		__entry->requested = bad->requested;
		__entry->evicted = bad->evicted;
		__entry->prev_generation = bad->prev.generation;
		__entry->prev_freed_time = bad->prev.end.time;
		__entry->prev_alloc_time = bad->prev.alloc.time;
		__entry->prev_freed_reason = bad->prev.state;
		__entry->prev_freed_stack_id = bad->prev.end.stack_id;
		__entry->prev_alloc_stack_id = bad->prev.alloc.stack_id;
		__entry->prev_freed_pid = bad->prev.end.pid;
		__entry->prev_freed_tid = bad->prev.end.tid;
		__entry->prev_alloc_pid = bad->prev.alloc.pid;
		__entry->prev_alloc_tid = bad->prev.alloc.tid;
		memcpy(__entry->prev_freed_comm, bad->prev.end.comm, TASK_COMM_LEN);
		memcpy(__entry->prev_alloc_comm, bad->prev.alloc.comm, TASK_COMM_LEN);
		__entry->flags = bad->flags;
		__entry->views = bad->views;
		__entry->uid = bad->by.uid;
		__entry->freed_uid = bad->life.end.uid;
		__entry->alloc_uid = bad->life.alloc.uid;
		__entry->start = bad->by.start_time;
		__entry->cgroup = bad->by.cgroup;
		__entry->freed_start = bad->life.end.start_time;
		__entry->freed_client = bad->life.end.client;
		__entry->freed_cgroup = bad->life.end.cgroup;
		__entry->alloc_start = bad->life.alloc.start_time;
		__entry->alloc_client = bad->life.alloc.client;
		__entry->alloc_cgroup = bad->life.alloc.cgroup;
	),
	TP_printk("device=0x%llx space=%u buffer=0x%llx size=%llu token=%llu generation=%llu client=%llu refs=%u nth=%u info=%s stack_id=%u pid=%d tid=%d comm=%s freed_reason=%s freed_time=%llu freed_pid=%d freed_tid=%d freed_comm=%s freed_stack_id=%u alloc_time=%llu alloc_pid=%d alloc_tid=%d alloc_comm=%s alloc_stack_id=%u named=%llu lives=%u frees=%u prev_generation=%llu prev_freed_reason=%s prev_freed_pid=%d",
		  __entry->device, __entry->space, __entry->buffer,
		  __entry->size, __entry->token, __entry->generation,
		  __entry->client, __entry->refs, __entry->nth,
		  show_bufftrack_info(__entry->info), __entry->stack_id,
		  __entry->pid, __entry->tid, __entry->comm,
		  show_bufftrack_reason(__entry->freed_reason),
		  __entry->freed_time, __entry->freed_pid,
		  __entry->freed_tid, __entry->freed_comm,
		  __entry->freed_stack_id, __entry->alloc_time,
		  __entry->alloc_pid, __entry->alloc_tid,
		  __entry->alloc_comm, __entry->alloc_stack_id,
		  __entry->named, __entry->lives, __entry->frees,
		  __entry->prev_generation,
		  show_bufftrack_reason(__entry->prev_freed_reason),
		  __entry->prev_freed_pid)
);

#define DEFINE_BUFFTRACK_BAD(name)				\
DEFINE_EVENT(bufftrack_bad, name,				\
	     TP_PROTO(const struct bt_bad *bad), TP_ARGS(bad))

DEFINE_BUFFTRACK_BAD(bufftrack_double_free);
DEFINE_BUFFTRACK_BAD(bufftrack_stale_free);
DEFINE_BUFFTRACK_BAD(bufftrack_foreign_free);
DEFINE_BUFFTRACK_BAD(bufftrack_free_after_exit);
DEFINE_BUFFTRACK_BAD(bufftrack_free_after_reset);
DEFINE_BUFFTRACK_BAD(bufftrack_unknown_free);
DEFINE_BUFFTRACK_BAD(bufftrack_missed_free);
DEFINE_BUFFTRACK_BAD(bufftrack_size_mismatch);
DEFINE_BUFFTRACK_BAD(bufftrack_dangling);
DEFINE_BUFFTRACK_BAD(bufftrack_held_free);

/*
 * A client went away with holds: one event a life. pid, tid and comm are those
 * of the task that opened the client; refs is what other clients still hold.
 */
TRACE_EVENT(bufftrack_leak,
	TP_PROTO(const struct bt_bad *bad, u32 count),
	TP_ARGS(bad, count),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u32, space)
		__field(u64, device)
		__field(u64, buffer)
		__field(u64, size)
		__field(u64, generation)
		__field(u64, tag)
		__field(u64, client)
		__field(u32, count)
		__field(u32, refs)
		__field(u32, stack_id)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
		__field(u64, alloc_time)
		__field(u32, alloc_stack_id)
		__field(u32, alloc_exited)
		__field(pid_t, alloc_pid)
		__field(pid_t, alloc_tid)
		__array(char, alloc_comm, TASK_COMM_LEN)
		__field(u32, lives)
		__field(u32, frees)
		__field(u32, info)
		__field(u32, flags)
		__field(u32, uid)
		__field(u32, alloc_uid)
		__field(u64, start)
		__field(u64, cgroup)
		__field(u64, alloc_start)
		__field(u64, alloc_client)
		__field(u64, alloc_cgroup)
	),
	TP_fast_assign(
		__entry->mark = BUFFTRACK_MARK_VERDICT(BUFFTRACK_LEAK);
		__entry->device = bad->device;
		__entry->buffer = bad->buffer;
		__entry->size = bad->size;
		__entry->generation = bad->generation;
		__entry->tag = bad->tag;
		__entry->client = bad->client;
		__entry->space = bad->space;
		__entry->count = count;
		__entry->refs = bad->refs;
		__entry->stack_id = bad->by.stack_id;
		__entry->pid = bad->by.pid;
		__entry->tid = bad->by.tid;
		memcpy(__entry->comm, bad->by.comm, TASK_COMM_LEN);
		__entry->alloc_time = bad->life.alloc.time;
		__entry->alloc_stack_id = bad->life.alloc.stack_id;
		__entry->alloc_exited = bad->life.alloc.exited;
		__entry->alloc_pid = bad->life.alloc.pid;
		__entry->alloc_tid = bad->life.alloc.tid;
		memcpy(__entry->alloc_comm, bad->life.alloc.comm, TASK_COMM_LEN);
		__entry->lives = bad->lives;
		__entry->frees = bad->frees;
		__entry->info = bad->info;
		__entry->flags = bad->flags;
		__entry->uid = bad->by.uid;
		__entry->alloc_uid = bad->life.alloc.uid;
		__entry->start = bad->by.start_time;
		__entry->cgroup = bad->by.cgroup;
		__entry->alloc_start = bad->life.alloc.start_time;
		__entry->alloc_client = bad->life.alloc.client;
		__entry->alloc_cgroup = bad->life.alloc.cgroup;
	),
	TP_printk("device=0x%llx space=%u buffer=0x%llx size=%llu generation=%llu tag=0x%llx client=%llu count=%u refs=%u pid=%d tid=%d comm=%s alloc_time=%llu alloc_pid=%d alloc_tid=%d alloc_comm=%s alloc_stack_id=%u",
		  __entry->device, __entry->space, __entry->buffer,
		  __entry->size, __entry->generation, __entry->tag,
		  __entry->client, __entry->count, __entry->refs,
		  __entry->pid, __entry->tid, __entry->comm,
		  __entry->alloc_time, __entry->alloc_pid,
		  __entry->alloc_tid, __entry->alloc_comm,
		  __entry->alloc_stack_id)
);

/*
 * An UNDO: the driver said that nothing was freed. "live" is 1 where the life lives again,
 * or still; "refused" is how many frees of the key were refused since the one that was taken
 * back: at most 255.
 */
TRACE_EVENT(bufftrack_undo,
	TP_PROTO(const struct bt_use *use, u32 live, u32 refused),
	TP_ARGS(use, live, refused),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u32, space)
		__field(u64, device)
		__field(u64, buffer)
		__field(u64, size)
		__field(u64, tag)
		__field(u64, generation)
		__field(u64, client)
		__field(u32, flags)
		__field(u32, refs)
		__field(u32, views)
		__field(u32, live)
		__field(u32, refused)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
		__field(u32, uid)
		__field(u64, start)
		__field(u64, cgroup)
	),
	TP_fast_assign(
		__entry->mark = BUFFTRACK_MARK_UNDO;
		__entry->device = use->device;
		__entry->buffer = use->buffer;
		__entry->size = use->size;
		__entry->tag = use->tag;
		__entry->generation = use->generation;
		__entry->client = use->client;
		__entry->space = use->space;
		__entry->flags = use->flags;
		__entry->refs = use->refs;
		__entry->views = use->views;
		__entry->live = live;
		__entry->refused = refused;
		__entry->pid = use->by.pid;
		__entry->tid = use->by.tid;
		memcpy(__entry->comm, use->by.comm, TASK_COMM_LEN);
		__entry->uid = use->by.uid;
		__entry->start = use->by.start_time;
		__entry->cgroup = use->by.cgroup;
	),
	TP_printk("device=0x%llx space=%u buffer=0x%llx size=%llu generation=%llu client=%llu refs=%u live=%u refused=%u pid=%d tid=%d comm=%s",
		  __entry->device, __entry->space, __entry->buffer,
		  __entry->size, __entry->generation, __entry->client,
		  __entry->refs, __entry->live, __entry->refused,
		  __entry->pid, __entry->tid, __entry->comm)
);

/* pid, tid and comm are those of the task that opened the client. */
TRACE_EVENT(bufftrack_client_open,
	TP_PROTO(u64 client, const struct bt_who *by),
	TP_ARGS(client, by),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u32, uid)
		__field(u64, client)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
	),
	TP_fast_assign(
		__entry->mark = BUFFTRACK_MARK_CLIENT_OPEN;
		__entry->client = client;
		__entry->pid = by->pid;
		__entry->tid = by->tid;
		memcpy(__entry->comm, by->comm, TASK_COMM_LEN);
		__entry->uid = by->uid;
	),
	TP_printk("client=%llu pid=%d tid=%d comm=%s uid=%u",
		  __entry->client, __entry->pid, __entry->tid,
		  __entry->comm, __entry->uid)
);

TRACE_EVENT(bufftrack_client_close,
	TP_PROTO(u64 client, const struct bt_who *by, const char *name,
		 u64 leaks),
	TP_ARGS(client, by, name, leaks),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u32, uid)
		__field(u64, client)
		__field(u64, leaks)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
		__array(char, name, BUFFTRACK_NAME_LEN)
	),
	TP_fast_assign(
		__entry->mark = BUFFTRACK_MARK_CLIENT_CLOSE;
		__entry->client = client;
		__entry->leaks = leaks;
		__entry->pid = by->pid;
		__entry->tid = by->tid;
		memcpy(__entry->comm, by->comm, TASK_COMM_LEN);
		__entry->uid = by->uid;
		memcpy(__entry->name, name, BUFFTRACK_NAME_LEN);
	),
	TP_printk("client=%llu leaks=%llu pid=%d tid=%d comm=%s uid=%u name=%s",
		  __entry->client, __entry->leaks, __entry->pid,
		  __entry->tid, __entry->comm, __entry->uid, __entry->name)
);

TRACE_EVENT(bufftrack_reset,
	TP_PROTO(u64 device, u64 lives, const struct bt_who *by),
	TP_ARGS(device, lives, by),
	TP_STRUCT__entry(
		__field(u32, mark)
		__field(u64, device)
		__field(u64, lives)
		__field(pid_t, pid)
		__field(pid_t, tid)
		__array(char, comm, TASK_COMM_LEN)
	),
	TP_fast_assign(
		__entry->mark = BUFFTRACK_MARK_RESET;
		__entry->device = device;
		__entry->lives = lives;
		__entry->pid = by->pid;
		__entry->tid = by->tid;
		memcpy(__entry->comm, by->comm, TASK_COMM_LEN);
	),
	TP_printk("device=0x%llx lives=%llu pid=%d tid=%d comm=%s",
		  __entry->device, __entry->lives, __entry->pid,
		  __entry->tid, __entry->comm)
);

#endif /* BUFFTRACK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE bufftrack_trace
#include <trace/define_trace.h>
