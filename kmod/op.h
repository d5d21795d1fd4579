/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ALLOC, FREE and BATCH: from the caller's struct to its answer.
 */
#ifndef BUFFTRACK_OP_H
#define BUFFTRACK_OP_H

#include <linux/compiler.h>
#include <linux/types.h>

#include <linux/bufftrack.h>

struct bt_client;

long bufftrack_op_ioctl(struct bt_client *client, struct bufftrack_op __user *user, u32 kind);
int bufftrack_op_alloc(struct bt_client *client, void *buf);
int bufftrack_op_free(struct bt_client *client, void *buf);
int bufftrack_op_undo(struct bt_client *client, void *buf);
int bufftrack_op_batch(struct bt_client *client, void *buf);

#endif /* BUFFTRACK_OP_H */
