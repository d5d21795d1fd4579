// SPDX-License-Identifier: GPL-2.0
/*
 * What is said of a verdict: the tracepoints, the kernel log, the trap.
 */
#define pr_fmt(fmt) "bufftrack: " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>

#include "bufftrack.h"
#include "compat.h"

#define CREATE_TRACE_POINTS
#include "bufftrack_trace.h"

static atomic64_t bt_logs_suppressed = ATOMIC64_INIT(0);

static const char *const verdict_names[] = {
	[BUFFTRACK_OK] = "ok",
	[BUFFTRACK_DOUBLE_FREE] = "double_free",
	[BUFFTRACK_STALE_FREE] = "stale_free",
	[BUFFTRACK_FOREIGN_FREE] = "foreign_free",
	[BUFFTRACK_FREE_AFTER_EXIT] = "free_after_exit",
	[BUFFTRACK_FREE_AFTER_RESET] = "free_after_reset",
	[BUFFTRACK_UNKNOWN_FREE] = "unknown_free",
	[BUFFTRACK_MISSED_FREE] = "missed_free",
	[BUFFTRACK_SIZE_MISMATCH] = "size_mismatch",
	[BUFFTRACK_DANGLING_VIEW] = "dangling_view",
	[BUFFTRACK_LEAK] = "leak",
};

static_assert(ARRAY_SIZE(verdict_names) == BUFFTRACK_NR_VERDICTS);

/* bufftrack_verdict_errno - what a STRICT client gets for it; 0 for a good one */
int bufftrack_verdict_errno(u32 verdict)
{
	static const int errnos[BUFFTRACK_NR_VERDICTS] = {
		[BUFFTRACK_DOUBLE_FREE] = -EALREADY,
		[BUFFTRACK_STALE_FREE] = -ESTALE,
		[BUFFTRACK_FOREIGN_FREE] = -EPERM,
		[BUFFTRACK_FREE_AFTER_EXIT] = -EOWNERDEAD,
		[BUFFTRACK_FREE_AFTER_RESET] = -ECONNRESET,
		[BUFFTRACK_UNKNOWN_FREE] = -ENOENT,
		[BUFFTRACK_MISSED_FREE] = -EEXIST,
		[BUFFTRACK_SIZE_MISMATCH] = -EMSGSIZE,
		[BUFFTRACK_DANGLING_VIEW] = -ENOLINK,
	};

	return errnos[verdict];
}

u64 bufftrack_logs_suppressed(void)
{
	return atomic64_read(&bt_logs_suppressed);
}

/* ---- what an event tells -------------------------------------------------- */

/* Numbers of the initial pid namespace, as every other tracepoint has them. */
static void fill_who(struct bt_who *who, const struct bt_actor *actor, u64 time)
{
	who->time = time;
	who->pid = pid_nr(actor->pid);
	who->tid = pid_nr(actor->tid);
	who->uid = from_kuid(&init_user_ns, actor->uid);
	who->stack_id = bufftrack_stack_id(actor->stack);
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
	life->state = rec->state;
	fill_when(&life->alloc, bt_alloc_of(rec));
	if (rec->state != BUFFTRACK_STATE_LIVE)
		fill_when(&life->end, &rec->end);
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
	bad->lives = bufftrack_lives(rec);
	bad->frees = rec->frees;
}

/* ---- tracepoints, under the shard's lock ---------------------------------- */

/* bufftrack_report_use - an ALLOC or FREE that counted */
void bufftrack_report_use(const struct bt_caller *caller, const struct bt_record *rec,
			  const struct bufftrack_op *op, bool alloc)
{
	struct bt_use use = {
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
	};

	if (rec->space->share->private_client)
		use.flags |= BUFFTRACK_LIFE_PRIVATE;
	fill_who(&use.by, caller->actor, caller->now);
	if (alloc)
		trace_bufftrack_alloc(&use);
	else
		trace_bufftrack_free(&use);
}

static void trace_bad(const struct bt_bad *bad)
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
	case BUFFTRACK_DANGLING_VIEW:
		trace_bufftrack_dangling_view(bad);
		break;
	}
}

/**
 * bufftrack_report_bad() - a bad verdict of an ALLOC or FREE
 * @caller: the offender
 * @share: the offender's part of the device, or NULL
 * @rec: the key's record, its shard's lock held; or NULL
 * @named: which of its lives was meant
 * @op: the call, with its verdict
 * @bad: filled here, for bufftrack_report_after()
 */
void bufftrack_report_bad(const struct bt_caller *caller, const struct bt_share *share,
			  const struct bt_record *rec, enum bt_named named,
			  const struct bufftrack_op *op, struct bt_bad *bad)
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
		.client = caller->client->id,
		.nth = 1,
	};
	if (share)
		bad->evicted = atomic64_read(&share->table->evicted);
	fill_who(&bad->by, caller->actor, caller->now);
	if (rec) {
		fill_record(bad, rec);
		if (op->verdict < BUFFTRACK_MISSED_FREE)
			bad->nth = rec->refused;
		if (rec->space->share->user == caller->client->user)
			bad->nth_own = rec->refused_own;
		if (named == BT_NAMED_LAST)
			fill_last(&bad->life, rec);
		if (named == BT_NAMED_PREV)
			fill_prev(&bad->life, rec);
		else
			fill_prev(&bad->prev, rec);
	}
	trace_bad(bad);
}

/**
 * bufftrack_report_leak() - a closing client still has holds on a life
 * @client: the client
 * @share: its part of the device
 * @rec: the life, its shard's lock held; refs are what others hold
 * @count: its references
 */
void bufftrack_report_leak(const struct bt_client *client, const struct bt_share *share,
			   const struct bt_record *rec, u32 count)
{
	struct bt_bad bad BT_UNINIT;

	if (!trace_bufftrack_leak_enabled())
		return;
	bad = (struct bt_bad){
		.verdict = BUFFTRACK_LEAK,
		.device = share->device->id,
		.space = rec->space_id,
		.buffer = rec->buffer,
		.client = client->id,
	};
	fill_record(&bad, rec);
	fill_who(&bad.by, client->opener, 0);
	fill_last(&bad.life, rec);
	trace_bufftrack_leak(&bad, count);
}

/* ---- the log and the trap, after the lock --------------------------------- */

/* For %*pE. A name is its task's own choice: escaped, none can forge a line. */
static int comm_len(const struct bt_who *who)
{
	return strnlen(who->comm, sizeof(who->comm));
}

/* "; freed by pid=1 comm=x", or nothing where that is not known. */
static const char *show_event(char *buf, size_t size, const char *what, const struct bt_who *who)
{
	buf[0] = '\0';
	if (who->time)
		scnprintf(buf, size, "; %s pid=%d comm=%*pE", what, who->pid, comm_len(who),
			  who->comm);
	return buf;
}

/* A user's lines in the log: so many in so long. */
#define LOG_BURST 100
#define LOG_SECONDS 5
#define LOG_USERS 64

/*
 * Not of struct bt_user, which goes with the user's last client: another one would begin
 * anew. A place that has not been asked for longer than its limit looks back is as good as
 * new, and is given to the next user. Where there is none such, one serves two users:
 * all together have no more than LOG_USERS times LOG_BURST.
 */
static struct logging {
	kuid_t uid;
	u64 asked;
	struct ratelimit_state limit;
} bt_logging[LOG_USERS] = {
	[0 ... LOG_USERS - 1] = {
		.limit = RATELIMIT_STATE_INIT_FLAGS(bt_logging, LOG_SECONDS * HZ, LOG_BURST,
						    RATELIMIT_MSG_ON_RELEASE),
	},
};

static DEFINE_SPINLOCK(bt_logging_lock);

/* With bt_logging_lock held. */
static struct logging *logging_of(kuid_t uid, u64 now)
{
	struct logging *place, *oldest = bt_logging;

	for (place = bt_logging; place < bt_logging + LOG_USERS; place++) {
		if (uid_eq(place->uid, uid))
			return place;
		if (place->asked < oldest->asked)
			oldest = place;
	}
	/* One second more: the limit counts in jiffies. */
	if (oldest->asked && now - oldest->asked <= (LOG_SECONDS + 1) * NSEC_PER_SEC)
		return &bt_logging[__kuid_val(uid) % LOG_USERS];
	oldest->uid = uid;
	return oldest;
}

static bool may_log(kuid_t uid)
{
	u64 now = ktime_get_ns();
	struct logging *place;
	bool may;

	spin_lock(&bt_logging_lock);
	place = logging_of(uid, now);
	place->asked = now;
	may = __ratelimit(&place->limit);
	spin_unlock(&bt_logging_lock);
	return may;
}

static void log_bad(const struct bt_bad *bad)
{
	static const char *const ended[] = {
		[BUFFTRACK_STATE_NONE] = "",
		[BUFFTRACK_STATE_LIVE] = "",
		[BUFFTRACK_STATE_FREED] = "freed by",
		[BUFFTRACK_STATE_EXITED] = "ended by the exit of",
		[BUFFTRACK_STATE_RESET] = "reset by",
		[BUFFTRACK_STATE_MISSED] = "allocated again by",
	};
	const struct bt_who *by = &bad->by;
	char end[128], alloc[128];

	pr_warn("%s: device=0x%llx space=%u buffer=0x%llx size=%llu token=%llu generation=%llu refs=%u nth=%u%s%s by pid=%d tid=%d comm=%*pE%s%s\n",
		verdict_names[bad->verdict], bad->device, bad->space, bad->buffer, bad->size,
		bad->token, bad->generation, bad->refs, bad->nth,
		bad->info & BUFFTRACK_INFO_PROBABLE ? " probable" : "",
		bad->info & BUFFTRACK_INFO_HISTORY_LOST ? " history_lost" : "", by->pid, by->tid,
		comm_len(by), by->comm,
		show_event(end, sizeof(end), ended[bad->life.state], &bad->life.end),
		show_event(alloc, sizeof(alloc), "allocated by", &bad->life.alloc));
}

/* Where the key has no record, or is another user's, the client's own count stands in. */
static bool log_wanted(struct bt_client *client, const struct bt_bad *bad)
{
	unsigned int limit = READ_ONCE(bufftrack_log_limit);

	if (!bad->nth_own) {
		/* Looked at first so that it never wraps; the increment decides. */
		if (atomic_read(&client->log_unknown) >= (int)limit ||
		    atomic_inc_return(&client->log_unknown) > (int)limit)
			return false;
	} else if (bad->nth_own > limit) {
		return false;
	}
	return may_log(client->user->uid);
}

/**
 * bufftrack_report_after() - what a bad verdict has for consequences
 * @client: the offender; no lock is held
 * @bad: as it was filled under the lock
 *
 * The log has a line for bad frees; bad ALLOCs are in the tracepoints.
 */
void bufftrack_report_after(struct bt_client *client, const struct bt_bad *bad)
{
	/* Neither the parameter nor the flags need a lock: what is read here, once, decides. */
	unsigned int on_error = READ_ONCE(bufftrack_on_error);

	if (bad->verdict < BUFFTRACK_MISSED_FREE) {
		if (log_wanted(client, bad)) {
			log_bad(bad);
		} else {
			atomic64_inc(&client->log_suppressed);
			atomic64_inc(&bt_logs_suppressed);
		}
	}

	if (unlikely(on_error == BT_PANIC))
		panic("bufftrack: on_error=panic: %s of buffer 0x%llx on device 0x%llx by pid %d\n",
		      verdict_names[bad->verdict], bad->buffer, bad->device, bad->by.pid);
	if (on_error == BT_SIGTRAP || READ_ONCE(client->flags) & BUFFTRACK_CLIENT_TRAP)
		/* As a user's: the kernel's own is to gdb a breakpoint's, and moves the pc. */
		send_sig(SIGTRAP, current, 0);
}

/* ---- clients and devices -------------------------------------------------- */

void bufftrack_report_open(const struct bt_client *client)
{
	struct bt_who by = {};

	fill_who(&by, client->opener, 0);
	trace_bufftrack_client_open(client->id, &by);
}

/* bufftrack_report_close - the client's last words: how much it left unsaid */
void bufftrack_report_close(struct bt_client *client, u64 leaks)
{
	u64 unsaid = atomic64_read(&client->log_suppressed);
	struct bt_who by = {};

	fill_who(&by, client->opener, 0);
	/* The name without its lock: its file has gone, and STAT only reads. */
	trace_bufftrack_client_close(client->id, &by, client->name, leaks);
	/* One who opens and closes again and again is not to fill the log so. */
	if (unsaid && may_log(client->user->uid))
		pr_warn("client %llu (%*pE, pid %d): %llu more bad frees were not logged\n",
			client->id, comm_len(&by), by.comm, by.pid, unsaid);
}

void bufftrack_report_reset(const struct bt_caller *caller, u64 device, u64 lives)
{
	struct bt_who by = {};

	fill_who(&by, caller->actor, caller->now);
	trace_bufftrack_reset(device, lives, &by);
}
