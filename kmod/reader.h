/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Readers: who asks, and what of others they are told.
 */
#ifndef BUFFTRACK_READER_H
#define BUFFTRACK_READER_H

#include "actor.h"
#include "user.h"

struct bufftrack_event;
struct pid_namespace;

/*
 * A task that reads: it sees what is its own user's, and with CAP_PERFMON or CAP_SYS_ADMIN
 * everything. Valid within the call that made it.
 */
struct bt_reader {
	struct pid_namespace *ns;
	kuid_t uid;
	bool sees_all;
};

void bufftrack_reader_init(struct bt_reader *reader, kuid_t uid);
void bufftrack_reader_event(const struct bt_reader *reader, struct bufftrack_event *to,
			    const struct bt_when *from);

static inline bool bt_reader_sees(const struct bt_reader *reader, kuid_t uid)
{
	return reader->sees_all || uid_eq(uid, reader->uid);
}

#endif /* BUFFTRACK_READER_H */
