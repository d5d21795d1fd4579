// SPDX-License-Identifier: GPL-2.0
/*
 * What a bad verdict has for consequences: a line in the kernel log, a trap, a panic.
 * No lock is held.
 */
#define pr_fmt(fmt) "bufftrack: " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>

#include "log.h"
#include "param.h"
#include "verdict.h"

static atomic64_t bt_logs_suppressed = ATOMIC64_INIT(0);

/* bufftrack_logs_suppressed - lines that were not written, machine-wide */
u64 bufftrack_logs_suppressed(void)
{
	return atomic64_read(&bt_logs_suppressed);
}

/* For %*pE. A name is its task's own choice: escaped, none can forge a line. */
static int comm_len(const char *comm)
{
	return strnlen(comm, TASK_COMM_LEN);
}

/* "; freed by pid=1 comm=x", or nothing where that is not known. */
static const char *show_event(char *buf, size_t size, const char *what, const struct bt_who *who)
{
	buf[0] = '\0';
	if (who->time)
		scnprintf(buf, size, "; %s pid=%d comm=%*pE", what, who->pid, comm_len(who->comm),
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

static void log_line(const struct bt_bad *bad)
{
	static const char *const ended[] = {
		[BUFFTRACK_STATE_NONE] = "",
		[BUFFTRACK_STATE_LIVE] = "",
		[BUFFTRACK_STATE_FREED] = "freed by",
		[BUFFTRACK_STATE_EXITED] = "ended by the exit of",
		[BUFFTRACK_STATE_RESET] = "reset by",
		[BUFFTRACK_STATE_MISSED] = "allocated again by",
		[BUFFTRACK_STATE_LAST] = "freed for good by",
		[BUFFTRACK_STATE_CONTEXT] = "ended with a context by",
	};
	const struct bt_who *by = &bad->by;
	char end[128], alloc[128];

	pr_warn("%s: device=0x%llx space=%u buffer=0x%llx size=%llu token=%llu generation=%llu refs=%u nth=%u%s%s by pid=%d tid=%d comm=%*pE%s%s\n",
		bufftrack_verdict_name(bad->verdict), bad->device, bad->space, bad->buffer,
		bad->size, bad->token, bad->generation, bad->refs, bad->nth,
		bad->info & BUFFTRACK_INFO_PROBABLE ? " probable" : "",
		bad->info & BUFFTRACK_INFO_HISTORY_LOST ? " history_lost" : "", by->pid, by->tid,
		comm_len(by->comm), by->comm,
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

/*
 * What a bad verdict has for consequences. The log has a line for bad frees; bad ALLOCs are
 * in the tracepoints.
 */
static void punish(struct bt_client *client, const struct bt_bad *bad)
{
	/* Neither the parameter nor the flags need a lock: what is read here, once, decides. */
	unsigned int on_error = READ_ONCE(bufftrack_on_error);

	if (bufftrack_verdict_is_of_free(bad->verdict)) {
		if (log_wanted(client, bad)) {
			log_line(bad);
		} else {
			atomic64_inc(&client->log_suppressed);
			atomic64_inc(&bt_logs_suppressed);
		}
	}

	if (unlikely(on_error == BT_PANIC))
		panic("bufftrack: on_error=panic: %s of buffer 0x%llx on device 0x%llx by pid %d\n",
		      bufftrack_verdict_name(bad->verdict), bad->buffer, bad->device, bad->by.pid);
	if (on_error == BT_SIGTRAP || READ_ONCE(client->flags) & BUFFTRACK_CLIENT_TRAP)
		/* As a user's: the kernel's own is to gdb a breakpoint's, and moves the pc. */
		send_sig(SIGTRAP, current, 0);
}

/**
 * bufftrack_verdict_end() - what is left of a call that is a bad one, or of a VIEW
 * @caller: the caller, whose own calls are counted; no lock is held
 * @part: the part of the device that it counts in, or NULL
 * @op: the call, with its verdict
 * @bad: as it was filled under the lock, where the verdict is a bad one
 */
void bufftrack_verdict_end(struct bt_caller *caller, struct bt_stats *part,
			   const struct bufftrack_op *op, const struct bt_bad *bad)
{
	struct bt_client *client = caller->client;

	if (op->verdict == BUFFTRACK_OK) {
		bufftrack_count(BT_VIEWS, part, client->user, client);
		return;
	}
	bufftrack_count_verdict(client, part, op->verdict,
				bufftrack_verdict_is_of_free(op->verdict) &&
					!(op->info & BUFFTRACK_INFO_PROBABLE));
	bufftrack_ring_prepare(client);
	punish(client, bad);
}

/* bufftrack_log_close - a client's last line: how many of its bad frees have none */
void bufftrack_log_close(struct bt_client *client)
{
	u64 suppressed = atomic64_read(&client->log_suppressed);
	const struct bt_actor *opener = client->opener;

	/* One who opens and closes again and again is not to fill the log so. */
	if (suppressed && may_log(client->user->uid))
		pr_warn("client %llu (%*pE, pid %d): %llu more bad frees were not logged\n",
			client->id, comm_len(opener->comm), opener->comm, pid_nr(opener->pid),
			suppressed);
}
