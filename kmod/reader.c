// SPDX-License-Identifier: GPL-2.0
/*
 * What a reader is told of who did something.
 */
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include <linux/bufftrack.h>

#include "reader.h"
#include "stack.h"

/**
 * bufftrack_reader_init() - who asks
 * @reader: filled
 * @uid: whose things it may see: current_euid(), or that of who opened the file
 *
 * Asks for the capabilities once: an audit record each would be one for each entry.
 */
void bufftrack_reader_init(struct bt_reader *reader, kuid_t uid)
{
	reader->ns = task_active_pid_ns(current);
	reader->uid = uid;
	reader->sees_all = bufftrack_may_see_all();
}

/**
 * bufftrack_reader_event() - who did something, and when, for a reader
 * @reader: who asks
 * @to: filled; all 0 to begin with
 * @from: what is known of it; its actor may be NULL
 *
 * Of another user's task no more than the time is told.
 */
void bufftrack_reader_event(const struct bt_reader *reader, struct bufftrack_event *to,
			    const struct bt_when *from)
{
	const struct bt_actor *actor = from->actor;

	if (!actor)
		return;
	to->time = from->time;
	if (!bt_reader_sees(reader, actor->uid))
		return;
	to->pid = pid_nr_ns(actor->pid, reader->ns);
	to->tid = pid_nr_ns(actor->tid, reader->ns);
	to->exited = bufftrack_actor_exited(actor);
	to->stack_id = bufftrack_stack_id(actor->stack);
	to->start_time = actor->start_time;
	to->client = actor->client;
	to->cgroup = actor->cgroup;
	to->uid = from_kuid_munged(current_user_ns(), actor->uid);
	memcpy(to->comm, actor->comm, sizeof(to->comm));
}
