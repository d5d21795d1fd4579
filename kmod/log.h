/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a bad verdict has for consequences: a line in the kernel log, a trap, a panic.
 */
#ifndef BUFFTRACK_LOG_H
#define BUFFTRACK_LOG_H

#include "ring.h"

void bufftrack_log_close(struct bt_client *client);
u64 bufftrack_logs_suppressed(void);

/* A bad verdict, under the shard's lock: what is to be told of it, and its event. */
static inline void bt_verdict_tell(const struct bt_caller *caller, const struct bt_share *share,
				   const struct bt_record *rec, enum bt_named named,
				   const struct bufftrack_op *op, struct bt_bad *bad)
{
	bufftrack_bad_fill(bad, caller, share, rec, named, op);
	bufftrack_event_bad(bad);
	bufftrack_ring_add(caller->client, bad, 0);
}

void bufftrack_verdict_end(struct bt_caller *caller, struct bt_stats *part,
			   const struct bufftrack_op *op, const struct bt_bad *bad);

#endif /* BUFFTRACK_LOG_H */
