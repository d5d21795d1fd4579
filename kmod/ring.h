/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings: a user's latest bad verdicts, for EVENTS and poll().
 */
#ifndef BUFFTRACK_RING_H
#define BUFFTRACK_RING_H

#include <linux/poll.h>

#include "event.h"

#define BT_RING_EVENTS 1024U /* a power of 2 */

struct bufftrack_events;

void bufftrack_rings_exit(void);
int bufftrack_ring_join(struct bt_client *client);
void bufftrack_ring_leave(struct bt_client *client);
void bufftrack_ring_prepare(struct bt_client *client);
void bufftrack_ring_add(struct bt_client *client, const struct bt_bad *bad, u32 count);
__poll_t bufftrack_ring_poll(struct bt_client *client, struct file *file,
			     struct poll_table_struct *wait);
int bufftrack_events(struct bt_client *client, struct bufftrack_events *arg);

#endif /* BUFFTRACK_RING_H */
